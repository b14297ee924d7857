//! How fast sessions may be made: a bucket of tokens, and a chance to be dropped that grows while the bucket is empty
//! (upstream `BlueThrottle`).

use base::{Monotonic, Random};

use crate::ConnectionThrottle;

/// The bucket.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    settings: ConnectionThrottle,
    size: u32,
    fill_count: u32,
    tokens: u32,
    filled_at: Monotonic,
    drop_chance: f64,
    drop_changed_at: Monotonic,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(settings: ConnectionThrottle, now: Monotonic) -> Self {
        let unit = settings.weights.map_or(1, |weights| weights.unit);
        let size = settings.tokens.saturating_mul(unit);
        let fill_count = settings.fill_count.saturating_mul(unit);
        Self { settings, size, fill_count, tokens: size, filled_at: now, drop_chance: 0.0, drop_changed_at: now }
    }

    /// Whether a session may be made or renewed now; takes its tokens if so.
    pub(crate) fn admit(&mut self, renewed: bool, now: Monotonic, random: &mut Random) -> bool {
        if self.size == 0 {
            return true;
        }
        self.fill(now);
        if self.settings.freeze_time_ms.is_some_and(|freeze_ms| self.is_dropped(freeze_ms, now, random)) {
            return false;
        }
        let needed = self.settings.weights.map_or(1, |weights| if renewed { weights.renewed } else { weights.new });
        match self.tokens.checked_sub(needed) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    /// Tokens missing from a full bucket.
    pub(crate) const fn deficit(&self) -> u32 {
        self.size - self.tokens
    }

    /// The chance of being dropped, 0 to 1.
    pub(crate) const fn drop_chance(&self) -> f64 {
        self.drop_chance
    }

    fn fill(&mut self, now: Monotonic) {
        let passed_ms = now.ms().saturating_sub(self.filled_at.ms());
        let fill_time_ms = self.settings.fill_time_ms.max(1);
        if passed_ms > fill_time_ms {
            let filled = passed_ms.saturating_mul(u64::from(self.fill_count)) / fill_time_ms;
            self.tokens = u64::from(self.tokens).saturating_add(filled).min(u64::from(self.size)) as u32;
            self.filled_at = now;
        }
    }

    fn is_dropped(&mut self, freeze_ms: u64, now: Monotonic, random: &mut Random) -> bool {
        if now.ms().saturating_sub(self.drop_changed_at.ms()) > freeze_ms {
            let enough = (f64::from(self.size) * self.settings.decrease_ratio).round();
            if self.tokens == 0 {
                self.drop_chance = (self.drop_chance + self.settings.drop_increase).min(1.0);
            } else if f64::from(self.deficit()) <= enough {
                self.drop_chance = (self.drop_chance - self.settings.drop_decrease).max(0.0);
            }
            self.drop_changed_at = now;
        }
        // 53 random bits make an evenly spread number in 0..1.
        ((random.next_u64() >> 11) as f64) / ((1_u64 << 53) as f64) < self.drop_chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Weights;

    fn bucket(settings: ConnectionThrottle) -> TokenBucket {
        TokenBucket::new(settings, Monotonic::from_ms(0))
    }

    #[test]
    fn without_tokens_configured_everybody_is_admitted() {
        let mut bucket = bucket(ConnectionThrottle::default());
        let mut random = Random::from_seed(1);
        assert!((0..1000).all(|_| bucket.admit(false, Monotonic::from_ms(0), &mut random)));
    }

    #[test]
    fn an_empty_bucket_refuses_until_it_is_filled() {
        let mut random = Random::from_seed(1);
        let settings = ConnectionThrottle { tokens: 2, fill_time_ms: 100, ..ConnectionThrottle::default() };
        let mut bucket = bucket(settings);
        let mut admit = |at_ms| bucket.admit(false, Monotonic::from_ms(at_ms), &mut random);
        assert_eq!([admit(0), admit(0), admit(0)], [true, true, false]);
        assert!(!admit(100), "filled only after more than the fill time");
        assert_eq!([admit(101), admit(101)], [true, false]);
        assert_eq!([admit(10_000), admit(10_000), admit(10_000)], [true, true, false], "never above its size");
    }

    #[test]
    fn weights_count_new_sessions_dearer_than_renewed_ones() {
        let admitted = |new, asked: [bool; 4]| {
            let weights = Some(Weights { unit: 3, new, renewed: 2 });
            let mut bucket = bucket(ConnectionThrottle { tokens: 2, weights, ..ConnectionThrottle::default() });
            let mut random = Random::from_seed(1);
            (asked.map(|renewed| bucket.admit(renewed, Monotonic::from_ms(0), &mut random)), bucket.deficit())
        };
        assert_eq!(admitted(3, [false, true, true, true]), ([true, true, false, false], 5));
        assert_eq!(admitted(1, [false, true, true, true]), ([true, true, true, false], 5), "new ones are local");
    }

    #[test]
    fn while_it_stays_empty_the_chance_to_be_dropped_grows() {
        let mut random = Random::from_seed(1);
        let settings = ConnectionThrottle {
            tokens: 1,
            fill_time_ms: 1_000_000,
            freeze_time_ms: Some(10),
            drop_increase: 0.5,
            ..ConnectionThrottle::default()
        };
        let mut bucket = bucket(settings);
        assert!(bucket.admit(false, Monotonic::from_ms(0), &mut random));
        assert!(!bucket.admit(false, Monotonic::from_ms(11), &mut random));
        assert!(!bucket.admit(false, Monotonic::from_ms(22), &mut random));
        assert!((bucket.drop_chance() - 1.0).abs() < f64::EPSILON);
        assert!(!bucket.admit(false, Monotonic::from_ms(3_000_000), &mut random), "full again, and dropped by chance");
    }
}
