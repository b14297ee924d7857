//! The load generator: one thread, pre-encoded requests, sockets that never block.
//!
//! It does next to nothing for a request (no encoding, no decoding but the error code), so that the server is the
//! limit.

mod closed;
mod connection;
mod frames;
mod paced;

pub(crate) use closed::{Load, Measured, run};
pub(crate) use connection::Template;
pub(crate) use frames::ErrorCodeAt;
pub(crate) use paced::{EndToEnd, Paced, end_to_end, paced};
