//! When all is well again, ZooKeeper and the brokers say the same of who leads a partition, in which epoch, and who is in sync.

use std::collections::{BTreeMap, BTreeSet};

use kafka_control::znode::LeaderAndIsr;

use crate::cluster::settings::BrokerId;
use crate::invariants::Verdict;

/// `leaders` are the brokers that lead a partition by their own account, each with its epoch and in-sync replicas.
pub(crate) fn agree(partition: i32, state: &LeaderAndIsr, leaders: &BTreeMap<BrokerId, (i32, Vec<i32>)>) -> Verdict {
    let as_set = |isr: &[i32]| isr.iter().copied().collect::<BTreeSet<i32>>();
    let is_right = |(broker, (epoch, isr)): (&BrokerId, &(i32, Vec<i32>))| {
        (*broker, *epoch) == (state.leader, state.leader_epoch) && as_set(isr) == as_set(&state.isr)
    };
    match leaders.len() == 1 && leaders.iter().all(is_right) {
        true => Ok(()),
        false => Err(format!("of partition {partition} ZooKeeper has {state:?}, and brokers that lead it {leaders:?}")),
    }
}
