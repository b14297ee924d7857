//! What a broker's disk holds of the topic.

use std::path::Path;

use base::{Disk, MemDisk, OpenMode};
use kafka_proto::record::{BatchView, Batches};

use super::settings::{LOG_DIR, TOPIC};

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
    /// The offset behind the last record.
    pub(crate) end: i64,
}

/// Reads a replica; `None` if the disk has none.
pub(crate) fn read(disk: &MemDisk, partition: i32) -> Result<Option<ReplicaLog>, String> {
    let dir = Path::new(LOG_DIR).join(format!("{TOPIC}-{partition}"));
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    if disk.metadata(&dir).map_err(told)?.is_none() {
        return Ok(None);
    }
    let mut names: Vec<String> = disk.list(&dir).map_err(told)?.into_iter().map(|entry| entry.name).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "log"));
    names.sort();
    let mut bytes = Vec::new();
    for name in names {
        let file = disk.open(&dir.join(name), OpenMode::Read).map_err(told)?;
        let length = usize::try_from(file.len().map_err(told)?).map_err(|error| error.to_string())?;
        let start = bytes.len();
        bytes.resize(start + length, 0);
        file.read_at(bytes.get_mut(start..).unwrap_or_default(), 0).map_err(told)?;
    }
    decode(bytes).map(Some)
}

/// The high watermark of a replica as its broker has noted it; 0 if it has not.
pub(crate) fn high_watermark(disk: &MemDisk, partition: i32) -> i64 {
    let path = Path::new(LOG_DIR).join("replication-offset-checkpoint");
    let text = disk.read(&path, u64::MAX).ok().and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    let of = format!("{TOPIC} {partition} ");
    text.lines().find_map(|line| line.strip_prefix(&of)?.parse().ok()).unwrap_or(0)
}

fn decode(bytes: Vec<u8>) -> Result<ReplicaLog, String> {
    let mut log = ReplicaLog::default();
    for batch in Batches::new(&bytes) {
        let batch = batch.map_err(|error| format!("at {}: {error}", log.end))?;
        batch.verify().map_err(|error| error.to_string())?;
        let BatchView::V2(batch) = batch else { return Err("a batch of an old format".to_owned()) };
        log.epochs.push((batch.base_offset(), batch.leader_epoch()));
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
