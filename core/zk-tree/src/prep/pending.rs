//! What is on its way to the tree: logged or about to be, not yet applied (`outstandingChanges`).

use std::collections::VecDeque;

use base::Str;
use hashbrown::HashMap;
use zk_proto::StatPersisted;

use crate::digest::{self, UNDIGESTED_PREFIX};
use crate::{AclList, Tree};

/// A node as it will be.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) stat: StatPersisted,
    pub(super) child_count: i32,
    pub(super) acl: AclList,
    prefix_crc: u32,
}

impl Record {
    pub(super) fn new(tree: &Tree, path: &str, stat: StatPersisted, acl: AclList, data: Option<&[u8]>) -> Self {
        let mut record = Self { stat, child_count: 0, acl, prefix_crc: 0 };
        record.set_data(tree, path, data);
        record
    }

    /// Only the digest needs the data.
    pub(super) fn set_data(&mut self, tree: &Tree, path: &str, data: Option<&[u8]>) {
        if tree.settings().digest && !undigested(path) {
            self.prefix_crc = digest::prefix_crc(path, data);
        }
    }
}

/// Whether a path is left out of the digest.
pub(super) fn undigested(path: &str) -> bool {
    path.starts_with(UNDIGESTED_PREFIX)
}

#[derive(Clone)]
struct Change {
    serial: u64,
    /// `None`: the node will be gone.
    record: Option<Record>,
}

/// What a request changed, to take it back.
struct Undo {
    path: Str,
    before: Option<Change>,
}

#[derive(Default)]
pub(super) struct Pending {
    /// The newest change of each path.
    by_path: HashMap<Str, Change>,
    /// All changes in order.
    order: VecDeque<(i64, u64, Str)>,
    serial: u64,
    /// The tree's digest behind the newest change; `None`: the tree's own.
    digest: Option<u64>,
    undo: Vec<Undo>,
    digest_before: Option<u64>,
}

impl Pending {
    /// A request begins.
    pub(super) fn begin(&mut self) {
        self.undo.clear();
        self.digest_before = self.digest;
    }

    /// Takes back what the request changed.
    pub(super) fn roll_back(&mut self) {
        while let Some(Undo { path, before }) = self.undo.pop() {
            self.order.pop_back();
            match before {
                Some(change) => self.by_path.insert(path, change),
                None => self.by_path.remove(&path),
            };
        }
        self.digest = self.digest_before;
    }

    /// The node of a path as it will be; `None` if it will not be there.
    pub(super) fn record(&self, tree: &Tree, path: &str) -> Option<Record> {
        let path = canonical(path);
        if let Some(change) = self.by_path.get(path) {
            return change.record.clone();
        }
        let node = tree.get(path)?;
        Some(Record {
            stat: node.stat_persisted(),
            child_count: node.child_count() as i32,
            acl: AclList::clone(node.acl()),
            prefix_crc: node.prefix_crc(),
        })
    }

    pub(super) fn change(&mut self, tree: &Tree, zxid: i64, path: &Str, record: Option<Record>) {
        let path = if path == "/" { Str::EMPTY } else { path.clone() };
        if tree.settings().digest && !undigested(&path) {
            let of = |record: Option<&Record>| record.map_or(0, |node| digest::of_node(node.prefix_crc, &node.stat));
            let before = of(self.record(tree, &path).as_ref());
            let digest = self.tree_digest(tree).wrapping_sub(before).wrapping_add(of(record.as_ref()));
            self.digest = Some(digest);
        }
        self.serial += 1;
        self.order.push_back((zxid, self.serial, path.clone()));
        let before = self.by_path.insert(path.clone(), Change { serial: self.serial, record });
        self.undo.push(Undo { path, before });
    }

    /// The digest of the tree when all that is on the way is applied.
    pub(super) fn tree_digest(&self, tree: &Tree) -> u64 {
        self.digest.unwrap_or_else(|| tree.digest())
    }

    /// All paths that change, each as it will be.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&Str, Option<&Record>)> {
        self.order.iter().filter_map(|(_, serial, path)| {
            let change = self.by_path.get(path).filter(|change| change.serial == *serial)?;
            Some((path, change.record.as_ref()))
        })
    }

    /// Forgets what is applied.
    pub(super) fn applied(&mut self, zxid: i64) {
        while self.order.front().is_some_and(|(change, ..)| *change <= zxid) {
            let Some((_, serial, path)) = self.order.pop_front() else { break };
            if self.by_path.get(&path).is_some_and(|change| change.serial == serial) {
                self.by_path.remove(&path);
            }
        }
        if self.order.is_empty() {
            self.digest = None;
        }
    }
}

fn canonical(path: &str) -> &str {
    if path == "/" { "" } else { path }
}
