//! What callers hand to a log and get from it.

use std::path::Path;

use base::{Job, Parts};

use crate::{LogError, TopicPartition};

/// Where an append comes from: how much of a producer's state is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's Produce request: epochs and sequences are checked, duplicates found.
    Client,
    /// A coordinator of this broker: epochs are checked.
    Coordinator,
    /// The partition's leader, which has checked.
    Replication,
}

/// What an append did. For a duplicate, all of it tells of the first append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of the first record; for message sets of magic 0 and 1 given by a leader, the last offset of the first batch.
    pub first_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Largest timestamp of the records, -1 if none.
    pub max_timestamp: i64,
    /// The broker's time if the topic is stamped with it, else -1; for a duplicate the largest timestamp of the first append.
    pub log_append_time: i64,
    /// The log's start at the time of the append.
    pub log_start_offset: i64,
    /// The log's end behind the append.
    pub log_end_offset: i64,
    /// The batch was in the log: nothing was written.
    pub duplicate: bool,
    /// `flush.messages` asks that this append is durable before it is acknowledged: a flush is under way, and
    /// [`Surroundings::flushed`] tells when it is done.
    pub flush_wanted: bool,
}

/// How far a read may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// To the end: followers.
    LogEnd,
    /// To the high watermark: consumers.
    HighWatermark,
    /// To the last stable offset: consumers with `read_committed`.
    LastStable,
}

/// A read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// The first offset wanted; the batch that holds it comes whole, with the records before it.
    pub offset: i64,
    /// At most so many bytes, cut anywhere, as in the original.
    pub max_bytes: u32,
    /// The first batch comes whole even if it is larger than `max_bytes`.
    pub min_one_message: bool,
    /// How far.
    pub bound: Bound,
    /// Never wait for a device: [`LogError::Cold`] instead.
    pub cached_only: bool,
}

/// What a read found.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The bytes: at most one range of one segment's file. May end inside of a batch.
    pub records: Parts,
    /// Where the read started, for "is it on the newest segment" and byte counts.
    pub position: OffsetPosition,
    /// `max_bytes` ended inside of the first batch (and `min_one_message` was not set).
    pub first_batch_incomplete: bool,
    /// For [`Bound::LastStable`]: the aborted transactions that overlap the range, in the order of their markers.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The offsets of the log that the read was made on.
    pub offsets: Offsets,
}

/// A transaction whose records a `read_committed` consumer skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
}

/// The offsets that a reader may be told, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// First offset that can be read.
    pub log_start: i64,
    /// Records before it are decided: of no transaction, or of a finished one.
    pub last_stable: i64,
    /// Records before it are on all in-sync replicas.
    pub high_watermark: i64,
    /// Offset of the next record.
    pub log_end: i64,
}

/// An offset and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetPosition {
    /// The offset.
    pub offset: i64,
    /// Base offset of its segment.
    pub segment: i64,
    /// Byte in the segment's file.
    pub position: u64,
}

/// A leader epoch and the offset at which it ends (or starts, where it says so).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochOffset {
    /// The epoch.
    pub epoch: i32,
    /// The offset.
    pub offset: i64,
}

/// What a time lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's timestamp, -1 for the log's start or end.
    pub timestamp: i64,
    /// The record's offset.
    pub offset: i64,
    /// The leader epoch of its batch, if known.
    pub leader_epoch: Option<i32>,
}

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the record.
    Info,
    /// Look at it some time.
    Warn,
    /// A person must act.
    Error,
}

/// What logs ask of the broker around them. Called from any thread, never with a log's lock held.
pub trait Surroundings: Send + Sync {
    /// Run this on a disk thread.
    fn submit(&self, job: Box<dyn Job>);

    /// Run this on a disk thread, before the work of [`Surroundings::submit`]: a request waits for it.
    fn submit_for_request(&self, job: Box<dyn Job>) {
        self.submit(job);
    }

    /// A log directory failed: nothing more is written there, its logs are closed.
    fn directory_failed(&self, dir: &Path, error: &LogError);

    /// Everything before `offset` is durable now: wakes what waits for `flush.messages` or asks for it.
    fn flushed(&self, partition: &TopicPartition, offset: i64) {
        let _ = (partition, offset);
    }

    /// Retention moved the start of a log: followers are to hear of it.
    fn start_moved(&self, partition: &TopicPartition) {
        let _ = partition;
    }

    /// A line for the broker's log.
    fn say(&self, level: Level, line: String);
}
