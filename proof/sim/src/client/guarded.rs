//! Nodes with access control lists, and clients who are several users or none: what they ask for, and who they are then.

use base::{Random, Str};
use bytes::Bytes;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{
    AuthRequest, CreateRequest, DeleteRequest, PathRequest, ReadRequest, Request, SetAclRequest, SetDataRequest,
};
use zk_proto::{Acl, Id, Perms};
use zk_tree::auth::generate_digest;

use crate::settings::one_of;

/// Nodes that all clients try to read, write, delete and make anew.
pub(crate) const GUARDED: [&str; 3] = ["/a0", "/a1", "/a2"];
const PREFIX: &str = "/a";
const USERS: u64 = 3;

/// A user's number.
pub(crate) type User = u64;

fn credentials(user: User) -> String {
    format!("user{user}:secret{user}")
}

/// How the servers know a user.
pub(crate) fn id(user: User) -> Id {
    Id { scheme: Str::from_static("digest"), id: Str::from(generate_digest(&credentials(user))) }
}

/// What makes a connection's client this user.
pub(super) fn authentication(user: User) -> Request {
    let auth = Bytes::from(credentials(user));
    Request::Auth(AuthRequest { auth_type: 0, scheme: Str::from_static("digest"), auth })
}

/// Whoever the client is on its next connection.
pub(super) fn users(random: &mut Random) -> Vec<User> {
    let first = random.below(USERS);
    match random.below(5) {
        0 => Vec::new(),
        1 => vec![first, (first + 1) % USERS],
        _ => vec![first],
    }
}

/// The guarded node that a request is about, if so.
pub(crate) fn node_of(request: &Request) -> Option<&str> {
    let path: &str = match request {
        Request::Create(of) => &of.path,
        Request::Delete(of) => &of.path,
        Request::SetData(of) => &of.path,
        Request::SetAcl(of) => &of.path,
        Request::GetData(of) | Request::Exists(of) | Request::GetChildren(of) => &of.path,
        Request::GetAcl(of) => &of.path,
        Request::Multi(multi) => multi.ops.first()?.path(),
        _ => return None,
    };
    path.starts_with(PREFIX).then_some(path)
}

/// A list that lets some user set another one, so that no node is lost for all.
fn acl(random: &mut Random) -> Vec<Acl> {
    let mut some = |scheme: Id, sure: Perms| Acl { perms: Perms(random.below(32) as i32) | sure, id: scheme };
    let anyone = some(Id::from_static("world", "anyone"), Perms(0));
    let own = some(Id::from_static("auth", ""), Perms::ADMIN);
    let (one, other) = (random.below(USERS), random.below(USERS));
    let [one, other] =
        [one, other].map(|user| Acl { perms: Perms(random.below(32) as i32) | Perms::ADMIN, id: id(user) });
    match random.below(6) {
        0 => vec![own],
        1 => vec![anyone, own],
        2 => vec![one, anyone],
        3 => vec![one, other],
        4 => vec![Acl::READ, one],
        _ => vec![one],
    }
}

pub(super) fn create(path: String, data: Bytes, random: &mut Random) -> Request {
    Request::Create(CreateRequest { path: path.into(), data: Some(data), acl: acl(random), flags: 0 })
}

/// Something to be asked for, with `data` if it writes.
pub(super) fn choose(data: Bytes, random: &mut Random) -> Request {
    let node = one_of(random, GUARDED);
    let path = Str::from_static(node);
    let child = format!("{node}/c{}", random.below(2));
    let of_either = if random.below(3) == 0 { Str::from(child.clone()) } else { path.clone() };
    let read = ReadRequest { path: of_either.clone(), watch: false };
    let version = if random.below(3) == 0 { random.below(3) as i32 } else { -1 };
    let set = |path: &'static str| SetDataRequest { path: path.into(), data: Some(data.clone()), version: -1 };
    match random.below(16) {
        0..=2 => Request::GetData(read),
        3 => Request::Exists(read),
        4 => Request::GetAcl(PathRequest { path: of_either }),
        5 => Request::GetChildren(ReadRequest { path, watch: false }),
        6 | 7 => Request::SetData(SetDataRequest { path: of_either, data: Some(data), version }),
        8 | 9 => Request::SetAcl(SetAclRequest { path: of_either, acl: acl(random), version }),
        10 | 11 => create(child, data, random),
        12 => create(node.to_owned(), data, random),
        13 => Request::Delete(DeleteRequest { path: child.into(), version }),
        14 => Request::Delete(DeleteRequest { path, version }),
        _ => {
            let ops = vec![Op::SetData(set(node)), Op::SetData(set(one_of(random, GUARDED)))];
            Request::Multi(Multi { ops })
        }
    }
}
