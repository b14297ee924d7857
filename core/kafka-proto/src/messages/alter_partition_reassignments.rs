//! AlterPartitionReassignments: starts or cancels reassignments (`AlterPartitionReassignmentsRequest`, key 45;
//! KIP-455).
//!
//! Version 0, flexible from 0.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `AlterPartitionReassignmentsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = AlterPartitionReassignments)]
pub struct Request {
    /// How long to wait for the outcome, in milliseconds.
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
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
    /// Ids of the replicas wanted; null cancels the reassignment.
    pub replicas: Option<Vec<i32>>,
}

/// `AlterPartitionReassignmentsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// Outcome by topic.
    pub responses: Vec<Outcome>,
}

/// One element of [`Response::responses`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// Name of the topic.
    pub name: Str,
    /// The partitions.
    pub partitions: Vec<ResponsePartition>,
}

/// One element of [`Outcome::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponsePartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
}
