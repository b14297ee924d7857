//! Appending: what happens under the append lock, for one append or several that came together, and what it leaves to do after it.

use std::io::IoSlice;
use std::sync::Arc;

use base::{Monotonic, Now};
use bytes::Bytes;
use kafka_proto::record::{Batch, Batches, EndTransactionMarker, Magic};
use smallvec::SmallVec;

use super::{Log, Mode, State, refresh_unstable};
use crate::batch::{Producer, Summary};
use crate::partition::FileKind;
use crate::producers::{AppendedBatch, EndMarker, Update, Verdict};
use crate::segment::{Growth, Segment};
use crate::shared::is_full;
use crate::types::{AppendInfo, Level, OffsetPosition, Origin};
use crate::validate::{self, BatchInfo, Checked, InvalidRecords, Prepared};
use crate::view::{Mark, View};
use crate::{LogConfig, LogError, snapshot};

/// How long a disk that has no room to cut off a failed write is left alone.
const TRIM_BACKOFF_MS: u64 = 1000;

/// The batches of an append with the markers of control batches.
type Summaries = SmallVec<[(Summary, Option<EndMarker>); 1]>;

/// What is left to do once the append lock is free.
#[derive(Debug, Default)]
struct After {
    rolled: bool,
    epochs_changed: bool,
    flush: bool,
    trim: bool,
    /// The disk is full, or has room again, unlike at the append before.
    full: Option<bool>,
    failed: Option<LogError>,
}

/// Appends under one hold of the append lock, each judged as if it came alone. Those that are taken share a write where they go into
/// one segment.
struct Run<'a> {
    log: &'a Log,
    state: &'a mut State,
    config: &'a LogConfig,
    origin: Origin,
    now: Now,
    /// As it was published last: nobody else moves segments, start or end.
    view: View,
    /// Behind what waits to be written.
    end_offset: i64,
    waiting: Vec<Waiting>,
    /// What the appends that wait change, in their order.
    updates: Vec<Update>,
    results: Vec<Result<AppendInfo, LogError>>,
    /// The results from here on hold once what waits is written.
    settled: usize,
    after: After,
}

/// An append that was taken and is not written yet.
struct Waiting {
    records: Prepared,
    growth: Growth,
}

impl Log {
    /// Appends what [`validate::check`] found good, with offsets from the log's end on and the leader's epoch.
    pub fn append_as_leader(
        &self,
        records: Checked,
        leader_epoch: i32,
        origin: Origin,
        now: Now,
    ) -> Result<AppendInfo, LogError> {
        let results = self.append_all_as_leader(std::iter::once(records), leader_epoch, origin, now);
        results.into_iter().next().expect("one append has one result")
    }

    /// Appends what came together as [`Log::append_as_leader`] would one by one; a result for each. What is refused leaves no gap,
    /// but a write is shared: if it fails, so do all appends in it.
    pub fn append_all_as_leader(
        &self,
        all: impl Iterator<Item = Checked>,
        leader_epoch: i32,
        origin: Origin,
        now: Now,
    ) -> Vec<Result<AppendInfo, LogError>> {
        self.append_run(origin, now, |run| {
            for records in all {
                let end_offset = run.end_offset;
                run.take(|_| Ok(records.assign(end_offset, leader_epoch)?));
            }
        })
    }

    /// Appends what the leader sent, with the offsets and epochs it bears. Bytes behind the last whole batch are passed over. What is
    /// larger than a segment is appended in pieces of whole batches: the leader's segments may have been larger. If one of them is
    /// refused, those before it stay.
    pub fn append_as_follower(&self, records: &Bytes, now: Now) -> Result<AppendInfo, LogError> {
        let append = validate::Append {
            partition: &self.partition,
            origin: Origin::Replication,
            produce_version: 0,
            zstd_allowed: true,
            now_ms: now.wall_ms,
        };
        let config = self.config();
        let mut all: SmallVec<[Prepared; 1]> = SmallVec::new();
        for piece in pieces(records, config.segment_bytes as usize) {
            let records = validate::check(&piece, &config, &append)?.keep_offsets();
            let previous = all.last().and_then(|last| last.batches().last()).map(|last| last.last_offset);
            if let (Some(previous), Some(first)) = (previous, records.batches().first())
                && first.last_offset <= previous
            {
                return Err(InvalidRecords::OutOfOrder { last_offset: first.last_offset, previous }.into());
            }
            all.push(records);
        }
        let results = self.append_run(Origin::Replication, now, |run| {
            for records in all {
                let has_failed = run.results.iter().any(Result::is_err);
                if !has_failed {
                    run.take(|view| check_given_offsets(view, records.batches()).map(|()| records));
                }
            }
        });
        let results: SmallVec<[AppendInfo; 1]> = results.into_iter().collect::<Result<_, _>>()?;
        let (first, last) = (results.first(), results.last());
        let (first, last) = (first.expect("there is a piece"), last.expect("there is a piece"));
        Ok(AppendInfo { first_offset: first.first_offset, log_start_offset: first.log_start_offset, ..*last })
    }

    fn append_run(
        &self,
        origin: Origin,
        now: Now,
        take_all: impl FnOnce(&mut Run<'_>),
    ) -> Vec<Result<AppendInfo, LogError>> {
        let config = self.config();
        let (results, after) = {
            let mut state = self.state.lock();
            let mut run = Run::begin(self, &mut state, &config, origin, now);
            take_all(&mut run);
            run.end()
        };
        self.finish(after, now);
        results
    }

    pub(super) fn check_open(&self, state: &State) -> Result<(), LogError> {
        let refused = |why| Err(LogError::AppendsRefused { partition: self.partition.clone(), why });
        match state.mode {
            Mode::Open => Ok(()),
            Mode::Trimming => refused("a failed write is being cut off"),
            Mode::Truncating => refused("the log is being truncated"),
            Mode::Closed => Err(self.closed()),
        }
    }

    /// The new end becomes visible.
    fn publish_end(&self, state: &State, end: OffsetPosition, transactions_indexed: bool) {
        let mut view = self.view.write();
        view.end = end;
        if transactions_indexed {
            refresh_unstable(state, &mut view);
        }
    }

    /// Ends the active segment and begins one at the log's end, or at `first_offset` if that is larger.
    pub(super) fn roll_locked(
        &self,
        state: &mut State,
        first_offset: i64,
        config: &LogConfig,
        now: Now,
    ) -> Result<Arc<Segment>, LogError> {
        let view = self.view.read().clone();
        let active = view.active();
        let base_offset = first_offset.max(view.end.offset);
        if base_offset <= active.base_offset {
            // An empty segment whose indexes can hold nothing: rolling it would make the same one again.
            return Ok(Arc::clone(active));
        }
        active.close_indexes()?;
        state.producers.end_offset = base_offset;
        self.write_snapshot(state, base_offset);
        let segment = Segment::create(&self.home, base_offset, self.shared.roll_jitter_ms(config), now.wall_ms)?;
        let mut segments = view.segments.as_ref().clone();
        segments.push(Arc::clone(&segment));
        let mut published = self.view.write();
        published.segments = Arc::new(segments);
        published.end = OffsetPosition { offset: published.end.offset, segment: base_offset, position: 0 };
        if published.high_watermark.offset >= published.end.offset {
            published.high_watermark = Mark::placed(published.end);
        }
        Ok(segment)
    }

    /// Writes the producers' state at `offset` to the page cache, unless there is nothing behind the last snapshot or the first
    /// offset of all. A snapshot saves a scan, no more: a failure is no error.
    pub(super) fn write_snapshot(&self, state: &mut State, offset: i64) {
        if state.snapshots.last().copied().unwrap_or(0) >= offset {
            return;
        }
        let content = snapshot::encode(&state.producers);
        let opened = self.home.open(FileKind::ProducerSnapshot, offset, base::OpenMode::Create);
        if opened.is_ok_and(|file| file.write_at(&[IoSlice::new(&content)], 0).is_ok()) {
            state.snapshots.push(offset);
        }
    }

    /// Leader epochs that the batches bear; magic 0 and 1 have none, and one of them takes the others' meaning away.
    fn note_epochs(&self, batches: &[BatchInfo], config: &LogConfig) -> bool {
        let changes = |batch: &BatchInfo| {
            if batch.magic < Magic::V2 {
                return self.epochs.read().latest().is_some();
            }
            config.message_magic >= 2 && self.epochs.read().latest().is_none_or(|last| last.epoch != batch.leader_epoch)
        };
        let mut changed = false;
        for batch in batches.iter().filter(|batch| changes(batch)) {
            let mut epochs = self.epochs.write();
            match batch.magic < Magic::V2 {
                true => epochs.clear(),
                false => changed |= epochs.assign(batch.leader_epoch, batch.base_offset),
            }
            changed |= batch.magic < Magic::V2;
        }
        changed
    }

    /// A write failed: nothing was published, but a part may be in the file.
    fn write_failed(&self, state: &mut State, error: LogError, after: &mut After) -> LogError {
        if is_full(&error) {
            state.mode = Mode::Trimming;
            after.trim = true;
            return self.refused_full(state, after);
        }
        state.mode = Mode::Closed;
        after.failed = Some(error.clone());
        error
    }

    fn refused_full(&self, state: &mut State, after: &mut After) -> LogError {
        if !std::mem::replace(&mut state.full, true) {
            after.full = Some(true);
        }
        LogError::AppendsRefused { partition: self.partition.clone(), why: "the disk is full" }
    }

    /// What an append leaves behind it, with the lock free.
    fn finish(&self, after: After, now: Now) {
        if let Some(error) = after.failed {
            let _ = self.report::<()>(Err(error));
            return;
        }
        if after.rolled || after.flush {
            self.queue_flush(after.flush, now);
        } else if after.epochs_changed {
            self.submit_epochs();
        }
        if after.rolled {
            self.say(Level::Info, &format!("Rolled new log segment at offset {}.", self.active_segment()));
        }
        match after.full {
            Some(true) => self.say(Level::Error, "The disk is full: appends are refused until there is room."),
            Some(false) => self.say(Level::Info, "The disk has room again: appends are taken."),
            None => {}
        }
        if after.trim {
            self.submit_trim(now.monotonic);
        }
    }

    pub(super) fn submit_trim(&self, now: Monotonic) {
        if let Some(log) = self.me.upgrade() {
            self.shared.submit(move |slow| log.trim(now, slow));
        }
    }

    /// Cuts off what a failed write left, then takes appends again; if the disk is still full, the next one says so. Some file systems
    /// need room to cut: then it is tried again later.
    fn trim(self: &Arc<Self>, now: Monotonic, slow: &base::Slow) {
        let view = self.view.read().clone();
        let cut = view.active().cut_file(view.end.position, slow);
        let waits = cut.as_ref().is_err_and(is_full);
        let mut state = self.state.lock();
        if state.mode == Mode::Trimming && !waits {
            state.mode = if cut.is_ok() { Mode::Open } else { Mode::Closed };
        }
        let waits = waits && state.mode == Mode::Trimming;
        drop(state);
        if waits {
            let (log, at) = (Arc::clone(self), now.plus_ms(TRIM_BACKOFF_MS));
            self.shared.later(at, move |slow| log.trim(at, slow));
        }
        let _ = self.report(cut);
    }
}

impl<'a> Run<'a> {
    fn begin(log: &'a Log, state: &'a mut State, config: &'a LogConfig, origin: Origin, now: Now) -> Self {
        let view = log.view.read().clone();
        Self {
            log,
            state,
            config,
            origin,
            now,
            end_offset: view.end.offset,
            view,
            waiting: Vec::new(),
            updates: Vec::new(),
            results: Vec::new(),
            settled: 0,
            after: After::default(),
        }
    }

    /// Takes one append. `prepare` gives it its offsets, or finds that they don't fit.
    fn take(&mut self, prepare: impl FnOnce(&View) -> Result<Prepared, LogError>) {
        let open = match self.after.failed {
            // The log is about to be closed.
            Some(_) => Err(self.log.closed()),
            None => self.log.check_open(self.state),
        };
        let result = open.and_then(|()| prepare(&self.view)).and_then(|records| self.admit(records));
        self.results.push(result);
    }

    /// Puts an append behind those that wait, unless it is refused.
    fn admit(&mut self, records: Prepared) -> Result<AppendInfo, LogError> {
        let (Some(first), Some(last)) = (records.batches().first(), records.batches().last()) else {
            return Ok(self.nothing_appended());
        };
        let growth = growth(&records, last.last_offset);
        if growth.bytes > u64::from(self.config.segment_bytes) {
            let segment_bytes = self.config.segment_bytes;
            return Err(LogError::BatchTooLarge { bytes: growth.bytes, segment_bytes });
        }
        let mut update = None;
        if records.batches().iter().any(|batch| batch.producer_id >= 0) {
            let batches: Summaries = records.batches().iter().map(summary).collect();
            let appended = batches.iter().map(|(batch, marker)| (batch, *marker));
            match self.state.producers.check(&self.updates, appended, self.origin)? {
                Verdict::Append(found) => update = Some(found),
                Verdict::Duplicate(found) => return Ok(self.duplicate(&found)),
            }
        }
        self.make_room(first, &growth)?;
        let info = self.info(first.base_offset, &growth);
        self.end_offset = info.log_end_offset;
        self.after.flush |= info.flush_wanted;
        self.waiting.push(Waiting { records, growth });
        self.updates.extend(update);
        if self.view.active().size() == 0 {
            // When to roll goes by the time of the segment's first append: it is not made to wait.
            self.write()?;
        }
        Ok(info)
    }

    /// Begins a new segment if an append does not belong in the active one.
    fn make_room(&mut self, first: &BatchInfo, growth: &Growth) -> Result<(), LogError> {
        if !self.should_roll(growth)? {
            return Ok(());
        }
        if !self.waiting.is_empty() {
            // That goes into the old segment. How many index entries it takes is known then.
            self.write()?;
            if !self.should_roll(growth)? {
                return Ok(());
            }
        }
        // In magic 0 and 1 the first offset is not known without decompression; it is at least this.
        let first_offset =
            if first.magic >= Magic::V2 { first.base_offset } else { growth.last_offset - i64::from(i32::MAX) };
        match self.log.roll_locked(self.state, first_offset, self.config, self.now) {
            Ok(_) => {
                self.after.rolled = true;
                self.view = self.log.view.read().clone();
                Ok(())
            }
            Err(error) if is_full(&error) => Err(self.log.refused_full(self.state, &mut self.after)),
            Err(error) => {
                self.after.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn should_roll(&self, growth: &Growth) -> Result<bool, LogError> {
        let waiting = self.waiting.iter().map(|one| one.growth.bytes);
        self.view.active().should_roll(waiting, growth, self.config, self.now.wall_ms)
    }

    /// Writes and publishes what waits. If that fails, none of it was appended.
    fn write(&mut self) -> Result<(), LogError> {
        let written = if self.waiting.is_empty() { Ok(()) } else { self.write_waiting() };
        if let Err(error) = &written {
            self.end_offset = self.view.end.offset;
            self.results.iter_mut().skip(self.settled).filter(|result| result.is_ok()).for_each(|result| {
                *result = Err(error.clone());
            });
        }
        self.settled = self.results.len();
        written
    }

    fn write_waiting(&mut self) -> Result<(), LogError> {
        let (waiting, updates) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.updates));
        let segment = Arc::clone(self.view.active());
        let position = segment.size();
        let slices = waiting.iter().flat_map(|one| one.records.slices()).map(IoSlice::new);
        let slices: SmallVec<[IoSlice<'_>; 2]> = slices.collect();
        let written = segment
            .file()
            .and_then(|file| file.write_at(&slices, position).map_err(|error| segment.failed("writing", error)));
        written.map_err(|error| self.log.write_failed(self.state, error, &mut self.after))?;
        for Waiting { records, growth } in &waiting {
            segment.grown(growth, self.config).inspect_err(|error| self.after.failed = Some(error.clone()))?;
            self.after.epochs_changed |= self.log.note_epochs(records.batches(), self.config);
        }
        let producers = &mut self.state.producers;
        let mut apply = |update| producers.apply(update, |done, stable| segment.end_transaction(done, stable));
        let indexed = updates.into_iter().map(&mut apply).fold(Ok(()), Result::and);
        let end = OffsetPosition { offset: self.end_offset, segment: segment.base_offset, position: segment.size() };
        self.state.producers.end_offset = end.offset;
        if std::mem::replace(&mut self.state.full, false) {
            self.after.full = Some(false);
        }
        self.log.publish_end(self.state, end, indexed.is_ok());
        self.view.end = end;
        // An aborted transaction that is not indexed would be read as committed: the directory is not to be used.
        indexed.inspect_err(|error| self.after.failed = Some(error.clone()))?;
        self.state.dirty_since.get_or_insert(self.now.monotonic);
        Ok(())
    }

    fn end(mut self) -> (Vec<Result<AppendInfo, LogError>>, After) {
        // An error stands in the results.
        let _ = self.write();
        (self.results, self.after)
    }

    /// What is told of an append that was taken.
    fn info(&self, first_offset: i64, growth: &Growth) -> AppendInfo {
        let log_end_offset = growth.last_offset + 1;
        let stamped = self.config.log_append_time && self.origin != Origin::Replication;
        AppendInfo {
            first_offset,
            last_offset: growth.last_offset,
            max_timestamp: growth.max_timestamp,
            log_append_time: if stamped { growth.max_timestamp } else { -1 },
            log_start_offset: self.view.log_start,
            log_end_offset,
            duplicate: false,
            flush_wanted: log_end_offset - self.state.recovery_point >= self.config.flush_messages,
        }
    }

    /// What is told of an append of nothing.
    fn nothing_appended(&self) -> AppendInfo {
        AppendInfo {
            first_offset: -1,
            last_offset: -1,
            max_timestamp: -1,
            log_append_time: -1,
            log_start_offset: self.view.log_start,
            log_end_offset: self.end_offset,
            duplicate: false,
            flush_wanted: false,
        }
    }

    /// What is told of a batch that is in the log.
    fn duplicate(&self, found: &AppendedBatch) -> AppendInfo {
        AppendInfo {
            first_offset: found.first_offset(),
            last_offset: found.last_offset,
            max_timestamp: found.timestamp,
            log_append_time: found.timestamp,
            duplicate: true,
            ..self.nothing_appended()
        }
    }
}

/// Records in pieces of whole batches that a segment takes; in one piece if they fit, or can't be told apart.
fn pieces(records: &Bytes, segment_bytes: usize) -> SmallVec<[Bytes; 1]> {
    let mut all = SmallVec::new();
    let (mut start, mut end) = (0, 0);
    let mut batches = Batches::new(records);
    while records.len() - start > segment_bytes
        && let Some(Ok(batch)) = batches.next()
    {
        if end > start && end + batch.size() - start > segment_bytes {
            all.push(records.slice(start..end));
            start = end;
        }
        end += batch.size();
    }
    all.push(records.slice(start..));
    all
}

/// A follower's append continues the log.
fn check_given_offsets(view: &View, batches: &[BatchInfo]) -> Result<(), LogError> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(()) };
    let log_end_offset = view.end.offset;
    match first.base_offset < log_end_offset {
        true => Err(LogError::UnexpectedAppendOffset {
            first_offset: first.base_offset,
            last_offset: last.last_offset,
            log_end_offset,
        }),
        false => Ok(()),
    }
}

fn growth(records: &Prepared, last_offset: i64) -> Growth {
    Growth {
        bytes: records.size() as u64,
        last_offset,
        max_timestamp: records.max_timestamp(),
        max_timestamp_offset: records.offset_of_max_timestamp(),
    }
}

fn summary(info: &BatchInfo) -> (Summary, Option<EndMarker>) {
    let producer = Producer {
        id: info.producer_id,
        epoch: info.producer_epoch,
        base_sequence: info.base_sequence,
        transactional: info.transactional,
        control: info.control,
    };
    let summary = Summary {
        magic: info.magic.byte(),
        base_offset: info.base_offset,
        last_offset: info.last_offset,
        size: info.size as u64,
        leader_epoch: info.leader_epoch,
        max_timestamp: info.max_timestamp,
        producer: (info.producer_id >= 0).then_some(producer),
    };
    (summary, info.marker.map(|marker| end(&marker, info.max_timestamp)))
}

const fn end(marker: &EndTransactionMarker, timestamp: i64) -> EndMarker {
    EndMarker { aborted: !marker.commit, coordinator_epoch: marker.coordinator_epoch, timestamp }
}

/// The end marker of a control batch; `None` for other batches, other control records, and control batches without records.
pub(super) fn end_marker(batch: &Summary, bytes: &[u8]) -> Result<Option<EndMarker>, LogError> {
    if !batch.producer.is_some_and(|producer| producer.control) {
        return Ok(None);
    }
    let marker =
        Batch::new(bytes).and_then(|batch| EndTransactionMarker::of_batch(&batch)).map_err(InvalidRecords::from)?;
    Ok(marker.map(|marker| end(&marker, batch.max_timestamp)))
}
