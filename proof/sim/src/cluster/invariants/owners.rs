//! In each generation of a group a partition has one member at the most. Who came back under its static name is the same member.

use std::collections::BTreeMap;

use base::Str;

use crate::invariants::Verdict;

/// Who has read what: by generation and partition, the member's id, or its name if it has one.
#[derive(Default)]
pub(crate) struct Owners(BTreeMap<(i32, i32), Str>);

impl Owners {
    /// A member got these partitions.
    pub(crate) fn assigned(&mut self, generation: i32, owner: &Str, partitions: &[i32]) -> Verdict {
        for partition in partitions {
            let before = self.0.entry((generation, *partition)).or_insert_with(|| owner.clone());
            if before != owner {
                return Err(format!("in generation {generation} partition {partition} is {before}'s and {owner}'s"));
            }
        }
        Ok(())
    }

    /// How many generations there were.
    pub(crate) fn generations(&self) -> u64 {
        let mut all: Vec<i32> = self.0.keys().map(|(generation, _)| *generation).collect();
        all.dedup();
        all.len() as u64
    }
}
