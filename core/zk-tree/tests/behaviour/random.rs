//! Random histories: what must hold behind each of them.

use std::collections::BTreeSet;

use base::{Next, Str};
use bytes::Bytes;
use proptest::prelude::*;
use zk_proto::multi::{Multi, Op};
use zk_proto::requests::{CheckVersionRequest, CreateRequest, DeleteRequest, Request, SetAclRequest, SetDataRequest};
use zk_proto::snapshot::NodeRecord;
use zk_proto::{Acl, CreateMode, ErrorCode, Id, Perms, StatPersisted, Txn, TxnEntry};
use zk_tree::prep::{PrepSettings, WriteBody};
use zk_tree::{Restore, SnapshotHead, Tree, TreeSettings, WalkId};

use crate::golden::{Dump, dump};
use crate::rig::Rig;

const PATHS: [&str; 12] = [
    "/",
    "/a",
    "/b",
    "/a/x",
    "/a/y",
    "/b/z",
    "/a/x/1",
    "/a/x/2",
    "/b/z/3",
    "/zookeeper/q",
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
];
const DATA: [Option<&str>; 4] = [None, Some(""), Some("count=1,bytes=3"), Some("some data")];

#[derive(Clone, Debug)]
enum Step {
    Write(i64, Request),
    Close(i64),
    Open(i64),
    Apply,
    Slice(usize),
}

fn acl(choice: usize) -> Vec<Acl> {
    let entry = |perms, id| Acl { perms, id };
    match choice {
        0 => vec![Acl::OPEN],
        1 => vec![Acl::OPEN, entry(Perms::READ, Id::from_static("ip", "10.0.0.0/8"))],
        _ => vec![entry(Perms::ALL, Id::from_static("ip", "127.0.0.1"))],
    }
}

fn part() -> impl Strategy<Value = Op> {
    let path = prop::sample::select(&PATHS[..]).prop_map(Str::from);
    let data = prop::sample::select(&DATA[..]).prop_map(|data| data.map(|data| Bytes::from_static(data.as_bytes())));
    (0..10, path, data, 0..3_usize, -1..3_i32, 0..7_i32).prop_map(|(kind, path, data, acls, version, flags)| match kind
    {
        0..5 => Op::Create(CreateRequest { path, data, acl: acl(acls), flags }),
        5..7 => Op::Delete(DeleteRequest { path, version }),
        7..9 => Op::SetData(SetDataRequest { path, data, version }),
        _ => Op::Check(CheckVersionRequest { path, version }),
    })
}

fn request() -> impl Strategy<Value = Request> {
    let set_acl = (prop::sample::select(&PATHS[..]), 0..3_usize)
        .prop_map(|(path, acls)| Request::SetAcl(SetAclRequest { path: Str::from(path), acl: acl(acls), version: -1 }));
    let lone = part().prop_map(|part| match part {
        Op::Create(body) if body.flags == CreateMode::Container.code() => Request::CreateContainer(body),
        Op::Create(body) => Request::Create2(body),
        Op::Delete(body) => Request::Delete(body),
        Op::SetData(body) => Request::SetData(body),
        Op::Check(body) => Request::Check(body),
        other => panic!("{other:?}"),
    });
    let multi = prop::collection::vec(part(), 0..4).prop_map(|ops| Request::Multi(Multi { ops }));
    prop_oneof![8 => lone, 2 => set_acl, 2 => multi]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (1..4_i64, request()).prop_map(|(session, request)| Step::Write(session, request)),
        1 => (1..4_i64).prop_map(Step::Close),
        1 => (1..4_i64).prop_map(Step::Open),
        8 => Just(Step::Apply),
        4 => (0..4_usize).prop_map(Step::Slice),
    ]
}

/// A walk that goes on while the history does.
struct Snapshot {
    id: WalkId,
    head: SnapshotHead,
    nodes: Vec<NodeRecord>,
    done: bool,
}

impl Snapshot {
    fn begin(tree: &mut Tree) -> Self {
        let (id, head) = tree.walk_begin();
        Self { id, head, nodes: Vec::new(), done: false }
    }

    fn slice(&mut self, tree: &mut Tree, nodes_max: usize) {
        let next = tree.walk_slice(self.id, nodes_max, usize::MAX, |node| self.nodes.push((*node).into()));
        self.done |= next == Next::Done;
    }

    fn restore(&self, settings: TreeSettings) -> Tree {
        let mut restore = Restore::new(settings);
        self.head.sessions.iter().for_each(|session| restore.session(session));
        self.head.acls.iter().for_each(|acl| restore.acl(acl).unwrap());
        for node in &self.nodes {
            let known = |index| self.head.acls.iter().any(|acl| acl.index == index);
            assert!(node.acl_index == -1 || known(node.acl_index), "{node:?}");
            restore.node(node).unwrap();
        }
        restore.finish(self.head.zxid).unwrap()
    }
}

fn run(rig: &mut Rig, step: &Step) {
    match step {
        Step::Write(session, request) => {
            rig.prepare(*session, WriteBody::Request(request));
        }
        Step::Close(session) => {
            rig.prepare(*session, WriteBody::CloseSession);
        }
        Step::Open(session) => {
            if rig.sessions.check(*session, *session as u64) == Err(ErrorCode::UnknownSession) {
                rig.prepare(*session, WriteBody::CreateSession { timeout_ms: 1000 });
            }
        }
        Step::Apply => {
            rig.apply_all();
        }
        Step::Slice(_) => {}
    }
}

/// The digest by its definition.
fn digest(nodes: &Dump) -> u64 {
    let digested = nodes.iter().filter(|(path, _)| !path.starts_with("/zookeeper/"));
    digested.fold(0, |sum, (path, (data, _, stat))| {
        let StatPersisted { czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner } = *stat;
        let mut bytes = path.as_bytes().to_vec();
        bytes.extend_from_slice(data.as_deref().unwrap_or_default());
        [czxid, mzxid, pzxid, ctime, mtime].iter().for_each(|field| bytes.extend_from_slice(&field.to_be_bytes()));
        [version, cversion, aversion].iter().for_each(|field| bytes.extend_from_slice(&field.to_be_bytes()));
        bytes.extend_from_slice(&ephemeral_owner.to_be_bytes());
        sum + u64::from(crc32fast::hash(&bytes))
    })
}

fn check_tree(tree: &mut Tree) {
    let nodes = dump(tree);
    assert_eq!(tree.digest(), digest(&nodes));
    assert_eq!(tree.node_count(), nodes.len() + 1);
    let acls: BTreeSet<_> = nodes.values().map(|(_, acl, _)| acl.clone()).collect();
    // The tree's first nodes have the open ACL without an entry in the cache.
    let open = usize::from(nodes.values().filter(|(_, acl, _)| *acl == [Acl::OPEN]).count() > 0);
    assert!((acls.len() - open..=acls.len()).contains(&tree.acl_count()), "{} of {acls:?}", tree.acl_count());
    for session in 1..4 {
        let owned = nodes.iter().filter(|(_, (_, _, stat))| stat.ephemeral_owner == session);
        assert_eq!(tree.ephemerals(session), owned.map(|(path, _)| path.clone()).collect::<Vec<_>>());
    }
    for path in nodes.keys().filter(|path| !path.is_empty()) {
        let (parent, name) = path.rsplit_once('/').unwrap();
        assert!(tree.get(parent).unwrap().children().any(|child| child == name));
    }
    let children: usize = nodes.keys().map(|path| tree.get(path).unwrap().child_count() as usize).sum();
    assert_eq!(children + 1, nodes.len());
    assert_eq!(tree.get("/").unwrap().descendant_count() + 1, nodes.len());
}

fn is_failed(entry: &TxnEntry) -> bool {
    matches!(&entry.txn, Txn::Multi(parts) if parts.iter().any(|part| matches!(part, Txn::Error(_))))
}

/// Statistics of quotas are each server's own.
fn without_statistics(mut nodes: Dump) -> Dump {
    nodes.retain(|path, _| !path.ends_with("zookeeper_stats"));
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rig compares each foretold digest with the tree's; behind the history the tree is checked as a whole.
    #[test]
    fn digests_lists_and_counts_hold(steps in prop::collection::vec(step(), 1..120), extended_types: bool) {
        let mut rig = Rig::with(TreeSettings { extended_types, digest: true }, PrepSettings::default());
        for step in &steps {
            run(&mut rig, step);
        }
        rig.apply_all();
        check_tree(&mut rig.tree);
    }

    /// A snapshot taken during the history, and the log behind its beginning, are the tree.
    #[test]
    fn a_snapshot_and_the_log_behind_it_are_the_tree(
        before in prop::collection::vec(step(), 0..60),
        during in prop::collection::vec(step(), 0..60),
        after in prop::collection::vec(step(), 0..10),
    ) {
        let settings = TreeSettings::default();
        let mut rig = Rig::new();
        before.iter().for_each(|step| run(&mut rig, step));
        // A second walk that began earlier and is never ended must not disturb the first.
        let _other = rig.tree.walk_begin();
        let mut snapshot = Snapshot::begin(&mut rig.tree);
        for step in &during {
            run(&mut rig, step);
            if let Step::Slice(nodes_max) = step {
                snapshot.slice(&mut rig.tree, *nodes_max);
            }
        }
        while !snapshot.done {
            snapshot.slice(&mut rig.tree, 1);
        }
        rig.tree.walk_end(snapshot.id);
        after.iter().for_each(|step| run(&mut rig, step));
        rig.apply_all();

        let mut restored = snapshot.restore(settings);
        for entry in rig.log.iter().filter(|entry| entry.header.zxid > snapshot.head.zxid) {
            restored.apply(&entry.header, &entry.txn, &mut Vec::new());
        }
        check_tree(&mut restored);
        prop_assert_eq!(restored.digest(), rig.tree.digest());
        prop_assert_eq!(restored.sessions(), rig.tree.sessions());
        prop_assert_eq!(without_statistics(dump(&mut restored)), without_statistics(dump(&mut rig.tree)));
    }

    /// A multi that fails leaves no trace: all others fare as if it had been another request that fails.
    #[test]
    fn a_failed_multi_changes_nothing(steps in prop::collection::vec(step(), 1..120)) {
        let (mut rig, mut other) = (Rig::new(), Rig::new());
        let harmless = Request::Delete(DeleteRequest { path: "/never/there".into(), version: -1 });
        for step in &steps {
            run(&mut rig, step);
            match step {
                Step::Write(session, Request::Multi(_)) if is_failed(rig.log.last().unwrap()) => {
                    assert!(other.prepare(*session, WriteBody::Request(&harmless)).is_some());
                    other.log.pop();
                    other.log.push(rig.log.last().unwrap().clone());
                }
                step => run(&mut other, step),
            }
            let without_digest = |rig: &Rig| rig.log.last().map(|entry| (entry.header, entry.txn.clone()));
            prop_assert_eq!(without_digest(&rig), without_digest(&other));
        }
        rig.apply_all();
        other.apply_all();
        prop_assert_eq!(dump(&mut rig.tree), dump(&mut other.tree));
    }
}
