//! LZ4 frames as the original writes them: version 1, independent blocks of 64 KiB, no checksums but the header's
//! (upstream: `KafkaLZ4BlockOutputStream`, `KafkaLZ4BlockInputStream`).
//!
//! The header's checksum byte is, with magic 0, made over the frame's magic too: a mistake of the first clients that
//! became the format.

use twox_hash::XxHash32;

use super::compression::{Blocks, Window};
use super::cursor::Cursor;
use super::{Codec, RecordError};

const FRAME_MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Set in a block's length when the block is stored as it is.
const STORED_BIT: u32 = 1 << 31;
const BLOCK_LEN: usize = 64 * 1024;
/// Version 1, independent blocks.
const FLAGS: u8 = 0x60;
/// Blocks of 64 KiB.
const BLOCK_SIZE_64_KIB: u8 = 4 << 4;

const fn failed(what: &'static str) -> RecordError {
    RecordError::Decompress { codec: Codec::Lz4, what }
}

fn header_checksum(bytes: &[u8]) -> u8 {
    (XxHash32::oneshot(0, bytes) >> 8) as u8
}

pub(super) struct Lz4Decoder<'a> {
    rest: Cursor<'a>,
    block_len_max: usize,
    block_checksums: bool,
    finished: bool,
}

impl<'a> Lz4Decoder<'a> {
    pub(super) fn new(input: &'a [u8], ignore_header_checksum: bool) -> Result<Self, RecordError> {
        let mut rest = Cursor(input);
        let ended = |_| failed("Stream ended prematurely");
        if rest.array().map_err(ended)? != FRAME_MAGIC {
            return Err(failed("Stream unsupported (invalid magic bytes)"));
        }
        let descriptor = rest.0;
        let [flags, block_size] = rest.array().map_err(ended)?;
        if flags & 3 != 0 {
            return Err(failed("Reserved bits must be 0"));
        }
        if flags & 0x20 == 0 {
            return Err(failed("Dependent block stream is unsupported"));
        }
        if flags >> 6 != 1 {
            return Err(failed("Frame version is unsupported"));
        }
        if block_size & 0x8f != 0 || block_size >> 4 < 4 {
            return Err(failed("Block size value must be between 4 and 7"));
        }
        if flags & 8 != 0 {
            // The content size, which is not believed.
            rest.take(8).map_err(ended)?;
        }
        let descriptor = descriptor.get(..descriptor.len() - rest.len()).unwrap_or_default();
        let [checksum] = rest.array().map_err(ended)?;
        if !ignore_header_checksum && checksum != header_checksum(descriptor) {
            return Err(failed("Stream frame descriptor corrupted"));
        }
        // 4 to 7 stand for 64 KiB, 256 KiB, 1 MiB, 4 MiB.
        let block_len_max = 1 << (8 + 2 * (block_size >> 4));
        Ok(Self { rest, block_len_max, block_checksums: flags & 16 != 0, finished: false })
    }

    /// Decodes one block into `window`; 0 at the end mark. What follows the mark is not looked at, as in the original.
    pub(super) fn decode(&mut self, window: &mut Window) -> Result<usize, RecordError> {
        let ended = |_| failed("Stream ended prematurely");
        while !self.finished {
            let length = u32::from_le_bytes(self.rest.array().map_err(ended)?);
            let stored = length & STORED_BIT != 0;
            let length = (length & !STORED_BIT) as usize;
            if length == 0 {
                self.finished = true;
                break;
            }
            if length > self.block_len_max {
                return Err(failed("Block size exceeded max"));
            }
            let block = self.rest.take(length).map_err(ended)?;
            if self.block_checksums {
                let checksum = u32::from_le_bytes(self.rest.array().map_err(ended)?);
                if checksum != XxHash32::oneshot(0, block) {
                    return Err(failed("Block checksum mismatch"));
                }
            }
            let decoded = self.decode_block(block, stored, window)?;
            if decoded > 0 {
                return Ok(decoded);
            }
        }
        Ok(0)
    }

    fn decode_block(&self, block: &[u8], stored: bool, window: &mut Window) -> Result<usize, RecordError> {
        if stored {
            let room = window.spare(block.len()).get_mut(..block.len());
            room.expect("as much was asked for").copy_from_slice(block);
            return Ok(block.len());
        }
        let room = window.spare(self.block_len_max).get_mut(..self.block_len_max);
        lz4_flex::block::decompress_into(block, room.expect("as much was asked for"))
            .map_err(|_| failed("Malformed block"))
    }
}

pub(super) struct Lz4Encoder {
    blocks: Blocks<BLOCK_LEN>,
    header: Option<[u8; 7]>,
}

impl Lz4Encoder {
    pub(super) fn new(broken_header_checksum: bool) -> Self {
        let [a, b, c, d] = FRAME_MAGIC;
        let checksum = if broken_header_checksum {
            header_checksum(&[a, b, c, d, FLAGS, BLOCK_SIZE_64_KIB])
        } else {
            header_checksum(&[FLAGS, BLOCK_SIZE_64_KIB])
        };
        Self { blocks: Blocks::new(), header: Some([a, b, c, d, FLAGS, BLOCK_SIZE_64_KIB, checksum]) }
    }

    pub(super) fn write(&mut self, input: &[u8], output: &mut Vec<u8>) {
        output.extend_from_slice(self.header.take().as_ref().map_or(&[], |header| &header[..]));
        self.blocks.write(input, |block| encode_block(block, output));
    }

    pub(super) fn finish(mut self, output: &mut Vec<u8>) {
        self.write(&[], output);
        encode_block(self.blocks.rest(), output);
        output.extend_from_slice(&[0; 4]);
    }
}

fn encode_block(block: &[u8], output: &mut Vec<u8>) {
    if block.is_empty() {
        return;
    }
    let at = output.len();
    let body_at = at + 4;
    output.resize(body_at + lz4_flex::block::get_maximum_output_size(block.len()), 0);
    let room = output.get_mut(body_at..).unwrap_or_default();
    let compressed = lz4_flex::block::compress_into(block, room).expect("there is room for the worst case");
    output.truncate(body_at + compressed.min(block.len()));
    let length = if compressed < block.len() {
        compressed as u32
    } else {
        output.truncate(body_at);
        output.extend_from_slice(block);
        block.len() as u32 | STORED_BIT
    };
    if let Some(field) = output.get_mut(at..body_at) {
        field.copy_from_slice(&length.to_le_bytes());
    }
}
