//! What must hold whatever happens: a file for each rule. Clients and the world tell the [`Onlooker`] what they see, who
//! sees everything; a rule is checked where it can first be broken, and the rest at the end of the run.

pub(crate) mod acknowledged;
pub(crate) mod ephemerals;
pub(crate) mod leaders;
pub(crate) mod linearizable;
pub(crate) mod lists;
pub(crate) mod one_history;
pub(crate) mod order;
pub(crate) mod progress;
pub(crate) mod read_only;
pub(crate) mod rights;
pub(crate) mod watches;

use std::collections::BTreeMap;

use zk_proto::TxnEntry;

/// Whether a rule held; if not, how it was broken.
pub(crate) type Verdict = Result<(), String>;

/// Who sees everything.
#[derive(Default)]
pub(crate) struct Onlooker {
    pub(crate) acknowledged: acknowledged::Acknowledged,
    pub(crate) ephemerals: ephemerals::Ephemerals,
    pub(crate) leaders: leaders::Leaders,
    pub(crate) linearizable: linearizable::Linearizable,
    pub(crate) history: one_history::OneHistory,
    pub(crate) order: order::Order,
    pub(crate) read_only: read_only::ReadOnly,
    pub(crate) rights: rights::Rights,
    pub(crate) watches: watches::Watches,
    /// What the run went through, to know that it tests what it should.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Onlooker {
    /// Holds what read-only servers have shown against the whole history.
    pub(crate) fn settle_readers(&mut self, history: &BTreeMap<i64, TxnEntry>) -> Verdict {
        for read_only::Look { path, zxid, is_there } in self.read_only.finish(history)? {
            self.ephemerals.looked(&path, zxid, is_there);
        }
        Ok(())
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }
}
