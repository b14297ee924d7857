//! A server without wires: prepares, encodes, decodes and applies, and checks on the way that the digest foretold is the
//! tree's.

use base::{Monotonic, Now, Reader, Str};
use bytes::{Bytes, BytesMut};
use zk_proto::requests::{CreateRequest, CreateTtlRequest, DeleteRequest, Request, SetDataRequest};
use zk_proto::{Acl, ErrorCode, Id, Jute, OpCode, TxnEntry};
use zk_tree::prep::{Prep, PrepSettings, Write, WriteBody};
use zk_tree::reads::{self, Client};
use zk_tree::session::{Sessions, Strangers};
use zk_tree::watch::{Notification, Watches};
use zk_tree::{Tree, TreeEvent, TreeSettings, TxnResult};

pub(crate) struct Rig {
    pub(crate) tree: Tree,
    pub(crate) prep: Prep,
    pub(crate) sessions: Sessions,
    pub(crate) watches: Watches,
    pub(crate) ids: Vec<Id>,
    pub(crate) zxid: i64,
    pub(crate) log: Vec<TxnEntry>,
    pub(crate) notifications: Vec<Notification>,
    pub(crate) warnings: Vec<TreeEvent>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(TreeSettings::default(), PrepSettings::default())
    }

    pub(crate) fn with(tree: TreeSettings, prep: PrepSettings) -> Self {
        let mut rig = Self {
            tree: Tree::new(tree),
            prep: Prep::new(prep),
            sessions: Sessions::new(1000, 1, Strangers::Unknown, Monotonic::default()),
            watches: Watches::default(),
            ids: vec![Id::from_static("ip", "127.0.0.1")],
            zxid: 0,
            log: Vec::new(),
            notifications: Vec::new(),
            warnings: Vec::new(),
        };
        for session in [1, 2] {
            rig.run(session, WriteBody::CreateSession { timeout_ms: 1000 }).1.unwrap();
        }
        rig
    }

    /// Prepares, without applying.
    pub(crate) fn prepare(&mut self, session: i64, body: WriteBody<'_>) -> Option<ErrorCode> {
        self.zxid += 1;
        let now = Now { monotonic: Monotonic::default(), wall_ms: 1000 + self.zxid };
        let write = Write { session_id: session, cxid: 0, owner: session as u64, ids: &self.ids, body };
        let prepared = self.prep.prepare(&self.tree, &mut self.sessions, write, self.zxid, now);
        let decoded = TxnEntry::decode(&mut Reader::new(&prepared.bytes)).unwrap();
        assert_eq!(decoded, prepared.entry, "the bytes are those of the entry");
        self.log.push(decoded);
        prepared.error
    }

    /// Applies what was prepared and is not applied yet.
    pub(crate) fn apply_all(&mut self) -> Vec<TxnResult> {
        let pending: Vec<_> =
            self.log.iter().filter(|entry| entry.header.zxid > self.tree.last_zxid()).cloned().collect();
        pending.iter().map(|entry| self.apply(entry)).collect()
    }

    fn apply(&mut self, entry: &TxnEntry) -> TxnResult {
        let mut events = Vec::new();
        let result = self.tree.apply(&entry.header, &entry.txn, &mut events);
        self.prep.applied(entry.header.zxid);
        if result.op == OpCode::CloseSession {
            self.sessions.remove(entry.header.session_id);
        }
        for event in events {
            self.watches.trigger(&event, &mut self.notifications);
            if matches!(event, TreeEvent::QuotaExceeded { .. }) {
                self.warnings.push(event);
            }
        }
        if let Some(digest) = entry.digest {
            assert_eq!(digest.tree_digest, self.tree.digest(), "foretold digest of {entry:?}");
        }
        result
    }

    /// Prepares and applies.
    pub(crate) fn run(&mut self, session: i64, body: WriteBody<'_>) -> (TxnResult, Result<(), ErrorCode>) {
        let error = self.prepare(session, body);
        let result = self.apply_all().pop().unwrap();
        (result, error.map_or(Ok(()), Err))
    }

    /// Runs a client's write; the path it was about.
    pub(crate) fn write(&mut self, session: i64, request: &Request) -> Result<Str, ErrorCode> {
        let (result, outcome) = self.run(session, WriteBody::Request(request));
        outcome?;
        assert_eq!(result.err, 0);
        Ok(result.path.unwrap_or_default())
    }

    pub(crate) fn read(&mut self, session: i64, request: &Request) -> Result<Bytes, ErrorCode> {
        let mut out = BytesMut::new();
        let client =
            Client { session_id: session, watcher: session as u64, ids: &self.ids, auth: &self.prep.settings().auth };
        reads::answer(&self.tree, &mut self.watches, client, request, &mut self.notifications, &mut out)?;
        Ok(out.freeze())
    }
}

pub(crate) fn create(path: &str, flags: i32) -> Request {
    create_with(path, flags, vec![Acl::OPEN])
}

pub(crate) fn create_with(path: &str, flags: i32, acl: Vec<Acl>) -> Request {
    Request::Create(CreateRequest { path: path.into(), data: Some(Bytes::from_static(b"data")), acl, flags })
}

pub(crate) fn create_ttl(path: &str, flags: i32, ttl_ms: i64) -> Request {
    Request::CreateTtl(CreateTtlRequest { path: path.into(), data: None, acl: vec![Acl::OPEN], flags, ttl_ms })
}

pub(crate) fn delete(path: &str, version: i32) -> Request {
    Request::Delete(DeleteRequest { path: path.into(), version })
}

pub(crate) fn set(path: &str, data: &'static str, version: i32) -> Request {
    Request::SetData(SetDataRequest { path: path.into(), data: Some(Bytes::from_static(data.as_bytes())), version })
}
