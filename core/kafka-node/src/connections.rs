//! Who may connect: how many at a time, and how many in a second (upstream: `ConnectionQuotas`; KIP-402, KIP-612).
//!
//! An address with too many connections is refused. Where the broker or the listener is full, or connections come too fast, accepting
//! rests. The listener between brokers, if it is one of several, is not held back by the broker's limits: clients must not shut the
//! brokers out. What it takes above `max.connections` is made room for by closing the client that has been quiet for longest.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use base::{Monotonic, Now};
use config::BrokerSettings;
use config::broker::ListenerLimits;
use parking_lot::Mutex;

use crate::connection::Closed;
use crate::rate::{Rate, Sampling};

/// Counts of open connections, and how fast they came.
#[derive(Default)]
pub(crate) struct Connections(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    by_address: BTreeMap<IpAddr, usize>,
    by_listener: BTreeMap<String, OfListener>,
    rate: Rate,
    open: BTreeMap<u64, Arc<Life>>,
    serial: u64,
    /// Listeners that wait for a place.
    waiting: Vec<Waker>,
}

#[derive(Default)]
struct OfListener {
    open: usize,
    rate: Rate,
}

/// What is known of an open connection by those who look for one to close.
struct Life {
    /// Connections of the listener between brokers stay.
    may_be_closed: bool,
    /// In nanoseconds.
    last_active: AtomicU64,
    is_evicted: AtomicBool,
    waker: OnceLock<Waker>,
}

/// One connection's place in the counts; dropping it gives the place back.
pub struct Place {
    counts: Arc<Mutex<Counts>>,
    address: IpAddr,
    listener: String,
    serial: u64,
    life: Arc<Life>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Place({} on {})", self.address, self.listener)
    }
}

impl Connections {
    /// A connection came to a listener: counts it, and says how long the listener rests before it is let in, in milliseconds.
    pub(crate) fn came(&self, listener: &str, settings: &BrokerSettings, now: Now) -> u64 {
        let mut counts = self.0.lock();
        let now_ms = now.monotonic.ms();
        let sample_ms = u64::try_from(settings.network.quota_sample_s).unwrap_or(1) * 1000;
        let sampling = Sampling { sample_ms, samples: usize::try_from(settings.network.quota_samples).unwrap_or(1) };
        let of_broker = match settings.listeners.is_brokers_own(listener) {
            true => 0,
            false => counts.rate.record(sampling, settings.network.connections_per_second_max.into(), now_ms),
        };
        let limit = limits(listener, settings).per_second_max;
        let of_listener = counts.of_listener(listener).rate.record(sampling, limit.into(), now_ms);
        of_broker.max(of_listener).min(sample_ms)
    }

    /// Counts a connection that is let in, or refuses it. Pending while the broker or the listener is full; then the waker is called
    /// when it is worth another try.
    pub(crate) fn poll_admit(
        &self,
        listener: &str,
        address: IpAddr,
        settings: &BrokerSettings,
        waker: &Waker,
        now: Now,
    ) -> Poll<Result<Place, Closed>> {
        let mut counts = self.0.lock();
        let is_protected = settings.listeners.is_brokers_own(listener);
        let is_full = !is_below(counts.of_listener(listener).open, limits(listener, settings).connections_max);
        if is_full || !is_protected && !is_below(counts.open.len(), settings.network.connections_max) {
            counts.waiting.push(waker.clone());
            return Poll::Pending;
        }
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        let own = settings.connections_per_ip_overrides.get(&address.to_string()).copied();
        let of_address_max = own.unwrap_or(settings.network.connections_per_ip_max);
        if !is_below(of_address, of_address_max) {
            let text = format!(
                "Rejected connection from /{address}, address already has the configured maximum of {of_address_max} connections."
            );
            return Poll::Ready(Err(Closed(text)));
        }
        *counts.by_address.entry(address).or_default() += 1;
        counts.of_listener(listener).open += 1;
        counts.serial += 1;
        let life = Arc::new(Life {
            may_be_closed: !is_protected,
            last_active: AtomicU64::new(now.monotonic.nanoseconds()),
            is_evicted: AtomicBool::new(false),
            waker: OnceLock::new(),
        });
        let serial = counts.serial;
        counts.open.insert(serial, life.clone());
        let evicted = counts.evict(settings);
        drop(counts);
        evicted.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(Place { counts: self.0.clone(), address, listener: listener.to_owned(), serial, life }))
    }

    /// Limits may have changed: those who wait look again, and what is too much is closed.
    pub(crate) fn limits_changed(&self, settings: &BrokerSettings) {
        let mut counts = self.0.lock();
        let mut wakers = std::mem::take(&mut counts.waiting);
        wakers.extend(counts.evict(settings));
        drop(counts);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Counts {
    fn of_listener(&mut self, listener: &str) -> &mut OfListener {
        if !self.by_listener.contains_key(listener) {
            self.by_listener.insert(listener.to_owned(), OfListener::default());
        }
        self.by_listener.get_mut(listener).expect("it was just inserted")
    }

    /// Marks as many of the quietest clients as there are connections too many, and returns whom to wake to see it.
    fn evict(&mut self, settings: &BrokerSettings) -> Vec<Waker> {
        let allowed = usize::try_from(settings.network.connections_max).unwrap_or(0);
        let Some(excess) = self.open.len().checked_sub(allowed).filter(|excess| *excess > 0) else { return Vec::new() };
        let leaving = self.open.values().filter(|life| life.is_evicted()).count();
        let mut quiet: Vec<&Arc<Life>> =
            self.open.values().filter(|life| life.may_be_closed && !life.is_evicted()).collect();
        quiet.sort_by_key(|life| life.last_active.load(Ordering::Relaxed));
        let chosen = quiet.into_iter().take(excess.saturating_sub(leaving));
        chosen
            .filter_map(|life| {
                life.is_evicted.store(true, Ordering::Release);
                life.waker.get().cloned()
            })
            .collect()
    }
}

impl Life {
    fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Acquire)
    }
}

impl Place {
    /// The connection is set up: who wakes it if it must make room.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        // There is one connection for each place.
        let _ = self.life.waker.set(waker.clone());
    }

    /// A request came.
    pub(crate) fn touch(&self, now: Monotonic) {
        self.life.last_active.store(now.nanoseconds(), Ordering::Relaxed);
    }

    /// Whether the connection is to be closed, to make room.
    pub(crate) fn is_evicted(&self) -> bool {
        self.life.is_evicted()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.open.remove(&self.serial);
        counts.of_listener(&self.listener).open -= 1;
        if let Some(of_address) = counts.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        let waiting = std::mem::take(&mut counts.waiting);
        drop(counts);
        waiting.into_iter().for_each(Waker::wake);
    }
}

fn is_below(count: usize, limit: i32) -> bool {
    usize::try_from(limit).is_ok_and(|limit| count < limit)
}

fn limits(listener: &str, settings: &BrokerSettings) -> ListenerLimits {
    settings.listener_limits.get(listener).copied().unwrap_or(ListenerLimits::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "127.0.0.1";
    const TWO: &str = "127.0.0.2";

    fn at(ms: u64) -> Now {
        Now { monotonic: Monotonic::from_ms(ms), wall_ms: 0 }
    }

    fn try_admit(
        connections: &Connections,
        listener: &str,
        address: &str,
        settings: &BrokerSettings,
        ms: u64,
    ) -> Poll<Result<Place, Closed>> {
        connections.poll_admit(listener, address.parse().unwrap(), settings, Waker::noop(), at(ms))
    }

    fn admit(connections: &Connections, listener: &str, address: &str, settings: &BrokerSettings, ms: u64) -> Place {
        match try_admit(connections, listener, address, settings, ms) {
            Poll::Ready(Ok(place)) => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_with_too_many_is_refused_and_a_full_broker_lets_wait() {
        let connections = Connections::default();
        let limits = crate::testing::settings(
            "max.connections=3\nmax.connections.per.ip=1\nmax.connections.per.ip.overrides=127.0.0.2:2",
        );
        let first = admit(&connections, "PLAINTEXT", ONE, &limits, 0);
        let Poll::Ready(Err(refusal)) = try_admit(&connections, "PLAINTEXT", ONE, &limits, 0) else {
            panic!("one is all that this address may have")
        };
        assert_eq!(
            refusal.0,
            "Rejected connection from /127.0.0.1, address already has the configured maximum of 1 connections."
        );
        let _second = admit(&connections, "PLAINTEXT", TWO, &limits, 0);
        let _third = admit(&connections, "PLAINTEXT", TWO, &limits, 0);
        assert!(try_admit(&connections, "PLAINTEXT", "127.0.0.3", &limits, 0).is_pending());
        drop(first);
        let _fourth = admit(&connections, "PLAINTEXT", "127.0.0.3", &limits, 0);
    }

    #[test]
    fn a_place_that_comes_free_wakes_who_waits() {
        struct Woken(AtomicBool);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let connections = Connections::default();
        let limits = crate::testing::settings("max.connections=1");
        let first = admit(&connections, "PLAINTEXT", ONE, &limits, 0);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let again = connections.poll_admit("PLAINTEXT", ONE.parse().unwrap(), &limits, &waker, at(0));
        assert!(again.is_pending() && !woken.0.load(Ordering::Relaxed));
        drop(first);
        assert!(woken.0.load(Ordering::Relaxed));
    }

    #[test]
    fn brokers_come_in_above_the_limit_and_the_quietest_client_goes() {
        let connections = Connections::default();
        let limits = crate::testing::settings(
            "listeners=PLAINTEXT://:9092,CLIENT://:9093\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,CLIENT:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\nmax.connections=2\nlistener.name.plaintext.max.connections=3",
        );
        let quiet = admit(&connections, "CLIENT", ONE, &limits, 0);
        let busy = admit(&connections, "CLIENT", ONE, &limits, 0);
        busy.touch(Monotonic::from_ms(5));
        assert!(try_admit(&connections, "CLIENT", ONE, &limits, 6).is_pending());
        let broker = admit(&connections, "PLAINTEXT", TWO, &limits, 6);
        assert_eq!((quiet.is_evicted(), busy.is_evicted(), broker.is_evicted()), (true, false, false));
        drop(quiet);
        let _second = admit(&connections, "PLAINTEXT", TWO, &limits, 7);
        assert!(busy.is_evicted());
        let _third = admit(&connections, "PLAINTEXT", TWO, &limits, 7);
        assert!(try_admit(&connections, "PLAINTEXT", TWO, &limits, 7).is_pending(), "the listener's own limit holds");
    }

    #[test]
    fn accepting_rests_when_connections_come_too_fast() {
        let connections = Connections::default();
        let limits = crate::testing::settings("max.connection.creation.rate=1");
        for _ in 0..10 {
            assert_eq!(connections.came("PLAINTEXT", &limits, at(0)), 0);
        }
        assert_eq!(connections.came("PLAINTEXT", &limits, at(0)), 1000, "11 in ten seconds are one second's too many");
        assert_eq!(connections.came("PLAINTEXT", &limits, at(0)), 1000, "and it rests for a sample at most");
        assert_eq!(connections.came("PLAINTEXT", &limits, at(11_000)), 0);
    }

    #[test]
    fn a_listener_has_a_rate_of_its_own() {
        let connections = Connections::default();
        let limits = crate::testing::settings(
            "listeners=PLAINTEXT://:9092,CLIENT://:9093\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,CLIENT:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\nlistener.name.client.max.connection.creation.rate=1",
        );
        let delays: Vec<u64> = (0..11).map(|_| connections.came("CLIENT", &limits, at(0))).collect();
        assert_eq!((delays[9], delays[10]), (0, 1000));
        assert_eq!(connections.came("PLAINTEXT", &limits, at(0)), 0);
    }
}
