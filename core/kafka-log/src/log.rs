//! One partition's log.

use std::sync::Arc;

use base::{Now, Slow};
use bytes::Bytes;

use crate::types::{AppendInfo, EpochOffset, Fetched, Offsets, Origin, ReadRequest, TimestampOffset};
use crate::{LogConfig, LogError, TopicPartition};

/// A partition's log. Shared by all threads: appends take a short lock, reads use what was last published.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        todo!()
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<LogConfig> {
        todo!()
    }

    /// New settings, from the next append on.
    pub fn set_config(&self, _config: LogConfig) {
        todo!()
    }

    // append_as_leader(&self, records: validate::Checked, leader_epoch: i32, origin: Origin, now: Now)
    //   -> Result<AppendInfo, LogError>

    /// Appends what the leader sent, with the offsets and epochs it bears. Bytes behind the last whole batch are passed over.
    pub fn append_as_follower(&self, _records: &Bytes, _now: Now) -> Result<AppendInfo, LogError> {
        let _ = Origin::Replication;
        todo!()
    }

    /// Reads without the append lock.
    pub fn read(&self, _request: &ReadRequest) -> Result<Fetched, LogError> {
        todo!()
    }

    /// Start, last stable offset, high watermark and end, taken together.
    pub fn offsets(&self) -> Offsets {
        todo!()
    }

    /// Sets the high watermark, kept between start and end of the log; for followers and at start. Returns what it became.
    pub fn update_high_watermark(&self, _offset: i64) -> i64 {
        todo!()
    }

    /// Raises the high watermark; `None` if it stands there or beyond, else what it was. For leaders.
    pub fn increment_high_watermark(&self, _offset: i64) -> Option<i64> {
        todo!()
    }

    /// Raises the log's start (DeleteRecords, or a leader's start); false if it stands there or beyond. Not beyond the high watermark.
    pub fn increment_log_start_offset(&self, _offset: i64) -> Result<bool, LogError> {
        todo!()
    }

    /// The first record at or after a time (milliseconds). May wait for a device: run it where that is allowed.
    pub fn offset_for_timestamp(&self, _timestamp: i64) -> Result<Option<TimestampOffset>, LogError> {
        todo!()
    }

    /// The log's start with its epoch, as ListOffsets answers "earliest".
    pub fn earliest(&self) -> TimestampOffset {
        todo!()
    }

    /// ListOffsets v0: up to `offsets_max` segment starts (and the end) older than `timestamp`, newest first.
    /// -1 asks for the latest, -2 for the earliest.
    pub fn offsets_before(&self, _timestamp: i64, _offsets_max: usize, _now: Now) -> Vec<i64> {
        todo!()
    }

    /// The newest leader epoch with an entry.
    pub fn latest_epoch(&self) -> Option<i32> {
        todo!()
    }

    /// Where `epoch` (or the newest one before it) ends, as OffsetForLeaderEpoch answers; `None` if not known.
    pub fn end_offset_for_epoch(&self, _epoch: i32) -> Option<EpochOffset> {
        todo!()
    }

    /// A leader begins an epoch at its log's end (or a given offset).
    pub fn assign_epoch_start(&self, _epoch: i32, _offset: i64) {
        todo!()
    }

    /// Cuts the log so that it ends at `offset` or before; false if it ended there.
    pub fn truncate_to(&self, _offset: i64, _now: Now, _slow: &Slow) -> Result<bool, LogError> {
        todo!()
    }

    /// Drops all and starts at `offset`.
    pub fn truncate_fully_and_start_at(&self, _offset: i64, _now: Now, _slow: &Slow) -> Result<(), LogError> {
        todo!()
    }

    /// Makes everything up to the log's end durable and moves the recovery point there.
    pub fn flush(&self, _now: Now, _slow: &Slow) -> Result<(), LogError> {
        todo!()
    }

    /// Everything before it is durable.
    pub fn recovery_point(&self) -> i64 {
        todo!()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// Base offset of the newest segment.
    pub fn active_segment(&self) -> i64 {
        todo!()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        todo!()
    }
}
