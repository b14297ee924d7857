//! `kafka-reassign-partitions.sh` (`kafka.admin.ReassignPartitionsCommand`): moves replicas between brokers, and between a
//! broker's log directories.
//!
//! Through brokers it works by the controller's API (KIP-455); with `--zookeeper` it writes the znodes itself, and knows less.

mod bootstrap;
mod json;
mod options;
mod throttles;
mod zookeeper;

use std::collections::BTreeMap;
use std::ffi::OsString;

use base::Random;
use kafka_client::{ClientError, TopicPartition};
use kafka_control::{BrokerRack, assign_replicas};

use super::client;
use super::kafka_topics::assignment_error;
use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::json::read_file_as_string;
use crate::kafka_admin::thrown;
use json::joined;
use options::ReassignOptions;

const ALREADY_GOING: &str = "Cannot execute because there is an existing partition assignment.  Use --additional to \
    override this and create a new partition assignment in addition to the existing one. The --additional flag can also be \
    used to change the throttle by resubmitting the current reassignment.";
const RUN_VERIFY: &str = "Warning: You must run --verify periodically, until the reassignment completes, to ensure the \
    throttle is removed.";

/// Why the command fails.
#[derive(Debug)]
enum Failure {
    /// In so many words.
    Terse(String),
    /// By an exception, which is told with what is behind it.
    Thrown(Thrown),
}

impl From<Thrown> for Failure {
    fn from(thrown: Thrown) -> Self {
        Self::Thrown(thrown)
    }
}

impl From<ClientError> for Failure {
    /// What a future of the original throws.
    fn from(error: ClientError) -> Self {
        Self::Thrown(Thrown::executed(thrown(error)))
    }
}

/// Runs the command.
pub(super) fn run(arguments: &[OsString], console: &mut Console<'_>) -> Result<i32, Stop> {
    let options = ReassignOptions::parse(arguments)?;
    let result = if options.has("bootstrap-server") {
        bootstrap::execute(&options, console)
    } else {
        zookeeper::execute(&options, console)
    };
    match result {
        Ok(()) => return Ok(0),
        Err(Failure::Terse(message)) => console.line(message),
        Err(Failure::Thrown(thrown)) => {
            console.line(format_args!("Error: {}\n{}\n", thrown.message, thrown.trace()));
        }
    }
    Ok(1)
}

/// Where a partition that is looked at is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Moving,
    /// On these brokers.
    Settled(Vec<i32>),
}

/// Tells of partitions and the replicas that they shall have.
fn print_states(states: &BTreeMap<TopicPartition, (State, Vec<i32>)>, console: &mut Console<'_>) {
    console.line("Status of partition reassignment:");
    for (partition, (state, wanted)) in states {
        match state {
            State::Moving => console.line(format_args!("Reassignment of partition {partition} is still in progress.")),
            State::Settled(replicas) if replicas == wanted => {
                console.line(format_args!("Reassignment of partition {partition} is complete."));
            }
            State::Settled(replicas) => console.line(format_args!(
                "There is no active reassignment of partition {partition}, but replica set is {} rather than {}.",
                joined(replicas),
                joined(wanted)
            )),
        }
    }
}

/// What `--generate` is given: brokers and topics, each once.
fn to_generate(options: &ReassignOptions) -> Result<(Vec<i32>, Vec<String>), Thrown> {
    let file = read_file_as_string(options.value("topics-to-move-json-file")?)?;
    let list = options.value("broker-list")?;
    let list = if list.is_empty() { list } else { list.trim_end_matches(',') };
    let number = |id: &str| {
        let message = format!("For input string: \"{id}\"");
        id.parse().map_err(|_| Thrown::new("java.lang.NumberFormatException", message))
    };
    let brokers = list.split(',').map(number).collect::<Result<Vec<i32>, Thrown>>()?;
    let twice = java::duplicates(&brokers, java::int_hash);
    if !twice.is_empty() {
        return Err(Thrown::command_failed(format!("Broker list contains duplicate entries: {}", joined(&twice))));
    }
    let topics = json::topics(&file)?;
    let twice = java::duplicates(&topics, |topic| java::string_hash(topic));
    if !twice.is_empty() {
        let twice = joined(&twice);
        return Err(Thrown::command_failed(format!("List of topics to reassign contains duplicate entries: {twice}")));
    }
    Ok((brokers, topics))
}

/// Proposes replicas for all partitions on these brokers, each topic with as many as it has, and prints both.
fn generate(
    current: &BTreeMap<TopicPartition, Vec<i32>>,
    brokers: &[BrokerRack],
    console: &mut Console<'_>,
) -> Result<(), Thrown> {
    let with_rack = brokers.iter().filter(|broker| broker.rack.is_some()).count();
    if with_rack > 0 && with_rack < brokers.len() {
        return Err(Thrown::admin_operation(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment \
             without rack information.",
        ));
    }
    let mut topics: BTreeMap<&str, Vec<&Vec<i32>>> = BTreeMap::new();
    for (partition, replicas) in current {
        topics.entry(&partition.topic).or_default().push(replicas);
    }
    let mut random = Random::from_seed(client::seed());
    let mut proposed = BTreeMap::new();
    for (topic, partitions) in topics {
        let factor = partitions.first().map_or(0, |replicas| replicas.len() as i32);
        let assigned = assign_replicas(brokers, partitions.len() as i32, factor, None, &mut random)
            .map_err(|error| assignment_error(&error))?;
        proposed.extend(assigned.into_iter().map(|(index, replicas)| (TopicPartition::new(topic, index), replicas)));
    }
    console.line(format_args!("Current partition replica assignment\n{}\n", json::format(current)));
    console.line(format_args!("Proposed partition reassignment configuration\n{}", json::format(&proposed)));
    Ok(())
}

/// Prints the replicas that partitions have before they move.
fn print_current(
    current: &BTreeMap<TopicPartition, Vec<i32>>,
    wanted: &BTreeMap<TopicPartition, Vec<i32>>,
    console: &mut Console<'_>,
) {
    let current = current.iter().filter(|(partition, _)| wanted.contains_key(partition));
    let current = current.map(|(partition, replicas)| (partition.clone(), replicas.clone())).collect();
    console.line(format_args!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during \
         rollback",
        json::format(&current)
    ));
}

fn print_started(wanted: &BTreeMap<TopicPartition, Vec<i32>>, console: &mut Console<'_>) {
    let (plural, partitions) = (plural(wanted.len()), joined(wanted.keys()));
    console.line(format_args!("Successfully started partition reassignment{plural} for {partitions}"));
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
