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

/// What several partitions have together.
pub fn available_in_all<'a, P: FetchPartition + 'a>(partitions: impl Iterator<Item = &'a P>) -> Available {
    let mut bytes = 0_u64;
    for partition in partitions {
        match partition.available() {
            Available::Now => return Available::Now,
            Available::Bytes(more) => bytes = bytes.saturating_add(more),
        }
    }
    Available::Bytes(bytes)
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
    /// The partitions.
    pub waits: Vec<P>,
    /// `fetch.min.bytes`.
    pub bytes_min: u64,
    /// For the answer.
    pub reply: R,
}

impl<P: FetchPartition, R> Delayed for DelayedFetch<P, R> {
    fn is_ready(&mut self) -> bool {
        match available_in_all(self.waits.iter()) {
            Available::Now => true,
            Available::Bytes(bytes) => bytes >= self.bytes_min,
        }
    }
}
