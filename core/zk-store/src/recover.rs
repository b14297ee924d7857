//! Starting from what is on the disk (upstream `FileTxnSnapLog.restore`): the newest valid snapshot, then every logged
//! transaction beyond it, and a log that the next record can follow.
//!
//! What a crash may leave is put right: a torn end of the last log is cut off, an empty or half-written last log is removed
//! (the original stops on it). What no crash leaves is an error, with nothing changed: a damaged record, or a torn one that
//! was synced, or one behind which the log does not go on where it broke off.

use std::path::{Path, PathBuf};

use base::{Disk, OpenMode, Slow};
use zk_proto::TxnEntry;

use crate::dirs::{logs, logs_beyond, snapshots};
use crate::error::{Context, StoreError};
use crate::log::corrupt;
use crate::log_reader::{LogEnd, LogReader, LogRecord};
use crate::mark::synced_position;
use crate::snapshot_reader::SnapshotSink;
use crate::snapshot_writer::{SnapshotInfo, remove_temporary};
use crate::{is_plausible_snapshot, read_snapshot};

/// Takes in what is recovered: a snapshot, then transactions.
pub trait Recovered: SnapshotSink {
    /// A transaction behind the snapshot, in order. Those that the snapshot holds already in part come too: applying them
    /// again must do no harm. `payload_len` is the length of its encoded form in bytes. An error ends the recovery.
    fn txn(&mut self, entry: TxnEntry, payload_len: usize) -> Result<(), String>;
}

/// Something that a person may want to know about the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it deserves a warning, or is the ordinary course of things.
    pub warning: bool,
    /// The text.
    pub text: String,
}

/// What a recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The snapshot that was read; `None` if there was nothing at all, or a log alone that is trusted.
    pub snapshot: Option<SnapshotInfo>,
    /// The last transaction's zxid, or the snapshot's; 0 if there is nothing.
    pub last_zxid: i64,
    /// Transactions behind the snapshot.
    pub txns: u64,
    /// Bytes of their records.
    pub txn_bytes: u64,
    /// For the log.
    pub notes: Vec<Note>,
}

impl Recovery {
    fn note(&mut self, warning: bool, text: String) {
        self.notes.push(Note { warning, text });
    }
}

/// Recovers from the two folders (see [`crate::DataDirs`]) into `target`.
///
/// `trust_empty` is `zookeeper.snapshot.trust.empty`: a log without a snapshot is replayed into an empty tree.
pub fn recover(
    disk: &dyn Disk,
    log_dir: &Path,
    snap_dir: &Path,
    trust_empty: bool,
    target: &mut dyn Recovered,
    slow: &Slow,
) -> Result<Recovery, StoreError> {
    let mut recovery = Recovery::default();
    remove_temporary(disk, snap_dir, slow)?;
    let starts_from_known = load_snapshot(disk, snap_dir, trust_empty, target, &mut recovery)?;
    let all = logs(disk, log_dir)?;
    let refuse_txns = !starts_from_known && !trust_empty;
    let mut replay = Replay { disk, log_dir, target, recovery, refuse_txns, found: Vec::new() };
    for (first_zxid, path) in logs_beyond(&all, replay.recovery.last_zxid) {
        replay.file(*first_zxid, path)?;
    }
    replay.repair(slow)?;
    if !starts_from_known && replay.recovery.txns > 0 {
        let text = "No snapshot found, but there are log entries. This should only be allowed during upgrading.";
        replay.recovery.note(true, text.into());
    }
    Ok(replay.recovery)
}

/// Reads the newest snapshot that is whole; whether it is known what the log starts from. A damaged one of zxid 0 counts as
/// the empty tree that it stands for: the original writes it at its first start without a sync.
fn load_snapshot(
    disk: &dyn Disk,
    snap_dir: &Path,
    trust_empty: bool,
    target: &mut dyn Recovered,
    recovery: &mut Recovery,
) -> Result<bool, StoreError> {
    let mut invalid = None;
    for (zxid, compression, path) in snapshots(disk, snap_dir)? {
        let read = match is_plausible_snapshot(disk, &path, compression)? {
            true => read_snapshot(disk, &path, zxid, compression, target),
            false => Err(corrupt(&path, 0, "it does not end as a snapshot ends")),
        };
        match read {
            Ok(()) => {
                let file_len = disk.metadata(&path).context("read", &path)?.map_or(0, |metadata| metadata.len);
                recovery.note(false, format!("Reading snapshot {}", path.display()));
                recovery.snapshot = Some(SnapshotInfo { zxid, path, file_len });
                recovery.last_zxid = zxid;
                return Ok(true);
            }
            Err(error @ StoreError::Io { .. }) => return Err(error),
            Err(error) => {
                recovery.note(true, format!("problem reading snap file {}: {error}", path.display()));
                target.begin(0);
                invalid = Some(zxid);
            }
        }
    }
    match invalid {
        None => Ok(false),
        Some(0) => Ok(true),
        Some(_) if trust_empty => Ok(false),
        Some(_) => Err(StoreError::NoValidSnapshot { dir: snap_dir.into() }),
    }
}

/// One log file as it was found.
struct Found {
    path: PathBuf,
    first_zxid: i64,
    records: u64,
    end: LogEnd,
    file_len: u64,
}

struct Replay<'a> {
    disk: &'a dyn Disk,
    log_dir: &'a Path,
    target: &'a mut dyn Recovered,
    recovery: Recovery,
    /// There is no snapshot and the log alone is not trusted.
    refuse_txns: bool,
    found: Vec<Found>,
}

impl Replay<'_> {
    /// Reads one log file.
    fn file(&mut self, first_zxid: i64, path: &Path) -> Result<(), StoreError> {
        let mut reader = LogReader::open(self.disk, path)?;
        let mut records = 0;
        let end = loop {
            match reader.read_next()? {
                Ok(record) => {
                    if records == 0 {
                        self.check_joint(record.zxid)?;
                    }
                    records += 1;
                    self.record(path, &record)?;
                }
                Err(end) => break end,
            }
        };
        self.found.push(Found { path: path.into(), first_zxid, records, end, file_len: reader.file_len() });
        Ok(())
    }

    fn record(&mut self, path: &Path, record: &LogRecord) -> Result<(), StoreError> {
        let last = self.recovery.last_zxid;
        if record.zxid <= last {
            return Ok(());
        }
        if self.refuse_txns {
            return Err(StoreError::NoSnapshot);
        }
        if !follows(last, record.zxid) {
            let zxid = record.zxid;
            self.recovery
                .note(true, format!("{}: records between 0x{last:x} and 0x{zxid:x} are missing", path.display()));
        }
        let entry = record.decode(path)?;
        self.target.txn(entry, record.payload.len()).map_err(|reason| corrupt(path, record.position, reason))?;
        self.recovery.last_zxid = record.zxid;
        self.recovery.txns += 1;
        self.recovery.txn_bytes += record.payload.len() as u64;
        Ok(())
    }

    /// A torn file is followed by another: right only if that goes on where the torn one broke off, as after a restart.
    fn check_joint(&self, next_zxid: i64) -> Result<(), StoreError> {
        let last = self.recovery.last_zxid;
        match self.found.iter().rfind(|found| found.records > 0) {
            Some(Found { path, end: LogEnd::Torn(position), .. }) if !follows(last, next_zxid) => {
                Err(corrupt(path, *position, format!("the records between 0x{last:x} and 0x{next_zxid:x} are missing")))
            }
            _ => Ok(()),
        }
    }

    /// Cuts the last file to its records and removes those behind it, which have none. All are looked through before
    /// anything is changed.
    fn repair(&mut self, slow: &Slow) -> Result<(), StoreError> {
        let last = self.found.iter().rposition(|found| found.records > 0);
        let tail = self.found.split_off(last.unwrap_or(0));
        for found in &tail {
            self.check_tail(found)?;
        }
        for found in tail {
            let (path, position) = (&found.path, found.end.position());
            if found.records == 0 {
                self.recovery.note(true, format!("Removing {}: it holds no record", path.display()));
                self.disk.remove_file(path, slow).context("remove", path)?;
                self.disk.sync_dir(self.log_dir, slow).context("sync", self.log_dir)?;
            } else {
                let file = self.disk.open(path, OpenMode::Write).context("open", path)?;
                if position < found.file_len {
                    file.truncate(position, slow).context("cut", path)?;
                }
                // A process that was killed may have left records that no device has. Whoever is told of them now, a client
                // or a leader, relies on them.
                file.sync_data(slow).context("sync", path)?;
                self.disk.sync_dir(self.log_dir, slow).context("sync", self.log_dir)?;
                if position < found.file_len && matches!(found.end, LogEnd::Torn(_)) {
                    let text = format!(
                        "Cutting {} at byte {position}: its last record was not written to its end",
                        path.display()
                    );
                    self.recovery.note(true, text);
                }
            }
        }
        Ok(())
    }

    /// Refuses to cut a file where something is known to have been synced behind the cut, or where a record behind it is whole, unless it is
    /// known that nothing there was synced.
    fn check_tail(&mut self, found: &Found) -> Result<(), StoreError> {
        let position = found.end.position();
        let mut reader = LogReader::open(self.disk, &found.path)?;
        let synced = synced_position(self.disk, self.log_dir, found.first_zxid);
        let Some(record) = reader.find_record_behind(position, self.recovery.last_zxid)? else {
            // Who cuts history back leaves no byte there.
            return match synced {
                Some(synced) if synced > position && position < found.file_len => {
                    let reason = format!("it breaks off there, and was synced up to byte {synced}");
                    Err(corrupt(&found.path, position, reason))
                }
                _ => Ok(()),
            };
        };
        match synced {
            Some(synced) if synced <= position => {
                let (path, zxid) = (found.path.display(), record.zxid);
                self.recovery
                    .note(true, format!("{path}: giving up 0x{zxid:x}, never synced, behind the lost byte {position}"));
                Ok(())
            }
            _ => {
                let reason = format!("the record behind it, 0x{:x} at byte {}, is whole", record.zxid, record.position);
                Err(corrupt(&found.path, position, reason))
            }
        }
    }
}

/// Whether a log that holds all up to `last` may go on with `next`: without a gap in an epoch, anywhere in a later one.
fn follows(last: i64, next: i64) -> bool {
    last == 0 || next <= last + 1 || next >> 32 > last >> 32
}
