//! Topics that are made and grow.

use kafka_control::MessageBody;

use crate::world::{World, id, state_path};

#[test]
fn a_new_topic_gets_leaders_in_the_originals_order() {
    let mut world = World::with_brokers(&[]);
    world.create_topic("t", &[&[0], &[0]]);
    assert_eq!(
        world.written,
        [
            "/brokers/topics/t/partitions",
            "/brokers/topics/t/partitions/0",
            "/brokers/topics/t/partitions/1",
            "/brokers/topics/t/partitions/0/state",
            "/brokers/topics/t/partitions/1/state",
        ]
    );
    let expected = r#"{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}"#;
    assert_eq!(world.text(&state_path("t", 0)), expected);
    let [first, second] = &world.messages[..] else { panic!("{:?}", world.messages) };
    let MessageBody::LeaderAndIsr { partitions, .. } = &first.body else { panic!("{first:?}") };
    assert!(partitions.len() == 2 && partitions.iter().all(|state| state.is_new));
    assert!(matches!(&second.body, MessageBody::UpdateMetadata { partitions, .. } if partitions.len() == 2));
    assert!(world.has_logged("New partition creation callback for t-0,t-1"));
}

#[test]
fn live_replicas_alone_are_in_sync_at_first() {
    let mut world = World::with_brokers(&[2]);
    world.create_topic("t", &[&[1, 2, 0]]);
    assert_eq!(world.brief("t", 0), (2, 0, vec![2, 0]));
    let told = &world.metadata(0)[&id("t", 0)];
    assert_eq!((&told.offline[..], &told.assignment.replicas[..]), (&[1][..], &[1, 2, 0][..]));
}

#[test]
fn partitions_are_added() {
    let mut world = World::with_brokers(&[]);
    world.create_topic("t", &[&[0]]);
    world.forget();
    world.set(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0],"1":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    assert_eq!(world.written.last().unwrap(), &state_path("t", 1));
    assert!(!world.written.contains(&state_path("t", 0)), "the old partition is left alone");
    // And once more: the watch was set anew.
    world.set(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[0],"1":[0],"2":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    assert_eq!(world.brief("t", 2), (0, 0, vec![0]));
}

#[test]
fn a_partition_without_live_replica_waits_for_its_broker() {
    let mut world = World::with_brokers(&[]);
    world.create_topic("t", &[&[1]]);
    assert!(!world.exists(&state_path("t", 0)));
    assert!(world.has_logged("No assigned replica is alive."));
    world.start_plain(1);
    world.run();
    assert_eq!(world.brief("t", 0), (1, 0, vec![1]));
    assert!(world.led(1)[&id("t", 0)].is_new);
}

/// The state was written and the answer lost; sent again, the write finds its own work.
#[test]
fn a_new_partition_is_new_although_the_answer_was_lost() {
    let mut world = World::with_brokers(&[]);
    world.lost_answers = 3;
    world.create_topic("t", &[&[0]]);
    assert_eq!(world.brief("t", 0), (0, 0, vec![0]));
    assert!(world.led(0)[&id("t", 0)].is_new);
}

#[test]
fn broken_znodes_are_told_and_do_no_harm() {
    let mut world = World::with_brokers(&[]);
    world.create("/brokers/topics/broken", "{");
    world.create("/brokers/topics/odd/partitions/0/state", "no");
    world.set(
        "/brokers/topics/odd",
        r#"{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    world.create("/brokers/ids/9", "[]");
    world.create("/brokers/ids/x", "{}");
    assert!(world.has_logged("invalid content of znode /brokers/topics/broken"));
    assert!(world.has_logged("invalid content of znode /brokers/topics/odd/partitions/0/state"));
    assert!(world.has_logged("invalid content of znode /brokers/ids/9"));
    world.create_topic("t", &[&[0]]);
    assert_eq!(world.brief("t", 0), (0, 0, vec![0]));
    // What is mended is taken up.
    let good = r#"{"version":2,"partitions":{"0":[0]},"adding_replicas":{},"removing_replicas":{}}"#;
    world.set("/brokers/topics/broken", good);
    assert_eq!(world.brief("broken", 0), (0, 0, vec![0]));
}
