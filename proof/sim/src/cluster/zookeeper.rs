//! The one ZooKeeper server of a cluster's world: it does not fail, and its disk is quick. What the network does to it is for others to
//! decide.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result as SetUp;
use base::{MemDisk, Monotonic, Now, Random, Slow};
use bytes::Bytes;
use zk_node::{ConnectionId, Effect, Effects, Event, Server, ServerConfig};

use crate::network::Node;

/// Its name in the network.
pub(crate) const ZOOKEEPER: Node = 50;
const TICK_MS: u32 = 100;

pub(crate) struct ZooKeeper {
    server: Server,
    accepted: u64,
}

/// What it does to a connection.
pub(crate) enum Said {
    Bytes(ConnectionId, Bytes),
    Closed(ConnectionId),
}

impl ZooKeeper {
    pub(crate) fn new(seed: u64) -> SetUp<Self> {
        let mut config = ServerConfig::new("/zookeeper");
        config.tick_time_ms = TICK_MS;
        (config.session_timeout_min_ms, config.session_timeout_max_ms) = (2 * TICK_MS as i32, 100 * TICK_MS as i32);
        (config.preallocation, config.connections_per_address_max) = (4096, 0);
        let mut effects = Effects::new();
        let disk = Arc::new(MemDisk::new());
        let random = Random::from_seed(seed);
        let server = Server::open(config, disk, random, now(0), &mut effects, &Slow::allowed())?;
        let mut zookeeper = Self { server, accepted: 0 };
        let _ = zookeeper.carry_out(effects, 0);
        Ok(zookeeper)
    }

    pub(crate) fn accept(&mut self, now_us: u64) -> (ConnectionId, Vec<Said>) {
        self.accepted += 1;
        let connection = ConnectionId(self.accepted);
        let peer: SocketAddr = SocketAddr::from(([10, 0, 0, 1], 40_000));
        (connection, self.event(Event::Opened { connection, peer, certificates: None }, now_us))
    }

    pub(crate) fn event(&mut self, event: Event, now_us: u64) -> Vec<Said> {
        let mut effects = Effects::new();
        self.server.handle(event, now(now_us), &mut effects);
        self.server.end_turn(now(now_us), &mut effects);
        self.carry_out(effects, now_us)
    }

    /// When it wants [`Event::Tick`], in microseconds.
    pub(crate) fn deadline_us(&self) -> Option<u64> {
        self.server.deadline().map(|at: Monotonic| at.nanoseconds().div_ceil(1000).saturating_sub(START_US))
    }

    fn carry_out(&mut self, effects: Effects, now_us: u64) -> Vec<Said> {
        let mut said = Vec::new();
        let mut todo = VecDeque::from([effects]);
        while let Some(effects) = todo.pop_front() {
            for effect in effects {
                match effect {
                    Effect::Send { connection, bytes } => said.push(Said::Bytes(connection, bytes)),
                    Effect::Close(connection) => said.push(Said::Closed(connection)),
                    Effect::Disk(task) => {
                        let mut more = Effects::new();
                        self.server.handle(Event::Disk(task.run(&Slow::allowed())), now(now_us), &mut more);
                        self.server.end_turn(now(now_us), &mut more);
                        todo.push_back(more);
                    }
                    _ => {}
                }
            }
        }
        said
    }
}

const START_US: u64 = 1_000_000;

fn now(now_us: u64) -> Now {
    Now {
        monotonic: Monotonic::from_nanoseconds((START_US + now_us) * 1000),
        wall_ms: 1_600_000_000_000 + (now_us / 1000) as i64,
    }
}
