//! The znodes that Kafka 2.7.1 keeps: paths, and content to the byte (upstream: `ZkData.scala`).
//!
//! The JSON is compact. Where the originals write a hash map, its order is a function of the keys, and `json` computes it,
//! so that a znode of ours equals theirs.

mod broker;
mod cluster;
mod config;
mod feature;
mod json;
mod notification;
mod partition;
mod preferred_election;
mod reassignment;
mod topic;

pub use broker::{BrokerRegistration, Endpoint};
pub use cluster::{ClusterId, ControllerId, decode_epoch, encode_epoch};
pub use config::{ConfigChange, EntityConfig};
pub use feature::{FeatureRange, FeatureStatus, Features};
pub use notification::{IsrChange, LogDirEvent};
pub use partition::LeaderAndIsr;
pub use preferred_election::PreferredElection;
pub use reassignment::{PartitionReassignment, WantedReplicas};
pub use topic::{ReplicaAssignment, TopicAssignment};

/// Content of a znode that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid content of znode {path}: {reason}")]
pub struct ZnodeError {
    /// Which znode.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// Made, empty, at every start of a broker; in this order.
pub const PERSISTENT_PATHS: [&str; 12] = [
    "/consumers",
    "/brokers/ids",
    "/brokers/topics",
    "/config/changes",
    "/admin/delete_topics",
    "/brokers/seqid",
    "/isr_change_notification",
    "/latest_producer_id_block",
    "/log_dir_event_notification",
    "/config/topics",
    "/config/clients",
    "/config/users",
];

/// As [`PERSISTENT_PATHS`]; apart from them because its name is also a prefix of paths below.
pub const CONFIG_BROKERS: &str = "/config/brokers";
/// The cluster's id.
pub const CLUSTER_ID: &str = "/cluster/id";
/// Ephemeral: who is controller.
pub const CONTROLLER: &str = "/controller";
/// Decimal text: how many controllers there were.
pub const CONTROLLER_EPOCH: &str = "/controller_epoch";
/// Live brokers, ephemeral children.
pub const BROKER_IDS: &str = "/brokers/ids";
/// All topics.
pub const TOPICS: &str = "/brokers/topics";
/// Its data version generates broker ids.
pub const BROKER_SEQUENCE: &str = "/brokers/seqid";
/// Topics to be deleted.
pub const DELETE_TOPICS: &str = "/admin/delete_topics";
/// Reassignments asked for by the old tool.
pub const REASSIGN_PARTITIONS: &str = "/admin/reassign_partitions";
/// Preferred elections asked for by the old tool.
pub const PREFERRED_ELECTION: &str = "/admin/preferred_replica_election";
/// ISR changes of brokers before AlterIsr.
pub const ISR_CHANGES: &str = "/isr_change_notification";
/// Failed log directories.
pub const LOG_DIR_EVENTS: &str = "/log_dir_event_notification";
/// What topics set for themselves.
pub const CONFIG_TOPICS: &str = "/config/topics";
/// Announcements of changed configs, sequential children.
pub const CONFIG_CHANGES: &str = "/config/changes";
/// The block of producer ids that was handed out last.
pub const PRODUCER_ID_BLOCK: &str = "/latest_producer_id_block";
/// Finalized features.
pub const FEATURE: &str = "/feature";

/// `/brokers/ids/<id>`.
pub fn broker(id: i32) -> String {
    format!("{BROKER_IDS}/{id}")
}

/// `/brokers/topics/<topic>`.
pub fn topic(topic: &str) -> String {
    format!("{TOPICS}/{topic}")
}

/// `/brokers/topics/<topic>/partitions`.
pub fn partitions(topic: &str) -> String {
    format!("{TOPICS}/{topic}/partitions")
}

/// `/brokers/topics/<topic>/partitions/<partition>`.
pub fn partition(topic: &str, partition: i32) -> String {
    format!("{TOPICS}/{topic}/partitions/{partition}")
}

/// `/brokers/topics/<topic>/partitions/<partition>/state`.
pub fn partition_state(topic: &str, partition: i32) -> String {
    format!("{TOPICS}/{topic}/partitions/{partition}/state")
}

/// `/admin/delete_topics/<topic>`.
pub fn delete_topic(topic: &str) -> String {
    format!("{DELETE_TOPICS}/{topic}")
}

/// `/config/<type>/<name>`, with the type in the plural: topics, brokers, clients, users.
pub fn entity_config(entity_type: &str, entity_name: &str) -> String {
    format!("/config/{entity_type}/{entity_name}")
}

/// Prefix of a sequential child of [`CONFIG_CHANGES`].
pub fn config_change_prefix() -> String {
    format!("{CONFIG_CHANGES}/config_change_")
}

/// `/consumers/<group>/offsets/<topic>/<partition>`: offsets of OffsetCommit version 0, decimal text.
pub fn consumer_offset(group: &str, topic: &str, partition: i32) -> String {
    format!("/consumers/{group}/offsets/{topic}/{partition}")
}

/// The paths from the root down to `path`, itself included: what has to be made, in order, if none is there.
pub fn ancestry(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.char_indices().skip(1).filter(|(_, letter)| *letter == '/').map(|(at, _)| at);
    ends.chain(std::iter::once(path.len())).filter_map(|end| path.get(..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestry_goes_down() {
        assert_eq!(ancestry("/a/bc/d").collect::<Vec<_>>(), ["/a", "/a/bc", "/a/bc/d"]);
        assert_eq!(ancestry("/a").collect::<Vec<_>>(), ["/a"]);
    }

    #[test]
    fn paths_are_the_originals() {
        assert_eq!(partition_state("t", 3), "/brokers/topics/t/partitions/3/state");
        assert_eq!(entity_config("topics", "t"), "/config/topics/t");
        assert_eq!(consumer_offset("g", "t", 0), "/consumers/g/offsets/t/0");
    }
}
