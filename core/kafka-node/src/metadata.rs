//! What this broker knows of the cluster, as the controller told it (upstream: `MetadataCache`).
//!
//! Changed in place, so that a message about one partition costs one partition however many there are.

use std::collections::BTreeMap;

use base::Str;
use kafka_control::znode::{BrokerRegistration, Endpoint};
use kafka_control::{LEADER_DURING_DELETE, PartitionState};

/// The cluster as the last messages described it.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// Live brokers.
    pub(crate) brokers: BTreeMap<i32, BrokerRegistration>,
    /// Who sent the last message.
    pub(crate) controller: Option<i32>,
    topics: BTreeMap<Str, BTreeMap<i32, PartitionState>>,
}

impl Metadata {
    /// Takes UpdateMetadata: all live brokers, and the partitions that changed.
    pub(crate) fn update(
        &mut self,
        controller: i32,
        brokers: Vec<BrokerRegistration>,
        partitions: Vec<PartitionState>,
    ) {
        self.controller = Some(controller);
        self.brokers = brokers.into_iter().map(|broker| (broker.id, broker)).collect();
        for state in partitions {
            let topic = state.partition.topic.as_str();
            let number = state.partition.partition;
            if state.leader_and_isr.leader == LEADER_DURING_DELETE {
                if let Some(partitions) = self.topics.get_mut(topic) {
                    partitions.remove(&number);
                    if partitions.is_empty() {
                        self.topics.remove(topic);
                    }
                }
                continue;
            }
            match self.topics.get_mut(topic) {
                Some(partitions) => {
                    partitions.insert(number, state);
                }
                None => {
                    let name = Str::copied(topic);
                    self.topics.insert(name, BTreeMap::from([(number, state)]));
                }
            }
        }
    }

    /// A topic's partitions, by number.
    pub(crate) fn topic(&self, name: &str) -> Option<&BTreeMap<i32, PartitionState>> {
        self.topics.get(name)
    }

    /// All topics by name.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&Str, &BTreeMap<i32, PartitionState>)> {
        self.topics.iter()
    }

    /// One partition.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionState> {
        self.topics.get(topic)?.get(&partition)
    }

    /// Where clients of `listener` reach a live broker.
    pub(crate) fn endpoint(&self, broker: i32, listener: &str) -> Option<&Endpoint> {
        self.brokers.get(&broker)?.endpoints.iter().find(|endpoint| endpoint.listener == listener)
    }
}

/// Whether clients may not create or write the topic as they like.
pub(crate) fn is_internal(topic: &str) -> bool {
    topic == GROUP_METADATA_TOPIC || topic == TRANSACTION_STATE_TOPIC
}

/// Where groups and their offsets are kept.
pub(crate) const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";

/// Where transactions are kept.
pub(crate) const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";
