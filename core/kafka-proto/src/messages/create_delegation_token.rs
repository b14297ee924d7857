//! CreateDelegationToken: issues a token (`CreateDelegationTokenRequest`, key 38; KIP-48).
//!
//! Versions 0-2, flexible from 2.

use base::Str;
use bytes::Bytes;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `CreateDelegationTokenRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = CreateDelegationToken)]
pub struct Request {
    /// Who else may renew the token.
    pub renewers: Vec<Renewer>,
    /// Longest lifetime in milliseconds; -1 for the broker's.
    pub max_lifetime_ms: i64,
}

/// One element of [`Request::renewers`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Renewer {
    /// Type of the principal, as `User`.
    pub principal_type: Str,
    /// Name of the principal.
    pub principal_name: Str,
}

/// `CreateDelegationTokenResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Type of the principal, as `User`.
    pub principal_type: Str,
    /// Name of the principal.
    pub principal_name: Str,
    /// When the token was issued, in milliseconds since 1970.
    pub issue_timestamp_ms: i64,
    /// When the token expires, in milliseconds since 1970.
    pub expiry_timestamp_ms: i64,
    /// When the token can't be renewed any more, in milliseconds since 1970.
    pub max_timestamp_ms: i64,
    /// Id of the token.
    pub token_id: Str,
    /// The token's secret.
    pub hmac: Bytes,
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
}
