//! Where a log's files are: the disk, the folder (which may be renamed), and the cache of index blocks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use base::{Disk, File, OpenMode, Slow};
use parking_lot::{Mutex, RwLock};

use crate::LogError;
use crate::partition::FileKind;

/// A log's folder. Shared by the log and its segments, so that renaming the folder is one change.
pub(crate) struct Home {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) cache: Arc<BlockCache>,
    dir: RwLock<PathBuf>,
    /// Held while a path is used, and for writing while the folder gets another name: a path that is out of date looks like a file
    /// that is lost. An event loop never meets a folder that is being renamed: its log is not used yet, or no more.
    naming: RwLock<()>,
}

impl Home {
    pub(crate) fn new(disk: Arc<dyn Disk>, cache: Arc<BlockCache>, dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { disk, cache, dir: RwLock::new(dir), naming: RwLock::new(()) })
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.read().clone()
    }

    /// Gives the folder another name in the same log directory.
    pub(crate) fn rename(&self, name: &str, slow: &Slow) -> Result<(), LogError> {
        let _alone = self.naming.write();
        let from = self.dir();
        let to = from.with_file_name(name);
        let renamed = self.disk.rename(&from, &to, slow);
        renamed.map_err(|error| LogError::storage("renaming", from, error))?;
        *self.dir.write() = to;
        Ok(())
    }

    /// Uses the folder's path, which stays true meanwhile. Not to be nested.
    pub(crate) fn with_dir<T>(&self, with: impl FnOnce(&Path) -> T) -> T {
        let _unchanged = self.naming.read();
        with(&self.dir())
    }

    /// Uses the path of a file in the folder, as [`Home::with_dir`] does.
    pub(crate) fn with_path<T>(&self, name: &str, with: impl FnOnce(PathBuf) -> T) -> T {
        self.with_dir(|dir| with(dir.join(name)))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.read().join(name)
    }

    pub(crate) fn open(&self, kind: FileKind, offset: i64, mode: OpenMode) -> Result<Arc<dyn File>, LogError> {
        self.with_path(&kind.name(offset), |path| {
            self.disk.open(&path, mode).map_err(|error| LogError::storage("opening", path, error))
        })
    }

    /// Names the file of an error.
    pub(crate) fn failed(&self, what: &'static str, kind: FileKind, offset: i64, error: std::io::Error) -> LogError {
        LogError::storage(what, self.path(&kind.name(offset)), error)
    }
}

/// A file that is opened when it is first used: 50,000 idle partitions open none.
pub(crate) struct LazyFile {
    kind: FileKind,
    offset: i64,
    file: OnceLock<Arc<dyn File>>,
}

impl LazyFile {
    pub(crate) const fn new(kind: FileKind, offset: i64) -> Self {
        Self { kind, offset, file: OnceLock::new() }
    }

    /// The file, which must exist: a reader that comes late must not make the file of a deleted segment anew.
    pub(crate) fn get(&self, home: &Home) -> Result<&Arc<dyn File>, LogError> {
        self.open(home, OpenMode::Write)
    }

    /// The file, if it was used before: [`LogError::Cold`] if not, since a device may have to be asked for it.
    pub(crate) fn get_opened(&self) -> Result<&Arc<dyn File>, LogError> {
        self.file.get().ok_or(LogError::Cold)
    }

    /// The file, made if it is not there.
    pub(crate) fn create(&self, home: &Home) -> Result<&Arc<dyn File>, LogError> {
        self.open(home, OpenMode::Create)
    }

    fn open(&self, home: &Home, mode: OpenMode) -> Result<&Arc<dyn File>, LogError> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = home.open(self.kind, self.offset, mode)?;
        Ok(self.file.get_or_init(|| file))
    }

    pub(crate) fn failed(&self, home: &Home, what: &'static str, error: std::io::Error) -> LogError {
        home.failed(what, self.kind, self.offset, error)
    }
}

/// Names one block of one index file, as it was at one time: an index that is truncated takes a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockKey {
    pub(crate) index: u64,
    pub(crate) block: u32,
}

/// Blocks of index files that were read lately, one for each slot: bounded, and without a list to keep in order.
pub(crate) struct BlockCache {
    slots: Box<[Mutex<Option<Block>>]>,
    indexes: AtomicU64,
}

type Block = (BlockKey, Arc<[u8]>);

impl BlockCache {
    /// Blocks are 4 KiB: this is 8 MiB when full.
    const SLOTS: usize = 2048;

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { slots: (0..Self::SLOTS).map(|_| Mutex::new(None)).collect(), indexes: AtomicU64::new(0) })
    }

    /// A number for an index that no other has.
    pub(crate) fn next_index(&self) -> u64 {
        self.indexes.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get(&self, key: BlockKey, len: usize) -> Option<Arc<[u8]>> {
        let slot = self.slot(key).lock();
        slot.as_ref().filter(|(held, bytes)| *held == key && bytes.len() >= len).map(|(_, bytes)| Arc::clone(bytes))
    }

    pub(crate) fn put(&self, key: BlockKey, bytes: Arc<[u8]>) {
        *self.slot(key).lock() = Some((key, bytes));
    }

    fn slot(&self, key: BlockKey) -> &Mutex<Option<Block>> {
        let mixed = (key.index << 20 ^ u64::from(key.block)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        self.slots.get(mixed as usize % Self::SLOTS).expect("the remainder is below the number of slots")
    }
}
