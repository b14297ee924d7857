//! ElectLeaders: elects leaders (`ElectLeadersRequest`, key 43; KIP-183).
//!
//! Versions 0-2, flexible from 2.
//!
//! - version 0: preferred leaders.
//! - version 1: unclean election too, an error for the whole (KIP-460).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `ElectLeadersRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = ElectLeaders)]
pub struct Request {
    /// 0 elects preferred leaders, 1 takes an out-of-sync replica if need be; version 0 means preferred.
    #[wire(versions = "1+")]
    pub election_type: i8,
    /// Partitions to elect leaders for; null for all.
    pub topics: Option<Vec<RequestTopic>>,
    /// How long to wait for the outcome, in milliseconds.
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub topic: Str,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// `ElectLeadersResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    #[wire(versions = "1+")]
    pub error_code: ErrorCode,
    /// Outcome by topic.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`Response::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseTopic {
    /// Name of the topic.
    pub topic: Str,
    /// Outcome of each partition.
    pub partitions: Vec<ResponsePartition>,
}

/// One element of [`ResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponsePartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
}
