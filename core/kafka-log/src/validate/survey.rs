//! The walk over all records of an append: what is wrong with them, their largest timestamp, whether their offsets are
//! consecutive.

use std::ops::RangeInclusive;

use base::Str;
use kafka_proto::record::{Batch, Codec, Magic, NO_TIMESTAMP, Outline, TimestampType};

use super::{DECOMPRESSED_LEN_MAX, InvalidRecords, RecordError, Rules};

/// The original names every bad record; this many are enough to see what is wrong.
const RECORD_ERRORS_MAX: usize = 10_000;

/// What the walk found.
pub(super) struct Survey<'a> {
    rules: &'a Rules<'a>,
    compacted: bool,
    timestamps: RangeInclusive<i64>,
    /// Number of records.
    pub(super) count: i64,
    /// Largest timestamp, -1 if none.
    pub(super) max_timestamp: i64,
    /// Offset of the first record that has it, counted from the append's first; -1 if none.
    pub(super) offset_of_max_timestamp: i64,
    /// Whether the offsets are 0, 1, 2 and so on.
    pub(super) consecutive: bool,
    errors: Vec<RecordError>,
    invalid_timestamp: bool,
}

/// A record as the checks see it.
pub(super) struct Seen {
    pub(super) magic: Magic,
    /// Of the record's batch; `None` with magic 0.
    pub(super) timestamp_type: Option<TimestampType>,
    /// As the producer set it.
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) has_key: bool,
}

impl<'a> Survey<'a> {
    pub(super) fn new(rules: &'a Rules<'a>) -> Self {
        Self {
            rules,
            compacted: rules.config.cleanup_compact,
            timestamps: allowed_timestamps(rules),
            count: 0,
            max_timestamp: NO_TIMESTAMP,
            offset_of_max_timestamp: -1,
            consecutive: true,
            errors: Vec::new(),
            invalid_timestamp: false,
        }
    }

    /// Walks the records of a batch of magic 2: the hot path of produce. What may be wrong is looked at in a second walk.
    pub(super) fn walk(&mut self, batch: &Batch<'_>) -> Result<(), InvalidRecords> {
        // With the broker's time, deltas don't count: the batch's largest timestamp is every record's.
        let stamped = batch.timestamp_type() == TimestampType::LogAppendTime;
        let base_timestamp = batch.timestamp(0);
        // What the loop changes is kept in registers.
        let (mut index, mut consecutive, mut keyless) = (0_i32, true, false);
        let (mut min_timestamp, mut max_timestamp, mut index_of_max) = (i64::MAX, NO_TIMESTAMP, -1);
        batch.records(DECOMPRESSED_LEN_MAX)?.outlines(|outline| {
            let timestamp = if stamped { base_timestamp } else { base_timestamp.wrapping_add(outline.timestamp_delta) };
            keyless |= outline.key_len < 0;
            consecutive &= outline.offset_delta == index;
            min_timestamp = min_timestamp.min(timestamp);
            if timestamp > max_timestamp {
                (max_timestamp, index_of_max) = (timestamp, index);
            }
            index += 1;
        })?;
        self.count = i64::from(index);
        self.consecutive = consecutive;
        self.max_timestamp = max_timestamp;
        self.offset_of_max_timestamp = i64::from(index_of_max);
        let late = min_timestamp < *self.timestamps.start() || max_timestamp > *self.timestamps.end();
        match self.compacted & keyless | late | stamped {
            true => self.find_bad(batch),
            false => Ok(()),
        }
    }

    /// Walks the records once more and names the bad ones.
    #[cold]
    fn find_bad(&mut self, batch: &Batch<'_>) -> Result<(), InvalidRecords> {
        let rules = self.rules;
        let mut index = 0;
        batch.records(DECOMPRESSED_LEN_MAX)?.outlines(|outline| {
            let seen = Seen {
                magic: Magic::V2,
                timestamp_type: Some(batch.timestamp_type()),
                offset: batch.base_offset().wrapping_add(i64::from(outline.offset_delta)),
                timestamp: batch.timestamp(outline.timestamp_delta),
                has_key: outline.key_len >= 0,
            };
            self.judge(&seen, index, || describe(rules, outline, &seen));
            index += 1;
        })?;
        Ok(())
    }

    /// Takes one message of magic 0 or 1 in. `index` is its place in its batch.
    pub(super) fn message(&mut self, seen: &Seen, index: i64, describe: impl Fn() -> String) {
        self.judge(seen, index, describe);
        self.consecutive &= seen.offset == self.count;
        if seen.magic > Magic::V0 && seen.timestamp > self.max_timestamp {
            self.max_timestamp = seen.timestamp;
            self.offset_of_max_timestamp = self.count;
        }
        self.count += 1;
    }

    /// Notes a record that may not be appended.
    fn judge(&mut self, seen: &Seen, index: i64, describe: impl Fn() -> String) {
        let keyless = self.compacted && !seen.has_key;
        let late = !self.timestamps.contains(&seen.timestamp) && seen.timestamp != NO_TIMESTAMP;
        if keyless || late || seen.timestamp_type == Some(TimestampType::LogAppendTime) {
            self.refuse(seen, index, keyless, late, describe);
        }
    }

    #[cold]
    fn refuse(&mut self, seen: &Seen, index: i64, keyless: bool, late: bool, describe: impl Fn() -> String) {
        let Rules { append, config, .. } = *self.rules;
        if keyless {
            let partition = append.partition;
            return self.reject(index, || {
                format!("Compacted topic cannot accept message without key in topic partition {partition}.")
            });
        }
        self.invalid_timestamp = true;
        self.reject(index, || {
            let Seen { timestamp, offset, .. } = seen;
            if late {
                let difference = config.timestamp_difference_ms_max;
                let (from, to) = (append.now_ms.wrapping_sub(difference), append.now_ms.wrapping_add(difference));
                format!(
                    "Timestamp {timestamp} of message with offset {offset} is out of range. \
                     The timestamp should be within [{from}, {to}]"
                )
            } else {
                let record = describe();
                format!(
                    "Invalid timestamp type in message {record}. Producer should not set timestamp type to LogAppendTime."
                )
            }
        });
    }

    /// Notes a record as bad.
    #[cold]
    pub(super) fn reject(&mut self, index: i64, message: impl FnOnce() -> String) {
        if self.errors.len() < RECORD_ERRORS_MAX {
            self.errors.push(RecordError { batch_index: index as i32, message: Str::from(message()) });
        }
    }

    /// Fails if a record was bad.
    pub(super) fn finish(&mut self) -> Result<(), InvalidRecords> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut self.errors);
        Err(InvalidRecords::Rejected { invalid_timestamp: self.invalid_timestamp, records })
    }
}

/// The record as the original prints it: by another name where it steps over keys and values.
fn describe(rules: &Rules<'_>, outline: &Outline, seen: &Seen) -> String {
    let skipped = rules.source != Codec::None && rules.source == rules.target && rules.magic == Magic::V2;
    let (kind, key, value) = if skipped {
        ("PartialDefaultRecord", outline.key_len, outline.value_len)
    } else {
        ("DefaultRecord", outline.key_len.max(0), outline.value_len.max(0))
    };
    let Seen { offset, timestamp, .. } = seen;
    format!("{kind}(offset={offset}, timestamp={timestamp}, key={key} bytes, value={value} bytes)")
}

/// The timestamps that the topic takes. Where the broker sets them, and with the largest difference, any will do.
fn allowed_timestamps(rules: &Rules<'_>) -> RangeInclusive<i64> {
    let (now_ms, difference) = (rules.append.now_ms, rules.config.timestamp_difference_ms_max);
    if rules.timestamp_type == TimestampType::LogAppendTime || difference == i64::MAX {
        return i64::MIN..=i64::MAX;
    }
    let difference = difference.max(0);
    now_ms.saturating_sub(difference)..=now_ms.saturating_add(difference)
}
