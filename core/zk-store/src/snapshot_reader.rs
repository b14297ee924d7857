//! Reading a snapshot as a stream: nothing is held but the node at hand, and no length is believed before its bytes are
//! there.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{DecodeError, Disk, File, OpenMode, Reader, Str};
use bytes::{Bytes, BytesMut};
use simd_adler32::Adler32;
use zk_proto::jute::Jute;
use zk_proto::snapshot::{FileHeader, NodeRecord, SessionRecord};
use zk_proto::{Acl, StatPersisted};

use crate::error::{Context, StoreError};
use crate::log::corrupt;
use crate::snapshot_compression::{decompressor, is_snappy};
use crate::snapshot_writer::HEADER;
use crate::{Compression, SnapshotDigest};

const STAT_LEN: usize = 60;
/// Memory for a value grows by this as its bytes come in.
const STEP_LEN: usize = 1 << 20;

/// Takes in what is read from a snapshot.
pub trait SnapshotSink {
    /// Forget everything taken in so far: a snapshot of `zxid` starts. Called again if it turns out damaged and an older
    /// one is tried.
    fn begin(&mut self, zxid: i64);
    /// A session and its timeout.
    fn session(&mut self, session: SessionRecord);
    /// An ACL that nodes refer to.
    fn acl(&mut self, index: i64, acl: Vec<Acl>);
    /// A node, parents before children; the root's path is empty. Its strings and data are in memory of their own. An
    /// error (a node without a parent, an unknown ACL) makes the snapshot invalid.
    fn node(&mut self, node: NodeRecord) -> Result<(), String>;
    /// The snapshot was whole and its seals are right.
    fn end(&mut self, digest: Option<SnapshotDigest>);
}

/// Upstream's quick look (`SnapStream.isValidSnapshot`): the last bytes of a plain file, the first of a compressed one.
pub fn is_plausible_snapshot(disk: &dyn Disk, path: &Path, compression: Compression) -> Result<bool, StoreError> {
    let file = disk.open(path, OpenMode::Read).context("open", path)?;
    let len = file.len().context("read", path)?;
    let mut bytes = [0; 8];
    let position = if compression == Compression::None { len.saturating_sub(5) } else { 0 };
    let read = file.read_at(&mut bytes, position).context("read", path)?;
    let bytes = bytes.get(..read).unwrap_or_default();
    Ok(match compression {
        Compression::None => len >= 10 && bytes == b"\0\0\0\x01/",
        Compression::Gzip => bytes.starts_with(&[0x1f, 0x8b]),
        Compression::Snappy => is_snappy(bytes),
    })
}

/// Reads a whole snapshot into `sink`. An error other than [`StoreError::Io`] means that the file is damaged.
pub fn read_snapshot(
    disk: &dyn Disk,
    path: &Path,
    zxid: i64,
    compression: Compression,
    sink: &mut dyn SnapshotSink,
) -> Result<(), StoreError> {
    let file = disk.open(path, OpenMode::Read).context("open", path)?;
    read_snapshot_from(FileSource { file, position: 0 }, path, zxid, compression, sink)
}

/// The same from bytes that come from anywhere; `path` names them in errors.
pub fn read_snapshot_from(
    source: impl Read + Send + 'static,
    path: &Path,
    zxid: i64,
    compression: Compression,
    sink: &mut dyn SnapshotSink,
) -> Result<(), StoreError> {
    let mut stream =
        Stream { source: decompressor(compression, source), path: path.into(), position: 0, adler: Adler32::new() };
    let header: FileHeader = stream.fixed::<16, _>()?;
    if header.magic != HEADER.magic {
        return Err(corrupt(path, 0, format!("mismatching magic headers {} !=  {}", header.magic, HEADER.magic)));
    }
    sink.begin(zxid);
    read_body(&mut stream, sink)?;
    stream.check_seal()?;
    let digest = match stream.fixed_or_end::<20>()? {
        Some(bytes) => {
            stream.check_seal()?;
            let mut reader = Reader::new(&bytes);
            let decoded = reader
                .i64()
                .and_then(|zxid| Ok(SnapshotDigest { zxid, version: reader.i32()?, digest: reader.u64()? }));
            Some(decoded.map_err(|error| stream.invalid(error))?)
        }
        None => None,
    };
    sink.end(digest);
    Ok(())
}

fn read_body(stream: &mut Stream, sink: &mut dyn SnapshotSink) -> Result<(), StoreError> {
    for _ in 0..stream.count()? {
        sink.session(stream.fixed::<12, _>()?);
    }
    for _ in 0..stream.count()? {
        let index = stream.fixed::<8, i64>()?;
        let mut acl = Vec::new();
        for _ in 0..stream.count()? {
            let perms = zk_proto::Perms(stream.fixed::<4, _>()?);
            acl.push(Acl { perms, id: zk_proto::Id { scheme: stream.str()?, id: stream.str()? } });
        }
        sink.acl(index, acl);
    }
    loop {
        let position = stream.position;
        let path = stream.str()?;
        if path == "/" {
            return Ok(());
        }
        let data = stream.buffer()?;
        let acl_index = stream.fixed::<8, _>()?;
        let stat: StatPersisted = stream.fixed::<STAT_LEN, _>()?;
        let node = NodeRecord { path, data, acl_index, stat };
        sink.node(node).map_err(|reason| corrupt(&stream.path, position, reason))?;
    }
}

/// The uncompressed bytes, counted and summed up.
struct Stream {
    source: Box<dyn Read + Send>,
    path: PathBuf,
    position: u64,
    adler: Adler32,
}

impl Stream {
    /// A value of `N` bytes.
    fn fixed<const N: usize, T: Jute>(&mut self) -> Result<T, StoreError> {
        let bytes = self.fixed_or_end::<N>()?.ok_or_else(|| self.ended())?;
        T::decode(&mut Reader::new(&bytes)).map_err(|error| self.invalid(error))
    }

    /// `N` bytes, or `None` at the end of the file.
    fn fixed_or_end<const N: usize>(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut bytes = [0; N];
        match self.fill(&mut bytes)? {
            0 => Ok(None),
            read if read == N => Ok(Some(Bytes::copy_from_slice(&bytes))),
            _ => Err(self.ended()),
        }
    }

    fn count(&mut self) -> Result<u32, StoreError> {
        let count = self.fixed::<4, i32>()?;
        // A null vector of ACLs is written as −1.
        match count {
            -1 => Ok(0),
            count => u32::try_from(count).map_err(|_| self.invalid_length(count)),
        }
    }

    fn str(&mut self) -> Result<Str, StoreError> {
        let bytes = self.buffer()?.ok_or_else(|| self.invalid_length(-1))?;
        // Through jute, which reads Java's form of supplementary characters.
        Str::from_utf8(bytes.clone()).or_else(|_| {
            let framed = bytes.to_bytes();
            Str::decode(&mut Reader::new(&framed)).map_err(|error| self.invalid(error))
        })
    }

    fn buffer(&mut self) -> Result<Option<Bytes>, StoreError> {
        let length = self.fixed::<4, i32>()?;
        if length == -1 {
            return Ok(None);
        }
        let wanted = usize::try_from(length).map_err(|_| self.invalid_length(length))?;
        let mut bytes = BytesMut::new();
        while bytes.len() < wanted {
            let start = bytes.len();
            let step = (wanted - start).min(STEP_LEN);
            bytes.resize(start + step, 0);
            let target = bytes.get_mut(start..).unwrap_or_default();
            if self.fill(target)? != step {
                return Err(self.ended());
            }
        }
        Ok(Some(bytes.freeze()))
    }

    fn check_seal(&mut self) -> Result<(), StoreError> {
        let position = self.position;
        let sum = i64::from(self.adler.finish());
        let sealed: i64 = self.fixed::<8, _>()?;
        let _mark = self.str()?;
        if sum == sealed { Ok(()) } else { Err(corrupt(&self.path, position, "CRC corruption")) }
    }

    /// Reads until the buffer is full or the file ends.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.source.read(rest) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What a decompressor cannot make sense of, or misses.
                Err(error) if is_content(&error) => {
                    return Err(corrupt(&self.path, self.position, error.to_string()));
                }
                Err(source) => return Err(StoreError::Io { action: "read", path: self.path.clone(), source }),
            }
        }
        self.adler.write(buffer.get(..done).unwrap_or_default());
        self.position += done as u64;
        Ok(done)
    }

    fn ended(&self) -> StoreError {
        corrupt(&self.path, self.position, "the file ends early")
    }

    fn invalid(&self, source: DecodeError) -> StoreError {
        StoreError::Decode { path: self.path.clone(), position: self.position, source }
    }

    fn invalid_length(&self, length: i32) -> StoreError {
        corrupt(&self.path, self.position, format!("the length {length}"))
    }
}

fn is_content(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let from_disk = error.raw_os_error().is_some();
    !from_disk
        && (matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
            || error.kind() == Other && error.get_ref().is_some_and(|inner| inner.is::<snap::Error>()))
}

/// A file from its start as a stream.
struct FileSource {
    file: Arc<dyn File>,
    position: u64,
}

impl Read for FileSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
