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

/// What is kept back, at most, for links to other servers, listeners and log files.
const DESCRIPTORS_KEPT_BACK_MAX: u64 = 1024;

/// Event loops, disk, disk threads and clock. Clones share them.
#[derive(Clone)]
pub struct System {
    /// Serve the connections.
    pub loops: EventLoops,
    /// Holds the data.
    pub disk: Arc<dyn Disk>,
    /// Wait for it.
    pub disk_threads: DiskThreads,
    /// Both clocks.
    pub clock: Clock,
}

impl System {
    /// Raises the descriptor limit, of which files get half and connections most of the rest, and starts the threads: a loop for so many
    /// cores. Loops that meet at one state machine, as those of ZooKeeper do, are best at two cores each: with fewer wake-ups, each for
    /// more requests, a server has room for its disk thread, and reads as many more for the same time.
    pub fn start(cores_per_loop: usize) -> io::Result<Self> {
        let (files_open_max, connections_max) = shares(raise_descriptor_limit());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            loops: EventLoops::start_limited(cores.div_ceil(cores_per_loop), connections_max)?,
            disk: Arc::new(RealDisk::new(files_open_max)),
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

/// How many files are kept open, and how many connections are accepted, of so many descriptors.
fn shares(limit: u64) -> (usize, usize) {
    let files = (limit / 2).min(DESCRIPTORS_IDLE_MAX);
    let connections = limit - files - (limit / 8).min(DESCRIPTORS_KEPT_BACK_MAX);
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (count(files), count(connections))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_their_half() {
        assert_eq!(shares(1024), (512, 384));
        assert_eq!(shares(1 << 20), (65_536, (1 << 20) - 65_536 - 1024));
        assert!(shares(u64::MAX).1 > 1 << 40);
    }
}
