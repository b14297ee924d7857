//! `.index` and `.timeindex`, compared with the log that they belong to.

use std::collections::BTreeMap;
use std::path::Path;

use super::segment::{Segment, max_timestamp, view};
use super::{Dump, absolute, base_offset, beside, read};
use crate::console::{Console, Thrown};

const OFFSET_ENTRY_LEN: usize = 8;
const TIME_ENTRY_LEN: usize = 12;

/// An entry of an offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OffsetEntry {
    offset: i64,
    position: u64,
}

/// An entry of a time index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimeEntry {
    timestamp: i64,
    offset: i64,
}

fn offset_entries(content: &[u8], base: i64) -> Vec<OffsetEntry> {
    let (entries, _) = content.as_chunks::<OFFSET_ENTRY_LEN>();
    let entry = |entry: &[u8; OFFSET_ENTRY_LEN]| {
        let [a, b, c, d, e, f, g, h] = *entry;
        let offset = base + i64::from(i32::from_be_bytes([a, b, c, d]));
        OffsetEntry { offset, position: u32::from_be_bytes([e, f, g, h]).into() }
    };
    entries.iter().map(entry).collect()
}

fn time_entries(content: &[u8], base: i64) -> Vec<TimeEntry> {
    let (entries, _) = content.as_chunks::<TIME_ENTRY_LEN>();
    let entry = |entry: &[u8; TIME_ENTRY_LEN]| {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
        let offset = base + i64::from(i32::from_be_bytes([i, j, k, l]));
        TimeEntry { timestamp: i64::from_be_bytes([a, b, c, d, e, f, g, h]), offset }
    };
    entries.iter().map(entry).collect()
}

/// What does not fit, by file; told at the end.
#[derive(Default)]
pub(super) struct IndexErrors {
    mismatches: BTreeMap<String, Vec<(i64, i64)>>,
    time_mismatches: BTreeMap<String, Vec<(i64, i64)>>,
    out_of_order: BTreeMap<String, Vec<(i64, i64)>>,
    not_found: BTreeMap<String, Vec<(i64, i64)>>,
}

impl IndexErrors {
    pub(super) fn print_mismatches(&self, console: &mut Console<'_>) {
        for (file, pairs) in &self.mismatches {
            console.error_line(format_args!("Mismatches in :{file}"));
            for (index, log) in pairs.iter().rev() {
                console.error_line(format_args!("  Index offset: {index}, log offset: {log}"));
            }
        }
    }

    pub(super) fn print_time_errors(&self, console: &mut Console<'_>) {
        for (file, pairs) in &self.time_mismatches {
            console.error_line(format_args!("Found timestamp mismatch in :{file}"));
            for (index, log) in pairs {
                console.error_line(format_args!("  Index timestamp: {index}, log timestamp: {log}"));
            }
        }
        for (file, pairs) in &self.out_of_order {
            console.error_line(format_args!("Found out of order timestamp in :{file}"));
            for (index, previous) in pairs {
                console
                    .error_line(format_args!("  Index timestamp: {index}, Previously indexed timestamp: {previous}"));
            }
        }
        for pairs in self.not_found.values() {
            console.error_line("The following indexed offsets are not found in the log.");
            for (index, log) in pairs {
                console.error_line(format_args!("Indexed offset: {index}, found log offset: {log}"));
            }
        }
    }
}

fn corrupt_index(message: String) -> Thrown {
    Thrown::new("kafka.log.CorruptIndexException", message)
}

fn check_length(path: &Path, kind: &str, length: usize, entry: usize) -> Result<(), Thrown> {
    if length.is_multiple_of(entry) {
        return Ok(());
    }
    let file = absolute(path);
    Err(corrupt_index(format!(
        "{kind} index file {file} is corrupt, found {length} bytes which is neither positive nor a multiple of {entry}."
    )))
}

impl Dump {
    pub(super) fn offset_index(&mut self, path: &Path, console: &mut Console<'_>) -> Result<(), Thrown> {
        let base = base_offset(path)?;
        let mut segment = Segment::open(&beside(path, "log"))?;
        let content = read(path)?;
        let entries = offset_entries(&content, base);
        if self.sanity_only {
            if let Some(last) = entries.last().filter(|last| last.offset < base) {
                let file = absolute(path);
                return Err(corrupt_index(format!(
                    "Corrupt index found, index file ({file}) has non-zero size but the last offset is {} which is less \
                     than the base offset {base}.",
                    last.offset
                )));
            }
            check_length(path, "Index", content.len(), OFFSET_ENTRY_LEN)?;
            console.line(format_args!("{} passed sanity check.", path.display()));
            return Ok(());
        }
        for (index, entry) in entries.iter().enumerate() {
            // Zeros behind the last entry: the file is longer than what was written.
            if entry.offset == base && index > 0 {
                break;
            }
            let last_offset = self.last_offset_at(&mut segment, entry.position)?;
            if last_offset != entry.offset {
                self.indexes.mismatches.entry(absolute(path)).or_default().push((entry.offset, last_offset));
            }
            if !self.verify_only {
                console.line(format_args!("offset: {} position: {}", entry.offset, entry.position));
            }
        }
        Ok(())
    }

    fn last_offset_at(&self, segment: &mut Segment, position: u64) -> Result<i64, Thrown> {
        segment.seek(position);
        match segment.next()? {
            Some(bytes) if bytes.len() as u64 <= self.message_size_max => Ok(view(&bytes)?.last_offset()),
            _ => Err(Thrown::new("java.util.NoSuchElementException", "null")),
        }
    }

    pub(super) fn time_index(&mut self, path: &Path, console: &mut Console<'_>) -> Result<(), Thrown> {
        let base = base_offset(path)?;
        let mut segment = Segment::open(&beside(path, "log"))?;
        let mut offsets =
            std::fs::read(beside(path, "index")).map_or_else(|_| Vec::new(), |index| offset_entries(&index, base));
        let written = offsets.iter().skip(1).position(|entry| entry.offset == base).map_or(offsets.len(), |at| at + 1);
        offsets.truncate(written);
        let content = read(path)?;
        let entries = time_entries(&content, base);
        if self.sanity_only {
            check_times(path, base, &entries)?;
            check_length(path, "Time", content.len(), TIME_ENTRY_LEN)?;
            console.line(format_args!("{} passed sanity check.", path.display()));
            return Ok(());
        }
        let mut previous = -1;
        for (index, entry) in entries.iter().enumerate() {
            if entry.offset == base && index > 0 {
                break;
            }
            let start = offsets.partition_point(|indexed| indexed.offset <= entry.offset);
            let position = start.checked_sub(1).and_then(|at| offsets.get(at)).map_or(0, |indexed| indexed.position);
            segment.seek(position);
            self.check_time(path, &mut segment, *entry, previous)?;
            if !self.verify_only {
                console.line(format_args!("timestamp: {} offset: {}", entry.timestamp, entry.offset));
            }
            previous = entry.timestamp;
        }
        Ok(())
    }

    /// Looks for the batch that an entry means, from where the segment stands.
    fn check_time(
        &mut self,
        path: &Path,
        segment: &mut Segment,
        entry: TimeEntry,
        previous: i64,
    ) -> Result<(), Thrown> {
        let file = absolute(path);
        while let Some(bytes) = segment.next()? {
            let batch = view(&bytes)?;
            let last_offset = batch.last_offset();
            if last_offset < entry.offset {
                continue;
            }
            if last_offset != entry.offset {
                self.indexes.not_found.entry(file).or_default().push((entry.offset, last_offset));
                return Ok(());
            }
            let max = max_timestamp(&batch)?;
            if max != entry.timestamp {
                self.indexes.time_mismatches.entry(file.clone()).or_default().push((entry.timestamp, max));
            }
            if previous >= entry.timestamp {
                self.indexes.out_of_order.entry(file).or_default().push((entry.timestamp, previous));
            }
            return Ok(());
        }
        self.indexes.not_found.entry(file).or_default().push((entry.offset, -1));
        Ok(())
    }
}

/// What a broker checks at its start.
fn check_times(path: &Path, base: i64, entries: &[TimeEntry]) -> Result<(), Thrown> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
    let file = absolute(path);
    if last.timestamp < first.timestamp {
        return Err(corrupt_index(format!(
            "Corrupt time index found, time index file ({file}) has non-zero size but the last timestamp is {} which is \
             less than the first timestamp {}",
            last.timestamp, first.timestamp
        )));
    }
    if last.offset < base {
        return Err(corrupt_index(format!(
            "Corrupt time index found, time index file ({file}) has non-zero size but the last offset is {} which is \
             less than the first offset {base}",
            last.offset
        )));
    }
    Ok(())
}
