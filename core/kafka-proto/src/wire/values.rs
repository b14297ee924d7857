//! The values that structures are made of.

use std::sync::Arc;

use base::{DecodeError, Part, Parts, Reader, Str};
use bytes::{Bytes, BytesMut};

use super::{EncodeError, Shape, Version, Wire, Writer};
use crate::ErrorCode;

macro_rules! numbers {
    ($($type:ident: $shape:expr),*) => {$(
        impl Wire for $type {
            const SHAPE: &'static Shape = &$shape;

            fn read(_: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.$type()
            }

            fn write(&self, _: Version, writer: &mut Writer) -> Result<(), EncodeError> {
                writer.put_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}

numbers!(i8: Shape::Number(1), i16: Shape::Number(2), i32: Shape::Number(4), i64: Shape::Number(8), f64: Shape::Float);

impl Wire for bool {
    const SHAPE: &'static Shape = &Shape::Bool;

    fn read(_: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u8().map(|byte| byte != 0)
    }

    fn write(&self, _: Version, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.put_slice(&[u8::from(*self)]);
        Ok(())
    }
}

impl Wire for ErrorCode {
    const SHAPE: &'static Shape = &Shape::Number(2);

    fn read(_: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.i16().map(Self)
    }

    fn write(&self, version: Version, writer: &mut Writer) -> Result<(), EncodeError> {
        self.0.write(version, writer)
    }
}

/// A value whose length can say null.
trait Nullable: Wire {
    fn read_nullable(version: Version, reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError>;
    fn write_null(version: Version, writer: &mut Writer);
}

impl<T: Nullable> Wire for Option<T> {
    const SHAPE: &'static Shape = &Shape::Nullable(T::SHAPE);

    fn read(version: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::read_nullable(version, reader)
    }

    fn write(&self, version: Version, writer: &mut Writer) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.write(version, writer),
            None => {
                T::write_null(version, writer);
                Ok(())
            }
        }
    }
}

/// Reads what can't be null.
fn read_present<T: Nullable>(version: Version, reader: &mut Reader<'_>) -> Result<T, DecodeError> {
    let at = reader.position();
    T::read_nullable(version, reader)?.ok_or(DecodeError::Length { at, length: -1 })
}

fn read_text_length(version: Version, reader: &mut Reader<'_>) -> Result<Option<usize>, DecodeError> {
    if !version.flexible {
        return Ok(usize::try_from(reader.i16()?).ok());
    }
    let at = reader.position();
    let length = read_compact_length(reader)?;
    match length {
        Some(length) if length > i16::MAX as usize => Err(DecodeError::Length { at, length: length as i64 }),
        length => Ok(length),
    }
}

fn read_length(version: Version, reader: &mut Reader<'_>) -> Result<Option<usize>, DecodeError> {
    if version.flexible { read_compact_length(reader) } else { Ok(usize::try_from(reader.i32()?).ok()) }
}

/// A compact length is one more than the length, and 0 for null.
fn read_compact_length(reader: &mut Reader<'_>) -> Result<Option<usize>, DecodeError> {
    Ok(reader.uvarint()?.checked_sub(1).map(|length| length as usize))
}

impl Nullable for Str {
    fn read_nullable(version: Version, reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        read_text_length(version, reader)?.map(|length| reader.str(length)).transpose()
    }

    fn write_null(version: Version, writer: &mut Writer) {
        writer.put_slice(if version.flexible { &[0] } else { &[0xff; 2] });
    }
}

impl Wire for Str {
    const SHAPE: &'static Shape = &Shape::Text;

    fn read(version: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_present(version, reader)
    }

    fn write(&self, version: Version, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.put_text_length(version, self.len())?;
        writer.put_slice(self.as_bytes());
        Ok(())
    }
}

impl Nullable for Bytes {
    fn read_nullable(version: Version, reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        read_length(version, reader)?.map(|length| reader.bytes(length)).transpose()
    }

    fn write_null(version: Version, writer: &mut Writer) {
        writer.put_slice(if version.flexible { &[0] } else { &[0xff; 4] });
    }
}

impl Wire for Bytes {
    const SHAPE: &'static Shape = &Shape::Bytes;

    fn read(version: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_present(version, reader)
    }

    fn write(&self, version: Version, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.put_length(version, self.len())?;
        writer.put_bytes(self);
        Ok(())
    }
}

/// So many bytes for each element of an array allow the memory that its element takes, whatever its shape.
const ELEMENT_BYTES: usize = 64;

impl<T: Wire> Nullable for Vec<T> {
    fn read_nullable(version: Version, reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        let at = reader.position();
        let Some(count) = read_length(version, reader)? else { return Ok(None) };
        let remaining = reader.remaining();
        // The exact bound takes a walk over the shape, so it is asked for only where a rough one does not do.
        if count > remaining / ELEMENT_BYTES && count > remaining / T::SHAPE.len_min(version).max(1) {
            return Err(DecodeError::Length { at, length: count as i64 });
        }
        let mut elements = Self::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(version, reader)?);
        }
        Ok(Some(elements))
    }

    fn write_null(version: Version, writer: &mut Writer) {
        Bytes::write_null(version, writer);
    }
}

impl<T: Wire> Wire for Vec<T> {
    const SHAPE: &'static Shape = &Shape::Array(T::SHAPE);

    fn read(version: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_present(version, reader)
    }

    fn write(&self, version: Version, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.put_length(version, self.len())?;
        self.iter().try_for_each(|element| element.write(version, writer))
    }
}

/// Record batches of a fetch response: bytes that were received, or ranges of log files that are to be sent.
#[derive(Clone, Debug, Default)]
pub struct Records(Parts);

impl Records {
    /// No batch at all.
    pub const EMPTY: Self = Self(Parts::new());

    /// The pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.iter().map(Part::len).sum()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in one piece: without copying if they are (as decoded), else joined and read from their files.
    pub fn to_bytes(&self) -> std::io::Result<Bytes> {
        match self.0.as_slice() {
            [] => Ok(Bytes::new()),
            [Part::Bytes(bytes)] => Ok(bytes.clone()),
            _ => {
                let mut writer = Writer::joined(BytesMut::with_capacity(self.len()));
                match writer.put_records(self) {
                    Ok(()) => Ok(writer.into_buffer().freeze()),
                    Err(EncodeError::Read(error)) => Err(error),
                    Err(error) => Err(std::io::Error::other(error)),
                }
            }
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Parts::new() } else { vec![Part::Bytes(bytes)] })
    }
}

impl From<Parts> for Records {
    fn from(parts: Parts) -> Self {
        Self(parts)
    }
}

/// Equal if the same pieces: bytes by content, ranges by file and place.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| same(one, other))
    }
}

fn same(one: &Part, other: &Part) -> bool {
    match (one, other) {
        (Part::Bytes(one), Part::Bytes(other)) => one == other,
        (Part::Range { file, position, length }, Part::Range { file: other, position: at, length: len }) => {
            Arc::ptr_eq(file, other) && (position, length) == (at, len)
        }
        _ => false,
    }
}

impl Nullable for Records {
    fn read_nullable(version: Version, reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(version, reader)?.map(Self::from))
    }

    fn write_null(version: Version, writer: &mut Writer) {
        Bytes::write_null(version, writer);
    }
}

impl Wire for Records {
    const SHAPE: &'static Shape = &Shape::Bytes;

    fn read(version: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_present(version, reader)
    }

    fn write(&self, version: Version, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.put_length(version, self.len())?;
        writer.put_records(self)
    }
}
