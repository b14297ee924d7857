//! What can be wrong with a data directory or its disk.

use std::io;
use std::path::{Path, PathBuf};

use base::DecodeError;

/// Why the store cannot do what it was asked for. Each message names the file and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `datadir.autocreate` is off and the folder is missing.
    #[error(
        "Missing {role} directory {}, automatic data directory creation is disabled (zookeeper.datadir.autocreate is \
         false). Please create this directory manually.", dir.display()
    )]
    MissingDir {
        /// `data` (the log) or `snap`.
        role: &'static str,
        /// The folder.
        dir: PathBuf,
    },
    /// The folder could not be made.
    #[error("Unable to create {role} directory {}: {}", dir.display(), base::reason_at(source, dir))]
    CreateDir {
        /// `data` (the log) or `snap`.
        role: &'static str,
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing can be written there.
    #[error("Cannot write to {role} directory {}: {}", dir.display(), base::reason_at(source, dir))]
    NotWritable {
        /// `data` (the log) or `snap`.
        role: &'static str,
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another server of ours uses the folder.
    #[error("{} is locked: another server uses this directory. Stop it, or give this one a dataDir of its own.", file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
    },
    /// `dataLogDir` and `dataDir` are swapped, or were one folder before.
    #[error("Log directory has snapshot files. Check if dataLogDir and dataDir configuration is correct.")]
    LogDirHasSnapshots,
    /// `dataLogDir` and `dataDir` are swapped, or were one folder before.
    #[error("Snapshot directory has log files. Check if dataLogDir and dataDir configuration is correct.")]
    SnapDirHasLogs,
    /// The disk said no.
    #[error("cannot {action} {}: {}", path.display(), base::reason_at(source, path))]
    Io {
        /// What was tried, as in "read".
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log failed before; nothing more is written or acknowledged until the server is started anew.
    #[error("the transaction log failed earlier: {reason}")]
    Failed {
        /// What happened then.
        reason: String,
    },
    /// Bytes that no crash explains.
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Corrupt {
        /// The log or snapshot.
        path: PathBuf,
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// A record whose bytes are sound does not decode.
    #[error("cannot decode {} at byte {position}: {source}", path.display())]
    Decode {
        /// The log or snapshot.
        path: PathBuf,
        /// Where the record starts.
        position: u64,
        /// What is wrong.
        source: DecodeError,
    },
    /// There is a log but no snapshot before it (ZOOKEEPER-2325, ZOOKEEPER-3056).
    #[error(
        "No snapshot found, but there are log entries. Something is broken! Put the snapshots back, or, only when \
         coming from a version before 3.5.3, start with -Dzookeeper.snapshot.trust.empty=true."
    )]
    NoSnapshot,
    /// There are snapshots, and none can be read.
    #[error("Not able to find valid snapshots in {}", dir.display())]
    NoValidSnapshot {
        /// The snapshot folder.
        dir: PathBuf,
    },
    /// The log cannot be cut there, because no snapshot is that old.
    #[error("cannot cut the log back to 0x{zxid:x}: no snapshot is that old")]
    CannotTruncate {
        /// Where it was to be cut.
        zxid: i64,
    },
    /// An epoch file holds no number.
    #[error("Found {} in {}", text.escape_debug(), path.display())]
    EpochFile {
        /// The file.
        path: PathBuf,
        /// Its content.
        text: String,
    },
}

impl StoreError {
    /// Whether the folders themselves can't be used, not what is in them (`DatadirException`).
    pub const fn is_of_directory(&self) -> bool {
        match self {
            Self::MissingDir { .. }
            | Self::CreateDir { .. }
            | Self::NotWritable { .. }
            | Self::Locked { .. }
            | Self::LogDirHasSnapshots
            | Self::SnapDirHasLogs => true,
            Self::Io { .. }
            | Self::Failed { .. }
            | Self::Corrupt { .. }
            | Self::Decode { .. }
            | Self::NoSnapshot
            | Self::NoValidSnapshot { .. }
            | Self::CannotTruncate { .. }
            | Self::EpochFile { .. } => false,
        }
    }
}

/// Adds what was tried, and on what, to an error of the disk.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, path: path.into(), source })
    }
}
