//! Several brokers: what the controller tells them, what they answer, and whom they obey.

use std::collections::BTreeSet;

use base::Str;
use kafka_proto::messages::{
    alter_isr, alter_partition_reassignments, controlled_shutdown, create_topics, delete_topics, elect_leaders,
    leader_and_isr, list_partition_reassignments, metadata, stop_replica, update_features, update_metadata,
};
use kafka_proto::{ApiKey, ErrorCode};

use crate::world::{World, versions};

fn create(world: &mut World, at: usize, name: &str, partitions: i32, factor: i16) -> ErrorCode {
    let topic = create_topics::RequestTopic {
        name: Str::from(name),
        num_partitions: partitions,
        replication_factor: factor,
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
    let mut client = world.nodes[at].connect();
    world.ask(&mut client, &request, 5).topics[0].error_code
}

fn delete(world: &mut World, at: usize, name: &str) -> ErrorCode {
    let request = delete_topics::Request { topic_names: vec![Str::from(name)], timeout_ms: 1000 };
    let mut client = world.nodes[at].connect();
    world.ask(&mut client, &request, 4).responses[0].error_code
}

fn describe(world: &mut World, at: usize) -> metadata::Response {
    let mut client = world.nodes[at].connect();
    world.ask(&mut client, &metadata::Request { topics: None, ..metadata::Request::default() }, 9)
}

fn ids(response: &metadata::Response) -> Vec<i32> {
    response.brokers.iter().map(|broker| broker.node_id).collect()
}

#[test]
fn every_broker_hears_of_brokers_topics_and_their_end() {
    let mut world = World::cluster(3, "");
    assert_eq!(create(&mut world, 0, "t", 3, 3), ErrorCode::NONE);
    for at in 0..3 {
        let response = describe(&mut world, at);
        assert_eq!((ids(&response), response.controller_id), (vec![0, 1, 2], 0), "broker {at}");
        let partitions = &response.topics[0].partitions;
        let leaders: BTreeSet<i32> = partitions.iter().map(|partition| partition.leader_id).collect();
        assert_eq!(leaders, BTreeSet::from([0, 1, 2]), "broker {at}");
        assert!(partitions.iter().all(|partition| partition.isr_nodes.len() == 3 && partition.error_code.is_none()));
        assert!((0..3).all(|number| world.nodes[at].has_file(&format!("/kafka/t-{number}"))), "broker {at}");
    }
    assert_eq!(delete(&mut world, 0, "t"), ErrorCode::NONE);
    world.settle();
    for at in 0..3 {
        assert!(describe(&mut world, at).topics.is_empty(), "broker {at}");
        assert!((0..3).all(|number| !world.nodes[at].has_file(&format!("/kafka/t-{number}"))), "broker {at}");
    }
    assert_eq!(create(&mut world, 0, "t", 1, 3), ErrorCode::NONE, "the name is free again");
}

#[test]
fn who_is_not_the_controller_says_so() {
    let mut world = World::cluster(2, "");
    assert_eq!(create(&mut world, 1, "t", 1, 1), ErrorCode::NOT_CONTROLLER);
    assert_eq!(delete(&mut world, 1, "t"), ErrorCode::NOT_CONTROLLER);
    assert_eq!(create(&mut world, 0, "t", 1, 2), ErrorCode::NONE);
    let mut client = world.nodes[1].connect();
    let refused = world.ask(&mut client, &alter_isr::Request::default(), 0);
    assert_eq!(refused.error_code, ErrorCode::NOT_CONTROLLER);
    for version in versions(ApiKey::ControlledShutdown) {
        let refused = world.ask(&mut client, &controlled_shutdown::Request::default(), version);
        assert_eq!(refused.error_code, ErrorCode::STALE_CONTROLLER_EPOCH, "v{version}");
    }
    let refused = world.ask(&mut client, &alter_partition_reassignments::Request::default(), 0);
    assert_eq!(refused.error_code, ErrorCode::NOT_CONTROLLER);
    let refused = world.ask(&mut client, &list_partition_reassignments::Request::default(), 0);
    assert_eq!(refused.error_code, ErrorCode::NOT_CONTROLLER);
    let refused = world.ask(&mut client, &update_features::Request::default(), 0);
    assert_eq!(refused.error_code, ErrorCode::NOT_CONTROLLER);
    for version in versions(ApiKey::ElectLeaders) {
        let all = elect_leaders::Request { topics: None, ..elect_leaders::Request::default() };
        let refused = world.ask(&mut client, &all, version);
        let partition = &refused.topics[0].partitions[0];
        assert_eq!((refused.error_code, partition.error_code), (ErrorCode::NONE, ErrorCode::NOT_CONTROLLER));
    }
}

#[test]
fn another_broker_takes_the_office_of_one_that_is_gone() {
    let mut world = World::cluster(3, "");
    assert_eq!(create(&mut world, 0, "t", 1, 3), ErrorCode::NONE);
    world.kill_node(0);
    for _ in 0..5 {
        world.advance(200);
    }
    let controller = describe(&mut world, 1).controller_id;
    assert!([1, 2].contains(&controller));
    for at in [1, 2] {
        let response = describe(&mut world, at);
        assert_eq!((ids(&response), response.controller_id), (vec![1, 2], controller), "broker {at}");
        let partition = &response.topics[0].partitions[0];
        assert!([1, 2].contains(&partition.leader_id) && partition.offline_replicas == [0], "{partition:?}");
    }
    assert_eq!(create(&mut world, controller as usize, "u", 1, 2), ErrorCode::NONE);
    // The old one comes back and is told of what it missed.
    world.start_node(0);
    world.advance(200);
    let response = describe(&mut world, 0);
    assert_eq!((ids(&response), response.controller_id, response.topics.len()), (vec![0, 1, 2], controller, 2));
}

#[test]
fn what_a_broker_could_not_be_told_is_said_again() {
    let mut world = World::cluster(2, "");
    world.unreachable.insert(1);
    assert_eq!(create(&mut world, 0, "t", 1, 2), ErrorCode::NONE, "the controller itself knows the leader");
    assert!(describe(&mut world, 1).topics.is_empty());
    world.advance(1000);
    world.unreachable.clear();
    world.advance(100);
    world.advance(100);
    assert_eq!(describe(&mut world, 1).topics.len(), 1);
    assert!(world.nodes[1].has_file("/kafka/t-0"));
}

#[test]
fn a_stale_controller_is_refused_and_so_is_what_was_for_an_earlier_life() {
    let mut world = World::cluster(2, "");
    let epoch = world.nodes[1].broker.epoch();
    let mut client = world.nodes[1].connect();
    let topic_states = vec![leader_and_isr::TopicState {
        topic_name: Str::from_static("x"),
        partition_states: vec![leader_and_isr::PartitionState { partition_index: 3, ..Default::default() }],
    }];
    let stopped = vec![stop_replica::TopicState {
        topic_name: Str::from_static("x"),
        partition_states: vec![stop_replica::PartitionState::default()],
    }];
    for (controller_epoch, broker_epoch, code) in
        [(0, epoch, ErrorCode::STALE_CONTROLLER_EPOCH), (9, epoch - 1, ErrorCode::STALE_BROKER_EPOCH)]
    {
        let request = update_metadata::Request { controller_epoch, broker_epoch, ..Default::default() };
        assert_eq!(world.ask(&mut client, &request, 6).error_code, code);
        let topic_states = topic_states.clone();
        let request = leader_and_isr::Request { controller_epoch, broker_epoch, topic_states, ..Default::default() };
        let response = world.ask(&mut client, &request, 4);
        let partition = &response.partition_errors[0];
        assert_eq!((response.error_code, partition.partition_index, partition.error_code), (code, 3, code));
        let topic_states = stopped.clone();
        let request = stop_replica::Request { controller_epoch, broker_epoch, topic_states, ..Default::default() };
        let response = world.ask(&mut client, &request, 3);
        assert_eq!((response.error_code, response.partition_errors.len()), (code, 0));
    }
    assert_eq!(ids(&describe(&mut world, 1)), [0, 1], "nothing of it was done");
    // A controller of before KIP-380 knows no broker epochs.
    let request = update_metadata::Request { controller_epoch: 9, broker_epoch: -1, ..Default::default() };
    assert_eq!(world.ask(&mut client, &request, 6).error_code, ErrorCode::NONE);
    assert!(ids(&describe(&mut world, 1)).is_empty());
}

#[test]
fn a_controller_of_any_age_is_obeyed() {
    for version in versions(ApiKey::LeaderAndIsr) {
        let mut world = World::cluster(1, "");
        let mut client = world.connect();
        let state = leader_and_isr::PartitionState {
            topic_name: Str::from_static("old"),
            replicas: vec![0],
            isr: vec![0],
            controller_epoch: 7,
            is_new: version >= 1,
            ..Default::default()
        };
        let mut request = leader_and_isr::Request { controller_epoch: 7, ..Default::default() };
        if version < 2 {
            request.ungrouped_partition_states = vec![state];
        } else {
            let topic_name = Str::from_static("old");
            request.topic_states = vec![leader_and_isr::TopicState { topic_name, partition_states: vec![state] }];
        }
        let response = world.ask(&mut client, &request, version);
        assert_eq!(response.partition_errors[0].error_code, ErrorCode::NONE, "v{version}");
        assert!(world.has_file("/kafka/old-0"), "v{version}");
    }
    for version in versions(ApiKey::StopReplica) {
        let mut world = World::cluster(1, "");
        assert_eq!(create(&mut world, 0, "t", 2, 1), ErrorCode::NONE);
        let mut client = world.connect();
        let topic_name = Str::from_static("t");
        let mut request = stop_replica::Request { controller_epoch: 7, ..Default::default() };
        match version {
            0 => {
                let partition = stop_replica::UngroupedPartition { topic_name, partition_index: 1 };
                request.ungrouped_partitions = vec![partition];
            }
            1 | 2 => {
                let topic = stop_replica::RequestTopic { name: topic_name, partition_indexes: vec![1] };
                request.topics = vec![topic];
            }
            _ => {
                let state =
                    stop_replica::PartitionState { partition_index: 1, leader_epoch: 5, delete_partition: true };
                request.topic_states = vec![stop_replica::TopicState { topic_name, partition_states: vec![state] }];
            }
        }
        request.delete_partitions = version < 3;
        let response = world.ask(&mut client, &request, version);
        let error = &response.partition_errors[0];
        assert_eq!(
            (response.error_code, error.partition_index, error.error_code),
            (ErrorCode::NONE, 1, ErrorCode::NONE)
        );
        assert!(world.has_file("/kafka/t-0") && !world.has_file("/kafka/t-1"), "v{version}");
    }
}

#[test]
fn what_old_controllers_say_of_brokers_is_understood() {
    for version in versions(ApiKey::UpdateMetadata) {
        let mut world = World::cluster(1, "");
        let mut client = world.connect();
        let endpoint = update_metadata::Endpoint {
            port: 9000,
            host: Str::from_static("there"),
            listener: if version >= 3 { Str::from_static("PLAINTEXT") } else { Str::EMPTY },
            security_protocol: 0,
        };
        let mut live = update_metadata::LiveBroker { broker_id: 5, ..Default::default() };
        if version == 0 {
            (live.host_v0, live.port_v0) = (Str::from_static("there"), 9000);
        } else {
            live.endpoints = vec![endpoint];
        }
        if version >= 2 {
            live.rack = Some(Str::from_static("r"));
        }
        let state = update_metadata::PartitionState {
            topic_name: Str::from_static("t"),
            leader: 5,
            isr: vec![5],
            replicas: vec![5, 6],
            offline_replicas: if version >= 4 { vec![6] } else { Vec::new() },
            ..Default::default()
        };
        let mut request = update_metadata::Request {
            controller_id: 5,
            controller_epoch: 7,
            live_brokers: vec![live],
            ..Default::default()
        };
        if version < 5 {
            request.ungrouped_partition_states = vec![state];
        } else {
            let topic_name = Str::from_static("t");
            request.topic_states = vec![update_metadata::TopicState { topic_name, partition_states: vec![state] }];
        }
        assert_eq!(world.ask(&mut client, &request, version).error_code, ErrorCode::NONE, "v{version}");
        let response = describe(&mut world, 0);
        let broker = &response.brokers[0];
        assert_eq!((broker.node_id, broker.host.as_str(), broker.port), (5, "there", 9000), "v{version}");
        assert_eq!(broker.rack.is_some(), version >= 2, "v{version}");
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.leader_id, partition.replica_nodes.as_slice()), (5, &[5, 6][..]), "v{version}");
        assert_eq!(partition.offline_replicas.is_empty(), version < 4, "v{version}");
    }
}

fn elect_preferred(world: &mut World, at: usize, version: i16) -> elect_leaders::Response {
    let mut client = world.nodes[at].connect();
    let request = elect_leaders::Request { topics: None, timeout_ms: 1000, ..elect_leaders::Request::default() };
    world.ask(&mut client, &request, version)
}

#[test]
fn a_broker_that_stops_hands_over_first_and_takes_part_again_when_it_is_back() {
    let mut world = World::cluster(3, "auto.leader.rebalance.enable=false");
    assert_eq!(create(&mut world, 0, "t", 3, 3), ErrorCode::NONE);
    world.stop_node(2);
    for at in [0, 1] {
        let response = describe(&mut world, at);
        for partition in &response.topics[0].partitions {
            assert!([0, 1].contains(&partition.leader_id) && partition.error_code.is_none(), "{partition:?}");
            assert_eq!(partition.isr_nodes.len(), 2, "{partition:?}");
        }
    }
    world.start_node(2);
    // Its followers catch up, and the leaders ask the controller, on their own broker or on another, to take them in.
    for _ in 0..20 {
        world.advance(500);
    }
    let response = describe(&mut world, 1);
    assert!(response.topics[0].partitions.iter().all(|partition| partition.isr_nodes.len() == 3), "{response:?}");
    // It leads again when it is asked for, and the answer waits for that.
    let elected = elect_preferred(&mut world, 0, 2);
    assert_eq!((elected.topics.len(), elected.topics[0].partitions.len()), (1, 1), "one was in want of it");
    assert_eq!(elected.topics[0].partitions[0].error_code, ErrorCode::NONE);
    let leaders: BTreeSet<i32> =
        describe(&mut world, 2).topics[0].partitions.iter().map(|partition| partition.leader_id).collect();
    assert_eq!(leaders, BTreeSet::from([0, 1, 2]));
    assert!(elect_preferred(&mut world, 0, 1).topics.is_empty(), "nothing is left to do");
}

#[test]
fn the_controller_hands_over_too_when_it_stops() {
    let mut world = World::cluster(2, "");
    assert_eq!(create(&mut world, 0, "t", 2, 2), ErrorCode::NONE);
    world.stop_node(0);
    world.advance(100);
    let response = describe(&mut world, 1);
    assert_eq!((ids(&response), response.controller_id), (vec![1], 1));
    assert!(response.topics[0].partitions.iter().all(|partition| partition.leader_id == 1), "{response:?}");
    assert_eq!(create(&mut world, 1, "u", 1, 1), ErrorCode::NONE);
}

#[test]
fn replicas_are_moved_to_other_brokers() {
    let mut world = World::cluster(3, "");
    let topic = create_topics::RequestTopic {
        name: Str::from_static("t"),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![create_topics::Assignment { partition_index: 0, broker_ids: vec![1] }],
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
    let mut client = world.connect();
    assert_eq!(world.ask(&mut client, &request, 5).topics[0].error_code, ErrorCode::NONE);
    let partitions = vec![
        alter_partition_reassignments::RequestPartition { partition_index: 0, replicas: Some(vec![2]) },
        alter_partition_reassignments::RequestPartition { partition_index: 9, replicas: None },
    ];
    let topics = vec![alter_partition_reassignments::RequestTopic { name: Str::from_static("t"), partitions }];
    let request = alter_partition_reassignments::Request { topics, ..Default::default() };
    let answer = world.ask(&mut client, &request, 0);
    let codes: Vec<_> =
        answer.responses[0].partitions.iter().map(|one| (one.partition_index, one.error_code)).collect();
    assert_eq!(codes, [(0, ErrorCode::NONE), (9, ErrorCode::NO_REASSIGNMENT_IN_PROGRESS)]);
    for _ in 0..20 {
        world.advance(500);
    }
    let left = world.ask(&mut client, &list_partition_reassignments::Request { topics: None, ..Default::default() }, 0);
    assert!(left.topics.is_empty(), "{left:?}");
    let response = describe(&mut world, 1);
    let partition = &response.topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.replica_nodes.as_slice()), (2, &[2][..]));
    assert!(world.nodes[2].has_file("/kafka/t-0") && !world.nodes[1].has_file("/kafka/t-0"));
}

#[test]
fn a_broker_at_the_address_of_another_does_not_start() {
    let mut world = World::cluster(2, "");
    let failure = world.start_further("listeners=PLAINTEXT://:9099\nadvertised.listeners=PLAINTEXT://localhost:9093");
    assert_eq!(
        failure.as_deref(),
        Some(
            "requirement failed: Configured end points localhost:9093 in advertised listeners are already registered by broker 1"
        )
    );
    assert_eq!(ids(&describe(&mut world, 0)), [0, 1]);
}

#[test]
fn a_broker_of_a_number_that_is_taken_gives_up_and_the_cluster_goes_on() {
    let mut world = World::cluster(2, "zookeeper.session.timeout.ms=6000");
    let failure = world.start_further("broker.id=0\nzookeeper.session.timeout.ms=6000");
    assert_eq!(failure, None);
    for _ in 0..100 {
        world.advance(100);
    }
    assert_eq!(world.nodes[2].process.failed.lock().as_deref(), Some("KeeperErrorCode = NodeExists"));
    world.nodes[2].is_down = true;
    assert_eq!(create(&mut world, 0, "t", 1, 1), ErrorCode::NONE);
}

/// Wherever the session of the controller ends: what it leaves unanswered is not taken for a cluster without topics, whose deletions nobody
/// wants any more.
#[test]
fn a_deletion_outlives_the_office_that_ends_with_its_session() {
    for pieces in 0.. {
        let mut world = World::cluster(2, "zookeeper.session.timeout.ms=6000");
        assert_eq!(create(&mut world, 0, "t", 1, 2), ErrorCode::NONE);
        world.kill_node(1);
        let request = delete_topics::Request { topic_names: vec![Str::from_static("t")], timeout_ms: 0 };
        let mut client = world.connect();
        assert_eq!(world.ask(&mut client, &request, 4).responses[0].error_code, ErrorCode::REQUEST_TIMED_OUT);
        world.stop();
        let was_cut_off = world.expire_within(pieces, World::begin_anew);
        world.start_node(1);
        for _ in 0..20 {
            world.advance(500);
        }
        for at in 0..2 {
            assert!(describe(&mut world, at).topics.is_empty(), "after {pieces} pieces: topics on broker {at}");
            assert!(!world.nodes[at].has_file("/kafka/t-0"), "after {pieces} pieces: files on broker {at}");
        }
        if !was_cut_off {
            assert!(pieces > 8, "{pieces}");
            return;
        }
    }
}
