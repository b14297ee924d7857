//! Records go from the front of a log alone, below its high watermark, and as far as somebody wanted. A leader shows no record again that it
//! did not show any more; and what DeleteRecords was acknowledged for is gone with every leader.
//!
//! The last is true as long as no broker is started anew: where a log begins is noted in intervals alone, as in the original, so that the one
//! replica that is in sync may come back without.

use std::collections::BTreeMap;

use crate::cluster::settings::BrokerId;
use crate::invariants::Verdict;

/// What is known of where logs begin.
#[derive(Default)]
pub(crate) struct Starts {
    partitions: BTreeMap<i32, Partition>,
    /// What leaders showed last: by partition, broker, its process and leader epoch.
    shown: BTreeMap<(i32, BrokerId, u64, i32), i64>,
}

#[derive(Debug, Default)]
struct Partition {
    /// The latest that a broker had, or has.
    highest: i64,
    /// The most that was asked for by DeleteRecords.
    asked: i64,
    deleted: Option<Deleted>,
    /// The latest leader epoch.
    epoch: i32,
}

#[derive(Clone, Copy, Debug)]
struct Deleted {
    before: i64,
    /// The latest leader epoch by then, and how many brokers had started.
    epoch: i32,
    starts: u64,
}

/// A replica that is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replica {
    pub(crate) broker: BrokerId,
    /// The number of its process.
    pub(crate) boot: u64,
    /// The epoch in which it leads, by its own account.
    pub(crate) leads: Option<i32>,
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
}

impl Starts {
    /// A replica of a partition is looked at when so many brokers have started.
    pub(crate) fn look(&mut self, partition: i32, replica: Replica, starts: u64) -> Verdict {
        let known = self.partitions.entry(partition).or_default();
        known.highest = known.highest.max(replica.log_start);
        let Some(epoch) = replica.leads else { return Ok(()) };
        known.epoch = known.epoch.max(epoch);
        if replica.log_start > replica.high_watermark {
            return Err(format!("partition {partition} begins behind its high watermark: {replica:?}"));
        }
        let is_binding = |deleted: &Deleted| epoch >= deleted.epoch && starts == deleted.starts;
        if known.deleted.filter(is_binding).is_some_and(|deleted| replica.log_start < deleted.before) {
            return Err(format!(
                "of partition {partition} {:?} is gone, and a leader shows {replica:?}",
                known.deleted
            ));
        }
        let shown = self.shown.entry((partition, replica.broker, replica.boot, epoch)).or_default();
        if replica.log_start < *shown {
            return Err(format!("partition {partition} began at {shown}, and now: {replica:?}"));
        }
        *shown = replica.log_start;
        Ok(())
    }

    /// Somebody wants the records before this offset to go.
    pub(crate) fn asked(&mut self, partition: i32, before: i64) {
        let known = self.partitions.entry(partition).or_default();
        known.asked = known.asked.max(before);
    }

    /// They are gone, when so many brokers have started.
    pub(crate) fn deleted(&mut self, partition: i32, before: i64, starts: u64) {
        let known = self.partitions.entry(partition).or_default();
        if known.deleted.is_none_or(|deleted| deleted.before <= before) {
            known.deleted = Some(Deleted { before, epoch: known.epoch, starts });
        }
    }

    /// A reader was told that this offset is out of range.
    pub(crate) fn out_of_range(&self, partition: i32, offset: i64) -> Verdict {
        let highest = self.partitions.get(&partition).map_or(0, |known| known.highest);
        match offset < highest {
            true => Ok(()),
            false => Err(format!(
                "offset {offset} of partition {partition} is said to be out of range, and no log begins behind {highest}"
            )),
        }
    }

    /// When all is well again: followers have let go what their leader has; and more than was asked for is gone if `by_itself` alone.
    pub(crate) fn finish(&self, partition: i32, by_itself: bool, replicas: &[Replica]) -> Verdict {
        let leader = replicas.iter().find(|replica| replica.leads.is_some());
        let start = leader.map_or(0, |leader| leader.log_start);
        if let Some(follower) = replicas.iter().find(|replica| replica.log_start < start) {
            return Err(format!("partition {partition} begins at {start}, and a follower has more: {follower:?}"));
        }
        match self.partitions.get(&partition).filter(|known| known.highest > known.asked && !by_itself) {
            Some(known) => Err(format!("of partition {partition} more is gone than somebody wanted: {known:?}")),
            None => Ok(()),
        }
    }

    /// How often something went.
    pub(crate) fn moved(&self) -> u64 {
        self.partitions.values().filter(|known| known.highest > 0).count() as u64
    }
}
