//! What a log publishes: readers copy it and need no lock of the append path.

use std::sync::Arc;

use crate::segment::Segment;
use crate::types::{OffsetPosition, Offsets};

/// An offset whose place in the files may not be known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) offset: i64,
    pub(crate) place: Option<OffsetPosition>,
}

impl Mark {
    pub(crate) const fn at(offset: i64) -> Self {
        Self { offset, place: None }
    }

    pub(crate) const fn placed(place: OffsetPosition) -> Self {
        Self { offset: place.offset, place: Some(place) }
    }
}

/// A log as readers see it: copied in one go, so its parts fit each other.
#[derive(Clone)]
pub(crate) struct View {
    /// Never empty, rising by base offset.
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    pub(crate) log_start: i64,
    pub(crate) end: OffsetPosition,
    pub(crate) high_watermark: Mark,
    pub(crate) first_unstable: Option<Mark>,
    /// No ended transaction waits for the high watermark: it may move without looking at the producers.
    pub(crate) settled: bool,
    /// Nothing may be read or written any more.
    pub(crate) closed: bool,
}

impl View {
    /// Where `read_committed` readers stop.
    pub(crate) fn last_stable(&self) -> Mark {
        match self.first_unstable {
            Some(mark) if mark.offset < self.high_watermark.offset => mark,
            _ => self.high_watermark,
        }
    }

    pub(crate) fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log_start,
            last_stable: self.last_stable().offset,
            high_watermark: self.high_watermark.offset,
            log_end: self.end.offset,
        }
    }

    /// Index of the segment that holds `offset`, if any does.
    pub(crate) fn floor(&self, offset: i64) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base_offset <= offset).checked_sub(1)
    }

    /// Whether nothing but appends to the same segments happened since `before`.
    pub(crate) fn is_grown_from(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.segments, &before.segments)
            && (self.log_start, self.closed) == (before.log_start, before.closed)
            && self.end.offset >= before.end.offset
    }

    pub(crate) fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("a log has a segment at all times")
    }

    pub(crate) fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size()).sum()
    }
}
