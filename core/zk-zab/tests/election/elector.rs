//! One election machine in a test's hands.

use std::sync::Arc;

use base::Monotonic;
use bytes::Bytes;
use zk_zab::{Election, ElectionEffect, ElectionSettings, Electorate, Notification, PeerState, Quorum, ServerId, Vote};

pub(crate) const CONFIG: &str = "server.1=a:1:2:participant\nversion=0";

pub(crate) fn electorate(quorum: Quorum) -> Electorate {
    Electorate { current: Arc::new(quorum), next: None, config: Bytes::from_static(CONFIG.as_bytes()) }
}

/// What an elector did, short enough to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    /// Told these servers: state, vote, round.
    Told(Vec<ServerId>, PeerState, Vote, i64),
    Elected(Vote, PeerState),
    StillLooking(ServerId),
    NewerConfig(ServerId),
    Ignored(ServerId, ServerId),
}

pub(crate) const fn vote(leader: ServerId, zxid: i64, peer_epoch: i64) -> Vote {
    Vote { leader, zxid, peer_epoch }
}

/// As a server of 3.4.6 or later says it.
pub(crate) fn said(state: PeerState, vote: Vote, round: i64) -> Notification {
    Notification::new(state, vote, round, Bytes::from_static(CONFIG.as_bytes()))
}

pub(crate) struct Elector {
    pub(crate) election: Election,
    pub(crate) now: Monotonic,
}

impl Elector {
    pub(crate) fn new(me: ServerId, quorum: Quorum) -> Self {
        Self::with(me, false, electorate(quorum), ElectionSettings::default())
    }

    pub(crate) fn with(me: ServerId, is_observer: bool, electorate: Electorate, settings: ElectionSettings) -> Self {
        Self { election: Election::new(me, is_observer, electorate, settings), now: Monotonic::from_ms(1000) }
    }

    pub(crate) fn look(&mut self, zxid: i64, epoch: i64) -> Vec<Did> {
        let now = self.now;
        self.run(|election, effects| election.look(now, zxid, epoch, effects))
    }

    pub(crate) fn hears(&mut self, from: ServerId, state: PeerState, vote: Vote, round: i64) -> Vec<Did> {
        self.receives(from, &said(state, vote, round))
    }

    pub(crate) fn receives(&mut self, from: ServerId, notification: &Notification) -> Vec<Did> {
        let now = self.now;
        self.run(|election, effects| election.received(from, notification, now, effects))
    }

    pub(crate) fn loses(&mut self, peer: ServerId) -> Vec<Did> {
        let now = self.now;
        self.run(|election, effects| election.peer_lost(peer, now, effects))
    }

    /// Time passes up to the next deadline. Gives how long that took, in ms.
    pub(crate) fn waits(&mut self) -> (u128, Vec<Did>) {
        let deadline = self.election.deadline().expect("a deadline");
        let waited = deadline - self.now;
        self.now = deadline.max(self.now);
        let now = self.now;
        (waited.as_millis(), self.run(|election, effects| election.tick(now, effects)))
    }

    fn run(&mut self, step: impl FnOnce(&mut Election, &mut Vec<ElectionEffect>)) -> Vec<Did> {
        let mut effects = Vec::new();
        step(&mut self.election, &mut effects);
        let mut did: Vec<Did> = Vec::new();
        for effect in effects {
            match effect {
                ElectionEffect::Send { to, notification } => {
                    let Notification { state, vote, round, version: 2, config: Some(config) } =
                        Notification::decode(&notification).unwrap()
                    else {
                        panic!("not the newest form");
                    };
                    assert_eq!(config, CONFIG);
                    match did.last_mut() {
                        Some(Did::Told(peers, s, v, r)) if (*s, *v, *r) == (state, vote, round) => peers.push(to),
                        _ => did.push(Did::Told(vec![to], state, vote, round)),
                    }
                }
                ElectionEffect::Elected { vote, state } => did.push(Did::Elected(vote, state)),
                ElectionEffect::StillLooking { peer } => did.push(Did::StillLooking(peer)),
                ElectionEffect::NewerConfig { from, .. } => did.push(Did::NewerConfig(from)),
                ElectionEffect::Ignored { from, leader } => did.push(Did::Ignored(from, leader)),
            }
        }
        did
    }
}
