//! The socket of a session with ZooKeeper, or of a link to another broker: dials, sends, receives, keeps the session's deadlines.
//!
//! Names are resolved anew for each attempt, so that servers may move. The session decides when to dial and whom.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use ::tls::Tls;
use base::Part;
use base::{Monotonic, Now};
use bytes::{Bytes, BytesMut};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::Notify;

use crate::Clock;
use crate::net::{Pipe, Transport};
use crate::tls;

/// What a session wants done with its socket, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEffect {
    /// Close the socket if there is one, resolve the name anew and dial; then say connected or disconnected.
    Connect {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// Send behind all earlier bytes.
    Send(Bytes),
    /// Close the socket, or stop dialling. Nothing is said of it.
    Disconnect,
}

/// A session's machine. Whoever gives it work from outside notifies the link.
pub trait Session: Send + Sync + 'static {
    /// What is to be done; asked after each of the calls below, and when the link was notified.
    fn take_effects(&self) -> Vec<LinkEffect>;

    /// When [`Session::tick`] is wanted.
    fn deadline(&self) -> Option<Monotonic>;

    /// A server is dialled; servers are named `name/address:port`, as Java prints them.
    fn dialling(&self, server: &str);

    /// The socket is connected.
    fn connected(&self, local: SocketAddr, server: &str, now: Now);

    /// The socket to this server is closed or broken, or could not be connected: why, or `None` if the server closed it.
    fn disconnected(&self, server: &str, error: Option<&io::Error>, now: Now);

    /// Bytes came: takes what it can use from the front of `input`. What is left stays in front of what comes next.
    fn received(&self, input: &mut BytesMut, now: Now);

    /// How many bytes it will take to make use of what was left, as far as it knows.
    fn missing(&self, _input: &BytesMut) -> usize {
        0
    }

    /// `SO_RCVBUF` of its connections; `None` leaves it to the system.
    fn receive_buffer_bytes(&self) -> Option<u32> {
        None
    }

    /// The deadline has come.
    fn tick(&self, now: Now);

    /// Whether the session has ended, and its last effects are carried out: the link ends too.
    fn is_over(&self) -> bool;
}

type Dialling = Pin<Box<dyn Future<Output = (String, io::Result<Transport>)> + Send>>;

#[derive(Default)]
enum Socket {
    #[default]
    None,
    Dialling(Dialling),
    Connected(Box<Connected>),
}

struct Connected {
    pipe: Pipe,
    /// What came and was not taken.
    input: BytesMut,
    /// Bytes that are known to come.
    missing: usize,
}

enum Happened {
    /// Which server, and how it went.
    Dialled(String, io::Result<Transport>),
    /// Whether bytes were read; none is the end.
    Read(io::Result<bool>),
    Notified,
    Deadline,
}

/// Serves a session until it is over. Runs on an event loop.
pub async fn run_link(session: Arc<impl Session>, tls: Option<Arc<Tls>>, notified: Arc<Notify>, clock: Clock) {
    let mut socket = Socket::None;
    let mut server = String::new();
    loop {
        for effect in session.take_effects() {
            match effect {
                LinkEffect::Connect { host, port } => {
                    socket = Socket::Dialling(Box::pin(dial_told(Arc::clone(&session), tls.clone(), host, port)));
                }
                LinkEffect::Send(bytes) => {
                    if let Socket::Connected(connected) = &mut socket {
                        connected.pipe.push(Part::Bytes(bytes));
                    }
                }
                LinkEffect::Disconnect => {
                    if let Socket::Connected(connected) = &mut socket {
                        // What was asked to be sent before: a session's farewell fits the socket's buffer.
                        let _ = connected.pipe.end();
                    }
                    socket = Socket::None;
                }
            }
        }
        if session.is_over() {
            return;
        }
        let happened = tokio::select! {
            happened = socket.next() => happened,
            () = notified.notified() => Happened::Notified,
            () = reach(session.deadline(), clock) => Happened::Deadline,
        };
        let lost = match happened {
            Happened::Dialled(name, Ok(transport)) => {
                server = name;
                let local = transport.socket().local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
                let pipe = Pipe::new(transport);
                socket = Socket::Connected(Box::new(Connected { pipe, input: BytesMut::new(), missing: 0 }));
                session.connected(local, &server, clock.now());
                None
            }
            Happened::Read(Ok(true)) => {
                if let Socket::Connected(connected) = &mut socket {
                    session.received(&mut connected.input, clock.now());
                    connected.missing = session.missing(&connected.input);
                }
                None
            }
            Happened::Deadline => {
                session.tick(clock.now());
                None
            }
            Happened::Notified => None,
            Happened::Dialled(name, Err(error)) => {
                server = name;
                Some(Some(error))
            }
            Happened::Read(Ok(false)) => Some(None),
            Happened::Read(Err(error)) => Some(Some(error)),
        };
        if let Some(error) = lost {
            socket = Socket::None;
            session.disconnected(&server, error.as_ref(), clock.now());
        }
    }
}

impl Socket {
    /// Waits for what happens next. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Happened {
        match self {
            Self::None => pending().await,
            Self::Dialling(dialling) => {
                let (server, result) = dialling.await;
                Happened::Dialled(server, result)
            }
            Self::Connected(connected) => {
                let Connected { pipe, input, missing } = &mut **connected;
                Happened::Read(pipe.next(input, *missing).await)
            }
        }
    }
}

/// Dials as [`dial`] does, and tells the session of each address.
async fn dial_told(
    session: Arc<impl Session>,
    tls: Option<Arc<Tls>>,
    host: String,
    port: u16,
) -> (String, io::Result<Transport>) {
    let mut server = format!("{host}:{port}");
    let buffer = session.receive_buffer_bytes();
    let result = dial_each((&host, port), buffer, |address| {
        server = format!("{host}/{address}");
        session.dialling(&server);
    });
    let result = match (result.await, &tls) {
        (Ok(stream), Some(tls)) => tls::connect(tls, stream, &host).await,
        (result, _) => result.map(Transport::from),
    };
    (server, result)
}

/// Connects to the first address of a name that answers.
pub(crate) async fn dial(host: String, port: u16) -> io::Result<TcpStream> {
    dial_each((&host, port), None, |_| {}).await
}

async fn dial_each(
    (host, port): (&str, u16),
    receive_buffer_bytes: Option<u32>,
    mut tell: impl FnMut(SocketAddr),
) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in lookup_host((host, port)).await? {
        tell(address);
        match connect(address, receive_buffer_bytes).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The size of the buffer goes before the connection: what the other side is offered depends on it.
async fn connect(address: SocketAddr, receive_buffer_bytes: Option<u32>) -> io::Result<TcpStream> {
    let Some(length) = receive_buffer_bytes else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_recv_buffer_size(length)?;
    socket.connect(address).await
}

async fn reach(deadline: Option<Monotonic>, clock: Clock) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(clock.instant(deadline).into()).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use parking_lot::Mutex;

    use super::*;
    use crate::EventLoops;

    /// Dials twice: says hello each time, and ends when it is told `end`.
    #[derive(Default)]
    struct Twice {
        effects: Mutex<Vec<LinkEffect>>,
        told: Mutex<Vec<String>>,
        port: u16,
        over: Mutex<bool>,
    }

    impl Twice {
        fn dial(&self, port: u16) {
            self.effects.lock().push(LinkEffect::Connect { host: "localhost".to_owned(), port });
        }
    }

    impl Session for Twice {
        fn take_effects(&self) -> Vec<LinkEffect> {
            std::mem::take(&mut self.effects.lock())
        }

        fn deadline(&self) -> Option<Monotonic> {
            None
        }

        fn dialling(&self, server: &str) {
            self.told.lock().push(format!("dialling {}", server.split_once('/').map_or("", |(name, _)| name)));
        }

        fn connected(&self, _local: SocketAddr, _server: &str, _now: Now) {
            self.told.lock().push("connected".to_owned());
            self.effects.lock().push(LinkEffect::Send(Bytes::from_static(b"hello")));
        }

        fn disconnected(&self, server: &str, error: Option<&io::Error>, _now: Now) {
            assert!(server.starts_with("localhost/"), "{server}");
            let kind = error.map(io::Error::kind);
            self.told.lock().push(format!("disconnected {kind:?}"));
            self.dial(self.port);
        }

        fn received(&self, input: &mut BytesMut, _now: Now) {
            let bytes = input.split();
            self.told.lock().push(String::from_utf8_lossy(&bytes).into_owned());
            if &bytes[..] == b"end" {
                self.effects.lock().push(LinkEffect::Disconnect);
                *self.over.lock() = true;
            }
        }

        fn tick(&self, _now: Now) {}

        fn is_over(&self) -> bool {
            *self.over.lock()
        }
    }

    #[test]
    fn a_connection_has_the_buffer_that_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let loops = EventLoops::start(1).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        loops.get(0).spawn(async move {
            let stream = connect(address, Some(50_000)).await.unwrap();
            tell.send(socket2::SockRef::from(&stream).recv_buffer_size().unwrap()).unwrap();
        });
        // The system doubles it, for its own needs.
        assert_eq!(told.recv().unwrap(), 100_000);
    }

    #[test]
    fn a_refused_and_a_lost_connection_are_told_and_dialled_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let session = Arc::new(Twice { port, ..Twice::default() });
        session.dial(refusing);
        let loops = EventLoops::start(1).unwrap();
        let link = loops.get(0).spawn(run_link(Arc::clone(&session), None, Arc::default(), Clock::start()));

        for answer in ["", "end"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(link).unwrap();
        let mut told = session.told.lock().clone();
        // A name may have an address more that nobody listens on.
        told.dedup();
        let expected = [
            "dialling localhost",
            "disconnected Some(ConnectionRefused)",
            "dialling localhost",
            "connected",
            "disconnected None",
            "dialling localhost",
            "connected",
            "end",
        ];
        assert_eq!(told, expected);
        loops.stop();
    }
}
