//! Watches: nobody sees a change before its event, on this connection or the next; and an event comes for each change.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use zk_tree::Tree;

use super::Verdict;

#[derive(Default)]
pub(crate) struct Watches {
    /// By client: watched paths, and the change that was the last as the watch was left.
    pending: BTreeMap<u64, BTreeMap<Str, i64>>,
    /// Clients whose connection went away: what they watch is set anew with the next one.
    away: BTreeSet<u64>,
}

impl Watches {
    pub(crate) fn left(&mut self, client: u64, path: &Str, mzxid: i64) {
        self.pending.entry(client).or_default().insert(path.clone(), mzxid);
    }

    pub(crate) fn event(&mut self, client: u64, path: &str) {
        if let Some(pending) = self.pending.get_mut(&client) {
            pending.remove(path);
        }
    }

    /// A client is told of a change of `path`.
    pub(crate) fn saw(&self, client: u64, path: &str, mzxid: i64) -> Verdict {
        match self.pending.get(&client).and_then(|pending| pending.get(path)) {
            Some(since) if *since < mzxid => {
                Err(format!("client {client} watches {path} as of {since:x} and sees {mzxid:x} without an event"))
            }
            _ => Ok(()),
        }
    }

    /// What a client sets anew on its next connection.
    pub(crate) fn pending(&mut self, client: u64) -> Vec<Str> {
        self.away.remove(&client);
        self.pending.get(&client).map(|pending| pending.keys().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn disconnected(&mut self, client: u64) {
        self.away.insert(client);
    }

    pub(crate) fn forget(&mut self, client: u64) {
        self.pending.remove(&client);
    }

    /// All is quiet, and everything that was sent has arrived.
    pub(crate) fn finish(&self, tree: &Tree) -> Verdict {
        for (client, pending) in self.pending.iter().filter(|(client, _)| !self.away.contains(client)) {
            for (path, since) in pending {
                let last = tree.get(path).map(|node| node.stat().mzxid).unwrap_or_default();
                if last > *since {
                    return Err(format!("client {client} watches {path} as of {since:x} and was not told of {last:x}"));
                }
            }
        }
        Ok(())
    }
}
