//! Records that wait to be sent, in batches by partition (upstream: `RecordAccumulator`, `ProducerBatch`).

use std::collections::{BTreeMap, VecDeque};

use base::Monotonic;
use bytes::Bytes;
use kafka_proto::record::{BuilderOptions, Codec, HEADER_LEN, Header, Magic, RecordsBuilder, record_len};

use crate::ClientError;
use crate::metadata::TopicPartition;
use crate::producer::{ProducerRecord, RecordId};

/// Records of one partition that travel together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) partition: TopicPartition,
    pub(crate) records: Vec<(RecordId, ProducerRecord)>,
    pub(crate) created_at: Monotonic,
    /// Sendings that failed.
    pub(crate) attempts: u32,
    /// Not sent again before.
    pub(crate) retry_at: Monotonic,
    /// Whether nothing more goes in.
    pub(crate) closed: bool,
    /// Its bytes, once it was encoded.
    pub(crate) encoded: Option<Encoded>,
    /// Uncompressed size of the records so far.
    len: usize,
}

/// A batch as it is sent, also when it is sent again.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) magic: Magic,
    pub(crate) bytes: Bytes,
}

/// What goes into a batch's header beside its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) magic: Magic,
    pub(crate) codec: Codec,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

impl Batch {
    fn new(partition: TopicPartition, now: Monotonic) -> Self {
        Self {
            partition,
            records: Vec::new(),
            created_at: now,
            attempts: 0,
            retry_at: Monotonic::default(),
            closed: false,
            encoded: None,
            len: HEADER_LEN,
        }
    }

    fn push(&mut self, id: RecordId, record: ProducerRecord) {
        self.len += self.len_of(&record);
        self.records.push((id, record));
    }

    fn len_of(&self, record: &ProducerRecord) -> usize {
        let first = self.records.first().map_or(record.timestamp_ms, |(_, first)| first.timestamp_ms);
        let delta = record.timestamp_ms.wrapping_sub(first);
        let headers = headers(record);
        record_len(self.records.len() as i32, delta, record.key.as_deref(), record.value.as_deref(), &headers)
    }

    /// Encodes the batch, with nothing more to go in.
    pub(crate) fn encode(&mut self, stamp: Stamp) -> Result<usize, ClientError> {
        let broken = |error: kafka_proto::record::RecordError| ClientError::Records(error.to_string());
        let mut builder = RecordsBuilder::new(BuilderOptions {
            producer_id: stamp.producer_id,
            producer_epoch: stamp.producer_epoch,
            base_sequence: stamp.base_sequence,
            ..BuilderOptions::new(stamp.magic, stamp.codec)
        })
        .map_err(broken)?;
        for (_, record) in &self.records {
            let headers = headers(record);
            builder
                .append(record.timestamp_ms, record.key.as_deref(), record.value.as_deref(), &headers)
                .map_err(broken)?;
        }
        let built = builder.build().ok_or_else(|| ClientError::Illegal("an empty batch".to_owned()))?;
        self.closed = true;
        let uncompressed_len = built.uncompressed_len.max(1);
        self.encoded = Some(Encoded { magic: stamp.magic, bytes: built.bytes });
        Ok(uncompressed_len)
    }
}

fn headers(record: &ProducerRecord) -> Vec<Header<'_>> {
    record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect()
}

/// Batches by partition, oldest first.
#[derive(Debug)]
pub(crate) struct Accumulator {
    batches: BTreeMap<TopicPartition, VecDeque<Batch>>,
    batch_bytes: usize,
    linger_ms: u64,
    /// Compressed by uncompressed size of earlier batches: how many records fill one.
    ratio: f32,
    compressed: bool,
}

impl Accumulator {
    pub(crate) const fn new(batch_bytes: usize, linger_ms: u64, codec: Codec) -> Self {
        let compressed = !matches!(codec, Codec::None);
        Self { batches: BTreeMap::new(), batch_bytes, linger_ms, ratio: 1.0, compressed }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.values().all(VecDeque::is_empty)
    }

    /// Whether the partition's last batch takes the record.
    pub(crate) fn has_room(&self, partition: &TopicPartition, record: &ProducerRecord) -> bool {
        let last = self.batches.get(partition).and_then(VecDeque::back);
        last.is_some_and(|batch| {
            let ratio = if self.compressed { self.ratio * 1.05 } else { 1.0 };
            let estimate = ((batch.len + batch.len_of(record)) as f32 * ratio) as usize;
            !batch.closed && estimate <= self.batch_bytes
        })
    }

    /// Adds a record to its partition's last batch, or to a new one.
    pub(crate) fn push(&mut self, partition: &TopicPartition, id: RecordId, record: ProducerRecord, now: Monotonic) {
        let room = self.has_room(partition, &record);
        let queue = self.batches.entry(partition.clone()).or_default();
        if !room {
            if let Some(last) = queue.back_mut() {
                last.closed = true;
            }
            queue.push_back(Batch::new(partition.clone(), now));
        }
        if let Some(last) = queue.back_mut() {
            last.push(id, record);
            last.closed |= last.len >= self.batch_bytes && !self.compressed;
        }
    }

    /// Partitions whose first batch may be sent: full, old enough, or hurried.
    pub(crate) fn ready(&self, now: Monotonic, hurried: bool) -> Vec<TopicPartition> {
        let ready = self.batches.iter().filter(|(_, queue)| {
            queue.front().is_some_and(|batch| self.ready_at(batch, queue.len() > 1 || hurried) <= now)
        });
        ready.map(|(partition, _)| partition.clone()).collect()
    }

    fn ready_at(&self, batch: &Batch, full: bool) -> Monotonic {
        let filled = if full || batch.closed { batch.created_at } else { batch.created_at.plus_ms(self.linger_ms) };
        filled.max(batch.retry_at)
    }

    /// When the next batch becomes ready.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        let fronts = self.batches.values().filter_map(|queue| Some((queue.front()?, queue.len() > 1)));
        fronts.map(|(batch, full)| self.ready_at(batch, full)).min()
    }

    /// The first batch of a partition, to look at.
    pub(crate) fn front_mut(&mut self, partition: &TopicPartition) -> Option<&mut Batch> {
        self.batches.get_mut(partition)?.front_mut()
    }

    /// Takes the first batch of a partition out.
    pub(crate) fn pop(&mut self, partition: &TopicPartition) -> Option<Batch> {
        let queue = self.batches.get_mut(partition)?;
        let batch = queue.pop_front();
        if queue.is_empty() {
            self.batches.remove(partition);
        }
        batch
    }

    /// Puts a batch back in front, to be sent again.
    pub(crate) fn push_front(&mut self, batch: Batch) {
        self.batches.entry(batch.partition.clone()).or_default().push_front(batch);
    }

    /// Puts the two halves of a batch that a broker found too large in its place.
    pub(crate) fn split(&mut self, mut batch: Batch) {
        let tail = batch.records.split_off(batch.records.len() / 2);
        for records in [tail, batch.records] {
            let mut half = Batch::new(batch.partition.clone(), batch.created_at);
            for (id, record) in records {
                half.push(id, record);
            }
            half.closed = true;
            self.push_front(half);
        }
    }

    /// Takes out the batches that were made before `limit`.
    pub(crate) fn expire(&mut self, limit: impl Fn(&Batch) -> bool) -> Vec<Batch> {
        let mut expired = Vec::new();
        for queue in self.batches.values_mut() {
            let (late, kept): (VecDeque<Batch>, VecDeque<Batch>) = std::mem::take(queue).into_iter().partition(&limit);
            *queue = kept;
            expired.extend(late);
        }
        self.batches.retain(|_, queue| !queue.is_empty());
        expired
    }

    /// Learns how well batches compress.
    pub(crate) fn observe(&mut self, compressed: usize, uncompressed: usize) {
        let seen = compressed as f32 / uncompressed as f32;
        // As the original: quick to grow, slow to shrink.
        self.ratio = if seen > self.ratio { (self.ratio + 0.05).max(seen) } else { (self.ratio - 0.005).max(seen) };
    }
}
