//! ZooKeeper's messages, its two kinds of files, and a server's connection.

use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use base::{Disk, MemDisk, Monotonic, Now, OpenMode, Random, Reader, Slow};
use bytes::{Bytes, BytesMut};
use config::zookeeper::Secret;
use zk_node::{ConnectionId, Effect, Effects, Event, Server, ServerConfig};
use zk_proto::connect::{ConnectRequest, ConnectResponse};
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::snapshot::{NodeRecord, SessionRecord};
use zk_proto::{Acl, Jute, OpCode, TxnEntry, WatcherEvent};
use zk_store::{Compression, Recovered, SnapshotDigest, SnapshotSink, is_plausible_snapshot, read_snapshot, recover};

use super::choice;

/// The first byte is the op code, of a request and of an answer.
pub(crate) fn messages(input: &[u8]) {
    let Some((code, body)) = choice(input) else { return };
    let body = Bytes::copy_from_slice(body);
    let op = i32::from(code as u8 as i8);
    let _ = Request::decode(op, &mut Reader::new(&body));
    if let Some(op) = OpCode::from_code(op) {
        let _ = Response::decode(op, &mut Reader::new(&body));
    }
    round_trip::<ConnectRequest>(&body);
    round_trip::<ConnectResponse>(&body);
    round_trip::<WatcherEvent>(&body);
}

/// What was read is written to what is read as the same.
fn round_trip<T: Jute + PartialEq + std::fmt::Debug>(bytes: &Bytes) {
    if let Ok(value) = T::decode(&mut Reader::new(bytes)) {
        let encoded = value.to_bytes();
        let again = T::decode(&mut Reader::new(&encoded)).expect("what was encoded is read");
        assert_eq!(again.to_bytes(), encoded);
    }
}

pub(crate) fn message_seeds() -> Vec<Vec<u8>> {
    let path = [0, 0, 0, 2, b'/', b'a'];
    (-11_i8..=110)
        .filter(|code| OpCode::from_code((*code).into()).is_some())
        .map(|code| [&[code as u8][..], &path, &[0; 80]].concat())
        .collect()
}

pub(crate) fn txns(input: &[u8]) {
    round_trip::<TxnEntry>(&Bytes::copy_from_slice(input));
}

/// A sink that keeps nothing.
struct Nothing;

impl SnapshotSink for Nothing {
    fn begin(&mut self, _: i64) {}
    fn session(&mut self, _: SessionRecord) {}
    fn acl(&mut self, _: i64, _: Vec<Acl>) {}
    fn node(&mut self, _: NodeRecord) -> Result<(), String> {
        Ok(())
    }
    fn end(&mut self, _: Option<SnapshotDigest>) {}
}

impl Recovered for Nothing {
    fn txn(&mut self, _: TxnEntry, _: usize) -> Result<(), String> {
        Ok(())
    }
}

/// The first byte chooses the compression.
pub(crate) fn snapshot(input: &[u8]) {
    let Some((choice, content)) = choice(input) else { return };
    let compression = [Compression::None, Compression::Gzip, Compression::Snappy][choice % 3];
    let disk = MemDisk::new();
    put(&disk, "/d/snapshot.0", content);
    let path = Path::new("/d/snapshot.0");
    let _ = is_plausible_snapshot(&disk, path, compression);
    let _ = read_snapshot(&disk, path, 0, compression, &mut Nothing);
}

pub(crate) fn snapshot_seeds() -> Vec<Vec<u8>> {
    let files: [&[u8]; 3] = [
        include_bytes!("../../../../core/zk-store/tests/golden/snapshot.17"),
        include_bytes!("../../../../core/zk-store/tests/golden/snapshot.17.gz"),
        include_bytes!("../../../../core/zk-store/tests/golden/snapshot.17.snappy"),
    ];
    files.iter().enumerate().map(|(at, file)| [&[at as u8], *file].concat()).collect()
}

/// A data directory with the snapshot of an empty tree, and a log of the input's.
pub(crate) fn txn_log(input: &[u8]) {
    let disk = MemDisk::new();
    put(&disk, "/d/snapshot.0", include_bytes!("../../../../core/zk-store/tests/golden/snapshot.0"));
    put(&disk, "/d/log.1", input);
    let dir = Path::new("/d");
    let first = recover(&disk, dir, dir, true, &mut Nothing, &Slow::allowed());
    if let Ok(first) = first {
        let second = recover(&disk, dir, dir, true, &mut Nothing, &Slow::allowed()).expect("what was mended opens");
        assert_eq!(second.last_zxid, first.last_zxid);
    }
}

pub(crate) fn txn_log_seeds() -> Vec<Vec<u8>> {
    let file = include_bytes!("../../../../core/zk-store/tests/golden/log.1");
    // Without the padding.
    let length = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    vec![file[..length].to_vec(), file[..(length + 64).min(file.len())].to_vec()]
}

/// A client's bytes on a server that is up, in pieces of 50.
pub(crate) fn connection(input: &[u8]) {
    let mut settings = ServerConfig::new("/d");
    settings.preallocation = 4096;
    settings.sasl.users = Some([("bob".to_owned(), Secret("secret".to_owned()))].into());
    let mut effects = Effects::new();
    let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
    let server = Server::open(settings, disk, Random::from_seed(1), now(), &mut effects, &Slow::allowed());
    let mut server = server.expect("the disk is new");
    let connection = ConnectionId(1);
    let peer = ([127, 0, 0, 1], 1).into();
    let opened = Event::Opened { connection, peer, certificates: None };
    let pieces =
        input.chunks(50).map(|bytes| Event::Received { connection, bytes: Bytes::copy_from_slice(bytes).into() });
    for event in std::iter::once(opened).chain(pieces) {
        server.handle(event, now(), &mut effects);
        server.end_turn(now(), &mut effects);
        if !carry_out(&mut server, &mut effects, connection) {
            return;
        }
    }
}

/// Whether the connection is still open.
fn carry_out(server: &mut Server, effects: &mut Effects, ours: ConnectionId) -> bool {
    let mut is_open = true;
    while !effects.is_empty() {
        for effect in std::mem::take(effects) {
            match effect {
                Effect::Disk(task) => {
                    let done = task.run(&Slow::allowed());
                    server.handle(Event::Disk(done), now(), effects);
                    server.end_turn(now(), effects);
                }
                Effect::Close(connection) => is_open &= connection != ours,
                _ => {}
            }
        }
    }
    is_open
}

pub(crate) fn connection_seeds() -> Vec<Vec<u8>> {
    let framed = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let mut connect = BytesMut::new();
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms: 10_000,
        session_id: 0,
        password: Bytes::from_static(&[0; 16]),
        read_only: Some(false),
    };
    request.encode(&mut connect);
    let hello = framed(&connect);
    let requests = message_seeds().into_iter().map(|seed| {
        let (code, body) = seed.split_first().expect("it has a code");
        let header = [1_i32.to_be_bytes(), i32::from(*code as i8).to_be_bytes()].concat();
        framed(&[&header, body].concat())
    });
    let all = requests.map(|request| [hello.clone(), request].concat());
    all.chain([b"ruok".to_vec(), b"mntr".to_vec(), b"stat".to_vec(), b"cons".to_vec()]).collect()
}

fn put(disk: &MemDisk, name: &str, content: &[u8]) {
    let path = Path::new(name);
    disk.create_dir_all(path.parent().expect("it has one")).expect("the disk is new");
    let file = disk.open(path, OpenMode::Create).expect("the disk is new");
    file.write_at(&[IoSlice::new(content)], 0).expect("the disk has room");
}

fn now() -> Now {
    Now { monotonic: Monotonic::from_ms(1000), wall_ms: 1_600_000_000_000 }
}
