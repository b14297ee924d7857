//! A session's operations are in order: its answers never go back in history, and its transactions have the order of their
//! requests (the clients' numbers rise).

use std::collections::BTreeMap;

use zk_proto::{Txn, TxnEntry};

use super::Verdict;

#[derive(Default)]
pub(crate) struct Order {
    /// The newest zxid that a session was answered with.
    sessions: BTreeMap<i64, i64>,
}

impl Order {
    /// A new session has this name.
    pub(crate) fn session_made(&mut self, session: i64) -> Verdict {
        match self.sessions.insert(session, 0) {
            None => Ok(()),
            Some(_) => Err(format!("session {session:x} is given out twice")),
        }
    }

    pub(crate) fn replied(&mut self, session: i64, zxid: i64) -> Verdict {
        let last = self.sessions.entry(session).or_default();
        if zxid < *last {
            return Err(format!("session {session:x} is answered at {zxid:x} after {last:x}"));
        }
        *last = zxid;
        Ok(())
    }

    /// Looks through a history.
    pub(crate) fn finish<'a>(&self, history: impl Iterator<Item = &'a TxnEntry>) -> Verdict {
        let mut last: BTreeMap<i64, i32> = BTreeMap::new();
        for TxnEntry { header, txn, .. } in history {
            // Numbers of a moved session's old requests may come late, as errors. 0: the server itself.
            if changes_nothing(txn) || header.cxid == 0 {
                continue;
            }
            if let Some(before) = last.insert(header.session_id, header.cxid).filter(|before| *before >= header.cxid) {
                let (session, cxid, zxid) = (header.session_id, header.cxid, header.zxid);
                return Err(format!(
                    "request {cxid} of session {session:x} is done at {zxid:x}, behind {before}: {txn:?}"
                ));
            }
        }
        Ok(())
    }
}

fn changes_nothing(txn: &Txn) -> bool {
    match txn {
        Txn::Error(_) => true,
        Txn::Multi(parts) => parts.iter().any(|part| matches!(part, Txn::Error(_))),
        _ => false,
    }
}
