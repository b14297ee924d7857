//! DescribeUserScramCredentials: lists users and their SCRAM mechanisms (`DescribeUserScramCredentialsRequest`, key
//! 50; KIP-554).
//!
//! Version 0, flexible from 0.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `DescribeUserScramCredentialsRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+", api = DescribeUserScramCredentials)]
pub struct Request {
    /// Users to list; null or empty for all.
    pub users: Option<Vec<User>>,
}

/// One element of [`Request::users`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct User {
    /// Name of the user.
    pub name: Str,
}

/// `DescribeUserScramCredentialsResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0", flexible = "0+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// The error in words, or null.
    pub error_message: Option<Str>,
    /// The users.
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
    /// The user's mechanisms.
    pub credential_infos: Vec<CredentialInfo>,
}

/// One element of [`Outcome::credential_infos`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct CredentialInfo {
    /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    pub mechanism: i8,
    /// How often the hash is applied.
    pub iterations: i32,
}
