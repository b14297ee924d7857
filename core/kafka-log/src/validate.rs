//! What a leader does to records before they enter its log (upstream: `LogValidator` and
//! `Log.analyzeAndValidateRecords`), cut in two.
//!
//! [`check`] does all that is costly, outside of any lock: checksums, the walk over the records, timestamps,
//! compression and conversion. [`Checked::assign`] is what is left under the partition's lock: it writes the first
//! offset and the leader epoch into the batch's header of 61 bytes; the records' bytes stay where the request put
//! them.

mod messages;
mod prepared;
mod rebuild;
mod survey;

use base::Str;
use bytes::Bytes;
use kafka_proto::record::{
    Batch, BatchHeader, BatchView, Batches, Codec, ErrorKind, HEADER_LEN, Magic, NO_PRODUCER_ID, NO_TIMESTAMP,
    RecordError as ProtoError, TimestampType,
};
use smallvec::SmallVec;

pub use prepared::{BatchInfo, Checked, Prepared};

use crate::{LogConfig, Origin, TopicPartition};
use prepared::Content;
use survey::Survey;

/// Compressed records may decompress to this many bytes, which costs time but hardly memory; beyond, they are refused.
pub(crate) const DECOMPRESSED_LEN_MAX: u64 = 256 << 20;

/// The request that brings the records.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// The partition, for messages.
    pub partition: &'a TopicPartition,
    /// Who appends: clients are believed least.
    pub origin: Origin,
    /// Version of the Produce request; for coordinators of this broker, the newest.
    pub produce_version: i16,
    /// Whether `inter.broker.protocol.version` is 2.1 or later, so that zstd may be stored.
    pub zstd_allowed: bool,
    /// The broker's clock, milliseconds since 1970.
    pub now_ms: i64,
}

/// A record that made its batch be refused (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Index of the record in its batch.
    pub batch_index: i32,
    /// What is wrong with it.
    pub message: Str,
}

/// Why records are refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecords {
    /// CORRUPT_MESSAGE (2).
    #[error("{0}")]
    Corrupt(String),
    /// MESSAGE_TOO_LARGE (10).
    #[error("a batch of {size} bytes exceeds the maximum configured size of {size_max}")]
    TooLarge {
        /// Size of the batch in bytes.
        size: usize,
        /// `max.message.bytes`.
        size_max: u32,
    },
    /// INVALID_RECORD (87).
    #[error("{0}")]
    Invalid(String),
    /// INVALID_TIMESTAMP (32) or INVALID_RECORD (87), record by record.
    #[error("One or more records have been rejected{}", if *invalid_timestamp { " due to invalid timestamp" } else { "" })]
    Rejected {
        /// Whether a timestamp is among the causes: that decides the code.
        invalid_timestamp: bool,
        /// The records in order.
        records: Vec<RecordError>,
    },
    /// UNSUPPORTED_FOR_MESSAGE_FORMAT (43).
    #[error("{0}")]
    UnsupportedForMessageFormat(&'static str),
    /// UNSUPPORTED_COMPRESSION_TYPE (76).
    #[error("{0}")]
    UnsupportedCompression(&'static str),
    /// A leader's batches are not in order of their offsets: UNKNOWN_SERVER_ERROR (-1).
    #[error("out of order offsets found in append: {last_offset} after {previous}")]
    OutOfOrder {
        /// Last offset of a batch.
        last_offset: i64,
        /// Last offset of the batch before it.
        previous: i64,
    },
    /// UNKNOWN_SERVER_ERROR (-1), as the original answers what its codecs throw.
    #[error("{0}")]
    Unreadable(String),
}

impl InvalidRecords {
    /// The protocol's error code.
    pub const fn code(&self) -> i16 {
        match self {
            Self::Corrupt(_) => 2,
            Self::TooLarge { .. } => 10,
            Self::Invalid(_) | Self::Rejected { invalid_timestamp: false, .. } => 87,
            Self::Rejected { invalid_timestamp: true, .. } => 32,
            Self::UnsupportedForMessageFormat(_) => 43,
            Self::UnsupportedCompression(_) => 76,
            Self::OutOfOrder { .. } | Self::Unreadable(_) => -1,
        }
    }

    /// What Produce v8 answers beside the code: per-record errors and a message (KIP-467); for other errors, neither.
    pub fn details(&self) -> Option<(&[RecordError], String)> {
        match self {
            Self::Rejected { records, .. } => Some((records, self.to_string())),
            _ => None,
        }
    }
}

impl From<ProtoError> for InvalidRecords {
    fn from(error: ProtoError) -> Self {
        match (error.kind(), &error) {
            (_, ProtoError::UnsupportedCompression(what)) => Self::UnsupportedCompression(what),
            (ErrorKind::Corrupt, _) => Self::Corrupt(error.to_string()),
            (ErrorKind::Invalid, _) => Self::Invalid(error.to_string()),
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

/// Checks records and makes them ready to be given offsets. Takes no lock and may take milliseconds.
///
/// Bytes behind the last whole batch are passed over. With [`Origin::Replication`] offsets stay and the records
/// themselves are not looked at, as the leader has.
pub fn check(records: &Bytes, config: &LogConfig, append: &Append<'_>) -> Result<Checked, InvalidRecords> {
    if append.origin == Origin::Replication {
        return check_replicated(records);
    }
    if append.origin == Origin::Client && append.produce_version >= 3 {
        check_request(records, append.produce_version)?;
    }
    let (views, size) = check_batches(records, config, append)?;
    let Some(first) = views.first() else { return Ok(Checked::empty()) };
    let mut source = Codec::None;
    for view in &views {
        source = match view.codec()? {
            Codec::None => source,
            codec => codec,
        };
    }
    let rules = Rules::new(config, append, source)?;
    match first {
        BatchView::V2(batch) if views.len() == 1 => check_v2(batch, records.slice(HEADER_LEN..size), &rules),
        BatchView::Legacy(_) if views.len() == 1 || source == Codec::None => messages::check(&views, &rules),
        _ => Err(InvalidRecords::Invalid("more than one batch where one is allowed".to_owned())),
    }
}

/// What the topic's settings and the request come to.
struct Rules<'a> {
    append: &'a Append<'a>,
    config: &'a LogConfig,
    magic: Magic,
    source: Codec,
    target: Codec,
    timestamp_type: TimestampType,
}

impl<'a> Rules<'a> {
    fn new(config: &'a LogConfig, append: &'a Append<'a>, source: Codec) -> Result<Self, InvalidRecords> {
        let target = match config.compression {
            None => source,
            Some(id) => Codec::from_attributes(id)?,
        };
        if target == Codec::Zstd && !append.zstd_allowed {
            return Err(InvalidRecords::UnsupportedCompression(
                "ZStandard compression needs inter.broker.protocol.version 2.1 or later",
            ));
        }
        let magic = Magic::from_byte(config.message_magic.unsigned_abs()).unwrap_or(Magic::V2);
        let timestamp_type =
            if config.log_append_time { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
        Ok(Self { append, config, magic, source, target, timestamp_type })
    }

    fn is_client(&self) -> bool {
        self.append.origin == Origin::Client
    }
}

/// What Produce v3 and later ask of the records as a whole.
fn check_request(records: &Bytes, version: i16) -> Result<(), InvalidRecords> {
    let invalid = |what: &str| Err(InvalidRecords::Invalid(format!("Produce requests with version {version} {what}")));
    let mut batches = Batches::new(records);
    let Some(first) = batches.next().transpose()? else { return invalid("must have at least one record batch") };
    if first.magic() != Magic::V2 {
        return invalid("are only allowed to contain record batches with magic version 2");
    }
    if version < 7 && first.codec()? == Codec::Zstd {
        return Err(InvalidRecords::UnsupportedCompression("ZStandard compression needs Produce version 7 or later"));
    }
    match batches.next().transpose()? {
        None => Ok(()),
        Some(_) => invalid("are only allowed to contain exactly one record batch"),
    }
}

type Views<'a> = SmallVec<[BatchView<'a>; 1]>;

/// Checks every batch's own offset, size and checksum; the batches, and how many bytes they take.
fn check_batches<'a>(
    records: &'a Bytes,
    config: &LogConfig,
    append: &Append<'_>,
) -> Result<(Views<'a>, usize), InvalidRecords> {
    let mut batches = Batches::new(records);
    let mut views = Views::new();
    while let Some(view) = batches.next().transpose()? {
        match &view {
            BatchView::V2(batch) if append.origin == Origin::Client && batch.base_offset() != 0 => {
                return Err(InvalidRecords::Invalid(format!(
                    "the base offset of a batch appended to {} should be 0, but is {}",
                    append.partition,
                    batch.base_offset()
                )));
            }
            _ => {}
        }
        if view.size() > config.message_bytes_max as usize {
            return Err(InvalidRecords::TooLarge { size: view.size(), size_max: config.message_bytes_max });
        }
        view.verify()?;
        views.push(view);
    }
    Ok((views, records.len() - batches.rest().len()))
}

fn check_replicated(records: &Bytes) -> Result<Checked, InvalidRecords> {
    let mut batches = Batches::new(records);
    let mut infos = SmallVec::new();
    let mut previous = -1;
    let (mut max_timestamp, mut offset_of_max_timestamp) = (NO_TIMESTAMP, -1);
    while let Some(view) = batches.next().transpose()? {
        view.verify()?;
        let info = BatchInfo::of(&view)?;
        if info.last_offset <= previous {
            return Err(InvalidRecords::OutOfOrder { last_offset: info.last_offset, previous });
        }
        previous = info.last_offset;
        if info.max_timestamp > max_timestamp {
            (max_timestamp, offset_of_max_timestamp) = (info.max_timestamp, info.last_offset);
        }
        infos.push(info);
    }
    let size = records.len() - batches.rest().len();
    let content = Content::Kept(records.slice(..size));
    Ok(Checked::new(content, infos, max_timestamp, offset_of_max_timestamp))
}

/// What is asked of a batch of magic 2 before its records are looked at.
fn check_header(batch: &Batch<'_>, rules: &Rules<'_>) -> Result<(), InvalidRecords> {
    let invalid = |what: &str, value: i64| {
        Err(InvalidRecords::Invalid(format!("{what} {value} in a batch appended to {}", rules.append.partition)))
    };
    if rules.is_client() {
        let (delta, count) = (batch.last_offset_delta(), batch.count());
        if delta < 0 {
            return invalid("invalid last offset delta", i64::from(delta));
        }
        if count <= 0 {
            return invalid("invalid record count", i64::from(count));
        }
        if i64::from(delta) + 1 != i64::from(count) {
            return invalid("last offset delta and record count don't fit:", i64::from(count));
        }
        if batch.is_control() {
            return invalid(
                "clients are not allowed to write control records: attributes",
                i64::from(batch.attributes()),
            );
        }
        if batch.producer_id() > NO_PRODUCER_ID && batch.base_sequence() < 0 {
            return invalid("invalid sequence number", i64::from(batch.base_sequence()));
        }
    }
    if rules.magic < Magic::V2 && batch.is_transactional() {
        return Err(InvalidRecords::UnsupportedForMessageFormat(
            "transactional records need message format 0.11 or later",
        ));
    }
    if rules.magic < Magic::V2 && batch.producer_id() > NO_PRODUCER_ID {
        return Err(InvalidRecords::UnsupportedForMessageFormat(
            "idempotent records need message format 0.11 or later",
        ));
    }
    Ok(())
}

/// `body` shares the memory of the batch's records.
fn check_v2(batch: &Batch<'_>, body: Bytes, rules: &Rules<'_>) -> Result<Checked, InvalidRecords> {
    check_header(batch, rules)?;
    let mut survey = Survey::new(rules);
    survey.walk(batch)?;
    survey.finish()?;
    // A control batch is stored as it came, unless it came compressed.
    let keeps_codec = rules.source == rules.target || (rules.source == Codec::None && batch.is_control());
    if !keeps_codec || rules.magic != Magic::V2 || !survey.consecutive || survey.count == 0 {
        return rebuild::batch(batch, rules);
    }
    let mut header = BatchHeader::of(batch);
    let max_timestamp = match rules.timestamp_type {
        TimestampType::CreateTime => survey.max_timestamp,
        TimestampType::LogAppendTime => rules.append.now_ms,
    };
    if batch.timestamp_type() != rules.timestamp_type || batch.max_timestamp() != max_timestamp {
        header.set_max_timestamp(rules.timestamp_type, max_timestamp, &body);
    }
    let last = i64::from(batch.last_offset_delta());
    // Behind a compressed batch the index can only name the whole; so does one time for all.
    let shallow = rules.source != Codec::None || rules.timestamp_type == TimestampType::LogAppendTime;
    let offset_of_max_timestamp = if shallow { last } else { survey.offset_of_max_timestamp };
    let mut info = BatchInfo::of(&BatchView::V2(*batch))?;
    info.base_offset = 0;
    info.last_offset = last;
    info.max_timestamp = max_timestamp;
    let content = Content::Batch { header, body };
    Ok(Checked::new(content, SmallVec::from_buf([info]), max_timestamp, offset_of_max_timestamp))
}
