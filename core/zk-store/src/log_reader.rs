//! Reading one log file, and telling a torn end from damage.
//!
//! A crash leaves each sector that was not synced as it was before, and before a log is written it is nothing or zeros. So a
//! record that a crash tore ends at the end of the file, or lacks its end mark, or has a whole sector of zeros in it. A
//! record that is wrong in another way was damaged later: that is never cut away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{Disk, File, OpenMode, Reader};
use bytes::Bytes;
use simd_adler32::adler32;
use zk_proto::TxnEntry;
use zk_proto::jute::Jute;

use crate::StoreError;
use crate::error::Context;
use crate::log::{HEADER_LEN, RECORD_END, RECORD_OVERHEAD, corrupt, header_bytes};

const CHUNK_LEN: usize = 1 << 20;
const SECTOR_LEN: u64 = 512;
const BLOCK_LEN: usize = 256;
/// How many zeros a record may start with.
const CHECKSUM_ZEROS_MAX: u64 = 7;
/// Session, xid, zxid, time and type.
const TXN_HEADER_LEN: usize = 32;

/// A record whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Where it starts in its file.
    pub position: u64,
    /// Its place in the order of all.
    pub zxid: i64,
    /// An encoded [`TxnEntry`], in memory of its own.
    pub payload: Bytes,
}

impl LogRecord {
    /// The transaction.
    pub fn decode(&self, path: &Path) -> Result<TxnEntry, StoreError> {
        let mut reader = Reader::new(&self.payload);
        let decoded = TxnEntry::decode(&mut reader).and_then(|entry| reader.finish().map(|()| entry));
        decoded.map_err(|source| StoreError::Decode { path: path.into(), position: self.position, source })
    }
}

/// How a log file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// At this position: the file's end, or a length of 0.
    Clean(u64),
    /// In a record (or the header) that starts at this position and was not written to its end.
    Torn(u64),
}

impl LogEnd {
    /// Where the next record would start.
    pub const fn position(self) -> u64 {
        match self {
            Self::Clean(position) | Self::Torn(position) => position,
        }
    }
}

/// Reads the records of one file in order.
pub struct LogReader {
    file: Arc<dyn File>,
    path: PathBuf,
    len: u64,
    position: u64,
    /// A piece of the file.
    chunk: Vec<u8>,
    chunk_start: u64,
}

impl LogReader {
    /// Opens a log file. A header that a crash kept from being written is an empty log; another one is an error.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let file = disk.open(path, OpenMode::Read).context("open", path)?;
        let len = file.len().context("read", path)?;
        Ok(Self { file, path: path.into(), len, position: 0, chunk: Vec::new(), chunk_start: 0 })
    }

    /// Length of the file, padding included.
    pub const fn file_len(&self) -> u64 {
        self.len
    }

    /// The next record, or how the file ends.
    pub fn read_next(&mut self) -> Result<Result<LogRecord, LogEnd>, StoreError> {
        if self.position == 0 {
            if let Some(end) = self.read_header()? {
                return Ok(Err(end));
            }
            self.position = HEADER_LEN;
        }
        let position = self.position;
        let read = self.record_at(position)?;
        if let Ok(record) = &read {
            self.position += (record.payload.len() + RECORD_OVERHEAD) as u64;
        }
        Ok(read)
    }

    /// Looks for a valid record with a zxid beyond `zxid` at any byte behind `from`.
    pub fn find_record_behind(&mut self, from: u64, zxid: i64) -> Result<Option<LogRecord>, StoreError> {
        let (mut position, mut untried) = (from, from);
        while let Some(data) = self.next_data(position)? {
            position = data;
            let bytes = self.bytes_from(position)?;
            if bytes.is_empty() {
                break;
            }
            let Some(nonzero) = first_nonzero(bytes) else {
                position += bytes.len() as u64;
                continue;
            };
            position += nonzero as u64;
            // A record starts with four bytes of zeros, then a checksum that is not zero.
            for candidate in untried.max(position.saturating_sub(CHECKSUM_ZEROS_MAX))..=position {
                if !self.may_start_record(candidate)? {
                    continue;
                }
                match self.record_at(candidate) {
                    Ok(Ok(record)) if record.zxid > zxid => return Ok(Some(record)),
                    Err(error @ StoreError::Io { .. }) => return Err(error),
                    _ => {}
                }
            }
            position += 1;
            untried = position;
        }
        Ok(None)
    }

    /// Where bytes that are not in a hole stand next: padding is mostly a hole.
    fn next_data(&self, position: u64) -> Result<Option<u64>, StoreError> {
        match self.held(position) {
            Some(_) => Ok(Some(position)),
            None => self.file.next_data(position).context("read", &self.path),
        }
    }

    /// Whether a checksum of 32 bits and a length that fits stand here: spares reading a record at every byte.
    fn may_start_record(&mut self, position: u64) -> Result<bool, StoreError> {
        let left = self.len.saturating_sub(position);
        let head = self.bytes_at(position, 12)?;
        let length = head.get(8..).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
        let fits = length as usize >= TXN_HEADER_LEN && u64::from(length) + RECORD_OVERHEAD as u64 <= left;
        Ok(fits && head.first_chunk() == Some(&[0; 4]))
    }

    fn read_header(&mut self) -> Result<Option<LogEnd>, StoreError> {
        let found = self.bytes_at(0, HEADER_LEN as usize)?;
        let wanted = header_bytes();
        if found == &wanted[..] {
            return Ok(None);
        }
        // Cut short, or zeros from some byte on: it was never synced, so nothing was acknowledged.
        let written = found.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if found.get(..written) == wanted.get(..written) && !(found.len() == wanted.len() && written > 8) {
            return Ok(Some(LogEnd::Torn(0)));
        }
        let magic = found.first_chunk::<4>().copied().map_or(0, i32::from_be_bytes);
        let version = found.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
        match (magic, version) {
            // The original reads any dbid.
            (zk_proto::snapshot::LOG_MAGIC, 2) => Ok(None),
            (zk_proto::snapshot::LOG_MAGIC, version) => {
                Err(corrupt(&self.path, 4, format!("unknown version {version}")))
            }
            (magic, _) => Err(corrupt(&self.path, 0, format!("invalid magic number {magic}"))),
        }
    }

    fn record_at(&mut self, position: u64) -> Result<Result<LogRecord, LogEnd>, StoreError> {
        let left = self.len.saturating_sub(position);
        let head = self.bytes_at(position, 12)?;
        let checksum = head.first_chunk::<8>().copied().map(u64::from_be_bytes);
        let length = head.get(8..).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
        let (Some(checksum), Some(length)) = (checksum, length) else {
            return Ok(Err(if left == 0 { LogEnd::Clean(position) } else { LogEnd::Torn(position) }));
        };
        let payload_len = match usize::try_from(length) {
            Ok(0) if checksum == 0 => return Ok(Err(LogEnd::Clean(position))),
            // The length's sector was lost, the checksum's was not.
            Ok(0) => return Ok(Err(LogEnd::Torn(position))),
            Ok(length) => length,
            Err(_) => return Err(corrupt(&self.path, position, format!("the length {length}"))),
        };
        let record_len = payload_len + RECORD_OVERHEAD;
        if record_len as u64 > left {
            return Ok(Err(LogEnd::Torn(position)));
        }
        let record = self.bytes_at(position, record_len)?;
        let (payload, end) = (record.get(12..12 + payload_len).unwrap_or_default(), record.last().copied());
        if end == Some(RECORD_END) && checksum == u64::from(adler32(&payload)) {
            let record = record_of(position, payload);
            return record.map(Ok).ok_or_else(|| corrupt(&self.path, position, "a record without a header"));
        }
        if end == Some(0) || has_zero_sector(record, position) {
            return Ok(Err(LogEnd::Torn(position)));
        }
        Err(corrupt(&self.path, position, "CRC check failed"))
    }

    /// Up to `len` bytes at `position`, fewer at the end of the file.
    fn bytes_at(&mut self, position: u64, len: usize) -> Result<&[u8], StoreError> {
        let len = usize::try_from(self.len.saturating_sub(position)).map_or(len, |left| left.min(len));
        let start = match self.held(position) {
            Some(start) if start + len <= self.chunk.len() => start,
            _ => {
                self.read_chunk(position, len.max(CHUNK_LEN))?;
                0
            }
        };
        Ok(self.chunk.get(start..start + len).unwrap_or_default())
    }

    /// What is in memory from `position` on, read if need be with the bytes that may start a record there; empty behind
    /// the end.
    fn bytes_from(&mut self, position: u64) -> Result<&[u8], StoreError> {
        if self.held(position).is_none() {
            self.read_chunk(position.saturating_sub(CHECKSUM_ZEROS_MAX), CHUNK_LEN)?;
        }
        Ok(self.held(position).and_then(|start| self.chunk.get(start..)).unwrap_or_default())
    }

    /// Where in the chunk the byte at `position` stands, if it is there.
    fn held(&self, position: u64) -> Option<usize> {
        let start = usize::try_from(position.checked_sub(self.chunk_start)?).ok()?;
        (start < self.chunk.len()).then_some(start)
    }

    fn read_chunk(&mut self, position: u64, len: usize) -> Result<(), StoreError> {
        self.chunk.resize(len, 0);
        let read = self.file.read_at(&mut self.chunk, position).context("read", &self.path)?;
        self.chunk.truncate(read);
        self.chunk_start = position;
        Ok(())
    }
}

fn record_of(position: u64, payload: &[u8]) -> Option<LogRecord> {
    let header = payload.first_chunk::<TXN_HEADER_LEN>()?;
    let zxid = i64::from_be_bytes(*header.get(12..)?.first_chunk()?);
    Some(LogRecord { position, zxid, payload: Bytes::copy_from_slice(payload) })
}

/// Where the first byte that is not zero stands. Padding of 64 MiB that is no hole is looked through at each start after
/// a kill, so whole blocks are looked at together.
fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    let is_zero = |block: &[u8]| block.iter().fold(0, |seen, byte| seen | byte) == 0;
    let block = bytes.chunks(BLOCK_LEN).position(|block| !is_zero(block))?;
    let start = block * BLOCK_LEN;
    Some(start + bytes.get(start..)?.iter().position(|byte| *byte != 0)?)
}

/// Whether all of the record's bytes in some sector of the file are zeros.
fn has_zero_sector(record: &[u8], position: u64) -> bool {
    let first = record.len().min((SECTOR_LEN - position % SECTOR_LEN) as usize);
    let (head, rest) = record.split_at(first);
    std::iter::once(head).chain(rest.chunks(SECTOR_LEN as usize)).any(|sector| sector.iter().all(|byte| *byte == 0))
}
