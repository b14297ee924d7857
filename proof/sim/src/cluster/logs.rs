//! What a broker's disk holds of the topic, and of the members' group.

use std::path::Path;

use base::{Disk, MemDisk, OpenMode};
use bytes::Bytes;
use kafka_coord::record::{CommittedOffset, GroupValue, Key};
use kafka_proto::record::{BatchView, Batches};

use super::invariants::commits::Record;
use super::settings::{GROUP, LOG_DIRS, OFFSETS_TOPIC, TOPIC};

/// Far more than a batch of a run holds.
const RECORDS_BYTES_MAX: u64 = 1 << 20;

/// A partition's log as it lies on one disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReplicaLog {
    /// All segments, one behind the other.
    pub(crate) bytes: Vec<u8>,
    /// Offset and value of each record.
    pub(crate) records: Vec<(i64, Vec<u8>)>,
    /// Leader epoch of each batch, with its first offset.
    pub(crate) epochs: Vec<(i64, i32)>,
    /// Where the log begins.
    pub(crate) start: i64,
    /// Where each batch begins in `bytes`, with its first offset.
    pub(crate) places: Vec<(i64, usize)>,
    /// The offset behind the last record.
    pub(crate) end: i64,
    /// As its broker has noted it; 0 if it has not.
    pub(crate) high_watermark: i64,
}

impl ReplicaLog {
    /// Its bytes from an offset on, or from the first batch behind it.
    pub(crate) fn from(&self, offset: i64) -> &[u8] {
        let first = self.places.iter().find(|(at, _)| *at >= offset);
        first.and_then(|(_, place)| self.bytes.get(*place..)).unwrap_or_default()
    }
}

/// Reads a replica; `None` if the disk has none.
pub(crate) fn read(disk: &MemDisk, partition: i32) -> Result<Option<ReplicaLog>, String> {
    let Some(Segments { log_dir, bases, bytes }) = segments(disk, TOPIC, partition)? else { return Ok(None) };
    let high_watermark = high_watermark(disk, log_dir, partition);
    let log = decode(bytes)?;
    // Perhaps nothing is left but an empty segment.
    let (start, end) = (bases.first().copied().unwrap_or(0), log.end.max(bases.last().copied().unwrap_or(0)));
    Ok(Some(ReplicaLog { start, end, high_watermark, ..log }))
}

/// All that was logged of the members' group, in its order.
pub(crate) fn group(disk: &MemDisk, partition: i32) -> Result<Vec<Record>, String> {
    let log = segments(disk, OFFSETS_TOPIC, partition)?.ok_or("no log of the group")?;
    let mut found = Vec::new();
    for batch in Batches::new(&log.bytes) {
        let batch = batch.map_err(|error| error.to_string())?;
        let BatchView::V2(batch) = batch else { return Err("a batch of an old format".to_owned()) };
        let mut records = batch.records(RECORDS_BYTES_MAX).map_err(|error| error.to_string())?;
        while let Some(record) = records.next().map_err(|error| error.to_string())? {
            let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
            let value = Bytes::copy_from_slice(record.value.ok_or("something of a group was removed")?);
            found.extend(group_record(&key, &value).map_err(|error| error.to_string())?);
        }
    }
    Ok(found)
}

/// `None` if it is another group's.
fn group_record(key: &Bytes, value: &Bytes) -> Result<Option<Record>, kafka_coord::record::RecordError> {
    Ok(match Key::decode(key)? {
        Key::Group(group) if group == *GROUP => Some(Record::Group(GroupValue::decode(value)?)),
        Key::Offset { group, place } if group == *GROUP => {
            Some(Record::Offset(place.partition, CommittedOffset::decode(value)?))
        }
        Key::Group(_) | Key::Offset { .. } => None,
    })
}

/// The segments of a replica.
struct Segments {
    log_dir: &'static Path,
    /// Their first offsets.
    bases: Vec<i64>,
    /// All of them, one behind the other.
    bytes: Vec<u8>,
}

fn segments(disk: &MemDisk, topic: &str, partition: i32) -> Result<Option<Segments>, String> {
    let found = LOG_DIRS.map(Path::new).into_iter().map(|dir| (dir, dir.join(format!("{topic}-{partition}"))));
    let Some((log_dir, dir)) = found.into_iter().find(|(_, dir)| disk.metadata(dir).is_ok_and(|found| found.is_some()))
    else {
        return Ok(None);
    };
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut names: Vec<String> = disk.list(&dir).map_err(told)?.into_iter().map(|entry| entry.name).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "log"));
    names.sort();
    let bases = names.iter().filter_map(|name| name.split('.').next()?.parse().ok()).collect();
    let mut bytes = Vec::new();
    for name in names {
        let file = disk.open(&dir.join(name), OpenMode::Read).map_err(told)?;
        let length = usize::try_from(file.len().map_err(told)?).map_err(|error| error.to_string())?;
        let start = bytes.len();
        bytes.resize(start + length, 0);
        file.read_at(bytes.get_mut(start..).unwrap_or_default(), 0).map_err(told)?;
    }
    Ok(Some(Segments { log_dir, bases, bytes }))
}

/// Copies of replicas that are still on their way to another log directory.
pub(crate) fn copies(disk: &MemDisk) -> Vec<String> {
    let all = LOG_DIRS.into_iter().filter_map(|dir| disk.list(Path::new(dir)).ok()).flatten();
    let names = all.map(|entry| entry.name);
    names.filter(|name| name.starts_with(TOPIC) && name.ends_with("-future")).collect()
}

fn high_watermark(disk: &MemDisk, log_dir: &Path, partition: i32) -> i64 {
    let path = log_dir.join("replication-offset-checkpoint");
    let text = disk.read(&path, u64::MAX).ok().and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    let of = format!("{TOPIC} {partition} ");
    text.lines().find_map(|line| line.strip_prefix(&of)?.parse().ok()).unwrap_or(0)
}

fn decode(bytes: Vec<u8>) -> Result<ReplicaLog, String> {
    let mut log = ReplicaLog::default();
    let mut place = 0;
    for batch in Batches::new(&bytes) {
        let batch = batch.map_err(|error| format!("at {}: {error}", log.end))?;
        batch.verify().map_err(|error| error.to_string())?;
        let BatchView::V2(batch) = batch else { return Err("a batch of an old format".to_owned()) };
        log.epochs.push((batch.base_offset(), batch.leader_epoch()));
        log.places.push((batch.base_offset(), place));
        place += batch.size();
        let mut records = batch.records(RECORDS_BYTES_MAX).map_err(|error| error.to_string())?;
        while let Some(record) = records.next().map_err(|error| error.to_string())? {
            let offset = batch.base_offset() + i64::from(record.offset_delta);
            log.records.push((offset, record.value.unwrap_or_default().to_vec()));
        }
        log.end = batch.last_offset() + 1;
    }
    log.bytes = bytes;
    Ok(log)
}
