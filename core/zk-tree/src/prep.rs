//! From a request to a transaction (`PrepRequestProcessor`): all checks of writes, in the original's order, against the
//! tree and the changes that are on their way to it.
//!
//! Each write has a zxid, also one that fails: it becomes an error transaction. Changes of a request that fails half-way,
//! such as those of a multi, are taken back.

mod close;
mod create;
mod pending;

use base::{Now, Str};
use bytes::{Bytes, BytesMut};
use zk_proto::multi::{Multi, Op};
use zk_proto::path;
use zk_proto::requests::{CheckVersionRequest, DeleteRequest, Request, SetAclRequest, SetDataRequest};
use zk_proto::txn::{CheckVersionTxn, CreateSessionTxn, DeleteTxn, ErrorTxn, SetAclTxn, SetDataTxn};
use zk_proto::{EphemeralType, ErrorCode, Id, Jute, OpCode, Perms, Txn, TxnDigest, TxnEntry, TxnHeader};

use crate::auth::AuthSettings;
use crate::prep::pending::{Pending, Record};
use crate::session::Sessions;
use crate::tree::is_special;
use crate::{CONFIG, Tree};

/// What the configuration says about writes.
#[derive(Clone, Debug)]
pub struct PrepSettings {
    /// Permissions.
    pub auth: AuthSettings,
    /// `zookeeper.closeSessionTxn.enabled`: whether the transaction names the nodes that go.
    pub close_session_txn: bool,
    /// `reconfigEnabled`.
    pub reconfig_enabled: bool,
    /// The longest log entry in bytes: what a server that reads the log will take, `jute.maxbuffer` and its extra size.
    pub entry_bytes_max: usize,
}

impl Default for PrepSettings {
    fn default() -> Self {
        Self {
            auth: AuthSettings::default(),
            close_session_txn: true,
            reconfig_enabled: false,
            entry_bytes_max: 2 * 0xf_ffff,
        }
    }
}

/// A request to change state, and who makes it.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The session; 0 for the server's own.
    pub session_id: i64,
    /// The request's xid.
    pub cxid: i32,
    /// The connection, which must own the session.
    pub owner: u64,
    /// What the connection authenticated itself as.
    pub ids: &'a [Id],
    /// What is to be done.
    pub body: WriteBody<'a>,
}

/// What a write does.
#[derive(Clone, Copy, Debug)]
pub enum WriteBody<'a> {
    /// A client's request; other than writes are answered with `Unimplemented`.
    Request(&'a Request),
    /// A client's request whose body can't be read.
    Malformed,
    /// A new session.
    CreateSession {
        /// Its timeout.
        timeout_ms: i32,
    },
    /// The end of a session: asked for by the client, or because it was not heard of.
    CloseSession,
    /// The end of a container or TTL node whose time has come, see [`Tree::reapable`].
    Reap(&'a Str),
    /// Another list of servers, as the ensemble would have it, or why it would not. A [`Request::Reconfig`] as it comes from
    /// a client is one that nobody looked at: a server alone has no list to change.
    Reconfig(Result<&'a Bytes, ErrorCode>),
}

/// A transaction, ready to be logged.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its log entry.
    pub entry: TxnEntry,
    /// The entry's bytes.
    pub bytes: Bytes,
    /// Why the request failed. For a failed multi the transaction is a multi of errors all the same, and the reply's
    /// header says no error; else the transaction is an error. `SessionMoved`, also of a multi, is not answered: the
    /// original ends the connection.
    pub error: Option<ErrorCode>,
}

/// Turns requests into transactions.
pub struct Prep {
    settings: PrepSettings,
    pending: Pending,
}

/// One request on its way.
struct Turn<'a> {
    prep: &'a mut Prep,
    tree: &'a Tree,
    sessions: &'a mut Sessions,
    write: Write<'a>,
    header: TxnHeader,
    now: Now,
}

impl Prep {
    /// Nothing on the way.
    pub fn new(settings: PrepSettings) -> Self {
        Self { settings, pending: Pending::default() }
    }

    /// How it is configured.
    pub const fn settings(&self) -> &PrepSettings {
        &self.settings
    }

    /// Whether a request is one that [`Prep::prepare`] takes; all others are for [`crate::reads::answer`].
    pub const fn is_write(op: OpCode) -> bool {
        matches!(
            op,
            OpCode::Create
                | OpCode::Create2
                | OpCode::CreateContainer
                | OpCode::CreateTtl
                | OpCode::Delete
                | OpCode::DeleteContainer
                | OpCode::SetData
                | OpCode::SetAcl
                | OpCode::Check
                | OpCode::Multi
                | OpCode::Reconfig
                | OpCode::CreateSession
                | OpCode::CloseSession
        )
    }

    /// Makes the transaction of a write. `zxid` is the next one; it is used up whatever the outcome.
    pub fn prepare(&mut self, tree: &Tree, sessions: &mut Sessions, write: Write<'_>, zxid: i64, now: Now) -> Prepared {
        let header = TxnHeader { session_id: write.session_id, cxid: write.cxid, zxid, time_ms: now.wall_ms };
        let entry_bytes_max = self.settings.entry_bytes_max;
        self.pending.begin();
        let mut turn = Turn { prep: self, tree, sessions, write, header, now };
        let (txn, mut error) = turn.txn().unwrap_or_else(|error| (failed(error), Some(error)));
        if error.is_some() {
            turn.prep.pending.roll_back();
        }
        let (mut entry, mut bytes) = self.encoded(tree, header, txn);
        if bytes.len() > entry_bytes_max {
            if matches!(entry.txn, Txn::CloseSession(_)) {
                // Every tree knows the session's nodes. No digest either, which an older reader takes for the list.
                entry = TxnEntry { header, txn: Txn::CloseSession(None), digest: None };
                bytes = entry.to_bytes();
            } else {
                error = Some(ErrorCode::MarshallingError);
                self.pending.roll_back();
                (entry, bytes) = self.encoded(tree, header, failed(ErrorCode::MarshallingError));
            }
        }
        Prepared { entry, bytes, error }
    }

    /// Forgets the changes of transactions that are applied. To be called behind each [`Tree::apply`].
    pub fn applied(&mut self, zxid: i64) {
        self.pending.applied(zxid);
    }

    /// Forgets all that is on the way: those transactions will never be applied.
    pub fn clear(&mut self) {
        self.pending = Pending::default();
    }

    fn encoded(&self, tree: &Tree, header: TxnHeader, txn: Txn) -> (TxnEntry, Bytes) {
        // As in the original, an error says no digest.
        let digested = tree.settings().digest && !matches!(txn, Txn::Error(_));
        let tree_digest = || self.pending.tree_digest(tree);
        let digest = digested.then(|| TxnDigest { version: TxnDigest::VERSION, tree_digest: tree_digest() });
        let entry = TxnEntry { header, txn, digest };
        let mut bytes = BytesMut::with_capacity(256);
        entry.encode(&mut bytes);
        (entry, bytes.freeze())
    }
}

impl Turn<'_> {
    fn txn(&mut self) -> Result<(Txn, Option<ErrorCode>), ErrorCode> {
        let txn = match self.write.body {
            WriteBody::Malformed => Err(ErrorCode::MarshallingError),
            WriteBody::CreateSession { timeout_ms } => self.create_session(timeout_ms),
            WriteBody::CloseSession | WriteBody::Request(Request::CloseSession) => Ok(self.close_session()),
            WriteBody::Reap(path) => self.reap(path),
            WriteBody::Reconfig(list) => self.reconfig(list),
            WriteBody::Request(Request::Multi(multi)) => return Ok(self.multi(multi)),
            WriteBody::Request(request) => match request {
                Request::Create(body) => self.create(OpCode::Create, body),
                Request::Create2(body) => self.create(OpCode::Create2, body),
                Request::CreateContainer(body) => self.create(OpCode::CreateContainer, body),
                Request::CreateTtl(body) => self.create_ttl(body),
                Request::Delete(body) => self.delete(body),
                Request::SetData(body) => self.set_data(body),
                Request::SetAcl(body) => self.set_acl(body),
                // The original logs a lone check as it is, and can't read that log again.
                Request::Check(body) => self.check(body).map(|check| Txn::Multi(vec![check])),
                // The original takes the frame's header for a part of the path, which is never valid then; that keeps
                // clients from deleting containers without a permission, and so it stays.
                Request::DeleteContainer(_) => Err(ErrorCode::BadArguments),
                Request::Reconfig(_) => self.reconfig(Err(ErrorCode::Unimplemented)),
                _ => Err(ErrorCode::Unimplemented),
            },
        };
        txn.map(|txn| (txn, None))
    }

    fn check_session(&mut self) -> Result<(), ErrorCode> {
        self.sessions.check(self.write.session_id, self.write.owner)
    }

    fn check_acl(&self, acl: &[zk_proto::Acl], perms: Perms) -> Result<(), ErrorCode> {
        self.prep.settings.auth.check(acl, perms, self.write.ids)
    }

    /// The node of a path as it will be when all that is on the way is applied.
    fn record(&self, path: &str) -> Result<Record, ErrorCode> {
        self.prep.pending.record(self.tree, path).ok_or(ErrorCode::NoNode)
    }

    fn change(&mut self, path: &Str, record: Option<Record>) {
        self.prep.pending.change(self.tree, self.header.zxid, path, record);
    }

    fn create_session(&mut self, timeout_ms: i32) -> Result<Txn, ErrorCode> {
        self.sessions.track(self.write.session_id, timeout_ms, self.now.monotonic);
        self.sessions.set_owner(self.write.session_id, self.write.owner)?;
        Ok(Txn::CreateSession(CreateSessionTxn { timeout_ms }))
    }

    fn delete(&mut self, body: &DeleteRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        let parent_path = deletable_parent(&body.path)?;
        let parent = self.record(&parent_path)?;
        self.check_acl(&parent.acl, Perms::DELETE)?;
        let node = self.record(&body.path)?;
        next_version(node.stat.version, body.version)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.change_for_delete(&parent_path, parent, &body.path);
        Ok(Txn::Delete(DeleteTxn { path: body.path.clone() }))
    }

    fn reap(&mut self, path: &Str) -> Result<Txn, ErrorCode> {
        let parent_path = deletable_parent(path)?;
        let node = self.record(path)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        // A node of another kind took its place meanwhile; the original deletes a persistent one all the same.
        if matches!(self.tree.kind(&node.stat), EphemeralType::Normal(_) | EphemeralType::Void) {
            return Err(ErrorCode::BadVersion);
        }
        let parent = self.record(&parent_path)?;
        self.change_for_delete(&parent_path, parent, path);
        Ok(Txn::DeleteContainer(DeleteTxn { path: path.clone() }))
    }

    fn change_for_delete(&mut self, parent_path: &Str, mut parent: Record, path: &Str) {
        parent.child_count -= 1;
        parent.stat.pzxid = self.header.zxid;
        self.change(parent_path, Some(parent));
        self.change(path, None);
    }

    fn set_data(&mut self, body: &SetDataRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        validate(&body.path)?;
        let mut node = self.record(&body.path)?;
        self.check_acl(&node.acl, Perms::WRITE)?;
        let version = next_version(node.stat.version, body.version)?;
        node.stat.version = version;
        node.stat.mtime = self.header.time_ms;
        node.stat.mzxid = self.header.zxid;
        node.set_data(self.tree, &body.path, body.data.as_deref());
        self.change(&body.path, Some(node));
        Ok(Txn::SetData(SetDataTxn { path: body.path.clone(), data: body.data.clone(), version }))
    }

    fn set_acl(&mut self, body: &SetAclRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        validate(&body.path)?;
        let acl = self.prep.settings.auth.fix_acl(&body.acl, self.write.ids)?;
        let mut node = self.record(&body.path)?;
        self.check_acl(&node.acl, Perms::ADMIN)?;
        let version = next_version(node.stat.aversion, body.version)?;
        node.stat.aversion = version;
        node.acl = acl.as_slice().into();
        self.change(&body.path, Some(node));
        Ok(Txn::SetAcl(SetAclTxn { path: body.path.clone(), acl, version }))
    }

    fn check(&mut self, body: &CheckVersionRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        validate(&body.path)?;
        let node = self.record(&body.path)?;
        self.check_acl(&node.acl, Perms::READ)?;
        let version = next_version(node.stat.version, body.version)?;
        Ok(Txn::Check(CheckVersionTxn { path: body.path.clone(), version }))
    }

    /// The list is data of `/zookeeper/config`, which nobody else may write.
    fn reconfig(&mut self, list: Result<&Bytes, ErrorCode>) -> Result<Txn, ErrorCode> {
        if !self.prep.settings.reconfig_enabled {
            return Err(ErrorCode::ReconfigDisabled);
        }
        self.check_session()?;
        let list = list?;
        let path = Str::from_static(CONFIG);
        let mut node = self.record(&path)?;
        self.check_acl(&node.acl, Perms::WRITE)?;
        node.stat.version = -1;
        node.stat.mtime = self.header.time_ms;
        node.stat.mzxid = self.header.zxid;
        node.set_data(self.tree, &path, Some(list));
        self.change(&path, Some(node));
        Ok(Txn::Reconfig(SetDataTxn { path, data: Some(list.clone()), version: -1 }))
    }

    /// All parts under one zxid. Behind a part that fails the others are not tried; those before it are taken back with
    /// the whole request.
    fn multi(&mut self, multi: &Multi) -> (Txn, Option<ErrorCode>) {
        let mut parts = Vec::with_capacity(multi.ops.len());
        let mut first_error = None;
        for op in &multi.ops {
            let part = match first_error {
                Some(_) => Err(ErrorCode::RuntimeInconsistency),
                None => self.part(op),
            };
            parts.push(part.unwrap_or_else(|error| {
                first_error.get_or_insert(error);
                failed(error)
            }));
        }
        match first_error {
            // A part of a kind that the original can't cast fails the request as a whole.
            Some(ErrorCode::MarshallingError) => {
                (failed(ErrorCode::MarshallingError), Some(ErrorCode::MarshallingError))
            }
            error => (Txn::Multi(parts), error),
        }
    }

    fn part(&mut self, op: &Op) -> Result<Txn, ErrorCode> {
        match op {
            Op::Create(body) | Op::Create2(body) | Op::CreateContainer(body) => self.create_part(body),
            Op::CreateTtl(body) => self.create_ttl_part(body),
            Op::Delete(body) => self.delete(body),
            Op::SetData(body) => self.set_data(body),
            Op::Check(body) => self.check(body),
            // `multi` of reads: the original knows no transaction for them.
            Op::GetChildren(_) | Op::GetData(_) => Err(ErrorCode::MarshallingError),
        }
    }
}

fn failed(error: ErrorCode) -> Txn {
    Txn::Error(ErrorTxn { err: error.code() })
}

/// The parent of a node that may be deleted.
fn deletable_parent(path: &str) -> Result<Str, ErrorCode> {
    match path::split(path) {
        Some((parent, _)) if !path.contains('\0') && !is_special(path) => Ok(Str::copied(parent)),
        _ => Err(ErrorCode::BadArguments),
    }
}

fn validate(path: &str) -> Result<(), ErrorCode> {
    path::validate(path).map_err(|_| ErrorCode::BadArguments)
}

fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current { Err(ErrorCode::BadVersion) } else { Ok(current.wrapping_add(1)) }
}
