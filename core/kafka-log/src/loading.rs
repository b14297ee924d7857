//! Start: directories are locked, checkpoints read, and every partition's log is opened by jobs that run side by side.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{Disk, FileLock, Job, Next, Now, Random, Slow};
use parking_lot::Mutex;

use crate::checkpoint::{self, PartitionOffsets};
use crate::error::sync_dir;
use crate::log::LoadFrom;
use crate::manager::{Directory, LogManager, Logs, ManagerConfig};
use crate::metadata::{self, BrokerMetadata, MetadataError};
use crate::moved::{Other, sort_out};
use crate::partition::{FolderKind, TopicPartition, deleted_folder, future_folder, parse_folder};
use crate::shared::Shared;
use crate::types::{Level, Surroundings};
use crate::{Log, LogConfig, LogError};

/// Gives a topic's settings.
pub type TopicConfigs = Arc<dyn Fn(&str) -> LogConfig + Send + Sync>;

/// Marks a clean stop.
pub(crate) const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const LOCK: &str = ".lock";
/// Jobs at the least for a directory that was closed cleanly: few bytes of a partition are read, so that the device is not what they share,
/// as it is in a recovery (`num.recovery.threads.per.data.dir`).
const CLEAN_JOBS: usize = 8;

/// A start under way: run the jobs on disk threads, then [`Loading::finish`].
pub struct Loading {
    work: Arc<Work>,
    config: ManagerConfig,
    metadata: Vec<(PathBuf, Option<BrokerMetadata>)>,
    /// Folders of partitions that were being deleted.
    doomed: Vec<PathBuf>,
}

struct Work {
    shared: Arc<Shared>,
    topic_configs: TopicConfigs,
    now: Now,
    dirs: Vec<LoadingDir>,
    total: usize,
    done: AtomicUsize,
}

struct LoadingDir {
    path: PathBuf,
    lock: Mutex<Option<Box<dyn FileLock>>>,
    clean: bool,
    recovery_points: PartitionOffsets,
    start_offsets: PartitionOffsets,
    high_watermarks: PartitionOffsets,
    pending: Mutex<VecDeque<Folder>>,
    loaded: Mutex<Vec<(FolderKind, Arc<Log>)>>,
    failed: Mutex<Option<LogError>>,
}

/// A log's folder.
struct Folder {
    name: String,
    partition: TopicPartition,
    kind: FolderKind,
}

impl Loading {
    /// Takes the directories' locks, reads their checkpoints, lists their partitions. A directory that fails is left out. An error if
    /// none is left, if one is named twice, or if another process holds a lock.
    pub fn begin(
        disk: Arc<dyn Disk>,
        surroundings: Arc<dyn Surroundings>,
        config: ManagerConfig,
        topic_configs: TopicConfigs,
        random: Random,
        now: Now,
    ) -> Result<Self, LogError> {
        let shared = Shared::new(disk, surroundings, config.producer_expiration_ms, random);
        let (mut dirs, mut metadata, mut doomed) = (Vec::new(), Vec::new(), Vec::new());
        for (index, path) in config.dirs.iter().enumerate() {
            if config.dirs.iter().take(index).any(|other| other == path) {
                return Err(LogError::Start(format!("Duplicate log directory found: {}", path.display())));
            }
            match begin_dir(&shared, path, &mut doomed) {
                Ok((dir, found)) => {
                    metadata.push((path.clone(), found));
                    dirs.push(dir);
                }
                Err(error @ LogError::Start(_)) => return Err(error),
                // A file of a later release is taken for one that can't be read, as in the original.
                Err(LogError::Metadata { path, reason }) if !matches!(reason, MetadataError::Version(_)) => {
                    return Err(LogError::Metadata { path, reason });
                }
                Err(error) => shared.surroundings.directory_failed(path, &error),
            }
        }
        if dirs.is_empty() {
            let names: Vec<String> = config.dirs.iter().map(|dir| dir.display().to_string()).collect();
            return Err(LogError::Halted(format!(
                "Shutdown broker because none of the specified log dirs from {} can be created or validated",
                names.join(", ")
            )));
        }
        let total = dirs.iter().map(|dir| dir.pending.lock().len()).sum();
        let work = Arc::new(Work { shared, topic_configs, now, dirs, total, done: AtomicUsize::new(0) });
        Ok(Self { work, config, metadata, doomed })
    }

    /// `meta.properties` of each directory that is online, `None` where there is no such file.
    pub fn metadata(&self) -> &[(PathBuf, Option<BrokerMetadata>)] {
        &self.metadata
    }

    /// The work, in as many jobs as may run at once. Each step loads one partition.
    pub fn jobs(&self) -> Vec<Box<dyn Job>> {
        let recovery_jobs = self.config.recovery_threads.max(1);
        let of_dir = |(index, dir): (usize, &LoadingDir)| {
            let jobs = if dir.clean { recovery_jobs.max(CLEAN_JOBS) } else { recovery_jobs };
            std::iter::repeat_n(index, jobs)
        };
        let dirs = self.work.dirs.iter().enumerate().flat_map(of_dir);
        dirs.map(|dir| Box::new(LoadJob { work: Arc::clone(&self.work), dir }) as Box<dyn Job>).collect()
    }

    /// Partitions loaded, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        (self.work.done.load(Ordering::Acquire), self.work.total)
    }

    /// Whether an unclean stop is being recovered from.
    pub fn recovering(&self) -> bool {
        self.work.dirs.iter().any(|dir| !dir.clean)
    }

    /// When all jobs are done: the logs. Removes the marks of a clean stop.
    pub fn finish(self, now: Now, slow: &Slow) -> Result<LogManager, LogError> {
        let Self { work, config, mut doomed, .. } = self;
        let shared = Arc::clone(&work.shared);
        let mut found: Vec<(FolderKind, Arc<Log>)> = Vec::new();
        let mut dirs: Vec<Directory> = Vec::new();
        for dir in &work.dirs {
            let removed = remove_if_there(shared.disk.as_ref(), &dir.path.join(CLEAN_SHUTDOWN), slow);
            // A mark that came back after a crash would say that nothing needs to be recovered.
            let removed = removed.and_then(|()| {
                // The directory itself may be new.
                let parent = dir.path.parent().unwrap_or(&dir.path);
                sync_dir(&*shared.disk, &dir.path, slow).and_then(|()| sync_dir(&*shared.disk, parent, slow))
            });
            if let Some(error) = dir.failed.lock().take().or(removed.err()) {
                shared.surroundings.directory_failed(&dir.path, &error);
                continue;
            }
            for (kind, log) in dir.loaded.lock().drain(..) {
                log.update_high_watermark(dir.high_watermarks.get(log.partition()).copied().unwrap_or(0));
                found.push((kind, log));
            }
            dirs.push(Directory::new(dir.path.clone(), dir.lock.lock().take()));
        }
        if dirs.is_empty() {
            return Err(LogError::Halted("Shutdown broker because all log dirs have failed".to_owned()));
        }
        let is_complete = dirs.len() == config.dirs.len();
        let logs = sort(&shared, found, is_complete, &mut doomed, now, slow)?;
        let manager = LogManager::new(shared, config, dirs, logs, now);
        let delay_ms = (work.topic_configs)("").file_delete_delay_ms;
        doomed.into_iter().for_each(|dir| manager.remove_dir_later(dir, delay_ms, now));
        Ok(manager)
    }
}

/// The logs, and the copies of them that are on their way. `is_complete`: no directory is offline.
fn sort(
    shared: &Shared,
    found: Vec<(FolderKind, Arc<Log>)>,
    is_complete: bool,
    doomed: &mut Vec<PathBuf>,
    now: Now,
    slow: &Slow,
) -> Result<(Logs, Logs), LogError> {
    let (mut logs, mut futures, mut paired) = (Logs::new(), Vec::new(), BTreeSet::new());
    for (kind, log) in found {
        let name = log.partition().clone();
        match (kind, logs.remove(&name)) {
            (FolderKind::Future, before) => {
                logs.extend(before.map(|before| (name, before)));
                futures.push(log);
            }
            (_, None) => drop(logs.insert(name, log)),
            (_, Some(before)) => {
                let sorted = sort_out(shared, before, log, now, slow)?;
                paired.insert(name.clone());
                logs.insert(name, sorted.current);
                match sorted.other {
                    Other::Future(log) => futures.push(log),
                    Other::Doomed(log) => doomed.push(log.dir()),
                }
            }
        }
    }
    if !is_complete {
        futures.extend(take_back(shared, &mut logs, &paired, slow)?);
    }
    // The other folder is gone, or has another name.
    for log in logs.values().filter(|log| log.is_marked()) {
        log.unmark(slow)?;
    }
    let mut by_name = Logs::new();
    for log in futures {
        if logs.get(log.partition()).is_some_and(|current| current.log_dir() == log.log_dir()) {
            // A copy in the same directory is of no use.
            log.rename(&deleted_folder(log.partition(), &mut shared.random.lock()), slow)?;
            doomed.push(log.dir());
        } else if let Some(before) = by_name.insert(log.partition().clone(), Arc::clone(&log)) {
            let (one, other) = (log.dir(), before.dir());
            let found = format!("Duplicate log directories found: {}, {}", one.display(), other.display());
            return Err(LogError::Start(found));
        }
    }
    Ok((logs, by_name))
}

/// Logs that were about to take the place of others, which may lie where nobody can look now, and have more: they are copies again.
fn take_back(
    shared: &Shared,
    logs: &mut Logs,
    paired: &BTreeSet<TopicPartition>,
    slow: &Slow,
) -> Result<Vec<Arc<Log>>, LogError> {
    let alone = logs.values().filter(|log| log.is_marked() && !paired.contains(log.partition()));
    let alone: Vec<Arc<Log>> = alone.cloned().collect();
    for log in &alone {
        logs.remove(log.partition());
        log.rename(&future_folder(log.partition(), &mut shared.random.lock()), slow)?;
        sync_dir(&*shared.disk, &log.log_dir(), slow)?;
        log.unmark(slow)?;
    }
    Ok(alone)
}

impl std::fmt::Debug for Loading {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Loading").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

fn remove_if_there(disk: &dyn Disk, path: &Path, slow: &Slow) -> Result<(), LogError> {
    match disk.remove_file(path, slow) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|error| LogError::storage("removing", path, error)),
    }
}

fn begin_dir(
    shared: &Shared,
    path: &Path,
    doomed: &mut Vec<PathBuf>,
) -> Result<(LoadingDir, Option<BrokerMetadata>), LogError> {
    let disk = shared.disk.as_ref();
    disk.create_dir_all(path).map_err(|error| LogError::storage("creating", path, error))?;
    let lock = disk.lock(&path.join(LOCK)).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => LogError::Start(format!(
            "Failed to acquire lock on file .lock in {}. A Kafka instance in another process or thread is using this directory.",
            path.display()
        )),
        _ => LogError::storage("locking", path, error),
    })?;
    let metadata_path = path.join(metadata::FILE);
    let metadata = match checkpoint::read_text(disk, &metadata_path)? {
        None => None,
        Some(text) => {
            let refused = |reason| LogError::Metadata { path: metadata_path, reason };
            Some(BrokerMetadata::parse(&text).map_err(refused)?)
        }
    };
    let clean =
        disk.metadata(&path.join(CLEAN_SHUTDOWN)).map_err(|error| LogError::storage("reading", path, error))?.is_some();
    shared.say(
        Level::Info,
        match clean {
            true => format!("Skipping recovery for all logs in {} since clean shutdown file was found", path.display()),
            false => {
                format!("Attempting recovery for all logs in {} since no clean shutdown file was found", path.display())
            }
        },
    );
    let pending = list_partitions(shared, path, doomed)?;
    let dir = LoadingDir {
        path: path.to_owned(),
        lock: Mutex::new(Some(lock)),
        clean,
        recovery_points: read_offsets(
            shared,
            path,
            checkpoint::RECOVERY_POINTS,
            "resetting the recovery checkpoint to 0",
        ),
        start_offsets: read_offsets(
            shared,
            path,
            checkpoint::START_OFFSETS,
            "resetting to the base offset of the first segment",
        ),
        high_watermarks: read_offsets(
            shared,
            path,
            checkpoint::HIGH_WATERMARKS,
            "high watermarks start at the logs' starts",
        ),
        pending: Mutex::new(pending),
        loaded: Mutex::new(Vec::new()),
        failed: Mutex::new(None),
    };
    Ok((dir, metadata))
}

/// The partitions that have a folder here; folders that wait for deletion go to `doomed`.
fn list_partitions(shared: &Shared, path: &Path, doomed: &mut Vec<PathBuf>) -> Result<VecDeque<Folder>, LogError> {
    let disk = shared.disk.as_ref();
    let mut pending = VecDeque::new();
    for entry in disk.list(path).map_err(|error| LogError::storage("listing", path, error))? {
        if !entry.metadata.is_dir {
            continue;
        }
        match parse_folder(&entry.name) {
            Some((_, FolderKind::Deleted)) => doomed.push(path.join(&entry.name)),
            Some((partition, kind)) => pending.push_back(Folder { name: entry.name, partition, kind }),
            None => shared.say(
                Level::Warn,
                format!("Passing over {}: no partition's folder is called so", path.join(&entry.name).display()),
            ),
        }
    }
    Ok(pending)
}

/// A checkpoint that can't be read costs a longer recovery, not the start.
fn read_offsets(shared: &Shared, dir: &Path, name: &str, instead: &str) -> PartitionOffsets {
    let text = checkpoint::read_text(shared.disk.as_ref(), &dir.join(name)).map_err(|error| error.to_string());
    let offsets =
        text.and_then(|text| checkpoint::parse_offsets(&text.unwrap_or_default()).map_err(|error| error.to_string()));
    offsets.unwrap_or_else(|error| {
        shared.say(
            Level::Warn,
            format!("Error occurred while reading {name} file of directory {}, {instead}: {error}", dir.display()),
        );
        PartitionOffsets::new()
    })
}

/// Loads the partitions of one directory, one a step.
struct LoadJob {
    work: Arc<Work>,
    dir: usize,
}

impl Job for LoadJob {
    fn step(&mut self, slow: &Slow) -> Next {
        let Some(dir) = self.work.dirs.get(self.dir) else { return Next::Done };
        let Some(Folder { name, partition, kind }) = dir.pending.lock().pop_front() else { return Next::Done };
        let from = LoadFrom {
            dir: dir.path.join(name),
            log_start: dir.start_offsets.get(&partition).copied().unwrap_or(0),
            recovery_point: dir.recovery_points.get(&partition).copied().unwrap_or(0),
            clean: dir.clean,
        };
        let config = (self.work.topic_configs)(&partition.topic);
        match Log::open(&self.work.shared, partition, config, from, self.work.now, slow) {
            Ok(log) => dir.loaded.lock().push((kind, log)),
            Err(error) => {
                self.work
                    .shared
                    .say(Level::Error, format!("Error while loading log dir {}: {error}", dir.path.display()));
                dir.failed.lock().get_or_insert(error);
                dir.pending.lock().clear();
            }
        }
        self.work.done.fetch_add(1, Ordering::AcqRel);
        Next::More
    }
}
