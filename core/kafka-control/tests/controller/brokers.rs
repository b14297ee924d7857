//! Brokers that die, come back, bounce and change; elections and ISRs that follow from it.

use std::collections::BTreeSet;

use kafka_control::{ControllerSettings, Event, IsrProposal, MessageBody, NO_LEADER, Request};

use crate::world::{World, id, settings, state_path};

#[test]
fn a_dead_brokers_leaders_move_and_it_leaves_the_isrs() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 0, 2], &[2, 1, 0], &[0, 2]]);
    world.forget();
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (0, 1, vec![0, 2]), "another leads");
    assert_eq!(world.brief("t", 1), (2, 1, vec![2, 0]), "the leader lives on and learns of the smaller ISR");
    assert_eq!(world.brief("t", 2), (0, 0, vec![0, 2]), "not concerned");
    for broker in [0, 2] {
        let led = world.led(broker);
        assert_eq!(led.keys().collect::<Vec<_>>(), [&id("t", 0), &id("t", 1)]);
        assert_eq!(led[&id("t", 0)].zk_version, 1);
        let metadata = world.metadata(broker);
        assert_eq!(metadata.len(), 2);
        assert_eq!(metadata[&id("t", 1)].offline, [1]);
        assert_eq!(world.known_brokers(broker), [0, 2].into());
    }
    assert!(world.told(1).next().is_none());
    assert_eq!(world.written.len(), 2, "one write for each partition that changes");
    assert!(world.has_logged("Broker failure callback for 1"));
}

#[test]
fn partitions_that_lost_their_leader_come_before_those_that_lost_a_follower() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[0, 1], &[1, 0], &[2, 1], &[1, 0]]);
    world.forget();
    world.stop(1);
    world.run();
    let told = world.told(0).filter_map(|body| match body {
        MessageBody::LeaderAndIsr { partitions, .. } => {
            Some(partitions.iter().map(|state| state.partition.partition).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [vec![1, 3], vec![0]]);
    assert_eq!(world.brief("t", 2), (2, 1, vec![2]));
}

#[test]
fn an_isr_never_gets_empty_and_its_last_member_alone_leads_again() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2]]);
    world.stop(1);
    world.run();
    world.stop(2);
    world.run();
    assert_eq!(world.brief("t", 0), (NO_LEADER, 2, vec![2]));
    assert_eq!(world.metadata(0)[&id("t", 0)].leader_and_isr.leader, NO_LEADER);
    world.start_plain(1);
    world.run();
    assert_eq!(world.brief("t", 0), (NO_LEADER, 2, vec![2]), "1 may lack records");
    assert_eq!(world.led(1)[&id("t", 0)].leader_and_isr.leader, NO_LEADER, "it is told all the same");
    world.start_plain(2);
    world.run();
    assert_eq!(world.brief("t", 0), (2, 3, vec![2]));
}

#[test]
fn members_that_die_at_once_all_stay_in_sync() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2]]);
    world.stop(1);
    world.stop(2);
    world.run();
    assert_eq!(world.brief("t", 0), (NO_LEADER, 1, vec![1, 2]));
    world.start_plain(2);
    world.run();
    assert_eq!(world.brief("t", 0), (2, 2, vec![2]));
}

#[test]
fn a_broker_that_comes_back_is_told_everything() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[0, 1], &[0]]);
    world.stop(1);
    world.run();
    world.forget();
    world.start_plain(1);
    world.run();
    assert_eq!(world.known_brokers(0), [0, 1].into());
    assert_eq!(world.known_brokers(1), [0, 1].into());
    let metadata = world.metadata(1);
    assert_eq!(metadata.keys().collect::<Vec<_>>(), [&id("t", 0), &id("t", 1)]);
    let led = world.led(1);
    assert_eq!(led.keys().collect::<Vec<_>>(), [&id("t", 0)]);
    assert_eq!((led[&id("t", 0)].leader_and_isr.leader, led[&id("t", 0)].is_new), (0, false));
    assert_eq!(world.brief("t", 0), (0, 1, vec![0]), "the leader takes it back into the ISR by itself");
    let first = world.messages.iter().find(|message| message.broker == 1).unwrap();
    assert!(matches!(first.body, MessageBody::UpdateMetadata { .. }), "it must know the leaders first");
    assert_eq!(Some(first.broker_epoch), world.broker_epoch(1));
}

#[test]
fn a_bounced_broker_loses_its_leaders_first() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1, 0], &[1]]);
    world.forget();
    world.bounce(1);
    assert_eq!(world.brief("t", 0), (0, 1, vec![0]));
    assert_eq!(world.brief("t", 1), (1, 2, vec![1]), "nobody led it meanwhile");
    assert!(world.has_logged("Newly added brokers: , deleted brokers: , bounced brokers: 1, all live brokers: 0,1"));
    assert!(
        world
            .messages
            .iter()
            .filter(|message| message.broker == 1)
            .all(|message| { Some(message.broker_epoch) == world.broker_epoch(1) })
    );
}

/// Broker 0 held the office and is gone; before 1 has taken it, 2 was gone and back, perhaps without the end of its log.
fn between_controllers(replicas: &[i32], bounced: &[i32]) -> World {
    let mut world = World::with_brokers(&[2]);
    world.start(1);
    world.run();
    world.create_topic("t", &[replicas]);
    world.stop(0);
    for broker in bounced {
        world.stop(*broker);
        match broker {
            1 => world.start(1),
            _ => world.start_plain(*broker),
        }
    }
    world.forget();
    world.run();
    assert_eq!(world.active(), Some(1));
    world
}

#[test]
fn a_leader_that_bounced_between_two_controllers_leads_no_more() {
    let world = between_controllers(&[2, 1], &[2]);
    assert_eq!(world.brief("t", 0), (1, 1, vec![1]), "it may lack what was acknowledged");
    assert_eq!(world.led(2)[&id("t", 0)].leader_and_isr, world.state("t", 0), "it follows, and may join again");
    assert!(world.has_logged("Brokers that bounced since states were written: 2"));
}

#[test]
fn a_follower_that_bounced_between_two_controllers_leaves_the_isr() {
    let world = between_controllers(&[1, 2], &[2]);
    assert_eq!(world.brief("t", 0), (1, 1, vec![1]));
}

#[test]
fn where_all_bounced_the_leader_leads_on_in_a_new_epoch() {
    let world = between_controllers(&[2, 1], &[2, 1]);
    assert_eq!(
        world.brief("t", 0),
        (2, 1, vec![2, 1]),
        "nobody knows who has more, and what is new is not taken for what was lost"
    );
    let world = between_controllers(&[2], &[2]);
    assert_eq!(world.brief("t", 0), (2, 0, vec![2]));
    let world = between_controllers(&[2, 0], &[2]);
    assert_eq!(world.brief("t", 0), (2, 1, vec![2]), "the other one is gone");
}

/// The follower is behind, but it may have more than what the leader's disk kept.
#[test]
fn a_leader_that_bounced_leads_on_in_a_new_epoch_though_no_other_is_in_sync() {
    let mut world = World::with_brokers(&[2]);
    world.start(1);
    world.run();
    world.create_topic("t", &[&[2, 1]]);
    world.stop(1);
    world.run();
    world.start(1);
    world.run();
    assert_eq!(world.brief("t", 0), (2, 1, vec![2]));
    world.stop(0);
    world.stop(2);
    world.start_plain(2);
    world.run();
    assert_eq!(world.active(), Some(1));
    assert_eq!(world.brief("t", 0), (2, 2, vec![2]));
}

/// Its registration is newer than the states, and its log is whole: a session is not a process.
#[test]
fn a_controller_knows_that_its_own_process_lived_on() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[0, 1]]);
    world.expire(0);
    world.run();
    world.register(0);
    world.run();
    assert_eq!(world.brief("t", 0), (0, 0, vec![0, 1]));
    world.stop(0);
    world.start(0);
    world.run();
    assert_eq!(world.brief("t", 0), (1, 1, vec![1]), "now it was the process");
}

/// Its session expired, its process lived on, and the leader took it back before it registered.
#[test]
fn who_was_taken_into_an_isr_before_it_registered_joins_again() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2], &[1]]);
    world.stop(2);
    world.run();
    assert_eq!(world.brief("t", 0), (1, 1, vec![1]));
    let (broker_epoch, state) = (world.broker_epoch(1).unwrap(), world.state("t", 0));
    let proposal =
        IsrProposal { partition: id("t", 0), leader_epoch: state.leader_epoch, isr: vec![1, 2], zk_version: 1 };
    world.ask(Request::AlterIsr { broker: 1, broker_epoch, proposals: vec![proposal] });
    assert_eq!(world.brief("t", 0), (1, 1, vec![1, 2]));
    world.start_plain(2);
    world.run();
    assert_eq!(world.brief("t", 0), (1, 2, vec![1]), "it may have been another process");
    assert_eq!(world.led(2)[&id("t", 0)].leader_and_isr.leader, 1, "and is told whom to follow");
    assert_eq!(world.brief("t", 1), (1, 0, vec![1]), "not concerned");
}

#[test]
fn other_listeners_are_told() {
    let mut world = World::with_brokers(&[1]);
    world.move_listener(1);
    assert!(world.has_logged("Broker info update callback for 1"));
    assert_eq!(world.known_brokers(0), [0, 1].into());
    world.forget();
    world.move_listener(1);
    assert!(world.messages.is_empty(), "nothing changed this time");
}

/// A leader of an older protocol changed its ISR by itself: the controller's version is not the newest.
#[test]
fn a_state_that_somebody_else_wrote_is_read_and_chosen_anew() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 0, 2]]);
    world.write_isr("t", 0, &[1, 2]);
    world.forget();
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (2, 1, vec![2]), "0 is not in sync");
    assert!(world.has_logged("Retrying leader election"));
    assert_eq!(world.led(2)[&id("t", 0)].zk_version, 2);
}

/// Whatever operation's answer is lost, a leader epoch is raised once.
#[test]
fn an_election_whose_answer_was_lost_is_held_once() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 0, 2]]);
    world.lost_answers = 1;
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (0, 1, vec![0, 2]));
    assert_eq!(world.led(0)[&id("t", 0)].leader_and_isr, world.state("t", 0));
}

fn with_dead_isr() -> World {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1, 0]]);
    world.write_isr("t", 0, &[1]);
    world
}

#[test]
fn unclean_election_by_the_brokers_default() {
    let mut world = with_dead_isr();
    world.event(0, Event::SettingsChanged(ControllerSettings { unclean_leader_election_enable: true, ..settings(0) }));
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (0, 1, vec![0]));
}

#[test]
fn unclean_election_by_the_topics_configuration_either_way() {
    let mut world = with_dead_isr();
    world.create("/config/topics/t", r#"{"version":1,"config":{"unclean.leader.election.enable":"true"}}"#);
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (0, 1, vec![0]));

    let mut world = with_dead_isr();
    world.create("/config/topics/t", r#"{"version":1,"config":{"unclean.leader.election.enable":"false"}}"#);
    world.event(0, Event::SettingsChanged(ControllerSettings { unclean_leader_election_enable: true, ..settings(0) }));
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (NO_LEADER, 1, vec![1]));

    let mut world = with_dead_isr();
    world.create("/config/topics/t", "{{{");
    world.event(0, Event::SettingsChanged(ControllerSettings { unclean_leader_election_enable: true, ..settings(0) }));
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (NO_LEADER, 1, vec![1]), "what can't be read permits nothing");
}

#[test]
fn unclean_election_once_it_is_switched_on() {
    let mut world = with_dead_isr();
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (NO_LEADER, 1, vec![1]));
    world.create("/config/topics/t", r#"{"version":1,"config":{"unclean.leader.election.enable":"true"}}"#);
    world.event(0, Event::UncleanElectionEnabled { topic: "t".to_owned() });
    world.run();
    assert_eq!(world.brief("t", 0), (0, 2, vec![0]));

    let mut world = with_dead_isr();
    world.stop(1);
    world.run();
    world.event(0, Event::SettingsChanged(ControllerSettings { unclean_leader_election_enable: true, ..settings(0) }));
    world.run();
    assert_eq!(world.brief("t", 0), (0, 2, vec![0]));
    assert!(world.has_logged("Unclean leader election has been enabled by default"));
}

#[test]
fn a_replica_in_a_failed_directory_does_not_lead_until_its_broker_has_registered_anew() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1], &[1, 0]]);
    world.forget();
    for _ in 0..2 {
        world.replica_offline(1, "t", 0);
        assert_eq!(world.brief("t", 0), (NO_LEADER, 1, vec![1]));
    }
    let told = &world.metadata(0)[&id("t", 0)];
    assert!(told.leader_and_isr.leader == NO_LEADER && told.offline == [1], "{told:?}");
    assert_eq!(world.stopped(1).len(), 1);
    assert!(world.has_logged("Mark replicas t-0 on broker 1 as offline"));
    world.replica_offline(1, "t", 1);
    assert_eq!(world.brief("t", 1), (0, 1, vec![0]));
    world.bounce(1);
    assert_eq!(world.brief("t", 0), (1, 2, vec![1]));
}

#[test]
fn answers_of_an_earlier_life_say_nothing() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1]]);
    let answer =
        || kafka_control::BrokerAnswer::LeaderAndIsr(vec![(id("t", 0), kafka_proto::ErrorCode::KAFKA_STORAGE_ERROR)]);
    let broker_epoch = world.broker_epoch(1).unwrap();
    for (broker_epoch, controller_epoch) in [(broker_epoch - 1, 1), (broker_epoch, 0)] {
        world.event(0, Event::Answered { broker: 1, broker_epoch, controller_epoch, answer: answer() });
        world.run();
        assert_eq!(world.brief("t", 0), (1, 0, vec![1]));
    }
    assert_eq!(world.text(&state_path("t", 0)).matches("\"leader\":1").count(), 1);
}

#[test]
fn a_broker_whose_registration_can_not_be_read_is_not_gone() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1, 2]]);
    world.forget();
    world.unreadable.insert("/brokers/ids/1".to_owned());
    world.start_plain(3);
    world.run();
    assert!(world.has_logged("Failed to read the registration of broker 1"));
    assert_eq!(world.brief("t", 0), (1, 0, vec![1, 2]));
    // The next look finds all.
    world.stop(3);
    world.start_plain(4);
    world.run();
    assert_eq!(world.known_brokers(1), BTreeSet::from([0, 1, 2, 4]));
    assert_eq!(world.brief("t", 0), (1, 0, vec![1, 2]));
}
