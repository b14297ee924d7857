//! CreateTopics: creates topics (`CreateTopicsRequest`, key 19).
//!
//! Versions 0-6, flexible from 5.
//!
//! - version 1: validation only, error text.
//! - version 2: throttle time.
//! - version 4: -1 for the broker's default counts (KIP-464).
//! - version 5: the answer tells counts and configs (KIP-525).
//! - version 6: may answer THROTTLING_QUOTA_EXCEEDED (KIP-599).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `CreateTopicsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-6", flexible = "5+", api = CreateTopics)]
pub struct Request {
    /// Topics to create.
    pub topics: Vec<RequestTopic>,
    /// How long to wait for the outcome, in milliseconds.
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
    /// Whether to check alone and change nothing.
    #[wire(versions = "1+")]
    pub validate_only: bool,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// How many partitions; -1 with assignments, or (from version 4) for the broker's default.
    pub num_partitions: i32,
    /// How many replicas each partition shall have; -1 with assignments, or (from version 4) for the broker's
    /// default.
    pub replication_factor: i16,
    /// Which brokers shall hold which partition; empty to let the controller choose.
    pub assignments: Vec<Assignment>,
    /// Settings of the topic.
    pub configs: Vec<RequestConfig>,
}

/// One element of [`RequestTopic::assignments`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Assignment {
    /// Index of the partition.
    pub partition_index: i32,
    /// Brokers that shall hold the partition, the preferred leader first.
    pub broker_ids: Vec<i32>,
}

/// One element of [`RequestTopic::configs`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestConfig {
    /// Name of the key.
    pub name: Str,
    /// Value of the key, or null.
    pub value: Option<Str>,
}

/// `CreateTopicsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-6", flexible = "5+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    /// Outcome of each topic.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`Response::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseTopic {
    /// Name of the topic.
    pub name: Str,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    #[wire(versions = "1+", ignorable)]
    pub error_message: Option<Str>,
    /// Why the topic's configs can't be told, or [`ErrorCode::NONE`].
    #[wire(versions = "5+", ignorable, tag = 0)]
    pub topic_config_error_code: ErrorCode,
    /// How many partitions the topic has; -1 if the caller may not know.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub num_partitions: i32,
    /// How many replicas each partition has; -1 if the caller may not know.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub replication_factor: i16,
    /// Settings in force; null if the caller may not know.
    #[wire(versions = "5+", ignorable)]
    pub configs: Option<Vec<ResponseConfig>>,
}

/// One element of [`ResponseTopic::configs`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseConfig {
    /// Name of the key.
    pub name: Str,
    /// Value of the key; null for none.
    pub value: Option<Str>,
    /// Whether the value can't be changed while the broker runs.
    pub read_only: bool,
    /// Where the value comes from, as in `DescribeConfigs`; -1 unknown.
    #[wire(default = -1)]
    pub config_source: i8,
    /// Whether the value is a secret, and withheld.
    pub is_sensitive: bool,
}
