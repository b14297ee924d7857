//! The two clocks, read together.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::{Monotonic, Now};

/// The machine's clocks. All copies count monotonic time from the same start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Clocks whose monotonic time starts a second before now, so that "a while ago" can be said at once.
    pub fn start() -> Self {
        let now = Instant::now();
        Self { start: now.checked_sub(Duration::from_secs(1)).unwrap_or(now) }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let wall_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Now { monotonic: self.monotonic(), wall_ms }
    }

    /// The monotonic clock (`CLOCK_MONOTONIC`).
    pub fn monotonic(&self) -> Monotonic {
        Monotonic::from_nanoseconds(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// When `deadline` comes, for the timers of tokio and the standard library.
    pub fn instant(&self, deadline: Monotonic) -> Instant {
        self.start + Duration::from_nanos(deadline.nanoseconds())
    }
}
