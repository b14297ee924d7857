//! Bytes that no client should send: each costs its own connection, and nobody else's.

use kafka_proto::messages::{
    alter_configs, api_versions, create_topics, describe_configs, describe_log_dirs, fetch, find_coordinator,
    init_producer_id, list_offset, metadata, offset_commit, offset_fetch, offset_for_leader_epoch,
};
use kafka_proto::{ApiKey, ErrorCode};

use crate::data::{batch, fetch_request, produce_request};
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
/// As the original answers: what an oracle of proof/interop compares, of which this is what was once answered otherwise.
#[test]
fn values_that_no_client_sends_are_answered_as_by_the_original() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    world.ask(&mut client, &produce_request(batch(&["a", "b"]), -1), 8);

    let mut fetch = |change: &dyn Fn(&mut fetch::Request), version| {
        let mut request = fetch_request(0, 0);
        request.session_epoch = -1;
        request.topics[0].partitions[0].last_fetched_epoch = -1;
        request.topics[0].partitions[0].current_leader_epoch = -1;
        change(&mut request);
        let response = world.ask(&mut client, &request, version);
        (response.error_code, response.topics[0].partitions[0].clone())
    };
    let of_partition = |answer: (ErrorCode, fetch::ResponsePartition)| answer.1.error_code;
    assert_eq!(of_partition(fetch(&|request| request.max_bytes = -1, 12)), ErrorCode::UNKNOWN_SERVER_ERROR);
    let at_end = |request: &mut fetch::Request| {
        request.topics[0].partitions[0].partition_max_bytes = -1;
        request.topics[0].partitions[0].fetch_offset = 2;
    };
    assert_eq!(of_partition(fetch(&at_end, 12)), ErrorCode::NONE, "nothing is read there");
    let (whole, one) = fetch(&|request| request.isolation_level = 7, 12);
    assert_eq!((whole, one.error_code), (ErrorCode::UNKNOWN_SERVER_ERROR, ErrorCode::UNKNOWN_SERVER_ERROR));
    let last_epoch =
        |epoch| move |request: &mut fetch::Request| request.topics[0].partitions[0].last_fetched_epoch = epoch;
    assert_eq!(of_partition(fetch(&last_epoch(7), 12)), ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(of_partition(fetch(&last_epoch(0), 12)), ErrorCode::NONE);
    let short = |request: &mut fetch::Request| request.topics[0].partitions[0].partition_max_bytes = 7;
    assert_eq!(fetch(&short, 2).1.records.unwrap().len(), 7, "a message that is not whole");
    let strangers = |request: &mut fetch::Request| {
        let known = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.insert(0, fetch::RequestPartition { partition_index: 9, ..known });
    };
    assert_eq!(fetch(&strangers, 12).1.partition_index, 0, "what is unknown comes last");
}

#[test]
fn offsets_and_epochs_that_no_client_asks_for() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    world.ask(&mut client, &produce_request(batch(&["a", "b"]), -1), 8);

    let asked = list_offset::RequestPartition {
        current_leader_epoch: -1,
        timestamp: -1,
        max_num_offsets: 1,
        partition_index: 0,
    };
    let mut list = |one: list_offset::RequestPartition, isolation_level, mentions, version| {
        let topic = list_offset::RequestTopic { name: "t".into(), partitions: vec![one] };
        let request = list_offset::Request { replica_id: -1, isolation_level, topics: vec![topic; mentions] };
        world.ask(&mut client, &request, version).topics[0].partitions[0].error_code
    };
    assert_eq!(list(asked.clone(), 1, 1, 5), ErrorCode::NONE);
    assert_eq!(list(asked.clone(), 7, 1, 5), ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(list(asked.clone(), 0, 2, 5), ErrorCode::INVALID_REQUEST, "a topic twice");
    let of_old_epoch = list_offset::RequestPartition { current_leader_epoch: -2, ..asked.clone() };
    assert_eq!(list(of_old_epoch, 0, 1, 5), ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(
        list(list_offset::RequestPartition { max_num_offsets: -1, ..asked }, 0, 1, 0),
        ErrorCode::UNKNOWN_SERVER_ERROR
    );

    let mut end_of = |current_leader_epoch, leader_epoch| {
        let partition =
            offset_for_leader_epoch::RequestPartition { partition_index: 0, current_leader_epoch, leader_epoch };
        let topic = offset_for_leader_epoch::RequestTopic { name: "t".into(), partitions: vec![partition] };
        let request = offset_for_leader_epoch::Request { replica_id: -1, topics: vec![topic] };
        let answer = world.ask(&mut client, &request, 3).topics[0].partitions[0].clone();
        (answer.error_code, answer.leader_epoch, answer.end_offset)
    };
    assert_eq!(end_of(-2, 0), (ErrorCode::FENCED_LEADER_EPOCH, -1, -1));
    assert_eq!(end_of(-1, -2), (ErrorCode::NONE, -2, 0));
}

#[test]
fn words_for_what_is_no_kind_of_anything() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    let find = find_coordinator::Request { key: "g".into(), key_type: 7 };
    assert_eq!(world.ask(&mut client, &find, 3).error_code, ErrorCode::UNKNOWN_SERVER_ERROR);
    let empty = init_producer_id::Request { transactional_id: Some("".into()), ..Default::default() };
    assert_eq!(world.ask(&mut client, &empty, 4).error_code, ErrorCode::INVALID_REQUEST);
    let resource = describe_configs::Resource { resource_type: 9, resource_name: "t".into(), configuration_keys: None };
    let describe = describe_configs::Request { resources: vec![resource], ..Default::default() };
    let outcome = world.ask(&mut client, &describe, 3).results.remove(0);
    assert_eq!(outcome.error_message.as_deref(), Some(ErrorCode::INVALID_REQUEST.message()));
    let resource = alter_configs::Resource { resource_type: 8, resource_name: "x".into(), configs: Vec::new() };
    let alter = alter_configs::Request { resources: vec![resource], validate_only: true };
    let outcome = world.ask(&mut client, &alter, 1).responses.remove(0);
    assert!(outcome.error_message.unwrap().contains("does not support the resource type BROKER_LOGGER"));
    let dirs = describe_log_dirs::Request { topics: Some(Vec::new()) };
    let topics = world.ask(&mut client, &dirs, 2).results.remove(0).topics;
    assert!(topics.len() == 1 && topics[0].partitions.is_empty(), "{topics:?}");
    let topic = create_topics::RequestTopic {
        name: "new".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let twice = create_topics::Request { topics: vec![topic.clone(), topic], timeout_ms: 1000, validate_only: false };
    let answers = world.ask(&mut client, &twice, 6).topics;
    assert!(
        answers.len() == 2 && answers.iter().all(|one| one.error_code == ErrorCode::INVALID_REQUEST),
        "{answers:?}"
    );
}

#[test]
fn what_groups_are_told_of_nothing_and_of_too_much() {
    let mut world = World::new("offset.metadata.max.bytes=5");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    let of = |name: &str, partitions: &[i32]| offset_fetch::RequestTopic {
        name: name.into(),
        partition_indexes: partitions.to_vec(),
    };
    let topics = Some(vec![of("none", &[]), of("t", &[0, 0, 3]), of("t", &[0, 1])]);
    let request = offset_fetch::Request { group_id: "g".into(), topics, require_stable: false };
    let answered = world.ask(&mut client, &request, 0).topics;
    let partitions: Vec<i32> = answered[0].partitions.iter().map(|one| one.partition_index).collect();
    assert_eq!((answered.len(), partitions), (1, vec![0, 3, 1]));
    let partition = offset_commit::RequestPartition { committed_metadata: Some("longer".into()), ..Default::default() };
    let topic = offset_commit::RequestTopic { name: "t".into(), partitions: vec![partition] };
    let request = offset_commit::Request { group_id: "g".into(), topics: vec![topic], ..Default::default() };
    let answer = world.ask(&mut client, &request, 0).topics.remove(0).partitions.remove(0);
    assert_eq!(answer.error_code, ErrorCode::OFFSET_METADATA_TOO_LARGE);
}

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
