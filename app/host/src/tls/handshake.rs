//! Handshakes: within a time, and not too many at once.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::Connection as Session;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::net::Transport;

/// How long a handshake may take (the default of the original's network library).
pub(crate) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The first byte of a TLS handshake: the record type.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Does the handshake. The session is boxed: the tasks of all connections, those in plain text too, are as large as what they may
/// have to hold while they wait.
pub(super) async fn shake(stream: TcpStream, mut session: Box<Session>) -> io::Result<Transport> {
    match timeout(HANDSHAKE_MAX, step_by_step(&stream, &mut session)).await {
        Ok(result) => result?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long")),
    }
    Ok(Transport::secure(stream, session))
}

async fn step_by_step(stream: &TcpStream, session: &mut Session) -> io::Result<()> {
    loop {
        while session.wants_write() {
            match session.write_tls(&mut Socket(stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        if !session.is_handshaking() {
            return Ok(());
        }
        match session.read_tls(&mut Socket(stream)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left during the handshake")),
            Ok(_) => {
                if let Err(error) = session.process_new_packets() {
                    // The peer may be told why; if it can't be, it sees the end.
                    let _ = session.write_tls(&mut Socket(stream));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
            Err(error) => return Err(error),
        }
    }
}

/// Whether one who connected begins with TLS. Waits for the first byte; `None` if it does not come in time.
pub(crate) async fn begins_tls(stream: &TcpStream, longest: Duration) -> io::Result<Option<bool>> {
    let mut first = [0];
    match timeout(longest, stream.peek(&mut first)).await {
        Ok(read) => Ok(Some(read? > 0 && first == [HANDSHAKE_RECORD])),
        Err(_) => Ok(None),
    }
}

/// A socket for rustls, which does not wait.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

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

/// Handshakes under way. Each may cost some 64 KiB and a signature: one address gets no more than it may have connections.
#[derive(Debug)]
pub(crate) struct Handshakes {
    /// 0: no limit.
    total_max: usize,
    /// 0: no limit.
    per_address_max: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    total: usize,
    per_address: HashMap<IpAddr, usize>,
}

impl Handshakes {
    pub(crate) fn new(total_max: usize, per_address_max: usize) -> Self {
        Self { total_max, per_address_max, under_way: Mutex::default() }
    }

    /// Lets one more in, until the guard is dropped; or says why not.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<UnderWayGuard, String> {
        let mut under_way = self.under_way.lock();
        if self.total_max > 0 && under_way.total >= self.total_max {
            return Err(format!("Too many TLS handshakes, max allowed is {}", self.total_max));
        }
        let count = under_way.per_address.entry(address).or_default();
        if self.per_address_max > 0 && *count >= self.per_address_max {
            return Err(format!("Too many connections from /{address} - max is {}", self.per_address_max));
        }
        *count += 1;
        under_way.total += 1;
        Ok(UnderWayGuard { handshakes: Arc::clone(self), address })
    }
}

/// One handshake under way.
pub(crate) struct UnderWayGuard {
    handshakes: Arc<Handshakes>,
    address: IpAddr,
}

impl Drop for UnderWayGuard {
    fn drop(&mut self) {
        let mut under_way = self.handshakes.under_way.lock();
        under_way.total -= 1;
        if let Some(count) = under_way.per_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                under_way.per_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_are_bounded_in_all_and_for_each_address() {
        let [one, other, third] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let handshakes = Arc::new(Handshakes::new(3, 2));
        let first = handshakes.admit(one).unwrap();
        let _second = handshakes.admit(one).unwrap();
        assert!(handshakes.admit(one).err().unwrap().contains("/127.0.0.1 - max is 2"));
        let _other = handshakes.admit(other).unwrap();
        assert!(handshakes.admit(third).err().unwrap().contains("max allowed is 3"));
        drop(first);
        let _again = handshakes.admit(one).unwrap();
    }

    fn length_of<F>(_: impl Fn(TcpStream, Box<Session>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_handshake_costs_tasks_that_have_none_little() {
        assert!(length_of(shake) < 1024, "{} bytes", length_of(shake));
    }
}
