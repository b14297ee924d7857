//! Produce: appends batches to partitions (`ProduceRequest`, key 0).
//!
//! Versions 0-8, none flexible.
//!
//! - version 1: the answer tells the throttle time.
//! - version 2: it tells the log append time, and magic 1 is taken.
//! - version 3: transactional id, batches of magic 2 only (KIP-98).
//! - version 5: it tells the log start offset.
//! - version 7: zstd (KIP-110).
//! - version 8: errors of single records (KIP-467).
//!
//! `acks` 0 has no answer at all: on an error the broker closes the connection.

use base::Str;
use bytes::Bytes;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `ProduceRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-8", api = Produce)]
pub struct Request {
    /// Name that lets a producer resume its transactions, or null without.
    #[wire(versions = "3+")]
    pub transactional_id: Option<Str>,
    /// Who must have the records before the answer: 0 nobody (and no answer), 1 the leader, -1 all in-sync
    /// replicas.
    pub acks: i16,
    /// How long to wait for the in-sync replicas, in milliseconds.
    pub timeout_ms: i32,
    /// Records by topic.
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
    /// One record batch, or message sets of older magic.
    pub records: Option<Bytes>,
}

/// `ProduceResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-8")]
pub struct Response {
    /// Outcome by topic.
    pub topics: Vec<ResponseTopic>,
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
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
    /// Offset that the first record got; -1 on an error.
    pub base_offset: i64,
    /// Timestamp that the broker gave all records; -1 if they keep the producer's.
    #[wire(versions = "2+", default = -1, ignorable)]
    pub log_append_time_ms: i64,
    /// First offset of the log; -1 if unknown.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// Records that made the batch be refused (KIP-467).
    #[wire(versions = "8+", ignorable)]
    pub record_errors: Vec<RecordError>,
    /// The error in words, or null.
    #[wire(versions = "8+", ignorable)]
    pub error_message: Option<Str>,
}

/// One element of [`ResponsePartition::record_errors`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RecordError {
    /// Place of the record in its batch.
    pub batch_index: i32,
    /// Why the record was refused, or null.
    pub error_message: Option<Str>,
}
