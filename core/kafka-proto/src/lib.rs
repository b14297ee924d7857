//! Kafka's wire messages at every version, record batches, compression and error codes: those of 2.7.1, API keys 0 to 57.
//!
//! A message is one documented struct in [`messages`], its versions are attributes on its fields (see `wire_derive`).
//! Decoding hands out views of the received frame and allocates no more than the bytes that are there can fill. Frames
//! with their headers are in [`frame`], record batches in [`record`].

// The derive macros name this crate by its name, also here.
extern crate self as kafka_proto;

pub mod frame;
pub mod messages;
pub mod record;
pub mod wire;

mod api_key;
mod error_code;
mod message;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub use message::{AnyRequest, AnyResponse, Message, Request};
