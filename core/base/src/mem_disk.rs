//! A disk in memory that crashes: what tests and the simulator run on.
//!
//! It keeps what is durable apart from what is merely written. [`MemDisk::crash`] goes back to the durable state plus
//! whatever the seed says had reached the device by chance: a file's unsynced bytes survive whole, not at all, up to
//! some byte, or sector by sector; unsynced names survive in the order in which they were made, up to some point, as in
//! a journalling file system. After a failed sync the unsynced bytes can still be read but never become durable, as on
//! Linux: a later sync that succeeds says nothing about them.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Disk, DiskEntry, File, FileLock, Metadata, OpenMode, Random, Slow};

const PAGE_LEN: u64 = 4096;
const SECTOR_LEN: u64 = 512;

/// A kind of call that is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Reading a file.
    Read,
    /// Writing, truncating, making, renaming and removing.
    Write,
    /// `sync_data`, `sync_dir` and `sync_file_system`; what was not durable by then never is.
    Sync,
    /// Making a folder and shortening a file, for want of room: that takes no bytes, but file systems may need some for it.
    NoRoom,
}

/// One call of the half that may wait for a device, as [`MemDisk::take_slow_calls`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the calls of Disk and File, with their arguments")]
pub enum SlowCall {
    SyncData(PathBuf),
    SyncDir(PathBuf),
    SyncFileSystem(PathBuf),
    Rename(PathBuf, PathBuf),
    RemoveFile(PathBuf),
    RemoveDirAll(PathBuf),
    Truncate(PathBuf, u64),
}

/// The disk. Clones share it. Sparse: a hole costs no memory.
#[derive(Clone, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Raised by each crash: handles and locks of before are dead.
    generation: u64,
    names: Names,
    durable: Names,
    /// Name changes that are in `names` and not yet in `durable`, oldest first.
    pending: Vec<NameChange>,
    locks: Vec<PathBuf>,
    /// Bytes that may still be written; `None` for no limit.
    free: Option<u64>,
    faults: Vec<(PathBuf, Fault)>,
    /// Changing calls until the power goes off.
    calls_left: Option<u64>,
    slow_calls: Option<Vec<SlowCall>>,
    wall_ms: i64,
}

/// The error of a call while the power is off.
#[derive(Debug, thiserror::Error)]
#[error("the power is off")]
struct PowerOff;

type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone)]
enum Node {
    Dir,
    File(Arc<Mutex<Content>>),
}

#[derive(Clone)]
enum NameChange {
    Made(PathBuf, Node),
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf),
}

type Page = [u8; PAGE_LEN as usize];

/// A file's bytes. A page that is absent is all zeros.
#[derive(Default)]
struct Content {
    pages: BTreeMap<u64, Box<Page>>,
    len: u64,
    durable_len: u64,
    /// Pages changed since the last sync, as they are on the device.
    unsynced: BTreeMap<u64, Option<Box<Page>>>,
    /// Pages that a failed sync gave up, as they are on the device.
    given_up: BTreeMap<u64, Option<Box<Page>>>,
    /// The length was cut since the last sync.
    was_cut: bool,
    /// Pages that are not in the page cache.
    evicted: BTreeSet<u64>,
    modified_ms: i64,
}

impl MemDisk {
    /// An empty disk: only the root folder, no limit, no faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops the page cache: reads that must not wait find nothing until the bytes were read by others, or written anew.
    pub fn evict(&self) {
        for node in self.0.lock().names.values() {
            if let Node::File(content) = node {
                let mut content = content.lock();
                content.evicted = content.pages.keys().copied().collect();
            }
        }
    }

    /// Loses power: what was not synced survives as `random` says. Locks are released, open handles are dead (each call
    /// fails), faults and limits stay.
    pub fn crash(&self, random: &mut Random) {
        let mut state = self.0.lock();
        state.generation += 1;
        state.locks.clear();
        state.calls_left = None;
        let pending = std::mem::take(&mut state.pending);
        let survive = usize::try_from(random.below(pending.len() as u64 + 1)).unwrap_or(pending.len());
        for change in pending.iter().take(survive) {
            change.apply(&mut state.durable);
        }
        state.forget_unsynced_names();
        for node in state.names.values() {
            if let Node::File(content) = node {
                content.lock().crash(random);
            }
        }
    }

    /// Loses power in the worst way: nothing survives that was not synced.
    pub fn crash_losing_all(&self) {
        let mut state = self.0.lock();
        state.generation += 1;
        state.locks.clear();
        state.calls_left = None;
        state.forget_unsynced_names();
        for node in state.names.values() {
            if let Node::File(content) = node {
                let mut content = content.lock();
                content.revert_from(0);
                content.settle(|content| content.durable_len);
            }
        }
    }

    /// Kills the process, not the machine: all that was written stays readable and unsynced; handles and locks are dead.
    pub fn kill(&self) {
        let mut state = self.0.lock();
        state.generation += 1;
        state.locks.clear();
    }

    /// From now on `bytes` more can be written, then a write stops short with `StorageFull`. `None` lifts the limit.
    /// Overwriting counts too; removing gives nothing back.
    pub fn set_free_bytes(&self, bytes: Option<u64>) {
        self.0.lock().free = bytes;
    }

    /// Lets all calls of one kind fail for what lies under `prefix`, until [`MemDisk::heal`].
    pub fn inject(&self, prefix: impl Into<PathBuf>, fault: Fault) {
        self.0.lock().faults.push((prefix.into(), fault));
    }

    /// Lets the power go off after `calls` more calls that write, change names or sync: all such calls fail from then on and
    /// change nothing, until [`MemDisk::crash`] decides what had reached the device. So a test stops at each step in turn.
    pub fn power_off_after(&self, calls: u64) {
        self.0.lock().calls_left = Some(calls);
    }

    /// Takes back all injected faults.
    pub fn heal(&self) {
        self.0.lock().faults.clear();
    }

    /// Sets the time that files written from now on are stamped with, milliseconds since 1970.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.0.lock().wall_ms = wall_ms;
    }

    /// The calls that may have waited for a device since the last time; the first call starts the recording.
    pub fn take_slow_calls(&self) -> Vec<SlowCall> {
        self.0.lock().slow_calls.replace(Vec::new()).unwrap_or_default()
    }

    /// Flips the bits of `mask` in one stored byte, durably, behind everyone's back: bit rot.
    pub fn rot(&self, path: &Path, position: u64, mask: u8) -> io::Result<()> {
        let state = self.0.lock();
        let mut content = state.file(path)?.lock();
        if position >= content.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (index, at) = split(position);
        let page = content.pages.entry(index).or_insert_with(|| Box::new([0; PAGE_LEN as usize]));
        if let Some(byte) = page.get_mut(at) {
            *byte ^= mask;
        }
        Ok(())
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        let content = match state.names.get(path) {
            Some(Node::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) if mode == OpenMode::CreateNew => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(Node::File(content)) => content.clone(),
            None if matches!(mode, OpenMode::Read | OpenMode::Write) => return Err(not_found(path)),
            None => {
                state.check(path, Fault::Write)?;
                state.parent_is_dir(path)?;
                let content = Arc::new(Mutex::new(Content { modified_ms: state.wall_ms, ..Content::default() }));
                state.change(NameChange::Made(path.into(), Node::File(content.clone())));
                content
            }
        };
        let generation = state.generation;
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(MemFile { disk: self.clone(), generation, path: path.into(), content, writable }))
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let state = self.0.lock();
        if is_root(path) {
            return Ok(Some(Node::Dir.metadata()));
        }
        Ok(state.names.get(path).map(Node::metadata))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>> {
        let mut state = self.0.lock();
        state.check(dir, Fault::Read)?;
        state.is_dir(dir)?;
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, node): (&PathBuf, &Node)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some(DiskEntry { name, metadata: node.metadata() })
        };
        Ok(inside.filter_map(entry).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.check(dir, Fault::Write)?;
        let mut missing: Vec<&Path> = Vec::new();
        for ancestor in dir.ancestors().take_while(|path| !is_root(path)) {
            match state.names.get(ancestor) {
                Some(Node::Dir) => break,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => missing.push(ancestor),
            }
        }
        if !missing.is_empty() && state.has_fault(dir, Fault::NoRoom) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        for path in missing.into_iter().rev() {
            state.change(NameChange::Made(path.into(), Node::Dir));
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.0.lock().free.unwrap_or(u64::MAX))
    }

    fn rename(&self, from: &Path, to: &Path, _slow: &Slow) -> io::Result<()> {
        let mut state = self.0.lock();
        state.record(|| SlowCall::Rename(from.into(), to.into()));
        state.check(from, Fault::Write)?;
        state.parent_is_dir(to)?;
        let is_dir = matches!(state.names.get(from).ok_or_else(|| not_found(from))?, Node::Dir);
        match state.names.get(to) {
            Some(Node::Dir) => return Err(io::ErrorKind::AlreadyExists.into()),
            Some(Node::File(_)) if is_dir => return Err(io::ErrorKind::NotADirectory.into()),
            _ => state.change(NameChange::Renamed(from.into(), to.into())),
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path, _slow: &Slow) -> io::Result<()> {
        let mut state = self.0.lock();
        state.record(|| SlowCall::RemoveFile(path.into()));
        state.check(path, Fault::Write)?;
        state.file(path)?;
        state.change(NameChange::Removed(path.into()));
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path, _slow: &Slow) -> io::Result<()> {
        let mut state = self.0.lock();
        state.record(|| SlowCall::RemoveDirAll(dir.into()));
        state.check(dir, Fault::Write)?;
        state.is_dir(dir)?;
        let inside: Vec<PathBuf> = state.names.keys().filter(|path| path.starts_with(dir)).cloned().collect();
        // Children first, so that a crash in between leaves no orphan.
        for path in inside.into_iter().rev() {
            state.change(NameChange::Removed(path));
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path, _slow: &Slow) -> io::Result<()> {
        let mut state = self.0.lock();
        state.record(|| SlowCall::SyncDir(dir.into()));
        state.is_dir(dir)?;
        let failed = state.check(dir, Fault::Sync);
        if is_power_off(&failed) {
            return failed;
        }
        let (synced, pending) = std::mem::take(&mut state.pending).into_iter().partition(|change| change.touches(dir));
        state.pending = pending;
        if failed.is_ok() {
            let synced: Vec<NameChange> = synced;
            for change in &synced {
                change.apply(&mut state.durable);
            }
        }
        failed
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.open(path, OpenMode::Create)?;
        let mut state = self.0.lock();
        if state.locks.iter().any(|locked| locked == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locks.push(path.into());
        Ok(Box::new(MemLock { disk: self.clone(), generation: state.generation, path: path.into() }))
    }

    fn sync_file_system(&self, path: &Path, _slow: &Slow) -> io::Result<()> {
        let mut state = self.0.lock();
        state.record(|| SlowCall::SyncFileSystem(path.into()));
        let failed = state.check(path, Fault::Sync);
        if is_power_off(&failed) {
            return failed;
        }
        for node in state.names.values() {
            if let Node::File(content) = node {
                content.lock().synced(failed.is_ok());
            }
        }
        state.pending.clear();
        if failed.is_ok() {
            state.durable = state.names.clone();
        }
        failed
    }
}

impl State {
    fn check(&mut self, path: &Path, kind: Fault) -> io::Result<()> {
        if kind != Fault::Read && self.calls_left == Some(0) {
            return Err(io::Error::other(PowerOff));
        }
        if kind != Fault::Read {
            self.calls_left = self.calls_left.map(|calls| calls - 1);
        }
        match self.has_fault(path, kind) {
            true => Err(io::Error::other(format!("injected fault {kind:?} at {}", path.display()))),
            false => Ok(()),
        }
    }

    fn has_fault(&self, path: &Path, kind: Fault) -> bool {
        self.faults.iter().any(|(prefix, fault)| *fault == kind && path.starts_with(prefix))
    }

    fn record(&mut self, call: impl FnOnce() -> SlowCall) {
        if let Some(calls) = &mut self.slow_calls {
            calls.push(call());
        }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    /// Goes back to the durable names. What lies in a folder whose own name was lost is lost with it.
    fn forget_unsynced_names(&mut self) {
        self.pending.clear();
        let durable = std::mem::take(&mut self.durable);
        for (path, node) in durable {
            if path.parent().is_none_or(|dir| is_root(dir) || self.durable.contains_key(dir)) {
                self.durable.insert(path, node);
            }
        }
        self.names = self.durable.clone();
    }

    fn file(&self, path: &Path) -> io::Result<&Arc<Mutex<Content>>> {
        match self.names.get(path) {
            Some(Node::File(content)) => Ok(content),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    fn is_dir(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None if is_root(path) => Ok(()),
            None => Err(not_found(path)),
        }
    }

    fn parent_is_dir(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), |parent| self.is_dir(parent))
    }
}

impl Node {
    fn metadata(&self) -> Metadata {
        match self {
            Self::Dir => Metadata { len: 0, modified_ms: 0, is_dir: true },
            Self::File(content) => {
                let content = content.lock();
                Metadata { len: content.len, modified_ms: content.modified_ms, is_dir: false }
            }
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Made(path, node) => {
                names.insert(path.clone(), node.clone());
            }
            Self::Removed(path) => names.retain(|inside, _| !inside.starts_with(path)),
            Self::Renamed(from, to) => {
                let moved: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(from)).cloned().collect();
                for path in moved {
                    let inside = path.strip_prefix(from).map(Path::to_path_buf).unwrap_or_default();
                    let target = if inside.as_os_str().is_empty() { to.clone() } else { to.join(inside) };
                    if let Some(node) = names.remove(&path) {
                        names.insert(target, node);
                    }
                }
            }
        }
    }

    fn touches(&self, dir: &Path) -> bool {
        match self {
            Self::Made(path, _) | Self::Removed(path) => path.parent() == Some(dir),
            Self::Renamed(from, to) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }
}

impl Content {
    fn read(&self, buffer: &mut [u8], position: u64) -> usize {
        let len = buffer.len().min(usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < len {
            let (index, at) = split(position + done as u64);
            let step = (PAGE_LEN as usize - at).min(len - done);
            if let Some(target) = buffer.get_mut(done..done + step) {
                match self.pages.get(&index).and_then(|page| page.get(at..at + step)) {
                    Some(source) => target.copy_from_slice(source),
                    None => target.fill(0),
                }
            }
            done += step;
        }
        len
    }

    /// Bytes from `position` on that are in the page cache, at most `len`.
    fn cached(&self, position: u64, len: usize) -> usize {
        let first = split(position).0;
        match self.evicted.range(first..).next() {
            Some(gone) => len.min(usize::try_from((gone * PAGE_LEN).saturating_sub(position)).unwrap_or(usize::MAX)),
            None => len,
        }
    }

    /// Brings the pages of a range into the page cache.
    fn load(&mut self, position: u64, len: usize) {
        let (first, behind) = (split(position).0, split(position + len as u64 + PAGE_LEN - 1).0);
        self.evicted.retain(|page| !(first..behind).contains(page));
    }

    fn next_data(&self, position: u64) -> Option<u64> {
        let (index, _) = self.pages.range(split(position).0..).next()?;
        Some(position.max(index * PAGE_LEN)).filter(|found| *found < self.len)
    }

    fn write(&mut self, bytes: &[u8], position: u64) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (index, at) = split(position + (bytes.len() - rest.len()) as u64);
            let (now, later) = rest.split_at(rest.len().min(PAGE_LEN as usize - at));
            if let Some(target) = self.page_to_change(index).get_mut(at..at + now.len()) {
                target.copy_from_slice(now);
            }
            rest = later;
        }
        if !bytes.is_empty() {
            self.len = self.len.max(position + bytes.len() as u64);
        }
    }

    fn truncate(&mut self, len: u64) {
        if len < self.len {
            self.was_cut = true;
            let (index, at) = split(len);
            if at > 0 && self.pages.contains_key(&index) {
                self.page_to_change(index).iter_mut().skip(at).for_each(|byte| *byte = 0);
            }
            for (index, page) in self.pages.split_off(&len.div_ceil(PAGE_LEN)) {
                let before = self.given_up.remove(&index).unwrap_or(Some(page));
                self.unsynced.entry(index).or_insert(before);
            }
        }
        self.len = len;
    }

    /// The page for changing, its durable version kept.
    fn page_to_change(&mut self, index: u64) -> &mut Page {
        self.evicted.remove(&index);
        if !self.unsynced.contains_key(&index) {
            let before = self.given_up.remove(&index).unwrap_or_else(|| self.pages.get(&index).cloned());
            self.unsynced.insert(index, before);
        }
        self.pages.entry(index).or_insert_with(|| Box::new([0; PAGE_LEN as usize]))
    }

    fn synced(&mut self, success: bool) {
        if success {
            self.unsynced.clear();
            self.durable_len = self.len;
        } else {
            let unsynced = std::mem::take(&mut self.unsynced);
            self.given_up.extend(unsynced);
        }
        self.was_cut = false;
    }

    fn crash(&mut self, random: &mut Random) {
        // Lost whole or kept whole; a cut is never half done.
        let choices = if self.was_cut { 2 } else { 4 };
        match random.below(choices) {
            0 => {
                self.revert_from(0);
                self.settle(|content| content.durable_len);
            }
            1 => self.settle(|content| content.len),
            2 => {
                let first = self.unsynced.keys().next().map_or(0, |index| index * PAGE_LEN);
                let end = self.unsynced.keys().next_back().map_or(0, |index| (index + 1) * PAGE_LEN).min(self.len);
                let cut = first + random.below(end.saturating_sub(first) + 1);
                let keeps_len = random.below(2) == 0;
                self.revert_from(cut);
                let len = if keeps_len { self.len } else { cut.clamp(self.durable_len.min(self.len), self.len) };
                self.settle(|_| len);
            }
            _ => {
                for index in self.unsynced.keys().copied().collect::<Vec<_>>() {
                    for sector in (0..PAGE_LEN).step_by(SECTOR_LEN as usize) {
                        if random.below(2) == 0 {
                            self.revert(index, sector as usize, (sector + SECTOR_LEN) as usize);
                        }
                    }
                }
                let keeps_len = random.below(2) == 0;
                self.settle(|content| if keeps_len { content.len } else { content.durable_len.min(content.len) });
            }
        }
    }

    /// Puts the durable version back into all unsynced bytes from `position` on.
    fn revert_from(&mut self, position: u64) {
        for index in self.unsynced.keys().copied().collect::<Vec<_>>() {
            let start = position.saturating_sub(index * PAGE_LEN).min(PAGE_LEN);
            self.revert(index, start as usize, PAGE_LEN as usize);
        }
    }

    fn revert(&mut self, index: u64, start: usize, end: usize) {
        let before = self.unsynced.get(&index).and_then(Option::as_ref);
        let page = self.pages.entry(index).or_insert_with(|| Box::new([0; PAGE_LEN as usize]));
        if let Some(target) = page.get_mut(start..end) {
            match before.and_then(|before| before.get(start..end)) {
                Some(source) => target.copy_from_slice(source),
                None => target.fill(0),
            }
        }
    }

    /// What is there now is on the device, at the length given; what a failed sync gave up is not.
    fn settle(&mut self, len: impl FnOnce(&Self) -> u64) {
        for (index, before) in std::mem::take(&mut self.given_up) {
            match before {
                Some(before) => self.pages.insert(index, before),
                None => self.pages.remove(&index),
            };
        }
        let len = len(self);
        self.truncate(len);
        self.synced(true);
    }
}

struct MemFile {
    disk: MemDisk,
    generation: u64,
    path: PathBuf,
    content: Arc<Mutex<Content>>,
    writable: bool,
}

impl MemFile {
    /// The disk's state, unless this handle died in a crash or the kind of call is to fail.
    fn begin(&self, kind: Fault) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.disk.0.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("a handle from before the crash"));
        }
        if kind == Fault::Write && !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        state.check(&self.path, kind)?;
        Ok(state)
    }
}

impl File for MemFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let _state = self.begin(Fault::Read)?;
        let mut content = self.content.lock();
        content.load(position, buffer.len());
        Ok(content.read(buffer, position))
    }

    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let _state = self.begin(Fault::Read)?;
        let content = self.content.lock();
        match content.cached(position, buffer.len()) {
            0 if !buffer.is_empty() && position < content.len => Err(io::ErrorKind::WouldBlock.into()),
            cached => Ok(content.read(buffer.get_mut(..cached).unwrap_or_default(), position)),
        }
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut state = self.begin(Fault::Write)?;
        let mut content = self.content.lock();
        content.modified_ms = state.wall_ms;
        let mut position = position;
        for slice in slices {
            let allowed =
                state.free.map_or(slice.len(), |free| slice.len().min(usize::try_from(free).unwrap_or(usize::MAX)));
            content.write(slice.get(..allowed).unwrap_or_default(), position);
            state.free = state.free.map(|free| free - allowed as u64);
            position += allowed as u64;
            if allowed < slice.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let _state = self.begin(Fault::Read)?;
        Ok(self.content.lock().len)
    }

    fn next_data(&self, position: u64) -> io::Result<Option<u64>> {
        let _state = self.begin(Fault::Read)?;
        Ok(self.content.lock().next_data(position))
    }

    fn truncate(&self, len: u64, _slow: &Slow) -> io::Result<()> {
        let mut state = self.begin(Fault::Write)?;
        state.record(|| SlowCall::Truncate(self.path.clone(), len));
        let mut content = self.content.lock();
        if len < content.len && state.has_fault(&self.path, Fault::NoRoom) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.truncate(len);
        Ok(())
    }

    fn sync_data(&self, _slow: &Slow) -> io::Result<()> {
        self.disk.0.lock().record(|| SlowCall::SyncData(self.path.clone()));
        let failed = self.begin(Fault::Sync).map(drop);
        if !is_power_off(&failed) {
            self.content.lock().synced(failed.is_ok());
        }
        failed
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct MemLock {
    disk: MemDisk,
    generation: u64,
    path: PathBuf,
}

impl FileLock for MemLock {}

impl std::fmt::Debug for MemLock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "MemLock({})", self.path.display())
    }
}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        if state.generation == self.generation {
            state.locks.retain(|locked| *locked != self.path);
        }
    }
}

fn is_power_off(result: &io::Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.get_ref().is_some_and(|inner| inner.is::<PowerOff>()))
}

fn split(position: u64) -> (u64, usize) {
    (position / PAGE_LEN, (position % PAGE_LEN) as usize)
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.parent().is_none()
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Slow = Slow::allowed();

    fn write(disk: &MemDisk, path: &str, content: &[u8]) -> Arc<dyn File> {
        let file = disk.open(Path::new(path), OpenMode::Create).unwrap();
        file.write_at(&[IoSlice::new(content)], 0).unwrap();
        file
    }

    fn content(disk: &MemDisk, path: &str) -> Option<Vec<u8>> {
        disk.read(Path::new(path), u64::MAX).ok()
    }

    #[test]
    fn what_is_synced_survives_and_what_is_not_may_be_lost() {
        let disk = MemDisk::new();
        write(&disk, "/kept", b"kept").sync_data(&SLOW).unwrap();
        write(&disk, "/named", b"bytes never synced");
        disk.sync_dir(Path::new("/"), &SLOW).unwrap();
        write(&disk, "/unnamed", b"synced, but its name is not").sync_data(&SLOW).unwrap();
        disk.crash_losing_all();
        assert_eq!(content(&disk, "/kept").unwrap(), b"kept");
        assert_eq!(content(&disk, "/named").unwrap(), b"");
        assert_eq!(content(&disk, "/unnamed"), None);
    }

    #[test]
    fn a_crash_tears_in_every_way_and_only_behind_what_is_durable() {
        let (old, new) = (vec![1_u8; 3000], vec![2_u8; 9000]);
        let (mut lost, mut kept, mut cut, mut scattered) = (false, false, false, false);
        for seed in 0..200 {
            let disk = MemDisk::new();
            let file = write(&disk, "/log", &old);
            file.sync_data(&SLOW).unwrap();
            disk.sync_dir(Path::new("/"), &SLOW).unwrap();
            file.write_at(&[IoSlice::new(&new)], 3000).unwrap();
            disk.crash(&mut Random::from_seed(seed));
            let found = content(&disk, "/log").unwrap();
            let (head, tail) = found.split_at(3000);
            assert_eq!(head, old);
            lost |= tail.is_empty();
            kept |= tail == new;
            let survived = tail.iter().filter(|byte| **byte == 2).count();
            cut |= !tail.is_empty() && survived == tail.len() && survived < 9000;
            scattered |= tail.iter().position(|byte| *byte == 0) < tail.iter().rposition(|byte| *byte == 2);
            assert_eq!(
                content(&disk, "/log"),
                {
                    disk.crash_losing_all();
                    content(&disk, "/log")
                },
                "a crash settles"
            );
        }
        assert!(lost && kept && cut && scattered);
    }

    #[test]
    fn holes_are_passed_over() {
        let disk = MemDisk::new();
        let file = write(&disk, "/sparse", b"head");
        file.write_at(&[IoSlice::new(b"x")], 10 * PAGE_LEN + 5).unwrap();
        file.truncate(20 * PAGE_LEN, &SLOW).unwrap();
        assert_eq!(file.next_data(2).unwrap(), Some(2));
        assert_eq!(file.next_data(PAGE_LEN).unwrap(), Some(10 * PAGE_LEN));
        assert_eq!(file.next_data(10 * PAGE_LEN + 6).unwrap(), Some(10 * PAGE_LEN + 6), "told by the page");
        assert_eq!(file.next_data(11 * PAGE_LEN).unwrap(), None);
        file.truncate(3, &SLOW).unwrap();
        assert_eq!(file.next_data(3).unwrap(), None);
    }

    #[test]
    fn an_unsynced_rename_or_cut_happens_wholly_or_not() {
        let (mut old, mut new) = (false, false);
        for seed in 0..50 {
            let disk = MemDisk::new();
            disk.replace(Path::new("/epoch"), b"1", &SLOW).unwrap();
            write(&disk, "/epoch.tmp", b"2").sync_data(&SLOW).unwrap();
            disk.rename(Path::new("/epoch.tmp"), Path::new("/epoch"), &SLOW).unwrap();
            disk.crash(&mut Random::from_seed(seed));
            match &*content(&disk, "/epoch").unwrap() {
                b"1" => old = true,
                b"2" => new = true,
                other => panic!("{other:?}"),
            }
            let file = disk.open(Path::new("/epoch"), OpenMode::Write).unwrap();
            file.write_at(&[IoSlice::new(&[7; 10_000])], 0).unwrap();
            file.sync_data(&SLOW).unwrap();
            file.truncate(5000, &SLOW).unwrap();
            disk.crash(&mut Random::from_seed(seed));
            assert!([vec![7; 10_000], vec![7; 5000]].contains(&content(&disk, "/epoch").unwrap()));
        }
        assert!(old && new);
    }

    #[test]
    fn a_failed_sync_is_never_made_good_by_a_later_one() {
        let disk = MemDisk::new();
        let file = write(&disk, "/log", b"one");
        file.sync_data(&SLOW).unwrap();
        disk.sync_dir(Path::new("/"), &SLOW).unwrap();
        file.write_at(&[IoSlice::new(b"two")], 0).unwrap();
        disk.inject("/", Fault::Sync);
        assert!(file.sync_data(&SLOW).is_err());
        disk.heal();
        file.sync_data(&SLOW).unwrap();
        assert_eq!(content(&disk, "/log").unwrap(), b"two");
        disk.crash_losing_all();
        assert_eq!(content(&disk, "/log").unwrap(), b"one");
    }

    #[test]
    fn the_power_goes_off_at_a_step() {
        let disk = MemDisk::new();
        let file = write(&disk, "/log", b"one");
        disk.power_off_after(2);
        file.sync_data(&SLOW).unwrap();
        disk.sync_dir(Path::new("/"), &SLOW).unwrap();
        assert!(file.write_at(&[IoSlice::new(b"two")], 0).is_err());
        assert!(file.sync_data(&SLOW).is_err());
        assert_eq!(content(&disk, "/log").unwrap(), b"one");
        disk.crash(&mut Random::from_seed(1));
        write(&disk, "/log", b"two");
    }

    #[test]
    fn a_full_disk_cuts_a_write_short() {
        let disk = MemDisk::new();
        let file = write(&disk, "/log", b"");
        disk.set_free_bytes(Some(5));
        let slices = [IoSlice::new(b"abc"), IoSlice::new(b"def")];
        assert_eq!(file.write_at(&slices, 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(content(&disk, "/log").unwrap(), b"abcde");
        assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 0);
        disk.set_free_bytes(None);
        file.write_at(&slices, 0).unwrap();
    }

    #[test]
    fn holes_read_as_zeros_and_cost_nothing() {
        let disk = MemDisk::new();
        let file = write(&disk, "/log", b"head");
        file.write_at(&[IoSlice::new(&[0])], (64 << 20) - 1).unwrap();
        let mut buffer = [9; 6];
        assert_eq!(file.read_at(&mut buffer, 2).unwrap(), 6);
        assert_eq!(&buffer, b"ad\0\0\0\0");
        assert_eq!(file.read_at(&mut buffer, (64 << 20) - 2).unwrap(), 2);
        assert_eq!(file.len().unwrap(), 64 << 20);
    }

    #[test]
    fn names_behave_as_in_a_file_system() {
        let disk = MemDisk::new();
        let kind = |result: io::Result<Arc<dyn File>>| result.err().map(|error| error.kind());
        assert_eq!(kind(disk.open(Path::new("/a/b"), OpenMode::Create)), Some(io::ErrorKind::NotFound));
        disk.create_dir_all(Path::new("/a/c")).unwrap();
        let open = write(&disk, "/a/b", b"x");
        assert_eq!(kind(disk.open(Path::new("/a/b"), OpenMode::CreateNew)), Some(io::ErrorKind::AlreadyExists));
        let names = |dir| disk.list(Path::new(dir)).unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names("/a"), ["b", "c"]);
        disk.rename(Path::new("/a"), Path::new("/d"), &SLOW).unwrap();
        assert_eq!((names("/"), names("/d")), (vec!["d".to_owned()], vec!["b".to_owned(), "c".to_owned()]));
        disk.remove_dir_all(Path::new("/d"), &SLOW).unwrap();
        assert_eq!(open.len().unwrap(), 1, "an open handle keeps a removed file");
        assert!(names("/").is_empty());
    }

    #[test]
    fn a_folder_lost_takes_what_is_in_it() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/data/version-2")).unwrap();
        write(&disk, "/data/version-2/log", b"x").sync_data(&SLOW).unwrap();
        disk.sync_dir(Path::new("/data/version-2"), &SLOW).unwrap();
        disk.sync_dir(Path::new("/data"), &SLOW).unwrap();
        disk.crash_losing_all();
        disk.create_dir_all(Path::new("/data/version-2")).unwrap();
        assert!(disk.list(Path::new("/data/version-2")).unwrap().is_empty());
    }

    #[test]
    fn a_lock_excludes_until_dropped_or_crashed() {
        let disk = MemDisk::new();
        let lock = disk.lock(Path::new("/.lock")).unwrap();
        assert_eq!(disk.lock(Path::new("/.lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        let stale = disk.lock(Path::new("/.lock")).unwrap();
        disk.kill();
        let held = disk.lock(Path::new("/.lock")).unwrap();
        drop(stale);
        assert!(disk.lock(Path::new("/.lock")).is_err(), "a dead process unlocks nothing");
        drop(held);
    }

    #[test]
    fn slow_calls_are_told() {
        let disk = MemDisk::new();
        assert!(disk.take_slow_calls().is_empty());
        disk.replace(Path::new("/a"), b"x", &SLOW).unwrap();
        let tmp = PathBuf::from("/a.tmp");
        assert_eq!(
            disk.take_slow_calls(),
            [
                SlowCall::Truncate(tmp.clone(), 0),
                SlowCall::SyncData(tmp.clone()),
                SlowCall::Rename(tmp, "/a".into()),
                SlowCall::SyncDir("/".into()),
            ]
        );
    }
}
