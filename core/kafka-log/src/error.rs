//! What can go wrong with a log, by what the caller does about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, Slow};

use crate::TopicPartition;
use crate::metadata::MetadataError;
use crate::validate::InvalidRecords;

/// An error of a log. Each says which error code of the protocol it becomes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// `OFFSET_OUT_OF_RANGE` (1): the offset lies before the log's start or behind its end.
    #[error("offset {offset} is not in the log's range {log_start_offset} to {log_end_offset}")]
    OffsetOutOfRange {
        /// As asked.
        offset: i64,
        /// The first offset that can be read.
        log_start_offset: i64,
        /// One behind the last.
        log_end_offset: i64,
    },
    /// The records themselves are refused, each kind with its own code.
    #[error(transparent)]
    Invalid(#[from] InvalidRecords),
    /// `RECORD_LIST_TOO_LARGE` (18): what is appended is larger than a segment may be.
    #[error("an append of {bytes} bytes is larger than a segment of at most {segment_bytes}")]
    BatchTooLarge {
        /// Size of the append.
        bytes: u64,
        /// `segment.bytes`.
        segment_bytes: u32,
    },
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER` (45): a gap in an idempotent producer's sequence, or an old duplicate.
    #[error("producer {producer_id}: sequence {sequence} came after {last_sequence}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// First sequence of the batch.
        sequence: i32,
        /// Last sequence in the log, -1 if none.
        last_sequence: i32,
    },
    /// `INVALID_PRODUCER_EPOCH` (47): a newer instance of the producer has written.
    #[error("producer {producer_id}: epoch {epoch} is older than {last_epoch}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The newest epoch in the log.
        last_epoch: i16,
    },
    /// `INVALID_TXN_STATE` (48): a plain write of a producer whose transaction is open.
    #[error("producer {producer_id} wrote outside of its open transaction")]
    InvalidTransactionState {
        /// The producer.
        producer_id: i64,
    },
    /// `TRANSACTION_COORDINATOR_FENCED` (52): an end marker of an older coordinator.
    #[error("producer {producer_id}: marker of coordinator epoch {epoch}, {last_epoch} was seen")]
    TransactionCoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// The marker's coordinator epoch.
        epoch: i32,
        /// The newest seen.
        last_epoch: i32,
    },
    /// A follower was given what it has: its first offset lies before the log's end. An empty log may start there instead.
    #[error("append starts at {first_offset}, before the log's end {log_end_offset}")]
    UnexpectedAppendOffset {
        /// First offset of the append.
        first_offset: i64,
        /// Last offset of the append.
        last_offset: i64,
        /// The log's end.
        log_end_offset: i64,
    },
    /// `UNSUPPORTED_FOR_MESSAGE_FORMAT` (43): a time lookup in a log whose format has no timestamps.
    #[error("the message format of magic {magic} has no timestamps")]
    NoTimestamps {
        /// The log's format.
        magic: i8,
    },
    /// The page cache does not hold what a read of `cached_only` needs: read again where waiting is allowed.
    #[error("not in the page cache")]
    Cold,
    /// `KAFKA_STORAGE_ERROR` (56), for now: the disk is full (reads go on), or the log is being truncated.
    #[error("{partition} takes no appends: {why}")]
    AppendsRefused {
        /// The partition.
        partition: TopicPartition,
        /// Why.
        why: &'static str,
    },
    /// `KAFKA_STORAGE_ERROR` (56): the log is closed, deleted, or its directory is offline.
    #[error("the log of {partition} is closed")]
    Closed {
        /// The partition.
        partition: TopicPartition,
    },
    /// A start that cannot go on: no usable log directory, one that another process has locked, one that is named twice.
    #[error("{0}")]
    Start(String),
    /// A start that cannot go on as no log directory is left.
    #[error("{0}")]
    Halted(String),
    /// The directory's `meta.properties` does not say whose it is.
    #[error("{reason}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: MetadataError,
    },
    /// `KAFKA_STORAGE_ERROR` (56): the partition may lie in a log directory that is offline, or none is online.
    #[error("no log for {partition}: {why}")]
    Offline {
        /// The partition.
        partition: TopicPartition,
        /// Why.
        why: &'static str,
    },
    /// `KAFKA_STORAGE_ERROR` (56): the disk failed; its log directory goes offline.
    #[error("{what} {path}: {reason}", path = path.display(), reason = base::reason_at(source, path))]
    Storage {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
    },
}

impl LogError {
    /// A log's file could not be read while it was copied: whoever reads it for others meets the error too.
    pub fn copying(source: io::Error) -> Self {
        Self::storage("copying", "a log", source)
    }

    pub(crate) fn storage(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::WouldBlock => Self::Cold,
            _ => Self::Storage { what, path: path.into(), source: Arc::new(source) },
        }
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(disk: &dyn Disk, dir: &Path, slow: &Slow) -> Result<(), LogError> {
    disk.sync_dir(dir, slow).map_err(|error| LogError::storage("syncing", dir, error))
}
