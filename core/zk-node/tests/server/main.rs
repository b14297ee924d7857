//! The server as its owner sees it: events in, effects out, over a disk in memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod client;
mod crashes;
mod following;
mod hostile;
mod limits;
mod lists;
mod logins;
mod read_only;
mod roll_over;
mod transcripts;
mod world;
