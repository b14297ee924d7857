//! Real clients against Jackdaw. Run by `cargo xtask interop`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod kafka_clients;
mod zookeeper_clients;
