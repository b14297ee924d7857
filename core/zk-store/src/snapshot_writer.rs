//! Writing a snapshot (upstream `FileSnap`, `SerializeUtils`, `DataTree.serialize`).
//!
//! ```text
//! "ZKSN" i32 2  i64 −1
//! body:  i32 count, (i64 session, i32 timeout)*   i32 count, (i64 index, ACL)*   (path, node)*   "/"
//! seal:  i64 Adler-32 of all bytes before   "/"
//! with digests:  i64 zxid   i32 2   i64 digest   and a second seal
//! ```
//!
//! The state machine encodes the body in slices with [`SnapshotBody`]; a disk thread puts each slice into a
//! [`SnapshotWriter`]. The file gets its name only when it is whole and durable, so that half of one never counts; the
//! temporary name is one that the original passes over.

use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, File, OpenMode, Slow};
use bytes::{BufMut, BytesMut};
use simd_adler32::Adler32;
use zk_proto::Acl;
use zk_proto::jute::{Jute, put_str};
use zk_proto::snapshot::{FileHeader, NodeView, SNAPSHOT_MAGIC, SessionRecord};

use crate::dirs::SharedDisk;
use crate::error::{Context, StoreError};
use crate::snapshot_compression::Compressor;
use crate::{Compression, FileName};

pub(crate) const HEADER: FileHeader = FileHeader { magic: SNAPSHOT_MAGIC, version: 2, dbid: -1 };
/// Written back after this many bytes, so that the sync at the end, and the log's syncs meanwhile, stay short.
const SYNC_EVERY: u64 = 2 << 20;

/// Encodes a snapshot's body in the order of the format; also what a leader sends to a learner.
#[derive(Debug)]
pub struct SnapshotBody(());

impl SnapshotBody {
    /// Starts a body with the sessions and the ACLs that nodes refer to.
    pub fn begin<'a>(
        out: &mut BytesMut,
        sessions: impl ExactSizeIterator<Item = SessionRecord>,
        acls: impl ExactSizeIterator<Item = (i64, &'a [Acl])>,
    ) -> Self {
        put_count(out, sessions.len());
        sessions.for_each(|session| session.encode(out));
        put_count(out, acls.len());
        for (index, acl) in acls {
            index.encode(out);
            put_count(out, acl.len());
            acl.iter().for_each(|entry| entry.encode(out));
        }
        Self(())
    }

    /// Adds a node, parents before children. The root's path is empty.
    pub fn node(&mut self, out: &mut BytesMut, node: &NodeView<'_>) {
        node.encode(out);
    }

    /// Ends the nodes.
    pub fn end(self, out: &mut BytesMut) {
        put_str(out, "/");
    }
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).expect("fewer than 2^31 are held in memory"));
}

/// The digest part of a snapshot: the tree's digest behind `zxid`, which may be later than the snapshot's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// The last transaction applied when the snapshot ended.
    pub zxid: i64,
    /// How the digest is computed: [`zk_proto::TxnDigest::VERSION`].
    pub version: i32,
    /// The tree's digest.
    pub digest: u64,
}

/// A snapshot that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The zxid it stands for; what came later may be in it in part.
    pub zxid: i64,
    /// Its file.
    pub path: PathBuf,
    /// Length of the file in bytes.
    pub file_len: u64,
}

/// A snapshot on its way to the disk.
pub struct SnapshotWriter {
    disk: SharedDisk,
    dir: PathBuf,
    name: FileName,
    zxid: i64,
    compressor: Compressor<FileTarget>,
    adler: Adler32,
    synced: u64,
}

impl SnapshotWriter {
    /// Starts a snapshot of the tree as of `zxid`, with the file header, under a temporary name that no other has: one that was given up
    /// may still be there, on its way to [`SnapshotWriter::abandon`].
    pub fn create(
        disk: SharedDisk,
        snap_dir: &Path,
        zxid: i64,
        compression: Compression,
        slow: &Slow,
    ) -> Result<Self, StoreError> {
        let name = FileName::Snapshot(zxid, compression);
        let path = free_path(&*disk, snap_dir, name)?;
        let file = disk.open(&path, OpenMode::Create).context("create", &path)?;
        file.truncate(0, slow).context("cut", &path)?;
        let target = FileTarget { file, path, position: 0 };
        let compressor = Compressor::new(compression, target);
        let mut writer = Self { disk, dir: snap_dir.into(), name, zxid, compressor, adler: Adler32::new(), synced: 0 };
        writer.put(&HEADER.to_bytes()).map_err(|source| writer.failed(source))?;
        Ok(writer)
    }

    /// Adds a slice of the body.
    pub fn write(&mut self, slice: &[u8], slow: &Slow) -> Result<(), StoreError> {
        self.put(slice).map_err(|source| self.failed(source))?;
        let target = self.target();
        if target.position - self.synced >= SYNC_EVERY {
            let position = target.position;
            target.file.sync_data(slow).context("sync", &target.path)?;
            self.synced = position;
        }
        Ok(())
    }

    /// Seals the file, makes it durable and gives it its name. `digest` is `None` with `digest.enabled=false`.
    pub fn finish(mut self, digest: Option<SnapshotDigest>, slow: &Slow) -> Result<SnapshotInfo, StoreError> {
        self.seal().map_err(|source| self.failed(source))?;
        if let Some(digest) = digest {
            let mut tail = BytesMut::new();
            digest.zxid.encode(&mut tail);
            digest.version.encode(&mut tail);
            digest.digest.encode(&mut tail);
            self.put(&tail).and_then(|()| self.seal()).map_err(|source| self.failed(source))?;
        }
        let temporary = self.target().path.clone();
        let target = self.compressor.finish().context("write", &temporary)?;
        target.file.sync_data(slow).context("sync", &temporary)?;
        let path = self.dir.join(self.name.to_string());
        self.disk.rename(&temporary, &path, slow).context("rename", &temporary)?;
        self.disk.sync_dir(&self.dir, slow).context("sync", &self.dir)?;
        Ok(SnapshotInfo { zxid: self.zxid, path, file_len: target.position })
    }

    /// Gives up: removes the temporary file, which a recovery meanwhile may have done already.
    pub fn abandon(self, slow: &Slow) -> Result<(), StoreError> {
        let path = &self.target().path;
        match self.disk.remove_file(path, slow) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.context("remove", path),
        }
    }

    /// Appends a seal over everything so far.
    fn seal(&mut self) -> io::Result<()> {
        let mut seal = BytesMut::new();
        i64::from(self.adler.finish()).encode(&mut seal);
        put_str(&mut seal, "/");
        self.put(&seal)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.adler.write(bytes);
        self.compressor.write_all(bytes)
    }

    fn target(&self) -> &FileTarget {
        self.compressor.target()
    }

    fn failed(&self, source: io::Error) -> StoreError {
        StoreError::Io { action: "write", path: self.target().path.clone(), source }
    }
}

impl std::fmt::Debug for SnapshotWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SnapshotWriter({})", self.name)
    }
}

/// A temporary name for a snapshot.
fn free_path(disk: &dyn Disk, snap_dir: &Path, name: FileName) -> Result<PathBuf, StoreError> {
    let mut path = snap_dir.join(format!(".{name}.tmp"));
    let mut serial = 0;
    while disk.metadata(&path).context("look at", &path)?.is_some() {
        serial += 1;
        path = snap_dir.join(format!(".{name}.{serial}.tmp"));
    }
    Ok(path)
}

/// Removes what a crash left of snapshots on their way.
pub(crate) fn remove_temporary(disk: &dyn Disk, snap_dir: &Path, slow: &Slow) -> Result<(), StoreError> {
    for name in crate::dirs::names(disk, snap_dir)? {
        if name.starts_with(".snapshot.") && name.ends_with(".tmp") {
            let path = snap_dir.join(name);
            disk.remove_file(&path, slow).context("remove", &path)?;
        }
    }
    Ok(())
}

/// The end of a file as a stream.
pub(crate) struct FileTarget {
    file: Arc<dyn File>,
    path: PathBuf,
    position: u64,
}

impl Write for FileTarget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(&[IoSlice::new(bytes)], self.position)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
