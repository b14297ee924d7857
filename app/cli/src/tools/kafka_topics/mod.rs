//! `kafka-topics.sh` (`kafka.admin.TopicCommand`): creates, lists, describes, alters and deletes topics.
//!
//! With `--zookeeper` it writes the znodes itself; through brokers it works by a [`TopicService`] over the admin client.

mod bootstrap;
mod options;
mod zookeeper;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use crate::console::{Console, Stop, Thrown};
use crate::kafka_admin_calls::Reassignment;
use options::TopicOptions;
pub(super) use options::config_names;
pub(super) use zookeeper::assignment_error;

const LOGGER: &str = "kafka.admin.TopicCommand$";
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// How topics are reached; each command prints what it did.
trait TopicService {
    fn create(&mut self, topic: &NewTopic, console: &mut Console<'_>) -> Result<(), Thrown>;
    fn list(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown>;
    fn alter(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown>;
    fn describe(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown>;
    fn delete(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown>;
}

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let options = TopicOptions::parse(arguments)?;
    let mut service: Box<dyn TopicService> = match options.zookeeper()? {
        Some(servers) => Box::new(zookeeper::ZookeeperTopics::connect(&servers).map_err(|thrown| thrown.uncaught())?),
        None => Box::new(bootstrap::AdminTopics::connect(&options)?),
    };
    let result = if options.has("create") {
        create(service.as_mut(), &options, console)
    } else if options.has("alter") {
        service.alter(&options, console)
    } else if options.has("list") {
        service.list(&options, console)
    } else if options.has("describe") {
        service.describe(&options, console)
    } else {
        service.delete(&options, console)
    };
    match result {
        Ok(()) => Ok(0),
        Err(thrown) => {
            console.line(format_args!("Error while executing topic command : {}", thrown.message));
            console.flush();
            console.log("ERROR", format_args!("{}\n", thrown.trace()), LOGGER);
            Ok(1)
        }
    }
}

/// What a topic shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NewTopic {
    name: String,
    partitions: Option<i32>,
    replication_factor: Option<i32>,
    /// Given by hand, from partition 0.
    assignment: Option<Vec<Vec<i32>>>,
    configs: BTreeMap<String, String>,
    configs_to_delete: Vec<String>,
    rack_aware: bool,
    if_not_exists: bool,
}

fn create(service: &mut dyn TopicService, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
    let topic = options.new_topic(console)?;
    if has_collision_chars(&topic.name) {
        console.line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could \
             collide. To avoid issues it is best to use either, but not both.",
        );
    }
    service.create(&topic, console)
}

fn is_internal(topic: &str) -> bool {
    INTERNAL.contains(&topic)
}

fn has_collision_chars(topic: &str) -> bool {
    topic.contains(['.', '_'])
}

/// Those of all topics that the options mean, in their order.
fn chosen(all: Vec<String>, options: &TopicOptions) -> Result<Vec<String>, Thrown> {
    let exclude_internal = options.has("exclude-internal");
    let filter = options.topic()?.map(|pattern| topic_filter(&pattern)).transpose()?;
    let allowed = |topic: &String| {
        filter.as_ref().is_none_or(|filter| filter.is_match(topic)) && !(exclude_internal && is_internal(topic))
    };
    Ok(all.into_iter().filter(allowed).collect())
}

/// A pattern for whole names; commas separate alternatives.
pub(super) fn topic_filter(raw: &str) -> Result<regex_lite::Regex, Thrown> {
    let pattern = raw.trim().replace(',', "|").replace(' ', "");
    let pattern = pattern.trim_matches(['"', '\'']);
    regex_lite::Regex::new(&format!("^(?:{pattern})$"))
        .map_err(|_| Thrown::new("java.lang.RuntimeException", format!("{pattern} is an invalid regex.")))
}

/// A topic that was asked for by name must be there, unless `--if-exists` is given.
fn ensure_found(found: &[String], options: &TopicOptions) -> Result<(), Thrown> {
    match options.topic()? {
        Some(topic) if found.is_empty() && !options.has("if-exists") => {
            Err(Thrown::illegal_argument(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}

/// One partition as it is described.
struct PartitionDescription<'a> {
    topic: &'a str,
    partition: i32,
    leader: Option<i32>,
    replicas: &'a [i32],
    isr: &'a [i32],
    /// `min.insync.replicas` of the topic, where the configs are known.
    min_isr: Option<usize>,
    /// What a reassignment is about to change, where that is known.
    reassignment: Option<&'a Reassignment>,
    marked_for_deletion: bool,
}

/// How many replicas a partition has when its reassignment is left out of account.
fn replication_factor(replicas: &[i32], reassignment: Option<&Reassignment>) -> usize {
    let moves = |id: &i32| reassignment.is_some_and(|going| going.adding.contains(id) || going.removing.contains(id));
    match reassignment {
        Some(going) if replicas.iter().any(moves) => {
            going.replicas.iter().filter(|id| !going.adding.contains(id)).count()
        }
        _ => replicas.len(),
    }
}

impl PartitionDescription<'_> {
    /// Whether the options ask for it.
    fn is_wanted(&self, options: &TopicOptions, live: &BTreeSet<i32>) -> bool {
        let unavailable = self.leader.is_none_or(|leader| !live.contains(&leader));
        let factor = replication_factor(self.replicas, self.reassignment);
        let under_min_isr = self.leader.is_none() || self.min_isr.is_some_and(|min| self.isr.len() < min);
        options.describes_all()
            || (options.has("under-replicated-partitions") && factor > self.isr.len())
            || (options.has("under-min-isr-partitions") && under_min_isr)
            || (options.has("at-min-isr-partitions") && self.min_isr == Some(self.isr.len()))
            || (options.has("unavailable-partitions") && unavailable)
    }

    fn print(&self, console: &mut Console<'_>) {
        let Self { topic, partition, .. } = self;
        let leader = self.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        let (replicas, isr) = (join(self.replicas), join(self.isr));
        let marked = if self.marked_for_deletion { "\tMarkedForDeletion: true" } else { "" };
        let going = self.reassignment.map_or_else(String::new, |going| {
            format!("\tAdding Replicas: {}\tRemoving Replicas: {}", join(&going.adding), join(&going.removing))
        });
        console.line(format_args!(
            "\tTopic: {topic}\tPartition: {partition}\tLeader: {leader}\tReplicas: {replicas}\tIsr: \
             {isr}{going}{marked}"
        ));
    }
}

/// The line about a whole topic.
fn print_topic(
    topic: &str,
    partitions: usize,
    factor: usize,
    configs: &[(String, String)],
    marked_for_deletion: bool,
    console: &mut Console<'_>,
) {
    let configs: Vec<String> = configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let configs = configs.join(",");
    let marked = if marked_for_deletion { "\tMarkedForDeletion: true" } else { "" };
    console.line(format_args!(
        "Topic: {topic}\tPartitionCount: {partitions}\tReplicationFactor: {factor}\tConfigs: {configs}{marked}"
    ));
}

fn join(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let matches = |pattern: &str, topic: &str| topic_filter(pattern).unwrap().is_match(topic);
        assert!(
            matches("t.*, u", "topic") && matches("t.*, u", "u") && !matches("t", "topic") && matches("\"t\"", "t")
        );
        assert_eq!(topic_filter("(").unwrap_err().message, "( is an invalid regex.");
    }
}
