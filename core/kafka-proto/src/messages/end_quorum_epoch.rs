//! EndQuorumEpoch: a leader steps down (`EndQuorumEpochRequest`, key 54; KIP-595). Known to 2.7.1 and not served by
//! it.
//!
//! Version 0, none flexible.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `EndQuorumEpochRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", api = EndQuorumEpoch)]
pub struct Request {
    /// Id of the cluster, or null if unknown.
    pub cluster_id: Option<Str>,
    /// The topics.
    pub topics: Vec<RequestTopic>,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub topic_name: Str,
    /// The partitions.
    pub partitions: Vec<RequestPartition>,
}

/// One element of [`RequestTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestPartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// Id of the leader that steps down.
    pub replica_id: i32,
    /// Broker id of the leader; -1 if there is none.
    pub leader_id: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    pub leader_epoch: i32,
    /// Ids of the voters that should stand, best first.
    pub preferred_successors: Vec<i32>,
}

/// `EndQuorumEpochResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The topics.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`Response::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseTopic {
    /// Name of the topic.
    pub topic_name: Str,
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
}
