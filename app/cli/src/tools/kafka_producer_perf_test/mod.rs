//! `kafka-producer-perf-test.sh` (`org.apache.kafka.tools.ProducerPerformance`): sends records as fast as it may and
//! tells rates and latencies.

mod options;
mod stats;

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use base::{Random, Str};
use bytes::Bytes;
use config::Properties;
use kafka_client::{ClientError, Producer, ProducerConfig, ProducerRecord, RecordId, SendError};

use super::client::{self, FOREVER, Signals};
use super::metrics::Metrics;
use crate::console::{Console, Stop, Thrown};
use crate::driver::Driver;
use crate::kafka_admin::load_properties;
use options::Options;
use stats::Stats;

pub(super) use stats::decimal;

/// After so many records the network gets its turn.
const RECORDS_BETWEEN_STEPS: i64 = 64;
/// Sleeps shorter than this are saved up.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let options = Options::parse(arguments)?;
    let uncaught = |thrown: Thrown| thrown.uncaught();
    let payloads = Payloads::new(&options, console).map_err(uncaught)?;
    let properties = properties(&options).map_err(uncaught)?;
    let mut test = PerformanceTest::start(&options, payloads, &properties, console).map_err(uncaught)?;
    test.send_all(&options, console);
    test.finish(console);
    if let Some(code) = test.signals.exit_code() {
        return Ok(code);
    }
    let now_ms = test.driver.now().wall_ms;
    console.line(test.stats.total(now_ms));
    if options.print_metrics {
        Metrics::of_producer(&test.driver.machine, test.start_ms).print(console);
    }
    Ok(0)
}

fn properties(options: &Options) -> Result<Properties, Thrown> {
    let mut properties = match &options.config_file {
        Some(path) => load_properties(path)?,
        None => Properties::new(),
    };
    for property in &options.properties {
        // Java's split drops empty pieces at the end.
        let pieces: Vec<&str> = property.trim_end_matches('=').split('=').collect();
        let [key, value] = pieces.as_slice() else {
            return Err(Thrown::illegal_argument(format!("Invalid property: {property}")));
        };
        properties.set(key, *value);
    }
    if options.transaction_duration_ms > 0 {
        properties.set("transactional.id", options.transactional_id.as_str());
    }
    Ok(properties)
}

/// What records hold.
enum Payloads {
    Same(Bytes),
    OneOf(Vec<Bytes>, Random),
}

impl Payloads {
    fn new(options: &Options, console: &mut Console<'_>) -> Result<Self, Thrown> {
        let mut random = Random::from_seed(0);
        let Some(path) = &options.payload_file else {
            let size = options.record_size.unwrap_or_default();
            let size = usize::try_from(size).map_err(|_| Thrown::new("java.lang.NegativeArraySizeException", size))?;
            let letters = (0..size).map(|_| b'A' + u8::try_from(random.below(26)).unwrap_or(0));
            return Ok(Self::Same(letters.collect()));
        };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
        console.line(format_args!("Reading payloads from: {}", absolute.display()));
        let bytes = std::fs::read(path).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Thrown::illegal_argument("File does not exist or empty file provided."));
        }
        let payloads = split(&String::from_utf8_lossy(&bytes), &options.payload_delimiter)?;
        console.line(format_args!("Number of messages read: {}", payloads.len()));
        if payloads.is_empty() {
            return Err(Thrown::illegal_argument("bound must be positive"));
        }
        Ok(Self::OneOf(payloads, random))
    }

    fn next(&mut self) -> Bytes {
        match self {
            Self::Same(payload) => payload.clone(),
            Self::OneOf(payloads, random) => {
                let place = usize::try_from(random.below(payloads.len() as u64)).unwrap_or(0);
                payloads.get(place).cloned().unwrap_or_default()
            }
        }
    }
}

/// The pieces between delimiters, which are a pattern; empty ones at the end are none.
fn split(text: &str, delimiter: &str) -> Result<Vec<Bytes>, Thrown> {
    let pattern = regex_lite::Regex::new(delimiter)
        .map_err(|error| Thrown::new("java.util.regex.PatternSyntaxException", error))?;
    let mut pieces: Vec<&str> = pattern.split(text).collect();
    while pieces.last().is_some_and(|piece| piece.is_empty()) {
        pieces.pop();
    }
    Ok(pieces.into_iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect())
}

struct PerformanceTest {
    driver: Driver<Producer>,
    signals: Signals,
    start_ms: i64,
    topic: Str,
    payloads: Payloads,
    stats: Stats,
    topic_known: bool,
    /// Number, start and length of what is not delivered yet.
    on_the_way: HashMap<RecordId, (i64, i64, usize)>,
}

impl PerformanceTest {
    fn start(
        options: &Options,
        payloads: Payloads,
        properties: &Properties,
        console: &mut Console<'_>,
    ) -> Result<Self, Thrown> {
        let (config, warnings) = ProducerConfig::new(properties.iter()).map_err(client::config_exception)?;
        client::check_resolvable(&config.network.bootstrap, "producer", console)?;
        for warning in warnings {
            console.log("WARN", warning, "org.apache.kafka.clients.producer.ProducerConfig");
        }
        let driver = Driver::new(Producer::new(config, client::seed()), client::warn());
        let signals = Signals::listen(driver.waker())?;
        let start_ms = driver.now().wall_ms;
        let stats = Stats::new(options.records, start_ms);
        let topic = Str::copied(&options.topic);
        Ok(Self { driver, signals, start_ms, topic, payloads, stats, topic_known: false, on_the_way: HashMap::new() })
    }

    fn send_all(&mut self, options: &Options, console: &mut Console<'_>) {
        let mut throttler = Throttler::new(options.throughput);
        for number in 0..options.records {
            if self.signals.exit_code().is_some() {
                return;
            }
            self.send(number, console);
            if let Some(sleep) = throttler.sleep_after(number) {
                let end = Instant::now() + sleep;
                while Instant::now() < end && self.signals.exit_code().is_none() {
                    self.step(end.saturating_duration_since(Instant::now()), console);
                }
            } else if number % RECORDS_BETWEEN_STEPS == 0 {
                self.step(Duration::ZERO, console);
            }
        }
    }

    /// Hands a record over; waits as long as `max.block.ms` for room and for the topic.
    fn send(&mut self, number: i64, console: &mut Console<'_>) {
        let start_ms = self.driver.now().wall_ms;
        let payload = self.payloads.next();
        let len = payload.len();
        let block_ms = self.driver.machine.config().block_ms_max;
        let end = Instant::now() + Duration::from_millis(block_ms);
        let mut record = ProducerRecord {
            topic: self.topic.clone(),
            partition: None,
            timestamp_ms: start_ms,
            key: None,
            value: Some(payload),
            headers: Vec::new(),
        };
        loop {
            let now = self.driver.now();
            let error = match self.driver.machine.send(record, now) {
                Ok(id) => {
                    self.on_the_way.insert(id, (number, start_ms, len));
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
            return self.completed((number, start_ms, len), Some(&error), console);
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
            if let Some(record) = self.on_the_way.remove(&id) {
                self.completed(record, result.err().as_ref(), console);
            }
        }
    }

    fn completed(
        &mut self,
        (number, start_ms, len): (i64, i64, usize),
        error: Option<&ClientError>,
        console: &mut Console<'_>,
    ) {
        let now_ms = self.driver.now().wall_ms;
        let bytes = i64::try_from(len).unwrap_or(i64::MAX);
        if let Some(line) = self.stats.record(number, now_ms - start_ms, bytes, now_ms) {
            console.line(line);
            console.flush();
        }
        if let Some(error) = error {
            console.error_line(client::exception(error));
        }
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

/// Holds the rate near `target` records a second (upstream: `ThroughputThrottler`).
pub(super) struct Throttler {
    target: i32,
    started: Instant,
    owed: Duration,
}

impl Throttler {
    pub(super) fn new(target: i32) -> Self {
        Self { target, started: Instant::now(), owed: Duration::ZERO }
    }

    /// How long to wait after the record of this number; forever with a target of 0.
    pub(super) fn sleep_after(&mut self, number: i64) -> Option<Duration> {
        let elapsed = self.started.elapsed().as_secs_f64();
        if self.target < 0 || elapsed <= 0.0 || number as f64 / elapsed <= f64::from(self.target) {
            return None;
        }
        if self.target == 0 {
            return Some(FOREVER);
        }
        self.owed += Duration::from_secs(1) / self.target.unsigned_abs();
        (self.owed >= SLEEP_MIN).then(|| std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_stand_between_delimiters() {
        assert_eq!(split("a\nb\n\nc\n\n", "\\n").unwrap(), ["a", "b", "", "c"]);
        assert_eq!(split("a--b", "-+").unwrap(), ["a", "b"]);
        assert!(split("a", "(").is_err());
    }

    #[test]
    fn properties_are_pairs() {
        let of = |property: &str| {
            let options = Options { properties: vec![property.to_owned()], ..Options::default() };
            properties(&options).map(|properties| properties.get("a").unwrap_or_default().to_owned())
        };
        assert_eq!(of("a=b").unwrap(), "b");
        for wrong in ["a", "a=", "a=b=c"] {
            assert_eq!(of(wrong).unwrap_err().message, format!("Invalid property: {wrong}"));
        }
    }

    #[test]
    fn without_a_target_nothing_waits() {
        assert_eq!(Throttler::new(-1).sleep_after(1_000_000), None);
        let mut slow = Throttler::new(1);
        slow.started = Instant::now().checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(slow.sleep_after(1_000_000), Some(Duration::from_secs(1)));
    }
}
