//! The ZooKeeper servers of a cluster's world, one or an ensemble of three: as in the runs of ensembles alone, with less that goes wrong.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;

use base::{Random, Slow};
use zk_node::{ConnectionId, Effect, Effects, Event, Level, LinkEffect, LinkEvent, LinkId, PeerPort, Server};

use super::machine::Arrived;
use super::settings::Draw;
use super::world::{Happening, World};
use crate::invariants::Verdict;
use crate::network::{End, Handle, Network, Node};
use crate::server::Machine;
use crate::settings::{self, QUORUM_PORT, ServerId};

/// Its servers' names in the network are behind this one.
const SERVERS: Node = 50;

/// A server's name in the network.
pub(super) const fn server_node(id: ServerId) -> Node {
    SERVERS + id
}

/// The server of this name.
pub(super) fn server_of(node: Node) -> Option<ServerId> {
    (SERVERS..crate::network::CLIENTS).contains(&node).then(|| node - SERVERS)
}

/// What a server has to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Turn,
    Wake,
    Disk(usize),
}

/// All servers, by number.
pub(super) type Ensemble = BTreeMap<ServerId, Machine>;

pub(super) fn ensemble(draw: &Draw, random: &mut Random) -> io::Result<Ensemble> {
    let of_servers = settings::Draw::plain(random);
    let all = (1..=draw.servers).map(|id| Ok((id, Machine::new(id, draw.servers, of_servers, random)?)));
    all.collect()
}

impl World {
    pub(super) fn server(&mut self, id: ServerId) -> &mut Machine {
        self.ensemble.get_mut(&id).expect("a server of the ensemble")
    }

    pub(super) fn server_lives(&self, id: ServerId, boot: u64) -> bool {
        self.ensemble.get(&id).is_some_and(|machine| machine.is_up() && machine.boot == boot)
    }

    pub(super) fn start_server(&mut self, id: ServerId) -> Verdict {
        let now_us = self.now_us;
        let mut random = Random::from_seed(self.random.next_u64());
        let machine = self.server(id);
        if machine.is_up() {
            return Ok(());
        }
        let loaded = settings::load(&machine.disk, &machine.draw);
        let config = loaded.map_err(|error| format!("server {id} can't start: {error:#}"))?;
        let effects = machine.start(config, now_us, &mut random)?;
        self.tell(|| format!("server {id} starts"));
        self.server_effects(id, effects)?;
        self.plan_server_wake(id);
        Ok(())
    }

    /// A server is gone, and with the power what its disk had not made durable.
    pub(super) fn server_ends(&mut self, id: ServerId, power_is_off: bool) {
        let mut random = Random::from_seed(self.random.next_u64());
        self.network.process_ended(server_node(id), power_is_off, self.now_us, &mut random);
        let machine = self.server(id);
        if power_is_off {
            machine.power_off(&mut random);
        } else {
            machine.end();
            machine.disk.kill();
        }
    }

    pub(super) fn server_part(&mut self, id: ServerId, part: Part) -> Verdict {
        match part {
            Part::Turn => return self.server_turn(id),
            Part::Wake => {
                let now_us = self.now_us;
                let machine = self.server(id);
                if machine.wake_us == Some(now_us) {
                    machine.wake_us = None;
                    self.happened(id, Event::Tick);
                }
            }
            Part::Disk(lane) => {
                let machine = self.server(id);
                let Some(task) = machine.lanes.get_mut(lane).and_then(VecDeque::pop_front) else { return Ok(()) };
                let done = task.run(&Slow::allowed());
                self.happened(id, Event::Disk(done));
                self.server_disk(id, lane);
            }
        }
        Ok(())
    }

    /// A server takes it in its next turn, with all that comes until then.
    fn happened(&mut self, id: ServerId, event: Event) {
        let after_us = 5 + self.random.below(60);
        let machine = self.server(id);
        if machine.is_up() {
            machine.inbox.push(event);
            if !std::mem::replace(&mut machine.has_turn, true) {
                let boot = machine.boot;
                self.at(after_us, Happening::Server(id, boot, Part::Turn));
            }
        }
    }

    fn server_turn(&mut self, id: ServerId) -> Verdict {
        let now_us = self.now_us;
        let machine = self.server(id);
        machine.has_turn = false;
        let (events, now) = (std::mem::take(&mut machine.inbox), machine.clock.now(now_us));
        let mut effects = Effects::new();
        if let Some(server) = &mut machine.server {
            events.into_iter().for_each(|event| server.handle(event, now, &mut effects));
            server.end_turn(now, &mut effects);
        }
        self.server_effects(id, effects)?;
        self.plan_server_wake(id);
        Ok(())
    }

    fn plan_server_wake(&mut self, id: ServerId) {
        let now_us = self.now_us;
        let machine = self.server(id);
        let Some(deadline) = machine.server.as_ref().and_then(Server::deadline) else { return };
        let at = machine.clock.when(deadline).max(now_us + 1);
        if machine.wake_us.is_none_or(|wake_us| at < wake_us) {
            machine.wake_us = Some(at);
            let boot = machine.boot;
            self.at(at - now_us, Happening::Server(id, boot, Part::Wake));
        }
    }

    fn server_disk(&mut self, id: ServerId, lane: usize) {
        let machine = self.server(id);
        let is_idle = machine.lanes.get(lane).is_none_or(VecDeque::is_empty);
        let (boot, longest_us) = (machine.boot, machine.disk_us);
        if !is_idle {
            let after_us = 50 + self.random.below(longest_us);
            self.at(after_us, Happening::Server(id, boot, Part::Disk(lane)));
        }
    }

    fn server_effects(&mut self, id: ServerId, effects: Effects) -> Verdict {
        let boot = self.server(id).boot;
        let end = |handle| End { node: server_node(id), boot, handle };
        let connection = |connection: ConnectionId| end(Handle::Connection(connection));
        for effect in effects {
            match effect {
                Effect::Send { connection: to, bytes } => {
                    self.network.send(connection(to), bytes, self.now_us, &mut self.random);
                }
                Effect::PauseReading(of) => self.network.pause(connection(of), true),
                Effect::ResumeReading(of) => self.network.pause(connection(of), false),
                Effect::Close(of) => self.network.close(connection(of), self.now_us, &mut self.random),
                Effect::Link(effect) => self.link_effect(id, boot, effect),
                Effect::Disk(task) => {
                    let lane = Machine::lane(&task);
                    if let Some(tasks) = self.server(id).lanes.get_mut(lane) {
                        tasks.push_back(task);
                        if tasks.len() == 1 {
                            self.server_disk(id, lane);
                        }
                    }
                }
                Effect::ServeClients(_) | Effect::ServePeers { .. } => {}
                Effect::Log(line) if line.level == Level::Error => {
                    return Err(format!("server {id} logs an error: {}", line.message));
                }
                Effect::Log(_) => {}
                Effect::Stop(reason) => return Err(format!("server {id} stops by itself: {reason:?}")),
            }
        }
        Ok(())
    }

    fn link_effect(&mut self, id: ServerId, boot: u64, effect: LinkEffect) {
        let end = |link| End { node: server_node(id), boot, handle: Handle::Link(link) };
        match effect {
            LinkEffect::Dial { link, addresses, .. } => {
                let address = addresses.first();
                let to = address.and_then(|address| address.host.trim_start_matches('s').parse().ok()).unwrap_or(0);
                let is_quorum = address.is_some_and(|address| address.port == QUORUM_PORT);
                let port = Some(if is_quorum { PeerPort::Quorum } else { PeerPort::Election });
                let after_us = Network::delay(&mut self.random);
                self.at(after_us, Happening::Dial { from: end(link), to: server_node(to), port });
            }
            LinkEffect::Send { link, bytes } => self.network.send(end(link), bytes, self.now_us, &mut self.random),
            LinkEffect::PauseReading(link) => self.network.pause(end(link), true),
            LinkEffect::ResumeReading(link) => self.network.pause(end(link), false),
            LinkEffect::Close(link) => self.network.close(end(link), self.now_us, &mut self.random),
        }
    }

    /// A server takes a connection, of a broker or on a `port` for other servers.
    pub(super) fn server_accepts(&mut self, from: End, id: ServerId, port: Option<PeerPort>) -> bool {
        let machine = self.server(id);
        if !machine.is_up() {
            return false;
        }
        machine.accepted += 1;
        let (number, boot) = (machine.accepted, machine.boot);
        let peer = SocketAddr::from(([10, 0, 0, from.node as u8], 40_000 + number as u16 % 20_000));
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
        self.network.connect(from, End { node: server_node(id), boot, handle }, &mut self.random);
        self.happened(id, event);
        true
    }

    /// Something arrives at a server's end of a connection.
    pub(super) fn arrives_at_server(&mut self, id: ServerId, end: End, arrived: Arrived) {
        if !self.server_lives(id, end.boot) {
            return;
        }
        let event = match (end.handle, arrived) {
            (Handle::Connection(connection), Arrived::Bytes(bytes)) => Event::Received { connection, bytes },
            (Handle::Connection(connection), Arrived::Closed) => Event::Closed { connection },
            (Handle::Link(link), Arrived::Connected) => Event::Link(LinkEvent::Connected { link }),
            (Handle::Link(link), Arrived::Bytes(bytes)) => Event::Link(LinkEvent::Received { link, bytes }),
            (Handle::Link(link), Arrived::Congested(congested)) => {
                Event::Link(LinkEvent::Congested { link, congested })
            }
            (Handle::Link(link), Arrived::Closed) => Event::Link(LinkEvent::Closed { link, reason: "it broke".into() }),
            (Handle::Connection(_) | Handle::Client(_), _) => return,
        };
        self.happened(id, event);
    }
}
