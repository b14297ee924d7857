//! Zab's machines: each phase packet by packet, every way of bringing a learner's history in line, and a simulation of
//! whole ensembles.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod leader;
mod learner;
mod matching;
mod reconfig;
mod relay;
mod simulation;
mod stage;
