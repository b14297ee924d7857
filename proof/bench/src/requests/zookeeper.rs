//! A ZooKeeper server's requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
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

/// Requests that wait for their answers together.
const REQUESTS_AT_ONCE: usize = 500;

/// Operations that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Set,
    Get,
    /// Three sets in ten, gets else.
    Mix,
}

impl Operation {
    /// Those of a server that is alone.
    pub(crate) const ALONE: [Self; 3] = [Self::Create, Self::Set, Self::Get];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Set => "set",
            Self::Get => "get",
            Self::Mix => "30 % set",
        }
    }

    /// What one session sends: creates below `parent` with a name of their own each, anything else on `parent` itself, or for
    /// the gets of a mix on its child [`long_name`].
    pub(crate) fn template(self, parent: &str) -> Template {
        match self {
            Self::Create => Template::numbered(encode(1, &create(&format!("{parent}/n0000000000")))),
            Self::Set => Template::fixed(self.request(parent)),
            Self::Get => Template::fixed(self.request(parent)),
            Self::Mix => {
                let (set, get) = (Self::Set.request(parent), Self::Get.request(&format!("{parent}/{}", long_name())));
                let is_set = |at: u8| matches!(at, 0 | 3 | 6);
                Template::in_turn(
                    &(0..10).map(|at| if is_set(at) { set.clone() } else { get.clone() }).collect::<Vec<_>>(),
                )
            }
        }
    }

    /// One request on `path`, of the operations that may be sent over and over.
    pub(crate) fn request(self, path: &str) -> Vec<u8> {
        let path = Str::from(path);
        let request = match self {
            Self::Set => Request::SetData(SetDataRequest { path, data: data(), version: -1 }),
            Self::Create | Self::Get | Self::Mix => Request::GetData(ReadRequest { path, watch: false }),
        };
        encode(1, &request)
    }
}

/// A name that makes a get as long as a set on the parent.
pub(crate) fn long_name() -> String {
    // A set has its data, the length of that and a version; a get has a flag, and here a slash.
    "r".repeat(DATA_BYTES + 4 + 4 - 1 - 1)
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
        Self::open_within(port, Duration::from_secs(30))
    }

    /// The same with less patience for each answer.
    pub(crate) fn open_within(port: u16, patience: Duration) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
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
        self.ask(&encode(1, &create(path))).with_context(|| format!("create {path}"))?;
        Ok(())
    }

    /// The transaction that did it.
    pub(crate) fn set(&mut self, path: &str) -> Result<i64> {
        self.ask(&Operation::Set.request(path)).with_context(|| format!("set {path}"))
    }

    /// Watches the data of all of these.
    pub(crate) fn watch(&mut self, paths: impl Iterator<Item = String>) -> Result<()> {
        let paths: Vec<_> = paths.map(|path| Str::from(path.as_str())).collect();
        for some in paths.chunks(REQUESTS_AT_ONCE) {
            let watch = |path: &Str| encode(1, &Request::GetData(ReadRequest { path: path.clone(), watch: true }));
            self.stream.write_all(&some.iter().flat_map(watch).collect::<Vec<_>>())?;
            for _ in some {
                self.answered()?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, request: &[u8]) -> Result<i64> {
        self.stream.write_all(request)?;
        self.answered()
    }

    fn answered(&mut self) -> Result<i64> {
        let header = ReplyHeader::decode(&mut Reader::new(&self.answer()?))?;
        ensure!(header.err == 0, "error {}", header.err);
        Ok(header.zxid)
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Bytes> {
        self.stream.write_all(request)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }
}
