//! What must hold in a cluster whatever happens: a file for each rule.

pub(crate) mod acknowledged;
pub(crate) mod commits;
pub(crate) mod committed;
pub(crate) mod leaders;
pub(crate) mod office;
pub(crate) mod offsets;
pub(crate) mod owners;
pub(crate) mod progress;
pub(crate) mod reads;
pub(crate) mod replicas;
pub(crate) mod starts;

use std::collections::BTreeMap;

use base::Str;

/// Names of static members.
#[derive(Default)]
pub(crate) struct Names {
    /// That of a member that stands still, for whoever wants it.
    pub(crate) free: Option<Str>,
    /// How many go by a name beside the one who had it first.
    more: BTreeMap<Str, u64>,
}

impl Names {
    /// Another one goes by a name.
    pub(crate) fn taken(&mut self, name: &Str) {
        *self.more.entry(name.clone()).or_default() += 1;
    }

    /// One of those who go by a name would do so no more; false if it is the last one.
    pub(crate) fn given_up(&mut self, name: &Str) -> bool {
        let others = self.more.entry(name.clone()).or_default();
        let is_one_of_many = *others > 0;
        *others = others.saturating_sub(1);
        is_one_of_many
    }
}

/// Who sees everything.
#[derive(Default)]
pub(crate) struct Onlooker {
    pub(crate) acknowledged: acknowledged::Acknowledged,
    pub(crate) committed: committed::Committed,
    pub(crate) leaders: leaders::Leaders,
    pub(crate) reads: reads::Reads,
    pub(crate) offsets: offsets::Offsets,
    pub(crate) owners: owners::Owners,
    pub(crate) commits: commits::Commits,
    pub(crate) names: Names,
    pub(crate) starts: starts::Starts,
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
