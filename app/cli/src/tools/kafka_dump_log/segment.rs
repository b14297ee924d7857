//! `.log`: batches, and the records in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use kafka_proto::record::{
    Batch, BatchView, Codec, ControlType, EndTransactionMarker, LOG_OVERHEAD, LegacyMessage, MAGIC_AT, Magic,
    RecordError, TimestampType, increment_sequence, inner_messages,
};

use super::{Dump, OUTPUT_MAX, absolute, base_offset, open, unreadable};
use crate::console::{Console, Thrown};

/// The smallest record: one of magic 0.
const RECORD_LEN_MIN: i32 = 14;

/// Reads one batch after the other.
pub(super) struct Segment {
    file: File,
    path: PathBuf,
    len: u64,
    position: u64,
}

impl Segment {
    pub(super) fn open(path: &Path) -> Result<Self, Thrown> {
        let file = open(path)?;
        let len = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        Ok(Self { file, path: path.to_owned(), len, position: 0 })
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// The next batch is the one at this place.
    pub(super) const fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// The bytes of the next batch; none at the end, or where one is cut short.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Thrown> {
        let left = self.len.saturating_sub(self.position);
        if left <= MAGIC_AT as u64 {
            return Ok(None);
        }
        let mut head = [0; LOG_OVERHEAD];
        self.read(&mut head)?;
        let size = head.last_chunk().map_or(0, |size| i32::from_be_bytes(*size));
        if size < RECORD_LEN_MIN {
            return Err(corrupt(format!(
                "Found record size {size} smaller than minimum record overhead ({RECORD_LEN_MIN}) in file {}.",
                self.path.display()
            )));
        }
        let len = LOG_OVERHEAD as u64 + u64::from(size.unsigned_abs());
        if len > left {
            return Ok(None);
        }
        let mut bytes = vec![0; len as usize];
        self.read(&mut bytes)?;
        self.position += len;
        Ok(Some(bytes))
    }

    fn read(&self, buffer: &mut [u8]) -> Result<(), Thrown> {
        self.file.read_exact_at(buffer, self.position).map_err(|error| unreadable(&self.path, &error))
    }
}

fn corrupt(message: impl std::fmt::Display) -> Thrown {
    Thrown::new("org.apache.kafka.common.errors.CorruptRecordException", message)
}

/// A batch of any format; the error is the exception that reading it ends with.
pub(super) fn view(bytes: &[u8]) -> Result<BatchView<'_>, Thrown> {
    BatchView::new(bytes).map_err(corrupt)
}

/// Offsets that do not follow each other, by file.
#[derive(Default)]
pub(super) struct Gaps(BTreeMap<String, Vec<(i64, i64)>>);

impl Gaps {
    pub(super) fn print(&self, console: &mut Console<'_>) {
        for (file, pairs) in &self.0 {
            console.error_line(format_args!("Non-consecutive offsets in {file}"));
            for (first, second) in pairs.iter().rev() {
                console.error_line(format_args!("  {first} is followed by {second}"));
            }
        }
    }
}

impl Dump {
    pub(super) fn log(&mut self, path: &Path, console: &mut Console<'_>) -> Result<(), Thrown> {
        self.decoders.as_ref().map_err(Thrown::clone)?;
        console.line(format_args!("Starting offset: {}", base_offset(path)?));
        let mut segment = Segment::open(path)?;
        let mut valid_bytes = 0;
        let mut last_offset = -1;
        let file = absolute(path);
        while let Some(bytes) = segment.next()? {
            let batch = view(&bytes)?;
            console.line(batch_line(&batch, valid_bytes)?);
            if self.goes_deep {
                let mut gaps = Vec::new();
                self.records(&batch, console, &mut |offset| {
                    if last_offset != -1 && offset != last_offset + 1 {
                        gaps.push((last_offset, offset));
                    }
                    last_offset = offset;
                })?;
                if !gaps.is_empty() {
                    self.gaps.0.entry(file.clone()).or_default().extend(gaps);
                }
            }
            valid_bytes += bytes.len() as u64;
        }
        if segment.len() > valid_bytes {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            console.line(format_args!("Found {} invalid bytes at the end of {name}", segment.len() - valid_bytes));
        }
        Ok(())
    }

    fn records(
        &self,
        batch: &BatchView<'_>,
        console: &mut Console<'_>,
        seen: &mut dyn FnMut(i64),
    ) -> Result<(), Thrown> {
        match batch {
            BatchView::V2(batch) => {
                let mut reader = batch.records(OUTPUT_MAX).map_err(corrupt)?;
                while let Some(record) = reader.next().map_err(corrupt)? {
                    let offset = batch.base_offset() + i64::from(record.offset_delta);
                    seen(offset);
                    self.print_record(batch, offset, &record, console)?;
                }
                Ok(())
            }
            BatchView::Legacy(wrapper) => inner_messages(wrapper, OUTPUT_MAX, |inner| {
                seen(inner.offset);
                self.print_message(wrapper, inner.offset, inner.timestamp, &inner.message, console)
            })
            .map_err(|Failed(thrown)| thrown),
        }
    }

    fn print_record(
        &self,
        batch: &Batch<'_>,
        offset: i64,
        record: &kafka_proto::record::Record<'_>,
        console: &mut Console<'_>,
    ) -> Result<(), Thrown> {
        let timestamp = match batch.timestamp_type() {
            TimestampType::LogAppendTime => batch.max_timestamp(),
            TimestampType::CreateTime => batch.timestamp(record.timestamp_delta),
        };
        let sequence = match batch.base_sequence() {
            none @ ..0 => none,
            base => increment_sequence(base, record.offset_delta),
        };
        let headers: Vec<String> =
            record.headers.iter().map(|header| String::from_utf8_lossy(header.key).into_owned()).collect();
        let mut line = record_start(offset, Some(batch.timestamp_type()), timestamp, record.key, record.value);
        line += &format!(" sequence: {sequence} headerKeys: [{}]", headers.join(","));
        if batch.is_control() {
            line += &control(record.key, record.value)?;
        } else if self.prints_data {
            line += &self.decoders.as_ref().map_err(Thrown::clone)?.text(record.key, record.value)?;
        }
        console.line(line);
        Ok(())
    }

    fn print_message(
        &self,
        wrapper: &LegacyMessage<'_>,
        offset: i64,
        timestamp: i64,
        message: &LegacyMessage<'_>,
        console: &mut Console<'_>,
    ) -> Result<(), Failed> {
        let (key, value) = message.key_value()?;
        let mut line = record_start(offset, wrapper.timestamp_type(), timestamp, key, value);
        line += &format!(" crc: {} isvalid: {}", message.checksum(), message.verify().is_ok());
        if self.prints_data {
            line += &self
                .decoders
                .as_ref()
                .map_err(Thrown::clone)
                .and_then(|decoders| decoders.text(key, value))
                .map_err(Failed)?;
        }
        console.line(line);
        Ok(())
    }
}

struct Failed(Thrown);

impl From<RecordError> for Failed {
    fn from(error: RecordError) -> Self {
        Self(corrupt(error))
    }
}

/// The largest timestamp of a batch's records.
pub(super) fn max_timestamp(batch: &BatchView<'_>) -> Result<i64, Thrown> {
    let mut max = -1;
    match batch {
        BatchView::V2(batch) => {
            let mut reader = batch.records(OUTPUT_MAX).map_err(corrupt)?;
            while let Some(record) = reader.next().map_err(corrupt)? {
                max = max.max(match batch.timestamp_type() {
                    TimestampType::LogAppendTime => batch.max_timestamp(),
                    TimestampType::CreateTime => batch.timestamp(record.timestamp_delta),
                });
            }
        }
        BatchView::Legacy(wrapper) => inner_messages(wrapper, OUTPUT_MAX, |inner| -> Result<(), Failed> {
            max = max.max(inner.timestamp);
            Ok(())
        })
        .map_err(|Failed(thrown)| thrown)?,
    }
    Ok(max)
}

fn batch_line(batch: &BatchView<'_>, position: u64) -> Result<String, Thrown> {
    let (mut line, checksum, magic) = match batch {
        BatchView::V2(batch) => (
            format!(
                "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
                 partitionLeaderEpoch: {} isTransactional: {} isControl: {}",
                batch.base_offset(),
                batch.last_offset(),
                batch.count(),
                batch.base_sequence(),
                batch.last_sequence(),
                batch.producer_id(),
                batch.producer_epoch(),
                batch.leader_epoch(),
                batch.is_transactional(),
                batch.is_control()
            ),
            batch.checksum(),
            2,
        ),
        BatchView::Legacy(message) => {
            (format!("offset: {}", message.offset()), message.checksum(), u8::from(message.magic() == Magic::V1))
        }
    };
    let codec = match batch.codec().map_err(Thrown::illegal_argument)? {
        Codec::None => "NONE",
        Codec::Gzip => "GZIP",
        Codec::Snappy => "SNAPPY",
        Codec::Lz4 => "LZ4",
        Codec::Zstd => "ZSTD",
    };
    line += &format!(
        " position: {position} {}: {} size: {} magic: {magic} compresscodec: {codec} crc: {checksum} isvalid: {}",
        timestamp_name(batch.timestamp_type()),
        batch.max_timestamp(),
        batch.size(),
        batch.verify().is_ok()
    );
    Ok(line)
}

fn record_start(
    offset: i64,
    kind: Option<TimestampType>,
    timestamp: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> String {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let kind = timestamp_name(kind);
    format!("| offset: {offset} {kind}: {timestamp} keysize: {} valuesize: {}", size(key), size(value))
}

const fn timestamp_name(kind: Option<TimestampType>) -> &'static str {
    match kind {
        None => "NoTimestampType",
        Some(TimestampType::CreateTime) => "CreateTime",
        Some(TimestampType::LogAppendTime) => "LogAppendTime",
    }
}

fn control(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String, Thrown> {
    let invalid = |error: RecordError| Thrown::new("org.apache.kafka.common.InvalidRecordException", error);
    Ok(match ControlType::from_key(key.unwrap_or_default()).map_err(invalid)? {
        ControlType::Other(id) => format!(" controlType: UNKNOWN({id})"),
        ControlType::Abort | ControlType::Commit => {
            match EndTransactionMarker::from_record(key, value).map_err(invalid)? {
                Some(marker) => {
                    let kind = if marker.commit { "COMMIT" } else { "ABORT" };
                    format!(" endTxnMarker: {kind} coordinatorEpoch: {}", marker.coordinator_epoch)
                }
                None => String::new(),
            }
        }
    })
}
