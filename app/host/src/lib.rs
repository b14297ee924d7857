//! Event loops, listeners, disk threads, the clock and signals: where the core meets the operating system.

mod clock;
mod disk;
pub mod logging;
mod net;
mod process;
mod system;
mod zookeeper;
mod zookeeper_settings;

pub use clock::Clock;
pub use disk::{DiskThreads, Priority, RealDisk, RealFile, SerialLane};
pub use net::{BindError, Connection, EventLoops, Handler, Limits, Listener};
pub use process::{StopSignal, StopSignals, raise_descriptor_limit};
pub use system::System;
pub use zookeeper::ZooKeeper;
pub use zookeeper_settings::server_config as zookeeper_config;
