//! Where messages are encoded to.

use base::{Part, Parts};
use bytes::{BufMut, Bytes, BytesMut};

use super::{EncodeError, Records, Version};

/// Shorter records are copied between the fields around them: cheaper than one more slice for the socket.
const INLINE_BYTES_MAX: usize = 1024;

/// Collects an encoded message: as one buffer, or as a list of parts in which records are neither copied nor read.
#[derive(Debug)]
pub struct Writer {
    buffer: BytesMut,
    /// Whether everything goes into `buffer`.
    joined: bool,
    /// The first part, kept open until the frame's length is known.
    head: Option<BytesMut>,
    /// What follows the head and comes before `buffer`.
    parts: Parts,
}

impl Writer {
    /// A writer that appends everything to `buffer`; ranges of files are read into it.
    pub fn joined(buffer: BytesMut) -> Self {
        Self { buffer, joined: true, head: None, parts: Parts::new() }
    }

    /// A writer that keeps long records as parts of their own.
    pub fn parts(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), joined: false, head: None, parts: Parts::new() }
    }

    /// The buffer of a joined writer.
    pub fn into_buffer(self) -> BytesMut {
        self.buffer
    }

    /// The parts, with the length of all behind the first four bytes written there: those were put as a placeholder.
    pub fn into_frame(mut self) -> Result<Parts, EncodeError> {
        let rest: usize = self.parts.iter().map(Part::len).sum();
        let (mut head, tail) = match self.head.take() {
            Some(head) => (head, self.buffer),
            None => (self.buffer, BytesMut::new()),
        };
        let length = (head.len() + rest + tail.len()).saturating_sub(4);
        let prefix = i32::try_from(length).map_err(|_| EncodeError::Length { length })?.to_be_bytes();
        if let Some(placeholder) = head.first_chunk_mut() {
            *placeholder = prefix;
        }
        let mut parts = Parts::with_capacity(self.parts.len() + 2);
        parts.push(Part::Bytes(head.freeze()));
        parts.append(&mut self.parts);
        if !tail.is_empty() {
            parts.push(Part::Bytes(tail.freeze()));
        }
        Ok(parts)
    }

    /// Appends bytes as they are.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// Appends an unsigned varint.
    pub fn put_uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// Appends a tagged field: the tag, the size of what `write` appends, and that.
    pub fn tagged(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut field = Self::joined(BytesMut::new());
        write(&mut field)?;
        let size = u32::try_from(field.buffer.len()).map_err(|_| EncodeError::Length { length: field.buffer.len() })?;
        self.put_uvarint(tag);
        self.put_uvarint(size);
        self.put_slice(&field.buffer);
        Ok(())
    }

    /// Appends the length of text.
    pub(super) fn put_text_length(&mut self, version: Version, length: usize) -> Result<(), EncodeError> {
        let length = i16::try_from(length).map_err(|_| EncodeError::Length { length })?;
        if version.flexible {
            self.put_uvarint(u32::from(length.unsigned_abs()) + 1);
        } else {
            self.buffer.put_i16(length);
        }
        Ok(())
    }

    /// Appends the length of bytes, records or an array.
    pub(super) fn put_length(&mut self, version: Version, length: usize) -> Result<(), EncodeError> {
        let length = i32::try_from(length).map_err(|_| EncodeError::Length { length })?;
        if version.flexible {
            self.put_uvarint(length.unsigned_abs() + 1);
        } else {
            self.buffer.put_i32(length);
        }
        Ok(())
    }

    /// Appends bytes behind their length; long ones become a part of their own.
    pub(super) fn put_bytes(&mut self, bytes: &Bytes) {
        if self.joined || bytes.len() <= INLINE_BYTES_MAX {
            self.buffer.put_slice(bytes);
        } else {
            self.put_part(Part::Bytes(bytes.clone()));
        }
    }

    /// Appends records behind their length.
    pub(super) fn put_records(&mut self, records: &Records) -> Result<(), EncodeError> {
        for part in records.parts() {
            match part {
                Part::Bytes(bytes) => self.put_bytes(bytes),
                Part::Range { .. } if !self.joined => self.put_part(part.clone()),
                Part::Range { file, position, .. } => {
                    let start = self.buffer.len();
                    self.buffer.put_bytes(0, part.len());
                    let target = self.buffer.get_mut(start..).unwrap_or_default();
                    if file.read_at(target, *position)? != part.len() {
                        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
        Ok(())
    }

    fn put_part(&mut self, part: Part) {
        let before = self.buffer.split();
        if self.head.is_none() {
            self.head = Some(before);
        } else if !before.is_empty() {
            self.parts.push(Part::Bytes(before.freeze()));
        }
        self.parts.push(part);
    }
}
