//! Brokers that come, go and come back (upstream: `BrokerChange`, `BrokerModifications`).

use std::collections::{BTreeMap, BTreeSet};

use crate::context::LiveBroker;
use crate::controller::{Controller, Turn, step};
use crate::elections::Rule;
use crate::failover::names;
use crate::message::TopicPartition;
use crate::operation::Operation;
use crate::outbox::{Outbox, joined};
use crate::znode;

impl Controller {
    /// Reads all registrations anew. A broker whose epoch changed went and came back between two looks.
    pub(crate) fn brokers_changed(&mut self, turn: &mut Turn<'_>) {
        let list = Operation::GetChildren { path: znode::BROKER_IDS.to_owned(), watch: true };
        self.ask(vec![list], turn, |this, outcomes, turn| {
            let Some(Ok(children)) = outcomes.into_iter().next().map(names) else { return };
            let ids: Vec<i32> = children.iter().filter_map(|id| id.parse().ok()).collect();
            let data = |id: &i32| Operation::GetData { path: znode::broker(*id), watch: true };
            let operations = ids.iter().map(data).collect();
            this.ask(operations, turn, move |this, outcomes, turn| {
                // Nobody is gone because nobody can be looked at.
                if let Ok(found) = this.live_brokers(&ids, outcomes, turn) {
                    this.compare_brokers(found, turn);
                }
            });
        });
    }

    fn compare_brokers(&mut self, found: BTreeMap<i32, LiveBroker>, turn: &mut Turn<'_>) {
        let known = &self.context.brokers;
        let all: Vec<i32> = found.keys().copied().collect();
        let gone: BTreeSet<i32> = known.keys().copied().filter(|id| !found.contains_key(id)).collect();
        let is_bounced =
            |id: &i32| known.get(id).is_some_and(|before| found.get(id).is_some_and(|now| now.epoch != before.epoch));
        let bounced: BTreeSet<i32> = all.iter().copied().filter(is_bounced).collect();
        let new: BTreeSet<i32> = all.iter().copied().filter(|id| !known.contains_key(id)).collect();
        let line = format!(
            "Newly added brokers: {}, deleted brokers: {}, bounced brokers: {}, all live brokers: {}",
            joined(&new),
            joined(&gone),
            joined(&bounced),
            joined(&all)
        );
        self.log(&line, turn);
        let mut come = found;
        come.retain(|id, _| new.contains(id) || bounced.contains(id));
        // Who bounced has lost its leaders and its place in the ISRs, and is given what is left for it then.
        let lost: BTreeSet<i32> = gone.union(&bounced).copied().collect();
        self.follow(vec![
            step(move |this, turn| this.lose(&lost, turn)),
            step(move |this, turn| this.welcome(come, turn)),
        ]);
    }

    /// Brokers are gone: others lead, the ISRs shrink, everybody learns what is offline, deletions wait.
    fn lose(&mut self, brokers: &BTreeSet<i32>, turn: &mut Turn<'_>) {
        if brokers.is_empty() {
            return;
        }
        self.log(&format!("Broker failure callback for {}", joined(brokers)), turn);
        let leaving: Vec<i32> = self.context.shutting_down.intersection(brokers).copied().collect();
        if !leaving.is_empty() {
            self.log(&format!("Removed {} from list of shutting down brokers.", joined(&leaving)), turn);
        }
        for broker in brokers {
            self.context.brokers.remove(broker);
            self.context.shutting_down.remove(broker);
            self.context.offline.remove(broker);
        }
        self.fail_deletions(brokers, turn);
        let ids = self.context.partitions_on(brokers);
        let mut outbox = Outbox::default();
        outbox.listeners(self.context.brokers.keys().copied());
        outbox.metadata(ids.iter().cloned());
        self.settle(ids, outbox, turn);
    }

    /// New brokers learn everything, the others of them; partitions without a leader may have one now, and what waited for the brokers
    /// goes on.
    fn welcome(&mut self, come: BTreeMap<i32, LiveBroker>, turn: &mut Turn<'_>) {
        if come.is_empty() {
            return;
        }
        let new: BTreeSet<i32> = come.keys().copied().collect();
        self.log(&format!("New broker startup callback for {}", joined(&new)), turn);
        let mut others = Outbox::default();
        others.listeners(self.context.brokers.keys().copied());
        self.context.brokers.extend(come);
        self.send(others, turn);
        let mut all = Outbox::default();
        all.listeners(new.iter().copied());
        all.metadata(self.context.partitions().map(|(id, _)| id).filter(|id| !self.context.is_deleting(&id.topic)));
        self.send(all, turn);
        let mut outbox = Outbox::default();
        for id in self.context.partitions_on(&new) {
            let Some(partition) = self.context.partition(&id) else { continue };
            for broker in partition.assignment.replicas.iter().filter(|broker| new.contains(broker)) {
                outbox.replica(*broker, id.clone(), partition.assignment.adding.contains(broker));
            }
        }
        let waiting: Vec<TopicPartition> =
            self.context.partitions().map(|(id, _)| id).filter(|id| !self.context.has_present_leader(id)).collect();
        self.follow(vec![
            step({
                let new = new.clone();
                move |this, turn| this.doubt(&new, turn)
            }),
            step({
                let new = new.clone();
                move |this, turn| this.resume_reassignments_to(&new, turn)
            }),
            step(move |this, turn| this.resume_deletions_on(&new, turn)),
        ]);
        self.settle(waiting, outbox, turn);
    }

    /// A broker whose session had expired may be taken into an ISR before it registers anew. Whether its process lives on nobody knows: it joins
    /// again, and the state is newer than its registration, by which a later controller tells who bounced.
    fn doubt(&mut self, new: &BTreeSet<i32>, turn: &mut Turn<'_>) {
        let own = self.own_life();
        let is_doubtful = |id: &TopicPartition| {
            let state = self.context.state(id).filter(|_| self.context.has_present_leader(id));
            state.is_some_and(|state| {
                let mut returned = state.leader_and_isr.isr.iter().filter(|member| new.contains(member));
                returned.any(|member| self.context.has_bounced(*member, state, own))
            })
        };
        let ids: Vec<TopicPartition> = self.context.partitions_on(new).into_iter().filter(is_doubtful).collect();
        self.settle_by(&Rule::TakeOver { own }, ids, Outbox::default(), turn);
    }

    /// A broker's own znode changed: it has other listeners.
    pub(crate) fn broker_modified(&mut self, broker: i32, turn: &mut Turn<'_>) {
        let data = Operation::GetData { path: znode::broker(broker), watch: true };
        self.ask(vec![data], turn, move |this, outcomes, turn| {
            let Ok(mut found) = this.live_brokers(&[broker], outcomes, turn) else { return };
            let Some((found, known)) = found.remove(&broker).zip(this.context.brokers.get_mut(&broker)) else { return };
            // One that registered anew in between is looked at when the list of brokers is.
            if found.epoch != known.epoch || found.registration.endpoints == known.registration.endpoints {
                return;
            }
            let endpoints =
                |live: &LiveBroker| joined(live.registration.endpoints.iter().map(znode::Endpoint::connection_string));
            let line = format!("Updated broker metadata: {broker} {} -> {}", endpoints(known), endpoints(&found));
            *known = found;
            this.log(&line, turn);
            this.log(&format!("Broker info update callback for {broker}"), turn);
            this.tell_metadata([], turn);
        });
    }
}
