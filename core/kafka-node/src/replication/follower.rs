//! A partition as its fetcher sees it.

use std::sync::Arc;

use config::BrokerSettings;
use kafka_log::Log;
use kafka_replica::{AppendFailure, EpochEnd, Fetched, FollowerLog, ReplicaLog};

use super::Throttles;
use crate::broker::Broker;
use crate::host::Host;
use crate::partitions::Partition;

/// A partition that this broker follows.
#[derive(Clone)]
pub(super) struct Follower {
    pub(super) partition: Arc<Partition>,
    host: Arc<dyn Host>,
    throttles: Arc<Throttles>,
    settings: Arc<BrokerSettings>,
}

impl Follower {
    pub(super) fn new(broker: &Broker, partition: Arc<Partition>) -> Self {
        let (host, throttles) = (broker.host.clone(), broker.throttles.clone());
        Self { partition, host, throttles, settings: broker.settings() }
    }
}

impl Follower {
    fn is_covered(&self) -> bool {
        self.throttles.follower.covers(&self.partition.name.topic, self.partition.name.partition)
    }
}

/// A log, for replication.
pub(super) struct Seen(pub(super) Arc<Log>);

impl ReplicaLog for Seen {
    fn log_start(&self) -> i64 {
        self.0.offsets().log_start
    }

    fn log_end(&self) -> i64 {
        self.0.offsets().log_end
    }

    fn high_watermark(&self) -> i64 {
        self.0.offsets().high_watermark
    }

    fn latest_epoch(&self) -> Option<i32> {
        self.0.latest_epoch()
    }

    fn epoch_end(&self, epoch: i32) -> Option<EpochEnd> {
        let end = self.0.end_offset_for_epoch(epoch)?;
        Some(EpochEnd { epoch: end.epoch, offset: end.offset })
    }

    fn is_changed_by_cut(&self, offset: i64) -> bool {
        self.0.is_changed_by_cut(offset)
    }
}

impl FollowerLog for Follower {
    type View = Seen;

    fn view(&self) -> Seen {
        Seen(self.partition.log())
    }

    fn append(&self, fetched: &Fetched) -> Result<i64, AppendFailure> {
        let now = self.host.now();
        let log_end = self.partition.append_as_follower(fetched, now)?;
        if self.is_covered() {
            self.throttles.follower.record(fetched.records.len() as u64, &self.settings, now.monotonic);
        }
        Ok(log_end)
    }

    fn is_throttled(&self) -> bool {
        self.is_covered() && self.throttles.follower.is_exceeded(&self.settings, self.host.now().monotonic)
    }
}
