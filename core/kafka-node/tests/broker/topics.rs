//! Topics, their metadata and their configs.

use base::{Fault, Str};
use kafka_proto::messages::{
    api_versions, create_partitions, create_topics, delete_topics, describe_configs, incremental_alter_configs,
    metadata,
};
use kafka_proto::{ApiKey, ErrorCode};

use crate::world::{Client, World, versions};

const SESSION_NOTE: &str = "/kafka/.jackdaw.session";

/// Makes a topic with so many partitions.
pub(crate) fn create_topic(world: &mut World, client: &mut Client, name: &str, partitions: i32) {
    let topic = create_topics::RequestTopic {
        name: Str::from(name),
        num_partitions: partitions,
        replication_factor: 1,
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
    let response = world.ask(client, &request, 5);
    assert_eq!(response.topics[0].error_code, ErrorCode::NONE, "{response:?}");
}

fn describe(world: &mut World, client: &mut Client, name: &str) -> metadata::ResponseTopic {
    let topics = Some(vec![metadata::RequestTopic { name: Str::from(name) }]);
    let request = metadata::Request { topics, allow_auto_topic_creation: false, ..metadata::Request::default() };
    world.ask(client, &request, 9).topics.remove(0)
}

#[test]
fn a_broker_that_serves_names_itself_as_controller() {
    let mut world = World::new("");
    let mut client = world.connect();
    let response = world.ask(&mut client, &metadata::Request::default(), 1);
    assert_eq!((response.controller_id, response.brokers.len(), response.brokers[0].port), (0, 1, 9092));
    assert!(world.broker.epoch() > 0);
}

#[test]
fn what_is_advertised_is_answered_at_every_version() {
    let mut world = World::new("");
    let mut client = world.connect();
    for version in versions(ApiKey::ApiVersions) {
        let software = Str::from(if version >= 3 { "test" } else { "" });
        let request =
            api_versions::Request { client_software_name: software.clone(), client_software_version: software };
        let response = world.ask(&mut client, &request, version);
        assert!(response.api_keys.iter().any(|key| key.api_key == ApiKey::Produce.code()), "v{version}");
        for entry in &response.api_keys {
            let known = ApiKey::from_code(entry.api_key).unwrap().versions();
            assert_eq!((entry.min_version, entry.max_version), (known.first, known.last));
        }
    }
    for version in versions(ApiKey::Metadata) {
        let topics = if version == 0 { Some(Vec::new()) } else { None };
        let response = world.ask(&mut client, &metadata::Request { topics, ..metadata::Request::default() }, version);
        assert_eq!((response.brokers.len(), response.topics.len()), (1, 0), "v{version}");
    }
}

#[test]
fn topics_are_made_grown_and_deleted() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 2);
    let topic = describe(&mut world, &mut client, "t");
    assert_eq!(
        topic.partitions.iter().map(|one| (one.partition_index, one.leader_id)).collect::<Vec<_>>(),
        [(0, 0), (1, 0)]
    );
    let grow = create_partitions::RequestTopic { name: Str::from("t"), count: 5, assignments: None };
    let request = create_partitions::Request { topics: vec![grow.clone()], timeout_ms: 1000, validate_only: false };
    let response = world.ask(&mut client, &request, 3);
    assert_eq!(response.results[0].error_code, ErrorCode::NONE);
    assert_eq!(describe(&mut world, &mut client, "t").partitions.len(), 5);
    let response = world.ask(&mut client, &request, 3);
    assert_eq!(response.results[0].error_message.as_deref(), Some("Topic already has 5 partitions."));
    let request = delete_topics::Request { topic_names: vec![Str::from("t")], timeout_ms: 1000 };
    assert_eq!(world.ask(&mut client, &request, 5).responses[0].error_code, ErrorCode::NONE);
    assert_eq!(describe(&mut world, &mut client, "t").error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    // The name is free again.
    create_topic(&mut world, &mut client, "t", 1);
}

#[test]
fn refusals_have_the_originals_words() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "a.b", 1);
    let mut refusal = |name: &str, partitions, factor| {
        let topic = create_topics::RequestTopic {
            name: Str::from(name),
            num_partitions: partitions,
            replication_factor: factor,
            ..create_topics::RequestTopic::default()
        };
        let request =
            create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
        let mut response = world.ask(&mut client, &request, 5);
        let topic = response.topics.remove(0);
        (topic.error_code, topic.error_message.unwrap_or_default().to_string())
    };
    assert_eq!(refusal("a.b", 1, 1), (ErrorCode::TOPIC_ALREADY_EXISTS, "Topic 'a.b' already exists.".to_owned()));
    let collides = "Topic 'a_b' collides with existing topics: a.b".to_owned();
    assert_eq!(refusal("a_b", 1, 1), (ErrorCode::INVALID_TOPIC_EXCEPTION, collides));
    let factor = "Replication factor: 2 larger than available brokers: 1.".to_owned();
    assert_eq!(refusal("x", 1, 2), (ErrorCode::INVALID_REPLICATION_FACTOR, factor));
    assert_eq!(refusal("x", 0, 1).0, ErrorCode::INVALID_PARTITIONS);
    assert_eq!(refusal("..", 1, 1).0, ErrorCode::INVALID_TOPIC_EXCEPTION);
}

#[test]
fn what_no_znode_has_room_for_is_refused() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    for (partitions, code, text) in [
        (i32::MAX, ErrorCode::INVALID_PARTITIONS, "2147483647 partitions"),
        // Few enough to be looked at, too many to be written.
        (130_000, ErrorCode::UNKNOWN_SERVER_ERROR, "more than 1047551 bytes for a znode"),
    ] {
        let topic = create_topics::RequestTopic {
            name: Str::from("large"),
            num_partitions: partitions,
            replication_factor: 1,
            ..create_topics::RequestTopic::default()
        };
        let request =
            create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
        let answer = world.ask(&mut client, &request, 5).topics.remove(0);
        assert_eq!(answer.error_code, code);
        assert!(answer.error_message.as_deref().unwrap_or_default().contains(text), "{:?}", answer.error_message);
        let grow = create_partitions::RequestTopic { name: Str::from("t"), count: partitions, assignments: None };
        let request = create_partitions::Request { topics: vec![grow], timeout_ms: 1000, validate_only: false };
        let answer = world.ask(&mut client, &request, 3).results.remove(0);
        assert_eq!(answer.error_code, code);
    }
    let grow = create_partitions::RequestTopic { name: Str::from("t"), count: i32::MIN, assignments: None };
    let request = create_partitions::Request { topics: vec![grow], timeout_ms: 1000, validate_only: false };
    assert_eq!(world.ask(&mut client, &request, 3).results[0].error_code, ErrorCode::INVALID_PARTITIONS);
    // The session is unharmed.
    create_topic(&mut world, &mut client, "u", 3);
    assert_eq!(describe(&mut world, &mut client, "u").partitions.len(), 3);
}

#[test]
fn a_topic_asked_for_is_made() {
    let mut world = World::new("num.partitions=3");
    let mut client = world.connect();
    let topics = Some(vec![metadata::RequestTopic { name: Str::from("auto") }]);
    let request = metadata::Request { topics, ..metadata::Request::default() };
    assert_eq!(world.ask(&mut client, &request, 4).topics[0].error_code, ErrorCode::LEADER_NOT_AVAILABLE);
    assert_eq!(world.ask(&mut client, &request, 4).topics[0].partitions.len(), 3);
}

#[test]
fn configs_are_changed_announced_and_described() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 1);
    let response = world.ask(&mut client, &set_config("t", "retention.ms", "1234"), 1);
    assert_eq!(response.responses[0].error_code, ErrorCode::NONE, "{response:?}");
    let response = world.ask(&mut client, &set_config("t", "retention.ms", "soon"), 1);
    assert_eq!(response.responses[0].error_code, ErrorCode::INVALID_REQUEST);
    let response = world.ask(&mut client, &set_config("t", "no.such.key", "1"), 1);
    assert_eq!(response.responses[0].error_code, ErrorCode::INVALID_CONFIG);
    assert_eq!(stored_config(&mut world, &mut client, "retention.ms"), Some("1234".to_owned()));
    assert_eq!(stored_config(&mut world, &mut client, "max.message.bytes"), None);
}

pub(crate) fn set_config(topic: &str, name: &str, value: &str) -> incremental_alter_configs::Request {
    incremental_alter_configs::Request {
        resources: vec![incremental_alter_configs::Resource {
            resource_type: 2,
            resource_name: Str::from(topic),
            configs: vec![incremental_alter_configs::Config {
                name: Str::from(name),
                config_operation: 0,
                value: Some(Str::from(value)),
            }],
        }],
        validate_only: false,
    }
}

/// What the topic `t` sets for itself.
fn stored_config(world: &mut World, client: &mut Client, name: &str) -> Option<String> {
    let request = describe_configs::Request {
        resources: vec![describe_configs::Resource {
            resource_type: 2,
            resource_name: Str::from("t"),
            configuration_keys: Some(vec![Str::from(name)]),
        }],
        include_synonyms: true,
        include_documentation: false,
    };
    let response = world.ask(client, &request, 3);
    let [config] = &response.results[0].configs[..] else { panic!("{response:?}") };
    config.value.as_deref().filter(|_| config.config_source == 1).map(str::to_owned)
}

/// Wherever the session ends: what stands in ZooKeeper holds on the broker.
#[test]
fn a_change_of_a_config_is_not_lost_with_the_session() {
    let mut changed = 0;
    for pieces in 0.. {
        let mut world = World::new("");
        let mut client = world.connect();
        create_topic(&mut world, &mut client, "t", 1);
        let was_cut_off = world.expire_within(pieces, |world| {
            client.send(world, &set_config("t", "max.message.bytes", "100"), 1);
        });
        let mut client = world.connect();
        let is_set = stored_config(&mut world, &mut client, "max.message.bytes") == Some("100".to_owned());
        changed += usize::from(is_set && was_cut_off);
        let expected = if is_set { ErrorCode::MESSAGE_TOO_LARGE } else { ErrorCode::NONE };
        assert_eq!(write(&mut world, &mut client, &"long".repeat(100)), expected, "after {pieces} pieces");
        if !was_cut_off {
            assert!(is_set && changed > 2);
            return;
        }
    }
}

/// What a topic is made with holds from its first record on, not from the next start or change on.
#[test]
fn a_new_topic_lives_by_what_it_was_made_with() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic_with_short_records(&mut world, &mut client);
    assert_eq!(write(&mut world, &mut client, "short"), ErrorCode::NONE);
    assert_eq!(write(&mut world, &mut client, &"long".repeat(100)), ErrorCode::MESSAGE_TOO_LARGE);
}

fn create_topic_with_short_records(world: &mut World, client: &mut Client) {
    let config =
        |name: &str, value: &str| create_topics::RequestConfig { name: name.into(), value: Some(value.into()) };
    let topic = create_topics::RequestTopic {
        name: Str::from("t"),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![config("max.message.bytes", "100"), config("retention.ms", "-1")],
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, ..create_topics::Request::default() };
    assert_eq!(world.ask(client, &request, 5).topics[0].error_code, ErrorCode::NONE);
}

fn write(world: &mut World, client: &mut Client, value: &str) -> ErrorCode {
    let request = crate::data::produce_request(crate::data::batch(&[value]), -1);
    world.ask(client, &request, 8).topics[0].partitions[0].error_code
}

#[test]
fn topics_are_there_after_a_restart() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 2);
    world.restart();
    let mut client = world.connect();
    let topic = describe(&mut world, &mut client, "t");
    assert_eq!((topic.partitions.len(), topic.partitions[0].leader_id), (2, 0));
}

#[test]
fn a_session_that_expired_is_replaced_and_the_office_taken_again() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "before", 1);
    let epoch = world.broker.epoch();
    world.expire_session();
    assert!(world.broker.epoch() > epoch, "registered anew");
    create_topic(&mut world, &mut client, "after", 1);
    assert_eq!(describe(&mut world, &mut client, "before").partitions[0].leader_id, 0);
}

/// Who connects as soon as it is possible finds the cluster as it is.
#[test]
fn the_first_answer_names_brokers_and_topics() {
    let mut world = World::new("");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 2);
    world.stop();
    world.start_until_ready();
    let mut client = world.connect();
    client.send(&world, &metadata::Request::default(), 1);
    let answer = client.receive::<metadata::Request>(&world, 1).expect("an answer at once");
    assert_eq!((answer.brokers.len(), answer.controller_id), (1, 0));
    assert_eq!((answer.topics.len(), answer.topics[0].partitions.len()), (1, 2));
    assert!(answer.topics[0].partitions.iter().all(|partition| partition.leader_id == 0));
}

/// Loading may take longer than a session lives without its server.
#[test]
fn a_start_goes_on_in_the_session_after_the_one_in_which_it_began() {
    let mut world = World::new("zookeeper.session.timeout.ms=6000");
    world.restart_in_two_sessions();
    assert_eq!(world.broker.epoch(), -1, "it does not register before its logs are loaded");
    for _ in 0..20 {
        world.advance(1000);
    }
    assert_eq!(*world.process.failed.lock(), None);
    assert!(world.broker.is_ready());
}

/// Wherever the session ends: the step is done again in the next one, and topics' logs live by what is set for them.
#[test]
fn a_start_may_be_cut_off_by_the_sessions_end_anywhere() {
    for pieces in 0.. {
        let mut world = World::new("zookeeper.session.timeout.ms=6000");
        let mut client = world.connect();
        create_topic_with_short_records(&mut world, &mut client);
        world.stop();
        let was_cut_off = world.expire_within(pieces, World::begin_anew);
        assert_eq!(*world.process.failed.lock(), None, "after {pieces} pieces");
        assert!(world.broker.is_ready(), "after {pieces} pieces");
        let mut client = world.connect();
        assert_eq!(write(&mut world, &mut client, "short"), ErrorCode::NONE, "after {pieces} pieces");
        let long = write(&mut world, &mut client, &"long".repeat(100));
        assert_eq!(long, ErrorCode::MESSAGE_TOO_LARGE, "after {pieces} pieces");
        if !was_cut_off {
            assert!(pieces > 8, "{pieces}");
            return;
        }
    }
}

/// As above, where nothing is there yet: neither the cluster's id nor the broker's.
#[test]
fn a_first_start_may_be_cut_off_by_the_sessions_end_anywhere() {
    for pieces in 0.. {
        let mut world = World::cluster(0, "");
        let was_cut_off = world.expire_within(pieces, |world| {
            assert_eq!(world.start_further("broker.id=-1\nzookeeper.session.timeout.ms=6000"), None);
        });
        assert_eq!(*world.process.failed.lock(), None, "after {pieces} pieces");
        assert!(world.broker.is_ready(), "after {pieces} pieces");
        let mut client = world.connect();
        let told = world.ask(&mut client, &metadata::Request::default(), 2);
        assert!(told.brokers[0].node_id > 1000 && told.cluster_id.is_some(), "after {pieces} pieces: {told:?}");
        if !was_cut_off {
            assert!(pieces > 8, "{pieces}");
            return;
        }
    }
}

#[test]
fn a_start_after_a_clean_stop_that_was_cut_short_does_not_wait_for_the_old_session() {
    let mut world = World::new("");
    let epoch = world.broker.epoch();
    world.stop_and_kill();
    assert!(world.broker.epoch() > epoch, "registered at once: the clock has not moved");
    assert!(world.has_file(SESSION_NOTE));
}

#[test]
fn a_clean_stop_takes_its_note_away_and_one_without_zookeeper_leaves_it() {
    let mut world = World::new("");
    world.broker.stop();
    world.settle();
    assert!(world.broker.zookeeper_is_over() && !world.has_file(SESSION_NOTE));

    let mut world = World::new("");
    world.lose_zookeeper();
    world.broker.stop();
    world.settle();
    assert!(world.broker.zookeeper_is_over() && world.has_file(SESSION_NOTE));
}

#[test]
fn a_second_broker_with_the_same_id_waits_for_a_while_and_gives_up() {
    let mut world = World::new("");
    let epoch = world.broker.epoch();
    world.start_another("zookeeper.session.timeout.ms=4000");
    for _ in 0..60 {
        assert_eq!(*world.process.failed.lock(), None);
        world.advance(100);
    }
    world.advance(200);
    assert_eq!(world.process.failed.lock().as_deref(), Some("KeeperErrorCode = NodeExists"));
    assert!(world.broker.epoch() < epoch, "it never registered");
}

#[test]
fn a_broker_waits_for_zookeeper_for_ever_unless_the_file_sets_a_limit() {
    for (lines, failure) in [
        ("", None),
        (
            "zookeeper.connection.timeout.ms=4000",
            Some("Timed out waiting for connection while in state: CONNECTING".to_owned()),
        ),
    ] {
        let mut world = World::new(lines);
        world.broker.stop();
        world.settle();
        world.without_zookeeper = true;
        world.start_anew();
        world.advance(3900);
        assert_eq!(*world.process.failed.lock(), None);
        world.advance(200);
        assert_eq!(*world.process.failed.lock(), failure, "{lines}");
        if failure.is_none() {
            world.advance(3_600_000);
            world.without_zookeeper = false;
            world.advance(2000);
            assert!(world.broker.epoch() > 0, "it came, and the broker serves");
        }
    }
}

/// A disk that is full has no room for new replicas for a while, and that is all.
#[test]
fn a_topic_made_on_a_full_disk_is_served_once_there_is_room() {
    let mut world = World::new("");
    let mut client = world.connect();
    world.inject("/kafka", Fault::NoRoom);
    let topic = create_topics::RequestTopic {
        name: Str::from("t"),
        num_partitions: 2,
        replication_factor: 1,
        ..create_topics::RequestTopic::default()
    };
    let request = create_topics::Request { topics: vec![topic], ..create_topics::Request::default() };
    world.connect().send(&world, &request, 5);
    world.advance(1000);
    assert_eq!(leaders(&mut world, &mut client, "t"), [-1, -1]);
    world.advance(30_000);
    assert_eq!(leaders(&mut world, &mut client, "t"), [-1, -1]);
    assert_eq!(*world.process.failed.lock(), None);
    world.heal();
    world.advance(10_000);
    assert_eq!(leaders(&mut world, &mut client, "t"), [0, 0]);
    assert_eq!(write(&mut world, &mut client, "v"), ErrorCode::NONE);
}

fn leaders(world: &mut World, client: &mut Client, topic: &str) -> Vec<i32> {
    describe(world, client, topic).partitions.iter().map(|partition| partition.leader_id).collect()
}

#[test]
fn partitions_in_a_directory_that_fails_at_the_start_have_no_leader() {
    let mut world = World::new("log.dirs=/a,/b");
    let mut client = world.connect();
    create_topic(&mut world, &mut client, "t", 4);
    world.restart_without("/b");
    let mut client = world.connect();
    let topic = describe(&mut world, &mut client, "t");
    let mut leaders: Vec<_> = topic
        .partitions
        .iter()
        .map(|partition| (partition.leader_id, partition.error_code, partition.offline_replicas.clone()))
        .collect();
    leaders.sort();
    let offline = (-1, ErrorCode::LEADER_NOT_AVAILABLE, vec![0]);
    let online = (0, ErrorCode::NONE, vec![]);
    assert_eq!(leaders, [offline.clone(), offline, online.clone(), online]);
}
