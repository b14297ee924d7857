//! InitProducerId: gives a producer its id and epoch (`InitProducerIdRequest`, key 22; KIP-98).
//!
//! Versions 0-4, flexible from 2.
//!
//! - version 3: a producer may continue with a newer epoch (KIP-360).
//! - version 4: may answer PRODUCER_FENCED (KIP-588).

use base::Str;
use wire_derive::Message;

use crate::ErrorCode;

/// `InitProducerIdRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "2+", api = InitProducerId)]
pub struct Request {
    /// Name that lets a producer resume its transactions, or null without.
    pub transactional_id: Option<Str>,
    /// After how long the coordinator aborts an idle transaction, in milliseconds.
    pub transaction_timeout_ms: i32,
    /// Producer id to continue with (KIP-360); -1 for a new one.
    #[wire(versions = "3+", default = -1)]
    pub producer_id: i64,
    /// Epoch to continue from; -1 for a new one.
    #[wire(versions = "3+", default = -1)]
    pub producer_epoch: i16,
}

/// `InitProducerIdResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Id of the producer; -1 if there is none.
    #[wire(default = -1)]
    pub producer_id: i64,
    /// Epoch of the producer id; -1 if there is none.
    pub producer_epoch: i16,
}
