//! How far the current log file is known to be durable: a hint for recovery.
//!
//! After a crash a damaged record may have valid ones behind it, because a device persists unsynced sectors in any order.
//! Cutting there is right if none of them was synced and wrong if one was, and the log's format does not tell. So after each
//! sync the position is noted in a file of ours, without a sync of its own: it is never ahead of the log, and behind it only
//! by what the system had not written back. The original passes over the file.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adler2::adler32_slice;
use base::{Disk, File, OpenMode, Reader};
use bytes::{BufMut, Bytes, BytesMut};

const NAME: &str = ".jackdaw.synced";

/// Writes the mark.
pub(crate) struct SyncedMark {
    path: PathBuf,
    file: Option<Arc<dyn File>>,
}

impl SyncedMark {
    pub(crate) fn new(log_dir: &Path) -> Self {
        Self { path: log_dir.join(NAME), file: None }
    }

    /// Notes that `log.<first_zxid>` is durable up to `position`. It is a hint: a failure is no failure of the log.
    pub(crate) fn set(&mut self, disk: &dyn Disk, first_zxid: i64, position: u64) {
        if self.file.is_none() {
            self.file = disk.open(&self.path, OpenMode::Create).ok();
        }
        let mut content = BytesMut::new();
        content.put_i64(first_zxid);
        content.put_u64(position);
        content.put_u32(adler32_slice(&content));
        if let Some(file) = &self.file
            && file.write_at(&[IoSlice::new(&content)], 0).is_err()
        {
            self.file = None;
        }
    }
}

/// The synced position of `log.<first_zxid>`, if the mark speaks of that file.
pub(crate) fn synced_position(disk: &dyn Disk, log_dir: &Path, first_zxid: i64) -> Option<u64> {
    let content = Bytes::from(disk.read(&log_dir.join(NAME), 20).ok()?);
    let mut reader = Reader::new(&content);
    let (zxid, position, checksum) = (reader.i64().ok()?, reader.u64().ok()?, reader.u32().ok()?);
    (zxid == first_zxid && checksum == adler32_slice(content.get(..16)?)).then_some(position)
}
