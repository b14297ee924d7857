//! A disk at whose every call another thread may go on.

use std::any::Any;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use base::{Disk, DiskEntry, File, FileLock, MemDisk, Metadata, OpenMode, Slow};
use shuttle::sync::atomic::{AtomicU64, Ordering};

/// Counts calls: each is a point where the order of threads may change. (A yield would be one at which it must.)
type Calls = Arc<AtomicU64>;

pub(crate) struct Yielding {
    disk: MemDisk,
    calls: Calls,
}

struct YieldingFile {
    file: Arc<dyn File>,
    calls: Calls,
}

impl Yielding {
    pub(crate) fn new(disk: &MemDisk) -> Self {
        Self { disk: disk.clone(), calls: Calls::default() }
    }
}

impl Disk for Yielding {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(YieldingFile { file, calls: Arc::clone(&self.calls) }))
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.metadata(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.create_dir_all(dir)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }

    fn rename(&self, from: &Path, to: &Path, slow: &Slow) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.rename(from, to, slow)
    }

    fn remove_file(&self, path: &Path, slow: &Slow) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.remove_file(path, slow)
    }

    fn remove_dir_all(&self, dir: &Path, slow: &Slow) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.remove_dir_all(dir, slow)
    }

    fn sync_dir(&self, dir: &Path, slow: &Slow) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.sync_dir(dir, slow)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.disk.lock(path)
    }

    fn sync_file_system(&self, path: &Path, slow: &Slow) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.disk.sync_file_system(path, slow)
    }
}

impl File for YieldingFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.file.read_at(buffer, position)
    }

    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.file.read_at_cached(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.file.write_at(slices, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.file.len()
    }

    fn next_data(&self, position: u64) -> io::Result<Option<u64>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.file.next_data(position)
    }

    fn truncate(&self, len: u64, slow: &Slow) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.file.truncate(len, slow)
    }

    fn sync_data(&self, slow: &Slow) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.file.sync_data(slow)
    }

    fn as_any(&self) -> &dyn Any {
        self.file.as_any()
    }
}
