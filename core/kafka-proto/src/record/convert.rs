//! Down-conversion for consumers that fetch with old versions (upstream: `RecordsUtil.downConvert`,
//! `LazyDownConversionRecords`). Fetch v0 and v1 read magic 0, v2 and v3 magic 1.

use super::batch::Batches;
use super::legacy::inner_messages;
use super::{
    Batch, BatchView, BuilderOptions, Codec, LOG_OVERHEAD, LegacyMessage, Magic, NO_TIMESTAMP, RecordError,
    RecordsBuilder, TimestampType,
};

/// What [`down_convert`] made of a piece of the log.
#[derive(Clone, Debug, Default)]
pub struct DownConverted {
    /// The converted batches; empty if everything was dropped.
    pub bytes: Vec<u8>,
    /// How many bytes of the input that covers; the next call goes on there.
    pub consumed: usize,
}

/// Converts batches from the start of `input` until `bytes_max` bytes of output are reached; at least one batch,
/// whatever its size. What has no form in `magic` is dropped: control batches, headers, record by record the offsets
/// below
/// `first_offset` of an uncompressed batch (librdkafka relies on it).
///
/// Batches of `magic` or older are taken over as they are. A zstd batch fails with
/// [`RecordError::UnsupportedCompression`], unless some output precedes it: then it ends the piece.
/// `output_max` bounds the decompressed bytes of each batch.
pub fn down_convert(
    input: &[u8],
    magic: Magic,
    first_offset: i64,
    bytes_max: usize,
    output_max: u64,
) -> Result<DownConverted, RecordError> {
    let mut converted = DownConverted::default();
    let mut batches = Batches::new(input);
    while let Some(view) = batches.next().transpose()? {
        let started = !converted.bytes.is_empty();
        if started && converted.bytes.len() + view.size() > bytes_max {
            break;
        }
        match convert_batch(&view, magic, first_offset, output_max, &mut converted.bytes) {
            Err(RecordError::UnsupportedCompression(_)) if started => break,
            result => result?,
        }
        converted.consumed = input.len() - batches.rest().len();
    }
    Ok(converted)
}

fn convert_batch(
    view: &BatchView<'_>,
    magic: Magic,
    first_offset: i64,
    output_max: u64,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    match view {
        BatchView::V2(batch) if batch.is_control() => Ok(()),
        BatchView::V2(batch) => convert_v2(batch, magic, first_offset, output_max, out),
        BatchView::Legacy(message) if message.magic() <= magic => {
            out.extend_from_slice(message.bytes());
            Ok(())
        }
        BatchView::Legacy(message) => convert_legacy(message, magic, first_offset, output_max, out),
    }
}

/// Starts a legacy set at its first record: that is where relative offsets count from.
struct Target {
    options: BuilderOptions,
    builder: Option<RecordsBuilder>,
    /// Records before this are dropped.
    first_offset: i64,
}

impl Target {
    fn new(magic: Magic, view: &BatchView<'_>, first_offset: i64) -> Result<Self, RecordError> {
        let codec = view.codec()?;
        if codec == Codec::Zstd {
            return Err(RecordError::UnsupportedCompression(
                "Down-conversion of zstandard-compressed batches is not supported",
            ));
        }
        let mut options = BuilderOptions::new(magic, codec);
        options.timestamp_type = view.timestamp_type().unwrap_or_default();
        if options.timestamp_type == TimestampType::LogAppendTime {
            options.log_append_time_ms = view.max_timestamp();
        }
        let first_offset = if codec == Codec::None { first_offset } else { i64::MIN };
        Ok(Self { options, builder: None, first_offset })
    }

    fn append(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), RecordError> {
        if offset < self.first_offset {
            return Ok(());
        }
        let builder = match &mut self.builder {
            Some(builder) => builder,
            none => {
                self.options.base_offset = offset;
                none.insert(RecordsBuilder::new(self.options)?)
            }
        };
        builder.append_at(offset, timestamp.max(NO_TIMESTAMP), key, value, &[])
    }

    fn finish(self, out: &mut Vec<u8>) {
        if let Some(built) = self.builder.and_then(RecordsBuilder::build) {
            out.extend_from_slice(&built.bytes);
        }
    }
}

fn convert_v2(
    batch: &Batch<'_>,
    magic: Magic,
    first_offset: i64,
    output_max: u64,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    if magic == Magic::V2 {
        out.extend_from_slice(batch.header());
        out.extend_from_slice(batch.body());
        return Ok(());
    }
    let mut target = Target::new(magic, &BatchView::V2(*batch), first_offset)?;
    let mut records = batch.records(output_max)?;
    while let Some(record) = records.next()? {
        let offset = batch.base_offset().wrapping_add(i64::from(record.offset_delta));
        target.append(offset, batch.timestamp(record.timestamp_delta), record.key, record.value)?;
    }
    target.finish(out);
    Ok(())
}

fn convert_legacy(
    message: &LegacyMessage<'_>,
    magic: Magic,
    first_offset: i64,
    output_max: u64,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let mut target = Target::new(magic, &BatchView::Legacy(*message), first_offset)?;
    inner_messages(message, output_max, |inner| {
        let (key, value) = inner.message.key_value()?;
        target.append(inner.offset, inner.timestamp, key, value)
    })?;
    target.finish(out);
    Ok(())
}

/// A batch that claims to be longer than the response: what a converted piece is filled up with to the size that was
/// promised for it. Consumers take it for a batch cut short. `length` bytes, at least 12.
pub fn overflow_batch(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length.max(LOG_OVERHEAD)];
    let size = (length + 1).max(super::HEADER_LEN) as i32;
    for (place, byte) in bytes.iter_mut().zip((-1_i64).to_be_bytes().into_iter().chain(size.to_be_bytes())) {
        *place = byte;
    }
    bytes
}
