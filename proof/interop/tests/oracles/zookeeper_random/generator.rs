//! Random requests of all op codes, good and bad, that the original survives.

use base::{Random, Str};
use bytes::{Bytes, BytesMut};
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{
    AddWatchRequest, AuthRequest, CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, PathRequest,
    ReadRequest, ReconfigRequest, Request, SaslRequest, SetAclRequest, SetDataRequest, SetWatches2Request,
    SetWatchesRequest, WatchesRequest,
};
use zk_proto::{Acl, AddWatchMode, CreateMode, Id, Jute, OpCode, Perms};

/// What a history is about. A client hears nothing of a node that it may not read (CVE-2024-23944), unlike in the
/// original, so that watches and lists without READ are not in one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Watches,
    Permissions,
}

/// One request as it goes on the wire.
pub(crate) struct Sent {
    /// For a person who looks for the difference.
    pub(crate) label: String,
    pub(crate) op: i32,
    pub(crate) body: Bytes,
}

/// What happens next.
pub(crate) enum Step {
    /// Requests of one session, in one write. None of them ends the connection.
    Requests(Vec<Sent>),
    /// A request that may end the connection.
    Last(Sent),
    /// Bytes that are no request.
    Junk(Bytes),
    /// The session takes another connection. `false`: with a wrong password.
    Reconnect(bool),
    /// The session is closed, and another one opened that asks for this timeout.
    Replace(i32),
}

pub(crate) struct Generator {
    random: Random,
    theme: Theme,
    paths: Vec<&'static str>,
}

const PATHS: &str = "/ /a /a /b /b /c /a/x /a/x /a/y /b/x /b/z /a/x/1 /a/x/2 /a/x/1/deep /s- /a/s- /s-0000000003 \
    /a/s-0000000001 /é /a/ü /b/\u{20ac} /none /b/none/x /c/c /zookeeper /zookeeper/config /zookeeper/other \
    /zookeeper/quota /zookeeper/quota/a /zookeeper/quota/a/zookeeper_limits /zookeeper/quota/a/zookeeper_stats \
    /zookeeper/quota/b";
/// Paths with watches that stay, each of one mode: the original forgets the one that was set before the other (mended
/// later).
const MODES: [(&str, AddWatchMode); 8] = [
    ("/", AddWatchMode::PersistentRecursive),
    ("/a", AddWatchMode::PersistentRecursive),
    ("/a/x", AddWatchMode::Persistent),
    ("/a/y", AddWatchMode::Persistent),
    ("/b/z", AddWatchMode::PersistentRecursive),
    ("/c", AddWatchMode::Persistent),
    ("/none", AddWatchMode::PersistentRecursive),
    ("/zookeeper", AddWatchMode::Persistent),
];

fn mode_of(path: &str) -> Option<AddWatchMode> {
    MODES.iter().find(|(with_mode, _)| *with_mode == path).map(|(_, mode)| *mode)
}

const BAD_PATHS: [&str; 15] = [
    "",
    "a",
    "a/b",
    "/a/",
    "//",
    "/a//b",
    "/.",
    "/a/./b",
    "/a/..",
    "/a\0b",
    "/\u{1}",
    "/a/\u{7f}",
    "/\u{f8ff}",
    "/\u{fff0}",
    "/a/\u{ffff}",
];
const DATA: [&str; 5] = ["", "x", "count=3,bytes=20", "some data", "a somewhat longer text, so that quotas notice it"];

impl Generator {
    pub(crate) fn new(seed: u64, theme: Theme) -> Self {
        Self { random: Random::from_seed(seed), theme, paths: PATHS.split_whitespace().collect() }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    pub(crate) fn step(&mut self, session: usize) -> Step {
        match self.below(100) {
            0..3 => Step::Reconnect(self.below(8) > 0),
            3..5 => {
                let timeouts = [0, 1, 20_000, 45_000, 1_000_000, i32::MAX];
                Step::Replace(*self.pick(&timeouts))
            }
            5 => Step::Last(self.unknown()),
            6 => Step::Last(self.auth(session)),
            7 => Step::Junk(self.junk()),
            8 if self.one_in(4) => {
                Step::Last(sent(&Request::Sasl(SaslRequest { token: Bytes::from_static(b"token") })))
            }
            _ => {
                let count = if self.one_in(3) { 1 + self.below(8) } else { 1 };
                Step::Requests(self.requests(count))
            }
        }
    }

    /// Up to `count` requests that are sent together. A new ACL is the last of them: what comes behind is checked by it, by the original
    /// only if that has already applied it.
    fn requests(&mut self, count: u64) -> Vec<Sent> {
        let mut requests = Vec::new();
        for _ in 0..count {
            requests.push(self.sent());
            if requests.last().is_some_and(|sent| sent.op == OpCode::SetAcl.code()) {
                break;
            }
        }
        requests
    }

    fn sent(&mut self) -> Sent {
        let request = self.request();
        let mut sent = sent(&request);
        if self.one_in(12)
            && let Some(body) = self.mutated(&request, &sent.body)
        {
            sent.body = body;
            sent.label = format!("{} mutated to {:?}", sent.label, sent.body);
        }
        sent
    }

    /// A body that is no more what it was.
    fn mutated(&mut self, request: &Request, body: &[u8]) -> Option<Bytes> {
        let mut body = body.to_vec();
        // A read's last byte says whether it leaves a watch.
        let is_read = matches!(
            request,
            Request::Exists(_) | Request::GetData(_) | Request::GetChildren(_) | Request::GetChildren2(_)
        );
        let at = self.below(body.len().saturating_sub(usize::from(is_read)) as u64) as usize;
        let kind = match request {
            // What these may become stops the original or is never answered; a null path to `sync` is taken.
            Request::CreateTtl(_) | Request::Multi(_) | Request::Check(_) | Request::Sync(_) => return None,
            // A watch of two modes, see `MODES`.
            Request::SetWatches(_) | Request::SetWatches2(_) | Request::AddWatch(_) => 0,
            _ if is_read && self.theme == Theme::Watches => 0,
            _ => self.below(5),
        };
        match kind {
            0 => body.truncate(at),
            1 => body.extend_from_slice(b"more"),
            2 => *body.get_mut(at)? ^= 1 << self.below(8),
            3 => {
                let lengths = [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0]];
                body.get_mut(..4)?.copy_from_slice(self.pick::<[u8; 4]>(&lengths));
            }
            _ => *body.get_mut(at)? = 0xff,
        }
        Some(body.into())
    }

    fn unknown(&mut self) -> Sent {
        let op = *self.pick(&[10, 23, 99, 107, -2, -100, 0, i32::MAX, i32::MIN]);
        Sent { label: format!("op {op}"), op, body: Bytes::from_static(b"\0\0\0\x02/a\0") }
    }

    /// Answered at once, whatever is under way, so that it is never one of several. A session proves one name alone: the
    /// original puts several into an ACL in the order of a hash table.
    fn auth(&mut self, session: usize) -> Sent {
        let users = ["u:p", "v:q", "super:admin"];
        let refused = [("ip", ""), ("nobody", "x"), ("x509", "x"), ("", "")];
        let (scheme, auth) = if self.one_in(2) { ("digest", users[session]) } else { *self.pick(&refused) };
        sent(&auth_request(scheme, auth))
    }

    fn junk(&mut self) -> Bytes {
        let junk: [&'static [u8]; 6] = [
            &[0xff, 0xff, 0xff, 0xff],
            &[0x80, 0, 0, 0],
            &[0x7f, 0xff, 0xff, 0xff],
            &[0, 0x10, 0, 0],
            &[0, 0, 0, 0],
            &[0, 0, 0, 4, 0, 0, 0, 1],
        ];
        Bytes::from_static(self.pick::<&'static [u8]>(&junk))
    }

    fn path(&mut self) -> Str {
        if self.one_in(14) {
            return Str::from(*self.pick(&BAD_PATHS));
        }
        let at = self.below(self.paths.len() as u64) as usize;
        Str::from(self.paths[at])
    }

    fn data(&mut self, path: &str) -> Option<Bytes> {
        if path.starts_with("/zookeeper/quota") {
            // The original is stopped by a limit that it can't read.
            return Some(Bytes::from_static(self.pick(&["count=3,bytes=20", "count=-1,bytes=5"]).as_bytes()));
        }
        match self.below(40) {
            0 => None,
            1 => Some(Bytes::from(vec![7; 2000])),
            _ => Some(Bytes::from_static(self.pick(&DATA).as_bytes())),
        }
    }

    fn acl(&mut self) -> Vec<Acl> {
        let acl = |perms, scheme, id| Acl { perms: Perms(perms), id: Id::from_static(scheme, id) };
        let anyone = |perms| acl(perms, "world", "anyone");
        match self.below(if self.theme == Theme::Permissions { 22 } else { 16 }) {
            0 => vec![],
            1 => vec![acl(31, "world", "someone")],
            2 => vec![acl(31, "nothing", "x"), anyone(1)],
            3 => vec![anyone(1), acl(31, "auth", "")],
            4 => vec![anyone(1), acl(31, "digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=")],
            5 => vec![anyone(15), anyone(15), acl(16, "ip", "127.0.0.1")],
            6 => vec![anyone(1), acl(30, "ip", "127.0.0.0/8"), acl(31, "ip", "10.0.0.0/33")],
            7 => vec![anyone(1), acl(30, "ip", "127.0.0.0/8")],
            8 => vec![anyone(1)],
            9..16 => vec![Acl::OPEN],
            16 => vec![anyone(0)],
            17 => vec![acl(31, "auth", "ignored")],
            18 => vec![acl(1 + 16, "ip", "127.0.0.1/32"), anyone(4)],
            19 => vec![acl(31, "ip", "10.1.0.0/16"), anyone(2)],
            20 => vec![anyone(*[2, 4, 8, 16, 6, 24, 64].get(self.below(7) as usize).unwrap_or(&1))],
            _ => vec![acl(31, "digest", "v:nobody"), acl(4, "sasl", "kafka/host@REALM")],
        }
    }

    fn version(&mut self) -> i32 {
        *self.pick(&[-1, -1, -1, 0, 1, 2, 3, -2, i32::MAX])
    }

    fn create(&mut self) -> CreateRequest {
        let path = self.path();
        let data = self.data(&path);
        let flags = match self.below(12) {
            0..6 => CreateMode::Persistent.code(),
            6..8 => CreateMode::Ephemeral.code(),
            8..10 => CreateMode::PersistentSequential.code(),
            10 => CreateMode::EphemeralSequential.code(),
            _ => self.below(9) as i32 - 1,
        };
        CreateRequest { path, data, acl: self.acl(), flags }
    }

    fn create_ttl(&mut self) -> CreateTtlRequest {
        let CreateRequest { path, data, acl, .. } = self.create();
        // Another mode without a time makes a transaction that stops the original.
        let (flags, ttl_ms) =
            *self.pick(&[(5, 3_600_000), (6, 3_600_000), (5, 0), (5, -1), (6, 1 << 40), (0, 5), (9, 7)]);
        CreateTtlRequest { path, data, acl, flags, ttl_ms }
    }

    fn delete(&mut self) -> DeleteRequest {
        DeleteRequest { path: self.path(), version: self.version() }
    }

    fn set_data(&mut self) -> SetDataRequest {
        let path = self.path();
        let data = self.data(&path);
        SetDataRequest { path, data, version: self.version() }
    }

    fn check(&mut self) -> CheckVersionRequest {
        CheckVersionRequest { path: self.path(), version: self.version() }
    }

    fn read(&mut self) -> ReadRequest {
        let path = self.path();
        let watch = self.theme == Theme::Watches && self.one_in(2) && mode_of(&path).is_none();
        ReadRequest { path, watch }
    }

    fn write_part(&mut self) -> Op {
        match self.below(10) {
            0..3 => Op::Create(self.create()),
            3 => Op::Create2(self.create()),
            4 => Op::CreateContainer(CreateRequest { flags: CreateMode::Container.code(), ..self.create() }),
            5 => Op::CreateTtl(self.create_ttl()),
            6 => Op::Delete(self.delete()),
            7..9 => Op::SetData(self.set_data()),
            _ => Op::Check(self.check()),
        }
    }

    fn read_part(&mut self) -> Op {
        let read = ReadRequest { path: self.path(), watch: false };
        if self.one_in(2) { Op::GetData(read) } else { Op::GetChildren(read) }
    }

    /// Paths for watches of a mode.
    fn paths(&mut self, mode: Option<AddWatchMode>) -> Vec<Str> {
        let paths: Vec<_> = (0..self.below(6)).map(|_| self.path()).collect();
        paths.into_iter().filter(|path| mode_of(path) == mode).collect()
    }

    fn set_watches(&mut self) -> SetWatches2Request {
        SetWatches2Request {
            relative_zxid: self.below(2000) as i64,
            data_watches: self.paths(None),
            exist_watches: self.paths(None),
            child_watches: self.paths(None),
            persistent_watches: self.paths(Some(AddWatchMode::Persistent)),
            persistent_recursive_watches: self.paths(Some(AddWatchMode::PersistentRecursive)),
        }
    }

    fn watch_request(&mut self) -> Request {
        match self.below(6) {
            0 | 1 => {
                let (path, mode) = *self.pick(&MODES);
                Request::AddWatch(AddWatchRequest { path: Str::from_static(path), mode: mode.code() })
            }
            2 => Request::CheckWatches(self.watches()),
            3 => Request::RemoveWatches(self.watches()),
            4 => Request::SetWatches2(self.set_watches()),
            _ => {
                let SetWatches2Request { relative_zxid, data_watches, exist_watches, child_watches, .. } =
                    self.set_watches();
                Request::SetWatches(SetWatchesRequest { relative_zxid, data_watches, exist_watches, child_watches })
            }
        }
    }

    fn watches(&mut self) -> WatchesRequest {
        WatchesRequest { path: self.path(), watcher_type: 1 + self.below(3) as i32 }
    }

    fn request(&mut self) -> Request {
        match self.below(48) {
            0..6 => Request::Create(self.create()),
            6..10 => Request::Create2(self.create()),
            10 => Request::CreateContainer(CreateRequest { flags: CreateMode::Container.code(), ..self.create() }),
            11 => Request::CreateContainer(self.create()),
            12 => Request::CreateTtl(self.create_ttl()),
            13..16 => Request::Delete(self.delete()),
            16 => Request::DeleteContainer(Bytes::copy_from_slice(self.path().as_bytes())),
            17..20 => Request::SetData(self.set_data()),
            20..22 => Request::SetAcl(SetAclRequest { path: self.path(), acl: self.acl(), version: self.version() }),
            // One that succeeds alone is never answered by the original.
            22 => Request::Check(CheckVersionRequest { version: 777, ..self.check() }),
            23..27 => {
                let count = self.below(5);
                Request::Multi(Multi { ops: (0..count).map(|_| self.write_part()).collect() })
            }
            27 => {
                let count = self.below(5);
                Request::MultiRead(Multi { ops: (0..count).map(|_| self.read_part()).collect() })
            }
            28 => Request::Multi(Multi { ops: vec![self.write_part(), self.read_part()] }),
            29..31 => Request::Exists(self.read()),
            31..33 => Request::GetData(self.read()),
            33 => Request::GetChildren(self.read()),
            34..36 => Request::GetChildren2(self.read()),
            36 => Request::GetAcl(PathRequest { path: self.path() }),
            37 => Request::GetAllChildrenNumber(PathRequest { path: self.path() }),
            38 => Request::GetEphemerals(PathRequest { path: self.path() }),
            39 => Request::Sync(PathRequest { path: self.path() }),
            40 => Request::Reconfig(ReconfigRequest {
                joining_servers: Some(Str::from_static("server.2=localhost:1:2:participant;3")),
                leaving_servers: None,
                new_members: None,
                current_config_id: i64::from(self.version()),
            }),
            _ if self.theme == Theme::Watches => self.watch_request(),
            _ => Request::GetAcl(PathRequest { path: self.path() }),
        }
    }
}

fn auth_request(scheme: &'static str, auth: &'static str) -> Request {
    Request::Auth(AuthRequest {
        auth_type: 0,
        scheme: Str::from_static(scheme),
        auth: Bytes::from_static(auth.as_bytes()),
    })
}

fn sent(request: &Request) -> Sent {
    let mut body = BytesMut::new();
    request.encode(&mut body);
    Sent { label: format!("{request:?}"), op: request.op().code(), body: body.freeze() }
}

/// The xid that clients use for an op, if it is a fixed one.
pub(crate) fn fixed_xid(op: i32) -> Option<i32> {
    match OpCode::from_code(op)? {
        OpCode::Auth => Some(-4),
        OpCode::SetWatches | OpCode::SetWatches2 => Some(-8),
        _ => None,
    }
}

/// A frame with its header.
pub(crate) fn frame(xid: i32, op: i32, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    (8 + body.len() as i32).encode(&mut out);
    xid.encode(&mut out);
    op.encode(&mut out);
    out.extend_from_slice(body);
    out.freeze()
}

/// Becomes the super user.
pub(crate) fn super_user() -> Sent {
    sent(&auth_request("digest", "super:admin"))
}
