//! What the session watches, to be set again on a new connection (upstream `ZKWatchManager`, without the callbacks).

use std::collections::BTreeSet;

use base::Str;
use zk_proto::requests::{Request, SetWatches2Request, SetWatchesRequest};
use zk_proto::{AddWatchMode, ErrorCode, EventType, WatcherType};

/// Paths in one set-watches request, in bytes: well below any server's frame limit.
const BATCH_LEN_MAX: usize = 128 * 1024;

/// The five kinds of watches, by path as the server knows it.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    sets: [BTreeSet<Str>; 5],
}

/// In the order of a set-watches request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Exist,
    Child,
    Persistent,
    Recursive,
}

const KINDS: [Kind; 5] = [Kind::Data, Kind::Exist, Kind::Child, Kind::Persistent, Kind::Recursive];

/// What a request changes about the watches when it has succeeded.
#[derive(Debug)]
pub(crate) enum WatchChange {
    Data(Str),
    Exists(Str),
    Child(Str),
    Add(Str, i32),
    Remove(Str, i32),
}

impl WatchChange {
    /// What `request`, with the server's paths, will change.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        Some(match request {
            Request::GetData(body) if body.watch => Self::Data(Str::copied(&body.path)),
            Request::Exists(body) if body.watch => Self::Exists(Str::copied(&body.path)),
            Request::GetChildren(body) | Request::GetChildren2(body) if body.watch => {
                Self::Child(Str::copied(&body.path))
            }
            Request::AddWatch(body) => Self::Add(Str::copied(&body.path), body.mode),
            Request::RemoveWatches(body) => Self::Remove(Str::copied(&body.path), body.watcher_type),
            _ => return None,
        })
    }
}

impl Watches {
    /// Takes in the outcome of a request.
    pub(crate) fn changed(&mut self, change: WatchChange, err: i32) {
        let ok = err == ErrorCode::Ok.code();
        match change {
            WatchChange::Data(path) if ok => self.add(Kind::Data, path),
            WatchChange::Exists(path) if ok => self.add(Kind::Data, path),
            WatchChange::Exists(path) if err == ErrorCode::NoNode.code() => self.add(Kind::Exist, path),
            WatchChange::Child(path) if ok => self.add(Kind::Child, path),
            WatchChange::Add(path, mode) if ok => {
                let recursive = mode == AddWatchMode::PersistentRecursive.code();
                self.remove(&[Kind::Persistent, Kind::Recursive], &path);
                self.add(if recursive { Kind::Recursive } else { Kind::Persistent }, path);
            }
            WatchChange::Remove(path, watcher_type) if ok => match WatcherType::from_code(watcher_type) {
                Some(WatcherType::Children) => self.remove(&[Kind::Child], &path),
                Some(WatcherType::Data) => self.remove(&[Kind::Data, Kind::Exist], &path),
                _ => self.remove(&KINDS, &path),
            },
            _ => {}
        }
    }

    /// Takes in an event: what fires once is gone.
    pub(crate) fn fired(&mut self, event: EventType, path: &Str) {
        let gone: &[Kind] = match event {
            EventType::NodeCreated | EventType::NodeDataChanged => &[Kind::Data, Kind::Exist],
            EventType::NodeChildrenChanged => &[Kind::Child],
            EventType::NodeDeleted => &[Kind::Data, Kind::Exist, Kind::Child],
            EventType::DataWatchRemoved => &[Kind::Data, Kind::Exist],
            EventType::ChildWatchRemoved => &[Kind::Child],
            EventType::PersistentWatchRemoved => &[Kind::Persistent, Kind::Recursive],
            EventType::None => &[],
        };
        self.remove(gone, path);
    }

    /// Requests that set all watches again. The old form unless there are persistent watches, which servers before 3.6
    /// don't know.
    pub(crate) fn requests(&self, relative_zxid: i64) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut batch: [Vec<Str>; 5] = Default::default();
        let mut batch_len = 0;
        let all = self.sets.iter().zip(KINDS).flat_map(|(set, kind)| set.iter().map(move |path| (kind, path)));
        for (kind, path) in all {
            if let Some(paths) = batch.get_mut(kind as usize) {
                paths.push(path.clone());
            }
            batch_len += path.len();
            if batch_len >= BATCH_LEN_MAX {
                requests.push(request(relative_zxid, std::mem::take(&mut batch)));
                batch_len = 0;
            }
        }
        if batch.iter().any(|paths| !paths.is_empty()) {
            requests.push(request(relative_zxid, batch));
        }
        requests
    }

    fn add(&mut self, kind: Kind, path: Str) {
        if let Some(set) = self.sets.get_mut(kind as usize) {
            set.insert(path);
        }
    }

    fn remove(&mut self, kinds: &[Kind], path: &Str) {
        for kind in kinds {
            if let Some(set) = self.sets.get_mut(*kind as usize) {
                set.remove(path);
            }
        }
    }
}

fn request(relative_zxid: i64, batch: [Vec<Str>; 5]) -> Request {
    let [data_watches, exist_watches, child_watches, persistent_watches, persistent_recursive_watches] = batch;
    if persistent_watches.is_empty() && persistent_recursive_watches.is_empty() {
        return Request::SetWatches(SetWatchesRequest { relative_zxid, data_watches, exist_watches, child_watches });
    }
    Request::SetWatches2(SetWatches2Request {
        relative_zxid,
        data_watches,
        exist_watches,
        child_watches,
        persistent_watches,
        persistent_recursive_watches,
    })
}
