//! What controllers tell this broker (upstream: `KafkaApis.handleLeaderAndIsrRequest` and its neighbours, `ReplicaManager`).
//!
//! Messages are carried out one after the other, in the order in which they came, by a job on a disk thread: new logs make folders.
//! A message of an older controller, or for an earlier life of this broker, is refused as a whole.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use base::{Job, Next, Now, Slow};
use kafka_control::{BrokerMessage, LEADER_DURING_DELETE, MessageBody};
use kafka_proto::ErrorCode;
use parking_lot::Mutex;

use super::wire::Codes;
use crate::broker::Broker;
use crate::topic_waits::TopicWaits;

/// The broker's epoch in messages of controllers that do not know it (before KIP-380).
const UNKNOWN_EPOCH: i64 = -1;

/// Messages that are to be carried out.
#[derive(Default)]
pub(super) struct Inbox(Mutex<Messages>);

#[derive(Default)]
struct Messages {
    waiting: VecDeque<Told>,
    /// Whether a job is at work on them.
    is_draining: bool,
    /// Messages of an older controller are refused (STALE_CONTROLLER_EPOCH).
    epoch_seen: i32,
}

/// A message that was refused as a whole.
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    pub(crate) message: Box<BrokerMessage>,
}

/// Takes what became of each partition, with no lock held.
type Then = Box<dyn FnOnce(&Arc<Broker>, Result<Codes, Refused>, Now) + Send>;

/// One message, and who waits for it to be carried out.
struct Told {
    message: BrokerMessage,
    then: Then,
}

/// Carries out the messages of the inbox.
struct Drain {
    broker: Arc<Broker>,
    /// The message that is due, once the settings of its new topics are read.
    prepared: Option<Told>,
}

impl Inbox {
    /// Whether everything is carried out.
    pub(super) fn is_idle(&self) -> bool {
        !self.0.lock().is_draining
    }
}

impl Drain {
    const fn new(broker: Arc<Broker>, prepared: Option<Told>) -> Self {
        Self { broker, prepared }
    }
}

impl Job for Drain {
    fn step(&mut self, slow: &Slow) -> Next {
        let broker = &self.broker;
        if let Some(Told { message, then }) = self.prepared.take() {
            let result = broker.carry_out(message, slow);
            TopicWaits::look_again(broker);
            then(broker, result, broker.host.now());
            return Next::More;
        }
        let told = {
            let mut inbox = broker.control.inbox.0.lock();
            let told = inbox.waiting.pop_front();
            inbox.is_draining = told.is_some();
            told
        };
        let Some(told) = told else {
            // The host looks whether clients may come now.
            broker.host.zookeeper_ready();
            return Next::Done;
        };
        let topics = match &told.message.body {
            MessageBody::LeaderAndIsr { partitions, .. } => broker.topics_without_logs(partitions),
            MessageBody::UpdateMetadata { .. } | MessageBody::StopReplica(_) => BTreeSet::new(),
        };
        if topics.is_empty() {
            self.prepared = Some(told);
            return Next::More;
        }
        // Another job goes on with it.
        broker.read_configs_of_new_topics(topics, move |broker| {
            let drain = Drain::new(broker.clone(), Some(told));
            broker.host.submit_for_request(Box::new(drain));
        });
        Next::Done
    }
}

impl Broker {
    /// Takes a controller's message, which is carried out behind those before it; then `then` is told what became of it, with no lock held.
    pub(crate) fn tell(
        self: &Arc<Self>,
        message: BrokerMessage,
        then: impl FnOnce(&Arc<Self>, Result<Codes, Refused>, Now) + Send + 'static,
    ) {
        let mut inbox = self.control.inbox.0.lock();
        inbox.waiting.push_back(Told { message, then: Box::new(then) });
        if !std::mem::replace(&mut inbox.is_draining, true) {
            self.host.submit_for_request(Box::new(Drain::new(self.clone(), None)));
        }
    }

    /// Does what a controller says, unless a newer one has spoken or the words were for an earlier life of this broker.
    fn carry_out(self: &Arc<Self>, message: BrokerMessage, slow: &Slow) -> Result<Codes, Refused> {
        if let Err(code) = self.check_epochs(&message) {
            return Err(Refused { code, message: Box::new(message) });
        }
        let now = self.host.now();
        match message.body {
            MessageBody::UpdateMetadata { brokers, partitions } => {
                let deleted = partitions.iter().filter(|state| state.leader_and_isr.leader == LEADER_DURING_DELETE);
                let deleted = deleted.map(|state| state.partition.topic.clone()).collect();
                self.metadata.write().update(message.controller, brokers, partitions);
                self.follow_again(now);
                self.groups_forget_topics(&deleted, now);
                self.look_for_controller(now);
                Ok(Codes::new())
            }
            MessageBody::LeaderAndIsr { partitions, .. } => Ok(self.become_leader_or_follower(partitions, now, slow)),
            MessageBody::StopReplica(replicas) => Ok(self.stop_replicas(replicas, now, slow)),
        }
    }

    fn check_epochs(&self, message: &BrokerMessage) -> Result<(), ErrorCode> {
        let BrokerMessage { broker_epoch, controller, controller_epoch, .. } = message;
        let name = match message.body {
            MessageBody::LeaderAndIsr { .. } => "LeaderAndIsr",
            MessageBody::UpdateMetadata { .. } => "update metadata",
            MessageBody::StopReplica(_) => "StopReplica",
        };
        let own_epoch = self.epoch();
        if *broker_epoch != UNKNOWN_EPOCH && *broker_epoch < own_epoch {
            tracing::info!(
                target: "kafka.server.KafkaApis",
                "[KafkaApi-{}] Received {name} request with broker epoch {broker_epoch} smaller than the current broker epoch {own_epoch}",
                self.id()
            );
            return Err(ErrorCode::STALE_BROKER_EPOCH);
        }
        let mut inbox = self.control.inbox.0.lock();
        let seen = inbox.epoch_seen;
        if *controller_epoch < seen {
            tracing::warn!(
                target: "state.change.logger",
                "[Broker id={}] Ignoring {name} request from controller {controller} since its controller epoch {controller_epoch} is old. Latest known controller epoch is {seen}",
                self.id()
            );
            return Err(ErrorCode::STALE_CONTROLLER_EPOCH);
        }
        inbox.epoch_seen = *controller_epoch;
        Ok(())
    }
}
