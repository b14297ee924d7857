//! All logs of a broker: its log directories, what is loaded from them, and the work that is done from time to time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, Job, Monotonic, Now, Random, Slow};

use crate::types::Surroundings;
use crate::{Log, LogConfig, LogError, TopicPartition};

/// Settings of the broker that concern all its logs.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagerConfig {
    /// `log.dirs`.
    pub dirs: Vec<PathBuf>,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_ms: u64,
    /// `log.flush.scheduler.interval.ms`.
    pub flush_check_ms: u64,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_checkpoint_ms: u64,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub start_checkpoint_ms: u64,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_ms: u64,
    /// `transactional.id.expiration.ms`: producers that are idle for so long are forgotten.
    pub producer_expiration_ms: i64,
    /// A log whose oldest unflushed record is older is flushed in the background.
    pub background_flush_ms: u64,
    /// A log with more unflushed bytes is flushed in the background.
    pub background_flush_bytes: u64,
}

/// What `meta.properties` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerMetadata {
    /// `broker.id`.
    pub broker_id: i32,
    /// `cluster.id`.
    pub cluster_id: Option<String>,
}

/// A start under way: run the jobs on disk threads, then [`Loading::finish`].
#[derive(Debug)]
pub struct Loading {}

impl Loading {
    /// Takes the directories' locks, reads their checkpoints, lists their partitions. `topic_config` gives each topic's settings.
    /// Fails if no directory is usable, or if another process holds a lock.
    pub fn begin(
        _disk: Arc<dyn Disk>,
        _surroundings: Arc<dyn Surroundings>,
        _config: ManagerConfig,
        _topic_config: Arc<dyn Fn(&str) -> LogConfig + Send + Sync>,
        _random: Random,
        _now: Now,
    ) -> Result<Self, LogError> {
        todo!()
    }

    /// `meta.properties` of each directory that is online, `None` where there is no such file.
    pub fn metadata(&self) -> Vec<(PathBuf, Option<BrokerMetadata>)> {
        todo!()
    }

    /// The work, in as many jobs as may run at once. Each step loads one partition.
    pub fn jobs(&self) -> Vec<Box<dyn Job>> {
        todo!()
    }

    /// Partitions loaded, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        todo!()
    }

    /// Whether an unclean stop is being recovered from.
    pub fn recovering(&self) -> bool {
        todo!()
    }

    /// When all jobs are done: the logs. Removes the marks of a clean stop.
    pub fn finish(self, _now: Now, _slow: &Slow) -> Result<LogManager, LogError> {
        todo!()
    }
}

/// All logs of a broker.
#[derive(Debug)]
pub struct LogManager {}

impl LogManager {
    /// The log of a partition on this broker.
    pub fn get(&self, _partition: &TopicPartition) -> Option<Arc<Log>> {
        todo!()
    }

    /// All logs, by partition.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        todo!()
    }

    /// The log of a partition, made in the directory with the fewest if it is not there. `is_new`: the controller says that the
    /// partition is new; if not, and a directory is offline, the log may lie there and none is made.
    pub fn get_or_create(
        &self,
        _partition: &TopicPartition,
        _is_new: bool,
        _config: LogConfig,
        _now: Now,
    ) -> Result<Arc<Log>, LogError> {
        todo!()
    }

    /// The high watermark that was checkpointed for the partition in its directory, 0 if none.
    pub fn checkpointed_high_watermark(&self, _log: &Log) -> i64 {
        todo!()
    }

    /// Renames the partitions' folders for deletion and writes the checkpoints without them; files go after
    /// `file.delete.delay.ms`.
    pub fn delete(
        &self,
        _partitions: &[TopicPartition],
        _now: Now,
        _slow: &Slow,
    ) -> Vec<(TopicPartition, Result<(), LogError>)> {
        todo!()
    }

    /// Hands out the work that is due (retention, flushes, checkpoints, deletions); call it at or after the time it returned.
    pub fn tick(&self, _now: Now) -> Monotonic {
        todo!()
    }

    /// The directories and whether each is online.
    pub fn directories(&self) -> Vec<(PathBuf, bool)> {
        todo!()
    }

    /// Takes a directory offline: its logs are closed and gone. Returns their partitions.
    pub fn directory_offline(&self, _dir: &Path) -> Vec<TopicPartition> {
        todo!()
    }

    /// Writes `meta.properties` in each directory that is online.
    pub fn write_metadata(&self, _metadata: &BrokerMetadata, _now: Now, _slow: &Slow) -> Result<(), LogError> {
        todo!()
    }

    /// A clean stop: everything flushed, snapshots and checkpoints written, the mark set, locks released.
    pub fn shutdown(&self, _now: Now, _slow: &Slow) -> Result<(), LogError> {
        todo!()
    }
}
