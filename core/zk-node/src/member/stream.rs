//! Packets out of a stream that is cut anywhere. They have no length around them, and a tree may stand between two.

use base::{DecodeError, Reader};
use bytes::{Bytes, BytesMut};
use zk_proto::Jute;
use zk_proto::peer::{QuorumPacket, packet_length};

/// What a link has received and nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct PacketStream {
    bytes: BytesMut,
}

impl PacketStream {
    /// Adds what was read from the socket.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the next packet, if all of it has arrived.
    ///
    /// # Errors
    /// What no server sends, or a packet of more than `length_max` bytes.
    pub(crate) fn next(&mut self, length_max: usize) -> Result<Option<QuorumPacket>, DecodeError> {
        let Some(length) = packet_length(&self.bytes, length_max)? else { return Ok(None) };
        let packet = self.bytes.split_to(length).freeze();
        QuorumPacket::decode(&mut Reader::new(&packet)).map(Some)
    }

    /// Takes everything that has arrived, whatever it is.
    pub(crate) fn take_raw(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }

    /// Puts back what was taken too much.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        let behind = self.bytes.split();
        self.bytes.extend_from_slice(bytes);
        self.bytes.extend_from_slice(&behind);
    }
}
