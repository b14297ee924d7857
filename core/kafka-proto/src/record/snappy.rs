//! Snappy in the framing of snappy-java: a header of 16 bytes, then blocks with a length of 4 bytes in front; each
//! block is raw snappy of at most 32 KiB of input.
//!
//! Data without that header is one raw snappy block, as other clients once wrote it and snappy-java reads it.

use super::compression::{Blocks, Window};
use super::cursor::Cursor;
use super::{Codec, RecordError};

/// The stream's magic, its version 1, and the oldest version that can read it, 1.
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const MAGIC_LEN: usize = 8;
const BLOCK_LEN: usize = 32 * 1024;
/// The densest element: 64 bytes copied by 3. A block that claims to be larger lies, and is not given the memory.
const EXPANSION_MAX: usize = 22;

const fn failed(what: &'static str) -> RecordError {
    RecordError::Decompress { codec: Codec::Snappy, what }
}

pub(super) struct SnappyDecoder<'a> {
    rest: Cursor<'a>,
    framed: bool,
}

impl<'a> SnappyDecoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, RecordError> {
        let mut rest = Cursor(input);
        let framed = input.len() >= HEADER.len() && input.starts_with(magic());
        if framed {
            check_header(rest.array()?)?;
        } else if input.is_empty() {
            return Err(failed("Cannot decompress empty stream"));
        }
        Ok(Self { rest, framed })
    }

    /// Decodes one block into `window`; 0 at the end.
    pub(super) fn decode(&mut self, window: &mut Window) -> Result<usize, RecordError> {
        while self.rest.len() > 0 {
            let Some(block) = self.next_block()? else { continue };
            let decoded = decode_block(block, window)?;
            if decoded > 0 {
                return Ok(decoded);
            }
        }
        Ok(0)
    }

    /// The next block; `None` after the header of a stream appended to this one.
    fn next_block(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        if !self.framed {
            return self.rest.take(self.rest.len()).map(Some);
        }
        if self.rest.0.starts_with(magic()) {
            check_header(self.rest.array()?)?;
            return Ok(None);
        }
        let length = self.rest.array().map_err(|_| failed("failed to read chunk"))?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| failed("negative chunk size"))?;
        self.rest.take(length).map(Some).map_err(|_| failed("failed to read chunk"))
    }
}

fn magic() -> &'static [u8] {
    HEADER.get(..MAGIC_LEN).unwrap_or_default()
}

fn check_header(header: [u8; 16]) -> Result<(), RecordError> {
    let [.., a, b, c, d, _, _, _, _] = header;
    let version = i32::from_be_bytes([a, b, c, d]);
    if version < 1 {
        return Err(failed("Compressed with an incompatible codec version"));
    }
    Ok(())
}

fn decode_block(block: &[u8], window: &mut Window) -> Result<usize, RecordError> {
    let malformed = |_| failed("Malformed block");
    let claimed = snap::raw::decompress_len(block).map_err(malformed)?;
    if claimed > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(failed("Malformed block"));
    }
    let room = window.spare(claimed).get_mut(..claimed).expect("as much was asked for");
    snap::raw::Decoder::new().decompress(block, room).map_err(malformed)
}

pub(super) struct SnappyEncoder {
    blocks: Blocks<BLOCK_LEN>,
    encoder: snap::raw::Encoder,
    started: bool,
}

impl SnappyEncoder {
    pub(super) fn new() -> Self {
        Self { blocks: Blocks::new(), encoder: snap::raw::Encoder::new(), started: false }
    }

    pub(super) fn write(&mut self, input: &[u8], output: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            output.extend_from_slice(&HEADER);
        }
        let Self { blocks, encoder, .. } = self;
        blocks.write(input, |block| encode_block(encoder, block, output));
    }

    pub(super) fn finish(mut self, output: &mut Vec<u8>) {
        self.write(&[], output);
        if !self.blocks.rest().is_empty() {
            encode_block(&mut self.encoder, self.blocks.rest(), output);
        }
    }
}

fn encode_block(encoder: &mut snap::raw::Encoder, block: &[u8], output: &mut Vec<u8>) {
    let at = output.len();
    let body_at = at + 4;
    output.resize(body_at + snap::raw::max_compress_len(block.len()), 0);
    let room = output.get_mut(body_at..).unwrap_or_default();
    let compressed = encoder.compress(block, room).expect("there is room for the worst case");
    output.truncate(body_at + compressed);
    if let Some(field) = output.get_mut(at..body_at) {
        field.copy_from_slice(&(compressed as u32).to_be_bytes());
    }
}
