//! The command line of `kafka-reassign-partitions`.

use std::ffi::OsString;

use crate::console::{Stop, Thrown};
use crate::options::{Parsed, Parser, Row};

/// In the order in which they are listed when not exactly one is given.
const ACTIONS: [&str; 5] = ["generate", "execute", "verify", "cancel", "list"];

const OPTIONS: [Row; 17] = [
    Row::flag(
        "verify",
        "Verify if the reassignment completed as specified by the --reassignment-json-file option. If there is a throttle \
         engaged for the replicas specified, and the rebalance has completed, the throttle will be removed",
    ),
    Row::flag(
        "generate",
        "Generate a candidate partition reassignment configuration. Note that this only generates a candidate assignment, \
         it does not execute it.",
    ),
    Row::flag("execute", "Kick off the reassignment as specified by the --reassignment-json-file option."),
    Row::flag("cancel", "Cancel an active reassignment."),
    Row::flag("list", "List all active partition reassignments."),
    Row::taking(
        "bootstrap-server",
        "String",
        "Server(s) to use for bootstrapping",
        "the server(s) to use for bootstrapping. REQUIRED if an absolute path of the log directory is specified for any \
         replica in the reassignment json file, or if --zookeeper is not given.",
    ),
    Row::taking(
        "command-config",
        "String",
        "Admin client property file",
        "Property file containing configs to be passed to Admin Client.",
    ),
    Row::taking(
        "zookeeper",
        "String",
        "urls",
        "DEPRECATED: The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given \
         to allow fail-over.  Please use --bootstrap-server instead.",
    ),
    Row::taking(
        "reassignment-json-file",
        "String",
        "manual assignment json file path",
        "The JSON file with the partition reassignment configurationThe format to use is - \n{\"partitions\":\n\t[{\"topic\": \
         \"foo\",\n\t  \"partition\": 1,\n\t  \"replicas\": [1,2,3],\n\t  \"log_dirs\": [\"dir1\",\"dir2\",\"dir3\"] \
         }],\n\"version\":1\n}\nNote that \"log_dirs\" is optional. When it is specified, its length must equal the length \
         of the replicas list. The value in this list can be either \"any\" or the absolution path of the log directory on \
         the broker. If absolute log directory path is specified, the replica will be moved to the specified log directory \
         on the broker.",
    ),
    Row::taking(
        "topics-to-move-json-file",
        "String",
        "topics to reassign json file path",
        "Generate a reassignment configuration to move the partitions of the specified topics to the list of brokers \
         specified by the --broker-list option. The format to use is - \n{\"topics\":\n\t[{\"topic\": \"foo\"},{\"topic\": \
         \"foo1\"}],\n\"version\":1\n}",
    ),
    Row::taking(
        "broker-list",
        "String",
        "brokerlist",
        "The list of brokers to which the partitions need to be reassigned in the form \"0,1,2\". This is required if \
         --topics-to-move-json-file is used to generate reassignment configuration",
    ),
    Row::flag("disable-rack-aware", "Disable rack aware replica assignment"),
    Row::taking(
        "throttle",
        "Long",
        "throttle",
        "The movement of partitions between brokers will be throttled to this value (bytes/sec). This option can be \
         included with --execute when a reassignment is started, and it can be altered by resubmitting the current \
         reassignment along with the --additional flag. The throttle rate should be at least 1 KB/s.",
    )
    .or("-1"),
    Row::taking(
        "replica-alter-log-dirs-throttle",
        "Long",
        "replicaAlterLogDirsThrottle",
        "The movement of replicas between log directories on the same broker will be throttled to this value (bytes/sec). \
         This option can be included with --execute when a reassignment is started, and it can be altered by resubmitting \
         the current reassignment along with the --additional flag. The throttle rate should be at least 1 KB/s.",
    )
    .or("-1"),
    Row::taking(
        "timeout",
        "Long",
        "timeout",
        "The maximum time in ms to wait for log directory replica assignment to begin.",
    )
    .or("10000"),
    Row::flag(
        "additional",
        "Execute this reassignment in addition to any other ongoing ones. This option can also be used to change the \
         throttle of an ongoing reassignment.",
    ),
    Row::flag("preserve-throttles", "Do not modify broker or topic throttles."),
];

/// A command line that was checked.
pub(super) struct ReassignOptions {
    parsed: Parsed,
    /// One of [`ACTIONS`].
    pub(super) action: &'static str,
}

impl ReassignOptions {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Stop> {
        let mut parser = Parser::new();
        parser.accept_all(&OPTIONS);
        let parsed = parser.parse(arguments)?;
        parsed.help_or_version("This tool helps to move topic partitions between replicas.")?;
        let action = check(&parsed)?;
        Ok(Self { parsed, action })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.parsed.has(name)
    }

    /// The value of an option; empty if it was not given.
    pub(super) fn value(&self, name: &str) -> Result<&str, Thrown> {
        Ok(self.parsed.value(name)?.unwrap_or_default())
    }

    /// The value of an option with a default.
    pub(super) fn number(&self, name: &str) -> Result<i64, Thrown> {
        Ok(self.parsed.number(name)?.unwrap_or(-1))
    }
}

/// What an action needs, and what it may have beside that.
fn arguments_of(action: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match action {
        "verify" => {
            (&["reassignment-json-file"], &["bootstrap-server", "command-config", "preserve-throttles", "zookeeper"])
        }
        "generate" => (
            &["topics-to-move-json-file", "broker-list"],
            &["bootstrap-server", "command-config", "disable-rack-aware", "zookeeper"],
        ),
        "execute" => (
            &["reassignment-json-file"],
            &[
                "additional",
                "bootstrap-server",
                "command-config",
                "throttle",
                "replica-alter-log-dirs-throttle",
                "timeout",
                "zookeeper",
            ],
        ),
        "cancel" => {
            (&["reassignment-json-file"], &["bootstrap-server", "command-config", "preserve-throttles", "timeout"])
        }
        _ => (&[], &["bootstrap-server", "command-config"]),
    }
}

/// Checks the command line and gives the action.
fn check(parsed: &Parsed) -> Result<&'static str, Stop> {
    let mut given = ACTIONS.into_iter().filter(|action| parsed.has(action));
    let (Some(action), None) = (given.next(), given.next()) else {
        let actions = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return Err(parsed.usage(&format!("Command must include exactly one action: {actions}")));
    };
    if !parsed.has("zookeeper") && !parsed.has("bootstrap-server") {
        return Err(parsed.usage("Please specify --bootstrap-server"));
    }
    let (required, permitted) = arguments_of(action);
    parsed.check_required(required)?;
    let allowed = |name: &str| name == action || required.contains(&name) || permitted.contains(&name);
    if let Some(name) = parsed.given().find(|name| !allowed(name)) {
        return Err(parsed.usage(&format!("Option \"[{name}]\" can't be used with action \"[{action}]\"")));
    }
    let by_brokers_only =
        ["additional", "cancel", "command-config", "replica-alter-log-dirs-throttle", "list", "timeout"];
    if !parsed.has("bootstrap-server")
        && let Some(name) = by_brokers_only.into_iter().find(|name| parsed.has(name))
    {
        let message = format!("You must specify --bootstrap-server when using \"[{name}]\"");
        return Err(Stop::uncaught("java.lang.RuntimeException", message));
    }
    Ok(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_the_originals() {
        let help = ReassignOptions::parse(&[]).err().unwrap();
        assert_eq!(help.err, include_str!("../../../tests/golden/kafka-reassign-partitions-help.txt"));
    }

    #[test]
    fn what_does_not_go_together() {
        let first = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let stop = ReassignOptions::parse(&words).err().unwrap();
            stop.err.lines().next().unwrap_or_default().to_owned()
        };
        let exactly_one =
            "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list".to_owned();
        assert_eq!((first("--throttle 1"), first("--list --cancel")), (exactly_one.clone(), exactly_one));
        assert_eq!(first("--list"), "Please specify --bootstrap-server");
        assert_eq!(
            first("--list --bootstrap-server a:1 --timeout 3"),
            "Option \"[timeout]\" can't be used with action \"[list]\""
        );
        assert_eq!(
            first("--execute --zookeeper a:1 --reassignment-json-file f --additional"),
            "Exception in thread \"main\" java.lang.RuntimeException: You must specify --bootstrap-server when using \
             \"[additional]\""
        );
    }
}
