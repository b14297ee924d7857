//! Many deadlines in one place.

use std::collections::BTreeMap;

use crate::Monotonic;

/// Names one entry of [`Timers`], to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerKey {
    deadline: Monotonic,
    serial: u64,
}

/// Values that become due. An idle entry costs its value and a key; two due at once come out in the order of insertion.
#[derive(Debug)]
pub struct Timers<T> {
    entries: BTreeMap<TimerKey, T>,
    serial: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), serial: 0 }
    }
}

impl<T> Timers<T> {
    /// Adds `value`, due at `deadline`.
    pub fn insert(&mut self, deadline: Monotonic, value: T) -> TimerKey {
        self.serial += 1;
        let key = TimerKey { deadline, serial: self.serial };
        self.entries.insert(key, value);
        key
    }

    /// Takes out an entry that is not due yet; `None` if it has fired or was cancelled.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.entries.remove(&key)
    }

    /// The earliest deadline: when to call [`Timers::pop_due`] next.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.entries.first_key_value().map(|(key, _)| key.deadline)
    }

    /// Takes out the earliest entry whose deadline has come.
    pub fn pop_due(&mut self, now: Monotonic) -> Option<T> {
        let entry = self.entries.first_entry()?;
        (entry.key().deadline <= now).then(|| entry.remove())
    }

    /// How many entries wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_in_order_of_deadline_then_insertion() {
        let mut timers = Timers::default();
        timers.insert(Monotonic::from_ms(20), "late");
        timers.insert(Monotonic::from_ms(10), "first");
        timers.insert(Monotonic::from_ms(10), "second");
        let cancelled = timers.insert(Monotonic::from_ms(5), "cancelled");
        assert_eq!(timers.cancel(cancelled), Some("cancelled"));
        assert_eq!(timers.cancel(cancelled), None);
        assert_eq!(timers.next_deadline(), Some(Monotonic::from_ms(10)));
        assert_eq!(timers.pop_due(Monotonic::from_ms(9)), None);
        assert_eq!(timers.pop_due(Monotonic::from_ms(10)), Some("first"));
        assert_eq!(timers.pop_due(Monotonic::from_ms(10)), Some("second"));
        assert_eq!(timers.pop_due(Monotonic::from_ms(10)), None);
        assert_eq!(timers.len(), 1);
    }
}
