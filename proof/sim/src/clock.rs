//! A server's clocks: each starts somewhere, runs at its own rate, and the wall clock may be set while it runs.

use base::{Monotonic, Now, Random};

/// Where wall clocks start.
const WALL_MS: i64 = 1_600_000_000_000;
const RATE_MAX_PPM: u64 = 20_000;
const MILLION: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    offset_us: u64,
    /// Microseconds of this clock for a million of the world's.
    rate: u64,
    wall_ms: i64,
}

impl Clock {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut clock = Self {
            offset_us: MILLION + random.below(1000 * MILLION),
            rate: MILLION - RATE_MAX_PPM + random.below(2 * RATE_MAX_PPM),
            wall_ms: WALL_MS,
        };
        clock.set_wall(random);
        clock
    }

    /// Somebody sets the wall clock, up to five seconds off.
    pub(crate) fn set_wall(&mut self, random: &mut Random) {
        self.wall_ms = WALL_MS - 5_000 + random.below(10_000) as i64;
    }

    pub(crate) fn now(&self, world_us: u64) -> Now {
        let passed_us = self.passed(world_us);
        let monotonic = Monotonic::from_nanoseconds((self.offset_us + passed_us) * 1000);
        Now { monotonic, wall_ms: self.wall_ms + (passed_us / 1000) as i64 }
    }

    /// When this clock will show `reading`.
    pub(crate) fn when(&self, reading: Monotonic) -> u64 {
        let passed_us = reading.nanoseconds().div_ceil(1000).saturating_sub(self.offset_us);
        u64::try_from((u128::from(passed_us) * u128::from(MILLION)).div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX)
    }

    fn passed(&self, world_us: u64) -> u64 {
        (u128::from(world_us) * u128::from(self.rate) / u128::from(MILLION)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_it_says() {
        let mut random = Random::from_seed(1);
        for _ in 0..100 {
            let clock = Clock::new(&mut random);
            let deadline = clock.now(random.below(MILLION)).monotonic.plus_ms(random.below(500));
            let at = clock.when(deadline);
            assert!(clock.now(at).monotonic >= deadline);
            assert!(clock.now(at.saturating_sub(2)).monotonic < deadline);
        }
    }
}
