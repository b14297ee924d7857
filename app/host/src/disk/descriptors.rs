//! A bounded number of descriptors for any number of open files.
//!
//! A [`Node`] is one open file, known by its path; all handles of a path share it. Its descriptor is closed when others
//! need room (the second-chance clock decides, files with unsynced writes last) and opened again on the next use, checked to be the
//! same file. Renames carry the path along; a file that is removed or replaced while handles are open keeps its descriptor,
//! since its name leads there no more.
//!
//! Lock order: the table, then a node. Whoever reopens a node's descriptor lets go of the node before entering it in the table. No lock is
//! held over a rename, which may wait for the disk: who wants a file that is just being moved, replaced or removed waits, and nobody else.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::OpenMode;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// How many open files are looked at for a clean and idle one before the next idle one is taken, unsynced or not.
const LOOKED_AT_MAX: usize = 64;

/// All open files of one disk.
#[derive(Debug)]
pub(super) struct Descriptors {
    open_max: usize,
    table: Mutex<Table>,
    /// What was on the move is so no more.
    at_rest: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    nodes: BTreeMap<Name, Arc<Node>>,
    /// Files with a descriptor that may be closed, by serial number.
    open: BTreeMap<u64, Arc<Node>>,
    /// The clock's hand: the serial number that was looked at last.
    hand: u64,
    serial: u64,
    /// What is being moved or removed, and where to.
    moving: Vec<Name>,
}

/// A path to order files by: what lies in a folder stands together, behind the folder itself. The separator is the byte 0, the smallest, which
/// no name holds; so that the order is that of the components, and costs one comparison of memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name(Box<[u8]>);

impl Name {
    /// The name of an absolute path.
    fn of(path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
        Self(bytes.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect())
    }

    /// Whether one of the two is the other or lies in it.
    fn meets(&self, other: &Self) -> bool {
        self.is_within(other) || other.is_within(self)
    }

    /// Whether this is `folder` or lies in it.
    fn is_within(&self, folder: &Self) -> bool {
        self.0.strip_prefix(&*folder.0).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == 0))
    }
}

/// One open file, shared by its handles.
#[derive(Debug)]
pub(super) struct Node {
    serial: u64,
    state: Mutex<NodeState>,
    used: AtomicBool,
    /// Written to since the last sync.
    pub(super) dirty: AtomicBool,
    /// A sync failed: what was written before may be lost, whatever a later sync says.
    pub(super) sync_failed: AtomicBool,
}

#[derive(Debug)]
struct NodeState {
    path: PathBuf,
    descriptor: Option<Arc<OwnedFd>>,
    identity: (u64, u64),
    writable: bool,
    handles: usize,
    /// Its path is just going.
    moving: bool,
}

impl Node {
    /// The file's present name, for errors.
    pub(super) fn path(&self) -> PathBuf {
        self.state.lock().path.clone()
    }

    /// Adds a handle, and the descriptor that was opened for it, if both lead to the same file.
    fn join(&self, descriptor: &Arc<OwnedFd>, identity: (u64, u64), writable: bool) -> bool {
        let mut state = self.state.lock();
        if state.identity != identity {
            return false;
        }
        state.handles += 1;
        if (writable && !state.writable) || (writable == state.writable && state.descriptor.is_none()) {
            state.writable = writable;
            state.descriptor = Some(Arc::clone(descriptor));
        }
        true
    }
}

impl Descriptors {
    pub(super) fn new(open_max: usize) -> Self {
        Self { open_max: open_max.max(1), table: Mutex::default(), at_rest: Condvar::new() }
    }

    /// How many descriptors are open that may be closed.
    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.table.lock().open.len()
    }

    /// Opens a file, or gives one more handle to the one that is open.
    pub(super) fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<Node>> {
        let path = std::path::absolute(path)?;
        let name = Name::of(&path);
        let writable = mode != OpenMode::Read;
        let table = self.lock_at_rest(std::slice::from_ref(&name));
        if mode != OpenMode::CreateNew
            && let Some(node) = table.nodes.get(&name)
        {
            let mut state = node.state.lock();
            if state.writable || !writable {
                state.handles += 1;
                return Ok(Arc::clone(node));
            }
        }
        drop(table);
        let (descriptor, identity) = self.with_room(|| open_file(&path, mode))?;
        let mut table = self.lock_at_rest(std::slice::from_ref(&name));
        if let Some(node) = table.nodes.get(&name).cloned() {
            if node.join(&descriptor, identity, writable) {
                table.open.insert(node.serial, Arc::clone(&node));
                table.make_room(self.open_max);
                return Ok(node);
            }
            // Somebody else put another file in the place of ours: the old handles keep what they have.
            table.nodes.remove(&name);
            table.open.remove(&node.serial);
        }
        table.serial += 1;
        let node = Arc::new(Node {
            serial: table.serial,
            state: Mutex::new(NodeState {
                path,
                descriptor: Some(descriptor),
                identity,
                writable,
                handles: 1,
                moving: false,
            }),
            used: AtomicBool::new(true),
            dirty: AtomicBool::new(false),
            sync_failed: AtomicBool::new(false),
        });
        table.nodes.insert(name, Arc::clone(&node));
        table.open.insert(node.serial, Arc::clone(&node));
        table.make_room(self.open_max);
        Ok(node)
    }

    /// The node's descriptor, opened again if it was closed. It stays open while the answer is held.
    pub(super) fn descriptor(&self, node: &Arc<Node>) -> io::Result<Arc<OwnedFd>> {
        if !node.used.load(Ordering::Relaxed) {
            node.used.store(true, Ordering::Relaxed);
        }
        let mut state = node.state.lock();
        while state.descriptor.is_none() && state.moving {
            let name = Name::of(&state.path);
            drop(state);
            drop(self.lock_at_rest(&[name]));
            state = node.state.lock();
        }
        if let Some(descriptor) = &state.descriptor {
            return Ok(Arc::clone(descriptor));
        }
        let mode = if state.writable { OpenMode::Write } else { OpenMode::Read };
        let (descriptor, identity) = match open_file(&state.path, mode) {
            Err(error) if is_out_of_descriptors(&error) => {
                drop(state);
                self.table.lock().make_room(self.open_max / 2);
                state = node.state.lock();
                open_file(&state.path, mode)?
            }
            result => result?,
        };
        if identity != state.identity {
            return Err(io::Error::other(format!("{} was replaced by another file", state.path.display())));
        }
        state.descriptor = Some(Arc::clone(&descriptor));
        drop(state);
        let mut table = self.table.lock();
        table.open.insert(node.serial, Arc::clone(node));
        table.make_room(self.open_max);
        Ok(descriptor)
    }

    /// One handle less; the last one closes the file.
    pub(super) fn release(&self, node: &Arc<Node>) {
        let mut table = self.table.lock();
        let mut state = node.state.lock();
        state.handles -= 1;
        if state.handles > 0 {
            return;
        }
        let closed = state.descriptor.take();
        table.forget(node, &state);
        drop(state);
        drop(table);
        drop(closed);
    }

    /// Runs `rename`, and has the handles of what it moves follow.
    pub(super) fn rename(&self, from: &Path, to: &Path, rename: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let (from, to) = (std::path::absolute(from)?, std::path::absolute(to)?);
        let names = [Name::of(&from), Name::of(&to)];
        let mut table = self.lock_at_rest(&names);
        let replaced = table.nodes.get(&names[1]).filter(|_| from != to).cloned();
        let moved = table.within(&from);
        table.set_moving(&names, moved.iter().chain(&replaced));
        drop(table);
        let result = replaced.as_ref().map_or(Ok(()), |node| hold(node)).and_then(|()| rename());
        let mut table = self.table.lock();
        table.set_resting(&names, moved.iter().chain(&replaced));
        self.at_rest.notify_all();
        result?;
        replaced.iter().for_each(|node| table.forget(node, &node.state.lock()));
        moved.iter().for_each(|node| table.follow(node, &from, &to));
        Ok(())
    }

    /// Prepares for the removal of a file or of a folder with all in it: open handles keep their files.
    pub(super) fn detach(&self, path: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let name = [Name::of(&path)];
        let mut table = self.lock_at_rest(&name);
        let within = table.within(&path);
        table.set_moving(&name, &within);
        drop(table);
        let not_absent = |error: &io::Error| error.kind() != io::ErrorKind::NotFound;
        let failed = within.iter().find_map(|node| hold(node).err().filter(not_absent));
        let mut table = self.table.lock();
        table.set_resting(&name, &within);
        self.at_rest.notify_all();
        if let Some(error) = failed {
            return Err(error);
        }
        within.iter().for_each(|node| table.forget(node, &node.state.lock()));
        Ok(())
    }

    /// The table, when none of these files is on the move, nothing that lies in them and nothing that they lie in.
    fn lock_at_rest(&self, names: &[Name]) -> MutexGuard<'_, Table> {
        let mut table = self.table.lock();
        while table.moving.iter().any(|other| names.iter().any(|name| name.meets(other))) {
            self.at_rest.wait(&mut table);
        }
        table
    }

    /// Runs `open`, and once more with fewer descriptors in the table if the process is out of them.
    pub(super) fn with_room<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(error) if is_out_of_descriptors(&error) => {
                self.table.lock().make_room(self.open_max / 2);
                open()
            }
            result => result,
        }
    }
}

impl Table {
    /// The node of `path` and those of what lies below it.
    fn within(&self, path: &Path) -> Vec<Arc<Node>> {
        let folder = Name::of(path);
        let behind = self.nodes.range(&folder..);
        behind.take_while(|(name, _)| name.is_within(&folder)).map(|(_, node)| Arc::clone(node)).collect()
    }

    /// Files are about to be moved, replaced or removed: none of these nodes is closed meanwhile, or opened by a name that is just going.
    fn set_moving<'a>(&mut self, names: &[Name], nodes: impl IntoIterator<Item = &'a Arc<Node>>) {
        self.moving.extend_from_slice(names);
        nodes.into_iter().for_each(|node| node.state.lock().moving = true);
    }

    fn set_resting<'a>(&mut self, names: &[Name], nodes: impl IntoIterator<Item = &'a Arc<Node>>) {
        self.moving.retain(|name| !names.contains(name));
        nodes.into_iter().for_each(|node| node.state.lock().moving = false);
    }

    /// A node's file was moved along with `from`.
    fn follow(&mut self, node: &Arc<Node>, from: &Path, to: &Path) {
        let mut state = node.state.lock();
        let Ok(rest) = state.path.strip_prefix(from) else { return };
        let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
        let name = Name::of(&state.path);
        state.path = path;
        // It may have been closed meanwhile.
        if self.nodes.get(&name).is_some_and(|known| Arc::ptr_eq(known, node)) {
            self.nodes.remove(&name);
            self.nodes.insert(Name::of(&state.path), Arc::clone(node));
        }
    }

    /// Takes a node out of the table; its handles, if any, keep the descriptor that it has.
    fn forget(&mut self, node: &Arc<Node>, state: &NodeState) {
        self.open.remove(&node.serial);
        let name = Name::of(&state.path);
        if self.nodes.get(&name).is_some_and(|known| Arc::ptr_eq(known, node)) {
            self.nodes.remove(&name);
        }
    }

    /// Closes idle descriptors until at most `open_max` are open.
    fn make_room(&mut self, open_max: usize) {
        let mut looked_at = 0;
        while self.open.len() > open_max && looked_at < 4 * LOOKED_AT_MAX {
            let after_hand = self.open.range((Bound::Excluded(self.hand), Bound::Unbounded)).next();
            let Some((&serial, node)) = after_hand.or_else(|| self.open.first_key_value()) else { return };
            self.hand = serial;
            looked_at += 1;
            let recent = node.used.swap(false, Ordering::Relaxed);
            let unsynced = node.dirty.load(Ordering::Relaxed) && looked_at < LOOKED_AT_MAX;
            if (recent && looked_at < 2 * LOOKED_AT_MAX) || unsynced {
                continue;
            }
            // Being reopened by somebody, or on the move: not idle.
            let Some(mut state) = node.state.try_lock().filter(|state| !state.moving) else { continue };
            state.descriptor = None;
            drop(state);
            self.open.remove(&serial);
            looked_at = 0;
        }
    }
}

/// Makes sure that a file whose name is about to go has a descriptor.
fn hold(node: &Node) -> io::Result<()> {
    let state = node.state.lock();
    if state.descriptor.is_some() {
        return Ok(());
    }
    let (path, mode) = (state.path.clone(), if state.writable { OpenMode::Write } else { OpenMode::Read });
    drop(state);
    let (descriptor, identity) = open_file(&path, mode)?;
    let mut state = node.state.lock();
    if identity == state.identity {
        state.descriptor.get_or_insert(descriptor);
    }
    Ok(())
}

fn open_file(path: &Path, mode: OpenMode) -> io::Result<(Arc<OwnedFd>, (u64, u64))> {
    let mut options = OpenOptions::new();
    options.read(true);
    match mode {
        OpenMode::Read => {}
        OpenMode::Write => _ = options.write(true),
        OpenMode::Create => _ = options.write(true).create(true),
        OpenMode::CreateNew => _ = options.write(true).create_new(true),
    }
    let file: fs::File = options.open(path).map_err(|error| named(path, &error))?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(named(path, &io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok((Arc::new(OwnedFd::from(file)), (metadata.dev(), metadata.ino())))
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// The error with the path in front; errors that callers act on by number stay as they are.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    if is_out_of_descriptors(error) {
        return io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EMFILE));
    }
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
