//! DescribeDelegationToken: lists tokens (`DescribeDelegationTokenRequest`, key 41; KIP-48).
//!
//! Versions 0-2, flexible from 2.

use base::Str;
use bytes::Bytes;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeDelegationTokenRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = DescribeDelegationToken)]
pub struct Request {
    /// Whose tokens to list; null for all.
    pub owners: Option<Vec<Owner>>,
}

/// One element of [`Request::owners`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Owner {
    /// Type of the principal, as `User`.
    pub principal_type: Str,
    /// Name of the principal.
    pub principal_name: Str,
}

/// `DescribeDelegationTokenResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
}

/// One element of [`Response::tokens`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Token {
    /// Type of the principal, as `User`.
    pub principal_type: Str,
    /// Name of the principal.
    pub principal_name: Str,
    /// When the token was issued, in milliseconds since 1970.
    pub issue_timestamp: i64,
    /// When the token expires, in milliseconds since 1970.
    pub expiry_timestamp: i64,
    /// When the token can't be renewed any more, in milliseconds since 1970.
    pub max_timestamp: i64,
    /// Id of the token.
    pub token_id: Str,
    /// The token's secret.
    pub hmac: Bytes,
    /// Who else may renew the token.
    pub renewers: Vec<Renewer>,
}

/// One element of [`Token::renewers`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Renewer {
    /// Type of the principal, as `User`.
    pub principal_type: Str,
    /// Name of the principal.
    pub principal_name: Str,
}
