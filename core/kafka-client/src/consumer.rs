//! The consumer: partitions assigned by hand or by a group, records out (upstream: `KafkaConsumer`, `Fetcher`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Now, Str};
use kafka_proto::messages::{fetch, list_offset, offset_commit, offset_fetch};
use kafka_proto::{AnyResponse, ApiKey, ErrorCode};

use crate::config::OffsetReset;
use crate::fetch_session::FetchSession;
use crate::fetched::{ConsumedRecord, Fetched};
use crate::group::{Group, GroupEvent};
use crate::metadata::{Cluster, TopicPartition};
use crate::network::{Call, Effect, Input, Interest, Network, Outcome, RequestId, Target};
use crate::{ClientError, ConsumerConfig, Machine};

const LOGGER: &str = "org.apache.kafka.clients.consumer.internals.Fetcher";
/// The timestamp that asks for the end of a partition.
const LATEST: i64 = -1;
/// The timestamp that asks for the start of a partition.
const EARLIEST: i64 = -2;

/// What a consumer tells beside records.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsumerEvent {
    /// The group gave the member these partitions.
    Assigned(Vec<TopicPartition>),
    /// The group takes these back; what was read is committed if that is automatic.
    Revoked(Vec<TopicPartition>),
    /// A commit asked for by [`Consumer::commit`] is done.
    Committed(u64, Result<(), ClientError>),
    /// Reading can't go on; further calls may try again.
    Failed(ClientError),
}

/// An offset to commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitOffset {
    /// Offset of the next record to read.
    pub offset: i64,
    /// Whatever is to be kept with it.
    pub metadata: Str,
}

/// How a consumer came by its partitions.
enum Wanted {
    Nothing,
    ByHand,
    Topics,
    Pattern(Box<dyn Fn(&str) -> bool + Send>),
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "Nothing",
            Self::ByHand => "ByHand",
            Self::Topics => "Topics",
            Self::Pattern(_) => "Pattern",
        })
    }
}

/// A partition that is being read.
#[derive(Debug, Default)]
struct Place {
    /// Offset of the next record; `None` until it is known.
    position: Option<i64>,
    /// Look the position up by this timestamp.
    reset: Option<i64>,
    paused: bool,
    high_watermark: Option<i64>,
    /// A replica that is nearer than the leader, and until when to keep to it.
    preferred: Option<(i32, Monotonic)>,
}

/// What a request was for.
#[derive(Debug)]
enum Purpose {
    Fetch { node: i32, positions: BTreeMap<TopicPartition, i64> },
    ListOffsets { timestamps: BTreeMap<TopicPartition, i64> },
    Committed,
    Commit { user: Option<u64>, offsets: BTreeMap<TopicPartition, CommitOffset>, deadline: Monotonic },
    Leave,
}

/// The consumer machine.
#[derive(Debug)]
pub struct Consumer {
    config: ConsumerConfig,
    network: Network,
    group: Option<Group>,
    wanted: Wanted,
    places: BTreeMap<TopicPartition, Place>,
    sessions: BTreeMap<i32, FetchSession>,
    requests: BTreeMap<RequestId, Purpose>,
    fetched: VecDeque<Fetched>,
    events: VecDeque<ConsumerEvent>,
    next_commit: u64,
    /// Commits that wait for the coordinator.
    commits: VecDeque<(Option<u64>, BTreeMap<TopicPartition, CommitOffset>, Monotonic)>,
    auto_commit_at: Option<Monotonic>,
    polled_at: Option<Monotonic>,
    seen_cluster: u64,
    counts: BTreeMap<Str, usize>,
    retry_at: Monotonic,
    closing: bool,
}

impl Consumer {
    /// A consumer; `seed` decides its choices of brokers.
    pub fn new(config: ConsumerConfig, seed: u64) -> Self {
        Self {
            network: Network::new(config.network.clone(), seed),
            group: config.group_id.clone().map(|id| Group::new(id, &config)),
            config,
            wanted: Wanted::Nothing,
            places: BTreeMap::new(),
            sessions: BTreeMap::new(),
            requests: BTreeMap::new(),
            fetched: VecDeque::new(),
            events: VecDeque::new(),
            next_commit: 0,
            commits: VecDeque::new(),
            auto_commit_at: None,
            polled_at: None,
            seen_cluster: 0,
            counts: BTreeMap::new(),
            retry_at: Monotonic::default(),
            closing: false,
        }
    }

    /// Settings.
    pub const fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// The cluster as last described.
    pub const fn cluster(&self) -> &Cluster {
        self.network.cluster()
    }

    /// Reads topics as a member of the group. Fails without `group.id`.
    pub fn subscribe(&mut self, topics: impl IntoIterator<Item = Str>) -> Result<(), ClientError> {
        let topics: BTreeSet<Str> = topics.into_iter().collect();
        self.network.set_interest(Interest::Topics(topics.clone()));
        self.wanted = Wanted::Topics;
        self.group_mut()?.subscribe(topics);
        Ok(())
    }

    /// Reads all topics whose name matches, also those that come later, as a member of the group.
    pub fn subscribe_pattern(&mut self, matches: impl Fn(&str) -> bool + Send + 'static) -> Result<(), ClientError> {
        self.group_mut()?;
        self.network.set_interest(Interest::All);
        self.wanted = Wanted::Pattern(Box::new(matches));
        Ok(())
    }

    /// Reads exactly these partitions, without a group's help.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let partitions: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        let topics = partitions.iter().map(|partition| partition.topic.clone()).collect();
        self.network.set_interest(Interest::Topics(topics));
        self.wanted = Wanted::ByHand;
        self.set_places(partitions);
    }

    /// The partitions that are being read.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.places.keys()
    }

    /// Offset of the next record of a partition, once known.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.places.get(partition)?.position
    }

    /// End of what is replicated of a partition, as of its last fetch.
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        self.places.get(partition)?.high_watermark
    }

    /// The partitions of a topic, once known; asks for them otherwise.
    pub fn partitions(&mut self, topic: &Str) -> Option<Vec<i32>> {
        self.network.add_interest(topic);
        let known = self.network.cluster().topics.get(topic)?;
        (!known.partitions.is_empty()).then(|| known.partitions.keys().copied().collect())
    }

    /// Goes on at an offset.
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        self.replace(partition, Some(offset), None);
    }

    /// Goes on at the first record there is.
    pub fn seek_to_beginning(&mut self, partition: &TopicPartition) {
        self.replace(partition, None, Some(EARLIEST));
    }

    /// Goes on behind the last record.
    pub fn seek_to_end(&mut self, partition: &TopicPartition) {
        self.replace(partition, None, Some(LATEST));
    }

    /// Stops or resumes fetching a partition.
    pub fn pause(&mut self, partition: &TopicPartition, paused: bool) {
        if let Some(place) = self.places.get_mut(partition) {
            place.paused = paused;
        }
    }

    /// The records that are there, at most `max.poll.records`. An error stays until the partition is sought elsewhere.
    pub fn poll(&mut self, now: Now) -> Result<Vec<ConsumedRecord>, ClientError> {
        self.polled_at = Some(now.monotonic);
        let mut records = Vec::new();
        while records.len() < self.config.poll_records_max {
            let Some(fetched) = self.fetched.front_mut() else { break };
            match fetched.next() {
                Ok(record) => {
                    if let Some(place) = self.places.get_mut(&fetched.partition) {
                        place.position = Some(fetched.position);
                    }
                    match record {
                        Some(record) => records.push(record),
                        None => drop(self.fetched.pop_front()),
                    }
                }
                // What was read before the error is handed out first.
                Err(_) if !records.is_empty() => break,
                Err(error) => {
                    self.fetched.pop_front();
                    return Err(error);
                }
            }
        }
        Ok(records)
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<ConsumerEvent> {
        self.events.pop_front()
    }

    /// Commits offsets; the outcome comes as [`ConsumerEvent::Committed`] with the number returned.
    pub fn commit(&mut self, offsets: BTreeMap<TopicPartition, CommitOffset>, now: Now) -> u64 {
        let id = self.next_commit;
        self.next_commit += 1;
        let deadline = now.monotonic.plus_ms(self.config.api_timeout_ms);
        self.commits.push_back((Some(id), offsets, deadline));
        id
    }

    /// Where the consumer is in all partitions: what a commit of everything read says.
    pub fn positions(&self) -> BTreeMap<TopicPartition, CommitOffset> {
        let known = self.places.iter().filter_map(|(partition, place)| Some((partition.clone(), place.position?)));
        known.map(|(partition, offset)| (partition, CommitOffset { offset, metadata: Str::EMPTY })).collect()
    }

    /// Commits if that is automatic, and leaves the group; done when [`Consumer::is_closed`].
    pub fn close(&mut self, now: Now) {
        if !self.closing {
            self.closing = true;
            self.auto_commit(now.monotonic);
        }
    }

    /// Whether nothing is left to do after [`Consumer::close`].
    pub fn is_closed(&self) -> bool {
        let open = self.requests.values().any(|purpose| matches!(purpose, Purpose::Commit { .. } | Purpose::Leave));
        self.closing && self.group.is_none() && !open
    }

    fn group_mut(&mut self) -> Result<&mut Group, ClientError> {
        self.group.as_mut().ok_or_else(|| {
            ClientError::Illegal(
                "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer \
                 configuration."
                    .to_owned(),
            )
        })
    }

    fn replace(&mut self, partition: &TopicPartition, position: Option<i64>, reset: Option<i64>) {
        if let Some(place) = self.places.get_mut(partition) {
            place.position = position;
            place.reset = reset;
            place.preferred = None;
        }
        self.fetched.retain(|fetched| fetched.partition != *partition);
    }

    fn set_places(&mut self, partitions: BTreeSet<TopicPartition>) {
        self.places.retain(|partition, _| partitions.contains(partition));
        self.fetched.retain(|fetched| partitions.contains(&fetched.partition));
        for partition in partitions {
            self.places.entry(partition).or_default();
        }
    }

    /// Follows the cluster: topics that match a pattern, and topics whose partitions became more.
    fn follow_cluster(&mut self) {
        if self.seen_cluster == self.network.cluster_version() {
            return;
        }
        self.seen_cluster = self.network.cluster_version();
        let cluster = self.network.cluster();
        let Some(group) = &mut self.group else { return };
        if let Wanted::Pattern(matches) = &self.wanted {
            let exclude = self.config.exclude_internal;
            let matching =
                cluster.topics.iter().filter(|(name, topic)| matches(name) && !(exclude && topic.is_internal));
            group.subscribe(matching.map(|(name, _)| name.clone()).collect());
        }
        let counts = cluster.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions.len()));
        let counts: BTreeMap<Str, usize> = counts.filter(|(_, count)| *count > 0).collect();
        let grown = counts.iter().any(|(name, count)| self.counts.get(name).is_some_and(|before| before != count));
        if grown && !matches!(self.wanted, Wanted::ByHand | Wanted::Nothing) && group.is_stable() {
            group.request_rejoin();
        }
        self.counts.extend(counts);
    }

    fn advance_group(&mut self, now: Monotonic) {
        let Some(group) = &mut self.group else { return };
        let expired = self.polled_at.is_some_and(|polled| polled.plus_ms(self.config.poll_interval_ms_max) <= now);
        if expired && group.is_stable() && matches!(self.wanted, Wanted::Topics | Wanted::Pattern(_)) {
            self.network.warn(
                LOGGER,
                "consumer poll timeout has expired. This means the time between subsequent calls to poll() was longer than \
                 the configured max.poll.interval.ms.",
            );
            if let Some(id) = group.leave(&mut self.network, now) {
                self.requests.insert(id, Purpose::Leave);
            }
        } else if !expired {
            group.advance(&mut self.network, now);
        }
        while let Some(event) = self.group.as_mut().and_then(|group| group.events.pop_front()) {
            self.group_event(event, now);
        }
        self.leave_if_closing(now);
    }

    fn group_event(&mut self, event: GroupEvent, now: Monotonic) {
        match event {
            GroupEvent::Assigned(partitions) => {
                self.set_places(partitions.iter().cloned().collect());
                self.auto_commit_at = Some(now.plus_ms(self.config.auto_commit_interval_ms));
                self.events.push_back(ConsumerEvent::Assigned(partitions));
            }
            GroupEvent::Revoke => {
                self.auto_commit(now);
                self.give_up_places();
            }
            GroupEvent::Lost => self.give_up_places(),
            GroupEvent::Failed(error) => self.events.push_back(ConsumerEvent::Failed(error)),
        }
    }

    fn give_up_places(&mut self) {
        let partitions: Vec<TopicPartition> = self.places.keys().cloned().collect();
        self.set_places(BTreeSet::new());
        if !partitions.is_empty() {
            self.events.push_back(ConsumerEvent::Revoked(partitions));
        }
    }

    /// The join waits until what was read is committed.
    fn finish_revocation(&mut self) {
        let committing =
            !self.commits.is_empty() || self.requests.values().any(|purpose| matches!(purpose, Purpose::Commit { .. }));
        if !committing && let Some(group) = &mut self.group {
            group.revoked();
        }
    }

    fn leave_if_closing(&mut self, now: Monotonic) {
        let committing =
            !self.commits.is_empty() || self.requests.values().any(|purpose| matches!(purpose, Purpose::Commit { .. }));
        if self.closing
            && !committing
            && let Some(mut group) = self.group.take()
            && let Some(id) = group.leave(&mut self.network, now)
        {
            self.requests.insert(id, Purpose::Leave);
        }
    }

    fn auto_commit(&mut self, now: Monotonic) {
        if !self.config.auto_commit || self.group.is_none() {
            return;
        }
        let positions = self.positions();
        if !positions.is_empty() {
            self.commits.push_back((None, positions, now.plus_ms(self.config.network.request_timeout_ms)));
        }
    }

    fn auto_commit_if_due(&mut self, now: Monotonic) {
        if self.auto_commit_at.is_some_and(|due| due <= now) {
            self.auto_commit_at = Some(now.plus_ms(self.config.auto_commit_interval_ms.max(1)));
            self.auto_commit(now);
        }
    }

    fn send_commits(&mut self, now: Monotonic) {
        if self.commits.is_empty() || self.retry_at > now {
            return;
        }
        let Some(group) = &self.group else { return };
        let Some(coordinator) = group.coordinator() else { return self.expire_commits(now) };
        let (generation_id, member_id, group_instance_id) = group.membership();
        let group_id = group.id().clone();
        for (user, offsets, deadline) in std::mem::take(&mut self.commits) {
            let mut topics: BTreeMap<Str, Vec<offset_commit::RequestPartition>> = BTreeMap::new();
            for (place, offset) in &offsets {
                topics.entry(place.topic.clone()).or_default().push(offset_commit::RequestPartition {
                    partition_index: place.partition,
                    committed_offset: offset.offset,
                    committed_metadata: Some(offset.metadata.clone()),
                    ..Default::default()
                });
            }
            let topics = topics.into_iter().map(|(name, partitions)| offset_commit::RequestTopic { name, partitions });
            let request = offset_commit::Request {
                group_id: group_id.clone(),
                generation_id,
                member_id: member_id.clone(),
                group_instance_id: group_instance_id.clone(),
                topics: topics.collect(),
                ..Default::default()
            };
            let call = Call::new(request, self.config.network.request_timeout_ms);
            let id = self.network.send(Target::Node(coordinator), call, now);
            self.requests.insert(id, Purpose::Commit { user, offsets, deadline });
        }
    }

    fn expire_commits(&mut self, now: Monotonic) {
        let timeout_ms = self.config.api_timeout_ms;
        let (late, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.commits).into_iter().partition(|(_, _, deadline)| *deadline <= now);
        self.commits = kept;
        for (user, ..) in late {
            let text = format!("Timeout of {timeout_ms}ms expired before successfully committing offsets");
            self.committed(user, Err(ClientError::Timeout(text)));
        }
    }

    fn committed(&mut self, user: Option<u64>, result: Result<(), ClientError>) {
        match (user, result) {
            (Some(id), result) => self.events.push_back(ConsumerEvent::Committed(id, result)),
            (None, Err(error)) => {
                self.network.warn(LOGGER, &format!("Asynchronous auto-commit of offsets failed: {error}"));
            }
            (None, Ok(())) => {}
        }
    }

    fn commit_outcome(&mut self, purpose: Purpose, outcome: Outcome, now: Monotonic) {
        let Purpose::Commit { user, offsets, deadline } = purpose else { return };
        let codes = match outcome {
            Ok(Some(AnyResponse::OffsetCommit(answer))) => answer
                .topics
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code))
                .collect(),
            _ => vec![ErrorCode::COORDINATOR_NOT_AVAILABLE],
        };
        let Some(code) = codes.into_iter().find(|code| code.is_error()) else { return self.committed(user, Ok(())) };
        if let Some(group) = &mut self.group {
            match code {
                ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                    group.coordinator_lost(&mut self.network);
                }
                code => group.commit_failed(code),
            }
        }
        if code.is_retriable() && code != ErrorCode::REBALANCE_IN_PROGRESS && deadline > now {
            self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
            self.commits.push_back((user, offsets, deadline));
        } else {
            self.committed(user, Err(ClientError::Broker { code, message: None }));
        }
    }

    /// Finds positions: what was committed, else what the reset policy says.
    fn find_positions(&mut self, now: Monotonic) {
        if self.retry_at > now {
            return;
        }
        let lost: Vec<TopicPartition> = self
            .places
            .iter()
            .filter(|(_, place)| place.position.is_none() && place.reset.is_none())
            .map(|(partition, _)| partition.clone())
            .collect();
        if !lost.is_empty() {
            match &self.group {
                Some(group) => {
                    if let Some(coordinator) = group.coordinator() {
                        let group_id = group.id().clone();
                        self.fetch_committed(coordinator, group_id, &lost, now);
                    }
                }
                None => lost.iter().for_each(|partition| self.reset_by_policy(partition)),
            }
        }
        self.list_offsets(now);
    }

    fn reset_by_policy(&mut self, partition: &TopicPartition) {
        let timestamp = match self.config.offset_reset {
            OffsetReset::Earliest => EARLIEST,
            OffsetReset::Latest => LATEST,
            OffsetReset::None => {
                let text = format!("Undefined offset with no reset policy for partitions: [{partition}]");
                self.places.remove(partition);
                return self.events.push_back(ConsumerEvent::Failed(ClientError::Illegal(text)));
            }
        };
        self.replace(partition, None, Some(timestamp));
    }

    fn fetch_committed(&mut self, coordinator: i32, group_id: Str, partitions: &[TopicPartition], now: Monotonic) {
        if self.requests.values().any(|purpose| matches!(purpose, Purpose::Committed)) {
            return;
        }
        let topics = crate::assignor::by_topic(partitions).into_iter();
        let topics: Vec<_> = topics
            .map(|topic| offset_fetch::RequestTopic { name: topic.topic, partition_indexes: topic.partitions })
            .collect();
        let call = Call::built(ApiKey::OffsetFetch, self.config.network.request_timeout_ms, move |version| {
            offset_fetch::Request { group_id, topics: Some(topics), require_stable: version >= 7 }.into()
        });
        let id = self.network.send(Target::Node(coordinator), call, now);
        self.requests.insert(id, Purpose::Committed);
    }

    fn committed_outcome(&mut self, outcome: Outcome, now: Monotonic) {
        let answer = match outcome {
            Ok(Some(AnyResponse::OffsetFetch(answer))) if answer.error_code.is_none() => answer,
            Ok(Some(AnyResponse::OffsetFetch(answer)))
                if answer.error_code == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS =>
            {
                return self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
            }
            Ok(Some(AnyResponse::OffsetFetch(answer))) if !answer.error_code.is_retriable() => {
                self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                let error = ClientError::Broker { code: answer.error_code, message: None };
                return self.events.push_back(ConsumerEvent::Failed(error));
            }
            _ => {
                self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                if let Some(group) = &mut self.group {
                    group.coordinator_lost(&mut self.network);
                }
                return;
            }
        };
        for topic in answer.topics {
            for found in topic.partitions {
                let partition = TopicPartition { topic: Str::copied(&topic.name), partition: found.partition_index };
                let open =
                    self.places.get(&partition).is_some_and(|place| place.position.is_none() && place.reset.is_none());
                if found.error_code.is_error() || !open {
                    self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                } else if found.committed_offset < 0 {
                    self.reset_by_policy(&partition);
                } else {
                    self.replace(&partition, Some(found.committed_offset), None);
                }
            }
        }
    }

    fn list_offsets(&mut self, now: Monotonic) {
        let asked: BTreeSet<&TopicPartition> = self
            .requests
            .values()
            .filter_map(|purpose| match purpose {
                Purpose::ListOffsets { timestamps } => Some(timestamps.keys()),
                _ => None,
            })
            .flatten()
            .collect();
        let mut by_leader: BTreeMap<i32, BTreeMap<TopicPartition, i64>> = BTreeMap::new();
        let mut leaderless = false;
        for (partition, place) in self.places.iter().filter(|(partition, _)| !asked.contains(partition)) {
            let Some(timestamp) = place.reset else { continue };
            match self.network.cluster().leader(partition) {
                Some((leader, _)) => by_leader.entry(leader).or_default().insert(partition.clone(), timestamp),
                None => {
                    leaderless = true;
                    None
                }
            };
        }
        if leaderless {
            self.network.want_update();
        }
        for (leader, timestamps) in by_leader {
            let request = self.offsets_request(&timestamps);
            let call = Call::built(ApiKey::ListOffset, self.config.network.request_timeout_ms, move |version| {
                let isolation_level = if version < 2 { 0 } else { request.isolation_level };
                list_offset::Request { isolation_level, ..request }.into()
            });
            let id = self.network.send(Target::Node(leader), call, now);
            self.requests.insert(id, Purpose::ListOffsets { timestamps });
        }
    }

    fn offsets_request(&self, timestamps: &BTreeMap<TopicPartition, i64>) -> list_offset::Request {
        let mut topics: BTreeMap<Str, Vec<list_offset::RequestPartition>> = BTreeMap::new();
        for (partition, timestamp) in timestamps {
            let epoch = self.network.cluster().leader(partition).map_or(-1, |(_, epoch)| epoch);
            topics.entry(partition.topic.clone()).or_default().push(list_offset::RequestPartition {
                partition_index: partition.partition,
                current_leader_epoch: epoch,
                timestamp: *timestamp,
                max_num_offsets: 1,
            });
        }
        let topics = topics.into_iter().map(|(name, partitions)| list_offset::RequestTopic { name, partitions });
        list_offset::Request { replica_id: -1, isolation_level: self.config.isolation_level, topics: topics.collect() }
    }

    fn offsets_outcome(&mut self, timestamps: &BTreeMap<TopicPartition, i64>, outcome: Outcome, now: Monotonic) {
        let Ok(Some(AnyResponse::ListOffset(answer))) = outcome else {
            self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
            return self.network.want_update();
        };
        for topic in answer.topics {
            for found in topic.partitions {
                let partition = TopicPartition { topic: Str::copied(&topic.name), partition: found.partition_index };
                let asked = timestamps.get(&partition).copied();
                if found.error_code.is_error() {
                    self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                    self.network.want_update();
                    if !found.error_code.is_retriable() {
                        let error = ClientError::Broker { code: found.error_code, message: None };
                        self.events.push_back(ConsumerEvent::Failed(error));
                    }
                } else if self.places.get(&partition).is_some_and(|place| place.reset.is_some() && place.reset == asked)
                {
                    let offset = found.old_style_offsets.first().copied().unwrap_or(found.offset);
                    self.replace(&partition, Some(offset.max(0)), None);
                }
            }
        }
    }

    /// Asks each broker that is not being asked for the partitions that have nothing buffered.
    fn fetch(&mut self, now: Monotonic) {
        let busy: BTreeSet<i32> = self
            .requests
            .values()
            .filter_map(|purpose| match purpose {
                Purpose::Fetch { node, .. } => Some(*node),
                _ => None,
            })
            .collect();
        let mut by_node: BTreeMap<i32, BTreeMap<TopicPartition, fetch::RequestPartition>> = BTreeMap::new();
        let mut leaderless = false;
        for (partition, place) in &self.places {
            let Some(fetch_offset) = place.position.filter(|_| !place.paused) else { continue };
            if self.fetched.iter().any(|fetched| fetched.partition == *partition) {
                continue;
            }
            let Some((leader, epoch)) = self.network.cluster().leader(partition) else {
                leaderless = true;
                continue;
            };
            let preferred = place
                .preferred
                .filter(|(node, until)| *until > now && self.network.cluster().brokers.contains_key(node));
            let request = fetch::RequestPartition {
                partition_index: partition.partition,
                current_leader_epoch: epoch,
                fetch_offset,
                partition_max_bytes: self.config.partition_bytes_max,
                ..Default::default()
            };
            by_node.entry(preferred.map_or(leader, |(node, _)| node)).or_default().insert(partition.clone(), request);
        }
        if leaderless {
            self.network.want_update();
        }
        for (node, partitions) in by_node.into_iter().filter(|(node, _)| !busy.contains(node)) {
            if self.network.prepare(node, now) && self.network.is_ready(node) {
                self.send_fetch(node, partitions, now);
            }
        }
    }

    fn send_fetch(&mut self, node: i32, partitions: BTreeMap<TopicPartition, fetch::RequestPartition>, now: Monotonic) {
        let positions = partitions.iter().map(|(place, request)| (place.clone(), request.fetch_offset)).collect();
        let part = self.sessions.entry(node).or_default().next(partitions);
        let request = fetch::Request {
            replica_id: -1,
            max_wait_ms: self.config.fetch_wait_ms_max,
            min_bytes: self.config.fetch_bytes_min,
            max_bytes: self.config.fetch_bytes_max,
            isolation_level: self.config.isolation_level,
            session_id: part.session_id,
            session_epoch: part.session_epoch,
            topics: part.topics,
            forgotten_topics: part.forgotten,
            rack_id: self.config.rack.clone(),
            ..Default::default()
        };
        let id = self.network.send(Target::Node(node), Call::new(request, self.config.network.request_timeout_ms), now);
        self.requests.insert(id, Purpose::Fetch { node, positions });
    }

    fn fetch_outcome(
        &mut self,
        node: i32,
        positions: &BTreeMap<TopicPartition, i64>,
        outcome: Outcome,
        now: Monotonic,
    ) {
        let session = self.sessions.entry(node).or_default();
        let Ok(Some(AnyResponse::Fetch(response))) = outcome else {
            session.lost();
            return self.network.want_update();
        };
        session.answered(&response);
        for topic in response.topics {
            for answer in topic.partitions {
                let partition = TopicPartition { topic: Str::copied(&topic.topic), partition: answer.partition_index };
                let asked = positions.get(&partition).copied();
                // Sought elsewhere or given up meanwhile: the answer is to a question of before.
                let current = self.places.get(&partition).and_then(|place| place.position);
                if let Some(offset) = asked.filter(|asked| current == Some(*asked)) {
                    self.fetched_partition(partition, offset, answer, now);
                }
            }
        }
    }

    fn fetched_partition(
        &mut self,
        partition: TopicPartition,
        offset: i64,
        answer: fetch::ResponsePartition,
        now: Monotonic,
    ) {
        if answer.error_code.is_error() {
            return self.fetch_failed(&partition, offset, answer.error_code, now);
        }
        let preferred = (answer.preferred_read_replica, now.plus_ms(self.config.network.metadata_max_age_ms));
        if let Some(place) = self.places.get_mut(&partition) {
            place.high_watermark = Some(answer.high_watermark);
            if preferred.0 >= 0 {
                place.preferred = Some(preferred);
            }
        }
        let bytes = answer.records.unwrap_or_default().to_bytes().unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        let aborted = if self.config.isolation_level == 1 { answer.aborted_transactions } else { None };
        self.fetched.push_back(Fetched::new(partition, offset, bytes, aborted, self.config.check_crcs));
    }

    fn fetch_failed(&mut self, partition: &TopicPartition, offset: i64, code: ErrorCode, now: Monotonic) {
        self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
        self.network.want_update();
        match code {
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let place = self.places.get_mut(partition);
                if place.and_then(|place| place.preferred.take()).is_some() {
                    return;
                }
                if self.config.offset_reset == OffsetReset::None {
                    let text = format!(
                        "Fetch position {offset} is out of range for partition {partition}, and no reset policy is defined"
                    );
                    self.places.remove(partition);
                    return self.events.push_back(ConsumerEvent::Failed(ClientError::Illegal(text)));
                }
                self.reset_by_policy(partition);
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                self.network.warn(
                    LOGGER,
                    &format!("Received unknown topic or partition error in fetch for partition {partition}"),
                );
            }
            ErrorCode::UNKNOWN_LEADER_EPOCH | ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::UNKNOWN_SERVER_ERROR => {}
            code if code.is_retriable() => {}
            code => self.events.push_back(ConsumerEvent::Failed(ClientError::Broker { code, message: None })),
        }
    }

    fn outcome(&mut self, id: RequestId, outcome: Outcome, now: Monotonic) {
        let outcome = match &mut self.group {
            Some(group) => group.outcome(id, outcome, &mut self.network, now),
            None => Some(outcome),
        };
        let (Some(outcome), Some(purpose)) = (outcome, self.requests.remove(&id)) else { return };
        match purpose {
            Purpose::Fetch { node, positions } => self.fetch_outcome(node, &positions, outcome, now),
            Purpose::ListOffsets { timestamps } => self.offsets_outcome(&timestamps, outcome, now),
            Purpose::Committed => self.committed_outcome(outcome, now),
            Purpose::Commit { .. } => self.commit_outcome(purpose, outcome, now),
            Purpose::Leave => {}
        }
    }
}

impl Machine for Consumer {
    fn handle(&mut self, input: Input, now: Now) {
        self.network.handle(input, now.monotonic);
    }

    fn advance(&mut self, now: Now) {
        let now = now.monotonic;
        self.network.advance(now);
        loop {
            while let Some((id, outcome)) = self.network.next_completion() {
                self.outcome(id, outcome, now);
            }
            self.follow_cluster();
            self.auto_commit_if_due(now);
            self.send_commits(now);
            self.finish_revocation();
            self.advance_group(now);
            // A revocation may have left a commit.
            self.send_commits(now);
            if !self.closing {
                self.find_positions(now);
                self.fetch(now);
            }
            self.network.advance(now);
            if !self.network.has_completion() {
                break;
            }
        }
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        self.network.take_effects()
    }

    fn deadline(&self) -> Option<Monotonic> {
        let group = self.group.as_ref().and_then(Group::deadline);
        let commits = self.commits.iter().map(|(_, _, deadline)| *deadline).min();
        let unplaced = self.places.values().any(|place| place.position.is_none()) || !self.commits.is_empty();
        let retry = (unplaced && self.requests.is_empty()).then_some(self.retry_at);
        let due = group.into_iter().chain(commits).chain(retry).chain(self.auto_commit_at);
        due.chain(self.network.deadline()).min()
    }
}
