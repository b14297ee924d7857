//! `/brokers/topics/<topic>`: which brokers hold each partition (upstream: `TopicZNode`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::json::{in_scala_order, integers, invalid, parse, to_bytes};
use super::{ZnodeError, topic};

/// The replicas of one partition; the two other lists are empty unless it is being reassigned (KIP-455).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaAssignment {
    /// All replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those that a reassignment adds.
    pub adding: Vec<i32>,
    /// Those that a reassignment removes.
    pub removing: Vec<i32>,
}

impl ReplicaAssignment {
    /// Replicas that nothing is moving.
    pub fn of(replicas: Vec<i32>) -> Self {
        Self { replicas, ..Self::default() }
    }

    /// Whether a reassignment is under way.
    pub const fn is_being_reassigned(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas as they were before the reassignment, though not in their old order.
    pub fn origin(&self) -> Vec<i32> {
        without(&self.replicas, &self.adding)
    }

    /// The replicas as they are to be.
    pub fn target(&self) -> Vec<i32> {
        without(&self.replicas, &self.removing)
    }

    /// The assignment while the replicas move to `target`: those first, then what is to be removed.
    #[must_use]
    pub fn reassign_to(&self, target: &[i32]) -> Self {
        let origin = self.origin();
        let mut replicas = target.to_vec();
        replicas.extend(without(&origin, target));
        Self { adding: without(&replicas, &origin), removing: without(&replicas, target), replicas }
    }
}

fn without(replicas: &[i32], others: &[i32]) -> Vec<i32> {
    replicas.iter().copied().filter(|replica| !others.contains(replica)).collect()
}

/// All partitions of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicAssignment(pub BTreeMap<i32, ReplicaAssignment>);

impl TopicAssignment {
    /// An assignment that nothing is moving.
    pub fn of_replicas(partitions: BTreeMap<i32, Vec<i32>>) -> Self {
        let settled = |(partition, replicas)| (partition, ReplicaAssignment::of(replicas));
        Self(partitions.into_iter().map(settled).collect())
    }

    /// The content, version 2.
    pub fn encode(&self) -> Bytes {
        let list = |part: fn(&ReplicaAssignment) -> &Vec<i32>, with_empty: bool| {
            let entries = self.0.iter().map(|(partition, assignment)| (partition.to_string(), part(assignment)));
            let entries = entries.filter(|(_, ids)| with_empty || !ids.is_empty());
            in_scala_order(entries).into_iter().map(|(key, ids)| (key, json!(ids))).collect::<Map<_, _>>()
        };
        to_bytes(&json!({
            "version": 2,
            "partitions": list(|assignment| &assignment.replicas, true),
            "adding_replicas": list(|assignment| &assignment.adding, false),
            "removing_replicas": list(|assignment| &assignment.removing, false),
        }))
    }

    /// Reads version 1 or 2.
    pub fn decode(name: &str, content: &[u8]) -> Result<Self, ZnodeError> {
        let path = topic(name);
        let object = parse(&path, content)?;
        let list = |key: &str| object.get(key).and_then(Value::as_object);
        let ids = |key: &str, partition: &str| match list(key).and_then(|entries| entries.get(partition)) {
            Some(ids) => integers(&path, ids),
            None => Ok(Vec::new()),
        };
        let mut partitions = BTreeMap::new();
        for (key, replicas) in list("partitions").into_iter().flatten() {
            let number = key.parse().map_err(|_| invalid(&path, format!("partition {key} is not a number")))?;
            let assignment = ReplicaAssignment {
                replicas: integers(&path, replicas)?,
                adding: ids("adding_replicas", key)?,
                removing: ids("removing_replicas", key)?,
            };
            partitions.insert(number, assignment);
        }
        Ok(Self(partitions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        let three = TopicAssignment::of_replicas((0..3).map(|partition| (partition, vec![partition, 3])).collect());
        let encoded = three.encode();
        assert_eq!(
            encoded,
            r#"{"version":2,"partitions":{"0":[0,3],"1":[1,3],"2":[2,3]},"adding_replicas":{},"removing_replicas":{}}"#
        );
        assert_eq!(TopicAssignment::decode("t", &encoded), Ok(three));
    }

    /// The order of the keys as `TopicZNode.encode` of 2.7.1 gives them: that of Scala's map, not of the numbers.
    #[test]
    fn many_partitions_come_in_hash_order() {
        let order = |partitions: i32| {
            let topic = TopicAssignment::of_replicas((0..partitions).map(|partition| (partition, vec![0])).collect());
            let text = String::from_utf8(topic.encode().to_vec()).unwrap();
            let keys = text.split('"').skip(5).step_by(2).take(partitions as usize).collect::<Vec<_>>();
            keys.join(",")
        };
        assert_eq!(order(12), "11,0,1,2,3,4,5,6,7,8,9,10");
        assert_eq!(order(13), "11,12,0,1,2,3,4,5,6,7,8,9,10");
        let thirty = "22,23,24,25,26,27,28,29,10,11,12,13,14,15,16,17,18,19,0,1,2,3,4,5,6,7,8,9,20,21";
        assert_eq!(order(30), thirty);
        assert!(order(100).starts_with("88,89,90,91,92,93,94,95,96,97,10,98,11,99,12,13,14"));
    }

    #[test]
    fn reassignments_and_version_1() {
        let moving = ReplicaAssignment { replicas: vec![1, 2, 3], adding: vec![3], removing: vec![1] };
        let topic = TopicAssignment(BTreeMap::from([(0, moving)]));
        let encoded = topic.encode();
        assert!(encoded.ends_with(br#""adding_replicas":{"0":[3]},"removing_replicas":{"0":[1]}}"#));
        assert_eq!(TopicAssignment::decode("t", &encoded), Ok(topic));
        let one = TopicAssignment::decode("t", br#"{"version":1,"partitions":{"0":[4]}}"#).unwrap();
        assert_eq!(one.0[&0].replicas, [4]);
        assert!(TopicAssignment::decode("t", br#"{"version":1,"partitions":{"zero":[4]}}"#).is_err());
    }
}
