//! What servers tell each other in an election: the bytes of a notification (upstream `FastLeaderElection.buildMsg` and
//! `Messenger.WorkerReceiver`).
//!
//! Three forms are read, told apart by their length; the last is written.
//!
//! | form | bytes | layout, big-endian |
//! |---|---|---|
//! | before 3.4 | 28 | state i32, leader i64, zxid i64, round i64; the peer epoch is the zxid's |
//! | before 3.4.6 | 40 | + peer epoch i64, version i32, which is not looked at |
//! | since | 40 + | + peer epoch i64, version i32; from version 2 on a length i32 and the list of servers as text |

use std::fmt;

use base::{DecodeError, Reader};
use bytes::{BufMut, Bytes, BytesMut};

use crate::{ServerId, Zxid, epoch_of};

/// The form that is written (upstream `Notification.CURRENTVERSION`).
const VERSION: i32 = 2;

const LEN_BEFORE_EPOCHS: usize = 28;
const LEN_BEFORE_VERSIONS: usize = 40;
const LEN_WITHOUT_CONFIG: usize = 44;

/// What a server is doing (`QuorumPeer.ServerState`); the discriminant is the number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Takes part in an election.
    Looking = 0,
    /// Has a leader and a vote.
    Following = 1,
    /// Leads.
    Leading = 2,
    /// Has a leader and no vote.
    Observing = 3,
}

impl fmt::Display for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Looking => "LOOKING",
            Self::Following => "FOLLOWING",
            Self::Leading => "LEADING",
            Self::Observing => "OBSERVING",
        })
    }
}

/// Who should lead, and the history that speaks for it. Later history wins, then the greater number: epoch, zxid, leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The server voted for; `i64::MIN` from a server that may not vote for itself and has heard nothing better.
    pub leader: ServerId,
    /// Last transaction in the leader's log.
    pub zxid: Zxid,
    /// The epoch whose history the leader has (its `currentEpoch`), once it leads the epoch it leads.
    pub peer_epoch: i64,
}

/// One message of an election. Its `Display` is the original's log line, from `n.state` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What the sender is doing.
    pub state: PeerState,
    /// Its vote; past an election, what it believes.
    pub vote: Vote,
    /// The election it was cast in, counted by each server (upstream `electionEpoch`, `logicalclock`).
    pub round: i64,
    /// The form it came in: 0 before 3.4.6, 1 without and 2 with a list of servers.
    pub version: i32,
    /// The sender's list of servers, as `QuorumVerifier.toString` writes it.
    pub config: Option<Bytes>,
}

impl Notification {
    /// A notification in the form that is written.
    pub const fn new(state: PeerState, vote: Vote, round: i64, config: Bytes) -> Self {
        Self { state, vote, round, version: VERSION, config: Some(config) }
    }

    /// Reads any form. Bytes behind the list of servers are passed over, as upstream does.
    ///
    /// # Errors
    /// Shorter than its form, a state or a length of the list that no server writes.
    pub fn decode(message: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(message);
        let state = match reader.i32()? {
            0 => PeerState::Looking,
            1 => PeerState::Following,
            2 => PeerState::Leading,
            3 => PeerState::Observing,
            other => return Err(DecodeError::Value { what: "server state", value: other.into(), at: 0 }),
        };
        let (leader, zxid, round) = (reader.i64()?, reader.i64()?, reader.i64()?);
        if message.len() == LEN_BEFORE_EPOCHS {
            let vote = Vote { leader, zxid, peer_epoch: epoch_of(zxid) };
            return Ok(Self { state, vote, round, version: 0, config: None });
        }
        let vote = Vote { leader, zxid, peer_epoch: reader.i64()? };
        let version = match reader.i32()? {
            _ if message.len() == LEN_BEFORE_VERSIONS => 0,
            version => version,
        };
        let config = if version >= VERSION {
            let at = reader.position();
            let length = reader.i32()?;
            let length = usize::try_from(length).map_err(|_| DecodeError::Length { at, length: length.into() })?;
            Some(reader.bytes(length)?)
        } else {
            None
        };
        Ok(Self { state, vote, round, version, config })
    }

    /// The bytes in the newest form.
    pub fn encode(&self) -> Bytes {
        let config = self.config.as_deref().unwrap_or_default();
        let mut out = BytesMut::with_capacity(LEN_WITHOUT_CONFIG + config.len());
        out.put_i32(self.state as i32);
        out.put_i64(self.vote.leader);
        out.put_i64(self.vote.zxid);
        out.put_i64(self.round);
        out.put_i64(self.vote.peer_epoch);
        out.put_i32(VERSION);
        out.put_i32(config.len() as i32);
        out.put_slice(config);
        out.freeze()
    }

    /// The version of the list of servers that came along; 0 in a list that says none, as upstream has it.
    pub fn config_version(&self) -> Option<i64> {
        let text = str::from_utf8(self.config.as_deref()?).ok()?;
        let version = text.lines().find_map(|line| line.trim().strip_prefix("version="));
        version.map_or(Some(0), |hex| i64::from_str_radix(hex.trim(), 16).ok())
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, vote, round, version, .. } = self;
        write!(
            f,
            "n.state:{state}, n.leader:{}, n.round:0x{round:x}, n.peerEpoch:0x{:x}, n.zxid:0x{:x}, \
             message format version:0x{version:x}, n.config version:0x{:x}",
            vote.leader,
            vote.peer_epoch,
            vote.zxid,
            self.config_version().unwrap_or(0),
        )
    }
}
