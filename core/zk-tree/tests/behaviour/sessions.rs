//! Sessions that end, move, or ask for too much.

use base::Str;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{CheckVersionRequest, CreateRequest, Request};
use zk_proto::txn::{CloseSessionTxn, Txn};
use zk_proto::{Acl, ErrorCode, Id};
use zk_tree::prep::{PrepSettings, WriteBody};
use zk_tree::{TreeEvent, TreeSettings};

use crate::rig::{Rig, create, delete, set};

fn part(path: &str, flags: i32) -> Op {
    Op::Create(CreateRequest { path: path.into(), data: None, acl: vec![Acl::OPEN], flags })
}

#[test]
fn a_close_takes_the_nodes_that_are_on_their_way_too() {
    let mut rig = Rig::new();
    rig.write(1, &create("/here", 1)).unwrap();
    rig.write(1, &create("/gone", 1)).unwrap();
    rig.write(2, &create("/other", 1)).unwrap();
    assert_eq!(rig.prepare(1, WriteBody::Request(&create("/coming", 1))), None);
    assert_eq!(rig.prepare(2, WriteBody::Request(&delete("/gone", -1))), None);
    assert_eq!(rig.prepare(1, WriteBody::CloseSession), None);
    let Txn::CloseSession(Some(CloseSessionTxn { paths_to_delete })) = &rig.log.last().unwrap().txn else { panic!() };
    assert_eq!(paths_to_delete.len(), 2);
    assert_eq!(rig.prepare(1, WriteBody::Request(&create("/late", 1))), Some(ErrorCode::SessionExpired));
    assert_eq!(rig.prepare(2, WriteBody::Request(&create("/here", 0))), None);
    rig.apply_all();
    assert_eq!(rig.tree.ephemeral_count(), 1);
    assert!(rig.tree.get("/coming").is_none() && rig.tree.get("/other").is_some());
    assert_eq!(rig.tree.sessions().keys().copied().collect::<Vec<_>>(), [2]);
    assert_eq!(rig.write(1, &create("/late", 0)), Err(ErrorCode::UnknownSession));
    assert_eq!(rig.write(1, &create("/late", 1)), Err(ErrorCode::SessionExpired));
}

/// The node was its own, and is deleted and made by another one, both on their way.
#[test]
fn a_close_leaves_what_another_session_has_made_in_its_place() {
    let mut rig = Rig::new();
    rig.write(1, &create("/x", 1)).unwrap();
    rig.write(1, &create("/y", 1)).unwrap();
    assert_eq!(rig.prepare(2, WriteBody::Request(&delete("/x", -1))), None);
    assert_eq!(rig.prepare(2, WriteBody::Request(&create("/x", 1))), None);
    assert_eq!(rig.prepare(2, WriteBody::Request(&delete("/y", -1))), None);
    assert_eq!(rig.prepare(2, WriteBody::Request(&create("/y", 0))), None);
    assert_eq!(rig.prepare(1, WriteBody::CloseSession), None);
    rig.apply_all();
    assert!(rig.tree.get("/x").is_some() && rig.tree.get("/y").is_some());
    assert_eq!(rig.tree.ephemerals(2), ["/x"]);
}

#[test]
fn a_close_without_names_takes_the_same_nodes() {
    let mut rig =
        Rig::with(TreeSettings::default(), PrepSettings { close_session_txn: false, ..PrepSettings::default() });
    rig.write(1, &create("/e", 1)).unwrap();
    rig.run(1, WriteBody::CloseSession).1.unwrap();
    assert_eq!(rig.log.last().unwrap().txn, Txn::CloseSession(None));
    assert!(rig.tree.get("/e").is_none());
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    let settings = PrepSettings { entry_bytes_max: 1000, ..PrepSettings::default() };
    let mut rig = Rig::with(TreeSettings::default(), settings);
    for at in 0..100 {
        rig.write(1, &create(&format!("/ephemeral-{at}"), 1)).unwrap();
    }
    rig.ids.extend((0..100).map(|at| Id { scheme: Str::from("digest"), id: Str::from(format!("user{at}:hash")) }));
    let auth = vec![Acl { perms: zk_proto::Perms::ALL, id: Id::from_static("auth", "") }];
    let big = Request::Create(CreateRequest { path: "/big".into(), data: None, acl: auth, flags: 0 });
    assert_eq!(rig.write(1, &big), Err(ErrorCode::MarshallingError));
    // Taken back: the name is free, the parent's counter where it was.
    assert_eq!(rig.write(1, &create("/n-", 2)).unwrap(), "/n-0000000100");
    rig.run(1, WriteBody::CloseSession).1.unwrap();
    assert_eq!(rig.log.last().unwrap().txn, Txn::CloseSession(None));
    assert_eq!(rig.tree.ephemeral_count(), 0);
}

#[test]
fn a_moved_session_fails_its_old_connection() {
    let mut rig = Rig::new();
    rig.sessions.set_owner(1, 9).unwrap();
    assert_eq!(rig.write(1, &create("/a", 0)), Err(ErrorCode::SessionMoved));
    assert_eq!(rig.write(1, &create("/a", 1)), Err(ErrorCode::SessionMoved));
}

#[test]
fn a_failed_multi_leaves_nothing_behind() {
    let mut rig = Rig::new();
    rig.write(1, &create("/m", 0)).unwrap();
    assert_eq!(rig.prepare(1, WriteBody::Request(&set("/m", "on the way", 0))), None);
    let check = Op::Check(CheckVersionRequest { path: "/m".into(), version: 7 });
    let multi = Request::Multi(Multi { ops: vec![part("/m/s-", 2), part("/f", 1), check, part("/g", 0)] });
    assert_eq!(rig.prepare(1, WriteBody::Request(&multi)), Some(ErrorCode::BadVersion));
    assert_eq!(rig.prepare(1, WriteBody::Request(&create("/m/s-", 2))), None);
    assert_eq!(rig.prepare(1, WriteBody::Request(&set("/m", "again", 1))), None);
    let results = rig.apply_all();
    let errors: Vec<i32> = results[1].parts.iter().map(|part| part.err).collect();
    assert_eq!(errors, [0, 0, ErrorCode::BadVersion.code(), ErrorCode::RuntimeInconsistency.code()]);
    assert_eq!(results[2].path.as_deref(), Some("/m/s-0000000000"));
    assert!(rig.tree.get("/f").is_none() && rig.tree.get("/g").is_none());
}

#[test]
fn containers_are_reaped_when_they_had_children() {
    let mut rig = Rig::new();
    let body = CreateRequest { path: "/c".into(), data: None, acl: vec![Acl::OPEN], flags: 4 };
    rig.write(1, &Request::CreateContainer(body)).unwrap();
    rig.write(1, &create("/p", 0)).unwrap();
    assert_eq!(rig.tree.reapable(1 << 40, 0), [""; 0]);
    assert_eq!(rig.tree.reapable(1 << 40, 1), ["/c"]);
    rig.write(1, &create("/c/x", 0)).unwrap();
    assert_eq!(rig.run(0, WriteBody::Reap(&"/c".into())).1, Err(ErrorCode::NotEmpty));
    rig.write(1, &delete("/c/x", -1)).unwrap();
    assert_eq!(rig.tree.reapable(0, 0), ["/c"]);
    assert_eq!(rig.run(0, WriteBody::Reap(&"/p".into())).1, Err(ErrorCode::BadVersion));
    assert_eq!(rig.run(0, WriteBody::Reap(&"/zookeeper".into())).1, Err(ErrorCode::BadArguments));
    rig.run(0, WriteBody::Reap(&"/c".into())).1.unwrap();
    assert_eq!(rig.tree.reapable(1 << 40, 1), [""; 0]);
}

#[test]
fn exceeded_quotas_are_told_and_allowed() {
    let mut rig = Rig::new();
    rig.write(1, &create("/q", 0)).unwrap();
    for path in ["/zookeeper/quota/q", "/zookeeper/quota/q/zookeeper_limits", "/zookeeper/quota/q/zookeeper_stats"] {
        rig.write(1, &create(path, 0)).unwrap();
    }
    rig.write(1, &set("/zookeeper/quota/q/zookeeper_limits", "count=2,bytes=-1", -1)).unwrap();
    rig.write(1, &create("/q/1", 0)).unwrap();
    assert_eq!(rig.warnings, []);
    rig.write(1, &create("/q/2", 0)).unwrap();
    let exceeded = TreeEvent::QuotaExceeded { path: "/q".to_owned(), what: "count", value: 3, limit: 2 };
    assert_eq!(rig.warnings, [exceeded]);
    let stats = |rig: &Rig| rig.tree.get("/zookeeper/quota/q/zookeeper_stats").unwrap().data_copied().unwrap();
    assert_eq!(stats(&rig), "count=3,bytes=12");
    rig.write(1, &delete("/zookeeper/quota/q/zookeeper_limits", -1)).unwrap();
    rig.write(1, &delete("/q/2", -1)).unwrap();
    assert_eq!(stats(&rig), "count=3,bytes=12");
    // Content that is none is passed over.
    rig.write(1, &create("/zookeeper/quota/q/zookeeper_limits", 0)).unwrap();
    rig.write(1, &set("/zookeeper/quota/q/zookeeper_stats", "nonsense", -1)).unwrap();
    rig.write(1, &create("/q/2", 0)).unwrap();
    assert_eq!(stats(&rig), "nonsense");
    // A limit for the root, which the original does not survive.
    rig.write(1, &create("/zookeeper/quota/zookeeper_limits", 0)).unwrap();
}

/// A snapshot that was written while changes went on holds some of them already; then the log behind its beginning is
/// applied again, and what is newer must stay.
#[test]
fn what_is_applied_again_takes_nothing_back() {
    let mut rig = Rig::new();
    for path in ["/p", "/p/a", "/p/b"] {
        rig.write(1, &create(path, 0)).unwrap();
    }
    rig.write(1, &delete("/p/a", -1)).unwrap();
    rig.write(1, &create("/p/c", 0)).unwrap();
    let parent = rig.tree.get("/p").unwrap().stat();
    assert_eq!((parent.cversion, parent.pzxid), (4, rig.zxid));
    let made = |path: &str| {
        let is_it = |txn: &Txn| match txn {
            Txn::Create(create) => create.path == path,
            Txn::Delete(delete) => path.is_empty() && delete.path == "/p/a",
            _ => false,
        };
        rig.log.iter().find(|entry| is_it(&entry.txn)).cloned().unwrap()
    };
    // The creation of a node that is there, the deletion of one that is not.
    for (entry, error) in [(made("/p/b"), ErrorCode::NodeExists), (made(""), ErrorCode::NoNode)] {
        let again = rig.tree.apply(&entry.header, &entry.txn, &mut Vec::new());
        assert_eq!(again.err, error.code());
        assert_eq!(rig.tree.get("/p").unwrap().stat(), parent, "{entry:?}");
    }
}
