//! One leader for each leader epoch: whatever two logs hold of one epoch, they hold alike.

use std::collections::BTreeMap;

use crate::cluster::logs::ReplicaLog;
use crate::invariants::Verdict;

/// What was seen of each epoch: by partition, epoch and first offset, the record's value.
#[derive(Default)]
pub(crate) struct Leaders(BTreeMap<(i32, i32, i64), Vec<u8>>);

impl Leaders {
    /// A log was looked at.
    pub(crate) fn look(&mut self, partition: i32, log: &ReplicaLog) -> Verdict {
        let values: BTreeMap<i64, &[u8]> = log.records.iter().map(|(at, value)| (*at, value.as_slice())).collect();
        for (offset, epoch) in &log.epochs {
            let Some(value) = values.get(offset) else { continue };
            let before = self.0.entry((partition, *epoch, *offset)).or_insert_with(|| value.to_vec());
            if before != value {
                return Err(format!(
                    "epoch {epoch} of partition {partition} has two records at offset {offset}: {} and {}",
                    String::from_utf8_lossy(before),
                    String::from_utf8_lossy(value)
                ));
            }
        }
        let mut last = -1;
        for (offset, epoch) in &log.epochs {
            if *epoch < last {
                return Err(format!("partition {partition} goes back from epoch {last} to {epoch} at {offset}"));
            }
            last = *epoch;
        }
        Ok(())
    }

    /// How many epochs wrote something.
    pub(crate) fn count(&self) -> u64 {
        let mut epochs: Vec<(i32, i32)> = self.0.keys().map(|(partition, epoch, _)| (*partition, *epoch)).collect();
        epochs.dedup();
        epochs.len() as u64
    }
}
