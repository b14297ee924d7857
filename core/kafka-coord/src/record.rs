//! Keys and values of `__consumer_offsets` (upstream: `GroupMetadataManager`'s schemas).
//!
//! Each starts with a version. Keys 0 and 1 name a partition's committed offset, key 2 names a group. All versions are read; which
//! ones are written follows `inter.broker.protocol.version`, so that older brokers can load what this one wrote. A value that is
//! null removes its key.

use base::{DecodeError, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};

const OFFSET_KEY_VERSION: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: Str,
    /// Index of the partition.
    pub partition: i32,
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A group's offset in a partition.
    Offset {
        /// The group.
        group: Str,
        /// The partition.
        place: TopicPartition,
    },
    /// A group's members.
    Group(Str),
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Offset of the next record to read.
    pub offset: i64,
    /// Leader epoch of the last record that was read, -1 if the client did not say.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: Str,
    /// When it was committed, wall time.
    pub commit_timestamp_ms: i64,
    /// When it expires, wall time; only commits of old clients say so (OffsetCommit 2 to 4).
    pub expire_timestamp_ms: Option<i64>,
}

/// A group as of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupValue {
    /// Kind of the group: `consumer`, `connect`; empty if it has none.
    pub protocol_type: Str,
    /// The generation.
    pub generation: i32,
    /// The assignor that was chosen.
    pub protocol: Option<Str>,
    /// Member id of the leader.
    pub leader: Option<Str>,
    /// When the group entered its state, wall time; -1 if not known.
    pub state_timestamp_ms: i64,
    /// The members.
    pub members: Vec<MemberValue>,
}

/// A member as of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberValue {
    /// Its id.
    pub member_id: Str,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<Str>,
    /// `client.id`.
    pub client_id: Str,
    /// Where it connects from.
    pub client_host: Str,
    /// How long it may take to rejoin.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// What it said for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

/// Which versions of values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueVersions {
    /// 1 before 2.1-IV0, 2 before 2.1-IV1, 3 since.
    pub offset: i16,
    /// 0 before 0.10.1-IV0, 1 before 2.1-IV0, 2 before 2.3-IV0, 3 since.
    pub group: i16,
}

impl ValueVersions {
    /// Those of 2.7.1.
    pub const CURRENT: Self = Self { offset: 3, group: 3 };
}

/// A record that can't be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end early or lie.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A version that nobody wrote up to 2.7.1.
    #[error("{what} of unknown version {version}")]
    UnknownVersion {
        /// Key or value.
        what: &'static str,
        /// The version as read.
        version: i16,
    },
    /// A string is longer than the format can say (32767 bytes).
    #[error("a string of {length} bytes is too long for a record")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

impl Key {
    /// The key's bytes, in the version that is written.
    pub fn encode(&self) -> Result<Bytes, RecordError> {
        let mut out = BytesMut::new();
        match self {
            Self::Offset { group, place } => {
                out.put_i16(OFFSET_KEY_VERSION);
                put_str(&mut out, group)?;
                put_str(&mut out, &place.topic)?;
                out.put_i32(place.partition);
            }
            Self::Group(group) => {
                out.put_i16(GROUP_KEY_VERSION);
                put_str(&mut out, group)?;
            }
        }
        Ok(out.freeze())
    }

    /// Reads a key.
    pub fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        let reader = &mut Reader::new(bytes);
        match reader.i16()? {
            0..=OFFSET_KEY_VERSION => {
                let group = take_str(reader)?;
                let place = TopicPartition { topic: take_str(reader)?, partition: reader.i32()? };
                Ok(Self::Offset { group, place })
            }
            GROUP_KEY_VERSION => Ok(Self::Group(take_str(reader)?)),
            version => Err(RecordError::UnknownVersion { what: "key", version }),
        }
    }
}

impl CommittedOffset {
    /// The value's bytes. An explicit time of expiry needs version 1, whatever `versions` say.
    pub fn encode(&self, versions: ValueVersions) -> Result<Bytes, RecordError> {
        let version = if self.expire_timestamp_ms.is_some() { 1 } else { versions.offset };
        let mut out = BytesMut::new();
        out.put_i16(version);
        out.put_i64(self.offset);
        if version >= 3 {
            out.put_i32(self.leader_epoch);
        }
        put_str(&mut out, &self.metadata)?;
        out.put_i64(self.commit_timestamp_ms);
        if version == 1 {
            out.put_i64(self.expire_timestamp_ms.unwrap_or(-1));
        }
        Ok(out.freeze())
    }

    /// Reads a value of any version.
    pub fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        let reader = &mut Reader::new(bytes);
        let version = reader.i16()?;
        if !(0..=3).contains(&version) {
            return Err(RecordError::UnknownVersion { what: "offset", version });
        }
        Ok(Self {
            offset: reader.i64()?,
            leader_epoch: if version >= 3 { reader.i32()? } else { -1 },
            metadata: take_str(reader)?,
            commit_timestamp_ms: reader.i64()?,
            expire_timestamp_ms: if version == 1 { Some(reader.i64()?).filter(|at| *at != -1) } else { None },
        })
    }
}

impl GroupValue {
    /// The value's bytes.
    pub fn encode(&self, versions: ValueVersions) -> Result<Bytes, RecordError> {
        let version = versions.group;
        let mut out = BytesMut::new();
        out.put_i16(version);
        put_str(&mut out, &self.protocol_type)?;
        out.put_i32(self.generation);
        put_nullable(&mut out, self.protocol.as_ref())?;
        put_nullable(&mut out, self.leader.as_ref())?;
        if version >= 2 {
            out.put_i64(self.state_timestamp_ms);
        }
        out.put_i32(self.members.len() as i32);
        for member in &self.members {
            member.encode(version, &mut out)?;
        }
        Ok(out.freeze())
    }

    /// Reads a value of any version.
    pub fn decode(bytes: &Bytes) -> Result<Self, RecordError> {
        let reader = &mut Reader::new(bytes);
        let version = reader.i16()?;
        if !(0..=3).contains(&version) {
            return Err(RecordError::UnknownVersion { what: "group", version });
        }
        let mut value = Self {
            protocol_type: take_str(reader)?,
            generation: reader.i32()?,
            protocol: take_nullable(reader)?,
            leader: take_nullable(reader)?,
            state_timestamp_ms: if version >= 2 { reader.i64()? } else { -1 },
            members: Vec::new(),
        };
        // The count is the file's word: members are read one by one, so that a lie ends at the end of the bytes.
        for _ in 0..reader.i32()?.max(0) {
            value.members.push(MemberValue::decode(version, reader)?);
        }
        Ok(value)
    }
}

impl MemberValue {
    fn encode(&self, version: i16, out: &mut BytesMut) -> Result<(), RecordError> {
        put_str(out, &self.member_id)?;
        if version >= 3 {
            put_nullable(out, self.group_instance_id.as_ref())?;
        }
        put_str(out, &self.client_id)?;
        put_str(out, &self.client_host)?;
        if version >= 1 {
            out.put_i32(self.rebalance_timeout_ms);
        }
        out.put_i32(self.session_timeout_ms);
        put_bytes(out, &self.subscription);
        put_bytes(out, &self.assignment);
        Ok(())
    }

    fn decode(version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let member_id = take_str(reader)?;
        let group_instance_id = if version >= 3 { take_nullable(reader)? } else { None };
        let (client_id, client_host) = (take_str(reader)?, take_str(reader)?);
        let rebalance_timeout_ms = if version >= 1 { Some(reader.i32()?) } else { None };
        let session_timeout_ms = reader.i32()?;
        Ok(Self {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription: take_bytes(reader)?,
            assignment: take_bytes(reader)?,
        })
    }
}

fn put_str(out: &mut BytesMut, text: &str) -> Result<(), RecordError> {
    let length = i16::try_from(text.len()).map_err(|_| RecordError::TooLong { length: text.len() })?;
    out.put_i16(length);
    out.put_slice(text.as_bytes());
    Ok(())
}

fn put_nullable(out: &mut BytesMut, text: Option<&Str>) -> Result<(), RecordError> {
    match text {
        Some(text) => put_str(out, text),
        None => {
            out.put_i16(-1);
            Ok(())
        }
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &Bytes) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

/// Copied: what is read is kept long, and must not keep the buffer it was read from.
fn take_str(reader: &mut Reader<'_>) -> Result<Str, RecordError> {
    take_nullable(reader)?.ok_or(RecordError::Decode(DecodeError::Value { what: "string", value: -1, at: 0 }))
}

fn take_nullable(reader: &mut Reader<'_>) -> Result<Option<Str>, RecordError> {
    match usize::try_from(reader.i16()?) {
        Ok(length) => Ok(Some(Str::copied(&reader.str(length)?))),
        Err(_) => Ok(None),
    }
}

fn take_bytes(reader: &mut Reader<'_>) -> Result<Bytes, RecordError> {
    let length = usize::try_from(reader.i32()?).unwrap_or(0);
    Ok(Bytes::copy_from_slice(reader.slice(length)?))
}
