//! `cons`, `crst`, `dump`.

use std::fmt::Write as _;

use base::{Monotonic, Now};

use super::date::java_date;
use crate::stats::ConnectionStats;
use crate::{ConnectionId, Server};

impl Server {
    pub(super) fn connections_text(&self, asker: ConnectionId) -> String {
        let mut text = String::new();
        self.list_connections(&mut text, asker, false);
        text.push('\n');
        text
    }

    /// One line for each connection, in the order of their opening.
    pub(super) fn list_connections(&self, text: &mut String, asker: ConnectionId, brief: bool) {
        for id in self.connections.ids() {
            let Some(connection) = self.connections.get(id) else { continue };
            let stats = &connection.stats;
            // The interest in reading; the asker's own socket waits for nothing any more.
            let interest = u8::from(id != asker && !connection.throttled);
            let _ = write!(
                text,
                " {}[{interest}](queued={},recved={},sent={}",
                connection.peer_text(),
                connection.outstanding,
                stats.received,
                stats.sent
            );
            if !brief && connection.session != 0 {
                let _ = write!(
                    text,
                    ",sid={:#x},lop={},est={},to={}",
                    connection.session, stats.last_op, connection.opened_wall_ms, connection.timeout_ms
                );
                if stats.last_cxid >= 0 {
                    let _ = write!(text, ",lcxid={:#x}", stats.last_cxid);
                }
                let _ = write!(
                    text,
                    ",lzxid={:#x},lresp={},llat={},minlat={},avglat={},maxlat={}",
                    stats.last_zxid,
                    stats.last_response_ms,
                    stats.last_latency_ms,
                    stats.least_ms(),
                    stats.average_ms(),
                    stats.greatest_ms
                );
            }
            text.push_str(")\n");
        }
    }

    pub(super) fn reset_connections(&mut self) {
        for id in self.connections.ids() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.stats = ConnectionStats::reset();
            }
        }
    }

    pub(super) fn dump_text(&self, now: Now) -> String {
        let mut text = "SessionTracker dump:\n".to_owned();
        self.dump_sessions(&mut text, now);
        let ephemerals: Vec<_> =
            self.tree.sessions_with_ephemerals().map(|session| (session, self.tree.ephemerals(session))).collect();
        let _ = write!(text, "ephemeral nodes dump:\nSessions with Ephemerals ({}):\n", ephemerals.len());
        for (session, paths) in ephemerals {
            let _ = writeln!(text, "{session:#x}:");
            for path in paths {
                let _ = writeln!(text, "\t{path}");
            }
        }
        text.push_str("Connections dump:\nConnections ");
        let connections: Vec<_> =
            self.connections.expiry().buckets().map(|(due, members)| (due, members.clone())).collect();
        let described: Vec<_> = connections
            .into_iter()
            .map(|(due, members)| (due, members.into_iter().filter_map(|id| self.describe(id)).collect()))
            .collect();
        dump_buckets(&mut text, &described, now);
        text
    }

    /// A learner knows when those end that no other server knows; of the others, their timeouts.
    fn dump_sessions(&self, text: &mut String, now: Now) {
        let dump = |text: &mut String, is_local| {
            let told = |members: Vec<i64>| members.iter().map(|session| format!("{session:#x}")).collect();
            let sessions: Vec<_> =
                self.sessions.by_deadline(is_local).into_iter().map(|(due, members)| (due, told(members))).collect();
            text.push_str("Session ");
            dump_buckets(text, &sessions, now);
        };
        if self.config.local_sessions() {
            text.push_str("Local ");
            dump(text, true);
            text.push_str("Global ");
        } else if self.follows() {
            text.push_str("Global ");
        }
        if !self.follows() {
            return dump(text, false);
        }
        let _ = writeln!(text, "Sessions({}):", self.tree.sessions().len());
        for (session, timeout_ms) in self.tree.sessions() {
            let _ = writeln!(text, "{session:#x}\t{timeout_ms}ms");
        }
    }

    fn describe(&self, id: ConnectionId) -> Option<String> {
        let connection = self.connections.get(id)?;
        Some(format!("ip: {} sessionId: {:#x}", connection.peer_text(), connection.session))
    }
}

/// Buckets of an expiry queue with their members, one a line.
fn dump_buckets(text: &mut String, buckets: &[(Monotonic, Vec<String>)], now: Now) {
    let members: usize = buckets.iter().map(|(_, members)| members.len()).sum();
    let _ = writeln!(text, "Sets ({})/({members}):", buckets.len());
    for (due, members) in buckets {
        let due_wall_ms = now.wall_ms + (due.ms() as i64 - now.monotonic.ms() as i64);
        let _ = writeln!(text, "{} expire at {}:", members.len(), java_date(due_wall_ms));
        for member in members {
            let _ = writeln!(text, "\t{member}");
        }
    }
}
