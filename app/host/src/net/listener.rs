//! A listening socket, and the task that hands out what it accepts.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

use super::EventLoops;

/// `listen`'s backlog where the configuration has none (the JVM's default).
const BACKLOG_DEFAULT: i32 = 50;
/// How long accepting rests when the process is out of descriptors.
const OUT_OF_DESCRIPTORS_PAUSE: Duration = Duration::from_millis(100);

/// What is told when connections begin to wait for descriptors.
const NO_PLACE: &str =
    "there are as many connections as the limit of open files has room for; more are accepted when others end";

/// What a connection's socket takes that is not on its way yet. What the peer has not acknowledged comes on top, as much as the path
/// holds: the system's own limit is on both together, and a fast peer's answers would lie in it by the megabyte, out of the
/// processor's caches by the time they are sent.
const UNSENT_MAX: u32 = 128 << 10;

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// What was to be bound.
    pub address: SocketAddr,
    /// What the system said; `AddrInUse` if the port is taken.
    pub source: io::Error,
}

/// A socket that is bound and listens; nothing is accepted before [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    /// Its connections count among those that are accepted at a time.
    counts: bool,
}

impl Listener {
    /// Binds `address` and listens. The wildcard address is that of both families, as in the JVM. A `backlog` of `None`
    /// or one that is not positive means the JVM's default.
    pub fn bind(address: SocketAddr, backlog: Option<i32>) -> Result<Self, BindError> {
        let backlog = backlog.filter(|backlog| *backlog > 0).unwrap_or(BACKLOG_DEFAULT);
        let failed = |source| BindError { address, source };
        let both = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), address.port());
        let socket = if address.ip().is_unspecified() {
            match open(both, backlog) {
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()), backlog)
                }
                result => result,
            }
        } else {
            open(address, backlog)
        };
        let socket = socket.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, counts: true })
    }

    /// Where it listens, with the port that the system chose if 0 was asked for.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets `SO_SNDBUF` and `SO_RCVBUF` of the connections to come, which take them from the listening socket. `None` leaves the size
    /// to the system, which fits it to each connection.
    pub fn set_buffer_lengths(&self, send: Option<usize>, receive: Option<usize>) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        send.map_or(Ok(()), |length| socket.set_send_buffer_size(length))?;
        receive.map_or(Ok(()), |length| socket.set_recv_buffer_size(length))
    }

    /// For other servers of an ensemble or cluster: no number of clients keeps them out.
    #[must_use]
    pub fn uncounted(self) -> Self {
        Self { counts: false, ..self }
    }

    /// Accepts on loop 0 until the future is dropped. Each connection goes to the next loop, where `serve` is called with it
    /// and its result runs; `failed` is told of errors, which end nothing.
    pub fn serve<S, F>(
        self,
        loops: &EventLoops,
        serve: S,
        failed: impl Fn(io::Error) + Send + 'static,
    ) -> tokio::task::JoinHandle<()>
    where
        S: Fn(TcpStream, SocketAddr, usize) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let admit = |_| std::future::ready(Some(()));
        self.serve_admitted(loops, admit, move |stream, peer, index, ()| serve(stream, peer, index), failed)
    }

    /// Like [`Listener::serve`] for those whom `admit` lets in, with what it gives them. It may take its time: no other connection is
    /// accepted meanwhile, they wait in the system's queue. `None` closes the connection.
    pub fn serve_admitted<A, P, T, S, F>(
        self,
        loops: &EventLoops,
        admit: A,
        serve: S,
        failed: impl Fn(io::Error) + Send + 'static,
    ) -> tokio::task::JoinHandle<()>
    where
        A: Fn(SocketAddr) -> P + Send + 'static,
        P: Future<Output = Option<T>> + Send,
        T: Send + 'static,
        S: Fn(TcpStream, SocketAddr, usize, T) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let loops = loops.clone();
        let first = loops.get(0).clone();
        first.spawn(async move {
            let listener = match TcpListener::from_std(self.socket) {
                Ok(listener) => listener,
                Err(error) => return failed(error),
            };
            let mut is_full = false;
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        let was_full =
                            std::mem::replace(&mut is_full, self.counts && loops.places().available_permits() == 0);
                        if is_full && !was_full {
                            failed(io::Error::other(NO_PLACE));
                        }
                        let place = match self.counts {
                            true => Some(Arc::clone(loops.places()).acquire_owned().await.expect("nobody closes them")),
                            false => None,
                        };
                        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                        if let Some(ticket) = admit(peer).await {
                            let serve = serve.clone();
                            hand_over(&loops, stream, place, move |stream, index| serve(stream, peer, index, ticket));
                        }
                    }
                    Err(error) => {
                        let errno = Errno::from_io_error(&error);
                        failed(error);
                        if matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) {
                            tokio::time::sleep(OUT_OF_DESCRIPTORS_PAUSE).await;
                        }
                    }
                }
            }
        })
    }
}

/// Moves an accepted connection to its loop. One that fails on the way is dropped: its peer sees it closed.
fn hand_over<S, F>(loops: &EventLoops, stream: TcpStream, place: Option<OwnedSemaphorePermit>, serve: S)
where
    S: FnOnce(TcpStream, usize) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(stream) = stream.into_std() else { return };
    let index = loops.next();
    loops.get(index).spawn(async move {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        if stream.set_nodelay(true).is_ok() {
            serve(stream, index).await;
        }
        drop(place);
    });
}

fn open(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // For the connections, which take it from here. A system that can't is slower, no more.
    let _ = socket.set_tcp_notsent_lowat(UNSENT_MAX);
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = Listener::bind(address, None).unwrap();
        let second = Listener::bind(first.address(), None).unwrap_err();
        assert_eq!(second.source.kind(), io::ErrorKind::AddrInUse);
        assert!(second.to_string().contains(&first.address().to_string()));
    }

    #[test]
    fn connections_have_the_listeners_buffers() {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
        listener.set_buffer_lengths(Some(50_000), Some(60_000)).unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let (accepted, _) = listener.socket.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        // Linux doubles what is asked for.
        assert_eq!((accepted.send_buffer_size().unwrap(), accepted.recv_buffer_size().unwrap()), (100_000, 120_000));
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT_MAX);
    }

    /// Files need descriptors too: without one a broker's log directory would seem to have failed.
    #[test]
    fn connections_beyond_the_limit_wait_until_others_end() {
        let loops = EventLoops::start_limited(1, 2).unwrap();
        let (told, tells) = mpsc::channel();
        let [one, other, of_servers] = [true, true, false].map(|counts| {
            let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
            let listener = if counts { listener } else { listener.uncounted() };
            let address = listener.address();
            let told = told.clone();
            let serve = |mut stream: TcpStream, _, _| async move {
                stream.write_all(b"x").await.unwrap();
                let _ = stream.read(&mut [0]).await;
            };
            listener.serve(&loops, serve, move |error| told.send(error.to_string()).unwrap());
            address
        });
        let served = |mut client: &std::net::TcpStream| io::Read::read_exact(&mut client, &mut [0]).unwrap();
        let clients = [one, other].map(|address| std::net::TcpStream::connect(address).unwrap());
        clients.iter().for_each(served);
        let waiting = std::net::TcpStream::connect(other).unwrap();
        assert_eq!(tells.recv().unwrap(), NO_PLACE);
        waiting.set_nonblocking(true).unwrap();
        assert_eq!(waiting.peek(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        waiting.set_nonblocking(false).unwrap();
        served(&std::net::TcpStream::connect(of_servers).unwrap());
        drop(clients);
        served(&waiting);
        loops.stop();
    }

    #[test]
    fn the_wildcard_serves_both_families() {
        let listener = Listener::bind(SocketAddr::from(([0, 0, 0, 0], 0)), Some(5)).unwrap();
        std::net::TcpStream::connect(("127.0.0.1", listener.address().port())).unwrap();
        if listener.address().is_ipv6() {
            std::net::TcpStream::connect(("::1", listener.address().port())).unwrap();
        }
    }
}
