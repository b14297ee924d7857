//! Drives one ZooKeeper server: sockets, disk threads and the clock around the state machine of `zk-node`.
//!
//! Each event loop collects what its connections bring, and hands it over when all that was ready has been read: one
//! turn for many events, and for a lone request no other thread. Whoever finds the machine busy leaves its events for the one
//! that is at it. Replies are queued under the machine's lock, so that their order is the machine's, and written after it, from the
//! thread that ran the turn. A finished sync is a turn of the disk thread's own.

mod peers;
mod ports;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::{Monotonic, Part, Random, Slow};
use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use zk_node::{ConnectionId, Effect, Effects, Event, Lane, PeerPort, Server, ServerConfig, StartError, StopReason};

pub use peers::{BoundPeers, PeerBindError, bind_peer_ports};
use peers::{Happened, How, Peers};
use ports::{Port, Ports};

use crate::logging::{Level, Log};
use crate::net::{Connection, Handler, Limits, Listener};
use crate::tls::ZooKeeperTls;
use crate::{Priority, SerialLane, System};

/// Turns that a thread runs for others before it goes back to its own work.
const TURNS_MAX: usize = 16;

/// The original's class that accepts clients.
const ACCEPT_LOGGER: &str = "org.apache.zookeeper.server.NIOServerCnxnFactory";
/// The original's class that accepts clients with TLS.
const TLS_LOGGER: &str = "org.apache.zookeeper.server.NettyServerCnxnFactory";
/// The original's class that keeps certificates.
const STORES_LOGGER: &str = "org.apache.zookeeper.common.X509Util";
/// How often changed certificates are looked for.
const RELOADS: Duration = Duration::from_secs(1);
/// The original's class that accepts other servers.
const PEER_ACCEPT_LOGGER: &str = "org.apache.zookeeper.server.quorum.QuorumCnxManager";

/// A running ZooKeeper server. Clones share it.
#[derive(Clone)]
pub struct ZooKeeper {
    shared: Arc<Shared>,
}

struct Shared {
    system: System,
    log: Log,
    machine: Mutex<Machine>,
    /// Events of those who found the machine busy.
    left: Mutex<Vec<Input>>,
    /// What each loop has collected.
    collected: Vec<Collected>,
    connection_serial: AtomicU64,
    link_serial: Arc<AtomicU64>,
    tls: ZooKeeperTls,
    /// How other servers are met.
    meet_peers: How,
    /// When a tick is wanted, in nanoseconds; `u64::MAX` for never.
    deadline: AtomicU64,
    /// The deadline came nearer.
    deadline_moved: Notify,
    background_lane: SerialLane,
    ports: Ports,
    stopped: watch::Sender<Option<StopReason>>,
}

struct Machine {
    server: Server,
    effects: Effects,
    connections: HashMap<ConnectionId, Arc<Connection>>,
    peers: Peers,
    /// Their peers send no more; forgotten when what came before is answered.
    ended: Vec<ConnectionId>,
    /// Connections with output to be written once the lock is free.
    to_flush: Vec<Arc<Connection>>,
}

#[derive(Default)]
struct Collected {
    inputs: Mutex<Vec<Input>>,
    some: Notify,
}

enum Input {
    Opened(ConnectionId, Arc<Connection>, Certificates),
    Link(Happened),
    Event(Event),
}

/// What a client showed; none of one who came in plain text.
type Certificates = Option<Box<[Bytes]>>;

impl ZooKeeper {
    /// Recovers the data and starts the machine; it serves what [`ZooKeeper::serve`] brings. May wait for the disk.
    pub fn open(
        config: ServerConfig,
        tls: ZooKeeperTls,
        system: System,
        log: Log,
        random: Random,
    ) -> Result<Self, StartError> {
        let mut effects = Effects::new();
        let now = system.clock.now();
        let keep_alive = config.member.as_ref().is_some_and(|member| member.keep_alive);
        let meet_peers = How { keep_alive, tls: tls.peers.clone() };
        let server = Server::open(config, Arc::clone(&system.disk), random, now, &mut effects, &Slow::allowed())?;
        let shared = Arc::new(Shared {
            machine: Mutex::new(Machine {
                server,
                effects,
                connections: HashMap::new(),
                peers: Peers::new(meet_peers.clone()),
                ended: Vec::new(),
                to_flush: Vec::new(),
            }),
            left: Mutex::default(),
            collected: (0..system.loops.count()).map(|_| Collected::default()).collect(),
            connection_serial: AtomicU64::new(1),
            link_serial: Arc::new(AtomicU64::new(1)),
            tls,
            meet_peers,
            deadline: AtomicU64::new(u64::MAX),
            deadline_moved: Notify::new(),
            background_lane: system.disk_threads.serial(Priority::Background),
            ports: Ports::default(),
            stopped: watch::channel(None).0,
            system,
            log,
        });
        for index in 0..shared.collected.len() {
            shared.system.loops.get(index).spawn(run_turns(Arc::clone(&shared), index));
        }
        shared.system.loops.get(0).spawn(run_ticks(Arc::clone(&shared)));
        if shared.tls.peers.as_ref().is_some_and(|peers| peers.reload) {
            shared.system.loops.get(0).spawn(run_reloads(Arc::clone(&shared)));
        }
        shared.run_turn(&mut Vec::new());
        Ok(Self { shared })
    }

    /// Accepts clients on a listener; `secure` if it is the TLS port.
    pub fn serve(&self, listener: Listener, secure: bool) {
        self.shared.accept(Port::Clients { secure }, listener);
    }

    /// Accepts other servers on one of the ports that [`bind_peer_ports`] has bound.
    pub fn serve_peers(&self, listener: Listener, port: PeerPort) {
        self.shared.accept(Port::Peers(port), listener);
    }

    /// Tells the log that it serves, unless it has ended already: no such line may come behind the one that says why.
    pub fn tell_started(&self, logger: &'static str) {
        // Its end is told under the same lock.
        let machine = self.shared.machine.lock();
        if self.shared.stopped.borrow().is_none() {
            self.shared.log.write(Level::Info, logger, "started");
        }
        drop(machine);
        // Who found it busy has left something.
        self.shared.run_turn(&mut Vec::new());
    }

    /// Asks the server to stop in good order.
    pub fn stop(&self) {
        self.shared.collect(0, Input::Event(Event::Stop));
    }

    /// Waits for its end.
    pub async fn stopped(&self) -> StopReason {
        let mut stopped = self.shared.stopped.subscribe();
        let reason = stopped.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or(StopReason::Requested)
    }
}

/// Runs a turn for the loop whenever something was collected, behind all tasks that are ready.
async fn run_turns(shared: Arc<Shared>, index: usize) {
    let Some(collected) = shared.collected.get(index) else { return };
    let mut inputs = Vec::new();
    loop {
        collected.some.notified().await;
        std::mem::swap(&mut inputs, &mut *collected.inputs.lock());
        shared.run_turn(&mut inputs);
    }
}

/// Brings a tick at each deadline.
async fn run_ticks(shared: Arc<Shared>) {
    loop {
        let deadline = shared.deadline.load(Ordering::Acquire);
        if deadline == u64::MAX {
            shared.deadline_moved.notified().await;
            continue;
        }
        let at = shared.system.clock.instant(Monotonic::from_nanoseconds(deadline));
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {
                // The tick's turn sets the next one.
                if shared.deadline.compare_exchange(deadline, u64::MAX, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    shared.collect(0, Input::Event(Event::Tick));
                }
            }
            () = shared.deadline_moved.notified() => {}
        }
    }
}

/// Looks now and then whether the certificates for other servers have changed.
async fn run_reloads(shared: Arc<Shared>) {
    shared.log.write(Level::Info, STORES_LOGGER, "enabling cert file reloading");
    let mut moments = tokio::time::interval(RELOADS);
    loop {
        moments.tick().await;
        let shared = Arc::clone(&shared);
        let background = shared.background_lane.clone();
        background.submit(base::once(move |_| {
            let Some(peers) = &shared.tls.peers else { return };
            match peers.tls.reload() {
                Ok(false) => {}
                Ok(true) => {
                    shared.log.write(Level::Info, STORES_LOGGER, "The certificates for other servers are read anew");
                }
                Err(error) => {
                    let text = format!("Changed certificates are not used, those before stay: {error}");
                    shared.log.write(Level::Error, STORES_LOGGER, text);
                }
            }
        }));
    }
}

impl Shared {
    /// Accepts whoever comes to a port.
    fn accept(self: &Arc<Self>, port: Port, listener: Listener) {
        let task = match port {
            Port::Clients { secure } => self.accept_clients(listener, secure),
            Port::Peers(port) => self.accept_peers(listener, port),
        };
        self.ports.add(port, task);
    }

    fn accept_clients(self: &Arc<Self>, listener: Listener, secure: bool) -> JoinHandle<()> {
        let (shared, log) = (Arc::clone(self), self.log.clone());
        let serve = move |stream: TcpStream, peer: SocketAddr, index: usize| {
            let shared = Arc::clone(&shared);
            async move {
                let received = match &shared.tls.clients {
                    Some(tls) if secure || tls.unified => tls.receive(stream, peer, secure).await,
                    _ => Ok(stream.into()),
                };
                let transport = match received {
                    Ok(transport) => transport,
                    Err(error) => {
                        let text = format!("Unsuccessful handshake with /{peer}: {error}");
                        return shared.log.write(Level::Warn, TLS_LOGGER, text);
                    }
                };
                let shown = || transport.certificates().iter().map(|shown| Bytes::copy_from_slice(shown)).collect();
                let certificates = transport.is_secure().then(shown);
                let open = |connection: &Arc<Connection>| shared.open_connection(connection, index, certificates);
                Connection::serve(transport, peer, Limits::default(), open).await;
            }
        };
        listener.serve(&self.system.loops, serve, move |error: io::Error| {
            log.write(Level::Warn, ACCEPT_LOGGER, format!("Error accepting new connection: {error}"));
        })
    }

    fn accept_peers(self: &Arc<Self>, listener: Listener, port: PeerPort) -> JoinHandle<()> {
        let log = self.log.clone();
        let failed = move |error: io::Error| {
            log.write(Level::Warn, PEER_ACCEPT_LOGGER, format!("Exception while accepting a server: {error}"));
        };
        let serial = Arc::clone(&self.link_serial);
        peers::accept(listener, port, &self.system.loops, self.meet_peers.clone(), serial, self, failed)
    }

    fn open_connection(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        index: usize,
        certificates: Certificates,
    ) -> ClientHandler {
        let id = ConnectionId(self.connection_serial.fetch_add(1, Ordering::Relaxed));
        self.collect(index, Input::Opened(id, Arc::clone(connection), certificates));
        ClientHandler { shared: Arc::clone(self), index, id }
    }

    /// Adds to what a loop has collected, and calls its turn if it is the first.
    fn collect(&self, index: usize, input: Input) {
        let Some(collected) = self.collected.get(index) else { return };
        let mut inputs = collected.inputs.lock();
        inputs.push(input);
        if inputs.len() == 1 {
            drop(inputs);
            collected.some.notify_one();
        }
    }

    /// Feeds `inputs` to the machine, or leaves them to the thread that is at it. Runs on any thread.
    fn run_turn(self: &Arc<Self>, inputs: &mut Vec<Input>) {
        let Some(mut machine) = self.try_lock_or_leave(inputs) else { return };
        let mut to_flush = Vec::new();
        for _ in 0..TURNS_MAX {
            let machine_ref = &mut *machine;
            // What was left came before: its loop may be the one that now brings more.
            let left = std::mem::take(&mut *self.left.lock());
            for input in left.into_iter().chain(inputs.drain(..)) {
                self.feed(machine_ref, input);
            }
            machine_ref.server.end_turn(self.system.clock.now(), &mut machine_ref.effects);
            self.carry_out(machine_ref);
            std::mem::swap(&mut to_flush, &mut machine_ref.to_flush);
            drop(machine);
            for connection in to_flush.drain(..) {
                connection.flush();
            }
            // Whoever left something before the lock was free is seen here; later ones find it free.
            if self.left.lock().is_empty() {
                return;
            }
            match self.machine.try_lock() {
                Some(again) => machine = again,
                None => return,
            }
        }
        drop(machine);
        // Others bring more than this thread should serve at once: a turn of loop 0 takes what is left.
        self.call_turn(0);
    }

    fn try_lock_or_leave(&self, inputs: &mut Vec<Input>) -> Option<MutexGuard<'_, Machine>> {
        self.machine.try_lock().or_else(|| {
            self.left.lock().append(inputs);
            self.machine.try_lock()
        })
    }

    fn call_turn(&self, index: usize) {
        if let Some(collected) = self.collected.get(index) {
            collected.some.notify_one();
        }
    }

    fn feed(&self, machine: &mut Machine, input: Input) {
        let event = match input {
            Input::Opened(id, connection, certificates) => {
                let peer = connection.peer();
                machine.connections.insert(id, connection);
                Event::Opened { connection: id, peer, certificates }
            }
            Input::Link(happened) => match machine.peers.note(happened) {
                Some(event) => Event::Link(event),
                None => return,
            },
            Input::Event(event) => {
                if let Event::Closed { connection } = &event {
                    machine.ended.push(*connection);
                }
                event
            }
        };
        machine.server.handle(event, self.system.clock.now(), &mut machine.effects);
    }

    /// Queues what is to be sent, starts disk work, and notes when a tick is wanted.
    fn carry_out(self: &Arc<Self>, machine: &mut Machine) {
        for effect in machine.effects.drain(..) {
            match effect {
                Effect::Send { connection, bytes } => {
                    if let Some(connection) = machine.connections.get(&connection) {
                        connection.queue(Part::Bytes(bytes));
                        machine.to_flush.push(Arc::clone(connection));
                    }
                }
                Effect::PauseReading(connection) => with(&machine.connections, connection, Connection::pause),
                Effect::ResumeReading(connection) => with(&machine.connections, connection, Connection::resume),
                Effect::Close(connection) => with(&machine.connections, connection, Connection::close),
                Effect::Disk(task) => {
                    let lane = task.lane();
                    let shared = Arc::clone(self);
                    let job = task.into_job(move |done| shared.run_turn(&mut vec![Input::Event(Event::Disk(done))]));
                    match lane {
                        // One at a time by itself; the next one starts on another thread while this one still answers.
                        Lane::Log => self.system.disk_threads.submit(Priority::Sync, job),
                        Lane::Background => self.background_lane.submit(job),
                    }
                }
                Effect::ServeClients(address) => {
                    let backlog = Some(machine.server.config().client_port_listen_backlog);
                    self.move_port(Port::Clients { secure: false }, vec![address], backlog);
                }
                Effect::ServePeers { port, addresses } => {
                    let member = machine.server.config().member.as_ref();
                    let everywhere = member.is_some_and(|member| member.listen_on_all_addresses);
                    self.move_port(Port::Peers(port), peers::bind_addresses(&addresses, everywhere), None);
                }
                Effect::Link(effect) => {
                    machine.peers.carry_out(effect, &self.system.loops, self, &mut machine.to_flush);
                }
                Effect::Log(line) => match line.message.split_once('\n') {
                    Some((message, exception)) => {
                        let (message, exception) = (message.to_owned(), Some(exception.to_owned()));
                        self.log.write_with(line.level.into(), line.logger, message, exception);
                    }
                    None => self.log.write(line.level.into(), line.logger, line.message),
                },
                Effect::Stop(reason) => {
                    self.stopped.send_replace(Some(reason));
                }
            }
        }
        for ended in machine.ended.drain(..) {
            if let Some(connection) = machine.connections.remove(&ended) {
                connection.close();
            }
        }
        self.note_deadline(machine.server.deadline());
    }

    fn note_deadline(&self, deadline: Option<Monotonic>) {
        let deadline = deadline.map_or(u64::MAX, Monotonic::nanoseconds);
        let before = self.deadline.swap(deadline, Ordering::AcqRel);
        if deadline < before {
            self.deadline_moved.notify_one();
        }
    }
}

impl peers::Observer for Shared {
    fn happened(&self, index: usize, happened: Happened) {
        self.collect(index, Input::Link(happened));
    }
}

fn with(connections: &HashMap<ConnectionId, Arc<Connection>>, id: ConnectionId, act: impl FnOnce(&Connection)) {
    if let Some(connection) = connections.get(&id) {
        act(connection);
    }
}

/// One client's connection on its loop.
struct ClientHandler {
    shared: Arc<Shared>,
    index: usize,
    id: ConnectionId,
}

impl Handler for ClientHandler {
    fn received(&mut self, chunk: BytesMut) {
        let bytes = chunk.freeze();
        self.shared.collect(self.index, Input::Event(Event::Received { connection: self.id, bytes }));
    }

    fn congested(&mut self, congested: bool) {
        let event = Event::Congested { connection: self.id, congested };
        self.shared.collect(self.index, Input::Event(event));
    }

    fn closed(&mut self) {
        self.shared.collect(self.index, Input::Event(Event::Closed { connection: self.id }));
    }
}
