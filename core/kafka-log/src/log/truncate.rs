//! Truncation: a follower drops what its leader does not have.
//!
//! Appends are refused meanwhile; readers see the shorter log at once; files are cut and renamed with no lock held.

use std::sync::Arc;

use base::{Now, Slow};

use super::load::{load_snapshot, replay_segments};
use super::{Log, Mode, State, refresh_unstable};
use crate::LogError;
use crate::error::sync_dir;
use crate::partition::FileKind;
use crate::producers::Producers;
use crate::segment::Segment;
use crate::shared::is_full;
use crate::types::{Level, OffsetPosition};
use crate::view::{Mark, View};

/// A log on its way to being cut.
pub(crate) struct Truncation {
    /// As it was when appends ended.
    view: View,
    /// Whether the recovery point stood behind the cut.
    pub(crate) lowered: bool,
}

impl Log {
    /// No append is taken from here on, and nothing from `durable_max` on counts as durable. Comes before
    /// [`Log::truncate_to`] and [`Log::truncate_fully_and_start_at`], so that the checkpoint can be written in between.
    pub(crate) fn begin_truncation(&self, durable_max: i64) -> Result<Truncation, LogError> {
        let mut state = self.state.lock();
        // A failed write is cut off first: two that cut one file would come into each other's way.
        self.check_open(&state)?;
        state.mode = Mode::Truncating;
        state.truncations += 1;
        let lowered = durable_max < state.recovery_point;
        state.recovery_point = state.recovery_point.min(durable_max);
        Ok(Truncation { view: self.view.read().clone(), lowered })
    }

    /// Nothing was cut, and nothing is. What a failed write may have left is cut off once more.
    pub(crate) fn give_up_truncation(&self, now: Now) -> LogError {
        {
            let mut state = self.state.lock();
            if state.mode == Mode::Truncating {
                state.mode = Mode::Trimming;
            }
        }
        self.submit_trim(now.monotonic);
        LogError::AppendsRefused { partition: self.partition.clone(), why: "the disk is full" }
    }

    /// Cuts the log so that it ends at `offset`, or before it if a batch reaches behind it; false if it ended there or before.
    pub(crate) fn truncate_to(
        &self,
        truncation: &Truncation,
        offset: i64,
        now: Now,
        slow: &Slow,
    ) -> Result<bool, LogError> {
        let (offset, view) = (offset.max(0), &truncation.view);
        let result = if offset >= view.end.offset {
            // An epoch that began at the end, and wrote nothing, is not the leader's.
            self.epochs.write().truncate_from_end(view.end.offset);
            self.end_truncation(None, slow).map(|()| false)
        } else if view.segments.first().is_some_and(|first| first.base_offset > offset) {
            self.restart_at(view, offset, now, slow).map(|()| true)
        } else {
            self.cut(view, offset, now, slow).map(|()| true)
        };
        self.truncated(result)
    }

    /// Drops all and starts at `offset`.
    pub(crate) fn truncate_fully_and_start_at(
        &self,
        truncation: &Truncation,
        offset: i64,
        now: Now,
        slow: &Slow,
    ) -> Result<(), LogError> {
        self.truncated(self.restart_at(&truncation.view, offset.max(0), now, slow))
    }

    /// Opens the log again, with other producers if it was cut.
    fn end_truncation(&self, producers: Option<Producers>, slow: &Slow) -> Result<(), LogError> {
        match self.write_epochs(slow) {
            // Those that are on the disk end where the log does, or are contradicted by what comes behind it: they can wait for a flush.
            Err(error) if is_full(&error) => {}
            written => written?,
        }
        let mut state = self.state.lock();
        let mut view = self.view.write();
        if let Some(producers) = producers {
            state.producers = producers;
            state.producers.high_watermark_reached(view.high_watermark.offset);
            state.recovery_point = state.recovery_point.min(view.end.offset);
        }
        refresh_unstable(&state, &mut view);
        if state.mode == Mode::Truncating {
            state.mode = Mode::Open;
        }
        Ok(())
    }

    fn truncated<T>(&self, result: Result<T, LogError>) -> Result<T, LogError> {
        // With half of it cut, the log is not to be used, were it but for want of room.
        result.inspect_err(|error| {
            self.state.lock().mode = Mode::Closed;
            self.shared.surroundings.directory_failed(&self.log_dir(), error);
        })
    }

    fn cut(&self, view: &View, offset: i64, now: Now, slow: &Slow) -> Result<(), LogError> {
        self.say(Level::Info, &format!("Truncating to offset {offset}"));
        let place = self.find(view, offset, false)?;
        let keep = view.segments.partition_point(|segment| segment.base_offset <= offset);
        let (kept, dropped) = view.segments.split_at(keep);
        let Some(active) = kept.last() else { return Ok(()) };
        // Where the place lies in a dropped segment, the kept ones stay whole.
        let position = if place.segment == active.base_offset { place.position } else { active.size() };
        // A batch that reaches behind the offset goes whole, and the log ends before it: an end inside of it would leave a hole, which
        // recovery takes for lost records.
        let cut_batch = active.find(offset, active.size(), false)?;
        let offset = cut_batch.map_or(offset, |placed| offset.min(placed.batch.base_offset));
        self.publish_cut(kept.to_vec(), OffsetPosition { offset, segment: active.base_offset, position });
        self.drop_segments(dropped, now, slow)?;
        active.truncate(offset, now.wall_ms, slow)?;
        // What was cut must not come back behind new records after a crash.
        active.sync(slow)?;
        active.prepare()?;
        self.epochs.write().truncate_from_end(offset);
        let log_start = self.view.read().log_start;
        let producers = self.rebuild_producers(kept, log_start, offset, now, slow)?;
        self.end_truncation(Some(producers), slow)
    }

    fn publish_cut(&self, segments: Vec<Arc<Segment>>, end: OffsetPosition) {
        let mut view = self.view.write();
        view.segments = Arc::new(segments);
        view.end = end;
        view.log_start = view.log_start.min(end.offset);
        if view.high_watermark.offset >= end.offset {
            view.high_watermark = Mark::placed(end);
        }
    }

    fn restart_at(&self, view: &View, offset: i64, now: Now, slow: &Slow) -> Result<(), LogError> {
        self.say(Level::Info, &format!("Truncating fully, to start at offset {offset}"));
        {
            // Nothing to read from here on, until the new segment is there.
            let mut published = self.view.write();
            published.end.offset = offset;
            published.log_start = offset;
            published.high_watermark = Mark::placed(published.end);
            published.first_unstable = None;
        }
        self.drop_segments(&view.segments, now, slow)?;
        let segment = Segment::create(&self.home, offset, self.shared.roll_jitter_ms(&self.config()), now.wall_ms)?;
        self.publish_cut(vec![segment], OffsetPosition { offset, segment: offset, position: 0 });
        self.epochs.write().clear();
        self.remove_snapshots(|_| true, slow)?;
        let mut state = self.state.lock();
        (state.recovery_point, state.flushed_size) = (state.recovery_point.min(offset), 0);
        drop(state);
        self.end_truncation(Some(Producers::at(offset)), slow)
    }

    /// Renames segments away, newest first so that a crash leaves no hole; their files go later.
    pub(super) fn drop_segments(&self, segments: &[Arc<Segment>], now: Now, slow: &Slow) -> Result<(), LogError> {
        for segment in segments.iter().rev() {
            segment.mark_deleted(slow)?;
        }
        self.remove_later(segments, now);
        if segments.is_empty() {
            return Ok(());
        }
        self.home.with_dir(|dir| sync_dir(&*self.shared.disk, dir, slow))
    }

    /// Removes renamed files once no read can be under way.
    pub(super) fn remove_later(&self, segments: &[Arc<Segment>], now: Now) {
        let Some(log) = self.me.upgrade().filter(|_| !segments.is_empty()) else { return };
        let segments = segments.to_vec();
        let delay_ms = self.config().file_delete_delay_ms.max(0).unsigned_abs();
        self.shared.later(now.monotonic.plus_ms(delay_ms), move |slow| {
            for segment in segments {
                let _ = log.report(segment.remove_deleted(slow));
            }
        });
    }

    fn rebuild_producers(
        &self,
        segments: &[Arc<Segment>],
        log_start: i64,
        offset: i64,
        now: Now,
        slow: &Slow,
    ) -> Result<Producers, LogError> {
        self.remove_snapshots(|snapshot| snapshot > offset, slow)?;
        let (snapshots, before) = {
            let state = self.state.lock();
            (state.snapshots.clone(), state.producers.clone())
        };
        if before.is_empty() {
            // Where no producer was known at the end, none is known before it that would be missed.
            return Ok(Producers::at(offset));
        }
        let expiration_ms = self.shared.producer_expiration_ms;
        let (producers, bad) = load_snapshot(&self.home, &snapshots, log_start, offset, now.wall_ms, expiration_ms);
        self.remove_snapshots(|snapshot| bad.contains(&snapshot), slow)?;
        let mut producers = replay_segments(segments, producers, offset)?;
        producers.recall(&before);
        Ok(producers)
    }

    /// Removes snapshot files.
    pub(super) fn remove_snapshots(&self, unwanted: impl Fn(i64) -> bool, slow: &Slow) -> Result<(), LogError> {
        let gone: Vec<i64> = {
            let state: &mut State = &mut self.state.lock();
            let (gone, kept) = state.snapshots.iter().partition(|offset| unwanted(**offset));
            state.snapshots = kept;
            gone
        };
        if gone.is_empty() {
            return Ok(());
        }
        for offset in gone {
            self.home.with_path(&FileKind::ProducerSnapshot.name(offset), |path| {
                match self.shared.disk.remove_file(&path, slow) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    removed => removed.map_err(|error| LogError::storage("removing", path, error)),
                }
            })?;
        }
        self.state.lock().snapshots_removed = true;
        Ok(())
    }
}
