//! Produce (key 0, versions 0 to 8): appends records to partitions.
//!
//! The records of each partition are checked outside of any lock, then appended, with those of other requests that came together with
//! this one. With acks=1 the answer is given at once; with
//! acks=-1 when all in-sync replicas have the records, or after `timeout_ms` with REQUEST_TIMED_OUT; with acks=0 there is
//! none, and an error closes the connection, so that the producer learns of it.

use std::sync::Arc;

use base::{Now, Str};
use kafka_log::validate::{self, Checked, InvalidRecords};
use kafka_log::{AppendInfo, LogError, Origin};
use kafka_proto::ErrorCode;
use kafka_proto::messages::produce::{
    RecordError, Request, RequestPartition, Response, ResponsePartition, ResponseTopic,
};
use kafka_replica::{AckPartition, Acknowledged, DelayedProduce, Park, ProduceWait, WaitingList};

use crate::answer::Answer;
use crate::broker::Broker;
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
        if self.durable && self.partition.log().recovery_point() < required {
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

/// Produce requests of one connection that came together. Their records for a partition are appended together, each request for itself.
#[derive(Default)]
pub(crate) struct Run {
    requests: Vec<Started>,
    appends: Vec<Append>,
    /// The last request may close the connection: what is behind it is not to be looked at before.
    is_closed: bool,
    /// Whether `inter.broker.protocol.version` allows zstd; `None` until looked at.
    zstd_allowed: Option<bool>,
}

/// A request whose records are checked.
struct Started {
    acks: i16,
    timeout_ms: i32,
    /// Filled in where records are appended.
    response: Response,
    /// What must be waited for, up to which offset.
    waits: Vec<(Appended, i64)>,
    answer: Answer,
}

/// Records to be appended to a partition, and their place in the answers.
struct Append {
    partition: Arc<Partition>,
    /// Gone when they are appended.
    checked: Option<Checked>,
    acks_all: bool,
    request_index: usize,
    topic_index: usize,
    partition_index: usize,
}

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    if !(-1..=1).contains(&request.acks) {
        return refuse_all(request, ErrorCode::INVALID_REQUIRED_ACKS, answer);
    }
    context.produces.borrow_mut().start(context, request, answer);
}

impl Run {
    /// Whether it takes no more requests before it is finished.
    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Checks the records of a request.
    fn start(&mut self, context: &Context<'_>, request: Request, answer: Answer) {
        let mut all = request.topics.iter().flat_map(|topic| &topic.partitions);
        if let Some(bad) = all.find(|one| !begins_with_a_batch(one.records.as_deref().unwrap_or_default())) {
            self.is_closed = true;
            return answer.close(format!(
                "Error getting request for apiKey: PRODUCE: partition {} brings no batch",
                bad.partition_index
            ));
        }
        let (acks, request_index) = (request.acks, self.requests.len());
        let mut topics = Vec::with_capacity(request.topics.len());
        for (topic_index, topic) in request.topics.into_iter().enumerate() {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for (partition_index, one) in topic.partitions.into_iter().enumerate() {
                let number = one.partition_index;
                partitions.push(match self.check(context, &topic.name, one) {
                    Ok((partition, checked)) => {
                        let checked = Some(checked);
                        let acks_all = acks == -1;
                        let append =
                            Append { partition, checked, acks_all, request_index, topic_index, partition_index };
                        self.appends.push(append);
                        // Until it is appended.
                        failed(number, ErrorCode::UNKNOWN_SERVER_ERROR)
                    }
                    Err(refusal) => refusal,
                });
            }
            topics.push(ResponseTopic { name: topic.name, partitions });
        }
        let response = Response { topics, ..Response::default() };
        self.requests.push(Started { acks, timeout_ms: request.timeout_ms, response, waits: Vec::new(), answer });
        self.is_closed |= acks == 0;
    }

    fn check(
        &mut self,
        context: &Context<'_>,
        topic: &Str,
        one: RequestPartition,
    ) -> Result<(Arc<Partition>, Checked), ResponsePartition> {
        let number = one.partition_index;
        if is_internal(topic) && context.client_id.as_deref() != Some(ADMIN_CLIENT) {
            return Err(failed(number, ErrorCode::INVALID_TOPIC_EXCEPTION));
        }
        // Mostly it is the one of the request before.
        let last = self.appends.last().map(|append| &append.partition);
        let partition = match last.filter(|last| last.name.partition == number && last.name.topic == *topic) {
            Some(last) => last.clone(),
            None => {
                context.broker.partitions.get(context.broker, topic, number).map_err(|error| failed(number, error))?
            }
        };
        let records = one.records.unwrap_or_default();
        let zstd_allowed = *self
            .zstd_allowed
            .get_or_insert_with(|| context.broker.settings().inter_broker_protocol >= config::ApiVersion::V2_1_IV0);
        let rules = partition.append_rules(Origin::Client, context.version, zstd_allowed, context.now);
        let checked =
            validate::check(&records, &partition.log().config(), &rules).map_err(|error| refused(number, &error))?;
        // Without a coordinator no transaction can be open: such a batch would hang for ever (KIP-890).
        if checked.batches().iter().any(|batch| batch.transactional) {
            return Err(failed(number, ErrorCode::INVALID_TXN_STATE));
        }
        Ok((partition, checked))
    }

    /// Appends what was checked, answers, and wakes who waits for records.
    pub(crate) fn finish(&mut self, broker: &Arc<Broker>, now: Now) {
        let Self { mut requests, mut appends, .. } = std::mem::take(self);
        if requests.len() > 1 {
            // Stable: for each partition in the order of the requests.
            appends.sort_by(|one, other| one.partition.name.cmp(&other.partition.name));
        }
        let together =
            |one: &Append, next: &Append| Arc::ptr_eq(&one.partition, &next.partition) && one.acks_all == next.acks_all;
        for appends in appends.chunk_by_mut(together) {
            append(appends, &mut requests, now);
        }
        // Others are served after the requests' own answers are on their way.
        requests.into_iter().for_each(|request| request.answer(broker, now));
        for appends in appends.chunk_by(together) {
            appends.iter().take(1).for_each(|append| append.partition.wake(broker));
        }
    }
}

/// Appends to one partition, with the same acks.
fn append(appends: &mut [Append], requests: &mut [Started], now: Now) {
    let Some(Append { partition, acks_all, .. }) = appends.first() else { return };
    let (partition, acks_all) = (partition.clone(), *acks_all);
    let all = appends.iter_mut().filter_map(|append| append.checked.take());
    let mut results = partition.append_all(all, Origin::Client, acks_all, now).map(Vec::into_iter);
    for append in appends {
        let result = match &mut results {
            Ok(results) => results.next().expect("each append has a result").map_err(AppendRefused::Log),
            Err(error) => Err(AppendRefused::Replica(*error)),
        };
        if let Some(request) = requests.get_mut(append.request_index) {
            request.note(append, result);
        }
    }
}

impl Started {
    /// Puts what became of an append into the answer.
    fn note(&mut self, append: &Append, result: Result<AppendInfo, AppendRefused>) {
        let Append { topic_index, partition_index, acks_all: replicated, .. } = *append;
        let topic = self.response.topics.get_mut(topic_index);
        let Some(place) = topic.and_then(|topic| topic.partitions.get_mut(partition_index)) else { return };
        let number = place.partition_index;
        *place = match result {
            Ok(info) => {
                let durable = info.flush_wanted;
                if replicated || durable {
                    let partition = append.partition.clone();
                    let appended = Appended { partition, replicated, durable, topic_index, partition_index };
                    self.waits.push((appended, info.last_offset + 1));
                }
                appended(number, &info)
            }
            Err(AppendRefused::Log(LogError::Invalid(error))) => refused(number, &error),
            Err(refusal) => failed(number, refusal.code()),
        };
    }

    fn answer(self, broker: &Arc<Broker>, now: Now) {
        let Self { acks, timeout_ms, response, waits, answer } = self;
        if acks == 0 {
            let mut all = response.topics.iter().flat_map(|topic| &topic.partitions);
            return match all.find(|partition| partition.error_code != ErrorCode::NONE) {
                None => answer.silence(),
                Some(failed) => answer.close(format!(
                    "Closing connection due to error during produce request with acks=0: {}",
                    failed.error_code.exception()
                )),
            };
        }
        match waits.is_empty() {
            true => answer.send(&response),
            false => wait(broker, waits, Reply { answer, response }, timeout_ms, now),
        }
    }
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

/// Answers as soon as all that is waited for is there.
fn wait(broker: &Broker, waits: Vec<(Appended, i64)>, reply: Reply, timeout_ms: i32, now: Now) {
    let waits = waits.into_iter().map(|(appended, required)| ProduceWait::new(appended, required)).collect();
    let mut delayed = DelayedProduce { waits, reply };
    if kafka_replica::Delayed::is_ready(&mut delayed) {
        return delayed.complete();
    }
    let deadline = now.monotonic.plus_ms(u64::try_from(timeout_ms).unwrap_or(0));
    let partitions: Vec<_> = delayed.waits.iter().map(|wait| wait.partition.partition.clone()).collect();
    let lists = partitions.iter().map(|partition| -> &WaitingList<WaitingProduce> { &partition.produces });
    if let Park::Ready(delayed) = broker.produces.park(delayed, deadline, lists) {
        delayed.complete();
    }
    broker.host.alarm(deadline);
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
