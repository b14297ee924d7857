//! Brokers, clients, what is between them, and time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::task::Poll;

use anyhow::Result as SetUp;
use base::{Next, Now, Parts, Random, Slow, read_parts};
use bytes::{Bytes, BytesMut};
use kafka_client::metadata::Partition;
use kafka_client::{ConnectionId as Attempt, Effect, Input};
use kafka_node::{LinkLoss, PeerEffect, Wants, ZooKeeperEffect};
use zk_node::{ConnectionId, PeerPort};

use super::clients::Client;
use super::ensemble::{self, Ensemble, server_node, server_of};
use super::faults::{Fault, PowerLoss, node};
use super::invariants::Onlooker;
use super::invariants::progress::State;
use super::invariants::starts::Replica;
use super::machine::{Accepted, Arrived, Machine, Outgoing, Part};
use super::run::Plan;
use super::settings::{BrokerId, Draw, OFFSETS_TOPIC, TOPIC, broker_of};
use crate::invariants::Verdict;
use crate::network::{CLIENTS, End, Handle, Heard, Network, NetworkEvent, Node};
use crate::settings::ServerId;

/// A power loss waits to be alone for so long in all.
const POWER_WAITS_MS: u64 = 8_000;

const MS: u64 = 1000;
/// How long a dial that nobody hears of takes to fail.
const DIAL_US: u64 = 300 * MS;

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Happening {
    Start(BrokerId),
    /// A part of a broker has something to do.
    Turn(BrokerId, u64, Part),
    /// A job's next step.
    Job(BrokerId, u64, u64),
    /// The broker's alarm.
    Alarm(BrokerId, u64),
    /// A deadline of a part.
    Tick(BrokerId, u64, Part),
    StartServer(ServerId),
    /// Something that a ZooKeeper server has to do.
    Server(ServerId, u64, ensemble::Part),
    Network(NetworkEvent),
    Dial {
        from: End,
        to: Node,
        /// Among ZooKeeper servers.
        port: Option<PeerPort>,
    },
    Dialled {
        from: End,
        connected: bool,
    },
    Client(usize, u64),
    Fault,
    /// A broker's disk works again, and has room.
    DiskMended(BrokerId),
    /// A broker with a log directory that failed is started anew.
    Restart(BrokerId),
    PowerOff(BrokerId),
}

/// One run.
pub(crate) struct World {
    pub(crate) now_us: u64,
    pub(crate) random: Random,
    pub(crate) draw: Draw,
    pub(crate) machines: BTreeMap<BrokerId, Machine>,
    pub(super) ensemble: Ensemble,
    pub(crate) clients: Vec<Client>,
    /// When each is called next.
    client_turns: Vec<u64>,
    pub(crate) network: Network,
    pub(crate) onlooker: Onlooker,
    events: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    pub(crate) faults_until_us: u64,
    /// How much longer things may go wrong because a power loss waits to be alone.
    waits_us: u64,
    /// When the logs are looked into next.
    pub(crate) logs_us: u64,
    faults_ms: u64,
    /// Whose power is about to go off, or is off.
    pub(super) power: PowerLoss,
    /// Nothing else goes wrong.
    pub(crate) only: Option<Fault>,
    tells: bool,
}

impl World {
    pub(crate) fn new(plan: &Plan) -> SetUp<Self> {
        let Plan { seed, brokers, faults_ms, only, tells } = *plan;
        let mut random = Random::from_seed(seed);
        let draw = Draw::new(brokers, seed, &mut random);
        let machines = (1..=brokers).map(|id| (id, Machine::new(id, &mut random))).collect();
        let clients = Client::all(brokers, &draw, &mut random)?;
        let mut world = Self {
            now_us: 0,
            ensemble: ensemble::ensemble(&draw, &mut random)?,
            random,
            draw,
            machines,
            client_turns: vec![u64::MAX; clients.len()],
            clients,
            network: Network::default(),
            onlooker: Onlooker { tells, ..Onlooker::default() },
            events: BTreeMap::new(),
            serial: 0,
            faults_until_us: 0,
            waits_us: POWER_WAITS_MS * MS,
            logs_us: 0,
            faults_ms,
            power: PowerLoss::None,
            only,
            tells,
        };
        world.tell(|| format!("{draw:?}"));
        for id in 1..=brokers {
            let after_us = world.random.below(300 * MS);
            world.at(after_us, Happening::Start(id));
        }
        (0..world.clients.len()).for_each(|index| world.plan_client(index, 0));
        for id in 1..=draw.servers {
            let after_us = world.random.below(50 * MS);
            world.at(after_us, Happening::StartServer(id));
        }
        Ok(world)
    }

    pub(crate) fn begin_faults(&mut self) {
        if self.faults_ms > 0 {
            self.faults_until_us = self.now_us + self.faults_ms * MS;
            self.power_loss_first();
            self.at(100 * MS, Happening::Fault);
        }
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>9.3} {}", self.now_us as f64 / MS as f64, what());
        }
    }

    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.random.below(of) == 0
    }

    pub(super) fn at(&mut self, after_us: u64, happening: Happening) {
        self.serial += 1;
        self.events.insert((self.now_us + after_us, self.serial), happening);
    }

    pub(crate) fn start_later(&mut self, id: BrokerId, after_us: u64) {
        self.at(after_us, Happening::Start(id));
    }

    /// A broker, by id. All ids are known.
    pub(crate) fn machine(&mut self, id: BrokerId) -> &mut Machine {
        self.machines.get_mut(&id).expect("a broker of the cluster")
    }

    /// Does the next thing.
    pub(crate) fn step(&mut self) -> Verdict {
        let Some(((at, _), happening)) = self.events.pop_first() else { return Err("nothing happens any more".into()) };
        self.now_us = at;
        if let Some(until_us) = self.stalled_until(&happening) {
            let after_us = until_us - self.now_us;
            self.at(after_us, happening);
            return Ok(());
        }
        match happening {
            Happening::Start(id) => self.start(id)?,
            Happening::Turn(id, boot, part) if self.lives(id, boot) => self.turn(id, part)?,
            Happening::Job(id, boot, job) if self.lives(id, boot) => self.job(id, job)?,
            Happening::Alarm(id, boot) if self.lives(id, boot) => self.alarm(id)?,
            Happening::Tick(id, boot, part) if self.lives(id, boot) => self.tick(id, part)?,
            Happening::Turn(..) | Happening::Job(..) | Happening::Alarm(..) | Happening::Tick(..) => {}
            Happening::StartServer(id) => self.start_server(id)?,
            Happening::Server(id, boot, part) if self.server_lives(id, boot) => self.server_part(id, part)?,
            Happening::Server(..) => {}
            Happening::Network(event) => {
                let machines = &self.machines;
                let ensemble = &self.ensemble;
                let is_up = |node: Node| match server_of(node) {
                    Some(id) => ensemble.get(&id).is_none_or(crate::server::Machine::is_up),
                    None => machines.get(&(node as BrokerId)).is_none_or(Machine::is_up),
                };
                self.network.happens(&event, self.now_us, is_up);
            }
            Happening::Dial { from, to, port } => self.dial_arrives(from, to, port),
            Happening::Dialled { from, connected } => self.dialled(from, connected),
            Happening::Client(index, at) if self.client_turns.get(index) == Some(&at) => self.client_turn(index)?,
            Happening::Client(..) => {}
            Happening::Fault => {
                if self.now_us < self.faults_until_us {
                    self.fault_or_wait();
                    let after_us = 20 * MS + self.random.below(600 * MS);
                    if self.power != PowerLoss::None {
                        // Nothing else goes wrong meanwhile: that comes behind it.
                        let waits_us = after_us.min(self.waits_us);
                        self.waits_us -= waits_us;
                        self.faults_until_us += waits_us;
                    }
                    self.at(after_us, Happening::Fault);
                }
            }
            Happening::DiskMended(id) => self.machine(id).mend_disk(),
            Happening::Restart(id) => self.restart(id),
            Happening::PowerOff(id) => self.power_off(id),
        }
        self.hear();
        Ok(())
    }

    /// Until when the process that this happens to stands still.
    fn stalled_until(&self, happening: &Happening) -> Option<u64> {
        let (Happening::Turn(id, boot, _)
        | Happening::Job(id, boot, _)
        | Happening::Alarm(id, boot)
        | Happening::Tick(id, boot, _)) = happening
        else {
            return None;
        };
        let machine = self.machines.get(id).filter(|machine| machine.boot == *boot)?;
        (machine.stalled_us > self.now_us).then_some(machine.stalled_us)
    }

    fn lives(&self, id: BrokerId, boot: u64) -> bool {
        self.machines.get(&id).is_some_and(|machine| machine.is_up() && machine.boot == boot)
    }

    // Brokers.

    fn start(&mut self, id: BrokerId) -> Verdict {
        let (now_us, draw) = (self.now_us, self.draw);
        let mut random = Random::from_seed(self.random.next_u64());
        let machine = self.machine(id);
        if machine.is_up() {
            return Ok(());
        }
        machine.set_now(now_us);
        match machine.start(&draw, now_us, &mut random) {
            Ok(_) => self.tell(|| format!("broker {id} starts")),
            Err(error) if machine.disk_failed => return self.ended_by_disk(id, &error),
            Err(error) => return Err(format!("broker {id} can't start: {error}")),
        }
        self.onlooker.count("start");
        self.take_asked(id)
    }

    pub(crate) fn stop(&mut self, id: BrokerId) {
        let now_us = self.now_us;
        let machine = self.machine(id);
        let Some(broker) = machine.broker.clone() else { return };
        if std::mem::replace(&mut machine.stops, true) {
            return;
        }
        machine.set_now(now_us);
        broker.stop();
        self.noted("asked to stop", || format!("broker {id} is asked to stop"));
        self.plan(id, Part::ZooKeeper);
    }

    /// A broker can't go on, or start, without its log directories: it is tried again.
    fn ended_by_disk(&mut self, id: BrokerId, reason: &str) -> Verdict {
        self.onlooker.count("ended by its disk");
        self.tell(|| format!("broker {id} ends: {reason}"));
        self.process_ends(id, false);
        let after_us = 1 + self.random.below(500 * MS);
        self.start_later(id, after_us);
        Ok(())
    }

    /// A process is gone, and with the power what its disk had not made durable.
    pub(crate) fn process_ends(&mut self, id: BrokerId, power_is_off: bool) {
        let mut random = Random::from_seed(self.random.next_u64());
        self.look_at_leaders();
        self.network.process_ended(node(id), power_is_off, self.now_us, &mut random);
        let machine = self.machine(id);
        machine.end();
        if power_is_off {
            machine.disk.crash(&mut random);
        } else {
            machine.disk.kill();
        }
    }

    /// A part of a broker is to have a turn soon.
    fn plan(&mut self, id: BrokerId, part: Part) {
        let machine = self.machine(id);
        if machine.planned.insert(part) {
            let boot = machine.boot;
            let after_us = 5 + self.random.below(60);
            self.at(after_us, Happening::Turn(id, boot, part));
        }
    }

    /// Takes what a broker has asked its process for.
    fn take_asked(&mut self, id: BrokerId) -> Verdict {
        let now_us = self.now_us;
        let machine = self.machine(id);
        let asked = machine.process.take();
        let boot = machine.boot;
        match asked.failed {
            Some(reason) if machine.disk_failed => return self.ended_by_disk(id, &reason),
            Some(reason) => return Err(format!("broker {id} ends: {reason}")),
            None => {}
        }
        for peer in asked.peers {
            let machine = self.machine(id);
            let number = machine.next_number();
            peer.set_waker(machine.waker(Part::Peer(number)));
            let outgoing = Outgoing { peer, input: BytesMut::new(), arrived: Default::default(), attempt: 0 };
            machine.outgoing.insert(number, outgoing);
            self.plan(id, Part::Peer(number));
        }
        for job in asked.jobs {
            let machine = self.machine(id);
            let number = machine.next_number();
            machine.jobs.insert(number, job);
            let longest_us = machine.disk_us;
            let after_us = 20 + self.random.below(longest_us);
            self.at(after_us, Happening::Job(id, boot, number));
        }
        if let Some(alarm) = asked.alarm {
            let machine = self.machine(id);
            let at = machine.clock.when(alarm).max(now_us + 1);
            if machine.wake_us.is_none_or(|wake_us| at < wake_us || wake_us <= now_us) {
                machine.wake_us = Some(at);
                self.at(at - now_us, Happening::Alarm(id, boot));
            }
        }
        for part in asked.woken {
            self.plan(id, part);
        }
        Ok(())
    }

    fn job(&mut self, id: BrokerId, number: u64) -> Verdict {
        let now_us = self.now_us;
        let machine = self.machine(id);
        machine.set_now(now_us);
        let Some(job) = machine.jobs.get_mut(&number) else { return Ok(()) };
        let next = job.step(&Slow::allowed());
        let (boot, longest_us) = (machine.boot, machine.disk_us);
        match next {
            Next::Done => drop(machine.jobs.remove(&number)),
            Next::More => {
                let after_us = 10 + self.random.below(longest_us);
                self.at(after_us, Happening::Job(id, boot, number));
            }
        }
        self.take_asked(id)
    }

    fn alarm(&mut self, id: BrokerId) -> Verdict {
        let now_us = self.now_us;
        let machine = self.machine(id);
        if machine.wake_us != Some(now_us) {
            // A nearer one took its place, or a stall delayed it.
            if machine.wake_us.is_some_and(|wake_us| wake_us > now_us) {
                return Ok(());
            }
        }
        machine.wake_us = None;
        let now = machine.set_now(now_us);
        let Some(broker) = machine.broker.clone() else { return Ok(()) };
        broker.tick(now);
        self.take_asked(id)
    }

    fn turn(&mut self, id: BrokerId, part: Part) -> Verdict {
        let now_us = self.now_us;
        let machine = self.machine(id);
        machine.planned.remove(&part);
        let now = machine.set_now(now_us);
        match part {
            Part::Connection(number) => self.connection_turn(id, number, now),
            Part::Peer(number) => self.peer_turn(id, number, now),
            Part::ZooKeeper => self.session_turn(id, now)?,
        }
        self.take_asked(id)
    }

    fn tick(&mut self, id: BrokerId, part: Part) -> Verdict {
        let now_us = self.now_us;
        let machine = self.machine(id);
        let now = machine.set_now(now_us);
        match part {
            Part::Connection(_) => {}
            Part::Peer(number) => {
                if let Some(outgoing) = machine.outgoing.get(&number) {
                    let peer = outgoing.peer.clone();
                    peer.tick(now);
                }
            }
            Part::ZooKeeper => {
                if let Some(broker) = machine.broker.clone() {
                    broker.zookeeper_tick(now);
                }
            }
        }
        self.plan(id, part);
        self.take_asked(id)
    }

    fn connection_turn(&mut self, id: BrokerId, number: u64, now: Now) {
        let machine = self.machine(id);
        let from = End { node: node(id), boot: machine.boot, handle: Handle::Connection(ConnectionId(number)) };
        let Some(accepted) = machine.accepted.get_mut(&number) else { return };
        let mut is_closed = false;
        while let Some(arrived) = accepted.arrived.pop_front() {
            match arrived {
                Arrived::Bytes(bytes) => accepted.input.extend_from_slice(&bytes),
                Arrived::Closed => is_closed = true,
                Arrived::Connected | Arrived::Congested(_) => {}
            }
        }
        if is_closed {
            accepted.connection.peer_left();
        }
        let mut parts = Parts::new();
        let result = accepted.connection.turn(&mut accepted.input, now, &mut parts);
        let ends = is_closed || result.is_err();
        if let Ok(Wants::Answers | Wants::Input) = result {}
        let output = read_parts(&parts);
        let ends = ends || output.is_err();
        let output = Bytes::from(output.unwrap_or_default());
        if ends {
            machine.accepted.remove(&number);
        }
        if !output.is_empty() {
            self.network.send(from, output, self.now_us, &mut self.random);
        }
        if let Err(closed) = result {
            self.tell(|| format!("broker {id} closes a connection: {closed}"));
        }
        if ends {
            self.network.close(from, self.now_us, &mut self.random);
        }
    }

    fn peer_turn(&mut self, id: BrokerId, number: u64, now: Now) {
        let machine = self.machine(id);
        let Some(outgoing) = machine.outgoing.get_mut(&number) else { return };
        let peer = outgoing.peer.clone();
        while let Some(arrived) = outgoing.arrived.pop_front() {
            match arrived {
                Arrived::Connected => peer.connected(now),
                Arrived::Bytes(bytes) => {
                    outgoing.input.extend_from_slice(&bytes);
                    peer.received(&mut outgoing.input, now);
                }
                Arrived::Congested(_) => {}
                Arrived::Closed => {
                    outgoing.input.clear();
                    outgoing.attempt = 0;
                    peer.disconnected(now);
                }
            }
        }
        for effect in peer.take_effects() {
            self.peer_effect(id, number, effect);
        }
        if peer.is_over() {
            self.machine(id).outgoing.remove(&number);
            return;
        }
        if let Some(deadline) = peer.deadline() {
            self.tick_at(id, Part::Peer(number), deadline);
        }
    }

    fn tick_at(&mut self, id: BrokerId, part: Part, deadline: base::Monotonic) {
        let now_us = self.now_us;
        let machine = self.machine(id);
        let (boot, at) = (machine.boot, machine.clock.when(deadline).max(now_us + 1));
        self.at(at - now_us, Happening::Tick(id, boot, part));
    }

    fn peer_effect(&mut self, id: BrokerId, number: u64, effect: PeerEffect) {
        let machine = self.machine(id);
        let boot = machine.boot;
        let end = |attempt| End { node: node(id), boot, handle: Handle::Client(attempt) };
        let Some(outgoing) = machine.outgoing.get_mut(&number) else { return };
        match effect {
            PeerEffect::Connect { host, .. } => {
                let attempt = machine.next_number();
                if let Some(outgoing) = machine.outgoing.get_mut(&number) {
                    outgoing.attempt = attempt;
                }
                self.dial(end(attempt), broker_of(&host).map_or(0, node));
            }
            PeerEffect::Send(bytes) => {
                let from = end(outgoing.attempt);
                self.network.send(from, bytes, self.now_us, &mut self.random);
            }
            PeerEffect::Disconnect => {
                let from = end(std::mem::take(&mut outgoing.attempt));
                outgoing.input.clear();
                self.network.close(from, self.now_us, &mut self.random);
            }
        }
    }

    fn session_turn(&mut self, id: BrokerId, now: Now) -> Verdict {
        let machine = self.machine(id);
        let Some(broker) = machine.broker.clone() else { return Ok(()) };
        while let Some(arrived) = machine.session.arrived.pop_front() {
            match arrived {
                Arrived::Connected => broker.zookeeper_connected("zookeeper", now),
                Arrived::Bytes(bytes) => broker.zookeeper_received(&bytes, now),
                Arrived::Congested(_) => {}
                Arrived::Closed => {
                    machine.session.attempt = 0;
                    broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, now);
                }
            }
        }
        for effect in broker.take_zookeeper_effects() {
            self.session_effect(id, effect);
        }
        let machine = self.machine(id);
        machine.serves = machine.serves || broker.is_ready();
        if machine.stops && broker.zookeeper_is_over() {
            self.onlooker.count("stop");
            self.tell(|| format!("broker {id} has stopped"));
            self.process_ends(id, false);
            let after_us = self.random.below(800 * MS);
            self.start_later(id, after_us);
            return Ok(());
        }
        if let Some(deadline) = broker.zookeeper_deadline() {
            self.tick_at(id, Part::ZooKeeper, deadline);
        }
        Ok(())
    }

    fn session_effect(&mut self, id: BrokerId, effect: ZooKeeperEffect) {
        let machine = self.machine(id);
        let boot = machine.boot;
        let end = |attempt| End { node: node(id), boot, handle: Handle::Client(attempt) };
        match effect {
            ZooKeeperEffect::Connect(host) => {
                let attempt = machine.next_number();
                machine.session.attempt = attempt;
                let id = host.name.trim_start_matches('z').parse().unwrap_or(0);
                self.dial(end(attempt), server_node(id));
            }
            ZooKeeperEffect::Send(bytes) => {
                let from = end(machine.session.attempt);
                self.network.send(from, bytes, self.now_us, &mut self.random);
            }
            ZooKeeperEffect::Disconnect => {
                let from = end(std::mem::take(&mut machine.session.attempt));
                self.network.close(from, self.now_us, &mut self.random);
            }
        }
    }

    // Connections.

    fn dial(&mut self, from: End, to: Node) {
        let after_us = Network::delay(&mut self.random);
        self.at(after_us, Happening::Dial { from, to, port: None });
    }

    fn dial_arrives(&mut self, from: End, to: Node, port: Option<PeerPort>) {
        if !self.network.passes(from.node, to) {
            return self.at(DIAL_US, Happening::Dialled { from, connected: false });
        }
        let connected = self.waits(from) && self.accept(from, to, port);
        let after_us = Network::delay(&mut self.random);
        self.at(after_us, Happening::Dialled { from, connected });
    }

    /// The other side takes a connection, if it listens.
    fn accept(&mut self, from: End, to: Node, port: Option<PeerPort>) -> bool {
        let now_us = self.now_us;
        if let Some(id) = server_of(to) {
            return self.server_accepts(from, id, port);
        }
        let id = to as BrokerId;
        let Some(machine) = self.machines.get_mut(&id).filter(|machine| machine.serves) else { return false };
        let Some(broker) = machine.broker.clone() else { return false };
        let now = machine.set_now(now_us);
        let number = machine.next_number();
        let waker = machine.waker(Part::Connection(number));
        let peer = SocketAddr::from(([10, 0, 0, from.node as u8], 40_000));
        let Poll::Ready(Ok(place)) = broker.poll_admit("PLAINTEXT", peer.ip(), &waker, now) else { return false };
        let connection = broker.accept(0, "PLAINTEXT".to_owned(), peer, place, waker, now);
        machine.accepted.insert(number, Accepted { connection, input: BytesMut::new(), arrived: Default::default() });
        let other = End { node: to, boot: machine.boot, handle: Handle::Connection(ConnectionId(number)) };
        self.network.connect(from, other, &mut self.random);
        true
    }

    /// Whether who dialled still waits for it.
    fn waits(&self, from: End) -> bool {
        if from.node >= CLIENTS {
            let client = self.clients.get((from.node - CLIENTS) as usize);
            return client.is_some_and(|client| client.life() == from.boot);
        }
        if let Some(id) = server_of(from.node) {
            return self.server_lives(id, from.boot);
        }
        let Handle::Client(attempt) = from.handle else { return false };
        self.machines.get(&(from.node as BrokerId)).is_some_and(|machine| {
            machine.boot == from.boot
                && (machine.session.attempt == attempt
                    || machine.outgoing.values().any(|outgoing| outgoing.attempt == attempt))
        })
    }

    fn dialled(&mut self, from: End, connected: bool) {
        if !self.waits(from) {
            return self.network.close(from, self.now_us, &mut self.random);
        }
        self.arrives(from, if connected { Arrived::Connected } else { Arrived::Closed });
    }

    /// Something arrives at an end.
    fn arrives(&mut self, end: End, arrived: Arrived) {
        if let Some(id) = server_of(end.node) {
            return self.arrives_at_server(id, end, arrived);
        }
        if end.node >= CLIENTS {
            return self.client_hears((end.node - CLIENTS) as usize, end, arrived);
        }
        let id = end.node as BrokerId;
        if !self.lives(id, end.boot) {
            return;
        }
        let machine = self.machine(id);
        let part = match end.handle {
            Handle::Connection(ConnectionId(number)) => {
                let Some(accepted) = machine.accepted.get_mut(&number) else { return };
                accepted.arrived.push_back(arrived);
                Part::Connection(number)
            }
            Handle::Client(attempt) if machine.session.attempt == attempt => {
                machine.session.arrived.push_back(arrived);
                Part::ZooKeeper
            }
            Handle::Client(attempt) => {
                let found = machine.outgoing.iter_mut().find(|(_, outgoing)| outgoing.attempt == attempt);
                let Some((number, outgoing)) = found else { return };
                outgoing.arrived.push_back(arrived);
                Part::Peer(*number)
            }
            Handle::Link(_) => return,
        };
        self.plan(id, part);
    }

    /// Takes everything to its owner that the network has brought, and plans what it wants.
    fn hear(&mut self) {
        while !self.network.heard.is_empty() || !self.network.planned.is_empty() {
            for (after_us, event) in std::mem::take(&mut self.network.planned) {
                self.at(after_us, Happening::Network(event));
            }
            for (end, heard) in std::mem::take(&mut self.network.heard) {
                match heard {
                    Heard::Bytes(bytes) => self.arrives(end, Arrived::Bytes(bytes)),
                    Heard::Closed => self.arrives(end, Arrived::Closed),
                    Heard::Congested(congested) => self.arrives(end, Arrived::Congested(congested)),
                }
            }
        }
    }

    // Clients.

    fn client_now(&self) -> Now {
        Now {
            monotonic: base::Monotonic::from_nanoseconds((1_000 * MS + self.now_us) * 1000),
            wall_ms: 1_600_000_000_000 + (self.now_us / MS) as i64,
        }
    }

    fn client_hears(&mut self, index: usize, end: End, arrived: Arrived) {
        let now = self.client_now();
        let Handle::Client(number) = end.handle else { return };
        let attempt = Attempt(number);
        let input = match arrived {
            Arrived::Connected => Input::Connected(attempt),
            Arrived::Bytes(bytes) => Input::Received(attempt, bytes),
            Arrived::Closed => Input::Closed(attempt),
            Arrived::Congested(_) => return,
        };
        if let Some(client) = self.clients.get_mut(index).filter(|client| client.life() == end.boot) {
            client.hear(input, now);
        }
        self.plan_client(index, 20);
    }

    /// A client is to be called after so long, or earlier if that was planned.
    fn plan_client(&mut self, index: usize, after_us: u64) {
        let at = self.now_us + after_us;
        if let Some(next) = self.client_turns.get_mut(index).filter(|next| at < **next) {
            *next = at;
            self.at(after_us, Happening::Client(index, at));
        }
    }

    fn client_turn(&mut self, index: usize) -> Verdict {
        if let Some(next) = self.client_turns.get_mut(index) {
            *next = u64::MAX;
        }
        let now = self.client_now();
        if self.clients.get(index).is_some_and(Client::is_member) {
            self.look_at_leaders();
        }
        if self.clients.get(index).is_some_and(Client::reads) {
            self.look_at_starts()?;
        }
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        let before = client.life();
        let effects = client.turn(now, &mut self.random, &mut self.onlooker)?;
        let (wait_ms, boot, node_of_client) = (client.wait_ms(now), client.life(), CLIENTS + index as u64);
        if boot != before {
            self.network.process_ended(node_of_client, false, self.now_us, &mut self.random);
        }
        let end = |Attempt(number)| End { node: node_of_client, boot, handle: Handle::Client(number) };
        for effect in effects {
            match effect {
                Effect::Connect { connection, host, .. } => {
                    self.dial(end(connection), broker_of(&host).map_or(0, node));
                }
                Effect::Send { connection, parts } => {
                    let bytes = read_parts(&parts).map(Bytes::from).unwrap_or_default();
                    self.network.send(end(connection), bytes, self.now_us, &mut self.random);
                }
                Effect::Close(connection) => self.network.close(end(connection), self.now_us, &mut self.random),
                Effect::Warn { message, .. } => self.tell(|| format!("client {index}: {message}")),
            }
        }
        self.plan_client(index, wait_ms * MS);
        Ok(())
    }

    // What is seen from outside.

    /// Who leads the partition of the members' group, by their own account.
    fn look_at_leaders(&mut self) {
        if self.draw.members > 0 {
            let leaders = self.leaders(OFFSETS_TOPIC, Draw::group_partition()).map(|(id, (epoch, _))| (id, epoch));
            let leaders = leaders.collect();
            self.onlooker.commits.led_by(leaders);
        }
    }

    /// Where the logs of the topic begin.
    pub(crate) fn look_at_starts(&mut self) -> Verdict {
        if !self.draw.deletes() {
            return Ok(());
        }
        let starts = self.onlooker.seen("start");
        for partition in 0..self.draw.partitions {
            for replica in self.replicas(partition) {
                self.onlooker.starts.look(partition, replica, starts)?;
            }
        }
        Ok(())
    }

    /// The topic's replicas, by the account of their brokers.
    pub(crate) fn replicas(&self, partition: i32) -> Vec<Replica> {
        let replica = |machine: &Machine| {
            let broker = machine.broker.as_ref()?;
            let (log_start, high_watermark) = broker.log_start_and_high_watermark(TOPIC, partition)?;
            let leads = broker.leads(TOPIC, partition).map(|(epoch, _)| epoch);
            Some(Replica { broker: machine.id, boot: machine.boot, leads, log_start, high_watermark })
        };
        self.machines.values().filter_map(replica).collect()
    }

    /// The brokers that lead a partition by their own account, each with its epoch and in-sync replicas.
    pub(crate) fn leaders(&self, topic: &str, partition: i32) -> impl Iterator<Item = (BrokerId, (i32, Vec<i32>))> {
        let brokers = self.machines.iter().filter_map(|(id, machine)| Some((*id, machine.broker.as_ref()?)));
        brokers.filter_map(move |(id, broker)| Some((id, broker.leads(topic, partition)?)))
    }

    /// Whether all brokers serve, and all partitions have all their replicas in sync, as the maker sees it.
    pub(crate) fn all_in_sync(&self) -> bool {
        let all: Vec<Option<u64>> = self.clients.iter().map(|_| None).collect();
        let state = self.state(&all);
        state.out_of_sync.is_empty() && state.down.is_empty()
    }

    /// What is missing for all to be well. `before` are the producers' counts that must have grown.
    pub(crate) fn state(&self, before: &[Option<u64>]) -> State {
        let factor = usize::from(self.draw.factor.unsigned_abs());
        let found = self.clients.iter().find_map(Client::partitions);
        let is_whole = |one: &Partition| one.isr.len() == factor && one.replicas.len() == factor;
        let out_of_sync = (0..self.draw.partitions)
            .map(|number| (number, found.and_then(|found| found.get(&number))))
            .filter(|(_, one)| !one.is_some_and(is_whole))
            .map(|(number, one)| format!("{number}: {:?}", one.map(|one| (&one.replicas, &one.isr))))
            .collect();
        let counts = self.clients.iter().map(Client::acknowledged).zip(before).zip(0..);
        let waiting = counts
            .filter(|((now, before), _)| before.is_some_and(|before| now.is_none_or(|now| now <= before)))
            .map(|(_, index)| index)
            .collect();
        let down = self.machines.values().filter(|machine| !machine.serves).map(|machine| machine.id).collect();
        State { out_of_sync, waiting, unfinished: Vec::new(), down }
    }
}
