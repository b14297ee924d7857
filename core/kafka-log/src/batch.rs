//! Batches as the log sees them: the fields of their headers, and a walk over a file that reads no more than headers.

use base::File;

use crate::LogError;

/// Bytes that hold every header field that the log reads, for all formats.
pub(crate) const HEADER_LEN: usize = 61;
/// Offset and size in front of every batch.
const LOG_OVERHEAD: u64 = 12;
/// The magic byte is the 17th.
const MAGIC_AT: u64 = 16;
/// Smallest sizes behind the overhead: of a message of magic 0 and 1, of a batch of magic 2.
const SIZE_MIN: [u64; 3] = [14, 22, 49];

/// What the log needs to know of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) magic: u8,
    /// Offset of the first record; in magic 0 and 1, where the header does not say it, that of the last.
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    /// Length in bytes.
    pub(crate) size: u64,
    /// -1 in magic 0 and 1.
    pub(crate) leader_epoch: i32,
    pub(crate) max_timestamp: i64,
    /// The producer, if there is one.
    pub(crate) producer: Option<Producer>,
}

/// A producer's fields in a batch of magic 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) transactional: bool,
    pub(crate) control: bool,
}

/// Why there is no batch where one was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBatch {
    /// The bytes end before the batch does.
    Incomplete,
    /// These bytes are no batch.
    Corrupt(&'static str),
}

fn field<const N: usize>(header: &[u8], at: usize) -> Option<[u8; N]> {
    header.get(at..)?.first_chunk().copied()
}

fn i16_at(header: &[u8], at: usize) -> Option<i16> {
    field(header, at).map(i16::from_be_bytes)
}

fn i32_at(header: &[u8], at: usize) -> Option<i32> {
    field(header, at).map(i32::from_be_bytes)
}

fn i64_at(header: &[u8], at: usize) -> Option<i64> {
    field(header, at).map(i64::from_be_bytes)
}

impl Summary {
    /// Reads the header at the start of `bytes`, of which `available` (these and those behind them) may belong to the batch.
    pub(crate) fn parse(bytes: &[u8], available: u64) -> Result<Self, NoBatch> {
        if available <= MAGIC_AT {
            return Err(NoBatch::Incomplete);
        }
        let size = i32_at(bytes, 8).ok_or(NoBatch::Incomplete)?;
        let magic = *bytes.get(MAGIC_AT as usize).ok_or(NoBatch::Incomplete)?;
        let size_min = SIZE_MIN.get(usize::from(magic)).ok_or(NoBatch::Corrupt("unknown magic"))?;
        let size =
            u64::try_from(size).ok().filter(|size| size >= size_min).ok_or(NoBatch::Corrupt("size too small"))?;
        if available < LOG_OVERHEAD + size {
            return Err(NoBatch::Incomplete);
        }
        let parsed = if magic == 2 { Self::parse_v2(bytes, size) } else { Self::parse_legacy(bytes, magic, size) };
        let summary = parsed.ok_or(NoBatch::Incomplete)?;
        match summary.base_offset >= 0 && summary.last_offset >= summary.base_offset {
            true => Ok(summary),
            false => Err(NoBatch::Corrupt("negative offset")),
        }
    }

    fn parse_v2(bytes: &[u8], size: u64) -> Option<Self> {
        let base_offset = i64_at(bytes, 0)?;
        let attributes = i16_at(bytes, 21)?;
        let id = i64_at(bytes, 43)?;
        let producer = Producer {
            id,
            epoch: i16_at(bytes, 51)?,
            base_sequence: i32_at(bytes, 53)?,
            transactional: attributes & 0x10 != 0,
            control: attributes & 0x20 != 0,
        };
        Some(Self {
            magic: 2,
            base_offset,
            last_offset: base_offset.checked_add(i64::from(i32_at(bytes, 23)?))?,
            size: LOG_OVERHEAD + size,
            leader_epoch: i32_at(bytes, 12)?,
            max_timestamp: i64_at(bytes, 35)?,
            producer: (id >= 0).then_some(producer),
        })
    }

    fn parse_legacy(bytes: &[u8], magic: u8, size: u64) -> Option<Self> {
        let offset = i64_at(bytes, 0)?;
        Some(Self {
            magic,
            base_offset: offset,
            last_offset: offset,
            size: LOG_OVERHEAD + size,
            leader_epoch: -1,
            max_timestamp: if magic == 0 { -1 } else { i64_at(bytes, 18)? },
            producer: None,
        })
    }

    /// The last sequence of a producer's batch; it wraps from the largest to 0. -1 for control batches.
    pub(crate) fn last_sequence(&self) -> i32 {
        match self.producer {
            Some(Producer { base_sequence, .. }) if base_sequence >= 0 => {
                base_sequence.wrapping_add((self.last_offset - self.base_offset) as i32) & i32::MAX
            }
            _ => -1,
        }
    }
}

/// A batch and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) position: u64,
    pub(crate) batch: Summary,
}

/// Walks the batches of a file, chunk by chunk; bodies that don't fit the chunk are passed over, not read.
pub(crate) struct Scanner<'a> {
    file: &'a dyn File,
    at: u64,
    end: u64,
    cached_only: bool,
    chunk_len: usize,
    chunk: Vec<u8>,
    chunk_at: u64,
}

/// What a walk meets that is not a batch.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(std::io::Error),
    /// From here on it is no log.
    NoBatch(NoBatch),
}

impl From<std::io::Error> for ScanError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl ScanError {
    /// As an error of the log: garbage inside of what was written before is a failed disk.
    pub(crate) fn at(self, path: std::path::PathBuf) -> LogError {
        match self {
            Self::Io(error) => LogError::storage("reading", path, error),
            Self::NoBatch(what) => LogError::storage(
                "reading",
                path,
                std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{what:?}")),
            ),
        }
    }
}

impl<'a> Scanner<'a> {
    /// Chunks for a lookup: about what lies between two index entries.
    pub(crate) const LOOKUP: usize = 4096;
    /// Chunks for a walk over much of a file.
    pub(crate) const SWEEP: usize = 256 << 10;

    pub(crate) const fn new(file: &'a dyn File, from: u64, end: u64, chunk_len: usize) -> Self {
        Self { file, at: from, end, cached_only: false, chunk_len, chunk: Vec::new(), chunk_at: 0 }
    }

    pub(crate) const fn cached_only(mut self, cached_only: bool) -> Self {
        self.cached_only = cached_only;
        self
    }

    /// Where the next batch is expected.
    pub(crate) const fn position(&self) -> u64 {
        self.at
    }

    /// The next batch; `None` at the end, also if only a part of a batch is left there.
    pub(crate) fn next(&mut self) -> Result<Option<Placed>, ScanError> {
        let available = self.end.saturating_sub(self.at);
        if available == 0 {
            return Ok(None);
        }
        let at = self.at;
        let len = HEADER_LEN.min(available as usize);
        let header = self.bytes(at, len)?;
        match Summary::parse(header, available) {
            Ok(batch) => {
                self.at += batch.size;
                Ok(Some(Placed { position: at, batch }))
            }
            Err(NoBatch::Incomplete) => Ok(None),
            Err(corrupt) => Err(ScanError::NoBatch(corrupt)),
        }
    }

    /// `len` bytes at `position`, from the chunk at hand or a new one. Shorter if the file is.
    pub(crate) fn bytes(&mut self, position: u64, len: usize) -> Result<&[u8], ScanError> {
        let held = position.checked_sub(self.chunk_at).filter(|skip| skip + len as u64 <= self.chunk.len() as u64);
        let skip = match held {
            Some(skip) => skip as usize,
            None => {
                let left = self.end.saturating_sub(position) as usize;
                self.chunk.resize(self.chunk_len.max(len).min(left), 0);
                let read = match self.cached_only {
                    true => self.file.read_at_cached(&mut self.chunk, position)?,
                    false => self.file.read_at(&mut self.chunk, position)?,
                };
                self.chunk.truncate(read);
                self.chunk_at = position;
                if self.cached_only && read < len {
                    return Err(ScanError::Io(std::io::ErrorKind::WouldBlock.into()));
                }
                0
            }
        };
        let end = (skip + len).min(self.chunk.len());
        Ok(self.chunk.get(skip..end).unwrap_or_default())
    }
}
