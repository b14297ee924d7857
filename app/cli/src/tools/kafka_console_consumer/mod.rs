//! `kafka-console-consumer.sh` (`kafka.tools.ConsoleConsumer`): records of topics on standard output.

mod deserializer;
mod formatter;
mod internal_topics;
mod options;

use std::ffi::OsString;
use std::time::Duration;

use base::Str;
use kafka_client::{ClientError, ConsumedRecord, Consumer, ConsumerConfig, ConsumerEvent, TopicPartition};

use super::client::{self, FOREVER, Signals};
use crate::console::{Console, Stop, Thrown};
use crate::driver::Driver;
use options::{Options, Source, Start};

const LOGGER: &str = "kafka.tools.ConsoleConsumer$";
/// How long to wait for the last commit and the leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let options = Options::parse(arguments)?;
    let result = start(&options, console).and_then(|mut tool| {
        let result = tool.process(&options, console);
        tool.close();
        console.flush();
        console.error_line(format_args!("Processed a total of {} messages", tool.count));
        result.map(|()| tool.signals.exit_code().unwrap_or(0))
    });
    let code = result.unwrap_or_else(|thrown| {
        client::log_exception(console, "Unknown error when running consumer: ", LOGGER, thrown.trace());
        1
    });
    if options.systest_events {
        console.line("shutdown_complete");
    }
    Ok(code)
}

struct ConsoleConsumer {
    driver: Driver<Consumer>,
    signals: Signals,
    count: u64,
    /// Polled and not yet shown.
    records: std::vec::IntoIter<ConsumedRecord>,
}

fn start(options: &Options, console: &mut Console<'_>) -> Result<ConsoleConsumer, Thrown> {
    let (config, warnings) = ConsumerConfig::new(options.consumer.iter()).map_err(client::config_exception)?;
    client::check_resolvable(&config.network.bootstrap, "consumer", console)?;
    for warning in warnings {
        console.log("WARN", warning, "org.apache.kafka.clients.consumer.ConsumerConfig");
    }
    let mut driver = Driver::new(Consumer::new(config, client::seed()), client::warn());
    let signals = Signals::listen(driver.waker())?;
    let illegal = |error: ClientError| Thrown::new("org.apache.kafka.common.errors.InvalidGroupIdException", error);
    match &options.source {
        Source::Topic(topic) => driver.machine.subscribe([Str::copied(topic)]).map_err(illegal)?,
        Source::Topics(pattern) => {
            let regex = regex_lite::Regex::new(&format!("^(?:{pattern})$"))
                .map_err(|error| Thrown::new("java.util.regex.PatternSyntaxException", error))?;
            driver.machine.subscribe_pattern(move |topic| regex.is_match(topic)).map_err(illegal)?;
        }
        Source::Partition(topic, partition, start) => {
            let partition = TopicPartition::new(Str::copied(topic), *partition);
            driver.machine.assign([partition.clone()]);
            match start {
                Start::Beginning => driver.machine.seek_to_beginning(&partition),
                Start::End => driver.machine.seek_to_end(&partition),
                Start::At(offset) => driver.machine.seek(&partition, *offset),
            }
        }
    }
    Ok(ConsoleConsumer { driver, signals, count: 0, records: Vec::new().into_iter() })
}

/// How waiting for a record ended.
enum Received {
    Record(Box<ConsumedRecord>),
    Failed(ClientError),
    TimedOut,
    Stopped,
}

impl ConsoleConsumer {
    /// Shows records until there are enough, none comes any more, or nobody listens; an error is the formatter's.
    fn process(&mut self, options: &Options, console: &mut Console<'_>) -> Result<(), Thrown> {
        const END: &str = "Error processing message, terminating consumer process: ";
        let timeout = options.timeout_ms.map_or(FOREVER, Duration::from_millis);
        let mut line = Vec::new();
        while options.messages_max.is_none_or(|max| self.count < max) {
            let record = match self.receive(timeout, console) {
                Received::Record(record) => record,
                Received::Stopped => return Ok(()),
                Received::TimedOut => {
                    let exception = "org.apache.kafka.common.errors.TimeoutException";
                    client::log_exception(console, END, LOGGER, exception);
                    return Ok(());
                }
                Received::Failed(error) => {
                    client::log_exception(console, END, LOGGER, client::exception(&error));
                    return Ok(());
                }
            };
            self.count += 1;
            line.clear();
            let result = options.formatter.write(&record, &mut line);
            let written = console.out.write_all(&line);
            if let Err(thrown) = result {
                if !options.skip_message_on_error {
                    return Err(thrown);
                }
                let text = "Error processing message, skipping this message: ";
                client::log_exception(console, text, LOGGER, thrown.trace());
            }
            // What is shown is seen before there is a wait for more.
            let flushed = if self.records.as_slice().is_empty() { console.out.flush() } else { Ok(()) };
            if written.and(flushed).is_err() {
                console.error_line("Unable to write to standard out, closing consumer.");
                return Ok(());
            }
        }
        Ok(())
    }

    fn receive(&mut self, timeout: Duration, console: &mut Console<'_>) -> Received {
        if self.signals.exit_code().is_some() {
            return Received::Stopped;
        }
        if let Some(record) = self.records.next() {
            return Received::Record(Box::new(record));
        }
        console.flush();
        let signals = &self.signals;
        let polled = self.driver.run_until(timeout, |consumer, now| {
            if signals.exit_code().is_some() {
                return Some(Ok(Vec::new()));
            }
            while let Some(event) = consumer.next_event() {
                if let ConsumerEvent::Failed(error) = event {
                    return Some(Err(error));
                }
            }
            match consumer.poll(now) {
                Ok(records) if records.is_empty() => None,
                polled => Some(polled),
            }
        });
        match polled {
            None => Received::TimedOut,
            Some(Err(error)) => Received::Failed(error),
            Some(Ok(records)) => {
                self.records = records.into_iter();
                self.records.next().map_or(Received::Stopped, |record| Received::Record(Box::new(record)))
            }
        }
    }

    /// Leaves the group; records that were not shown are not committed.
    fn close(&mut self) {
        for record in std::mem::take(&mut self.records).rev() {
            self.driver.machine.seek(&record.partition, record.offset);
        }
        let now = self.driver.now();
        self.driver.machine.close(now);
        self.driver.run_until(CLOSE_TIMEOUT, |consumer, _| consumer.is_closed().then_some(()));
    }
}
