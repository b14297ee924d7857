//! Fetched bytes made records: batch by batch, without control records and aborted transactions (upstream: `Fetcher`).

use std::collections::{BTreeSet, VecDeque};

use base::Str;
use bytes::Bytes;
use kafka_proto::messages::fetch::AbortedTransaction;
use kafka_proto::record::{
    Batch, BatchView, Batches, Codec, EndTransactionMarker, LegacyMessage, RecordError, TimestampType, inner_messages,
};

use crate::ClientError;
use crate::metadata::TopicPartition;

/// What one batch may decompress to.
const DECOMPRESSED_BYTES_MAX: u64 = i32::MAX as u64;

/// A record as consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970; -1 if it has none.
    pub timestamp_ms: i64,
    /// What the timestamp means; `None` for records without one.
    pub timestamp_type: Option<TimestampType>,
    /// Key, or null.
    pub key: Option<Bytes>,
    /// Value, or null.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(Str, Option<Bytes>)>,
}

/// Fetched bytes of one partition, decoded as they are asked for.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) partition: TopicPartition,
    /// The next offset: of the record that is handed out next, or behind the last one.
    pub(crate) position: i64,
    /// Of the batch in front of the position, or of what was read before; `None` if that is not known.
    pub(crate) leader_epoch: Option<i32>,
    bytes: Bytes,
    at: usize,
    /// By first offset; `None` to read everything.
    aborted: Option<VecDeque<AbortedTransaction>>,
    aborting: BTreeSet<i64>,
    check_crcs: bool,
    records: VecDeque<ConsumedRecord>,
    /// Offset behind the batch that `records` are of.
    batch_end: i64,
}

impl Fetched {
    pub(crate) fn new(
        partition: TopicPartition,
        position: i64,
        bytes: Bytes,
        aborted: Option<Vec<AbortedTransaction>>,
        check_crcs: bool,
    ) -> Self {
        let aborted = aborted.map(|mut aborted| {
            aborted.sort_by_key(|transaction| transaction.first_offset);
            aborted.into()
        });
        Self {
            partition,
            position,
            leader_epoch: None,
            bytes,
            at: 0,
            aborted,
            aborting: BTreeSet::new(),
            check_crcs,
            records: VecDeque::new(),
            batch_end: position,
        }
    }

    /// The next record; `None` when all is read.
    pub(crate) fn next(&mut self) -> Result<Option<ConsumedRecord>, ClientError> {
        loop {
            if let Some(record) = self.records.pop_front() {
                self.position = record.offset + 1;
                return Ok(Some(record));
            }
            // Compaction and control records leave gaps at a batch's end.
            self.position = self.position.max(self.batch_end);
            if !self.next_batch()? {
                return Ok(None);
            }
        }
    }

    fn broken(&self, error: &RecordError) -> ClientError {
        ClientError::Records(format!(
            "Received exception when fetching the next record from {}. If needed, please seek past the record to continue \
             consumption. {error}",
            self.partition
        ))
    }

    fn next_batch(&mut self) -> Result<bool, ClientError> {
        let bytes = self.bytes.clone();
        let mut batches = Batches::new(bytes.get(self.at..).unwrap_or_default());
        let Some(batch) = batches.next() else { return Ok(false) };
        let batch = batch.map_err(|error| self.broken(&error))?;
        if self.check_crcs {
            batch.verify().map_err(|error| self.broken(&error))?;
        }
        self.leader_epoch = match &batch {
            BatchView::V2(batch) => Some(batch.leader_epoch()).filter(|epoch| *epoch >= 0),
            BatchView::Legacy(_) => None,
        };
        match &batch {
            BatchView::V2(batch) => self.read_batch(batch),
            BatchView::Legacy(message) => self.read_message(message),
        }
        .map_err(|error| self.broken(&error))?;
        self.at += batch.size();
        self.batch_end = batch.last_offset() + 1;
        Ok(true)
    }

    fn read_batch(&mut self, batch: &Batch<'_>) -> Result<(), RecordError> {
        if self.passes_over(batch)? {
            return Ok(());
        }
        let shared = batch.codec()? == Codec::None;
        let mut reader = batch.records(DECOMPRESSED_BYTES_MAX)?;
        while let Some(record) = reader.next()? {
            let offset = batch.base_offset() + i64::from(record.offset_delta);
            if offset < self.position {
                continue;
            }
            let view = |slice: &[u8]| if shared { self.bytes.slice_ref(slice) } else { Bytes::copy_from_slice(slice) };
            let headers = record
                .headers
                .iter()
                .map(|header| (Str::from(String::from_utf8_lossy(header.key).into_owned()), header.value.map(view)));
            let consumed = ConsumedRecord {
                partition: self.partition.clone(),
                offset,
                timestamp_ms: batch.timestamp(record.timestamp_delta),
                timestamp_type: Some(batch.timestamp_type()),
                key: record.key.map(view),
                value: record.value.map(view),
                headers: headers.collect(),
            };
            self.records.push_back(consumed);
        }
        Ok(())
    }

    /// Whether a batch is not for the user: control records, and what an aborted transaction wrote.
    fn passes_over(&mut self, batch: &Batch<'_>) -> Result<bool, RecordError> {
        if let Some(aborted) = &mut self.aborted {
            while aborted.front().is_some_and(|transaction| transaction.first_offset <= batch.last_offset()) {
                self.aborting.extend(aborted.pop_front().map(|transaction| transaction.producer_id));
            }
            if batch.is_control() {
                if EndTransactionMarker::of_batch(batch)?.is_some_and(|marker| !marker.commit) {
                    self.aborting.remove(&batch.producer_id());
                }
            } else if batch.is_transactional() && self.aborting.contains(&batch.producer_id()) {
                return Ok(true);
            }
        }
        Ok(batch.is_control())
    }

    fn read_message(&mut self, message: &LegacyMessage<'_>) -> Result<(), RecordError> {
        let (partition, position) = (&self.partition, self.position);
        let records = &mut self.records;
        inner_messages(message, DECOMPRESSED_BYTES_MAX, |inner| {
            if inner.offset >= position {
                let (key, value) = inner.message.key_value()?;
                records.push_back(ConsumedRecord {
                    partition: partition.clone(),
                    offset: inner.offset,
                    timestamp_ms: inner.timestamp,
                    timestamp_type: message.timestamp_type(),
                    key: key.map(Bytes::copy_from_slice),
                    value: value.map(Bytes::copy_from_slice),
                    headers: Vec::new(),
                });
            }
            Ok::<(), RecordError>(())
        })
    }
}
