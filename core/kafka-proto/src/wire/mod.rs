//! How values lie on the wire: big-endian numbers, lengths before what they count, and from a message's first flexible
//! version on compact lengths and tagged fields (KIP-482).
//!
//! Reading follows `org.apache.kafka.common.protocol.types` of 2.7.1: any negative length is null where null is allowed,
//! any byte but 0 is true, unknown tagged fields are passed over. It is stricter in three points: text must be UTF-8 (the
//! original puts U+FFFD), a tagged field must fill its size exactly, and a count must fit the bytes that are left, counted
//! with the smallest size of an element, before anything is allocated.

mod shape;
mod values;
mod writer;

use base::{DecodeError, Reader};

pub use shape::{FieldShape, Shape, Versions};
pub use values::Records;
pub use writer::Writer;

/// The version of a message that is being read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The number in the request's header.
    pub number: i16,
    /// Whether lengths are compact and structures end in tagged fields.
    pub flexible: bool,
}

impl Version {
    /// The same version in classic encoding, for the fields that never became compact.
    #[must_use]
    pub const fn classic(self) -> Self {
        Self { number: self.number, flexible: false }
    }
}

/// A value of the wire. Structures derive it.
pub trait Wire: Sized {
    /// What the value is made of.
    const SHAPE: &'static Shape;

    /// Reads the value. Strings and bytes are views of the reader's frame.
    fn read(version: Version, reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Appends the value. After an error the writer holds a part of it.
    fn write(&self, version: Version, writer: &mut Writer) -> Result<(), EncodeError>;
}

/// Why a message can't be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    Version {
        /// Name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field holds something that this version can't carry, and dropping it would change the meaning.
    #[error("{message}.{field} can't be sent in version {version}")]
    Unsupported {
        /// Name of the structure.
        message: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is null where this version has no null.
    #[error("{message}.{field} can't be null in version {version}")]
    Null {
        /// Name of the structure.
        message: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Longer than its length field can say: text above 32,767 bytes, anything else above 2 GiB.
    #[error("a value of {length} is too long for the wire")]
    Length {
        /// Length in bytes, or elements.
        length: usize,
    },
    /// The range of a log file that was to be joined into the message can't be read.
    #[error("can't read records: {0}")]
    Read(#[from] std::io::Error),
}

/// Reads the tagged fields at a structure's end. `known` reads the field with the tag it is given and says whether it
/// knew it; others are passed over, as a server does with what a newer client adds. Tags rise, each once, as a number of 31 bits.
pub fn read_tags(
    reader: &mut Reader<'_>,
    mut known: impl FnMut(u32, &mut Reader<'_>) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    let mut previous = -1;
    for _ in 0..reader.uvarint()? {
        let (at, tag) = (reader.position(), reader.uvarint()?);
        let signed = tag as i32;
        if signed <= previous {
            return Err(DecodeError::Value { what: "tag", value: signed.into(), at });
        }
        previous = signed;
        let at = reader.position();
        let size = reader.uvarint()? as usize;
        let start = reader.position();
        if known(tag, reader)? {
            if reader.position() - start != size {
                return Err(DecodeError::Length { at, length: size as i64 });
            }
        } else {
            reader.slice(size)?;
        }
    }
    Ok(())
}
