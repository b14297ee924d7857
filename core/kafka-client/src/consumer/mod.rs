//! The consumer: partitions assigned by hand or by a group, records out (upstream: `KafkaConsumer`, `Fetcher`).

mod commits;
mod fetching;
mod positions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Now, Str};

use crate::fetch_session::FetchSession;
use crate::fetched::{ConsumedRecord, Fetched};
use crate::group::{Group, GroupEvent};
use crate::metadata::{Cluster, TopicPartition};
use crate::network::{Effect, Input, Interest, Network, Outcome, RequestId};
use crate::traffic::Traffic;
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
    /// Leader epoch of the last record read, if it is known (KIP-320).
    pub leader_epoch: Option<i32>,
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
    /// Leader epoch of the record in front of the position, if it is known.
    epoch: Option<i32>,
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
    Commit(Commit),
    Leave,
}

/// A commit that is to be made, or under way.
#[derive(Debug)]
struct Commit {
    /// Its number, if the user asked for it.
    user: Option<u64>,
    offsets: BTreeMap<TopicPartition, CommitOffset>,
    deadline: Monotonic,
    /// Generation, member id and instance id when it was asked for: offsets of one generation are never committed in another.
    by: (i32, Str, Option<Str>),
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
    commits: VecDeque<Commit>,
    auto_commit_at: Option<Monotonic>,
    polled_at: Option<Monotonic>,
    seen_cluster: u64,
    counts: BTreeMap<Str, usize>,
    retry_at: Monotonic,
    closing: bool,
    advanced_at: Monotonic,
}

impl Consumer {
    /// What was counted of the connections.
    pub const fn traffic(&self) -> &Traffic {
        self.network.traffic()
    }

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
            advanced_at: Monotonic::default(),
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

    /// Generation, member id and static name in the group: -1 and no id while the consumer is no member (upstream: `groupMetadata`).
    /// `None` without a group.
    pub fn membership(&self) -> Option<(i32, Str, Option<Str>)> {
        self.group.as_ref().map(Group::membership)
    }

    /// The broker that coordinates the group, once found.
    pub fn coordinator(&self) -> Option<i32> {
        self.group.as_ref().and_then(Group::coordinator)
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
                        place.epoch = fetched.leader_epoch;
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
        self.plan_commit(Some(id), offsets, now.monotonic.plus_ms(self.config.api_timeout_ms));
        id
    }

    /// Where the consumer is in all partitions: what a commit of everything read says.
    pub fn positions(&self) -> BTreeMap<TopicPartition, CommitOffset> {
        let commit = |place: &Place| {
            place.position.map(|offset| CommitOffset { offset, leader_epoch: place.epoch, metadata: Str::EMPTY })
        };
        self.places.iter().filter_map(|(partition, place)| Some((partition.clone(), commit(place)?))).collect()
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
        let open = self.requests.values().any(|purpose| matches!(purpose, Purpose::Commit(_) | Purpose::Leave));
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
            place.epoch = None;
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
            !self.commits.is_empty() || self.requests.values().any(|purpose| matches!(purpose, Purpose::Commit(_)));
        if !committing && let Some(group) = &mut self.group {
            group.revoked();
        }
    }

    fn leave_if_closing(&mut self, now: Monotonic) {
        let committing =
            !self.commits.is_empty() || self.requests.values().any(|purpose| matches!(purpose, Purpose::Commit(_)));
        if self.closing
            && !committing
            && let Some(mut group) = self.group.take()
            && let Some(id) = group.leave(&mut self.network, now)
        {
            self.requests.insert(id, Purpose::Leave);
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
            Purpose::Commit(commit) => self.commit_outcome(commit, outcome, now),
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
        self.advanced_at = now;
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
        let commits = self.commits.iter().map(|commit| commit.deadline).min();
        let unplaced = self.places.values().any(|place| place.position.is_none()) || !self.commits.is_empty();
        let retry = (unplaced && self.requests.is_empty()).then_some(self.retry_at);
        let due = group.into_iter().chain(commits).chain(retry).chain(self.auto_commit_at);
        // What is due and was not done waits for an input.
        let due = due.filter(|due| *due > self.advanced_at);
        due.chain(self.network.deadline()).min()
    }
}
