//! What a server answers, one request after the other, as an operator or client would see it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod golden;
mod prep;
mod random;
mod rig;
mod sessions;
mod watches;
