//! AlterIsr: a leader asks the controller to change the in-sync replicas (`AlterIsrRequest`, key 56; KIP-497).
//!
//! Version 0, flexible from 0.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `AlterIsrRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = AlterIsr)]
pub struct Request {
    /// Id of the broker that leads the partitions.
    pub broker_id: i32,
    /// The czxid of the broker's registration as the sender knows it; -1 if unknown.
    #[wire(default = -1)]
    pub broker_epoch: i64,
    /// The topics.
    pub topics: Vec<RequestTopic>,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// The partitions.
    pub partitions: Vec<RequestPartition>,
}

/// One element of [`RequestTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestPartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    pub leader_epoch: i32,
    /// Ids of the in-sync replicas that the leader proposes.
    pub new_isr: Vec<i32>,
    /// Version of the partition's state znode.
    pub current_isr_version: i32,
}

/// `AlterIsrResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The topics.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`Response::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseTopic {
    /// Name of the topic.
    pub name: Str,
    /// The partitions.
    pub partitions: Vec<ResponsePartition>,
}

/// One element of [`ResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponsePartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Broker id of the leader; -1 if there is none.
    pub leader_id: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    pub leader_epoch: i32,
    /// Ids of the in-sync replicas.
    pub isr: Vec<i32>,
    /// Version of the partition's state znode.
    pub current_isr_version: i32,
}
