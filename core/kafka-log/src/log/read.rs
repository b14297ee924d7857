//! Reading: from a copy of what is published, without the append lock.

use base::{File, Part};

use super::Log;
use crate::LogError;
use crate::batch::Placed;
use crate::segment::Segment;
use crate::types::{AbortedTransaction, Bound, Fetched, OffsetPosition, ReadRequest};
use crate::view::{Mark, View};

impl Log {
    /// Reads without the append lock. Nothing at the bound or behind it is an error up to the log's end: the answer is empty.
    pub fn read(&self, request: &ReadRequest) -> Result<Fetched, LogError> {
        self.look(|view| self.read_view(view, request))
    }

    /// Looks for something in what is published. A segment may be deleted or cut meanwhile: that is no failure of the disk, and
    /// the log of now has the answer.
    pub(super) fn look<T>(&self, look: impl Fn(&View) -> Result<T, LogError>) -> Result<T, LogError> {
        let mut view = self.view.read().clone();
        loop {
            let result = if view.closed { Err(self.closed()) } else { look(&view) };
            let Err(LogError::Storage { .. }) = result else { return result };
            let now = self.view.read().clone();
            if now.is_grown_from(&view) {
                return self.report(result);
            }
            view = now;
        }
    }

    fn read_view(&self, view: &View, request: &ReadRequest) -> Result<Fetched, LogError> {
        let offset = request.offset;
        if offset < view.log_start || offset > view.end.offset {
            return Err(out_of_range(view, offset));
        }
        let bound = match request.bound {
            Bound::LogEnd => Mark::placed(view.end),
            Bound::HighWatermark => view.high_watermark,
            Bound::LastStable => view.last_stable(),
        };
        let empty = |position| Fetched {
            records: Vec::new(),
            position,
            first_batch_incomplete: false,
            aborted_transactions: (request.bound == Bound::LastStable).then(Vec::new),
            offsets: view.offsets(),
        };
        if offset >= bound.offset {
            let place = if offset == bound.offset {
                self.place(view, bound, request.cached_only)?
            } else {
                self.find(view, offset, request.cached_only)?
            };
            return Ok(empty(place));
        }
        let end = self.place(view, bound, request.cached_only)?;
        for index in view.floor(offset).unwrap_or(0)..view.segments.len() {
            let Some(segment) = view.segments.get(index).filter(|segment| segment.base_offset <= end.segment) else {
                break;
            };
            if let Some(found) = segment.find(offset, segment.size(), request.cached_only)? {
                let fetched = slice(view, segment, found, end, request)?;
                return match request.bound {
                    Bound::LastStable => with_aborted(view, index, fetched, offset),
                    _ => Ok(fetched),
                };
            }
        }
        // All that was at or behind the offset is gone from the log.
        Ok(empty(view.end))
    }

    /// Where a mark is: looked up once, then kept with the view.
    fn place(&self, view: &View, mark: Mark, cached_only: bool) -> Result<OffsetPosition, LogError> {
        if let Some(place) = mark.place {
            return Ok(place);
        }
        let place = self.find(view, mark.offset, cached_only)?;
        let mut published = self.view.write();
        if published.high_watermark == mark {
            published.high_watermark.place = Some(place);
        }
        if published.first_unstable == Some(mark) {
            published.first_unstable = Some(Mark { offset: mark.offset, place: Some(place) });
        }
        Ok(place)
    }

    /// Where the first batch at or behind `offset` starts.
    pub(super) fn find(&self, view: &View, offset: i64, cached_only: bool) -> Result<OffsetPosition, LogError> {
        if offset >= view.end.offset {
            return Ok(view.end);
        }
        for segment in view.segments.iter().skip(view.floor(offset).unwrap_or(0)) {
            if let Some(found) = segment.find(offset, segment.size(), cached_only)? {
                return Ok(OffsetPosition { offset, segment: segment.base_offset, position: found.position });
            }
        }
        Ok(view.end)
    }
}

fn out_of_range(view: &View, offset: i64) -> LogError {
    LogError::OffsetOutOfRange { offset, log_start_offset: view.log_start, log_end_offset: view.end.offset }
}

/// The bytes from the batch that was found, as far as the bound and the sizes allow.
fn slice(
    view: &View,
    segment: &Segment,
    found: Placed,
    end: OffsetPosition,
    request: &ReadRequest,
) -> Result<Fetched, LogError> {
    let limit = if end.segment == segment.base_offset { end.position } else { segment.size() };
    let max_bytes = match request.min_one_message {
        true => u64::from(request.max_bytes).max(found.batch.size),
        false => u64::from(request.max_bytes),
    };
    let length = max_bytes.min(limit.saturating_sub(found.position));
    let mut records = Vec::new();
    if length > 0 {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let file = segment.file()?;
        if request.cached_only {
            probe(file.as_ref(), found.position, length)?;
        }
        records.push(Part::Range { file: file.clone(), position: found.position, length });
    }
    Ok(Fetched {
        records,
        position: OffsetPosition { offset: request.offset, segment: segment.base_offset, position: found.position },
        first_batch_incomplete: max_bytes < found.batch.size,
        aborted_transactions: None,
        offsets: view.offsets(),
    })
}

/// The page cache loads and drops pages in pieces about so large: one byte of each tells of the rest.
const PROBE_EVERY: u64 = 128 << 10;

/// Fails with [`LogError::Cold`] if a part of the range seems not to be in the page cache.
fn probe(file: &dyn File, position: u64, length: u32) -> Result<(), LogError> {
    let last = position + u64::from(length.saturating_sub(1));
    let mut at = position;
    loop {
        match file.read_at_cached(&mut [0], at) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(LogError::Cold),
            // Whoever reads the range will meet the error.
            _ if at == last => return Ok(()),
            _ => at = last.min(at + PROBE_EVERY),
        }
    }
}

/// Adds the aborted transactions of the range, from the segment at `index` on.
fn with_aborted(view: &View, index: usize, mut fetched: Fetched, from: i64) -> Result<Fetched, LogError> {
    let length: u64 = fetched.records.iter().map(|part| part.len() as u64).sum();
    let mut segments = view.segments.iter().skip(index);
    let mut aborted: Vec<AbortedTransaction> = Vec::new();
    if let Some(first) = segments.next() {
        let to = match first.upper_bound(fetched.position.position, length)? {
            Some(offset) => offset,
            None => view.segments.get(index + 1).map_or(view.end.offset, |next| next.base_offset),
        };
        for segment in std::iter::once(first).chain(segments) {
            if segment.transactions.collect(&segment.home, from, to, &mut aborted)? {
                break;
            }
        }
    }
    fetched.aborted_transactions = Some(aborted);
    Ok(fetched)
}
