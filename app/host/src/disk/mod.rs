//! The real file system behind `base::Disk`, and the threads that wait for it.

mod descriptors;
mod file;
mod lock;
mod real;
mod threads;

pub use file::RealFile;
pub use real::RealDisk;
pub use threads::{DiskThreads, Priority, SerialLane};
