//! Event loops, listeners, disk threads, the clock and signals: where the core meets the operating system.

mod clock;
mod disk;

pub use clock::Clock;
pub use disk::{DiskThreads, Priority, RealDisk, RealFile, SerialLane};
