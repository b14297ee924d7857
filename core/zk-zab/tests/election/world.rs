//! Electors with their links on a simulated network, from a seed: connections take any time, are cut, in one direction
//! too, and overtake each other; servers crash and come back. Roles are played in short: a follower whose leader does not
//! lead, and a leader whom no quorum follows, look again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Monotonic, Random};
use bytes::Bytes;
use zk_zab::{
    Election, ElectionEffect, ElectionSettings, Electorate, LinkEffect, LinkId, LinkSettings, Links, Notification,
    PeerState, Quorum, ServerId, Vote,
};

/// How long a role is given before it is looked after, and between looks.
const ROLE_MS: u64 = 500;

/// When a connection that carries nothing any more is found broken, at the latest.
const BREAKS_MS: u64 = 1500;

type Micros = u64;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    server: ServerId,
    link: LinkId,
}

#[derive(Debug)]
enum Event {
    /// The connection reaches the other server, and the one who dialled learns of it.
    Connect {
        from: End,
        to: ServerId,
    },
    Fail(End),
    Bytes(End, Bytes),
    Closed(End),
    Role(ServerId, u64),
    Tick,
}

#[derive(Debug)]
pub(crate) struct Server {
    id: ServerId,
    is_observer: bool,
    election: Election,
    links: Links,
    pub(crate) state: PeerState,
    pub(crate) vote: Option<Vote>,
    /// Counts its looks and elections, so that old role events don't count.
    turn: u64,
    pub(crate) is_up: bool,
}

pub(crate) struct World {
    pub(crate) now: Micros,
    pub(crate) random: Random,
    quorum: Arc<Quorum>,
    pub(crate) servers: BTreeMap<ServerId, Server>,
    /// (zxid, epoch) on disk.
    pub(crate) disks: BTreeMap<ServerId, (i64, i64)>,
    events: BTreeMap<(Micros, u64), Event>,
    next: u64,
    /// Each open end, its other end, and when the last bytes towards that arrive.
    ends: BTreeMap<End, (End, Micros)>,
    /// Nothing goes from the first to the second.
    pub(crate) cuts: BTreeSet<(ServerId, ServerId)>,
    /// The longest way of a message.
    pub(crate) delay_max: Micros,
    /// Whether (zxid, epoch) stay as they are, so that each election's winner can be judged.
    pub(crate) is_still: bool,
    pub(crate) elections: u64,
}

impl World {
    pub(crate) fn new(seed: u64, quorum: Quorum) -> Self {
        let mut random = Random::from_seed(seed);
        let quorum = Arc::new(quorum);
        let disk = |random: &mut Random| (random.below(4) as i64, random.below(3) as i64);
        let disks = quorum.servers().into_iter().map(|id| (id, disk(&mut random))).collect();
        Self {
            now: 0,
            random,
            quorum,
            servers: BTreeMap::new(),
            disks,
            events: BTreeMap::new(),
            next: 1,
            ends: BTreeMap::new(),
            cuts: BTreeSet::new(),
            delay_max: 2000,
            is_still: false,
            elections: 0,
        }
    }

    pub(crate) fn monotonic(&self) -> Monotonic {
        Monotonic::from_nanoseconds(self.now * 1000)
    }

    /// A server starts, with nothing but its disk.
    pub(crate) fn start(&mut self, id: ServerId) {
        let electorate = Electorate { current: Arc::clone(&self.quorum), next: None, config: Bytes::new() };
        let settings = LinkSettings {
            addresses: vec![format!("s{id}:3888")],
            is_multi_address: false,
            connect_timeout_ms: 1000,
            greeting_timeout_ms: 1000,
        };
        let is_observer = !self.quorum.is_voter(id);
        let server = Server {
            id,
            is_observer,
            election: Election::new(id, is_observer, electorate, ElectionSettings::default()),
            links: Links::new(id, self.quorum.servers(), settings),
            state: PeerState::Looking,
            vote: None,
            turn: self.next_number(),
            is_up: true,
        };
        self.servers.insert(id, server);
        self.look(id);
    }

    /// It is gone, and its connections end, some of them only later.
    pub(crate) fn crash(&mut self, id: ServerId) {
        self.servers.get_mut(&id).expect("a server").is_up = false;
        let ends: Vec<End> = self.ends.keys().filter(|end| end.server == id).copied().collect();
        for end in ends {
            self.close(end);
        }
    }

    /// These servers have lost their leader.
    pub(crate) fn look_again(&mut self, ids: &[ServerId]) {
        for id in ids {
            self.look(*id);
        }
    }

    /// Runs for so long.
    pub(crate) fn run_ms(&mut self, ms: u64) {
        let until = self.now + ms * 1000;
        while let Some(at) = self.due().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let event = match self.events.first_key_value() {
                Some(((first, _), _)) if *first <= at => self.events.pop_first().expect("there is one").1,
                _ => Event::Tick,
            };
            self.step(event);
        }
        self.now = until;
    }

    /// Whoever leads, with everybody that is up behind it.
    pub(crate) fn agreed_leader(&self) -> Option<ServerId> {
        let mut up = self.servers.values().filter(|server| server.is_up);
        let leader = up.clone().find(|server| server.state == PeerState::Leading)?.id;
        let follows = |server: &Server| match server.state {
            PeerState::Leading => server.id == leader,
            PeerState::Following => !server.is_observer && server.vote.is_some_and(|vote| vote.leader == leader),
            PeerState::Observing => server.is_observer && server.vote.is_some_and(|vote| vote.leader == leader),
            PeerState::Looking => false,
        };
        up.all(follows).then_some(leader)
    }

    fn due(&self) -> Option<Micros> {
        let deadlines = self.servers.values().filter(|server| server.is_up);
        let deadlines = deadlines.flat_map(|server| [server.election.deadline(), server.links.deadline()]).flatten();
        // Rounded up: a deadline is not met before its time.
        let deadlines = deadlines.map(|at| at.nanoseconds().div_ceil(1000));
        deadlines.chain(self.events.keys().next().map(|(at, _)| *at)).min()
    }

    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn after(&mut self, micros: Micros, event: Event) {
        let number = self.next_number();
        self.events.insert((self.now + micros, number), event);
    }

    fn delay(&mut self) -> Micros {
        1 + self.random.below(self.delay_max)
    }

    fn is_cut(&self, from: ServerId, to: ServerId) -> bool {
        self.cuts.contains(&(from, to))
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Connect { from, to } => self.connect(from, to),
            Event::Fail(end) => self.links(end.server, &|links, _, effects| links.dial_failed(end.link, effects)),
            Event::Bytes(end, bytes) => {
                if self.ends.contains_key(&end) {
                    self.links(end.server, &|links, now, effects| links.received(end.link, &bytes, now, effects));
                }
            }
            Event::Closed(end) => {
                if self.ends.remove(&end).is_some() {
                    self.links(end.server, &|links, _, effects| links.closed(end.link, effects));
                }
            }
            Event::Role(id, turn) => self.role(id, turn),
            Event::Tick => {
                for id in self.servers.keys().copied().collect::<Vec<_>>() {
                    self.links(id, &|links, now, effects| links.tick(now, effects));
                    self.election(id, &|election, now, effects| election.tick(now, effects));
                }
            }
        }
    }

    fn connect(&mut self, from: End, to: ServerId) {
        let is_reachable = self.servers.get(&to).is_some_and(|server| server.is_up);
        if !is_reachable || self.is_cut(from.server, to) || self.is_cut(to, from.server) {
            // Refused, or found out late.
            let late = if is_reachable { self.random.below(BREAKS_MS * 1000) } else { 0 };
            return self.after(late, Event::Fail(from));
        }
        let accepted = End { server: to, link: LinkId(self.next_number()) };
        self.ends.insert(from, (accepted, self.now));
        self.ends.insert(accepted, (from, self.now));
        self.links(to, &|links, now, effects| links.accepted(accepted.link, now, effects));
        self.links(from.server, &|links, _, effects| links.dialled(from.link, effects));
    }

    fn write(&mut self, end: End, bytes: Bytes) {
        let delay = self.delay();
        let Some((other, last)) = self.ends.get_mut(&end) else { return };
        if self.cuts.contains(&(end.server, other.server)) {
            let (one, other) = (end, *other);
            let (breaks, breaks_there) = (self.random.below(BREAKS_MS * 1000), self.random.below(BREAKS_MS * 1000));
            self.after(breaks, Event::Closed(one));
            return self.after(breaks_there, Event::Closed(other));
        }
        let at = (self.now + delay).max(*last + 1);
        *last = at;
        let event = Event::Bytes(*other, bytes);
        self.after(at - self.now, event);
    }

    /// This end is gone now, and the other one hears of it behind what was sent.
    fn close(&mut self, end: End) {
        let delay = self.delay();
        let Some((other, last)) = self.ends.remove(&end) else { return };
        let delay = if self.is_cut(end.server, other.server) { BREAKS_MS * 1000 } else { delay };
        let at = (self.now + delay).max(last + 1);
        self.after(at - self.now, Event::Closed(other));
    }

    fn links(&mut self, id: ServerId, step: &dyn Fn(&mut Links, Monotonic, &mut Vec<LinkEffect>)) {
        let now = self.monotonic();
        let Some(server) = self.servers.get_mut(&id).filter(|server| server.is_up) else { return };
        let mut effects = Vec::new();
        step(&mut server.links, now, &mut effects);
        for effect in effects {
            match effect {
                LinkEffect::Dial { link, peer, .. } => {
                    let delay = self.delay();
                    self.after(delay, Event::Connect { from: End { server: id, link }, to: peer });
                }
                LinkEffect::Send { link, bytes } => self.write(End { server: id, link }, bytes),
                LinkEffect::Close { link, .. } => self.close(End { server: id, link }),
                LinkEffect::Message { from, bytes } => {
                    let notification = Notification::decode(&bytes).expect("only electors write");
                    self.election(id, &|election, now, effects| election.received(from, &notification, now, effects));
                }
                LinkEffect::Lost { peer } => {
                    self.election(id, &|election, now, effects| election.peer_lost(peer, now, effects));
                }
            }
        }
    }

    fn election(&mut self, id: ServerId, step: &dyn Fn(&mut Election, Monotonic, &mut Vec<ElectionEffect>)) {
        let now = self.monotonic();
        let Some(server) = self.servers.get_mut(&id).filter(|server| server.is_up) else { return };
        let mut effects = Vec::new();
        step(&mut server.election, now, &mut effects);
        for effect in effects {
            match effect {
                ElectionEffect::Send { to, notification } => {
                    self.links(id, &|links, now, effects| links.send(to, &notification, now, effects));
                }
                ElectionEffect::Elected { vote, state } => self.elected(id, vote, state),
                ElectionEffect::StillLooking { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn look(&mut self, id: ServerId) {
        let turn = self.next_number();
        let (zxid, epoch) = self.disks[&id];
        if let Some(server) = self.servers.get_mut(&id) {
            (server.state, server.vote, server.turn) = (PeerState::Looking, None, turn);
        }
        self.election(id, &|election, now, effects| election.look(now, zxid, epoch, effects));
    }

    fn elected(&mut self, id: ServerId, vote: Vote, state: PeerState) {
        self.elections += 1;
        if self.is_still {
            // The winner has the best history of a quorum, itself among it.
            let best = (vote.peer_epoch, vote.zxid, vote.leader);
            let (zxid, epoch) = self.disks[&vote.leader];
            assert_eq!(best, (epoch, zxid, vote.leader), "a vote tells the leader's history");
            let disks = &self.disks;
            let is_not_better = |id: ServerId| disks.get(&id).is_some_and(|(zxid, epoch)| (*epoch, *zxid, id) <= best);
            assert!(self.quorum.is_quorum(is_not_better), "{id} elects {vote:?} of {disks:?}");
        }
        let turn = self.next_number();
        let server = self.servers.get_mut(&id).expect("a server");
        assert_eq!(server.state, PeerState::Looking, "elected once");
        (server.state, server.vote, server.turn) = (state, Some(vote), turn);
        self.after(ROLE_MS * 1000, Event::Role(id, turn));
    }

    fn role(&mut self, id: ServerId, turn: u64) {
        let Some(server) = self.servers.get(&id).filter(|server| server.is_up && server.turn == turn) else { return };
        let (state, leader) = (server.state, server.vote.expect("it has a role").leader);
        let reaches = |one, other| !self.is_cut(one, other) && !self.is_cut(other, one);
        let follows = |other: ServerId| {
            let other = &self.servers[&other];
            other.is_up
                && other.state == PeerState::Following
                && other.vote.is_some_and(|vote| vote.leader == id)
                && reaches(id, other.id)
        };
        let is_well = if state == PeerState::Leading {
            let has_started = |other| self.servers.contains_key(&other);
            self.quorum.is_quorum(|other| other == id || (has_started(other) && follows(other)))
        } else {
            let leader = self.servers.get(&leader).filter(|leader| leader.is_up);
            leader.is_some_and(|leader| leader.state == PeerState::Leading && reaches(id, leader.id))
        };
        if !is_well {
            return self.look(id);
        }
        if !self.is_still && state == PeerState::Leading {
            let followers: Vec<ServerId> =
                self.servers.keys().copied().filter(|other| *other == id || follows(*other)).collect();
            self.lead(id, &followers);
        }
        self.after(ROLE_MS * 1000, Event::Role(id, turn));
    }

    /// An epoch begins, once, and something is written; all followers have it.
    fn lead(&mut self, leader: ServerId, followers: &[ServerId]) {
        let (zxid, epoch) = self.disks[&leader];
        let latest = self.disks.values().map(|(_, epoch)| *epoch).max().unwrap_or_default();
        let has_begun = epoch > 2 && followers.iter().all(|id| self.disks[id].1 == epoch);
        let epoch = if has_begun { epoch } else { latest.max(2) + 1 };
        for id in followers {
            self.disks.insert(*id, (zxid + 1, epoch));
            self.servers.get_mut(id).expect("a server").election.update_vote(epoch);
        }
    }
}
