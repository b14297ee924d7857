//! No acknowledged write is lost: sequential nodes, which nobody deletes, and the registers (by their versions, see
//! [`super::linearizable`]) are in every server's tree at the end.

use std::collections::BTreeMap;

use base::Str;
use bytes::Bytes;
use zk_tree::Tree;

use super::Verdict;

#[derive(Default)]
pub(crate) struct Acknowledged {
    made: BTreeMap<Str, Bytes>,
}

impl Acknowledged {
    pub(crate) fn made(&mut self, path: Str, data: Bytes) {
        self.made.insert(path, data);
    }

    pub(crate) fn finish(&self, tree: &Tree) -> Verdict {
        for (path, data) in &self.made {
            match tree.get(path).map(|node| node.data().unwrap_or_default() == data) {
                Some(true) => {}
                Some(false) => return Err(format!("{path} was acknowledged with other data")),
                None => return Err(format!("{path} was acknowledged and is lost")),
            }
        }
        Ok(())
    }
}
