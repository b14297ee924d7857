//! Metadata (key 3, versions 0 to 9): brokers and topics as this broker knows them, and the creation of topics that are asked
//! for by name.
//!
//! Kept of the original: version 0 reads an empty list as "all topics" and fails where a replica's broker is gone; up to
//! version 5 a leader without the client's listener is LEADER_NOT_AVAILABLE, from 6 LISTENER_NOT_FOUND; a topic that is just
//! being created answers LEADER_NOT_AVAILABLE, and the client asks again.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use kafka_control::PartitionState;
use kafka_proto::ErrorCode;
use kafka_proto::messages::metadata::{Broker as Node, Request, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::gather::Gather;
use crate::metadata::{GROUP_METADATA_TOPIC, Metadata, is_internal};
use crate::topics::{NewTopic, TopicError};

/// How a version wants to be told of what is missing.
#[derive(Clone)]
struct Manner {
    version: i16,
    listener: String,
    cluster_operations: bool,
    topic_operations: bool,
}

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let manner = Manner {
        version: context.version,
        listener: context.client.listener_name.clone(),
        cluster_operations: request.include_cluster_authorized_operations,
        topic_operations: request.include_topic_authorized_operations,
    };
    let wanted = match request.topics {
        Some(topics) if context.version > 0 || !topics.is_empty() => {
            let mut seen = BTreeSet::new();
            Some(
                topics.into_iter().map(|topic| topic.name).filter(|name| seen.insert(name.clone())).collect::<Vec<_>>(),
            )
        }
        _ => None,
    };
    let mut topics = Vec::new();
    let mut missing = Vec::new();
    {
        let metadata = context.broker.metadata.read();
        match wanted {
            None => {
                topics.extend(metadata.topics().map(|(name, partitions)| topic(&metadata, name, partitions, &manner)));
            }
            Some(names) => {
                for name in names {
                    match metadata.topic(&name) {
                        Some(partitions) => topics.push(topic(&metadata, &name, partitions, &manner)),
                        None => missing.push(name),
                    }
                }
            }
        }
    }
    if missing.is_empty() {
        return answer.send(&response(context.broker, topics, &manner));
    }
    // Up to version 3 a client can't say; it wants the topic.
    let allowed = context.version < 4 || request.allow_auto_topic_creation;
    create_missing(context, missing, allowed, topics, manner, answer);
}

/// Creates what may be created, and answers when the znodes are written: the leader comes later.
fn create_missing(
    context: &Context<'_>,
    missing: Vec<Str>,
    allowed: bool,
    topics: Vec<ResponseTopic>,
    manner: Manner,
    answer: Answer,
) {
    let enabled = allowed && context.broker.settings().topics.auto_create;
    let broker = context.broker.clone();
    let gather = Gather::new(topics, move |topics| answer.send(&response(&broker, topics, &manner)));
    // No controller has told anything since the start: the topic may well exist, and the client is to ask again.
    let knows_nothing = context.broker.metadata.read().brokers.is_empty();
    for name in missing {
        if knows_nothing {
            gather.add(failed(&name, ErrorCode::LEADER_NOT_AVAILABLE));
            continue;
        }
        if !enabled && !is_internal(&name) {
            gather.add(failed(&name, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
            continue;
        }
        match context.broker.automatic_topic(&name) {
            Err(error) => gather.add(failed(&name, error)),
            Ok(new) => {
                let gather = gather.clone();
                context.broker.create_topic(new, move |_, result| {
                    let error = match result {
                        Ok(()) => ErrorCode::LEADER_NOT_AVAILABLE,
                        Err(TopicError { code: ErrorCode::TOPIC_ALREADY_EXISTS, .. }) => {
                            ErrorCode::LEADER_NOT_AVAILABLE
                        }
                        Err(error) => error.code,
                    };
                    gather.add(failed(&name, error));
                });
            }
        }
    }
}

impl Broker {
    /// The topic that is made when a client asks for one that does not exist.
    pub(crate) fn automatic_topic(&self, name: &Str) -> Result<NewTopic, ErrorCode> {
        let settings = self.settings();
        if !is_internal(name) {
            let factor = i16::try_from(settings.topics.replication_factor).unwrap_or(i16::MAX);
            return Ok(NewTopic::spread(name.to_string(), settings.topics.partitions, factor));
        }
        let (partitions, factor) = match name.as_str() {
            GROUP_METADATA_TOPIC => (settings.offsets.topic_partitions, settings.offsets.topic_replication_factor),
            _ => (settings.transactions.topic_partitions, settings.transactions.topic_replication_factor),
        };
        let live = self.metadata.read().brokers.len();
        if live < usize::try_from(factor).unwrap_or(0) {
            return Err(ErrorCode::INVALID_REPLICATION_FACTOR);
        }
        Ok(NewTopic {
            configs: self.internal_topic_configs(name),
            ..NewTopic::spread(name.to_string(), partitions, factor)
        })
    }
}

fn response(broker: &Broker, mut topics: Vec<ResponseTopic>, manner: &Manner) -> Response {
    if manner.topic_operations {
        for topic in &mut topics {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let metadata = broker.metadata.read();
    let nodes = metadata.brokers.iter().filter_map(|(id, registration)| {
        let endpoint = metadata.endpoint(*id, &manner.listener)?;
        let rack = registration.rack.as_deref().map(Str::from);
        Some(Node { node_id: *id, host: Str::from(endpoint.host.as_str()), port: endpoint.port, rack })
    });
    Response {
        brokers: nodes.collect(),
        cluster_id: broker.cluster_id().map(Str::from),
        controller_id: metadata.controller.unwrap_or(-1),
        topics,
        cluster_authorized_operations: if manner.cluster_operations { CLUSTER_OPERATIONS } else { i32::MIN },
        ..Response::default()
    }
}

/// Without an authorizer everything is allowed: bits of Read, Write, Create, Delete, Alter, Describe, DescribeConfigs,
/// AlterConfigs (KIP-430).
const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

/// Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite.
const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

fn failed(name: &Str, error_code: ErrorCode) -> ResponseTopic {
    ResponseTopic { error_code, name: name.clone(), is_internal: is_internal(name), ..ResponseTopic::default() }
}

fn topic(
    metadata: &Metadata,
    name: &Str,
    partitions: &BTreeMap<i32, PartitionState>,
    manner: &Manner,
) -> ResponseTopic {
    ResponseTopic {
        name: name.clone(),
        is_internal: is_internal(name),
        partitions: partitions.iter().map(|(number, state)| partition(metadata, *number, state, manner)).collect(),
        ..ResponseTopic::default()
    }
}

fn partition(metadata: &Metadata, number: i32, state: &PartitionState, manner: &Manner) -> ResponsePartition {
    let with_errors = manner.version == 0;
    let reachable = |ids: &[i32]| -> Vec<i32> {
        let is_there = |id: &i32| metadata.endpoint(*id, &manner.listener).is_some();
        ids.iter().copied().filter(|id| !with_errors || is_there(id)).collect()
    };
    let leader = state.leader_and_isr.leader;
    let (replicas, isr) = (reachable(&state.assignment.replicas), reachable(&state.leader_and_isr.isr));
    let is_live = metadata.brokers.contains_key(&leader);
    let has_listener = metadata.endpoint(leader, &manner.listener).is_some();
    let error_code = match (is_live, has_listener) {
        (false, _) => ErrorCode::LEADER_NOT_AVAILABLE,
        (true, false) if manner.version >= 6 => ErrorCode::LISTENER_NOT_FOUND,
        (true, false) => ErrorCode::LEADER_NOT_AVAILABLE,
        (true, true) if replicas.len() < state.assignment.replicas.len() => ErrorCode::REPLICA_NOT_AVAILABLE,
        (true, true) if isr.len() < state.leader_and_isr.isr.len() => ErrorCode::REPLICA_NOT_AVAILABLE,
        (true, true) => ErrorCode::NONE,
    };
    ResponsePartition {
        error_code,
        partition_index: number,
        leader_id: if has_listener { leader } else { -1 },
        leader_epoch: state.leader_and_isr.leader_epoch,
        replica_nodes: replicas,
        isr_nodes: isr,
        offline_replicas: state.offline.clone(),
    }
}
