//! Preferred and unclean elections that somebody asks for, and the balance of leaders.

use std::collections::BTreeMap;

use kafka_control::{Answer, ElectionType, Refusal, Request, TopicPartition};
use kafka_proto::ErrorCode;

use crate::world::{World, id};

/// Broker 1 was away, so broker 2 leads in its place; both are in sync.
fn unbalanced() -> World {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2], &[2, 1], &[1, 2]]);
    world.stop(1);
    world.run();
    world.start_plain(1);
    world.run();
    // The leader is of an older protocol: the controller has not heard of this.
    for partition in [0, 1] {
        world.write_isr("t", partition, &[2, 1]);
    }
    world.forget();
    world
}

fn elect(
    world: &mut World,
    election: ElectionType,
    partitions: Option<&[TopicPartition]>,
) -> BTreeMap<TopicPartition, Result<(), Refusal>> {
    let partitions = partitions.map(|ids| ids.iter().cloned().collect());
    let answer = world.ask(Request::ElectLeaders { election, partitions });
    let Answer::ElectLeaders(Ok(answers)) = answer else { panic!("{answer:?}") };
    answers
}

fn refused(answer: &Result<(), Refusal>) -> (ErrorCode, &str) {
    let refusal = answer.as_ref().unwrap_err();
    (refusal.code, refusal.message.as_deref().unwrap_or_default())
}

#[test]
fn preferred_leaders_are_elected() {
    let mut world = unbalanced();
    world.create_topic("u", &[&[0]]);
    world.create("/admin/delete_topics/u", "");
    let asked = [id("t", 0), id("t", 1), id("t", 2), id("u", 0), id("x", 0)];
    let answers = elect(&mut world, ElectionType::Preferred, Some(&asked));
    assert_eq!(answers[&id("t", 0)], Ok(()));
    assert_eq!(world.brief("t", 0), (1, 2, vec![2, 1]));
    let not_needed = (ErrorCode::ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.");
    assert_eq!(refused(&answers[&id("t", 1)]), not_needed);
    let words =
        "Failed to elect leader for partition t-2 under strategy PreferredReplicaPartitionLeaderElectionStrategy";
    assert_eq!(refused(&answers[&id("t", 2)]), (ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, words));
    let deleting = (ErrorCode::INVALID_TOPIC_EXCEPTION, "The topic is being deleted");
    assert_eq!(refused(&answers[&id("u", 0)]), deleting);
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
    assert_eq!(refused(&answers[&id("x", 0)]), unknown);
    assert_eq!(world.led(2)[&id("t", 0)].leader_and_isr.leader, 1);
    assert_eq!(world.metadata(0)[&id("t", 0)].leader_and_isr.leader, 1);
}

#[test]
fn of_all_partitions_those_alone_are_named_that_needed_an_election() {
    let mut world = unbalanced();
    let answers = elect(&mut world, ElectionType::Preferred, None);
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&id("t", 0), &id("t", 2)]);
}

#[test]
fn an_unclean_election_is_held_on_demand() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1, 0], &[0, 1], &[1]]);
    world.write_isr("t", 0, &[1]);
    world.stop(1);
    world.run();
    let asked = [id("t", 0), id("t", 1), id("t", 2)];
    let answers = elect(&mut world, ElectionType::Unclean, Some(&asked));
    assert_eq!(answers[&id("t", 0)], Ok(()));
    assert_eq!(world.brief("t", 0), (0, 2, vec![0]));
    assert_eq!(refused(&answers[&id("t", 1)]).0, ErrorCode::ELECTION_NOT_NEEDED);
    let words = "Failed to elect leader for partition t-2 under strategy OfflinePartitionLeaderElectionStrategy(true)";
    assert_eq!(refused(&answers[&id("t", 2)]), (ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, words));
}

const OLD_TOOL: &str = "/admin/preferred_replica_election";

#[test]
fn the_old_tools_wish_is_done_and_removed() {
    let mut world = unbalanced();
    let wish = r#"{"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"t","partition":2},{"topic":"x","partition":0}]}"#;
    for _ in 0..2 {
        world.create(OLD_TOOL, wish);
        assert!(!world.exists(OLD_TOOL), "and the watch is set anew");
        assert_eq!(world.brief("t", 0), (1, 2, vec![2, 1]));
    }
    assert!(world.has_logged("Partition t-0 completed preferred replica leader election. New leader is 1"));
    assert!(
        world.has_logged("Partition t-2 failed to complete preferred replica leader election to 1. Leader is still 2")
    );
    world.create(OLD_TOOL, "{");
    assert!(!world.exists(OLD_TOOL) && world.has_logged("invalid content of znode /admin/preferred_replica_election"));
}

#[test]
fn the_old_tools_wish_outlives_a_controller() {
    let mut world = unbalanced();
    world.expire(0);
    world.run();
    world.create(OLD_TOOL, r#"{"version":1,"partitions":[{"topic":"t","partition":0}]}"#);
    world.register(0);
    world.run();
    assert_eq!(world.state("t", 0).leader, 1);
    assert!(!world.exists(OLD_TOOL));
}

#[test]
fn leaders_are_balanced_after_five_seconds_and_then_at_the_interval() {
    let mut world = unbalanced();
    assert_eq!(world.wake_at.unwrap().ms(), 6_000);
    let isrs = kafka_control::znode::IsrChange([id("t", 0), id("t", 1)].into());
    world.announce("/isr_change_notification/isr_change_", &isrs.encode());
    world.run();
    world.wake();
    assert_eq!(world.brief("t", 0), (1, 2, vec![2, 1]));
    assert_eq!(world.brief("t", 2).0, 2, "1 is not in sync");
    assert!(world.has_logged("Processing automatic preferred replica leader election"));
    assert_eq!(world.wake_at.unwrap().ms(), 306_000);
    world.write_isr("t", 2, &[2, 1]);
    world.forget();
    world.wake();
    // The controller has not heard of the new ISR.
    assert!(world.messages.is_empty());
    assert_eq!(world.wake_at.unwrap().ms(), 606_000);
}

#[test]
fn a_broker_with_few_leaders_elsewhere_is_left_alone() {
    let mut world = World::with_brokers(&[1, 2]);
    let mut replicas: Vec<&[i32]> = vec![&[1, 2]];
    replicas.extend(std::iter::repeat_n(&[2, 1][..], 10));
    world.create_topic("t", &replicas);
    // One of ten is not more than ten percent.
    let asked = [id("t", 0)];
    world.stop(1);
    world.run();
    world.start_plain(1);
    world.run();
    world.forget();
    assert_eq!(elect(&mut world, ElectionType::Preferred, Some(&asked)).len(), 1);
    world.wake();
    assert!(!world.has_logged("AutoTriggered"), "nobody preferred could lead");
}

#[test]
fn nothing_is_balanced_while_replicas_move() {
    let mut world = unbalanced();
    world.create_topic("u", &[&[0]]);
    world.ask(Request::AlterPartitionReassignments([(id("u", 0), Some(vec![2]))].into()));
    world.wake();
    assert_eq!(world.state("t", 0).leader, 2);
}
