//! The folders `dataDir/version-2` and `dataLogDir/version-2`, the names in them, and the lock on each.
//!
//! The lock is ours alone: the original has none and passes over names that it does not know. Making it also shows early
//! that the folder can be written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, FileLock, Slow};

use crate::Compression;
use crate::error::{Context, StoreError};

const LOCK_NAME: &str = ".jackdaw.lock";
/// Upstream's flag for `db.autocreate=false`: "this server may start empty".
const INITIALIZE_NAME: &str = "initialize";

/// The two folders of one server, locked for as long as this lives.
#[derive(Debug)]
pub struct DataDirs {
    log_dir: PathBuf,
    snap_dir: PathBuf,
    /// Where the file `initialize` may be.
    initialize: [PathBuf; 2],
    _locks: Vec<Box<dyn FileLock>>,
}

impl DataDirs {
    /// Finds or makes `version-2` under both folders, locks them, and checks that they are not mixed up (ZOOKEEPER-2967).
    ///
    /// `autocreate` is `zookeeper.datadir.autocreate`. The folders may be the same.
    pub fn open(
        disk: &dyn Disk,
        data_dir: &Path,
        data_log_dir: &Path,
        autocreate: bool,
        slow: &Slow,
    ) -> Result<Self, StoreError> {
        let log_dir = data_log_dir.join("version-2");
        let snap_dir = data_dir.join("version-2");
        let mut locks = vec![prepare(disk, "data", &log_dir, autocreate, slow)?];
        if log_dir != snap_dir {
            locks.push(prepare(disk, "snap", &snap_dir, autocreate, slow)?);
            if names(disk, &log_dir)?.iter().any(|name| name.starts_with("snapshot.")) {
                return Err(StoreError::LogDirHasSnapshots);
            }
            if names(disk, &snap_dir)?.iter().any(|name| name.starts_with("log.")) {
                return Err(StoreError::SnapDirHasLogs);
            }
        }
        let initialize = [data_log_dir, data_dir].map(|dir| dir.join(INITIALIZE_NAME));
        Ok(Self { log_dir, snap_dir, initialize, _locks: locks })
    }

    /// `dataLogDir/version-2`.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// `dataDir/version-2`.
    pub fn snap_dir(&self) -> &Path {
        &self.snap_dir
    }

    /// Removes the file `initialize`: whether it was there. With `db.autocreate=false` only that lets an empty server take part in
    /// elections. The original looks for it in `dataLogDir` alone, and its zkServer-initialize.sh makes it in `dataDir`: where the two differ
    /// it is never found there. Here both folders are looked into.
    pub fn take_initialize(&self, disk: &dyn Disk, slow: &Slow) -> Result<bool, StoreError> {
        let mut was_there = false;
        for path in &self.initialize {
            match disk.remove_file(path, slow) {
                Ok(()) => was_there = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).context("remove", path),
            }
        }
        Ok(was_there)
    }
}

/// A name in one of the folders that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName {
    /// `log.<zxid of its first record, hexadecimal>`.
    Log(i64),
    /// `snapshot.<zxid it stands for, hexadecimal>`, with `.gz` or `.snappy` if compressed.
    Snapshot(i64, Compression),
}

impl FileName {
    /// What `name` means, if anything: names of temporary files and of other things are passed over.
    pub fn parse(name: &str) -> Option<Self> {
        let (prefix, rest) = name.split_once('.')?;
        let (digits, extension) = rest.split_once('.').map_or((rest, None), |(digits, more)| (digits, Some(more)));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let zxid = i64::from_str_radix(digits, 16).ok()?;
        match (prefix, extension) {
            ("log", None) => Some(Self::Log(zxid)),
            ("snapshot", None) => Some(Self::Snapshot(zxid, Compression::None)),
            ("snapshot", Some(extension)) => Some(Self::Snapshot(zxid, Compression::from_extension(extension)?)),
            _ => None,
        }
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(zxid) => write!(formatter, "log.{zxid:x}"),
            Self::Snapshot(zxid, compression) => write!(formatter, "snapshot.{zxid:x}{}", compression.extension()),
        }
    }
}

/// The log files of a folder by zxid, oldest first.
pub(crate) fn logs(disk: &dyn Disk, dir: &Path) -> Result<Vec<(i64, PathBuf)>, StoreError> {
    let mut logs: Vec<_> = names(disk, dir)?
        .iter()
        .filter_map(|name| match FileName::parse(name)? {
            FileName::Log(zxid) => Some((zxid, dir.join(name))),
            FileName::Snapshot(..) => None,
        })
        .collect();
    logs.sort();
    Ok(logs)
}

/// The snapshots of a folder by zxid, newest first.
pub(crate) fn snapshots(disk: &dyn Disk, dir: &Path) -> Result<Vec<(i64, Compression, PathBuf)>, StoreError> {
    let mut snapshots: Vec<_> = names(disk, dir)?
        .iter()
        .filter_map(|name| match FileName::parse(name)? {
            FileName::Snapshot(zxid, compression) => Some((zxid, compression, dir.join(name))),
            FileName::Log(_) => None,
        })
        .collect();
    snapshots.sort_by(|one, other| (other.0, &other.2).cmp(&(one.0, &one.2)));
    Ok(snapshots)
}

/// Of logs sorted by zxid, those that may hold records beyond `zxid`: the last that starts at or before it, and all later.
pub(crate) fn logs_beyond(logs: &[(i64, PathBuf)], zxid: i64) -> &[(i64, PathBuf)] {
    let later = logs.partition_point(|(first, _)| *first <= zxid);
    logs.get(later.saturating_sub(1)..).unwrap_or_default()
}

pub(crate) fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, StoreError> {
    let entries = disk.list(dir).context("list", dir)?;
    Ok(entries.into_iter().filter(|entry| !entry.metadata.is_dir).map(|entry| entry.name).collect())
}

fn prepare(
    disk: &dyn Disk,
    role: &'static str,
    dir: &Path,
    autocreate: bool,
    slow: &Slow,
) -> Result<Box<dyn FileLock>, StoreError> {
    match disk.metadata(dir) {
        Ok(Some(_)) => {}
        Ok(None) if !autocreate => return Err(StoreError::MissingDir { role, dir: dir.into() }),
        Ok(None) => {
            make_durably(disk, dir, slow).map_err(|source| StoreError::CreateDir { role, dir: dir.into(), source })?;
        }
        Err(source) => return Err(StoreError::CreateDir { role, dir: dir.into(), source }),
    }
    let file = dir.join(LOCK_NAME);
    disk.lock(&file).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => StoreError::Locked { file },
        _ => StoreError::NotWritable { role, dir: dir.into(), source },
    })
}

/// Makes a folder and its parents, and the name of each that was missing durable.
fn make_durably(disk: &dyn Disk, dir: &Path, slow: &Slow) -> io::Result<()> {
    let mut missing = Vec::new();
    for ancestor in dir.ancestors() {
        if ancestor.as_os_str().is_empty() || disk.metadata(ancestor)?.is_some() {
            break;
        }
        missing.push(ancestor);
    }
    disk.create_dir_all(dir)?;
    for made in missing {
        // A relative path of one part has the parent "", which is the working directory.
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.sync_dir(parent, slow)?;
    }
    Ok(())
}

/// Shares a disk between the halves of a store.
pub(crate) type SharedDisk = Arc<dyn Disk>;

#[cfg(test)]
mod tests {
    use base::{Fault, MemDisk};

    use super::*;

    const SLOW: Slow = Slow::allowed();

    fn open(disk: &MemDisk, data: &str, log: &str, autocreate: bool) -> Result<DataDirs, StoreError> {
        DataDirs::open(disk, Path::new(data), Path::new(log), autocreate, &SLOW)
    }

    #[test]
    fn folders_are_made_durably_or_missed() {
        let disk = MemDisk::new();
        let error = open(&disk, "/zk/data", "/zk/data", false).unwrap_err();
        assert!(error.to_string().starts_with("Missing data directory /zk/data/version-2, automatic"), "{error}");
        drop(open(&disk, "/zk/data", "/zk/log", true).unwrap());
        disk.crash_losing_all();
        open(&disk, "/zk/data", "/zk/log", false).unwrap();
    }

    #[test]
    fn a_second_server_is_kept_out_until_the_first_is_gone() {
        let disk = MemDisk::new();
        let first = open(&disk, "/data", "/data", true).unwrap();
        assert!(matches!(open(&disk, "/data", "/log", true), Err(StoreError::Locked { .. })));
        drop(first);
        open(&disk, "/data", "/log", true).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told() {
        let disk = MemDisk::new();
        disk.inject("/data", Fault::Write);
        assert!(matches!(open(&disk, "/data", "/data", true), Err(StoreError::CreateDir { .. })));
        disk.heal();
        drop(open(&disk, "/data", "/data", true).unwrap());
        disk.remove_file(Path::new("/data/version-2/.jackdaw.lock"), &SLOW).unwrap();
        disk.inject("/data", Fault::Write);
        assert!(matches!(open(&disk, "/data", "/data", true), Err(StoreError::NotWritable { .. })));
    }

    #[test]
    fn folders_that_are_mixed_up_are_refused() {
        let disk = MemDisk::new();
        drop(open(&disk, "/data", "/log", true).unwrap());
        disk.open(Path::new("/data/version-2/log.1"), base::OpenMode::Create).unwrap();
        assert!(matches!(open(&disk, "/data", "/log", true), Err(StoreError::SnapDirHasLogs)));
        open(&disk, "/log", "/data", true).unwrap();
        disk.open(Path::new("/data/version-2/snapshot.0"), base::OpenMode::Create).unwrap();
        assert!(matches!(open(&disk, "/log", "/data", true), Err(StoreError::LogDirHasSnapshots)));
    }

    #[test]
    fn names_go_both_ways_and_others_are_passed_over() {
        for (name, meaning) in [
            ("log.100000001", FileName::Log(0x1_0000_0001)),
            ("snapshot.0", FileName::Snapshot(0, Compression::None)),
            ("snapshot.ff.gz", FileName::Snapshot(255, Compression::Gzip)),
            ("snapshot.ff.snappy", FileName::Snapshot(255, Compression::Snappy)),
        ] {
            assert_eq!(FileName::parse(name), Some(meaning));
            assert_eq!(meaning.to_string(), name);
        }
        for name in
            ["log", "log.", "log.1.tmp", "log.+1", "log.fffffffffffffffff", "snapshot.5.tmp", ".snapshot.5", "x.1"]
        {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_initialize_file_is_taken_once() {
        let disk = MemDisk::new();
        for (data_log_dir, file) in
            [("/data", "/data/initialize"), ("/log", "/log/initialize"), ("/log", "/data/initialize")]
        {
            let dirs = open(&disk, "/data", data_log_dir, true).unwrap();
            disk.open(Path::new(file), base::OpenMode::Create).unwrap();
            assert!(dirs.take_initialize(&disk, &SLOW).unwrap(), "{file}");
            assert!(!dirs.take_initialize(&disk, &SLOW).unwrap(), "{file}");
        }
    }
}
