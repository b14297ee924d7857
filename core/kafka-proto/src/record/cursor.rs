//! Reading numbers from a borrowed slice: the walk over records in place.
//!
//! `base::Reader` hands out shared views of a frame; a walk over a hundred records needs neither their reference counts
//! nor positions for messages, and may read from a window that is refilled.

use super::RecordError;

const UNDERFLOW: RecordError = RecordError::Invalid("Found invalid record structure");

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn u8(&mut self) -> Result<u8, RecordError> {
        let (&first, rest) = self.0.split_first().ok_or(UNDERFLOW)?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(UNDERFLOW)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(UNDERFLOW)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A zigzag varint of at most 5 bytes.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<i32, RecordError> {
        let raw = match self.0 {
            [one @ 0..=0x7f, rest @ ..] => {
                self.0 = rest;
                u32::from(*one)
            }
            [low @ 0x80..=0xff, high @ 0..=0x7f, rest @ ..] => {
                self.0 = rest;
                u32::from(*low & 0x7f) | u32::from(*high) << 7
            }
            // The original takes a fifth byte's high bits and drops them.
            _ => self.unsigned(5)? as u32,
        };
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// A zigzag varint of at most 10 bytes.
    #[inline]
    pub(super) fn varlong(&mut self) -> Result<i64, RecordError> {
        let raw = match self.0 {
            [one @ 0..=0x7f, rest @ ..] => {
                self.0 = rest;
                u64::from(*one)
            }
            _ => self.unsigned(10)?,
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The bytes behind a varint length; `None` for a negative one, which stands for null.
    #[inline]
    pub(super) fn nullable(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn unsigned(&mut self, bytes_max: u32) -> Result<u64, RecordError> {
        let mut value = 0_u64;
        for index in 0..bytes_max {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Invalid("Varint is too long, the most significant bit in the last byte is set"))
    }
}

const fn unsigned_len(raw: u64) -> usize {
    // 7 bits a byte, one byte at least.
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes that `value` takes as a zigzag varint: 1 to 5.
pub const fn varint_len(value: i32) -> usize {
    unsigned_len(((value << 1) ^ (value >> 31)) as u32 as u64)
}

/// Bytes that `value` takes as a zigzag varint of 64 bits: 1 to 10.
pub const fn varlong_len(value: i64) -> usize {
    unsigned_len(((value << 1) ^ (value >> 63)) as u64)
}

fn put_unsigned(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

pub(super) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_all_lengths_survive_and_are_measured() {
        for shift in 0..64 {
            for near in [-1_i64, 0, 1] {
                let value = (1_i64 << shift).wrapping_add(near);
                let mut out = Vec::new();
                put_varlong(&mut out, value);
                assert_eq!(out.len(), varlong_len(value));
                assert_eq!(Cursor(&out).varlong().unwrap(), value);
                let value = value as i32;
                out.clear();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value));
                assert_eq!(Cursor(&out).varint().unwrap(), value);
                out.pop();
                assert!(Cursor(&out).varint().is_err());
            }
        }
    }

    #[test]
    fn overlong_varints_are_refused() {
        assert!(Cursor(&[0x80; 6]).varint().is_err());
        assert!(Cursor(&[0x80; 11]).varlong().is_err());
    }
}
