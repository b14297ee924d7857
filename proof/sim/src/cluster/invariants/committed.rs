//! What lies below a high watermark is decided: all logs hold it alike, now and later.

use std::collections::BTreeMap;

use crate::cluster::logs::ReplicaLog;
use crate::invariants::Verdict;

/// What was seen below high watermarks.
#[derive(Default)]
pub(crate) struct Committed {
    /// By partition and offset, the record's value.
    seen: BTreeMap<(i32, i64), Vec<u8>>,
}

impl Committed {
    /// A log was looked at, whose broker has noted this high watermark.
    pub(crate) fn look(&mut self, partition: i32, log: &ReplicaLog, high_watermark: i64) -> Verdict {
        let decided = || log.records.iter().filter(|(offset, _)| (log.start..high_watermark).contains(offset));
        self.compare(partition, decided())?;
        self.seen.extend(decided().map(|(offset, value)| ((partition, *offset), value.clone())));
        Ok(())
    }

    /// At the end of a run, with a partition's log: all is there.
    pub(crate) fn finish(&mut self, partition: i32, log: &ReplicaLog) -> Verdict {
        self.compare(partition, log.records.iter().filter(|(offset, _)| *offset >= log.start))?;
        let last = self.seen.range((partition, 0)..(partition + 1, 0)).next_back();
        match last.filter(|((_, offset), _)| *offset >= log.end) {
            Some(((_, offset), _)) => Err(format!(
                "offset {offset} of partition {partition} was below a high watermark; the log ends at {}",
                log.end
            )),
            None => Ok(()),
        }
    }

    fn compare<'a>(&self, partition: i32, records: impl Iterator<Item = &'a (i64, Vec<u8>)>) -> Verdict {
        for (offset, value) in records {
            let Some(before) = self.seen.get(&(partition, *offset)).filter(|before| *before != value) else { continue };
            return Err(format!(
                "below a high watermark, at offset {offset} of partition {partition}, was {}, and now is {}",
                String::from_utf8_lossy(before),
                String::from_utf8_lossy(value)
            ));
        }
        Ok(())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.seen.len()
    }
}
