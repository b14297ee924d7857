//! Elections: what JVM servers said, codecs, transcripts of one elector and of one server's links, and whole ensembles on
//! a simulated network.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod codecs;
mod elector;
mod ensembles;
mod golden;
mod links;
mod transcripts;
mod world;
