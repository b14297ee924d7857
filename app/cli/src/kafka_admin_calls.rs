//! The calls of `KafkaAdminClient` that several tools make, with its results.
//!
//! Where the original gives each part of a call a future of its own, a failure of the whole call is that of each part.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_client::{CallOptions, ClientError, To, TopicPartition};
use kafka_proto::messages::{
    alter_partition_reassignments as alter, alter_replica_log_dirs, describe_log_dirs, elect_leaders,
    incremental_alter_configs, list_offset, list_partition_reassignments as list, metadata,
};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use crate::java;
use crate::kafka_admin::{KafkaAdmin, REQUEST_TIMEOUT_MS, mismatched};

/// A time stamp that asks for the end of a partition.
pub(crate) const LATEST: i64 = -1;
/// A time stamp that asks for the start of a partition.
pub(crate) const EARLIEST: i64 = -2;
/// How long to wait before the same is asked again.
const BACKOFF: Duration = Duration::from_millis(100);

/// A reassignment that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reassignment {
    /// All replicas, those that come and go too.
    pub(crate) replicas: Vec<i32>,
    pub(crate) adding: Vec<i32>,
    pub(crate) removing: Vec<i32>,
}

/// What is sent to or set for one topic or broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigChange {
    pub(crate) resource: ConfigResource,
    /// Names and what to set; none deletes.
    pub(crate) configs: Vec<(&'static str, Option<String>)>,
}

/// What has configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConfigResource {
    Topic(String),
    Broker(i32),
}

impl ConfigResource {
    fn code_and_name(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.clone()),
            Self::Broker(id) => (4, id.to_string()),
        }
    }
}

/// A replica: which partition on which broker. Ordered by broker first, as the tools tell them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Replica {
    pub(crate) broker: i32,
    pub(crate) partition: TopicPartition,
}

impl std::fmt::Display for Replica {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.partition, self.broker)
    }
}

/// Where a replica lies, and where it moves to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaLogDir {
    pub(crate) current: Option<String>,
    pub(crate) future: Option<String>,
}

/// What kind of leader is elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElectionType {
    Preferred = 0,
    Unclean = 1,
}

impl std::fmt::Display for ElectionType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Preferred => "PREFERRED",
            Self::Unclean => "UNCLEAN",
        })
    }
}

/// What became of each partition of an election.
pub(crate) type Elected = Vec<(TopicPartition, Result<(), ClientError>)>;

/// What became of each partition of a call.
pub(crate) type Outcomes = BTreeMap<TopicPartition, Result<(), ClientError>>;

impl KafkaAdmin {
    /// `describeCluster().nodes()`, in the original's order.
    pub(crate) fn brokers(&mut self) -> Result<Vec<metadata::Broker>, ClientError> {
        let brokers = self.metadata("listNodes", Some(&[]))?.brokers;
        Ok(java::hash_order_by(brokers, |broker| java::int_hash(&broker.node_id)))
    }

    /// `describeTopics`, partitions in order.
    pub(crate) fn describe_topics(
        &mut self,
        topics: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<metadata::ResponseTopic, ClientError>> {
        let (named, unnamed): (Vec<String>, Vec<String>) = topics.iter().cloned().partition(|topic| !topic.is_empty());
        let mut described: BTreeMap<_, _> = unnamed.into_iter().map(|topic| (topic, Err(unrepresentable()))).collect();
        if named.is_empty() {
            return described;
        }
        match self.metadata("describeTopics", Some(&named)) {
            Ok(response) => described.extend(response.topics.into_iter().map(|mut topic| {
                topic.partitions.sort_by_key(|partition| partition.partition_index);
                (topic.name.to_string(), ClientError::check(topic.error_code).map(|()| topic))
            })),
            Err(error) => described.extend(named.iter().map(|topic| (topic.clone(), Err(error.clone())))),
        }
        for topic in named {
            described.entry(topic).or_insert_with_key(|topic| Err(not_found(topic)));
        }
        described
    }

    /// The offset of the first record of each partition that is not older than `timestamp`; -1 if there is none. See [`LATEST`] and
    /// [`EARLIEST`].
    pub(crate) fn offsets(
        &mut self,
        partitions: &[(String, i32)],
        timestamp: i64,
    ) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
        let end = Instant::now() + self.timeout();
        // A broker refuses to answer twice for a partition.
        let once: BTreeSet<&(String, i32)> = partitions.iter().collect();
        let mut wanted: Vec<(String, i32)> = once.into_iter().cloned().collect();
        let mut offsets = BTreeMap::new();
        while !wanted.is_empty() {
            wanted = self.add_offsets(&wanted, timestamp, &mut offsets)?;
            if !wanted.is_empty() {
                if Instant::now() >= end {
                    let text = "Timed out waiting for a node assignment. Call: metadata".to_owned();
                    return Err(ClientError::Timeout(text));
                }
                std::thread::sleep(BACKOFF);
            }
        }
        Ok(offsets)
    }

    /// Asks the leaders once; gives what must be asked again, of other leaders.
    fn add_offsets(
        &mut self,
        partitions: &[(String, i32)],
        timestamp: i64,
        offsets: &mut BTreeMap<(String, i32), i64>,
    ) -> Result<Vec<(String, i32)>, ClientError> {
        let topics: BTreeSet<&String> = partitions.iter().map(|(topic, _)| topic).collect();
        let topics: Vec<String> = topics.into_iter().cloned().collect();
        let options = CallOptions { try_again: stale_metadata, ..CallOptions::named("metadata") };
        let cluster = self.metadata_with(options, Some(&topics))?;
        let leader = |(topic, index): &(String, i32)| {
            let topic = cluster.topics.iter().find(|described| *described.name == **topic)?;
            topic.partitions.iter().find(|partition| partition.partition_index == *index).map(|found| found.leader_id)
        };
        let mut by_leader: BTreeMap<i32, BTreeMap<&str, Vec<i32>>> = BTreeMap::new();
        for partition in partitions {
            let leader = leader(partition).filter(|leader| *leader >= 0);
            let leader = leader.ok_or(ClientError::Broker { code: ErrorCode::LEADER_NOT_AVAILABLE, message: None })?;
            by_leader.entry(leader).or_default().entry(&partition.0).or_default().push(partition.1);
        }
        let mut again = Vec::new();
        for (leader, topics) in by_leader {
            let request = offsets_request(topics, timestamp);
            let AnyResponse::ListOffset(answer) =
                self.call(&format!("listOffsets on broker {leader}"), To::Node(leader), request)?
            else {
                return Err(mismatched());
            };
            for topic in answer.topics {
                for found in topic.partitions {
                    let partition = (topic.name.to_string(), found.partition_index);
                    if found.error_code.invalidates_metadata() {
                        again.push(partition);
                        continue;
                    }
                    ClientError::check(found.error_code)?;
                    offsets.insert(partition, found.offset);
                }
            }
        }
        Ok(again)
    }

    /// `listPartitionReassignments` of these partitions, or of all.
    pub(crate) fn reassignments(
        &mut self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Reassignment>, ClientError> {
        partitions.into_iter().flatten().try_for_each(check_representable)?;
        let topics = partitions.map(|partitions| {
            by_topic(partitions)
                .into_iter()
                .map(|(name, partition_indexes)| list::RequestTopic { name, partition_indexes })
        });
        let request = list::Request { timeout_ms: REQUEST_TIMEOUT_MS, topics: topics.map(Iterator::collect) };
        let AnyResponse::ListPartitionReassignments(response) =
            self.call("listPartitionReassignments", To::Controller, request)?
        else {
            return Err(mismatched());
        };
        ClientError::check_with(response.error_code, response.error_message.as_ref())?;
        let mut going = BTreeMap::new();
        for topic in response.topics {
            for partition in topic.partitions {
                let (adding, removing) = (partition.adding_replicas, partition.removing_replicas);
                let reassignment = Reassignment { replicas: partition.replicas, adding, removing };
                going.insert(TopicPartition::new(topic.name.clone(), partition.partition_index), reassignment);
            }
        }
        Ok(going)
    }

    /// `alterPartitionReassignments`: replicas that a partition shall have, or none to cancel what goes on.
    pub(crate) fn alter_reassignments(&mut self, wanted: &BTreeMap<TopicPartition, Option<Vec<i32>>>) -> Outcomes {
        let mut outcomes = Outcomes::new();
        let mut topics: BTreeMap<base::Str, Vec<alter::RequestPartition>> = BTreeMap::new();
        for (partition, replicas) in wanted {
            if let Err(error) = check_representable(partition) {
                outcomes.insert(partition.clone(), Err(error));
                continue;
            }
            let (partition_index, replicas) = (partition.partition, replicas.clone());
            topics
                .entry(partition.topic.clone())
                .or_default()
                .push(alter::RequestPartition { partition_index, replicas });
        }
        if topics.is_empty() {
            return outcomes;
        }
        let topics = topics.into_iter().map(|(name, partitions)| alter::RequestTopic { name, partitions }).collect();
        let request = alter::Request { timeout_ms: REQUEST_TIMEOUT_MS, topics };
        let answer =
            self.call("alterPartitionReassignments", To::Controller, request).and_then(|answer| match answer {
                AnyResponse::AlterPartitionReassignments(response) => Ok(response),
                _ => Err(mismatched()),
            });
        match answer {
            Ok(response) => outcomes.extend(altered(response)),
            Err(error) => {
                wanted.keys().for_each(|partition| {
                    outcomes.entry(partition.clone()).or_insert_with(|| Err(error.clone()));
                });
            }
        }
        outcomes
    }

    /// `incrementalAlterConfigs(...).all()`: each broker is told of its own, any of the topics.
    pub(crate) fn change_configs(&mut self, changes: &[ConfigChange]) -> Result<(), ClientError> {
        let mut calls: Vec<(To, AnyRequest)> = Vec::new();
        let mut topics = Vec::new();
        for change in changes {
            match change.resource {
                ConfigResource::Broker(id) => calls.push((To::Node(id), request_of(vec![altered_configs(change)]))),
                ConfigResource::Topic(_) => topics.push(altered_configs(change)),
            }
        }
        if !topics.is_empty() {
            calls.push((To::Any, request_of(topics)));
        }
        for answer in self.call_all("incrementalAlterConfigs", calls) {
            let AnyResponse::IncrementalAlterConfigs(response) = answer? else { return Err(mismatched()) };
            for outcome in response.responses {
                ClientError::check_with(outcome.error_code, outcome.error_message.as_ref())?;
            }
        }
        Ok(())
    }

    /// `describeLogDirs` of all partitions, by broker.
    pub(crate) fn log_dirs(&mut self, brokers: &[i32]) -> Vec<Result<Vec<describe_log_dirs::Outcome>, ClientError>> {
        let all = |id: &i32| (To::Node(*id), describe_log_dirs::Request { topics: None }.into());
        let answers = self.call_all("describeLogDirs", brokers.iter().map(all).collect());
        let described = |answer| match answer {
            AnyResponse::DescribeLogDirs(response) if response.results.is_empty() => {
                Err(ClientError::Broker { code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED, message: None })
            }
            AnyResponse::DescribeLogDirs(response) => Ok(response.results),
            _ => Err(mismatched()),
        };
        answers.into_iter().map(|answer| answer.and_then(described)).collect()
    }

    /// `describeReplicaLogDirs(...).all()`.
    pub(crate) fn replica_log_dirs(
        &mut self,
        replicas: &[Replica],
    ) -> Result<BTreeMap<Replica, ReplicaLogDir>, ClientError> {
        let brokers: BTreeSet<i32> = replicas.iter().map(|replica| replica.broker).collect();
        let request = |id: &i32| {
            let partitions: Vec<TopicPartition> = replicas
                .iter()
                .filter(|replica| replica.broker == *id)
                .map(|replica| replica.partition.clone())
                .collect();
            let topics = by_topic(&partitions)
                .into_iter()
                .map(|(topic, partition_indexes)| describe_log_dirs::RequestTopic { topic, partition_indexes })
                .collect();
            (To::Node(*id), describe_log_dirs::Request { topics: Some(topics) }.into())
        };
        let answers = self.call_all("describeReplicaLogDirs", brokers.iter().map(request).collect());
        let mut found: BTreeMap<Replica, ReplicaLogDir> =
            replicas.iter().map(|replica| (replica.clone(), ReplicaLogDir::default())).collect();
        for (broker, answer) in brokers.into_iter().zip(answers) {
            let AnyResponse::DescribeLogDirs(response) = answer? else { return Err(mismatched()) };
            // A directory that failed tells of no replicas.
            for directory in response.results {
                for topic in &directory.topics {
                    for partition in &topic.partitions {
                        let name = TopicPartition::new(topic.name.clone(), partition.partition_index);
                        let Some(place) = found.get_mut(&Replica { broker, partition: name }) else { continue };
                        let log_dir = Some(directory.log_dir.to_string());
                        *(if partition.is_future_key { &mut place.future } else { &mut place.current }) = log_dir;
                    }
                }
            }
        }
        Ok(found)
    }

    /// `alterReplicaLogDirs`: where each replica shall lie.
    pub(crate) fn move_replicas(
        &mut self,
        wanted: &BTreeMap<Replica, String>,
    ) -> BTreeMap<Replica, Result<(), ClientError>> {
        let brokers: BTreeSet<i32> = wanted.keys().map(|replica| replica.broker).collect();
        let request = |id: &i32| (To::Node(*id), directories(*id, wanted).into());
        let answers = self.call_all("alterReplicaLogDirs", brokers.iter().map(request).collect());
        let mut outcomes = BTreeMap::new();
        for (broker, answer) in brokers.into_iter().zip(answers) {
            let answer = answer.and_then(|answer| match answer {
                AnyResponse::AlterReplicaLogDirs(response) => Ok(response),
                _ => Err(mismatched()),
            });
            match answer {
                Ok(response) => outcomes.extend(response.topics.iter().flat_map(|topic| {
                    topic.partitions.iter().map(move |partition| {
                        let name = TopicPartition::new(topic.topic_name.clone(), partition.partition_index);
                        (Replica { broker, partition: name }, ClientError::check(partition.error_code))
                    })
                })),
                Err(error) => {
                    let of_broker = wanted.keys().filter(|replica| replica.broker == broker);
                    outcomes.extend(of_broker.map(|replica| (replica.clone(), Err(error.clone()))));
                }
            }
        }
        outcomes
    }

    /// `electLeaders` of these partitions, or of all that the election is about, in the order of the original's map.
    pub(crate) fn elect_leaders(
        &mut self,
        election: ElectionType,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Elected, ClientError> {
        let topics = partitions.map(|partitions| {
            let topic = |(topic, partition_indexes)| elect_leaders::RequestTopic { topic, partition_indexes };
            by_topic(partitions).into_iter().map(topic).collect()
        });
        let timeout_ms = self.request_timeout_ms();
        let request = elect_leaders::Request { election_type: election as i8, topics, timeout_ms };
        let answer = self.call_with(CallOptions::named("electLeaders"), To::Controller, request)?;
        let AnyResponse::ElectLeaders(response) = answer else { return Err(mismatched()) };
        ClientError::check(response.error_code)?;
        let mut outcomes = Vec::new();
        for topic in response.topics {
            for partition in topic.partitions {
                let outcome = ClientError::check_with(partition.error_code, partition.error_message.as_ref());
                outcomes.push((TopicPartition::new(topic.topic.clone(), partition.partition_index), outcome));
            }
        }
        Ok(java::hash_order_by(outcomes, |(partition, _)| java::topic_partition_hash(partition)))
    }
}

fn offsets_request(topics: BTreeMap<&str, Vec<i32>>, timestamp: i64) -> list_offset::Request {
    let topics = topics.into_iter().map(|(name, indexes)| list_offset::RequestTopic {
        name: name.into(),
        partitions: indexes
            .into_iter()
            .map(|partition_index| list_offset::RequestPartition { partition_index, timestamp, ..Default::default() })
            .collect(),
    });
    list_offset::Request { replica_id: -1, isolation_level: 0, topics: topics.collect() }
}

/// What makes the original ask for the topics again.
fn stale_metadata(response: &AnyResponse) -> Option<ErrorCode> {
    let AnyResponse::Metadata(response) = response else { return None };
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let codes = response.topics.iter().map(|topic| topic.error_code);
    codes.chain(partitions.map(|partition| partition.error_code)).find(|code| code.invalidates_metadata())
}

fn altered(response: alter::Response) -> Outcomes {
    let top_level = response.error_code;
    let partitions = response.responses.into_iter().flat_map(move |topic| {
        topic.partitions.into_iter().map(move |partition| {
            let outcome = ClientError::check(top_level)
                .and_then(|()| ClientError::check_with(partition.error_code, partition.error_message.as_ref()));
            (TopicPartition::new(topic.name.clone(), partition.partition_index), outcome)
        })
    });
    partitions.collect()
}

fn altered_configs(change: &ConfigChange) -> incremental_alter_configs::Resource {
    let config = |(name, value): &(&'static str, Option<String>)| incremental_alter_configs::Config {
        name: (*name).into(),
        config_operation: i8::from(value.is_none()),
        value: value.as_deref().map(Into::into),
    };
    let (resource_type, name) = change.resource.code_and_name();
    incremental_alter_configs::Resource {
        resource_type,
        resource_name: name.as_str().into(),
        configs: change.configs.iter().map(config).collect(),
    }
}

fn request_of(resources: Vec<incremental_alter_configs::Resource>) -> AnyRequest {
    incremental_alter_configs::Request { resources, validate_only: false }.into()
}

/// What a broker is to move, by directory and topic.
fn directories(broker: i32, wanted: &BTreeMap<Replica, String>) -> alter_replica_log_dirs::Request {
    let mut dirs: BTreeMap<&str, Vec<TopicPartition>> = BTreeMap::new();
    for (replica, path) in wanted.iter().filter(|(replica, _)| replica.broker == broker) {
        dirs.entry(path).or_default().push(replica.partition.clone());
    }
    let topic = |(name, partitions)| alter_replica_log_dirs::RequestTopic { name, partitions };
    let directory = |(path, partitions): (&str, Vec<TopicPartition>)| alter_replica_log_dirs::Directory {
        path: path.into(),
        topics: by_topic(&partitions).into_iter().map(topic).collect(),
    };
    alter_replica_log_dirs::Request { dirs: dirs.into_iter().map(directory).collect() }
}

fn by_topic(partitions: &[TopicPartition]) -> BTreeMap<base::Str, Vec<i32>> {
    let mut topics: BTreeMap<base::Str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic.clone()).or_default().push(partition.partition);
    }
    topics
}

fn check_representable(partition: &TopicPartition) -> Result<(), ClientError> {
    if partition.topic.is_empty() {
        return Err(unrepresentable());
    }
    if partition.partition < 0 {
        return Err(invalid_topic(&format!("The given partition index {} is not valid.", partition.partition)));
    }
    Ok(())
}

fn unrepresentable() -> ClientError {
    invalid_topic("The given topic name '' cannot be represented in a request.")
}

fn invalid_topic(message: &str) -> ClientError {
    ClientError::Broker { code: ErrorCode::INVALID_TOPIC_EXCEPTION, message: Some(message.into()) }
}

fn not_found(topic: &str) -> ClientError {
    let message = format!("Topic {topic} not found.");
    ClientError::Broker { code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message: Some(message.as_str().into()) }
}
