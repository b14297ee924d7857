//! Builds one batch of magic 2, or a set of messages of magic 0 or 1 (upstream: `MemoryRecordsBuilder`).
//!
//! Records pass through the codec as they come, so what is held is the compressed output and a block.

use bytes::Bytes;

use super::batch::HeaderFields;
use super::compression::Encoder;
use super::legacy::{LegacyFields, message_overhead, write_message};
use super::records::{Header, record_len, write_record};
use super::{
    Codec, EndTransactionMarker, HEADER_LEN, Magic, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, RecordError, TimestampType,
};

/// Encoded records are handed to the codec in pieces of about this size.
const STAGING_LEN: usize = 16 * 1024;
/// The original's allowance for a batch that compresses worse than the ones before.
const ESTIMATE_FACTOR: f32 = 1.05;

/// What a builder is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct BuilderOptions {
    /// Format to write.
    pub magic: Magic,
    /// Compression to write.
    pub codec: Codec,
    /// Meaning of the timestamps (magic 1 and 2).
    pub timestamp_type: TimestampType,
    /// Time of the append, for [`TimestampType::LogAppendTime`].
    pub log_append_time_ms: i64,
    /// Offset that deltas count from.
    pub base_offset: i64,
    /// Epoch of the leader, or -1.
    pub leader_epoch: i32,
    /// Producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
}

impl BuilderOptions {
    /// A batch of `magic` with create times, offsets from 0, and no producer.
    pub const fn new(magic: Magic, codec: Codec) -> Self {
        Self {
            magic,
            codec,
            timestamp_type: TimestampType::CreateTime,
            log_append_time_ms: NO_TIMESTAMP,
            base_offset: 0,
            leader_epoch: NO_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            transactional: false,
            control: false,
        }
    }
}

/// A finished batch or message set.
#[derive(Clone, Debug)]
pub struct Built {
    /// The bytes.
    pub bytes: Bytes,
    /// Number of records.
    pub count: i32,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Largest timestamp, or -1.
    pub max_timestamp: i64,
    /// Offset that the time index is to name for it: of the batch's last record, or, where each record is a batch, of
    /// the record that has it.
    pub offset_of_max_timestamp: i64,
    /// Bytes of the records before compression.
    pub uncompressed_len: usize,
}

/// Takes records in and makes a batch of them.
pub struct RecordsBuilder {
    options: BuilderOptions,
    encoder: Encoder,
    /// Encoded records that the codec has not seen.
    staging: Vec<u8>,
    /// Output of the codec, behind room for the header.
    output: Vec<u8>,
    compression_ratio: f32,
    uncompressed_len: usize,
    count: i32,
    first_timestamp: i64,
    last_offset: i64,
    max_timestamp: i64,
    offset_of_max_timestamp: i64,
}

impl RecordsBuilder {
    /// A builder. Formats before magic 2 know neither producers nor zstd.
    pub fn new(options: BuilderOptions) -> Result<Self, RecordError> {
        let extended = options.transactional || options.control || options.producer_id != NO_PRODUCER_ID;
        if options.magic < Magic::V2 && extended {
            return Err(RecordError::Unsupported("Idempotent, transactional and control records need magic v2"));
        }
        if options.magic < Magic::V2 && options.codec == Codec::Zstd {
            return Err(RecordError::UnsupportedCompression("ZStandard compression is not supported before magic v2"));
        }
        let header_len = header_len(&options);
        Ok(Self {
            options,
            encoder: Encoder::new(options.codec, options.magic),
            staging: Vec::new(),
            output: vec![0; header_len],
            compression_ratio: 1.0,
            uncompressed_len: 0,
            count: 0,
            first_timestamp: NO_TIMESTAMP,
            last_offset: options.base_offset.saturating_sub(1),
            max_timestamp: NO_TIMESTAMP,
            offset_of_max_timestamp: -1,
        })
    }

    /// Number of records so far.
    pub const fn count(&self) -> i32 {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch as far as the codec has written it: a lower bound of the final size.
    pub const fn written_len(&self) -> usize {
        self.output.len()
    }

    /// How well earlier batches compressed (compressed by uncompressed size), for [`RecordsBuilder::estimated_len`].
    pub const fn set_compression_ratio(&mut self, ratio: f32) {
        self.compression_ratio = ratio;
    }

    /// Estimate of the batch's size as it stands.
    pub fn estimated_len(&self) -> usize {
        let header_len = header_len(&self.options);
        match self.options.codec {
            Codec::None => header_len + self.uncompressed_len,
            _ => header_len + (self.uncompressed_len as f32 * self.compression_ratio * ESTIMATE_FACTOR) as usize,
        }
    }

    /// Whether a further record keeps the estimate within `limit`. The first record always fits.
    pub fn has_room_for(
        &self,
        limit: usize,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> bool {
        if self.count == 0 {
            return true;
        }
        let length = if self.options.magic == Magic::V2 {
            let offset_delta = self.last_offset.wrapping_add(1).wrapping_sub(self.options.base_offset);
            record_len(offset_delta as i32, timestamp.wrapping_sub(self.first_timestamp), key, value, headers)
        } else {
            message_overhead(self.options.magic) + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)
        };
        self.estimated_len() + length <= limit
    }

    /// Appends a record at the next offset.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), RecordError> {
        self.append_at(self.last_offset.wrapping_add(1), timestamp, key, value, headers)
    }

    /// Appends a record. Offsets grow; headers need magic 2; a timestamp is -1 or at least 0.
    pub fn append_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), RecordError> {
        let BuilderOptions { magic, base_offset, .. } = self.options;
        if offset <= self.last_offset {
            return Err(RecordError::Unsupported("Offsets must increase monotonically"));
        }
        let Some(offset_delta) = offset.checked_sub(base_offset).and_then(|delta| i32::try_from(delta).ok()) else {
            return Err(RecordError::Unsupported("Maximum offset delta exceeded"));
        };
        if timestamp < NO_TIMESTAMP {
            return Err(RecordError::Unsupported("Invalid negative timestamp"));
        }
        if magic < Magic::V2 && !headers.is_empty() {
            return Err(RecordError::Unsupported("Magic v0 and v1 do not support record headers"));
        }
        if self.count == 0 {
            self.first_timestamp = timestamp;
        }
        let staged = self.staging.len();
        let timestamp = if magic == Magic::V2 {
            let timestamp_delta = timestamp.wrapping_sub(self.first_timestamp);
            write_record(&mut self.staging, offset_delta, timestamp_delta, key, value, headers);
            timestamp
        } else {
            self.append_message(offset, timestamp, key, value)
        };
        self.uncompressed_len += self.staging.len() - staged;
        self.count += 1;
        self.last_offset = offset;
        if magic > Magic::V0 && timestamp > self.max_timestamp {
            self.max_timestamp = timestamp;
            self.offset_of_max_timestamp = offset;
        }
        if self.staging.len() >= STAGING_LEN {
            self.encoder.write(&self.staging, &mut self.output);
            self.staging.clear();
        }
        Ok(())
    }

    /// Appends the record that ends a transaction, to a control batch.
    pub fn append_marker(&mut self, timestamp: i64, marker: &EndTransactionMarker) -> Result<(), RecordError> {
        if !self.options.control || !self.options.transactional || self.options.producer_id == NO_PRODUCER_ID {
            return Err(RecordError::Unsupported("End transaction marker needs a transactional control batch"));
        }
        self.append(timestamp, Some(&marker.key()), Some(&marker.value()), &[])
    }

    /// Stages a message of magic 0 or 1; its timestamp as written.
    fn append_message(&mut self, offset: i64, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> i64 {
        let BuilderOptions { magic, codec, timestamp_type, log_append_time_ms, base_offset, .. } = self.options;
        let timestamp = match timestamp_type {
            TimestampType::CreateTime => timestamp,
            TimestampType::LogAppendTime => log_append_time_ms,
        };
        let relative = magic == Magic::V1 && codec != Codec::None;
        let offset = if relative { offset - base_offset } else { offset };
        let fields = LegacyFields { magic, offset, codec: Codec::None, timestamp_type, timestamp };
        write_message(&mut self.staging, &fields, key, value);
        timestamp
    }

    /// The finished batch; `None` without records.
    pub fn build(mut self) -> Option<Built> {
        if self.count == 0 {
            return None;
        }
        self.encoder.write(&self.staging, &mut self.output);
        let BuilderOptions { magic, codec, timestamp_type, .. } = self.options;
        let max_timestamp = match timestamp_type {
            TimestampType::LogAppendTime => self.options.log_append_time_ms,
            TimestampType::CreateTime => self.max_timestamp,
        };
        let mut output = std::mem::take(&mut self.output);
        self.encoder.finish(&mut output);
        if magic == Magic::V2 {
            let fields =
                header_fields(&self.options, self.count, self.last_offset, self.first_timestamp, max_timestamp);
            let (place, body) = output.split_first_chunk_mut::<HEADER_LEN>().expect("room was made at the start");
            *place = *fields.header(body).bytes();
        } else if codec != Codec::None {
            let value = output.split_off(header_len(&self.options));
            output.clear();
            let fields =
                LegacyFields { magic, offset: self.last_offset, codec, timestamp_type, timestamp: max_timestamp };
            write_message(&mut output, &fields, None, Some(&value));
        }
        // The time index names batches, and a plain legacy message is one.
        let offset_of_max_timestamp = match timestamp_type {
            _ if magic == Magic::V2 || codec != Codec::None => self.last_offset,
            TimestampType::LogAppendTime => self.options.base_offset,
            TimestampType::CreateTime if max_timestamp == NO_TIMESTAMP => self.last_offset,
            TimestampType::CreateTime => self.offset_of_max_timestamp,
        };
        Some(Built {
            bytes: Bytes::from(output),
            count: self.count,
            last_offset: self.last_offset,
            max_timestamp,
            offset_of_max_timestamp,
            uncompressed_len: self.uncompressed_len,
        })
    }
}

/// Bytes in front of the records: a batch's header, a wrapper's fields, or nothing.
const fn header_len(options: &BuilderOptions) -> usize {
    match (options.magic, options.codec) {
        (Magic::V2, _) => HEADER_LEN,
        (_, Codec::None) => 0,
        (magic, _) => message_overhead(magic),
    }
}

fn header_fields(
    options: &BuilderOptions,
    count: i32,
    last_offset: i64,
    base_timestamp: i64,
    max_timestamp: i64,
) -> HeaderFields {
    HeaderFields {
        base_offset: options.base_offset,
        leader_epoch: options.leader_epoch,
        codec: options.codec,
        timestamp_type: options.timestamp_type,
        transactional: options.transactional,
        control: options.control,
        last_offset_delta: (last_offset - options.base_offset) as i32,
        base_timestamp,
        max_timestamp,
        producer_id: options.producer_id,
        producer_epoch: options.producer_epoch,
        base_sequence: options.base_sequence,
        count,
    }
}

/// The control batch that ends a producer's transaction, ready to be appended by the leader.
pub fn end_transaction_batch(
    producer_id: i64,
    producer_epoch: i16,
    timestamp: i64,
    marker: &EndTransactionMarker,
) -> Result<Bytes, RecordError> {
    let mut options = BuilderOptions::new(Magic::V2, Codec::None);
    options.producer_id = producer_id;
    options.producer_epoch = producer_epoch;
    options.transactional = true;
    options.control = true;
    let mut builder = RecordsBuilder::new(options)?;
    builder.append_marker(timestamp, marker)?;
    Ok(builder.build().map(|built| built.bytes).unwrap_or_default())
}
