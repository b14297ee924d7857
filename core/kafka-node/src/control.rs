//! Drives the controller's machine, and does what the controller tells this broker (upstream: `KafkaController`,
//! `KafkaApis.handleLeaderAndIsrRequest` and its neighbours).
//!
//! Messages are carried out one after the other, in the order in which they were decided, by a job on a disk thread: new logs
//! make folders.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Job, Next, Now, Slow};
use config::ApiVersion;
use kafka_control::{
    BrokerAnswer, BrokerMessage, Controller, ControllerSettings, Effects, Event, LEADER_DURING_DELETE, LogLine, Logger,
    MessageBody, Outcome, Severity,
};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::topic_waits::TopicWaits;

/// The controller of this broker, and the epoch of the newest one that it heard of.
#[derive(Default)]
pub(crate) struct Control {
    controller: Mutex<Option<Controller>>,
    inbox: Mutex<Inbox>,
}

/// What a controller told this broker and is not done yet.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<BrokerMessage>,
    /// Whether a job is at work on them.
    is_draining: bool,
    /// Messages of an older controller are refused (STALE_CONTROLLER_EPOCH).
    epoch_seen: i32,
}

/// Carries out the messages of the inbox.
struct Drain {
    broker: Arc<Broker>,
    /// The message that is due, once the settings of its new topics are read.
    prepared: Option<BrokerMessage>,
}

impl Drain {
    const fn new(broker: Arc<Broker>, prepared: Option<BrokerMessage>) -> Self {
        Self { broker, prepared }
    }
}

impl Job for Drain {
    fn step(&mut self, slow: &Slow) -> Next {
        let broker = &self.broker;
        if let Some(message) = self.prepared.take() {
            broker.carry_out(message, slow);
            TopicWaits::look_again(broker);
            return Next::More;
        }
        let message = {
            let mut inbox = broker.control.inbox.lock();
            let message = inbox.messages.pop_front();
            inbox.is_draining = message.is_some();
            message
        };
        let Some(message) = message else {
            // The host looks whether clients may come now.
            broker.host.zookeeper_ready();
            return Next::Done;
        };
        let topics = match &message.body {
            MessageBody::LeaderAndIsr { partitions, .. } => broker.topics_without_logs(partitions),
            MessageBody::UpdateMetadata { .. } | MessageBody::StopReplica(_) => BTreeSet::new(),
        };
        if topics.is_empty() {
            self.prepared = Some(message);
            return Next::More;
        }
        // Another job goes on with it.
        broker.read_configs_of_new_topics(topics, move |broker| {
            let drain = Drain::new(broker.clone(), Some(message));
            broker.host.submit_for_request(Box::new(drain));
        });
        Next::Done
    }
}

/// What moves the controller's machine.
enum Input {
    Event(Event),
    Outcomes(Vec<Outcome>),
}

impl Broker {
    /// Gives the controller an event. Before [`Broker::stand_for_controller`] there is none to take it.
    pub(crate) fn controller_event(self: &Arc<Self>, event: Event, now: Now) {
        self.run_controller(Input::Event(event), now);
    }

    /// The broker is registered under this session: its controller takes part in elections.
    pub(crate) fn stand_for_controller(self: &Arc<Self>, session: i64, now: Now) {
        let settings = self.settings();
        self.control.controller.lock().get_or_insert_with(|| {
            Controller::new(ControllerSettings {
                broker: self.id(),
                delete_topic_enable: settings.topics.delete,
                unclean_leader_election_enable: settings.topic.unclean_leader_election,
                feature_versioning: settings.inter_broker_protocol >= ApiVersion::V2_7_IV0,
                auto_leader_rebalance: settings.replication.auto_rebalance_leaders,
                imbalance_check_interval_s: u64::try_from(settings.replication.leader_imbalance_check_interval_s)
                    .unwrap_or(0),
                imbalance_percentage_max: u32::try_from(settings.replication.leader_imbalance_percent).unwrap_or(0),
            })
        });
        self.controller_event(Event::Registered { session }, now);
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
        let is_told = || {
            let inbox = self.control.inbox.lock();
            !inbox.is_draining && self.metadata.read().brokers.contains_key(&self.id())
        };
        self.epoch() >= 0 && (elected.is_some_and(|elected| elected != self.id()) || is_told())
    }

    /// Whether a topic is marked for deletion, as far as the controller on this broker knows.
    pub(crate) fn is_queued_for_deletion(&self, topic: &str) -> bool {
        self.control.controller.lock().as_ref().is_some_and(|controller| controller.is_queued_for_deletion(topic))
    }

    fn run_controller(self: &Arc<Self>, input: Input, now: Now) {
        let mut guard = self.control.controller.lock();
        let Some(controller) = guard.as_mut() else { return };
        let mut effects = Effects::default();
        match input {
            Input::Event(event) => controller.handle(event, now, &mut effects),
            Input::Outcomes(outcomes) => controller.outcomes(outcomes, now, &mut effects),
        }
        effects.log.iter().for_each(log);
        let own = self.id();
        self.tell(effects.messages.into_iter().filter(|message| message.broker == own).collect());
        if !effects.operations.is_empty() {
            self.ask_zookeeper(effects.operations, |broker, outcomes, now| {
                broker.run_controller(Input::Outcomes(outcomes), now);
            });
        }
    }

    /// Takes a controller's messages; they are carried out behind those before them.
    fn tell(self: &Arc<Self>, messages: Vec<BrokerMessage>) {
        if messages.is_empty() {
            return;
        }
        let mut inbox = self.control.inbox.lock();
        inbox.messages.extend(messages);
        if !std::mem::replace(&mut inbox.is_draining, true) {
            self.host.submit_for_request(Box::new(Drain::new(self.clone(), None)));
        }
    }

    /// Does what a controller says, unless a newer one has spoken or the words were for an earlier life of this broker.
    fn carry_out(self: &Arc<Self>, message: BrokerMessage, slow: &Slow) {
        {
            let mut inbox = self.control.inbox.lock();
            if message.controller_epoch < inbox.epoch_seen || message.broker_epoch < self.epoch() {
                return;
            }
            inbox.epoch_seen = message.controller_epoch;
        }
        let now = self.host.now();
        match message.body {
            MessageBody::UpdateMetadata { brokers, partitions } => {
                let deleted = partitions.iter().filter(|state| state.leader_and_isr.leader == LEADER_DURING_DELETE);
                let deleted = deleted.map(|state| state.partition.topic.clone()).collect();
                self.metadata.write().update(message.controller, brokers, partitions);
                self.follow_again(now);
                self.groups_forget_topics(&deleted, now);
            }
            MessageBody::LeaderAndIsr { partitions, .. } => {
                let codes = self.become_leader_or_follower(partitions, now, slow);
                self.answer_controller(BrokerAnswer::LeaderAndIsr(codes), now);
            }
            MessageBody::StopReplica(replicas) => {
                let to_delete: BTreeSet<_> =
                    replicas.iter().filter(|replica| replica.delete).map(|replica| replica.partition.clone()).collect();
                let mut codes = self.stop_replicas(replicas, now, slow);
                codes.retain(|(partition, _)| to_delete.contains(partition));
                if !codes.is_empty() {
                    self.answer_controller(BrokerAnswer::StopReplica(codes), now);
                }
            }
        }
    }

    /// Tells the controller of this broker, if it holds the office, what became of a message.
    pub(crate) fn answer_controller(self: &Arc<Self>, answer: BrokerAnswer, now: Now) {
        let Some(controller_epoch) = self.active_controller_epoch() else { return };
        let event = Event::Answered { broker: self.id(), broker_epoch: self.epoch(), controller_epoch, answer };
        self.controller_event(event, now);
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

impl Broker {
    /// Asks the controller. Until it can be asked, the answer is that it was not found, after which whoever asks tries again.
    pub(crate) fn ask_controller(
        self: &Arc<Self>,
        request: kafka_control::Request,
        then: impl FnOnce(&Arc<Self>, kafka_control::Answer, Now) + Send + 'static,
    ) {
        let broker = self.clone();
        self.host.submit(base::once(move |_| {
            let answer = request.refused(kafka_proto::ErrorCode::NOT_CONTROLLER);
            then(&broker, answer, broker.host.now());
        }));
    }
}
