//! Racks, from the brokers' registrations to where replicas go and where consumers read.

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::{create_partitions, create_topics, fetch, find_coordinator, metadata};

use crate::data::{batch, fetch_request, produce_request};
use crate::world::{Client, World};

fn create(world: &mut World, client: &mut Client, topic: create_topics::RequestTopic) -> (ErrorCode, Option<Str>) {
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
    let answer = world.ask(client, &request, 5).topics.remove(0);
    (answer.error_code, answer.error_message)
}

fn spread(name: &str, partitions: i32, factor: i16) -> create_topics::RequestTopic {
    create_topics::RequestTopic {
        name: Str::from(name),
        num_partitions: partitions,
        replication_factor: factor,
        ..create_topics::RequestTopic::default()
    }
}

fn given(name: &str, replicas: &[i32]) -> create_topics::RequestTopic {
    let assignments = vec![create_topics::Assignment { partition_index: 0, broker_ids: replicas.to_vec() }];
    create_topics::RequestTopic { assignments, ..spread(name, -1, -1) }
}

fn describe(world: &mut World, client: &mut Client, name: &str) -> metadata::Response {
    let topics = Some(vec![metadata::RequestTopic { name: Str::from(name) }]);
    world.ask(client, &metadata::Request { topics, ..metadata::Request::default() }, 9)
}

#[test]
fn replicas_are_spread_over_the_racks_of_the_registrations() {
    let rack = |index: usize| ["a", "a", "b", "b"][index];
    let mut world = World::cluster_of(4, |index| format!("broker.rack={}", rack(index)));
    let mut client = world.connect();
    assert_eq!(create(&mut world, &mut client, spread("t", 8, 2)), (ErrorCode::NONE, None));
    let topic = create_partitions::RequestTopic { name: Str::from("t"), count: 16, assignments: None };
    let request = create_partitions::Request { topics: vec![topic], timeout_ms: 1000, validate_only: false };
    assert_eq!(world.ask(&mut client, &request, 3).results[0].error_code, ErrorCode::NONE);
    let told = describe(&mut world, &mut client, "t");
    let racks: Vec<_> = told.brokers.iter().map(|broker| broker.rack.as_deref()).collect();
    assert_eq!(racks, [Some("a"), Some("a"), Some("b"), Some("b")]);
    assert_eq!(told.topics[0].partitions.len(), 16);
    for partition in &told.topics[0].partitions {
        let racks =
            partition.replica_nodes.iter().map(|id| rack(*id as usize)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(racks.len(), 2, "{partition:?}");
    }
}

/// Where some brokers name a rack and some do not, clients make no topics whose replicas are to be spread; those that are made by
/// themselves are.
#[test]
fn racks_of_some_brokers_alone_are_refused() {
    let mut world = World::cluster_of(2, |index| if index == 0 { String::new() } else { "broker.rack=a".to_owned() });
    let mut client = world.connect();
    let refused = (ErrorCode::UNKNOWN_SERVER_ERROR, None);
    assert_eq!(create(&mut world, &mut client, spread("spread", 1, 1)), refused);
    // What is wrong with the wish itself is told first.
    assert_eq!(create(&mut world, &mut client, spread("spread", 1, 3)).0, ErrorCode::INVALID_REPLICATION_FACTOR);
    assert_eq!(create(&mut world, &mut client, given("given", &[1, 0])), (ErrorCode::NONE, None));

    let grown =
        |name: &str, assignments| create_partitions::RequestTopic { name: Str::from(name), count: 2, assignments };
    let assignments = Some(vec![create_partitions::Assignment { broker_ids: vec![0, 1] }]);
    let topics = vec![grown("given", assignments), grown("twice", None), grown("twice", None)];
    let request = create_partitions::Request { topics, timeout_ms: 1000, validate_only: false };
    let results: Vec<_> = world
        .ask(&mut client, &request, 3)
        .results
        .into_iter()
        .map(|result| (result.name.to_string(), (result.error_code, result.error_message)))
        .collect();
    let refused = |name: &str| (name.to_owned(), refused.clone());
    assert_eq!(results, [refused("given"), refused("twice"), refused("twice")]);
    assert_eq!(describe(&mut world, &mut client, "given").topics[0].partitions.len(), 1);

    assert_eq!(describe(&mut world, &mut client, "automatic").topics[0].error_code, ErrorCode::LEADER_NOT_AVAILABLE);
    assert_eq!(describe(&mut world, &mut client, "automatic").topics[0].error_code, ErrorCode::NONE);
}

#[test]
fn the_topic_of_groups_is_made_where_some_brokers_alone_name_a_rack() {
    let lines = "offsets.topic.num.partitions=1\noffsets.topic.replication.factor=2";
    let mut world =
        World::cluster_of(2, |index| if index == 0 { lines.to_owned() } else { format!("{lines}\nbroker.rack=a") });
    let mut client = world.connect();
    let request = find_coordinator::Request { key: "g".into(), key_type: 0 };
    let first = world.ask(&mut client, &request, 3).error_code;
    assert_eq!(first, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(describe(&mut world, &mut client, "__consumer_offsets").topics[0].partitions[0].replica_nodes.len(), 2);
}

/// The leader is broker 0, in rack a; the replica in rack c has no listener EXTRA.
#[test]
fn a_consumer_is_sent_to_a_replica_alone_that_has_its_listener() {
    let mut world = World::cluster_of(3, |index| {
        let rack = ["a", "b", "c"][index];
        let extra = if index == 2 { String::new() } else { format!(",EXTRA://localhost:{}", 9192 + index) };
        format!(
            "listeners=PLAINTEXT://localhost:{}{extra}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,EXTRA:PLAINTEXT\n\
             broker.rack={rack}\n\
             replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector",
            9092 + index
        )
    });
    let mut client = world.connect();
    assert_eq!(create(&mut world, &mut client, given("t", &[0, 1, 2])).0, ErrorCode::NONE);
    client.send(&world, &produce_request(batch(&["a"]), -1), 8);
    for _ in 0..8 {
        world.advance(250);
    }
    for (listener, rack, replica) in
        [("PLAINTEXT", "b", 1), ("PLAINTEXT", "c", 2), ("EXTRA", "a", -1), ("EXTRA", "b", 1), ("EXTRA", "c", -1)]
    {
        let mut consumer = world.connect_to(listener);
        let request = fetch::Request { rack_id: Str::from(rack), ..fetch_request(0, 500) };
        let answer = world.ask(&mut consumer, &request, 11);
        let partition = &answer.topics[0].partitions[0];
        assert_eq!(partition.preferred_read_replica, replica, "rack {rack} at {listener}");
        let is_sent = !partition.records.as_ref().is_none_or(kafka_proto::wire::Records::is_empty);
        assert_eq!(is_sent, replica == -1, "rack {rack} at {listener}");
    }
}
