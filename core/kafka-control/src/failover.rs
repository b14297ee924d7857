//! What a new controller does first: read everything, tell everybody, elect what needs a leader (upstream:
//! `onControllerFailover`).
//!
//! All reads of one kind go out in one pipelined batch: three round trips, however many topics there are.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::context::{LiveBroker, Partition, VersionedState};
use crate::controller::{Controller, Turn};
use crate::message::TopicPartition;
use crate::operation::{CreateMode, Operation, Outcome, Reply};
use crate::znode::{self, BrokerRegistration, LeaderAndIsr, TopicAssignment};

impl Controller {
    /// Reads the cluster under watches, then goes to work.
    pub(crate) fn fail_over(&mut self, turn: &mut Turn<'_>) {
        self.log("Registering handlers", turn);
        let children = |path: &str| Operation::GetChildren { path: path.to_owned(), watch: true };
        let feature = self.feature_content();
        let operations = vec![
            children(znode::BROKER_IDS),
            children(znode::TOPICS),
            children(znode::DELETE_TOPICS),
            Operation::Create { path: znode::FEATURE.to_owned(), data: Some(feature), mode: CreateMode::Persistent },
            Operation::Exists { path: znode::PREFERRED_ELECTION.to_owned(), watch: true },
            Operation::Exists { path: znode::REASSIGN_PARTITIONS.to_owned(), watch: true },
        ];
        self.ask(operations, turn, |this, outcomes, turn| {
            let mut lists = outcomes.into_iter().take(3).map(names);
            let (Some(Ok(brokers)), Some(Ok(topics)), Some(Ok(deletions))) = (lists.next(), lists.next(), lists.next())
            else {
                return this.log("can't read the cluster's state; waiting for the session", turn);
            };
            this.load_brokers_and_topics(&brokers, topics, deletions, turn);
        });
    }

    fn feature_content(&self) -> Bytes {
        let status = i32::from(self.settings.feature_versioning);
        Bytes::from(format!(r#"{{"features":{{}},"version":1,"status":{status}}}"#))
    }

    fn load_brokers_and_topics(
        &mut self,
        brokers: &[String],
        topics: Vec<String>,
        deletions: Vec<String>,
        turn: &mut Turn<'_>,
    ) {
        let data = |path: String| Operation::GetData { path, watch: true };
        let broker_ids: Vec<i32> = brokers.iter().filter_map(|id| id.parse().ok()).collect();
        let mut operations: Vec<_> = broker_ids.iter().map(|id| data(znode::broker(*id))).collect();
        operations.extend(topics.iter().map(|topic| data(znode::topic(topic))));
        self.ask(operations, turn, move |this, mut outcomes, turn| {
            let of_topics = outcomes.split_off(broker_ids.len());
            this.context.brokers = live_brokers(&broker_ids, outcomes);
            for (topic, outcome) in topics.into_iter().zip(of_topics) {
                match decode_topic(&topic, outcome) {
                    Ok(Some(partitions)) => {
                        this.context.topics.insert(topic, partitions);
                    }
                    Ok(None) => {}
                    Err(error) => this.log(&error, turn),
                }
            }
            this.load_partition_states(deletions, turn);
        });
    }

    fn load_partition_states(&mut self, deletions: Vec<String>, turn: &mut Turn<'_>) {
        let ids: Vec<TopicPartition> = self.context.partitions().map(|(id, _)| id).collect();
        self.read_states(ids, turn, move |this, turn| {
            this.queue_deletions(deletions, turn, |this, turn| {
                let epoch = this.active_epoch().unwrap_or_default();
                this.log(&format!("Ready to serve as the new controller with epoch {epoch}"), turn);
                this.start_all(turn);
            });
        });
    }

    /// Reads the state znodes of these partitions into the context.
    pub(crate) fn read_states(
        &mut self,
        ids: Vec<TopicPartition>,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>) + Send + 'static,
    ) {
        let path = |id: &TopicPartition| znode::partition_state(&id.topic, id.partition);
        let operations = ids.iter().map(|id| Operation::GetData { path: path(id), watch: false }).collect();
        self.ask(operations, turn, move |this, outcomes, turn| {
            for (id, outcome) in ids.iter().zip(outcomes) {
                let Ok(Reply::Data(content, stat)) = outcome else { continue };
                match LeaderAndIsr::decode(&id.topic, id.partition, content.as_deref().unwrap_or_default()) {
                    Ok(leader_and_isr) => {
                        if let Some(partition) = this.context.partition_mut(id) {
                            partition.state = Some(VersionedState { leader_and_isr, zk_version: stat.version });
                        }
                    }
                    Err(error) => this.log(&error.to_string(), turn),
                }
            }
            then(this, turn);
        });
    }

    /// Tells every broker of the cluster and of its replicas, and elects leaders where there is none alive.
    fn start_all(&mut self, turn: &mut Turn<'_>) {
        let everyone: Vec<i32> = self.context.brokers.keys().copied().collect();
        self.tell_metadata(&everyone, &[], turn);
        let ids: Vec<TopicPartition> = self.context.partitions().map(|(id, _)| id).collect();
        let settled = ids.iter().filter(|id| self.has_live_leader(id)).cloned().collect::<Vec<_>>();
        self.tell_replicas(&settled, None, false, turn);
        self.tell_metadata(&everyone, &settled, turn);
        self.bring_online(ids, turn, |this, turn| this.resume_deletions(turn));
    }
}

/// The names in a list of children.
pub(crate) fn names(outcome: Outcome) -> Result<Vec<String>, Outcome> {
    match outcome {
        Ok(Reply::Children(names)) => Ok(names),
        other => Err(other),
    }
}

/// The registrations that could be read, by id.
pub(crate) fn live_brokers(ids: &[i32], outcomes: Vec<Outcome>) -> BTreeMap<i32, LiveBroker> {
    let read = |(id, outcome): (&i32, Outcome)| match outcome {
        Ok(Reply::Data(content, stat)) => {
            let registration = BrokerRegistration::decode(*id, content.as_deref().unwrap_or_default()).ok()?;
            Some((*id, LiveBroker { registration, epoch: stat.czxid }))
        }
        _ => None,
    };
    ids.iter().zip(outcomes).filter_map(read).collect()
}

/// A topic's partitions without their states; `None` if the topic is gone.
pub(crate) fn decode_topic(topic: &str, outcome: Outcome) -> Result<Option<BTreeMap<i32, Partition>>, String> {
    let Ok(Reply::Data(content, _)) = outcome else { return Ok(None) };
    let assignment =
        TopicAssignment::decode(topic, content.as_deref().unwrap_or_default()).map_err(|error| error.to_string())?;
    let without_state = |(number, assignment)| (number, Partition { assignment, state: None });
    Ok(Some(assignment.0.into_iter().map(without_state).collect()))
}
