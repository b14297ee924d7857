//! One server's side of a history: connections that send bytes, and what comes back, made comparable.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use zk_proto::connect::ConnectRequest;
use zk_proto::requests::{PathRequest, ReadRequest};
use zk_proto::{Jute, OpCode};

use super::generator::{Sent, Step, fixed_xid, frame};

/// What one side has seen in a step, made comparable.
pub(crate) type Seen = Vec<String>;

const NOTIFICATION_XID: i32 = -1;
const PING_XID: i32 = -2;
/// Errors (`Unimplemented`, `AuthFailed`) behind which a connection ends, as they are seen.
const REFUSALS: [&str; 2] = ["\\xff\\xff\\xff\\xfa", "\\xff\\xff\\xff\\x8d"];
/// Of a stat.
const STAT_LENGTH: usize = 68;

struct Client {
    stream: TcpStream,
    id: i64,
    password: Bytes,
    xid: i32,
}

pub(crate) struct Side {
    port: u16,
    clients: Vec<Client>,
    /// All session ids so far, to be told by their number.
    ids: Vec<i64>,
    started_ms: i64,
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// The number that the bytes begin with.
fn int(mut bytes: &[u8]) -> i32 {
    bytes.get_i32()
}

/// A frame without its length; or why there is none, as a word.
fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>, &'static str> {
    let why = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => "silence",
        _ => "end",
    };
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(why)?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes).map_err(why)?;
    Ok(bytes)
}

fn connect(port: u16, timeout_ms: i32, session_id: i64, password: Bytes) -> (TcpStream, Result<Vec<u8>, &'static str>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms,
        session_id,
        password,
        read_only: Some(false),
    };
    let body = request.to_bytes();
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes).unwrap();
    let answer = read_frame(&mut stream);
    (stream, answer)
}

/// Protocol, timeout and flag of a connect response, with the session and its password.
fn parts(answer: &[u8]) -> (String, i64, Bytes) {
    let mut rest = answer;
    let (protocol, timeout_ms, id) = (rest.get_i32(), rest.get_i32(), rest.get_i64());
    let password = rest.split_at(4 + int(rest) as usize);
    let told = format!("protocol {protocol} timeout {timeout_ms} session {} flag {:?}", id != 0, password.1);
    (told, id, Bytes::copy_from_slice(&password.0[4..]))
}

impl Side {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, clients: Vec::new(), ids: Vec::new(), started_ms: now_ms() }
    }

    /// Adds a session.
    pub(crate) fn open(&mut self, timeout_ms: i32) -> Seen {
        let (client, told) = self.new_session(timeout_ms);
        self.clients.push(client);
        vec![told]
    }

    fn new_session(&mut self, timeout_ms: i32) -> (Client, String) {
        let (stream, answer) = connect(self.port, timeout_ms, 0, Bytes::from_static(&[0; 16]));
        let (told, id, password) = parts(&answer.expect("a new session is granted"));
        self.ids.push(id);
        (Client { stream, id, password, xid: 0 }, told)
    }

    /// Does what the step says and gathers all that is heard because of it, on all connections.
    pub(crate) fn run(&mut self, session: usize, step: &Step) -> Seen {
        let mut seen = Vec::new();
        match step {
            Step::Requests(requests) => self.send(session, requests, &mut seen),
            Step::Last(request) => {
                self.send(session, std::slice::from_ref(request), &mut seen);
                // The original may answer a ping between its refusal and the end.
                while seen.last().is_some_and(|last| REFUSALS.iter().any(|refusal| last.ends_with(refusal))) {
                    seen.extend(read_frame(&mut self.clients[session].stream).err().map(str::to_owned));
                }
            }
            Step::Junk(bytes) => {
                self.clients[session].stream.write_all(bytes).unwrap();
            }
            Step::Reconnect(right) => {
                self.reconnect(session, *right, &mut seen);
                if !right {
                    self.reconnect(session, true, &mut seen);
                }
            }
            Step::Replace(timeout_ms) => {
                let close = Sent { label: String::new(), op: OpCode::CloseSession.code(), body: Bytes::new() };
                self.send(session, std::slice::from_ref(&close), &mut seen);
                self.flush_events(Some(session), &mut seen);
                // The nodes of a session go in the order of a hash table.
                seen.sort();
                let (client, told) = self.new_session(*timeout_ms);
                self.clients[session] = client;
                seen.push(told);
                return seen;
            }
        }
        self.flush_events(None, &mut seen);
        seen
    }

    /// Sends requests and hears their replies, or the end of the connection.
    fn send(&mut self, session: usize, requests: &[Sent], seen: &mut Seen) {
        let client = &mut self.clients[session];
        let mut bytes = Vec::new();
        for request in requests {
            client.xid += 1;
            bytes.extend_from_slice(&frame(fixed_xid(request.op).unwrap_or(client.xid), request.op, &request.body));
        }
        client.stream.write_all(&bytes).unwrap();
        let mut waited_for = requests.iter();
        while let Some(request) = waited_for.as_slice().first() {
            let Ok(bytes) = read_frame(&mut self.clients[session].stream) else { return };
            let is_event = int(&bytes) == NOTIFICATION_XID;
            let op = (!is_event).then_some(request.op);
            if !is_event {
                waited_for.next();
            }
            seen.push(format!("{session}: {}", self.comparable(op, bytes)));
        }
    }

    /// Pings all connections: what they were to hear comes before the answer. One that has ended is taken up again.
    fn flush_events(&mut self, but: Option<usize>, seen: &mut Seen) {
        for session in (0..self.clients.len()).filter(|session| Some(*session) != but) {
            // Fails if it has ended, which is heard below.
            let _ = self.clients[session].stream.write_all(&frame(PING_XID, OpCode::Ping.code(), &[]));
            loop {
                let bytes = match read_frame(&mut self.clients[session].stream) {
                    Ok(bytes) => bytes,
                    Err(why) => {
                        seen.push(format!("{session}: {why}"));
                        self.reconnect(session, true, seen);
                        break;
                    }
                };
                let is_answer = int(&bytes) == PING_XID;
                seen.push(format!("{session}: {}", self.comparable(None, bytes)));
                if is_answer {
                    break;
                }
            }
        }
    }

    fn reconnect(&mut self, session: usize, right: bool, seen: &mut Seen) {
        let Client { id, ref password, .. } = self.clients[session];
        let password = if right { password.clone() } else { Bytes::from_static(&[1; 16]) };
        let (stream, answer) = connect(self.port, 30_000, id, password);
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return seen.push(format!("{session}: {why} instead of an answer")),
        };
        let (told, granted, _) = parts(&answer);
        seen.push(format!("{session}: {told}, the same: {}", granted == id));
        if right {
            self.clients[session].stream = stream;
        }
    }

    /// The bytes as a text, with ids by their number, times by a word, and children in order.
    fn comparable(&self, op: Option<i32>, mut bytes: Vec<u8>) -> String {
        if let Some(op) = op {
            sort_names(op, &mut bytes);
            if op == OpCode::CheckWatches.code() {
                hide_watches(&mut bytes);
            }
        }
        let id = |value| self.ids.iter().position(|id| *id == value).map(|number| format!("<ID{number:>4}>"));
        let times = self.started_ms - 60_000..=now_ms() + 60_000;
        mask(&mut bytes, id);
        mask(&mut bytes, |value| times.contains(&value).then(|| "<--time>".to_owned()));
        bytes.escape_ascii().to_string()
    }

    /// The whole tree: data, stats and ACLs.
    pub(crate) fn tree(&mut self) -> Seen {
        let mut seen = Vec::new();
        let auth = super::generator::super_user();
        self.send(0, &[auth], &mut seen);
        let mut paths = vec!["/".to_owned()];
        while let Some(path) = paths.pop() {
            let sent = |op: OpCode, body: Bytes| Sent { label: String::new(), op: op.code(), body };
            let read = ReadRequest { path: path.as_str().into(), watch: false }.to_bytes();
            let whole = PathRequest { path: path.as_str().into() }.to_bytes();
            self.send(0, &[sent(OpCode::GetData, read.clone()), sent(OpCode::GetAcl, whole)], &mut seen);
            for name in self.children(&read) {
                paths.push(format!("{}/{name}", path.trim_end_matches('/')));
            }
        }
        seen
    }

    fn children(&mut self, body: &[u8]) -> Vec<String> {
        let client = &mut self.clients[0];
        client.xid += 1;
        client.stream.write_all(&frame(client.xid, OpCode::GetChildren.code(), body)).unwrap();
        let bytes = loop {
            let bytes = read_frame(&mut client.stream).unwrap();
            if int(&bytes) != NOTIFICATION_XID {
                break bytes;
            }
        };
        let mut names = Vec::new();
        let mut rest = &bytes[REPLY_HEADER..];
        for _ in 0..rest.get_i32() {
            let length = rest.get_i32() as usize;
            names.push(String::from_utf8(rest[..length].to_vec()).unwrap());
            rest.advance(length);
        }
        names.sort();
        names
    }
}

/// Puts a text of eight characters into the place of numbers.
fn mask(bytes: &mut [u8], text: impl Fn(i64) -> Option<String>) {
    let mut at = 0;
    while let Some(field) = bytes.get_mut(at..at + 8) {
        let value = i64::from_be_bytes((&*field).try_into().unwrap());
        if let Some(text) = text(value) {
            field.copy_from_slice(text.as_bytes());
            at += 7;
        }
        at += 1;
    }
}

const REPLY_HEADER: usize = 16;

/// The original asks whether anybody has the watch (mended later), ours whether the client has.
fn hide_watches(reply: &mut [u8]) {
    if let Some(error) = reply.get_mut(12..REPLY_HEADER) {
        error.fill(0);
    }
}

/// Sorts the lists of names in a reply.
fn sort_names(op: i32, reply: &mut [u8]) {
    let error = reply.get(12..REPLY_HEADER).map(int);
    let Some(body) = reply.get_mut(REPLY_HEADER..).filter(|_| error == Some(0)) else { return };
    match OpCode::from_code(op) {
        Some(OpCode::GetChildren | OpCode::GetChildren2 | OpCode::GetEphemerals) => {
            sort_list(body);
        }
        Some(OpCode::MultiRead) => {
            let mut at = 0;
            // Each part: op, whether it is the end, error.
            while body.get(at + 4) == Some(&0) {
                let op = int(&body[at..]);
                at += 9;
                at += match OpCode::from_code(op) {
                    Some(OpCode::GetChildren) => sort_list(&mut body[at..]),
                    Some(OpCode::GetData) => 4 + int(&body[at..]).max(0) as usize + STAT_LENGTH,
                    _ => 4,
                };
            }
        }
        _ => {}
    }
}

/// Sorts a list of strings in place; its length in bytes.
fn sort_list(list: &mut [u8]) -> usize {
    let mut rest = &*list;
    let mut names = Vec::new();
    for _ in 0..rest.get_i32() {
        let (name, behind) = rest.split_at(4 + int(rest) as usize);
        names.push(name.to_vec());
        rest = behind;
    }
    names.sort();
    let sorted = names.concat();
    list[4..4 + sorted.len()].copy_from_slice(&sorted);
    4 + sorted.len()
}
