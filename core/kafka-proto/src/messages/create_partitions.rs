//! CreatePartitions: adds partitions to topics (`CreatePartitionsRequest`, key 37; KIP-195).
//!
//! Versions 0-3, flexible from 2.
//!
//! - version 3: may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `CreatePartitionsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "2+", api = CreatePartitions)]
pub struct Request {
    /// Topics that shall grow.
    pub topics: Vec<RequestTopic>,
    /// How long to wait for the outcome, in milliseconds.
    pub timeout_ms: i32,
    /// Whether to check alone and change nothing.
    pub validate_only: bool,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// How many partitions there shall be in all.
    pub count: i32,
    /// Brokers of each new partition; null to let the controller choose.
    pub assignments: Option<Vec<Assignment>>,
}

/// One element of [`RequestTopic::assignments`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Assignment {
    /// Brokers that shall hold the partition, the preferred leader first.
    pub broker_ids: Vec<i32>,
}

/// `CreatePartitionsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each topic.
    pub results: Vec<Outcome>,
}

/// One element of [`Response::results`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// Name of the topic.
    pub name: Str,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
}
