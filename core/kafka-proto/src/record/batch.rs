//! Batches in a row, and the header of magic 2 (upstream: `DefaultRecordBatch`, `ByteBufferLogInputStream`).

use super::legacy::{LegacyMessage, MESSAGE_OVERHEAD_V0};
use super::{Codec, LOG_OVERHEAD, Magic, NO_SEQUENCE, RecordError, RecordReader, TimestampType};

/// Bytes of a magic 2 header, the first of the records' bytes behind it.
pub const HEADER_LEN: usize = 61;
/// Where the magic byte of every format stands, counted from the batch's start.
pub const MAGIC_AT: usize = 16;
/// Where a magic 2 header holds its leader epoch (4 bytes, not under the checksum).
pub const LEADER_EPOCH_AT: usize = 12;

const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const BASE_TIMESTAMP_AT: usize = 27;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const COUNT_AT: usize = 57;

const TIMESTAMP_TYPE_BIT: u16 = 8;
const TRANSACTIONAL_BIT: u16 = 16;
const CONTROL_BIT: u16 = 32;

/// One batch of magic 2: a header of 61 bytes and its records, exactly as long as its length field says.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    header: &'a [u8; HEADER_LEN],
    records: &'a [u8],
}

impl<'a> Batch<'a> {
    /// A view of `bytes`, which hold one whole batch of magic 2 and nothing else. The checksum is not checked.
    pub fn new(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let Some((header, records)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(RecordError::TooSmall { size: bytes.len() as i32, min: HEADER_LEN });
        };
        let batch = Self { header, records };
        let magic = batch.u8_at(MAGIC_AT);
        if magic != Magic::V2.byte() {
            return Err(RecordError::Magic { magic });
        }
        let size = batch.i32_at(8);
        if usize::try_from(size).ok() != Some(bytes.len() - LOG_OVERHEAD) {
            return Err(RecordError::TooSmall { size, min: bytes.len() - LOG_OVERHEAD });
        }
        Ok(batch)
    }

    fn array_at<const N: usize>(&self, at: usize) -> [u8; N] {
        self.header.get(at..).and_then(<[u8]>::first_chunk).copied().expect("fields lie inside of the header")
    }

    fn u8_at(&self, at: usize) -> u8 {
        let [byte] = self.array_at(at);
        byte
    }

    fn i32_at(&self, at: usize) -> i32 {
        i32::from_be_bytes(self.array_at(at))
    }

    fn i64_at(&self, at: usize) -> i64 {
        i64::from_be_bytes(self.array_at(at))
    }

    /// The header's bytes.
    pub const fn header(&self) -> &'a [u8; HEADER_LEN] {
        self.header
    }

    /// The records' bytes, compressed or not.
    pub const fn body(&self) -> &'a [u8] {
        self.records
    }

    /// Length of the whole batch in bytes.
    pub const fn size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// Offset of the first record.
    pub fn base_offset(&self) -> i64 {
        self.i64_at(0)
    }

    /// Offset of the last record; after compaction, the one that it had before.
    pub fn last_offset(&self) -> i64 {
        self.base_offset().wrapping_add(i64::from(self.last_offset_delta()))
    }

    /// Distance from the base offset to the last one.
    pub fn last_offset_delta(&self) -> i32 {
        self.i32_at(LAST_OFFSET_DELTA_AT)
    }

    /// Epoch of the leader that appended the batch.
    pub fn leader_epoch(&self) -> i32 {
        self.i32_at(LEADER_EPOCH_AT)
    }

    /// CRC-32C as stored.
    pub fn checksum(&self) -> u32 {
        u32::from_be_bytes(self.array_at(CRC_AT))
    }

    /// CRC-32C of the bytes that it covers: from the attributes to the end.
    pub fn computed_checksum(&self) -> u32 {
        checksum_of(self.header, self.records)
    }

    /// Fails with [`RecordError::Checksum`] unless the checksum fits.
    pub fn verify(&self) -> Result<(), RecordError> {
        let (stored, computed) = (self.checksum(), self.computed_checksum());
        if stored == computed { Ok(()) } else { Err(RecordError::Checksum { stored, computed }) }
    }

    /// All 16 bits of the attributes.
    pub fn attributes(&self) -> u16 {
        u16::from_be_bytes(self.array_at(ATTRIBUTES_AT))
    }

    /// Compression of the records.
    pub fn codec(&self) -> Result<Codec, RecordError> {
        Codec::from_attributes(self.attributes() as u8)
    }

    /// What the timestamps mean.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL_BIT != 0
    }

    /// Whether the records are control records (transaction markers), which consumers never see.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL_BIT != 0
    }

    /// Timestamp that the records' deltas count from: create time of the first one, whatever the timestamp type.
    pub fn base_timestamp(&self) -> i64 {
        self.i64_at(BASE_TIMESTAMP_AT)
    }

    /// Largest timestamp; with log append time, the one of every record.
    pub fn max_timestamp(&self) -> i64 {
        self.i64_at(MAX_TIMESTAMP_AT)
    }

    /// Id of the idempotent producer, or -1.
    pub fn producer_id(&self) -> i64 {
        self.i64_at(PRODUCER_ID_AT)
    }

    /// Epoch of the producer, or -1.
    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(self.array_at(PRODUCER_EPOCH_AT))
    }

    /// Sequence number of the first record, or -1.
    pub fn base_sequence(&self) -> i32 {
        self.i32_at(BASE_SEQUENCE_AT)
    }

    /// Sequence number of the last record, or -1.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence() {
            NO_SEQUENCE => NO_SEQUENCE,
            base => increment_sequence(base, self.last_offset_delta()),
        }
    }

    /// How many records the header says there are.
    pub fn count(&self) -> i32 {
        self.i32_at(COUNT_AT)
    }

    /// The timestamp of a record with this delta.
    pub fn timestamp(&self, delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp().wrapping_add(delta),
            TimestampType::LogAppendTime => self.max_timestamp(),
        }
    }

    /// Walks the records: in place if they are not compressed, else through a bounded window, up to `output_max`
    /// decompressed bytes.
    pub fn records(&self, output_max: u64) -> Result<RecordReader<'a>, RecordError> {
        RecordReader::new(self, output_max)
    }
}

/// CRC-32C of a batch whose header is `header` and whose records are `body`.
fn checksum_of(header: &[u8; HEADER_LEN], body: &[u8]) -> u32 {
    let covered = header.get(ATTRIBUTES_AT..).expect("the header is longer");
    // A header followed by its body in one buffer is the usual case, but nothing promises that here.
    crc32c::crc32c_append(crc32c::crc32c(covered), body)
}

/// `sequence + increment`, wrapping from `i32::MAX` to 0. Both are at least 0.
pub const fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    // The mask turns i32::MAX + 1 into 0.
    sequence.wrapping_add(increment) & i32::MAX
}

/// `sequence - decrement`, wrapping from 0 to `i32::MAX`. Both are at least 0.
pub const fn decrement_sequence(sequence: i32, decrement: i32) -> i32 {
    sequence.wrapping_sub(decrement) & i32::MAX
}

/// A magic 2 header taken out of its batch, to be changed and put in front of the same or other records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader([u8; HEADER_LEN]);

impl BatchHeader {
    /// A copy of a batch's header.
    pub fn of(batch: &Batch<'_>) -> Self {
        Self(*batch.header)
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8; HEADER_LEN] {
        &self.0
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        let field = self.0.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
        *field.expect("fields lie inside of the header") = value;
    }

    /// Sets the offset of the first record. Not under the checksum.
    pub fn set_base_offset(&mut self, offset: i64) {
        self.put(0, offset.to_be_bytes());
    }

    /// Sets the leader epoch. Not under the checksum.
    pub fn set_leader_epoch(&mut self, epoch: i32) {
        self.put(LEADER_EPOCH_AT, epoch.to_be_bytes());
    }

    /// Sets timestamp type and largest timestamp, and makes the checksum anew over this header and `body`.
    pub fn set_max_timestamp(&mut self, kind: TimestampType, max_timestamp: i64, body: &[u8]) {
        let attributes = Batch { header: &self.0, records: body }.attributes();
        let attributes = match kind {
            TimestampType::CreateTime => attributes & !TIMESTAMP_TYPE_BIT,
            TimestampType::LogAppendTime => attributes | TIMESTAMP_TYPE_BIT,
        };
        self.put(ATTRIBUTES_AT, attributes.to_be_bytes());
        self.put(MAX_TIMESTAMP_AT, max_timestamp.to_be_bytes());
        self.put(CRC_AT, checksum_of(&self.0, body).to_be_bytes());
    }
}

/// Everything in a magic 2 header that its writer chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderFields {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Epoch of the leader.
    pub leader_epoch: i32,
    /// Compression of the body.
    pub codec: Codec,
    /// Meaning of the timestamps.
    pub timestamp_type: TimestampType,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
    /// Distance to the last offset.
    pub last_offset_delta: i32,
    /// What the records' deltas count from.
    pub base_timestamp: i64,
    /// Largest timestamp.
    pub max_timestamp: i64,
    /// Producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

impl HeaderFields {
    /// The header for `body`, checksum included.
    pub fn header(&self, body: &[u8]) -> BatchHeader {
        let mut attributes = u16::from(self.codec.id());
        for (set, bit) in [
            (self.timestamp_type == TimestampType::LogAppendTime, TIMESTAMP_TYPE_BIT),
            (self.transactional, TRANSACTIONAL_BIT),
            (self.control, CONTROL_BIT),
        ] {
            attributes |= if set { bit } else { 0 };
        }
        let mut header = BatchHeader([0; HEADER_LEN]);
        header.set_base_offset(self.base_offset);
        header.put(8, ((HEADER_LEN - LOG_OVERHEAD + body.len()) as i32).to_be_bytes());
        header.set_leader_epoch(self.leader_epoch);
        header.put(MAGIC_AT, [Magic::V2.byte()]);
        header.put(ATTRIBUTES_AT, attributes.to_be_bytes());
        header.put(LAST_OFFSET_DELTA_AT, self.last_offset_delta.to_be_bytes());
        header.put(BASE_TIMESTAMP_AT, self.base_timestamp.to_be_bytes());
        header.put(MAX_TIMESTAMP_AT, self.max_timestamp.to_be_bytes());
        header.put(PRODUCER_ID_AT, self.producer_id.to_be_bytes());
        header.put(PRODUCER_EPOCH_AT, self.producer_epoch.to_be_bytes());
        header.put(BASE_SEQUENCE_AT, self.base_sequence.to_be_bytes());
        header.put(COUNT_AT, self.count.to_be_bytes());
        header.put(CRC_AT, checksum_of(&header.0, body).to_be_bytes());
        header
    }
}

/// A batch of any magic.
#[derive(Clone, Copy, Debug)]
pub enum BatchView<'a> {
    /// Magic 2.
    V2(Batch<'a>),
    /// One message of magic 0 or 1, perhaps a wrapper.
    Legacy(LegacyMessage<'a>),
}

impl<'a> BatchView<'a> {
    /// A view of `bytes`, which hold exactly one batch.
    pub fn new(bytes: &'a [u8]) -> Result<Self, RecordError> {
        match bytes.get(MAGIC_AT) {
            Some(2) => Batch::new(bytes).map(Self::V2),
            _ => LegacyMessage::new(bytes).map(Self::Legacy),
        }
    }

    /// The format.
    pub fn magic(&self) -> Magic {
        match self {
            Self::V2(_) => Magic::V2,
            Self::Legacy(message) => message.magic(),
        }
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        match self {
            Self::V2(batch) => batch.last_offset(),
            Self::Legacy(message) => message.offset(),
        }
    }

    /// Length of the whole batch in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::V2(batch) => batch.size(),
            Self::Legacy(message) => message.size(),
        }
    }

    /// Compression of the records.
    pub fn codec(&self) -> Result<Codec, RecordError> {
        match self {
            Self::V2(batch) => batch.codec(),
            Self::Legacy(message) => message.codec(),
        }
    }

    /// Largest timestamp, -1 if none.
    pub fn max_timestamp(&self) -> i64 {
        match self {
            Self::V2(batch) => batch.max_timestamp(),
            Self::Legacy(message) => message.timestamp(),
        }
    }

    /// What the timestamps mean; `None` for magic 0, which has none.
    pub fn timestamp_type(&self) -> Option<TimestampType> {
        match self {
            Self::V2(batch) => Some(batch.timestamp_type()),
            Self::Legacy(message) => message.timestamp_type(),
        }
    }

    /// Fails unless the checksum fits.
    pub fn verify(&self) -> Result<(), RecordError> {
        match self {
            Self::V2(batch) => batch.verify(),
            Self::Legacy(message) => message.verify(),
        }
    }
}

/// The batches that lie in a row in a buffer. A batch cut short at the end ends the row silently, as a fetch may cut
/// anywhere; [`Batches::rest`] tells what was left.
#[derive(Clone, Copy, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The batches from the start of `buffer`.
    pub const fn new(buffer: &'a [u8]) -> Self {
        Self { rest: buffer }
    }

    /// What has not been handed out yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Size in bytes of the batch that starts here, from its first 17 bytes; `None` if fewer are there.
    pub fn next_size(&self) -> Result<Option<usize>, RecordError> {
        let Some(size) = self.rest.get(8..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
        let size = i32::from_be_bytes(*size);
        let len = usize::try_from(size).unwrap_or(0);
        // The smallest message is one of magic 0; each format checks its own size later.
        if len < MESSAGE_OVERHEAD_V0 {
            return Err(RecordError::TooSmall { size, min: MESSAGE_OVERHEAD_V0 });
        }
        match self.rest.get(MAGIC_AT) {
            None => Ok(None),
            Some(0..=2) => Ok(Some(LOG_OVERHEAD + len)),
            Some(&magic) => Err(RecordError::Magic { magic }),
        }
    }

    fn step(&mut self) -> Result<Option<BatchView<'a>>, RecordError> {
        let Some(size) = self.next_size()? else { return Ok(None) };
        let Some((bytes, rest)) = self.rest.split_at_checked(size) else { return Ok(None) };
        let view = BatchView::new(bytes)?;
        self.rest = rest;
        Ok(Some(view))
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            // An error is told once, then the row ends.
            self.rest = &[];
        }
        step.transpose()
    }
}
