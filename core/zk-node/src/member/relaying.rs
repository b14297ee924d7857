//! The observer master (upstream `ObserverMaster`, ZOOKEEPER-3140): a follower that feeds observers, and passes on what they ask of
//! the leader; and how an observer finds one (`QuorumPeer.findLearnerMaster`).
//!
//! For the leader all sessions of such observers are this server's: it does not see them move from one of them to another, or to
//! this server. So the follower keeps account of where each is at home, and a late request of a home that a session has left goes on
//! without its body, which fails in its place in history. The original lets it happen.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Now, Random};
use bytes::Bytes;
use config::zookeeper::{HostPort, PeerType};
use zk_proto::OpCode;
use zk_proto::peer::SessionTouch;
use zk_zab::{DecidingLists, Entry, FromLearner, Leader, LinkId, ServerId, Zxid};

use super::following::Asker;
use super::leading::Leading;
use super::wire::{self, Forwarded, LearnerSays};
use super::{Member, leading};
use crate::log::Logger;
use crate::{Effect, Effects, LinkEvent, PeerPort, Server};

/// A follower's part for observers.
pub(super) struct Relay {
    pub(super) feed: Leading,
    /// Sessions that have moved since it began, and where to: an observer, or this server.
    homes: BTreeMap<i64, Option<LinkId>>,
}

/// The voters that an observer goes to, one after the other.
#[derive(Default)]
pub(super) struct Masters {
    order: Vec<ServerId>,
    next: usize,
}

impl Masters {
    /// The next one of these; `None` once after each round.
    pub(super) fn next(&mut self, voters: &[ServerId], random: &mut Random) -> Option<ServerId> {
        let is_other = self.order.len() != voters.len() || voters.iter().any(|id| !self.order.contains(id));
        if is_other {
            self.order = voters.to_vec();
            for place in (1..self.order.len()).rev() {
                self.order.swap(place, random.below(place as u64 + 1) as usize);
            }
            self.next = 0;
        }
        let master = self.order.get(self.next).copied();
        self.next = if master.is_some() { self.next + 1 } else { 0 };
        master
    }
}

impl Relay {
    /// The leader has let a session go on, there or here.
    pub(super) fn moved(&mut self, session: i64, home: Option<LinkId>) {
        self.homes.insert(session, home);
    }

    pub(super) fn session_ended(&mut self, session: i64) {
        self.homes.remove(&session);
    }

    /// A transaction is in this server's log, or about to be.
    pub(super) fn logged(&mut self, entry: Entry) {
        self.feed.propose(entry);
    }

    pub(super) fn committed(&mut self, zxid: Zxid) {
        self.feed.commit(zxid);
    }

    fn has_left(&self, session: i64, link: LinkId) -> bool {
        self.homes.get(&session).is_some_and(|home| *home != Some(link))
    }
}

impl Member {
    /// Who feeds learners: a leader, or a follower that feeds observers.
    pub(super) fn feeding(&mut self) -> Option<&mut Leading> {
        if self.leads() {
            return self.leading();
        }
        self.following().and_then(|following| following.relay.as_mut()).map(|relay| &mut relay.feed)
    }

    /// How long an observer waits, by chance, so that all of them do not come at once.
    pub(super) fn reconnect_delay_ms(&self, random: &mut Random) -> u64 {
        let delay_ms = self.settings.observer_reconnect_delay_ms;
        match self.peer_type {
            PeerType::Observer if delay_ms > 0 => random.below(delay_ms),
            _ => 0,
        }
    }

    /// Where its history comes from: for an observer the next observer master; `true` if all were tried. Behind so many rounds that
    /// it is `weary` it goes to the leader: there may be none without it, as a list of servers that is proposed has it vote. The
    /// original goes to the masters without end.
    pub(super) fn next_source(&mut self, leader: ServerId, weary: bool, random: &mut Random) -> (Source, bool) {
        let port = self.settings.observer_master_port.filter(|_| self.peer_type == PeerType::Observer);
        // The leader feeds observers on its own port alone.
        let voters: Vec<ServerId> =
            self.lists.current.ensemble.voters().map(|server| server.id).filter(|id| *id != leader).collect();
        let Some(port) = port.filter(|_| !voters.is_empty()) else { return (Source::Leader(leader), true) };
        match self.masters.next(&voters, random) {
            Some(id) => (Source::Master { id, port }, false),
            None if weary => (Source::Leader(leader), true),
            None => {
                let first = self.masters.next(&voters, random);
                (first.map_or(Source::Leader(leader), |id| Source::Master { id, port }), true)
            }
        }
    }
}

/// Where a learner's history comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Leader(ServerId),
    Master { id: ServerId, port: u16 },
}

impl Source {
    pub(super) const fn id(self) -> ServerId {
        match self {
            Self::Leader(id) | Self::Master { id, .. } => id,
        }
    }

    /// Where it is to be dialled.
    pub(super) fn addresses(self, member: &Member) -> Vec<HostPort> {
        let quorum = member.lists.line(self.id()).map_or_else(Vec::new, |line| line.quorum.clone());
        match self {
            Self::Leader(_) => quorum,
            Self::Master { port, .. } => {
                quorum.into_iter().map(|HostPort { host, .. }| HostPort { host, port }).collect()
            }
        }
    }
}

impl Server {
    /// This server follows and serves: it feeds observers from now on, if it is to.
    pub(super) fn begin_relaying(&mut self, epoch: i64, now: Now, effects: &mut Effects) {
        let Some(member) = self.role.member_mut().filter(|member| member.peer_type == PeerType::Participant) else {
            return;
        };
        let Some(port) = member.settings.observer_master_port else { return };
        let list = &member.lists.current;
        let lists = DecidingLists::new(Arc::clone(&list.quorum), list.text.clone(), None);
        let bytes_max = member.settings.observer_master_bytes;
        let settings = leading::settings(&self.config, &member.settings);
        let addresses = member.own.quorum.iter().map(|address| HostPort { host: address.host.clone(), port }).collect();
        let Some(following) = member.following() else { return };
        let zab = Leader::relaying(settings, lists, following.history().clone(), epoch, bytes_max, now.monotonic);
        let feed = Leading::new(zab, Vec::new(), now.monotonic);
        following.relay = Some(Box::new(Relay { feed, homes: BTreeMap::new() }));
        self.log.info(Logger::Member, "Starting ObserverMaster");
        effects.push(Effect::ServePeers { port: PeerPort::Observers, addresses });
    }

    /// A transaction that is about to be committed puts a list of servers in force.
    pub(super) fn relay_activation(&mut self, zxid: Zxid, leader: ServerId) {
        let Some(member) = self.role.member_mut() else { return };
        let next = member.lists.next.as_ref().filter(|next| next.version() == zxid);
        let list = next.map(|next| next.proposed(&member.own));
        if let Some(relay) = member.following().and_then(|following| following.relay.as_mut()) {
            relay.feed.activates(zxid, leader, list);
        }
    }

    /// Something happened to a link that came in by the observers' port.
    pub(super) fn observer_link(&mut self, link: LinkId, event: LinkEvent, now: Now, effects: &mut Effects) {
        let relay = self.role.member_mut().and_then(Member::following).and_then(|following| following.relay.as_mut());
        match (relay, event) {
            (Some(relay), LinkEvent::Closed { reason, .. }) => {
                relay.homes.retain(|_, home| *home != Some(link));
                self.lose_learner(link, &reason, effects);
            }
            (None, LinkEvent::Closed { .. }) => {}
            (Some(_), event) => {
                if matches!(event, LinkEvent::Accepted { .. }) {
                    self.make_room_for_learner(effects);
                }
                if let Some(feed) = self.role.member_mut().and_then(Member::feeding) {
                    feed.learner_link(link, event, now.monotonic);
                }
                self.hear_learners(link, now, effects);
            }
            // Who does not follow has nothing to give.
            (None, _) => self.close_link(link, effects),
        }
    }

    /// What an observer says to its master.
    pub(super) fn observer_said(&mut self, link: LinkId, said: LearnerSays, now: Now) {
        match said {
            LearnerSays::Zab(packet) => self.tell_zab(link, packet, now),
            LearnerSays::Touches(touches) => {
                for SessionTouch { session_id, timeout_ms } in touches {
                    self.touch_session(session_id, timeout_ms, now);
                }
                self.tell_zab(link, FromLearner::Ping, now);
            }
            LearnerSays::Revalidate(SessionTouch { session_id, timeout_ms }) => {
                self.revalidate(Asker::Observer(link), session_id, timeout_ms);
            }
            LearnerSays::Request(request) => self.pass_on(link, request),
        }
    }

    /// Sends a request of an observer's client to the leader.
    fn pass_on(&mut self, link: LinkId, request: Forwarded) {
        let Forwarded { header, mut body, ids } = request;
        let Some(op) = OpCode::from_code(header.op) else {
            let text = format!("Received a request of unknown type {} from a learner", header.op);
            return self.log.warn(Logger::Member, text);
        };
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        if op == OpCode::Sync {
            following.await_sync(link);
        } else if following.relay.as_ref().is_some_and(|relay| relay.has_left(header.session_id, link)) {
            body = Bytes::new();
        }
        self.tell_leader(&wire::request_bytes(header.session_id, header.cxid, op, &body, &ids));
    }
}
