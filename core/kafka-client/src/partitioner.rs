//! Which partition a record goes to: the murmur2 hash of its key, or a choice that sticks for a batch (KIP-480), or one
//! after the other (upstream: `DefaultPartitioner`, `UniformStickyPartitioner`, `RoundRobinPartitioner`).

use std::collections::BTreeMap;

use base::{Random, Str};

use crate::config::ConfigError;
use crate::metadata::Topic;

/// Which partitioner: `partitioner.class`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// By the key's hash; without a key one partition for each batch.
    #[default]
    Default,
    /// One partition for each batch, whatever the key.
    UniformSticky,
    /// One after the other.
    RoundRobin,
}

impl Kind {
    /// The partitioner of a Java class name.
    pub fn from_class(class: Option<&str>) -> Result<Self, ConfigError> {
        match class {
            None | Some("org.apache.kafka.clients.producer.internals.DefaultPartitioner") => Ok(Self::Default),
            Some("org.apache.kafka.clients.producer.UniformStickyPartitioner") => Ok(Self::UniformSticky),
            Some("org.apache.kafka.clients.producer.RoundRobinPartitioner") => Ok(Self::RoundRobin),
            Some(other) => Err(ConfigError(format!(
                "Invalid value {other} for configuration partitioner.class: Class {other} could not be found."
            ))),
        }
    }
}

/// Chooses partitions, and remembers what sticks.
#[derive(Debug)]
pub struct Partitioner {
    kind: Kind,
    random: Random,
    sticky: BTreeMap<Str, i32>,
    counters: BTreeMap<Str, u32>,
}

impl Partitioner {
    /// A partitioner; `seed` decides its choices.
    pub const fn new(kind: Kind, seed: u64) -> Self {
        Self { kind, random: Random::from_seed(seed), sticky: BTreeMap::new(), counters: BTreeMap::new() }
    }

    /// The partition of a record; `None` if the topic has none.
    pub fn partition(&mut self, name: &Str, topic: &Topic, key: Option<&[u8]>) -> Option<i32> {
        let count = u32::try_from(topic.partitions.len()).ok().filter(|count| *count > 0)?;
        match (self.kind, key) {
            (Kind::Default, Some(key)) => Some(((murmur2(key) & 0x7fff_ffff) % count) as i32),
            (Kind::Default | Kind::UniformSticky, _) => match self.sticky.get(name) {
                Some(partition) => Some(*partition),
                None => Some(self.choose(name, topic, None)),
            },
            (Kind::RoundRobin, _) => {
                let counter = self.counters.entry(name.clone()).or_default();
                let next = *counter;
                *counter = next.wrapping_add(1) & 0x7fff_ffff;
                let available = available(topic);
                let index = next as usize;
                match available.len() {
                    0 => Some((next % count) as i32),
                    len => available.get(index % len).copied(),
                }
            }
        }
    }

    /// A batch of `partition` is full or gone: choose another one for what follows.
    pub fn batch_closed(&mut self, name: &Str, topic: &Topic, partition: i32) {
        if self.sticky.get(name) == Some(&partition) {
            self.choose(name, topic, Some(partition));
        }
    }

    fn choose(&mut self, name: &Str, topic: &Topic, but: Option<i32>) -> i32 {
        let available = available(topic);
        let partition = match available.as_slice() {
            [] => self.random.below(topic.partitions.len() as u64) as i32,
            [one] => *one,
            several => {
                let others: Vec<i32> = several.iter().copied().filter(|partition| Some(*partition) != but).collect();
                others.get(self.random.below(others.len() as u64) as usize).copied().unwrap_or_default()
            }
        };
        self.sticky.insert(name.clone(), partition);
        partition
    }
}

/// Partitions that have a leader.
fn available(topic: &Topic) -> Vec<i32> {
    topic.partitions.values().filter(|partition| partition.leader >= 0).map(|partition| partition.index).collect()
}

/// The 32-bit murmur2 hash with Kafka's seed.
pub fn murmur2(data: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let chunks = data.chunks_exact(4);
    let tail = chunks.remainder();
    for chunk in chunks {
        let mut word = chunk.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        word = word.wrapping_mul(MULTIPLIER);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ word.wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Partition;
    use kafka_proto::ErrorCode;

    fn topic(leaders: &[i32]) -> Topic {
        let partitions = (0..).zip(leaders).map(|(index, leader)| {
            let partition = Partition {
                error: ErrorCode::NONE,
                index,
                leader: *leader,
                leader_epoch: 0,
                replicas: Vec::new(),
                isr: Vec::new(),
                offline: Vec::new(),
            };
            (index, partition)
        });
        Topic { error: ErrorCode::NONE, is_internal: false, partitions: partitions.collect() }
    }

    /// Values of the Java client's own test.
    #[test]
    fn murmur2_is_the_java_clients() {
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    #[test]
    fn records_without_a_key_stick_until_their_batch_is_gone() {
        let (name, topic) = (Str::from_static("t"), topic(&[1, -1, 1]));
        let mut partitioner = Partitioner::new(Kind::Default, 7);
        let first = partitioner.partition(&name, &topic, None).unwrap();
        assert_ne!(first, 1, "it has no leader");
        assert_eq!(partitioner.partition(&name, &topic, None), Some(first));
        partitioner.batch_closed(&name, &topic, first);
        assert_eq!(partitioner.partition(&name, &topic, None), Some(2 - first));
        let keyed = partitioner.partition(&name, &topic, Some(b"foobar")).unwrap();
        assert_eq!(keyed, (-790_332_482_i32 & 0x7fff_ffff) % 3);
    }

    #[test]
    fn round_robin_takes_partitions_with_leaders_in_turn() {
        let (name, topic) = (Str::from_static("t"), topic(&[1, -1, 1]));
        let mut partitioner = Partitioner::new(Kind::RoundRobin, 7);
        let chosen: Vec<_> = (0..4).filter_map(|_| partitioner.partition(&name, &topic, None)).collect();
        assert_eq!(chosen, [0, 2, 0, 2]);
    }
}
