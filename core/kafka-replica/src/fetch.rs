//! Fetch requests that wait for enough bytes (upstream: `DelayedFetch`, cases A to H).

use crate::purgatory::Delayed;

/// An offset and where it lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The offset.
    pub offset: i64,
    /// Base offset of the segment that holds it.
    pub segment: i64,
    /// Byte in that segment.
    pub byte: u64,
}

/// What a partition has for a fetch that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Available {
    /// So many bytes, counting towards the request's minimum.
    Bytes(u64),
    /// Answer now, whatever there is: not the leader any more (A), replica gone (B), unknown (C), log directory
    /// offline (D), epoch fenced (E), another segment (F), diverging epochs (H).
    Now,
}

/// What lies between the start of a fetch and the end that it may read to, `bytes_max` at most. A start on an older
/// segment than the end is answered now (there is a whole segment's rest), and so is one on a newer segment (the log
/// was cut).
pub fn available(start: &Position, end: &Position, bytes_max: u32) -> Available {
    if start.offset == end.offset {
        // A segment that has just been rolled leaves the end on the older one: no reason to answer.
        Available::Bytes(0)
    } else if start.segment != end.segment {
        Available::Now
    } else if start.offset < end.offset {
        Available::Bytes(end.byte.saturating_sub(start.byte).min(u64::from(bytes_max)))
    } else {
        Available::Bytes(0)
    }
}

/// A partition as a waiting fetch sees it, or several of them.
pub trait FetchPartition {
    /// What is there for this fetch now: the checks of a fetch (leader, epoch, diverging epochs), then [`available`].
    fn available(&self) -> Available;
}

/// One partition of a fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchWait {
    /// Where the first read started.
    pub start: Position,
    /// The request's limit for this partition.
    pub bytes_max: u32,
    /// The leader epoch that the fetcher knows; `None` if it does not say.
    pub leader_epoch: Option<i32>,
    /// Epoch of the last record that it has (Fetch v12); `None` if it does not say.
    pub last_fetched_epoch: Option<i32>,
}

/// A fetch request that waits until `bytes_min` are there in all its partitions together, or something else asks for an
/// answer; then it is read again. `R` is what that needs.
#[derive(Clone, Debug)]
pub struct DelayedFetch<P, R> {
    /// The partitions; it is parked in their lists, in this order.
    waits: Vec<P>,
    /// What each was found to have, so that news of one costs a look at one.
    found: Vec<u64>,
    /// All of that.
    bytes: u64,
    bytes_min: u64,
    /// For the answer.
    pub reply: R,
}

impl<P: FetchPartition, R> DelayedFetch<P, R> {
    /// Waits for `bytes_min` (`fetch.min.bytes`).
    pub fn new(waits: Vec<P>, bytes_min: u64, reply: R) -> Self {
        Self { found: vec![0; waits.len()], waits, bytes: 0, bytes_min, reply }
    }

    /// Looks at one partition: whether that alone asks for an answer.
    fn look_at(&mut self, place: usize) -> bool {
        let (Some(wait), Some(found)) = (self.waits.get(place), self.found.get_mut(place)) else { return false };
        let Available::Bytes(bytes) = wait.available() else { return true };
        self.bytes = self.bytes.saturating_sub(*found).saturating_add(bytes);
        *found = bytes;
        false
    }
}

impl<P: FetchPartition, R> Delayed for DelayedFetch<P, R> {
    fn is_ready(&mut self) -> bool {
        (0..self.waits.len()).any(|place| self.look_at(place)) || self.bytes >= self.bytes_min
    }

    fn is_ready_at(&mut self, place: usize) -> bool {
        self.look_at(place) || self.bytes >= self.bytes_min
    }
}
