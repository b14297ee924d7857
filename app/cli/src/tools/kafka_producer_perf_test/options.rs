//! The command line of `kafka-producer-perf-test`.

use std::ffi::OsString;

use crate::argparse::{Argument, Parser, Takes};
use crate::console::Stop;

const PARSER: Parser = Parser {
    program: "producer-performance",
    usage: USAGE,
    about: include_str!("about.txt"),
    arguments: &[
        Argument("--topic", Takes::Text, true),
        Argument("--num-records", Takes::Long, true),
        Argument("--payload-delimiter", Takes::Text, false),
        Argument("--throughput", Takes::Integer, true),
        Argument("--producer-props", Takes::Texts, false),
        Argument("--producer.config", Takes::Text, false),
        Argument("--print-metrics", Takes::Nothing, false),
        Argument("--transactional-id", Takes::Text, false),
        Argument("--transaction-duration-ms", Takes::Long, false),
        Argument("--record-size", Takes::Integer, false),
        Argument("--payload-file", Takes::Text, false),
    ],
    one_of: ["--record-size", "--payload-file"],
};
const USAGE: &str = include_str!("usage.txt");

/// A command line that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) topic: String,
    pub(super) records: i64,
    pub(super) record_size: Option<i32>,
    pub(super) payload_file: Option<String>,
    pub(super) payload_delimiter: String,
    pub(super) throughput: i32,
    pub(super) properties: Vec<String>,
    pub(super) config_file: Option<String>,
    pub(super) print_metrics: bool,
    pub(super) transactional_id: String,
    pub(super) transaction_duration_ms: i64,
}

impl Options {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Stop> {
        let parsed = PARSER.parse(arguments)?;
        let text = |name, default: &str| parsed.value(name).unwrap_or(default).to_owned();
        let options = Self {
            topic: text("--topic", ""),
            records: parsed.number("--num-records").unwrap_or_default(),
            record_size: parsed.number("--record-size"),
            payload_file: parsed.value("--payload-file").map(str::to_owned),
            payload_delimiter: text("--payload-delimiter", "\\n"),
            throughput: parsed.number("--throughput").unwrap_or_default(),
            properties: parsed.values("--producer-props").to_vec(),
            config_file: parsed.value("--producer.config").map(str::to_owned),
            print_metrics: parsed.has("--print-metrics"),
            transactional_id: text("--transactional-id", "performance-producer-default-transactional-id"),
            transaction_duration_ms: parsed.number("--transaction-duration-ms").unwrap_or_default(),
        };
        if options.properties.is_empty() && options.config_file.is_none() {
            return Err(PARSER.refused("Either --producer-props or --producer.config must be specified."));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Stop> {
        Options::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_whole_line() {
        let options = parse(
            "--topic t --num-records 5 --throughput -1 --record-size=10 --producer-props a=b c=d --print-metrics",
        )
        .unwrap();
        assert_eq!((options.records, options.throughput, options.record_size), (5, -1, Some(10)));
        assert_eq!(options.properties, ["a=b", "c=d"]);
        assert!(options.print_metrics && options.payload_delimiter == "\\n");
        assert_eq!(parse("--top t --num 5 --thr 1 --payload-f x --producer.c y").unwrap().topic, "t");
    }

    #[test]
    fn help_is_no_mistake_without_arguments() {
        assert_eq!(parse("").unwrap_err().code, 0);
        let help = parse("--topic t -h").unwrap_err();
        assert_eq!((help.code, help.err.as_str()), (1, ""));
        assert!(help.out.starts_with("usage: producer-performance [-h] --topic TOPIC"));
        assert!(help.out.ends_with("size or --payload-file.\n"));
    }

    #[test]
    fn what_is_wrong_is_said_as_argparse4j_says_it() {
        let enough = "--topic t --num-records 5 --throughput 1 --record-size 5";
        // As kafka-producer-perf-test.sh of 2.7.1 prints them behind the usage.
        for (line, message) in [
            ("--topic", "error: argument --topic: expected one argument\n"),
            ("--topic t --num-records 5", "error: argument --throughput is required\n"),
            (
                "--topic t --num-records x",
                "error: argument --num-records:  could not convert 'x'\nto Long (For input string: \"x\")\n",
            ),
            (
                "--topic t --num-records 5 --throughput 1",
                "error: one of  the arguments --record-size --payload-\nfile is required\n",
            ),
            (enough, "error: Either  --producer-props  or --producer.config\nmust be specified.\n"),
            (
                &format!("{enough} --payload-file x"),
                "error:  argument  --payload-file:  not  allowed  with\nargument --record-size\n",
            ),
            (&format!("{enough} --producer-props"), "error: argument --producer-props: expected 1 argument\n(s)\n"),
            (
                "extra --topic t --num-records 5 --throughput 1 --payload-file /nope --producer-props a=b",
                "error: unrecognized  arguments:  'extra  --topic t --\nnum-records 5 --throughput 1 --payload-file \
                 /nope --producer-props a=b'\n",
            ),
            ("--foo", "error: unrecognized arguments: '--foo'\n\nDid you mean:\n\t--topic\n"),
        ] {
            let stop = parse(line).unwrap_err();
            assert_eq!(stop.err, format!("{USAGE}producer-performance: {message}"), "{line}");
            assert_eq!(stop.code, 1);
        }
    }
}
