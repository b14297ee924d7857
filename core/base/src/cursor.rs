//! Reading a peer's bytes: every length is checked against what is there, nothing panics, nothing is allocated on a
//! peer's word alone.

use bytes::Bytes;

use crate::Str;

/// What is wrong with bytes that were to be decoded, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends before the value does.
    #[error("{wanted} bytes wanted at byte {at}, {left} left")]
    Truncated {
        /// Where the value starts.
        at: usize,
        /// How many bytes it needs.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// A length or count that no encoder writes: negative (where null is not allowed) or beyond what is left.
    #[error("invalid length {length} at byte {at}")]
    Length {
        /// Where the length stands.
        at: usize,
        /// The length as read.
        length: i64,
    },
    /// A string that is not UTF-8.
    #[error("invalid UTF-8 in the string at byte {at}")]
    Utf8 {
        /// Where the string's bytes start.
        at: usize,
    },
    /// A variable-length integer longer than its type.
    #[error("a varint of more than {bytes_max} bytes at byte {at}")]
    Varint {
        /// Where it starts.
        at: usize,
        /// The longest allowed.
        bytes_max: usize,
    },
    /// A value outside of its type: an unknown tag, a bool that is neither 0 nor 1 where that is refused.
    #[error("invalid {what} {value} at byte {at}")]
    Value {
        /// What was being read.
        what: &'static str,
        /// The value as read.
        value: i64,
        /// Where it stands.
        at: usize,
    },
    /// Bytes left over behind a complete message.
    #[error("{left} bytes left over at byte {at}")]
    Trailing {
        /// Where the message ended.
        at: usize,
        /// How many bytes follow.
        left: usize,
    },
}

/// A cursor over one received frame. Views it hands out share the frame's memory; copy what is kept for long.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    at: usize,
}

macro_rules! read_number {
    ($($name:ident -> $type:ty),*) => {$(
        #[doc = concat!("Reads a big-endian `", stringify!($type), "`.")]
        pub fn $name(&mut self) -> Result<$type, DecodeError> {
            self.array().map(<$type>::from_be_bytes)
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A cursor at the first byte of `frame`.
    pub const fn new(frame: &'a Bytes) -> Self {
        Self { frame, at: 0 }
    }

    /// The byte that is read next, counted from the frame's start.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.frame.len().saturating_sub(self.at)
    }

    /// All that is left, without moving.
    pub fn rest(&self) -> &'a [u8] {
        self.frame.get(self.at..).unwrap_or_default()
    }

    read_number!(u8 -> u8, i8 -> i8, i16 -> i16, u16 -> u16, i32 -> i32, u32 -> u32, i64 -> i64, u64 -> u64, f64 -> f64);

    /// Reads `N` bytes by value.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = self.rest().first_chunk::<N>().copied().ok_or_else(|| self.truncated(N))?;
        self.at += N;
        Ok(taken)
    }

    /// Reads `length` bytes as a borrowed slice.
    pub fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let taken = self.rest().get(..length).ok_or_else(|| self.truncated(length))?;
        self.at += length;
        Ok(taken)
    }

    /// Reads `length` bytes as a view that shares the frame's memory.
    pub fn bytes(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let taken = self.slice(length)?;
        Ok(self.frame.slice_ref(taken))
    }

    /// Reads `length` bytes of UTF-8 as a view that shares the frame's memory.
    pub fn str(&mut self, length: usize) -> Result<Str, DecodeError> {
        let at = self.at;
        Str::from_utf8(self.bytes(length)?).map_err(|_| DecodeError::Utf8 { at })
    }

    /// Reads an unsigned varint (7 bits a byte, low bits first) of at most 5 bytes.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let at = self.at;
        let value = self.uvarint_of(5)?;
        u32::try_from(value).map_err(|_| DecodeError::Varint { at, bytes_max: 5 })
    }

    /// Reads a zigzag varint of 32 bits.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// Reads a zigzag varint of 64 bits.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let raw = self.uvarint_of(10)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Fails unless everything was read.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { at: self.at, left }),
        }
    }

    fn uvarint_of(&mut self, bytes_max: usize) -> Result<u64, DecodeError> {
        let at = self.at;
        let mut value = 0_u64;
        for index in 0..bytes_max {
            let byte = self.u8()?;
            // The tenth byte holds the 64th bit alone.
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint { at, bytes_max })
    }

    fn truncated(&self, wanted: usize) -> DecodeError {
        DecodeError::Truncated { at: self.at, wanted, left: self.remaining() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian_and_bounded() {
        let frame = Bytes::from_static(&[0, 0, 1, 0, 0xff]);
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.i32(), Ok(256));
        assert_eq!(reader.i16(), Err(DecodeError::Truncated { at: 4, wanted: 2, left: 1 }));
        assert_eq!(reader.i8(), Ok(-1));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn varints_cover_their_types_and_no_more() {
        let frame = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(Reader::new(&frame).varint(), Ok(i32::MIN));
        let frame = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x1f]);
        assert_eq!(Reader::new(&frame).varint(), Err(DecodeError::Varint { at: 0, bytes_max: 5 }));
        let frame = Bytes::from_static(&[0xff; 9]);
        assert!(matches!(Reader::new(&frame).varlong(), Err(DecodeError::Truncated { .. })));
        let frame = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        assert_eq!(Reader::new(&frame).varlong(), Ok(i64::MIN));
        let frame = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]);
        assert_eq!(Reader::new(&frame).varlong(), Err(DecodeError::Varint { at: 0, bytes_max: 10 }));
    }

    #[test]
    fn views_share_the_frame() {
        let frame = Bytes::from(b"topic".to_vec());
        let view = Reader::new(&frame).str(5).unwrap();
        assert_eq!(&*view, "topic");
        assert_eq!(view.as_ptr(), frame.as_ptr());
        let frame = Bytes::from_static(&[0xc3, 0x28]);
        assert_eq!(Reader::new(&frame).str(2), Err(DecodeError::Utf8 { at: 0 }));
    }
}
