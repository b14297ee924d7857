//! Time comes in two kinds, and comes in from outside with each event.

use std::ops::Sub;
use std::time::Duration;

/// A reading of a clock that never goes back, in nanoseconds since an arbitrary start. For timeouts and timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The reading `nanoseconds` after the clock's start.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// The reading `milliseconds` after the clock's start.
    pub const fn from_ms(milliseconds: u64) -> Self {
        Self(milliseconds.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the clock's start.
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the clock's start.
    pub const fn ms(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The reading `milliseconds` later; the far end of time instead of an overflow.
    #[must_use]
    pub const fn plus_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds.saturating_mul(1_000_000)))
    }

    /// Time from `earlier` to this reading, zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Sub for Monotonic {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Both clocks, read together as an event arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timeouts, sessions and timers.
    pub monotonic: Monotonic,
    /// Milliseconds since 1970: for record timestamps, retention and znode times.
    pub wall_ms: i64,
}
