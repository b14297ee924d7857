//! DeleteGroups: deletes groups without members (`DeleteGroupsRequest`, key 42; KIP-229).
//!
//! Versions 0-2, flexible from 2.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DeleteGroupsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+", api = DeleteGroups)]
pub struct Request {
    /// Ids of the groups to delete.
    pub group_names: Vec<Str>,
}

/// `DeleteGroupsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-2", flexible = "2+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each group.
    pub results: Vec<Outcome>,
}

/// One element of [`Response::results`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// Id of the group.
    pub group_id: Str,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
