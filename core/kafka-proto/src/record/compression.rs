//! The five codecs, in both directions as streams (upstream: `CompressionType`).
//!
//! A [`Decoder`] fills a [`Window`] of some 64 KiB and stops at a limit of its output, so that a few kilobytes that
//! claim to be gigabytes cost neither. Contexts of the codecs and windows are kept by the thread that used them: a
//! batch allocates nothing in the steady state. Levels are the original's: gzip 6, zstd 3.

use std::cell::RefCell;

use super::gzip::{GzipDecoder, GzipEncoder};
use super::lz4::{Lz4Decoder, Lz4Encoder};
use super::snappy::{SnappyDecoder, SnappyEncoder};
use super::zstd::{ZstdDecoder, ZstdEncoder};
use super::{Codec, Magic, RecordError};

/// How much a window holds at first, and how much a codec without blocks of its own decodes at a time.
const WINDOW_LEN: usize = 64 * 1024;
/// A window that grew beyond this for some large record is not kept.
const WINDOW_LEN_KEPT: usize = 512 * 1024;

/// Things kept by this thread for its next use.
pub(super) struct Pool<T>(RefCell<Vec<T>>);

impl<T> Pool<T> {
    pub(super) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    /// Keeps `value`; a few are enough, as nobody works on many batches at once.
    pub(super) fn put(&self, value: T) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < 4 {
            kept.push(value);
        }
    }
}

thread_local! {
    static BUFFERS: Pool<Vec<u8>> = const { Pool::new() };
}

/// Decoded bytes that wait to be read: `buffer[start..end]`.
pub(super) struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        let buffer = BUFFERS.with(Pool::take).unwrap_or_else(|| vec![0; WINDOW_LEN]);
        Self { buffer, start: 0, end: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).expect("start <= end <= length")
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.start = self.end.min(self.start + length);
    }

    /// Consumes `length` bytes and lends them.
    pub(super) fn take(&mut self, length: usize) -> &[u8] {
        let start = self.start;
        self.consume(length);
        self.buffer.get(start..self.start).unwrap_or_default()
    }

    /// At least `length` bytes to decode into, all that is free behind the bytes that wait.
    pub(super) fn spare(&mut self, length: usize) -> &mut [u8] {
        if self.buffer.len() - self.end < length {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let wanted = self.end + length;
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted.max(self.buffer.len() * 2), 0);
            }
        }
        self.buffer.get_mut(self.end..).expect("end <= length")
    }

    pub(super) fn advance(&mut self, length: usize) {
        self.end = self.buffer.len().min(self.end + length);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if self.buffer.len() <= WINDOW_LEN_KEPT {
            let buffer = std::mem::take(&mut self.buffer);
            BUFFERS.with(|pool| pool.put(buffer));
        }
    }
}

enum DecoderKind<'a> {
    Plain(&'a [u8]),
    Gzip(GzipDecoder<'a>),
    Snappy(SnappyDecoder<'a>),
    Lz4(Lz4Decoder<'a>),
    Zstd(ZstdDecoder<'a>),
}

/// Decompresses the body of a batch piece by piece.
pub struct Decoder<'a> {
    kind: DecoderKind<'a>,
    output_max: u64,
    output: u64,
}

impl<'a> Decoder<'a> {
    /// A decoder of `input`. `magic` matters for lz4 alone: with magic 0 its header checksum is known to be wrong and
    /// not looked at. More than `output_max` decompressed bytes are refused.
    pub fn new(codec: Codec, magic: Magic, input: &'a [u8], output_max: u64) -> Result<Self, RecordError> {
        let kind = match codec {
            Codec::None => DecoderKind::Plain(input),
            Codec::Gzip => DecoderKind::Gzip(GzipDecoder::new(input)?),
            Codec::Snappy => DecoderKind::Snappy(SnappyDecoder::new(input)?),
            Codec::Lz4 => DecoderKind::Lz4(Lz4Decoder::new(input, magic == Magic::V0)?),
            Codec::Zstd => DecoderKind::Zstd(ZstdDecoder::new(input)),
        };
        Ok(Self { kind, output_max, output: 0 })
    }

    /// Adds the next piece to `window`; `false` at the end of the data.
    pub(super) fn fill(&mut self, window: &mut Window) -> Result<bool, RecordError> {
        let decoded = match &mut self.kind {
            DecoderKind::Plain(rest) => {
                let (piece, left) = rest.split_at(rest.len().min(WINDOW_LEN));
                if let Some(room) = window.spare(piece.len()).get_mut(..piece.len()) {
                    room.copy_from_slice(piece);
                }
                *rest = left;
                piece.len()
            }
            DecoderKind::Gzip(decoder) => decoder.decode(window.spare(WINDOW_LEN / 2))?,
            DecoderKind::Snappy(decoder) => decoder.decode(window)?,
            DecoderKind::Lz4(decoder) => decoder.decode(window)?,
            DecoderKind::Zstd(decoder) => decoder.decode(window.spare(WINDOW_LEN / 2))?,
        };
        window.advance(decoded);
        self.output += decoded as u64;
        if self.output > self.output_max {
            return Err(RecordError::TooLarge { max: self.output_max });
        }
        Ok(decoded > 0)
    }
}

/// Decompresses all of `input` into memory of its own, `output_max` bytes at most.
pub fn decompress(codec: Codec, magic: Magic, input: &[u8], output_max: u64) -> Result<Vec<u8>, RecordError> {
    let mut decoder = Decoder::new(codec, magic, input, output_max)?;
    let mut window = Window::new();
    let mut output = Vec::new();
    while decoder.fill(&mut window)? {
        output.extend_from_slice(window.bytes());
        window.consume(window.bytes().len());
    }
    Ok(output)
}

enum EncoderKind {
    Plain,
    Gzip(GzipEncoder),
    Snappy(Box<SnappyEncoder>),
    Lz4(Lz4Encoder),
    Zstd(ZstdEncoder),
}

/// Compresses the body of a batch piece by piece, in the framing that the original writes.
pub struct Encoder(EncoderKind);

impl Encoder {
    /// An encoder for batches of `magic`.
    pub fn new(codec: Codec, magic: Magic) -> Self {
        Self(match codec {
            Codec::None => EncoderKind::Plain,
            Codec::Gzip => EncoderKind::Gzip(GzipEncoder::new()),
            Codec::Snappy => EncoderKind::Snappy(Box::new(SnappyEncoder::new())),
            Codec::Lz4 => EncoderKind::Lz4(Lz4Encoder::new(magic == Magic::V0)),
            Codec::Zstd => EncoderKind::Zstd(ZstdEncoder::new()),
        })
    }

    /// Takes in `input`; compressed bytes that are ready are added to `output`.
    pub fn write(&mut self, input: &[u8], output: &mut Vec<u8>) {
        match &mut self.0 {
            EncoderKind::Plain => output.extend_from_slice(input),
            EncoderKind::Gzip(encoder) => encoder.write(input, output),
            EncoderKind::Snappy(encoder) => encoder.write(input, output),
            EncoderKind::Lz4(encoder) => encoder.write(input, output),
            EncoderKind::Zstd(encoder) => encoder.write(input, output),
        }
    }

    /// Adds all that is left and the end of the stream.
    pub fn finish(self, output: &mut Vec<u8>) {
        match self.0 {
            EncoderKind::Plain => {}
            EncoderKind::Gzip(encoder) => encoder.finish(output),
            EncoderKind::Snappy(encoder) => encoder.finish(output),
            EncoderKind::Lz4(encoder) => encoder.finish(output),
            EncoderKind::Zstd(encoder) => encoder.finish(output),
        }
    }
}

/// Input gathered into blocks of `N` bytes, for the codecs that compress block by block.
pub(super) struct Blocks<const N: usize>(Vec<u8>);

impl<const N: usize> Blocks<N> {
    pub(super) fn new() -> Self {
        let mut block = BUFFERS.with(Pool::take).unwrap_or_default();
        block.clear();
        Self(block)
    }

    /// Takes in `input` and hands each block that is full to `emit`.
    pub(super) fn write(&mut self, mut input: &[u8], mut emit: impl FnMut(&[u8])) {
        while !input.is_empty() {
            let (taken, rest) = input.split_at(input.len().min(N - self.0.len()));
            self.0.extend_from_slice(taken);
            input = rest;
            if self.0.len() == N {
                emit(&self.0);
                self.0.clear();
            }
        }
    }

    /// What has not filled a block.
    pub(super) fn rest(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> Drop for Blocks<N> {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.resize(WINDOW_LEN, 0);
        BUFFERS.with(|pool| pool.put(buffer));
    }
}
