//! Opening a log: leftovers are cleared, segments found, an unclean end recovered, producers and epochs taken up.

mod split;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use base::{DiskEntry, File, Now, Slow};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::append::end_marker;
use super::moving::MARK;
use super::{Log, Mode, State, refresh_unstable};
use crate::batch::{Placed, ScanError, Scanner, Summary};
use crate::checkpoint;
use crate::epochs::LeaderEpochs;
use crate::error::sync_dir;
use crate::home::Home;
use crate::partition::FileKind;
use crate::producers::{CompletedTransaction, EndMarker, Producers, Verdict, is_expired};
use crate::segment::{Segment, Sizes};
use crate::shared::{Shared, is_full};
use crate::types::{Level, OffsetPosition, Origin};
use crate::view::{Mark, View};
use crate::{LogConfig, LogError, TopicPartition, snapshot};

/// What the log directory's checkpoints say of a log.
#[derive(Clone, Debug)]
pub(crate) struct LoadFrom {
    pub(crate) dir: PathBuf,
    pub(crate) log_start: i64,
    pub(crate) recovery_point: i64,
    /// The last stop was clean: all is flushed, nothing to recover.
    pub(crate) clean: bool,
}

/// The files of one segment, as listed. A file that is not there has no length.
#[derive(Clone, Copy, Debug, Default)]
struct Files {
    log_len: Option<u64>,
    index_len: Option<u64>,
    time_index_len: Option<u64>,
    transactions: bool,
}

struct Loader<'a> {
    shared: &'a Arc<Shared>,
    partition: &'a TopicPartition,
    home: Arc<Home>,
    config: &'a LogConfig,
    from: LoadFrom,
    now: Now,
    slow: &'a Slow,
    segments: Vec<Arc<Segment>>,
    snapshots: Vec<i64>,
    snapshots_removed: bool,
    epochs: LeaderEpochs,
    is_marked: bool,
}

/// What came of one segment's recovery.
enum Recovered {
    /// The offset behind the last good batch, and how many bytes were cut behind it.
    Ends { offset: i64, cut: u64 },
    /// A good batch lies too far from the segment's base: the segment must be split first.
    Overflows,
}

/// What came of the segments.
struct End {
    /// Behind the last record.
    offset: i64,
    producers: Producers,
}

impl Log {
    /// Opens the log in a folder, which is made if need be.
    pub(crate) fn open(
        shared: &Arc<Shared>,
        partition: TopicPartition,
        config: LogConfig,
        from: LoadFrom,
        now: Now,
        slow: &Slow,
    ) -> Result<Arc<Self>, LogError> {
        let home = Home::new(Arc::clone(&shared.disk), Arc::clone(&shared.cache), from.dir.clone());
        let mut loader = Loader {
            shared,
            partition: &partition,
            home,
            config: &config,
            from,
            now,
            slow,
            segments: Vec::new(),
            snapshots: Vec::new(),
            snapshots_removed: false,
            epochs: LeaderEpochs::default(),
            is_marked: false,
        };
        let (end, log_start) = loader.load()?;
        let Loader { home, segments, snapshots, snapshots_removed, epochs, from, is_marked, .. } = loader;
        let active = segments.last().expect("the loader makes a segment where there is none");
        let place = OffsetPosition { offset: end.offset, segment: active.base_offset, position: active.size() };
        let recovery_point = if from.clean { end.offset } else { from.recovery_point.clamp(log_start, end.offset) };
        let state = State {
            producers: end.producers,
            mode: Mode::Open,
            full: false,
            recovery_point,
            truncations: 0,
            last_flush: now.monotonic,
            flushed_size: 0,
            snapshot_size: 0,
            flush_snapshot: None,
            dirty_since: (recovery_point < end.offset).then_some(now.monotonic),
            snapshots,
            snapshots_removed,
        };
        let mut view = View {
            segments: Arc::new(segments),
            log_start,
            end: place,
            high_watermark: Mark::at(log_start),
            first_unstable: None,
            settled: true,
            closed: false,
        };
        refresh_unstable(&state, &mut view);
        let size = view.size();
        let state = State { flushed_size: size, snapshot_size: size, ..state };
        Ok(Arc::new_cyclic(|me| Self {
            partition,
            shared: Arc::clone(shared),
            home,
            config: RwLock::new(Arc::new(config)),
            view: RwLock::new(view),
            epochs: RwLock::new(epochs),
            state: Mutex::new(state),
            flushing: Mutex::new(()),
            epoch_writes: Mutex::new(0),
            flush_queued: AtomicBool::new(false),
            warned_compacted: AtomicBool::new(false),
            marked: AtomicBool::new(is_marked),
            me: me.clone(),
        }))
    }
}

impl Loader<'_> {
    fn load(&mut self) -> Result<(End, i64), LogError> {
        let files = self.clear_leftovers()?;
        for (base_offset, files) in files {
            self.open_segment(base_offset, files)?;
        }
        let mut end = if self.from.clean { self.clean_end()? } else { self.recover()? };
        let mut log_start = self.from.log_start.max(self.segments.first().map_or(0, |first| first.base_offset));
        if end.offset < self.from.log_start && !self.segments.is_empty() {
            self.say(Level::Warn, &format!(
                "Deleting all segments because logEndOffset ({}) is smaller than logStartOffset ({}). This could happen if \
                 segment files were deleted from the file system.",
                end.offset, self.from.log_start
            ));
            self.drop_segments(0)?;
            log_start = self.from.log_start;
        }
        if self.segments.is_empty() {
            let jitter_ms = self.shared.roll_jitter_ms(self.config);
            self.segments.push(Segment::create(&self.home, log_start, jitter_ms, self.now.wall_ms)?);
            end = End { offset: log_start, producers: Producers::at(log_start) };
        }
        // The first append comes on an event loop.
        self.segments.last().map_or(Ok(()), |active| active.prepare())?;
        self.epochs.truncate_from_end(end.offset);
        self.epochs.truncate_from_start(log_start);
        self.remove_snapshots(|offset| offset > end.offset)?;
        Ok((end, log_start))
    }

    fn open_segment(&mut self, base_offset: i64, files: Files) -> Result<(), LogError> {
        let Some(len) = files.log_len else { return Ok(()) };
        let sizes = Sizes {
            log: len,
            offset_index: files.index_len.unwrap_or(0),
            time_index: files.time_index_len.unwrap_or(0),
        };
        let segment = Segment::existing(&self.home, base_offset, sizes, files.transactions, self.now.wall_ms);
        segment.set_roll_jitter(self.shared.roll_jitter_ms(self.config));
        if files.index_len.is_none() || files.time_index_len.is_none() {
            segment.create_indexes()?;
        }
        let sane = !files.transactions || segment.transactions.is_sane(&self.home).unwrap_or(false);
        self.segments.push(Arc::new(segment));
        match files.index_len.is_some() && sane {
            true => Ok(()),
            false => self.reindex_last(base_offset),
        }
    }

    /// What is in the folder, which is made if it is not there.
    fn list(&self) -> Result<Vec<DiskEntry>, LogError> {
        let (disk, dir) = (&self.home.disk, &self.from.dir);
        let listed = match disk.list(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => disk.create_dir_all(dir).map(|()| Vec::new()),
            listed => listed,
        };
        listed.map_err(|error| LogError::storage("opening", dir, error))
    }

    fn say(&self, level: Level, line: &str) {
        self.shared.say(level, format!("[Log partition={}, dir={}] {line}", self.partition, self.from.dir.display()));
    }

    /// Removes what an interrupted deletion, cleaning or swap left, completes swaps, and lists what is there.
    fn clear_leftovers(&mut self) -> Result<BTreeMap<i64, Files>, LogError> {
        let entries = self.list()?;
        let mut files: BTreeMap<i64, Files> = BTreeMap::new();
        let (mut swaps, mut cleaned) = (Vec::new(), Vec::new());
        for entry in entries.iter().filter(|entry| !entry.metadata.is_dir) {
            self.is_marked |= entry.name == MARK;
            if entry.name == checkpoint::LEADER_EPOCHS {
                self.read_epochs()?;
            }
            let Some((kind, offset, state)) = FileKind::parse(&entry.name) else { continue };
            match (state, kind) {
                ("", FileKind::ProducerSnapshot) => self.snapshots.push(offset),
                ("", _) => note(files.entry(offset).or_default(), kind, entry.metadata.len),
                (".deleted", _) => self.remove(&entry.name)?,
                (".cleaned", _) => cleaned.push((offset, entry.name.clone())),
                (".swap", _) => swaps.push((offset, kind, entry.name.clone())),
                _ => {}
            }
        }
        self.snapshots.sort_unstable();
        // A swap at or behind a file that is still being cleaned belongs to a replacement that was not complete.
        let complete_below = cleaned.iter().map(|(offset, _)| *offset).min().unwrap_or(i64::MAX);
        let (complete, broken): (Vec<_>, Vec<_>) =
            swaps.into_iter().partition(|(offset, kind, _)| *kind == FileKind::Log && *offset < complete_below);
        broken.iter().try_for_each(|(_, _, name)| self.remove(name))?;
        if !broken.is_empty() || !complete.is_empty() {
            // A broken swap must be gone before the `.cleaned` that tells so is, and a complete one must be there to stay before what
            // it replaces goes.
            self.sync_dir()?;
        }
        cleaned.iter().try_for_each(|(_, name)| self.remove(name))?;
        for (offset, _, name) in complete {
            self.complete_swap(&mut files, offset, &name)?;
        }
        let orphans: Vec<i64> =
            files.iter().filter(|(_, files)| files.log_len.is_none()).map(|(base, _)| *base).collect();
        for base in orphans {
            self.remove_segment_files(base)?;
            files.remove(&base);
        }
        Ok(files)
    }

    /// A cleaned segment takes the place of those that it was made from, a piece of a split one that of the whole.
    fn complete_swap(&self, files: &mut BTreeMap<i64, Files>, offset: i64, name: &str) -> Result<(), LogError> {
        self.say(Level::Info, &format!("Found log file {name} from interrupted swap operation, repairing."));
        let path = self.home.path(name);
        let (len, end) = self.end_of_file(name, offset)?;
        let mut replaced: Vec<i64> = files.range(offset..end.max(offset + 1)).map(|(base, _)| *base).collect();
        // A split segment may begin before the first batch in it, as its pieces do not.
        if let Some((before, Files { log_len: Some(_), .. })) = files.range(..offset).next_back()
            && self.end_of_file(&FileKind::Log.name(*before), *before)?.1 > offset
        {
            replaced.push(*before);
        }
        for base in replaced {
            self.remove_segment_files(base)?;
            files.remove(&base);
        }
        let renamed = self.home.disk.rename(&path, &self.home.path(&FileKind::Log.name(offset)), self.slow);
        renamed.map_err(|error| LogError::storage("renaming", path, error))?;
        files.insert(offset, Files { log_len: Some(len), ..Files::default() });
        Ok(())
    }

    /// Length of a log file, and the offset behind the last batch that can be read in it.
    fn end_of_file(&self, name: &str, base_offset: i64) -> Result<(u64, i64), LogError> {
        let path = self.home.path(name);
        let failed = |error| LogError::storage("reading", &path, error);
        let file = self.home.disk.open(&path, base::OpenMode::Read).map_err(failed)?;
        let len = file.len().map_err(failed)?;
        let mut end = base_offset;
        let mut scanner = Scanner::new(file.as_ref(), 0, len, Scanner::SWEEP);
        loop {
            match scanner.next() {
                Ok(Some(placed)) => end = placed.batch.last_offset + 1,
                Ok(None) | Err(ScanError::NoBatch(_)) => return Ok((len, end)),
                Err(ScanError::Io(error)) => return Err(failed(error)),
            }
        }
    }

    fn sync_dir(&self) -> Result<(), LogError> {
        sync_dir(&*self.home.disk, &self.from.dir, self.slow)
    }

    fn remove_segment_files(&self, base: i64) -> Result<(), LogError> {
        FileKind::SEGMENT.into_iter().try_for_each(|kind| self.remove(&kind.name(base)))
    }

    fn remove(&self, name: &str) -> Result<(), LogError> {
        let path = self.home.path(name);
        match self.home.disk.remove_file(&path, self.slow) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| LogError::storage("removing", path, error)),
        }
    }

    fn remove_snapshots(&mut self, unwanted: impl Fn(i64) -> bool) -> Result<(), LogError> {
        let (gone, kept) = self.snapshots.iter().partition(|offset| unwanted(**offset));
        self.snapshots = kept;
        let gone: Vec<i64> = gone;
        self.snapshots_removed |= !gone.is_empty();
        gone.into_iter().try_for_each(|offset| self.remove(&FileKind::ProducerSnapshot.name(offset)))
    }

    fn read_epochs(&mut self) -> Result<(), LogError> {
        let path = self.home.path(checkpoint::LEADER_EPOCHS);
        let Some(text) = checkpoint::read_text(self.shared.disk.as_ref(), &path)? else { return Ok(()) };
        match checkpoint::parse_epochs(&text) {
            Ok(entries) => self.epochs = LeaderEpochs::from_entries(&entries),
            Err(error) => self.say(Level::Warn, &format!("Ignoring {}: {error}", path.display())),
        }
        if self.config.message_magic < 2 {
            self.epochs.clear();
        }
        Ok(())
    }

    /// The end of a log that was closed cleanly: its last batches are read, no more.
    fn clean_end(&mut self) -> Result<End, LogError> {
        let Some(active) = self.segments.last().cloned() else {
            return Ok(End { offset: self.from.log_start, producers: Producers::default() });
        };
        let len = active.size();
        let (offset, end) = if len == 0 { (active.base_offset, 0) } else { active.find_end(len)? };
        if end < len {
            self.say(
                Level::Warn,
                &format!("Cutting {} bytes behind the last whole batch at offset {offset}", len - end),
            );
            active.cut_file(end, self.slow)?;
        }
        self.remove_snapshots(|snapshot| snapshot > offset)?;
        // Without a snapshot, a cleanly closed log had no producers: it was written by a version that knew none.
        let unknown = self.config.message_magic < 2 || self.snapshots.is_empty();
        let producers = match unknown {
            true => Producers::at(offset),
            false => self.rebuild_producers(offset)?,
        };
        Ok(End { offset, producers })
    }

    /// Checks everything from the recovery point on, and ends the log where a batch is torn or damaged.
    fn recover(&mut self) -> Result<End, LogError> {
        loop {
            if let Some(end) = self.try_recover()? {
                return Ok(end);
            }
        }
    }

    /// `None`: a segment had to be split, all is to be looked at again.
    fn try_recover(&mut self) -> Result<Option<End>, LogError> {
        let point = self.from.recovery_point.max(self.from.log_start);
        // With the point at a segment's start, the one before it may lack the entry that its roll added to the time index.
        let first = self.segments.partition_point(|segment| segment.base_offset < point).saturating_sub(1);
        let from = point.max(self.segments.get(first).map_or(0, |segment| segment.base_offset));
        self.remove_snapshots(|offset| offset > from)?;
        let mut producers = self.rebuild_producers(from)?;
        let mut end = producers.end_offset;
        for index in first..self.segments.len() {
            let Some(segment) = self.segments.get(index).cloned() else { break };
            self.say(Level::Info, &format!("Recovering unflushed segment {}", segment.base_offset));
            let recovered = self.recover_segment(&segment, from.max(segment.base_offset), &mut producers)?;
            let Recovered::Ends { offset, cut } = recovered else {
                let behind = self.segments.split_off(index + 1);
                self.split_last()?;
                self.segments.extend(behind);
                return Ok(None);
            };
            end = offset;
            // Bytes may be lost without a trace at the end of a segment while the next one survived. In a log that is never cleaned, and
            // behind what is known to be durable, that shows as a hole between the two.
            let next = self.segments.get(index + 1).filter(|next| next.base_offset > offset.max(point));
            let hole = match next {
                Some(next) if !self.config.cleanup_compact => could_hold(&segment, next)?,
                _ => false,
            };
            if cut > 0 || hole {
                self.say(
                    Level::Warn,
                    &format!(
                        "Corruption found in segment {}, truncating to offset {offset} ({cut} bytes)",
                        segment.base_offset
                    ),
                );
                self.drop_segments(index + 1)?;
                break;
            }
        }
        producers.end_offset = end;
        Ok(Some(End { offset: end, producers }))
    }

    /// Renames the segments from `index` on away, newest first, so that a crash leaves no hole.
    fn drop_segments(&mut self, index: usize) -> Result<(), LogError> {
        for segment in self.segments.drain(index..).rev() {
            segment.mark_deleted(self.slow)?;
            segment.remove_deleted(self.slow)?;
        }
        Ok(())
    }

    /// A segment whose index is missing or contradicts itself: everything in it is looked at anew.
    fn reindex_last(&mut self, base_offset: i64) -> Result<(), LogError> {
        let Some(segment) = self.segments.last().cloned() else { return Ok(()) };
        self.say(Level::Warn, &format!("Rebuilding the indexes of segment {base_offset}"));
        let mut producers = self.rebuild_producers(base_offset)?;
        let rebuilt =
            self.recover_segment(&segment, base_offset, &mut producers).and_then(|recovered| match recovered {
                // No later recovery need come by here: on a full disk, entries must not stay in memory alone.
                Recovered::Ends { .. } => segment.write_out().map(|()| recovered),
                Recovered::Overflows => Ok(recovered),
            });
        match rebuilt {
            Ok(Recovered::Ends { .. }) => Ok(()),
            Ok(Recovered::Overflows) => self.split_last(),
            Err(error) => {
                // Half an index looks like a whole one: without any, the next start builds it anew.
                self.remove(&FileKind::OffsetIndex.name(base_offset))?;
                Err(error)
            }
        }
    }

    fn recover_segment(
        &mut self,
        segment: &Segment,
        from: i64,
        producers: &mut Producers,
    ) -> Result<Recovered, LogError> {
        let start = segment.begin_reindex(from, self.slow)?;
        let file = Arc::clone(segment.file()?);
        let len = file.len().map_err(|error| segment.failed("reading", error))?;
        let kept_entry = segment.offsets.last(&self.home)?;
        let mut scanner = Scanner::new(file.as_ref(), start, len, Scanner::SWEEP);
        let (mut offset, mut valid) = (segment.base_offset, start);
        let mut previous = segment.base_offset - 1;
        loop {
            let placed = match scanner.next() {
                Ok(Some(placed)) => placed,
                Ok(None) | Err(ScanError::NoBatch(_)) => break,
                Err(error @ ScanError::Io(_)) => return Err(segment.scan_failed(error)),
            };
            let batch = placed.batch;
            let holds = batch.last_offset > previous && batch.base_offset >= segment.base_offset;
            let fits = segment.can_hold(batch.last_offset);
            let unchecked = batch.last_offset >= from || !fits;
            if !holds || (unchecked && !checksum_fits(file.as_ref(), &placed, segment)?) {
                break;
            }
            if !fits {
                return Ok(Recovered::Overflows);
            }
            let indexed = kept_entry.is_some_and(|entry| entry.offset == batch.last_offset);
            segment.reindex(&placed, indexed, self.config)?;
            self.take_in(segment, &mut scanner, &placed, producers)?;
            (previous, offset, valid) = (batch.last_offset, batch.last_offset + 1, placed.position + batch.size);
        }
        if valid < len {
            segment.cut_file(valid, self.slow)?;
        }
        segment.set_size(valid);
        match segment.close_indexes() {
            // The entries wait in memory. The recovery point stays in front of them until a flush has written them.
            Err(error) if is_full(&error) => self.say(Level::Warn, &format!("The disk is full: {error}")),
            closed => closed?,
        }
        Ok(Recovered::Ends { offset, cut: len - valid })
    }

    /// Epochs and producers of a batch that recovery found good.
    fn take_in(
        &mut self,
        segment: &Segment,
        scanner: &mut Scanner<'_>,
        placed: &Placed,
        producers: &mut Producers,
    ) -> Result<(), LogError> {
        let batch = &placed.batch;
        if batch.magic < 2 || batch.base_offset < producers.end_offset {
            return Ok(());
        }
        let newer = self.epochs.latest().is_none_or(|last| last.epoch < batch.leader_epoch);
        if newer && self.config.message_magic >= 2 {
            self.epochs.assign(batch.leader_epoch, batch.base_offset);
        }
        let marker = marker_of(segment, scanner, placed)?;
        replay(producers, batch, marker, |done, last_stable| segment.end_transaction(done, last_stable))
    }

    /// The producers at `offset`: from the newest good snapshot before it, and the batches behind that.
    fn rebuild_producers(&mut self, offset: i64) -> Result<Producers, LogError> {
        let log_start = self.from.log_start.max(self.segments.first().map_or(0, |first| first.base_offset));
        let expiration_ms = self.shared.producer_expiration_ms;
        let (producers, bad) =
            load_snapshot(&self.home, &self.snapshots, log_start, offset, self.now.wall_ms, expiration_ms);
        self.remove_snapshots(|snapshot| bad.contains(&snapshot))?;
        replay_segments(&self.segments, producers, offset)
    }
}

/// Whether the first batch of the next segment fits into the one before. If not, it may stand behind a hole without a loss: where a
/// segment was split, or where a leader's compacted log left one.
fn could_hold(segment: &Segment, next: &Segment) -> Result<bool, LogError> {
    match Scanner::new(next.file()?.as_ref(), 0, next.size(), Scanner::LOOKUP).next() {
        Ok(Some(placed)) => Ok(segment.can_hold(placed.batch.last_offset)),
        Ok(None) | Err(ScanError::NoBatch(_)) => Ok(true),
        Err(error @ ScanError::Io(_)) => Err(next.scan_failed(error)),
    }
}

fn note(files: &mut Files, kind: FileKind, len: u64) {
    match kind {
        FileKind::Log => files.log_len = Some(len),
        FileKind::OffsetIndex => files.index_len = Some(len),
        FileKind::TimeIndex => files.time_index_len = Some(len),
        FileKind::TransactionIndex => files.transactions = true,
        FileKind::ProducerSnapshot => {}
    }
}

/// The producers of the newest good snapshot at or before `offset` (and behind the log's start, where they are empty), and the
/// snapshots that were found damaged.
pub(super) fn load_snapshot(
    home: &Home,
    snapshots: &[i64],
    log_start: i64,
    offset: i64,
    now_ms: i64,
    expiration_ms: i64,
) -> (Producers, Vec<i64>) {
    let mut bad = Vec::new();
    for at in snapshots.iter().rev().copied().filter(|at| *at > log_start && *at <= offset) {
        let path = home.path(&FileKind::ProducerSnapshot.name(at));
        let content = home.disk.read(&path, 1 << 30);
        match content.ok().and_then(|content| snapshot::decode(&Bytes::from(content), at)) {
            Some(read) => {
                let mut producers = Producers::at(at);
                for (producer_id, entry) in read.entries() {
                    if !is_expired(entry, now_ms, expiration_ms) {
                        producers.load(*producer_id, entry.clone());
                    }
                }
                return (producers, bad);
            }
            None => bad.push(at),
        }
    }
    (Producers::at(log_start.min(offset)), bad)
}

/// Takes in the batches from the producers' offset up to `offset`, by their headers.
pub(super) fn replay_segments(
    segments: &[Arc<Segment>],
    mut producers: Producers,
    offset: i64,
) -> Result<Producers, LogError> {
    let first = segments.partition_point(|segment| segment.base_offset <= producers.end_offset).saturating_sub(1);
    if producers.end_offset >= offset {
        return Ok(producers);
    }
    for segment in segments.iter().skip(first).take_while(|segment| segment.base_offset < offset) {
        // From its start: before recovery the index is not to be trusted, and headers are quickly passed over.
        let mut scanner = Scanner::new(segment.file()?.as_ref(), 0, segment.size(), Scanner::SWEEP);
        loop {
            let placed = match scanner.next() {
                Ok(Some(placed)) if placed.batch.base_offset < offset => placed,
                // What can't be read here ends the log when it is recovered.
                Ok(_) | Err(ScanError::NoBatch(_)) => break,
                Err(error @ ScanError::Io(_)) => return Err(segment.scan_failed(error)),
            };
            if placed.batch.base_offset >= producers.end_offset {
                let marker = marker_of(segment, &mut scanner, &placed)?;
                replay(&mut producers, &placed.batch, marker, |_, _| Ok(()))?;
            }
        }
    }
    producers.end_offset = producers.end_offset.max(offset);
    Ok(producers)
}

fn marker_of(segment: &Segment, scanner: &mut Scanner<'_>, placed: &Placed) -> Result<Option<EndMarker>, LogError> {
    if !placed.batch.producer.is_some_and(|producer| producer.control) {
        return Ok(None);
    }
    let bytes =
        scanner.bytes(placed.position, placed.batch.size as usize).map_err(|error| segment.scan_failed(error))?;
    end_marker(&placed.batch, bytes)
}

/// Takes in a batch that is in the log: what its leader accepted is not checked again.
fn replay(
    producers: &mut Producers,
    batch: &Summary,
    marker: Option<EndMarker>,
    ended: impl FnMut(&CompletedTransaction, i64) -> Result<(), LogError>,
) -> Result<(), LogError> {
    if let Ok(Verdict::Append(update)) = producers.check(&[], [(batch, marker)].into_iter(), Origin::Replication) {
        producers.apply(update, ended)?;
    }
    producers.end_offset = batch.last_offset + 1;
    Ok(())
}

/// Whether a batch's checksum fits, read in pieces: a damaged length field costs no memory.
fn checksum_fits(file: &dyn File, placed: &Placed, segment: &Segment) -> Result<bool, LogError> {
    // Where the checksum stands and what it covers, by format.
    let (stored_at, covered_at) = if placed.batch.magic >= 2 { (17, 21) } else { (12, 16) };
    let mut stored = [0; 4];
    let failed = |error| segment.failed("reading", error);
    file.read_at(&mut stored, placed.position + stored_at).map_err(failed)?;
    let mut legacy = crc32fast::Hasher::new();
    let mut current = 0;
    let (mut at, end) = (placed.position + covered_at, placed.position + placed.batch.size);
    let mut piece = vec![0; (end - at).min(Scanner::SWEEP as u64) as usize];
    while at < end {
        let want = piece.len().min((end - at) as usize);
        let read = file.read_at(piece.get_mut(..want).unwrap_or_default(), at).map_err(failed)?;
        if read == 0 {
            return Ok(false);
        }
        let bytes = piece.get(..read).unwrap_or_default();
        if placed.batch.magic >= 2 {
            current = crc32c::crc32c_append(current, bytes);
        } else {
            legacy.update(bytes);
        }
        at += read as u64;
    }
    let computed = if placed.batch.magic >= 2 { current } else { legacy.finalize() };
    Ok(u32::from_be_bytes(stored) == computed)
}
