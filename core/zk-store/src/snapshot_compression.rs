//! The three forms of a snapshot file (upstream `SnapStream`): plain, gzip, and snappy in the framing of xerial's Java
//! library.

use std::io::{self, BufReader, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// `zookeeper.snapshot.compression.method`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// `gz`.
    Gzip,
    /// `snappy`.
    Snappy,
}

impl Compression {
    /// The setting's value; anything else than `gz` and `snappy` (in any case) means none, as in the original.
    pub fn from_setting(value: &str) -> Self {
        match value.to_ascii_lowercase().as_str() {
            "gz" => Self::Gzip,
            "snappy" => Self::Snappy,
            _ => Self::None,
        }
    }

    pub(crate) fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "gz" => Some(Self::Gzip),
            "snappy" => Some(Self::Snappy),
            _ => None,
        }
    }

    /// What is added to the file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Snappy => ".snappy",
        }
    }
}

/// Compresses what is written to it.
pub(crate) enum Compressor<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Snappy(SnappyWriter<W>),
}

impl<W: Write> Compressor<W> {
    pub(crate) fn new(compression: Compression, target: W) -> Self {
        match compression {
            Compression::None => Self::Plain(target),
            Compression::Gzip => Self::Gzip(GzEncoder::new(target, flate2::Compression::default())),
            Compression::Snappy => Self::Snappy(SnappyWriter { target, block: Vec::new(), started: false }),
        }
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(target) => target.write_all(bytes),
            Self::Gzip(target) => target.write_all(bytes),
            Self::Snappy(target) => target.write_all(bytes),
        }
    }

    pub(crate) fn target(&self) -> &W {
        match self {
            Self::Plain(target) => target,
            Self::Gzip(encoder) => encoder.get_ref(),
            Self::Snappy(writer) => &writer.target,
        }
    }

    /// Writes what is held back; the target.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(target) => Ok(target),
            Self::Gzip(target) => target.finish(),
            Self::Snappy(target) => target.finish(),
        }
    }
}

/// The uncompressed bytes of `source`.
pub(crate) fn decompressor<R: Read + Send + 'static>(compression: Compression, source: R) -> Box<dyn Read + Send> {
    match compression {
        Compression::None => Box::new(BufReader::with_capacity(1 << 18, source)),
        Compression::Gzip => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(BufReader::new(source)))),
        Compression::Snappy => Box::new(SnappyReader { source: BufReader::new(source), block: Vec::new(), at: 0 }),
    }
}

/// `SnappyCodec`: the magic, then the version and the oldest version that can read it.
const SNAPPY_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
pub(crate) const SNAPPY_MAGIC_LEN: usize = 8;
const SNAPPY_BLOCK_LEN: usize = 32 << 10;
/// More than any writer puts into a block; a length beyond it is damage.
const SNAPPY_BLOCK_LEN_MAX: usize = 64 << 20;

/// Whether a file that starts like this is a snappy stream.
pub(crate) fn is_snappy(head: &[u8]) -> bool {
    head.get(..SNAPPY_MAGIC_LEN) == SNAPPY_HEADER.get(..SNAPPY_MAGIC_LEN)
}

/// Blocks of 32 KiB, each behind its compressed length.
pub(crate) struct SnappyWriter<W> {
    target: W,
    block: Vec<u8>,
    started: bool,
}

impl<W: Write> SnappyWriter<W> {
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(SNAPPY_BLOCK_LEN - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == SNAPPY_BLOCK_LEN {
                self.write_block()?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            self.target.write_all(&SNAPPY_HEADER)?;
        }
        let compressed = snap::raw::Encoder::new().compress_vec(&self.block)?;
        self.block.clear();
        self.target.write_all(&(compressed.len() as u32).to_be_bytes())?;
        self.target.write_all(&compressed)
    }

    fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        Ok(self.target)
    }
}

struct SnappyReader<R> {
    source: BufReader<R>,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> Read for SnappyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.read_block()? {
                return Ok(0);
            }
        }
        let held = self.block.get(self.at..).unwrap_or_default();
        let read = (&mut &*held).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

impl<R: Read> SnappyReader<R> {
    /// Reads the next block; whether there was one.
    fn read_block(&mut self) -> io::Result<bool> {
        let mut length = Vec::new();
        (&mut self.source).take(4).read_to_end(&mut length)?;
        let Ok(length) = <[u8; 4]>::try_from(length.as_slice()) else {
            return if length.is_empty() { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        };
        if SNAPPY_HEADER.first_chunk() == Some(&length) {
            // The header, at the start or where streams were joined.
            self.source.read_exact(&mut [0; 12])?;
            return self.read_block();
        }
        let mut compressed = Vec::new();
        let length = u64::from(u32::from_be_bytes(length));
        (&mut self.source).take(length.min(SNAPPY_BLOCK_LEN_MAX as u64)).read_to_end(&mut compressed)?;
        if compressed.len() as u64 != length {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a snappy block of {length} bytes")));
        }
        if snap::raw::decompress_len(&compressed)? > SNAPPY_BLOCK_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snappy block of more than 64 MiB"));
        }
        self.block = snap::raw::Decoder::new().decompress_vec(&compressed)?;
        self.at = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_gives_back_what_went_in() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(|number| (number / 7).to_be_bytes()).collect();
        for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
            let mut compressor = Compressor::new(compression, Vec::new());
            for piece in content.chunks(9999) {
                compressor.write_all(piece).unwrap();
            }
            let stored = compressor.finish().unwrap();
            assert_eq!(stored.len() < content.len(), compression != Compression::None);
            let mut read = Vec::new();
            decompressor(compression, io::Cursor::new(stored.clone())).read_to_end(&mut read).unwrap();
            assert!(read == content);
            if compression != Compression::None {
                let cut = stored[..stored.len() - 3].to_vec();
                assert!(decompressor(compression, io::Cursor::new(cut)).read_to_end(&mut read).is_err());
            }
        }
    }

    #[test]
    fn a_bomb_in_a_snappy_block_is_refused() {
        let mut stored = SNAPPY_HEADER.to_vec();
        stored.extend_from_slice(&[0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(decompressor(Compression::Snappy, io::Cursor::new(stored)).read_to_end(&mut Vec::new()).is_err());
    }
}
