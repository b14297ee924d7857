//! Leaders: who is chosen, what is written, who is told (upstream: `PartitionStateMachine`, `Election`,
//! `ControllerBrokerRequestBatch`).

use std::collections::{BTreeMap, BTreeSet};

use crate::context::{Partition, VersionedState};
use crate::controller::{Controller, Turn};
use crate::message::{MessageBody, NO_LEADER, PartitionState, TopicPartition};
use crate::operation::{CreateMode, Failure, Operation, Outcome, Reply};
use crate::znode::{self, LeaderAndIsr};

/// What follows a step that asks nothing itself.
type Next = Box<dyn FnOnce(&mut Controller, &mut Turn<'_>) + Send>;

/// What is to be written for a partition.
struct Choice {
    id: TopicPartition,
    leader_and_isr: LeaderAndIsr,
    /// Version of the state znode; `None`: it is made now.
    zk_version: Option<i32>,
}

impl Controller {
    pub(crate) fn has_live_leader(&self, id: &TopicPartition) -> bool {
        let state = self.context.partition(id).and_then(|partition| partition.state.as_ref());
        state.is_some_and(|state| self.context.is_online(id, state.leader_and_isr.leader))
    }

    /// Elects a leader for those of these partitions that have none alive, writes it and tells the brokers.
    pub(crate) fn bring_online(
        &mut self,
        ids: Vec<TopicPartition>,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>) + Send + 'static,
    ) {
        let wanting = ids.into_iter().filter(|id| !self.context.is_deleting(&id.topic) && !self.has_live_leader(id));
        let mut choices = Vec::new();
        for id in wanting {
            let choice = self.choose(&id);
            if choice.is_none() {
                self.log(&format!("no replica of {}-{} that may lead is alive", id.topic, id.partition), turn);
            }
            choices.extend(choice.or_else(|| self.choose_nobody(&id)));
        }
        self.write_choices(choices, turn, then);
    }

    /// The first live replica in sync leads. A new partition takes all its live replicas as in sync.
    fn choose(&self, id: &TopicPartition) -> Option<Choice> {
        let Partition { assignment, state } = self.context.partition(id)?;
        let controller_epoch = self.active_epoch()?;
        let live = || assignment.replicas.iter().copied().filter(|replica| self.context.is_online(id, *replica));
        let Some(VersionedState { leader_and_isr, zk_version }) = state else {
            let isr: Vec<i32> = live().collect();
            let leader_and_isr = LeaderAndIsr { leader: *isr.first()?, leader_epoch: 0, isr, controller_epoch };
            return Some(Choice { id: id.clone(), leader_and_isr, zk_version: None });
        };
        let in_sync: Vec<i32> = live().filter(|replica| leader_and_isr.isr.contains(replica)).collect();
        let isr = match in_sync.is_empty() {
            false => in_sync,
            true if self.settings.unclean_leader_election_enable => vec![live().next()?],
            true => return None,
        };
        let leader_epoch = leader_and_isr.leader_epoch + 1;
        let leader_and_isr = LeaderAndIsr { leader: *isr.first()?, leader_epoch, isr, controller_epoch };
        Some(Choice { id: id.clone(), leader_and_isr, zk_version: Some(*zk_version) })
    }

    /// A broker can't serve these replicas: others lead, or nobody does, which is written and told.
    pub(crate) fn replicas_offline(&mut self, broker: i32, ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        let mut news = ids;
        news.retain(|id| self.context.partition(id).is_some() && self.context.offline.insert((id.clone(), broker)));
        if news.is_empty() {
            return;
        }
        news.sort();
        let names: Vec<String> = news.iter().map(|id| format!("{}-{}", id.topic, id.partition)).collect();
        self.log(&format!("Mark replicas {} on broker {broker} as offline", names.join(",")), turn);
        self.bring_online(news, turn, |_, _| {});
    }

    /// No leader, the in-sync replicas as they were: one of them leads when it is back. `None` if that stands there already.
    fn choose_nobody(&self, id: &TopicPartition) -> Option<Choice> {
        let VersionedState { leader_and_isr, zk_version } = self.context.partition(id)?.state.as_ref()?;
        if leader_and_isr.leader == NO_LEADER {
            return None;
        }
        let leader_and_isr = LeaderAndIsr {
            leader: NO_LEADER,
            leader_epoch: leader_and_isr.leader_epoch + 1,
            isr: leader_and_isr.isr.clone(),
            controller_epoch: self.active_epoch()?,
        };
        Some(Choice { id: id.clone(), leader_and_isr, zk_version: Some(*zk_version) })
    }

    fn write_choices(
        &mut self,
        choices: Vec<Choice>,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>) + Send + 'static,
    ) {
        let parents = self.missing_parents(&choices);
        let parents_count = parents.len();
        let writes = choices.iter().map(|choice| {
            let path = znode::partition_state(&choice.id.topic, choice.id.partition);
            let data = Some(choice.leader_and_isr.encode());
            self.fenced(match choice.zk_version {
                None => Operation::Create { path, data, mode: CreateMode::Persistent },
                Some(version) => Operation::SetData { path, data, version },
            })
        });
        let operations = parents.into_iter().chain(writes).collect();
        self.ask(operations, turn, move |this, mut outcomes, turn| {
            let outcomes = outcomes.split_off(parents_count);
            if let Some(failure) = lost_office(&outcomes) {
                return this.step_back(failure, turn);
            }
            let conflicts = this.take_written(choices, outcomes, turn);
            this.settle_conflicts(conflicts, turn, then);
        });
    }

    /// States that somebody else wrote, or that were written though their answer was lost: what stands there now is told,
    /// and looked at again.
    fn settle_conflicts(
        &mut self,
        conflicts: Vec<TopicPartition>,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>) + Send + 'static,
    ) {
        if conflicts.is_empty() {
            return then(self, turn);
        }
        self.read_states(conflicts.clone(), turn, move |this, turn| {
            let everyone: Vec<i32> = this.context.brokers.keys().copied().collect();
            this.tell_replicas(&conflicts, None, false, turn);
            this.tell_metadata(&everyone, &conflicts, turn);
            // Boxed, or the type of the continuation would contain itself.
            this.bring_online(conflicts, turn, Box::new(then) as Next);
        });
    }

    /// `/brokers/topics/<t>/partitions` and `.../<p>`, made in the same pipelined batch as the states below them. Those that
    /// exist already answer NodeExists, which is as good.
    fn missing_parents(&self, choices: &[Choice]) -> Vec<Operation> {
        let mut operations = Vec::new();
        let mut last_topic = None;
        for choice in choices.iter().filter(|choice| choice.zk_version.is_none()) {
            let TopicPartition { topic, partition } = &choice.id;
            let empty = |path| Operation::Create { path, data: None, mode: CreateMode::Persistent };
            if last_topic != Some(topic) {
                operations.push(self.fenced(empty(znode::partitions(topic))));
                last_topic = Some(topic);
            }
            operations.push(self.fenced(empty(znode::partition(topic, *partition))));
        }
        operations
    }

    /// Keeps and tells what was written; gives back what was not because of another writer.
    fn take_written(
        &mut self,
        choices: Vec<Choice>,
        outcomes: Vec<Outcome>,
        turn: &mut Turn<'_>,
    ) -> Vec<TopicPartition> {
        let (mut made, mut changed, mut conflicts) = (Vec::new(), Vec::new(), Vec::new());
        for (choice, outcome) in choices.into_iter().zip(outcomes) {
            let zk_version = match outcome {
                Ok(Reply::Multi(replies)) => match replies.last() {
                    Some(Reply::Stat(stat)) => stat.version,
                    _ => 0,
                },
                Err(Failure::BadVersion | Failure::NodeExists) => {
                    conflicts.push(choice.id);
                    continue;
                }
                Err(failure) => {
                    let TopicPartition { topic, partition } = &choice.id;
                    self.log(&format!("the state of {topic}-{partition} was not written: {failure}"), turn);
                    continue;
                }
                Ok(_) => continue,
            };
            if let Some(partition) = self.context.partition_mut(&choice.id) {
                partition.state = Some(VersionedState { leader_and_isr: choice.leader_and_isr, zk_version });
                if choice.zk_version.is_none() { made.push(choice.id) } else { changed.push(choice.id) }
            }
        }
        self.tell_replicas(&made, None, true, turn);
        self.tell_replicas(&changed, None, false, turn);
        made.extend(changed);
        if !made.is_empty() {
            let everyone: Vec<i32> = self.context.brokers.keys().copied().collect();
            self.tell_metadata(&everyone, &made, turn);
        }
        conflicts
    }

    /// LeaderAndIsr to the brokers that hold these partitions, or to `only` of them.
    pub(crate) fn tell_replicas(
        &self,
        ids: &[TopicPartition],
        only: Option<&[i32]>,
        is_new: bool,
        turn: &mut Turn<'_>,
    ) {
        let mut by_broker: BTreeMap<i32, Vec<PartitionState>> = BTreeMap::new();
        for state in ids.iter().filter_map(|id| self.context.told_state(id, is_new)) {
            for replica in &state.assignment.replicas {
                if only.is_none_or(|only| only.contains(replica)) {
                    by_broker.entry(*replica).or_default().push(state.clone());
                }
            }
        }
        for (broker, partitions) in by_broker {
            let leaders: BTreeSet<i32> = partitions.iter().map(|state| state.leader_and_isr.leader).collect();
            let live = leaders.iter().filter_map(|leader| self.context.brokers.get(leader));
            let live_leaders = live.map(|live| live.registration.clone()).collect();
            self.tell([broker], &MessageBody::LeaderAndIsr { live_leaders, partitions }, turn);
        }
    }

    /// UpdateMetadata with all live brokers and these partitions.
    pub(crate) fn tell_metadata(&self, to: &[i32], ids: &[TopicPartition], turn: &mut Turn<'_>) {
        let brokers = self.context.brokers.values().map(|live| live.registration.clone()).collect();
        let partitions = ids.iter().filter_map(|id| self.context.told_state(id, false)).collect();
        self.tell(to.iter().copied(), &MessageBody::UpdateMetadata { brokers, partitions }, turn);
    }
}

/// A failure that means another broker is controller, or that nobody can know.
pub(crate) fn lost_office(outcomes: &[Outcome]) -> Option<Failure> {
    let fatal =
        |failure: &Failure| matches!(failure, Failure::Fenced | Failure::SessionExpired | Failure::ConnectionLoss);
    outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).copied().find(fatal)
}
