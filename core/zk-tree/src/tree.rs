//! The committed state of a ZooKeeper server: znodes, and what is kept about them (`DataTree`).

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use bytes::Bytes;
use zk_proto::{Acl, EphemeralType, Stat, StatPersisted};

use crate::acl_cache::{AclCache, AclId, AclList};
use crate::digest::{self, UNDIGESTED_PREFIX};
use crate::nodes::{NewNode, Node, NodeId, Nodes};
use crate::walk::Walks;

/// What the configuration says about the tree.
#[derive(Clone, Copy, Debug)]
pub struct TreeSettings {
    /// `zookeeper.extendedTypesEnabled`: whether there are TTL nodes.
    pub extended_types: bool,
    /// `zookeeper.digest.enabled`.
    pub digest: bool,
}

impl Default for TreeSettings {
    fn default() -> Self {
        Self { extended_types: false, digest: true }
    }
}

/// A node that a transaction touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Its path.
    pub path: Str,
    /// Bytes of its data; 0 if it is deleted.
    pub data_length: usize,
    /// Its ACL; that of a deleted node as it was.
    pub acl: AclList,
    /// Its parent's ACL.
    pub parent_acl: AclList,
}

/// What a transaction did, for watches and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEvent {
    /// A node was made.
    Created(Touched),
    /// A node's data was set.
    DataChanged(Touched),
    /// A node was deleted.
    Deleted(Touched),
    /// A quota is exceeded: to be logged as `Quota exceeded: {path} {what}={value} limit={limit}`.
    QuotaExceeded {
        /// The node that has the quota.
        path: String,
        /// `count` or `bytes`.
        what: &'static str,
        /// What there is.
        value: i64,
        /// What was to be.
        limit: i64,
    },
}

/// All replicated state of a server: znodes and sessions.
pub struct Tree {
    pub(crate) nodes: Nodes,
    pub(crate) acls: AclCache,
    pub(crate) sessions: BTreeMap<i64, i32>,
    pub(crate) ephemerals: BTreeMap<i64, BTreeSet<NodeId>>,
    pub(crate) containers: BTreeSet<NodeId>,
    pub(crate) ttls: BTreeSet<NodeId>,
    /// Paths that have a quota, without `/zookeeper/quota`.
    pub(crate) quotas: BTreeSet<String>,
    pub(crate) digest: u64,
    pub(crate) data_size: u64,
    pub(crate) last_zxid: i64,
    pub(crate) settings: TreeSettings,
    pub(crate) walks: Walks,
}

/// `/zookeeper`, the original's own part of the tree.
pub(crate) const OWN: &str = "/zookeeper";
/// Quotas are nodes below this.
pub(crate) const QUOTA: &str = "/zookeeper/quota";
/// The ensemble's configuration.
pub const CONFIG: &str = "/zookeeper/config";

/// Whether a path is one that can't be deleted.
pub(crate) fn is_special(path: &str) -> bool {
    matches!(path, "/" | OWN | QUOTA | CONFIG)
}

impl Tree {
    /// A tree of the original's own nodes, as a server starts with no data.
    pub fn new(settings: TreeSettings) -> Self {
        let mut tree = Self::bare(settings, Some(&[]), StatPersisted::default(), AclId::OPEN);
        for path in [OWN, QUOTA, CONFIG] {
            let acl = if path == CONFIG { tree.acls.add(&[Acl::READ]) } else { AclId::OPEN };
            let stat = StatPersisted { aversion: if path == CONFIG { -1 } else { 0 }, ..StatPersisted::default() };
            let (parent, name) = zk_proto::path::split(path).expect("it has a slash");
            let parent = tree.nodes.find(parent).expect("made before");
            tree.insert(parent, path, name, Some(&[]), stat, acl);
        }
        tree
    }

    /// A root alone.
    pub(crate) fn bare(settings: TreeSettings, data: Option<&[u8]>, stat: StatPersisted, acl: AclId) -> Self {
        let prefix_crc = digest::prefix_crc("", data);
        Self {
            nodes: Nodes::new(&NewNode { data, stat, acl, undigested: false, prefix_crc }),
            acls: AclCache::default(),
            sessions: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            containers: BTreeSet::new(),
            ttls: BTreeSet::new(),
            quotas: BTreeSet::new(),
            digest: if settings.digest { digest::of_node(prefix_crc, &stat) } else { 0 },
            // The root counts twice, as `""` and as `/`.
            data_size: 1 + 2 * data.map_or(0, <[u8]>::len) as u64,
            last_zxid: 0,
            settings,
            walks: Walks::default(),
        }
    }

    /// Puts the list of servers into `/zookeeper/config`, outside of any transaction, as each server of the original does
    /// for itself when its leader is found (`ZKDatabase.initConfigInZKDatabase`).
    pub fn set_config(&mut self, text: &[u8], version: i64, wall_ms: i64) {
        let Some(id) = self.nodes.find(CONFIG) else { return };
        self.set(id, CONFIG, Some(text), |stat| {
            stat.mtime = wall_ms;
            stat.mzxid = version;
            stat.version = -1;
        });
    }

    /// The node of a path.
    pub fn get(&self, path: &str) -> Option<ZnodeRef<'_>> {
        self.nodes.find(path).map(|id| ZnodeRef { tree: self, id })
    }

    /// The newest transaction that was applied.
    pub const fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// Sets the newest transaction, as a leader does when its epoch starts, or a snapshot's name says.
    pub const fn set_last_zxid(&mut self, zxid: i64) {
        self.last_zxid = zxid;
    }

    /// The digest of the tree; 0 if digests are off.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// How the tree is configured.
    pub const fn settings(&self) -> TreeSettings {
        self.settings
    }

    /// Sessions and their timeouts in milliseconds.
    pub const fn sessions(&self) -> &BTreeMap<i64, i32> {
        &self.sessions
    }

    /// How many nodes there are. The root counts twice, as in the original.
    pub const fn node_count(&self) -> usize {
        self.nodes.len() + 1
    }

    /// How many ephemeral nodes there are.
    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.values().map(BTreeSet::len).sum()
    }

    /// How many distinct ACLs there are.
    pub fn acl_count(&self) -> usize {
        self.acls.len()
    }

    /// Lengths of all paths and data.
    pub const fn approximate_data_size(&self) -> u64 {
        self.data_size
    }

    /// Sessions that have ephemeral nodes, or had.
    pub fn sessions_with_ephemerals(&self) -> impl Iterator<Item = i64> {
        self.ephemerals.keys().copied()
    }

    /// Paths of a session's ephemeral nodes, sorted.
    pub fn ephemerals(&self, session_id: i64) -> Vec<String> {
        let ids = self.ephemerals.get(&session_id).into_iter().flatten();
        let mut paths: Vec<_> = ids.map(|id| self.nodes.path(*id)).collect();
        paths.sort_unstable();
        paths
    }

    /// Containers and TTL nodes whose time has come (`ContainerManager.getCandidates`), sorted. `never_used_ms_max`, if
    /// not 0: how long a container may stay that never had a child.
    pub fn reapable(&self, wall_ms: i64, never_used_ms_max: i64) -> Vec<String> {
        let childless = |id: &&NodeId| self.nodes.get(**id).child_count() == 0;
        let age_ms = |id: &NodeId| wall_ms.saturating_sub(self.nodes.get(*id).stat().mtime);
        let containers = self.containers.iter().filter(childless).filter(|id| {
            self.nodes.get(**id).stat().cversion > 0 || never_used_ms_max != 0 && age_ms(id) > never_used_ms_max
        });
        let ttls = self.ttls.iter().filter(childless).filter(|id| {
            let kind = self.kind(&self.nodes.get(**id).stat());
            matches!(kind, EphemeralType::Ttl(ttl_ms) if ttl_ms != 0 && age_ms(id) > ttl_ms)
        });
        let mut paths: Vec<_> = containers.chain(ttls).map(|id| self.nodes.path(*id)).collect();
        paths.sort_unstable();
        paths
    }

    pub(crate) const fn kind(&self, stat: &StatPersisted) -> EphemeralType {
        EphemeralType::from_owner(stat.ephemeral_owner, self.settings.extended_types)
    }

    /// Adds a node and files it by its owner; the parent's metadata is the caller's.
    pub(crate) fn insert(
        &mut self,
        parent: NodeId,
        path: &str,
        name: &str,
        data: Option<&[u8]>,
        stat: StatPersisted,
        acl: AclId,
    ) -> NodeId {
        let undigested = path.starts_with(UNDIGESTED_PREFIX);
        let prefix_crc = if undigested || !self.settings.digest { 0 } else { digest::prefix_crc(path, data) };
        let id = self.nodes.insert(parent, name, &NewNode { data, stat, acl, undigested, prefix_crc });
        if !undigested && self.settings.digest {
            self.digest = self.digest.wrapping_add(digest::of_node(prefix_crc, &stat));
        }
        self.data_size += node_size(path, data);
        match self.kind(&stat) {
            EphemeralType::Container => {
                self.containers.insert(id);
            }
            EphemeralType::Ttl(_) => {
                self.ttls.insert(id);
            }
            EphemeralType::Normal(session) => {
                self.ephemerals.entry(session).or_default().insert(id);
            }
            EphemeralType::Void | EphemeralType::UnknownExtended => {}
        }
        id
    }

    /// Takes out a childless node; the parent's metadata is the caller's.
    pub(crate) fn remove(&mut self, id: NodeId, path: &str) -> Node {
        self.walks.before_removal(&self.nodes, id);
        self.digest = self.digest.wrapping_sub(self.node_digest(id));
        let node = self.nodes.remove(id);
        self.acls.remove(node.acl());
        self.data_size = self.data_size.saturating_sub(node_size(path, node.data()));
        match self.kind(&node.stat()) {
            EphemeralType::Container => {
                self.containers.remove(&id);
            }
            EphemeralType::Ttl(_) => {
                self.ttls.remove(&id);
            }
            EphemeralType::Normal(session) => {
                if let Some(ids) = self.ephemerals.get_mut(&session) {
                    ids.remove(&id);
                }
            }
            EphemeralType::Void | EphemeralType::UnknownExtended => {}
        }
        node
    }

    /// Changes a node's metadata and keeps the digest right.
    pub(crate) fn update(&mut self, id: NodeId, change: impl FnOnce(&mut StatPersisted)) {
        let digested = self.settings.digest;
        let node = self.nodes.get_mut(id);
        let (before, after) = node.change_stat(change);
        if digested && !node.is_undigested() {
            let of = |stat| digest::of_node(node.prefix_crc, stat);
            self.digest = self.digest.wrapping_sub(of(&before)).wrapping_add(of(&after));
        }
    }

    /// Replaces a node's data and changes its metadata, and keeps digest and size right. The metadata as they are then.
    pub(crate) fn set(
        &mut self,
        id: NodeId,
        path: &str,
        data: Option<&[u8]>,
        change: impl FnOnce(&mut StatPersisted),
    ) -> StatPersisted {
        let digested = self.settings.digest;
        let node = self.nodes.get_mut(id);
        let (length_before, crc_before) = (node.data_length(), node.prefix_crc);
        node.set_data(data);
        let (before, after) = node.change_stat(change);
        if digested && !node.is_undigested() {
            node.prefix_crc = digest::prefix_crc(path, data);
            let (taken, added) = (digest::of_node(crc_before, &before), digest::of_node(node.prefix_crc, &after));
            self.digest = self.digest.wrapping_sub(taken).wrapping_add(added);
        }
        let length = data.map_or(0, <[u8]>::len) as u64;
        self.data_size = (self.data_size + length).saturating_sub(length_before as u64);
        after
    }

    /// Replaces a node's data, without its metadata, and keeps the digest right.
    pub(crate) fn replace_data(&mut self, id: NodeId, path: &str, data: Option<&[u8]>) {
        let before = self.node_digest(id);
        let digested = self.settings.digest;
        let node = self.nodes.get_mut(id);
        node.set_data(data);
        if digested && !node.is_undigested() {
            node.prefix_crc = digest::prefix_crc(path, data);
        }
        self.digest = self.digest.wrapping_sub(before).wrapping_add(self.node_digest(id));
    }

    pub(crate) fn node_digest(&self, id: NodeId) -> u64 {
        let node = self.nodes.get(id);
        if node.is_undigested() || !self.settings.digest { 0 } else { digest::of_node(node.prefix_crc, &node.stat()) }
    }

    pub(crate) fn touched(&self, id: NodeId, path: Str) -> Touched {
        let node = self.nodes.get(id);
        let acl = node.acl();
        let parent_acl = node.parent.some().map_or(acl, |parent| self.nodes.get(parent).acl());
        Touched {
            path,
            data_length: node.data_length(),
            acl: AclList::clone(self.acls.list(acl)),
            parent_acl: AclList::clone(self.acls.list(parent_acl)),
        }
    }
}

/// What a node counts in the approximate size: characters of its path as Java counts them, and bytes of its data.
pub(crate) fn node_size(path: &str, data: Option<&[u8]>) -> u64 {
    let characters = if path.is_ascii() { path.len() } else { path.encode_utf16().count() };
    (characters + data.map_or(0, <[u8]>::len)) as u64
}

/// A znode as it is read.
#[derive(Clone, Copy)]
pub struct ZnodeRef<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) id: NodeId,
}

impl<'a> ZnodeRef<'a> {
    fn node(&self) -> &'a Node {
        self.tree.nodes.get(self.id)
    }

    /// Its data, which may be null.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.node().data()
    }

    /// A copy of its data.
    pub fn data_copied(&self) -> Option<Bytes> {
        self.data().map(Bytes::copy_from_slice)
    }

    /// Its metadata as it is kept.
    pub fn stat_persisted(&self) -> StatPersisted {
        self.node().stat()
    }

    /// Its metadata as clients see it.
    pub fn stat(&self) -> Stat {
        let node = self.node();
        let stat = node.stat();
        client_stat(&stat, self.tree.kind(&stat), node.data_length(), node.child_count())
    }

    /// Its ACL.
    pub fn acl(&self) -> &'a AclList {
        self.tree.acls.list(self.node().acl())
    }

    /// How many children it has.
    pub fn child_count(&self) -> u32 {
        self.node().child_count()
    }

    /// Names of its children, oldest first.
    pub fn children(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let nodes = &self.tree.nodes;
        nodes.children(self.id).map(|id| nodes.get(id).name())
    }

    /// How many nodes are below it.
    pub fn descendant_count(&self) -> usize {
        let nodes = &self.tree.nodes;
        let end = nodes.after_subtree(self.id);
        std::iter::successors(nodes.after(self.id), |id| nodes.after(*id)).take_while(|id| Some(*id) != end).count()
    }

    pub(crate) fn prefix_crc(&self) -> u32 {
        self.node().prefix_crc
    }
}

/// What a client sees: changes of children are twice the creations less those that are left, and only a session's node
/// has an owner.
pub(crate) fn client_stat(stat: &StatPersisted, kind: EphemeralType, data_length: usize, children: u32) -> Stat {
    let num_children = children as i32;
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: stat.cversion.wrapping_mul(2).wrapping_sub(num_children),
        aversion: stat.aversion,
        ephemeral_owner: if let EphemeralType::Normal(session) = kind { session } else { 0 },
        data_length: data_length as i32,
        num_children,
        pzxid: stat.pzxid,
    }
}
