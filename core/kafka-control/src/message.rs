//! What the controller tells brokers, apart from any protocol version.
//!
//! Upstream: `LeaderAndIsrRequest`, `UpdateMetadataRequest`, `StopReplicaRequest`. A broker on the same process takes them as they
//! are; a link to another broker encodes them at the version its protocol level asks for.

use std::fmt;

use kafka_proto::ErrorCode;

use crate::znode::{BrokerRegistration, LeaderAndIsr, ReplicaAssignment};

/// A topic's partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
}

/// `topic-partition`, as the original's log lines and messages have it.
impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.topic, self.partition)
    }
}

/// A partition's leader, in-sync replicas and replicas, as brokers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// Which partition.
    pub partition: TopicPartition,
    /// Its leader and ISR; the leader is [`LEADER_DURING_DELETE`] for a topic that is being deleted.
    pub leader_and_isr: LeaderAndIsr,
    /// Data version of the state znode, for the leader's own changes.
    pub zk_version: i32,
    /// All replicas.
    pub assignment: ReplicaAssignment,
    /// Replicas whose broker or log directory is gone.
    pub offline: Vec<i32>,
    /// In LeaderAndIsr: the partition was made just now, so a log may be made for it even in a new directory.
    pub is_new: bool,
}

/// Leader of a partition whose in-sync replicas are all offline.
pub const NO_LEADER: i32 = -1;

/// Leader of a partition whose topic is being deleted.
pub const LEADER_DURING_DELETE: i32 = -2;

/// Leader epoch that lets StopReplica delete regardless of the epoch.
pub const EPOCH_DURING_DELETE: i32 = -2;

/// One message to one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerMessage {
    /// The broker it is for.
    pub broker: i32,
    /// Czxid of the broker's registration: an older incarnation refuses the message (STALE_BROKER_EPOCH).
    pub broker_epoch: i64,
    /// Who sends.
    pub controller: i32,
    /// Epoch of the sender's office; a broker refuses an older one (STALE_CONTROLLER_EPOCH).
    pub controller_epoch: i32,
    /// What is said.
    pub body: MessageBody,
}

/// What is said to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageBody {
    /// Become leader or follower of these partitions.
    LeaderAndIsr {
        /// The brokers that lead them and live.
        live_leaders: Vec<BrokerRegistration>,
        /// The partitions.
        partitions: Vec<PartitionState>,
    },
    /// The cluster is now so: all live brokers, and the partitions that changed.
    UpdateMetadata {
        /// All live brokers.
        brokers: Vec<BrokerRegistration>,
        /// Partitions that changed.
        partitions: Vec<PartitionState>,
    },
    /// Stop these replicas.
    StopReplica(Vec<StoppedReplica>),
}

/// A replica to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoppedReplica {
    /// Which partition.
    pub partition: TopicPartition,
    /// The leader epoch as the controller knows it; [`EPOCH_DURING_DELETE`] when its topic goes.
    pub leader_epoch: i32,
    /// Whether its log is deleted too.
    pub delete: bool,
}

/// What a broker answers to a [`BrokerMessage`], as far as the controller acts on it. A message that was refused as a whole has no answer
/// here: whoever refuses knows a newer controller, or is another life of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerAnswer {
    /// To LeaderAndIsr, for each partition. KAFKA_STORAGE_ERROR: its log directory failed.
    LeaderAndIsr(Vec<(TopicPartition, ErrorCode)>),
    /// To StopReplica, for each replica that was to be deleted.
    StopReplica(Vec<(TopicPartition, ErrorCode)>),
}
