//! Topics that go (upstream: `TopicDeletionManager`).
//!
//! Brokers that are there stop and delete their replicas at once; a replica whose broker or directory is gone is deleted when its broker comes
//! back, and the topic's znodes stay until the last replica has gone. A topic whose replicas are being moved waits for that.

use std::collections::BTreeSet;

use kafka_proto::ErrorCode;

use crate::context::{Deletion, Replica};
use crate::controller::{Controller, Logger, Severity, Turn, step};
use crate::failover::names;
use crate::message::TopicPartition;
use crate::operation::{Failure, Operation, Outcome, Reply};
use crate::outbox::{Outbox, joined};
use crate::znode;

impl Controller {
    /// Topics were named below `/admin/delete_topics`.
    pub(crate) fn deletions_changed(&mut self, turn: &mut Turn<'_>) {
        let list = Operation::GetChildren { path: znode::DELETE_TOPICS.to_owned(), watch: true };
        self.ask(vec![list], turn, |this, outcomes, turn| {
            let Some(Ok(found)) = outcomes.into_iter().next().map(names) else { return };
            let new: Vec<String> = found.into_iter().filter(|topic| !this.context.is_deleting(topic)).collect();
            let wanted = this.queue_deletions(new, turn);
            if !wanted.is_empty() {
                this.log(&format!("Starting topic deletion for topics {}", joined(&wanted)), turn);
            }
            this.follow(vec![step(move |this, turn| this.delete_topics(wanted, turn))]);
        });
    }

    /// What a controller before this one has left.
    pub(crate) fn take_up_deletions(&mut self, topics: Vec<String>, turn: &mut Turn<'_>) {
        self.log("Fetching topic deletions in progress", turn);
        self.log(&format!("List of topics to be deleted: {}", joined(&topics)), turn);
        self.queue_deletions(topics, turn);
    }

    /// Takes up the topics that exist and gives them back; the wish to delete another, or any where that is switched off, is removed.
    fn queue_deletions(&mut self, topics: Vec<String>, turn: &mut Turn<'_>) -> Vec<String> {
        let (known, unknown): (Vec<String>, Vec<String>) =
            topics.into_iter().partition(|topic| self.context.topics.contains_key(topic));
        let (wanted, unwanted) =
            if self.settings.delete_topic_enable { (known, Vec::new()) } else { (Vec::new(), known) };
        if !unknown.is_empty() {
            self.warn(&format!("Ignoring request to delete non-existing topics {}", joined(&unknown)), turn);
        }
        if !unwanted.is_empty() {
            self.log(&format!("Removing Set({}) since delete topic is disabled", joined(&unwanted)), turn);
        }
        for topic in &wanted {
            let begun = !self.context.is_reassigning(topic);
            self.context.deletions.insert(topic.clone(), Deletion { begun, ..Deletion::default() });
            if !begun {
                self.log_halted(topic, "topic reassignment in progress", turn);
            }
        }
        let vain = unknown.iter().chain(&unwanted).map(|topic| znode::delete_topic(topic)).collect();
        self.remove(vain, turn);
        wanted
    }

    /// Goes on with every deletion.
    pub(crate) fn resume_all_deletions(&mut self, turn: &mut Turn<'_>) {
        let topics = self.context.deletions.keys().cloned().collect();
        self.delete_topics(topics, turn);
    }

    /// Goes on with the deletions that have replicas on these brokers, which came back.
    pub(crate) fn resume_deletions_on(&mut self, brokers: &BTreeSet<i32>, turn: &mut Turn<'_>) {
        let waits = |topic: &&String| self.context.replicas_of(topic).any(|(_, broker)| brokers.contains(&broker));
        let topics: Vec<String> = self.context.deletions.keys().filter(waits).cloned().collect();
        for topic in &topics {
            if let Some(deletion) = self.context.deletions.get_mut(topic) {
                deletion.failed.clear();
            }
        }
        self.delete_topics(topics, turn);
    }

    /// Nobody may use the topics any more; each broker that is there stops its replicas, then deletes them. What has no replica left goes
    /// altogether.
    pub(crate) fn delete_topics(&mut self, mut topics: Vec<String>, turn: &mut Turn<'_>) {
        topics.retain(|topic| self.context.is_deleting(topic) && !self.context.is_reassigning(topic));
        let (mut stop, mut delete) = (Outbox::default(), Outbox::default());
        let mut done = Vec::new();
        for topic in topics {
            let replicas: BTreeSet<Replica> = self.context.replicas_of(&topic).collect();
            let id = |number| TopicPartition { topic: topic.clone(), partition: number };
            let is_online = |(number, broker): &Replica| self.context.is_online(&id(*number), *broker);
            let (online, offline): (Vec<Replica>, Vec<Replica>) = replicas.iter().copied().partition(is_online);
            let ids = self.context.partitions_of(&topic);
            let Some(deletion) = self.context.deletions.get_mut(&topic) else { continue };
            let is_open = |replica: &Replica| {
                !deletion.deleted.contains(replica)
                    && !deletion.asked.contains(replica)
                    && !deletion.failed.contains(replica)
            };
            let open: Vec<Replica> = online.into_iter().filter(is_open).collect();
            let waits = offline.iter().any(|replica| !deletion.deleted.contains(replica));
            if replicas.is_subset(&deletion.deleted) {
                done.push(topic);
                continue;
            }
            deletion.begun = true;
            if open.is_empty() && deletion.told {
                continue;
            }
            deletion.told = true;
            deletion.asked.extend(open.iter().copied());
            stop.metadata(ids);
            for (number, broker) in &open {
                stop.stop(*broker, id(*number), false);
                delete.stop(*broker, id(*number), true);
            }
            self.log_deletion(&format!("Deletion of topic {topic} (re)started"), turn);
            if waits {
                self.log_halted(&topic, "offline replicas", turn);
            }
        }
        if !stop.is_empty() {
            stop.listeners(self.context.brokers.keys().copied());
        }
        self.send(stop, turn);
        self.send(delete, turn);
        self.remove_topics(done, turn);
    }

    /// A broker answered; the last answer lets the topic's znodes go.
    pub(crate) fn replicas_deleted(
        &mut self,
        broker: i32,
        replicas: Vec<(TopicPartition, ErrorCode)>,
        turn: &mut Turn<'_>,
    ) {
        let (mut touched, mut halted) = (BTreeSet::new(), BTreeSet::new());
        for (id, code) in replicas {
            let Some(deletion) = self.context.deletions.get_mut(&id.topic) else { continue };
            let replica = (id.partition, broker);
            if !deletion.asked.remove(&replica) {
                continue;
            }
            if code == ErrorCode::NONE {
                deletion.deleted.insert(replica);
                touched.insert(id.topic);
            } else {
                deletion.failed.insert(replica);
                halted.insert(id.topic);
            }
        }
        for topic in halted {
            self.log_halted(&topic, "replica deletion failure", turn);
        }
        let is_done = |topic: &String| {
            let deleted = self.context.deletions.get(topic).map_or(0, |deletion| deletion.deleted.len());
            deleted == self.context.replicas_of(topic).count()
        };
        let done = touched.into_iter().filter(is_done).collect();
        self.remove_topics(done, turn);
    }

    /// These brokers are gone, and with them the answers that they owe.
    pub(crate) fn fail_deletions(&mut self, brokers: &BTreeSet<i32>, turn: &mut Turn<'_>) {
        let mut halted = Vec::new();
        for (topic, deletion) in &mut self.context.deletions {
            let owed = deletion.asked.len();
            deletion.asked.retain(|(_, broker)| !brokers.contains(broker));
            if deletion.asked.len() < owed {
                halted.push(topic.clone());
            }
        }
        for topic in halted {
            self.log_halted(&topic, "replica deletion failure", turn);
        }
    }

    /// The last step: the znodes of these topics, with whatever partitions stand there.
    fn remove_topics(&mut self, topics: Vec<String>, turn: &mut Turn<'_>) {
        let list = |topic: &String| Operation::GetChildren { path: znode::partitions(topic), watch: false };
        let operations = topics.iter().map(list).collect();
        self.ask(operations, turn, |this, outcomes, turn| {
            let mut operations = Vec::new();
            let mut ends = Vec::new();
            for (topic, outcome) in topics.into_iter().zip(outcomes) {
                let partitions = match names(outcome) {
                    Ok(partitions) => partitions,
                    // It waits for another occasion: without its partitions' znodes it can't go.
                    Err(failure) => {
                        this.error(&format!("The partitions of topic {topic} can't be listed: {failure}"), turn);
                        continue;
                    }
                };
                let mut delete = |path| operations.push(this.fenced(Operation::Delete { path, version: -1 }));
                for partition in partitions {
                    let path = format!("{}/{partition}", znode::partitions(&topic));
                    delete(format!("{path}/state"));
                    delete(path);
                }
                delete(znode::partitions(&topic));
                delete(znode::topic(&topic));
                delete(znode::entity_config("topics", &topic));
                delete(znode::delete_topic(&topic));
                ends.push((topic, operations.len()));
            }
            this.ask(operations, turn, move |this, outcomes, turn| {
                for (topic, end) in ends {
                    // The third from the end is the topic's own znode.
                    this.finish_deletion(&topic, outcomes.get(end - 3), turn);
                }
            });
        });
    }

    fn finish_deletion(&mut self, topic: &str, outcome: Option<&Outcome>, turn: &mut Turn<'_>) {
        match outcome {
            Some(Ok(Reply::Multi(_)) | Err(Failure::NoNode)) => {
                self.forget_topic(topic);
                self.log_deletion(&format!("Deletion of topic {topic} successfully completed"), turn);
            }
            Some(Err(failure)) => self.error(&format!("The znodes of topic {topic} were not deleted: {failure}"), turn),
            Some(Ok(_)) | None => {}
        }
    }

    fn log_halted(&self, topic: &str, reason: &str, turn: &mut Turn<'_>) {
        self.log_deletion(&format!("Halted deletion of topics {topic} due to {reason}"), turn);
    }

    fn log_deletion(&self, line: &str, turn: &mut Turn<'_>) {
        self.log_to(Logger::Deletions, Severity::Info, line, turn);
    }
}
