//! A ZooKeeper server on real sockets and files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;

use base::{Reader, Str};
use bytes::{Bytes, BytesMut};
use config::{Properties, ZooKeeperSettings};
use host::logging::{Log, LogSettings};
use host::{Listener, System, ZooKeeper, ZooKeeperTls};
use zk_proto::connect::{ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader};
use zk_proto::{Acl, Jute, OpCode, requests::CreateRequest};

struct World {
    system: System,
    server: ZooKeeper,
    address: SocketAddr,
}

impl World {
    fn start(dir: &Path) -> Self {
        let system = System::start(1).unwrap();
        let java = [("zookeeper.4lw.commands.whitelist", "*")].into_iter().collect();
        let loaded = ZooKeeperSettings::from_arguments(&["2181", dir.to_str().unwrap()], &java).unwrap();
        let silent = LogSettings::parse(&Properties::new(), &Properties::new(), &mut Vec::new());
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
        let address = listener.address();
        let config = host::zookeeper_config(&loaded.settings, i32::from(address.port()));
        let log = Log::start(silent).unwrap();
        let server =
            ZooKeeper::open(config, ZooKeeperTls::default(), system.clone(), log, System::random().unwrap()).unwrap();
        server.serve(listener, false);
        Self { system, server, address }
    }

    fn stop(self) {
        self.server.stop();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(self.server.stopped()), zk_node::StopReason::Requested);
        self.system.stop();
    }

    fn word(&self, word: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(word.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(world: &World) -> Self {
        let mut client = Self(TcpStream::connect(world.address).unwrap());
        let mut hello = BytesMut::new();
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: 10_000,
            session_id: 0,
            password: Bytes::from_static(&[0; 16]),
            read_only: Some(false),
        };
        request.encode(&mut hello);
        client.send(&hello);
        let reply = client.receive();
        let response = ConnectResponse::decode(&mut Reader::new(&reply)).unwrap();
        assert_ne!(response.session_id, 0);
        client
    }

    fn send(&mut self, body: &[u8]) {
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        self.0.write_all(&frame).unwrap();
    }

    fn receive(&mut self) -> Bytes {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body).unwrap();
        body.into()
    }

    fn create(path: &str, data: Bytes) -> BytesMut {
        let mut body = BytesMut::new();
        RequestHeader { xid: 1, op: OpCode::Create as i32 }.encode(&mut body);
        CreateRequest { path: Str::from(path), data: Some(data), acl: vec![Acl::OPEN], flags: 0 }.encode(&mut body);
        body
    }

    fn exists(&mut self, path: &str) -> i32 {
        let mut body = BytesMut::new();
        RequestHeader { xid: 2, op: OpCode::Exists as i32 }.encode(&mut body);
        Str::from(path).encode(&mut body);
        body.extend_from_slice(&[0]);
        self.send(&body);
        self.error()
    }

    fn error(&mut self) -> i32 {
        let reply = self.receive();
        ReplyHeader::decode(&mut Reader::new(&reply)).unwrap().err
    }
}

#[test]
fn what_is_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path());
    let mut client = Client::connect(&world);
    client.send(&Client::create("/hello", Bytes::from_static(b"world")));
    assert_eq!(client.error(), 0);
    assert_eq!(client.exists("/hello"), 0);
    world.stop();

    let world = World::start(dir.path());
    assert_eq!(Client::connect(&world).exists("/hello"), 0);
    assert_eq!(Client::connect(&world).exists("/none"), -101);
    world.stop();
}

/// As `echo srvr | nc -N` and `FourLetterWordMain` do.
#[test]
fn a_word_is_answered_to_a_peer_that_closed_its_own_side() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path());
    for _ in 0..20 {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.write_all(b"srvr\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.contains("Mode: standalone\n"), "{text:?}");
    }
    world.stop();
}

#[test]
fn frames_cut_anywhere_and_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path());
    let mut client = Client::connect(&world);
    client.0.set_nodelay(true).unwrap();
    let body = Client::create("/slow", Bytes::from_static(b"x"));
    for byte in (body.len() as u32).to_be_bytes().iter().chain(&body) {
        client.0.write_all(&[*byte]).unwrap();
    }
    assert_eq!(client.error(), 0);
    // As many as wait in one buffer, with frames longer than a chunk between them.
    for index in 0..300 {
        let length = if index % 100 == 0 { 200_000 } else { 10 };
        client.send(&Client::create(&format!("/n{index}"), Bytes::from(vec![1; length])));
    }
    for _ in 0..300 {
        assert_eq!(client.error(), 0);
    }
    world.stop();
}

#[test]
fn many_clients_on_all_loops_share_one_order() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let world = &world;
            scope.spawn(move || {
                let mut client = Client::connect(world);
                for index in 0..50 {
                    client.send(&Client::create(&format!("/t{thread}-{index}"), Bytes::new()));
                    assert_eq!(client.error(), 0);
                    assert_eq!(client.exists(&format!("/t{thread}-{index}")), 0);
                }
            });
        }
    });
    // Root, the three reserved nodes, and ours.
    assert!(world.word("mntr").contains("zk_znode_count\t405\n"), "{}", world.word("mntr"));
    world.stop();
}

#[test]
fn a_hostile_length_ends_its_connection_alone() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path());
    let mut good = Client::connect(&world);
    for length in [i32::MAX, -1] {
        let mut bad = Client::connect(&world);
        bad.0.write_all(&length.to_be_bytes()).unwrap();
        bad.0.write_all(&[0; 100]).unwrap();
        let ended = bad.0.read(&mut [0]);
        let reset = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert!(reset || matches!(ended, Ok(0)), "{ended:?}");
    }
    assert_eq!(good.exists("/"), 0);
    assert_eq!(world.word("ruok"), "imok");
    world.stop();
}
