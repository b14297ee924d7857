//! What the controller says of replicas on this broker: lead, follow, stop (upstream: `ReplicaManager.becomeLeaderOrFollower`,
//! `stopReplicas`).
//!
//! The order is always the same: nothing is fetched any more for the partitions concerned, then they change, then fetching begins
//! from their new leaders. So no record of an old leader comes into the log of a new epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{Now, Slow, Str};
use kafka_control::{NO_LEADER, PartitionState, StoppedReplica, TopicPartition as Told};
use kafka_log::{LogManager, TopicPartition};
use kafka_proto::ErrorCode;
use kafka_replica::LeaderAndIsr;

use super::Follow;
use crate::broker::Broker;
use crate::errors;
use crate::partitions::{Hosted, Partition};

/// Leader epoch of controllers that do not know it (StopReplica before version 3).
const NO_EPOCH: i32 = -1;

/// How long a full disk is left alone before replicas are made again.
const FULL_BACKOFF_MS: u64 = 10_000;

const STATE_CHANGES: &str = "state.change.logger";

impl Broker {
    /// Does what LeaderAndIsr says; a code for each partition. A leader epoch that is not newer changes nothing
    /// (STALE_CONTROLLER_EPOCH, as in the original), and a partition that has no replica here is refused (UNKNOWN_TOPIC_OR_PARTITION).
    pub(crate) fn become_leader_or_follower(
        self: &Arc<Self>,
        states: Vec<PartitionState>,
        now: Now,
        slow: &Slow,
    ) -> Vec<(Told, ErrorCode)> {
        let Some(logs) = self.logs() else { return Vec::new() };
        let _in_a_row = self.moves.in_a_row();
        let mut codes = Vec::with_capacity(states.len());
        let mut accepted = Vec::with_capacity(states.len());
        for state in states {
            match self.accept_state(logs, &state, now, slow) {
                Ok(partition) => {
                    codes.push((state.partition.clone(), ErrorCode::NONE));
                    accepted.push((partition, told_state(&state)));
                }
                Err(code) => codes.push((state.partition, code)),
            }
        }
        self.unfollow(accepted.iter().map(|(partition, _)| key(&partition.name)));
        // Leaders first: others wait for them.
        let own = self.id();
        let (led, followed): (Vec<_>, Vec<_>) = accepted.into_iter().partition(|(_, told)| told.leader == own);
        let mut follows = Vec::with_capacity(followed.len());
        for (partition, told) in led.iter().chain(&followed) {
            let _in_a_row = partition.changes.lock();
            if told.leader == own {
                partition.become_leader(told, now);
            } else {
                let is_handed_over =
                    partition.leads().is_some() && self.replication.is_handing_over.load(Ordering::Relaxed);
                partition.become_follower(told);
                if told.leader != NO_LEADER && !is_handed_over {
                    let (leader, leader_epoch) = (told.leader, told.leader_epoch);
                    follows.push(Follow { partition: partition.clone(), leader, leader_epoch });
                }
            }
        }
        self.follow(follows, now);
        self.close_idle_lanes();
        self.watch_isrs(now);
        self.go_on_moving(logs, led.iter().chain(&followed).map(|(partition, _)| partition));
        for (partition, _) in led.iter().chain(&followed) {
            partition.wake(self);
            self.leader_changed(partition, now);
        }
        codes
    }

    /// The replica that a state is for, if it is news for it; made if it is the first.
    fn accept_state(
        &self,
        logs: &LogManager,
        state: &PartitionState,
        now: Now,
        slow: &Slow,
    ) -> Result<Arc<Partition>, ErrorCode> {
        let (topic, number) = (state.partition.topic.as_str(), state.partition.partition);
        let hosted = self.partitions.hosted(topic, number);
        let known_epoch = match &hosted {
            Some(Hosted::Offline) => return Err(ErrorCode::KAFKA_STORAGE_ERROR),
            Some(Hosted::Online(partition)) => partition.leader_epoch(),
            None => -1,
        };
        if state.leader_and_isr.leader_epoch <= known_epoch {
            return Err(ErrorCode::STALE_CONTROLLER_EPOCH);
        }
        if !state.assignment.replicas.contains(&self.id()) {
            return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
        if let Some(Hosted::Online(partition)) = hosted {
            return Ok(partition);
        }
        let name = TopicPartition::new(Str::copied(topic), number);
        self.open_partition(logs, &name, state.is_new, now, slow).map_err(|error| {
            tracing::error!(target: STATE_CHANGES, "[Broker id={}] {name} is offline: {error}", self.id());
            match kafka_log::is_full(&error) {
                true => self.make_later(BTreeMap::from([(name, state.is_new)]), now),
                false => self.partitions.insert(&name, Hosted::Offline),
            }
            ErrorCode::KAFKA_STORAGE_ERROR
        })
    }

    /// A full disk ends nothing: what it had no room for is tried again.
    fn make_later(&self, mut all: BTreeMap<TopicPartition, bool>, now: Now) {
        let mut unmade = self.replication.unmade.lock();
        let is_due = unmade.is_empty() && !all.is_empty();
        unmade.append(&mut all);
        drop(unmade);
        if is_due {
            self.schedule(now.monotonic.plus_ms(FULL_BACKOFF_MS), |broker, _| {
                let this = broker.clone();
                broker.host.submit(base::once(move |slow| this.make_unmade(slow)));
            });
        }
    }

    /// Makes the logs that a full disk had no room for, as far as it has now. The controller sent their replicas' states for the last time when
    /// it heard that they are offline: it is asked to send them again.
    fn make_unmade(self: &Arc<Self>, slow: &Slow) {
        let (Some(logs), now) = (self.logs(), self.host.now()) else { return };
        let _in_a_row = self.moves.in_a_row();
        let mut unmade = std::mem::take(&mut *self.replication.unmade.lock());
        let (before, mut is_full) = (unmade.len(), false);
        unmade.retain(|name, is_new| {
            if !is_full {
                let made = logs.get_or_create(name, *is_new, &self.log_config_of(&name.topic), now, slow);
                is_full = made.is_err_and(|error| kafka_log::is_full(&error));
            }
            is_full
        });
        if unmade.len() < before {
            self.announce_directories();
        }
        self.make_later(unmade, now);
    }

    /// Does what StopReplica says; a code for each replica. One whose leader epoch is known to be older is not stopped
    /// (FENCED_LEADER_EPOCH).
    pub(crate) fn stop_replicas(
        self: &Arc<Self>,
        replicas: Vec<StoppedReplica>,
        now: Now,
        slow: &Slow,
    ) -> Vec<(Told, ErrorCode)> {
        let _in_a_row = self.moves.in_a_row();
        let mut codes = Vec::with_capacity(replicas.len());
        let mut stopped = Vec::with_capacity(replicas.len());
        for replica in replicas {
            match self.check_stop(&replica) {
                Ok(()) => stopped.push(replica),
                Err(code) => codes.push((replica.partition, code)),
            }
        }
        self.unfollow(stopped.iter().map(|one| (Str::copied(&one.partition.topic), one.partition.partition)));
        for StoppedReplica { partition, delete, .. } in &stopped {
            self.moves.stop(&partition.topic, partition.partition);
            if *delete {
                let name = TopicPartition::new(Str::copied(&partition.topic), partition.partition);
                self.replication.unmade.lock().remove(&name);
            }
            let Some(online) = self.partitions.existing(&partition.topic, partition.partition) else { continue };
            if *delete {
                let _in_a_row = online.changes.lock();
                let leader_epoch = online.leader_epoch();
                online.become_follower(&LeaderAndIsr { leader: NO_LEADER, leader_epoch, ..LeaderAndIsr::default() });
                self.partitions.remove(&partition.topic, partition.partition);
                self.leader_changed(&online, now);
            }
            online.wake(self);
        }
        self.close_idle_lanes();
        codes.extend(self.delete_logs(stopped, slow));
        codes
    }

    fn check_stop(&self, replica: &StoppedReplica) -> Result<(), ErrorCode> {
        match self.partitions.hosted(&replica.partition.topic, replica.partition.partition) {
            Some(Hosted::Offline) => Err(ErrorCode::KAFKA_STORAGE_ERROR),
            Some(Hosted::Online(partition)) => {
                let is_any = matches!(replica.leader_epoch, kafka_control::EPOCH_DURING_DELETE | NO_EPOCH);
                match is_any || replica.leader_epoch > partition.leader_epoch() {
                    true => Ok(()),
                    false => Err(ErrorCode::FENCED_LEADER_EPOCH),
                }
            }
            None => Ok(()),
        }
    }

    fn delete_logs(&self, stopped: Vec<StoppedReplica>, slow: &Slow) -> Vec<(Told, ErrorCode)> {
        let now = self.host.now();
        let Some(logs) = self.logs() else { return Vec::new() };
        let (deleted, kept): (Vec<_>, Vec<_>) = stopped.into_iter().partition(|replica| replica.delete);
        let mut codes: Vec<_> = kept.into_iter().map(|replica| (replica.partition, ErrorCode::NONE)).collect();
        let topics: BTreeSet<String> = deleted.iter().map(|replica| replica.partition.topic.clone()).collect();
        let name = |replica: &StoppedReplica| {
            TopicPartition::new(Str::copied(&replica.partition.topic), replica.partition.partition)
        };
        let names: Vec<TopicPartition> = deleted.iter().map(name).collect();
        for (name, result) in logs.delete(&names, now, slow) {
            let code = result.map_or_else(
                |error| {
                    tracing::error!(target: STATE_CHANGES, "[Broker id={}] {name} was not deleted: {error}", self.id());
                    errors::of_log(&error)
                },
                |()| ErrorCode::NONE,
            );
            codes.push((Told { topic: name.topic.to_string(), partition: name.partition }, code));
        }
        for topic in topics.iter().filter(|topic| !self.partitions.has_topic(topic)) {
            self.forget_topic_overrides(topic);
        }
        codes
    }
}

fn key(name: &TopicPartition) -> (Str, i32) {
    (name.topic.clone(), name.partition)
}

fn told_state(state: &PartitionState) -> LeaderAndIsr {
    LeaderAndIsr {
        controller_epoch: state.leader_and_isr.controller_epoch,
        leader: state.leader_and_isr.leader,
        leader_epoch: state.leader_and_isr.leader_epoch,
        isr: state.leader_and_isr.isr.clone(),
        znode_version: state.zk_version,
        replicas: state.assignment.replicas.clone(),
        adding: state.assignment.adding.clone(),
        removing: state.assignment.removing.clone(),
    }
}
