//! Requests of controllers, leaders and followers that are none any more, or none yet.

use std::collections::BTreeMap;

use base::Str;
use kafka_proto::Request;
use kafka_proto::messages::{
    alter_isr, controlled_shutdown, fetch, leader_and_isr, list_offset, offset_for_leader_epoch, stop_replica,
    update_metadata,
};

use super::{Session, TOPIC};

/// What is true now.
struct Truth {
    controller: usize,
    controller_epoch: i32,
    broker_epochs: BTreeMap<usize, i64>,
    /// Of partition 0, which broker 1 leads.
    leader_epoch: i32,
    zk_version: i32,
}

impl Truth {
    fn read(session: &Session) -> Self {
        let mut znodes = session.cluster.znodes().unwrap();
        let epoch = znodes.get("/controller_epoch").unwrap().unwrap().0;
        let registered = |id: usize| {
            let (_, stat) = session.cluster.znodes().unwrap().get(&format!("/brokers/ids/{id}")).unwrap().unwrap();
            (id, stat.czxid)
        };
        let (_, stat) = znodes.get(&format!("/brokers/topics/{TOPIC}/partitions/0/state")).unwrap().unwrap();
        let state = session.cluster.state(TOPIC, 0).unwrap();
        Self {
            controller: session.cluster.controller().unwrap().unwrap(),
            controller_epoch: String::from_utf8(epoch.to_vec()).unwrap().parse().unwrap(),
            broker_epochs: (1..=3).map(registered).collect(),
            leader_epoch: state["leader_epoch"].as_i64().unwrap() as i32,
            zk_version: stat.version,
        }
    }
}

pub(super) fn script(session: &mut Session) {
    let truth = Truth::read(session);
    session.note("truth", (truth.controller, truth.controller_epoch, truth.leader_epoch, truth.zk_version));
    of_a_controller(session, &truth);
    of_a_leader(session, &truth);
    of_readers(session, &truth);
    session.serves("stale requests");
}

fn ask<R: Request>(session: &mut Session, what: &str, id: usize, request: &R, versions: &[i16])
where
    R::Response: std::fmt::Debug,
{
    for version in versions {
        let answer = session.cluster.ask(id, request, *version).map_err(|error| error.to_string());
        session.note(&format!("{:?} v{version} {what} to broker {id}", R::KEY), answer);
    }
}

/// Epochs of controllers and brokers: older, and of the broker newer, which says that it was started again.
fn of_a_controller(session: &mut Session, truth: &Truth) {
    for id in [2, 3] {
        let epoch = truth.broker_epochs[&id];
        for (what, controller_epoch, broker_epoch) in [
            ("an old controller", truth.controller_epoch - 1, epoch),
            ("an old controller for an old broker", truth.controller_epoch - 1, epoch - 1),
            ("to the broker before", truth.controller_epoch, epoch - 1),
        ] {
            let (old, with) = (what, (controller_epoch, broker_epoch));
            ask(session, old, id, &become_leader(truth, id, with, truth.leader_epoch + 1), &[2, 3, 4]);
            ask(session, old, id, &all_dead(truth, with), &[5, 6]);
            ask(session, old, id, &stop(truth, with, truth.leader_epoch + 1), &[3]);
        }
        // What the broker knows already, or knows better.
        let now = (truth.controller_epoch, epoch);
        for (what, leader_epoch) in [("as it is", truth.leader_epoch), ("an old leader", truth.leader_epoch - 1)] {
            ask(session, what, id, &become_leader(truth, id, now, leader_epoch), &[4]);
        }
        ask(session, "an old leader", id, &stop(truth, now, truth.leader_epoch - 1), &[3]);
    }
    for (what, id, epoch) in [("of a broker that was", truth.controller, -7), ("to no controller", 2, -1)] {
        let epoch = truth.broker_epochs[&3] + epoch;
        ask(session, what, id, &controlled_shutdown::Request { broker_id: 3, broker_epoch: epoch }, &[2, 3]);
    }
    let unknown = controlled_shutdown::Request { broker_id: 9, broker_epoch: -1 };
    ask(session, "of nobody", truth.controller, &unknown, &[1, 2, 3]);
}

fn become_leader(
    truth: &Truth,
    id: usize,
    (controller_epoch, broker_epoch): (i32, i64),
    leader_epoch: i32,
) -> leader_and_isr::Request {
    let state = leader_and_isr::PartitionState {
        topic_name: Str::default(),
        partition_index: 0,
        controller_epoch,
        leader: id as i32,
        leader_epoch,
        isr: vec![id as i32],
        zk_version: 77,
        replicas: vec![1, 2, 3],
        adding_replicas: vec![],
        removing_replicas: vec![],
        is_new: false,
    };
    leader_and_isr::Request {
        controller_id: truth.controller as i32,
        controller_epoch,
        broker_epoch,
        ungrouped_partition_states: vec![],
        topic_states: vec![leader_and_isr::TopicState { topic_name: TOPIC.into(), partition_states: vec![state] }],
        live_leaders: vec![],
    }
}

fn all_dead(truth: &Truth, (controller_epoch, broker_epoch): (i32, i64)) -> update_metadata::Request {
    update_metadata::Request {
        controller_id: truth.controller as i32,
        controller_epoch,
        broker_epoch,
        ungrouped_partition_states: vec![],
        topic_states: vec![],
        live_brokers: vec![],
    }
}

fn stop(truth: &Truth, (controller_epoch, broker_epoch): (i32, i64), leader_epoch: i32) -> stop_replica::Request {
    let state = stop_replica::PartitionState { partition_index: 0, leader_epoch, delete_partition: true };
    stop_replica::Request {
        controller_id: truth.controller as i32,
        controller_epoch,
        broker_epoch,
        delete_partitions: false,
        ungrouped_partitions: vec![],
        topics: vec![],
        topic_states: vec![stop_replica::TopicState { topic_name: TOPIC.into(), partition_states: vec![state] }],
    }
}

/// AlterIsr as leaders that are none.
fn of_a_leader(session: &mut Session, truth: &Truth) {
    let own = truth.broker_epochs[&1];
    for (what, broker_id, broker_epoch, topic, partition, leader_epoch, isr, zk_version) in [
        ("an old broker", 1, own - 1, TOPIC, 0, truth.leader_epoch, &[1][..], truth.zk_version),
        ("a newer broker", 1, own + 1, TOPIC, 0, truth.leader_epoch, &[1], truth.zk_version),
        ("no broker", 9, own, TOPIC, 0, truth.leader_epoch, &[1], truth.zk_version),
        ("an old leader", 1, own, TOPIC, 0, truth.leader_epoch - 1, &[1], truth.zk_version),
        // Of an epoch to come is left out: the original writes it, as later releases do not.
        ("an old version", 1, own, TOPIC, 0, truth.leader_epoch, &[1], truth.zk_version - 1),
        ("a newer version", 1, own, TOPIC, 0, truth.leader_epoch, &[1], truth.zk_version + 1),
        ("no such partition", 1, own, TOPIC, 9, 0, &[1], 0),
        ("no such topic", 1, own, "no-such-topic", 0, 0, &[1], 0),
        ("as it is", 1, own, TOPIC, 0, truth.leader_epoch, &[1, 2, 3], truth.zk_version),
    ] {
        let partition = alter_isr::RequestPartition {
            partition_index: partition,
            leader_epoch,
            new_isr: isr.to_vec(),
            current_isr_version: zk_version,
        };
        let topics = vec![alter_isr::RequestTopic { name: topic.into(), partitions: vec![partition] }];
        let request = alter_isr::Request { broker_id, broker_epoch, topics };
        for id in [truth.controller, 3] {
            ask(session, what, id, &request, &[0]);
        }
    }
}

/// Fetches and questions with epochs that are past or to come.
fn of_readers(session: &mut Session, truth: &Truth) {
    for (what, epoch) in
        [("old", truth.leader_epoch - 1), ("now", truth.leader_epoch), ("newer", truth.leader_epoch + 1)]
    {
        for id in [1, 2] {
            for replica in [-1, 2, 3, 9] {
                let what = format!("{what} epoch, as {replica}");
                ask(session, &what, id, &read(replica, epoch), &[9, 10, 11, 12]);
            }
            let partition = offset_for_leader_epoch::RequestPartition {
                partition_index: 0,
                current_leader_epoch: epoch,
                leader_epoch: truth.leader_epoch,
            };
            let topics =
                vec![offset_for_leader_epoch::RequestTopic { name: TOPIC.into(), partitions: vec![partition] }];
            let request = offset_for_leader_epoch::Request { replica_id: -1, topics };
            ask(session, what, id, &request, &[2, 3]);
            let partition = list_offset::RequestPartition {
                partition_index: 0,
                current_leader_epoch: epoch,
                timestamp: -1,
                ..Default::default()
            };
            let topics = vec![list_offset::RequestTopic { name: TOPIC.into(), partitions: vec![partition] }];
            let request = list_offset::Request { replica_id: -1, isolation_level: 0, topics };
            ask(session, what, id, &request, &[4, 5]);
        }
    }
}

fn read(replica_id: i32, current_leader_epoch: i32) -> fetch::Request {
    let partition = fetch::RequestPartition {
        partition_index: 0,
        current_leader_epoch,
        fetch_offset: 0,
        last_fetched_epoch: -1,
        log_start_offset: if replica_id < 0 { -1 } else { 0 },
        partition_max_bytes: 1000,
    };
    fetch::Request {
        replica_id,
        max_wait_ms: 0,
        max_bytes: 1000,
        session_epoch: -1,
        topics: vec![fetch::RequestTopic { topic: TOPIC.into(), partitions: vec![partition] }],
        ..fetch::Request::default()
    }
}
