//! The leader epochs on the disk (`leader-epoch-checkpoint`): of one log with syncs of its own, of many logs with two syncs of
//! their file system. A controller's word may begin an epoch in every partition of a broker at once.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{OpenMode, Slow};

use super::Log;
use crate::shared::Shared;
use crate::types::EpochOffset;
use crate::{LogError, checkpoint};

/// So many logs of a directory are synced one by one.
const ALONE_MAX: usize = 4;
/// What is to become the checkpoint.
const ASIDE: &str = "leader-epoch-checkpoint.tmp";

/// Epochs that were written beside the checkpoint.
struct Aside {
    entries: Vec<EpochOffset>,
    /// Which write it was.
    write: u64,
}

impl Log {
    /// Has the leader epochs written on a disk thread, with those of the other logs that wait for it.
    pub(super) fn submit_epochs(&self) {
        let Some(log) = self.me.upgrade() else { return };
        let is_first = {
            let mut waiting = self.shared.unwritten_epochs.lock();
            waiting.push(log);
            waiting.len() == 1
        };
        if is_first {
            let shared = Arc::clone(&self.shared);
            self.shared.submit(move |slow| {
                let waiting = std::mem::take(&mut *shared.unwritten_epochs.lock());
                write_epochs(&shared, waiting, slow);
            });
        }
    }

    /// Writes the leader epochs if they changed. Then they are durable, whoever wrote them. Those of a log that is gone are nobody's, and
    /// its folder may be gone, too.
    pub(super) fn write_epochs(&self, slow: &Slow) -> Result<(), LogError> {
        let mut writes = self.epoch_writes.lock();
        if self.view.read().closed {
            return Ok(());
        }
        let Some(entries) = self.epochs.read().changed() else { return Ok(()) };
        *writes += 1;
        let text = checkpoint::format_epochs(&entries);
        let disk = self.shared.disk.as_ref();
        self.home.with_path(checkpoint::LEADER_EPOCHS, |path| checkpoint::write_text(disk, &path, &text, slow))?;
        self.epochs.write().written(&entries);
        Ok(())
    }

    /// Writes them to the page cache, beside the checkpoint. `None`: they did not change, or the log is gone.
    fn write_epochs_aside(&self, slow: &Slow) -> Result<Option<Aside>, LogError> {
        let mut writes = self.epoch_writes.lock();
        if self.view.read().closed {
            return Ok(None);
        }
        let Some(entries) = self.epochs.read().changed() else { return Ok(None) };
        *writes += 1;
        self.home.with_path(ASIDE, |path| {
            let opened = self.shared.disk.open(&path, OpenMode::Create);
            let written = opened.and_then(|file| {
                file.truncate(0, slow)?;
                file.write_at(&[IoSlice::new(checkpoint::format_epochs(&entries).as_bytes())], 0)
            });
            written.map_err(|error| LogError::storage("writing", path, error))
        })?;
        Ok(Some(Aside { entries, write: *writes }))
    }

    /// Puts what was written aside, and is durable, in the checkpoint's place; not if something newer has been written meanwhile.
    fn rename_epochs(&self, aside: &Aside, slow: &Slow) -> Result<(), LogError> {
        let writes = self.epoch_writes.lock();
        if *writes != aside.write || self.view.read().closed {
            return Ok(());
        }
        self.home.with_dir(|dir| {
            let (from, to) = (dir.join(ASIDE), dir.join(checkpoint::LEADER_EPOCHS));
            self.shared.disk.rename(&from, &to, slow).map_err(|error| LogError::storage("renaming", from, error))
        })
    }
}

/// Writes the leader epochs of logs, as far as they changed.
pub(crate) fn write_epochs(shared: &Shared, logs: Vec<Arc<Log>>, slow: &Slow) {
    let mut dirs: BTreeMap<PathBuf, Vec<Arc<Log>>> = BTreeMap::new();
    for log in logs.into_iter().filter(|log| log.epochs.read().changed().is_some()) {
        dirs.entry(log.log_dir()).or_default().push(log);
    }
    for (dir, logs) in dirs {
        if logs.len() > ALONE_MAX {
            // An error was told to the broker, and the epochs stay to be written.
            let _ = write_together(shared, &dir, &logs, slow);
        } else {
            logs.iter().for_each(|log| log.report(log.write_epochs(slow)).unwrap_or(()));
        }
    }
}

fn write_together(shared: &Shared, dir: &Path, logs: &[Arc<Log>], slow: &Slow) -> Result<(), LogError> {
    let Some(first) = logs.first() else { return Ok(()) };
    let sync = || {
        let synced = shared.disk.sync_file_system(dir, slow);
        first.report(synced.map_err(|error| LogError::storage("syncing", dir, error)))
    };
    let mut asides = Vec::with_capacity(logs.len());
    for log in logs {
        if let Some(aside) = log.report(log.write_epochs_aside(slow))? {
            asides.push((log, aside));
        }
    }
    sync()?;
    for (log, aside) in &asides {
        log.report(log.rename_epochs(aside, slow))?;
    }
    sync()?;
    for (log, aside) in asides {
        log.epochs.write().written(&aside.entries);
    }
    Ok(())
}
