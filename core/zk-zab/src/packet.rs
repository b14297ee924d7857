//! What a leader and its learners tell each other, as Zab sees it (upstream `QuorumPacket`, `LearnerInfo`).
//!
//! The bytes on the wire are the owner's business, and so is what servers say past Zab: requests, revalidation, the
//! sessions in a ping.

use bytes::Bytes;

use crate::{ServerId, Zxid, epoch_start};

/// How a learner introduces itself (FOLLOWERINFO, OBSERVERINFO).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnerInfo {
    /// Its number; below zero for observers without one.
    pub id: ServerId,
    /// Whether it came as an observer, whatever the list says.
    pub is_observer: bool,
    /// 0x10000 since 3.4; older ones are not served.
    pub protocol_version: i32,
    /// Version of its list of servers. A learner ahead of the leader is turned away.
    pub config_version: i64,
    /// The latest epoch it promised to follow.
    pub accepted_epoch: i64,
}

/// What a learner says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromLearner {
    /// FOLLOWERINFO, OBSERVERINFO: the first packet.
    Info(LearnerInfo),
    /// ACKEPOCH: it will follow no earlier epoch.
    AckEpoch {
        /// The epoch whose history it has; `None` if it had promised the new one before, so that this does not count as a
        /// vote.
        current_epoch: Option<i64>,
        /// Last transaction in its log.
        last_zxid: Zxid,
    },
    /// ACK: everything up to this is in its log for good. `epoch_start` stands for NEWLEADER, later for UPTODATE.
    Ack {
        /// Of the proposal.
        zxid: Zxid,
    },
    /// PING: it is there.
    Ping,
}

/// What a leader says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromLeader {
    /// LEADERINFO: the epoch that is to begin.
    LeaderInfo {
        /// Greater than all that were accepted by the quorum.
        epoch: i64,
    },
    /// DIFF: proposals with their commits follow.
    Diff {
        /// Last transaction that the leader has committed.
        zxid: Zxid,
    },
    /// TRUNC: what the learner has behind this was never committed.
    Trunc {
        /// The last one to keep.
        zxid: Zxid,
    },
    /// SNAP: the whole tree follows as raw bytes.
    Snap {
        /// The tree's last transaction.
        zxid: Zxid,
    },
    /// NEWLEADER: what came until now is the history that the epoch begins with.
    NewLeader {
        /// The epoch.
        epoch: i64,
        /// The list of servers, as text.
        config: Bytes,
    },
    /// UPTODATE: clients may be served.
    UpToDate,
    /// PROPOSAL: log this.
    Proposal(crate::Entry),
    /// COMMIT: a quorum has logged it.
    Commit {
        /// Which proposal.
        zxid: Zxid,
    },
    /// COMMITANDACTIVATE: it is committed, and puts the list of servers that it proposes in force.
    CommitAndActivate {
        /// Which proposal.
        zxid: Zxid,
        /// Who leads from now on.
        leader: ServerId,
    },
    /// INFORM, to observers: a proposal that is committed already.
    Inform(crate::Entry),
    /// INFORMANDACTIVATE, to observers: the same of a list of servers.
    InformAndActivate {
        /// The proposal.
        entry: crate::Entry,
        /// Who leads from now on.
        leader: ServerId,
    },
    /// PING.
    Ping {
        /// The last proposal.
        zxid: Zxid,
    },
    /// What the owner sends past Zab, encoded; its place behind commits matters (SYNC, REVALIDATE).
    Other(Bytes),
}

impl FromLeader {
    /// Name and zxid, for the log.
    pub(crate) fn describe(&self) -> String {
        let (name, zxid) = match self {
            Self::LeaderInfo { epoch } => ("LEADERINFO", epoch_start(*epoch)),
            Self::Diff { zxid } => ("DIFF", *zxid),
            Self::Trunc { zxid } => ("TRUNC", *zxid),
            Self::Snap { zxid } => ("SNAP", *zxid),
            Self::NewLeader { epoch, .. } => ("NEWLEADER", epoch_start(*epoch)),
            Self::UpToDate => ("UPTODATE", -1),
            Self::Proposal(entry) => ("PROPOSAL", entry.zxid),
            Self::Commit { zxid } => ("COMMIT", *zxid),
            Self::CommitAndActivate { zxid, .. } => ("COMMITANDACTIVATE", *zxid),
            Self::Inform(entry) => ("INFORM", entry.zxid),
            Self::InformAndActivate { entry, .. } => ("INFORMANDACTIVATE", entry.zxid),
            Self::Ping { zxid } => ("PING", *zxid),
            Self::Other(_) => ("another packet", 0),
        };
        format!("{name} {zxid:x}")
    }
}
