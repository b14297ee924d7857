//! AlterUserScramCredentials: sets and deletes SCRAM credentials (`AlterUserScramCredentialsRequest`, key 51;
//! KIP-554).
//!
//! Version 0, flexible from 0.

use base::Str;
use bytes::Bytes;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `AlterUserScramCredentialsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = AlterUserScramCredentials)]
pub struct Request {
    /// Credentials to delete.
    pub deletions: Vec<Deletion>,
    /// Credentials to set.
    pub upsertions: Vec<Upsertion>,
}

/// One element of [`Request::deletions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Deletion {
    /// Name of the user.
    pub name: Str,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub mechanism: i8,
}

/// One element of [`Request::upsertions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Upsertion {
    /// Name of the user.
    pub name: Str,
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub mechanism: i8,
    /// How often the hash is applied.
    pub iterations: i32,
    /// Random bytes of the hash.
    pub salt: Bytes,
    /// The password after hashing.
    pub salted_password: Bytes,
}

/// `AlterUserScramCredentialsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// Outcome of each user.
    pub results: Vec<Outcome>,
}

/// One element of [`Response::results`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Outcome {
    /// Name of the user.
    pub user: Str,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
}
