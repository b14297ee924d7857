//! One file for each upstream command, and the table that finds it by its script's name or its Java class.

mod client;
mod elections;
mod get_offset_shell;
mod kafka_broker_api_versions;
mod kafka_configs;
mod kafka_console_consumer;
mod kafka_console_producer;
mod kafka_consumer_groups;
mod kafka_consumer_perf_test;
mod kafka_dump_log;
mod kafka_features;
mod kafka_leader_election;
mod kafka_log_dirs;
mod kafka_preferred_replica_election;
mod kafka_producer_perf_test;
mod kafka_reassign_partitions;
mod kafka_replica_verification;
mod kafka_topics;
mod kafka_verifiable_consumer;
mod kafka_verifiable_producer;
mod metrics;
mod zk_cli;
mod zk_snap_shot_toolkit;

use std::ffi::OsString;
use std::io::BufWriter;

use crate::console::{Console, Stop};
use crate::upstream::{self, Command};

/// Runs one tool to its end.
type Run = fn(&[OsString], &mut Console<'_>) -> Result<i32, Stop>;

/// The tools that are here, by the names in [`upstream::COMMANDS`].
static TOOLS: &[(&str, Run)] = &[
    ("zkCli", zk_cli::run),
    ("zookeeper-shell", zk_cli::run_kafka),
    ("zkSnapShotToolkit", zk_snap_shot_toolkit::run),
    ("kafka-topics", kafka_topics::run),
    ("kafka-console-producer", kafka_console_producer::run),
    ("kafka-console-consumer", kafka_console_consumer::run),
    ("kafka-consumer-groups", kafka_consumer_groups::run),
    ("kafka-producer-perf-test", kafka_producer_perf_test::run),
    ("kafka-consumer-perf-test", kafka_consumer_perf_test::run),
    ("kafka-broker-api-versions", kafka_broker_api_versions::run),
    ("kafka-configs", kafka_configs::run),
    ("kafka-dump-log", kafka_dump_log::run),
    ("kafka-features", kafka_features::run),
    ("kafka-leader-election", kafka_leader_election::run),
    ("kafka-log-dirs", kafka_log_dirs::run),
    ("kafka-preferred-replica-election", kafka_preferred_replica_election::run),
    ("kafka-reassign-partitions", kafka_reassign_partitions::run),
    ("kafka-replica-verification", kafka_replica_verification::run),
    ("kafka-verifiable-consumer", kafka_verifiable_consumer::run),
    ("kafka-verifiable-producer", kafka_verifiable_producer::run),
];

/// The classes that no script runs, of those in [`upstream::CLASSES`] that are here.
static CLASSES: &[(&str, Run)] = &[("kafka.tools.GetOffsetShell", get_offset_shell::run)];

/// Runs the tool of a script's name (with or without `.sh`) or of a Java class, and gives its exit code; `None` if it is
/// no tool.
pub(crate) fn run(name: &str, arguments: &[OsString]) -> Option<i32> {
    let mut out = BufWriter::new(std::io::stdout());
    let mut err = std::io::stderr();
    let mut console = Console { input: None, out: &mut out, err: &mut err };
    let code = run_on(name, arguments, &mut console);
    console.flush();
    code
}

/// As [`run`], on other streams.
pub(crate) fn run_on(name: &str, arguments: &[OsString], console: &mut Console<'_>) -> Option<i32> {
    let command = upstream::by_name(name).or_else(|| upstream::by_class(name));
    let alone = || CLASSES.iter().find(|(class, _)| *class == name).map(|(_, run)| *run);
    let tool = command.and_then(find).or_else(alone)?;
    Some(tool(arguments, console).unwrap_or_else(|stop| stop.tell(console)))
}

fn find(command: &Command) -> Option<Run> {
    TOOLS.iter().find(|(name, _)| *name == command.name).map(|(_, run)| *run)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page that tells users what is served says of each command with a class whether its tool is here.
    #[test]
    fn the_page_of_compatibility_says_which_tools_are_served() {
        let page = include_str!("../../../../docs/compatibility.md");
        for command in upstream::COMMANDS {
            let server = [upstream::ZOOKEEPER_SERVER, upstream::KAFKA_SERVER];
            if command.class.is_none_or(|class| server.contains(&class)) {
                continue;
            }
            let start = format!("| `{}.sh` | ", command.name);
            let state = page.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
            assert_eq!(state.starts_with("served"), find(command).is_some(), "{}: {state}", command.name);
        }
    }
}
