//! Writes: checks in order, error codes, changes on the way.

use bytes::Bytes;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{CheckVersionRequest, PathRequest, ReadRequest, Request, SetAclRequest};
use zk_proto::{Acl, ErrorCode, Id, Jute, OpCode, Perms, Txn};
use zk_tree::TreeSettings;
use zk_tree::prep::{PrepSettings, WriteBody};

use crate::rig::{Rig, create, create_ttl, create_with, delete, set};

#[test]
fn sequential_names_count_the_creations_on_the_way() {
    let mut rig = Rig::new();
    rig.write(1, &create("/a", 0)).unwrap();
    for _ in 0..3 {
        assert_eq!(rig.prepare(1, WriteBody::Request(&create("/a/n-", 2))), None);
    }
    let paths: Vec<_> = rig.apply_all().into_iter().map(|result| result.path.unwrap().to_string()).collect();
    assert_eq!(paths, ["/a/n-0000000000", "/a/n-0000000001", "/a/n-0000000002"]);
    rig.write(1, &delete("/a/n-0000000002", -1)).unwrap();
    assert_eq!(rig.write(1, &create("/a/", 2)).unwrap(), "/a/0000000003");
    let stat = rig.tree.get("/a").unwrap().stat();
    // Four creations and one deletion.
    assert_eq!((stat.cversion, stat.num_children), (5, 3));
}

#[test]
fn what_is_on_the_way_counts() {
    let mut rig = Rig::new();
    assert_eq!(rig.prepare(1, WriteBody::Request(&create("/a", 0))), None);
    assert_eq!(rig.prepare(1, WriteBody::Request(&create("/a", 0))), Some(ErrorCode::NodeExists));
    assert_eq!(rig.prepare(1, WriteBody::Request(&create("/a/b", 0))), None);
    assert_eq!(rig.prepare(1, WriteBody::Request(&delete("/a", -1))), Some(ErrorCode::NotEmpty));
    assert_eq!(rig.prepare(1, WriteBody::Request(&set("/a", "x", 0))), None);
    assert_eq!(rig.prepare(1, WriteBody::Request(&set("/a", "y", 0))), Some(ErrorCode::BadVersion));
    assert_eq!(rig.prepare(1, WriteBody::Request(&delete("/a/b", -1))), None);
    assert_eq!(rig.prepare(1, WriteBody::Request(&delete("/a", 1))), None);
    rig.apply_all();
    assert!(rig.tree.get("/a").is_none());
    assert_eq!(rig.tree.node_count(), 5);
}

#[test]
fn ttl_nodes_need_the_setting_and_a_ttl() {
    let mut rig = Rig::new();
    assert_eq!(rig.write(1, &create_ttl("/t", 5, 100)), Err(ErrorCode::Unimplemented));
    assert_eq!(rig.write(1, &create("/t", 5)), Err(ErrorCode::Unimplemented));
    assert_eq!(rig.write(1, &create_ttl("/t", 0, 100)), Err(ErrorCode::BadArguments));
    let mut rig = Rig::with(TreeSettings { extended_types: true, digest: true }, PrepSettings::default());
    assert_eq!(rig.write(1, &create("/t", 5)), Err(ErrorCode::BadArguments));
    assert_eq!(rig.write(1, &create_ttl("/t", 5, 0)), Err(ErrorCode::BadArguments));
    assert_eq!(rig.write(1, &create_ttl("/t", 0, -1)), Err(ErrorCode::BadArguments));
    rig.write(1, &create_ttl("/t", 5, 100)).unwrap();
    rig.write(1, &create_ttl("/t/s", 6, 100)).unwrap();
    let made = rig.tree.get("/t").unwrap().stat();
    assert_eq!((made.ephemeral_owner, made.num_children), (0, 1));
    assert_eq!(rig.tree.reapable(made.mtime + 1000, 0), ["/t/s0000000000"]);
    assert_eq!(rig.tree.reapable(made.mtime + 100, 0), [""; 0]);
    let body = rig.read(1, &Request::Exists(ReadRequest { path: "/t".into(), watch: false })).unwrap();
    assert_eq!(body, made.to_bytes());
}

#[test]
fn a_lone_check_is_logged_as_a_multi_that_every_server_can_read() {
    let mut rig = Rig::new();
    rig.write(1, &create("/a", 0)).unwrap();
    let check = |version| Request::Check(CheckVersionRequest { path: "/a".into(), version });
    assert_eq!(rig.prepare(1, WriteBody::Request(&check(0))), None);
    assert!(matches!(&rig.log.last().unwrap().txn, Txn::Multi(parts) if matches!(parts[..], [Txn::Check(_)])));
    assert_eq!(rig.prepare(1, WriteBody::Request(&check(1))), Some(ErrorCode::BadVersion));
    assert_eq!(rig.apply_all()[0].parts[0].path.as_deref(), Some("/a"));
}

#[test]
fn permissions_are_those_of_the_parent_for_children_and_of_the_node_for_itself() {
    let mut rig = Rig::new();
    let only = |perms| vec![Acl { perms, id: Id::from_static("world", "anyone") }];
    let set_acl = |path: &str| Request::SetAcl(SetAclRequest { path: path.into(), acl: vec![Acl::OPEN], version: -1 });
    for (name, perms) in [("c", Perms::CREATE), ("d", Perms::DELETE), ("w", Perms::WRITE), ("a", Perms::ADMIN)] {
        rig.write(1, &create_with(&format!("/{name}"), 0, only(perms))).unwrap();
        let no_auth = |allowed: &str| if name == allowed { None } else { Some(ErrorCode::NoAuth) };
        let path = format!("/{name}/x");
        assert_eq!(rig.write(1, &create(&path, 0)).err(), no_auth("c"), "create {path}");
        let not_there = if name == "d" { Some(ErrorCode::NoNode) } else { Some(ErrorCode::NoAuth) };
        assert_eq!(rig.write(1, &delete(&path, -1)).err(), not_there, "delete {path}");
        assert_eq!(rig.write(1, &set(&format!("/{name}"), "x", -1)).err(), no_auth("w"), "set /{name}");
        assert_eq!(rig.write(1, &set_acl(&format!("/{name}"))).err(), no_auth("a"), "setACL /{name}");
    }
    rig.ids.push(Id::from_static("super", ""));
    rig.write(1, &delete("/c/x", -1)).unwrap();
    rig.write(1, &set_acl("/c")).unwrap();
}

#[test]
fn odd_paths_of_reads_mean_what_they_mean_to_the_original() {
    let mut rig = Rig::new();
    rig.write(1, &create("/e", 1)).unwrap();
    let mut count = |path: &str| {
        let body = rig.read(1, &Request::GetAllChildrenNumber(PathRequest { path: path.into() })).unwrap();
        i32::from_be_bytes(*body.first_chunk().unwrap())
    };
    assert_eq!([count("/"), count(""), count("/zookeeper")], [4, 5, 2]);
    let mut ephemerals = |prefix: &str| {
        let body = rig.read(1, &Request::GetEphemerals(PathRequest { path: prefix.into() })).unwrap();
        i32::from_be_bytes(*body.first_chunk().unwrap())
    };
    assert_eq!(["", " / ", "/\u{1}", "/e", "/x", "/\u{a0}"].map(&mut ephemerals), [1, 1, 1, 1, 0, 0]);
}

/// A multi of these requests.
fn multi(parts: &[Request]) -> Request {
    let ops = parts.iter().map(|part| match part.clone() {
        Request::Create(body) => Op::Create(body),
        Request::Delete(body) => Op::Delete(body),
        Request::SetData(body) => Op::SetData(body),
        Request::Check(body) => Op::Check(body),
        other => panic!("no part: {other:?}"),
    });
    Request::Multi(Multi { ops: ops.collect() })
}

/// What a request changed before it failed is forgotten: nodes of the tree and nodes on the way are as they were, each to
/// its version, its children and their counter. The rig compares the digests that the later ones foretell.
#[test]
fn a_request_that_fails_takes_back_exactly_what_it_changed() {
    let too_large = || set("/applied", Box::leak("x".repeat(2000).into_boxed_str()), -1);
    let changes = [
        set("/applied", "x", 0),
        set("/applied", "y", 1),
        create("/applied/n-", 2),
        create("/applied/n-", 2),
        delete("/applied/child", 0),
        set("/coming", "x", 1),
        create("/coming/new", 0),
        delete("/coming/child", -1),
        create("/e", 1),
    ];
    let never = Request::Check(CheckVersionRequest { path: "/applied".into(), version: 7 });
    for last in [never, create("/applied/new//", 0), too_large()] {
        let mut rig =
            Rig::with(TreeSettings::default(), PrepSettings { entry_bytes_max: 1500, ..PrepSettings::default() });
        for request in [create("/applied", 0), create("/applied/child", 0)] {
            rig.write(1, &request).unwrap();
        }
        for request in [create("/coming", 0), set("/coming", "0", 0), create("/coming/child", 0)] {
            assert_eq!(rig.prepare(2, WriteBody::Request(&request)), None);
        }
        let parts: Vec<_> = changes.iter().cloned().chain([last]).collect();
        assert!(rig.prepare(1, WriteBody::Request(&multi(&parts))).is_some());
        assert_eq!(rig.prepare(1, WriteBody::Request(&too_large())), Some(ErrorCode::MarshallingError));
        // All of it once more, now each alone.
        for request in &changes {
            assert_eq!(rig.prepare(1, WriteBody::Request(request)), None, "{request:?}");
        }
        rig.apply_all();
        let stat = |path: &str| rig.tree.get(path).unwrap().stat();
        assert_eq!((stat("/applied").version, stat("/applied").num_children), (2, 2));
        assert!(rig.tree.get("/applied/n-0000000001").is_some() && rig.tree.get("/applied/n-0000000002").is_some());
        assert_eq!((stat("/coming").version, stat("/coming").cversion), (2, 3));
        assert_eq!(rig.tree.ephemerals(1), ["/e"]);
    }
}

#[test]
fn another_list_of_servers_is_data_of_the_config_node_for_those_who_may_write_it() {
    let list = Bytes::from_static(b"server.1=a:1:2:participant\nversion=5");
    let mut rig = Rig::new();
    let reconfig = WriteBody::Reconfig(Ok(&list));
    assert_eq!(rig.prepare(1, reconfig), Some(ErrorCode::ReconfigDisabled));

    let prep = PrepSettings { reconfig_enabled: true, ..PrepSettings::default() };
    let mut rig = Rig::with(TreeSettings::default(), prep);
    assert_eq!(rig.prepare(9, reconfig), Some(ErrorCode::UnknownSession));
    let refused = WriteBody::Reconfig(Err(ErrorCode::ReconfigInProgress));
    assert_eq!(rig.prepare(1, refused), Some(ErrorCode::ReconfigInProgress), "before any permission");
    assert_eq!(rig.prepare(1, reconfig), Some(ErrorCode::NoAuth), "the node is for reading alone");
    rig.ids = vec![Id::from_static("super", "")];
    let (result, error) = rig.run(1, reconfig);
    assert_eq!((error, result.op, result.path.as_deref()), (Ok(()), OpCode::Reconfig, Some("/zookeeper/config")));
    let node = rig.tree.get("/zookeeper/config").unwrap();
    assert_eq!((node.data(), node.stat().version, node.stat().mzxid), (Some(&list[..]), -1, rig.zxid));
}
