//! Who leads a partition, and who is in sync: the choice alone (upstream: `Election`, `PartitionLeaderElectionAlgorithms`, and what
//! `ReplicaStateMachine` does to the ISR).

use std::collections::BTreeSet;

use crate::context::{Context, OwnLife, Partition};
use crate::message::{NO_LEADER, TopicPartition};
use crate::znode::LeaderAndIsr;

/// How the next state of a partition is chosen. It is chosen anew when somebody else has written the state meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Who is gone leaves the ISR. If that was the leader, or there is none, another one is elected; or there is none from now on.
    Settle {
        /// Whether a replica may lead that is not in sync, whatever the topic's configuration says.
        allow_unclean: bool,
    },
    /// As `Settle`, for a new controller: who has bounced since the state was written may lack what was acknowledged. Where another one in
    /// sync has not, those who have leave the ISR, and lead no more; where all have, the leader leads on in a new epoch.
    TakeOver {
        /// The controller's own process.
        own: OwnLife,
    },
    /// The first replica leads.
    Preferred,
    /// Another replica leads, one that stays.
    ControlledShutdown,
    /// The replica leaves the ISR.
    Remove(i32),
    /// These replicas, which are to be deleted, leave the ISR; others must be left in it.
    Drop(Vec<i32>),
    /// The leader learns of the partition's new replicas by a new epoch.
    RaiseEpoch,
    /// The reassignment's target replicas alone are in sync, and one of them leads.
    FinishReassignment,
}

/// What a rule came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is to be written; `None`: what stands there is right.
    pub(crate) next: Option<LeaderAndIsr>,
    /// Whether the rule's end is reached by that.
    pub(crate) reached: bool,
}

impl Choice {
    const UNCHANGED: Self = Self { next: None, reached: true };
    const IMPOSSIBLE: Self = Self { next: None, reached: false };

    const fn write(next: LeaderAndIsr) -> Self {
        Self { next: Some(next), reached: true }
    }
}

impl Rule {
    /// Whether an ISR that is not known yet may be all that is missing for it.
    pub(crate) const fn hangs_on_isr(&self) -> bool {
        matches!(self, Self::Preferred | Self::ControlledShutdown | Self::Remove(_) | Self::Drop(_))
    }

    /// The strategy's name upstream, as its messages give it.
    pub(crate) fn strategy(&self) -> String {
        match self {
            Self::Settle { allow_unclean } => format!("OfflinePartitionLeaderElectionStrategy({allow_unclean})"),
            Self::TakeOver { .. } => "OfflinePartitionLeaderElectionStrategy(false)".to_owned(),
            Self::Preferred => "PreferredReplicaPartitionLeaderElectionStrategy".to_owned(),
            Self::ControlledShutdown => "ControlledShutdownPartitionLeaderElectionStrategy".to_owned(),
            Self::Remove(_) | Self::Drop(_) | Self::RaiseEpoch | Self::FinishReassignment => {
                "ReassignPartitionLeaderElectionStrategy".to_owned()
            }
        }
    }
}

impl Context {
    /// Chooses the partition's next state. `unclean` are the topics whose configuration lets any replica lead.
    pub(crate) fn choose(
        &self,
        id: &TopicPartition,
        rule: &Rule,
        unclean: &BTreeSet<String>,
        controller_epoch: i32,
    ) -> Choice {
        let Some(partition) = self.partition(id) else { return Choice::IMPOSSIBLE };
        let Some(state) = &partition.state else {
            return match rule {
                Rule::Settle { .. } | Rule::TakeOver { .. } => self.choose_first(id, partition, controller_epoch),
                _ => Choice::IMPOSSIBLE,
            };
        };
        let now = &state.leader_and_isr;
        let next = |leader, isr| LeaderAndIsr { leader, leader_epoch: now.leader_epoch + 1, isr, controller_epoch };
        let may_lead = |replica: i32| self.is_online(id, replica) && now.isr.contains(&replica);
        let replicas = &partition.assignment.replicas;
        match rule {
            Rule::Settle { allow_unclean } => {
                self.settle(id, partition, now, *allow_unclean || unclean.contains(&id.topic), next, |_| true)
            }
            Rule::TakeOver { own } => {
                let has_stayed = |replica: i32| !self.has_bounced(replica, state, *own);
                let stays = |replica: &i32| may_lead(*replica) && has_stayed(*replica);
                let some_stayed = partition.assignment.replicas.iter().any(stays);
                let is_trusted = |replica| !some_stayed || has_stayed(replica);
                let settled = self.settle(id, partition, now, unclean.contains(&id.topic), next, is_trusted);
                // A leader that may have lost its end must not write other records in the epoch of those: a follower may have them, whether it
                // was in sync or fell behind.
                let is_led_anew = settled == Choice::UNCHANGED && replicas.len() > 1 && !has_stayed(now.leader);
                if is_led_anew { Choice::write(next(now.leader, now.isr.clone())) } else { settled }
            }
            Rule::Preferred => match replicas.first().filter(|first| may_lead(**first)) {
                Some(first) => Choice::write(next(*first, now.isr.clone())),
                None => Choice::IMPOSSIBLE,
            },
            Rule::ControlledShutdown => match replicas.iter().find(|replica| may_lead(**replica)) {
                Some(leader) => {
                    let stays = |replica: &i32| !self.shutting_down.contains(replica);
                    Choice::write(next(*leader, now.isr.iter().copied().filter(stays).collect()))
                }
                None => Choice::IMPOSSIBLE,
            },
            Rule::Remove(gone) => remove(now, *gone, next),
            Rule::Drop(gone) => {
                let isr: Vec<i32> = now.isr.iter().copied().filter(|replica| !gone.contains(replica)).collect();
                if isr.is_empty() {
                    return Choice::IMPOSSIBLE;
                }
                let stays = |replica: &&i32| may_lead(**replica) && !gone.contains(replica);
                let leader = match gone.contains(&now.leader) {
                    true => replicas.iter().find(stays).copied().unwrap_or(NO_LEADER),
                    false => now.leader,
                };
                let unchanged = isr.len() == now.isr.len() && leader == now.leader;
                if unchanged { Choice::UNCHANGED } else { Choice::write(next(leader, isr)) }
            }
            Rule::RaiseEpoch => {
                let isr: Vec<i32> = now.isr.iter().copied().filter(|replica| replicas.contains(replica)).collect();
                Choice::write(next(now.leader, if isr.is_empty() { now.isr.clone() } else { isr }))
            }
            Rule::FinishReassignment => self.finish(id, partition, now, next),
        }
    }

    /// All target replicas are in sync, and one of them leads. Where nothing is to be moved (a reassignment was given up), the leader has
    /// to learn of it all the same.
    fn finish(
        &self,
        id: &TopicPartition,
        partition: &Partition,
        now: &LeaderAndIsr,
        next: impl Fn(i32, Vec<i32>) -> LeaderAndIsr,
    ) -> Choice {
        let target = partition.assignment.target();
        let isr: Vec<i32> = now.isr.iter().copied().filter(|replica| target.contains(replica)).collect();
        let may_lead = |replica: &i32| self.is_online(id, *replica) && isr.contains(replica);
        let stays = target.contains(&now.leader) && self.is_online(id, now.leader);
        let leader = if stays { Some(now.leader) } else { target.iter().copied().find(may_lead) };
        let is_moving = partition.assignment.is_being_reassigned();
        match leader {
            Some(leader) if !is_moving || target.iter().all(|replica| isr.contains(replica)) => {
                Choice::write(next(leader, isr))
            }
            None if !is_moving => Choice::write(next(NO_LEADER, now.isr.clone())),
            _ => Choice::IMPOSSIBLE,
        }
    }

    /// Whether [`Rule::FinishReassignment`] would end the partition's reassignment.
    pub(crate) fn is_reassigned(&self, id: &TopicPartition) -> bool {
        self.choose(id, &Rule::FinishReassignment, &BTreeSet::new(), 0).reached
    }

    /// A new partition takes all its live replicas as in sync; the first of them leads.
    fn choose_first(&self, id: &TopicPartition, partition: &Partition, controller_epoch: i32) -> Choice {
        let replicas = partition.assignment.replicas.iter().copied();
        let isr: Vec<i32> = replicas.filter(|replica| self.is_online(id, *replica)).collect();
        match isr.first() {
            Some(leader) => Choice::write(LeaderAndIsr { leader: *leader, leader_epoch: 0, isr, controller_epoch }),
            None => Choice::IMPOSSIBLE,
        }
    }

    /// `is_trusted`: who may be in sync, if it is there; if not all are, one is there.
    fn settle(
        &self,
        id: &TopicPartition,
        partition: &Partition,
        now: &LeaderAndIsr,
        allow_unclean: bool,
        next: impl Fn(i32, Vec<i32>) -> LeaderAndIsr,
        is_trusted: impl Fn(i32) -> bool,
    ) -> Choice {
        let replicas = &partition.assignment.replicas;
        // A reassignment that was given up as the controller died may have left one that is no replica any more.
        let in_sync = |is_there: &dyn Fn(i32) -> bool| -> Vec<i32> {
            let stays = |replica: &i32| replicas.contains(replica) && is_there(*replica) && is_trusted(*replica);
            now.isr.iter().copied().filter(stays).collect()
        };
        if self.is_present(id, now.leader) && replicas.contains(&now.leader) && is_trusted(now.leader) {
            let isr = in_sync(&|replica| self.is_present(id, replica));
            // A leader outside of its ISR is nobody's work; the ISR stays rather than be empty.
            let unchanged = isr.len() == now.isr.len() || isr.is_empty();
            return if unchanged { Choice::UNCHANGED } else { Choice::write(next(now.leader, isr)) };
        }
        let online = || replicas.iter().copied().filter(|replica| self.is_online(id, *replica));
        if let Some(leader) = online().find(|replica| now.isr.contains(replica) && is_trusted(*replica)) {
            return Choice::write(next(leader, in_sync(&|replica| self.is_online(id, replica))));
        }
        if allow_unclean && let Some(leader) = online().next() {
            return Choice::write(next(leader, vec![leader]));
        }
        // The in-sync replicas stay as they are: one of them leads when it is back.
        let nobody = (now.leader != NO_LEADER).then(|| next(NO_LEADER, now.isr.clone()));
        Choice { next: nobody, reached: false }
    }

    /// Whether the election hangs on the topic's `unclean.leader.election.enable`: no replica in sync is there, but another one.
    pub(crate) fn needs_unclean(&self, id: &TopicPartition) -> bool {
        let Some(Partition { assignment, state: Some(state) }) = self.partition(id) else { return false };
        let isr = &state.leader_and_isr.isr;
        !self.has_present_leader(id)
            && !isr.iter().any(|replica| assignment.replicas.contains(replica) && self.is_online(id, *replica))
            && assignment.replicas.iter().any(|replica| self.is_online(id, *replica))
    }
}

/// The last one stays in the ISR, whatever becomes of it: it alone may lead again.
fn remove(now: &LeaderAndIsr, gone: i32, next: impl Fn(i32, Vec<i32>) -> LeaderAndIsr) -> Choice {
    let mut isr: Vec<i32> = now.isr.iter().copied().filter(|replica| *replica != gone).collect();
    let leader = if now.leader == gone { NO_LEADER } else { now.leader };
    if isr.is_empty() {
        isr.clone_from(&now.isr);
    }
    if isr == now.isr && leader == now.leader { Choice::UNCHANGED } else { Choice::write(next(leader, isr)) }
}
