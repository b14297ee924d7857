//! A reply as a list of parts, so that file ranges leave by `sendfile` and nothing is joined by copying.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::File;

/// One piece of a reply.
#[derive(Clone)]
pub enum Part {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of a file, sent from the page cache without passing through memory of ours.
    Range {
        /// The file, held open until the part is sent.
        file: Arc<dyn File>,
        /// First byte of the range.
        position: u64,
        /// Length of the range in bytes.
        length: u32,
    },
}

impl Part {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Range { length, .. } => *length as usize,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::Range { position, length, .. } => write!(formatter, "Range({position}+{length})"),
        }
    }
}

/// All bytes of the parts, read into memory. Where a file ends early, what there is of its range.
pub fn read_parts(parts: &[Part]) -> io::Result<Vec<u8>> {
    let mut all = Vec::with_capacity(parts.iter().map(Part::len).sum());
    for part in parts {
        match part {
            Part::Bytes(bytes) => all.extend_from_slice(bytes),
            Part::Range { file, position, length } => {
                let start = all.len();
                all.resize(start + *length as usize, 0);
                let read = file.read_at(all.get_mut(start..).unwrap_or_default(), *position)?;
                all.truncate(start + read);
            }
        }
    }
    Ok(all)
}

/// The parts of one reply in order, its length prefix included in the first.
pub type Parts = Vec<Part>;
