//! The two epochs of a server, and the writes of them that are under way (upstream `QuorumPeer.acceptedEpoch`,
//! `currentEpoch`).

/// What a server has promised and entered, for good. Its owner keeps it from role to role.
///
/// A role that ends may leave the write of an epoch behind. If another began meanwhile, on the epochs that were, it could
/// promise or enter an earlier one than the file is about to hold, and the file would go back: an observer would enter epoch
/// 3 with a leader of that, and hold its history, when a crash leaves it with 4 in the file. So no role begins before all
/// writes are done: [`crate::Leader::new`] and [`crate::Learner::new`] assert it, and the owner waits for
/// [`Epochs::is_settled`].
#[derive(Debug)]
pub struct Epochs {
    accepted: i64,
    current: i64,
    writes: usize,
}

impl Epochs {
    /// As the files hold them.
    pub const fn new(accepted: i64, current: i64) -> Self {
        Self { accepted, current, writes: 0 }
    }

    /// The latest epoch that was promised to a leader.
    pub const fn accepted(&self) -> i64 {
        self.accepted
    }

    /// The epoch whose history this server has.
    pub const fn current(&self) -> i64 {
        self.current
    }

    /// An epoch is on its way to its file.
    pub const fn write(&mut self) {
        self.writes += 1;
    }

    /// The accepted epoch is in its file.
    pub fn accepted_written(&mut self, epoch: i64) {
        assert!(epoch > self.accepted, "a promise of epoch {epoch} after one of {}", self.accepted);
        self.accepted = epoch;
        self.writes -= 1;
    }

    /// The current epoch is in its file.
    pub fn current_written(&mut self, epoch: i64) {
        assert!(epoch >= self.current, "epoch {epoch} is entered after {}", self.current);
        self.current = epoch;
        self.writes -= 1;
    }

    /// Whether the files hold what is here: another role may begin.
    pub const fn is_settled(&self) -> bool {
        self.writes == 0
    }
}
