//! Where znodes lie: a slab of fixed records, found by parent and name.
//!
//! A million nodes of 100 bytes are to fit into a quarter of what the original needs, so a path is stored nowhere: a node
//! knows its parent and its own name, children are a linked list through the nodes, name and data share one allocation.
//! Slab and index grow in small pieces, so that no single insertion waits for a big copy.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use zk_proto::StatPersisted;

use crate::acl_cache::AclId;

/// Names a node while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// No node.
    pub(crate) const NONE: Self = Self(u32::MAX);
    /// The root: made first, never deleted.
    pub(crate) const ROOT: Self = Self(0);

    pub(crate) fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

/// One znode: 112 bytes, and name and data beside it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) stat: StatPersisted,
    /// The name, then the data.
    body: Box<[u8]>,
    pub(crate) parent: NodeId,
    first_child: NodeId,
    next: NodeId,
    /// The sibling before; the first child's is the last child.
    previous: NodeId,
    pub(crate) child_count: u32,
    pub(crate) acl: AclId,
    /// The name's length in the low bits.
    name_and_flags: u32,
    /// CRC-32 over path and data: what of the digest does not depend on `stat`.
    pub(crate) prefix_crc: u32,
}

const NULL_DATA: u32 = 1 << 31;
const UNDIGESTED: u32 = 1 << 30;
const NAME_LENGTH: u32 = UNDIGESTED - 1;

/// What a node is made of, beside its place.
pub(crate) struct NewNode<'a> {
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) stat: StatPersisted,
    pub(crate) acl: AclId,
    /// Whether it is left out of the tree's digest.
    pub(crate) undigested: bool,
    pub(crate) prefix_crc: u32,
}

impl Node {
    fn new(parent: NodeId, name: &str, new: &NewNode<'_>) -> Self {
        let name_length = u32::try_from(name.len()).expect("a name is shorter than a frame") & NAME_LENGTH;
        let mut node = Self {
            stat: new.stat,
            body: name.as_bytes().into(),
            parent,
            first_child: NodeId::NONE,
            next: NodeId::NONE,
            previous: NodeId::NONE,
            child_count: 0,
            acl: new.acl,
            name_and_flags: name_length | if new.undigested { UNDIGESTED } else { 0 },
            prefix_crc: new.prefix_crc,
        };
        node.set_data(new.data);
        node
    }

    fn name_length(&self) -> usize {
        (self.name_and_flags & NAME_LENGTH) as usize
    }

    pub(crate) fn name(&self) -> &str {
        let (name, _) = self.body.split_at(self.name_length());
        std::str::from_utf8(name).expect("names are made of str")
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        let (_, data) = self.body.split_at(self.name_length());
        (self.name_and_flags & NULL_DATA == 0).then_some(data)
    }

    pub(crate) fn data_length(&self) -> usize {
        self.body.len() - self.name_length()
    }

    pub(crate) fn set_data(&mut self, data: Option<&[u8]>) {
        let bytes = data.unwrap_or_default();
        let (name, old) = self.body.split_at_mut((self.name_and_flags & NAME_LENGTH) as usize);
        if old.len() == bytes.len() {
            old.copy_from_slice(bytes);
        } else {
            self.body = [name, bytes].concat().into_boxed_slice();
        }
        match data {
            Some(_) => self.name_and_flags &= !NULL_DATA,
            None => self.name_and_flags |= NULL_DATA,
        }
    }

    pub(crate) const fn is_undigested(&self) -> bool {
        self.name_and_flags & UNDIGESTED != 0
    }
}

const CHUNK: usize = 1024;
const SHARDS: usize = 256;

/// All znodes.
pub(crate) struct Nodes {
    chunks: Vec<Vec<Option<Node>>>,
    free: Vec<NodeId>,
    /// Nodes by parent and name, in shards that grow one at a time.
    index: Vec<HashTable<NodeId>>,
    hasher: DefaultHashBuilder,
    len: usize,
}

impl Nodes {
    /// A root alone.
    pub(crate) fn new(root: &NewNode<'_>) -> Self {
        let mut nodes = Self {
            chunks: Vec::new(),
            free: Vec::new(),
            index: (0..SHARDS).map(|_| HashTable::new()).collect(),
            hasher: DefaultHashBuilder::default(),
            len: 0,
        };
        nodes.place(Node::new(NodeId::NONE, "", root));
        nodes
    }

    /// How many there are, the root included.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, id: NodeId) -> &Node {
        let at = id.0 as usize;
        self.chunks.get(at / CHUNK).and_then(|chunk| chunk.get(at % CHUNK)?.as_ref()).expect("ids are of live nodes")
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        let at = id.0 as usize;
        let chunk = self.chunks.get_mut(at / CHUNK);
        chunk.and_then(|chunk| chunk.get_mut(at % CHUNK)?.as_mut()).expect("ids are of live nodes")
    }

    /// The node of a path; `""` and `/` are the root.
    pub(crate) fn find(&self, path: &str) -> Option<NodeId> {
        let Some(below_root) = path.strip_prefix('/') else { return path.is_empty().then_some(NodeId::ROOT) };
        if below_root.is_empty() {
            return Some(NodeId::ROOT);
        }
        below_root.split('/').try_fold(NodeId::ROOT, |parent, name| self.child(parent, name))
    }

    /// A node's child of that name.
    pub(crate) fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        let hash = self.hash(parent, name);
        self.shard(hash).find(hash, |id| self.is(*id, parent, name)).copied()
    }

    /// Adds a child behind its siblings. The caller has checked that the name is free.
    pub(crate) fn insert(&mut self, parent: NodeId, name: &str, new: &NewNode<'_>) -> NodeId {
        let id = self.place(Node::new(parent, name, new));
        let hash = self.hash(parent, name);
        let mut shard = std::mem::take(self.shard_mut(hash));
        shard.insert_unique(hash, id, |other| {
            let other = self.get(*other);
            self.hash(other.parent, other.name())
        });
        *self.shard_mut(hash) = shard;
        self.link(parent, id);
        id
    }

    /// Takes out a node without children.
    pub(crate) fn remove(&mut self, id: NodeId) -> Node {
        let node = self.get(id);
        let (parent, hash) = (node.parent, self.hash(node.parent, node.name()));
        if let Ok(entry) = self.shard_mut(hash).find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.unlink(parent, id);
        self.len -= 1;
        self.free.push(id);
        let at = id.0 as usize;
        let slot = self.chunks.get_mut(at / CHUNK).and_then(|chunk| chunk.get_mut(at % CHUNK));
        slot.and_then(Option::take).expect("ids are of live nodes")
    }

    /// A node's children, oldest first.
    pub(crate) fn children(&self, parent: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(self.get(parent).first_child.some(), |id| self.get(*id).next.some())
    }

    /// The node that follows in a walk of the whole tree, parents first.
    pub(crate) fn after(&self, id: NodeId) -> Option<NodeId> {
        self.get(id).first_child.some().or_else(|| self.after_subtree(id))
    }

    /// The node that follows in such a walk when all below `id` is left out.
    pub(crate) fn after_subtree(&self, id: NodeId) -> Option<NodeId> {
        let mut at = id;
        loop {
            let node = self.get(at);
            if let Some(next) = node.next.some() {
                return Some(next);
            }
            at = node.parent.some()?;
        }
    }

    /// The path of a node; the root's is empty.
    pub(crate) fn path(&self, id: NodeId) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while let Some(parent) = self.get(at).parent.some() {
            names.push(self.get(at).name());
            at = parent;
        }
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        path
    }

    fn place(&mut self, node: Node) -> NodeId {
        self.len += 1;
        if let Some(id) = self.free.pop() {
            let at = id.0 as usize;
            if let Some(slot) = self.chunks.get_mut(at / CHUNK).and_then(|chunk| chunk.get_mut(at % CHUNK)) {
                *slot = Some(node);
            }
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("pushed above");
        chunk.push(Some(node));
        NodeId(u32::try_from(full + chunk.len() - 1).expect("memory ends before four thousand million nodes"))
    }

    fn link(&mut self, parent: NodeId, id: NodeId) {
        let first = self.get(parent).first_child;
        if first == NodeId::NONE {
            self.get_mut(parent).first_child = id;
            self.get_mut(id).previous = id;
        } else {
            let last = self.get(first).previous;
            self.get_mut(last).next = id;
            self.get_mut(id).previous = last;
            self.get_mut(first).previous = id;
        }
        self.get_mut(parent).child_count += 1;
    }

    fn unlink(&mut self, parent: NodeId, id: NodeId) {
        let Node { next, previous, .. } = *self.get(id);
        let first = self.get(parent).first_child;
        if first == id {
            self.get_mut(parent).first_child = next;
        } else {
            self.get_mut(previous).next = next;
        }
        // Who is told its new predecessor: the sibling behind, or the first, whose predecessor is the last.
        let told = next.some().unwrap_or(first);
        if told != id {
            self.get_mut(told).previous = previous;
        }
        self.get_mut(parent).child_count -= 1;
    }

    fn is(&self, id: NodeId, parent: NodeId, name: &str) -> bool {
        let node = self.get(id);
        node.parent == parent && node.name() == name
    }

    fn hash(&self, parent: NodeId, name: &str) -> u64 {
        self.hasher.hash_one((parent, name))
    }

    // The table itself uses the lowest and the highest bits.
    fn shard(&self, hash: u64) -> &HashTable<NodeId> {
        self.index.get((hash >> 40) as usize % SHARDS).expect("there are SHARDS shards")
    }

    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<NodeId> {
        self.index.get_mut((hash >> 40) as usize % SHARDS).expect("there are SHARDS shards")
    }
}
