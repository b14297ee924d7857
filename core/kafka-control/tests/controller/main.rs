//! The controller against a tree of znodes in memory: what it writes, what it tells, and how it keeps to its office.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod world;

use kafka_control::{LEADER_DURING_DELETE, MessageBody, NO_LEADER};

use crate::world::World;

const STATE: &str = "/brokers/topics/t/partitions/0/state";

#[test]
fn the_first_broker_takes_the_office_and_makes_the_epoch() {
    let mut world = World::with_broker(0);
    world.register();
    assert_eq!(world.text("/controller_epoch"), "1");
    assert_eq!(world.text("/controller"), r#"{"version":1,"brokerid":0,"timestamp":"1000"}"#);
    assert_eq!(world.text("/feature"), r#"{"features":{},"version":1,"status":1}"#);
    assert_eq!(world.controller.active_epoch(), Some(1));
    let told: Vec<_> = world.messages.iter().map(|message| (message.broker, message.controller_epoch)).collect();
    assert!(told.contains(&(0, 1)), "the broker learns of itself: {told:?}");
}

#[test]
fn a_new_topic_gets_leaders_in_the_originals_order() {
    let mut world = World::with_broker(0);
    world.register();
    world.messages.clear();
    world.written.clear();
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0],"1":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    assert_eq!(
        world.written,
        [
            "/brokers/topics/t/partitions",
            "/brokers/topics/t/partitions/0",
            "/brokers/topics/t/partitions/1",
            STATE,
            "/brokers/topics/t/partitions/1/state",
        ]
    );
    assert_eq!(world.text(STATE), r#"{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}"#);
    let [first, second] = &world.messages[..] else { panic!("{:?}", world.messages) };
    let MessageBody::LeaderAndIsr { partitions, .. } = &first.body else { panic!("{first:?}") };
    assert!(partitions.len() == 2 && partitions.iter().all(|state| state.is_new));
    assert!(matches!(&second.body, MessageBody::UpdateMetadata { partitions, .. } if partitions.len() == 2));
}

#[test]
fn partitions_are_added() {
    let mut world = World::with_broker(0);
    world.register();
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    world.written.clear();
    world.set(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0],"1":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    assert_eq!(world.written.last().unwrap(), "/brokers/topics/t/partitions/1/state");
    assert!(!world.written.contains(&STATE.to_owned()), "the old partition is left alone");
}

#[test]
fn a_topic_is_deleted_after_its_replicas() {
    let mut world = World::with_broker(0);
    world.register();
    world.create("/config/topics/t", r#"{"version":1,"config":{}}"#);
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    world.messages.clear();
    world.create("/admin/delete_topics/t", "");
    let bodies: Vec<_> = world.messages.iter().map(|message| &message.body).collect();
    let [
        MessageBody::UpdateMetadata { partitions, .. },
        MessageBody::StopReplica(stop),
        MessageBody::StopReplica(delete),
    ] = &bodies[..]
    else {
        panic!("{bodies:?}")
    };
    assert_eq!(partitions[0].leader_and_isr.leader, LEADER_DURING_DELETE);
    assert!(!stop[0].delete && delete[0].delete);
    assert!(world.exists("/brokers/topics/t"), "the znodes stay until the logs are gone");
    world.replicas_deleted(0, "t", true);
    for path in ["/brokers/topics/t", "/config/topics/t", "/admin/delete_topics/t", STATE] {
        assert!(!world.exists(path), "{path}");
    }
}

#[test]
fn a_wish_to_delete_nothing_is_removed() {
    let mut world = World::with_broker(0);
    world.register();
    world.create("/admin/delete_topics/unknown", "");
    assert!(!world.exists("/admin/delete_topics/unknown"));
}

#[test]
fn a_controller_that_restarts_resumes_what_was_begun() {
    let mut world = World::with_broker(0);
    world.register();
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    world.create("/admin/delete_topics/t", "");
    world.restart();
    world.register();
    assert_eq!(world.controller.active_epoch(), Some(2));
    world.replicas_deleted(0, "t", true);
    assert!(!world.exists("/brokers/topics/t"));
}

#[test]
fn another_controller_is_left_alone_and_followed_by_election() {
    let mut world = World::with_broker(0);
    world.create("/controller", r#"{"version":1,"brokerid":7,"timestamp":"1"}"#);
    world.register();
    assert_eq!((world.controller.elected(), world.controller.active_epoch()), (Some(7), None));
    world.delete("/controller");
    assert_eq!((world.controller.elected(), world.controller.active_epoch()), (Some(0), Some(1)));
}

#[test]
fn a_fenced_controller_resigns() {
    let mut world = World::with_broker(0);
    world.register();
    world.steal_office(7);
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    assert!(!world.exists(STATE), "nothing was written under the old epoch");
    assert_eq!((world.controller.elected(), world.controller.active_epoch()), (Some(7), None));
}

#[test]
fn a_partition_without_live_replica_waits_for_its_broker() {
    let mut world = World::with_broker(0);
    world.register();
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[1]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    assert!(!world.exists(STATE));
    world.add_broker(1);
    assert_eq!(world.text(STATE), r#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}"#);
}

#[test]
fn an_expired_session_ends_the_office() {
    let mut world = World::with_broker(0);
    world.register();
    world.expire();
    assert_eq!((world.controller.elected(), world.controller.active_epoch()), (None, None));
    world.register();
    assert_eq!(world.controller.active_epoch(), Some(2));
}

#[test]
fn a_replica_in_a_failed_directory_does_not_lead_until_its_broker_has_registered_anew() {
    let mut world = World::with_broker(0);
    world.register();
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0],"1":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    world.messages.clear();
    for _ in 0..2 {
        world.replica_offline(0, "t", 0);
        assert_eq!(world.text(STATE), r#"{"controller_epoch":1,"leader":-1,"version":1,"leader_epoch":1,"isr":[0]}"#);
    }
    let [_, MessageBody::UpdateMetadata { partitions, .. }] =
        &world.messages.iter().map(|message| message.body.clone()).collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", world.messages)
    };
    assert!(partitions[0].leader_and_isr.leader == NO_LEADER && partitions[0].offline == [0], "{partitions:?}");

    world.restart();
    world.register();
    assert_eq!(world.text(STATE), r#"{"controller_epoch":2,"leader":0,"version":1,"leader_epoch":2,"isr":[0]}"#);
}

#[test]
fn a_partition_whose_last_replica_is_gone_has_no_leader() {
    let mut world = World::with_broker(0);
    world.add_broker(1);
    world.register();
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[1]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    world.delete("/brokers/ids/1");
    assert_eq!(world.text(STATE), r#"{"controller_epoch":1,"leader":-1,"version":1,"leader_epoch":1,"isr":[1]}"#);
}
