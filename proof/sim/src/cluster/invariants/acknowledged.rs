//! No record that was acknowledged with acks=all is lost, and it is where its producer was told; an idempotent producer's records are there
//! once and in their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::logs::ReplicaLog;
use crate::invariants::Verdict;

/// What producers were told.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// By partition and offset.
    at: BTreeMap<(i32, i64), Vec<u8>>,
    /// Acknowledged as duplicates, whose offset nobody knows: by partition.
    somewhere: BTreeSet<(i32, Vec<u8>)>,
    idempotent: BTreeSet<String>,
}

impl Acknowledged {
    /// A producer was told that its record is at this offset; -1 if it was there before.
    pub(crate) fn note(&mut self, partition: i32, offset: i64, value: &[u8]) -> Verdict {
        if offset < 0 {
            self.somewhere.insert((partition, value.to_vec()));
            return Ok(());
        }
        match self.at.insert((partition, offset), value.to_vec()) {
            Some(other) if other != value => Err(format!(
                "two records were acknowledged at offset {offset} of partition {partition}: {} and {}",
                String::from_utf8_lossy(&other),
                String::from_utf8_lossy(value)
            )),
            _ => Ok(()),
        }
    }

    /// The producer of this name is idempotent.
    pub(crate) fn idempotent(&mut self, name: &str) {
        if !self.idempotent.contains(name) {
            self.idempotent.insert(name.to_owned());
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.at.len() + self.somewhere.len()
    }

    /// At the end of a run, with what is left of a partition's log.
    pub(crate) fn finish(&self, partition: i32, log: &ReplicaLog) -> Verdict {
        let records: BTreeMap<i64, &[u8]> = log.records.iter().map(|(at, value)| (*at, value.as_slice())).collect();
        for ((_, offset), value) in self.at.range((partition, log.start)..(partition + 1, 0)) {
            match records.get(offset) {
                Some(found) if found == value => {}
                found => {
                    return Err(format!(
                        "{} was acknowledged at offset {offset} of partition {partition}, where now is {:?}; the log ends at {}",
                        String::from_utf8_lossy(value),
                        found.map(|found| String::from_utf8_lossy(found).into_owned()),
                        log.end
                    ));
                }
            }
        }
        let values: BTreeSet<&[u8]> = records.values().copied().collect();
        // Of what is somewhere nobody knows whether it is gone by now.
        for (_, value) in self.somewhere.iter().filter(|(of, _)| *of == partition && log.start == 0) {
            if !values.contains(value.as_slice()) {
                let value = String::from_utf8_lossy(value);
                return Err(format!(
                    "{value} was acknowledged as a duplicate, and partition {partition} has no such record"
                ));
            }
        }
        self.in_order(partition, log)
    }

    fn in_order(&self, partition: i32, log: &ReplicaLog) -> Verdict {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (offset, value) in log.records.iter().filter(|(offset, _)| *offset >= log.start) {
            let text = std::str::from_utf8(value).unwrap_or_default();
            let Some((name, rest)) = text.rsplit_once('.') else { continue };
            if !self.idempotent.contains(name) {
                continue;
            }
            let serial = rest.split(' ').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
            if let Some(before) = last.insert(name, serial)
                && before >= serial
            {
                return Err(format!(
                    "partition {partition} has record {serial} of the idempotent producer {name} at {offset}, behind {before}"
                ));
            }
        }
        Ok(())
    }
}
