//! How the servers of an ensemble agree: fast leader election, and Zab's discovery, synchronisation and broadcast.
//!
//! Machines without I/O, without jute and without a tree. Transactions are bytes with a zxid; sockets, files and the tree
//! belong to the owner (`zk-node`), who feeds events and carries out effects.
//!
//! ```text
//! look ── Election ── elected ──┬── Leader  ── discovery ── synchronisation ── broadcast ──┬── look again
//!                               └── Learner ── discovery ── synchronisation ── broadcast ──┘
//! ```
//!
//! | to find | see |
//! |---|---|
//! | who votes, and what a quorum is | [`Quorum`] |
//! | who leads | [`Election`], its messages [`Notification`], their connections [`Links`] |
//! | what leader and learners tell each other | [`FromLeader`], [`FromLearner`] |
//! | the leader's side | [`Leader`] |
//! | the follower's and the observer's side | [`Learner`] |
//! | transactions kept in memory for learners that lag | [`History`] |
//! | the epochs in a server's files | [`Epochs`] |

mod election;
mod epochs;
mod history;
mod leader;
mod learner;
mod links;
mod notification;
mod packet;
mod quorum;

pub use election::{Election, ElectionEffect, ElectionSettings, Electorate};
pub use epochs::Epochs;
pub use history::{Entry, History};
pub use leader::{
    DecidingLists, Leader, LeaderEffect, LeaderSettings, LogChunk, LogStart, Loss, ProposedList, Resignation,
};
pub use learner::{Abandonment, Learner, LearnerEffect, LearnerSettings};
pub use links::{Address, CloseReason, Greeting, GreetingError, LinkEffect, LinkSettings, Links};
pub use notification::{Notification, PeerState, Vote};
pub use packet::{FromLeader, FromLearner, LearnerInfo};
pub use quorum::{Quorum, Voter};

/// A server's number in its ensemble: `N` of `server.N`, `myid`.
pub type ServerId = i64;

/// A transaction's place in history: epoch in the upper half, counter in the lower.
pub type Zxid = i64;

/// Names one connection to another server for its whole life; never used twice while a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The epoch of a zxid.
pub const fn epoch_of(zxid: Zxid) -> i64 {
    zxid >> 32
}

/// The zxid that opens an epoch; no transaction has it.
pub const fn epoch_start(epoch: i64) -> Zxid {
    epoch << 32
}
