//! JoinGroup: a member enters a group or a new generation (`JoinGroupRequest`, key 11).
//!
//! Versions 0-7, flexible from 6.
//!
//! - version 1: rebalance timeout.
//! - version 2: throttle time.
//! - version 4: a member without an id gets one and joins again (KIP-394).
//! - version 5: static members (KIP-345).
//! - version 7: the answer names the protocol type (KIP-559).
//!
//! Answered when the whole group has joined or the rebalance timeout is over.

use base::Str;
use bytes::Bytes;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `JoinGroupRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-7", flexible = "6+", api = JoinGroup)]
pub struct Request {
    /// Id of the group.
    pub group_id: Str,
    /// How long the coordinator waits for a heartbeat, in milliseconds.
    pub session_timeout_ms: i32,
    /// How long a member may take to join again, in milliseconds; -1 for the session timeout.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub rebalance_timeout_ms: i32,
    /// Id that the coordinator gave the member; empty before.
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    #[wire(versions = "5+")]
    pub group_instance_id: Option<Str>,
    /// Class of the group's protocols; `consumer` for consumers.
    pub protocol_type: Str,
    /// Protocols that the member can follow, best first.
    pub protocols: Vec<Protocol>,
}

/// One element of [`Request::protocols`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Protocol {
    /// Name of the protocol, as `range`.
    pub name: Str,
    /// What the member says of itself, in the form of the embedded protocol.
    pub metadata: Bytes,
}

/// `JoinGroupResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-7", flexible = "6+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "2+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Generation of the group that the member knows; -1 outside of one.
    #[wire(default = -1)]
    pub generation_id: i32,
    /// Class of the group's protocols; `consumer` for consumers.
    #[wire(versions = "7+", ignorable)]
    pub protocol_type: Option<Str>,
    /// Name of the chosen protocol; null on an error from version 7 on, empty before.
    #[wire(nullable = "7+")]
    pub protocol_name: Option<Str>,
    /// Member id of the leader.
    pub leader: Str,
    /// Id that the coordinator gave the member; empty before.
    pub member_id: Str,
    /// All members, told to the leader alone.
    pub members: Vec<Member>,
}

/// One element of [`Response::members`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Member {
    /// Id that the coordinator gave the member; empty before.
    pub member_id: Str,
    /// The name that makes a member static (KIP-345), or null.
    #[wire(versions = "5+")]
    pub group_instance_id: Option<Str>,
    /// What the member says of itself, in the form of the embedded protocol.
    pub metadata: Bytes,
}
