//! Connections between servers, and between clients and servers: bytes in order, cut anywhere, each at its time; or not at
//! all while a direction is cut, which neither side can tell from a slow network.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::Random;
use bytes::Bytes;
use zk_node::{ConnectionId, LinkId};

/// A server (its number), or a client (its number from [`CLIENTS`] on).
pub(crate) type Node = u64;
/// Where the clients' numbers begin.
pub(crate) const CLIENTS: Node = 100;

/// Bytes under way from which a link counts as congested, until half of them are gone.
const CONGESTED_BYTES: usize = 6 << 10;
/// The longest piece that arrives at once.
const PIECE_BYTES: usize = 2 << 10;
/// How often a direction that is cut is tried again.
const RETRY_US: u64 = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WireId(u64);

/// What an end of a connection is to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Handle {
    Link(LinkId),
    Connection(ConnectionId),
    /// A client's attempt of this number.
    Client(u64),
}

// `LinkId` and `ConnectionId` name one connection while a process lives, so an end is named by them and the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) node: Node,
    pub(crate) boot: u64,
    pub(crate) handle: Handle,
}

/// How far an end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Its owner has closed it, and hears so in a moment.
    Closing,
    Gone,
}

#[derive(Debug)]
struct Side {
    end: End,
    state: State,
    reading_paused: bool,
    congested: bool,
    /// What this side sends.
    pipe: VecDeque<(u64, Piece)>,
    bytes: usize,
    pumping: bool,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

#[derive(Debug)]
struct Wire {
    sides: [Side; 2],
    /// Microseconds for each byte.
    slowness: u64,
}

/// What the network does next, and for whom.
#[derive(Debug)]
pub(crate) enum NetworkEvent {
    /// The next piece that this side has sent may be due.
    Pump(WireId, usize),
    /// This side hears that its connection is gone.
    Ended(WireId, usize),
}

/// What an owner hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Bytes(Bytes),
    Congested(bool),
    Closed,
}

/// All connections.
#[derive(Default)]
pub(crate) struct Network {
    wires: BTreeMap<WireId, Wire>,
    by_end: BTreeMap<End, (WireId, usize)>,
    made: u64,
    /// Directions in which nothing passes.
    cut: BTreeSet<(Node, Node)>,
    slowness: u64,
    /// What is to happen, from now on in microseconds.
    pub(crate) planned: Vec<(u64, NetworkEvent)>,
    /// What owners hear, in order.
    pub(crate) heard: Vec<(End, Heard)>,
}

impl Network {
    pub(crate) fn cut(&mut self, from: Node, to: Node) {
        self.cut.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.slowness = 0;
        for wire in self.wires.values_mut() {
            wire.slowness = 0;
        }
    }

    /// Connections made from now on, and some that there are, take `us` more for each byte.
    pub(crate) fn slow_down(&mut self, us: u64, random: &mut Random) {
        self.slowness = us;
        for wire in self.wires.values_mut().filter(|_| random.below(2) == 0) {
            wire.slowness = us;
        }
    }

    pub(crate) fn passes(&self, one: Node, other: Node) -> bool {
        !self.cut.contains(&(one, other)) && !self.cut.contains(&(other, one))
    }

    pub(crate) fn delay(random: &mut Random) -> u64 {
        match random.below(20) {
            0 => 1_000 + random.below(10_000),
            _ => 50 + random.below(500),
        }
    }

    /// Two ends are connected.
    pub(crate) fn connect(&mut self, one: End, other: End, random: &mut Random) {
        self.made += 1;
        let id = WireId(self.made);
        let sides = [one, other].map(|end| Side {
            end,
            state: State::Open,
            reading_paused: false,
            congested: false,
            pipe: VecDeque::new(),
            bytes: 0,
            pumping: false,
        });
        let slowness = if random.below(2) == 0 { self.slowness } else { 0 };
        self.by_end.insert(one, (id, 0));
        self.by_end.insert(other, (id, 1));
        self.wires.insert(id, Wire { sides, slowness });
    }

    fn side(&mut self, end: End) -> Option<(WireId, usize, &mut Side)> {
        let (id, index) = *self.by_end.get(&end)?;
        let side = self.wires.get_mut(&id)?.sides.get_mut(index)?;
        Some((id, index, side))
    }

    pub(crate) fn send(&mut self, from: End, bytes: Bytes, now_us: u64, random: &mut Random) {
        self.put(from, bytes, false, now_us, random);
        let Some((_, _, side)) = self.side(from) else { return };
        if side.bytes > CONGESTED_BYTES && !side.congested && matches!(from.handle, Handle::Link(_)) {
            side.congested = true;
            self.heard.push((from, Heard::Congested(true)));
        }
    }

    /// The owner closes its end: the other one hears of it behind what was sent.
    pub(crate) fn close(&mut self, end: End, now_us: u64, random: &mut Random) {
        self.put(end, Bytes::new(), true, now_us, random);
        let Some((id, index, side)) = self.side(end) else { return };
        if side.state == State::Open {
            side.state = State::Closing;
            self.planned.push((50 + random.below(500), NetworkEvent::Ended(id, index)));
        }
    }

    fn put(&mut self, from: End, mut bytes: Bytes, is_end: bool, now_us: u64, random: &mut Random) {
        let Some((id, index)) = self.by_end.get(&from).copied() else { return };
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let slowness = wire.slowness;
        let Some(side) = wire.sides.get_mut(index).filter(|side| side.state == State::Open) else { return };
        while !bytes.is_empty() {
            let cut = match random.below(4) {
                0 => 1 + random.below(bytes.len() as u64) as usize,
                _ => bytes.len(),
            };
            let piece = bytes.split_to(cut.min(PIECE_BYTES));
            let earliest = side.pipe.back().map_or(0, |(at, _)| *at) + slowness * piece.len() as u64;
            side.bytes += piece.len();
            side.pipe.push_back((earliest.max(now_us + Self::delay(random)), Piece::Bytes(piece)));
        }
        if is_end {
            let earliest = side.pipe.back().map_or(0, |(at, _)| *at);
            side.pipe.push_back((earliest.max(now_us + Self::delay(random)), Piece::End));
        }
        if let (Some((at, _)), false) = (side.pipe.front(), side.pumping) {
            side.pumping = true;
            self.planned.push((at.saturating_sub(now_us), NetworkEvent::Pump(id, index)));
        }
    }

    pub(crate) fn pause(&mut self, end: End, pause: bool) {
        let Some((id, index, side)) = self.side(end) else { return };
        side.reading_paused = pause;
        if !pause {
            self.pump_later(id, 1 - index, 0);
        }
    }

    fn pump_later(&mut self, id: WireId, index: usize, after_us: u64) {
        let Some(side) = self.wires.get_mut(&id).and_then(|wire| wire.sides.get_mut(index)) else { return };
        if !side.pipe.is_empty() && !std::mem::replace(&mut side.pumping, true) {
            self.planned.push((after_us, NetworkEvent::Pump(id, index)));
        }
    }

    /// All ends of a process are gone. With its machine, what was under way is lost and others may never hear of it.
    pub(crate) fn process_ended(&mut self, node: Node, power_is_off: bool, now_us: u64, random: &mut Random) {
        let gone: Vec<(End, (WireId, usize))> =
            self.by_end.iter().filter(|(end, _)| end.node == node).map(|(end, at)| (*end, *at)).collect();
        for (end, (id, index)) in gone {
            let is_silent = power_is_off && random.below(2) == 0;
            if !is_silent {
                self.put(end, Bytes::new(), true, now_us, random);
            }
            self.by_end.remove(&end);
            let Some(side) = self.wires.get_mut(&id).and_then(|wire| wire.sides.get_mut(index)) else { continue };
            side.state = State::Gone;
            if power_is_off {
                let keep = random.below(side.pipe.len() as u64 + 1) as usize;
                side.pipe.truncate(keep);
                if !is_silent {
                    side.pipe.push_back((now_us, Piece::End));
                }
                self.pump_later(id, index, 0);
            }
        }
    }

    /// A connection breaks: both sides hear of it, each in its time, and what was under way is lost.
    pub(crate) fn break_one(&mut self, random: &mut Random) {
        let chosen = random.below(self.wires.len() as u64) as usize;
        let Some((id, wire)) = self.wires.iter_mut().nth(chosen) else { return };
        for (index, side) in wire.sides.iter_mut().enumerate() {
            side.pipe.clear();
            side.bytes = 0;
            if side.state == State::Open {
                side.state = State::Closing;
                self.planned.push((random.below(30_000), NetworkEvent::Ended(*id, index)));
            }
        }
    }

    /// What was planned happens. `lives` says whether a process of this boot runs, and whether its machine does.
    pub(crate) fn happens(&mut self, event: &NetworkEvent, now_us: u64, is_up: impl Fn(Node) -> bool) {
        match *event {
            NetworkEvent::Pump(id, index) => self.pump(id, index, now_us, is_up),
            NetworkEvent::Ended(id, index) => self.ended(id, index),
        }
    }

    fn ended(&mut self, id: WireId, index: usize) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let Some(side) = wire.sides.get_mut(index) else { return };
        if side.state != State::Gone {
            side.state = State::Gone;
            let end = side.end;
            self.by_end.remove(&end);
            self.heard.push((end, Heard::Closed));
        }
        let is_over = |side: &Side| side.state == State::Gone && side.pipe.is_empty();
        if wire.sides.iter().all(is_over) {
            self.wires.remove(&id);
        }
    }

    fn pump(&mut self, id: WireId, index: usize, now_us: u64, is_up: impl Fn(Node) -> bool) {
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let [one, other] = &mut wire.sides;
        let (from, to) = if index == 0 { (one, other) } else { (other, one) };
        from.pumping = false;
        let is_cut = self.cut.contains(&(from.end.node, to.end.node));
        if is_cut && !from.pipe.is_empty() {
            return self.pump_later(id, index, RETRY_US);
        }
        if to.reading_paused && to.state == State::Open {
            return;
        }
        match from.pipe.front() {
            None => return,
            Some((at, _)) if *at > now_us => {
                let after_us = *at - now_us;
                return self.pump_later(id, index, after_us);
            }
            Some(_) => {}
        }
        let Some((_, piece)) = from.pipe.pop_front() else { return };
        let (from_end, to_end) = (from.end, to.end);
        if let Piece::Bytes(bytes) = &piece {
            from.bytes -= bytes.len().min(from.bytes);
        }
        if from.congested && from.bytes <= CONGESTED_BYTES / 2 {
            from.congested = false;
            if from.state == State::Open {
                self.heard.push((from_end, Heard::Congested(false)));
            }
        }
        match (piece, to.state) {
            (Piece::Bytes(bytes), State::Open) => self.heard.push((to_end, Heard::Bytes(bytes))),
            (Piece::End, State::Open) => self.ended(id, 1 - index),
            // The machine is up and knows nothing of this connection.
            (Piece::Bytes(_), State::Gone) if is_up(to_end.node) && from.state == State::Open => self.ended(id, index),
            _ => {}
        }
        self.pump_later(id, index, 0);
        self.ended_if_over(id);
    }

    fn ended_if_over(&mut self, id: WireId) {
        let is_over = |side: &Side| side.state == State::Gone && side.pipe.is_empty();
        if self.wires.get(&id).is_some_and(|wire| wire.sides.iter().all(is_over)) {
            self.wires.remove(&id);
        }
    }
}
