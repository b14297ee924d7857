//! What a message is made of, as data: bounds for reading, and the tests' and tables' view of every message.

use std::fmt;

use super::Version;

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The first version.
    pub first: i16,
    /// The last version; `i16::MAX` where a field is still in use.
    pub last: i16,
}

impl Versions {
    /// The versions from `first` to `last`.
    pub const fn new(first: i16, last: i16) -> Self {
        Self { first, last }
    }

    /// Whether `version` is one of them.
    pub const fn contains(self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    /// The versions that both ranges have; `None` if there is none.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self::new(self.first.max(other.first), self.last.min(other.last));
        (both.first <= both.last).then_some(both)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, i16::MAX) => write!(formatter, "{first}+"),
            (first, last) if first == last => write!(formatter, "{first}"),
            (first, last) => write!(formatter, "{first}-{last}"),
        }
    }
}

/// The shape of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One byte, 0 or 1.
    Bool,
    /// A number of this many bytes.
    Number(usize),
    /// 8 bytes of IEEE 754.
    Float,
    /// UTF-8, at most 32,767 bytes.
    Text,
    /// Bytes, or record batches.
    Bytes,
    /// Any number of one shape.
    Array(&'static Shape),
    /// The shape, or null.
    Nullable(&'static Shape),
    /// Fields in order.
    Structure(&'static [FieldShape]),
}

/// One field of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldShape {
    /// Name of the Rust field.
    pub name: &'static str,
    /// Shape of its value.
    pub shape: &'static Shape,
    /// Versions that carry it.
    pub versions: Versions,
    /// Versions in which it may be null, if its shape is nullable.
    pub nullable: Versions,
    /// Its tag, if it is a tagged field.
    pub tag: Option<u32>,
    /// Whether it is never in compact form.
    pub classic: bool,
}

impl Shape {
    /// The fewest bytes that a value takes: what bounds a peer's count of elements.
    pub fn len_min(&self, version: Version) -> usize {
        let (text, long) = if version.flexible { (1, 1) } else { (2, 4) };
        match self {
            Self::Bool => 1,
            Self::Number(bytes) => *bytes,
            Self::Float => 8,
            Self::Text => text,
            Self::Bytes | Self::Array(_) => long,
            Self::Nullable(inner) => inner.len_min(version),
            Self::Structure(fields) => {
                let present =
                    fields.iter().filter(|field| field.tag.is_none() && field.versions.contains(version.number));
                present.map(|field| field.shape.len_min(field.version(version))).sum::<usize>()
                    + usize::from(version.flexible)
            }
        }
    }
}

impl FieldShape {
    /// The encoding of this field in a message of `version`.
    pub const fn version(&self, version: Version) -> Version {
        if self.classic { version.classic() } else { version }
    }
}
