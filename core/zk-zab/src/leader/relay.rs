//! An observer master (upstream `ObserverMaster`, ZOOKEEPER-3140): a follower that feeds observers as a leader would, while another
//! server decides what is committed.
//!
//! It knows an established epoch, so that a learner finds nothing to wait for; it takes no promise, counts no acknowledgement and
//! never resigns. It ends with the part that its server has.

use std::collections::BTreeMap;

use base::Monotonic;

use super::learners::{Learners, LogWatch};
use super::lists::{DecidingLists, ProposedList};
use super::{Leader, LeaderEffect, LeaderSettings, Stage};
use crate::{History, ServerId, Zxid};

impl Leader {
    /// An observer master of this epoch, whose server follows and serves. Of `history` it keeps as much as `bytes_max` in
    /// memory; what the server logs from now on is told by [`Leader::proposed`], and what is committed by [`Leader::committed`].
    pub fn relaying(
        settings: LeaderSettings,
        lists: DecidingLists,
        history: History,
        epoch: i64,
        bytes_max: usize,
        now: Monotonic,
    ) -> Self {
        Self {
            settings,
            lists,
            logged: history.last_zxid(),
            own_log: LogWatch::default(),
            history,
            current_epoch: epoch,
            epoch,
            stage: Stage::Relaying { bytes_max },
            stage_ends: now,
            learners: Learners::default(),
            voted: BTreeMap::new(),
            entered: true,
            next_ping: now,
            next_count: now,
            now,
            began: now,
            is_leaving: false,
            resigned: false,
        }
    }

    /// Of an observer master: this transaction, which is not committed yet, puts a list of servers in force, and this one leads from
    /// then on.
    pub fn activates(&mut self, zxid: Zxid, leader: ServerId, list: Option<ProposedList>) {
        self.lists.activates(zxid, leader, list);
    }

    /// Of an observer master: the leader has committed everything up to this.
    pub fn committed(&mut self, zxid: Zxid, effects: &mut Vec<LeaderEffect>) {
        let Stage::Relaying { bytes_max } = self.stage else { return };
        self.history.commit(zxid);
        for link in self.learners.links() {
            self.push(link, effects);
            self.welcome_in(link, effects);
        }
        self.history.trim_bytes(bytes_max, zxid);
    }
}
