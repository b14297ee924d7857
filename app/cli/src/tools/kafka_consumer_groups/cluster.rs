//! What the brokers are asked about groups, as `KafkaAdminClient` does it.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use kafka_client::{ClientError, To};
use kafka_proto::messages::consumer_protocol::Assignment;
use kafka_proto::messages::{
    delete_groups, describe_groups, list_groups, metadata, offset_commit, offset_delete, offset_fetch,
};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use crate::console::{Stop, Thrown};
use crate::java;
use crate::kafka_admin::{KafkaAdmin, mismatched, thrown, until_brokers_are_known};

const PROTOCOL_TYPE: &str = "consumer";

/// Topic and index of a partition.
pub(super) type Partition = (String, i32);

/// A group as its coordinator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) state: String,
    pub(super) strategy: String,
    /// `host:port (id)` of the coordinator.
    pub(super) coordinator: String,
    pub(super) members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    /// Empty for a dynamic member.
    pub(super) instance_id: String,
    pub(super) client_id: String,
    pub(super) host: String,
    /// In the order of the original's set.
    pub(super) partitions: Vec<Partition>,
}

/// The groups of a cluster.
pub(super) struct Groups {
    admin: KafkaAdmin,
}

impl Groups {
    pub(super) fn connect(servers: &str, command_config: Option<&str>) -> Result<Self, Stop> {
        let admin = KafkaAdmin::new(command_config, &[("bootstrap.servers", servers)])?;
        Ok(Self { admin })
    }

    /// How long each of the following may take.
    pub(super) const fn set_timeout_ms(&mut self, timeout_ms: u64) {
        self.admin.set_timeout_ms(timeout_ms);
    }

    /// The consumer groups in these states, or in all if none is named, each with its state.
    pub(super) fn list(&mut self, states: &[String]) -> Result<Vec<(String, String)>, Thrown> {
        let found = self.admin.metadata_with(until_brokers_are_known("findAllBrokers"), Some(&[]));
        let cluster = found.map_err(|error| {
            let failed = "Failed to find brokers to send ListGroups";
            Thrown::executed(Thrown::new("org.apache.kafka.common.KafkaException", failed).caused_by(thrown(error)))
        })?;
        let states_filter: Vec<Str> = states.iter().map(|state| state.as_str().into()).collect();
        let request = |broker: &metadata::Broker| {
            (To::Node(broker.node_id), list_groups::Request { states_filter: states_filter.clone() }.into())
        };
        let calls = cluster.brokers.iter().map(request).collect();
        let mut groups: Vec<(String, String)> = Vec::new();
        for (broker, answer) in cluster.brokers.iter().zip(self.admin.call_all("listConsumerGroups", calls)) {
            let answer = answer.and_then(|answer| match answer {
                AnyResponse::ListGroups(answer) => ClientError::check(answer.error_code).map(|()| answer),
                _ => Err(mismatched()),
            });
            let listed = answer.map_err(|error| Thrown::executed(list_failed(broker, &error)))?.groups;
            for group in listed.into_iter().filter(|group| is_consumer_group(&group.protocol_type)) {
                groups.retain(|(known, _)| **known != *group.group_id);
                groups.push((group.group_id.to_string(), group.group_state.to_string()));
            }
        }
        Ok(java::hash_order(groups, |(group, _)| group))
    }

    /// Describes groups, each by its coordinator, in the order of the original's maps.
    pub(super) fn describe(&mut self, groups: &[String]) -> Vec<(String, Result<Group, Thrown>)> {
        let groups = ordered_as_futures(groups);
        let request = |group: &String| {
            let groups = vec![group.as_str().into()];
            (to(group), describe_groups::Request { groups, include_authorized_operations: false }.into())
        };
        let calls = groups.iter().map(request).collect();
        let answers = self.admin.call_all("describeConsumerGroups", calls);
        let described = groups.into_iter().zip(answers);
        described
            .map(|(group, answer)| {
                let described = answer.map_err(thrown).and_then(|answer| self.described(&group, answer));
                (group, described)
            })
            .collect()
    }

    fn described(&self, id: &str, answer: AnyResponse) -> Result<Group, Thrown> {
        let AnyResponse::DescribeGroups(answer) = answer else { return Err(thrown(mismatched())) };
        let Some(group) = answer.groups.into_iter().next() else {
            let message = format!("No consumer group found for GroupId: {id}");
            return Err(Thrown::new("org.apache.kafka.common.errors.InvalidGroupIdException", message));
        };
        ClientError::check(group.error_code).map_err(thrown)?;
        if !is_consumer_group(&group.protocol_type) {
            let kind = &group.protocol_type;
            return Err(Thrown::illegal_argument(format!("GroupId {id} is not a consumer group ({kind}).")));
        }
        let coordinator = self.admin.coordinator(id);
        Ok(Group {
            state: group.group_state.to_string(),
            strategy: group.protocol_data.to_string(),
            coordinator: coordinator
                .map_or_else(String::new, |node| format!("{}:{} ({})", node.host, node.port, node.id)),
            members: group.members.iter().map(member).collect::<Result<_, _>>()?,
        })
    }

    /// What a group has committed, in the order of the original's map.
    pub(super) fn committed(&mut self, group: &str) -> Result<Vec<(Partition, i64)>, Thrown> {
        let request = offset_fetch::Request { group_id: group.into(), topics: None, require_stable: false };
        let answer = self.admin.call("listConsumerGroupOffsets", to(group), request);
        let answer = answer.and_then(|answer| match answer {
            AnyResponse::OffsetFetch(answer) => ClientError::check(answer.error_code).map(|()| answer),
            _ => Err(mismatched()),
        });
        let answer = answer.map_err(executed)?;
        let mut committed = Vec::new();
        for topic in answer.topics {
            let known = topic.partitions.iter().filter(|partition| partition.error_code.is_none());
            committed
                .extend(known.map(|known| ((topic.name.to_string(), known.partition_index), known.committed_offset)));
        }
        Ok(java::hash_order_by(committed, |((topic, index), _)| java::partition_hash(topic, *index)))
    }

    /// See [`KafkaAdmin::offsets`].
    pub(super) fn offsets(
        &mut self,
        partitions: &[Partition],
        timestamp: i64,
    ) -> Result<BTreeMap<Partition, i64>, Thrown> {
        self.admin.offsets(partitions, timestamp).map_err(executed)
    }

    /// Commits offsets in the name of a group that has no members.
    pub(super) fn commit(&mut self, group: &str, offsets: &[(Partition, i64)]) -> Result<(), Thrown> {
        let mut topics: BTreeMap<&str, Vec<offset_commit::RequestPartition>> = BTreeMap::new();
        for ((topic, index), offset) in offsets {
            topics.entry(topic).or_default().push(offset_commit::RequestPartition {
                partition_index: *index,
                committed_offset: *offset,
                committed_metadata: Some(Str::EMPTY),
                ..Default::default()
            });
        }
        let topics =
            topics.into_iter().map(|(name, partitions)| offset_commit::RequestTopic { name: name.into(), partitions });
        let request = offset_commit::Request { group_id: group.into(), topics: topics.collect(), ..Default::default() };
        let AnyResponse::OffsetCommit(answer) =
            self.admin.call("commitOffsets", to(group), request).map_err(executed)?
        else {
            return Err(executed(mismatched()));
        };
        let mut failed = Vec::new();
        for topic in answer.topics {
            let bad = topic.partitions.iter().filter(|partition| partition.error_code.is_error());
            failed.extend(bad.map(|bad| (topic.name.to_string(), bad.partition_index, bad.error_code)));
        }
        let failed = java::hash_order_by(failed, |(topic, index, _)| java::partition_hash(topic, *index));
        let Some((.., code)) = failed.first() else { return Ok(()) };
        let names: Vec<String> = failed.iter().map(|(topic, index, _)| format!("{topic}-{index}")).collect();
        let names = names.join(", ");
        let message = format!("Failed altering consumer group offsets for the following partitions: [{names}]");
        Err(Thrown::executed(Thrown::new(code.exception(), message)))
    }

    /// Deletes what a group has committed for partitions.
    pub(super) fn delete_offsets(
        &mut self,
        group: &str,
        partitions: &[Partition],
    ) -> Result<BTreeMap<(Str, i32), ErrorCode>, ClientError> {
        let mut topics: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
        for (topic, index) in partitions {
            topics.entry(topic).or_default().insert(*index);
        }
        let topics = topics.into_iter().map(|(name, indexes)| offset_delete::RequestTopic {
            name: name.into(),
            partitions: indexes
                .into_iter()
                .map(|partition_index| offset_delete::RequestPartition { partition_index })
                .collect(),
        });
        let request = offset_delete::Request { group_id: group.into(), topics: topics.collect() };
        let AnyResponse::OffsetDelete(answer) = self.admin.call("deleteConsumerGroupOffsets", to(group), request)?
        else {
            return Err(mismatched());
        };
        ClientError::check(answer.error_code)?;
        let mut codes = BTreeMap::new();
        for topic in answer.topics {
            codes
                .extend(topic.partitions.iter().map(|one| ((topic.name.clone(), one.partition_index), one.error_code)));
        }
        Ok(codes)
    }

    /// Deletes groups, each by its coordinator.
    pub(super) fn delete(&mut self, groups: &[String]) -> Vec<(String, Result<(), Thrown>)> {
        let groups = ordered_as_futures(groups);
        let request = |group: &String| {
            (to(group), AnyRequest::from(delete_groups::Request { group_names: vec![group.as_str().into()] }))
        };
        let calls = groups.iter().map(request).collect();
        let answers = self.admin.call_all("deleteConsumerGroups", calls);
        let deleted = |answer| match answer {
            AnyResponse::DeleteGroups(answer) => {
                answer.results.iter().try_for_each(|group| ClientError::check(group.error_code))
            }
            _ => Err(mismatched()),
        };
        let outcomes = groups.into_iter().zip(answers);
        outcomes.map(|(group, answer)| (group, answer.and_then(deleted).map_err(executed))).collect()
    }

    /// The partitions of topics.
    pub(super) fn partitions_of(&mut self, topics: &[String]) -> Vec<(String, Result<Vec<i32>, Thrown>)> {
        if topics.is_empty() {
            return Vec::new();
        }
        let mut described = Vec::new();
        let answer = self.admin.metadata("describeTopics", Some(topics));
        for topic in java::hash_order_sized(topics.to_vec(), |topic| topic) {
            let outcome = match &answer {
                Err(error) => Err(error.clone()),
                Ok(answer) => indexes_of(&topic, answer),
            };
            described.push((topic, outcome.map_err(thrown)));
        }
        described
    }
}

fn indexes_of(topic: &str, answer: &metadata::Response) -> Result<Vec<i32>, ClientError> {
    let unknown = || ClientError::Broker { code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message: None };
    let found = answer.topics.iter().find(|found| *found.name == *topic).ok_or_else(unknown)?;
    ClientError::check(found.error_code)?;
    let mut indexes: Vec<i32> = found.partitions.iter().map(|partition| partition.partition_index).collect();
    indexes.sort_unstable();
    Ok(indexes)
}

fn to(group: &str) -> To {
    To::Coordinator(group.into())
}

/// Each group once, in the order in which the original's futures are iterated over.
fn ordered_as_futures(groups: &[String]) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for group in groups {
        if !once.contains(group) {
            once.push(group.clone());
        }
    }
    let hash = |group: &String| java::string_hash(group);
    let set = java::hash_order_copied(16, once, hash);
    java::hash_order_copied(1, java::hash_order_by(set, hash), hash)
}

fn is_consumer_group(protocol_type: &str) -> bool {
    protocol_type == PROTOCOL_TYPE || protocol_type.is_empty()
}

fn member(member: &describe_groups::Member) -> Result<Member, Thrown> {
    let mut partitions: Vec<Partition> = Vec::new();
    if !member.member_assignment.is_empty() {
        let assignment =
            Assignment::from_bytes(&member.member_assignment).map_err(|error| thrown(ClientError::from(error)))?;
        for topic in &assignment.assigned_partitions {
            partitions.extend(topic.partitions.iter().map(|index| (topic.topic.to_string(), *index)));
        }
    }
    Ok(Member {
        id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        partitions: java::hash_order_copied(16, partitions, |(topic, index)| java::partition_hash(topic, *index)),
    })
}

fn list_failed(broker: &metadata::Broker, error: &ClientError) -> Thrown {
    let (host, port, id) = (&broker.host, broker.port, broker.node_id);
    let rack = broker.rack.as_deref().unwrap_or("null");
    Thrown::new(error.exception(), format!("Error listing groups on {host}:{port} (id: {id} rack: {rack}): {error}"))
}

/// What a future of the original throws.
pub(super) fn executed(error: ClientError) -> Thrown {
    Thrown::executed(thrown(error))
}

/// The exception of an error code.
pub(super) fn thrown_by(code: ErrorCode) -> Thrown {
    thrown(ClientError::Broker { code, message: None })
}

/// The code that stands for a client's error.
pub(super) const fn code_of(error: &ClientError) -> ErrorCode {
    match error {
        ClientError::Broker { code, .. } => *code,
        ClientError::Timeout(_) | ClientError::TimedOut { .. } => ErrorCode::REQUEST_TIMED_OUT,
        ClientError::UnsupportedApi(_) | ClientError::Unsupported(_) => ErrorCode::UNSUPPORTED_VERSION,
        _ => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}
