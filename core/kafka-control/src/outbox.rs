//! Messages for brokers, gathered and sent together (upstream: `ControllerBrokerRequestBatch`).
//!
//! What is said is what the controller knows when it is sent. For each broker LeaderAndIsr comes first, then UpdateMetadata, then
//! StopReplica.

use std::collections::{BTreeMap, BTreeSet};

use crate::controller::{Controller, Logger, Turn};
use crate::message::{
    BrokerMessage, EPOCH_DURING_DELETE, LEADER_DURING_DELETE, MessageBody, PartitionState, StoppedReplica,
    TopicPartition,
};
use crate::znode::BrokerRegistration;

/// Leader epoch in StopReplica of a partition that never had a leader.
const NO_EPOCH: i32 = -1;

/// What is to be said.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// LeaderAndIsr for each broker; whether the replica is new there.
    replicas: BTreeMap<i32, BTreeMap<TopicPartition, bool>>,
    /// UpdateMetadata: who is told, and of which partitions.
    listeners: BTreeSet<i32>,
    metadata: BTreeSet<TopicPartition>,
    /// StopReplica for each broker; whether the log is deleted too.
    stops: BTreeMap<i32, BTreeMap<TopicPartition, bool>>,
}

impl Outbox {
    /// LeaderAndIsr for the broker's replica.
    pub(crate) fn replica(&mut self, broker: i32, id: TopicPartition, is_new: bool) {
        *self.replicas.entry(broker).or_default().entry(id).or_default() |= is_new;
    }

    /// UpdateMetadata, at least with the live brokers.
    pub(crate) fn listeners(&mut self, brokers: impl IntoIterator<Item = i32>) {
        self.listeners.extend(brokers);
    }

    /// What UpdateMetadata tells of.
    pub(crate) fn metadata(&mut self, ids: impl IntoIterator<Item = TopicPartition>) {
        self.metadata.extend(ids);
    }

    /// Whether nothing is to be said.
    pub(crate) fn is_empty(&self) -> bool {
        self.replicas.is_empty() && self.stops.is_empty() && self.metadata.is_empty() && self.listeners.is_empty()
    }

    /// StopReplica for the broker's replica.
    pub(crate) fn stop(&mut self, broker: i32, id: TopicPartition, delete: bool) {
        *self.stops.entry(broker).or_default().entry(id).or_default() |= delete;
    }
}

impl Controller {
    /// Tells every broker of these partitions.
    pub(crate) fn tell_metadata(&self, ids: impl IntoIterator<Item = TopicPartition>, turn: &mut Turn<'_>) {
        let mut outbox = Outbox::default();
        outbox.listeners(self.context.brokers.keys().copied());
        outbox.metadata(ids);
        self.send(outbox, turn);
    }

    /// Adds what brokers must know of a partition whose state was written: its replicas, and everybody. One that is `removed` from the
    /// ISR is not told of the new epoch: in the old one nobody takes it for a follower that has caught up.
    pub(crate) fn announce(&self, id: &TopicPartition, is_new: bool, removed: Option<i32>, outbox: &mut Outbox) {
        let Some(partition) = self.context.partition(id) else { return };
        for broker in &partition.assignment.replicas {
            if self.context.is_present(id, *broker) && removed != Some(*broker) {
                let is_new = is_new || partition.assignment.adding.contains(broker);
                outbox.replica(*broker, id.clone(), is_new);
            }
        }
        outbox.listeners(self.context.brokers.keys().copied());
        outbox.metadata([id.clone()]);
    }

    /// Sends what was gathered to those of the brokers that are registered.
    pub(crate) fn send(&self, outbox: Outbox, turn: &mut Turn<'_>) {
        for (broker, replicas) in outbox.replicas {
            if self.context.brokers.contains_key(&broker) {
                self.send_replicas(broker, &replicas, turn);
            }
        }
        self.send_metadata(&outbox.listeners, &outbox.metadata, turn);
        for (broker, replicas) in outbox.stops {
            if self.context.brokers.contains_key(&broker) {
                let line = format!("Sending StopReplica request for {} replicas to broker {broker}", replicas.len());
                self.log_state_change(&line, turn);
                let stopped = replicas.into_iter().map(|(id, delete)| self.stopped(id, delete)).collect();
                self.post(broker, MessageBody::StopReplica(stopped), turn);
            }
        }
    }

    fn send_replicas(&self, broker: i32, replicas: &BTreeMap<TopicPartition, bool>, turn: &mut Turn<'_>) {
        let states = replicas.iter().filter_map(|(id, is_new)| self.told_state(id, *is_new));
        // A reassignment may have ended since this was gathered, and the replica be stopped.
        let partitions: Vec<PartitionState> =
            states.filter(|state| state.assignment.replicas.contains(&broker)).collect();
        if partitions.is_empty() {
            return;
        }
        let leaders: BTreeSet<i32> = partitions.iter().map(|state| state.leader_and_isr.leader).collect();
        let led = partitions.iter().filter(|state| state.leader_and_isr.leader == broker).count();
        let line = format!(
            "Sending LeaderAndIsr request to broker {broker} with {led} become-leader and {} become-follower partitions",
            partitions.len() - led
        );
        self.log_state_change(&line, turn);
        let live = leaders.iter().filter_map(|leader| self.context.brokers.get(leader));
        let live_leaders = live.map(|live| live.registration.clone()).collect();
        self.post(broker, MessageBody::LeaderAndIsr { live_leaders, partitions }, turn);
    }

    fn send_metadata(&self, to: &BTreeSet<i32>, ids: &BTreeSet<TopicPartition>, turn: &mut Turn<'_>) {
        let present = to.iter().copied().filter(|broker| self.context.brokers.contains_key(broker));
        let to: Vec<i32> = present.collect();
        if to.is_empty() {
            return;
        }
        let brokers: Vec<BrokerRegistration> =
            self.context.brokers.values().map(|live| live.registration.clone()).collect();
        let mut partitions: Vec<PartitionState> = ids.iter().filter_map(|id| self.told_state(id, false)).collect();
        for state in &mut partitions {
            if self.context.is_deleting(&state.partition.topic) {
                state.leader_and_isr.leader = LEADER_DURING_DELETE;
                state.leader_and_isr.leader_epoch = 0;
                state.zk_version = 0;
            }
        }
        let line =
            format!("Sending UpdateMetadata request to brokers {} for {} partitions", joined(&to), partitions.len());
        self.log_state_change(&line, turn);
        for broker in to {
            let body = MessageBody::UpdateMetadata { brokers: brokers.clone(), partitions: partitions.clone() };
            self.post(broker, body, turn);
        }
    }

    fn stopped(&self, partition: TopicPartition, delete: bool) -> StoppedReplica {
        let leader_epoch = if self.context.is_deleting(&partition.topic) {
            EPOCH_DURING_DELETE
        } else {
            self.context.state(&partition).map_or(NO_EPOCH, |state| state.leader_and_isr.leader_epoch)
        };
        StoppedReplica { partition, leader_epoch, delete }
    }

    /// The partition as brokers are told of it; `None` while it has no leader yet.
    fn told_state(&self, id: &TopicPartition, is_new: bool) -> Option<PartitionState> {
        let partition = self.context.partition(id)?;
        let state = partition.state.as_ref()?;
        let replicas = partition.assignment.replicas.iter().copied();
        let offline = replicas.filter(|replica| !self.context.is_online(id, *replica)).collect();
        Some(PartitionState {
            partition: id.clone(),
            leader_and_isr: state.leader_and_isr.clone(),
            zk_version: state.zk_version,
            assignment: partition.assignment.clone(),
            offline,
            is_new,
        })
    }

    fn post(&self, broker: i32, body: MessageBody, turn: &mut Turn<'_>) {
        let Some(controller_epoch) = self.active_epoch() else { return };
        let Some(live) = self.context.brokers.get(&broker) else { return };
        turn.effects.messages.push(BrokerMessage {
            broker,
            broker_epoch: live.epoch,
            controller: self.settings.broker,
            controller_epoch,
            body,
        });
    }

    fn log_state_change(&self, line: &str, turn: &mut Turn<'_>) {
        self.log_to(Logger::StateChange, crate::controller::Severity::Info, line, turn);
    }
}

/// Things with commas between them.
pub(crate) fn joined<T: ToString>(things: impl IntoIterator<Item = T>) -> String {
    things.into_iter().map(|thing| thing.to_string()).collect::<Vec<_>>().join(",")
}
