//! `kafka-reassign-partitions --zookeeper`: the znodes are read and written here. What the brokers know of moves does not
//! show.

use std::collections::BTreeMap;

use config::Properties;
use kafka_client::TopicPartition;
use kafka_control::BrokerRack;
use kafka_control::znode::{PartitionReassignment, WantedReplicas};

use super::json::{Parts, Wanted, joined, scala_list};
use super::options::ReassignOptions;
use super::{
    ALREADY_GOING, Failure, RUN_VERIFY, State, json, print_current, print_started, print_states, throttles, to_generate,
};
use crate::console::{Console, Thrown};
use crate::java;
use crate::json::read_file_as_string;
use crate::kafka_admin_calls::{ConfigChange, ConfigResource};
use crate::kafka_zookeeper::KafkaZookeeper;
use crate::properties::zookeeper_tls;

pub(super) fn execute(options: &ReassignOptions, console: &mut Console<'_>) -> Result<(), Failure> {
    console.line("Warning: --zookeeper is deprecated, and will be removed in a future version of Kafka.");
    let tls = zookeeper_tls(&Properties::new()).map_err(Thrown::illegal_argument)?;
    let mut zookeeper = KafkaZookeeper::connect(options.value("zookeeper")?, tls)?;
    match options.action {
        "verify" => verify(&mut zookeeper, options, console),
        "generate" => generate(&mut zookeeper, options, console),
        _ => start(&mut zookeeper, options, console),
    }
}

fn verify(zookeeper: &mut KafkaZookeeper, options: &ReassignOptions, console: &mut Console<'_>) -> Result<(), Failure> {
    let wanted = json::assignment(&read_file_as_string(options.value("reassignment-json-file")?)?)?;
    check_no_log_dirs(&wanted)?;
    console.line(
        "Warning: because you are using the deprecated --zookeeper option, the results may be incomplete.  Use \
         --bootstrap-server instead for more accurate results.",
    );
    let going = zookeeper.reassignment()?.0;
    let current = assignment(zookeeper, wanted.parts.iter().map(|(partition, _)| partition))?;
    let mut states = BTreeMap::new();
    for (partition, replicas) in &wanted.parts {
        let is_going = going.iter().any(|one| *one.topic == *partition.topic && one.partition == partition.partition);
        let replicas_now = || current.get(partition).cloned().unwrap_or_default();
        let state = if is_going { State::Moving } else { State::Settled(replicas_now()) };
        states.insert(partition.clone(), (state, replicas.clone()));
    }
    print_states(&states, console);
    if going.is_empty() && !options.has("preserve-throttles") {
        let live = zookeeper.brokers()?.into_keys().collect();
        throttles::clear(live, &wanted.parts, console, |changes| change_configs(zookeeper, changes))?;
    }
    Ok(())
}

fn generate(
    zookeeper: &mut KafkaZookeeper,
    options: &ReassignOptions,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let (brokers, topics) = to_generate(options)?;
    let mut current = BTreeMap::new();
    for topic in topics {
        current.extend(assignment_of(zookeeper, &topic)?);
    }
    let rack_aware = !options.has("disable-rack-aware");
    let live = zookeeper.brokers()?.into_values().filter(|broker| brokers.contains(&broker.id));
    let racks: Vec<BrokerRack> =
        live.map(|broker| BrokerRack { id: broker.id, rack: broker.rack.filter(|_| rack_aware) }).collect();
    Ok(super::generate(&current, &racks, console)?)
}

fn start(zookeeper: &mut KafkaZookeeper, options: &ReassignOptions, console: &mut Console<'_>) -> Result<(), Failure> {
    let file = read_file_as_string(options.value("reassignment-json-file")?)?;
    let throttle = options.number("throttle")?;
    let wanted = json::executable(&file)?;
    check_no_log_dirs(&wanted)?;
    let ordered = java::scala_order(wanted.parts, |(partition, _)| java::topic_partition_hash(partition));
    let current = assignment(zookeeper, ordered.iter().map(|(partition, _)| partition))?;
    check_partitions_and_brokers(zookeeper, &ordered, &current)?;
    if zookeeper.exists(kafka_control::znode::REASSIGN_PARTITIONS)? {
        return Err(Failure::Terse(ALREADY_GOING.to_owned()));
    }
    let parts: BTreeMap<TopicPartition, Vec<i32>> = ordered.iter().cloned().collect();
    print_current(&current, &parts, console);
    if throttle >= 0 {
        console.line(RUN_VERIFY);
        let moves = throttles::moves(&BTreeMap::new(), &parts, &current);
        change_configs(zookeeper, &throttles::topic_throttles(&moves))?;
        change_configs(zookeeper, &throttles::broker_throttles(&moves, throttle))?;
        console.line(format_args!("The inter-broker throttle limit was set to {throttle} B/s"));
    }
    let entry = |(partition, replicas): (TopicPartition, Vec<i32>)| WantedReplicas {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        replicas,
    };
    zookeeper.create_reassignment(&PartitionReassignment(ordered.into_iter().map(entry).collect()))?;
    print_started(&parts, console);
    Ok(())
}

fn check_no_log_dirs(wanted: &Wanted) -> Result<(), Thrown> {
    if wanted.log_dirs.is_empty() {
        return Ok(());
    }
    Err(Thrown::command_failed("bootstrap-server needs to be provided when replica reassignments are present."))
}

/// ZooKeeper takes anything: what is asked for must be there.
fn check_partitions_and_brokers(
    zookeeper: &mut KafkaZookeeper,
    parts: &Parts,
    current: &BTreeMap<TopicPartition, Vec<i32>>,
) -> Result<(), Thrown> {
    let missing: Vec<_> = parts.iter().map(|(part, _)| part).filter(|part| !current.contains_key(part)).collect();
    if !missing.is_empty() {
        let missing = scala_list(&missing);
        return Err(Thrown::command_failed(format!(
            "The proposed assignment contains non-existent partitions: {missing}"
        )));
    }
    let live = zookeeper.brokers()?;
    let missing = parts.iter().flat_map(|(_, replicas)| replicas).copied().filter(|id| !live.contains_key(id));
    let missing = java::scala_set(missing, java::int_hash);
    if !missing.is_empty() {
        let missing = joined(&missing);
        return Err(Thrown::command_failed(format!(
            "The proposed assignment contains non-existent brokerIDs: {missing}"
        )));
    }
    Ok(())
}

/// The replicas of all partitions of the topics that these belong to.
fn assignment<'a>(
    zookeeper: &mut KafkaZookeeper,
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Result<BTreeMap<TopicPartition, Vec<i32>>, Thrown> {
    let mut current: BTreeMap<TopicPartition, Vec<i32>> = BTreeMap::new();
    let topics: std::collections::BTreeSet<&str> = partitions.map(|partition| &*partition.topic).collect();
    for topic in topics {
        current.extend(assignment_of(zookeeper, topic)?);
    }
    Ok(current)
}

fn assignment_of(
    zookeeper: &mut KafkaZookeeper,
    topic: &str,
) -> Result<impl Iterator<Item = (TopicPartition, Vec<i32>)>, Thrown> {
    let assigned = zookeeper.assignment(topic)?.unwrap_or_default().0.into_iter();
    let topic = base::Str::from(topic);
    Ok(assigned.map(move |(index, assigned)| (TopicPartition::new(topic.clone(), index), assigned.replicas)))
}

/// Sets and deletes configs, and tells the brokers; what has nothing to delete stays as it is.
fn change_configs(zookeeper: &mut KafkaZookeeper, changes: &[ConfigChange]) -> Result<(), Failure> {
    for change in changes {
        let (kind, name) = match &change.resource {
            ConfigResource::Topic(name) => ("topics", name.clone()),
            ConfigResource::Broker(id) => ("brokers", id.to_string()),
        };
        let mut configs = zookeeper.entity_config(kind, &name)?;
        let mut is_changed = false;
        for (key, value) in &change.configs {
            is_changed |= match value {
                Some(value) => {
                    configs.0.insert((*key).to_owned(), value.clone());
                    true
                }
                None => configs.0.remove(*key).is_some(),
            };
        }
        if is_changed {
            zookeeper.change_entity_config(kind, &name, &configs)?;
        }
    }
    Ok(())
}
