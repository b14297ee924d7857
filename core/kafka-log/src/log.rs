//! One partition's log (`kafka.log.Log`).
//!
//! Two locks. The *append lock* (`state`) orders appends, rolls and truncations; under it are offset assignment, the producers'
//! check, a write to the page cache and the publication of the result, nothing that waits for a device. The *view* is what is
//! published: readers copy it (a reference count and some numbers) and go on without a lock. Lock order: state, view, epochs.

mod append;
mod epochs_file;
mod load;
mod lookup;
mod moving;
mod read;
mod truncate;
mod upkeep;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use base::Monotonic;
use parking_lot::{Mutex, RwLock};

use crate::epochs::LeaderEpochs;
use crate::home::Home;
use crate::producers::Producers;
use crate::shared::Shared;
use crate::types::{EpochOffset, Level, OffsetPosition, Offsets};
use crate::view::{Mark, View};
use crate::{LogConfig, LogError, TopicPartition};

pub(crate) use epochs_file::write_epochs;
pub(crate) use load::LoadFrom;
pub(crate) use truncate::Truncation;
pub(crate) use upkeep::FlushPolicy;

/// A partition's log. Shared by all threads: appends take a short lock, reads use what was last published.
pub struct Log {
    partition: TopicPartition,
    shared: Arc<Shared>,
    home: Arc<Home>,
    config: RwLock<Arc<LogConfig>>,
    view: RwLock<View>,
    epochs: RwLock<LeaderEpochs>,
    state: Mutex<State>,
    /// One flush at a time; a second one finds nothing to do.
    flushing: Mutex<()>,
    /// Counts writes of the leader epochs, and keeps them in a row.
    epoch_writes: Mutex<u64>,
    flush_queued: AtomicBool,
    warned_compacted: AtomicBool,
    /// The folder bears the mark of one that takes another's place.
    marked: AtomicBool,
    me: Weak<Log>,
}

/// What the append lock guards.
struct State {
    producers: Producers,
    mode: Mode,
    /// The last append found the disk full.
    full: bool,
    /// Everything before it is durable.
    recovery_point: i64,
    /// Counts truncations: a flush that began before one must not move the recovery point.
    truncations: u64,
    last_flush: Monotonic,
    /// Size of the log at the last flush, and when the first append after it came.
    flushed_size: u64,
    dirty_since: Option<Monotonic>,
    /// Size of the log at the last snapshot that a flush wrote, and that snapshot's offset.
    snapshot_size: u64,
    flush_snapshot: Option<i64>,
    /// Offsets of the producer snapshots in the folder, rising.
    snapshots: Vec<i64>,
    /// Some were removed, which is not durable before the folder is synced: a flush does so, for behind the recovery point one that came
    /// back with a crash would be believed.
    snapshots_removed: bool,
}

/// Whether appends are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    /// A failed write may have left a part behind the log's end, which a job cuts off first.
    Trimming,
    Truncating,
    Closed,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Log").field("partition", &self.partition).field("offsets", &self.offsets()).finish()
    }
}

impl Log {
    /// The partition.
    pub const fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The partition's folder.
    pub fn dir(&self) -> PathBuf {
        self.home.dir()
    }

    /// The log directory that holds the folder.
    pub fn log_dir(&self) -> PathBuf {
        self.home.dir().parent().map(PathBuf::from).unwrap_or_default()
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.read())
    }

    /// New settings, from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        *self.config.write() = Arc::new(config);
    }

    /// Start, last stable offset, high watermark and end, taken together.
    pub fn offsets(&self) -> Offsets {
        self.view.read().offsets()
    }

    /// Where the next record goes.
    pub fn end_position(&self) -> OffsetPosition {
        self.view.read().end
    }

    /// Everything before it is durable.
    pub fn recovery_point(&self) -> i64 {
        self.state.lock().recovery_point
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.view.read().size()
    }

    /// Base offset of the newest segment.
    pub fn active_segment(&self) -> i64 {
        self.view.read().end.segment
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.view.read().segments.len()
    }

    /// Sets the high watermark, kept between start and end of the log; for followers and at start. Returns what it became.
    pub fn update_high_watermark(&self, offset: i64) -> i64 {
        let mut state = self.state.lock();
        let mut view = self.view.write();
        let mark = if offset < view.log_start {
            Mark::at(view.log_start)
        } else if offset >= view.end.offset {
            Mark::placed(view.end)
        } else {
            Mark::at(offset)
        };
        self.set_high_watermark(&mut state, &mut view, mark);
        mark.offset
    }

    /// Raises the high watermark, at most to the log's end; `None` if it stands there or beyond, else what it was. For leaders.
    pub fn increment_high_watermark(&self, offset: i64) -> Option<i64> {
        {
            let mut view = self.view.write();
            let offset = offset.min(view.end.offset);
            let before = view.high_watermark.offset;
            if offset <= before {
                return None;
            }
            if view.settled {
                view.high_watermark = if offset == view.end.offset { Mark::placed(view.end) } else { Mark::at(offset) };
                return Some(before);
            }
        }
        // Ended transactions wait for it: the producers are asked, under the append lock.
        let mut state = self.state.lock();
        let mut view = self.view.write();
        let offset = offset.min(view.end.offset);
        let before = view.high_watermark.offset;
        if offset <= before {
            return None;
        }
        let mark = if offset == view.end.offset { Mark::placed(view.end) } else { Mark::at(offset) };
        self.set_high_watermark(&mut state, &mut view, mark);
        Some(before)
    }

    #[expect(clippy::unused_self, reason = "reads as what it does to the log")]
    fn set_high_watermark(&self, state: &mut State, view: &mut View, mark: Mark) {
        view.high_watermark = mark;
        state.producers.high_watermark_reached(mark.offset);
        refresh_unstable(state, view);
    }

    /// Raises the log's start (DeleteRecords, or a leader's start); false if it stands there or beyond. Not beyond the high
    /// watermark.
    pub fn increment_log_start_offset(&self, offset: i64) -> Result<bool, LogError> {
        let mut state = self.state.lock();
        let mut view = self.view.write();
        if view.closed {
            return Err(self.closed());
        }
        if offset > view.high_watermark.offset {
            return Err(LogError::OffsetOutOfRange {
                offset,
                log_start_offset: view.log_start,
                log_end_offset: view.high_watermark.offset,
            });
        }
        if offset <= view.log_start {
            return Ok(false);
        }
        self.move_log_start(&mut state, &mut view, offset);
        Ok(true)
    }

    fn move_log_start(&self, state: &mut State, view: &mut View, offset: i64) {
        view.log_start = offset;
        state.recovery_point = state.recovery_point.max(offset);
        self.epochs.write().truncate_from_start(offset);
        state.producers.log_start_moved(offset);
        refresh_unstable(state, view);
    }

    /// The newest leader epoch with an entry.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.read().latest().map(|entry| entry.epoch)
    }

    /// Whether a truncation to `offset` would drop records, or an epoch that began at the end and wrote nothing.
    pub fn is_changed_by_cut(&self, offset: i64) -> bool {
        let log_end_offset = self.view.read().end.offset;
        offset < log_end_offset || self.epochs.read().latest().is_some_and(|last| last.offset >= log_end_offset)
    }

    /// Where `epoch` (or the newest one before it) ends, as OffsetForLeaderEpoch answers; `None` if not known.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<EpochOffset> {
        let log_end_offset = self.view.read().end.offset;
        self.epochs.read().end_offset_for(epoch, log_end_offset)
    }

    /// A leader begins an epoch at its log's end (or a given offset). The checkpoint follows on a disk thread.
    pub fn assign_epoch_start(&self, epoch: i32, offset: i64) {
        if self.config().message_magic < 2 {
            return;
        }
        let assigned = self.epochs.write().assign(epoch, offset);
        if assigned {
            self.submit_epochs();
        }
    }

    fn say(&self, level: Level, line: &str) {
        self.shared.say(level, format!("[Log partition={}, dir={}] {line}", self.partition, self.log_dir().display()));
    }

    fn closed(&self) -> LogError {
        LogError::Closed { partition: self.partition.clone() }
    }

    /// Passes a result on; tells the broker if the disk failed. Not with a lock held.
    fn report<T>(&self, result: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(error @ LogError::Storage { .. }) = &result
            && !crate::shared::is_full(error)
        {
            self.shared.surroundings.directory_failed(&self.log_dir(), error);
        }
        result
    }

    /// Closes the log at once, without writing: its directory failed.
    pub(crate) fn close_now(&self) {
        self.state.lock().mode = Mode::Closed;
        self.view.write().closed = true;
    }

    /// Gives the folder another name in its log directory.
    pub(crate) fn rename(&self, name: &str, slow: &base::Slow) -> Result<(), LogError> {
        self.home.rename(name, slow)
    }

    /// `waited_for`: an append is acknowledged when it is done.
    fn queue_flush(&self, waited_for: bool, now: base::Now) {
        if self.flush_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(log) = self.me.upgrade() else { return };
        let job = base::once(move |slow| {
            log.flush_queued.store(false, Ordering::Release);
            // The error was reported where it was met.
            let _ = log.flush(now, slow);
        });
        match waited_for {
            true => self.shared.surroundings.submit_for_request(job),
            false => self.shared.surroundings.submit(job),
        }
    }
}

/// The first unstable offset may have moved with a transaction, the high watermark or the log's start.
fn refresh_unstable(state: &State, view: &mut View) {
    view.settled = !state.producers.has_unreplicated();
    let offset = state.producers.first_unstable_offset().map(|offset| offset.max(view.log_start));
    if offset != view.first_unstable.map(|mark| mark.offset) {
        view.first_unstable = offset.map(Mark::at);
    }
}
