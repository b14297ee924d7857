//! DeleteRecords: advances the start of partitions (`DeleteRecordsRequest`, key 21; KIP-107).
//!
//! Versions 0-2, flexible from 2.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DeleteRecordsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = DeleteRecords)]
pub struct Request {
    /// The topics.
    pub topics: Vec<RequestTopic>,
    /// How long to wait for the outcome, in milliseconds.
    pub timeout_ms: i32,
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
    /// Records below go; -1 for all below the high watermark.
    pub offset: i64,
}

/// `DeleteRecordsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
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
    /// First offset that is left on all replicas; -1 on an error.
    pub low_watermark: i64,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
