//! What a partition knows of its idempotent and transactional producers (`ProducerStateManager`): last sequences and epochs, the
//! last five batches of each, ongoing transactions, and those whose end is not on all replicas yet.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use crate::LogError;
use crate::batch::{Producer, Summary};
use crate::types::Origin;

/// Batches kept for each producer, to answer retries.
const BATCHES: usize = 5;
const NO_EPOCH: i16 = -1;

/// A batch that a producer appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendedBatch {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
}

impl AppendedBatch {
    pub(crate) const fn first_offset(&self) -> i64 {
        self.last_offset - self.offset_delta as i64
    }

    /// Sequences wrap from the largest number to 0, and back.
    const fn first_sequence(&self) -> i32 {
        self.last_sequence.wrapping_sub(self.offset_delta) & i32::MAX
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    pub(crate) epoch: i16,
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: i64,
    /// First offset of its open transaction.
    pub(crate) transaction_start: Option<i64>,
    /// Oldest first.
    pub(crate) batches: SmallVec<[AppendedBatch; BATCHES]>,
}

impl ProducerEntry {
    fn unknown() -> Self {
        Self {
            epoch: NO_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: -1,
            transaction_start: None,
            batches: SmallVec::new(),
        }
    }

    /// The batch, if it was appended already.
    fn duplicate(&self, producer: &Producer, batch: &Summary) -> Option<AppendedBatch> {
        let same = |known: &&AppendedBatch| {
            known.first_sequence() == producer.base_sequence && known.last_sequence == batch.last_sequence()
        };
        self.batches.iter().find(same).filter(|_| self.epoch == producer.epoch).copied()
    }

    fn last_sequence(&self) -> i32 {
        self.batches.last().map_or(-1, |batch| batch.last_sequence)
    }

    fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn add(&mut self, epoch: i16, batch: AppendedBatch) {
        self.set_epoch(epoch);
        if self.batches.len() == BATCHES {
            self.batches.remove(0);
        }
        self.batches.push(batch);
        self.last_timestamp = batch.timestamp;
    }
}

/// The end of a transaction: a control record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndMarker {
    pub(crate) aborted: bool,
    pub(crate) coordinator_epoch: i32,
    pub(crate) timestamp: i64,
}

/// A transaction that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompletedTransaction {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// The marker's offset.
    pub(crate) last_offset: i64,
    pub(crate) aborted: bool,
}

/// A batch of an append, with its marker if it is a control batch that has one.
pub(crate) type Appended<'a> = (&'a Summary, Option<EndMarker>);

/// The changes that an append makes, prepared before it is written.
#[derive(Debug, Default)]
pub(crate) struct Update {
    entries: SmallVec<[(i64, ProducerEntry); 1]>,
    /// First offset and producer of each transaction that starts.
    started: SmallVec<[(i64, i64); 1]>,
    pub(crate) completed: SmallVec<[CompletedTransaction; 1]>,
}

impl Update {
    fn entry(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.entries.iter().find(|(id, _)| *id == producer_id).map(|(_, entry)| entry)
    }
}

/// What the check of an append says.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "short-lived, and the large one is the usual case")]
pub(crate) enum Verdict {
    /// Write it, then apply this.
    Append(Update),
    /// It is in the log.
    Duplicate(AppendedBatch),
}

/// The producers of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    entries: BTreeMap<i64, ProducerEntry>,
    /// Producer by first offset of its open transaction.
    ongoing: BTreeMap<i64, i64>,
    /// Marker's offset and first offset of transactions that ended above the high watermark.
    unreplicated: BTreeSet<(i64, i64)>,
    /// Offset behind the last record that is accounted for.
    pub(crate) end_offset: i64,
}

impl Producers {
    /// No producers, at an offset.
    pub(crate) fn at(end_offset: i64) -> Self {
        Self { end_offset, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.unreplicated.is_empty()
    }

    pub(crate) const fn entries(&self) -> &BTreeMap<i64, ProducerEntry> {
        &self.entries
    }

    /// Takes in an entry of a snapshot.
    pub(crate) fn load(&mut self, producer_id: i64, entry: ProducerEntry) {
        if let Some(first_offset) = entry.transaction_start {
            self.ongoing.insert(first_offset, producer_id);
        }
        self.entries.insert(producer_id, entry);
    }

    /// Checks an append against the producers' state, as it will be once the updates that wait, oldest first, are applied.
    pub(crate) fn check<'a>(
        &self,
        waiting: &[Update],
        batches: impl Iterator<Item = Appended<'a>>,
        origin: Origin,
    ) -> Result<Verdict, LogError> {
        let mut update = Update::default();
        for (batch, marker) in batches {
            let Some(producer) = batch.producer else { continue };
            let current = waiting.iter().rev().find_map(|update| update.entry(producer.id));
            let current = current.or_else(|| self.entries.get(&producer.id));
            if origin == Origin::Client
                && let Some(found) = current.and_then(|entry| entry.duplicate(&producer, batch))
            {
                return Ok(Verdict::Duplicate(found));
            }
            let known = update.entries.iter().position(|(id, _)| *id == producer.id);
            let at = known.unwrap_or_else(|| {
                let entry = current.cloned().unwrap_or_else(ProducerEntry::unknown);
                update.entries.push((producer.id, entry));
                update.entries.len() - 1
            });
            let Some((_, entry)) = update.entries.get_mut(at) else { continue };
            if producer.control {
                let Some(marker) = marker else { continue };
                let (started, completed) = end_transaction(entry, &producer, batch, marker, origin)?;
                update.started.extend(started);
                update.completed.push(completed);
            } else {
                update.started.extend(append_data(entry, current, &producer, batch, origin)?);
            }
        }
        Ok(Verdict::Append(update))
    }

    /// Applies what [`Producers::check`] prepared. `completed` calls back for each ended transaction, with the last stable
    /// offset that holds once it is done.
    pub(crate) fn apply<E>(
        &mut self,
        update: Update,
        mut completed: impl FnMut(&CompletedTransaction, i64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.entries.extend(update.entries);
        self.ongoing.extend(update.started);
        for transaction in &update.completed {
            let other = self.ongoing.iter().find(|(_, id)| **id != transaction.producer_id);
            completed(transaction, other.map_or(transaction.last_offset + 1, |(first_offset, _)| *first_offset))?;
            self.ongoing.remove(&transaction.first_offset);
            self.unreplicated.insert((transaction.last_offset, transaction.first_offset));
        }
        Ok(())
    }

    /// Takes over the batches below the end that another state of the same log knows beside these. A snapshot holds the last batch of each
    /// producer alone, and what was written before it may be sent again.
    pub(crate) fn recall(&mut self, other: &Self) {
        for (id, entry) in &mut self.entries {
            let Some(known) = other.entries.get(id).filter(|known| known.epoch == entry.epoch) else { continue };
            let stays = |batch: &&AppendedBatch| batch.last_offset < self.end_offset;
            let batches: SmallVec<[AppendedBatch; BATCHES]> = known.batches.iter().filter(stays).copied().collect();
            if batches.len() > entry.batches.len() {
                entry.batches = batches;
            }
        }
    }

    /// The first offset that is undecided, or whose decision is not on all replicas yet.
    pub(crate) fn first_unstable_offset(&self) -> Option<i64> {
        let undecided = self.ongoing.keys().next().copied();
        let unreplicated = self.unreplicated.iter().map(|(_, first_offset)| *first_offset).min();
        undecided.into_iter().chain(unreplicated).min()
    }

    pub(crate) fn has_unreplicated(&self) -> bool {
        !self.unreplicated.is_empty()
    }

    /// Transactions whose marker lies below the high watermark are decided for good.
    pub(crate) fn high_watermark_reached(&mut self, high_watermark: i64) {
        self.unreplicated = self.unreplicated.split_off(&(high_watermark, i64::MIN));
    }

    /// The log starts at `offset` now.
    pub(crate) fn log_start_moved(&mut self, offset: i64) {
        self.high_watermark_reached(offset);
        self.end_offset = self.end_offset.max(offset);
    }

    /// Forgets producers that were silent for `expiration_ms` and have no transaction open.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.entries.retain(|_, entry| !is_expired(entry, now_ms, expiration_ms));
    }
}

pub(crate) const fn is_expired(entry: &ProducerEntry, now_ms: i64, expiration_ms: i64) -> bool {
    entry.transaction_start.is_none() && now_ms.saturating_sub(entry.last_timestamp) >= expiration_ms
}

type Started = Option<(i64, i64)>;

fn append_data(
    entry: &mut ProducerEntry,
    current: Option<&ProducerEntry>,
    producer: &Producer,
    batch: &Summary,
    origin: Origin,
) -> Result<Started, LogError> {
    check_epoch(entry, producer, origin)?;
    if origin == Origin::Client {
        check_sequence(entry, current, producer)?;
    }
    let appended = AppendedBatch {
        last_sequence: batch.last_sequence(),
        last_offset: batch.last_offset,
        offset_delta: (batch.last_offset - batch.base_offset) as i32,
        timestamp: batch.max_timestamp,
    };
    entry.add(producer.epoch, appended);
    match entry.transaction_start {
        Some(_) if !producer.transactional => Err(LogError::InvalidTransactionState { producer_id: producer.id }),
        None if producer.transactional => {
            entry.transaction_start = Some(batch.base_offset);
            Ok(Some((batch.base_offset, producer.id)))
        }
        _ => Ok(None),
    }
}

fn end_transaction(
    entry: &mut ProducerEntry,
    producer: &Producer,
    batch: &Summary,
    marker: EndMarker,
    origin: Origin,
) -> Result<(Started, CompletedTransaction), LogError> {
    check_epoch(entry, producer, origin)?;
    // What the leader has accepted is in the log.
    if entry.coordinator_epoch > marker.coordinator_epoch && origin != Origin::Replication {
        return Err(LogError::TransactionCoordinatorFenced {
            producer_id: producer.id,
            epoch: marker.coordinator_epoch,
            last_epoch: entry.coordinator_epoch,
        });
    }
    // A marker without an open transaction counts as a transaction of its own.
    let started = entry.transaction_start.is_none().then_some((batch.base_offset, producer.id));
    let completed = CompletedTransaction {
        producer_id: producer.id,
        first_offset: entry.transaction_start.unwrap_or(batch.base_offset),
        last_offset: batch.base_offset,
        aborted: marker.aborted,
    };
    entry.set_epoch(producer.epoch);
    entry.transaction_start = None;
    entry.coordinator_epoch = marker.coordinator_epoch;
    entry.last_timestamp = marker.timestamp;
    Ok((started, completed))
}

fn check_epoch(entry: &ProducerEntry, producer: &Producer, origin: Origin) -> Result<(), LogError> {
    match producer.epoch < entry.epoch && origin != Origin::Replication {
        true => Err(LogError::InvalidProducerEpoch {
            producer_id: producer.id,
            epoch: producer.epoch,
            last_epoch: entry.epoch,
        }),
        false => Ok(()),
    }
}

fn check_sequence(entry: &ProducerEntry, current: Option<&ProducerEntry>, producer: &Producer) -> Result<(), LogError> {
    let last = entry.last_sequence();
    let follows = if producer.epoch != entry.epoch {
        producer.base_sequence == 0 || entry.epoch == NO_EPOCH
    } else {
        // A producer of which nothing is known (retention took its records) may go on anywhere.
        let unknown = current.is_none_or(|current| current.epoch == NO_EPOCH);
        let next = i64::from(producer.base_sequence) == i64::from(last) + 1;
        unknown || next || (producer.base_sequence == 0 && last == i32::MAX)
    };
    match follows {
        true => Ok(()),
        false => Err(LogError::OutOfOrderSequence {
            producer_id: producer.id,
            sequence: producer.base_sequence,
            last_sequence: last,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(base_offset: i64, count: i32, epoch: i16, base_sequence: i32) -> Summary {
        Summary {
            magic: 2,
            base_offset,
            last_offset: base_offset + i64::from(count) - 1,
            size: 100,
            leader_epoch: 0,
            max_timestamp: 1000 + base_offset,
            producer: Some(Producer { id: 9, epoch, base_sequence, transactional: false, control: false }),
        }
    }

    fn transactional(mut batch: Summary, id: i64, control: bool) -> Summary {
        if let Some(producer) = batch.producer.as_mut() {
            (producer.id, producer.transactional, producer.control) = (id, true, control);
        }
        batch
    }

    fn append(
        producers: &mut Producers,
        batch: &Summary,
        marker: Option<EndMarker>,
        origin: Origin,
    ) -> Result<Option<AppendedBatch>, LogError> {
        match producers.check(&[], [(batch, marker)].into_iter(), origin)? {
            Verdict::Duplicate(found) => Ok(Some(found)),
            Verdict::Append(update) => {
                producers.apply(update, |_, _| Ok::<(), LogError>(()))?;
                producers.end_offset = batch.last_offset + 1;
                Ok(None)
            }
        }
    }

    fn client(
        producers: &mut Producers,
        base_offset: i64,
        count: i32,
        epoch: i16,
        sequence: i32,
    ) -> Result<Option<AppendedBatch>, LogError> {
        append(producers, &batch(base_offset, count, epoch, sequence), None, Origin::Client)
    }

    #[test]
    fn five_batches_answer_retries_older_ones_are_out_of_order() {
        let mut producers = Producers::default();
        for number in 0..6 {
            assert!(client(&mut producers, number * 10, 2, 0, number as i32 * 2).unwrap().is_none());
        }
        for number in 1..6 {
            let found = client(&mut producers, 99, 2, 0, number * 2).unwrap().unwrap();
            assert_eq!((found.first_offset(), found.last_offset), (i64::from(number) * 10, i64::from(number) * 10 + 1));
            assert_eq!(found.timestamp, 1000 + i64::from(number) * 10);
        }
        assert!(matches!(
            client(&mut producers, 99, 2, 0, 0),
            Err(LogError::OutOfOrderSequence { last_sequence: 11, .. })
        ));
        assert!(matches!(client(&mut producers, 99, 2, 0, 13), Err(LogError::OutOfOrderSequence { sequence: 13, .. })));
        assert!(client(&mut producers, 99, 2, 0, 12).unwrap().is_none());
    }

    #[test]
    fn sequences_wrap_and_epochs_fence() {
        let mut producers = Producers::default();
        client(&mut producers, 0, 3, 1, i32::MAX - 1).unwrap();
        // The batch covered MAX - 1, MAX and 0.
        assert!(client(&mut producers, 3, 1, 1, 1).unwrap().is_none());
        let found = client(&mut producers, 9, 3, 1, i32::MAX - 1).unwrap().unwrap();
        assert_eq!(found.first_offset(), 0);
        let fenced = client(&mut producers, 9, 1, 0, 2);
        assert!(matches!(fenced, Err(LogError::InvalidProducerEpoch { epoch: 0, last_epoch: 1, .. })));
        assert!(append(&mut producers.clone(), &batch(9, 1, 0, 2), None, Origin::Replication).is_ok());
        assert!(
            matches!(client(&mut producers, 9, 1, 2, 5), Err(LogError::OutOfOrderSequence { .. })),
            "a new epoch starts at 0"
        );
        assert!(client(&mut producers, 9, 1, 2, 0).unwrap().is_none());
        let mut wrapped = Producers::default();
        client(&mut wrapped, 0, 1, 0, i32::MAX).unwrap();
        assert!(client(&mut wrapped, 1, 1, 0, 0).unwrap().is_none());
    }

    #[test]
    fn the_first_unstable_offset_waits_for_markers_and_for_the_high_watermark() {
        let mut producers = Producers::default();
        let data = |offset, id, sequence| transactional(batch(offset, 1, 0, sequence), id, false);
        let end = |offset, id| transactional(batch(offset, 1, 0, -1), id, true);
        let marker = Some(EndMarker { aborted: true, coordinator_epoch: 3, timestamp: 5 });
        append(&mut producers, &data(0, 1, 0), None, Origin::Client).unwrap();
        append(&mut producers, &data(1, 2, 0), None, Origin::Client).unwrap();
        assert_eq!(producers.first_unstable_offset(), Some(0));
        let mut stable = Vec::new();
        let Verdict::Append(update) =
            producers.check(&[], [(&end(2, 1), marker)].into_iter(), Origin::Coordinator).unwrap()
        else {
            panic!()
        };
        producers
            .apply(update, |done, offset| {
                stable.push((done.first_offset, done.last_offset, offset));
                Ok::<(), LogError>(())
            })
            .unwrap();
        assert_eq!(stable, [(0, 2, 1)], "the other transaction holds the last stable offset");
        assert_eq!(producers.first_unstable_offset(), Some(0));
        producers.high_watermark_reached(2);
        assert_eq!(producers.first_unstable_offset(), Some(0), "the marker at 2 is not below the high watermark");
        producers.high_watermark_reached(3);
        assert_eq!(producers.first_unstable_offset(), Some(1));
        let late = Some(EndMarker { aborted: false, coordinator_epoch: 2, timestamp: 5 });
        let fenced = append(&mut producers, &end(3, 1), late, Origin::Coordinator);
        assert!(matches!(fenced, Err(LogError::TransactionCoordinatorFenced { epoch: 2, last_epoch: 3, .. })));
        append(&mut producers, &end(3, 2), late, Origin::Coordinator).unwrap();
        producers.high_watermark_reached(4);
        assert_eq!(producers.first_unstable_offset(), None);
        let plain = append(&mut producers, &batch(4, 1, 0, 0), None, Origin::Client);
        assert!(plain.is_ok(), "another producer");
        append(&mut producers, &data(5, 1, 1), None, Origin::Client).unwrap();
        let mut outside = data(6, 1, 2);
        outside.producer.as_mut().unwrap().transactional = false;
        assert!(matches!(
            append(&mut producers, &outside, None, Origin::Client),
            Err(LogError::InvalidTransactionState { .. })
        ));
    }

    #[test]
    fn silent_producers_are_forgotten_unless_a_transaction_is_open() {
        let mut producers = Producers::default();
        append(&mut producers, &transactional(batch(0, 1, 0, 0), 1, false), None, Origin::Client).unwrap();
        append(&mut producers, &batch(1, 1, 0, 0), None, Origin::Client).unwrap();
        producers.expire(1001 + 99, 100);
        assert_eq!(producers.entries().len(), 2);
        producers.expire(1001 + 100, 100);
        assert_eq!(producers.entries().keys().copied().collect::<Vec<_>>(), [1]);
    }
}
