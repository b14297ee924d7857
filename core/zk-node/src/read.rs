//! Requests that change nothing: answered from the committed tree, straight into the connection's buffer (upstream
//! `FinalRequestProcessor`).

use base::{Now, Reader, Str};
use bytes::{Bytes, BytesMut};
use zk_proto::multi::Op;
use zk_proto::requests::PathRequest;
use zk_proto::{ErrorCode, Jute, OpCode};
use zk_tree::reads::{self, Client};

use crate::connection::{Request, Waiting};
use crate::log::Logger;
use crate::pipeline::may_know;
use crate::reply::{self, Header};
use crate::{ConnectionId, Server};

impl Server {
    /// Answers a read. The events of watches that it sets anew come before its reply.
    pub(crate) fn read(&mut self, request: &Request, now: Now) {
        if request.op == OpCode::CloseSession {
            return self.close_local(request, now);
        }
        let Some(connection) = self.connections.get_mut(request.connection) else { return };
        let mut out = std::mem::take(&mut connection.out);
        let header = Header { xid: request.xid, zxid: self.tree.last_zxid(), error: ErrorCode::Ok };
        let start = out.len();
        let mut missed = Vec::new();
        let decoded = decode(request);
        let (error, length) = reply::try_reply(&mut out, header, |out| {
            let client = Client {
                session_id: request.session,
                watcher: request.connection.0,
                ids: &request.ids,
                auth: &self.pipeline.prep.settings().auth,
            };
            reads::answer(
                &self.tree,
                &mut self.watches,
                client,
                decoded.as_ref().map_err(|error| *error)?,
                &mut missed,
                out,
            )
        });
        if let (ErrorCode::Ok, Ok(decoded)) = (error, &decoded) {
            self.count_read(decoded, length);
        }
        if !missed.is_empty() {
            let answer = out.split_off(start);
            for event in missed.iter().filter(|event| may_know(&self.pipeline.prep, &request.ids, event)) {
                let length = reply::notification(&mut out, event.event, &event.path);
                self.stats.replied(length);
            }
            out.unsplit(answer);
        }
        if error == ErrorCode::MarshallingError {
            self.log.warn(Logger::Final, format!("Failed to process {}", describe(request)));
        }
        self.give_back(request.connection, out);
        self.stats.replied(length);
        self.answered(&request.origin(), header.zxid, now, false);
    }

    /// Counts the bytes that were read: of the path, the data or the children's names, and the stat.
    fn count_read(&mut self, request: &zk_proto::requests::Request, reply_len: usize) {
        use zk_proto::requests::Request;
        const STAT_LEN: usize = 68;
        // A header, the data's length, and a stat.
        const AROUND_DATA_LEN: usize = 16 + 4 + STAT_LEN;
        let namespaces = &mut self.stats.namespaces_read;
        let data = |path: &str| self.tree.get(path).and_then(|node| node.data()).map_or(0, <[u8]>::len);
        let children = |path: &str| self.tree.get(path).map_or(0, |node| node.children().map(str::len).sum());
        let mut add = |path: &str, bytes: usize| namespaces.add(path, path.len() + bytes + STAT_LEN);
        match request {
            Request::GetData(body) => add(&body.path, reply_len.saturating_sub(AROUND_DATA_LEN)),
            Request::Exists(body) => add(&body.path, 0),
            Request::GetChildren(body) | Request::GetChildren2(body) => add(&body.path, children(&body.path)),
            Request::MultiRead(multi) => {
                for op in multi.ops.iter().filter(|op| self.tree.get(op.path()).is_some()) {
                    match op {
                        Op::GetChildren(_) => add(op.path(), children(op.path())),
                        _ => add(op.path(), data(op.path())),
                    }
                }
            }
            _ => {}
        }
    }

    /// Answers the reads that have come to the front of a connection's order.
    pub(crate) fn drain_reads(&mut self, id: ConnectionId, now: Now) {
        while let Some(connection) = self.connections.get_mut(id)
            && !connection.is_full()
            && matches!(connection.waiting.front(), Some(Waiting::Read(_)))
            && let Some(Waiting::Read(request)) = connection.waiting.pop_front()
        {
            self.in_process -= 1;
            self.read(&request, now);
        }
        if self.connections.get(id).is_some_and(|connection| connection.waiting.is_empty() && connection.throttled) {
            self.idle_again.push(id);
        }
    }

    fn give_back(&mut self, id: ConnectionId, out: BytesMut) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.out = out;
            connection.stats.sent += 1;
        }
        self.mark(id);
    }
}

/// As [`decode`], of a request that another server has passed on.
pub(crate) fn decode_body(op: OpCode, body: &Bytes) -> Result<zk_proto::requests::Request, ErrorCode> {
    zk_proto::requests::Request::decode(op.code(), &mut Reader::new(body)).map_err(|_| ErrorCode::MarshallingError)
}

/// The request's body. One that is none is answered with `MarshallingError`.
pub(crate) fn decode(request: &Request) -> Result<zk_proto::requests::Request, ErrorCode> {
    let mut reader = Reader::new(&request.body);
    if request.op == OpCode::GetEphemerals {
        // The one path that may be null: all of the session's nodes.
        let prefix = <Option<Str>>::decode(&mut reader).map_err(|_| ErrorCode::MarshallingError)?;
        return Ok(zk_proto::requests::Request::GetEphemerals(PathRequest { path: prefix.unwrap_or_default() }));
    }
    zk_proto::requests::Request::decode(request.op.code(), &mut reader).map_err(|_| ErrorCode::MarshallingError)
}

/// The request as the original's log shows it.
pub(crate) fn describe(request: &Request) -> String {
    format!("sessionid:{:#x} type:{} cxid:{:#x}", request.session, request.op.name(), request.xid)
}
