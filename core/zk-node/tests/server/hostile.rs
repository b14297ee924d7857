//! Frames that no client sends: each ends its own connection at most.

use base::Random;
use bytes::{BufMut, Bytes, BytesMut};
use zk_proto::requests::{AuthRequest, ReadRequest, Request};

use crate::client::{Client, framed};
use crate::world::World;

/// What a connection that has said nothing yet gets for these bytes: whether it is closed.
fn is_closed_by(bytes: &[u8]) -> bool {
    let mut world = World::new();
    let mut witness = Client::connect(&mut world);
    let id = world.open();
    world.send(id, bytes);
    let closed = world.socket(id).closed;
    assert!(world.socket(id).arrived.is_empty(), "nothing is said to {bytes:?}");
    is_served(&mut world, &mut witness);
    closed
}

fn is_served(world: &mut World, client: &mut Client) {
    client.send(world, &Request::Exists(ReadRequest { path: "/".into(), watch: false }));
    assert!(client.told(world).last().unwrap().contains("exists"), "others are served");
}

#[test]
fn lengths_that_are_none_close_the_connection() {
    assert!(is_closed_by(&(-1_i32).to_be_bytes()));
    assert!(is_closed_by(&0x10_0000_i32.to_be_bytes()));
    assert!(is_closed_by(b"GET / HTTP/1.1\r\n"));
    assert!(is_closed_by(&i32::MIN.to_be_bytes()));
    assert!(!is_closed_by(&0xf_ffff_i32.to_be_bytes()), "the longest frame is waited for");
    assert!(!is_closed_by(&[0, 0]));
}

#[test]
fn first_frames_that_are_no_connect_request_close_the_connection() {
    assert!(is_closed_by(&framed(b"")));
    assert!(is_closed_by(&framed(b"abc")));
    let mut huge_password = BytesMut::new();
    huge_password.put_bytes(0, 24);
    huge_password.put_i32(i32::MAX);
    assert!(is_closed_by(&framed(&huge_password)));
    huge_password.truncate(24);
    huge_password.put_i32(-7);
    assert!(is_closed_by(&framed(&huge_password)));
}

#[test]
fn bodies_that_are_cut_off_are_answered_and_change_nothing() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world);
    for op in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 101, 103, 104, 105, 106] {
        client.send_raw(&mut world, op, b"\0\0\0");
        let told = client.told(&mut world);
        assert!(told.len() == 1 && told[0].ends_with("error: MarshallingError"), "op {op}: {told:?}");
        client.send_raw(&mut world, op, b"\x7f\xff\xff\xff\0\0\0\0");
        let told = client.told(&mut world);
        assert!(told.len() == 1 && told[0].contains("error:"), "op {op}: {told:?}");
    }
    is_served(&mut world, &mut client);
}

/// A string or a buffer.
fn put_bytes(body: &mut BytesMut, bytes: &[u8]) {
    body.put_i32(bytes.len() as i32);
    body.put_slice(bytes);
}

#[test]
fn paths_that_are_none_are_refused_and_change_nothing() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world);
    // Bytes that are no UTF-8 become the replacement character, which no path may have.
    for path in [&b"/\xc3\x28"[..], b"/a\0b", b"/\xef\xbf\xbe", b"", b"a", b"//", b"/..", b"/."] {
        let mut create = BytesMut::new();
        put_bytes(&mut create, path);
        put_bytes(&mut create, b"data");
        create.put_i32(1);
        create.put_i32(31);
        put_bytes(&mut create, b"world");
        put_bytes(&mut create, b"anyone");
        create.put_i32(0);
        let mut set = BytesMut::new();
        put_bytes(&mut set, path);
        put_bytes(&mut set, b"data");
        set.put_i32(-1);
        for (op, body) in [(1, &create), (5, &set)] {
            client.send_raw(&mut world, op, body);
            let told = client.told(&mut world);
            assert!(told.len() == 1 && told[0].ends_with("error: BadArguments"), "op {op} of {path:?}: {told:?}");
        }
    }
    client.send(&mut world, &Request::GetChildren(ReadRequest { path: "/".into(), watch: false }));
    assert!(client.told(&mut world)[0].ends_with("(zookeeper)"), "nothing was made");
}

#[test]
fn ops_that_are_none_are_answered_and_end_the_connection() {
    for op in [0, -1, -10, 10, 77, i32::MIN] {
        let mut world = World::new();
        let mut client = Client::connect(&mut world);
        client.send_raw(&mut world, op, b"");
        assert_eq!(client.told(&mut world), ["? xid=1 zxid=ffffffffffffffff error: Unimplemented"], "op {op}");
        assert!(world.socket(client.id).closed);
    }
    let mut world = World::new();
    let client = Client::connect(&mut world);
    world.send(client.id, &framed(b"\0\0\0\x01"));
    assert!(world.socket(client.id).closed, "a frame too short for a header");
    assert!(world.socket(client.id).arrived.is_empty());
}

/// Each of its requests would carry all that to the leader.
#[test]
fn who_claims_to_be_too_much_is_closed() {
    let mut world = World::new();
    let mut client = Client::connect(&mut world);
    let claim = |client: &mut Client, world: &mut World, length: usize| {
        let auth = Bytes::from(format!("{}:secret", "x".repeat(length)));
        client.send(world, &Request::Auth(AuthRequest { auth_type: 0, scheme: "digest".into(), auth }));
    };
    for more in 0..3 {
        claim(&mut client, &mut world, 20_000 + more);
        assert!(!world.socket(client.id).closed);
    }
    claim(&mut client, &mut world, 20_003);
    assert!(world.socket(client.id).closed);
    assert!(client.told(&mut world).last().is_some_and(|told| told.contains("AuthFailed")));
}

#[test]
fn noise_harms_nobody_else() {
    let mut random = Random::from_seed(11);
    let mut world = World::new();
    let mut witness = Client::connect(&mut world);
    for round in 0..2000 {
        let mut noise = BytesMut::new();
        for _ in 0..random.below(40) {
            noise.put_u8(random.next_u64() as u8);
        }
        if round % 2 == 0 {
            let id = world.open();
            world.send(id, &framed(&noise));
            world.send(id, &noise);
            world.turn([zk_node::Event::Closed { connection: id }]);
        } else {
            let mut client = Client::connect(&mut world);
            for op in [random.below(23) as i32, 100 + random.below(8) as i32] {
                if !world.socket(client.id).closed {
                    client.send_raw(&mut world, op, &noise);
                }
            }
            world.turn([zk_node::Event::Closed { connection: client.id }]);
        }
    }
    is_served(&mut world, &mut witness);
}
