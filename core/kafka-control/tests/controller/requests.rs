//! Controlled shutdown and AlterIsr.

use kafka_control::{Answer, IsrChanged, IsrProposal, Request};
use kafka_proto::ErrorCode;

use crate::world::{World, id, state_path};

fn shut_down(world: &mut World, broker: i32) -> Answer {
    let broker_epoch = world.broker_epoch(broker).unwrap();
    world.ask(Request::ControlledShutdown { broker, broker_epoch })
}

#[test]
fn a_broker_that_stops_hands_over_and_leaves_the_isrs() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2], &[2, 1, 0], &[1], &[0, 2]]);
    world.forget();
    assert_eq!(shut_down(&mut world, 1), Answer::ControlledShutdown(Ok([].into())));
    assert_eq!(world.round_trips, 1, "one batch");
    assert_eq!(world.brief("t", 0), (2, 1, vec![2]));
    assert_eq!(world.brief("t", 1), (2, 1, vec![2, 0]));
    assert_eq!(world.brief("t", 2), (1, 0, vec![1]), "nobody else could lead it");
    let stopped = world.stopped(1);
    assert_eq!(stopped.len(), 1, "where it follows");
    assert_eq!((&stopped[0].partition, stopped[0].delete, stopped[0].leader_epoch), (&id("t", 1), false, 1));
    assert_eq!(world.led(1)[&id("t", 0)].leader_and_isr.leader, 2, "it leads no more");
    assert!(!world.led(1).contains_key(&id("t", 1)), "in the new epoch it would come back into the ISR");
    assert_eq!(world.metadata(0)[&id("t", 0)].offline, [1]);
    // New partitions don't count on it.
    world.create_topic("u", &[&[1, 0]]);
    assert_eq!(world.brief("u", 0), (0, 0, vec![0]));
    // Gone and back, it is as any other.
    world.bounce(1);
    world.create_topic("v", &[&[1, 0]]);
    assert_eq!(world.brief("v", 0), (1, 0, vec![1, 0]));
}

#[test]
fn what_nobody_in_sync_can_take_over_is_left() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2], &[1, 0]]);
    world.stop(2);
    world.run();
    let expected = Answer::ControlledShutdown(Ok([id("t", 0)].into()));
    assert_eq!(shut_down(&mut world, 1), expected);
    assert_eq!(world.brief("t", 0), (1, 1, vec![1]), "it leads on");
    assert_eq!(world.brief("t", 1), (0, 1, vec![0]));
    // Neither another broker's death nor anything else takes the leader from it while it is there.
    world.start_plain(3);
    world.run();
    world.stop(3);
    world.run();
    assert_eq!(world.brief("t", 0), (1, 1, vec![1]));
    world.stop(1);
    world.run();
    assert_eq!(world.state("t", 0).leader, -1);
}

#[test]
fn nothing_moves_to_a_broker_that_is_stopping_too() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2, 0]]);
    shut_down(&mut world, 2);
    shut_down(&mut world, 1);
    assert_eq!(world.brief("t", 0), (0, 2, vec![0]));
}

#[test]
fn a_stop_is_refused_to_unknown_brokers_and_earlier_lives() {
    let mut world = World::with_brokers(&[1]);
    let mut refused = |broker, broker_epoch| world.ask(Request::ControlledShutdown { broker, broker_epoch });
    assert_eq!(refused(5, 1), Answer::ControlledShutdown(Err(ErrorCode::BROKER_NOT_AVAILABLE)));
    assert_eq!(refused(1, 0), Answer::ControlledShutdown(Err(ErrorCode::STALE_BROKER_EPOCH)));
    assert_eq!(refused(1, -1), Answer::ControlledShutdown(Ok([].into())), "older brokers don't say their epoch");
}

fn proposal(partition: i32, leader_epoch: i32, isr: &[i32], zk_version: i32) -> IsrProposal {
    IsrProposal { partition: id("t", partition), leader_epoch, isr: isr.to_vec(), zk_version }
}

fn alter(world: &mut World, broker: i32, proposals: Vec<IsrProposal>) -> Answer {
    let broker_epoch = world.broker_epoch(broker).unwrap();
    world.ask(Request::AlterIsr { broker, broker_epoch, proposals })
}

fn only(answer: Answer) -> Result<IsrChanged, ErrorCode> {
    let Answer::AlterIsr(Ok(mut partitions)) = answer else { panic!("{answer:?}") };
    assert_eq!(partitions.len(), 1);
    partitions.remove(0).1
}

#[test]
fn a_leader_changes_its_isr() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[0, 1, 2], &[1, 0]]);
    world.forget();
    let changed = IsrChanged { leader: 0, leader_epoch: 0, isr: vec![0, 1], zk_version: 1 };
    assert_eq!(only(alter(&mut world, 0, vec![proposal(0, 0, &[0, 1], 0)])), Ok(changed.clone()));
    let expected = r#"{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0,1]}"#;
    assert_eq!(world.text(&state_path("t", 0)), expected);
    for broker in [0, 1, 2] {
        assert_eq!(world.metadata(broker)[&id("t", 0)].leader_and_isr.isr, [0, 1]);
        assert!(world.led(broker).is_empty(), "the leader knows it by the answer");
    }
    // Asked again, since the answer was lost: it is as it should be.
    assert_eq!(only(alter(&mut world, 0, vec![proposal(0, 0, &[0, 1], 0)])), Ok(changed));
}

#[test]
fn an_isr_is_refused_in_the_originals_way() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[0, 1, 2]]);
    world.stop(2);
    world.run();
    assert_eq!(world.brief("t", 0), (0, 1, vec![0, 1]));
    let mut refused = |broker, proposal| only(alter(&mut world, broker, vec![proposal]));
    assert_eq!(refused(0, proposal(7, 0, &[0], 0)), Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert_eq!(refused(0, proposal(0, 0, &[0], 0)), Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(refused(0, proposal(0, 1, &[0], 0)), Err(ErrorCode::INVALID_UPDATE_VERSION));
    assert_eq!(refused(0, proposal(0, 2, &[0], 1)), Err(ErrorCode::NOT_CONTROLLER));
    assert_eq!(refused(1, proposal(0, 1, &[1], 1)), Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(refused(0, proposal(0, 1, &[0, 5], 1)), Err(ErrorCode::INVALID_REQUEST));
    assert_eq!(refused(0, proposal(0, 1, &[1], 1)), Err(ErrorCode::INVALID_REQUEST));
    assert_eq!(world.brief("t", 0), (0, 1, vec![0, 1]));
    for (broker, broker_epoch) in [(2, 1), (0, 1)] {
        let answer = world.ask(Request::AlterIsr { broker, broker_epoch, proposals: Vec::new() });
        assert_eq!(answer, Answer::AlterIsr(Err(ErrorCode::STALE_BROKER_EPOCH)));
    }
}

#[test]
fn an_isr_whose_write_was_answered_by_nobody_stands() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[0, 1]]);
    world.lost_answers = 1;
    let changed = IsrChanged { leader: 0, leader_epoch: 0, isr: vec![0], zk_version: 1 };
    assert_eq!(only(alter(&mut world, 0, vec![proposal(0, 0, &[0], 0)])), Ok(changed));
}

#[test]
fn many_isrs_change_in_one_batch() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[0, 1], &[0, 1], &[0, 1]]);
    world.forget();
    let proposals = (0..3).map(|partition| proposal(partition, 0, &[0], 0)).collect();
    let Answer::AlterIsr(Ok(partitions)) = alter(&mut world, 0, proposals) else { panic!() };
    assert!(partitions.len() == 3 && partitions.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(world.round_trips, 1);
    assert_eq!(world.metadata(1).len(), 3);
}
