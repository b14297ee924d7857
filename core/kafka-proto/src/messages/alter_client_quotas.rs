//! AlterClientQuotas: changes client quotas (`AlterClientQuotasRequest`, key 49; KIP-546).
//!
//! Version 0, none flexible.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `AlterClientQuotasRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", api = AlterClientQuotas)]
pub struct Request {
    /// Quotas to change, by entity.
    pub entries: Vec<RequestEntry>,
    /// Whether to check alone and change nothing.
    pub validate_only: bool,
}

/// One element of [`Request::entries`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestEntry {
    /// What the quota is for: a user, a client id, or both.
    pub entity: Vec<RequestEntityPart>,
    /// Changes to the quotas.
    pub ops: Vec<Operation>,
}

/// One element of [`RequestEntry::entity`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestEntityPart {
    /// `user`, `client-id` or `ip`.
    pub entity_type: Str,
    /// Name of the user or client id; null for the default.
    pub entity_name: Option<Str>,
}

/// One element of [`RequestEntry::ops`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Operation {
    /// Name of the quota.
    pub key: Str,
    /// New value of the quota.
    pub value: f64,
    /// Whether the quota goes away instead.
    pub remove: bool,
}

/// `AlterClientQuotasResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each entity.
    pub entries: Vec<ResponseEntry>,
}

/// One element of [`Response::entries`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseEntry {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// What the quota is for: a user, a client id, or both.
    pub entity: Vec<ResponseEntityPart>,
}

/// One element of [`ResponseEntry::entity`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseEntityPart {
    /// `user`, `client-id` or `ip`.
    pub entity_type: Str,
    /// Name of the user or client id; null for the default.
    pub entity_name: Option<Str>,
}
