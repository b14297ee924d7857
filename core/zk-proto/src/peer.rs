//! What servers of an ensemble send each other on the quorum port (upstream `QuorumPacket`, `LearnerInfo`,
//! `LearnerHandler`). Packets stand one behind the other without a length around them.

use base::{DecodeError, Reader};
use bytes::{BufMut, Bytes, BytesMut};

use crate::Id;
use crate::jute::{Jute, record};

/// Types of [`QuorumPacket`].
pub mod packet_type {
    /// Learner: a client's request for the leader.
    pub const REQUEST: i32 = 1;
    /// Leader: log this transaction.
    pub const PROPOSAL: i32 = 2;
    /// Learner: a proposal, NEWLEADER or UPTODATE is taken care of.
    pub const ACK: i32 = 3;
    /// Leader: a quorum has logged it.
    pub const COMMIT: i32 = 4;
    /// Both: still there; the learner's tells which sessions it heard of.
    pub const PING: i32 = 5;
    /// Both: whether a session is alive.
    pub const REVALIDATE: i32 = 6;
    /// Leader: everything before a client's `sync` has been sent.
    pub const SYNC: i32 = 7;
    /// Leader to observers: a committed transaction.
    pub const INFORM: i32 = 8;
    /// Leader: COMMIT of a reconfiguration.
    pub const COMMITANDACTIVATE: i32 = 9;
    /// Leader: the history of the new epoch is complete.
    pub const NEWLEADER: i32 = 10;
    /// Follower: the first packet.
    pub const FOLLOWERINFO: i32 = 11;
    /// Leader: clients may be served.
    pub const UPTODATE: i32 = 12;
    /// Leader: transactions that are missing follow.
    pub const DIFF: i32 = 13;
    /// Leader: cut the log.
    pub const TRUNC: i32 = 14;
    /// Leader: the whole tree follows.
    pub const SNAP: i32 = 15;
    /// Observer: the first packet.
    pub const OBSERVERINFO: i32 = 16;
    /// Leader: the epoch to come.
    pub const LEADERINFO: i32 = 17;
    /// Learner: it follows no earlier epoch.
    pub const ACKEPOCH: i32 = 18;
    /// Leader to observers: INFORM of a reconfiguration.
    pub const INFORMANDACTIVATE: i32 = 19;
}

/// The protocol's version since 3.4, in [`LearnerInfo`] and LEADERINFO.
pub const PROTOCOL_VERSION: i32 = 0x1_0000;

/// Stands behind the tree that follows a SNAP.
pub const SNAPSHOT_SIGNATURE: &str = "BenWasHere";

record! {
    /// One packet.
    pub struct QuorumPacket {
        /// See [`packet_type`].
        pub kind: i32,
        /// What it is about.
        pub zxid: i64,
        /// Depends on the type.
        pub data: Option<Bytes>,
        /// Who the client of a REQUEST has proved to be.
        pub ids: Option<Ids>,
    }
}

/// The vector of ids, which may be null, unlike others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(pub Vec<Id>);

impl Jute for Option<Ids> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Some(ids) => ids.0.encode(out),
            None => out.put_i32(-1),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ahead = reader.clone();
        if ahead.i32()? == -1 {
            *reader = ahead;
            return Ok(None);
        }
        Vec::decode(reader).map(|ids| Some(Ids(ids)))
    }
}

impl QuorumPacket {
    /// A packet without data.
    pub const fn bare(kind: i32, zxid: i64) -> Self {
        Self { kind, zxid, data: None, ids: None }
    }

    /// A packet with data.
    pub const fn with(kind: i32, zxid: i64, data: Bytes) -> Self {
        Self { kind, zxid, data: Some(data), ids: None }
    }
}

record! {
    /// Data of FOLLOWERINFO and OBSERVERINFO. Older learners leave the end out.
    #[derive(Copy)]
    pub struct LearnerInfo {
        /// The learner's number.
        pub id: i64,
        /// [`PROTOCOL_VERSION`].
        pub protocol_version: i32,
        /// Version of its list of servers.
        pub config_version: i64,
    }
}

record! {
    /// The start of a REQUEST's data; the request's body stands behind it.
    #[derive(Copy)]
    pub struct ForwardedHeader {
        /// The client's session.
        pub session_id: i64,
        /// The client's number of the request.
        pub cxid: i32,
        /// The op code.
        pub op: i32,
    }
}

record! {
    /// One session in the data of a learner's PING, and the data of a learner's REVALIDATE.
    #[derive(Copy)]
    pub struct SessionTouch {
        /// The session.
        pub session_id: i64,
        /// Its timeout in milliseconds.
        pub timeout_ms: i32,
    }
}

record! {
    /// Data of a leader's REVALIDATE.
    #[derive(Copy)]
    pub struct Revalidated {
        /// The session.
        pub session_id: i64,
        /// Whether it is alive.
        pub valid: bool,
    }
}

/// How far a packet at the start of `bytes` reaches, without building it; `None` while its end has not come.
///
/// # Errors
/// A length that no server sends: negative, or a packet of more than `length_max` bytes.
pub fn packet_length(bytes: &[u8], length_max: usize) -> Result<Option<usize>, DecodeError> {
    let mut scan = Scan { bytes, at: 12, length_max };
    Ok(scan.packet()?.then_some(scan.at))
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    length_max: usize,
}

impl Scan<'_> {
    /// Whether the packet is whole; then `at` is behind it.
    fn packet(&mut self) -> Result<bool, DecodeError> {
        if !self.buffer()? {
            return Ok(false);
        }
        let Some(count) = self.length()? else { return Ok(false) };
        for _ in 0..2 * count {
            if !self.buffer()? {
                return Ok(false);
            }
        }
        Ok(self.at <= self.bytes.len())
    }

    fn buffer(&mut self) -> Result<bool, DecodeError> {
        let Some(length) = self.length()? else { return Ok(false) };
        self.at = self.at.saturating_add(length);
        if self.at > self.length_max {
            return Err(DecodeError::Length { at: self.at - length, length: length as i64 });
        }
        Ok(self.at <= self.bytes.len())
    }

    /// The next length, null counted as 0.
    fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        let Some(bytes) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
        let length = i32::from_be_bytes(*bytes);
        let at = self.at;
        self.at += 4;
        match usize::try_from(length.max(0)) {
            Ok(length) if length <= self.length_max && i32::from_be_bytes(*bytes) >= -1 => Ok(Some(length)),
            _ => Err(DecodeError::Length { at, length: i64::from(length) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> QuorumPacket {
        QuorumPacket {
            kind: packet_type::REQUEST,
            zxid: -1,
            data: Some(Bytes::from_static(b"data")),
            ids: Some(Ids(vec![Id::from_static("ip", "127.0.0.1"), Id::from_static("digest", "a:b")])),
        }
    }

    #[test]
    fn a_packet_ends_where_its_encoding_does_and_not_earlier() {
        for packet in [request(), QuorumPacket::bare(packet_type::UPTODATE, -1)] {
            let bytes = packet.to_bytes();
            for cut in 0..bytes.len() {
                assert_eq!(packet_length(&bytes[..cut], 1 << 20), Ok(None), "cut at {cut}");
            }
            let mut more = BytesMut::from(&bytes[..]);
            more.put_slice(b"next");
            assert_eq!(packet_length(&more, 1 << 20), Ok(Some(bytes.len())));
            assert_eq!(QuorumPacket::decode(&mut Reader::new(&bytes)), Ok(packet));
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_its_bytes_come() {
        let mut bytes = BytesMut::new();
        bytes.put_i32(packet_type::PROPOSAL);
        bytes.put_i64(1);
        bytes.put_i32(0x7fff_ffff);
        assert!(packet_length(&bytes, 1 << 20).is_err());
        let mut negative = BytesMut::new();
        negative.put_i32(packet_type::ACK);
        negative.put_i64(1);
        negative.put_i32(-2);
        assert!(packet_length(&negative, 1 << 20).is_err());
        let mut many = BytesMut::new();
        many.put_i32(packet_type::ACK);
        many.put_i64(1);
        many.put_i32(-1);
        many.put_i32(0x7fff_ffff);
        assert!(packet_length(&many, 1 << 20).is_err(), "a count of ids");
    }
}
