//! A tree of znodes in memory, with sessions, ephemeral znodes and one-shot watches.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_control::{CreateMode, Failure, Operation, Outcome, Reply, ZnodeStat};

#[derive(Clone, Default)]
struct Znode {
    data: Option<Bytes>,
    stat: ZnodeStat,
    children: BTreeSet<String>,
    sequence: u32,
}

/// The tree. Whoever writes gets the watches that fire, as `(session, path)`.
#[derive(Default)]
pub(crate) struct ZooKeeper {
    znodes: BTreeMap<String, Znode>,
    data_watches: BTreeSet<(String, i64)>,
    child_watches: BTreeSet<(String, i64)>,
    pub(crate) fired: Vec<(i64, String)>,
    zxid: i64,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl ZooKeeper {
    pub(crate) fn new() -> Self {
        let mut zookeeper = Self::default();
        zookeeper.znodes.insert(String::new(), Znode::default());
        for path in kafka_control::znode::PERSISTENT_PATHS {
            zookeeper.make(path, None);
        }
        zookeeper
    }

    /// Makes a persistent znode and those above it.
    pub(crate) fn make(&mut self, path: &str, data: Option<&str>) {
        for path in kafka_control::znode::ancestry(path) {
            if !self.exists(path) {
                let data = data.map(|data| Bytes::copy_from_slice(data.as_bytes()));
                let create = Operation::Create { path: path.to_owned(), data, mode: CreateMode::Persistent };
                self.apply(0, &create).unwrap();
            }
        }
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.znodes.contains_key(path)
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let znode = self.znodes.get(path)?;
        Some(String::from_utf8(znode.data.clone().unwrap_or_default().to_vec()).unwrap())
    }

    pub(crate) fn stat(&self, path: &str) -> Option<ZnodeStat> {
        self.znodes.get(path).map(|znode| znode.stat)
    }

    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        self.znodes.get(path).map(|znode| znode.children.iter().cloned().collect()).unwrap_or_default()
    }

    /// Ends a session: its ephemeral znodes and its watches go.
    pub(crate) fn end(&mut self, session: i64) {
        self.data_watches.retain(|(_, watcher)| *watcher != session);
        self.child_watches.retain(|(_, watcher)| *watcher != session);
        let owned = self.znodes.iter().filter(|(_, znode)| znode.stat.ephemeral_owner == session);
        let paths: Vec<String> = owned.map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.apply(0, &Operation::Delete { path, version: -1 }).unwrap();
        }
    }

    fn fire(&mut self, path: &str, with_parent: bool) {
        let range = (path.to_owned(), i64::MIN)..=(path.to_owned(), i64::MAX);
        let data: Vec<_> = self.data_watches.range(range).cloned().collect();
        for watch in data {
            self.data_watches.remove(&watch);
            self.fired.push((watch.1, watch.0));
        }
        if with_parent {
            let above = parent(path).to_owned();
            let range = (above.clone(), i64::MIN)..=(above, i64::MAX);
            let children: Vec<_> = self.child_watches.range(range).cloned().collect();
            for watch in children {
                self.child_watches.remove(&watch);
                self.fired.push((watch.1, watch.0));
            }
        }
    }

    /// What the operation would fail with.
    fn refusal(&self, operation: &Operation) -> Option<Failure> {
        let version_of = |path: &str| self.znodes.get(path).map(|znode| znode.stat.version);
        let versioned = |path: &str, version: i32| match version_of(path) {
            None => Some(Failure::NoNode),
            Some(found) => (version != -1 && version != found).then_some(Failure::BadVersion),
        };
        match operation {
            Operation::Create { path, mode, .. } => {
                let is_named = *mode != CreateMode::PersistentSequential;
                if is_named && self.exists(path) {
                    Some(Failure::NodeExists)
                } else {
                    (!self.exists(parent(path))).then_some(Failure::NoNode)
                }
            }
            Operation::Delete { path, version } => versioned(path, *version).or_else(|| {
                let has_children = self.znodes.get(path).is_some_and(|znode| !znode.children.is_empty());
                has_children.then_some(Failure::NotEmpty)
            }),
            Operation::SetData { path, version, .. } => versioned(path, *version),
            Operation::Check { path, version } => versioned(path, *version).map(|_| Failure::Fenced),
            Operation::GetData { path, .. } | Operation::Exists { path, .. } | Operation::GetChildren { path, .. } => {
                (!self.exists(path)).then_some(Failure::NoNode)
            }
            Operation::Multi(parts) => parts.iter().find_map(|part| self.refusal(part)),
        }
    }

    pub(crate) fn apply(&mut self, session: i64, operation: &Operation) -> Outcome {
        if let Operation::Exists { path, watch: true } = operation {
            self.data_watches.insert((path.clone(), session));
        }
        if let Some(failure) = self.refusal(operation) {
            return Err(failure);
        }
        self.zxid += 1;
        Ok(self.carry_out(session, operation))
    }

    fn carry_out(&mut self, session: i64, operation: &Operation) -> Reply {
        match operation {
            Operation::Create { path, data, mode } => self.create(session, path, data.clone(), *mode),
            Operation::Delete { path, .. } => {
                self.znodes.remove(path);
                let name = path.rsplit_once('/').unwrap().1;
                self.znodes.get_mut(parent(path)).unwrap().children.remove(name);
                self.fire(path, true);
                Reply::Done
            }
            Operation::SetData { path, data, .. } => {
                let znode = self.znodes.get_mut(path).unwrap();
                znode.stat.version += 1;
                znode.stat.mzxid = self.zxid;
                znode.data.clone_from(data);
                let stat = znode.stat;
                self.fire(path, false);
                Reply::Stat(stat)
            }
            Operation::Check { .. } => Reply::Done,
            Operation::GetData { path, watch } => {
                if *watch {
                    self.data_watches.insert((path.clone(), session));
                }
                let znode = &self.znodes[path];
                Reply::Data(znode.data.clone(), znode.stat)
            }
            Operation::Exists { path, .. } => Reply::Stat(self.znodes[path].stat),
            Operation::GetChildren { path, watch } => {
                if *watch {
                    self.child_watches.insert((path.clone(), session));
                }
                Reply::Children(self.children(path))
            }
            Operation::Multi(parts) => Reply::Multi(parts.iter().map(|part| self.carry_out(session, part)).collect()),
        }
    }

    fn create(&mut self, session: i64, path: &str, data: Option<Bytes>, mode: CreateMode) -> Reply {
        let above = self.znodes.get_mut(parent(path)).unwrap();
        let path = match mode {
            CreateMode::PersistentSequential => {
                above.sequence += 1;
                format!("{path}{:010}", above.sequence - 1)
            }
            CreateMode::Persistent | CreateMode::Ephemeral => path.to_owned(),
        };
        above.children.insert(path.rsplit_once('/').unwrap().1.to_owned());
        let ephemeral_owner = if mode == CreateMode::Ephemeral { session } else { 0 };
        let stat = ZnodeStat { czxid: self.zxid, mzxid: self.zxid, ctime_ms: 0, version: 0, ephemeral_owner };
        self.znodes.insert(path.clone(), Znode { data, stat, ..Znode::default() });
        self.fire(&path, true);
        Reply::Created(path)
    }
}
