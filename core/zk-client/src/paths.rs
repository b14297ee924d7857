//! The chroot: put before the paths of requests, taken off those of replies and events.

use base::Str;
use zk_proto::multi::{Op, OpResult};
use zk_proto::requests::Request;
use zk_proto::responses::Response;

/// The path as the server knows it.
pub(crate) fn to_server(chroot: &str, path: &Str) -> Str {
    match (chroot, &**path) {
        ("", _) => path.clone(),
        (chroot, "/") => Str::from(chroot),
        (chroot, path) => Str::from(format!("{chroot}{path}")),
    }
}

/// The path as the client knows it.
pub(crate) fn to_client(chroot: &str, path: &Str) -> Str {
    match path.strip_prefix(chroot) {
        _ if chroot.is_empty() => path.clone(),
        Some("") => Str::from_static("/"),
        Some(rest) if rest.starts_with('/') => Str::from(rest),
        _ => path.clone(),
    }
}

/// Puts the chroot before each path of a request.
pub(crate) fn request_to_server(chroot: &str, request: &mut Request) {
    if chroot.is_empty() {
        return;
    }
    match request {
        Request::DeleteContainer(path) => {
            let text = Str::from_utf8(path.clone()).unwrap_or_default();
            *path = to_server(chroot, &text).as_bytes().clone();
        }
        Request::Multi(multi) | Request::MultiRead(multi) => {
            for op in &mut multi.ops {
                let path = op_path(op);
                *path = to_server(chroot, path);
            }
        }
        request => {
            if let Some(path) = request_path(request) {
                *path = to_server(chroot, path);
            }
        }
    }
}

fn request_path(request: &mut Request) -> Option<&mut Str> {
    Some(match request {
        Request::Create(body) | Request::Create2(body) | Request::CreateContainer(body) => &mut body.path,
        Request::CreateTtl(body) => &mut body.path,
        Request::Delete(body) => &mut body.path,
        Request::Exists(body) | Request::GetData(body) => &mut body.path,
        Request::GetChildren(body) | Request::GetChildren2(body) => &mut body.path,
        Request::SetData(body) => &mut body.path,
        Request::GetAcl(body) | Request::GetAllChildrenNumber(body) => &mut body.path,
        Request::GetEphemerals(body) | Request::Sync(body) => &mut body.path,
        Request::SetAcl(body) => &mut body.path,
        Request::Check(body) => &mut body.path,
        Request::AddWatch(body) => &mut body.path,
        Request::CheckWatches(body) | Request::RemoveWatches(body) => &mut body.path,
        _ => return None,
    })
}

fn op_path(op: &mut Op) -> &mut Str {
    match op {
        Op::Create(body) | Op::Create2(body) | Op::CreateContainer(body) => &mut body.path,
        Op::CreateTtl(body) => &mut body.path,
        Op::Delete(body) => &mut body.path,
        Op::SetData(body) => &mut body.path,
        Op::Check(body) => &mut body.path,
        Op::GetChildren(body) | Op::GetData(body) => &mut body.path,
    }
}

/// Takes the chroot off the paths that a response names (`getEphemerals` too; the original leaves it on there and in a
/// multi).
pub(crate) fn response_to_client(chroot: &str, response: &mut Response) {
    if chroot.is_empty() {
        return;
    }
    let strip = |path: &mut Str| *path = to_client(chroot, path);
    match response {
        Response::Path(body) => strip(&mut body.path),
        Response::Create2(body) => strip(&mut body.path),
        Response::GetEphemerals(body) => body.ephemerals.iter_mut().for_each(strip),
        Response::Multi(body) => {
            for result in &mut body.results {
                match result {
                    OpResult::Create(body) => strip(&mut body.path),
                    OpResult::Create2(body) => strip(&mut body.path),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}
