//! AddPartitionsToTxn: registers partitions with a transaction (`AddPartitionsToTxnRequest`, key 24; KIP-98).
//!
//! Versions 0-2, none flexible.
//!
//! - version 2: may answer PRODUCER_FENCED (KIP-588).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `AddPartitionsToTxnRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", api = AddPartitionsToTxn)]
pub struct Request {
    /// Name of the transactional producer.
    pub transactional_id: Str,
    /// Id of the producer; -1 if there is none.
    pub producer_id: i64,
    /// Epoch of the producer id; -1 if there is none.
    pub producer_epoch: i16,
    /// Partitions that the transaction is about to write to.
    pub topics: Vec<RequestTopic>,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// Indexes of the partitions.
    pub partitions: Vec<i32>,
}

/// `AddPartitionsToTxnResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each partition, by topic.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`Response::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseTopic {
    /// Name of the topic.
    pub name: Str,
    /// Outcome of each partition, by topic.
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
