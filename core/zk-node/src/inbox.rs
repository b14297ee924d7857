//! Frames out of a stream that is cut anywhere: four bytes of length, then that many bytes.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// What a connection has received and the server has not taken yet.
///
/// A frame that lies whole in one chunk is a view of it. One that spans chunks is gathered in a buffer that grows with
/// what has arrived, never with what the peer claims.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// The start of a frame whose end has not come yet, its length included.
    partial: BytesMut,
    chunks: VecDeque<Bytes>,
}

const PREFIX: usize = 4;

impl Inbox {
    /// Adds what was read from the socket.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.chunks.is_empty()
    }

    /// The first four bytes, left in place: the next frame's length, or a four-letter word.
    pub(crate) fn prefix(&mut self) -> Option<[u8; PREFIX]> {
        if self.partial.is_empty()
            && let Some(prefix) = self.chunks.front()?.first_chunk::<PREFIX>()
        {
            return Some(*prefix);
        }
        self.gather(PREFIX);
        self.partial.first_chunk::<PREFIX>().copied()
    }

    /// Takes the prefix and the `length` bytes behind it, if all of them have arrived; gives back those behind it.
    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        let whole = PREFIX + length;
        if self.partial.is_empty() {
            let front = self.chunks.front_mut()?;
            if front.len() >= whole {
                let mut frame = front.split_to(whole);
                frame.advance(PREFIX);
                if front.is_empty() {
                    self.chunks.pop_front();
                }
                return Some(frame);
            }
        }
        self.gather(whole);
        if self.partial.len() < whole {
            return None;
        }
        let mut frame = std::mem::take(&mut self.partial).freeze();
        frame.advance(PREFIX);
        Some(frame)
    }

    /// Moves bytes from the chunks until `partial` holds `wanted`, or all there are.
    fn gather(&mut self, wanted: usize) {
        while self.partial.len() < wanted
            && let Some(front) = self.chunks.front_mut()
        {
            let count = front.len().min(wanted - self.partial.len());
            self.partial.extend_from_slice(&front.split_to(count));
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(inbox: &mut Inbox) -> Vec<Bytes> {
        let mut taken = Vec::new();
        while let Some(prefix) = inbox.prefix() {
            let Some(frame) = inbox.take(u32::from_be_bytes(prefix) as usize) else { break };
            taken.push(frame);
        }
        taken
    }

    #[test]
    fn the_same_frames_however_the_stream_is_cut() {
        let stream: &[u8] = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x05hello\0\0\0\x02x";
        for cut in 1..stream.len() {
            let mut inbox = Inbox::default();
            let mut taken = Vec::new();
            for chunk in stream.chunks(cut) {
                inbox.push(Bytes::copy_from_slice(chunk));
                taken.extend(frames(&mut inbox));
            }
            assert_eq!(taken, [&b"abc"[..], b"", b"hello"], "cut every {cut} bytes");
            assert!(!inbox.is_empty(), "the last frame is incomplete");
            inbox.push(Bytes::from_static(b"y"));
            assert_eq!(frames(&mut inbox), [&b"xy"[..]]);
            assert!(inbox.is_empty());
        }
    }

    #[test]
    fn a_frame_in_one_chunk_is_a_view_of_it() {
        let chunk = Bytes::from(b"\0\0\0\x03abc".to_vec());
        let mut inbox = Inbox::default();
        inbox.push(chunk.clone());
        assert_eq!(inbox.take(3).map(|frame| frame.as_ptr()), Some(chunk.slice(4..).as_ptr()));
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut inbox = Inbox::default();
        inbox.push(Bytes::from_static(b"\x7f\xff\xff\xff"));
        assert_eq!(inbox.take(0x7fff_ffff), None);
        assert!(inbox.partial.capacity() < 1024);
    }
}
