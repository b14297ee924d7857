//! Produce (key 0, versions 0 to 8): appends records to partitions.
//!
//! The records of each partition are checked outside of any lock, then appended. With acks=1 the answer is given at once; with
//! acks=-1 when all in-sync replicas have the records, or after `timeout_ms` with REQUEST_TIMED_OUT; with acks=0 there is
//! none, and an error closes the connection, so that the producer learns of it.

use std::sync::Arc;

use base::Str;
use kafka_log::validate::{self, InvalidRecords};
use kafka_log::{AppendInfo, LogError, Origin};
use kafka_proto::ErrorCode;
use kafka_proto::messages::produce::{
    RecordError, Request, RequestPartition, Response, ResponsePartition, ResponseTopic,
};
use kafka_replica::{AckPartition, Acknowledged, DelayedProduce, Park, ProduceWait, WaitingList};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::errors;
use crate::metadata::is_internal;
use crate::partitions::{AppendRefused, Partition};

/// The client that may write to the internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// A produce request that waits for its replicas.
pub(crate) type WaitingProduce = DelayedProduce<Appended, Reply>;

/// A partition that was appended to, and its place in the answer.
pub(crate) struct Appended {
    partition: Arc<Partition>,
    /// Whether the records must be on all in-sync replicas.
    replicated: bool,
    /// Whether they must be durable here, as `flush.messages` asks.
    durable: bool,
    topic_index: usize,
    partition_index: usize,
}

/// What the answer of a waiting request needs.
pub(crate) struct Reply {
    answer: Answer,
    response: Response,
}

impl AckPartition for Appended {
    fn acknowledged(&self, required: i64) -> Acknowledged {
        if self.durable && self.partition.log.recovery_point() < required {
            return Acknowledged::Waiting;
        }
        if self.replicated { self.partition.acknowledged(required) } else { Acknowledged::Done }
    }
}

/// Ends a produce request that waited; whatever still waits has timed out.
pub(crate) trait Complete {
    fn complete(self);
}

/// Bytes of a batch up to its length, with it.
const LENGTH_END: usize = 12;
/// Bytes of a batch up to its magic, with it.
const MAGIC_END: usize = 17;
/// What the shortest message has behind its length.
const MESSAGE_LENGTH_MIN: usize = 14;
/// What a batch of magic 2 has behind its length up to its producer's id, with it.
const PRODUCER_LENGTH: usize = 39;

impl Complete for WaitingProduce {
    fn complete(self) {
        let Self { waits, reply: Reply { answer, mut response } } = self;
        for ProduceWait { partition: place, acknowledged, .. } in waits {
            let error = match acknowledged {
                Acknowledged::Done => continue,
                Acknowledged::Waiting => ErrorCode::REQUEST_TIMED_OUT,
                Acknowledged::Failed(error) => errors::of_replica(error),
            };
            let topic = response.topics.get_mut(place.topic_index);
            if let Some(partition) = topic.and_then(|topic| topic.partitions.get_mut(place.partition_index)) {
                *partition = failed(partition.partition_index, error);
            }
        }
        answer.send(&response);
    }
}

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let acks = request.acks;
    if !(-1..=1).contains(&acks) {
        return refuse_all(request, ErrorCode::INVALID_REQUIRED_ACKS, answer);
    }
    let all = request.topics.iter().flat_map(|topic| &topic.partitions);
    if let Some(bad) = all.clone().find(|one| !begins_with_a_batch(one.records.as_deref().unwrap_or_default())) {
        return answer.close(format!(
            "Error getting request for apiKey: PRODUCE: partition {} brings no batch",
            bad.partition_index
        ));
    }
    let acks_all = acks == -1;
    let mut appends = Vec::new();
    let mut first_error = None;
    let mut must_wait = acks_all;
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic_index, topic) in request.topics.into_iter().enumerate() {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (partition_index, one) in topic.partitions.into_iter().enumerate() {
            let number = one.partition_index;
            match append(context, &topic.name, one, acks_all) {
                Ok((partition, info)) => {
                    partitions.push(appended(number, &info));
                    let durable = info.flush_wanted;
                    must_wait |= durable;
                    let appended = Appended { partition, replicated: acks_all, durable, topic_index, partition_index };
                    appends.push((appended, info.last_offset + 1));
                }
                Err(refusal) => {
                    first_error = first_error.or(Some(refusal.error_code));
                    partitions.push(refusal);
                }
            }
        }
        topics.push(ResponseTopic { name: topic.name, partitions });
    }
    let response = Response { topics, ..Response::default() };
    match (acks, first_error) {
        (0, None) => answer.silence(),
        (0, Some(error)) => answer.close(format!(
            "Closing connection due to error during produce request with acks=0: {}",
            error.exception()
        )),
        (1, _) if !must_wait => answer.send(&response),
        _ => {
            let partitions: Vec<_> = appends.iter().map(|(appended, _)| appended.partition.clone()).collect();
            wait(context, appends, &partitions, Reply { answer, response }, request.timeout_ms);
            return wake(context, partitions.iter());
        }
    }
    wake(context, appends.iter().map(|(appended, _)| &appended.partition));
}

/// Whether the records begin with a whole batch or message of a known magic. The original looks for the first one's producer while it
/// parses the request, and closes the connection when there is none. What is wrong behind that is answered.
fn begins_with_a_batch(records: &[u8]) -> bool {
    let Some(head) = records.first_chunk::<MAGIC_END>() else { return false };
    let [_, _, _, _, _, _, _, _, length @ .., _, _, _, _, magic] = *head;
    let length = u32::from_be_bytes(length) as usize;
    let length_min = match magic {
        0 | 1 => MESSAGE_LENGTH_MIN,
        2 => PRODUCER_LENGTH,
        _ => return false,
    };
    (length_min..=records.len() - LENGTH_END).contains(&length)
}

/// Others are served after a request's own answer is on its way.
fn wake<'a>(context: &Context<'_>, partitions: impl Iterator<Item = &'a Arc<Partition>>) {
    partitions.for_each(|partition| partition.wake(context.broker));
}

/// Answers as soon as all in-sync replicas have everything.
fn wait(
    context: &Context<'_>,
    appends: Vec<(Appended, i64)>,
    partitions: &[Arc<Partition>],
    reply: Reply,
    timeout_ms: i32,
) {
    let waits = appends.into_iter().map(|(appended, required)| ProduceWait::new(appended, required)).collect();
    let mut delayed = DelayedProduce { waits, reply };
    if kafka_replica::Delayed::is_ready(&mut delayed) {
        return delayed.complete();
    }
    let deadline = context.now.monotonic.plus_ms(u64::try_from(timeout_ms).unwrap_or(0));
    let lists = partitions.iter().map(|partition| -> &WaitingList<WaitingProduce> { &partition.produces });
    if let Park::Ready(delayed) = context.broker.produces.park(delayed, deadline, lists) {
        delayed.complete();
    }
    context.broker.host.alarm(deadline);
}

fn append(
    context: &Context<'_>,
    topic: &Str,
    one: RequestPartition,
    acks_all: bool,
) -> Result<(Arc<Partition>, AppendInfo), ResponsePartition> {
    let number = one.partition_index;
    if is_internal(topic) && context.client_id.as_deref() != Some(ADMIN_CLIENT) {
        return Err(failed(number, ErrorCode::INVALID_TOPIC_EXCEPTION));
    }
    let partition =
        context.broker.partitions.get(context.broker, topic, number).map_err(|error| failed(number, error))?;
    let records = one.records.unwrap_or_default();
    let zstd_allowed = context.broker.settings().inter_broker_protocol >= config::ApiVersion::V2_1_IV0;
    let rules = partition.append_rules(Origin::Client, context.version, zstd_allowed, context.now);
    let checked =
        validate::check(&records, &partition.log.config(), &rules).map_err(|error| refused(number, &error))?;
    // Without a coordinator no transaction can be open: such a batch would hang for ever (KIP-890).
    if checked.batches().iter().any(|batch| batch.transactional) {
        return Err(failed(number, ErrorCode::INVALID_TXN_STATE));
    }
    let info = partition.append(checked, Origin::Client, acks_all, context.now).map_err(|refusal| match refusal {
        AppendRefused::Log(LogError::Invalid(error)) => refused(number, &error),
        refusal => failed(number, refusal.code()),
    })?;
    Ok((partition, info))
}

fn appended(partition_index: i32, info: &AppendInfo) -> ResponsePartition {
    ResponsePartition {
        partition_index,
        base_offset: info.first_offset,
        log_append_time_ms: info.log_append_time,
        log_start_offset: info.log_start_offset,
        ..ResponsePartition::default()
    }
}

fn failed(partition_index: i32, error_code: ErrorCode) -> ResponsePartition {
    ResponsePartition { partition_index, error_code, base_offset: -1, ..ResponsePartition::default() }
}

/// Records that were refused: single records are named from version 8 on (KIP-467).
fn refused(partition_index: i32, error: &InvalidRecords) -> ResponsePartition {
    let mut response = failed(partition_index, errors::of_records(error));
    if let Some((records, message)) = error.details() {
        let named = records
            .iter()
            .map(|record| RecordError { batch_index: record.batch_index, error_message: Some(record.message.clone()) });
        response.record_errors = named.collect();
        response.error_message = Some(message.into());
    }
    response
}

fn refuse_all(request: Request, error: ErrorCode, answer: Answer) {
    let topics = request.topics.into_iter().map(|topic| ResponseTopic {
        name: topic.name,
        partitions: topic.partitions.iter().map(|one| failed(one.partition_index, error)).collect(),
    });
    answer.send(&Response { topics: topics.collect(), ..Response::default() });
}
