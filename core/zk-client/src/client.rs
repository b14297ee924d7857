//! The session machine.

use std::collections::VecDeque;
use std::fmt::Write as _;

use base::{Monotonic, Random, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};
use zk_proto::connect::{
    AUTH_XID, ConnectRequest, ConnectResponse, NOTIFICATION_XID, PING_XID, ReplyHeader, RequestHeader, SET_WATCHES_XID,
};
use zk_proto::requests::{AuthRequest, Request};
use zk_proto::responses::Response;
use zk_proto::{ErrorCode, EventType, Jute, OpCode, WatcherEvent};

use crate::connect_string::{ConnectString, Host};
use crate::frames::{BadLength, Frames};
use crate::login::{Credentials, Login};
use crate::paths;
use crate::watches::{WatchChange, Watches};

/// A ping goes out at the latest after this long without anything sent, however long the session timeout.
const PING_INTERVAL_MS_MAX: u64 = 10_000;
const PASSWORD_LEN: usize = 16;

/// What a session is resumed with. Whoever knows it owns the session.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// The session's id, never 0.
    pub id: i64,
    /// Its password.
    pub password: Bytes,
}

impl SessionKey {
    /// Both in hexadecimal, with a blank between them.
    pub fn to_text(&self) -> String {
        let mut text = format!("{:x} ", self.id);
        for byte in &self.password {
            write!(text, "{byte:02x}").expect("a String takes all text");
        }
        text
    }

    /// What [`SessionKey::to_text`] has made; `None` if it has not.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, password) = text.split_once(' ')?;
        // Ids of servers from the 128th on have the highest bit.
        let id = u64::from_str_radix(id, 16).ok()?.cast_signed();
        let digits = password.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        Some(Self { id, password: Bytes::from(digits.collect::<Option<Vec<u8>>>()?) })
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SessionKey(0x{:x})", self.id)
    }
}

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Servers and chroot.
    pub connect: ConnectString,
    /// The session timeout asked for; the server may grant another.
    pub session_timeout_ms: u32,
    /// Whether a server that has lost its quorum will do for reading.
    pub read_only: bool,
    /// `jute.maxbuffer`: the longest reply that is taken, in bytes. 3.6.3 has 1 MiB − 1, Kafka sets 4 MiB.
    pub frame_length_max: usize,
    /// The longest wait between two attempts to connect; the first is short.
    pub reconnect_delay_ms_max: u64,
    /// A session to take over instead of making one.
    pub resume: Option<SessionKey>,
    /// As whom to log in on each connection, before anything else.
    pub login: Option<Credentials>,
}

impl ClientConfig {
    /// The original's defaults.
    pub fn new(connect: ConnectString, session_timeout_ms: u32) -> Self {
        Self {
            connect,
            session_timeout_ms,
            read_only: false,
            frame_length_max: 0xf_ffff,
            reconnect_delay_ms_max: 1000,
            resume: None,
            login: None,
        }
    }
}

/// Names a submitted request in its reply. Rises by one with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Where the session stands, as the original's `KeeperState` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No connection; one is tried for.
    Disconnected,
    /// In session with a server.
    Connected,
    /// In session with a server that has no quorum.
    ConnectedReadOnly,
    /// Still in session, and logged in.
    SaslAuthenticated,
    /// The server has forgotten the session: its ephemeral nodes are gone. Final.
    Expired,
    /// The server refused credentials. Final.
    AuthFailed,
    /// Closed by [`Client::close`]. Final.
    Closed,
}

/// Why a request has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server's answer is an error (`ConnectionLoss`, `SessionExpired` and `AuthFailed` also come from here).
    #[error("{0}")]
    Code(ErrorCode),
    /// A code that 3.6.3 does not know.
    #[error("unknown error code {0}")]
    Unknown(i32),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The newest zxid that the server had applied.
    pub zxid: i64,
    /// The body; paths are the client's.
    pub response: Response,
}

/// Something for the client's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session has changed its state.
    State(State),
    /// A request is answered or failed, in the order of submission.
    Reply(RequestId, Result<Reply, Failure>),
    /// A watch has fired; the path is the client's.
    Watch(EventType, Str),
}

/// What the client wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Resolve the name and dial, then report [`Client::connected`] or [`Client::disconnected`].
    Connect(Host),
    /// Send behind all earlier bytes.
    Send(Bytes),
    /// Close the socket, or stop dialling. Nothing need be reported.
    Disconnect,
    /// Hand this to the user.
    Event(Event),
}

/// One session. See the crate's documentation.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    random: Random,
    hosts: Vec<Host>,
    next_host: usize,
    /// Attempts since the last session was established.
    attempts: u32,
    link: Link,
    session: Option<SessionKey>,
    /// As granted, or as asked for before.
    timeout_ms: u64,
    last_zxid: i64,
    next_xid: i32,
    next_id: u64,
    /// Submitted and not sent.
    waiting: VecDeque<(RequestId, Request)>,
    /// Sent and not answered.
    sent: VecDeque<Sent>,
    watches: Watches,
    auth: Vec<AuthRequest>,
    /// Under way on this connection.
    login: Option<Login>,
    closing: bool,
    /// What requests get when the session is over.
    refusal: ErrorCode,
    last_sent: Monotonic,
    last_heard: Monotonic,
    frames: Frames,
    out: BytesMut,
    effects: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// The next attempt is due then.
    Down(Monotonic),
    /// Dialling since `last_heard`.
    Dialling,
    /// The connect request is sent.
    Greeting,
    Up,
    /// The session is over.
    Over,
}

#[derive(Debug)]
struct Sent {
    id: RequestId,
    xid: i32,
    op: OpCode,
    change: Option<WatchChange>,
}

impl Client {
    /// A client that will connect at once: take its effects.
    pub fn new(config: ClientConfig, mut random: Random, now: Monotonic) -> Self {
        let mut hosts = config.connect.hosts.clone();
        for left in (2..=hosts.len()).rev() {
            let chosen = usize::try_from(random.below(left as u64)).unwrap_or(0);
            hosts.swap(left - 1, chosen);
        }
        let mut client = Self {
            session: config.resume.clone(),
            timeout_ms: u64::from(config.session_timeout_ms),
            config,
            random,
            hosts,
            next_host: 0,
            attempts: 0,
            link: Link::Down(now),
            last_zxid: 0,
            next_xid: 1,
            next_id: 0,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            watches: Watches::default(),
            auth: Vec::new(),
            login: None,
            closing: false,
            refusal: ErrorCode::SessionExpired,
            last_sent: now,
            last_heard: now,
            frames: Frames::default(),
            out: BytesMut::new(),
            effects: Vec::new(),
        };
        client.tick(now);
        client
    }

    /// The session's key, once the server has given it, until the server has said that the session is over.
    pub fn session(&self) -> Option<&SessionKey> {
        self.session.as_ref()
    }

    /// The session timeout in milliseconds: as granted, before that as asked for.
    pub fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    /// The newest zxid seen.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// When a server was last heard, or dialled.
    pub fn last_heard(&self) -> Monotonic {
        self.last_heard
    }

    /// Whether requests are answered now.
    pub fn is_connected(&self) -> bool {
        self.link == Link::Up
    }

    /// Whether the session is over for good.
    pub fn is_over(&self) -> bool {
        self.link == Link::Over
    }

    /// Requests without an answer yet.
    pub fn outstanding(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    /// Sends a request (see [`crate::ops`]), at once or when connected. Its reply comes as [`Event::Reply`]. Watches,
    /// credentials, pings and the end of the session are the client's own: use its methods.
    pub fn submit(&mut self, request: Request, now: Monotonic) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        if self.link == Link::Over || self.closing {
            self.fail(id, self.refusal);
        } else if self.takes_requests() {
            self.send(id, request, now);
        } else {
            self.waiting.push_back((id, request));
        }
        id
    }

    /// Adds credentials, now and on every later connection.
    pub fn add_auth(&mut self, scheme: impl Into<Str>, auth: Bytes, now: Monotonic) {
        let request = AuthRequest { auth_type: 0, scheme: scheme.into(), auth };
        if self.takes_requests() {
            self.put(AUTH_XID, &Request::Auth(request.clone()), now);
        }
        self.auth.push(request);
    }

    /// Whether requests may be sent: with a login, when that is done.
    fn takes_requests(&self) -> bool {
        match self.link {
            Link::Greeting => self.config.login.is_none(),
            Link::Up => self.login.is_none(),
            Link::Down(_) | Link::Dialling | Link::Over => false,
        }
    }

    /// Ends the session: its ephemeral nodes go at once. Without a connection the client just ends, and the server waits
    /// for the timeout.
    pub fn close(&mut self, now: Monotonic) {
        match self.link {
            Link::Up | Link::Greeting if self.closing => {}
            Link::Over => {}
            Link::Up | Link::Greeting => {
                self.closing = true;
                let xid = self.take_xid();
                self.put(xid, &Request::CloseSession, now);
            }
            Link::Down(_) | Link::Dialling => self.end(State::Closed, ErrorCode::ConnectionLoss),
        }
    }

    /// The socket asked for is open.
    pub fn connected(&mut self, now: Monotonic) {
        if self.link != Link::Dialling {
            return;
        }
        self.link = Link::Greeting;
        self.last_heard = now;
        let session = self.session.clone();
        let greeting = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid,
            timeout_ms: i32::try_from(self.config.session_timeout_ms).unwrap_or(i32::MAX),
            session_id: session.as_ref().map_or(0, |session| session.id),
            password: session.map_or_else(|| Bytes::from_static(&[0; PASSWORD_LEN]), |session| session.password),
            read_only: Some(self.config.read_only),
        };
        self.put_frame(now, |out| greeting.encode(out));
        if self.config.login.is_none() {
            self.go_on(now);
        }
    }

    /// Sends what waited for a connection.
    fn go_on(&mut self, now: Monotonic) {
        for request in self.auth.clone() {
            self.put(AUTH_XID, &Request::Auth(request), now);
        }
        for request in self.watches.requests(self.last_zxid) {
            self.put(SET_WATCHES_XID, &request, now);
        }
        for (id, request) in std::mem::take(&mut self.waiting) {
            self.send(id, request, now);
        }
    }

    /// The socket is closed, or could not be opened.
    pub fn disconnected(&mut self, now: Monotonic) {
        match self.link {
            Link::Down(_) | Link::Over => {}
            Link::Dialling | Link::Greeting | Link::Up => self.lost(now),
        }
    }

    /// Bytes of the socket, cut anywhere.
    pub fn receive(&mut self, bytes: &[u8], now: Monotonic) {
        if !matches!(self.link, Link::Greeting | Link::Up) {
            return;
        }
        self.last_heard = now;
        self.frames.push(bytes);
        while matches!(self.link, Link::Greeting | Link::Up) {
            let taken = match self.frames.pop(self.config.frame_length_max) {
                Ok(None) => return,
                Ok(Some(frame)) if self.link == Link::Greeting => self.greeted(&frame, now),
                Ok(Some(frame)) => self.answered(&frame, now),
                Err(BadLength(_)) => Err(Confused),
            };
            if taken.is_err() {
                self.effects.push(Effect::Disconnect);
                self.lost(now);
            }
        }
    }

    /// Time has passed: [`Client::deadline`] is reached.
    pub fn tick(&mut self, now: Monotonic) {
        match self.link {
            Link::Down(due) if due <= now => self.dial(now),
            Link::Dialling | Link::Greeting | Link::Up if self.silence_ends() <= now => {
                self.effects.push(Effect::Disconnect);
                self.lost(now);
            }
            Link::Up if self.ping_due() <= now => self.put(PING_XID, &Request::Ping, now),
            _ => {}
        }
    }

    /// When [`Client::tick`] is wanted next; `None` when the session is over.
    pub fn deadline(&self) -> Option<Monotonic> {
        match self.link {
            Link::Down(due) => Some(due),
            Link::Dialling | Link::Greeting => Some(self.silence_ends()),
            Link::Up => Some(self.silence_ends().min(self.ping_due())),
            Link::Over => None,
        }
    }

    /// What is to be done since the last time, in order; all bytes to send are in one piece at the end.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        if !self.out.is_empty() {
            self.effects.push(Effect::Send(self.out.split().freeze()));
        }
        std::mem::take(&mut self.effects)
    }

    /// When the server has been silent for too long: two thirds of the timeout in session, a host's share of it before.
    fn silence_ends(&self) -> Monotonic {
        let patience_ms = match self.link {
            Link::Up => self.timeout_ms * 2 / 3,
            _ => self.timeout_ms / self.hosts.len().max(1) as u64,
        };
        self.last_heard.plus_ms(patience_ms.max(1))
    }

    fn ping_due(&self) -> Monotonic {
        self.last_sent.plus_ms((self.timeout_ms / 3).clamp(1, PING_INTERVAL_MS_MAX))
    }

    fn dial(&mut self, now: Monotonic) {
        let Some(host) = self.hosts.get(self.next_host % self.hosts.len().max(1)).cloned() else { return };
        self.next_host += 1;
        self.attempts += 1;
        self.link = Link::Dialling;
        self.last_heard = now;
        self.effects.push(Effect::Connect(host));
    }

    /// The connection is gone: what was sent is lost, and another is tried soon.
    fn lost(&mut self, now: Monotonic) {
        let was_up = self.link == Link::Up;
        self.login = None;
        self.out.clear();
        self.frames.clear();
        if self.closing {
            return self.end(State::Closed, ErrorCode::ConnectionLoss);
        }
        // From 50 ms to the most, doubled at each attempt, and some of it left to chance.
        let delay_ms = (50 << self.attempts.min(16)).min(self.config.reconnect_delay_ms_max);
        let delay_ms = delay_ms / 2 + self.random.below(delay_ms / 2 + 1);
        self.link = Link::Down(now.plus_ms(delay_ms));
        for sent in std::mem::take(&mut self.sent) {
            self.fail(sent.id, ErrorCode::ConnectionLoss);
        }
        if was_up {
            self.effects.push(Effect::Event(Event::State(State::Disconnected)));
        }
    }

    /// The session is over: nothing is sent or tried any more. As in the original, an end that was not asked for is told ahead of the requests
    /// that fail with it.
    fn end(&mut self, state: State, code: ErrorCode) {
        if self.link != Link::Over {
            self.effects.push(Effect::Disconnect);
        }
        self.link = Link::Over;
        self.out.clear();
        self.frames.clear();
        let told = Effect::Event(Event::State(state));
        if state != State::Closed {
            self.effects.push(told.clone());
        }
        for sent in std::mem::take(&mut self.sent) {
            self.fail(sent.id, code);
        }
        for (id, _) in std::mem::take(&mut self.waiting) {
            self.fail(id, code);
        }
        if state == State::Closed {
            self.effects.push(told);
        }
    }

    fn fail(&mut self, id: RequestId, code: ErrorCode) {
        self.effects.push(Effect::Event(Event::Reply(id, Err(Failure::Code(code)))));
    }

    fn greeted(&mut self, frame: &Bytes, now: Monotonic) -> Result<(), Confused> {
        let response = ConnectResponse::decode(&mut Reader::new(frame)).map_err(|_| Confused)?;
        let Ok(timeout_ms @ 1..) = u64::try_from(response.timeout_ms) else {
            self.session = None;
            self.end(State::Expired, ErrorCode::SessionExpired);
            return Ok(());
        };
        self.timeout_ms = timeout_ms;
        self.attempts = 0;
        self.session =
            Some(SessionKey { id: response.session_id, password: Bytes::copy_from_slice(&response.password) });
        self.link = Link::Up;
        let read_only = response.read_only == Some(true);
        let state = if read_only { State::ConnectedReadOnly } else { State::Connected };
        self.effects.push(Effect::Event(Event::State(state)));
        if let Some(credentials) = self.config.login.clone() {
            let (login, request) = Login::begin(&credentials, self.take_xid());
            self.put(login.xid, &request, now);
            self.login = Some(login);
        }
        Ok(())
    }

    /// The answer to a step of the login. A login that fails is the end, as in the original.
    fn logging_in(&mut self, mut login: Login, header: ReplyHeader, reader: &mut Reader<'_>, now: Monotonic) {
        let token = match Response::decode(OpCode::Sasl, reader) {
            Ok(Response::Sasl(answer)) if header.err == 0 => answer.token,
            _ => return self.login_failed(),
        };
        match login.step(&token, &self.random.bytes_16()) {
            Ok(Some(request)) => {
                login.xid = self.take_xid();
                self.put(login.xid, &request, now);
                self.login = Some(login);
            }
            Ok(None) => {
                self.effects.push(Effect::Event(Event::State(State::SaslAuthenticated)));
                self.go_on(now);
            }
            Err(_) => self.login_failed(),
        }
    }

    fn login_failed(&mut self) {
        self.refusal = ErrorCode::AuthFailed;
        self.end(State::AuthFailed, ErrorCode::AuthFailed);
    }

    fn answered(&mut self, frame: &Bytes, now: Monotonic) -> Result<(), Confused> {
        let mut reader = Reader::new(frame);
        let header = ReplyHeader::decode(&mut reader).map_err(|_| Confused)?;
        if let Some(login) = self.login.take_if(|login| login.xid == header.xid) {
            self.logging_in(login, header, &mut reader, now);
            return Ok(());
        }
        match header.xid {
            PING_XID | SET_WATCHES_XID => Ok(()),
            AUTH_XID => {
                if header.err == ErrorCode::AuthFailed.code() {
                    self.login_failed();
                }
                Ok(())
            }
            NOTIFICATION_XID => self.notified(&mut reader),
            _ => self.replied(header, &mut reader),
        }
    }

    fn notified(&mut self, reader: &mut Reader<'_>) -> Result<(), Confused> {
        let event = WatcherEvent::decode(reader).map_err(|_| Confused)?;
        let event_type = EventType::from_code(event.event).ok_or(Confused)?;
        self.watches.fired(event_type, &event.path);
        let path = paths::to_client(&self.config.connect.chroot, &Str::copied(&event.path));
        self.effects.push(Effect::Event(Event::Watch(event_type, path)));
        Ok(())
    }

    fn replied(&mut self, header: ReplyHeader, reader: &mut Reader<'_>) -> Result<(), Confused> {
        if header.zxid > 0 {
            self.last_zxid = header.zxid;
        }
        let Some(sent) = self.sent.pop_front() else {
            // The answer to the end of the session has nothing before it.
            if !self.closing {
                return Err(Confused);
            }
            self.session = None;
            self.end(State::Closed, ErrorCode::ConnectionLoss);
            return Ok(());
        };
        if sent.xid != header.xid {
            self.sent.push_front(sent);
            return Err(Confused);
        }
        let result = match header.err {
            0 => match Response::decode(sent.op, reader) {
                Ok(mut response) => {
                    paths::response_to_client(&self.config.connect.chroot, &mut response);
                    Ok(Reply { zxid: header.zxid, response })
                }
                Err(_) => {
                    self.sent.push_front(sent);
                    return Err(Confused);
                }
            },
            err => Err(ErrorCode::from_code(err).map_or(Failure::Unknown(err), Failure::Code)),
        };
        if let Some(change) = sent.change {
            self.watches.changed(change, header.err);
        }
        self.effects.push(Effect::Event(Event::Reply(sent.id, result)));
        Ok(())
    }

    fn send(&mut self, id: RequestId, mut request: Request, now: Monotonic) {
        paths::request_to_server(&self.config.connect.chroot, &mut request);
        let xid = self.take_xid();
        self.put(xid, &request, now);
        self.sent.push_back(Sent { id, xid, op: request.op(), change: WatchChange::of(&request) });
    }

    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid = xid.checked_add(1).unwrap_or(1);
        xid
    }

    fn put(&mut self, xid: i32, request: &Request, now: Monotonic) {
        self.put_frame(now, |out| {
            RequestHeader { xid, op: request.op().code() }.encode(out);
            request.encode(out);
        });
    }

    fn put_frame(&mut self, now: Monotonic, encode: impl FnOnce(&mut BytesMut)) {
        let start = self.out.len();
        self.out.put_i32(0);
        encode(&mut self.out);
        let length = i32::try_from(self.out.len() - start - 4).expect("a request of 2 GiB cannot be built");
        if let Some(field) = self.out.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        self.last_sent = now;
    }
}

/// The server has said what no server says: the connection is of no more use.
struct Confused;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_key_is_read_as_it_was_written() {
        for id in [1, 0x0100_0000_0000_0001, -0x37ff_ffff_ffff_fff0] {
            let key = SessionKey { id, password: Bytes::from_static(&[0, 7, 255]) };
            assert_eq!(SessionKey::parse(&key.to_text()), Some(key));
        }
        assert_eq!(SessionKey::parse("g 00"), None);
    }
}
