//! How fast replicas are copied while a reassignment goes on (KIP-73; upstream: `ReplicationQuotaManager`).
//!
//! A topic names the replicas that are throttled (`leader.replication.throttled.replicas`, `follower.…`), a broker the bytes in a second
//! that all of them may take together (`leader.replication.throttled.rate`, `follower.…`). A leader gives throttled followers that are
//! not in sync nothing once its rate is reached, a follower asks for nothing. What is in sync is counted, and never held back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base::Monotonic;
use config::BrokerSettings;
use config::broker::Scope;
use parking_lot::{Mutex, RwLock};

/// The throttles of both directions.
pub(crate) struct Throttles {
    /// What followers read here.
    pub(crate) leader: Throttle,
    /// What is fetched here.
    pub(crate) follower: Throttle,
    /// What is copied between log directories, of whatever replicas.
    pub(crate) moves: Throttle,
}

/// The throttle of one direction.
pub(crate) struct Throttle {
    window: fn(&BrokerSettings) -> Window,
    /// Tells without a lock that nothing is throttled, as mostly.
    is_used: AtomicBool,
    topics: RwLock<BTreeMap<String, Throttled>>,
    rates: Mutex<Rates>,
    /// Bytes in a second; all, if nothing is set.
    rate: AtomicU64,
    bytes: Mutex<Bytes>,
}

/// By how much of the past a rate is told.
#[derive(Clone, Copy)]
struct Window {
    samples: u64,
    sample_ms: u64,
}

/// The throttled partitions of a topic.
enum Throttled {
    All,
    Some(BTreeSet<i32>),
}

/// `….rate` for all brokers, and for this one.
#[derive(Default)]
struct Rates {
    default: Option<u64>,
    own: Option<u64>,
}

/// Bytes of the last samples of time, the newest last.
#[derive(Default)]
struct Bytes {
    samples: std::collections::VecDeque<(Monotonic, u64)>,
}

/// The rate of moves between log directories.
const MOVE_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const RATE: &str = "replication.throttled.rate";
const REPLICAS: &str = "replication.throttled.replicas";

impl Default for Throttles {
    fn default() -> Self {
        let of_replication = |settings: &BrokerSettings| {
            Window::new(settings.replication.quota_samples, settings.replication.quota_sample_s)
        };
        let of_moves = |settings: &BrokerSettings| {
            Window::new(settings.replication.move_quota_samples, settings.replication.move_quota_sample_s)
        };
        Self {
            leader: Throttle::new(of_replication),
            follower: Throttle::new(of_replication),
            moves: Throttle::new(of_moves),
        }
    }
}

impl Window {
    fn new(samples: i32, sample_s: i32) -> Self {
        Self { samples: u64::try_from(samples).unwrap_or(1), sample_ms: u64::try_from(sample_s).unwrap_or(1) * 1000 }
    }
}

impl Throttles {
    fn both(&self) -> [(&'static str, &Throttle); 2] {
        [("leader", &self.leader), ("follower", &self.follower)]
    }

    /// Takes what is set for all brokers, or this one.
    pub(crate) fn set_rates(&self, scope: Scope, stored: &BTreeMap<String, String>) {
        for (side, throttle) in self.both() {
            throttle.set_rate(scope, stored.get(&format!("{side}.{RATE}")));
        }
        self.moves.set_rate(scope, stored.get(MOVE_RATE));
    }

    /// Takes what is set for a topic.
    pub(crate) fn set_replicas(&self, topic: &str, overrides: &BTreeMap<String, String>, broker: i32) {
        for (side, throttle) in self.both() {
            let throttled = overrides.get(&format!("{side}.{REPLICAS}")).map(|text| parse(text, broker));
            let mut topics = throttle.topics.write();
            match throttled {
                Some(throttled) => drop(topics.insert(topic.to_owned(), throttled)),
                None => drop(topics.remove(topic)),
            }
            throttle.is_used.store(!topics.is_empty(), Ordering::Relaxed);
        }
    }
}

/// `*`, or `partition:broker` separated by commas: those of this broker.
fn parse(text: &str, broker: i32) -> Throttled {
    if text.trim() == "*" {
        return Throttled::All;
    }
    let entry = |entry: &str| {
        let (partition, replica) = entry.trim().split_once(':')?;
        (replica.trim().parse() == Ok(broker)).then(|| partition.trim().parse().ok()).flatten()
    };
    Throttled::Some(text.split(',').filter_map(entry).collect())
}

impl Throttle {
    fn new(window: fn(&BrokerSettings) -> Window) -> Self {
        Self {
            window,
            is_used: AtomicBool::default(),
            topics: RwLock::default(),
            rates: Mutex::default(),
            rate: AtomicU64::new(u64::MAX),
            bytes: Mutex::default(),
        }
    }

    fn set_rate(&self, scope: Scope, text: Option<&String>) {
        let rate = text.and_then(|text| text.trim().parse().ok());
        let mut rates = self.rates.lock();
        match scope {
            Scope::Default => rates.default = rate,
            Scope::Broker => rates.own = rate,
        }
        self.rate.store(rates.own.or(rates.default).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether a partition's replica is throttled.
    pub(crate) fn covers(&self, topic: &str, partition: i32) -> bool {
        self.is_used.load(Ordering::Relaxed)
            && match self.topics.read().get(topic) {
                Some(Throttled::All) => true,
                Some(Throttled::Some(partitions)) => partitions.contains(&partition),
                None => false,
            }
    }

    /// Whether more than the rate went by within the last samples (upstream: `SimpleRate`).
    pub(crate) fn is_exceeded(&self, settings: &BrokerSettings, now: Monotonic) -> bool {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == u64::MAX {
            return false;
        }
        let window = (self.window)(settings);
        let mut bytes = self.bytes.lock();
        bytes.forget(window, now);
        let total: u64 = bytes.samples.iter().map(|(_, bytes)| bytes).sum();
        let oldest = bytes.samples.front().map_or(now, |(start, _)| *start);
        let elapsed_ms = (now.since(oldest).as_millis() as u64).max(window.sample_ms);
        total as f64 > rate as f64 * (elapsed_ms as f64 / 1000.0)
    }

    /// Counts bytes of throttled replicas.
    pub(crate) fn record(&self, count: u64, settings: &BrokerSettings, now: Monotonic) {
        let window = (self.window)(settings);
        let mut bytes = self.bytes.lock();
        bytes.forget(window, now);
        match bytes.samples.back_mut().filter(|(start, _)| now < start.plus_ms(window.sample_ms)) {
            Some((_, newest)) => *newest += count,
            None => bytes.samples.push_back((now, count)),
        }
    }
}

impl Bytes {
    /// Drops the samples that count no more.
    fn forget(&mut self, window: Window, now: Monotonic) {
        let age_ms = window.sample_ms.saturating_mul(window.samples);
        while self.samples.front().is_some_and(|(start, _)| start.plus_ms(age_ms) <= now) {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn replicas_are_named_by_their_broker() {
        let throttles = Throttles::default();
        throttles.set_replicas("t", &set(&[("leader.replication.throttled.replicas", "0:1,1:2,2:1")]), 1);
        assert!(throttles.leader.covers("t", 0) && throttles.leader.covers("t", 2));
        assert!(!throttles.leader.covers("t", 1), "of another broker");
        assert!(!throttles.follower.covers("t", 0));
        throttles.set_replicas("t", &set(&[("follower.replication.throttled.replicas", "*")]), 1);
        assert!(throttles.follower.covers("t", 7) && !throttles.leader.covers("t", 0));
    }

    #[test]
    fn a_rate_is_exceeded_until_time_makes_up_for_it() {
        let settings = testing::settings("");
        let throttle = Throttles::default();
        let now = Monotonic::from_ms(100_000);
        throttle.leader.record(5000, &settings, now);
        assert!(!throttle.leader.is_exceeded(&settings, now), "no rate is set");
        throttle.set_rates(Scope::Default, &set(&[("leader.replication.throttled.rate", "1000")]));
        assert!(throttle.leader.is_exceeded(&settings, now.plus_ms(3000)));
        assert!(!throttle.leader.is_exceeded(&settings, now.plus_ms(5000)));
        throttle.set_rates(Scope::Broker, &set(&[("leader.replication.throttled.rate", "0")]));
        assert!(throttle.leader.is_exceeded(&settings, now.plus_ms(5000)), "its own rate is nothing at all");
        throttle.moves.record(5000, &settings, now);
        assert!(!throttle.moves.is_exceeded(&settings, now));
        throttle.set_rates(Scope::Broker, &set(&[("replica.alter.log.dirs.io.max.bytes.per.second", "1000")]));
        assert!(throttle.moves.is_exceeded(&settings, now.plus_ms(3000)));
        assert!(!throttle.moves.is_exceeded(&settings, now.plus_ms(5000)));
    }
}
