//! Throttles while partitions move: what is set for topics and brokers, and what is cleared afterwards.

use std::collections::{BTreeMap, BTreeSet};

use kafka_client::TopicPartition;

use super::json::{Parts, joined};
use crate::console::Console;
use crate::java;
use crate::kafka_admin_calls::{ConfigChange, ConfigResource, Reassignment};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const LOG_DIR_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// Where a partition is, and where it goes that it is not yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Move {
    sources: BTreeSet<i32>,
    destinations: BTreeSet<i32>,
}

/// All moves: those that go on, and over them those that are wanted.
pub(super) fn moves(
    going: &BTreeMap<TopicPartition, Reassignment>,
    wanted: &BTreeMap<TopicPartition, Vec<i32>>,
    current: &BTreeMap<TopicPartition, Vec<i32>>,
) -> BTreeMap<TopicPartition, Move> {
    let ongoing = |(partition, going): (&TopicPartition, &Reassignment)| {
        let sources: BTreeSet<i32> = going.replicas.iter().copied().collect();
        let all = sources.iter().chain(&going.adding).copied();
        let destinations = all.filter(|id| !going.removing.contains(id)).collect();
        (partition.clone(), Move { sources, destinations })
    };
    let mut moves: BTreeMap<TopicPartition, Move> = going.iter().map(ongoing).collect();
    for (partition, replicas) in wanted {
        let destinations = replicas.iter().copied().collect();
        moves.insert(partition.clone(), Move { sources: BTreeSet::new(), destinations });
    }
    for (partition, one) in &mut moves {
        one.sources.extend(current.get(partition).into_iter().flatten());
        // Where the data is already, nothing is to be throttled.
        one.destinations.retain(|id| !one.sources.contains(id));
    }
    moves
}

/// Which replicas of each topic are throttled.
pub(super) fn topic_throttles(moves: &BTreeMap<TopicPartition, Move>) -> Vec<ConfigChange> {
    let mut topics: BTreeMap<&str, [BTreeSet<String>; 2]> = BTreeMap::new();
    for (partition, one) in moves {
        let [leaders, followers] = topics.entry(&partition.topic).or_default();
        let replica = |id: &i32| format!("{}:{id}", partition.partition);
        leaders.extend(one.sources.iter().map(replica));
        followers.extend(one.destinations.iter().map(replica));
    }
    let change = |(topic, [leaders, followers]): (&str, [BTreeSet<String>; 2])| ConfigChange {
        resource: ConfigResource::Topic(topic.to_owned()),
        configs: vec![(LEADER_REPLICAS, Some(joined(&leaders))), (FOLLOWER_REPLICAS, Some(joined(&followers)))],
    };
    topics.into_iter().map(change).collect()
}

/// The rate between all brokers that have a part in the moves.
pub(super) fn broker_throttles(moves: &BTreeMap<TopicPartition, Move>, bytes_per_second: i64) -> Vec<ConfigChange> {
    let brokers: BTreeSet<i32> =
        moves.values().flat_map(|one| one.sources.iter().chain(&one.destinations)).copied().collect();
    let rate = Some(bytes_per_second.to_string());
    let change = |id| ConfigChange {
        resource: ConfigResource::Broker(id),
        configs: vec![(LEADER_RATE, rate.clone()), (FOLLOWER_RATE, rate.clone())],
    };
    brokers.into_iter().map(change).collect()
}

/// The rate between log directories on these brokers.
pub(super) fn log_dir_throttles(brokers: &BTreeSet<i32>, bytes_per_second: i64) -> Vec<ConfigChange> {
    let change = |id: &i32| ConfigChange {
        resource: ConfigResource::Broker(*id),
        configs: vec![(LOG_DIR_RATE, Some(bytes_per_second.to_string()))],
    };
    brokers.iter().map(change).collect()
}

/// Clears the throttles of all brokers, those that were targets too, and of the topics, by `apply`. It is not known which of them
/// had a part in what has ended.
pub(super) fn clear<E>(
    live: Vec<i32>,
    parts: &Parts,
    console: &mut Console<'_>,
    mut apply: impl FnMut(&[ConfigChange]) -> Result<(), E>,
) -> Result<(), E> {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let cleared = |resource, names: &[&'static str]| ConfigChange {
        resource,
        configs: names.iter().map(|name| (*name, None)).collect(),
    };
    let live = java::scala_set(live, java::int_hash);
    let targets = java::scala_set(parts.iter().flat_map(|(_, replicas)| replicas).copied(), java::int_hash);
    let brokers = java::scala_set(live.into_iter().chain(targets), java::int_hash);
    console.line(format_args!(
        "Clearing broker-level throttles on broker{} {}",
        plural(brokers.len()),
        joined(&brokers)
    ));
    let of_broker = |id: &i32| cleared(ConfigResource::Broker(*id), &[LEADER_RATE, FOLLOWER_RATE, LOG_DIR_RATE]);
    apply(&brokers.iter().map(of_broker).collect::<Vec<_>>())?;
    let topics = parts.iter().map(|(partition, _)| partition.topic.to_string());
    let topics = java::scala_set(topics, |topic| java::string_hash(topic));
    console.line(format_args!("Clearing topic-level throttles on topic{} {}", plural(topics.len()), joined(&topics)));
    let of_topic = |name: &String| cleared(ConfigResource::Topic(name.clone()), &[LEADER_REPLICAS, FOLLOWER_REPLICAS]);
    apply(&topics.iter().map(of_topic).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new("t", index)
    }

    /// Partition 0 goes from 1, 2 to 2, 3; partition 1 moves already, from 3 to 1.
    #[test]
    fn replicas_are_throttled_where_they_come_from_and_where_they_go() {
        let going = Reassignment { replicas: vec![1, 3], adding: vec![1], removing: vec![3] };
        let moves = moves(
            &BTreeMap::from([(partition(1), going)]),
            &BTreeMap::from([(partition(0), vec![2, 3])]),
            &BTreeMap::from([(partition(0), vec![1, 2])]),
        );
        let configs = &topic_throttles(&moves)[0].configs;
        assert_eq!(configs[0], (LEADER_REPLICAS, Some("0:1,0:2,1:1,1:3".to_owned())));
        assert_eq!(configs[1], (FOLLOWER_REPLICAS, Some("0:3".to_owned())));
        let brokers: Vec<_> = broker_throttles(&moves, 7).into_iter().map(|change| change.resource).collect();
        assert_eq!(brokers, [1, 2, 3].map(ConfigResource::Broker));
    }

    #[test]
    fn all_brokers_are_cleared_and_told_of_in_the_originals_order() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console { input: None, out: &mut out, err: &mut err };
        let parts = vec![(partition(0), vec![9, 2]), (partition(1), vec![2])];
        let mut count = 0;
        let cleared = clear(vec![1, 2, 3], &parts, &mut console, |changes| {
            count += changes.len();
            Ok::<(), ()>(())
        });
        assert_eq!((cleared, count), (Ok(()), 5));
        let told = "Clearing broker-level throttles on brokers 1,2,3,9\nClearing topic-level throttles on topic t\n";
        assert_eq!(String::from_utf8(out).unwrap(), told);
    }
}
