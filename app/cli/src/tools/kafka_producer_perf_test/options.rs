//! The command line of `kafka-producer-perf-test`, as argparse4j reads it and answers what is wrong.

use std::ffi::OsString;
use std::str::FromStr;

use crate::console::Stop;
use crate::help;

/// What the original's parser prints, line breaks and all.
const USAGE: &str = include_str!("usage.txt");
/// The rest of its help.
const ABOUT: &str = include_str!("about.txt");
/// Messages are broken into lines of at most this width.
const WIDTH: usize = 75;

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

/// Names, in the order in which missing ones are complained about, and whether they must be there.
const ARGUMENTS: [(&str, bool); 11] = [
    ("--topic", true),
    ("--num-records", true),
    ("--payload-delimiter", false),
    ("--throughput", true),
    ("--producer-props", false),
    ("--producer.config", false),
    ("--print-metrics", false),
    ("--transactional-id", false),
    ("--transaction-duration-ms", false),
    ("--record-size", false),
    ("--payload-file", false),
];

impl Options {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Stop> {
        let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Self::read(&words).map_err(|error| match error {
            Wrong::Help => Stop { code: 1, out: format!("{USAGE}{ABOUT}"), err: String::new() },
            // Without any argument the help is no mistake.
            _ if words.is_empty() => Stop { code: 0, out: format!("{USAGE}{ABOUT}"), err: String::new() },
            Wrong::Message(message) => refused(&message, ""),
            Wrong::Unrecognized(words) => refused(&format!("unrecognized arguments: '{words}'"), &suggestion(&words)),
        })
    }

    fn read(words: &[String]) -> Result<Self, Wrong> {
        let mut options = Self {
            payload_delimiter: "\\n".to_owned(),
            transactional_id: "performance-producer-default-transactional-id".to_owned(),
            ..Self::default()
        };
        let mut seen: Vec<&'static str> = Vec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            if word == "-h" || word == "--help" {
                return Err(Wrong::Help);
            }
            let (name, attached) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            let Some(name) = resolve(name)? else { return Err(unrecognized(words, at)) };
            at += 1;
            let mut values: Vec<&str> = attached.into_iter().collect();
            let values_max = match name {
                "--print-metrics" => 0,
                "--producer-props" => usize::MAX,
                _ => 1,
            };
            while attached.is_none() && values.len() < values_max {
                let Some(value) = words.get(at).filter(|value| !is_flag(value)) else { break };
                values.push(value);
                at += 1;
            }
            options.set(name, &values, &seen)?;
            seen.push(name);
        }
        options.check(&seen)?;
        Ok(options)
    }

    fn set(&mut self, name: &'static str, values: &[&str], seen: &[&'static str]) -> Result<(), Wrong> {
        let other = match name {
            "--record-size" => "--payload-file",
            "--payload-file" => "--record-size",
            _ => "",
        };
        if seen.contains(&other) {
            return Err(Wrong::Message(format!("argument {name}: not allowed with argument {other}")));
        }
        if name == "--print-metrics" {
            self.print_metrics = true;
            return Ok(());
        }
        let Some(value) = values.first() else {
            let wanted = if name == "--producer-props" { "1 argument(s)" } else { "one argument" };
            return Err(Wrong::Message(format!("argument {name}: expected {wanted}")));
        };
        let text = (*value).to_owned();
        match name {
            "--topic" => self.topic = text,
            "--num-records" => self.records = number(name, value, "Long")?,
            "--record-size" => self.record_size = Some(number(name, value, "Integer")?),
            "--payload-file" => self.payload_file = Some(text),
            "--payload-delimiter" => self.payload_delimiter = text,
            "--throughput" => self.throughput = number(name, value, "Integer")?,
            "--producer-props" => self.properties = values.iter().map(|value| (*value).to_owned()).collect(),
            "--producer.config" => self.config_file = Some(text),
            "--transactional-id" => self.transactional_id = text,
            _ => self.transaction_duration_ms = number(name, value, "Long")?,
        }
        Ok(())
    }

    fn check(&self, seen: &[&'static str]) -> Result<(), Wrong> {
        if let Some((name, _)) = ARGUMENTS.iter().find(|(name, required)| *required && !seen.contains(name)) {
            return Err(Wrong::Message(format!("argument {name} is required")));
        }
        if self.record_size.is_none() && self.payload_file.is_none() {
            return Err(Wrong::Message("one of the arguments --record-size --payload-file is required".to_owned()));
        }
        if self.properties.is_empty() && self.config_file.is_none() {
            return Err(Wrong::Message("Either --producer-props or --producer.config must be specified.".to_owned()));
        }
        Ok(())
    }
}

enum Wrong {
    Help,
    Message(String),
    /// One that looks like an option, or all words from one that does not.
    Unrecognized(String),
}

/// The argument of a name or of the beginning of one.
fn resolve(name: &str) -> Result<Option<&'static str>, Wrong> {
    if let Some((exact, _)) = ARGUMENTS.iter().find(|(known, _)| *known == name) {
        return Ok(Some(exact));
    }
    let long = name.len() > 2 && name.starts_with("--");
    let matches: Vec<&'static str> =
        ARGUMENTS.iter().map(|(known, _)| *known).filter(|known| long && known.starts_with(name)).collect();
    match matches.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let several = several.join(", ");
            Err(Wrong::Message(format!("ambiguous option: {name} could match {several}")))
        }
    }
}

/// Whether a word opens an argument: it has a hyphen in front and is no negative number.
fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1 && word.parse::<f64>().is_err()
}

fn number<N: FromStr>(name: &str, value: &str, kind: &str) -> Result<N, Wrong> {
    value.parse().map_err(|_| {
        Wrong::Message(format!(
            "argument {name}: could not convert '{value}' to {kind} (For input string: \"{value}\")"
        ))
    })
}

fn unrecognized(words: &[String], at: usize) -> Wrong {
    let rest = words.get(at..).unwrap_or_default();
    Wrong::Unrecognized(rest.first().filter(|word| is_flag(word)).cloned().unwrap_or_else(|| rest.join(" ")))
}

/// The options that are most like the one that was given, unless none is.
fn suggestion(given: &str) -> String {
    const TOO_FAR: usize = 7;
    let Some(given) = given.strip_prefix("--").filter(|_| !given.contains(' ')) else { return String::new() };
    let names = ["-h", "--help"].into_iter().chain(ARGUMENTS.map(|(name, _)| name));
    let distances = names.map(|name| (distance(given, name.trim_start_matches('-')), name));
    let distances: Vec<(usize, &str)> = distances.collect();
    let Some(nearest) = distances.iter().map(|(distance, _)| *distance).min().filter(|distance| *distance < TOO_FAR)
    else {
        return String::new();
    };
    let like = distances.iter().filter(|(distance, _)| *distance == nearest).map(|(_, name)| format!("\t{name}\n"));
    format!("\nDid you mean:\n{}", like.collect::<String>())
}

/// How far a name is from what was given: a swap of neighbours is free, a letter more costs 1, another one 2, one less 4.
fn distance(given: &str, name: &str) -> usize {
    if name.starts_with(given) {
        return 0;
    }
    let (given, name): (Vec<char>, Vec<char>) = (given.chars().collect(), name.chars().collect());
    let mut rows = vec![(0..=name.len()).collect::<Vec<usize>>()];
    let at = |rows: &[Vec<usize>], row: usize, column: usize| {
        rows.get(row).and_then(|row| row.get(column)).copied().unwrap_or(usize::MAX / 2)
    };
    for (row, letter) in given.iter().enumerate() {
        rows.push(vec![(row + 1) * 4]);
        for (column, wanted) in name.iter().enumerate() {
            let same = usize::from(letter != wanted) * 2;
            let mut least = at(&rows, row, column) + same;
            let swapped =
                row > 0 && column > 0 && given.get(row - 1) == Some(wanted) && name.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(at(&rows, row - 1, column - 1));
            }
            least = least.min(at(&rows, row, column + 1) + 4).min(at(&rows, row + 1, column) + 1);
            if let Some(last) = rows.last_mut() {
                last.push(least);
            }
        }
    }
    at(&rows, given.len(), name.len())
}

fn refused(message: &str, more: &str) -> Stop {
    let message = wrap(&format!("producer-performance: error: {message}"), WIDTH);
    Stop { code: 1, out: String::new(), err: format!("{USAGE}{message}\n{more}") }
}

/// Breaks a text into lines, all but the last as wide as allowed.
fn wrap(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in help::words(text) {
        if line.chars().count() + word.chars().count() > width {
            lines += &justify(line.trim_matches(' '), width);
            lines.push('\n');
            line.clear();
        }
        line += word;
    }
    lines + &line
}

/// Widens the gaps between words, those in the middle first.
fn justify(line: &str, width: usize) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let gaps = words.len() - 1;
    let missing = width.saturating_sub(line.chars().count());
    if gaps == 0 {
        return line.to_owned();
    }
    let (each, left) = (missing / gaps, missing % gaps);
    let wide = (gaps - left).div_ceil(2);
    let mut text = String::new();
    for (gap, word) in words.into_iter().enumerate() {
        text += word;
        if gap < gaps {
            let more = each + usize::from((wide..wide + left).contains(&gap));
            text += &" ".repeat(1 + more);
        }
    }
    text
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
