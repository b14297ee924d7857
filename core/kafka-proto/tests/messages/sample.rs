//! Arbitrary messages: bytes made from a message's shape, with limits, nulls and long text among them.

use base::Random;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_proto::wire::{FieldShape, Shape, Version};

/// Encodes an arbitrary value. `canonical` leaves out tagged fields, whose default values an encoder would not repeat.
pub(crate) fn sample(shape: &Shape, version: Version, random: &mut Random, canonical: bool) -> Bytes {
    let mut out = BytesMut::new();
    Sampler { random, canonical, out: &mut out }.value(shape, version);
    out.freeze()
}

struct Sampler<'a> {
    random: &'a mut Random,
    canonical: bool,
    out: &'a mut BytesMut,
}

impl Sampler<'_> {
    fn value(&mut self, shape: &Shape, version: Version) {
        match shape {
            Shape::Bool => self.out.put_u8(self.random.below(2) as u8),
            Shape::Number(bytes) => self.number(*bytes),
            Shape::Float => self.out.put_f64(self.random.next_u64() as i64 as f64 / 1024.0),
            Shape::Text => self.text(version),
            Shape::Bytes => {
                let length = self.length();
                self.put_length(version, length, 4);
                for _ in 0..length {
                    self.out.put_u8(self.random.next_u64() as u8);
                }
            }
            Shape::Array(element) => {
                let count = self.random.below(4) as usize;
                self.put_length(version, count, 4);
                for _ in 0..count {
                    self.value(element, version);
                }
            }
            Shape::Nullable(inner) if self.random.below(3) == 0 => self.null(inner, version),
            Shape::Nullable(inner) => self.value(inner, version),
            Shape::Structure(fields) => self.structure(fields, version),
        }
    }

    fn structure(&mut self, fields: &[FieldShape], version: Version) {
        let present = || fields.iter().filter(|field| field.versions.contains(version.number));
        for field in present().filter(|field| field.tag.is_none()) {
            self.field(field, version);
        }
        if !version.flexible {
            return;
        }
        let tagged: Vec<_> = present().filter(|field| field.tag.is_some()).collect();
        let tagged: Vec<_> = tagged.into_iter().filter(|_| !self.canonical && self.random.below(2) == 0).collect();
        let unknown = if self.canonical { 0 } else { self.random.below(2) as usize };
        self.put_uvarint(tagged.len() + unknown);
        for field in tagged {
            let mut content = BytesMut::new();
            Sampler { random: self.random, canonical: self.canonical, out: &mut content }.field(field, version);
            self.put_uvarint(field.tag.unwrap() as usize);
            self.put_uvarint(content.len());
            self.out.put_slice(&content);
        }
        for _ in 0..unknown {
            self.out.put_slice(&[0x90, 0x4e, 3, 1, 2, 3]);
        }
    }

    fn field(&mut self, field: &FieldShape, version: Version) {
        let shape = match field.shape {
            Shape::Nullable(inner) if !field.nullable.contains(version.number) => inner,
            shape => shape,
        };
        self.value(shape, field.version(version));
    }

    fn number(&mut self, bytes: usize) {
        let value = match self.random.below(6) {
            0 => 0,
            1 => -1,
            2 => i64::MAX >> (64 - 8 * bytes),
            3 => i64::MIN >> (64 - 8 * bytes),
            4 => self.random.below(100) as i64,
            _ => self.random.next_u64() as i64,
        };
        self.out.put_slice(&value.to_be_bytes()[8 - bytes..]);
    }

    fn text(&mut self, version: Version) {
        let mut text = String::new();
        for _ in 0..self.length() {
            text.push(['a', '-', '0', 'é', '雪', '\u{1F426}'][self.random.below(6) as usize]);
        }
        self.put_length(version, text.len(), 2);
        self.out.put_slice(text.as_bytes());
    }

    /// Mostly short, sometimes beyond what one byte of a compact length holds.
    fn length(&mut self) -> usize {
        let bound = if self.random.below(8) == 0 { 300 } else { 10 };
        self.random.below(bound) as usize
    }

    fn null(&mut self, inner: &Shape, version: Version) {
        match (version.flexible, inner) {
            (true, _) => self.out.put_u8(0),
            (false, Shape::Text) => self.out.put_i16(-1),
            (false, _) => self.out.put_i32(-1),
        }
    }

    fn put_length(&mut self, version: Version, length: usize, bytes: usize) {
        match (version.flexible, bytes) {
            (true, _) => self.put_uvarint(length + 1),
            (false, 2) => self.out.put_i16(length as i16),
            (false, _) => self.out.put_i32(length as i32),
        }
    }

    fn put_uvarint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }
}
