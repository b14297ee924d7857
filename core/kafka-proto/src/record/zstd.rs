//! Zstandard at level 3, as zstd-jni writes it by default: one frame without checksum.

use zstd::zstd_safe::{CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective};

use super::compression::Pool;
use super::{Codec, RecordError};

/// Level of the original's producer and broker.
const LEVEL: i32 = 3;
/// A decoder that has taken more memory than this for a frame with a large window is not kept.
const DECODER_LEN_KEPT: usize = 4 * 1024 * 1024;

thread_local! {
    static DECODERS: Pool<DCtx<'static>> = const { Pool::new() };
    static ENCODERS: Pool<CCtx<'static>> = const { Pool::new() };
}

pub(super) struct ZstdDecoder<'a> {
    context: Option<DCtx<'static>>,
    input: InBuffer<'a>,
    /// Whether the last frame has ended, so that the input may end too.
    between_frames: bool,
}

impl<'a> ZstdDecoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        let context = DECODERS.with(Pool::take).unwrap_or_default();
        Self { context: Some(context), input: InBuffer::around(input), between_frames: true }
    }

    /// Decodes into `room`; 0 at the end of the last frame.
    pub(super) fn decode(&mut self, room: &mut [u8]) -> Result<usize, RecordError> {
        let failed = |what| RecordError::Decompress { codec: Codec::Zstd, what };
        let context = self.context.as_mut().ok_or_else(|| failed("decoder is gone"))?;
        let mut output = OutBuffer::around(room);
        loop {
            let all_in = self.input.pos() == self.input.src.len();
            if all_in && self.between_frames {
                return Ok(output.pos());
            }
            let hint = context
                .decompress_stream(&mut output, &mut self.input)
                .map_err(|code| failed(zstd::zstd_safe::get_error_name(code)))?;
            self.between_frames = hint == 0;
            if output.pos() > 0 {
                return Ok(output.pos());
            }
            if all_in && hint > 0 {
                return Err(failed("Read error or truncated source"));
            }
        }
    }
}

impl Drop for ZstdDecoder<'_> {
    fn drop(&mut self) {
        if let Some(mut context) = self.context.take()
            && context.sizeof() <= DECODER_LEN_KEPT
            && context.reset(ResetDirective::SessionOnly).is_ok()
        {
            DECODERS.with(|pool| pool.put(context));
        }
    }
}

pub(super) struct ZstdEncoder(Option<CCtx<'static>>);

impl ZstdEncoder {
    pub(super) fn new() -> Self {
        let mut context = ENCODERS.with(Pool::take).unwrap_or_default();
        context.set_parameter(CParameter::CompressionLevel(LEVEL)).expect("the level exists");
        Self(Some(context))
    }

    fn context(&mut self) -> &mut CCtx<'static> {
        self.0.as_mut().expect("taken in drop alone")
    }

    pub(super) fn write(&mut self, input: &[u8], output: &mut Vec<u8>) {
        let mut input = InBuffer::around(input);
        while input.pos() < input.src.len() {
            output.reserve(CCtx::out_size().min(4096 + input.src.len()));
            let filled = output.len();
            let mut room = OutBuffer::around_pos(output, filled);
            self.context().compress_stream(&mut room, &mut input).expect("compression into memory");
        }
    }

    pub(super) fn finish(mut self, output: &mut Vec<u8>) {
        loop {
            output.reserve(4096);
            let filled = output.len();
            let mut room = OutBuffer::around_pos(output, filled);
            if self.context().end_stream(&mut room).expect("compression into memory") == 0 {
                return;
            }
        }
    }
}

impl Drop for ZstdEncoder {
    fn drop(&mut self) {
        if let Some(mut context) = self.0.take()
            && context.reset(ResetDirective::SessionOnly).is_ok()
        {
            ENCODERS.with(|pool| pool.put(context));
        }
    }
}
