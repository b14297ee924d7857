//! ListOffset: finds offsets by timestamp (`ListOffsetRequest`, key 2).
//!
//! Versions 0-5, none flexible.
//!
//! - version 0: lists segment starts.
//! - version 1: one offset and its timestamp (KIP-79).
//! - version 2: isolation level (KIP-98), throttle time.
//! - version 4: leader epoch (KIP-320).
//! - version 5: may answer OFFSET_NOT_AVAILABLE (KIP-207).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `ListOffsetRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5", api = ListOffset)]
pub struct Request {
    /// Broker id of the follower that asks; -1 for a consumer, -2 for debugging.
    pub replica_id: i32,
    /// 0 reads all below the high watermark, 1 only what was committed (KIP-98).
    #[wire(versions = "2+")]
    pub isolation_level: i8,
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
    /// Leader epoch that the client knows; -1 skips the check (KIP-320).
    #[wire(versions = "4+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// First record not older is wanted, in milliseconds since 1970; -1 for the end, -2 for the start.
    pub timestamp: i64,
    /// How many segment starts to list, in version 0.
    #[wire(versions = "0", default = 1)]
    pub max_num_offsets: i32,
}

/// `ListOffsetResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "2+", ignorable)]
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
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Starts of segments in descending order, in version 0.
    #[wire(versions = "0")]
    pub old_style_offsets: Vec<i64>,
    /// Timestamp of the record found; -1 if none.
    #[wire(versions = "1+", default = -1)]
    pub timestamp: i64,
    /// Offset of the record found; -1 if none.
    #[wire(versions = "1+", default = -1)]
    pub offset: i64,
    /// Epoch of the partition's leader; -1 if unknown.
    #[wire(versions = "4+", default = -1)]
    pub leader_epoch: i32,
}
