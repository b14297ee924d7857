//! SyncGroup: the leader hands in the assignments, each member gets its own (`SyncGroupRequest`, key 14).
//!
//! Versions 0-5, flexible from 4.
//!
//! - version 1: throttle time.
//! - version 3: static members (KIP-345).
//! - version 5: protocol type and name are checked (KIP-559).

use base::Str;
use bytes::Bytes;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `SyncGroupRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5", flexible = "4+", api = SyncGroup)]
pub struct Request {
    /// Id of the group.
    pub group_id: Str,
    /// Generation of the group that the member knows; -1 outside of one.
    pub generation_id: i32,
    /// Id that the coordinator gave the member; empty before.
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    #[wire(versions = "3+")]
    pub group_instance_id: Option<Str>,
    /// Class of the group's protocols; `consumer` for consumers.
    #[wire(versions = "5+", ignorable)]
    pub protocol_type: Option<Str>,
    /// Name of the chosen protocol, or null.
    #[wire(versions = "5+", ignorable)]
    pub protocol_name: Option<Str>,
    /// What each member shall do, sent by the leader alone.
    pub assignments: Vec<Assignment>,
}

/// One element of [`Request::assignments`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Assignment {
    /// Id that the coordinator gave the member; empty before.
    pub member_id: Str,
    /// What the group's leader assigned to this member, in the form of the embedded protocol.
    pub assignment: Bytes,
}

/// `SyncGroupResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-5", flexible = "4+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Class of the group's protocols; `consumer` for consumers.
    #[wire(versions = "5+", ignorable)]
    pub protocol_type: Option<Str>,
    /// Name of the chosen protocol, or null.
    #[wire(versions = "5+", ignorable)]
    pub protocol_name: Option<Str>,
    /// What the group's leader assigned to this member, in the form of the embedded protocol.
    pub assignment: Bytes,
}
