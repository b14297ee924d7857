//! `/admin/reassign_partitions`: which replicas partitions shall have, as the tools from before KIP-455 ask for it (upstream:
//! `ReassignPartitionsZNode`).
//!
//! Alone among the znodes it is read into objects there, by Jackson's habits: a number may stand as text, a name as a number, and what is
//! not there is nothing; but a key of another name makes the whole unreadable. Broker ids, which it would take as they come, are numbers here.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::json::{integers, invalid, parse, to_bytes};
use super::{REASSIGN_PARTITIONS, ZnodeError};

const PATH: &str = REASSIGN_PARTITIONS;

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

    /// Reads the content; of a partition that is named twice, the last words count.
    pub fn decode(content: &[u8]) -> Result<Self, ZnodeError> {
        let object = parse(PATH, content)?;
        only(&object, &["version", "partitions"])?;
        integer(&object, "version")?;
        let partitions = object.get("partitions").and_then(Value::as_array);
        let partitions = partitions.ok_or_else(|| invalid(PATH, "no list under partitions"))?;
        let mut all: Vec<WantedReplicas> = Vec::new();
        let mut places = BTreeMap::new();
        for value in partitions {
            let wanted = WantedReplicas::decode(value)?;
            let place = *places.entry((wanted.topic.clone(), wanted.partition)).or_insert(all.len());
            match all.get_mut(place) {
                Some(before) => *before = wanted,
                None => all.push(wanted),
            }
        }
        Ok(Self(all))
    }
}

impl WantedReplicas {
    fn decode(value: &Value) -> Result<Self, ZnodeError> {
        let fields = value.as_object().ok_or_else(|| invalid(PATH, "not a JSON object"))?;
        only(fields, &["topic", "partition", "replicas"])?;
        let replicas = fields.get("replicas").ok_or_else(|| invalid(PATH, "no replicas"))?;
        Ok(Self {
            topic: text(fields, "topic")?,
            partition: integer(fields, "partition")?,
            replicas: integers(PATH, replicas)?,
        })
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), ZnodeError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid(PATH, format!("unknown key {key}"))),
        None => Ok(()),
    }
}

/// A text; without one, the name of no topic.
fn text(object: &Map<String, Value>, key: &str) -> Result<String, ZnodeError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(scalar @ (Value::Number(_) | Value::Bool(_))) => Ok(scalar.to_string()),
        Some(_) => Err(invalid(PATH, format!("no text under {key}"))),
    }
}

/// A number or a text of one; a fraction is cut off, nothing is 0.
fn integer(object: &Map<String, Value>, key: &str) -> Result<i32, ZnodeError> {
    let number = match object.get(key) {
        None | Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(number) => i32::try_from(number).ok(),
            None => number.as_f64().filter(|number| is_within(*number)).map(|number| number as i32),
        },
        Some(Value::String(text)) => match text.trim() {
            "" | "null" => Some(0),
            text => text.parse().ok(),
        },
        Some(_) => None,
    };
    number.ok_or_else(|| invalid(PATH, format!("no integer under {key}")))
}

fn is_within(number: f64) -> bool {
    (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)
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
        for content in ["", "[]", "{}", r#"{"partitions":null}"#, r#"{"partitions":[1]}"#, r#"{"partitions":[null]}"#] {
            assert!(PartitionReassignment::decode(content.as_bytes()).is_err(), "{content}");
        }
        for fields in [
            r#""topic":"t","partition":0"#,
            r#""topic":"t","partition":0,"replicas":null"#,
            r#""topic":"t","partition":0,"replicas":1"#,
            r#""topic":"t","partition":0,"replicas":["1"]"#,
            r#""topic":"t","partition":"0x1","replicas":[1]"#,
            r#""topic":"t","partition":true,"replicas":[1]"#,
            r#""topic":"t","partition":[0],"replicas":[1]"#,
            r#""topic":"t","partition":2147483648,"replicas":[1]"#,
            r#""topic":"t","partition":1e10,"replicas":[1]"#,
            r#""topic":["t"],"partition":0,"replicas":[1]"#,
            r#""topic":"t","partition":0,"replicas":[1],"log_dirs":["any"]"#,
        ] {
            assert!(decode_one(fields).is_err(), "{fields}");
        }
        for content in [r#"{"version":{},"partitions":[]}"#, r#"{"version":1,"partitions":[],"more":1}"#] {
            assert!(PartitionReassignment::decode(content.as_bytes()).is_err(), "{content}");
        }
    }

    fn decode_one(fields: &str) -> Result<Vec<WantedReplicas>, ZnodeError> {
        let content = format!(r#"{{"version":1,"partitions":[{{{fields}}}]}}"#);
        PartitionReassignment::decode(content.as_bytes()).map(|whole| whole.0)
    }

    #[test]
    fn numbers_and_texts_stand_for_each_other() {
        for partition in ["3", "\"3\"", "\" 3\"", "\"+3\"", "3.9", "3e0"] {
            let read = decode_one(&format!(r#""topic":7,"partition":{partition},"replicas":[1]"#)).unwrap();
            assert_eq!(
                read,
                [WantedReplicas { topic: "7".to_owned(), partition: 3, replicas: vec![1] }],
                "{partition}"
            );
        }
        for partition in [r#""partition":null,"#, r#""partition":"","#, ""] {
            let read = decode_one(&format!(r#""topic":null,{partition}"replicas":[1]"#)).unwrap();
            assert_eq!(read, [WantedReplicas { topic: String::new(), partition: 0, replicas: vec![1] }], "{partition}");
        }
        assert_eq!(PartitionReassignment::decode(br#"{"partitions":[]}"#), Ok(PartitionReassignment::default()));
    }

    #[test]
    fn of_a_partition_that_is_named_twice_the_last_words_count() {
        let one = |partition, replicas| format!(r#"{{"topic":"t","partition":{partition},"replicas":{replicas}}}"#);
        let all = [one("0", "[1]"), one("1", "[2]"), one("0", "[3]")].join(",");
        let read =
            PartitionReassignment::decode(format!(r#"{{"version":1,"partitions":[{all}]}}"#).as_bytes()).unwrap();
        let read: Vec<_> = read.0.into_iter().map(|wanted| (wanted.partition, wanted.replicas)).collect();
        assert_eq!(read, [(0, vec![3]), (1, vec![2])]);
    }
}
