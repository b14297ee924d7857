//! The shipped producer with a simple user: records to all partitions, some under way at a time.

use std::collections::BTreeMap;

use base::{Now, Random, Str};
use bytes::Bytes;
use kafka_client::{ClientError, Producer, ProducerConfig, ProducerRecord, RecordId};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::settings::{TOPIC, bootstrap};
use crate::invariants::Verdict;

/// Records of a producer that are under way at a time.
const OUTSTANDING_MAX: usize = 8;

/// Writes records of its own to all partitions, and notes which are acknowledged.
pub(in crate::cluster) struct Writing {
    index: u64,
    idempotent: bool,
    brokers: i32,
    /// Counts the machines it had: one that failed is replaced.
    pub(super) life: u64,
    pub(super) producer: Producer,
    serial: u64,
    pub(super) outstanding: BTreeMap<RecordId, (i32, Bytes)>,
    pub(super) acknowledged: u64,
    partitions: i32,
}

impl Writing {
    pub(super) fn new(index: u64, idempotent: bool, brokers: i32, seed: u64) -> Result<Self, ClientError> {
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
                // The smallest segments take what waited for a leader.
                ("batch.size", "400"),
            ],
        );
        let (config, _) = ProducerConfig::new(properties).map_err(illegal)?;
        Ok(Producer::new(config, seed))
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
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
