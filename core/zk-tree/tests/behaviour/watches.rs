//! Who hears of what, in which order.

use bytes::Bytes;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{AddWatchRequest, CreateRequest, PathRequest, ReadRequest, Request, WatchesRequest};
use zk_proto::{Acl, AddWatchMode, ErrorCode, EventType, Id, Perms, WatcherType};
use zk_tree::watch::Watches;
use zk_tree::{Touched, TreeEvent};

use crate::rig::{Rig, create, create_with, delete, set};

fn read(path: &str) -> ReadRequest {
    ReadRequest { path: path.into(), watch: true }
}

/// What was told since the last call: `2 NodeDeleted /a`.
fn heard(rig: &mut Rig) -> Vec<String> {
    let told = rig.notifications.drain(..);
    told.map(|told| format!("{} {} {}", told.watcher, told.event.name(), told.path)).collect()
}

#[test]
fn one_shot_watches_fire_once_and_a_deletion_once_for_data_and_children() {
    let mut rig = Rig::new();
    assert_eq!(rig.read(1, &Request::Exists(read("/a"))), Err(ErrorCode::NoNode));
    assert_eq!(rig.read(1, &Request::GetData(read("/a"))), Err(ErrorCode::NoNode));
    rig.read(2, &Request::GetChildren(read("/"))).unwrap();
    rig.write(1, &create("/a", 0)).unwrap();
    assert_eq!(heard(&mut rig), ["1 NodeCreated /a", "2 NodeChildrenChanged /"]);
    rig.write(1, &set("/a", "x", -1)).unwrap();
    assert_eq!(heard(&mut rig), [""; 0]);
    rig.read(1, &Request::GetData(read("/a"))).unwrap();
    rig.read(1, &Request::GetChildren2(read("/a"))).unwrap();
    rig.read(2, &Request::GetChildren(read("/a"))).unwrap();
    rig.read(2, &Request::GetChildren(read("/"))).unwrap();
    assert_eq!(rig.watches.len(), 4);
    rig.write(1, &delete("/a", -1)).unwrap();
    assert_eq!(heard(&mut rig), ["1 NodeDeleted /a", "2 NodeDeleted /a", "2 NodeChildrenChanged /"]);
    assert!(rig.watches.is_empty());
    assert_eq!(rig.watches.data().clients_and_paths(), (0, 0));
}

#[test]
fn persistent_watches_stay_beside_one_shot_ones() {
    let mut rig = Rig::new();
    let add =
        |path: &str, mode: AddWatchMode| Request::AddWatch(AddWatchRequest { path: path.into(), mode: mode.code() });
    rig.write(1, &create("/a", 0)).unwrap();
    rig.read(1, &add("/a", AddWatchMode::Persistent)).unwrap();
    rig.read(1, &Request::GetData(read("/a"))).unwrap();
    rig.read(2, &add("/", AddWatchMode::PersistentRecursive)).unwrap();
    for _ in 0..2 {
        rig.write(1, &set("/a", "x", -1)).unwrap();
        assert_eq!(heard(&mut rig), ["1 NodeDataChanged /a", "2 NodeDataChanged /a"]);
    }
    rig.write(1, &create("/a/b", 0)).unwrap();
    assert_eq!(heard(&mut rig), ["2 NodeCreated /a/b", "1 NodeChildrenChanged /a"]);
    rig.write(1, &delete("/a/b", -1)).unwrap();
    assert_eq!(heard(&mut rig), ["2 NodeDeleted /a/b", "1 NodeChildrenChanged /a"]);
    let check = |path: &str, kind: WatcherType| {
        Request::CheckWatches(WatchesRequest { path: path.into(), watcher_type: kind.code() })
    };
    let remove = |path: &str, kind: WatcherType| {
        Request::RemoveWatches(WatchesRequest { path: path.into(), watcher_type: kind.code() })
    };
    rig.read(2, &check("/any/where", WatcherType::Any)).unwrap();
    rig.read(1, &add("/a/r", AddWatchMode::PersistentRecursive)).unwrap();
    rig.read(1, &check("/a/r/below/it", WatcherType::Any)).unwrap();
    for beside in ["/a/rest", "/a", "/b/a/r", "/"] {
        let found = rig.read(1, &check(beside, WatcherType::Children));
        assert_eq!(found.is_ok(), beside == "/a", "{beside}");
    }
    rig.read(1, &remove("/a/r", WatcherType::Any)).unwrap();
    // Somebody else's watch is not the client's own.
    assert_eq!(rig.read(1, &check("/", WatcherType::Any)), Err(ErrorCode::NoWatcher));
    rig.read(1, &remove("/a", WatcherType::Data)).unwrap();
    rig.write(1, &delete("/a", -1)).unwrap();
    assert_eq!(heard(&mut rig), ["2 NodeDeleted /a", "1 NodeDeleted /a"]);
    rig.watches.remove_watcher(2);
    rig.read(1, &remove("/a", WatcherType::Any)).unwrap();
    assert_eq!(rig.read(1, &remove("/a", WatcherType::Any)), Err(ErrorCode::NoWatcher));
    rig.write(1, &create("/a", 0)).unwrap();
    assert_eq!(heard(&mut rig), [""; 0]);
}

#[test]
fn an_event_says_who_may_know() {
    let mut rig = Rig::new();
    let secret = vec![Acl { perms: Perms::ALL, id: Id::from_static("ip", "127.0.0.1") }];
    rig.watches.add("/", 2, AddWatchMode::PersistentRecursive);
    rig.watches.add("/s", 2, AddWatchMode::Persistent);
    rig.write(1, &create_with("/s", 0, secret.clone())).unwrap();
    rig.write(1, &create("/s/open", 0)).unwrap();
    rig.write(1, &delete("/s/open", -1)).unwrap();
    rig.write(1, &delete("/s", -1)).unwrap();
    let stranger = [Id::from_static("ip", "10.0.0.1")];
    let auth = rig.prep.settings().auth.clone();
    let allowed = |acl: &[Acl]| auth.allows(acl, Perms::READ, &stranger);
    let told = rig.notifications.iter().map(|told| (told.event, &*told.path, allowed(told.acl.as_deref().unwrap())));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (EventType::NodeCreated, "/s", false),
            (EventType::NodeCreated, "/s/open", true),
            (EventType::NodeChildrenChanged, "/s", false),
            (EventType::NodeDeleted, "/s/open", true),
            (EventType::NodeChildrenChanged, "/s", false),
            (EventType::NodeDeleted, "/s", false),
        ]
    );
}

#[test]
fn many_watches_are_found_and_removed_one_by_one() {
    let mut watches = Watches::default();
    let paths: Vec<String> = (0..10_000).map(|at| format!("/n{at}")).collect();
    for (at, path) in paths.iter().enumerate() {
        watches.add_data(path, at as u64 % 100);
        watches.add_data("/all", at as u64);
    }
    assert_eq!(watches.len(), 20_000);
    assert_eq!(watches.data().clients_and_paths(), (10_000, 10_001));
    assert_eq!(watches.data().by_watcher()[&99].len(), 101);
    assert_eq!(watches.data().by_path()["/n0"], [0]);
    (0..5000).for_each(|watcher| watches.remove_watcher(watcher));
    assert_eq!(watches.len(), 5000);
    let acl: zk_tree::AclList = [Acl::OPEN].into();
    let touched = Touched { path: "/all".into(), data_length: 0, acl: acl.clone(), parent_acl: acl };
    let mut told = Vec::new();
    watches.trigger(&TreeEvent::DataChanged(touched), &mut told);
    assert!(told.iter().map(|told| told.watcher).eq(5000..10_000));
    assert!(watches.is_empty());
}

#[test]
fn acls_of_others_are_masked() {
    let mut rig = Rig::new();
    let entry = |perms, id| Acl { perms, id };
    let acl = vec![
        entry(Perms::READ, Id::from_static("world", "anyone")),
        entry(Perms::ALL, Id::from_static("digest", "u:h")),
    ];
    rig.write(1, &create_with("/m", 0, acl)).unwrap();
    let body = rig.read(1, &Request::GetAcl(PathRequest { path: "/m".into() })).unwrap();
    assert!(body.windows(3).any(|part| part == b"u:x") && !body.windows(3).any(|part| part == b"u:h"));
    rig.ids.push(Id::from_static("digest", "u:h"));
    let body = rig.read(1, &Request::GetAcl(PathRequest { path: "/m".into() })).unwrap();
    assert!(body.windows(3).any(|part| part == b"u:h"));
}

#[test]
fn a_short_request_cannot_ask_for_an_endless_answer() {
    let mut rig = Rig::new();
    let data = Some(Bytes::from(vec![7; 1 << 20]));
    let big = CreateRequest { path: "/big".into(), data, acl: vec![Acl::OPEN], flags: 0 };
    rig.write(1, &Request::Create(big)).unwrap();
    let get = Op::GetData(ReadRequest { path: "/big".into(), watch: false });
    let many = |count| Request::MultiRead(Multi { ops: vec![get.clone(); count] });
    assert!(rig.read(1, &many(3)).unwrap().len() > 3 << 20);
    assert_eq!(rig.read(1, &many(100)), Err(ErrorCode::MarshallingError));
}
