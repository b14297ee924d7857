//! DescribeClientQuotas: tells client quotas (`DescribeClientQuotasRequest`, key 48; KIP-546).
//!
//! Version 0, none flexible.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeClientQuotasRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", api = DescribeClientQuotas)]
pub struct Request {
    /// What an entity must have to be listed.
    pub components: Vec<Component>,
    /// Whether an entity with further components is left out.
    pub strict: bool,
}

/// One element of [`Request::components`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Component {
    /// `user`, `client-id` or `ip`.
    pub entity_type: Str,
    /// 0 matches the name exactly, 1 the default entity, 2 any.
    pub match_type: i8,
    /// Name to match, or null.
    pub match_name: Option<Str>,
}

/// `DescribeClientQuotasResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// The quotas; null on an error.
    pub entries: Option<Vec<Entry>>,
}

/// One element of [`Response::entries`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Entry {
    /// What the quota is for: a user, a client id, or both.
    pub entity: Vec<EntityPart>,
    /// Quotas of the entity.
    pub values: Vec<Value>,
}

/// One element of [`Entry::entity`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct EntityPart {
    /// `user`, `client-id` or `ip`.
    pub entity_type: Str,
    /// Name of the user or client id; null for the default.
    pub entity_name: Option<Str>,
}

/// One element of [`Entry::values`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Value {
    /// Name of the quota.
    pub key: Str,
    /// Value of the quota.
    pub value: f64,
}
