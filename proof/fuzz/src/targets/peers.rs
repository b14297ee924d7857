//! A member of an ensemble of two, and the bytes of the other one: a voter's, a learner's, a leader's.

use std::io;
use std::sync::Arc;

use base::{Disk, MemDisk, Monotonic, Now, Random, Slow};
use bytes::Bytes;
use config::{Properties, ZooKeeperSettings};
use zk_node::{Effect, Effects, Event, LinkEffect, LinkEvent, LinkId, PeerPort, Server, ServerConfig};

const VOTER: LinkId = LinkId(1);
const LEARNER: LinkId = LinkId(2);
const ZOO_CFG: &str = "dataDir=/d\nclientPort=2181\ntickTime=100\ninitLimit=5\nsyncLimit=5\n\
                       server.1=one:2888:3888\nserver.2=two:2888:3888\n";

// Types of packets.
const REQUEST: i32 = 1;
const PROPOSAL: i32 = 2;
const ACK: i32 = 3;
const COMMIT: i32 = 4;
const PING: i32 = 5;
const REVALIDATE: i32 = 6;
const NEWLEADER: i32 = 10;
const FOLLOWERINFO: i32 = 11;
const UPTODATE: i32 = 12;
const DIFF: i32 = 13;
const TRUNC: i32 = 14;
const SNAP: i32 = 15;
const LEADERINFO: i32 = 17;
const ACKEPOCH: i32 = 18;

/// Server 1, and what it has asked for.
struct Member {
    server: Server,
    effects: Effects,
    now_ms: u64,
    /// Its link to a leader.
    to_leader: Option<LinkId>,
    /// The last that it told of its role.
    role: String,
    closed: Vec<LinkId>,
}

impl Member {
    fn new() -> Self {
        let read = |path: &str| match path {
            "zoo.cfg" => Ok(ZOO_CFG.as_bytes().to_vec()),
            "/d/myid" => Ok(b"1".to_vec()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let loaded = ZooKeeperSettings::load("zoo.cfg", &Properties::new(), &mut { read });
        let mut config = ServerConfig::from(&loaded.expect("it is in order").settings);
        config.preallocation = 4096;
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
        let mut effects = Effects::new();
        let server = Server::open(config, disk, Random::from_seed(1), now(0), &mut effects, &Slow::allowed());
        let server = server.expect("the disk is new");
        let mut member = Self { server, effects, now_ms: 0, to_leader: None, role: String::new(), closed: Vec::new() };
        member.end_turn();
        member
    }

    /// With the vote of server 2, which decides.
    fn voted(leader: i64) -> Self {
        let mut member = Self::new();
        member.accept(VOTER, PeerPort::Election);
        member.receive(VOTER, &vote(leader));
        assert_eq!(member.role, if leader == 1 { "LEADING" } else { "FOLLOWING" });
        member
    }

    fn accept(&mut self, link: LinkId, port: PeerPort) {
        let peer = ([127, 0, 0, 1], 1).into();
        self.tell(LinkEvent::Accepted { link, port, peer });
    }

    /// In pieces of 50.
    fn receive(&mut self, link: LinkId, bytes: &[u8]) {
        for piece in bytes.chunks(50) {
            if self.closed.contains(&link) {
                return;
            }
            self.tell(LinkEvent::Received { link, bytes: Bytes::copy_from_slice(piece) });
        }
    }

    fn tell(&mut self, event: LinkEvent) {
        self.server.handle(Event::Link(event), now(self.now_ms), &mut self.effects);
        self.end_turn();
    }

    fn end_turn(&mut self) {
        self.server.end_turn(now(self.now_ms), &mut self.effects);
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Disk(task) => {
                        let done = task.run(&Slow::allowed());
                        self.server.handle(Event::Disk(done), now(self.now_ms), &mut self.effects);
                        self.server.end_turn(now(self.now_ms), &mut self.effects);
                    }
                    // Links to the leader are named above those of the election.
                    Effect::Link(LinkEffect::Dial { link, .. }) if link.0 >> 62 == 3 => self.to_leader = Some(link),
                    Effect::Log(line) if line.logger.ends_with(".QuorumPeer") => self.role = line.message.into_owned(),
                    Effect::Link(LinkEffect::Close(link)) => self.closed.push(link),
                    _ => {}
                }
            }
        }
    }

    /// Time passes, and what was begun comes to its end.
    fn waits(&mut self) {
        for _ in 0..20 {
            self.now_ms += 100;
            self.server.handle(Event::Tick, now(self.now_ms), &mut self.effects);
            self.end_turn();
        }
    }
}

/// Greeting and messages on the election port.
pub(crate) fn voter(input: &[u8]) {
    let mut member = Member::new();
    member.accept(VOTER, PeerPort::Election);
    member.receive(VOTER, input);
    member.waits();
}

pub(crate) fn voter_seeds() -> Vec<Vec<u8>> {
    vec![vote(1), vote(2)]
}

/// What a learner sends its leader.
pub(crate) fn learner(input: &[u8]) {
    let mut member = Member::voted(1);
    member.accept(LEARNER, PeerPort::Quorum);
    member.receive(LEARNER, input);
    member.waits();
}

pub(crate) fn learner_seeds() -> Vec<Vec<u8>> {
    let info = packet(FOLLOWERINFO, 0, &[&2_i64.to_be_bytes()[..], &0x1_0000_i32.to_be_bytes(), &[0; 8]].concat());
    let hello = [info, packet(ACKEPOCH, 0, &[0; 4]), packet(ACK, 1 << 32, b""), packet(ACK, 1 << 32, b"")].concat();
    let session = [0, 0, 0, 0, 0, 0, 0, 7];
    // Session, number, create of a session, its timeout.
    let request =
        packet(REQUEST, 0, &[&session[..], &1_i32.to_be_bytes(), &(-10_i32).to_be_bytes(), &[0, 0, 9, 9]].concat());
    let revalidate = packet(REVALIDATE, 0, &[&session[..], &[0, 0, 9, 9]].concat());
    let rest = [
        packet(PING, 0, &[&session[..], &[0, 0, 9, 9]].concat()),
        request,
        packet(ACK, (1 << 32) + 1, b""),
        revalidate,
    ];
    vec![hello.clone(), [hello, rest.concat()].concat()]
}

/// What a leader sends its follower.
pub(crate) fn leader(input: &[u8]) {
    let mut member = Member::voted(2);
    let link = member.to_leader.expect("it follows");
    member.tell(LinkEvent::Connected { link });
    member.receive(link, input);
    member.waits();
}

pub(crate) fn leader_seeds() -> Vec<Vec<u8>> {
    let zxid = 1_i64 << 32;
    let epoch = packet(LEADERINFO, zxid, &0x1_0000_i32.to_be_bytes());
    let end = [packet(NEWLEADER, zxid, b"version=0"), packet(UPTODATE, -1, b"")].concat();
    // The header of a transaction: session, number, zxid, time, the type of an error, and its code.
    let txn = [&[0; 12][..], &(zxid + 1).to_be_bytes(), &[0; 8], &(-1_i32).to_be_bytes(), &[0; 4]].concat();
    let written =
        [packet(PROPOSAL, zxid + 1, &txn), packet(COMMIT, zxid + 1, b""), packet(PING, zxid + 1, b"")].concat();
    // No sessions, no ACLs, a root without data, the end, the signature.
    let root = [&[0; 4][..], &(-1_i32).to_be_bytes(), &(-1_i64).to_be_bytes(), &[0; 60]].concat();
    let tree = [&[0; 8][..], &root, &[0, 0, 0, 1, b'/'], &[0, 0, 0, 10], b"BenWasHere"].concat();
    let by = |first: Vec<u8>| [epoch.clone(), first, end.clone(), written.clone()].concat();
    vec![
        by(packet(DIFF, 0, b"")),
        by([packet(DIFF, 0, b""), written.clone()].concat()),
        by(packet(TRUNC, 0, b"")),
        by([packet(SNAP, 0, b""), tree].concat()),
    ]
}

/// Server 2 says who it is, and that it looks for a leader.
fn vote(leader: i64) -> Vec<u8> {
    let mut bytes = (-65_536_i64).to_be_bytes().to_vec();
    bytes.extend_from_slice(&2_i64.to_be_bytes());
    bytes.extend_from_slice(&8_i32.to_be_bytes());
    bytes.extend_from_slice(b"two:3888");
    bytes.extend_from_slice(&40_i32.to_be_bytes());
    bytes.extend_from_slice(&0_i32.to_be_bytes());
    for value in [leader, 0, 1, 0] {
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    bytes.extend_from_slice(&0_i32.to_be_bytes());
    bytes
}

fn packet(kind: i32, zxid: i64, data: &[u8]) -> Vec<u8> {
    let head = [&kind.to_be_bytes()[..], &zxid.to_be_bytes(), &(data.len() as i32).to_be_bytes()].concat();
    [&head, data, &(-1_i32).to_be_bytes()].concat()
}

fn now(ms: u64) -> Now {
    Now { monotonic: Monotonic::from_ms(1000 + ms), wall_ms: 1_600_000_000_000 + ms as i64 }
}
