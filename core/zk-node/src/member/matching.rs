//! The log and the tree of a learner are made to match the leader's: cut back (TRUNC), or replaced (SNAP).
//!
//! A tree that comes is written to disk as it comes, sealed as a snapshot, and loaded from there like any other: memory is
//! bounded, what is served is what a restart would find, and until its name is there the old state stands.

use std::path::PathBuf;

use base::{Disk, Now, Slow};
use bytes::{Bytes, BytesMut};
use zk_store::{DataDirs, SnapshotScan, SnapshotWriter, StoreError, TxnLog, read_piece, start_from_snapshot, truncate};
use zk_tree::Tree;
use zk_zab::{Entry, LogChunk, LogStart, Zxid};

use super::following::Intake;
use super::{Member, wire};
use crate::event::Outcome;
use crate::journal::Journal;
use crate::log::{Lines, Logger};
use crate::{DiskTask, Effect, Effects, Lane, Server, ServerConfig, StartError, StopReason, start};

/// How much of the log is read at once for a learner.
const PIECE_BYTES_MAX: usize = 4 << 20;
/// A write of a tree that comes.
const WRITE_BYTES_MIN: usize = 256 << 10;

/// A tree that is coming from the leader.
pub(crate) struct Incoming {
    zxid: Zxid,
    scan: SnapshotScan,
    /// Bytes of the tree not handed to the disk.
    body: BytesMut,
    /// Behind the tree: the signature, as far as it has come.
    tail: Option<BytesMut>,
    /// `None` while the disk has it.
    writer: Option<Box<SnapshotWriter>>,
}

impl Incoming {
    pub(super) fn untaken(&self) -> usize {
        self.body.len()
    }

    /// Whether the disk is at work on it.
    pub(super) const fn is_with_disk(&self) -> bool {
        self.writer.is_none()
    }

    pub(super) fn part_written(&mut self, writer: Box<SnapshotWriter>) {
        self.writer = Some(writer);
    }

    pub(super) fn take_writer(&mut self) -> Option<Box<SnapshotWriter>> {
        self.writer.take()
    }
}

/// The tree as the disk has it now.
pub(crate) struct Reloaded {
    tree: Box<Tree>,
    lines: Lines,
    last_zxid: Zxid,
}

/// Where log and snapshots are.
pub(super) struct Folders {
    log: PathBuf,
    snap: PathBuf,
}

impl Folders {
    pub(super) fn of(dirs: &DataDirs) -> Self {
        Self { log: dirs.log_dir().to_owned(), snap: dirs.snap_dir().to_owned() }
    }
}

/// What a piece of work on log or tree gives.
pub(crate) enum Matched {
    /// A part of a tree is written.
    Part(Result<Box<SnapshotWriter>, StoreError>),
    /// The log is cut back.
    Truncated(Result<Reloaded, StartError>),
    /// A tree that came is in place.
    Installed(Result<Reloaded, StartError>),
}

impl std::fmt::Debug for Matched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Part(_) => "Matched::Part",
            Self::Truncated(_) => "Matched::Truncated",
            Self::Installed(_) => "Matched::Installed",
        })
    }
}

/// Reads from the own log what a learner lacks.
pub(super) fn read_log(
    disk: &dyn Disk,
    dirs: &Folders,
    after: Zxid,
    committed: Zxid,
    slow: &Slow,
) -> Result<LogChunk, StoreError> {
    let piece = read_piece(disk, &dirs.log, &dirs.snap, after, committed, PIECE_BYTES_MAX, slow)?;
    let start = match piece.start {
        Some(zxid) if zxid == after => LogStart::Found,
        Some(zxid) => LogStart::Behind(zxid),
        None => LogStart::Missing,
    };
    let entries = piece.records.into_iter().map(|record| Entry { zxid: record.zxid, payload: record.payload });
    Ok(LogChunk { start, entries: entries.collect() })
}

impl Server {
    /// Cuts log and tree back, once nothing is on its way to the log.
    pub(super) fn truncate_to(&mut self, zxid: Zxid, effects: &mut Effects) {
        self.log.warn(Logger::Learner, format!("Truncating log to get in sync with the leader {zxid:#x}"));
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        following.intake = Intake::Waiting;
        self.stop_snapshots(effects);
        let (config, disk, dirs) = (self.config.clone(), self.disk.clone(), Folders::of(&self.dirs));
        self.matching = true;
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            let cut = truncate(&*disk, &dirs.log, &dirs.snap, zxid, slow).map_err(StartError::from);
            Outcome::Matched(Matched::Truncated(cut.and_then(|()| reload(&config, &*disk, &dirs, slow))))
        })));
    }

    /// The next bytes of the leader are its tree.
    pub(super) fn receive_tree(&mut self, zxid: Zxid, effects: &mut Effects) {
        self.log.info(Logger::Learner, format!("Getting a snapshot from leader {zxid:#x}"));
        let incoming =
            Incoming { zxid, scan: SnapshotScan::default(), body: BytesMut::new(), tail: None, writer: None };
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        following.intake = Intake::Snapshot(Box::new(incoming));
        self.stop_snapshots(effects);
        let (disk, dirs, compression) = (self.disk.clone(), Folders::of(&self.dirs), self.config.compression);
        self.matching = true;
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            let writer = SnapshotWriter::create(disk, &dirs.snap, zxid, compression, slow);
            Outcome::Matched(Matched::Part(writer.map(Box::new)))
        })));
    }

    /// Takes bytes of the tree, and of what stands behind it.
    pub(super) fn take_tree(&mut self, bytes: &Bytes, now: Now, effects: &mut Effects) {
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        let Intake::Snapshot(incoming) = &mut following.intake else { return };
        if let Some(tail) = &mut incoming.tail {
            tail.extend_from_slice(bytes);
        } else {
            match incoming.scan.push(bytes) {
                Ok(None) => incoming.body.extend_from_slice(bytes),
                Ok(Some(end)) => {
                    let (body, tail) = bytes.split_at(end);
                    incoming.body.extend_from_slice(body);
                    incoming.tail = Some(BytesMut::from(tail));
                }
                Err(error) => return self.look_again(&format!("a tree that makes no sense: {error}"), now, effects),
            }
        }
        self.write_tree(now, effects);
    }

    /// Hands what has come to the disk, and the end when it is there.
    fn write_tree(&mut self, now: Now, effects: &mut Effects) {
        let Some(following) = self.role.member_mut().and_then(Member::following) else { return };
        let Intake::Snapshot(incoming) = &mut following.intake else { return };
        let signature = wire::signature_bytes();
        let is_whole = incoming.tail.as_ref().is_some_and(|tail| tail.len() >= signature.len());
        let is_due = is_whole || incoming.tail.is_some() || incoming.body.len() >= WRITE_BYTES_MIN;
        if !is_due || (incoming.body.is_empty() && !is_whole) {
            return;
        }
        let Some(mut writer) = incoming.writer.take() else { return };
        let body = incoming.body.split();
        if !is_whole {
            self.matching = true;
            effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
                let written = writer.write(&body, slow).map(|()| writer);
                Outcome::Matched(Matched::Part(written))
            })));
            return;
        }
        let tail = incoming.tail.take().unwrap_or_default();
        let (zxid, behind) = (incoming.zxid, tail.get(signature.len()..).unwrap_or_default());
        following.stream.put_back(behind);
        following.intake = Intake::Waiting;
        if !tail.starts_with(&signature) {
            return self.look_again("Missing signature behind the leader's snapshot", now, effects);
        }
        let (config, disk, dirs) = (self.config.clone(), self.disk.clone(), Folders::of(&self.dirs));
        self.matching = true;
        effects.push(Effect::Disk(DiskTask::new(Lane::Background, move |slow| {
            let written = writer.write(&body, slow).and_then(|()| writer.finish(None, slow));
            let cleared = written.and_then(|_| start_from_snapshot(&*disk, &dirs.log, &dirs.snap, zxid, slow));
            let reloaded = cleared.map_err(StartError::from).and_then(|()| reload(&config, &*disk, &dirs, slow));
            Outcome::Matched(Matched::Installed(reloaded))
        })));
    }

    /// A piece of work on log or tree is done.
    pub(crate) fn matched(&mut self, matched: Matched, now: Now, effects: &mut Effects) {
        self.matching = false;
        match matched {
            Matched::Part(Ok(writer)) => {
                let unwanted = match self.role.member_mut().and_then(Member::following) {
                    Some(following) => following.part_written(writer, now.monotonic),
                    None => Some(writer),
                };
                match unwanted {
                    // The leader was lost meanwhile.
                    Some(unwanted) => self.abandon_snapshot(unwanted, effects),
                    None => {
                        self.write_tree(now, effects);
                        self.hear_leader(now, effects);
                    }
                }
            }
            Matched::Part(Err(error)) => self.match_failed(&error.to_string(), effects),
            Matched::Truncated(Ok(reloaded)) => {
                self.take_over(reloaded);
                if let Some(following) = self.role.member_mut().and_then(Member::following) {
                    following.truncated(now.monotonic);
                }
                self.hear_leader(now, effects);
            }
            Matched::Truncated(Err(StartError::Store(StoreError::CannotTruncate { .. }))) => {
                if let Some(following) = self.role.member_mut().and_then(Member::following) {
                    following.cannot_truncate();
                }
                self.hear_leader(now, effects);
            }
            Matched::Installed(Ok(reloaded)) => {
                let zxid = reloaded.last_zxid;
                self.take_over(reloaded);
                if let Some(following) = self.role.member_mut().and_then(Member::following) {
                    following.snapshot_received(zxid, now.monotonic);
                }
                self.hear_leader(now, effects);
            }
            Matched::Truncated(Err(error)) | Matched::Installed(Err(error)) => {
                self.match_failed(&error.to_string(), effects);
            }
        }
    }

    fn match_failed(&mut self, reason: &str, effects: &mut Effects) {
        self.log.error(Logger::Learner, format!("Severe unrecoverable error, exiting\n{reason}"));
        self.stop(StopReason::SnapshotFailed(reason.to_owned()), effects);
    }

    /// The tree is another one from now on, and the log goes on behind it in a new file.
    fn take_over(&mut self, reloaded: Reloaded) {
        self.log.append(reloaded.lines);
        self.tree = *reloaded.tree;
        let last_zxid = reloaded.last_zxid;
        let log_config = start::log_config(&self.config);
        let log = TxnLog::new(self.disk.clone(), self.dirs.log_dir(), log_config, last_zxid);
        self.journal = Journal::new(log, &self.config, &mut self.random);
        self.pipeline.begin_epoch(last_zxid);
        if let Some(member) = self.role.member_mut() {
            member.replaced(last_zxid);
        }
    }
}

/// What a start would find.
fn reload(config: &ServerConfig, disk: &dyn Disk, dirs: &Folders, slow: &Slow) -> Result<Reloaded, StartError> {
    let mut lines = Lines::default();
    let (tree, recovery) = start::load(config, disk, &dirs.log, &dirs.snap, &mut lines, slow)?;
    Ok(Reloaded { tree: Box::new(tree), lines, last_zxid: recovery.last_zxid })
}
