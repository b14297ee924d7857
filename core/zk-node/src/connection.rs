//! One connection, and the table of all of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base::{Monotonic, Str};
use bytes::{Bytes, BytesMut};
use hashbrown::HashMap;
use security::ServerLogin;
use zk_proto::Id;

use crate::ConnectionId;
use crate::expiry::{Bucket, Expiry};
use crate::inbox::Inbox;
use crate::pipeline::Origin;
use crate::stats::ConnectionStats;

/// Replies of one turn to one connection, at which the next ones wait for the next turn.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing but a connect request or a four-letter word may come.
    New,
    /// The session is being made: what comes waits.
    Connecting,
    /// The session is there.
    Established,
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) stage: Stage,
    pub(crate) inbox: Inbox,
    /// What leaves at the end of the turn.
    pub(crate) out: BytesMut,
    /// Whether it is among those that the end of the turn visits.
    pub(crate) touched: bool,
    /// 0 before there is one.
    pub(crate) session: i64,
    pub(crate) timeout_ms: i32,
    /// Whether the client sent the read-only flag, so that it gets one.
    pub(crate) sends_read_only: bool,
    /// Who the client has proved to be, in the order of proof. Shared with the requests that arrived meanwhile.
    pub(crate) ids: Arc<[Id]>,
    /// How far its login by SASL has come.
    pub(crate) login: ServerLogin,
    /// Requests not answered yet, oldest first. Starts with a read only while replies wait to be taken.
    pub(crate) waiting: VecDeque<Waiting>,
    /// Requests with a positive xid that are not answered yet.
    pub(crate) outstanding: usize,
    /// Frames are left in the inbox: too much is under way.
    pub(crate) throttled: bool,
    /// Among those that take frames again when requests finish.
    pub(crate) queued_for_release: bool,
    /// Too much waits unsent at the host.
    pub(crate) congested: bool,
    /// Bytes of watch events since then.
    pub(crate) unread_event_bytes: usize,
    /// The host was told to read no more.
    pub(crate) reading_paused: bool,
    pub(crate) opened_wall_ms: i64,
    pub(crate) expires: Bucket,
    pub(crate) stats: ConnectionStats,
}

/// A place in the order of a connection's requests.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// A write or `sync` that is not committed yet; the pipeline holds what its reply needs.
    Pipeline,
    /// A request that the leader has; answered when it comes back.
    Forwarded(Origin),
    /// Answered when those before it are.
    Read(Box<Request>),
}

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) connection: ConnectionId,
    pub(crate) session: i64,
    pub(crate) xid: i32,
    pub(crate) op: zk_proto::OpCode,
    /// Behind the header, a view of the received chunk.
    pub(crate) body: Bytes,
    /// Who the client was known to be as the request arrived.
    pub(crate) ids: Arc<[Id]>,
    pub(crate) arrived: Monotonic,
}

impl Request {
    /// What its reply will need.
    pub(crate) fn origin(&self) -> Origin {
        let Self { connection, xid, op, arrived, .. } = *self;
        Origin { length: self.body.len(), ..Origin::new(connection, xid, op, arrived) }
    }
}

impl Connection {
    fn new(peer: SocketAddr, timeout_ms: i32, wall_ms: i64) -> Self {
        let ip = Id { scheme: Str::from_static("ip"), id: Str::from(host_address(peer.ip())) };
        Self {
            peer,
            stage: Stage::New,
            inbox: Inbox::default(),
            out: BytesMut::new(),
            touched: false,
            session: 0,
            timeout_ms,
            sends_read_only: false,
            ids: Arc::new([ip]),
            login: ServerLogin::default(),
            waiting: VecDeque::new(),
            outstanding: 0,
            throttled: false,
            queued_for_release: false,
            congested: false,
            unread_event_bytes: 0,
            reading_paused: false,
            opened_wall_ms: wall_ms,
            expires: Bucket::default(),
            stats: ConnectionStats::fresh(),
        }
    }

    /// Whether what has arrived is to stay in the inbox for now.
    pub(crate) fn is_held(&self) -> bool {
        self.throttled || matches!(self.stage, Stage::Connecting) || self.is_full()
    }

    /// Whether replies wait that it is to take first. Requests are small and replies large: what one client may be owed is
    /// bounded by what it reads.
    pub(crate) fn is_full(&self) -> bool {
        self.congested || self.out.len() >= REPLY_BYTES_MAX
    }

    /// The peer as Java prints a socket address.
    pub(crate) fn peer_text(&self) -> String {
        format!("/{}", socket_address(self.peer))
    }
}

/// All connections: by name, by session, by address, by the end of their patience.
#[derive(Debug)]
pub(crate) struct Connections {
    table: HashMap<ConnectionId, Box<Connection>>,
    by_session: HashMap<i64, ConnectionId>,
    per_address: BTreeMap<IpAddr, u32>,
    expiry: Expiry,
}

impl Connections {
    /// No connections yet.
    pub(crate) fn new(sessionless_timeout_ms: u32) -> Self {
        Self {
            table: HashMap::new(),
            by_session: HashMap::new(),
            per_address: BTreeMap::new(),
            expiry: Expiry::new(sessionless_timeout_ms),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many connections one address has.
    pub(crate) fn of_address(&self, address: IpAddr) -> u32 {
        self.per_address.get(&address.to_canonical()).copied().unwrap_or(0)
    }

    /// Takes a new connection in, which must speak within `timeout_ms`.
    pub(crate) fn open(&mut self, id: ConnectionId, peer: SocketAddr, timeout_ms: i32, now: base::Now) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        *self.per_address.entry(peer.ip()).or_default() += 1;
        self.table.insert(id, Box::new(Connection::new(peer, timeout_ms, now.wall_ms)));
        self.touch(id, now.monotonic);
    }

    /// Forgets a connection.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let connection = self.table.remove(&id)?;
        self.expiry.remove(id, connection.expires);
        // A session that has moved on to another connection stays with that one.
        if self.by_session.get(&connection.session) == Some(&id) {
            self.by_session.remove(&connection.session);
        }
        let address = connection.peer.ip();
        if let Some(count) = self.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        Some(connection)
    }

    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.table.get(&id).map(|connection| &**connection)
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.table.get_mut(&id).map(|connection| &mut **connection)
    }

    /// The connection that speaks for a session.
    pub(crate) fn of_session(&self, session: i64) -> Option<ConnectionId> {
        self.by_session.get(&session).copied()
    }

    /// Makes `id` the connection that speaks for `session`.
    pub(crate) fn set_session(&mut self, id: ConnectionId, session: i64) {
        if let Some(connection) = self.get_mut(id) {
            connection.session = session;
            self.by_session.insert(session, id);
        }
    }

    /// Gives a connection its whole timeout anew.
    pub(crate) fn touch(&mut self, id: ConnectionId, now: Monotonic) {
        if let Some(connection) = self.table.get_mut(&id) {
            self.expiry.touch(id, &mut connection.expires, connection.timeout_ms, now);
        }
    }

    /// Connections by the end of their patience.
    pub(crate) const fn expiry(&self) -> &Expiry {
        &self.expiry
    }

    /// Some connections whose patience has ended; they are still in the table.
    pub(crate) fn pop_silent(&mut self, now: Monotonic) -> Option<BTreeSet<ConnectionId>> {
        self.expiry.pop_due(now)
    }

    /// All names, in order.
    pub(crate) fn ids(&self) -> Vec<ConnectionId> {
        let mut ids: Vec<_> = self.table.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// An address as Java's `getHostAddress` prints it: IPv6 groups are not shortened.
pub(crate) fn host_address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|group| format!("{group:x}")).join(":"),
    }
}

fn socket_address(peer: SocketAddr) -> String {
    match peer.ip() {
        IpAddr::V4(v4) => format!("{v4}:{}", peer.port()),
        ip @ IpAddr::V6(_) => format!("[{}]:{}", host_address(ip), peer.port()),
    }
}

#[cfg(test)]
mod tests {
    use base::Now;

    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_counted_and_mapped_ones_are_their_ipv4_selves() {
        let mut connections = Connections::new(10_000);
        for (id, address) in [(1, "127.0.0.1:1"), (2, "[::ffff:127.0.0.1]:2"), (3, "[::1]:3")] {
            connections.open(ConnectionId(id), peer(address), 10_000, Now::default());
        }
        assert_eq!(connections.of_address(peer("127.0.0.1:9").ip()), 2);
        assert_eq!(connections.get(ConnectionId(3)).unwrap().peer_text(), "/[0:0:0:0:0:0:0:1]:3");
        assert_eq!(&*connections.get(ConnectionId(2)).unwrap().ids[0].id, "127.0.0.1");
        connections.remove(ConnectionId(1));
        connections.remove(ConnectionId(2));
        assert_eq!(connections.of_address(peer("127.0.0.1:9").ip()), 0);
        assert_eq!(connections.ids(), [ConnectionId(3)]);
    }

    #[test]
    fn a_session_that_moved_outlives_its_old_connection() {
        let mut connections = Connections::new(10_000);
        for id in [1, 2] {
            connections.open(ConnectionId(id), peer("127.0.0.1:1"), 10_000, Now::default());
            connections.set_session(ConnectionId(id), 77);
        }
        connections.remove(ConnectionId(1));
        assert_eq!(connections.of_session(77), Some(ConnectionId(2)));
        connections.remove(ConnectionId(2));
        assert_eq!(connections.of_session(77), None);
    }
}
