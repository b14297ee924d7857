//! `kafka-log-dirs.sh` (`kafka.admin.LogDirsCommand`): what lies in the log directories of brokers.

use std::ffi::OsString;

use kafka_client::{ClientError, TopicPartition};
use kafka_proto::messages::describe_log_dirs::{Outcome, ResponsePartition};
use serde_json::{Value, json};

use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::kafka_admin::{KafkaAdmin, thrown};
use crate::options::{Parsed, Parser, Row};

const OPTIONS: [Row; 5] = [
    Row::taking(
        "bootstrap-server",
        "String",
        "The server(s) to use for bootstrapping",
        "REQUIRED: the server(s) to use for bootstrapping",
    ),
    Row::taking(
        "command-config",
        "String",
        "Admin client property file",
        "Property file containing configs to be passed to Admin Client.",
    ),
    Row::flag("describe", "Describe the specified log directories on the specified brokers."),
    Row::taking(
        "topic-list",
        "String",
        "Topic list",
        "The list of topics to be queried in the form \"topic1,topic2,topic3\". All topics will be queried if no topic list \
         is specified",
    )
    .or(""),
    Row::taking(
        "broker-list",
        "String",
        "Broker list",
        "The list of brokers to be queried in the form \"0,1,2\". All brokers in the cluster will be queried if no broker \
         list is specified",
    ),
];

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let mut parser = Parser::new();
    parser.accept_all(&OPTIONS);
    let parsed = parser.parse(arguments)?;
    parsed.help_or_version("This tool helps to query log directory usage on the specified brokers.")?;
    parsed.check_required(&["bootstrap-server", "describe"])?;
    describe(&parsed, console)?;
    Ok(0)
}

fn describe(parsed: &Parsed, console: &mut Console<'_>) -> Result<(), Thrown> {
    let servers = parsed.value("bootstrap-server")?.unwrap_or_default();
    let mut admin = KafkaAdmin::named("log-dirs-tool", parsed.value("command-config")?, servers)?;
    let topics: Vec<&str> = named(parsed.value("topic-list")?.unwrap_or_default()).collect();
    let brokers = match parsed.value("broker-list")? {
        Some(list) => named(list).map(number).collect::<Result<Vec<i32>, Thrown>>()?,
        None => admin.brokers().map_err(executed)?.iter().map(|broker| broker.node_id).collect(),
    };
    console.line("Querying brokers for log directories information");
    console.flush();
    let described: Vec<(i32, Vec<Outcome>)> = brokers
        .iter()
        .copied()
        .zip(admin.log_dirs(&brokers))
        .map(|(broker, outcome)| Ok((broker, outcome?)))
        .collect::<Result<_, ClientError>>()
        .map_err(executed)?;
    let list = brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    console.line(format_args!("Received log directory information from brokers {list}"));
    let brokers: Vec<Value> = in_order(described)
        .into_iter()
        .map(|(broker, log_dirs)| json!({"broker": broker, "logDirs": log_dirs_of(log_dirs, &topics)}))
        .collect();
    console.line(json!({"version": 1, "brokers": brokers}));
    Ok(())
}

/// Brokers, each once, as the original's map has them.
fn in_order(mut described: Vec<(i32, Vec<Outcome>)>) -> Vec<(i32, Vec<Outcome>)> {
    described.sort_by_key(|(broker, _)| *broker);
    described.dedup_by_key(|(broker, _)| *broker);
    java::scala_mutable_order(java::hash_order_by(described, |(broker, _)| java::int_hash(broker)), |(broker, _)| {
        java::int_hash(broker)
    })
}

fn named(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').filter(|name| !name.is_empty())
}

fn number(id: &str) -> Result<i32, Thrown> {
    let message = format!("For input string: \"{id}\"");
    id.parse().map_err(|_| Thrown::new("java.lang.NumberFormatException", message))
}

fn executed(error: ClientError) -> Thrown {
    Thrown::executed(thrown(error))
}

fn log_dirs_of(log_dirs: Vec<Outcome>, topics: &[&str]) -> Vec<Value> {
    let ordered = java::hash_order_from(2, log_dirs, |log_dir| java::string_hash(&log_dir.log_dir));
    let one = |log_dir: &Outcome| {
        let error = log_dir.error_code.is_error().then(|| log_dir.error_code.exception());
        json!({"logDir": &*log_dir.log_dir, "error": error, "partitions": partitions_of(log_dir, topics)})
    };
    ordered.iter().map(one).collect()
}

fn partitions_of(log_dir: &Outcome, topics: &[&str]) -> Vec<Value> {
    let wanted = log_dir.topics.iter().filter(|topic| topics.is_empty() || topics.contains(&&*topic.name));
    let partitions = wanted.flat_map(|topic| {
        let name = |partition: &ResponsePartition| TopicPartition::new(topic.name.clone(), partition.partition_index);
        topic.partitions.iter().map(move |partition| (name(partition), partition))
    });
    let ordered = java::scala_mutable_order(partitions.collect(), |(name, _)| java::topic_partition_hash(name));
    let one = |(name, partition): &(TopicPartition, &ResponsePartition)| {
        json!({
            "partition": name.to_string(),
            "size": partition.partition_size,
            "offsetLag": partition.offset_lag,
            "isFuture": partition.is_future_key,
        })
    };
    ordered.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_the_originals() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let help = run(&[], &mut Console { input: None, out: &mut out, err: &mut err }).unwrap_err();
        assert_eq!(help.err, include_str!("../../tests/golden/kafka-log-dirs-help.txt"));
    }
}
