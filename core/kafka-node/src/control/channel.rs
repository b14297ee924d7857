//! What the controller on this broker tells the others: a link and an ordered queue for each (upstream: `ControllerChannelManager`,
//! `RequestSendThread`).
//!
//! The same request is sent again until it is answered, or its broker is gone, or the office is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::Now;
use kafka_control::znode::{BrokerRegistration, Endpoint};
use kafka_control::{BrokerMessage, Event, MessageBody};
use kafka_proto::AnyResponse;
use parking_lot::Mutex;

use super::wire;
use crate::broker::Broker;
use crate::peer::{Peer, PeerError, PeerSettings};

/// Upstream's class of the lines about links to brokers.
pub(crate) const SEND_THREAD: &str = "kafka.controller.RequestSendThread";
const CHANNELS: &str = "kafka.controller.ControllerChannelManager";

/// The pause before a request is sent again.
const BACKOFF_MS: u64 = 100;

/// The channels to all other brokers, as long as this one holds the office.
#[derive(Default)]
pub(super) struct Channels(Mutex<Open>);

#[derive(Default)]
struct Open {
    /// The office that they belong to.
    office: Option<i32>,
    /// Where the other live brokers meet the controller.
    nodes: BTreeMap<i32, Node>,
    channels: BTreeMap<i32, Arc<Channel>>,
}

/// Where a broker listens, and how lines call it.
#[derive(Clone)]
struct Node {
    endpoint: Endpoint,
    name: String,
}

/// The way to one life of a broker.
struct Channel {
    broker_epoch: i64,
    peer: Arc<Peer>,
    name: String,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<BrokerMessage>,
    /// The first message is under way, or waits to be sent again.
    is_busy: bool,
}

impl Channels {
    /// What was to be said in an office that was lost is not said.
    pub(super) fn hold_office(&self, epoch: Option<i32>) {
        let mut open = self.0.lock();
        if open.office != epoch {
            open.clear();
            open.office = epoch;
        }
    }

    /// The broker stops.
    pub(super) fn close(&self) {
        self.0.lock().clear();
    }

    /// Each UpdateMetadata says which brokers live, and where; the channels of others end.
    pub(super) fn learn(&self, message: &BrokerMessage, own: i32, listener: &str) {
        let MessageBody::UpdateMetadata { brokers, .. } = &message.body else { return };
        let mut open = self.0.lock();
        let others = brokers.iter().filter(|broker| broker.id != own);
        open.nodes = others.filter_map(|broker| Some((broker.id, Node::of(broker, listener)?))).collect();
        let Open { nodes, channels, .. } = &mut *open;
        channels.retain(|broker, channel| {
            let lives = nodes.contains_key(broker);
            if !lives {
                channel.peer.close();
            }
            lives
        });
    }

    /// The channel to the broker's life that a message is for; `None` if it is not known where it lives.
    fn get(&self, broker: &Arc<Broker>, message: &BrokerMessage) -> Option<Arc<Channel>> {
        let mut open = self.0.lock();
        let id = message.broker;
        if let Some(channel) = open.channels.get(&id) {
            if channel.broker_epoch == message.broker_epoch {
                return Some(channel.clone());
            }
            channel.peer.close();
        }
        let Node { endpoint, name } = open.nodes.get(&id)?.clone();
        let own = broker.id();
        let settings = PeerSettings {
            log_prefix: format!("[Controller id={own}, targetBrokerId={id}] "),
            greeting: Some(format!(
                "[RequestSendThread controllerId={own}] Controller {own} connected to {name} for sending state change requests"
            )),
            ..PeerSettings::new(broker, id, &endpoint)
        };
        let peer = Peer::start(broker, settings);
        let channel = Arc::new(Channel { broker_epoch: message.broker_epoch, peer, name, queue: Mutex::default() });
        open.channels.insert(id, channel.clone());
        Some(channel)
    }
}

impl Node {
    fn of(broker: &BrokerRegistration, listener: &str) -> Option<Self> {
        let endpoint = broker.endpoints.iter().find(|endpoint| endpoint.listener == listener)?.clone();
        let rack = broker.rack.as_deref().unwrap_or("null");
        let name = format!("{}:{} (id: {} rack: {rack})", endpoint.host, endpoint.port, broker.id);
        Some(Self { endpoint, name })
    }
}

impl Open {
    fn clear(&mut self) {
        self.channels.values().for_each(|channel| channel.peer.close());
        self.channels.clear();
        self.nodes.clear();
    }
}

impl Broker {
    /// Sends a message to another broker, behind those before it.
    pub(super) fn send_to_broker(self: &Arc<Self>, message: BrokerMessage) {
        let Some(channel) = self.control.channels.get(self, &message) else {
            tracing::warn!(
                target: CHANNELS,
                "[Channel manager on controller {}]: Not sending request {} to broker {}, since it is offline.",
                self.id(),
                name(&message),
                message.broker
            );
            return;
        };
        let mut queue = channel.queue.lock();
        queue.messages.extend(wire::split(message, self.settings().inter_broker_protocol));
        if !std::mem::replace(&mut queue.is_busy, true) {
            Channel::ask(&channel, self, &mut queue);
        }
    }
}

impl Channel {
    /// Sends the first message of the queue, if there is one.
    fn ask(channel: &Arc<Self>, broker: &Broker, queue: &mut Queue) {
        let Some(message) = queue.messages.front() else {
            queue.is_busy = false;
            return;
        };
        let settings = broker.settings();
        let version = wire::version(&message.body, settings.inter_broker_protocol);
        let request = wire::request(message, version, &settings.listeners.inter_broker);
        let timeout_ms = u64::try_from(settings.replication.request_timeout_ms).unwrap_or(0);
        let this = channel.clone();
        channel.peer.ask(request, version, timeout_ms, move |broker, result, now| {
            Self::answered(&this, broker, result, now);
        });
    }

    fn answered(channel: &Arc<Self>, broker: &Arc<Broker>, result: Result<AnyResponse, PeerError>, now: Now) {
        let mut queue = channel.queue.lock();
        let response = match result {
            Ok(response) => response,
            // Nobody is told any more.
            Err(PeerError::Closed) => return,
            Err(error) => {
                let first = queue.messages.front();
                tell_failure(broker, &channel.name, first, &error);
                drop(queue);
                let this = channel.clone();
                broker.schedule(now.monotonic.plus_ms(BACKOFF_MS), move |broker, _| {
                    Self::ask(&this, broker, &mut this.queue.lock());
                });
                return;
            }
        };
        let message = queue.messages.pop_front();
        Self::ask(channel, broker, &mut queue);
        drop(queue);
        let Some(message) = message else { return };
        match wire::codes(response) {
            Ok(codes) => {
                if let Some(answer) = wire::Expected::of(&message.body).answer(codes) {
                    let BrokerMessage { broker: from, broker_epoch, controller_epoch, .. } = message;
                    let event = Event::Answered { broker: from, broker_epoch, controller_epoch, answer };
                    broker.controller_event(event, now);
                }
            }
            Err(code) => tracing::error!(
                target: "state.change.logger",
                "[Controller id={} epoch={}] Received error {code:?} in {} response from broker {}",
                broker.id(),
                message.controller_epoch,
                name(&message),
                message.broker
            ),
        }
    }
}

fn tell_failure(broker: &Broker, to: &str, message: Option<&BrokerMessage>, error: &PeerError) {
    let own = broker.id();
    match (error, message) {
        (PeerError::Unreachable(_), _) | (_, None) => tracing::warn!(
            target: SEND_THREAD,
            exception = %format_args!("java.io.IOException: {error}"),
            "[RequestSendThread controllerId={own}] Controller {own}'s connection to broker {to} was unsuccessful",
        ),
        (_, Some(message)) => tracing::warn!(
            target: SEND_THREAD,
            exception = %format_args!("java.io.IOException: {error}"),
            "[RequestSendThread controllerId={own}] Controller {own} epoch {} fails to send request {} to broker {to}. Reconnecting to broker.",
            message.controller_epoch,
            name(message)
        ),
    }
}

const fn name(message: &BrokerMessage) -> &'static str {
    match message.body {
        MessageBody::LeaderAndIsr { .. } => "LeaderAndIsr",
        MessageBody::UpdateMetadata { .. } => "UpdateMetadata",
        MessageBody::StopReplica(_) => "StopReplica",
    }
}
