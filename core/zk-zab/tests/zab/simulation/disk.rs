//! A server's disk: what was written, and what of it a crash leaves.

use base::Random;
use zk_zab::{Entry, LogChunk, LogStart, Zxid};

/// A piece of work, done in order with the others of its lane.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Makes so many transactions durable.
    Sync(usize),
    /// Cuts the log back.
    Truncate(Zxid),
    /// Replaces everything by a tree.
    Install(Vec<Entry>),
    /// Writes the accepted epoch.
    Accept(i64),
    /// Writes the current epoch.
    Enter(i64),
}

impl Work {
    /// Epoch files have a lane of their own.
    pub(crate) fn is_epoch(&self) -> bool {
        matches!(self, Self::Accept(_) | Self::Enter(_))
    }
}

/// Log, snapshot and epoch files.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Everything since the beginning, durable or not.
    pub(crate) all: Vec<Entry>,
    /// So many are in the snapshot and in no log.
    pub(crate) base: usize,
    /// So many are durable.
    pub(crate) durable: usize,
    pub(crate) accepted_epoch: i64,
    pub(crate) current_epoch: i64,
}

impl Disk {
    pub(crate) fn last_zxid(&self) -> Zxid {
        last(&self.all)
    }

    pub(crate) fn durable_log(&self) -> &[Entry] {
        &self.all[..self.durable]
    }

    /// Whether there is a state to go back to.
    pub(crate) fn can_truncate(&self, zxid: Zxid) -> bool {
        last(&self.all[..self.base]) <= zxid
    }

    /// Does the work; a log that can't be cut back is left alone.
    pub(crate) fn carry_out(&mut self, work: &Work) {
        match work {
            Work::Sync(len) => self.durable = self.durable.max(*len),
            Work::Truncate(zxid) if self.can_truncate(*zxid) => {
                self.all.retain(|entry| entry.zxid <= *zxid);
                self.durable = self.all.len();
            }
            Work::Truncate(_) => {}
            Work::Install(tree) => {
                self.all.clone_from(tree);
                (self.base, self.durable) = (tree.len(), tree.len());
            }
            Work::Accept(epoch) => self.accepted_epoch = *epoch,
            Work::Enter(epoch) => self.current_epoch = *epoch,
        }
    }

    /// The power is cut while `in_progress` is being done.
    pub(crate) fn crash(&mut self, in_progress: &[Work], random: &mut Random) {
        // Each lane got some way.
        for is_epoch in [false, true] {
            let lane = in_progress.iter().filter(|work| work.is_epoch() == is_epoch);
            for work in lane.take_while(|_| random.below(2) == 0).collect::<Vec<_>>() {
                self.carry_out(work);
            }
        }
        let unsynced = self.all.len() - self.durable;
        let kept = match random.below(3) {
            0 => 0,
            1 => unsynced,
            _ => random.below(unsynced as u64 + 1) as usize,
        };
        self.all.truncate(self.durable + kept);
        self.durable = self.all.len();
    }

    /// A snapshot of `len` transactions is taken, and the log before it is removed.
    pub(crate) fn purge(&mut self, len: usize) {
        self.base = self.base.max(len);
    }

    /// What a leader reads for a learner.
    pub(crate) fn read(&self, after: Zxid, committed: Zxid, len_max: usize) -> LogChunk {
        let log = &self.all[self.base..self.durable];
        let index = log.partition_point(|entry| entry.zxid <= after);
        let Some(before) = index.checked_sub(1).map(|index| log[index].zxid) else {
            return LogChunk { start: LogStart::Missing, entries: Vec::new() };
        };
        let start = if before == after { LogStart::Found } else { LogStart::Behind(before) };
        let behind = log[index..].iter().filter(|entry| entry.zxid <= committed);
        LogChunk { start, entries: behind.take(len_max).cloned().collect() }
    }
}

/// The last transaction, 0 if there is none.
pub(crate) fn last(entries: &[Entry]) -> Zxid {
    entries.last().map_or(0, |entry| entry.zxid)
}
