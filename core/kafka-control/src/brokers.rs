//! Brokers that come, go and come back (upstream: `BrokerChange`, `BrokerModifications`).

use crate::controller::{Controller, Turn};
use crate::failover::{live_brokers, names};
use crate::message::TopicPartition;
use crate::operation::Operation;
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
                let found = live_brokers(&ids, outcomes);
                let known = &this.context.brokers;
                let same = |id: &i32| found.get(id).map(|live| live.epoch) == known.get(id).map(|live| live.epoch);
                let gone: Vec<i32> = known.keys().copied().filter(|id| !found.contains_key(id)).collect();
                let come: Vec<i32> = found.keys().copied().filter(|id| !same(id)).collect();
                let epochs = |brokers: &[i32]| brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let line = format!(
                    "Newly added brokers: {}, deleted brokers: {}, all live brokers: {}",
                    epochs(&come),
                    epochs(&gone),
                    epochs(&found.keys().copied().collect::<Vec<_>>())
                );
                this.log(&line, turn);
                this.context.brokers = found;
                // Who registered anew has looked at its directories anew, and says again what it can't serve.
                this.context.offline.retain(|(_, broker)| !come.contains(broker) && !gone.contains(broker));
                this.welcome(&come, turn);
            });
        });
    }

    /// New brokers learn everything, the others of them; then partitions without a live leader are looked at again.
    fn welcome(&mut self, come: &[i32], turn: &mut Turn<'_>) {
        let ids: Vec<TopicPartition> = self.context.partitions().map(|(id, _)| id).collect();
        let settled: Vec<TopicPartition> = ids.iter().filter(|id| self.has_live_leader(id)).cloned().collect();
        let (new, others): (Vec<i32>, Vec<i32>) =
            self.context.brokers.keys().copied().partition(|id| come.contains(id));
        self.tell_metadata(&others, &[], turn);
        self.tell_metadata(&new, &settled, turn);
        self.tell_replicas(&settled, Some(&new), false, turn);
        for broker in come {
            self.forget_answer(*broker);
        }
        self.bring_online(ids, turn, |this, turn| this.resume_deletions(turn));
    }
}
