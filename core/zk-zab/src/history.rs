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
#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<Entry>,
    /// The transaction before the first entry.
    floor: Zxid,
    committed: Zxid,
}

impl History {
    /// Nothing but what lies before: `last_zxid` is logged and committed.
    pub const fn starting_behind(last_zxid: Zxid) -> Self {
        Self { entries: VecDeque::new(), floor: last_zxid, committed: last_zxid }
    }

    /// The last transaction, committed or not.
    pub fn last_zxid(&self) -> Zxid {
        self.entries.back().map_or(self.floor, |entry| entry.zxid)
    }

    /// Up to here is committed.
    pub const fn committed(&self) -> Zxid {
        self.committed
    }
}
