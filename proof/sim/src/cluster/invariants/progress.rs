//! When all is well again, every partition has all its in-sync replicas, producers go on and readers come to the end, within a bound.

use crate::invariants::Verdict;

const PATIENCE_MS: u64 = 20_000;

/// What is missing.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Partitions whose ISR is not all their replicas.
    pub(crate) out_of_sync: Vec<String>,
    /// Producers that wait.
    pub(crate) waiting: Vec<u64>,
    /// Clients that have asked for something and have no answer, or read and are not at the end.
    pub(crate) unfinished: Vec<String>,
    /// Brokers that don't serve.
    pub(crate) down: Vec<i32>,
}

impl State {
    pub(crate) fn is_good(&self) -> bool {
        self.out_of_sync.is_empty() && self.waiting.is_empty() && self.unfinished.is_empty() && self.down.is_empty()
    }

    pub(crate) fn check(&self, after_ms: u64) -> Verdict {
        match after_ms > PATIENCE_MS {
            true => Err(format!("no progress {after_ms} ms after all is well: {self:?}")),
            false => Ok(()),
        }
    }
}
