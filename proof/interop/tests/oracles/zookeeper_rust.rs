//! The Rust client `zookeeper-client`, written from the protocol without the originals' code: every kind of request that it
//! has, watches, a lock among three sessions, and a session that goes on after a crash of the server.

use std::time::Duration;

use interop::Jackdaw;
use zookeeper_client as zk;

const OPEN: zk::Acls<'static> = zk::Acls::anyone_all();

fn persistent() -> zk::CreateOptions<'static> {
    zk::CreateMode::Persistent.with_acls(OPEN)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("it hangs") });
}

async fn requests(client: &zk::Client) {
    let (stat, _) = client.create("/rust", b"one", &persistent()).await.unwrap();
    assert_eq!(client.get_data("/rust").await.unwrap(), (b"one".to_vec(), stat));
    assert_eq!(client.create("/rust", b"", &persistent()).await.unwrap_err(), zk::Error::NodeExists);
    let stat = client.set_data("/rust", b"two", Some(0)).await.unwrap();
    assert_eq!((stat.version, stat.data_length), (1, 3));
    assert_eq!(client.set_data("/rust", b"", Some(0)).await.unwrap_err(), zk::Error::BadVersion);
    let sequential = zk::CreateMode::EphemeralSequential.with_acls(OPEN);
    for expected in 0..3 {
        let (_, sequence) = client.create("/rust/n-", b"", &sequential).await.unwrap();
        assert_eq!(sequence.into_i64(), expected);
    }
    client.create("/rust/box", b"", &zk::CreateMode::Container.with_acls(OPEN)).await.unwrap();
    let (mut names, stat) = client.get_children("/rust").await.unwrap();
    names.sort();
    assert_eq!(names, ["box", "n-0000000000", "n-0000000001", "n-0000000002"]);
    assert_eq!((stat.num_children, stat.cversion), (4, 4));
    assert_eq!(client.count_descendants_number("/rust").await.unwrap(), 4);
    assert_eq!(client.list_ephemerals("/rust").await.unwrap().len(), 3);
    let (acls, stat) = client.get_acl("/rust").await.unwrap();
    assert_eq!(acls, OPEN.iter().cloned().collect::<Vec<_>>());
    client.auth("digest", b"u:p").await.unwrap();
    client.set_acl("/rust", &zk::Acls::creator_all(), Some(stat.aversion)).await.unwrap();
    assert_eq!(client.get_acl("/rust").await.unwrap().0[0].scheme(), "digest");
    client.sync("/rust").await.unwrap();
    assert!(client.check_stat("/none").await.unwrap().is_none());
    assert_eq!(client.delete("/rust", None).await.unwrap_err(), zk::Error::NotEmpty);
}

async fn multis(client: &zk::Client) {
    let mut writer = client.new_multi_writer();
    writer.add_create("/multi", b"", &persistent()).unwrap();
    writer.add_set_data("/multi", b"data", Some(0)).unwrap();
    writer.add_check_version("/multi", 1).unwrap();
    assert_eq!(writer.commit().await.unwrap().len(), 3);
    writer.add_delete("/multi", None).unwrap();
    writer.add_check_version("/multi", 9).unwrap();
    let Err(zk::MultiWriteError::OperationFailed { index, source }) = writer.commit().await else { panic!("it can't") };
    assert_eq!((index, source), (1, zk::Error::NoNode));
    let mut reader = client.new_multi_reader();
    reader.add_get_data("/multi").unwrap();
    reader.add_get_children("/none").unwrap();
    let results = reader.commit().await.unwrap();
    assert!(matches!(&results[0], zk::MultiReadResult::Data { data, .. } if data == b"data"), "{results:?}");
    assert!(matches!(&results[1], zk::MultiReadResult::Error { err: zk::Error::NoNode }), "{results:?}");
}

async fn watches(client: &zk::Client, other: &zk::Client) {
    let (_, made) = client.check_and_watch_stat("/watched").await.unwrap();
    let mut recursive = client.watch("/watched", zk::AddWatchMode::PersistentRecursive).await.unwrap();
    let mut persistent_watch = client.watch("/watched/child", zk::AddWatchMode::Persistent).await.unwrap();
    other.create("/watched", b"", &persistent()).await.unwrap();
    assert_eq!(made.changed().await.event_type, zk::EventType::NodeCreated);
    let (_, _, data) = client.get_and_watch_data("/watched").await.unwrap();
    let (_, children) = client.list_and_watch_children("/watched").await.unwrap();
    other.create("/watched/child", b"", &persistent()).await.unwrap();
    other.set_data("/watched", b"new", None).await.unwrap();
    other.delete("/watched/child", None).await.unwrap();
    assert_eq!(children.changed().await.event_type, zk::EventType::NodeChildrenChanged);
    assert_eq!(data.changed().await.event_type, zk::EventType::NodeDataChanged);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = recursive.changed().await;
        seen.push((event.event_type, event.path));
    }
    let event = |event_type, path: &str| (event_type, path.to_owned());
    assert_eq!(
        seen,
        [
            event(zk::EventType::NodeCreated, "/watched"),
            event(zk::EventType::NodeCreated, "/watched/child"),
            event(zk::EventType::NodeDataChanged, "/watched"),
            event(zk::EventType::NodeDeleted, "/watched/child"),
        ]
    );
    for expected in [zk::EventType::NodeCreated, zk::EventType::NodeDeleted] {
        assert_eq!(persistent_watch.changed().await.event_type, expected);
    }
    drop(recursive);
}

/// The recipe of Curator: who holds the lock is alone.
async fn lock(cluster: &str) {
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(zk::Client::connect(cluster).await.unwrap());
    }
    clients[0].create("/turns", b"", &persistent()).await.unwrap();
    clients[0].create("/locks", b"", &persistent()).await.unwrap();
    let takes = clients.iter().map(|client| async move {
        for _ in 0..5 {
            let prefix = zk::LockPrefix::new_curator("/locks", "lock-").unwrap();
            let held = client.lock(prefix, b"", OPEN).await.unwrap();
            let inside = zk::CreateMode::Ephemeral.with_acls(OPEN);
            client.create("/turns/inside", b"", &inside).await.expect("nobody else is inside");
            held.delete("/turns/inside", None).await.unwrap();
        }
    });
    futures(takes).await;
}

async fn futures<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[test]
fn requests_multis_watches_and_locks() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    run(async {
        let client = zk::Client::connect(&jackdaw.zookeeper()).await.unwrap();
        let other = zk::Client::connect(&jackdaw.zookeeper()).await.unwrap();
        requests(&client).await;
        multis(&client).await;
        watches(&client, &other).await;
        lock(&jackdaw.zookeeper()).await;
    });
}

#[test]
fn a_session_with_its_watches_outlives_a_crash_of_the_server() {
    let data = tempfile::tempdir().unwrap();
    let jackdaw = Jackdaw::start(data.path()).unwrap();
    run(async {
        let client = zk::Client::connect(&jackdaw.zookeeper()).await.unwrap();
        let ephemeral = zk::CreateMode::Ephemeral.with_acls(OPEN);
        client.create("/held", b"here", &ephemeral).await.unwrap();
        let (_, _, watch) = client.get_and_watch_data("/held").await.unwrap();
        let mut state = client.state_watcher();
        let jackdaw = jackdaw.crash().unwrap();
        while state.changed().await != zk::SessionState::SyncConnected {}
        assert_eq!(client.get_data("/held").await.unwrap().0, b"here");
        let other = zk::Client::connect(&jackdaw.zookeeper()).await.unwrap();
        other.set_data("/held", b"changed", None).await.unwrap();
        assert_eq!(watch.changed().await.event_type, zk::EventType::NodeDataChanged);
    });
}
