//! ListGroups: lists the groups that the broker coordinates (`ListGroupsRequest`, key 16).
//!
//! Versions 0-4, flexible from 3.
//!
//! - version 1: throttle time.
//! - version 4: filter by state (KIP-518).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `ListGroupsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "3+", api = ListGroups)]
pub struct Request {
    /// States that a group must be in to be listed; empty for all (KIP-518).
    #[wire(versions = "4+")]
    pub states_filter: Vec<Str>,
}

/// `ListGroupsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "3+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The groups.
    pub groups: Vec<Group>,
}

/// One element of [`Response::groups`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Group {
    /// Id of the group.
    pub group_id: Str,
    /// Class of the group's protocols; `consumer` for consumers.
    pub protocol_type: Str,
    /// `PreparingRebalance`, `CompletingRebalance`, `Stable`, `Dead` or `Empty`; empty if unknown.
    #[wire(versions = "4+", ignorable)]
    pub group_state: Str,
}
