//! The producer: records in, deliveries out (upstream: `KafkaProducer`, `Sender`).
//!
//! An idempotent producer keeps one batch of a partition in flight, a plain one up to
//! `max.in.flight.requests.per.connection` requests. Batches are encoded once and sent again as they are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Now, Str};
use bytes::Bytes;
use kafka_proto::messages::{init_producer_id, produce};
use kafka_proto::record::{Magic, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, increment_sequence};
use kafka_proto::wire::Versions;
use kafka_proto::{AnyResponse, ApiKey, ErrorCode};

use crate::accumulator::{Accumulator, Batch, Stamp};
use crate::metadata::TopicPartition;
use crate::network::{Call, Effect, Input, Network, Outcome, RequestId, Target};
use crate::partitioner::Partitioner;
use crate::traffic::{ProducerTraffic, Traffic};
use crate::{ClientError, Machine, ProducerConfig};

const LOGGER: &str = "org.apache.kafka.clients.producer.internals.Sender";

/// A record to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerRecord {
    /// Name of the topic.
    pub topic: Str,
    /// Where to; `None` lets the partitioner choose.
    pub partition: Option<i32>,
    /// Create time, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Key, or null.
    pub key: Option<Bytes>,
    /// Value, or null.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Names a record between its sending and its delivery; counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u64);

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset; -1 with `acks` 0, and for a duplicate that the broker had.
    pub offset: i64,
    /// Its timestamp: its own, or the broker's with LogAppendTime.
    pub timestamp_ms: i64,
}

/// What became of a record.
pub type Delivery = (RecordId, Result<Delivered, ClientError>);

/// Why a record is not taken.
#[derive(Debug)]
pub enum SendError {
    /// `buffer.memory` is used up: drive the machine until there is room, then send the record again.
    Full(Box<ProducerRecord>),
    /// It can never be sent.
    Refused(ClientError),
}

/// Id and epoch of an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    id: i64,
    epoch: i16,
}

/// The producer machine.
#[derive(Debug)]
pub struct Producer {
    config: ProducerConfig,
    network: Network,
    accumulator: Accumulator,
    partitioner: Partitioner,
    /// Records of topics that are not known yet, and until when they may wait.
    unplaced: VecDeque<(RecordId, ProducerRecord, Monotonic)>,
    in_flight: BTreeMap<RequestId, Vec<Batch>>,
    /// Partitions that must not have a second batch in flight.
    muted: BTreeSet<TopicPartition>,
    identity: Option<Identity>,
    identity_request: Option<RequestId>,
    identity_retry_at: Monotonic,
    /// By partition, what its last batch was written as, and the next sequence.
    sequences: BTreeMap<TopicPartition, (Identity, i32)>,
    deliveries: VecDeque<Delivery>,
    next_record: u64,
    buffered_bytes: usize,
    flushing: bool,
    drain_from: usize,
    wake_at: Option<Monotonic>,
    traffic: ProducerTraffic,
}

impl Producer {
    /// What was counted: of the connections, and of the records.
    pub const fn traffic(&self) -> (&Traffic, &ProducerTraffic) {
        (self.network.traffic(), &self.traffic)
    }

    /// A producer; `seed` decides its choices of brokers and partitions.
    pub fn new(config: ProducerConfig, seed: u64) -> Self {
        Self {
            network: Network::new(config.network.clone(), seed),
            accumulator: Accumulator::new(config.batch_bytes, config.linger_ms, config.codec),
            partitioner: Partitioner::new(config.partitioner, seed),
            config,
            unplaced: VecDeque::new(),
            in_flight: BTreeMap::new(),
            muted: BTreeSet::new(),
            identity: None,
            identity_request: None,
            identity_retry_at: Monotonic::default(),
            sequences: BTreeMap::new(),
            deliveries: VecDeque::new(),
            next_record: 0,
            buffered_bytes: 0,
            flushing: false,
            drain_from: 0,
            wake_at: None,
            traffic: ProducerTraffic::default(),
        }
    }

    /// Settings.
    pub const fn config(&self) -> &ProducerConfig {
        &self.config
    }

    /// Takes a record over; its delivery comes with [`Producer::next_delivery`].
    pub fn send(&mut self, record: ProducerRecord, now: Now) -> Result<RecordId, SendError> {
        let len = buffered_len(&record);
        if len > self.config.request_bytes_max {
            return Err(SendError::Refused(ClientError::TooLarge(format!(
                "The message is {len} bytes when serialized which is larger than {}, which is the value of the \
                 max.request.size configuration.",
                self.config.request_bytes_max
            ))));
        }
        if len > self.config.buffer_bytes {
            return Err(SendError::Refused(ClientError::TooLarge(format!(
                "The message is {len} bytes when serialized which is larger than the total memory buffer you have \
                 configured with the buffer.memory configuration."
            ))));
        }
        if self.buffered_bytes + len > self.config.buffer_bytes {
            return Err(SendError::Full(Box::new(record)));
        }
        self.buffered_bytes += len;
        let id = RecordId(self.next_record);
        self.next_record += 1;
        self.network.add_interest(&record.topic);
        match self.place(&record) {
            Some(partition) => self.accumulator.push(&partition, id, record, now.monotonic),
            None => self.unplaced.push_back((id, record, now.monotonic.plus_ms(self.config.block_ms_max))),
        }
        Ok(id)
    }

    /// What became of the next record.
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        self.deliveries.pop_front()
    }

    /// Sends what is there without lingering, until [`Producer::is_idle`].
    pub const fn flush(&mut self) {
        self.flushing = true;
    }

    /// Whether no record waits for its delivery.
    pub fn is_idle(&self) -> bool {
        self.unplaced.is_empty() && self.accumulator.is_empty() && self.in_flight.is_empty()
    }

    /// The partitions of a topic, once known; asks for them otherwise.
    pub fn partitions(&mut self, topic: &Str) -> Option<Vec<i32>> {
        self.network.add_interest(topic);
        let known = self.network.cluster().topics.get(topic)?;
        (!known.partitions.is_empty()).then(|| known.partitions.keys().copied().collect())
    }

    /// Chooses the partition of a record whose topic is known.
    fn place(&mut self, record: &ProducerRecord) -> Option<TopicPartition> {
        let topic = self.network.cluster().topics.get(&record.topic).filter(|topic| !topic.partitions.is_empty())?;
        if let Some(partition) = record.partition {
            return topic
                .partitions
                .contains_key(&partition)
                .then(|| TopicPartition { topic: record.topic.clone(), partition });
        }
        let partition = self.partitioner.partition(&record.topic, topic, record.key.as_deref())?;
        let place = TopicPartition { topic: record.topic.clone(), partition };
        if self.accumulator.has_room(&place, record) {
            return Some(place);
        }
        // A new batch begins: what sticks to the old one moves on.
        self.partitioner.batch_closed(&record.topic, topic, partition);
        let moved = match record.key {
            Some(_) => partition,
            None if self.config.partitioner == crate::partitioner::Kind::RoundRobin => partition,
            None => self.partitioner.partition(&record.topic, topic, None)?,
        };
        Some(TopicPartition { topic: record.topic.clone(), partition: moved })
    }

    fn place_waiting(&mut self, now: Monotonic) {
        for (id, record, deadline) in std::mem::take(&mut self.unplaced) {
            if let Some(partition) = self.place(&record) {
                self.accumulator.push(&partition, id, record, now);
            } else if deadline <= now {
                let text = self.absence(&record);
                self.finish(id, &record, Err(ClientError::Timeout(text)));
            } else {
                self.unplaced.push_back((id, record, deadline));
            }
        }
    }

    fn absence(&self, record: &ProducerRecord) -> String {
        let waited = self.config.block_ms_max;
        match (record.partition, self.network.cluster().topics.get(&record.topic)) {
            (Some(partition), Some(topic)) if !topic.partitions.is_empty() => format!(
                "Partition {partition} of topic {} with partition count {} is not present in metadata after {waited} ms.",
                record.topic,
                topic.partitions.len()
            ),
            _ => format!("Topic {} not present in metadata after {waited} ms.", record.topic),
        }
    }

    fn finish(&mut self, id: RecordId, record: &ProducerRecord, result: Result<Delivered, ClientError>) {
        if result.is_err() {
            self.traffic.topic(&record.topic).errors += 1;
        }
        self.buffered_bytes -= buffered_len(record);
        self.deliveries.push_back((id, result));
    }

    fn fail(&mut self, batch: Batch, error: &ClientError) {
        for (id, record) in batch.records {
            self.finish(id, &record, Err(error.clone()));
        }
    }

    fn expire(&mut self, now: Monotonic) {
        let limit_ms = self.config.delivery_timeout_ms;
        for batch in self.accumulator.expire(|batch| batch.created_at.plus_ms(limit_ms) <= now) {
            let text = format!(
                "Expiring {} record(s) for {}:{} ms has passed since batch creation",
                batch.records.len(),
                batch.partition,
                now.since(batch.created_at).as_millis()
            );
            if self.config.idempotent && batch.encoded.is_some() {
                // Whether its sequence numbers are in the log is not known.
                self.reset_identity();
            }
            self.fail(batch, &ClientError::Timeout(text));
        }
    }

    /// Sends what is ready, one request for each broker that takes one; whether there was any.
    fn drain(&mut self, now: Monotonic) -> bool {
        let hurried = self.flushing || self.buffered_bytes > self.config.buffer_bytes / 10 * 9;
        let mut ready = self.accumulator.ready(now, hurried);
        if ready.is_empty() || !self.has_identity(now) {
            return false;
        }
        // Start elsewhere each time, so that a full request leaves out another partition.
        let start = self.drain_from % ready.len();
        ready.rotate_left(start);
        self.drain_from = self.drain_from.wrapping_add(1);
        let mut requests: BTreeMap<i32, (usize, Vec<Batch>)> = BTreeMap::new();
        for partition in ready {
            if self.muted.contains(&partition) {
                continue;
            }
            let Some((leader, _)) = self.network.cluster().leader(&partition) else {
                self.network.want_update();
                continue;
            };
            if !self.network.prepare(leader, now) || !self.network.is_ready(leader) {
                continue;
            }
            let Some(len) = self.encode_front(&partition, leader) else { continue };
            let (total, batches) = requests.entry(leader).or_default();
            if *total + len > self.config.request_bytes_max && !batches.is_empty() {
                continue;
            }
            *total += len;
            batches.extend(self.accumulator.pop(&partition));
        }
        let mut sent = false;
        for (leader, (_, batches)) in requests.into_iter().filter(|(_, (_, batches))| !batches.is_empty()) {
            self.transmit(leader, batches, now);
            sent = true;
        }
        sent
    }

    /// Encodes the first batch of a partition, and gives up what can't be; its size.
    fn encode_front(&mut self, partition: &TopicPartition, leader: i32) -> Option<usize> {
        let served = self.network.served(leader, ApiKey::Produce).map_or(0, |versions| versions.last);
        let magic = match served {
            0 | 1 => Magic::V0,
            2 => Magic::V1,
            _ => Magic::V2,
        };
        let identity = self.identity.unwrap_or(Identity { id: NO_PRODUCER_ID, epoch: NO_PRODUCER_EPOCH });
        let Identity { id, epoch } = identity;
        let next = self.sequences.get(partition).filter(|(of, _)| *of == identity).map_or(0, |(_, next)| *next);
        let sequence = if id == NO_PRODUCER_ID { NO_SEQUENCE } else { next };
        let codec = self.config.codec;
        let batch = self.accumulator.front_mut(partition)?;
        // It may be in the log: whatever the producer is by now, it goes as what it was.
        if let Some(encoded) = batch.encoded.as_ref().filter(|encoded| encoded.magic == magic) {
            return Some(encoded.bytes.len());
        }
        let stamp = Stamp { magic, codec, producer_id: id, producer_epoch: epoch, base_sequence: sequence };
        match batch.encode(stamp) {
            Ok(uncompressed) => {
                let len = batch.encoded.as_ref().map_or(0, |encoded| encoded.bytes.len());
                let count = batch.records.len() as i32;
                if id != NO_PRODUCER_ID {
                    self.sequences.insert(partition.clone(), (identity, increment_sequence(sequence, count)));
                }
                self.accumulator.observe(len, uncompressed);
                Some(len)
            }
            Err(error) => {
                let batch = self.accumulator.pop(partition)?;
                self.fail(batch, &error);
                None
            }
        }
    }

    fn transmit(&mut self, leader: i32, batches: Vec<Batch>, now: Monotonic) {
        let mut topics: BTreeMap<Str, Vec<produce::RequestPartition>> = BTreeMap::new();
        let mut versions = Versions::new(0, 1);
        for batch in &batches {
            let Some(encoded) = &batch.encoded else { continue };
            versions = match encoded.magic {
                Magic::V0 => Versions::new(0, 1),
                Magic::V1 => Versions::new(2, 2),
                Magic::V2 => Versions::new(3, i16::MAX),
            };
            self.traffic.batch_bytes.add(encoded.bytes.len() as u64);
            let of_topic = self.traffic.topic(&batch.partition.topic);
            of_topic.records += batch.records.len() as u64;
            of_topic.bytes += encoded.bytes.len() as u64;
            let partition = produce::RequestPartition {
                partition_index: batch.partition.partition,
                records: Some(encoded.bytes.clone()),
            };
            topics.entry(batch.partition.topic.clone()).or_default().push(partition);
        }
        let request = produce::Request {
            transactional_id: None,
            acks: self.config.acks,
            timeout_ms: i32::try_from(self.config.network.request_timeout_ms).unwrap_or(i32::MAX),
            topics: topics.into_iter().map(|(name, partitions)| produce::RequestTopic { name, partitions }).collect(),
        };
        if self.config.idempotent || self.config.network.in_flight_max == 1 {
            self.muted.extend(batches.iter().map(|batch| batch.partition.clone()));
        }
        let mut call = Call::new(request, self.config.network.request_timeout_ms).within(versions);
        if self.config.acks == 0 {
            call = call.unanswered();
        }
        self.traffic.records_per_request.add(batches.iter().map(|batch| batch.records.len() as u64).sum());
        let id = self.network.send(Target::Node(leader), call, now);
        self.in_flight.insert(id, batches);
    }

    /// Whether sending may go on: an idempotent producer needs an id first.
    fn has_identity(&mut self, now: Monotonic) -> bool {
        if !self.config.idempotent || self.identity.is_some() {
            return true;
        }
        if self.identity_request.is_none() && self.identity_retry_at <= now {
            let request = init_producer_id::Request { transaction_timeout_ms: i32::MAX, ..Default::default() };
            let call = Call::new(request, self.config.network.request_timeout_ms);
            self.identity_request = Some(self.network.send(Target::Any, call, now));
        }
        false
    }

    fn identity_outcome(&mut self, outcome: Outcome, now: Monotonic) {
        self.identity_request = None;
        self.identity_retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
        let error = match outcome {
            Ok(Some(AnyResponse::InitProducerId(response))) => match ClientError::check(response.error_code) {
                Ok(()) => {
                    self.identity = Some(Identity { id: response.producer_id, epoch: response.producer_epoch });
                    return;
                }
                Err(error) => error,
            },
            Ok(_) => ClientError::Disconnected,
            Err(error) => error,
        };
        if !error.is_retriable() {
            for batch in self.accumulator.expire(|_| true) {
                self.fail(batch, &error);
            }
        }
    }

    /// A new epoch, in which each partition's next batch begins anew: after the broker and we disagree about what was written. With it,
    /// what is still on its way to the broker under the old one is refused.
    fn reset_identity(&mut self) {
        let next = |now: Identity| Some(Identity { epoch: now.epoch.checked_add(1)?, ..now });
        self.identity = self.identity.and_then(next);
    }

    fn take_outcomes(&mut self, now: Monotonic) {
        while let Some((id, outcome)) = self.network.next_completion() {
            if self.identity_request == Some(id) {
                self.identity_outcome(outcome, now);
            } else {
                self.outcome(id, outcome, now);
            }
        }
    }

    fn outcome(&mut self, id: RequestId, outcome: Outcome, now: Monotonic) {
        let Some(batches) = self.in_flight.remove(&id) else { return };
        let answer = match outcome {
            Ok(Some(AnyResponse::Produce(response))) => Ok(results(response)),
            Ok(_) => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        // Back in front in the order of before.
        for batch in batches.into_iter().rev() {
            self.muted.remove(&batch.partition);
            match &answer {
                Err(error) => self.failed(batch, error, now),
                Ok(_) if self.config.acks == 0 => self.delivered(batch, -1, -1),
                Ok(results) => match results.get(&batch.partition) {
                    Some(result) => self.answered(batch, result, now),
                    None => self.failed(batch, &ClientError::Disconnected, now),
                },
            }
        }
    }

    fn answered(&mut self, batch: Batch, result: &produce::ResponsePartition, now: Monotonic) {
        let code = result.error_code;
        match code {
            ErrorCode::NONE => self.delivered(batch, result.base_offset, result.log_append_time_ms),
            // It was written by an earlier sending whose answer was lost.
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => self.delivered(batch, -1, -1),
            ErrorCode::MESSAGE_TOO_LARGE if batch.records.len() > 1 => {
                self.network.warn(
                    LOGGER,
                    &format!(
                        "Got error produce response on topic-partition {}, splitting and retrying. Error: {code}",
                        batch.partition
                    ),
                );
                if self.config.idempotent {
                    self.reset_identity();
                }
                self.accumulator.split(batch);
            }
            _ => self.failed(batch, &ClientError::Broker { code, message: result.error_message.clone() }, now),
        }
    }

    fn delivered(&mut self, batch: Batch, base_offset: i64, log_append_time_ms: i64) {
        for (place, (id, record)) in (0_i64..).zip(batch.records) {
            let offset = if base_offset < 0 { -1 } else { base_offset + place };
            let timestamp_ms = if log_append_time_ms < 0 { record.timestamp_ms } else { log_append_time_ms };
            let delivered = Delivered { partition: batch.partition.clone(), offset, timestamp_ms };
            self.finish(id, &record, Ok(delivered));
        }
    }

    fn failed(&mut self, mut batch: Batch, error: &ClientError, now: Monotonic) {
        if error.code().is_none_or(ErrorCode::invalidates_metadata) {
            self.network.want_update();
        }
        let in_time = batch.created_at.plus_ms(self.config.delivery_timeout_ms) > now;
        if error.is_retriable() && batch.attempts < self.config.retries && in_time {
            self.traffic.topic(&batch.partition.topic).retries += batch.records.len() as u64;
            let left = self.config.retries - batch.attempts - 1;
            if let Some(code) = error.code() {
                self.network.warn(LOGGER, &format!(
                    "Got error produce response on topic-partition {}, retrying ({left} attempts left). Error: {code}",
                    batch.partition
                ));
            }
            batch.attempts += 1;
            batch.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
            self.accumulator.push_front(batch);
        } else {
            if self.config.idempotent {
                // Its sequence numbers are missing from the log for good.
                self.reset_identity();
            }
            self.fail(batch, error);
        }
    }
}

impl Machine for Producer {
    fn handle(&mut self, input: Input, now: Now) {
        self.network.handle(input, now.monotonic);
    }

    fn advance(&mut self, now: Now) {
        let now = now.monotonic;
        self.network.advance(now);
        loop {
            self.take_outcomes(now);
            self.place_waiting(now);
            self.expire(now);
            while self.drain(now) {
                self.network.advance(now);
            }
            self.network.advance(now);
            // What needs no answer is complete at once.
            if !self.network.has_completion() {
                break;
            }
        }
        if self.flushing && self.is_idle() {
            self.flushing = false;
        }
        // What was ready and could not go is woken by its broker's inputs, or looked at again after a moment.
        let look_again = now.plus_ms(self.config.network.retry_backoff_ms.max(1));
        self.wake_at = self.accumulator.deadline().map(|ready| if ready <= now { look_again } else { ready });
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        self.network.take_effects()
    }

    fn deadline(&self) -> Option<Monotonic> {
        let unplaced = self.unplaced.iter().map(|(_, _, deadline)| *deadline).min();
        self.network.deadline().into_iter().chain(unplaced).chain(self.wake_at).min()
    }
}

/// What a record counts against `buffer.memory`.
fn buffered_len(record: &ProducerRecord) -> usize {
    const OVERHEAD: usize = 61 + 21;
    let headers: usize =
        record.headers.iter().map(|(key, value)| 10 + key.len() + value.as_ref().map_or(0, Bytes::len)).sum();
    OVERHEAD + record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len) + headers
}

fn results(response: produce::Response) -> BTreeMap<TopicPartition, produce::ResponsePartition> {
    let topics = response.topics.into_iter();
    let partitions = topics.flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |partition| {
            (TopicPartition { topic: name.clone(), partition: partition.partition_index }, partition)
        })
    });
    partitions.collect()
}
