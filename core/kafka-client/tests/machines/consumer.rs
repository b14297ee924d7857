//! Positions, fetches, groups.

use std::collections::BTreeMap;

use base::Str;
use bytes::Bytes;
use kafka_client::{
    ClientError, CommitOffset, ConsumedRecord, Consumer, ConsumerConfig, ConsumerEvent, TopicPartition,
};
use kafka_proto::messages::consumer_protocol::Assignment;
use kafka_proto::messages::{
    fetch, heartbeat, join_group, leave_group, list_offset, offset_commit, offset_fetch, sync_group,
};
use kafka_proto::record::{BuilderOptions, Codec, EndTransactionMarker, Magic, RecordsBuilder, end_transaction_batch};
use kafka_proto::wire::Records;
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, ErrorCode};

use crate::world::{Reply, World};

fn world(
    properties: &[(&str, &str)],
    script: impl FnMut(&AnyRequest, i16) -> Option<Reply> + 'static,
) -> World<Consumer> {
    let properties = [("bootstrap.servers", "one:1")].into_iter().chain(properties.iter().copied());
    World::new(Consumer::new(ConsumerConfig::new(properties).unwrap().0, 1), script)
}

fn batch(base_offset: i64, values: &[&str], magic: Magic, codec: Codec, producer_id: i64) -> Bytes {
    let transactional = producer_id >= 0;
    let options = BuilderOptions {
        base_offset,
        producer_id,
        transactional,
        producer_epoch: if transactional { 0 } else { -1 },
        ..BuilderOptions::new(magic, codec)
    };
    let mut builder = RecordsBuilder::new(options).unwrap();
    for value in values {
        builder.append(7, Some(b"k"), Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build().unwrap().bytes
}

/// Answers a fetch of partition 0 at offset 0 with `records`, once, and other fetches with nothing.
fn once(
    records: Bytes,
    aborted: Option<Vec<fetch::AbortedTransaction>>,
) -> impl FnMut(&AnyRequest, i16) -> Option<Reply> {
    move |request, _| {
        let AnyRequest::Fetch(request) = request else { return None };
        let mut partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
        if !partitions.any(|partition| partition.fetch_offset == 0 && partition.partition_index == 0) {
            return None;
        }
        let partition = fetch::ResponsePartition {
            partition_index: 0,
            high_watermark: 50,
            records: Some(Records::from(records.clone())),
            aborted_transactions: aborted.clone(),
            ..Default::default()
        };
        let topic = fetch::ResponseTopic { topic: Str::from_static("t"), partitions: vec![partition] };
        Some(fetch::Response { topics: vec![topic], ..Default::default() }.into())
    }
}

fn values(records: &[ConsumedRecord]) -> Vec<(i64, String)> {
    let value = |record: &ConsumedRecord| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
    records.iter().map(|record| (record.offset, value(record))).collect()
}

fn read(
    properties: &[(&str, &str)],
    records: Bytes,
    aborted: Option<Vec<fetch::AbortedTransaction>>,
) -> (Vec<(i64, String)>, Option<i64>) {
    let mut world = world(properties, once(records, aborted));
    let place = TopicPartition::new("t", 0);
    world.machine.assign([place.clone()]);
    world.machine.seek(&place, 0);
    world.run(400);
    let now = world.now;
    let records = world.machine.poll(now).unwrap();
    assert!(world.machine.poll(now).unwrap().is_empty());
    (values(&records), world.machine.position(&place))
}

fn texts(pairs: &[(i64, &str)]) -> Vec<(i64, String)> {
    pairs.iter().map(|(offset, text)| (*offset, (*text).to_owned())).collect()
}

#[test]
fn batches_of_every_format_and_codec_are_read() {
    for magic in [Magic::V0, Magic::V1, Magic::V2] {
        for codec in Codec::ALL.into_iter().filter(|codec| magic == Magic::V2 || *codec != Codec::Zstd) {
            let (seen, position) = read(&[], batch(0, &["a", "b"], magic, codec, -1), None);
            assert_eq!((seen, position), (texts(&[(0, "a"), (1, "b")]), Some(2)), "{magic:?} {codec:?}");
        }
    }
}

#[test]
fn a_batch_cut_short_waits_for_the_next_fetch() {
    let mut records = batch(0, &["a"], Magic::V2, Codec::None, -1).to_vec();
    records.extend_from_slice(&batch(1, &["b"], Magic::V2, Codec::None, -1)[..40]);
    assert_eq!(read(&[], records.into(), None), (texts(&[(0, "a")]), Some(1)));
}

#[test]
fn aborted_transactions_are_passed_over_when_asked_to() {
    let abort = EndTransactionMarker { commit: false, coordinator_epoch: 0 };
    let marker = end_transaction_batch(4, 0, 7, &abort).unwrap().to_vec();
    let mut marker = marker;
    marker[..8].copy_from_slice(&2_i64.to_be_bytes());
    let mut records = batch(0, &["no", "no"], Magic::V2, Codec::None, 4).to_vec();
    records.extend_from_slice(&marker);
    records.extend_from_slice(&batch(3, &["yes"], Magic::V2, Codec::None, 4));
    let records = Bytes::from(records);
    let aborted = vec![fetch::AbortedTransaction { producer_id: 4, first_offset: 0 }];
    let committed = read(&[("isolation.level", "read_committed")], records.clone(), Some(aborted));
    assert_eq!(committed, (texts(&[(3, "yes")]), Some(4)));
    let all = read(&[], records, None);
    assert_eq!(all, (texts(&[(0, "no"), (1, "no"), (3, "yes")]), Some(4)));
}

#[test]
fn a_broken_batch_is_an_error() {
    let mut records = batch(0, &["a"], Magic::V2, Codec::None, -1).to_vec();
    *records.last_mut().unwrap() ^= 1;
    let mut world = world(&[], once(records.into(), None));
    let place = TopicPartition::new("t", 0);
    world.machine.assign([place.clone()]);
    world.machine.seek(&place, 0);
    world.run(400);
    let now = world.now;
    let error = world.machine.poll(now).unwrap_err();
    assert!(error.to_string().contains("when fetching the next record from t-0"), "{error}");
}

#[test]
fn a_position_out_of_range_is_reset() {
    for (policy, asked) in [("earliest", -2), ("latest", -1)] {
        let mut world = world(&[("auto.offset.reset", policy)], |request, _| match request {
            AnyRequest::Fetch(request) if request.topics.first()?.partitions[0].fetch_offset == 99 => {
                let partition =
                    fetch::ResponsePartition { error_code: ErrorCode::OFFSET_OUT_OF_RANGE, ..Default::default() };
                let topic = fetch::ResponseTopic { topic: Str::from_static("t"), partitions: vec![partition] };
                Some(fetch::Response { topics: vec![topic], ..Default::default() }.into())
            }
            AnyRequest::ListOffset(request) => {
                assert_eq!(request.topics[0].partitions[0].current_leader_epoch, 3);
                let offset = if request.topics[0].partitions[0].timestamp == -2 { 5 } else { 9 };
                let partition = list_offset::ResponsePartition { offset, ..Default::default() };
                let topic = list_offset::ResponseTopic { name: Str::from_static("t"), partitions: vec![partition] };
                Some(list_offset::Response { topics: vec![topic], ..Default::default() }.into())
            }
            _ => None,
        });
        let place = TopicPartition::new("t", 0);
        world.machine.assign([place.clone()]);
        world.machine.seek(&place, 99);
        world.run(2_000);
        let AnyRequest::ListOffset(request) = world.asked(ApiKey::ListOffset)[0] else { panic!("no look-up") };
        assert_eq!(request.topics[0].partitions[0].timestamp, asked);
        assert_eq!(world.machine.position(&place), Some(if policy == "earliest" { 5 } else { 9 }));
    }
}

/// A coordinator of one member that leads itself.
fn coordinator(mut heartbeats: Vec<ErrorCode>) -> impl FnMut(&AnyRequest, i16) -> Option<Reply> {
    let mut generation = 0;
    move |request, _| match request {
        AnyRequest::JoinGroup(join) if join.member_id.is_empty() => {
            let member_id = Str::from_static("member");
            Some(
                join_group::Response {
                    error_code: ErrorCode::MEMBER_ID_REQUIRED,
                    member_id,
                    protocol_name: Some(Str::EMPTY),
                    ..Default::default()
                }
                .into(),
            )
        }
        AnyRequest::JoinGroup(join) => {
            generation += 1;
            let member_id = join.member_id.clone();
            let member = join_group::Member {
                member_id: member_id.clone(),
                group_instance_id: None,
                metadata: join.protocols[0].metadata.clone(),
            };
            Some(
                join_group::Response {
                    generation_id: generation,
                    protocol_name: Some(join.protocols[0].name.clone()),
                    leader: member_id.clone(),
                    member_id,
                    members: vec![member],
                    ..Default::default()
                }
                .into(),
            )
        }
        AnyRequest::SyncGroup(sync) => {
            let assignment = sync.assignments.first().map(|own| own.assignment.clone()).unwrap_or_default();
            Some(sync_group::Response { assignment, ..Default::default() }.into())
        }
        AnyRequest::Heartbeat(_) => {
            Some(heartbeat::Response { error_code: heartbeats.pop().unwrap_or_default(), ..Default::default() }.into())
        }
        AnyRequest::OffsetFetch(request) => {
            let topics = request.topics.iter().flatten().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|index| offset_fetch::ResponsePartition {
                    partition_index: *index,
                    committed_offset: 40 + i64::from(*index),
                    ..Default::default()
                });
                offset_fetch::ResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
            });
            Some(offset_fetch::Response { topics: topics.collect(), ..Default::default() }.into())
        }
        AnyRequest::OffsetCommit(request) => {
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| offset_commit::ResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: ErrorCode::NONE,
                });
                offset_commit::ResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
            });
            Some(offset_commit::Response { topics: topics.collect(), ..Default::default() }.into())
        }
        AnyRequest::LeaveGroup(_) => Some(leave_group::Response::default().into()),
        _ => None,
    }
}

fn events(world: &mut World<Consumer>) -> Vec<ConsumerEvent> {
    std::iter::from_fn(|| world.machine.next_event()).collect()
}

#[test]
fn a_member_joins_reads_from_what_was_committed_and_leaves() {
    let mut world = world(&[("group.id", "g")], coordinator(Vec::new()));
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    world.run(2_000);
    let both = vec![TopicPartition::new("t", 0), TopicPartition::new("t", 1)];
    assert_eq!(events(&mut world), [ConsumerEvent::Assigned(both.clone())]);
    assert_eq!(both.iter().map(|place| world.machine.position(place)).collect::<Vec<_>>(), [Some(40), Some(41)]);
    let AnyRequest::SyncGroup(sync) = world.asked(ApiKey::SyncGroup)[0] else { panic!("no sync") };
    let assignment = Assignment::from_bytes(&sync.assignments[0].assignment).unwrap();
    assert_eq!(assignment.assigned_partitions[0].partitions, [0, 1]);
    world.run(10_000);
    assert!((3..=4).contains(&world.asked(ApiKey::Heartbeat).len()));
    let now = world.now;
    world.machine.close(now);
    world.run(100);
    assert!(world.machine.is_closed());
    assert_eq!(world.asked(ApiKey::LeaveGroup).len(), 1);
    assert!(!world.asked(ApiKey::OffsetCommit).is_empty(), "closing commits");
}

#[test]
fn a_rebalance_gives_everything_up_and_joins_again() {
    let mut world = world(&[("group.id", "g")], coordinator(vec![ErrorCode::REBALANCE_IN_PROGRESS]));
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    world.run(5_000);
    let seen = events(&mut world);
    let kinds: Vec<_> = seen.iter().map(|event| matches!(event, ConsumerEvent::Assigned(_))).collect();
    assert_eq!(kinds, [true, false, true], "{seen:?}");
    let AnyRequest::OffsetCommit(commit) = world.asked(ApiKey::OffsetCommit)[0] else { panic!("no commit") };
    assert_eq!(commit.generation_id, 1, "what was read is committed in the generation that read it");
    assert_eq!(world.asked(ApiKey::JoinGroup).len(), 3);
}

#[test]
fn an_expelled_member_starts_over() {
    let mut world = world(&[("group.id", "g")], coordinator(vec![ErrorCode::UNKNOWN_MEMBER_ID]));
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    world.run(6_000);
    let kinds: Vec<_> = events(&mut world).iter().map(|event| matches!(event, ConsumerEvent::Assigned(_))).collect();
    assert_eq!(kinds, [true, false, true]);
    let ids: Vec<_> = world
        .asked(ApiKey::JoinGroup)
        .into_iter()
        .map(|request| match request {
            AnyRequest::JoinGroup(join) => join.member_id.to_string(),
            _ => String::new(),
        })
        .collect();
    assert_eq!(ids, ["", "member", "", "member"]);
}

#[test]
fn who_was_late_to_poll_leaves_and_joins_again_with_the_next_poll() {
    let mut world = world(&[("group.id", "g"), ("max.poll.interval.ms", "3000")], coordinator(Vec::new()));
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    let now = world.now;
    world.machine.poll(now).unwrap();
    world.run(20_000);
    let is_assigned = |event: &ConsumerEvent| matches!(event, ConsumerEvent::Assigned(_));
    let kinds: Vec<_> = events(&mut world).iter().map(is_assigned).collect();
    assert_eq!((kinds, world.asked(ApiKey::LeaveGroup).len()), (vec![true, false], 1), "it is out while nobody polls");
    let now = world.now;
    world.machine.poll(now).unwrap();
    world.run(2_000);
    assert_eq!(events(&mut world).iter().map(is_assigned).collect::<Vec<_>>(), [true]);
}

#[test]
fn a_static_member_does_not_leave() {
    let mut world = world(&[("group.id", "g"), ("group.instance.id", "i")], coordinator(Vec::new()));
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    world.run(2_000);
    let now = world.now;
    world.machine.close(now);
    world.run(100);
    assert!(world.machine.is_closed());
    assert!(world.asked(ApiKey::LeaveGroup).is_empty());
}

#[test]
fn commits_are_answered() {
    let mut world = world(&[("group.id", "g")], coordinator(Vec::new()));
    world.machine.assign([TopicPartition::new("t", 0)]);
    let now = world.now;
    let offsets = BTreeMap::from([(TopicPartition::new("t", 0), CommitOffset { offset: 7, ..Default::default() })]);
    let id = world.machine.commit(offsets, now);
    world.run(1_000);
    assert_eq!(events(&mut world), [ConsumerEvent::Committed(id, Ok(()))]);
    let AnyRequest::OffsetCommit(commit) = world.asked(ApiKey::OffsetCommit)[0] else { panic!("no commit") };
    assert_eq!((commit.generation_id, &*commit.member_id), (-1, ""));
}

#[test]
fn a_commit_is_repeated_in_the_generation_in_which_it_was_asked_for() {
    let mut usual = coordinator(vec![ErrorCode::UNKNOWN_MEMBER_ID]);
    let script = move |request: &AnyRequest, version| {
        let mut reply = usual(request, version)?;
        if let Reply::Answer(AnyResponse::OffsetCommit(response)) = &mut reply {
            response.topics[0].partitions[0].error_code = ErrorCode::NOT_COORDINATOR;
        }
        Some(reply)
    };
    let mut world = world(&[("group.id", "g"), ("enable.auto.commit", "false")], script);
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    world.run(2_000);
    let now = world.now;
    let offsets = BTreeMap::from([(TopicPartition::new("t", 0), CommitOffset { offset: 7, ..Default::default() })]);
    world.machine.commit(offsets, now);
    world.run(6_000);
    assert_eq!(world.asked(ApiKey::SyncGroup).len(), 2, "the member was expelled, and joined again");
    let commits = world.asked(ApiKey::OffsetCommit).into_iter().map(|request| match request {
        AnyRequest::OffsetCommit(commit) => commit.generation_id,
        _ => -1,
    });
    let generations: Vec<i32> = commits.collect();
    assert!(generations.len() > 10 && generations.iter().all(|generation| *generation == 1), "{generations:?}");
}

#[test]
fn a_cut_connection_is_made_again_and_reading_goes_on() {
    let mut world = world(&[("group.id", "g")], coordinator(Vec::new()));
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    world.run(2_000);
    world.cut();
    world.run(12_000);
    assert_eq!(events(&mut world).len(), 1, "no rebalance");
    assert!(world.asked(ApiKey::Heartbeat).len() >= 3);
    assert!(world.asked(ApiKey::Fetch).len() >= 2);
}

#[test]
fn a_pattern_takes_the_topics_that_match() {
    let mut world = world(&[("group.id", "g")], coordinator(Vec::new()));
    world.machine.subscribe_pattern(|name| name.starts_with('u')).unwrap();
    world.run(2_000);
    let expected = vec![TopicPartition::new("u", 0), TopicPartition::new("u", 1)];
    assert_eq!(events(&mut world), [ConsumerEvent::Assigned(expected)]);
}

#[test]
fn a_broker_without_groups_is_an_error() {
    for lacks in [ApiKey::FindCoordinator, ApiKey::JoinGroup, ApiKey::SyncGroup, ApiKey::OffsetFetch] {
        let mut group = coordinator(Vec::new());
        let mut world = world(&[("group.id", "g")], move |request, version| {
            let AnyRequest::ApiVersions(_) = request else { return group(request, version) };
            let mut answer = crate::world::all_apis();
            answer.api_keys.retain(|api| api.api_key != lacks.code());
            Some(answer.into())
        });
        world.machine.subscribe([Str::from_static("t")]).unwrap();
        world.run(1_000);
        let errors = events(&mut world).into_iter().find_map(|event| match event {
            ConsumerEvent::Failed(error) => Some(error),
            _ => None,
        });
        assert_eq!(errors, Some(ClientError::UnsupportedApi(lacks)));
    }
}

#[test]
fn commits_name_the_leader_epoch_of_what_was_read() {
    let mut records = batch(0, &["a", "b"], Magic::V2, Codec::None, -1).to_vec();
    // The epoch lies behind the base offset and the length, outside of the checksum.
    records[12..16].copy_from_slice(&5_i32.to_be_bytes());
    let mut fetches = once(records.into(), None);
    let mut group = coordinator(Vec::new());
    let mut world = world(&[("group.id", "g")], move |request, version| {
        if let AnyRequest::OffsetFetch(request) = request {
            let partition = |index: i32, offset| offset_fetch::ResponsePartition {
                partition_index: index,
                committed_offset: offset,
                committed_leader_epoch: 4 - 5 * index,
                ..Default::default()
            };
            let name = request.topics.as_ref()?[0].name.clone();
            let topic = offset_fetch::ResponseTopic { name, partitions: vec![partition(0, 0), partition(1, 9)] };
            return Some(offset_fetch::Response { topics: vec![topic], ..Default::default() }.into());
        }
        fetches(request, version).or_else(|| group(request, version))
    });
    world.machine.subscribe([Str::from_static("t")]).unwrap();
    world.run(2_000);
    let epochs = |world: &World<Consumer>| -> Vec<(i64, Option<i32>)> {
        world.machine.positions().values().map(|place| (place.offset, place.leader_epoch)).collect()
    };
    assert_eq!(epochs(&world), [(0, Some(4)), (9, None)], "what was committed");
    let now = world.now;
    assert_eq!(world.machine.poll(now).unwrap().len(), 2);
    assert_eq!(epochs(&world), [(2, Some(5)), (9, None)], "what was read");
    world.machine.close(now);
    world.run(1_000);
    let AnyRequest::OffsetCommit(commit) = world.asked(ApiKey::OffsetCommit)[0] else { panic!("no commit") };
    let committed = commit.topics[0].partitions.iter().map(|one| (one.committed_offset, one.committed_leader_epoch));
    assert_eq!(committed.collect::<Vec<_>>(), [(2, 5), (9, -1)]);
    world.machine.seek(&TopicPartition::new("t", 0), 1);
    assert_eq!(epochs(&world)[0], (1, None), "nobody knows what is in front of a place that was sought");
}
