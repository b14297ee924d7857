//! Empty containers and outdated TTL nodes are deleted, some at a time (upstream `ContainerManager`).

use std::collections::VecDeque;

use base::{Monotonic, Now, Str};

use crate::{Server, ServerConfig};

/// When to look for them, and those found last.
#[derive(Debug)]
pub(crate) struct Containers {
    check_interval_ms: u64,
    /// Between two deletions.
    pause_ms: u64,
    next_check: Monotonic,
    next_deletion: Monotonic,
    candidates: VecDeque<String>,
}

impl Containers {
    pub(crate) fn new(config: &ServerConfig, now: Monotonic) -> Self {
        Self {
            check_interval_ms: config.container_check_interval_ms.max(1),
            pause_ms: 60_000 / u64::from(config.container_per_minute_max.max(1)),
            next_check: now.plus_ms(config.container_check_interval_ms),
            next_deletion: now,
            candidates: VecDeque::new(),
        }
    }

    /// Another term begins: what was found in an earlier one may have been used since.
    pub(crate) fn begin_term(&mut self, now: Monotonic) {
        self.candidates.clear();
        self.next_check = now.plus_ms(self.check_interval_ms);
    }

    pub(crate) fn deadline(&self) -> Monotonic {
        if self.candidates.is_empty() { self.next_check } else { self.next_deletion }
    }

    /// The next one to delete, if its time has come.
    fn due(&mut self, now: Monotonic) -> Option<String> {
        if self.candidates.is_empty() || now < self.next_deletion {
            return None;
        }
        self.next_deletion = now.plus_ms(self.pause_ms);
        self.candidates.pop_front()
    }
}

impl Server {
    /// Looks for candidates each interval, once those found before are done with, and deletes one at a time.
    pub(crate) fn reap_containers(&mut self, now: Now) {
        if self.containers.candidates.is_empty() && now.monotonic >= self.containers.next_check {
            let never_used_ms = self.config.container_never_used_ms.unwrap_or(0);
            self.containers.candidates = self.tree.reapable(now.wall_ms, never_used_ms).into();
            self.containers.next_check = now.monotonic.plus_ms(self.containers.check_interval_ms);
        }
        while let Some(path) = self.containers.due(now.monotonic) {
            self.reap(&Str::from(path), now);
        }
    }
}
