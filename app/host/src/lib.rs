//! Event loops, listeners, disk threads, the clock and signals: where the core meets the operating system.

mod clock;
mod disk;
mod guardian;
mod kafka;
mod link;
pub mod logging;
mod net;
mod own_name;
mod process;
mod system;
mod tls;
mod zookeeper;
mod zookeeper_settings;

pub use clock::Clock;
pub use disk::{DiskThreads, Priority, RealDisk, RealFile, SerialLane};
pub use guardian::{GUARDIAN, Guardian, watch as watch_broker};
pub use kafka::{Kafka, KafkaError, resolve};
pub use kafka_node::{Fatal, StartError};
pub use link::{LinkEffect, Session, run_link};
pub use net::{BindError, Connection, EventLoops, Framed, Handler, Limits, Listener, Service, Transport, Wants};
pub use process::{StopSignal, StopSignals, raise_descriptor_limit};
pub use system::System;
pub use tls::ZooKeeperTls;
pub use zookeeper::{BoundPeers, PeerBindError, ZooKeeper, bind_peer_ports};
pub use zookeeper_settings::server_config as zookeeper_config;
