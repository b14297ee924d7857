//! Replicas under a controller: in-sync replicas leave and come back, leaders change, groups go on at another coordinator.

use base::{Fault, Str};
use kafka_proto::ErrorCode;
use kafka_proto::messages::{
    create_topics, elect_leaders, find_coordinator, metadata, offset_commit, offset_fetch, produce,
};

use crate::data::{batch, produce_request};
use crate::topics::set_config;
use crate::world::World;

fn create(world: &mut World, name: &str, factor: i16) {
    let topic = create_topics::RequestTopic {
        name: Str::from(name),
        num_partitions: 1,
        replication_factor: factor,
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
    let mut client = world.nodes[0].connect();
    assert_eq!(world.ask(&mut client, &request, 5).topics[0].error_code, ErrorCode::NONE);
}

/// Leader and ISR of partition 0, as a broker tells them.
fn state(world: &mut World, at: usize, topic: &str) -> (i32, Vec<i32>) {
    let mut client = world.nodes[at].connect();
    let topics = Some(vec![metadata::RequestTopic { name: Str::from(topic) }]);
    let told = world.ask(&mut client, &metadata::Request { topics, ..metadata::Request::default() }, 9);
    let partition = &told.topics[0].partitions[0];
    let mut isr = partition.isr_nodes.clone();
    isr.sort_unstable();
    (partition.leader_id, isr)
}

fn advance(world: &mut World, ms: u64) {
    (0..ms / 250).for_each(|_| world.advance(250));
}

/// Writes with acks=all; the offset.
fn write(world: &mut World, at: usize, value: &str) -> Result<i64, ErrorCode> {
    let mut client = world.nodes[at].connect();
    client.send(world, &produce_request(batch(&[value]), -1), 8);
    advance(world, 2000);
    let answer = client.receive::<produce::Request>(world, 8).expect("an answer");
    let partition = &answer.topics[0].partitions[0];
    if partition.error_code.is_none() { Ok(partition.base_offset) } else { Err(partition.error_code) }
}

#[test]
fn a_replica_leaves_the_isr_and_comes_back() {
    // AlterIsr, and the state znode with protocols before it.
    for protocol in ["2.7", "2.6"] {
        let mut world = World::cluster(3, &format!("inter.broker.protocol.version={protocol}"));
        create(&mut world, "t", 3);
        let (leader, _) = state(&mut world, 0, "t");
        assert_eq!(write(&mut world, leader as usize, "a"), Ok(0));
        let gone = (0..3).find(|id| *id != leader && *id != 0).unwrap();
        world.kill_node(gone as usize);
        let left = state(&mut world, 0, "t").1;
        assert!(!left.contains(&gone), "{protocol}: {left:?}");
        assert_eq!(write(&mut world, leader as usize, "b"), Ok(1));
        world.start_node(gone as usize);
        advance(&mut world, 15_000);
        assert_eq!(state(&mut world, 0, "t"), (leader, vec![0, 1, 2]), "{protocol}");
        assert_eq!(write(&mut world, leader as usize, "c"), Ok(2), "{protocol}");
    }
}

#[test]
fn another_replica_leads_when_the_leader_is_gone() {
    let mut world = World::cluster(3, "");
    create(&mut world, "t", 3);
    let (leader, _) = state(&mut world, 0, "t");
    assert_eq!(write(&mut world, leader as usize, "a"), Ok(0));
    world.kill_node(leader as usize);
    let other = (0..3).find(|id| *id != leader).unwrap() as usize;
    let (next, isr) = state(&mut world, other, "t");
    assert!(next != leader && !isr.contains(&leader));
    assert_eq!(write(&mut world, next as usize, "b"), Ok(1));
    world.start_node(leader as usize);
    advance(&mut world, 15_000);
    assert_eq!(state(&mut world, other, "t"), (next, vec![0, 1, 2]));
}

#[test]
fn a_group_goes_on_at_another_coordinator() {
    let lines = "offsets.topic.num.partitions=1\noffsets.topic.replication.factor=3";
    let mut world = World::cluster(3, lines);
    create(&mut world, "t", 3);
    let coordinator = find(&mut world, 0);
    commit(&mut world, coordinator);
    world.kill_node(coordinator);
    let other = (0..3).find(|id| *id != coordinator).unwrap();
    let next = find(&mut world, other);
    assert_ne!(next, coordinator);
    let mut client = world.nodes[next].connect();
    let request = offset_fetch::Request { group_id: "g".into(), topics: None, require_stable: true };
    let found = world.ask(&mut client, &request, 7);
    assert_eq!(found.topics[0].partitions[0].committed_offset, 7);
}

/// Commits an offset of the group.
fn commit(world: &mut World, coordinator: usize) {
    let partitions = vec![offset_commit::RequestPartition {
        committed_offset: 7,
        committed_leader_epoch: -1,
        ..offset_commit::RequestPartition::default()
    }];
    let topics = vec![offset_commit::RequestTopic { name: "t".into(), partitions }];
    let (group_id, generation_id) = ("g".into(), -1);
    let request = offset_commit::Request { group_id, generation_id, topics, ..offset_commit::Request::default() };
    let mut client = world.nodes[coordinator].connect();
    client.send(world, &request, 8);
    advance(world, 2000);
    let answer = client.receive::<offset_commit::Request>(world, 8).expect("an answer");
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
}

#[test]
fn a_group_is_not_loaded_for_ever_from_a_directory_that_fails() {
    let lines = "log.dirs=/a,/b\noffsets.topic.num.partitions=1\noffsets.topic.replication.factor=2";
    let mut world = World::cluster(2, lines);
    create(&mut world, "t", 2);
    let coordinator = find(&mut world, 0);
    commit(&mut world, coordinator);
    let next = 1 - coordinator;
    let dir = world.nodes[next].directory_of("__consumer_offsets-0");
    world.nodes[next].inject(dir, Fault::Read);
    world.stop_node(coordinator);
    advance(&mut world, 10_000);
    let mut client = world.nodes[next].connect();
    let request = offset_fetch::Request { group_id: "g".into(), topics: None, require_stable: true };
    assert_eq!(world.ask(&mut client, &request, 7).error_code, ErrorCode::NOT_COORDINATOR);
    assert_eq!(*world.nodes[next].process.failed.lock(), None, "the other directory is there");
}

/// The coordinator of the group, when it serves.
fn find(world: &mut World, at: usize) -> usize {
    let request = find_coordinator::Request { key: "g".into(), key_type: 0 };
    for _ in 0..20 {
        let mut client = world.nodes[at].connect();
        let found = world.ask(&mut client, &request, 3);
        if found.error_code.is_none() {
            return found.node_id as usize;
        }
        advance(world, 500);
    }
    panic!("no coordinator");
}

/// What the old leader alone had is gone: it cuts its log where the new one went on, and all replicas hold the same again.
#[test]
fn an_old_leader_follows_one_that_was_not_in_sync() {
    for by_config in [true, false] {
        let mut world = World::cluster(3, "");
        let mut client = world.connect();
        let topic = create_topics::RequestTopic {
            name: Str::from_static("t"),
            num_partitions: -1,
            replication_factor: -1,
            assignments: vec![create_topics::Assignment { partition_index: 0, broker_ids: vec![1, 2] }],
            ..create_topics::RequestTopic::default()
        };
        let request =
            create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
        assert_eq!(world.ask(&mut client, &request, 5).topics[0].error_code, ErrorCode::NONE);
        assert_eq!(write(&mut world, 1, "common"), Ok(0));
        world.kill_node(2);
        assert_eq!((write(&mut world, 1, "lost"), write(&mut world, 1, "lost")), (Ok(1), Ok(2)));
        assert_eq!(state(&mut world, 0, "t"), (1, vec![1]));
        world.kill_node(1);
        world.start_node(2);
        advance(&mut world, 1000);
        assert_eq!(state(&mut world, 0, "t"), (-1, vec![1]), "nobody leads unless it is asked for");
        if by_config {
            // In whatever letters.
            let request = set_config("t", "unclean.leader.election.enable", "TRUE");
            assert_eq!(world.ask(&mut client, &request, 1).responses[0].error_code, ErrorCode::NONE);
        } else {
            let partitions = elect_leaders::RequestTopic { topic: "t".into(), partition_indexes: vec![0] };
            let request = elect_leaders::Request { election_type: 1, topics: Some(vec![partitions]), timeout_ms: 1000 };
            let elected = world.ask(&mut client, &request, 2);
            assert_eq!(elected.topics[0].partitions[0].error_code, ErrorCode::NONE, "{elected:?}");
        }
        assert_eq!(state(&mut world, 0, "t"), (2, vec![2]));
        assert_eq!(write(&mut world, 2, "kept"), Ok(1));
        world.start_node(1);
        advance(&mut world, 15_000);
        assert_eq!(state(&mut world, 0, "t"), (2, vec![1, 2]));
        assert_eq!(write(&mut world, 2, "later"), Ok(2));
        let logs = [1, 2].map(|at| world.nodes[at].content("/kafka/t-0/00000000000000000000.log"));
        assert!(logs[0] == logs[1], "the replicas differ: {logs:?}");
        let holds = |text: &str| logs[0].windows(text.len()).any(|part| part == text.as_bytes());
        assert_eq!(["common", "lost", "kept", "later"].map(holds), [true, false, true, true]);
    }
}
