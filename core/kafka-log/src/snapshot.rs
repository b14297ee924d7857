//! `.snapshot` files: the producers of a partition at an offset, which names the file (`ProducerStateManager`, version 1).

use base::Reader;
use bytes::Bytes;
use smallvec::SmallVec;

use crate::producers::{AppendedBatch, ProducerEntry, Producers};

/// A version, a checksum, a count: what the snapshot of no producers is.
pub(crate) const EMPTY_LEN: u64 = 10;
const VERSION: i16 = 1;
const ENTRY_LEN: usize = 46;
/// The checksum covers what follows it.
const COVERED_AT: usize = 6;

/// The content of a snapshot.
pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let entries = producers.entries();
    let mut content = Vec::with_capacity(EMPTY_LEN as usize + entries.len() * ENTRY_LEN);
    content.extend_from_slice(&VERSION.to_be_bytes());
    content.extend_from_slice(&[0; 4]);
    content.extend_from_slice(&(entries.len() as i32).to_be_bytes());
    for (producer_id, entry) in entries {
        let none = AppendedBatch { last_sequence: -1, last_offset: -1, offset_delta: 0, timestamp: -1 };
        let last = entry.batches.last().unwrap_or(&none);
        content.extend_from_slice(&producer_id.to_be_bytes());
        content.extend_from_slice(&entry.epoch.to_be_bytes());
        content.extend_from_slice(&last.last_sequence.to_be_bytes());
        content.extend_from_slice(&last.last_offset.to_be_bytes());
        content.extend_from_slice(&last.offset_delta.to_be_bytes());
        content.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        content.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        content.extend_from_slice(&entry.transaction_start.unwrap_or(-1).to_be_bytes());
    }
    let checksum = crc32c::crc32c(content.get(COVERED_AT..).unwrap_or_default());
    if let Some(place) = content.get_mut(2..COVERED_AT) {
        place.copy_from_slice(&checksum.to_be_bytes());
    }
    content
}

/// The producers of a snapshot at `end_offset`; `None` if it is torn or of another version.
pub(crate) fn decode(content: &Bytes, end_offset: i64) -> Option<Producers> {
    let covered = content.get(COVERED_AT..)?;
    let mut reader = Reader::new(content);
    let (version, checksum) = (reader.i16().ok()?, reader.u32().ok()?);
    if version != VERSION || checksum != crc32c::crc32c(covered) {
        return None;
    }
    let count = reader.i32().ok()?;
    let mut producers = Producers::at(end_offset);
    for _ in 0..count {
        let producer_id = reader.i64().ok()?;
        let epoch = reader.i16().ok()?;
        let (last_sequence, last_offset) = (reader.i32().ok()?, reader.i64().ok()?);
        let (offset_delta, timestamp) = (reader.i32().ok()?, reader.i64().ok()?);
        let (coordinator_epoch, transaction_start) = (reader.i32().ok()?, reader.i64().ok()?);
        let mut batches = SmallVec::new();
        if last_offset >= 0 {
            batches.push(AppendedBatch { last_sequence, last_offset, offset_delta, timestamp });
        }
        let transaction_start = (transaction_start >= 0).then_some(transaction_start);
        producers.load(
            producer_id,
            ProducerEntry { epoch, coordinator_epoch, last_timestamp: timestamp, transaction_start, batches },
        );
    }
    reader.finish().ok()?;
    Some(producers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Producers {
        let mut producers = Producers::at(40);
        for id in [7, 1000] {
            let batch = AppendedBatch { last_sequence: 3, last_offset: id + 20, offset_delta: 2, timestamp: 99 };
            let entry = ProducerEntry {
                epoch: 2,
                coordinator_epoch: 5,
                last_timestamp: 99,
                transaction_start: (id == 7).then_some(12),
                batches: SmallVec::from_slice(&[batch]),
            };
            producers.load(id, entry);
        }
        producers
    }

    #[test]
    fn a_snapshot_comes_back_and_no_damage_goes_unseen() {
        let content = encode(&some());
        assert_eq!(content.len(), 10 + 2 * ENTRY_LEN);
        assert_eq!(decode(&Bytes::from(content.clone()), 40), Some(some()));
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&Bytes::from(damaged), 40), None, "byte {at}");
            assert_eq!(decode(&Bytes::copy_from_slice(&content[..at]), 40), None, "cut at {at}");
        }
        assert_eq!(encode(&Producers::default()).len() as u64, EMPTY_LEN);
    }
}
