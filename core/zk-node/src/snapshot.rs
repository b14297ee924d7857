//! Snapshots while requests go on: the tree is encoded in slices between events, each slice is written by a disk thread
//! before the next one is made, so that neither side waits for the other and little is in memory.

use base::{Monotonic, Next, Now};
use bytes::BytesMut;
use zk_proto::TxnDigest;
use zk_store::{SnapshotBody, SnapshotDigest, SnapshotWriter, StoreError};
use zk_tree::{Tree, WalkId};

use crate::event::Outcome;
use crate::log::Logger;
use crate::{DiskTask, Effect, Effects, Lane, Server, StopReason};

/// Bounds of a slice: some hundred microseconds of work.
const SLICE_NODES_MAX: usize = 2000;
const SLICE_BYTES_MAX: usize = 1 << 20;

/// A tree on its way into a snapshot.
pub(crate) struct TreeWalk {
    walk: WalkId,
    zxid: i64,
    body: SnapshotBody,
}

/// What is written next.
pub(crate) struct Slice {
    bytes: BytesMut,
    /// Whether it is the last one; then with the digest of the tree as it is now.
    last: Option<Option<SnapshotDigest>>,
}

impl TreeWalk {
    /// Starts with sessions and ACLs.
    pub(crate) fn begin(tree: &mut Tree, out: &mut BytesMut) -> Self {
        let (walk, head) = tree.walk_begin();
        let acls = head.acls.iter().map(|record| (record.index, record.acl.as_slice()));
        let body = SnapshotBody::begin(out, head.sessions.iter().copied(), acls);
        Self { walk, zxid: head.zxid, body }
    }

    /// The transaction that names the snapshot.
    pub(crate) const fn zxid(&self) -> i64 {
        self.zxid
    }

    /// Gives up.
    pub(crate) fn abandon(self, tree: &mut Tree) {
        tree.walk_end(self.walk);
    }

    /// Encodes the next nodes behind what is in `bytes`; gives itself back if there are more.
    pub(crate) fn slice(mut self, tree: &mut Tree, mut bytes: BytesMut) -> (Slice, Option<Self>) {
        let body = &mut self.body;
        let next = tree.walk_slice(self.walk, SLICE_NODES_MAX, SLICE_BYTES_MAX, |node| body.node(&mut bytes, &node));
        if next == Next::More {
            return (Slice { bytes, last: None }, Some(self));
        }
        tree.walk_end(self.walk);
        self.body.end(&mut bytes);
        let digest = tree.settings().digest.then(|| SnapshotDigest {
            zxid: tree.last_zxid(),
            version: TxnDigest::VERSION,
            digest: tree.digest(),
        });
        (Slice { bytes, last: Some(digest) }, None)
    }
}

impl Slice {
    /// The nodes.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes it: the writer again, or the snapshot if that was all.
    pub(crate) fn write(self, mut writer: SnapshotWriter, slow: &base::Slow) -> Result<Written, StoreError> {
        writer.write(&self.bytes, slow)?;
        match self.last {
            None => Ok(Written::Slice(Box::new(writer))),
            Some(digest) => writer.finish(digest, slow).map(|_| Written::Whole),
        }
    }
}

/// How far a snapshot is.
#[derive(Debug)]
pub(crate) enum Written {
    Slice(Box<SnapshotWriter>),
    Whole,
}

/// The snapshot that is being taken.
pub(crate) struct Running {
    /// Gone when all is encoded and the end is being written.
    walk: Option<TreeWalk>,
    began: Monotonic,
}

impl Server {
    /// Starts a snapshot, unless one is being taken.
    pub(crate) fn begin_snapshot(&mut self, now: Now, effects: &mut Effects) {
        if self.snapshot.is_some() {
            self.log.warn(Logger::Sync, "Too busy to snap, skipping");
            return;
        }
        let mut bytes = BytesMut::new();
        let walk = TreeWalk::begin(&mut self.tree, &mut bytes);
        let zxid = walk.zxid();
        let (slice, rest) = walk.slice(&mut self.tree, bytes);
        self.snapshot_serial += 1;
        let serial = self.snapshot_serial;
        self.snapshot = Some(Running { walk: rest, began: now.monotonic });
        let name = self.dirs.snap_dir().join(format!("snapshot.{zxid:x}"));
        self.log.info(Logger::Snapshot, format!("Snapshotting: {zxid:#x} to {}", name.display()));
        let (disk, dir, compression) = (self.disk.clone(), self.dirs.snap_dir().to_owned(), self.config.compression);
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            let writer = SnapshotWriter::create(disk, &dir, zxid, compression, slow);
            Outcome::Snapshot(serial, writer.and_then(|writer| slice.write(writer, slow)))
        })));
    }

    /// A slice is written: the next one, or the end.
    pub(crate) fn snapshot_written(
        &mut self,
        serial: u64,
        written: Result<Written, StoreError>,
        now: Now,
        effects: &mut Effects,
    ) {
        match written {
            // One that was given up: what there is of its file goes at the next start.
            Ok(_) if serial != self.snapshot_serial => {}
            Ok(Written::Slice(writer)) => self.next_slice(*writer, effects),
            Ok(Written::Whole) => {
                let Some(running) = self.snapshot.take() else { return };
                let took_ms = now.monotonic.ms().saturating_sub(running.began.ms());
                self.stats.snapshot_ms.add(took_ms);
                self.log.info(Logger::Server, format!("Snapshot taken in {took_ms} ms"));
            }
            Err(error) => {
                let reason = error.to_string();
                self.log.error(Logger::Server, format!("Severe unrecoverable error, exiting\n{reason}"));
                self.stop(StopReason::SnapshotFailed(reason), effects);
            }
        }
    }

    fn next_slice(&mut self, writer: SnapshotWriter, effects: &mut Effects) {
        let Some(walk) = self.snapshot.as_mut().and_then(|running| running.walk.take()) else { return };
        let (slice, rest) = walk.slice(&mut self.tree, BytesMut::with_capacity(SLICE_BYTES_MAX));
        if let Some(running) = &mut self.snapshot {
            running.walk = rest;
        }
        let serial = self.snapshot_serial;
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            Outcome::Snapshot(serial, slice.write(writer, slow))
        })));
    }

    /// Gives up a snapshot whose nodes are not all encoded: the tree is about to hold what may be taken back.
    pub(crate) fn stop_snapshots(&mut self) {
        if let Some(walk) = self.snapshot.as_mut().and_then(|running| running.walk.take()) {
            walk.abandon(&mut self.tree);
            self.snapshot = None;
            self.snapshot_serial += 1;
        }
    }
}
