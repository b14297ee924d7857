//! The command line of `kafka-console-consumer`.

use std::ffi::OsString;

use config::Properties;

use super::formatter::Formatter;
use crate::console::{Stop, Thrown};
use crate::options::{Parsed, Parser, Row};
use crate::tools::client::{self, Client};

/// Where in a partition to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Beginning,
    End,
    At(i64),
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Topic(String),
    /// A pattern of names.
    Topics(String),
    Partition(String, i32, Start),
}

/// A command line that was checked.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) source: Source,
    pub(super) formatter: Formatter,
    pub(super) messages_max: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) skip_message_on_error: bool,
    pub(super) systest_events: bool,
    pub(super) consumer: Properties,
}

impl Options {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Stop> {
        let parsed = parser().parse_or_usage(arguments)?;
        parsed.help_or_version("This tool helps to read data from Kafka topics and outputs it to standard output.")?;
        let uncaught = |thrown: Thrown| thrown.uncaught();
        let (mut properties, extra) = Client::Consumer.properties(&parsed).map_err(uncaught)?;
        let partition = given::<i32>(&parsed, "partition")?;
        let messages_max = given::<i32>(&parsed, "max-messages")?.filter(|max| *max != -1);
        let timeout_ms = given::<i32>(&parsed, "timeout-ms")?.and_then(|timeout| u64::try_from(timeout).ok());
        let formatter = formatter(&parsed).map_err(uncaught)?;
        let source = source(&parsed, partition)?;
        parsed.check_required(&["bootstrap-server"])?;
        let group_given = set_group(&parsed, &mut properties, &extra)?;
        if group_given && partition.is_some() {
            return Err(parsed.usage("Options group and partition cannot be specified together."));
        }
        for (key, value) in extra.iter() {
            properties.set(key, value);
        }
        set_offset_reset(&parsed, &mut properties)?;
        let servers = parsed.value("bootstrap-server").map_err(uncaught)?.unwrap_or_default();
        properties.set("bootstrap.servers", servers);
        client::merge(&mut properties, "isolation.level", &parsed, "isolation-level").map_err(uncaught)?;
        Ok(Self {
            source,
            formatter,
            messages_max: messages_max.map(|max| u64::try_from(max).unwrap_or(0)),
            timeout_ms,
            skip_message_on_error: parsed.has("skip-message-on-error"),
            systest_events: parsed.has("enable-systest-events"),
            consumer: properties,
        })
    }
}

fn given<N: std::str::FromStr>(parsed: &Parsed, option: &str) -> Result<Option<N>, Stop> {
    parsed.number(option).map_err(|thrown| thrown.uncaught())
}

fn formatter(parsed: &Parsed) -> Result<Formatter, Thrown> {
    let mut properties = Properties::new();
    client::set_all(&mut properties, &parsed.values("property"));
    for (key, option) in [("key.deserializer", "key-deserializer"), ("value.deserializer", "value-deserializer")] {
        if let Some(class) = parsed.value(option)?.filter(|class| !class.is_empty()) {
            properties.set(key, class);
        }
    }
    Formatter::new(parsed.value("formatter")?.unwrap_or_default(), &properties)
}

fn source(parsed: &Parsed, partition: Option<i32>) -> Result<Source, Stop> {
    let text = |option| parsed.value(option).map_err(|thrown| thrown.uncaught());
    if parsed.has("topic") == parsed.has("whitelist") {
        return Err(parsed.usage("Exactly one of whitelist/topic is required."));
    }
    if partition.is_some() {
        if !parsed.has("topic") {
            return Err(parsed.usage("The topic is required when partition is specified."));
        }
        if parsed.has("from-beginning") && parsed.has("offset") {
            return Err(parsed.usage("Options from-beginning and offset cannot be specified together."));
        }
    } else if parsed.has("offset") {
        return Err(parsed.usage("The partition is required when offset is specified."));
    }
    let start = if parsed.has("offset") {
        start(parsed, &text("offset")?.unwrap_or_default().to_lowercase())?
    } else if parsed.has("from-beginning") {
        Start::Beginning
    } else {
        Start::End
    };
    let topic = text("topic")?.map(str::to_owned);
    Ok(match (topic, partition) {
        (Some(topic), Some(partition)) => Source::Partition(topic, partition, start),
        (Some(topic), None) => Source::Topic(topic),
        (None, _) => Source::Topics(text("whitelist")?.unwrap_or_default().to_owned()),
    })
}

fn start(parsed: &Parsed, offset: &str) -> Result<Start, Stop> {
    match (offset, offset.parse::<i64>()) {
        ("earliest", _) => Ok(Start::Beginning),
        ("latest", _) => Ok(Start::End),
        (_, Ok(offset)) if offset >= 0 => Ok(Start::At(offset)),
        _ => Err(parsed.usage(&format!(
            "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a \
             non-negative long."
        ))),
    }
}

/// Sets `group.id`, which all places that name it must agree on; a group of its own commits nothing.
fn set_group(parsed: &Parsed, properties: &mut Properties, extra: &Properties) -> Result<bool, Stop> {
    let option = parsed.value("group").map_err(|thrown| thrown.uncaught())?;
    let mut groups: Vec<&str> = Vec::new();
    for group in [option, properties.get("group.id"), extra.get("group.id")].into_iter().flatten() {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    if groups.len() > 1 {
        let groups = groups.join("', '");
        return Err(parsed.usage(&format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via \
             '--consumer.config') do not match. Detected group ids: '{groups}'"
        )));
    }
    if let Some(group) = groups.first().map(|group| (*group).to_owned()) {
        properties.set("group.id", group);
        return Ok(true);
    }
    properties.set("group.id", format!("console-consumer-{}", client::chance(100_000)));
    if properties.get("enable.auto.commit").is_none() {
        properties.set("enable.auto.commit", "false");
    }
    Ok(false)
}

fn set_offset_reset(parsed: &Parsed, properties: &mut Properties) -> Result<(), Stop> {
    let from_beginning = parsed.has("from-beginning");
    match properties.get("auto.offset.reset") {
        Some(reset) if from_beginning && reset != "earliest" => Err(Stop::failure(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
        ))),
        Some(_) => Ok(()),
        None => {
            properties.set("auto.offset.reset", if from_beginning { "earliest" } else { "latest" });
            Ok(())
        }
    }
}

const OPTIONS: [Row; 16] = [
    Row::taking("topic", "String", "topic", "The topic id to consume on."),
    Row::taking(
        "whitelist",
        "String",
        "whitelist",
        "Regular expression specifying whitelist of topics to include for consumption.",
    ),
    Row::taking(
        "partition",
        "Integer",
        "partition",
        "The partition to consume from. Consumption starts from the end of the partition unless '--offset' is \
             specified.",
    ),
    Row::taking(
        "offset",
        "String",
        "consume offset",
        "The offset id to consume from (a non-negative number), or 'earliest' which means from beginning, or \
             'latest' which means from end",
    )
    .or("latest"),
    Row::flag(
        "from-beginning",
        "If the consumer does not already have an established offset to consume from, start with the earliest \
             message present in the log rather than the latest message.",
    ),
    Row::taking("bootstrap-server", "String", "server to connect to", "REQUIRED: The server(s) to connect to."),
    Row::taking("group", "String", "consumer group id", "The consumer group id of the consumer."),
    Row::taking(
        "formatter",
        "String",
        "class",
        "The name of a class to use for formatting kafka messages for display.",
    )
    .or(super::formatter::DEFAULT),
    Row::taking(
        "property",
        "String",
        "prop",
        "The properties to initialize the message formatter. Default properties include:\n \
             print.timestamp=true|false\n print.key=true|false\n print.offset=true|false\n \
             print.partition=true|false\n print.headers=true|false\n print.value=true|false\n \
             key.separator=<key.separator>\n line.separator=<line.separator>\n headers.separator=<line.separator>\n \
             null.literal=<null.literal>\n key.deserializer=<key.deserializer>\n \
             value.deserializer=<value.deserializer>\n header.deserializer=<header.deserializer>\n\n\
             Users can also pass in customized properties for their formatter; more specifically, users can pass in \
             properties keyed with 'key.deserializer.', 'value.deserializer.' and 'headers.deserializer.' prefixes to \
             configure their deserializers.",
    ),
    Row::taking(
        "max-messages",
        "Integer",
        "num_messages",
        "The maximum number of messages to consume before exiting. If not set, consumption is continual.",
    ),
    Row::taking(
        "timeout-ms",
        "Integer",
        "timeout_ms",
        "If specified, exit if no message is available for consumption for the specified interval.",
    ),
    Row::flag("skip-message-on-error", "If there is an error when processing a message, skip it instead of halt."),
    Row::taking("key-deserializer", "String", "deserializer for key", ""),
    Row::taking("value-deserializer", "String", "deserializer for values", ""),
    Row::flag(
        "enable-systest-events",
        "Log lifecycle events of the consumer in addition to logging consumed messages. (This is specific for system \
         tests.)",
    ),
    Row::taking(
        "isolation-level",
        "String",
        "",
        "Set to read_committed in order to filter out transactional messages which are not committed. Set to \
             read_uncommitted to read all messages.",
    )
    .or("read_uncommitted"),
];

fn parser() -> Parser {
    let mut parser = Parser::new();
    parser.accept_all(&OPTIONS);
    Client::Consumer.accept_properties(&mut parser);
    parser
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Stop> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_that_of_the_original() {
        // Made by kafka-console-consumer.sh --help of 2.7.1.
        let golden = include_str!("../../../tests/golden/kafka-console-consumer-help.txt");
        assert_eq!(parse("--help").unwrap_err(), Stop { code: 1, out: String::new(), err: golden.to_owned() });
    }

    #[test]
    fn what_is_wrong_is_said_as_the_original_says_it() {
        let first = |line: &str| parse(line).unwrap_err().err.lines().next().unwrap_or_default().to_owned();
        for (line, message) in [
            ("--bootstrap-server a:1", "Exactly one of whitelist/topic is required."),
            ("--bootstrap-server a:1 --topic t --whitelist t", "Exactly one of whitelist/topic is required."),
            ("--topic t", "Missing required argument \"[bootstrap-server]\""),
            ("--whitelist t --partition 1", "The topic is required when partition is specified."),
            ("--topic t --offset 1", "The partition is required when offset is specified."),
            (
                "--topic t --partition 1 --offset 1 --from-beginning",
                "Options from-beginning and offset cannot be specified together.",
            ),
            (
                "--topic t --partition 1 --offset -1",
                "The provided offset value '-1' is incorrect. Valid values are 'earliest', 'latest', or a non-negative \
                 long.",
            ),
            (
                "--topic t --bootstrap-server a:1 --group g --consumer-property group.id=x",
                "The group ids provided in different places (directly using '--group', via '--consumer-property', or \
                 via '--consumer.config') do not match. Detected group ids: 'g', 'x'",
            ),
            (
                "--topic t --bootstrap-server a:1 --group g --partition 1",
                "Options group and partition cannot be specified together.",
            ),
            (
                "--topic t --bootstrap-server a:1 --from-beginning --consumer-property auto.offset.reset=latest",
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please remove one option",
            ),
            (
                "--topic t --partition x",
                "Exception in thread \"main\" joptsimple.OptionArgumentConversionException: Cannot parse argument 'x' \
                 of option partition",
            ),
        ] {
            assert_eq!(first(line), message, "{line}");
        }
        assert!(
            first("--formatter a.B").starts_with("Exception in thread \"main\" java.lang.ClassNotFoundException: a.B")
        );
    }

    #[test]
    fn what_to_read_and_how() {
        let options =
            parse("--topic t --bootstrap-server a:1 --partition 2 --offset EARLIEST --timeout-ms -5").unwrap();
        assert_eq!(options.source, Source::Partition("t".to_owned(), 2, Start::Beginning));
        assert_eq!((options.timeout_ms, options.messages_max), (None, None));
        let group = options.consumer.get("group.id").unwrap();
        assert!(group.strip_prefix("console-consumer-").unwrap().parse::<u32>().unwrap() < 100_000);
        assert_eq!(options.consumer.get("enable.auto.commit"), Some("false"));
        let options =
            parse("--whitelist a.* --bootstrap-server a:1 --group g --from-beginning --max-messages 3").unwrap();
        assert_eq!(options.source, Source::Topics("a.*".to_owned()));
        assert_eq!(options.messages_max, Some(3));
        let of = |key: &str| options.consumer.get(key);
        assert_eq!((of("group.id"), of("enable.auto.commit")), (Some("g"), None));
        assert_eq!((of("auto.offset.reset"), of("isolation.level")), (Some("earliest"), Some("read_uncommitted")));
    }
}
