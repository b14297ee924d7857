//! Real clients against Jackdaw. Run by `cargo xtask interop`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod cluster_page;
mod kafka_clients;
mod kafka_cluster;
mod kafka_cluster_hostile;
mod kafka_cluster_tools;
mod kafka_cluster_znodes;
mod kafka_faults;
mod kafka_hostile;
mod kafka_moves;
mod kafka_replies;
mod kafka_side;
mod kafka_takeover;
mod kafka_tools;
mod kafka_znodes;
mod operators;
mod zookeeper_clients;
mod zookeeper_data;
mod zookeeper_ensemble;
mod zookeeper_faults;
mod zookeeper_hostile;
mod zookeeper_observers;
mod zookeeper_parts;
mod zookeeper_quorums;
mod zookeeper_random;
mod zookeeper_reconfig;
mod zookeeper_rust;
mod zookeeper_sasl;
mod zookeeper_sessions;
mod zookeeper_tls;
