//! Progress: when everything works again, all servers serve under one leader and every client's writes are answered, within
//! a bound.

use super::Verdict;

/// How long that may take: an election, whatever waits for `initLimit` or `syncLimit` before it, and a tree to be sent.
pub(crate) const BOUND_MS: u64 = 8_000;

/// What is seen of the servers and clients.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) leaders: usize,
    /// Servers that do not serve.
    pub(crate) missing: Vec<u64>,
    /// Clients without an acknowledged write since everything works.
    pub(crate) waiting: Vec<String>,
}

impl State {
    pub(crate) fn is_good(&self) -> bool {
        self.leaders == 1 && self.missing.is_empty() && self.waiting.is_empty()
    }

    /// `passed_ms` after everything was made to work.
    pub(crate) fn check(&self, passed_ms: u64) -> Verdict {
        match passed_ms > BOUND_MS {
            true => Err(format!("no progress {passed_ms} ms after everything works: {self:?}")),
            false => Ok(()),
        }
    }
}
