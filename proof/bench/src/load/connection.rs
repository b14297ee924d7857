//! One connection of the generator: a window of requests, sent from a ring of ready copies.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Result, bail};

use super::frames::{ErrorCodeAt, Frames};
use crate::histogram::Histogram;

/// Requests as they go out, lengths included.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// All of the same length.
    bytes: Vec<u8>,
    request_bytes: usize,
    number: Option<Number>,
}

/// Ten decimal digits in the request that count up.
#[derive(Clone, Debug)]
struct Number {
    at: usize,
    next: u64,
}

const DIGITS: usize = 10;

impl Template {
    /// The same request over and over.
    pub(crate) const fn fixed(bytes: Vec<u8>) -> Self {
        Self { request_bytes: bytes.len(), bytes, number: None }
    }

    /// These requests in turn, over and over: all of the same length.
    pub(crate) fn in_turn(requests: &[Vec<u8>]) -> Self {
        let request_bytes = requests.first().map_or(0, Vec::len);
        assert!(requests.iter().all(|request| request.len() == request_bytes), "requests of one length");
        Self { bytes: requests.concat(), request_bytes, number: None }
    }

    /// A request whose last run of ten zeros counts up from 0: a name of its own for each.
    pub(crate) fn numbered(bytes: Vec<u8>) -> Self {
        let at = bytes.windows(DIGITS).rposition(|window| window == [b'0'; DIGITS]);
        let number = Some(Number { at: at.expect("a numbered request has ten zeros"), next: 0 });
        Self { request_bytes: bytes.len(), bytes, number }
    }
}

/// A connection and what is under way on it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// Copies of the requests, one for each place in the window at the least.
    ring: Vec<u8>,
    request_bytes: usize,
    number: Option<Number>,
    sent_at: Vec<Instant>,
    submitted: usize,
    answered: usize,
    bytes_sent: usize,
    frames: Frames,
    pub(super) waits_to_write: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, template: Template, window: usize) -> Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let copies = window.div_ceil(template.bytes.len() / template.request_bytes);
        Ok(Self {
            stream,
            ring: template.bytes.repeat(copies),
            request_bytes: template.request_bytes,
            number: template.number,
            sent_at: vec![Instant::now(); window],
            submitted: 0,
            answered: 0,
            bytes_sent: 0,
            frames: Frames::new(),
            waits_to_write: false,
        })
    }

    /// Requests without an answer yet.
    pub(super) const fn under_way(&self) -> usize {
        self.submitted - self.answered
    }

    /// Fills the window and sends; `waits_to_write` tells whether the socket is full.
    pub(super) fn fill_window(&mut self, now: Instant) -> Result<()> {
        let window = self.sent_at.len();
        while self.under_way() < window {
            self.write_number(self.submitted % (self.ring.len() / self.request_bytes));
            *self.sent_at.get_mut(self.submitted % window).expect("below the window") = now;
            self.submitted += 1;
        }
        self.send()
    }

    fn write_number(&mut self, slot: usize) {
        let Some(number) = &mut self.number else { return };
        let at = slot * self.request_bytes + number.at;
        let mut rest = number.next;
        number.next += 1;
        for digit in self.ring.get_mut(at..at + DIGITS).expect("in the slot").iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    /// Sends what is submitted. A slot is free again once it is answered, thus sent: the ring needs no further care.
    pub(super) fn send(&mut self) -> Result<()> {
        self.waits_to_write = false;
        while self.bytes_sent < self.submitted * self.request_bytes {
            let start = self.bytes_sent % self.ring.len();
            let left = self.submitted * self.request_bytes - self.bytes_sent;
            let end = self.ring.len().min(start + left);
            match self.stream.write(self.ring.get(start..end).expect("in the ring")) {
                Ok(0) => bail!("the server takes no more"),
                Ok(sent) => self.bytes_sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.waits_to_write = true;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads once; how many answers came. Their latencies go to `latencies`.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        error_at: ErrorCodeAt,
        latencies: &mut Histogram,
    ) -> Result<usize> {
        let read = match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed a connection with {} requests under way", self.under_way()),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let ended = self.frames.take(buffer.get(..read).expect("read no more than asked"), error_at)?;
        let now = Instant::now();
        for _ in 0..ended {
            if self.under_way() == 0 {
                bail!("an answer that nobody asked for");
            }
            let slot = self.answered % self.sent_at.len();
            latencies.record(now - *self.sent_at.get(slot).expect("below the window"));
            self.answered += 1;
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn requests_take_turns_whatever_the_window() {
        for window in [1, 2, 5] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            let template = Template::in_turn(&[b"one".to_vec(), b"two".to_vec(), b"six".to_vec()]);
            let mut connection = Connection::new(stream, template, window).unwrap();
            let error_at = ErrorCodeAt { offset: 4, bytes: 2, frame_bytes_min: 6 };
            let mut sent = Vec::new();
            for _ in 0..7 {
                connection.fill_window(Instant::now()).unwrap();
                while connection.under_way() > 0 {
                    let mut request = [0; 3];
                    peer.read_exact(&mut request).unwrap();
                    sent.extend_from_slice(&request);
                    peer.write_all(&[0, 0, 0, 2, 0, 0]).unwrap();
                    while connection.receive(&mut [0; 100], error_at, &mut Histogram::new()).unwrap() == 0 {}
                }
            }
            assert!(sent.starts_with(b"onetwosixonetwosixone"), "{window}: {sent:?}");
        }
    }

    #[test]
    fn numbered_requests_differ_and_no_more_than_the_window_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut connection = Connection::new(stream, Template::numbered(b"<0000000000>".to_vec()), 3).unwrap();
        connection.fill_window(Instant::now()).unwrap();
        connection.fill_window(Instant::now()).unwrap();
        let mut sent = [0; 36];
        peer.read_exact(&mut sent).unwrap();
        assert_eq!(&sent, b"<0000000000><0000000001><0000000002>");
        assert_eq!(connection.under_way(), 3);

        peer.write_all(&[0, 0, 0, 2, 0, 0]).unwrap();
        let mut latencies = Histogram::new();
        let error_at = ErrorCodeAt { offset: 4, bytes: 2, frame_bytes_min: 6 };
        while connection.receive(&mut [0; 100], error_at, &mut latencies).unwrap() == 0 {}
        connection.fill_window(Instant::now()).unwrap();
        peer.read_exact(&mut sent[..12]).unwrap();
        assert_eq!(&sent[..12], b"<0000000003>");
        assert_eq!((latencies.count(), connection.under_way()), (1, 3));
    }
}
