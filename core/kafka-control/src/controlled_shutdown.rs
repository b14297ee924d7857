//! A broker that is about to stop hands over its leaders and leaves the ISRs (upstream: `doControlledShutdown`).

use std::collections::BTreeSet;

use kafka_proto::ErrorCode;

use crate::controller::{Controller, Turn};
use crate::elections::Rule;
use crate::message::TopicPartition;
use crate::outbox::Outbox;
use crate::partitions::Wishes;
use crate::request::Answer;

/// Epoch of a broker that does not say it.
const UNKNOWN_EPOCH: i64 = -1;

impl Controller {
    /// Moves the broker's leaders in one batch, takes it out of the ISRs where it follows and stops its replicas there. Partitions with one
    /// replica are left alone: nobody could take them over.
    pub(crate) fn shut_down(&mut self, broker: i32, broker_epoch: i64, turn: &mut Turn<'_>) {
        let Some(current) = self.context.brokers.get(&broker).map(|live| live.epoch) else {
            self.log(&format!("Broker id {broker} does not exist."), turn);
            return self.answer(Answer::ControlledShutdown(Err(ErrorCode::BROKER_NOT_AVAILABLE)), turn);
        };
        if broker_epoch != UNKNOWN_EPOCH && broker_epoch < current {
            let line = format!(
                "Received controlled shutdown request from an old broker epoch {broker_epoch} for broker {broker}. \
                 Current broker epoch is {current}."
            );
            self.log(&line, turn);
            return self.answer(Answer::ControlledShutdown(Err(ErrorCode::STALE_BROKER_EPOCH)), turn);
        }
        self.log(&format!("Shutting down broker {broker}"), turn);
        self.context.shutting_down.insert(broker);
        let mut wishes = Wishes::new();
        let mut stops = Outbox::default();
        for id in self.replicated_on(broker) {
            let rule = if self.context.leader(&id) == broker {
                Rule::ControlledShutdown
            } else {
                stops.stop(broker, id.clone(), false);
                Rule::Remove(broker)
            };
            wishes.insert(id, rule);
        }
        // In the same breath: that the broker's replicas count as offline from now on.
        let mut outbox = Outbox::default();
        outbox.listeners(self.context.brokers.keys().copied());
        outbox.metadata(wishes.keys().cloned());
        self.change_states(wishes, outbox, turn, move |this, _, turn| {
            this.send(stops, turn);
            let led = this.replicated_on(broker).into_iter().filter(|id| this.context.leader(id) == broker);
            let left: BTreeSet<TopicPartition> = led.collect();
            this.answer(Answer::ControlledShutdown(Ok(left)), turn);
        });
    }

    /// Partitions on the broker that other brokers hold too, and that have a state.
    fn replicated_on(&self, broker: i32) -> Vec<TopicPartition> {
        let mut ids = self.context.partitions_on(&BTreeSet::from([broker]));
        ids.retain(|id| {
            let partition = self.context.partition(id);
            !self.context.is_deleting(&id.topic)
                && partition
                    .is_some_and(|partition| partition.state.is_some() && partition.assignment.replicas.len() > 1)
        });
        ids
    }
}
