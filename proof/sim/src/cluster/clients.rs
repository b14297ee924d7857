//! What clients do, and see: the shipped client machines, with a simple user behind each.

use std::collections::BTreeMap;

use base::{Now, Random, Str};
use bytes::Bytes;
use kafka_client::{
    Admin, AdminConfig, CallId, ClientError, Consumer, ConsumerConfig, ConsumerEvent, Effect, Input, Interest, Machine,
    Producer, ProducerConfig, ProducerRecord, RecordId, To, TopicPartition,
};
use kafka_proto::messages::create_topics;
use kafka_proto::{AnyResponse, ErrorCode};

use super::invariants::Onlooker;
use super::settings::{Draw, TOPIC, bootstrap};
use crate::invariants::Verdict;

/// Records of a producer that are under way at a time.
const OUTSTANDING_MAX: usize = 8;

/// One client.
pub(crate) struct Client {
    user: User,
    /// Producers write no more, and readers read to the end.
    pub(crate) rests: bool,
}

impl Client {
    /// Counts the machines that it had: the connections of one are none of the next.
    pub(crate) fn life(&self) -> u64 {
        match &self.user {
            User::Producer(writing) => writing.life,
            User::Reader(reading) => reading.life,
            User::Maker(_) => 0,
        }
    }
}

enum User {
    Producer(Box<Writing>),
    Reader(Box<Reading>),
    Maker(Box<Making>),
}

impl Client {
    pub(crate) fn producer(index: u64, idempotent: bool, brokers: i32, seed: u64) -> Result<Self, ClientError> {
        Ok(Self { user: User::Producer(Box::new(Writing::new(index, idempotent, brokers, seed)?)), rests: false })
    }

    pub(crate) fn reader(brokers: i32, partitions: i32, seed: u64) -> Result<Self, ClientError> {
        Ok(Self { user: User::Reader(Box::new(Reading::new(brokers, partitions, seed)?)), rests: false })
    }

    pub(crate) fn maker(brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        Ok(Self { user: User::Maker(Box::new(Making::new(brokers, draw, seed)?)), rests: false })
    }

    fn machine(&mut self) -> &mut dyn Machine {
        match &mut self.user {
            User::Producer(writing) => &mut writing.producer,
            User::Reader(reading) => &mut reading.consumer,
            User::Maker(making) => &mut making.admin,
        }
    }

    pub(crate) fn hear(&mut self, input: Input, now: Now) {
        self.machine().handle(input, now);
    }

    /// The user looks, and wants something; then the machine works.
    pub(crate) fn turn(
        &mut self,
        now: Now,
        random: &mut Random,
        onlooker: &mut Onlooker,
    ) -> Result<Vec<Effect>, String> {
        self.machine().advance(now);
        let rests = self.rests;
        match &mut self.user {
            User::Producer(writing) => writing.turn(rests, now, random, onlooker)?,
            User::Reader(reading) => reading.turn(rests, now, random, onlooker)?,
            User::Maker(making) => making.turn(now, onlooker),
        }
        self.machine().advance(now);
        Ok(self.machine().take_effects())
    }

    /// How long until it is to be called at the latest, in milliseconds.
    pub(crate) fn wait_ms(&mut self, now: Now) -> u64 {
        let deadline = self.machine().deadline();
        deadline.map_or(20, |at| at.ms().saturating_sub(now.monotonic.ms())).clamp(1, 20)
    }

    /// What it has asked for without an answer so far.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        let User::Producer(writing) = &self.user else { return Vec::new() };
        let named = |(partition, value): &(i32, Bytes)| {
            let text = String::from_utf8_lossy(value);
            format!("{} to partition {partition}", text.split(' ').next().unwrap_or_default())
        };
        writing.outstanding.values().map(named).collect()
    }

    /// How many records were acknowledged.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        match &self.user {
            User::Producer(writing) => Some(writing.acknowledged),
            User::Reader(_) | User::Maker(_) => None,
        }
    }

    /// Where a reader is, by partition.
    pub(crate) fn positions(&self) -> Option<BTreeMap<i32, i64>> {
        let User::Reader(reading) = &self.user else { return None };
        let position = |partition: &TopicPartition| Some((partition.partition, reading.consumer.position(partition)?));
        Some(reading.consumer.assignment().filter_map(position).collect())
    }

    /// The in-sync replicas of each partition as its broker described them last.
    pub(crate) fn isrs(&self) -> Option<BTreeMap<i32, Vec<i32>>> {
        let User::Maker(making) = &self.user else { return None };
        let topic = making.admin.cluster().topics.get(TOPIC)?;
        Some(topic.partitions.iter().map(|(number, partition)| (*number, partition.isr.clone())).collect())
    }
}

/// Settings that all clients have.
fn network<'a>(bootstrap: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let common = [
        ("bootstrap.servers", bootstrap),
        ("request.timeout.ms", "1000"),
        ("reconnect.backoff.ms", "20"),
        ("reconnect.backoff.max.ms", "100"),
        ("retry.backoff.ms", "30"),
        ("metadata.max.age.ms", "1000"),
    ];
    common.into_iter().chain(more.iter().copied()).collect()
}

fn illegal(error: impl std::fmt::Display) -> ClientError {
    ClientError::Illegal(error.to_string())
}

/// Writes records of its own to all partitions, and notes which are acknowledged.
struct Writing {
    index: u64,
    idempotent: bool,
    brokers: i32,
    /// Counts the machines it had: one that failed is replaced.
    life: u64,
    producer: Producer,
    serial: u64,
    outstanding: BTreeMap<RecordId, (i32, Bytes)>,
    acknowledged: u64,
    partitions: i32,
}

impl Writing {
    fn new(index: u64, idempotent: bool, brokers: i32, seed: u64) -> Result<Self, ClientError> {
        let producer = Self::machine(idempotent, brokers, seed)?;
        let outstanding = BTreeMap::new();
        Ok(Self {
            index,
            idempotent,
            brokers,
            life: 0,
            producer,
            serial: 0,
            outstanding,
            acknowledged: 0,
            partitions: 0,
        })
    }

    fn machine(idempotent: bool, brokers: i32, seed: u64) -> Result<Producer, ClientError> {
        let bootstrap = bootstrap(brokers);
        let idempotence = if idempotent { "true" } else { "false" };
        let properties = network(
            &bootstrap,
            &[
                ("acks", "all"),
                ("enable.idempotence", idempotence),
                ("delivery.timeout.ms", "30000"),
                ("max.in.flight.requests.per.connection", "1"),
                ("linger.ms", "2"),
            ],
        );
        let (config, _) = ProducerConfig::new(properties).map_err(illegal)?;
        Ok(Producer::new(config, seed))
    }

    fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        while let Some((id, result)) = self.producer.next_delivery() {
            let Some((partition, value)) = self.outstanding.remove(&id) else { continue };
            match result {
                Ok(delivered) => {
                    self.acknowledged += 1;
                    onlooker.acknowledged.note(partition, delivered.offset, &value)?;
                }
                Err(error) => {
                    onlooker.tell(|| format!("producer {}: {}: {error}", self.index, String::from_utf8_lossy(&value)));
                    onlooker.count("delivery failed");
                }
            }
        }
        if let Some(partitions) = self.producer.partitions(&Str::from_static(TOPIC)) {
            self.partitions = partitions.len() as i32;
        }
        if !rests && self.partitions > 0 && self.outstanding.len() < OUTSTANDING_MAX && random.below(4) == 0 {
            self.write(now, random, onlooker)?;
        }
        Ok(())
    }

    fn write(&mut self, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        let partition = random.below(self.partitions.unsigned_abs().into()) as i32;
        self.serial += 1;
        let filling = "x".repeat(random.below(200) as usize);
        let name = format!("{}.{}", self.index, self.life);
        let value = Bytes::from(format!("{name}.{} {filling}", self.serial));
        let record = ProducerRecord {
            topic: Str::from_static(TOPIC),
            partition: Some(partition),
            timestamp_ms: now.wall_ms,
            key: None,
            value: Some(value.clone()),
            headers: Vec::new(),
        };
        match self.producer.send(record, now) {
            Ok(id) => {
                if self.idempotent {
                    onlooker.acknowledged.idempotent(&name);
                }
                self.outstanding.insert(id, (partition, value));
            }
            Err(_) => {
                // It can't go on: its records are of unknown fate, and another takes its place.
                onlooker.count("producer failed");
                self.life += 1;
                self.outstanding.clear();
                let producer = Self::machine(self.idempotent, self.brokers, random.next_u64());
                self.producer = producer.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

/// Reads all partitions from their beginning, and now and then begins again.
struct Reading {
    brokers: i32,
    partitions: i32,
    life: u64,
    consumer: Consumer,
}

impl Reading {
    fn new(brokers: i32, partitions: i32, seed: u64) -> Result<Self, ClientError> {
        Ok(Self { brokers, partitions, life: 0, consumer: Self::machine(brokers, partitions, seed)? })
    }

    fn machine(brokers: i32, partitions: i32, seed: u64) -> Result<Consumer, ClientError> {
        let bootstrap = bootstrap(brokers);
        let more = [("fetch.max.wait.ms", "100"), ("auto.offset.reset", "none"), ("max.partition.fetch.bytes", "3000")];
        let (config, _) = ConsumerConfig::new(network(&bootstrap, &more)).map_err(illegal)?;
        let mut consumer = Consumer::new(config, seed);
        let all = (0..partitions).map(|number| TopicPartition::new(TOPIC, number));
        consumer.assign(all.clone());
        all.for_each(|partition| consumer.seek(&partition, 0));
        Ok(consumer)
    }

    fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        match self.consumer.poll(now) {
            Ok(records) => {
                for record in records {
                    let value = record.value.unwrap_or_default();
                    onlooker.reads.read(record.partition.partition, record.offset, &value)?;
                }
                // Once in some seconds.
                if !rests && random.below(500) == 0 {
                    self.begin_again(random)?;
                }
            }
            Err(error) => {
                onlooker.tell(|| format!("reader: {error}"));
                onlooker.reads.failed(&error)?;
                self.begin_again(random)?;
            }
        }
        while let Some(event) = self.consumer.next_event() {
            if let ConsumerEvent::Failed(error) = event {
                onlooker.tell(|| format!("reader: {error}"));
                onlooker.reads.failed(&error)?;
                self.begin_again(random)?;
            }
        }
        Ok(())
    }

    fn begin_again(&mut self, random: &mut Random) -> Verdict {
        let consumer = Self::machine(self.brokers, self.partitions, random.next_u64());
        self.consumer = consumer.map_err(|error| error.to_string())?;
        self.life += 1;
        Ok(())
    }
}

/// Makes the topic, and looks at it.
struct Making {
    admin: Admin,
    partitions: i32,
    factor: i16,
    call: Option<CallId>,
    made: bool,
}

impl Making {
    fn new(brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        let bootstrap = bootstrap(brokers);
        let properties = network(&bootstrap, &[("default.api.timeout.ms", "3000")]);
        let (config, _) = AdminConfig::new(properties).map_err(illegal)?;
        let mut admin = Admin::new(config, seed);
        admin.describe_cluster(Interest::All);
        Ok(Self {
            admin,
            partitions: draw.partitions,
            factor: i16::try_from(brokers.min(3)).unwrap_or(3),
            call: None,
            made: false,
        })
    }

    fn turn(&mut self, now: Now, onlooker: &mut Onlooker) {
        while let Some((id, result)) = self.admin.next_result() {
            if self.call != Some(id) {
                continue;
            }
            self.call = None;
            if let Ok(AnyResponse::CreateTopics(response)) = &result {
                let codes: Vec<ErrorCode> = response.topics.iter().map(|topic| topic.error_code).collect();
                let is_there = |code: &ErrorCode| matches!(*code, ErrorCode::NONE | ErrorCode::TOPIC_ALREADY_EXISTS);
                self.made = codes.iter().all(is_there);
                onlooker.tell(|| format!("create topic: {codes:?}"));
            }
        }
        let brokers = self.admin.cluster().brokers.len();
        if !self.made && self.call.is_none() && brokers >= usize::from(self.factor.unsigned_abs()) {
            let topic = create_topics::RequestTopic {
                name: Str::from_static(TOPIC),
                num_partitions: self.partitions,
                replication_factor: self.factor,
                assignments: Vec::new(),
                configs: Vec::new(),
            };
            let request = create_topics::Request { topics: vec![topic], timeout_ms: 1000, validate_only: false };
            self.call = Some(self.admin.call(To::Controller, request, now));
        }
        self.admin.describe_cluster(Interest::All);
    }
}
