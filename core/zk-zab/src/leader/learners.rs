//! What a leader knows of each learner.

use std::collections::{BTreeMap, VecDeque};

use base::Monotonic;
use bytes::Bytes;

use super::LeaderSettings;
use crate::{LinkId, Quorum, ServerId, Zxid};

/// How far a learner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learning {
    /// It has not said who it is.
    Greeting,
    /// It waits for the epoch.
    Waiting,
    /// It knows the epoch.
    Told,
    /// It has promised to follow no earlier one.
    Promised,
    /// The log is asked for what it lacks.
    Asking,
    /// It is given what it lacks.
    Catching,
    /// The whole tree is on its way.
    Receiving,
    /// It has been sent NEWLEADER.
    Informed,
    /// It has taken the history over.
    Synced,
    /// It serves.
    Following,
}

impl Learning {
    /// What is wrong with a packet that does not bring it on.
    pub(super) const fn awaits(self) -> Option<&'static str> {
        match self {
            Self::Greeting => Some("First packet is not FOLLOWERINFO or OBSERVERINFO!"),
            Self::Waiting | Self::Told => Some("Packet is not ACKEPOCH"),
            _ => None,
        }
    }
}

/// One learner.
#[derive(Debug)]
pub(super) struct Learner {
    pub(super) id: ServerId,
    pub(super) is_observer: bool,
    pub(super) stage: Learning,
    pub(super) heard: Monotonic,
    pub(super) congested: bool,
    /// Proposals were sent up to here; before that, its last transaction.
    pub(super) sent: Zxid,
    /// Proposals that were sent without their commits.
    pub(super) uncommitted: VecDeque<Zxid>,
    /// NEWLEADER goes out behind this.
    pub(super) target: Zxid,
    /// It has logged up to here.
    pub(super) acked: Zxid,
    /// Opaque packets, each behind a commit, in the order of those.
    pub(super) behind: VecDeque<(Zxid, Bytes)>,
    /// The log is being read for it.
    pub(super) reading: bool,
    log: LogWatch,
}

/// Whether a log stands still: one proposal that it lacks is watched at a time, for `syncLimit`.
#[derive(Debug, Default)]
pub(super) struct LogWatch {
    /// The proposal, and since when it is watched.
    awaited: Option<(Zxid, Monotonic)>,
}

impl LogWatch {
    /// It has logged up to `acked` of what it was given up to `sent`.
    pub(super) fn is_late(&mut self, acked: Zxid, sent: Zxid, settings: &LeaderSettings, now: Monotonic) -> bool {
        match self.awaited.filter(|(zxid, _)| acked < *zxid) {
            Some((_, since)) => since.plus_ms(settings.sync_limit_ms) <= now,
            None => {
                self.awaited = (acked < sent).then_some((sent, now));
                false
            }
        }
    }
}

impl Learner {
    /// Keeps an opaque packet until `zxid` is committed there.
    pub(super) fn put_behind(&mut self, zxid: Zxid, bytes: Bytes) {
        let place = self.behind.partition_point(|(other, _)| *other <= zxid);
        self.behind.insert(place, (zxid, bytes));
    }

    /// NEWLEADER is acknowledged: so is everything sent before it.
    pub(super) fn taken_over(&mut self) {
        self.stage = Learning::Synced;
        self.acked = self.acked.max(self.target);
    }

    /// Whether it has its place in the history.
    pub(super) const fn is_placed(&self) -> bool {
        matches!(self.stage, Learning::Catching | Learning::Informed | Learning::Synced | Learning::Following)
    }

    const fn is_synced(&self) -> bool {
        matches!(self.stage, Learning::Synced | Learning::Following)
    }

    /// Whether it has not logged a proposal for `syncLimit`. It is not watched while the link is the bottleneck.
    fn is_slow(&mut self, settings: &LeaderSettings, now: Monotonic) -> bool {
        if !self.is_synced() || self.is_observer || self.congested {
            self.log = LogWatch::default();
            return false;
        }
        self.log.is_late(self.acked, self.sent, settings, now)
    }

    fn patience_ends(&self, settings: &LeaderSettings) -> Monotonic {
        let serves = self.stage == Learning::Following;
        let limit_ms = if serves { settings.sync_limit_ms } else { settings.init_limit_ms };
        self.heard.plus_ms(limit_ms)
    }
}

/// All of them, by link and by number.
#[derive(Debug, Default)]
pub(super) struct Learners {
    by_link: BTreeMap<LinkId, Learner>,
    by_id: BTreeMap<ServerId, LinkId>,
}

impl Learners {
    pub(super) fn insert(&mut self, link: LinkId, now: Monotonic) {
        let learner = Learner {
            id: -1,
            is_observer: true,
            stage: Learning::Greeting,
            heard: now,
            congested: false,
            sent: 0,
            uncommitted: VecDeque::new(),
            target: 0,
            acked: 0,
            behind: VecDeque::new(),
            reading: false,
            log: LogWatch::default(),
        };
        self.by_link.insert(link, learner);
    }

    /// A learner has said who it is.
    pub(super) fn name(&mut self, link: LinkId, id: ServerId) {
        if let Some(learner) = self.by_link.get_mut(&link) {
            learner.id = id;
            // Observers may come without a number.
            if id >= 0 {
                self.by_id.insert(id, link);
            }
        }
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        if let Some(learner) = self.by_link.remove(&link)
            && self.by_id.get(&learner.id) == Some(&link)
        {
            self.by_id.remove(&learner.id);
        }
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&Learner> {
        self.by_link.get(&link)
    }

    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut Learner> {
        self.by_link.get_mut(&link)
    }

    pub(super) fn link_of(&self, id: ServerId) -> Option<LinkId> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn links(&self) -> Vec<LinkId> {
        self.by_link.keys().copied().collect()
    }

    /// Those at a stage.
    pub(super) fn at(&self, stage: Learning) -> Vec<LinkId> {
        self.by_link.iter().filter(|(_, learner)| learner.stage == stage).map(|(link, _)| *link).collect()
    }

    /// Those that are sent pings: past the start of NEWLEADER, as upstream.
    pub(super) fn pinged(&self) -> Vec<LinkId> {
        let gets = |learner: &Learner| learner.is_synced() || learner.stage == Learning::Informed;
        self.by_link.iter().filter(|(_, learner)| gets(learner)).map(|(link, _)| *link).collect()
    }

    pub(super) fn receiving_count(&self) -> usize {
        self.at(Learning::Receiving).len()
    }

    pub(super) fn is_synced(&self, id: ServerId) -> bool {
        self.of(id).is_some_and(Learner::is_synced)
    }

    /// Whether it is connected and acknowledges what it logs: who came as an observer does not.
    pub(super) fn has_log(&self, id: ServerId) -> bool {
        self.of(id).is_some_and(|learner| !learner.is_observer)
    }

    /// The same of one that has taken the history over.
    pub(super) fn is_synced_with_log(&self, id: ServerId) -> bool {
        self.is_synced(id) && self.has_log(id)
    }

    /// Up to where a server has logged; nothing before it has taken the history over.
    pub(super) fn acked_by(&self, id: ServerId) -> Zxid {
        self.of(id).filter(|learner| learner.is_synced()).map_or(0, |learner| learner.acked)
    }

    /// Whether it is connected and has said who it is.
    pub(super) fn is_present(&self, id: ServerId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn voters_present<'a>(&'a self, quorum: &'a Quorum) -> impl Iterator<Item = ServerId> + 'a {
        self.by_id.keys().copied().filter(|id| quorum.is_voter(*id))
    }

    /// When the first of them has been silent for too long.
    pub(super) fn deadline(&self, settings: &LeaderSettings) -> Option<Monotonic> {
        self.by_link.values().map(|learner| learner.patience_ends(settings)).min()
    }

    pub(super) fn silent(&self, settings: &LeaderSettings, now: Monotonic) -> Vec<LinkId> {
        let is_silent = |learner: &Learner| learner.patience_ends(settings) <= now;
        self.by_link.iter().filter(|(_, learner)| is_silent(learner)).map(|(link, _)| *link).collect()
    }

    /// Those whose log stands still.
    pub(super) fn slow(&mut self, settings: &LeaderSettings, now: Monotonic) -> Vec<LinkId> {
        self.by_link.iter_mut().filter_map(|(link, learner)| learner.is_slow(settings, now).then_some(*link)).collect()
    }

    pub(super) fn synced_counts(&self, quorum: &Quorum) -> (usize, usize) {
        count(quorum, self.by_link.values().filter(|learner| learner.is_synced()))
    }

    pub(super) fn counts(&self, quorum: &Quorum) -> (usize, usize) {
        count(quorum, self.by_link.values())
    }

    fn of(&self, id: ServerId) -> Option<&Learner> {
        self.get(*self.by_id.get(&id)?)
    }
}

/// Those with a vote, and those without.
fn count<'a>(quorum: &Quorum, learners: impl Iterator<Item = &'a Learner>) -> (usize, usize) {
    let (voters, others): (Vec<_>, Vec<_>) = learners.partition(|learner| quorum.is_voter(learner.id));
    (voters.len(), others.len())
}
