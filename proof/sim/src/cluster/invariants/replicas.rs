//! When all is well again, the replicas of a partition are equal, byte by byte, from where all of them begin.

use std::collections::BTreeMap;

use crate::cluster::logs::ReplicaLog;
use crate::cluster::settings::BrokerId;
use crate::invariants::Verdict;

/// Compares the replicas of one partition.
pub(crate) fn equal(partition: i32, replicas: &BTreeMap<BrokerId, ReplicaLog>) -> Verdict {
    let mut all = replicas.iter();
    let Some((first, one)) = all.next() else { return Err(format!("partition {partition} has no replica")) };
    let start = replicas.values().map(|log| log.start).max().unwrap_or(0);
    for (id, other) in all {
        if (one.end, one.from(start)) != (other.end, other.from(start)) {
            let differ = one.records.iter().zip(&other.records).find(|(left, right)| left != right);
            return Err(format!(
                "partition {partition} on broker {first} ends at {}, on broker {id} at {}, and they differ first at {:?}; epochs {:?} and {:?}",
                one.end,
                other.end,
                differ.map(|((at, _), _)| at),
                last_epochs(one),
                last_epochs(other)
            ));
        }
    }
    Ok(())
}

/// Where the last epochs begin.
fn last_epochs(log: &ReplicaLog) -> Vec<(i64, i32)> {
    let mut starts = log.epochs.clone();
    starts.dedup_by_key(|(_, epoch)| *epoch);
    starts.split_off(starts.len().saturating_sub(4))
}
