//! The read-only mode of a member without a leader (upstream `ReadOnlyZooKeeperServer`, ZOOKEEPER-784): clients that asked for it
//! read what this server has.
//!
//! Sessions that begin here, or go on here, are known to nobody else: the original makes transactions of their beginning and end,
//! which move its tree ahead of its log; here they leave no trace.

use base::{Monotonic, Now};
use zk_proto::{ErrorCode, OpCode};
use zk_tree::prep::Prep;

use super::{Member, Phase};
use crate::connection::Request;
use crate::log::Logger;
use crate::reply::Header;
use crate::server::State;
use crate::{Effects, Server, ServerConfig};

/// How long a member looks for a leader, at least, before it takes itself for cut off.
const PATIENCE_MS_MIN: u32 = 2000;

impl Member {
    /// The search for a leader begins.
    pub(super) fn await_read_only(&mut self, config: &ServerConfig, now: Monotonic) {
        let patience_ms = config.tick_time_ms.max(PATIENCE_MS_MIN);
        self.read_only_at = config.read_only_mode.then(|| now.plus_ms(patience_ms.into()));
    }
}

impl Server {
    /// Whether clients may do no more than read.
    pub(crate) fn is_read_only(&self) -> bool {
        self.state == State::ReadOnly
    }

    /// Begins to serve reads, if this server has looked for a leader long enough.
    pub(super) fn read_only_tick(&mut self, now: Now) {
        let Some(member) = self.role.member_mut() else { return };
        if self.state != State::Looking || member.read_only_at.is_none_or(|at| now.monotonic < at) {
            return;
        }
        member.read_only_at = None;
        if matches!(member.phase, Phase::Looking { .. }) {
            self.begin_sessions(now);
            self.state = State::ReadOnly;
            self.log.info(Logger::Member, "Read-only server started");
        }
    }

    /// There is a leader: clients come again, to a server that can do more.
    pub(super) fn end_read_only(&mut self, effects: &mut Effects) {
        if let Some(member) = self.role.member_mut() {
            member.read_only_at = None;
        }
        if self.is_read_only() {
            self.state = State::Looking;
            self.leave_service(effects);
        }
    }

    /// A session goes on here, if it is not closed: one that others have begun may be later than what this server knows. (With local sessions, the original
    /// calls one that it does not know expired.)
    pub(crate) fn read_with_session(&mut self, session: i64, timeout_ms: i32, now: Monotonic) {
        if !self.sessions.is_known(session) {
            self.sessions.track_local(session, timeout_ms, now);
        }
    }

    /// Answers what is no read; false if it is one.
    pub(crate) fn refuse_write(&mut self, request: &Request, effects: &mut Effects) -> bool {
        let error = match request.op {
            OpCode::CloseSession => ErrorCode::Ok,
            OpCode::Sync => ErrorCode::NotReadOnly,
            op if Prep::is_write(op) => ErrorCode::NotReadOnly,
            _ => return false,
        };
        let zxid = self.tree.last_zxid();
        self.reply(request.connection, Header { xid: request.xid, zxid, error }, |_| {});
        self.settle(request.connection, request.xid);
        if request.op == OpCode::CloseSession {
            self.forget_session(request.session, effects);
        }
        true
    }
}
