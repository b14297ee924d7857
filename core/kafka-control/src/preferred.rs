//! Elections that somebody asks for: ElectLeaders, the old tool's znode, and the balance of leaders (upstream:
//! `processReplicaLeaderElection`, `checkAndTriggerAutoLeaderRebalance`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kafka_proto::ErrorCode;

use crate::controller::{Controller, Turn, step};
use crate::elections::{Choice, Rule};
use crate::message::TopicPartition;
use crate::operation::{Failure, Operation, Outcome, Reply};
use crate::outbox::Outbox;
use crate::partitions::{Results, Wishes, joined_ids};
use crate::request::{Answer, ElectionType, Refusal};
use crate::znode::{self, PreferredElection};

/// Who wants an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    Auto,
    Zk,
    AdminClient,
}

impl fmt::Display for Trigger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}Triggered")
    }
}

/// Which partitions may have an election, and what the others are told.
#[derive(Default)]
struct Sorted {
    electable: Vec<TopicPartition>,
    answers: BTreeMap<TopicPartition, Result<(), Refusal>>,
}

impl Controller {
    /// ElectLeaders. With all partitions asked for, those that need no election are not spoken of.
    pub(crate) fn elect_leaders(
        &mut self,
        election: ElectionType,
        partitions: Option<BTreeSet<TopicPartition>>,
        turn: &mut Turn<'_>,
    ) {
        let is_all = partitions.is_none();
        let ids = partitions.unwrap_or_else(|| {
            self.context.topics.keys().flat_map(|topic| self.context.partitions_of(topic)).collect()
        });
        let Sorted { electable, mut answers } = self.sort_electable(ids, election, Trigger::AdminClient, turn);
        if is_all {
            answers.retain(|_, answer| {
                !answer.as_ref().is_err_and(|refusal| refusal.code == ErrorCode::ELECTION_NOT_NEEDED)
            });
        }
        let (rule, code) = match election {
            ElectionType::Preferred => (Rule::Preferred, ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE),
            ElectionType::Unclean => (Rule::Settle { allow_unclean: true }, ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE),
        };
        let strategy = rule.strategy();
        self.hold_election(electable, &rule, Trigger::AdminClient, turn, move |this, results, turn| {
            for (id, is_elected) in results {
                let answer = if is_elected {
                    Ok(())
                } else {
                    let words = format!("Failed to elect leader for partition {id} under strategy {strategy}");
                    Err(Refusal::new(code, words))
                };
                answers.insert(id, answer);
            }
            this.answer(Answer::ElectLeaders(Ok(answers)), turn);
        });
    }

    fn sort_electable(
        &self,
        ids: BTreeSet<TopicPartition>,
        election: ElectionType,
        trigger: Trigger,
        turn: &mut Turn<'_>,
    ) -> Sorted {
        let name = name_of(election);
        let (mut sorted, mut deleting) = (Sorted::default(), Vec::new());
        for id in ids {
            let Some(partition) = self.context.partition(&id) else {
                self.log(
                    &format!(
                        "Skipping replica leader election ({name}) for partition {id} by {trigger} since it doesn't exist."
                    ),
                    turn,
                );
                let refusal = Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
                sorted.answers.insert(id, Err(refusal));
                continue;
            };
            if self.context.is_deleting(&id.topic) {
                deleting.push(id.clone());
                let refusal = Refusal::new(ErrorCode::INVALID_TOPIC_EXCEPTION, "The topic is being deleted");
                sorted.answers.insert(id, Err(refusal));
                continue;
            }
            let is_needed = match election {
                ElectionType::Preferred => Some(&self.context.leader(&id)) != partition.assignment.replicas.first(),
                ElectionType::Unclean => !self.context.has_present_leader(&id),
            };
            if is_needed {
                sorted.electable.push(id);
            } else {
                sorted.answers.insert(id, Err(Refusal::of(ErrorCode::ELECTION_NOT_NEEDED)));
            }
        }
        if !deleting.is_empty() {
            self.warn(
                &format!(
                    "Skipping replica leader election ({name}) for partitions Set({}) by {trigger} since the respective topics are being \
                     deleted",
                    joined_ids(&deleting)
                ),
                turn,
            );
        }
        sorted
    }

    fn hold_election(
        &mut self,
        ids: Vec<TopicPartition>,
        rule: &Rule,
        trigger: Trigger,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, Results, &mut Turn<'_>) + Send + 'static,
    ) {
        let name = if *rule == Rule::Preferred { "PREFERRED" } else { "UNCLEAN" };
        self.log(
            &format!(
                "Starting replica leader election ({name}) for partitions {} triggered by {trigger}",
                joined_ids(&ids)
            ),
            turn,
        );
        let wishes: Wishes = ids.into_iter().map(|id| (id, rule.clone())).collect();
        self.change_states(wishes, Outbox::default(), turn, then);
    }

    /// The old tool has asked for preferred leaders, or its wish was removed. The watch is set anew.
    pub(crate) fn preferred_election_changed(&mut self, turn: &mut Turn<'_>) {
        let path = znode::PREFERRED_ELECTION.to_owned();
        let operations =
            vec![Operation::Exists { path: path.clone(), watch: true }, Operation::GetData { path, watch: false }];
        self.ask(operations, turn, |this, outcomes, turn| {
            let content = outcomes.into_iter().nth(1).unwrap_or(Err(Failure::NoNode));
            this.resume_preferred_election(content, turn);
        });
    }

    /// Does what stands in the old tool's znode, which is removed then: that is how the tool learns that it is done.
    pub(crate) fn resume_preferred_election(&mut self, content: Outcome, turn: &mut Turn<'_>) {
        let Ok(Reply::Data(content, _)) = content else { return };
        let ids = match PreferredElection::decode(&content.unwrap_or_default()) {
            Ok(wish) => wish.0.into_iter().map(|(topic, partition)| TopicPartition { topic, partition }).collect(),
            Err(error) => {
                self.error(&error.to_string(), turn);
                BTreeSet::new()
            }
        };
        let Sorted { electable, .. } = self.sort_electable(ids, ElectionType::Preferred, Trigger::Zk, turn);
        self.follow(vec![step(|this, turn| this.remove(vec![znode::PREFERRED_ELECTION.to_owned()], turn))]);
        self.hold_election(electable, &Rule::Preferred, Trigger::Zk, turn, Self::log_preferred);
    }

    fn log_preferred(&mut self, results: Results, turn: &mut Turn<'_>) {
        for id in results.into_keys() {
            let (leader, partition) = (self.context.leader(&id), self.context.partition(&id));
            let preferred = partition.and_then(|partition| partition.assignment.replicas.first()).copied();
            let preferred = preferred.unwrap_or_default();
            if leader == preferred {
                let line =
                    format!("Partition {id} completed preferred replica leader election. New leader is {preferred}");
                self.log(&line, turn);
            } else {
                let line = format!(
                    "Partition {id} failed to complete preferred replica leader election to {preferred}. Leader is still {leader}"
                );
                self.warn(&line, turn);
            }
        }
    }

    /// Asks to be woken for the next balance.
    pub(crate) fn balance_after(&mut self, wait_ms: u64, turn: &mut Turn<'_>) {
        let at = turn.now.monotonic.plus_ms(wait_ms);
        self.balance_at = Some(at);
        turn.effects.wake_at = Some(at);
    }

    /// The clock has come to where it was asked to be, or was read early.
    pub(crate) fn balance_when_due(&mut self, turn: &mut Turn<'_>) {
        let Some(at) = self.balance_at else { return };
        if turn.now.monotonic < at {
            turn.effects.wake_at = Some(at);
            return;
        }
        self.balance_after(self.settings.imbalance_check_interval_s.max(1).saturating_mul(1000), turn);
        self.log("Processing automatic preferred replica leader election", turn);
        let ids = self.imbalanced();
        if !ids.is_empty() {
            self.hold_election(ids, &Rule::Preferred, Trigger::Auto, turn, Self::log_preferred);
        }
    }

    /// Partitions whose preferred replica could lead and does not, of brokers with too many of them; none while replicas are being moved.
    fn imbalanced(&self) -> Vec<TopicPartition> {
        if !self.context.reassigning.is_empty() {
            return Vec::new();
        }
        let mut by_broker: BTreeMap<i32, (usize, Vec<TopicPartition>)> = BTreeMap::new();
        for (id, partition) in self.context.partitions().filter(|(id, _)| !self.context.is_deleting(&id.topic)) {
            let Some(preferred) = partition.assignment.replicas.first() else { continue };
            let (all, others) = by_broker.entry(*preferred).or_default();
            *all += 1;
            if partition.state.as_ref().is_some_and(|state| state.leader_and_isr.leader != *preferred) {
                others.push(id);
            }
        }
        let max = u64::from(self.settings.imbalance_percentage_max);
        let is_over = |(all, others): &(usize, Vec<TopicPartition>)| others.len() as u64 * 100 > max * *all as u64;
        let over = by_broker.into_values().filter(is_over).flat_map(|(_, others)| others);
        let none = BTreeSet::new();
        over.filter(|id| matches!(self.context.choose(id, &Rule::Preferred, &none, 0), Choice { reached: true, .. }))
            .collect()
    }
}

const fn name_of(election: ElectionType) -> &'static str {
    match election {
        ElectionType::Preferred => "PREFERRED",
        ElectionType::Unclean => "UNCLEAN",
    }
}
