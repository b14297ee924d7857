//! What the client knows of the cluster: brokers, controller, topics and their leaders.

use std::collections::BTreeMap;

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::metadata;

/// A topic and one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: Str,
    /// Index of the partition.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition of a topic.
    pub fn new(topic: impl Into<Str>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.topic, self.partition)
    }
}

/// Where a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Id of the broker; negative for a bootstrap address whose broker is not known yet.
    pub id: i32,
    /// Name or address.
    pub host: Str,
    /// TCP port.
    pub port: i32,
    /// Rack, if it has one.
    pub rack: Option<Str>,
}

/// One partition as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Why it has no leader, or [`ErrorCode::NONE`].
    pub error: ErrorCode,
    /// Index.
    pub index: i32,
    /// Broker id of the leader; -1 if there is none.
    pub leader: i32,
    /// Epoch of the leader; -1 if unknown.
    pub leader_epoch: i32,
    /// Broker ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Broker ids of the in-sync replicas.
    pub isr: Vec<i32>,
    /// Broker ids of the replicas that are offline.
    pub offline: Vec<i32>,
}

/// One topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Why it can't be described, or [`ErrorCode::NONE`].
    pub error: ErrorCode,
    /// Whether it is one of the cluster's own.
    pub is_internal: bool,
    /// Its partitions by index.
    pub partitions: BTreeMap<i32, Partition>,
}

/// The cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Id of the cluster.
    pub cluster_id: Option<Str>,
    /// Broker id of the controller; -1 if unknown.
    pub controller: i32,
    /// Brokers by id.
    pub brokers: BTreeMap<i32, Node>,
    /// Topics by name, those alone that were asked for.
    pub topics: BTreeMap<Str, Topic>,
}

impl Cluster {
    /// The cluster of a response.
    pub fn new(response: metadata::Response) -> Self {
        let brokers = response.brokers.into_iter().map(|broker| {
            let node = Node { id: broker.node_id, host: copied(&broker.host), port: broker.port, rack: broker.rack };
            (broker.node_id, node)
        });
        let topics = response.topics.into_iter().map(|topic| {
            let partitions =
                topic.partitions.into_iter().map(|partition| (partition.partition_index, partition.into()));
            let described =
                Topic { error: topic.error_code, is_internal: topic.is_internal, partitions: partitions.collect() };
            (copied(&topic.name), described)
        });
        Self {
            cluster_id: response.cluster_id.as_ref().map(copied),
            controller: response.controller_id,
            brokers: brokers.collect(),
            topics: topics.collect(),
        }
    }

    /// Keeps what was known of a partition in a later leader epoch: a broker that has not heard of it yet names a leader of before (KIP-320).
    /// As in the original, a topic that was described as gone in between begins anew.
    pub(crate) fn keep_newer(&mut self, before: Self) {
        for (name, topic) in before.topics {
            let Some(now) = self.topics.get_mut(&name) else { continue };
            for (index, partition) in topic.partitions {
                if let Some(found) = now.partitions.get_mut(&index)
                    && (0..partition.leader_epoch).contains(&found.leader_epoch)
                {
                    *found = partition;
                }
            }
        }
    }

    /// A partition, if it is known.
    pub fn partition(&self, partition: &TopicPartition) -> Option<&Partition> {
        self.topics.get(&partition.topic)?.partitions.get(&partition.partition)
    }

    /// Id and epoch of a partition's leader, if it has one.
    pub fn leader(&self, partition: &TopicPartition) -> Option<(i32, i32)> {
        let partition = self.partition(partition)?;
        (partition.leader >= 0).then_some((partition.leader, partition.leader_epoch))
    }
}

/// A response's strings keep its whole frame: what lives on is copied.
fn copied(text: &Str) -> Str {
    Str::copied(text)
}

impl From<metadata::ResponsePartition> for Partition {
    fn from(partition: metadata::ResponsePartition) -> Self {
        Self {
            error: partition.error_code,
            index: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
            offline: partition.offline_replicas,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(epochs: &[(i32, i32, i32)]) -> Cluster {
        let partitions = epochs.iter().map(|(index, leader, leader_epoch)| metadata::ResponsePartition {
            partition_index: *index,
            leader_id: *leader,
            leader_epoch: *leader_epoch,
            ..Default::default()
        });
        let topic = metadata::ResponseTopic {
            name: Str::from_static("t"),
            partitions: partitions.collect(),
            ..Default::default()
        };
        Cluster::new(metadata::Response { topics: vec![topic], ..Default::default() })
    }

    #[test]
    fn a_leader_of_before_is_not_believed() {
        let leader = |cluster: &Cluster, index| cluster.leader(&TopicPartition::new("t", index));
        let mut cluster = described(&[(0, 1, 4), (1, 1, 6), (2, 1, -1)]);
        cluster.keep_newer(described(&[(0, 2, 5), (1, 2, 5), (2, 2, 5), (3, 2, 5)]));
        assert_eq!(leader(&cluster, 0), Some((2, 5)));
        assert_eq!(leader(&cluster, 1), Some((1, 6)));
        assert_eq!(leader(&cluster, 2), Some((1, -1)), "a broker that knows no epochs is believed");
        assert_eq!(leader(&cluster, 3), None, "it is gone");
    }
}
