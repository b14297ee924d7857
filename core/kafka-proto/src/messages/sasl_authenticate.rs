//! SaslAuthenticate: carries the tokens of a SASL exchange (`SaslAuthenticateRequest`, key 36; KIP-152).
//!
//! Versions 0-2, flexible from 2.
//!
//! - version 1: how long the session lasts (KIP-368).

use base::Str;
use bytes::Bytes;
use wire_derive::Message;

use crate::ErrorCode;

/// `SaslAuthenticateRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = SaslAuthenticate)]
pub struct Request {
    /// A token of the mechanism.
    pub auth_bytes: Bytes,
}

/// `SaslAuthenticateResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// A token of the mechanism.
    pub auth_bytes: Bytes,
    /// Milliseconds after which the client must authenticate again; 0 for never.
    #[wire(versions = "1+", ignorable)]
    pub session_lifetime_ms: i64,
}
