//! Membership in a consumer group: the classic protocol (upstream: `AbstractCoordinator`, `ConsumerCoordinator`).
//!
//! Find the coordinator, join, hand in or receive the assignment, heartbeat; and again whenever the group changes. The
//! whole assignment is given up before each join (the eager protocol).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Str};
use bytes::Bytes;
use kafka_proto::messages::consumer_protocol::{Assignment, Subscription};
use kafka_proto::messages::{find_coordinator, heartbeat, join_group, leave_group, sync_group};
use kafka_proto::{AnyResponse, ApiKey, ErrorCode};

use crate::assignor::{Member, Strategy, by_topic, partitions_of};
use crate::metadata::TopicPartition;
use crate::network::{Call, Interest, Network, Outcome, RequestId, Target};
use crate::{ClientError, ConsumerConfig};

const LOGGER: &str = "org.apache.kafka.clients.consumer.internals.ConsumerCoordinator";
const PROTOCOL_TYPE: Str = Str::from_static("consumer");
/// How much longer than the rebalance timeout the broker's answer to a join may take.
const JOIN_GRACE_MS: u64 = 5_000;

/// What the membership tells the consumer.
#[derive(Debug, PartialEq)]
pub(crate) enum GroupEvent {
    /// Give up the partitions, commit what was read, then call [`Group::revoked`].
    Revoke,
    /// The membership is gone, and the partitions with it.
    Lost,
    /// These are the member's partitions.
    Assigned(Vec<TopicPartition>),
    /// The group can't be joined.
    Failed(ClientError),
}

#[derive(Debug, PartialEq)]
enum State {
    /// Not in the group.
    Out,
    /// The consumer is giving up its partitions.
    Revoking,
    Joining(RequestId),
    /// Joined as leader; the topics of all members must be known first.
    Describing(Box<join_group::Response>, u64),
    Syncing(RequestId),
    Stable,
}

/// One member of a group.
#[derive(Debug)]
pub(crate) struct Group {
    id: Str,
    instance_id: Option<Str>,
    strategies: Vec<Strategy>,
    session_timeout_ms: u64,
    heartbeat_interval_ms: u64,
    rebalance_timeout_ms: u64,
    coordinator: Option<i32>,
    finding: Option<RequestId>,
    retry_at: Monotonic,
    state: State,
    member_id: Str,
    generation: i32,
    strategy: Option<Strategy>,
    topics: BTreeSet<Str>,
    owned: Vec<TopicPartition>,
    rejoin: bool,
    heartbeat: Option<RequestId>,
    heartbeat_at: Monotonic,
    session_deadline: Monotonic,
    pub(crate) events: VecDeque<GroupEvent>,
}

impl Group {
    pub(crate) fn new(id: Str, config: &ConsumerConfig) -> Self {
        Self {
            id,
            instance_id: config.group_instance_id.clone(),
            strategies: config.strategies.clone(),
            session_timeout_ms: config.session_timeout_ms,
            heartbeat_interval_ms: config.heartbeat_interval_ms,
            rebalance_timeout_ms: config.poll_interval_ms_max,
            coordinator: None,
            finding: None,
            retry_at: Monotonic::default(),
            state: State::Out,
            member_id: Str::EMPTY,
            generation: -1,
            strategy: None,
            topics: BTreeSet::new(),
            owned: Vec::new(),
            rejoin: false,
            heartbeat: None,
            heartbeat_at: Monotonic::default(),
            session_deadline: Monotonic::default(),
            events: VecDeque::new(),
        }
    }

    pub(crate) const fn id(&self) -> &Str {
        &self.id
    }

    /// The broker that coordinates the group, once found.
    pub(crate) const fn coordinator(&self) -> Option<i32> {
        self.coordinator
    }

    /// Generation, member id and instance id for commits.
    pub(crate) fn membership(&self) -> (i32, Str, Option<Str>) {
        (self.generation, self.member_id.clone(), self.instance_id.clone())
    }

    /// Whether the member has its assignment.
    pub(crate) fn is_stable(&self) -> bool {
        self.state == State::Stable && !self.rejoin
    }

    /// Sets the topics that the member wants; the group learns of a change by a new join.
    pub(crate) fn subscribe(&mut self, topics: BTreeSet<Str>) {
        if self.topics != topics {
            self.topics = topics;
            self.rejoin = true;
        }
    }

    /// Asks for a new round, as when the partitions of a topic changed.
    pub(crate) const fn request_rejoin(&mut self) {
        self.rejoin = true;
    }

    /// The partitions are given up and what was read is committed.
    pub(crate) fn revoked(&mut self) {
        if self.state == State::Revoking {
            self.state = State::Out;
        }
    }

    /// The coordinator is not the one it was: find it again.
    pub(crate) fn coordinator_lost(&mut self, network: &mut Network) {
        if let Some(node) = self.coordinator.take() {
            network
                .warn(LOGGER, &format!("Group coordinator {node} is unavailable or invalid, will attempt rediscovery"));
        }
    }

    /// What a commit's error says of the membership.
    pub(crate) fn commit_failed(&mut self, code: ErrorCode) {
        match code {
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => self.expelled(),
            ErrorCode::REBALANCE_IN_PROGRESS => self.rejoin = true,
            _ => {}
        }
    }

    /// Starts what is due.
    pub(crate) fn advance(&mut self, network: &mut Network, now: Monotonic) {
        let Some(coordinator) = self.find_coordinator(network, now) else { return };
        if self.topics.is_empty() {
            return;
        }
        match &self.state {
            State::Stable if self.rejoin => {
                self.state = State::Revoking;
                self.events.push_back(GroupEvent::Revoke);
            }
            State::Stable => self.keep_alive(coordinator, network, now),
            State::Out if self.rejoin && self.retry_at <= now => self.join(coordinator, network, now),
            State::Describing(_, version) if network.cluster_version() >= *version => {
                if let State::Describing(joined, _) = std::mem::replace(&mut self.state, State::Out) {
                    self.lead(*joined, coordinator, network, now);
                }
            }
            _ => {}
        }
    }

    /// When [`Group::advance`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        if self.coordinator.is_none() {
            return self.finding.is_none().then_some(self.retry_at);
        }
        match self.state {
            State::Stable if !self.rejoin => match self.heartbeat {
                None => Some(self.heartbeat_at.min(self.session_deadline)),
                Some(_) => Some(self.session_deadline),
            },
            State::Out if self.rejoin && !self.topics.is_empty() => Some(self.retry_at),
            _ => None,
        }
    }

    /// Takes an outcome in, if it is of one of our requests.
    pub(crate) fn outcome(
        &mut self,
        id: RequestId,
        outcome: Outcome,
        network: &mut Network,
        now: Monotonic,
    ) -> Option<Outcome> {
        if self.finding == Some(id) {
            self.finding = None;
            self.found(outcome, network, now);
        } else if self.heartbeat == Some(id) {
            self.heartbeat = None;
            self.heard(outcome, network, now);
        } else if self.state == State::Joining(id) {
            self.joined(outcome, network, now);
        } else if self.state == State::Syncing(id) {
            self.synced(outcome, network, now);
        } else {
            return Some(outcome);
        }
        None
    }

    /// Leaves the group, until it is told to go on; a static member keeps its place until its session ends.
    pub(crate) fn leave(&mut self, network: &mut Network, now: Monotonic) -> Option<RequestId> {
        let member_id = std::mem::take(&mut self.member_id);
        self.expelled();
        let coordinator = self.coordinator?;
        if member_id.is_empty() || self.instance_id.is_some() {
            return None;
        }
        let group_id = self.id.clone();
        let call = Call::built(ApiKey::LeaveGroup, network.config().request_timeout_ms, move |version| {
            if version < 3 {
                leave_group::Request { group_id, member_id, members: Vec::new() }.into()
            } else {
                let members = vec![leave_group::RequestMember { member_id, group_instance_id: None }];
                leave_group::Request { group_id, member_id: Str::EMPTY, members }.into()
            }
        });
        Some(network.send(Target::Node(coordinator), call, now))
    }

    fn find_coordinator(&mut self, network: &mut Network, now: Monotonic) -> Option<i32> {
        if self.coordinator.is_none() && self.finding.is_none() && self.retry_at <= now {
            let request = find_coordinator::Request { key: self.id.clone(), key_type: 0 };
            let call = Call::new(request, network.config().request_timeout_ms);
            self.finding = Some(network.send(Target::Any, call, now));
        }
        self.coordinator
    }

    fn found(&mut self, outcome: Outcome, network: &mut Network, now: Monotonic) {
        match outcome {
            Ok(Some(AnyResponse::FindCoordinator(found))) if found.error_code.is_none() => {
                self.coordinator = Some(network.coordinator(found.node_id, &found.host, found.port));
                self.session_deadline = now.plus_ms(self.session_timeout_ms);
            }
            Ok(Some(AnyResponse::FindCoordinator(found))) if !found.error_code.is_retriable() => {
                let error = ClientError::Broker { code: found.error_code, message: found.error_message };
                self.back_off(now);
                self.events.push_back(GroupEvent::Failed(error));
            }
            Err(error) if !error.is_retriable() => self.give_up(error, now),
            _ => self.back_off(now),
        }
    }

    /// Tells the user of what will not get better; a further try is a while off.
    fn give_up(&mut self, error: ClientError, now: Monotonic) {
        self.back_off(now);
        self.events.push_back(GroupEvent::Failed(error));
    }

    const fn back_off(&mut self, now: Monotonic) {
        self.retry_at = now.plus_ms(100);
    }

    fn keep_alive(&mut self, coordinator: i32, network: &mut Network, now: Monotonic) {
        if self.session_deadline <= now {
            // Nothing was heard for a whole session: the coordinator may have moved.
            self.session_deadline = now.plus_ms(self.session_timeout_ms);
            self.coordinator_lost(network);
            return;
        }
        if self.heartbeat.is_some() || self.heartbeat_at > now {
            return;
        }
        let request = heartbeat::Request {
            group_id: self.id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
        };
        self.heartbeat_at = now.plus_ms(self.heartbeat_interval_ms);
        let call = Call::new(request, network.config().request_timeout_ms);
        self.heartbeat = Some(network.send(Target::Node(coordinator), call, now));
    }

    fn heard(&mut self, outcome: Outcome, network: &mut Network, now: Monotonic) {
        let answer = match outcome {
            Ok(Some(AnyResponse::Heartbeat(answer))) => answer,
            Err(error) if !error.is_retriable() => return self.give_up(error, now),
            _ => return self.coordinator_lost(network),
        };
        if answer.error_code.is_none() {
            self.session_deadline = now.plus_ms(self.session_timeout_ms);
        } else if self.state == State::Stable {
            self.failed(answer.error_code, network, now);
        }
    }

    fn join(&mut self, coordinator: i32, network: &mut Network, now: Monotonic) {
        self.rejoin = false;
        // What an answer that comes later says is of the membership of before.
        self.heartbeat = None;
        let topics: Vec<Str> = self.topics.iter().cloned().collect();
        let protocols = self.strategies.iter().filter_map(|strategy| {
            let subscription = Subscription {
                topics: topics.clone(),
                user_data: strategy.user_data(&self.owned, self.generation),
                owned_partitions: Vec::new(),
            };
            let metadata = subscription.to_bytes(1).ok()?;
            Some(join_group::Protocol { name: Str::from_static(strategy.name()), metadata })
        });
        let request = join_group::Request {
            group_id: self.id.clone(),
            session_timeout_ms: i32::try_from(self.session_timeout_ms).unwrap_or(i32::MAX),
            rebalance_timeout_ms: i32::try_from(self.rebalance_timeout_ms).unwrap_or(i32::MAX),
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE,
            protocols: protocols.collect(),
        };
        let patience_ms = network.config().request_timeout_ms.max(self.rebalance_timeout_ms + JOIN_GRACE_MS);
        let call = Call::new(request, network.config().request_timeout_ms).patient(patience_ms);
        self.state = State::Joining(network.send(Target::Node(coordinator), call, now));
    }

    fn joined(&mut self, outcome: Outcome, network: &mut Network, now: Monotonic) {
        self.state = State::Out;
        self.rejoin = true;
        let joined = match outcome {
            Ok(Some(AnyResponse::JoinGroup(joined))) => joined,
            Err(error) if !error.is_retriable() => return self.give_up(error, now),
            _ => {
                self.back_off(now);
                return self.coordinator_lost(network);
            }
        };
        if joined.error_code.is_error() {
            if joined.error_code == ErrorCode::MEMBER_ID_REQUIRED {
                self.member_id = Str::copied(&joined.member_id);
                return;
            }
            return self.failed(joined.error_code, network, now);
        }
        self.rejoin = false;
        self.member_id = Str::copied(&joined.member_id);
        self.generation = joined.generation_id;
        self.strategy = joined.protocol_name.as_deref().and_then(Strategy::from_name);
        if joined.leader == joined.member_id {
            self.describe(joined, network);
        } else if let Some(coordinator) = self.coordinator {
            self.sync(coordinator, Vec::new(), network, now);
        }
    }

    /// As leader: learn of all members' topics before sharing them out.
    fn describe(&mut self, joined: join_group::Response, network: &mut Network) {
        let subscriptions = joined.members.iter().filter_map(|member| Subscription::from_bytes(&member.metadata).ok());
        let mut topics: BTreeSet<Str> =
            subscriptions.flat_map(|subscription| subscription.topics).map(|topic| Str::copied(&topic)).collect();
        let version = network.cluster_version() + 1;
        if let Interest::Topics(known) = network.interest() {
            topics.extend(known.iter().cloned());
            network.set_interest(Interest::Topics(topics));
        }
        network.want_update();
        self.state = State::Describing(Box::new(joined), version);
    }

    fn lead(&mut self, joined: join_group::Response, coordinator: i32, network: &mut Network, now: Monotonic) {
        let members = joined.members.into_iter().map(|member| Member {
            id: member.member_id,
            instance_id: member.group_instance_id,
            subscription: Subscription::from_bytes(&member.metadata).unwrap_or_default(),
        });
        let members: Vec<Member> = members.collect();
        let counts = network.cluster().topics.iter().filter(|(_, topic)| !topic.partitions.is_empty());
        let counts: BTreeMap<Str, i32> =
            counts.map(|(name, topic)| (name.clone(), topic.partitions.len() as i32)).collect();
        let assignments = self.strategy.unwrap_or(Strategy::Range).assign(&counts, &members);
        let assignments = assignments.into_iter().filter_map(|(member_id, partitions)| {
            let assignment = Assignment { assigned_partitions: by_topic(&partitions), user_data: None };
            Some(sync_group::Assignment { member_id, assignment: assignment.to_bytes(1).ok()? })
        });
        self.sync(coordinator, assignments.collect(), network, now);
    }

    fn sync(
        &mut self,
        coordinator: i32,
        assignments: Vec<sync_group::Assignment>,
        network: &mut Network,
        now: Monotonic,
    ) {
        let request = sync_group::Request {
            group_id: self.id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: self.strategy.map(|strategy| Str::from_static(strategy.name())),
            assignments,
        };
        let timeout_ms = network.config().request_timeout_ms;
        let call = Call::new(request, timeout_ms).patient(timeout_ms.max(self.rebalance_timeout_ms + JOIN_GRACE_MS));
        self.state = State::Syncing(network.send(Target::Node(coordinator), call, now));
    }

    fn synced(&mut self, outcome: Outcome, network: &mut Network, now: Monotonic) {
        self.state = State::Out;
        self.rejoin = true;
        let answer = match outcome {
            Ok(Some(AnyResponse::SyncGroup(answer))) => answer,
            Err(error) if !error.is_retriable() => return self.give_up(error, now),
            _ => {
                self.back_off(now);
                return self.coordinator_lost(network);
            }
        };
        if answer.error_code.is_error() {
            return self.failed(answer.error_code, network, now);
        }
        match read_assignment(&answer.assignment) {
            Ok(partitions) => {
                self.state = State::Stable;
                self.rejoin = false;
                self.heartbeat_at = now.plus_ms(self.heartbeat_interval_ms);
                self.session_deadline = now.plus_ms(self.session_timeout_ms);
                self.owned.clone_from(&partitions);
                self.events.push_back(GroupEvent::Assigned(partitions));
            }
            Err(error) => self.events.push_back(GroupEvent::Failed(error)),
        }
    }

    /// What an error of the coordinator means for the membership.
    fn failed(&mut self, code: ErrorCode, network: &mut Network, now: Monotonic) {
        self.back_off(now);
        match code {
            ErrorCode::REBALANCE_IN_PROGRESS => {
                self.retry_at = now;
                self.rejoin = true;
            }
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => self.rejoin = true,
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => self.coordinator_lost(network),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                if code == ErrorCode::UNKNOWN_MEMBER_ID {
                    self.member_id = Str::EMPTY;
                }
                self.expelled();
            }
            code => {
                self.rejoin = false;
                self.events.push_back(GroupEvent::Failed(ClientError::Broker { code, message: None }));
            }
        }
    }

    /// The group goes on without us.
    fn expelled(&mut self) {
        let was_member = self.state == State::Stable || self.state == State::Revoking;
        self.state = State::Out;
        self.generation = -1;
        self.rejoin = true;
        if was_member {
            self.owned.clear();
            self.events.push_back(GroupEvent::Lost);
        }
    }
}

fn read_assignment(bytes: &Bytes) -> Result<Vec<TopicPartition>, ClientError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let assignment = Assignment::from_bytes(bytes)?;
    let partitions = partitions_of(&assignment.assigned_partitions).into_iter();
    Ok(partitions
        .map(|TopicPartition { topic, partition }| TopicPartition { topic: Str::copied(&topic), partition })
        .collect())
}
