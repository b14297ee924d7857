//! How the leader of a consumer group shares out partitions (upstream: `RangeAssignor`, `RoundRobinAssignor`,
//! `StickyAssignor`). Range and round robin give what the originals give; sticky gives an assignment of the same quality
//! (as even as subscriptions allow, moving little), not always the same one.

use std::collections::{BTreeMap, BTreeSet};

use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use kafka_proto::Message;
use kafka_proto::messages::consumer_protocol::{Subscription, TopicPartitions};

use crate::config::ConfigError;
use crate::metadata::TopicPartition;

/// A way to share out partitions: an entry of `partition.assignment.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Topic by topic, each member gets a run of partitions.
    Range,
    /// All partitions in turn.
    RoundRobin,
    /// Even, and each member keeps what it has.
    Sticky,
}

/// A member as the leader sees it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub id: Str,
    /// Its static name, if it has one.
    pub instance_id: Option<Str>,
    /// What it wants.
    pub subscription: Subscription,
}

/// Partitions by member id.
pub type Assignments = BTreeMap<Str, Vec<TopicPartition>>;

impl Strategy {
    /// The strategies of a list of Java class names; range if there is none.
    pub fn from_classes(list: Option<&str>) -> Result<Vec<Self>, ConfigError> {
        let classes = list.unwrap_or_default().split(',').map(str::trim).filter(|class| !class.is_empty());
        let strategies: Vec<Self> = classes
            .map(|class| match class {
                "org.apache.kafka.clients.consumer.RangeAssignor" => Ok(Self::Range),
                "org.apache.kafka.clients.consumer.RoundRobinAssignor" => Ok(Self::RoundRobin),
                "org.apache.kafka.clients.consumer.StickyAssignor" => Ok(Self::Sticky),
                other => Err(ConfigError(format!("{other} ClassNotFoundException exception occurred"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(if strategies.is_empty() { vec![Self::Range] } else { strategies })
    }

    /// The name in JoinGroup.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
        }
    }

    /// The strategy of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Range, Self::RoundRobin, Self::Sticky].into_iter().find(|strategy| strategy.name() == name)
    }

    /// What a member adds to its subscription.
    pub fn user_data(self, owned: &[TopicPartition], generation: i32) -> Option<Bytes> {
        if self != Self::Sticky {
            return None;
        }
        let data = StickyUserData { previous_assignment: by_topic(owned), generation };
        let mut out = BytesMut::new();
        data.encode(1, &mut out).ok()?;
        Some(out.freeze())
    }

    /// Shares out the partitions of `counts` (by topic) among `members`.
    pub fn assign(self, counts: &BTreeMap<Str, i32>, members: &[Member]) -> Assignments {
        let mut members: Vec<&Member> = members.iter().collect();
        // Static members by name before dynamic ones by id.
        members.sort_by_key(|member| (member.instance_id.is_none(), member.instance_id.clone(), member.id.clone()));
        let mut assignments: Assignments = members.iter().map(|member| (member.id.clone(), Vec::new())).collect();
        match self {
            Self::Range => range(counts, &members, &mut assignments),
            Self::RoundRobin => round_robin(counts, &members, &mut assignments),
            Self::Sticky => sticky(counts, &members, &mut assignments),
        }
        assignments
    }
}

/// What a sticky member sends with its subscription (`StickyAssignor`, user data version 1).
#[derive(Clone, Debug, PartialEq, Eq, wire_derive::Message)]
#[wire(versions = "0-1")]
struct StickyUserData {
    /// What the member was assigned.
    previous_assignment: Vec<TopicPartitions>,
    /// In which generation.
    #[wire(versions = "1+", default = -1, ignorable)]
    generation: i32,
}

/// Partitions grouped by topic.
pub fn by_topic(partitions: &[TopicPartition]) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<&Str, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    topics.into_iter().map(|(topic, partitions)| TopicPartitions { topic: topic.clone(), partitions }).collect()
}

/// The partitions of a list by topic.
pub fn partitions_of(topics: &[TopicPartitions]) -> Vec<TopicPartition> {
    let each = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition { topic: topic.topic.clone(), partition: *partition })
    });
    each.collect()
}

fn wants(member: &Member, topic: &Str) -> bool {
    member.subscription.topics.contains(topic)
}

fn range(counts: &BTreeMap<Str, i32>, members: &[&Member], assignments: &mut Assignments) {
    for (topic, count) in counts {
        let interested: Vec<&&Member> = members.iter().filter(|member| wants(member, topic)).collect();
        let mut next = 0;
        for (place, member) in interested.iter().enumerate() {
            let (share, rest) = (*count / interested.len() as i32, *count % interested.len() as i32);
            let end = next + share + i32::from((place as i32) < rest);
            let run = (next..end).map(|partition| TopicPartition { topic: topic.clone(), partition });
            assignments.entry(member.id.clone()).or_default().extend(run);
            next = end;
        }
    }
}

fn all_partitions(counts: &BTreeMap<Str, i32>, members: &[&Member]) -> Vec<TopicPartition> {
    let wanted: BTreeSet<&Str> = members.iter().flat_map(|member| &member.subscription.topics).collect();
    let topics = wanted.into_iter().filter_map(|topic| Some((topic, *counts.get(topic)?)));
    topics
        .flat_map(|(topic, count)| (0..count).map(|partition| TopicPartition { topic: topic.clone(), partition }))
        .collect()
}

fn round_robin(counts: &BTreeMap<Str, i32>, members: &[&Member], assignments: &mut Assignments) {
    let mut circle = members.iter().cycle();
    for partition in all_partitions(counts, members) {
        // Somebody wants it: that is why it is in the list.
        let next = circle.by_ref().find(|member| wants(member, &partition.topic));
        if let Some(member) = next {
            assignments.entry(member.id.clone()).or_default().push(partition);
        }
    }
}

fn sticky(counts: &BTreeMap<Str, i32>, members: &[&Member], assignments: &mut Assignments) {
    let all = all_partitions(counts, members);
    let mut owners = previous_owners(&all, members);
    for (partition, (member, _)) in &owners {
        assignments.entry(member.clone()).or_default().push(partition.clone());
    }
    let load = |assignments: &Assignments, member: &Member| assignments.get(&member.id).map_or(0, Vec::len);
    for partition in all.iter().filter(|partition| !owners.contains_key(*partition)) {
        let interested = members.iter().filter(|member| wants(member, &partition.topic));
        if let Some(member) = interested.min_by_key(|member| load(assignments, member)) {
            assignments.entry(member.id.clone()).or_default().push(partition.clone());
        }
    }
    owners.clear();
    // Each move makes the loads of two members more equal, so this ends.
    while let Some((from, to, partition)) = uneven(members, assignments) {
        if let Some(held) = assignments.get_mut(&from) {
            held.retain(|other| *other != partition);
        }
        assignments.entry(to).or_default().push(partition);
    }
}

/// A partition that had better move: from a member to one that has two less or fewer still.
fn uneven(members: &[&Member], assignments: &Assignments) -> Option<(Str, Str, TopicPartition)> {
    let mut by_load: Vec<&&Member> = members.iter().collect();
    by_load.sort_by_key(|member| assignments.get(&member.id).map_or(0, Vec::len));
    for from in by_load.iter().rev() {
        let held = assignments.get(&from.id)?;
        for to in &by_load {
            if assignments.get(&to.id).map_or(0, Vec::len) + 1 >= held.len() {
                break;
            }
            if let Some(partition) = held.iter().rev().find(|partition| wants(to, &partition.topic)) {
                return Some((from.id.clone(), to.id.clone(), partition.clone()));
            }
        }
    }
    None
}

/// Who held what before, as far as it still may; the latest generation wins.
fn previous_owners(all: &[TopicPartition], members: &[&Member]) -> BTreeMap<TopicPartition, (Str, i32)> {
    let existing: BTreeSet<&TopicPartition> = all.iter().collect();
    let mut owners: BTreeMap<TopicPartition, (Str, i32)> = BTreeMap::new();
    for member in members {
        let Some(data) = member.subscription.user_data.as_ref().and_then(read_user_data) else { continue };
        for partition in partitions_of(&data.previous_assignment) {
            if !existing.contains(&partition) || !wants(member, &partition.topic) {
                continue;
            }
            let newer = owners.get(&partition).is_none_or(|(_, generation)| *generation < data.generation);
            if newer {
                owners.insert(partition, (member.id.clone(), data.generation));
            }
        }
    }
    owners
}

/// Version 0 has no generation behind the assignment; neither says which it is.
fn read_user_data(bytes: &Bytes) -> Option<StickyUserData> {
    let read = |version| StickyUserData::decode(version, &mut Reader::new(bytes)).ok();
    read(1).or_else(|| read(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &'static str, topics: &[&'static str]) -> Member {
        let topics = topics.iter().map(|topic| Str::from_static(topic)).collect();
        let subscription = Subscription { topics, ..Default::default() };
        Member { id: Str::from_static(id), instance_id: None, subscription }
    }

    fn counts(topics: &[(&'static str, i32)]) -> BTreeMap<Str, i32> {
        topics.iter().map(|(topic, count)| (Str::from_static(topic), *count)).collect()
    }

    fn shown(assignments: &Assignments, id: &str) -> String {
        let partitions: Vec<String> = assignments[id].iter().map(ToString::to_string).collect();
        partitions.join(" ")
    }

    #[test]
    fn range_gives_runs_of_each_topic() {
        let members = [member("c2", &["t", "u"]), member("c1", &["t", "u"])];
        let assigned = Strategy::Range.assign(&counts(&[("t", 3), ("u", 3)]), &members);
        assert_eq!(shown(&assigned, "c1"), "t-0 t-1 u-0 u-1");
        assert_eq!(shown(&assigned, "c2"), "t-2 u-2");
    }

    #[test]
    fn static_members_come_first_by_name() {
        let mut members = [member("a", &["t"]), member("z", &["t"])];
        members[1].instance_id = Some(Str::from_static("i"));
        let assigned = Strategy::Range.assign(&counts(&[("t", 3)]), &members);
        assert_eq!(shown(&assigned, "z"), "t-0 t-1");
    }

    #[test]
    fn round_robin_passes_over_the_uninterested() {
        let members = [member("c0", &["t0"]), member("c1", &["t0", "t1"]), member("c2", &["t0", "t1", "t2"])];
        let assigned = Strategy::RoundRobin.assign(&counts(&[("t0", 1), ("t1", 2), ("t2", 3)]), &members);
        assert_eq!(shown(&assigned, "c0"), "t0-0");
        assert_eq!(shown(&assigned, "c1"), "t1-0");
        assert_eq!(shown(&assigned, "c2"), "t1-1 t2-0 t2-1 t2-2");
    }

    #[test]
    fn sticky_keeps_what_it_can_and_evens_out() {
        let topics = counts(&[("t", 6)]);
        let mut members = vec![member("a", &["t"]), member("b", &["t"])];
        let first = Strategy::Sticky.assign(&topics, &members);
        assert_eq!((first["a"].len(), first["b"].len()), (3, 3));
        for member in &mut members {
            member.subscription.user_data = Strategy::Sticky.user_data(&first[&member.id], 1);
        }
        members.push(member("c", &["t"]));
        let second = Strategy::Sticky.assign(&topics, &members);
        for (id, held) in &second {
            assert_eq!(held.len(), 2);
            let kept = held.iter().filter(|partition| first.get(id).is_some_and(|before| before.contains(partition)));
            assert_eq!(kept.count(), if *id == "c" { 0 } else { 2 });
        }
    }
}
