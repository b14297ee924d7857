//! What all logs of a broker share: the disk, the cache of index blocks, chance, and work that is put off.

use std::sync::Arc;

use base::{Disk, Monotonic, Random, Slow, Timers};
use parking_lot::Mutex;

use crate::home::BlockCache;
use crate::types::{Level, Surroundings};
use crate::{Log, LogConfig, LogError};

/// Work for a disk thread.
pub(crate) type Work = Box<dyn FnOnce(&Slow) + Send>;

/// Shared by the manager and its logs.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) cache: Arc<BlockCache>,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) producer_expiration_ms: i64,
    pub(crate) random: Mutex<Random>,
    later: Mutex<Timers<Work>>,
    /// Logs whose leader epochs are to be written.
    pub(crate) unwritten_epochs: Mutex<Vec<Arc<Log>>>,
}

impl Shared {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        surroundings: Arc<dyn Surroundings>,
        producer_expiration_ms: i64,
        random: Random,
    ) -> Arc<Self> {
        Arc::new(Self {
            disk,
            cache: BlockCache::new(),
            surroundings,
            producer_expiration_ms,
            random: Mutex::new(random),
            later: Mutex::new(Timers::default()),
            unwritten_epochs: Mutex::default(),
        })
    }

    /// Does the work on a disk thread, when its time has come and the manager is ticked.
    pub(crate) fn later(&self, at: Monotonic, work: impl FnOnce(&Slow) + Send + 'static) {
        self.later.lock().insert(at, Box::new(work));
    }

    /// Work that is due, and when there is more.
    pub(crate) fn due(&self, now: Monotonic) -> (Vec<Work>, Option<Monotonic>) {
        let mut later = self.later.lock();
        let due = std::iter::from_fn(|| later.pop_due(now)).collect();
        (due, later.next_deadline())
    }

    pub(crate) fn submit(&self, work: impl FnOnce(&Slow) + Send + 'static) {
        self.surroundings.submit(base::once(work));
    }

    pub(crate) fn say(&self, level: Level, line: impl Into<String>) {
        self.surroundings.say(level, line.into());
    }

    /// Chance for one segment: how much sooner than others it is rolled.
    pub(crate) fn roll_jitter_ms(&self, config: &LogConfig) -> i64 {
        let bound = config.segment_jitter_ms.min(config.segment_ms).max(0);
        match bound {
            0 => 0,
            bound => self.random.lock().below(bound.unsigned_abs()) as i64,
        }
    }
}

/// Whether this is a full disk: appends wait, reads go on.
pub fn is_full(error: &LogError) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, LogError::Storage { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
}
