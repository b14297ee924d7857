//! A partition replica: leader and follower state, in-sync replicas, high watermark, delayed produce and fetch.
//!
//! [`Replica`] is the state of one partition on one broker (upstream: `kafka.cluster.Partition`). It knows no files:
//! it is told end offsets and epochs, and says what the high watermark becomes, whether an append is allowed, and how
//! the ISR should change. The owner keeps it, with the log, behind the partition's lock.
//!
//! [`Fetcher`] follows: what a broker asks the leaders of its partitions, and does with their answers.
//!
//! [`Copier`] brings a copy of a replica's log in another log directory up to it.
//!
//! Requests that wait for something ([`DelayedProduce`], [`DelayedFetch`]) are parked in a [`Purgatory`] and in the
//! [`WaitingList`]s of their partitions. Two rules keep that free of lost wake-ups and of deadlocks: *park, then check
//! again* (the purgatory does), and *never wake a list under a partition's lock* (the caller must not).

mod copier;
mod fetch;
mod fetcher;
mod follower;
mod isr;
mod log;
mod produce;
mod purgatory;
// Not inside of the module: `tests/interleavings.rs` compiles that one again.
#[cfg(test)]
#[path = "purgatory/tests.rs"]
mod purgatory_tests;
mod replica;

pub use copier::{Copier, CopyStep};
pub use fetch::{Available, DelayedFetch, FetchPartition, FetchWait, Position, available};
pub use fetcher::{
    AppendFailure, Cut, CutOutcome, EpochEnd, Fetched, Fetcher, FetcherSettings, FetcherVersions, FollowerLog, Line,
    Question,
};
pub use follower::{FetchClock, FetchedFrom, Follower};
pub use isr::{IsrAnswer, IsrChange, IsrState};
pub use log::ReplicaLog;
pub use produce::{AckPartition, Acknowledged, DelayedProduce, ProduceWait};
pub use purgatory::{Delayed, Park, Purgatory, Ticket, WaitingList};
pub use replica::{FetchEffect, LeaderAndIsr, ReadableFollower, Replica};

/// Why a partition's replica refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// NOT_LEADER_OR_FOLLOWER (6): this broker does not lead the partition.
    #[error("this broker is not the leader of the partition")]
    NotLeader,
    /// FENCED_LEADER_EPOCH (74): the request's leader epoch is older than this broker's.
    #[error("leader epoch {requested} is older than the current epoch {current}")]
    FencedLeaderEpoch {
        /// In the request.
        requested: i32,
        /// This broker's.
        current: i32,
    },
    /// UNKNOWN_LEADER_EPOCH (75): the request's leader epoch is newer than this broker's.
    #[error("leader epoch {requested} is newer than the current epoch {current}")]
    UnknownLeaderEpoch {
        /// In the request.
        requested: i32,
        /// This broker's.
        current: i32,
    },
    /// NOT_ENOUGH_REPLICAS (19): nothing was appended.
    #[error("{insync} in-sync replicas, min.insync.replicas asks for {insync_min}")]
    NotEnoughReplicas {
        /// Size of the ISR.
        insync: usize,
        /// `min.insync.replicas`.
        insync_min: u32,
    },
    /// NOT_ENOUGH_REPLICAS_AFTER_APPEND (20): the records are in the log, but the ISR shrank meanwhile.
    #[error("the records were appended, but the ISR has fewer replicas than min.insync.replicas asks for")]
    NotEnoughReplicasAfterAppend,
    /// The broker that fetches is not among the partition's replicas: its fetch gets no records and no error.
    #[error("broker {broker} is not a replica of the partition")]
    NotAReplica {
        /// The broker.
        broker: i32,
    },
}

impl ReplicaError {
    /// The protocol's error code; 0 where the original answers without one.
    pub const fn code(&self) -> i16 {
        match self {
            Self::NotLeader => 6,
            Self::FencedLeaderEpoch { .. } => 74,
            Self::UnknownLeaderEpoch { .. } => 75,
            Self::NotEnoughReplicas { .. } => 19,
            Self::NotEnoughReplicasAfterAppend => 20,
            Self::NotAReplica { .. } => 0,
        }
    }
}
