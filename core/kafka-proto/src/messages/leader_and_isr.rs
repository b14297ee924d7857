//! LeaderAndIsr: the controller tells a broker which partitions it leads or follows (`LeaderAndIsrRequest`, key 4).
//!
//! Versions 0-4, flexible from 4.
//!
//! - version 1: whether a replica is new.
//! - version 2: broker epoch (KIP-380), grouped by topic.
//! - version 3: replicas of a reassignment (KIP-455).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `LeaderAndIsrRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "4+", api = LeaderAndIsr)]
pub struct Request {
    /// Broker id of the controller; -1 if there is none.
    pub controller_id: i32,
    /// Epoch of the controller that speaks.
    pub controller_epoch: i32,
    /// The czxid of the broker's registration as the sender knows it; -1 if unknown.
    #[wire(versions = "2+", default = -1, ignorable)]
    pub broker_epoch: i64,
    /// State of each partition, in versions that repeat the topic's name.
    #[wire(versions = "0-1")]
    pub ungrouped_partition_states: Vec<PartitionState>,
    /// State of each topic's partitions.
    #[wire(versions = "2+")]
    pub topic_states: Vec<TopicState>,
    /// Where to reach the leaders that followers must fetch from.
    pub live_leaders: Vec<LiveLeader>,
}

/// One element of [`Request::ungrouped_partition_states`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PartitionState {
    /// Name of the topic.
    #[wire(versions = "0-1", ignorable)]
    pub topic_name: Str,
    /// Index of the partition.
    pub partition_index: i32,
    /// Epoch of the controller that speaks.
    pub controller_epoch: i32,
    /// Id of the leader.
    pub leader: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    pub leader_epoch: i32,
    /// Ids of the in-sync replicas.
    pub isr: Vec<i32>,
    /// Version of the partition's state znode.
    pub zk_version: i32,
    /// Ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Replicas that a reassignment is adding.
    #[wire(versions = "3+", ignorable)]
    pub adding_replicas: Vec<i32>,
    /// Replicas that a reassignment is removing.
    #[wire(versions = "3+", ignorable)]
    pub removing_replicas: Vec<i32>,
    /// Whether the replica may be created; a broker reports a lost log directory otherwise.
    #[wire(versions = "1+", ignorable)]
    pub is_new: bool,
}

/// One element of [`Request::topic_states`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct TopicState {
    /// Name of the topic.
    pub topic_name: Str,
    /// State of each partition.
    pub partition_states: Vec<PartitionState>,
}

/// One element of [`Request::live_leaders`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct LiveLeader {
    /// Id of the broker.
    pub broker_id: i32,
    /// Name or address of the host.
    pub host_name: Str,
    /// TCP port.
    pub port: i32,
}

/// `LeaderAndIsrResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "4+")]
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
