//! Making and growing topics, by znodes (upstream: `AdminZkClient`, `AdminManager`).
//!
//! Any broker may create a topic that a client asked for; the controller sees the znode and gives it leaders.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka_control::znode::{self, EntityConfig, TopicAssignment};
use kafka_control::{AssignmentError, BrokerRack, CreateMode, Failure, Operation, Outcome, Reply, assign_replicas};
use kafka_proto::ErrorCode;

use crate::broker::Broker;
use crate::topic_name;

/// A topic to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    pub(crate) replicas: Replicas,
    pub(crate) configs: BTreeMap<String, String>,
    /// Only check.
    pub(crate) validate_only: bool,
}

/// Where a new topic's replicas go.
#[derive(Clone, Debug)]
pub(crate) enum Replicas {
    /// Wherever the assignment puts them.
    Spread { partitions: i32, factor: i16, racks: RackAwareness },
    /// Where the client said.
    Given(BTreeMap<i32, Vec<i32>>),
}

/// What racks count for where some brokers name one and some do not (upstream: `RackAwareMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RackAwareness {
    /// Nothing: a topic that is made by itself is made all the same.
    Safe,
    /// No assignment can be made.
    Enforced,
}

/// Why a topic was not made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicError {
    pub(crate) code: ErrorCode,
    /// The original's words.
    pub(crate) message: Option<String>,
}

impl TopicError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }
}

impl From<AssignmentError> for TopicError {
    fn from(error: AssignmentError) -> Self {
        let code = match error {
            AssignmentError::Partitions | AssignmentError::TooManyPartitions { .. } => ErrorCode::INVALID_PARTITIONS,
            AssignmentError::ReplicationFactor | AssignmentError::TooFewBrokers { .. } => {
                ErrorCode::INVALID_REPLICATION_FACTOR
            }
            // The original has no code for it, and sends no words with this one.
            AssignmentError::Racks => return Self { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: None },
        };
        Self::new(code, error.to_string())
    }
}

impl NewTopic {
    /// A topic without settings of its own that is made by itself, and whose replicas the broker spreads.
    pub(crate) const fn spread(name: String, partitions: i32, factor: i16) -> Self {
        let replicas = Replicas::Spread { partitions, factor, racks: RackAwareness::Safe };
        Self { name, replicas, configs: BTreeMap::new(), validate_only: false }
    }
}

impl Broker {
    /// Live brokers with their racks.
    fn brokers_with_racks(&self, racks: RackAwareness) -> Vec<BrokerRack> {
        let metadata = self.metadata.read();
        let counts = racks == RackAwareness::Enforced || metadata.brokers.values().all(|broker| broker.rack.is_some());
        let rack = |rack: &Option<String>| rack.clone().filter(|_| counts);
        metadata.brokers.values().map(|broker| BrokerRack { id: broker.id, rack: rack(&broker.rack) }).collect()
    }

    /// Whether no partitions can be added to any topic, which the original finds before it looks at one.
    pub(crate) fn lacks_racks(&self) -> bool {
        let brokers = self.brokers_with_racks(RackAwareness::Enforced);
        let named = brokers.iter().filter(|broker| broker.rack.is_some()).count();
        named > 0 && named < brokers.len()
    }

    /// What the client is not told: some brokers want their `broker.rack`.
    pub(crate) fn tell_of_racks(&self, error: &AssignmentError, what: &str) {
        if *error == AssignmentError::Racks {
            let me = self.id();
            tracing::error!(target: "kafka.server.AdminManager", "[Admin Manager on Broker {me}]: Error processing the {what}: {error}");
        }
    }

    /// Checks a new topic in the original's order, as far as that needs no look at ZooKeeper; gives its assignment.
    pub(crate) fn check_new_topic(&self, new: &NewTopic) -> Result<BTreeMap<i32, Vec<i32>>, TopicError> {
        let assignment = match &new.replicas {
            Replicas::Given(assignment) => assignment.clone(),
            Replicas::Spread { partitions, factor, racks } => {
                let brokers = self.brokers_with_racks(*racks);
                let assigned =
                    self.with_random(|random| assign_replicas(&brokers, *partitions, i32::from(*factor), None, random));
                assigned.inspect_err(|error| self.tell_of_racks(error, &format!("creation of topic {}", new.name)))?
            }
        };
        topic_name::validate(&new.name).map_err(|text| TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, text))?;
        check_assignment(&assignment)?;
        self.check_topic_configs(&new.configs)?;
        Ok(assignment)
    }

    /// Makes a topic; `then` is told when its znodes are written.
    pub(crate) fn create_topic(
        self: &Arc<Self>,
        new: NewTopic,
        then: impl FnOnce(&Arc<Self>, Result<(), TopicError>) + Send + 'static,
    ) {
        let assignment = match self.check_new_topic(&new) {
            Ok(assignment) => assignment,
            Err(error) => return then(self, Err(error)),
        };
        // Names collide with names that were made a moment ago too: ZooKeeper is asked, not the cache.
        let list = Operation::GetChildren { path: znode::TOPICS.to_owned(), watch: false };
        self.ask_zookeeper(vec![list], move |broker, outcomes, _| {
            if let Err(error) = check_collisions(&new.name, outcomes.into_iter().next()) {
                return then(broker, Err(error));
            }
            if new.validate_only {
                return then(broker, Ok(()));
            }
            broker.write_topic(new, assignment, then);
        });
    }

    /// The config first, then the topic, as the original writes them; both in one pipelined batch.
    fn write_topic(
        self: &Arc<Self>,
        new: NewTopic,
        assignment: BTreeMap<i32, Vec<i32>>,
        then: impl FnOnce(&Arc<Self>, Result<(), TopicError>) + Send + 'static,
    ) {
        let config_path = znode::entity_config("topics", &new.name);
        let config = Some(EntityConfig(new.configs).encode());
        let operations = vec![
            // A config may be left of a topic that was deleted half; it is replaced, or else made.
            Operation::SetData { path: config_path.clone(), data: config.clone(), version: -1 },
            Operation::Create { path: config_path, data: config, mode: CreateMode::Persistent },
            Operation::Create {
                path: znode::topic(&new.name),
                data: Some(TopicAssignment::of_replicas(assignment).encode()),
                mode: CreateMode::Persistent,
            },
        ];
        self.ask_zookeeper(operations, move |broker, outcomes, _| {
            let result = match outcomes.into_iter().nth(2) {
                Some(Ok(_)) => Ok(()),
                Some(Err(Failure::NodeExists)) => Err(already_exists(&new.name)),
                Some(Err(failure)) => Err(TopicError::new(ErrorCode::UNKNOWN_SERVER_ERROR, failure.to_string())),
                None => Err(TopicError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: None }),
            };
            then(broker, result);
        });
    }

    /// Adds partitions to a topic until it has `count`; `then` is told the numbers of all its partitions.
    pub(crate) fn add_partitions(
        self: &Arc<Self>,
        name: String,
        count: i32,
        given: Option<Vec<Vec<i32>>>,
        validate_only: bool,
        then: impl FnOnce(&Arc<Self>, Result<i32, TopicError>) + Send + 'static,
    ) {
        let read = Operation::GetData { path: znode::topic(&name), watch: false };
        self.ask_zookeeper(vec![read], move |broker, outcomes, _| {
            let grown = match decode_existing(&name, outcomes.into_iter().next()) {
                Ok(existing) => broker.grow(&name, existing, count, given),
                Err(error) => Err(error),
            };
            let grown = match grown {
                Ok(grown) if validate_only => return then(broker, Ok(grown.0.len() as i32)),
                Ok(grown) => grown,
                Err(error) => return then(broker, Err(error)),
            };
            let partitions = grown.0.len() as i32;
            let write = Operation::SetData { path: znode::topic(&name), data: Some(grown.encode()), version: -1 };
            broker.ask_zookeeper(vec![write], move |broker, outcomes, _| {
                let result = match outcomes.into_iter().next() {
                    Some(Ok(_)) => Ok(partitions),
                    Some(Err(failure)) => Err(TopicError::new(ErrorCode::UNKNOWN_SERVER_ERROR, failure.to_string())),
                    None => Err(TopicError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: None }),
                };
                then(broker, result);
            });
        });
    }

    fn grow(
        &self,
        name: &str,
        mut existing: TopicAssignment,
        count: i32,
        given: Option<Vec<Vec<i32>>>,
    ) -> Result<TopicAssignment, TopicError> {
        let invalid = |text: String| Err(TopicError::new(ErrorCode::INVALID_PARTITIONS, text));
        let old = existing.0.len() as i32;
        if existing.0.values().any(|assignment| !assignment.adding.is_empty() || !assignment.removing.is_empty()) {
            let text = format!("A partition reassignment is in progress for the topic '{name}'.");
            return Err(TopicError::new(ErrorCode::REASSIGNMENT_IN_PROGRESS, text));
        }
        match count.cmp(&old) {
            Ordering::Less => {
                return invalid(format!(
                    "Topic currently has {old} partitions, which is higher than the requested {count}."
                ));
            }
            Ordering::Equal => return invalid(format!("Topic already has {old} partitions.")),
            Ordering::Greater => {}
        }
        let brokers = self.brokers_with_racks(RackAwareness::Enforced);
        let first = existing.0.get(&0).map(|assignment| assignment.replicas.clone()).unwrap_or_default();
        let added = match given {
            Some(given) => check_given(&given, count - old, old, &first, &brokers)?,
            None => {
                let start = Some((first.first().copied().unwrap_or(0), old));
                self.with_random(|random| assign_replicas(&brokers, count - old, first.len() as i32, start, random))?
            }
        };
        existing.0.extend(TopicAssignment::of_replicas(added).0);
        Ok(existing)
    }
}

fn already_exists(name: &str) -> TopicError {
    TopicError::new(ErrorCode::TOPIC_ALREADY_EXISTS, format!("Topic '{name}' already exists."))
}

fn check_collisions(name: &str, outcome: Option<Outcome>) -> Result<(), TopicError> {
    let names = match outcome {
        Some(Ok(Reply::Children(names))) => names,
        Some(Err(failure)) => return Err(TopicError::new(ErrorCode::UNKNOWN_SERVER_ERROR, failure.to_string())),
        _ => return Err(TopicError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: None }),
    };
    if names.iter().any(|other| other == name) {
        return Err(already_exists(name));
    }
    if topic_name::has_collision_chars(name) {
        let colliding: Vec<&str> =
            names.iter().map(String::as_str).filter(|other| topic_name::collide(name, other)).collect();
        if !colliding.is_empty() {
            let text = format!("Topic '{name}' collides with existing topics: {}", colliding.join(", "));
            return Err(TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, text));
        }
    }
    Ok(())
}

fn check_assignment(assignment: &BTreeMap<i32, Vec<i32>>) -> Result<(), TopicError> {
    let invalid = |text: String| Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
    let sizes: BTreeSet<usize> = assignment.values().map(Vec::len).collect();
    if sizes.len() != 1 {
        return invalid("All partitions should have the same number of replicas".to_owned());
    }
    for replicas in assignment.values() {
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            return invalid(format!("Duplicate replica assignment found: {}", scala_map(assignment)));
        }
    }
    if !assignment.keys().copied().eq(0..assignment.len() as i32) {
        return invalid("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(())
}

/// As the original's message shows an assignment.
fn scala_map(assignment: &BTreeMap<i32, Vec<i32>>) -> String {
    let join = |ids: &[i32]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let entries = assignment.iter().map(|(partition, ids)| format!("{partition} -> ArrayBuffer({})", join(ids)));
    format!("HashMap({})", entries.collect::<Vec<_>>().join(", "))
}

fn decode_existing(name: &str, outcome: Option<Outcome>) -> Result<TopicAssignment, TopicError> {
    match outcome {
        Some(Ok(Reply::Data(content, _))) => TopicAssignment::decode(name, content.as_deref().unwrap_or_default())
            .map_err(|error| TopicError::new(ErrorCode::UNKNOWN_SERVER_ERROR, error.to_string())),
        Some(Err(Failure::NoNode)) => {
            let text = format!("The topic '{name}' does not exist.");
            Err(TopicError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, text))
        }
        Some(Err(failure)) => Err(TopicError::new(ErrorCode::UNKNOWN_SERVER_ERROR, failure.to_string())),
        _ => Err(TopicError { code: ErrorCode::UNKNOWN_SERVER_ERROR, message: None }),
    }
}

fn check_given(
    given: &[Vec<i32>],
    wanted: i32,
    old: i32,
    first: &[i32],
    brokers: &[BrokerRack],
) -> Result<BTreeMap<i32, Vec<i32>>, TopicError> {
    let invalid = |text: String| Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, text));
    let join = |ids: &mut dyn Iterator<Item = i32>| ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
    let is_known = |id: &i32| brokers.iter().any(|broker| broker.id == *id);
    let unknown: BTreeSet<i32> = given.iter().flatten().copied().filter(|id| !is_known(id)).collect();
    if !unknown.is_empty() {
        return invalid(format!("Unknown broker(s) in replica assignment: {}.", join(&mut unknown.into_iter())));
    }
    if given.len() as i32 != wanted {
        let count = given.len();
        return invalid(format!("Increasing the number of partitions by {wanted} but {count} assignments provided."));
    }
    let numbered: BTreeMap<i32, Vec<i32>> = (old..).zip(given.iter().cloned()).collect();
    for (partition, replicas) in &numbered {
        if replicas.is_empty() {
            return invalid(format!("Cannot have replication factor of 0 for partition id {partition}."));
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            let ids = join(&mut replicas.iter().copied());
            return invalid(format!(
                "Duplicate brokers not allowed in replica assignment: {ids} for partition id {partition}."
            ));
        }
    }
    let bad: Vec<(&i32, &Vec<i32>)> = numbered.iter().filter(|(_, replicas)| replicas.len() != first.len()).collect();
    if !bad.is_empty() {
        let partitions = join(&mut bad.iter().map(|(partition, _)| **partition));
        let factors = join(&mut bad.iter().map(|(_, replicas)| replicas.len() as i32));
        return invalid(format!(
            "Inconsistent replication factor between partitions, partition 0 has {} while partitions [{partitions}] have \
             replication factors [{factors}], respectively.",
            first.len()
        ));
    }
    Ok(numbered)
}
