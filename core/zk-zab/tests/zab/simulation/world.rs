//! Servers, links between them, time, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Monotonic, Random};
use bytes::Bytes;
use zk_zab::{
    Election, ElectionSettings, Electorate, Entry, Epochs, FromLeader, FromLearner, History, LeaderSettings,
    LearnerSettings, LinkId, Quorum, ServerId,
};

use super::disk::{Disk, Work};
use super::invariants::{self, Onlooker};
use super::server::{Role, Server};

pub(crate) const TICK_MS: u64 = 100;
pub(crate) const INIT_LIMIT_MS: u64 = 1000;
pub(crate) const SYNC_LIMIT_MS: u64 = 500;
/// So few transactions are kept in memory that logs are read and trees are sent.
const HISTORY_LEN: usize = 6;
const CONGESTED_LEN: usize = 12;
const POLL_MS: u64 = 20;

/// What a leader's link carries to a learner.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    Packet(FromLeader),
    Tree(Vec<Entry>),
}

/// One direction of a link: in order, each thing at its time.
#[derive(Debug)]
struct Pipe<T> {
    things: VecDeque<(u64, T)>,
    pumping: bool,
}

impl<T> Pipe<T> {
    /// What has arrived.
    fn take(&mut self, now_ms: u64, is_blocked: bool) -> Option<T> {
        let is_due = self.things.front().is_some_and(|(at, _)| *at <= now_ms && !is_blocked);
        if is_due { self.things.pop_front().map(|(_, thing)| thing) } else { None }
    }
}

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) server: ServerId,
    boot: u64,
    open: bool,
}

/// A connection between a learner and a leader.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) learner: End,
    pub(crate) leader: End,
    up: Pipe<FromLearner>,
    down: Pipe<Down>,
    congested: bool,
    is_slow: bool,
}

/// What happens at a time.
#[derive(Debug)]
enum Event {
    Wake {
        server: ServerId,
        boot: u64,
    },
    Up(LinkId),
    Down(LinkId),
    /// The other end of the link is gone.
    Closed {
        link: LinkId,
        of_leader: bool,
    },
    Dial {
        server: ServerId,
        boot: u64,
        term: u64,
    },
    Notify {
        from: ServerId,
        to: ServerId,
    },
    Lost {
        peer: ServerId,
        by: ServerId,
    },
    Done {
        server: ServerId,
        boot: u64,
        term: u64,
        work: Work,
    },
    Propose {
        server: ServerId,
        boot: u64,
        term: u64,
    },
    SendTree {
        server: ServerId,
        boot: u64,
        link: LinkId,
    },
    ReadLog {
        server: ServerId,
        boot: u64,
        link: LinkId,
        after: i64,
    },
    Fault,
}

/// One run.
pub(crate) struct World {
    pub(crate) now_ms: u64,
    pub(crate) random: Random,
    pub(crate) servers: BTreeMap<ServerId, Server>,
    pub(crate) quorum: Arc<Quorum>,
    pub(crate) onlooker: Onlooker,
    pub(crate) links: BTreeMap<LinkId, Link>,
    events: BTreeMap<(u64, u64), Event>,
    serial: u64,
    next_link: u64,
    blocked: BTreeSet<(ServerId, ServerId)>,
    notes: BTreeMap<(ServerId, ServerId), Bytes>,
    written: u64,
    pub(crate) chaos_until: u64,
    /// Whether servers may believe whatever they like about who leads: Zab is safe without a sound election.
    pub(crate) is_rumour: bool,
    /// What the run went through, to know that it tests what it should.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl World {
    pub(crate) fn new(seed: u64, quorum: Quorum, chaos_ms: u64) -> Self {
        let quorum = Arc::new(quorum);
        let mut world = Self {
            now_ms: 0,
            random: Random::from_seed(seed),
            servers: BTreeMap::new(),
            quorum: quorum.clone(),
            onlooker: Onlooker::default(),
            links: BTreeMap::new(),
            events: BTreeMap::new(),
            serial: 0,
            next_link: 1,
            blocked: BTreeSet::new(),
            notes: BTreeMap::new(),
            written: 0,
            chaos_until: chaos_ms,
            is_rumour: seed % 2 == 1,
            seen: BTreeMap::new(),
        };
        for id in quorum.servers() {
            let server = world.server(id);
            world.servers.insert(id, server);
            world.start(id);
        }
        world.at(200, Event::Fault);
        world
    }

    fn server(&self, id: ServerId) -> Server {
        Server {
            id,
            boot: 0,
            term: 0,
            alive: false,
            disk: Disk::default(),
            slow_lanes: [false; 2],
            in_progress: Vec::new(),
            lanes: [0; 2],
            election: self.election(id),
            role: Role::Looking(History::default()),
            tree: Vec::new(),
            pending: VecDeque::new(),
            epochs: Epochs::new(0, 0),
            needs_snapshot: false,
            wake: None,
        }
    }

    fn election(&self, id: ServerId) -> Election {
        let electorate = Electorate { current: self.quorum.clone(), next: None, config: Bytes::new() };
        let settings = ElectionSettings {
            finalize_wait_ms: 40,
            notification_interval_min_ms: 40,
            notification_interval_max_ms: 400,
            reconfig_enabled: false,
        };
        Election::new(id, !self.quorum.is_voter(id), electorate, settings)
    }

    pub(crate) fn leader_settings(&self, id: ServerId) -> LeaderSettings {
        LeaderSettings {
            id,
            tick_ms: TICK_MS,
            init_limit_ms: INIT_LIMIT_MS,
            sync_limit_ms: SYNC_LIMIT_MS,
            history_len: HISTORY_LEN,
            force_snapshot: false,
            snapshot_syncs_max: 1,
            epoch_wait_ms: Some(INIT_LIMIT_MS / 2),
        }
    }

    pub(crate) fn learner_settings(&self, id: ServerId) -> LearnerSettings {
        LearnerSettings {
            id,
            is_observer: !self.quorum.is_voter(id),
            config_version: 0,
            init_limit_ms: INIT_LIMIT_MS,
            sync_limit_ms: SYNC_LIMIT_MS,
            history_len: HISTORY_LEN,
        }
    }

    pub(crate) const fn now(&self) -> Monotonic {
        Monotonic::from_ms(self.now_ms)
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.random.below(of) == 0
    }

    fn at(&mut self, after_ms: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now_ms + after_ms, self.serial), event);
    }

    /// A server, by name. All names are known.
    pub(crate) fn of(&mut self, id: ServerId) -> &mut Server {
        self.servers.get_mut(&id).expect("a server of the ensemble")
    }

    pub(crate) fn disks(&self) -> BTreeMap<ServerId, &Disk> {
        self.servers.iter().map(|(id, server)| (*id, &server.disk)).collect()
    }

    /// Does the next thing.
    pub(crate) fn step(&mut self) {
        let ((at, _), event) = self.events.pop_first().expect("servers always wait for something");
        self.now_ms = at;
        match event {
            Event::Wake { server, boot } if self.lives(server, boot) => self.wake(server),
            Event::Up(link) => self.pump_up(link),
            Event::Down(link) => self.pump_down(link),
            Event::Closed { link, of_leader } => self.end_is_gone(link, of_leader),
            Event::Dial { server, boot, term } if self.lives(server, boot) => self.dial(server, term),
            Event::Notify { from, to } => self.notify(from, to),
            Event::Lost { peer, by } if self.of(by).alive => self.peer_lost(peer, by),
            Event::Done { server, boot, term, work } if self.lives(server, boot) => self.disk_done(server, term, &work),
            Event::Propose { server, boot, term } if self.lives(server, boot) => self.client_writes(server, term),
            Event::SendTree { server, boot, link } if self.lives(server, boot) => self.tree_walked(server, link),
            Event::ReadLog { server, boot, link, after } if self.lives(server, boot) => {
                self.log_read(server, link, after);
            }
            Event::Fault => self.fault(),
            _ => {}
        }
    }

    fn lives(&self, id: ServerId, boot: u64) -> bool {
        self.servers.get(&id).is_some_and(|server| server.alive && server.boot == boot)
    }

    /// Sees to it that the server is woken when its machines want it.
    pub(crate) fn plan_wake(&mut self, id: ServerId) {
        let now_ms = self.now_ms;
        let server = self.of(id);
        let role = match &server.role {
            Role::Leading(leading) => leading.zab.deadline(),
            Role::Following(following) => following.zab.deadline(),
            Role::Settling(_) | Role::Looking(_) => None,
        };
        let deadline = role.into_iter().chain(server.election.deadline()).min();
        let Some(at) = deadline.map(|deadline| deadline.ms().max(now_ms + 1)) else { return };
        if server.wake.is_none_or(|wake| at < wake || wake <= now_ms) {
            server.wake = Some(at);
            let boot = server.boot;
            self.at(at - now_ms, Event::Wake { server: id, boot });
        }
    }

    // Links.

    pub(crate) fn plan_dial(&mut self, id: ServerId, after_ms: u64) {
        let server = self.of(id);
        let (boot, term) = (server.boot, server.term);
        self.at(after_ms, Event::Dial { server: id, boot, term });
    }

    fn is_blocked(&self, one: ServerId, other: ServerId) -> bool {
        self.blocked.contains(&(one, other)) || self.blocked.contains(&(other, one))
    }

    fn dial(&mut self, id: ServerId, term: u64) {
        let now_ms = self.now_ms;
        let server = self.of(id);
        let is_current = server.term == term;
        let Some(following) = server.following().filter(|following| is_current && following.link.is_none()) else {
            return;
        };
        let (leader, until) = (following.leader, following.dial_until);
        let takes = self.of(leader).alive && matches!(self.of(leader).role, Role::Leading(_));
        if takes && !self.is_blocked(id, leader) {
            let link = LinkId(self.next_link);
            self.next_link += 1;
            let end = |server: &Server| End { server: server.id, boot: server.boot, open: true };
            let made = Link {
                learner: end(self.of(id)),
                leader: end(self.of(leader)),
                up: Pipe { things: VecDeque::new(), pumping: false },
                down: Pipe { things: VecDeque::new(), pumping: false },
                congested: false,
                is_slow: false,
            };
            self.links.insert(link, made);
            self.link_made(link, id, leader);
        } else if now_ms < until {
            self.plan_dial(id, POLL_MS);
        } else {
            self.look_again(id);
        }
    }

    pub(crate) fn send_up(&mut self, link: LinkId, packet: FromLearner) {
        let delay = self.delay();
        let now_ms = self.now_ms;
        let Some(pipe) = self.links.get_mut(&link).filter(|link| link.learner.open).map(|link| &mut link.up) else {
            return;
        };
        let at = pipe.things.back().map_or(0, |(at, _)| *at).max(now_ms + delay);
        pipe.things.push_back((at, packet));
        if !std::mem::replace(&mut pipe.pumping, true) {
            self.at(at - now_ms, Event::Up(link));
        }
    }

    pub(crate) fn send_down(&mut self, id: LinkId, thing: Down) {
        let delay = self.delay();
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id).filter(|link| link.leader.open) else { return };
        let gap = if link.is_slow { 15 } else { 0 };
        let pipe = &mut link.down;
        let at = (pipe.things.back().map_or(0, |(at, _)| *at) + gap).max(now_ms + delay);
        pipe.things.push_back((at, thing));
        let is_new = pipe.things.len() > CONGESTED_LEN && !std::mem::replace(&mut link.congested, true);
        if !std::mem::replace(&mut link.down.pumping, true) {
            self.at(at - now_ms, Event::Down(id));
        }
        if is_new {
            self.count("congested");
            self.congestion(id, true);
        }
    }

    fn delay(&mut self) -> u64 {
        1 + self.random.below(4)
    }

    fn pump_up(&mut self, id: LinkId) {
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.up.pumping = false;
        let (from, to) = (link.learner, link.leader);
        let is_blocked = self.blocked.contains(&(from.server, to.server));
        let due = link.up.take(now_ms, is_blocked);
        if let Some(packet) = due
            && to.open
            && self.lives(to.server, to.boot)
        {
            self.leader_hears(id, to.server, packet);
        }
        let Some(pipe) = self.links.get_mut(&id).map(|link| &mut link.up) else { return };
        if let Some((at, _)) = pipe.things.front().filter(|_| !pipe.pumping) {
            let wait = if is_blocked { POLL_MS } else { at.saturating_sub(now_ms) };
            pipe.pumping = true;
            self.at(wait, Event::Up(id));
        }
    }

    fn pump_down(&mut self, id: LinkId) {
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.down.pumping = false;
        let (from, to) = (link.leader, link.learner);
        // What a learner does not read stays where it is.
        let holds = to.open && self.servers[&to.server].alive && !self.servers[&to.server].takes(id);
        let is_blocked = self.blocked.contains(&(from.server, to.server)) || holds;
        let Some(link) = self.links.get_mut(&id) else { return };
        let due = link.down.take(now_ms, is_blocked);
        let drained = link.congested && link.down.things.len() <= CONGESTED_LEN / 3;
        if drained {
            link.congested = false;
        }
        if let Some(thing) = due {
            if from.open && self.lives(from.server, from.boot) {
                self.leader_is_heard(id, from.server);
            }
            if to.open && self.lives(to.server, to.boot) {
                self.learner_hears(id, to.server, thing);
            }
        }
        if drained {
            self.congestion(id, false);
        }
        let Some(pipe) = self.links.get_mut(&id).map(|link| &mut link.down) else { return };
        if let Some((at, _)) = pipe.things.front().filter(|_| !pipe.pumping) {
            let wait = if is_blocked { POLL_MS } else { at.saturating_sub(now_ms) };
            pipe.pumping = true;
            self.at(wait, Event::Down(id));
        }
    }

    /// This end is closed; the other end hears of it behind what was sent, or never.
    pub(crate) fn close(&mut self, id: LinkId, by_leader: bool) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let end = if by_leader { &mut link.leader } else { &mut link.learner };
        end.open = false;
        if link.leader.open || link.learner.open {
            let after = 1 + self.random.below(8);
            self.at(after, Event::Closed { link: id, of_leader: !by_leader });
        } else {
            self.links.remove(&id);
        }
    }

    fn end_is_gone(&mut self, id: LinkId, of_leader: bool) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (end, other) = if of_leader { (link.leader, link.learner) } else { (link.learner, link.leader) };
        if end.open && self.lives(end.server, end.boot) {
            if self.blocked.contains(&(other.server, end.server)) {
                return self.at(POLL_MS, Event::Closed { link: id, of_leader });
            }
            self.links.remove(&id);
            self.link_lost(id, end.server, of_leader);
        } else {
            self.links.remove(&id);
        }
    }

    /// Both ends are told, as by a box in between.
    fn cut(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(&id) else { return };
        for (end, of_leader) in [(link.leader, true), (link.learner, false)] {
            if end.open && self.lives(end.server, end.boot) {
                self.link_lost(id, end.server, of_leader);
            }
        }
    }

    // Notifications: the latest one to each server is kept until it gets through.

    pub(crate) fn post(&mut self, from: ServerId, to: ServerId, notification: Bytes) {
        if self.notes.insert((from, to), notification).is_none() {
            let delay = self.delay();
            self.at(delay, Event::Notify { from, to });
        }
    }

    fn notify(&mut self, from: ServerId, to: ServerId) {
        if self.blocked.contains(&(from, to)) {
            return self.at(POLL_MS, Event::Notify { from, to });
        }
        let note = self.notes.remove(&(from, to));
        if self.of(to).alive {
            if let Some(note) = note {
                self.notified(from, to, &note);
            }
        } else if self.of(from).alive {
            self.peer_lost(to, from);
        }
    }

    // The disk.

    pub(crate) fn ask_disk(&mut self, id: ServerId, work: Work) {
        let (now_ms, took) = (self.now_ms, 1 + self.random.below(6));
        let server = self.of(id);
        if work.is_epoch() {
            server.epochs.write();
        }
        let lane = usize::from(work.is_epoch());
        let took = if server.slow_lanes[lane] { took * 25 } else { took };
        let at = server.lanes[lane].max(now_ms) + took;
        server.lanes[lane] = at;
        server.in_progress.push(work.clone());
        let (boot, term) = (server.boot, server.term);
        self.at(at - now_ms, Event::Done { server: id, boot, term, work });
    }

    pub(crate) fn plan_tree(&mut self, id: ServerId, link: LinkId) {
        let (boot, after) = (self.of(id).boot, 1 + self.random.below(60));
        self.at(after, Event::SendTree { server: id, boot, link });
    }

    pub(crate) fn plan_read(&mut self, id: ServerId, link: LinkId, after: i64) {
        let (boot, wait) = (self.of(id).boot, 1 + self.random.below(20));
        self.at(wait, Event::ReadLog { server: id, boot, link, after });
    }

    pub(crate) fn plan_write(&mut self, id: ServerId) {
        let after = 1 + self.random.below(25);
        let server = self.of(id);
        let (boot, term) = (server.boot, server.term);
        self.at(after, Event::Propose { server: id, boot, term });
    }

    /// The next thing that a client writes.
    pub(crate) fn next_write(&mut self) -> Bytes {
        self.written += 1;
        Bytes::copy_from_slice(&self.written.to_be_bytes())
    }

    // What goes wrong.

    fn fault(&mut self) {
        if self.now_ms >= self.chaos_until {
            return;
        }
        let ids: Vec<ServerId> = self.servers.keys().copied().collect();
        let one = ids[self.random.below(ids.len() as u64) as usize];
        let other = ids[self.random.below(ids.len() as u64) as usize];
        match self.random.below(21) {
            0..=2 => self.crash(one),
            3 if self.chance(3) => ids.iter().for_each(|id| self.crash(*id)),
            3 => {
                if let Some(leader) = ids.iter().copied().find(|id| self.of(*id).leads().is_some()) {
                    self.crash(leader);
                }
            }
            4..=7 => ids.iter().for_each(|id| self.start(*id)),
            8 => self.block(&[(one, other)]),
            9 => self.block(&[(one, other), (other, one)]),
            10 => {
                let of_one = ids.iter().flat_map(|id| [(one, *id), (*id, one)]);
                self.block(&of_one.collect::<Vec<_>>());
            }
            11 | 12 => self.blocked.clear(),
            13 | 14 => {
                let links: Vec<LinkId> = self.links.keys().copied().collect();
                let index = self.random.below(links.len() as u64) as usize;
                if let Some(link) = links.get(index) {
                    self.cut(*link);
                }
            }
            15 => {
                let lane = self.random.below(2) as usize;
                let is_slow = &mut self.of(one).slow_lanes[lane];
                *is_slow = !*is_slow;
            }
            16 => self.links.values_mut().for_each(|link| link.is_slow = link.learner.server == one),
            17 | 18 => self.purge(one),
            19 => {
                // A leader that goes on writing what nobody hears of.
                if let Some(leader) = ids.iter().copied().find(|id| self.of(*id).leads().is_some()) {
                    self.block(&ids.iter().map(|id| (leader, *id)).collect::<Vec<_>>());
                }
            }
            _ => {}
        }
        let mut after = 20 + self.random.below(300);
        if self.is_rumour {
            self.changes_its_mind(other);
            after /= 3;
        }
        self.at(after, Event::Fault);
    }

    fn block(&mut self, pairs: &[(ServerId, ServerId)]) {
        self.count("blocked");
        self.blocked.extend(pairs.iter().filter(|(from, to)| from != to));
    }

    fn purge(&mut self, id: ServerId) {
        let server = self.servers.get_mut(&id).expect("a server of the ensemble");
        let safe = server.tree.len().min(server.disk.durable);
        if server.log_is_idle() && safe > 0 {
            let len = safe - self.random.below((safe as u64).min(8)) as usize;
            server.disk.purge(len);
        }
    }

    pub(crate) fn crash(&mut self, id: ServerId) {
        let server = self.servers.get_mut(&id).expect("a server of the ensemble");
        if !std::mem::replace(&mut server.alive, false) {
            return;
        }
        let in_progress = std::mem::take(&mut server.in_progress);
        server.disk.crash(&in_progress, &mut self.random);
        invariants::is_ordered(id, &server.disk.all);
        self.count("crash");
        for (link, learner, leader) in self.ends() {
            if learner == id || leader == id {
                self.close(link, leader == id);
            }
        }
        for by in self.quorum.servers() {
            let after = 1 + self.random.below(10);
            self.at(after, Event::Lost { peer: id, by });
        }
    }

    fn ends(&self) -> Vec<(LinkId, ServerId, ServerId)> {
        self.links.iter().map(|(id, link)| (*id, link.learner.server, link.leader.server)).collect()
    }

    pub(crate) fn start(&mut self, id: ServerId) {
        if self.of(id).alive {
            return;
        }
        let kept = self.random.below(2 * HISTORY_LEN as u64) as usize;
        let election = self.election(id);
        let server = self.of(id);
        let history = server.start(kept);
        server.election = election;
        server.lanes = [0; 2];
        server.wake = None;
        server.needs_snapshot = false;
        server.role = Role::Settling(history);
        self.settle(id);
    }

    /// Everything works again.
    pub(crate) fn heal(&mut self) {
        self.blocked.clear();
        self.links.values_mut().for_each(|link| link.is_slow = false);
        self.servers.values_mut().for_each(|server| server.slow_lanes = [false; 2]);
        for id in self.quorum.servers() {
            self.start(id);
        }
    }
}
