//! Cuts a stream of answers into frames and looks at nothing but their error code.

use anyhow::{Result, bail, ensure};

/// So much of a frame is kept; the rest is counted and passed over.
const HEAD_BYTES: usize = 256;
const LENGTH_BYTES: usize = 4;
/// No answer of the benchmark is longer.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Where the error code of an answer lies, counted from the frame's length on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorCodeAt {
    pub(crate) offset: usize,
    /// 2 bytes in Kafka, 4 in ZooKeeper.
    pub(crate) bytes: usize,
    /// A shorter answer (length included) is wrong, whatever its code.
    pub(crate) frame_bytes_min: usize,
}

impl ErrorCodeAt {
    fn check(self, head: &[u8], frame_bytes: usize) -> Result<()> {
        ensure!(frame_bytes >= self.frame_bytes_min, "an answer of {frame_bytes} bytes: {head:?}");
        match head.get(self.offset..self.offset + self.bytes) {
            Some(code) if code.iter().all(|byte| *byte == 0) => Ok(()),
            code => bail!("an answer with error code {code:?}: {head:?}"),
        }
    }
}

/// The state between two reads.
#[derive(Debug)]
pub(crate) struct Frames {
    head: Vec<u8>,
    passed_over: usize,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { head: Vec::with_capacity(HEAD_BYTES), passed_over: 0 }
    }

    /// Takes in what was read; how many answers it ends. Any answer with an error is an error.
    pub(crate) fn take(&mut self, mut read: &[u8], error_at: ErrorCodeAt) -> Result<usize> {
        let mut ended = 0;
        loop {
            read = self.fill_head(LENGTH_BYTES, read);
            let Some(length) = self.head.first_chunk() else { return Ok(ended) };
            let frame_bytes = LENGTH_BYTES + u32::from_be_bytes(*length) as usize;
            ensure!(frame_bytes <= FRAME_BYTES_MAX, "an answer claims {frame_bytes} bytes");
            let head_bytes = frame_bytes.min(HEAD_BYTES);
            read = self.fill_head(head_bytes, read);
            let rest = (frame_bytes - head_bytes - self.passed_over).min(read.len());
            self.passed_over += rest;
            read = read.split_at(rest).1;
            if self.head.len() + self.passed_over < frame_bytes {
                return Ok(ended);
            }
            error_at.check(&self.head, frame_bytes)?;
            self.head.clear();
            self.passed_over = 0;
            ended += 1;
        }
    }

    fn fill_head<'a>(&mut self, wanted: usize, read: &'a [u8]) -> &'a [u8] {
        let missing = wanted.saturating_sub(self.head.len()).min(read.len());
        let (taken, rest) = read.split_at(missing);
        self.head.extend_from_slice(taken);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: ErrorCodeAt = ErrorCodeAt { offset: 8, bytes: 2, frame_bytes_min: 10 };

    fn frame(body_bytes: usize, error: u8) -> Vec<u8> {
        let mut frame = (body_bytes as u32).to_be_bytes().to_vec();
        frame.resize(4 + body_bytes, 7);
        frame[8..10].copy_from_slice(&[0, error]);
        frame
    }

    #[test]
    fn frames_are_found_wherever_the_reads_cut_them() {
        let stream = [frame(6, 0), frame(252, 0), frame(253, 0), frame(5000, 0)].concat();
        for size in [1, 2, 3, 7, 100, 257, 6000] {
            let mut frames = Frames::new();
            let ended: usize = stream.chunks(size).map(|chunk| frames.take(chunk, AT).unwrap()).sum();
            assert_eq!(ended, 4, "in pieces of {size}");
        }
    }

    #[test]
    fn an_error_code_or_a_short_or_absurd_frame_is_an_error() {
        assert!(Frames::new().take(&frame(6, 3), AT).is_err());
        assert!(Frames::new().take(&[0, 0, 0, 1, 0], AT).is_err());
        assert!(Frames::new().take(&[0xff; 4], AT).is_err());
    }
}
