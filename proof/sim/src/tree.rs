//! The tree that a start would find on a disk.

use std::path::Path;

use base::{Disk, Slow};
use zk_proto::snapshot::{AclRecord, NodeRecord, SessionRecord};
use zk_proto::{Acl, TxnEntry};
use zk_store::{Recovered, SnapshotDigest, SnapshotSink, recover};
use zk_tree::{Restore, Tree, TreeSettings};

use crate::server::Machine;
use crate::settings::LOG_DIR;

const SETTINGS: TreeSettings = TreeSettings { extended_types: false, digest: true };

struct Loading {
    zxid: i64,
    restore: Option<Restore>,
    tree: Tree,
    failed: Option<String>,
}

impl Loading {
    fn note<T, E: std::fmt::Display>(&mut self, result: Result<T, E>) -> Result<T, String> {
        result.map_err(|error| {
            self.failed = Some(error.to_string());
            error.to_string()
        })
    }
}

impl SnapshotSink for Loading {
    fn begin(&mut self, zxid: i64) {
        *self = Self { zxid, restore: Some(Restore::new(SETTINGS)), tree: Tree::new(SETTINGS), failed: None };
    }

    fn session(&mut self, session: SessionRecord) {
        if let Some(restore) = &mut self.restore {
            restore.session(&session);
        }
    }

    fn acl(&mut self, index: i64, acl: Vec<Acl>) {
        let result = self.restore.as_mut().map(|restore| restore.acl(&AclRecord { index, acl }));
        let _ = self.note(result.unwrap_or(Ok(())));
    }

    fn node(&mut self, node: NodeRecord) -> Result<(), String> {
        let result = self.restore.as_mut().map(|restore| restore.node(&node));
        self.note(result.unwrap_or(Ok(())))
    }

    fn end(&mut self, _digest: Option<SnapshotDigest>) {
        if let Some(restore) = self.restore.take()
            && let Ok(tree) = self.note(restore.finish(self.zxid))
        {
            self.tree = tree;
        }
    }
}

impl Recovered for Loading {
    fn txn(&mut self, entry: TxnEntry, _payload_len: usize) -> Result<(), String> {
        self.tree.apply(&entry.header, &entry.txn, &mut Vec::new());
        Ok(())
    }
}

/// Recovers the tree of a machine that is off.
pub(crate) fn recovered(machine: &Machine) -> Result<Tree, String> {
    let mut loading = Loading { zxid: 0, restore: None, tree: Tree::new(SETTINGS), failed: None };
    let (disk, id): (&dyn Disk, _) = (&machine.disk, machine.id);
    let dir = Path::new(LOG_DIR);
    let recovery = recover(disk, dir, dir, false, &mut loading, &Slow::allowed())
        .map_err(|error| format!("the disk of server {id} can't be recovered: {error}"))?;
    if let Some(error) = loading.failed {
        return Err(format!("the snapshot of server {id} makes no sense: {error}"));
    }
    loading.tree.set_last_zxid(recovery.last_zxid);
    Ok(loading.tree)
}
