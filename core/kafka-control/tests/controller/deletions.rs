//! Topics that go.

use kafka_control::{Answer, ControllerSettings, IsrProposal, LEADER_DURING_DELETE, MessageBody, Request};
use kafka_proto::ErrorCode;

use crate::world::{World, id, settings, state_path};

fn delete(world: &mut World, topic: &str) {
    world.create(&format!("/admin/delete_topics/{topic}"), "");
}

fn is_gone(world: &World, topic: &str) -> bool {
    let paths = ["/brokers/topics", "/config/topics", "/admin/delete_topics"];
    let left = paths.iter().filter(|parent| world.exists(&format!("{parent}/{topic}"))).count();
    assert!(left == 0 || world.exists(&format!("/admin/delete_topics/{topic}")), "the wish goes last");
    left == 0
}

#[test]
fn a_topic_is_deleted_after_its_replicas() {
    let mut world = World::with_brokers(&[]);
    world.create("/config/topics/t", r#"{"version":1,"config":{}}"#);
    world.create_topic("t", &[&[0]]);
    world.forget();
    delete(&mut world, "t");
    let bodies: Vec<_> = world.messages.iter().map(|message| &message.body).collect();
    let [
        MessageBody::UpdateMetadata { partitions, .. },
        MessageBody::StopReplica(stop),
        MessageBody::StopReplica(delete),
    ] = &bodies[..]
    else {
        panic!("{bodies:?}")
    };
    assert_eq!((partitions[0].leader_and_isr.leader, partitions[0].zk_version), (LEADER_DURING_DELETE, 0));
    assert!(!stop[0].delete && delete[0].delete);
    assert_eq!((stop[0].leader_epoch, delete[0].leader_epoch), (-2, -2));
    assert!(world.exists("/brokers/topics/t"), "the znodes stay until the logs are gone");
    world.replicas_deleted(0, ErrorCode::NONE);
    assert!(is_gone(&world, "t") && !world.exists(&state_path("t", 0)));
    assert!(world.has_logged("Deletion of topic t (re)started"));
    assert!(world.has_logged("Deletion of topic t successfully completed"));
    // It may be made again.
    world.create_topic("t", &[&[0], &[0]]);
    assert_eq!(world.brief("t", 1), (0, 0, vec![0]));
}

#[test]
fn a_wish_to_delete_nothing_is_removed() {
    let mut world = World::with_brokers(&[]);
    delete(&mut world, "unknown");
    assert!(!world.exists("/admin/delete_topics/unknown"));
    assert!(world.has_logged("Ignoring request to delete non-existing topics unknown"));
}

#[test]
fn deletion_may_be_switched_off() {
    let mut world = World::empty();
    world.create_topic("old", &[&[0]]);
    delete(&mut world, "old");
    world.start_with(ControllerSettings { delete_topic_enable: false, ..settings(0) });
    world.run();
    world.create_topic("t", &[&[0]]);
    delete(&mut world, "t");
    for topic in ["old", "t"] {
        assert!(!world.exists(&format!("/admin/delete_topics/{topic}")));
        assert_eq!(world.brief(topic, 0), (0, 0, vec![0]));
    }
    assert!(world.has_logged("Removing Set(t) since delete topic is disabled"));
}

#[test]
fn a_new_controller_resumes_what_was_begun() {
    let mut world = World::with_brokers(&[]);
    world.create_topic("t", &[&[0]]);
    delete(&mut world, "t");
    world.expire(0);
    world.register(0);
    world.forget();
    world.run();
    world.replicas_deleted(0, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

/// The session ends between the removal of the states and that of the topic.
#[test]
fn a_topic_half_removed_gets_no_leaders_again() {
    for steps in 0..30 {
        let mut world = World::with_brokers(&[]);
        world.create_topic("t", &[&[0], &[0]]);
        delete(&mut world, "t");
        let told = world.stopped(0).into_iter().filter(|stop| stop.delete);
        let answer = told.map(|stop| (stop.partition, ErrorCode::NONE)).collect();
        let broker_epoch = world.broker_epoch(0).unwrap();
        let answer = kafka_control::BrokerAnswer::StopReplica(answer);
        world.event(0, kafka_control::Event::Answered { broker: 0, broker_epoch, controller_epoch: 1, answer });
        for _ in 0..steps {
            world.step(0);
        }
        world.expire(0);
        world.run();
        world.register(0);
        world.forget();
        world.run();
        assert!(world.led(0).is_empty() && !world.written.contains(&state_path("t", 0)), "after {steps} steps");
        world.replicas_deleted(0, ErrorCode::NONE);
        assert!(is_gone(&world, "t"), "after {steps} steps");
    }
}

#[test]
fn offline_replicas_are_waited_for() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[0, 1]]);
    world.stop(1);
    world.run();
    delete(&mut world, "t");
    world.replicas_deleted(0, ErrorCode::NONE);
    assert!(!is_gone(&world, "t"));
    assert!(world.has_logged("Halted deletion of topics t due to offline replicas"));
    world.forget();
    world.start_plain(1);
    world.run();
    assert!(world.led(1).is_empty(), "it is not started again for that");
    assert!(world.stopped(0).is_empty(), "what is deleted is deleted");
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn offline_replicas_are_waited_for_by_the_next_controller_too() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[0, 1]]);
    world.stop(1);
    world.run();
    delete(&mut world, "t");
    world.expire(0);
    world.register(0);
    world.forget();
    world.run();
    world.replicas_deleted(0, ErrorCode::NONE);
    assert!(!is_gone(&world, "t"));
    world.start_plain(1);
    world.run();
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn a_topic_whose_brokers_are_all_dead_waits() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1], &[2]]);
    world.stop(1);
    world.stop(2);
    world.run();
    delete(&mut world, "t");
    world.start_plain(1);
    world.run();
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(!is_gone(&world, "t"));
    world.start_plain(2);
    world.run();
    world.replicas_deleted(2, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn a_broker_that_dies_before_it_answers_is_asked_again() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1]]);
    delete(&mut world, "t");
    world.stop(1);
    world.run();
    world.forget();
    world.start_plain(1);
    world.run();
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn a_replica_that_could_not_be_deleted_is_tried_again_when_its_broker_comes_back() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1]]);
    delete(&mut world, "t");
    world.replicas_deleted(1, ErrorCode::KAFKA_STORAGE_ERROR);
    assert!(!is_gone(&world, "t"));
    assert!(world.has_logged("Halted deletion of topics t due to replica deletion failure"));
    world.forget();
    world.bounce(1);
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn a_topic_whose_replicas_move_waits_for_that() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1]]);
    world.ask(Request::AlterPartitionReassignments([(id("t", 0), Some(vec![2]))].into()));
    delete(&mut world, "t");
    assert!(world.has_logged("Halted deletion of topics t due to topic reassignment in progress"));
    assert!(world.stopped(1).is_empty());
    // Also when another controller takes over.
    world.expire(0);
    world.register(0);
    world.run();
    assert!(world.stopped(1).is_empty());
    let (leader, leader_epoch, _) = world.brief("t", 0);
    let zk_version = world.zookeeper.stat(&state_path("t", 0)).unwrap().version;
    let proposals = vec![IsrProposal { partition: id("t", 0), leader_epoch, isr: vec![1, 2], zk_version }];
    let broker_epoch = world.broker_epoch(leader).unwrap();
    world.forget();
    let answer = world.ask(Request::AlterIsr { broker: leader, broker_epoch, proposals });
    assert!(matches!(answer, Answer::AlterIsr(Ok(answers)) if answers[0].1.is_ok()));
    assert_eq!(world.stopped(1).len(), 2, "it moved away");
    world.replicas_deleted(2, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn a_topic_that_goes_does_not_grow() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1]]);
    delete(&mut world, "t");
    let before = world.text("/brokers/topics/t");
    world.set(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[1],"1":[1]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    assert_eq!(world.text("/brokers/topics/t"), before);
    assert!(world.has_logged("Skipping adding partitions 1 for topic t since it is currently being deleted"));
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn a_topic_without_partitions_and_one_with_unknown_znodes_go() {
    let mut world = World::with_brokers(&[]);
    world.create("/brokers/topics/broken", "{");
    world.create_topic("t", &[&[0]]);
    world.create("/brokers/topics/t/partitions/7/state", "");
    delete(&mut world, "broken");
    assert!(is_gone(&world, "broken"));
    delete(&mut world, "t");
    world.replicas_deleted(0, ErrorCode::NONE);
    assert!(is_gone(&world, "t"));
}

#[test]
fn a_topic_whose_partitions_can_not_be_listed_keeps_the_wish_to_delete_it() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1]]);
    delete(&mut world, "t");
    world.unreadable.insert("/brokers/topics/t/partitions".to_owned());
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(world.exists("/admin/delete_topics/t") && world.exists("/brokers/topics/t"));
    world.bounce(1);
    assert!(is_gone(&world, "t"));
}
