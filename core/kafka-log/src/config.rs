//! The settings of one topic, resolved: what `LogConfig` of 2.7.1 holds after topic, broker and default values were laid
//! over each other. The registry of the `config` crate maps keys to these fields.

/// How a partition's log behaves. Durations in milliseconds, sizes in bytes; `-1` means "no limit" where it says so.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: the active segment is rolled before it would grow beyond this.
    pub segment_bytes: u32,
    /// `segment.ms`: the active segment is rolled when its first batch is this much older than the one being appended.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: at most this much is taken off `segment_ms`, by chance, for each segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes would grow beyond this.
    pub segment_index_bytes: u32,
    /// `flush.messages`: flush when this many records are not flushed.
    pub flush_messages: i64,
    /// `flush.ms`: flush when the last one is this long ago.
    pub flush_ms: i64,
    /// `retention.bytes`: oldest segments go while the log is larger; -1 keeps all.
    pub retention_bytes: i64,
    /// `retention.ms`: segments go when their newest record is older; -1 keeps all.
    pub retention_ms: i64,
    /// `max.message.bytes`: largest batch that a client may append.
    pub message_bytes_max: u32,
    /// `index.interval.bytes`: bytes of log between two index entries, at least.
    pub index_interval_bytes: u32,
    /// `file.delete.delay.ms`: files of deleted segments and partitions stay this long, for reads under way.
    pub file_delete_delay_ms: i64,
    /// `cleanup.policy` names `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` names `compact`. Such a log is never cut by retention.
    pub cleanup_compact: bool,
    /// `delete.retention.ms`: how long the cleaner keeps tombstones.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: the cleaner leaves younger records alone.
    pub compaction_lag_ms_min: i64,
    /// `max.compaction.lag.ms`: the cleaner may not leave older records alone; also bounds `segment_ms` of compacted topics.
    pub compaction_lag_ms_max: i64,
    /// `min.cleanable.dirty.ratio`.
    pub cleanable_dirty_ratio_min: f64,
    /// `preallocate`: accepted; segments grow as they are written, which costs nothing on the file systems of today.
    pub preallocate: bool,
    /// `message.format.version` as the magic number that appended batches are stored with: 0, 1 or 2.
    pub message_magic: i8,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: bool,
    /// `message.timestamp.difference.max.ms`: how far a record's timestamp may be from the broker's clock.
    pub timestamp_difference_ms_max: i64,
    /// `compression.type`: `None` is `producer` (keep what came), else the codec number to store with (0 is uncompressed).
    pub compression: Option<u8>,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `min.insync.replicas`.
    pub insync_replicas_min: u32,
    /// `message.downconversion.enable`.
    pub message_downconversion: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: WEEK_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_bytes: -1,
            retention_ms: WEEK_MS,
            message_bytes_max: 1_048_588,
            index_interval_bytes: 4096,
            file_delete_delay_ms: 60_000,
            cleanup_delete: true,
            cleanup_compact: false,
            delete_retention_ms: 24 * 60 * 60 * 1000,
            compaction_lag_ms_min: 0,
            compaction_lag_ms_max: i64::MAX,
            cleanable_dirty_ratio_min: 0.5,
            preallocate: false,
            message_magic: 2,
            log_append_time: false,
            timestamp_difference_ms_max: i64::MAX,
            compression: None,
            unclean_leader_election: false,
            insync_replicas_min: 1,
            message_downconversion: true,
        }
    }
}

impl LogConfig {
    /// The age at which a segment is rolled, before jitter: a compacted topic also rolls for its longest compaction lag.
    pub fn segment_ms_max(&self) -> i64 {
        match self.cleanup_compact && self.compaction_lag_ms_max > 0 {
            true => self.segment_ms.min(self.compaction_lag_ms_max),
            false => self.segment_ms,
        }
    }
}
