//! What a server counts about itself, for `srvr`, `stat`, `cons` and `mntr`.

use std::collections::BTreeMap;
use std::fmt;

/// A duration's or size's count, sum, least and greatest value (upstream `AvgMinMaxCounter`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    least: u64,
    pub(crate) greatest: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, value: u64) {
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.greatest = self.greatest.max(value);
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The least value, 0 if there is none.
    pub(crate) const fn least(&self) -> u64 {
        self.least
    }

    /// The average, rounded to four digits as the original does.
    pub(crate) fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.sum as f64 / self.count as f64 * 10_000.0).round() / 10_000.0 }
    }
}

/// Bytes by the first name of a path (upstream `AvgMinMaxCounterSet`). A name stays when its nodes are gone, so there is a bound.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(BTreeMap<String, Summary>);

impl Namespaces {
    const NAMES_MAX: usize = 1000;

    /// Notes `bytes` for `path`; nothing for the root, which has no name.
    pub(crate) fn add(&mut self, path: &str, bytes: usize) {
        let name = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
        if name.is_empty() {
            return;
        }
        let bytes = bytes as u64;
        if let Some(summary) = self.0.get_mut(name) {
            summary.add(bytes);
        } else if self.0.len() < Self::NAMES_MAX {
            self.0.entry(name.to_owned()).or_default().add(bytes);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Summary)> {
        self.0.iter().map(|(name, summary)| (name.as_str(), summary))
    }

    fn reset(&mut self) {
        self.0.values_mut().for_each(|summary| *summary = Summary::default());
    }
}

/// A [`Summary`] that also knows its percentiles, each to some 6 % (upstream `AvgMinMaxPercentileCounter`).
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    pub(crate) summary: Summary,
    /// 16 buckets for each power of two, the first 16 values exact.
    buckets: Box<[u64; BUCKETS]>,
}

const STEPS: u64 = 16;
const BUCKETS: usize = 64 * STEPS as usize;

impl Default for Distribution {
    fn default() -> Self {
        Self { summary: Summary::default(), buckets: Box::new([0; BUCKETS]) }
    }
}

impl Distribution {
    pub(crate) fn add(&mut self, value: u64) {
        self.summary.add(value);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(value)) {
            *bucket += 1;
        }
    }

    /// The value that `share` of all values (0 to 1) do not exceed; 0 if there is none.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let rank = (self.summary.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_bound(index as u64).min(self.summary.greatest);
            }
        }
        0
    }
}

const fn bucket_of(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = value.ilog2() as u64;
    (STEPS * (power - 3) + (value >> (power - 4)) - STEPS) as usize
}

const fn upper_bound(bucket: u64) -> u64 {
    if bucket < STEPS {
        return bucket;
    }
    let power = bucket / STEPS + 3;
    // At most 2^64 - 1 for the last bucket in use.
    ((STEPS + bucket % STEPS + 1) << (power - 4)).wrapping_sub(1)
}

/// A double as Java prints it.
pub(crate) struct JavaDouble(pub(crate) f64);

impl fmt::Display for JavaDouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = self;
        if *value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
            return write!(formatter, "{value:?}");
        }
        let text = format!("{value:E}");
        match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => write!(formatter, "{digits}.0E{exponent}"),
            _ => formatter.write_str(&text),
        }
    }
}

/// Counters that `mntr` shows by the original's names.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_received: u64,
    pub(crate) connections_dropped: u64,
    pub(crate) connections_rejected: u64,
    pub(crate) connection_requests: u64,
    pub(crate) connections_revalidated: u64,
    pub(crate) sessionless_expired: u64,
    pub(crate) sessions_expired: u64,
    pub(crate) large_requests_rejected: u64,
    pub(crate) throttle_waits: u64,
    pub(crate) requests_prepared: u64,
    pub(crate) requests_logged: u64,
    pub(crate) digest_mismatches: u64,
    /// Changes of nodes that later requests are checked against until they are applied, as they come and go.
    pub(crate) changes_queued: u64,
    pub(crate) changes_removed: u64,
}

/// Everything a server counts; `srst` resets it.
#[derive(Debug, Default)]
pub(crate) struct ServerStats {
    pub(crate) packets_received: u64,
    pub(crate) packets_sent: u64,
    /// Milliseconds from a request's arrival to its reply.
    pub(crate) latency: Summary,
    pub(crate) read_latency: Distribution,
    pub(crate) update_latency: Distribution,
    pub(crate) propagation_latency: Distribution,
    /// Lengths of replies; `None` before the first.
    pub(crate) reply_length: Option<ReplyLength>,
    pub(crate) counters: Counters,
    /// Watches that each kind of event triggered.
    pub(crate) watches_created: Summary,
    pub(crate) watches_deleted: Summary,
    pub(crate) watches_changed: Summary,
    pub(crate) watches_children: Summary,
    pub(crate) sync_ms: Summary,
    pub(crate) sync_batch: Summary,
    pub(crate) snapshot_ms: Summary,
    pub(crate) token_deficit: Summary,
    /// Transactions read from the log at start, and how long the start took.
    pub(crate) startup_txns: Summary,
    pub(crate) startup_ms: Summary,
    pub(crate) namespaces_read: Namespaces,
    pub(crate) namespaces_written: Namespaces,
}

/// Lengths of replies without their length field (upstream `BufferStats`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyLength {
    pub(crate) last: usize,
    pub(crate) least: usize,
    pub(crate) greatest: usize,
}

impl ServerStats {
    /// Starts anew, as `srst` does.
    pub(crate) fn reset(&mut self) {
        let Self { mut namespaces_read, mut namespaces_written, .. } = std::mem::take(self);
        namespaces_read.reset();
        namespaces_written.reset();
        *self = Self { namespaces_read, namespaces_written, ..Self::default() };
    }

    /// Notes one reply of `length` bytes.
    pub(crate) fn replied(&mut self, length: usize) {
        self.packets_sent += 1;
        let before = self.reply_length.unwrap_or(ReplyLength { last: length, least: length, greatest: length });
        self.reply_length =
            Some(ReplyLength { last: length, least: before.least.min(length), greatest: before.greatest.max(length) });
    }
}

/// What is counted for one connection; `crst` resets it.
///
/// A fresh connection differs from a reset one, as in the original: its least latency is 0 and stays it.
#[derive(Debug)]
pub(crate) struct ConnectionStats {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) last_op: &'static str,
    pub(crate) last_cxid: i64,
    pub(crate) last_zxid: i64,
    /// Milliseconds of the monotonic clock.
    pub(crate) last_response_ms: u64,
    pub(crate) last_latency_ms: u64,
    count: u64,
    sum_ms: u64,
    least_ms: Option<u64>,
    pub(crate) greatest_ms: u64,
}

impl ConnectionStats {
    /// Of a connection that has just been opened.
    pub(crate) const fn fresh() -> Self {
        Self { last_op: "null", last_cxid: 0, last_zxid: 0, least_ms: Some(0), ..Self::reset() }
    }

    /// Behind `crst`.
    pub(crate) const fn reset() -> Self {
        Self {
            received: 0,
            sent: 0,
            last_op: "NA",
            last_cxid: -1,
            last_zxid: -1,
            last_response_ms: 0,
            last_latency_ms: 0,
            count: 0,
            sum_ms: 0,
            least_ms: None,
            greatest_ms: 0,
        }
    }

    /// Notes a reply at `now_ms` to a request that took `latency_ms`.
    pub(crate) fn replied(&mut self, op: &'static str, cxid: i32, zxid: i64, now_ms: u64, latency_ms: u64) {
        if cxid >= 0 {
            self.last_cxid = i64::from(cxid);
        }
        self.last_zxid = zxid;
        self.last_op = op;
        self.last_response_ms = now_ms;
        self.last_latency_ms = latency_ms;
        self.least_ms = Some(self.least_ms.map_or(latency_ms, |least| least.min(latency_ms)));
        self.greatest_ms = self.greatest_ms.max(latency_ms);
        self.count += 1;
        self.sum_ms += latency_ms;
    }

    pub(crate) fn least_ms(&self) -> u64 {
        self.least_ms.unwrap_or(0)
    }

    pub(crate) fn average_ms(&self) -> u64 {
        self.sum_ms.checked_div(self.count).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_look_as_in_java() {
        let text = |value| JavaDouble(value).to_string();
        assert_eq!(
            [0.0, 0.5, 12.0, 0.0005, 1.25e-4, 12_345_678.9].map(text),
            ["0.0", "0.5", "12.0", "5.0E-4", "1.25E-4", "1.23456789E7"]
        );
    }

    #[test]
    fn a_summary_averages_to_four_digits() {
        let mut summary = Summary::default();
        assert_eq!((summary.least(), summary.average()), (0, 0.0));
        for value in [5, 2, 3, 3, 3, 3] {
            summary.add(value);
        }
        assert_eq!((summary.least(), summary.greatest, summary.average()), (2, 5, 3.1667));
    }

    #[test]
    fn bytes_are_counted_by_the_first_name_and_names_are_bounded() {
        let mut stats = ServerStats::default();
        for (path, bytes) in [("/", 9), ("/a", 1), ("/a/b/c", 3), ("/b", 5)] {
            stats.namespaces_read.add(path, bytes);
        }
        let sums = |stats: &ServerStats| {
            stats.namespaces_read.iter().map(|(name, summary)| (name.to_owned(), summary.sum)).collect::<Vec<_>>()
        };
        assert_eq!(sums(&stats), [("a".to_owned(), 4), ("b".to_owned(), 5)]);
        stats.reset();
        assert_eq!(sums(&stats), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
        (0..5000).for_each(|number| stats.namespaces_read.add(&format!("/{number}"), 1));
        assert_eq!(stats.namespaces_read.iter().count(), 1000);
    }

    #[test]
    fn percentiles_are_close() {
        let mut distribution = Distribution::default();
        assert_eq!(distribution.percentile(0.5), 0);
        for value in 1..=1000 {
            distribution.add(value);
        }
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = distribution.percentile(share) as f64;
            assert!((exact..=exact * 1.07).contains(&found), "{share}: {found}");
        }
        distribution.add(u64::MAX);
        assert_eq!(distribution.percentile(1.0), u64::MAX);
    }

    #[test]
    fn every_value_lies_at_or_below_the_bound_of_its_bucket() {
        for power in 0..64 {
            for value in [1_u64 << power, (1 << power) + 1, (1 << power) | ((1 << power) - 1)] {
                assert!(value <= upper_bound(bucket_of(value) as u64), "{value}");
                assert!(bucket_of(value) < BUCKETS);
            }
        }
    }
}
