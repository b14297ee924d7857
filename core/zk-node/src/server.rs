//! The state machine's face: events in, effects out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use base::{Disk, Monotonic, Now, Random};
use bytes::BytesMut;
use zk_store::DataDirs;
use zk_tree::Tree;
use zk_tree::session::Sessions;
use zk_tree::watch::Watches;

use crate::connection::{Connections, Waiting};
use crate::containers::Containers;
use crate::event::Outcome;
use crate::housekeeping::Housekeeping;
use crate::journal::Journal;
use crate::link_logins::LinkLogins;
use crate::log::{Lines, Logger};
use crate::member::Member;
use crate::pipeline::Pipeline;
use crate::reply::{self, Header};
use crate::role::Role;
use crate::snapshot::Running;
use crate::stats::ServerStats;
use crate::throttle::TokenBucket;
use crate::words::Whitelist;
use crate::{ConnectionId, DiskDone, Effect, Effects, Event, ServerConfig, StopReason};

/// One ZooKeeper server. See the crate's documentation for turns.
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) disk: Arc<dyn Disk>,
    /// Locked while the server lives.
    pub(crate) dirs: DataDirs,
    pub(crate) random: Random,
    pub(crate) state: State,
    pub(crate) role: Role,
    pub(crate) started: Monotonic,

    pub(crate) tree: Tree,
    pub(crate) watches: Watches,
    pub(crate) sessions: Sessions,
    pub(crate) pipeline: Pipeline,
    pub(crate) journal: Journal,
    pub(crate) snapshot: Option<Running>,
    /// Counts snapshots: what a given-up one still writes is told from what counts.
    pub(crate) snapshot_serial: u64,
    /// The disk is making log or tree match the leader's.
    pub(crate) matching: bool,
    pub(crate) housekeeping: Housekeeping,
    pub(crate) containers: Containers,
    pub(crate) link_logins: LinkLogins,

    pub(crate) connections: Connections,
    /// Connections with something to send at the end of the turn.
    pub(crate) marked: Vec<ConnectionId>,
    /// Connections that wait for requests of others to finish, the longest waiting first.
    pub(crate) held: VecDeque<ConnectionId>,
    /// Connections that have nothing under way any more and may have been held for that.
    pub(crate) idle_again: Vec<ConnectionId>,
    /// Connections whose replies filled the last turn.
    pub(crate) full: Vec<ConnectionId>,
    /// Connections to be closed at the end of the turn: their clients do not read their watch events, or have closed a
    /// session that only this server knew.
    pub(crate) ending: Vec<ConnectionId>,
    /// Requests that are neither answered nor dropped.
    pub(crate) in_process: usize,
    /// Bytes of large requests among them.
    pub(crate) large_bytes: usize,
    pub(crate) tokens: TokenBucket,

    pub(crate) whitelist: Whitelist,
    pub(crate) trace_mask: i64,
    pub(crate) stats: ServerStats,
    pub(crate) log: Lines,
}

/// How far a server's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A member of an ensemble without a leader: no client is served.
    Looking,
    /// The same, but for clients that are content to read.
    ReadOnly,
    Running,
    /// Answers what is under way, takes nothing new.
    Stopping,
    /// All is answered; the log is being closed.
    Closing,
    Stopped,
}

impl Server {
    /// The settings it was opened with.
    pub const fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Takes in one event. Most effects come at the end of the turn.
    pub fn handle(&mut self, event: Event, now: Now, effects: &mut Effects) {
        if self.state == State::Stopped {
            return;
        }
        match event {
            Event::Opened { connection, peer, certificates } => {
                self.open_connection(connection, peer, now, effects);
                self.certified(connection, certificates.as_deref().unwrap_or_default(), effects);
            }
            Event::Received { connection, bytes } => self.received(connection, bytes, now, effects),
            Event::Congested { connection, congested } => self.client_congested(connection, congested),
            Event::Closed { connection } => self.connection_lost(connection),
            Event::Link(event) if self.link_logins.is_on() => {
                for event in self.link_logins.event(event, now.monotonic, &mut self.random, &mut self.log) {
                    self.link_event(event, now, effects);
                }
            }
            Event::Link(event) => self.link_event(event, now, effects),
            Event::Disk(DiskDone(outcome)) => self.disk_done(outcome, now, effects),
            Event::Tick => self.tick(now, effects),
            Event::Stop => {
                self.state = State::Stopping;
                self.leave_ensemble(effects);
            }
        }
    }

    /// Ends a turn: replies and watch events leave, the log's sync starts if something waits for it.
    pub fn end_turn(&mut self, now: Now, effects: &mut Effects) {
        if self.state == State::Stopped {
            return;
        }
        self.member_turn(now, effects);
        self.commit(now, effects);
        self.release_held(now, effects);
        self.member_turn(now, effects);
        self.flush_links(now, effects);
        for id in std::mem::take(&mut self.ending) {
            self.close(id, effects);
        }
        self.sync_log(now, effects);
        self.log.drain_into(effects);
        self.send_marked(effects);
        if self.link_logins.is_on() {
            self.link_logins.rewrite(effects, now.monotonic);
        }
        if self.state == State::Stopping && self.pipeline.is_empty() && self.journal.is_idle() {
            self.close_log(effects);
        }
    }

    /// When [`Event::Tick`] is wanted next, whatever else happens before.
    pub fn deadline(&self) -> Option<Monotonic> {
        let log = self.journal.deadline(&self.config);
        let member = self.member_deadline().into_iter().chain(self.link_logins.deadline()).min();
        match self.state {
            State::Running | State::ReadOnly => {}
            State::Looking => return log.into_iter().chain(member).min(),
            State::Stopping => return log,
            State::Closing | State::Stopped => return None,
        }
        [
            log,
            (!self.full.is_empty()).then(Monotonic::default),
            member,
            self.sessions.next_deadline(),
            self.connections.expiry().next_deadline(),
            self.role.orders().then(|| self.containers.deadline()),
            self.housekeeping.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// As `srvr` tells it.
    pub(crate) fn mode(&self) -> &'static str {
        match self.is_read_only() {
            true => "read-only",
            false => self.role.member().map_or("standalone", Member::mode),
        }
    }

    /// Whether clients are served.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(self.state, State::Running | State::ReadOnly)
    }

    /// The same, but for a leader that is to have none (`leaderServes`).
    pub(crate) fn takes_clients(&self) -> bool {
        self.is_serving() && self.role.member().is_none_or(Member::takes_clients)
    }

    fn disk_done(&mut self, outcome: Outcome, now: Now, effects: &mut Effects) {
        match outcome {
            Outcome::Log(done) => self.log_written(*done, now, effects),
            Outcome::LogClosed(result) => self.log_closed(result, effects),
            Outcome::Snapshot(serial, written) => self.snapshot_written(serial, written, now, effects),
            Outcome::SnapshotAbandoned(result) => self.snapshot_abandoned(result),
            Outcome::Epoch(stored) => self.epoch_stored(stored, now, effects),
            Outcome::List(kept) => self.list_kept(kept),
            Outcome::LogRead(read) => self.log_read(read, now),
            Outcome::Matched(matched) => self.matched(matched, now, effects),
            Outcome::Purge(removed) => self.purged(removed),
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Effects) {
        if matches!(self.state, State::Running | State::Looking | State::ReadOnly) {
            self.member_tick(now, effects);
        }
        if !self.is_serving() {
            return;
        }
        for session in self.sessions.expire(now.monotonic) {
            self.expire_session(session, now, effects);
        }
        while let Some(silent) = self.connections.pop_silent(now.monotonic) {
            for id in silent {
                self.stats.counters.sessionless_expired += 1;
                self.close(id, effects);
            }
        }
        if self.role.orders() {
            self.reap_containers(now);
        }
        self.purge_if_due(now, effects);
    }

    /// Marks a connection for sending at the end of the turn.
    pub(crate) fn mark(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.touched
        {
            connection.touched = true;
            self.marked.push(id);
        }
    }

    /// Writes a reply into a connection's buffer, if the connection is still there.
    pub(crate) fn reply(&mut self, id: ConnectionId, header: Header, body: impl FnOnce(&mut BytesMut)) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let length = reply::reply(&mut connection.out, header, body);
        connection.stats.sent += 1;
        self.stats.replied(length);
        self.mark(id);
    }

    /// Counts a request with a positive xid as answered.
    pub(crate) fn settle(&mut self, id: ConnectionId, xid: i32) {
        if let Some(connection) = self.connections.get_mut(id)
            && xid > 0
        {
            connection.outstanding = connection.outstanding.saturating_sub(1);
        }
    }

    fn send_marked(&mut self, effects: &mut Effects) {
        for id in std::mem::take(&mut self.marked) {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            connection.touched = false;
            if connection.is_full() {
                self.full.push(id);
            }
            let bytes = std::mem::take(&mut connection.out).freeze();
            if !bytes.is_empty() {
                effects.push(Effect::Send { connection: id, bytes });
            }
        }
    }

    fn open_connection(&mut self, id: ConnectionId, peer: SocketAddr, now: Now, effects: &mut Effects) {
        if let Some(refusal) = self.refusal(peer) {
            self.stats.counters.connections_rejected += 1;
            self.log.warn(Logger::ConnectionFactory, format!("Error accepting new connection: {refusal}"));
            effects.push(Effect::Close(id));
            return;
        }
        let timeout_ms = i32::try_from(self.config.sessionless_timeout_ms).unwrap_or(i32::MAX);
        self.connections.open(id, peer, timeout_ms, now);
    }

    /// Why a new connection is not taken, if so.
    fn refusal(&mut self, peer: SocketAddr) -> Option<String> {
        let (open, connections_max) = (self.connections.len(), self.config.connections_max);
        if connections_max > 0 && open >= connections_max as usize {
            let message = format!("Too many connections {open} - max is {connections_max}");
            self.log.error(Logger::ConnectionFactory, message);
            return Some(format!("Too many connections max allowed is {connections_max}"));
        }
        let per_address_max = self.config.connections_per_address_max;
        let full = per_address_max > 0 && self.connections.of_address(peer.ip()) >= per_address_max;
        full.then(|| {
            let address = crate::connection::host_address(peer.ip());
            format!("Too many connections from /{address} - max is {per_address_max}")
        })
    }

    /// Ends a connection once what was written to it is sent.
    pub(crate) fn close(&mut self, id: ConnectionId, effects: &mut Effects) {
        if let Some(bytes) = self.forget(id) {
            if !bytes.is_empty() {
                effects.push(Effect::Send { connection: id, bytes: bytes.freeze() });
            }
            effects.push(Effect::Close(id));
        }
    }

    /// A client can take no more for now, or can again.
    fn client_congested(&mut self, id: ConnectionId, congested: bool) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.congested = congested;
        connection.unread_event_bytes = 0;
        if !congested {
            self.full.push(id);
        }
    }

    fn connection_lost(&mut self, id: ConnectionId) {
        if self.forget(id).is_some() {
            self.stats.counters.connections_dropped += 1;
        }
    }

    /// Drops a connection with its watches and waiting reads; its writes go on. What it was still to be sent.
    fn forget(&mut self, id: ConnectionId) -> Option<BytesMut> {
        let connection = self.connections.remove(id)?;
        self.watches.remove_watcher(id.0);
        for waiting in &connection.waiting {
            match waiting {
                // Comes back committed, and is counted then.
                Waiting::Pipeline => {}
                Waiting::Read(_) => self.in_process -= 1,
                Waiting::Forwarded(origin) => {
                    self.in_process -= 1;
                    self.large_bytes -= if self.config.is_large(origin.length) { origin.length } else { 0 };
                }
            }
        }
        Some(connection.out)
    }

    /// Ends the server: nothing is acknowledged any more.
    pub(crate) fn stop(&mut self, reason: StopReason, effects: &mut Effects) {
        self.state = State::Stopped;
        for id in self.connections.ids() {
            self.close(id, effects);
        }
        self.log.drain_into(effects);
        effects.push(Effect::Stop(reason));
    }
}
