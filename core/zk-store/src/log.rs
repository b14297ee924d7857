//! Writing the transaction log (upstream `FileTxnLog`, `FilePadding`).
//!
//! The log comes in two halves. [`TxnLog`] belongs to the state machine: it gathers records in memory and meets no disk,
//! so nothing there waits even when the page cache is full. [`LogBatch`] is what it hands out to a disk thread: write,
//! sync, report. At most one batch is under way; what comes meanwhile shares the next one, which is group commit. A batch
//! that fails ends the log: nothing is acknowledged after it, and a sync is never tried twice.
//!
//! ```text
//! file:   "ZKLG" i32 2  i64 0   record*   zeros up to the preallocated length
//! record: i64 Adler-32 of the payload   i32 length   payload   0x42
//! ```

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{File, OpenMode, Slow};
use bytes::{BufMut, Bytes, BytesMut};
use simd_adler32::adler32;
use zk_proto::jute::Jute;
use zk_proto::snapshot::{FileHeader, LOG_MAGIC};

use crate::FileName;
use crate::dirs::SharedDisk;
use crate::error::{Context, StoreError};
use crate::mark::SyncedMark;

pub(crate) const HEADER: FileHeader = FileHeader { magic: LOG_MAGIC, version: 2, dbid: 0 };
pub(crate) const HEADER_LEN: u64 = 16;
/// Checksum, length and end mark.
pub(crate) const RECORD_OVERHEAD: usize = 13;
pub(crate) const RECORD_END: u8 = b'B';
/// Room for a batch of some records, made at once and not by doubling from a few bytes.
const USUAL_BATCH_LEN: usize = 4096;

/// How the log is written.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// `forceSync`: whether a batch is durable, or merely written, when it is reported.
    pub force_sync: bool,
    /// `preAllocSize` in bytes: how far ahead a file is filled with zeros; 0 = not at all.
    pub preallocation: u64,
    /// `txnLogSizeLimitInKb` in bytes: a file with more in it is followed by a new one. Padding is not counted, unlike in
    /// the original, where a limit below `preAllocSize` makes a file of each batch.
    pub file_len_max: Option<u64>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { force_sync: true, preallocation: 64 << 20, file_len_max: None }
    }
}

/// The state machine's half of the log.
pub struct TxnLog {
    /// Records not yet handed out, in files: all but the first start a new one.
    pending: Vec<Segment>,
    /// Bytes in `pending`.
    pending_len: usize,
    /// The next record starts a new file.
    roll: bool,
    last_zxid: i64,
    total_len: u64,
    writer: WriterPlace,
}

enum WriterPlace {
    Here(Box<Writer>),
    UnderWay,
    Failed(String),
}

/// Records that go into one file.
struct Segment {
    /// The zxid of its first record if a new file is to be started for it.
    starts_file: Option<i64>,
    records: BytesMut,
}

impl TxnLog {
    /// A log in `dir` that goes on behind `last_zxid`, as recovered, in a new file.
    pub fn new(disk: SharedDisk, dir: &Path, config: LogConfig, last_zxid: i64) -> Self {
        let writer = Writer { mark: SyncedMark::new(dir), disk, dir: dir.into(), config, file: None };
        Self {
            pending: Vec::new(),
            pending_len: 0,
            roll: true,
            last_zxid,
            total_len: 0,
            writer: WriterPlace::Here(Box::new(writer)),
        }
    }

    /// Adds a transaction. `payload` is an encoded [`zk_proto::TxnEntry`], `zxid` the one in its header, greater than all
    /// before. It is durable when a later [`Durable`] says so.
    pub fn append(&mut self, zxid: i64, payload: &[u8]) {
        self.append_with(zxid, |out| out.put_slice(payload));
    }

    /// As [`TxnLog::append`], with the payload encoded in place.
    pub fn append_with(&mut self, zxid: i64, encode: impl FnOnce(&mut BytesMut)) {
        assert!(zxid > self.last_zxid, "zxid 0x{zxid:x} does not follow 0x{:x}", self.last_zxid);
        self.last_zxid = zxid;
        if self.roll || self.pending.is_empty() {
            let starts_file = std::mem::take(&mut self.roll).then_some(zxid);
            self.pending.push(Segment { starts_file, records: BytesMut::with_capacity(USUAL_BATCH_LEN) });
        }
        let segment = self.pending.last_mut().expect("pushed above if there was none");
        let start = segment.records.len();
        put_record(&mut segment.records, encode);
        let added = segment.records.len() - start;
        self.pending_len += added;
        self.total_len += added as u64;
    }

    /// Starts a new file with the next record: after a snapshot, as the original.
    pub fn roll(&mut self) {
        self.roll = true;
    }

    /// The zxid that was appended last, durable or not.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// Bytes appended and not yet handed out.
    pub fn pending_len(&self) -> usize {
        self.pending_len
    }

    /// Bytes of records since this was made: `snapSizeLimitInKb` counts them.
    pub fn total_len(&self) -> u64 {
        self.total_len
    }

    /// Whether [`TxnLog::begin`] would hand out a batch.
    pub fn can_begin(&self) -> bool {
        !self.pending.is_empty() && matches!(self.writer, WriterPlace::Here(_))
    }

    /// Everything appended since the last batch, to be written and synced; `None` if that is nothing, if a batch is under
    /// way, or if the log has failed.
    pub fn begin(&mut self) -> Option<LogBatch> {
        if !self.can_begin() {
            return None;
        }
        let WriterPlace::Here(writer) = std::mem::replace(&mut self.writer, WriterPlace::UnderWay) else { return None };
        self.pending_len = 0;
        Some(LogBatch { writer, segments: std::mem::take(&mut self.pending), last_zxid: self.last_zxid })
    }

    /// Takes a batch back. An error is final.
    pub fn finish(&mut self, done: LogBatchDone) -> Result<Durable, StoreError> {
        match done.result {
            Ok(durable) => {
                if durable.full {
                    self.roll = true;
                }
                self.writer = WriterPlace::Here(done.writer);
                Ok(durable)
            }
            Err(error) => {
                self.writer = WriterPlace::Failed(error.to_string());
                Err(error)
            }
        }
    }

    /// Why nothing is written any more, if that is so.
    pub fn failure(&self) -> Option<&str> {
        match &self.writer {
            WriterPlace::Failed(reason) => Some(reason),
            WriterPlace::Here(_) | WriterPlace::UnderWay => None,
        }
    }

    /// Ends the log at a clean stop: work for a disk thread that cuts the padding off, so that the next start need not look
    /// at it. `None` if there is nothing to cut, if records still wait or are under way, or if the log has failed. Nothing
    /// is handed out after it.
    pub fn close(&mut self) -> Option<LogClose> {
        let closable = self.pending.is_empty()
            && matches!(&self.writer, WriterPlace::Here(writer) if writer.file.as_ref().is_some_and(LogFile::is_padded));
        if !closable {
            return None;
        }
        match std::mem::replace(&mut self.writer, WriterPlace::Failed("it is closed".into())) {
            WriterPlace::Here(writer) => Some(LogClose { writer }),
            WriterPlace::UnderWay | WriterPlace::Failed(_) => None,
        }
    }
}

/// The last work of a log.
pub struct LogClose {
    writer: Box<Writer>,
}

impl LogClose {
    /// Cuts the padding off. A failure harms nothing: every record is where it was.
    pub fn run(self, slow: &Slow) -> Result<(), StoreError> {
        self.writer.close(slow)
    }
}

/// The disk thread's half: records on their way to the device.
pub struct LogBatch {
    writer: Box<Writer>,
    segments: Vec<Segment>,
    last_zxid: i64,
}

impl LogBatch {
    /// Writes and syncs. Hand the outcome to [`TxnLog::finish`]; measure the time around it for `fsync.warningthresholdms`.
    pub fn run(mut self, slow: &Slow) -> LogBatchDone {
        let result = self.writer.write(&self.segments, slow).map(|(full, file_len)| Durable {
            last_zxid: self.last_zxid,
            file_len,
            full,
        });
        LogBatchDone { writer: self.writer, result }
    }
}

impl std::fmt::Debug for LogBatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LogBatch(up to 0x{:x})", self.last_zxid)
    }
}

/// A batch that was run, for [`TxnLog::finish`].
pub struct LogBatchDone {
    writer: Box<Writer>,
    result: Result<Durable, StoreError>,
}

impl std::fmt::Debug for LogBatchDone {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LogBatchDone({:?})", self.result)
    }
}

/// What a batch has achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    /// Every transaction up to this one survives a crash (with `force_sync`).
    pub last_zxid: i64,
    /// Length of the current file, padding included, as the original's warning about a slow sync tells it.
    pub file_len: u64,
    full: bool,
}

/// Appends one record: checksum, length, payload, end mark.
pub(crate) fn put_record(out: &mut BytesMut, encode: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0, 12);
    encode(out);
    let (head, payload) = out.split_at_mut(start).1.split_at_mut(12);
    let (checksum, length) = head.split_at_mut(8);
    checksum.copy_from_slice(&i64::from(adler32(&&*payload)).to_be_bytes());
    let payload_len = i32::try_from(payload.len()).expect("a transaction came in one frame");
    length.copy_from_slice(&payload_len.to_be_bytes());
    out.put_u8(RECORD_END);
}

struct Writer {
    disk: SharedDisk,
    dir: PathBuf,
    config: LogConfig,
    file: Option<LogFile>,
    mark: SyncedMark,
}

struct LogFile {
    file: Arc<dyn File>,
    path: PathBuf,
    /// Where the next record goes.
    position: u64,
    /// Length with padding.
    len: u64,
}

impl Writer {
    /// Whether the current file has outgrown its limit, and its length.
    fn write(&mut self, segments: &[Segment], slow: &Slow) -> Result<(bool, u64), StoreError> {
        let mut is_new = false;
        for segment in segments {
            if let Some(zxid) = segment.starts_file {
                if let Some(file) = &self.file {
                    file.sync(self.config, slow)?;
                }
                self.file = Some(LogFile::create(&self.disk, &self.dir, zxid, slow)?);
                self.mark.start(&*self.disk, zxid, slow).context("write the mark of", &self.dir)?;
                is_new = true;
            }
            let file = self.file.as_mut().expect("the first record of all starts a file");
            file.append(&segment.records, self.config.preallocation)?;
        }
        let Some(file) = &self.file else { return Ok((false, 0)) };
        file.sync(self.config, slow)?;
        if self.config.force_sync {
            if is_new {
                // The original leaves this out and can lose a synced file's name.
                self.disk.sync_dir(&self.dir, slow).context("sync", &self.dir)?;
            }
            self.mark.set(file.position);
        }
        Ok((self.config.file_len_max.is_some_and(|max| file.position > max), file.len))
    }

    fn close(self, slow: &Slow) -> Result<(), StoreError> {
        let Some(file) = self.file else { return Ok(()) };
        file.file.truncate(file.position, slow).context("cut", &file.path)?;
        file.sync(self.config, slow)
    }
}

impl LogFile {
    fn is_padded(&self) -> bool {
        self.position < self.len
    }

    /// A new file. One of that name that is there already was found to hold no record (`recover`), and is replaced.
    fn create(disk: &SharedDisk, dir: &Path, zxid: i64, slow: &Slow) -> Result<Self, StoreError> {
        let path = dir.join(FileName::Log(zxid).to_string());
        let file = disk.open(&path, OpenMode::Create).context("create", &path)?;
        if !file.is_empty().context("read", &path)? {
            file.truncate(0, slow).context("cut", &path)?;
        }
        file.write_at(&[IoSlice::new(&HEADER.to_bytes())], 0).context("write", &path)?;
        Ok(Self { file, path, position: HEADER_LEN, len: HEADER_LEN })
    }

    fn append(&mut self, records: &[u8], preallocation: u64) -> Result<(), StoreError> {
        self.pad(self.position, preallocation)?;
        let end = self.position + records.len() as u64;
        self.file.write_at(&[IoSlice::new(records)], self.position).context("write", &self.path)?;
        self.position = end;
        self.len = self.len.max(end);
        self.pad(end, preallocation)
    }

    /// Fills with zeros when fewer than 4096 bytes are left behind `position`: one byte at the new end, the rest is a hole.
    fn pad(&mut self, position: u64, preallocation: u64) -> Result<(), StoreError> {
        let len = padded_len(position, self.len, preallocation);
        if len != self.len {
            self.file.write_at(&[IoSlice::new(&[0])], len - 1).context("extend", &self.path)?;
            self.len = len;
        }
        Ok(())
    }

    fn sync(&self, config: LogConfig, slow: &Slow) -> Result<(), StoreError> {
        match config.force_sync {
            true => self.file.sync_data(slow).context("sync", &self.path),
            false => Ok(()),
        }
    }
}

/// Upstream `FilePadding.calculateFileSizeWithPadding`.
fn padded_len(position: u64, len: u64, preallocation: u64) -> u64 {
    if preallocation == 0 || position + 4096 < len {
        return len;
    }
    if position > len {
        let target = position + preallocation;
        return target - target % preallocation;
    }
    len + preallocation
}

/// The encoded file header.
pub(crate) fn header_bytes() -> Bytes {
    HEADER.to_bytes()
}

/// An error for a record or header that no crash explains.
pub(crate) fn corrupt(path: &Path, position: u64, reason: impl Into<String>) -> StoreError {
    StoreError::Corrupt { path: path.into(), position, reason: reason.into() }
}
