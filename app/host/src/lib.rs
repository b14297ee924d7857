//! Event loops, listeners, disk threads, the clock and signals: where the core meets the operating system.

mod clock;
mod disk;
mod net;
mod zookeeper;

pub use clock::Clock;
pub use disk::{DiskThreads, Priority, RealDisk, RealFile, SerialLane};
pub use net::{BindError, Connection, EventLoops, Handler, Limits, Listener};
pub use zookeeper::{Ground, LogSink, ZooKeeper};
