//! AlterReplicaLogDirs: moves replicas to other log directories of a broker (`AlterReplicaLogDirsRequest`, key 34;
//! KIP-113).
//!
//! Versions 0-1, none flexible.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `AlterReplicaLogDirsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1", api = AlterReplicaLogDirs)]
pub struct Request {
    /// Target directories.
    pub dirs: Vec<Directory>,
}

/// One element of [`Request::dirs`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Directory {
    /// Absolute path of the directory.
    pub path: Str,
    /// Partitions to move there.
    pub topics: Vec<RequestTopic>,
}

/// One element of [`Directory::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// Indexes of the partitions.
    pub partitions: Vec<i32>,
}

/// `AlterReplicaLogDirsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome by topic.
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
}
