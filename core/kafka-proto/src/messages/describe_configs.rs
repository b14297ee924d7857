//! DescribeConfigs: tells configuration values (`DescribeConfigsRequest`, key 32; KIP-133).
//!
//! Versions 0-3, none flexible.
//!
//! - version 1: sources and synonyms (KIP-226).
//! - version 3: types and documentation (KIP-569).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeConfigsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", api = DescribeConfigs)]
pub struct Request {
    /// The resources.
    pub resources: Vec<Resource>,
    /// Whether to tell where else each value could come from.
    #[wire(versions = "1+")]
    pub include_synonyms: bool,
    /// Whether to tell what the keys mean.
    #[wire(versions = "3+")]
    pub include_documentation: bool,
}

/// One element of [`Request::resources`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Resource {
    /// Type of the resource: 2 topic, 4 broker, 8 broker logger.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: Str,
    /// Keys to describe; null for all.
    pub configuration_keys: Option<Vec<Str>>,
}

/// `DescribeConfigsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// The resources.
    pub results: Vec<Outcome>,
}

/// One element of [`Response::results`].
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
    /// Configuration entries.
    pub configs: Vec<Config>,
}

/// One element of [`Outcome::configs`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Config {
    /// Name of the key.
    pub name: Str,
    /// The value; null if it is a secret.
    pub value: Option<Str>,
    /// Whether the value can't be changed while the broker runs.
    pub read_only: bool,
    /// Whether nobody set the value.
    #[wire(versions = "0")]
    pub is_default: bool,
    /// Where the value comes from: 1 topic, 2 broker, 3 cluster-wide broker default, 4 `server.properties`, 5
    /// built-in default, 6 broker logger; 0 and -1 unknown.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub config_source: i8,
    /// Whether the value is a secret, and withheld.
    pub is_sensitive: bool,
    /// All values that were set for the key, the one in force first.
    #[wire(versions = "1+", ignorable)]
    pub synonyms: Vec<Synonym>,
    /// Type of the value: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password; 0
    /// unknown.
    #[wire(versions = "3+", ignorable)]
    pub config_type: i8,
    /// What the key means; null unless asked for.
    #[wire(versions = "3+", ignorable)]
    pub documentation: Option<Str>,
}

/// One element of [`Config::synonyms`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Synonym {
    /// Name of the key.
    pub name: Str,
    /// The value; null if it is a secret.
    pub value: Option<Str>,
    /// Where the value comes from, as in [`Config::config_source`].
    pub source: i8,
}
