//! One broker or several with a ZooKeeper of ours, all as machines in one thread: what clients are answered, what is kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod cluster;
mod data;
mod groups;
mod hostile;
mod listeners;
mod loggers;
mod racks;
mod replication;
mod topics;
mod world;
