//! Topics that are made, grow and go (upstream: `TopicChange`, `PartitionModifications`, `TopicDeletionManager`).

use std::collections::BTreeMap;

use kafka_proto::ErrorCode;

use crate::context::Deletion;
use crate::controller::{Controller, Turn};
use crate::failover::{decode_topic, names};
use crate::message::{EPOCH_DURING_DELETE, MessageBody, StoppedReplica, TopicPartition};
use crate::operation::Operation;
use crate::partitions::lost_office;
use crate::znode;

impl Controller {
    /// The list of topics changed: new ones get leaders, those that are gone are forgotten.
    pub(crate) fn topics_changed(&mut self, turn: &mut Turn<'_>) {
        let list = Operation::GetChildren { path: znode::TOPICS.to_owned(), watch: true };
        self.ask(vec![list], turn, |this, outcomes, turn| {
            let Some(Ok(found)) = outcomes.into_iter().next().map(names) else { return };
            this.context.topics.retain(|topic, _| found.contains(topic));
            let new: Vec<String> = found.into_iter().filter(|topic| !this.context.topics.contains_key(topic)).collect();
            let data = |topic: &String| Operation::GetData { path: znode::topic(topic), watch: true };
            let operations = new.iter().map(data).collect();
            this.ask(operations, turn, move |this, outcomes, turn| {
                let mut ids = Vec::new();
                for (topic, outcome) in new.into_iter().zip(outcomes) {
                    match decode_topic(&topic, outcome) {
                        Ok(Some(partitions)) => {
                            this.context.topics.insert(topic.clone(), partitions);
                            ids.extend(this.context.partitions_of(&topic));
                        }
                        Ok(None) => {}
                        Err(error) => this.log(&error, turn),
                    }
                }
                this.bring_new_online(ids, turn);
            });
        });
    }

    /// A topic's znode changed: partitions were added.
    pub(crate) fn partitions_changed(&mut self, topic: String, turn: &mut Turn<'_>) {
        let data = Operation::GetData { path: znode::topic(&topic), watch: true };
        self.ask(vec![data], turn, move |this, outcomes, turn| {
            let Some(Ok(Some(mut found))) = outcomes.into_iter().next().map(|outcome| decode_topic(&topic, outcome))
            else {
                return;
            };
            let Some(known) = this.context.topics.get_mut(&topic) else { return };
            found.retain(|number, _| !known.contains_key(number));
            let ids: Vec<TopicPartition> =
                found.keys().map(|number| TopicPartition { topic: topic.clone(), partition: *number }).collect();
            known.extend(found);
            this.bring_new_online(ids, turn);
        });
    }

    /// A partition that looks new may have a state from before, when the controller changed in between.
    fn bring_new_online(&mut self, ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        self.read_states(ids.clone(), turn, |this, turn| this.bring_online(ids, turn, |_, _| {}));
    }

    /// Topics were named below `/admin/delete_topics`.
    pub(crate) fn deletions_changed(&mut self, turn: &mut Turn<'_>) {
        let list = Operation::GetChildren { path: znode::DELETE_TOPICS.to_owned(), watch: true };
        self.ask(vec![list], turn, |this, outcomes, turn| {
            let Some(Ok(found)) = outcomes.into_iter().next().map(names) else { return };
            this.queue_deletions(found, turn, |this, turn| this.resume_deletions(turn));
        });
    }

    /// Takes up the topics that exist; the wish to delete another, or any where that is switched off, is removed.
    pub(crate) fn queue_deletions(
        &mut self,
        topics: Vec<String>,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>) + Send + 'static,
    ) {
        let enabled = self.settings.delete_topic_enable;
        let (wanted, vain): (Vec<String>, Vec<String>) =
            topics.into_iter().partition(|topic| enabled && self.context.topics.contains_key(topic));
        for topic in wanted {
            self.context.deletions.entry(topic).or_default();
        }
        let remove = |topic: &String| self.fenced(Operation::Delete { path: znode::delete_topic(topic), version: -1 });
        let operations = vain.iter().map(remove).collect();
        self.ask(operations, turn, |this, _, turn| then(this, turn));
    }

    /// Starts every deletion whose replicas are all alive; the others wait for their brokers.
    pub(crate) fn resume_deletions(&mut self, turn: &mut Turn<'_>) {
        let waiting = self.context.deletions.iter().filter(|(_, deletion)| !deletion.started);
        let ready: Vec<String> = waiting
            .map(|(topic, _)| topic.clone())
            .filter(|topic| self.context.replicas_of(topic).iter().all(|replica| self.context.is_live(*replica)))
            .collect();
        for topic in ready {
            self.start_deletion(&topic, turn);
        }
    }

    /// Nobody may use the topic any more, then each broker stops its replicas, then deletes them.
    fn start_deletion(&mut self, topic: &str, turn: &mut Turn<'_>) {
        self.log(&format!("Deletion of topic {topic} (re)started"), turn);
        let ids = self.context.partitions_of(topic);
        let everyone: Vec<i32> = self.context.brokers.keys().copied().collect();
        self.tell_metadata(&everyone, &ids, turn);
        let replicas = self.context.replicas_of(topic);
        for broker in &replicas {
            for delete in [false, true] {
                let held = ids.iter().filter(|id| {
                    self.context.partition(id).is_some_and(|partition| partition.assignment.replicas.contains(broker))
                });
                let stopped = held
                    .map(|id| StoppedReplica { partition: id.clone(), leader_epoch: EPOCH_DURING_DELETE, delete })
                    .collect();
                self.tell([*broker], &MessageBody::StopReplica(stopped), turn);
            }
        }
        self.context.deletions.insert(topic.to_owned(), Deletion { waiting_for: replicas, started: true });
    }

    /// A broker answered; the last answer lets the topic's znodes go.
    pub(crate) fn replicas_deleted(
        &mut self,
        broker: i32,
        replicas: &[(TopicPartition, ErrorCode)],
        turn: &mut Turn<'_>,
    ) {
        let mut topics: BTreeMap<String, bool> = BTreeMap::new();
        for (id, code) in replicas {
            *topics.entry(id.topic.clone()).or_insert(true) &= *code == ErrorCode::NONE;
        }
        let mut done = Vec::new();
        for (topic, success) in topics {
            let Some(deletion) = self.context.deletions.get_mut(&topic) else { continue };
            if !success {
                // Tried again when the broker comes back.
                deletion.started = false;
                continue;
            }
            deletion.waiting_for.remove(&broker);
            if deletion.started && deletion.waiting_for.is_empty() {
                done.push(topic);
            }
        }
        self.remove_topics(done, turn);
    }

    /// A broker that came back was told nothing yet: deletions that waited for it start again.
    pub(crate) fn forget_answer(&mut self, broker: i32) {
        for deletion in self.context.deletions.values_mut() {
            if deletion.waiting_for.contains(&broker) {
                deletion.started = false;
            }
        }
    }

    fn remove_topics(&mut self, topics: Vec<String>, turn: &mut Turn<'_>) {
        let mut operations = Vec::new();
        for topic in &topics {
            let mut delete = |path| operations.push(self.fenced(Operation::Delete { path, version: -1 }));
            for id in self.context.partitions_of(topic) {
                delete(znode::partition_state(topic, id.partition));
                delete(znode::partition(topic, id.partition));
            }
            delete(znode::partitions(topic));
            delete(znode::topic(topic));
            delete(znode::entity_config("topics", topic));
            delete(znode::delete_topic(topic));
        }
        self.ask(operations, turn, move |this, outcomes, turn| {
            if let Some(failure) = lost_office(&outcomes) {
                return this.step_back(failure, turn);
            }
            for topic in topics {
                this.context.topics.remove(&topic);
                this.context.deletions.remove(&topic);
                this.log(&format!("Deletion of topic {topic} successfully completed"), turn);
            }
        });
    }
}
