//! All logs of a broker: its log directories, and the work that is done from time to time (`kafka.log.LogManager`).

mod moves;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{FileLock, Job, Monotonic, Next, Now, OpenMode, Slow};
use parking_lot::{Mutex, RwLock};

use crate::checkpoint::{self, PartitionOffsets};
use crate::error::sync_dir;
use crate::loading::CLEAN_SHUTDOWN;
use crate::log::{FlushPolicy, Truncation, write_epochs};
use crate::metadata::{self, BrokerMetadata};
use crate::partition::TopicPartition;
use crate::shared::Shared;
use crate::types::Level;
use crate::{Log, LogConfig, LogError};

/// Settings of the broker that concern all its logs.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagerConfig {
    /// `log.dirs`.
    pub dirs: Vec<PathBuf>,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// `log.retention.check.interval.ms`.
    pub retention_check_ms: u64,
    /// `log.flush.scheduler.interval.ms`: at most so often `flush.ms` is looked at. The background flush looks at least once a second.
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

impl Default for ManagerConfig {
    /// The defaults of 2.7.1; a background flush after a minute or 64 MiB, so that recovery is short.
    fn default() -> Self {
        Self {
            dirs: vec![PathBuf::from("/tmp/kafka-logs")],
            recovery_threads: 1,
            retention_check_ms: 300_000,
            flush_check_ms: u64::MAX,
            recovery_checkpoint_ms: 60_000,
            start_checkpoint_ms: 60_000,
            high_watermark_checkpoint_ms: 5_000,
            producer_expiration_ms: 7 * 24 * 60 * 60 * 1000,
            background_flush_ms: 60_000,
            background_flush_bytes: 64 << 20,
        }
    }
}

/// Regular work waits so long after the start, as in the original.
const INITIAL_DELAY_MS: u64 = 30_000;
/// How often silent producers are looked for.
const PRODUCER_CHECK_MS: u64 = 10 * 60 * 1000;
/// How often logs are looked at that want a flush, at least.
const FLUSH_CHECK_MS: u64 = 1_000;

/// One log directory.
pub(crate) struct Directory {
    path: PathBuf,
    /// `None`: offline.
    lock: Option<Box<dyn FileLock>>,
    /// Last written text of each checkpoint: what did not change is not written again. Its lock keeps writers in a row.
    written: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Directory {
    pub(crate) fn new(path: PathBuf, lock: Option<Box<dyn FileLock>>) -> Self {
        Self { path, lock, written: Arc::default() }
    }
}

/// All logs of a broker. Cheap to clone: clones are the same.
#[derive(Clone)]
pub struct LogManager(Arc<Inner>);

/// Logs by partition.
pub(crate) type Logs = BTreeMap<TopicPartition, Arc<Log>>;

struct Inner {
    shared: Arc<Shared>,
    config: ManagerConfig,
    dirs: RwLock<Vec<Directory>>,
    logs: RwLock<Logs>,
    /// Copies of logs on their way to another directory. Taken behind `logs`.
    futures: RwLock<Logs>,
    /// Logs whose place a copy has taken, until their folders have other names.
    replaced: RwLock<Logs>,
    /// Where the next log, or copy, of a partition is to be made.
    preferred: Mutex<BTreeMap<TopicPartition, PathBuf>>,
    /// Creation and deletion, one at a time.
    changing: Mutex<()>,
    schedule: Mutex<Schedule>,
    /// Tasks that a disk thread works on: a slow disk must not gather them.
    under_way: Mutex<BTreeSet<Task>>,
}

/// A task on its way through the logs.
struct Upkeep {
    manager: LogManager,
    task: Task,
    now: Now,
    /// What is left; `None` before the first step.
    logs: Option<std::vec::IntoIter<Arc<Log>>>,
}

impl Job for Upkeep {
    fn step(&mut self, slow: &Slow) -> Next {
        let Self { manager, task, now, logs } = self;
        let logs = logs.get_or_insert_with(|| manager.logs_for(*task, *now).into_iter());
        if let Some(log) = logs.next() {
            manager.run_for(*task, &log, *now, slow);
            return Next::More;
        }
        manager.run(*task, slow);
        Next::Done
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.manager.0.under_way.lock().remove(&self.task);
    }
}

/// The regular work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Retention,
    Flush,
    RecoveryPoints,
    StartOffsets,
    HighWatermarks,
    Producers,
}

struct Schedule {
    /// When each is due, and how often.
    tasks: Vec<(Task, Monotonic, u64)>,
}

impl std::fmt::Debug for LogManager {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LogManager").field("logs", &self.0.logs.read().len()).finish_non_exhaustive()
    }
}

impl LogManager {
    pub(crate) fn new(
        shared: Arc<Shared>,
        config: ManagerConfig,
        dirs: Vec<Directory>,
        (logs, futures): (Logs, Logs),
        now: Now,
    ) -> Self {
        let every = |task, delay_ms, period_ms| (task, now.monotonic.plus_ms(delay_ms), period_ms);
        let flush_ms = config.flush_check_ms.min(FLUSH_CHECK_MS);
        let tasks = vec![
            every(Task::Retention, INITIAL_DELAY_MS, config.retention_check_ms),
            every(Task::Flush, flush_ms, flush_ms),
            every(Task::RecoveryPoints, INITIAL_DELAY_MS, config.recovery_checkpoint_ms),
            every(Task::StartOffsets, INITIAL_DELAY_MS, config.start_checkpoint_ms),
            every(Task::HighWatermarks, config.high_watermark_checkpoint_ms, config.high_watermark_checkpoint_ms),
            every(Task::Producers, PRODUCER_CHECK_MS, PRODUCER_CHECK_MS),
        ];
        Self(Arc::new(Inner {
            shared,
            config,
            dirs: RwLock::new(dirs),
            logs: RwLock::new(logs),
            futures: RwLock::new(futures),
            replaced: RwLock::default(),
            preferred: Mutex::default(),
            changing: Mutex::new(()),
            schedule: Mutex::new(Schedule { tasks }),
            under_way: Mutex::default(),
        }))
    }

    /// The log of a partition on this broker.
    pub fn get(&self, partition: &TopicPartition) -> Option<Arc<Log>> {
        self.0.logs.read().get(partition).cloned()
    }

    /// All logs, by partition.
    pub fn logs(&self) -> Vec<Arc<Log>> {
        self.0.logs.read().values().cloned().collect()
    }

    /// All logs, and the copies on their way.
    pub fn all_logs(&self) -> Vec<Arc<Log>> {
        // A copy that becomes the log meanwhile is seen twice, rather than not at all.
        let mut all = self.futures();
        all.extend(self.logs());
        all
    }

    /// The directories that were usable at the start, and whether each is online.
    pub fn directories(&self) -> Vec<(PathBuf, bool)> {
        let configured = self.0.config.dirs.iter();
        let online: Vec<PathBuf> = self.online();
        configured.map(|dir| (dir.clone(), online.contains(dir))).collect()
    }

    fn online(&self) -> Vec<PathBuf> {
        self.0.dirs.read().iter().filter(|dir| dir.lock.is_some()).map(|dir| dir.path.clone()).collect()
    }

    fn logs_in(&self, dir: &Path) -> Vec<Arc<Log>> {
        self.all_logs().into_iter().filter(|log| log.log_dir() == dir).collect()
    }

    /// The log of a partition, made in the directory that is preferred for it, or in that with the fewest, if it is not there. `is_new`: the controller says that the
    /// partition is new; if not, and a directory is offline, the log may lie there and none is made.
    pub fn get_or_create(
        &self,
        partition: &TopicPartition,
        is_new: bool,
        config: &LogConfig,
        now: Now,
        slow: &Slow,
    ) -> Result<Arc<Log>, LogError> {
        let _one_at_a_time = self.0.changing.lock();
        if let Some(log) = self.get(partition) {
            return Ok(log);
        }
        let offline = |why| LogError::Offline { partition: partition.clone(), why };
        let online = self.online();
        if !is_new && online.len() < self.0.config.dirs.len() {
            return Err(offline("a log directory is offline, and it may lie there"));
        }
        let preferred = self.0.preferred.lock().get(partition).cloned();
        let mut error = offline("no log directory is online");
        let dirs = match preferred {
            Some(dir) if online.contains(&dir) => vec![dir],
            Some(_) => return Err(offline("the log directory that was named for it is offline")),
            None => self.emptiest_first(online),
        };
        for dir in dirs {
            match self.open_new(partition, &dir, &partition.to_string(), config, now, slow) {
                Ok(log) => {
                    self.0.logs.write().insert(partition.clone(), Arc::clone(&log));
                    self.0.preferred.lock().remove(partition);
                    return Ok(log);
                }
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    fn emptiest_first(&self, mut dirs: Vec<PathBuf>) -> Vec<PathBuf> {
        if dirs.len() > 1 {
            let logs = self.all_logs();
            dirs.sort_by_cached_key(|dir| logs.iter().filter(|log| log.log_dir() == *dir).count());
        }
        dirs
    }

    /// Renames the partitions' folders for deletion and writes the checkpoints without them; files go after
    /// `file.delete.delay.ms`. A partition that has no log here is no error, unless it may lie in a directory that is offline.
    pub fn delete(
        &self,
        partitions: &[TopicPartition],
        now: Now,
        slow: &Slow,
    ) -> Vec<(TopicPartition, Result<(), LogError>)> {
        let _one_at_a_time = self.0.changing.lock();
        let mut dirs = Vec::new();
        let mut results = Vec::with_capacity(partitions.len());
        for partition in partitions {
            // A copy on its way goes with its log, and so does what the log has replaced.
            let future = self.delete_from(&self.0.futures, partition, now, slow);
            let replaced = self.delete_from(&self.0.replaced, partition, now, slow);
            let deleted = self.delete_one(partition, now, slow);
            for dir in [&future, &replaced, &deleted].into_iter().filter_map(|deleted| deleted.as_ref().ok()?.as_ref())
            {
                if !dirs.contains(dir) {
                    dirs.push(dir.clone());
                }
            }
            results.push((partition.clone(), deleted.and(future).and(replaced).map(|_| ())));
        }
        for dir in dirs {
            self.checkpoint(&dir, Task::RecoveryPoints, slow);
            self.checkpoint(&dir, Task::StartOffsets, slow);
        }
        results
    }

    /// The log directory that the partition lay in, if it did.
    fn delete_one(&self, partition: &TopicPartition, now: Now, slow: &Slow) -> Result<Option<PathBuf>, LogError> {
        let Some(log) = self.0.logs.write().remove(partition) else {
            return match self.online().len() < self.0.config.dirs.len() {
                true => Err(LogError::Offline {
                    partition: partition.clone(),
                    why: "it may lie in a log directory that is offline",
                }),
                false => Ok(None),
            };
        };
        self.doom(&log, now, slow).map(Some)
    }

    /// Cuts logs back to offsets, as followers do; true for each that was longer. The recovery points are on disk before anything is
    /// cut: else a crash could take new records for old ones that are known to be good. Where a full disk has no room for them, the log
    /// stays as it is (`AppendsRefused`).
    pub fn truncate_to(&self, targets: &[(Arc<Log>, i64)], now: Now, slow: &Slow) -> Vec<Result<bool, LogError>> {
        let begun: Vec<_> = targets.iter().map(|(log, offset)| log.begin_truncation(*offset)).collect();
        let logs = targets.iter().map(|(log, _)| log);
        let full = self.checkpoint_lowered(logs.zip(&begun), slow);
        let cut = |((log, offset), begun): (&(Arc<Log>, i64), Result<Truncation, LogError>)| {
            log.truncate_to(&noted(log, begun, &full, now)?, *offset, now, slow)
        };
        targets.iter().zip(begun).map(cut).collect()
    }

    /// Drops all of a log and starts it at `offset`.
    pub fn truncate_fully_and_start_at(
        &self,
        log: &Arc<Log>,
        offset: i64,
        now: Now,
        slow: &Slow,
    ) -> Result<(), LogError> {
        let begun = log.begin_truncation(offset.min(log.offsets().log_start));
        let full = self.checkpoint_lowered([(log, &begun)].into_iter(), slow);
        log.truncate_fully_and_start_at(&noted(log, begun, &full, now)?, offset, now, slow)
    }

    /// The recovery points on the disk must not lie behind what will be cut. The directories in which they could not be written.
    fn checkpoint_lowered<'a>(
        &self,
        begun: impl Iterator<Item = (&'a Arc<Log>, &'a Result<Truncation, LogError>)>,
        slow: &Slow,
    ) -> BTreeSet<PathBuf> {
        let lowered = begun.filter(|(_, begun)| begun.as_ref().is_ok_and(|begun| begun.lowered));
        let mut dirs: BTreeSet<PathBuf> = lowered.map(|(log, _)| log.log_dir()).collect();
        dirs.retain(|dir| !self.checkpoint(dir, Task::RecoveryPoints, slow));
        dirs
    }

    pub(crate) fn remove_dir_later(&self, dir: PathBuf, delay_ms: i64, now: Now) {
        let shared = Arc::clone(&self.0.shared);
        let at = now.monotonic.plus_ms(delay_ms.max(0).unsigned_abs());
        self.0.shared.later(at, move |slow| remove_dir(&shared, &dir, slow));
    }

    /// Hands out the work that is due (retention, flushes, checkpoints, deletions); call it at or after the time it returned.
    pub fn tick(&self, now: Now) -> Monotonic {
        let mut next = now.monotonic.plus_ms(INITIAL_DELAY_MS);
        {
            let mut schedule = self.0.schedule.lock();
            for (task, due, period_ms) in &mut schedule.tasks {
                if *due <= now.monotonic {
                    *due = now.monotonic.plus_ms((*period_ms).max(1));
                    self.begin(*task, now);
                }
                next = next.min(*due);
            }
        }
        let (due, more) = self.0.shared.due(now.monotonic);
        due.into_iter().for_each(|work| self.0.shared.submit(work));
        more.map_or(next, |more| next.min(more))
    }

    /// Begins a piece of regular work, unless the one before still goes on.
    fn begin(&self, task: Task, now: Now) {
        if self.0.under_way.lock().insert(task) {
            self.0.shared.surroundings.submit(Box::new(Upkeep { manager: self.clone(), task, now, logs: None }));
        }
    }

    /// The logs that a task goes through, one a step.
    fn logs_for(&self, task: Task, now: Now) -> Vec<Arc<Log>> {
        let config = &self.0.config;
        match task {
            Task::Retention | Task::Producers => self.all_logs(),
            Task::Flush => {
                let policy = FlushPolicy { age_ms: config.background_flush_ms, bytes: config.background_flush_bytes };
                self.all_logs().into_iter().filter(|log| log.wants_flush(now.monotonic, policy)).collect()
            }
            Task::RecoveryPoints | Task::StartOffsets | Task::HighWatermarks => Vec::new(),
        }
    }

    fn run_for(&self, task: Task, log: &Log, now: Now, slow: &Slow) {
        match task {
            Task::Retention => {
                let start = log.offsets().log_start;
                self.told(log, &log.delete_old_segments(now, slow));
                if log.offsets().log_start > start && !self.is_future(log) {
                    self.0.shared.surroundings.start_moved(log.partition());
                }
            }
            // An error is reported where it was met.
            Task::Flush => _ = log.flush(now, slow),
            Task::Producers => log.expire_producers(now),
            Task::RecoveryPoints | Task::StartOffsets | Task::HighWatermarks => {}
        }
    }

    /// What a task does for all logs at once, at its end.
    fn run(&self, task: Task, slow: &Slow) {
        match task {
            Task::Retention | Task::Flush | Task::Producers => {}
            Task::RecoveryPoints => {
                for dir in self.online() {
                    if self.checkpoint(&dir, task, slow) {
                        self.logs_in(&dir).iter().for_each(|log| self.told(log, &log.remove_old_snapshots(slow)));
                    }
                }
            }
            Task::StartOffsets | Task::HighWatermarks => {
                for dir in self.online() {
                    self.checkpoint(&dir, task, slow);
                }
            }
        }
    }

    fn is_future(&self, log: &Log) -> bool {
        self.0.futures.read().get(log.partition()).is_some_and(|future| std::ptr::eq(future.as_ref(), log))
    }

    fn told<T>(&self, log: &Log, result: &Result<T, LogError>) {
        if let Err(error @ LogError::Storage { .. }) = result
            && !crate::shared::is_full(error)
        {
            self.0.shared.surroundings.directory_failed(&log.log_dir(), error);
        }
    }

    /// Writes one of a directory's checkpoints, if it changed. False if it can't be written.
    fn checkpoint(&self, dir: &Path, task: Task, slow: &Slow) -> bool {
        let Some(written) = self
            .0
            .dirs
            .read()
            .iter()
            .find(|known| known.path == dir && known.lock.is_some())
            .map(|known| Arc::clone(&known.written))
        else {
            return false;
        };
        let mut written = written.lock();
        let (name, offsets) = self.offsets_of(dir, task);
        let text = checkpoint::format_offsets(&offsets);
        if written.get(name) == Some(&text) {
            return true;
        }
        match checkpoint::write_text(self.0.shared.disk.as_ref(), &dir.join(name), &text, slow) {
            Ok(()) => {
                written.insert(name, text);
                true
            }
            Err(error) if crate::shared::is_full(&error) => false,
            Err(error) => {
                self.0.shared.surroundings.directory_failed(dir, &error);
                false
            }
        }
    }

    fn offsets_of(&self, dir: &Path, task: Task) -> (&'static str, PartitionOffsets) {
        let logs = self.logs_in(dir).into_iter();
        let named = |log: &Arc<Log>, offset| (log.partition().clone(), offset);
        match task {
            Task::StartOffsets => (
                checkpoint::START_OFFSETS,
                logs.filter_map(|log| log.start_to_checkpoint().map(|offset| named(&log, offset))).collect(),
            ),
            Task::HighWatermarks => {
                (checkpoint::HIGH_WATERMARKS, logs.map(|log| named(&log, log.offsets().high_watermark)).collect())
            }
            _ => (checkpoint::RECOVERY_POINTS, logs.map(|log| named(&log, log.recovery_point())).collect()),
        }
    }

    /// Writes the high watermarks now: before a stop, and when replicas leave this broker.
    pub fn checkpoint_high_watermarks(&self, slow: &Slow) {
        for dir in self.online() {
            self.checkpoint(&dir, Task::HighWatermarks, slow);
        }
    }

    /// Takes a directory offline: its logs are closed and gone, its lock is released. Returns the partitions of its logs, and those of
    /// the copies that were on their way there.
    pub fn directory_offline(&self, dir: &Path) -> (Vec<TopicPartition>, Vec<TopicPartition>) {
        if let Some(known) = self.0.dirs.write().iter_mut().find(|known| known.path == dir) {
            known.lock = None;
        }
        let mut offline = (Vec::new(), Vec::new());
        let mut logs = self.0.logs.write();
        let mut futures = self.0.futures.write();
        self.0.replaced.write().retain(|_, log| log.log_dir() != dir);
        for (logs, names) in [(&mut *logs, &mut offline.0), (&mut *futures, &mut offline.1)] {
            logs.retain(|name, log| {
                let is_offline = log.log_dir() == dir;
                if is_offline {
                    log.close_now();
                    names.push(name.clone());
                }
                !is_offline
            });
        }
        offline
    }

    /// Writes `meta.properties` in each directory that is online.
    pub fn write_metadata(&self, metadata: &BrokerMetadata, now: Now, slow: &Slow) -> Result<(), LogError> {
        let text = metadata.format(now.wall_ms);
        let disk = self.0.shared.disk.as_ref();
        self.online().iter().try_for_each(|dir| checkpoint::write_text(disk, &dir.join(metadata::FILE), &text, slow))
    }

    /// A clean stop: everything flushed, snapshots and checkpoints written, the mark set. A directory in which anything fails gets no
    /// mark, and is recovered at the next start. Another process can take the directories when the locks that are returned are
    /// dropped.
    pub fn shutdown(&self, slow: &Slow) -> Vec<Box<dyn FileLock>> {
        for dir in self.online() {
            match self.close_dir(&dir, slow) {
                Ok(()) => {}
                Err(error) => self.0.shared.say(Level::Error, format!("No clean stop of {}: {error}", dir.display())),
            }
        }
        self.0.dirs.write().iter_mut().filter_map(|dir| dir.lock.take()).collect()
    }

    fn close_dir(&self, dir: &Path, slow: &Slow) -> Result<(), LogError> {
        let disk = self.0.shared.disk.as_ref();
        let logs = self.logs_in(dir);
        write_epochs(&self.0.shared, logs.clone(), slow);
        logs.iter().try_for_each(|log| log.write_out_for_close(slow))?;
        disk.sync_file_system(dir, slow).map_err(|error| LogError::storage("syncing", dir, error))?;
        for log in &logs {
            log.closed_cleanly();
        }
        for task in [Task::RecoveryPoints, Task::StartOffsets, Task::HighWatermarks] {
            if !self.checkpoint(dir, task, slow) {
                return Err(LogError::Start("a checkpoint could not be written".to_owned()));
            }
        }
        let mark = dir.join(CLEAN_SHUTDOWN);
        disk.open(&mark, OpenMode::Create).map_err(|error| LogError::storage("creating", mark, error))?;
        sync_dir(disk, dir, slow)
    }
}

/// A truncation, unless its log's recovery point should have been lowered in one of these directories, and was not.
fn noted(
    log: &Log,
    begun: Result<Truncation, LogError>,
    unwritten: &BTreeSet<PathBuf>,
    now: Now,
) -> Result<Truncation, LogError> {
    let begun = begun?;
    match begun.lowered && unwritten.contains(&log.log_dir()) {
        true => Err(log.give_up_truncation(now)),
        false => Ok(begun),
    }
}

fn remove_dir(shared: &Shared, dir: &Path, slow: &Slow) {
    match shared.disk.remove_dir_all(dir, slow) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            shared.say(Level::Error, format!("Exception while deleting {}: {error}", dir.display()));
        }
        _ => shared.say(Level::Info, format!("Deleted log in {}.", dir.display())),
    }
}
