//! Bytes that no client should send: each costs its own connection, and nobody else's.

use kafka_proto::messages::{api_versions, metadata};
use kafka_proto::{ApiKey, ErrorCode};

use crate::data::{batch, produce_request};
use crate::topics::create_topic;
use crate::world::World;

/// A frame with this header and body.
fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = ((10 + body.len()) as i32).to_be_bytes().to_vec();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend((-1_i16).to_be_bytes());
    frame.extend(body);
    frame
}

#[test]
fn nonsense_closes_its_own_connection() {
    let mut world = World::new("socket.request.max.bytes=1000");
    let reason = |bytes: &[u8]| world.connect().send_bytes(&world, bytes).unwrap_err().0;
    assert_eq!(reason(&[0xff, 0xff, 0xff, 0xff]), "Invalid receive (size = -1)");
    assert_eq!(reason(&[0, 0, 0x10, 0]), "Invalid receive (size = 4096 larger than 1000)");
    assert!(reason(&frame(99, 0, &[])).contains("unknown API key 99"));
    // A version beyond the known ones has a flexible header: no tagged fields.
    assert!(reason(&frame(3, 77, &[0])).contains("version 77 is not supported"));
    assert!(reason(&frame(-1, 0, &[])).contains("unknown API key -1"));
    // More topics than the frame has bytes for.
    assert!(reason(&frame(3, 1, &[0x7f, 0xff, 0xff, 0xff])).contains("Error getting request"));
    assert!(reason(&[0, 0, 0, 2, 0, 3]).contains("request header"));
    let mut client = world.connect();
    assert_eq!(world.ask(&mut client, &metadata::Request::default(), 1).brokers.len(), 1, "others are served");
}

#[test]
fn what_is_not_served_is_not_advertised_and_closes() {
    let mut world = World::new("");
    let mut client = world.connect();
    let served = world.ask(&mut client, &api_versions::Request::default(), 0).api_keys;
    for key in ApiKey::ALL {
        if served.iter().any(|entry| entry.api_key == key.code()) {
            continue;
        }
        let result = world.connect().send_bytes(&world, &frame(key.code(), key.versions().first, &[0; 64]));
        assert!(result.is_err(), "{key} is neither advertised nor refused");
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let world = World::new("");
    let mut client = world.connect();
    client.send_bytes(&world, &frame(18, 99, &[0])).unwrap();
    let response = client.receive::<api_versions::Request>(&world, 0).unwrap();
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(response.api_keys.len(), 1);
}

#[test]
fn every_prefix_of_a_request_waits_or_closes() {
    let world = World::new("");
    let whole = frame(3, 1, &[0, 0, 0, 1, 0, 1, b't']);
    for end in 0..whole.len() {
        let mut client = world.connect();
        assert_eq!(client.send_bytes(&world, &whole[..end]), Ok(()), "a part of a frame waits for the rest");
        assert_eq!(client.arrived(), 0);
    }
    // A frame whose length covers less than its body needs.
    for cut in 14..whole.len() {
        let mut short = whole[..cut].to_vec();
        short[..4].copy_from_slice(&((cut - 4) as i32).to_be_bytes());
        assert!(world.connect().send_bytes(&world, &short).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_produce_without_a_batch_closes_as_the_original_does() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    let good = batch(&["a"]);
    let with = |index: usize, bytes: &[u8]| {
        let mut bad = good.to_vec();
        bad[index..index + bytes.len()].copy_from_slice(bytes);
        Some(bytes::Bytes::from(bad))
    };
    let cases = [
        ("no records", None),
        ("empty records", Some(bytes::Bytes::new())),
        ("magic 9", with(16, &[9])),
        ("a batch longer than what came", with(8, &[0x7f, 0xff, 0xff, 0xff])),
        ("a batch of negative length", with(8, &[0xff, 0xff, 0xff, 0xff])),
        ("a batch that ends before its producer", with(8, &[0, 0, 0, 38])),
        ("half a batch", Some(good.slice(..good.len() / 2))),
    ];
    for (what, records) in cases {
        let mut request = produce_request(bytes::Bytes::new(), 1);
        request.topics[0].partitions[0].records = records;
        let bytes = kafka_proto::frame::request_bytes(&request, 7, 1, None).unwrap();
        let closed = world.connect().send_bytes(&world, &bytes);
        assert!(closed.is_err_and(|closed| closed.0.contains("Error getting request")), "{what}");
    }
    let mut produce = |records| {
        let request = produce_request(records, 1);
        world.ask(&mut client, &request, 7).topics[0].partitions[0].error_code
    };
    assert_eq!(produce(with(8, &[0, 0, 0, 39]).unwrap()), ErrorCode::CORRUPT_MESSAGE, "answered");
    assert_eq!(produce(good.clone()), ErrorCode::NONE);
}

/// Names of topics and of clients.
#[test]
fn text_that_is_no_utf8_closes_its_own_connection() {
    let mut world = World::new("");
    let mut client = world.connect();
    let topic = frame(3, 1, &[0, 0, 0, 1, 0, 2, 0xc3, 0x28]);
    let mut client_id = frame(3, 1, &[0xc3, 0x28, 0, 0, 0, 0]);
    client_id[12..14].copy_from_slice(&2_i16.to_be_bytes());
    for bytes in [topic, client_id] {
        assert!(world.connect().send_bytes(&world, &bytes).is_err());
    }
    let topics = world.ask(&mut client, &metadata::Request::default(), 1).topics;
    assert!(topics.is_empty(), "no topic was made, and others are served");
}

/// The page that tells users what is served says what the broker advertises.
#[test]
fn the_compatibility_page_lists_what_is_served() {
    let page = include_str!("../../../../docs/compatibility.md");
    let mut world = World::new("");
    let mut client = world.connect();
    let served = world.ask(&mut client, &api_versions::Request::default(), 0).api_keys;
    for key in ApiKey::ALL {
        let start = format!("| {} | {} |", key.code(), key.name());
        let row = page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {start}"));
        let state = row.rsplit('|').nth(1).unwrap().trim();
        let is_served = served.iter().any(|entry| entry.api_key == key.code());
        assert_eq!(state.starts_with("served"), is_served, "{row}");
    }
}
