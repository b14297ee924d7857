//! Broker keys: metrics and quotas.

use super::reasons::{BUILT_IN, METRICS, QUOTAS};
use crate::key::{Key, Valid, class, int, list, long, string};

pub(crate) static KEYS: &[Key] = &[
    int("metrics.num.samples")
        .default("2")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(METRICS)
        .doc("Samples from which a metric is computed."),
    long("metrics.sample.window.ms")
        .default("30000")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(METRICS)
        .doc("Milliseconds of one sample."),
    list("metric.reporters")
        .default("")
        .valid(&[Valid::Classes(&["org.apache.kafka.common.metrics.JmxReporter"])])
        .cluster_wide()
        .no_effect(BUILT_IN)
        .doc("Classes that publish metrics."),
    string("metrics.recording.level").default("INFO").no_effect(METRICS).doc("How much is measured: INFO or DEBUG."),
    list("kafka.metrics.reporters")
        .default("")
        .valid(&[Valid::Classes(&[])])
        .no_effect(BUILT_IN)
        .doc("Classes that publish the older metrics."),
    int("kafka.metrics.polling.interval.secs")
        .default("10")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(METRICS)
        .doc("Seconds between two polls of these classes."),
    long("quota.producer.default")
        .default("9223372036854775807")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .no_effect(QUOTAS)
        .doc("Older default of bytes that each producer may send to this broker in a second."),
    long("quota.consumer.default")
        .default("9223372036854775807")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .no_effect(QUOTAS)
        .doc("Older default of bytes that each consumer may read from this broker in a second."),
    int("quota.window.num")
        .default("11")
        .valid(&[Valid::AtLeast("1")])
        .doc("Samples kept for the rate of new connections (and for client quotas, which are not enforced yet)."),
    int("replication.quota.window.num")
        .default("11")
        .valid(&[Valid::AtLeast("1")])
        .doc("Samples kept for replication quotas."),
    int("alter.log.dirs.replication.quota.window.num")
        .default("11")
        .valid(&[Valid::AtLeast("1")])
        .doc("Samples kept for the quota of moves between log directories."),
    int("controller.quota.window.num")
        .default("11")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(QUOTAS)
        .doc("Samples kept for quotas of topic changes."),
    int("quota.window.size.seconds")
        .default("1")
        .valid(&[Valid::AtLeast("1")])
        .doc("Seconds of one such sample; also the longest that accepting rests."),
    int("replication.quota.window.size.seconds")
        .default("1")
        .valid(&[Valid::AtLeast("1")])
        .doc("Seconds of one sample of replication quotas."),
    int("alter.log.dirs.replication.quota.window.size.seconds")
        .default("1")
        .valid(&[Valid::AtLeast("1")])
        .doc("Seconds of one sample of the quota of moves between log directories."),
    int("controller.quota.window.size.seconds")
        .default("1")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(QUOTAS)
        .doc("Seconds of one sample of quotas of topic changes."),
    class("client.quota.callback.class")
        .valid(&[Valid::Classes(&[])])
        .no_effect(BUILT_IN)
        .doc("Class that decides client quotas."),
];
