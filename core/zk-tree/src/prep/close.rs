//! The end of a session: its ephemeral nodes go under one zxid, also those that are only on their way to the tree.

use std::collections::BTreeSet;

use base::Str;
use zk_proto::Txn;
use zk_proto::txn::CloseSessionTxn;

use super::Turn;

impl Turn<'_> {
    pub(super) fn close_session(&mut self) -> Txn {
        let session_id = self.write.session_id;
        let mut paths: BTreeSet<Str> = self.tree.ephemerals(session_id).into_iter().map(Str::from).collect();
        let mut buckets = buckets_of(paths.len());
        for (path, record) in self.prep.pending.changed() {
            match record {
                None => {
                    paths.remove(path);
                }
                Some(record) if record.stat.ephemeral_owner == session_id => {
                    paths.insert(path.clone());
                    buckets = if paths.len() * 4 > buckets * 3 { buckets * 2 } else { buckets };
                }
                // Deleted, and made anew by another session or for good.
                Some(_) => {
                    paths.remove(path);
                }
            }
        }
        let mut paths: Vec<Str> = paths.into_iter().collect();
        paths.sort_by_key(|path| bucket(path, buckets));
        for path in &paths {
            let parent_path = zk_proto::path::split(path).map_or(Str::EMPTY, |(parent, _)| Str::copied(parent));
            if let Ok(parent) = self.record(&parent_path) {
                self.change_for_delete(&parent_path, parent, path);
            }
        }
        self.sessions.set_closing(session_id);
        let named = self.prep.settings.close_session_txn;
        Txn::CloseSession(named.then_some(CloseSessionTxn { paths_to_delete: paths }))
    }
}

// The original lists the nodes as a copy of a `java.util.HashSet` gives them. So that log entries are equal to the byte,
// ours are in that order: by bucket (and by path where two meet in one, where the original goes by age).

/// How many buckets a copied set of `len` strings has.
fn buckets_of(len: usize) -> usize {
    match len {
        0 => 16,
        len => (len * 4 / 3 + 1).next_power_of_two(),
    }
}

fn bucket(text: &str, buckets: usize) -> usize {
    let hash = text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) as usize & (buckets - 1)
}
