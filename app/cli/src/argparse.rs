//! Command lines as argparse4j 0.7.0 reads them, which the tools in Java use.
//!
//! A tool gives the names and kinds of its arguments and its texts, which are copies of what the original prints. What is wrong is a
//! [`Stop`] with the original's message behind the usage.

use std::ffi::OsString;

use crate::console::Stop;
use crate::help;

/// Messages are broken into lines of at most this width.
const WIDTH: usize = 75;

/// What an argument takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Text,
    /// One or more.
    Texts,
    Integer,
    /// One of these integers.
    OneOf(&'static [i32]),
    Long,
}

/// One argument: its name with hyphens, what it takes, and whether it must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Argument(pub(crate) &'static str, pub(crate) Takes, pub(crate) bool);

/// A tool's arguments and texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parser {
    /// Name of the program.
    pub(crate) program: &'static str,
    /// What it prints of its use, line breaks and all.
    pub(crate) usage: &'static str,
    /// The rest of its help.
    pub(crate) about: &'static str,
    /// In the order in which missing ones are complained about.
    pub(crate) arguments: &'static [Argument],
    /// Two of which exactly one must be there.
    pub(crate) one_of: [&'static str; 2],
}

/// A command line that was read: names in the order of the line, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed(Vec<(&'static str, Vec<String>)>);

impl Parsed {
    /// Whether an argument was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| *given == name)
    }

    /// The values of an argument where it was given last.
    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.0.iter().rev().find(|(given, _)| *given == name).map_or(&[], |(_, values)| values)
    }

    /// The value of an argument.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).first().map(String::as_str)
    }

    /// The value of an argument that takes a number.
    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.value(name)?.parse().ok()
    }
}

enum Wrong {
    Help,
    Message(String),
    /// One that looks like an option, or all words from one that does not.
    Unrecognized(String),
}

impl Parser {
    /// Reads a command line.
    pub(crate) fn parse(&self, arguments: &[OsString]) -> Result<Parsed, Stop> {
        let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let help = |code| Stop { code, out: format!("{}{}", self.usage, self.about), err: String::new() };
        self.read(&words).map_err(|error| match error {
            Wrong::Help => help(1),
            // Without any argument the help is no mistake.
            _ if words.is_empty() => help(0),
            Wrong::Message(message) => self.refused(&message),
            Wrong::Unrecognized(words) => {
                self.refused_with(&format!("unrecognized arguments: '{words}'"), &self.suggestion(&words))
            }
        })
    }

    /// The message behind the usage.
    pub(crate) fn refused(&self, message: &str) -> Stop {
        self.refused_with(message, "")
    }

    fn refused_with(&self, message: &str, more: &str) -> Stop {
        let message = wrap(&format!("{}: error: {message}", self.program), WIDTH);
        Stop { code: 1, out: String::new(), err: format!("{}{message}\n{more}", self.usage) }
    }

    fn read(&self, words: &[String]) -> Result<Parsed, Wrong> {
        let mut parsed = Parsed::default();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            if word == "-h" || word == "--help" {
                return Err(Wrong::Help);
            }
            let (name, attached) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
            let Some(Argument(name, takes, _)) = self.resolve(name)? else { return Err(unrecognized(words, at)) };
            at += 1;
            let mut values: Vec<String> = attached.map(str::to_owned).into_iter().collect();
            let values_max = match takes {
                Takes::Nothing => 0,
                Takes::Texts => usize::MAX,
                _ => 1,
            };
            while attached.is_none() && values.len() < values_max {
                let Some(value) = words.get(at).filter(|value| !is_flag(value)) else { break };
                values.push(value.clone());
                at += 1;
            }
            self.check_values(name, *takes, &values, &parsed)?;
            parsed.0.push((name, values));
        }
        self.check(&parsed)?;
        Ok(parsed)
    }

    fn check_values(&self, name: &str, takes: Takes, values: &[String], parsed: &Parsed) -> Result<(), Wrong> {
        let [one, two] = self.one_of;
        let other = if name == one { two } else { one };
        if self.one_of.contains(&name) && parsed.has(other) {
            return Err(Wrong::Message(format!("argument {name}: not allowed with argument {other}")));
        }
        let Some(value) = values.first().map(String::as_str).or((takes == Takes::Nothing).then_some("")) else {
            let wanted = if takes == Takes::Texts { "1 argument(s)" } else { "one argument" };
            return Err(Wrong::Message(format!("argument {name}: expected {wanted}")));
        };
        let kind = match takes {
            Takes::Nothing | Takes::Text | Takes::Texts => return Ok(()),
            Takes::Integer | Takes::OneOf(_) if value.parse::<i32>().is_err() => "Integer",
            Takes::Long if value.parse::<i64>().is_err() => "Long",
            Takes::OneOf(choices) if !choices.iter().any(|choice| value.parse() == Ok(*choice)) => {
                let choices = choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let message = format!("argument {name}: invalid choice: '{value}' (choose from {{{choices}}})");
                return Err(Wrong::Message(message));
            }
            _ => return Ok(()),
        };
        Err(Wrong::Message(format!(
            "argument {name}: could not convert '{value}' to {kind} (For input string: \"{value}\")"
        )))
    }

    fn check(&self, parsed: &Parsed) -> Result<(), Wrong> {
        if let Some(Argument(name, ..)) = self.arguments.iter().find(|argument| argument.2 && !parsed.has(argument.0)) {
            return Err(Wrong::Message(format!("argument {name} is required")));
        }
        if self.one_of.iter().all(|name| !parsed.has(name)) {
            let names = self.one_of.join(" ");
            return Err(Wrong::Message(format!("one of the arguments {names} is required")));
        }
        Ok(())
    }

    /// The argument of a name or of the beginning of one.
    fn resolve(&self, name: &str) -> Result<Option<&'static Argument>, Wrong> {
        if let Some(exact) = self.arguments.iter().find(|argument| argument.0 == name) {
            return Ok(Some(exact));
        }
        let long = name.len() > 2 && name.starts_with("--");
        let matches: Vec<&'static Argument> =
            self.arguments.iter().filter(|argument| long && argument.0.starts_with(name)).collect();
        match matches.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            several => {
                let several = several.iter().map(|argument| argument.0).collect::<Vec<_>>().join(", ");
                Err(Wrong::Message(format!("ambiguous option: {name} could match {several}")))
            }
        }
    }

    /// The options that are most like the one that was given, unless none is.
    fn suggestion(&self, given: &str) -> String {
        const TOO_FAR: usize = 7;
        let Some(given) = given.strip_prefix("--").filter(|_| !given.contains(' ')) else { return String::new() };
        let names = ["-h", "--help"].into_iter().chain(self.arguments.iter().map(|argument| argument.0));
        let distances = names.map(|name| (distance(given, name.trim_start_matches('-')), name));
        let distances: Vec<(usize, &str)> = distances.collect();
        let Some(nearest) =
            distances.iter().map(|(distance, _)| *distance).min().filter(|distance| *distance < TOO_FAR)
        else {
            return String::new();
        };
        let like = distances.iter().filter(|(distance, _)| *distance == nearest).map(|(_, name)| format!("\t{name}\n"));
        format!("\nDid you mean:\n{}", like.collect::<String>())
    }
}

fn unrecognized(words: &[String], at: usize) -> Wrong {
    let rest = words.get(at..).unwrap_or_default();
    Wrong::Unrecognized(rest.first().filter(|word| is_flag(word)).cloned().unwrap_or_else(|| rest.join(" ")))
}

/// Whether a word opens an argument: it has a hyphen in front and is no negative number.
fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1 && word.parse::<f64>().is_err()
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
