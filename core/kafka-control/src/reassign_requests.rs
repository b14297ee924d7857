//! How reassignments are asked for: AlterPartitionReassignments and ListPartitionReassignments (KIP-455), and the znode of the old
//! tool, `/admin/reassign_partitions`.

use std::collections::{BTreeMap, BTreeSet};

use kafka_proto::ErrorCode;

use crate::controller::{Controller, Turn, step};
use crate::message::TopicPartition;
use crate::operation::{Failure, Operation, Outcome, Reply};
use crate::outbox::joined;
use crate::partitions::joined_ids;
use crate::reassignments::{Answers, Plans};
use crate::request::{Answer, Refusal};
use crate::znode::{self, PartitionReassignment, ReplicaAssignment, WantedReplicas};

impl Controller {
    /// Takes on what is valid; `None` gives up what is under way. What the old tool asked for the same partitions is forgotten.
    pub(crate) fn alter_reassignments(&mut self, wishes: BTreeMap<TopicPartition, Option<Vec<i32>>>) {
        let mut answers = Answers::new();
        let mut plans = Plans::new();
        for (id, target) in wishes {
            match self.plan(&id, target.as_deref()) {
                Ok(plan) => {
                    plans.insert(id, plan);
                }
                Err(refusal) => {
                    answers.insert(id, Err(refusal));
                }
            }
        }
        let named: BTreeSet<TopicPartition> = plans.keys().cloned().collect();
        self.follow(vec![
            step(move |this, turn| {
                if !named.is_empty() {
                    this.trim_reassign_partitions(move |id, _| named.contains(id), turn);
                }
            }),
            step(move |this, turn| {
                this.trigger_reassignments(plans, turn, move |this, begun, turn| {
                    answers.extend(begun);
                    this.answer(Answer::AlterPartitionReassignments(Ok(answers)), turn);
                });
            }),
        ]);
    }

    fn plan(&self, id: &TopicPartition, target: Option<&[i32]>) -> Result<ReplicaAssignment, Refusal> {
        let current = self.context.partition(id).map(|partition| partition.assignment.clone()).unwrap_or_default();
        let Some(target) = target else {
            return if current.is_being_reassigned() {
                Ok(current.reassign_to(&current.origin()))
            } else {
                Err(Refusal::of(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS))
            };
        };
        let invalid = |words: String| Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, words));
        if let Some(words) = invalid_target(target) {
            return invalid(words);
        }
        let plan = current.reassign_to(target);
        if plan.adding.iter().any(|replica| !self.context.is_live(*replica)) {
            return invalid(format!(
                "Replica assignment has brokers that are not alive. Replica list: {}, live broker list: {}",
                buffer(&plan.adding),
                set(self.context.live_brokers().collect())
            ));
        }
        Ok(plan)
    }

    /// What is under way, of these partitions or of all.
    pub(crate) fn list_reassignments(&mut self, ids: Option<BTreeSet<TopicPartition>>, turn: &mut Turn<'_>) {
        let ids = ids.unwrap_or_else(|| self.context.reassigning.clone());
        let moving = |id: TopicPartition| {
            let assignment = self.context.partition(&id)?.assignment.clone();
            assignment.is_being_reassigned().then_some((id, assignment))
        };
        let found = ids.into_iter().filter_map(moving).collect();
        self.answer(Answer::ListPartitionReassignments(Ok(found)), turn);
    }

    /// The old tool has written its znode, or it was changed or removed. The watch is set anew.
    pub(crate) fn reassign_partitions_changed(&mut self, turn: &mut Turn<'_>) {
        let path = znode::REASSIGN_PARTITIONS.to_owned();
        let operations =
            vec![Operation::Exists { path: path.clone(), watch: true }, Operation::GetData { path, watch: false }];
        self.ask(operations, turn, |this, outcomes, turn| {
            let content = outcomes.into_iter().nth(1).unwrap_or(Err(Failure::NoNode));
            this.take_reassign_partitions(content, Plans::new(), turn);
        });
    }

    /// Begins what the old tool wants, unless it is under way already, instead of these plans; what can't be done is taken out of its znode.
    pub(crate) fn take_reassign_partitions(&mut self, content: Outcome, mut plans: Plans, turn: &mut Turn<'_>) {
        let wishes = match content {
            Ok(Reply::Data(content, _)) => self.decode_reassignment(&content.unwrap_or_default(), turn).0,
            Ok(_) | Err(Failure::NoNode) => Vec::new(),
            Err(failure) => {
                self.error(&format!("Failed to read {}: {failure}", znode::REASSIGN_PARTITIONS), turn);
                Vec::new()
            }
        };
        let mut failed = Answers::new();
        for WantedReplicas { topic, partition, replicas: target } in wishes {
            let id = TopicPartition { topic, partition };
            if let Some(words) = invalid_target(&target) {
                failed.insert(id, Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, words)));
                continue;
            }
            let current = self.context.partition(&id).map(|partition| partition.assignment.clone()).unwrap_or_default();
            let plan = current.reassign_to(&target);
            if plan != current || !self.context.reassigning.contains(&id) {
                plans.insert(id, plan);
            }
        }
        self.trigger_reassignments(plans, turn, move |this, answers, turn| {
            failed.extend(answers.into_iter().filter(|(_, answer)| answer.is_err()));
            if !failed.is_empty() {
                let errors = failed.iter().filter_map(|(id, answer)| {
                    let refusal = answer.as_ref().err()?;
                    Some(format!("{id} -> {} {}", refusal.code.name(), refusal.message.as_deref().unwrap_or_default()))
                });
                let errors = errors.collect::<Vec<_>>().join(", ");
                this.warn(&format!("Failed reassignment through zk with the following errors: {errors}"), turn);
                this.trim_reassign_partitions(move |id, _| failed.contains_key(id), turn);
            }
        });
    }

    fn decode_reassignment(&self, content: &[u8], turn: &mut Turn<'_>) -> PartitionReassignment {
        PartitionReassignment::decode(content).unwrap_or_else(|error| {
            self.error(&format!("Ignoring partition reassignment due to invalid json: {error}"), turn);
            PartitionReassignment::default()
        })
    }

    /// Takes what is done out of the old tool's znode; the last entry takes the znode with it, which tells the tool that all is done.
    pub(crate) fn trim_reassign_partitions(
        &mut self,
        is_done: impl Fn(&TopicPartition, &[i32]) -> bool + Send + 'static,
        turn: &mut Turn<'_>,
    ) {
        let path = znode::REASSIGN_PARTITIONS.to_owned();
        self.ask(vec![Operation::GetData { path, watch: false }], turn, move |this, outcomes, turn| {
            let Some(Ok(Reply::Data(content, stat))) = outcomes.into_iter().next() else { return };
            let PartitionReassignment(mut left) = this.decode_reassignment(&content.unwrap_or_default(), turn);
            let count = left.len();
            let mut done = Vec::new();
            left.retain(|wanted| {
                let id = TopicPartition { topic: wanted.topic.clone(), partition: wanted.partition };
                let is_done = is_done(&id, &wanted.replicas);
                if is_done {
                    done.push(id);
                }
                !is_done
            });
            if left.len() == count && count > 0 {
                return;
            }
            let line = format!(
                "Removing partitions {} from the list of reassigned partitions in zookeeper",
                joined_ids(&done)
            );
            this.log(&line, turn);
            let path = znode::REASSIGN_PARTITIONS.to_owned();
            let operation = if left.is_empty() {
                this.log(&format!("No more partitions need to be reassigned. Deleting zk path {path}"), turn);
                Operation::Delete { path, version: stat.version }
            } else {
                Operation::SetData { path, data: Some(PartitionReassignment(left).encode()), version: stat.version }
            };
            // Another version: the tool has written anew, and the watch that fires for it reads that.
            this.ask(vec![this.fenced(operation)], turn, |_, _, _| {});
        });
    }
}

/// Why nobody can hold a partition so, in the original's words.
fn invalid_target(target: &[i32]) -> Option<String> {
    let distinct: BTreeSet<&i32> = target.iter().collect();
    if target.is_empty() {
        Some("Empty replica list specified in partition reassignment.".to_owned())
    } else if distinct.len() != target.len() {
        Some(format!("Duplicate replica ids in partition reassignment replica list: {}", buffer(target)))
    } else if target.iter().any(|replica| *replica < 0) {
        Some(format!("Invalid broker id in replica list: {}", buffer(target)))
    } else {
        None
    }
}

/// A list as Scala shows the buffer that it keeps it in.
fn buffer(replicas: &[i32]) -> String {
    format!("ArrayBuffer({})", listed(replicas.iter().copied()))
}

/// As Scala names a set: one of more than four is another class. (Its order, which is that of hashes, is not worth the trouble.)
fn set(brokers: BTreeSet<i32>) -> String {
    let class = if brokers.len() > 4 { "HashSet" } else { "Set" };
    format!("{class}({})", listed(brokers.into_iter()))
}

fn listed(things: impl Iterator<Item = i32>) -> String {
    joined(things).replace(',', ", ")
}
