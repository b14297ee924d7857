//! Snapshots while requests go on: the tree is encoded in slices between events, each slice is written by a disk thread
//! before the next one is made, so that neither side waits for the other and little is in memory.
//!
//! A snapshot gets its name when the own log is durable up to all that it holds. A member applies what a quorum has logged,
//! its own log or not: after a crash the snapshot would stand alone, the log would go on behind it with a hole before it,
//! and a learner that this server leads one day would be given that log.

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
}

/// What stands behind a tree when all of it is written.
pub(crate) struct Seal {
    /// The newest transaction of which the nodes may hold something.
    zxid: i64,
    digest: Option<SnapshotDigest>,
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
    pub(crate) fn slice(mut self, tree: &mut Tree, mut bytes: BytesMut) -> (Slice, Result<Self, Seal>) {
        let body = &mut self.body;
        let next = tree.walk_slice(self.walk, SLICE_NODES_MAX, SLICE_BYTES_MAX, |node| body.node(&mut bytes, node));
        if next == Next::More {
            return (Slice { bytes }, Ok(self));
        }
        tree.walk_end(self.walk);
        self.body.end(&mut bytes);
        let digest = tree.settings().digest.then(|| SnapshotDigest {
            zxid: tree.last_zxid(),
            version: TxnDigest::VERSION,
            digest: tree.digest(),
        });
        (Slice { bytes }, Err(Seal { zxid: tree.last_zxid(), digest }))
    }
}

impl Slice {
    /// The nodes.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes it, and gives the writer back.
    pub(crate) fn write(self, mut writer: SnapshotWriter, slow: &base::Slow) -> Result<SnapshotWriter, StoreError> {
        writer.write(&self.bytes, slow)?;
        Ok(writer)
    }
}

impl Seal {
    /// Ends the snapshot, and gives it its name.
    pub(crate) fn put(self, writer: SnapshotWriter, slow: &base::Slow) -> Result<(), StoreError> {
        writer.finish(self.digest, slow).map(|_| ())
    }
}

/// How far a snapshot is.
#[derive(Debug)]
pub(crate) enum Written {
    Slice(Box<SnapshotWriter>),
    Whole,
}

impl From<SnapshotWriter> for Written {
    fn from(writer: SnapshotWriter) -> Self {
        Self::Slice(Box::new(writer))
    }
}

/// The snapshot that is being taken.
pub(crate) struct Running {
    stage: Stage,
    began: Monotonic,
}

/// How far it is.
enum Stage {
    /// Nodes are being written, and there are more.
    Walking(TreeWalk),
    /// The last nodes are being written.
    Ending(Seal),
    /// All nodes are written, and the own log is behind them.
    Written(Seal, Box<SnapshotWriter>),
    /// It is getting its name.
    Sealing,
}

impl Stage {
    fn after(rest: Result<TreeWalk, Seal>) -> Self {
        match rest {
            Ok(walk) => Self::Walking(walk),
            Err(seal) => Self::Ending(seal),
        }
    }
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
        self.snapshot = Some(Running { stage: Stage::after(rest), began: now.monotonic });
        let name = self.dirs.snap_dir().join(format!("snapshot.{zxid:x}"));
        self.log.info(Logger::Snapshot, format!("Snapshotting: {zxid:#x} to {}", name.display()));
        let (disk, dir, compression) = (self.disk.clone(), self.dirs.snap_dir().to_owned(), self.config.compression);
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            let writer = SnapshotWriter::create(disk, &dir, zxid, compression, slow);
            Outcome::Snapshot(serial, writer.and_then(|writer| slice.write(writer, slow)).map(Written::from))
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
            Ok(Written::Slice(writer)) if serial != self.snapshot_serial => self.abandon_snapshot(writer, effects),
            Ok(Written::Whole) if serial != self.snapshot_serial => {}
            Ok(Written::Slice(writer)) => self.next_slice(writer, effects),
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

    fn next_slice(&mut self, writer: Box<SnapshotWriter>, effects: &mut Effects) {
        let Some(running) = &mut self.snapshot else { return };
        match std::mem::replace(&mut running.stage, Stage::Sealing) {
            Stage::Walking(walk) => {
                let (slice, rest) = walk.slice(&mut self.tree, BytesMut::with_capacity(SLICE_BYTES_MAX));
                running.stage = Stage::after(rest);
                let serial = self.snapshot_serial;
                effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
                    Outcome::Snapshot(serial, slice.write(*writer, slow).map(Written::from))
                })));
            }
            Stage::Ending(seal) => {
                running.stage = Stage::Written(seal, writer);
                self.seal_snapshot(effects);
            }
            stage @ (Stage::Written(..) | Stage::Sealing) => running.stage = stage,
        }
    }

    /// Gives a snapshot its name, if the own log holds for good all that it holds.
    pub(crate) fn seal_snapshot(&mut self, effects: &mut Effects) {
        let durable = self.pipeline.durable;
        let Some(running) = &mut self.snapshot else { return };
        if !matches!(&running.stage, Stage::Written(seal, _) if seal.zxid <= durable) {
            return;
        }
        if let Stage::Written(seal, writer) = std::mem::replace(&mut running.stage, Stage::Sealing) {
            let serial = self.snapshot_serial;
            effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
                Outcome::Snapshot(serial, seal.put(*writer, slow).map(|()| Written::Whole))
            })));
        }
    }

    /// Gives up a snapshot that has not got all its nodes, or waits for the log: the tree is about to hold what may be taken
    /// back, or to be another one.
    pub(crate) fn stop_snapshots(&mut self, effects: &mut Effects) {
        let Some(running) = self.snapshot.take_if(|running| !matches!(running.stage, Stage::Sealing)) else { return };
        self.journal.owe_snapshot();
        match running.stage {
            Stage::Walking(walk) => walk.abandon(&mut self.tree),
            Stage::Written(_, writer) => self.abandon_snapshot(writer, effects),
            Stage::Ending(_) | Stage::Sealing => {}
        }
        self.snapshot_serial += 1;
    }

    /// Removes what there is of a snapshot that was given up.
    pub(crate) fn abandon_snapshot(&mut self, writer: Box<SnapshotWriter>, effects: &mut Effects) {
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            Outcome::SnapshotAbandoned(writer.abandon(slow))
        })));
    }

    /// The next start removes what could not be.
    pub(crate) fn snapshot_abandoned(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.log.warn(Logger::Snapshot, error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use base::{Disk, MemDisk, Monotonic, Random, Slow};

    use super::*;
    use crate::{Event, ServerConfig};

    const NOW: Now = Now { monotonic: Monotonic::from_ms(1000), wall_ms: 1_600_000_000_000 };
    const SNAPSHOT: &str = "/data/version-2/snapshot.5";

    /// Runs what the disk is to do, and all that follows from it.
    fn run(server: &mut Server, mut effects: Effects) {
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                if let Effect::Disk(task) = effect {
                    server.handle(Event::Disk(task.run(&Slow::allowed())), NOW, &mut effects);
                }
            }
        }
    }

    #[test]
    fn a_snapshot_gets_its_name_when_the_log_is_behind_all_that_it_holds() {
        let disk = Arc::new(MemDisk::new());
        let (config, mut effects) = (ServerConfig::new("/data"), Effects::new());
        let random = Random::from_seed(1);
        let mut server =
            Server::open(config, disk.clone(), random, NOW, &mut effects, &Slow::allowed()).expect("an empty disk");
        run(&mut server, effects);
        // Five transactions are committed and applied; four are durable here.
        server.tree.set_last_zxid(5);
        server.pipeline.durable = 4;
        let exists = || disk.metadata(Path::new(SNAPSHOT)).unwrap().is_some();
        let mut effects = Effects::new();
        server.begin_snapshot(NOW, &mut effects);
        run(&mut server, effects);
        assert!(!exists(), "the fifth may be lost");
        let mut effects = Effects::new();
        server.pipeline.durable = 5;
        server.seal_snapshot(&mut effects);
        run(&mut server, effects);
        assert!(exists());
    }
}
