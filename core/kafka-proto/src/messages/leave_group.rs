//! LeaveGroup: takes members out of a group (`LeaveGroupRequest`, key 13).
//!
//! Versions 0-4, flexible from 4.
//!
//! - version 1: throttle time.
//! - version 3: several members at once, static ones too (KIP-345).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `LeaveGroupRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "4+", api = LeaveGroup)]
pub struct Request {
    /// Id of the group.
    pub group_id: Str,
    /// Id of the member that leaves, in versions of one member.
    #[wire(versions = "0-2")]
    pub member_id: Str,
    /// Members that leave.
    #[wire(versions = "3+")]
    pub members: Vec<RequestMember>,
}

/// One element of [`Request::members`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestMember {
    /// Id of the member; empty to name a static member by its instance alone.
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    pub group_instance_id: Option<Str>,
}

/// `LeaveGroupResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "4+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Outcome of each member.
    #[wire(versions = "3+")]
    pub members: Vec<ResponseMember>,
}

/// One element of [`Response::members`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseMember {
    /// Id that the coordinator gave the member; empty before.
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    pub group_instance_id: Option<Str>,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
