//! DescribeGroups: tells state and members of groups (`DescribeGroupsRequest`, key 15).
//!
//! Versions 0-5, flexible from 5.
//!
//! - version 1: throttle time.
//! - version 3: authorized operations (KIP-430).
//! - version 4: static members (KIP-345).

use base::Str;
use bytes::Bytes;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeGroupsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5", flexible = "5+", api = DescribeGroups)]
pub struct Request {
    /// Ids of the groups.
    pub groups: Vec<Str>,
    /// Whether to tell what the caller may do on the groups.
    #[wire(versions = "3+")]
    pub include_authorized_operations: bool,
}

/// `DescribeGroupsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5", flexible = "5+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// The groups.
    pub groups: Vec<Group>,
}

/// One element of [`Response::groups`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Group {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Id of the group.
    pub group_id: Str,
    /// `PreparingRebalance`, `CompletingRebalance`, `Stable`, `Dead` or `Empty`; empty if unknown.
    pub group_state: Str,
    /// Class of the group's protocols; `consumer` for consumers.
    pub protocol_type: Str,
    /// Name of the chosen protocol; empty before one is chosen.
    pub protocol_data: Str,
    /// Members of the group.
    pub members: Vec<Member>,
    /// Bits of the operations that the caller may do on the group; `i32::MIN` if not asked for.
    #[wire(versions = "3+", default = i32::MIN)]
    pub authorized_operations: i32,
}

/// One element of [`Group::members`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Member {
    /// Id that the coordinator gave the member; empty before.
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    #[wire(versions = "4+", ignorable)]
    pub group_instance_id: Option<Str>,
    /// How the client calls itself, or null.
    pub client_id: Str,
    /// Where the member's connection comes from, as `/address`.
    pub client_host: Str,
    /// What the member said of itself for the chosen protocol.
    pub member_metadata: Bytes,
    /// What the member was assigned, in the form of the embedded protocol.
    pub member_assignment: Bytes,
}
