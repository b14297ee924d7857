//! Who votes, and which sets of servers may decide (`QuorumMaj`, `QuorumHierarchical`).

use std::collections::{BTreeMap, BTreeSet};

use crate::ServerId;

/// A server with a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    /// `weight.N`, 1 if not told. A server of weight 0 follows, acknowledges and never leads.
    pub weight: i64,
    /// `group.N`; 0 for all when there are no groups.
    pub group: i64,
}

/// One version of the ensemble's list of servers, as far as deciding goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quorum {
    version: i64,
    voters: BTreeMap<ServerId, Voter>,
    observers: BTreeSet<ServerId>,
    /// Whether groups and weights count; if not, the majority of heads.
    hierarchical: bool,
}

impl Quorum {
    /// The majority of `voters` decides.
    pub fn majority(
        version: i64,
        voters: impl IntoIterator<Item = ServerId>,
        observers: impl IntoIterator<Item = ServerId>,
    ) -> Self {
        let voters = voters.into_iter().map(|id| (id, Voter { weight: 1, group: 0 })).collect();
        Self { version, voters, observers: observers.into_iter().collect(), hierarchical: false }
    }

    /// The majority of groups decides, a group by the majority of its weight. Groups of no weight don't count.
    pub fn hierarchical(
        version: i64,
        voters: BTreeMap<ServerId, Voter>,
        observers: impl IntoIterator<Item = ServerId>,
    ) -> Self {
        Self { version, voters, observers: observers.into_iter().collect(), hierarchical: true }
    }

    /// Which version of the list this is; the later one counts.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// Whether those for whom `agrees` holds may decide. Servers without a vote don't count.
    pub fn is_quorum(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        if !self.hierarchical {
            return self.voters.keys().filter(|id| agrees(**id)).count() > self.voters.len() / 2;
        }
        let mut groups: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for (id, voter) in &self.voters {
            let (agreed, all) = groups.entry(voter.group).or_default();
            *all += voter.weight;
            if agrees(*id) {
                *agreed += voter.weight;
            }
        }
        groups.retain(|_, (_, all)| *all > 0);
        let won = groups.values().filter(|(agreed, all)| *agreed > all / 2).count();
        won > groups.len() / 2
    }

    /// Whether `id` has a vote.
    pub fn is_voter(&self, id: ServerId) -> bool {
        self.voters.contains_key(&id)
    }

    /// Whether `id` is listed at all.
    pub fn contains(&self, id: ServerId) -> bool {
        self.is_voter(id) || self.observers.contains(&id)
    }

    /// Whether `id` may lead.
    pub fn may_lead(&self, id: ServerId) -> bool {
        self.voters.get(&id).is_some_and(|voter| voter.weight > 0)
    }

    /// Servers with a vote, in order.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.voters.keys().copied()
    }

    /// All servers, in order.
    pub fn servers(&self) -> BTreeSet<ServerId> {
        self.voters().chain(self.observers.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(quorum: &Quorum, ids: &[ServerId]) -> bool {
        quorum.is_quorum(|id| ids.contains(&id))
    }

    #[test]
    fn more_than_half_of_the_voters_decide_and_observers_do_not_count() {
        let quorum = Quorum::majority(0, [1, 2, 3, 4], [5, 6]);
        assert!(agree(&quorum, &[1, 2, 4]));
        assert!(!agree(&quorum, &[1, 2]));
        assert!(!agree(&quorum, &[1, 2, 5, 6]));
        assert!(quorum.contains(5) && !quorum.is_voter(5) && !quorum.may_lead(5));
    }

    #[test]
    fn groups_decide_by_weight_and_groups_without_weight_are_left_out() {
        let voter = |weight, group| Voter { weight, group };
        let voters = BTreeMap::from([
            (1, voter(1, 1)),
            (2, voter(1, 1)),
            (3, voter(1, 1)),
            (4, voter(3, 2)),
            (5, voter(1, 2)),
            (6, voter(1, 3)),
            (7, voter(0, 4)),
        ]);
        let quorum = Quorum::hierarchical(0, voters, []);
        assert!(agree(&quorum, &[1, 2, 4]), "two of three groups");
        assert!(agree(&quorum, &[4, 6]));
        assert!(!agree(&quorum, &[1, 2, 5, 7]), "5 has a quarter of its group, 7 no weight");
        assert!(!agree(&quorum, &[1, 4]));
        assert!(!quorum.may_lead(7));
    }
}
