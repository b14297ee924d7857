//! What an active controller knows: a copy of the znodes (upstream: `ControllerContext`).

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{LEADER_DURING_DELETE, PartitionState, TopicPartition};
use crate::znode::{BrokerRegistration, LeaderAndIsr, ReplicaAssignment};

/// The controller's copy of the cluster's state.
#[derive(Debug)]
pub(crate) struct Context {
    /// Live brokers, each with its epoch.
    pub(crate) brokers: BTreeMap<i32, LiveBroker>,
    /// All topics.
    pub(crate) topics: BTreeMap<String, BTreeMap<i32, Partition>>,
    /// Topics that wait for deletion or are being deleted.
    pub(crate) deletions: BTreeMap<String, Deletion>,
    /// Replicas in failed log directories of live brokers.
    pub(crate) offline: BTreeSet<(TopicPartition, i32)>,
}

/// A registered broker.
#[derive(Clone, Debug)]
pub(crate) struct LiveBroker {
    pub(crate) registration: BrokerRegistration,
    /// Czxid of its registration.
    pub(crate) epoch: i64,
}

/// One partition.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) assignment: ReplicaAssignment,
    /// `None` until its first leader was chosen and written.
    pub(crate) state: Option<VersionedState>,
}

/// Content of a state znode, and its version.
#[derive(Clone, Debug)]
pub(crate) struct VersionedState {
    pub(crate) leader_and_isr: LeaderAndIsr,
    pub(crate) zk_version: i32,
}

/// How far the deletion of a topic is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    /// Brokers that were told to delete and have not answered.
    pub(crate) waiting_for: BTreeSet<i32>,
    /// Whether it was begun.
    pub(crate) started: bool,
}

impl Context {
    pub(crate) const fn new() -> Self {
        Self { brokers: BTreeMap::new(), topics: BTreeMap::new(), deletions: BTreeMap::new(), offline: BTreeSet::new() }
    }

    pub(crate) fn is_live(&self, broker: i32) -> bool {
        self.brokers.contains_key(&broker)
    }

    /// Whether a broker is there and can serve its replica of the partition.
    pub(crate) fn is_online(&self, id: &TopicPartition, broker: i32) -> bool {
        self.is_live(broker) && !self.offline.contains(&(id.clone(), broker))
    }

    pub(crate) fn is_deleting(&self, topic: &str) -> bool {
        self.deletions.contains_key(topic)
    }

    pub(crate) fn partition(&self, id: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&id.topic)?.get(&id.partition)
    }

    pub(crate) fn partition_mut(&mut self, id: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&id.topic)?.get_mut(&id.partition)
    }

    /// All partitions with their ids, in order.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(number, partition)| {
                (TopicPartition { topic: topic.clone(), partition: *number }, partition)
            })
        })
    }

    /// The partitions of one topic.
    pub(crate) fn partitions_of(&self, topic: &str) -> Vec<TopicPartition> {
        let numbers = self.topics.get(topic).into_iter().flat_map(BTreeMap::keys);
        numbers.map(|number| TopicPartition { topic: topic.to_owned(), partition: *number }).collect()
    }

    /// Brokers that hold a replica of the topic.
    pub(crate) fn replicas_of(&self, topic: &str) -> BTreeSet<i32> {
        let partitions = self.topics.get(topic).into_iter().flat_map(BTreeMap::values);
        partitions.flat_map(|partition| partition.assignment.replicas.iter().copied()).collect()
    }

    /// The partition as brokers are told of it; `None` while it has no leader yet.
    pub(crate) fn told_state(&self, id: &TopicPartition, is_new: bool) -> Option<PartitionState> {
        let partition = self.partition(id)?;
        let state = partition.state.as_ref()?;
        let mut leader_and_isr = state.leader_and_isr.clone();
        if self.is_deleting(&id.topic) {
            leader_and_isr.leader = LEADER_DURING_DELETE;
        }
        let replicas = partition.assignment.replicas.iter().copied();
        let offline = replicas.filter(|replica| !self.is_online(id, *replica)).collect();
        Some(PartitionState {
            partition: id.clone(),
            leader_and_isr,
            zk_version: state.zk_version,
            assignment: partition.assignment.clone(),
            offline,
            is_new,
        })
    }
}
