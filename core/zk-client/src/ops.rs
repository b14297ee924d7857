//! Builders of requests, one for each operation. Paths are the client's (without the chroot); a version of −1 is any.
//!
//! The parts of a [`multi`] are built by the functions whose names start with `op_`.

use base::Str;
use bytes::Bytes;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{
    AddWatchRequest, CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, PathRequest, ReadRequest,
    ReconfigRequest, Request, SaslRequest, SetAclRequest, SetDataRequest, WatchesRequest,
};
use zk_proto::{Acl, AddWatchMode, CreateMode, WatcherType};

/// Makes a node; the reply is its path. Containers are made by their own op, as in the original.
pub fn create(path: impl Into<Str>, data: Option<Bytes>, acl: Vec<Acl>, mode: CreateMode) -> Request {
    let body = create_body(path, data, acl, mode);
    if mode.is_container() { Request::CreateContainer(body) } else { Request::Create(body) }
}

/// As [`create`]; the reply is the path and the stat.
pub fn create2(path: impl Into<Str>, data: Option<Bytes>, acl: Vec<Acl>, mode: CreateMode) -> Request {
    let body = create_body(path, data, acl, mode);
    if mode.is_container() { Request::CreateContainer(body) } else { Request::Create2(body) }
}

/// Makes a node that goes when it was not changed for `ttl_ms` and has no children; `mode` is one of the two with TTL.
pub fn create_ttl(path: impl Into<Str>, data: Option<Bytes>, acl: Vec<Acl>, mode: CreateMode, ttl_ms: i64) -> Request {
    Request::CreateTtl(CreateTtlRequest { path: path.into(), data, acl, flags: mode.code(), ttl_ms })
}

/// Deletes a node without children.
pub fn delete(path: impl Into<Str>, version: i32) -> Request {
    Request::Delete(DeleteRequest { path: path.into(), version })
}

/// Asks for a node's stat; `NoNode` if it is not there. The watch fires when it is made, changed or deleted.
pub fn exists(path: impl Into<Str>, watch: bool) -> Request {
    Request::Exists(ReadRequest { path: path.into(), watch })
}

/// Reads data and stat. The watch fires when they are changed or the node deleted.
pub fn get_data(path: impl Into<Str>, watch: bool) -> Request {
    Request::GetData(ReadRequest { path: path.into(), watch })
}

/// Replaces data.
pub fn set_data(path: impl Into<Str>, data: Option<Bytes>, version: i32) -> Request {
    Request::SetData(SetDataRequest { path: path.into(), data, version })
}

/// Reads the ACL.
pub fn get_acl(path: impl Into<Str>) -> Request {
    Request::GetAcl(PathRequest { path: path.into() })
}

/// Replaces the ACL; `version` is that of the ACL.
pub fn set_acl(path: impl Into<Str>, acl: Vec<Acl>, version: i32) -> Request {
    Request::SetAcl(SetAclRequest { path: path.into(), acl, version })
}

/// Lists the children. The watch fires when one is made or deleted, or the node deleted.
pub fn get_children(path: impl Into<Str>, watch: bool) -> Request {
    Request::GetChildren(ReadRequest { path: path.into(), watch })
}

/// As [`get_children`], with the stat.
pub fn get_children2(path: impl Into<Str>, watch: bool) -> Request {
    Request::GetChildren2(ReadRequest { path: path.into(), watch })
}

/// Counts the nodes below a path.
pub fn get_all_children_number(path: impl Into<Str>) -> Request {
    Request::GetAllChildrenNumber(PathRequest { path: path.into() })
}

/// Lists the session's ephemeral nodes whose paths start with `prefix`.
pub fn get_ephemerals(prefix: impl Into<Str>) -> Request {
    Request::GetEphemerals(PathRequest { path: prefix.into() })
}

/// Lets the server catch up with its leader.
pub fn sync(path: impl Into<Str>) -> Request {
    Request::Sync(PathRequest { path: path.into() })
}

/// All of the writes or none, under one zxid.
pub fn multi(ops: Vec<Op>) -> Request {
    Request::Multi(Multi { ops })
}

/// Several reads, each with its own outcome.
pub fn multi_read(ops: Vec<Op>) -> Request {
    Request::MultiRead(Multi { ops })
}

/// Leaves a watch that stays when it fires.
pub fn add_watch(path: impl Into<Str>, mode: AddWatchMode) -> Request {
    Request::AddWatch(AddWatchRequest { path: path.into(), mode: mode.code() })
}

/// Takes watches back.
pub fn remove_watches(path: impl Into<Str>, watcher_type: WatcherType) -> Request {
    Request::RemoveWatches(WatchesRequest { path: path.into(), watcher_type: watcher_type.code() })
}

/// Asks whether the server holds such a watch of this session.
pub fn check_watches(path: impl Into<Str>, watcher_type: WatcherType) -> Request {
    Request::CheckWatches(WatchesRequest { path: path.into(), watcher_type: watcher_type.code() })
}

/// Changes the ensemble: servers to add and to remove, or all of them anew; `config_id` −1 is any.
pub fn reconfig(joining: Option<Str>, leaving: Option<Str>, members: Option<Str>, config_id: i64) -> Request {
    Request::Reconfig(ReconfigRequest {
        joining_servers: joining,
        leaving_servers: leaving,
        new_members: members,
        current_config_id: config_id,
    })
}

/// The next message of a SASL exchange.
pub fn sasl(token: Bytes) -> Request {
    Request::Sasl(SaslRequest { token })
}

/// Part of a multi: [`create`].
pub fn op_create(path: impl Into<Str>, data: Option<Bytes>, acl: Vec<Acl>, mode: CreateMode) -> Op {
    let body = create_body(path, data, acl, mode);
    if mode.is_container() { Op::CreateContainer(body) } else { Op::Create(body) }
}

/// Part of a multi: [`create_ttl`].
pub fn op_create_ttl(path: impl Into<Str>, data: Option<Bytes>, acl: Vec<Acl>, mode: CreateMode, ttl_ms: i64) -> Op {
    Op::CreateTtl(CreateTtlRequest { path: path.into(), data, acl, flags: mode.code(), ttl_ms })
}

/// Part of a multi: [`delete`].
pub fn op_delete(path: impl Into<Str>, version: i32) -> Op {
    Op::Delete(DeleteRequest { path: path.into(), version })
}

/// Part of a multi: [`set_data`].
pub fn op_set_data(path: impl Into<Str>, data: Option<Bytes>, version: i32) -> Op {
    Op::SetData(SetDataRequest { path: path.into(), data, version })
}

/// Part of a multi: nothing happens unless the node has this version.
pub fn op_check(path: impl Into<Str>, version: i32) -> Op {
    Op::Check(CheckVersionRequest { path: path.into(), version })
}

/// Part of a [`multi_read`]: [`get_data`] without a watch.
pub fn op_get_data(path: impl Into<Str>) -> Op {
    Op::GetData(ReadRequest { path: path.into(), watch: false })
}

/// Part of a [`multi_read`]: [`get_children`] without a watch.
pub fn op_get_children(path: impl Into<Str>) -> Op {
    Op::GetChildren(ReadRequest { path: path.into(), watch: false })
}

fn create_body(path: impl Into<Str>, data: Option<Bytes>, acl: Vec<Acl>, mode: CreateMode) -> CreateRequest {
    CreateRequest { path: path.into(), data, acl, flags: mode.code() }
}
