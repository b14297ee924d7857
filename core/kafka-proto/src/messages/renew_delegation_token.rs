//! RenewDelegationToken: prolongs a token (`RenewDelegationTokenRequest`, key 39; KIP-48).
//!
//! Versions 0-2, flexible from 2.

use bytes::Bytes;
use wire_derive::Message;

use crate::ErrorCode;

/// `RenewDelegationTokenRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = RenewDelegationToken)]
pub struct Request {
    /// The token's secret.
    pub hmac: Bytes,
    /// New lifetime in milliseconds from now; -1 for the broker's default.
    pub renew_period_ms: i64,
}

/// `RenewDelegationTokenResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// When the token expires, in milliseconds since 1970.
    pub expiry_timestamp_ms: i64,
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
}
