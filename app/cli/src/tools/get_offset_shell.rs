//! `kafka-run-class.sh kafka.tools.GetOffsetShell`: where the partitions of a topic begin or end, or have the records of a time.

use std::collections::BTreeMap;
use std::ffi::OsString;

use kafka_client::ClientError;
use kafka_proto::messages::metadata;

use super::client;
use super::kafka_console_producer::are_valid;
use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::kafka_admin::{KafkaAdmin, thrown};
use crate::kafka_admin_calls::{EARLIEST, LATEST};
use crate::options::{Parsed, Parser, Row};

const OPTIONS: [Row; 6] = [
    Row::taking(
        "broker-list",
        "String",
        "hostname:port,...,hostname:port",
        "REQUIRED: The list of hostname and port of the server to connect to.",
    ),
    Row::taking("topic", "String", "topic", "REQUIRED: The topic to get offset from."),
    Row::taking(
        "partitions",
        "String",
        "partition ids",
        "comma separated list of partition ids. If not specified, it will find offsets for all partitions",
    )
    .or(""),
    Row::taking(
        "time",
        "Long",
        "timestamp/-1(latest)/-2(earliest)",
        "timestamp of the offsets before that. [Note: No offset is returned, if the timestamp greater than recently commited \
         record timestamp is given.]",
    )
    .or("-1"),
    Row::taking("offsets", "Integer", "count", "DEPRECATED AND IGNORED: number of offsets returned").or("1"),
    Row::taking(
        "max-wait-ms",
        "Integer",
        "ms",
        "DEPRECATED AND IGNORED: The max amount of time each fetch request waits.",
    )
    .or("1000"),
];

/// Runs the class.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let mut parser = Parser::bare();
    parser.accept_all(&OPTIONS);
    if arguments.is_empty() {
        return Err(parser.usage("An interactive shell for getting topic offsets."));
    }
    let parsed = parser.parse(arguments)?;
    parsed.check_required(&["broker-list", "topic"])?;
    let servers = parsed.value("broker-list")?.unwrap_or_default();
    if !are_valid(servers) {
        return Err(parsed.usage("Please provide valid host:port like host1:9091,host2:9092\n "));
    }
    let topic = parsed.value("topic")?.unwrap_or_default();
    let wanted = wanted_partitions(&parsed)?;
    let time: i64 = parsed.number("time")?.unwrap_or(LATEST);
    let mut admin = KafkaAdmin::new(None, &[("bootstrap.servers", servers), ("client.id", "GetOffsetShell")])?;
    client::check_resolvable(admin.bootstrap(), "consumer", console)?;
    let found = partitions(&mut admin, topic, &wanted)?;
    let missing = wanted.iter().filter(|index| !found.iter().any(|one| one.partition_index == **index));
    missing.for_each(|index| console.error_line(format_args!("Error: partition {index} does not exist")));
    let mut led = Vec::new();
    for partition in found {
        let index = partition.partition_index;
        if partition.leader_id < 0 {
            console.error_line(format_args!("Error: partition {index} does not have a leader. Skip getting offsets"));
        } else {
            led.push((topic.to_owned(), index));
        }
    }
    for ((topic, index), offset) in offsets(&mut admin, &led, time)? {
        let offset = if offset < 0 { String::new() } else { offset.to_string() };
        console.line(format_args!("{topic}:{index}:{offset}"));
    }
    Ok(0)
}

/// The partitions that are asked for, in the order of the original's set; none: all.
fn wanted_partitions(parsed: &Parsed) -> Result<Vec<i32>, Stop> {
    let list = parsed.value("partitions")?.unwrap_or_default();
    // Java takes what is empty at the end for nothing.
    let words = list.trim_end_matches(',').split(',').filter(|_| !list.trim_end_matches(',').is_empty());
    let numbers: Result<Vec<i32>, _> = words.map(str::parse).collect();
    let numbers = numbers.map_err(|_| {
        Stop::failure(format_args!(
            "--partitions expects a comma separated list of numeric partition ids, but received: {list}"
        ))
    })?;
    Ok(java::scala_set(numbers, java::int_hash))
}

/// Those of the topic's partitions that are asked for, in order.
fn partitions(admin: &mut KafkaAdmin, topic: &str, wanted: &[i32]) -> Result<Vec<metadata::ResponsePartition>, Stop> {
    let listed = admin
        .metadata("listTopics", None)
        .map_err(|error| late(error, "Timeout expired while fetching topic metadata"))?;
    let mut partitions = match listed.topics.into_iter().find(|listed| *listed.name == *topic) {
        Some(topic) => topic.partitions,
        None => Vec::new(),
    };
    if partitions.is_empty() {
        return Err(Stop::failure(format_args!("Topic {topic} does not exist")));
    }
    partitions.retain(|partition| wanted.is_empty() || wanted.contains(&partition.partition_index));
    if partitions.is_empty() {
        let wanted = wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        return Err(Stop::failure(format_args!(
            "Topic {topic} does not have any of the requested partitions {wanted}"
        )));
    }
    partitions.sort_by_key(|partition| partition.partition_index);
    Ok(partitions)
}

fn offsets(
    admin: &mut KafkaAdmin,
    partitions: &[(String, i32)],
    time: i64,
) -> Result<BTreeMap<(String, i32), i64>, Thrown> {
    if time < 0 && ![EARLIEST, LATEST].contains(&time) {
        // The first of the original's map is told of.
        let first =
            java::scala_order(partitions.iter().collect(), |(topic, index)| java::partition_hash(topic, *index));
        let Some((topic, index)) = first.first() else { return Ok(BTreeMap::new()) };
        return Err(Thrown::illegal_argument(format!(
            "The target time for partition {topic}-{index} is {time}. The target time cannot be negative."
        )));
    }
    let timeout_ms = admin.timeout().as_millis();
    let found = admin.offsets(partitions, time);
    found.map_err(|error| late(error, &format!("Failed to get offsets by times in {timeout_ms}ms")))
}

/// What the original's consumer throws; when it has waited for too long, in these words.
fn late(error: ClientError, words: &str) -> Thrown {
    match error {
        ClientError::Timeout(_) => thrown(ClientError::Timeout(words.to_owned())),
        error => thrown(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(line: &str) -> Stop {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        run(&words, &mut Console { input: None, out: &mut out, err: &mut err }).unwrap_err()
    }

    #[test]
    fn help_is_the_originals() {
        let help = stopped("");
        assert_eq!(help.err, include_str!("../../tests/golden/get-offset-shell-help.txt"));
        assert_eq!(help.code, 1);
    }

    #[test]
    fn partitions_are_numbers() {
        for list in ["x", "0,,1", ",0"] {
            let stop = stopped(&format!("--broker-list localhost:1 --topic t --partitions {list}"));
            assert!(stop.err.starts_with("--partitions expects a comma separated list"), "{}", stop.err);
        }
        let of = |list: &str| {
            let mut parser = Parser::bare();
            parser.accept_all(&OPTIONS);
            wanted_partitions(&parser.parse(&[format!("--partitions={list}").into()]).unwrap())
        };
        assert_eq!(of("3,0,3"), Ok(vec![3, 0]));
        assert_eq!(of("1,"), Ok(vec![1]));
        assert_eq!(of(","), Ok(vec![]));
    }
}
