//! From bytes to requests: frames and their limits, four-letter words, and what is held back while too much is under way.

use base::{Now, Reader};
use bytes::Bytes;
use zk_proto::connect::RequestHeader;
use zk_proto::{ErrorCode, Jute, OpCode};
use zk_tree::prep::Prep;

use crate::connection::{Connection, Request, Stage, Waiting};
use crate::log::{Logger, java_exception};
use crate::read::decode;
use crate::reply::Header;
use crate::words::Word;
use crate::{ConnectionId, Effect, Effects, Server};

/// What stands next in an inbox.
enum Next {
    /// Nothing whole.
    Nothing,
    Frame(Bytes),
    Word(Word, Option<i64>),
    /// A length that is none, or a request that is too much: the connection ends.
    Refused(String),
}

impl Server {
    /// Takes in bytes of a connection, and all requests that are whole by now.
    pub(crate) fn received(&mut self, id: ConnectionId, bytes: Bytes, now: Now, effects: &mut Effects) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.inbox.push(bytes);
        self.connections.touch(id, now.monotonic);
        self.take_frames(id, now, effects);
    }

    /// Takes frames out of the inbox while that is allowed.
    pub(crate) fn take_frames(&mut self, id: ConnectionId, now: Now, effects: &mut Effects) {
        while let Some(connection) = self.connections.get(id)
            && !connection.is_held()
        {
            if self.is_too_busy_for(connection) {
                self.hold(id);
                break;
            }
            match self.next_in(id) {
                Next::Nothing => break,
                Next::Frame(frame) => self.take_frame(id, &frame, now, effects),
                Next::Word(word, trace_mask) => self.take_word(id, word, trace_mask, now, effects),
                Next::Refused(reason) => self.refuse(id, &reason, effects),
            }
        }
        self.tell_reading(id, effects);
    }

    /// Lets connections that were held back go on, in the order in which they were held.
    pub(crate) fn release_held(&mut self, now: Now, effects: &mut Effects) {
        for id in std::mem::take(&mut self.full) {
            self.drain_reads(id, now);
            self.take_frames(id, now, effects);
        }
        for id in std::mem::take(&mut self.idle_again) {
            self.release(id, now, effects);
        }
        while !self.is_over_limit()
            && let Some(id) = self.held.pop_front()
        {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.queued_for_release = false;
                self.release(id, now, effects);
            }
        }
    }

    fn release(&mut self, id: ConnectionId, now: Now, effects: &mut Effects) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.throttled = false;
            self.take_frames(id, now, effects);
        }
    }

    /// Whether `connection` must wait with its next request (upstream `shouldThrottle`, `RequestThrottler`). One without
    /// requests under way is let through the first limit, so that nobody starves.
    fn is_too_busy_for(&self, connection: &Connection) -> bool {
        connection.stage == Stage::Established
            && (self.is_full() || (self.in_process > self.config.outstanding_max && !connection.waiting.is_empty()))
    }

    fn is_over_limit(&self) -> bool {
        self.is_full() || self.in_process > self.config.outstanding_max
    }

    const fn is_full(&self) -> bool {
        self.config.in_process_max > 0 && self.in_process >= self.config.in_process_max
    }

    fn hold(&mut self, id: ConnectionId) {
        if self.is_full() {
            self.stats.counters.throttle_waits += 1;
        }
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.throttled = true;
        if !connection.queued_for_release {
            connection.queued_for_release = true;
            self.held.push_back(id);
        }
    }

    /// Stops or resumes reading as it has become due: a held connection is read until it has sent more than is taken.
    fn tell_reading(&mut self, id: ConnectionId, effects: &mut Effects) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let pause = connection.is_held() && !connection.inbox.is_empty();
        if pause != connection.reading_paused {
            connection.reading_paused = pause;
            effects.push(if pause { Effect::PauseReading(id) } else { Effect::ResumeReading(id) });
        }
    }

    fn next_in(&mut self, id: ConnectionId) -> Next {
        let serving = self.takes_clients();
        let Some(connection) = self.connections.get_mut(id) else { return Next::Nothing };
        let Some(prefix) = connection.inbox.prefix() else { return Next::Nothing };
        if connection.stage == Stage::New
            && let Some(word) = Word::parse(prefix)
        {
            return self.next_word(id, word);
        }
        let claimed = i32::from_be_bytes(prefix);
        let length = match usize::try_from(claimed) {
            Ok(length) if length <= self.config.frame_length_max as usize => length,
            _ => return Next::Refused(format!("Len error {claimed}")),
        };
        if !serving {
            // Those who wait for an answer still get it; what they send now is left where it is.
            return match connection.stage {
                Stage::New => Next::Refused("ZooKeeperServer not running".to_owned()),
                Stage::Connecting | Stage::Established => Next::Nothing,
            };
        }
        if self.config.is_large(length) && self.large_bytes + length > self.config.large_request_bytes_max {
            self.stats.counters.large_requests_rejected += 1;
            return Next::Refused("Rejecting large request".to_owned());
        }
        match connection.inbox.take(length) {
            Some(frame) => {
                connection.stats.received += 1;
                self.stats.packets_received += 1;
                self.stats.counters.bytes_received += 4 + length as u64;
                Next::Frame(frame)
            }
            None => Next::Nothing,
        }
    }

    fn next_word(&mut self, id: ConnectionId, word: Word) -> Next {
        let Some(connection) = self.connections.get_mut(id) else { return Next::Nothing };
        // The mask counts only where it is read: a command that is not allowed is refused without it.
        let mask_length = if word == Word::Stmk && self.whitelist.allows(word) { 8 } else { 0 };
        let Some(mask) = connection.inbox.take(mask_length) else { return Next::Nothing };
        connection.stats.received += 1;
        self.stats.packets_received += 1;
        self.stats.counters.bytes_received += 4;
        Next::Word(word, Reader::new(&mask).i64().ok())
    }

    fn take_word(&mut self, id: ConnectionId, word: Word, mask: Option<i64>, now: Now, effects: &mut Effects) {
        let Some(peer) = self.connections.get(id).map(Connection::peer_text) else { return };
        if self.whitelist.allows(word) {
            self.log.info(Logger::Connection, format!("Processing {} command from {peer}", word.text()));
        }
        match self.answer(word, id, mask, now) {
            Some(text) => {
                self.stats.packets_sent += 1;
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.out.extend_from_slice(text.as_bytes());
                }
                self.close(id, effects);
            }
            None => self.refuse(id, "Len error -720899", effects),
        }
    }

    /// Ends a connection that broke the rules.
    pub(crate) fn refuse(&mut self, id: ConnectionId, reason: &str, effects: &mut Effects) {
        let Some(connection) = self.connections.get(id) else { return };
        let message = format!("Close of session {:#x}", connection.session);
        self.log.warn(Logger::Connection, java_exception(&message, "java.io.IOException", reason));
        self.close(id, effects);
    }

    fn take_frame(&mut self, id: ConnectionId, frame: &Bytes, now: Now, effects: &mut Effects) {
        match self.connections.get(id).map(|connection| connection.stage) {
            Some(Stage::New) => self.connect(id, frame, now, effects),
            Some(Stage::Established) => self.take_request(id, frame, now, effects),
            Some(Stage::Connecting) | None => {}
        }
    }

    fn take_request(&mut self, id: ConnectionId, frame: &Bytes, now: Now, effects: &mut Effects) {
        let mut reader = Reader::new(frame);
        let Ok(header) = RequestHeader::decode(&mut reader) else {
            return self.refuse(id, "A request without a header", effects);
        };
        let Some(connection) = self.connections.get_mut(id) else { return };
        if header.xid > 0 {
            connection.outstanding += 1;
        }
        let body = frame.slice(reader.position()..);
        match OpCode::from_code(header.op) {
            Some(OpCode::Auth) => return self.authenticate(id, header.xid, &body, effects),
            Some(OpCode::Sasl) => return self.take_sasl(id, header.xid, &body, effects),
            _ => {}
        }
        let (session, timeout_ms) = (connection.session, connection.timeout_ms);
        if self.requires_login(id, header.xid, effects) {
            return;
        }
        if !self.touch_session(session, timeout_ms, now) {
            // The session is gone or going: its connection is closed as that is committed.
            return;
        }
        let Some(op) = OpCode::from_code(header.op).filter(|op| is_request(*op)) else {
            return self.refuse_unknown(id, header, effects);
        };
        let Some(connection) = self.connections.get(id) else { return };
        let ids = connection.ids.clone();
        let request = Request { connection: id, session, xid: header.xid, op, body, ids, arrived: now.monotonic };
        self.submit(request, now, effects);
    }

    /// Sends a request on its way: what changes state is prepared at once, what reads waits for the session's writes, and
    /// a `sync` for those of all.
    fn submit(&mut self, request: Request, now: Now, effects: &mut Effects) {
        self.stats.counters.requests_prepared += 1;
        if self.is_read_only() && self.refuse_write(&request, effects) {
            return;
        }
        // A reconfig that cannot be read is answered without a transaction, unlike all other writes.
        let unreadable = request.op == OpCode::Reconfig && decode(&request).is_err();
        let ends_here = request.op == OpCode::CloseSession && self.sessions.is_local(request.session);
        if Prep::is_write(request.op) && !unreadable && !ends_here {
            return self.prepare(&request, now);
        }
        if request.op == OpCode::Sync && self.follows() {
            return self.forward_sync(request);
        }
        if request.op == OpCode::Sync && !self.pipeline.is_empty() {
            return self.queue_sync(request);
        }
        let Some(connection) = self.connections.get_mut(request.connection) else { return };
        // Clients match a ping's answer by its xid alone, so that it need not wait for the disk with the others.
        if connection.waiting.is_empty() || request.op == OpCode::Ping {
            self.read(&request, now);
        } else {
            connection.waiting.push_back(Waiting::Read(Box::new(request)));
            self.in_process += 1;
        }
    }

    fn refuse_unknown(&mut self, id: ConnectionId, header: RequestHeader, effects: &mut Effects) {
        self.log.warn(Logger::Server, format!("Received packet at server of unknown type {}", header.op));
        self.reply(id, Header { xid: header.xid, zxid: -1, error: ErrorCode::Unimplemented }, |_| {});
        self.close(id, effects);
    }
}

/// Whether a client may send it, past the connect request. `createSession` is a connect request's business alone.
const fn is_request(op: OpCode) -> bool {
    !matches!(op, OpCode::Notification | OpCode::Error | OpCode::CreateSession | OpCode::Auth | OpCode::Sasl)
}
