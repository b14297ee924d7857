//! TLS on a blocking socket, for tools: one thread may read while another writes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ClientConnection;

use crate::Tls;

/// Read from the socket at once.
const ENCRYPTED_BYTES: usize = 64 * 1024;
/// How long a handshake waits for the server.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket with TLS, or one half of it.
pub struct SecureStream {
    socket: TcpStream,
    session: Arc<Mutex<ClientConnection>>,
    /// Decrypted, and not taken yet from `at` on.
    plain: Vec<u8>,
    at: usize,
}

impl Tls {
    /// The handshake with a server that was dialled by this name or address.
    pub fn connect(&self, mut socket: TcpStream, host: &str) -> io::Result<SecureStream> {
        let address = socket.peer_addr()?.ip();
        let mut session = self.client_session(host, address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        socket.set_read_timeout(None)?;
        let shown = session.peer_certificates().and_then(|shown| shown.first());
        self.verify_server_host(shown.map(AsRef::as_ref), host, address)?;
        session.set_buffer_limit(None);
        Ok(SecureStream { socket, session: Arc::new(Mutex::new(session)), plain: Vec::new(), at: 0 })
    }
}

impl SecureStream {
    /// The other half: this one reads, that one writes.
    pub fn try_clone(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        Ok(Self { socket, session: Arc::clone(&self.session), plain: Vec::new(), at: 0 })
    }

    /// The socket beneath.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Tells the server that nothing follows, and closes the socket on both sides.
    pub fn close(&mut self) {
        let mut session = self.session.lock();
        session.send_close_notify();
        // Who has left needs no farewell.
        let _ = session.write_tls(&mut self.socket);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Decrypts what came; whether more may come.
    fn decrypt(&mut self, mut encrypted: &[u8]) -> io::Result<bool> {
        let mut session = self.session.lock();
        loop {
            let state =
                session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let before = self.plain.len();
            self.plain.resize(before + state.plaintext_bytes_to_read(), 0);
            session.reader().read_exact(self.plain.split_at_mut(before).1)?;
            if state.peer_has_closed() {
                return Ok(false);
            }
            if encrypted.is_empty() {
                break;
            }
            session.read_tls(&mut encrypted)?;
        }
        while session.wants_write() {
            session.write_tls(&mut self.socket)?;
        }
        Ok(true)
    }
}

impl Read for SecureStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut encrypted = Vec::new();
        while self.at == self.plain.len() {
            self.plain.clear();
            self.at = 0;
            if !self.decrypt(&encrypted)? && self.plain.is_empty() {
                return Ok(0);
            }
            if self.plain.is_empty() {
                encrypted.resize(ENCRYPTED_BYTES, 0);
                let read = self.socket.read(&mut encrypted)?;
                if read == 0 {
                    return Ok(0);
                }
                encrypted.truncate(read);
            }
        }
        let waiting = self.plain.get(self.at..).unwrap_or_default();
        let length = waiting.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), waiting.get(..length)) {
            to.copy_from_slice(from);
        }
        self.at += length;
        Ok(length)
    }
}

impl Write for SecureStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session.lock();
        let taken = session.writer().write(bytes)?;
        while session.wants_write() {
            session.write_tls(&mut self.socket)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
