//! The command line of `kafka-console-producer`.

use std::ffi::OsString;

use config::Properties;

use crate::console::{Stop, Thrown};
use crate::options::{Parsed, Parser, Row};
use crate::tools::client::{self, Client};

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
        let servers = match parsed.value(client::servers_option(parsed)) {
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
        let (mut producer, given) = Client::Producer.properties(parsed)?;
        for (key, value) in given.iter() {
            producer.set(key, value);
        }
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
pub(in crate::tools) fn are_valid(servers: &str) -> bool {
    let port_of = |server: &str| server.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned()));
    !servers.is_empty()
        && servers.split(',').all(|server| {
            port_of(server).is_some_and(|(host, port)| {
                !host.is_empty() && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            })
        })
}

const OPTIONS: [Row; 16] = [
    Row::taking("topic", "String", "topic", "REQUIRED: The topic id to produce messages to."),
    Row::flag("sync", "If set message send requests to the brokers are synchronously, one at a time as they arrive."),
    Row::taking(
        "compression-codec",
        "String",
        "compression-codec",
        "The compression codec: either 'none', 'gzip', 'snappy', 'lz4', or 'zstd'.If specified without value, then \
             it defaults to 'gzip'",
    )
    .optional(),
    Row::taking(
        "batch-size",
        "Integer",
        "size",
        "Number of messages to send in a single batch if they are not being sent synchronously.",
    )
    .or("200"),
    Row::taking(
        "message-send-max-retries",
        "Integer",
        "",
        "Brokers can fail receiving the message for multiple reasons, and being unavailable transiently is just one \
             of them. This property specifies the number of retries before the producer give up and drop this message.",
    )
    .or("3"),
    Row::taking(
        "retry-backoff-ms",
        "Integer",
        "",
        "Before each retry, the producer refreshes the metadata of relevant topics. Since leader election takes a \
             bit of time, this property specifies the amount of time that the producer waits before refreshing the \
             metadata.",
    )
    .or("100"),
    Row::taking(
        "timeout",
        "Integer",
        "timeout_ms",
        "If set and the producer is running in asynchronous mode, this gives the maximum amount of time a message \
             will queue awaiting sufficient batch size. The value is given in ms.",
    )
    .or("1000"),
    Row::taking(
        "request-required-acks",
        "String",
        "request required acks",
        "The required acks of the producer requests",
    )
    .or("1"),
    Row::taking(
        "request-timeout-ms",
        "Integer",
        "request timeout ms",
        "The ack timeout of the producer requests. Value must be non-negative and non-zero",
    )
    .or("1500"),
    Row::taking(
        "metadata-expiry-ms",
        "Long",
        "metadata expiration interval",
        "The period of time in milliseconds after which we force a refresh of metadata even if we haven't seen any \
             leadership changes.",
    )
    .or("300000"),
    Row::taking(
        "max-block-ms",
        "Long",
        "max block on send",
        "The max time that the producer will block for during a send request",
    )
    .or("60000"),
    Row::taking(
        "max-memory-bytes",
        "Long",
        "total memory in bytes",
        "The total memory used by the producer to buffer records waiting to be sent to the server.",
    )
    .or("33554432"),
    Row::taking(
        "max-partition-memory-bytes",
        "Long",
        "memory in bytes per partition",
        "The buffer size allocated for a partition. When records are received which are smaller than this size the \
             producer will attempt to optimistically group them together until this size is reached.",
    )
    .or("16384"),
    Row::taking("socket-buffer-size", "Integer", "size", "The size of the tcp RECV size.").or("102400"),
    Row::taking(
        "line-reader",
        "String",
        "reader_class",
        "The class name of the class to use for reading lines from standard in. By default each line is read as a \
             separate message.",
    )
    .or(READER),
    Row::taking(
        "property",
        "String",
        "prop",
        "A mechanism to pass user-defined properties in the form key=value to the message reader. This allows custom \
             configuration for a user-defined message reader. Default properties include:\n\
             \tparse.key=true|false\n\tkey.separator=<key.separator>\n\tignore.error=true|false",
    ),
];

fn parser() -> Parser {
    let mut parser = Parser::new();
    parser.accept_all(&OPTIONS);
    client::accept_servers(
        &mut parser,
        "REQUIRED unless --broker-list(deprecated) is specified. The server(s) to connect to. The broker list string in the \
         form HOST1:PORT1,HOST2:PORT2.",
    );
    Client::Producer.accept_properties(&mut parser);
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
