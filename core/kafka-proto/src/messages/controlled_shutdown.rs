//! ControlledShutdown: a broker asks the controller to move its leaderships away (`ControlledShutdownRequest`, key
//! 7).
//!
//! Versions 0-3, flexible from 3.
//!
//! - version 0: its header has no client id.
//! - version 2: broker epoch (KIP-380).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `ControlledShutdownRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+", api = ControlledShutdown)]
pub struct Request {
    /// Id of the broker that wants to stop.
    pub broker_id: i32,
    /// The czxid of the broker's registration as the sender knows it; -1 if unknown.
    #[wire(versions = "2+", default = -1, ignorable)]
    pub broker_epoch: i64,
}

/// `ControlledShutdownResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Partitions that the broker still leads.
    pub remaining_partitions: Vec<RemainingPartition>,
}

/// One element of [`Response::remaining_partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RemainingPartition {
    /// Name of the topic.
    pub topic_name: Str,
    /// Index of the partition.
    pub partition_index: i32,
}
