//! Gzip (RFC 1952) at level 6, as `java.util.zip` writes and reads it.
//!
//! The members are framed here, not by flate2, so that the state of inflate and deflate is kept from batch to batch.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::compression::Pool;
use super::cursor::Cursor;
use super::{Codec, RecordError};

/// Magic, deflate, no flags, no time, no hints, unknown system: what the original writes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0];

const FLAG_HEADER_CHECKSUM: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;

thread_local! {
    static INFLATERS: Pool<Decompress> = const { Pool::new() };
    static DEFLATERS: Pool<Compress> = const { Pool::new() };
}

const fn failed(what: &'static str) -> RecordError {
    RecordError::Decompress { codec: Codec::Gzip, what }
}

/// Moves `rest` behind the header of a member.
fn read_header(rest: &mut Cursor<'_>) -> Result<(), RecordError> {
    let [magic_low, magic_high, method, flags, ..] = rest.array::<10>().map_err(|_| failed("Not in GZIP format"))?;
    if [magic_low, magic_high] != [0x1f, 0x8b] {
        return Err(failed("Not in GZIP format"));
    }
    if method != 8 {
        return Err(failed("Unsupported compression method"));
    }
    let ended = |_| failed("GZIP header ends too early");
    if flags & FLAG_EXTRA != 0 {
        let length = u16::from_le_bytes(rest.array().map_err(ended)?);
        rest.take(usize::from(length)).map_err(ended)?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        while flags & flag != 0 && rest.u8().map_err(ended)? != 0 {}
    }
    if flags & FLAG_HEADER_CHECKSUM != 0 {
        rest.take(2).map_err(ended)?;
    }
    Ok(())
}

pub(super) struct GzipDecoder<'a> {
    rest: Cursor<'a>,
    inflater: Option<Decompress>,
    checksum: crc32fast::Hasher,
    /// The member's data has ended; its trailer is next.
    member_ended: bool,
    finished: bool,
}

impl<'a> GzipDecoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, RecordError> {
        let mut rest = Cursor(input);
        read_header(&mut rest)?;
        let inflater = INFLATERS.with(Pool::take).unwrap_or_else(|| Decompress::new(false));
        Ok(Self {
            rest,
            inflater: Some(inflater),
            checksum: crc32fast::Hasher::new(),
            member_ended: false,
            finished: false,
        })
    }

    /// Decodes into `room`; 0 at the end of the last member.
    pub(super) fn decode(&mut self, room: &mut [u8]) -> Result<usize, RecordError> {
        while !self.finished {
            if self.member_ended {
                self.end_member()?;
                continue;
            }
            let inflater = self.inflater.as_mut().expect("taken in drop alone");
            let (read, written) = (inflater.total_in(), inflater.total_out());
            let status = inflater
                .decompress(self.rest.0, room, FlushDecompress::None)
                .map_err(|_| failed("Malformed deflate data"))?;
            let read = (inflater.total_in() - read) as usize;
            let written = (inflater.total_out() - written) as usize;
            self.rest.take(read)?;
            self.checksum.update(room.get(..written).unwrap_or_default());
            self.member_ended = status == Status::StreamEnd;
            if !self.member_ended && written == 0 && read == 0 {
                return Err(RecordError::Count("premature EOF reached"));
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }

    /// Checks the trailer and opens the next member; bytes that are none are ignored, as in the original.
    fn end_member(&mut self) -> Result<(), RecordError> {
        let ended = |_| failed("Corrupt GZIP trailer");
        let checksum = u32::from_le_bytes(self.rest.array().map_err(ended)?);
        let length = u32::from_le_bytes(self.rest.array().map_err(ended)?);
        let inflater = self.inflater.as_mut().expect("taken in drop alone");
        let computed = std::mem::take(&mut self.checksum).finalize();
        if checksum != computed || length != inflater.total_out() as u32 {
            return Err(failed("Corrupt GZIP trailer"));
        }
        inflater.reset(false);
        self.member_ended = false;
        self.finished = read_header(&mut self.rest).is_err();
        Ok(())
    }
}

impl Drop for GzipDecoder<'_> {
    fn drop(&mut self) {
        if let Some(mut inflater) = self.inflater.take() {
            inflater.reset(false);
            INFLATERS.with(|pool| pool.put(inflater));
        }
    }
}

pub(super) struct GzipEncoder {
    deflater: Option<Compress>,
    checksum: crc32fast::Hasher,
    started: bool,
}

impl GzipEncoder {
    pub(super) fn new() -> Self {
        let deflater = DEFLATERS.with(Pool::take).unwrap_or_else(|| Compress::new(Compression::new(6), false));
        Self { deflater: Some(deflater), checksum: crc32fast::Hasher::new(), started: false }
    }

    pub(super) fn write(&mut self, input: &[u8], output: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            output.extend_from_slice(&HEADER);
        }
        self.checksum.update(input);
        self.deflate(input, FlushCompress::None, output);
    }

    /// Runs deflate until it has taken all of `input`, or, to finish, written all of its output.
    fn deflate(&mut self, mut input: &[u8], flush: FlushCompress, output: &mut Vec<u8>) -> u32 {
        let deflater = self.deflater.as_mut().expect("taken in drop alone");
        loop {
            output.reserve(input.len() / 2 + 1024);
            let before = deflater.total_in();
            let status = deflater.compress_vec(input, output, flush).expect("the state is sound");
            input = input.get((deflater.total_in() - before) as usize..).unwrap_or_default();
            let done = match flush {
                FlushCompress::Finish => status == Status::StreamEnd,
                _ => input.is_empty(),
            };
            if done {
                return deflater.total_in() as u32;
            }
        }
    }

    pub(super) fn finish(mut self, output: &mut Vec<u8>) {
        self.write(&[], output);
        let length = self.deflate(&[], FlushCompress::Finish, output);
        let checksum = std::mem::take(&mut self.checksum).finalize();
        output.extend_from_slice(&checksum.to_le_bytes());
        output.extend_from_slice(&length.to_le_bytes());
    }
}

impl Drop for GzipEncoder {
    fn drop(&mut self) {
        if let Some(mut deflater) = self.deflater.take() {
            deflater.reset();
            DEFLATERS.with(|pool| pool.put(deflater));
        }
    }
}
