//! CreateTopics (key 19, versions 0 to 6): makes topics and waits until this broker knows their leaders.
//!
//! Only the controller serves it. A topic named twice in a request is refused as a whole. The answer is given when all
//! partitions have leaders, or after `timeout_ms`; a timeout of 0 or less answers at once with REQUEST_TIMED_OUT though the
//! topic is being made, as in the original.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Now, Str};
use kafka_proto::ErrorCode;
use kafka_proto::messages::create_topics::{Request, RequestTopic, Response, ResponseConfig, ResponseTopic};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::gather::Gather;
use crate::topic_waits::TopicWaits;
use crate::topics::{NewTopic, RackAwareness, Replicas, TopicError};

/// `num_partitions` and `replication_factor`: the broker's default (KIP-464).
const BROKER_DEFAULT: i32 = -1;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let Request { topics, timeout_ms, validate_only } = request;
    let finish = move |topics| answer.send(&Response { topics, ..Response::default() });
    let gather = Gather::new(Vec::new(), finish);
    if context.broker.active_controller_epoch().is_none() {
        for topic in topics {
            gather.add(failed(topic.name, TopicError { code: ErrorCode::NOT_CONTROLLER, message: None }));
        }
        return;
    }
    let mut counts: BTreeMap<Str, usize> = BTreeMap::new();
    for topic in &topics {
        *counts.entry(topic.name.clone()).or_default() += 1;
    }
    for topic in topics {
        match counts.get(&topic.name) {
            Some(count) if *count > 1 => {
                let error = TopicError::new(ErrorCode::INVALID_REQUEST, "Found multiple entries for this topic.");
                gather.add(failed(topic.name, error));
            }
            _ => {
                let gather = gather.clone();
                create(context.broker, topic, timeout_ms, validate_only, context.now, move |result| gather.add(result));
            }
        }
    }
}

fn create(
    broker: &Arc<Broker>,
    topic: RequestTopic,
    timeout_ms: i32,
    validate_only: bool,
    now: Now,
    then: impl FnOnce(ResponseTopic) + Send + 'static,
) {
    let name = topic.name.clone();
    let new = match to_new_topic(broker, topic, validate_only) {
        Ok(new) => new,
        Err(error) => return then(failed(name, error)),
    };
    let (partitions, factor) = match &new.replicas {
        Replicas::Spread { partitions, factor, .. } => (*partitions, *factor),
        Replicas::Given(given) => (given.len() as i32, given.values().next().map_or(0, Vec::len) as i16),
    };
    let configs = new.configs.clone();
    broker.create_topic(new, move |broker, result| {
        if let Err(error) = result {
            return then(failed(name, error));
        }
        let made = made(broker, &name, partitions, factor, &configs);
        if validate_only {
            return then(made);
        }
        let timed_out = failed(name.clone(), TopicError { code: ErrorCode::REQUEST_TIMED_OUT, message: None });
        let Some(timeout_ms) = u64::try_from(timeout_ms).ok().filter(|timeout_ms| *timeout_ms > 0) else {
            return then(timed_out);
        };
        let topic = name.to_string();
        let has_leaders = move |metadata: &crate::metadata::Metadata| {
            let is_led =
                |number| metadata.partition(&topic, number).is_some_and(|state| state.leader_and_isr.leader >= 0);
            (0..partitions).all(is_led)
        };
        TopicWaits::wait(broker, timeout_ms, now, has_leaders, move |_, ready| {
            then(if ready { made } else { timed_out });
        });
    });
}

fn to_new_topic(broker: &Broker, topic: RequestTopic, validate_only: bool) -> Result<NewTopic, TopicError> {
    let invalid = |text: String| Err(TopicError::new(ErrorCode::INVALID_REQUEST, text));
    let name = topic.name.to_string();
    if broker.metadata.read().topic(&name).is_some() {
        return Err(TopicError::new(ErrorCode::TOPIC_ALREADY_EXISTS, format!("Topic '{name}' already exists.")));
    }
    let nulls: Vec<&str> =
        topic.configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str()).collect();
    if !nulls.is_empty() {
        return invalid(format!("Null value not supported for topic configs : {}", nulls.join(",")));
    }
    let spread = topic.num_partitions != BROKER_DEFAULT || i32::from(topic.replication_factor) != BROKER_DEFAULT;
    if spread && !topic.assignments.is_empty() {
        return invalid(
            "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time."
                .to_owned(),
        );
    }
    let settings = broker.settings();
    let or_default = |wanted: i32, default: i32| if wanted == BROKER_DEFAULT { default } else { wanted };
    let replicas = match topic.assignments.is_empty() {
        true => Replicas::Spread {
            partitions: or_default(topic.num_partitions, settings.topics.partitions),
            factor: or_default(topic.replication_factor.into(), settings.topics.replication_factor) as i16,
            racks: RackAwareness::Enforced,
        },
        false => Replicas::Given(
            topic.assignments.into_iter().map(|given| (given.partition_index, given.broker_ids)).collect(),
        ),
    };
    let configs =
        topic.configs.into_iter().filter_map(|config| Some((config.name.to_string(), config.value?.to_string())));
    Ok(NewTopic { name, replicas, configs: configs.collect(), validate_only })
}

fn made(
    broker: &Broker,
    name: &Str,
    partitions: i32,
    factor: i16,
    overrides: &BTreeMap<String, String>,
) -> ResponseTopic {
    let described = broker.describe_topic_configs(overrides).into_iter().map(|entry| ResponseConfig {
        name: Str::from(entry.name.as_str()),
        value: entry.value.map(Str::from),
        read_only: entry.is_read_only,
        config_source: entry.source.id(),
        is_sensitive: entry.is_sensitive,
    });
    ResponseTopic {
        name: name.clone(),
        num_partitions: partitions,
        replication_factor: factor,
        configs: Some(described.collect()),
        ..ResponseTopic::default()
    }
}

fn failed(name: Str, error: TopicError) -> ResponseTopic {
    ResponseTopic {
        name,
        error_code: error.code,
        error_message: error.message.map(Str::from),
        configs: Some(Vec::new()),
        ..ResponseTopic::default()
    }
}
