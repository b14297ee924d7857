//! OffsetCommit: keeps a group's offsets (`OffsetCommitRequest`, key 8).
//!
//! Versions 0-8, flexible from 8.
//!
//! - version 0: kept in ZooKeeper.
//! - version 1: generation, member and commit time.
//! - version 2: retention time in place of the commit time.
//! - version 3: throttle time.
//! - version 5: no retention time (KIP-211).
//! - version 6: leader epoch (KIP-320).
//! - version 7: static members (KIP-345).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `OffsetCommitRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-8", flexible = "8+", api = OffsetCommit)]
pub struct Request {
    /// Id of the group.
    pub group_id: Str,
    /// Generation of the group; -1 for a commit outside of group management.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub generation_id: i32,
    /// Id that the coordinator gave the member; empty before.
    #[wire(versions = "1+", ignorable)]
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    #[wire(versions = "7+")]
    pub group_instance_id: Option<Str>,
    /// How long to keep the offsets, in milliseconds; -1 for the broker's setting.
    #[wire(versions = "2-4", default = -1, ignorable)]
    pub retention_time_ms: i64,
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
    /// Offset of the next record to read.
    pub committed_offset: i64,
    /// Leader epoch of the last record that was read; -1 if unknown.
    #[wire(versions = "6+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// When the offset was committed, in milliseconds since 1970; -1 for the broker's clock.
    #[wire(versions = "1", default = -1)]
    pub commit_timestamp: i64,
    /// Whatever the client keeps with the offset.
    pub committed_metadata: Option<Str>,
}

/// `OffsetCommitResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-8", flexible = "8+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "3+", ignorable)]
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
}
