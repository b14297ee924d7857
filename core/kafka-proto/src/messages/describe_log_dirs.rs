//! DescribeLogDirs: tells sizes of replicas by log directory (`DescribeLogDirsRequest`, key 35; KIP-113).
//!
//! Versions 0-2, flexible from 2.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeLogDirsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = DescribeLogDirs)]
pub struct Request {
    /// Topics to describe; null for all.
    pub topics: Option<Vec<RequestTopic>>,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub topic: Str,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// `DescribeLogDirsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// The log directories.
    pub results: Vec<Outcome>,
}

/// One element of [`Response::results`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Absolute path of the log directory.
    pub log_dir: Str,
    /// The topics.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`Outcome::topics`].
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
    /// Size of the log's segments in bytes.
    pub partition_size: i64,
    /// How far the replica is behind the high watermark, or the future copy behind the current, in records.
    pub offset_lag: i64,
    /// Whether this is the copy that `AlterReplicaLogDirs` is building.
    pub is_future_key: bool,
}
