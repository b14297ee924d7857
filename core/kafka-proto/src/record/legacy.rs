//! Messages of magic 0 and 1 (upstream: `LegacyRecord`, `AbstractLegacyRecordBatch`).
//!
//! A message is a batch of its own: offset, size, CRC-32, magic, attributes, with magic 1 a timestamp, key, value. If
//! its attributes name a codec, the value holds the compressed inner messages, and the offset is the last one's. With
//! magic 0 inner offsets are absolute; with magic 1 they are relative to the first.

use super::compression::{Decoder, Window};
use super::cursor::Cursor;
use super::{Codec, LOG_OVERHEAD, MAGIC_AT, Magic, NO_TIMESTAMP, RecordError, TimestampType};

/// Bytes of a message of magic 0 without offset, size, key and value.
pub(super) const MESSAGE_OVERHEAD_V0: usize = 14;
/// As [`MESSAGE_OVERHEAD_V0`], with the timestamp of magic 1.
const MESSAGE_OVERHEAD_V1: usize = 22;
const CRC_AT: usize = 12;
const ATTRIBUTES_AT: usize = 17;
const TIMESTAMP_AT: usize = 18;
const TIMESTAMP_TYPE_BIT: u8 = 8;

/// Bytes of a message of `magic` that are neither key nor value, offset and size included.
pub const fn message_overhead(magic: Magic) -> usize {
    LOG_OVERHEAD + if matches!(magic, Magic::V0) { MESSAGE_OVERHEAD_V0 } else { MESSAGE_OVERHEAD_V1 }
}

/// One message of magic 0 or 1 with its offset and size, exactly as long as the size says.
#[derive(Clone, Copy, Debug)]
pub struct LegacyMessage<'a> {
    bytes: &'a [u8],
    magic: Magic,
}

impl<'a> LegacyMessage<'a> {
    /// A view of `bytes`, which hold one whole message and nothing else. Checksum, key and value are not checked.
    pub fn new(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let magic = bytes.get(MAGIC_AT).copied().unwrap_or(0);
        let magic = match Magic::from_byte(magic) {
            Some(known) if known < Magic::V2 => known,
            _ => return Err(RecordError::Magic { magic }),
        };
        let overhead = message_overhead(magic);
        if bytes.len() < overhead {
            let size = bytes.len().saturating_sub(LOG_OVERHEAD) as i32;
            return Err(RecordError::TooSmall { size, min: overhead - LOG_OVERHEAD });
        }
        Ok(Self { bytes, magic })
    }

    fn array_at<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().expect("the length was checked for this magic")
    }

    /// The whole message.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The format: 0 or 1.
    pub const fn magic(&self) -> Magic {
        self.magic
    }

    /// Length in bytes with offset and size.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Offset of the message; of the last inner one, if it is a wrapper.
    pub fn offset(&self) -> i64 {
        i64::from_be_bytes(self.array_at(0))
    }

    fn attributes(&self) -> u8 {
        let [attributes] = self.array_at(ATTRIBUTES_AT);
        attributes
    }

    /// Compression of the inner messages; without, this is a plain message.
    pub fn codec(&self) -> Result<Codec, RecordError> {
        Codec::from_attributes(self.attributes())
    }

    /// What the timestamp means; `None` with magic 0.
    pub fn timestamp_type(&self) -> Option<TimestampType> {
        match self.magic {
            Magic::V0 => None,
            _ if self.attributes() & TIMESTAMP_TYPE_BIT == 0 => Some(TimestampType::CreateTime),
            _ => Some(TimestampType::LogAppendTime),
        }
    }

    /// The timestamp; -1 with magic 0.
    pub fn timestamp(&self) -> i64 {
        match self.magic {
            Magic::V0 => NO_TIMESTAMP,
            _ => i64::from_be_bytes(self.array_at(TIMESTAMP_AT)),
        }
    }

    /// CRC-32 as stored.
    pub fn checksum(&self) -> u32 {
        u32::from_be_bytes(self.array_at(CRC_AT))
    }

    /// CRC-32 of the bytes that it covers: from the magic to the end.
    pub fn computed_checksum(&self) -> u32 {
        crc32fast::hash(self.bytes.get(MAGIC_AT..).unwrap_or_default())
    }

    /// Fails with [`RecordError::Checksum`] unless the checksum fits.
    pub fn verify(&self) -> Result<(), RecordError> {
        let (stored, computed) = (self.checksum(), self.computed_checksum());
        if stored == computed { Ok(()) } else { Err(RecordError::Checksum { stored, computed }) }
    }

    /// Key and value; `None` is null.
    #[expect(clippy::type_complexity, reason = "a pair of nullable slices, taken apart at once")]
    pub fn key_value(&self) -> Result<(Option<&'a [u8]>, Option<&'a [u8]>), RecordError> {
        let fields = if self.magic == Magic::V0 { TIMESTAMP_AT } else { TIMESTAMP_AT + 8 };
        let mut rest = Cursor(self.bytes.get(fields..).unwrap_or_default());
        let mut nullable = || match usize::try_from(i32::from_be_bytes(rest.array()?)) {
            Ok(length) => rest.take(length).map(Some),
            Err(_) => Ok(None),
        };
        Ok((nullable()?, nullable()?))
    }
}

/// A message inside of a wrapper, with what it takes over from there.
#[derive(Clone, Copy, Debug)]
pub struct InnerMessage<'a> {
    /// The message as it stands inside; its own offset is the relative one with magic 1.
    pub message: LegacyMessage<'a>,
    /// Absolute offset.
    pub offset: i64,
    /// Its own timestamp, or the wrapper's where that is the log append time.
    pub timestamp: i64,
}

/// Reads messages in a row out of a compressed value.
struct InnerReader<'a> {
    decoder: Decoder<'a>,
    window: Window,
}

impl<'a> InnerReader<'a> {
    fn new(wrapper: &LegacyMessage<'a>, output_max: u64) -> Result<Self, RecordError> {
        let codec = wrapper.codec()?;
        if codec == Codec::Zstd {
            return Err(RecordError::Invalid("Invalid wrapper compressionType found in legacy deep record iterator"));
        }
        let (_, value) = wrapper.key_value()?;
        let value = value.ok_or(RecordError::Invalid("Found invalid compressed record set with null value"))?;
        Ok(Self { decoder: Decoder::new(codec, wrapper.magic, value, output_max)?, window: Window::new() })
    }

    fn ensure(&mut self, length: usize) -> Result<bool, RecordError> {
        while self.window.bytes().len() < length {
            if !self.decoder.fill(&mut self.window)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next message; one cut short ends the row, as in the original.
    fn next(&mut self) -> Result<Option<LegacyMessage<'_>>, RecordError> {
        if !self.ensure(LOG_OVERHEAD)? {
            return Ok(None);
        }
        let size = self.window.bytes().get(8..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        let size = i32::from_be_bytes(size);
        let len = usize::try_from(size).unwrap_or(0);
        if len < MESSAGE_OVERHEAD_V0 {
            return Err(RecordError::TooSmall { size, min: MESSAGE_OVERHEAD_V0 });
        }
        if !self.ensure(LOG_OVERHEAD + len)? {
            return Ok(None);
        }
        LegacyMessage::new(self.window.take(LOG_OVERHEAD + len)).map(Some)
    }
}

/// Hands each message inside of `wrapper` to `visit`, up to `output_max` decompressed bytes. A message without
/// compression is handed over itself.
///
/// The inner messages are decompressed twice where their offsets are relative, since the last one tells the first
/// one's.
pub fn inner_messages<E: From<RecordError>>(
    wrapper: &LegacyMessage<'_>,
    output_max: u64,
    mut visit: impl FnMut(InnerMessage<'_>) -> Result<(), E>,
) -> Result<(), E> {
    if wrapper.codec()? == Codec::None {
        let (offset, timestamp) = (wrapper.offset(), wrapper.timestamp());
        return visit(InnerMessage { message: *wrapper, offset, timestamp });
    }
    let base = inner_base_offset(wrapper, output_max)?;
    let append_time = (wrapper.timestamp_type() == Some(TimestampType::LogAppendTime)).then(|| wrapper.timestamp());
    let mut reader = InnerReader::new(wrapper, output_max)?;
    while let Some(message) = reader.next()? {
        if message.codec()? != Codec::None {
            return Err(RecordError::Invalid("Inner messages must not be compressed").into());
        }
        let timestamp = match append_time {
            Some(time) if message.magic == Magic::V1 => time,
            _ => message.timestamp(),
        };
        visit(InnerMessage { message, offset: base.wrapping_add(message.offset()), timestamp })?;
    }
    Ok(())
}

/// What is added to inner offsets to make them absolute.
fn inner_base_offset(wrapper: &LegacyMessage<'_>, output_max: u64) -> Result<i64, RecordError> {
    let mut reader = InnerReader::new(wrapper, output_max)?;
    let mut last = None;
    while let Some(message) = reader.next()? {
        last = Some(message.offset());
    }
    let last = last.ok_or(RecordError::Invalid("Found invalid compressed record set with no inner records"))?;
    match wrapper.offset() {
        _ if wrapper.magic == Magic::V0 => Ok(0),
        // Some versions of librdkafka produce wrappers of offset 0 around relative offsets.
        0 => Ok(0),
        offset if offset < last => Err(RecordError::WrapperOffset { wrapper: offset, inner: last }),
        offset => Ok(offset.wrapping_sub(last)),
    }
}

/// Appends a message to `out`. A wrapper is written with [`LegacyFields::codec`] and its compressed inner messages as
/// value.
pub(super) fn write_message(out: &mut Vec<u8>, fields: &LegacyFields, key: Option<&[u8]>, value: Option<&[u8]>) {
    let start = out.len();
    let length = message_overhead(fields.magic) + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    out.extend_from_slice(&fields.offset.to_be_bytes());
    out.extend_from_slice(&((length - LOG_OVERHEAD) as i32).to_be_bytes());
    // The checksum's place.
    out.extend_from_slice(&[0; 4]);
    out.push(fields.magic.byte());
    let mut attributes = fields.codec.id();
    if fields.magic == Magic::V1 && fields.timestamp_type == TimestampType::LogAppendTime {
        attributes |= TIMESTAMP_TYPE_BIT;
    }
    out.push(attributes);
    if fields.magic == Magic::V1 {
        out.extend_from_slice(&fields.timestamp.to_be_bytes());
    }
    for nullable in [key, value] {
        let length = nullable.map_or(-1, |bytes| bytes.len() as i32);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(nullable.unwrap_or_default());
    }
    seal(out.get_mut(start..).unwrap_or_default());
}

/// Makes the checksum of the one message in `bytes` anew.
fn seal(bytes: &mut [u8]) {
    let checksum = crc32fast::hash(bytes.get(MAGIC_AT..).unwrap_or_default());
    put(bytes, CRC_AT, checksum.to_be_bytes());
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(field) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = value;
    }
}

/// Sets the offset of the one message in `bytes`. Not under the checksum.
pub fn set_message_offset(bytes: &mut [u8], offset: i64) {
    put(bytes, 0, offset.to_be_bytes());
}

/// Sets type and value of the timestamp of the one message of magic 1 in `bytes`, and makes its checksum anew.
pub fn set_message_timestamp(bytes: &mut [u8], kind: TimestampType, timestamp: i64) {
    let attributes = bytes.get(ATTRIBUTES_AT).copied().unwrap_or_default();
    let attributes = match kind {
        TimestampType::CreateTime => attributes & !TIMESTAMP_TYPE_BIT,
        TimestampType::LogAppendTime => attributes | TIMESTAMP_TYPE_BIT,
    };
    put(bytes, ATTRIBUTES_AT, [attributes]);
    put(bytes, TIMESTAMP_AT, timestamp.to_be_bytes());
    seal(bytes);
}

/// Everything in a message but key and value.
#[derive(Clone, Copy, Debug)]
pub(super) struct LegacyFields {
    pub(super) magic: Magic,
    pub(super) offset: i64,
    pub(super) codec: Codec,
    pub(super) timestamp_type: TimestampType,
    /// Not written with magic 0.
    pub(super) timestamp: i64,
}
