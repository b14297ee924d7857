//! Requests that change state: prep, propose, log, commit, apply, reply.
//!
//! A request is prepared as it arrives, against the tree and what is on the way; it gets its zxid and goes into the log
//! with all others of its turn. It is applied when the log is durable behind it, in the order of zxids; watch events are
//! written before the reply, so that a writer hears of its own change first and a reader never sees data before its event.

use std::collections::VecDeque;

use base::{Monotonic, Now, Str};
use bytes::Bytes;
use zk_proto::{ErrorCode, Id, Jute, OpCode, Txn, TxnEntry};
use zk_tree::prep::{Prep, Prepared, Write, WriteBody};
use zk_tree::watch::Notification;
use zk_tree::{TreeEvent, TxnResult};

use crate::connection::{Request, Waiting};
use crate::log::Logger;
use crate::read::decode;
use crate::reply::{self, Header};
use crate::server::State;
use crate::{ConnectionId, Effects, Server, written};

/// What is on the way from prep to apply.
pub(crate) struct Pipeline {
    pub(crate) prep: Prep,
    pub(crate) proposals: VecDeque<Proposal>,
    /// Each `sync` with the zxid up to which all must be applied before it is answered.
    pub(crate) syncs: VecDeque<(i64, Request)>,
    last_zxid: i64,
    /// Every proposal up to this zxid is in the log for good.
    pub(crate) durable: i64,
    /// The tree's digest at round zxids, oldest first, for the command `hash`.
    pub(crate) digests: VecDeque<(i64, u64)>,
    /// Kept for their memory.
    events: Vec<TreeEvent>,
    notifications: Vec<Notification>,
}

/// A transaction that is not committed yet.
pub(crate) struct Proposal {
    pub(crate) entry: TxnEntry,
    pub(crate) error: Option<ErrorCode>,
    /// Who gets the reply; none for what the server itself asked for, or another server's client.
    pub(crate) origin: Option<Origin>,
}

/// Who wants a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) session: i64,
    /// The client's number of the request.
    pub(crate) cxid: i32,
    /// Who speaks for the session: a connection, or a learner's link.
    pub(crate) owner: u64,
    pub(crate) ids: &'a [Id],
}

/// What a reply needs of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) connection: ConnectionId,
    pub(crate) xid: i32,
    pub(crate) op: OpCode,
    pub(crate) arrived: Monotonic,
    /// Length of the body, for the limit on large requests.
    pub(crate) length: usize,
    /// What the reply says if the request fails, whatever the leader found.
    pub(crate) error: Option<ErrorCode>,
}

/// Watch events that a client may leave unread. Its connection ends beyond: it comes back and sets its watches anew, while
/// the original keeps all events in memory.
const UNREAD_EVENT_BYTES_MAX: usize = 16 << 20;
const COUNTER_MASK: i64 = 0xffff_ffff;
const DIGEST_INTERVAL: i64 = 128;
const DIGESTS_MAX: usize = 1024;

impl Origin {
    pub(crate) const fn new(connection: ConnectionId, xid: i32, op: OpCode, arrived: Monotonic) -> Self {
        Self { connection, xid, op, arrived, length: 0, error: None }
    }
}

impl<'a> Source<'a> {
    /// A client of this server; its session is to be filled in.
    pub(crate) const fn of(origin: &Origin, ids: &'a [Id]) -> Self {
        Self { session: 0, cxid: origin.xid, owner: origin.connection.0, ids }
    }

    /// The server itself, on behalf of a session or of none.
    const fn own(session: i64) -> Self {
        Self { session, cxid: 0, owner: 0, ids: &[] }
    }
}

impl Pipeline {
    /// Nothing on the way, behind what was recovered.
    pub(crate) const fn new(prep: Prep, last_zxid: i64) -> Self {
        Self {
            prep,
            proposals: VecDeque::new(),
            syncs: VecDeque::new(),
            last_zxid,
            durable: last_zxid,
            digests: VecDeque::new(),
            events: Vec::new(),
            notifications: Vec::new(),
        }
    }

    /// Whether every transaction is applied.
    pub(crate) fn is_empty(&self) -> bool {
        self.proposals.is_empty()
    }

    /// The last transaction on its way, or applied.
    pub(crate) const fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// Goes on behind `last_zxid`, with nothing on the way.
    pub(crate) fn begin_epoch(&mut self, last_zxid: i64) {
        debug_assert!(self.proposals.is_empty(), "what was on the way is applied or dropped");
        self.prep.clear();
        self.last_zxid = last_zxid;
        self.durable = last_zxid;
    }

    /// Takes in a transaction that another server has made.
    pub(crate) fn accept(&mut self, proposal: Proposal) {
        self.last_zxid = proposal.entry.header.zxid;
        self.proposals.push_back(proposal);
    }

    /// Remembers a digest now and then, so that those of several servers can be compared.
    fn note_digest(&mut self, zxid: i64, digest: u64) {
        if zxid % DIGEST_INTERVAL == 0 {
            self.digests.push_back((zxid, digest));
            if self.digests.len() > DIGESTS_MAX {
                self.digests.pop_front();
            }
        }
    }

    /// The next `sync` behind which nothing is left that came before it.
    fn pop_sync(&mut self) -> Option<Request> {
        let applied = self.proposals.front().map_or(self.last_zxid, |next| next.entry.header.zxid - 1);
        let is_next = self.syncs.front()?.0 <= applied;
        if is_next { self.syncs.pop_front().map(|(_, request)| request) } else { None }
    }

    fn pop_committed(&mut self, committed: i64) -> Option<Proposal> {
        let is_committed = self.proposals.front()?.entry.header.zxid <= committed;
        if is_committed { self.proposals.pop_front() } else { None }
    }
}

impl Server {
    /// Prepares and proposes a client's write.
    pub(crate) fn prepare(&mut self, request: &Request, now: Now) {
        let error = self.upgrade_for(request, now);
        let origin = Origin { error, ..request.origin() };
        if self.follows() {
            return self.forward(request.session, &request.body, &request.ids, origin);
        }
        let body = decode(request);
        let body = body.as_ref().map_or(WriteBody::Malformed, WriteBody::Request);
        let source = Source { session: request.session, ..Source::of(&origin, &request.ids) };
        self.propose(source, body, Some(origin), now);
        if let Some(connection) = self.connections.get_mut(request.connection) {
            connection.waiting.push_back(Waiting::Pipeline);
        }
        self.in_process += 1;
        if self.config.is_large(origin.length) {
            self.large_bytes += origin.length;
        }
    }

    /// Lets all servers know a new session; its client hears of it when that is committed.
    pub(crate) fn create_session(&mut self, session: i64, timeout_ms: i32, origin: Origin, now: Now) {
        if self.follows() {
            return self.forward(session, &Bytes::copy_from_slice(&timeout_ms.to_be_bytes()), &[], origin);
        }
        let source = Source { session, ..Source::of(&origin, &[]) };
        self.propose(source, WriteBody::CreateSession { timeout_ms }, Some(origin), now);
        if let Some(connection) = self.connections.get_mut(origin.connection) {
            connection.waiting.push_back(Waiting::Pipeline);
        }
        self.in_process += 1;
    }

    /// Ends a session that was not heard of in time.
    pub(crate) fn expire_session(&mut self, session: i64, now: Now, effects: &mut Effects) {
        if self.is_read_only() {
            return self.forget_session(session, effects);
        }
        let local_timeout_ms = self.sessions.local_timeout_ms(session);
        let timeout_ms = local_timeout_ms.or_else(|| self.tree.sessions().get(&session).copied()).unwrap_or_default();
        self.log.info(Logger::Server, format!("Expiring session {session:#x}, timeout of {timeout_ms}ms exceeded"));
        self.stats.counters.sessions_expired += 1;
        match local_timeout_ms {
            Some(_) => self.forget_session(session, effects),
            None => self.close_session(session, now),
        }
    }

    /// Ends a session that nobody asked to end.
    pub(crate) fn close_session(&mut self, session: i64, now: Now) {
        self.propose(Source::own(session), WriteBody::CloseSession, None, now);
    }

    /// Deletes a container or TTL node whose time has come.
    pub(crate) fn reap(&mut self, path: &Str, now: Now) {
        self.log.info(Logger::Containers, format!("Attempting to delete candidate container: {path}"));
        self.propose(Source::own(0), WriteBody::Reap(path), None, now);
    }

    /// Makes a transaction and puts it on its way.
    pub(crate) fn propose(&mut self, source: Source<'_>, body: WriteBody<'_>, origin: Option<Origin>, now: Now) {
        debug_assert!(self.role.orders(), "transactions are made by the leader");
        let Source { session: session_id, cxid, owner, ids } = source;
        let zxid = self.pipeline.last_zxid + 1;
        if zxid & COUNTER_MASK == COUNTER_MASK && self.role.member().is_some() {
            // The leader resigns already: the last number of an epoch is never used, as in the original. One server alone counts on into
            // the next.
            return;
        }
        self.pipeline.last_zxid = zxid;
        let list = match body {
            WriteBody::Request(zk_proto::requests::Request::Reconfig(request)) => {
                Some(self.plan_reconfig(request, zxid))
            }
            _ => None,
        };
        let body = match &list {
            Some(list) => WriteBody::Reconfig(list.as_ref().map(|list| &list.text).map_err(|error| *error)),
            None => body,
        };
        let write = Write { session_id, cxid, owner, ids, body };
        let prepared = readable_by_all(self.pipeline.prep.prepare(&self.tree, &mut self.sessions, write, zxid, now));
        if let Some(error) = prepared.error
            && !error.is_api_error()
        {
            self.log.info(
                Logger::Prep,
                format!(
                    "Got user-level KeeperException when processing sessionid:{session_id:#x} cxid:{cxid:#x} \
                     zxid:{zxid:#x} Error:KeeperErrorCode = {error}"
                ),
            );
        }
        self.journal.append(zxid, &prepared.bytes, now.monotonic);
        self.stats.counters.requests_logged += 1;
        self.stats.counters.changes_queued += changes(&prepared.entry.txn);
        if let Some(Ok(list)) = &list
            && prepared.error.is_none()
        {
            self.propose_list(list, zxid);
        }
        self.proposed(zxid, &prepared.bytes);
        self.pipeline.proposals.push_back(Proposal { entry: prepared.entry, error: prepared.error, origin });
    }

    /// Sends a `sync` through the pipeline: it needs no transaction, but is answered behind those of all sessions that
    /// came before it, so that a read behind it sees them.
    pub(crate) fn queue_sync(&mut self, request: Request) {
        if let Some(connection) = self.connections.get_mut(request.connection) {
            connection.waiting.push_back(Waiting::Pipeline);
        }
        self.in_process += 1;
        let zxid = self.pipeline.last_zxid;
        self.pipeline.syncs.push_back((zxid, request));
    }

    /// Applies and answers everything that is committed by now.
    pub(crate) fn commit(&mut self, now: Now, effects: &mut Effects) {
        let committed = self.role.committed(self.pipeline.durable);
        while let Some(proposal) = self.pipeline.pop_committed(committed) {
            self.apply(&proposal, now, effects);
            while let Some(sync) = self.pipeline.pop_sync() {
                self.answer_queued_sync(&sync, now);
            }
        }
    }

    fn answer_queued_sync(&mut self, request: &Request, now: Now) {
        self.in_process -= 1;
        if let Some(connection) = self.connections.get_mut(request.connection) {
            connection.waiting.pop_front();
        }
        self.read(request, now);
        self.drain_reads(request.connection, now);
    }

    fn apply(&mut self, proposal: &Proposal, now: Now, effects: &mut Effects) {
        let TxnEntry { header, txn, digest } = &proposal.entry;
        let mut events = std::mem::take(&mut self.pipeline.events);
        let result = self.tree.apply(header, txn, &mut events);
        self.pipeline.prep.applied(header.zxid);
        if self.role.orders() {
            self.stats.counters.changes_removed += changes(txn);
        }
        // A tree that a leader has sent may hold parts of what came while it was on its way. By the time that clients are
        // served it has all of it.
        if let Some(digest) = digest.as_ref().filter(|_| self.state != State::Looking) {
            self.pipeline.note_digest(header.zxid, self.tree.digest());
            if digest.tree_digest != self.tree.digest() {
                self.digest_mismatch(header.zxid);
            }
        }
        for event in events.drain(..) {
            self.tell_watchers(&event);
        }
        self.pipeline.events = events;
        let origin = proposal.origin.or_else(|| self.origin_here(&proposal.entry));
        match txn {
            Txn::CreateSession(_) => self.session_upgraded(header.session_id),
            Txn::CloseSession(_) => {
                self.sessions.end(header.session_id, now.monotonic);
                self.session_forgotten(header.session_id);
                self.session_closed(header.session_id, origin, effects);
            }
            _ => {}
        }
        let age_ms = u64::try_from(now.wall_ms - header.time_ms).unwrap_or(0);
        self.stats.propagation_latency.add(age_ms);
        if let Some(origin) = &origin {
            self.answer_write(origin, proposal, &result, now, effects);
        }
    }

    /// A session that ended on its own takes its connection with it; one that its client closed is answered first.
    fn session_closed(&mut self, session: i64, origin: Option<Origin>, effects: &mut Effects) {
        if let Some(id) = self.connections.of_session(session)
            && origin.is_none_or(|origin| origin.connection != id)
        {
            self.close(id, effects);
        }
    }

    fn digest_mismatch(&mut self, zxid: i64) {
        self.stats.counters.digest_mismatches += 1;
        // One line is enough: from then on no digest is right.
        if self.stats.counters.digest_mismatches == 1 {
            let message = format!("First digest mismatch on txn {zxid:#x}, expected digest is different");
            self.log.error(Logger::Digest, message);
        }
    }

    /// Writes the events that a change of the tree means for those who watch.
    fn tell_watchers(&mut self, event: &TreeEvent) {
        let mut told = std::mem::take(&mut self.pipeline.notifications);
        self.watches.trigger(event, &mut told);
        self.count_watches(event, &told);
        for notification in told.drain(..) {
            let id = ConnectionId(notification.watcher);
            let Some(connection) = self.connections.get_mut(id) else { continue };
            if !may_know(&self.pipeline.prep, &connection.ids, &notification) {
                continue;
            }
            let length = reply::notification(&mut connection.out, notification.event, &notification.path);
            connection.stats.sent += 1;
            if connection.congested {
                connection.unread_event_bytes += length;
                if connection.unread_event_bytes > UNREAD_EVENT_BYTES_MAX {
                    self.ending.push(id);
                }
            }
            self.stats.replied(length);
            self.mark(id);
        }
        self.pipeline.notifications = told;
    }

    fn count_watches(&mut self, event: &TreeEvent, told: &[Notification]) {
        let children = told.iter().filter(|told| told.event == zk_proto::EventType::NodeChildrenChanged).count();
        let own = (told.len() - children) as u64;
        if let TreeEvent::Created(node) | TreeEvent::DataChanged(node) | TreeEvent::Deleted(node) = event {
            self.stats.namespaces_written.add(&node.path, node.path.len() + node.data_length);
        }
        match event {
            TreeEvent::Created(_) => self.stats.watches_created.add(own),
            TreeEvent::DataChanged(_) => self.stats.watches_changed.add(own),
            TreeEvent::Deleted(_) => self.stats.watches_deleted.add(own),
            TreeEvent::QuotaExceeded { path, what, value, limit } => {
                return self.log.warn(Logger::Digest, format!("Quota exceeded: {path} {what}={value} limit={limit}"));
            }
        }
        if !matches!(event, TreeEvent::DataChanged(_)) {
            self.stats.watches_children.add(children as u64);
        }
    }

    fn answer_write(
        &mut self,
        origin: &Origin,
        proposal: &Proposal,
        result: &TxnResult,
        now: Now,
        effects: &mut Effects,
    ) {
        let id = origin.connection;
        self.in_process -= 1;
        if self.config.is_large(origin.length) {
            self.large_bytes -= origin.length;
        }
        let zxid = self.tree.last_zxid();
        if let Some(connection) = self.connections.get_mut(id) {
            connection.waiting.pop_front();
        }
        self.answered(origin, zxid, now, true);
        if origin.op == OpCode::CreateSession {
            match proposal.error {
                None => self.establish(id),
                Some(_) => self.close(id, effects),
            }
            return;
        }
        if proposal.error == Some(ErrorCode::SessionMoved) {
            // The session lives on elsewhere; this connection ends without an answer, also behind a multi.
            return self.close(id, effects);
        }
        let error = proposal.error.and(origin.error).or(proposal.error);
        let error = written::error(origin.op, error, result);
        let path = match origin.op {
            // A lone check went through the log as a multi.
            OpCode::Check => result.parts.first().and_then(|part| part.path.as_ref()),
            OpCode::Reconfig => result.path.as_ref(),
            _ => None,
        };
        let node = path.and_then(|path| self.tree.get(path));
        let (stat, data) =
            (node.map(|node| node.stat()), node.and_then(|node| node.data()).map(Bytes::copy_from_slice));
        self.reply(id, Header { xid: origin.xid, zxid, error }, |out| {
            if error == ErrorCode::Ok {
                written::body(origin.op, result, stat, data, out);
            }
        });
        if origin.op == OpCode::CloseSession {
            self.close(id, effects);
        } else {
            self.drain_reads(id, now);
        }
    }

    /// Counts a request as answered.
    pub(crate) fn answered(&mut self, origin: &Origin, zxid: i64, now: Now, is_write: bool) {
        let latency_ms = now.monotonic.ms().saturating_sub(origin.arrived.ms());
        self.stats.latency.add(latency_ms);
        if is_write { &mut self.stats.update_latency } else { &mut self.stats.read_latency }.add(latency_ms);
        self.settle(origin.connection, origin.xid);
        if let Some(connection) = self.connections.get_mut(origin.connection) {
            let (op, now_ms) = (written::short_name(origin.op), now.monotonic.ms());
            connection.stats.replied(op, origin.xid, zxid, now_ms, latency_ms);
        }
    }
}

/// A lone `check` goes into the log as a multi of one part: the original writes it as it is, and no server can read
/// that log again.
fn readable_by_all(mut prepared: Prepared) -> Prepared {
    if let Txn::Check(_) = prepared.entry.txn {
        let check = std::mem::replace(&mut prepared.entry.txn, Txn::Multi(Vec::new()));
        prepared.entry.txn = Txn::Multi(vec![check]);
        prepared.bytes = prepared.entry.to_bytes();
    }
    prepared
}

/// Whether a client may hear of a change: only of nodes that it may read (CVE-2024-23944).
pub(crate) fn may_know(prep: &Prep, ids: &[Id], notification: &Notification) -> bool {
    notification.acl.as_ref().is_none_or(|acl| prep.settings().auth.allows(acl, zk_proto::Perms::READ, ids))
}

/// How many changes of nodes a transaction is: a node that comes or goes changes its parent as well (`ChangeRecord`). Of a multi that
/// failed the original counts those in front of what failed, as queued only.
fn changes(txn: &Txn) -> u64 {
    match txn {
        Txn::Create(_)
        | Txn::Create2(_)
        | Txn::CreateContainer(_)
        | Txn::CreateTtl(_)
        | Txn::Delete(_)
        | Txn::DeleteContainer(_) => 2,
        Txn::SetData(_) | Txn::Reconfig(_) | Txn::SetAcl(_) => 1,
        Txn::CloseSession(Some(closed)) => 2 * closed.paths_to_delete.len() as u64,
        Txn::Multi(parts) if parts.iter().any(|part| matches!(part, Txn::Error(_))) => 0,
        Txn::Multi(parts) => parts.iter().map(changes).sum(),
        Txn::Check(_) | Txn::CreateSession(_) | Txn::CloseSession(None) | Txn::Error(_) => 0,
    }
}
