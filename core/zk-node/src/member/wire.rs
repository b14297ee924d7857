//! Zab's packets as bytes of the quorum port, and back.

use base::{DecodeError, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};
use zk_proto::peer::{
    ForwardedHeader, Ids, LearnerInfo as InfoRecord, PROTOCOL_VERSION, QuorumPacket, Revalidated, SessionTouch,
    packet_type as kind,
};
use zk_proto::{Id, Jute, OpCode};
use zk_zab::{Entry, FromLeader, FromLearner, LearnerInfo, epoch_of, epoch_start};

/// What a learner sends, as the leader's server sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LearnerSays {
    /// For Zab.
    Zab(FromLearner),
    /// PING: sessions that it heard of.
    Touches(Vec<SessionTouch>),
    /// REVALIDATE: a client wants to go on with this session there.
    Revalidate(SessionTouch),
    /// REQUEST: a client's write.
    Request(Forwarded),
}

/// A client's request on its way to the leader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) header: ForwardedHeader,
    pub(crate) body: Bytes,
    pub(crate) ids: Vec<Id>,
}

/// What a leader sends, as the learner's server sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LeaderSays {
    /// For Zab.
    Zab(FromLeader),
    /// SYNC: the first `sync` that was forwarded is done.
    Sync,
    /// REVALIDATE: the answer.
    Revalidated(Revalidated),
}

/// Why a packet makes no sense here.
pub(crate) type Nonsense = String;

/// Whether a packet is about Zab alone.
pub(crate) const fn is_of_zab(packet: &QuorumPacket) -> bool {
    matches!(packet.kind, kind::FOLLOWERINFO | kind::OBSERVERINFO | kind::ACKEPOCH | kind::ACK)
}

/// What is told of bytes that are no packet.
pub(crate) fn unreadable(error: &DecodeError) -> Nonsense {
    match error {
        DecodeError::Length { length, .. } => format!("Unreasonable length = {length}"),
        other => other.to_string(),
    }
}

/// A packet of a learner.
pub(crate) fn from_learner(packet: QuorumPacket) -> Result<LearnerSays, Nonsense> {
    let data = packet.data.clone().unwrap_or_default();
    Ok(match packet.kind {
        kind::FOLLOWERINFO | kind::OBSERVERINFO => {
            LearnerSays::Zab(FromLearner::Info(info(packet.kind == kind::OBSERVERINFO, packet.zxid, &data)?))
        }
        kind::ACKEPOCH => {
            let epoch = Reader::new(&data).i32().map_err(|_| "an ACKEPOCH without an epoch".to_owned())?;
            let current_epoch = (epoch != -1).then(|| i64::from(epoch));
            LearnerSays::Zab(FromLearner::AckEpoch { current_epoch, last_zxid: packet.zxid })
        }
        kind::ACK => LearnerSays::Zab(FromLearner::Ack { zxid: packet.zxid }),
        kind::PING => {
            let mut reader = Reader::new(&data);
            let mut touches = Vec::new();
            while reader.remaining() > 0 {
                touches.push(SessionTouch::decode(&mut reader).map_err(|_| "a PING with half a session".to_owned())?);
            }
            LearnerSays::Touches(touches)
        }
        kind::REVALIDATE => LearnerSays::Revalidate(
            SessionTouch::decode(&mut Reader::new(&data)).map_err(|_| "a REVALIDATE without a session".to_owned())?,
        ),
        kind::REQUEST => {
            let mut reader = Reader::new(&data);
            let header = ForwardedHeader::decode(&mut reader).map_err(|_| "a REQUEST without its head".to_owned())?;
            let body = data.slice(reader.position()..);
            LearnerSays::Request(Forwarded { header, body, ids: packet.ids.map_or_else(Vec::new, |Ids(ids)| ids) })
        }
        other => return Err(format!("unexpected quorum packet, type: {other}")),
    })
}

/// Learners before 3.4 leave out all but their number, which the protocol version 0 tells.
fn info(is_observer: bool, zxid: i64, data: &Bytes) -> Result<LearnerInfo, Nonsense> {
    let mut reader = Reader::new(data);
    let id = reader.i64().map_err(|_| "a learner without a number".to_owned())?;
    let protocol_version = reader.i32().unwrap_or(0);
    let config_version = reader.i64().unwrap_or(0);
    Ok(LearnerInfo { id, is_observer, protocol_version, config_version, accepted_epoch: epoch_of(zxid) })
}

/// A packet of a leader.
pub(crate) fn from_leader(packet: QuorumPacket) -> Result<LeaderSays, Nonsense> {
    let QuorumPacket { kind, zxid, data, .. } = packet;
    let entry = || data.clone().map(|payload| Entry { zxid, payload }).ok_or("a proposal without a transaction");
    Ok(LeaderSays::Zab(match kind {
        kind::LEADERINFO => FromLeader::LeaderInfo { epoch: epoch_of(zxid) },
        kind::DIFF => FromLeader::Diff { zxid },
        kind::TRUNC => FromLeader::Trunc { zxid },
        kind::SNAP => FromLeader::Snap { zxid },
        kind::NEWLEADER => FromLeader::NewLeader { epoch: epoch_of(zxid), config: data.unwrap_or_default() },
        kind::UPTODATE => FromLeader::UpToDate,
        kind::PROPOSAL => FromLeader::Proposal(entry()?),
        kind::COMMIT => FromLeader::Commit { zxid },
        kind::COMMITANDACTIVATE => {
            let leader = Reader::new(&data.unwrap_or_default()).i64();
            FromLeader::CommitAndActivate { zxid, leader: leader.map_err(|_| "a COMMITANDACTIVATE without a leader")? }
        }
        kind::INFORM => FromLeader::Inform(entry()?),
        kind::INFORMANDACTIVATE => {
            let data = data.unwrap_or_default();
            let mut reader = Reader::new(&data);
            let leader = reader.i64().map_err(|_| "an INFORMANDACTIVATE without a leader")?;
            FromLeader::InformAndActivate { entry: Entry { zxid, payload: data.slice(reader.position()..) }, leader }
        }
        kind::PING => FromLeader::Ping { zxid },
        kind::SYNC => return Ok(LeaderSays::Sync),
        kind::REVALIDATE => {
            let answer = Revalidated::decode(&mut Reader::new(&data.unwrap_or_default()));
            return answer.map(LeaderSays::Revalidated).map_err(|_| "a REVALIDATE without a session".to_owned());
        }
        other => return Err(format!("unexpected quorum packet, type: {other}")),
    }))
}

/// Appends what a leader says.
pub(crate) fn put_leader(packet: FromLeader, out: &mut BytesMut) {
    let packet = match packet {
        FromLeader::LeaderInfo { epoch } => {
            let version = Bytes::copy_from_slice(&PROTOCOL_VERSION.to_be_bytes());
            QuorumPacket::with(kind::LEADERINFO, epoch_start(epoch), version)
        }
        FromLeader::Diff { zxid } => QuorumPacket::bare(kind::DIFF, zxid),
        FromLeader::Trunc { zxid } => QuorumPacket::bare(kind::TRUNC, zxid),
        FromLeader::Snap { zxid } => QuorumPacket::bare(kind::SNAP, zxid),
        FromLeader::NewLeader { epoch, config } => QuorumPacket::with(kind::NEWLEADER, epoch_start(epoch), config),
        FromLeader::UpToDate => QuorumPacket::bare(kind::UPTODATE, -1),
        FromLeader::Proposal(entry) => QuorumPacket::with(kind::PROPOSAL, entry.zxid, entry.payload),
        FromLeader::Commit { zxid } => QuorumPacket::bare(kind::COMMIT, zxid),
        FromLeader::CommitAndActivate { zxid, leader } => {
            QuorumPacket::with(kind::COMMITANDACTIVATE, zxid, Bytes::copy_from_slice(&leader.to_be_bytes()))
        }
        FromLeader::Inform(entry) => QuorumPacket::with(kind::INFORM, entry.zxid, entry.payload),
        FromLeader::InformAndActivate { entry, leader } => {
            let mut data = BytesMut::with_capacity(size_of::<i64>() + entry.payload.len());
            data.put_i64(leader);
            data.put_slice(&entry.payload);
            QuorumPacket::with(kind::INFORMANDACTIVATE, entry.zxid, data.freeze())
        }
        FromLeader::Ping { zxid } => QuorumPacket::bare(kind::PING, zxid),
        FromLeader::Other(bytes) => return out.put_slice(&bytes),
    };
    packet.encode(out);
}

/// The bytes of what a learner says to Zab, but for PING, which tells of sessions too.
pub(crate) fn learner_bytes(packet: &FromLearner) -> Bytes {
    let packet = match packet {
        FromLearner::Info(info) => {
            let record = InfoRecord {
                id: info.id,
                protocol_version: info.protocol_version,
                config_version: info.config_version,
            };
            let kind = if info.is_observer { kind::OBSERVERINFO } else { kind::FOLLOWERINFO };
            QuorumPacket::with(kind, epoch_start(info.accepted_epoch), record.to_bytes())
        }
        FromLearner::AckEpoch { current_epoch, last_zxid } => {
            let epoch = current_epoch.map_or(-1, |epoch| epoch as i32);
            QuorumPacket::with(kind::ACKEPOCH, *last_zxid, Bytes::copy_from_slice(&epoch.to_be_bytes()))
        }
        FromLearner::Ack { zxid } => QuorumPacket::bare(kind::ACK, *zxid),
        FromLearner::Ping => QuorumPacket::with(kind::PING, 0, Bytes::new()),
    };
    packet.to_bytes()
}

/// An answer to a leader's PING.
pub(crate) fn touches_bytes(zxid: i64, touches: impl IntoIterator<Item = SessionTouch>) -> Bytes {
    let mut data = BytesMut::new();
    touches.into_iter().for_each(|touch| touch.encode(&mut data));
    QuorumPacket::with(kind::PING, zxid, data.freeze()).to_bytes()
}

/// A client's request for the leader.
pub(crate) fn request_bytes(session_id: i64, cxid: i32, op: OpCode, body: &[u8], ids: &[Id]) -> Bytes {
    let mut data = BytesMut::new();
    ForwardedHeader { session_id, cxid, op: op.code() }.encode(&mut data);
    data.put_slice(body);
    let ids = Some(Ids(ids.to_vec()));
    QuorumPacket { kind: kind::REQUEST, zxid: -1, data: Some(data.freeze()), ids }.to_bytes()
}

/// Asks the leader whether a session is alive.
pub(crate) fn revalidate_bytes(session_id: i64, timeout_ms: i32) -> Bytes {
    QuorumPacket::with(kind::REVALIDATE, -1, SessionTouch { session_id, timeout_ms }.to_bytes()).to_bytes()
}

/// Answers that.
pub(crate) fn revalidated_bytes(session_id: i64, valid: bool) -> Bytes {
    QuorumPacket::with(kind::REVALIDATE, -1, Revalidated { session_id, valid }.to_bytes()).to_bytes()
}

/// Tells a learner that a `sync` is done.
pub(crate) fn sync_bytes() -> Bytes {
    QuorumPacket::bare(kind::SYNC, 0).to_bytes()
}

/// What stands behind a tree that is sent.
pub(crate) fn signature_bytes() -> Bytes {
    Str::from_static(zk_proto::peer::SNAPSHOT_SIGNATURE).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &Bytes) -> QuorumPacket {
        QuorumPacket::decode(&mut Reader::new(bytes)).unwrap()
    }

    #[test]
    fn what_a_learner_says_comes_back() {
        let info = LearnerInfo {
            id: 3,
            is_observer: true,
            protocol_version: PROTOCOL_VERSION,
            config_version: 7,
            accepted_epoch: 5,
        };
        for packet in [
            FromLearner::Info(info),
            FromLearner::AckEpoch { current_epoch: Some(4), last_zxid: epoch_start(4) + 9 },
            FromLearner::AckEpoch { current_epoch: None, last_zxid: 1 },
            FromLearner::Ack { zxid: 12 },
        ] {
            assert_eq!(from_learner(decoded(&learner_bytes(&packet))), Ok(LearnerSays::Zab(packet)));
        }
        let ids = vec![Id::from_static("ip", "127.0.0.1")];
        let bytes = request_bytes(77, 5, OpCode::Create, b"body", &ids);
        let header = ForwardedHeader { session_id: 77, cxid: 5, op: OpCode::Create.code() };
        let body = Bytes::from_static(b"body");
        assert_eq!(from_learner(decoded(&bytes)), Ok(LearnerSays::Request(Forwarded { header, body, ids })));
        let touch = SessionTouch { session_id: 77, timeout_ms: 4000 };
        assert_eq!(from_learner(decoded(&touches_bytes(1, [touch]))), Ok(LearnerSays::Touches(vec![touch])));
        assert_eq!(from_learner(decoded(&revalidate_bytes(77, 4000))), Ok(LearnerSays::Revalidate(touch)));
    }

    #[test]
    fn what_a_leader_says_comes_back() {
        let entry = Entry { zxid: epoch_start(2) + 1, payload: Bytes::from_static(b"txn") };
        for packet in [
            FromLeader::LeaderInfo { epoch: 2 },
            FromLeader::Diff { zxid: 9 },
            FromLeader::Trunc { zxid: 8 },
            FromLeader::Snap { zxid: 7 },
            FromLeader::NewLeader { epoch: 2, config: Bytes::from_static(b"version=0") },
            FromLeader::UpToDate,
            FromLeader::Proposal(entry.clone()),
            FromLeader::Commit { zxid: entry.zxid },
            FromLeader::CommitAndActivate { zxid: entry.zxid, leader: 3 },
            FromLeader::Inform(entry.clone()),
            FromLeader::InformAndActivate { entry, leader: -2 },
            FromLeader::Ping { zxid: 3 },
        ] {
            let mut bytes = BytesMut::new();
            put_leader(packet.clone(), &mut bytes);
            assert_eq!(from_leader(decoded(&bytes.freeze())), Ok(LeaderSays::Zab(packet)));
        }
        assert_eq!(from_leader(decoded(&sync_bytes())), Ok(LeaderSays::Sync));
        let answer = Revalidated { session_id: 1, valid: true };
        assert_eq!(from_leader(decoded(&revalidated_bytes(1, true))), Ok(LeaderSays::Revalidated(answer)));
    }

    #[test]
    fn nonsense_is_an_error() {
        assert!(from_learner(QuorumPacket::bare(99, 0)).is_err());
        assert!(from_learner(QuorumPacket::bare(kind::REQUEST, 0)).is_err());
        assert!(from_learner(QuorumPacket::with(kind::PING, 0, Bytes::from_static(b"half"))).is_err());
        assert!(from_leader(QuorumPacket::bare(kind::PROPOSAL, 1)).is_err());
        assert!(from_leader(QuorumPacket::bare(kind::COMMITANDACTIVATE, 1)).is_err());
        let short = QuorumPacket::with(kind::INFORMANDACTIVATE, 1, Bytes::from_static(b"leader"));
        assert!(from_leader(short).is_err());
    }
}
