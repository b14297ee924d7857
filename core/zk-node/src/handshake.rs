//! The connect request: a new session, or an old one resumed (upstream `processConnectRequest`).

use base::{Now, Reader};
use bytes::Bytes;
use zk_proto::Jute;
use zk_proto::connect::{ConnectRequest, ConnectResponse, session_password};

use crate::connection::{Connection, Stage};
use crate::log::{Logger, java_exception};
use crate::member::Asker;
use crate::reply;
use crate::{ConnectionId, Effects, Server};

impl Server {
    /// Takes a connection's first frame.
    pub(crate) fn connect(&mut self, id: ConnectionId, frame: &Bytes, now: Now, effects: &mut Effects) {
        let Ok(request) = ConnectRequest::decode(&mut Reader::new(frame)) else {
            return self.refuse(id, "Not a connect request", effects);
        };
        if !self.admit(id, &request, now) {
            return self.close(id, effects);
        }
        let (least, greatest) = (self.config.session_timeout_min_ms, self.config.session_timeout_max_ms);
        // Least first, as the original does: if the two contradict each other, the greatest wins.
        let timeout_ms = request.timeout_ms.max(least).min(greatest);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.timeout_ms = timeout_ms;
        connection.sends_read_only = request.read_only.is_some();
        connection.stage = Stage::Connecting;
        self.connections.touch(id, now.monotonic);
        if request.session_id == 0 {
            self.begin_session(id, timeout_ms, now);
        } else {
            self.resume_session(id, &request, now, effects);
        }
    }

    /// Whether a connect request may go on at all.
    fn admit(&mut self, id: ConnectionId, request: &ConnectRequest, now: Now) -> bool {
        let Some(connection) = self.connections.get(id) else { return false };
        let peer = connection.peer_text();
        if !self.tokens.admit(request.session_id != 0, now.monotonic, &mut self.random) {
            self.stats.counters.connections_rejected += 1;
            let message = java_exception(
                "Closing session 0x0",
                "org.apache.zookeeper.server.ClientCnxnLimitException",
                "Connection throttle rejected connection",
            );
            self.log.warn(Logger::Connection, message);
            return false;
        }
        self.stats.token_deficit.add(u64::from(self.tokens.deficit()));
        self.stats.counters.connection_requests += 1;
        if request.read_only.is_none() {
            self.log.warn(
                Logger::Server,
                format!("Connection request from old client {peer}; will be dropped if server is in r-o mode"),
            );
        }
        if self.is_read_only() && request.read_only != Some(true) {
            self.log.info(Logger::Server, format!("Refusing session request for not-read-only client {peer}"));
            return false;
        }
        let last_zxid = self.tree.last_zxid();
        if request.last_zxid_seen > last_zxid {
            self.log.info(
                Logger::Server,
                format!(
                    "Refusing session request for client {peer} as it has seen zxid {:#x} our last zxid is {last_zxid:#x} \
                     client must try another server",
                    request.last_zxid_seen
                ),
            );
            return false;
        }
        true
    }

    /// A session that was open: by its id and password. The connection it had until now is closed.
    ///
    /// The password is checked first, unlike in the original, where a wrong one still costs the owner his connection.
    fn resume_session(&mut self, id: ConnectionId, request: &ConnectRequest, now: Now, effects: &mut Effects) {
        let Some(connection) = self.connections.get(id) else { return };
        let (peer, timeout_ms) = (connection.peer_text(), connection.timeout_ms);
        let session = request.session_id;
        self.stats.counters.connections_revalidated += 1;
        let known = is_equal(&request.password, &session_password(session));
        if !known {
            self.log.warn(Logger::Server, format!("Incorrect password from {peer} for session {session:#x}"));
        } else if let Some(old) = self.connections.of_session(session) {
            self.close(old, effects);
        }
        if known && self.follows() && !self.sessions.is_local(session) {
            return self.revalidate(Asker::Client(id), session, timeout_ms);
        }
        if known && self.is_read_only() {
            self.read_with_session(session, timeout_ms, now.monotonic);
        }
        let is_live = known && self.sessions.touch(session, timeout_ms, now.monotonic);
        if is_live {
            // Known just now, and live.
            let _ = self.sessions.set_owner(session, id.0);
        }
        self.finish_resuming(id, session, is_live, effects);
    }

    /// Tells a client whether it may go on with its session.
    pub(crate) fn finish_resuming(&mut self, id: ConnectionId, session: i64, is_live: bool, effects: &mut Effects) {
        let Some(peer) = self.connections.get(id).map(Connection::peer_text) else { return };
        let is_read_only = self.is_read_only();
        if is_live {
            self.connections.set_session(id, session);
            self.establish(id);
        } else {
            self.log.info(Logger::Server, format!("Invalid session {session:#x} for client {peer}, probably expired"));
            if let Some(connection) = self.connections.get_mut(id) {
                let read_only = connection.sends_read_only.then_some(is_read_only);
                let password = Bytes::from_static(&[0; 16]);
                let response =
                    ConnectResponse { protocol_version: 0, timeout_ms: 0, session_id: 0, password, read_only };
                reply::connected(&mut connection.out, &response);
            }
            self.stats.packets_sent += 1;
            self.close(id, effects);
        }
    }

    /// Tells a client that its session is there, and takes what it has sent meanwhile at the turn's end.
    pub(crate) fn establish(&mut self, id: ConnectionId) {
        let is_read_only = self.is_read_only();
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.stage = Stage::Established;
        let response = granted(connection, is_read_only);
        reply::connected(&mut connection.out, &response);
        connection.stats.sent += 1;
        self.stats.packets_sent += 1;
        self.idle_again.push(id);
        self.mark(id);
    }
}

fn granted(connection: &Connection, is_read_only: bool) -> ConnectResponse {
    ConnectResponse {
        protocol_version: 0,
        timeout_ms: connection.timeout_ms,
        session_id: connection.session,
        password: Bytes::copy_from_slice(&session_password(connection.session)),
        read_only: connection.sends_read_only.then_some(is_read_only),
    }
}

/// Compares passwords in a time that does not tell where they differ.
fn is_equal(given: &[u8], right: &[u8]) -> bool {
    given.len() == right.len() && given.iter().zip(right).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}
