//! A log, as far as replication looks at it.

use crate::EpochEnd;

/// A replica's log at one time.
pub trait ReplicaLog {
    /// The first offset.
    fn log_start(&self) -> i64;
    /// Offset of the next record.
    fn log_end(&self) -> i64;
    /// As far as this broker knows.
    fn high_watermark(&self) -> i64;
    /// The newest leader epoch that the log knows; `None` if it knows none (message formats before 0.11).
    fn latest_epoch(&self) -> Option<i32>;
    /// The largest epoch not above this one, and where it ends; `None` if not known.
    fn epoch_end(&self, epoch: i32) -> Option<EpochEnd>;
    /// Whether a cut to this offset would change the log or what it knows of epochs.
    fn is_changed_by_cut(&self, offset: i64) -> bool;
}
