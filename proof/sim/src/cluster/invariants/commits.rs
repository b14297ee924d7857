//! A commit of an earlier generation, or of a static member whose name another has taken, is not accepted; what was acknowledged is in the log
//! of the group's offsets for good, and a member begins where the group has committed last.
//!
//! The log has the last word: it holds all records of a run, as nobody compacts it, and each commit says in its metadata who made it.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use kafka_coord::record::{CommittedOffset, GroupValue};
use kafka_proto::messages::consumer_protocol::Assignment;

use crate::cluster::settings::BrokerId;
use crate::invariants::Verdict;

/// A member's commit of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) generation: i32,
    pub(crate) member: Str,
    /// With its number, it names a commit.
    pub(crate) life: u64,
    pub(crate) serial: u64,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Commit {
    /// What is kept with it.
    pub(crate) fn tag(&self) -> String {
        format!("{} {} {}.{}", self.generation, self.member, self.life, self.serial)
    }
}

/// A record of the group's log.
pub(crate) enum Record {
    Group(GroupValue),
    Offset(i32, CommittedOffset),
}

/// What members did and were told.
#[derive(Default)]
pub(crate) struct Commits {
    /// The newest generation in which a member has got its partitions.
    newest: i32,
    /// Members that were given partitions, with their generation.
    members: BTreeSet<(i32, Str)>,
    /// By what is kept with them, those that nobody may accept, as a newer generation was there when they were asked for.
    stale: BTreeSet<String>,
    acknowledged: BTreeSet<(i32, String)>,
    places: BTreeMap<i32, Place>,
    /// The brokers that lead the group's partition by their own account, and in which epoch.
    leaders: BTreeMap<BrokerId, i32>,
    /// The latest of all such epochs.
    latest: i32,
}

/// A partition's committed offset.
#[derive(Debug, Default)]
struct Place {
    known: Option<Known>,
    /// Generation and offset of commits whose fate is not known.
    floating: BTreeSet<(i32, i64)>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    generation: i32,
    offset: i64,
    /// The coordinator that took it led in this epoch, or an earlier one.
    epoch: i32,
}

impl Commits {
    /// Who leads the group's partition by their own account.
    pub(crate) fn led_by(&mut self, leaders: BTreeMap<BrokerId, i32>) {
        self.latest = leaders.values().copied().fold(self.latest, i32::max);
        self.leaders = leaders;
    }

    /// The epoch in which a broker leads the group's partition.
    pub(crate) fn leader_epoch(&self, broker: BrokerId) -> Option<i32> {
        self.leaders.get(&broker).copied()
    }

    /// A member got its partitions.
    pub(crate) fn assigned(&mut self, generation: i32, member: &Str) {
        self.newest = self.newest.max(generation);
        self.members.insert((generation, member.clone()));
    }

    /// A commit is asked for.
    pub(crate) fn asked(&mut self, commit: &Commit) {
        if commit.generation < self.newest {
            self.stale.insert(commit.tag());
        }
        self.places.entry(commit.partition).or_default().floating.insert((commit.generation, commit.offset));
    }

    /// It was acknowledged.
    pub(crate) fn acknowledged(&mut self, commit: &Commit) -> Verdict {
        if self.stale.contains(&commit.tag()) {
            return Err(format!("{commit:?} was acknowledged, and asked for when there was a newer generation"));
        }
        self.acknowledged.insert((commit.partition, commit.tag()));
        let Commit { generation, partition, offset, .. } = *commit;
        let place = self.places.entry(partition).or_default();
        place.floating.remove(&(generation, offset));
        if place.known.is_none_or(|known| known.generation <= generation) {
            place.known = Some(Known { generation, offset, epoch: self.latest });
        }
        Ok(())
    }

    /// A member begins to read here. `epoch` is the one in which the coordinator that it asked has led all the while; who leads in an epoch
    /// of before does not know better, and is nobody to be believed.
    pub(crate) fn begins(&mut self, generation: i32, partition: i32, position: i64, epoch: Option<i32>) -> Verdict {
        let place = self.places.entry(partition).or_default();
        let Some(known) = place.known.filter(|known| known.generation <= generation) else { return Ok(()) };
        let is_floating = |(of, offset): &(i32, i64)| *of >= known.generation && *offset == position;
        let is_right = position == known.offset || place.floating.iter().any(is_floating);
        if is_right || epoch.is_none_or(|epoch| epoch < known.epoch) {
            return Ok(());
        }
        Err(format!(
            "in generation {generation} partition {partition} is read on from {position}, and committed is {known:?}, or of {:?}",
            place.floating
        ))
    }

    /// How many were acknowledged.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.len()
    }

    /// At the end of a run, with all records of the group's log.
    pub(crate) fn finish(&self, records: &[Record]) -> Verdict {
        let mut logged = BTreeSet::new();
        let mut group = GroupValue::default();
        for record in records {
            match record {
                Record::Group(value) => {
                    follows(&group, value)?;
                    group = value.clone();
                }
                Record::Offset(partition, value) => {
                    self.is_taken_rightly(&group, *partition, value)?;
                    logged.insert((*partition, value.metadata.to_string()));
                }
            }
        }
        match self.acknowledged.difference(&logged).next() {
            Some((partition, tag)) => {
                Err(format!("the commit {tag} of partition {partition} was acknowledged, and is lost"))
            }
            None => Ok(()),
        }
    }

    /// A commit behind this record of its group.
    fn is_taken_rightly(&self, group: &GroupValue, partition: i32, value: &CommittedOffset) -> Verdict {
        let mut words = value.metadata.split(' ');
        let generation = words.next().and_then(|word| word.parse::<i32>().ok()).unwrap_or(-1);
        let member = words.next().unwrap_or_default();
        let is_in = group.members.iter().any(|one| one.member_id == *member);
        // A name that was taken is given back if that could not be logged in time: only what was told to the new one stands.
        let is_settled = group.members.iter().all(|one| self.members.contains(&(generation, one.member_id.clone())));
        if generation < group.generation || (generation == group.generation && !is_in && is_settled) {
            let ids: Vec<&Str> = group.members.iter().map(|one| &one.member_id).collect();
            return Err(format!(
                "the commit {} of partition {partition} was taken in generation {} of {ids:?}",
                value.metadata, group.generation
            ));
        }
        Ok(())
    }
}

/// Whether a group may come behind another one in the log.
fn follows(before: &GroupValue, group: &GroupValue) -> Verdict {
    if group.generation < before.generation {
        return Err(format!("generation {} of the group is logged behind {}", group.generation, before.generation));
    }
    let owners = owners(group)?;
    if group.generation == before.generation && owners != self::owners(before)? {
        return Err(format!("generation {} of the group is logged with two assignments", group.generation));
    }
    Ok(())
}

/// Who owns what: by partition, the member's id, or its name if it has one.
fn owners(group: &GroupValue) -> Result<BTreeMap<i32, Str>, String> {
    let mut owners = BTreeMap::new();
    for member in group.members.iter().filter(|member| !member.assignment.is_empty()) {
        let assignment = Assignment::from_bytes(&member.assignment).map_err(|error| error.to_string())?;
        let owner = member.group_instance_id.as_ref().unwrap_or(&member.member_id);
        for partition in assignment.assigned_partitions.iter().flat_map(|topic| &topic.partitions) {
            if let Some(other) = owners.insert(*partition, owner.clone()) {
                let generation = group.generation;
                return Err(format!(
                    "generation {generation} is logged with partition {partition} for {other} and {owner}"
                ));
            }
        }
    }
    Ok(owners)
}
