//! A link to another broker, on which requests are asked and answered (upstream: `NetworkClient` as
//! `ControllerChannelManager`, `ReplicaFetcherBlockingSend` and `BrokerToControllerChannelManager` use it).
//!
//! Requests leave in the order in which they were asked, a given number of them in flight, without a handshake: brokers know each other's
//! versions by `inter.broker.protocol.version`. The link dials while there is something to ask. When a connection is lost or a request
//! times out, all that is in flight fails; when none can be made, all that waits fails too. Whoever asked decides whether to ask again;
//! the next attempt to connect keeps its distance by itself.
//!
//! The host moves the bytes: it runs a link that is given to [`crate::Host::run_peer`] on one of its event loops until
//! [`Peer::is_over`], and carries out [`Peer::take_effects`] after each of the other calls, and whenever the link's waker is used.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::Waker;

use base::{Monotonic, Now, Part, Reader, Str, once};
use bytes::{Buf, Bytes, BytesMut};
use kafka_control::znode::Endpoint;
use kafka_proto::frame::{self, ResponseHeader};
use kafka_proto::{AnyRequest, AnyResponse, ApiKey, Message};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::control::SEND_THREAD;
use crate::host::Host;

/// Upstream's class of the lines about connections.
const NETWORK_CLIENT: &str = "org.apache.kafka.clients.NetworkClient";

/// Bytes of the length in front of a frame.
const PREFIX_LENGTH: usize = 4;

/// The first pause before another attempt to connect; it doubles with each that fails.
const BACKOFF_MS_MIN: u64 = 5;
/// The longest pause.
const BACKOFF_MS_MAX: u64 = 100;

/// Where a link leads, and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct PeerSettings {
    /// The broker at the other end.
    pub(crate) broker: i32,
    /// Where it listens for brokers.
    pub(crate) host: String,
    pub(crate) port: i32,
    /// How this broker calls itself in its requests.
    pub(crate) client_id: Str,
    /// In front of log lines, as `[Controller id=0, targetBrokerId=1] `.
    pub(crate) log_prefix: String,
    /// What a link of the controller says when it is connected; the others say nothing.
    pub(crate) greeting: Option<String>,
    /// Requests that may be without an answer at a time.
    pub(crate) in_flight_max: usize,
    /// The longest response that is taken.
    pub(crate) response_bytes_max: usize,
    /// How long an attempt to connect may take; it doubles with each that failed, up to the second.
    pub(crate) setup_timeout_ms: u64,
    pub(crate) setup_timeout_ms_max: u64,
    /// `SO_RCVBUF`; `None`: as the system likes.
    pub(crate) receive_buffer_bytes: Option<u32>,
}

impl PeerSettings {
    /// One request at a time from `own` to the broker `peer`, which listens at `endpoint`; responses of any length.
    pub(crate) fn new(own: &Broker, peer: i32, endpoint: &Endpoint) -> Self {
        let settings = own.settings();
        Self {
            broker: peer,
            host: endpoint.host.clone(),
            port: endpoint.port,
            client_id: Str::from(own.id().to_string()),
            log_prefix: String::new(),
            greeting: None,
            in_flight_max: 1,
            response_bytes_max: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            setup_timeout_ms: u64::try_from(settings.replication.connection_setup_timeout_ms).unwrap_or(0),
            setup_timeout_ms_max: u64::try_from(settings.replication.connection_setup_timeout_ms_max).unwrap_or(0),
            receive_buffer_bytes: None,
        }
    }
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerError {
    /// The link was closed on this side.
    #[error("the link is closed")]
    Closed,
    /// No connection could be made.
    #[error("Connection to {0} failed.")]
    Unreachable(String),
    /// The connection was lost before the answer came.
    #[error("Connection to {0} was disconnected before the response was read")]
    Disconnected(String),
    /// No answer came in time.
    #[error("no answer within {0} ms")]
    TimedOut(u64),
    /// The other side sent what is no answer.
    #[error("{0}")]
    Invalid(String),
    /// The request can't be said in its version.
    #[error("{0}")]
    Unencodable(String),
}

/// What the host does for a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEffect {
    /// Resolve the name anew and dial it; then say connected or disconnected.
    Connect {
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Send behind all earlier bytes.
    Send(Bytes),
    /// Close the socket, or stop dialling. Nothing is said of it.
    Disconnect,
}

/// A link to another broker. Shared by those who ask and the event loop that runs it.
pub struct Peer {
    settings: PeerSettings,
    host: Arc<dyn Host>,
    /// Brokers own their links; those must not own them.
    broker: Weak<Broker>,
    inner: Mutex<Inner>,
}

/// Takes an answer, on the link's event loop and with no lock held.
type Then = Box<dyn FnOnce(&Arc<Broker>, Result<AnyResponse, PeerError>, Now) + Send>;

/// An answer, and who takes it.
type Ending = (Then, Result<AnyResponse, PeerError>);

struct Inner {
    socket: Socket,
    /// Asked and not sent.
    waiting: VecDeque<Asked>,
    /// Sent and not answered.
    in_flight: VecDeque<Sent>,
    effects: Vec<PeerEffect>,
    /// To be told at the end of the turn.
    endings: Vec<Ending>,
    waker: Waker,
    correlation_id: i32,
    /// The pause before the next attempt to connect, if this one fails.
    backoff_ms: u64,
    /// Attempts to connect that failed, one behind the other.
    failures: u32,
    /// No attempt is made before.
    dial_at: Monotonic,
    /// How the other side is called in log lines: broker, name, address, port.
    node: String,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    None,
    /// Being connected; given up at this time.
    Dialling(Monotonic),
    Connected,
}

struct Asked {
    request: AnyRequest,
    version: i16,
    timeout_ms: u64,
    then: Then,
}

struct Sent {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    timeout_ms: u64,
    deadline: Monotonic,
    then: Then,
}

impl Peer {
    /// A link that dials when something is asked; the host runs it.
    pub(crate) fn start(broker: &Arc<Broker>, settings: PeerSettings) -> Arc<Self> {
        let node = format!("{} ({}:{})", settings.broker, settings.host, settings.port);
        let inner = Inner {
            socket: Socket::None,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            effects: Vec::new(),
            endings: Vec::new(),
            waker: Waker::noop().clone(),
            correlation_id: 0,
            backoff_ms: BACKOFF_MS_MIN,
            failures: 0,
            dial_at: Monotonic::from_nanoseconds(0),
            node,
            is_closed: false,
        };
        let peer = Arc::new(Self {
            settings,
            host: broker.host.clone(),
            broker: Arc::downgrade(broker),
            inner: Mutex::new(inner),
        });
        broker.host.run_peer(peer.clone());
        peer
    }

    /// Whether it leads to this broker at this place.
    pub(crate) fn leads_to(&self, broker: i32, endpoint: &Endpoint) -> bool {
        let PeerSettings { broker: own, host, port, .. } = &self.settings;
        (*own, host, *port) == (broker, &endpoint.host, endpoint.port)
    }

    /// Asks, behind all that was asked before. `then` is called once, on the link's event loop and with no lock held; the time for the
    /// answer begins when the request is sent.
    pub(crate) fn ask(
        &self,
        request: AnyRequest,
        version: i16,
        timeout_ms: u64,
        then: impl FnOnce(&Arc<Broker>, Result<AnyResponse, PeerError>, Now) + Send + 'static,
    ) {
        let mut inner = self.inner.lock();
        if inner.is_closed {
            drop(inner);
            let broker = self.broker.clone();
            // By another turn: the caller may hold what `then` takes.
            return self.host.submit_for_request(once(move |_| {
                if let Some(broker) = broker.upgrade() {
                    let now = broker.host.now();
                    then(&broker, Err(PeerError::Closed), now);
                }
            }));
        }
        inner.waiting.push_back(Asked { request, version, timeout_ms, then: Box::new(then) });
        inner.waker.wake_by_ref();
    }

    /// Ends the link: what has no answer yet gets none.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        if std::mem::replace(&mut inner.is_closed, true) {
            return;
        }
        inner.fail_all(&PeerError::Closed);
        inner.hang_up();
        inner.waker.wake_by_ref();
    }

    /// Who is to be woken when there is something to do; set before the link is run.
    pub fn set_waker(&self, waker: Waker) {
        self.inner.lock().waker = waker;
    }

    /// What is to be done for the link, in order.
    pub fn take_effects(&self) -> Vec<PeerEffect> {
        let mut inner = self.inner.lock();
        let now = self.host.now();
        inner.go_on(&self.settings, now);
        let effects = std::mem::take(&mut inner.effects);
        self.tell(inner, now);
        effects
    }

    /// An address of the other broker is dialled, which log lines shall name so.
    pub fn dialling(&self, address: &str) {
        self.inner.lock().node = format!("{} ({address})", self.settings.broker);
    }

    /// The socket is connected.
    pub fn connected(&self, _now: Now) {
        let mut inner = self.inner.lock();
        if matches!(inner.socket, Socket::Dialling(_)) {
            inner.socket = Socket::Connected;
            inner.failures = 0;
            if let Some(greeting) = &self.settings.greeting {
                tracing::info!(target: SEND_THREAD, "{greeting}");
            }
        }
    }

    /// The socket is closed, or could not be connected.
    pub fn disconnected(&self, now: Now) {
        let mut inner = self.inner.lock();
        match inner.socket {
            Socket::None => {}
            Socket::Dialling(_) => inner.unreachable(&self.settings, now),
            Socket::Connected => {
                let error = PeerError::Disconnected(self.name());
                inner.lost(&error, now);
            }
        }
        inner.socket = Socket::None;
        self.tell(inner, now);
    }

    /// Takes whole responses from the front of `input`. The rest stays, and what comes is to be put behind it.
    pub fn received(&self, input: &mut BytesMut, now: Now) {
        let mut inner = self.inner.lock();
        while inner.socket == Socket::Connected {
            match self.next_response(&mut inner, input) {
                Ok(Some((sent, response))) => {
                    inner.backoff_ms = BACKOFF_MS_MIN;
                    inner.endings.push((sent.then, Ok(response)));
                }
                Ok(None) => break,
                Err(text) => {
                    tracing::warn!(target: NETWORK_CLIENT, "{}Connection to node {}: {text}", self.settings.log_prefix, inner.node);
                    inner.hang_up();
                    inner.lost(&PeerError::Invalid(text), now);
                }
            }
        }
        self.tell(inner, now);
    }

    /// How many bytes the response at the front of `input` lacks; 0 without a length.
    pub fn missing(&self, input: &BytesMut) -> usize {
        let Some(prefix) = input.first_chunk::<PREFIX_LENGTH>() else { return 0 };
        let length = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(0).min(self.settings.response_bytes_max);
        (PREFIX_LENGTH + length).saturating_sub(input.len())
    }

    /// When [`Peer::tick`] is wanted.
    pub fn deadline(&self) -> Option<Monotonic> {
        let inner = self.inner.lock();
        match inner.socket {
            Socket::None if inner.waiting.is_empty() => None,
            Socket::None => Some(inner.dial_at),
            Socket::Dialling(until) => Some(until),
            Socket::Connected => inner.in_flight.iter().map(|sent| sent.deadline).min(),
        }
    }

    /// The deadline has come.
    pub fn tick(&self, now: Now) {
        let mut inner = self.inner.lock();
        match inner.socket {
            Socket::None => {}
            Socket::Dialling(until) => {
                if until <= now.monotonic {
                    inner.hang_up();
                    inner.unreachable(&self.settings, now);
                }
            }
            Socket::Connected => {
                if let Some(late) = inner.take_late(now.monotonic) {
                    inner.endings.push((late.then, Err(PeerError::TimedOut(late.timeout_ms))));
                    inner.hang_up();
                    inner.lost(&PeerError::Disconnected(self.name()), now);
                }
            }
        }
        self.tell(inner, now);
    }

    /// `SO_RCVBUF` of its connections; `None` leaves it to the system.
    pub const fn receive_buffer_bytes(&self) -> Option<u32> {
        self.settings.receive_buffer_bytes
    }

    /// Whether it was closed, and its last effects are taken.
    pub fn is_over(&self) -> bool {
        let inner = self.inner.lock();
        inner.is_closed && inner.effects.is_empty() && inner.endings.is_empty()
    }

    fn name(&self) -> String {
        self.settings.broker.to_string()
    }

    /// The next response, if it is there in whole, with the request that it answers.
    fn next_response(&self, inner: &mut Inner, input: &mut BytesMut) -> Result<Option<(Sent, AnyResponse)>, String> {
        let Some(prefix) = input.first_chunk::<PREFIX_LENGTH>() else { return Ok(None) };
        let length = i32::from_be_bytes(*prefix);
        let limit = self.settings.response_bytes_max;
        let length = usize::try_from(length).ok().filter(|length| *length <= limit);
        let length = length.ok_or_else(|| format!("Invalid receive (size = {})", i32::from_be_bytes(*prefix)))?;
        if input.len() < PREFIX_LENGTH + length {
            return Ok(None);
        }
        input.advance(PREFIX_LENGTH);
        let frame = input.split_to(length).freeze();
        let Some(sent) = inner.in_flight.pop_front() else { return Err("a response that nobody asked for".to_owned()) };
        match decode(&sent, &frame) {
            Ok(response) => Ok(Some((sent, response))),
            Err(text) => {
                // It fails with the others.
                inner.in_flight.push_front(sent);
                Err(text)
            }
        }
    }

    /// Tells those who asked, with the lock released.
    fn tell(&self, mut inner: parking_lot::MutexGuard<'_, Inner>, now: Now) {
        let endings = std::mem::take(&mut inner.endings);
        drop(inner);
        if endings.is_empty() {
            return;
        }
        let Some(broker) = self.broker.upgrade() else { return };
        for (then, result) in endings {
            then(&broker, result, now);
        }
    }
}

impl Inner {
    /// Sends what may be sent, or dials for it.
    fn go_on(&mut self, settings: &PeerSettings, now: Now) {
        match self.socket {
            Socket::None if !self.waiting.is_empty() && self.dial_at <= now.monotonic => {
                let timeout_ms = settings.setup_timeout_ms.saturating_mul(1 << self.failures.min(16));
                let timeout_ms = timeout_ms.min(settings.setup_timeout_ms_max.max(settings.setup_timeout_ms));
                self.socket = Socket::Dialling(now.monotonic.plus_ms(timeout_ms));
                match u16::try_from(settings.port) {
                    Ok(port) => self.effects.push(PeerEffect::Connect { host: settings.host.clone(), port }),
                    Err(_) => {
                        self.socket = Socket::None;
                        self.unreachable(settings, now);
                    }
                }
            }
            Socket::None | Socket::Dialling(_) => {}
            Socket::Connected => {
                while self.in_flight.len() < settings.in_flight_max
                    && let Some(asked) = self.waiting.pop_front()
                {
                    self.send(asked, settings, now);
                }
            }
        }
    }

    fn send(&mut self, asked: Asked, settings: &PeerSettings, now: Now) {
        let Asked { request, version, timeout_ms, then } = asked;
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let correlation_id = self.correlation_id;
        match frame::any_request(&request, version, correlation_id, Some(&settings.client_id)) {
            Ok(parts) => {
                let bytes = parts.into_iter().filter_map(|part| match part {
                    Part::Bytes(bytes) => Some(PeerEffect::Send(bytes)),
                    // Requests have none.
                    Part::Range { .. } => None,
                });
                self.effects.extend(bytes);
                let deadline = now.monotonic.plus_ms(timeout_ms);
                self.in_flight.push_back(Sent {
                    correlation_id,
                    key: request.key(),
                    version,
                    timeout_ms,
                    deadline,
                    then,
                });
            }
            Err(error) => self.endings.push((then, Err(PeerError::Unencodable(error.to_string())))),
        }
    }

    /// Takes out the first request whose time is over.
    fn take_late(&mut self, now: Monotonic) -> Option<Sent> {
        let index = self.in_flight.iter().position(|sent| sent.deadline <= now)?;
        self.in_flight.remove(index)
    }

    /// The connection is gone: what is in flight fails, what waits is for the next one.
    fn lost(&mut self, error: &PeerError, now: Now) {
        let failed = self.in_flight.drain(..).map(|sent| (sent.then, Err(error.clone())));
        self.endings.extend(failed);
        self.back_off(now);
    }

    /// No connection can be had: nobody waits for one longer.
    fn unreachable(&mut self, settings: &PeerSettings, now: Now) {
        tracing::warn!(
            target: NETWORK_CLIENT,
            "{}Connection to node {} could not be established. Broker may not be available.",
            settings.log_prefix,
            self.node
        );
        self.failures = self.failures.saturating_add(1);
        self.fail_all(&PeerError::Unreachable(self.node.clone()));
        self.back_off(now);
    }

    fn fail_all(&mut self, error: &PeerError) {
        let in_flight = self.in_flight.drain(..).map(|sent| sent.then);
        let failed = in_flight.chain(self.waiting.drain(..).map(|asked| asked.then));
        self.endings.extend(failed.map(|then| (then, Err(error.clone()))));
    }

    fn back_off(&mut self, now: Now) {
        self.dial_at = now.monotonic.plus_ms(self.backoff_ms);
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MS_MAX);
    }

    fn hang_up(&mut self) {
        if self.socket != Socket::None {
            self.socket = Socket::None;
            self.effects.push(PeerEffect::Disconnect);
        }
    }
}

/// The response to a request, from a frame without its length. Records are views of the frame.
fn decode(sent: &Sent, frame: &Bytes) -> Result<AnyResponse, String> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(sent.key.response_header_version(sent.version), &mut reader);
    let header = header.map_err(|error| format!("a response without a header: {error}"))?;
    if header.correlation_id != sent.correlation_id {
        let (found, expected) = (header.correlation_id, sent.correlation_id);
        return Err(format!("Correlation id for response ({found}) does not match request ({expected})"));
    }
    AnyResponse::decode(sent.key, sent.version, &mut reader)
        .map_err(|error| format!("a response to {} version {} that can't be read: {error}", sent.key, sent.version))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use kafka_proto::messages::{controlled_shutdown, fetch};
    use kafka_proto::wire::Records;

    use super::*;
    use crate::testing;

    type Answer = Result<AnyResponse, PeerError>;

    struct Fixture {
        broker: Arc<Broker>,
        peer: Arc<Peer>,
        answers: mpsc::Receiver<(i32, Answer)>,
        told: mpsc::Sender<(i32, Answer)>,
    }

    fn at(ms: u64) -> Now {
        Now { monotonic: Monotonic::from_ms(ms), wall_ms: 0 }
    }

    impl Fixture {
        fn new(in_flight_max: usize) -> Self {
            let broker = testing::broker("broker.id=3");
            let endpoint = Endpoint {
                listener: "PLAINTEXT".to_owned(),
                security_protocol: "PLAINTEXT".to_owned(),
                host: "other".to_owned(),
                port: 9092,
            };
            let settings =
                PeerSettings { in_flight_max, response_bytes_max: 100_000, ..PeerSettings::new(&broker, 7, &endpoint) };
            let peer = Peer::start(&broker, settings);
            let (told, answers) = mpsc::channel();
            Self { broker, peer, answers, told }
        }

        /// Asks to be let go; the number tells the request from others.
        fn ask(&self, number: i32) {
            let told = self.told.clone();
            let request = controlled_shutdown::Request { broker_id: number, broker_epoch: 1 };
            self.peer.ask(request.into(), 2, 1000, move |_, answer, _| told.send((number, answer)).unwrap());
        }

        /// Connects, as a fresh link dials at once.
        fn connect(&self) {
            let effects = self.peer.take_effects();
            assert_eq!(effects, [PeerEffect::Connect { host: "other".to_owned(), port: 9092 }]);
            self.peer.connected(at(1));
        }

        /// The numbers of the requests that are sent now.
        fn sent(&self) -> Vec<i32> {
            let number = |effect| {
                let PeerEffect::Send(bytes) = effect else { panic!("{effect:?}") };
                i32::from_be_bytes(*bytes[bytes.len() - 12..].first_chunk().unwrap())
            };
            self.peer.take_effects().into_iter().map(number).collect()
        }

        fn answer(&self, correlation_id: i32) {
            let bytes = [&[0, 0, 0, 10][..], &correlation_id.to_be_bytes(), &[0; 6]].concat();
            self.receive(&bytes);
        }

        fn receive(&self, bytes: &[u8]) {
            self.peer.received(&mut BytesMut::from(bytes), at(2));
        }

        /// Who was told since the last look, and whether of an answer.
        fn told(&self) -> Vec<(i32, Result<(), PeerError>)> {
            self.answers.try_iter().map(|(number, answer)| (number, answer.map(drop))).collect()
        }
    }

    fn disconnected() -> Result<(), PeerError> {
        Err(PeerError::Disconnected("7".to_owned()))
    }

    #[test]
    fn requests_leave_in_order_a_few_at_a_time() {
        let link = Fixture::new(2);
        assert!(link.peer.take_effects().is_empty(), "nothing is asked, nobody is dialled");
        (1..=4).for_each(|number| link.ask(number));
        link.connect();
        assert_eq!(link.sent(), [1, 2]);
        link.answer(1);
        assert_eq!(link.told(), [(1, Ok(()))]);
        assert_eq!(link.sent(), [3]);
        let mut two = BytesMut::from(
            &[&[0, 0, 0, 10, 0, 0, 0, 2][..], &[0; 6], &[0, 0, 0, 10, 0, 0, 0, 3], &[0; 5]].concat()[..],
        );
        link.peer.received(&mut two, at(2));
        assert_eq!((link.told(), link.peer.missing(&two)), (vec![(2, Ok(()))], 1));
        two.extend_from_slice(&[0]);
        link.peer.received(&mut two, at(2));
        assert_eq!(link.told(), [(3, Ok(()))]);
    }

    #[test]
    fn a_lost_connection_fails_what_is_in_flight_and_the_rest_waits_for_another() {
        let link = Fixture::new(1);
        (1..=2).for_each(|number| link.ask(number));
        link.connect();
        assert_eq!(link.sent(), [1]);
        link.peer.disconnected(at(1));
        assert_eq!(link.told(), [(1, disconnected())]);
        assert_eq!(link.peer.deadline(), Some(Monotonic::from_ms(6)), "it keeps a distance");
        link.ask(3);
        assert!(link.peer.take_effects().is_empty());
    }

    #[test]
    fn nobody_waits_where_no_connection_can_be_had() {
        let link = Fixture::new(1);
        let mut pauses = Vec::new();
        for round in 0..6 {
            let mut inner = link.peer.inner.lock();
            inner.dial_at = Monotonic::from_ms(1);
            drop(inner);
            (0..2).for_each(|number| link.ask(number));
            assert_eq!(link.peer.take_effects().len(), 1, "round {round}");
            link.peer.dialling("other/10.0.0.1:9092");
            link.peer.disconnected(at(1));
            let unreachable = Err(PeerError::Unreachable("7 (other/10.0.0.1:9092)".to_owned()));
            assert_eq!(link.told(), [(0, unreachable.clone()), (1, unreachable)]);
            assert_eq!(link.peer.deadline(), None, "nothing is asked");
            pauses.push(link.peer.inner.lock().dial_at.ms() - 1);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 100]);
        // An attempt that takes too long is one that failed.
        link.peer.inner.lock().dial_at = Monotonic::from_ms(1);
        link.ask(9);
        link.peer.take_effects();
        assert_eq!(link.peer.deadline(), Some(Monotonic::from_ms(127_001)), "ten seconds, doubled and limited");
        link.peer.tick(at(127_001));
        assert_eq!(link.peer.take_effects(), [PeerEffect::Disconnect]);
        assert!(matches!(link.told()[..], [(9, Err(PeerError::Unreachable(_)))]));
    }

    #[test]
    fn a_late_answer_ends_the_connection() {
        let link = Fixture::new(2);
        (1..=2).for_each(|number| link.ask(number));
        link.connect();
        assert_eq!(link.sent(), [1, 2]);
        assert_eq!(link.peer.deadline(), Some(Monotonic::from_ms(1001)));
        link.peer.tick(at(1001));
        assert_eq!(link.told(), [(1, Err(PeerError::TimedOut(1000))), (2, disconnected())]);
        assert_eq!(link.peer.take_effects(), [PeerEffect::Disconnect]);
        // What was under way of it changes nothing.
        link.answer(1);
        link.peer.disconnected(at(1001));
        assert_eq!(link.told(), []);
    }

    #[test]
    fn what_is_no_answer_ends_the_connection() {
        for (bytes, text) in [
            (
                &[0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0][..],
                "Correlation id for response (9) does not match request (1)",
            ),
            (&[0xff; 4], "Invalid receive (size = -1)"),
            (&[0, 1, 0x86, 0xa1], "Invalid receive (size = 100001)"),
            (&[0, 0, 0, 2, 0, 0], "a response without a header: 4 bytes wanted at byte 0, 2 left"),
            (
                &[0, 0, 0, 6, 0, 0, 0, 1, 0, 0],
                "a response to ControlledShutdown version 2 that can't be read: 4 bytes wanted at byte 6, 0 left",
            ),
        ] {
            let link = Fixture::new(1);
            link.ask(1);
            link.connect();
            assert_eq!(link.sent(), [1]);
            link.receive(bytes);
            assert_eq!(link.told(), [(1, Err(PeerError::Invalid(text.to_owned())))]);
            assert_eq!(link.peer.take_effects(), [PeerEffect::Disconnect]);
        }
        let link = Fixture::new(1);
        link.ask(1);
        link.connect();
        link.sent();
        link.answer(1);
        link.told();
        link.answer(2);
        assert_eq!(link.peer.take_effects(), [PeerEffect::Disconnect], "nothing was asked");
    }

    #[test]
    fn a_closed_link_answers_nobody() {
        let link = Fixture::new(1);
        (1..=2).for_each(|number| link.ask(number));
        link.connect();
        assert_eq!(link.sent(), [1]);
        link.peer.close();
        assert!(!link.peer.is_over() && link.told().is_empty(), "told on the loop alone");
        assert_eq!(link.peer.take_effects(), [PeerEffect::Disconnect]);
        assert_eq!(link.told(), [(1, Err(PeerError::Closed)), (2, Err(PeerError::Closed))]);
        assert!(link.peer.is_over());
        link.ask(3);
        assert_eq!(link.told(), [(3, Err(PeerError::Closed))]);
        assert_eq!(Arc::strong_count(&link.broker), 1);
    }

    #[test]
    fn a_request_that_its_version_cannot_say_fails_alone() {
        let link = Fixture::new(1);
        let told = link.told.clone();
        let request = controlled_shutdown::Request::default();
        link.peer.ask(request.into(), 99, 1000, move |_, answer, _| told.send((0, answer)).unwrap());
        link.ask(1);
        link.connect();
        assert_eq!(link.sent(), [1]);
        assert!(matches!(link.told()[..], [(0, Err(PeerError::Unencodable(_)))]));
    }

    #[test]
    fn records_are_views_of_what_was_received() {
        let link = Fixture::new(1);
        let told = link.told.clone();
        link.peer.ask(fetch::Request::default().into(), 12, 1000, move |_, answer, _| told.send((0, answer)).unwrap());
        link.connect();
        assert!(!link.peer.take_effects().is_empty());
        let records = Records::from(Bytes::from(vec![7; 50_000]));
        let partition = fetch::ResponsePartition { records: Some(records), ..Default::default() };
        let topics = vec![fetch::ResponseTopic { topic: Str::from_static("t"), partitions: vec![partition] }];
        let response = fetch::Response { topics, ..Default::default() };
        let mut input = BytesMut::with_capacity(60_000);
        for part in frame::response(&response, ApiKey::Fetch, 12, 1).unwrap() {
            let Part::Bytes(bytes) = part else { panic!("a range") };
            input.extend_from_slice(&bytes);
        }
        let received = input.as_ptr_range();
        link.peer.received(&mut input, at(2));
        let (_, Ok(AnyResponse::Fetch(response))) = link.answers.try_recv().unwrap() else { panic!("no answer") };
        let records = response.topics[0].partitions[0].records.as_ref().unwrap().to_bytes().unwrap();
        assert!(records.len() == 50_000 && received.contains(&records.as_ptr()));
    }
}
