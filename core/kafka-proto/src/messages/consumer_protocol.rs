//! The protocol that consumers embed in JoinGroup and SyncGroup: what a member subscribes to, what it is assigned
//! (`ConsumerProtocolSubscription`, `ConsumerProtocolAssignment`). The broker carries both as bytes; tools, assignors and
//! the offset deletion check read them.
//!
//! Versions 0-1, none flexible. Each is encoded behind its version.
//!
//! - version 1: the partitions that a member still holds (KIP-429).
//!
//! A version above the known ones is read as the last one known, and what follows is passed over: later versions only add.

use base::{DecodeError, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};
use wire_derive::{Message, Wire};

use crate::Message;
use crate::wire::EncodeError;

/// What a member wants to read.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[wire(versions = "0-1")]
pub struct Subscription {
    /// Names of the topics.
    pub topics: Vec<Str>,
    /// Whatever the assignor adds, as the sticky one's previous assignment.
    pub user_data: Option<Bytes>,
    /// Partitions that the member holds from the generation before.
    #[wire(versions = "1+", ignorable)]
    pub owned_partitions: Vec<TopicPartitions>,
}

/// What a member shall read.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[wire(versions = "0-1")]
pub struct Assignment {
    /// The partitions by topic.
    pub assigned_partitions: Vec<TopicPartitions>,
    /// Whatever the assignor adds.
    pub user_data: Option<Bytes>,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct TopicPartitions {
    /// Name of the topic.
    pub topic: Str,
    /// Indexes of the partitions.
    pub partitions: Vec<i32>,
}

impl Subscription {
    /// Reads a version and the subscription behind it.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, DecodeError> {
        decode_versioned(bytes)
    }

    /// Encodes the subscription behind its version.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        encode_versioned(self, version)
    }
}

impl Assignment {
    /// Reads a version and the assignment behind it.
    pub fn from_bytes(bytes: &Bytes) -> Result<Self, DecodeError> {
        decode_versioned(bytes)
    }

    /// Encodes the assignment behind its version.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
        encode_versioned(self, version)
    }
}

fn decode_versioned<M: Message>(bytes: &Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    if version < M::VERSIONS.first {
        return Err(DecodeError::Value { what: "consumer protocol version", value: i64::from(version), at: 0 });
    }
    M::decode(version.min(M::VERSIONS.last), &mut reader)
}

fn encode_versioned<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::new();
    out.put_i16(version);
    message.encode(version, &mut out)?;
    Ok(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_is_read_as_the_last_known() {
        let owned = TopicPartitions { topic: Str::from_static("t"), partitions: vec![1] };
        let sent = Subscription { topics: vec![Str::from_static("t")], user_data: None, owned_partitions: vec![owned] };
        let mut later = BytesMut::from(&sent.to_bytes(1).unwrap()[..]);
        later[..2].copy_from_slice(&[0, 9]);
        later.put_i32(-1);
        assert_eq!(Subscription::from_bytes(&later.freeze()), Ok(sent));
        let negative = Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert!(Subscription::from_bytes(&negative).is_err());
    }
}
