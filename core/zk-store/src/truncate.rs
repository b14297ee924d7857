//! Cutting history back to a zxid, as a leader orders a learner that is ahead (upstream `FileTxnLog.truncate`).

use std::path::Path;

use base::{Disk, OpenMode, Slow};

use crate::dirs::{logs, logs_beyond, snapshots};
use crate::error::{Context, StoreError};
use crate::is_plausible_snapshot;
use crate::log_reader::LogReader;

/// Removes every transaction beyond `zxid`, and every snapshot that may hold one. Refused, with nothing changed, if no
/// snapshot is left to start from. A crash in between leaves what can be recovered and cut again. The log must be closed;
/// make a new [`crate::TxnLog`] after it, and recover the tree anew.
pub fn truncate(disk: &dyn Disk, log_dir: &Path, snap_dir: &Path, zxid: i64, slow: &Slow) -> Result<(), StoreError> {
    let mut later_snapshots = Vec::new();
    let mut has_base = false;
    for (snapshot, compression, path) in snapshots(disk, snap_dir)? {
        if snapshot > zxid {
            later_snapshots.push(path);
        } else if is_plausible_snapshot(disk, &path, compression)? {
            has_base = true;
            break;
        }
    }
    if !has_base {
        return Err(StoreError::CannotTruncate { zxid });
    }
    for path in &later_snapshots {
        disk.remove_file(path, slow).context("remove", path)?;
    }
    if !later_snapshots.is_empty() {
        disk.sync_dir(snap_dir, slow).context("sync", snap_dir)?;
    }
    let all = logs(disk, log_dir)?;
    // The newest first, so that what is left has no gap at any time.
    for (first, path) in logs_beyond(&all, zxid).iter().rev() {
        if *first > zxid {
            disk.remove_file(path, slow).context("remove", path)?;
            disk.sync_dir(log_dir, slow).context("sync", log_dir)?;
        } else {
            cut(disk, path, zxid, slow)?;
        }
    }
    Ok(())
}

/// Leaves nothing but the snapshot of `zxid`, which is there: what came before and what came behind is another server's
/// history from now on. Nothing is left to start from with a hole behind it.
pub fn start_from_snapshot(
    disk: &dyn Disk,
    log_dir: &Path,
    snap_dir: &Path,
    zxid: i64,
    slow: &Slow,
) -> Result<(), StoreError> {
    // The newest first, so that a crash leaves an end of the log without a gap at any time.
    for (_, path) in logs(disk, log_dir)?.iter().rev() {
        disk.remove_file(path, slow).context("remove", path)?;
        disk.sync_dir(log_dir, slow).context("sync", log_dir)?;
    }
    for (_, _, path) in snapshots(disk, snap_dir)?.iter().filter(|(other, ..)| *other != zxid) {
        disk.remove_file(path, slow).context("remove", path)?;
    }
    disk.sync_dir(snap_dir, slow).context("sync", snap_dir)
}

/// Cuts one file behind the last record up to `zxid`.
fn cut(disk: &dyn Disk, path: &Path, zxid: i64, slow: &Slow) -> Result<(), StoreError> {
    let mut reader = LogReader::open(disk, path)?;
    let position = loop {
        match reader.read_next()? {
            Ok(record) if record.zxid > zxid => break record.position,
            Ok(_) => {}
            Err(end) => break end.position(),
        }
    };
    let file = disk.open(path, OpenMode::Write).context("open", path)?;
    file.truncate(position, slow).context("cut", path)?;
    file.sync_data(slow).context("sync", path)
}
