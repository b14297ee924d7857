//! The command line of `kafka-consumer-groups`.

use std::ffi::OsString;

use super::cluster::{Groups, Partition};
use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::options::{Parsed, Parser, name_hash};

const ACTIONS: [&str; 5] = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];
/// Where offsets may be reset to, in the order in which the original checks that only one is given.
const SCENARIOS: [&str; 8] =
    ["to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "shift-by", "from-file"];
/// The states that groups can be listed by.
const STATES: [&str; 5] = ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty"];

/// A command line that was checked.
pub(super) struct GroupOptions(Parsed);

impl GroupOptions {
    pub(super) fn parse(arguments: &[OsString], console: &mut Console<'_>) -> Result<Self, Stop> {
        let parsed = parser().parse(arguments)?;
        check(&parsed, console)?;
        parsed.help_or_version(
            "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset \
             consumer group offsets.",
        )?;
        if ACTIONS.iter().filter(|action| parsed.has(action)).count() != 1 {
            return Err(parsed.usage(
                "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, \
                 --delete-offsets",
            ));
        }
        Ok(Self(parsed))
    }

    /// Connects to the brokers of `--bootstrap-server`.
    pub(super) fn connect(&self) -> Result<Groups, Stop> {
        let value = |name| self.0.value(name).map_err(|thrown| self.usage(&thrown.message));
        let command_config = value("command-config")?;
        Groups::connect(value("bootstrap-server")?.unwrap_or_default(), command_config)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    pub(super) fn usage(&self, message: &str) -> Stop {
        self.0.usage(message)
    }

    pub(super) fn timeout_ms(&self) -> Result<u64, Thrown> {
        let timeout_ms = self.0.number::<i64>("timeout")?.unwrap_or_default() as i32;
        Ok(u64::try_from(timeout_ms).unwrap_or(0))
    }

    pub(super) fn groups(&self) -> Vec<String> {
        self.0.values("group").into_iter().map(str::to_owned).collect()
    }

    /// The only group.
    pub(super) fn group(&self) -> Result<String, Thrown> {
        Ok(self.0.value("group")?.unwrap_or_default().to_owned())
    }

    pub(super) fn topics(&self) -> Vec<String> {
        self.0.values("topic").into_iter().map(str::to_owned).collect()
    }

    pub(super) fn text(&self, name: &str) -> Result<String, Thrown> {
        Ok(self.0.value(name)?.unwrap_or_default().to_owned())
    }

    pub(super) fn long(&self, name: &str) -> Result<i64, Thrown> {
        Ok(self.0.number::<i64>(name)?.unwrap_or_default())
    }

    /// The states to list; none for all.
    pub(super) fn states(&self) -> Result<Vec<String>, Thrown> {
        let Some(list) = self.0.value("state")?.filter(|list| !list.is_empty()) else { return Ok(Vec::new()) };
        let states: Vec<String> = list.trim_end_matches(',').split(',').map(|state| state.trim().to_owned()).collect();
        if states.iter().all(|state| STATES.contains(&state.as_str())) {
            return Ok(states);
        }
        let valid = STATES.join(", ");
        Err(Thrown::illegal_argument(format!("Invalid state list '{list}'. Valid states are: {valid}")))
    }
}

/// The partitions of `topic:0,1`.
pub(super) fn partitions_of(text: &str) -> Result<Vec<Partition>, Thrown> {
    let mut parts = text.trim_end_matches(':').split(':');
    let topic = parts.next().unwrap_or_default();
    let Some(indexes) = parts.next() else {
        let message = "Index 1 out of bounds for length 1";
        return Err(Thrown::new("java.lang.ArrayIndexOutOfBoundsException", message));
    };
    let partition = |index: &str| {
        let index = index
            .parse()
            .map_err(|_| Thrown::new("java.lang.NumberFormatException", format!("For input string: \"{index}\"")))?;
        Ok((topic.to_owned(), index))
    };
    indexes.trim_end_matches(',').split(',').map(partition).collect()
}

/// What the original says when no scenario is given: its set of them.
pub(super) fn no_scenario() -> String {
    let names = scenarios_but("").iter().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ");
    format!("Option '[reset-offsets]' requires one of the following scenarios: HashSet({names})")
}

/// The scenarios in the order of the original's set.
fn scenarios_but(one: &str) -> Vec<&'static str> {
    java::scala_order(SCENARIOS.into_iter().filter(|scenario| *scenario != one).collect(), |name| name_hash(name))
}

fn check(parsed: &Parsed, console: &mut Console<'_>) -> Result<(), Stop> {
    let scoped = parsed.has("group") || parsed.has("all-groups");
    let one_of =
        |action: &str| parsed.usage(&format!("Option [{action}] takes one of these options: [group], [all-groups]"));
    parsed.check_required(&["bootstrap-server"])?;
    if parsed.has("describe") {
        if !scoped {
            return Err(one_of("describe"));
        }
        if ["members", "offsets", "state"].iter().filter(|view| parsed.has(view)).count() > 1 {
            let message = "Option [describe] takes at most one of these options: [members], [offsets], [state]";
            return Err(parsed.usage(message));
        }
        if !parsed.values("state").is_empty() {
            return Err(parsed.usage("Option [describe] does not take a value for [state]"));
        }
    }
    if parsed.has("delete") {
        if !scoped {
            return Err(one_of("delete"));
        }
        if parsed.has("topic") {
            let message = "The consumer does not support topic-specific offset deletion from a consumer group.";
            return Err(parsed.usage(message));
        }
    }
    if parsed.has("delete-offsets") && !(parsed.has("group") && parsed.has("topic")) {
        return Err(parsed.usage("Option [delete-offsets] takes the following options: [group], [topic]"));
    }
    if parsed.has("reset-offsets") {
        check_reset(parsed, console)?;
        if !scoped {
            return Err(one_of("reset-offsets"));
        }
        for scenario in SCENARIOS {
            parsed.check_invalid(scenario, &scenarios_but(scenario))?;
        }
    }
    parsed.check_invalid("group", &["all-groups", "list"])?;
    parsed.check_invalid("topic", &["list", "describe"])
}

fn check_reset(parsed: &Parsed, console: &mut Console<'_>) -> Result<(), Stop> {
    match (parsed.has("dry-run"), parsed.has("execute")) {
        (true, true) => Err(parsed.usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]")),
        (false, false) => {
            console.error_line(
                "WARN: No action will be performed as the --execute option is missing.In a future major release, the \
                 default behavior of this command will be to prompt the user before executing the reset rather than \
                 doing a dry run. You should add the --dry-run option explicitly if you are scripting this command and \
                 want to keep the current default behavior without prompting.",
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

fn parser() -> Parser {
    let mut parser = Parser::new();
    let mut text = |name, description, placeholder| {
        parser.accepts(name, description).argument("String", placeholder);
    };
    text("bootstrap-server", "REQUIRED: The server(s) to connect to.", "server to connect to");
    text("group", "The consumer group we wish to act on.", "consumer group");
    text(
        "topic",
        "The topic whose consumer group information should be deleted or topic whose should be included in the reset \
         offset process. In `reset-offsets` case, partitions can be specified using this format: `topic1:0,1,2`, where \
         0,1,2 are the partition to be included in the process. Reset-offsets also supports multiple topic inputs.",
        "topic",
    );
    text(
        "command-config",
        "Property file containing configs to be passed to Admin Client and Consumer.",
        "command config property file",
    );
    parser
        .accepts(
            "timeout",
            "The timeout that can be set for some use cases. For example, it can be used when describing the group to \
             specify the maximum amount of time in milliseconds to wait before the group stabilizes (when the group is \
             just created, or is going through some changes).",
        )
        .argument("Long", "timeout (ms)")
        .default("5000");
    add_actions(&mut parser);
    add_views(&mut parser);
    add_scenarios(&mut parser);
    parser
}

fn add_actions(parser: &mut Parser) {
    for (name, description) in [
        ("all-topics", "Consider all topics assigned to a group in the `reset-offsets` process."),
        ("list", "List all consumer groups."),
        (
            "describe",
            "Describe consumer group and list offset lag (number of messages not yet processed) related to given group.",
        ),
        ("all-groups", "Apply to all consumer groups."),
        (
            "delete",
            "Pass in groups to delete topic partition offsets and ownership information over the entire consumer group. \
             For instance --group g1 --group g2",
        ),
        (
            "reset-offsets",
            "Reset offsets of consumer group. Supports one consumer group at the time, and instances should be inactive\n\
             Has 2 execution options: --dry-run (the default) to plan which offsets to reset, and --execute to update \
             the offsets. Additionally, the --export option is used to export the results to a CSV format.\n\
             You must choose one of the following reset specifications: --to-datetime, --by-period, --to-earliest, \
             --to-latest, --shift-by, --from-file, --to-current.\n\
             To define the scope use --all-topics or --topic. One scope must be specified unless you use '--from-file'.",
        ),
        (
            "delete-offsets",
            "Delete offsets of consumer group. Supports one consumer group at the time, and multiple topics.",
        ),
        (
            "dry-run",
            "Only show results without executing changes on Consumer Groups. Supported operations: reset-offsets.",
        ),
        ("execute", "Execute operation. Supported operations: reset-offsets."),
        ("export", "Export operation execution to a CSV file. Supported operations: reset-offsets."),
    ] {
        parser.accepts(name, description);
    }
}

fn add_views(parser: &mut Parser) {
    const EXAMPLE: &str = "Example: --bootstrap-server localhost:9092 --describe --group group1";
    let mut view = |name, description: String| parser.accepts(name, description).available_if(&["describe"]).clone();
    view(
        "members",
        format!(
            "Describe members of the group. This option may be used with '--describe' and '--bootstrap-server' options \
             only.\n{EXAMPLE} --members"
        ),
    );
    view(
        "verbose",
        format!(
            "Provide additional information, if any, when describing the group. This option may be used with \
             '--offsets'/'--members'/'--state' and '--bootstrap-server' options only.\n{EXAMPLE} --members --verbose"
        ),
    );
    view(
        "offsets",
        format!(
            "Describe the group and list all topic partitions in the group along with their offset lag. This is the \
             default sub-action of and may be used with '--describe' and '--bootstrap-server' options only.\n\
             {EXAMPLE} --offsets"
        ),
    );
    parser
        .accepts(
            "state",
            format!(
                "When specified with '--describe', includes the state of the group.\n{EXAMPLE} --state\n\
                 When specified with '--list', it displays the state of all groups. It can also be used to list groups \
                 with specific states.\nExample: --bootstrap-server localhost:9092 --list --state stable,empty\n\
                 This option may be used with '--describe', '--list' and '--bootstrap-server' options only."
            ),
        )
        .available_if(&["describe", "list"])
        .optional_argument("String", "");
}

fn add_scenarios(parser: &mut Parser) {
    for (name, description, kind, placeholder) in [
        ("to-offset", "Reset offsets to a specific offset.", "Long", "offset"),
        ("from-file", "Reset offsets to values defined in CSV file.", "String", "path to CSV file"),
        (
            "to-datetime",
            "Reset offsets to offset from datetime. Format: 'YYYY-MM-DDTHH:mm:SS.sss'",
            "String",
            "datetime",
        ),
        (
            "by-duration",
            "Reset offsets to offset by duration from current timestamp. Format: 'PnDTnHnMnS'",
            "String",
            "duration",
        ),
        (
            "shift-by",
            "Reset offsets shifting current offset by 'n', where 'n' can be positive or negative.",
            "Long",
            "number-of-offsets",
        ),
    ] {
        parser.accepts(name, description).argument(kind, placeholder);
    }
    parser.accepts("to-earliest", "Reset offsets to earliest offset.");
    parser.accepts("to-latest", "Reset offsets to latest offset.");
    parser.accepts("to-current", "Reset offsets to current offset.");
}

#[cfg(test)]
mod tests {
    use std::io::sink;

    use super::*;

    fn first(line: &str) -> String {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let mut err = Vec::new();
        let mut console = Console { input: None, out: &mut sink(), err: &mut err };
        let stop = GroupOptions::parse(&words, &mut console).err().unwrap();
        let err = String::from_utf8(err).unwrap() + &stop.err;
        format!("{}{}", stop.out, err.split("\nOption  ").next().unwrap_or_default()).trim_end().to_owned()
    }

    #[test]
    fn help_is_the_originals() {
        let stop = GroupOptions::parse(&[], &mut Console { input: None, out: &mut sink(), err: &mut sink() });
        let golden = include_str!("../../../tests/golden/kafka-consumer-groups-help.txt");
        let stop = stop.err().unwrap();
        assert_eq!((stop.err.split_once('\n').unwrap().1, stop.code), (golden, 1));
    }

    #[test]
    fn what_is_wrong_is_said_as_the_original_says_it() {
        // Each made by kafka-consumer-groups.sh of 2.7.1.
        for (line, message) in [
            ("--list", "Missing required argument \"[bootstrap-server]\""),
            ("-bootstrap-server a:1 --version", crate::options::VERSION),
            (
                "--bootstrap-server a:1 --list --delete",
                "Option [delete] takes one of these options: [group], [all-groups]",
            ),
            (
                "--bootstrap-server a:1",
                "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, \
                 --delete-offsets",
            ),
            (
                "--bootstrap-server a:1 --list --verbose --offsets --members",
                "Exception in thread \"main\" joptsimple.UnavailableOptionException: Option(s) [members, offsets, \
                 verbose] are unavailable given other options on the command line",
            ),
            (
                "--bootstrap-server a:1 --describe",
                "Option [describe] takes one of these options: [group], [all-groups]",
            ),
            (
                "--bootstrap-server a:1 --describe --group g --members --offsets",
                "Option [describe] takes at most one of these options: [members], [offsets], [state]",
            ),
            (
                "--bootstrap-server a:1 --describe --group g --state Stable",
                "Option [describe] does not take a value for [state]",
            ),
            (
                "--bootstrap-server a:1 --delete-offsets --group g",
                "Option [delete-offsets] takes the following options: [group], [topic]",
            ),
            (
                "--bootstrap-server a:1 --reset-offsets --dry-run --execute",
                "Option [reset-offsets] only accepts one of [execute] and [dry-run]",
            ),
            (
                "--bootstrap-server a:1 --reset-offsets --dry-run --group g --to-latest --to-current --to-offset 4",
                "Option \"[to-offset]\" can't be used with option \"[to-current]\"",
            ),
            (
                "--bootstrap-server a:1 --reset-offsets --dry-run --group g --by-duration x --to-datetime y",
                "Option \"[to-datetime]\" can't be used with option \"[by-duration]\"",
            ),
            (
                "--bootstrap-server a:1 --describe --group g --all-groups",
                "Option \"[group]\" can't be used with option \"[all-groups]\"",
            ),
            ("--bootstrap-server a:1 --list --topic t", "Option \"[topic]\" can't be used with option \"[list]\""),
        ] {
            assert_eq!(first(line), message, "{line}");
        }
        assert!(first("--bootstrap-server a:1 --reset-offsets").starts_with("WARN: No action will be performed as"));
        assert_eq!(
            no_scenario(),
            "Option '[reset-offsets]' requires one of the following scenarios: HashSet([by-duration], [to-offset], \
             [from-file], [to-datetime], [to-earliest], [to-current], [shift-by], [to-latest])"
        );
    }

    #[test]
    fn partitions_of_a_topic() {
        assert_eq!(partitions_of("t:0,2").unwrap(), [("t".to_owned(), 0), ("t".to_owned(), 2)]);
        assert_eq!(partitions_of("t:").unwrap_err().message, "Index 1 out of bounds for length 1");
        assert_eq!(partitions_of("t:a").unwrap_err().message, "For input string: \"a\"");
    }
}
