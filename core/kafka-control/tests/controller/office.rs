//! The office: how it is won, kept, handed over and lost.

use std::collections::BTreeSet;

use kafka_control::{Answer, Event, Request};
use kafka_proto::ErrorCode;

use crate::world::{World, settings, state_path};

#[test]
fn the_first_broker_takes_the_office_and_makes_the_epoch() {
    let mut world = World::empty();
    world.start(0);
    world.run();
    assert_eq!(world.text("/controller_epoch"), "1");
    assert_eq!(world.text("/controller"), r#"{"version":1,"brokerid":0,"timestamp":"1000"}"#);
    assert_eq!(world.text("/feature"), r#"{"features":{},"version":1,"status":1}"#);
    assert_eq!(world.nodes[&0].controller.active_epoch(), Some(1));
    let told: Vec<_> = world.messages.iter().map(|message| (message.broker, message.controller_epoch)).collect();
    assert!(told.contains(&(0, 1)), "the broker learns of itself: {told:?}");
    assert!(world.has_logged("0 successfully elected as the controller. Epoch incremented to 1"));
    assert!(world.has_logged("Ready to serve as the new controller with epoch 1"));
}

#[test]
fn another_controller_is_left_alone_and_followed_by_election() {
    let mut world = World::empty();
    world.create("/controller", r#"{"version":1,"brokerid":7,"timestamp":"1"}"#);
    world.start(0);
    world.run();
    let office = |world: &World| {
        let controller = &world.nodes[&0].controller;
        (controller.elected(), controller.active_epoch())
    };
    assert_eq!(office(&world), (Some(7), None));
    world.delete("/controller");
    assert_eq!(office(&world), (Some(0), Some(1)));
}

#[test]
fn the_office_goes_to_one_of_the_others_when_its_broker_dies() {
    let mut world = World::with_brokers(&[]);
    world.start(1);
    world.start(2);
    world.run();
    assert_eq!(world.active(), Some(0));
    world.create_topic("t", &[&[0, 1, 2]]);
    world.stop(0);
    world.run();
    let active: Vec<_> = world.nodes.values().filter_map(|node| node.controller.active_epoch()).collect();
    assert_eq!(active, [2], "one, of the second epoch");
    assert_eq!(world.brief("t", 0), (1, 1, vec![1, 2]));
}

/// A zombie: its session is over and another broker is controller, and it has not heard of either.
#[test]
fn a_fenced_controller_writes_nothing_and_resigns() {
    let mut world = World::with_brokers(&[]);
    world.start(1);
    world.run();
    let epoch: i32 = world.text("/controller_epoch").parse().unwrap();
    world.set_quietly("/controller_epoch", &(epoch + 1).to_string());
    world.set_quietly("/controller", r#"{"version":1,"brokerid":1,"timestamp":"1"}"#);
    world.create_topic("t", &[&[0]]);
    assert!(!world.exists(&state_path("t", 0)), "nothing was written under the old epoch");
    assert_eq!(world.nodes[&0].controller.active_epoch(), None);
    assert_eq!(world.nodes[&0].controller.elected(), Some(1));
    assert!(world.has_logged("Resigned"));
}

#[test]
fn an_expired_session_ends_the_office() {
    let mut world = World::with_brokers(&[]);
    world.expire(0);
    world.run();
    let controller = &world.nodes[&0].controller;
    assert_eq!((controller.elected(), controller.active_epoch()), (None, None));
    world.register(0);
    world.run();
    assert_eq!(world.nodes[&0].controller.active_epoch(), Some(2));
}

#[test]
fn who_does_not_hold_the_office_refuses_every_request() {
    let mut world = World::with_brokers(&[]);
    world.start(1);
    world.run();
    let id = world.ask_of(1, Request::ListPartitionReassignments(None));
    world.run();
    let Some(Answer::ListPartitionReassignments(Err(refusal))) = world.answer_to(id) else { panic!() };
    assert_eq!(refusal.code, ErrorCode::NOT_CONTROLLER);
    assert_eq!(refusal.message.as_deref(), Some("This is not the correct controller for this cluster."));
}

/// Wherever the session ends, what was asked is answered.
#[test]
fn requests_are_answered_when_the_office_is_lost_under_them() {
    for (steps, failures_first) in (0..12).flat_map(|steps| [(steps, false), (steps, true)]) {
        let mut world = World::with_brokers(&[1]);
        world.failures_first = failures_first;
        world.create_topic("t", &[&[0, 1]]);
        let broker_epoch = world.broker_epoch(1).unwrap();
        let first = world.ask_of(0, Request::ControlledShutdown { broker: 1, broker_epoch });
        let second = world.ask_of(0, Request::ListPartitionReassignments(None));
        for _ in 0..steps {
            world.step(0);
        }
        world.expire(0);
        world.run();
        let was_done = world.answer_to(first) != Some(Answer::ControlledShutdown(Err(ErrorCode::NOT_CONTROLLER)));
        assert!(world.answer_to(first).is_some() && world.answer_to(second).is_some(), "after {steps} steps");
        assert!(!was_done || steps > 2, "after {steps} steps");
        world.register(0);
        world.run();
        assert_eq!(world.active(), Some(0));
    }
}

/// The multi that takes the office was done, and its answer lost: sent again it fails, and the znode shows whose it is.
#[test]
fn an_office_whose_answer_was_lost_is_taken_all_the_same() {
    let mut world = World::empty();
    world.lost_answers = 1;
    world.start(0);
    world.run();
    assert_eq!(world.nodes[&0].controller.active_epoch(), Some(1));
    assert_eq!(world.text("/controller_epoch"), "1");
    world.create_topic("t", &[&[0]]);
    assert_eq!(world.brief("t", 0), (0, 0, vec![0]));
}

#[test]
fn settings_outlive_a_session() {
    let mut world = World::with_brokers(&[]);
    world.event(
        0,
        Event::SettingsChanged(kafka_control::ControllerSettings { delete_topic_enable: false, ..settings(0) }),
    );
    world.expire(0);
    world.register(0);
    world.run();
    world.create_topic("t", &[&[0]]);
    world.create("/admin/delete_topics/t", "");
    assert!(!world.exists("/admin/delete_topics/t") && world.exists("/brokers/topics/t"));
}

/// A session may end between any two operations of a fail-over; the next one finds a cluster that it can serve.
#[test]
fn a_fail_over_may_be_cut_off_anywhere() {
    for failures_first in [false, true] {
        for steps in 0.. {
            let mut world = World::with_brokers(&[1, 2]);
            world.failures_first = failures_first;
            world.create_topic("t", &[&[1, 0, 2], &[2, 0, 1]]);
            world.create("/admin/delete_topics/gone", "");
            world.expire(0);
            world.run();
            world.stop(1);
            world.register(0);
            for _ in 0..steps {
                world.step(0);
            }
            let was_done = !world.is_busy(0);
            world.expire(0);
            world.run();
            world.register(0);
            world.run();
            assert_eq!((world.state("t", 0).leader, world.state("t", 1).leader), (0, 2), "after {steps} steps");
            assert_eq!(world.state("t", 1).isr, [2, 0]);
            assert!(!world.exists("/admin/delete_topics/gone"));
            if was_done {
                assert!(steps > 20);
                break;
            }
        }
    }
}

/// What a session leaves unanswered says nothing of the cluster: neither that brokers are gone nor that topics are. The next one
/// may begin before the controller is told of the end.
#[test]
fn what_fails_with_a_session_is_not_acted_on() {
    for failures_first in [false, true] {
        for steps in 0.. {
            let mut world = World::with_brokers(&[1, 2]);
            world.failures_first = failures_first;
            world.create_topic("t", &[&[1, 2]]);
            world.create_topic("goes", &[&[1, 2]]);
            world.create("/admin/delete_topics/goes", "");
            let states = (world.brief("t", 0), world.brief("goes", 0));
            // A fail-over, and a look at the brokers.
            world.expire(0);
            world.run();
            world.register(0);
            world.event(0, Event::Changed("/brokers/ids".to_owned()));
            for _ in 0..steps {
                world.step(0);
            }
            let was_done = !world.is_busy(0);
            let told = world.messages.len();
            let cuts_off = world.expire(0);
            world.register(0);
            // The failures, the end, and the registration, by which it asks who is controller.
            for _ in 0..3 {
                world.step(0);
            }
            assert!(!cuts_off || world.messages.len() == told, "after {steps} steps: {:?}", world.messages.last());
            world.run();
            assert_eq!((world.brief("t", 0), world.brief("goes", 0)), states, "after {steps} steps");
            assert!(world.exists("/admin/delete_topics/goes"), "after {steps} steps");
            assert_eq!(world.active(), Some(0), "after {steps} steps");
            if was_done {
                assert!(steps > 20);
                break;
            }
        }
    }
}

/// What can't be read is not taken for gone: the office is left and taken anew.
#[test]
fn a_fail_over_that_can_not_read_something_is_done_again() {
    for path in ["/brokers/ids/1", "/brokers/topics/goes", "/brokers/topics", "/admin/delete_topics", "/feature"] {
        let mut world = World::with_brokers(&[1]);
        world.create_topic("t", &[&[1]]);
        world.create_topic("goes", &[&[1]]);
        world.create("/admin/delete_topics/goes", "");
        world.expire(0);
        world.run();
        world.forget();
        world.unreadable.insert(path.to_owned());
        world.register(0);
        world.run();
        assert!(world.has_logged("Trigger controller movement immediately"), "{path}");
        assert_eq!(world.nodes[&0].controller.active_epoch(), Some(3), "{path}");
        assert_eq!(world.brief("t", 0), (1, 0, vec![1]), "{path}");
        assert!(world.exists("/admin/delete_topics/goes"), "{path}");
        assert_eq!(world.known_brokers(1), BTreeSet::from([0, 1]), "{path}");
    }
}
