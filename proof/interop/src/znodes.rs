//! A ZooKeeper client for tests: one session, one request after the other. It shares the wire's records with Jackdaw, not its
//! session machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use zk_proto::connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use zk_proto::requests::{CreateRequest, DeleteRequest, ReadRequest, Request, SetDataRequest};
use zk_proto::responses::{GetChildrenResponse, GetDataResponse, PathResponse};
use zk_proto::{Acl, CreateMode, ErrorCode, Jute, Stat};

const PATIENCE: Duration = Duration::from_secs(5);
const SESSION_TIMEOUT_MS: i32 = 10_000;

/// A session. It is closed with it.
pub struct Znodes {
    stream: TcpStream,
    xid: i32,
}

impl Znodes {
    /// Connects to the first of `host:port,host:port` that grants a session.
    pub fn connect(hosts: &str) -> Result<Self> {
        let mut failed = anyhow::anyhow!("no server is named");
        for host in hosts.split(',') {
            match Self::connect_to(host) {
                Ok(own) => return Ok(own),
                Err(error) => failed = error.context(host.to_owned()),
            }
        }
        Err(failed)
    }

    fn connect_to(host: &str) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&host.parse()?, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut own = Self { stream, xid: 0 };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: SESSION_TIMEOUT_MS,
            session_id: 0,
            password: Bytes::from_static(&[0; 16]),
            read_only: Some(false),
        };
        own.send(&request.to_bytes())?;
        let reply = own.receive()?;
        if ConnectResponse::decode(&mut Reader::new(&reply))?.session_id == 0 {
            bail!("no session is granted");
        }
        Ok(own)
    }

    /// Data and metadata, if the node is there.
    pub fn get(&mut self, path: &str) -> Result<Option<(Bytes, Stat)>> {
        let request = Request::GetData(ReadRequest { path: Str::from(path), watch: false });
        let reply = self.ask_there::<GetDataResponse>(&request)?;
        Ok(reply.map(|reply| (reply.data.unwrap_or_default(), reply.stat)))
    }

    /// The data as JSON, if the node is there.
    pub fn json(&mut self, path: &str) -> Result<Option<serde_json::Value>> {
        let Some((data, _)) = self.get(path)? else { return Ok(None) };
        serde_json::from_slice(&data).with_context(|| path.to_owned()).map(Some)
    }

    /// Sorted names; none if the node is not there.
    pub fn children(&mut self, path: &str) -> Result<Vec<String>> {
        let request = Request::GetChildren(ReadRequest { path: Str::from(path), watch: false });
        let reply = self.ask_there::<GetChildrenResponse>(&request)?;
        let mut names: Vec<_> =
            reply.map(|reply| reply.children).unwrap_or_default().iter().map(ToString::to_string).collect();
        names.sort();
        Ok(names)
    }

    /// Makes a persistent node that anyone may change.
    pub fn create(&mut self, path: &str, data: &str) -> Result<()> {
        self.create_as(CreateMode::Persistent, path, data).map(drop)
    }

    /// The same with a number behind the path; the whole path.
    pub fn create_in_sequence(&mut self, path: &str, data: &str) -> Result<String> {
        self.create_as(CreateMode::PersistentSequential, path, data)
    }

    fn create_as(&mut self, mode: CreateMode, path: &str, data: &str) -> Result<String> {
        let request = CreateRequest {
            path: Str::from(path),
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            acl: vec![Acl::OPEN],
            flags: mode as i32,
        };
        let reply = self.ask(&Request::Create(request))?;
        Ok(PathResponse::decode(&mut Reader::new(&reply))?.path.to_string())
    }

    /// Replaces the data, whatever its version.
    pub fn set(&mut self, path: &str, data: &str) -> Result<()> {
        let data = Some(Bytes::copy_from_slice(data.as_bytes()));
        self.ask(&Request::SetData(SetDataRequest { path: Str::from(path), data, version: -1 })).map(drop)
    }

    /// Deletes a node without children, whatever its version.
    pub fn delete(&mut self, path: &str) -> Result<()> {
        self.ask(&Request::Delete(DeleteRequest { path: Str::from(path), version: -1 })).map(drop)
    }

    fn ask_there<R: Jute>(&mut self, request: &Request) -> Result<Option<R>> {
        match self.ask(request) {
            Ok(reply) => Ok(Some(R::decode(&mut Reader::new(&reply))?)),
            Err(error) if error.downcast_ref() == Some(&ErrorCode::NoNode) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The answer's body; an [`ErrorCode`] if it is none.
    fn ask(&mut self, request: &Request) -> Result<Bytes> {
        self.xid += 1;
        let mut bytes = BytesMut::new();
        RequestHeader { xid: self.xid, op: request.op().code() }.encode(&mut bytes);
        request.encode(&mut bytes);
        self.send(&bytes)?;
        let reply = self.receive()?;
        let mut reader = Reader::new(&reply);
        let header = ReplyHeader::decode(&mut reader)?;
        match ErrorCode::from_code(header.err) {
            Some(ErrorCode::Ok) if header.xid == self.xid => Ok(reader.bytes(reader.remaining())?),
            Some(ErrorCode::Ok) | None => bail!("answered with {header:?}"),
            Some(error) => Err(error.into()),
        }
    }

    fn send(&mut self, body: &[u8]) -> Result<()> {
        let frame = [&i32::try_from(body.len())?.to_be_bytes(), body].concat();
        Ok(self.stream.write_all(&frame)?)
    }

    fn receive(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; usize::try_from(i32::from_be_bytes(length))?];
        self.stream.read_exact(&mut body)?;
        Ok(body.into())
    }
}

impl Drop for Znodes {
    fn drop(&mut self) {
        // The server may be gone.
        let _ = self.ask(&Request::CloseSession);
    }
}
