//! ListPartitionReassignments: lists reassignments under way (`ListPartitionReassignmentsRequest`, key 46;
//! KIP-455).
//!
//! Version 0, flexible from 0.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `ListPartitionReassignmentsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = ListPartitionReassignments)]
pub struct Request {
    /// How long to wait for the outcome, in milliseconds.
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
    /// Partitions to list; null for all that are being reassigned.
    pub topics: Option<Vec<RequestTopic>>,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// `ListPartitionReassignmentsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
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
    /// Ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Replicas that a reassignment is adding.
    pub adding_replicas: Vec<i32>,
    /// Replicas that a reassignment is removing.
    pub removing_replicas: Vec<i32>,
}
