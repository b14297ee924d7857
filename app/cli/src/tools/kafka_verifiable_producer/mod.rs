//! `kafka-verifiable-producer.sh` (`org.apache.kafka.tools.VerifiableProducer`): sends growing numbers and tells, as a line of JSON
//! each, which of them were acknowledged. System tests read it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use base::Str;
use bytes::Bytes;
use config::Properties;
use kafka_client::producer::Delivered;
use kafka_client::{ClientError, Producer, ProducerConfig, ProducerRecord, RecordId, SendError};
use serde_json::{Value, json};

use super::client::{self, FOREVER, Signals};
use super::kafka_producer_perf_test::Throttler;
use crate::argparse::{Argument, Parsed, Parser, Takes};
use crate::console::{Console, Stop, Thrown};
use crate::driver::Driver;
use crate::kafka_admin::load_properties;

const PARSER: Parser = Parser {
    program: "verifiable-producer",
    usage: include_str!("usage.txt"),
    about: include_str!("about.txt"),
    arguments: &[
        Argument("--topic", Takes::Text, true),
        Argument("--max-messages", Takes::Integer, false),
        Argument("--throughput", Takes::Integer, false),
        Argument("--acks", Takes::OneOf(&[0, 1, -1]), false),
        Argument("--producer.config", Takes::Text, false),
        Argument("--message-create-time", Takes::Long, false),
        Argument("--value-prefix", Takes::Integer, false),
        Argument("--repeating-keys", Takes::Integer, false),
        Argument("--bootstrap-server", Takes::Text, false),
        Argument("--broker-list", Takes::Text, false),
    ],
    one_of: ["--bootstrap-server", "--broker-list"],
};

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let parsed = PARSER.parse(arguments)?;
    let properties = properties(&parsed)?;
    let mut tool = VerifiableProducer::start(&parsed, &properties, console)?;
    print(&json!({"timestamp": tool.now_ms(), "name": "startup_complete"}), console);
    tool.send_all(&parsed, console);
    tool.finish(console);
    Ok(tool.signals.exit_code().unwrap_or(0))
}

/// The settings: a file's go over the options'.
fn properties(parsed: &Parsed) -> Result<Properties, Stop> {
    let mut properties = Properties::new();
    let servers = parsed.value("--bootstrap-server").or_else(|| parsed.value("--broker-list"));
    properties.set("bootstrap.servers", servers.unwrap_or_default());
    properties.set("acks", parsed.value("--acks").unwrap_or("-1"));
    properties.set("retries", "0");
    if let Some(path) = parsed.value("--producer.config") {
        let file = load_properties(path).map_err(|thrown| PARSER.refused(&thrown.message))?;
        for (key, value) in file.iter() {
            properties.set(key, value);
        }
    }
    Ok(properties)
}

/// A key, if keys are wanted, and a value.
type Sent = (Option<String>, String);

struct VerifiableProducer {
    driver: Driver<Producer>,
    signals: Signals,
    start_ms: i64,
    topic: Str,
    topic_known: bool,
    throughput: i32,
    sent: u64,
    acknowledged: u64,
    on_the_way: HashMap<RecordId, Sent>,
}

impl VerifiableProducer {
    fn start(parsed: &Parsed, properties: &Properties, console: &mut Console<'_>) -> Result<Self, Thrown> {
        let (config, warnings) = ProducerConfig::new(properties.iter()).map_err(client::config_exception)?;
        client::check_resolvable(&config.network.bootstrap, "producer", console)?;
        for warning in warnings {
            console.log("WARN", warning, "org.apache.kafka.clients.producer.ProducerConfig");
        }
        let driver = Driver::new(Producer::new(config, client::seed()), client::warn());
        Ok(Self {
            signals: Signals::listen(driver.waker())?,
            start_ms: driver.now().wall_ms,
            driver,
            topic: Str::copied(parsed.value("--topic").unwrap_or_default()),
            topic_known: false,
            throughput: parsed.number("--throughput").unwrap_or(-1),
            sent: 0,
            acknowledged: 0,
            on_the_way: HashMap::new(),
        })
    }

    fn now_ms(&self) -> i64 {
        self.driver.now().wall_ms
    }

    /// Sends numbers until there are enough or a signal comes.
    fn send_all(&mut self, parsed: &Parsed, console: &mut Console<'_>) {
        let max = parsed.number("--max-messages").filter(|max: &i64| *max >= 0).unwrap_or(i64::MAX);
        let prefix: Option<i32> = parsed.number("--value-prefix");
        let mut keys = Keys { next: 0, count: parsed.number("--repeating-keys") };
        let mut create_time_ms: Option<i64> = parsed.number("--message-create-time").filter(|time| *time != -1);
        let mut throttler = Throttler::new(self.throughput);
        for number in 0..max {
            if self.signals.exit_code().is_some() {
                return;
            }
            let value = prefix.map_or_else(|| number.to_string(), |prefix| format!("{prefix}.{number}"));
            let timestamp_ms = create_time_ms.unwrap_or_else(|| self.now_ms());
            create_time_ms = create_time_ms.map(|time| time + self.now_ms() - self.start_ms);
            self.send((keys.next(), value), timestamp_ms, console);
            let end = Instant::now() + throttler.sleep_after(number).unwrap_or(Duration::ZERO);
            self.step(Duration::ZERO, console);
            while Instant::now() < end && self.signals.exit_code().is_none() {
                self.step(end.saturating_duration_since(Instant::now()), console);
            }
        }
    }

    /// Hands a record over; waits as long as `max.block.ms` for room and for the topic.
    fn send(&mut self, sent: Sent, timestamp_ms: i64, console: &mut Console<'_>) {
        let block_ms = self.driver.machine.config().block_ms_max;
        let end = Instant::now() + Duration::from_millis(block_ms);
        let mut record = ProducerRecord {
            topic: self.topic.clone(),
            partition: None,
            timestamp_ms,
            key: sent.0.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes())),
            value: Some(Bytes::copy_from_slice(sent.1.as_bytes())),
            headers: Vec::new(),
        };
        self.sent += 1;
        loop {
            let now = self.driver.now();
            let error = match self.driver.machine.send(record, now) {
                Ok(id) => {
                    self.on_the_way.insert(id, sent);
                    return self.wait_for_topic();
                }
                Err(SendError::Full(back)) if Instant::now() < end => {
                    record = *back;
                    self.step(end.saturating_duration_since(Instant::now()), console);
                    continue;
                }
                Err(SendError::Full(_)) => ClientError::Timeout(format!(
                    "Failed to allocate memory within the configured max blocking time {block_ms} ms."
                )),
                Err(SendError::Refused(error)) => error,
            };
            return self.completed(&sent, Err(error), console);
        }
    }

    fn wait_for_topic(&mut self) {
        if !self.topic_known {
            let (topic, signals) = (&self.topic, &self.signals);
            let known = self.driver.run_until(FOREVER, |producer, _| {
                let known = producer.partitions(topic).is_some();
                (known || producer.is_idle() || signals.exit_code().is_some()).then_some(known)
            });
            self.topic_known = known.unwrap_or(false);
        }
    }

    fn step(&mut self, wait: Duration, console: &mut Console<'_>) {
        self.driver.step(wait);
        while let Some((id, result)) = self.driver.machine.next_delivery() {
            if let Some(sent) = self.on_the_way.remove(&id) {
                self.completed(&sent, result, console);
            }
        }
    }

    fn completed(&mut self, (key, value): &Sent, result: Result<Delivered, ClientError>, console: &mut Console<'_>) {
        let (timestamp, topic) = (self.now_ms(), &*self.topic);
        let event = match result {
            Ok(delivered) => {
                self.acknowledged += 1;
                json!({
                    "timestamp": timestamp, "name": "producer_send_success", "key": key, "value": value,
                    "offset": delivered.offset, "topic": topic, "partition": delivered.partition.partition,
                })
            }
            Err(error) => json!({
                "timestamp": timestamp, "name": "producer_send_error", "topic": topic, "key": key, "value": value,
                "exception": format!("class {}", error.exception()), "message": error.to_string(),
            }),
        };
        print(&event, console);
    }

    /// Sends all that is left, and tells the sums.
    fn finish(&mut self, console: &mut Console<'_>) {
        self.driver.machine.flush();
        self.step(Duration::ZERO, console);
        while !self.driver.machine.is_idle() {
            self.step(FOREVER, console);
        }
        print(&json!({"timestamp": self.now_ms(), "name": "shutdown_complete"}), console);
        let now_ms = self.now_ms();
        let average = 1000.0 * (self.acknowledged as f64 / (now_ms - self.start_ms).max(1) as f64);
        let sums = json!({
            "timestamp": now_ms, "name": "tool_data", "sent": self.sent, "acked": self.acknowledged,
            "target_throughput": self.throughput, "avg_throughput": average,
        });
        print(&sums, console);
    }
}

fn print(event: &Value, console: &mut Console<'_>) {
    console.line(event);
    console.flush();
}

/// Keys from 0 up to a count, again and again; none without a count.
struct Keys {
    next: i32,
    count: Option<i32>,
}

impl Keys {
    fn next(&mut self) -> Option<String> {
        let count = self.count?;
        let key = self.next;
        self.next = if key.wrapping_add(1) == count { 0 } else { key.wrapping_add(1) };
        Some(key.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_begin_again() {
        let mut keys = Keys { next: 0, count: Some(2) };
        assert_eq!([keys.next(), keys.next(), keys.next()], ["0", "1", "0"].map(|key| Some(key.to_owned())));
        assert_eq!(Keys { next: 0, count: None }.next(), None);
    }

    #[test]
    fn a_file_goes_over_the_options() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "acks=1\nlinger.ms=3\n").unwrap();
        let path = file.path().to_str().unwrap();
        let line = ["--topic", "t", "--broker-list", "a:1", "--producer.config", path].map(OsString::from);
        let properties = properties(&PARSER.parse(&line).unwrap()).unwrap();
        let get = |key| properties.get(key).unwrap_or_default();
        assert_eq!((get("bootstrap.servers"), get("acks"), get("retries"), get("linger.ms")), ("a:1", "1", "0", "3"));
    }

    #[test]
    fn other_acknowledgements_are_refused() {
        let line = ["--topic", "t", "--broker-list", "a:1", "--acks", "5"].map(OsString::from);
        let refused = PARSER.parse(&line).unwrap_err();
        let message = "verifiable-producer: error: argument  --acks:  invalid  choice: '5' (choose\nfrom {0,1,-1})\n";
        assert_eq!((refused.code, refused.err), (1, format!("{}{message}", PARSER.usage)));
    }
}
