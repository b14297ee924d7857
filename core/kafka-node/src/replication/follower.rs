//! A partition as its fetcher sees it.

use std::sync::Arc;

use kafka_replica::{AppendFailure, EpochEnd, Fetched, FollowerLog};

use crate::broker::Broker;
use crate::host::Host;
use crate::partitions::Partition;

/// A partition that this broker follows.
#[derive(Clone)]
pub(super) struct Follower {
    pub(super) partition: Arc<Partition>,
    host: Arc<dyn Host>,
}

impl Follower {
    pub(super) fn new(broker: &Broker, partition: Arc<Partition>) -> Self {
        Self { partition, host: broker.host.clone() }
    }
}

impl FollowerLog for Follower {
    fn log_start(&self) -> i64 {
        self.partition.log.offsets().log_start
    }

    fn log_end(&self) -> i64 {
        self.partition.log.offsets().log_end
    }

    fn high_watermark(&self) -> i64 {
        self.partition.log.offsets().high_watermark
    }

    fn latest_epoch(&self) -> Option<i32> {
        self.partition.log.latest_epoch()
    }

    fn epoch_end(&self, epoch: i32) -> Option<EpochEnd> {
        let end = self.partition.log.end_offset_for_epoch(epoch)?;
        Some(EpochEnd { epoch: end.epoch, offset: end.offset })
    }

    fn is_changed_by_cut(&self, offset: i64) -> bool {
        self.partition.log.is_changed_by_cut(offset)
    }

    fn append(&self, fetched: &Fetched) -> Result<i64, AppendFailure> {
        self.partition.append_as_follower(fetched, self.host.now())
    }

    fn is_throttled(&self) -> bool {
        false
    }
}
