//! Brokers of which some run a controller, on one tree of znodes. Each controller's operations are done one by one, so that anything may
//! happen between two of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Now};
use bytes::Bytes;
use kafka_control::znode::{BrokerRegistration, Endpoint, LeaderAndIsr, TopicAssignment};
use kafka_control::{
    Answer, Batch, BatchId, BrokerAnswer, BrokerMessage, Controller, ControllerSettings, CreateMode, Effects, Event,
    Failure, LogLine, MessageBody, Operation, Outcome, PartitionState, Request, RequestId, StoppedReplica,
    TopicPartition,
};
use kafka_proto::ErrorCode;

use crate::zookeeper::ZooKeeper;

/// A broker that runs a controller.
pub(crate) struct Node {
    pub(crate) controller: Controller,
    session: Option<i64>,
    inbox: VecDeque<Arrival>,
    /// In their order. Ahead of the last one are those that were given up, which are done all the same, even in a later session.
    batches: VecDeque<Open>,
}

/// What comes to a controller.
enum Arrival {
    Event(Event),
    Outcomes(BatchId, Vec<Outcome>),
}

/// A batch under way.
struct Open {
    id: BatchId,
    left: VecDeque<Operation>,
    outcomes: Vec<Outcome>,
}

impl Open {
    /// What has no answer yet fails with the session.
    fn end(mut self) -> Arrival {
        self.outcomes.extend(self.left.iter().map(|_| Err(Failure::SessionExpired)));
        Arrival::Outcomes(self.id, self.outcomes)
    }
}

pub(crate) struct World {
    pub(crate) zookeeper: ZooKeeper,
    pub(crate) nodes: BTreeMap<i32, Node>,
    pub(crate) messages: Vec<BrokerMessage>,
    pub(crate) answers: Vec<(RequestId, Answer)>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) wake_at: Option<Monotonic>,
    /// Operations that controllers asked for.
    pub(crate) operations: usize,
    /// Batches of them.
    pub(crate) round_trips: usize,
    /// Paths that controllers created, wrote or deleted, in order.
    pub(crate) written: Vec<String>,
    pub(crate) now_ms: u64,
    /// So many of the next writes are done, and sent again because their answer is lost.
    pub(crate) lost_answers: usize,
    /// The next read of each of these fails, and not because it is not there.
    pub(crate) unreadable: BTreeSet<String>,
    /// Whether what fails with a session is told ahead of its end.
    pub(crate) failures_first: bool,
    /// Sessions of brokers that run no controller.
    plain: BTreeMap<i32, i64>,
    next_session: i64,
    next_request: u64,
}

pub(crate) fn settings(broker: i32) -> ControllerSettings {
    ControllerSettings {
        broker,
        delete_topic_enable: true,
        unclean_leader_election_enable: false,
        feature_versioning: true,
        auto_leader_rebalance: true,
        imbalance_check_interval_s: 300,
        imbalance_percentage_max: 10,
    }
}

pub(crate) fn id(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), partition }
}

pub(crate) fn state_path(topic: &str, partition: i32) -> String {
    kafka_control::znode::partition_state(topic, partition)
}

impl World {
    /// A world in which broker 0 runs a controller and is registered, with its office taken; the other brokers are plain.
    pub(crate) fn with_brokers(others: &[i32]) -> Self {
        let mut world = Self::empty();
        for broker in others {
            world.start_plain(*broker);
        }
        world.start(0);
        world.run();
        world.forget();
        world
    }

    pub(crate) fn empty() -> Self {
        Self {
            zookeeper: ZooKeeper::new(),
            nodes: BTreeMap::new(),
            messages: Vec::new(),
            answers: Vec::new(),
            log: Vec::new(),
            wake_at: None,
            operations: 0,
            round_trips: 0,
            written: Vec::new(),
            now_ms: 1000,
            lost_answers: 0,
            unreadable: BTreeSet::new(),
            failures_first: false,
            plain: BTreeMap::new(),
            next_session: 100,
            next_request: 0,
        }
    }

    /// Forgets what was told, answered, logged and counted so far.
    pub(crate) fn forget(&mut self) {
        self.messages.clear();
        self.answers.clear();
        self.log.clear();
        self.written.clear();
        (self.operations, self.round_trips) = (0, 0);
    }

    fn new_session(&mut self) -> i64 {
        self.next_session += 1;
        self.next_session
    }

    /// A broker with a controller starts and registers.
    pub(crate) fn start(&mut self, broker: i32) {
        self.start_with(settings(broker));
    }

    pub(crate) fn start_with(&mut self, settings: ControllerSettings) {
        let broker = settings.broker;
        let controller = Controller::new(settings);
        let node = Node { controller, session: None, inbox: VecDeque::new(), batches: VecDeque::new() };
        assert!(self.nodes.insert(broker, node).is_none(), "broker {broker} runs already");
        self.register(broker);
    }

    /// The broker gets a session, registers under it and stands for election.
    pub(crate) fn register(&mut self, broker: i32) {
        let session = self.new_session();
        self.register_znode(broker, session, 0);
        let broker_epoch = self.broker_epoch(broker).unwrap();
        let node = self.nodes.get_mut(&broker).unwrap();
        node.session = Some(session);
        node.inbox.push_back(Arrival::Event(Event::Registered { session, broker_epoch }));
        self.spread();
    }

    /// A broker without a controller starts.
    pub(crate) fn start_plain(&mut self, broker: i32) {
        let session = self.new_session();
        self.plain.insert(broker, session);
        self.register_znode(broker, session, 0);
        self.spread();
    }

    fn registration(broker: i32, port_shift: i32) -> BrokerRegistration {
        BrokerRegistration {
            id: broker,
            version: 5,
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                security_protocol: "PLAINTEXT".to_owned(),
                host: "localhost".to_owned(),
                port: 9092 + broker + port_shift,
            }],
            rack: None,
            jmx_port: -1,
            timestamp_ms: 1000,
        }
    }

    fn register_znode(&mut self, broker: i32, session: i64, port_shift: i32) {
        let data = Some(Self::registration(broker, port_shift).encode());
        let path = kafka_control::znode::broker(broker);
        self.zookeeper.apply(session, &Operation::Create { path, data, mode: CreateMode::Ephemeral }).unwrap();
    }

    /// The broker's listeners change.
    pub(crate) fn move_listener(&mut self, broker: i32) {
        let text = String::from_utf8(Self::registration(broker, 100).encode().to_vec()).unwrap();
        self.set(&kafka_control::znode::broker(broker), &text);
    }

    /// The broker's process dies and its session with it.
    pub(crate) fn stop(&mut self, broker: i32) {
        let session = self.plain.remove(&broker).or_else(|| self.nodes.remove(&broker).and_then(|node| node.session));
        if let Some(session) = session {
            self.zookeeper.end(session);
        }
        self.spread();
    }

    /// The broker dies and comes back before anybody looks.
    pub(crate) fn bounce(&mut self, broker: i32) {
        self.stop(broker);
        self.start_plain(broker);
        self.run();
    }

    /// The session is over; the process lives on without one. Whether operations were under way that fail with it.
    pub(crate) fn expire(&mut self, broker: i32) -> bool {
        let node = self.nodes.get_mut(&broker).unwrap();
        // Requests come by other ways.
        node.inbox.retain(|arrival| {
            matches!(arrival, Arrival::Event(Event::Request(..) | Event::SettingsChanged(_)) | Arrival::Outcomes(..))
        });
        let Some(session) = node.session.take() else { return false };
        let cuts_off = node.batches.iter().any(|batch| !batch.left.is_empty());
        let failed: Vec<Arrival> = node.batches.drain(..).map(Open::end).collect();
        if self.failures_first {
            node.inbox.extend(failed);
            node.inbox.push_back(Arrival::Event(Event::SessionExpired));
        } else {
            node.inbox.push_back(Arrival::Event(Event::SessionExpired));
            node.inbox.extend(failed);
        }
        self.zookeeper.end(session);
        self.spread();
        cuts_off
    }

    pub(crate) fn is_running(&self, broker: i32) -> bool {
        self.plain.contains_key(&broker) || self.nodes.contains_key(&broker)
    }

    pub(crate) fn has_session(&self, broker: i32) -> bool {
        self.nodes.get(&broker).is_some_and(|node| node.session.is_some())
    }

    /// Czxid of the broker's registration.
    pub(crate) fn broker_epoch(&self, broker: i32) -> Option<i64> {
        self.zookeeper.stat(&kafka_control::znode::broker(broker)).map(|stat| stat.czxid)
    }

    /// Watches that fired become events.
    pub(crate) fn spread(&mut self) {
        for (session, path) in std::mem::take(&mut self.zookeeper.fired) {
            if let Some(node) = self.nodes.values_mut().find(|node| node.session == Some(session)) {
                node.inbox.push_back(Arrival::Event(Event::Changed(path)));
            }
        }
    }

    const fn now(&self) -> Now {
        Now { monotonic: Monotonic::from_ms(self.now_ms), wall_ms: 1000 }
    }

    /// Whether the broker's controller has anything to do.
    pub(crate) fn is_busy(&self, broker: i32) -> bool {
        self.nodes.get(&broker).is_some_and(|node| !node.inbox.is_empty() || !node.batches.is_empty())
    }

    /// One step of a controller: an event, or one operation of its batch.
    pub(crate) fn step(&mut self, broker: i32) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(&broker) else { return };
        if node.inbox.is_empty()
            && let Some(operation) = node.batches.front_mut().and_then(|batch| batch.left.pop_front())
        {
            let outcome = match node.session {
                Some(session) => self.carry_out(session, &operation),
                None => Err(Failure::SessionExpired),
            };
            let batch = self.nodes.get_mut(&broker).and_then(|node| node.batches.front_mut()).unwrap();
            batch.outcomes.push(outcome);
            return self.spread();
        }
        // A batch that has all its outcomes has nothing left to fail.
        let done = || node.batches.pop_front().map(Open::end);
        let Some(arrival) = node.inbox.pop_front().or_else(done) else { return };
        let mut effects = Effects::default();
        match arrival {
            Arrival::Event(event) => node.controller.handle(event, now, &mut effects),
            Arrival::Outcomes(batch, outcomes) => node.controller.outcomes(batch, outcomes, now, &mut effects),
        }
        self.take(broker, effects);
    }

    fn carry_out(&mut self, session: i64, operation: &Operation) -> Outcome {
        self.operations += 1;
        if let Operation::GetData { path, .. } | Operation::GetChildren { path, .. } = operation
            && self.unreadable.remove(path)
        {
            return Err(Failure::Other(-1));
        }
        let mut outcome = self.zookeeper.apply(session, operation);
        if let (Operation::Multi(parts), true) = (operation, outcome.is_ok()) {
            for part in parts {
                if let Operation::Create { path, .. }
                | Operation::SetData { path, .. }
                | Operation::Delete { path, .. } = part
                {
                    self.written.push(path.clone());
                }
            }
            if self.lost_answers > 0 {
                self.lost_answers -= 1;
                outcome = self.zookeeper.apply(session, operation);
            }
        }
        outcome
    }

    fn take(&mut self, broker: i32, effects: Effects) {
        let Effects { batch, messages, answers, wake_at, log } = effects;
        self.messages.extend(messages);
        self.answers.extend(answers);
        self.log.extend(log);
        self.wake_at = wake_at.or(self.wake_at);
        if let Some(Batch { id, operations }) = batch {
            self.round_trips += 1;
            let node = self.nodes.get_mut(&broker).unwrap();
            node.batches.push_back(Open { id, left: operations.into(), outcomes: Vec::new() });
        }
    }

    /// Runs until nobody has anything to do.
    pub(crate) fn run(&mut self) {
        loop {
            let busy: Vec<i32> = self.nodes.keys().copied().filter(|broker| self.is_busy(*broker)).collect();
            if busy.is_empty() {
                return;
            }
            for broker in busy {
                self.step(broker);
            }
        }
    }

    pub(crate) fn create(&mut self, path: &str, content: &str) {
        self.zookeeper.make(path, Some(content));
        self.spread();
        self.run();
    }

    /// A child with a number in its name.
    pub(crate) fn announce(&mut self, prefix: &str, content: &Bytes) {
        let (path, data) = (prefix.to_owned(), Some(content.clone()));
        self.zookeeper.apply(0, &Operation::Create { path, data, mode: CreateMode::PersistentSequential }).unwrap();
        self.spread();
    }

    /// Writes without letting anybody see it yet.
    pub(crate) fn set_quietly(&mut self, path: &str, content: &str) {
        let data = Some(Bytes::copy_from_slice(content.as_bytes()));
        self.zookeeper.apply(0, &Operation::SetData { path: path.to_owned(), data, version: -1 }).unwrap();
        self.spread();
    }

    pub(crate) fn set(&mut self, path: &str, content: &str) {
        self.set_quietly(path, content);
        self.run();
    }

    pub(crate) fn delete(&mut self, path: &str) {
        self.zookeeper.apply(0, &Operation::Delete { path: path.to_owned(), version: -1 }).unwrap();
        self.spread();
        self.run();
    }

    /// A topic with these replicas for its partitions 0, 1 and so on.
    pub(crate) fn create_topic(&mut self, topic: &str, partitions: &[&[i32]]) {
        let numbered = (0..).zip(partitions.iter().map(|replicas| replicas.to_vec())).collect();
        let content = TopicAssignment::of_replicas(numbered).encode();
        self.create(&kafka_control::znode::topic(topic), std::str::from_utf8(&content).unwrap());
    }

    pub(crate) fn text(&self, path: &str) -> String {
        self.zookeeper.text(path).unwrap_or_else(|| panic!("no {path}"))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.zookeeper.exists(path)
    }

    pub(crate) fn state(&self, topic: &str, partition: i32) -> LeaderAndIsr {
        let text = self.text(&state_path(topic, partition));
        LeaderAndIsr::decode(topic, partition, text.as_bytes()).unwrap()
    }

    /// Leader, leader epoch and ISR.
    pub(crate) fn brief(&self, topic: &str, partition: i32) -> (i32, i32, Vec<i32>) {
        let state = self.state(topic, partition);
        (state.leader, state.leader_epoch, state.isr)
    }

    /// A leader of an older protocol writes its ISR by itself.
    pub(crate) fn write_isr(&mut self, topic: &str, partition: i32, isr: &[i32]) {
        let state = LeaderAndIsr { isr: isr.to_vec(), ..self.state(topic, partition) };
        let text = String::from_utf8(state.encode().to_vec()).unwrap();
        self.set_quietly(&state_path(topic, partition), &text);
    }

    pub(crate) fn event(&mut self, broker: i32, event: Event) {
        self.nodes.get_mut(&broker).unwrap().inbox.push_back(Arrival::Event(event));
    }

    /// Puts the request to broker 0's controller and gives what it answers when all is done.
    pub(crate) fn ask(&mut self, request: Request) -> Answer {
        let id = self.ask_of(0, request);
        self.run();
        self.answer_to(id).expect("every request is answered")
    }

    pub(crate) fn ask_of(&mut self, broker: i32, request: Request) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.event(broker, Event::Request(id, request));
        id
    }

    pub(crate) fn answer_to(&self, id: RequestId) -> Option<Answer> {
        let mut found = self.answers.iter().filter(|(asked, _)| *asked == id).map(|(_, answer)| answer.clone());
        let first = found.next();
        assert!(found.next().is_none(), "a request is answered once");
        first
    }

    pub(crate) fn active(&self) -> Option<i32> {
        let active = |(broker, node): (&i32, &Node)| Some((node.controller.active_epoch()?, *broker));
        self.nodes.iter().filter_map(active).max().map(|(_, broker)| broker)
    }

    /// A broker answers to the newest controller.
    pub(crate) fn answered(&mut self, broker: i32, answer: BrokerAnswer) {
        let Some(active) = self.active() else { return };
        let controller_epoch = self.nodes[&active].controller.active_epoch().unwrap();
        let Some(broker_epoch) = self.broker_epoch(broker) else { return };
        self.event(active, Event::Answered { broker, broker_epoch, controller_epoch, answer });
        self.run();
    }

    pub(crate) fn replica_offline(&mut self, broker: i32, topic: &str, partition: i32) {
        self.answered(broker, BrokerAnswer::LeaderAndIsr(vec![(id(topic, partition), ErrorCode::KAFKA_STORAGE_ERROR)]));
    }

    /// The broker answers what it was told to delete.
    pub(crate) fn replicas_deleted(&mut self, broker: i32, code: ErrorCode) {
        let told = self.stopped(broker).into_iter().filter(|replica| replica.delete);
        let answer = told.map(|replica| (replica.partition, code)).collect();
        self.answered(broker, BrokerAnswer::StopReplica(answer));
    }

    pub(crate) fn told(&self, broker: i32) -> impl Iterator<Item = &MessageBody> {
        self.messages.iter().filter(move |message| message.broker == broker).map(|message| &message.body)
    }

    /// The states that the broker was told in LeaderAndIsr, the last one for each partition.
    pub(crate) fn led(&self, broker: i32) -> BTreeMap<TopicPartition, PartitionState> {
        let states = self.told(broker).filter_map(|body| match body {
            MessageBody::LeaderAndIsr { partitions, .. } => Some(partitions),
            _ => None,
        });
        states.flatten().map(|state| (state.partition.clone(), state.clone())).collect()
    }

    /// As [`World::led`], in UpdateMetadata.
    pub(crate) fn metadata(&self, broker: i32) -> BTreeMap<TopicPartition, PartitionState> {
        let states = self.told(broker).filter_map(|body| match body {
            MessageBody::UpdateMetadata { partitions, .. } => Some(partitions),
            _ => None,
        });
        states.flatten().map(|state| (state.partition.clone(), state.clone())).collect()
    }

    /// The brokers that the broker was told of last.
    pub(crate) fn known_brokers(&self, broker: i32) -> BTreeSet<i32> {
        let brokers = self.told(broker).filter_map(|body| match body {
            MessageBody::UpdateMetadata { brokers, .. } => Some(brokers.iter().map(|found| found.id).collect()),
            _ => None,
        });
        brokers.last().unwrap_or_default()
    }

    /// The replicas that the broker was told to stop.
    pub(crate) fn stopped(&self, broker: i32) -> Vec<StoppedReplica> {
        let stops = self.told(broker).filter_map(|body| match body {
            MessageBody::StopReplica(replicas) => Some(replicas.clone()),
            _ => None,
        });
        stops.flatten().collect()
    }

    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.text.contains(text))
    }

    /// The clock goes on to where the controller wants to be woken.
    pub(crate) fn wake(&mut self) {
        self.now_ms = self.wake_at.take().expect("a wish to be woken").ms();
        let active = self.active().unwrap();
        self.event(active, Event::Tick);
        self.run();
    }
}
