//! One partition's replica on this broker (upstream: `kafka.cluster.Partition`).

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Monotonic;

use crate::ReplicaError;
use crate::follower::{FetchClock, FetchedFrom, Follower};
use crate::isr::{IsrAnswer, IsrChange, IsrState};
use crate::produce::Acknowledged;

/// A partition's state as the controller sends it (LeaderAndIsr).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderAndIsr {
    /// Epoch of the controller that decided.
    pub controller_epoch: i32,
    /// The leader, -1 for none.
    pub leader: i32,
    /// Its epoch.
    pub leader_epoch: i32,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// Version of the partition's state znode.
    pub znode_version: i32,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those that a reassignment adds.
    pub adding: Vec<i32>,
    /// Those that a reassignment removes.
    pub removing: Vec<i32>,
}

/// What a follower's fetch did to its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchEffect {
    /// Its log end moved: see whether the high watermark does too.
    pub moved: bool,
    /// It has caught up and should join the ISR: ask for this change.
    pub expand: Option<IsrChange>,
}

/// A follower that consumers may read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadableFollower {
    /// Its broker.
    pub broker: i32,
    /// End of its log.
    pub log_end: i64,
    /// For how long it has not been caught up.
    pub behind: std::time::Duration,
}

/// One partition's replica. A broker that is alone leads with an ISR of itself, and its high watermark is its log's
/// end.
#[derive(Clone, Debug)]
pub struct Replica {
    local: i32,
    /// `replica.lag.time.max.ms`.
    lag_ms_max: u64,
    state: LeaderAndIsr,
    isr: IsrState,
    /// Where this leader's epoch starts; `None` on followers.
    epoch_start: Option<i64>,
    /// The other replicas.
    followers: BTreeMap<i32, Follower>,
}

impl Replica {
    /// A replica on broker `local` that has heard nothing from the controller. `lag_ms_max` is
    /// `replica.lag.time.max.ms`.
    pub fn new(local: i32, lag_ms_max: u64) -> Self {
        let state = LeaderAndIsr { controller_epoch: 0, leader: -1, leader_epoch: -1, ..LeaderAndIsr::default() };
        let isr = IsrState::Committed(Vec::new());
        Self { local, lag_ms_max, state, isr, epoch_start: None, followers: BTreeMap::new() }
    }

    /// The broker that leads; `None` if none is known.
    pub fn leader(&self) -> Option<i32> {
        (self.state.leader >= 0).then_some(self.state.leader)
    }

    /// Whether this broker leads.
    pub const fn is_leader(&self) -> bool {
        self.state.leader == self.local
    }

    /// The current leader epoch; -1 before the first.
    pub const fn leader_epoch(&self) -> i32 {
        self.state.leader_epoch
    }

    /// Where this leader's epoch starts; `None` on followers.
    pub const fn epoch_start(&self) -> Option<i64> {
        self.epoch_start
    }

    /// The state as the controller sent it last.
    pub const fn state(&self) -> &LeaderAndIsr {
        &self.state
    }

    /// The in-sync replicas, on the leader.
    pub const fn isr(&self) -> &IsrState {
        &self.isr
    }

    /// What is known of a follower.
    pub fn follower(&self, broker: i32) -> Option<&Follower> {
        self.followers.get(&broker)
    }

    /// Whether replicas are missing from the ISR. Replicas that are being added don't count.
    pub fn is_under_replicated(&self) -> bool {
        let settled = self.state.replicas.iter().filter(|broker| !self.state.adding.contains(broker)).count();
        self.is_leader() && self.isr.committed().len() < settled
    }

    /// Whether a LeaderAndIsr of this leader epoch tells something new.
    pub const fn is_news(&self, leader_epoch: i32) -> bool {
        leader_epoch > self.state.leader_epoch
    }

    /// This broker leads from now on. `log_end` is the end of its log: the caller notes it as the start of the epoch
    /// in the log, and then advances the high watermark. True if it did not lead before.
    pub fn become_leader(&mut self, state: &LeaderAndIsr, log_end: i64, now: Monotonic) -> bool {
        let is_new = !self.is_leader();
        self.adopt(state, state.isr.clone());
        self.state.leader = self.local;
        self.epoch_start = Some(log_end);
        for (broker, follower) in &mut self.followers {
            follower.begin_epoch(log_end, state.isr.contains(broker), is_new, now);
        }
        is_new
    }

    /// Another broker leads, or none. True if leader or epoch are others than before, so that fetching starts anew.
    pub fn become_follower(&mut self, state: &LeaderAndIsr) -> bool {
        let is_new = (self.state.leader, self.state.leader_epoch) != (state.leader, state.leader_epoch);
        self.adopt(state, Vec::new());
        self.epoch_start = None;
        is_new
    }

    fn adopt(&mut self, state: &LeaderAndIsr, isr: Vec<i32>) {
        self.state = state.clone();
        self.isr = IsrState::Committed(isr);
        self.followers.retain(|broker, _| state.replicas.contains(broker));
        for &broker in state.replicas.iter().filter(|&&broker| broker != self.local) {
            self.followers.entry(broker).or_insert(Follower::UNKNOWN);
        }
    }

    /// Compares a request's leader epoch with this broker's; `None` (or -1 on the wire) skips that. With
    /// `leader_only`, only the leader may answer.
    pub const fn check_epoch(&self, requested: Option<i32>, leader_only: bool) -> Result<(), ReplicaError> {
        let current = self.state.leader_epoch;
        match requested {
            Some(requested) if requested < current => Err(ReplicaError::FencedLeaderEpoch { requested, current }),
            Some(requested) if requested > current => Err(ReplicaError::UnknownLeaderEpoch { requested, current }),
            _ if leader_only && !self.is_leader() => Err(ReplicaError::NotLeader),
            _ => Ok(()),
        }
    }

    /// Whether records may be appended, and under which leader epoch. With acks=all, the ISR must be large enough
    /// before.
    pub fn check_append(&self, acks_all: bool, insync_min: u32) -> Result<i32, ReplicaError> {
        if !self.is_leader() {
            return Err(ReplicaError::NotLeader);
        }
        let insync = self.isr.committed().len();
        if acks_all && insync < insync_min as usize {
            return Err(ReplicaError::NotEnoughReplicas { insync, insync_min });
        }
        Ok(self.state.leader_epoch)
    }

    /// How far the high watermark may rise, given the end of the leader's log: to the lowest end among the replicas
    /// of the maximal ISR and those that were caught up lately. The latter, since a replica can only join at the high
    /// watermark.
    /// `None` if this broker does not lead. The log never lowers its high watermark for this.
    pub fn high_watermark(&self, log_end: i64, now: Monotonic) -> Option<i64> {
        if !self.is_leader() {
            return None;
        }
        let holds = |(broker, follower): (&i32, &Follower)| {
            let counts = self.isr.maximal_contains(*broker) || follower.is_caught_up(self.lag_ms_max, now);
            counts.then_some(follower.log_end())
        };
        Some(self.followers.iter().filter_map(holds).fold(log_end, i64::min))
    }

    /// Whether a produce request that waits for all in-sync replicas is acknowledged: `required` is the offset behind
    /// its last record.
    pub fn acknowledged(&self, required: i64, high_watermark: i64, insync_min: u32) -> Acknowledged {
        if !self.is_leader() {
            Acknowledged::Failed(ReplicaError::NotLeader)
        } else if high_watermark < required {
            Acknowledged::Waiting
        } else if self.isr.maximal_len() < insync_min as usize {
            Acknowledged::Failed(ReplicaError::NotEnoughReplicasAfterAppend)
        } else {
            Acknowledged::Done
        }
    }

    /// Takes a follower's fetch in. `log_end` is the leader's, from before the read, so that what is appended
    /// meanwhile doesn't keep the follower from being in sync.
    pub fn record_fetch(
        &mut self,
        broker: i32,
        from: FetchedFrom,
        log_end: i64,
        high_watermark: i64,
        now: Monotonic,
    ) -> Result<FetchEffect, ReplicaError> {
        if !self.is_leader() {
            return Err(ReplicaError::NotLeader);
        }
        let follower = self.followers.get_mut(&broker).ok_or(ReplicaError::NotAReplica { broker })?;
        let before = follower.log_end();
        follower.record(from, log_end, now);
        let moved = before != follower.log_end();
        // Only at the high watermark and within this epoch does it have all that was committed.
        let joins = from.offset >= high_watermark && self.epoch_start.is_some_and(|start| from.offset >= start);
        let expand = match &self.isr {
            IsrState::Committed(isr) if joins && !isr.contains(&broker) => {
                Some(IsrState::PendingExpand { isr: isr.clone(), added: broker })
            }
            _ => None,
        };
        Ok(FetchEffect { moved, expand: expand.map(|pending| self.propose(pending)) })
    }

    /// Lets a follower rest that has all up to `log_end`, the leader's: until [`Replica::stir`] each fetch that `clock` tells of
    /// counts as one from there. False if its fetches are still waited for: it is not in the ISR, or that is about to change.
    pub fn rest(&mut self, broker: i32, log_end: i64, clock: &Arc<FetchClock>) -> bool {
        let is_settled = matches!(&self.isr, IsrState::Committed(isr) if isr.contains(&broker));
        match self.followers.get_mut(&broker) {
            Some(follower) if self.state.leader == self.local && is_settled && follower.log_end() == log_end => {
                follower.rest(clock);
                true
            }
            _ => false,
        }
    }

    /// Ends what [`Replica::rest`] began.
    pub fn stir(&mut self, broker: i32, clock: &Arc<FetchClock>) {
        if let Some(follower) = self.followers.get_mut(&broker) {
            follower.stir(clock);
        }
    }

    /// Removes the replicas from the ISR that have not been caught up for `replica.lag.time.max.ms`. Called now and
    /// then; the high watermark is not released before the change is answered.
    pub fn shrink_isr(&mut self, log_end: i64, now: Monotonic) -> Option<IsrChange> {
        let IsrState::Committed(isr) = &self.isr else { return None };
        if !self.is_leader() {
            return None;
        }
        let lags = |broker: &&i32| {
            let follower = self.followers.get(broker);
            follower.is_some_and(|one| one.log_end() != log_end && !one.is_caught_up(self.lag_ms_max, now))
        };
        let removed: Vec<i32> = isr.iter().filter(lags).copied().collect();
        if removed.is_empty() {
            return None;
        }
        let pending = IsrState::PendingShrink { isr: isr.clone(), removed };
        Some(self.propose(pending))
    }

    fn propose(&mut self, pending: IsrState) -> IsrChange {
        self.isr = pending.clone();
        IsrChange {
            isr: pending.wanted(),
            pending,
            leader_epoch: self.state.leader_epoch,
            znode_version: self.state.znode_version,
            controller_epoch: self.state.controller_epoch,
        }
    }

    /// Takes the answer to a change in; the change to ask for again, if that is due. An answer that comes after the
    /// controller sent a newer state is passed over. After a shrink, see whether the high watermark moves.
    pub fn isr_answered(&mut self, change: &IsrChange, answer: IsrAnswer) -> Option<IsrChange> {
        if self.isr != change.pending || change.leader_epoch != self.state.leader_epoch {
            return None;
        }
        match answer {
            IsrAnswer::Committed { leader_epoch, isr, znode_version } => {
                if leader_epoch == self.state.leader_epoch && znode_version > self.state.znode_version {
                    self.isr = IsrState::Committed(isr);
                    self.state.znode_version = znode_version;
                }
                None
            }
            IsrAnswer::Unchanged => {
                self.isr = IsrState::Committed(self.isr.committed().to_vec());
                None
            }
            IsrAnswer::Outdated => None,
            IsrAnswer::Retry => Some(self.propose(change.pending.clone())),
        }
    }

    /// In-sync followers from which `offset` can be read, as far as this leader knows (KIP-392).
    pub fn readable_followers(&self, offset: i64, now: Monotonic) -> impl Iterator<Item = ReadableFollower> {
        let followers = self.followers.iter().filter(move |(broker, follower)| {
            self.isr.committed().contains(broker) && (follower.log_start()..=follower.log_end()).contains(&offset)
        });
        followers.map(move |(broker, follower)| ReadableFollower {
            broker: *broker,
            log_end: follower.log_end(),
            behind: follower.time_since_caught_up(now),
        })
    }

    /// The lowest log start of all replicas on brokers that live: records before it are gone everywhere
    /// (DeleteRecords).
    pub fn low_watermark(&self, log_start: i64, is_alive: impl Fn(i32) -> bool) -> i64 {
        let starts = self.followers.iter().filter(|(broker, _)| is_alive(**broker)).map(|(_, one)| one.log_start());
        starts.fold(log_start, i64::min)
    }
}

#[cfg(test)]
mod tests;
