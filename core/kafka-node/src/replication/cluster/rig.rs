//! Brokers, what they asked of their processes, and the links between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use base::{Disk, Job, MemDisk, Monotonic, Next, Now, Parts, Random, Reader, Slow, Str};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_control::znode::{BrokerRegistration, Endpoint, LeaderAndIsr, ReplicaAssignment};
use kafka_control::{PartitionState, TopicPartition};
use kafka_log::{Bound, Loading, Offsets, ReadRequest};
use kafka_proto::messages::{alter_replica_log_dirs, produce};
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};
use kafka_proto::{ErrorCode, Message, Request, frame};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::connection::Connection;
use crate::host::{Fatal, Host};
use crate::partitions::Partition;
use crate::peer::{Peer, PeerEffect};
use crate::startup::manager_config;
use crate::surroundings::LogSurroundings;
use crate::testing;

/// One batch of these values.
pub(super) fn batch(values: &[&str]) -> Bytes {
    let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, Codec::None)).unwrap();
    for value in values {
        builder.append(1_600_000_000_000, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build().unwrap().bytes
}

struct Process {
    now: Mutex<Now>,
    jobs: Mutex<VecDeque<Box<dyn Job>>>,
    alarm: Mutex<Option<Monotonic>>,
    peers: Mutex<Vec<Arc<Peer>>>,
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

    fn fail(&self, reason: Fatal) {
        panic!("{reason}");
    }
}

struct Node {
    broker: Arc<Broker>,
    process: Arc<Process>,
    disk: MemDisk,
    is_cut_off: bool,
}

/// A connection to a broker: a link's, or a client's.
struct Wire {
    connection: Connection,
    to_broker: BytesMut,
    from_broker: BytesMut,
}

struct Link {
    from: usize,
    peer: Arc<Peer>,
    /// Where it leads, while it is connected.
    wire: Option<(usize, Wire)>,
}

/// Brokers 0, 1, ... with one partition, `t-0`.
pub(super) struct Cluster {
    lines: String,
    nodes: Vec<Node>,
    links: Vec<Link>,
    clients: BTreeMap<usize, Wire>,
    state: Option<PartitionState>,
    now: Now,
    /// How often a broker was started again: folders get other names each time.
    starts: u64,
}

impl Cluster {
    pub(super) fn new(count: usize, lines: &str) -> Self {
        let now = Now { monotonic: Monotonic::from_ms(1000), wall_ms: 1_600_000_000_000 };
        let nodes = (0..count).map(|id| start(id, lines, MemDisk::new(), now, 0)).collect();
        let cluster = Self {
            lines: lines.to_owned(),
            nodes,
            links: Vec::new(),
            clients: BTreeMap::new(),
            state: None,
            now,
            starts: 0,
        };
        cluster.introduce();
        cluster
    }

    /// Everybody hears of everybody.
    fn introduce(&self) {
        for node in &self.nodes {
            let brokers = (0..self.nodes.len()).map(registration).collect();
            node.broker.metadata.write().update(0, brokers, Vec::new());
            node.broker.follow_again(self.now);
        }
    }

    /// The controller says who leads, in which epoch, with which ISR; all brokers are replicas.
    pub(super) fn lead(&mut self, leader: i32, leader_epoch: i32, isr: &[i32]) {
        let replicas = (0..self.nodes.len() as i32).collect();
        self.state = Some(PartitionState {
            partition: TopicPartition { topic: "t".to_owned(), partition: 0 },
            leader_and_isr: LeaderAndIsr { leader, leader_epoch, isr: isr.to_vec(), controller_epoch: 1 },
            zk_version: leader_epoch,
            assignment: ReplicaAssignment { replicas, adding: Vec::new(), removing: Vec::new() },
            offline: Vec::new(),
            is_new: true,
        });
        (0..self.nodes.len()).for_each(|id| self.tell(id));
    }

    /// A broker has begun to stop.
    pub(super) fn hand_over(&self, id: usize) {
        self.nodes[id].broker.replication.is_handing_over.store(true, Ordering::Relaxed);
    }

    /// More partitions, from `t-1` on, each as `t-0`.
    pub(super) fn lead_more(&mut self, count: i32) {
        let Some(state) = self.state.clone() else { return };
        let more = (1..=count).map(|number| {
            let mut state = state.clone();
            state.partition.partition = number;
            state
        });
        let more: Vec<_> = more.collect();
        for node in &self.nodes {
            node.broker.become_leader_or_follower(more.clone(), self.now, &Slow::allowed());
        }
    }

    /// How many partitions the followers' next fetches at a broker look at.
    pub(super) fn awake(&self, id: usize) -> usize {
        self.nodes[id].broker.fetch_sessions.awake()
    }

    /// Something happens to a partition that brings no records.
    pub(super) fn wake(&self, id: usize) {
        self.partition(id).wake(&self.nodes[id].broker);
    }

    /// Another partition, `t-1`, is led by a broker that is in sync alone.
    pub(super) fn lead_another(&mut self, leader: i32, leader_epoch: i32) {
        let Some(mut state) = self.state.clone() else { return };
        state.partition.partition = 1;
        (state.leader_and_isr.leader, state.leader_and_isr.leader_epoch) = (leader, leader_epoch);
        state.leader_and_isr.isr = vec![leader];
        for node in &self.nodes {
            node.broker.become_leader_or_follower(vec![state.clone()], self.now, &Slow::allowed());
        }
    }

    /// What the controller said last reaches a broker, unless it is cut off.
    pub(super) fn tell(&mut self, id: usize) {
        let node = &self.nodes[id];
        if let Some(state) = self.state.clone().filter(|_| !node.is_cut_off) {
            node.broker.become_leader_or_follower(vec![state], self.now, &Slow::allowed());
        }
    }

    /// Nothing goes to this broker or comes from it.
    pub(super) fn cut_off(&mut self, id: usize) {
        self.nodes[id].is_cut_off = true;
        let now = self.now;
        for link in &mut self.links {
            let leads_there = link.wire.as_ref().is_some_and(|(to, _)| *to == id);
            if link.from == id || leads_there {
                link.wire = None;
                link.peer.disconnected(now);
            }
        }
    }

    pub(super) fn bring_back(&mut self, id: usize) {
        self.nodes[id].is_cut_off = false;
    }

    /// Another broker takes the place of one that died, with what its disk has; with `kept`, that is all it was given.
    pub(super) fn restart(&mut self, id: usize, kept: bool) {
        self.cut_off(id);
        self.links.retain(|link| link.from != id);
        self.clients.remove(&id);
        let disk = self.nodes[id].disk.clone();
        if kept {
            disk.kill();
        } else {
            disk.crash_losing_all();
        }
        self.starts += 1;
        self.nodes[id] = start(id, &self.lines, disk, self.now, self.starts);
        self.introduce();
    }

    fn partition(&self, id: usize) -> Arc<Partition> {
        let broker = &self.nodes[id].broker;
        broker.partitions.get(broker, "t", 0).unwrap()
    }

    pub(super) fn offsets(&self, id: usize) -> Offsets {
        self.partition(id).log().offsets()
    }

    /// All that the log's file holds from its start.
    pub(super) fn bytes(&self, id: usize) -> Vec<u8> {
        let log = self.partition(id).log();
        let request = ReadRequest {
            offset: log.offsets().log_start,
            max_bytes: 1 << 20,
            min_one_message: true,
            bound: Bound::LogEnd,
            cached_only: false,
        };
        base::read_parts(&log.read(&request).unwrap().records).unwrap()
    }

    /// `segment.bytes` of a replica's log, if it is there.
    pub(super) fn set_segment_bytes(&self, id: usize, segment_bytes: u32) {
        let broker = &self.nodes[id].broker;
        if let Ok(partition) = broker.partitions.get(broker, "t", 0) {
            let config = partition.log().config().as_ref().clone();
            partition.log().set_config(kafka_log::LogConfig { segment_bytes, ..config });
        }
    }

    /// All replicas of the topic are throttled in this direction.
    pub(super) fn throttle(&self, id: usize, side: &str, rate: u64) {
        let broker = &self.nodes[id].broker;
        let set = |key: &str, value: String| BTreeMap::from([(format!("{side}.replication.throttled.{key}"), value)]);
        broker.throttles.set_replicas("t", &set("replicas", "*".to_owned()), broker.id());
        broker.throttles.set_rates(config::broker::Scope::Default, &set("rate", rate.to_string()));
    }

    /// A client has the replica moved, and goes away.
    pub(super) fn begin_move(&self, id: usize, dir: &str) {
        let topics = vec![alter_replica_log_dirs::RequestTopic { name: Str::from_static("t"), partitions: vec![0] }];
        let dirs = vec![alter_replica_log_dirs::Directory { path: Str::copied(dir), topics }];
        let mut wire = connect(&self.nodes[id], self.now);
        let request = frame::request_bytes(&alter_replica_log_dirs::Request { dirs }, 1, 1, None);
        wire.to_broker.put_slice(&request.unwrap());
        wire.turn(self.now);
    }

    /// So many bytes may be copied between log directories in a second.
    pub(super) fn throttle_moves(&self, id: usize, rate: u64) {
        let key = "replica.alter.log.dirs.io.max.bytes.per.second".to_owned();
        let set = BTreeMap::from([(key, rate.to_string())]);
        self.nodes[id].broker.throttles.set_rates(config::broker::Scope::Broker, &set);
    }

    /// The log directory of a replica.
    pub(super) fn log_dir(&self, id: usize) -> String {
        self.partition(id).log().log_dir().to_string_lossy().into_owned()
    }

    /// Folders of partitions in a broker's log directory.
    pub(super) fn folders(&self, id: usize, dir: &str) -> Vec<String> {
        let entries = self.nodes[id].disk.list(std::path::Path::new(dir)).unwrap().into_iter();
        entries.filter(|entry| entry.metadata.is_dir).map(|entry| entry.name).collect()
    }

    /// A broker's disk.
    pub(super) fn disk(&self, id: usize) -> MemDisk {
        self.nodes[id].disk.clone()
    }

    /// The controller takes the replica away, with its log.
    pub(super) fn delete(&self, id: usize) {
        let partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
        let leader_epoch = kafka_control::EPOCH_DURING_DELETE;
        let stopped = kafka_control::StoppedReplica { partition, leader_epoch, delete: true };
        self.nodes[id].broker.stop_replicas(vec![stopped], self.now, &Slow::allowed());
    }

    /// How many segments a log has.
    pub(super) fn segments(&self, id: usize) -> usize {
        self.partition(id).log().segment_count()
    }

    /// The ISR that a leader has or asks for.
    pub(super) fn wanted_isr(&self, id: usize) -> Vec<i32> {
        self.partition(id).wanted_isr()
    }

    /// Moves a log's start, as DeleteRecords does.
    pub(super) fn delete_before(&self, id: usize, offset: i64) {
        self.partition(id).log().increment_log_start_offset(offset).unwrap();
    }

    /// A client sends a batch to a broker.
    pub(super) fn produce(&mut self, id: usize, records: &Bytes, acks: i16) {
        let partition = produce::RequestPartition { partition_index: 0, records: Some(records.clone()) };
        let topics = vec![produce::RequestTopic { name: Str::from_static("t"), partitions: vec![partition] }];
        let request = produce::Request { transactional_id: None, acks, timeout_ms: 60_000, topics };
        self.send(id, &request, 8);
    }

    /// The answer of the last batch that a client sent to the broker, and its first offset.
    pub(super) fn produced(&mut self, id: usize) -> Option<(ErrorCode, i64)> {
        let mut found = None;
        while let Some(response) = self.receive::<produce::Request>(id, 8) {
            let partition = &response.topics[0].partitions[0];
            found = Some((partition.error_code, partition.base_offset));
        }
        found
    }

    /// The answers of all batches that came since this was asked last.
    pub(super) fn all_produced(&mut self, id: usize) -> Vec<(ErrorCode, i64)> {
        let mut all = Vec::new();
        while let Some(response) = self.receive::<produce::Request>(id, 8) {
            let partition = &response.topics[0].partitions[0];
            all.push((partition.error_code, partition.base_offset));
        }
        all
    }

    /// A client asks a broker and is answered.
    pub(super) fn ask<R: Request>(&mut self, id: usize, request: &R, version: i16) -> R::Response {
        self.clients.remove(&id);
        self.send(id, request, version);
        self.settle();
        self.receive::<R>(id, version).expect("an answer")
    }

    pub(super) fn send<R: Request>(&mut self, id: usize, request: &R, version: i16) {
        let now = self.now;
        let wire = self.clients.entry(id).or_insert_with(|| connect(&self.nodes[id], now));
        wire.to_broker.put_slice(&frame::request_bytes(request, version, 1, None).unwrap());
        wire.turn(now);
    }

    pub(super) fn receive<R: Request>(&mut self, id: usize, version: i16) -> Option<R::Response> {
        let wire = self.clients.get_mut(&id)?;
        let length = u32::from_be_bytes(*wire.from_broker.first_chunk()?) as usize;
        let bytes = wire.from_broker.split_to(4 + length).split_off(4).freeze();
        let mut reader = Reader::new(&bytes);
        frame::ResponseHeader::decode(R::KEY.response_header_version(version), &mut reader).unwrap();
        Some(R::Response::decode(version, &mut reader).unwrap())
    }

    /// Time goes by, and everything that is due happens.
    pub(super) fn advance(&mut self, ms: u64) {
        self.pass(ms);
        self.settle();
    }

    /// A few things happen, in an order of chance.
    pub(super) fn run_some(&mut self, random: &mut Random, count: usize) {
        for _ in 0..count {
            let place = random.below((self.nodes.len() + self.links.len() + 1) as u64) as usize;
            match place.checked_sub(self.nodes.len()) {
                None => _ = self.run_node(place),
                Some(index) if index < self.links.len() => _ = self.run_link(index),
                Some(_) => self.clients.values_mut().for_each(|wire| _ = wire.turn(self.now)),
            }
        }
    }

    /// Time goes by.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now.monotonic = self.now.monotonic.plus_ms(ms);
        self.now.wall_ms += ms as i64;
        for node in &self.nodes {
            *node.process.now.lock() = self.now;
        }
        for link in &self.links {
            if link.peer.deadline().is_some_and(|at| at <= self.now.monotonic) {
                link.peer.tick(self.now);
            }
        }
    }

    pub(super) fn advance_by_steps(&mut self, ms: u64, step_ms: u64) {
        (0..ms / step_ms).for_each(|_| self.advance(step_ms));
    }

    /// Lets everything happen that is due.
    pub(super) fn settle(&mut self) {
        for _ in 0..100_000 {
            let mut some = false;
            for id in 0..self.nodes.len() {
                some |= self.run_node(id);
            }
            for index in 0..self.links.len() {
                some |= self.run_link(index);
            }
            for wire in self.clients.values_mut() {
                some |= wire.turn(self.now);
            }
            if !some {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    fn run_node(&mut self, id: usize) -> bool {
        let node = &self.nodes[id];
        let mut some = false;
        for peer in node.process.peers.lock().drain(..) {
            self.links.push(Link { from: id, peer, wire: None });
            some = true;
        }
        let job = node.process.jobs.lock().pop_front();
        if let Some(mut job) = job {
            some = true;
            if job.step(&Slow::allowed()) == Next::More {
                node.process.jobs.lock().push_back(job);
            }
        }
        if node.process.alarm.lock().is_some_and(|at| at <= self.now.monotonic) {
            node.process.alarm.lock().take();
            node.broker.tick(self.now);
            some = true;
        }
        some
    }

    fn run_link(&mut self, index: usize) -> bool {
        let now = self.now;
        let mut some = false;
        let effects = self.links[index].peer.take_effects();
        for effect in effects {
            some = true;
            let link = &mut self.links[index];
            match effect {
                PeerEffect::Connect { port, .. } => {
                    let to = usize::from(port) - 9000;
                    if self.nodes[to].is_cut_off || self.nodes[link.from].is_cut_off {
                        link.peer.disconnected(now);
                    } else {
                        link.wire = Some((to, connect(&self.nodes[to], now)));
                        link.peer.connected(now);
                    }
                }
                PeerEffect::Send(bytes) => {
                    if let Some((_, wire)) = &mut link.wire {
                        wire.to_broker.put_slice(&bytes);
                    }
                }
                PeerEffect::Disconnect => link.wire = None,
            }
        }
        let link = &mut self.links[index];
        if let Some((_, wire)) = &mut link.wire
            && wire.turn(now)
        {
            some = true;
            link.peer.received(&mut wire.from_broker, now);
        }
        some
    }
}

impl Wire {
    /// Whether anything came of it.
    fn turn(&mut self, now: Now) -> bool {
        let mut parts = Parts::new();
        let had_input = !self.to_broker.is_empty();
        self.connection.turn(&mut self.to_broker, now, &mut parts).unwrap();
        let some = !parts.is_empty() || (had_input && self.to_broker.is_empty());
        self.from_broker.extend_from_slice(&base::read_parts(&parts).unwrap());
        some
    }
}

fn endpoint(id: usize) -> Endpoint {
    Endpoint {
        listener: "PLAINTEXT".to_owned(),
        security_protocol: "PLAINTEXT".to_owned(),
        host: "localhost".to_owned(),
        port: 9000 + id as i32,
    }
}

fn registration(id: usize) -> BrokerRegistration {
    BrokerRegistration {
        id: id as i32,
        version: 5,
        endpoints: vec![endpoint(id)],
        rack: Some(format!("rack-{id}")),
        jmx_port: -1,
        timestamp_ms: 0,
    }
}

/// A broker with its logs, and without a controller.
fn start(id: usize, lines: &str, disk: MemDisk, now: Now, seed: u64) -> Node {
    let process = Arc::new(Process {
        now: Mutex::new(now),
        jobs: Mutex::default(),
        alarm: Mutex::default(),
        peers: Mutex::default(),
    });
    let config = testing::config(&format!("broker.id={id}\nlog.dirs=/kafka\n{lines}"));
    let broker = Broker::new(config, vec![endpoint(id)], process.clone(), Random::from_seed(id as u64));
    let surroundings = Arc::new(LogSurroundings::new(&broker));
    let log_config = broker.log_config_of("t");
    let of_topic = Arc::new(move |_: &str| log_config.clone());
    let manager = manager_config(&broker.settings());
    let loading =
        Loading::begin(Arc::new(disk.clone()), surroundings, manager, of_topic, Random::from_seed(seed), now).unwrap();
    for mut job in loading.jobs() {
        while job.step(&Slow::allowed()) == Next::More {}
    }
    broker.set_logs(loading.finish(now, &Slow::allowed()).unwrap());
    Node { broker, process, disk, is_cut_off: false }
}

fn connect(node: &Node, now: Now) -> Wire {
    let waker = Waker::noop();
    let peer: std::net::SocketAddr = "127.0.0.1:50000".parse().unwrap();
    let Poll::Ready(Ok(place)) = node.broker.poll_admit("PLAINTEXT", peer.ip(), waker, now) else {
        panic!("the broker is full")
    };
    let connection = node.broker.accept(0, "PLAINTEXT".to_owned(), peer, place, waker.clone(), now);
    Wire { connection, to_broker: BytesMut::new(), from_broker: BytesMut::new() }
}
