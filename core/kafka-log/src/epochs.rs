//! Leader epochs of a partition: which offset each began at (`LeaderEpochFileCache`, KIP-101 and KIP-279).

use crate::types::EpochOffset;

/// Epochs with their first offsets, both strictly rising.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    /// `offset` is where the epoch starts.
    entries: Vec<EpochOffset>,
    /// Changed since it was last written.
    dirty: bool,
}

impl LeaderEpochs {
    /// The entries of a checkpoint, mended where they contradict each other.
    pub(crate) fn from_entries(entries: &[EpochOffset]) -> Self {
        let mut epochs = Self::default();
        for entry in entries {
            epochs.assign(entry.epoch, entry.offset);
        }
        epochs.dirty = epochs.entries != entries;
        epochs
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> &[EpochOffset] {
        &self.entries
    }

    /// The entries, if they changed since they were last written.
    pub(crate) fn changed(&self) -> Option<Vec<EpochOffset>> {
        self.dirty.then(|| self.entries.clone())
    }

    /// These entries are durable.
    pub(crate) fn written(&mut self, entries: &[EpochOffset]) {
        self.dirty &= self.entries != entries;
    }

    pub(crate) fn earliest(&self) -> Option<EpochOffset> {
        self.entries.first().copied()
    }

    pub(crate) fn latest(&self) -> Option<EpochOffset> {
        self.entries.last().copied()
    }

    /// Begins `epoch` at `offset`; entries that it contradicts go. Nothing happens if the epoch is the latest and began before.
    pub(crate) fn assign(&mut self, epoch: i32, offset: i64) -> bool {
        if epoch < 0 || offset < 0 || self.latest().is_some_and(|last| last.epoch == epoch && last.offset <= offset) {
            return false;
        }
        while self.entries.pop_if(|last| last.epoch >= epoch || last.offset >= offset).is_some() {}
        self.entries.push(EpochOffset { epoch, offset });
        self.dirty = true;
        true
    }

    /// The largest epoch not above `epoch`, and where it ends: the next one's start, or the log's end for the latest.
    pub(crate) fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<EpochOffset> {
        if epoch == -1 {
            return None;
        }
        if self.latest()?.epoch == epoch {
            return Some(EpochOffset { epoch, offset: log_end_offset });
        }
        let next = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let offset = self.entries.get(next)?.offset;
        // Older than all that is known: its records are gone, the first known start is as far as they can have reached.
        let found = next.checked_sub(1).and_then(|index| self.entries.get(index)).map_or(epoch, |entry| entry.epoch);
        Some(EpochOffset { epoch: found, offset })
    }

    /// Drops the epochs that begin at `end_offset` or later.
    pub(crate) fn truncate_from_end(&mut self, end_offset: i64) {
        let kept = self.entries.partition_point(|entry| entry.offset < end_offset);
        self.dirty |= kept < self.entries.len();
        self.entries.truncate(kept);
    }

    /// Drops the epochs that end before `start_offset`; the one that holds it begins there from now on.
    pub(crate) fn truncate_from_start(&mut self, start_offset: i64) {
        let begun = self.entries.partition_point(|entry| entry.offset <= start_offset);
        let Some(holder) = begun.checked_sub(1) else { return };
        if let Some(entry) = self.entries.get_mut(holder) {
            self.dirty |= holder > 0 || entry.offset != start_offset;
            entry.offset = start_offset;
        }
        self.entries.drain(..holder);
    }

    pub(crate) fn clear(&mut self) {
        self.dirty |= !self.entries.is_empty();
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, offset) in entries {
            epochs.assign(*epoch, *offset);
        }
        epochs
    }

    fn pairs(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        epochs.entries().iter().map(|entry| (entry.epoch, entry.offset)).collect()
    }

    #[test]
    fn an_epoch_begins_once_and_drops_what_contradicts_it() {
        let mut some = epochs(&[(1, 0), (2, 10), (4, 20)]);
        let written = some.changed().unwrap();
        some.written(&written);
        assert!(!some.assign(4, 25), "it began at 20");
        assert!(some.changed().is_none());
        assert!(some.assign(5, 20), "epoch 4 wrote nothing");
        assert_eq!(pairs(&some), [(1, 0), (2, 10), (5, 20)]);
        assert!(some.assign(3, 5));
        assert_eq!(pairs(&some), [(1, 0), (3, 5)]);
        assert!(!some.assign(-1, 5));
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let some = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let end = |epoch| some.end_offset_for(epoch, 99).map(|found| (found.epoch, found.offset));
        assert_eq!(end(7), Some((7, 99)));
        assert_eq!(end(4), Some((4, 30)));
        assert_eq!(end(5), Some((4, 30)));
        assert_eq!(end(1), Some((1, 10)), "older than all known");
        assert_eq!(end(8), None);
        assert_eq!(end(-1), None, "no epoch");
        assert_eq!(end(-2), Some((-2, 10)), "older than all known");
        assert_eq!(LeaderEpochs::default().end_offset_for(0, 99), None);
    }

    #[test]
    fn truncation_at_both_ends() {
        let mut some = epochs(&[(2, 10), (4, 20), (7, 30)]);
        some.truncate_from_end(20);
        assert_eq!(pairs(&some), [(2, 10)]);
        let mut some = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let written = some.changed().unwrap();
        some.written(&written);
        some.truncate_from_start(9);
        assert!(some.changed().is_none());
        some.truncate_from_start(25);
        assert_eq!(pairs(&some), [(4, 25), (7, 30)]);
        some.truncate_from_start(30);
        assert_eq!(pairs(&some), [(7, 30)]);
        some.truncate_from_start(40);
        assert_eq!(pairs(&some), [(7, 40)]);
    }
}
