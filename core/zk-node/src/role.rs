//! What a server is in its ensemble: who orders the proposals, and when a logged one is committed.

use crate::member::Member;

/// A server's part.
pub(crate) enum Role {
    /// Alone: it orders its own proposals, and its own log is the quorum.
    Standalone,
    /// One of several: it looks for a leader, leads or follows.
    Member(Box<Member>),
}

impl Role {
    /// Up to where proposals are committed, given that the own log is durable up to `synced`.
    pub(crate) fn committed(&self, synced: i64) -> i64 {
        match self {
            Self::Standalone => synced,
            Self::Member(member) => member.committed(),
        }
    }

    /// Whether this server makes transactions of requests, and watches over sessions.
    pub(crate) fn orders(&self) -> bool {
        match self {
            Self::Standalone => true,
            Self::Member(member) => member.leads(),
        }
    }

    pub(crate) fn member(&self) -> Option<&Member> {
        match self {
            Self::Standalone => None,
            Self::Member(member) => Some(member),
        }
    }

    pub(crate) fn member_mut(&mut self) -> Option<&mut Member> {
        match self {
            Self::Standalone => None,
            Self::Member(member) => Some(member),
        }
    }
}
