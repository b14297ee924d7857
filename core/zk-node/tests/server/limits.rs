//! Throttling and limits: who is turned away, who is read no more, and that they go on later.

use bytes::{Bytes, BytesMut};
use zk_node::{ConnectionThrottle, Event, ServerConfig};
use zk_proto::Acl;
use zk_proto::requests::{AddWatchRequest, CreateRequest, ReadRequest, Request};

use crate::client::{Client, Hello};
use crate::world::World;

fn world(change: impl FnOnce(&mut ServerConfig)) -> World {
    let mut config = ServerConfig::new("/data");
    config.preallocation = 4096;
    change(&mut config);
    World::with(config)
}

fn create(path: String, length: usize) -> Request {
    let data = Some(Bytes::from(vec![7; length]));
    Request::Create(CreateRequest { path: path.into(), data, acl: vec![Acl::OPEN], flags: 0 })
}

#[test]
fn one_address_has_so_many_connections_and_all_together_so_many() {
    let mut world = world(|config| {
        config.connections_per_address_max = 2;
        config.connections_max = 3;
    });
    let mut closed = |address: &str| {
        let id = world.open_from(address);
        (id, world.socket(id).closed)
    };
    let (first, _) = closed("10.0.0.1");
    assert_eq!([closed("10.0.0.1").1, closed("10.0.0.1").1], [false, true]);
    assert_eq!([closed("10.0.0.2").1, closed("10.0.0.3").1], [false, true]);
    world.turn([Event::Closed { connection: first }]);
    let id = world.open_from("10.0.0.1");
    assert!(!world.socket(id).closed, "one that left makes room");
}

#[test]
fn a_connection_that_never_speaks_is_closed_and_one_that_pings_is_not() {
    let mut world = world(|_| ());
    let silent = world.open();
    let mut client = Client::connect(&mut world);
    for _ in 0..10 {
        world.advance(3000);
        client.send(&mut world, &Request::Ping);
    }
    assert!(world.socket(silent).closed);
    assert!(!world.socket(client.id).closed);
    assert_eq!(client.told(&mut world).len(), 10);
}

/// Sends creates without waiting, and tells after how many the server reads no more.
fn flood(world: &mut World, client: &mut Client, count: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    for number in 0..count {
        bytes.extend_from_slice(&client.encode(&create(format!("/n{}-{number}", client.id.0), 10)));
    }
    world.send(client.id, &bytes);
    bytes
}

#[test]
fn too_many_requests_under_way_stop_the_reading_and_it_goes_on_in_order() {
    let mut world = world(|config| config.outstanding_max = 10);
    let (mut busy, mut other) = (Client::connect(&mut world), Client::connect(&mut world));
    world.disk_held = true;
    flood(&mut world, &mut busy, 50);
    assert!(world.socket(busy.id).paused);
    // Who has nothing under way still gets one request in.
    flood(&mut world, &mut other, 1);
    assert!(!world.socket(other.id).paused);
    flood(&mut world, &mut other, 1);
    assert!(world.socket(other.id).paused);
    world.disk_held = false;
    world.run_disk();
    assert!(!world.socket(busy.id).paused && !world.socket(other.id).paused);
    let told = busy.told(&mut world);
    assert_eq!(told.len(), 50);
    for (number, line) in told.iter().enumerate() {
        assert!(line.ends_with(&format!("-{number}")), "{line}");
    }
    assert_eq!(other.told(&mut world).len(), 2);
}

#[test]
fn a_client_that_does_not_read_is_owed_no_more_than_a_turns_replies() {
    let mut world = world(|_| ());
    let mut client = Client::connect(&mut world);
    client.send(&mut world, &create("/big".to_owned(), 900_000));
    assert_eq!(client.told(&mut world).len(), 1);
    let get = Request::GetData(ReadRequest { path: "/big".into(), watch: false });
    let mut bytes = BytesMut::new();
    for _ in 0..20 {
        bytes.extend_from_slice(&client.encode(&get));
    }
    // The last reads wait behind a write, too.
    bytes.extend_from_slice(&client.encode(&create("/small".to_owned(), 1)));
    for _ in 0..20 {
        bytes.extend_from_slice(&client.encode(&get));
    }
    world.send(client.id, &bytes);
    let id = client.id;
    let congested = |congested| Event::Congested { connection: id, congested };
    world.turn([congested(true)]);
    let owed = world.socket(client.id).arrived.len();
    world.advance(0);
    assert_eq!(world.socket(client.id).arrived.len(), owed, "nothing more while it does not read");
    assert!(owed < 4 << 20, "{owed} bytes are owed");
    let mut told = 0;
    while told < 41 {
        world.turn([congested(false)]);
        let before = told;
        told += client.told(&mut world).len();
        assert!(told > before, "it goes on as it is read");
        world.turn([congested(true)]);
    }
    world.turn([congested(false)]);
    world.advance(0);
    assert!(client.told(&mut world).is_empty() && !world.socket(client.id).paused);
}

#[test]
fn who_leaves_watch_events_unread_loses_the_connection() {
    let mut world = world(|_| ());
    let (mut deaf, mut busy) = (Client::connect(&mut world), Client::connect(&mut world));
    let path = format!("/{}", "n".repeat(60_000));
    let watch = AddWatchRequest { path: "/".into(), mode: 1 };
    deaf.send(&mut world, &Request::AddWatch(watch));
    world.turn([Event::Congested { connection: deaf.id, congested: true }]);
    for number in 0..400 {
        if world.socket(deaf.id).closed {
            break;
        }
        busy.send(&mut world, &create(format!("{path}{number}"), 0));
    }
    assert!(world.socket(deaf.id).closed);
    assert!(!world.socket(busy.id).closed);
    let unread = world.socket(deaf.id).arrived.len();
    assert!((16 << 20..20 << 20).contains(&unread), "{unread} bytes were kept");
}

#[test]
fn the_request_throttle_holds_everybody() {
    let mut world = world(|config| config.in_process_max = 5);
    let (mut busy, mut other) = (Client::connect(&mut world), Client::connect(&mut world));
    world.disk_held = true;
    flood(&mut world, &mut busy, 20);
    flood(&mut world, &mut other, 1);
    assert!(world.socket(busy.id).paused && world.socket(other.id).paused);
    world.disk_held = false;
    world.run_disk();
    assert_eq!((busy.told(&mut world).len(), other.told(&mut world).len()), (20, 1));
    assert!(!world.socket(busy.id).paused && !world.socket(other.id).paused);
}

#[test]
fn large_requests_may_weigh_so_much_together() {
    let mut world = world(|config| {
        config.large_request_threshold = Some(1000);
        config.large_request_bytes_max = 5000;
    });
    let (mut one, mut other) = (Client::connect(&mut world), Client::connect(&mut world));
    world.disk_held = true;
    one.send(&mut world, &create("/a".to_owned(), 3000));
    other.send(&mut world, &create("/b".to_owned(), 900));
    other.send(&mut world, &create("/c".to_owned(), 3000));
    assert!(world.socket(other.id).closed && !world.socket(one.id).closed);
    world.disk_held = false;
    world.run_disk();
    assert_eq!(one.told(&mut world).len(), 1);
    one.send(&mut world, &create("/d".to_owned(), 3000));
    assert_eq!(one.told(&mut world).len(), 1, "what is answered weighs nothing any more");
}

#[test]
fn the_longest_frame_is_taken_and_one_byte_more_is_not() {
    let mut world = world(|config| config.frame_length_max = 1000);
    let (mut one, mut other) = (Client::connect(&mut world), Client::connect(&mut world));
    let overhead = one.encode(&create("/a".to_owned(), 0)).len() - 4;
    one.send(&mut world, &create("/a".to_owned(), 1000 - overhead));
    assert_eq!(one.told(&mut world).len(), 1);
    other.send(&mut world, &create("/b".to_owned(), 1001 - overhead));
    assert!(world.socket(other.id).closed);
}

#[test]
fn sessions_are_made_as_fast_as_the_tokens_allow() {
    let mut world = world(|config| {
        config.connection_throttle =
            ConnectionThrottle { tokens: 2, fill_time_ms: 1000, ..ConnectionThrottle::default() };
    });
    let refused = |world: &mut World| {
        let mut client = Client::open(world);
        client.hello(world, &Hello::default());
        world.socket(client.id).closed
    };
    assert_eq!([refused(&mut world), refused(&mut world), refused(&mut world)], [false, false, true]);
    world.advance(1500);
    assert_eq!([refused(&mut world), refused(&mut world)], [false, true]);
}

#[test]
fn what_is_sent_behind_a_connect_request_waits_for_the_session() {
    let mut world = world(|_| ());
    let mut client = Client::open(&mut world);
    world.disk_held = true;
    client.hello(&mut world, &Hello::default());
    client.send(&mut world, &create("/a".to_owned(), 1));
    client.send(&mut world, &Request::Exists(ReadRequest { path: "/a".into(), watch: false }));
    assert!(world.socket(client.id).paused);
    world.disk_held = false;
    world.run_disk();
    let told = client.told(&mut world);
    assert!(told[0].starts_with("session") && told[1].ends_with("/a") && told[2].starts_with("exists"), "{told:?}");
    assert!(!world.socket(client.id).paused);
}

#[test]
fn one_turn_is_one_batch_of_the_log_and_one_send_for_each_connection() {
    let mut world = world(|_| ());
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(&mut world)).collect();
    world.disk_held = true;
    let mut events = Vec::new();
    for client in &mut clients {
        for number in 0..5 {
            let bytes = client.encode(&create(format!("/c{}-{number}", client.id.0), 1));
            events.push(Event::Received { connection: client.id, bytes });
        }
    }
    let sends: Vec<usize> = clients.iter().map(|client| world.socket(client.id).sends).collect();
    world.turn(events);
    assert_eq!(world.tasks.len(), 1);
    world.disk_held = false;
    world.run_disk();
    for (client, before) in clients.iter_mut().zip(sends) {
        assert_eq!(world.socket(client.id).sends, before + 1);
        assert_eq!(client.told(&mut world).len(), 5);
    }
}

#[test]
fn a_slow_sync_is_warned_of() {
    let mut world = world(|config| config.fsync_warning_ms = 100);
    let mut client = Client::connect(&mut world);
    world.disk_held = true;
    client.send(&mut world, &create("/a".to_owned(), 1));
    world.advance(150);
    world.run_disk();
    let warned =
        world.log.iter().any(|line| line.message.contains("fsync-ing the write ahead log in SyncThread:0 took 150ms"));
    assert!(warned, "{:?}", world.log);
}
