//! What must hold in a cluster whatever happens: a file for each rule.

pub(crate) mod acknowledged;
pub(crate) mod committed;
pub(crate) mod leaders;
pub(crate) mod office;
pub(crate) mod offsets;
pub(crate) mod progress;
pub(crate) mod reads;
pub(crate) mod replicas;

use std::collections::BTreeMap;

/// Who sees everything.
#[derive(Default)]
pub(crate) struct Onlooker {
    pub(crate) acknowledged: acknowledged::Acknowledged,
    pub(crate) committed: committed::Committed,
    pub(crate) leaders: leaders::Leaders,
    pub(crate) reads: reads::Reads,
    pub(crate) offsets: offsets::Offsets,
    /// What the run went through, to know that it tests what it should.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) tells: bool,
}

impl Onlooker {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// How often it was counted.
    pub(crate) fn seen(&self, what: &str) -> u64 {
        self.seen.get(what).copied().unwrap_or(0)
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("          {}", what());
        }
    }
}
