//! CreateAcls: adds access control entries (`CreateAclsRequest`, key 30; KIP-140).
//!
//! Versions 0-2, flexible from 2.
//!
//! - version 1: pattern types (KIP-290).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `CreateAclsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = CreateAcls)]
pub struct Request {
    /// Entries to add.
    pub creations: Vec<Creation>,
}

/// One element of [`Request::creations`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Creation {
    /// Type of the resource: 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
    /// How the name is meant: 3 literal, 4 prefix.
    #[wire(versions = "1+", default = 3)]
    pub resource_pattern_type: i8,
    /// Principal as `User:name`.
    pub principal: Str,
    /// Name or address of the host.
    pub host: Str,
    /// Operation: 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10 describe
    /// configs, 11 alter configs, 12 idempotent write.
    pub operation: i8,
    /// 2 denies, 3 allows.
    pub permission_type: i8,
}

/// `CreateAclsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each entry, in the order of the request.
    pub results: Vec<Outcome>,
}

/// One element of [`Response::results`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
}
