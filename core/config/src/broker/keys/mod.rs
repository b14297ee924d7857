//! The registry of `server.properties` of Kafka 2.7.1: 216 keys, in the order in which `KafkaConfig` declares them (which
//! decides the error that is told first when several keys are wrong), three that can only be set while running, and our own.

mod coordination;
mod log;
mod operation;
pub(crate) mod reasons;
mod replication;
mod security;
mod server;
mod zookeeper;

use crate::key::{Key, Valid, boolean, long};

static TABLES: [&[Key]; 7] =
    [zookeeper::KEYS, server::KEYS, log::KEYS, replication::KEYS, coordination::KEYS, operation::KEYS, security::KEYS];

/// Keys that stand in no file and are only set while running (`DynamicConfig.Broker`).
pub static DYNAMIC_ONLY: &[Key] = &[
    long("leader.replication.throttled.rate")
        .default("9223372036854775807")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .cluster_wide()
        .doc("Bytes in a second that followers may read of the throttled replicas this broker leads."),
    long("follower.replication.throttled.rate")
        .default("9223372036854775807")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .cluster_wide()
        .doc("Bytes in a second that this broker may fetch of its throttled replicas."),
    long("replica.alter.log.dirs.io.max.bytes.per.second")
        .default("9223372036854775807")
        .valid(&[Valid::AtLeast("0")])
        .medium()
        .cluster_wide()
        .doc("Bytes in a second by which replicas may be moved between log directories."),
];

/// Keys of `server.properties` that the originals do not know, and warn of. Nobody who asks for all keys is told of those that are not
/// set, so that the answer is the original's.
pub static OURS: &[Key] = &[boolean("jackdaw.guardian.enable").default("true").doc(
    "Keep a small process beside the broker that closes the broker's ZooKeeper session as soon as the broker is gone, so that others take over at once instead of after zookeeper.session.timeout.ms.",
)];

/// All keys of the original's `server.properties`.
pub fn all() -> impl Iterator<Item = &'static Key> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The entry of a key of `server.properties`, be it the original's or ours.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    all().chain(OURS).find(|key| key.name == name)
}

/// The entry of a key that may be set while running, the three of [`DYNAMIC_ONLY`] included.
#[must_use]
pub fn find_dynamic(name: &str) -> Option<&'static Key> {
    let in_file = find(name).filter(|key| key.update != crate::Update::ReadOnly);
    in_file.or_else(|| DYNAMIC_ONLY.iter().find(|key| key.name == name))
}
