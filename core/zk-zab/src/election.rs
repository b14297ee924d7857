//! Fast leader election: who leads (upstream `FastLeaderElection`, `Vote`, `SyncedLearnerTracker`).
//!
//! A server that has no leader votes, for itself at first, and tells every voter. Hearing of a better vote it takes that
//! one and tells everybody again. Who sees a quorum agree with itself waits a little for a still better vote, then goes
//! to its role. A server that already has a leader answers with what it believes, so that a late one joins without a
//! new election: when a quorum follows, and the leader itself says that it leads.
//!
//! Where this differs from 3.6.3, unseen by its peers:
//! - The wait before a vote is final ends once every voter was heard in this round, or is out of reach after it was heard
//!   of, and what arrives meanwhile is counted, not dropped.
//! - A voter whose connection is lost is tried again after 200 ms, doubling to 1 s, and not only when everybody is told
//!   again, up to 60 s later.
//! - A leader that there is is found by a quorum of the list in force alone, also while another list is proposed.
//! - What a server said as follower or leader is forgotten when it looks for a leader again or is out of reach.
//! - A looking server answers an observer with its vote of now, not with its last leader.
//! - Answers to servers without a vote are limited, so that two servers, each of which finds that the other has none,
//!   don't answer each other's answers as fast as they can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Monotonic;
use bytes::Bytes;

use crate::{Notification, PeerState, Quorum, ServerId, Vote, Zxid, epoch_of};

/// The longest pause before a voter out of reach is told again.
const RETRY_MS_MAX: u64 = 1000;

/// How many notifications of servers without a vote are answered within a second.
const STRANGERS_ANSWERED_MAX: u32 = 1000;

/// A log that was never initialised, and may not decide what others keep (`zkServer-initialize.sh`).
const NO_HISTORY: Zxid = -1;

/// Whom a server votes for that has no vote itself, before it hears of others.
const NOBODY: ServerId = i64::MIN;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct ElectionSettings {
    /// How long a vote that a quorum agrees with must stand before it is final, if some voter was not heard.
    pub finalize_wait_ms: u64,
    /// When everybody is told again for the first time (`zookeeper.fastleader.minNotificationInterval`).
    pub notification_interval_min_ms: u64,
    /// The pause doubles up to this (`zookeeper.fastleader.maxNotificationInterval`).
    pub notification_interval_max_ms: u64,
    /// `reconfigEnabled`: whether a newer list of servers in a notification stops the counting of votes under the old.
    pub reconfig_enabled: bool,
}

impl Default for ElectionSettings {
    fn default() -> Self {
        Self {
            finalize_wait_ms: 200,
            notification_interval_min_ms: 200,
            notification_interval_max_ms: 60_000,
            reconfig_enabled: false,
        }
    }
}

/// Who elects: the list of servers in force, and the one that is to follow it.
#[derive(Clone, Debug)]
pub struct Electorate {
    /// In force.
    pub current: Arc<Quorum>,
    /// Proposed, of a later version, not known to be in force: a leader needs its quorum too.
    pub next: Option<Arc<Quorum>>,
    /// The list in force as text (`QuorumVerifier.toString`), which goes along with each notification.
    pub config: Bytes,
}

impl Electorate {
    fn lists(&self) -> impl Iterator<Item = &Quorum> {
        std::iter::once(&self.current).chain(&self.next).map(Arc::as_ref)
    }

    fn is_voter(&self, id: ServerId) -> bool {
        self.lists().any(|list| list.is_voter(id))
    }

    /// Everyone with a vote now or next.
    fn voters(&self) -> BTreeSet<ServerId> {
        self.lists().flat_map(Quorum::voters).collect()
    }

    fn is_quorum(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        self.lists().all(|list| list.is_quorum(&agrees))
    }

    /// A server of weight 0 never wins; one that only the next list has weighs 1 for now.
    fn may_win(&self, id: ServerId) -> bool {
        !self.current.is_voter(id) || self.current.may_lead(id)
    }

    fn is_better(&self, new: Vote, old: Vote) -> bool {
        let key = |vote: Vote| (vote.peer_epoch, vote.zxid, vote.leader);
        self.may_win(new.leader) && key(new) > key(old)
    }
}

/// What the owner is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectionEffect {
    /// Give this to the connection manager, [`Links::send`](crate::Links::send).
    Send {
        /// A voter, or a server without a vote that asked.
        to: ServerId,
        /// A notification.
        notification: Bytes,
    },
    /// The election is over. It may come in the very call that began it.
    Elected {
        /// Who leads.
        vote: Vote,
        /// This server's part: leading, following or observing.
        state: PeerState,
    },
    /// This server leads, and this voter still looks for a leader (upstream `Leader.reportLookingSid`). Or this server follows, and it is
    /// the leader who looks for one, in another election than that in which it won.
    StillLooking {
        /// The voter.
        peer: ServerId,
    },
    /// A server has a newer list of servers. The notification was not counted: the owner takes the list over, calls
    /// [`Election::set_electorate`] and looks again (upstream `QuorumPeer.processReconfig`).
    NewerConfig {
        /// Whose list.
        from: ServerId,
        /// The list as text.
        config: Bytes,
    },
    /// A voter votes for a server that has no vote here: the lists of servers differ.
    Ignored {
        /// The voter.
        from: ServerId,
        /// The server it votes for.
        leader: ServerId,
    },
}

/// A vote as another server cast it.
#[derive(Clone, Copy, Debug)]
struct Ballot {
    vote: Vote,
    round: i64,
    version: i32,
    state: PeerState,
}

impl Ballot {
    /// Whether two servers mean the same. Past an election round and zxid may differ (ZOOKEEPER-1805), and servers from
    /// before 3.4.6 have another idea of the epoch (ZOOKEEPER-1732).
    fn agrees(&self, other: &Self) -> bool {
        if self.state == PeerState::Looking || other.state == PeerState::Looking {
            return self.vote == other.vote && self.round == other.round;
        }
        let same_kind = (self.version > 0) == (other.version > 0);
        self.vote.leader == other.vote.leader && (!same_kind || self.vote.peer_epoch == other.vote.peer_epoch)
    }
}

/// A voter out of reach.
#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Option<Monotonic>,
    pause_ms: u64,
}

/// The state of one search for a leader.
#[derive(Debug)]
struct Look {
    /// The vote that this server's own history speaks for.
    own: Vote,
    proposed: Vote,
    /// Votes of this round (upstream `recvset`), this server's own among them.
    in_round: BTreeMap<ServerId, Ballot>,
    /// What followers and leaders say, of any round (upstream `outofelection`).
    settled: BTreeMap<ServerId, Ballot>,
    retries: BTreeMap<ServerId, Retry>,
    pause_ms: u64,
    tell_at: Monotonic,
    /// A quorum agrees with `proposed`, which is final then.
    final_at: Option<Monotonic>,
}

/// What this server tells those who look for a leader, once it has one.
#[derive(Clone, Copy, Debug)]
struct Belief {
    state: PeerState,
    vote: Vote,
    round: i64,
}

/// One server's part in elections, for its whole life.
#[derive(Debug)]
pub struct Election {
    me: ServerId,
    is_observer: bool,
    electorate: Electorate,
    settings: ElectionSettings,
    /// Which election this is (upstream `logicalclock`).
    round: i64,
    /// There while this server looks for a leader.
    look: Option<Box<Look>>,
    belief: Option<Belief>,
    /// Voters without a connection, until they are heard again.
    lost: BTreeSet<ServerId>,
    /// Voters that were heard of since this server has started.
    met: BTreeSet<ServerId>,
    /// See [`Election::voted_epoch`].
    voted: BTreeMap<ServerId, i64>,
    /// Votes of those who looked for a leader while this server still had one. Who loses it a moment later counts them: their
    /// senders do not repeat them for a while.
    early: BTreeMap<ServerId, (Monotonic, Notification)>,
    /// When the role ended, while this server can't look for a leader yet.
    ended: Option<Monotonic>,
    /// Since when answers to servers without a vote are counted, and how many there were.
    strangers: (Monotonic, u32),
}

impl Election {
    /// Nothing happens before [`look`](Self::look), which should come before anything is received.
    pub const fn new(me: ServerId, is_observer: bool, electorate: Electorate, settings: ElectionSettings) -> Self {
        Self {
            me,
            is_observer,
            electorate,
            settings,
            round: 0,
            look: None,
            belief: None,
            lost: BTreeSet::new(),
            met: BTreeSet::new(),
            voted: BTreeMap::new(),
            early: BTreeMap::new(),
            ended: None,
            strangers: (Monotonic::from_nanoseconds(0), 0),
        }
    }

    /// Another list of servers, and this server's kind in it. A search for a leader that goes on must be begun again with
    /// [`look`](Self::look).
    pub fn set_electorate(&mut self, is_observer: bool, electorate: Electorate) {
        self.is_observer = is_observer;
        self.lost.retain(|id| electorate.is_voter(*id));
        self.met.retain(|id| electorate.is_voter(*id));
        self.voted.retain(|id, _| electorate.is_voter(*id));
        self.electorate = electorate;
    }

    /// There is no leader (any more): a new round begins. `last_zxid` is the last transaction in this server's log, -1 if
    /// it was never initialised; `current_epoch` the epoch whose history it has.
    pub fn look(&mut self, now: Monotonic, last_zxid: Zxid, current_epoch: i64, effects: &mut Vec<ElectionEffect>) {
        self.round = self.round.wrapping_add(1);
        let own = Vote {
            leader: if self.electorate.current.is_voter(self.me) { self.me } else { NOBODY },
            zxid: if self.is_observer { i64::MIN } else { last_zxid },
            peer_epoch: if self.is_observer { i64::MIN } else { current_epoch },
        };
        let mut look = Box::new(Look {
            own,
            proposed: own,
            in_round: BTreeMap::new(),
            settled: BTreeMap::new(),
            retries: BTreeMap::new(),
            pause_ms: self.settings.notification_interval_min_ms,
            tell_at: now,
            final_at: None,
        });
        self.tell_all(&mut look, now, effects);
        let mut winner = self.weigh(&mut look, now);
        let ended = self.ended.take().unwrap_or(now);
        for (from, (heard, notification)) in std::mem::take(&mut self.early) {
            let is_fresh = ended < heard.plus_ms(self.settings.finalize_wait_ms);
            if winner.is_none() && is_fresh && self.electorate.is_voter(from) {
                winner = self.consider(&mut look, from, &notification, now, effects);
            }
        }
        self.go_on(look, winner, effects);
    }

    /// A notification of `from` has arrived, which the connection manager vouches for.
    pub fn received(
        &mut self,
        from: ServerId,
        notification: &Notification,
        now: Monotonic,
        effects: &mut Vec<ElectionEffect>,
    ) {
        if from == self.me {
            return;
        }
        self.lost.remove(&from);
        self.met.insert(from);
        if notification.state == PeerState::Looking && self.electorate.is_voter(from) {
            self.voted.insert(from, notification.vote.peer_epoch.max(epoch_of(notification.vote.zxid)));
        }
        if self.settings.reconfig_enabled
            && self.look.is_some()
            && let Some(config) = &notification.config
            && notification.config_version() > Some(self.electorate.current.version())
        {
            // Also of a server that the list of before did not have.
            effects.push(ElectionEffect::NewerConfig { from, config: config.clone() });
        } else if !self.electorate.is_voter(from) {
            self.answer_stranger(from, now, effects);
        } else if let Some(mut look) = self.look.take() {
            look.retries.remove(&from);
            let winner = self.consider(&mut look, from, notification, now, effects);
            self.go_on(look, winner, effects);
        } else if notification.state == PeerState::Looking {
            self.early.insert(from, (now, notification.clone()));
            let Some(belief) = self.belief else { return };
            let is_lost_leader = from == belief.vote.leader && notification.round != belief.round;
            if belief.state == PeerState::Leading || is_lost_leader {
                effects.push(ElectionEffect::StillLooking { peer: from });
            }
            self.send(from, belief, effects);
        }
    }

    /// The election connection to `peer` was closed or could not be made: nobody need wait for its vote, if it was there before.
    pub fn peer_lost(&mut self, peer: ServerId, now: Monotonic, effects: &mut Vec<ElectionEffect>) {
        if !self.electorate.is_voter(peer) || peer == self.me {
            return;
        }
        // One that was never heard of may just be starting: two that did not wait for it could each be elected by the same third one, and who was
        // forsaken would lead nobody until `initLimit` is over.
        if self.met.contains(&peer) {
            self.lost.insert(peer);
        }
        self.early.remove(&peer);
        // It may come back with another history, and as a learner before its vote is here.
        self.voted.remove(&peer);
        let Some(mut look) = self.look.take() else { return };
        look.settled.remove(&peer);
        let pause_ms = match look.retries.get(&peer) {
            Some(retry) => retry.pause_ms.saturating_mul(2),
            None => self.settings.notification_interval_min_ms,
        };
        let pause_ms = pause_ms.clamp(1, RETRY_MS_MAX);
        look.retries.insert(peer, Retry { at: Some(now.plus_ms(pause_ms)), pause_ms });
        let winner = look.final_at.and_then(|_| self.weigh(&mut look, now));
        self.go_on(look, winner, effects);
    }

    /// The role has changed without an election, by a reconfiguration that names the leader.
    pub fn settled(&mut self, state: PeerState, vote: Vote) {
        (self.look, self.ended) = (None, None);
        // Such a vote has no round (upstream `QuorumPeer.updateVote`).
        self.belief = Some(Belief { state, vote, round: -1 });
    }

    /// The role has ended, and what it began on the disk has not: until [`look`](Self::look) nobody is told anything. Upstream says that it
    /// leads until its log is closed, and is elected again by those whom it has left. Votes that come meanwhile are kept, since their senders
    /// repeat them after up to a minute.
    pub fn role_ended(&mut self, now: Monotonic) {
        (self.look, self.belief) = (None, None);
        self.ended = Some(now);
    }

    /// The leader's epoch is established: the vote that others are told of carries it from now on (upstream
    /// `QuorumPeer.updateElectionVote`, ZOOKEEPER-1732).
    pub const fn update_vote(&mut self, epoch: i64) {
        if let Some(belief) = &mut self.belief {
            belief.vote.peer_epoch = epoch;
        }
    }

    /// When [`tick`](Self::tick) is due; `None` while there is a leader.
    pub fn deadline(&self) -> Option<Monotonic> {
        let look = self.look.as_ref()?;
        let retries = look.retries.values().filter_map(|retry| retry.at);
        retries.chain(look.final_at).chain([look.tell_at]).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<ElectionEffect>) {
        let Some(mut look) = self.look.take() else { return };
        if look.final_at.is_some_and(|at| at <= now) {
            let winner = look.proposed;
            return self.go_on(look, Some(winner), effects);
        }
        if look.tell_at <= now {
            let pause_ms = look.pause_ms.saturating_mul(2);
            look.pause_ms = pause_ms.clamp(1, self.settings.notification_interval_max_ms.max(1));
            self.tell_all(&mut look, now, effects);
        }
        let mine = self.looking(&look);
        for (peer, retry) in &mut look.retries {
            if retry.at.is_some_and(|at| at <= now) {
                retry.at = None;
                self.send(*peer, mine, effects);
            }
        }
        self.look = Some(look);
    }

    /// The epoch of the history that a voter voted for when it last looked for a leader: its own, or one that it found better. `None` if
    /// that is not known, also of one whose election connection was lost since.
    pub fn voted_epoch(&self, voter: ServerId) -> Option<i64> {
        self.voted.get(&voter).copied()
    }

    /// Which election this is, counted since the process began (upstream `getLogicalClock`).
    pub const fn round(&self) -> i64 {
        self.round
    }
}

/// Counting.
impl Election {
    /// A voter's notification while this server looks for a leader. Gives the winner.
    fn consider(
        &mut self,
        look: &mut Look,
        from: ServerId,
        notification: &Notification,
        now: Monotonic,
        effects: &mut Vec<ElectionEffect>,
    ) -> Option<Vote> {
        let Notification { state, vote, round, version, .. } = *notification;
        if state == PeerState::Looking && round < self.round {
            let mine = self.looking(look);
            self.send(from, mine, effects);
        }
        if vote.leader == NOBODY && state == PeerState::Looking {
            // A voter of the next list that is none of the current one: what it votes for will be what it hears in its round.
            return if round > self.round { self.begin_round(look, round, now, effects) } else { None };
        }
        if !self.electorate.is_voter(vote.leader) {
            effects.push(ElectionEffect::Ignored { from, leader: vote.leader });
            return None;
        }
        let ballot = Ballot { vote, round, version, state };
        match state {
            PeerState::Looking => self.consider_looking(look, from, ballot, now, effects),
            PeerState::Following | PeerState::Leading => self.consider_settled(look, from, ballot, now),
            PeerState::Observing => None,
        }
    }

    fn consider_looking(
        &mut self,
        look: &mut Look,
        from: ServerId,
        ballot: Ballot,
        now: Monotonic,
        effects: &mut Vec<ElectionEffect>,
    ) -> Option<Vote> {
        look.settled.remove(&from);
        if look.own.zxid == NO_HISTORY || ballot.vote.zxid == NO_HISTORY || ballot.round < self.round {
            return None;
        }
        let is_new_round = ballot.round > self.round;
        if is_new_round {
            self.enter_round(look, ballot.round);
        }
        let is_better = self.electorate.is_better(ballot.vote, look.proposed);
        if is_better {
            look.proposed = ballot.vote;
        }
        if is_new_round || is_better {
            look.final_at = None;
            self.tell_all(look, now, effects);
        }
        look.in_round.insert(from, Ballot { version: 0, ..ballot });
        self.weigh(look, now)
    }

    fn enter_round(&mut self, look: &mut Look, round: i64) {
        self.round = round;
        look.in_round.clear();
        look.proposed = look.own;
    }

    fn begin_round(
        &mut self,
        look: &mut Look,
        round: i64,
        now: Monotonic,
        effects: &mut Vec<ElectionEffect>,
    ) -> Option<Vote> {
        self.enter_round(look, round);
        self.tell_all(look, now, effects);
        self.weigh(look, now)
    }

    /// A follower's or a leader's word. It elects at once if a quorum follows the same leader and that one leads.
    fn consider_settled(&mut self, look: &mut Look, from: ServerId, ballot: Ballot, now: Monotonic) -> Option<Vote> {
        if ballot.round == self.round {
            look.in_round.insert(from, Ballot { version: 0, ..ballot });
            if self.follows(&look.in_round, &ballot) {
                return Some(ballot.vote);
            }
            // It is heard now, and may have changed sides. But a wait is not begun on a follower's word.
            if let Some(winner) = look.final_at.and_then(|_| self.weigh(look, now)) {
                return Some(winner);
            }
        }
        look.settled.insert(from, ballot);
        if self.follows(&look.settled, &ballot) {
            self.round = ballot.round;
            return Some(ballot.vote);
        }
        None
    }

    /// Whether a quorum follows the leader of `ballot`, and it leads: a crashed leader must not be elected on the word of
    /// those who have not noticed (upstream `checkLeader`). This server itself leads if the others say so in its round.
    ///
    /// A quorum of the list in force is enough to find a leader that there is. Upstream wants one of the next list, too, and
    /// when this server is the one that is missing there, it stays out, and that list is never in force.
    fn follows(&self, ballots: &BTreeMap<ServerId, Ballot>, ballot: &Ballot) -> bool {
        let leader = ballot.vote.leader;
        let leads = if leader == self.me {
            ballot.round == self.round
        } else {
            ballots.get(&leader).is_some_and(|said| said.state == PeerState::Leading)
        };
        leads && self.electorate.current.is_quorum(|id| ballots.get(&id).is_some_and(|other| ballot.agrees(other)))
    }

    /// Whether a quorum votes as this server does, in this round.
    fn agreed(&self, look: &Look) -> bool {
        let mine = Ballot { vote: look.proposed, round: self.round, version: 0, state: PeerState::Looking };
        self.electorate.is_quorum(|id| look.in_round.get(&id).is_some_and(|other| mine.agrees(other)))
    }

    /// The winner, if the vote is final now; if it is to be later, the wait begins.
    fn weigh(&self, look: &mut Look, now: Monotonic) -> Option<Vote> {
        if !self.agreed(look) {
            look.final_at = None;
            return None;
        }
        let is_out = |id: &ServerId| look.in_round.contains_key(id) || self.lost.contains(id);
        if self.electorate.voters().iter().all(is_out) {
            return Some(look.proposed);
        }
        look.final_at.get_or_insert(now.plus_ms(self.settings.finalize_wait_ms));
        None
    }

    fn go_on(&mut self, look: Box<Look>, winner: Option<Vote>, effects: &mut Vec<ElectionEffect>) {
        let Some(vote) = winner else {
            self.look = Some(look);
            return;
        };
        let state = match self.is_observer {
            _ if vote.leader == self.me => PeerState::Leading,
            true => PeerState::Observing,
            false => PeerState::Following,
        };
        self.belief = Some(Belief { state, vote, round: self.round });
        effects.push(ElectionEffect::Elected { vote, state });
    }
}

/// Telling.
impl Election {
    const fn looking(&self, look: &Look) -> Belief {
        Belief { state: PeerState::Looking, vote: look.proposed, round: self.round }
    }

    /// Tells every voter, this server too.
    fn tell_all(&self, look: &mut Look, now: Monotonic, effects: &mut Vec<ElectionEffect>) {
        look.tell_at = now.plus_ms(look.pause_ms);
        let mine = self.looking(look);
        for voter in self.electorate.voters() {
            if voter != self.me {
                self.send(voter, mine, effects);
            } else if look.own.zxid != NO_HISTORY {
                let Belief { state, vote, round } = mine;
                look.in_round.insert(voter, Ballot { vote, round, version: 0, state });
            }
        }
    }

    /// Observers and joiners ask whom to follow.
    fn answer_stranger(&mut self, from: ServerId, now: Monotonic, effects: &mut Vec<ElectionEffect>) {
        let Some(mine) = self.look.as_ref().map(|look| self.looking(look)).or(self.belief) else { return };
        let (since, answered) = &mut self.strangers;
        if now.since(*since).as_secs() > 0 {
            (*since, *answered) = (now, 0);
        }
        if *answered < STRANGERS_ANSWERED_MAX {
            *answered += 1;
            self.send(from, Belief { round: self.round, ..mine }, effects);
        }
    }

    fn send(&self, to: ServerId, mine: Belief, effects: &mut Vec<ElectionEffect>) {
        let Belief { state, vote, round } = mine;
        let notification = Notification::new(state, vote, round, self.electorate.config.clone()).encode();
        effects.push(ElectionEffect::Send { to, notification });
    }
}
