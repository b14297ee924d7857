//! An offset that was committed, or seen, stays until another one takes its place.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;

use crate::invariants::Verdict;

/// What is known of each group's offset.
#[derive(Default)]
pub(crate) struct Offsets(BTreeMap<Str, Group>);

#[derive(Default)]
struct Group {
    /// Acknowledged, or seen.
    known: Option<i64>,
    /// Of unknown fate: a request that was given up may be done at any time.
    floating: BTreeSet<i64>,
}

impl Offsets {
    /// A commit is sent.
    pub(crate) fn asked(&mut self, group: &Str, offset: i64) {
        self.0.entry(group.clone()).or_default().floating.insert(offset);
    }

    /// It is acknowledged.
    pub(crate) fn committed(&mut self, group: &Str, offset: i64) {
        let group = self.0.entry(group.clone()).or_default();
        group.floating.remove(&offset);
        group.known = Some(offset);
    }

    /// The coordinator says that this is the offset; -1 for none.
    pub(crate) fn seen(&mut self, name: &Str, offset: i64) -> Verdict {
        let group = self.0.entry(name.clone()).or_default();
        if offset != group.known.unwrap_or(-1) && !group.floating.contains(&offset) {
            let (known, floating) = (group.known, &group.floating);
            return Err(format!(
                "{name} has offset {offset}, and {known:?} was committed last ({floating:?} may be, too)"
            ));
        }
        group.known = (offset >= 0).then_some(offset);
        Ok(())
    }
}
