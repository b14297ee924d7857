//! A client of the world's server: sends requests, tells what comes back in one line each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base::{Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};
use zk_node::ConnectionId;
use zk_proto::connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use zk_proto::multi::OpResult;
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::{ErrorCode, EventType, Jute, OpCode, Stat, WatcherEvent};

use crate::world::World;

/// One client on one connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: ConnectionId,
    pub(crate) session: i64,
    pub(crate) password: Bytes,
    pub(crate) timeout_ms: i32,
    xid: i32,
    ops: BTreeMap<i32, OpCode>,
    is_connected: bool,
}

/// How a client connects.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) timeout_ms: i32,
    pub(crate) session: i64,
    pub(crate) password: Bytes,
    pub(crate) last_zxid: i64,
    pub(crate) read_only: Option<bool>,
}

impl Default for Hello {
    fn default() -> Self {
        Self {
            timeout_ms: 10_000,
            session: 0,
            password: Bytes::from_static(&[0; 16]),
            last_zxid: 0,
            read_only: Some(false),
        }
    }
}

impl Client {
    /// A connection that has said nothing yet.
    pub(crate) fn open(world: &mut World) -> Self {
        let id = world.open();
        Self {
            id,
            session: 0,
            password: Bytes::new(),
            timeout_ms: 0,
            xid: 0,
            ops: BTreeMap::new(),
            is_connected: false,
        }
    }

    /// A new session.
    pub(crate) fn connect(world: &mut World) -> Self {
        let mut client = Self::open(world);
        client.hello(world, &Hello::default());
        let told = client.told(world);
        assert!(client.session != 0, "{told:?}");
        client
    }

    pub(crate) fn hello(&mut self, world: &mut World, hello: &Hello) {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: hello.last_zxid,
            timeout_ms: hello.timeout_ms,
            session_id: hello.session,
            password: hello.password.clone(),
            read_only: hello.read_only,
        };
        world.send(self.id, &framed(&request.to_bytes()));
    }

    /// Sends a request with the next xid, or the one that its kind demands.
    pub(crate) fn send(&mut self, world: &mut World, request: &Request) -> i32 {
        let bytes = self.encode(request);
        world.send(self.id, &bytes);
        self.xid
    }

    /// The frame of a request, not sent.
    pub(crate) fn encode(&mut self, request: &Request) -> Bytes {
        let xid = match request {
            Request::Ping => -2,
            Request::Auth(_) => -4,
            Request::SetWatches(_) | Request::SetWatches2(_) => -8,
            _ => {
                self.xid += 1;
                self.xid
            }
        };
        self.ops.insert(xid, request.op());
        let mut body = BytesMut::new();
        RequestHeader { xid, op: request.op().code() }.encode(&mut body);
        request.encode(&mut body);
        framed(&body)
    }

    /// Sends a header with any op, and these bytes behind it.
    pub(crate) fn send_raw(&mut self, world: &mut World, op: i32, body: &[u8]) {
        self.xid += 1;
        let mut frame = BytesMut::new();
        RequestHeader { xid: self.xid, op }.encode(&mut frame);
        frame.put_slice(body);
        world.send(self.id, &framed(&frame));
    }

    /// Everything that has arrived, one line each.
    pub(crate) fn told(&mut self, world: &mut World) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(frame) = world.frame(self.id) {
            lines.push(self.tell(&frame));
        }
        lines
    }

    fn tell(&mut self, frame: &Bytes) -> String {
        let mut reader = Reader::new(frame);
        if !self.is_connected {
            self.is_connected = true;
            let response = ConnectResponse::decode(&mut reader).unwrap();
            (self.session, self.password) = (response.session_id, response.password.clone());
            self.timeout_ms = response.timeout_ms;
            let state = if response.session_id == 0 { "no session" } else { "session" };
            let flag = response.read_only.map_or("", |read_only| if read_only { " read-only" } else { " read-write" });
            return format!("{state} timeout={}{flag}", response.timeout_ms);
        }
        let header = ReplyHeader::decode(&mut reader).unwrap();
        if header.xid == -1 {
            let event = WatcherEvent::decode(&mut reader).unwrap();
            let kind = EventType::from_code(event.event).map_or("?", EventType::name);
            return format!("event {kind} {}", event.path);
        }
        let op = self.ops.get(&header.xid).copied();
        let mut line = format!("{} xid={} zxid={:x}", op.map_or("?", OpCode::name), header.xid, header.zxid);
        if header.err != 0 {
            let error = ErrorCode::from_code(header.err).map_or("?", ErrorCode::name);
            assert_eq!(reader.remaining(), 0, "nothing stands behind an error");
            let _ = write!(line, " error: {error}");
        } else if let Some(op) = op {
            describe(&Response::decode(op, &mut reader).unwrap(), &mut line);
            assert_eq!(reader.remaining(), 0, "the reply to {op:?} is longer than it should be");
        }
        line
    }
}

fn describe(response: &Response, line: &mut String) {
    let _ = match response {
        Response::Empty => Ok(()),
        Response::Path(body) => write!(line, " {}", body.path),
        Response::Create2(body) => write!(line, " {} {}", body.path, stat(&body.stat)),
        Response::Stat(body) => write!(line, " {}", stat(&body.stat)),
        Response::GetData(body) => write!(line, " {} {}", data(body.data.as_ref()), stat(&body.stat)),
        Response::GetChildren(body) => write!(line, " {}", names(&body.children)),
        Response::GetChildren2(body) => write!(line, " {} {}", names(&body.children), stat(&body.stat)),
        Response::GetAcl(body) => {
            let acl: Vec<_> =
                body.acl.iter().map(|acl| format!("{}:{}:{}", acl.perms.0, acl.id.scheme, acl.id.id)).collect();
            write!(line, " [{}] {}", acl.join(" "), stat(&body.stat))
        }
        Response::GetAllChildrenNumber(body) => write!(line, " {}", body.total_number),
        Response::GetEphemerals(body) => write!(line, " {}", names(&body.ephemerals)),
        Response::Error(body) => write!(line, " {}", body.err),
        Response::Sasl(body) => write!(line, " token of {}", body.token.len()),
        Response::Multi(body) => {
            body.results.iter().for_each(|result| part(result, line));
            Ok(())
        }
    };
}

fn part(result: &OpResult, line: &mut String) {
    let _ = match result {
        OpResult::Create(body) => write!(line, " [create {}]", body.path),
        OpResult::Create2(body) => write!(line, " [create2 {} {}]", body.path, stat(&body.stat)),
        OpResult::Delete => write!(line, " [delete]"),
        OpResult::SetData(body) => write!(line, " [setData {}]", stat(&body.stat)),
        OpResult::Check => write!(line, " [check]"),
        OpResult::GetChildren(body) => write!(line, " [getChildren {}]", names(&body.children)),
        OpResult::GetData(body) => write!(line, " [getData {} {}]", data(body.data.as_ref()), stat(&body.stat)),
        OpResult::Error(body) => {
            write!(line, " [error {}]", ErrorCode::from_code(body.err).map_or("?", ErrorCode::name))
        }
    };
}

fn names(names: &[Str]) -> String {
    format!("({})", names.join(" "))
}

fn data(data: Option<&Bytes>) -> String {
    data.map_or_else(|| "null".to_owned(), |data| format!("{:?}", String::from_utf8_lossy(data)))
}

fn stat(stat: &Stat) -> String {
    let owner = if stat.ephemeral_owner == 0 { "" } else { " ephemeral" };
    format!(
        "{{c={:x} m={:x} p={:x} v={} cv={} av={} len={} children={}{owner}}}",
        stat.czxid,
        stat.mzxid,
        stat.pzxid,
        stat.version,
        stat.cversion,
        stat.aversion,
        stat.data_length,
        stat.num_children
    )
}

/// A frame of these bytes.
pub(crate) fn framed(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(body.len() as i32);
    frame.put_slice(body);
    frame.freeze()
}
