//! Groups: two members share a group, commit, and go on after a restart.

use base::{Fault, Str};
use bytes::Bytes;
use kafka_proto::ErrorCode;
use kafka_proto::messages::{
    create_partitions, create_topics, delete_groups, find_coordinator, heartbeat, join_group, leave_group, list_groups,
    offset_commit, offset_fetch, sync_group,
};

use crate::topics::create_topic;
use crate::world::{Client, World};

const FEW: &str = "offsets.topic.num.partitions=3\noffsets.topic.replication.factor=1\n";

fn find(world: &mut World, client: &mut Client) {
    let request = find_coordinator::Request { key: "g".into(), key_type: 0 };
    for _ in 0..5 {
        let found = world.ask(client, &request, 3);
        if found.error_code.is_none() {
            assert_eq!((found.node_id, found.port), (0, 9092));
            return;
        }
        assert_eq!(found.error_code, ErrorCode::COORDINATOR_NOT_AVAILABLE);
        world.advance(100);
    }
    panic!("no coordinator");
}

fn join(member_id: &str) -> join_group::Request {
    join_group::Request {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member_id.into(),
        protocol_type: "consumer".into(),
        protocols: vec![join_group::Protocol { name: "range".into(), metadata: Bytes::from_static(b"\0\0") }],
        ..join_group::Request::default()
    }
}

/// A member's id, told before it joins.
fn new_id(world: &mut World, client: &mut Client) -> Str {
    let told = world.ask(client, &join(""), 7);
    assert_eq!(told.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    told.member_id
}

fn sync(member_id: &Str, generation_id: i32, assignments: &[(&Str, &'static [u8])]) -> sync_group::Request {
    let assignments = assignments
        .iter()
        .map(|(id, bytes)| sync_group::Assignment { member_id: (*id).clone(), assignment: Bytes::from_static(bytes) });
    sync_group::Request {
        group_id: "g".into(),
        generation_id,
        member_id: member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.collect(),
        ..sync_group::Request::default()
    }
}

fn commit(member_id: &str, generation_id: i32, offset: i64) -> offset_commit::Request {
    offset_commit::Request {
        group_id: "g".into(),
        generation_id,
        member_id: member_id.into(),
        topics: vec![offset_commit::RequestTopic {
            name: "t".into(),
            partitions: vec![offset_commit::RequestPartition {
                committed_offset: offset,
                committed_leader_epoch: -1,
                committed_metadata: Some("note".into()),
                ..offset_commit::RequestPartition::default()
            }],
        }],
        ..offset_commit::Request::default()
    }
}

fn committed(world: &mut World, client: &mut Client) -> Vec<(String, i32, i64)> {
    let request = offset_fetch::Request { group_id: "g".into(), topics: None, require_stable: true };
    let response = world.ask(client, &request, 7);
    assert_eq!(response.error_code, ErrorCode::NONE);
    let of_topic = |topic: &offset_fetch::ResponseTopic| {
        let name = topic.name.to_string();
        topic
            .partitions
            .iter()
            .map(move |one| (name.clone(), one.partition_index, one.committed_offset))
            .collect::<Vec<_>>()
    };
    response.topics.iter().flat_map(of_topic).collect()
}

fn commit_error(world: &mut World, client: &mut Client, request: &offset_commit::Request) -> ErrorCode {
    world.ask(client, request, 8).topics[0].partitions[0].error_code
}

#[test]
fn two_members_share_a_group_and_their_offsets_outlive_the_broker() {
    let mut world = World::new(FEW);
    let (mut one, mut two) = (world.connect(), world.connect());
    create_topic(&mut world, &mut one, "t", 1);
    find(&mut world, &mut one);

    let (first, second) = (new_id(&mut world, &mut one), new_id(&mut world, &mut two));
    one.send(&world, &join(&first), 7);
    two.send(&world, &join(&second), 7);
    world.settle();
    assert!(one.receive::<join_group::Request>(&world, 7).is_none(), "the initial delay is not over");
    for _ in 0..3 {
        world.advance(3000);
    }
    let joined = one.receive::<join_group::Request>(&world, 7).unwrap();
    let other = two.receive::<join_group::Request>(&world, 7).unwrap();
    assert_eq!((joined.error_code, joined.generation_id), (ErrorCode::NONE, 1));
    assert_eq!(joined.leader, other.leader);
    let (leads, follows) = if joined.leader == first { (&mut one, &mut two) } else { (&mut two, &mut one) };
    let (leader, follower) = if joined.leader == first { (&first, &second) } else { (&second, &first) };
    assert_eq!(joined.members.len() + other.members.len(), 2, "the leader alone is told of all");

    follows.send(&world, &sync(follower, 1, &[]), 5);
    world.settle();
    let synced = world.ask(leads, &sync(leader, 1, &[(leader, b"a"), (follower, b"b")]), 5);
    assert_eq!((synced.error_code, &synced.assignment[..]), (ErrorCode::NONE, &b"a"[..]));
    let synced = follows.receive::<sync_group::Request>(&world, 5).unwrap();
    assert_eq!(&synced.assignment[..], b"b");

    assert_eq!(commit_error(&mut world, leads, &commit(leader, 1, 42)), ErrorCode::NONE);
    assert_eq!(commit_error(&mut world, leads, &commit(leader, 0, 43)), ErrorCode::ILLEGAL_GENERATION);
    assert_eq!(commit_error(&mut world, leads, &commit("nobody", 1, 43)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(committed(&mut world, leads), [("t".to_owned(), 0, 42)]);

    world.restart();
    let mut client = world.connect();
    assert_eq!(committed(&mut world, &mut client), [("t".to_owned(), 0, 42)]);
    let beat = |member_id: &Str| heartbeat::Request {
        group_id: "g".into(),
        generation_id: 1,
        member_id: member_id.clone(),
        group_instance_id: None,
    };
    assert_eq!(world.ask(&mut client, &beat(&first), 4).error_code, ErrorCode::NONE, "members are loaded too");
    let leave = leave_group::Request {
        group_id: "g".into(),
        members: vec![
            leave_group::RequestMember { member_id: first, group_instance_id: None },
            leave_group::RequestMember { member_id: second, group_instance_id: None },
        ],
        ..leave_group::Request::default()
    };
    let left = world.ask(&mut client, &leave, 4);
    assert!(left.members.iter().all(|member| member.error_code.is_none()), "{left:?}");
    let listed = world.ask(&mut client, &list_groups::Request { states_filter: vec!["Empty".into()] }, 4);
    assert_eq!(listed.groups.len(), 1);

    let delete = delete_groups::Request { group_names: vec!["g".into()] };
    assert_eq!(world.ask(&mut client, &delete, 2).results[0].error_code, ErrorCode::NONE);
    world.restart();
    let mut client = world.connect();
    assert_eq!(committed(&mut world, &mut client), []);
    assert_eq!(world.ask(&mut client, &delete, 2).results[0].error_code, ErrorCode::GROUP_ID_NOT_FOUND);
}

/// "g" is hashed to 103: with three partitions it is in the second, with one in the first, with four in the last.
#[test]
fn a_group_stays_in_its_partition_while_others_have_no_leader_yet() {
    let mut world = World::new(FEW);
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    let on = |(partition_index, broker)| create_topics::Assignment { partition_index, broker_ids: vec![broker] };
    let topic = create_topics::RequestTopic {
        name: "__consumer_offsets".into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: [(0, 1), (1, 0), (2, 1)].map(on).into(),
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 0, ..create_topics::Request::default() };
    assert_eq!(world.ask(&mut client, &request, 5).topics[0].error_code, ErrorCode::REQUEST_TIMED_OUT);
    find(&mut world, &mut client);
    assert_eq!(commit_error(&mut world, &mut client, &commit("", -1, 7)), ErrorCode::NONE);
    assert_eq!(world.start_further(FEW), None);
    find(&mut world, &mut client);
    assert_eq!(committed(&mut world, &mut client), [("t".to_owned(), 0, 7)]);
}

#[test]
fn groups_stay_in_their_partitions_when_the_topic_grows_or_the_configuration_changes() {
    let mut world = World::new(FEW);
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    find(&mut world, &mut client);
    assert_eq!(commit_error(&mut world, &mut client, &commit("", -1, 7)), ErrorCode::NONE);

    world.restart_with("offsets.topic.num.partitions=4");
    let mut client = world.connect();
    assert_eq!(committed(&mut world, &mut client), [("t".to_owned(), 0, 7)], "the topic has three");

    let grown = create_partitions::RequestTopic { name: "__consumer_offsets".into(), count: 4, assignments: None };
    let request = create_partitions::Request { topics: vec![grown], timeout_ms: 1000, validate_only: false };
    assert_eq!(world.ask(&mut client, &request, 3).results[0].error_code, ErrorCode::NONE);
    assert_eq!(committed(&mut world, &mut client), [("t".to_owned(), 0, 7)], "it had three at the start");
}

#[test]
fn a_log_of_offsets_that_rots_costs_the_commits_it_hits() {
    let mut world = World::new(FEW);
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    find(&mut world, &mut client);
    for offset in [7, 8] {
        assert_eq!(commit_error(&mut world, &mut client, &commit("", -1, offset)), ErrorCode::NONE);
    }
    world.stop();
    // "g" is hashed to 103, which is the second of three partitions. Its last byte is the count of headers of the last commit.
    world.rot_last_byte("/kafka/__consumer_offsets-1/00000000000000000000.log");
    world.start_anew();
    let mut client = world.connect();
    assert_eq!(committed(&mut world, &mut client), [("t".to_owned(), 0, 7)], "the commit before");
    assert_eq!(commit_error(&mut world, &mut client, &commit("", -1, 9)), ErrorCode::NONE);
    assert_eq!(committed(&mut world, &mut client), [("t".to_owned(), 0, 9)]);
}

#[test]
fn groups_in_a_directory_that_fails_are_served_no_more() {
    let mut world = World::new(&format!("log.dirs=/a,/b\n{FEW}"));
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    find(&mut world, &mut client);
    assert_eq!(commit_error(&mut world, &mut client, &commit("", -1, 7)), ErrorCode::NONE);
    let dir = world.directory_of("__consumer_offsets-1");
    world.inject(dir, Fault::Write);
    assert_eq!(commit_error(&mut world, &mut client, &commit("", -1, 8)), ErrorCode::NOT_COORDINATOR);
    let request = offset_fetch::Request { group_id: "g".into(), topics: None, require_stable: true };
    assert_eq!(world.ask(&mut client, &request, 7).error_code, ErrorCode::NOT_COORDINATOR);
    assert_eq!(*world.process.failed.lock(), None, "the other directory is there");
}

#[test]
fn version_0_keeps_offsets_in_zookeeper() {
    let mut world = World::new(FEW);
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    let fetch = offset_fetch::Request {
        group_id: "g".into(),
        topics: Some(vec![offset_fetch::RequestTopic { name: "t".into(), partition_indexes: vec![0] }]),
        require_stable: false,
    };
    let before = world.ask(&mut client, &fetch, 0);
    assert_eq!(before.topics[0].partitions[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    for offset in [7, 8] {
        let done = world.ask(&mut client, &commit("", -1, offset), 0);
        assert_eq!(done.topics[0].partitions[0].error_code, ErrorCode::NONE);
        assert_eq!(world.ask(&mut client, &fetch, 0).topics[0].partitions[0].committed_offset, offset);
    }
}
