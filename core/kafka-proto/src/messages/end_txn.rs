//! EndTxn: commits or aborts a transaction (`EndTxnRequest`, key 26; KIP-98).
//!
//! Versions 0-2, none flexible.
//!
//! - version 2: may answer PRODUCER_FENCED (KIP-588).

use base::Str;
use wire_derive::Message;

use crate::ErrorCode;

/// `EndTxnRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", api = EndTxn)]
pub struct Request {
    /// Name of the transactional producer.
    pub transactional_id: Str,
    /// Id of the producer; -1 if there is none.
    pub producer_id: i64,
    /// Epoch of the producer id; -1 if there is none.
    pub producer_epoch: i16,
    /// Whether the transaction commits; it aborts otherwise.
    pub committed: bool,
}

/// `EndTxnResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
