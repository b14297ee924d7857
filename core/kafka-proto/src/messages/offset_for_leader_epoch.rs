//! OffsetForLeaderEpoch: tells where a leader epoch ends (`OffsetForLeaderEpochRequest`, key 23; KIP-101).
//!
//! Versions 0-3, none flexible.
//!
//! - version 1: the answer names the epoch found (KIP-279).
//! - version 2: current leader epoch, throttle time (KIP-320).
//! - version 3: the asking replica.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `OffsetForLeaderEpochRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", api = OffsetForLeaderEpoch)]
pub struct Request {
    /// Broker id of the follower that asks; -1 for a consumer, -2 if it does not say.
    #[wire(versions = "3+", default = -2, ignorable)]
    pub replica_id: i32,
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
    #[wire(versions = "2+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// Epoch to look up.
    pub leader_epoch: i32,
}

/// `OffsetForLeaderEpochResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3")]
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
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Index of the partition.
    pub partition_index: i32,
    /// Largest epoch not above the one asked for; -1 if unknown.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub leader_epoch: i32,
    /// First offset that is no more of the epoch; -1 if unknown.
    pub end_offset: i64,
}
