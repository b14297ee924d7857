//! The command line of `kafka-consumer-perf-test`.

use std::ffi::OsString;

use config::Properties;

use super::date_format::DateFormat;
use crate::console::{Console, Stop, Thrown};
use crate::kafka_admin::load_properties;
use crate::options::{Parsed, Parser, Row};
use crate::tools::client;

/// A command line that was checked.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) topic: String,
    pub(super) messages: i64,
    pub(super) timeout_ms: i64,
    pub(super) reporting_interval_ms: i64,
    pub(super) date_format: DateFormat,
    pub(super) detailed: bool,
    pub(super) hide_header: bool,
    pub(super) print_metrics: bool,
    pub(super) consumer: Properties,
}

impl Options {
    pub(super) fn parse(arguments: &[OsString], console: &mut Console<'_>) -> Result<Self, Stop> {
        let parsed = parser().parse_or_usage(arguments)?;
        if parsed.has("threads") || parsed.has("num-fetch-threads") {
            console.line(
                "WARNING: option [threads] and [num-fetch-threads] have been deprecated and will be ignored by the test",
            );
        }
        parsed.help_or_version("This tool helps in performance test for the full zookeeper consumer")?;
        parsed.check_required(&["topic", "messages"])?;
        Self::read(&parsed).map_err(|thrown| thrown.uncaught())
    }

    fn read(parsed: &Parsed) -> Result<Self, Thrown> {
        let mut consumer = match parsed.value("consumer.config")? {
            Some(path) => load_properties(path)?,
            None => Properties::new(),
        };
        let text = |option| parsed.value(option).map(|value| value.unwrap_or_default().to_owned());
        consumer.set("bootstrap.servers", text(client::servers_option(parsed))?);
        consumer.set("group.id", text("group")?);
        consumer.set("receive.buffer.bytes", int(parsed, "socket-buffer-size")?.to_string());
        consumer.set("max.partition.fetch.bytes", int(parsed, "fetch-size")?.to_string());
        consumer.set("auto.offset.reset", if parsed.has("from-latest") { "latest" } else { "earliest" });
        consumer.set("check.crcs", "false");
        int(parsed, "threads")?;
        let topic = text("topic")?;
        let messages = parsed.number::<i64>("messages")?.unwrap_or_default();
        let reporting_interval_ms = i64::from(int(parsed, "reporting-interval")?);
        if reporting_interval_ms <= 0 {
            return Err(Thrown::illegal_argument("Reporting interval must be greater than 0."));
        }
        Ok(Self {
            topic,
            messages,
            timeout_ms: parsed.number::<i64>("timeout")?.unwrap_or_default(),
            reporting_interval_ms,
            date_format: DateFormat::new(&text("date-format")?)?,
            detailed: parsed.has("show-detailed-stats"),
            hide_header: parsed.has("hide-header"),
            print_metrics: parsed.has("print-metrics"),
            consumer,
        })
    }
}

fn int(parsed: &Parsed, option: &str) -> Result<i32, Thrown> {
    Ok(parsed.number::<i32>(option)?.unwrap_or_default())
}

const OPTIONS: [Row; 14] = [
    Row::taking("messages", "Long", "count", "REQUIRED: The number of messages to send or consume"),
    Row::taking(
        "reporting-interval",
        "Integer",
        "interval_ms",
        "Interval in milliseconds at which to print progress info.",
    )
    .or("5000"),
    Row::taking(
        "date-format",
        "String",
        "date format",
        "The date format to use for formatting the time field. See java.text.SimpleDateFormat for options.",
    )
    .or("yyyy-MM-dd HH:mm:ss:SSS"),
    Row::flag("hide-header", "If set, skips printing the header for the stats "),
    Row::taking("topic", "String", "topic", "REQUIRED: The topic to consume from."),
    Row::taking("fetch-size", "Integer", "size", "The amount of data to fetch in a single request.").or("1048576"),
    Row::flag(
        "from-latest",
        "If the consumer does not already have an established offset to consume from, start with the latest message \
         present in the log rather than the earliest message.",
    ),
    Row::taking("socket-buffer-size", "Integer", "size", "The size of the tcp RECV size.").or("2097152"),
    Row::taking("threads", "Integer", "count", "DEPRECATED AND IGNORED: Number of processing threads.").or("10"),
    Row::taking("num-fetch-threads", "Integer", "count", "DEPRECATED AND IGNORED: Number of fetcher threads.").or("1"),
    Row::taking("consumer.config", "String", "config file", "Consumer config properties file."),
    Row::flag("print-metrics", "Print out the metrics."),
    Row::flag(
        "show-detailed-stats",
        "If set, stats are reported for each reporting interval as configured by reporting-interval",
    ),
    Row::taking(
        "timeout",
        "Long",
        "milliseconds",
        "The maximum allowed time in milliseconds between returned records.",
    )
    .optional()
    .or("10000"),
];

fn parser() -> Parser {
    let mut parser = Parser::new();
    parser.accept_all(&OPTIONS);
    client::accept_servers(
        &mut parser,
        "REQUIRED unless --broker-list(deprecated) is specified. The server(s) to connect to.",
    );
    parser
        .accepts("group", "The group id to consume on.")
        .argument("String", "gid")
        .default(format!("perf-consumer-{}", client::chance(100_000)));
    parser
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> (Result<Options, Stop>, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let words = line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let options = Options::parse(&words, &mut Console { input: None, out: &mut out, err: &mut err });
        (options, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_table_is_that_of_the_original() {
        // Made by kafka-consumer-perf-test.sh --help of 2.7.1, with four digits for the chance in the group's name.
        let golden = include_str!("../../../tests/golden/kafka-consumer-perf-test-help.txt");
        let help = parse("--help").0.unwrap_err();
        let (before, after) = help.err.split_once("perf-consumer-").unwrap();
        let (golden_before, golden_after) = golden.split_once("perf-consumer-NNNN").unwrap();
        assert_eq!(before, golden_before);
        let rest = |text: &str| text.split_once('\n').unwrap().1.to_owned();
        assert_eq!(rest(after), rest(golden_after));
    }

    #[test]
    fn what_is_wrong_is_said_as_the_original_says_it() {
        let first = |line: &str| parse(line).0.unwrap_err().err.lines().next().unwrap_or_default().to_owned();
        assert_eq!(first("--topic t --messages 1"), "Missing required option(s) [bootstrap-server]");
        assert_eq!(first("--broker-list a:1 --topic t"), "Missing required argument \"[messages]\"");
        let uncaught = |line: &str| first(&format!("--broker-list a:1 --topic t {line}"));
        assert_eq!(
            uncaught("--messages 1 --reporting-interval 0"),
            "Exception in thread \"main\" java.lang.IllegalArgumentException: Reporting interval must be greater than 0."
        );
        assert!(uncaught("--messages x").ends_with("Cannot parse argument 'x' of option messages"));
    }

    #[test]
    fn settings_of_the_consumer() {
        let (options, out) =
            parse("--bootstrap-server a:1 --topic t --messages 5 --group g --from-latest --threads 3 --timeout 7");
        let options = options.unwrap();
        let of = |key: &str| options.consumer.get(key).unwrap_or_default();
        assert_eq!((of("group.id"), of("auto.offset.reset"), of("check.crcs")), ("g", "latest", "false"));
        assert_eq!((options.messages, options.timeout_ms, options.reporting_interval_ms), (5, 7, 5_000));
        assert!(out.starts_with("WARNING: option [threads] and"));
    }
}
