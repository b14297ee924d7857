//! Logs on a disk in memory: appends and reads, crashes, truncation, retention, directories written by the original.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod appends;
mod concurrency;
mod crashes;
mod full_disk;
mod golden;
mod moves;
mod overflow;
mod runs;
mod support;
