//! The machine as servers of one process share it.

use std::io;
use std::sync::Arc;
use std::thread;

use base::{Disk, Random};

use crate::net::EventLoops;
use crate::process::raise_descriptor_limit;
use crate::{Clock, DiskThreads, RealDisk};

/// Idle descriptors that are kept open even where the limit is enormous: each costs kernel memory.
const DESCRIPTORS_IDLE_MAX: u64 = 65_536;

/// Event loops, disk, disk threads and clock. Clones share them.
#[derive(Clone)]
pub struct System {
    /// Serve the connections, one for each core.
    pub loops: EventLoops,
    /// Holds the data.
    pub disk: Arc<dyn Disk>,
    /// Wait for it.
    pub disk_threads: DiskThreads,
    /// Both clocks.
    pub clock: Clock,
}

impl System {
    /// Raises the descriptor limit, of which files get half and sockets the rest, and starts the threads.
    pub fn start() -> io::Result<Self> {
        let files_open_max = (raise_descriptor_limit() / 2).min(DESCRIPTORS_IDLE_MAX);
        Ok(Self {
            loops: EventLoops::start(thread::available_parallelism().map_or(1, usize::from))?,
            disk: Arc::new(RealDisk::new(usize::try_from(files_open_max).unwrap_or(usize::MAX))),
            disk_threads: DiskThreads::start()?,
            clock: Clock::start(),
        })
    }

    /// Chance from the operating system.
    pub fn random() -> io::Result<Random> {
        let mut seed = [0; 8];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        Ok(Random::from_seed(u64::from_ne_bytes(seed)))
    }

    /// Finishes the disk work that is queued and ends all threads.
    pub fn stop(&self) {
        self.disk_threads.stop();
        self.loops.stop();
    }
}
