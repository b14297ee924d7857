//! What this broker asks of whoever is the controller, this broker itself or another (upstream: `BrokerToControllerChannelManager`).
//!
//! [`Broker::ask_controller`] asks until there is an answer, one request at a time: it follows the office, which the metadata names, and
//! keeps a distance behind each attempt that failed. A broker that stops asks by single attempts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Now, TimerKey, once};
use kafka_control::{Answer, Request};
use kafka_proto::ErrorCode;
use parking_lot::Mutex;

use super::requests;
use crate::broker::Broker;
use crate::peer::{Peer, PeerError, PeerSettings};

/// The pause behind an attempt that failed, and between looks for a controller.
const BACKOFF_MS: u64 = 100;

/// The way to the controller.
#[derive(Default)]
pub(super) struct ControllerLink(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Asked>,
    /// The first request is under way.
    is_busy: bool,
    /// When the first request is tried again.
    retry: Option<TimerKey>,
    /// The controller that was asked last at each listener, if it is another broker.
    peers: BTreeMap<String, Arc<Peer>>,
    /// The controller that was found last.
    found: Option<i32>,
    is_closed: bool,
}

struct Asked {
    request: Request,
    then: Then,
}

/// Takes the answer, with no lock held.
type Then = Box<dyn FnOnce(&Arc<Broker>, Answer, Now) + Send>;

/// Why an attempt brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Nobody holds the office, as far as this broker knows, or its broker is not known.
    #[error("no controller is known")]
    NoController,
    /// The link failed.
    #[error(transparent)]
    Link(#[from] PeerError),
    /// The controller sent what is no answer to what was asked.
    #[error("the controller's answer is none to what was asked")]
    Invalid,
}

impl ControllerLink {
    pub(super) fn close(&self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        state.waiting.clear();
        state.peers.values().for_each(|peer| peer.close());
        state.peers.clear();
    }

    /// The link to another broker that is the controller, at one of its listeners.
    fn peer(&self, broker: &Arc<Broker>, controller: i32, listener: &str) -> Result<Arc<Peer>, NoAnswer> {
        let endpoint = broker.metadata.read().endpoint(controller, listener).cloned();
        let endpoint = endpoint.ok_or(NoAnswer::NoController)?;
        let mut state = self.0.lock();
        if state.is_closed {
            return Err(PeerError::Closed.into());
        }
        if let Some(peer) = state.peers.get(listener) {
            if peer.leads_to(controller, &endpoint) {
                return Ok(peer.clone());
            }
            peer.close();
        }
        let settings = PeerSettings {
            log_prefix: format!("[broker-{}-to-controller] ", broker.id()),
            ..PeerSettings::new(broker, controller, &endpoint)
        };
        let peer = Peer::start(broker, settings);
        state.peers.insert(listener.to_owned(), peer.clone());
        Ok(peer)
    }

    fn note_found(&self, broker: &Broker, controller: i32) {
        if self.0.lock().found.replace(controller) != Some(controller) {
            tracing::info!(
                target: "kafka.server.BrokerToControllerRequestThread",
                "[broker-{}-to-controller-send-thread]: Recorded new controller, from now on will use broker {controller}",
                broker.id()
            );
        }
    }
}

impl Broker {
    /// Asks the controller, behind all that was asked before, until it answers; NOT_CONTROLLER is no answer. `then` is called with no lock
    /// held, and never once the broker has stopped.
    pub(crate) fn ask_controller(
        self: &Arc<Self>,
        request: Request,
        then: impl FnOnce(&Arc<Self>, Answer, Now) + Send + 'static,
    ) {
        {
            let mut state = self.control.link.0.lock();
            if state.is_closed {
                return;
            }
            state.waiting.push_back(Asked { request, then: Box::new(then) });
        }
        // By another turn: the caller may hold what `then` takes, and the controller may be on this broker.
        let broker = self.clone();
        self.host.submit_for_request(once(move |_| broker.ask_controller_next(broker.host.now())));
    }

    /// The metadata may name another controller: what waits for one is asked now.
    pub(super) fn look_for_controller(self: &Arc<Self>, now: Now) {
        let Some(controller) = self.metadata.read().controller else { return };
        let retry = {
            let mut state = self.control.link.0.lock();
            if state.found == Some(controller) { None } else { state.retry.take() }
        };
        if let Some(retry) = retry {
            self.cancel(retry);
            self.ask_controller_next(now);
        }
    }

    fn ask_controller_next(self: &Arc<Self>, now: Now) {
        let request = {
            let mut state = self.control.link.0.lock();
            if state.is_busy || state.retry.is_some() {
                return;
            }
            let Some(first) = state.waiting.front() else { return };
            let request = first.request.clone();
            state.is_busy = true;
            request
        };
        self.attempt_controller(request, now, |broker, result, now| match result {
            Ok(answer) if !requests::is_refused(&answer, ErrorCode::NOT_CONTROLLER) => {
                let first = {
                    let mut state = broker.control.link.0.lock();
                    state.is_busy = false;
                    state.waiting.pop_front()
                };
                if let Some(first) = first {
                    (first.then)(broker, answer, now);
                }
                broker.ask_controller_next(now);
            }
            _ => {
                let retry = broker.schedule(now.monotonic.plus_ms(BACKOFF_MS), |broker, now| {
                    broker.control.link.0.lock().retry = None;
                    broker.ask_controller_next(now);
                });
                let mut state = broker.control.link.0.lock();
                state.is_busy = false;
                state.retry = Some(retry);
            }
        });
    }

    /// Asks the controller once. `then` is called with no lock held.
    pub(crate) fn attempt_controller(
        self: &Arc<Self>,
        request: Request,
        now: Now,
        then: impl FnOnce(&Arc<Self>, Result<Answer, NoAnswer>, Now) + Send + 'static,
    ) {
        let controller = {
            let metadata = self.metadata.read();
            metadata.controller.filter(|controller| metadata.brokers.contains_key(controller))
        };
        let Some(controller) = controller else { return then(self, Err(NoAnswer::NoController), now) };
        self.control.link.note_found(self, controller);
        if controller == self.id() {
            return self.ask_own_controller(request, now, |broker, answer, now| then(broker, Ok(answer), now));
        }
        let settings = self.settings();
        // Upstream a broker that stops does not come the way of its other wishes.
        let listener = match request {
            Request::ControlledShutdown { .. } => settings.listeners.inter_broker.clone(),
            _ => self.control_listener(),
        };
        let Some((wire, version)) = requests::to_wire(request, settings.inter_broker_protocol) else {
            return then(self, Err(NoAnswer::Invalid), now);
        };
        match self.control.link.peer(self, controller, &listener) {
            Err(error) => then(self, Err(error), now),
            Ok(peer) => {
                let timeout_ms = u64::try_from(settings.replication.controller_socket_timeout_ms).unwrap_or(0);
                peer.ask(wire, version, timeout_ms, |broker, result, now| {
                    let answer = result.map_err(NoAnswer::Link);
                    let answer = answer.and_then(|response| requests::of_response(response).ok_or(NoAnswer::Invalid));
                    then(broker, answer, now);
                });
            }
        }
    }
}
