//! The controller against a tree of znodes in memory: what it writes, what it tells, and how it keeps to its office.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod brokers;
mod deletions;
mod elections;
mod features;
mod notifications;
mod office;
mod random;
mod reassignments;
mod requests;
mod scale;
mod topics;
mod world;
mod zookeeper;
