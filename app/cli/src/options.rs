//! Command lines as Kafka's tools read them: joptsimple 5.0.4 and `kafka.utils.CommandLineUtils`.
//!
//! A tool lists its options in a [`Parser`], parses, and asks the [`Parsed`] result; what is wrong is a [`Stop`] with the
//! original's text, stream and exit code. Options come as `--name value`, `--name=value` or `-name value`; a required
//! argument takes the next word whatever it looks like.

use std::ffi::OsString;

use crate::console::{Stop, Thrown};
use crate::{help, java};

/// What `--version` prints.
pub const VERSION: &str = "2.7.1 (Commit:61dbce85d0d41457)";

/// Whether an option takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Required,
    Optional,
}

/// One option; made by [`Parser::accepts`].
#[derive(Clone, Debug)]
pub struct OptionSpec {
    name: &'static str,
    description: String,
    takes: Takes,
    kind: &'static str,
    placeholder: &'static str,
    defaults: Vec<String>,
    required: bool,
    required_unless: Option<&'static str>,
    available_if: &'static [&'static str],
    is_help: bool,
}

impl OptionSpec {
    /// It needs an argument, shown as `<kind: placeholder>`; the kind is `String`, `Integer`, `Long` ..., or empty.
    pub fn argument(&mut self, kind: &'static str, placeholder: &'static str) -> &mut Self {
        (self.takes, self.kind, self.placeholder) = (Takes::Required, kind, placeholder);
        self
    }

    /// It may have an argument, shown as `[kind: placeholder]`.
    pub fn optional_argument(&mut self, kind: &'static str, placeholder: &'static str) -> &mut Self {
        (self.takes, self.kind, self.placeholder) = (Takes::Optional, kind, placeholder);
        self
    }

    /// Its value if none is given.
    pub fn default(&mut self, value: impl Into<String>) -> &mut Self {
        self.defaults.push(value.into());
        self
    }

    /// The command line is refused without it.
    pub fn required(&mut self) -> &mut Self {
        self.required = true;
        self
    }

    /// The command line is refused without it or the option of the other name.
    pub fn required_unless(&mut self, other: &'static str) -> &mut Self {
        self.required_unless = Some(other);
        self
    }

    /// The command line is refused with it and none of the options of these names.
    pub fn available_if(&mut self, others: &'static [&'static str]) -> &mut Self {
        self.available_if = others;
        self
    }

    fn display(&self) -> String {
        let mark = if self.required { "* " } else { "" };
        let leader = if self.name.chars().count() > 1 { "--" } else { "-" };
        let about = if self.placeholder.is_empty() {
            self.kind.to_owned()
        } else {
            format!("{}: {}", self.kind, self.placeholder)
        };
        let argument = match self.takes {
            Takes::Nothing => String::new(),
            Takes::Required => format!(" <{about}>"),
            Takes::Optional => format!(" [{about}]"),
        };
        format!("{mark}{leader}{}{argument}", self.name)
    }

    fn full_description(&self) -> String {
        let defaults = match self.defaults.as_slice() {
            [] => return self.description.clone(),
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        format!("{} (default: {defaults})", self.description).trim().to_owned()
    }
}

/// One row of a table of options; see [`Parser::accept_all`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    name: &'static str,
    about: &'static str,
    takes: Takes,
    kind: &'static str,
    placeholder: &'static str,
    default: Option<&'static str>,
}

impl Row {
    /// An option without an argument.
    #[must_use]
    pub const fn flag(name: &'static str, about: &'static str) -> Self {
        Self { name, about, takes: Takes::Nothing, kind: "", placeholder: "", default: None }
    }

    /// An option with an argument, shown as `<kind: placeholder>`.
    #[must_use]
    pub const fn taking(
        name: &'static str,
        kind: &'static str,
        placeholder: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, about, takes: Takes::Required, kind, placeholder, default: None }
    }

    /// The same where the argument may be left out.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.takes = Takes::Optional;
        self
    }

    /// The same with a value if none is given.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

/// The options that a tool knows.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    options: Vec<OptionSpec>,
}

impl Parser {
    /// No options at all.
    #[must_use]
    pub fn bare() -> Self {
        Self::default()
    }

    /// With `--help` and `--version`, as `CommandDefaultOptions` has them.
    #[must_use]
    pub fn new() -> Self {
        Self::with_help("Print usage information.", "Display Kafka version.")
    }

    /// With both, in the words of a tool of its own.
    #[must_use]
    pub fn with_help(help: &'static str, version: &'static str) -> Self {
        let mut parser = Self::bare();
        parser.accepts("help", help).is_help = true;
        parser.accepts("version", version).is_help = true;
        parser
    }

    /// Adds an option, without an argument until it is said to take one.
    pub fn accepts(&mut self, name: &'static str, description: impl Into<String>) -> &mut OptionSpec {
        self.options.push(OptionSpec {
            name,
            description: description.into(),
            takes: Takes::Nothing,
            kind: "",
            placeholder: "",
            defaults: Vec::new(),
            required: false,
            required_unless: None,
            available_if: &[],
            is_help: false,
        });
        self.options.last_mut().expect("one was pushed")
    }

    /// Adds the options of a table.
    pub fn accept_all(&mut self, rows: &[Row]) {
        for row in rows {
            let option = self.accepts(row.name, row.about);
            (option.takes, option.kind, option.placeholder) = (row.takes, row.kind, row.placeholder);
            option.defaults.extend(row.default.map(str::to_owned));
        }
    }

    /// The table of options.
    #[must_use]
    pub fn help(&self) -> String {
        let mut options: Vec<&OptionSpec> = self.options.iter().collect();
        options.sort_by_key(|option| option.name);
        let rows: Vec<_> = options.iter().map(|option| (option.display(), option.full_description())).collect();
        help::table(options.iter().any(|option| option.required), &rows)
    }

    /// The message and the table on standard error, exit code 1.
    #[must_use]
    pub fn usage(&self, message: &str) -> Stop {
        Stop { code: 1, out: String::new(), err: format!("{message}\n{}", self.help()) }
    }

    /// Reads a command line.
    ///
    /// # Errors
    /// An exception of joptsimple that the original does not catch: an unknown option, one that is not available or required, or
    /// an argument that is missing.
    pub fn parse(self, arguments: &[OsString]) -> Result<Parsed, Stop> {
        self.read(arguments).map_err(|(_, thrown)| thrown.uncaught())
    }

    /// Reads a command line, for tools that catch what joptsimple throws.
    ///
    /// # Errors
    /// Such an exception.
    pub fn parse_or_throw(self, arguments: &[OsString]) -> Result<Parsed, Thrown> {
        self.read(arguments).map_err(|(_, thrown)| thrown)
    }

    /// Reads a command line, for tools that answer what is wrong with the table.
    ///
    /// # Errors
    /// [`Parser::usage`] with the message that [`Parser::parse`] would give.
    pub fn parse_or_usage(self, arguments: &[OsString]) -> Result<Parsed, Stop> {
        self.read(arguments).map_err(|(parser, thrown)| parser.usage(&thrown.message))
    }

    fn read(self, arguments: &[OsString]) -> Result<Parsed, (Self, Thrown)> {
        let arguments: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let mut parsed = Parsed { words: arguments.len(), parser: self, found: Vec::new(), others: Vec::new() };
        match parsed.read(&arguments) {
            Ok(()) => Ok(parsed),
            Err(thrown) => Err((parsed.parser, thrown)),
        }
    }

    fn find(&self, name: &str) -> Option<&OptionSpec> {
        self.options.iter().find(|option| option.name == name)
    }
}

/// A command line that was read.
#[derive(Clone, Debug)]
pub struct Parsed {
    parser: Parser,
    found: Vec<(&'static str, Option<String>)>,
    others: Vec<String>,
    words: usize,
}

impl Parsed {
    /// Whether an option was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(found, _)| *found == name)
    }

    /// The names of the options in the order in which they were given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        self.found.iter().map(|(name, _)| *name)
    }

    /// All arguments of an option, or its defaults.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        let given: Vec<&str> =
            self.found.iter().filter(|(found, _)| *found == name).filter_map(|(_, value)| value.as_deref()).collect();
        if !given.is_empty() {
            return given;
        }
        self.parser.find(name).map_or_else(Vec::new, |option| option.defaults.iter().map(String::as_str).collect())
    }

    /// The only argument of an option, or its default.
    ///
    /// # Errors
    /// When it was given more than once.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Thrown> {
        match self.values(name).as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(Thrown::new(
                "joptsimple.MultipleArgumentsForOptionException",
                format!("Found multiple arguments for option {name}, but you asked for only one"),
            )),
        }
    }

    /// The only argument of an option, as a number.
    ///
    /// # Errors
    /// When it was given more than once, or is no number of that type.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Thrown> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let number = Thrown::new("java.lang.NumberFormatException", format!("For input string: \"{text}\""));
            let reflection = Thrown::new("joptsimple.internal.ReflectionException", &number).caused_by(number);
            let message = format!("Cannot parse argument '{text}' of option {name}");
            Thrown::new("joptsimple.OptionArgumentConversionException", message).caused_by(reflection)
        })
    }

    /// The words that belong to no option.
    #[must_use]
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Whether there were no words at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// See [`Parser::usage`].
    #[must_use]
    pub fn usage(&self, message: &str) -> Stop {
        self.parser.usage(message)
    }

    /// Ends with the table when there is nothing on the line or `--help`, with the version on `--version`.
    ///
    /// # Errors
    /// That end.
    pub fn help_or_version(&self, message: &str) -> Result<(), Stop> {
        if self.is_empty() || self.has("help") {
            return Err(self.usage(message));
        }
        if self.has("version") {
            return Err(Stop { code: 0, out: format!("{VERSION}\n"), err: String::new() });
        }
        Ok(())
    }

    /// All of these must be there.
    ///
    /// # Errors
    /// Usage, naming the first that is not.
    pub fn check_required(&self, names: &[&str]) -> Result<(), Stop> {
        match names.iter().find(|name| !self.has(name)) {
            Some(name) => Err(self.usage(&format!("Missing required argument \"[{name}]\""))),
            None => Ok(()),
        }
    }

    /// If `used` is there, none of these may be.
    ///
    /// # Errors
    /// Usage, naming the first that is.
    pub fn check_invalid(&self, used: &str, invalid: &[&str]) -> Result<(), Stop> {
        match invalid.iter().find(|name| self.has(used) && self.has(name)) {
            Some(name) => Err(self.usage(&format!("Option \"[{used}]\" can't be used with option \"[{name}]\""))),
            None => Ok(()),
        }
    }

    /// If all of `used` are there, none of `invalid` may be.
    ///
    /// # Errors
    /// Usage, naming the first that is, with `more` behind it.
    pub fn check_invalid_set(&self, used: &[&str], invalid: &[&str], more: &str) -> Result<(), Stop> {
        if !used.iter().all(|name| self.has(name)) {
            return Ok(());
        }
        let Some(name) = invalid.iter().find(|name| self.has(name)) else { return Ok(()) };
        let used: Vec<String> = used.iter().map(|name| format!("[{name}]")).collect();
        let used = used.join(",");
        Err(self.usage(&format!("Option combination \"{used}\" can't be used with option \"[{name}]\"{more}")))
    }

    fn read(&mut self, arguments: &[String]) -> Result<(), Thrown> {
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                self.others.extend(words.cloned());
                break;
            }
            let is_long = word.starts_with("--");
            let Some(option) = word.strip_prefix(if is_long { "--" } else { "-" }).filter(|rest| !rest.is_empty())
            else {
                self.others.push(word.clone());
                continue;
            };
            let (name, given) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            let Some(spec) = self.parser.find(name) else {
                // A single hyphen opens a cluster of one-letter options, and the first letter is none.
                let end = option.chars().next().filter(|_| !is_long).map_or(name.len(), char::len_utf8);
                return Err(Thrown::new(
                    "joptsimple.UnrecognizedOptionException",
                    format!("{} is not a recognized option", option.get(..end).unwrap_or(name)),
                ));
            };
            let value = match spec.takes {
                Takes::Nothing => None,
                _ if given.is_some_and(|given| !given.is_empty()) => given.map(str::to_owned),
                Takes::Optional => words.next_if(|next| next.len() < 2 || !next.starts_with('-')).cloned(),
                Takes::Required => Some(words.next().cloned().ok_or_else(|| {
                    Thrown::new(
                        "joptsimple.OptionMissingRequiredArgumentException",
                        format!("Option {name} requires an argument"),
                    )
                })?),
            };
            self.found.push((spec.name, value));
        }
        self.check_all_required()
    }

    fn lacks(&self, option: &OptionSpec) -> bool {
        let needed = option.required || option.required_unless.is_some_and(|other| !self.has(other));
        needed && !self.has(option.name)
    }

    fn check_all_required(&self) -> Result<(), Thrown> {
        if self.parser.options.iter().any(|option| option.is_help && self.has(option.name)) {
            return Ok(());
        }
        let missing: Vec<&str> =
            self.parser.options.iter().filter(|option| self.lacks(option)).map(|option| option.name).collect();
        if !missing.is_empty() {
            let text = format!("Missing required option(s) [{}]", missing.join(", "));
            return Err(Thrown::new("joptsimple.MissingRequiredOptionsException", text));
        }
        self.check_all_available()
    }

    fn check_all_available(&self) -> Result<(), Thrown> {
        let options = self.parser.options.iter().filter(|option| self.has(option.name));
        let unavailable: Vec<&OptionSpec> = options
            .filter(|option| {
                !option.available_if.is_empty() && !option.available_if.iter().any(|other| self.has(other))
            })
            .collect();
        if unavailable.is_empty() {
            return Ok(());
        }
        let ordered = java::hash_order_by(unavailable, |option| name_hash(option.name));
        let names = ordered.iter().map(|option| option.name).collect::<Vec<_>>().join(", ");
        Err(Thrown::new(
            "joptsimple.UnavailableOptionException",
            format!("Option(s) [{names}] are unavailable given other options on the command line"),
        ))
    }
}

/// The hash code of an option: that of a list of its only name.
#[must_use]
pub(crate) fn name_hash(name: &str) -> u32 {
    java::string_hash(name).wrapping_add(31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Parsed, Stop> {
        let mut parser = Parser::new();
        parser.accepts("topic", "The topic.").argument("String", "topic");
        parser.accepts("partitions", "How many.").argument("Integer", "# of partitions").default("3");
        parser.accepts("decoder", "A class.").optional_argument("String", "");
        parser.accepts("list", "List.");
        parser.parse(&line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn forms_of_an_option() {
        let parsed = parse("--topic a --topic=b -topic c --list --decoder --decoder x rest").unwrap();
        assert_eq!(parsed.values("topic"), ["a", "b", "c"]);
        assert!(parsed.has("list") && !parsed.has("partitions") && parsed.has("decoder"));
        assert_eq!(parsed.number::<i32>("partitions"), Ok(Some(3)));
        assert_eq!(parsed.values("decoder"), ["x"]);
        assert_eq!(parsed.others(), ["rest"]);
        assert_eq!(parse("--topic --list").unwrap().values("topic"), ["--list"]);
        assert!(
            parsed.value("topic").unwrap_err().message.starts_with("Found multiple arguments for option topic, but")
        );
    }

    #[test]
    fn what_is_wrong_is_said_as_joptsimple_says_it() {
        let message = |line: &str| parse(line).unwrap_err().err;
        assert_eq!(
            message("--nonsense 1"),
            "Exception in thread \"main\" joptsimple.UnrecognizedOptionException: nonsense is not a recognized option\n"
        );
        assert!(message("-nonsense").ends_with(": n is not a recognized option\n"));
        assert!(message("--topic").ends_with("ArgumentException: Option topic requires an argument\n"));
        let wrong = parse("--partitions x").unwrap().number::<i32>("partitions").unwrap_err();
        assert_eq!(wrong.message, "Cannot parse argument 'x' of option partitions");
    }

    #[test]
    fn checks_end_in_usage() {
        let parsed = parse("--list --decoder").unwrap();
        let first = |stop: Stop| stop.err.lines().next().unwrap_or_default().to_owned();
        assert_eq!(
            first(parsed.check_required(&["list", "topic"]).unwrap_err()),
            "Missing required argument \"[topic]\""
        );
        let both = parsed.check_invalid("list", &["topic", "decoder"]).unwrap_err();
        assert_eq!(first(both), "Option \"[list]\" can't be used with option \"[decoder]\"");
        let set = parsed.check_invalid_set(&["list", "decoder"], &["list"], " (more)").unwrap_err();
        assert_eq!(first(set), "Option combination \"[list],[decoder]\" can't be used with option \"[list]\" (more)");
        assert_eq!(parse("--version").unwrap().help_or_version("x").unwrap_err().out, format!("{VERSION}\n"));
        let help = parse("").unwrap().help_or_version("About.").unwrap_err();
        assert_eq!(help.code, 1);
        assert!(help.err.starts_with("About.\nOption  "), "{}", help.err);
    }
}
