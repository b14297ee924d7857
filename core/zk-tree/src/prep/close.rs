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
        for (path, record) in self.prep.pending.changed() {
            match record {
                None => {
                    paths.remove(path);
                }
                Some(record) if record.stat.ephemeral_owner == session_id => {
                    paths.insert(path.clone());
                }
                Some(_) => {}
            }
        }
        for path in &paths {
            let parent_path = zk_proto::path::split(path).map_or(Str::EMPTY, |(parent, _)| Str::copied(parent));
            if let Ok(parent) = self.record(&parent_path) {
                self.change_for_delete(&parent_path, parent, path);
            }
        }
        self.sessions.set_closing(session_id);
        let named = self.prep.settings.close_session_txn;
        Txn::CloseSession(named.then(|| CloseSessionTxn { paths_to_delete: paths.into_iter().collect() }))
    }
}
