//! What is done to a log from time to time, on a disk thread: flushes, retention, expiry of producers, closing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{Monotonic, Now, Slow};

use super::{Log, Mode, State};
use crate::error::sync_dir;
use crate::segment::Segment;
use crate::types::Level;
use crate::view::View;
use crate::{LogConfig, LogError};

/// Recovery reads at most so many bytes in front of the recovery point, to know the producers there.
const SNAPSHOT_EVERY_BYTES: u64 = 16 << 20;

/// Whether a log wants a flush, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlushPolicy {
    /// An unflushed record may be so old.
    pub(crate) age_ms: u64,
    /// So many bytes may be unflushed.
    pub(crate) bytes: u64,
}

impl Log {
    /// Makes everything up to the log's end durable and moves the recovery point there.
    pub fn flush(&self, now: Now, slow: &Slow) -> Result<(), LogError> {
        let _one_at_a_time = self.flushing.lock();
        let (view, from, truncations, outdated, snapshots_removed) = {
            let mut state = self.state.lock();
            match state.mode {
                Mode::Closed => return Err(self.closed()),
                // What is to be cut does not become durable, and the rest is flushed when its time comes.
                Mode::Truncating => return Ok(()),
                Mode::Open | Mode::Trimming => {}
            }
            let view = self.view.read().clone();
            state.last_flush = now.monotonic;
            if state.recovery_point >= view.end.offset {
                state.dirty_since = None;
                drop(state);
                return self.report(self.write_epochs(slow));
            }
            let outdated = self.snapshot_for_recovery(&mut state, &view);
            let snapshots_removed = std::mem::take(&mut state.snapshots_removed);
            (view, state.recovery_point, state.truncations, outdated, snapshots_removed)
        };
        let synced = self.sync_from(&view, from, snapshots_removed, slow);
        // On a full disk it is tried again.
        self.report(synced).inspect_err(|_| self.state.lock().snapshots_removed |= snapshots_removed)?;
        let mut state = self.state.lock();
        if state.truncations == truncations && state.mode != Mode::Closed {
            state.recovery_point = state.recovery_point.max(view.end.offset);
            state.flushed_size = view.size();
            let dirty = self.view.read().end.offset > view.end.offset;
            state.dirty_since = dirty.then_some(now.monotonic);
        }
        drop(state);
        if let Some(outdated) = outdated {
            self.report(self.remove_snapshots(|offset| offset == outdated, slow))?;
        }
        self.shared.surroundings.flushed(&self.partition, view.end.offset);
        Ok(())
    }

    /// With the recovery point moves a snapshot, if much was appended since the last one. Returns the one that it replaces.
    fn snapshot_for_recovery(&self, state: &mut State, view: &View) -> Option<i64> {
        if view.size().saturating_sub(state.snapshot_size) < SNAPSHOT_EVERY_BYTES {
            return None;
        }
        let offset = state.producers.end_offset;
        self.write_snapshot(state, offset);
        state.snapshot_size = view.size();
        let rolled_at = |at: &i64| view.segments.iter().any(|segment| segment.base_offset == *at);
        state.flush_snapshot.replace(offset).filter(|at| *at != offset && !rolled_at(at))
    }

    /// Syncs the segments that hold offsets from `from` on. The epochs go first: they must not be newer than what is recovered.
    fn sync_from(&self, view: &View, from: i64, snapshots_removed: bool, slow: &Slow) -> Result<(), LogError> {
        self.write_epochs(slow)?;
        // The segment in front of a boundary, too: its roll added to its time index.
        let first = view.floor(from - 1).unwrap_or(0);
        for segment in view.segments.iter().skip(first) {
            segment.write_out()?;
            segment.sync(slow)?;
        }
        // A segment that was made since is a new name.
        let new_names = view.segments.iter().skip(first).any(|segment| segment.base_offset >= from);
        if new_names || snapshots_removed {
            let sync = |dir: &Path| sync_dir(&*self.shared.disk, dir, slow);
            // The folder itself may be new as well.
            self.home.with_dir(|dir| sync(dir).and_then(|()| sync(dir.parent().unwrap_or(dir))))?;
        }
        Ok(())
    }

    /// Whether it is time to flush, by the topic's settings or the broker's.
    pub(crate) fn wants_flush(&self, now: Monotonic, policy: FlushPolicy) -> bool {
        let flush_ms = self.config().flush_ms;
        let state = self.state.lock();
        let Some(dirty_since) = state.dirty_since else { return false };
        let since_flush_ms = now.since(state.last_flush).as_millis() as i64;
        let aged = now.since(dirty_since).as_millis() as u64 >= policy.age_ms;
        drop(state);
        aged || since_flush_ms >= flush_ms || self.unflushed_bytes() >= policy.bytes
    }

    fn unflushed_bytes(&self) -> u64 {
        let flushed_size = self.state.lock().flushed_size;
        self.size().saturating_sub(flushed_size)
    }

    /// Deletes the segments that retention lets go. Returns how many. A compacted log keeps everything but what lies before its
    /// start: cleaning is another matter.
    pub(crate) fn delete_old_segments(&self, now: Now, slow: &Slow) -> Result<usize, LogError> {
        let config = self.config();
        let mut deleted = 0;
        if config.cleanup_compact {
            if !self.warned_compacted.swap(true, Ordering::Relaxed) {
                self.say(Level::Warn, "cleanup.policy=compact: the log keeps everything, as there is no cleaner yet.");
            }
        } else if config.cleanup_delete {
            deleted += self.delete_expired(&config, now, slow)?;
            deleted += self.delete_oversize(&config, now, slow)?;
        }
        let log_start = self.offsets().log_start;
        let before_start =
            |_: &Segment, next: Option<&Segment>| Ok(next.is_some_and(|next| next.base_offset <= log_start));
        deleted += self.delete_while(before_start, "log start offset breach", &config, now, slow)?;
        Ok(deleted)
    }

    fn delete_expired(&self, config: &LogConfig, now: Now, slow: &Slow) -> Result<usize, LogError> {
        if config.retention_ms < 0 {
            return Ok(0);
        }
        let expired = |segment: &Segment, _: Option<&Segment>| {
            Ok(now.wall_ms.saturating_sub(segment.retention_timestamp()?) > config.retention_ms)
        };
        self.delete_while(expired, "retention time breach", config, now, slow)
    }

    fn delete_oversize(&self, config: &LogConfig, now: Now, slow: &Slow) -> Result<usize, LogError> {
        let Ok(retention_bytes) = u64::try_from(config.retention_bytes) else { return Ok(0) };
        let Some(excess) = self.size().checked_sub(retention_bytes) else { return Ok(0) };
        let excess = std::cell::Cell::new(excess);
        let oversize = |segment: &Segment, _: Option<&Segment>| match excess.get().checked_sub(segment.size()) {
            Some(left) => {
                excess.set(left);
                Ok(true)
            }
            None => Ok(false),
        };
        self.delete_while(oversize, "retention size breach", config, now, slow)
    }

    /// Deletes segments from the oldest on, while `unwanted` holds and all of the segment lies below the high watermark.
    fn delete_while(
        &self,
        unwanted: impl Fn(&Segment, Option<&Segment>) -> Result<bool, LogError>,
        why: &str,
        config: &LogConfig,
        now: Now,
        slow: &Slow,
    ) -> Result<usize, LogError> {
        let view = self.view.read().clone();
        let mut count = 0;
        for (index, segment) in view.segments.iter().enumerate() {
            let next = view.segments.get(index + 1).map(Arc::as_ref);
            let end = next.map_or(view.end.offset, |next| next.base_offset);
            let last_and_empty = next.is_none() && segment.size() == 0;
            if view.high_watermark.offset < end || last_and_empty || !unwanted(segment, next)? {
                break;
            }
            count += 1;
        }
        match count {
            0 => Ok(0),
            count => self.delete_first(&view, count, why, config, now, slow),
        }
    }

    fn delete_first(
        &self,
        seen: &View,
        count: usize,
        why: &str,
        config: &LogConfig,
        now: Now,
        slow: &Slow,
    ) -> Result<usize, LogError> {
        let doomed = seen.segments.get(..count).unwrap_or_default();
        {
            let mut state = self.state.lock();
            if state.mode != Mode::Open {
                return Ok(0);
            }
            // Never without a segment: if all go, a new one comes first. If records came meanwhile, the last one stays.
            let unchanged = self.view.read().end == seen.end;
            if count == seen.segments.len() {
                if !unchanged {
                    return Ok(0);
                }
                self.roll_locked(&mut state, seen.end.offset, config, now)?;
            }
            let mut view = self.view.write();
            let kept: Vec<_> = view
                .segments
                .iter()
                .filter(|segment| !doomed.iter().any(|gone| Arc::ptr_eq(gone, segment)))
                .cloned()
                .collect();
            let Some(first) = kept.first().map(|first| first.base_offset) else { return Ok(0) };
            view.segments = Arc::new(kept);
            if first > view.log_start {
                self.move_log_start(&mut state, &mut view, first);
            }
        }
        for segment in doomed {
            self.say(
                Level::Info,
                &format!("Deleting segment {} ({} bytes) due to {why}", segment.base_offset, segment.size()),
            );
            // Oldest first: a crash in between leaves a log without holes.
            segment.mark_deleted(slow)?;
        }
        self.remove_later(doomed, now);
        Ok(count)
    }

    /// Forgets producers that were silent for too long.
    pub(crate) fn expire_producers(&self, now: Now) {
        self.state.lock().producers.expire(now.wall_ms, self.shared.producer_expiration_ms);
    }

    /// Removes producer snapshots that no recovery or truncation will ask for: those before the last two segments and before the
    /// recovery point's segment.
    pub(crate) fn remove_old_snapshots(&self, slow: &Slow) -> Result<(), LogError> {
        let view = self.view.read().clone();
        let recovery_point = self.recovery_point();
        let before =
            |offset: i64| view.segments.iter().rev().map(|segment| segment.base_offset).find(|base| *base < offset);
        let active = view.end.segment;
        let retained = before(active).unwrap_or(active).min(before(recovery_point).unwrap_or(recovery_point));
        let log_start = view.log_start;
        self.remove_snapshots(|offset| offset < retained || offset <= log_start, slow)
    }

    /// Start of the log, if it is not that of its first segment and so must be remembered.
    pub(crate) fn start_to_checkpoint(&self) -> Option<i64> {
        let view = self.view.read();
        let first = view.segments.first().map_or(0, |first| first.base_offset);
        (view.log_start > first).then_some(view.log_start)
    }

    /// The work of a clean stop before the one sync of the log directory's file system: all that is in memory goes to the page cache.
    pub(crate) fn write_out_for_close(&self, slow: &Slow) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if state.mode == Mode::Closed {
            return Err(self.closed());
        }
        let view = self.view.read().clone();
        let end_offset = state.producers.end_offset;
        self.write_snapshot(&mut state, end_offset);
        state.mode = Mode::Closed;
        drop(state);
        for segment in view.segments.iter() {
            segment.close_indexes()?;
        }
        self.write_epochs(slow)
    }

    /// After that sync: everything is durable.
    pub(crate) fn closed_cleanly(&self) -> i64 {
        let mut state = self.state.lock();
        let mut view = self.view.write();
        state.recovery_point = view.end.offset;
        view.closed = true;
        state.recovery_point
    }
}
