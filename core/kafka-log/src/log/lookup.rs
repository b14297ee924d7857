//! Lookups by time (ListOffsets).

use base::Now;
use kafka_proto::record::{Batch, BatchView, LegacyMessage, RecordError, inner_messages};

use super::Log;
use crate::batch::{ScanError, Scanner};
use crate::segment::Segment;
use crate::types::{OffsetPosition, TimestampOffset};
use crate::{LogError, batch::Placed};

/// As ListOffsets v0 asks for the end of the log.
const LATEST: i64 = -1;
/// As ListOffsets v0 asks for its start.
const EARLIEST: i64 = -2;
/// A batch's records are looked through up to this many decompressed bytes: no batch that was accepted has more.
const DECOMPRESSED_MAX: u64 = 1 << 31;

impl Log {
    /// The log's start with its epoch, as ListOffsets answers "earliest".
    pub fn earliest(&self) -> TimestampOffset {
        let log_start = self.view.read().log_start;
        // Epochs are known from some offset on only, after a change of the message format.
        let first = self.epochs.read().earliest().filter(|entry| entry.offset <= log_start);
        TimestampOffset { timestamp: -1, offset: log_start, leader_epoch: first.map(|entry| entry.epoch) }
    }

    /// The first record at or after a time (milliseconds); `None` if all are older. May wait for a device: run it where that is
    /// allowed.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, LogError> {
        let magic = self.config().message_magic;
        if magic < 1 {
            return Err(LogError::NoTimestamps { magic });
        }
        self.look(|view| {
            let found = view.segments.iter().find_map(|segment| match segment.retention_timestamp() {
                Ok(newest) if newest < timestamp => None,
                // The original looks at this segment only, even if its newest record lies before the log's start.
                Ok(_) => Some(find_timestamp(segment, timestamp, view.log_start)),
                Err(error) => Some(Err(error)),
            });
            found.unwrap_or(Ok(None))
        })
    }

    /// ListOffsets v0: up to `offsets_max` segment starts (and the end) that were last changed at `timestamp` or before, newest
    /// first. -1 asks for the latest, -2 for the earliest.
    pub fn offsets_before(&self, timestamp: i64, offsets_max: usize, now: Now) -> Result<Vec<i64>, LogError> {
        let view = self.view.read().clone();
        let mut starts = Vec::with_capacity(view.segments.len() + 1);
        for segment in view.segments.iter() {
            starts.push((segment.base_offset.max(view.log_start), segment.modified_ms()?));
        }
        if view.active().size() > 0 {
            starts.push((view.end.offset, now.wall_ms));
        }
        let count = match timestamp {
            LATEST => starts.len(),
            EARLIEST => 1,
            timestamp => {
                starts.iter().rposition(|(_, modified_ms)| *modified_ms <= timestamp).map_or(0, |last| last + 1)
            }
        };
        let mut offsets: Vec<i64> =
            starts.iter().take(count).rev().take(offsets_max).map(|(offset, _)| *offset).collect();
        offsets.sort_unstable_by(|one, other| other.cmp(one));
        Ok(offsets)
    }

    /// Where an offset is, for counting bytes and telling segments apart.
    pub fn position_of(&self, offset: i64) -> Result<OffsetPosition, LogError> {
        self.look(|view| self.find(view, offset, false))
    }
}

fn find_timestamp(segment: &Segment, timestamp: i64, from: i64) -> Result<Option<TimestampOffset>, LogError> {
    let entry = segment.times.last_where(&segment.home, |entry| entry.timestamp <= timestamp)?;
    let offset = entry.map_or(segment.base_offset, |entry| entry.offset).max(from);
    let entry = segment.offsets.last_where(&segment.home, |entry| entry.offset <= offset)?;
    let position = entry.map_or(0, |entry| u64::from(entry.position));
    let mut scanner = Scanner::new(segment.file()?.as_ref(), position, segment.size(), Scanner::LOOKUP);
    while let Some(placed) = scanner.next().map_err(|error| segment.scan_failed(error))? {
        if placed.batch.max_timestamp >= timestamp
            && let Some(found) = find_record(segment, &mut scanner, &placed, timestamp, from)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first record of a batch at `timestamp` or later and at offset `from` or later.
fn find_record(
    segment: &Segment,
    scanner: &mut Scanner<'_>,
    placed: &Placed,
    timestamp: i64,
    from: i64,
) -> Result<Option<TimestampOffset>, LogError> {
    let bytes =
        scanner.bytes(placed.position, placed.batch.size as usize).map_err(|error| segment.scan_failed(error))?;
    let found = match BatchView::new(bytes) {
        Ok(BatchView::V2(batch)) => find_in_batch(&batch, timestamp, from),
        Ok(BatchView::Legacy(message)) => find_in_message(&message, timestamp, from),
        Err(error) => Err(error),
    };
    found.map_err(|error| {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string());
        segment.scan_failed(ScanError::Io(error))
    })
}

fn find_in_batch(batch: &Batch<'_>, timestamp: i64, from: i64) -> Result<Option<TimestampOffset>, RecordError> {
    let leader_epoch = Some(batch.leader_epoch()).filter(|epoch| *epoch >= 0);
    let mut records = batch.records(DECOMPRESSED_MAX)?;
    while let Some(record) = records.next_outline()? {
        let found = batch.timestamp(record.timestamp_delta);
        let offset = batch.base_offset() + i64::from(record.offset_delta);
        if found >= timestamp && offset >= from {
            return Ok(Some(TimestampOffset { timestamp: found, offset, leader_epoch }));
        }
    }
    Ok(None)
}

fn find_in_message(
    message: &LegacyMessage<'_>,
    timestamp: i64,
    from: i64,
) -> Result<Option<TimestampOffset>, RecordError> {
    let mut found = None;
    inner_messages::<RecordError>(message, DECOMPRESSED_MAX, |inner| {
        if found.is_none() && inner.timestamp >= timestamp && inner.offset >= from {
            found = Some(TimestampOffset { timestamp: inner.timestamp, offset: inner.offset, leader_epoch: None });
        }
        Ok(())
    })?;
    Ok(found)
}
