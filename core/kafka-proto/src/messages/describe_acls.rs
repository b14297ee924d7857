//! DescribeAcls: lists access control entries (`DescribeAclsRequest`, key 29; KIP-140).
//!
//! Versions 0-2, flexible from 2.
//!
//! - version 1: pattern types (KIP-290).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeAclsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = DescribeAcls)]
pub struct Request {
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

/// `DescribeAclsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// The resources.
    pub resources: Vec<Resource>,
}

/// One element of [`Response::resources`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Resource {
    /// Type of the resource: 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
    /// How the name is meant: 3 literal, 4 prefix.
    #[wire(versions = "1+", default = 3)]
    pub pattern_type: i8,
    /// Access control entries of the pattern.
    pub acls: Vec<Acl>,
}

/// One element of [`Resource::acls`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Acl {
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
