//! The sockets of a server's links with the other servers of its ensemble: dialled and accepted, election and quorum.
//!
//! What happens on a link goes, as what clients send, to the turns of the loop it happened on; what the machine wants is carried out in
//! a turn. A link that lags is never held up in reading, since its acknowledgements are what lets it catch up: the machine
//! is told of too much unsent output instead and sends no more.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::Part;
use bytes::BytesMut;
use config::zookeeper::{HostPort, MemberSettings};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use zk_node::{LinkEffect, LinkEvent, LinkId, PeerPort};

use crate::link::dial;
use crate::net::{BindError, Connection, EventLoops, Handler, Limits, Listener, Transport};
use crate::resolve;
use crate::tls::PeersTls;

/// Unsent bytes from which a link counts as congested, until half of them are gone.
const CONGESTED: usize = 1 << 20;

/// How long an address that has failed rests while another one is waited for.
const REDIAL_PAUSE: Duration = Duration::from_millis(100);

/// Why the ports for other servers could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PeerBindError {
    /// A name of the server's own line has no address.
    #[error("{host}:{port}: {source}", host = .address.host, port = .address.port)]
    Resolve {
        /// As written.
        address: HostPort,
        /// What the system said.
        source: io::Error,
    },
    /// The port is taken, or the address is another machine's.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// What could be bound of the ports for other servers.
#[derive(Debug, Default)]
pub struct BoundPeers {
    /// What comes to them waits until [`ZooKeeper::serve_peers`](crate::ZooKeeper::serve_peers).
    pub listeners: Vec<(PeerPort, Listener)>,
    /// One for each address that could not be bound.
    pub failures: Vec<PeerBindError>,
}

impl BoundPeers {
    /// Whether each port is open, at one of its addresses at least: the original serves with those.
    pub fn are_enough(&self) -> bool {
        let is_open = |port| self.listeners.iter().any(|(bound, _)| *bound == port);
        is_open(PeerPort::Election) && is_open(PeerPort::Quorum)
    }
}

/// Binds the ports of the server's own `server.N` line: its quorum and its election addresses, or the same ports of all
/// addresses (`quorumListenOnAllIPs`).
pub fn bind_peer_ports(settings: &MemberSettings) -> BoundPeers {
    let mut outcome = BoundPeers::default();
    let Some(own) = settings.ensemble.servers.get(&settings.id) else { return outcome };
    for (port, addresses) in [(PeerPort::Election, &own.election), (PeerPort::Quorum, &own.quorum)] {
        // Several addresses may share a port, which all addresses of the machine have but once.
        let mut seen = BTreeSet::new();
        for address in bind_addresses(addresses, settings.listen_on_all_addresses) {
            match resolve(&address.host, address.port) {
                Ok(resolved) if !seen.insert(resolved) => {}
                Ok(resolved) => match Listener::bind(resolved, None) {
                    Ok(listener) => outcome.listeners.push((port, listener)),
                    Err(error) => outcome.failures.push(error.into()),
                },
                Err(source) => outcome.failures.push(PeerBindError::Resolve { address, source }),
            }
        }
    }
    outcome
}

/// Where to listen for the addresses that the list of servers has.
pub(super) fn bind_addresses(addresses: &[HostPort], everywhere: bool) -> Vec<HostPort> {
    let host = |address: &HostPort| if everywhere { "0.0.0.0".to_owned() } else { address.host.clone() };
    addresses.iter().map(|address| HostPort { host: host(address), port: address.port }).collect()
}

/// Something happened to a link, on the loop `index`.
pub(super) enum Happened {
    /// Its first event.
    Accepted(LinkId, PeerPort, Arc<Connection>),
    /// The last of dialling.
    Connected(LinkId, Arc<Connection>),
    /// What the machine is told as it is.
    Event(LinkEvent),
}

/// Who is told. Called on the event loops.
pub(super) trait Observer: Send + Sync + 'static {
    /// Something happened on the loop `index`.
    fn happened(&self, index: usize, happened: Happened);
}

/// All links of a server. Lives with its machine, under the same lock.
pub(super) struct Peers {
    links: HashMap<LinkId, Link>,
    how: How,
}

/// How servers are met.
#[derive(Clone, Default)]
pub(super) struct How {
    /// `zookeeper.tcpKeepAlive`
    pub(super) keep_alive: bool,
    pub(super) tls: Option<Arc<PeersTls>>,
}

enum Link {
    Dialling(AbortHandle),
    Open(Arc<Connection>),
}

impl Peers {
    pub(super) fn new(how: How) -> Self {
        Self { links: HashMap::new(), how }
    }

    /// Takes note of what happened; what the machine is to be told of it. Nothing follows a link's [`LinkEvent::Closed`].
    pub(super) fn note(&mut self, happened: Happened) -> Option<LinkEvent> {
        match happened {
            Happened::Accepted(link, port, connection) => {
                let peer = connection.peer();
                self.links.insert(link, Link::Open(connection));
                Some(LinkEvent::Accepted { link, port, peer })
            }
            Happened::Connected(link, connection) => {
                let Some(known) = self.links.get_mut(&link) else {
                    // Closed while it was on its way.
                    connection.close();
                    return None;
                };
                *known = Link::Open(connection);
                Some(LinkEvent::Connected { link })
            }
            Happened::Event(event) => {
                let (LinkEvent::Accepted { link, .. }
                | LinkEvent::Connected { link }
                | LinkEvent::Received { link, .. }
                | LinkEvent::Congested { link, .. }
                | LinkEvent::Closed { link, .. }) = &event;
                if matches!(event, LinkEvent::Closed { .. }) {
                    self.links.remove(link)?.close();
                    return Some(event);
                }
                self.links.contains_key(link).then_some(event)
            }
        }
    }

    /// Does what the machine wants. Links with new output are added to `to_flush`.
    pub(super) fn carry_out(
        &mut self,
        effect: LinkEffect,
        loops: &EventLoops,
        observer: &Arc<impl Observer>,
        to_flush: &mut Vec<Arc<Connection>>,
    ) {
        match effect {
            LinkEffect::Dial { link, addresses, timeout_ms } => {
                let dialling = Dialling { link, addresses, timeout_ms, how: self.how.clone() };
                let index = loops.next();
                let task = loops.get(index).spawn(dialling.run(index, Arc::clone(observer)));
                self.links.insert(link, Link::Dialling(task.abort_handle()));
            }
            LinkEffect::Send { link, bytes } => {
                if let Some(Link::Open(connection)) = self.links.get(&link) {
                    connection.queue(Part::Bytes(bytes));
                    to_flush.push(Arc::clone(connection));
                }
            }
            LinkEffect::PauseReading(link) => self.with(link, Connection::pause),
            LinkEffect::ResumeReading(link) => self.with(link, Connection::resume),
            LinkEffect::Close(link) => match self.links.get(&link) {
                Some(Link::Open(connection)) => connection.close(),
                Some(Link::Dialling(task)) => {
                    task.abort();
                    observer.happened(0, Happened::Event(LinkEvent::Closed { link, reason: "closed".into() }));
                }
                None => {}
            },
        }
    }

    fn with(&self, link: LinkId, act: impl FnOnce(&Connection)) {
        if let Some(Link::Open(connection)) = self.links.get(&link) {
            act(connection);
        }
    }
}

impl Link {
    fn close(self) {
        match self {
            Self::Dialling(task) => task.abort(),
            Self::Open(connection) => connection.close(),
        }
    }
}

/// Accepts other servers on a port that was bound. `serial` names the links.
pub(super) fn accept(
    listener: Listener,
    port: PeerPort,
    loops: &EventLoops,
    how: How,
    serial: Arc<AtomicU64>,
    observer: &Arc<impl Observer>,
    failed: impl Fn(io::Error) + Clone + Send + Sync + 'static,
) -> JoinHandle<()> {
    let observer = Arc::clone(observer);
    let refused = failed.clone();
    let serve = move |stream: TcpStream, peer, index| {
        let (observer, how, refused) = (Arc::clone(&observer), how.clone(), refused.clone());
        let link = LinkId(serial.fetch_add(1, Ordering::Relaxed));
        async move {
            if how.keep_alive && SockRef::from(&stream).set_keepalive(true).is_err() {
                return;
            }
            let received = match &how.tls {
                Some(tls) => tls.receive(stream, peer).await,
                None => Ok(stream.into()),
            };
            let stream = match received {
                Ok(transport) => transport,
                Err(error) => return refused(io::Error::new(error.kind(), format!("{peer}: {error}"))),
            };
            let open = |connection: &Arc<Connection>| {
                observer.happened(index, Happened::Accepted(link, port, Arc::clone(connection)));
                LinkHandler { observer: Arc::clone(&observer), connection: Arc::clone(connection), index, link }
            };
            Connection::serve(stream, peer, limits(), open).await;
        }
    };
    listener.uncounted().serve(loops, serve, failed)
}

fn limits() -> Limits {
    Limits { output_max: CONGESTED, reads_when_congested: true, ..Limits::default() }
}

/// An attempt to reach another server.
struct Dialling {
    link: LinkId,
    addresses: Vec<HostPort>,
    timeout_ms: u64,
    how: How,
}

impl Dialling {
    /// Dials, and serves the link on this loop until it ends.
    async fn run(self, index: usize, observer: Arc<impl Observer>) {
        let link = self.link;
        let (stream, peer) = match self.connect().await {
            Ok(connected) => connected,
            Err(error) => {
                let reason = Cow::Owned(error.to_string());
                return observer.happened(index, Happened::Event(LinkEvent::Closed { link, reason }));
            }
        };
        let open = |connection: &Arc<Connection>| {
            observer.happened(index, Happened::Connected(link, Arc::clone(connection)));
            LinkHandler { observer: Arc::clone(&observer), connection: Arc::clone(connection), index, link }
        };
        Connection::serve(stream, peer, limits(), open).await;
    }

    async fn connect(self) -> io::Result<(Transport, SocketAddr)> {
        let connected = async {
            let (stream, host) = first(self.addresses, |address| dial(address.host, address.port)).await?;
            if self.how.keep_alive {
                SockRef::from(&stream).set_keepalive(true)?;
            }
            let peer = stream.peer_addr()?;
            let transport = match &self.how.tls {
                Some(tls) => tls.connect(stream, &host).await?,
                None => stream.into(),
            };
            Ok((transport, peer))
        };
        tokio::time::timeout(Duration::from_millis(self.timeout_ms), connected).await?
    }
}

/// The first of several addresses that answers, and as what it was written. All are tried at once, since a dead one may take all of the
/// time to fail; meanwhile those that fail sooner are tried again: who has just been elected may not listen yet.
async fn first<T, D>(addresses: Vec<HostPort>, dial: impl Fn(HostPort) -> D) -> io::Result<(T, String)>
where
    T: Send + 'static,
    D: Future<Output = io::Result<T>> + Send + 'static,
{
    let attempt = |address: HostPort, pause: Option<Duration>| {
        let dialling = dial(address.clone());
        async move {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            (dialling.await, address, pause.is_none())
        }
    };
    let mut untold = addresses.len();
    let mut attempts: JoinSet<_> = addresses.into_iter().map(|address| attempt(address, None)).collect();
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    while untold > 0
        && let Some(ended) = attempts.join_next().await
    {
        match ended.map_err(io::Error::other)? {
            (Ok(connected), address, _) => return Ok((connected, address.host)),
            (Err(error), address, is_first) => {
                failed = error;
                untold -= usize::from(is_first);
                attempts.spawn(attempt(address, Some(REDIAL_PAUSE)));
            }
        }
    }
    Err(failed)
}

/// One link on its loop.
struct LinkHandler<O> {
    observer: Arc<O>,
    connection: Arc<Connection>,
    index: usize,
    link: LinkId,
}

impl<O: Observer> LinkHandler<O> {
    fn tell(&self, event: LinkEvent) {
        self.observer.happened(self.index, Happened::Event(event));
    }
}

impl<O: Observer> Handler for LinkHandler<O> {
    fn received(&mut self, chunk: BytesMut) {
        self.tell(LinkEvent::Received { link: self.link, bytes: chunk.freeze() });
    }

    fn congested(&mut self, congested: bool) {
        self.tell(LinkEvent::Congested { link: self.link, congested });
    }

    fn closed(&mut self) {
        let reason = match self.connection.take_failure() {
            Some(error) => Cow::Owned(error.to_string()),
            None => Cow::Borrowed("closed"),
        };
        self.tell(LinkEvent::Closed { link: self.link, reason });
    }
}

#[cfg(test)]
mod tests;
