//! What a broker's disk holds of the topic.

use std::path::{Path, PathBuf};

use base::{Disk, MemDisk, OpenMode};
use kafka_proto::record::{BatchView, Batches};

use super::settings::{LOG_DIRS, TOPIC};

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
    /// As its broker has noted it; 0 if it has not.
    pub(crate) high_watermark: i64,
}

/// Reads a replica; `None` if the disk has none.
pub(crate) fn read(disk: &MemDisk, partition: i32) -> Result<Option<ReplicaLog>, String> {
    let found = LOG_DIRS.map(Path::new).into_iter().map(|log_dir| (log_dir, folder(log_dir, partition)));
    let Some((log_dir, dir)) = found.into_iter().find(|(_, dir)| disk.metadata(dir).is_ok_and(|found| found.is_some()))
    else {
        return Ok(None);
    };
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
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
    let high_watermark = high_watermark(disk, log_dir, partition);
    decode(bytes).map(|log| Some(ReplicaLog { high_watermark, ..log }))
}

/// Copies of replicas that are still on their way to another log directory.
pub(crate) fn copies(disk: &MemDisk) -> Vec<String> {
    let all = LOG_DIRS.into_iter().filter_map(|dir| disk.list(Path::new(dir)).ok()).flatten();
    let names = all.map(|entry| entry.name);
    names.filter(|name| name.starts_with(TOPIC) && name.ends_with("-future")).collect()
}

fn folder(log_dir: &Path, partition: i32) -> PathBuf {
    log_dir.join(format!("{TOPIC}-{partition}"))
}

fn high_watermark(disk: &MemDisk, log_dir: &Path, partition: i32) -> i64 {
    let path = log_dir.join("replication-offset-checkpoint");
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
