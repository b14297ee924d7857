//! What brokers announce by znodes: ISRs that they changed themselves (before AlterIsr), and failed log directories (upstream:
//! `IsrChangeNotification`, `LogDirEventNotification`); and which replicas they can't serve, by their answers.

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_proto::ErrorCode;

use crate::controller::{Controller, Logger, Severity, Turn, step};
use crate::elections::Rule;
use crate::failover::names;
use crate::message::TopicPartition;
use crate::operation::{Operation, Outcome, Reply};
use crate::outbox::{Outbox, joined};
use crate::partitions::joined_ids;
use crate::znode::{self, IsrChange, LogDirEvent};

impl Controller {
    /// The states are read again and told, reassignments that waited for them are looked at; then the announcements go.
    pub(crate) fn isr_changes_announced(&mut self, turn: &mut Turn<'_>) {
        self.read_announcements(znode::ISR_CHANGES, turn, |this, paths, outcomes, turn| {
            let mut ids = BTreeSet::new();
            let (paths, contents) = read_ones(paths, outcomes);
            for content in contents {
                match IsrChange::decode(&content) {
                    Ok(change) => ids.extend(change.0),
                    Err(error) => this.error(&error.to_string(), turn),
                }
            }
            ids.retain(|id| this.context.partition(id).is_some());
            let ids: Vec<TopicPartition> = ids.into_iter().collect();
            let moving = ids.iter().filter(|id| this.context.reassigning.contains(id)).cloned().collect();
            this.follow(vec![
                step(move |this, turn| {
                    this.read_states(ids.clone(), turn, |this, turn| {
                        let mut outbox = Outbox::default();
                        if !ids.is_empty() {
                            outbox.listeners(this.context.brokers.keys().copied());
                            outbox.metadata(ids.iter().cloned());
                        }
                        // Who died before the ISR with it was announced leaves it now; who registered behind it joins again.
                        this.settle_by(&Rule::TakeOver { own: this.own_life() }, ids, outbox, turn);
                    });
                }),
                step(move |this, turn| this.complete_reassignments(moving, turn)),
                step(|this, turn| this.remove(paths, turn)),
            ]);
        });
    }

    /// The brokers are asked about all their replicas: their answers name those in failed directories.
    pub(crate) fn log_dir_events_announced(&mut self, turn: &mut Turn<'_>) {
        self.read_announcements(znode::LOG_DIR_EVENTS, turn, |this, paths, outcomes, turn| {
            let mut brokers = BTreeSet::new();
            let (paths, contents) = read_ones(paths, outcomes);
            for content in contents {
                match LogDirEvent::decode(&content) {
                    Ok(event) => {
                        brokers.insert(event.broker);
                    }
                    Err(error) => this.error(&error.to_string(), turn),
                }
            }
            this.log(&format!("Handling log directory failure for brokers {}", joined(&brokers)), turn);
            let mut outbox = Outbox::default();
            for id in this.context.partitions_on(&brokers) {
                let replicas = this.context.partition(&id).into_iter().flat_map(|found| &found.assignment.replicas);
                for broker in replicas.filter(|broker| brokers.contains(broker)) {
                    outbox.replica(*broker, id.clone(), false);
                }
            }
            this.send(outbox, turn);
            this.remove(paths, turn);
        });
    }

    /// Reads the children of `parent`, leaving a watch for more.
    fn read_announcements(
        &mut self,
        parent: &'static str,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, Vec<String>, Vec<Outcome>, &mut Turn<'_>) + Send + 'static,
    ) {
        let list = Operation::GetChildren { path: parent.to_owned(), watch: true };
        self.ask(vec![list], turn, move |this, outcomes, turn| {
            let children = outcomes.into_iter().next().and_then(|outcome| names(outcome).ok()).unwrap_or_default();
            if children.is_empty() {
                return;
            }
            let paths: Vec<String> = children.into_iter().map(|name| format!("{parent}/{name}")).collect();
            let data = |path: &String| Operation::GetData { path: path.clone(), watch: false };
            let operations = paths.iter().map(data).collect();
            this.ask(operations, turn, |this, outcomes, turn| then(this, paths, outcomes, turn));
        });
    }

    /// A broker says which of its replicas it serves and which it can't.
    pub(crate) fn replicas_answered(
        &mut self,
        broker: i32,
        replicas: Vec<(TopicPartition, ErrorCode)>,
        turn: &mut Turn<'_>,
    ) {
        let offline = self.context.offline.entry(broker).or_default();
        let (mut news, mut back) = (Vec::new(), Vec::new());
        for (id, code) in replicas {
            if code == ErrorCode::NONE {
                if offline.remove(&id) {
                    back.push(id);
                }
            } else if code == ErrorCode::KAFKA_STORAGE_ERROR && !offline.contains(&id) {
                news.push(id);
            }
        }
        news.retain(|id| self.context.partition(id).is_some());
        if !news.is_empty() {
            news.sort();
            news.dedup();
            let line = format!("Mark replicas {} on broker {broker} as offline", joined_ids(&news));
            self.log_to(Logger::StateChange, Severity::Info, &line, turn);
            self.replicas_offline(broker, news, turn);
        }
        back.retain(|id| self.context.partition(id).is_some());
        if !back.is_empty() {
            let line = format!("Mark replicas {} on broker {broker} as online", joined_ids(&back));
            self.log_to(Logger::StateChange, Severity::Info, &line, turn);
            self.replicas_back(broker, back, turn);
        }
    }

    /// A broker has room now for replicas that it had none for: those without a leader may have one, and what waited for them goes on.
    fn replicas_back(&mut self, broker: i32, mut ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        ids.retain(|id| !self.context.has_begun_deleting(&id.topic));
        let mut outbox = Outbox::default();
        outbox.listeners(self.context.brokers.keys().copied());
        outbox.metadata(ids.iter().cloned());
        ids.retain(|id| !self.context.has_present_leader(id));
        self.follow(vec![
            step(move |this, turn| this.resume_reassignments_to(&BTreeSet::from([broker]), turn)),
            step(move |this, turn| this.resume_deletions_on(&BTreeSet::from([broker]), turn)),
        ]);
        self.settle(ids, outbox, turn);
    }

    /// Others lead, or nobody does; the ISRs shrink; the broker stops what it can't serve; what was to be deleted there waits.
    fn replicas_offline(&mut self, broker: i32, mut ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        self.context.offline.entry(broker).or_default().extend(ids.iter().cloned());
        for id in &ids {
            if let Some(deletion) = self.context.deletions.get_mut(&id.topic)
                && deletion.asked.remove(&(id.partition, broker))
            {
                deletion.failed.insert((id.partition, broker));
            }
        }
        ids.retain(|id| !self.context.has_begun_deleting(&id.topic));
        let mut outbox = Outbox::default();
        outbox.listeners(self.context.brokers.keys().copied());
        outbox.metadata(ids.iter().cloned());
        for id in &ids {
            outbox.stop(broker, id.clone(), false);
        }
        self.settle(ids, outbox, turn);
    }
}

/// The announcements that could be read, and what stood in them. The others stay, for the next look.
fn read_ones(paths: Vec<String>, outcomes: Vec<Outcome>) -> (Vec<String>, Vec<Bytes>) {
    let read = paths.into_iter().zip(outcomes).filter_map(|(path, outcome)| match outcome {
        Ok(Reply::Data(content, _)) => Some((path, content.unwrap_or_default())),
        _ => None,
    });
    read.unzip()
}
