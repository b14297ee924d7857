//! Replicas that move between log directories (KIP-113; upstream: `LogManager.replaceCurrentWithFutureLog`).
//!
//! A *future* log takes a copy of a partition's log in another directory, under a name of its own. When it has all, the swap is made
//! in steps of which none waits for a disk with a lock held that an append needs: the copy is durable and takes the name of the
//! log ([`LogManager::begin_swap`]), it becomes the log in memory ([`LogManager::swap`]), is made durable again, and the old folder is
//! renamed for deletion ([`LogManager::end_swap`]). In between two folders have the log's name; a start tells them apart
//! (`moved.rs`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Now, Slow};
use parking_lot::RwLock;

use super::{LogManager, Logs, Task, remove_dir};
use crate::error::sync_dir;
use crate::log::LoadFrom;
use crate::partition::{TopicPartition, deleted_folder, future_folder};
use crate::types::Level;
use crate::{Log, LogConfig, LogError};

impl LogManager {
    /// The copy of a partition's log on its way to another directory.
    pub fn future(&self, partition: &TopicPartition) -> Option<Arc<Log>> {
        self.0.futures.read().get(partition).cloned()
    }

    /// All copies that are on their way, by partition.
    pub fn futures(&self) -> Vec<Arc<Log>> {
        self.0.futures.read().values().cloned().collect()
    }

    /// The log directory of this path, as the broker was configured, and whether it is online; `None` if there is none.
    pub fn directory(&self, path: &str) -> Option<(PathBuf, bool)> {
        // As Java's absolute paths are written: without a slash at the end.
        let is_named = |dir: &PathBuf| dir.components().collect::<PathBuf>().as_os_str() == path;
        self.directories().into_iter().find(|(dir, _)| is_named(dir))
    }

    /// The partition's next log, or its copy, is to be made there.
    pub fn prefer(&self, partition: &TopicPartition, dir: &Path) {
        let is_there = |log: Option<Arc<Log>>| log.is_some_and(|log| log.log_dir() == dir);
        if !is_there(self.get(partition)) && !is_there(self.future(partition)) {
            self.0.preferred.lock().insert(partition.clone(), dir.to_owned());
        }
    }

    /// The copy of a partition's log, made in the directory that is preferred. Not while a directory is offline: there might be another.
    pub fn create_future(
        &self,
        partition: &TopicPartition,
        config: &LogConfig,
        now: Now,
        slow: &Slow,
    ) -> Result<Arc<Log>, LogError> {
        let _one_at_a_time = self.0.changing.lock();
        if let Some(log) = self.future(partition) {
            return Ok(log);
        }
        let offline = |why| LogError::Offline { partition: partition.clone(), why };
        if self.online().len() < self.0.config.dirs.len() {
            return Err(offline("a log directory is offline, and another copy may lie there"));
        }
        let preferred = self.0.preferred.lock().get(partition).cloned();
        let dir = preferred.ok_or_else(|| offline("no directory was named for its copy"))?;
        // The log of before a move that has just ended, or the log itself: the copy could not take its name.
        let taken = dir.join(partition.to_string());
        let found = self.0.shared.disk.metadata(&taken).map_err(|error| LogError::storage("reading", taken, error))?;
        if found.is_some() {
            return Err(offline("a log of it lies in the directory that was named for its copy"));
        }
        let name = future_folder(partition, &mut self.0.shared.random.lock());
        let log = self.open_new(partition, &dir, &name, config, now, slow)?;
        self.0.preferred.lock().remove(partition);
        self.0.futures.write().insert(partition.clone(), Arc::clone(&log));
        Ok(log)
    }

    /// Makes a log in this folder. A directory that fails goes offline.
    pub(super) fn open_new(
        &self,
        partition: &TopicPartition,
        dir: &Path,
        name: &str,
        config: &LogConfig,
        now: Now,
        slow: &Slow,
    ) -> Result<Arc<Log>, LogError> {
        let from = LoadFrom { dir: dir.join(name), log_start: 0, recovery_point: 0, clean: false };
        let opened = Log::open(&self.0.shared, partition.clone(), config.clone(), from, now, slow);
        let log = opened.inspect_err(|error| {
            if !crate::shared::is_full(error) {
                self.0.shared.surroundings.directory_failed(dir, error);
            }
        })?;
        let line = format!("Created log for partition {partition} in {}", log.dir().display());
        self.0.shared.say(Level::Info, line);
        Ok(log)
    }

    /// Renames the copy's folder for deletion; false if there is none. Nobody writes to it any more.
    pub fn delete_future(&self, partition: &TopicPartition, now: Now, slow: &Slow) -> Result<bool, LogError> {
        let _one_at_a_time = self.0.changing.lock();
        let Some(dir) = self.delete_from(&self.0.futures, partition, now, slow)? else { return Ok(false) };
        self.checkpoint(&dir, Task::RecoveryPoints, slow);
        self.checkpoint(&dir, Task::StartOffsets, slow);
        // Two copies would be too many for a start.
        sync_dir(&*self.0.shared.disk, &dir, slow)?;
        Ok(true)
    }

    /// Takes the partition's log out of those, copies or replaced ones, and off the disk. The directory in which it lay.
    pub(super) fn delete_from(
        &self,
        logs: &RwLock<Logs>,
        partition: &TopicPartition,
        now: Now,
        slow: &Slow,
    ) -> Result<Option<PathBuf>, LogError> {
        let removed = logs.write().remove(partition);
        removed.map(|log| self.doom(&log, now, slow)).transpose()
    }

    /// Takes a log that is in no map any more off the disk, later. The directory that it lay in.
    pub(super) fn doom(&self, log: &Arc<Log>, now: Now, slow: &Slow) -> Result<PathBuf, LogError> {
        log.close_now();
        let dir = log.log_dir();
        self.rename_for_deletion(log, slow)?;
        self.remove_dir_later(log.dir(), log.config().file_delete_delay_ms, now);
        Ok(dir)
    }

    fn rename_for_deletion(&self, log: &Log, slow: &Slow) -> Result<(), LogError> {
        let partition = log.partition();
        let name = deleted_folder(partition, &mut self.0.shared.random.lock());
        let renamed = log.rename(&name, slow);
        renamed.inspect_err(|error| self.0.shared.surroundings.directory_failed(&log.log_dir(), error))?;
        let line = format!(
            "Log for partition {partition} is renamed to {} and is scheduled for deletion",
            log.dir().display()
        );
        self.0.shared.say(Level::Info, line);
        Ok(())
    }

    /// The copy has all, or nearly: it is made durable, marked as the one that takes the other's place, and gets the log's name. It
    /// goes on as a copy. False, and nothing happens, if the log was cut since the copy was found to agree with it, at this count of cuts:
    /// neither of the two would be a beginning of the other. Whoever calls it keeps cuts of the log away, until [`LogManager::give_up_swap`] or
    /// [`LogManager::end_swap`].
    pub fn begin_swap(&self, future: &Log, truncations: u64, now: Now, slow: &Slow) -> Result<bool, LogError> {
        let _one_at_a_time = self.0.changing.lock();
        let log = self.get(future.partition());
        if log.is_none_or(|log| log.truncations() != Some(truncations)) {
            return Ok(false);
        }
        future.flush(now, slow)?;
        let begun = future
            .mark(slow)
            .and_then(|()| future.rename(&future.partition().to_string(), slow))
            .and_then(|()| self.sync_names(future, slow));
        begun.inspect_err(|error| self.told::<()>(future, &Err(error.clone())))?;
        Ok(true)
    }

    /// The copy lost sight of the log: it gets a copy's name again.
    pub fn give_up_swap(&self, future: &Log, slow: &Slow) -> Result<(), LogError> {
        let _one_at_a_time = self.0.changing.lock();
        let name = future_folder(future.partition(), &mut self.0.shared.random.lock());
        let given_up =
            future.rename(&name, slow).and_then(|()| self.sync_names(future, slow)).and_then(|()| future.unmark(slow));
        given_up.inspect_err(|error| self.told::<()>(future, &Err(error.clone())))
    }

    fn sync_names(&self, log: &Log, slow: &Slow) -> Result<(), LogError> {
        sync_dir(&*self.0.shared.disk, &log.log_dir(), slow)
    }

    /// The copy is the partition's log from now on, and the log of before is none; in memory alone. Whoever calls it keeps all appends
    /// away. `None`, and nothing happens, unless the copy has all that the log has.
    pub fn swap(&self, partition: &TopicPartition, truncations: u64) -> Option<(Arc<Log>, Arc<Log>)> {
        let mut logs = self.0.logs.write();
        let mut futures = self.0.futures.write();
        let (current, future) = (logs.get(partition)?.clone(), futures.get(partition)?.clone());
        if !future.takes_over_from(&current, truncations) {
            return None;
        }
        futures.remove(partition);
        logs.insert(partition.clone(), Arc::clone(&future));
        self.0.replaced.write().insert(partition.clone(), Arc::clone(&current));
        Some((current, future))
    }

    /// The old log goes, once the new one is as durable as it was. Reads of the old one may go on until its files are removed. After an error
    /// it is to be called again, for two folders have the log's name until then.
    pub fn end_swap(&self, old: &Arc<Log>, new: &Log, now: Now, slow: &Slow) -> Result<(), LogError> {
        let _one_at_a_time = self.0.changing.lock();
        new.flush(now, slow)?;
        let old_dir = old.log_dir();
        let checkpoint_all = |dir: &Path| {
            for task in [Task::HighWatermarks, Task::RecoveryPoints, Task::StartOffsets] {
                self.checkpoint(dir, task, slow);
            }
        };
        // What the old one's directory knows of it, the new one's knows before that is gone.
        checkpoint_all(&new.log_dir());
        let renamed = self
            .rename_for_deletion(old, slow)
            .and_then(|()| self.sync_names(old, slow).inspect_err(|error| self.told::<()>(old, &Err(error.clone()))));
        // Also if the old directory has failed: the new log is complete, and needs no other.
        new.unmark(slow).inspect_err(|error| self.told::<()>(new, &Err(error.clone())))?;
        renamed?;
        self.0.replaced.write().remove(old.partition());
        checkpoint_all(&old_dir);
        let (log, delay_ms) = (Arc::clone(old), old.config().file_delete_delay_ms.max(0).unsigned_abs());
        let shared = Arc::clone(&self.0.shared);
        self.0.shared.later(now.monotonic.plus_ms(delay_ms), move |slow| {
            log.close_now();
            remove_dir(&shared, &log.dir(), slow);
        });
        Ok(())
    }
}
