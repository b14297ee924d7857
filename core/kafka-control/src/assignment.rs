//! Which brokers hold the replicas of a new partition (upstream: `AdminUtils.assignReplicasToBrokers`).
//!
//! Leaders go round the brokers; the followers of a partition go round from a shift that grows with each full turn, so
//! that a broker's followers spread over the others. With racks, the brokers are first interleaved by rack, and a replica
//! goes to a rack that has none yet while there is one.

use std::collections::{BTreeMap, BTreeSet};

use base::Random;

use crate::operation::ZNODE_BYTES_MAX;

/// No topic has more: the shortest entry of its znode, `"0":[0],`, has 8 bytes.
const PARTITIONS_MAX: i64 = ZNODE_BYTES_MAX as i64 / 8;

/// A broker that may hold replicas, and its rack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRack {
    /// Its id.
    pub id: i32,
    /// `broker.rack`, if set.
    pub rack: Option<String>,
}

/// Why no assignment can be made; the texts are the originals'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// INVALID_PARTITIONS.
    #[error("Number of partitions must be larger than 0.")]
    Partitions,
    /// INVALID_PARTITIONS. Ours: the original tries, and runs out of memory or asks ZooKeeper in vain for ever.
    #[error("A topic can't have {wanted} partitions: its znode has room for {PARTITIONS_MAX} at the most.")]
    TooManyPartitions {
        /// All partitions that the topic would have.
        wanted: i64,
    },
    /// INVALID_REPLICATION_FACTOR.
    #[error("Replication factor must be larger than 0.")]
    ReplicationFactor,
    /// INVALID_REPLICATION_FACTOR.
    #[error("Replication factor: {wanted} larger than available brokers: {brokers}.")]
    TooFewBrokers {
        /// The replication factor.
        wanted: usize,
        /// Live brokers.
        brokers: usize,
    },
    /// Some brokers name a rack and some do not.
    #[error("Not all brokers have rack information for replica rack aware assignment.")]
    Racks,
}

/// Where an assignment starts: at random for a new topic, fixed when partitions are added to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start {
    /// Index of the first leader, and the first shift of the followers.
    index: usize,
    /// Shift of the followers.
    shift: usize,
    /// Number of the first partition.
    partition: i32,
}

impl Start {
    /// For a new topic.
    fn random(brokers: usize, random: &mut Random) -> Self {
        Self {
            index: random.below(brokers as u64) as usize,
            shift: random.below(brokers as u64) as usize,
            partition: 0,
        }
    }
}

/// Assigns `replication_factor` replicas for each of `partitions` new partitions; the first replica is the preferred leader.
///
/// `existing` is the first replica of partition 0 and the count of partitions there are, when partitions are added.
pub fn assign_replicas(
    brokers: &[BrokerRack],
    partitions: i32,
    replication_factor: i32,
    existing: Option<(i32, i32)>,
    random: &mut Random,
) -> Result<BTreeMap<i32, Vec<i32>>, AssignmentError> {
    if partitions <= 0 {
        return Err(AssignmentError::Partitions);
    }
    let Some(wanted) = usize::try_from(replication_factor).ok().filter(|wanted| *wanted > 0) else {
        return Err(AssignmentError::ReplicationFactor);
    };
    if wanted > brokers.len() {
        return Err(AssignmentError::TooFewBrokers { wanted, brokers: brokers.len() });
    }
    let all = i64::from(partitions) + existing.map_or(0, |(_, count)| i64::from(count));
    if all > PARTITIONS_MAX {
        return Err(AssignmentError::TooManyPartitions { wanted: all });
    }
    let mut sorted = brokers.to_vec();
    sorted.sort_by_key(|broker| broker.id);
    let start = match existing {
        Some((first, count)) => {
            let index = sorted.iter().position(|broker| broker.id >= first).unwrap_or(0);
            Start { index, shift: index, partition: count }
        }
        None => Start::random(sorted.len(), random),
    };
    match sorted.iter().filter(|broker| broker.rack.is_some()).count() {
        0 => Ok(without_racks(&sorted, partitions, wanted, start)),
        with_rack if with_rack == sorted.len() => Ok(with_racks(&sorted, partitions, wanted, start)),
        _ => Err(AssignmentError::Racks),
    }
}

fn without_racks(brokers: &[BrokerRack], partitions: i32, wanted: usize, start: Start) -> BTreeMap<i32, Vec<i32>> {
    let ids: Vec<i32> = brokers.iter().map(|broker| broker.id).collect();
    let mut turn = Turn::new(ids, start);
    (0..partitions)
        .map(|_| {
            let (partition, first, shift) = turn.next_partition();
            let followers = (0..wanted - 1).map(|index| turn.follower(first, shift, index));
            let replicas = std::iter::once(turn.broker(first)).chain(followers).collect();
            (partition, replicas)
        })
        .collect()
}

fn with_racks(brokers: &[BrokerRack], partitions: i32, wanted: usize, start: Start) -> BTreeMap<i32, Vec<i32>> {
    let rack_of: BTreeMap<i32, &str> =
        brokers.iter().map(|broker| (broker.id, broker.rack.as_deref().unwrap_or_default())).collect();
    let racks_count = rack_of.values().collect::<BTreeSet<_>>().len();
    let rack = |id: i32| rack_of.get(&id).copied().unwrap_or_default();
    let mut turn = Turn::new(interleaved(brokers), start);
    (0..partitions)
        .map(|_| {
            let (partition, first, shift) = turn.next_partition();
            let mut replicas = vec![turn.broker(first)];
            let mut racks = BTreeSet::from([rack(turn.broker(first))]);
            let candidates = (0..).map(|index| turn.follower(first, shift * racks_count, index));
            for candidate in candidates {
                if replicas.len() == wanted {
                    break;
                }
                let rack_is_free = !racks.contains(rack(candidate)) || racks.len() == racks_count;
                if rack_is_free && !replicas.contains(&candidate) {
                    replicas.push(candidate);
                    racks.insert(rack(candidate));
                }
            }
            (partition, replicas)
        })
        .collect()
}

/// Broker ids in turns of the sorted racks: first of each, then second of each.
fn interleaved(brokers: &[BrokerRack]) -> Vec<i32> {
    let mut by_rack: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for broker in brokers {
        by_rack.entry(broker.rack.as_deref().unwrap_or_default()).or_default().push(broker.id);
    }
    let rounds = by_rack.values().map(Vec::len).max().unwrap_or(0);
    (0..rounds).flat_map(|round| by_rack.values().filter_map(move |ids| ids.get(round).copied())).collect()
}

/// Goes round the brokers, partition by partition.
struct Turn {
    ids: Vec<i32>,
    index: usize,
    shift: usize,
    partition: i32,
}

impl Turn {
    fn new(ids: Vec<i32>, start: Start) -> Self {
        Self { ids, index: start.index, shift: start.shift, partition: start.partition }
    }

    /// The next partition's number, its leader's place, and the shift of its followers.
    fn next_partition(&mut self) -> (i32, usize, usize) {
        let partition = self.partition;
        let number = usize::try_from(partition).unwrap_or(0);
        if number > 0 && number.is_multiple_of(self.ids.len()) {
            self.shift += 1;
        }
        self.partition += 1;
        (partition, (number + self.index) % self.ids.len(), self.shift)
    }

    fn broker(&self, place: usize) -> i32 {
        self.ids.get(place).copied().expect("a place is below the number of brokers")
    }

    /// The `index`th follower behind the leader at `first`: never the leader itself.
    fn follower(&self, first: usize, shift: usize, index: usize) -> i32 {
        let others = (self.ids.len() - 1).max(1);
        self.broker((first + 1 + (shift + index) % others) % self.ids.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(racks: &[(i32, Option<&str>)]) -> Vec<BrokerRack> {
        racks.iter().map(|(id, rack)| BrokerRack { id: *id, rack: rack.map(str::to_owned) }).collect()
    }

    /// The table in the upstream class's documentation: ten partitions, three replicas, five brokers, started at 0.
    #[test]
    fn leaders_go_round_and_followers_shift() {
        let five = brokers(&[(0, None), (1, None), (2, None), (3, None), (4, None)]);
        let assigned = without_racks(&five, 15, 3, Start { index: 0, shift: 0, partition: 0 });
        let expected = [
            [0, 1, 2],
            [1, 2, 3],
            [2, 3, 4],
            [3, 4, 0],
            [4, 0, 1],
            [0, 2, 3],
            [1, 3, 4],
            [2, 4, 0],
            [3, 0, 1],
            [4, 1, 2],
            [0, 3, 4],
            [1, 4, 0],
            [2, 0, 1],
            [3, 1, 2],
            [4, 2, 3],
        ];
        assert_eq!(assigned.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn racks_alternate() {
        let six = brokers(&[
            (0, Some("rack1")),
            (1, Some("rack3")),
            (2, Some("rack3")),
            (3, Some("rack2")),
            (4, Some("rack2")),
            (5, Some("rack1")),
        ]);
        assert_eq!(interleaved(&six), [0, 3, 1, 5, 4, 2]);
        let assigned = with_racks(&six, 7, 3, Start { index: 0, shift: 0, partition: 0 });
        let expected = [[0, 3, 1], [3, 1, 5], [1, 5, 4], [5, 4, 2], [4, 2, 0], [2, 0, 3], [0, 4, 2]];
        assert_eq!(assigned.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let mut random = Random::from_seed(1);
        let two = brokers(&[(0, None), (1, Some("a"))]);
        assert_eq!(assign_replicas(&two, 0, 1, None, &mut random), Err(AssignmentError::Partitions));
        assert_eq!(assign_replicas(&two, 1, 0, None, &mut random), Err(AssignmentError::ReplicationFactor));
        assert_eq!(
            assign_replicas(&two, 1, 3, None, &mut random),
            Err(AssignmentError::TooFewBrokers { wanted: 3, brokers: 2 })
        );
        assert_eq!(assign_replicas(&two, 1, 1, None, &mut random), Err(AssignmentError::Racks));
        let one = brokers(&[(0, None)]);
        for (added, existing) in
            [(i32::MAX, None), (130_944, None), (i32::MAX, Some((0, i32::MAX))), (1, Some((0, 130_943)))]
        {
            let wanted = i64::from(added) + existing.map_or(0, |(_, count)| i64::from(count));
            let refused = assign_replicas(&one, added, 1, existing, &mut random);
            assert_eq!(refused, Err(AssignmentError::TooManyPartitions { wanted }));
        }
    }

    #[test]
    fn added_partitions_go_on_from_the_first() {
        let three = brokers(&[(7, None), (8, None), (9, None)]);
        let added = assign_replicas(&three, 2, 2, Some((8, 3)), &mut Random::from_seed(1)).unwrap();
        assert_eq!(added, BTreeMap::from([(3, vec![8, 9]), (4, vec![9, 7])]));
    }
}
