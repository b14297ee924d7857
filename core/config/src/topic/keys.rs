//! Topic configs: what a topic may set for itself, and the broker key that holds its default.

use crate::broker::keys::reasons::CLEANER;
use crate::key::{Key, Valid, boolean, double, int, list, long, string};

pub(crate) static KEYS: &[Key] = &[
    int("segment.bytes").default("1073741824").valid(&[Valid::AtLeast("14")]).medium().broker_key("log.segment.bytes").doc("Largest size of a segment file."),
    long("segment.ms").default("604800000").valid(&[Valid::AtLeast("1")]).medium().broker_key("log.roll.ms").doc("Milliseconds after which a new segment is begun although the last one is not full, so that it can be deleted or compacted."),
    long("segment.jitter.ms").default("0").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.roll.jitter.ms").doc("Most milliseconds by which segment.ms is shortened at random, so that segments do not all roll together."),
    int("segment.index.bytes").default("10485760").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.index.size.max.bytes").doc("Largest size of an offset index; a full one begins a new segment."),
    long("flush.messages").default("9223372036854775807").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.flush.interval.messages").doc("Records after which the log is synced to the disk. Replication is the better guard."),
    long("flush.ms").default("9223372036854775807").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.flush.interval.ms").doc("Milliseconds after which the log is synced to the disk. Replication is the better guard."),
    long("retention.bytes").default("-1").medium().broker_key("log.retention.bytes").doc("Size of a partition above which its oldest segments are deleted. -1: no limit."),
    long("retention.ms").default("604800000").valid(&[Valid::AtLeast("-1")]).medium().broker_key("log.retention.ms").doc("Milliseconds that records are kept under the policy delete. -1: for ever."),
    int("max.message.bytes").default("1048588").valid(&[Valid::AtLeast("0")]).medium().broker_key("message.max.bytes").doc("Largest record batch that is taken, after compression, in bytes. Consumers must be able to fetch it."),
    int("index.interval.bytes").default("4096").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.index.interval.bytes").doc("Bytes of log between two entries of the offset index."),
    long("delete.retention.ms").default("86400000").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.cleaner.delete.retention.ms").no_effect(CLEANER).doc("Milliseconds that the mark of a deleted key is kept in a compacted topic, and so the time a reader from the start has."),
    long("min.compaction.lag.ms").default("0").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.cleaner.min.compaction.lag.ms").no_effect(CLEANER).doc("Milliseconds in which a record is not compacted."),
    long("max.compaction.lag.ms").default("9223372036854775807").valid(&[Valid::AtLeast("1")]).medium().broker_key("log.cleaner.max.compaction.lag.ms").no_effect(CLEANER).doc("Milliseconds after which a record is compacted at the latest."),
    long("file.delete.delay.ms").default("60000").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.segment.delete.delay.ms").doc("Milliseconds between the renaming and the removal of a deleted segment."),
    double("min.cleanable.dirty.ratio").default("0.5").valid(&[Valid::AtLeast("0"), Valid::AtMost("1")]).medium().broker_key("log.cleaner.min.cleanable.ratio").no_effect(CLEANER).doc("Share of the log that must be uncleaned before it is cleaned."),
    list("cleanup.policy").default("delete").valid(&[Valid::EachOneOf(&["compact", "delete"])]).medium().broker_key("log.cleanup.policy").doc("What happens to old segments: delete, compact, or both."),
    boolean("unclean.leader.election.enable").default("false").medium().broker_key("unclean.leader.election.enable").doc("Let a replica that is not in sync become leader. Records are lost then."),
    int("min.insync.replicas").default("1").valid(&[Valid::AtLeast("1")]).medium().broker_key("min.insync.replicas").doc("Replicas that must be in sync for a write with acks=all; with fewer the producer gets an error."),
    string("compression.type").default("producer").valid(&[Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])]).medium().broker_key("compression.type").doc("Compression of the log: a codec, uncompressed, or producer for what the producer chose."),
    boolean("preallocate").default("false").medium().broker_key("log.preallocate").doc("Give a new segment its full size at once."),
    string("message.format.version").default("2.7-IV2").valid(&[Valid::ApiVersion]).medium().broker_key("log.message.format.version").doc("Version of Kafka whose record format is written."),
    string("message.timestamp.type").default("CreateTime").valid(&[Valid::OneOf(&["CreateTime", "LogAppendTime"])]).medium().broker_key("log.message.timestamp.type").doc("Whose clock stamps a record: the producer's (CreateTime) or the broker's (LogAppendTime)."),
    long("message.timestamp.difference.max.ms").default("9223372036854775807").valid(&[Valid::AtLeast("0")]).medium().broker_key("log.message.timestamp.difference.max.ms").doc("Milliseconds by which a producer's timestamp may differ from the broker's clock; more is refused. Unused with LogAppendTime."),
    list("leader.replication.throttled.replicas").default("").valid(&[Valid::ThrottledReplicas]).medium().doc("Replicas whose reading by followers is throttled: partition:broker, separated by commas, or * for all."),
    list("follower.replication.throttled.replicas").default("").valid(&[Valid::ThrottledReplicas]).medium().doc("Replicas whose fetching is throttled: partition:broker, separated by commas, or * for all."),
    boolean("message.downconversion.enable").default("true").broker_key("log.message.downconversion.enable").doc("Convert records for consumers that know older formats only; otherwise they get an error."),
];
