//! Several listeners in a cluster: who is met where.

use std::collections::BTreeSet;

use base::Str;
use kafka_proto::messages::{create_topics, delete_topics, metadata, produce};
use kafka_proto::{ApiKey, ErrorCode};

use crate::data::{batch, produce_request};
use crate::world::World;

/// Three brokers that clients, followers and the controller each meet at listeners of their own, with these further lines.
fn world(lines: &str) -> World {
    World::cluster_of(3, |index| {
        let [client, replication, controller] = [9092, 9192, 9292].map(|first| first + index);
        format!(
            "listeners=CLIENT://localhost:{client},REPLICATION://localhost:{replication},CONTROLLER://localhost:{controller}\n\
             listener.security.protocol.map=CLIENT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             {lines}"
        )
    })
}

fn describe(world: &mut World, at: usize, listener: &str) -> metadata::Response {
    let mut client = world.nodes[at].connect_to(listener);
    world.ask(&mut client, &metadata::Request { topics: None, ..metadata::Request::default() }, 9)
}

/// Makes brokers ask each other whatever they ask: what, and at which listeners.
fn asked(world: &mut World) -> BTreeSet<(String, ApiKey)> {
    let mut client = world.nodes[0].connect_to("CLIENT");
    let topic = create_topics::RequestTopic {
        name: Str::from_static("t"),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![create_topics::Assignment { partition_index: 0, broker_ids: vec![1, 2, 0] }],
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
    assert_eq!(world.ask(&mut client, &request, 5).topics[0].error_code, ErrorCode::NONE);
    // The leader takes broker 2 in when it is back.
    world.kill_node(2);
    world.start_node(2);
    (0..60).for_each(|_| world.advance(250));
    let mut producer = world.nodes[1].connect_to("CLIENT");
    producer.send(world, &produce_request(batch(&["a"]), -1), 8);
    (0..8).for_each(|_| world.advance(250));
    let answer = producer.receive::<produce::Request>(world, 8).expect("an answer");
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
    let partition = &describe(world, 0, "CLIENT").topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.isr_nodes.len()), (1, 3));
    for at in 0..3 {
        let log = world.nodes[at].content("/kafka/t-0/00000000000000000000.log");
        assert!(!log.is_empty(), "broker {at} has the record");
    }
    let request = delete_topics::Request { topic_names: vec![Str::from_static("t")], timeout_ms: 1000 };
    assert_eq!(world.ask(&mut client, &request, 5).responses[0].error_code, ErrorCode::NONE);
    world.stop_node(1);
    world.asked.lock().clone()
}

fn at(listener: &str, keys: &[ApiKey]) -> BTreeSet<(String, ApiKey)> {
    keys.iter().map(|key| (listener.to_owned(), *key)).collect()
}

const FROM_CONTROLLER: [ApiKey; 3] = [ApiKey::LeaderAndIsr, ApiKey::UpdateMetadata, ApiKey::StopReplica];
const OF_BROKERS: [ApiKey; 2] = [ApiKey::Fetch, ApiKey::ControlledShutdown];

#[test]
fn everybody_is_told_the_endpoints_of_the_listener_at_which_he_came() {
    let mut world = world("inter.broker.listener.name=REPLICATION\ncontrol.plane.listener.name=CONTROLLER");
    for (listener, first) in [("CLIENT", 9092), ("REPLICATION", 9192), ("CONTROLLER", 9292)] {
        for at in 0..3 {
            let ports: Vec<i32> = describe(&mut world, at, listener).brokers.iter().map(|broker| broker.port).collect();
            assert_eq!(ports, [first, first + 1, first + 2], "{listener} of broker {at}");
        }
    }
}

#[test]
fn followers_and_the_controller_come_at_listeners_of_their_own() {
    let mut world = world("inter.broker.listener.name=REPLICATION\ncontrol.plane.listener.name=CONTROLLER");
    let mut expected = at("CONTROLLER", &FROM_CONTROLLER);
    expected.extend(at("CONTROLLER", &[ApiKey::AlterIsr]));
    expected.extend(at("REPLICATION", &OF_BROKERS));
    assert_eq!(asked(&mut world), expected);
}

#[test]
fn without_a_listener_of_its_own_the_controller_comes_where_the_followers_do() {
    let mut world = world("inter.broker.listener.name=REPLICATION");
    let mut expected = at("REPLICATION", &FROM_CONTROLLER);
    expected.extend(at("REPLICATION", &[ApiKey::AlterIsr]));
    expected.extend(at("REPLICATION", &OF_BROKERS));
    assert_eq!(asked(&mut world), expected);
}
