//! The replicas on this broker (upstream: `ReplicaManager`, `cluster.Partition`).
//!
//! A partition is its log and its replica's state. Appends and reads share the replica's lock for reading, and only a change of
//! leader or a follower's fetch takes it for writing. No request is completed while it is held.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use base::{Now, Slow, Str};
use kafka_control::{BrokerAnswer, PartitionState, StoppedReplica};
use kafka_log::validate::{Append, Checked};
use kafka_log::{AppendInfo, Log, LogError, LogManager, Origin, TopicPartition};
use kafka_proto::ErrorCode;
use kafka_replica::{AckPartition, Acknowledged, LeaderAndIsr, Replica, ReplicaError, WaitingList};
use parking_lot::RwLock;

use crate::api::fetch::{Complete as _, WaitingFetch};
use crate::api::produce::{Complete as _, WaitingProduce};
use crate::broker::Broker;
use crate::errors;
use crate::groups::{WaitingAppend, end_wait};
use crate::host::Fatal;
use crate::metadata::GROUP_METADATA_TOPIC;

/// One replica on this broker.
pub(crate) struct Partition {
    pub(crate) name: TopicPartition,
    pub(crate) log: Arc<Log>,
    replica: RwLock<Replica>,
    pub(crate) produces: WaitingList<WaitingProduce>,
    pub(crate) fetches: WaitingList<WaitingFetch>,
    pub(crate) group_appends: WaitingList<WaitingAppend>,
}

/// All replicas on this broker, by topic, then number.
#[derive(Default)]
pub(crate) struct Partitions(RwLock<BTreeMap<Str, BTreeMap<i32, Hosted>>>);

/// What this broker has of a partition.
#[derive(Clone)]
enum Hosted {
    Online(Arc<Partition>),
    /// Its log directory failed.
    Offline,
}

/// Why an append was refused.
pub(crate) enum AppendRefused {
    Replica(ReplicaError),
    Log(LogError),
}

impl AppendRefused {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Replica(error) => errors::of_replica(*error),
            Self::Log(error) => errors::of_log(error),
        }
    }
}

impl Partition {
    /// Appends as leader. With `acks_all`, the in-sync replicas must be enough before.
    pub(crate) fn append(
        &self,
        checked: Checked,
        origin: Origin,
        acks_all: bool,
        now: Now,
    ) -> Result<AppendInfo, AppendRefused> {
        let results = self.append_all(std::iter::once(checked), origin, acks_all, now);
        let results = results.map_err(AppendRefused::Replica)?;
        results.into_iter().next().expect("one append has one result").map_err(AppendRefused::Log)
    }

    /// Appends what came together, each for itself; a result for each.
    pub(crate) fn append_all(
        &self,
        all: impl Iterator<Item = Checked>,
        origin: Origin,
        acks_all: bool,
        now: Now,
    ) -> Result<Vec<Result<AppendInfo, LogError>>, ReplicaError> {
        let replica = self.replica.read();
        let insync_min = if acks_all { self.log.config().insync_replicas_min } else { 0 };
        let epoch = replica.check_append(acks_all, insync_min)?;
        let results = self.log.append_all_as_leader(all, epoch, origin, now);
        self.advance_high_watermark(&replica, now);
        Ok(results)
    }

    /// The rules by which records for this partition are checked.
    pub(crate) fn append_rules(
        &self,
        origin: Origin,
        produce_version: i16,
        zstd_allowed: bool,
        now: Now,
    ) -> Append<'_> {
        Append { partition: &self.name, origin, produce_version, zstd_allowed, now_ms: now.wall_ms }
    }

    fn advance_high_watermark(&self, replica: &Replica, now: Now) {
        if let Some(high_watermark) = replica.high_watermark(self.log.offsets().log_end, now.monotonic) {
            self.log.increment_high_watermark(high_watermark);
        }
    }

    /// Compares a request's leader epoch (-1: none) with this broker's.
    pub(crate) fn check_epoch(&self, requested: i32, leader_only: bool) -> Result<(), ErrorCode> {
        let requested = (requested >= 0).then_some(requested);
        self.replica.read().check_epoch(requested, leader_only).map_err(errors::of_replica)
    }

    /// As [`Partition::check_epoch`] of the leader, where -1 alone is no epoch and any other negative one is an old one.
    pub(crate) fn check_stated_epoch(&self, requested: i32) -> Result<(), ErrorCode> {
        if requested < -1 {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        self.check_epoch(requested, true)
    }

    pub(crate) fn leader_epoch(&self) -> i32 {
        self.replica.read().leader_epoch()
    }

    /// The lowest start of the logs of all live replicas.
    pub(crate) fn low_watermark(&self, broker: &Broker) -> i64 {
        let metadata = broker.metadata.read();
        let log_start = self.log.offsets().log_start;
        self.replica.read().low_watermark(log_start, |id| metadata.brokers.contains_key(&id))
    }

    /// Completes what waited for this partition. Never call it with a lock held.
    pub(crate) fn wake(&self, broker: &Arc<Broker>) {
        self.produces.wake(|produce| produce.complete());
        self.group_appends.wake(|append| end_wait(broker, append));
        self.fetches.wake(|fetch| fetch.complete(broker));
    }

    fn become_leader(&self, state: &LeaderAndIsr, now: Now) {
        let mut replica = self.replica.write();
        if !replica.is_news(state.leader_epoch) {
            return;
        }
        let log_end = self.log.offsets().log_end;
        replica.become_leader(state, log_end, now.monotonic);
        self.log.assign_epoch_start(state.leader_epoch, log_end);
        self.advance_high_watermark(&replica, now);
    }
}

impl AckPartition for Partition {
    fn acknowledged(&self, required: i64) -> Acknowledged {
        let insync_min = self.log.config().insync_replicas_min;
        self.replica.read().acknowledged(required, self.log.offsets().high_watermark, insync_min)
    }
}

impl Partitions {
    /// The replica of a partition, or the error that says why there is none.
    pub(crate) fn get(&self, broker: &Broker, topic: &str, partition: i32) -> Result<Arc<Partition>, ErrorCode> {
        match self.0.read().get(topic).and_then(|partitions| partitions.get(&partition)) {
            Some(Hosted::Online(online)) => return Ok(online.clone()),
            Some(Hosted::Offline) => return Err(ErrorCode::KAFKA_STORAGE_ERROR),
            None => {}
        }
        // Another broker's, or nobody's.
        match broker.metadata.read().partition(topic, partition) {
            Some(_) => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        }
    }

    fn insert(&self, name: &TopicPartition, hosted: Hosted) {
        self.0.write().entry(name.topic.clone()).or_default().insert(name.partition, hosted);
    }

    fn remove(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        let mut all = self.0.write();
        let partitions = all.get_mut(topic)?;
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            all.remove(topic);
        }
        match removed? {
            Hosted::Online(online) => Some(online),
            Hosted::Offline => None,
        }
    }

    fn existing(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        match self.0.read().get(topic)?.get(&partition)? {
            Hosted::Online(online) => Some(online.clone()),
            Hosted::Offline => None,
        }
    }
}

impl Broker {
    /// Does what LeaderAndIsr says, and tells what became of each partition. A leader epoch that is known already changes nothing.
    pub(crate) fn become_leader_or_follower(
        self: &Arc<Self>,
        states: Vec<PartitionState>,
        now: Now,
        slow: &Slow,
    ) -> Vec<(kafka_control::TopicPartition, ErrorCode)> {
        let Some(logs) = self.logs() else { return Vec::new() };
        let mut codes = Vec::with_capacity(states.len());
        for state in states {
            let (topic, number) = (state.partition.topic.as_str(), state.partition.partition);
            let partition = match self.partitions.existing(topic, number) {
                Some(partition) => partition,
                None => {
                    let name = TopicPartition::new(Str::copied(topic), number);
                    match self.open_partition(logs, &name, state.is_new, now, slow) {
                        Ok(partition) => partition,
                        Err(error) => {
                            tracing::error!(target: "state.change.logger", "[Broker id={}] {name} is offline: {error}", self.id());
                            self.partitions.insert(&name, Hosted::Offline);
                            codes.push((state.partition, ErrorCode::KAFKA_STORAGE_ERROR));
                            continue;
                        }
                    }
                }
            };
            let told = told_state(&state);
            if told.leader == self.id() {
                partition.become_leader(&told, now);
            } else {
                partition.replica.write().become_follower(&told);
            }
            partition.wake(self);
            self.leader_changed(&partition, now);
            codes.push((state.partition, ErrorCode::NONE));
        }
        codes
    }

    /// Tells the controller of replicas that this broker can't serve. Until controllers of other brokers can be told, this one's
    /// own is.
    fn replicas_offline(self: &Arc<Self>, partitions: Vec<kafka_control::TopicPartition>, now: Now) {
        if !partitions.is_empty() {
            let failed = |partition| (partition, ErrorCode::KAFKA_STORAGE_ERROR);
            self.answer_controller(BrokerAnswer::LeaderAndIsr(partitions.into_iter().map(failed).collect()), now);
        }
    }

    /// Topics of which this broker has no log, and so knows no settings.
    pub(crate) fn topics_without_logs(&self, states: &[PartitionState]) -> BTreeSet<String> {
        let Some(logs) = self.logs() else { return BTreeSet::new() };
        let hosted = self.partitions.0.read();
        let is_new = |state: &&PartitionState| {
            let (topic, number) = (state.partition.topic.as_str(), state.partition.partition);
            !hosted.contains_key(topic) && logs.get(&TopicPartition::new(Str::copied(topic), number)).is_none()
        };
        states.iter().filter(is_new).map(|state| state.partition.topic.clone()).collect()
    }

    fn open_partition(
        &self,
        logs: &LogManager,
        name: &TopicPartition,
        is_new: bool,
        now: Now,
        slow: &Slow,
    ) -> Result<Arc<Partition>, LogError> {
        let log = logs.get_or_create(name, is_new, &self.log_config_of(&name.topic), now, slow)?;
        let lag_ms_max = u64::try_from(self.settings().replication.lag_ms_max).unwrap_or(u64::MAX);
        let partition = Arc::new(Partition {
            name: name.clone(),
            log,
            replica: RwLock::new(Replica::new(self.id(), lag_ms_max)),
            produces: WaitingList::default(),
            fetches: WaitingList::default(),
            group_appends: WaitingList::default(),
        });
        self.partitions.insert(name, Hosted::Online(partition.clone()));
        Ok(partition)
    }

    /// Does what StopReplica says, and tells what became of each replica.
    pub(crate) fn stop_replicas(
        self: &Arc<Self>,
        replicas: Vec<StoppedReplica>,
        now: Now,
        slow: &Slow,
    ) -> Vec<(kafka_control::TopicPartition, ErrorCode)> {
        let mut codes = Vec::with_capacity(replicas.len());
        let mut to_delete = Vec::new();
        let mut topics = BTreeSet::new();
        for StoppedReplica { partition, delete, .. } in replicas {
            if let Some(stopped) = self.partitions.existing(&partition.topic, partition.partition) {
                let nobody =
                    LeaderAndIsr { leader: -1, leader_epoch: stopped.leader_epoch(), ..LeaderAndIsr::default() };
                stopped.replica.write().become_follower(&nobody);
                self.leader_changed(&stopped, now);
                if delete {
                    self.partitions.remove(&partition.topic, partition.partition);
                }
                stopped.wake(self);
            }
            if delete {
                to_delete.push(TopicPartition::new(Str::from(partition.topic.as_str()), partition.partition));
                topics.insert(partition.topic);
            } else {
                codes.push((partition, ErrorCode::NONE));
            }
        }
        if !to_delete.is_empty() {
            codes.extend(self.delete_logs(&to_delete, topics, slow));
        }
        codes
    }

    fn delete_logs(
        self: &Arc<Self>,
        partitions: &[TopicPartition],
        topics: BTreeSet<String>,
        slow: &Slow,
    ) -> Vec<(kafka_control::TopicPartition, ErrorCode)> {
        let now = self.host.now();
        let Some(logs) = self.logs() else { return Vec::new() };
        let mut codes = Vec::with_capacity(partitions.len());
        for (name, result) in logs.delete(partitions, now, slow) {
            let code = result.map_or_else(|error| {
                tracing::error!(target: "state.change.logger", "[Broker id={}] {name} was not deleted: {error}", self.id());
                errors::of_log(&error)
            }, |()| ErrorCode::NONE);
            let partition = kafka_control::TopicPartition { topic: name.topic.to_string(), partition: name.partition };
            codes.push((partition, code));
        }
        for topic in topics {
            self.forget_topic_overrides(&topic);
        }
        codes
    }

    /// A log directory failed: its replicas are offline from now on. The broker ends when the last one has.
    pub(crate) fn log_directory_failed(self: &Arc<Self>, dir: &Path, error: &LogError) {
        let Some(logs) = self.logs() else {
            // At the start: the directory is left out.
            return tracing::error!(
                target: "kafka.server.LogDirFailureChannel",
                exception = %format_args!("java.io.IOException: {error}"),
                "Failed to create or validate data directory {}",
                dir.display()
            );
        };
        tracing::error!(
            target: "kafka.server.ReplicaManager",
            "[ReplicaManager broker={}] Stopping serving replicas in dir {}: {error}",
            self.id(),
            dir.display()
        );
        let mut partitions = Vec::new();
        for name in logs.directory_offline(dir) {
            let offline = self.partitions.remove(&name.topic, name.partition);
            self.partitions.insert(&name, Hosted::Offline);
            if let Some(offline) = offline {
                offline.wake(self);
            }
            partitions.push(kafka_control::TopicPartition { topic: name.topic.to_string(), partition: name.partition });
        }
        self.replicas_offline(partitions, self.host.now());
        if logs.directories().iter().all(|(_, online)| !online) {
            let reason = format!("Shutdown broker because all log dirs in {} have failed", dir.display());
            self.host.fail(Fatal::Halted(reason));
        }
    }
}

impl Broker {
    /// A partition got another leader, or none: whoever keeps state in it takes it over or lets it go.
    fn leader_changed(self: &Arc<Self>, partition: &Arc<Partition>, now: Now) {
        if partition.name.topic == GROUP_METADATA_TOPIC {
            self.offsets_leader_changed(partition, now);
        }
    }
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
