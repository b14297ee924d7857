//! Whole clusters in one thread under one seed: the shipped [`kafka_node::Broker`]s, with their controller, links and logs, over disks in
//! memory, beside one ZooKeeper server that does not fail (ensembles have runs of their own); crashes, cuts, stalls and expired sessions;
//! and the rules that must hold (`invariants/`).
//!
//! | to find | see |
//! |---|---|
//! | what is run, and in which phases | [`run()`] |
//! | brokers, time, who hears what | `world`, `machine` |
//! | what goes wrong | `faults` |
//! | producers, readers, members of a group, and who makes topics | `clients` |
//! | the rules | `invariants/`, a file for each |
//!
//! A seed is a run: `cargo run --release -p sim -- --brokers 3 --seed N --tell` shows one.

mod clients;
mod ensemble;
mod faults;
mod invariants;
mod logs;
mod machine;
mod run;
mod settings;
mod world;

pub use faults::Fault;
pub use run::{Plan, run};
