//! When all is well again, ZooKeeper, the brokers that lead and what every broker answers say the same of who leads a partition, in which
//! epoch, and who is in sync: all its replicas.

use std::collections::{BTreeMap, BTreeSet};

use kafka_control::znode::LeaderAndIsr;
use kafka_proto::messages::metadata::ResponsePartition;

use crate::cluster::settings::BrokerId;
use crate::invariants::Verdict;

/// `leaders` are the brokers that lead a partition by their own account, each with its epoch and in-sync replicas; `factor` is how many
/// replicas there are, all of them on brokers that live.
pub(crate) fn agree(
    partition: i32,
    state: &LeaderAndIsr,
    factor: usize,
    leaders: &BTreeMap<BrokerId, (i32, Vec<i32>)>,
) -> Verdict {
    if as_set(&state.isr).len() != factor {
        return Err(format!("not all {factor} replicas of partition {partition} are in sync: ZooKeeper has {state:?}"));
    }
    let is_right = |(broker, (epoch, isr)): (&BrokerId, &(i32, Vec<i32>))| {
        (*broker, *epoch) == (state.leader, state.leader_epoch) && as_set(isr) == as_set(&state.isr)
    };
    match leaders.len() == 1 && leaders.iter().all(is_right) {
        true => Ok(()),
        false => Err(format!("of partition {partition} ZooKeeper has {state:?}, and brokers that lead it {leaders:?}")),
    }
}

/// What one broker answers to Metadata; `replicas` have a log of the partition.
pub(crate) fn described(
    partition: i32,
    state: &LeaderAndIsr,
    replicas: &BTreeSet<BrokerId>,
    (broker, answer): (BrokerId, Option<&ResponsePartition>),
) -> Verdict {
    let is_right = |answer: &ResponsePartition| {
        let ResponsePartition { leader_id, leader_epoch, replica_nodes, isr_nodes, offline_replicas, .. } = answer;
        (*leader_id, *leader_epoch) == (state.leader, state.leader_epoch)
            && as_set(replica_nodes) == *replicas
            && as_set(isr_nodes) == as_set(&state.isr)
            && offline_replicas.is_empty()
    };
    match answer.is_some_and(is_right) {
        true => Ok(()),
        false => Err(format!(
            "of partition {partition} ZooKeeper has {state:?}, its replicas are {replicas:?}, and broker {broker} answers {answer:?}"
        )),
    }
}

fn as_set(ids: &[i32]) -> BTreeSet<i32> {
    ids.iter().copied().collect()
}
