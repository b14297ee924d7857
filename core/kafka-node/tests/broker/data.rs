//! Records: in, out, waiting, twice, after a restart and after a crash.

use base::Str;
use bytes::Bytes;
use kafka_proto::ErrorCode;
use kafka_proto::messages::{fetch, init_producer_id, list_offset, produce};
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};

use crate::topics::create_topic;
use crate::world::{Client, World};

pub(crate) fn batch(values: &[&str]) -> Bytes {
    batch_of(values, &BuilderOptions::new(Magic::V2, Codec::None))
}

fn batch_of(values: &[&str], options: &BuilderOptions) -> Bytes {
    let mut builder = RecordsBuilder::new(*options).unwrap();
    for value in values {
        builder.append(1_600_000_000_000, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build().unwrap().bytes
}

pub(crate) fn produce_request(records: Bytes, acks: i16) -> produce::Request {
    produce::Request {
        transactional_id: None,
        acks,
        timeout_ms: 1000,
        topics: vec![produce::RequestTopic {
            name: Str::from("t"),
            partitions: vec![produce::RequestPartition { partition_index: 0, records: Some(records) }],
        }],
    }
}

fn produce(world: &mut World, client: &mut Client, records: Bytes) -> produce::ResponsePartition {
    world.ask(client, &produce_request(records, -1), 8).topics.remove(0).partitions.remove(0)
}

pub(crate) fn fetch_request(offset: i64, max_wait_ms: i32) -> fetch::Request {
    fetch::Request {
        replica_id: -1,
        max_wait_ms,
        min_bytes: 1,
        topics: vec![fetch::RequestTopic {
            topic: Str::from("t"),
            partitions: vec![fetch::RequestPartition {
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..fetch::RequestPartition::default()
            }],
        }],
        ..fetch::Request::default()
    }
}

fn records_of(mut response: fetch::Response) -> (ErrorCode, Bytes) {
    let partition = response.topics.remove(0).partitions.remove(0);
    (partition.error_code, partition.records.unwrap_or_default().to_bytes().unwrap())
}

fn end_offset(world: &mut World, client: &mut Client) -> i64 {
    let partition = list_offset::RequestPartition { timestamp: -1, ..list_offset::RequestPartition::default() };
    let topics = vec![list_offset::RequestTopic { name: Str::from("t"), partitions: vec![partition] }];
    let request = list_offset::Request { replica_id: -1, topics, ..list_offset::Request::default() };
    world.ask(client, &request, 5).topics[0].partitions[0].offset
}

fn with_topic() -> (World, Client) {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    (world, client)
}

#[test]
fn what_goes_in_comes_out() {
    let (mut world, mut client) = with_topic();
    assert_eq!(produce(&mut world, &mut client, batch(&["a", "b"])).base_offset, 0);
    assert_eq!(produce(&mut world, &mut client, batch(&["c"])).base_offset, 2);
    let (error, records) = records_of(world.ask(&mut client, &fetch_request(0, 0), 11));
    assert_eq!(error, ErrorCode::NONE);
    let sent = [batch(&["a", "b"]), batch(&["c"])].concat();
    assert_eq!(records.len(), sent.len());
    // Everything but the offsets and the leader's epoch in front of the checksum is as it was sent.
    assert_eq!(records[17..60], sent[17..60]);
    assert_eq!(end_offset(&mut world, &mut client), 3);
}

#[test]
fn every_version_of_produce_and_fetch_is_served() {
    for version in 0..=8 {
        let (mut world, mut client) = with_topic();
        let magic = match version {
            0..=1 => Magic::V0,
            2 => Magic::V1,
            _ => Magic::V2,
        };
        let records = batch_of(&["x"], &BuilderOptions::new(magic, Codec::None));
        let response = world.ask(&mut client, &produce_request(records, 1), version);
        assert_eq!(response.topics[0].partitions[0].error_code, ErrorCode::NONE, "produce v{version}");
        for version in 0..=12 {
            let (error, records) = records_of(world.ask(&mut client, &fetch_request(0, 0), version));
            assert_eq!(error, ErrorCode::NONE, "fetch v{version}");
            let expected = match version {
                0..=1 => 0,
                2..=3 => 1,
                _ => 2,
            };
            assert_eq!(records[16], expected, "magic in fetch v{version}");
        }
    }
}

#[test]
fn a_fetch_waits_for_records_and_no_longer_than_it_may() {
    let (mut world, mut client) = with_topic();
    let mut waiting = world.connect();
    waiting.send(&world, &fetch_request(0, 500), 11);
    world.settle();
    assert!(waiting.receive::<fetch::Request>(&world, 11).is_none(), "it waits");
    produce(&mut world, &mut client, batch(&["a"]));
    let (_, records) = records_of(waiting.receive::<fetch::Request>(&world, 11).expect("woken by the append"));
    assert!(!records.is_empty());
    waiting.send(&world, &fetch_request(1, 500), 11);
    world.advance(499);
    assert!(waiting.receive::<fetch::Request>(&world, 11).is_none(), "it waits");
    world.advance(1);
    let (error, records) = records_of(waiting.receive::<fetch::Request>(&world, 11).expect("its time is over"));
    assert_eq!((error, records.len()), (ErrorCode::NONE, 0));
}

#[test]
fn a_fetch_of_a_client_that_left_waits_no_longer() {
    let (mut world, mut client) = with_topic();
    let mut waiting = world.connect();
    waiting.send(&world, &fetch_request(0, 600_000), 11);
    world.settle();
    assert_eq!(world.broker.fetches_waiting(), 1);
    drop(waiting);
    assert_eq!(world.broker.fetches_waiting(), 0);
    assert_eq!(produce(&mut world, &mut client, batch(&["a"])).base_offset, 0);
}

#[test]
fn what_a_client_that_left_sent_behind_its_fetch_is_handled_at_once() {
    let (mut world, mut client) = with_topic();
    let mut leaving = world.connect();
    leaving.send(&world, &fetch_request(0, 600_000), 11);
    leaving.send(&world, &produce_request(batch(&["last words"]), 0), 8);
    leaving.send(&world, &fetch_request(1, 600_000), 11);
    world.settle();
    assert_eq!((end_offset(&mut world, &mut client), world.broker.fetches_waiting()), (0, 1));
    leaving.leave(&world);
    world.settle();
    assert_eq!((end_offset(&mut world, &mut client), world.broker.fetches_waiting()), (1, 0));
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let (mut world, _) = with_topic();
    let mut client = world.connect();
    client.send(&world, &fetch_request(0, 500), 11);
    client.send(&world, &produce_request(batch(&["behind"]), 1), 8);
    world.settle();
    assert_eq!(client.arrived(), 0, "the produce behind the waiting fetch has not started");
    let mut other = world.connect();
    assert_eq!(produce(&mut world, &mut other, batch(&["first"])).base_offset, 0);
    let (_, records) = records_of(client.receive::<fetch::Request>(&world, 11).unwrap());
    assert!(!records.is_empty());
    let response = client.receive::<produce::Request>(&world, 8).unwrap();
    assert_eq!(response.topics[0].partitions[0].base_offset, 1);
}

/// What came in one piece is appended together; each request is answered for itself, in order.
#[test]
fn produces_that_came_together_are_answered_one_by_one() {
    let (mut world, mut client) = with_topic();
    let mut broken = batch(&["broken"]).to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let mut of_another_topic = produce_request(batch(&["elsewhere"]), 1);
    of_another_topic.topics[0].name = Str::from("unknown");
    let mut of_both = produce_request(batch(&["e"]), -1);
    of_both.topics.insert(0, of_another_topic.topics[0].clone());
    let requests = [
        produce_request(batch(&["a", "b"]), 1),
        produce_request(Bytes::from(broken), 1),
        produce_request(batch(&["c"]), -1),
        of_another_topic,
        of_both,
        produce_request(batch(&["f"]), 1),
    ];
    let mut waiting = world.connect();
    waiting.send(&world, &fetch_request(0, 500), 11);
    client.send_together(&world, &requests, 8).unwrap();
    let mut answers = Vec::new();
    for _ in &requests {
        let response = client.receive::<produce::Request>(&world, 8).expect("answered in the same turn");
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        answers.push(partitions.map(|one| (one.error_code, one.base_offset)).collect::<Vec<_>>());
    }
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1);
    assert_eq!(answers[0], [(ErrorCode::NONE, 0)]);
    assert_eq!(answers[1], [(ErrorCode::CORRUPT_MESSAGE, -1)]);
    assert_eq!(answers[2], [(ErrorCode::NONE, 2)]);
    assert_eq!(answers[3], [unknown]);
    assert_eq!(answers[4], [unknown, (ErrorCode::NONE, 3)]);
    assert_eq!(answers[5], [(ErrorCode::NONE, 4)]);
    assert_eq!(end_offset(&mut world, &mut client), 5);
    let (_, records) = records_of(waiting.receive::<fetch::Request>(&world, 11).expect("woken by the appends"));
    assert!(!records.is_empty());
}

/// A request that ends the connection ends it before what stands behind it.
#[test]
fn a_produce_that_closes_the_connection_holds_back_what_came_with_it() {
    let (mut world, mut client) = with_topic();
    let mut broken = batch(&["broken"]).to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let good = |acks| produce_request(batch(&["a"]), acks);
    let mut end = 0;
    for closing in [produce_request(Bytes::from(broken), 0), produce_request(Bytes::new(), 1)] {
        let mut other = world.connect();
        let closed = other.send_together(&world, &[good(0), good(1), closing, good(1)], 8);
        assert!(closed.is_err(), "{closed:?}");
        assert!(other.arrived() > 0, "what is before it is answered");
        end += 2;
        assert_eq!(end_offset(&mut world, &mut client), end);
    }
}

/// More at a time than may wait.
#[test]
fn many_produces_that_came_together_are_all_answered() {
    let (mut world, mut client) = with_topic();
    let requests: Vec<_> = (0..150).map(|number| produce_request(batch(&["a"]), number % 2 * 2 - 1)).collect();
    client.send_together(&world, &requests, 8).unwrap();
    for number in 0..150 {
        let response = client.receive::<produce::Request>(&world, 8).unwrap();
        assert_eq!(response.topics[0].partitions[0].base_offset, number);
    }
    assert_eq!(end_offset(&mut world, &mut client), 150);
}

#[test]
fn duplicates_and_gaps_of_an_idempotent_producer_are_found_across_a_restart() {
    let (mut world, mut client) = with_topic();
    let id = world.ask(&mut client, &init_producer_id::Request::default(), 4);
    assert_eq!(id.error_code, ErrorCode::NONE);
    let options = |sequence| BuilderOptions {
        producer_id: id.producer_id,
        producer_epoch: 0,
        base_sequence: sequence,
        ..BuilderOptions::new(Magic::V2, Codec::None)
    };
    assert_eq!(produce(&mut world, &mut client, batch_of(&["a", "b"], &options(0))).base_offset, 0);
    world.restart();
    let mut client = world.connect();
    assert_eq!(produce(&mut world, &mut client, batch_of(&["a", "b"], &options(0))).base_offset, 0, "a duplicate");
    assert_eq!(end_offset(&mut world, &mut client), 2);
    let gap = produce(&mut world, &mut client, batch_of(&["x"], &options(5)));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(produce(&mut world, &mut client, batch_of(&["c"], &options(2))).base_offset, 2);
}

#[test]
fn records_are_there_after_a_restart_and_flushed_ones_after_a_crash() {
    let mut world = World::new("log.flush.interval.messages=1");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    assert_eq!(produce(&mut world, &mut client, batch(&["a", "b"])).error_code, ErrorCode::NONE);
    world.crash();
    let mut client = world.connect();
    assert_eq!(end_offset(&mut world, &mut client), 2, "acknowledged as durable, and durable");
    produce(&mut world, &mut client, batch(&["c"]));
    world.restart();
    let mut client = world.connect();
    let (error, records) = records_of(world.ask(&mut client, &fetch_request(2, 0), 11));
    assert!(error == ErrorCode::NONE && !records.is_empty());
}

#[test]
fn bad_records_are_refused_one_by_one() {
    let (mut world, mut client) = with_topic();
    let mut broken = batch(&["a"]).to_vec();
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(produce(&mut world, &mut client, Bytes::from(broken)).error_code, ErrorCode::CORRUPT_MESSAGE);
    let bad_acks = world.ask(&mut client, &produce_request(batch(&["a"]), 2), 8);
    assert_eq!(bad_acks.topics[0].partitions[0].error_code, ErrorCode::INVALID_REQUIRED_ACKS);
    assert_eq!(end_offset(&mut world, &mut client), 0);
    let (error, _) = records_of(world.ask(&mut client, &fetch_request(7, 0), 11));
    assert_eq!(error, ErrorCode::OFFSET_OUT_OF_RANGE);
}

/// A full disk refuses what is new and harms nothing that is there, also over a stop (KAFKA-13773).
#[test]
fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let (mut world, mut client) = with_topic();
    let read = |world: &mut World, client: &mut Client| {
        let (error, records) = records_of(world.ask(client, &fetch_request(0, 0), 11));
        assert_eq!(error, ErrorCode::NONE);
        records.len()
    };
    assert_eq!(produce(&mut world, &mut client, batch(&["a"])).base_offset, 0);
    let one = read(&mut world, &mut client);
    world.set_free_bytes(Some(20));
    assert_eq!(produce(&mut world, &mut client, batch(&["b"])).error_code, ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(read(&mut world, &mut client), one, "the half that was written is not seen");
    world.set_free_bytes(None);
    world.advance(1000);
    assert_eq!(produce(&mut world, &mut client, batch(&["c"])).base_offset, 1);
    assert_eq!(read(&mut world, &mut client), 2 * one);

    world.set_free_bytes(Some(0));
    assert_eq!(produce(&mut world, &mut client, batch(&["d"])).error_code, ErrorCode::KAFKA_STORAGE_ERROR);
    world.stop();
    world.set_free_bytes(None);
    world.start_anew();
    let mut client = world.connect();
    assert_eq!(read(&mut world, &mut client), 2 * one);
    assert_eq!(produce(&mut world, &mut client, batch(&["f"])).base_offset, 2);
}
