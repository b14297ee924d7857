//! What a leader knows of one of its followers (upstream: `kafka.cluster.Replica`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Monotonic;

/// Where a follower's fetch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedFrom {
    /// The offset it asks for: the end of its log.
    pub offset: i64,
    /// The start of its log.
    pub log_start: i64,
}

/// When a follower fetched last in a session of its own. It stands for all partitions that rest there: those of which the follower has
/// everything, and that a fetch passes over until something happens to them.
#[derive(Debug, Default)]
pub struct FetchClock(AtomicU64);

impl FetchClock {
    /// A fetch came, and what does not rest has been taken in.
    pub fn fetched(&self, now: Monotonic) {
        self.0.fetch_max(now.nanoseconds(), Ordering::Relaxed);
    }

    fn last(&self) -> Monotonic {
        Monotonic::from_nanoseconds(self.0.load(Ordering::Relaxed))
    }
}

/// One follower of a partition.
#[derive(Clone, Debug)]
pub struct Follower {
    log_end: i64,
    log_start: i64,
    /// The leader's end when the last fetch came.
    last_fetch_leader_end: i64,
    last_fetch: Option<Monotonic>,
    /// The latest time at which the follower is known to have had all that the leader had then.
    caught_up: Option<Monotonic>,
    /// While the partition rests in a session of the follower: each fetch of that session finds it caught up.
    resting: Option<Arc<FetchClock>>,
}

impl Follower {
    pub(crate) const UNKNOWN: Self =
        Self { log_end: -1, log_start: -1, last_fetch_leader_end: 0, last_fetch: None, caught_up: None, resting: None };

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
        self.caught_up().map_or(std::time::Duration::MAX, |then| now.since(then))
    }

    /// A leader's epoch begins: members of the ISR count as caught up now.
    pub(crate) fn begin_epoch(&mut self, leader_end: i64, in_sync: bool, new_leader: bool, now: Monotonic) {
        *self = Self {
            log_end: if new_leader { -1 } else { self.log_end },
            log_start: if new_leader { -1 } else { self.log_start },
            last_fetch_leader_end: if new_leader { -1 } else { leader_end },
            last_fetch: (!new_leader).then_some(now),
            caught_up: in_sync.then_some(now),
            resting: None,
        };
    }

    fn caught_up(&self) -> Option<Monotonic> {
        self.caught_up.max(self.resting.as_ref().map(|clock| clock.last()))
    }

    pub(crate) fn rest(&mut self, clock: &Arc<FetchClock>) {
        self.resting = Some(Arc::clone(clock));
    }

    /// The partition is to be looked at again. Nothing, if it rests in another session by now.
    pub(crate) fn stir(&mut self, clock: &Arc<FetchClock>) {
        if self.resting.as_ref().is_some_and(|resting| Arc::ptr_eq(resting, clock)) {
            self.end_rest();
        }
    }

    /// All fetches since the rest began were fetches from the leader's end.
    fn end_rest(&mut self) {
        let last = self.resting.take().map(|clock| clock.last());
        self.caught_up = self.caught_up.max(last);
        self.last_fetch = self.last_fetch.max(last);
    }

    /// Takes a fetch in. A follower that reaches the end of the previous fetch's time was caught up then: one that is
    /// always a little behind a busy leader stays in sync.
    pub(crate) fn record(&mut self, from: FetchedFrom, leader_end: i64, now: Monotonic) {
        self.end_rest();
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
        self.caught_up().is_some_and(|then| now <= then.plus_ms(lag_ms_max))
    }
}
