//! Whole ensembles in one thread under one seed: the shipped [`zk_node::Server`] over disks in memory, with simulated
//! connections, clocks and clients; crashes, cuts, stalls and failing disks; and the rules that must hold (`invariants/`). Clusters of brokers
//! are in [`cluster`].
//!
//! | to find | see |
//! |---|---|
//! | what is run, and in which phases | [`run()`] |
//! | servers, time, who hears what | `world` |
//! | what goes wrong | `faults`, `rot` |
//! | connections | `network` |
//! | lists of servers | `lists` |
//! | what clients do, and see | `client` |
//! | where a person has to act | `person` |
//! | the rules | `invariants/`, a file for each |
//!
//! A seed is a run: `cargo run --release -p sim -- --servers 3 --seed N --tell` shows one, `cargo xtask sim --minutes N`
//! looks for seeds that break a rule.

mod client;
mod clock;
pub mod cluster;
mod faults;
mod invariants;
mod lists;
mod network;
mod person;
mod rot;
mod run;
mod server;
mod settings;
mod tree;
mod world;

pub use faults::Fault;
pub use run::{Plan, Seen, run};
