//! The follower's and the observer's side of Zab (upstream `Learner`, `Follower`, `Observer`).
//!
//! ```text
//! Connecting ─ info ─ Registering ─ LEADERINFO ─ Promising ─ ACKEPOCH ─ Choosing ─┬─ DIFF ─────────────┬─ Syncing
//!                                                                                 ├─ TRUNC ─ Replacing ─┤
//!                                                                                 └─ SNAP ── Replacing ─┘
//! Syncing ─ NEWLEADER ─ Entering (log durable, then the epoch) ─ ACK ─ Entered ─ UPTODATE ─ Serving
//! ```
//!
//! Upstream acknowledges NEWLEADER before what it received is durable, in several ways (ZOOKEEPER-4785, 4643, 4646, 4394,
//! 3023). Here the order is: everything received is in the log for good, then the epoch is, then ACK.

use std::collections::VecDeque;

use base::Monotonic;
use bytes::Bytes;

use crate::{Entry, Epochs, FromLeader, FromLearner, History, LearnerInfo, ServerId, Zxid, epoch_of, epoch_start};

/// The protocol's version since 3.4.
const PROTOCOL_VERSION: i32 = 0x1_0000;

/// Who learns, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct LearnerSettings {
    /// Its number.
    pub id: ServerId,
    /// Whether it comes without a vote.
    pub is_observer: bool,
    /// Version of its list of servers.
    pub config_version: i64,
    /// `initLimit` in milliseconds: silence of the leader until the history is taken over.
    pub init_limit_ms: u64,
    /// `syncLimit` in milliseconds: silence from then on.
    pub sync_limit_ms: u64,
    /// `commitLogCount`: transactions kept in memory, for those whom this server may lead later.
    pub history_len: usize,
}

/// What the owner is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LearnerEffect {
    /// Send this to the leader. A ping is answered by the owner, who knows the sessions.
    Send(FromLearner),
    /// Make this the accepted epoch, for good; then [`Learner::epoch_accepted`].
    AcceptEpoch(i64),
    /// Cut log and tree back to this transaction, for good; then [`Learner::truncated`]. Nothing is logged meanwhile.
    Truncate(Zxid),
    /// The next bytes of the link are the whole tree. Make it durable, drop what the log holds beyond it; then
    /// [`Learner::snapshot_received`]. Nothing is logged meanwhile.
    ReceiveSnapshot {
        /// The tree's last transaction.
        zxid: Zxid,
    },
    /// Append to the log; [`Learner::logged`] when it is durable.
    Log(Entry),
    /// Apply everything logged up to this.
    Commit(Zxid),
    /// The leader's list of servers, as text. Keep it for good before [`LearnerEffect::EnterEpoch`]; it is in force from
    /// [`LearnerEffect::Serve`] on.
    Config(Bytes),
    /// The list of servers that this transaction proposes is in force.
    Activate {
        /// Its transaction.
        zxid: Zxid,
        /// Who leads from now on.
        leader: ServerId,
    },
    /// Make this the current epoch, for good; then [`Learner::epoch_entered`].
    EnterEpoch(i64),
    /// Clients may be served.
    Serve {
        /// In this epoch.
        epoch: i64,
    },
    /// This is over: close the link and look for a leader.
    Abandon(Abandonment),
}

/// Why a learner leaves its leader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Abandonment {
    /// The leader wants to begin an epoch that is over.
    #[error("Leaders epoch, {epoch} is less than accepted epoch, {accepted}")]
    OldEpoch {
        /// What the leader proposes.
        epoch: i64,
        /// What was promised already.
        accepted: i64,
    },
    /// Nothing came for too long.
    #[error("Read timed out")]
    Silent,
    /// The leader wants the log cut back, and there is no older state to go back to. The next [`Learner`] is to be told to
    /// [`Learner::ask_for_snapshot`].
    #[error("Not able to truncate the log {0:#x}")]
    CannotTruncate(Zxid),
    /// A packet that does not belong here.
    #[error("unexpected packet from leader: {packet}, while {stage}")]
    Unexpected {
        /// Its name and zxid.
        packet: String,
        /// What was going on.
        stage: &'static str,
    },
    /// A proposal out of order.
    #[error("Got zxid {zxid:#x} behind {last:#x}")]
    OutOfOrder {
        /// Of the proposal.
        zxid: Zxid,
        /// The last one before it.
        last: Zxid,
    },
    /// A commit of something else than the next transaction (upstream exit code 12).
    #[error("Committing zxid {zxid:#x} but next pending txn {next:#x}")]
    UnmatchedCommit {
        /// As sent.
        zxid: Zxid,
        /// As expected; 0 if there is none.
        next: Zxid,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Registering,
    /// It has left its leader.
    Left,
    /// The accepted epoch is being written.
    Promising,
    Choosing,
    /// The owner replaces the tree, or cuts the log back.
    Replacing {
        /// The last one to keep, of a cut.
        cut: Option<Zxid>,
    },
    Syncing,
    /// NEWLEADER has come: the log, then the current epoch are made durable.
    Entering {
        /// Everything up to this is to be durable first.
        needed: Zxid,
        /// The epoch's file is being written.
        storing: bool,
    },
    /// NEWLEADER is acknowledged.
    Entered,
    Serving,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Left => "leaving",
            Self::Registering => "registering",
            Self::Promising => "promising an epoch",
            Self::Choosing => "waiting for DIFF, TRUNC or SNAP",
            Self::Replacing { .. } => "replacing the tree",
            Self::Syncing => "synchronising",
            Self::Entering { .. } | Self::Entered => "entering an epoch",
            Self::Serving => "following",
        }
    }
}

/// One server that follows a leader, from the first packet to the end of the link.
#[derive(Debug)]
pub struct Learner {
    settings: LearnerSettings,
    history: History,
    accepted_epoch: i64,
    current_epoch: i64,
    /// The epoch to come.
    epoch: i64,
    stage: Stage,
    /// Own log, durable up to here.
    logged: Zxid,
    /// Proposals of this leader that are not acknowledged.
    unacknowledged: VecDeque<Zxid>,
    /// UPTODATE came while NEWLEADER was still being taken care of.
    up_to_date: bool,
    needs_snapshot: bool,
    heard: Monotonic,
}

impl Learner {
    /// A learner whose log, all of it durable and applied, is `history`. No epoch is on its way to a file any more.
    pub fn new(settings: LearnerSettings, mut history: History, epochs: &Epochs, now: Monotonic) -> Self {
        assert!(epochs.is_settled(), "an epoch of the role before is on its way to its file");
        let logged = history.last_zxid();
        history.commit(logged);
        Self {
            settings,
            history,
            accepted_epoch: epochs.accepted(),
            current_epoch: epochs.current(),
            epoch: epochs.accepted(),
            stage: Stage::Connecting,
            logged,
            unacknowledged: VecDeque::new(),
            up_to_date: false,
            needs_snapshot: false,
            heard: now,
        }
    }

    /// Asks the leader for its whole tree: the last one wanted this server's log cut back, which [`Learner::cannot_truncate`].
    /// Nothing is thrown away until that tree has come: this server may hold what others count on. To be called before
    /// [`Learner::connected`].
    pub const fn ask_for_snapshot(&mut self) {
        self.needs_snapshot = true;
    }

    /// The link to the leader is there.
    pub fn connected(&mut self, now: Monotonic, effects: &mut Vec<LearnerEffect>) {
        self.heard = now;
        self.stage = Stage::Registering;
        effects.push(LearnerEffect::Send(FromLearner::Info(LearnerInfo {
            id: self.settings.id,
            is_observer: self.settings.is_observer,
            protocol_version: PROTOCOL_VERSION,
            config_version: self.settings.config_version,
            accepted_epoch: self.accepted_epoch,
        })));
    }

    /// Bytes came, of whatever kind; or the leader can't be heard, since the owner's disk has yet to take what it sent.
    pub const fn alive(&mut self, now: Monotonic) {
        self.heard = now;
    }

    /// A packet of the leader.
    pub fn packet(&mut self, packet: FromLeader, now: Monotonic, effects: &mut Vec<LearnerEffect>) {
        self.heard = now;
        match (self.stage, packet) {
            (Stage::Registering, FromLeader::LeaderInfo { epoch }) => self.promise(epoch, effects),
            (Stage::Left, _) => {}
            (Stage::Choosing, FromLeader::Diff { .. }) if !self.needs_snapshot => self.stage = Stage::Syncing,
            (Stage::Choosing, FromLeader::Trunc { zxid })
                if !self.needs_snapshot && (0..=self.history.last_zxid()).contains(&zxid) =>
            {
                self.stage = Stage::Replacing { cut: Some(zxid) };
                effects.push(LearnerEffect::Truncate(zxid));
            }
            (Stage::Choosing, FromLeader::Snap { zxid }) => {
                self.stage = Stage::Replacing { cut: None };
                effects.push(LearnerEffect::ReceiveSnapshot { zxid });
            }
            (Stage::Syncing, FromLeader::NewLeader { epoch, config }) if epoch == self.epoch => {
                effects.push(LearnerEffect::Config(config));
                // What is committed already needs nobody's acknowledgement; what an original leader sent ahead of its commit
                // does.
                let committed = self.history.committed();
                self.unacknowledged.retain(|zxid| *zxid > committed);
                self.stage = Stage::Entering { needed: self.history.last_zxid(), storing: false };
                self.enter_when_durable(effects);
            }
            (Stage::Entering { .. }, FromLeader::UpToDate) => self.up_to_date = true,
            (Stage::Entered, FromLeader::UpToDate) => self.serve(effects),
            (stage, packet) if stage.takes_transactions() => self.transaction(packet, effects),
            (_, FromLeader::Ping { .. } | FromLeader::Other(_)) => {}
            (stage, packet) => self.refuse(stage, &packet, effects),
        }
    }

    /// There is no older state that [`LearnerEffect::Truncate`] could go back to; log and tree are as they were.
    pub fn cannot_truncate(&mut self, effects: &mut Vec<LearnerEffect>) {
        if let Stage::Replacing { cut: Some(zxid) } = self.stage {
            self.leave(Abandonment::CannotTruncate(zxid), effects);
        }
    }

    /// The accepted epoch is durable. One that an earlier role had asked for is not this learner's promise.
    pub fn epoch_accepted(&mut self, epoch: i64, effects: &mut Vec<LearnerEffect>) {
        if self.stage == Stage::Promising && epoch == self.epoch {
            self.accepted_epoch = self.epoch;
            self.acknowledge_epoch(Some(self.current_epoch), effects);
        }
    }

    /// The log and the tree end where [`LearnerEffect::Truncate`] said. The leader's silence counts from now.
    pub fn truncated(&mut self, now: Monotonic) {
        if let Stage::Replacing { cut: Some(zxid) } = self.stage {
            self.heard = now;
            self.history.truncate(zxid);
            self.logged = self.logged.min(zxid);
            self.stage = Stage::Syncing;
        }
    }

    /// The tree of [`LearnerEffect::ReceiveSnapshot`] is this server's own, for good. The leader's silence counts from now.
    pub fn snapshot_received(&mut self, zxid: Zxid, now: Monotonic) {
        if self.stage == (Stage::Replacing { cut: None }) {
            self.heard = now;
            self.history = History::starting_behind(zxid);
            self.logged = zxid;
            self.stage = Stage::Syncing;
        }
    }

    /// The log is durable up to `zxid`.
    pub fn logged(&mut self, zxid: Zxid, effects: &mut Vec<LearnerEffect>) {
        self.logged = zxid;
        self.enter_when_durable(effects);
        if matches!(self.stage, Stage::Entered | Stage::Serving) {
            self.acknowledge_logged(effects);
        }
    }

    /// The current epoch is durable.
    pub fn epoch_entered(&mut self, epoch: i64, effects: &mut Vec<LearnerEffect>) {
        if !matches!(self.stage, Stage::Entering { storing: true, .. }) || epoch != self.epoch {
            return;
        }
        self.current_epoch = self.epoch;
        self.stage = Stage::Entered;
        effects.push(LearnerEffect::Send(FromLearner::Ack { zxid: epoch_start(self.epoch) }));
        self.acknowledge_logged(effects);
        if self.up_to_date {
            self.serve(effects);
        }
    }

    /// When [`Learner::tick`] is due.
    pub fn deadline(&self) -> Option<Monotonic> {
        let limit_ms = match self.stage {
            // A cut is the own disk's work; a link that ends is told.
            Stage::Connecting | Stage::Replacing { cut: Some(_) } | Stage::Left => return None,
            Stage::Entered | Stage::Serving => self.settings.sync_limit_ms,
            _ => self.settings.init_limit_ms,
        };
        Some(self.heard.plus_ms(limit_ms))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<LearnerEffect>) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.leave(Abandonment::Silent, effects);
        }
    }

    /// Whether it has introduced itself, and was not answered.
    pub const fn is_registering(&self) -> bool {
        matches!(self.stage, Stage::Registering)
    }

    /// The latest transactions.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// What is left for the next leader: everything that was logged.
    pub fn into_history(self) -> History {
        self.history
    }

    fn promise(&mut self, epoch: i64, effects: &mut Vec<LearnerEffect>) {
        // An observer's promise counts for nobody: it may follow whoever is not behind what it has.
        if self.settings.is_observer && (self.current_epoch..self.accepted_epoch).contains(&epoch) {
            self.epoch = epoch;
            self.acknowledge_epoch(None, effects);
        } else if epoch < self.accepted_epoch {
            let accepted = self.accepted_epoch;
            self.leave(Abandonment::OldEpoch { epoch, accepted }, effects);
        } else if epoch == self.accepted_epoch {
            // Promised before, perhaps to another leader: this must not count twice.
            self.epoch = epoch;
            self.acknowledge_epoch(None, effects);
        } else {
            self.epoch = epoch;
            self.stage = Stage::Promising;
            effects.push(LearnerEffect::AcceptEpoch(epoch));
        }
    }

    fn acknowledge_epoch(&mut self, current_epoch: Option<i64>, effects: &mut Vec<LearnerEffect>) {
        self.stage = Stage::Choosing;
        // Nobody's history goes on behind -1: an original leader sends its tree, and so does ours.
        let last_zxid = if self.needs_snapshot { -1 } else { self.history.last_zxid() };
        effects.push(LearnerEffect::Send(FromLearner::AckEpoch { current_epoch, last_zxid }));
    }

    fn transaction(&mut self, packet: FromLeader, effects: &mut Vec<LearnerEffect>) {
        match packet {
            FromLeader::Proposal(entry) => {
                self.log(entry, effects);
            }
            FromLeader::Commit { zxid } => self.commit(zxid, effects),
            FromLeader::CommitAndActivate { zxid, leader } => {
                self.commit(zxid, effects);
                self.activate(zxid, leader, effects);
            }
            FromLeader::Inform(entry) => self.inform(entry, effects),
            FromLeader::InformAndActivate { entry, leader } => {
                let zxid = entry.zxid;
                self.inform(entry, effects);
                self.activate(zxid, leader, effects);
            }
            FromLeader::Ping { .. } | FromLeader::Other(_) => {}
            packet => self.refuse(self.stage, &packet, effects),
        }
    }

    /// Whether the transaction is new. A leader that goes on behind a tree may begin with some that are in it.
    fn log(&mut self, entry: Entry, effects: &mut Vec<LearnerEffect>) -> bool {
        let (zxid, last) = (entry.zxid, self.history.last_zxid());
        if zxid <= self.history.committed() {
            return false;
        }
        // An original observer master may leave out what was on its way as it began.
        let is_gap =
            self.settings.is_observer && self.stage == Stage::Serving && zxid > last.max(epoch_start(self.epoch)) + 1;
        if zxid <= last || is_gap || epoch_of(zxid) > self.epoch {
            self.leave(Abandonment::OutOfOrder { zxid, last }, effects);
            return false;
        }
        self.history.push(entry.clone());
        if !self.settings.is_observer {
            self.unacknowledged.push_back(zxid);
        }
        effects.push(LearnerEffect::Log(entry));
        true
    }

    fn inform(&mut self, entry: Entry, effects: &mut Vec<LearnerEffect>) {
        let zxid = entry.zxid;
        if self.log(entry, effects) {
            self.commit(zxid, effects);
        }
    }

    fn activate(&self, zxid: Zxid, leader: ServerId, effects: &mut Vec<LearnerEffect>) {
        if self.stage != Stage::Left {
            effects.push(LearnerEffect::Activate { zxid, leader });
        }
    }

    fn commit(&mut self, zxid: Zxid, effects: &mut Vec<LearnerEffect>) {
        if zxid <= self.history.committed() {
            return;
        }
        let next = self.history.next_to_commit().map_or(0, |entry| entry.zxid);
        if next != zxid {
            return self.leave(Abandonment::UnmatchedCommit { zxid, next }, effects);
        }
        self.history.commit(zxid);
        self.history.trim(self.settings.history_len, zxid.min(self.logged));
        effects.push(LearnerEffect::Commit(zxid));
    }

    fn enter_when_durable(&mut self, effects: &mut Vec<LearnerEffect>) {
        if let Stage::Entering { needed, storing: false } = self.stage
            && self.logged >= needed
        {
            self.stage = Stage::Entering { needed, storing: true };
            effects.push(LearnerEffect::EnterEpoch(self.epoch));
        }
    }

    /// One for each proposal: an original leader counts them so.
    fn acknowledge_logged(&mut self, effects: &mut Vec<LearnerEffect>) {
        while let Some(zxid) = self.unacknowledged.front().copied().filter(|zxid| *zxid <= self.logged) {
            self.unacknowledged.pop_front();
            effects.push(LearnerEffect::Send(FromLearner::Ack { zxid }));
        }
    }

    fn serve(&mut self, effects: &mut Vec<LearnerEffect>) {
        self.stage = Stage::Serving;
        effects.push(LearnerEffect::Send(FromLearner::Ack { zxid: epoch_start(self.epoch) }));
        effects.push(LearnerEffect::Serve { epoch: self.epoch });
    }

    fn refuse(&mut self, stage: Stage, packet: &FromLeader, effects: &mut Vec<LearnerEffect>) {
        let packet = packet.describe();
        self.leave(Abandonment::Unexpected { packet, stage: stage.name() }, effects);
    }

    /// Whatever still comes of this leader counts no more.
    fn leave(&mut self, reason: Abandonment, effects: &mut Vec<LearnerEffect>) {
        self.stage = Stage::Left;
        effects.push(LearnerEffect::Abandon(reason));
    }
}

impl Stage {
    const fn takes_transactions(self) -> bool {
        matches!(self, Self::Syncing | Self::Entering { .. } | Self::Entered | Self::Serving)
    }
}
