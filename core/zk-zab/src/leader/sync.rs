//! How a learner's history is made the leader's (upstream `LearnerHandler.syncFollower`), and how it is kept so.

use base::Monotonic;

use super::learners::{Learner, Learning};
use super::lists::DecidingLists;
use super::{Leader, LeaderEffect, Loss};
use crate::{Entry, FromLeader, LinkId, ServerId, Zxid, epoch_of};

/// A piece of the leader's log, for a learner that lacks more than is kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Whether the learner's last transaction is there.
    pub start: LogStart,
    /// What follows it, in order and without a gap; committed all. Empty: there is no more.
    pub entries: Vec<Entry>,
}

/// Where a learner's last transaction stands in the leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// It is there.
    Found,
    /// It is not, and this is the last one before it.
    Behind(Zxid),
    /// The log begins later.
    Missing,
}

/// What a learner is told first.
enum Plan {
    Diff,
    /// It has what nobody committed.
    Trunc(Zxid),
    Log,
    Snapshot,
}

impl Leader {
    /// Decides how a learner that has made its promise gets the history.
    pub(super) fn synchronise(&mut self, link: LinkId, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        let committed = self.history.committed();
        let Some(last) = self.learners.get(link).map(|learner| learner.sent) else { return };
        let plan = self.plan(last);
        let Some(learner) = self.learners.get_mut(link) else { return };
        learner.heard = now;
        learner.target = committed;
        match plan {
            Plan::Diff => Self::begin(link, learner, FromLeader::Diff { zxid: committed }, last, effects),
            Plan::Trunc(zxid) => Self::begin(link, learner, FromLeader::Trunc { zxid }, zxid, effects),
            Plan::Log => {
                learner.stage = Learning::Asking;
                learner.reading = true;
                return effects.push(LeaderEffect::ReadLog { link, after: last });
            }
            Plan::Snapshot => return self.begin_snapshot(link, effects),
        }
        self.push(link, effects);
    }

    fn plan(&self, last: Zxid) -> Plan {
        let history = &self.history;
        // The start of an epoch is nobody's transaction: such a learner has all of the epochs before.
        let is_epoch_start = last & 0xffff_ffff == 0;
        if self.settings.force_snapshot || last < 0 {
            Plan::Snapshot
        } else if last == history.committed() || history.contains(last) || (is_epoch_start && last >= history.floor()) {
            Plan::Diff
        } else if last < history.floor() {
            Plan::Log
        } else {
            Self::cut_back(last, history.last_up_to(last))
        }
    }

    /// Never across an epoch: what the learner has of the earlier one is not known.
    fn cut_back(last: Zxid, to: Option<Zxid>) -> Plan {
        match to {
            Some(zxid) if epoch_of(zxid) == epoch_of(last) => Plan::Trunc(zxid),
            _ => Plan::Snapshot,
        }
    }

    /// A piece of the log is there.
    pub fn log_read(&mut self, link: LinkId, chunk: LogChunk, effects: &mut Vec<LeaderEffect>) {
        let (committed, floor) = (self.history.committed(), self.history.floor());
        let Some(learner) = self.learners.get_mut(link).filter(|learner| learner.reading) else { return };
        learner.reading = false;
        let is_first = learner.stage == Learning::Asking;
        let last = learner.sent;
        // A log that ends before memory begins has lost something in between.
        let has_hole = last < floor && chunk.entries.last().is_none_or(|entry| entry.zxid <= last);
        let plan = match chunk.start {
            _ if has_hole => Plan::Snapshot,
            LogStart::Found => Plan::Diff,
            LogStart::Behind(zxid) if is_first && last & 0xffff_ffff == 0 => {
                debug_assert!(zxid < last, "the log says what lies before");
                Plan::Diff
            }
            LogStart::Behind(zxid) if is_first => Self::cut_back(last, Some(zxid)),
            LogStart::Behind(_) | LogStart::Missing => Plan::Snapshot,
        };
        match plan {
            Plan::Diff if is_first => Self::begin(link, learner, FromLeader::Diff { zxid: committed }, last, effects),
            Plan::Diff => {}
            Plan::Trunc(zxid) => Self::begin(link, learner, FromLeader::Trunc { zxid }, zxid, effects),
            Plan::Snapshot | Plan::Log if is_first => return self.begin_snapshot(link, effects),
            // What was sent already can't be taken back: it comes again, and then gets a snapshot.
            Plan::Snapshot | Plan::Log => {
                return self.lose(link, Loss::Refused("the log that a learner needs is gone"), effects);
            }
        }
        for entry in chunk.entries {
            if entry.zxid > learner.sent && entry.zxid <= committed {
                learner.propose(link, entry, &self.lists, effects);
                learner.commit(link, committed, &self.lists, effects);
            }
        }
        self.push(link, effects);
    }

    /// The log can't or shall not be read for it.
    pub fn log_refused(&mut self, link: LinkId, effects: &mut Vec<LeaderEffect>) {
        self.log_read(link, LogChunk { start: LogStart::Missing, entries: Vec::new() }, effects);
    }

    /// The whole tree is on its way: it was walked through from `zxid` on, and may hold in parts what was committed meanwhile. The
    /// learner has a state of the history when it has all of that, and is told NEWLEADER not before.
    pub fn snapshot_sent(&mut self, link: LinkId, zxid: Zxid, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        let committed = self.history.committed();
        let Some(learner) = self.learners.get_mut(link) else { return };
        if learner.stage == Learning::Receiving {
            learner.stage = Learning::Catching;
            learner.sent = zxid;
            // The tree may hold anything of what was committed while it was being sent.
            learner.target = committed;
            learner.heard = now;
            self.push(link, effects);
        }
    }

    fn begin(link: LinkId, learner: &mut Learner, packet: FromLeader, sent: Zxid, effects: &mut Vec<LeaderEffect>) {
        learner.stage = Learning::Catching;
        learner.sent = sent;
        effects.push(LeaderEffect::Send { link, packet });
    }

    fn begin_snapshot(&mut self, link: LinkId, effects: &mut Vec<LeaderEffect>) {
        let is_full = self.learners.receiving_count() >= self.settings.snapshot_syncs_max;
        let Some(learner) = self.learners.get_mut(link) else { return };
        if learner.is_observer && is_full {
            return self.lose(link, Loss::Refused("Too many concurrent syncs"), effects);
        }
        learner.stage = Learning::Receiving;
        effects.push(LeaderEffect::SendSnapshot { link });
    }

    /// Sends a learner whatever it may have and has not got.
    pub(super) fn push(&mut self, link: LinkId, effects: &mut Vec<LeaderEffect>) {
        let history = &self.history;
        let committed = history.committed();
        let Some(learner) = self.learners.get_mut(link) else { return };
        if !learner.is_placed() || learner.congested {
            return;
        }
        learner.commit(link, committed, &self.lists, effects);
        // Up to NEWLEADER only what is committed, so that no COMMIT comes between it and UPTODATE for a proposal before it:
        // an original learner fails at that (ZOOKEEPER-4394).
        let is_behind = learner.is_observer || learner.stage == Learning::Catching;
        let until = if is_behind { committed } else { history.last_zxid() };
        while learner.sent < until && !learner.reading {
            match history.next_behind(learner.sent) {
                Some(entry) if entry.zxid > until => break,
                Some(entry) => {
                    learner.propose(link, entry.clone(), &self.lists, effects);
                    learner.commit(link, committed, &self.lists, effects);
                }
                // It fell behind what is kept.
                None => {
                    learner.reading = true;
                    effects.push(LeaderEffect::ReadLog { link, after: learner.sent });
                }
            }
        }
        // Nobody enters an epoch before the one who leads it: else that one may lose its power, be behind those who have entered, and be
        // the only one that can be elected.
        let is_caught_up = learner.sent >= learner.target && learner.uncommitted.is_empty();
        if learner.stage == Learning::Catching && is_caught_up && self.entered {
            learner.stage = Learning::Informed;
            // Everything sent up to here is acknowledged with NEWLEADER.
            learner.target = learner.sent;
            let packet = FromLeader::NewLeader { epoch: self.epoch, config: self.lists.told(learner.target) };
            effects.push(LeaderEffect::Send { link, packet });
        }
    }
}

impl Learner {
    /// Sends the next transaction; to an observer when it is committed, so that it needs no COMMIT.
    fn propose(&mut self, link: LinkId, entry: Entry, lists: &DecidingLists, effects: &mut Vec<LeaderEffect>) {
        self.sent = entry.zxid;
        let packet = if !self.is_observer {
            self.uncommitted.push_back(entry.zxid);
            FromLeader::Proposal(entry)
        } else if let Some(leader) = self.activation(entry.zxid, lists) {
            FromLeader::InformAndActivate { entry, leader }
        } else {
            FromLeader::Inform(entry)
        };
        effects.push(LeaderEffect::Send { link, packet });
    }

    /// Sends the commits that are due, and what stands behind them.
    fn commit(&mut self, link: LinkId, committed: Zxid, lists: &DecidingLists, effects: &mut Vec<LeaderEffect>) {
        loop {
            let next = self.uncommitted.front().copied().filter(|zxid| *zxid <= committed);
            let has_up_to = self.uncommitted.front().map_or(self.sent, |first| first - 1);
            let due = self.behind.front().is_some_and(|(zxid, _)| *zxid <= has_up_to);
            if due && let Some((_, bytes)) = self.behind.pop_front() {
                effects.push(LeaderEffect::Send { link, packet: FromLeader::Other(bytes) });
            } else if let Some(zxid) = next {
                self.uncommitted.pop_front();
                let packet = match self.activation(zxid, lists) {
                    Some(leader) => FromLeader::CommitAndActivate { zxid, leader },
                    None => FromLeader::Commit { zxid },
                };
                effects.push(LeaderEffect::Send { link, packet });
            } else {
                return;
            }
        }
    }

    /// Who leads from this transaction on, if it puts a list in force; what comes before NEWLEADER leaves that to it.
    fn activation(&self, zxid: Zxid, lists: &DecidingLists) -> Option<ServerId> {
        lists.activation(zxid).filter(|_| self.stage != Learning::Catching)
    }
}
