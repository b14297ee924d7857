//! Topics that are made and grow (upstream: `TopicChange`, `PartitionModifications`).

use std::collections::BTreeSet;

use crate::controller::{Controller, Turn};
use crate::failover::names;
use crate::message::TopicPartition;
use crate::operation::{Failure, Operation};
use crate::outbox::{Outbox, joined};
use crate::partitions::joined_ids;
use crate::znode;

impl Controller {
    /// The list of topics changed: new ones get leaders, those that are gone are forgotten.
    pub(crate) fn topics_changed(&mut self, turn: &mut Turn<'_>) {
        let list = Operation::GetChildren { path: znode::TOPICS.to_owned(), watch: true };
        self.ask(vec![list], turn, |this, outcomes, turn| {
            let Some(Ok(found)) = outcomes.into_iter().next().map(names) else { return };
            let found: BTreeSet<String> = found.into_iter().collect();
            let is_known = |topic: &&String| this.context.topics.contains_key(*topic);
            let new: Vec<String> = found.iter().filter(|topic| !is_known(topic)).cloned().collect();
            let gone: Vec<String> =
                this.context.topics.keys().filter(|topic| !found.contains(*topic)).cloned().collect();
            for topic in &gone {
                this.forget_topic(topic);
            }
            this.log(&format!("New topics: [Set({})], deleted topics: [Set({})]", joined(&new), joined(&gone)), turn);
            let data = |topic: &String| Operation::GetData { path: znode::topic(topic), watch: true };
            let operations = new.iter().map(data).collect();
            this.ask(operations, turn, move |this, outcomes, turn| {
                // One that can't be read is looked for at the next change.
                let _is_logged = this.take_topics(new.clone(), outcomes, turn);
                let ids = new.iter().flat_map(|topic| this.context.partitions_of(topic)).collect();
                this.bring_new_online(ids, turn);
            });
        });
    }

    /// The topic is no more.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        for id in self.context.partitions_of(topic) {
            self.context.reassigning.remove(&id);
            for offline in self.context.offline.values_mut() {
                offline.remove(&id);
            }
        }
        self.context.topics.remove(topic);
        self.context.deletions.remove(topic);
    }

    /// A topic's znode changed: partitions were added.
    pub(crate) fn partitions_changed(&mut self, topic: String, turn: &mut Turn<'_>) {
        let data = Operation::GetData { path: znode::topic(&topic), watch: true };
        self.ask(vec![data], turn, move |this, outcomes, turn| {
            let outcome = outcomes.into_iter().next().unwrap_or(Err(Failure::NoNode));
            let Ok(Some(mut found)) = this.decode_topic(&topic, outcome, turn) else { return };
            let Some(known) = this.context.topics.get_mut(&topic) else { return };
            known.zk_version = found.zk_version;
            found.partitions.retain(|number, _| !known.partitions.contains_key(number));
            if found.partitions.is_empty() {
                return;
            }
            if this.context.is_deleting(&topic) {
                let line = format!(
                    "Skipping adding partitions {} for topic {topic} since it is currently being deleted",
                    joined(found.partitions.keys())
                );
                this.warn(&line, turn);
                return this.restore_partitions(&topic, turn);
            }
            let id = |number: &i32| TopicPartition { topic: topic.clone(), partition: *number };
            let ids: Vec<TopicPartition> = found.partitions.keys().map(id).collect();
            this.log(&format!("New partitions to be added {}", joined_ids(&ids)), turn);
            if let Some(known) = this.context.topics.get_mut(&topic) {
                known.partitions.extend(found.partitions);
            }
            this.bring_new_online(ids, turn);
        });
    }

    /// Writes the topic's znode as it was before partitions were added to a topic that goes.
    fn restore_partitions(&mut self, topic: &str, turn: &mut Turn<'_>) {
        let Some(known) = self.context.topics.get(topic) else { return };
        self.log(&format!("Restoring the partition replica assignment for topic {topic}"), turn);
        let data = Some(known.assignment().encode());
        let write = Operation::SetData { path: znode::topic(topic), data, version: known.zk_version };
        self.ask(vec![self.fenced(write)], turn, |_, _, _| {});
    }

    /// A partition that looks new may have a state from before, when the controller changed in between.
    fn bring_new_online(&mut self, ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        if ids.is_empty() {
            return;
        }
        self.log(&format!("New partition creation callback for {}", joined_ids(&ids)), turn);
        self.read_states(ids.clone(), turn, |this, turn| {
            // Those from before are told as they are.
            let mut outbox = Outbox::default();
            for id in ids.iter().filter(|id| this.context.state(id).is_some()) {
                this.announce(id, false, None, &mut outbox);
            }
            this.settle(ids, outbox, turn);
        });
    }
}
