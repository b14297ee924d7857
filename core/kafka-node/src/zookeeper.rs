//! The broker's session with ZooKeeper (upstream: `ZooKeeperClient`, `KafkaZkClient`).
//!
//! Batches of operations go out pipelined and in order; each batch has a continuation that takes its outcomes. An operation
//! whose connection broke is sent again when there is one, as the original does, until the session is over. A session that
//! expired is replaced by a new one, under which the broker registers again. The controller is told of the end first: before what the
//! session has not answered fails, and before anything can be asked in another.
//!
//! The host moves the bytes: it calls the `zookeeper_*` doors of [`Broker`], and after each of them, and whenever
//! [`crate::Host::zookeeper_ready`] is called, carries out [`Broker::take_zookeeper_effects`].

use std::collections::VecDeque;
use std::sync::Arc;

use base::{Monotonic, Now, Str, once};
use bytes::Bytes;
use kafka_control::{CreateMode, Event as ControllerEvent, Failure, Operation, Outcome, Reply, ZnodeStat, znode};
use parking_lot::Mutex;
use zk_client::{
    Client, ClientConfig, ConnectString, ConnectStringError, Credentials, Effect, Event, Host, RequestId, SessionKey,
    State, ops,
};
use zk_proto::multi::{Op, OpResult};
use zk_proto::requests::Request;
use zk_proto::responses::Response;
use zk_proto::{Acl, ErrorCode, Stat};

use crate::broker::Broker;

/// `jute.maxbuffer` of Kafka's client: the longest reply that is taken.
const REPLY_BYTES_MAX: usize = 4 << 20;

/// The original's classes that write these lines.
const KAFKA_CLIENT: &str = "kafka.zookeeper.ZooKeeperClient";
const CLIENT: &str = "org.apache.zookeeper.ClientCnxn";

/// What follows a batch: the broker, one outcome for each operation, and the time.
type Then = Box<dyn FnOnce(&Arc<Broker>, Vec<Outcome>, Now) + Send>;

/// What the host does for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZooKeeperEffect {
    /// Resolve the name anew and dial it; then say connected or disconnected.
    Connect(Host),
    /// Send behind all earlier bytes.
    Send(Bytes),
    /// Close the socket, or stop dialling.
    Disconnect,
}

/// The session, if one was begun.
#[derive(Default)]
pub(crate) struct ZooKeeper(Mutex<Option<Link>>);

struct Link {
    client: Client,
    config: ClientConfig,
    /// Laid before every path; the client itself knows none, so that the broker can make it.
    chroot: String,
    /// Whether `client` only closes the session of an earlier life.
    closes_earlier: bool,
    /// Whether this session was connected: a reconnection of it is no news.
    established: bool,
    /// Sent operations in their order.
    in_flight: VecDeque<(RequestId, Sent)>,
    effects: Vec<ZooKeeperEffect>,
    /// The server of the connection, as it is named in log lines.
    server: String,
    /// The session's id, once it was granted.
    session: i64,
    stage: Stage,
}

/// How far a session's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is not asked for.
    Open,
    /// It is asked for, and ZooKeeper has not confirmed it.
    Closing,
    /// It is confirmed, or given up; what depends on it is under way.
    Closed,
    Ended,
}

/// Why a connection is lost, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkLoss {
    /// The server closed it.
    Ended,
    /// As the original names it, with the exception's class.
    Failed(String),
}

/// One operation under way.
struct Sent {
    batch: Arc<Mutex<Batch>>,
    index: usize,
    operation: Operation,
}

/// The outcomes of a batch as they come.
struct Batch {
    outcomes: Vec<Outcome>,
    missing: usize,
    then: Option<Then>,
}

/// What the machine's events come to, done after the lock is released.
enum News {
    Established(i64),
    Expired,
    Closed,
    Watch(String),
    Batch(Then, Vec<Outcome>),
}

impl Broker {
    /// Sends a batch; `then` is called when all its outcomes are there, at once if it is empty.
    pub(crate) fn ask_zookeeper(
        self: &Arc<Self>,
        operations: Vec<Operation>,
        then: impl FnOnce(&Arc<Self>, Vec<Outcome>, Now) + Send + 'static,
    ) {
        let now = self.host.now();
        if operations.is_empty() {
            return then(self, Vec::new(), now);
        }
        let count = operations.len();
        if operations.iter().any(Operation::is_too_large) {
            // Told by another turn, as all answers are: the caller may hold what `then` takes.
            let broker = self.clone();
            self.host.submit(once(move |_| {
                then(&broker, vec![Err(Failure::TooLarge); count], broker.host.now());
            }));
            return;
        }
        let mut link = self.zookeeper.0.lock();
        let Some(link) = link.as_mut() else { return };
        let outcomes = vec![Err(Failure::ConnectionLoss); count];
        let batch = Arc::new(Mutex::new(Batch { outcomes, missing: count, then: Some(Box::new(then)) }));
        for (index, operation) in operations.into_iter().enumerate() {
            link.send(Sent { batch: batch.clone(), index, operation }, now.monotonic);
        }
        // The bytes stay with the client until the host asks for effects, so that batches of one turn leave together.
        self.host.zookeeper_ready();
    }

    /// As [`Broker::ask_zookeeper`], for what can be asked twice: when the session expires over it, the whole batch is asked in the next
    /// one. `then` is not called where the broker stops meanwhile.
    pub(crate) fn ask_in_any_session(
        self: &Arc<Self>,
        operations: Vec<Operation>,
        then: impl FnOnce(&Arc<Self>, Vec<Outcome>, Now) + Send + 'static,
    ) {
        self.ask_zookeeper(operations.clone(), move |broker, outcomes, now| {
            let has_failed_by = |failure| outcomes.iter().any(|outcome| *outcome == Err(failure));
            if has_failed_by(Failure::ConnectionLoss) {
                return;
            }
            if has_failed_by(Failure::SessionExpired) {
                return broker.ask_in_any_session(operations, then);
            }
            then(broker, outcomes, now);
        });
    }

    /// Begins the session: the host is asked to connect.
    /// A session of an earlier life is closed first, which removes what it registered.
    pub(crate) fn zookeeper_start(
        self: &Arc<Self>,
        earlier: Option<SessionKey>,
        now: Now,
    ) -> Result<(), ConnectStringError> {
        let settings = self.settings();
        let mut connect: ConnectString = settings.zookeeper.connect.parse()?;
        let chroot = std::mem::replace(&mut connect.chroot, Str::EMPTY).to_string();
        let timeout_ms = u32::try_from(settings.zookeeper.session_timeout_ms).unwrap_or(0);
        let mut config = ClientConfig { frame_length_max: REPLY_BYTES_MAX, ..ClientConfig::new(connect, timeout_ms) };
        config.login = self
            .config()
            .zookeeper_login()
            .map(|(user, password)| Credentials { user: user.clone(), password: password.0.clone() });
        let closes_earlier = earlier.is_some();
        let first = ClientConfig { resume: earlier, ..config.clone() };
        let client = self.new_client(&first, now.monotonic);
        *self.zookeeper.0.lock() = Some(Link {
            client,
            closes_earlier,
            config,
            chroot: chroot.trim_end_matches('/').to_owned(),
            established: false,
            in_flight: VecDeque::new(),
            effects: Vec::new(),
            server: String::new(),
            session: 0,
            stage: Stage::Open,
        });
        let connect = &settings.zookeeper.connect;
        tracing::info!(target: KAFKA_CLIENT, "[ZooKeeperClient Kafka server] Initializing a new session to {connect}.");
        self.host.zookeeper_ready();
        Ok(())
    }

    /// The socket is connected, to a server that log lines shall name so.
    pub fn zookeeper_connected(self: &Arc<Self>, server: &str, now: Now) {
        if let Some(link) = self.zookeeper.0.lock().as_mut() {
            server.clone_into(&mut link.server);
        }
        self.with_link(now, |client| client.connected(now.monotonic));
    }

    /// The socket to `server` is closed, or could not be connected.
    pub fn zookeeper_disconnected(self: &Arc<Self>, server: &str, loss: &LinkLoss, now: Now) {
        if let Some(link) = self.zookeeper.0.lock().as_ref()
            && link.stage == Stage::Open
        {
            link.tell_loss(server, loss);
        }
        self.with_link(now, |client| client.disconnected(now.monotonic));
    }

    /// Bytes came.
    pub fn zookeeper_received(self: &Arc<Self>, bytes: &[u8], now: Now) {
        self.with_link(now, |client| client.receive(bytes, now.monotonic));
    }

    /// [`Broker::zookeeper_deadline`] is reached.
    pub fn zookeeper_tick(self: &Arc<Self>, now: Now) {
        self.with_link(now, |client| client.tick(now.monotonic));
    }

    /// Ends the session: its ephemeral znodes go at once.
    pub(crate) fn zookeeper_close(self: &Arc<Self>, now: Now) {
        if let Some(link) = self.zookeeper.0.lock().as_mut() {
            link.stage = Stage::Closing;
        }
        self.with_link(now, |client| client.close(now.monotonic));
        self.host.zookeeper_ready();
    }

    /// What the current session is known by.
    pub(crate) fn session_key(&self) -> Option<SessionKey> {
        self.zookeeper.0.lock().as_ref()?.client.session().cloned()
    }

    /// What depends on the session's end is done.
    pub(crate) fn zookeeper_ended(&self) {
        if let Some(link) = self.zookeeper.0.lock().as_mut() {
            link.stage = Stage::Ended;
        }
        self.host.zookeeper_ready();
    }

    /// Whether the session is closed with all that depends on it, or none was begun.
    pub fn zookeeper_is_over(&self) -> bool {
        self.zookeeper.0.lock().as_ref().is_none_or(|link| link.stage == Stage::Ended)
    }

    /// When [`Broker::zookeeper_tick`] is wanted.
    pub fn zookeeper_deadline(&self) -> Option<Monotonic> {
        self.zookeeper.0.lock().as_ref()?.client.deadline()
    }

    /// What is to be done for the session, in order.
    pub fn take_zookeeper_effects(self: &Arc<Self>) -> Vec<ZooKeeperEffect> {
        let now = self.host.now();
        self.with_link(now, |_| {});
        let mut link = self.zookeeper.0.lock();
        link.as_mut().map(|link| std::mem::take(&mut link.effects)).unwrap_or_default()
    }

    fn new_client(&self, config: &ClientConfig, now: Monotonic) -> Client {
        let random = self.with_random(|random| base::Random::from_seed(random.next_u64()));
        Client::new(config.clone(), random, now)
    }

    /// Tells the machine something, and does what its events ask for when the lock is released.
    fn with_link(self: &Arc<Self>, now: Now, act: impl FnOnce(&mut Client)) {
        let mut news = Vec::new();
        if let Some(link) = self.zookeeper.0.lock().as_mut() {
            act(&mut link.client);
            link.take_effects(now, &mut news);
            if link.stage == Stage::Closing && link.client.is_over() {
                link.stage = Stage::Closed;
                news.push(News::Closed);
            }
            if link.stage == Stage::Open && link.closes_earlier && link.client.is_over() {
                link.closes_earlier = false;
                link.client = self.new_client(&link.config, now.monotonic);
                self.host.zookeeper_ready();
            }
        }
        self.take_news(news, now);
    }

    fn take_news(self: &Arc<Self>, news: Vec<News>, now: Now) {
        for one in news {
            match one {
                News::Established(session) => self.session_established(session, now),
                News::Expired => self.session_expired(now),
                News::Closed => self.session_closed(),
                News::Watch(path) => self.watch_fired(path, now),
                News::Batch(then, outcomes) => then(self, outcomes, now),
            }
        }
    }

    fn session_expired(self: &Arc<Self>, now: Now) {
        tracing::info!(target: KAFKA_CLIENT, "[ZooKeeperClient Kafka server] Session expired.");
        self.controller_event(ControllerEvent::SessionExpired, now);
        let mut failed = Vec::new();
        if let Some(link) = self.zookeeper.0.lock().as_mut()
            && link.stage == Stage::Open
        {
            let connect = &self.settings().zookeeper.connect;
            tracing::info!(target: KAFKA_CLIENT, "[ZooKeeperClient Kafka server] Initializing a new session to {connect}.");
            // What was asked since the end; the new session counts its requests anew.
            link.fail_all(&mut failed);
            link.client = self.new_client(&link.config, now.monotonic);
            link.established = false;
        }
        self.host.zookeeper_ready();
        self.take_news(failed, now);
    }
}

impl Link {
    fn send(&mut self, sent: Sent, now: Monotonic) {
        let request = request(&self.chroot, &sent.operation);
        let id = self.client.submit(request, now);
        self.in_flight.push_back((id, sent));
    }

    /// Makes the chroot, ahead of all that is asked below it. Nobody waits for the answers: if it is there, so much the better.
    fn make_chroot(&mut self, now: Monotonic) {
        for path in znode::ancestry(&self.chroot).filter(|path| !path.is_empty()) {
            self.client.submit(ops::create(path, None, acl(), zk_proto::CreateMode::Persistent), now);
        }
    }

    /// Whatever the session has not answered fails with it.
    fn fail_all(&mut self, news: &mut Vec<News>) {
        for (_, sent) in std::mem::take(&mut self.in_flight) {
            finish(&sent, Err(Failure::SessionExpired), news);
        }
    }

    /// A lost connection, in the original's words.
    fn tell_loss(&self, server: &str, loss: &LinkLoss) {
        let id = self.client.session().map_or(0, |session| session.id);
        let exception = match loss {
            LinkLoss::Ended => format!(
                "EndOfStreamException: Unable to read additional data from server sessionid 0x{id:x}, likely server has closed socket"
            ),
            LinkLoss::Failed(exception) => exception.clone(),
        };
        tracing::warn!(
            target: CLIENT,
            exception = %exception,
            "Session 0x{id:x} for sever {server}, Closing socket connection. Attempting reconnect except it is a SessionExpiredException."
        );
    }

    /// The client ended a connection by itself: the server was silent for too long.
    fn tell_silence(&self, now: Now) {
        let id = self.client.session().map_or(0, |session| session.id);
        let silent_ms = now.monotonic.since(self.client.last_heard()).as_millis();
        let what =
            format!("Client session timed out, have not heard from server in {silent_ms}ms for session id 0x{id:x}");
        tracing::warn!(target: CLIENT, "{what}");
        let exception = format!("org.apache.zookeeper.ClientCnxn$SessionTimeoutException: {what}");
        self.tell_loss(&self.server, &LinkLoss::Failed(exception));
    }

    /// The session was granted, or taken up again.
    fn tell_connected(&mut self) {
        let id = self.client.session().map_or(0, |session| session.id);
        self.session = id;
        tracing::info!(
            target: CLIENT,
            "Session establishment complete on server {}, session id = 0x{id:x}, negotiated timeout = {}",
            self.server,
            self.client.timeout_ms()
        );
        if !self.established {
            tracing::info!(target: KAFKA_CLIENT, "[ZooKeeperClient Kafka server] Connected.");
        }
    }

    /// Takes effects until there are none: what an effect leads to may have effects of its own.
    fn take_effects(&mut self, now: Now, news: &mut Vec<News>) {
        loop {
            let effects = self.client.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.take(effect, now, news);
            }
        }
    }

    fn take(&mut self, effect: Effect, now: Now, news: &mut Vec<News>) {
        match effect {
            Effect::Event(Event::State(State::Connected | State::ConnectedReadOnly)) if self.closes_earlier => {
                self.client.close(now.monotonic);
            }
            Effect::Event(_) if self.closes_earlier => {}
            Effect::Connect(host) => self.effects.push(ZooKeeperEffect::Connect(host)),
            Effect::Send(bytes) => self.effects.push(ZooKeeperEffect::Send(bytes)),
            Effect::Disconnect => {
                if self.stage == Stage::Open && !self.client.is_over() {
                    self.tell_silence(now);
                }
                self.effects.push(ZooKeeperEffect::Disconnect);
            }
            Effect::Event(Event::Reply(id, result)) => self.replied(id, result, now, news),
            Effect::Event(Event::Watch(_, path)) => {
                if let Some(path) = path.strip_prefix(self.chroot.as_str()) {
                    news.push(News::Watch(path.to_owned()));
                }
            }
            Effect::Event(Event::State(State::Connected | State::ConnectedReadOnly)) => {
                self.tell_connected();
                if std::mem::replace(&mut self.established, true) {
                    return;
                }
                self.make_chroot(now.monotonic);
                if let Some(session) = self.client.session() {
                    news.push(News::Established(session.id));
                }
            }
            Effect::Event(Event::State(State::Expired)) if self.stage == Stage::Open => {
                let id = self.session;
                tracing::warn!(
                    target: CLIENT,
                    "Unable to reconnect to ZooKeeper service, session 0x{id:x} has expired"
                );
                news.push(News::Expired);
            }
            // A lost connection was told when it was noticed; the other ends are those that were asked for.
            Effect::Event(Event::State(
                State::Disconnected | State::SaslAuthenticated | State::Expired | State::AuthFailed | State::Closed,
            )) => {}
        }
    }

    fn replied(
        &mut self,
        id: RequestId,
        result: Result<zk_client::Reply, zk_client::Failure>,
        now: Now,
        news: &mut Vec<News>,
    ) {
        let Some(index) = self.in_flight.iter().position(|(sent, _)| *sent == id) else { return };
        let Some((_, sent)) = self.in_flight.remove(index) else { return };
        let mut outcome = outcome(&self.chroot, &sent.operation, result);
        if outcome == Err(Failure::ConnectionLoss) && !self.client.is_over() {
            return self.send(sent, now.monotonic);
        }
        // There is no next session in which it could be asked again.
        if outcome == Err(Failure::SessionExpired) && self.stage != Stage::Open {
            outcome = Err(Failure::ConnectionLoss);
        }
        finish(&sent, outcome, news);
    }
}

/// Puts an outcome into its batch; the last one makes the batch news.
fn finish(sent: &Sent, outcome: Outcome, news: &mut Vec<News>) {
    let mut batch = sent.batch.lock();
    if let Some(place) = batch.outcomes.get_mut(sent.index) {
        *place = outcome;
    }
    batch.missing -= 1;
    if batch.missing == 0
        && let Some(then) = batch.then.take()
    {
        news.push(News::Batch(then, std::mem::take(&mut batch.outcomes)));
    }
}

fn request(chroot: &str, operation: &Operation) -> Request {
    let full = |path: &str| full_path(chroot, path);
    match operation {
        Operation::Create { path, data, mode } => ops::create(full(path), data.clone(), acl(), create_mode(*mode)),
        Operation::Delete { path, version } => ops::delete(full(path), *version),
        Operation::SetData { path, data, version } => ops::set_data(full(path), data.clone(), *version),
        Operation::Check { path, version } => ops::multi(vec![ops::op_check(full(path), *version)]),
        Operation::GetData { path, watch } => ops::get_data(full(path), *watch),
        Operation::Exists { path, watch } => ops::exists(full(path), *watch),
        Operation::GetChildren { path, watch } => ops::get_children2(full(path), *watch),
        Operation::Multi(parts) => ops::multi(parts.iter().filter_map(|part| op(chroot, part)).collect()),
    }
}

/// A part of a multi; only writes and checks are, and the controller makes no other.
fn op(chroot: &str, operation: &Operation) -> Option<Op> {
    let full = |path: &str| full_path(chroot, path);
    match operation {
        Operation::Create { path, data, mode } => {
            Some(ops::op_create(full(path), data.clone(), acl(), create_mode(*mode)))
        }
        Operation::Delete { path, version } => Some(ops::op_delete(full(path), *version)),
        Operation::SetData { path, data, version } => Some(ops::op_set_data(full(path), data.clone(), *version)),
        Operation::Check { path, version } => Some(ops::op_check(full(path), *version)),
        _ => None,
    }
}

fn full_path(chroot: &str, path: &str) -> Str {
    Str::from(format!("{chroot}{path}"))
}

fn acl() -> Vec<Acl> {
    vec![Acl::OPEN]
}

const fn create_mode(mode: CreateMode) -> zk_proto::CreateMode {
    match mode {
        CreateMode::Persistent => zk_proto::CreateMode::Persistent,
        CreateMode::Ephemeral => zk_proto::CreateMode::Ephemeral,
        CreateMode::PersistentSequential => zk_proto::CreateMode::PersistentSequential,
    }
}

fn outcome(chroot: &str, operation: &Operation, result: Result<zk_client::Reply, zk_client::Failure>) -> Outcome {
    let response = match result {
        Ok(reply) => reply.response,
        Err(zk_client::Failure::Code(code)) => return Err(failure(code as i32)),
        Err(zk_client::Failure::Unknown(code)) => return Err(Failure::Other(code)),
    };
    match response {
        Response::Path(created) => Ok(Reply::Created(without_chroot(chroot, &created.path))),
        Response::Create2(created) => Ok(Reply::Created(without_chroot(chroot, &created.path))),
        Response::Stat(body) => Ok(Reply::Stat(stat(&body.stat))),
        Response::GetData(body) => {
            Ok(Reply::Data(body.data.map(|data| Bytes::copy_from_slice(&data)), stat(&body.stat)))
        }
        Response::GetChildren(body) => Ok(children(&body.children)),
        Response::GetChildren2(body) => Ok(children(&body.children)),
        Response::Multi(body) => multi_outcome(chroot, operation, body.results),
        _ => Ok(Reply::Done),
    }
}

fn multi_outcome(chroot: &str, operation: &Operation, results: Vec<OpResult>) -> Outcome {
    let codes = results.iter().enumerate().filter_map(|(index, result)| match result {
        OpResult::Error(error) => Some((index, error.err)),
        _ => None,
    });
    // Parts before the one that failed have 0, those behind it RuntimeInconsistency.
    let culprit = codes.clone().find(|(_, code)| *code != 0 && *code != ErrorCode::RuntimeInconsistency as i32);
    if let Some((index, code)) = culprit.or_else(|| codes.clone().find(|(_, code)| *code != 0)) {
        let is_check = match operation {
            Operation::Multi(parts) => matches!(parts.get(index), Some(Operation::Check { .. })),
            _ => true,
        };
        return Err(if is_check { Failure::Fenced } else { failure(code) });
    }
    let replies = results.into_iter().map(|result| match result {
        OpResult::Create(created) => Reply::Created(without_chroot(chroot, &created.path)),
        OpResult::Create2(created) => Reply::Created(without_chroot(chroot, &created.path)),
        OpResult::SetData(body) => Reply::Stat(stat(&body.stat)),
        _ => Reply::Done,
    });
    Ok(Reply::Multi(replies.collect()))
}

fn without_chroot(chroot: &str, path: &str) -> String {
    path.strip_prefix(chroot).unwrap_or(path).to_owned()
}

fn children(names: &[Str]) -> Reply {
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.sort();
    Reply::Children(names)
}

const fn stat(stat: &Stat) -> ZnodeStat {
    ZnodeStat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime_ms: stat.ctime,
        version: stat.version,
        ephemeral_owner: stat.ephemeral_owner,
    }
}

const fn failure(code: i32) -> Failure {
    match code {
        -101 => Failure::NoNode,
        -110 => Failure::NodeExists,
        -103 => Failure::BadVersion,
        -111 => Failure::NotEmpty,
        -102 => Failure::NoAuth,
        -4 => Failure::ConnectionLoss,
        -112 => Failure::SessionExpired,
        other => Failure::Other(other),
    }
}
