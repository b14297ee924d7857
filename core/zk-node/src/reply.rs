//! Frames to clients, written straight into a connection's outgoing buffer.

use base::Str;
use bytes::{BufMut, BytesMut};
use zk_proto::connect::{ConnectResponse, NOTIFICATION_XID};
use zk_proto::{ErrorCode, EventType, Jute, KeeperState, WatcherEvent};

/// Room for a reply with a stat and some data: made at once, not by doubling from a few bytes.
const USUAL_LEN: usize = 256;

/// What stands before a reply's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) error: ErrorCode,
}

impl Header {
    fn put(self, out: &mut BytesMut) {
        out.put_i32(self.xid);
        out.put_i64(self.zxid);
        out.put_i32(self.error.code());
    }
}

/// Appends a frame with `header` and what `body` writes; its length without the length field.
pub(crate) fn reply(out: &mut BytesMut, header: Header, body: impl FnOnce(&mut BytesMut)) -> usize {
    frame(out, |out| {
        header.put(out);
        body(out);
    })
}

/// Appends a frame with what `body` writes, or, if that fails, with its error alone. The error, and the frame's length
/// without the length field.
pub(crate) fn try_reply(
    out: &mut BytesMut,
    header: Header,
    body: impl FnOnce(&mut BytesMut) -> Result<(), ErrorCode>,
) -> (ErrorCode, usize) {
    let mut error = ErrorCode::Ok;
    let length = frame(out, |out| {
        let start = out.len();
        header.put(out);
        if let Err(failed) = body(out) {
            error = failed;
            out.truncate(start);
            Header { error, ..header }.put(out);
        }
    });
    (error, length)
}

/// Appends a watch event.
pub(crate) fn notification(out: &mut BytesMut, event: EventType, path: &Str) -> usize {
    let header = Header { xid: NOTIFICATION_XID, zxid: -1, error: ErrorCode::Ok };
    let event = WatcherEvent { event: event.code(), state: KeeperState::SyncConnected.code(), path: path.clone() };
    reply(out, header, |out| event.encode(out))
}

/// Appends the answer to a connect request.
pub(crate) fn connected(out: &mut BytesMut, response: &ConnectResponse) {
    frame(out, |out| response.encode(out));
}

fn frame(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) -> usize {
    let start = out.len();
    out.reserve(USUAL_LEN);
    out.put_i32(0);
    body(out);
    let length = out.len() - start - 4;
    let field = i32::try_from(length).expect("a reply is bounded by the tree, far below 2 GiB").to_be_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&field);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_fails_leaves_its_error_alone() {
        let mut out = BytesMut::new();
        let header = Header { xid: 7, zxid: 9, error: ErrorCode::Ok };
        let failed = try_reply(&mut out, header, |out| {
            out.put_slice(b"half a body");
            Err(ErrorCode::NoNode)
        });
        assert_eq!(failed, (ErrorCode::NoNode, 16));
        assert_eq!(out[..], *b"\0\0\0\x10\0\0\0\x07\0\0\0\0\0\0\0\x09\xff\xff\xff\x9b");
    }

    #[test]
    fn a_reply_is_framed_and_a_second_one_follows() {
        let mut out = BytesMut::new();
        let header = Header { xid: 7, zxid: 9, error: ErrorCode::NoNode };
        assert_eq!(reply(&mut out, header, |_| {}), 16);
        assert_eq!(notification(&mut out, EventType::NodeCreated, &Str::from("/a")), 30);
        assert_eq!(
            out[..],
            *b"\0\0\0\x10\0\0\0\x07\0\0\0\0\0\0\0\x09\xff\xff\xff\x9b\
               \0\0\0\x1e\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\x01\0\0\0\x03\0\0\0\x02/a"
        );
    }
}
