//! A ZooKeeper server's requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};
use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use zk_proto::connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use zk_proto::requests::{CreateRequest, ReadRequest, Request, SetDataRequest};
use zk_proto::{Acl, CreateMode, Jute};

use crate::load::{ErrorCodeAt, Template};

/// Data of each znode.
pub(crate) const DATA_BYTES: usize = 100;

/// Length, xid, zxid.
pub(crate) const ERROR_AT: ErrorCodeAt = ErrorCodeAt { offset: 4 + 4 + 8, bytes: 4, frame_bytes_min: 20 };

/// Operations that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Set,
    Get,
}

impl Operation {
    pub(crate) const ALL: [Self; 3] = [Self::Create, Self::Set, Self::Get];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Set => "set",
            Self::Get => "get",
        }
    }

    /// What one session sends: creates below `parent` with a name of their own each, anything else on `parent` itself.
    pub(crate) fn template(self, parent: &str) -> Template {
        let path = Str::from(parent);
        match self {
            Self::Create => Template::numbered(encode(1, &create(&format!("{parent}/n0000000000")))),
            Self::Set => {
                Template::fixed(encode(1, &Request::SetData(SetDataRequest { path, data: data(), version: -1 })))
            }
            Self::Get => Template::fixed(encode(1, &Request::GetData(ReadRequest { path, watch: false }))),
        }
    }
}

fn create(path: &str) -> Request {
    let flags = CreateMode::Persistent as i32;
    Request::Create(CreateRequest { path: Str::from(path), data: data(), acl: vec![Acl::OPEN], flags })
}

fn data() -> Option<Bytes> {
    Some(Bytes::from(vec![b'x'; DATA_BYTES]))
}

fn encode(xid: i32, request: &Request) -> Vec<u8> {
    let mut body = BytesMut::new();
    RequestHeader { xid, op: request.op() as i32 }.encode(&mut body);
    request.encode(&mut body);
    framed(&body)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a request is below 4 GiB");
    [&length.to_be_bytes()[..], body].concat()
}

/// A session, for requests one at a time.
pub(crate) struct Session {
    stream: TcpStream,
}

impl Session {
    pub(crate) fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut session = Self { stream };
        let connect = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: 30_000,
            session_id: 0,
            password: Bytes::from_static(&[0; 16]),
            read_only: Some(false),
        };
        let answer = session.exchange(&framed(&connect.to_bytes()))?;
        let answer = ConnectResponse::decode(&mut Reader::new(&answer))?;
        ensure!(answer.session_id != 0, "no session");
        Ok(session)
    }

    /// The connection, ready for requests.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub(crate) fn create(&mut self, path: &str) -> Result<()> {
        let answer = self.exchange(&encode(1, &create(path)))?;
        let header = ReplyHeader::decode(&mut Reader::new(&answer))?;
        ensure!(header.err == 0, "create {path}: error {}", header.err);
        Ok(())
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Bytes> {
        self.stream.write_all(request)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }
}
