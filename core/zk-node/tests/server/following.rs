//! A server that has voted for another one, and what that one does then. The other's packets are written by hand.

use std::io;

use base::Disk;
use bytes::{BufMut, Bytes, BytesMut};
use config::{Properties, ZooKeeperSettings};
use zk_node::{Event, LinkEffect, LinkEvent, LinkId, PeerPort, ServerConfig};
use zk_proto::peer::{PROTOCOL_VERSION, QuorumPacket, packet_type};
use zk_proto::requests::{CreateRequest, Request};
use zk_proto::txn::{ErrorTxn, Txn, TxnEntry, TxnHeader};
use zk_proto::{Acl, Jute};
use zk_zab::{Notification, PeerState, Vote, epoch_start};

use crate::client::Client;
use crate::world::World;

const TICK_MS: u64 = 1000;
const INIT_LIMIT_MS: u64 = 5 * TICK_MS;
/// The election connection that server 3 has made.
const ELECTION: LinkId = LinkId(7);

fn member(more: &str) -> ServerConfig {
    let text = format!(
        "tickTime={TICK_MS}\ninitLimit=5\nsyncLimit=2\ndataDir=/data\nclientPort=2181\npreAllocSize=4\n\
         server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n{more}"
    );
    let mut read = |path: &str| match path {
        "zoo.cfg" => Ok(text.as_bytes().to_vec()),
        "/data/myid" => Ok(b"1".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let loaded = ZooKeeperSettings::load("zoo.cfg", &Properties::new(), &mut read).unwrap();
    ServerConfig { preallocation: 4096, ..ServerConfig::from(&loaded.settings) }
}

/// Server 3 looks for a leader, and votes for itself.
fn vote(world: &mut World, round: i64) {
    let vote = Vote { leader: 3, zxid: 9, peer_epoch: 0 };
    let notification = Notification::new(PeerState::Looking, vote, round, Bytes::new()).encode();
    let mut message = BytesMut::new();
    message.put_i32(notification.len() as i32);
    message.put_slice(&notification);
    world.turn([Event::Link(LinkEvent::Received { link: ELECTION, bytes: message.freeze() })]);
}

/// Server 1 has elected server 3, and dials it.
fn elected(more: &str) -> World {
    elected_in(World::with(member(more)))
}

fn elected_in(mut world: World) -> World {
    let accepted =
        LinkEvent::Accepted { link: ELECTION, port: PeerPort::Election, peer: "127.0.0.1:4000".parse().unwrap() };
    let mut greeting = BytesMut::new();
    greeting.put_i64(-65_536);
    greeting.put_i64(3);
    greeting.put_i32(6);
    greeting.put_slice(b"c:3888");
    let greeted = LinkEvent::Received { link: ELECTION, bytes: greeting.freeze() };
    world.turn([Event::Link(accepted), Event::Link(greeted)]);
    refuse_election_dials(&mut world);
    vote(&mut world, 1);
    assert_eq!(dials(&world), [], "server 2 may have a better vote");
    world.advance(200);
    assert_eq!(dials(&world).len(), 1);
    world
}

/// Nobody is to be reached by this server, on the ports for elections.
fn refuse_election_dials(world: &mut World) {
    let of_election = |(_, effect): &(base::Monotonic, LinkEffect)| match effect {
        LinkEffect::Dial { link, addresses, .. } if addresses[0].port == 3888 => Some(*link),
        _ => None,
    };
    for link in world.links.iter().filter_map(of_election).collect::<Vec<_>>() {
        closed(world, link);
    }
}

/// When the leader was dialled, and for how long.
fn dials(world: &World) -> Vec<(u64, LinkId, u64)> {
    let of_leader = |(at, effect): &(base::Monotonic, LinkEffect)| match effect {
        LinkEffect::Dial { link, addresses, timeout_ms } if addresses[0].port == 2888 => {
            assert_eq!(addresses[0].host, "c");
            Some((at.ms(), *link, *timeout_ms))
        }
        _ => None,
    };
    world.links.iter().filter_map(of_leader).collect()
}

fn closed(world: &mut World, link: LinkId) {
    world.turn([Event::Link(LinkEvent::Closed { link, reason: "refused".into() })]);
}

/// Connects the link to the leader.
fn connected(world: &mut World) -> LinkId {
    let (_, link, _) = *dials(world).last().unwrap();
    world.turn([Event::Link(LinkEvent::Connected { link })]);
    link
}

fn says(world: &mut World, link: LinkId, packet: &QuorumPacket) {
    world.turn([Event::Link(LinkEvent::Received { link, bytes: packet.to_bytes() })]);
}

/// The leader is there, and has an epoch.
fn greeted(world: &mut World) -> LinkId {
    let link = connected(world);
    let version = Bytes::copy_from_slice(&PROTOCOL_VERSION.to_be_bytes());
    says(world, link, &QuorumPacket::with(packet_type::LEADERINFO, epoch_start(1), version));
    link
}

/// The history is there, and the leader has a quorum.
fn may_serve(world: &mut World, link: LinkId) {
    says(world, link, &QuorumPacket::with(packet_type::NEWLEADER, epoch_start(1), Bytes::new()));
    says(world, link, &QuorumPacket::bare(packet_type::UPTODATE, -1));
}

fn proposes(world: &mut World, link: LinkId, zxid: i64) {
    let header = TxnHeader { session_id: 0, cxid: 0, zxid, time_ms: 0 };
    let entry = TxnEntry { header, txn: Txn::Error(ErrorTxn { err: -101 }), digest: None };
    says(world, link, &QuorumPacket::with(packet_type::PROPOSAL, zxid, entry.to_bytes()));
}

fn create(path: &'static str) -> Request {
    Request::Create(CreateRequest { path: path.into(), data: None, acl: vec![Acl::OPEN], flags: 0 })
}

/// Why it follows no more.
fn left(world: &World) -> Option<&str> {
    world.log.iter().find_map(|line| line.message.strip_prefix("Shutdown: "))
}

#[test]
fn a_leader_that_refuses_is_tried_again_sooner_than_later_and_for_half_a_second() {
    let mut world = elected("");
    let mut tried = 0;
    let mut times = Vec::new();
    while left(&world).is_none() {
        let all = dials(&world);
        match all.get(tried) {
            Some((at, link, _)) => {
                tried += 1;
                times.push(*at);
                closed(&mut world, *link);
            }
            None => world.advance(1),
        }
    }
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 200]);
    assert_eq!(left(&world), Some("the link to the leader is closed: refused"));
}

#[test]
fn a_leader_that_does_not_answer_is_given_the_time_of_its_limit() {
    for (more, limit_ms) in [("", INIT_LIMIT_MS), ("connectToLearnerMasterLimit=2\n", 2 * TICK_MS)] {
        let mut world = elected(more);
        assert_eq!(dials(&world)[0].2, limit_ms);
        world.advance(limit_ms - 1);
        assert_eq!(left(&world), None);
        world.advance(1);
        assert_eq!(left(&world), Some("connectToLeader exceeded on retries."), "{more}");
    }
}

/// It came back before its followers saw that it was gone, and takes them for some that know more than itself.
#[test]
fn a_leader_that_looks_for_one_in_another_election_is_not_waited_for() {
    let mut world = elected("");
    connected(&mut world);
    vote(&mut world, 1);
    assert_eq!(left(&world), None, "it said so before it knew that it leads");
    vote(&mut world, 2);
    assert_eq!(left(&world), Some("server 3 does not lead: it looks for a leader itself"));
}

#[test]
fn a_leader_whose_election_connection_ends_before_it_says_a_word_is_not_waited_for() {
    let mut world = elected("");
    connected(&mut world);
    closed(&mut world, ELECTION);
    assert_eq!(left(&world), Some("server 3 does not lead: its election connection is lost"));

    let mut met = elected("");
    greeted(&mut met);
    closed(&mut met, ELECTION);
    assert_eq!(left(&met), None, "its own connection says how it is");
}

/// The leader's machine loses power, or is cut off, while its tree is on the way: no end of the connection tells.
#[test]
fn a_leader_that_falls_silent_within_its_tree_is_left_and_the_part_of_it_removed() {
    let mut world = elected("");
    let link = greeted(&mut world);
    says(&mut world, link, &QuorumPacket::bare(packet_type::SNAP, epoch_start(1)));
    // No session, no ACL, and one of its nodes, in part.
    let tree = [&[0; 8][..], &[0, 0, 0, 2], b"/a"].concat();
    world.turn([Event::Link(LinkEvent::Received { link, bytes: tree.into() })]);
    let files = |world: &World| {
        let names = world.disk.list(std::path::Path::new("/data/version-2")).unwrap();
        names.into_iter().filter(|entry| entry.name.ends_with(".tmp")).count()
    };
    assert_eq!(files(&world), 1);
    world.advance(INIT_LIMIT_MS - 1);
    assert_eq!(left(&world), None);
    world.advance(1);
    assert_eq!(left(&world), Some("Read timed out"));
    assert_eq!(files(&world), 0);
}

/// What it is given before it serves may be taken back by the next leader: a snapshot with some of it would stay, under an earlier number.
#[test]
fn no_snapshot_is_under_way_while_a_server_is_brought_up_to_date() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world);
    client.send(&mut world, &create("/a"));
    world.kill();
    world.config = ServerConfig { snapshot_count: 2, ..member("") };
    world.disk_held = true;
    world.start().unwrap();
    assert_eq!(world.tasks.len(), 1, "a start with a log takes a snapshot");
    let mut world = elected_in(world);
    world.disk_held = false;
    world.run_disk();
    let snapshots = |world: &World| {
        let names = world.disk.list(std::path::Path::new("/data/version-2")).unwrap();
        names.into_iter().map(|entry| entry.name).filter(|name| name.contains("snapshot")).collect::<Vec<_>>()
    };
    assert_eq!(snapshots(&world), ["snapshot.0"], "that one is given up");

    let link = greeted(&mut world);
    says(&mut world, link, &QuorumPacket::bare(packet_type::DIFF, 9));
    for zxid in 3..=9 {
        proposes(&mut world, link, zxid);
        says(&mut world, link, &QuorumPacket::bare(packet_type::COMMIT, zxid));
    }
    assert_eq!(snapshots(&world), ["snapshot.0"]);
    may_serve(&mut world, link);
    assert_eq!(left(&world), None);
    proposes(&mut world, link, epoch_start(1) + 1);
    says(&mut world, link, &QuorumPacket::bare(packet_type::COMMIT, epoch_start(1) + 1));
    assert_eq!(snapshots(&world), ["snapshot.0", "snapshot.9"], "it is made up for");
}

/// What it votes with, and tells the next leader that it has, is durable (ZOOKEEPER-4712: the writer of the role before goes on beside the
/// next one's).
#[test]
fn no_leader_is_looked_for_before_the_log_is_written() {
    let mut world = elected("");
    let link = greeted(&mut world);
    says(&mut world, link, &QuorumPacket::bare(packet_type::DIFF, 0));
    may_serve(&mut world, link);
    world.disk_held = true;
    proposes(&mut world, link, epoch_start(1) + 1);
    closed(&mut world, link);
    assert_eq!(left(&world), Some("the link to the leader is closed: refused"));
    let looked = |world: &World| world.log.iter().filter(|line| line.message == "LOOKING").count();
    world.advance(INIT_LIMIT_MS);
    assert_eq!(looked(&world), 1, "when it started");
    world.run_disk();
    assert_eq!(looked(&world), 2);
}
