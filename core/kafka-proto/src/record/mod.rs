//! Records as the log and the wire hold them: batches of magic 2, message sets of magic 0 and 1, compression,
//! builders and conversion between the formats (upstream: package `common.record`).
//!
//! A buffer of records is a row of *batches*. With magic 2 a batch holds many records behind a header of 61 bytes; with
//! magic 0 and 1 a batch is one message, which, if compressed, wraps an inner set. Views borrow the buffer, so that
//! an uncompressed batch is walked in place; compressed data passes through a bounded window.

mod batch;
mod builder;
mod compression;
mod convert;
mod cursor;
mod gzip;
mod legacy;
mod lz4;
mod records;
mod snappy;
mod zstd;

pub use batch::{
    Batch, BatchHeader, BatchView, Batches, HEADER_LEN, HeaderFields, LEADER_EPOCH_AT, MAGIC_AT, decrement_sequence,
    increment_sequence,
};
pub use builder::{BuilderOptions, Built, RecordsBuilder, end_transaction_batch};
pub use compression::{Decoder, Encoder, decompress};
pub use convert::{DownConverted, down_convert, overflow_batch};
pub use cursor::{varint_len, varlong_len};
pub use legacy::{
    InnerMessage, LegacyMessage, inner_messages, message_overhead, set_message_offset, set_message_timestamp,
};
pub use records::{
    ControlType, EndTransactionMarker, Header, Headers, Outline, Record, RecordReader, record_len, write_record,
};

/// Bytes in front of every batch of any magic: offset (8) and size of what follows (4).
pub const LOG_OVERHEAD: usize = 12;
/// "No timestamp" in a record or batch.
pub const NO_TIMESTAMP: i64 = -1;
/// "No producer": the batch is neither idempotent nor transactional.
pub const NO_PRODUCER_ID: i64 = -1;
/// Epoch of [`NO_PRODUCER_ID`].
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Sequence of a batch without producer, and of control batches.
pub const NO_SEQUENCE: i32 = -1;
/// Leader epoch of legacy messages and of batches that no leader has appended yet.
pub const NO_LEADER_EPOCH: i32 = -1;

/// Version of the record format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Magic {
    /// Messages without timestamps; inner offsets are absolute. Kafka before 0.10.
    V0 = 0,
    /// Messages with timestamps; inner offsets are relative. Kafka 0.10.
    V1 = 1,
    /// Record batches (KIP-98). Kafka 0.11 and later.
    V2 = 2,
}

impl Magic {
    /// The format of a magic byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// The byte on the wire.
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

/// Compression of a batch: bits 0 to 2 of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Stored as it is.
    None = 0,
    /// RFC 1952, one or more members.
    Gzip = 1,
    /// Blocks in the framing of snappy-java.
    Snappy = 2,
    /// LZ4 frames of independent blocks.
    Lz4 = 3,
    /// Zstandard (KIP-110): magic 2 only.
    Zstd = 4,
}

impl Codec {
    /// All codecs, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec named by the low three bits of `attributes`.
    pub const fn from_attributes(attributes: u8) -> Result<Self, RecordError> {
        match attributes & 7 {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            id => Err(RecordError::UnknownCodec { id }),
        }
    }

    /// The codec of this name, as `compression.type` spells it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The name as `compression.type` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The id in the attributes.
    pub const fn id(self) -> u8 {
        self as u8
    }
}

/// What a batch's timestamps mean: bit 3 of its attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Set by the producer, record by record.
    #[default]
    CreateTime = 0,
    /// Set by the broker at the append, the same for the whole batch.
    LogAppendTime = 1,
}

/// Why records are refused. [`RecordError::kind`] says which of the protocol's errors that is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The size in front of a batch is below what its header takes.
    #[error("Record size {size} is less than the minimum record overhead ({min})")]
    TooSmall {
        /// Size as read.
        size: i32,
        /// The least it can be.
        min: usize,
    },
    /// A magic byte that no format has.
    #[error("Invalid magic found in record: {magic}")]
    Magic {
        /// As read.
        magic: u8,
    },
    /// The checksum does not fit the bytes.
    #[error("Record is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Checksum {
        /// In the batch.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// A codec id that does not exist.
    #[error("Unknown compression type id: {id}")]
    UnknownCodec {
        /// Low three bits of the attributes.
        id: u8,
    },
    /// Records that contradict their own lengths or counts.
    #[error("{0}")]
    Invalid(&'static str),
    /// Records behind the last one that the header counts, or too few of them.
    #[error("Incorrect declared batch size, {0}")]
    Count(&'static str),
    /// An offset of a wrapper that contradicts its inner messages.
    #[error(
        "Found invalid wrapper offset in compressed v1 message set, wrapper offset '{wrapper}' is less than the last \
         inner message offset '{inner}' and it is not zero."
    )]
    WrapperOffset {
        /// Of the wrapper.
        wrapper: i64,
        /// Of its last inner message.
        inner: i64,
    },
    /// Compressed data that its codec refuses.
    #[error("Failed to decompress record stream: {codec}: {what}", codec = codec.name())]
    Decompress {
        /// The codec.
        codec: Codec,
        /// What it met.
        what: &'static str,
    },
    /// Compressed data that would grow beyond all reason.
    #[error("Decompressed records exceed {max} bytes")]
    TooLarge {
        /// The limit that was given.
        max: u64,
    },
    /// Compression that the target format does not have.
    #[error("{0}")]
    UnsupportedCompression(&'static str),
    /// Something that the target format cannot express.
    #[error("{0}")]
    Unsupported(&'static str),
}

/// Classes of [`RecordError`], as the protocol tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// CORRUPT_MESSAGE (2): a header or checksum is broken.
    Corrupt,
    /// INVALID_RECORD (87): the records contradict themselves.
    Invalid,
    /// UNSUPPORTED_COMPRESSION_TYPE (76).
    UnsupportedCompression,
    /// UNKNOWN_SERVER_ERROR (-1): as the original answers what its codecs throw.
    Unknown,
}

impl RecordError {
    /// The class of this error.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooSmall { .. } | Self::Magic { .. } | Self::Checksum { .. } => ErrorKind::Corrupt,
            Self::Invalid(_) | Self::Count(_) | Self::WrapperOffset { .. } | Self::TooLarge { .. } => {
                ErrorKind::Invalid
            }
            Self::UnsupportedCompression(_) => ErrorKind::UnsupportedCompression,
            Self::UnknownCodec { .. } | Self::Decompress { .. } | Self::Unsupported(_) => ErrorKind::Unknown,
        }
    }
}
