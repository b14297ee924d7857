//! A snapshot of the tree, taken in slices while transactions go on, and the way back.
//!
//! A walk passes through all nodes, parents first. What was made after it began is left out, and an ACL that was changed
//! since is given as it was: so the snapshot refers to no ACL that it lacks, and each creation that is applied again finds
//! its place free. Data and metadata may be newer than the walk's beginning; applying the transactions behind it in order
//! leads to the same tree all the same.

use std::collections::BTreeMap;

use base::Next;
use bytes::Bytes;
use zk_proto::StatPersisted;
use zk_proto::snapshot::{AclRecord, NodeRecord, NodeView, SessionRecord};

use crate::acl_cache::AclId;
use crate::nodes::{KnownPath, NodeId, Nodes};
use crate::tree::{Tree, TreeSettings};

/// Names a walk while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalkId(u64);

/// What stands before the nodes in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The newest transaction when the walk began: it names the file, and replay starts behind it.
    pub zxid: i64,
    /// The sessions, by id.
    pub sessions: Vec<SessionRecord>,
    /// The ACLs, by index.
    pub acls: Vec<AclRecord>,
}

struct Walk {
    start_zxid: i64,
    cursor: Option<NodeId>,
}

/// The walks that go on.
#[derive(Default)]
pub(crate) struct Walks {
    active: BTreeMap<WalkId, Walk>,
    serial: u64,
    /// ACLs that were replaced while a walk went on, and by which transaction, oldest first.
    replaced_acls: BTreeMap<NodeId, Vec<(i64, AclId)>>,
}

impl Walks {
    /// No walk may stand on a node that goes.
    pub(crate) fn before_removal(&mut self, nodes: &Nodes, id: NodeId) {
        for walk in self.active.values_mut().filter(|walk| walk.cursor == Some(id)) {
            walk.cursor = nodes.after_subtree(id);
        }
        self.replaced_acls.remove(&id);
    }

    pub(crate) fn before_acl_change(&mut self, id: NodeId, acl: AclId, zxid: i64) {
        if !self.active.is_empty() {
            self.replaced_acls.entry(id).or_default().push((zxid, acl));
        }
    }

    fn acl_at(&self, id: NodeId, start_zxid: i64, now: AclId) -> AclId {
        let replaced = self.replaced_acls.get(&id).into_iter().flatten();
        replaced.clone().find(|(zxid, _)| *zxid > start_zxid).map_or(now, |(_, acl)| *acl)
    }
}

impl Tree {
    /// Begins a walk; it must be ended.
    pub fn walk_begin(&mut self) -> (WalkId, SnapshotHead) {
        self.walks.serial += 1;
        let id = WalkId(self.walks.serial);
        self.walks.active.insert(id, Walk { start_zxid: self.last_zxid, cursor: Some(NodeId::ROOT) });
        let sessions = self.sessions.iter().map(|(id, timeout_ms)| SessionRecord { id: *id, timeout_ms: *timeout_ms });
        (id, SnapshotHead { zxid: self.last_zxid, sessions: sessions.collect(), acls: self.acls.records() })
    }

    /// Goes on with a walk until it has met `nodes_max` nodes or given out `bytes_max` bytes of paths and data. `Done`
    /// when the whole tree was met, and for a walk that was ended.
    pub fn walk_slice(
        &mut self,
        walk: WalkId,
        nodes_max: usize,
        bytes_max: usize,
        mut emit: impl FnMut(&NodeView<'_>),
    ) -> Next {
        let Some(&Walk { start_zxid, mut cursor }) = self.walks.active.get(&walk) else { return Next::Done };
        let mut bytes = 0;
        let mut path = KnownPath::ROOT;
        for _ in 0..nodes_max {
            let Some(id) = cursor.filter(|_| bytes < bytes_max) else { break };
            let (name, data, stat, acl) = self.nodes.get(id).all();
            if stat.czxid > start_zxid {
                cursor = self.nodes.after_subtree(id);
                continue;
            }
            self.nodes.go_on(&mut path, id, name);
            let acl_index = self.walks.acl_at(id, start_zxid, acl).index();
            let view = NodeView { path: path.as_str(), data, acl_index, stat };
            bytes += view.path.len() + data.map_or(0, <[u8]>::len);
            emit(&view);
            cursor = self.nodes.after(id);
        }
        if let Some(walk) = self.walks.active.get_mut(&walk) {
            walk.cursor = cursor;
        }
        if cursor.is_some() { Next::More } else { Next::Done }
    }

    /// Ends a walk, finished or not.
    pub fn walk_end(&mut self, walk: WalkId) {
        self.walks.active.remove(&walk);
        if self.walks.active.is_empty() {
            self.walks.replaced_acls.clear();
        }
    }
}

/// What is wrong with a snapshot's records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A node comes before its parent.
    #[error("Invalid Datatree, unable to find parent {parent} of path {path}")]
    NoParent {
        /// The parent that is missing.
        parent: String,
        /// The node.
        path: String,
    },
    /// A node comes twice.
    #[error("the snapshot holds {path} twice")]
    Twice {
        /// The node.
        path: String,
    },
    /// The first node is not the root.
    #[error("the snapshot starts with {path:?} instead of the root")]
    NoRoot {
        /// What it starts with.
        path: String,
    },
    /// There is no node at all.
    #[error("the snapshot holds no node")]
    Empty,
    /// An ACL's index that no server writes.
    #[error("the snapshot holds an ACL of index {index}")]
    AclIndex {
        /// The index.
        index: i64,
    },
}

/// Builds a tree from a snapshot's records in their order: sessions, ACLs, nodes.
pub struct Restore {
    tree: Tree,
    has_root: bool,
}

impl Restore {
    /// Nothing yet.
    pub fn new(settings: TreeSettings) -> Self {
        let tree = Tree::bare(settings, None, StatPersisted::default(), AclId::OPEN);
        Self { tree, has_root: false }
    }

    /// Takes a session.
    pub fn session(&mut self, session: &SessionRecord) {
        self.tree.sessions.insert(session.id, session.timeout_ms);
    }

    /// Takes an ACL.
    ///
    /// # Errors
    /// [`RestoreError::AclIndex`].
    pub fn acl(&mut self, record: &AclRecord) -> Result<(), RestoreError> {
        match self.tree.acls.restore(record) {
            true => Ok(()),
            false => Err(RestoreError::AclIndex { index: record.index }),
        }
    }

    /// Takes a node; the first is the root, its path empty.
    ///
    /// # Errors
    /// Unless the node's parent came before it, and it comes once.
    pub fn node(&mut self, record: &NodeRecord) -> Result<(), RestoreError> {
        let path = &*record.path;
        if !self.has_root {
            return self.root(record);
        }
        let no_parent = |parent: &str| RestoreError::NoParent { parent: parent.to_owned(), path: path.to_owned() };
        let (parent_path, name) = zk_proto::path::split(path).ok_or_else(|| no_parent(""))?;
        let parent = self.tree.nodes.find(parent_path).ok_or_else(|| no_parent(parent_path))?;
        if self.tree.nodes.child(parent, name).is_some() {
            return Err(RestoreError::Twice { path: path.to_owned() });
        }
        let acl = self.tree.acls.add_index(record.acl_index);
        self.tree.insert(parent, path, name, record.data.as_deref(), record.stat, acl);
        Ok(())
    }

    fn root(&mut self, record: &NodeRecord) -> Result<(), RestoreError> {
        if !record.path.is_empty() {
            return Err(RestoreError::NoRoot { path: record.path.to_string() });
        }
        self.has_root = true;
        let acl = self.tree.acls.add_index(record.acl_index);
        self.tree.nodes.get_mut(NodeId::ROOT).set_acl(acl);
        self.tree.update(NodeId::ROOT, |stat| *stat = record.stat);
        self.tree.replace_data(NodeId::ROOT, "", record.data.as_deref());
        self.tree.data_size += 2 * record.data.as_ref().map_or(0, Bytes::len) as u64;
        Ok(())
    }

    /// The tree, at the zxid of the snapshot's name.
    ///
    /// # Errors
    /// [`RestoreError::Empty`].
    pub fn finish(mut self, zxid: i64) -> Result<Tree, RestoreError> {
        if !self.has_root {
            return Err(RestoreError::Empty);
        }
        self.tree.acls.purge();
        self.tree.restore_quotas();
        self.tree.last_zxid = zxid;
        Ok(self.tree)
    }
}
