//! Old snapshots and logs are removed (upstream `DatadirCleanupManager`, `PurgeTxnLog`).

use base::{Monotonic, Now};
use zk_store::StoreError;

use crate::event::Outcome;
use crate::log::Logger;
use crate::{DiskTask, Effect, Effects, Lane, Server, ServerConfig};

/// When to purge next.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    interval_ms: Option<u64>,
    next: Monotonic,
    under_way: bool,
}

impl Housekeeping {
    /// The first purge is due at once, as in the original.
    pub(crate) const fn new(config: &ServerConfig, now: Monotonic) -> Self {
        Self { interval_ms: config.purge_interval_ms, next: now, under_way: false }
    }

    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        (self.interval_ms.is_some() && !self.under_way).then_some(self.next)
    }
}

impl Server {
    /// Starts a purge if one is due.
    pub(crate) fn purge_if_due(&mut self, now: Now, effects: &mut Effects) {
        let Some(interval_ms) = self.housekeeping.interval_ms else { return };
        if self.housekeeping.under_way || now.monotonic < self.housekeeping.next {
            return;
        }
        self.housekeeping.next = now.monotonic.plus_ms(interval_ms);
        self.housekeeping.under_way = true;
        self.log.info(Logger::Purge, "Purge task started.");
        let (disk, keep) = (self.disk.clone(), self.config.purge_retain_count as usize);
        let (log_dir, snapshot_dir) = (self.dirs.log_dir().to_owned(), self.dirs.snap_dir().to_owned());
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            Outcome::Purge(zk_store::purge(&*disk, &log_dir, &snapshot_dir, keep, slow))
        })));
    }

    /// A purge is finished. One that failed is tried again when the next is due.
    pub(crate) fn purged(&mut self, result: Result<Vec<std::path::PathBuf>, StoreError>) {
        self.housekeeping.under_way = false;
        if let Err(error) = result {
            self.log.error(Logger::Purge, format!("Error occurred while purging.\n{error}"));
        }
        self.log.info(Logger::Purge, "Purge task completed.");
    }
}
