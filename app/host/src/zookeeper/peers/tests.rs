//! Links between two servers' sockets, on two loops.

use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver, Sender};

use bytes::Bytes;
use parking_lot::Mutex;

use super::*;

const KEPT_ALIVE: How = How { keep_alive: true, tls: None };

const DIALLED: LinkId = LinkId(1 << 63 | 1);

struct Channel(Mutex<Sender<Happened>>);

impl Observer for Channel {
    fn happened(&self, _index: usize, happened: Happened) {
        // A test that has ended is told no more.
        let _ = self.0.lock().send(happened);
    }
}

/// One server's side: a loop of its own, and its links in the hands of the test.
struct Side {
    loops: EventLoops,
    peers: Peers,
    observer: Arc<Channel>,
    told: Receiver<Happened>,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.loops.stop();
    }
}

impl Side {
    fn new() -> Self {
        let (tell, told) = mpsc::channel();
        let observer = Arc::new(Channel(Mutex::new(tell)));
        Self { loops: EventLoops::start(1).unwrap(), peers: Peers::new(KEPT_ALIVE), observer, told }
    }

    fn listen(&self) -> HostPort {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
        let port = listener.address().port();
        let serial = Arc::new(AtomicU64::new(7));
        accept(listener, PeerPort::Election, &self.loops, KEPT_ALIVE, serial, &self.observer, |error| {
            panic!("{error}")
        });
        HostPort { host: "127.0.0.1".to_owned(), port }
    }

    fn carry_out(&mut self, effect: LinkEffect) {
        let mut to_flush = Vec::new();
        self.peers.carry_out(effect, &self.loops, &self.observer, &mut to_flush);
        to_flush.iter().for_each(|connection| connection.flush());
    }

    fn dial(&mut self, addresses: Vec<HostPort>, timeout_ms: u64) {
        self.carry_out(LinkEffect::Dial { link: DIALLED, addresses, timeout_ms });
    }

    fn send(&mut self, link: LinkId, bytes: impl Into<Bytes>) {
        self.carry_out(LinkEffect::Send { link, bytes: bytes.into() });
    }

    /// The next event that the machine would be told.
    fn next(&mut self) -> LinkEvent {
        loop {
            let happened = self.told.recv_timeout(Duration::from_secs(20)).expect("an event was awaited");
            if let Some(event) = self.peers.note(happened) {
                return event;
            }
        }
    }

    /// Takes what is sent until `length` bytes have come.
    fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            match self.next() {
                LinkEvent::Received { bytes, .. } => all.extend_from_slice(&bytes),
                other => panic!("{other:?}"),
            }
        }
        all
    }
}

/// Two sides with one link; its name on the side that accepted it.
fn connected() -> (Side, Side, LinkId) {
    let (mut dialler, mut acceptor) = (Side::new(), Side::new());
    let address = acceptor.listen();
    dialler.dial(vec![address], 10_000);
    assert!(matches!(dialler.next(), LinkEvent::Connected { link: DIALLED }));
    let LinkEvent::Accepted { link, port: PeerPort::Election, peer } = acceptor.next() else { panic!() };
    assert!(peer.ip().is_loopback() && link == LinkId(7));
    (dialler, acceptor, link)
}

/// A port that nobody listens on.
fn closed_port() -> HostPort {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    HostPort { host: "127.0.0.1".to_owned(), port }
}

#[test]
fn bytes_pass_both_ways_and_a_close_comes_behind_them() {
    let (mut dialler, mut acceptor, link) = connected();
    dialler.send(DIALLED, "hello");
    assert_eq!(acceptor.receive(5), b"hello");
    acceptor.send(link, "welcome, ");
    acceptor.send(link, vec![b'x'; 3_000_000]);
    acceptor.carry_out(LinkEffect::Close(link));
    let all = dialler.receive(3_000_009);
    assert!(all.starts_with(b"welcome, x"));
    assert!(matches!(dialler.next(), LinkEvent::Closed { link: DIALLED, .. }));
    loop {
        match acceptor.next() {
            LinkEvent::Congested { .. } => {}
            LinkEvent::Closed { link: closed, reason } => {
                assert_eq!((closed, &*reason), (link, "closed"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// And while it is, what the other side sends is still read.
#[test]
fn a_link_whose_peer_does_not_read_is_congested_until_it_does() {
    const LENGTH: usize = 64 << 20;
    let (mut dialler, mut acceptor, link) = connected();
    acceptor.carry_out(LinkEffect::PauseReading(link));
    dialler.send(DIALLED, vec![1; LENGTH]);
    assert!(matches!(dialler.next(), LinkEvent::Congested { link: DIALLED, congested: true }));
    acceptor.send(link, "ack");
    assert_eq!(dialler.receive(3), b"ack");
    acceptor.carry_out(LinkEffect::ResumeReading(link));
    acceptor.receive(LENGTH);
    assert!(matches!(dialler.next(), LinkEvent::Congested { link: DIALLED, congested: false }));
}

#[test]
fn one_address_that_answers_is_enough() {
    let (mut dialler, mut acceptor) = (Side::new(), Side::new());
    let nameless = HostPort { host: "no-such-host.invalid".to_owned(), port: 1 };
    let addresses = vec![closed_port(), nameless, acceptor.listen()];
    dialler.dial(addresses, 20_000);
    assert!(matches!(dialler.next(), LinkEvent::Connected { link: DIALLED }));
    assert!(matches!(acceptor.next(), LinkEvent::Accepted { .. }));
}

#[test]
fn an_address_that_refuses_is_tried_again_while_another_is_silent() {
    let named = |host: &str| HostPort { host: host.to_owned(), port: 1 };
    let tries = AtomicU64::new(0);
    let dial = |address: HostPort| {
        let number = if address.host == "late" { tries.fetch_add(1, Ordering::Relaxed) } else { 0 };
        async move {
            match (address.host.as_str(), number) {
                ("silent", _) => std::future::pending().await,
                (_, 2) => Ok("here"),
                _ => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answered = runtime.block_on(first(vec![named("silent"), named("late")], dial)).unwrap();
    assert_eq!(answered, ("here", "late".to_owned()));
}

#[test]
fn failed_dialling_says_why() {
    let mut dialler = Side::new();
    dialler.dial(vec![closed_port()], 10_000);
    let LinkEvent::Closed { link: DIALLED, reason } = dialler.next() else { panic!() };
    assert!(reason.contains("refused"), "{reason}");
    // Its backlog is full, so that a connection is neither made nor refused.
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let _fills_it = std::net::TcpStream::connect(address).unwrap();
    dialler.dial(vec![HostPort { host: "127.0.0.1".to_owned(), port: address.port() }], 50);
    let LinkEvent::Closed { link: DIALLED, reason } = dialler.next() else { panic!() };
    assert_eq!(reason, "timed out");
}

#[test]
fn a_link_closed_while_it_is_dialled_is_told_closed_once() {
    let (mut dialler, acceptor) = (Side::new(), Side::new());
    let address = acceptor.listen();
    for _ in 0..50 {
        dialler.dial(vec![address.clone()], 10_000);
        dialler.carry_out(LinkEffect::Close(DIALLED));
        loop {
            match dialler.next() {
                LinkEvent::Connected { .. } => {}
                LinkEvent::Closed { link: DIALLED, .. } => break,
                other => panic!("{other:?}"),
            }
        }
        dialler.send(DIALLED, "to nobody");
    }
    while let Ok(happened) = dialler.told.try_recv() {
        assert!(dialler.peers.note(happened).is_none());
    }
}

#[test]
fn a_peer_that_vanishes_closes_its_link() {
    let (dialler, mut acceptor, link) = connected();
    drop(dialler);
    let LinkEvent::Closed { link: closed, .. } = acceptor.next() else { panic!() };
    assert_eq!(closed, link);
}
