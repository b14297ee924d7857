//! The jute encoding: big-endian integers, one byte for a bool, a 32-bit length before buffers, strings and vectors (−1
//! is null).
//!
//! Strings come in as UTF-8 and go out as the original writes them: from UTF-16 units, so that a character beyond the
//! basic plane becomes two sequences of three bytes. Reading takes both forms. What is no UTF-8 at all becomes U+FFFD, as
//! in the original, whose path rules then refuse it.

use base::{DecodeError, Reader, Str};
use bytes::{BufMut, Bytes, BytesMut};

/// Room for most records, made at once and not by doubling from a few bytes.
const USUAL_LEN: usize = 256;

/// A value with a jute form.
pub trait Jute: Sized {
    /// Appends the value to `out`.
    fn encode(&self, out: &mut BytesMut);

    /// Reads a value. Buffers and strings are views of the reader's frame.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoded value alone.
    fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(USUAL_LEN);
        self.encode(&mut out);
        out.freeze()
    }
}

/// Declares a struct whose jute form is that of its fields in order.
macro_rules! record {
    ($(#[$meta:meta])* $visible:vis struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        $visible struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::jute::Jute for $name {
            fn encode(&self, out: &mut bytes::BytesMut) {
                $($crate::jute::Jute::encode(&self.$field, out);)*
            }

            fn decode(reader: &mut base::Reader<'_>) -> Result<Self, base::DecodeError> {
                Ok(Self { $($field: $crate::jute::Jute::decode(reader)?,)* })
            }
        }
    };
}
pub(crate) use record;

impl Jute for bool {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.u8()? != 0)
    }
}

impl Jute for i32 {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i32(*self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i32()
    }
}

impl Jute for i64 {
    fn encode(&self, out: &mut BytesMut) {
        out.put_i64(*self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i64()
    }
}

impl Jute for u64 {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u64(*self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64()
    }
}

/// A buffer that is never null: null is read as empty.
impl Jute for Bytes {
    fn encode(&self, out: &mut BytesMut) {
        put_length(out, self.len());
        out.put_slice(self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(<Option<Self>>::decode(reader)?.unwrap_or_default())
    }
}

/// A buffer that may be null, such as a znode's data.
impl Jute for Option<Bytes> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Some(bytes) => bytes.encode(out),
            None => out.put_i32(-1),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        get_length(reader)?.map(|length| reader.bytes(length)).transpose()
    }
}

/// A string that is never null: null is an error.
impl Jute for Str {
    fn encode(&self, out: &mut BytesMut) {
        put_str(out, self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.position();
        <Option<Self>>::decode(reader)?.ok_or(DecodeError::Length { at, length: -1 })
    }
}

/// A string that may be null.
impl Jute for Option<Str> {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Some(text) => put_str(out, text),
            None => out.put_i32(-1),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Some(length) = get_length(reader)? else { return Ok(None) };
        let bytes = reader.bytes(length)?;
        Ok(Some(match Str::from_utf8(bytes.clone()) {
            Ok(text) => text,
            Err(_) => Str::from(repaired(&bytes)),
        }))
    }
}

/// A vector. Null is read as empty, as every user of a vector upstream treats the two alike or fails; and so is any other
/// negative count, which the original's loop takes for none.
impl<T: Jute> Jute for Vec<T> {
    fn encode(&self, out: &mut BytesMut) {
        put_length(out, self.len());
        for item in self {
            item.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.i32()?;
        // A peer's count alone reserves little.
        let mut items = Self::with_capacity(count.clamp(0, 256) as usize);
        for _ in 0..count {
            items.push(T::decode(reader)?);
        }
        Ok(items)
    }
}

/// Writes a string as Java's UTF-16 units encode: see the module.
pub fn put_str(out: &mut BytesMut, text: &str) {
    let supplementary = text.bytes().filter(|byte| *byte >= 0xf0).count();
    // Four bytes become six.
    put_length(out, text.len() + 2 * supplementary);
    if supplementary == 0 {
        out.put_slice(text.as_bytes());
        return;
    }
    let mut units = [0; 2];
    let mut utf8 = [0; 4];
    for character in text.chars() {
        if character.len_utf8() < 4 {
            out.put_slice(character.encode_utf8(&mut utf8).as_bytes());
        } else {
            for unit in character.encode_utf16(&mut units) {
                out.put_slice(&three_bytes(*unit));
            }
        }
    }
}

const fn three_bytes(unit: u16) -> [u8; 3] {
    [0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]
}

/// Text of bytes that are not strict UTF-8: pairs of encoded surrogates are joined, anything else is U+FFFD.
fn repaired(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    while !bytes.is_empty() {
        let valid_up_to = match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                break;
            }
            Err(error) => error.valid_up_to(),
        };
        let (valid, bad) = bytes.split_at(valid_up_to);
        text.push_str(&String::from_utf8_lossy(valid));
        let (character, length) = surrogates(bad).unwrap_or_else(|| {
            let length = std::str::from_utf8(bad).err().and_then(|error| error.error_len()).unwrap_or(bad.len());
            (char::REPLACEMENT_CHARACTER, length)
        });
        text.push(character);
        bytes = bad.get(length..).unwrap_or_default();
    }
    text
}

/// The character of an encoded surrogate pair (six bytes), or U+FFFD for a lone encoded surrogate (three).
fn surrogates(bytes: &[u8]) -> Option<(char, usize)> {
    let first = surrogate(bytes)?;
    let second = bytes.get(3..).and_then(surrogate);
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    Some(pair.map_or((char::REPLACEMENT_CHARACTER, 3), |character| (character, 6)))
}

fn surrogate(bytes: &[u8]) -> Option<u16> {
    match *bytes.first_chunk::<3>()? {
        [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf] => {
            Some(0xd000 | u16::from(high & 0x3f) << 6 | u16::from(low & 0x3f))
        }
        _ => None,
    }
}

pub(crate) fn put_length(out: &mut BytesMut, length: usize) {
    out.put_i32(i32::try_from(length).expect("a value of 2 GiB cannot pass the frame limit"));
}

/// A length, `None` for null.
fn get_length(reader: &mut Reader<'_>) -> Result<Option<usize>, DecodeError> {
    let at = reader.position();
    match reader.i32()? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= reader.remaining() => Ok(Some(length)),
            Ok(wanted) => Err(DecodeError::Truncated { at: reader.position(), wanted, left: reader.remaining() }),
            Err(_) => Err(DecodeError::Length { at, length: i64::from(length) }),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded<T: Jute>(bytes: &[u8]) -> Result<T, DecodeError> {
        T::decode(&mut Reader::new(&Bytes::copy_from_slice(bytes)))
    }

    #[test]
    fn a_supplementary_character_is_written_as_two_surrogates_and_read_in_both_forms() {
        // BinaryOutputArchive.writeString("a\uD83D\uDC26") of 3.6.3.
        let java = [0, 0, 0, 7, b'a', 0xed, 0xa0, 0xbd, 0xed, 0xb0, 0xa6];
        assert_eq!(Str::from("a\u{1f426}").to_bytes(), &java[..]);
        assert_eq!(decoded::<Str>(&java).unwrap(), "a\u{1f426}");
        assert_eq!(decoded::<Str>(&[0, 0, 0, 4, 0xf0, 0x9f, 0x90, 0xa6]).unwrap(), "\u{1f426}");
    }

    #[test]
    fn what_is_no_utf8_becomes_the_replacement_character() {
        assert_eq!(decoded::<Str>(&[0, 0, 0, 3, b'/', 0xc3, 0x28]).unwrap(), "/\u{fffd}(");
        assert_eq!(decoded::<Str>(&[0, 0, 0, 4, 0xed, 0xa0, 0xbd, b'x']).unwrap(), "\u{fffd}x");
        assert_eq!(decoded::<Str>(&[0, 0, 0, 2, b'x', 0xe2]).unwrap(), "x\u{fffd}");
    }

    #[test]
    fn null_is_minus_one() {
        assert_eq!(decoded::<Option<Bytes>>(&[0xff; 4]), Ok(None));
        assert_eq!(decoded::<Option<Str>>(&[0xff; 4]), Ok(None));
        assert_eq!(decoded::<Vec<i32>>(&[0xff; 4]), Ok(vec![]));
        assert_eq!(decoded::<Vec<i32>>(&[0xff, 0, 0, 0]), Ok(vec![]));
        assert_eq!(decoded::<Str>(&[0xff; 4]), Err(DecodeError::Length { at: 0, length: -1 }));
        assert_eq!(None::<Bytes>.to_bytes(), &[0xff; 4][..]);
    }

    #[test]
    fn absurd_lengths_are_errors_and_reserve_nothing() {
        assert_eq!(decoded::<Bytes>(&[0x80, 0, 0, 0]), Err(DecodeError::Length { at: 0, length: i64::from(i32::MIN) }));
        assert!(matches!(decoded::<Vec<i64>>(&[0x7f, 0xff, 0xff, 0xff, 1]), Err(DecodeError::Truncated { .. })));
        assert!(matches!(decoded::<Str>(&[0, 0, 0, 2, b'x']), Err(DecodeError::Truncated { .. })));
    }

    proptest! {
        #[test]
        fn strings_come_back(text in "\\PC*") {
            prop_assert_eq!(decoded::<Str>(&Str::from(text.as_str()).to_bytes()).unwrap(), text.as_str());
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes: Vec<u8>) {
            let _ = decoded::<Vec<Str>>(&bytes);
            let mut framed = (bytes.len() as i32).to_be_bytes().to_vec();
            framed.extend_from_slice(&bytes);
            prop_assert!(decoded::<Str>(&framed).is_ok());
        }
    }
}
