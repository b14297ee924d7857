//! One Kafka broker: connections, one module for each API key, fetch sessions, metadata, dynamic configs.
//!
//! [`Broker`] is shared by all event loops and called from any thread. The host gives each connection's bytes to its
//! [`Connection`], runs the jobs and timers that are asked of [`Host`], and moves the bytes of the ZooKeeper session.
//! Nothing here waits: what can't be answered at once is parked, and completed by the event it waits for.

mod answer;
mod api;
mod broker;
mod connection;
mod connections;
mod control;
mod dispatch;
mod entity_configs;
mod errors;
mod fetch_sessions;
mod gather;
mod groups;
mod host;
mod loggers;
mod metadata;
mod notifications;
mod partitions;
mod peer;
mod preferred_replica;
mod producer_ids;
mod rate;
mod replication;
mod session_file;
mod startup;
mod stop;
mod surroundings;
#[cfg(test)]
mod testing;
mod topic_configs;
mod topic_name;
mod topic_waits;
mod topics;
mod zookeeper;

pub use broker::Broker;
pub use connection::{Client, Closed, Connection, Wants};
pub use connections::Place;
pub use host::{Fatal, Host};
pub use loggers::Loggers;
pub use peer::{Peer, PeerEffect};
pub use startup::StartError;
pub use zookeeper::{LinkLoss, ZooKeeperEffect};
