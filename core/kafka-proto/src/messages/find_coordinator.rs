//! FindCoordinator: names the broker that coordinates a group or a transactional id (`FindCoordinatorRequest`, key
//! 10).
//!
//! Versions 0-3, flexible from 3.
//!
//! - version 1: transactional ids (KIP-98), throttle time, error text.

use base::Str;
use wire_derive::Message;

use crate::ErrorCode;

/// `FindCoordinatorRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+", api = FindCoordinator)]
pub struct Request {
    /// Id of the group, or the transactional id.
    pub key: Str,
    /// 0 for a group, 1 for a transactional id.
    #[wire(versions = "1+")]
    pub key_type: i8,
}

/// `FindCoordinatorResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    #[wire(versions = "1+", ignorable)]
    pub error_message: Option<Str>,
    /// Id of the coordinator; -1 if there is none.
    pub node_id: i32,
    /// Name or address of the host.
    pub host: Str,
    /// TCP port.
    pub port: i32,
}
