//! Splitting a segment whose offsets lie too far apart for its indexes (KAFKA-6264, `Log.splitOverflowedSegment`).
//!
//! Old brokers' cleaners could join segments until an offset, counted from the base, did not fit the four bytes of an index entry. The
//! same bytes are cut into segments that hold theirs. A crash leaves the one or the others, never a part: pieces are written as
//! `.log.cleaned` and synced, then renamed to `.log.swap`, the first one last. While a `.cleaned` is there a start drops all of it;
//! once none is, it completes the swap ([`Loader::clear_leftovers`]). Indexes are rebuilt like missing ones.

use std::io::{Error, ErrorKind, IoSlice};

use base::OpenMode;
use kafka_proto::record::{LegacyMessage, RecordError, inner_messages};

use super::{Files, Loader, checksum_fits};
use crate::LogError;
use crate::batch::{Placed, ScanError, Scanner};
use crate::partition::FileKind;
use crate::segment::Segment;
use crate::types::Level;
use crate::validate::DECOMPRESSED_LEN_MAX;

/// A row of a segment's bytes that becomes a segment of its own.
#[derive(Clone, Copy, Debug)]
struct Piece {
    base_offset: i64,
    from: u64,
    to: u64,
}

impl Piece {
    fn name(&self, state: &str) -> String {
        format!("{}{state}", FileKind::Log.name(self.base_offset))
    }
}

impl Loader<'_> {
    /// Puts segments with the same bytes in the place of the last one, which has an offset too far from its base.
    pub(super) fn split_last(&mut self) -> Result<(), LogError> {
        let Some(segment) = self.segments.pop() else { return Ok(()) };
        let pieces = self.pieces(&segment)?;
        let bases: Vec<i64> = pieces.iter().map(|piece| piece.base_offset).collect();
        let line = format!(
            "Splitting overflowed segment {} into segments {bases:?}, since its offsets lie too far apart for its indexes",
            segment.base_offset
        );
        self.say(Level::Info, &line);
        pieces.iter().try_for_each(|piece| self.write_piece(&segment, piece))?;
        self.swap_in(segment.base_offset, &pieces)?;
        pieces.iter().try_for_each(|piece| {
            let log_len = Some(piece.to - piece.from);
            self.open_segment(piece.base_offset, Files { log_len, ..Files::default() })
        })
    }

    /// Where to cut: as far as the batches are in order; what is damaged stays with the batch before it, for recovery to cut off.
    fn pieces(&self, segment: &Segment) -> Result<Vec<Piece>, LogError> {
        let file = segment.file()?.as_ref();
        let len = file.len().map_err(|error| segment.failed("reading", error))?;
        let mut scanner = Scanner::new(file, 0, len, Scanner::SWEEP);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut previous = segment.base_offset - 1;
        loop {
            let placed = match scanner.next() {
                Ok(Some(placed)) if placed.batch.last_offset > previous => placed,
                Ok(_) | Err(ScanError::NoBatch(_)) => return Ok(pieces),
                Err(error @ ScanError::Io(_)) => return Err(segment.scan_failed(error)),
            };
            let last_offset = placed.batch.last_offset;
            if pieces.last().is_none_or(|piece| last_offset - piece.base_offset > i64::from(i32::MAX)) {
                // A damaged offset must not begin a segment. The first batch begins one in any case.
                if !pieces.is_empty() && !checksum_fits(file, &placed, segment)? {
                    return Ok(pieces);
                }
                let base_offset = first_offset(segment, &mut scanner, &placed, previous)?;
                if let Some(before) = pieces.last_mut() {
                    before.to = placed.position;
                }
                pieces.push(Piece { base_offset, from: placed.position, to: len });
            }
            previous = last_offset;
        }
    }

    fn write_piece(&self, segment: &Segment, piece: &Piece) -> Result<(), LogError> {
        let source = segment.file()?;
        let path = self.home.path(&piece.name(".cleaned"));
        let failed = |error| LogError::storage("writing", &path, error);
        let target = self.home.disk.open(&path, OpenMode::CreateNew).map_err(failed)?;
        let mut buffer = vec![0; Scanner::SWEEP];
        let mut at = piece.from;
        while at < piece.to {
            let want = buffer.len().min((piece.to - at) as usize);
            let bytes = buffer.get_mut(..want).unwrap_or_default();
            let read = source.read_at(bytes, at).map_err(|error| segment.failed("reading", error))?;
            if read == 0 {
                return Err(segment.failed("reading", ErrorKind::UnexpectedEof.into()));
            }
            let bytes = bytes.get(..read).unwrap_or_default();
            target.write_at(&[IoSlice::new(bytes)], at - piece.from).map_err(failed)?;
            at += read as u64;
        }
        target.sync_data(self.slow).map_err(failed)
    }

    /// The pieces take the place of the segment at `replaced`. A swap counts as complete from the first piece's renaming on: so the others
    /// are durable before, and it is before anything is removed.
    fn swap_in(&self, replaced: i64, pieces: &[Piece]) -> Result<(), LogError> {
        let Some((first, others)) = pieces.split_first() else { return Ok(()) };
        self.sync_dir()?;
        others.iter().rev().try_for_each(|piece| self.rename(piece, ".cleaned", ".swap"))?;
        self.sync_dir()?;
        self.rename(first, ".cleaned", ".swap")?;
        self.sync_dir()?;
        self.remove_segment_files(replaced)?;
        pieces.iter().try_for_each(|piece| self.rename(piece, ".swap", ""))?;
        self.sync_dir()
    }

    fn rename(&self, piece: &Piece, from: &str, to: &str) -> Result<(), LogError> {
        let from = self.home.path(&piece.name(from));
        let renamed = self.home.disk.rename(&from, &self.home.path(&piece.name(to)), self.slow);
        renamed.map_err(|error| LogError::storage("renaming", from, error))
    }
}

/// The offset of a batch's first record, which a compressed message of magic 0 or 1 has inside. The batch itself fits behind it, and it
/// lies behind `previous`, whatever is written there.
fn first_offset(segment: &Segment, scanner: &mut Scanner<'_>, placed: &Placed, previous: i64) -> Result<i64, LogError> {
    let batch = &placed.batch;
    let mut first = batch.base_offset;
    if batch.magic < 2 {
        let len = batch.size as usize;
        let bytes = scanner.bytes(placed.position, len).map_err(|error| segment.scan_failed(error))?;
        let walked = LegacyMessage::new(bytes).and_then(|message| {
            inner_messages(&message, DECOMPRESSED_LEN_MAX, |inner| {
                first = first.min(inner.offset);
                Ok::<_, RecordError>(())
            })
        });
        walked.map_err(|error| segment.failed("splitting", Error::new(ErrorKind::InvalidData, error.to_string())))?;
    }
    Ok(first.max(previous + 1).max(batch.last_offset - i64::from(i32::MAX)))
}
