//! Sessions that only this server knows (ZOOKEEPER-1147; upstream `LocalSessionTracker`, `UpgradeableSessionTracker`,
//! `QuorumZooKeeperServer.checkUpgradeSession`).
//!
//! A member with `localSessionsEnabled` begins every session so: no transaction tells of it, this server alone lets it expire,
//! and it ends with this server's role. Its writes go the usual way. With `localSessionsUpgradingEnabled` all servers come to
//! know it by the first request that makes an ephemeral node: in front of that goes a `createSession` of the same id.

use base::Now;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{CreateRequest, CreateTtlRequest, Request as Body};
use zk_proto::{CreateMode, ErrorCode, OpCode};
use zk_tree::prep::WriteBody;

use crate::connection::Request;
use crate::log::Logger;
use crate::pipeline::{Origin, Source};
use crate::read::decode;
use crate::reply::Header;
use crate::{ConnectionId, Effects, Server};

impl Server {
    /// Starts a session for a connection. Its client hears of it at once if only this server knows it, else when that is
    /// committed.
    pub(crate) fn begin_session(&mut self, id: ConnectionId, timeout_ms: i32, now: Now) {
        let session = self.sessions.next_id();
        self.connections.set_session(id, session);
        let arrived = now.monotonic;
        let origin = Origin::new(id, 0, OpCode::CreateSession, arrived);
        if self.is_read_only() || self.config.local_sessions() {
            self.sessions.track_local(session, timeout_ms, now.monotonic);
            self.answered(&origin, self.tree.last_zxid(), now, false);
            return self.establish(id);
        }
        self.create_session(session, timeout_ms, origin, now);
    }

    /// A session that only this server knows ends as its client wished, in the order of its requests.
    pub(crate) fn close_local(&mut self, request: &Request, now: Now) {
        let zxid = self.tree.last_zxid();
        self.reply(request.connection, Header { xid: request.xid, zxid, error: ErrorCode::Ok }, |_| {});
        self.answered(&request.origin(), zxid, now, false);
        self.sessions.remove(request.session);
        self.ending.push(request.connection);
    }

    /// This server forgets a session, and nobody else hears of that.
    pub(crate) fn forget_session(&mut self, session: i64, effects: &mut Effects) {
        self.sessions.remove(session);
        if let Some(id) = self.connections.of_session(session) {
            self.close(id, effects);
        }
    }

    /// Lets all servers know the session of a write that needs that. What the write's reply is to say if this is not
    /// allowed: the leader, which knows no such session, calls it expired.
    pub(crate) fn upgrade_for(&mut self, request: &Request, now: Now) -> Option<ErrorCode> {
        let timeout_ms = self.sessions.local_timeout_ms(request.session)?;
        if !decode(request).is_ok_and(|body| makes_ephemerals(&body)) {
            return None;
        }
        let session = request.session;
        if !self.config.upgrades_local_sessions() {
            self.log.warn(Logger::Server, format!("Session {session:#x} is local, and makes no ephemeral nodes"));
            // The parts of a multi say what the leader found.
            return (request.op != OpCode::Multi).then_some(ErrorCode::EphemeralOnLocalSession);
        }
        self.log.info(Logger::Upgrade, format!("Upgrading session {session:#x}"));
        if self.follows() {
            self.sessions.remove(session);
            self.forward_upgrade(session, timeout_ms);
        } else {
            let source = Source { session, cxid: 0, owner: request.connection.0, ids: &[] };
            self.propose(source, WriteBody::CreateSession { timeout_ms }, None, now);
        }
        None
    }
}

/// Whether a request is of those for which the original looks at the session.
fn makes_ephemerals(body: &Body) -> bool {
    let is_ephemeral = |flags| CreateMode::from_code(flags).is_some_and(CreateMode::is_ephemeral);
    match body {
        Body::Create(CreateRequest { flags, .. }) | Body::Create2(CreateRequest { flags, .. }) => is_ephemeral(*flags),
        Body::Multi(Multi { ops }) => ops.iter().any(|op| match op {
            Op::Create(CreateRequest { flags, .. })
            | Op::Create2(CreateRequest { flags, .. })
            | Op::CreateContainer(CreateRequest { flags, .. })
            | Op::CreateTtl(CreateTtlRequest { flags, .. }) => is_ephemeral(*flags),
            _ => false,
        }),
        _ => false,
    }
}
