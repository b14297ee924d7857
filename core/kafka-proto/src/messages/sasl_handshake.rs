//! SaslHandshake: chooses a SASL mechanism (`SaslHandshakeRequest`, key 17).
//!
//! Versions 0-1, none flexible.
//!
//! - version 0: raw tokens follow, each behind its length.
//! - version 1: tokens travel in SaslAuthenticate (KIP-152).

use base::Str;
use wire_derive::Message;

use crate::ErrorCode;

/// `SaslHandshakeRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1", api = SaslHandshake)]
pub struct Request {
    /// Name of the SASL mechanism.
    pub mechanism: Str,
}

/// `SaslHandshakeResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Mechanisms that the listener offers.
    pub mechanisms: Vec<Str>,
}
