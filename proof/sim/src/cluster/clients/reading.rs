//! The shipped consumer with a simple user.

use std::collections::BTreeMap;

use base::{Now, Random};
use kafka_client::{ClientError, Consumer, ConsumerConfig, ConsumerEvent, TopicPartition};

use super::{illegal, network};
use crate::cluster::invariants::Onlooker;
use crate::cluster::invariants::reads::Reads;
use crate::cluster::settings::{Draw, TOPIC, bootstrap};
use crate::invariants::Verdict;

/// Reads all partitions from their beginning, and now and then begins again.
pub(in crate::cluster) struct Reading {
    brokers: i32,
    draw: Draw,
    pub(super) life: u64,
    pub(super) consumer: Consumer,
    /// Of each partition, the record that comes next, where that is known: a partition has no gaps.
    next: BTreeMap<i32, i64>,
}

impl Reading {
    pub(super) fn new(brokers: i32, draw: &Draw, seed: u64) -> Result<Self, ClientError> {
        let consumer = Self::machine(brokers, draw, seed)?;
        Ok(Self { brokers, draw: *draw, life: 0, consumer, next: BTreeMap::new() })
    }

    fn machine(brokers: i32, draw: &Draw, seed: u64) -> Result<Consumer, ClientError> {
        let bootstrap = bootstrap(brokers);
        let more = [("fetch.max.wait.ms", "100"), ("auto.offset.reset", "none"), ("max.partition.fetch.bytes", "3000")];
        let (config, _) = ConsumerConfig::new(network(&bootstrap, &more)).map_err(illegal)?;
        let mut consumer = Consumer::new(config, seed);
        let all = (0..draw.partitions).map(|number| TopicPartition::new(TOPIC, number));
        consumer.assign(all.clone());
        all.for_each(|partition| match draw.deletes() {
            true => consumer.seek_to_beginning(&partition),
            false => consumer.seek(&partition, 0),
        });
        Ok(consumer)
    }

    pub(super) fn turn(&mut self, rests: bool, now: Now, random: &mut Random, onlooker: &mut Onlooker) -> Verdict {
        let places = self.consumer.assignment().filter_map(|one| Some((one.partition, self.consumer.position(one)?)));
        for (partition, position) in places {
            self.next.entry(partition).or_insert(position);
        }
        match self.consumer.poll(now) {
            Ok(records) => {
                for record in records {
                    let (partition, value) = (record.partition.partition, record.value.unwrap_or_default());
                    let Some(next) = self.next.get_mut(&partition) else { continue };
                    if record.offset != *next {
                        return Err(format!(
                            "a reader of partition {partition} got offset {} where {next} comes next",
                            record.offset
                        ));
                    }
                    *next += 1;
                    onlooker.reads.read(partition, record.offset, &value)?;
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
                self.failed(&error, onlooker)?;
                self.begin_again(random)?;
            }
        }
        Ok(())
    }

    fn failed(&self, error: &ClientError, onlooker: &Onlooker) -> Verdict {
        if !self.draw.deletes() || !Reads::is_out_of_range(error) {
            return onlooker.reads.failed(error);
        }
        // The consumer has given up the partition in question.
        let is_read = |number: i32| self.consumer.assignment().any(|one| one.partition == number);
        let mut given_up = self.next.iter().filter(|(number, _)| !is_read(**number));
        given_up.try_for_each(|(partition, offset)| onlooker.starts.out_of_range(*partition, *offset))
    }

    fn begin_again(&mut self, random: &mut Random) -> Verdict {
        let consumer = Self::machine(self.brokers, &self.draw, random.next_u64());
        self.consumer = consumer.map_err(|error| error.to_string())?;
        self.life += 1;
        self.next.clear();
        Ok(())
    }
}
