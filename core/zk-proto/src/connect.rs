//! The first exchange on a connection, and the session's password.

use base::{DecodeError, Reader};
use bytes::{Bytes, BytesMut};

use crate::jute::{Jute, record};

/// Opens or resumes a session; the one request without a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// Always 0.
    pub protocol_version: i32,
    /// The newest zxid the client has seen: a server that is behind turns it away.
    pub last_zxid_seen: i64,
    /// The session timeout that the client asks for, in milliseconds.
    pub timeout_ms: i32,
    /// 0 for a new session.
    pub session_id: i64,
    /// The password of the session to resume.
    pub password: Bytes,
    /// Whether a server without a quorum will do. Clients before 3.4 don't send it: `None`.
    pub read_only: Option<bool>,
}

impl Jute for ConnectRequest {
    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.last_zxid_seen.encode(out);
        self.timeout_ms.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.i32()?,
            last_zxid_seen: reader.i64()?,
            timeout_ms: reader.i32()?,
            session_id: reader.i64()?,
            password: Bytes::decode(reader)?,
            read_only: optional_bool(reader)?,
        })
    }
}

/// Answers a [`ConnectRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// The session timeout as granted, in milliseconds; 0 if the session is gone.
    pub timeout_ms: i32,
    /// The session; 0 if it is gone.
    pub session_id: i64,
    /// 16 bytes to resume the session with.
    pub password: Bytes,
    /// Whether this server only reads. Sent only to clients that sent their own flag.
    pub read_only: Option<bool>,
}

impl Jute for ConnectResponse {
    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.timeout_ms.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: reader.i32()?,
            timeout_ms: reader.i32()?,
            session_id: reader.i64()?,
            password: Bytes::decode(reader)?,
            read_only: optional_bool(reader)?,
        })
    }
}

fn optional_bool(reader: &mut Reader<'_>) -> Result<Option<bool>, DecodeError> {
    match reader.remaining() {
        0 => Ok(None),
        _ => bool::decode(reader).map(Some),
    }
}

record! {
    /// Before each request.
    #[derive(Copy)]
    pub struct RequestHeader {
        /// The client's number for the request; −2 ping, −4 auth, −8 set watches.
        pub xid: i32,
        /// An [`crate::OpCode`].
        pub op: i32,
    }
}

record! {
    /// Before each response. With an error, nothing follows.
    #[derive(Copy)]
    pub struct ReplyHeader {
        /// The request's number; −1 for a notification.
        pub xid: i32,
        /// The newest zxid that the server had applied; −1 for a notification.
        pub zxid: i64,
        /// An [`crate::ErrorCode`].
        pub err: i32,
    }
}

/// The xid of a watch notification.
pub const NOTIFICATION_XID: i32 = -1;
/// The xid of a ping.
pub const PING_XID: i32 = -2;
/// The xid of an auth packet.
pub const AUTH_XID: i32 = -4;
/// The xid of a client's set watches after a reconnection.
pub const SET_WATCHES_XID: i32 = -8;

/// The password of a session: what `new java.util.Random(id ^ 0xB3415C00).nextBytes` gives, so that any server of an
/// ensemble, of either kind, knows it without being told.
pub fn session_password(session_id: i64) -> [u8; 16] {
    const MULTIPLIER: i64 = 0x5_DEEC_E66D;
    const MASK: i64 = (1 << 48) - 1;
    let mut seed = (session_id ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for word in password.chunks_exact_mut(4) {
        seed = seed.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        word.copy_from_slice(&((seed >> 16) as i32).to_le_bytes());
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_only_flag_is_there_or_not() {
        let mut request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 5,
            timeout_ms: 10_000,
            session_id: 0,
            password: Bytes::from_static(&[0; 16]),
            read_only: None,
        };
        for (read_only, length) in [(None, 44), (Some(false), 45), (Some(true), 45)] {
            request.read_only = read_only;
            let bytes = request.to_bytes();
            assert_eq!(bytes.len(), length);
            assert_eq!(ConnectRequest::decode(&mut Reader::new(&bytes)).unwrap(), request);
        }
    }
}
