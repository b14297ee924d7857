//! `/admin/preferred_replica_election`: partitions whose preferred replica shall lead, as the old tool asks for it (upstream:
//! `PreferredReplicaElectionZNode`).

use bytes::Bytes;
use serde_json::{Value, json};

use super::json::{integer, invalid, parse, to_bytes};
use super::{PREFERRED_ELECTION, ZnodeError};

/// Topics and indexes of the partitions, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreferredElection(pub Vec<(String, i32)>);

impl PreferredElection {
    /// The content.
    pub fn encode(&self) -> Bytes {
        let entry = |(topic, partition): &(String, i32)| json!({"topic": topic, "partition": partition});
        to_bytes(&json!({"version": 1, "partitions": self.0.iter().map(entry).collect::<Vec<_>>()}))
    }

    /// Reads the content.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let path = PREFERRED_ELECTION;
        let object = parse(path, content)?;
        let partitions = object.get("partitions").and_then(Value::as_array);
        let partitions = partitions.ok_or_else(|| invalid(path, "no list under partitions"))?;
        let entry = |value: &Value| {
            let fields = value.as_object().ok_or_else(|| invalid(path, "not a JSON object"))?;
            let topic =
                fields.get("topic").and_then(Value::as_str).ok_or_else(|| invalid(path, "no text under topic"))?;
            Ok((topic.to_owned(), integer(path, fields, "partition")?))
        };
        partitions.iter().map(entry).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_equal_the_originals() {
        let election = PreferredElection(vec![("t".to_owned(), 1), ("u".to_owned(), 0)]);
        let encoded = election.encode();
        assert_eq!(encoded, r#"{"version":1,"partitions":[{"topic":"t","partition":1},{"topic":"u","partition":0}]}"#);
        assert_eq!(PreferredElection::decode(&encoded), Ok(election));
        for content in ["", "[]", "{}", r#"{"partitions":[{"topic":1,"partition":0}]}"#] {
            assert!(PreferredElection::decode(content.as_bytes()).is_err(), "{content}");
        }
    }
}
