//! The sparse indexes of a segment (`OffsetIndex`, `TimeIndex`): sorted entries of fixed size.
//!
//! No memory map: the file is read with pread, a block at a time through a small shared cache, and the entries that the
//! active segment has not written yet wait in memory, where most lookups find theirs. Files are as long as their entries;
//! those that a JVM left preallocated, with zeros behind the entries, are read as far as the entries go.

use std::io::IoSlice;
use std::marker::PhantomData;
use std::sync::Arc;

use base::Slow;
use parking_lot::RwLock;

use crate::LogError;
use crate::home::{BlockCache, BlockKey, Home, LazyFile};
use crate::partition::FileKind;
use crate::shared::is_full;

/// An entry of an index. `base` is the segment's base offset, from which stored offsets count.
pub(crate) trait Entry: Copy + PartialEq + Send + Sync {
    const SIZE: usize;
    const KIND: FileKind;
    fn decode(bytes: &[u8], base: i64) -> Option<Self>;
    fn encode(&self, base: i64, out: &mut Vec<u8>);
    fn offset(&self) -> i64;
}

/// The last offset of a batch and where the batch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: i64,
    pub(crate) position: u32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;
    const KIND: FileKind = FileKind::OffsetIndex;

    fn decode(bytes: &[u8], base: i64) -> Option<Self> {
        let (relative, rest) = bytes.split_first_chunk()?;
        let offset = base + i64::from(i32::from_be_bytes(*relative));
        Some(Self { offset, position: u32::from_be_bytes(*rest.first_chunk()?) })
    }

    fn encode(&self, base: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&((self.offset - base) as i32).to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn offset(&self) -> i64 {
        self.offset
    }
}

/// The largest timestamp so far, and the last offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;
    const KIND: FileKind = FileKind::TimeIndex;

    fn decode(bytes: &[u8], base: i64) -> Option<Self> {
        let (timestamp, rest) = bytes.split_first_chunk()?;
        let offset = base + i64::from(i32::from_be_bytes(*rest.first_chunk()?));
        Some(Self { timestamp: i64::from_be_bytes(*timestamp), offset })
    }

    fn encode(&self, base: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&((self.offset - base) as i32).to_be_bytes());
    }

    fn offset(&self) -> i64 {
        self.offset
    }
}

/// One index of one segment.
pub(crate) struct Index<E> {
    base: i64,
    file: LazyFile,
    state: RwLock<State<E>>,
    entry: PhantomData<E>,
}

struct State<E> {
    /// What the file holds; `None` until it was looked at.
    written: Option<Written<E>>,
    /// Entries that the file does not have yet.
    tail: Vec<E>,
}

#[derive(Clone, Copy)]
struct Written<E> {
    entries: u32,
    last: Option<E>,
    /// Under this number its blocks are cached.
    number: u64,
}

/// Entries wait in memory until so many can be written at once.
const TAIL_MAX: usize = 512;

impl<E: Entry> Index<E> {
    const BLOCK_ENTRIES: u32 = (4096 / E::SIZE) as u32;

    /// The index of a segment that was just made: nothing to read.
    pub(crate) fn empty(home: &Home, base: i64) -> Self {
        let written = Written { entries: 0, last: None, number: home.cache.next_index() };
        Self::with(base, Some(written))
    }

    /// The index of a segment that exists, in a file of `len` bytes: looked at when needed. An empty one is not opened for it.
    pub(crate) fn existing(home: &Home, base: i64, len: u64) -> Self {
        match len {
            0 => Self::empty(home, base),
            _ => Self::with(base, None),
        }
    }

    const fn with(base: i64, written: Option<Written<E>>) -> Self {
        let state = RwLock::new(State { written, tail: Vec::new() });
        Self { base, file: LazyFile::new(E::KIND, base), state, entry: PhantomData }
    }

    /// Number of entries. The first time the file is looked at: where waiting is allowed, so that an append need not.
    pub(crate) fn len(&self, home: &Home) -> Result<u32, LogError> {
        if let State { written: Some(written), tail } = &*self.state.read() {
            return Ok(written.entries + tail.len() as u32);
        }
        let written = self.written(home)?;
        Ok(written.entries + self.state.read().tail.len() as u32)
    }

    /// The newest entry.
    pub(crate) fn last(&self, home: &Home) -> Result<Option<E>, LogError> {
        if let Some(last) = self.state.read().tail.last() {
            return Ok(Some(*last));
        }
        Ok(self.written(home)?.last)
    }

    /// Adds an entry, larger than the last one. Meets the page cache every 512 entries; they wait in memory while the disk is full.
    pub(crate) fn append(&self, home: &Home, entry: E) -> Result<(), LogError> {
        self.written(home)?;
        let mut state = self.state.write();
        state.tail.push(entry);
        if !state.tail.len().is_multiple_of(TAIL_MAX) {
            return Ok(());
        }
        match self.write_tail(home, &mut state) {
            Err(error) if is_full(&error) => Ok(()),
            written => written,
        }
    }

    /// Hands the entries in memory to the page cache.
    pub(crate) fn write_out(&self, home: &Home) -> Result<(), LogError> {
        let mut state = self.state.write();
        match state.tail.is_empty() {
            true => Ok(()),
            false => self.write_tail(home, &mut state),
        }
    }

    fn write_tail(&self, home: &Home, state: &mut State<E>) -> Result<(), LogError> {
        let State { written: Some(written), tail } = state else { return Ok(()) };
        let mut bytes = Vec::with_capacity(tail.len() * E::SIZE);
        for entry in tail.iter() {
            entry.encode(self.base, &mut bytes);
        }
        let position = u64::from(written.entries) * E::SIZE as u64;
        let file = self.file.get(home)?;
        file.write_at(&[IoSlice::new(&bytes)], position).map_err(|error| self.file.failed(home, "writing", error))?;
        written.entries += tail.len() as u32;
        written.last = tail.last().copied();
        // The buffer goes too: an idle partition keeps none.
        *tail = Vec::new();
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self, home: &Home, slow: &Slow) -> Result<(), LogError> {
        self.file.get(home)?.sync_data(slow).map_err(|error| self.file.failed(home, "syncing", error))
    }

    /// Makes the file, so that the original finds it where it expects one.
    pub(crate) fn create_file(&self, home: &Home) -> Result<(), LogError> {
        self.file.create(home).map(|_| ())
    }

    /// Number of entries from the front for which `before` holds; it must hold for no entry behind one for which it does not.
    pub(crate) fn partition_point(&self, home: &Home, before: impl Fn(&E) -> bool) -> Result<u32, LogError> {
        let written = self.written(home)?;
        {
            let state = self.state.read();
            if state.tail.first().is_some_and(&before) {
                // Entries may have moved to the file since it was looked at above.
                let entries = state.written.map_or(0, |written| written.entries);
                return Ok(entries + state.tail.partition_point(before) as u32);
            }
        }
        self.partition_point_in_file(home, written, before, false)
    }

    /// The entry at `index`, counted from the front.
    pub(crate) fn get(&self, home: &Home, index: u32) -> Result<Option<E>, LogError> {
        let written = self.written(home)?;
        if index < written.entries {
            let block = self.block(home, written, index / Self::BLOCK_ENTRIES, false)?;
            return Ok(self.in_block(&block, index % Self::BLOCK_ENTRIES));
        }
        let state = self.state.read();
        let entries = state.written.map_or(0, |written| written.entries);
        match index.checked_sub(entries) {
            Some(behind) => Ok(state.tail.get(behind as usize).copied()),
            None => {
                drop(state);
                self.get(home, index)
            }
        }
    }

    /// The last entry for which `before` holds.
    pub(crate) fn last_where(&self, home: &Home, before: impl Fn(&E) -> bool) -> Result<Option<E>, LogError> {
        match self.partition_point(home, before)?.checked_sub(1) {
            Some(index) => self.get(home, index),
            None => Ok(None),
        }
    }

    /// As [`Index::last_where`], without waiting for a device: [`LogError::Cold`] instead, also if the file was not looked at yet.
    pub(crate) fn last_where_cached(&self, home: &Home, before: impl Fn(&E) -> bool) -> Result<Option<E>, LogError> {
        let written = {
            let state = self.state.read();
            if state.tail.first().is_some_and(&before) {
                let behind = state.tail.partition_point(before);
                return Ok(behind.checked_sub(1).and_then(|last| state.tail.get(last)).copied());
            }
            state.written.ok_or(LogError::Cold)?
        };
        let Some(index) = self.partition_point_in_file(home, written, before, true)?.checked_sub(1) else {
            return Ok(None);
        };
        let block = self.block(home, written, index / Self::BLOCK_ENTRIES, true)?;
        Ok(self.in_block(&block, index % Self::BLOCK_ENTRIES))
    }

    /// Keeps the first `entries`. The file is cut, with any zeros behind its entries. Needs no room on the disk.
    pub(crate) fn truncate(&self, home: &Home, entries: u32, slow: &Slow) -> Result<(), LogError> {
        let written = self.written(home)?.entries;
        let in_file = entries.min(written);
        let last = match in_file.checked_sub(1) {
            Some(index) => self.get(home, index)?,
            None => None,
        };
        let mut state = self.state.write();
        let file = self.file.get(home)?;
        let cut = file.truncate(u64::from(in_file) * E::SIZE as u64, slow);
        cut.map_err(|error| self.file.failed(home, "truncating", error))?;
        state.tail.truncate((entries - in_file) as usize);
        state.written = Some(Written { entries: in_file, last, number: home.cache.next_index() });
        Ok(())
    }

    /// Entries in front that rise in offset from the segment's base, as a JVM's mapped file may hold zeros or old entries behind them.
    pub(crate) fn rising_entries(&self, home: &Home, below: i64) -> Result<u32, LogError> {
        let written = self.written(home)?;
        let mut previous = self.base - 1;
        for index in 0..written.entries {
            let block = self.block(home, written, index / Self::BLOCK_ENTRIES, false)?;
            let Some(entry) = self.in_block(&block, index % Self::BLOCK_ENTRIES) else { return Ok(index) };
            let rises = match E::KIND {
                FileKind::OffsetIndex => entry.offset() > previous,
                _ => entry.offset() >= previous,
            };
            if !rises || entry.offset() >= below || self.is_zero(&entry) {
                return Ok(index);
            }
            previous = entry.offset();
        }
        Ok(written.entries)
    }

    fn written(&self, home: &Home) -> Result<Written<E>, LogError> {
        if let Some(written) = self.state.read().written {
            return Ok(written);
        }
        let file = self.file.get(home)?;
        let len = file.len().map_err(|error| self.file.failed(home, "reading", error))?;
        let entries = u32::try_from(len / E::SIZE as u64).unwrap_or(u32::MAX);
        let mut written = Written { entries, last: None, number: home.cache.next_index() };
        written.last = self.last_in_file(home, written)?;
        if entries > 0 && written.last.is_none() {
            // A zero tail: the entries end before the first zero one.
            written.entries = self.partition_point_in_file(home, written, |entry| !self.is_zero(entry), false)?;
            // Blocks of zeros are cached under the old number.
            written.number = home.cache.next_index();
            written.last = self.last_in_file(home, written)?;
        }
        let mut state = self.state.write();
        Ok(*state.written.get_or_insert(written))
    }

    fn last_in_file(&self, home: &Home, written: Written<E>) -> Result<Option<E>, LogError> {
        let Some(index) = written.entries.checked_sub(1) else { return Ok(None) };
        let block = self.block(home, written, index / Self::BLOCK_ENTRIES, false)?;
        Ok(self.in_block(&block, index % Self::BLOCK_ENTRIES).filter(|entry| !self.is_zero(entry)))
    }

    /// No writer makes an entry of zeros: the first batch of a segment never gets one.
    fn is_zero(&self, entry: &E) -> bool {
        let mut bytes = Vec::with_capacity(E::SIZE);
        entry.encode(self.base, &mut bytes);
        bytes.iter().all(|byte| *byte == 0)
    }

    fn in_block(&self, block: &[u8], index: u32) -> Option<E> {
        E::decode(block.get(index as usize * E::SIZE..)?, self.base)
    }

    /// Looks at one entry of each block on the way to the right block, then into that block.
    fn partition_point_in_file(
        &self,
        home: &Home,
        written: Written<E>,
        before: impl Fn(&E) -> bool,
        cached_only: bool,
    ) -> Result<u32, LogError> {
        let (mut low, mut high) = (0, written.entries.div_ceil(Self::BLOCK_ENTRIES));
        let mut found = 0;
        while low < high {
            let middle = low.midpoint(high);
            let block = self.block(home, written, middle, cached_only)?;
            let entries = Self::BLOCK_ENTRIES.min(written.entries - middle * Self::BLOCK_ENTRIES);
            let holds = |index| self.in_block(&block, index).is_some_and(|entry| before(&entry));
            if !holds(0) {
                high = middle;
                continue;
            }
            let (mut inside, mut end) = (1, entries);
            while inside < end {
                let probe = inside.midpoint(end);
                if holds(probe) { inside = probe + 1 } else { end = probe }
            }
            found = middle * Self::BLOCK_ENTRIES + inside;
            if inside < entries {
                return Ok(found);
            }
            low = middle + 1;
        }
        Ok(found)
    }

    fn block(&self, home: &Home, written: Written<E>, block: u32, cached_only: bool) -> Result<Arc<[u8]>, LogError> {
        let first = block * Self::BLOCK_ENTRIES;
        let len = (written.entries.saturating_sub(first)).min(Self::BLOCK_ENTRIES) as usize * E::SIZE;
        let key = BlockKey { index: written.number, block };
        let cache: &BlockCache = &home.cache;
        if let Some(bytes) = cache.get(key, len) {
            return Ok(bytes);
        }
        let mut bytes = vec![0; len];
        let position = u64::from(first) * E::SIZE as u64;
        let read = match cached_only {
            true => self.file.get_opened()?.read_at_cached(&mut bytes, position),
            false => self.file.get(home)?.read_at(&mut bytes, position),
        };
        let read = match read {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(LogError::Cold),
            // Of a block whose end is not in the page cache.
            Ok(read) if cached_only && read < len => return Err(LogError::Cold),
            read => read.map_err(|error| self.file.failed(home, "reading", error))?,
        };
        bytes.truncate(read);
        let bytes: Arc<[u8]> = bytes.into();
        cache.put(key, Arc::clone(&bytes));
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use base::{Disk, MemDisk, OpenMode};
    use proptest::prelude::*;

    use super::*;

    fn home() -> Arc<Home> {
        let disk = MemDisk::new();
        disk.create_dir_all(&PathBuf::from("/log")).unwrap();
        Home::new(Arc::new(disk), BlockCache::new(), PathBuf::from("/log"))
    }

    fn reopened(home: &Home, index: &Index<OffsetEntry>) -> Index<OffsetEntry> {
        index.write_out(home).unwrap();
        Index::existing(home, index.base, 1)
    }

    proptest! {
        #[test]
        fn lookups_agree_with_a_sorted_list(gaps in proptest::collection::vec(1..50_i64, 0..2500), probes in proptest::collection::vec(0..70_000_i64, 20)) {
            let home = home();
            let index = Index::<OffsetEntry>::empty(&home, 100);
            index.create_file(&home).unwrap();
            let mut model = Vec::new();
            let mut offset = 100;
            for (number, gap) in gaps.iter().enumerate() {
                offset += gap;
                let entry = OffsetEntry { offset, position: number as u32 * 5000 + 1 };
                index.append(&home, entry).unwrap();
                model.push(entry);
            }
            let again = reopened(&home, &index);
            for index in [&index, &again] {
                prop_assert_eq!(index.len(&home).unwrap() as usize, model.len());
                prop_assert_eq!(index.last(&home).unwrap(), model.last().copied());
                for probe in &probes {
                    let found = index.last_where(&home, |entry| entry.offset <= *probe).unwrap();
                    let expected = model.partition_point(|entry| entry.offset <= *probe).checked_sub(1).map(|at| model[at]);
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn a_preallocated_file_is_read_as_far_as_its_entries_go() {
        for entries in [0_u32, 1, 2, 511, 512, 513, 1300] {
            let home = home();
            let index = Index::<OffsetEntry>::empty(&home, 7);
            index.create_file(&home).unwrap();
            for number in 1..=entries {
                index.append(&home, OffsetEntry { offset: 7 + i64::from(number), position: number * 9 }).unwrap();
            }
            index.write_out(&home).unwrap();
            let file = home.open(FileKind::OffsetIndex, 7, OpenMode::Create).unwrap();
            file.truncate(10 << 20, &Slow::allowed()).unwrap();
            let again = Index::<OffsetEntry>::existing(&home, 7, 10 << 20);
            assert_eq!(again.len(&home).unwrap(), entries);
            assert_eq!(
                again.last(&home).unwrap().map(|entry| entry.offset),
                (entries > 0).then(|| 7 + i64::from(entries))
            );
            again.append(&home, OffsetEntry { offset: 5000, position: 77 }).unwrap();
            again.write_out(&home).unwrap();
            assert_eq!(again.get(&home, entries).unwrap().unwrap().offset, 5000);
        }
    }

    #[test]
    fn truncated_entries_are_gone_from_file_and_cache() {
        let home = home();
        let index = Index::<TimeEntry>::empty(&home, 0);
        index.create_file(&home).unwrap();
        for number in 1..=600 {
            index.append(&home, TimeEntry { timestamp: number * 10, offset: number }).unwrap();
        }
        assert_eq!(index.last_where(&home, |entry| entry.timestamp <= 4_005).unwrap().unwrap().offset, 400);
        index.truncate(&home, 300, &Slow::allowed()).unwrap();
        assert_eq!(index.last(&home).unwrap().unwrap().offset, 300);
        for number in 301..=900 {
            index.append(&home, TimeEntry { timestamp: number * 10 + 1, offset: number }).unwrap();
        }
        index.write_out(&home).unwrap();
        let found = index.last_where(&home, |entry| entry.timestamp <= 4_005).unwrap().unwrap();
        assert_eq!(found, TimeEntry { timestamp: 4_001, offset: 400 });
    }
}
