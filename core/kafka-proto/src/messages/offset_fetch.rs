//! OffsetFetch: looks up a group's offsets (`OffsetFetchRequest`, key 9).
//!
//! Versions 0-7, flexible from 6.
//!
//! - version 0: from ZooKeeper.
//! - version 2: null asks for all (KIP-88), an error for the whole.
//! - version 3: throttle time.
//! - version 5: leader epoch (KIP-320).
//! - version 7: refuses offsets that a transaction is changing (KIP-447).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `OffsetFetchRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-7", flexible = "6+", api = OffsetFetch)]
pub struct Request {
    /// Id of the group.
    pub group_id: Str,
    /// Partitions to look up; null for all of the group.
    #[wire(nullable = "2+")]
    pub topics: Option<Vec<RequestTopic>>,
    /// Whether offsets that a transaction is about to change are an error (KIP-447).
    #[wire(versions = "7+")]
    pub require_stable: bool,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// `OffsetFetchResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-7", flexible = "6+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<ResponseTopic>,
    /// What went wrong, or [`ErrorCode::NONE`].
    #[wire(versions = "2+", ignorable)]
    pub error_code: ErrorCode,
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
    /// Offset of the next record to read; -1 if none was committed.
    pub committed_offset: i64,
    /// Leader epoch of the last record that was read; -1 if unknown.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// Whatever the client kept with the offset.
    pub metadata: Option<Str>,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
