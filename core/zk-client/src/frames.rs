//! Cutting the stream of a connection into frames.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes received and not yet taken.
#[derive(Debug, Default)]
pub(crate) struct Frames(BytesMut);

/// A length that no server sends, or that is more than the client takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLength(pub(crate) i32);

impl Frames {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The next whole frame without its length.
    pub(crate) fn pop(&mut self, len_max: usize) -> Result<Option<Bytes>, BadLength> {
        let Some(prefix) = self.0.first_chunk() else { return Ok(None) };
        let length = i32::from_be_bytes(*prefix);
        let wanted = usize::try_from(length).ok().filter(|wanted| *wanted <= len_max).ok_or(BadLength(length))?;
        if self.0.len() < 4 + wanted {
            return Ok(None);
        }
        self.0.advance(4);
        Ok(Some(self.0.split_to(wanted).freeze()))
    }
}
