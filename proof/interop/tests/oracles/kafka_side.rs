//! A broker of either kind beside a ZooKeeper of its kind, and a client that sends requests as they are given.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use interop::{Original, OriginalKind, Requests, Server, free_port};
use kafka_proto::messages::{create_topics, find_coordinator, metadata, offset_fetch};
use kafka_proto::{ApiKey, ErrorCode, Request};

/// Lines of a `server.properties` that both brokers have.
const SETTINGS: &str = "offsets.topic.num.partitions=3\noffsets.topic.replication.factor=1\ngroup.initial.rebalance.delay.ms=0\n\
    num.partitions=2\nlog.retention.hours=20\nlog.roll.ms=700000000\nlog.cleaner.threads=2\nmax.connections.per.ip=50\n\
    transaction.state.log.replication.factor=1\ncompression.type=lz4\nmy.own.key=7\n";

/// A broker of either kind and its ZooKeeper.
pub(crate) struct Side {
    pub(crate) port: u16,
    folder: tempfile::TempDir,
    _servers: Servers,
}

#[expect(dead_code, reason = "dropping them ends them")]
enum Servers {
    Ours(Server, Server),
    Theirs(Original, Original),
}

impl Side {
    pub(crate) fn start(is_ours: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (zookeeper_port, port) = (free_port().unwrap(), free_port().unwrap());
        let path = |name: &str| folder.path().join(name);
        let zoo_cfg = format!(
            "dataDir={}\nclientPort={zookeeper_port}\nclientPortAddress=127.0.0.1\n",
            path("zookeeper").display()
        );
        let properties = format!(
            "broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:{port}\nzookeeper.connect=127.0.0.1:{zookeeper_port}\n\
             log.dirs={}\n{SETTINGS}",
            path("kafka").display()
        );
        fs::write(path("zoo.cfg"), zoo_cfg).unwrap();
        fs::write(path("server.properties"), properties).unwrap();
        let config = |name: &str| -> &Path { Box::leak(path(name).into_boxed_path()) };
        let servers = if is_ours {
            let zookeeper = Server::zookeeper(config("zoo.cfg")).unwrap();
            Servers::Ours(Server::broker(config("server.properties")).unwrap(), zookeeper)
        } else {
            let zookeeper = Original::start(OriginalKind::ZooKeeper, config("zoo.cfg"), zookeeper_port).unwrap();
            Servers::Theirs(Original::start(OriginalKind::Kafka, config("server.properties"), port).unwrap(), zookeeper)
        };
        let side = Self { port, folder, _servers: servers };
        side.prepare();
        side
    }

    /// Waits for the broker to know itself, makes the topic `t`, and waits for the coordinator of groups.
    fn prepare(&self) {
        let mut client = self.connect();
        client.until(&metadata::Request::default(), 9, |reply| !reply.brokers.is_empty());
        let topic = create_topics::RequestTopic {
            name: "t".into(),
            num_partitions: 2,
            replication_factor: 1,
            configs: vec![create_topics::RequestConfig { name: "retention.ms".into(), value: Some("1000".into()) }],
            ..create_topics::RequestTopic::default()
        };
        let request = create_topics::Request { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
        assert_eq!(client.ask(&request, 5).topics[0].error_code, ErrorCode::NONE);
        let find = find_coordinator::Request { key: "g".into(), key_type: 0 };
        client.until(&find, 3, |reply| reply.error_code.is_none());
        let fetch = offset_fetch::Request { group_id: "g".into(), topics: None, require_stable: false };
        client.until(&fetch, 7, |reply| reply.error_code.is_none());
    }

    pub(crate) fn connect(&self) -> Client {
        self.connect_with(Duration::from_secs(60))
    }

    /// A client that waits so long for an answer.
    pub(crate) fn connect_with(&self, patience: Duration) -> Client {
        Client(Requests::connect(("127.0.0.1", self.port), patience).unwrap())
    }

    /// A text without what differs from run to run.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "<folder>")
            .replace(&format!("127.0.0.1:{}", self.port), "<broker>")
    }
}

pub(crate) struct Client(Requests);

impl Client {
    /// The answer, or how there was none: `closed`, or what is wrong with it.
    pub(crate) fn try_ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, String> {
        self.0.ask(request, version)
    }

    pub(crate) fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.try_ask(request, version).unwrap()
    }

    /// See [`Requests::ask_bytes`].
    pub(crate) fn ask_bytes(&mut self, key: ApiKey, version: i16, body: &[u8]) -> String {
        self.0.ask_bytes(key, version, body).unwrap()
    }

    pub(crate) fn until<R: Request>(&mut self, request: &R, version: i16, done: impl Fn(&R::Response) -> bool) {
        let start = Instant::now();
        while !done(&self.ask(request, version)) {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?} never says what is waited for", R::KEY);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub(crate) fn versions<R: Request>() -> std::ops::RangeInclusive<i16> {
    R::KEY.versions().first..=R::KEY.versions().last
}
