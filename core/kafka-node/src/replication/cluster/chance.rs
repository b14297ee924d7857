//! Chance moves brokers, links, leaders and clients; what was acknowledged must be there in the end, once, on every replica.

use std::collections::{BTreeMap, VecDeque};

use base::Random;
use kafka_proto::ErrorCode;

use super::rig::{Cluster, batch};

const BROKERS: usize = 3;

struct Run {
    cluster: Cluster,
    random: Random,
    leader: usize,
    epoch: i32,
    serial: u32,
    /// What was sent to each broker and is not answered.
    sent: BTreeMap<usize, VecDeque<String>>,
    acknowledged: Vec<String>,
    /// Replicas move between log directories, too.
    moves: bool,
}

impl Run {
    fn new(seed: u64, lines: &str) -> Self {
        let mut cluster = Cluster::new(BROKERS, lines);
        cluster.lead(0, 1, &[0, 1, 2]);
        let (sent, acknowledged) = (BTreeMap::new(), Vec::new());
        Self {
            cluster,
            random: Random::from_seed(seed),
            leader: 0,
            epoch: 1,
            serial: 0,
            sent,
            acknowledged,
            moves: false,
        }
    }

    fn any_broker(&mut self) -> usize {
        self.random.below(BROKERS as u64) as usize
    }

    fn step(&mut self) {
        match self.random.below(30) {
            0..=7 => self.produce(),
            8 => {
                let broker = self.any_broker();
                self.cluster.cut_off(broker);
            }
            9..=11 => {
                let broker = self.any_broker();
                self.cluster.bring_back(broker);
                self.cluster.tell(broker);
            }
            12 => self.elect(),
            13 => {
                let broker = self.any_broker();
                self.sent.remove(&broker);
                self.cluster.restart(broker, true);
                self.cluster.tell(broker);
            }
            14 if self.moves => {
                let broker = self.any_broker();
                let dir = if self.random.below(2) == 0 { "/a" } else { "/b" };
                self.cluster.begin_move(broker, dir);
            }
            14..=16 => {
                let ms = self.random.below(600);
                self.cluster.pass(ms);
            }
            _ => self.cluster.run_some(&mut self.random, 20),
        }
        self.take_answers();
    }

    /// Any replica may lead: a write is acknowledged by all of them.
    fn elect(&mut self) {
        self.leader = self.any_broker();
        self.epoch += 1;
        self.cluster.lead(self.leader as i32, self.epoch, &[0, 1, 2]);
    }

    fn produce(&mut self) {
        let broker = self.any_broker();
        self.serial += 1;
        let value = format!("value-{:06}", self.serial);
        self.cluster.produce(broker, &batch(&[&value]), -1);
        self.sent.entry(broker).or_default().push_back(value);
    }

    fn take_answers(&mut self) {
        for broker in 0..BROKERS {
            for (error, _) in self.cluster.all_produced(broker) {
                let value = self.sent.get_mut(&broker).and_then(VecDeque::pop_front);
                self.acknowledged.extend(value.filter(|_| error == ErrorCode::NONE));
            }
        }
    }

    fn end(mut self, seed: u64) {
        (0..BROKERS).for_each(|broker| self.cluster.bring_back(broker));
        self.elect();
        self.cluster.advance_by_steps(10_000, 250);
        self.take_answers();
        let bytes = self.cluster.bytes(self.leader);
        for broker in 0..BROKERS {
            assert!(self.cluster.bytes(broker) == bytes, "seed {seed}: the log of broker {broker} is another");
        }
        for value in &self.acknowledged {
            let count = bytes.windows(value.len()).filter(|window| *window == value.as_bytes()).count();
            assert_eq!(count, 1, "seed {seed}: {value}");
        }
        assert!(!self.acknowledged.is_empty(), "seed {seed}: nothing came of it");
    }
}

fn run(seed: u64, protocol: &str) {
    let lines = format!("inter.broker.protocol.version={protocol}\nlog.message.format.version=0.11.0");
    let mut run = Run::new(seed, &lines);
    (0..400).for_each(|_| run.step());
    run.end(seed);
}

#[test]
fn chance_loses_nothing_that_was_acknowledged() {
    for protocol in ["2.7", "2.6", "2.1"] {
        (0..15).for_each(|seed| run(seed, protocol));
    }
}

#[test]
fn nor_is_anything_lost_while_replicas_move() {
    for seed in 0..30 {
        let mut run = Run::new(seed, "log.dirs=/a,/b\nreplica.fetch.max.bytes=200");
        run.moves = true;
        (0..600).for_each(|_| run.step());
        run.end(seed);
    }
}

/// The answer to where an epoch ends names no epoch there: after fast changes of leaders, logs may differ.
#[test]
#[should_panic(expected = "the log of broker")]
fn chance_finds_the_accident_of_protocols_before_kip_279() {
    (0..40).for_each(|seed| run(seed, "0.11.0"));
}
