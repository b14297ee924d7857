//! ElectLeaders (key 43, versions 0 to 2): a client asks for elections of preferred leaders, or of unclean ones (KIP-183, KIP-460).
//!
//! The answer waits until this broker knows the new leaders, or for `timeout_ms` (upstream: `DelayedElectLeader`). Of all partitions,
//! those alone are named that were in want of an election. A broker that is not the controller says so of each partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Now, Str};
use kafka_control::{Answer as Answered, ElectionType, Refusal, Request as Asked, TopicPartition};
use kafka_proto::ErrorCode;
use kafka_proto::messages::elect_leaders::{Request, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::metadata::Metadata;
use crate::topic_waits::TopicWaits;

/// What became of each partition.
type Results = BTreeMap<TopicPartition, Result<(), Refusal>>;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let election = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        other => return answer.close(format!("Value {other} must be one of [PREFERRED(0), UNCLEAN(1)]")),
    };
    let is_all = request.topics.is_none();
    let partitions: BTreeSet<TopicPartition> = match request.topics {
        Some(topics) => {
            let of_topic = |topic: kafka_proto::messages::elect_leaders::RequestTopic| {
                let name = topic.topic.to_string();
                let id = move |partition| TopicPartition { topic: name.clone(), partition };
                topic.partition_indexes.into_iter().map(id)
            };
            topics.into_iter().flat_map(of_topic).collect()
        }
        None => all_partitions(&context.broker.metadata.read()),
    };
    let timeout_ms = u64::try_from(request.timeout_ms).unwrap_or(0);
    let finish = move |mut results: Results| {
        let is_vain = |refusal: &Refusal| refusal.code == ErrorCode::ELECTION_NOT_NEEDED;
        results.retain(|_, result| !is_all || !result.as_ref().is_err_and(is_vain));
        answer.send(&response(results));
    };
    let asked = Asked::ElectLeaders { election, partitions: Some(partitions.clone()) };
    context.broker.ask_own_controller(asked, context.now, move |broker, answered, now| match answered {
        Answered::ElectLeaders(Ok(results)) => wait(broker, election, results, timeout_ms, now, finish),
        Answered::ElectLeaders(Err(refusal)) => {
            finish(partitions.into_iter().map(|partition| (partition, Err(refusal.clone()))).collect());
        }
        _ => finish(Results::new()),
    });
}

/// Waits until this broker knows of the elections that were held.
fn wait(
    broker: &Arc<Broker>,
    election: ElectionType,
    results: Results,
    timeout_ms: u64,
    now: Now,
    then: impl FnOnce(Results) + Send + 'static,
) {
    let elected: Vec<TopicPartition> =
        results.iter().filter(|(_, result)| result.is_ok()).map(|(partition, _)| partition.clone()).collect();
    if elected.is_empty() {
        return then(results);
    }
    let awaited = elected.clone();
    let are_known = move |metadata: &Metadata| awaited.iter().all(|partition| is_known(metadata, election, partition));
    TopicWaits::wait(broker, timeout_ms, now, are_known, move |broker, _| {
        let mut results = results;
        let metadata = broker.metadata.read();
        for partition in elected.into_iter().filter(|partition| !is_known(&metadata, election, partition)) {
            results.insert(partition, Err(ErrorCode::REQUEST_TIMED_OUT.into()));
        }
        drop(metadata);
        then(results);
    });
}

/// Whether a leader is known that the election can have brought: the preferred one, or one that lives.
fn is_known(metadata: &Metadata, election: ElectionType, partition: &TopicPartition) -> bool {
    metadata.partition(&partition.topic, partition.partition).is_some_and(|state| {
        let leader = state.leader_and_isr.leader;
        match election {
            ElectionType::Preferred => state.assignment.replicas.first() == Some(&leader),
            ElectionType::Unclean => metadata.brokers.contains_key(&leader),
        }
    })
}

fn all_partitions(metadata: &Metadata) -> BTreeSet<TopicPartition> {
    let of_topic = |(_, partitions): (&Str, &BTreeMap<i32, kafka_control::PartitionState>)| {
        partitions.values().map(|state| state.partition.clone()).collect::<Vec<_>>()
    };
    metadata.topics().flat_map(of_topic).collect()
}

fn response(results: Results) -> Response {
    let mut topics: BTreeMap<String, Vec<ResponsePartition>> = BTreeMap::new();
    for (id, result) in results {
        let (error_code, error_message) = match result {
            Ok(()) => (ErrorCode::NONE, None),
            Err(refusal) => (refusal.code, refusal.message.map(Str::from)),
        };
        let partition = ResponsePartition { partition_index: id.partition, error_code, error_message };
        topics.entry(id.topic).or_default().push(partition);
    }
    let topic = |(name, partitions)| ResponseTopic { topic: Str::from(name), partitions };
    Response { topics: topics.into_iter().map(topic).collect(), ..Response::default() }
}
