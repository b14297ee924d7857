//! The JSON that the tool reads and writes: topics to move, and assignments.

use std::collections::BTreeMap;

use kafka_client::TopicPartition;
use serde_json::{Map, Value, json};

use crate::console::Thrown;
use crate::java;
use crate::json::{array, field, integer, object, parse, text};
use crate::kafka_admin_calls::Replica;

/// Stands for whatever directory a broker takes.
const ANY_LOG_DIR: &str = "any";

/// Replicas of partitions, in the order of the file.
pub(super) type Parts = Vec<(TopicPartition, Vec<i32>)>;

/// What a file asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub(super) parts: Parts,
    /// Where replicas shall lie, those alone that must not lie anywhere.
    pub(super) log_dirs: BTreeMap<Replica, String>,
}

/// The topics of a file for `--generate`.
pub(super) fn topics(content: &str) -> Result<Vec<String>, Thrown> {
    let value = versioned(content)?;
    let Some(topics) = value.get("topics") else { return Ok(Vec::new()) };
    array(topics)?.iter().map(|topic| Ok(text(field(object(topic)?, "topic")?)?.to_owned())).collect()
}

/// The assignment of a file; a partition may come twice.
pub(super) fn assignment(content: &str) -> Result<Wanted, Thrown> {
    let value = versioned(content)?;
    let Some(partitions) = value.get("partitions") else { return Ok(Wanted::default()) };
    let mut wanted = Wanted::default();
    for entry in array(partitions)? {
        let fields = object(entry)?;
        let topic = text(field(fields, "topic")?)?;
        let partition = TopicPartition::new(topic, integer(field(fields, "partition")?)?);
        let replicas = list(field(fields, "replicas")?, integer)?;
        let log_dirs = match fields.get("log_dirs") {
            Some(log_dirs) => list(log_dirs, |item| text(item).map(str::to_owned))?,
            None => vec![ANY_LOG_DIR.to_owned(); replicas.len()],
        };
        if replicas.len() != log_dirs.len() {
            return Err(Thrown::command_failed(format!(
                "Size of replicas list {} is different from size of log dirs list {} for partition {partition}",
                scala_list(&replicas),
                scala_list(&log_dirs)
            )));
        }
        for (broker, log_dir) in replicas.iter().zip(log_dirs).filter(|(_, log_dir)| log_dir != ANY_LOG_DIR) {
            wanted.log_dirs.insert(Replica { broker: *broker, partition: partition.clone() }, log_dir);
        }
        wanted.parts.push((partition, replicas));
    }
    Ok(wanted)
}

/// An assignment that can be executed: of each partition once, to brokers that differ.
pub(super) fn executable(content: &str) -> Result<Wanted, Thrown> {
    let wanted = assignment(content)?;
    if wanted.parts.is_empty() {
        return Err(Thrown::command_failed("Partition reassignment list cannot be empty"));
    }
    if wanted.parts.iter().any(|(_, replicas)| replicas.is_empty()) {
        return Err(Thrown::command_failed("Partition replica list cannot be empty"));
    }
    let partitions: Vec<TopicPartition> = wanted.parts.iter().map(|(partition, _)| partition.clone()).collect();
    let twice = java::duplicates(&partitions, java::topic_partition_hash);
    if !twice.is_empty() {
        let twice = joined(&twice);
        return Err(Thrown::command_failed(format!(
            "Partition reassignment contains duplicate topic partitions: {twice}"
        )));
    }
    let twice =
        wanted.parts.iter().map(|(partition, replicas)| (partition, java::duplicates(replicas, java::int_hash)));
    let twice: Vec<String> = twice
        .filter(|(_, replicas)| !replicas.is_empty())
        .map(|(partition, replicas)| format!("{partition} contains multiple entries for {}", joined(&replicas)))
        .collect();
    if twice.is_empty() {
        return Ok(wanted);
    }
    let twice = twice.join(". ");
    Err(Thrown::command_failed(format!("Partition replica lists may not contain duplicate entries: {twice}")))
}

/// An assignment as the tool prints it, and reads it again.
pub(super) fn format(parts: &BTreeMap<TopicPartition, Vec<i32>>) -> String {
    let entry = |(partition, replicas): (&TopicPartition, &Vec<i32>)| {
        let (topic, partition) = (&*partition.topic, partition.partition);
        json!({
            "topic": topic, "partition": partition, "replicas": replicas, "log_dirs": vec![ANY_LOG_DIR; replicas.len()]
        })
    };
    json!({"version": 1, "partitions": parts.iter().map(entry).collect::<Vec<_>>()}).to_string()
}

/// The content of a file of version 1, which is also that of a file without a version.
fn versioned(content: &str) -> Result<Map<String, Value>, Thrown> {
    let value = parse(content)?.ok_or_else(|| Thrown::admin_operation("The input string is not a valid JSON"))?;
    let version = value.get("version").map_or(Ok(1), integer)?;
    if version == 1 {
        Ok(value)
    } else {
        Err(Thrown::admin_operation(format!("Not supported version field value {version}")))
    }
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> Result<T, Thrown>) -> Result<Vec<T>, Thrown> {
    array(value)?.iter().map(of).collect()
}

/// As Scala prints a `List`.
pub(super) fn scala_list(items: &[impl ToString]) -> String {
    format!("List({})", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// With commas between, as most messages have lists.
pub(super) fn joined<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    items.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_written() {
        let wanted =
            executable(r#"{"partitions":[{"topic":"t","partition":1,"replicas":[2,3],"log_dirs":["any","/d"]}]}"#);
        let wanted = wanted.unwrap();
        let partition = TopicPartition::new("t", 1);
        let replica = Replica { broker: 3, partition: partition.clone() };
        assert_eq!(wanted.log_dirs, BTreeMap::from([(replica, "/d".to_owned())]));
        assert_eq!(wanted.parts, [(partition, vec![2, 3])]);
        assert_eq!(
            format(&wanted.parts.into_iter().collect()),
            r#"{"version":1,"partitions":[{"topic":"t","partition":1,"replicas":[2,3],"log_dirs":["any","any"]}]}"#
        );
    }

    #[test]
    fn what_cannot_be_executed_is_said() {
        let message = |content: &str| executable(content).unwrap_err().message;
        assert_eq!(message("nonsense"), "The input string is not a valid JSON");
        assert_eq!(message(r#"{"version":2}"#), "Not supported version field value 2");
        assert_eq!(message("{}"), "Partition reassignment list cannot be empty");
        let of = |partitions: &str| message(&format!(r#"{{"partitions":[{partitions}]}}"#));
        assert_eq!(of(r#"{"topic":"t","partition":0,"replicas":[]}"#), "Partition replica list cannot be empty");
        assert_eq!(
            of(r#"{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}"#),
            "Partition reassignment contains duplicate topic partitions: t-0"
        );
        assert_eq!(
            of(r#"{"topic":"t","partition":0,"replicas":[1,1]}"#),
            "Partition replica lists may not contain duplicate entries: t-0 contains multiple entries for 1"
        );
        assert_eq!(
            of(r#"{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["/a"]}"#),
            "Size of replicas list List(1, 2) is different from size of log dirs list List(/a) for partition t-0"
        );
    }
}
