//! Servers, clients, what is between them, and time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Result as SetUp;
use base::{Disk, Random, Slow};
use bytes::Bytes;
use config::zookeeper::HostPort;
use zk_node::{ConnectionId, Effect, Effects, Event, Level, LinkEffect, LinkEvent, LinkId, PeerPort, StopReason};

use crate::client::{Client, Wish, is_reconfig};
use crate::faults::Fault;
use crate::invariants::{Onlooker, Verdict};
use crate::network::{CLIENTS, End, Handle, Heard, Network, NetworkEvent, Node};
use crate::rot::Rot;
use crate::run::Plan;
use crate::server::Machine;
use crate::settings::{self, Draw, LOG_DIR, ServerId};

const MS: u64 = 1000;
const POLL_US: u64 = 50 * MS;
/// Names of connections that only ask `srvr`.
const ASKING: u64 = 1 << 40;

/// A port that is dialled.
#[derive(Clone, Copy, Debug)]
enum Port {
    OfPeers(u16),
    OfClients(u16),
}

/// What happens at a time.
#[derive(Debug)]
enum Happening {
    /// A server takes what has happened to it.
    Turn(ServerId, u64),
    Wake(ServerId, u64),
    /// The disk has done the first piece of work of a lane.
    Disk(ServerId, u64, usize),
    Start(ServerId),
    Network(NetworkEvent),
    /// A dial arrives, or fails.
    Dial {
        from: End,
        to: Node,
        port: Port,
        until_us: u64,
    },
    Dialled {
        from: End,
        refused: Option<&'static str>,
    },
    Client(u64),
    Poll,
    /// Something goes wrong, and later something else.
    Fault,
    /// Something goes wrong while a list of servers is on its way.
    FaultOfList,
}

/// One run.
pub(crate) struct World {
    pub(crate) now_us: u64,
    pub(crate) random: Random,
    pub(crate) machines: BTreeMap<ServerId, Machine>,
    pub(crate) clients: Vec<Client>,
    pub(crate) network: Network,
    pub(crate) onlooker: Onlooker,
    events: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    asking: u64,
    pub(crate) faults_until_us: u64,
    /// When the logs are looked into next.
    pub(crate) logs_us: u64,
    /// Nothing else goes wrong.
    pub(crate) only: Option<Fault>,
    /// Whether what happens is printed.
    pub(crate) tells: bool,
    /// The one server of a run whose disk rots.
    pub(crate) rot: Option<Rot>,
}

impl World {
    pub(crate) fn new(plan: &Plan, clients: u64) -> SetUp<Self> {
        let Plan { seed, servers, faults_ms, only, tells } = *plan;
        let mut random = Random::from_seed(seed);
        let draw = Draw::new(seed, servers, &mut random);
        let mut machines = BTreeMap::new();
        for id in 1..=servers {
            machines.insert(id, Machine::new(id, servers, draw, &mut random)?);
        }
        let mut world = Self {
            now_us: 0,
            logs_us: 0,
            random,
            machines,
            clients: (0..clients).map(|index| Client::new(index, servers, &draw)).collect(),
            network: Network::default(),
            onlooker: Onlooker::default(),
            events: BTreeMap::new(),
            serial: 0,
            asking: ASKING,
            faults_until_us: faults_ms * MS,
            only,
            tells,
            rot: None,
        };
        if draw.shape.grouped {
            world.onlooker.count("groups");
        }
        for id in 1..=servers {
            let after_us = world.random.below(300 * MS);
            world.at(after_us, Happening::Start(id));
        }
        (0..clients).for_each(|index| world.at(0, Happening::Client(index)));
        world.at(POLL_US, Happening::Poll);
        if faults_ms > 0 {
            world.at(500 * MS, Happening::Fault);
        }
        Ok(world)
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>9.3} {}", self.now_us as f64 / MS as f64, what());
        }
    }

    pub(crate) fn chance(&mut self, of: u64) -> bool {
        self.random.below(of) == 0
    }

    fn at(&mut self, after_us: u64, happening: Happening) {
        self.serial += 1;
        self.events.insert((self.now_us + after_us, self.serial), happening);
    }

    pub(crate) fn start_later(&mut self, id: ServerId, after_us: u64) {
        self.at(after_us, Happening::Start(id));
    }

    /// Does the next thing.
    pub(crate) fn step(&mut self) -> Verdict {
        let Some(((at, _), happening)) = self.events.pop_first() else { return Err("nothing happens any more".into()) };
        self.now_us = at;
        match happening {
            Happening::Turn(id, boot) if self.lives(id, boot) => self.turn(id)?,
            Happening::Wake(id, boot) if self.lives(id, boot) => self.wake(id),
            Happening::Disk(id, boot, lane) if self.lives(id, boot) => self.disk_done(id, lane),
            Happening::Start(id) => self.start(id)?,
            Happening::Network(event) => {
                let machines = &self.machines;
                let is_up = |node: Node| machines.get(&node).is_none_or(Machine::is_up);
                self.network.happens(&event, self.now_us, is_up);
            }
            Happening::Dial { from, to, port, until_us } => self.dial_arrives(from, to, port, until_us),
            Happening::Dialled { from, refused } => self.dialled(from, refused),
            Happening::Client(index) => self.client_tick(index),
            Happening::Poll => self.poll()?,
            Happening::Fault => {
                if self.now_us < self.faults_until_us {
                    self.fault();
                    let after_us = 20 * MS + self.random.below(500 * MS);
                    self.at(after_us, Happening::Fault);
                }
            }
            Happening::FaultOfList => {
                if self.now_us < self.faults_until_us {
                    self.fault_of_list();
                }
            }
            Happening::Turn(..) | Happening::Wake(..) | Happening::Disk(..) => {}
        }
        self.hear()
    }

    fn lives(&self, id: ServerId, boot: u64) -> bool {
        self.machines.get(&id).is_some_and(|machine| machine.is_up() && machine.boot == boot)
    }

    /// A server, by name. All names are known.
    pub(crate) fn machine(&mut self, id: ServerId) -> &mut Machine {
        self.machines.get_mut(&id).expect("a server of the ensemble")
    }

    // Servers.

    pub(crate) fn start(&mut self, id: ServerId) -> Verdict {
        let now_us = self.now_us;
        let mut random = Random::from_seed(self.random.next_u64());
        if self.machine(id).is_up() || self.refuses(id) {
            return Ok(());
        }
        self.rots(id)?;
        let machine = self.machine(id);
        machine.disk.heal();
        machine.disk.set_free_bytes(None);
        machine.disk_failed = false;
        let config = self.load(id)?;
        let started = self.machine(id).start(config, now_us, &mut random);
        let Some(effects) = self.started_on_rot(id, started)? else { return Ok(()) };
        self.tell(|| format!("server {id} starts"));
        self.onlooker.count("start");
        self.carry_out(id, effects)?;
        self.plan_wake(id);
        Ok(())
    }

    /// The settings that a server finds. One that is not in its own list any more is given the newest that there is.
    fn load(&mut self, id: ServerId) -> Result<zk_node::ServerConfig, String> {
        let newest = self.machines.values().filter_map(|machine| settings::list(&machine.disk)).max();
        let Machine { disk, draw, .. } = self.machine(id);
        let mut loaded = settings::load(disk, draw);
        if let (Err(error), Some((_, list))) = (&loaded, newest)
            && error.to_string().contains("not in the peer list")
        {
            settings::rejoin(disk, id, &list, draw).map_err(|error| error.to_string())?;
            loaded = settings::load(disk, draw);
            self.onlooker.count("rejoin");
        }
        loaded.map_err(|error| format!("server {id} can't start: {error:#}"))
    }

    /// Something happened to a server: it takes it in its next turn, with all that comes until then.
    pub(crate) fn happened(&mut self, id: ServerId, event: Event) {
        let delay_us = 5 + self.random.below(60);
        let now_us = self.now_us;
        let machine = self.machine(id);
        if !machine.is_up() {
            return;
        }
        machine.inbox.push(event);
        if !std::mem::replace(&mut machine.has_turn, true) {
            let (boot, stalled_us) = (machine.boot, machine.stalled_us.saturating_sub(now_us));
            self.at(delay_us.max(stalled_us), Happening::Turn(id, boot));
        }
    }

    fn turn(&mut self, id: ServerId) -> Verdict {
        let now_us = self.now_us;
        let machine = self.machine(id);
        let (boot, stalled_us) = (machine.boot, machine.stalled_us.saturating_sub(now_us));
        if stalled_us > 0 {
            self.at(stalled_us, Happening::Turn(id, boot));
            return Ok(());
        }
        machine.has_turn = false;
        let (events, now) = (std::mem::take(&mut machine.inbox), machine.clock.now(now_us));
        let mut effects = Effects::new();
        if let Some(server) = &mut machine.server {
            for event in events {
                server.handle(event, now, &mut effects);
            }
            server.end_turn(now, &mut effects);
        }
        self.carry_out(id, effects)?;
        self.plan_wake(id);
        Ok(())
    }

    fn plan_wake(&mut self, id: ServerId) {
        let now_us = self.now_us;
        let machine = self.machine(id);
        let Some(deadline) = machine.server.as_ref().and_then(zk_node::Server::deadline) else { return };
        let at = machine.clock.when(deadline).max(now_us + 1);
        if machine.wake_us.is_none_or(|wake_us| at < wake_us) {
            machine.wake_us = Some(at);
            let boot = machine.boot;
            self.at(at - now_us, Happening::Wake(id, boot));
        }
    }

    fn wake(&mut self, id: ServerId) {
        let now_us = self.now_us;
        let machine = self.machine(id);
        if machine.wake_us == Some(now_us) {
            machine.wake_us = None;
            self.happened(id, Event::Tick);
        }
    }

    fn disk_done(&mut self, id: ServerId, lane: usize) {
        let machine = self.machine(id);
        let Some(task) = machine.lanes.get_mut(lane).and_then(|tasks| tasks.pop_front()) else { return };
        let done = task.run(&Slow::allowed());
        self.happened(id, Event::Disk(done));
        self.disk_goes_on(id, lane);
    }

    fn disk_goes_on(&mut self, id: ServerId, lane: usize) {
        let machine = self.machine(id);
        let is_empty = machine.lanes.get(lane).is_none_or(std::collections::VecDeque::is_empty);
        let (boot, longest_us) = (machine.boot, machine.disk_us);
        if !is_empty {
            let after_us = 50 + self.random.below(longest_us);
            self.at(after_us, Happening::Disk(id, boot, lane));
        }
    }

    fn carry_out(&mut self, id: ServerId, effects: Effects) -> Verdict {
        let boot = self.machine(id).boot;
        let end = |handle| End { node: id, boot, handle };
        for effect in effects {
            match effect {
                Effect::Send { connection, bytes } => self.send(end(Handle::Connection(connection)), bytes),
                Effect::PauseReading(connection) => self.network.pause(end(Handle::Connection(connection)), true),
                Effect::ResumeReading(connection) => self.network.pause(end(Handle::Connection(connection)), false),
                Effect::Close(connection) => {
                    self.network.close(end(Handle::Connection(connection)), self.now_us, &mut self.random);
                }
                Effect::Link(effect) => self.link_effect(id, boot, effect),
                Effect::Disk(task) => {
                    let lane = Machine::lane(&task);
                    if let Some(tasks) = self.machine(id).lanes.get_mut(lane) {
                        tasks.push_back(task);
                        if tasks.len() == 1 {
                            self.disk_goes_on(id, lane);
                        }
                    }
                }
                Effect::ServePeers { port, addresses } => {
                    if port != PeerPort::Observers {
                        self.onlooker.count("peers' port moved");
                    }
                    self.machine(id).listen_to_peers(port, &addresses);
                }
                Effect::ServeClients(address) => {
                    self.onlooker.count("clients' port moved");
                    self.machine(id).client_port = address.port;
                }
                Effect::Log(line) => self.logged(id, line.level, line.logger, &line.message)?,
                Effect::Stop(reason) => return self.stopped(id, &reason),
            }
        }
        Ok(())
    }

    fn send(&mut self, from: End, bytes: Bytes) {
        self.network.send(from, bytes, self.now_us, &mut self.random);
    }

    fn link_effect(&mut self, id: ServerId, boot: u64, effect: LinkEffect) {
        let end = |link| End { node: id, boot, handle: Handle::Link(link) };
        match effect {
            LinkEffect::Dial { link, addresses, timeout_ms } => {
                let known = |address: &HostPort| address.host.trim_start_matches('s').parse::<Node>().unwrap_or(0);
                let listens = |address: &&HostPort| {
                    self.machines.get(&known(address)).is_some_and(|to| to.peer_ports.contains_key(&address.port))
                };
                // All are tried.
                let address = addresses.iter().find(listens).or(addresses.first());
                let (to, port) = address.map_or((0, 0), |address| (known(address), address.port));
                let port = Port::OfPeers(port);
                let until_us = self.now_us + timeout_ms.saturating_mul(MS);
                let after_us = Network::delay(&mut self.random);
                self.at(after_us, Happening::Dial { from: end(link), to, port, until_us });
            }
            LinkEffect::Send { link, bytes } => self.send(end(link), bytes),
            LinkEffect::PauseReading(link) => self.network.pause(end(link), true),
            LinkEffect::ResumeReading(link) => self.network.pause(end(link), false),
            LinkEffect::Close(link) => self.network.close(end(link), self.now_us, &mut self.random),
        }
    }

    /// A line of a log: an ERROR means that a person must act, which nothing here calls for but a disk made to fail.
    fn logged(&mut self, id: ServerId, level: Level, logger: &str, message: &str) -> Verdict {
        if !message.starts_with("Processing srvr") {
            self.tell(|| format!("server {id} {level:?} {} {message}", logger.rsplit('.').next().unwrap_or_default()));
        }
        for (start, what) in COUNTED {
            if message.starts_with(start) {
                self.onlooker.count(what);
            }
        }
        if message == READ_ONLY_STARTED {
            let (log, disk) = (self.read_log(id)?, self.machine(id).disk.clone());
            self.onlooker.read_only.started(&log, &disk);
        }
        match level == Level::Error && !self.machine(id).disk_failed && !self.is_rotten(id) {
            true => Err(format!("server {id} logs an error: {message}")),
            false => Ok(()),
        }
    }

    fn stopped(&mut self, id: ServerId, reason: &StopReason) -> Verdict {
        self.tell(|| format!("server {id} stops: {reason:?}"));
        let disk_failed = self.machine(id).disk_failed;
        let is_expected = *reason == StopReason::Requested || disk_failed || self.is_rotten(id);
        let is_orderly = *reason == StopReason::Requested && !disk_failed;
        if !is_expected {
            return Err(format!("server {id} stops by itself: {reason:?}"));
        }
        self.onlooker.count("stop");
        self.process_ends(id, disk_failed);
        self.machine(id).ended_well = is_orderly;
        let after_us = self.random.below(800 * MS);
        self.start_later(id, after_us);
        Ok(())
    }

    /// A process is gone, and with the power what its disk had not made durable.
    pub(crate) fn process_ends(&mut self, id: ServerId, power_is_off: bool) {
        let mut random = Random::from_seed(self.random.next_u64());
        self.network.process_ended(id, power_is_off, self.now_us, &mut random);
        let machine = self.machine(id);
        if power_is_off {
            machine.power_off(&mut random);
        } else {
            machine.end();
            machine.disk.kill();
        }
    }

    // Connections.

    fn dial_arrives(&mut self, from: End, to: Node, port: Port, until_us: u64) {
        if !self.network.passes(from.node, to) {
            let wait_us = until_us.saturating_sub(self.now_us).max(1);
            return self.at(wait_us, Happening::Dialled { from, refused: Some("timed out") });
        }
        let machine = self.machines.get(&to).filter(|machine| machine.is_up());
        let open = machine.and_then(|machine| match port {
            Port::OfClients(port) => (machine.client_port == port).then_some(None),
            Port::OfPeers(port) => machine.peer_ports.get(&port).map(|port| Some(*port)),
        });
        let refused = if open.is_none() { Some("refused") } else { None };
        if let Some(port) = open
            && self.is_there(from)
        {
            let mut random = Random::from_seed(self.random.next_u64());
            let machine = self.machine(to);
            machine.accepted += 1;
            let number = machine.accepted;
            let peer =
                SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, from.node as u8)), 40_000 + number as u16 % 20_000);
            let (handle, event) = match port {
                Some(port) => {
                    let link = LinkId(number);
                    (Handle::Link(link), Event::Link(LinkEvent::Accepted { link, port, peer }))
                }
                None => {
                    let connection = ConnectionId(number);
                    (Handle::Connection(connection), Event::Opened { connection, peer, certificates: None })
                }
            };
            let other = End { node: to, boot: machine.boot, handle };
            self.network.connect(from, other, &mut random);
            self.happened(to, event);
        }
        let after_us = Network::delay(&mut self.random);
        self.at(after_us, Happening::Dialled { from, refused });
    }

    /// Whether who dialled still waits for it.
    fn is_there(&self, from: End) -> bool {
        match from.handle {
            Handle::Client(attempt) => {
                self.clients.get((from.node - CLIENTS) as usize).is_some_and(|client| client.attempt == attempt)
            }
            _ => self.lives(from.node, from.boot),
        }
    }

    fn dialled(&mut self, from: End, refused: Option<&'static str>) {
        if !self.is_there(from) {
            return self.network.close(from, self.now_us, &mut self.random);
        }
        match (from.handle, refused) {
            (Handle::Link(link), None) => self.happened(from.node, Event::Link(LinkEvent::Connected { link })),
            (Handle::Link(link), Some(reason)) => {
                self.happened(from.node, Event::Link(LinkEvent::Closed { link, reason: reason.into() }));
            }
            (_, None) => {
                let index = from.node - CLIENTS;
                let now_us = self.now_us;
                let wishes = self.client(index).connected(now_us);
                self.grant(index, wishes);
            }
            (_, Some(_)) => self.client_lost(from.node - CLIENTS),
        }
    }

    /// Takes everything to its owner that the network has brought, and plans what it wants.
    fn hear(&mut self) -> Verdict {
        while !self.network.heard.is_empty() || !self.network.planned.is_empty() {
            for (after_us, event) in std::mem::take(&mut self.network.planned) {
                self.at(after_us, Happening::Network(event));
            }
            for (end, heard) in std::mem::take(&mut self.network.heard) {
                if self.is_there(end) {
                    self.take(end, heard)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, end: End, heard: Heard) -> Verdict {
        let event = match (end.handle, heard) {
            (Handle::Link(link), Heard::Bytes(bytes)) => Event::Link(LinkEvent::Received { link, bytes }),
            (Handle::Link(link), Heard::Congested(congested)) => {
                self.onlooker.count("congested");
                Event::Link(LinkEvent::Congested { link, congested })
            }
            (Handle::Link(link), Heard::Closed) => Event::Link(LinkEvent::Closed { link, reason: "it broke".into() }),
            (Handle::Connection(connection), Heard::Bytes(bytes)) => Event::Received { connection, bytes },
            (Handle::Connection(connection), Heard::Closed) => Event::Closed { connection },
            (Handle::Connection(_), Heard::Congested(_)) => return Ok(()),
            (Handle::Client(_), heard) => return self.client_hears(end.node - CLIENTS, heard),
        };
        self.happened(end.node, event);
        Ok(())
    }

    // Clients.

    pub(crate) fn client(&mut self, index: u64) -> &mut Client {
        self.clients.get_mut(index as usize).expect("a client of the run")
    }

    fn client_end(&self, index: u64) -> End {
        let attempt = self.clients.get(index as usize).map_or(0, |client| client.attempt);
        End { node: CLIENTS + index, boot: 0, handle: Handle::Client(attempt) }
    }

    fn client_tick(&mut self, index: u64) {
        let (now_us, servers) = (self.now_us, self.machines.len() as ServerId);
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        let wishes = client.tick(now_us, servers, &mut self.random, &mut self.onlooker);
        self.grant(index, wishes);
        self.plan_client(index);
    }

    fn plan_client(&mut self, index: u64) {
        let at = self.client(index).deadline_us().max(self.now_us + 1);
        // A tick that comes too early does nothing but plan the next one; too many are not planned.
        let after_us = (at - self.now_us).min(5 * MS);
        self.at(after_us, Happening::Client(index));
    }

    fn grant(&mut self, index: u64, wishes: Vec<Wish>) {
        for wish in wishes {
            let end = self.client_end(index);
            let session = self.client(index).session;
            self.tell(|| format!("client {index} with session {session:x} {wish}"));
            match wish {
                Wish::Dial(server) => {
                    let after_us = Network::delay(&mut self.random);
                    let until_us = self.now_us + 300 * MS;
                    let port = Port::OfClients(self.machine(server).client_port);
                    self.at(after_us, Happening::Dial { from: end, to: server, port, until_us });
                }
                Wish::Send(bytes) => {
                    // A list is on its way for some milliseconds: that is when things should go wrong.
                    if is_reconfig(&bytes) && self.chance(3) {
                        let after_us = self.random.below(8 * MS);
                        self.at(after_us, Happening::FaultOfList);
                    }
                    self.send(end, bytes);
                }
                Wish::Close => {
                    self.network.close(end, self.now_us, &mut self.random);
                    self.client(index).attempt += 1;
                }
            }
        }
    }

    fn client_hears(&mut self, index: u64, heard: Heard) -> Verdict {
        self.tell(|| match &heard {
            Heard::Bytes(bytes) => {
                format!("client {index} hears {} bytes, {:x?}", bytes.len(), bytes.get(4..16).unwrap_or_default())
            }
            _ => format!("client {index} is disconnected"),
        });
        match heard {
            Heard::Bytes(bytes) => {
                let now_us = self.now_us;
                let Some(client) = self.clients.get_mut(index as usize) else { return Ok(()) };
                let wishes = client.received(&bytes, now_us, &mut self.random, &mut self.onlooker)?;
                self.grant(index, wishes);
            }
            Heard::Closed => self.client_lost(index),
            Heard::Congested(_) => {}
        }
        Ok(())
    }

    fn client_lost(&mut self, index: u64) {
        let now_us = self.now_us;
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        client.attempt += 1;
        client.disconnected(now_us, &mut self.random, &mut self.onlooker);
    }

    /// A client is gone for ever, and another one comes.
    pub(crate) fn client_dies(&mut self, index: u64) {
        let (now_us, end) = (self.now_us, self.client_end(index));
        self.network.process_ended(end.node, true, now_us, &mut self.random);
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        client.attempt += 1;
        client.die(now_us, &mut self.random, &mut self.onlooker);
    }

    // What is seen from outside.

    fn poll(&mut self) -> Verdict {
        self.at(POLL_US, Happening::Poll);
        let ids: Vec<ServerId> = self.machines.keys().copied().collect();
        for id in ids {
            let is_stalled = self.machine(id).stalled_us > self.now_us;
            if self.machine(id).is_up() && !is_stalled {
                self.ask(id)?;
            }
        }
        Ok(())
    }

    /// Asks a server what it is, on a connection of its own.
    fn ask(&mut self, id: ServerId) -> Verdict {
        let now_us = self.now_us;
        self.asking += 1;
        let connection = ConnectionId(self.asking);
        let machine = self.machine(id);
        let (boot, now) = (machine.boot, machine.clock.now(now_us));
        let Some(server) = &mut machine.server else { return Ok(()) };
        let mut effects = Effects::new();
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);
        server.handle(Event::Opened { connection, peer, certificates: None }, now, &mut effects);
        server.handle(Event::Received { connection, bytes: Bytes::from_static(b"srvr") }, now, &mut effects);
        server.end_turn(now, &mut effects);
        let is_answer = |effect: &Effect| matches!(effect, Effect::Send { connection: to, .. } if *to == connection);
        let (answer, rest): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_answer);
        let text = answer.first().map(|effect| match effect {
            Effect::Send { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        });
        machine.mode = text.as_deref().and_then(mode);
        let leads_at = machine.mode.as_ref().filter(|(mode, _)| mode == "leader").map(|(_, zxid)| *zxid);
        if let Some(zxid) = leads_at {
            self.onlooker.leaders.leads(id, boot, zxid)?;
        }
        self.carry_out(id, rest)?;
        self.plan_wake(id);
        Ok(())
    }

    /// Reads a server's log, whatever state the server is in.
    pub(crate) fn read_log(&mut self, id: ServerId) -> Result<crate::invariants::one_history::Log, String> {
        let machine = self.machine(id);
        let disk = machine.disk.clone();
        let dir = Path::new(LOG_DIR);
        let damaged = self.rot.as_ref().filter(|rot| rot.server == id).and_then(|rot| rot.path.clone());
        match disk.metadata(dir) {
            Ok(Some(_)) => self.onlooker.history.read(id, &disk, dir, damaged.as_deref()),
            _ => Ok(crate::invariants::one_history::Log::new()),
        }
    }
}

const READ_ONLY_STARTED: &str = "Read-only server started";

/// What the servers' lines say that a run went through.
const COUNTED: [(&str, &str); 19] = [
    (READ_ONLY_STARTED, "read-only"),
    ("The list of servers of version", "list in force"),
    ("Suggested leader", "appointed"),
    ("Becoming an observer", "becomes an observer"),
    ("Becoming a voting participant", "gets a vote"),
    ("Becoming a non-voting participant", "is left out"),
    ("Getting a diff from the leader", "DIFF"),
    ("Use txnlog for peer", "log read"),
    ("Truncating log to get in sync", "TRUNC"),
    ("Getting a snapshot from leader", "SNAP"),
    ("The log can't be read for a learner", "log refused"),
    ("LEADING", "elected"),
    ("FOLLOWING", "follows"),
    ("OBSERVING", "observes"),
    ("Observing new leader sid", "observes a follower"),
    ("Expiring session", "expired"),
    ("Upgrading session", "session upgraded"),
    ("Snapshotting", "snapshot"),
    ("Purge task completed", "purge"),
];

/// What `srvr` says, if the server serves.
fn mode(text: &str) -> Option<(String, i64)> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let zxid = i64::from_str_radix(field("Zxid: 0x")?, 16).ok()?;
    Some((field("Mode: ")?.to_owned(), zxid))
}
