//! Appending: what happens under the append lock, and what it leaves to do after it.

use std::io::IoSlice;
use std::sync::Arc;

use base::Now;
use bytes::Bytes;
use kafka_proto::record::{Batch, EndTransactionMarker};
use smallvec::SmallVec;

use super::{Log, Mode, State, refresh_unstable};
use crate::batch::{Producer, Summary};
use crate::partition::FileKind;
use crate::producers::{AppendedBatch, EndMarker, Verdict};
use crate::segment::{Growth, Segment};
use crate::shared::is_full;
use crate::types::{AppendInfo, Level, OffsetPosition, Origin};
use crate::validate::{self, BatchInfo, Checked, InvalidRecords, Prepared};
use crate::view::{Mark, View};
use crate::{LogConfig, LogError, snapshot};

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

impl Log {
    /// Appends what [`validate::check`] found good, with offsets from the log's end on and the leader's epoch.
    pub fn append_as_leader(
        &self,
        records: Checked,
        leader_epoch: i32,
        origin: Origin,
        now: Now,
    ) -> Result<AppendInfo, LogError> {
        let config = self.config();
        let mut after = After::default();
        let result = {
            let mut state = self.state.lock();
            let view = self.view.read().clone();
            self.check_open(&state)
                .and_then(|()| Ok(records.assign(view.end.offset, leader_epoch)?))
                .and_then(|records| self.append_locked(&mut state, &view, &records, &config, origin, now, &mut after))
        };
        self.finish(after, now);
        result
    }

    /// Appends what the leader sent, with the offsets and epochs it bears. Bytes behind the last whole batch are passed over.
    pub fn append_as_follower(&self, records: &Bytes, now: Now) -> Result<AppendInfo, LogError> {
        let config = self.config();
        let append = validate::Append {
            partition: &self.partition,
            origin: Origin::Replication,
            produce_version: 0,
            zstd_allowed: true,
            now_ms: now.wall_ms,
        };
        let records = validate::check(records, &config, &append)?.keep_offsets();
        let mut after = After::default();
        let result = {
            let mut state = self.state.lock();
            let view = self.view.read().clone();
            let origin = Origin::Replication;
            self.check_open(&state)
                .and_then(|()| check_given_offsets(&view, records.batches()))
                .and_then(|()| self.append_locked(&mut state, &view, &records, &config, origin, now, &mut after))
        };
        self.finish(after, now);
        result
    }

    fn check_open(&self, state: &State) -> Result<(), LogError> {
        let refused = |why| Err(LogError::AppendsRefused { partition: self.partition.clone(), why });
        match state.mode {
            Mode::Open => Ok(()),
            Mode::Trimming => refused("a failed write is being cut off"),
            Mode::Truncating => refused("the log is being truncated"),
            Mode::Closed => Err(self.closed()),
        }
    }

    /// `view` is that of the append lock's holder.
    #[expect(clippy::too_many_arguments, reason = "two callers; a struct would only rename them")]
    fn append_locked(
        &self,
        state: &mut State,
        view: &View,
        records: &Prepared,
        config: &LogConfig,
        origin: Origin,
        now: Now,
        after: &mut After,
    ) -> Result<AppendInfo, LogError> {
        let batches: Summaries = records.batches().iter().map(summary).collect();
        let (Some((first, _)), Some((last, _))) = (batches.first(), batches.last()) else {
            return Ok(nothing_appended(view));
        };
        let growth = growth(records, last.last_offset);
        if growth.bytes > u64::from(config.segment_bytes) {
            return Err(LogError::BatchTooLarge { bytes: growth.bytes, segment_bytes: config.segment_bytes });
        }
        let update = match state.producers.check(batches.iter().map(|(batch, marker)| (batch, *marker)), origin)? {
            Verdict::Append(update) => update,
            Verdict::Duplicate(found) => return Ok(duplicate(&found, view)),
        };
        let segment = self.segment_for(state, view, first, &growth, config, now, after)?;
        let position = segment.size();
        let slices = records.slices().map(IoSlice::new);
        let written = segment
            .file()
            .and_then(|file| file.write_at(&slices, position).map_err(|error| segment.failed("writing", error)));
        written.map_err(|error| self.write_failed(state, error, after))?;
        segment.grown(&growth, config).inspect_err(|error| after.failed = Some(error.clone()))?;
        after.epochs_changed |= self.note_epochs(&batches, config);
        let indexed =
            state.producers.apply(update, |done, last_stable_offset| segment.end_transaction(done, last_stable_offset));
        let end = OffsetPosition {
            offset: growth.last_offset + 1,
            segment: segment.base_offset,
            position: position + growth.bytes,
        };
        state.producers.end_offset = end.offset;
        if std::mem::replace(&mut state.full, false) {
            after.full = Some(false);
        }
        let log_start_offset = self.publish_end(state, end, indexed.is_ok());
        // An aborted transaction that is not indexed would be read as committed: the directory is not to be used.
        indexed.inspect_err(|error| after.failed = Some(error.clone()))?;
        state.dirty_since.get_or_insert(now.monotonic);
        let flush_wanted = end.offset - state.recovery_point >= config.flush_messages;
        after.flush |= flush_wanted;
        Ok(AppendInfo {
            first_offset: first.base_offset,
            last_offset: growth.last_offset,
            max_timestamp: growth.max_timestamp,
            log_append_time: if config.log_append_time && origin != Origin::Replication {
                growth.max_timestamp
            } else {
                -1
            },
            log_start_offset,
            log_end_offset: end.offset,
            duplicate: false,
            flush_wanted,
        })
    }

    /// The new end becomes visible. Returns the log's start.
    fn publish_end(&self, state: &State, end: OffsetPosition, transactions_indexed: bool) -> i64 {
        let mut view = self.view.write();
        view.end = end;
        if transactions_indexed {
            refresh_unstable(state, &mut view);
        }
        view.log_start
    }

    /// The active segment, or a new one if the append does not belong there.
    #[expect(clippy::too_many_arguments, reason = "one caller; a struct would only rename them")]
    fn segment_for(
        &self,
        state: &mut State,
        view: &View,
        first: &Summary,
        growth: &Growth,
        config: &LogConfig,
        now: Now,
        after: &mut After,
    ) -> Result<Arc<Segment>, LogError> {
        let active = view.active();
        if !active.should_roll(growth, config, now.wall_ms)? {
            return Ok(Arc::clone(active));
        }
        // In magic 0 and 1 the first offset is not known without decompression; it is at least this.
        let first_offset = if first.magic >= 2 { first.base_offset } else { growth.last_offset - i64::from(i32::MAX) };
        match self.roll_locked(state, first_offset, config, now) {
            Ok(segment) => {
                after.rolled = true;
                Ok(segment)
            }
            Err(error) if is_full(&error) => Err(self.refused_full(state, after)),
            Err(error) => {
                after.failed = Some(error.clone());
                Err(error)
            }
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
    fn note_epochs(&self, batches: &Summaries, config: &LogConfig) -> bool {
        let changes = |batch: &Summary| {
            if batch.magic < 2 {
                return self.epochs.read().latest().is_some();
            }
            config.message_magic >= 2 && self.epochs.read().latest().is_none_or(|last| last.epoch != batch.leader_epoch)
        };
        let mut changed = false;
        for (batch, _) in batches.iter().filter(|(batch, _)| changes(batch)) {
            let mut epochs = self.epochs.write();
            match batch.magic < 2 {
                true => epochs.clear(),
                false => changed |= epochs.assign(batch.leader_epoch, batch.base_offset),
            }
            changed |= batch.magic < 2;
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
        if after.trim
            && let Some(log) = self.me.upgrade()
        {
            self.shared.submit(move |slow| log.trim(slow));
        }
    }

    /// Cuts off what a failed write left, then takes appends again; if the disk is still full, the next one says so.
    fn trim(&self, slow: &base::Slow) {
        let view = self.view.read().clone();
        let cut = view.active().cut_file(view.end.position, slow);
        let mut state = self.state.lock();
        if state.mode == Mode::Trimming {
            state.mode = if cut.is_ok() { Mode::Open } else { Mode::Closed };
        }
        drop(state);
        let _ = self.report(cut);
    }
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

/// What is told of an append of nothing.
fn nothing_appended(view: &View) -> AppendInfo {
    AppendInfo {
        first_offset: -1,
        last_offset: -1,
        max_timestamp: -1,
        log_append_time: -1,
        log_start_offset: view.log_start,
        log_end_offset: view.end.offset,
        duplicate: false,
        flush_wanted: false,
    }
}

/// What is told of a batch that is in the log.
fn duplicate(found: &AppendedBatch, view: &View) -> AppendInfo {
    AppendInfo {
        first_offset: found.first_offset(),
        last_offset: found.last_offset,
        max_timestamp: found.timestamp,
        log_append_time: found.timestamp,
        duplicate: true,
        ..nothing_appended(view)
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
