//! A server with its disk, its clock and its clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{MemDisk, Monotonic, Now, Random, Slow};
use bytes::BytesMut;
use zk_node::{
    ConnectionId, DiskTask, Effect, Effects, Event, LinkEffect, LogLine, Server, ServerConfig, StartError, StopReason,
};

/// What a client's socket holds.
#[derive(Debug, Default)]
pub(crate) struct Socket {
    /// Bytes that have arrived and were not taken.
    pub(crate) arrived: BytesMut,
    /// How many sends they came in.
    pub(crate) sends: usize,
    pub(crate) closed: bool,
    pub(crate) paused: bool,
}

/// The world of one server.
pub(crate) struct World {
    pub(crate) config: ServerConfig,
    pub(crate) disk: MemDisk,
    pub(crate) now: Now,
    pub(crate) server: Option<Server>,
    pub(crate) tasks: Vec<DiskTask>,
    pub(crate) sockets: BTreeMap<u64, Socket>,
    pub(crate) log: Vec<LogLine>,
    /// What was wanted of links with other servers, and when.
    pub(crate) links: Vec<(Monotonic, LinkEffect)>,
    pub(crate) stopped: Option<StopReason>,
    /// Disk tasks wait until they are run by hand.
    pub(crate) disk_held: bool,
    pub(crate) seed: u64,
    connections: u64,
}

impl World {
    /// A server on an empty disk. Small preallocation, as all of it is in memory.
    pub(crate) fn new() -> Self {
        let mut config = ServerConfig::new("/data");
        config.preallocation = 4096;
        config.tick_time_ms = 1000;
        config.session_timeout_min_ms = 2000;
        config.session_timeout_max_ms = 20_000;
        Self::with(config)
    }

    pub(crate) fn with(config: ServerConfig) -> Self {
        let mut world = Self {
            config,
            disk: MemDisk::new(),
            now: Now { monotonic: Monotonic::from_ms(1000), wall_ms: 1_600_000_000_000 },
            server: None,
            tasks: Vec::new(),
            sockets: BTreeMap::new(),
            log: Vec::new(),
            links: Vec::new(),
            stopped: None,
            disk_held: false,
            seed: 1,
            connections: 0,
        };
        world.start().unwrap();
        world
    }

    /// Opens the server on what the disk holds.
    pub(crate) fn start(&mut self) -> Result<(), StartError> {
        let mut effects = Effects::new();
        let random = Random::from_seed(self.seed);
        let (config, disk) = (self.config.clone(), Arc::new(self.disk.clone()));
        self.stopped = None;
        self.server = Some(Server::open(config, disk, random, self.now, &mut effects, &Slow::allowed())?);
        self.carry_out(effects);
        if !self.disk_held {
            self.run_disk();
        }
        Ok(())
    }

    /// The process is gone, and with it what no disk holds.
    pub(crate) fn kill(&mut self) {
        self.server = None;
        self.tasks.clear();
        for socket in self.sockets.values_mut() {
            socket.closed = true;
        }
    }

    pub(crate) fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the server is up")
    }

    /// One turn of these events, and then what the disk has to do, unless it is held.
    pub(crate) fn turn(&mut self, events: impl IntoIterator<Item = Event>) {
        let mut effects = Effects::new();
        let now = self.now;
        for event in events {
            self.server().handle(event, now, &mut effects);
        }
        self.server().end_turn(now, &mut effects);
        self.carry_out(effects);
        if !self.disk_held {
            self.run_disk();
        }
    }

    /// Runs disk tasks, each outcome a turn, until there are no more.
    pub(crate) fn run_disk(&mut self) {
        while !self.tasks.is_empty() {
            let task = self.tasks.remove(0);
            self.run_task(task);
        }
    }

    /// Runs one task and brings its outcome.
    pub(crate) fn run_task(&mut self, task: DiskTask) {
        let done = task.run(&Slow::allowed());
        let mut effects = Effects::new();
        let now = self.now;
        self.server().handle(Event::Disk(done), now, &mut effects);
        self.server().end_turn(now, &mut effects);
        self.carry_out(effects);
    }

    /// Lets time pass, with all ticks that are wanted meanwhile.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.now.monotonic.plus_ms(ms);
        while let Some(deadline) = self.server().deadline().filter(|deadline| *deadline <= end) {
            self.move_to(deadline.max(self.now.monotonic));
            self.turn([Event::Tick]);
        }
        self.move_to(end);
    }

    fn move_to(&mut self, to: Monotonic) {
        let passed_ms = to.ms() - self.now.monotonic.ms();
        self.now = Now { monotonic: to, wall_ms: self.now.wall_ms + passed_ms as i64 };
    }

    /// A new connection from 127.0.0.1.
    pub(crate) fn open(&mut self) -> ConnectionId {
        self.open_from("127.0.0.1")
    }

    pub(crate) fn open_from(&mut self, address: &str) -> ConnectionId {
        self.open_with(address, None)
    }

    /// One by TLS, with what it has shown.
    pub(crate) fn open_with(&mut self, address: &str, certificates: Option<Box<[bytes::Bytes]>>) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        self.sockets.insert(id.0, Socket::default());
        let peer = std::net::SocketAddr::new(address.parse().unwrap(), 40_000 + id.0 as u16);
        self.turn([Event::Opened { connection: id, peer, certificates }]);
        id
    }

    /// Brings bytes of a client, as a turn of their own.
    pub(crate) fn send(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.turn([Event::Received { connection: id, bytes: bytes::Bytes::copy_from_slice(bytes) }]);
    }

    pub(crate) fn socket(&self, id: ConnectionId) -> &Socket {
        &self.sockets[&id.0]
    }

    /// The next whole frame that has arrived, without its length.
    pub(crate) fn frame(&mut self, id: ConnectionId) -> Option<bytes::Bytes> {
        let arrived = &mut self.sockets.get_mut(&id.0).unwrap().arrived;
        let length = u32::from_be_bytes(*arrived.first_chunk::<4>()?) as usize;
        assert!(arrived.len() >= 4 + length, "only whole frames are sent");
        Some(arrived.split_to(4 + length).freeze().slice(4..))
    }

    /// Everything that has arrived, as text.
    pub(crate) fn text(&mut self, id: ConnectionId) -> String {
        String::from_utf8(self.sockets.get_mut(&id.0).unwrap().arrived.split().to_vec()).unwrap()
    }

    fn carry_out(&mut self, effects: Effects) {
        let mut sent = Vec::new();
        for effect in effects {
            match effect {
                Effect::ServeClients(_) | Effect::ServePeers { .. } => {
                    unreachable!("a server on its own has no list of servers")
                }
                Effect::Send { connection, bytes } => {
                    assert!(!sent.contains(&connection), "one send for each connection and turn");
                    sent.push(connection);
                    let socket = self.sockets.get_mut(&connection.0).unwrap();
                    assert!(!socket.closed, "nothing is sent behind a close");
                    socket.arrived.extend_from_slice(&bytes);
                    socket.sends += 1;
                }
                Effect::PauseReading(id) => self.sockets.get_mut(&id.0).unwrap().paused = true,
                Effect::ResumeReading(id) => self.sockets.get_mut(&id.0).unwrap().paused = false,
                Effect::Close(id) => self.sockets.get_mut(&id.0).unwrap().closed = true,
                Effect::Disk(task) => self.tasks.push(task),
                Effect::Link(effect) => {
                    assert!(self.config.member.is_some(), "a server on its own has no links: {effect:?}");
                    self.links.push((self.now.monotonic, effect));
                }
                Effect::Log(line) => self.log.push(line),
                Effect::Stop(reason) => self.stopped = Some(reason),
            }
        }
    }
}
