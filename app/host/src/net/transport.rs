//! What carries a connection's bytes: a socket, or TLS on one.

use std::io::{self, Read, Write};

use base::Part;
use bytes::BytesMut;
use rustls::Connection as Session;
use tokio::net::TcpStream;

use super::output::Output;

/// Encrypted bytes that wait for the socket, at most; what is longer waits in plain.
const ENCRYPTED_MAX: usize = 64 * 1024;

/// How much a [`Pipe`] reads at once, unless it knows what comes.
const PIPE_LENGTH: usize = 64 * 1024;
/// The most that it makes room for because more is known to come.
const ROOM_MAX: usize = 4 << 20;

/// A connected socket and, with TLS, its session, whose handshake is done.
pub struct Transport {
    pub(super) stream: TcpStream,
    pub(super) session: Option<Box<Session>>,
    /// What the peer has shown, its own first, DER.
    certificates: Vec<Vec<u8>>,
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self { stream, session: None, certificates: Vec::new() }
    }
}

impl Transport {
    /// TLS on a socket.
    pub(crate) fn secure(stream: TcpStream, mut session: Box<Session>) -> Self {
        session.set_buffer_limit(Some(ENCRYPTED_MAX));
        let certificates = session.peer_certificates().unwrap_or_default();
        let certificates = certificates.iter().map(|certificate| certificate.to_vec()).collect();
        Self { stream, session: Some(session), certificates }
    }

    /// Whether it is TLS.
    pub fn is_secure(&self) -> bool {
        self.session.is_some()
    }

    /// The certificates that the peer has shown and that were found to be trusted, its own first, DER.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

/// A connection in the hands of one task that reads and writes.
pub(crate) struct Pipe {
    stream: TcpStream,
    tls: Option<Tls>,
    output: Output,
    encrypted: BytesMut,
    /// What came with the end of the handshake is still to be taken.
    fresh: bool,
}

impl Pipe {
    pub(crate) fn new(transport: Transport) -> Self {
        let Transport { stream, session, .. } = transport;
        let fresh = session.is_some();
        Self { stream, tls: session.map(Tls::new), output: Output::default(), encrypted: BytesMut::new(), fresh }
    }

    /// Puts a part behind what waits to be written by [`Pipe::next`].
    pub(crate) fn push(&mut self, part: Part) {
        self.output.push(part);
    }

    /// Writes what the socket takes at once, and says that nothing follows.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.write()?;
        if let Some(tls) = &mut self.tls {
            tls.say_end();
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<bool> {
        match &mut self.tls {
            None => self.output.write_to(&self.stream),
            Some(tls) => tls.write(&mut self.output, &self.stream),
        }
    }

    /// Writes what waits, and waits for what comes, which is put behind `input`; `false` at the end. With `missing`, so many bytes are
    /// known to come, and room is made for them at once. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self, input: &mut BytesMut, missing: usize) -> io::Result<bool> {
        let room = if missing > 0 { missing.min(ROOM_MAX) } else { PIPE_LENGTH };
        loop {
            // Written first: a request that was just given leaves without waiting for readiness.
            let written = self.write()?;
            // Nothing moves where the room is there already.
            input.reserve(room);
            let buffer = match self.tls {
                Some(_) => {
                    self.encrypted.reserve(PIPE_LENGTH);
                    &mut self.encrypted
                }
                None => &mut *input,
            };
            let read = if std::mem::take(&mut self.fresh) { Ok(1) } else { self.stream.try_read_buf(buffer) };
            match read {
                Ok(0) => return Ok(false),
                Ok(_) => {
                    let Some(tls) = &mut self.tls else { return Ok(true) };
                    let before = input.len();
                    let encrypted = self.encrypted.split();
                    let more = tls.read(&encrypted, input)?;
                    if input.len() > before || !more {
                        return Ok(input.len() > before);
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if written {
                self.stream.readable().await?;
            } else {
                tokio::select! { ready = self.stream.readable() => ready?, ready = self.stream.writable() => ready? }
            }
        }
    }
}

/// The TLS of an open connection.
pub(super) struct Tls {
    session: Box<Session>,
    /// Our side has said that it ends.
    said_end: bool,
}

impl Tls {
    pub(super) fn new(session: Box<Session>) -> Self {
        Self { session, said_end: false }
    }

    /// Encrypts and writes until nothing is left (`true`) or the socket takes no more (`false`).
    pub(super) fn write(&mut self, output: &mut Output, stream: &TcpStream) -> io::Result<bool> {
        loop {
            while self.session.wants_write() {
                match self.session.write_tls(&mut Socket(stream)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(front) = output.front()? else { return Ok(true) };
            let taken = self.session.writer().write(front)?;
            output.advance(taken);
        }
    }

    /// Says, once, that nothing follows.
    pub(super) fn say_end(&mut self) {
        if !std::mem::replace(&mut self.said_end, true) {
            self.session.send_close_notify();
        }
    }

    /// Decrypts what came from the socket, behind what the handshake left. What is decrypted is put into `plain`; whether the peer may
    /// send more.
    pub(super) fn read(&mut self, mut encrypted: &[u8], plain: &mut BytesMut) -> io::Result<bool> {
        loop {
            let state = self.session.process_new_packets();
            let state = state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let length = state.plaintext_bytes_to_read();
            if length > 0 {
                let before = plain.len();
                plain.resize(before + length, 0);
                self.session.reader().read_exact(plain.split_at_mut(before).1)?;
            }
            if state.peer_has_closed() {
                return Ok(false);
            }
            if encrypted.is_empty() {
                return Ok(true);
            }
            self.session.read_tls(&mut encrypted)?;
        }
    }
}

struct Socket<'a>(&'a TcpStream);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
