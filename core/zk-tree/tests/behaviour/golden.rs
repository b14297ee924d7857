//! Against files of the original: its log is applied and its requests are prepared to the same bytes and digests.

use std::collections::{BTreeMap, VecDeque};

use base::{Monotonic, Next, Now, Reader};
use bytes::{Bytes, BytesMut};
use zk_proto::connect::session_password;
use zk_proto::multi::{MultiResponse, OpResult};
use zk_proto::requests::Request;
use zk_proto::responses::{
    Create2Response, ErrorResponse, GetChildren2Response, GetChildrenResponse, PathResponse, Response, StatResponse,
};
use zk_proto::snapshot::{AclRecord, FileHeader, LOG_MAGIC, NodeRecord, SNAPSHOT_MAGIC, SessionRecord};
use zk_proto::{Acl, ErrorCode, Id, Jute, OpCode, Perms, StatPersisted, TxnEntry, WatcherEvent};
use zk_tree::prep::{Prep, PrepSettings, Write, WriteBody};
use zk_tree::reads::{self, Client};
use zk_tree::session::{Sessions, Strangers};
use zk_tree::watch::{Notification, Watches};
use zk_tree::{Restore, Tree, TreeSettings, TxnResult};

const SETTINGS: TreeSettings = TreeSettings { extended_types: true, digest: true };

/// The payloads of a log file.
fn log() -> Vec<Bytes> {
    let file = Bytes::from_static(include_bytes!("../golden/log.1"));
    let mut reader = Reader::new(&file);
    assert_eq!(FileHeader::decode(&mut reader).unwrap(), FileHeader { magic: LOG_MAGIC, version: 2, dbid: 0 });
    let mut payloads = Vec::new();
    while reader.remaining() > 0 {
        let _adler32 = reader.i64().unwrap();
        payloads.push(Bytes::decode(&mut reader).unwrap());
        assert_eq!(reader.u8(), Ok(b'B'));
    }
    payloads
}

fn entry(payload: &Bytes) -> TxnEntry {
    TxnEntry::decode(&mut Reader::new(payload)).unwrap()
}

pub(crate) type Dump = BTreeMap<String, (Option<Bytes>, Vec<Acl>, StatPersisted)>;

/// Everything that a snapshot would hold of nodes.
pub(crate) fn dump(tree: &mut Tree) -> Dump {
    let (walk, head) = tree.walk_begin();
    let acls: BTreeMap<i64, Vec<Acl>> = head.acls.into_iter().map(|record| (record.index, record.acl)).collect();
    let mut nodes = Dump::new();
    let done = tree.walk_slice(walk, usize::MAX, usize::MAX, |node| {
        let acl = if node.acl_index == -1 { vec![Acl::OPEN] } else { acls[&node.acl_index].clone() };
        nodes.insert(node.path.to_owned(), (node.data.map(Bytes::copy_from_slice), acl, node.stat));
    });
    assert_eq!(done, Next::Done);
    tree.walk_end(walk);
    nodes
}

fn replayed() -> Tree {
    let mut tree = Tree::new(SETTINGS);
    for payload in log() {
        let entry = entry(&payload);
        assert_eq!(entry.to_bytes(), payload, "bytes of {entry:?}");
        tree.apply(&entry.header, &entry.txn, &mut Vec::new());
        if let Some(digest) = entry.digest {
            assert_eq!(tree.digest(), digest.tree_digest, "digest behind {entry:?}");
        }
    }
    tree
}

#[test]
fn the_originals_log_comes_back_to_the_byte_and_leads_to_its_digests() {
    assert_eq!(replayed().last_zxid(), 0x67);
}

#[test]
fn the_originals_snapshot_is_the_tree_of_its_log() {
    let file = Bytes::from_static(include_bytes!("../golden/snapshot.67"));
    let mut reader = Reader::new(&file);
    assert_eq!(FileHeader::decode(&mut reader).unwrap(), FileHeader { magic: SNAPSHOT_MAGIC, version: 2, dbid: -1 });
    let mut restore = Restore::new(SETTINGS);
    for _ in 0..reader.i32().unwrap() {
        restore.session(&SessionRecord::decode(&mut reader).unwrap());
    }
    for _ in 0..reader.i32().unwrap() {
        restore.acl(&AclRecord::decode(&mut reader).unwrap()).unwrap();
    }
    while reader.rest().get(..5) != Some(b"\0\0\0\x01/") {
        restore.node(&NodeRecord::decode(&mut reader).unwrap()).unwrap();
    }
    let (_end, _adler32, _seal) = (reader.array::<5>(), reader.i64(), reader.array::<5>());
    assert_eq!((reader.i64(), reader.i32()), (Ok(0x67), Ok(2)));
    let digest = reader.u64().unwrap();

    let mut restored = restore.finish(0x67).unwrap();
    let mut replayed = replayed();
    assert_eq!(restored.digest(), digest);
    assert_eq!(dump(&mut restored), dump(&mut replayed));
    assert_eq!(restored.sessions(), replayed.sessions());
    assert_eq!(restored.sessions().len(), 1);
    // The data of the root, "root", counts twice at a start and once when it is set.
    assert_eq!(restored.approximate_data_size(), replayed.approximate_data_size() + 4);
    assert_eq!(restored.acl_count(), replayed.acl_count());
    let session = *restored.sessions().keys().next().unwrap();
    assert_eq!(restored.ephemerals(session), ["/ce"]);
    assert_eq!(restored.ephemeral_count(), replayed.ephemeral_count());
}

/// A client of the transcript.
struct Connection {
    session_id: i64,
    ids: Vec<Id>,
    cxid: i32,
}

struct Server {
    tree: Tree,
    prep: Prep,
    sessions: Sessions,
    watches: Watches,
    connections: BTreeMap<u64, Connection>,
    notifications: Vec<Notification>,
    log: VecDeque<Bytes>,
}

impl Server {
    /// Prepares and applies a write, and compares the log entry with the original's.
    fn write(&mut self, watcher: u64, body: WriteBody<'_>) -> Result<Bytes, ErrorCode> {
        let payload = self.log.pop_front().unwrap();
        let original = entry(&payload);
        let connection = &self.connections[&watcher];
        let write = Write {
            session_id: connection.session_id,
            cxid: connection.cxid,
            owner: watcher,
            ids: &connection.ids,
            body,
        };
        let now = Now { monotonic: Monotonic::default(), wall_ms: original.header.time_ms };
        let prepared = self.prep.prepare(&self.tree, &mut self.sessions, write, original.header.zxid, now);
        assert_eq!(prepared.entry, original);
        assert_eq!(prepared.bytes, payload);
        let mut events = Vec::new();
        let result = self.tree.apply(&original.header, &original.txn, &mut events);
        self.prep.applied(original.header.zxid);
        for event in &events {
            self.watches.trigger(event, &mut self.notifications);
        }
        match prepared.error.filter(|_| result.op != OpCode::Multi) {
            Some(error) => Err(error),
            None => {
                let mut out = BytesMut::new();
                response(&result).encode(&mut out);
                Ok(out.freeze())
            }
        }
    }

    fn answer(&mut self, watcher: u64, op: i32, body: &Bytes) -> Result<Bytes, ErrorCode> {
        let request = Request::decode(op, &mut Reader::new(body));
        let connection = self.connections.get_mut(&watcher).unwrap();
        connection.cxid += i32::from(!matches!(request, Ok(Request::Ping | Request::Auth(_))));
        if OpCode::from_code(op).is_some_and(Prep::is_write) {
            let body = request.as_ref().map_or(WriteBody::Malformed, WriteBody::Request);
            return self.write(watcher, body);
        }
        let request = request.map_err(|_| ErrorCode::MarshallingError)?;
        if let Request::Auth(auth) = request {
            let settings = &self.prep.settings().auth;
            return settings
                .authenticate(&auth.scheme, &auth.auth, "127.0.0.1", &mut connection.ids)
                .map(|()| Bytes::new());
        }
        self.sessions.check(connection.session_id, watcher)?;
        let mut out = BytesMut::new();
        let auth = &self.prep.settings().auth;
        let client = Client { session_id: connection.session_id, watcher, ids: &connection.ids, auth };
        reads::answer(&self.tree, &mut self.watches, client, &request, &mut self.notifications, &mut out)?;
        Ok(out.freeze())
    }

    /// What a client has to hear, as it would be sent.
    fn events(&mut self, watcher: u64) -> Vec<Bytes> {
        let mine = self.notifications.extract_if(.., |notification| notification.watcher == watcher);
        let (auth, ids) = (&self.prep.settings().auth, &self.connections[&watcher].ids);
        let allowed = mine.filter(|told| told.acl.as_ref().is_none_or(|acl| auth.allows(acl, Perms::READ, ids)));
        allowed.map(|told| WatcherEvent { event: told.event.code(), state: 3, path: told.path }.to_bytes()).collect()
    }
}

/// The body of the reply to a write that did not fail.
fn response(result: &TxnResult) -> Response {
    let (path, stat) = (result.path.clone().unwrap_or_default(), result.stat.unwrap_or_default());
    match result.op {
        OpCode::Create => Response::Path(PathResponse { path }),
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            Response::Create2(Create2Response { path, stat })
        }
        OpCode::SetData | OpCode::SetAcl => Response::Stat(StatResponse { stat }),
        OpCode::Multi => Response::Multi(MultiResponse { results: result.parts.iter().map(op_result).collect() }),
        _ => Response::Empty,
    }
}

fn op_result(result: &TxnResult) -> OpResult {
    match response(result) {
        Response::Path(body) => OpResult::Create(body),
        Response::Create2(body) => OpResult::Create2(body),
        Response::Stat(body) => OpResult::SetData(body),
        _ if result.op == OpCode::Delete => OpResult::Delete,
        _ if result.op == OpCode::Check => OpResult::Check,
        _ => OpResult::Error(ErrorResponse { err: result.err }),
    }
}

fn hex(text: &str) -> Bytes {
    let digits = if text == "-" { "" } else { text };
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Children come in the original's hash order.
fn sorted(op: i32, body: &Bytes) -> Response {
    let mut response = Response::decode(OpCode::from_code(op).unwrap(), &mut Reader::new(body)).unwrap();
    if let Response::GetChildren(GetChildrenResponse { children })
    | Response::GetChildren2(GetChildren2Response { children, .. }) = &mut response
    {
        children.sort();
    }
    response
}

#[test]
fn the_originals_requests_get_its_log_entries_replies_and_events() {
    let mut server = Server {
        tree: Tree::new(SETTINGS),
        prep: Prep::new(PrepSettings::default()),
        sessions: Sessions::new(2000, 0, Strangers::Unknown, Monotonic::default()),
        watches: Watches::default(),
        connections: BTreeMap::new(),
        notifications: Vec::new(),
        log: log().into(),
    };
    let mut events = Vec::new();
    for line in include_str!("../golden/transcript.txt").lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let watcher = u64::from(fields[0].as_bytes()[0]);
        match fields[1] {
            "connect" => {
                let session_id = fields[2].parse().unwrap();
                assert_eq!(hex(fields[4]), session_password(session_id)[..]);
                let ids = vec![Id::from_static("ip", "127.0.0.1")];
                server.connections.insert(watcher, Connection { session_id, ids, cxid: 0 });
                let timeout_ms = fields[3].parse().unwrap();
                server.write(watcher, WriteBody::CreateSession { timeout_ms }).unwrap();
            }
            "event" => events.push(hex(fields[2])),
            op => {
                let op = op.parse().unwrap();
                let answer = server.answer(watcher, op, &hex(fields[2]));
                let err = answer.as_ref().err().map_or(0, |error| error.code());
                assert_eq!(err.to_string(), fields[4], "{line}");
                if op != OpCode::Auth.code() {
                    assert_eq!(server.tree.last_zxid().to_string(), fields[3], "{line}");
                }
                if let Ok(body) = answer {
                    assert_eq!(sorted(op, &body), sorted(op, &hex(fields[5])), "{line}");
                    assert_eq!(body.len(), hex(fields[5]).len());
                }
                assert_eq!(server.events(watcher), std::mem::take(&mut events), "{line}");
            }
        }
    }
    assert!(server.log.is_empty());
}
