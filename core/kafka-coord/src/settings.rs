//! What the coordinator is configured by.

use crate::record::ValueVersions;

/// Limits and times of groups (upstream: `GroupConfig`, `OffsetConfig`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub members_max: usize,
    /// `offset.metadata.max.bytes`; counts UTF-16 units, as the original does.
    pub metadata_len_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention_ms: i64,
    /// Which versions of values are written.
    pub versions: ValueVersions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: i32::MAX as usize,
            metadata_len_max: 4096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            versions: ValueVersions::CURRENT,
        }
    }
}
