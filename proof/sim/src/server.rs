//! One server of the world: its process, disk, clock, and what it has to do.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use base::{MemDisk, Random, Slow};
use config::zookeeper::HostPort;
use zk_node::{DiskTask, Effects, Event, Lane, PeerPort, Server, ServerConfig};

use crate::clock::Clock;
use crate::settings::{self, Draw, ServerId};

/// A server, running or not.
pub(crate) struct Machine {
    pub(crate) id: ServerId,
    /// Counts its lives.
    pub(crate) boot: u64,
    pub(crate) server: Option<Server>,
    pub(crate) draw: Draw,
    pub(crate) disk: MemDisk,
    /// How long a piece of work may take at most.
    pub(crate) disk_us: u64,
    pub(crate) clock: Clock,
    /// Work for the disk, by lane; the first of each is under way.
    pub(crate) lanes: [VecDeque<DiskTask>; 2],
    /// What has happened since the last turn.
    pub(crate) inbox: Vec<Event>,
    pub(crate) has_turn: bool,
    /// When it is to be woken.
    pub(crate) wake_us: Option<u64>,
    /// Nothing of it moves until then.
    pub(crate) stalled_us: u64,
    /// It was made to fail, and may stop.
    pub(crate) disk_failed: bool,
    /// What it says of itself: whether it serves, and as what.
    pub(crate) mode: Option<(String, i64)>,
    /// Names of connections that came to it.
    pub(crate) accepted: u64,
    /// Where it listens for other servers, and for clients.
    pub(crate) peer_ports: BTreeMap<u16, PeerPort>,
    pub(crate) client_port: u16,
    /// It was asked to stop, and has written everything.
    pub(crate) ended_well: bool,
}

impl Machine {
    /// The `id`-th of `servers`.
    pub(crate) fn new(id: ServerId, servers: ServerId, draw: Draw, random: &mut Random) -> io::Result<Self> {
        let disk = MemDisk::new();
        settings::install(&disk, id, servers, &draw)?;
        Ok(Self {
            id,
            boot: 0,
            server: None,
            draw,
            disk,
            disk_us: 500,
            clock: Clock::new(random),
            lanes: [VecDeque::new(), VecDeque::new()],
            inbox: Vec::new(),
            has_turn: false,
            wake_us: None,
            stalled_us: 0,
            disk_failed: false,
            mode: None,
            accepted: 0,
            peer_ports: BTreeMap::new(),
            client_port: 0,
            ended_well: false,
        })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.server.is_some()
    }

    /// Starts the process on what the disk holds.
    pub(crate) fn start(&mut self, config: ServerConfig, now_us: u64, random: &mut Random) -> Result<Effects, String> {
        self.boot += 1;
        self.listen(&config);
        let mut effects = Effects::new();
        let seed = Random::from_seed(random.next_u64());
        let (disk, now) = (Arc::new(self.disk.clone()), self.clock.now(now_us));
        let server = Server::open(config, disk, seed, now, &mut effects, &Slow::allowed());
        self.server = Some(server.map_err(|error| format!("server {} can't start: {error}", self.id))?);
        Ok(effects)
    }

    fn listen(&mut self, config: &ServerConfig) {
        self.peer_ports.clear();
        self.client_port = u16::try_from(config.client_port).unwrap_or_default();
        let own = config.member.as_ref().and_then(|member| member.ensemble.servers.get(&member.id));
        if let Some(own) = own {
            self.listen_to_peers(PeerPort::Quorum, &own.quorum);
            self.listen_to_peers(PeerPort::Election, &own.election);
        }
    }

    /// From now on it listens there for this.
    pub(crate) fn listen_to_peers(&mut self, port: PeerPort, addresses: &[HostPort]) {
        self.peer_ports.retain(|_, known| *known != port);
        self.peer_ports.extend(addresses.iter().map(|address| (address.port, port)));
    }

    /// The process is gone.
    pub(crate) fn end(&mut self) {
        self.server = None;
        self.ended_well = false;
        self.lanes = [VecDeque::new(), VecDeque::new()];
        self.inbox.clear();
        (self.wake_us, self.stalled_us, self.mode, self.has_turn) = (None, 0, None, false);
    }

    /// The power goes off in the middle of whatever the disk does.
    pub(crate) fn power_off(&mut self, random: &mut Random) {
        for lane in &mut self.lanes {
            if let Some(task) = lane.pop_front().filter(|_| random.below(2) == 0) {
                self.disk.power_off_after(random.below(8));
                task.run(&Slow::allowed());
            }
        }
        self.end();
        self.disk.crash(random);
    }

    pub(crate) const fn lane(task: &DiskTask) -> usize {
        match task.lane() {
            Lane::Log => 0,
            Lane::Background => 1,
        }
    }
}
