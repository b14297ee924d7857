//! UpdateFeatures: finalizes feature levels (`UpdateFeaturesRequest`, key 57; KIP-584).
//!
//! Version 0, flexible from 0.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `UpdateFeaturesRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = UpdateFeatures)]
pub struct Request {
    /// How long to wait for the outcome, in milliseconds.
    #[wire(default = 60_000)]
    pub timeout_ms: i32,
    /// Features to finalize.
    pub feature_updates: Vec<FeatureUpdate>,
}

/// One element of [`Request::feature_updates`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct FeatureUpdate {
    /// Name of the feature.
    pub feature: Str,
    /// Level to finalize; below 1 deletes the feature.
    pub max_version_level: i16,
    /// Whether the finalized level may go down.
    pub allow_downgrade: bool,
}

/// `UpdateFeaturesResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// Outcome of each feature.
    pub results: Vec<Outcome>,
}

/// One element of [`Response::results`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// Name of the feature.
    pub feature: Str,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
}
