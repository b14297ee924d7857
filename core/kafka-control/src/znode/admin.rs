//! What the old tools ask for: `/admin/reassign_partitions` and `/admin/preferred_replica_election` (upstream: `ReassignPartitionsZNode`,
//! `PreferredReplicaElectionZNode`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::json::{integer, integers, invalid, parse, to_bytes};
use super::{PREFERRED_ELECTION, REASSIGN_PARTITIONS, ZnodeError};
use crate::message::TopicPartition;

/// The replicas that partitions are to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionReassignment(pub BTreeMap<TopicPartition, Vec<i32>>);

impl PartitionReassignment {
    /// The content.
    pub fn encode(&self) -> Bytes {
        let entry = |(id, replicas): (&TopicPartition, &Vec<i32>)| json!({"topic": id.topic, "partition": id.partition, "replicas": replicas});
        to_bytes(&json!({"version": 1, "partitions": self.0.iter().map(entry).collect::<Vec<_>>()}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let path = REASSIGN_PARTITIONS;
        let mut partitions = BTreeMap::new();
        for entry in entries(path, content)? {
            let replicas = entry.get("replicas").ok_or_else(|| invalid(path, "no replicas"))?;
            partitions.insert(id(path, &entry)?, integers(path, replicas)?);
        }
        Ok(Self(partitions))
    }
}

/// Partitions whose first replica is to lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreferredElection(pub BTreeSet<TopicPartition>);

impl PreferredElection {
    /// The content.
    pub fn encode(&self) -> Bytes {
        to_bytes(&json!({"version": 1, "partitions": named(&self.0)}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        Ok(Self(ids(PREFERRED_ELECTION, content)?))
    }
}

/// The partitions as the originals name them in a list.
pub(super) fn named(ids: &BTreeSet<TopicPartition>) -> Vec<Value> {
    ids.iter().map(|id| json!({"topic": id.topic, "partition": id.partition})).collect()
}

/// The partitions that the content at `path` names.
pub(super) fn ids(path: &str, content: &[u8]) -> Result<BTreeSet<TopicPartition>, ZnodeError> {
    entries(path, content)?.iter().map(|entry| id(path, entry)).collect()
}

fn entries(path: &str, content: &[u8]) -> Result<Vec<Map<String, Value>>, ZnodeError> {
    let mut object = parse(path, content)?;
    let Some(Value::Array(list)) = object.remove("partitions") else {
        return Err(invalid(path, "no list under partitions"));
    };
    let entry = |value| match value {
        Value::Object(object) => Ok(object),
        other => Err(invalid(path, format!("{other} is no partition"))),
    };
    list.into_iter().map(entry).collect()
}

fn id(path: &str, entry: &Map<String, Value>) -> Result<TopicPartition, ZnodeError> {
    let topic = entry.get("topic").and_then(Value::as_str).ok_or_else(|| invalid(path, "no text under topic"))?;
    Ok(TopicPartition { topic: topic.to_owned(), partition: integer(path, entry, "partition")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".to_owned(), partition }
    }

    #[test]
    fn bytes_equal_the_originals() {
        let moves = PartitionReassignment(BTreeMap::from([(t(0), vec![2, 3]), (t(1), vec![3])]));
        let encoded = moves.encode();
        assert_eq!(
            encoded,
            r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2,3]},{"topic":"t","partition":1,"replicas":[3]}]}"#
        );
        assert_eq!(PartitionReassignment::decode(&encoded), Ok(moves));
        let election = PreferredElection(BTreeSet::from([t(0), t(1)]));
        let encoded = election.encode();
        assert_eq!(encoded, r#"{"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"t","partition":1}]}"#);
        assert_eq!(PreferredElection::decode(&encoded), Ok(election));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "[]", "{}", r#"{"partitions":[1]}"#, r#"{"partitions":[{"topic":"t"}]}"#] {
            assert!(PartitionReassignment::decode(bad.as_bytes()).is_err(), "{bad}");
            assert!(PreferredElection::decode(bad.as_bytes()).is_err(), "{bad}");
        }
        let without_replicas = br#"{"partitions":[{"topic":"t","partition":0}]}"#;
        assert!(PartitionReassignment::decode(without_replicas).is_err());
    }
}
