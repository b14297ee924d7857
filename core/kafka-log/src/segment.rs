//! A segment: a piece of the log in one file, with its indexes (`LogSegment`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{File, Slow};
use parking_lot::Mutex;

use crate::batch::{Placed, ScanError, Scanner, Summary};
use crate::home::{Home, LazyFile};
use crate::index::{Index, OffsetEntry, TimeEntry};
use crate::partition::FileKind;
use crate::producers::CompletedTransaction;
use crate::txn_index::{AbortedEntry, TransactionIndex};
use crate::{LogConfig, LogError};

/// One segment. Appends and truncation come from the log, one at a time; reads come from anywhere.
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) home: Arc<Home>,
    pub(crate) offsets: Index<OffsetEntry>,
    pub(crate) times: Index<TimeEntry>,
    pub(crate) transactions: TransactionIndex,
    file: LazyFile,
    size: AtomicU64,
    state: Mutex<SegmentState>,
}

struct SegmentState {
    /// When it was made or opened, for rolling where records have no timestamps.
    created_ms: i64,
    /// Largest timestamp of the first batch; `None` until looked at.
    first_timestamp: Option<i64>,
    /// Largest timestamp and its offset; `None` until looked at.
    newest: Option<TimeEntry>,
    /// Bytes appended since the last index entry, its batch included.
    unindexed_bytes: u64,
    /// Taken off the age at which it is rolled.
    roll_jitter_ms: i64,
}

/// Bytes in the files of a segment that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) log: u64,
    pub(crate) offset_index: u64,
    pub(crate) time_index: u64,
}

/// What an append adds to a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) bytes: u64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    /// Last offset of the batch with that timestamp.
    pub(crate) max_timestamp_offset: i64,
}

impl Segment {
    /// Makes an empty segment and its files.
    pub(crate) fn create(
        home: &Arc<Home>,
        base_offset: i64,
        roll_jitter_ms: i64,
        now_ms: i64,
    ) -> Result<Arc<Self>, LogError> {
        let offsets = Index::empty(home, base_offset);
        let times = Index::empty(home, base_offset);
        let segment = Self::with(home, base_offset, offsets, times, false, 0);
        {
            let mut state = segment.state.lock();
            state.created_ms = now_ms;
            state.roll_jitter_ms = roll_jitter_ms;
            state.newest = Some(TimeEntry { timestamp: -1, offset: base_offset });
        }
        let file = segment.file.create(home)?;
        let len = file.len().map_err(|error| segment.file.failed(home, "creating", error))?;
        if len > 0 {
            return Err(segment.file.failed(home, "creating", std::io::ErrorKind::AlreadyExists.into()));
        }
        segment.offsets.create_file(home)?;
        segment.times.create_file(home)?;
        Ok(Arc::new(segment))
    }

    /// A segment that exists; nothing is read yet.
    pub(crate) fn existing(
        home: &Arc<Home>,
        base_offset: i64,
        sizes: Sizes,
        has_transactions: bool,
        now_ms: i64,
    ) -> Self {
        let segment = Self::with(
            home,
            base_offset,
            Index::existing(home, base_offset, sizes.offset_index),
            Index::existing(home, base_offset, sizes.time_index),
            has_transactions,
            sizes.log,
        );
        segment.state.lock().created_ms = now_ms;
        segment
    }

    fn with(
        home: &Arc<Home>,
        base_offset: i64,
        offsets: Index<OffsetEntry>,
        times: Index<TimeEntry>,
        has_transactions: bool,
        size: u64,
    ) -> Self {
        let state =
            SegmentState { created_ms: 0, first_timestamp: None, newest: None, unindexed_bytes: 0, roll_jitter_ms: 0 };
        Self {
            base_offset,
            home: Arc::clone(home),
            offsets,
            times,
            transactions: TransactionIndex::new(base_offset, has_transactions),
            file: LazyFile::new(FileKind::Log, base_offset),
            size: AtomicU64::new(size),
            state: Mutex::new(state),
        }
    }

    /// Bytes of whole batches in the file.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(crate) fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    pub(crate) fn set_roll_jitter(&self, roll_jitter_ms: i64) {
        self.state.lock().roll_jitter_ms = roll_jitter_ms;
    }

    pub(crate) fn file(&self) -> Result<&Arc<dyn File>, LogError> {
        self.file.get(&self.home)
    }

    pub(crate) fn failed(&self, what: &'static str, error: std::io::Error) -> LogError {
        self.file.failed(&self.home, what, error)
    }

    pub(crate) fn scan_failed(&self, error: ScanError) -> LogError {
        error.at(self.home.path(&FileKind::Log.name(self.base_offset)))
    }

    /// Whether an offset can be written relative to this segment's base.
    pub(crate) fn can_hold(&self, offset: i64) -> bool {
        (0..=i64::from(i32::MAX)).contains(&(offset - self.base_offset))
    }

    /// Looks at all that an append asks for, where waiting is allowed.
    pub(crate) fn prepare(&self) -> Result<(), LogError> {
        self.offsets.len(&self.home)?;
        self.times.len(&self.home)?;
        self.newest()?;
        if self.size() > 0 {
            // A first batch that can't be read fails the append that asks for it, not the start.
            let _ = self.first_timestamp();
        }
        Ok(())
    }

    /// Whether `growth` belongs in a new segment, behind appends of these sizes that are still to be written. For each of those an index
    /// entry is counted, though not all make one: what says yes is to be asked again when they are written.
    pub(crate) fn should_roll(
        &self,
        waiting: impl ExactSizeIterator<Item = u64>,
        growth: &Growth,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<bool, LogError> {
        let entries = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let size = self.size() + waiting.sum::<u64>();
        if size + growth.bytes > u64::from(config.segment_bytes) || !self.can_hold(growth.last_offset) {
            return Ok(true);
        }
        let index_bytes = config.segment_index_bytes;
        // One slot of the time index is kept for the entry that closes the segment.
        if self.offsets.len(&self.home)?.saturating_add(entries) >= index_bytes / 8
            || self.times.len(&self.home)?.saturating_add(entries) + 1 >= index_bytes / 12
        {
            return Ok(true);
        }
        if size == 0 {
            return Ok(false);
        }
        let mut state = self.state.lock();
        let first = match state.first_timestamp {
            Some(first) => first,
            None => {
                drop(state);
                let first = self.first_timestamp()?;
                state = self.state.lock();
                first
            }
        };
        let waited_ms = if first >= 0 { growth.max_timestamp - first } else { now_ms - state.created_ms };
        Ok(waited_ms > config.segment_ms_max() - state.roll_jitter_ms)
    }

    /// Largest timestamp of the first batch, -1 if it has none or there is no batch.
    fn first_timestamp(&self) -> Result<i64, LogError> {
        if let Some(timestamp) = self.state.lock().first_timestamp {
            return Ok(timestamp);
        }
        let first =
            Scanner::new(self.file()?.as_ref(), 0, self.size(), 64).next().map_err(|error| self.scan_failed(error))?;
        let timestamp = first.map_or(-1, |placed| placed.batch.max_timestamp);
        self.state.lock().first_timestamp = first.map(|_| timestamp);
        Ok(timestamp)
    }

    /// Largest timestamp so far and its offset; (-1, base) if none. After a load, as far as the time index knows.
    pub(crate) fn newest(&self) -> Result<TimeEntry, LogError> {
        if let Some(newest) = self.state.lock().newest {
            return Ok(newest);
        }
        let none = TimeEntry { timestamp: -1, offset: self.base_offset };
        let newest = self.times.last(&self.home)?.unwrap_or(none);
        Ok(*self.state.lock().newest.get_or_insert(newest))
    }

    /// The time that retention goes by: the newest record's, or the file's if no record has one.
    pub(crate) fn retention_timestamp(&self) -> Result<i64, LogError> {
        let newest = self.newest()?.timestamp;
        if newest >= 0 {
            return Ok(newest);
        }
        self.modified_ms()
    }

    /// When the file was last changed.
    pub(crate) fn modified_ms(&self) -> Result<i64, LogError> {
        let metadata = self.home.with_path(&FileKind::Log.name(self.base_offset), |path| {
            self.home.disk.metadata(&path).map_err(|error| LogError::storage("reading", path, error))
        })?;
        Ok(metadata.map_or(0, |metadata| metadata.modified_ms))
    }

    /// Accounts for bytes that were written at the segment's end: timestamps, index entries, size.
    pub(crate) fn grown(&self, growth: &Growth, config: &LogConfig) -> Result<(), LogError> {
        let position = self.size();
        let (indexed, newest) = {
            let mut state = self.state.lock();
            if state.newest.is_none() {
                drop(state);
                self.newest()?;
                state = self.state.lock();
            }
            let none = TimeEntry { timestamp: -1, offset: self.base_offset };
            let newest = state.newest.get_or_insert(none);
            if growth.max_timestamp > newest.timestamp {
                *newest = TimeEntry { timestamp: growth.max_timestamp, offset: growth.max_timestamp_offset };
            }
            let newest = *newest;
            if position == 0 {
                state.first_timestamp = Some(growth.max_timestamp);
            }
            let indexed = state.unindexed_bytes > u64::from(config.index_interval_bytes);
            state.unindexed_bytes = growth.bytes + if indexed { 0 } else { state.unindexed_bytes };
            (indexed, newest)
        };
        // Readers go by the published end, so the size may move first; and it must, should an index fail.
        self.set_size(position + growth.bytes);
        match indexed {
            true => self.add_index_entries(growth.last_offset, position, newest),
            false => Ok(()),
        }
    }

    fn add_index_entries(&self, last_offset: i64, position: u64, newest: TimeEntry) -> Result<(), LogError> {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        self.offsets.append(&self.home, OffsetEntry { offset: last_offset, position })?;
        self.add_time_entry(newest)
    }

    fn add_time_entry(&self, newest: TimeEntry) -> Result<(), LogError> {
        let last = self.times.last(&self.home)?.map_or(-1, |entry| entry.timestamp);
        match newest.timestamp > last {
            true => self.times.append(&self.home, newest),
            false => Ok(()),
        }
    }

    /// Remembers a transaction that ended here, if it was aborted.
    pub(crate) fn end_transaction(&self, done: &CompletedTransaction, last_stable_offset: i64) -> Result<(), LogError> {
        if !done.aborted {
            return Ok(());
        }
        let entry = AbortedEntry {
            producer_id: done.producer_id,
            first_offset: done.first_offset,
            last_offset: done.last_offset,
            last_stable_offset,
        };
        self.transactions.append(&self.home, entry)
    }

    /// The last time entry is made, and all entries go to the page cache: before a roll and at a clean stop.
    pub(crate) fn close_indexes(&self) -> Result<(), LogError> {
        let newest = self.state.lock().newest;
        if let Some(newest) = newest {
            self.add_time_entry(newest)?;
        }
        self.write_out()
    }

    /// All index entries go to the page cache.
    pub(crate) fn write_out(&self) -> Result<(), LogError> {
        self.offsets.write_out(&self.home)?;
        self.times.write_out(&self.home)
    }

    /// Makes everything that was written durable.
    pub(crate) fn sync(&self, slow: &Slow) -> Result<(), LogError> {
        self.file()?.sync_data(slow).map_err(|error| self.failed("syncing", error))?;
        self.offsets.sync(&self.home, slow)?;
        self.times.sync(&self.home, slow)?;
        self.transactions.sync(&self.home, slow)
    }

    /// The first batch whose last offset is `offset` or larger, among the first `limit` bytes.
    pub(crate) fn find(&self, offset: i64, limit: u64, cached_only: bool) -> Result<Option<Placed>, LogError> {
        let before = |entry: &OffsetEntry| entry.offset <= offset;
        let (entry, file) = match cached_only {
            true => (self.offsets.last_where_cached(&self.home, before)?, self.file.get_opened()?),
            false => (self.offsets.last_where(&self.home, before)?, self.file()?),
        };
        let from = entry.map_or(0, |entry| u64::from(entry.position));
        let mut scanner = Scanner::new(file.as_ref(), from, limit, Scanner::LOOKUP).cached_only(cached_only);
        while let Some(placed) = scanner.next().map_err(|error| self.scan_failed(error))? {
            if placed.batch.last_offset >= offset {
                return Ok(Some(placed));
            }
        }
        Ok(None)
    }

    /// The offset behind the last batch among the first `limit` bytes, and where that batch ends.
    pub(crate) fn find_end(&self, limit: u64) -> Result<(i64, u64), LogError> {
        let last = self.offsets.last(&self.home)?;
        let from = last.map_or(0, |entry| u64::from(entry.position));
        let mut scanner = Scanner::new(self.file()?.as_ref(), from, limit, Scanner::LOOKUP);
        let mut next_offset = self.base_offset;
        while let Some(placed) = scanner.next().map_err(|error| self.scan_failed(error))? {
            next_offset = placed.batch.last_offset + 1;
        }
        Ok((next_offset, scanner.position()))
    }

    /// An upper bound of the offsets in `len` bytes from `position`; `None` if the index does not reach there.
    pub(crate) fn upper_bound(&self, position: u64, len: u64) -> Result<Option<i64>, LogError> {
        let end = position + len;
        let at = self.offsets.partition_point(&self.home, |entry| u64::from(entry.position) < end)?;
        Ok(self.offsets.get(&self.home, at)?.map(|entry| entry.offset))
    }

    /// Cuts file and indexes so that all offsets are below `offset`. Returns the size that is left.
    pub(crate) fn truncate(&self, offset: i64, now_ms: i64, slow: &Slow) -> Result<u64, LogError> {
        let cut_at = self.find(offset, self.size(), false)?.map_or(self.size(), |placed| placed.position);
        let entries = self.offsets.partition_point(&self.home, |entry| entry.offset < offset)?;
        self.offsets.truncate(&self.home, entries, slow)?;
        let entries = self.times.partition_point(&self.home, |entry| entry.offset < offset)?;
        self.times.truncate(&self.home, entries, slow)?;
        self.transactions.truncate(&self.home, offset, slow)?;
        self.cut_file(cut_at, slow)?;
        let mut state = self.state.lock();
        state.unindexed_bytes = 0;
        state.newest = None;
        if cut_at == 0 {
            state.created_ms = now_ms;
            state.first_timestamp = None;
        }
        drop(state);
        self.look_for_newest(cut_at)?;
        Ok(cut_at)
    }

    /// The newest timestamp may lie behind the last time entry.
    fn look_for_newest(&self, size: u64) -> Result<(), LogError> {
        let mut newest = self.newest()?;
        let entry = self.offsets.last_where(&self.home, |entry| entry.offset <= newest.offset)?;
        let from = entry.map_or(0, |entry| u64::from(entry.position));
        let mut scanner = Scanner::new(self.file()?.as_ref(), from, size, Scanner::LOOKUP);
        while let Some(Placed { batch, .. }) = scanner.next().map_err(|error| self.scan_failed(error))? {
            if batch.max_timestamp > newest.timestamp {
                newest = TimeEntry { timestamp: batch.max_timestamp, offset: batch.last_offset };
            }
        }
        self.state.lock().newest = Some(newest);
        Ok(())
    }

    /// Cuts the file to `size` bytes.
    pub(crate) fn cut_file(&self, size: u64, slow: &Slow) -> Result<(), LogError> {
        self.file()?.truncate(size, slow).map_err(|error| self.failed("truncating", error))?;
        self.set_size(size);
        Ok(())
    }

    /// Renames the files so that no start finds them: `.deleted` behind each name.
    pub(crate) fn mark_deleted(&self, slow: &Slow) -> Result<(), LogError> {
        for kind in FileKind::SEGMENT {
            self.home.with_path(&kind.name(self.base_offset), |from| {
                let to = from.with_file_name(deleted_name(kind, self.base_offset));
                match self.home.disk.rename(&from, &to, slow) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    renamed => renamed.map_err(|error| LogError::storage("renaming", from, error)),
                }
            })?;
        }
        Ok(())
    }

    /// Removes the files that [`Segment::mark_deleted`] renamed.
    pub(crate) fn remove_deleted(&self, slow: &Slow) -> Result<(), LogError> {
        for kind in FileKind::SEGMENT {
            self.home.with_path(&deleted_name(kind, self.base_offset), |path| {
                match self.home.disk.remove_file(&path, slow) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    removed => removed.map_err(|error| LogError::storage("removing", path, error)),
                }
            })?;
        }
        Ok(())
    }

    /// Starts the indexes anew, keeping what lies before `offset` and can be trusted. Where to walk the file from.
    pub(crate) fn begin_reindex(&self, offset: i64, slow: &Slow) -> Result<u64, LogError> {
        let entries = self.offsets.rising_entries(&self.home, offset)?;
        let last = match entries.checked_sub(1) {
            Some(index) => self.offsets.get(&self.home, index)?,
            None => None,
        };
        let start = last.filter(|entry| self.starts_batch(entry));
        let (entries, below) = if start.is_some() { (entries, offset) } else { (0, self.base_offset) };
        self.offsets.truncate(&self.home, entries, slow)?;
        let times = self.times.rising_entries(&self.home, below)?;
        self.times.truncate(&self.home, times, slow)?;
        self.transactions.truncate(&self.home, offset, slow)?;
        let mut state = self.state.lock();
        (state.newest, state.first_timestamp, state.unindexed_bytes) = (None, None, 0);
        Ok(start.map_or(0, |entry| u64::from(entry.position)))
    }

    fn starts_batch(&self, entry: &OffsetEntry) -> bool {
        let Ok(file) = self.file() else { return false };
        let Ok(size) = file.len() else { return false };
        let found = Scanner::new(file.as_ref(), u64::from(entry.position), size, 64).next();
        matches!(found, Ok(Some(placed)) if placed.batch.last_offset == entry.offset)
    }

    /// Accounts for a batch that a walk found in the file. `first`: it is the one that the last index entry names.
    pub(crate) fn reindex(&self, placed: &Placed, indexed: bool, config: &LogConfig) -> Result<(), LogError> {
        let Summary { size, last_offset, max_timestamp, .. } = placed.batch;
        if indexed {
            // Its entry was kept: it counts as just indexed.
            let mut state = self.state.lock();
            state.unindexed_bytes = size;
            drop(state);
            self.set_size(placed.position + size);
            return Ok(());
        }
        self.set_size(placed.position);
        self.grown(&Growth { bytes: size, last_offset, max_timestamp, max_timestamp_offset: last_offset }, config)
    }

    /// Makes the index files if they are missing.
    pub(crate) fn create_indexes(&self) -> Result<(), LogError> {
        self.offsets.create_file(&self.home)?;
        self.times.create_file(&self.home)
    }
}

fn deleted_name(kind: FileKind, offset: i64) -> String {
    format!("{}.deleted", kind.name(offset))
}
