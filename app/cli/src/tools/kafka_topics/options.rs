//! The command line of `kafka-topics`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use config::{ErrorKind, TopicSettings};

use super::NewTopic;
use crate::console::{Console, Stop, Thrown};
use crate::options::{Parsed, Parser};

const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];
const REPORTS: [&str; 4] =
    ["under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"];
const VIA_BOOTSTRAP: &str = " (the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)";

/// A command line that was checked.
pub(super) struct TopicOptions(Parsed);

impl TopicOptions {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Stop> {
        let parsed = parser().parse(arguments)?;
        check(&parsed)?;
        Ok(Self(parsed))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    pub(super) fn zookeeper(&self) -> Result<Option<String>, Stop> {
        Ok(self.0.value("zookeeper").map_err(|thrown| thrown.uncaught())?.map(str::to_owned))
    }

    /// The brokers of `--bootstrap-server` and the file of `--command-config`.
    pub(super) fn brokers(&self) -> Result<(String, Option<String>), Stop> {
        let value = |name| self.0.value(name).map_err(|thrown| thrown.uncaught());
        Ok((value("bootstrap-server")?.unwrap_or_default().to_owned(), value("command-config")?.map(str::to_owned)))
    }

    pub(super) fn topic(&self) -> Result<Option<String>, Thrown> {
        Ok(self.0.value("topic")?.map(str::to_owned))
    }

    /// Whether partitions are described without a condition.
    pub(super) fn describes_all(&self) -> bool {
        !REPORTS.iter().any(|report| self.has(report))
    }

    /// Whether configs are to be changed.
    pub(super) fn alters_configs(&self) -> bool {
        self.has("config") || self.has("delete-config")
    }

    /// What is said about a topic; a config that only newer brokers heed is warned of.
    pub(super) fn new_topic(&self, console: &mut Console<'_>) -> Result<NewTopic, Thrown> {
        let name = self.topic()?.unwrap_or_default();
        let partitions = self.0.number("partitions")?;
        let replication_factor = self.0.number("replication-factor")?;
        let list = self.0.value("replica-assignment")?.filter(|list| !list.is_empty());
        Ok(NewTopic {
            name,
            partitions,
            replication_factor,
            assignment: list.map(parse_assignment).transpose()?,
            configs: configs_to_add(&self.0.values("config"), console)?,
            configs_to_delete: configs_to_delete(&self.0.values("delete-config"))?,
            rack_aware: !self.has("disable-rack-aware"),
            if_not_exists: self.has("if-not-exists"),
        })
    }
}

fn configs_to_add(given: &[&str], console: &mut Console<'_>) -> Result<BTreeMap<String, String>, Thrown> {
    let mut configs = BTreeMap::new();
    for config in given {
        let mut parts: Vec<&str> = config.split('=').collect();
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        let [name, value] = parts.as_slice() else {
            return Err(Thrown::illegal_argument(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        configs.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    TopicSettings::validate(&configs).map_err(|error| invalid_config(&error))?;
    if let Some(version) = configs.get("message.format.version") {
        console.line(format_args!(
            "WARNING: The configuration message.format.version={version} is specified. This configuration will be \
             ignored if the version is newer than the inter.broker.protocol.version specified in the broker."
        ));
    }
    Ok(configs)
}

/// The original's exception for a config that is refused.
pub(super) fn invalid_config(error: &config::ConfigError) -> Thrown {
    let class = match error.kind() {
        ErrorKind::InvalidConfiguration => "org.apache.kafka.common.errors.InvalidConfigurationException",
        _ => "org.apache.kafka.common.config.ConfigException",
    };
    Thrown::new(class, error.message())
}

fn configs_to_delete(given: &[&str]) -> Result<Vec<String>, Thrown> {
    let names: Vec<String> = given.iter().map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| config::topic::find(name).is_none()) {
        None => Ok(names),
        Some(name) => Err(Thrown::new(
            "org.apache.kafka.common.errors.InvalidConfigurationException",
            format!("Unknown topic config name: {name}"),
        )),
    }
}

/// `1:2,2:3`: the replicas of partition 0, of partition 1 ...
fn parse_assignment(list: &str) -> Result<Vec<Vec<i32>>, Thrown> {
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, replicas) in list.trim_end_matches(',').split(',').enumerate() {
        let number = |id: &str| {
            id.trim().parse::<i32>().map_err(|_| {
                Thrown::new("java.lang.NumberFormatException", format!("For input string: \"{}\"", id.trim()))
            })
        };
        let replicas = replicas.split(':').map(number).collect::<Result<Vec<i32>, Thrown>>()?;
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<i32> = replicas.iter().copied().filter(|id| !seen.insert(*id)).collect();
        if !twice.is_empty() {
            let twice: Vec<String> = twice.iter().map(ToString::to_string).collect();
            return Err(Thrown::new(
                "kafka.common.AdminCommandFailedException",
                format!("Partition replica lists may not contain duplicate entries: {}", twice.join(",")),
            ));
        }
        if partitions.first().is_some_and(|first| first.len() != replicas.len()) {
            return Err(Thrown::new(
                "kafka.admin.AdminOperationException",
                format!("Partition {index} has different replication factor: {replicas:?}"),
            ));
        }
        partitions.push(replicas);
    }
    Ok(partitions)
}

fn parser() -> Parser {
    let mut parser = Parser::new();
    let mut text = |name, description: &str, placeholder| {
        parser.accepts(name, description).argument("String", placeholder);
    };
    text(
        "bootstrap-server",
        "REQUIRED: The Kafka server to connect to. In case of providing this, a direct Zookeeper connection won't be \
         required.",
        "server to connect to",
    );
    text(
        "command-config",
        "Property file containing configs to be passed to Admin Client. This is used only with --bootstrap-server \
         option for describing and altering broker configs.",
        "command config property file",
    );
    text(
        "zookeeper",
        "DEPRECATED, The connection string for the zookeeper connection in the form host:port. Multiple hosts can be \
         given to allow fail-over.",
        "hosts",
    );
    text(
        "topic",
        "The topic to create, alter, describe or delete. It also accepts a regular expression, except for --create \
         option. Put topic name in double quotes and use the '\\' prefix to escape regular expression symbols; e.g. \
         \"test\\.topic\".",
        "topic",
    );
    let names: Vec<String> = config_names().iter().map(|name| format!("\t{name}")).collect();
    let names = names.join("\n");
    text(
        "config",
        &format!(
            "A topic configuration override for the topic being created or altered. The following is a list of valid \
             configurations: \n{names}\nSee the Kafka documentation for full details on the topic configs. It is \
             supported only in combination with --create if --bootstrap-server option is used{VIA_BOOTSTRAP}."
        ),
        "name=value",
    );
    text(
        "delete-config",
        "A topic configuration override to be removed for an existing topic (see the list of configurations under the \
         --config option). Not supported with the --bootstrap-server option.",
        "name",
    );
    text(
        "replica-assignment",
        "A list of manual partition-to-broker assignments for the topic being created or altered.",
        "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , broker_id_for_part2_replica1 : \
         broker_id_for_part2_replica2 , ...",
    );
    add_numbers_and_flags(&mut parser);
    parser
}

fn add_numbers_and_flags(parser: &mut Parser) {
    parser
        .accepts(
            "partitions",
            "The number of partitions for the topic being created or altered (WARNING: If partitions are increased for \
             a topic that has a key, the partition logic or ordering of the messages will be affected). If not supplied \
             for create, defaults to the cluster default.",
        )
        .argument("Integer", "# of partitions");
    parser
        .accepts(
            "replication-factor",
            "The replication factor for each partition in the topic being created. If not supplied, defaults to the \
             cluster default.",
        )
        .argument("Integer", "replication factor");
    for (name, description) in [
        ("list", "List all available topics."),
        ("create", "Create a new topic."),
        ("delete", "Delete a topic"),
        ("alter", "Alter the number of partitions, replica assignment, and/or configuration for the topic."),
        ("describe", "List details for the given topics."),
        ("under-replicated-partitions", "if set when describing topics, only show under replicated partitions"),
        ("unavailable-partitions", "if set when describing topics, only show partitions whose leader is not available"),
        (
            "under-min-isr-partitions",
            "if set when describing topics, only show partitions whose isr count is less than the configured minimum. \
             Not supported with the --zookeeper option.",
        ),
        (
            "at-min-isr-partitions",
            "if set when describing topics, only show partitions whose isr count is equal to the configured minimum. \
             Not supported with the --zookeeper option.",
        ),
        ("topics-with-overrides", "if set when describing topics, only show topics that have overridden configs"),
        (
            "if-exists",
            "if set when altering or deleting or describing topics, the action will only execute if the topic exists.",
        ),
        (
            "if-not-exists",
            "if set when creating topics, the action will only execute if the topic does not already exist.",
        ),
        ("disable-rack-aware", "Disable rack aware replica assignment"),
        ("force", "Suppress console prompts"),
        (
            "exclude-internal",
            "exclude internal topics when running list or describe command. The internal topics will be listed by \
             default",
        ),
    ] {
        parser.accepts(name, description);
    }
}

/// All names of topic configs, sorted.
pub(in crate::tools) fn config_names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = config::topic::all().iter().map(|key| key.name).collect();
    names.sort_unstable();
    names
}

fn check(parsed: &Parsed) -> Result<(), Stop> {
    if parsed.is_empty() {
        return Err(parsed.usage("Create, delete, describe, or change a topic."));
    }
    parsed.help_or_version("This tool helps to create, delete, describe, or change a topic.")?;
    if ACTIONS.iter().filter(|action| parsed.has(action)).count() != 1 {
        return Err(
            parsed.usage("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
        );
    }
    if parsed.has("bootstrap-server") == parsed.has("zookeeper") {
        let message = "Only one of --bootstrap-server or --zookeeper must be specified";
        return Err(Thrown::illegal_argument(message).uncaught());
    }
    let by_name = !parsed.has("list") && (!parsed.has("describe") || parsed.has("if-exists"));
    if by_name {
        parsed.check_required(&["topic"])?;
    }
    if parsed.has("create") && !parsed.has("replica-assignment") && parsed.has("zookeeper") {
        parsed.check_required(&["partitions", "replication-factor"])?;
    }
    if parsed.has("bootstrap-server") && parsed.has("alter") {
        parsed.check_invalid_set(&["bootstrap-server", "config"], &["alter"], VIA_BOOTSTRAP)?;
        parsed.check_required(&["partitions"])?;
    }
    check_combinations(parsed)
}

fn check_combinations(parsed: &Parsed) -> Result<(), Stop> {
    let actions_but = |allowed: &[&str]| -> Vec<&'static str> {
        ACTIONS.into_iter().filter(|action| !allowed.contains(action)).collect()
    };
    let with = |mut names: Vec<&'static str>, more: &[&'static str]| {
        names.extend_from_slice(more);
        names
    };
    let reports_but = |report: &str| -> Vec<&'static str> {
        let others = REPORTS.into_iter().filter(|other| *other != report).chain(["topics-with-overrides"]);
        actions_but(&["describe"]).into_iter().chain(others).collect()
    };
    parsed.check_invalid("config", &actions_but(&["alter", "create"]))?;
    parsed.check_invalid("delete-config", &with(actions_but(&["alter"]), &["bootstrap-server"]))?;
    parsed.check_invalid("partitions", &actions_but(&["alter", "create"]))?;
    parsed.check_invalid("replication-factor", &actions_but(&["create"]))?;
    parsed.check_invalid("replica-assignment", &actions_but(&["create", "alter"]))?;
    if parsed.has("create") {
        parsed.check_invalid("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        let zookeeper: &[&str] = if report.contains("min-isr") { &["zookeeper"] } else { &[] };
        parsed.check_invalid(report, &with(reports_but(report), zookeeper))?;
    }
    parsed.check_invalid("topics-with-overrides", &with(actions_but(&["describe"]), &REPORTS))?;
    parsed.check_invalid("if-exists", &actions_but(&["alter", "delete", "describe"]))?;
    parsed.check_invalid("if-not-exists", &actions_but(&["create"]))?;
    parsed.check_invalid("exclude-internal", &actions_but(&["list", "describe"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_the_originals() {
        let help = TopicOptions::parse(&[]).err().unwrap();
        assert_eq!(help.err, include_str!("../../../tests/golden/kafka-topics-help.txt"));
    }

    #[test]
    fn assignments_by_hand() {
        assert_eq!(parse_assignment("1:2, 2:1,"), Ok(vec![vec![1, 2], vec![2, 1]]));
        assert!(parse_assignment("1:1").unwrap_err().message.ends_with("duplicate entries: 1"));
        assert_eq!(parse_assignment("1,x").unwrap_err().message, "For input string: \"x\"");
        assert!(parse_assignment("1,1:2").unwrap_err().message.starts_with("Partition 1 has different replication"));
    }
}
