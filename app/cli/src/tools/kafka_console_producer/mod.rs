//! `kafka-console-producer.sh` (`kafka.tools.ConsoleProducer`): each line of standard input becomes a record.

mod lines;
mod options;

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use base::Str;
use bytes::Bytes;
use kafka_client::{ClientError, Producer, ProducerConfig, ProducerRecord, RecordId, SendError};

use super::client::{self, FOREVER, Signals};
use crate::console::{Console, Stop, Thrown};
use crate::driver::Driver;
use lines::{LineMessageReader, Lines, Next};
use options::Options;
pub(super) use options::are_valid;

const CALLBACK: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";
/// After so many records the network gets its turn though there is more to read.
const RECORDS_BETWEEN_STEPS: u64 = 128;

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let options = Options::parse(arguments)?;
    let mut tool = ConsoleProducer::start(&options, console).map_err(|thrown| Stop::failure(thrown.trace()))?;
    let reader = LineMessageReader::new(&options.reader);
    let result = tool.produce_all(reader, options.sync, console);
    // What was taken is sent, whatever ended the reading.
    if let Err(thrown) = &result {
        console.flush();
        console.error_line(thrown);
    }
    tool.finish(console);
    Ok(tool.signals.exit_code().unwrap_or(i32::from(result.is_err())))
}

/// Lengths of key and value of a record, for the log of what went wrong.
type Sizes = (Option<usize>, usize);

struct ConsoleProducer {
    driver: Driver<Producer>,
    signals: Signals,
    topic: Str,
    /// Whether the topic's partitions were seen; sending blocks until then.
    topic_known: bool,
    on_the_way: HashMap<RecordId, Sizes>,
}

impl ConsoleProducer {
    fn start(options: &Options, console: &mut Console<'_>) -> Result<Self, Thrown> {
        let (config, warnings) = ProducerConfig::new(options.producer.iter()).map_err(client::config_exception)?;
        client::check_resolvable(&config.network.bootstrap, "producer", console)?;
        for warning in warnings {
            console.log("WARN", warning, "org.apache.kafka.clients.producer.ProducerConfig");
        }
        let driver = Driver::new(Producer::new(config, client::seed()), client::warn());
        let signals = Signals::listen(driver.waker())?;
        let topic = Str::copied(&options.topic);
        Ok(Self { driver, signals, topic, topic_known: false, on_the_way: HashMap::new() })
    }

    fn produce_all(
        &mut self,
        mut reader: LineMessageReader,
        sync: bool,
        console: &mut Console<'_>,
    ) -> Result<(), Thrown> {
        let input = console.input.take().unwrap_or_else(|| Box::new(std::io::stdin()));
        let mut lines = Lines::read(input, self.driver.waker());
        let mut count = 0_u64;
        loop {
            let _ = console.out.write_all(b">");
            let Some(line) = self.next_line(&mut lines, console) else { return Ok(()) };
            let (key, value) = reader.message(line)?;
            let sizes = (key.as_ref().map(Bytes::len), value.len());
            let record = ProducerRecord {
                topic: self.topic.clone(),
                partition: None,
                timestamp_ms: self.driver.now().wall_ms,
                key,
                value: Some(value),
                headers: Vec::new(),
            };
            match self.send(record, sizes, console) {
                Ok(()) if sync => self.wait_for_delivery()?,
                Ok(()) => {}
                Err(error) if sync => return Err(execution_exception(&error)),
                Err(error) => self.log(sizes, &error, console),
            }
            count += 1;
            if count.is_multiple_of(RECORDS_BETWEEN_STEPS) {
                self.step(Duration::ZERO, console);
            }
        }
    }

    /// The next line; `None` at the end and after a signal.
    fn next_line(&mut self, lines: &mut Lines, console: &mut Console<'_>) -> Option<Vec<u8>> {
        loop {
            if self.signals.exit_code().is_some() {
                return None;
            }
            match lines.next() {
                Next::Line(line) => return Some(line),
                Next::End => return None,
                Next::NotYet => {
                    console.flush();
                    self.step(FOREVER, console);
                }
            }
        }
    }

    /// Hands a record over, and waits as long as `max.block.ms` for room and for the topic.
    fn send(&mut self, mut record: ProducerRecord, sizes: Sizes, console: &mut Console<'_>) -> Result<(), ClientError> {
        let block_ms = self.driver.machine.config().block_ms_max;
        let end = Instant::now() + Duration::from_millis(block_ms);
        let id = loop {
            let now = self.driver.now();
            match self.driver.machine.send(record, now) {
                Ok(id) => break id,
                Err(SendError::Refused(error)) => return Err(error),
                Err(SendError::Full(_)) if end <= Instant::now() => {
                    return Err(ClientError::Timeout(format!(
                        "Failed to allocate memory within the configured max blocking time {block_ms} ms."
                    )));
                }
                Err(SendError::Full(back)) => record = *back,
            }
            self.step(end.saturating_duration_since(Instant::now()), console);
        };
        self.on_the_way.insert(id, sizes);
        if !self.topic_known {
            let (topic, signals) = (&self.topic, &self.signals);
            self.topic_known = self
                .driver
                .run_until(FOREVER, |producer, _| {
                    let known = producer.partitions(topic).is_some();
                    (known || producer.is_idle() || signals.exit_code().is_some()).then_some(known)
                })
                .unwrap_or(false);
        }
        Ok(())
    }

    fn wait_for_delivery(&mut self) -> Result<(), Thrown> {
        let signals = &self.signals;
        let delivery = self.driver.run_until(FOREVER, |producer, _| match producer.next_delivery() {
            None if signals.exit_code().is_some() => Some(None),
            None => None,
            delivery => Some(delivery),
        });
        let Some((id, result)) = delivery.flatten() else { return Ok(()) };
        self.on_the_way.remove(&id);
        result.map(drop).map_err(|error| execution_exception(&error))
    }

    fn step(&mut self, wait: Duration, console: &mut Console<'_>) {
        self.driver.step(wait);
        while let Some((id, result)) = self.driver.machine.next_delivery() {
            let sizes = self.on_the_way.remove(&id).unwrap_or_default();
            if let Err(error) = result {
                self.log(sizes, &error, console);
            }
        }
    }

    fn log(&self, (key, value): Sizes, error: &ClientError, console: &mut Console<'_>) {
        let key = key.map_or_else(|| "null".to_owned(), |len| format!("{len} bytes"));
        let topic = &self.topic;
        let text =
            format!("Error when sending message to topic {topic} with key: {key}, value: {value} bytes with error:");
        client::log_exception(console, text, CALLBACK, client::exception(error));
    }

    /// Sends all that is left.
    fn finish(&mut self, console: &mut Console<'_>) {
        self.driver.machine.flush();
        self.step(Duration::ZERO, console);
        while !self.driver.machine.is_idle() {
            self.step(FOREVER, console);
        }
    }
}

fn execution_exception(error: &ClientError) -> Thrown {
    Thrown::new("java.util.concurrent.ExecutionException", client::exception(error))
}
