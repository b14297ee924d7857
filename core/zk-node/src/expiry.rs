//! Connections that have gone silent, found by time buckets (upstream `ExpiryQueue`).

use std::collections::{BTreeMap, BTreeSet};

use base::Monotonic;

use crate::ConnectionId;

/// Connections by the end of their patience, rounded up to an interval, so that a touch mostly changes nothing.
#[derive(Debug)]
pub(crate) struct Expiry {
    interval_ms: u64,
    buckets: BTreeMap<u64, BTreeSet<ConnectionId>>,
}

/// The bucket a connection is in, in milliseconds of the monotonic clock; kept by the connection itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket(u64);

impl Expiry {
    /// No connections yet; deadlines are rounded up to the next multiple of `interval_ms`.
    pub(crate) fn new(interval_ms: u32) -> Self {
        Self { interval_ms: u64::from(interval_ms.max(1)), buckets: BTreeMap::new() }
    }

    /// Gives `connection` another `timeout_ms` from `now`.
    pub(crate) fn touch(&mut self, connection: ConnectionId, bucket: &mut Bucket, timeout_ms: i32, now: Monotonic) {
        let due = now.ms() + u64::try_from(timeout_ms).unwrap_or(0);
        let rounded = Bucket((due / self.interval_ms + 1) * self.interval_ms);
        if *bucket != rounded {
            self.remove(connection, *bucket);
            self.buckets.entry(rounded.0).or_default().insert(connection);
            *bucket = rounded;
        }
    }

    /// Forgets a connection.
    pub(crate) fn remove(&mut self, connection: ConnectionId, bucket: Bucket) {
        if let Some(members) = self.buckets.get_mut(&bucket.0) {
            members.remove(&connection);
            if members.is_empty() {
                self.buckets.remove(&bucket.0);
            }
        }
    }

    /// Takes out one bucket whose time has come.
    pub(crate) fn pop_due(&mut self, now: Monotonic) -> Option<BTreeSet<ConnectionId>> {
        let entry = self.buckets.first_entry()?;
        (*entry.key() <= now.ms()).then(|| entry.remove())
    }

    /// When the next bucket is due.
    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        self.buckets.first_key_value().map(|(due_ms, _)| Monotonic::from_ms(*due_ms))
    }

    /// Every bucket with its due time, earliest first.
    pub(crate) fn buckets(&self) -> impl ExactSizeIterator<Item = (Monotonic, &BTreeSet<ConnectionId>)> {
        self.buckets.iter().map(|(due_ms, members)| (Monotonic::from_ms(*due_ms), members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_moves_the_end_and_silence_is_found() {
        let mut expiry = Expiry::new(100);
        let (quiet, busy) = (ConnectionId(1), ConnectionId(2));
        let (mut quiet_bucket, mut busy_bucket) = (Bucket::default(), Bucket::default());
        expiry.touch(quiet, &mut quiet_bucket, 250, Monotonic::from_ms(0));
        expiry.touch(busy, &mut busy_bucket, 250, Monotonic::from_ms(0));
        assert_eq!(expiry.next_deadline(), Some(Monotonic::from_ms(300)));
        expiry.touch(busy, &mut busy_bucket, 250, Monotonic::from_ms(60));
        assert_eq!(expiry.pop_due(Monotonic::from_ms(299)), None);
        assert_eq!(expiry.pop_due(Monotonic::from_ms(300)), Some(BTreeSet::from([quiet])));
        assert_eq!(expiry.next_deadline(), Some(Monotonic::from_ms(400)));
        expiry.remove(busy, busy_bucket);
        assert_eq!(expiry.next_deadline(), None);
        assert_eq!(expiry.buckets().len(), 0);
    }
}
