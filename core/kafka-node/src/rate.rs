//! How often something happens, over a few samples of time (upstream: `Rate`, `SampledStat`, `QuotaUtils`).

/// How events are sampled: `quota.window.size.seconds`, `quota.window.num`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// Length of one sample.
    pub(crate) sample_ms: u64,
    /// Samples that count, the one being filled included.
    pub(crate) samples: usize,
}

/// Counts of the last samples. A sample begins with the first event after the one before is full, so that quiet times cost none.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    samples: Vec<Sample>,
    current: usize,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    start_ms: u64,
    events: u64,
}

impl Rate {
    /// Counts an event. Returns by how many milliseconds it came too early for a limit of `per_second`.
    pub(crate) fn record(&mut self, sampling: Sampling, per_second: f64, now_ms: u64) -> u64 {
        self.current_sample(sampling, now_ms).events += 1;
        self.drop_old(sampling, now_ms);
        let window_ms = self.window_ms(sampling, now_ms);
        let events: u64 = self.samples.iter().map(|sample| sample.events).sum();
        let excess = events as f64 / (window_ms / 1000.0) / per_second - 1.0;
        // A limit of zero makes it endless; the caller has a bound.
        (excess.max(0.0) * window_ms).round() as u64
    }

    fn current_sample(&mut self, sampling: Sampling, now_ms: u64) -> &mut Sample {
        let new = Sample { start_ms: now_ms, events: 0 };
        if self.samples.is_empty() {
            self.samples.push(new);
            self.current = 0;
        }
        let is_full = |sample: &Sample| now_ms.saturating_sub(sample.start_ms) >= sampling.sample_ms;
        if self.samples.get(self.current).is_none_or(is_full) {
            self.current = (self.current + 1) % sampling.samples.max(1);
            match self.samples.get_mut(self.current) {
                Some(oldest) => *oldest = new,
                None => {
                    self.current = self.samples.len();
                    self.samples.push(new);
                }
            }
        }
        self.samples.get_mut(self.current).expect("it was just chosen or pushed")
    }

    fn drop_old(&mut self, sampling: Sampling, now_ms: u64) {
        let age_max_ms = sampling.sample_ms.saturating_mul(sampling.samples as u64);
        for sample in &mut self.samples {
            if now_ms.saturating_sub(sample.start_ms) >= age_max_ms {
                *sample = Sample { start_ms: now_ms, events: 0 };
            }
        }
    }

    /// The time that the counts stand for: never less than all samples but one, or the first events would look like a flood.
    fn window_ms(&self, sampling: Sampling, now_ms: u64) -> f64 {
        let oldest_ms = self.samples.iter().map(|sample| sample.start_ms).min().unwrap_or(now_ms);
        let elapsed_ms = now_ms.saturating_sub(oldest_ms);
        let full_min = (sampling.samples as u64).saturating_sub(1);
        let missing = full_min.saturating_sub(elapsed_ms / sampling.sample_ms.max(1));
        (elapsed_ms + missing * sampling.sample_ms) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLING: Sampling = Sampling { sample_ms: 1000, samples: 11 };

    #[test]
    fn a_burst_waits_until_it_is_within_the_limit() {
        let mut rate = Rate::default();
        // Ten seconds at ten in a second: a hundred are free, whenever they come.
        for _ in 0..100 {
            assert_eq!(rate.record(SAMPLING, 10.0, 5), 0);
        }
        // The 101st makes 10.1 a second in ten seconds: (10.1 - 10) / 10 of the window too much.
        assert_eq!(rate.record(SAMPLING, 10.0, 5), 100);
        assert_eq!(rate.record(SAMPLING, 10.0, 5), 200);
        // Half a second later the window is longer.
        assert_eq!(rate.record(SAMPLING, 10.0, 505), 0);
    }

    #[test]
    fn old_samples_are_forgotten() {
        let mut rate = Rate::default();
        for _ in 0..200 {
            rate.record(SAMPLING, 10.0, 0);
        }
        assert!(rate.record(SAMPLING, 10.0, 10_000) > 0, "the burst still counts");
        assert_eq!(rate.record(SAMPLING, 10.0, 11_000), 0, "eleven samples ago");
    }

    #[test]
    fn a_limit_of_zero_never_lets_in_on_time() {
        assert_eq!(Rate::default().record(SAMPLING, 0.0, 0), u64::MAX);
    }
}
