//! Replicas that move.

use std::collections::BTreeMap;

use kafka_control::znode::ReplicaAssignment;
use kafka_control::{Answer, IsrProposal, MessageBody, NO_LEADER, Refusal, Request};
use kafka_proto::ErrorCode;

use crate::world::{World, id};

fn alter(world: &mut World, wishes: &[(&str, i32, Option<&[i32]>)]) -> BTreeMap<String, Result<(), Refusal>> {
    let wish =
        |(topic, partition, target): &(&str, i32, Option<&[i32]>)| (id(topic, *partition), target.map(<[i32]>::to_vec));
    let answer = world.ask(Request::AlterPartitionReassignments(wishes.iter().map(wish).collect()));
    let Answer::AlterPartitionReassignments(Ok(answers)) = answer else { panic!("{answer:?}") };
    answers.into_iter().map(|(id, answer)| (id.to_string(), answer)).collect()
}

fn move_to(world: &mut World, topic: &str, partition: i32, target: &[i32]) {
    let answers = alter(world, &[(topic, partition, Some(target))]);
    assert!(answers.values().all(Result::is_ok), "{answers:?}");
}

fn refusal(answers: &BTreeMap<String, Result<(), Refusal>>, partition: &str) -> (ErrorCode, String) {
    let refusal = answers[partition].clone().unwrap_err();
    (refusal.code, refusal.message.unwrap_or_default())
}

/// The leader takes these replicas into the ISR.
fn grow_isr(world: &mut World, topic: &str, partition: i32, isr: &[i32]) {
    let state = world.state(topic, partition);
    let stat = world.zookeeper.stat(&crate::world::state_path(topic, partition)).unwrap();
    let proposal = IsrProposal {
        partition: id(topic, partition),
        leader_epoch: state.leader_epoch,
        isr: isr.to_vec(),
        zk_version: stat.version,
    };
    let broker_epoch = world.broker_epoch(state.leader).unwrap();
    let request = Request::AlterIsr { broker: state.leader, broker_epoch, proposals: vec![proposal] };
    let Answer::AlterIsr(Ok(answers)) = world.ask(request) else { panic!() };
    assert!(answers[0].1.is_ok(), "{answers:?}");
}

fn listed(world: &mut World) -> Vec<String> {
    let Answer::ListPartitionReassignments(Ok(found)) = world.ask(Request::ListPartitionReassignments(None)) else {
        panic!()
    };
    found.into_keys().map(|id| id.to_string()).collect()
}

const SETTLED: &str = r#"{"version":2,"partitions":{"0":[3,2]},"adding_replicas":{},"removing_replicas":{}}"#;

#[test]
fn replicas_move_in_the_originals_steps() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create_topic("t", &[&[1, 2]]);
    world.forget();
    move_to(&mut world, "t", 0, &[3, 2]);
    assert_eq!(
        world.text("/brokers/topics/t"),
        r#"{"version":2,"partitions":{"0":[3,2,1]},"adding_replicas":{"0":[3]},"removing_replicas":{"0":[1]}}"#
    );
    assert_eq!(world.brief("t", 0), (1, 1, vec![1, 2]), "a new epoch, so that the leader looks");
    for (broker, is_new) in [(1, false), (2, false), (3, true)] {
        let told = &world.led(broker)[&id("t", 0)];
        assert_eq!(told.is_new, is_new);
        assert_eq!(told.assignment, ReplicaAssignment { replicas: vec![3, 2, 1], adding: vec![3], removing: vec![1] });
    }
    assert_eq!(listed(&mut world), ["t-0"]);
    world.forget();
    grow_isr(&mut world, "t", 0, &[1, 2, 3]);
    assert!(world.has_logged("Target replicas 3,2 have all caught up with the leader for reassigning partition t-0"));
    assert_eq!(world.brief("t", 0), (3, 2, vec![2, 3]));
    assert_eq!(world.text("/brokers/topics/t"), SETTLED);
    let stopped: Vec<_> = world.stopped(1).iter().map(|stop| (stop.leader_epoch, stop.delete)).collect();
    assert_eq!(stopped, [(2, false), (2, true)]);
    for broker in [2, 3] {
        let told = &world.led(broker)[&id("t", 0)];
        assert_eq!((told.leader_and_isr.leader, &told.assignment.replicas[..]), (3, &[3, 2][..]));
    }
    assert!(!world.led(1).contains_key(&id("t", 0)));
    assert_eq!(world.metadata(0)[&id("t", 0)].assignment.replicas, [3, 2]);
    let last = world.written.last().unwrap();
    assert_eq!(last, "/brokers/topics/t", "last, since it alone says what was under way");
    assert!(listed(&mut world).is_empty());
}

#[test]
fn a_leader_that_stays_leads_on() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1]]);
    move_to(&mut world, "t", 0, &[2, 1]);
    grow_isr(&mut world, "t", 0, &[1, 2]);
    assert_eq!(world.brief("t", 0), (1, 2, vec![1, 2]));
    assert!(listed(&mut world).is_empty());
}

#[test]
fn an_order_alone_is_changed_at_once() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2]]);
    move_to(&mut world, "t", 0, &[2, 1]);
    assert!(world.text("/brokers/topics/t").contains(r#""partitions":{"0":[2,1]},"adding_replicas":{},"#));
    assert!(listed(&mut world).is_empty());
}

#[test]
fn wishes_are_refused_in_the_originals_words() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1], &[1], &[1], &[1], &[1]]);
    world.create_topic("u", &[&[5, 1]]);
    world.create("/admin/delete_topics/u", "");
    let answers = alter(
        &mut world,
        &[
            ("t", 0, Some(&[])),
            ("t", 1, Some(&[1, 1])),
            ("t", 2, Some(&[-1])),
            ("t", 3, Some(&[2, 7])),
            ("t", 4, None),
            ("u", 0, Some(&[2])),
            ("x", 0, Some(&[2])),
            ("x", 1, None),
        ],
    );
    let invalid = |words: &str| (ErrorCode::INVALID_REPLICA_ASSIGNMENT, words.to_owned());
    assert_eq!(refusal(&answers, "t-0"), invalid("Empty replica list specified in partition reassignment."));
    let words = "Duplicate replica ids in partition reassignment replica list: ArrayBuffer(1, 1)";
    assert_eq!(refusal(&answers, "t-1"), invalid(words));
    assert_eq!(refusal(&answers, "t-2"), invalid("Invalid broker id in replica list: ArrayBuffer(-1)"));
    let words = "Replica assignment has brokers that are not alive. Replica list: ArrayBuffer(2, 7), live broker list: Set(0, 1, 2)";
    assert_eq!(refusal(&answers, "t-3"), invalid(words));
    let none = (ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, "No partition reassignment is in progress.".to_owned());
    assert_eq!(refusal(&answers, "t-4"), none);
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.".to_owned());
    assert_eq!(refusal(&answers, "u-0"), unknown);
    assert_eq!(refusal(&answers, "x-0"), unknown);
    assert_eq!(refusal(&answers, "x-1"), none);
    assert!(listed(&mut world).is_empty());
}

#[test]
fn a_reassignment_is_given_up() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create_topic("t", &[&[1, 2]]);
    move_to(&mut world, "t", 0, &[3]);
    grow_isr(&mut world, "t", 0, &[1, 2]);
    world.forget();
    assert_eq!(alter(&mut world, &[("t", 0, None)])["t-0"], Ok(()));
    assert!(world.text("/brokers/topics/t").contains(r#""partitions":{"0":[1,2]},"adding_replicas":{},"#));
    assert_eq!(world.state("t", 0).leader, 1);
    let stopped: Vec<_> = world.stopped(3).iter().map(|stop| stop.delete).collect();
    assert_eq!(stopped, [false, true]);
    assert_eq!(world.led(1)[&id("t", 0)].assignment.replicas, [1, 2]);
    assert!(listed(&mut world).is_empty());
}

#[test]
fn another_target_comes_instead() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create_topic("t", &[&[1]]);
    move_to(&mut world, "t", 0, &[2]);
    world.forget();
    move_to(&mut world, "t", 0, &[3]);
    assert_eq!(
        world.text("/brokers/topics/t"),
        r#"{"version":2,"partitions":{"0":[3,1]},"adding_replicas":{"0":[3]},"removing_replicas":{"0":[1]}}"#
    );
    assert_eq!(world.stopped(2).len(), 2);
    grow_isr(&mut world, "t", 0, &[1, 3]);
    assert_eq!(world.state("t", 0).isr, [3]);
}

/// The controller dies when it has written the old assignment and nothing else.
#[test]
fn a_reassignment_that_was_given_up_leaves_nothing_in_the_isr() {
    for steps in 0..30 {
        let mut world = World::with_brokers(&[1, 2, 3]);
        world.create_topic("t", &[&[1]]);
        move_to(&mut world, "t", 0, &[2, 3]);
        grow_isr(&mut world, "t", 0, &[1, 2]);
        world.ask_of(0, Request::AlterPartitionReassignments([(id("t", 0), None)].into()));
        for _ in 0..steps {
            world.step(0);
        }
        world.expire(0);
        world.run();
        world.register(0);
        world.run();
        if listed(&mut world).is_empty() {
            assert_eq!((world.state("t", 0).leader, world.state("t", 0).isr), (1, vec![1]), "after {steps} steps");
        }
    }
}

/// The only replica with the data is one that was being added.
#[test]
fn the_last_data_is_not_given_up() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create_topic("t", &[&[1]]);
    move_to(&mut world, "t", 0, &[2, 3]);
    grow_isr(&mut world, "t", 0, &[1, 2]);
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0).2, [2]);
    let answers = alter(&mut world, &[("t", 0, None)]);
    let words = "Unable to revert partition assignment for t:0 because it would require an unclean leader election.";
    assert_eq!(refusal(&answers, "t-0"), (ErrorCode::INVALID_REPLICA_ASSIGNMENT, words.to_owned()));
    assert_eq!(listed(&mut world), ["t-0"]);
}

/// As above, and the leader has shrunk the ISR by itself and not told it yet.
#[test]
fn the_last_data_is_not_given_up_though_nobody_told_of_it() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create_topic("t", &[&[1]]);
    move_to(&mut world, "t", 0, &[2, 3]);
    grow_isr(&mut world, "t", 0, &[1, 2]);
    world.ask(Request::ElectLeaders { election: kafka_control::ElectionType::Preferred, partitions: None });
    assert_eq!(world.brief("t", 0), (2, 2, vec![1, 2]));
    world.write_isr("t", 0, &[2]);
    let answers = alter(&mut world, &[("t", 0, None)]);
    assert_eq!(refusal(&answers, "t-0").0, ErrorCode::INVALID_REPLICA_ASSIGNMENT);
    assert_eq!(world.brief("t", 0), (2, 2, vec![2]));
    assert!(world.stopped(2).is_empty());
}

#[test]
fn a_new_controller_goes_on_with_it() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create_topic("t", &[&[1, 2]]);
    move_to(&mut world, "t", 0, &[3, 2]);
    world.expire(0);
    world.run();
    world.forget();
    world.register(0);
    world.run();
    assert_eq!(listed(&mut world), ["t-0"]);
    assert!(world.led(3)[&id("t", 0)].is_new);
    // In the midst of the last steps.
    for steps in 0..40 {
        let mut world = World::with_brokers(&[1, 2, 3]);
        world.create_topic("t", &[&[1, 2]]);
        move_to(&mut world, "t", 0, &[3, 2]);
        world.write_isr("t", 0, &[1, 2, 3]);
        let change = kafka_control::znode::IsrChange([id("t", 0)].into()).encode();
        world.announce("/isr_change_notification/isr_change_", &change);
        for _ in 0..steps {
            world.step(0);
        }
        world.expire(0);
        world.run();
        world.register(0);
        world.run();
        assert_eq!((world.state("t", 0).leader, world.state("t", 0).isr), (3, vec![2, 3]), "after {steps} steps");
        assert_eq!(world.text("/brokers/topics/t"), SETTLED);
        assert!(world.stopped(1).iter().any(|stop| stop.delete));
    }
}

#[test]
fn brokers_may_die_meanwhile() {
    let mut world = World::with_brokers(&[1, 2, 3]);
    world.create_topic("t", &[&[1, 2]]);
    move_to(&mut world, "t", 0, &[3, 2]);
    world.stop(3);
    world.run();
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0).0, 2);
    world.forget();
    world.start_plain(3);
    world.run();
    assert!(world.led(3)[&id("t", 0)].is_new);
    grow_isr(&mut world, "t", 0, &[2, 3]);
    assert_eq!(world.brief("t", 0).2, [2, 3]);
    assert_eq!(world.text("/brokers/topics/t"), SETTLED);
    // All in sync die at once; who comes back leads, and the reassignment ends.
    move_to(&mut world, "t", 0, &[3]);
    assert_eq!(world.brief("t", 0).2, [3]);
    world.stop(3);
    world.run();
    assert_eq!(world.brief("t", 0).0, NO_LEADER);
}

/// An unclean election leaves the target alone in sync: nobody will tell of another ISR.
#[test]
fn an_election_may_end_a_reassignment() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create("/config/topics/t", r#"{"version":1,"config":{"unclean.leader.election.enable":"true"}}"#);
    world.create_topic("t", &[&[1]]);
    move_to(&mut world, "t", 0, &[2]);
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0).2, [2]);
    assert!(listed(&mut world).is_empty());
}

#[test]
fn partitions_added_meanwhile_are_not_lost() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1]]);
    world.ask_of(0, Request::AlterPartitionReassignments([(id("t", 0), Some(vec![2]))].into()));
    world.step(0);
    // The old tool adds a partition at the very moment.
    world.set_quietly(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[1],"1":[2]},"adding_replicas":{},"removing_replicas":{}}"#,
    );
    world.run();
    assert_eq!(
        world.text("/brokers/topics/t"),
        r#"{"version":2,"partitions":{"0":[2,1],"1":[2]},"adding_replicas":{"0":[2]},"removing_replicas":{"0":[1]}}"#
    );
    assert_eq!(world.brief("t", 1), (2, 0, vec![2]));
}

const OLD_TOOL: &str = "/admin/reassign_partitions";

#[test]
fn the_old_tools_wishes_are_done_and_taken_out_of_its_znode() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1], &[1]]);
    let wish = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2]},{"topic":"t","partition":1,"replicas":[2]},{"topic":"x","partition":0,"replicas":[2]},{"topic":"t","partition":9,"replicas":[]}]}"#;
    world.create(OLD_TOOL, wish);
    assert_eq!(listed(&mut world), ["t-0", "t-1"]);
    assert!(world.has_logged("Failed reassignment through zk with the following errors"));
    let both = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2]},{"topic":"t","partition":1,"replicas":[2]}]}"#;
    assert_eq!(world.text(OLD_TOOL), both);
    assert_eq!(world.state("t", 0).leader_epoch, 1, "it is begun once");
    grow_isr(&mut world, "t", 0, &[1, 2]);
    assert_eq!(world.text(OLD_TOOL), r#"{"version":1,"partitions":[{"topic":"t","partition":1,"replicas":[2]}]}"#);
    // The other way of asking takes it over.
    move_to(&mut world, "t", 1, &[2, 1]);
    assert!(!world.exists(OLD_TOOL));
    assert!(world.has_logged("No more partitions need to be reassigned. Deleting zk path /admin/reassign_partitions"));
    // And the watch is set anew.
    world.create(OLD_TOOL, r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]}]}"#);
    assert_eq!(listed(&mut world), ["t-0", "t-1"]);
    assert!(world.text("/brokers/topics/t").contains(r#""0":[1,2]"#));
}

#[test]
fn the_old_tools_wishes_outlive_a_controller() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1]]);
    world.expire(0);
    world.run();
    world.create(OLD_TOOL, r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2]}]}"#);
    world.register(0);
    world.run();
    assert_eq!(listed(&mut world), ["t-0"]);
    grow_isr(&mut world, "t", 0, &[1, 2]);
    assert!(!world.exists(OLD_TOOL));
}

#[test]
fn a_broken_wish_of_the_old_tool_is_told() {
    let mut world = World::with_brokers(&[1]);
    world.create(OLD_TOOL, "{");
    assert!(world.has_logged("Ignoring partition reassignment due to invalid json"));
    world.create_topic("t", &[&[0]]);
    world.set(OLD_TOOL, r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]}]}"#);
    assert_eq!(listed(&mut world), ["t-0"]);
}

#[test]
fn many_partitions_move_in_few_batches() {
    let rounds = |partitions: usize| {
        let mut world = World::with_brokers(&[1, 2]);
        world.create_topic("t", &vec![&[1][..]; partitions]);
        world.forget();
        let wishes = (0..).take(partitions).map(|partition| (id("t", partition), Some(vec![2]))).collect();
        world.ask(Request::AlterPartitionReassignments(wishes));
        (world.round_trips, world.messages.len())
    };
    assert_eq!(rounds(2), rounds(50));
}

/// The reassignment ends in the middle of the fail-over, with the partition's first leader; what was gathered for its replicas before is
/// sent behind that.
#[test]
fn a_replica_that_a_fail_over_moves_away_is_not_told_of_its_partition() {
    let mut world = World::with_brokers(&[3]);
    world.create_topic("led", &[&[0, 3]]);
    world.expire(0);
    world.run();
    world.create(
        "/brokers/topics/t",
        r#"{"version":2,"partitions":{"0":[3,0]},"adding_replicas":{"0":[3]},"removing_replicas":{"0":[0]}}"#,
    );
    world.forget();
    world.register(0);
    world.run();
    assert_eq!(world.brief("t", 0).2, [3]);
    let told = world.told(0).filter_map(|body| match body {
        MessageBody::LeaderAndIsr { partitions, .. } => partitions.iter().find(|state| state.partition == id("t", 0)),
        _ => None,
    });
    let assignments: Vec<_> = told.map(|state| state.assignment.replicas.clone()).collect();
    assert!(assignments.iter().all(|replicas| replicas.contains(&0)), "{assignments:?}");
    assert!(world.stopped(0).iter().any(|stop| stop.delete));
}
