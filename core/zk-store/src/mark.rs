//! How far the current log file is known to be durable: it tells recovery what may be given up.
//!
//! After a crash a damaged record may have valid ones behind it, because a device persists unsynced sectors in any order.
//! Cutting there is right if none of them was synced and wrong if one was, and the log's format does not tell. So after each
//! sync the position is noted in a file of ours, without a sync of its own: it is never ahead of the log, and behind it only
//! by what the system had not written back. The two slots, each in a sector, are written in turn, so that one is whole after
//! any crash. The original passes over the file.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, File, OpenMode, Reader, Slow};
use bytes::{BufMut, Bytes, BytesMut};
use simd_adler32::adler32;

const NAME: &str = ".jackdaw.synced";

const SLOT_DISTANCE: u64 = 512;
const SLOT_LEN: usize = 20;

/// Writes the mark.
pub(crate) struct SyncedMark {
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    first_zxid: i64,
    slot: u64,
}

impl SyncedMark {
    pub(crate) fn new(log_dir: &Path) -> Self {
        Self { path: log_dir.join(NAME), file: None, first_zxid: 0, slot: 0 }
    }

    /// Notes, durably but for the file's name, that nothing of `log.<first_zxid>` is durable yet.
    pub(crate) fn start(&mut self, disk: &dyn Disk, first_zxid: i64, slow: &Slow) -> io::Result<()> {
        let file = disk.open(&self.path, OpenMode::Create)?;
        for slot in 0..2 {
            file.write_at(&[IoSlice::new(&slot_bytes(first_zxid, 0))], slot * SLOT_DISTANCE)?;
        }
        file.sync_data(slow)?;
        self.file = Some(file);
        self.first_zxid = first_zxid;
        Ok(())
    }

    /// Notes that the file is durable up to `position`. A failure leaves an older note, which is right too.
    pub(crate) fn set(&mut self, position: u64) {
        if let Some(file) = &self.file {
            let _ = file.write_at(&[IoSlice::new(&slot_bytes(self.first_zxid, position))], self.slot * SLOT_DISTANCE);
            self.slot = 1 - self.slot;
        }
    }
}

fn slot_bytes(first_zxid: i64, position: u64) -> Bytes {
    let mut slot = BytesMut::with_capacity(SLOT_LEN);
    slot.put_i64(first_zxid);
    slot.put_u64(position);
    slot.put_u32(adler32(&&slot[..]));
    slot.freeze()
}

/// The synced position of `log.<first_zxid>`, if the mark speaks of that file.
pub(crate) fn synced_position(disk: &dyn Disk, log_dir: &Path, first_zxid: i64) -> Option<u64> {
    let content = Bytes::from(disk.read(&log_dir.join(NAME), SLOT_DISTANCE * 2).ok()?);
    let slots = content.chunks(SLOT_DISTANCE as usize).filter_map(|slot| {
        let slot = content.slice_ref(slot.get(..SLOT_LEN)?);
        let mut reader = Reader::new(&slot);
        let (zxid, position) = (reader.i64().ok()?, reader.u64().ok()?);
        (zxid == first_zxid && slot == slot_bytes(zxid, position)).then_some(position)
    });
    slots.max()
}
