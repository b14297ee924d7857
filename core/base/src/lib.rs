//! What every core crate stands on: byte cursors, clock readings, the [`Disk`] trait, timers, seeded randomness.
//!
//! Nothing here knows ZooKeeper or Kafka, and nothing here meets the operating system: the host implements [`Disk`]
//! on real files, a disk in memory implements it for tests and simulation.

mod clock;
mod cursor;
mod disk;
mod mem_disk;
mod parts;
mod random;
mod reason;
mod text;
mod timers;

pub use clock::{Monotonic, Now};
pub use cursor::{DecodeError, Reader};
pub use disk::{Disk, DiskEntry, File, FileLock, Job, Metadata, Next, OpenMode, Slow, once};
pub use mem_disk::{Fault, MemDisk, SlowCall};
pub use parts::{Part, Parts, read_parts};
pub use random::Random;
pub use reason::{reason, reason_at};
pub use text::Str;
pub use timers::{TimerKey, Timers};
