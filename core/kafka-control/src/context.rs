//! What an active controller knows: a copy of the znodes (upstream: `ControllerContext`).

use std::collections::{BTreeMap, BTreeSet};

use crate::message::{NO_LEADER, TopicPartition};
use crate::znode::{BrokerRegistration, Features, LeaderAndIsr, ReplicaAssignment};

/// The controller's copy of the cluster's state.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// Registered brokers, those that are shutting down too.
    pub(crate) brokers: BTreeMap<i32, LiveBroker>,
    /// Brokers that asked for a controlled shutdown: no leader is moved to them.
    pub(crate) shutting_down: BTreeSet<i32>,
    /// All topics.
    pub(crate) topics: BTreeMap<String, Topic>,
    /// Topics that wait for deletion or are being deleted.
    pub(crate) deletions: BTreeMap<String, Deletion>,
    /// Replicas in failed log directories of registered brokers.
    pub(crate) offline: BTreeMap<i32, BTreeSet<TopicPartition>>,
    /// Partitions whose replicas are being moved.
    pub(crate) reassigning: BTreeSet<TopicPartition>,
    /// The finalized features.
    pub(crate) features: Features,
}

/// A registered broker.
#[derive(Clone, Debug)]
pub(crate) struct LiveBroker {
    pub(crate) registration: BrokerRegistration,
    /// Czxid of its registration.
    pub(crate) epoch: i64,
}

/// One topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topic {
    pub(crate) partitions: BTreeMap<i32, Partition>,
    /// Version of the topic's znode.
    pub(crate) zk_version: i32,
}

/// One partition.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) assignment: ReplicaAssignment,
    /// `None` until its first leader was chosen and written.
    pub(crate) state: Option<VersionedState>,
}

/// Content of a state znode, its version, and the transaction that wrote it.
#[derive(Clone, Debug)]
pub(crate) struct VersionedState {
    pub(crate) leader_and_isr: LeaderAndIsr,
    pub(crate) zk_version: i32,
    pub(crate) mzxid: i64,
}

/// The process that this controller runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnLife {
    pub(crate) broker: i32,
    /// Czxid of its first registration: the process has lived since, whatever became of its sessions.
    pub(crate) since: i64,
}

/// A replica of a topic: its partition's number and its broker.
pub(crate) type Replica = (i32, i32);

/// How far the deletion of a topic is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    /// Nothing has to be waited for any more, so the partitions need no leaders.
    pub(crate) begun: bool,
    /// Brokers know that the topic goes.
    pub(crate) told: bool,
    /// Replicas whose broker was told to delete them and has not answered.
    pub(crate) asked: BTreeSet<Replica>,
    /// Replicas that could not be deleted; tried again when a broker of the topic comes back.
    pub(crate) failed: BTreeSet<Replica>,
    /// Replicas that are gone.
    pub(crate) deleted: BTreeSet<Replica>,
}

impl Context {
    /// Whether a broker is registered and stays.
    pub(crate) fn is_live(&self, broker: i32) -> bool {
        self.brokers.contains_key(&broker) && !self.shutting_down.contains(&broker)
    }

    /// Brokers that are registered and stay.
    pub(crate) fn live_brokers(&self) -> impl Iterator<Item = i32> {
        self.brokers.keys().copied().filter(|broker| !self.shutting_down.contains(broker))
    }

    /// Whether a broker stays and can serve its replica of the partition: it may be elected.
    pub(crate) fn is_online(&self, id: &TopicPartition, broker: i32) -> bool {
        !self.shutting_down.contains(&broker) && self.is_present(id, broker)
    }

    /// Whether a broker is there and can serve its replica of the partition, if for a moment only.
    pub(crate) fn is_present(&self, id: &TopicPartition, broker: i32) -> bool {
        self.brokers.contains_key(&broker) && !self.offline.get(&broker).is_some_and(|offline| offline.contains(id))
    }

    /// Whether a broker has registered since this state was written: it went and came back, and nobody has drawn the conclusions. Of its
    /// own broker a controller knows whether that was its process or only its session.
    pub(crate) fn has_bounced(&self, broker: i32, state: &VersionedState, own: OwnLife) -> bool {
        let is_newer = self.brokers.get(&broker).is_some_and(|live| live.epoch > state.mzxid);
        is_newer && (broker != own.broker || own.since > state.mzxid)
    }

    /// Whether the topic's deletion was asked for.
    pub(crate) fn is_deleting(&self, topic: &str) -> bool {
        self.deletions.contains_key(topic)
    }

    /// Whether the topic goes without waiting for anything, so that its partitions need no leader any more.
    pub(crate) fn has_begun_deleting(&self, topic: &str) -> bool {
        self.deletions.get(topic).is_some_and(|deletion| deletion.begun)
    }

    /// Whether a partition of the topic is being moved.
    pub(crate) fn is_reassigning(&self, topic: &str) -> bool {
        let first = TopicPartition { topic: topic.to_owned(), partition: i32::MIN };
        self.reassigning.range(first..).next().is_some_and(|id| id.topic == topic)
    }

    pub(crate) fn partition(&self, id: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&id.topic)?.partitions.get(&id.partition)
    }

    pub(crate) fn partition_mut(&mut self, id: &TopicPartition) -> Option<&mut Partition> {
        self.topics.get_mut(&id.topic)?.partitions.get_mut(&id.partition)
    }

    /// The partition's state, if it has one.
    pub(crate) fn state(&self, id: &TopicPartition) -> Option<&VersionedState> {
        self.partition(id)?.state.as_ref()
    }

    /// All partitions, in order; of topics that are being deleted none.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        let topics = self.topics.iter().filter(|(topic, _)| !self.has_begun_deleting(topic));
        topics.flat_map(|(topic, content)| {
            let id = |number| TopicPartition { topic: topic.clone(), partition: number };
            content.partitions.iter().map(move |(number, partition)| (id(*number), partition))
        })
    }

    /// As [`Context::partitions`], those with a replica on one of these brokers.
    pub(crate) fn partitions_on(&self, brokers: &BTreeSet<i32>) -> Vec<TopicPartition> {
        let topics = self.topics.iter().filter(|(topic, _)| !self.has_begun_deleting(topic));
        let mut found = Vec::new();
        for (topic, content) in topics {
            let held = |partition: &Partition| partition.assignment.replicas.iter().any(|id| brokers.contains(id));
            let numbers = content.partitions.iter().filter(|(_, partition)| held(partition));
            found.extend(numbers.map(|(number, _)| TopicPartition { topic: topic.clone(), partition: *number }));
        }
        found
    }

    /// The partitions of one topic.
    pub(crate) fn partitions_of(&self, topic: &str) -> Vec<TopicPartition> {
        let numbers = self.topics.get(topic).into_iter().flat_map(|topic| topic.partitions.keys());
        numbers.map(|number| TopicPartition { topic: topic.to_owned(), partition: *number }).collect()
    }

    /// All replicas of the topic.
    pub(crate) fn replicas_of(&self, topic: &str) -> impl Iterator<Item = Replica> {
        let partitions = self.topics.get(topic).into_iter().flat_map(|topic| &topic.partitions);
        partitions.flat_map(|(number, partition)| partition.assignment.replicas.iter().map(|broker| (*number, *broker)))
    }

    /// Whether one of the partition's replicas leads it and is there.
    pub(crate) fn has_present_leader(&self, id: &TopicPartition) -> bool {
        let leader = self.leader(id);
        self.is_present(id, leader)
            && self.partition(id).is_some_and(|partition| partition.assignment.replicas.contains(&leader))
    }

    /// The partition's leader, or -1.
    pub(crate) fn leader(&self, id: &TopicPartition) -> i32 {
        self.state(id).map_or(NO_LEADER, |state| state.leader_and_isr.leader)
    }
}

impl Topic {
    /// What stands in the topic's znode.
    pub(crate) fn assignment(&self) -> crate::znode::TopicAssignment {
        let assignments = self.partitions.iter().map(|(number, partition)| (*number, partition.assignment.clone()));
        crate::znode::TopicAssignment(assignments.collect())
    }
}
