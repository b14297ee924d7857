//! Latencies in buckets of logarithmic width: constant room and time however many there are.

use std::time::Duration;

/// Each power of two is cut into this many buckets, so a reading is at most 1/64 (1.6 %) too high.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2^40 ns, some 18 minutes; what is longer counts as that.
const POWERS: u32 = 40;

/// Counts of latencies, by size.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; bucket_of(1 << POWERS) + 1], count: 0 }
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.buckets.get_mut(bucket_of(nanos.min(1 << POWERS)));
        *bucket.expect("the last bucket is that of the longest latency") += 1;
        self.count += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The latency that `part` (0 to 1) of all do not exceed, rounded up to the end of its bucket; zero without any.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let wanted = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(bucket_end(bucket as u64));
            }
        }
        Duration::ZERO
    }
}

/// Values below [`STEPS`] have a bucket each; above, the bits behind the leading one number the bucket.
fn bucket_of(nanos: u64) -> usize {
    let bucket = if nanos < STEPS {
        nanos
    } else {
        let shift = nanos.ilog2() - STEP_BITS;
        u64::from(shift) * STEPS + (nanos >> shift)
    };
    usize::try_from(bucket).expect("fewer than 4,000 buckets")
}

/// The largest value of a bucket.
const fn bucket_end(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((bucket % STEPS + STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_its_bucket_and_is_read_within_two_percent() {
        for nanos in (0..2000).chain([4095, 4096, 1_000_000, 999_999_999, 1 << 39, (1 << 40) - 1]) {
            let bucket = bucket_of(nanos) as u64;
            let end = bucket_end(bucket);
            assert!(end >= nanos && end as f64 <= nanos as f64 * 1.016, "{nanos} read as {end}");
            assert!(bucket == 0 || bucket_end(bucket - 1) < nanos, "{nanos} fits the bucket before");
        }
    }

    #[test]
    fn quantiles_of_a_thousand() {
        let mut histogram = Histogram::new();
        for micros in (1..=1000).rev() {
            histogram.record(Duration::from_micros(micros));
        }
        for (part, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let read = histogram.quantile(part).as_secs_f64() * 1e6;
            assert!(read >= micros && read < micros * 1.016, "{part}: {read}");
        }
    }

    #[test]
    fn an_outlier_shows_in_the_tail_alone() {
        let mut histogram = Histogram::new();
        for _ in 0..999 {
            histogram.record(Duration::from_micros(10));
        }
        histogram.record(Duration::from_secs(1));
        assert!(histogram.quantile(0.999) < Duration::from_micros(11));
        assert!(histogram.quantile(0.9995) >= Duration::from_secs(1));
    }

    #[test]
    fn none_and_absurd_values() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.99), Duration::ZERO);
        histogram.record(Duration::MAX);
        assert!(histogram.quantile(0.5) >= Duration::from_secs(1000));
    }

    #[test]
    fn adding_joins_the_counts() {
        let (mut one, mut other) = (Histogram::new(), Histogram::new());
        one.record(Duration::from_micros(1));
        other.record(Duration::from_millis(1));
        one.add(&other);
        assert_eq!(one.count(), 2);
        assert!(one.quantile(0.5) < Duration::from_micros(2));
        assert!(one.quantile(1.0) >= Duration::from_millis(1));
    }
}
