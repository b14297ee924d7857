//! A client in a closed loop: a burst of requests, their answers, a pause. It keeps its session from server to server, and
//! tells the onlooker what it asked for and what it heard.

pub(crate) mod guarded;

use std::collections::{BTreeMap, VecDeque};

use base::{Random, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};
use zk_proto::connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use zk_proto::multi::{Multi, Op, OpResult};
use zk_proto::requests::SetWatchesRequest;
use zk_proto::requests::{
    CreateRequest, DeleteRequest, PathRequest, ReadRequest, ReconfigRequest, Request, SetDataRequest,
};
use zk_proto::responses::Response;
use zk_proto::{Acl, ErrorCode, Jute, OpCode, WatcherEvent};

use crate::invariants::{Onlooker, Verdict, linearizable::Seen, rights::Look};
use crate::lists::Shape;
use crate::settings::{Draw, SESSION_TIMEOUT_MS, ServerId};

/// Registers that all clients write and read.
pub(crate) const KEYS: [&str; 4] = ["/r0", "/r1", "/r2", "/r3"];
/// Two nodes that are only written together.
pub(crate) const PAIR: [&str; 2] = ["/p0", "/p1"];
pub(crate) const EPHEMERALS: &str = "/e";
pub(crate) const SEQUENCE: &str = "/q";

const MS: u64 = 1000;
/// An answer that has not come by then will not come.
const PATIENCE_US: u64 = SESSION_TIMEOUT_MS as u64 * MS * 2 / 3;
const PING_US: u64 = SESSION_TIMEOUT_MS as u64 * MS / 3;
const DIAL_US: u64 = 300 * MS;
/// How long it stays with a server that can do no more than read, at most.
const READ_ONLY_US: u64 = 600 * MS;
const WATCHES_XID: i32 = -8;
const PING_XID: i32 = -2;
const AUTH_XID: i32 = -4;

/// What a client wants of the world.
#[derive(Debug)]
pub(crate) enum Wish {
    Dial(ServerId),
    Send(Bytes),
    Close,
}

impl std::fmt::Display for Wish {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dial(server) => write!(formatter, "dials server {server}"),
            Self::Send(bytes) => {
                let xid = bytes.get(4..8).and_then(|xid| xid.try_into().ok()).map_or(0, i32::from_be_bytes);
                write!(formatter, "sends {} bytes, request {xid}", bytes.len())
            }
            Self::Close => formatter.write_str("closes"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Alone { until_us: u64 },
    Dialling { until_us: u64 },
    Greeting,
    Connected,
}

/// A request under way.
#[derive(Debug)]
struct Asked {
    xid: i32,
    request: Request,
    /// The newest acknowledged transaction of all clients as it was asked.
    acknowledged: i64,
    /// Who the client was.
    users: Vec<guarded::User>,
}

pub(crate) struct Client {
    /// Its number among the clients.
    pub(crate) index: u64,
    /// How many servers there are, and what lists of them are like, if it changes those.
    reconfigured: Option<(ServerId, Shape)>,
    pub(crate) session: i64,
    password: Bytes,
    stage: Stage,
    /// Counts attempts to connect: what comes of an earlier one is not for us.
    pub(crate) attempt: u64,
    arrived: BytesMut,
    xid: i32,
    last_zxid: i64,
    asked: VecDeque<Asked>,
    heard_us: u64,
    sent_us: u64,
    next_burst_us: u64,
    /// Counts what it has written, so that no two values are the same.
    written: u64,
    /// Versions of the registers as it last saw them.
    known: BTreeMap<usize, i32>,
    /// Ephemeral nodes that are its session's for all it knows.
    own: Vec<Str>,
    /// Writes of registers that were acknowledged.
    pub(crate) acknowledged: u64,
    /// It only keeps its session alive from now on.
    pub(crate) rests: bool,
    is_closing: bool,
    has_prepared: bool,
    /// Its sessions begin as their server's own.
    local_sessions: bool,
    /// All servers know its session.
    is_global: bool,
    /// It is content to read, where it can't do more.
    may_only_read: bool,
    /// The connection is one that only reads, up to then.
    reads_until_us: Option<u64>,
    /// Its session began at a server without a leader, and nobody else knows of it.
    is_of_reader: bool,
    /// There are guarded nodes.
    guards: bool,
    /// Who it is on this connection.
    users: Vec<guarded::User>,
}

impl Client {
    /// A client of so many `servers`.
    pub(crate) fn new(index: u64, servers: ServerId, draw: &Draw) -> Self {
        Self {
            index,
            reconfigured: draw.reconfigures.then_some((servers, draw.shape)),
            session: 0,
            password: Bytes::from_static(&[0; 16]),
            stage: Stage::Alone { until_us: 0 },
            attempt: 0,
            arrived: BytesMut::new(),
            xid: 0,
            last_zxid: 0,
            asked: VecDeque::new(),
            heard_us: 0,
            sent_us: 0,
            next_burst_us: 0,
            written: 0,
            known: BTreeMap::new(),
            own: Vec::new(),
            acknowledged: 0,
            rests: false,
            is_closing: false,
            has_prepared: false,
            local_sessions: draw.local_sessions,
            is_global: false,
            may_only_read: draw.read_only && index.is_multiple_of(2),
            reads_until_us: None,
            is_of_reader: false,
            guards: draw.guards,
            users: Vec::new(),
        }
    }

    /// Whether it has its session and waits for nothing.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.stage == Stage::Connected && self.asked.is_empty()
    }

    /// For whoever looks for what went wrong.
    pub(crate) fn describe(&self) -> String {
        let asked: Vec<String> =
            self.asked.iter().map(|asked| format!("{} {:?}", asked.xid, asked.request.op())).collect();
        format!("client {} with session {:x} is {:?} and waits for {asked:?}", self.index, self.session, self.stage)
    }

    /// When it does something by itself.
    pub(crate) fn deadline_us(&self) -> u64 {
        match self.stage {
            Stage::Alone { until_us } | Stage::Dialling { until_us } => until_us,
            Stage::Greeting => self.heard_us + PATIENCE_US,
            Stage::Connected => {
                let wanted = if self.asked.is_empty() && !self.rests { self.next_burst_us } else { u64::MAX };
                let leaves = self.reads_until_us.unwrap_or(u64::MAX);
                wanted.min(leaves).min(self.heard_us + PATIENCE_US).min(self.sent_us + PING_US)
            }
        }
    }

    /// Time has passed.
    pub(crate) fn tick(
        &mut self,
        now_us: u64,
        servers: ServerId,
        random: &mut Random,
        onlooker: &mut Onlooker,
    ) -> Vec<Wish> {
        if now_us < self.deadline_us() {
            return Vec::new();
        }
        match self.stage {
            Stage::Alone { .. } => {
                self.attempt += 1;
                self.stage = Stage::Dialling { until_us: now_us + DIAL_US };
                vec![Wish::Dial(1 + random.below(servers))]
            }
            Stage::Dialling { .. } | Stage::Greeting => self.leave(now_us, random, onlooker),
            Stage::Connected if self.heard_us + PATIENCE_US <= now_us => self.leave(now_us, random, onlooker),
            // It looks for a server that can do more.
            Stage::Connected if self.reads_until_us.is_some_and(|until_us| until_us <= now_us) => {
                self.leave(now_us, random, onlooker)
            }
            Stage::Connected if self.asked.is_empty() && !self.rests && self.next_burst_us <= now_us => {
                self.burst(now_us, random, onlooker)
            }
            Stage::Connected => {
                self.sent_us = now_us;
                vec![Wish::Send(framed(PING_XID, &Request::Ping))]
            }
        }
    }

    fn leave(&mut self, now_us: u64, random: &mut Random, onlooker: &mut Onlooker) -> Vec<Wish> {
        self.disconnected(now_us, random, onlooker);
        vec![Wish::Close]
    }

    /// The connection is gone: what was asked for may or may not have happened.
    pub(crate) fn disconnected(&mut self, now_us: u64, random: &mut Random, onlooker: &mut Onlooker) {
        self.stage = Stage::Alone { until_us: now_us + 2 * MS + random.below(60 * MS) };
        self.arrived.clear();
        for asked in std::mem::take(&mut self.asked) {
            if let Request::Create(create) = &asked.request
                && create.flags == 1
            {
                onlooker.ephemerals.unknown(&create.path);
            }
            if let Request::Delete(delete) = &asked.request {
                onlooker.ephemerals.unknown(&delete.path);
                self.own.retain(|own| *own != delete.path);
            }
        }
        onlooker.watches.disconnected(self.index);
        if self.is_closing || self.is_of_reader {
            self.forget_session(onlooker);
        }
        self.reads_until_us = None;
        self.users.clear();
    }

    fn forget_session(&mut self, onlooker: &mut Onlooker) {
        onlooker.ephemerals.session_ended(self.session);
        onlooker.watches.forget(self.index);
        self.session = 0;
        self.password = Bytes::from_static(&[0; 16]);
        (self.xid, self.is_closing, self.has_prepared, self.is_of_reader) = (0, false, false, false);
        self.own.clear();
    }

    /// It will never be heard of again; another one takes its place.
    pub(crate) fn die(&mut self, now_us: u64, random: &mut Random, onlooker: &mut Onlooker) {
        self.disconnected(now_us, random, onlooker);
        self.forget_session(onlooker);
        self.last_zxid = 0;
    }

    /// The connection is there.
    pub(crate) fn connected(&mut self, now_us: u64) -> Vec<Wish> {
        self.stage = Stage::Greeting;
        (self.heard_us, self.sent_us) = (now_us, now_us);
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid,
            timeout_ms: SESSION_TIMEOUT_MS,
            session_id: self.session,
            password: self.password.clone(),
            read_only: Some(self.may_only_read),
        };
        vec![Wish::Send(with_length(&request.to_bytes()))]
    }

    fn ask(&mut self, request: Request, onlooker: &Onlooker, out: &mut Vec<Wish>) {
        self.xid += 1;
        out.push(Wish::Send(framed(self.xid, &request)));
        let (acknowledged, users) = (onlooker.linearizable.acknowledged(), self.users.clone());
        self.asked.push_back(Asked { xid: self.xid, request, acknowledged, users });
    }

    /// What belongs to all is made by whoever comes first.
    fn prepare(&mut self, random: &mut Random, onlooker: &Onlooker, out: &mut Vec<Wish>) {
        self.has_prepared = true;
        for path in KEYS.into_iter().chain(PAIR).chain([EPHEMERALS, SEQUENCE]) {
            self.ask(create(path, Bytes::new(), 0), onlooker, out);
        }
        let guards = self.guards;
        for path in guarded::GUARDED.into_iter().filter(|_| guards) {
            let node = guarded::create(path.to_owned(), self.value(), random);
            self.ask(node, onlooker, out);
        }
    }

    /// It is somebody else, too, from its next request on.
    fn become_user(&mut self, user: guarded::User, out: &mut Vec<Wish>) {
        if !self.users.contains(&user) {
            self.users.push(user);
            out.push(Wish::Send(framed(AUTH_XID, &guarded::authentication(user))));
        }
    }

    fn burst(&mut self, now_us: u64, random: &mut Random, onlooker: &mut Onlooker) -> Vec<Wish> {
        self.sent_us = now_us;
        let mut out = Vec::new();
        if !self.has_prepared && self.reads_until_us.is_none() {
            self.prepare(random, onlooker, &mut out);
            return out;
        }
        if random.below(60) == 0 {
            // Nodes that are still being made end with their session, too.
            for _ in 0..random.below(3) {
                let node = self.ephemeral();
                self.ask(node, onlooker, &mut out);
            }
            self.is_closing = true;
            self.ask(Request::CloseSession, onlooker, &mut out);
            return out;
        }
        if self.guards && random.below(20) == 0 {
            guarded::users(random).into_iter().for_each(|user| self.become_user(user, &mut out));
        }
        for _ in 0..=random.below(4) {
            let request = self.choose(random, onlooker);
            self.ask(request, onlooker, &mut out);
        }
        if random.below(40) == 0 {
            // It goes to another server, and what it asked for is done there, here, or nowhere.
            onlooker.count("moved");
            out.extend(self.leave(now_us, random, onlooker));
        }
        out
    }

    fn ephemeral(&mut self) -> Request {
        self.written += 1;
        create(format!("{EPHEMERALS}/{}-{}", self.index, self.written), Bytes::new(), 1)
    }

    fn value(&mut self) -> Bytes {
        self.written += 1;
        // Long enough that links fill up now and then.
        let length = 20 + (self.written * 37 % 200) as usize;
        Bytes::from(format!("{:<length$}", format!("c{}-{}", self.index, self.written)))
    }

    fn choose(&mut self, random: &mut Random, onlooker: &Onlooker) -> Request {
        let key = random.below(KEYS.len() as u64) as usize;
        let path = Str::from(KEYS.get(key).copied().unwrap_or_default());
        if let Some((servers, shape)) = self.reconfigured
            && random.below(40) == 0
        {
            return reconfig(shape.any(servers, random));
        }
        if self.guards && random.below(4) == 0 {
            return guarded::choose(self.value(), random);
        }
        match random.below(20) {
            0..=5 => Request::SetData(SetDataRequest { path, data: Some(self.value()), version: -1 }),
            6 | 7 => {
                let version = self.known.get(&key).copied().unwrap_or(0);
                Request::SetData(SetDataRequest { path, data: Some(self.value()), version })
            }
            8..=10 => Request::GetData(ReadRequest { path, watch: random.below(2) == 0 }),
            11 | 12 => {
                let data = Some(self.value());
                let set =
                    |path: &&str| Op::SetData(SetDataRequest { path: (*path).into(), data: data.clone(), version: -1 });
                Request::Multi(Multi { ops: PAIR.iter().map(set).collect() })
            }
            13 => {
                let get = |path: &&str| Op::GetData(ReadRequest { path: (*path).into(), watch: false });
                Request::MultiRead(Multi { ops: PAIR.iter().map(get).collect() })
            }
            14 | 15 => self.ephemeral(),
            16 => match self.own.is_empty() {
                true => Request::Sync(PathRequest { path }),
                false => {
                    let own = self.own.swap_remove(random.below(self.own.len() as u64) as usize);
                    Request::Delete(DeleteRequest { path: own, version: -1 })
                }
            },
            17 => match onlooker.ephemerals.any(random) {
                Some(path) => Request::Exists(ReadRequest { path, watch: false }),
                None => Request::Sync(PathRequest { path }),
            },
            18 => create(format!("{SEQUENCE}/n-"), self.value(), 2),
            _ => Request::Sync(PathRequest { path }),
        }
    }

    /// Bytes have come.
    pub(crate) fn received(
        &mut self,
        bytes: &Bytes,
        now_us: u64,
        random: &mut Random,
        onlooker: &mut Onlooker,
    ) -> Result<Vec<Wish>, String> {
        self.heard_us = now_us;
        self.arrived.extend_from_slice(bytes);
        let mut wishes = Vec::new();
        while let Some(length) = self.arrived.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize) {
            if self.arrived.len() < 4 + length {
                break;
            }
            let frame = self.arrived.split_to(4 + length).freeze().slice(4..);
            match self.stage {
                Stage::Greeting => self.greeted(&frame, now_us, random, onlooker, &mut wishes)?,
                Stage::Connected => self.answered(&frame, now_us, random, onlooker, &mut wishes)?,
                Stage::Alone { .. } | Stage::Dialling { .. } => break,
            }
        }
        Ok(wishes)
    }

    fn greeted(
        &mut self,
        frame: &Bytes,
        now_us: u64,
        random: &mut Random,
        onlooker: &mut Onlooker,
        wishes: &mut Vec<Wish>,
    ) -> Verdict {
        let response = decoded(ConnectResponse::decode(&mut Reader::new(frame)))?;
        let is_read_only = response.read_only == Some(true);
        if is_read_only && (response.session_id == 0 || !self.may_only_read) {
            let session = self.session;
            return Err(format!("a read-only server decides about session {session:x}, or takes who wants to write"));
        }
        if response.session_id == 0 {
            onlooker.count("session expired");
            onlooker.count(if self.is_global { "global session expired" } else { "local session expired" });
            self.forget_session(onlooker);
            wishes.extend(self.leave(now_us, random, onlooker));
            return Ok(());
        }
        let is_new = self.session == 0;
        if !is_new && self.session != response.session_id {
            return Err(format!("session {:x} was resumed as {:x}", self.session, response.session_id));
        }
        onlooker.count(match (is_new, is_read_only) {
            (true, true) => "session made to read",
            (true, false) => "session made",
            (false, true) => "session goes on to read",
            (false, false) => "session resumed",
        });
        (self.session, self.password) = (response.session_id, response.password);
        if is_read_only {
            self.reads_until_us = Some(now_us + random.below(READ_ONLY_US));
        }
        if is_new && is_read_only {
            self.is_of_reader = true;
            onlooker.order.session_made(self.session)?;
        } else if is_new {
            self.is_global = !self.local_sessions;
            onlooker.ephemerals.session_made(self.session, self.is_global);
            onlooker.order.session_made(self.session)?;
        }
        self.stage = Stage::Connected;
        self.next_burst_us = now_us;
        let watched = onlooker.watches.pending(self.index);
        if !watched.is_empty() {
            let request = Request::SetWatches(SetWatchesRequest {
                relative_zxid: self.last_zxid,
                data_watches: watched,
                exist_watches: Vec::new(),
                child_watches: Vec::new(),
            });
            wishes.push(Wish::Send(framed(WATCHES_XID, &request)));
        }
        if self.guards {
            guarded::users(random).into_iter().for_each(|user| self.become_user(user, wishes));
        }
        Ok(())
    }

    fn answered(
        &mut self,
        frame: &Bytes,
        now_us: u64,
        random: &mut Random,
        onlooker: &mut Onlooker,
        wishes: &mut Vec<Wish>,
    ) -> Verdict {
        let mut reader = Reader::new(frame);
        let header = decoded(ReplyHeader::decode(&mut reader))?;
        match header.xid {
            -1 => {
                let event = decoded(WatcherEvent::decode(&mut reader))?;
                onlooker.count("watch event");
                onlooker.watches.event(self.index, &event.path);
                return Ok(());
            }
            PING_XID => return Ok(()),
            WATCHES_XID => return Ok(()),
            AUTH_XID if header.err != 0 => return Err(format!("client {} is not taken for who it is", self.index)),
            AUTH_XID => return Ok(()),
            _ => {}
        }
        let Some(asked) = self.asked.pop_front() else {
            return Err(format!("client {} is answered {} and asked nothing", self.index, header.xid));
        };
        if header.xid != asked.xid {
            return Err(format!("client {} is answered {} instead of {}", self.index, header.xid, asked.xid));
        }
        onlooker.order.replied(self.session, header.zxid)?;
        self.last_zxid = self.last_zxid.max(header.zxid);
        let response = match header.err {
            0 => Some(decoded(Response::decode(asked.request.op(), &mut reader))?),
            _ => None,
        };
        match self.reads_until_us {
            Some(_) => self.tell_of_reader(&asked, header, response.as_ref(), onlooker)?,
            None => self.tell(&asked, header, response.as_ref(), onlooker)?,
        }
        if asked.request.op() == OpCode::CloseSession {
            if self.reads_until_us.is_none() {
                onlooker.ephemerals.session_closed(self.session, header.zxid);
            }
            self.forget_session(onlooker);
            wishes.extend(self.leave(now_us, random, onlooker));
        } else if self.asked.is_empty() {
            self.next_burst_us = now_us + MS + random.below(30 * MS);
        }
        Ok(())
    }

    /// Tells the onlooker what was asked for and answered.
    fn tell(
        &mut self,
        asked: &Asked,
        header: ReplyHeader,
        response: Option<&Response>,
        onlooker: &mut Onlooker,
    ) -> Verdict {
        let (zxid, client) = (header.zxid, self.index);
        let error = ErrorCode::from_code(header.err).unwrap_or(ErrorCode::SystemError);
        // The end of a session that its server alone knows is no write.
        let op = asked.request.op();
        if is_write(op) && (op != OpCode::CloseSession || self.is_global) {
            onlooker.linearizable.write(asked.acknowledged, zxid)?;
        }
        if guarded::node_of(&asked.request).is_some() {
            return self.tell_of_guarded(asked, header, response, onlooker);
        }
        match (&asked.request, response) {
            (Request::SetData(set), Some(Response::Stat(answer))) => {
                self.acknowledged += 1;
                let seen = Seen { version: answer.stat.version, mzxid: answer.stat.mzxid, zxid };
                onlooker.linearizable.written(&set.path, set.data.as_ref(), set.version, seen)?;
                onlooker.watches.saw(client, &set.path, answer.stat.mzxid)?;
                self.know(&set.path, answer.stat.version);
            }
            (Request::GetData(get), Some(Response::GetData(answer))) => {
                let seen = Seen { version: answer.stat.version, mzxid: answer.stat.mzxid, zxid };
                onlooker.linearizable.read(self.session, &get.path, answer.data.as_ref(), seen)?;
                onlooker.watches.saw(client, &get.path, answer.stat.mzxid)?;
                if get.watch {
                    onlooker.watches.left(client, &get.path, answer.stat.mzxid);
                }
                self.know(&get.path, answer.stat.version);
            }
            (Request::Multi(multi), Some(Response::Multi(answer))) => {
                for (op, result) in multi.ops.iter().zip(&answer.results) {
                    if let (Op::SetData(set), OpResult::SetData(done)) = (op, result) {
                        let seen = Seen { version: done.stat.version, mzxid: done.stat.mzxid, zxid };
                        onlooker.linearizable.written(&set.path, set.data.as_ref(), -1, seen)?;
                    }
                }
            }
            (Request::MultiRead(_), Some(Response::Multi(answer))) => onlooker.linearizable.pair(&answer.results)?,
            (Request::Create(create), Some(Response::Path(made))) => {
                self.made(create, made.path.clone(), zxid, onlooker);
            }
            (Request::Reconfig(asked), Some(Response::GetData(answer))) => {
                onlooker.count("reconfigured");
                let members = asked.new_members.as_deref().unwrap_or_default().replace(',', "\n");
                let expected = format!("{members}\nversion={zxid:x}");
                if answer.data.as_deref() != Some(expected.as_bytes()) || answer.stat.mzxid != zxid {
                    return Err(format!("client {client} has asked for {expected}, and hears of {answer:?}"));
                }
            }
            (Request::Delete(delete), _) if matches!(error, ErrorCode::Ok | ErrorCode::NoNode) => {
                if error == ErrorCode::NoNode {
                    return Err(format!(
                        "client {client} can't delete its own {}: it is gone at {zxid:x}",
                        delete.path
                    ));
                }
                onlooker.ephemerals.deleted(&delete.path, zxid);
            }
            (Request::Exists(exists), _) if matches!(error, ErrorCode::Ok | ErrorCode::NoNode) => {
                onlooker.ephemerals.looked(&exists.path, zxid, error == ErrorCode::Ok);
            }
            (Request::Create(create), None) if error == ErrorCode::NodeExists && create.flags != 0 => {
                return Err(format!("{} exists before it is made", create.path));
            }
            _ => {}
        }
        use ErrorCode::{BadVersion, NewConfigNoQuorum, NoNode, NodeExists, Ok as Fine, ReconfigInProgress};
        match (asked.request.op(), error) {
            (_, Fine | NoNode | NodeExists | BadVersion) => {}
            (OpCode::Reconfig, NewConfigNoQuorum | ReconfigInProgress) => onlooker.count("list refused"),
            _ => onlooker.count("other error"),
        }
        Ok(())
    }

    /// The same, of a node with an access control list.
    fn tell_of_guarded(
        &mut self,
        asked: &Asked,
        header: ReplyHeader,
        response: Option<&Response>,
        onlooker: &mut Onlooker,
    ) -> Verdict {
        let error = ErrorCode::from_code(header.err).unwrap_or(ErrorCode::SystemError);
        let counted = match error {
            ErrorCode::Ok => "allowed",
            ErrorCode::NoAuth => "forbidden",
            _ => "guarded",
        };
        let look = Look {
            zxid: header.zxid,
            writes: is_write(asked.request.op()),
            users: asked.users.clone(),
            request: asked.request.clone(),
            error,
            response: response.cloned(),
        };
        let counted = if onlooker.rights.looked(look) { counted } else { "other error" };
        onlooker.count(counted);
        Ok(())
    }

    /// The same, of a server that can do no more than read.
    fn tell_of_reader(
        &mut self,
        asked: &Asked,
        header: ReplyHeader,
        response: Option<&Response>,
        onlooker: &mut Onlooker,
    ) -> Verdict {
        let (zxid, client) = (header.zxid, self.index);
        let error = ErrorCode::from_code(header.err).unwrap_or(ErrorCode::SystemError);
        let op = asked.request.op();
        if op == OpCode::Sync || (is_write(op) && op != OpCode::CloseSession) {
            onlooker.count("write refused by a reader");
            return match error {
                ErrorCode::NotReadOnly => Ok(()),
                _ => Err(format!("client {client} is answered {error} by a read-only server: {:?}", asked.request)),
            };
        }
        if guarded::node_of(&asked.request).is_some() {
            return self.tell_of_guarded(asked, header, response, onlooker);
        }
        match (&asked.request, response) {
            (Request::GetData(get), Some(Response::GetData(answer))) => {
                onlooker.count("read of a reader");
                let seen = Seen { version: answer.stat.version, mzxid: answer.stat.mzxid, zxid };
                onlooker.read_only.read(&get.path, answer.data.as_ref(), seen)?;
                onlooker.watches.saw(client, &get.path, answer.stat.mzxid)?;
                if get.watch {
                    onlooker.watches.left(client, &get.path, answer.stat.mzxid);
                }
            }
            (Request::GetData(get), None) if error == ErrorCode::NoNode => {
                onlooker.read_only.missing(&get.path, zxid)?;
            }
            (Request::MultiRead(_), Some(Response::Multi(answer))) => onlooker.linearizable.pair(&answer.results)?,
            (Request::Exists(exists), _) if matches!(error, ErrorCode::Ok | ErrorCode::NoNode) => {
                onlooker.read_only.looked(&exists.path, zxid, error == ErrorCode::Ok);
            }
            _ => {}
        }
        Ok(())
    }

    fn made(&mut self, create: &CreateRequest, path: Str, zxid: i64, onlooker: &mut Onlooker) {
        match create.flags {
            1 => {
                self.own.push(path.clone());
                self.is_global = true;
                onlooker.ephemerals.made(path, self.session, zxid);
            }
            2 => onlooker.acknowledged.made(path, create.data.clone().unwrap_or_default()),
            _ => {}
        }
    }

    fn know(&mut self, path: &str, version: i32) {
        if let Some(key) = KEYS.iter().position(|key| *key == path) {
            self.known.insert(key, version);
        }
    }
}

const fn is_write(op: OpCode) -> bool {
    use OpCode::{CloseSession, Create, Delete, Multi, Reconfig, SetAcl, SetData};
    matches!(op, Create | Delete | SetData | SetAcl | Multi | CloseSession | Reconfig)
}

/// The list as a whole, whatever the one before is.
fn reconfig(members: String) -> Request {
    Request::Reconfig(ReconfigRequest {
        joining_servers: None,
        leaving_servers: None,
        new_members: Some(members.into()),
        current_config_id: -1,
    })
}

fn create(path: impl Into<Str>, data: Bytes, flags: i32) -> Request {
    Request::Create(CreateRequest { path: path.into(), data: Some(data), acl: vec![Acl::OPEN], flags })
}

fn decoded<T>(result: Result<T, base::DecodeError>) -> Result<T, String> {
    result.map_err(|error| format!("an answer that can't be read: {error}"))
}

fn framed(xid: i32, request: &Request) -> Bytes {
    let mut body = BytesMut::new();
    RequestHeader { xid, op: request.op().code() }.encode(&mut body);
    request.encode(&mut body);
    with_length(&body)
}

/// Whether a frame asks for another list of servers.
pub(crate) fn is_reconfig(frame: &[u8]) -> bool {
    frame.get(8..12) == Some(&OpCode::Reconfig.code().to_be_bytes())
}

fn with_length(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(body.len() as i32);
    frame.put_slice(body);
    frame.freeze()
}
