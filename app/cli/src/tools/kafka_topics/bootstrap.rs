//! `kafka-topics --bootstrap-server`: the brokers are asked, through the admin client.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use kafka_client::{ClientError, To, TopicPartition};
use kafka_proto::messages::{create_partitions, create_topics, delete_topics, describe_configs, metadata};
use kafka_proto::{AnyResponse, ErrorCode};

use super::options::TopicOptions;
use super::{NewTopic, PartitionDescription, TopicService, chosen, ensure_found, print_topic, replication_factor};
use crate::console::{Console, Stop, Thrown};
use crate::java;
use crate::kafka_admin::{KafkaAdmin, REQUEST_TIMEOUT_MS, mismatched, thrown};
use crate::kafka_admin_calls::Reassignment;

/// A resource of this type is a topic.
const TOPIC_RESOURCE: i8 = 2;
/// A config from this source is the default of the software.
const DEFAULT_CONFIG: i8 = 5;
const FACTOR_MAX: i32 = i16::MAX as i32;

type Reassignments = BTreeMap<TopicPartition, Reassignment>;

/// Topics through the brokers.
pub(super) struct AdminTopics {
    admin: KafkaAdmin,
}

/// A config of a topic: its name, its value and whether it is the software's default.
struct TopicConfig {
    name: String,
    value: Option<String>,
    is_default: bool,
}

impl AdminTopics {
    pub(super) fn connect(options: &TopicOptions) -> Result<Self, Stop> {
        let (servers, command_config) = options.brokers()?;
        let admin = KafkaAdmin::new(command_config.as_deref(), &[("bootstrap.servers", &servers)])?;
        Ok(Self { admin })
    }

    /// All topics that the options mean, sorted.
    fn topics(&mut self, options: &TopicOptions) -> Result<Vec<String>, Thrown> {
        let response = self.admin.metadata("listTopics", None).map_err(thrown)?;
        let exclude_internal = options.has("exclude-internal");
        let listed = response.topics.iter().filter(|topic| !(exclude_internal && topic.is_internal));
        let mut names: Vec<String> = listed.map(|topic| topic.name.to_string()).collect();
        names.sort();
        chosen(names, options)
    }

    /// The same; one that was asked for by name must be there.
    fn topics_found(&mut self, options: &TopicOptions) -> Result<Vec<String>, Thrown> {
        let topics = self.topics(options)?;
        ensure_found(&topics, options)?;
        Ok(topics)
    }

    fn describe_topics(&mut self, topics: &[String]) -> Result<metadata::Response, ClientError> {
        let response = self.admin.metadata("describeTopics", Some(topics))?;
        response.topics.iter().try_for_each(|topic| ClientError::check(topic.error_code))?;
        Ok(response)
    }

    /// The configs of each topic, in the order in which the original keeps them.
    fn configs(&mut self, topics: &[String]) -> Result<BTreeMap<Str, Vec<TopicConfig>>, ClientError> {
        let resource = |topic: &String| describe_configs::Resource {
            resource_type: TOPIC_RESOURCE,
            resource_name: topic.as_str().into(),
            configuration_keys: None,
        };
        let request = describe_configs::Request {
            resources: topics.iter().map(resource).collect(),
            ..describe_configs::Request::default()
        };
        let AnyResponse::DescribeConfigs(response) = self.admin.call("describeConfigs", To::Any, request)? else {
            return Err(mismatched());
        };
        let mut configs = BTreeMap::new();
        for outcome in response.results {
            ClientError::check_with(outcome.error_code, outcome.error_message.as_ref())?;
            let entries = outcome.configs.iter().map(|config| TopicConfig {
                name: config.name.to_string(),
                value: config.value.as_ref().map(ToString::to_string),
                is_default: config.is_default || config.config_source == DEFAULT_CONFIG,
            });
            configs.insert(outcome.resource_name, java::hash_order(entries.collect(), |entry| &entry.name));
        }
        Ok(configs)
    }

    /// The reassignments that go on; none where the broker tells nothing of them.
    fn reassignments(&mut self, topics: &[metadata::ResponseTopic]) -> Result<Reassignments, ClientError> {
        let of = |topic: &metadata::ResponseTopic| {
            let name = topic.name.clone();
            let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
            indexes.into_iter().map(move |index| TopicPartition::new(name.clone(), index))
        };
        let partitions: Vec<TopicPartition> = topics.iter().flat_map(of).collect();
        match self.admin.reassignments(Some(&partitions)) {
            Err(ClientError::UnsupportedApi(_) | ClientError::Unsupported(_)) => Ok(Reassignments::new()),
            Err(ClientError::Broker { code, .. })
                if [ErrorCode::CLUSTER_AUTHORIZATION_FAILED, ErrorCode::UNSUPPORTED_VERSION].contains(&code) =>
            {
                Ok(Reassignments::new())
            }
            result => result,
        }
    }
}

impl TopicService for AdminTopics {
    fn create(&mut self, topic: &NewTopic, console: &mut Console<'_>) -> Result<(), Thrown> {
        if topic.replication_factor.is_some_and(|factor| !(1..=FACTOR_MAX).contains(&factor)) {
            return Err(Thrown::illegal_argument(format!(
                "The replication factor must be between 1 and {FACTOR_MAX} inclusive"
            )));
        }
        if topic.partitions.is_some_and(|partitions| partitions < 1) {
            return Err(Thrown::illegal_argument("The partitions must be greater than 0"));
        }
        let request = create_topics::Request {
            topics: vec![creatable(topic)],
            timeout_ms: REQUEST_TIMEOUT_MS,
            validate_only: false,
        };
        let AnyResponse::CreateTopics(response) =
            self.admin.call("createTopics", To::Controller, request).map_err(thrown)?
        else {
            return Err(thrown(mismatched()));
        };
        for created in &response.topics {
            if created.error_code == ErrorCode::TOPIC_ALREADY_EXISTS && topic.if_not_exists {
                return Ok(());
            }
            ClientError::check_with(created.error_code, created.error_message.as_ref()).map_err(thrown)?;
        }
        console.line(format_args!("Created topic {}.", topic.name));
        Ok(())
    }

    fn list(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
        console.line(self.topics(options)?.join("\n"));
        Ok(())
    }

    fn alter(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
        let change = options.new_topic(console)?;
        let topics = self.topics_found(options)?;
        if topics.is_empty() {
            return Ok(());
        }
        let described = self.describe_topics(&topics).map_err(thrown)?;
        let count = change.partitions.unwrap_or_default();
        let larger = |topic: &metadata::ResponseTopic| create_partitions::RequestTopic {
            name: topic.name.clone(),
            count,
            assignments: change.assignment.as_ref().map(|by_hand| {
                let added = by_hand.iter().skip(topic.partitions.len());
                added.map(|replicas| create_partitions::Assignment { broker_ids: replicas.clone() }).collect()
            }),
        };
        let request = create_partitions::Request {
            topics: described.topics.iter().map(larger).collect(),
            timeout_ms: REQUEST_TIMEOUT_MS,
            validate_only: false,
        };
        match self.admin.call("createPartitions", To::Controller, request).map_err(thrown)? {
            AnyResponse::CreatePartitions(response) => response.results.iter().try_for_each(|outcome| {
                ClientError::check_with(outcome.error_code, outcome.error_message.as_ref()).map_err(thrown)
            }),
            _ => Err(thrown(mismatched())),
        }
    }

    fn describe(&mut self, options: &TopicOptions, console: &mut Console<'_>) -> Result<(), Thrown> {
        let topics = self.topics_found(options)?;
        if topics.is_empty() {
            return Ok(());
        }
        let described = self.describe_topics(&topics).map_err(thrown)?;
        let live: BTreeSet<i32> = described.brokers.iter().map(|broker| broker.node_id).collect();
        let going = self.reassignments(&described.topics).map_err(thrown)?;
        let configs = self.configs(&topics).map_err(thrown)?;
        let mut by_name = described.topics;
        by_name.sort_by(|one, other| one.name.cmp(&other.name));
        for mut topic in java::hash_order_sized(by_name, |topic| &topic.name) {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
            let configs = configs.get(&topic.name).map_or(&[] as &[TopicConfig], Vec::as_slice);
            describe_one(&topic, configs, &going, &live, options, console);
        }
        Ok(())
    }

    fn delete(&mut self, options: &TopicOptions, _console: &mut Console<'_>) -> Result<(), Thrown> {
        let topics = self.topics_found(options)?;
        if topics.is_empty() {
            return Ok(());
        }
        let topic_names = topics.iter().map(|topic| topic.as_str().into()).collect();
        let request = delete_topics::Request { topic_names, timeout_ms: REQUEST_TIMEOUT_MS };
        match self.admin.call("deleteTopics", To::Controller, request).map_err(thrown)? {
            AnyResponse::DeleteTopics(response) => response.responses.iter().try_for_each(|outcome| {
                ClientError::check_with(outcome.error_code, outcome.error_message.as_ref()).map_err(thrown)
            }),
            _ => Err(thrown(mismatched())),
        }
    }
}

/// A topic as it is asked for; -1 leaves a number to the broker.
fn creatable(topic: &NewTopic) -> create_topics::RequestTopic {
    let by_hand = topic.assignment.iter().flatten();
    let assignment = |(partition_index, replicas): (i32, &Vec<i32>)| create_topics::Assignment {
        partition_index,
        broker_ids: replicas.clone(),
    };
    let config = |(name, value): (&String, &String)| create_topics::RequestConfig {
        name: name.as_str().into(),
        value: Some(value.as_str().into()),
    };
    let factor = topic.replication_factor.and_then(|factor| i16::try_from(factor).ok());
    create_topics::RequestTopic {
        name: topic.name.as_str().into(),
        num_partitions: topic.partitions.unwrap_or(-1),
        replication_factor: factor.unwrap_or(-1),
        assignments: (0..).zip(by_hand).map(assignment).collect(),
        configs: topic.configs.iter().map(config).collect(),
    }
}

fn describe_one(
    topic: &metadata::ResponseTopic,
    configs: &[TopicConfig],
    going: &Reassignments,
    live: &BTreeSet<i32>,
    options: &TopicOptions,
    console: &mut Console<'_>,
) {
    let reassignment = |partition: &metadata::ResponsePartition| {
        going.get(&TopicPartition::new(topic.name.clone(), partition.partition_index))
    };
    let only_overrides = options.has("topics-with-overrides");
    let set: Vec<(String, String)> = configs.iter().filter(|config| !config.is_default).map(shown).collect();
    if options.describes_all() && (!only_overrides || !set.is_empty()) {
        let first = topic.partitions.first();
        let factor = first.map_or(0, |first| replication_factor(&first.replica_nodes, reassignment(first)));
        print_topic(&topic.name, topic.partitions.len(), factor, &set, false, console);
    }
    if only_overrides {
        return;
    }
    let min_isr = configs.iter().find(|config| config.name == "min.insync.replicas");
    let min_isr = min_isr.and_then(|config| config.value.as_ref()?.parse().ok());
    for partition in &topic.partitions {
        let description = PartitionDescription {
            topic: &topic.name,
            partition: partition.partition_index,
            leader: Some(partition.leader_id).filter(|leader| live.contains(leader)),
            replicas: &partition.replica_nodes,
            isr: &partition.isr_nodes,
            min_isr,
            reassignment: reassignment(partition),
            marked_for_deletion: false,
        };
        if description.is_wanted(options, live) {
            description.print(console);
        }
    }
}

/// A config with its value; what the broker keeps secret is shown as the original shows it.
fn shown(config: &TopicConfig) -> (String, String) {
    (config.name.clone(), config.value.clone().unwrap_or_else(|| "null".to_owned()))
}
