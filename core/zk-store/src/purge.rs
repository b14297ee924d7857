//! Removing what is no longer needed (upstream `PurgeTxnLog`): `autopurge.*`, and the tool `zkCleanup`.

use std::path::{Path, PathBuf};

use base::{Disk, Slow};

use crate::dirs::{logs, logs_beyond, names, snapshots};
use crate::error::{Context, StoreError};
use crate::{FileName, is_plausible_snapshot};

/// Keeps the newest `retain` valid snapshots (upstream: at least 3) and every log that may hold a record beyond the oldest of
/// them, so that each kept snapshot can be recovered from; removes what is older. What was removed, in order.
pub fn purge(
    disk: &dyn Disk,
    log_dir: &Path,
    snap_dir: &Path,
    retain: usize,
    slow: &Slow,
) -> Result<Vec<PathBuf>, StoreError> {
    let mut kept = Vec::new();
    for (zxid, compression, path) in snapshots(disk, snap_dir)? {
        if kept.len() == retain {
            break;
        }
        if is_plausible_snapshot(disk, &path, compression)? {
            kept.push(zxid);
        }
    }
    let Some(&oldest) = kept.last() else { return Ok(Vec::new()) };
    let all = logs(disk, log_dir)?;
    let needed = logs_beyond(&all, oldest).first().map_or(oldest, |(zxid, _)| *zxid);
    let mut removed: Vec<PathBuf> =
        all.into_iter().filter(|(zxid, _)| *zxid < needed.min(oldest)).map(|(_, path)| path).collect();
    removed.extend(names(disk, snap_dir)?.iter().filter_map(|name| {
        // As the original, which sees through anything behind the number: also what its own crash left of one.
        let number = name.strip_suffix(".tmp").unwrap_or(name);
        match FileName::parse(number)? {
            FileName::Snapshot(zxid, _) if zxid < oldest => Some(snap_dir.join(name)),
            _ => None,
        }
    }));
    for path in &removed {
        disk.remove_file(path, slow).context("remove", path)?;
    }
    Ok(removed)
}
