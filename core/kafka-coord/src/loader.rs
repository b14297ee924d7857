//! From the log of a partition of `__consumer_offsets` to its groups (upstream: `GroupMetadataManager.doLoadGroupsAndOffsets`).
//!
//! The log comes in pieces; each record goes through the same `replay` as a live commit. Offsets of a transaction count when its
//! commit marker is found, those of one that is still open stay pending.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use bytes::Bytes;
use kafka_proto::record::{Batch, BatchView, Batches, EndTransactionMarker, InnerMessage, RecordError, inner_messages};

use crate::group::{Group, Step};
use crate::offsets::Offsets;
use crate::record::{CommittedOffset, GroupValue, Key};

/// A batch may decompress to so many bytes; a broker writes none that is larger than a message may be.
const BATCH_BYTES_MAX: u64 = 1 << 30;

/// The partition of `__consumer_offsets` that holds a group: the absolute value of Java's `String.hashCode` (0 if there is none),
/// modulo the count (upstream: `Utils.abs`).
pub fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = group.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0).checked_rem(partitions).unwrap_or(0)
}

/// What became of a piece of the log.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The offset behind the last batch; `None` if there was no whole one.
    pub next: Option<i64>,
    /// Last offsets of batches that can't be read to their end, and why. What stands before that in them counts.
    pub broken: Vec<(i64, RecordError)>,
    /// Why no batch is to be found behind `next`, if it is not for the end of the piece.
    pub lost: Option<RecordError>,
}

/// Groups in the making.
#[derive(Debug, Default)]
pub struct Loader {
    groups: BTreeMap<Str, Loaded>,
    /// Groups with offsets of an open transaction, by producer.
    open: BTreeMap<i64, BTreeSet<Str>>,
    /// Records that could not be understood.
    skipped: u64,
}

#[derive(Debug, Default)]
struct Loaded {
    value: Option<GroupValue>,
    offsets: Offsets,
}

/// Which batch a record is in.
#[derive(Clone, Copy)]
struct Origin {
    base_offset: i64,
    /// Its producer, if the batch is of a transaction.
    transaction: Option<i64>,
}

impl Loader {
    /// Takes the whole batches of a piece. One that is broken costs its own records alone: a group that loses a commit goes on from
    /// the one before, and sees some records twice. (The original drops all groups of the partition.)
    pub fn replay(&mut self, piece: &[u8]) -> Replayed {
        let mut replayed = Replayed::default();
        for view in Batches::new(piece) {
            let view = match view {
                Ok(view) => view,
                Err(error) => {
                    replayed.lost = Some(error);
                    break;
                }
            };
            let result = match &view {
                BatchView::V2(batch) => self.replay_batch(batch),
                BatchView::Legacy(wrapper) => {
                    let origin = Origin { base_offset: wrapper.offset(), transaction: None };
                    inner_messages(wrapper, BATCH_BYTES_MAX, |inner: InnerMessage<'_>| {
                        let (key, value) = inner.message.key_value()?;
                        self.replay_record(origin, key, value);
                        Ok::<(), RecordError>(())
                    })
                }
            };
            if let Err(error) = result {
                replayed.broken.push((view.last_offset(), error));
            }
            replayed.next = Some(view.last_offset().saturating_add(1));
        }
        replayed
    }

    fn replay_batch(&mut self, batch: &Batch<'_>) -> Result<(), RecordError> {
        if batch.is_control() {
            if let Some(marker) = EndTransactionMarker::of_batch(batch)? {
                self.end_transaction(batch.producer_id(), marker.commit);
            }
            return Ok(());
        }
        let transaction = batch.is_transactional().then(|| batch.producer_id());
        let origin = Origin { base_offset: batch.base_offset(), transaction };
        let mut records = batch.records(BATCH_BYTES_MAX)?;
        while let Some(record) = records.next()? {
            self.replay_record(origin, record.key, record.value);
        }
        Ok(())
    }

    fn end_transaction(&mut self, producer_id: i64, commit: bool) {
        for group in self.open.remove(&producer_id).unwrap_or_default() {
            if let Some(loaded) = self.groups.get_mut(&group) {
                loaded.offsets.end_transaction(producer_id, commit);
            }
        }
    }

    /// One record that nobody understands must not cost the others.
    fn replay_record(&mut self, origin: Origin, key: Option<&[u8]>, value: Option<&[u8]>) {
        if self.try_replay_record(origin, key, value).is_none() {
            self.skipped += 1;
        }
    }

    fn try_replay_record(&mut self, origin: Origin, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<()> {
        let value = value.map(Bytes::copy_from_slice);
        match Key::decode(&Bytes::copy_from_slice(key?)).ok()? {
            Key::Offset { group, place } => {
                let value = value.map(|bytes| CommittedOffset::decode(&bytes)).transpose().ok()?;
                let loaded = self.groups.entry(group.clone()).or_default();
                match origin.transaction {
                    None => loaded.offsets.replay(place, value, origin.base_offset),
                    Some(producer_id) => {
                        loaded.offsets.replay_transactional(producer_id, place, value, origin.base_offset);
                        self.open.entry(producer_id).or_default().insert(group);
                    }
                }
            }
            Key::Group(group) => {
                let value = value.map(|bytes| GroupValue::decode(&bytes)).transpose().ok()?;
                self.groups.entry(group).or_default().value = value;
            }
        }
        Some(())
    }

    /// How many records could not be understood.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The groups; the sessions of their members begin step.now. What was removed is not among them.
    pub fn finish<A>(self, step: &mut Step<'_, A>) -> Vec<Group<A>> {
        let there = self.groups.into_iter().filter(|(_, loaded)| loaded.value.is_some() || !loaded.offsets.is_empty());
        there.map(|(id, loaded)| Group::loaded(id, loaded.value, loaded.offsets, step)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_spread_as_by_java() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE; Utils.abs of it is 0.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("a", 50), 47);
        // Of a negative hash, the absolute value, not what is left without the sign bit: as found in a log directory of 2.7.1.
        assert_eq!(partition_of("group-theirs", 3), 0);
        assert_eq!(partition_of("group-theirs", 50), 7);
        assert_eq!(partition_of("", 50), 0);
    }
}
