//! DeleteTopics: deletes topics (`DeleteTopicsRequest`, key 20).
//!
//! Versions 0-5, flexible from 4.
//!
//! - version 1: throttle time.
//! - version 3: may answer TOPIC_DELETION_DISABLED.
//! - version 5: error text, THROTTLING_QUOTA_EXCEEDED (KIP-599).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DeleteTopicsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5", flexible = "4+", api = DeleteTopics)]
pub struct Request {
    /// Names of the topics.
    pub topic_names: Vec<Str>,
    /// How long to wait for the outcome, in milliseconds.
    pub timeout_ms: i32,
}

/// `DeleteTopicsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5", flexible = "4+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// Outcome of each topic.
    pub responses: Vec<Outcome>,
}

/// One element of [`Response::responses`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// Name of the topic.
    pub name: Str,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    #[wire(versions = "5+", ignorable)]
    pub error_message: Option<Str>,
}
