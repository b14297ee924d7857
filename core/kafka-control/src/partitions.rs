//! States of partitions: chosen by a rule, written under the fence, told (upstream: `PartitionStateMachine`).
//!
//! All that is to be written goes out in one pipelined batch, each state with the version that the choice was based on. What somebody else
//! has written meanwhile (a leader its ISR) is read again and chosen again.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::VersionedState;
use crate::controller::{Controller, Logger, Severity, Turn, step};
use crate::elections::Rule;
use crate::message::TopicPartition;
use crate::operation::{CreateMode, Failure, Operation, Outcome, Reply};
use crate::outbox::Outbox;
use crate::znode::{self, EntityConfig, LeaderAndIsr, ReplicaAssignment};

/// Partitions that are to change, each with the rule that chooses how.
pub(crate) type Wishes = BTreeMap<TopicPartition, Rule>;

/// Which partitions reached their rule's end.
pub(crate) type Results = BTreeMap<TopicPartition, bool>;

/// What follows when all is written.
type Then = Box<dyn FnOnce(&mut Controller, Results, &mut Turn<'_>) + Send>;

/// A change of states under way.
struct Work {
    /// What has not been tried, or must be tried again.
    open: Wishes,
    /// Topics that let any replica lead; the value is what their configuration says.
    unclean: BTreeMap<String, bool>,
    results: Results,
    /// Whether what could not be done by what is known was looked up.
    has_looked: bool,
    /// What is told with what was written first.
    outbox: Outbox,
    then: Then,
}

/// What is to be written for a partition.
struct Change {
    id: TopicPartition,
    next: LeaderAndIsr,
    /// Version of the state znode; `None`: it is made now.
    zk_version: Option<i32>,
    /// Whether the rule's end is reached by it.
    reached: bool,
}

impl Controller {
    /// Lets those of these partitions that need it have a leader, and an ISR without those who are gone.
    pub(crate) fn settle(
        &mut self,
        ids: impl IntoIterator<Item = TopicPartition>,
        outbox: Outbox,
        turn: &mut Turn<'_>,
    ) {
        self.settle_by(&Rule::Settle { allow_unclean: false }, ids, outbox, turn);
    }

    /// As [`Controller::settle`], by the rule that a fail-over has for it, too. Those without a leader come first, and are told of, before
    /// the ISRs of the others shrink, which are many more where each partition has several replicas.
    pub(crate) fn settle_by(
        &mut self,
        rule: &Rule,
        ids: impl IntoIterator<Item = TopicPartition>,
        outbox: Outbox,
        turn: &mut Turn<'_>,
    ) {
        let wishes = ids.into_iter().map(|id| (id, rule.clone()));
        let (led, leaderless): (Wishes, Wishes) = wishes.partition(|(id, _)| self.context.has_present_leader(id));
        if led.is_empty() || leaderless.is_empty() {
            return self.settle_all(if led.is_empty() { leaderless } else { led }, outbox, turn);
        }
        self.follow(vec![step(|this, turn| this.settle_all(led, outbox, turn))]);
        self.settle_all(leaderless, Outbox::default(), turn);
    }

    fn settle_all(&mut self, wishes: Wishes, outbox: Outbox, turn: &mut Turn<'_>) {
        self.change_states(wishes, outbox, turn, |this, results, _| {
            // The ISR that is left may be what a reassignment waited for.
            let moving: Vec<_> = results.into_keys().filter(|id| this.context.reassigning.contains(id)).collect();
            this.follow(vec![step(move |this, turn| this.complete_reassignments(moving, turn))]);
        });
    }

    /// Chooses, writes and tells; then goes on with what became of each partition. `outbox` is sent with the first news.
    pub(crate) fn change_states(
        &mut self,
        wishes: Wishes,
        outbox: Outbox,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, Results, &mut Turn<'_>) + Send + 'static,
    ) {
        let (unclean, results) = (BTreeMap::new(), BTreeMap::new());
        self.work(Work { open: wishes, unclean, results, has_looked: false, outbox, then: Box::new(then) }, turn);
    }

    fn work(&mut self, mut work: Work, turn: &mut Turn<'_>) {
        let hangs_on_config = |(id, rule): &(&TopicPartition, &Rule)| {
            matches!(rule, Rule::Settle { allow_unclean: false } | Rule::TakeOver { .. })
                && !work.unclean.contains_key(&id.topic)
                && self.context.needs_unclean(id)
        };
        let topics: BTreeSet<String> =
            work.open.iter().filter(hangs_on_config).map(|(id, _)| id.topic.clone()).collect();
        let path = |topic: &String| Operation::GetData { path: znode::entity_config("topics", topic), watch: false };
        let operations = topics.iter().map(path).collect();
        self.ask(operations, turn, move |this, outcomes, turn| {
            for (topic, outcome) in topics.into_iter().zip(outcomes) {
                let is_allowed = this.is_unclean_allowed(&topic, outcome, turn);
                work.unclean.insert(topic, is_allowed);
            }
            this.choose_and_write(work, turn);
        });
    }

    /// What the topic's configuration says, or else the broker's; an election that hangs on a configuration that can't be read is clean.
    fn is_unclean_allowed(&self, topic: &str, outcome: Outcome, turn: &mut Turn<'_>) -> bool {
        let content = match outcome {
            Ok(Reply::Data(content, _)) => content.unwrap_or_default(),
            Ok(_) | Err(Failure::NoNode) => return self.settings.unclean_leader_election_enable,
            Err(failure) => {
                self.error(&format!("Failed to read the configuration of topic {topic}: {failure}"), turn);
                return false;
            }
        };
        match EntityConfig::decode(&znode::entity_config("topics", topic), &content) {
            Ok(config) => match config.0.get("unclean.leader.election.enable") {
                Some(value) => value.trim().eq_ignore_ascii_case("true"),
                None => self.settings.unclean_leader_election_enable,
            },
            Err(error) => {
                self.error(&error.to_string(), turn);
                false
            }
        }
    }

    fn choose_and_write(&mut self, mut work: Work, turn: &mut Turn<'_>) {
        let Some(controller_epoch) = self.active_epoch() else { return };
        let unclean = work.unclean.iter().filter(|(_, is_allowed)| **is_allowed).map(|(topic, _)| topic.clone());
        let unclean: BTreeSet<String> = unclean.collect();
        let (mut changes, mut doubtful) = (Vec::new(), Vec::new());
        for (id, rule) in &work.open {
            let choice = self.context.choose(id, rule, &unclean, controller_epoch);
            if choice.next.is_none() && !work.has_looked && rule.hangs_on_isr() && self.context.state(id).is_some() {
                doubtful.push(id.clone());
                continue;
            }
            if !choice.reached {
                self.log_failed(id, rule, turn);
            }
            match choice.next {
                Some(next) => {
                    let zk_version = self.context.state(id).map(|state| state.zk_version);
                    changes.push(Change { id: id.clone(), next, zk_version, reached: choice.reached });
                }
                None => {
                    work.results.insert(id.clone(), choice.reached);
                }
            }
        }
        let parents = self.missing_parents(&changes);
        let parents_count = parents.len();
        let operations = parents.into_iter().chain(changes.iter().map(|change| self.write(change))).collect();
        self.ask(operations, turn, move |this, mut outcomes, turn| {
            let outcomes = outcomes.split_off(parents_count);
            let conflicts = this.take_written(changes, outcomes, &mut work, turn);
            this.send(std::mem::take(&mut work.outbox), turn);
            this.look_again(conflicts, doubtful, work, turn);
        });
    }

    fn write(&self, change: &Change) -> Operation {
        let path = znode::partition_state(&change.id.topic, change.id.partition);
        let data = Some(change.next.encode());
        self.fenced(match change.zk_version {
            None => Operation::Create { path, data, mode: CreateMode::Persistent },
            Some(version) => Operation::SetData { path, data, version },
        })
    }

    /// `/brokers/topics/<t>/partitions` and `.../<p>`, made in the same pipelined batch as the states below them. Those that
    /// exist already answer NodeExists, which is as good.
    fn missing_parents(&self, changes: &[Change]) -> Vec<Operation> {
        let mut operations = Vec::new();
        let mut last_topic = None;
        for change in changes.iter().filter(|change| change.zk_version.is_none()) {
            let TopicPartition { topic, partition } = &change.id;
            let empty = |path| Operation::Create { path, data: None, mode: CreateMode::Persistent };
            if last_topic != Some(topic) {
                operations.push(self.fenced(empty(znode::partitions(topic))));
                last_topic = Some(topic);
            }
            operations.push(self.fenced(empty(znode::partition(topic, *partition))));
        }
        operations
    }

    /// Keeps what was written; gives back what was not, because of another writer.
    fn take_written(
        &mut self,
        changes: Vec<Change>,
        outcomes: Vec<Outcome>,
        work: &mut Work,
        turn: &mut Turn<'_>,
    ) -> Vec<Change> {
        let mut conflicts = Vec::new();
        for (change, outcome) in changes.into_iter().zip(outcomes) {
            match outcome {
                Ok(Reply::Multi(replies)) => {
                    let written = match replies.last() {
                        Some(Reply::Stat(stat)) => (stat.version, stat.mzxid),
                        // It was made: by which transaction is not told, but all registrations that are known are older.
                        _ => (0, i64::MAX),
                    };
                    self.keep_written(change, written, work, turn);
                }
                Err(Failure::BadVersion | Failure::NodeExists) => conflicts.push(change),
                other => {
                    let reason = other.err().map_or_else(|| "no reply".to_owned(), |failure| failure.to_string());
                    self.error(&format!("The state of partition {} was not written: {reason}", change.id), turn);
                    work.results.insert(change.id, false);
                }
            }
        }
        conflicts
    }

    /// `written` are the version and the transaction of the state.
    fn keep_written(&mut self, change: Change, written: (i32, i64), work: &mut Work, turn: &mut Turn<'_>) {
        let (zk_version, mzxid) = written;
        let Change { id, next, zk_version: before, reached } = change;
        let rule = work.open.remove(&id);
        let Some(partition) = self.context.partition_mut(&id) else { return };
        if rule == Some(Rule::FinishReassignment) {
            partition.assignment = ReplicaAssignment::of(partition.assignment.target());
        }
        if let (Some(Rule::Settle { .. }), Some(state)) = (&rule, &partition.state) {
            let is_left_over = |broker: &&i32| !partition.assignment.replicas.contains(broker);
            for broker in state.leader_and_isr.isr.iter().filter(is_left_over).filter(|id| !next.isr.contains(id)) {
                work.outbox.stop(*broker, id.clone(), true);
            }
        }
        let line = format!(
            "Changed partition {id} from {} to {} with state LeaderAndIsr(leader={}, leaderEpoch={}, isr=List({}), zkVersion={zk_version})",
            if before.is_none() { "NewPartition" } else { "OnlinePartition" },
            if next.leader >= 0 { "OnlinePartition" } else { "OfflinePartition" },
            next.leader,
            next.leader_epoch,
            next.isr.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        );
        partition.state = Some(VersionedState { leader_and_isr: next, zk_version, mzxid });
        self.log_to(Logger::StateChange, Severity::Info, &line, turn);
        let removed = if let Some(Rule::Remove(broker)) = rule { Some(broker) } else { None };
        self.announce(&id, before.is_none(), removed, &mut work.outbox);
        work.results.insert(id, reached);
    }

    /// States that somebody else wrote, or that were written though their answer was lost, are read; what is there already is as good as
    /// written, the rest is chosen again. So are those of which nothing could be made by what is known: leaders of older protocols
    /// tell their ISRs late.
    fn look_again(
        &mut self,
        conflicts: Vec<Change>,
        doubtful: Vec<TopicPartition>,
        mut work: Work,
        turn: &mut Turn<'_>,
    ) {
        if !conflicts.is_empty() {
            let ids = joined_ids(conflicts.iter().map(|change| &change.id));
            self.log(&format!("Retrying leader election for partitions {ids}"), turn);
        }
        let ids: Vec<TopicPartition> = conflicts.iter().map(|change| change.id.clone()).chain(doubtful).collect();
        if ids.is_empty() {
            return (work.then)(self, work.results, turn);
        }
        work.has_looked = true;
        self.read_states(ids, turn, move |this, turn| {
            let open = std::mem::take(&mut work.open);
            work.open = open.into_iter().filter(|(id, _)| !work.results.contains_key(id)).collect();
            for change in conflicts {
                match this.context.state(&change.id) {
                    Some(state) if state.leader_and_isr == change.next => {
                        let written = (state.zk_version, state.mzxid);
                        this.keep_written(change, written, &mut work, turn);
                    }
                    Some(_) => {}
                    // There is a znode, and it can't be read.
                    None => {
                        work.open.remove(&change.id);
                        work.results.insert(change.id, false);
                    }
                }
            }
            this.work(work, turn);
        });
    }

    /// Reads the state znodes of these partitions into the context.
    pub(crate) fn read_states(
        &mut self,
        ids: Vec<TopicPartition>,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, &mut Turn<'_>) + Send + 'static,
    ) {
        let operations = ids.iter().map(read_state).collect();
        self.ask(operations, turn, move |this, outcomes, turn| {
            this.take_states(&ids, outcomes, turn);
            then(this, turn);
        });
    }

    /// Keeps the states that were read.
    pub(crate) fn take_states(&mut self, ids: &[TopicPartition], outcomes: Vec<Outcome>, turn: &mut Turn<'_>) {
        for (id, outcome) in ids.iter().zip(outcomes) {
            let (content, stat) = match outcome {
                Ok(Reply::Data(content, stat)) => (content.unwrap_or_default(), stat),
                Ok(_) | Err(Failure::NoNode) => continue,
                Err(failure) => {
                    self.error(&format!("Failed to read the state of partition {id}: {failure}"), turn);
                    continue;
                }
            };
            match LeaderAndIsr::decode(&id.topic, id.partition, &content) {
                Ok(leader_and_isr) => {
                    if let Some(partition) = self.context.partition_mut(id) {
                        let (zk_version, mzxid) = (stat.version, stat.mzxid);
                        partition.state = Some(VersionedState { leader_and_isr, zk_version, mzxid });
                    }
                }
                Err(error) => self.error(&error.to_string(), turn),
            }
        }
    }

    fn log_failed(&self, id: &TopicPartition, rule: &Rule, turn: &mut Turn<'_>) {
        let (me, epoch) = (self.settings.broker, self.active_epoch().unwrap_or_default());
        let line = match self.context.partition(id) {
            Some(partition) if partition.state.is_none() => format!(
                "Controller {me} epoch {epoch} encountered error during state change of partition {id} from New to Online, assigned replicas \
                 are [{}], live brokers are [{}]. No assigned replica is alive.",
                crate::outbox::joined(&partition.assignment.replicas),
                crate::outbox::joined(self.context.live_brokers())
            ),
            _ => format!(
                "Controller {me} epoch {epoch} failed to change state for partition {id} from OfflinePartition to OnlinePartition: \
                 Failed to elect leader for partition {id} under strategy {}",
                rule.strategy()
            ),
        };
        self.log_to(Logger::StateChange, Severity::Error, &line, turn);
    }
}

/// Reads the partition's state.
pub(crate) fn read_state(id: &TopicPartition) -> Operation {
    Operation::GetData { path: znode::partition_state(&id.topic, id.partition), watch: false }
}

/// The partitions' names with commas between them.
pub(crate) fn joined_ids<'a>(ids: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    crate::outbox::joined(ids)
}
