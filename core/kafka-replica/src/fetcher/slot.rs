//! One partition that is followed.

use base::{Str, TimerKey};
use kafka_proto::messages::fetch;

use super::{Fetched, FollowerLog};
use crate::ReplicaLog as _;

/// A partition that is followed.
#[derive(Debug)]
pub(super) struct Slot<L> {
    pub(super) topic: Str,
    pub(super) partition: i32,
    pub(super) log: L,
    pub(super) leader_epoch: i32,
    /// Tells it from one that was in its place before.
    pub(super) serial: u64,
    /// Where the next record goes; before the log is settled, where it is cut if the leader knows no better.
    pub(super) offset: i64,
    /// Epoch of the last record, as fetches name it.
    pub(super) last_epoch: Option<i32>,
    /// The leader does not know the last record's epoch: none is named until the log has grown.
    pub(super) is_epoch_unknown: bool,
    /// This leader took a fetch in its epoch: all that lies before is its own.
    pub(super) has_agreed: bool,
    pub(super) phase: Phase,
    pub(super) pause: Option<TimerKey>,
    /// Length of the next pause, if the next answer is the same error; 0 after a good one.
    pub(super) next_pause_ms: u64,
    /// How far the leader's high watermark was ahead.
    pub(super) lag: Option<i64>,
    /// As the leader was asked last in this session.
    pub(super) requested: Option<Requested>,
    pub(super) in_session: bool,
    pub(super) is_listed: bool,
    pub(super) is_unsettled_listed: bool,
}

/// What is done about a partition.
#[derive(Debug)]
pub(super) enum Phase {
    /// The leader is to be asked where the logs part.
    Truncating,
    /// The log is cut elsewhere.
    Cutting {
        number: u64,
        /// Whether the logs agree afterwards.
        is_last: bool,
        /// To be appended behind it.
        then: Option<Box<Fetched>>,
    },
    /// The leader is to be asked where its log ends, or, when that is known, where it starts.
    OutOfRange { leader_end: Option<i64> },
    /// Records are fetched.
    Fetching,
}

/// What a fetch says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Requested {
    offset: i64,
    leader_epoch: i32,
    last_epoch: Option<i32>,
    log_start: i64,
}

impl Requested {
    /// Whether the partition still is where it was asked for.
    pub(super) const fn is_of<L>(&self, slot: &Slot<L>) -> bool {
        self.offset == slot.offset && self.leader_epoch == slot.leader_epoch
    }

    pub(super) fn entry(&self, partition_index: i32, partition_max_bytes: i32) -> fetch::RequestPartition {
        fetch::RequestPartition {
            partition_index,
            current_leader_epoch: self.leader_epoch,
            fetch_offset: self.offset,
            last_fetched_epoch: self.last_epoch.unwrap_or(-1),
            log_start_offset: self.log_start,
            partition_max_bytes,
        }
    }
}

impl<L: FollowerLog> Slot<L> {
    /// One of which nothing is known: [`Slot::begin`] comes next.
    pub(super) fn new(topic: Str, partition: i32, log: L, leader_epoch: i32, serial: u64) -> Self {
        let offset = log.view().high_watermark();
        Self {
            topic,
            partition,
            log,
            leader_epoch,
            serial,
            offset,
            last_epoch: None,
            is_epoch_unknown: false,
            has_agreed: false,
            phase: Phase::Truncating,
            pause: None,
            next_pause_ms: 0,
            lag: None,
            requested: None,
            in_session: false,
            is_listed: false,
            is_unsettled_listed: false,
        }
    }

    /// It is to be found out how much of its log the leader shares.
    pub(super) fn begin(&mut self, finds_out_by_fetching: bool) {
        self.is_epoch_unknown = false;
        if finds_out_by_fetching && self.log.view().latest_epoch().is_some() {
            return self.fetch_from_end();
        }
        self.phase = Phase::Truncating;
        self.offset = self.log.view().high_watermark();
    }

    /// As log lines name it.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    /// Goes on behind what the log has.
    pub(super) fn fetch_from_end(&mut self) {
        self.phase = Phase::Fetching;
        let log = self.log.view();
        self.offset = log.log_end();
        self.last_epoch = log.latest_epoch().filter(|_| !self.is_epoch_unknown);
    }

    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Fetching) && self.pause.is_none()
    }

    /// Whether the leader is to be asked something other than records.
    pub(super) const fn is_unsettled(&self) -> bool {
        matches!(self.phase, Phase::Truncating | Phase::OutOfRange { .. }) && self.pause.is_none()
    }

    pub(super) fn is_in_sync(&self) -> bool {
        self.lag.is_some_and(|lag| lag <= 0)
    }

    /// As a fetch says it; the last epoch only if its version can.
    pub(super) fn wanted(&self, names_epochs: bool) -> Requested {
        Requested {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            last_epoch: self.last_epoch.filter(|_| names_epochs),
            log_start: self.log.view().log_start(),
        }
    }
}
