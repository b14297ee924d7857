//! AlterConfigs: replaces a resource's whole configuration (`AlterConfigsRequest`, key 33; KIP-133).
//!
//! Versions 0-1, none flexible.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `AlterConfigsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1", api = AlterConfigs)]
pub struct Request {
    /// The resources.
    pub resources: Vec<Resource>,
    /// Whether to check alone and change nothing.
    pub validate_only: bool,
}

/// One element of [`Request::resources`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Resource {
    /// Type of the resource: 2 topic, 4 broker.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
    /// All settings that the resource shall have; others fall back to their defaults.
    pub configs: Vec<Config>,
}

/// One element of [`Resource::configs`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Config {
    /// Name of the key.
    pub name: Str,
    /// New value; null for the default.
    pub value: Option<Str>,
}

/// `AlterConfigsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each resource.
    pub responses: Vec<Outcome>,
}

/// One element of [`Response::responses`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// Type of the resource: 2 topic, 4 broker.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
}
