//! IncrementalAlterConfigs: changes single configuration values (`IncrementalAlterConfigsRequest`, key 44;
//! KIP-339).
//!
//! Versions 0-1, flexible from 1.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `IncrementalAlterConfigsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1", flexible = "1+", api = IncrementalAlterConfigs)]
pub struct Request {
    /// The resources.
    pub resources: Vec<Resource>,
    /// Whether to check alone and change nothing.
    pub validate_only: bool,
}

/// One element of [`Request::resources`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Resource {
    /// Type of the resource: 2 topic, 4 broker, 8 broker logger.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
    /// Changes of single keys.
    pub configs: Vec<Config>,
}

/// One element of [`Resource::configs`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Config {
    /// Name of the key.
    pub name: Str,
    /// 0 sets, 1 deletes, 2 appends to a list, 3 takes from a list (KIP-339).
    pub config_operation: i8,
    /// Value of the operation; null to delete.
    pub value: Option<Str>,
}

/// `IncrementalAlterConfigsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-1", flexible = "1+")]
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
    /// Type of the resource: 2 topic, 4 broker, 8 broker logger.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
}
