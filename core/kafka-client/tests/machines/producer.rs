//! Batches, retries, sequences.

use std::collections::BTreeMap;

use base::Str;
use bytes::Bytes;
use kafka_client::{ClientError, Producer, ProducerConfig, ProducerRecord, SendError};
use kafka_proto::messages::{init_producer_id, metadata, produce};
use kafka_proto::record::Batch;
use kafka_proto::{AnyRequest, ApiKey, ErrorCode};

use crate::world::{Reply, World, described};

fn world(
    properties: &[(&str, &str)],
    script: impl FnMut(&AnyRequest, i16) -> Option<Reply> + 'static,
) -> World<Producer> {
    let properties = [("bootstrap.servers", "one:1")].into_iter().chain(properties.iter().copied());
    World::new(Producer::new(ProducerConfig::new(properties).unwrap().0, 1), script)
}

fn record(value: &str) -> ProducerRecord {
    ProducerRecord {
        topic: Str::from_static("t"),
        partition: Some(0),
        timestamp_ms: 5,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    }
}

/// Answers each partition of a produce request with `code` and offsets from 100.
fn answer(request: &produce::Request, code: ErrorCode) -> Reply {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| produce::ResponsePartition {
            partition_index: partition.partition_index,
            error_code: code,
            base_offset: if code.is_none() { 100 } else { -1 },
            ..Default::default()
        });
        produce::ResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
    });
    produce::Response { topics: topics.collect(), ..Default::default() }.into()
}

/// Sequence and record count of each batch of a produce request.
fn batches(request: &AnyRequest) -> Vec<(i32, i32)> {
    let AnyRequest::Produce(request) = request else { panic!("no produce request") };
    let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    let bytes = partitions.map(|partition| partition.records.clone().unwrap());
    bytes
        .map(|bytes| {
            let batch = Batch::new(&bytes).unwrap();
            batch.verify().unwrap();
            (batch.base_sequence(), batch.count())
        })
        .collect()
}

fn deliveries(world: &mut World<Producer>) -> Vec<Result<i64, ClientError>> {
    let mut all = BTreeMap::new();
    while let Some((id, result)) = world.machine.next_delivery() {
        assert!(all.insert(id, result.map(|delivered| delivered.offset)).is_none(), "delivered twice");
    }
    all.into_values().collect()
}

#[test]
fn records_linger_into_one_batch() {
    let mut world = world(&[("linger.ms", "50")], |request, _| match request {
        AnyRequest::Produce(request) => Some(answer(request, ErrorCode::NONE)),
        _ => None,
    });
    for value in ["a", "b", "c"] {
        world.machine.send(record(value), world.now).unwrap();
        world.run(10);
    }
    assert!(world.requests.is_empty());
    world.run(1_000);
    assert_eq!(batches(&world.requests[0].0), [(-1, 3)]);
    assert_eq!(deliveries(&mut world), [Ok(100), Ok(101), Ok(102)]);
    assert!(world.machine.is_idle());
}

#[test]
fn a_full_batch_does_not_linger() {
    let mut world = world(&[("linger.ms", "25000"), ("batch.size", "300")], |request, _| match request {
        AnyRequest::Produce(request) => Some(answer(request, ErrorCode::NONE)),
        _ => None,
    });
    for _ in 0..3 {
        world.machine.send(record(&"x".repeat(100)), world.now).unwrap();
    }
    world.run(1_000);
    assert_eq!(batches(&world.requests[0].0), [(-1, 2)]);
    world.machine.flush();
    world.run(100);
    assert_eq!(deliveries(&mut world).len(), 3);
}

#[test]
fn a_moved_leader_is_tried_again_with_new_metadata() {
    let mut codes = vec![ErrorCode::NONE, ErrorCode::NOT_LEADER_OR_FOLLOWER];
    let mut world = world(&[], move |request, _| match request {
        AnyRequest::Produce(request) => Some(answer(request, codes.pop().unwrap())),
        _ => None,
    });
    world.machine.send(record("a"), world.now).unwrap();
    world.run(2_000);
    assert_eq!(deliveries(&mut world), [Ok(100)]);
    assert!(world.warnings[0].contains("Got error produce response on topic-partition t-0, retrying"));
}

#[test]
fn what_cannot_succeed_is_not_tried_again() {
    let mut world = world(&[], |request, _| match request {
        AnyRequest::Produce(request) => Some(answer(request, ErrorCode::INVALID_TOPIC_EXCEPTION)),
        _ => None,
    });
    world.machine.send(record("a"), world.now).unwrap();
    world.run(2_000);
    let failed = deliveries(&mut world).pop().unwrap().unwrap_err();
    assert_eq!(failed.exception(), "org.apache.kafka.common.errors.InvalidTopicException");
    assert_eq!(world.requests.len(), 1);
}

#[test]
fn a_batch_too_large_is_split_until_it_fits() {
    let mut world = world(&[("linger.ms", "10")], |request, _| match request {
        AnyRequest::Produce(produce) => {
            let large = batches(request).iter().any(|(_, count)| *count > 1);
            Some(answer(produce, if large { ErrorCode::MESSAGE_TOO_LARGE } else { ErrorCode::NONE }))
        }
        _ => None,
    });
    for value in ["a", "b", "c"] {
        world.machine.send(record(value), world.now).unwrap();
    }
    world.run(2_000);
    assert_eq!(deliveries(&mut world), [Ok(100), Ok(100), Ok(100)]);
}

#[test]
fn without_acks_nothing_is_waited_for() {
    let mut world = world(&[("acks", "0")], |_, _| None);
    world.machine.send(record("a"), world.now).unwrap();
    world.run(500);
    assert_eq!(deliveries(&mut world), [Ok(-1)]);
    assert!(world.machine.is_idle());
}

#[test]
fn delivery_has_an_end() {
    let properties = [("delivery.timeout.ms", "3000"), ("request.timeout.ms", "1000")];
    let mut world = world(&properties, |request, _| match request {
        AnyRequest::Produce(request) => Some(answer(request, ErrorCode::NOT_ENOUGH_REPLICAS)),
        _ => None,
    });
    world.machine.send(record("a"), world.now).unwrap();
    world.run(4_000);
    assert_eq!(deliveries(&mut world).len(), 1);
    assert!(world.requests.len() > 5);
}

#[test]
fn an_unknown_topic_is_waited_for_and_no_longer() {
    let mut world = world(&[("max.block.ms", "2000")], |request, _| {
        let AnyRequest::Metadata(request) = request else { return None };
        let mut answer = described(request);
        for topic in &mut answer.topics {
            topic.error_code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
            topic.partitions = Vec::<metadata::ResponsePartition>::new();
        }
        Some(answer.into())
    });
    world.machine.send(record("a"), world.now).unwrap();
    world.run(2_500);
    let failed = deliveries(&mut world).pop().unwrap().unwrap_err();
    assert_eq!(failed.to_string(), "Topic t not present in metadata after 2000 ms.");
    assert!(world.warnings[0].ends_with(": {t=UNKNOWN_TOPIC_OR_PARTITION}"), "{:?}", world.warnings[0]);
}

#[test]
fn memory_is_bounded() {
    let mut world = world(&[("buffer.memory", "1000")], |request, _| match request {
        AnyRequest::Produce(request) => Some(answer(request, ErrorCode::NONE)),
        _ => None,
    });
    world.machine.send(record(&"x".repeat(600)), world.now).unwrap();
    let Err(SendError::Full(back)) = world.machine.send(record(&"y".repeat(600)), world.now) else { panic!("taken") };
    world.run(500);
    world.machine.send(*back, world.now).unwrap();
    let large = record(&"z".repeat(2_000_000));
    assert!(matches!(world.machine.send(large, world.now), Err(SendError::Refused(ClientError::TooLarge(_)))));
}

#[test]
fn an_idempotent_producer_repeats_the_same_batch() {
    let mut lost = 1;
    let mut world = world(&[("enable.idempotence", "true")], move |request, _| match request {
        AnyRequest::InitProducerId(_) => {
            Some(init_producer_id::Response { producer_id: 9, producer_epoch: 0, ..Default::default() }.into())
        }
        AnyRequest::Produce(request) => {
            lost -= 1;
            Some(if lost >= 0 { Reply::Close } else { answer(request, ErrorCode::NONE) })
        }
        _ => None,
    });
    world.machine.send(record("a"), world.now).unwrap();
    world.machine.send(record("b"), world.now).unwrap();
    world.run(2_000);
    world.machine.send(record("c"), world.now).unwrap();
    world.run(2_000);
    let sent: Vec<_> = world.asked(ApiKey::Produce).into_iter().flat_map(batches).collect();
    assert_eq!(sent, [(0, 2), (0, 2), (2, 1)]);
    assert_eq!(deliveries(&mut world), [Ok(100), Ok(101), Ok(100)]);
}

/// Where a broker disagrees about one partition, the batches of others that may be in their logs are sent again as they were: under another id
/// or epoch they would be there twice.
#[test]
fn a_new_epoch_does_not_change_what_may_be_in_the_log() {
    let mut codes = vec![ErrorCode::REQUEST_TIMED_OUT, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER];
    let mut world = world(&[("enable.idempotence", "true"), ("linger.ms", "5")], move |request, _| match request {
        AnyRequest::InitProducerId(_) => {
            Some(init_producer_id::Response { producer_id: 9, producer_epoch: 0, ..Default::default() }.into())
        }
        AnyRequest::Produce(request) => {
            let mut response = match answer(request, ErrorCode::NONE) {
                Reply::Answer(kafka_proto::AnyResponse::Produce(response)) => response,
                _ => panic!("an answer"),
            };
            for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.error_code = codes.pop().unwrap_or(ErrorCode::NONE);
            }
            Some(response.into())
        }
        _ => None,
    });
    let to = |partition, value| ProducerRecord { partition: Some(partition), ..record(value) };
    for (partition, value) in [(0, "a"), (1, "b")] {
        world.machine.send(to(partition, value), world.now).unwrap();
    }
    world.run(2_000);
    for (partition, value) in [(0, "c"), (1, "d")] {
        world.machine.send(to(partition, value), world.now).unwrap();
    }
    world.run(2_000);
    let of = |partition: i32| -> Vec<(i16, i32)> {
        let requests = world.asked(ApiKey::Produce).into_iter().filter_map(|request| match request {
            AnyRequest::Produce(request) => Some(request.topics.iter().flat_map(|topic| &topic.partitions)),
            _ => None,
        });
        let sent = requests.flatten().filter(|one| one.partition_index == partition);
        sent.map(|one| {
            let bytes = one.records.clone().unwrap();
            let batch = Batch::new(&bytes).unwrap();
            (batch.producer_epoch(), batch.base_sequence())
        })
        .collect()
    };
    assert_eq!(of(0), [(0, 0), (1, 0)]);
    assert_eq!(of(1), [(0, 0), (0, 0), (1, 0)]);
    let results = deliveries(&mut world);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true, true]);
}
