//! Chance that a seed repeats.

/// A small generator (SplitMix64) for jitter, identifiers and choices. Not for secrets: the host seeds it from the
/// operating system, the simulator from the run's seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose whole sequence follows from `seed`.
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// 16 random bytes, as for a version 4 UUID.
    pub const fn bytes_16(&mut self) -> [u8; 16] {
        (((self.next_u64() as u128) << 64) | self.next_u64() as u128).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_bounds_hold() {
        let (mut one, mut other) = (Random::from_seed(7), Random::from_seed(7));
        let mut seen = [false; 10];
        for _ in 0..1000 {
            assert_eq!(one.next_u64(), other.next_u64());
            seen[one.below(10) as usize] = true;
            other.below(10);
        }
        assert_eq!(seen, [true; 10]);
        assert_eq!(one.below(0), 0);
    }
}
