//! Brokers and their ZooKeeper in one thread: our own server machine, disks in memory, links between brokers, a clock that is moved by
//! hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use base::{Disk as _, Fault, Job, MemDisk, Monotonic, Next, Now, OpenMode, Parts, Random, Reader, Slow, Str};
use bytes::{BufMut, Bytes, BytesMut};
use config::{BrokerConfig, Properties};
use kafka_control::znode::Endpoint;
use kafka_node::{Broker, Closed, Connection, Fatal, Host, LinkLoss, Loggers, Peer, PeerEffect, ZooKeeperEffect};
use kafka_proto::{ApiKey, Message, Request, frame};
use parking_lot::Mutex;
use zk_node::{ConnectionId, DiskTask, Effect, Effects, Event, Server, ServerConfig};

/// What the broker asked of its process.
pub(crate) struct Process {
    now: Mutex<Now>,
    jobs: Mutex<VecDeque<Box<dyn Job>>>,
    alarm: Mutex<Option<Monotonic>>,
    /// Links to other brokers that are to be run.
    peers: Mutex<Vec<Arc<Peer>>>,
    pub(crate) failed: Mutex<Option<String>>,
    pub(crate) levels: Levels,
}

/// Two loggers.
#[derive(Default)]
pub(crate) struct Levels(Mutex<BTreeMap<String, String>>);

impl Loggers for Levels {
    fn levels(&self) -> BTreeMap<String, String> {
        let mut levels = BTreeMap::from([("root".to_owned(), "INFO".to_owned())]);
        levels.insert("kafka.server.KafkaApis".to_owned(), "INFO".to_owned());
        levels.extend(self.0.lock().clone());
        levels
    }

    fn set_level(&self, logger: &str, level: Option<&str>) {
        match level {
            Some(level) => self.0.lock().insert(logger.to_owned(), level.to_owned()),
            None => self.0.lock().remove(logger),
        };
    }
}

impl Host for Process {
    fn now(&self) -> Now {
        *self.now.lock()
    }

    fn submit(&self, job: Box<dyn Job>) {
        self.jobs.lock().push_back(job);
    }

    fn alarm(&self, at: Monotonic) {
        let mut alarm = self.alarm.lock();
        *alarm = Some(alarm.map_or(at, |before| before.min(at)));
    }

    fn zookeeper_ready(&self) {}

    fn run_peer(&self, peer: Arc<Peer>) {
        self.peers.lock().push(peer);
    }

    fn loggers(&self) -> &dyn Loggers {
        &self.levels
    }

    fn fail(&self, reason: Fatal) {
        *self.failed.lock() = Some(reason.to_string());
    }
}

struct NoWake;

impl Wake for NoWake {
    fn wake(self: Arc<Self>) {}
}

/// One broker's process.
pub(crate) struct Node {
    pub(crate) broker: Arc<Broker>,
    pub(crate) process: Arc<Process>,
    disk: MemDisk,
    /// The broker's connection at the ZooKeeper server, if there is one.
    link: Option<ConnectionId>,
    /// Links to other brokers.
    peers: Vec<PeerLink>,
    properties: String,
    /// Where it listens, each by a port that no other broker has.
    endpoints: Vec<Endpoint>,
    index: usize,
    /// Its process has ended.
    pub(crate) is_down: bool,
}

/// A link to another broker, and the connection there that it is connected to.
struct PeerLink {
    peer: Arc<Peer>,
    connection: Option<(usize, String, Connection)>,
    to_server: BytesMut,
    to_client: BytesMut,
}

/// The brokers and their ZooKeeper. As a [`Node`] it is the first of them.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    zookeeper: Server,
    zookeeper_tasks: VecDeque<DiskTask>,
    links: u64,
    /// Nobody answers where ZooKeeper should be.
    pub(crate) without_zookeeper: bool,
    /// What brokers asked others, with the listener at which they did.
    pub(crate) asked: Mutex<BTreeSet<(String, ApiKey)>>,
    /// Brokers that can't be reached by others.
    pub(crate) unreachable: BTreeSet<usize>,
    /// So many more pieces of what ZooKeeper says reach the brokers; `None` for all.
    pub(crate) pieces_left: Option<usize>,
}

impl Deref for World {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.nodes[0]
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.nodes[0]
    }
}

fn start_of_time() -> Now {
    Now { monotonic: Monotonic::from_ms(1000), wall_ms: 1_600_000_000_000 }
}

impl Node {
    fn new(index: usize, lines: &str, now: Now) -> Self {
        let port = 9092 + index;
        let properties = format!(
            "broker.id={index}\nzookeeper.connect=localhost:2181\nlog.dirs=/kafka\nlisteners=PLAINTEXT://localhost:{port}\n{lines}"
        );
        let (broker, process, endpoints) = new_broker(&properties, index, now);
        let disk = MemDisk::new();
        Self { broker, process, disk, link: None, peers: Vec::new(), properties, endpoints, index, is_down: false }
    }

    /// Another process on the same disk, with nothing of the one before.
    fn renew(&mut self) {
        self.link = None;
        self.peers.clear();
        self.is_down = false;
        (self.broker, self.process, self.endpoints) = new_broker(&self.properties, self.index, self.process.now());
    }

    fn start(&self) {
        self.broker.start(Arc::new(self.disk.clone()), self.process.now()).unwrap();
    }

    fn run_jobs(&self) -> bool {
        let Some(mut job) = self.process.jobs.lock().pop_front() else { return false };
        if job.step(&Slow::allowed()) == Next::More {
            self.process.jobs.lock().push_back(job);
        }
        true
    }

    fn run_alarm(&self) -> bool {
        let now = self.process.now();
        let is_due = self.process.alarm.lock().is_some_and(|at| at <= now.monotonic);
        if is_due {
            self.process.alarm.lock().take();
            self.broker.tick(now);
        }
        is_due
    }

    /// How much room the broker's disk has left; `None` for no limit.
    pub(crate) fn set_free_bytes(&self, bytes: Option<u64>) {
        self.disk.set_free_bytes(bytes);
    }

    /// What is below this path fails from now on.
    pub(crate) fn inject(&self, path: &str, fault: Fault) {
        self.disk.inject(path, fault);
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.disk.heal();
    }

    /// A bit of a file's last byte flips while nobody looks.
    pub(crate) fn rot_last_byte(&self, path: &str) {
        let path = std::path::Path::new(path);
        let length = self.disk.open(path, OpenMode::Read).unwrap().len().unwrap();
        self.disk.rot(path, length - 1, 0x40).unwrap();
    }

    /// What stands in a file on the broker's disk.
    pub(crate) fn content(&self, path: &str) -> Vec<u8> {
        let file = self.disk.open(path.as_ref(), OpenMode::Read).unwrap();
        let mut content = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        assert_eq!(file.read_at(&mut content, 0).unwrap(), content.len());
        content
    }

    /// Which of `/a` and `/b` holds a partition's log.
    pub(crate) fn directory_of(&self, partition: &str) -> &'static str {
        ["/a", "/b"].into_iter().find(|dir| self.has_file(&format!("{dir}/{partition}"))).expect("a log")
    }

    /// Whether a file is on the broker's disk.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.disk.metadata(path.as_ref()).unwrap().is_some()
    }

    /// A client that connects to the broker.
    pub(crate) fn connect(&self) -> Client {
        self.connect_to("PLAINTEXT")
    }

    /// As [`Node::connect`], at one of its listeners.
    pub(crate) fn connect_to(&self, listener: &str) -> Client {
        let waker = Waker::from(Arc::new(NoWake));
        let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        let now = self.process.now();
        let Poll::Ready(Ok(place)) = self.broker.poll_admit(listener, peer.ip(), &waker, now) else {
            panic!("the broker is full")
        };
        let connection = self.broker.accept(0, listener.to_owned(), peer, place, waker, now);
        Client { connection, input: BytesMut::new(), output: BytesMut::new(), correlation_id: 0 }
    }
}

impl World {
    /// A broker that serves, with these lines in its `server.properties`.
    pub(crate) fn new(lines: &str) -> Self {
        Self::cluster(1, lines)
    }

    /// So many brokers that serve, the first of them the controller; all with these lines in their `server.properties`.
    pub(crate) fn cluster(count: usize, lines: &str) -> Self {
        Self::cluster_of(count, |_| lines.to_owned())
    }

    /// As [`World::cluster`], each broker with lines of its own.
    pub(crate) fn cluster_of(count: usize, lines: impl Fn(usize) -> String) -> Self {
        let mut settings = ServerConfig::new("/zookeeper");
        settings.preallocation = 4096;
        let mut effects = Effects::new();
        let zookeeper_disk = Arc::new(MemDisk::new());
        let zookeeper = Server::open(
            settings,
            zookeeper_disk,
            Random::from_seed(1),
            start_of_time(),
            &mut effects,
            &Slow::allowed(),
        )
        .unwrap();
        let mut world = Self {
            nodes: Vec::new(),
            zookeeper,
            zookeeper_tasks: VecDeque::new(),
            links: 0,
            without_zookeeper: false,
            asked: Mutex::default(),
            unreachable: BTreeSet::new(),
            pieces_left: None,
        };
        world.take_zookeeper(effects);
        for index in 0..count {
            world.nodes.push(Node::new(index, &lines(index), start_of_time()));
            world.start(index);
        }
        world
    }

    fn start(&mut self, index: usize) {
        self.nodes[index].start();
        self.settle();
        assert_eq!(*self.nodes[index].process.failed.lock(), None, "the broker starts");
    }

    /// Starts one more broker; why it failed, if it did.
    pub(crate) fn start_further(&mut self, lines: &str) -> Option<String> {
        let index = self.nodes.len();
        self.nodes.push(Node::new(index, lines, self.now()));
        self.nodes[index].start();
        self.settle();
        self.nodes[index].process.failed.lock().clone()
    }

    /// Stops the broker cleanly, and starts another on the same disk.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start_anew();
    }

    /// As [`World::restart`], with these further lines.
    pub(crate) fn restart_with(&mut self, lines: &str) {
        self.stop();
        self.properties = format!("{}\n{lines}", self.properties);
        self.start_anew();
    }

    /// Stops the broker cleanly.
    pub(crate) fn stop(&mut self) {
        self.stop_node(0);
    }

    /// Stops a broker cleanly.
    pub(crate) fn stop_node(&mut self, index: usize) {
        self.nodes[index].broker.stop();
        self.settle();
        assert!(self.nodes[index].broker.zookeeper_is_over(), "the session ends with a clean stop");
        self.nodes[index].is_down = true;
        self.settle();
    }

    /// A broker's process ends at once, and its session when its time is over; what the disk has stays.
    pub(crate) fn kill_node(&mut self, index: usize) {
        self.nodes[index].is_down = true;
        self.drop_link(index);
        for _ in 0..30 {
            self.advance(1000);
        }
    }

    /// Starts a broker on the disk of the one before.
    pub(crate) fn start_node(&mut self, index: usize) {
        self.nodes[index].renew();
        self.start(index);
    }

    /// As [`World::start_node`], for a broker that need not come up.
    pub(crate) fn begin_anew(&mut self) {
        self.nodes[0].renew();
        self.nodes[0].start();
    }

    /// Starts a broker on the disk of the one before, and stops time at the moment when it lets clients in.
    pub(crate) fn start_until_ready(&mut self) {
        self.begin_anew();
        while !self.broker.is_ready() {
            assert!(self.run_link(0) | self.run_jobs() | self.run_alarm(), "the broker never gets ready");
        }
    }

    /// The process dies with what its disk has not made durable; another starts at once, while the old session still lives.
    pub(crate) fn crash(&mut self) {
        self.disk.crash_losing_all();
        self.drop_link(0);
        self.start_anew();
    }

    /// The process is killed in the middle of a clean stop: its logs are shut down, and ZooKeeper has not heard of the end.
    pub(crate) fn stop_and_kill(&mut self) {
        self.broker.stop();
        while self.run_jobs() {}
        assert!(!self.broker.zookeeper_is_over(), "ZooKeeper has heard of the end");
        self.disk.kill();
        self.drop_link(0);
        self.start_anew();
    }

    fn drop_link(&mut self, index: usize) {
        if let Some(link) = self.nodes[index].link.take() {
            self.zookeeper_event(Event::Closed { connection: link });
        }
    }

    /// Another broker with the same id and these further lines comes up on a disk of its own, while this one's session lives.
    pub(crate) fn start_another(&mut self, lines: &str) {
        self.disk = MemDisk::new();
        self.properties = format!("{}\n{lines}", self.properties);
        self.start_anew();
    }

    /// Stops cleanly, and starts with a log directory that can't be read any more.
    pub(crate) fn restart_without(&mut self, dir: &str) {
        self.broker.stop();
        self.settle();
        self.disk.inject(dir, Fault::Read);
        self.disk.inject(dir, Fault::Write);
        self.start_anew();
    }

    /// The connection breaks, and there is no other.
    pub(crate) fn lose_zookeeper(&mut self) {
        self.without_zookeeper = true;
        self.drop_link(0);
        self.broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, self.process.now());
    }

    /// Starts a broker on the disk of the one before.
    pub(crate) fn start_anew(&mut self) {
        self.start_node(0);
    }

    /// ZooKeeper hears nothing of the broker for so long that its session is over; then they meet again.
    pub(crate) fn expire_session(&mut self) {
        self.drop_link(0);
        self.advance_zookeeper(60_000);
        self.broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, self.process.now());
        for _ in 0..10 {
            self.advance(1000);
        }
    }

    /// Does something while so many more pieces come of what ZooKeeper says; then the session expires. Whether it came to that.
    pub(crate) fn expire_within(&mut self, pieces: usize, act: impl FnOnce(&mut Self)) -> bool {
        self.pieces_left = Some(pieces);
        act(self);
        self.settle();
        let is_cut_off = self.pieces_left.take() == Some(0);
        if is_cut_off {
            self.expire_session();
        }
        is_cut_off
    }

    /// Stops cleanly, and starts anew, with disk threads that do nothing until the session has expired and another has taken its place.
    pub(crate) fn restart_in_two_sessions(&mut self) {
        self.stop();
        self.begin_anew();
        self.talk();
        self.drop_link(0);
        self.advance_zookeeper(60_000);
        self.broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, self.process.now());
        for _ in 0..10 {
            self.advance_zookeeper(1000);
            self.broker.zookeeper_tick(self.process.now());
            self.talk();
        }
    }

    /// The broker and ZooKeeper hear of each other, and no job is done.
    fn talk(&mut self) {
        while self.run_link(0) | self.run_alarm() {}
    }

    /// Moves the clock, and lets everything happen that is due.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.advance_zookeeper(ms);
        self.settle();
        for node in self.nodes.iter().filter(|node| !node.is_down) {
            node.broker.zookeeper_tick(node.process.now());
        }
        self.settle();
    }

    fn advance_zookeeper(&mut self, ms: u64) {
        for node in &self.nodes {
            let mut now = node.process.now.lock();
            now.monotonic = now.monotonic.plus_ms(ms);
            now.wall_ms += ms as i64;
        }
        self.zookeeper_event(Event::Tick);
    }

    /// Runs jobs, alarms and the talk with ZooKeeper and between brokers until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut some = false;
            for index in 0..self.nodes.len() {
                if !self.nodes[index].is_down {
                    some |= self.run_link(index) | self.nodes[index].run_jobs() | self.nodes[index].run_alarm();
                    some |= self.run_peers(index);
                }
            }
            if !some {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    fn run_link(&mut self, index: usize) -> bool {
        let node = &mut self.nodes[index];
        let (broker, now) = (node.broker.clone(), node.process.now());
        let effects = broker.take_zookeeper_effects();
        let some = !effects.is_empty();
        for effect in effects {
            match (effect, self.nodes[index].link) {
                (ZooKeeperEffect::Connect(_), _) if self.without_zookeeper => {
                    let refused = LinkLoss::Failed("java.net.ConnectException: Connection refused".to_owned());
                    broker.zookeeper_disconnected("zookeeper", &refused, now);
                }
                (ZooKeeperEffect::Connect(_), _) => {
                    self.links += 1;
                    let connection = ConnectionId(self.links);
                    self.nodes[index].link = Some(connection);
                    let peer = "127.0.0.1:40000".parse().unwrap();
                    self.zookeeper_event(Event::Opened { connection, peer, certificates: None });
                    broker.zookeeper_connected("zookeeper", now);
                }
                (ZooKeeperEffect::Send(bytes), Some(connection)) => {
                    self.zookeeper_event(Event::Received { connection, bytes });
                }
                (ZooKeeperEffect::Disconnect, Some(connection)) => {
                    self.nodes[index].link = None;
                    self.zookeeper_event(Event::Closed { connection });
                }
                (_, None) => {}
            }
        }
        some
    }

    /// Moves bytes between a broker and those that it has links to.
    fn run_peers(&mut self, index: usize) -> bool {
        let new: Vec<Arc<Peer>> = std::mem::take(&mut *self.nodes[index].process.peers.lock());
        let mut links = std::mem::take(&mut self.nodes[index].peers);
        links.extend(new.into_iter().map(|peer| PeerLink {
            peer,
            connection: None,
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
        }));
        let now = self.nodes[index].process.now();
        let mut some = false;
        for link in &mut links {
            some |= self.run_peer(link, now);
        }
        links.retain(|link| !link.peer.is_over());
        self.nodes[index].peers = links;
        some
    }

    fn run_peer(&self, link: &mut PeerLink, now: Now) -> bool {
        if link.peer.deadline().is_some_and(|deadline| deadline <= now.monotonic) {
            link.peer.tick(now);
        }
        let effects = link.peer.take_effects();
        let mut some = !effects.is_empty();
        for effect in effects {
            match effect {
                PeerEffect::Connect { port, .. } => {
                    let (to, listener) = self.listener_at(port);
                    link.to_server.clear();
                    link.to_client.clear();
                    if self.unreachable.contains(&to) || self.nodes[to].is_down || !self.nodes[to].broker.is_ready() {
                        link.peer.disconnected(now);
                    } else {
                        let connection = self.nodes[to].connect_to(&listener).connection;
                        link.connection = Some((to, listener, connection));
                        link.peer.connected(now);
                    }
                }
                PeerEffect::Send(bytes) => link.to_server.put_slice(&bytes),
                PeerEffect::Disconnect => link.connection = None,
            }
        }
        let Some((to, listener, connection)) = &mut link.connection else { return some };
        self.asked.lock().extend(api_keys(&link.to_server).map(|key| (listener.clone(), key)));
        let mut parts = Parts::new();
        let is_lost = self.unreachable.contains(to)
            || self.nodes[*to].is_down
            || connection.turn(&mut link.to_server, now, &mut parts).is_err();
        some |= !parts.is_empty() | is_lost;
        link.to_client.extend_from_slice(&base::read_parts(&parts).unwrap());
        link.peer.received(&mut link.to_client, now);
        if is_lost {
            link.connection = None;
            link.peer.disconnected(now);
        }
        some
    }

    fn now(&self) -> Now {
        self.nodes.first().map_or_else(start_of_time, |node| node.process.now())
    }

    fn listener_at(&self, port: u16) -> (usize, String) {
        let all = self.nodes.iter().flat_map(|node| node.endpoints.iter().map(|endpoint| (node.index, endpoint)));
        let mut here = all.filter(|(_, endpoint)| endpoint.port == i32::from(port));
        let (index, endpoint) = here.next().expect("somebody listens");
        assert!(here.next().is_none_or(|(_, other)| other == endpoint), "one broker listens");
        (index, endpoint.listener.clone())
    }

    fn zookeeper_event(&mut self, event: Event) {
        let now = self.now();
        let mut effects = Effects::new();
        self.zookeeper.handle(event, now, &mut effects);
        self.zookeeper.end_turn(now, &mut effects);
        self.take_zookeeper(effects);
        while let Some(task) = self.zookeeper_tasks.pop_front() {
            let done = task.run(&Slow::allowed());
            let mut effects = Effects::new();
            self.zookeeper.handle(Event::Disk(done), now, &mut effects);
            self.zookeeper.end_turn(now, &mut effects);
            self.take_zookeeper(effects);
        }
    }

    fn take_zookeeper(&mut self, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Send { connection, bytes } => {
                    let Some(index) = self.node_at(connection) else { continue };
                    match &mut self.pieces_left {
                        Some(0) => continue,
                        Some(left) => *left -= 1,
                        None => {}
                    }
                    let node = &self.nodes[index];
                    node.broker.zookeeper_received(&bytes, node.process.now());
                    // As the host: what the bytes lead to is done before the socket is looked at again.
                    self.run_link(index);
                }
                Effect::Close(connection) => {
                    let Some(index) = self.node_at(connection) else { continue };
                    self.nodes[index].link = None;
                    let node = &self.nodes[index];
                    node.broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, node.process.now());
                }
                Effect::Disk(task) => self.zookeeper_tasks.push_back(task),
                _ => {}
            }
        }
    }

    fn node_at(&self, connection: ConnectionId) -> Option<usize> {
        self.nodes.iter().position(|node| node.link == Some(connection))
    }

    /// Asks and waits for the answer, as long as nothing but work stands in its way.
    pub(crate) fn ask<R: Request>(&mut self, client: &mut Client, request: &R, version: i16) -> R::Response {
        client.send(self, request, version);
        self.settle();
        client.receive::<R>(self, version).expect("an answer")
    }
}

/// The keys of the requests that are here whole.
fn api_keys(mut bytes: &[u8]) -> impl Iterator<Item = ApiKey> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (request, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        bytes = rest;
        Some(ApiKey::from_code(i16::from_be_bytes(*request.first_chunk().unwrap())).unwrap())
    })
}

fn new_broker(properties: &str, index: usize, now: Now) -> (Arc<Broker>, Arc<Process>, Vec<Endpoint>) {
    let process = Arc::new(Process {
        now: Mutex::new(now),
        jobs: Mutex::default(),
        alarm: Mutex::default(),
        peers: Mutex::default(),
        failed: Mutex::default(),
        levels: Levels::default(),
    });
    let (config, _) = BrokerConfig::new(Properties::parse(properties.as_bytes()).unwrap()).unwrap();
    let endpoints = config.settings().listeners.advertised.iter().map(|endpoint| Endpoint {
        listener: endpoint.listener.clone(),
        security_protocol: endpoint.protocol.name().to_owned(),
        host: endpoint.host.clone().unwrap(),
        port: endpoint.port,
    });
    let endpoints: Vec<Endpoint> = endpoints.collect();
    let broker = Broker::new(config, endpoints.clone(), process.clone(), Random::from_seed(7 + index as u64));
    (broker, process, endpoints)
}

/// One client's connection.
pub(crate) struct Client {
    connection: Connection,
    input: BytesMut,
    output: BytesMut,
    correlation_id: i32,
}

impl Client {
    /// Sends a request and lets the broker take a turn.
    pub(crate) fn send<R: Request>(&mut self, world: &World, request: &R, version: i16) {
        self.correlation_id += 1;
        let bytes =
            frame::request_bytes(request, version, self.correlation_id, Some(&Str::from_static("test"))).unwrap();
        self.send_bytes(world, &bytes).unwrap();
    }

    /// Sends requests that arrive in one piece.
    pub(crate) fn send_together<R: Request>(
        &mut self,
        world: &World,
        requests: &[R],
        version: i16,
    ) -> Result<(), Closed> {
        for request in requests {
            self.correlation_id += 1;
            let id = Some(&Str::from_static("test"));
            self.input.put_slice(&frame::request_bytes(request, version, self.correlation_id, id).unwrap());
        }
        self.turn(world)
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, world: &World, bytes: &[u8]) -> Result<(), Closed> {
        self.input.put_slice(bytes);
        self.turn(world)
    }

    fn turn(&mut self, world: &World) -> Result<(), Closed> {
        let mut parts = Parts::new();
        let result = self.connection.turn(&mut self.input, world.process.now(), &mut parts);
        self.output.extend_from_slice(&base::read_parts(&parts).unwrap());
        result.map(drop)
    }

    /// The client closes its side; the broker takes a turn.
    pub(crate) fn leave(&mut self, world: &World) {
        self.connection.peer_left();
        self.turn(world).unwrap();
    }

    /// The next answer, if it is there.
    pub(crate) fn receive<R: Request>(&mut self, world: &World, version: i16) -> Option<R::Response> {
        self.try_receive::<R>(world, version).unwrap()
    }

    /// The next answer, or why the connection was closed.
    pub(crate) fn try_receive<R: Request>(
        &mut self,
        world: &World,
        version: i16,
    ) -> Result<Option<R::Response>, Closed> {
        self.turn(world)?;
        let Some(prefix) = self.output.first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix) as usize;
        let frame: Bytes = self.output.split_to(4 + length).split_off(4).freeze();
        // ApiVersions answers in version 0 what it does not know.
        let mut reader = Reader::new(&frame);
        frame::ResponseHeader::decode(R::KEY.response_header_version(version), &mut reader).unwrap();
        let response = R::Response::decode(version, &mut reader).unwrap();
        assert_eq!(reader.remaining(), 0, "{:?} v{version} has bytes behind it", R::KEY);
        Ok(Some(response))
    }

    /// How many bytes of answers wait.
    pub(crate) fn arrived(&self) -> usize {
        self.output.len()
    }
}

/// All versions of an API.
pub(crate) fn versions(key: ApiKey) -> std::ops::RangeInclusive<i16> {
    key.versions().first..=key.versions().last
}
