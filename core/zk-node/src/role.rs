//! What a server is in its ensemble: who orders the proposals, and when a logged one is committed.
//!
//! This is where leader, follower and observer plug in: a leader also sends each proposal to its followers, and counts
//! acknowledgements; a follower sends requests to its leader, and logs and commits what comes back.

/// A server's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Alone: it orders its own proposals, and its own log is the quorum.
    Standalone,
}

impl Role {
    /// Up to where proposals are committed, given that the own log is durable up to `synced`.
    pub(crate) const fn committed(self, synced: i64) -> i64 {
        match self {
            Self::Standalone => synced,
        }
    }
}
