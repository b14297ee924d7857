//! Broker keys: log directories, segments, retention and cleaning.

use super::reasons::{BUILT_IN, CLEANER};
use crate::key::{Key, Valid, boolean, class, double, int, list, long, string};

pub(crate) static KEYS: &[Key] = &[
    int("num.partitions")
        .default("1")
        .valid(&[Valid::AtLeast("1")])
        .medium()
        .doc("Partitions of a topic that is created without a number."),
    string("log.dir").default("/tmp/kafka-logs").high().doc("Folder of the logs; used when log.dirs is not set."),
    string("log.dirs").high().doc("Folders of the logs, separated by commas. Default: log.dir."),
    int("log.segment.bytes")
        .default("1073741824")
        .valid(&[Valid::AtLeast("14")])
        .high()
        .cluster_wide()
        .doc("Largest size of a segment file."),
    long("log.roll.ms")
        .high()
        .cluster_wide()
        .doc("Milliseconds after which a new segment is begun. Default: log.roll.hours."),
    int("log.roll.hours")
        .default("168")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Hours after which a new segment is begun; log.roll.ms is stronger."),
    long("log.roll.jitter.ms")
        .high()
        .cluster_wide()
        .doc("Most milliseconds by which that time is shortened at random. Default: log.roll.jitter.hours."),
    int("log.roll.jitter.hours")
        .default("0")
        .valid(&[Valid::AtLeast("0")])
        .high()
        .doc("Most hours by which that time is shortened at random; log.roll.jitter.ms is stronger."),
    long("log.retention.ms")
        .high()
        .cluster_wide()
        .doc("Milliseconds that a segment is kept. -1: for ever. Default: log.retention.minutes."),
    int("log.retention.minutes")
        .high()
        .doc("Minutes that a segment is kept; log.retention.ms is stronger. Default: log.retention.hours."),
    int("log.retention.hours")
        .default("168")
        .high()
        .doc("Hours that a segment is kept; log.retention.minutes and log.retention.ms are stronger."),
    long("log.retention.bytes")
        .default("-1")
        .high()
        .cluster_wide()
        .doc("Size of a partition above which its oldest segments are deleted. -1: no limit."),
    long("log.retention.check.interval.ms")
        .default("300000")
        .valid(&[Valid::AtLeast("1")])
        .medium()
        .doc("Milliseconds between two looks for segments that can be deleted."),
    list("log.cleanup.policy")
        .default("delete")
        .valid(&[Valid::EachOneOf(&["compact", "delete"])])
        .medium()
        .cluster_wide()
        .doc("What happens to old segments: delete, compact, or both."),
    int("log.cleaner.threads")
        .default("1")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Threads that compact logs."),
    double("log.cleaner.io.max.bytes.per.second")
        .default("1.7976931348623157E308")
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Bytes that the cleaner reads and writes in a second at most."),
    long("log.cleaner.dedupe.buffer.size")
        .default("134217728")
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Memory in which all cleaner threads together note keys, in bytes."),
    int("log.cleaner.io.buffer.size")
        .default("524288")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Memory for reading and writing of all cleaner threads together, in bytes."),
    double("log.cleaner.io.buffer.load.factor")
        .default("0.9")
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("How full the memory for keys may become, as a share of 1."),
    long("log.cleaner.backoff.ms")
        .default("15000")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Milliseconds that the cleaner sleeps when there is nothing to do."),
    double("log.cleaner.min.cleanable.ratio")
        .default("0.5")
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Share of a log that must be uncleaned before it is cleaned."),
    boolean("log.cleaner.enable")
        .default("true")
        .medium()
        .no_effect(CLEANER)
        .doc("Run the cleaner; without it compacted topics only grow."),
    long("log.cleaner.delete.retention.ms")
        .default("86400000")
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Milliseconds that the mark of a deleted key is kept."),
    long("log.cleaner.min.compaction.lag.ms")
        .default("0")
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Milliseconds in which a record is not compacted."),
    long("log.cleaner.max.compaction.lag.ms")
        .default("9223372036854775807")
        .medium()
        .cluster_wide()
        .no_effect(CLEANER)
        .doc("Milliseconds after which a record is compacted at the latest."),
    int("log.index.size.max.bytes")
        .default("10485760")
        .valid(&[Valid::AtLeast("4")])
        .medium()
        .cluster_wide()
        .doc("Largest size of an offset index; a full one begins a new segment."),
    int("log.index.interval.bytes")
        .default("4096")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .cluster_wide()
        .doc("Bytes of log between two entries of the offset index."),
    long("log.flush.interval.messages")
        .default("9223372036854775807")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .cluster_wide()
        .doc("Records after which a partition is synced to the disk."),
    long("log.segment.delete.delay.ms")
        .default("60000")
        .valid(&[Valid::AtLeast("0")])
        .high()
        .cluster_wide()
        .doc("Milliseconds between the renaming and the removal of a deleted segment."),
    long("log.flush.scheduler.interval.ms")
        .default("9223372036854775807")
        .high()
        .doc("Milliseconds between two looks for logs that are due to be synced."),
    long("log.flush.interval.ms")
        .high()
        .cluster_wide()
        .doc("Milliseconds after which a partition is synced to the disk. Default: log.flush.scheduler.interval.ms."),
    int("log.flush.offset.checkpoint.interval.ms")
        .default("60000")
        .valid(&[Valid::AtLeast("0")])
        .high()
        .doc("Milliseconds between two writings of the recovery points."),
    int("log.flush.start.offset.checkpoint.interval.ms")
        .default("60000")
        .valid(&[Valid::AtLeast("0")])
        .high()
        .doc("Milliseconds between two writings of the log start offsets."),
    boolean("log.preallocate")
        .default("false")
        .medium()
        .cluster_wide()
        .doc("Give a new segment its full size at once."),
    int("num.recovery.threads.per.data.dir")
        .default("1")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .cluster_wide()
        .doc("Logs of each log directory that are recovered at the same time at the start."),
    boolean("auto.create.topics.enable").default("true").high().doc("Create a topic when a client asks for it."),
    int("min.insync.replicas")
        .default("1")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .cluster_wide()
        .doc("Replicas that must be in sync for a write with acks=all."),
    string("log.message.format.version").default("2.7-IV2").valid(&[Valid::ApiVersion]).medium().doc(
        "Version of Kafka whose record format is written. Older clients of older formats are spared a conversion.",
    ),
    string("log.message.timestamp.type")
        .default("CreateTime")
        .valid(&[Valid::OneOf(&["CreateTime", "LogAppendTime"])])
        .medium()
        .cluster_wide()
        .doc("Whose clock stamps a record: the producer's (CreateTime) or the broker's (LogAppendTime)."),
    long("log.message.timestamp.difference.max.ms")
        .default("9223372036854775807")
        .medium()
        .cluster_wide()
        .doc("Milliseconds by which a producer's timestamp may differ from the broker's clock."),
    class("create.topic.policy.class.name")
        .valid(&[Valid::Classes(&[])])
        .no_effect(BUILT_IN)
        .doc("Class that may refuse the creation of a topic."),
    class("alter.config.policy.class.name")
        .valid(&[Valid::Classes(&[])])
        .no_effect(BUILT_IN)
        .doc("Class that may refuse a change of configuration."),
    boolean("log.message.downconversion.enable")
        .default("true")
        .cluster_wide()
        .doc("Convert records for consumers that know older formats only."),
];
