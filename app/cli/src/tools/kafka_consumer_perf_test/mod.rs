//! `kafka-consumer-perf-test.sh` (`kafka.tools.ConsumerPerformance`): reads a topic as a group's member and tells rates.
//!
//! The original counts the time of the first rebalance from 1970 on, so that `rebalance.time.ms` is about the time of
//! day and `fetch.time.ms` is below zero. Here it is counted from the start of the test.

mod date_format;
mod options;

use std::ffi::OsString;
use std::time::Duration;

use base::Str;
use bytes::Bytes;
use kafka_client::{ClientError, ConsumedRecord, Consumer, ConsumerConfig, ConsumerEvent};

use super::client::{self, Signals};
use super::kafka_producer_perf_test::decimal;
use super::metrics::Metrics;
use crate::console::{Console, Stop, Thrown};
use crate::driver::Driver;
use options::Options;

const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long to wait for the last commit and the leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let options = Options::parse(arguments, console)?;
    if !options.hide_header {
        let first = if options.detailed { "time, threadId" } else { "start.time, end.time" };
        console.line(format_args!(
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, \
             fetch.MB.sec, fetch.nMsg.sec"
        ));
    }
    let mut test = PerformanceTest::start(&options, console).map_err(|thrown| thrown.uncaught())?;
    let result = test.consume(&options, console);
    let end_ms = test.driver.now().wall_ms;
    test.close();
    result.map_err(|error| Stop::uncaught(&error.exception(), &error))?;
    if let Some(code) = test.signals.exit_code() {
        return Ok(code);
    }
    if !options.detailed {
        console.line(test.summary(&options, end_ms));
    }
    if options.print_metrics {
        Metrics::of_consumer(&test.driver.machine, &options.topic, test.read.messages).print(console);
    }
    Ok(0)
}

/// What was read up to some time.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    time_ms: i64,
    messages: i64,
    bytes: i64,
}

struct PerformanceTest {
    driver: Driver<Consumer>,
    signals: Signals,
    start_ms: i64,
    read: Progress,
    /// The last line, or the start.
    reported: Progress,
    rebalance_started_ms: i64,
    rebalance_ms: i64,
    rebalance_ms_since_line: i64,
}

impl PerformanceTest {
    fn start(options: &Options, console: &mut Console<'_>) -> Result<Self, Thrown> {
        let (config, warnings) = ConsumerConfig::new(options.consumer.iter()).map_err(client::config_exception)?;
        client::check_resolvable(&config.network.bootstrap, "consumer", console)?;
        for warning in warnings {
            console.log("WARN", warning, "org.apache.kafka.clients.consumer.ConsumerConfig");
        }
        let mut driver = Driver::new(Consumer::new(config, client::seed()), client::warn());
        let signals = Signals::listen(driver.waker())?;
        let start_ms = driver.now().wall_ms;
        driver
            .machine
            .subscribe([Str::copied(&options.topic)])
            .map_err(|error| Thrown::new("org.apache.kafka.common.errors.InvalidGroupIdException", error))?;
        let start = Progress { time_ms: start_ms, ..Progress::default() };
        Ok(Self {
            driver,
            signals,
            start_ms,
            read: start,
            reported: start,
            rebalance_started_ms: start_ms,
            rebalance_ms: 0,
            rebalance_ms_since_line: 0,
        })
    }

    fn consume(&mut self, options: &Options, console: &mut Console<'_>) -> Result<(), ClientError> {
        let mut consumed_at_ms = self.read.time_ms;
        while self.read.messages < options.messages && self.read.time_ms - consumed_at_ms <= options.timeout_ms {
            if self.signals.exit_code().is_some() {
                return Ok(());
            }
            let records = self.poll()?;
            self.read.time_ms = self.driver.now().wall_ms;
            if !records.is_empty() {
                consumed_at_ms = self.read.time_ms;
            }
            for record in &records {
                self.count(record);
                if self.read.time_ms - self.reported.time_ms >= options.reporting_interval_ms {
                    if options.detailed {
                        console.line(self.progress(options));
                        console.flush();
                    }
                    self.rebalance_ms_since_line = 0;
                    self.reported = self.read;
                }
            }
        }
        if self.read.messages < options.messages {
            let timeout_ms = options.timeout_ms;
            console.line(format_args!(
                "WARNING: Exiting before consuming the expected number of messages: timeout ({timeout_ms} ms) exceeded. \
                 You can use the --timeout option to increase the timeout."
            ));
        }
        Ok(())
    }

    fn count(&mut self, record: &ConsumedRecord) {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let bytes = len(&record.key) + len(&record.value);
        self.read.messages += 1;
        self.read.bytes += i64::try_from(bytes).unwrap_or(0);
    }

    fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        let mut events = Vec::new();
        let polled = self.driver.run_until(POLL_TIMEOUT, |consumer, now| {
            while let Some(event) = consumer.next_event() {
                match event {
                    ConsumerEvent::Failed(error) => return Some(Err(error)),
                    event => events.push((event, now.wall_ms)),
                }
            }
            match consumer.poll(now) {
                Ok(records) if records.is_empty() => None,
                polled => Some(polled),
            }
        });
        for (event, at_ms) in events {
            match event {
                ConsumerEvent::Assigned(_) => {
                    let took_ms = at_ms - self.rebalance_started_ms;
                    self.rebalance_ms += took_ms;
                    self.rebalance_ms_since_line += took_ms;
                }
                ConsumerEvent::Revoked(_) => self.rebalance_started_ms = at_ms,
                _ => {}
            }
        }
        polled.unwrap_or(Ok(Vec::new()))
    }

    /// The line about the time since the last one.
    fn progress(&self, options: &Options) -> String {
        let (now, last) = (&self.read, &self.reported);
        let elapsed_ms = now.time_ms - last.time_ms;
        let (read, messages) = (megabytes(now.bytes - last.bytes), (now.messages - last.messages) as f64);
        let fetch_ms = elapsed_ms - self.rebalance_ms_since_line;
        let per_fetch = |amount: f64| if fetch_ms <= 0 { 0.0 } else { 1000.0 * amount / fetch_ms as f64 };
        format!(
            "{}, 0, {}, {}, {}, {}, {}, {fetch_ms}, {}, {}",
            options.date_format.format(now.time_ms),
            decimal(megabytes(now.bytes), 4),
            decimal(1000.0 * read / elapsed_ms as f64, 4),
            now.messages,
            decimal(messages / elapsed_ms as f64 * 1000.0, 4),
            self.rebalance_ms_since_line,
            decimal(per_fetch(read), 4),
            decimal(per_fetch(messages), 4)
        )
    }

    /// The line about the whole test.
    fn summary(&self, options: &Options, end_ms: i64) -> String {
        let elapsed_s = (end_ms - self.start_ms) as f64 / 1000.0;
        let fetch_ms = end_ms - self.start_ms - self.rebalance_ms;
        let fetch_s = fetch_ms as f64 / 1000.0;
        let (read, messages) = (megabytes(self.read.bytes), self.read.messages as f64);
        format!(
            "{}, {}, {}, {}, {}, {}, {}, {fetch_ms}, {}, {}",
            options.date_format.format(self.start_ms),
            options.date_format.format(end_ms),
            decimal(read, 4),
            decimal(read / elapsed_s, 4),
            self.read.messages,
            decimal(messages / elapsed_s, 4),
            self.rebalance_ms,
            decimal(read / fetch_s, 4),
            decimal(messages / fetch_s, 4)
        )
    }

    fn close(&mut self) {
        let now = self.driver.now();
        self.driver.machine.close(now);
        self.driver.run_until(CLOSE_TIMEOUT, |consumer, _| consumer.is_closed().then_some(()));
    }
}

fn megabytes(bytes: i64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
