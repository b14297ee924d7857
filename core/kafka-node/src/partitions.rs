//! The replicas on this broker (upstream: `ReplicaManager`, `cluster.Partition`).
//!
//! A partition is its log and its replica's state. Appends and reads share the replica's lock for reading, and only a change of
//! leader or a follower's fetch takes it for writing. No request is completed while it is held.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Weak};

use base::{Now, Slow, Str};
use kafka_control::{CreateMode, Operation, PartitionState, znode};
use kafka_log::validate::{Append, Checked, InvalidRecords};
use kafka_log::{AppendInfo, Log, LogError, LogManager, MetadataError, Offsets, Origin, TopicPartition};
use kafka_proto::ErrorCode;
use kafka_replica::{
    AckPartition, Acknowledged, AppendFailure, Fetched, FetchedFrom, IsrAnswer, IsrChange, LeaderAndIsr,
    ReadableFollower, Replica, ReplicaError, WaitingList,
};
use parking_lot::{Mutex, RwLock};

use crate::api::delete_records::WaitingDelete;
use crate::api::fetch::{Complete as _, Seen, WaitingFetch};
use crate::api::produce::{Complete as _, WaitingProduce};
use crate::broker::Broker;
use crate::errors;
use crate::fetch_sessions::{Name, News};
use crate::groups::{WaitingAppend, end_wait};
use crate::host::Fatal;
use crate::metadata::GROUP_METADATA_TOPIC;

/// One replica on this broker.
pub(crate) struct Partition {
    pub(crate) name: TopicPartition,
    /// Another one after a move to another log directory: exchanged with `replica` held for writing, so that no append is between.
    log: RwLock<Arc<Log>>,
    replica: RwLock<Replica>,
    /// Held, on disk threads alone, while the leader changes or the log is cut: neither begins before the other ends. Nobody who
    /// serves a request waits for it.
    pub(crate) changes: Mutex<()>,
    pub(crate) produces: WaitingList<WaitingProduce>,
    pub(crate) fetches: WaitingList<WaitingFetch>,
    pub(crate) group_appends: WaitingList<WaitingAppend>,
    pub(crate) deletes: WaitingList<WaitingDelete>,
    /// Sessions of followers in which it rests: told of what happens.
    resting: Mutex<Vec<Weak<News>>>,
}

/// All replicas on this broker, by topic, then number.
#[derive(Default)]
pub(crate) struct Partitions(RwLock<BTreeMap<Str, BTreeMap<i32, Hosted>>>);

/// What this broker has of a partition.
#[derive(Clone)]
pub(crate) enum Hosted {
    Online(Arc<Partition>),
    /// Its log directory failed.
    Offline,
}

/// What a follower's fetch led to.
pub(crate) struct Recorded {
    /// The high watermark rose, or the follower's log start did: whoever waits for it is to be woken.
    pub(crate) has_moved: bool,
    /// The follower should join the ISR.
    pub(crate) change: Option<IsrChange>,
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
    /// The partition's log. Whoever keeps it for long may keep one that was moved away.
    pub(crate) fn log(&self) -> Arc<Log> {
        self.log.read().clone()
    }

    /// The copy in another directory becomes the log, if it has all that the log has; the old one, and the new. `truncations` is the
    /// log's count of cuts at which the copy was found to agree. The caller holds `changes`.
    pub(crate) fn swap_log(&self, logs: &LogManager, truncations: u64) -> Option<(Arc<Log>, Arc<Log>)> {
        let _no_appends = self.replica.write();
        let (old, new) = logs.swap(&self.name, truncations)?;
        *self.log.write() = new.clone();
        Some((old, new))
    }

    /// Moves the log's start, as DeleteRecords does.
    pub(crate) fn delete_before(&self, offset: i64) -> Result<bool, LogError> {
        let _not_swapped = self.replica.read();
        self.log().increment_log_start_offset(offset)
    }

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
        let log = self.log();
        let insync_min = if acks_all { log.config().insync_replicas_min } else { 0 };
        let epoch = replica.check_append(acks_all, insync_min)?;
        let results = log.append_all_as_leader(all, epoch, origin, now);
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

    /// True if it rose.
    fn advance_high_watermark(&self, replica: &Replica, now: Now) -> bool {
        let log = self.log();
        let to = replica.high_watermark(log.offsets().log_end, now.monotonic);
        to.is_some_and(|to| log.increment_high_watermark(to).is_some())
    }

    /// Compares a request's leader epoch (-1: none) with this broker's, which is returned.
    pub(crate) fn check_epoch(&self, requested: i32, leader_only: bool) -> Result<i32, ErrorCode> {
        let requested = (requested >= 0).then_some(requested);
        let replica = self.replica.read();
        replica.check_epoch(requested, leader_only).map_err(errors::of_replica)?;
        Ok(replica.leader_epoch())
    }

    /// As [`Partition::check_epoch`] of the leader, where -1 alone is no epoch and any other negative one is an old one.
    pub(crate) fn check_stated_epoch(&self, requested: i32) -> Result<(), ErrorCode> {
        if requested < -1 {
            return Err(ErrorCode::FENCED_LEADER_EPOCH);
        }
        self.check_epoch(requested, true).map(drop)
    }

    /// Whether the high watermark has not come to the start of this leader's epoch yet: where the log ends for consumers is not known
    /// (KIP-207).
    pub(crate) fn is_end_unknown(&self, high_watermark: i64) -> bool {
        self.replica.read().epoch_start().is_some_and(|start| start > high_watermark)
    }

    pub(crate) fn leader_epoch(&self) -> i32 {
        self.replica.read().leader_epoch()
    }

    /// The epoch in which this broker leads, and the in-sync replicas.
    pub(crate) fn leads(&self) -> Option<(i32, Vec<i32>)> {
        let replica = self.replica.read();
        replica.is_leader().then(|| (replica.leader_epoch(), replica.isr().committed().to_vec()))
    }

    /// The lowest start of the logs of all live replicas, and of the copy that is on its way to another directory.
    pub(crate) fn low_watermark(&self, broker: &Broker) -> i64 {
        let metadata = broker.metadata.read();
        let future = broker.logs().and_then(|logs| logs.future(&self.name));
        let log_start = self.log().offsets().log_start;
        let log_start = future.map_or(log_start, |future| log_start.min(future.offsets().log_start));
        self.replica.read().low_watermark(log_start, |id| metadata.brokers.contains_key(&id))
    }

    /// Completes what waited for this partition. Never call it with a lock held.
    pub(crate) fn wake(&self, broker: &Arc<Broker>) {
        self.produces.wake(|produce| produce.complete());
        self.group_appends.wake(|append| end_wait(broker, append));
        self.fetches.wake(|fetch| fetch.complete(broker));
        self.deletes.wake(WaitingDelete::complete);
        self.tell_sessions(broker);
    }

    /// Something happened that a follower is to hear of: its sessions look at the partition again. [`Partition::wake`] does this
    /// and more. Never call it with a lock held.
    pub(crate) fn tell_sessions(&self, broker: &Arc<Broker>) {
        let resting: Vec<Arc<News>> = {
            let mut resting = self.resting.lock();
            resting.retain(|one| one.strong_count() > 0);
            resting.iter().filter_map(Weak::upgrade).collect()
        };
        for news in resting {
            news.tell(Name { topic: self.name.topic.clone(), partition: self.name.partition });
            news.fetches.wake(|fetch| fetch.complete(broker));
        }
    }

    /// Lets the partition rest in a follower's session, which is told of all that happens until it stirs. False if something has
    /// happened already since it was seen, or the follower's own fetches are waited for.
    pub(crate) fn let_rest(&self, broker: i32, seen: &Seen, news: &Arc<News>) -> bool {
        // First of all: whatever happens after it was looked at below is told.
        self.tells(news, true);
        let rests = {
            let mut replica = self.replica.write();
            let offsets = self.log().offsets();
            let now = (replica.leader_epoch(), offsets.log_start, offsets.high_watermark, offsets.log_end);
            now == (seen.leader_epoch, seen.log_start, seen.high_watermark, seen.log_end)
                && replica.rest(broker, seen.log_end, news.clock())
        };
        if !rests {
            self.tells(news, false);
        }
        rests
    }

    /// Ends what [`Partition::let_rest`] began.
    pub(crate) fn stir(&self, broker: i32, news: &Arc<News>) {
        self.tells(news, false);
        self.replica.write().stir(broker, news.clock());
    }

    /// Whether a session is told of what happens.
    fn tells(&self, news: &Arc<News>, is_told: bool) {
        let mut resting = self.resting.lock();
        resting.retain(|one| one.strong_count() > 0 && !std::ptr::eq(one.as_ptr(), Arc::as_ptr(news)));
        if is_told {
            resting.push(Arc::downgrade(news));
        }
    }

    /// Leads from now on. The caller holds `changes`.
    pub(crate) fn become_leader(&self, state: &LeaderAndIsr, now: Now) {
        let mut replica = self.replica.write();
        let log = self.log();
        let log_end = log.offsets().log_end;
        replica.become_leader(state, log_end, now.monotonic);
        log.assign_epoch_start(state.leader_epoch, log_end);
        self.advance_high_watermark(&replica, now);
    }

    /// Follows from now on, or nobody if there is no leader. The caller holds `changes`.
    pub(crate) fn become_follower(&self, state: &LeaderAndIsr) {
        self.replica.write().become_follower(state);
    }

    /// Whether this replica follows, in this leader epoch.
    pub(crate) fn follows_in(&self, leader_epoch: i32) -> bool {
        let replica = self.replica.read();
        !replica.is_leader() && replica.leader_epoch() == leader_epoch
    }

    /// Appends what the leader sent, and takes over its high watermark and log start as far as this log reaches. The log's end.
    pub(crate) fn append_as_follower(&self, fetched: &Fetched, now: Now) -> Result<i64, AppendFailure> {
        let replica = self.replica.read();
        if replica.is_leader() || replica.leader_epoch() != fetched.leader_epoch {
            return Err(AppendFailure::Busy);
        }
        let log = self.log();
        let offsets = log.offsets();
        if offsets.log_end != fetched.offset {
            return Err(AppendFailure::Moved);
        }
        let mut log_end = offsets.log_end;
        if !fetched.records.is_empty() {
            match log.append_as_follower(&fetched.records, now) {
                Ok(info) => log_end = info.log_end_offset,
                Err(error) => return Err(self.follower_failure(&offsets, &error)),
            }
        }
        if fetched.high_watermark.min(log_end) != offsets.high_watermark {
            log.update_high_watermark(fetched.high_watermark);
        }
        if fetched.log_start > offsets.log_start {
            // The watermark may lag behind it for a while; the leader says it again.
            let _ = log.increment_log_start_offset(fetched.log_start);
        }
        Ok(log_end)
    }

    fn follower_failure(&self, offsets: &Offsets, error: &LogError) -> AppendFailure {
        match error {
            LogError::UnexpectedAppendOffset { first_offset, last_offset, log_end_offset }
                if offsets.log_start == offsets.log_end
                    && first_offset < log_end_offset
                    && last_offset >= log_end_offset =>
            {
                AppendFailure::StartsBefore(*first_offset)
            }
            LogError::AppendsRefused { .. } => AppendFailure::Busy,
            LogError::Invalid(InvalidRecords::OutOfOrder { .. } | InvalidRecords::Unreadable(_)) => {
                tracing::error!(target: "kafka.server.ReplicaFetcherThread", "Unexpected error occurred while processing data for partition {} at offset {}: {error}", self.name, offsets.log_end);
                AppendFailure::Failed
            }
            LogError::Invalid(_) => AppendFailure::Damaged,
            error => {
                tracing::error!(target: "kafka.server.ReplicaFetcherThread", "Error while processing data for partition {} at offset {}: {error}", self.name, offsets.log_end);
                AppendFailure::Failed
            }
        }
    }

    /// The in-sync followers from which `offset` can be read; `None` if this broker does not lead.
    pub(crate) fn readable_followers(&self, offset: i64, now: Now) -> Option<Vec<ReadableFollower>> {
        let replica = self.replica.read();
        replica.is_leader().then(|| replica.readable_followers(offset, now.monotonic).collect())
    }

    /// Takes a follower's fetch in, as it was read: `offsets` are the log's, `leader_epoch` the replica's from then. An error is why it
    /// gets no records.
    pub(crate) fn record_fetch(
        &self,
        broker: i32,
        from: FetchedFrom,
        offsets: &Offsets,
        leader_epoch: i32,
        now: Now,
    ) -> Result<Recorded, ReplicaError> {
        let mut replica = self.replica.write();
        if replica.leader_epoch() != leader_epoch {
            // The log may have been another's meanwhile.
            return Err(ReplicaError::NotLeader);
        }
        let start_before = replica.follower(broker).map(kafka_replica::Follower::log_start);
        let effect =
            replica.record_fetch(broker, from, offsets.log_end, self.log().offsets().high_watermark, now.monotonic)?;
        let rises = effect.moved && self.advance_high_watermark(&replica, now);
        let has_moved = rises || start_before.is_some_and(|before| from.log_start > before);
        Ok(Recorded { has_moved, change: effect.expand })
    }

    /// Whether a broker is certainly in the ISR.
    pub(crate) fn is_in_sync(&self, broker: i32) -> bool {
        self.replica.read().isr().committed().contains(&broker)
    }

    /// Takes replicas that lag out of the ISR, if there are any.
    pub(crate) fn shrink_isr(&self, now: Now) -> Option<IsrChange> {
        if !self.replica.read().is_leader() {
            return None;
        }
        let mut replica = self.replica.write();
        replica.shrink_isr(self.log().offsets().log_end, now.monotonic)
    }

    /// Takes in what became of a change of the ISR; the change to ask for again.
    pub(crate) fn isr_answered(&self, change: &IsrChange, answer: IsrAnswer, now: Now) -> Option<IsrChange> {
        let mut replica = self.replica.write();
        let again = replica.isr_answered(change, answer);
        self.advance_high_watermark(&replica, now);
        again
    }

    /// The ISR as it is asked for, or settled.
    #[cfg(test)]
    pub(crate) fn wanted_isr(&self) -> Vec<i32> {
        self.replica.read().isr().wanted()
    }

    /// Whether a change of the ISR that was asked for still waits for its answer.
    pub(crate) fn still_wants(&self, change: &IsrChange) -> bool {
        let replica = self.replica.read();
        replica.leader_epoch() == change.leader_epoch && *replica.isr() == change.pending
    }
}

impl AckPartition for Partition {
    fn acknowledged(&self, required: i64) -> Acknowledged {
        let insync_min = self.log().config().insync_replicas_min;
        self.replica.read().acknowledged(required, self.log().offsets().high_watermark, insync_min)
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

    pub(crate) fn insert(&self, name: &TopicPartition, hosted: Hosted) {
        self.0.write().entry(name.topic.clone()).or_default().insert(name.partition, hosted);
    }

    pub(crate) fn remove(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
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

    /// What is here of a partition.
    pub(crate) fn hosted(&self, topic: &str, partition: i32) -> Option<Hosted> {
        self.0.read().get(topic)?.get(&partition).cloned()
    }

    /// All that can be used, in order.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        let all = self.0.read();
        let online = all.values().flat_map(BTreeMap::values).filter_map(|hosted| match hosted {
            Hosted::Online(online) => Some(online.clone()),
            Hosted::Offline => None,
        });
        online.collect()
    }

    /// Whether a partition of the topic is here.
    pub(crate) fn has_topic(&self, topic: &str) -> bool {
        self.0.read().contains_key(topic)
    }

    pub(crate) fn existing(&self, topic: &str, partition: i32) -> Option<Arc<Partition>> {
        match self.0.read().get(topic)?.get(&partition)? {
            Hosted::Online(online) => Some(online.clone()),
            Hosted::Offline => None,
        }
    }
}

impl Broker {
    /// Tells the controller, wherever it is, that a log directory failed, or has room for replicas again: it asks about all replicas of this
    /// broker then, and is told which can't be served (upstream: `KafkaZkClient.propagateLogDirEvent`).
    pub(crate) fn announce_directories(self: &Arc<Self>) {
        let event = Operation::Create {
            path: format!("{}/log_dir_event_", znode::LOG_DIR_EVENTS),
            data: Some(znode::LogDirEvent { broker: self.id() }.encode()),
            mode: CreateMode::PersistentSequential,
        };
        self.ask_in_any_session(vec![event], |_, outcomes, _| {
            if let Some(Err(failure)) = outcomes.first() {
                tracing::error!(target: "kafka.server.ReplicaManager", "the controller was not told of a change of the log directories: {failure}");
            }
        });
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

    pub(crate) fn open_partition(
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
            log: RwLock::new(log),
            replica: RwLock::new(Replica::new(self.id(), lag_ms_max)),
            changes: Mutex::default(),
            produces: WaitingList::default(),
            fetches: WaitingList::default(),
            group_appends: WaitingList::default(),
            deletes: WaitingList::default(),
            resting: Mutex::default(),
        });
        self.partitions.insert(name, Hosted::Online(partition.clone()));
        Ok(partition)
    }

    /// A log directory failed: its replicas are offline from now on. The broker ends when the last one has.
    pub(crate) fn log_directory_failed(self: &Arc<Self>, dir: &Path, error: &LogError) {
        let Some(logs) = self.logs() else {
            return left_out(dir, error);
        };
        tracing::error!(
            target: "kafka.server.ReplicaManager",
            "[ReplicaManager broker={}] Stopping serving replicas in dir {}: {error}",
            self.id(),
            dir.display()
        );
        let _in_a_row = self.moves.in_a_row();
        let (names, copies) = logs.directory_offline(dir);
        let now = self.host.now();
        self.unfollow(names.iter().map(|name| (name.topic.clone(), name.partition)));
        names.iter().chain(&copies).for_each(|name| self.moves.forget(&name.topic, name.partition));
        for name in names {
            let offline = self.partitions.remove(&name.topic, name.partition);
            self.partitions.insert(&name, Hosted::Offline);
            if let Some(offline) = offline {
                offline.wake(self);
            }
            // This broker has their log no more; another one may coordinate them from now on.
            if name.topic == GROUP_METADATA_TOPIC {
                self.unload_groups(name.partition, now);
            }
        }
        self.close_idle_lanes();
        self.announce_directories();
        if logs.directories().iter().all(|(_, online)| !online) {
            let reason = format!("Shutdown broker because all log dirs in {} have failed", dir.display());
            self.host.fail(Fatal::Halted(reason));
        }
    }
}

/// At the start: the directory is left out.
fn left_out(dir: &Path, error: &LogError) {
    let dir = dir.display();
    let reason = match error {
        LogError::Metadata { path, reason } => {
            tell_metadata(path, reason);
            tracing::error!(
                target: "kafka.server.KafkaServer",
                exception = %format_args!("java.io.IOException: {reason}"),
                "Fail to read meta.properties under log directory {dir}"
            );
            format!("Failed to load {dir} during broker startup")
        }
        error => error.to_string(),
    };
    tracing::error!(
        target: "kafka.server.LogDirFailureChannel",
        exception = %format_args!("java.io.IOException: {reason}"),
        "Failed to create or validate data directory {dir}"
    );
}

/// What is wrong with a directory's `meta.properties`.
pub(crate) fn tell_metadata(path: &Path, reason: &MetadataError) {
    tracing::error!(
        target: "kafka.server.BrokerMetadataCheckpoint",
        "Failed to read meta.properties file under dir {} due to {reason}",
        path.display()
    );
}

impl Broker {
    /// A partition got another leader, or none: whoever keeps state in it takes it over or lets it go.
    pub(crate) fn leader_changed(self: &Arc<Self>, partition: &Arc<Partition>, now: Now) {
        if partition.name.topic == GROUP_METADATA_TOPIC {
            self.offsets_leader_changed(partition, now);
        }
    }
}
