//! Heartbeat: keeps a member in its group (`HeartbeatRequest`, key 12).
//!
//! Versions 0-4, flexible from 4.
//!
//! - version 1: throttle time.
//! - version 3: static members (KIP-345).

use base::Str;
use wire_derive::Message;

use crate::ErrorCode;

/// `HeartbeatRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "4+", api = Heartbeat)]
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
}

/// `HeartbeatResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-4", flexible = "4+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
