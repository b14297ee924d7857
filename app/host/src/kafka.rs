//! Drives one broker: sockets, disk threads, the clock and the session with ZooKeeper around `kafka-node`.
//!
//! The broker is shared by all loops and called on whichever loop a request came in; a request that is answered at once meets
//! no other thread. An answer that was parked wakes its connection's loop. The ports are bound at the start and served when the broker has
//! registered and knows the cluster, so that a client that comes early waits instead of being refused.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use ::tls::{Tls, TlsError};
use base::{Job, Monotonic, Now, Parts, Random, reason};
use bytes::BytesMut;
use config::BrokerConfig;
use config::broker::Endpoint as ConfiguredEndpoint;
use kafka_control::znode::Endpoint;
use kafka_node::{Broker, Fatal, LinkLoss, Loggers, Peer, PeerEffect, Place, StartError, ZooKeeperEffect};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use zk_client::SessionKey;

use crate::guardian::Guardian;
use crate::link::{LinkEffect, Session, run_link};
use crate::logging::{Level, Log};
use crate::net::{BindError, Connection, Framed, Limits, Listener, Service, Wants};
use crate::own_name::own_name;
use crate::{Priority, System};

/// The original's classes that write these lines.
const SERVER: &str = "kafka.server.KafkaServer";
const APP_INFO: &str = "org.apache.kafka.common.utils.AppInfoParser";
/// What monitors look for: the version whose protocol and behaviour this is.
const KAFKA_VERSION: &str = "Kafka version: 2.7.1";
const KAFKA_COMMIT: &str = "Kafka commitId: 61dbce85d0d41457";
const ACCEPTOR: &str = "kafka.network.Acceptor";
const CLIENT: &str = "org.apache.zookeeper.ClientCnxn";
const SELECTOR: &str = "org.apache.kafka.common.network.Selector";

/// Output of one connection that may wait while it goes on sending requests: a fetch's answer or two.
const OUTPUT_MAX: usize = 1 << 20;

/// Why a broker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A listener's port could not be opened.
    #[error("Socket server failed to bind to {host}:{port}: {}.", reason(.source))]
    Bind {
        /// As configured, or the wildcard.
        host: String,
        /// As configured.
        port: u16,
        /// What the system said; `AddrInUse` if the port is taken.
        source: io::Error,
    },
    /// TLS with ZooKeeper can't be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener's host is none.
    #[error("Cannot resolve the listener {listener}: {source}")]
    Resolve {
        /// As configured.
        listener: String,
        /// What the system said.
        source: io::Error,
    },
    /// The broker itself refuses.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system gave no random numbers.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A running broker. Clones share it.
#[derive(Clone)]
pub struct Kafka {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Arc<Broker>,
    surroundings: Arc<Surroundings>,
    log: Log,
    system: System,
    idle: Option<Duration>,
    addresses: Vec<SocketAddr>,
    /// Bound and not served yet, with their names.
    listeners: Mutex<Vec<(Listener, String)>>,
    started: watch::Sender<bool>,
    link_over: watch::Sender<bool>,
}

/// The process, as the broker sees it.
struct Surroundings {
    system: System,
    log: Log,
    alarm: Alarm,
    zookeeper_ready: Arc<Notify>,
    failed: watch::Sender<Option<Arc<Fatal>>>,
    guardian: Option<Guardian>,
}

/// The earliest time at which the broker wants to be called.
struct Alarm {
    /// In nanoseconds; `u64::MAX` for never.
    at: AtomicU64,
    nearer: Notify,
}

impl kafka_node::Host for Surroundings {
    fn now(&self) -> Now {
        self.system.clock.now()
    }

    fn submit(&self, job: Box<dyn Job>) {
        self.system.disk_threads.submit(Priority::Background, job);
    }

    fn submit_for_request(&self, job: Box<dyn Job>) {
        self.system.disk_threads.submit(Priority::Request, job);
    }

    fn alarm(&self, at: Monotonic) {
        let at = at.nanoseconds();
        if self.alarm.at.fetch_min(at, Ordering::AcqRel) > at {
            self.alarm.nearer.notify_one();
        }
    }

    fn zookeeper_ready(&self) {
        self.zookeeper_ready.notify_one();
    }

    fn run_peer(&self, peer: Arc<Peer>) {
        let woken = Arc::new(Woken(Arc::default()));
        let notified = Arc::clone(&woken.0);
        peer.set_waker(Waker::from(woken));
        let event_loop = self.system.loops.get(self.system.loops.next());
        let _running = event_loop.spawn(run_link(Arc::new(PeerLink(peer)), None, notified, self.system.clock));
    }

    fn session_is(&self, session: Option<&SessionKey>) {
        if let Some(guardian) = &self.guardian {
            guardian.tell(session);
        }
    }

    fn loggers(&self) -> &dyn Loggers {
        &self.log
    }

    fn fail(&self, reason: Fatal) {
        // The first reason is the one: others follow from it.
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert_with(|| Arc::new(reason));
            first
        });
    }
}

impl Kafka {
    /// Binds the listeners, takes the log directories, and begins the session with ZooKeeper, where the start goes on by itself. May wait
    /// for the disk. The guardian is told of each session.
    pub fn start(
        config: BrokerConfig,
        system: System,
        log: Log,
        random: Random,
        guardian: Option<Guardian>,
    ) -> Result<Self, KafkaError> {
        let settings = Arc::clone(config.settings());
        let zookeeper_tls = settings.zookeeper_tls.as_ref().map(Tls::load).transpose()?.map(Arc::new);
        let endpoints = settings.listeners.listeners.iter();
        let bound = endpoints.map(|endpoint| bind(endpoint, &config)).collect::<Result<Vec<_>, _>>()?;
        for (listener, _) in &bound {
            log.write(Level::Info, ACCEPTOR, format!("Awaiting socket connections on {}.", listener.address()));
        }
        let advertised = settings.listeners.advertised.iter().map(|endpoint| advertised(endpoint, &bound)).collect();
        let surroundings = Arc::new(Surroundings {
            system: system.clone(),
            log: log.clone(),
            alarm: Alarm { at: AtomicU64::new(u64::MAX), nearer: Notify::new() },
            zookeeper_ready: Arc::new(Notify::new()),
            failed: watch::channel(None).0,
            guardian,
        });
        let host: Arc<dyn kafka_node::Host> = surroundings.clone();
        let broker = Broker::new(config, advertised, host, random);
        let idle = u64::try_from(settings.network.idle_ms_max).ok().map(Duration::from_millis);
        let shared = Arc::new(Shared {
            broker,
            surroundings,
            log,
            system,
            idle,
            addresses: bound.iter().map(|(listener, _)| listener.address()).collect(),
            listeners: Mutex::new(bound),
            started: watch::channel(false).0,
            link_over: watch::channel(false).0,
        });
        shared.broker.start(Arc::clone(&shared.system.disk), shared.system.clock.now())?;
        let first = shared.system.loops.get(0);
        first.spawn(run_alarms(Arc::clone(&shared)));
        let link = Arc::clone(&shared);
        first.spawn(async move {
            let (ready, clock) = (Arc::clone(&link.surroundings.zookeeper_ready), link.system.clock);
            run_link(Arc::clone(&link), zookeeper_tls, ready, clock).await;
            link.link_over.send_replace(true);
        });
        Ok(Self { shared })
    }

    /// Where it listens, in the order of `listeners`.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.shared.addresses
    }

    /// The broker's id; -1 until it is known.
    pub fn id(&self) -> i32 {
        self.shared.broker.id()
    }

    /// Waits until it has registered and serves.
    pub async fn started(&self) {
        let mut started = self.shared.started.subscribe();
        // The sender lives as long as this.
        let _ = started.wait_for(|started| *started).await;
    }

    /// Waits until it can't go on; why.
    pub async fn failed(&self) -> Arc<Fatal> {
        let mut failed = self.shared.surroundings.failed.subscribe();
        let reason = failed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.expect("the sender lives as long as this, and some reason was waited for")
    }

    /// Closes the logs cleanly, then the session with ZooKeeper, so that the broker's registration goes at once.
    pub async fn stop(&self) {
        self.shared.log.write(
            Level::Info,
            SERVER,
            format!("[KafkaServer id={}] shutting down", self.shared.broker.id()),
        );
        self.shared.broker.stop();
        let mut over = self.shared.link_over.subscribe();
        // The sender lives as long as this.
        let _ = over.wait_for(|over| *over).await;
        let line = format!("[KafkaServer id={}] shut down completed", self.shared.broker.id());
        self.shared.log.write(Level::Info, SERVER, line);
    }
}

/// Calls the broker whenever its alarm goes off.
async fn run_alarms(shared: Arc<Shared>) {
    let alarm = &shared.surroundings.alarm;
    loop {
        let at = alarm.at.load(Ordering::Acquire);
        if at == u64::MAX {
            alarm.nearer.notified().await;
            continue;
        }
        let instant = shared.system.clock.instant(Monotonic::from_nanoseconds(at));
        tokio::select! {
            () = tokio::time::sleep_until(instant.into()) => {
                if alarm.at.compare_exchange(at, u64::MAX, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    shared.broker.tick(shared.system.clock.now());
                }
            }
            () = alarm.nearer.notified() => {}
        }
    }
}

impl Shared {
    /// Serves the listeners, once, when the broker is ready.
    fn serve_when_ready(&self) {
        let mut waiting = self.listeners.lock();
        if waiting.is_empty() || !self.broker.is_ready() {
            return;
        }
        let listeners = std::mem::take(&mut *waiting);
        drop(waiting);
        for (index, (listener, name)) in listeners.into_iter().enumerate() {
            self.serve(listener, index, &name);
        }
        let start_ms = self.system.clock.now().wall_ms;
        for text in [KAFKA_VERSION.to_owned(), KAFKA_COMMIT.to_owned(), format!("Kafka startTimeMs: {start_ms}")] {
            self.log.write(Level::Info, APP_INFO, text);
        }
        self.log.write(Level::Info, SERVER, format!("[KafkaServer id={}] started", self.broker.id()));
        self.started.send_replace(true);
    }

    fn serve(&self, listener: Listener, index: usize, name: &str) {
        let limits = Limits { output_max: OUTPUT_MAX, idle: self.idle, ..Limits::default() };
        let name: Arc<str> = name.into();
        let (broker, clock, log) = (Arc::clone(&self.broker), self.system.clock, self.log.clone());
        let door = Door { broker: Arc::clone(&broker), clock, log: log.clone(), listener: Arc::clone(&name) };
        let admit = move |peer: SocketAddr| door.clone().admit(peer);
        let serve = move |stream: TcpStream, peer: SocketAddr, _, place: Place| {
            let (broker, log, name) = (Arc::clone(&broker), log.clone(), name.to_string());
            Connection::serve(stream, peer, limits, move |connection| {
                let client = broker.accept(index, name, peer, place, connection.waker(), clock.now());
                Framed::new(connection, Client { client: Some(client), peer, clock, log })
            })
        };
        let log = self.log.clone();
        listener.serve_admitted(&self.system.loops, admit, serve, move |error| {
            log.write(Level::Error, ACCEPTOR, format!("Error while accepting connection: {error}"));
        });
    }
}

/// Lets connections in to one listener.
#[derive(Clone)]
struct Door {
    broker: Arc<Broker>,
    clock: crate::Clock,
    log: Log,
    listener: Arc<str>,
}

impl Door {
    /// A place for a connection that came, when there is one for it and the limits of speed allow; `None` for one that is refused.
    async fn admit(self, peer: SocketAddr) -> Option<Place> {
        let now = self.clock.now();
        let delay_ms = self.broker.connection_delay_ms(&self.listener, now);
        if delay_ms > 0 {
            tokio::time::sleep_until(self.clock.instant(now.monotonic.plus_ms(delay_ms)).into()).await;
        }
        let admitted = std::future::poll_fn(|context| {
            self.broker.poll_admit(&self.listener, peer.ip(), context.waker(), self.clock.now())
        });
        admitted.await.inspect_err(|refused| self.log.write(Level::Info, ACCEPTOR, refused.to_string())).ok()
    }
}

/// One client's connection on its loop.
struct Client {
    /// `None` behind the end.
    client: Option<kafka_node::Connection>,
    peer: SocketAddr,
    clock: crate::Clock,
    log: Log,
}

impl Service for Client {
    fn turn(&mut self, input: &mut BytesMut, output: &mut Parts) -> Wants {
        let Some(client) = &mut self.client else { return Wants::Close };
        match client.turn(input, self.clock.now(), output) {
            Ok(kafka_node::Wants::Input) => Wants::Input,
            Ok(kafka_node::Wants::Answers) => Wants::Wake,
            Err(closed) => {
                self.log.write(
                    Level::Warn,
                    SELECTOR,
                    format!("Unexpected error from /{}; closing connection: {closed}", self.peer),
                );
                Wants::Close
            }
        }
    }

    fn left(&mut self) {
        if let Some(client) = &mut self.client {
            client.peer_left();
        }
    }

    fn closed(&mut self) {
        // Its place among the connections is free from now on, however long an answer that is under way still holds the socket.
        self.client = None;
    }
}

impl Session for Shared {
    fn take_effects(&self) -> Vec<LinkEffect> {
        let effects = self.broker.take_zookeeper_effects();
        self.serve_when_ready();
        let link_effect = |effect| match effect {
            ZooKeeperEffect::Connect(host) => LinkEffect::Connect { host: host.name.to_string(), port: host.port },
            ZooKeeperEffect::Send(bytes) => LinkEffect::Send(bytes),
            ZooKeeperEffect::Disconnect => LinkEffect::Disconnect,
        };
        effects.into_iter().map(link_effect).collect()
    }

    fn deadline(&self) -> Option<Monotonic> {
        self.broker.zookeeper_deadline()
    }

    fn dialling(&self, server: &str) {
        self.log.write(Level::Info, CLIENT, format!("Opening socket connection to server {server}."));
    }

    fn connected(&self, local: SocketAddr, server: &str, now: Now) {
        let text = format!("Socket connection established, initiating session, client: /{local}, server: {server}");
        self.log.write(Level::Info, CLIENT, text);
        self.broker.zookeeper_connected(server, now);
    }

    fn disconnected(&self, server: &str, error: Option<&io::Error>, now: Now) {
        let loss = error.map_or(LinkLoss::Ended, |error| {
            let class = match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut => "java.net.ConnectException",
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "java.net.NoRouteToHostException",
                _ => "java.io.IOException",
            };
            LinkLoss::Failed(format!("{class}: {}", reason(error)))
        });
        self.broker.zookeeper_disconnected(server, &loss, now);
    }

    fn received(&self, input: &mut BytesMut, now: Now) {
        self.broker.zookeeper_received(input, now);
        input.clear();
    }

    fn tick(&self, now: Now) {
        self.broker.zookeeper_tick(now);
    }

    fn is_over(&self) -> bool {
        self.broker.zookeeper_is_over()
    }
}

/// Wakes the loop on which a link runs.
struct Woken(Arc<Notify>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// A link to another broker, as its event loop runs it.
struct PeerLink(Arc<Peer>);

impl Session for PeerLink {
    fn receive_buffer_bytes(&self) -> Option<u32> {
        self.0.receive_buffer_bytes()
    }

    fn take_effects(&self) -> Vec<LinkEffect> {
        let link_effect = |effect| match effect {
            PeerEffect::Connect { host, port } => LinkEffect::Connect { host, port },
            PeerEffect::Send(bytes) => LinkEffect::Send(bytes),
            PeerEffect::Disconnect => LinkEffect::Disconnect,
        };
        self.0.take_effects().into_iter().map(link_effect).collect()
    }

    fn deadline(&self) -> Option<Monotonic> {
        self.0.deadline()
    }

    fn dialling(&self, server: &str) {
        self.0.dialling(server);
    }

    fn connected(&self, _local: SocketAddr, _server: &str, now: Now) {
        self.0.connected(now);
    }

    fn disconnected(&self, _server: &str, _error: Option<&io::Error>, now: Now) {
        self.0.disconnected(now);
    }

    fn received(&self, input: &mut BytesMut, now: Now) {
        self.0.received(input, now);
    }

    fn missing(&self, input: &BytesMut) -> usize {
        self.0.missing(input)
    }

    fn tick(&self, now: Now) {
        self.0.tick(now);
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

/// A listener, with its name.
fn bind(endpoint: &ConfiguredEndpoint, config: &BrokerConfig) -> Result<(Listener, String), KafkaError> {
    let listener = bind_address(endpoint)?;
    let (name, settings) = (&endpoint.listener, config.settings());
    listener.set_buffer_lengths(
        buffer_length(config, "socket.send.buffer.bytes", settings.network.send_buffer_bytes),
        buffer_length(config, "socket.receive.buffer.bytes", settings.network.receive_buffer_bytes),
    )?;
    let is_for_clients =
        !settings.listeners.is_brokers_own(name) && settings.listeners.control_plane.as_ref() != Some(name);
    Ok((if is_for_clients { listener } else { listener.uncounted() }, name.clone()))
}

fn bind_address(endpoint: &ConfiguredEndpoint) -> Result<Listener, KafkaError> {
    let unresolved = |source| KafkaError::Resolve { listener: endpoint.to_string(), source };
    let port = u16::try_from(endpoint.port)
        .map_err(|_| unresolved(io::Error::new(io::ErrorKind::InvalidInput, "the port is none")))?;
    let address = match endpoint.host.as_deref() {
        None => SocketAddr::from(([0, 0, 0, 0], port)),
        Some(host) => resolve(host, port).map_err(unresolved)?,
    };
    let host = endpoint.host.clone().unwrap_or_else(|| address.ip().to_string());
    Listener::bind(address, None).map_err(|BindError { source, .. }| KafkaError::Bind { host, port, source })
}

/// A socket's buffer where the file asks for one. The original's default of 100 KiB is not set: it would keep the system from fitting the
/// buffer to the connection, and no client can tell.
fn buffer_length(config: &BrokerConfig, key: &str, value: i32) -> Option<usize> {
    usize::try_from(value).ok().filter(|length| *length > 0 && config.file().get(key).is_some())
}

/// The address of a host's name, IPv4 first as the JVM prefers it.
pub fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<SocketAddr> = (unbracketed, port).to_socket_addrs()?.collect();
    let first = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).copied();
    first.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")))
}

/// What clients are told: this host's name where none is configured, and the port that was bound where any was asked for.
fn advertised(endpoint: &ConfiguredEndpoint, bound: &[(Listener, String)]) -> Endpoint {
    let port = match endpoint.port {
        0 => bound
            .iter()
            .find(|(_, name)| *name == endpoint.listener)
            .map_or(0, |(listener, _)| i32::from(listener.address().port())),
        port => port,
    };
    Endpoint {
        listener: endpoint.listener.clone(),
        security_protocol: endpoint.protocol.name().to_owned(),
        host: endpoint.host.clone().unwrap_or_else(|| own_name().to_owned()),
        port,
    }
}
