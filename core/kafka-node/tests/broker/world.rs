//! A broker and its ZooKeeper in one thread: our own server machine, disks in memory, a clock that is moved by hand.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use base::{Disk as _, Job, MemDisk, Monotonic, Next, Now, OpenMode, Part, Parts, Random, Reader, Slow, Str};
use bytes::{BufMut, Bytes, BytesMut};
use config::{BrokerConfig, Properties};
use kafka_control::znode::Endpoint;
use kafka_node::{Broker, Closed, Connection, Fatal, Host, LinkLoss, Loggers, Peer, ZooKeeperEffect};
use kafka_proto::{ApiKey, Message, Request, frame};
use parking_lot::Mutex;
use zk_node::{ConnectionId, DiskTask, Effect, Effects, Event, Server, ServerConfig};

/// What the broker asked of its process.
pub(crate) struct Process {
    now: Mutex<Now>,
    jobs: Mutex<VecDeque<Box<dyn Job>>>,
    alarm: Mutex<Option<Monotonic>>,
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

    fn run_peer(&self, _: Arc<Peer>) {}

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

/// Both servers.
pub(crate) struct World {
    pub(crate) broker: Arc<Broker>,
    pub(crate) process: Arc<Process>,
    disk: MemDisk,
    zookeeper: Server,
    zookeeper_tasks: VecDeque<DiskTask>,
    /// The broker's connection at the server, if there is one.
    link: Option<ConnectionId>,
    links: u64,
    /// Nobody answers where ZooKeeper should be.
    pub(crate) without_zookeeper: bool,
    properties: String,
}

fn start_of_time() -> Now {
    Now { monotonic: Monotonic::from_ms(1000), wall_ms: 1_600_000_000_000 }
}

impl World {
    /// A broker that serves, with these lines in its `server.properties`.
    pub(crate) fn new(lines: &str) -> Self {
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
        let properties = format!("broker.id=0\nzookeeper.connect=localhost:2181\nlog.dirs=/kafka\n{lines}");
        let disk = MemDisk::new();
        let (broker, process) = new_broker(&properties, start_of_time());
        let mut world = Self {
            broker,
            process,
            disk,
            zookeeper,
            zookeeper_tasks: VecDeque::new(),
            link: None,
            links: 0,
            without_zookeeper: false,
            properties,
        };
        world.take_zookeeper(effects);
        world.start();
        world
    }

    fn start(&mut self) {
        let now = self.process.now();
        self.broker.start(Arc::new(self.disk.clone()), now).unwrap();
        self.settle();
        assert_eq!(*self.process.failed.lock(), None, "the broker starts");
    }

    /// Stops the broker cleanly, and starts another on the same disk.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start_anew();
    }

    /// Stops the broker cleanly.
    pub(crate) fn stop(&mut self) {
        self.broker.stop();
        self.settle();
        assert!(self.broker.zookeeper_is_over(), "the session ends with a clean stop");
    }

    /// Starts a broker on the disk of the one before, and stops time at the moment when it lets clients in.
    pub(crate) fn start_until_ready(&mut self) {
        self.link = None;
        (self.broker, self.process) = new_broker(&self.properties, self.process.now());
        let now = self.process.now();
        self.broker.start(Arc::new(self.disk.clone()), now).unwrap();
        while !self.broker.is_ready() {
            assert!(self.run_link() | self.run_jobs() | self.run_alarm(), "the broker never gets ready");
        }
    }

    /// How much room the broker's disk has left; `None` for no limit.
    pub(crate) fn set_free_bytes(&self, bytes: Option<u64>) {
        self.disk.set_free_bytes(bytes);
    }

    /// A bit of a file's last byte flips while nobody looks.
    pub(crate) fn rot_last_byte(&self, path: &str) {
        let path = std::path::Path::new(path);
        let length = self.disk.open(path, OpenMode::Read).unwrap().len().unwrap();
        self.disk.rot(path, length - 1, 0x40).unwrap();
    }

    /// The process dies with what its disk has not made durable; another starts at once, while the old session still lives.
    pub(crate) fn crash(&mut self) {
        self.disk.crash_losing_all();
        if let Some(link) = self.link.take() {
            self.zookeeper_event(Event::Closed { connection: link });
        }
        self.start_anew();
    }

    /// The process is killed in the middle of a clean stop: its logs are shut down, and ZooKeeper has not heard of the end.
    pub(crate) fn stop_and_kill(&mut self) {
        self.broker.stop();
        while self.run_jobs() {}
        assert!(!self.broker.zookeeper_is_over(), "ZooKeeper has heard of the end");
        self.disk.kill();
        if let Some(link) = self.link.take() {
            self.zookeeper_event(Event::Closed { connection: link });
        }
        self.start_anew();
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
        self.disk.inject(dir, base::Fault::Read);
        self.disk.inject(dir, base::Fault::Write);
        self.start_anew();
    }

    /// Whether a file is on the broker's disk.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.disk.metadata(path.as_ref()).unwrap().is_some()
    }

    /// The connection breaks, and there is no other.
    pub(crate) fn lose_zookeeper(&mut self) {
        self.without_zookeeper = true;
        if let Some(link) = self.link.take() {
            self.zookeeper_event(Event::Closed { connection: link });
        }
        self.broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, self.process.now());
    }

    /// Starts a broker on the disk of the one before.
    pub(crate) fn start_anew(&mut self) {
        self.link = None;
        let (broker, process) = new_broker(&self.properties, self.process.now());
        (self.broker, self.process) = (broker, process);
        self.start();
    }

    /// ZooKeeper hears nothing of the broker for so long that its session is over; then they meet again.
    pub(crate) fn expire_session(&mut self) {
        if let Some(link) = self.link.take() {
            self.zookeeper_event(Event::Closed { connection: link });
        }
        self.advance_zookeeper(60_000);
        self.broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, self.process.now());
        for _ in 0..10 {
            self.advance(1000);
        }
    }

    /// Moves the clock, and lets everything happen that is due.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.advance_zookeeper(ms);
        self.settle();
        let now = self.process.now();
        self.broker.zookeeper_tick(now);
        self.settle();
    }

    fn advance_zookeeper(&mut self, ms: u64) {
        {
            let mut now = self.process.now.lock();
            now.monotonic = now.monotonic.plus_ms(ms);
            now.wall_ms += ms as i64;
        }
        self.zookeeper_event(Event::Tick);
    }

    /// Runs jobs, alarms and the talk with ZooKeeper until nothing is left to do.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            if !(self.run_link() | self.run_jobs() | self.run_alarm()) {
                return;
            }
        }
        panic!("the world does not come to rest");
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

    fn run_link(&mut self) -> bool {
        let effects = self.broker.take_zookeeper_effects();
        let some = !effects.is_empty();
        for effect in effects {
            match (effect, self.link) {
                (ZooKeeperEffect::Connect(_), _) if self.without_zookeeper => {
                    let refused = LinkLoss::Failed("java.net.ConnectException: Connection refused".to_owned());
                    self.broker.zookeeper_disconnected("zookeeper", &refused, self.process.now());
                }
                (ZooKeeperEffect::Connect(_), _) => {
                    self.links += 1;
                    let connection = ConnectionId(self.links);
                    self.link = Some(connection);
                    let peer = "127.0.0.1:40000".parse().unwrap();
                    self.zookeeper_event(Event::Opened { connection, peer, certificates: None });
                    self.broker.zookeeper_connected("zookeeper", self.process.now());
                }
                (ZooKeeperEffect::Send(bytes), Some(connection)) => {
                    self.zookeeper_event(Event::Received { connection, bytes });
                }
                (ZooKeeperEffect::Disconnect, Some(connection)) => {
                    self.link = None;
                    self.zookeeper_event(Event::Closed { connection });
                }
                (_, None) => {}
            }
        }
        some
    }

    fn zookeeper_event(&mut self, event: Event) {
        let now = self.process.now();
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
                Effect::Send { connection, bytes } if Some(connection) == self.link => {
                    self.broker.zookeeper_received(&bytes, self.process.now());
                    // As the host: what the bytes lead to is done before the socket is looked at again.
                    self.run_link();
                }
                Effect::Close(connection) if Some(connection) == self.link => {
                    self.link = None;
                    self.broker.zookeeper_disconnected("zookeeper", &LinkLoss::Ended, self.process.now());
                }
                Effect::Disk(task) => self.zookeeper_tasks.push_back(task),
                _ => {}
            }
        }
    }

    /// A client that connects to the broker.
    pub(crate) fn connect(&self) -> Client {
        let waker = Waker::from(Arc::new(NoWake));
        let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        let now = self.process.now();
        let Poll::Ready(Ok(place)) = self.broker.poll_admit("PLAINTEXT", peer.ip(), &waker, now) else {
            panic!("the broker is full")
        };
        let connection = self.broker.accept(0, "PLAINTEXT".to_owned(), peer, place, waker, now);
        Client { connection, input: BytesMut::new(), output: BytesMut::new(), correlation_id: 0 }
    }

    /// Asks and waits for the answer, as long as nothing but work stands in its way.
    pub(crate) fn ask<R: Request>(&mut self, client: &mut Client, request: &R, version: i16) -> R::Response {
        client.send(self, request, version);
        self.settle();
        client.receive::<R>(self, version).expect("an answer")
    }
}

fn new_broker(properties: &str, now: Now) -> (Arc<Broker>, Arc<Process>) {
    let process = Arc::new(Process {
        now: Mutex::new(now),
        jobs: Mutex::default(),
        alarm: Mutex::default(),
        failed: Mutex::default(),
        levels: Levels::default(),
    });
    let (config, _) = BrokerConfig::new(Properties::parse(properties.as_bytes()).unwrap()).unwrap();
    let advertised = Endpoint {
        listener: "PLAINTEXT".to_owned(),
        security_protocol: "PLAINTEXT".to_owned(),
        host: "localhost".to_owned(),
        port: 9092,
    };
    (Broker::new(config, vec![advertised], process.clone(), Random::from_seed(7)), process)
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
        for part in parts {
            match part {
                Part::Bytes(bytes) => self.output.put_slice(&bytes),
                Part::Range { file, position, length } => {
                    let mut bytes = vec![0; length as usize];
                    assert_eq!(file.read_at(&mut bytes, position).unwrap(), bytes.len());
                    self.output.put_slice(&bytes);
                }
            }
        }
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
