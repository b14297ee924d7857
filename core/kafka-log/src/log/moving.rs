//! What a move between log directories asks of a log: does one hold all that another holds, and may it take the other's place.

use std::sync::atomic::Ordering;

use base::{OpenMode, Slow};

use super::{Log, Mode, refresh_unstable};
use crate::LogError;
use crate::view::Mark;

/// In the folder of a log that is about to take the place of another, which is called the same for a moment: a start knows by it which
/// is which. The original passes over it.
pub(super) const MARK: &str = "takes-the-place";

impl Log {
    /// Counts how often the log was cut: what was copied before a cut may not be there any more. `None` while it is being cut: what is seen
    /// of it may be from before or from behind.
    pub fn truncations(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.mode != Mode::Truncating).then_some(state.truncations)
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Acquire)
    }

    /// Marks the folder, durably.
    pub(crate) fn mark(&self, slow: &Slow) -> Result<(), LogError> {
        self.marked.store(true, Ordering::Release);
        let disk = self.shared.disk.as_ref();
        self.home.with_dir(|dir| {
            let marked = disk.open(&dir.join(MARK), OpenMode::Create).and_then(|_| disk.sync_dir(dir, slow));
            marked.map_err(|error| LogError::storage("marking", dir, error))
        })
    }

    /// Takes the mark off, durably.
    pub(crate) fn unmark(&self, slow: &Slow) -> Result<(), LogError> {
        self.marked.store(false, Ordering::Release);
        let disk = self.shared.disk.as_ref();
        self.home.with_dir(|dir| {
            let removed = match disk.remove_file(&dir.join(MARK), slow) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                removed => removed.and_then(|()| disk.sync_dir(dir, slow)),
            };
            removed.map_err(|error| LogError::storage("unmarking", dir, error))
        })
    }

    /// What tells which of two logs of a partition knows more: the newest epoch, then the end.
    pub(crate) fn progress(&self) -> (Option<i32>, i64) {
        (self.latest_epoch(), self.offsets().log_end)
    }

    /// Whether all of this log is in the other one, as far as leader epochs tell.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let log_end = self.offsets().log_end;
        match self.latest_epoch() {
            None => log_end <= other.offsets().log_end,
            Some(epoch) => {
                other.end_offset_for_epoch(epoch).is_some_and(|end| end.epoch == epoch && log_end <= end.offset)
            }
        }
    }

    /// Takes over what a copy has not been told by records: high watermark, start, epochs that wrote nothing yet, all producers. False,
    /// and nothing is taken over, if the other log was cut meanwhile, is closed, or does not end where this one does. Nobody may
    /// append to either, and this one is only a copy yet.
    pub(crate) fn takes_over_from(&self, other: &Self, truncations: u64) -> bool {
        let from = other.state.lock();
        let mut state = self.state.lock();
        let view = other.view.read().clone();
        let mut own = self.view.write();
        let is_cut = from.truncations != truncations || from.mode == Mode::Truncating;
        if is_cut || view.closed || own.closed || state.mode != Mode::Open || view.end.offset != own.end.offset {
            return false;
        }
        state.producers = from.producers.clone();
        let high_watermark = view.high_watermark.offset;
        own.high_watermark = match high_watermark == own.end.offset {
            true => Mark::placed(own.end),
            false => Mark::at(high_watermark),
        };
        if view.log_start > own.log_start {
            self.move_log_start(&mut state, &mut own, view.log_start);
        }
        refresh_unstable(&state, &mut own);
        drop(own);
        drop(state);
        drop(from);
        self.set_config(other.config().as_ref().clone());
        let newest = other.epochs.read().latest();
        if let Some(newest) = newest {
            self.assign_epoch_start(newest.epoch, newest.offset);
        }
        true
    }
}
