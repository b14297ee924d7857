//! Vote: a candidate asks for votes (`VoteRequest`, key 52; KIP-595). Known to 2.7.1 and not served by it.
//!
//! Version 0, flexible from 0.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `VoteRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = Vote)]
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
    /// Epoch in which the candidate stands.
    pub candidate_epoch: i32,
    /// Id of the candidate.
    pub candidate_id: i32,
    /// Epoch of the last record in the candidate's log.
    pub last_offset_epoch: i32,
    /// End offset of the candidate's log.
    pub last_offset: i64,
}

/// `VoteResponse`.
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
    /// Whether the voter gave its vote.
    pub vote_granted: bool,
}
