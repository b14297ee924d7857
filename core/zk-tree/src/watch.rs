//! Who wants to hear of which path (`WatchManager`): one-shot watches, persistent ones, and persistent recursive ones.
//!
//! There are two tables, as in the original: data (also used for `exists`) and children; a persistent watch is in both.
//! A path's watches in one table that a client makes in several ways live beside each other (ZOOKEEPER-4466), and a check
//! finds the client's own watches alone. An event carries the ACL of the node it tells of, so that the connection can
//! keep it from a client that may not read there (CVE-2024-23944).

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use base::Str;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use zk_proto::{AddWatchMode, EventType, WatcherType};

use crate::{AclList, TreeEvent};

/// An event for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The connection to tell.
    pub watcher: u64,
    /// What happened.
    pub event: EventType,
    /// Where.
    pub path: Str,
    /// Who may know: to be sent only if the client has `READ` by this ACL; `None`: the client asked about the path just
    /// now.
    pub acl: Option<AclList>,
}

/// A set of ways in which a client watches a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Modes(u8);

impl Modes {
    const STANDARD: Self = Self(1);
    const PERSISTENT: Self = Self(2);
    const RECURSIVE: Self = Self(4);

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[derive(Debug)]
enum Watchers {
    One(u64, Modes),
    Many(BTreeMap<u64, Modes>),
}

#[derive(Debug)]
struct Watched {
    path: Box<str>,
    watchers: Watchers,
}

/// Names a watched path while it is watched.
type PathId = u32;

/// One table of watches.
#[derive(Default)]
pub struct WatchTable {
    paths: Vec<Option<Watched>>,
    free: Vec<PathId>,
    index: HashTable<PathId>,
    hasher: DefaultHashBuilder,
    by_watcher: HashMap<u64, HashSet<PathId>>,
    watches: usize,
    recursive: usize,
}

impl WatchTable {
    /// How many watches there are.
    pub const fn len(&self) -> usize {
        self.watches
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.watches == 0
    }

    /// How many clients watch, and how many paths.
    pub fn clients_and_paths(&self) -> (usize, usize) {
        (self.by_watcher.len(), self.index.len())
    }

    /// Paths by client, both in order. Expensive.
    pub fn by_watcher(&self) -> BTreeMap<u64, Vec<&str>> {
        let mut all = BTreeMap::new();
        for (watcher, ids) in &self.by_watcher {
            let mut paths: Vec<_> = ids.iter().filter_map(|id| self.get(*id)).map(|watched| &*watched.path).collect();
            paths.sort_unstable();
            all.insert(*watcher, paths);
        }
        all
    }

    /// Clients by path, both in order. Expensive.
    pub fn by_path(&self) -> BTreeMap<&str, Vec<u64>> {
        let watched = self.paths.iter().flatten();
        watched
            .map(|watched| match &watched.watchers {
                Watchers::One(watcher, _) => (&*watched.path, vec![*watcher]),
                Watchers::Many(many) => (&*watched.path, many.keys().copied().collect()),
            })
            .collect()
    }

    fn add(&mut self, path: &str, watcher: u64, mode: Modes) {
        let id = self.find(path).unwrap_or_else(|| self.insert(path));
        let modes = self.modes(id, watcher);
        if modes == Modes(0) {
            self.by_watcher.entry(watcher).or_default().insert(id);
        }
        self.set_modes(id, watcher, Modes(modes.0 | mode.0));
    }

    /// Removes a client's watches of a path; whether there was one.
    fn remove(&mut self, path: &str, watcher: u64) -> bool {
        let Some(id) = self.find(path).filter(|id| self.modes(*id, watcher) != Modes(0)) else { return false };
        self.set_modes(id, watcher, Modes(0));
        self.forget(id, watcher);
        true
    }

    fn remove_watcher(&mut self, watcher: u64) {
        for id in self.by_watcher.remove(&watcher).unwrap_or_default() {
            self.set_modes(id, watcher, Modes(0));
        }
    }

    /// Whether the client hears of the path: by a watch there, or by a recursive one above.
    fn contains(&self, path: &str, watcher: u64) -> bool {
        // The path is a client's, of any length and depth: what it watches is looked through, not all that may lie above.
        let is_above = |id: &PathId| {
            let watched = self.get(*id).map_or("", |watched| &watched.path);
            is_below(path, watched) && self.modes(*id, watcher).has(Modes::RECURSIVE)
        };
        let above = || self.by_watcher.get(&watcher).is_some_and(|watched| watched.iter().any(is_above));
        self.modes_of(path, watcher) != Modes(0) || self.recursive > 0 && above()
    }

    /// Calls `tell` for each client that is to hear of `event` at `path`, and removes the one-shot watches.
    fn trigger(&mut self, path: &str, event: EventType, tell: &mut impl FnMut(u64)) {
        let children = event == EventType::NodeChildrenChanged;
        let mut told: Vec<u64> = Vec::new();
        if let Some(id) = self.find(path) {
            let wanted = if children { Modes::STANDARD.0 | Modes::PERSISTENT.0 } else { u8::MAX };
            for (watcher, modes) in self.watchers(id).into_iter().filter(|(_, modes)| modes.has(Modes(wanted))) {
                told.push(watcher);
                if modes.has(Modes::STANDARD) {
                    let left = Modes(modes.0 & !Modes::STANDARD.0);
                    self.set_modes(id, watcher, left);
                    if left == Modes(0) {
                        self.forget(id, watcher);
                    }
                }
            }
        }
        if self.recursive > 0 && !children {
            for id in parents(path).filter_map(|parent| self.find(parent)) {
                let recursive = self.watchers(id).into_iter().filter(|(_, modes)| modes.has(Modes::RECURSIVE));
                told.extend(recursive.map(|(watcher, _)| watcher));
            }
            told.sort_unstable();
            told.dedup();
        }
        told.into_iter().for_each(tell);
    }

    fn watchers(&self, id: PathId) -> Vec<(u64, Modes)> {
        match self.get(id).map(|watched| &watched.watchers) {
            None => Vec::new(),
            Some(Watchers::One(watcher, modes)) => vec![(*watcher, *modes)],
            Some(Watchers::Many(many)) => many.iter().map(|(watcher, modes)| (*watcher, *modes)).collect(),
        }
    }

    fn modes_of(&self, path: &str, watcher: u64) -> Modes {
        self.find(path).map_or(Modes(0), |id| self.modes(id, watcher))
    }

    fn modes(&self, id: PathId, watcher: u64) -> Modes {
        match self.get(id).map(|watched| &watched.watchers) {
            Some(Watchers::One(one, modes)) if *one == watcher => *modes,
            Some(Watchers::Many(many)) => many.get(&watcher).copied().unwrap_or(Modes(0)),
            _ => Modes(0),
        }
    }

    /// Changes a client's modes at a path; without any, the client leaves the path, and the path goes with its last one.
    fn set_modes(&mut self, id: PathId, watcher: u64, modes: Modes) {
        let before = self.modes(id, watcher);
        self.watches = self.watches + usize::from(modes != Modes(0)) - usize::from(before != Modes(0));
        self.recursive =
            self.recursive + usize::from(modes.has(Modes::RECURSIVE)) - usize::from(before.has(Modes::RECURSIVE));
        let Some(watched) = self.paths.get_mut(id as usize).and_then(Option::as_mut) else { return };
        match &mut watched.watchers {
            Watchers::One(one, current) if *one == watcher || *current == Modes(0) => {
                (*one, *current) = (watcher, modes);
            }
            Watchers::One(one, current) => {
                watched.watchers = Watchers::Many(BTreeMap::from([(watcher, modes), (*one, *current)]));
            }
            Watchers::Many(many) if modes == Modes(0) => {
                many.remove(&watcher);
            }
            Watchers::Many(many) => {
                many.insert(watcher, modes);
            }
        }
        let empty = match &watched.watchers {
            Watchers::One(_, modes) => *modes == Modes(0),
            Watchers::Many(many) => many.is_empty(),
        };
        if empty {
            self.remove_path(id);
        }
    }

    fn forget(&mut self, id: PathId, watcher: u64) {
        if let Some(ids) = self.by_watcher.get_mut(&watcher) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_watcher.remove(&watcher);
            }
        }
    }

    fn get(&self, id: PathId) -> Option<&Watched> {
        self.paths.get(id as usize)?.as_ref()
    }

    fn find(&self, path: &str) -> Option<PathId> {
        let hash = self.hasher.hash_one(path);
        self.index.find(hash, |id| self.get(*id).is_some_and(|watched| &*watched.path == path)).copied()
    }

    fn insert(&mut self, path: &str) -> PathId {
        // Watched by nobody until `add` goes on.
        let watched = Some(Watched { path: path.into(), watchers: Watchers::One(0, Modes(0)) });
        let id = self.free.pop().unwrap_or_else(|| {
            self.paths.push(None);
            PathId::try_from(self.paths.len() - 1).expect("memory ends before four thousand million paths")
        });
        if let Some(slot) = self.paths.get_mut(id as usize) {
            *slot = watched;
        }
        let Self { paths, index, hasher, .. } = self;
        let path_of = |id: PathId| paths.get(id as usize).and_then(Option::as_ref).map_or("", |watched| &*watched.path);
        index.insert_unique(hasher.hash_one(path), id, |id| hasher.hash_one(path_of(*id)));
        id
    }

    fn remove_path(&mut self, id: PathId) {
        let Some(watched) = self.paths.get_mut(id as usize).and_then(Option::take) else { return };
        if let Ok(entry) = self.index.find_entry(self.hasher.hash_one(&*watched.path), |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }
}

/// The paths above a path, nearest first, down to the root.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent_of(path), |path| parent_of(path))
}

/// Whether a path lies below another one.
fn is_below(path: &str, other: &str) -> bool {
    let below = if other == "/" {
        path.strip_prefix('/')
    } else {
        path.strip_prefix(other).and_then(|rest| rest.strip_prefix('/'))
    };
    below.is_some_and(|rest| !rest.is_empty())
}

fn parent_of(path: &str) -> Option<&str> {
    match path.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

/// All watches of this server's clients.
#[derive(Default)]
pub struct Watches {
    data: WatchTable,
    children: WatchTable,
}

impl Watches {
    /// Watches of data and existence; the summaries of the four-letter words are about these.
    pub const fn data(&self) -> &WatchTable {
        &self.data
    }

    /// Watches of children.
    pub const fn children(&self) -> &WatchTable {
        &self.children
    }

    /// How many watches there are in both tables.
    pub const fn len(&self) -> usize {
        self.data.len() + self.children.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A one-shot watch of a node's data, or of its being made.
    pub fn add_data(&mut self, path: &str, watcher: u64) {
        self.data.add(path, watcher, Modes::STANDARD);
    }

    /// A one-shot watch of a node's children.
    pub fn add_children(&mut self, path: &str, watcher: u64) {
        self.children.add(path, watcher, Modes::STANDARD);
    }

    /// A watch that stays.
    pub fn add(&mut self, path: &str, watcher: u64, mode: AddWatchMode) {
        let mode = match mode {
            AddWatchMode::Persistent => Modes::PERSISTENT,
            AddWatchMode::PersistentRecursive => Modes::RECURSIVE,
        };
        self.data.add(path, watcher, mode);
        self.children.add(path, watcher, mode);
    }

    /// Removes a client's watches of a path. `false` if it had none.
    pub fn remove(&mut self, path: &str, watcher: u64, kind: WatcherType) -> bool {
        let children = kind != WatcherType::Data && self.children.remove(path, watcher);
        let data = kind != WatcherType::Children && self.data.remove(path, watcher);
        children || data
    }

    /// Whether a client hears of a path.
    pub fn contains(&self, path: &str, watcher: u64, kind: WatcherType) -> bool {
        kind != WatcherType::Data && self.children.contains(path, watcher)
            || kind != WatcherType::Children && self.data.contains(path, watcher)
    }

    /// Removes all watches of a client that is gone.
    pub fn remove_watcher(&mut self, watcher: u64) {
        self.data.remove_watcher(watcher);
        self.children.remove_watcher(watcher);
    }

    /// Whom to tell of a change of the tree, in order: who watches the node, then who watches its parent's children.
    pub fn trigger(&mut self, change: &TreeEvent, out: &mut Vec<Notification>) {
        if self.is_empty() {
            return;
        }
        let (touched, event) = match change {
            TreeEvent::Created(touched) => (touched, EventType::NodeCreated),
            TreeEvent::DataChanged(touched) => (touched, EventType::NodeDataChanged),
            TreeEvent::Deleted(touched) => (touched, EventType::NodeDeleted),
            TreeEvent::QuotaExceeded { .. } => return,
        };
        let first = out.len();
        let mut tell = |watcher| {
            let (path, acl) = (touched.path.clone(), Some(AclList::clone(&touched.acl)));
            out.push(Notification { watcher, event, path, acl });
        };
        self.data.trigger(&touched.path, event, &mut tell);
        if event == EventType::NodeDeleted {
            let mut both = Vec::new();
            self.children.trigger(&touched.path, event, &mut |watcher| both.push(watcher));
            // A client that watched both data and children hears of it once.
            let heard: HashSet<u64> = out.iter().skip(first).map(|told| told.watcher).collect();
            for watcher in both.into_iter().filter(|watcher| !heard.contains(watcher)) {
                let (path, acl) = (touched.path.clone(), Some(AclList::clone(&touched.acl)));
                out.push(Notification { watcher, event, path, acl });
            }
        }
        if event != EventType::NodeDataChanged
            && let Some(parent) = parent_of(&touched.path)
        {
            let event = EventType::NodeChildrenChanged;
            self.children.trigger(parent, event, &mut |watcher| {
                let (path, acl) = (Str::copied(parent), Some(AclList::clone(&touched.parent_acl)));
                out.push(Notification { watcher, event, path, acl });
            });
        }
    }
}
