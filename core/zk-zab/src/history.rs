//! The latest transactions, in memory (upstream `ZKDatabase.committedLog`, `toBeApplied`, `outstandingProposals`).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::Zxid;

/// A transaction, opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub zxid: Zxid,
    /// As it stands in the log, shared.
    pub payload: Bytes,
}

/// A contiguous end of the log (ZOOKEEPER-4925): nothing is missing between `floor` and the last entry.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: VecDeque<Entry>,
    /// Of all entries.
    payload_bytes: usize,
    /// The transaction before the first entry.
    floor: Zxid,
    committed: Zxid,
}

impl History {
    /// Nothing but what lies before: `last_zxid` is logged and committed.
    pub const fn starting_behind(last_zxid: Zxid) -> Self {
        Self { entries: VecDeque::new(), payload_bytes: 0, floor: last_zxid, committed: last_zxid }
    }

    /// The last transaction, committed or not.
    pub fn last_zxid(&self) -> Zxid {
        self.entries.back().map_or(self.floor, |entry| entry.zxid)
    }

    /// Up to here is committed.
    pub const fn committed(&self) -> Zxid {
        self.committed
    }

    /// The transaction before the first one that is kept.
    pub const fn floor(&self) -> Zxid {
        self.floor
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the next transaction.
    pub fn push(&mut self, entry: Entry) {
        assert!(entry.zxid > self.last_zxid(), "{:#x} does not follow {:#x}", entry.zxid, self.last_zxid());
        self.payload_bytes += entry.payload.len();
        self.entries.push_back(entry);
    }

    /// Commits up to `zxid`.
    pub fn commit(&mut self, zxid: Zxid) {
        assert!(zxid >= self.committed && zxid <= self.last_zxid(), "{zxid:#x} is not there to be committed");
        self.committed = zxid;
    }

    /// Whether `zxid` is a transaction of this history, as far as it is kept.
    pub fn contains(&self, zxid: Zxid) -> bool {
        zxid == self.floor || self.entries.get(self.index_behind(zxid).wrapping_sub(1)).is_some_and(|e| e.zxid == zxid)
    }

    /// The transaction at `zxid`, or the last one before it, as far as it is kept.
    pub fn last_up_to(&self, zxid: Zxid) -> Option<Zxid> {
        match self.index_behind(zxid).checked_sub(1) {
            Some(index) => self.entries.get(index).map(|entry| entry.zxid),
            None => (self.floor <= zxid).then_some(self.floor),
        }
    }

    /// The first transaction behind `zxid`; `None` if there is none, or if it is not kept any more.
    pub fn next_behind(&self, zxid: Zxid) -> Option<&Entry> {
        if zxid < self.floor {
            return None;
        }
        self.entries.get(self.index_behind(zxid))
    }

    /// The first transaction that is not committed.
    pub fn next_to_commit(&self) -> Option<&Entry> {
        self.next_behind(self.committed)
    }

    /// Drops what lies behind `zxid`.
    pub fn truncate(&mut self, zxid: Zxid) {
        for cut in self.entries.drain(self.index_behind(zxid)..) {
            self.payload_bytes -= cut.payload.len();
        }
        self.floor = self.floor.min(zxid);
        self.committed = self.committed.min(self.last_zxid());
    }

    /// Drops the oldest ones beyond `len_max`, but none beyond `needed_behind`.
    pub fn trim(&mut self, len_max: usize, needed_behind: Zxid) {
        while self.entries.len() > len_max && self.drop_first(needed_behind) {}
    }

    /// The same while they weigh more than so many bytes.
    pub fn trim_bytes(&mut self, bytes_max: usize, needed_behind: Zxid) {
        while self.payload_bytes > bytes_max && self.drop_first(needed_behind) {}
    }

    fn drop_first(&mut self, needed_behind: Zxid) -> bool {
        let Some(first) = self.entries.front().filter(|first| first.zxid <= needed_behind) else { return false };
        self.payload_bytes -= first.payload.len();
        self.floor = first.zxid;
        self.entries.pop_front();
        true
    }

    fn index_behind(&self, zxid: Zxid) -> usize {
        self.entries.partition_point(|entry| entry.zxid <= zxid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(zxids: impl IntoIterator<Item = Zxid>) -> History {
        let mut history = History::starting_behind(10);
        for zxid in zxids {
            history.push(Entry { zxid, payload: Bytes::new() });
        }
        history
    }

    #[test]
    fn looking_up_meets_the_floor_the_gaps_and_the_end() {
        let history = history([11, 12, 20]);
        assert!(history.contains(10) && history.contains(12) && !history.contains(13) && !history.contains(9));
        assert_eq!(history.last_up_to(15), Some(12));
        assert_eq!(history.last_up_to(10), Some(10));
        assert_eq!(history.last_up_to(9), None);
        assert_eq!(history.next_behind(12).map(|entry| entry.zxid), Some(20));
        assert_eq!(history.next_behind(10).map(|entry| entry.zxid), Some(11));
        assert_eq!(history.next_behind(9), None, "what came before the floor is not known");
        assert_eq!(history.next_behind(20), None);
    }

    #[test]
    fn trimming_keeps_what_is_needed_and_leaves_no_hole() {
        let mut history = history([11, 12, 13, 14]);
        history.trim(1, 12);
        assert_eq!((history.floor(), history.len(), history.last_zxid()), (12, 2, 14));
        history.trim(1, 14);
        assert_eq!((history.floor(), history.len()), (13, 1));
    }

    #[test]
    fn trimming_by_bytes_counts_what_is_kept() {
        let mut history = history([]);
        for zxid in 11..=15 {
            history.push(Entry { zxid, payload: Bytes::from_static(b"1234") });
        }
        history.truncate(14);
        history.trim_bytes(16, 14);
        assert_eq!((history.len(), history.floor()), (4, 10));
        history.trim_bytes(8, 11);
        assert_eq!((history.len(), history.floor()), (3, 11), "the others are needed");
        history.trim_bytes(0, 14);
        assert_eq!((history.is_empty(), history.floor(), history.last_zxid()), (true, 14, 14));
    }

    #[test]
    fn truncating_takes_commits_back_with_it() {
        let mut history = history([11, 12, 13]);
        history.commit(13);
        history.truncate(11);
        assert_eq!((history.last_zxid(), history.committed()), (11, 11));
        history.truncate(5);
        assert_eq!((history.last_zxid(), history.committed(), history.floor()), (5, 5, 5));
    }

    #[test]
    #[should_panic(expected = "does not follow")]
    fn the_order_is_asserted() {
        history([12, 11]);
    }
}
