//! DeleteAcls: removes access control entries (`DeleteAclsRequest`, key 31; KIP-140).
//!
//! Versions 0-2, flexible from 2.
//!
//! - version 1: pattern types (KIP-290).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DeleteAclsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = DeleteAcls)]
pub struct Request {
    /// Which entries to remove.
    pub filters: Vec<Filter>,
}

/// One element of [`Request::filters`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Filter {
    /// Type to match; 1 for any.
    pub resource_type_filter: i8,
    /// Name to match, or null for any.
    pub resource_name_filter: Option<Str>,
    /// How the name must be meant: 1 any, 2 whatever matches the name, 3 literal, 4 prefix.
    #[wire(versions = "1+", default = 3)]
    pub pattern_type_filter: i8,
    /// Principal to match, or null for any.
    pub principal_filter: Option<Str>,
    /// Host to match, or null for any.
    pub host_filter: Option<Str>,
    /// Operation to match; 1 for any.
    pub operation: i8,
    /// 1 matches both, 2 denials, 3 permissions.
    pub permission_type: i8,
}

/// `DeleteAclsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each filter, in the order of the request.
    pub filter_results: Vec<FilterResult>,
}

/// One element of [`Response::filter_results`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct FilterResult {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// Entries that the filter found.
    pub matching_acls: Vec<MatchingAcl>,
}

/// One element of [`FilterResult::matching_acls`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct MatchingAcl {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// Type of the resource: 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
    /// How the name is meant: 3 literal, 4 prefix.
    #[wire(versions = "1+", default = 3)]
    pub pattern_type: i8,
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
