//! One broker with a ZooKeeper of ours, both as machines in one thread: what clients are answered, what is kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod data;
mod groups;
mod hostile;
mod loggers;
mod topics;
mod world;
