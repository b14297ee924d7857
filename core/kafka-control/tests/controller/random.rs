//! Whatever happens in whatever order: brokers come and go, sessions end under controllers, topics are made, grown, moved and deleted, leaders
//! change their ISRs, answers are lost. Some things must never be, and when it is quiet again all must be well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::Random;
use kafka_control::znode::{self, IsrChange, LeaderAndIsr, PartitionReassignment, TopicAssignment, WantedReplicas};
use kafka_control::{
    Answer, BrokerAnswer, BrokerMessage, ElectionType, Event, IsrProposal, LEADER_DURING_DELETE, MessageBody,
    NO_LEADER, PartitionState, Request, RequestId, TopicPartition,
};
use kafka_proto::ErrorCode;

use crate::world::{World, id, state_path};

/// 0 to 2 run controllers.
const BROKERS: [i32; 4] = [0, 1, 2, 3];
const TOPICS: [&str; 4] = ["a", "b", "c", "d"];

/// What a running broker was told in this life.
#[derive(Default)]
struct Told {
    controller_epoch: i32,
    brokers: BTreeSet<i32>,
    replicas: BTreeMap<TopicPartition, PartitionState>,
    metadata: BTreeMap<TopicPartition, PartitionState>,
    /// What it asked for as a leader, until that is answered.
    proposals: BTreeMap<TopicPartition, IsrProposal>,
}

/// A partition of one topic that may be made anew under the same name.
type Life = (i64, TopicPartition);

struct Chaos {
    world: World,
    random: Random,
    told: BTreeMap<i32, Told>,
    post: BTreeMap<i32, VecDeque<BrokerMessage>>,
    asked: BTreeMap<RequestId, i32>,
    states: BTreeMap<Life, LeaderAndIsr>,
    leaders: BTreeMap<(Life, i32), i32>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut chaos = Self {
            world: World::empty(),
            random: Random::from_seed(seed),
            told: BTreeMap::new(),
            post: BTreeMap::new(),
            asked: BTreeMap::new(),
            states: BTreeMap::new(),
            leaders: BTreeMap::new(),
        };
        for broker in BROKERS {
            chaos.start(broker);
        }
        chaos
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn pick<T: Clone>(&mut self, things: &[T]) -> Option<T> {
        if things.is_empty() { None } else { Some(things[self.below(things.len())].clone()) }
    }

    fn start(&mut self, broker: i32) {
        if broker < 3 {
            self.world.start(broker);
        } else {
            self.world.start_plain(broker);
        }
        self.told.insert(broker, Told::default());
    }

    /// After each step: what was written is judged, what was sent is put on its way, what was answered is taken.
    fn look(&mut self) {
        for path in std::mem::take(&mut self.world.written) {
            self.judge(&path);
        }
        for message in std::mem::take(&mut self.world.messages) {
            self.post.entry(message.broker).or_default().push_back(message);
        }
        for (request, answer) in std::mem::take(&mut self.world.answers) {
            let Some(broker) = self.asked.remove(&request) else { continue };
            if let (Answer::AlterIsr(Ok(answers)), Some(told)) = (answer, self.told.get_mut(&broker)) {
                for (id, answer) in answers {
                    take_isr(told, &id, answer.map(|changed| (changed.leader_epoch, changed.isr, changed.zk_version)));
                }
            }
        }
    }

    fn life(&self, id: &TopicPartition) -> Option<Life> {
        Some((self.world.zookeeper.stat(&znode::topic(&id.topic))?.czxid, id.clone()))
    }

    /// What must never be.
    fn judge(&mut self, path: &str) {
        let Some((topic, partition)) = path.strip_prefix("/brokers/topics/").and_then(|rest| {
            let (topic, rest) = rest.split_once("/partitions/")?;
            Some((topic, rest.strip_suffix("/state")?.parse().ok()?))
        }) else {
            return;
        };
        let id = id(topic, partition);
        let (Some(life), Some(text)) = (self.life(&id), self.world.zookeeper.text(path)) else { return };
        let state = LeaderAndIsr::decode(topic, partition, text.as_bytes()).unwrap();
        let distinct: BTreeSet<_> = state.isr.iter().collect();
        assert!(!state.isr.is_empty() && distinct.len() == state.isr.len(), "{id}: {state:?}");
        assert!(state.leader == NO_LEADER || state.isr.contains(&state.leader), "{id}: {state:?}");
        if let Some(before) = self.states.get(&life) {
            assert!(state.leader_epoch >= before.leader_epoch, "{id}: {before:?} then {state:?}");
            if state.leader != before.leader {
                assert!(state.leader_epoch > before.leader_epoch, "{id}: {before:?} then {state:?}");
                let is_clean = state.leader == NO_LEADER || before.isr.contains(&state.leader);
                assert!(is_clean, "{id}: {before:?} then {state:?}");
            }
            let grew = state.isr.iter().any(|replica| !before.isr.contains(replica));
            assert!(!grew || state.leader == before.leader, "only leaders take replicas in: {before:?} then {state:?}");
        }
        let leader = *self.leaders.entry((life.clone(), state.leader_epoch)).or_insert(state.leader);
        assert_eq!(leader, state.leader, "{id}: one leader in an epoch");
        self.states.insert(life, state);
    }

    fn deliver(&mut self, broker: i32) {
        let Some(message) = self.post.get_mut(&broker).and_then(VecDeque::pop_front) else { return };
        let epoch = self.world.broker_epoch(broker);
        let Some(told) = self.told.get_mut(&broker) else { return };
        if Some(message.broker_epoch) != epoch || message.controller_epoch < told.controller_epoch {
            return;
        }
        told.controller_epoch = message.controller_epoch;
        let answer = match message.body {
            MessageBody::LeaderAndIsr { partitions, .. } => {
                let answered = partitions.iter().map(|state| (state.partition.clone(), ErrorCode::NONE)).collect();
                for state in partitions {
                    let known = told.replicas.get(&state.partition).map(|known| known.leader_and_isr.leader_epoch);
                    if known.is_none_or(|known| known < state.leader_and_isr.leader_epoch) {
                        told.proposals.remove(&state.partition);
                        told.replicas.insert(state.partition.clone(), state);
                    }
                }
                BrokerAnswer::LeaderAndIsr(answered)
            }
            MessageBody::UpdateMetadata { brokers, partitions } => {
                told.brokers = brokers.iter().map(|broker| broker.id).collect();
                for state in partitions {
                    if state.leader_and_isr.leader == LEADER_DURING_DELETE {
                        told.metadata.remove(&state.partition);
                    } else {
                        told.metadata.insert(state.partition.clone(), state);
                    }
                }
                return;
            }
            MessageBody::StopReplica(replicas) => {
                let deleted = replicas.iter().filter(|replica| replica.delete);
                let answered = deleted.map(|replica| (replica.partition.clone(), ErrorCode::NONE)).collect();
                for replica in replicas.iter().filter(|replica| replica.delete) {
                    told.replicas.remove(&replica.partition);
                }
                BrokerAnswer::StopReplica(answered)
            }
        };
        if self.world.nodes.contains_key(&message.controller) {
            let (broker_epoch, controller_epoch) = (message.broker_epoch, message.controller_epoch);
            self.world.event(message.controller, Event::Answered { broker, broker_epoch, controller_epoch, answer });
        }
    }

    /// A leader wants another ISR: one follower less, or all that live.
    fn change_isr(&mut self, wants_all: bool) {
        let led = self.led();
        let Some((broker, id)) = self.pick(&led) else { return };
        self.propose(broker, &id, wants_all);
    }

    fn led(&self) -> Vec<(i32, TopicPartition)> {
        let mut led = Vec::new();
        for (broker, told) in &self.told {
            let leads = told.replicas.values().filter(|state| state.leader_and_isr.leader == *broker);
            led.extend(leads.map(|state| (*broker, state.partition.clone())));
        }
        led
    }

    fn propose(&mut self, broker: i32, id: &TopicPartition, wants_all: bool) {
        let Some(broker_epoch) = self.world.broker_epoch(broker) else { return };
        let told = &self.told[&broker];
        let Some(known) = told.replicas.get(id).filter(|known| known.leader_and_isr.leader == broker) else { return };
        let mut isr = known.leader_and_isr.isr.clone();
        if wants_all {
            // A follower is caught up if it was told to follow this leader.
            let follows = |replica: &i32| {
                let state = self.told.get(replica).and_then(|told| told.replicas.get(id));
                state.is_some_and(|state| state.leader_and_isr.leader_epoch == known.leader_and_isr.leader_epoch)
            };
            let more = known.assignment.replicas.iter().filter(|replica| !isr.contains(replica) && follows(replica));
            let more: Vec<i32> = more.copied().collect();
            isr.extend(more);
        } else {
            let last = isr.iter().rposition(|replica| *replica != broker);
            last.map(|last| isr.remove(last));
        }
        let proposal = told.proposals.get(id).cloned().unwrap_or_else(|| IsrProposal {
            partition: id.clone(),
            leader_epoch: known.leader_and_isr.leader_epoch,
            isr: isr.clone(),
            zk_version: known.zk_version,
        });
        if isr == known.leader_and_isr.isr && !told.proposals.contains_key(id) {
            return;
        }
        if self.below(4) == 0 && !self.told[&broker].proposals.contains_key(id) {
            return self.write_isr(broker, &proposal);
        }
        let Some(active) = self.world.active() else { return };
        self.told.get_mut(&broker).unwrap().proposals.insert(id.clone(), proposal.clone());
        let request = Request::AlterIsr { broker, broker_epoch, proposals: vec![proposal] };
        let request = self.world.ask_of(active, request);
        self.asked.insert(request, broker);
    }

    /// As leaders of older protocols do it.
    fn write_isr(&mut self, broker: i32, proposal: &IsrProposal) {
        let IsrProposal { partition: id, leader_epoch, isr, zk_version } = proposal;
        let path = state_path(&id.topic, id.partition);
        let Some(stat) = self.world.zookeeper.stat(&path).filter(|stat| stat.version == *zk_version) else { return };
        let known = &self.told[&broker].replicas[id];
        let controller_epoch = known.leader_and_isr.controller_epoch;
        let state = LeaderAndIsr { leader: broker, leader_epoch: *leader_epoch, isr: isr.clone(), controller_epoch };
        self.world.set_quietly(&path, std::str::from_utf8(&state.encode()).unwrap());
        self.judge(&path);
        self.world.announce("/isr_change_notification/isr_change_", &IsrChange([id.clone()].into()).encode());
        let told = self.told.get_mut(&broker).unwrap();
        take_isr(told, id, Ok((*leader_epoch, isr.clone(), stat.version + 1)));
    }

    fn replicas(&mut self) -> Vec<i32> {
        let mut left = BROKERS.to_vec();
        let count = 1 + self.below(3);
        (0..count).map(|_| left.remove(self.below(left.len()))).collect()
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        TOPICS
            .iter()
            .flat_map(|topic| self.assignment(topic).0.into_keys().map(|partition| id(topic, partition)))
            .collect()
    }

    fn assignment(&self, topic: &str) -> TopicAssignment {
        let text = self.world.zookeeper.text(&znode::topic(topic)).unwrap_or_default();
        TopicAssignment::decode(topic, text.as_bytes()).unwrap_or_default()
    }

    fn write_topic(&mut self, topic: &str, grows: bool) {
        let mut assignment = self.assignment(topic);
        if grows == assignment.0.is_empty() || assignment.0.len() > 4 {
            return;
        }
        let next = i32::try_from(assignment.0.len()).unwrap();
        assignment.0.insert(next, znode::ReplicaAssignment::of(self.replicas()));
        let text = String::from_utf8(assignment.encode().to_vec()).unwrap();
        if grows {
            self.world.set_quietly(&znode::topic(topic), &text);
        } else {
            self.world.zookeeper.make(&znode::topic(topic), Some(&text));
            self.world.spread();
        }
    }

    fn reassign(&mut self) {
        let all = self.partitions();
        let Some(id) = self.pick(&all) else { return };
        let replicas = self.replicas();
        if self.below(3) == 0 {
            let wanted = WantedReplicas { topic: id.topic, partition: id.partition, replicas };
            let content = PartitionReassignment(vec![wanted]).encode();
            if !self.world.exists(znode::REASSIGN_PARTITIONS) {
                self.world.zookeeper.make(znode::REASSIGN_PARTITIONS, Some(std::str::from_utf8(&content).unwrap()));
                self.world.spread();
            }
            return;
        }
        let target = (self.below(4) > 0).then_some(replicas);
        self.ask(Request::AlterPartitionReassignments([(id, target)].into()));
    }

    fn ask(&mut self, request: Request) {
        if let Some(active) = self.world.active() {
            self.world.ask_of(active, request);
        }
    }

    fn come_or_go(&mut self) {
        let broker = BROKERS[self.below(BROKERS.len())];
        if !self.world.is_running(broker) {
            self.start(broker);
        } else if self.told.len() > 1 && self.below(2) == 0 {
            self.world.stop(broker);
            self.told.remove(&broker);
        } else if broker < 3 && self.world.has_session(broker) {
            self.world.failures_first = self.below(2) == 0;
            self.world.expire(broker);
        } else if broker < 3 {
            self.world.register(broker);
        }
    }

    fn wreak(&mut self) {
        let topic = TOPICS[self.below(TOPICS.len())];
        match self.below(30) {
            0 => self.come_or_go(),
            1..=2 => self.write_topic(topic, false),
            3 => self.write_topic(topic, true),
            4 if self.world.exists(&znode::topic(topic)) => {
                self.world.zookeeper.make(&znode::delete_topic(topic), None);
                self.world.spread();
            }
            5..=7 => self.reassign(),
            8..=11 => self.change_isr(true),
            12..=13 => self.change_isr(false),
            14 => self.world.lost_answers += 1,
            15 => {
                let broker = BROKERS[self.below(BROKERS.len())];
                self.ask(Request::ControlledShutdown { broker, broker_epoch: -1 });
            }
            16 => {
                let election = ElectionType::Preferred;
                self.ask(Request::ElectLeaders { election, partitions: None });
            }
            _ => {}
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.below(8) {
                0 => self.wreak(),
                1..=3 => {
                    let broker = BROKERS[self.below(BROKERS.len())];
                    self.deliver(broker);
                }
                _ => {
                    let broker = BROKERS[self.below(3)];
                    self.world.step(broker);
                }
            }
            self.look();
        }
    }

    /// Nobody does anything any more but what follows from what was done.
    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            for broker in BROKERS {
                self.world.step(broker);
                self.look();
                self.deliver(broker);
            }
            let is_busy = BROKERS.iter().any(|broker| self.world.is_busy(*broker));
            if !is_busy && self.post.values().all(VecDeque::is_empty) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn heal(&mut self) {
        self.world.lost_answers = 0;
        for broker in BROKERS {
            if !self.world.is_running(broker) {
                self.start(broker);
            } else if broker < 3 && !self.world.has_session(broker) {
                self.world.register(broker);
            }
        }
        self.come_to_rest();
        // Who asked for a controlled shutdown does stop, and comes back.
        for broker in BROKERS {
            self.world.stop(broker);
            self.told.remove(&broker);
            self.start(broker);
            self.come_to_rest();
        }
        for _ in 0..6 {
            for (broker, id) in self.led() {
                self.propose(broker, &id, true);
                self.come_to_rest();
            }
        }
    }

    /// All is well: everything that was asked for is done, and everybody knows what stands in the znodes.
    fn check(&self) {
        let zookeeper = &self.world.zookeeper;
        for parent in [znode::DELETE_TOPICS, znode::ISR_CHANGES] {
            assert!(zookeeper.children(parent).is_empty(), "{parent}: {:?}", zookeeper.children(parent));
        }
        assert!(!zookeeper.exists(znode::REASSIGN_PARTITIONS));
        let mut all = BTreeSet::new();
        for topic in zookeeper.children(znode::TOPICS) {
            for (partition, assignment) in self.assignment(&topic).0 {
                let id = id(&topic, partition);
                assert!(!assignment.is_being_reassigned(), "{id}: {assignment:?}");
                let state = self.world.state(&topic, partition);
                let zk_version = zookeeper.stat(&state_path(&topic, partition)).unwrap().version;
                let (isr, replicas): (BTreeSet<_>, BTreeSet<_>) =
                    (state.isr.iter().collect(), assignment.replicas.iter().collect());
                assert!(state.leader != NO_LEADER && isr == replicas, "{id}: {state:?} {assignment:?}");
                for (broker, told) in &self.told {
                    let metadata = told.metadata.get(&id).unwrap_or_else(|| panic!("{broker} knows nothing of {id}"));
                    let expected = (&state, zk_version, &assignment, &Vec::new());
                    let known =
                        (&metadata.leader_and_isr, metadata.zk_version, &metadata.assignment, &metadata.offline);
                    assert_eq!(known, expected, "{id} on {broker}");
                    let replica = told.replicas.get(&id);
                    assert_eq!(replica.is_some(), assignment.replicas.contains(broker), "{id} on {broker}");
                    if let Some(replica) = replica {
                        let known = (replica.leader_and_isr.leader, replica.leader_and_isr.leader_epoch);
                        assert_eq!(known, (state.leader, state.leader_epoch), "{id} on {broker}");
                        assert_eq!(replica.assignment, assignment, "{id} on {broker}");
                    }
                }
                all.insert(id);
            }
        }
        for (broker, told) in &self.told {
            assert_eq!(told.brokers, BROKERS.into(), "{broker}");
            assert!(told.metadata.keys().all(|id| all.contains(id)), "{broker}");
        }
    }
}

/// A leader takes over what its ISR has become, if it still leads in that epoch.
fn take_isr(told: &mut Told, id: &TopicPartition, answer: Result<(i32, Vec<i32>, i32), ErrorCode>) {
    match answer {
        Ok((leader_epoch, isr, zk_version)) => {
            told.proposals.remove(id);
            if let Some(state) = told.replicas.get_mut(id)
                && state.leader_and_isr.leader_epoch == leader_epoch
            {
                state.leader_and_isr.isr = isr;
                state.zk_version = zk_version;
            }
        }
        Err(
            ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::INVALID_UPDATE_VERSION | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ) => {
            told.proposals.remove(id);
        }
        Err(_) => {}
    }
}

#[test]
fn whatever_happens_in_whatever_order() {
    for seed in 0..150 {
        println!("seed {seed}");
        let mut chaos = Chaos::new(seed);
        chaos.run(1500);
        chaos.heal();
        chaos.check();
    }
}
