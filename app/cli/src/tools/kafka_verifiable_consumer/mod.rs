//! `kafka-verifiable-consumer.sh` (`org.apache.kafka.tools.VerifiableConsumer`): reads a topic as a member of a group and tells, as a
//! line of JSON each, what it was given, read and committed. System tests read it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use base::Str;
use config::Properties;
use kafka_client::{
    ClientError, CommitOffset, ConsumedRecord, Consumer, ConsumerConfig, ConsumerEvent, TopicPartition,
};
use kafka_proto::ErrorCode;
use serde_json::{Value, json};

use super::client::{self, FOREVER, Signals};
use crate::argparse::{Argument, Parsed, Parser, Takes};
use crate::console::{Console, Stop, Thrown};
use crate::driver::Driver;
use crate::java;
use crate::kafka_admin::load_properties;

const PARSER: Parser = Parser {
    program: "verifiable-consumer",
    usage: include_str!("usage.txt"),
    about: include_str!("about.txt"),
    arguments: &[
        Argument("--topic", Takes::Text, true),
        Argument("--group-id", Takes::Text, true),
        Argument("--group-instance-id", Takes::Text, false),
        Argument("--max-messages", Takes::Integer, false),
        Argument("--session-timeout", Takes::Integer, false),
        Argument("--verbose", Takes::Nothing, false),
        Argument("--enable-autocommit", Takes::Nothing, false),
        Argument("--reset-policy", Takes::Text, false),
        Argument("--assignment-strategy", Takes::Text, false),
        Argument("--consumer.config", Takes::Text, false),
        Argument("--bootstrap-server", Takes::Text, false),
        Argument("--broker-list", Takes::Text, false),
    ],
    one_of: ["--bootstrap-server", "--broker-list"],
};
const LOGGER: &str = "org.apache.kafka.tools.VerifiableConsumer";
/// How long to wait for the last commit and the leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);
/// The slots of a new `HashSet`.
const SET_SLOTS: u32 = 16;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let parsed = PARSER.parse(arguments)?;
    let properties = properties(&parsed)?;
    let mut tool = VerifiableConsumer::start(&parsed, &properties, console)?;
    tool.print("startup_complete", &[], console);
    if let Err(error) = tool.consume(console) {
        let text = "Error during processing, terminating consumer process: ";
        client::log_exception(console, text, LOGGER, client::exception(&error));
    }
    tool.close(console);
    tool.print("shutdown_complete", &[], console);
    Ok(tool.signals.exit_code().unwrap_or(0))
}

/// The settings: the options' go over a file's.
fn properties(parsed: &Parsed) -> Result<Properties, Stop> {
    let file = parsed.value("--consumer.config").map(load_properties).transpose();
    let mut properties = file.map_err(|thrown| PARSER.refused(&thrown.message))?.unwrap_or_default();
    let servers = parsed.value("--bootstrap-server").or_else(|| parsed.value("--broker-list"));
    let auto_commit = if parsed.has("--enable-autocommit") { "true" } else { "false" };
    for (key, value) in [
        ("group.id", parsed.value("--group-id")),
        ("group.instance.id", parsed.value("--group-instance-id")),
        ("bootstrap.servers", servers),
        ("enable.auto.commit", Some(auto_commit)),
        ("auto.offset.reset", parsed.value("--reset-policy").or(Some("earliest"))),
        ("session.timeout.ms", parsed.value("--session-timeout").or(Some("30000"))),
        (
            "partition.assignment.strategy",
            parsed.value("--assignment-strategy").or(Some("org.apache.kafka.clients.consumer.RangeAssignor")),
        ),
    ] {
        if let Some(value) = value {
            properties.set(key, value);
        }
    }
    Ok(properties)
}

struct VerifiableConsumer {
    driver: Driver<Consumer>,
    signals: Signals,
    messages_max: Option<usize>,
    verbose: bool,
    auto_commit: bool,
    consumed: usize,
    /// What the group gave, in the order in which it is told.
    owned: Vec<TopicPartition>,
}

impl VerifiableConsumer {
    fn start(parsed: &Parsed, properties: &Properties, console: &mut Console<'_>) -> Result<Self, Thrown> {
        let (config, warnings) = ConsumerConfig::new(properties.iter()).map_err(client::config_exception)?;
        client::check_resolvable(&config.network.bootstrap, "consumer", console)?;
        for warning in warnings {
            console.log("WARN", warning, "org.apache.kafka.clients.consumer.ConsumerConfig");
        }
        let mut driver = Driver::new(Consumer::new(config, client::seed()), client::warn());
        let signals = Signals::listen(driver.waker())?;
        let illegal = |error| Thrown::new("org.apache.kafka.common.errors.InvalidGroupIdException", error);
        driver.machine.subscribe([Str::copied(parsed.value("--topic").unwrap_or_default())]).map_err(illegal)?;
        Ok(Self {
            driver,
            signals,
            messages_max: parsed.number::<i64>("--max-messages").and_then(|max| usize::try_from(max).ok()),
            verbose: parsed.has("--verbose"),
            auto_commit: parsed.has("--enable-autocommit"),
            consumed: 0,
            owned: Vec::new(),
        })
    }

    /// Prints an event: time, name, and what else there is to say.
    fn print(&self, name: &str, more: &[(&str, Value)], console: &mut Console<'_>) {
        let mut event = serde_json::Map::new();
        event.insert("timestamp".to_owned(), self.driver.now().wall_ms.into());
        event.insert("name".to_owned(), name.into());
        event.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        console.line(Value::Object(event));
        console.flush();
    }

    fn is_finished(&self) -> bool {
        self.messages_max.is_some_and(|max| self.consumed >= max)
    }

    /// Reads until there are enough records or a signal comes.
    fn consume(&mut self, console: &mut Console<'_>) -> Result<(), ClientError> {
        while !self.is_finished() {
            let Some(records) = self.poll(console)? else { return Ok(()) };
            let offsets = self.received(&records, console);
            if !self.auto_commit {
                self.commit(&offsets, console)?;
            }
        }
        Ok(())
    }

    /// The next records; none when a signal came.
    fn poll(&mut self, console: &mut Console<'_>) -> Result<Option<Vec<ConsumedRecord>>, ClientError> {
        loop {
            let signals = &self.signals;
            let happened = self.driver.run_until(FOREVER, |consumer, now| {
                if signals.exit_code().is_some() {
                    return Some(Happened::Stopped);
                }
                if let Some(event) = consumer.next_event() {
                    return Some(Happened::Event(event));
                }
                match consumer.poll(now) {
                    Ok(records) if records.is_empty() => None,
                    polled => Some(Happened::Polled(polled)),
                }
            });
            match happened {
                Some(Happened::Event(ConsumerEvent::Failed(error))) => return Err(error),
                Some(Happened::Event(event)) => self.told(event, console),
                Some(Happened::Polled(records)) => return records.map(Some),
                Some(Happened::Stopped) | None => return Ok(None),
            }
        }
    }

    fn told(&mut self, event: ConsumerEvent, console: &mut Console<'_>) {
        let ordered = |partitions| java::hash_order_copied(SET_SLOTS, partitions, java::topic_partition_hash);
        match event {
            ConsumerEvent::Assigned(partitions) => {
                let partitions = ordered(partitions);
                self.print("partitions_assigned", &[("partitions", listed(&partitions))], console);
                self.owned.retain(|owned| !partitions.contains(owned));
                self.owned.extend(partitions);
            }
            ConsumerEvent::Revoked(partitions) => {
                let partitions = ordered(partitions);
                self.owned.retain(|owned| !partitions.contains(owned));
                self.print("partitions_revoked", &[("partitions", listed(&partitions))], console);
            }
            ConsumerEvent::Committed(..) | ConsumerEvent::Failed(_) => {}
        }
    }

    /// Tells of records, at most as many as are wanted; gives the offsets behind them.
    fn received(&mut self, records: &[ConsumedRecord], console: &mut Console<'_>) -> Vec<(TopicPartition, i64)> {
        let mut partitions: Vec<(&TopicPartition, Vec<&ConsumedRecord>)> = Vec::new();
        for record in records {
            match partitions.iter_mut().find(|(partition, _)| **partition == record.partition) {
                Some((_, of_partition)) => of_partition.push(record),
                None => partitions.push((&record.partition, vec![record])),
            }
        }
        let (mut summaries, mut offsets) = (Vec::new(), Vec::new());
        for (partition, mut of_partition) in partitions {
            of_partition.truncate(self.messages_max.map_or(usize::MAX, |max| max.saturating_sub(self.consumed)));
            let (Some(first), Some(last)) = (of_partition.first(), of_partition.last()) else { continue };
            offsets.push((partition.clone(), last.offset + 1));
            summaries.push(json!({
                "topic": &*partition.topic, "partition": partition.partition, "count": of_partition.len(),
                "minOffset": first.offset, "maxOffset": last.offset,
            }));
            if self.verbose {
                of_partition.iter().for_each(|record| self.print_record(record, console));
            }
            self.consumed += of_partition.len();
            if self.is_finished() {
                break;
            }
        }
        let count = records.len().into();
        self.print("records_consumed", &[("count", count), ("partitions", summaries.into())], console);
        java::hash_order_by(offsets, |(partition, _)| java::topic_partition_hash(partition))
    }

    fn print_record(&self, record: &ConsumedRecord, console: &mut Console<'_>) {
        let text = |bytes: &Option<bytes::Bytes>| -> Value {
            bytes.as_ref().map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into())
        };
        let more = [
            ("key", text(&record.key)),
            ("value", text(&record.value)),
            ("topic", (*record.partition.topic).into()),
            ("partition", record.partition.partition.into()),
            ("offset", record.offset.into()),
        ];
        self.print("record_data", &more, console);
    }

    /// Commits, waits for the outcome, and tells it.
    fn commit(&mut self, offsets: &[(TopicPartition, i64)], console: &mut Console<'_>) -> Result<(), ClientError> {
        let commit = |(partition, offset): &(TopicPartition, i64)| {
            (partition.clone(), CommitOffset { offset: *offset, ..CommitOffset::default() })
        };
        let now = self.driver.now();
        let id = self.driver.machine.commit(offsets.iter().map(commit).collect::<BTreeMap<_, _>>(), now);
        let outcome = loop {
            match self.driver.run_until(FOREVER, |consumer, _| consumer.next_event()) {
                Some(ConsumerEvent::Committed(done, outcome)) if done == id => break outcome,
                Some(ConsumerEvent::Failed(error)) => break Err(error),
                Some(event) => self.told(event, console),
                None => return Ok(()),
            }
        };
        if let Err(error) = &outcome
            && error.code() == Some(ErrorCode::FENCED_INSTANCE_ID)
        {
            return Err(error.clone());
        }
        let offset = |(partition, offset): &(TopicPartition, i64)| json!({"topic": &*partition.topic, "partition": partition.partition, "offset": offset});
        let mut more = vec![("offsets", offsets.iter().map(offset).collect::<Vec<_>>().into())];
        more.extend(outcome.as_ref().err().map(|error| ("error", error.to_string().into())));
        more.push(("success", outcome.is_ok().into()));
        self.print("offsets_committed", &more, console);
        Ok(())
    }

    /// Leaves the group. What was not told of is not committed.
    fn close(&mut self, console: &mut Console<'_>) {
        let owned = std::mem::take(&mut self.owned);
        if !owned.is_empty() {
            self.told(ConsumerEvent::Revoked(owned), console);
        }
        let now = self.driver.now();
        self.driver.machine.close(now);
        self.driver.run_until(CLOSE_TIMEOUT, |consumer, _| consumer.is_closed().then_some(()));
    }
}

/// What ends a wait.
enum Happened {
    Event(ConsumerEvent),
    Polled(Result<Vec<ConsumedRecord>, ClientError>),
    Stopped,
}

fn listed(partitions: &[TopicPartition]) -> Value {
    let one = |partition: &TopicPartition| json!({"topic": &*partition.topic, "partition": partition.partition});
    partitions.iter().map(one).collect::<Vec<_>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_over_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "group.id=other\nfetch.min.bytes=3\n").unwrap();
        let path = file.path().to_str().unwrap();
        let words = ["--topic", "t", "--group-id", "g", "--bootstrap-server", "a:1", "--consumer.config", path];
        let properties = properties(&PARSER.parse(&words.map(OsString::from)).unwrap()).unwrap();
        let get = |key| properties.get(key).unwrap_or_default();
        assert_eq!((get("group.id"), get("fetch.min.bytes"), get("enable.auto.commit")), ("g", "3", "false"));
        assert_eq!((get("session.timeout.ms"), get("auto.offset.reset")), ("30000", "earliest"));
    }

    #[test]
    fn help_is_no_mistake_without_arguments() {
        let help = PARSER.parse(&[]).unwrap_err();
        assert_eq!(help.code, 0);
        assert!(help.out.starts_with("usage: verifiable-consumer [-h] --topic TOPIC --group-id GROUP_ID\n"));
    }
}
