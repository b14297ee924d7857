//! The disk as the core sees it, in two halves.
//!
//! *At once*: what meets the page cache only (`write_at`, `read_at`, `list`); any thread may call it.
//! *Slow*: what may wait for a device (`sync`, `rename`, `truncate`, `remove`); these take a [`Slow`], which exists only
//! on a disk thread of the host, in a tool, at start-up, or where the simulator says. So a state machine can't wait for a
//! disk by accident: it hands out a [`Job`] and is told later.

use std::any::Any;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Witness that the caller may wait for a device.
#[derive(Debug)]
pub struct Slow(());

impl Slow {
    /// For disk threads, start-up, tools and the simulator: places where nobody is kept waiting.
    pub const fn allowed() -> Self {
        Self(())
    }
}

/// How [`Disk::open`] treats a file that is there, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made if it does not exist.
    Create,
    /// For reading and writing; it must not exist.
    CreateNew,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Length in bytes.
    pub len: u64,
    /// Last change of the content, milliseconds since 1970.
    pub modified_ms: i64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskEntry {
    /// The name, without its folder. Names that are not UTF-8 are passed over by [`Disk::list`].
    pub name: String,
    /// What it names.
    pub metadata: Metadata,
}

/// A file system. Paths are absolute or relative to the process, as given in the configuration.
pub trait Disk: Send + Sync {
    /// Opens a file. The host may close the descriptor of an idle file and open it again: a handle is a name.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// What `path` names, or `None`.
    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>>;

    /// The names in a folder, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>>;

    /// Makes a folder and its parents; no error if it exists.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Free bytes on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Renames a file or folder, over an existing file if need be. Handles that are open follow their file.
    fn rename(&self, from: &Path, to: &Path, slow: &Slow) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path, slow: &Slow) -> io::Result<()>;

    /// Removes a folder and all in it.
    fn remove_dir_all(&self, dir: &Path, slow: &Slow) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path, slow: &Slow) -> io::Result<()>;

    /// Locks a file for this process until the guard is dropped or the process ends; the file is made if need be and stays.
    /// `WouldBlock` if it is locked already, by this process or by another. On the host a POSIX (`fcntl`) write lock, as
    /// the JVM's `FileChannel.tryLock` takes.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;

    /// Makes everything on the file system of `path` durable (`syncfs`): one call instead of thousands.
    fn sync_file_system(&self, path: &Path, slow: &Slow) -> io::Result<()>;

    /// Reads a whole file of at most `len_max` bytes.
    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = file.len()?;
        if len > len_max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is longer than {len_max} bytes", path.display()),
            ));
        }
        let mut content = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        let read = file.read_at(&mut content, 0)?;
        content.truncate(read);
        Ok(content)
    }

    /// As [`Disk::replace`], for content that only the owner of the process may read.
    fn replace_secret(&self, path: &Path, content: &[u8], slow: &Slow) -> io::Result<()> {
        self.replace(path, content, slow)
    }

    /// Replaces a file so that a crash leaves the old content or the new: write `<path>.tmp`, sync, rename, sync the folder.
    fn replace(&self, path: &Path, content: &[u8], slow: &Slow) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let file = self.open(&temporary, OpenMode::Create)?;
        file.truncate(0, slow)?;
        file.write_at(&[IoSlice::new(content)], 0)?;
        file.sync_data(slow)?;
        drop(file);
        self.rename(&temporary, path, slow)?;
        match path.parent() {
            Some(dir) => self.sync_dir(dir, slow),
            None => Ok(()),
        }
    }
}

/// Holds a file's lock; dropping it unlocks.
pub trait FileLock: Send + Sync + std::fmt::Debug {}

/// An open file. All positions are explicit, so a handle is shared freely.
pub trait File: Send + Sync {
    /// Reads at `position` until `buffer` is full or the file ends; how many bytes were read.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// As [`File::read_at`], but only what the page cache holds: `WouldBlock` if that is nothing.
    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all slices, one behind the other, at `position`. An error may leave a part written.
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Where, at `position` or behind it, bytes stand that may be other than zeros; `None` if there are none up to the
    /// end. A hole is passed over without being read (`SEEK_DATA`); where holes are not known, `position` itself.
    fn next_data(&self, position: u64) -> io::Result<Option<u64>>;

    /// Sets the length: cuts, or extends with zeros.
    fn truncate(&self, len: u64, slow: &Slow) -> io::Result<()>;

    /// Makes the content durable (`fdatasync`).
    fn sync_data(&self, slow: &Slow) -> io::Result<()>;

    /// The host's own type behind the handle, for `sendfile`.
    fn as_any(&self) -> &dyn Any;
}

/// What a job's step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Call again: there is more, and a step is kept short so that jobs share a disk thread.
    More,
    /// Finished; it has reported its outcome itself.
    Done,
}

/// Background work on the disk: flush, roll, retention, recovery. The host runs it on a disk thread, the simulator when
/// its schedule says.
pub trait Job: Send {
    /// Does a bounded piece of the work.
    fn step(&mut self, slow: &Slow) -> Next;
}

/// A job of one step.
pub fn once(work: impl FnOnce(&Slow) + Send + 'static) -> Box<dyn Job> {
    struct Once<F>(Option<F>);
    impl<F: FnOnce(&Slow) + Send> Job for Once<F> {
        fn step(&mut self, slow: &Slow) -> Next {
            if let Some(work) = self.0.take() {
                work(slow);
            }
            Next::Done
        }
    }
    Box::new(Once(Some(work)))
}
