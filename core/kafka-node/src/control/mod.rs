//! The controller's part in a broker (upstream: `KafkaController` as the broker runs it, `ControllerChannelManager`,
//! `BrokerToControllerChannelManager`).
//!
//! Each broker has the controller's machine and gives it events; the one that holds the office tells all brokers what to do. [`channel`]
//! brings its messages to the others, [`inbox`] carries out what any controller tells this broker, [`wire`] says it all in the protocol's
//! versions, and [`upward`] asks whoever holds the office.

mod channel;
mod inbox;
pub(crate) mod requests;
mod upward;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Monotonic, Now, TimerKey};
use config::ApiVersion;
use kafka_control::{
    Answer, Batch, BatchId, BrokerMessage, Controller, ControllerSettings, Effects, Event, LogLine, Logger, Outcome,
    Request, RequestId, Severity,
};
use kafka_proto::ErrorCode;
use parking_lot::Mutex;

use self::channel::Channels;
pub(crate) use self::channel::SEND_THREAD;
use self::inbox::Inbox;
use self::upward::ControllerLink;
pub(crate) use self::upward::NoAnswer;
use crate::broker::Broker;

/// The controller of this broker, and what goes from it and to it.
#[derive(Default)]
pub(crate) struct Control {
    controller: Mutex<Option<Controller>>,
    inbox: Inbox,
    channels: Channels,
    requests: Mutex<Requests>,
    /// The timer of the controller's next tick.
    wake: Mutex<Option<TimerKey>>,
    link: ControllerLink,
}

/// Takes the controller's answer, with no lock held.
type Then = Box<dyn FnOnce(&Arc<Broker>, Answer, Now) + Send>;

/// Requests that the controller has not answered.
#[derive(Default)]
struct Requests {
    waiting: BTreeMap<RequestId, Then>,
    serial: u64,
}

/// What moves the controller's machine.
enum Input {
    Event(Event),
    Outcomes(BatchId, Vec<Outcome>),
}

impl Broker {
    /// Gives the controller an event. Before [`Broker::stand_for_controller`] there is none to take it.
    pub(crate) fn controller_event(self: &Arc<Self>, event: Event, now: Now) {
        self.run_controller(Input::Event(event), now);
    }

    /// The broker is registered under this session: its controller takes part in elections.
    pub(crate) fn stand_for_controller(self: &Arc<Self>, session: i64, now: Now) {
        let settings = self.controller_settings();
        self.control.controller.lock().get_or_insert_with(|| Controller::new(settings));
        self.controller_event(Event::Registered { session, broker_epoch: self.epoch() }, now);
    }

    /// The configuration changed.
    pub(crate) fn controller_settings_changed(self: &Arc<Self>, now: Now) {
        self.controller_event(Event::SettingsChanged(self.controller_settings()), now);
    }

    fn controller_settings(&self) -> ControllerSettings {
        let settings = self.settings();
        ControllerSettings {
            broker: self.id(),
            delete_topic_enable: settings.topics.delete,
            unclean_leader_election_enable: settings.topic.unclean_leader_election,
            feature_versioning: settings.inter_broker_protocol >= ApiVersion::V2_7_IV0,
            auto_leader_rebalance: settings.replication.auto_rebalance_leaders,
            imbalance_check_interval_s: u64::try_from(settings.replication.leader_imbalance_check_interval_s)
                .unwrap_or(0),
            imbalance_percentage_max: u32::try_from(settings.replication.leader_imbalance_percent).unwrap_or(0),
        }
    }

    /// Asks the controller of this broker, which refuses with NOT_CONTROLLER where it does not hold the office. `then` is called with no
    /// lock held.
    pub(crate) fn ask_own_controller(
        self: &Arc<Self>,
        request: Request,
        now: Now,
        then: impl FnOnce(&Arc<Self>, Answer, Now) + Send + 'static,
    ) {
        if self.control.controller.lock().is_none() {
            return then(self, request.refused(ErrorCode::NOT_CONTROLLER), now);
        }
        let id = {
            let mut requests = self.control.requests.lock();
            requests.serial += 1;
            let id = RequestId(requests.serial);
            requests.waiting.insert(id, Box::new(then));
            id
        };
        self.controller_event(Event::Request(id, request), now);
    }

    /// The epoch of the controller's office, if this broker holds it.
    pub(crate) fn active_controller_epoch(&self) -> Option<i32> {
        self.control.controller.lock().as_ref().and_then(Controller::active_epoch)
    }

    /// Whether clients may come: the broker is registered, and has done what the controller told it, so that the first answers name
    /// brokers and topics. (The original says `started` a moment earlier, and answers with nothing until then.) A controller on
    /// another broker tells it through the listeners, which must be open for that.
    pub fn is_ready(&self) -> bool {
        let elected = self.control.controller.lock().as_ref().and_then(Controller::elected);
        let is_told = || self.control.inbox.is_idle() && self.metadata.read().brokers.contains_key(&self.id());
        self.epoch() >= 0 && (elected.is_some_and(|elected| elected != self.id()) || is_told())
    }

    /// Whether a topic is marked for deletion, as far as the controller on this broker knows.
    pub(crate) fn is_queued_for_deletion(&self, topic: &str) -> bool {
        self.control.controller.lock().as_ref().is_some_and(|controller| controller.is_queued_for_deletion(topic))
    }

    /// Ends the links to other brokers, those of the office and the one to who holds it.
    pub(crate) fn close_control_links(&self) {
        self.control.channels.close();
        self.control.link.close();
    }

    fn run_controller(self: &Arc<Self>, input: Input, now: Now) {
        let mut guard = self.control.controller.lock();
        let Some(controller) = guard.as_mut() else { return };
        let mut effects = Effects::default();
        match input {
            Input::Event(event) => controller.handle(event, now, &mut effects),
            Input::Outcomes(batch, outcomes) => controller.outcomes(batch, outcomes, now, &mut effects),
        }
        effects.log.iter().for_each(log);
        // Under the lock: what was decided first is said first. What an office has not said when it ends is not said.
        let office = controller.active_epoch();
        self.control.channels.hold_office(office);
        for message in effects.messages.into_iter().filter(|message| office == Some(message.controller_epoch)) {
            self.bring(message);
        }
        if let Some(Batch { id, operations }) = effects.batch {
            self.ask_zookeeper(operations, move |broker, outcomes, now| {
                broker.run_controller(Input::Outcomes(id, outcomes), now);
            });
        }
        if let Some(at) = effects.wake_at {
            self.wake_controller_at(at);
        }
        drop(guard);
        for (id, answer) in effects.answers {
            let then = self.control.requests.lock().waiting.remove(&id);
            if let Some(then) = then {
                then(self, answer, now);
            }
        }
    }

    /// Brings a message of the controller of this broker to whom it is for.
    fn bring(self: &Arc<Self>, message: BrokerMessage) {
        let own = self.id();
        self.control.channels.learn(&message, own, &self.control_listener());
        if message.broker != own {
            return self.send_to_broker(message);
        }
        let BrokerMessage { broker_epoch, controller_epoch, .. } = message;
        let expected = wire::Expected::of(&message.body);
        self.tell(message, move |broker, result, now| {
            if let Some(answer) = result.ok().and_then(|codes| expected.answer(codes)) {
                let event = Event::Answered { broker: own, broker_epoch, controller_epoch, answer };
                broker.controller_event(event, now);
            }
        });
    }

    fn wake_controller_at(self: &Arc<Self>, at: Monotonic) {
        let mut wake = self.control.wake.lock();
        if let Some(earlier) = wake.take() {
            self.cancel(earlier);
        }
        *wake = Some(self.schedule(at, |broker, now| broker.controller_event(Event::Tick, now)));
    }

    /// The listener at which brokers meet the controller, and it them.
    fn control_listener(&self) -> String {
        let settings = self.settings();
        let listeners = &settings.listeners;
        listeners.control_plane.as_ref().unwrap_or(&listeners.inter_broker).clone()
    }
}

/// Writes a line of the controller under the original's logger, at its level.
fn log(line: &LogLine) {
    macro_rules! write {
        (target: $target:literal) => {
            match line.severity {
                Severity::Info => tracing::info!(target: $target, "{}", line.text),
                Severity::Warn => tracing::warn!(target: $target, "{}", line.text),
                Severity::Error => tracing::error!(target: $target, "{}", line.text),
            }
        };
    }
    match line.logger {
        Logger::Controller => write!(target: "kafka.controller.KafkaController"),
        Logger::StateChange => write!(target: "state.change.logger"),
        Logger::Deletions => write!(target: "kafka.controller.TopicDeletionManager"),
    }
}
