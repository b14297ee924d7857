//! OffsetDelete: deletes a group's offsets of topics it is not subscribed to (`OffsetDeleteRequest`, key 47;
//! KIP-496).
//!
//! Version 0, none flexible.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `OffsetDeleteRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", api = OffsetDelete)]
pub struct Request {
    /// Id of the group.
    pub group_id: Str,
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
}

/// `OffsetDeleteResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
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
