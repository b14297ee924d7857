//! DescribeQuorum: tells how far the voters are (`DescribeQuorumRequest`, key 55; KIP-595). Known to 2.7.1 and not
//! served by it.
//!
//! Version 0, flexible from 0.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeQuorumRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = DescribeQuorum)]
pub struct Request {
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
}

/// `DescribeQuorumResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+")]
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
    /// End of what all in-sync replicas have; consumers see no further.
    pub high_watermark: i64,
    /// Voters of the partition and how far they are.
    pub current_voters: Vec<ReplicaState>,
    /// Replicas that don't vote and how far they are.
    pub observers: Vec<ReplicaState>,
}

/// One element of [`ResponsePartition::current_voters`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ReplicaState {
    /// Id of the replica.
    pub replica_id: i32,
    /// Offset of the next record of the replica; -1 if unknown.
    pub log_end_offset: i64,
}
