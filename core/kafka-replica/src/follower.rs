//! What a leader knows of one of its followers (upstream: `kafka.cluster.Replica`).

use base::Monotonic;

/// Where a follower's fetch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedFrom {
    /// The offset it asks for: the end of its log.
    pub offset: i64,
    /// The start of its log.
    pub log_start: i64,
}

/// One follower of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    log_end: i64,
    log_start: i64,
    /// The leader's end when the last fetch came.
    last_fetch_leader_end: i64,
    last_fetch: Option<Monotonic>,
    /// The latest time at which the follower is known to have had all that the leader had then.
    caught_up: Option<Monotonic>,
}

impl Follower {
    pub(crate) const UNKNOWN: Self =
        Self { log_end: -1, log_start: -1, last_fetch_leader_end: 0, last_fetch: None, caught_up: None };

    /// End of its log as of its last fetch; -1 before.
    pub const fn log_end(&self) -> i64 {
        self.log_end
    }

    /// Start of its log as of its last fetch; -1 before.
    pub const fn log_start(&self) -> i64 {
        self.log_start
    }

    /// How long ago it was caught up; for ever, if it never was.
    pub(crate) fn time_since_caught_up(&self, now: Monotonic) -> std::time::Duration {
        self.caught_up.map_or(std::time::Duration::MAX, |then| now.since(then))
    }

    /// A leader's epoch begins: members of the ISR count as caught up now.
    pub(crate) fn begin_epoch(&mut self, leader_end: i64, in_sync: bool, new_leader: bool, now: Monotonic) {
        *self = Self {
            log_end: if new_leader { -1 } else { self.log_end },
            log_start: if new_leader { -1 } else { self.log_start },
            last_fetch_leader_end: if new_leader { -1 } else { leader_end },
            last_fetch: (!new_leader).then_some(now),
            caught_up: in_sync.then_some(now),
        };
    }

    /// Takes a fetch in. A follower that reaches the end of the previous fetch's time was caught up then: one that is
    /// always a little behind a busy leader stays in sync.
    pub(crate) fn record(&mut self, from: FetchedFrom, leader_end: i64, now: Monotonic) {
        if from.offset >= leader_end {
            self.caught_up = self.caught_up.max(Some(now));
        } else if from.offset >= self.last_fetch_leader_end {
            self.caught_up = self.caught_up.max(self.last_fetch);
        }
        self.log_end = from.offset;
        self.log_start = from.log_start;
        self.last_fetch_leader_end = leader_end;
        self.last_fetch = Some(now);
    }

    /// Whether it was caught up within the last `lag_ms_max` milliseconds.
    pub(crate) fn is_caught_up(&self, lag_ms_max: u64, now: Monotonic) -> bool {
        self.caught_up.is_some_and(|then| now <= then.plus_ms(lag_ms_max))
    }
}
