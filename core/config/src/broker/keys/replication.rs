//! Broker keys: replicas, leaders and the way between brokers.

use super::reasons::PURGATORY;
use crate::key::{Key, Valid, boolean, int, long, string};

pub(crate) static KEYS: &[Key] = &[
    int("controller.socket.timeout.ms")
        .default("30000")
        .medium()
        .doc("Milliseconds that a request of the controller to a broker may take."),
    int("default.replication.factor")
        .default("1")
        .medium()
        .doc("Replicas of a topic that is created without a number."),
    long("replica.lag.time.max.ms")
        .default("30000")
        .high()
        .doc("Milliseconds after which a follower that has not caught up leaves the in-sync replicas."),
    int("replica.socket.timeout.ms").default("30000").high().doc("Milliseconds that a follower's request may take."),
    int("replica.socket.receive.buffer.bytes")
        .default("65536")
        .high()
        .doc("SO_RCVBUF of a follower's connection. Not set: the system sizes it."),
    int("replica.fetch.max.bytes")
        .default("1048576")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Bytes that a follower asks of each partition."),
    int("replica.fetch.wait.max.ms")
        .default("500")
        .high()
        .doc("Milliseconds that a follower's request may wait for data."),
    int("replica.fetch.backoff.ms")
        .default("1000")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Milliseconds that a follower sleeps after an error of a partition."),
    int("replica.fetch.min.bytes").default("1").high().doc("Bytes for which a follower's request waits."),
    int("replica.fetch.response.max.bytes")
        .default("10485760")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Bytes that a follower asks for in one request."),
    int("num.replica.fetchers")
        .default("1")
        .high()
        .cluster_wide()
        .doc("Fetchers, each with a connection of its own, for the partitions of one leader."),
    long("replica.high.watermark.checkpoint.interval.ms")
        .default("5000")
        .high()
        .doc("Milliseconds between two writings of the high watermarks."),
    int("fetch.purgatory.purge.interval.requests")
        .default("1000")
        .medium()
        .no_effect(PURGATORY)
        .doc("Finished fetches that may stay on the list of waiting ones."),
    int("producer.purgatory.purge.interval.requests")
        .default("1000")
        .medium()
        .no_effect(PURGATORY)
        .doc("Finished produces that may stay on the list of waiting ones."),
    int("delete.records.purgatory.purge.interval.requests")
        .default("1")
        .medium()
        .no_effect(PURGATORY)
        .doc("Finished deletions of records that may stay on the list of waiting ones."),
    boolean("auto.leader.rebalance.enable")
        .default("true")
        .high()
        .doc("Give leadership back to preferred replicas in the background."),
    int("leader.imbalance.per.broker.percentage")
        .default("10")
        .high()
        .doc("Share of partitions, in percent, whose leader may be another than the preferred one."),
    long("leader.imbalance.check.interval.seconds")
        .default("300")
        .high()
        .doc("Seconds between two looks for such partitions."),
    boolean("unclean.leader.election.enable")
        .default("false")
        .high()
        .cluster_wide()
        .doc("Let a replica that is not in sync become leader. Records are lost then."),
    string("security.inter.broker.protocol")
        .default("PLAINTEXT")
        .medium()
        .doc("Security protocol between brokers; only one of this and inter.broker.listener.name may be set."),
    string("inter.broker.protocol.version")
        .default("2.7-IV2")
        .valid(&[Valid::ApiVersion])
        .medium()
        .doc("Version of Kafka whose protocol is spoken between brokers. It is raised when all brokers are new."),
    string("inter.broker.listener.name")
        .medium()
        .doc("Listener that brokers use among themselves. Default: the one of security.inter.broker.protocol."),
    string("replica.selector.class")
        .valid(&[Valid::Classes(&["org.apache.kafka.common.replica.RackAwareReplicaSelector"])])
        .medium()
        .doc("Class that picks the replica a consumer reads from."),
];
