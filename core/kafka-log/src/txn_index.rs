//! The transaction index of a segment: the aborted transactions whose markers it holds (`TransactionIndex`). The file exists only
//! if there are any.

use std::io::IoSlice;

use base::{OpenMode, Slow};
use parking_lot::Mutex;

use crate::LogError;
use crate::home::Home;
use crate::partition::FileKind;
use crate::types::AbortedTransaction;

/// An aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AbortedEntry {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// The marker's offset.
    pub(crate) last_offset: i64,
    /// The last stable offset once this transaction was done.
    pub(crate) last_stable_offset: i64,
}

impl AbortedEntry {
    const SIZE: usize = 34;

    fn encode(&self) -> [u8; Self::SIZE] {
        // Version 0, then four offsets and ids.
        let mut bytes = [0; Self::SIZE];
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        for (place, field) in bytes.iter_mut().skip(2).zip(fields.iter().flat_map(|field| field.to_be_bytes())) {
            *place = field;
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first_chunk()?;
        let mut field = || {
            let (value, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(i64::from_be_bytes(*value))
        };
        let entry =
            Self { producer_id: field()?, first_offset: field()?, last_offset: field()?, last_stable_offset: field()? };
        (i16::from_be_bytes(*version) == 0).then_some(entry)
    }
}

/// The transaction index of one segment, held in memory once it was read: aborted transactions are few.
pub(crate) struct TransactionIndex {
    base: i64,
    /// `None`: the file was not looked at.
    entries: Mutex<Option<Vec<AbortedEntry>>>,
}

impl TransactionIndex {
    /// `exists`: there is a file.
    pub(crate) fn new(base: i64, exists: bool) -> Self {
        Self { base, entries: Mutex::new((!exists).then(Vec::new)) }
    }

    fn with<T>(
        &self,
        home: &Home,
        work: impl FnOnce(&mut Vec<AbortedEntry>) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let mut entries = self.entries.lock();
        if let Some(entries) = entries.as_mut() {
            return work(entries);
        }
        let content = home.with_path(&FileKind::TransactionIndex.name(self.base), |path| {
            home.disk.read(&path, 1 << 30).map_err(|error| LogError::storage("reading", path, error))
        })?;
        // A torn entry at the end is one that was never needed: its segment is recovered.
        let read = content.chunks_exact(AbortedEntry::SIZE).map_while(AbortedEntry::decode).collect();
        work(entries.insert(read))
    }

    pub(crate) fn append(&self, home: &Home, entry: AbortedEntry) -> Result<(), LogError> {
        self.with(home, |entries| {
            let file = home.open(FileKind::TransactionIndex, self.base, OpenMode::Create)?;
            let position = (entries.len() * AbortedEntry::SIZE) as u64;
            let written = file.write_at(&[IoSlice::new(&entry.encode())], position);
            written.map_err(|error| home.failed("writing", FileKind::TransactionIndex, self.base, error))?;
            entries.push(entry);
            Ok(())
        })
    }

    /// Drops the transactions whose marker lies at `offset` or later.
    pub(crate) fn truncate(&self, home: &Home, offset: i64, slow: &Slow) -> Result<(), LogError> {
        self.with(home, |entries| {
            let kept = entries.partition_point(|entry| entry.last_offset < offset);
            let path = home.path(&FileKind::TransactionIndex.name(self.base));
            let exists =
                home.disk.metadata(&path).map_err(|error| LogError::storage("reading", &path, error))?.is_some();
            if exists {
                let file = home.open(FileKind::TransactionIndex, self.base, OpenMode::Write)?;
                let cut = file.truncate((kept * AbortedEntry::SIZE) as u64, slow);
                cut.map_err(|error| LogError::storage("truncating", path, error))?;
            }
            entries.truncate(kept);
            Ok(())
        })
    }

    /// Makes the entries durable.
    pub(crate) fn sync(&self, home: &Home, slow: &Slow) -> Result<(), LogError> {
        if self.entries.lock().as_ref().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let file = home.open(FileKind::TransactionIndex, self.base, OpenMode::Write)?;
        file.sync_data(slow).map_err(|error| home.failed("syncing", FileKind::TransactionIndex, self.base, error))
    }

    /// Whether all entries end in this segment, as they must.
    pub(crate) fn is_sane(&self, home: &Home) -> Result<bool, LogError> {
        self.with(home, |entries| Ok(entries.iter().all(|entry| entry.last_offset >= self.base)))
    }

    /// Adds the transactions that overlap `from..to`; true if later segments can't have more.
    pub(crate) fn collect(
        &self,
        home: &Home,
        from: i64,
        to: i64,
        found: &mut Vec<AbortedTransaction>,
    ) -> Result<bool, LogError> {
        self.with(home, |entries| {
            for entry in entries.iter() {
                if entry.last_offset >= from && entry.first_offset < to {
                    found.push(AbortedTransaction { producer_id: entry.producer_id, first_offset: entry.first_offset });
                }
                if entry.last_stable_offset >= to {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}
