//! Drives the groups' machines: which partitions of `__consumer_offsets` are served, their loading, appends and timers
//! (upstream: `GroupCoordinator`, `GroupMetadataManager`).
//!
//! One lock for each group. Records are appended without it, one batch of a group after the other, and answers are given without
//! any lock. A group has one timer, set to the earliest thing that may be due.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use base::{Job, Monotonic, Next, Now, Slow, Str, TimerKey, once};
use config::{ApiVersion, BrokerSettings};
use kafka_coord::record::ValueVersions;
use kafka_coord::{Append, Group, Loader, Reply, Settings, State, Step, partition_of};
use kafka_log::{Bound, Origin, ReadRequest, validate};
use kafka_proto::ErrorCode;
use kafka_proto::record::{BuilderOptions, Codec, Magic, RecordsBuilder};
use kafka_replica::{AckPartition, Acknowledged, Delayed as _, DelayedProduce, Park, ProduceWait, Purgatory};
use parking_lot::{Mutex, RwLock};

use crate::broker::Broker;
use crate::errors;
use crate::metadata::GROUP_METADATA_TOPIC;
use crate::partitions::Partition;

/// How soon a partition whose log can't be read is tried again.
const LOAD_RETRY_MS: u64 = 1000;

/// Answers a request of a group.
pub(crate) type Then = Box<dyn FnOnce(Reply) + Send>;

/// The groups that this broker coordinates.
#[derive(Default)]
pub(crate) struct Groups {
    partitions: RwLock<BTreeMap<i32, Served>>,
    waits: Purgatory<WaitingAppend>,
    settings: OnceLock<Arc<Settings>>,
    loads: AtomicU64,
    expires_offsets: AtomicBool,
    /// How many partitions `__consumer_offsets` had at the start, if it was there.
    partition_count: OnceLock<i32>,
}

/// A partition of `__consumer_offsets` that this broker leads.
enum Served {
    /// Its log is being read, by the load with this number.
    Loading(u64),
    /// Its groups.
    Ready(BTreeMap<Str, Arc<Entry>>),
}

/// A group and what drives it.
pub(crate) struct Entry {
    id: Str,
    partition: i32,
    driven: Mutex<Driven>,
}

struct Driven {
    group: Group<Then>,
    /// Whether someone is appending its records.
    is_appending: bool,
    timer: Option<(Monotonic, TimerKey)>,
}

/// Records of a group that wait for their replicas.
pub(crate) type WaitingAppend = DelayedProduce<Logged, Appended>;

/// The partition that they were appended to.
pub(crate) struct Logged(Arc<Partition>);

/// The append that is told.
pub(crate) struct Appended {
    entry: Arc<Entry>,
    id: u64,
    offset: i64,
}

impl AckPartition for Logged {
    fn acknowledged(&self, required: i64) -> Acknowledged {
        self.0.acknowledged(required)
    }
}

impl Groups {
    /// Ends the waits whose time is over.
    pub(crate) fn expire_waits(broker: &Arc<Broker>, now: Now) {
        broker.groups.waits.expire(now.monotonic, |append| end_wait(broker, append));
    }

    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        self.waits.next_deadline()
    }

    /// What groups are configured by; none of it changes while the broker runs.
    pub(crate) fn settings(&self, settings: &BrokerSettings) -> Arc<Settings> {
        self.settings.get_or_init(|| Arc::new(group_settings(settings))).clone()
    }

    /// `__consumer_offsets` has so many partitions. What the first call says is kept.
    pub(crate) fn set_partition_count(&self, count: i32) {
        self.partition_count.get_or_init(|| count);
    }

    fn forget(&self, entry: &Arc<Entry>) {
        if let Some(Served::Ready(groups)) = self.partitions.write().get_mut(&entry.partition)
            && groups.get(&entry.id).is_some_and(|known| Arc::ptr_eq(known, entry))
        {
            groups.remove(&entry.id);
        }
    }

    fn all(&self) -> Vec<Arc<Entry>> {
        let partitions = self.partitions.read();
        let ready = partitions
            .values()
            .filter_map(|served| if let Served::Ready(groups) = served { Some(groups) } else { None });
        ready.flat_map(BTreeMap::values).cloned().collect()
    }
}

/// A wait is over, one way or the other. Called without locks.
pub(crate) fn end_wait(broker: &Arc<Broker>, append: WaitingAppend) {
    let DelayedProduce { waits, reply: Appended { entry, id, offset } } = append;
    let result = match waits.first().map(|wait| wait.acknowledged) {
        Some(Acknowledged::Done) => Ok(offset),
        Some(Acknowledged::Failed(error)) => Err(errors::of_replica(error)),
        Some(Acknowledged::Waiting) | None => Err(ErrorCode::REQUEST_TIMED_OUT),
    };
    broker.step_group(&entry, broker.host.now(), |group, step| group.appended(id, result, step));
}

impl Broker {
    /// How many partitions `__consumer_offsets` had when the broker started, or was to have. Groups are placed by it, so it stays for the
    /// broker's life, whatever becomes of the topic. What the controller tells would not do: it leaves out partitions that never had a leader.
    fn offsets_partitions(&self) -> i32 {
        self.groups.partition_count.get().copied().unwrap_or_else(|| self.settings().offsets.topic_partitions)
    }

    /// The partition of `__consumer_offsets` that holds a group.
    pub(crate) fn group_partition(&self, group: &str) -> i32 {
        partition_of(group, self.offsets_partitions())
    }

    /// A group, made if it is not there and `create` says so; or why this broker can't say.
    pub(crate) fn group(&self, id: &Str, create: bool, now: Now) -> Result<Option<Arc<Entry>>, ErrorCode> {
        let partition = self.group_partition(id);
        match self.groups.partitions.read().get(&partition) {
            None => return Err(ErrorCode::NOT_COORDINATOR),
            Some(Served::Loading(_)) => return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            Some(Served::Ready(groups)) => {
                if let Some(entry) = groups.get(id) {
                    return Ok(Some(entry.clone()));
                }
            }
        }
        if !create {
            return Ok(None);
        }
        let mut partitions = self.groups.partitions.write();
        let Some(Served::Ready(groups)) = partitions.get_mut(&partition) else {
            return Err(ErrorCode::NOT_COORDINATOR);
        };
        let id = Str::copied(id);
        let new = || Entry::new(Group::new(id.clone(), now), partition);
        Ok(Some(groups.entry(id.clone()).or_insert_with(new).clone()))
    }

    /// All groups, and whether some are still being loaded.
    pub(crate) fn all_groups(&self) -> (Vec<Arc<Entry>>, bool) {
        let is_loading = self.groups.partitions.read().values().any(|served| matches!(served, Served::Loading(_)));
        (self.groups.all(), is_loading)
    }

    /// Moves a group's machine, and does what it asks for.
    pub(crate) fn step_group<T>(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        now: Now,
        act: impl FnOnce(&mut Group<Then>, &mut Step<'_, Then>) -> T,
    ) -> T {
        let settings = self.groups.settings(&self.settings());
        let mut step = Step::new(&settings, now);
        let result = {
            let mut driven = entry.driven.lock();
            let result = act(&mut driven.group, &mut step);
            self.set_group_timer(entry, &mut driven);
            result
        };
        for line in step.log {
            tracing::info!(target: "kafka.coordinator.group.GroupCoordinator", "[GroupCoordinator {}]: {line}", self.id());
        }
        for (answer, reply) in step.replies {
            answer(reply);
        }
        self.append_for_group(entry);
        if entry.driven.lock().group.is_over() {
            self.groups.forget(entry);
        }
        result
    }

    /// One timer for each group: it is moved only to an earlier time, and looks for the next one when it goes off.
    fn set_group_timer(self: &Arc<Self>, entry: &Arc<Entry>, driven: &mut Driven) {
        let wanted = driven.group.deadline().filter(|_| driven.group.state() != State::Dead);
        match (wanted, driven.timer) {
            (Some(wanted), Some((set, _))) if set <= wanted => {}
            (Some(wanted), before) => {
                if let Some((_, key)) = before {
                    self.cancel(key);
                }
                let entry = entry.clone();
                let key = self.schedule(wanted, move |broker, now| {
                    entry.driven.lock().timer = None;
                    broker.step_group(&entry, now, Group::tick);
                });
                driven.timer = Some((wanted, key));
            }
            (None, before) => {
                driven.timer = None;
                if let Some((_, key)) = before {
                    self.cancel(key);
                }
            }
        }
    }

    /// Appends what a group wants to have logged. Only one thread at a time does it for a group, so the order stays; and only one call of
    /// that thread, so that the stack does not grow: what is told of an append comes back here.
    fn append_for_group(self: &Arc<Self>, entry: &Arc<Entry>) {
        if std::mem::replace(&mut entry.driven.lock().is_appending, true) {
            return;
        }
        while let Some(append) = entry.next_append() {
            let (id, now) = (append.id, self.host.now());
            match self.append_group_records(entry, &append, now) {
                Err(error) => self.step_group(entry, now, |group, step| group.appended(id, Err(error), step)),
                Ok((partition, offset, last_offset)) => {
                    let reply = Appended { entry: entry.clone(), id, offset };
                    self.wait_for_replicas(&append, &partition, last_offset + 1, reply, now);
                }
            }
        }
    }

    fn append_group_records(
        &self,
        entry: &Entry,
        append: &Append,
        now: Now,
    ) -> Result<(Arc<Partition>, i64, i64), ErrorCode> {
        let settings = self.settings();
        let partition = self.partitions.get(self, GROUP_METADATA_TOPIC, entry.partition)?;
        let codec = u8::try_from(settings.offsets.topic_compression_codec).unwrap_or(0);
        let codec = Codec::from_attributes(codec).map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let build = || {
            let mut builder = RecordsBuilder::new(BuilderOptions::new(Magic::V2, codec))?;
            for (key, value) in &append.records {
                builder.append(now.wall_ms, Some(key), value.as_deref(), &[])?;
            }
            Ok::<_, kafka_proto::record::RecordError>(builder.build())
        };
        let Ok(Some(built)) = build() else { return Err(ErrorCode::UNKNOWN_SERVER_ERROR) };
        let zstd_allowed = settings.inter_broker_protocol >= ApiVersion::V2_1_IV0;
        let rules = partition.append_rules(Origin::Coordinator, i16::MAX, zstd_allowed, now);
        let checked = validate::check(&built.bytes, &partition.log().config(), &rules)
            .map_err(|error| errors::of_records(&error))?;
        let acks_all = append.is_acknowledged && settings.offsets.commit_required_acks == -1;
        let info = partition.append(checked, Origin::Coordinator, acks_all, now).map_err(|refused| refused.code())?;
        Ok((partition, info.first_offset, info.last_offset))
    }

    /// Tells the group of its append when all in-sync replicas have it, if they are to be waited for.
    fn wait_for_replicas(
        self: &Arc<Self>,
        append: &Append,
        partition: &Arc<Partition>,
        required: i64,
        reply: Appended,
        now: Now,
    ) {
        let settings = self.settings();
        let mut wait = ProduceWait::new(Logged(partition.clone()), required);
        if !append.is_acknowledged || settings.offsets.commit_required_acks != -1 {
            wait.acknowledged = Acknowledged::Done;
        }
        let mut delayed = DelayedProduce { waits: vec![wait], reply };
        if delayed.is_ready() {
            end_wait(self, delayed);
        } else {
            let timeout_ms = u64::try_from(settings.offsets.commit_timeout_ms).unwrap_or(0);
            let deadline = now.monotonic.plus_ms(timeout_ms);
            if let Park::Ready(delayed) = self.groups.waits.park(delayed, deadline, [&partition.group_appends]) {
                end_wait(self, delayed);
            }
            self.host.alarm(deadline);
        }
        // Consumers and followers of the partition have something to read.
        partition.wake(self);
    }

    /// A partition of `__consumer_offsets` got another leader: its groups come, or go.
    pub(crate) fn offsets_leader_changed(self: &Arc<Self>, partition: &Arc<Partition>, now: Now) {
        let number = partition.name.partition;
        if partition.check_epoch(-1, true).is_err() {
            return self.unload_groups(number, now);
        }
        let load = self.groups.loads.fetch_add(1, Ordering::Relaxed);
        {
            let mut partitions = self.groups.partitions.write();
            if partitions.contains_key(&number) {
                return;
            }
            partitions.insert(number, Served::Loading(load));
        }
        if !self.groups.expires_offsets.swap(true, Ordering::Relaxed) {
            self.schedule_offset_expiry(now);
        }
        let offset = partition.log().offsets().log_start;
        self.host.submit(Box::new(Load {
            broker: self.clone(),
            partition: partition.clone(),
            loader: Loader::default(),
            offset,
            load,
        }));
    }

    /// This broker does not serve the partition's groups any more; a load that is under way ends.
    pub(crate) fn unload_groups(self: &Arc<Self>, partition: i32, now: Now) {
        let served = self.groups.partitions.write().remove(&partition);
        let Some(Served::Ready(groups)) = served else { return };
        tracing::info!(
            target: "kafka.coordinator.group.GroupMetadataManager",
            "Unloading {} groups of {GROUP_METADATA_TOPIC}-{partition}",
            groups.len()
        );
        for entry in groups.values() {
            self.step_group(entry, now, Group::unload);
        }
    }

    fn schedule_offset_expiry(self: &Arc<Self>, now: Now) {
        let interval_ms = u64::try_from(self.settings().offsets.retention_check_interval_ms).unwrap_or(1);
        self.schedule(now.monotonic.plus_ms(interval_ms), |broker, now| {
            let own = broker.clone();
            broker.host.submit(once(move |_| {
                for entry in own.groups.all() {
                    own.step_group(&entry, own.host.now(), Group::expire_offsets);
                }
            }));
            broker.schedule_offset_expiry(now);
        });
    }

    /// Topics are gone: groups forget their offsets in them.
    pub(crate) fn groups_forget_topics(self: &Arc<Self>, topics: &std::collections::BTreeSet<String>, now: Now) {
        if topics.is_empty() {
            return;
        }
        for entry in self.groups.all() {
            self.step_group(&entry, now, |group, step| group.forget_topics(|topic| topics.contains(topic), step));
        }
    }
}

impl Entry {
    fn new(group: Group<Then>, partition: i32) -> Arc<Self> {
        let id = group.id().clone();
        Arc::new(Self { id, partition, driven: Mutex::new(Driven { group, is_appending: false, timer: None }) })
    }

    /// What the caller, who appends for the group, is to append next; if there is nothing, it is done, and the next one may come.
    fn next_append(&self) -> Option<Append> {
        let mut driven = self.driven.lock();
        let append = driven.group.take_append();
        driven.is_appending = append.is_some();
        append
    }

    /// Looks at the group.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Group<Then>) -> T) -> T {
        look(&self.driven.lock().group)
    }
}

/// Reads a partition's log into groups, a piece at a step.
struct Load {
    broker: Arc<Broker>,
    partition: Arc<Partition>,
    loader: Loader,
    offset: i64,
    load: u64,
}

impl Job for Load {
    fn step(&mut self, _: &Slow) -> Next {
        if !self.is_wanted() {
            return Next::Done;
        }
        match self.read_piece() {
            Ok(true) => Next::More,
            Ok(false) => {
                self.finish();
                Next::Done
            }
            Err(reason) => {
                // Answers that say "no offset" would send consumers to the wrong place: they are told to ask again instead.
                self.complain(format_args!("{reason}; trying again in {LOAD_RETRY_MS} ms"));
                self.try_again();
                Next::Done
            }
        }
    }
}

impl Load {
    fn is_wanted(&self) -> bool {
        let partitions = self.broker.groups.partitions.read();
        matches!(partitions.get(&self.partition.name.partition), Some(Served::Loading(load)) if *load == self.load)
    }

    fn complain(&self, what: std::fmt::Arguments<'_>) {
        let name = &self.partition.name;
        tracing::error!(
            target: "kafka.coordinator.group.GroupMetadataManager",
            "Error loading offsets from {name}: {what}",
        );
    }

    /// Goes on from where it came, in a while.
    fn try_again(&mut self) {
        let load = Self {
            broker: self.broker.clone(),
            partition: self.partition.clone(),
            loader: std::mem::take(&mut self.loader),
            offset: self.offset,
            load: self.load,
        };
        let later = self.broker.host.now().monotonic.plus_ms(LOAD_RETRY_MS);
        self.broker.schedule(later, move |broker, _| broker.host.submit(Box::new(load)));
    }

    /// Whether there is more to read.
    fn read_piece(&mut self) -> Result<bool, String> {
        let log = self.partition.log();
        let offsets = log.offsets();
        self.offset = self.offset.max(offsets.log_start);
        if self.offset >= offsets.log_end {
            return Ok(false);
        }
        let request = ReadRequest {
            offset: self.offset,
            max_bytes: u32::try_from(self.broker.settings().offsets.load_buffer_bytes).unwrap_or(5 << 20),
            min_one_message: true,
            bound: Bound::LogEnd,
            cached_only: false,
        };
        let fetched = log.read(&request).map_err(|error| error.to_string())?;
        let piece = base::read_parts(&fetched.records).map_err(|error| error.to_string())?;
        let replayed = self.loader.replay(&piece);
        for (offset, error) in &replayed.broken {
            self.complain(format_args!(
                "the batch that ends at offset {offset} is broken and was passed over: {error}"
            ));
        }
        let next = replayed.next.filter(|next| *next > self.offset);
        self.offset = next.unwrap_or(self.offset);
        if let Some(error) = &replayed.lost {
            let offset = self.offset;
            self.complain(format_args!(
                "nothing can be read from offset {offset} on, what came before is served: {error}"
            ));
        }
        // Compaction may have left nothing behind the last record.
        Ok(next.is_some() && replayed.lost.is_none())
    }

    fn finish(&mut self) {
        let broker = &self.broker;
        let settings = broker.groups.settings(&broker.settings());
        let now = broker.host.now();
        let mut step = Step::new(&settings, now);
        let skipped = self.loader.skipped();
        let number = self.partition.name.partition;
        let groups = std::mem::take(&mut self.loader).finish(&mut step);
        let entries: Vec<Arc<Entry>> = groups.into_iter().map(|group| Entry::new(group, number)).collect();
        {
            let mut partitions = broker.groups.partitions.write();
            let Some(served) = partitions.get_mut(&number) else { return };
            if !matches!(served, Served::Loading(load) if *load == self.load) {
                return;
            }
            *served = Served::Ready(entries.iter().map(|entry| (entry.id.clone(), entry.clone())).collect());
        }
        tracing::info!(
            target: "kafka.coordinator.group.GroupMetadataManager",
            "Finished loading offsets and group metadata from {}: {} groups, {skipped} records not understood",
            self.partition.name,
            entries.len()
        );
        for entry in &entries {
            // Sets its timer.
            broker.step_group(entry, now, |_, _| {});
        }
    }
}

fn group_settings(settings: &BrokerSettings) -> Settings {
    let level = settings.inter_broker_protocol;
    let is_at_least = |version: &str| ApiVersion::parse(version).is_ok_and(|version| level >= version);
    let offset = match (is_at_least("2.1-IV0"), is_at_least("2.1-IV1")) {
        (false, _) => 1,
        (true, false) => 2,
        (true, true) => 3,
    };
    let group = match (is_at_least("0.10.1-IV0"), is_at_least("2.1-IV0"), is_at_least("2.3-IV0")) {
        (false, ..) => 0,
        (true, false, _) => 1,
        (true, true, false) => 2,
        (true, true, true) => 3,
    };
    Settings {
        session_timeout_ms_min: settings.groups.session_timeout_ms_min,
        session_timeout_ms_max: settings.groups.session_timeout_ms_max,
        initial_rebalance_delay_ms: settings.groups.initial_rebalance_delay_ms,
        members_max: usize::try_from(settings.groups.members_max).unwrap_or(usize::MAX),
        metadata_len_max: usize::try_from(settings.offsets.metadata_bytes_max).unwrap_or(0),
        offsets_retention_ms: i64::from(settings.offsets.retention_minutes) * 60_000,
        versions: ValueVersions { offset, group },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use kafka_coord::Commit;
    use kafka_coord::record::{CommittedOffset, TopicPartition};

    use super::*;
    use crate::testing;

    /// None of them can be logged, as there is no log: each is told so, in their order, one behind the other on the stack's same place.
    #[test]
    fn many_appends_that_wait_take_no_more_of_the_stack_than_one() {
        const COUNT: usize = 20_000;
        let (sender, receiver) = mpsc::channel();
        let commits = move || {
            let broker = testing::broker("broker.id=0");
            let now = broker.host.now();
            let entry = Entry::new(Group::new("g".into(), now), 0);
            broker.step_group(&entry, now, |group, step| {
                for number in 0..COUNT {
                    let place = TopicPartition { topic: "t".into(), partition: 0 };
                    let offset = CommittedOffset {
                        offset: 1,
                        leader_epoch: -1,
                        metadata: "".into(),
                        commit_timestamp_ms: 1,
                        expire_timestamp_ms: None,
                    };
                    let offsets = vec![(place, offset)];
                    let commit = Commit { member_id: Str::EMPTY, instance_id: None, generation: -1, offsets };
                    let sender = sender.clone();
                    group.commit(commit, Box::new(move |reply| sender.send((number, reply)).unwrap()), step);
                }
            });
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(commits).unwrap().join().unwrap();
        let told: Vec<_> = receiver.into_iter().collect();
        assert!(told.iter().map(|(number, _)| *number).eq(0..COUNT));
        let is_refused =
            |reply: &Reply| matches!(reply, Reply::Offsets(Ok(errors)) if errors.iter().all(|error| error.is_error()));
        assert!(told.iter().all(|(_, reply)| is_refused(reply)));
    }
}
