//! How leaders change their ISRs (upstream: `AlterIsrManager`; with protocols before 2.7-IV2 `ZkIsrManager`'s ancestors in
//! `ReplicaManager` and `ReplicationUtils`).
//!
//! From 2.7-IV2 on the controller is asked (KIP-497), for all partitions that wait together, one request at a time. Before, the
//! leader writes the state znode on condition of its version, and tells the controller now and then which it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Monotonic, Now};
use config::ApiVersion;
use kafka_control::znode::{self, LeaderAndIsr};
use kafka_control::{Answer, CreateMode, Failure, IsrProposal, Operation, Outcome, Reply, Request};
use kafka_log::TopicPartition;
use kafka_replica::{IsrAnswer, IsrChange};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::partitions::Partition;

const PARTITION: &str = "kafka.cluster.Partition";

/// After an answer that is none, the controller is asked again so much later.
const RETRY_MS: u64 = 50;
/// Which partitions a leader wrote is looked at so often,
const ANNOUNCE_CHECK_MS: u64 = 2_500;
/// told when nothing was written for so long,
const ANNOUNCE_LINGER_MS: u64 = 5_000;
/// or was not told for so long.
const ANNOUNCE_DELAY_MS_MAX: u64 = 60_000;

/// The changes of ISRs that are under way.
#[derive(Default)]
pub(crate) struct IsrChanges {
    unsent: Mutex<Unsent>,
    written: Mutex<Written>,
    is_watching: AtomicBool,
}

#[derive(Default)]
struct Unsent {
    changes: BTreeMap<TopicPartition, Wanted>,
    is_asking: bool,
}

struct Wanted {
    partition: Arc<Partition>,
    change: IsrChange,
}

/// What was written to state znodes and not told yet.
#[derive(Default)]
struct Written {
    partitions: BTreeSet<TopicPartition>,
    last: Monotonic,
    told: Monotonic,
}

impl Broker {
    /// Asks for a change of a partition's ISR.
    pub(crate) fn change_isr(self: &Arc<Self>, partition: &Arc<Partition>, change: IsrChange) {
        if self.settings().inter_broker_protocol < ApiVersion::V2_7_IV2 {
            return self.write_isr(partition.clone(), change);
        }
        let wanted = Wanted { partition: partition.clone(), change };
        self.isr_changes.unsent.lock().changes.insert(partition.name.clone(), wanted);
        self.ask_for_isrs();
    }

    /// Looks at the ISRs from time to time, from the first partition on.
    pub(crate) fn watch_isrs(self: &Arc<Self>, now: Now) {
        if self.isr_changes.is_watching.swap(true, Ordering::Relaxed) {
            return;
        }
        self.schedule_isr_check(now);
        if self.settings().inter_broker_protocol < ApiVersion::V2_7_IV2 {
            self.schedule_announcement(now);
        }
    }

    fn schedule_isr_check(&self, now: Now) {
        let lag_ms = u64::try_from(self.settings().replication.lag_ms_max).unwrap_or(u64::MAX);
        self.schedule(now.monotonic.plus_ms((lag_ms / 2).max(1)), |broker, now| {
            for partition in broker.partitions.all() {
                if let Some(change) = partition.shrink_isr(now) {
                    broker.change_isr(&partition, change);
                }
            }
            broker.tell_log_starts(now);
            broker.schedule_isr_check(now);
        });
    }

    /// Sends what waits, unless a request is under way.
    fn ask_for_isrs(self: &Arc<Self>) {
        let changes: Vec<Wanted> = {
            let mut unsent = self.isr_changes.unsent.lock();
            if unsent.is_asking || unsent.changes.is_empty() {
                return;
            }
            unsent.is_asking = true;
            std::mem::take(&mut unsent.changes).into_values().collect()
        };
        let proposals = changes.iter().map(|Wanted { partition, change }| IsrProposal {
            partition: told_name(&partition.name),
            leader_epoch: change.leader_epoch,
            isr: change.isr.clone(),
            zk_version: change.znode_version,
        });
        let (broker, broker_epoch) = (self.id(), self.epoch());
        let request = Request::AlterIsr { broker, broker_epoch, proposals: proposals.collect() };
        self.ask_controller(request, move |broker, answer, now| {
            broker.isrs_answered(changes, answer, now);
        });
    }

    fn isrs_answered(self: &Arc<Self>, changes: Vec<Wanted>, answer: Answer, now: Now) {
        self.isr_changes.unsent.lock().is_asking = false;
        let mut answers = match answer {
            Answer::AlterIsr(Ok(answers)) => answers.into_iter().collect::<BTreeMap<_, _>>(),
            Answer::AlterIsr(Err(error)) => {
                tracing::warn!(target: "kafka.server.AlterIsrManager", "Failed to send AlterIsr: {error}");
                return self.ask_for_isrs_later(changes, now);
            }
            _ => return self.ask_for_isrs_later(changes, now),
        };
        let mut again = Vec::new();
        for wanted in changes {
            let answer = match answers.remove(&told_name(&wanted.partition.name)) {
                Some(Ok(changed)) => IsrAnswer::Committed {
                    leader_epoch: changed.leader_epoch,
                    isr: changed.isr,
                    znode_version: changed.zk_version,
                },
                Some(Err(error)) => IsrAnswer::from_error_code(error.0),
                None => IsrAnswer::Retry,
            };
            if let Some(change) = self.isr_answered(&wanted.partition, &wanted.change, answer, now) {
                again.push(Wanted { partition: wanted.partition, change });
            }
        }
        match again.is_empty() {
            true => self.ask_for_isrs(),
            false => self.ask_for_isrs_later(again, now),
        }
    }

    fn ask_for_isrs_later(self: &Arc<Self>, changes: Vec<Wanted>, now: Now) {
        {
            let mut unsent = self.isr_changes.unsent.lock();
            for wanted in changes.into_iter().filter(|wanted| wanted.partition.still_wants(&wanted.change)) {
                // A newer one of the same partition stands.
                unsent.changes.entry(wanted.partition.name.clone()).or_insert(wanted);
            }
        }
        self.schedule(now.monotonic.plus_ms(RETRY_MS), |broker, _| broker.ask_for_isrs());
    }

    /// Takes in what became of a change; the change to ask for again.
    fn isr_answered(
        self: &Arc<Self>,
        partition: &Arc<Partition>,
        change: &IsrChange,
        answer: IsrAnswer,
        now: Now,
    ) -> Option<IsrChange> {
        if let IsrAnswer::Committed { isr, znode_version, .. } = &answer {
            tracing::info!(target: PARTITION, "[Partition {} broker={}] ISR updated to {isr:?} and version updated to {znode_version}", partition.name, self.id());
        }
        let again = partition.isr_answered(change, answer, now);
        partition.wake(self);
        again
    }

    /// Writes the state znode, if nobody has since this leader was told of it.
    fn write_isr(self: &Arc<Self>, partition: Arc<Partition>, change: IsrChange) {
        let state = LeaderAndIsr {
            leader: self.id(),
            leader_epoch: change.leader_epoch,
            isr: change.isr.clone(),
            controller_epoch: change.controller_epoch,
        };
        let path = znode::partition_state(&partition.name.topic, partition.name.partition);
        let write =
            Operation::SetData { path: path.clone(), data: Some(state.encode()), version: change.znode_version };
        self.ask_zookeeper(vec![write], move |broker, outcomes, now| match outcomes.into_iter().next() {
            Some(Ok(Reply::Stat(stat))) => broker.isr_written(&partition, &change, stat.version, now),
            Some(Err(Failure::ConnectionLoss)) | None => {}
            // It may have been written by the first try of this very write.
            _ => broker.read_isr(partition, change, state, path),
        });
    }

    fn read_isr(self: &Arc<Self>, partition: Arc<Partition>, change: IsrChange, state: LeaderAndIsr, path: String) {
        let read = Operation::GetData { path: path.clone(), watch: false };
        self.ask_zookeeper(vec![read], move |broker, outcomes, now| match outcomes.into_iter().next() {
            Some(Ok(Reply::Data(content, stat))) => {
                let found =
                    LeaderAndIsr::decode(&partition.name.topic, partition.name.partition, content.as_deref().unwrap_or_default());
                if found.as_ref().is_ok_and(|found| *found == state) && stat.version > change.znode_version {
                    return broker.isr_written(&partition, &change, stat.version, now);
                }
                tracing::info!(target: PARTITION, "Cached zkVersion {} not equal to that in zookeeper, skip updating ISR", change.znode_version);
                // In a later epoch the state may rest on what this write made of it, though its answer was lost: whoever was to be added may
                // lead now. Nothing is taken back before the controller says more.
                let is_later = found.is_ok_and(|found| found.leader_epoch > change.leader_epoch);
                let answer = if is_later { IsrAnswer::Outdated } else { IsrAnswer::Unchanged };
                broker.isr_answered(&partition, &change, answer, now);
            }
            Some(Err(Failure::NoNode)) => drop(broker.isr_answered(&partition, &change, IsrAnswer::Unchanged, now)),
            Some(Err(Failure::ConnectionLoss)) | None => {}
            // Whether it was written is not known until the state is read, in this session or the next.
            Some(_) => {
                broker.schedule(now.monotonic.plus_ms(RETRY_MS), move |broker, _| {
                    broker.read_isr(partition, change, state, path);
                });
            }
        });
    }

    fn isr_written(self: &Arc<Self>, partition: &Arc<Partition>, change: &IsrChange, znode_version: i32, now: Now) {
        {
            let mut written = self.isr_changes.written.lock();
            written.partitions.insert(partition.name.clone());
            written.last = now.monotonic;
        }
        let (leader_epoch, isr) = (change.leader_epoch, change.isr.clone());
        self.isr_answered(partition, change, IsrAnswer::Committed { leader_epoch, isr, znode_version }, now);
    }

    fn schedule_announcement(&self, now: Now) {
        self.schedule(now.monotonic.plus_ms(ANNOUNCE_CHECK_MS), |broker, now| {
            broker.announce_isrs(now);
            broker.schedule_announcement(now);
        });
    }

    /// Tells the controller which state znodes were written.
    fn announce_isrs(self: &Arc<Self>, now: Now) {
        let partitions = {
            let mut written = self.isr_changes.written.lock();
            let is_due = written.last.plus_ms(ANNOUNCE_LINGER_MS) < now.monotonic
                || written.told.plus_ms(ANNOUNCE_DELAY_MS_MAX) < now.monotonic;
            if written.partitions.is_empty() || !is_due {
                return;
            }
            written.told = now.monotonic;
            std::mem::take(&mut written.partitions)
        };
        let content = announcement(&partitions);
        let create = Operation::Create {
            path: format!("{}/isr_change_", znode::ISR_CHANGES),
            data: Some(content.into()),
            mode: CreateMode::PersistentSequential,
        };
        self.ask_zookeeper(vec![create], move |broker, outcomes, _| {
            let outcome: Option<Outcome> = outcomes.into_iter().next();
            if let Some(Err(failure)) = outcome {
                tracing::warn!(target: "kafka.server.ReplicaManager", "changed ISRs could not be announced: {failure}");
                broker.isr_changes.written.lock().partitions.extend(partitions);
            }
        });
    }
}

/// The content of an announcement (upstream: `IsrChangeNotificationSequenceZNode`).
fn announcement(partitions: &BTreeSet<TopicPartition>) -> String {
    let entry = |one: &TopicPartition| serde_json::json!({"topic": one.topic.as_str(), "partition": one.partition});
    let entries: Vec<_> = partitions.iter().map(entry).collect();
    serde_json::json!({"version": 1, "partitions": entries}).to_string()
}

fn told_name(name: &TopicPartition) -> kafka_control::TopicPartition {
    kafka_control::TopicPartition { topic: name.topic.to_string(), partition: name.partition }
}

#[cfg(test)]
mod tests {
    use base::Str;

    use super::*;

    #[test]
    fn an_announcement_reads_as_the_originals() {
        let partitions = [TopicPartition::new(Str::from_static("t"), 0), TopicPartition::new(Str::from_static("t"), 2)];
        let text = announcement(&partitions.into());
        assert_eq!(text, r#"{"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"t","partition":2}]}"#);
    }
}
