//! Replicas that move to other brokers (upstream: `onPartitionReassignment`, KIP-455).
//!
//! The topic's znode says at first all replicas, old and new, with those that are added and removed. The leader and the new replicas learn of
//! it by a new leader epoch. When all target replicas are in sync, one of them leads, the others leave the ISR, are stopped and deleted, and
//! the topic's znode names the target replicas alone; that is written last, so that a controller that takes over goes on with it.

use std::collections::{BTreeMap, BTreeSet};

use kafka_proto::ErrorCode;

use crate::controller::{Controller, Turn, step};
use crate::elections::Rule;
use crate::message::TopicPartition;
use crate::operation::{Failure, Operation, Outcome, Reply};
use crate::outbox::{Outbox, joined};
use crate::partitions::{Results, Wishes};
use crate::request::Refusal;
use crate::znode::{self, ReplicaAssignment, TopicAssignment};

/// Partitions that are to be moved, each with its assignment meanwhile.
pub(crate) type Plans = BTreeMap<TopicPartition, ReplicaAssignment>;

/// What became of each partition.
pub(crate) type Answers = BTreeMap<TopicPartition, Result<(), Refusal>>;

/// Replicas that are stopped and deleted.
type Removed = Vec<(TopicPartition, Vec<i32>)>;

impl Controller {
    /// Begins what can be begun, instead of what is under way for the same partitions; then says what became of each.
    pub(crate) fn trigger_reassignments(
        &mut self,
        plans: Plans,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, Answers, &mut Turn<'_>) + Send + 'static,
    ) {
        let mut answers = Answers::new();
        let mut taken = Plans::new();
        for (id, plan) in plans {
            match self.refuse_reassignment(&id, &plan, turn) {
                Some(refusal) => {
                    answers.insert(id, Err(refusal));
                }
                None => {
                    taken.insert(id, plan);
                }
            }
        }
        self.begin_reassignments(taken, turn, move |this, begun, turn| {
            answers.extend(begun);
            then(this, answers, turn);
        });
    }

    fn refuse_reassignment(
        &self,
        id: &TopicPartition,
        plan: &ReplicaAssignment,
        turn: &mut Turn<'_>,
    ) -> Option<Refusal> {
        let current = self.context.partition(id).map(|partition| &partition.assignment);
        if current == Some(plan) && self.context.reassigning.contains(id) {
            // It is under way, and must end, or the topic could not be deleted.
            return None;
        }
        let unknown = || Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
        if self.context.is_deleting(&id.topic) {
            self.log(&format!("Skipping reassignment of {id} since the topic is currently being deleted"), turn);
            return Some(unknown());
        }
        current.is_none().then(unknown)
    }

    /// Takes replicas that an earlier plan had and these have not out of the ISRs, which must not lose the last one with the data by that; writes
    /// the plans to the topics' znodes, has those replicas deleted, and does what is next for each partition.
    fn begin_reassignments(
        &mut self,
        mut plans: Plans,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, Answers, &mut Turn<'_>) + Send + 'static,
    ) {
        let mut dropped = BTreeMap::new();
        let mut wishes = Wishes::new();
        for (id, plan) in &plans {
            let Some(partition) = self.context.partition(id) else { continue };
            let before = partition.assignment.replicas.iter().copied();
            let gone: Vec<i32> = before.filter(|replica| !plan.replicas.contains(replica)).collect();
            if !gone.is_empty() {
                if partition.state.is_some() {
                    wishes.insert(id.clone(), Rule::Drop(gone.clone()));
                }
                dropped.insert(id.clone(), gone);
            }
        }
        self.change_states(wishes, Outbox::default(), turn, move |this, results: Results, turn| {
            let mut answers = Answers::new();
            for (id, _) in results.into_iter().filter(|(_, is_dropped)| !is_dropped) {
                plans.remove(&id);
                dropped.remove(&id);
                let refusal = Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, would_lose_data(&id));
                answers.insert(id, Err(refusal));
            }
            this.write_plans(plans, dropped, answers, turn, then);
        });
    }

    fn write_plans(
        &mut self,
        plans: Plans,
        mut dropped: BTreeMap<TopicPartition, Vec<i32>>,
        mut answers: Answers,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, Answers, &mut Turn<'_>) + Send + 'static,
    ) {
        let is_news = |(id, plan): &(&TopicPartition, &ReplicaAssignment)| {
            self.context.partition(id).is_some_and(|partition| partition.assignment != **plan)
        };
        let news = plans.iter().filter(is_news).map(|(id, plan)| (id.clone(), plan.clone())).collect();
        self.write_assignments(news, turn, move |this, failed, turn| {
            let mut ids = Vec::new();
            for id in plans.into_keys() {
                if failed.contains(&id.topic) {
                    dropped.remove(&id);
                    answers.insert(id, Err(Refusal::of(ErrorCode::UNKNOWN_SERVER_ERROR)));
                } else {
                    this.context.reassigning.insert(id.clone());
                    ids.push(id.clone());
                    answers.insert(id, Ok(()));
                }
            }
            this.stop_and_delete(&dropped.into_iter().collect(), turn);
            this.follow(vec![
                step(move |this, turn| this.advance_reassignments(ids, turn)),
                step(move |this, turn| then(this, answers, turn)),
            ]);
        });
    }

    fn stop_and_delete(&self, removed: &Removed, turn: &mut Turn<'_>) {
        for delete in [false, true] {
            let mut outbox = Outbox::default();
            for (id, brokers) in removed {
                for broker in brokers {
                    outbox.stop(*broker, id.clone(), delete);
                }
            }
            self.send(outbox, turn);
        }
    }

    /// Does what is next for these partitions: ends the reassignment where all target replicas are in sync, else tells the leader and the new
    /// replicas of it.
    fn advance_reassignments(&mut self, ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        let mut wishes = Wishes::new();
        let mut removed = Removed::new();
        for id in ids {
            let Some(partition) = self.context.partition(&id) else { continue };
            let rule = if self.context.is_reassigned(&id) {
                removed.push((id.clone(), partition.assignment.removing.clone()));
                Rule::FinishReassignment
            } else if partition.state.is_none() {
                Rule::Settle { allow_unclean: false }
            } else {
                Rule::RaiseEpoch
            };
            wishes.insert(id, rule);
        }
        self.change_states(wishes, Outbox::default(), turn, move |this, results: Results, turn| {
            removed.retain(|(id, _)| results.get(id) == Some(&true));
            this.stop_and_delete(&removed, turn);
            let done: Vec<TopicPartition> = removed.into_iter().map(|(id, _)| id).collect();
            if !done.is_empty() {
                this.end_reassignments(done, turn);
            }
        });
    }

    /// The target replicas alone are left: in the topics' znodes, and for the old tool.
    fn end_reassignments(&mut self, done: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        let target = |id: &TopicPartition| Some(self.context.partition(id)?.assignment.clone());
        let ends: Plans = done.iter().filter_map(|id| Some((id.clone(), target(id)?))).collect();
        let targets: BTreeMap<TopicPartition, Vec<i32>> =
            ends.iter().map(|(id, assignment)| (id.clone(), assignment.replicas.clone())).collect();
        self.write_assignments(ends, turn, move |this, _, _| {
            for id in &done {
                this.context.reassigning.remove(id);
            }
            let topics: BTreeSet<String> = done.into_iter().map(|id| id.topic).collect();
            this.follow(vec![
                step(move |this, turn| {
                    this.trim_reassign_partitions(
                        move |id, replicas| targets.get(id).is_some_and(|target| *target == replicas),
                        turn,
                    );
                }),
                step(move |this, turn| this.delete_topics(topics.into_iter().collect(), turn)),
            ]);
        });
    }

    /// Ends those of these reassignments whose target replicas are all in sync.
    pub(crate) fn complete_reassignments(&mut self, mut ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        ids.retain(|id| self.context.reassigning.contains(id) && self.context.is_reassigned(id));
        for id in &ids {
            let target = self.context.partition(id).map(|partition| partition.assignment.target()).unwrap_or_default();
            let line = format!(
                "Target replicas {} have all caught up with the leader for reassigning partition {id}",
                joined(target)
            );
            self.log(&line, turn);
        }
        self.advance_reassignments(ids, turn);
    }

    /// Brokers are new: the reassignments to them are told again.
    pub(crate) fn resume_reassignments_to(&mut self, brokers: &BTreeSet<i32>, turn: &mut Turn<'_>) {
        let concerns = |id: &&TopicPartition| {
            let target = self.context.partition(id).map(|partition| partition.assignment.target());
            target.unwrap_or_default().iter().any(|replica| brokers.contains(replica))
        };
        let ids = self.context.reassigning.iter().filter(concerns).cloned().collect();
        self.advance_reassignments(ids, turn);
    }

    /// A new controller goes on with the reassignments of the one before it; what the old tool has written comes instead of them.
    pub(crate) fn resume_reassignments(&mut self, wish: Outcome, turn: &mut Turn<'_>) {
        let current = |id: &TopicPartition| Some((id.clone(), self.context.partition(id)?.assignment.clone()));
        let plans = self.context.reassigning.iter().filter_map(current).collect();
        self.take_reassign_partitions(wish, plans, turn);
    }

    /// Writes these assignments into their topics' znodes, one write for each topic, and keeps them; then names the topics that could not be
    /// written.
    fn write_assignments(
        &mut self,
        plans: Plans,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, BTreeSet<String>, &mut Turn<'_>) + Send + 'static,
    ) {
        let mut topics: BTreeMap<String, Write> = BTreeMap::new();
        for (id, plan) in plans {
            let Some(known) = self.context.topics.get(&id.topic) else { continue };
            let from_memory =
                || Write { whole: known.assignment(), zk_version: known.zk_version, plans: BTreeMap::new() };
            let write = topics.entry(id.topic).or_insert_with(from_memory);
            write.plans.insert(id.partition, plan);
        }
        for write in topics.values_mut() {
            write.whole.0.extend(write.plans.clone());
        }
        self.try_assignments(topics, BTreeSet::new(), turn, Box::new(then));
    }

    fn try_assignments(
        &mut self,
        mut topics: BTreeMap<String, Write>,
        mut failed: BTreeSet<String>,
        turn: &mut Turn<'_>,
        then: AfterWrites,
    ) {
        let mut operations = Vec::new();
        topics.retain(|topic, write| {
            let (path, data) = (znode::topic(topic), Some(write.whole.encode()));
            let operation = self.fenced(Operation::SetData { path, data, version: write.zk_version });
            let fits = !operation.is_too_large();
            if fits {
                operations.push(operation);
            } else {
                self.error(&format!("The assignment of topic {topic} is too large for a znode"), turn);
                failed.insert(topic.clone());
            }
            fits
        });
        self.ask(operations, turn, move |this, outcomes, turn| {
            let mut conflicts = BTreeMap::new();
            for ((topic, write), outcome) in topics.into_iter().zip(outcomes) {
                match outcome {
                    Ok(Reply::Multi(replies)) => {
                        let version = match replies.last() {
                            Some(Reply::Stat(stat)) => stat.version,
                            _ => write.zk_version + 1,
                        };
                        this.keep_assignments(&topic, write.plans, version, turn);
                    }
                    Err(Failure::BadVersion) => {
                        conflicts.insert(topic, write);
                    }
                    other => {
                        let reason = other.err().map_or_else(String::new, |failure| failure.to_string());
                        this.error(&format!("Failed to update the assignment of topic {topic}: {reason}"), turn);
                        failed.insert(topic);
                    }
                }
            }
            this.merge_assignments(conflicts, failed, turn, then);
        });
    }

    /// Somebody else has written these topics' znodes, to add partitions: what stands there now stays.
    fn merge_assignments(
        &mut self,
        mut conflicts: BTreeMap<String, Write>,
        mut failed: BTreeSet<String>,
        turn: &mut Turn<'_>,
        then: AfterWrites,
    ) {
        if conflicts.is_empty() {
            return then(self, failed, turn);
        }
        let data = |topic: &String| Operation::GetData { path: znode::topic(topic), watch: false };
        let operations = conflicts.keys().map(data).collect();
        self.ask(operations, turn, move |this, outcomes, turn| {
            let mut outcomes = outcomes.into_iter();
            conflicts.retain(|topic, write| {
                let Some(Ok(Reply::Data(content, stat))) = outcomes.next() else {
                    failed.insert(topic.clone());
                    return false;
                };
                match TopicAssignment::decode(topic, &content.unwrap_or_default()) {
                    Ok(whole) => {
                        write.whole = whole;
                        write.whole.0.extend(write.plans.clone());
                        write.zk_version = stat.version;
                        true
                    }
                    Err(error) => {
                        this.error(&error.to_string(), turn);
                        failed.insert(topic.clone());
                        false
                    }
                }
            });
            this.try_assignments(conflicts, failed, turn, then);
        });
    }

    fn keep_assignments(
        &mut self,
        topic: &str,
        plans: BTreeMap<i32, ReplicaAssignment>,
        zk_version: i32,
        turn: &mut Turn<'_>,
    ) {
        for (number, plan) in plans {
            let line = format!("Successfully updated assignment of partition {topic}-{number} to {}", shown(&plan));
            self.log(&line, turn);
            let id = TopicPartition { topic: topic.to_owned(), partition: number };
            if let Some(partition) = self.context.partition_mut(&id) {
                partition.assignment = plan;
            }
        }
        if let Some(known) = self.context.topics.get_mut(topic) {
            known.zk_version = zk_version;
        }
    }
}

/// What is to be written into a topic's znode.
struct Write {
    /// The whole content.
    whole: TopicAssignment,
    /// Version that it is based on.
    zk_version: i32,
    /// The partitions that change.
    plans: BTreeMap<i32, ReplicaAssignment>,
}

/// What follows when the topics' znodes are written; it is told which could not be.
type AfterWrites = Box<dyn FnOnce(&mut Controller, BTreeSet<String>, &mut Turn<'_>) + Send>;

/// Why replicas can't be dropped, in the words of the original's successors: it lets the last replicas with the data go.
fn would_lose_data(id: &TopicPartition) -> String {
    let TopicPartition { topic, partition } = id;
    format!(
        "Unable to revert partition assignment for {topic}:{partition} because it would require an unclean leader election."
    )
}

fn shown(assignment: &ReplicaAssignment) -> String {
    let ReplicaAssignment { replicas, adding, removing } = assignment;
    let (replicas, adding, removing) = (joined(replicas), joined(adding), joined(removing));
    format!("ReplicaAssignment(replicas={replicas}, addingReplicas={adding}, removingReplicas={removing})")
}
