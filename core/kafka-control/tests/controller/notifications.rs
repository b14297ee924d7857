//! Announcements of brokers by znodes.

use kafka_control::znode::{IsrChange, LogDirEvent};
use kafka_control::{Answer, BrokerAnswer, Request};
use kafka_proto::ErrorCode;

use crate::world::{World, id};

const ISR_CHANGE: &str = "/isr_change_notification/isr_change_";
const LOG_DIR_EVENT: &str = "/log_dir_event_notification/log_dir_event_";

#[test]
fn isrs_of_older_brokers_are_read_and_told() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1, 0], &[0]]);
    world.write_isr("t", 0, &[1]);
    world.forget();
    world.announce(ISR_CHANGE, &IsrChange([id("t", 0), id("gone", 0)].into()).encode());
    world.announce(ISR_CHANGE, &"no".into());
    world.run();
    let told = world.metadata(0);
    assert_eq!(told.len(), 1);
    assert_eq!((&told[&id("t", 0)].leader_and_isr.isr[..], told[&id("t", 0)].zk_version), (&[1][..], 1));
    assert!(world.zookeeper.children("/isr_change_notification").is_empty(), "what is read is removed");
    assert!(world.has_logged("invalid content of znode /isr_change_notification"));
    // The watch was set anew.
    world.write_isr("t", 0, &[1, 0]);
    world.announce(ISR_CHANGE, &IsrChange([id("t", 0)].into()).encode());
    world.run();
    assert_eq!(world.metadata(0)[&id("t", 0)].zk_version, 2);
    // And what the controller writes next is based on it.
    world.stop(1);
    world.run();
    assert_eq!(world.brief("t", 0), (0, 1, vec![0]));
}

#[test]
fn a_broker_with_a_failed_directory_is_asked_about_all_its_replicas() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1, 0], &[0], &[0, 1]]);
    world.forget();
    world.announce(LOG_DIR_EVENT, &LogDirEvent { broker: 1 }.encode());
    world.announce(LOG_DIR_EVENT, &"{}".into());
    world.run();
    assert_eq!(world.led(1).keys().collect::<Vec<_>>(), [&id("t", 0), &id("t", 2)]);
    assert!(world.led(0).is_empty() && world.written.len() == 2);
    assert!(world.zookeeper.children("/log_dir_event_notification").is_empty());
    world.replica_offline(1, "t", 2);
    assert_eq!(world.brief("t", 2), (0, 1, vec![0]));
    assert_eq!(world.brief("t", 0), (1, 0, vec![1, 0]));
}

/// A full disk had no room for replicas, and has it again.
#[test]
fn a_replica_that_is_back_leads() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1], &[1, 0]]);
    world.replica_offline(1, "t", 0);
    world.replica_offline(1, "t", 1);
    assert_eq!((world.brief("t", 0), world.brief("t", 1)), ((-1, 1, vec![1]), (0, 1, vec![0])));
    world.forget();
    world.announce(LOG_DIR_EVENT, &LogDirEvent { broker: 1 }.encode());
    world.run();
    assert_eq!(world.led(1).len(), 2, "it is asked");
    let back = vec![(id("t", 0), ErrorCode::NONE), (id("t", 1), ErrorCode::NONE)];
    world.answered(1, BrokerAnswer::LeaderAndIsr(back));
    assert_eq!((world.brief("t", 0), world.brief("t", 1)), ((1, 2, vec![1]), (0, 1, vec![0])));
    assert!(world.metadata(0)[&id("t", 1)].offline.is_empty(), "all brokers hear of it");
}

#[test]
fn a_replica_that_is_back_is_deleted_if_it_was_to_be() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1]]);
    world.replica_offline(1, "t", 0);
    world.create("/admin/delete_topics/t", "");
    world.run();
    world.forget();
    world.answered(1, BrokerAnswer::LeaderAndIsr(vec![(id("t", 0), ErrorCode::NONE)]));
    world.replicas_deleted(1, ErrorCode::NONE);
    assert!(!world.exists("/admin/delete_topics/t"));
}

#[test]
fn old_announcements_are_removed_at_a_fail_over() {
    let mut world = World::empty();
    world.announce(ISR_CHANGE, &IsrChange([id("t", 0)].into()).encode());
    world.announce(LOG_DIR_EVENT, &LogDirEvent { broker: 0 }.encode());
    world.start(0);
    world.run();
    assert!(world.zookeeper.children("/isr_change_notification").is_empty());
    assert!(world.zookeeper.children("/log_dir_event_notification").is_empty());
    // Later ones are taken.
    world.create_topic("t", &[&[0]]);
    world.forget();
    world.announce(LOG_DIR_EVENT, &LogDirEvent { broker: 0 }.encode());
    world.run();
    assert_eq!(world.led(0).len(), 1);
}

/// A broker of an older protocol leads: its ISR is known by its announcement alone.
#[test]
fn an_announcement_ends_a_reassignment() {
    let mut world = World::with_brokers(&[1, 2]);
    world.create_topic("t", &[&[1]]);
    let wish = [(id("t", 0), Some(vec![2]))].into();
    let Answer::AlterPartitionReassignments(Ok(answers)) = world.ask(Request::AlterPartitionReassignments(wish)) else {
        panic!()
    };
    assert!(answers[&id("t", 0)].is_ok());
    world.write_isr("t", 0, &[1, 2]);
    world.announce(ISR_CHANGE, &IsrChange([id("t", 0)].into()).encode());
    world.run();
    assert_eq!(world.brief("t", 0), (2, 2, vec![2]));
    assert!(world.stopped(1).iter().any(|replica| replica.delete));
}

#[test]
fn an_announcement_that_can_not_be_read_is_kept() {
    let mut world = World::with_brokers(&[1]);
    world.create_topic("t", &[&[1, 0]]);
    world.write_isr("t", 0, &[1]);
    world.forget();
    world.unreadable.insert(format!("{ISR_CHANGE}0000000000"));
    world.announce(ISR_CHANGE, &IsrChange([id("t", 0)].into()).encode());
    world.run();
    assert_eq!(world.zookeeper.children("/isr_change_notification").len(), 1);
    world.announce(ISR_CHANGE, &IsrChange([].into()).encode());
    world.run();
    assert_eq!(&world.metadata(0)[&id("t", 0)].leader_and_isr.isr[..], [1]);
    assert!(world.zookeeper.children("/isr_change_notification").is_empty());
}
