//! All connections of a client: who is reached where, which requests wait, what the cluster looks like (upstream:
//! `NetworkClient`, `Metadata`). Inputs are told to it, effects are taken from it; it meets no socket and no clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, Parts, Random, Str};
use bytes::Bytes;
use kafka_proto::messages::metadata;
use kafka_proto::wire::Versions;
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, Request};

use crate::connection::{Connection, Received, key_of};
use crate::metadata::{Cluster, Node};
use crate::traffic::Traffic;
use crate::{ClientError, NetworkConfig};

/// Names a connection between the machine and its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Names a request inside a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a driver tells a machine. Beside that it calls when the machine's deadline has come.
#[derive(Clone, Debug)]
pub enum Input {
    /// The connection is made.
    Connected(ConnectionId),
    /// Bytes came.
    Received(ConnectionId, Bytes),
    /// The connection could not be made, or is gone.
    Closed(ConnectionId),
}

/// What a machine asks of its driver.
#[derive(Debug)]
pub enum Effect {
    /// Make a connection, and answer with [`Input::Connected`] or [`Input::Closed`].
    Connect {
        /// Its name from here on.
        connection: ConnectionId,
        /// Name or address.
        host: Str,
        /// TCP port.
        port: u16,
    },
    /// Send bytes, in the order of the effects.
    Send {
        /// Where to.
        connection: ConnectionId,
        /// What; bytes alone, no ranges of files.
        parts: Parts,
    },
    /// End the connection. No further input about it is wanted.
    Close(ConnectionId),
    /// Tell the user; what the Java client logs at WARN.
    Warn {
        /// The class that logs it there, as `org.apache.kafka.clients.NetworkClient`.
        logger: &'static str,
        /// The line.
        message: String,
    },
}

const LOGGER: &str = "org.apache.kafka.clients.NetworkClient";

/// Which broker a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whichever answers soonest.
    Any,
    /// The broker of this id.
    Node(i32),
}

/// Which topics the metadata is kept for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// These.
    Topics(BTreeSet<Str>),
    /// All of the cluster.
    All,
}

/// A request to send: built when the version is known.
pub struct Call {
    key: ApiKey,
    versions: Versions,
    build: Box<dyn FnOnce(i16) -> AnyRequest + Send>,
    answered: bool,
    timeout_ms: u64,
    patience_ms: Option<u64>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Call").field("key", &self.key).field("versions", &self.versions).finish_non_exhaustive()
    }
}

impl Call {
    /// A request that is the same in all versions.
    pub fn new<R>(request: R, timeout_ms: u64) -> Self
    where
        AnyRequest: From<R>,
        R: Request + Send + 'static,
    {
        let key = key_of(&request);
        Self::built(key, timeout_ms, move |_| request.into())
    }

    /// A request that depends on the version.
    pub fn built(key: ApiKey, timeout_ms: u64, build: impl FnOnce(i16) -> AnyRequest + Send + 'static) -> Self {
        Self { key, versions: key.versions(), build: Box::new(build), answered: true, timeout_ms, patience_ms: None }
    }

    /// The same in these versions only.
    #[must_use]
    pub const fn within(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// The same with this long to wait for the answer, as of a join; `request.timeout.ms` otherwise.
    #[must_use]
    pub const fn patient(mut self, answer_ms: u64) -> Self {
        self.patience_ms = Some(answer_ms);
        self
    }

    /// The same without an answer, as of a produce request with `acks` 0: complete when sent.
    #[must_use]
    pub const fn unanswered(mut self) -> Self {
        self.answered = false;
        self
    }
}

/// What became of a request; `None` for one without an answer.
pub type Outcome = Result<Option<AnyResponse>, ClientError>;

#[derive(Debug)]
struct Waiting {
    id: RequestId,
    target: Target,
    call: Call,
    deadline: Monotonic,
}

/// A broker and our way to it.
#[derive(Debug)]
struct Link {
    node: Node,
    connection: Option<ConnectionId>,
    failures: u32,
    /// No new connection before.
    retry_at: Monotonic,
    /// Whether it is a coordinator's own way beside the broker's.
    coordinator: bool,
}

impl Link {
    const fn new(node: Node) -> Self {
        Self { node, connection: None, failures: 0, retry_at: Monotonic::from_ms(0), coordinator: false }
    }
}

#[derive(Debug)]
struct Open {
    node: i32,
    /// Absent while the connection is being made.
    state: Option<Connection>,
    connect_deadline: Monotonic,
}

/// All connections of a client.
#[derive(Debug)]
pub struct Network {
    config: NetworkConfig,
    random: Random,
    links: BTreeMap<i32, Link>,
    connections: BTreeMap<ConnectionId, Open>,
    waiting: VecDeque<Waiting>,
    completions: VecDeque<(RequestId, Outcome)>,
    effects: Vec<Effect>,
    next_id: u64,
    cluster: Cluster,
    cluster_version: u64,
    interest: Interest,
    update_wanted: bool,
    update_request: Option<RequestId>,
    last_update: Option<Monotonic>,
    next_update_at: Monotonic,
    advanced_at: Monotonic,
    traffic: Traffic,
}

impl Network {
    /// A client's network; nothing happens before the first [`Network::advance`].
    pub fn new(config: NetworkConfig, seed: u64) -> Self {
        let bootstrap = config.bootstrap.iter().zip(1..).map(|((host, port), index)| {
            let node = Node { id: -index, host: host.clone(), port: i32::from(*port), rack: None };
            (-index, Link::new(node))
        });
        Self {
            links: bootstrap.collect(),
            random: Random::from_seed(seed),
            config,
            connections: BTreeMap::new(),
            waiting: VecDeque::new(),
            completions: VecDeque::new(),
            effects: Vec::new(),
            next_id: 1,
            cluster: Cluster::default(),
            cluster_version: 0,
            interest: Interest::Topics(BTreeSet::new()),
            update_wanted: true,
            update_request: None,
            last_update: None,
            next_update_at: Monotonic::default(),
            advanced_at: Monotonic::default(),
            traffic: Traffic::default(),
        }
    }

    /// What was counted.
    pub const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Settings.
    pub const fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The cluster as last described.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Grows with each description of the cluster; 0 before the first.
    pub const fn cluster_version(&self) -> u64 {
        self.cluster_version
    }

    /// Asks for a new description of the cluster soon.
    pub const fn want_update(&mut self) {
        self.update_wanted = true;
    }

    /// Says which topics matter; a change asks for a new description at once.
    pub fn set_interest(&mut self, interest: Interest) {
        if self.interest != interest {
            self.interest = interest;
            self.update_wanted = true;
            self.next_update_at = Monotonic::default();
        }
    }

    /// Which topics matter.
    pub const fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Adds one topic to those that matter.
    pub fn add_interest(&mut self, topic: &Str) {
        if let Interest::Topics(topics) = &self.interest
            && !topics.contains(topic)
        {
            let mut topics = topics.clone();
            topics.insert(topic.clone());
            self.set_interest(Interest::Topics(topics));
        }
    }

    /// Queues a request; its outcome comes with [`Network::next_completion`].
    pub fn send(&mut self, target: Target, call: Call, now: Monotonic) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let deadline = now.plus_ms(call.timeout_ms);
        self.waiting.push_back(Waiting { id, target, call, deadline });
        id
    }

    /// Forgets a request that has not been sent yet, and says whether it did.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.id != id);
        self.waiting.len() != before
    }

    /// The next outcome.
    pub fn next_completion(&mut self) -> Option<(RequestId, Outcome)> {
        self.completions.pop_front()
    }

    /// Whether an outcome is there.
    pub fn has_completion(&self) -> bool {
        !self.completions.is_empty()
    }

    /// What the driver has to do.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Tells the user something.
    pub fn warn(&mut self, logger: &'static str, message: &str) {
        let message = format!("{}{message}", self.config.log_prefix);
        self.effects.push(Effect::Warn { logger, message });
    }

    /// A way of its own to a coordinator, so that heartbeats and joins don't wait behind fetches; the id to send to.
    pub fn coordinator(&mut self, id: i32, host: &Str, port: i32) -> i32 {
        let key = i32::MAX - id;
        let node = Node { id: key, host: Str::copied(host), port, rack: None };
        let link = self.links.entry(key).or_insert_with(|| Link::new(node.clone()));
        link.coordinator = true;
        link.node = node;
        key
    }

    /// Whether the broker is connected and takes a further request now.
    pub fn is_ready(&self, node: i32) -> bool {
        self.open_of(node).is_some_and(|open| open.is_ready() && open.in_flight() < self.config.in_flight_max)
    }

    /// Makes a connection to the broker unless there is one or it failed a moment ago; whether one is there.
    pub fn prepare(&mut self, node: i32, now: Monotonic) -> bool {
        self.connect(node, now);
        self.open_of(node).is_some_and(Connection::is_ready)
    }

    /// The versions of an API that a connected broker serves.
    pub fn served(&self, node: i32, key: ApiKey) -> Option<Versions> {
        self.open_of(node)?.served(key)
    }

    /// Takes an input in.
    pub fn handle(&mut self, input: Input, now: Monotonic) {
        match input {
            Input::Connected(id) => self.connected(id, now),
            Input::Received(id, bytes) => self.received(id, &bytes, now),
            Input::Closed(id) => self.closed(id, now),
        }
    }

    /// Sends what can be sent, gives up what has waited too long. Call after inputs and when the deadline has come.
    pub fn advance(&mut self, now: Monotonic) {
        self.advanced_at = now;
        self.expire(now);
        self.update_metadata(now);
        let mut waiting = std::mem::take(&mut self.waiting);
        for request in waiting.drain(..) {
            self.dispatch(request, now);
        }
        std::mem::swap(&mut self.waiting, &mut waiting);
        self.waiting.append(&mut waiting);
    }

    /// When [`Network::advance`] has something to do, if nothing comes in.
    pub fn deadline(&self) -> Option<Monotonic> {
        let waiting = self.waiting.iter().map(|request| request.deadline);
        let open = self.connections.values().filter_map(|open| match &open.state {
            Some(connection) => connection.deadline(),
            None => Some(open.connect_deadline),
        });
        let retries = self.links.values().filter(|link| link.connection.is_none()).map(|link| link.retry_at);
        let retries = retries.filter(|retry_at| !self.waiting.is_empty() && *retry_at > self.advanced_at);
        let update = self.update_request.is_none().then(|| self.next_update());
        waiting.chain(open).chain(retries).chain(update).min()
    }

    fn next_update(&self) -> Monotonic {
        match self.last_update {
            Some(last) if !self.update_wanted => last.plus_ms(self.config.metadata_max_age_ms),
            _ => self.next_update_at,
        }
    }

    fn open_of(&self, node: i32) -> Option<&Connection> {
        let id = self.links.get(&node)?.connection?;
        self.connections.get(&id)?.state.as_ref()
    }

    fn update_metadata(&mut self, now: Monotonic) {
        if self.update_request.is_some() || now < self.next_update() {
            return;
        }
        let topics = match &self.interest {
            Interest::All => None,
            Interest::Topics(topics) => {
                Some(topics.iter().map(|name| metadata::RequestTopic { name: name.clone() }).collect::<Vec<_>>())
            }
        };
        let allow = self.config.allow_auto_create;
        let timeout_ms = self.config.request_timeout_ms;
        let call = Call::built(ApiKey::Metadata, timeout_ms, move |version| {
            let topics = if version == 0 { Some(topics.unwrap_or_default()) } else { topics };
            let allow_auto_topic_creation = allow || version < 4;
            metadata::Request { topics, allow_auto_topic_creation, ..Default::default() }.into()
        });
        self.update_wanted = false;
        self.next_update_at = now.plus_ms(self.config.retry_backoff_ms);
        self.update_request = Some(self.send(Target::Any, call, now));
    }

    fn metadata_outcome(&mut self, outcome: Outcome, now: Monotonic) {
        self.update_request = None;
        self.next_update_at = now.plus_ms(self.config.retry_backoff_ms);
        let Ok(Some(AnyResponse::Metadata(response))) = outcome else {
            self.update_wanted = true;
            return;
        };
        if response.brokers.is_empty() {
            self.update_wanted = true;
            return;
        }
        let failed: Vec<String> = response
            .topics
            .iter()
            .filter(|topic| topic.error_code.is_error())
            .map(|topic| format!("{}={}", topic.name, topic.error_code))
            .collect();
        if !failed.is_empty() {
            let text = failed.join(", ");
            self.warn(
                LOGGER,
                &format!("Error while fetching metadata with correlation id {} : {{{text}}}", self.next_id),
            );
        }
        let stale = response.topics.iter().any(|topic| {
            topic.error_code.invalidates_metadata()
                || topic
                    .partitions
                    .iter()
                    .any(|partition| partition.error_code == kafka_proto::ErrorCode::LEADER_NOT_AVAILABLE)
        });
        let before = std::mem::replace(&mut self.cluster, Cluster::new(response));
        self.cluster.keep_newer(before);
        self.cluster_version += 1;
        self.last_update = Some(now);
        self.update_wanted |= stale;
        self.adopt_brokers();
    }

    /// The described brokers take the place of the bootstrap addresses.
    fn adopt_brokers(&mut self) {
        for (id, node) in &self.cluster.brokers {
            let link = self.links.entry(*id).or_insert_with(|| Link::new(node.clone()));
            if (&link.node.host, link.node.port) != (&node.host, node.port) && link.connection.is_none() {
                link.failures = 0;
            }
            link.node = node.clone();
        }
        let known = &self.cluster.brokers;
        let gone = self.links.iter().filter(|(id, link)| **id >= 0 && !link.coordinator && !known.contains_key(id));
        let gone: Vec<i32> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(connection) = self.links.remove(&id).and_then(|link| link.connection) {
                self.drop_connection(connection);
            }
        }
    }

    /// Brokers that `Target::Any` may choose: the bootstrap addresses only until the brokers are known.
    fn candidates(&self) -> Vec<i32> {
        let known = !self.cluster.brokers.is_empty();
        let candidates = self.links.iter().filter(|(id, link)| !link.coordinator && (!known || **id >= 0));
        candidates.map(|(id, _)| *id).collect()
    }

    fn least_loaded(&mut self, now: Monotonic) -> Option<i32> {
        let candidates = self.candidates();
        let ready = candidates.iter().copied().filter(|node| self.is_ready(*node));
        let least = ready.min_by_key(|node| self.open_of(*node).map_or(usize::MAX, Connection::in_flight));
        if least.is_some() {
            return least;
        }
        let connecting =
            candidates.iter().any(|node| self.links.get(node).is_some_and(|link| link.connection.is_some()));
        if !connecting {
            let start = self.random.below(candidates.len() as u64) as usize;
            let mut order = candidates.iter().cycle().skip(start).take(candidates.len());
            let next = order.find(|node| self.links.get(node).is_some_and(|link| link.retry_at <= now)).copied();
            if let Some(node) = next {
                self.connect(node, now);
            }
        }
        None
    }

    fn connect(&mut self, node: i32, now: Monotonic) {
        let connection = ConnectionId(self.next_id);
        let Some(link) = self.links.get_mut(&node) else { return };
        if link.connection.is_some() || link.retry_at > now {
            return;
        }
        self.next_id += 1;
        link.connection = Some(connection);
        let (host, port) = (link.node.host.clone(), u16::try_from(link.node.port).unwrap_or_default());
        let connect_deadline = now.plus_ms(self.config.connect_timeout_ms);
        self.connections.insert(connection, Open { node, state: None, connect_deadline });
        self.effects.push(Effect::Connect { connection, host, port });
    }

    fn dispatch(&mut self, request: Waiting, now: Monotonic) {
        let node = match request.target {
            Target::Node(node) if self.links.contains_key(&node) => Some(node),
            Target::Node(_) if self.cluster_version > 0 => {
                self.completions.push_back((request.id, Err(ClientError::Disconnected)));
                return;
            }
            Target::Node(_) => None,
            Target::Any => self.least_loaded(now),
        };
        let ready = node.filter(|node| {
            self.connect(*node, now);
            self.is_ready(*node)
        });
        match ready {
            Some(node) => self.transmit(node, request, now),
            None => self.waiting.push_back(request),
        }
    }

    fn transmit(&mut self, node: i32, request: Waiting, now: Monotonic) {
        let Waiting { id, call, .. } = request;
        let Some(connection_id) = self.links.get(&node).and_then(|link| link.connection) else { return };
        let Some(connection) = self.connections.get_mut(&connection_id).and_then(|open| open.state.as_mut()) else {
            return;
        };
        let deadline = now.plus_ms(call.patience_ms.unwrap_or(self.config.request_timeout_ms));
        let sent = connection
            .version(call.key, call.versions)
            .and_then(|version| connection.send(id, &(call.build)(version), version, call.answered, deadline));
        match sent {
            Ok(parts) => {
                self.traffic.sent_bytes(node, len_of(&parts));
                if call.answered {
                    self.traffic.awaits(id, node, call.key, now);
                }
                self.effects.push(Effect::Send { connection: connection_id, parts });
                if !call.answered {
                    self.complete(id, Ok(None), now);
                }
            }
            Err(error) => self.complete(id, Err(error), now),
        }
    }

    fn complete(&mut self, id: RequestId, outcome: Outcome, now: Monotonic) {
        self.traffic.over(id, outcome.as_ref().ok().and_then(Option::as_ref), now);
        if self.update_request == Some(id) {
            self.metadata_outcome(outcome, now);
        } else {
            self.completions.push_back((id, outcome));
        }
    }

    fn connected(&mut self, id: ConnectionId, now: Monotonic) {
        let client_id = self.config.client_id.clone();
        let deadline = now.plus_ms(self.config.request_timeout_ms);
        let Some(open) = self.connections.get_mut(&id) else { return };
        match Connection::open(client_id, deadline) {
            Ok((connection, parts)) => {
                open.state = Some(connection);
                self.traffic.connected();
                self.traffic.sent_bytes(open.node, len_of(&parts));
                self.effects.push(Effect::Send { connection: id, parts });
            }
            Err(_) => self.fail_connection(id, now),
        }
    }

    fn received(&mut self, id: ConnectionId, bytes: &[u8], now: Monotonic) {
        let Some(open) = self.connections.get_mut(&id) else { return };
        let node = open.node;
        let Some(connection) = open.state.as_mut() else { return };
        let mut received = Vec::new();
        let result = connection.receive(bytes, &mut received);
        self.traffic.received(node, bytes.len(), received.len());
        for item in received {
            match item {
                Received::Ready => {
                    if let Some(link) = self.links.get_mut(&node) {
                        link.failures = 0;
                    }
                }
                Received::Reply(parts) => {
                    self.traffic.sent_bytes(node, len_of(&parts));
                    self.effects.push(Effect::Send { connection: id, parts });
                }
                Received::Answer(request, outcome) => self.complete(request, outcome.map(Some), now),
            }
        }
        if let Err(error) = result {
            self.warn(LOGGER, &format!("Error in the responses of node {node}: {error}"));
            self.fail_connection(id, now);
        }
    }

    fn closed(&mut self, id: ConnectionId, now: Monotonic) {
        let Some(open) = self.connections.get(&id) else { return };
        let Some(node) = self.links.get(&open.node).map(|link| link.node.clone()) else { return };
        if open.state.is_none() {
            self.warn(
                LOGGER,
                &format!(
                    "Connection to node {} ({}:{}) could not be established. Broker may not be available.",
                    node.id, node.host, node.port
                ),
            );
        }
        if node.id < 0 {
            let rack = "null";
            self.warn(
                LOGGER,
                &format!("Bootstrap broker {}:{} (id: {} rack: {rack}) disconnected", node.host, node.port, node.id),
            );
        }
        self.lose_connection(id, now);
    }

    /// Closes a connection from our side and backs off.
    fn fail_connection(&mut self, id: ConnectionId, now: Monotonic) {
        self.effects.push(Effect::Close(id));
        self.lose_connection(id, now);
    }

    fn lose_connection(&mut self, id: ConnectionId, now: Monotonic) {
        let Some(open) = self.connections.remove(&id) else { return };
        if open.state.is_some() {
            self.traffic.closed();
        }
        if let Some(link) = self.links.get_mut(&open.node) {
            link.connection = None;
            let exponent = link.failures.min(16);
            link.failures += 1;
            let backoff_ms = (self.config.reconnect_backoff_ms << exponent).min(self.config.reconnect_backoff_max_ms);
            // A fifth up or down, so that clients of a failed broker don't come back as one.
            let jitter = 80 + self.random.below(41);
            link.retry_at = now.plus_ms(backoff_ms * jitter / 100);
        }
        self.update_wanted = true;
        for request in open.state.into_iter().flat_map(Connection::close) {
            self.complete(request, Err(ClientError::Disconnected), now);
        }
    }

    /// Ends a connection that is of no more use, without any penalty.
    fn drop_connection(&mut self, id: ConnectionId) {
        self.effects.push(Effect::Close(id));
        let Some(connection) = self.connections.remove(&id).and_then(|open| open.state) else { return };
        self.traffic.closed();
        for request in connection.close() {
            self.traffic.over(request, None, self.advanced_at);
            self.completions.push_back((request, Err(ClientError::Disconnected)));
        }
    }

    fn expire(&mut self, now: Monotonic) {
        let late: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, open)| match &open.state {
                Some(connection) => connection.deadline().is_some_and(|deadline| deadline <= now),
                None => open.connect_deadline <= now,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.fail_connection(id, now);
        }
        let (late, waiting): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|request| request.deadline <= now);
        self.waiting = waiting;
        for request in late {
            let text = format!("Timed out waiting for a node assignment. Call: {}", call_name(request.call.key));
            self.complete(request.id, Err(ClientError::Timeout(text)), now);
        }
    }
}

fn len_of(parts: &Parts) -> usize {
    parts.iter().map(base::Part::len).sum()
}

/// The name that the Java admin client gives a call in its time-out.
pub(crate) fn call_name(key: ApiKey) -> String {
    let mut name = key.name().to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}
