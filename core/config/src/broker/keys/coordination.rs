//! Broker keys: shutdown, groups, offsets, transactions and fetch sessions.

use super::reasons::TRANSACTIONS;
use crate::key::{Key, Valid, boolean, int, long, short, string};

pub(crate) static KEYS: &[Key] = &[
    int("controlled.shutdown.max.retries")
        .default("3")
        .medium()
        .doc("Times that a stopping broker tries to hand its leaderships over."),
    long("controlled.shutdown.retry.backoff.ms")
        .default("5000")
        .medium()
        .doc("Milliseconds between two of these tries."),
    boolean("controlled.shutdown.enable").default("true").medium().doc("Hand leaderships over before stopping."),
    int("group.min.session.timeout.ms")
        .default("6000")
        .medium()
        .doc("Shortest session timeout that a group member may ask for."),
    int("group.max.session.timeout.ms")
        .default("1800000")
        .medium()
        .doc("Longest session timeout that a group member may ask for."),
    int("group.initial.rebalance.delay.ms")
        .default("3000")
        .medium()
        .doc("Milliseconds that an empty group waits for more members before its first rebalance."),
    int("group.max.size")
        .default("2147483647")
        .valid(&[Valid::AtLeast("1")])
        .medium()
        .doc("Members of a group at most."),
    int("offset.metadata.max.bytes")
        .default("4096")
        .high()
        .doc("Bytes of the text that may be committed with an offset."),
    int("offsets.load.buffer.size")
        .default("5242880")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Bytes that are read at once when committed offsets are loaded."),
    short("offsets.topic.replication.factor")
        .default("3")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Replicas of the topic __consumer_offsets. It is created only when there are enough brokers."),
    int("offsets.topic.num.partitions")
        .default("50")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Partitions of the topic __consumer_offsets. Not to be changed later."),
    int("offsets.topic.segment.bytes")
        .default("104857600")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Segment size of the topic __consumer_offsets."),
    int("offsets.topic.compression.codec")
        .default("0")
        .high()
        .doc("Compression of the topic __consumer_offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    int("offsets.retention.minutes")
        .default("10080")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Minutes after which the offsets of an empty group are forgotten."),
    long("offsets.retention.check.interval.ms")
        .default("600000")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Milliseconds between two looks for such offsets."),
    int("offsets.commit.timeout.ms")
        .default("5000")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Milliseconds that a commit may wait for its replicas."),
    short("offsets.commit.required.acks")
        .default("-1")
        .high()
        .doc("Acknowledgements that a commit waits for. -1: all in-sync replicas."),
    boolean("delete.topic.enable").default("true").high().doc("Allow topics to be deleted."),
    string("compression.type")
        .default("producer")
        .high()
        .cluster_wide()
        .doc("Compression of logs: a codec, uncompressed, or producer for what the producer chose."),
    int("transactional.id.expiration.ms")
        .default("604800000")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Milliseconds after which an unused producer or transactional id is forgotten."),
    int("transaction.max.timeout.ms")
        .default("900000")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .no_effect(TRANSACTIONS)
        .doc("Longest timeout that a transaction may ask for."),
    int("transaction.state.log.min.isr")
        .default("2")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("min.insync.replicas of the topic __transaction_state."),
    int("transaction.state.log.load.buffer.size")
        .default("5242880")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .no_effect(TRANSACTIONS)
        .doc("Bytes that are read at once when transactions are loaded."),
    short("transaction.state.log.replication.factor")
        .default("3")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Replicas of the topic __transaction_state. It is created only when there are enough brokers."),
    int("transaction.state.log.num.partitions")
        .default("50")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Partitions of the topic __transaction_state. Not to be changed later."),
    int("transaction.state.log.segment.bytes")
        .default("104857600")
        .valid(&[Valid::AtLeast("1")])
        .high()
        .doc("Segment size of the topic __transaction_state."),
    int("transaction.abort.timed.out.transaction.cleanup.interval.ms")
        .default("10000")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(TRANSACTIONS)
        .doc("Milliseconds between two looks for transactions that took too long."),
    int("transaction.remove.expired.transaction.cleanup.interval.ms")
        .default("3600000")
        .valid(&[Valid::AtLeast("1")])
        .no_effect(TRANSACTIONS)
        .doc("Milliseconds between two looks for forgotten transactional ids."),
    int("max.incremental.fetch.session.cache.slots")
        .default("1000")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .doc("Fetch sessions that are kept at most."),
    int("fetch.max.bytes")
        .default("57671680")
        .valid(&[Valid::AtLeast("1024")])
        .medium()
        .doc("Most bytes of a reply to a fetch, whatever the client asks for. 1024 at least."),
];
