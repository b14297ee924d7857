//! A connection whose requests are frames with a length of four bytes in front (Kafka's).
//!
//! Frames that arrive whole are handed on as views of the loop's read buffer. The beginning of one that does not gets a buffer of its
//! own, into which the rest is read: no byte of a long frame is copied but its first few, and no more room is made than what
//! has arrived promises.

use std::sync::Arc;

use base::Parts;
use bytes::BytesMut;

use super::connection::{Connection, Handler};

/// The least room for the rest of a frame.
const ROOM_MIN: usize = 64 * 1024;
/// Bytes of the length in front of a frame.
const PREFIX_LENGTH: usize = 4;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// More bytes.
    Input,
    /// To be woken; nothing is read meanwhile.
    Wake,
    /// To be closed, behind the answers given so far.
    Close,
}

/// What frames are for.
pub trait Service: Send + Unpin + 'static {
    /// Takes whole frames from the front of `input`, as many as can be taken now, and appends answers to `output`. Called when
    /// bytes came and when the connection's waker was used.
    fn turn(&mut self, input: &mut BytesMut, output: &mut Parts) -> Wants;

    /// The peer has closed its side, while [`Wants::Wake`] holds back what it sent: nobody takes the answers any more.
    fn left(&mut self) {}

    /// The connection ends.
    fn closed(&mut self) {}
}

/// Serves one connection with frames.
pub struct Framed<S> {
    connection: Arc<Connection>,
    service: S,
    input: BytesMut,
    /// `input` is a view of the loop's read buffer, not to be kept.
    shared: bool,
    paused: bool,
    output: Parts,
}

impl<S: Service> Framed<S> {
    /// The handler of a connection.
    pub fn new(connection: &Arc<Connection>, service: S) -> Self {
        Self {
            connection: Arc::clone(connection),
            service,
            input: BytesMut::new(),
            shared: false,
            paused: false,
            output: Parts::new(),
        }
    }

    fn run(&mut self) {
        let wants = self.service.turn(&mut self.input, &mut self.output);
        if !self.output.is_empty() {
            self.connection.send(self.output.drain(..));
        }
        match wants {
            Wants::Close => {
                self.input = BytesMut::new();
                self.connection.close();
                return;
            }
            Wants::Wake if !self.paused => {
                self.paused = true;
                self.connection.pause();
            }
            Wants::Input if self.paused => {
                self.paused = false;
                self.connection.resume();
            }
            Wants::Wake | Wants::Input => {}
        }
        self.keep_rest();
    }

    /// Moves what is left into a buffer with room for more of its frame, or lets go of the buffer.
    fn keep_rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        } else if self.shared {
            let mut own = BytesMut::with_capacity(self.input.len() + self.room());
            own.extend_from_slice(&self.input);
            self.input = own;
        } else if self.input.capacity() == self.input.len() {
            self.input.reserve(self.room());
        }
        self.shared = false;
    }

    /// How many bytes to make room for: those that the frame at the front lacks, but not far more than have come.
    fn room(&self) -> usize {
        let have = self.input.len();
        have.max(ROOM_MIN).min(self.missing().unwrap_or(ROOM_MIN))
    }

    /// Bytes that the frame at the front lacks; `None` without a length.
    fn missing(&self) -> Option<usize> {
        let length = self.input.first_chunk::<PREFIX_LENGTH>().map(|prefix| u32::from_be_bytes(*prefix))?;
        Some((PREFIX_LENGTH + length as usize).saturating_sub(self.input.len()))
    }
}

impl<S: Service> Handler for Framed<S> {
    fn received(&mut self, chunk: BytesMut) {
        if self.input.is_empty() {
            self.input = chunk;
            self.shared = true;
        } else {
            self.input.extend_from_slice(&chunk);
        }
        self.run();
    }

    fn incomplete(&mut self) -> Option<&mut BytesMut> {
        (!self.input.is_empty()).then_some(&mut self.input)
    }

    fn extended(&mut self) {
        if self.missing().is_some_and(|missing| missing > 0) {
            self.keep_rest();
        } else {
            self.run();
        }
    }

    fn woken(&mut self) {
        self.run();
    }

    fn left(&mut self) {
        self.service.left();
        self.run();
    }

    fn closed(&mut self) {
        self.service.closed();
        self.connection.close();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream as Client;
    use std::sync::mpsc;

    use base::Part;
    use bytes::{Buf, Bytes};

    use super::*;
    use crate::{EventLoops, Limits, Listener};

    /// Answers each frame with the frame; `wait` is answered when its turn comes a second time, and `park` to nobody but who left.
    struct Echo {
        connection: Arc<Connection>,
        waited: bool,
        left: bool,
        taken: mpsc::Sender<Bytes>,
    }

    impl Service for Echo {
        fn turn(&mut self, input: &mut BytesMut, output: &mut Parts) -> Wants {
            while let Some(prefix) = input.first_chunk::<4>() {
                let length = u32::from_be_bytes(*prefix) as usize;
                if length > 50_000_000 {
                    return Wants::Close;
                }
                if input.len() < 4 + length {
                    break;
                }
                if &input[4..4 + length] == b"wait" && !std::mem::replace(&mut self.waited, true) {
                    let waker = self.connection.waker();
                    std::thread::spawn(move || waker.wake());
                    return Wants::Wake;
                }
                if &input[4..4 + length] == b"park" && !self.left {
                    return Wants::Wake;
                }
                let frame = input.split_to(4 + length).freeze();
                // Mostly nobody asks.
                let _ = self.taken.send(frame.slice(4..));
                output.push(Part::Bytes(frame));
            }
            Wants::Input
        }

        fn left(&mut self) {
            self.left = true;
        }

        fn closed(&mut self) {
            let _ = self.taken.send(Bytes::from_static(b"closed"));
        }
    }

    fn with_client(test: impl FnOnce(Client)) {
        with_witness(|client, _| test(client));
    }

    /// What the service has taken is told too.
    fn with_witness(test: impl FnOnce(Client, mpsc::Receiver<Bytes>)) {
        let (taken, told) = mpsc::channel();
        let loops = EventLoops::start(1).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
        let address = listener.address();
        let serve = move |stream, peer, _| {
            let taken = taken.clone();
            Connection::serve(stream, peer, Limits::default(), |connection| {
                let connection_of_echo = Arc::clone(connection);
                Framed::new(connection, Echo { connection: connection_of_echo, waited: false, left: false, taken })
            })
        };
        listener.serve(&loops, serve, |error| panic!("{error}"));
        test(Client::connect(address).unwrap(), told);
        loops.stop();
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_be_bytes(), body].concat()
    }

    #[test]
    fn frames_of_all_lengths_cut_anywhere() {
        with_client(|mut client| {
            client.set_nodelay(true).unwrap();
            let lengths = [0, 1, 70_000, 3, 5_000_000, 65_532, 10];
            let frames: Vec<_> = lengths.iter().map(|length| frame(&vec![*length as u8; *length])).collect();
            let all = frames.concat();
            let mut writer = client.try_clone().unwrap();
            let sent = all.clone();
            let writing = std::thread::spawn(move || {
                let mut rest = sent.as_slice();
                for length in [1, 2, 3, 100, 65_000, 1_000_000].into_iter().cycle() {
                    if rest.is_empty() {
                        return;
                    }
                    let length = rest.len().min(length);
                    let taken = rest.split_at(length);
                    writer.write_all(taken.0).unwrap();
                    rest.advance(length);
                }
            });
            let mut answers = vec![0; all.len()];
            client.read_exact(&mut answers).unwrap();
            writing.join().unwrap();
            assert!(answers == all);
        });
    }

    #[test]
    fn what_comes_behind_a_parked_request_waits_for_it() {
        with_client(|mut client| {
            let all = [frame(b"one"), frame(b"wait"), frame(b"three")].concat();
            client.write_all(&all).unwrap();
            let mut answers = vec![0; all.len()];
            client.read_exact(&mut answers).unwrap();
            assert_eq!(answers, all);
        });
    }

    #[test]
    fn who_left_behind_a_parked_request_holds_nothing_up() {
        with_witness(|mut client, told| {
            client.write_all(&[frame(b"park"), frame(b"behind")].concat()).unwrap();
            // It fits into the socket: what does not holds back the end behind it, until it is read.
            client.write_all(&frame(&vec![1; 30_000])).unwrap();
            drop(client);
            let taken: Vec<Bytes> = (0..4).map(|_| told.recv().unwrap()).collect();
            assert_eq!((&taken[0][..], &taken[1][..], taken[2].len()), (&b"park"[..], &b"behind"[..], 30_000));
            assert_eq!(&taken[3][..], b"closed");
        });
    }

    #[test]
    fn a_refused_length_ends_the_connection_behind_its_answers() {
        with_client(|mut client| {
            client.write_all(&frame(b"first")).unwrap();
            client.write_all(&u32::MAX.to_be_bytes()).unwrap();
            let mut answers = Vec::new();
            client.read_to_end(&mut answers).unwrap();
            assert_eq!(answers, frame(b"first"));
        });
    }
}
