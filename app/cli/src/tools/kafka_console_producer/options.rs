//! The command line of `kafka-console-producer`.

use std::ffi::OsString;

use config::Properties;

use crate::console::{Stop, Thrown};
use crate::options::{Parsed, Parser};
use crate::tools::client;

const READER: &str = "kafka.tools.ConsoleProducer$LineMessageReader";

/// Options that stand for a property of the producer, each with its type.
const MERGED: [(&str, &str, Kind); 10] = [
    ("linger.ms", "timeout", Kind::Integer),
    ("acks", "request-required-acks", Kind::Text),
    ("request.timeout.ms", "request-timeout-ms", Kind::Integer),
    ("retries", "message-send-max-retries", Kind::Integer),
    ("retry.backoff.ms", "retry-backoff-ms", Kind::Integer),
    ("send.buffer.bytes", "socket-buffer-size", Kind::Integer),
    ("buffer.memory", "max-memory-bytes", Kind::Long),
    ("batch.size", "max-partition-memory-bytes", Kind::Long),
    ("metadata.max.age.ms", "metadata-expiry-ms", Kind::Long),
    ("max.block.ms", "max-block-ms", Kind::Long),
];

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Long,
}

/// A command line that was checked.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) topic: String,
    pub(super) sync: bool,
    /// Of the reader of lines: `parse.key`, `key.separator`, `ignore.error`.
    pub(super) reader: Properties,
    /// Of the producer.
    pub(super) producer: Properties,
}

impl Options {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Stop> {
        let parsed = parser().parse_or_usage(arguments)?;
        parsed.help_or_version("This tool helps to read data from standard input and publish it to Kafka.")?;
        parsed.check_required(&["topic"])?;
        Self::read(&parsed)?.map_err(|thrown| {
            // Of joptsimple's exceptions only the message is shown, of others the stack.
            Stop::failure(if thrown.class.starts_with("joptsimple.") { thrown.message } else { thrown.to_string() })
        })
    }

    fn read(parsed: &Parsed) -> Result<Result<Self, Thrown>, Stop> {
        let option = if parsed.has("bootstrap-server") { "bootstrap-server" } else { "broker-list" };
        let servers = match parsed.value(option) {
            Ok(servers) => servers.unwrap_or_default(),
            Err(thrown) => return Ok(Err(thrown)),
        };
        if !are_valid(servers) {
            return Err(parsed.usage("Please provide valid host:port like host1:9091,host2:9092\n "));
        }
        Ok(Self::checked(parsed, servers))
    }

    fn checked(parsed: &Parsed, servers: &str) -> Result<Self, Thrown> {
        let topic = parsed.value("topic")?.unwrap_or_default().to_owned();
        let codec = parsed.value("compression-codec")?.filter(|codec| !codec.is_empty()).unwrap_or("gzip");
        let codec = if parsed.has("compression-codec") { codec } else { "none" };
        parsed.number::<i32>("batch-size")?;
        let reader_class = parsed.value("line-reader")?.unwrap_or_default();
        let mut reader = Properties::new();
        client::set_all(&mut reader, &parsed.values("property"));
        if reader_class != READER {
            return Err(Thrown::new(
                "java.lang.ClassNotFoundException",
                format!("{reader_class} (--line-reader: no class but {READER} is known here)"),
            ));
        }
        let mut producer = match parsed.value("producer.config")? {
            Some(path) => client::load(path)?,
            None => Properties::new(),
        };
        client::set_all(&mut producer, &parsed.values("producer-property"));
        producer.set("bootstrap.servers", servers);
        producer.set("compression.type", codec);
        if producer.get("client.id").is_none() {
            producer.set("client.id", "console-producer");
        }
        for (key, option, kind) in MERGED {
            match kind {
                Kind::Text => {}
                Kind::Integer => drop(parsed.number::<i32>(option)?),
                Kind::Long => drop(parsed.number::<i64>(option)?),
            }
            client::merge(&mut producer, key, parsed, option)?;
        }
        Ok(Self { topic, sync: parsed.has("sync"), reader, producer })
    }
}

/// Whether all of a list look like `host:port`.
fn are_valid(servers: &str) -> bool {
    let port_of = |server: &str| server.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned()));
    !servers.is_empty()
        && servers.split(',').all(|server| {
            port_of(server).is_some_and(|(host, port)| {
                !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            })
        })
}

fn parser() -> Parser {
    let mut parser = Parser::new();
    parser.accepts("topic", "REQUIRED: The topic id to produce messages to.").argument("String", "topic");
    parser
        .accepts(
            "broker-list",
            "DEPRECATED, use --bootstrap-server instead; ignored if --bootstrap-server is specified.  The broker list \
             string in the form HOST1:PORT1,HOST2:PORT2.",
        )
        .argument("String", "broker-list");
    parser
        .accepts(
            "bootstrap-server",
            "REQUIRED unless --broker-list(deprecated) is specified. The server(s) to connect to. The broker list \
             string in the form HOST1:PORT1,HOST2:PORT2.",
        )
        .required_unless("broker-list")
        .argument("String", "server to connect to");
    add_sending(&mut parser);
    add_limits(&mut parser);
    add_properties(&mut parser);
    parser
}

fn add_sending(parser: &mut Parser) {
    parser.accepts(
        "sync",
        "If set message send requests to the brokers are synchronously, one at a time as they arrive.",
    );
    parser
        .accepts(
            "compression-codec",
            "The compression codec: either 'none', 'gzip', 'snappy', 'lz4', or 'zstd'.If specified without value, then \
             it defaults to 'gzip'",
        )
        .optional_argument("String", "compression-codec");
    parser
        .accepts("batch-size", "Number of messages to send in a single batch if they are not being sent synchronously.")
        .argument("Integer", "size")
        .default("200");
    parser
        .accepts(
            "message-send-max-retries",
            "Brokers can fail receiving the message for multiple reasons, and being unavailable transiently is just one \
             of them. This property specifies the number of retries before the producer give up and drop this message.",
        )
        .argument("Integer", "")
        .default("3");
    parser
        .accepts(
            "retry-backoff-ms",
            "Before each retry, the producer refreshes the metadata of relevant topics. Since leader election takes a \
             bit of time, this property specifies the amount of time that the producer waits before refreshing the \
             metadata.",
        )
        .argument("Integer", "")
        .default("100");
    parser
        .accepts(
            "timeout",
            "If set and the producer is running in asynchronous mode, this gives the maximum amount of time a message \
             will queue awaiting sufficient batch size. The value is given in ms.",
        )
        .argument("Integer", "timeout_ms")
        .default("1000");
    parser
        .accepts("request-required-acks", "The required acks of the producer requests")
        .argument("String", "request required acks")
        .default("1");
    parser
        .accepts(
            "request-timeout-ms",
            "The ack timeout of the producer requests. Value must be non-negative and non-zero",
        )
        .argument("Integer", "request timeout ms")
        .default("1500");
}

fn add_limits(parser: &mut Parser) {
    parser
        .accepts(
            "metadata-expiry-ms",
            "The period of time in milliseconds after which we force a refresh of metadata even if we haven't seen any \
             leadership changes.",
        )
        .argument("Long", "metadata expiration interval")
        .default("300000");
    parser
        .accepts("max-block-ms", "The max time that the producer will block for during a send request")
        .argument("Long", "max block on send")
        .default("60000");
    parser
        .accepts(
            "max-memory-bytes",
            "The total memory used by the producer to buffer records waiting to be sent to the server.",
        )
        .argument("Long", "total memory in bytes")
        .default("33554432");
    parser
        .accepts(
            "max-partition-memory-bytes",
            "The buffer size allocated for a partition. When records are received which are smaller than this size the \
             producer will attempt to optimistically group them together until this size is reached.",
        )
        .argument("Long", "memory in bytes per partition")
        .default("16384");
    parser
        .accepts("socket-buffer-size", "The size of the tcp RECV size.")
        .argument("Integer", "size")
        .default("102400");
}

fn add_properties(parser: &mut Parser) {
    parser
        .accepts(
            "line-reader",
            "The class name of the class to use for reading lines from standard in. By default each line is read as a \
             separate message.",
        )
        .argument("String", "reader_class")
        .default(READER);
    parser
        .accepts(
            "property",
            "A mechanism to pass user-defined properties in the form key=value to the message reader. This allows custom \
             configuration for a user-defined message reader. Default properties include:\n\
             \tparse.key=true|false\n\tkey.separator=<key.separator>\n\tignore.error=true|false",
        )
        .argument("String", "prop");
    parser
        .accepts(
            "producer-property",
            "A mechanism to pass user-defined properties in the form key=value to the producer. ",
        )
        .argument("String", "producer_prop");
    parser
        .accepts(
            "producer.config",
            "Producer config properties file. Note that [producer-property] takes precedence over this config.",
        )
        .argument("String", "config file");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Stop> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_that_of_the_original() {
        // Made by kafka-console-producer.sh --help of 2.7.1.
        let golden = include_str!("../../../tests/golden/kafka-console-producer-help.txt");
        assert_eq!(parse("--help").unwrap_err(), Stop { code: 1, out: String::new(), err: golden.to_owned() });
    }

    #[test]
    fn what_is_wrong_is_said_as_the_original_says_it() {
        let first = |line: &str| parse(line).unwrap_err().err.lines().next().unwrap_or_default().to_owned();
        assert_eq!(first("--topic t"), "Missing required option(s) [bootstrap-server]");
        assert_eq!(first("--broker-list a:1"), "Missing required argument \"[topic]\"");
        for servers in ["localhost", "a:1,b", "a:", ":1", "a:x"] {
            assert_eq!(
                first(&format!("--topic t --broker-list {servers}")),
                "Please provide valid host:port like host1:9091,host2:9092"
            );
        }
        let only = |line: &str| parse(&format!("--topic t --bootstrap-server a:1 {line}")).unwrap_err().err;
        assert_eq!(only("--batch-size x"), "Cannot parse argument 'x' of option batch-size\n");
        assert_eq!(only("--timeout x"), "Cannot parse argument 'x' of option timeout\n");
        assert!(only("--line-reader a.B").starts_with("java.lang.ClassNotFoundException: a.B ("));
        assert!(only("--producer.config /none").starts_with("java.nio.file.NoSuchFileException: /none\n"));
    }

    #[test]
    fn options_go_over_properties_and_properties_over_defaults() {
        let options = parse(
            "--topic t --broker-list b:2 --bootstrap-server a:1 --producer-property linger.ms=5 \
             --producer-property acks=all --request-required-acks 0 --compression-codec --property parse.key=true",
        )
        .unwrap();
        let of = |key: &str| options.producer.get(key).unwrap_or_default();
        assert_eq!((of("bootstrap.servers"), of("linger.ms"), of("acks")), ("a:1", "5", "0"));
        assert_eq!((of("compression.type"), of("client.id"), of("retries")), ("gzip", "console-producer", "3"));
        assert_eq!(options.reader.get("parse.key"), Some("true"));
        assert!(!options.sync);
    }
}
