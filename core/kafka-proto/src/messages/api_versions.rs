//! ApiVersions: tells which versions of which APIs are served (`ApiVersionsRequest`, key 18).
//!
//! Versions 0-3, flexible from 3.
//!
//! - version 1: throttle time.
//! - version 3: the client names itself (KIP-511), features (KIP-584).
//!
//! The response's header is never flexible, so that any client can read it. A version that is not served is
//! answered in the form of version 0 with UNSUPPORTED_VERSION and the versions of this API:
//! [`Response::decode_any`] reads that.

use base::{DecodeError, Reader, Str};
use wire_derive::{Message, Wire};

use crate::{ErrorCode, Message};

/// `ApiVersionsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+", api = ApiVersions)]
pub struct Request {
    /// Name of the client library.
    #[wire(versions = "3+", ignorable)]
    pub client_software_name: Str,
    /// Version of the client library.
    #[wire(versions = "3+", ignorable)]
    pub client_software_version: Str,
}

/// `ApiVersionsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-3", flexible = "3+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// What the broker serves, by key.
    pub api_keys: Vec<ApiVersion>,
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// Feature levels that this broker can do (KIP-584).
    #[wire(versions = "3+", tag = 0)]
    pub supported_features: Vec<SupportedFeature>,
    /// Epoch of the finalized features; -1 if there is none.
    #[wire(versions = "3+", default = -1, ignorable, tag = 1)]
    pub finalized_features_epoch: i64,
    /// Feature levels that hold for the whole cluster (KIP-584).
    #[wire(versions = "3+", tag = 2)]
    pub finalized_features: Vec<FinalizedFeature>,
}

/// One element of [`Response::api_keys`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ApiVersion {
    /// Number of the API.
    pub api_key: i16,
    /// First version served.
    pub min_version: i16,
    /// Last version served.
    pub max_version: i16,
}

/// One element of [`Response::supported_features`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct SupportedFeature {
    /// Name of the feature.
    pub name: Str,
    /// First version served.
    pub min_version: i16,
    /// Last version served.
    pub max_version: i16,
}

/// One element of [`Response::finalized_features`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct FinalizedFeature {
    /// Name of the feature.
    pub name: Str,
    /// Highest level in use.
    pub max_version_level: i16,
    /// Lowest level in use.
    pub min_version_level: i16,
}

impl Response {
    /// Reads the answer to a request of `version`, also from a broker that does not serve it and answers in version 0.
    pub fn decode_any(version: i16, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        Self::decode(version, reader).or_else(|error| {
            *reader = start;
            let answer = Self::decode(0, reader)?;
            if answer.error_code == ErrorCode::UNSUPPORTED_VERSION { Ok(answer) } else { Err(error) }
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;

    #[test]
    fn an_older_broker_is_understood() {
        let known = ApiVersion { api_key: 18, min_version: 0, max_version: 2 };
        let mut sent = Response { error_code: ErrorCode::UNSUPPORTED_VERSION, ..Default::default() };
        sent.api_keys.push(known);
        let mut encoded = BytesMut::new();
        sent.encode(0, &mut encoded).unwrap();
        let encoded: Bytes = encoded.freeze();
        assert_eq!(Response::decode_any(3, &mut Reader::new(&encoded)), Ok(sent));
        let torn = Bytes::from_static(&[0, 0, 0]);
        assert!(Response::decode_any(3, &mut Reader::new(&torn)).is_err());
    }
}
