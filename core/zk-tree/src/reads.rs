//! Requests that change nothing but watches, answered from the tree in the original's order of checks
//! (`FinalRequestProcessor`). Bodies are written straight into the reply.

use base::Str;
use bytes::{BufMut, BytesMut};
use zk_proto::jute::put_str;
use zk_proto::multi::{MultiHeader, Op};
use zk_proto::requests::{ReadRequest, Request, SetWatches2Request, WatchesRequest};
use zk_proto::responses::{ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse, PathResponse, StatResponse};
use zk_proto::{AddWatchMode, ErrorCode, EventType, Id, Jute, OpCode, Perms, WatcherType};

use crate::auth::{AuthSettings, masked};
use crate::watch::{Notification, Watches};
use crate::{Tree, ZnodeRef};

/// Who asks.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// The session.
    pub session_id: i64,
    /// The connection, to which events go.
    pub watcher: u64,
    /// What the connection authenticated itself as.
    pub ids: &'a [Id],
    /// What the configuration says about authentication.
    pub auth: &'a AuthSettings,
}

/// Answers a request that is no write: appends the body of its response to `out`, and to `events` what the client is to
/// hear before the response (only `setWatches` says something at once).
///
/// # Errors
/// What the reply's header says; then nothing was appended to `out`. `Unimplemented` for writes.
pub fn answer(
    tree: &Tree,
    watches: &mut Watches,
    client: Client<'_>,
    request: &Request,
    events: &mut Vec<Notification>,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    match request {
        Request::Ping | Request::CloseSession => {}
        Request::Sync(body) => PathResponse { path: body.path.clone() }.encode(out),
        Request::Exists(body) => exists(tree, watches, client, body, out)?,
        Request::GetData(body) => {
            let node = readable(tree, client, &body.path)?;
            watch(body, client, |path, watcher| watches.add_data(path, watcher));
            put_data(node, out);
        }
        Request::GetChildren(body) | Request::GetChildren2(body) => {
            let node = readable(tree, client, &body.path)?;
            watch(body, client, |path, watcher| watches.add_children(path, watcher));
            put_children(node, out);
            if matches!(request, Request::GetChildren2(_)) {
                node.stat().encode(out);
            }
        }
        Request::GetAcl(body) => get_acl(tree, client, &body.path)?.encode(out),
        Request::GetAllChildrenNumber(body) => {
            let node = readable(tree, client, &body.path)?;
            GetAllChildrenNumberResponse { total_number: descendants(tree, node, &body.path) }.encode(out);
        }
        Request::GetEphemerals(body) => put_ephemerals(tree, client, &body.path, out),
        Request::MultiRead(multi) => multi_read(tree, client, &multi.ops, out)?,
        Request::SetWatches(body) => {
            let body = SetWatches2Request {
                relative_zxid: body.relative_zxid,
                data_watches: body.data_watches.clone(),
                exist_watches: body.exist_watches.clone(),
                child_watches: body.child_watches.clone(),
                persistent_watches: Vec::new(),
                persistent_recursive_watches: Vec::new(),
            };
            set_watches(tree, watches, client, &body, events);
        }
        Request::SetWatches2(body) => set_watches(tree, watches, client, body, events),
        Request::AddWatch(body) => {
            let mode = AddWatchMode::from_code(body.mode).ok_or(ErrorCode::MarshallingError)?;
            watches.add(&body.path, client.watcher, mode);
            ErrorResponse { err: 0 }.encode(out);
        }
        Request::CheckWatches(body) => {
            found(watches.contains(&body.path, client.watcher, watcher_type(body)?))?;
        }
        Request::RemoveWatches(body) => {
            found(watches.remove(&body.path, client.watcher, watcher_type(body)?))?;
        }
        _ => return Err(ErrorCode::Unimplemented),
    }
    Ok(())
}

/// No permission is asked for, and a watch is left on a node that is not there.
fn exists(
    tree: &Tree,
    watches: &mut Watches,
    client: Client<'_>,
    body: &ReadRequest,
    out: &mut BytesMut,
) -> Result<(), ErrorCode> {
    if body.path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    watch(body, client, |path, watcher| watches.add_data(path, watcher));
    let node = tree.get(&body.path).ok_or(ErrorCode::NoNode)?;
    StatResponse { stat: node.stat() }.encode(out);
    Ok(())
}

fn get_acl(tree: &Tree, client: Client<'_>, path: &str) -> Result<GetAclResponse, ErrorCode> {
    let node = tree.get(path).ok_or(ErrorCode::NoNode)?;
    client.auth.check(node.acl(), Perms::READ | Perms::ADMIN, client.ids)?;
    let acl =
        if client.auth.allows(node.acl(), Perms::ADMIN, client.ids) { node.acl().to_vec() } else { masked(node.acl()) };
    Ok(GetAclResponse { acl, stat: node.stat() })
}

/// How long the answer to a `multiRead` may be: a short request can ask for the same large node many times over.
const MULTI_READ_BYTES_MAX: usize = 64 << 20;

fn multi_read(tree: &Tree, client: Client<'_>, ops: &[Op], out: &mut BytesMut) -> Result<(), ErrorCode> {
    let start = out.len();
    for op in ops {
        if out.len() - start > MULTI_READ_BYTES_MAX {
            out.truncate(start);
            return Err(ErrorCode::MarshallingError);
        }
        let node = readable(tree, client, op.path());
        match (op, node) {
            (Op::GetChildren(_), Ok(node)) => {
                MultiHeader::of(OpCode::GetChildren, 0, out);
                put_children(node, out);
            }
            (Op::GetData(_), Ok(node)) => {
                MultiHeader::of(OpCode::GetData, 0, out);
                put_data(node, out);
            }
            (_, node) => {
                // A write among reads is refused by the decoder.
                let err = node.err().unwrap_or(ErrorCode::Unimplemented).code();
                MultiHeader::of(OpCode::Error, err, out);
                ErrorResponse { err }.encode(out);
            }
        }
    }
    MultiHeader::END.encode(out);
    Ok(())
}

/// Takes over what a client watched at another server, or before its connection broke, and tells it what it missed.
fn set_watches(
    tree: &Tree,
    watches: &mut Watches,
    client: Client<'_>,
    body: &SetWatches2Request,
    events: &mut Vec<Notification>,
) {
    let mut tell = |event, path: &Str, node: Option<ZnodeRef<'_>>| {
        let acl = node.map(|node| node.acl().clone());
        events.push(Notification { watcher: client.watcher, event, path: Str::copied(path), acl });
    };
    for path in &body.data_watches {
        match tree.get(path) {
            None => tell(EventType::NodeDeleted, path, None),
            Some(node) if node.stat_persisted().mzxid > body.relative_zxid => {
                tell(EventType::NodeDataChanged, path, Some(node));
            }
            Some(_) => watches.add_data(path, client.watcher),
        }
    }
    for path in &body.exist_watches {
        match tree.get(path) {
            Some(node) => tell(EventType::NodeCreated, path, Some(node)),
            None => watches.add_data(path, client.watcher),
        }
    }
    for path in &body.child_watches {
        match tree.get(path) {
            None => tell(EventType::NodeDeleted, path, None),
            Some(node) if node.stat_persisted().pzxid > body.relative_zxid => {
                tell(EventType::NodeChildrenChanged, path, Some(node));
            }
            Some(_) => watches.add_children(path, client.watcher),
        }
    }
    for path in &body.persistent_watches {
        watches.add(path, client.watcher, AddWatchMode::Persistent);
    }
    for path in &body.persistent_recursive_watches {
        watches.add(path, client.watcher, AddWatchMode::PersistentRecursive);
    }
}

/// The node, if the client may read it.
fn readable<'a>(tree: &'a Tree, client: Client<'_>, path: &str) -> Result<ZnodeRef<'a>, ErrorCode> {
    let node = tree.get(path).ok_or(ErrorCode::NoNode)?;
    client.auth.check(node.acl(), Perms::READ, client.ids)?;
    Ok(node)
}

fn watch(body: &ReadRequest, client: Client<'_>, add: impl FnOnce(&str, u64)) {
    if body.watch {
        add(&body.path, client.watcher);
    }
}

fn put_data(node: ZnodeRef<'_>, out: &mut BytesMut) {
    match node.data() {
        Some(data) => {
            out.put_i32(data.len() as i32);
            out.put_slice(data);
        }
        None => out.put_i32(-1),
    }
    node.stat().encode(out);
}

fn put_children(node: ZnodeRef<'_>, out: &mut BytesMut) {
    out.put_i32(node.child_count() as i32);
    for name in node.children() {
        put_str(out, name);
    }
}

/// The original has the root twice, as `""` and as `/`: it counts both away for `/`, and the second as a child of the first.
fn descendants(tree: &Tree, node: ZnodeRef<'_>, path: &str) -> i32 {
    let count = match path {
        "/" => tree.node_count() - 2,
        "" => tree.node_count() - 1,
        _ => node.descendant_count(),
    };
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn put_ephemerals(tree: &Tree, client: Client<'_>, prefix: &str, out: &mut BytesMut) {
    // Java trims control characters too, and no blanks beyond ASCII.
    let all = matches!(prefix.trim_matches(|character| character <= ' '), "" | "/");
    let paths = tree.ephemerals(client.session_id).into_iter().filter(|path| all || path.starts_with(prefix));
    paths.map(Str::from).collect::<Vec<_>>().encode(out);
}

fn watcher_type(body: &WatchesRequest) -> Result<WatcherType, ErrorCode> {
    WatcherType::from_code(body.watcher_type).ok_or(ErrorCode::MarshallingError)
}

const fn found(found: bool) -> Result<(), ErrorCode> {
    if found { Ok(()) } else { Err(ErrorCode::NoWatcher) }
}
