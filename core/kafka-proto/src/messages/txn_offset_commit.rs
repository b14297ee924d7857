//! TxnOffsetCommit: keeps offsets with a transaction (`TxnOffsetCommitRequest`, key 28; KIP-98).
//!
//! Versions 0-3, flexible from 3.
//!
//! - version 2: leader epoch (KIP-320).
//! - version 3: member and generation are fenced (KIP-447).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `TxnOffsetCommitRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+", api = TxnOffsetCommit)]
pub struct Request {
    /// Name of the transactional producer.
    pub transactional_id: Str,
    /// Id of the group.
    pub group_id: Str,
    /// Id of the producer; -1 if there is none.
    pub producer_id: i64,
    /// Epoch of the producer id; -1 if there is none.
    pub producer_epoch: i16,
    /// Generation of the group that the member knows; -1 outside of one.
    #[wire(versions = "3+", default = -1)]
    pub generation_id: i32,
    /// Id that the coordinator gave the member; empty before.
    #[wire(versions = "3+")]
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    #[wire(versions = "3+")]
    pub group_instance_id: Option<Str>,
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
    #[wire(versions = "2+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// Whatever the client keeps with the offset.
    pub committed_metadata: Option<Str>,
}

/// `TxnOffsetCommitResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+")]
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
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
