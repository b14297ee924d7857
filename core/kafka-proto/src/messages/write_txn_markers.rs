//! WriteTxnMarkers: a transaction coordinator tells leaders to write commit or abort markers
//! (`WriteTxnMarkersRequest`, key 27; KIP-98).
//!
//! Version 0, none flexible.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `WriteTxnMarkersRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", api = WriteTxnMarkers)]
pub struct Request {
    /// Transaction ends, by producer.
    pub markers: Vec<RequestMarker>,
}

/// One element of [`Request::markers`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestMarker {
    /// Id of the producer; -1 if there is none.
    pub producer_id: i64,
    /// Epoch of the producer id; -1 if there is none.
    pub producer_epoch: i16,
    /// Whether the transaction committed; it aborted otherwise.
    pub transaction_result: bool,
    /// Partitions that get the marker.
    pub topics: Vec<RequestTopic>,
    /// Epoch of the transaction coordinator that speaks.
    pub coordinator_epoch: i32,
}

/// One element of [`RequestMarker::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
    /// Indexes of the partitions.
    pub partition_indexes: Vec<i32>,
}

/// `WriteTxnMarkersResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0")]
pub struct Response {
    /// Transaction ends, by producer.
    pub markers: Vec<ResponseMarker>,
}

/// One element of [`Response::markers`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseMarker {
    /// Id of the producer; -1 if there is none.
    pub producer_id: i64,
    /// The topics.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`ResponseMarker::topics`].
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
