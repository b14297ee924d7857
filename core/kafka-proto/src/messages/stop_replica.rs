//! StopReplica: the controller tells a broker to stop, and maybe delete, replicas (`StopReplicaRequest`, key 5).
//!
//! Versions 0-3, flexible from 2.
//!
//! - version 1: broker epoch (KIP-380), grouped by topic.
//! - version 3: leader epoch and deletion for each partition (KIP-570).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `StopReplicaRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "2+", api = StopReplica)]
pub struct Request {
    /// Broker id of the controller; -1 if there is none.
    pub controller_id: i32,
    /// Epoch of the controller that speaks.
    pub controller_epoch: i32,
    /// The czxid of the broker's registration as the sender knows it; -1 if unknown.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub broker_epoch: i64,
    /// Whether the replicas' logs go too.
    #[wire(versions = "0-2")]
    pub delete_partitions: bool,
    /// The partitions, in the version that repeats the topic's name.
    #[wire(versions = "0")]
    pub ungrouped_partitions: Vec<UngroupedPartition>,
    /// The partitions by topic, in versions 1 and 2.
    #[wire(versions = "1-2")]
    pub topics: Vec<RequestTopic>,
    /// State of each topic's partitions.
    #[wire(versions = "3+")]
    pub topic_states: Vec<TopicState>,
}

/// One element of [`Request::ungrouped_partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct UngroupedPartition {
    /// Name of the topic.
    pub topic_name: Str,
    /// Index of the partition.
    pub partition_index: i32,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// One element of [`Request::topic_states`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct TopicState {
    /// Name of the topic.
    pub topic_name: Str,
    /// State of each partition.
    pub partition_states: Vec<PartitionState>,
}

/// One element of [`TopicState::partition_states`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PartitionState {
    /// Index of the partition.
    pub partition_index: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    #[wire(default = -1)]
    pub leader_epoch: i32,
    /// Whether the replica's log goes too.
    pub delete_partition: bool,
}

/// `StopReplicaResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "2+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Outcome of each partition.
    pub partition_errors: Vec<PartitionError>,
}

/// One element of [`Response::partition_errors`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PartitionError {
    /// Name of the topic.
    pub topic_name: Str,
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
