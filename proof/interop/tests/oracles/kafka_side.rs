//! A broker of either kind beside a ZooKeeper of its kind, and a client that sends requests as they are given.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use interop::{Original, OriginalKind, Server, free_port};
use kafka_proto::messages::{api_versions, create_topics, find_coordinator, metadata, offset_fetch};
use kafka_proto::{ApiKey, ErrorCode, Message, Request, frame};

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
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        Client { stream, correlation_id: 0 }
    }

    /// A text without what differs from run to run.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "<folder>")
            .replace(&format!("127.0.0.1:{}", self.port), "<broker>")
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    /// The answer, or how there was none: `closed`, or what is wrong with it.
    pub(crate) fn try_ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, String> {
        self.correlation_id += 1;
        let client_id = Str::from_static("script");
        let bytes = frame::request_bytes(request, version, self.correlation_id, Some(&client_id));
        self.stream.write_all(&bytes.map_err(|error| error.to_string())?).map_err(|_| "closed")?;
        let reply = self.receive()?;
        let mut reader = Reader::new(&reply);
        let decoded = frame::ResponseHeader::decode(R::KEY.response_header_version(version), &mut reader)
            .and_then(|header| Ok((header, R::Response::decode(version, &mut reader)?)));
        let (header, response) = decoded.map_err(|error| error.to_string())?;
        assert_eq!(header.correlation_id, self.correlation_id, "{:?} v{version}", R::KEY);
        assert_eq!(reader.remaining(), 0, "{:?} v{version} has bytes behind it", R::KEY);
        Ok(response)
    }

    pub(crate) fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        self.try_ask(request, version).unwrap()
    }

    /// Sends any bytes as a request's body, and a plain request behind it; `answered`, `closed`, or `nothing`.
    pub(crate) fn ask_bytes(&mut self, key: ApiKey, version: i16, body: &[u8]) -> String {
        let mut header = BytesMut::new();
        let fields = frame::RequestHeader {
            api_key: key.code(),
            api_version: version,
            correlation_id: 1,
            client_id: Some(Str::from_static("script")),
        };
        fields.encode(key.request_header_version(version), &mut header).unwrap();
        let probe = frame::request_bytes(&api_versions::Request::default(), 0, 2, None).unwrap();
        let len = (header.len() + body.len()) as u32;
        let frame = [&len.to_be_bytes(), &header[..], body, &probe].concat();
        if self.stream.write_all(&frame).is_err() {
            return "closed".to_owned();
        }
        match self.receive() {
            Ok(reply) if reply[..4] == [0, 0, 0, 2] => "nothing".to_owned(),
            Ok(_) => match self.receive() {
                Ok(_) => "answered".to_owned(),
                Err(error) => format!("answered, then {error}"),
            },
            Err(error) => error,
        }
    }

    /// A frame without its length.
    fn receive(&mut self) -> Result<Bytes, String> {
        let told = |error: std::io::Error| match error.kind() {
            ErrorKind::WouldBlock => "no answer".to_owned(),
            _ => "closed".to_owned(),
        };
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(told)?;
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut reply).map_err(told)?;
        Ok(Bytes::from(reply))
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
