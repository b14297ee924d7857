//! No record that was read changes or vanishes, none is passed over, and no reader is told that its offset is out of range or gets what is no
//! answer.

use std::collections::BTreeMap;

use kafka_client::ClientError;

use crate::cluster::logs::ReplicaLog;
use crate::invariants::Verdict;

/// What readers have seen.
#[derive(Default)]
pub(crate) struct Reads(BTreeMap<(i32, i64), Vec<u8>>);

impl Reads {
    /// A reader got this record.
    pub(crate) fn read(&mut self, partition: i32, offset: i64, value: &[u8]) -> Verdict {
        match self.0.insert((partition, offset), value.to_vec()) {
            Some(before) if before != value => Err(format!(
                "at offset {offset} of partition {partition} was read {}, and now {}",
                String::from_utf8_lossy(&before),
                String::from_utf8_lossy(value)
            )),
            _ => Ok(()),
        }
    }

    /// Whether a reader was told that its offset is out of range.
    pub(crate) fn is_out_of_range(error: &ClientError) -> bool {
        error.to_string().contains("out of range")
    }

    /// A reader, who has no policy for it, got an error.
    pub(crate) fn failed(&self, error: &ClientError) -> Verdict {
        match error {
            ClientError::Records(_) | ClientError::Decode(_) => Err(format!("a reader got what is no answer: {error}")),
            error if Self::is_out_of_range(error) => Err(format!("a reader is out of range: {error}")),
            _ => Ok(()),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// At the end of a run, with what is left of a partition's log.
    pub(crate) fn finish(&self, partition: i32, log: &ReplicaLog) -> Verdict {
        let records: BTreeMap<i64, &[u8]> = log.records.iter().map(|(at, value)| (*at, value.as_slice())).collect();
        for ((_, offset), value) in self.0.range((partition, log.start)..(partition + 1, 0)) {
            if records.get(offset).is_none_or(|found| found != value) {
                return Err(format!(
                    "{} was read at offset {offset} of partition {partition}, and is not there any more",
                    String::from_utf8_lossy(value)
                ));
            }
        }
        Ok(())
    }
}
