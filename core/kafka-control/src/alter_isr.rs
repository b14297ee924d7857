//! Leaders change their ISRs (upstream: `processAlterIsr`, KIP-497).

use std::collections::BTreeMap;

use kafka_proto::ErrorCode;

use crate::context::VersionedState;
use crate::controller::{Controller, Turn, step};
use crate::message::TopicPartition;
use crate::operation::{Failure, Operation, Outcome, Reply};
use crate::request::{Answer, IsrChanged, IsrProposal};
use crate::znode::{self, LeaderAndIsr};

/// What became of each partition.
type Answers = BTreeMap<TopicPartition, Result<IsrChanged, ErrorCode>>;

/// A state that is to be written, based on this version.
struct Change {
    id: TopicPartition,
    next: LeaderAndIsr,
    zk_version: i32,
}

impl Controller {
    /// Writes what may be written in one batch, tells everybody, answers; then looks at the reassignments that waited for it.
    pub(crate) fn alter_isr(
        &mut self,
        broker: i32,
        broker_epoch: i64,
        proposals: Vec<IsrProposal>,
        turn: &mut Turn<'_>,
    ) {
        let known = self.context.brokers.get(&broker).map(|live| live.epoch);
        if known != Some(broker_epoch) {
            let line = match known {
                None => format!("Ignoring AlterIsr due to unknown broker {broker}"),
                Some(_) => format!("Ignoring AlterIsr due to stale broker epoch {broker_epoch} for broker {broker}"),
            };
            self.log(&line, turn);
            return self.answer(Answer::AlterIsr(Err(ErrorCode::STALE_BROKER_EPOCH)), turn);
        }
        let asked: Vec<TopicPartition> = proposals.iter().map(|proposal| proposal.partition.clone()).collect();
        let mut answers = Answers::new();
        let mut changes = Vec::new();
        for proposal in proposals {
            match self.judge_isr(broker, &proposal) {
                Ok(None) => changes.push(self.isr_change(broker, proposal)),
                Ok(Some(unchanged)) => {
                    answers.insert(proposal.partition, Ok(unchanged));
                }
                Err(code) => {
                    answers.insert(proposal.partition, Err(code));
                }
            }
        }
        let write = |change: &Change| {
            let path = znode::partition_state(&change.id.topic, change.id.partition);
            self.fenced(Operation::SetData { path, data: Some(change.next.encode()), version: change.zk_version })
        };
        let operations = changes.iter().map(write).collect();
        self.ask(operations, turn, move |this, outcomes, turn| {
            let conflicts = this.take_isrs(changes, outcomes, &mut answers, turn);
            let ids = conflicts.iter().map(|change| change.id.clone()).collect();
            this.read_states(ids, turn, move |this, turn| {
                this.answer_conflicts(conflicts, &mut answers);
                this.finish_isrs(asked, answers, turn);
            });
        });
    }

    /// `Ok(None)`: it may be written. A state that is there already is answered as it is: the first answer was lost.
    fn judge_isr(&self, broker: i32, proposal: &IsrProposal) -> Result<Option<IsrChanged>, ErrorCode> {
        let id = &proposal.partition;
        let partition = self.context.partition(id).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let state = partition.state.as_ref().ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let current = &state.leader_and_isr;
        if proposal.leader_epoch < current.leader_epoch {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        // The original does not look further; what its successors refuse, no leader that was told by this controller asks for.
        if proposal.leader_epoch > current.leader_epoch {
            return Err(ErrorCode::NOT_CONTROLLER);
        }
        if broker != current.leader {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        if proposal.isr == current.isr {
            return Ok(Some(changed(state)));
        }
        let replicas = &partition.assignment.replicas;
        if !proposal.isr.contains(&broker) || proposal.isr.iter().any(|replica| !replicas.contains(replica)) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        Ok(None)
    }

    fn isr_change(&self, leader: i32, proposal: IsrProposal) -> Change {
        let controller_epoch = self.active_epoch().unwrap_or_default();
        let IsrProposal { partition, leader_epoch, isr, zk_version } = proposal;
        Change { id: partition, next: LeaderAndIsr { leader, leader_epoch, isr, controller_epoch }, zk_version }
    }

    /// Keeps what was written; gives back what met another version.
    fn take_isrs(
        &mut self,
        changes: Vec<Change>,
        outcomes: Vec<Outcome>,
        answers: &mut Answers,
        turn: &mut Turn<'_>,
    ) -> Vec<Change> {
        let mut conflicts = Vec::new();
        for (change, outcome) in changes.into_iter().zip(outcomes) {
            match outcome {
                Ok(Reply::Multi(replies)) => {
                    let Some(Reply::Stat(stat)) = replies.last() else { continue };
                    let (zk_version, mzxid) = (stat.version, stat.mzxid);
                    let state = VersionedState { leader_and_isr: change.next, zk_version, mzxid };
                    answers.insert(change.id.clone(), Ok(changed(&state)));
                    if let Some(partition) = self.context.partition_mut(&change.id) {
                        partition.state = Some(state);
                    }
                }
                Err(Failure::BadVersion) => conflicts.push(change),
                Err(failure) => {
                    self.warn(&format!("Failed to update ISR for partition {}: {failure}", change.id), turn);
                    answers.insert(change.id, Err(ErrorCode::UNKNOWN_SERVER_ERROR));
                }
                Ok(_) => {}
            }
        }
        conflicts
    }

    /// A write whose first answer was lost finds its own work: that is no conflict.
    fn answer_conflicts(&self, conflicts: Vec<Change>, answers: &mut Answers) {
        for Change { id, next, .. } in conflicts {
            let state = self.context.state(&id).filter(|state| state.leader_and_isr == next);
            answers.insert(id, state.map(changed).ok_or(ErrorCode::INVALID_UPDATE_VERSION));
        }
    }

    fn finish_isrs(&mut self, asked: Vec<TopicPartition>, answers: Answers, turn: &mut Turn<'_>) {
        let is_done = |id: &&TopicPartition| answers.get(id).is_some_and(Result::is_ok);
        let moving: Vec<TopicPartition> =
            asked.iter().filter(is_done).filter(|id| self.context.reassigning.contains(id)).cloned().collect();
        self.tell_metadata(asked, turn);
        self.answer(Answer::AlterIsr(Ok(answers.into_iter().collect())), turn);
        self.follow(vec![step(move |this, turn| this.complete_reassignments(moving, turn))]);
    }
}

fn changed(state: &VersionedState) -> IsrChanged {
    let LeaderAndIsr { leader, leader_epoch, isr, .. } = &state.leader_and_isr;
    IsrChanged { leader: *leader, leader_epoch: *leader_epoch, isr: isr.clone(), zk_version: state.zk_version }
}
