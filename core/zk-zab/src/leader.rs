//! The leader's side of Zab (upstream `Leader`, `LearnerHandler`).
//!
//! A learner is a cursor over the history, not a queue: "proposals sent up to here, commits up to there". While its link is
//! congested nothing is pushed but pings. One that falls behind what is kept in memory is brought on from the log, and a
//! whole tree only sets the cursor. So a slow learner costs the leader nothing but a few numbers.
//!
//! ```text
//! leader    Discovering ─ a quorum's accepted epochs ─ Accepting ─ Promising ─ a quorum's ACKEPOCH ─ Entering
//!           Entering ─ own epoch durable ─ Synchronising ─ a quorum's ACK of NEWLEADER ─ Broadcasting
//! learner   Greeting ─ Waiting ─ Told ─ Promised ─ Syncing (DIFF, TRUNC or SNAP) ─ NEWLEADER ─ ACK ─ UPTODATE
//! ```

mod learners;
mod lists;
mod relay;
mod sync;

use std::collections::{BTreeMap, BTreeSet};

use base::Monotonic;
use bytes::Bytes;

use crate::{
    Entry, Epochs, FromLeader, FromLearner, History, LearnerInfo, LinkId, ServerId, Zxid, epoch_of, epoch_start,
};
use learners::{Learners, Learning, LogWatch};
pub use lists::{DecidingLists, ProposedList};
pub use sync::{LogChunk, LogStart};

/// The last counter of an epoch but one; upstream begins a new epoch rather than use the last.
const COUNTER_MAX: i64 = 0xffff_fffe;

/// Epochs are 32 bits with a sign on the wire, and there must be one more.
const EPOCH_MAX: i64 = i32::MAX as i64;

/// How a leader goes about it.
#[derive(Clone, Copy, Debug)]
pub struct LeaderSettings {
    /// Its number.
    pub id: ServerId,
    /// `tickTime`.
    pub tick_ms: u64,
    /// `initLimit` in milliseconds: for each step up to broadcast, and for a learner to take the history over.
    pub init_limit_ms: u64,
    /// `syncLimit` in milliseconds: silence of a learner.
    pub sync_limit_ms: u64,
    /// `commitLogCount`: transactions kept in memory.
    pub history_len: usize,
    /// `forceSnapshotSync`: every learner gets the whole tree.
    pub force_snapshot: bool,
    /// `leader.maxConcurrentSnapSyncs`: whole trees on their way to observers at a time; voters are exempt, and counted.
    pub snapshot_syncs_max: usize,
    /// `leader.maxTimeToWaitForEpoch` in milliseconds: after so long without a quorum's accepted epochs, a voter that looks
    /// for a leader again ends this one; see [`Leader::looking`]. `None`: it waits for `initLimit`.
    pub epoch_wait_ms: Option<u64>,
}

/// What the owner is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderEffect {
    /// Send this behind everything else of the link.
    Send {
        /// To whom.
        link: LinkId,
        /// What.
        packet: FromLeader,
    },
    /// The learner is lost: close its link. It is forgotten already.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        reason: Loss,
    },
    /// Make this the accepted epoch, for good; then [`Leader::epoch_accepted`].
    AcceptEpoch(i64),
    /// Make this the current epoch, for good; then [`Leader::epoch_entered`].
    EnterEpoch(i64),
    /// Send [`FromLeader::Snap`] and the whole tree with its signature; then [`Leader::snapshot_sent`].
    SendSnapshot {
        /// To whom.
        link: LinkId,
    },
    /// Read committed transactions behind this one from the own log; then [`Leader::log_read`] or
    /// [`Leader::log_refused`].
    ReadLog {
        /// For whom.
        link: LinkId,
        /// The learner's last one.
        after: Zxid,
    },
    /// A quorum follows: requests may be taken. The first transaction is `epoch_start + 1`.
    Established {
        /// The epoch.
        epoch: i64,
    },
    /// Everything up to this is committed.
    Commit(Zxid),
    /// The list of servers that was proposed is in force.
    Activate {
        /// Who leads from now on. If it is not this server, it commits nothing more, and resigns once the others have left.
        leader: ServerId,
    },
    /// This server leads no more: look for a leader.
    Resign(Resignation),
}

/// Why a leader gives up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Resignation {
    /// Too few learners came or agreed in time.
    #[error("Timeout while waiting for {what} from quorum")]
    NoQuorum {
        /// For which step.
        what: &'static str,
    },
    /// Too few are left.
    #[error("Not sufficient followers synced, only synced with sids: {synced:?}")]
    LostQuorum {
        /// Who is, this server among them.
        synced: Vec<ServerId>,
    },
    /// A voter has promised a later epoch to somebody who did not make it, and has no history of it. It can follow nobody
    /// before there is a later one still; upstream leaves it out until the next election, however long that takes.
    #[error("{id} has accepted epoch {accepted} already, and can't follow epoch {epoch}")]
    Overtaken {
        /// Who.
        id: ServerId,
        /// What it has promised.
        accepted: i64,
        /// This leader's epoch.
        epoch: i64,
    },
    /// Voters without whom there is no quorum have history that this leader lacks: it was appointed by a leader that left (upstream
    /// `Leader.getDesignatedLeader`), and an election finds another. Upstream waits for `initLimit`.
    #[error("{ahead:?} are ahead of the leader, and there is no quorum without them")]
    Behind {
        /// Who.
        ahead: BTreeSet<ServerId>,
    },
    /// Those who are to have a vote by the list that is proposed follow without one: an observer acknowledges nothing, and
    /// so the list would never be in force. With the next epoch it is. Upstream waits for ever.
    #[error("the proposed list of servers needs the votes of servers that follow as observers")]
    VotesOfObservers,
    /// The own log stands still, and the others are a quorum that logs without it. Upstream leads on, and what waits for its disk
    /// grows without end.
    #[error("this server has not logged a transaction for {sync_limit_ms} ms, and the others do without it")]
    SlowLog {
        /// `syncLimit`.
        sync_limit_ms: u64,
    },
    /// The epoch has no more numbers.
    #[error("zxid lower 32 bits have rolled over, forcing re-election, and therefore new epoch start")]
    RollOver,
}

/// Why a learner is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It was silent, or took too long to take the history over.
    #[error("Read timed out")]
    Silent,
    /// It talks, and has not logged a proposal for `syncLimit` (upstream `SyncLimitCheck`).
    #[error("Closing connection to peer due to transaction timeout.")]
    Slow,
    /// It does not belong here: the words are upstream's.
    #[error("{0}")]
    Refused(&'static str),
    /// It has history that this leader lacks, while the leader is not established.
    #[error("Follower is ahead of the leader")]
    Ahead,
    /// Another connection of the same server has come.
    #[error("the same server has connected again")]
    Replaced,
    /// It has history of a later epoch than this leader's, which a quorum follows: nobody here has made it.
    #[error(
        "server {id} has history of epoch {voted}, and this is epoch {epoch}: its data directory is another ensemble's"
    )]
    Foreign {
        /// Who.
        id: ServerId,
        /// The epoch that it voted with.
        voted: i64,
        /// This leader's epoch.
        epoch: i64,
    },
}

/// How far the leader is.
#[derive(Debug)]
enum Stage {
    /// The accepted epochs of those who want to follow.
    Discovering {
        accepted: BTreeMap<ServerId, i64>,
    },
    /// The own accepted epoch is being written.
    Accepting,
    /// Who has promised to follow no earlier epoch.
    Promising {
        promised: BTreeSet<ServerId>,
        /// Who was turned away.
        ahead: BTreeSet<ServerId>,
    },
    /// The own current epoch is being written.
    Entering,
    /// Who has taken the history over is known from the learners themselves.
    Synchronising,
    Broadcasting,
    /// Another server leads, and this one feeds observers.
    Relaying {
        /// Transactions that are kept in memory, in bytes.
        bytes_max: usize,
    },
}

/// One server that leads, from its election on.
#[derive(Debug)]
pub struct Leader {
    settings: LeaderSettings,
    lists: DecidingLists,
    history: History,
    /// The own state as it was elected.
    current_epoch: i64,
    epoch: i64,
    stage: Stage,
    /// When the stage must be over.
    stage_ends: Monotonic,
    learners: Learners,
    /// The epochs of the histories that voters last voted for.
    voted: BTreeMap<ServerId, i64>,
    /// Own log, durable up to here.
    logged: Zxid,
    own_log: LogWatch,
    /// Whether the own current epoch is durable: the own log counts as an acknowledgement of NEWLEADER, and others are told that.
    entered: bool,
    next_ping: Monotonic,
    next_count: Monotonic,
    /// The latest time that was told.
    now: Monotonic,
    began: Monotonic,
    /// Another one is to lead: nothing more is committed.
    is_leaving: bool,
    resigned: bool,
}

impl Leader {
    /// A leader whose log, all of it durable and applied, is `history`: the history that its epoch begins with. No epoch is
    /// on its way to a file any more.
    pub fn new(
        settings: LeaderSettings,
        lists: DecidingLists,
        mut history: History,
        epochs: &Epochs,
        now: Monotonic,
        effects: &mut Vec<LeaderEffect>,
    ) -> Self {
        assert!(epochs.is_settled(), "an epoch of the role before is on its way to its file");
        let logged = history.last_zxid();
        history.commit(logged);
        let mut leader = Self {
            settings,
            lists,
            history,
            current_epoch: epochs.current(),
            epoch: 0,
            stage: Stage::Discovering { accepted: BTreeMap::new() },
            stage_ends: now.plus_ms(settings.init_limit_ms),
            learners: Learners::default(),
            voted: BTreeMap::new(),
            logged,
            own_log: LogWatch::default(),
            entered: false,
            next_ping: now,
            next_count: now,
            now,
            began: now,
            is_leaving: false,
            resigned: false,
        };
        leader.hear_of_epoch(settings.id, epochs.accepted(), now, effects);
        leader
    }

    /// The last transaction, or the start of the epoch.
    pub fn last_proposed(&self) -> Zxid {
        self.history.last_zxid().max(epoch_start(self.epoch))
    }

    /// A learner has connected.
    pub fn opened(&mut self, link: LinkId, now: Monotonic) {
        self.learners.insert(link, now);
    }

    /// The last that was heard of a voter's vote, [`Election::voted_epoch`](crate::Election::voted_epoch): to be told before
    /// its first packet.
    pub fn voted(&mut self, id: ServerId, epoch: Option<i64>) {
        match epoch.filter(|_| self.lists.is_voter(id)) {
            Some(epoch) => self.voted.insert(id, epoch),
            None => self.voted.remove(&id),
        };
    }

    /// Links that have not said whose they are, the oldest first.
    pub fn unnamed(&self) -> Vec<LinkId> {
        self.learners.at(Learning::Greeting)
    }

    /// What is wrong with any other packet of a learner than the one that introduces it, or its promise; `None` behind those.
    pub fn awaited_of(&self, link: LinkId) -> Option<&'static str> {
        self.learners.get(link).and_then(|learner| learner.stage.awaits())
    }

    /// A learner's link has ended.
    pub fn closed(&mut self, link: LinkId) {
        self.learners.remove(link);
        if self.is_leaving {
            self.next_count = self.now;
        }
    }

    /// A learner's link can take no more for now, or can again.
    pub fn congested(&mut self, link: LinkId, congested: bool, effects: &mut Vec<LeaderEffect>) {
        if let Some(learner) = self.learners.get_mut(link) {
            learner.congested = congested;
            self.push(link, effects);
        }
    }

    /// A learner takes what it is sent.
    pub fn alive(&mut self, link: LinkId, now: Monotonic) {
        if let Some(learner) = self.learners.get_mut(link) {
            learner.heard = now;
        }
    }

    /// A packet of a learner.
    pub fn packet(&mut self, link: LinkId, packet: FromLearner, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        self.now = now;
        if self.resigned {
            return;
        }
        let Some(learner) = self.learners.get_mut(link) else { return };
        learner.heard = now;
        match (learner.stage, packet) {
            // Those who have left would come back before all have, and keep a leader that commits nothing.
            (Learning::Greeting, FromLearner::Info(_)) if self.is_leaving => {
                self.lose(link, Loss::Refused("Another server leads from now on"), effects);
            }
            (Learning::Greeting, FromLearner::Info(info)) => self.welcome(link, &info, now, effects),
            (Learning::Told, FromLearner::AckEpoch { current_epoch, last_zxid }) => {
                self.promised(link, current_epoch, last_zxid, now, effects);
            }
            (Learning::Informed, FromLearner::Ack { zxid }) if zxid == epoch_start(self.epoch) => {
                learner.taken_over();
                self.push(link, effects);
                self.establish_if_ready(now, effects);
                self.welcome_in(link, effects);
                self.commit_if_ready(effects);
            }
            (Learning::Synced | Learning::Following, FromLearner::Ack { zxid }) => {
                if zxid != epoch_start(self.epoch) {
                    learner.acked = learner.acked.max(zxid.min(learner.sent));
                    self.commit_if_ready(effects);
                }
            }
            (stage, _) if stage.awaits().is_some() => {
                self.lose(link, Loss::Refused(stage.awaits().unwrap_or_default()), effects);
            }
            // An original learner may acknowledge proposals before NEWLEADER: they count with that.
            (_, FromLearner::Ping | FromLearner::Ack { .. }) => {}
            (_, FromLearner::Info(_) | FromLearner::AckEpoch { .. }) => {
                self.lose(link, Loss::Refused("Unexpected packet of a learner"), effects);
            }
        }
    }

    /// A server that is to follow looks for a leader again (upstream `reportLookingSid`, which asks only about those who
    /// elected this one). Matters only while accepted epochs are collected, and with `epoch_wait_ms`.
    pub fn looking(&mut self, id: ServerId, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        let is_over = self.settings.epoch_wait_ms.is_some_and(|wait_ms| self.began.plus_ms(wait_ms) < now);
        if is_over && matches!(self.stage, Stage::Discovering { .. }) && self.lists.is_voter(id) {
            self.resign(Resignation::NoQuorum { what: self.stage.waits_for() }, effects);
        }
    }

    /// The own accepted epoch is durable. One that an earlier role had asked for is none of this leader's.
    pub fn epoch_accepted(&mut self, epoch: i64, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        if !matches!(self.stage, Stage::Accepting) || epoch != self.epoch {
            return;
        }
        self.go_on(Stage::Promising { promised: BTreeSet::new(), ahead: BTreeSet::new() }, now);
        for link in self.learners.at(Learning::Waiting) {
            self.tell_epoch(link, effects);
        }
        self.count_promise(self.settings.id, now, effects);
    }

    /// The own current epoch is durable: the own log counts from now on.
    pub fn epoch_entered(&mut self, epoch: i64, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        if !matches!(self.stage, Stage::Entering) || epoch != self.epoch {
            return;
        }
        self.current_epoch = self.epoch;
        self.entered = true;
        self.go_on(Stage::Synchronising, now);
        for link in self.learners.at(Learning::Catching) {
            self.push(link, effects);
        }
        self.establish_if_ready(now, effects);
    }

    /// The owner has prepared a transaction, and put it into the own log.
    pub fn proposed(&mut self, entry: Entry, effects: &mut Vec<LeaderEffect>) {
        assert_eq!(epoch_of(entry.zxid), self.epoch, "a transaction belongs to its leader's epoch");
        let is_last = entry.zxid & 0xffff_ffff >= COUNTER_MAX;
        self.history.push(entry);
        for link in self.learners.links() {
            self.push(link, effects);
        }
        if is_last && matches!(self.stage, Stage::Broadcasting) {
            self.resign(Resignation::RollOver, effects);
        }
    }

    /// The own log is durable up to `zxid`.
    pub fn logged(&mut self, zxid: Zxid, effects: &mut Vec<LeaderEffect>) {
        self.logged = zxid;
        self.commit_if_ready(effects);
    }

    /// Sends an opaque packet to a learner, behind the commits of everything proposed so far (`proposed`) or committed so
    /// far, and before the next one: the learner takes it for the answer to what it asked for at that place.
    pub fn send_behind(&mut self, link: LinkId, bytes: Bytes, proposed: bool, effects: &mut Vec<LeaderEffect>) {
        let zxid = if proposed { self.history.last_zxid() } else { self.history.committed() };
        if let Some(learner) = self.learners.get_mut(link) {
            learner.put_behind(zxid, bytes);
            self.push(link, effects);
        }
    }

    /// When [`Leader::tick`] is due.
    pub fn deadline(&self) -> Option<Monotonic> {
        if self.resigned {
            return None;
        }
        let of_learners = self.learners.deadline(&self.settings);
        let own = match self.stage {
            Stage::Broadcasting => self.next_ping.min(self.next_count),
            Stage::Relaying { .. } => self.next_ping,
            _ => self.stage_ends,
        };
        Some(of_learners.map_or(own, |deadline| deadline.min(own)))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        self.now = now;
        for link in self.learners.silent(&self.settings, now) {
            self.lose(link, Loss::Silent, effects);
        }
        if !self.stage.is_established() {
            if self.stage_ends <= now {
                self.resign(Resignation::NoQuorum { what: self.stage.waits_for() }, effects);
            }
            return;
        }
        if self.next_ping <= now {
            self.next_ping = now.plus_ms((self.settings.tick_ms / 2).max(1));
            let zxid = self.last_proposed();
            for link in self.learners.slow(&self.settings, now) {
                self.lose(link, Loss::Slow, effects);
            }
            for link in self.learners.pinged() {
                effects.push(LeaderEffect::Send { link, packet: FromLeader::Ping { zxid } });
            }
        }
        if self.next_count <= now && matches!(self.stage, Stage::Broadcasting) {
            self.next_count = now.plus_ms(self.settings.tick_ms.max(1));
            if let Some(reason) = self.count_votes(now) {
                self.resign(reason, effects);
            }
        }
    }

    /// Why it can't lead on, if it can't.
    fn count_votes(&mut self, now: Monotonic) -> Option<Resignation> {
        let (lists, me, learners) = (&self.lists, self.settings.id, &self.learners);
        // Those who still take the history over count, as upstream: a follower that comes back with a whole tree to
        // receive must not cost the epoch.
        if !lists.decide(|id| id == me || learners.is_present(id)) {
            let synced = std::iter::once(me).chain(learners.voters_present(lists.current())).collect();
            return Some(Resignation::LostQuorum { synced });
        }
        if !lists.is_votable(|id| id == me || learners.has_log(id)) {
            return Some(Resignation::VotesOfObservers);
        }
        // Of what the others have committed: where all disks stand still, nobody would lead any better.
        let is_late = self.own_log.is_late(self.logged, self.history.committed(), &self.settings, now);
        let others_do = || lists.decide(|id| id != me && learners.is_synced_with_log(id));
        let sync_limit_ms = self.settings.sync_limit_ms;
        (is_late && others_do()).then_some(Resignation::SlowLog { sync_limit_ms })
    }

    /// Learners that have taken the history over: followers, observers.
    pub fn synced_counts(&self) -> (usize, usize) {
        self.learners.synced_counts(self.lists.current())
    }

    /// How many learners are connected: those with a vote, all.
    pub fn learner_counts(&self) -> (usize, usize) {
        self.learners.counts(self.lists.current())
    }

    /// What is left for the next leader: everything that was proposed.
    pub fn into_history(self) -> History {
        self.history
    }

    fn welcome(&mut self, link: LinkId, info: &LearnerInfo, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        if info.protocol_version < 0x1_0000 {
            return self.lose(link, Loss::Refused("a learner from before 3.4.0, which is not served"), effects);
        }
        if matches!(self.stage, Stage::Relaying { .. }) && !info.is_observer {
            return self.lose(link, Loss::Refused("Non observer attempting to connect to ObserverMaster."), effects);
        }
        if info.config_version > self.lists.current().version() {
            let reason = "Follower is ahead of the leader (has a later activated configuration)";
            return self.lose(link, Loss::Refused(reason), effects);
        }
        if !(-1..EPOCH_MAX).contains(&info.accepted_epoch) {
            return self.lose(link, Loss::Refused("an accepted epoch that can't be"), effects);
        }
        if let Some(old) = self.learners.link_of(info.id).filter(|old| *old != link) {
            self.lose(old, Loss::Replaced, effects);
        }
        let (id, accepted_epoch) = (info.id, info.accepted_epoch);
        if let Some(learner) = self.learners.get_mut(link) {
            learner.stage = Learning::Waiting;
            learner.is_observer = info.is_observer;
        }
        self.learners.name(link, id);
        match self.stage {
            Stage::Discovering { .. } => self.hear_of_epoch(id, accepted_epoch, now, effects),
            _ if accepted_epoch > self.epoch => self.overtaken(link, id, accepted_epoch, effects),
            Stage::Accepting => {}
            _ => self.tell_epoch(link, effects),
        }
    }

    /// A learner has promised a later epoch than this one, which it can't follow.
    fn overtaken(&mut self, link: LinkId, id: ServerId, accepted: i64, effects: &mut Vec<LeaderEffect>) {
        let epoch = self.epoch;
        match self.voted.get(&id).copied() {
            Some(voted) if voted <= epoch => self.resign(Resignation::Overtaken { id, accepted, epoch }, effects),
            // Were its epoch this ensemble's, a quorum would have left this leader for it. In an election its history would
            // win, and everybody's be gone.
            Some(voted) => {
                self.tell_epoch(link, effects);
                self.lose(link, Loss::Foreign { id, voted, epoch }, effects);
            }
            // Who has not voted is no voter that looks for a leader. It leaves by itself.
            None => self.tell_epoch(link, effects),
        }
    }

    fn hear_of_epoch(&mut self, id: ServerId, epoch: i64, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        let Stage::Discovering { accepted } = &mut self.stage else { return };
        self.epoch = self.epoch.max(epoch + 1);
        if self.lists.is_voter(id) {
            accepted.insert(id, epoch);
        }
        if self.lists.decide(|id| accepted.contains_key(&id)) {
            self.go_on(Stage::Accepting, now);
            effects.push(LeaderEffect::AcceptEpoch(self.epoch));
        }
    }

    fn tell_epoch(&mut self, link: LinkId, effects: &mut Vec<LeaderEffect>) {
        if let Some(learner) = self.learners.get_mut(link) {
            learner.stage = Learning::Told;
            effects.push(LeaderEffect::Send { link, packet: FromLeader::LeaderInfo { epoch: self.epoch } });
        }
    }

    fn promised(
        &mut self,
        link: LinkId,
        current_epoch: Option<i64>,
        last_zxid: Zxid,
        now: Monotonic,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let is_choosing = matches!(self.stage, Stage::Promising { .. });
        let own = (self.current_epoch, self.history.last_zxid());
        if is_choosing && current_epoch.is_some_and(|epoch| (epoch, last_zxid) > own) {
            return self.turn_away(link, effects);
        }
        let Some(learner) = self.learners.get_mut(link) else { return };
        learner.stage = Learning::Promised;
        learner.sent = last_zxid;
        let id = learner.id;
        if !is_choosing {
            return self.synchronise(link, now, effects);
        }
        // One that has nothing to build on promises no history either.
        if current_epoch.is_some() && last_zxid >= 0 {
            self.count_promise(id, now, effects);
        }
    }

    /// Loses a learner that is ahead. Those who vote by the list in force were seen by the election, if there was one.
    fn turn_away(&mut self, link: LinkId, effects: &mut Vec<LeaderEffect>) {
        let id = self.learners.get_mut(link).map(|learner| learner.id);
        self.lose(link, Loss::Ahead, effects);
        let (Some(id), Stage::Promising { ahead, .. }) = (id, &mut self.stage) else { return };
        ahead.insert(id);
        if !self.lists.current().is_quorum(|id| !ahead.contains(&id)) {
            let ahead = std::mem::take(ahead);
            self.resign(Resignation::Behind { ahead }, effects);
        }
    }

    fn count_promise(&mut self, id: ServerId, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        let Stage::Promising { promised, .. } = &mut self.stage else { return };
        promised.insert(id);
        if !self.lists.decide(|id| promised.contains(&id)) {
            return;
        }
        self.go_on(Stage::Entering, now);
        effects.push(LeaderEffect::EnterEpoch(self.epoch));
        for link in self.learners.at(Learning::Promised) {
            self.synchronise(link, now, effects);
        }
    }

    /// Begins to serve when a quorum, this server in it, has taken the history over.
    fn establish_if_ready(&mut self, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        if !matches!(self.stage, Stage::Synchronising) || !self.entered {
            return;
        }
        let (me, learners) = (self.settings.id, &self.learners);
        if !self.lists.decide(|id| id == me || learners.is_synced(id)) {
            return;
        }
        self.go_on(Stage::Broadcasting, now);
        (self.next_ping, self.next_count) = (now, now.plus_ms(self.settings.tick_ms));
        self.activate_with_epoch(effects);
        if !self.is_leaving {
            effects.push(LeaderEffect::Established { epoch: self.epoch });
        }
        for link in self.learners.at(Learning::Synced) {
            self.welcome_in(link, effects);
        }
    }

    /// Tells a learner that it may serve: not before everything it came with is committed. It has applied that already, and
    /// its clients must not read what may yet be lost.
    fn welcome_in(&mut self, link: LinkId, effects: &mut Vec<LeaderEffect>) {
        let may_serve = self.stage.is_established();
        let committed = self.history.committed();
        if let Some(learner) = self.learners.get_mut(link).filter(|learner| learner.stage == Learning::Synced)
            && may_serve
            && self.history.last_up_to(learner.target).is_none_or(|last| last <= committed)
        {
            learner.stage = Learning::Following;
            learner.heard = self.now;
            effects.push(LeaderEffect::Send { link, packet: FromLeader::UpToDate });
        }
    }

    /// Commits as far as a quorum has logged: up to a list of servers by the quorums of the old and the new one, and from
    /// then on by the new one's.
    fn commit_if_ready(&mut self, effects: &mut Vec<LeaderEffect>) {
        while matches!(self.stage, Stage::Broadcasting) && !self.resigned && !self.is_leaving {
            let (me, logged, learners) = (self.settings.id, self.logged, &self.learners);
            let acked = |id| if id == me { logged } else { learners.acked_by(id) };
            let Some(zxid) = self.lists.committed(acked) else { return };
            // Learners that have nothing but the start of an epoch acknowledge that.
            let Some(zxid) = self.history.last_up_to(zxid).filter(|zxid| *zxid > self.history.committed()) else {
                return;
            };
            self.history.commit(zxid);
            let leader = self.activate_at(zxid);
            effects.push(LeaderEffect::Commit(zxid));
            for link in self.learners.links() {
                self.push(link, effects);
                self.welcome_in(link, effects);
            }
            if let Some(leader) = leader {
                effects.push(LeaderEffect::Activate { leader });
            }
            self.history.trim(self.settings.history_len, self.history.committed().min(self.logged));
        }
    }

    fn lose(&mut self, link: LinkId, reason: Loss, effects: &mut Vec<LeaderEffect>) {
        self.learners.remove(link);
        effects.push(LeaderEffect::Close { link, reason });
    }

    fn resign(&mut self, reason: Resignation, effects: &mut Vec<LeaderEffect>) {
        if !std::mem::replace(&mut self.resigned, true) {
            effects.push(LeaderEffect::Resign(reason));
        }
    }

    fn go_on(&mut self, stage: Stage, now: Monotonic) {
        self.stage = stage;
        self.stage_ends = now.plus_ms(self.settings.init_limit_ms);
    }
}

impl Stage {
    /// Whether the epoch has begun, and learners may serve.
    const fn is_established(&self) -> bool {
        matches!(self, Self::Broadcasting | Self::Relaying { .. })
    }

    const fn waits_for(&self) -> &'static str {
        match self {
            Self::Discovering { .. } | Self::Accepting => "epoch",
            Self::Promising { .. } | Self::Entering => "epoch acks",
            Self::Synchronising | Self::Broadcasting | Self::Relaying { .. } => "new leader acks",
        }
    }
}
