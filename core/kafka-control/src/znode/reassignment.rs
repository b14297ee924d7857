//! `/admin/reassign_partitions`: which replicas partitions shall have, as the tools from before KIP-455 ask for it (upstream:
//! `ReassignPartitionsZNode`).

use bytes::Bytes;
use serde_json::{Value, json};

use super::json::{integer, integers, invalid, parse, to_bytes};
use super::{REASSIGN_PARTITIONS, ZnodeError};

/// The wanted replicas of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedReplicas {
    /// Name of the topic.
    pub topic: String,
    /// Index of the partition.
    pub partition: i32,
    /// Broker ids, the preferred leader first.
    pub replicas: Vec<i32>,
}

/// All that is asked for, in the order in which it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionReassignment(pub Vec<WantedReplicas>);

impl PartitionReassignment {
    /// The content.
    pub fn encode(&self) -> Bytes {
        let entry = |wanted: &WantedReplicas| json!({"topic": wanted.topic, "partition": wanted.partition, "replicas": wanted.replicas});
        to_bytes(&json!({"version": 1, "partitions": self.0.iter().map(entry).collect::<Vec<_>>()}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let path = REASSIGN_PARTITIONS;
        let object = parse(path, content)?;
        let partitions = object.get("partitions").and_then(Value::as_array);
        let partitions = partitions.ok_or_else(|| invalid(path, "no list under partitions"))?;
        let entry = |value: &Value| {
            let fields = value.as_object().ok_or_else(|| invalid(path, "not a JSON object"))?;
            let topic =
                fields.get("topic").and_then(Value::as_str).ok_or_else(|| invalid(path, "no text under topic"))?;
            let replicas = fields.get("replicas").ok_or_else(|| invalid(path, "no replicas"))?;
            Ok(WantedReplicas {
                topic: topic.to_owned(),
                partition: integer(path, fields, "partition")?,
                replicas: integers(path, replicas)?,
            })
        };
        partitions.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        let wanted = |partition, replicas| WantedReplicas { topic: "t".to_owned(), partition, replicas };
        let reassignment = PartitionReassignment(vec![wanted(1, vec![2, 3]), wanted(0, vec![1])]);
        let encoded = reassignment.encode();
        assert_eq!(
            encoded,
            r#"{"version":1,"partitions":[{"topic":"t","partition":1,"replicas":[2,3]},{"topic":"t","partition":0,"replicas":[1]}]}"#
        );
        assert_eq!(PartitionReassignment::decode(&encoded), Ok(reassignment));
    }

    #[test]
    fn what_is_no_reassignment_is_refused() {
        for content in ["", "[]", "{}", r#"{"partitions":[1]}"#, r#"{"partitions":[{"topic":"t","partition":0}]}"#] {
            assert!(PartitionReassignment::decode(content.as_bytes()).is_err(), "{content}");
        }
    }
}
