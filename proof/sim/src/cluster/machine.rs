//! One broker of the world: its process, disk, clock, and what it has to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use base::{Job, MemDisk, Monotonic, Now, Random};
use bytes::{Bytes, BytesMut};
use config::{BrokerConfig, Properties};
use kafka_control::znode::Endpoint;
use kafka_node::{Broker, Connection, Fatal, Host, Peer};
use parking_lot::Mutex;

use super::settings::{self, BrokerId, Draw, PORT};
use crate::clock::Clock;

/// What is woken inside of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A client's connection, by number.
    Connection(u64),
    /// A link to another broker, by number.
    Peer(u64),
    /// The session with ZooKeeper.
    ZooKeeper,
}

/// The process around a broker: takes what it asks for until the world looks.
pub(crate) struct Process {
    now: Mutex<Now>,
    asked: Mutex<Asked>,
}

/// What a broker asked for.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) jobs: Vec<Box<dyn Job>>,
    pub(crate) alarm: Option<Monotonic>,
    pub(crate) peers: Vec<Arc<Peer>>,
    pub(crate) woken: BTreeSet<Part>,
    pub(crate) failed: Option<String>,
}

impl Process {
    pub(crate) fn take(&self) -> Asked {
        std::mem::take(&mut self.asked.lock())
    }
}

impl Host for Process {
    fn now(&self) -> Now {
        *self.now.lock()
    }

    fn submit(&self, job: Box<dyn Job>) {
        self.asked.lock().jobs.push(job);
    }

    fn alarm(&self, at: Monotonic) {
        let mut asked = self.asked.lock();
        asked.alarm = Some(asked.alarm.map_or(at, |before| before.min(at)));
    }

    fn zookeeper_ready(&self) {
        self.asked.lock().woken.insert(Part::ZooKeeper);
    }

    fn run_peer(&self, peer: Arc<Peer>) {
        self.asked.lock().peers.push(peer);
    }

    fn fail(&self, reason: Fatal) {
        self.asked.lock().failed.get_or_insert(reason.to_string());
    }
}

/// Wakes a part of a process that may be gone.
struct PartWaker(Weak<Process>, Part);

impl Wake for PartWaker {
    fn wake(self: Arc<Self>) {
        if let Some(process) = self.0.upgrade() {
            process.asked.lock().woken.insert(self.1);
        }
    }
}

/// What has happened to a socket and is not told yet.
#[derive(Debug)]
pub(crate) enum Arrived {
    Connected,
    Bytes(Bytes),
    /// Much that was sent is still under way, or no longer so.
    Congested(bool),
    Closed,
}

/// A client's connection.
pub(crate) struct Accepted {
    pub(crate) connection: Connection,
    pub(crate) input: BytesMut,
    pub(crate) arrived: VecDeque<Arrived>,
}

/// A link to another broker.
pub(crate) struct Outgoing {
    pub(crate) peer: Arc<Peer>,
    pub(crate) input: BytesMut,
    pub(crate) arrived: VecDeque<Arrived>,
    /// The attempt to connect that counts.
    pub(crate) attempt: u64,
}

/// The socket of the session with ZooKeeper.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) arrived: VecDeque<Arrived>,
    pub(crate) attempt: u64,
}

/// A broker, running or not.
pub(crate) struct Machine {
    pub(crate) id: BrokerId,
    /// Counts its lives.
    pub(crate) boot: u64,
    pub(crate) broker: Option<Arc<Broker>>,
    pub(crate) process: Arc<Process>,
    pub(crate) disk: MemDisk,
    /// How long a piece of work may take at most.
    pub(crate) disk_us: u64,
    /// A log directory has failed, or is about to: the process is to be started anew.
    pub(crate) disk_failed: bool,
    /// Nothing can be read in a log directory.
    pub(crate) is_unreadable: bool,
    /// Syncs have failed: what they did not make durable is kept in memory alone, and the machine's power must stay on.
    pub(crate) syncs_failed: bool,
    pub(crate) clock: Clock,
    pub(crate) jobs: BTreeMap<u64, Box<dyn Job>>,
    pub(crate) accepted: BTreeMap<u64, Accepted>,
    pub(crate) outgoing: BTreeMap<u64, Outgoing>,
    pub(crate) session: Session,
    /// Whether its port is open.
    pub(crate) serves: bool,
    /// It was asked to stop, and ends when its session is closed.
    pub(crate) stops: bool,
    /// Parts whose turn is planned.
    pub(crate) planned: BTreeSet<Part>,
    pub(crate) wake_us: Option<u64>,
    /// Nothing of it moves until then.
    pub(crate) stalled_us: u64,
    /// Names everything that is made in the machine.
    serial: u64,
}

impl Machine {
    pub(crate) fn new(id: BrokerId, random: &mut Random) -> Self {
        let disk = MemDisk::new();
        Self {
            id,
            boot: 0,
            broker: None,
            process: Arc::new(process(Now { monotonic: Monotonic::from_ms(0), wall_ms: 0 })),
            disk,
            disk_us: 500,
            disk_failed: false,
            is_unreadable: false,
            syncs_failed: false,
            clock: Clock::new(random),
            jobs: BTreeMap::new(),
            accepted: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            session: Session::default(),
            serves: false,
            stops: false,
            planned: BTreeSet::new(),
            wake_us: None,
            stalled_us: 0,
            serial: 0,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.broker.is_some()
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn waker(&self, part: Part) -> Waker {
        Waker::from(Arc::new(PartWaker(Arc::downgrade(&self.process), part)))
    }

    /// The clock as the process is to see it from now on.
    pub(crate) fn set_now(&self, now_us: u64) -> Now {
        let now = self.clock.now(now_us);
        *self.process.now.lock() = now;
        self.disk.set_wall_ms(now.wall_ms);
        now
    }

    /// Starts a process on what the disk holds.
    pub(crate) fn start(&mut self, draw: &Draw, now_us: u64, random: &mut Random) -> Result<Arc<Broker>, String> {
        self.boot += 1;
        let now = self.clock.now(now_us);
        self.process = Arc::new(process(now));
        let properties = draw.properties(self.id);
        let file = Properties::parse(properties.as_bytes()).map_err(|error| error.to_string())?;
        let (config, _) = BrokerConfig::new(file).map_err(|error| error.to_string())?;
        let advertised = Endpoint {
            listener: "PLAINTEXT".to_owned(),
            security_protocol: "PLAINTEXT".to_owned(),
            host: settings::host(self.id),
            port: i32::from(PORT),
        };
        let seed = Random::from_seed(random.next_u64());
        let broker = Broker::new(config, vec![advertised], self.process.clone(), seed);
        broker.start(Arc::new(self.disk.clone()), now).map_err(|error| error.to_string())?;
        self.broker = Some(broker.clone());
        Ok(broker)
    }

    /// The disk works again, and has room. What has failed to the broker stays so for it.
    pub(crate) fn mend_disk(&mut self) {
        self.disk.heal();
        self.disk.set_free_bytes(None);
        self.is_unreadable = false;
    }

    /// The process is gone, and all that it held.
    pub(crate) fn end(&mut self) {
        self.jobs.clear();
        self.accepted.clear();
        self.outgoing.clear();
        self.session = Session::default();
        self.planned.clear();
        (self.serves, self.stops, self.wake_us, self.stalled_us) = (false, false, None, 0);
        self.broker = None;
    }
}

fn process(now: Now) -> Process {
    Process { now: Mutex::new(now), asked: Mutex::default() }
}
