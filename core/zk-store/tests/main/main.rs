//! The store against files of the JVM original, against crashes, and against damage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod crash;
mod damage;
mod golden;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, MemDisk, OpenMode, Slow};
use bytes::{Bytes, BytesMut};
use zk_proto::snapshot::{NodeRecord, SessionRecord};
use zk_proto::txn::ErrorTxn;
use zk_proto::{Acl, Jute, Txn, TxnEntry, TxnHeader};
use zk_store::{
    Compression, DataDirs, LogConfig, Recovered, Recovery, SnapshotBody, SnapshotDigest, SnapshotInfo, SnapshotSink,
    SnapshotWriter, StoreError, TxnLog, recover,
};

const SLOW: Slow = Slow::allowed();

/// Everything recovered, as it came.
#[derive(Clone, Debug, Default, PartialEq)]
struct Collected {
    zxid: i64,
    sessions: Vec<SessionRecord>,
    acls: Vec<(i64, Vec<Acl>)>,
    nodes: Vec<NodeRecord>,
    digest: Option<SnapshotDigest>,
    txns: Vec<TxnEntry>,
}

impl SnapshotSink for Collected {
    fn begin(&mut self, zxid: i64) {
        *self = Self { zxid, ..Self::default() };
    }

    fn session(&mut self, session: SessionRecord) {
        self.sessions.push(session);
    }

    fn acl(&mut self, index: i64, acl: Vec<Acl>) {
        self.acls.push((index, acl));
    }

    fn node(&mut self, node: NodeRecord) -> Result<(), String> {
        self.nodes.push(node);
        Ok(())
    }

    fn end(&mut self, digest: Option<SnapshotDigest>) {
        self.digest = digest;
    }
}

impl Recovered for Collected {
    fn txn(&mut self, entry: TxnEntry, _payload_len: usize) -> Result<(), String> {
        self.txns.push(entry);
        Ok(())
    }
}

/// A data directory on a disk in memory.
struct Store {
    disk: MemDisk,
    dirs: DataDirs,
}

impl Store {
    fn open(disk: &MemDisk) -> Result<Self, StoreError> {
        let dirs = DataDirs::open(disk, Path::new("/data"), Path::new("/data"), true, &SLOW)?;
        Ok(Self { disk: disk.clone(), dirs })
    }

    fn recover_with(&self, trust_empty: bool) -> Result<(Recovery, Collected), StoreError> {
        let mut collected = Collected::default();
        let (log_dir, snap_dir) = (self.dirs.log_dir(), self.dirs.snap_dir());
        let recovery = recover(&self.disk, log_dir, snap_dir, trust_empty, &mut collected, &SLOW)?;
        Ok((recovery, collected))
    }

    fn recover(&self) -> Result<(Recovery, Collected), StoreError> {
        self.recover_with(false)
    }

    fn log(&self, last_zxid: i64, preallocation: u64) -> TxnLog {
        let config = LogConfig { preallocation, ..LogConfig::default() };
        TxnLog::new(Arc::new(self.disk.clone()), self.dirs.log_dir(), config, last_zxid)
    }

    fn snapshot(&self, content: &Collected, compression: Compression) -> Result<SnapshotInfo, StoreError> {
        let disk = Arc::new(self.disk.clone());
        let mut writer = SnapshotWriter::create(disk, self.dirs.snap_dir(), content.zxid, compression, &SLOW)?;
        let mut slice = BytesMut::new();
        let acls = content.acls.iter().map(|(index, acl)| (*index, &acl[..]));
        let mut body = SnapshotBody::begin(&mut slice, content.sessions.iter().copied(), acls);
        for node in &content.nodes {
            writer.write(&slice.split(), &SLOW)?;
            body.node(&mut slice, &node.view());
        }
        body.end(&mut slice);
        writer.write(&slice, &SLOW)?;
        writer.finish(content.digest, &SLOW)
    }
}

fn put(disk: &MemDisk, path: &str, content: &[u8]) {
    let file = disk.open(Path::new(path), OpenMode::Create).unwrap();
    file.truncate(0, &SLOW).unwrap();
    file.write_at(&[IoSlice::new(content)], 0).unwrap();
}

fn file(disk: &MemDisk, path: impl AsRef<Path>) -> Vec<u8> {
    disk.read(path.as_ref(), u64::MAX).unwrap()
}

fn in_dir(name: &str) -> PathBuf {
    Path::new("/data/version-2").join(name)
}

/// A transaction that says nothing but its zxid.
fn entry(zxid: i64) -> TxnEntry {
    let header = TxnHeader { session_id: zxid * 7, cxid: 1, zxid, time_ms: zxid };
    TxnEntry { header, txn: Txn::Error(ErrorTxn { err: -101 }), digest: None }
}

/// A transaction of some `len` bytes.
fn long_entry(zxid: i64, len: usize) -> TxnEntry {
    let data = Bytes::from((0..len).map(|at| (at as i64 * 31 + zxid) as u8 | 1).collect::<Vec<u8>>());
    let txn = zk_proto::txn::SetDataTxn { path: "/a".into(), data: Some(data), version: 1 };
    TxnEntry { txn: Txn::SetData(txn), ..entry(zxid) }
}

fn append(log: &mut TxnLog, entry: &TxnEntry) {
    log.append(entry.header.zxid, &entry.to_bytes());
}

/// Writes and syncs what was appended.
fn commit(log: &mut TxnLog) -> Result<i64, StoreError> {
    let done = log.begin().unwrap().run(&SLOW);
    log.finish(done).map(|durable| durable.last_zxid)
}
