//! The machines against a scripted broker: no socket, and a clock that jumps to the next deadline.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod admin;
mod consumer;
mod network;
mod producer;
mod world;
