//! Where znodes lie: a slab of fixed records, found by parent and name.
//!
//! A million nodes of 100 bytes are to fit into a quarter of what the original needs, so a path is stored nowhere: a node
//! knows its parent and its own name, children are a linked list through the nodes, all else is one allocation ([`Body`]).
//! Slab and index grow in small pieces, so that no single insertion waits for a big copy.

mod body;

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use zk_proto::StatPersisted;

use self::body::{Body, Head};
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

/// One znode: 32 bytes, and its body beside it.
#[derive(Debug)]
pub(crate) struct Node {
    body: Body,
    pub(crate) parent: NodeId,
    next: NodeId,
    /// The sibling before; the first child's is the last child.
    previous: NodeId,
    /// CRC-32 over path and data: what of the digest does not depend on the metadata.
    pub(crate) prefix_crc: u32,
}

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
        let NewNode { data, stat, acl, undigested, prefix_crc } = *new;
        let body = Body::new(name, data, &Head { stat, acl, undigested, first_child: NodeId::NONE, child_count: 0 });
        Self { body, parent, next: NodeId::NONE, previous: NodeId::NONE, prefix_crc }
    }

    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(self.body.name()).expect("names are made of str")
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        self.body.data()
    }

    pub(crate) fn data_length(&self) -> usize {
        self.body.data_length()
    }

    pub(crate) fn set_data(&mut self, data: Option<&[u8]>) {
        self.body.set_data(data);
    }

    pub(crate) fn stat(&self) -> StatPersisted {
        self.body.head().stat
    }

    /// Name, data, metadata and ACL.
    pub(crate) fn all(&self) -> (&str, Option<&[u8]>, StatPersisted, AclId) {
        let (name, data, Head { stat, acl, .. }) = self.body.all();
        (std::str::from_utf8(name).expect("names are made of str"), data, stat, acl)
    }

    /// Changes the metadata; as they were, and as they are.
    pub(crate) fn change_stat(&mut self, change: impl FnOnce(&mut StatPersisted)) -> (StatPersisted, StatPersisted) {
        let mut head = self.body.head();
        let before = head.stat;
        change(&mut head.stat);
        self.body.set_head(&head);
        (before, head.stat)
    }

    pub(crate) fn acl(&self) -> AclId {
        self.body.acl()
    }

    pub(crate) fn set_acl(&mut self, acl: AclId) {
        self.body.set_head(&Head { acl, ..self.body.head() });
    }

    pub(crate) fn child_count(&self) -> u32 {
        self.body.child_count()
    }

    pub(crate) fn is_undigested(&self) -> bool {
        self.body.is_undigested()
    }
}

/// The path of a node, from which those of its children and siblings are made.
pub(crate) struct KnownPath {
    node: NodeId,
    parent: NodeId,
    /// Bytes of the parent's path.
    parent_length: usize,
    text: String,
}

impl KnownPath {
    /// The root's.
    pub(crate) const ROOT: Self =
        Self { node: NodeId::ROOT, parent: NodeId::NONE, parent_length: 0, text: String::new() };

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

const CHUNK: usize = 1024;
const SHARDS: usize = 256;

/// A node in the index, with the part of its hash that its shard goes by: a shard grows, and passes over others, without a look at nodes that
/// lie all over the memory.
#[derive(Clone, Copy)]
struct Indexed {
    id: NodeId,
    hash: u32,
}

impl Indexed {
    fn new(id: NodeId, hash: u64) -> Self {
        Self { id, hash: hash as u32 }
    }

    /// The table uses the lowest and the highest bits.
    fn in_shard(self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

/// All znodes.
pub(crate) struct Nodes {
    chunks: Vec<Vec<Option<Node>>>,
    free: Vec<NodeId>,
    /// Nodes by parent and name, in shards that grow one at a time.
    index: Vec<HashTable<Indexed>>,
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
        let hash = self.hash(parent, name.as_bytes());
        let wanted = Indexed::new(NodeId::NONE, hash);
        let is_it = |other: &Indexed| other.hash == wanted.hash && self.is(other.id, parent, name);
        self.shard(hash).find(wanted.in_shard(), is_it).map(|found| found.id)
    }

    /// Adds a child behind its siblings. The caller has checked that the name is free.
    pub(crate) fn insert(&mut self, parent: NodeId, name: &str, new: &NewNode<'_>) -> NodeId {
        let id = self.place(Node::new(parent, name, new));
        let hash = self.hash(parent, name.as_bytes());
        let indexed = Indexed::new(id, hash);
        self.shard_mut(hash).insert_unique(indexed.in_shard(), indexed, |other| other.in_shard());
        self.link(parent, id);
        id
    }

    /// Takes out a node without children.
    pub(crate) fn remove(&mut self, id: NodeId) -> Node {
        let node = self.get(id);
        let (parent, hash) = (node.parent, self.hash(node.parent, node.body.name()));
        let in_shard = Indexed::new(id, hash).in_shard();
        if let Ok(entry) = self.shard_mut(hash).find_entry(in_shard, |other| other.id == id) {
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
        std::iter::successors(self.get(parent).body.first_child().some(), |id| self.get(*id).next.some())
    }

    /// The node that follows in a walk of the whole tree, parents first.
    pub(crate) fn after(&self, id: NodeId) -> Option<NodeId> {
        self.get(id).body.first_child().some().or_else(|| self.after_subtree(id))
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
        let nodes = || std::iter::successors(Some(self.get(id)), |node| node.parent.some().map(|id| self.get(id)));
        // The root has no parent, and is in no path.
        let names = || nodes().filter(|node| node.parent != NodeId::NONE).map(|node| node.body.name());
        let mut path = vec![b'/'; names().map(|name| name.len() + 1).sum()];
        let mut rest = path.as_mut_slice();
        for name in names() {
            let (front, place) = rest.split_at_mut(rest.len() - name.len());
            place.copy_from_slice(name);
            rest = front.split_last_mut().map_or(&mut [], |(_, front)| front);
        }
        String::from_utf8(path).expect("names are made of str")
    }

    /// Makes a known path that of another node, whose name is given.
    pub(crate) fn go_on(&self, known: &mut KnownPath, id: NodeId, name: &str) {
        let parent = self.get(id).parent;
        if known.node == parent && parent != NodeId::NONE {
            known.parent_length = known.text.len();
        } else if known.parent != parent {
            known.text = if parent == NodeId::NONE { String::new() } else { self.path(parent) };
            known.parent_length = known.text.len();
        }
        known.text.truncate(known.parent_length);
        if parent != NodeId::NONE {
            known.text.push('/');
            known.text.push_str(name);
        }
        (known.node, known.parent) = (id, parent);
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
        let (first, count) = self.children_of(parent);
        if first == NodeId::NONE {
            self.get_mut(id).previous = id;
        } else {
            let last = self.get(first).previous;
            self.get_mut(last).next = id;
            self.get_mut(id).previous = last;
            self.get_mut(first).previous = id;
        }
        self.get_mut(parent).body.set_children(first.some().unwrap_or(id), count + 1);
    }

    fn unlink(&mut self, parent: NodeId, id: NodeId) {
        let Node { next, previous, .. } = *self.get(id);
        let (first, count) = self.children_of(parent);
        if first != id {
            self.get_mut(previous).next = next;
        }
        // Who is told its new predecessor: the sibling behind, or the first, whose predecessor is the last.
        let told = next.some().unwrap_or(first);
        if told != id {
            self.get_mut(told).previous = previous;
        }
        self.get_mut(parent).body.set_children(if first == id { next } else { first }, count - 1);
    }

    fn children_of(&self, parent: NodeId) -> (NodeId, u32) {
        let body = &self.get(parent).body;
        (body.first_child(), body.child_count())
    }

    fn is(&self, id: NodeId, parent: NodeId, name: &str) -> bool {
        let node = self.get(id);
        node.parent == parent && node.body.name() == name.as_bytes()
    }

    fn hash(&self, parent: NodeId, name: &[u8]) -> u64 {
        self.hasher.hash_one((parent, name))
    }

    fn shard(&self, hash: u64) -> &HashTable<Indexed> {
        self.index.get(shard_of(hash)).expect("there are SHARDS shards")
    }

    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<Indexed> {
        self.index.get_mut(shard_of(hash)).expect("there are SHARDS shards")
    }
}

/// The last shard gets twice the share of the first and the others something between: so they double one after the other,
/// and there is no number of nodes at which the whole index is half empty.
const fn shard_of(hash: u64) -> usize {
    // The table itself uses the lowest 32.
    let at = (hash >> 40) as usize & 0xFFFF;
    SHARDS * at * (0x4_0000 - at) / (0x3_0000 * 0x1_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_gets_between_three_quarters_and_three_halves_of_the_mean() {
        let mut counts = [0; SHARDS];
        (0..0x1_0000).for_each(|at| counts[shard_of(at << 40)] += 1);
        assert!(counts.iter().all(|count| (191..=385).contains(count)), "{counts:?}");
        assert!(counts[0] < 195 && counts[SHARDS - 1] > 380, "{counts:?}");
    }
}
