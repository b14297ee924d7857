//! Each distinct ACL once, counted by the nodes that use it (`ReferenceCountedACLCache`).

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use zk_proto::snapshot::{AclRecord, OPEN_ACL_INDEX};
use zk_proto::{Acl, Id};

/// An ACL as nodes and events share it.
pub type AclList = Arc<[Acl]>;

/// A node's ACL: its index in snapshots, in fewer bits. 0 is open to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AclId(pub(crate) u32);

impl AclId {
    pub(crate) const OPEN: Self = Self(0);
    /// A snapshot's node refers to an ACL that the snapshot lacks. The original fails each request for it; here nobody
    /// but the super user may do anything.
    pub(crate) const MISSING: Self = Self(u32::MAX);

    /// The index in a snapshot.
    pub(crate) fn index(self) -> i64 {
        match self {
            Self::OPEN => OPEN_ACL_INDEX,
            Self(index) => i64::from(index),
        }
    }
}

struct Counted {
    acl: AclList,
    nodes: u64,
}

pub(crate) struct AclCache {
    by_id: BTreeMap<AclId, Counted>,
    by_acl: HashMap<AclList, AclId>,
    open: AclList,
    nobody: AclList,
    last: u32,
}

impl Default for AclCache {
    fn default() -> Self {
        let nobody = Acl { perms: zk_proto::Perms(0), id: Id::from_static("world", "nobody") };
        Self {
            by_id: BTreeMap::new(),
            by_acl: HashMap::new(),
            open: Arc::from([Acl::OPEN]),
            nobody: Arc::from([nobody]),
            last: 0,
        }
    }
}

impl AclCache {
    /// Counts one more node with this ACL.
    pub(crate) fn add(&mut self, acl: &[Acl]) -> AclId {
        if let Some(id) = self.by_acl.get(acl).copied() {
            self.count(id);
            return id;
        }
        // Its own memory: the list outlives the request that it came with.
        let acl: AclList = acl.iter().map(|acl| Acl { perms: acl.perms, id: acl.id.copied() }).collect();
        let id = self.next_id();
        self.by_acl.insert(AclList::clone(&acl), id);
        self.by_id.insert(id, Counted { acl, nodes: 1 });
        id
    }

    /// A number that no ACL has. They are used again after four thousand million.
    fn next_id(&mut self) -> AclId {
        loop {
            self.last = self.last.wrapping_add(1);
            let id = AclId(self.last);
            if id != AclId::OPEN && id != AclId::MISSING && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// Counts one more node with the ACL of a snapshot's index.
    pub(crate) fn add_index(&mut self, index: i64) -> AclId {
        if index == OPEN_ACL_INDEX {
            return AclId::OPEN;
        }
        match u32::try_from(index).map(AclId) {
            Ok(id) if self.by_id.contains_key(&id) => {
                self.count(id);
                id
            }
            _ => AclId::MISSING,
        }
    }

    fn count(&mut self, id: AclId) {
        if let Some(counted) = self.by_id.get_mut(&id) {
            counted.nodes += 1;
        }
    }

    /// Counts one node less, and forgets the ACL of none.
    pub(crate) fn remove(&mut self, id: AclId) {
        let Some(counted) = self.by_id.get_mut(&id) else { return };
        counted.nodes = counted.nodes.saturating_sub(1);
        if counted.nodes == 0 {
            self.by_acl.remove(&counted.acl);
            self.by_id.remove(&id);
        }
    }

    pub(crate) fn list(&self, id: AclId) -> &AclList {
        match id {
            AclId::OPEN => &self.open,
            id => self.by_id.get(&id).map_or(&self.nobody, |counted| &counted.acl),
        }
    }

    /// Takes over a snapshot's record, used by no node so far. `false` if its index is none that a server writes.
    pub(crate) fn restore(&mut self, record: &AclRecord) -> bool {
        let Ok(index) = u32::try_from(record.index) else { return false };
        if index == 0 || index == u32::MAX {
            return false;
        }
        let acl: AclList = record.acl.iter().map(|acl| Acl { perms: acl.perms, id: acl.id.copied() }).collect();
        self.last = self.last.max(index);
        self.by_acl.insert(AclList::clone(&acl), AclId(index));
        self.by_id.insert(AclId(index), Counted { acl, nodes: 0 });
        true
    }

    /// Forgets what no node uses, after a snapshot was read.
    pub(crate) fn purge(&mut self) {
        self.by_id.retain(|_, counted| counted.nodes > 0);
        let by_id = &self.by_id;
        self.by_acl.retain(|_, id| by_id.contains_key(id));
    }

    /// All, by index.
    pub(crate) fn records(&self) -> Vec<AclRecord> {
        let records = self.by_id.iter();
        records.map(|(id, counted)| AclRecord { index: id.index(), acl: counted.acl.to_vec() }).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Vec<Acl> {
        vec![Acl { perms: zk_proto::Perms::ALL, id: Id { scheme: "digest".into(), id: name.into() } }]
    }

    #[test]
    fn numbers_begin_anew_and_pass_over_those_in_use() {
        let mut cache = AclCache::default();
        let kept = cache.add(&of("kept"));
        cache.last = u32::MAX - 2;
        let ids = ["a", "b", "c"].map(|name| cache.add(&of(name)));
        assert_eq!((kept, ids), (AclId(1), [AclId(u32::MAX - 1), AclId(2), AclId(3)]));
        assert_eq!(cache.list(kept)[..], of("kept"));
    }
}
