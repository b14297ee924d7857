//! `kafka-topics --zookeeper`: the znodes are read and written here, without asking a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use base::Random;
use config::Properties;
use config::TopicSettings;
use kafka_control::znode::{BrokerRegistration, EntityConfig, ReplicaAssignment, TopicAssignment};
use kafka_control::{AssignmentError, BrokerRack, assign_replicas};

use super::options::{TopicOptions, invalid_config};
use super::{
    NewTopic, PartitionDescription, TopicService, chosen, ensure_found, has_collision_chars, is_internal, print_topic,
};
use crate::console::{Console, Thrown};
use crate::java;
use crate::kafka_zookeeper::{KafkaZookeeper, NODE_EXISTS};
use crate::properties::zookeeper_tls;

const TOPIC_EXISTS: &str = "org.apache.kafka.common.errors.TopicExistsException";
const NAME_LENGTH_MAX: usize = 249;

/// Topics by their znodes.
pub(super) struct ZookeeperTopics {
    zookeeper: KafkaZookeeper,
    random: Random,
}

impl ZookeeperTopics {
    pub(super) fn connect(servers: &str) -> Result<Self, Thrown> {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let tls = zookeeper_tls(&Properties::new()).map_err(Thrown::illegal_argument)?;
        Ok(Self { zookeeper: KafkaZookeeper::connect(servers, tls)?, random: Random::from_seed(seed) })
    }

    fn racks(&mut self, rack_aware: bool) -> Result<Vec<BrokerRack>, Thrown> {
        let brokers = self.zookeeper.brokers()?;
        let with_rack = brokers.values().filter(|broker| broker.rack.is_some()).count();
        if rack_aware && with_rack > 0 && with_rack < brokers.len() {
            return Err(Thrown::admin_operation(
                "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica \
                 assignment without rack information.",
            ));
        }
        let rack = |broker: &BrokerRegistration| broker.rack.clone().filter(|_| rack_aware);
        Ok(brokers.values().map(|broker| BrokerRack { id: broker.id, rack: rack(broker) }).collect())
    }

    fn check_new(&mut self, topic: &str) -> Result<(), Thrown> {
        check_name(topic)?;
        let all = self.zookeeper.topics()?;
        if all.iter().any(|other| other == topic) {
            return Err(exists(topic));
        }
        let plain = |name: &str| name.replace('.', "_");
        let colliding: Vec<String> = all.into_iter().filter(|other| plain(other) == plain(topic)).collect();
        if has_collision_chars(topic) && !colliding.is_empty() {
            let colliding = colliding.join(", ");
            return Err(invalid_topic(format!("Topic '{topic}' collides with existing topics: {colliding}")));
        }
        Ok(())
    }

    fn create_new(&mut self, topic: &NewTopic) -> Result<(), Thrown> {
        let partitions = match &topic.assignment {
            Some(by_hand) => (0..).zip(by_hand.iter().cloned()).collect(),
            None => {
                let brokers = self.racks(topic.rack_aware)?;
                let (partitions, factor) = (topic.partitions.unwrap_or(1), topic.replication_factor.unwrap_or(1));
                assign_replicas(&brokers, partitions, factor, None, &mut self.random)
                    .map_err(|error| assignment_error(&error))?
            }
        };
        self.check_new(&topic.name)?;
        TopicSettings::validate(&topic.configs).map_err(|error| invalid_config(&error))?;
        self.zookeeper.set_entity_config("topics", &topic.name, &EntityConfig(topic.configs.clone()))?;
        let written = self.zookeeper.create_topic(&topic.name, &TopicAssignment::of_replicas(partitions));
        written.map_err(|thrown| {
            if thrown.class == NODE_EXISTS { exists(&topic.name) } else { Thrown::admin_operation(thrown.to_string()) }
        })
    }

    fn alter_configs(&mut self, topic: &str, change: &NewTopic, console: &mut Console<'_>) -> Result<(), Thrown> {
        console.line(
            "WARNING: Altering topic configuration from this script has been deprecated and may be removed in future \
             releases.\n         Going forward, please use kafka-configs.sh for this functionality",
        );
        let mut configs = self.zookeeper.entity_config("topics", topic)?;
        configs.0.extend(change.configs.clone());
        for name in &change.configs_to_delete {
            configs.0.remove(name);
        }
        check_name(topic)?;
        TopicSettings::validate(&configs.0).map_err(|error| invalid_config(&error))?;
        self.zookeeper.change_entity_config("topics", topic, &configs)?;
        console.line(format_args!("Updated config for topic {topic}."));
        Ok(())
    }

    fn add_partitions(
        &mut self,
        topic: &str,
        count: i32,
        change: &NewTopic,
        console: &mut Console<'_>,
    ) -> Result<(), Thrown> {
        if is_internal(topic) {
            return Err(Thrown::illegal_argument(format!(
                "The number of partitions for the internal topic {topic} cannot be changed."
            )));
        }
        console.line(
            "WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the \
             messages will be affected",
        );
        let mut assigned = self.zookeeper.assignment(topic)?.unwrap_or_default();
        let there = assigned.0.len();
        let Some(first) = assigned.0.get(&0).map(|partition| partition.replicas.clone()) else {
            return Err(invalid_topic(format!("The topic {topic} does not exist")));
        };
        let brokers = self.racks(true)?;
        let to_add = i64::from(count) - there as i64;
        if to_add <= 0 {
            return Err(Thrown::new(
                "org.apache.kafka.common.errors.InvalidPartitionsException",
                format!(
                    "The number of partitions for a topic can only be increased. Topic {topic} currently has {there} \
                     partitions, {count} would not be an increase."
                ),
            ));
        }
        let by_hand: BTreeMap<i32, Vec<i32>> =
            (0..).zip(change.assignment.iter().flatten().cloned()).skip(there).collect();
        let added = if by_hand.is_empty() {
            let existing = Some((first.first().copied().unwrap_or(0), there as i32));
            let factor = first.len() as i32;
            assign_replicas(&brokers, to_add as i32, factor, existing, &mut self.random)
                .map_err(|error| assignment_error(&error))?
        } else {
            check_by_hand(&by_hand, first.len(), &brokers)?;
            by_hand
        };
        let settled = |replicas| ReplicaAssignment { replicas, ..ReplicaAssignment::default() };
        assigned.0.extend(added.into_iter().map(|(partition, replicas)| (partition, settled(replicas))));
        self.zookeeper
            .set_assignment(topic, &assigned)
            .map_err(|thrown| Thrown::admin_operation(thrown.to_string()))?;
        console.line("Adding partitions succeeded!");
        Ok(())
    }

    fn describe_one(
        &mut self,
        topic: &str,
        options: &TopicOptions,
        live: &BTreeSet<i32>,
        console: &mut Console<'_>,
    ) -> Result<(), Thrown> {
        let Some(assignment) = self.zookeeper.assignment(topic)? else {
            console.line(format_args!("Topic {topic} doesn't exist!"));
            return Ok(());
        };
        let marked_for_deletion = self.zookeeper.is_marked_for_deletion(topic)?;
        let only_overrides = options.has("topics-with-overrides");
        if options.describes_all() {
            let configs = self.zookeeper.entity_config("topics", topic)?;
            if !only_overrides || !configs.0.is_empty() {
                let factor = assignment.0.values().next().map_or(0, |partition| partition.replicas.len());
                let configs = java::hash_order(configs.0.into_iter().collect(), |(name, _)| name);
                print_topic(topic, assignment.0.len(), factor, &configs, marked_for_deletion, console);
            }
        }
        if only_overrides {
            return Ok(());
        }
        let partitions: Vec<i32> = assignment.0.keys().copied().collect();
        let states = self.zookeeper.states(topic, &partitions)?;
        for ((partition, assigned), state) in assignment.0.iter().zip(&states) {
            let leader = state.as_ref().map(|state| state.leader).filter(|leader| *leader >= 0);
            let isr = state.as_ref().map_or(&[] as &[i32], |state| &state.isr);
            let replicas = &assigned.replicas;
            let described = PartitionDescription {
                topic,
                partition: *partition,
                leader,
                replicas,
                isr,
                min_isr: None,
                reassignment: None,
                marked_for_deletion,
            };
            if described.is_wanted(options, live) {
                described.print(console);
            }
        }
        Ok(())
    }
}

impl TopicService for ZookeeperTopics {
    fn create(&mut self, topic: &NewTopic, console: &mut Console<'_>) -> Result<(), Thrown> {
        match self.create_new(topic) {
            Ok(()) => console.line(format_args!("Created topic {}.", topic.name)),
            Err(thrown) if thrown.class == TOPIC_EXISTS && topic.if_not_exists => {}
            Err(thrown) => return Err(thrown),
        }
        Ok(())
    }

    fn list(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
        for topic in chosen(self.zookeeper.topics()?, options)? {
            let marked = self.zookeeper.is_marked_for_deletion(&topic)?;
            console.line(format_args!("{topic}{}", if marked { " - marked for deletion" } else { "" }));
        }
        Ok(())
    }

    fn alter(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
        let topics = chosen(self.zookeeper.topics()?, options)?;
        let change = options.new_topic(console)?;
        ensure_found(&topics, options)?;
        for topic in &topics {
            if options.alters_configs() {
                self.alter_configs(topic, &change, console)?;
            }
            if let Some(count) = change.partitions {
                self.add_partitions(topic, count, &change, console)?;
            }
        }
        Ok(())
    }

    fn describe(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
        let topics = chosen(self.zookeeper.topics()?, options)?;
        ensure_found(&topics, options)?;
        let live = self.zookeeper.brokers()?.into_keys().collect();
        for topic in &topics {
            self.describe_one(topic, options, &live, console)?;
        }
        Ok(())
    }

    fn delete(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
        let topics = chosen(self.zookeeper.topics()?, options)?;
        ensure_found(&topics, options)?;
        for topic in &topics {
            if is_internal(topic) {
                return Err(Thrown::admin_operation(format!(
                    "Topic {topic} is a kafka internal topic and is not allowed to be marked for deletion."
                )));
            }
            match self.zookeeper.mark_for_deletion(topic) {
                Ok(()) => console.line(format_args!(
                    "Topic {topic} is marked for deletion.\nNote: This will have no impact if delete.topic.enable is \
                     not set to true."
                )),
                Err(thrown) if thrown.class == NODE_EXISTS => {
                    console.line(format_args!("Topic {topic} is already marked for deletion."));
                }
                Err(_) => return Err(Thrown::admin_operation(format!("Error while deleting topic {topic}"))),
            }
        }
        Ok(())
    }
}

/// What is assigned by hand to new partitions must be possible.
fn check_by_hand(by_hand: &BTreeMap<i32, Vec<i32>>, factor: usize, brokers: &[BrokerRack]) -> Result<(), Thrown> {
    let list = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let live: Vec<i32> = brokers.iter().map(|broker| broker.id).collect();
    for (partition, replicas) in by_hand {
        if !replicas.iter().all(|id| live.contains(id)) {
            return Err(Thrown::new(
                "org.apache.kafka.common.errors.BrokerNotAvailableException",
                format!(
                    "Some brokers specified for partition id {partition} are not available. Specified brokers: {}, \
                     available brokers: {}.",
                    list(replicas),
                    list(&live)
                ),
            ));
        }
    }
    let (bad, factors): (Vec<i32>, Vec<i32>) = by_hand
        .iter()
        .filter(|(_, replicas)| replicas.len() != factor)
        .map(|(partition, replicas)| (*partition, replicas.len() as i32))
        .unzip();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Thrown::new(
        "org.apache.kafka.common.errors.InvalidReplicaAssignmentException",
        format!(
            "Inconsistent replication factor between partitions, partition 0 has {factor} while partitions [{}] have \
             replication factors [{}], respectively.",
            list(&bad),
            list(&factors)
        ),
    ))
}

fn check_name(topic: &str) -> Result<(), Thrown> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if topic.is_empty() {
        Err(invalid_topic("Topic name is illegal, it can't be empty"))
    } else if topic == "." || topic == ".." {
        Err(invalid_topic("Topic name cannot be \".\" or \"..\""))
    } else if topic.encode_utf16().count() > NAME_LENGTH_MAX {
        Err(invalid_topic(format!(
            "Topic name is illegal, it can't be longer than {NAME_LENGTH_MAX} characters, topic name: {topic}"
        )))
    } else if !topic.chars().all(legal) {
        Err(invalid_topic(format!(
            "Topic name \"{topic}\" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'"
        )))
    } else {
        Ok(())
    }
}

fn exists(topic: &str) -> Thrown {
    Thrown::new(TOPIC_EXISTS, format!("Topic '{topic}' already exists."))
}

fn invalid_topic(message: impl std::fmt::Display) -> Thrown {
    Thrown::new("org.apache.kafka.common.errors.InvalidTopicException", message)
}

/// The exception of replicas that cannot be assigned.
pub(in crate::tools) fn assignment_error(error: &AssignmentError) -> Thrown {
    let class = match error {
        AssignmentError::Partitions | AssignmentError::TooManyPartitions { .. } => {
            "org.apache.kafka.common.errors.InvalidPartitionsException"
        }
        AssignmentError::ReplicationFactor | AssignmentError::TooFewBrokers { .. } => {
            "org.apache.kafka.common.errors.InvalidReplicationFactorException"
        }
        AssignmentError::Racks => "kafka.admin.AdminOperationException",
    };
    Thrown::new(class, error)
}
