//! The admin client: requests that find their broker themselves, with retries (upstream: `KafkaAdminClient`).
//!
//! It knows no operation of its own: a tool says which request goes where ([`To`]) and reads the response. What spans
//! several brokers (offsets by leader, groups by coordinator) is several calls, made at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use base::{Monotonic, Now, Str};
use kafka_proto::messages::find_coordinator;
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, ErrorCode};

use crate::metadata::{Cluster, Node, TopicPartition};
use crate::network::{Call, Effect, Input, Interest, Network, Outcome, RequestId, Target, call_name};
use crate::{AdminConfig, ClientError, Machine};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Any broker.
    Any,
    /// The controller.
    Controller,
    /// The broker of this id.
    Node(i32),
    /// The coordinator of this group.
    Coordinator(Str),
    /// The coordinator of this transactional id.
    TransactionCoordinator(Str),
    /// The leader of this partition.
    Leader(TopicPartition),
}

/// How much longer than the broker's own limit, which is the same, its answer may take.
const ANSWER_GRACE_MS: u64 = 500;

/// Names a call; counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A request that is made for each version and may be made again.
type Build = Box<dyn Fn(i16) -> AnyRequest + Send + Sync>;
/// Says whether a response is of the wrong broker or too early, so that the request is to be made again.
pub type TryAgain = fn(&AnyResponse) -> Option<ErrorCode>;

/// How a request is made.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// The Java client's name of the call, which its time-out tells.
    pub name: String,
    /// How long it may take, retries and all; `default.api.timeout.ms` if not said.
    pub timeout_ms: Option<u64>,
    /// When to ask again.
    pub try_again: TryAgain,
}

impl CallOptions {
    /// With the usual time, and again when a response says that its broker was the wrong one.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), timeout_ms: None, try_again: wrong_broker }
    }
}

struct Pending {
    key: ApiKey,
    to: To,
    build: std::sync::Arc<Build>,
    options: CallOptions,
    deadline: Monotonic,
    attempts: u32,
    state: State,
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pending").field("key", &self.key).field("to", &self.to).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be sent, not before this moment.
    Waiting(Monotonic),
    Finding(RequestId),
    Sent(RequestId),
}

/// The admin machine.
#[derive(Debug)]
pub struct Admin {
    config: AdminConfig,
    network: Network,
    calls: BTreeMap<CallId, Pending>,
    /// Coordinators found: of groups (type 0) and transactional ids (type 1).
    coordinators: BTreeMap<(i8, Str), i32>,
    results: VecDeque<(CallId, Result<AnyResponse, ClientError>)>,
    next_call: u64,
}

impl Admin {
    /// An admin client; `seed` decides its choices of brokers.
    pub fn new(config: AdminConfig, seed: u64) -> Self {
        Self {
            network: Network::new(config.network.clone(), seed),
            config,
            calls: BTreeMap::new(),
            coordinators: BTreeMap::new(),
            results: VecDeque::new(),
            next_call: 0,
        }
    }

    /// Settings.
    pub const fn config(&self) -> &AdminConfig {
        &self.config
    }

    /// The cluster as last described; empty before the first answer.
    pub const fn cluster(&self) -> &Cluster {
        self.network.cluster()
    }

    /// Grows with each description of the cluster; 0 before the first.
    pub const fn cluster_version(&self) -> u64 {
        self.network.cluster_version()
    }

    /// Has the cluster described with these topics, or with all.
    pub fn describe_cluster(&mut self, interest: Interest) {
        self.network.set_interest(interest);
        self.network.want_update();
    }

    /// The versions of an API that a connected broker serves.
    pub fn served(&self, node: i32, key: ApiKey) -> Option<kafka_proto::wire::Versions> {
        self.network.served(node, key)
    }

    /// The coordinator of a group that a call went to.
    pub fn coordinator(&self, group: &Str) -> Option<&Node> {
        self.network.cluster().brokers.get(self.coordinators.get(&(0, group.clone()))?)
    }

    /// Sends a request that is the same in all versions.
    pub fn call(&mut self, to: To, request: impl Into<AnyRequest>, now: Now) -> CallId {
        let request = request.into();
        let options = CallOptions::named(call_name(request.key()));
        self.call_with(to, request, options, now)
    }

    /// The same, with options.
    pub fn call_with(&mut self, to: To, request: impl Into<AnyRequest>, options: CallOptions, now: Now) -> CallId {
        let request = request.into();
        self.call_built(to, request.key(), move |_| request.clone(), options, now)
    }

    /// Sends a request that depends on the version.
    pub fn call_built(
        &mut self,
        to: To,
        key: ApiKey,
        build: impl Fn(i16) -> AnyRequest + Send + Sync + 'static,
        options: CallOptions,
        now: Now,
    ) -> CallId {
        let id = CallId(self.next_call);
        self.next_call += 1;
        if let To::Leader(partition) = &to {
            self.network.add_interest(&partition.topic);
        }
        let pending = Pending {
            key,
            to,
            build: std::sync::Arc::new(Box::new(build)),
            deadline: now.monotonic.plus_ms(options.timeout_ms.unwrap_or(self.config.api_timeout_ms)),
            options,
            attempts: 0,
            state: State::Waiting(now.monotonic),
        };
        self.calls.insert(id, pending);
        id
    }

    /// The next answer. Errors inside of a response are the caller's to read; only those that say "ask another broker" are
    /// followed here.
    pub fn next_result(&mut self) -> Option<(CallId, Result<AnyResponse, ClientError>)> {
        self.results.pop_front()
    }

    /// Resolves where a call goes: a broker, or nothing yet.
    fn resolve(&self, to: &To) -> Option<Target> {
        let cluster = self.network.cluster();
        match to {
            To::Any => Some(Target::Any),
            To::Node(node) => Some(Target::Node(*node)),
            To::Controller => (cluster.controller >= 0 && self.network.cluster_version() > 0)
                .then_some(Target::Node(cluster.controller)),
            To::Coordinator(group) => self.coordinators.get(&(0, group.clone())).copied().map(Target::Node),
            To::TransactionCoordinator(id) => self.coordinators.get(&(1, id.clone())).copied().map(Target::Node),
            To::Leader(partition) => cluster.leader(partition).map(|(leader, _)| Target::Node(leader)),
        }
    }

    fn start(&mut self, id: CallId, now: Monotonic) {
        let Some(call) = self.calls.get(&id) else { return };
        // A little longer than the call, so that the call is given up first, in its own words.
        let timeout_ms = u64::try_from(call.deadline.since(now).as_millis() + 1).unwrap_or(u64::MAX);
        let state = match (self.resolve(&call.to), &call.to) {
            (Some(target), _) => {
                let (key, build) = (call.key, call.build.clone());
                let patience_ms = self.config.network.request_timeout_ms + ANSWER_GRACE_MS;
                let request = Call::built(key, timeout_ms, move |version| build(version)).patient(patience_ms);
                State::Sent(self.network.send(target, request, now))
            }
            (None, To::Coordinator(key)) => self.find(0, key.clone(), timeout_ms, now),
            (None, To::TransactionCoordinator(key)) => self.find(1, key.clone(), timeout_ms, now),
            (None, _) => {
                self.network.want_update();
                State::Waiting(now.plus_ms(self.config.network.retry_backoff_ms))
            }
        };
        if let Some(call) = self.calls.get_mut(&id) {
            call.state = state;
        }
    }

    fn find(&mut self, key_type: i8, key: Str, timeout_ms: u64, now: Monotonic) -> State {
        let call = Call::new(find_coordinator::Request { key, key_type }, timeout_ms);
        State::Finding(self.network.send(Target::Any, call, now))
    }

    fn outcome(&mut self, request: RequestId, outcome: Outcome, now: Now) {
        let is = |state: &State| matches!(state, State::Finding(id) | State::Sent(id) if *id == request);
        let Some(id) = self.calls.iter().find(|(_, call)| is(&call.state)).map(|(id, _)| *id) else { return };
        let Some(call) = self.calls.get(&id) else { return };
        let (finding, try_again) = (matches!(call.state, State::Finding(_)), call.options.try_again);
        match outcome {
            Ok(Some(AnyResponse::FindCoordinator(found))) if finding => self.found(id, &found, now),
            Ok(Some(response)) => match try_again(&response) {
                Some(code) => self.retry(id, ClientError::Broker { code, message: None }, now),
                None => self.finish(id, Ok(response)),
            },
            Ok(None) => self.finish(id, Err(ClientError::Disconnected)),
            Err(error) if error.is_retriable() => self.retry(id, error, now),
            Err(error) => self.finish(id, Err(error)),
        }
    }

    fn found(&mut self, id: CallId, found: &find_coordinator::Response, now: Now) {
        if found.error_code.is_error() {
            let error = ClientError::Broker { code: found.error_code, message: found.error_message.clone() };
            return if error.is_retriable() { self.retry(id, error, now) } else { self.finish(id, Err(error)) };
        }
        let key = match self.calls.get(&id).map(|call| call.to.clone()) {
            Some(To::Coordinator(group)) => (0, group),
            Some(To::TransactionCoordinator(id)) => (1, id),
            _ => return,
        };
        self.coordinators.insert(key, found.node_id);
        self.start(id, now.monotonic);
    }

    fn retry(&mut self, id: CallId, error: ClientError, now: Now) {
        let (retries, backoff_ms) = (self.config.retries, self.config.network.retry_backoff_ms);
        self.network.want_update();
        let Some(call) = self.calls.get_mut(&id) else { return };
        if call.deadline <= now.monotonic || call.attempts >= retries {
            // The network knows of the request only, not what it is made for.
            let error = if matches!(error, ClientError::Timeout(_)) { call.unanswered() } else { error };
            return self.time_out(id, error, now);
        }
        match &call.to {
            To::Coordinator(group) => drop(self.coordinators.remove(&(0, group.clone()))),
            To::TransactionCoordinator(id) => drop(self.coordinators.remove(&(1, id.clone()))),
            _ => {}
        }
        call.attempts += 1;
        call.state = State::Waiting(now.monotonic.plus_ms(backoff_ms));
    }

    /// Gives up, in the words of the Java client.
    fn time_out(&mut self, id: CallId, cause: ClientError, now: Now) {
        let backoff_ms = i64::try_from(self.config.network.retry_backoff_ms).unwrap_or(i64::MAX);
        let Some(call) = self.calls.get(&id) else { return };
        let (name, tries) = (call.name(), call.attempts + 1);
        let left_ms = i64::try_from(call.deadline.since(now.monotonic).as_millis()).unwrap_or(0);
        let late_ms = i64::try_from(now.monotonic.since(call.deadline).as_millis()).unwrap_or(0);
        let (now_ms, deadline_ms) = (now.wall_ms, now.wall_ms + left_ms - late_ms);
        let message = format!(
            "Call(callName={name}, deadlineMs={deadline_ms}, tries={tries}, nextAllowedTryMs={}) timed out at {now_ms} \
             after {tries} attempt(s)",
            now_ms.saturating_add(backoff_ms)
        );
        self.finish(id, Err(ClientError::TimedOut { message, cause: Box::new(cause) }));
    }

    fn finish(&mut self, id: CallId, result: Result<AnyResponse, ClientError>) {
        if self.calls.remove(&id).is_some() {
            self.results.push_back((id, result));
        }
    }

    fn expire(&mut self, now: Now) {
        let late = self.calls.iter().filter(|(_, call)| call.deadline <= now.monotonic);
        let late: Vec<(CallId, ClientError)> = late.map(|(id, call)| (*id, call.unanswered())).collect();
        for (id, cause) in late {
            self.time_out(id, cause, now);
        }
    }
}

impl Pending {
    fn name(&self) -> &str {
        if matches!(self.state, State::Finding(_)) { "findCoordinator" } else { &self.options.name }
    }

    /// Why there is no answer at the deadline.
    fn unanswered(&self) -> ClientError {
        ClientError::Timeout(format!("Timed out waiting for a node assignment. Call: {}", self.name()))
    }
}

/// Whether a response says that its broker was the wrong one, so that the call is to be made again elsewhere.
fn wrong_broker(response: &AnyResponse) -> Option<ErrorCode> {
    let codes: BTreeSet<ErrorCode> = match response {
        AnyResponse::CreateTopics(response) => response.topics.iter().map(|topic| topic.error_code).collect(),
        AnyResponse::DeleteTopics(response) => response.responses.iter().map(|topic| topic.error_code).collect(),
        AnyResponse::CreatePartitions(response) => response.results.iter().map(|topic| topic.error_code).collect(),
        AnyResponse::ElectLeaders(response) => [response.error_code].into(),
        AnyResponse::AlterPartitionReassignments(response) => [response.error_code].into(),
        AnyResponse::ListPartitionReassignments(response) => [response.error_code].into(),
        AnyResponse::UpdateFeatures(response) => [response.error_code].into(),
        AnyResponse::DescribeGroups(response) => response.groups.iter().map(|group| group.error_code).collect(),
        AnyResponse::DeleteGroups(response) => response.results.iter().map(|group| group.error_code).collect(),
        AnyResponse::OffsetFetch(response) => [response.error_code].into(),
        AnyResponse::OffsetDelete(response) => [response.error_code].into(),
        AnyResponse::ListGroups(response) => [response.error_code].into(),
        AnyResponse::LeaveGroup(response) => [response.error_code].into(),
        AnyResponse::OffsetCommit(response) => response
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code))
            .collect(),
        _ => BTreeSet::new(),
    };
    let wrong = [
        ErrorCode::NOT_CONTROLLER,
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ];
    wrong.into_iter().find(|code| codes.contains(code))
}

impl Machine for Admin {
    fn handle(&mut self, input: Input, now: Now) {
        self.network.handle(input, now.monotonic);
    }

    fn advance(&mut self, now: Now) {
        self.network.advance(now.monotonic);
        loop {
            while let Some((request, outcome)) = self.network.next_completion() {
                self.outcome(request, outcome, now);
            }
            self.expire(now);
            let waiting = |call: &Pending| matches!(call.state, State::Waiting(until) if until <= now.monotonic);
            let due: Vec<CallId> = self.calls.iter().filter(|(_, call)| waiting(call)).map(|(id, _)| *id).collect();
            for id in due {
                self.start(id, now.monotonic);
            }
            self.network.advance(now.monotonic);
            if !self.network.has_completion() {
                break;
            }
        }
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        self.network.take_effects()
    }

    fn deadline(&self) -> Option<Monotonic> {
        let calls = self.calls.values().map(|call| match call.state {
            State::Waiting(until) => until.min(call.deadline),
            _ => call.deadline,
        });
        calls.chain(self.network.deadline()).min()
    }
}
