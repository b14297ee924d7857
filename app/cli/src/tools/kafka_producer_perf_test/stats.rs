//! Latencies and rates, and the lines about them.

/// How often a line about the time since the last one is printed.
const REPORTING_INTERVAL_MS: i64 = 5_000;
/// At most about so many latencies are kept for the percentiles.
const SAMPLES_MAX: i64 = 500_000;

/// What was sent in some time.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start_ms: i64,
    count: i64,
    bytes: i64,
    latency_total_ms: i64,
    latency_max_ms: i64,
}

impl Window {
    fn starting(start_ms: i64) -> Self {
        Self { start_ms, ..Self::default() }
    }

    fn record(&mut self, latency_ms: i64, bytes: i64) {
        self.count += 1;
        self.bytes += bytes;
        self.latency_total_ms += latency_ms;
        self.latency_max_ms = self.latency_max_ms.max(latency_ms);
    }

    /// Records and megabytes in a second, and the average latency.
    fn rates(&self, now_ms: i64) -> (f64, f64, f64) {
        let elapsed_ms = (now_ms - self.start_ms) as f64;
        let records = 1000.0 * self.count as f64 / elapsed_ms;
        let megabytes = 1000.0 * self.bytes as f64 / elapsed_ms / (1024.0 * 1024.0);
        (records, megabytes, self.latency_total_ms as f64 / self.count as f64)
    }
}

/// All that was sent, and what was sent since the last line.
#[derive(Debug)]
pub(super) struct Stats {
    total: Window,
    window: Window,
    latencies_ms: Vec<i64>,
    sampling: i64,
}

impl Stats {
    pub(super) fn new(records: i64, now_ms: i64) -> Self {
        Self {
            total: Window::starting(now_ms),
            window: Window::starting(now_ms),
            latencies_ms: Vec::new(),
            sampling: (records / SAMPLES_MAX.min(records).max(1)).max(1),
        }
    }

    /// Counts a delivery of the `iteration`th record; every few seconds there is a line to print.
    pub(super) fn record(&mut self, iteration: i64, latency_ms: i64, bytes: i64, now_ms: i64) -> Option<String> {
        self.total.record(latency_ms, bytes);
        self.window.record(latency_ms, bytes);
        if iteration % self.sampling == 0 {
            self.latencies_ms.push(latency_ms);
        }
        if now_ms - self.window.start_ms < REPORTING_INTERVAL_MS {
            return None;
        }
        let (records, megabytes, average) = self.window.rates(now_ms);
        let line = format!(
            "{} records sent, {records:.1} records/sec ({megabytes:.2} MB/sec), {average:.1} ms avg latency, {:.1} ms max \
             latency.",
            self.window.count, self.window.latency_max_ms as f64
        );
        self.window = Window::starting(now_ms);
        Some(line)
    }

    /// The line about everything.
    pub(super) fn total(mut self, now_ms: i64) -> String {
        let (records, megabytes, average) = self.total.rates(now_ms);
        self.latencies_ms.sort_unstable();
        let percentile = |part: f64| {
            let place = (part * self.latencies_ms.len() as f64) as usize;
            self.latencies_ms.get(place).copied().unwrap_or(0)
        };
        format!(
            "{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {:.2} ms max latency, {} ms 50th, {} ms \
             95th, {} ms 99th, {} ms 99.9th.",
            self.total.count,
            decimal(records, 6),
            decimal(megabytes, 2),
            decimal(average, 2),
            self.total.latency_max_ms as f64,
            percentile(0.5),
            percentile(0.95),
            percentile(0.99),
            percentile(0.999)
        )
    }
}

/// A number with so many places, as Java's formatter writes it.
pub(in crate::tools) fn decimal(number: f64, places: usize) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_the_originals_words() {
        let mut stats = Stats::new(4, 1_000);
        assert_eq!(stats.record(0, 10, 1 << 20, 2_000), None);
        assert_eq!(stats.record(1, 20, 1 << 20, 3_000), None);
        assert_eq!(
            stats.record(2, 31, 1 << 20, 6_000).unwrap(),
            "3 records sent, 0.6 records/sec (0.60 MB/sec), 20.3 ms avg latency, 31.0 ms max latency."
        );
        assert_eq!(stats.record(3, 39, 1 << 20, 9_000), None);
        assert_eq!(
            stats.total(9_000),
            "4 records sent, 0.500000 records/sec (0.50 MB/sec), 25.00 ms avg latency, 39.00 ms max latency, 31 ms \
             50th, 39 ms 95th, 39 ms 99th, 39 ms 99.9th."
        );
        assert!(Stats::new(0, 5).total(5).starts_with("0 records sent, NaN records/sec (NaN MB/sec), NaN ms"));
    }
}
