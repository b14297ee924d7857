//! What a new controller does first: read everything, tell everybody, elect what needs a leader (upstream:
//! `onControllerFailover`).
//!
//! All reads of one kind go out in one pipelined batch: three round trips, however many topics there are.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::{LiveBroker, Partition, Topic};
use crate::controller::{Controller, Turn, step};
use crate::elections::Rule;
use crate::message::TopicPartition;
use crate::operation::{Failure, Operation, Outcome, Reply};
use crate::outbox::{Outbox, joined};
use crate::znode::{self, BrokerRegistration, TopicAssignment};

/// Leaders are balanced for the first time so long after the fail-over.
const FIRST_BALANCE_MS: u64 = 5_000;

/// What the first round trip of a fail-over gives.
struct Found {
    brokers: Vec<String>,
    topics: Vec<String>,
    deletions: Vec<String>,
    /// Paths of notifications from before, which are of no use: all is read anyway.
    old_news: Vec<String>,
    feature: Outcome,
    elections: Outcome,
    reassignments: Outcome,
}

impl Controller {
    /// Reads the cluster under watches, then goes to work.
    pub(crate) fn fail_over(&mut self, turn: &mut Turn<'_>) {
        self.log("Registering handlers", turn);
        let children = |path: &str| Operation::GetChildren { path: path.to_owned(), watch: true };
        let exists = |path: &str| Operation::Exists { path: path.to_owned(), watch: true };
        let data = |path: &str| Operation::GetData { path: path.to_owned(), watch: false };
        let operations = vec![
            children(znode::BROKER_IDS),
            children(znode::TOPICS),
            children(znode::DELETE_TOPICS),
            children(znode::ISR_CHANGES),
            children(znode::LOG_DIR_EVENTS),
            data(znode::FEATURE),
            data(znode::PREFERRED_ELECTION),
            data(znode::REASSIGN_PARTITIONS),
            exists(znode::FEATURE),
            exists(znode::PREFERRED_ELECTION),
            exists(znode::REASSIGN_PARTITIONS),
        ];
        self.ask(operations, turn, |this, outcomes, turn| match found(outcomes) {
            Ok(found) => this.load(found, turn),
            Err(failure) => this.leave_office(failure, turn),
        });
    }

    fn load(&mut self, found: Found, turn: &mut Turn<'_>) {
        let Found { brokers, topics, deletions, old_news, feature, elections, reassignments } = found;
        for line in ["Deleting log dir event notifications", "Deleting isr change notifications"] {
            self.log(line, turn);
        }
        let write_feature = self.set_up_features(feature, turn);
        self.follow(vec![
            step(move |this, turn| this.remove(old_news, turn)),
            step(move |this, turn| this.write_features(write_feature, turn)),
            step(move |this, turn| this.load_brokers_and_topics(&brokers, topics, turn)),
            step(|this, turn| {
                let ids = this.context.partitions().map(|(id, _)| id).collect();
                this.read_states(ids, turn, |_, _| {});
            }),
            step(move |this, turn| this.take_up_deletions(deletions, turn)),
            step(|this, turn| this.start_all(turn)),
            step(move |this, turn| this.resume_reassignments(reassignments, turn)),
            step(|this, turn| this.resume_all_deletions(turn)),
            step(move |this, turn| this.resume_preferred_election(elections, turn)),
            step(|this, turn| this.start_balancing(turn)),
        ]);
    }

    fn start_balancing(&mut self, turn: &mut Turn<'_>) {
        self.log("Starting the controller scheduler", turn);
        if self.settings.auto_leader_rebalance {
            self.balance_after(FIRST_BALANCE_MS, turn);
        }
    }

    fn load_brokers_and_topics(&mut self, brokers: &[String], topics: Vec<String>, turn: &mut Turn<'_>) {
        self.log("Initializing controller context", turn);
        let data = |path: String| Operation::GetData { path, watch: true };
        let broker_ids: Vec<i32> = brokers.iter().filter_map(|id| id.parse().ok()).collect();
        let mut operations: Vec<_> = broker_ids.iter().map(|id| data(znode::broker(*id))).collect();
        operations.extend(topics.iter().map(|topic| data(znode::topic(topic))));
        self.ask(operations, turn, move |this, mut outcomes, turn| {
            let of_topics = outcomes.split_off(broker_ids.len());
            let brokers = this.live_brokers(&broker_ids, outcomes, turn);
            match brokers.and_then(|brokers| this.take_topics(topics, of_topics, turn).map(|()| brokers)) {
                Ok(brokers) => this.context.brokers = brokers,
                Err(failure) => return this.leave_office(failure, turn),
            }
            let epochs = this.context.brokers.iter().map(|(id, live)| format!("{id} -> {}", live.epoch));
            this.log(&format!("Initialized broker epochs cache: Map({})", joined_wide(epochs)), turn);
        });
    }

    /// Keeps the topics that were read and are not gone; one whose content is broken is known, without partitions. Tells if one could not
    /// be read.
    pub(crate) fn take_topics(
        &mut self,
        topics: Vec<String>,
        outcomes: Vec<Outcome>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        for (topic, outcome) in topics.into_iter().zip(outcomes) {
            let content = match self.decode_topic(&topic, outcome, turn) {
                Ok(Some(content)) => content,
                Ok(None) => continue,
                Err(failure) => {
                    result = Err(failure);
                    continue;
                }
            };
            for (number, partition) in &content.partitions {
                if partition.assignment.is_being_reassigned() {
                    let id = TopicPartition { topic: topic.clone(), partition: *number };
                    self.context.reassigning.insert(id);
                }
            }
            self.context.topics.insert(topic, content);
        }
        result
    }

    /// Tells every broker of the cluster and of its replicas; elects leaders and shrinks ISRs where brokers are gone.
    fn start_all(&mut self, turn: &mut Turn<'_>) {
        let live = joined(self.context.live_brokers());
        self.log(&format!("Currently active brokers in the cluster: Set({live})"), turn);
        self.log("Sending update metadata request", turn);
        // Brokers must know each other before they are told to follow.
        self.tell_metadata([], turn);
        let ids: Vec<TopicPartition> = self.context.partitions().map(|(id, _)| id).collect();
        let mut outbox = Outbox::default();
        for id in &ids {
            self.announce(id, false, None, &mut outbox);
        }
        let epoch = self.active_epoch().unwrap_or_default();
        self.follow(vec![step(move |this, turn| {
            this.log(&format!("Ready to serve as the new controller with epoch {epoch}"), turn);
        })]);
        self.tell_bounced(&ids, turn);
        self.settle_by(&Rule::TakeOver { own: self.own_life() }, ids, outbox, turn);
    }

    /// Brokers that went and came back while nobody held the office.
    fn tell_bounced(&self, ids: &[TopicPartition], turn: &mut Turn<'_>) {
        let own = self.own_life();
        let mut bounced = BTreeSet::new();
        for state in ids.iter().filter_map(|id| self.context.state(id)) {
            let isr = state.leader_and_isr.isr.iter().copied();
            bounced.extend(isr.filter(|broker| self.context.has_bounced(*broker, state, own)));
        }
        if !bounced.is_empty() {
            self.log(&format!("Brokers that bounced since states were written: {}", joined(&bounced)), turn);
        }
    }

    /// The registrations of those of these brokers that are not gone, by id; a failure if one could not be read. One whose content is broken
    /// can't be told where it listens: it counts as gone.
    pub(crate) fn live_brokers(
        &self,
        ids: &[i32],
        outcomes: Vec<Outcome>,
        turn: &mut Turn<'_>,
    ) -> Result<BTreeMap<i32, LiveBroker>, Failure> {
        let mut live = BTreeMap::new();
        for (id, outcome) in ids.iter().zip(outcomes) {
            let (content, stat) = match outcome {
                Ok(Reply::Data(content, stat)) => (content, stat),
                Ok(_) | Err(Failure::NoNode) => continue,
                Err(failure) => {
                    self.error(&format!("Failed to read the registration of broker {id}: {failure}"), turn);
                    return Err(failure);
                }
            };
            match BrokerRegistration::decode(*id, &content.unwrap_or_default()) {
                Ok(registration) => {
                    live.insert(*id, LiveBroker { registration, epoch: stat.czxid });
                }
                Err(error) => self.error(&error.to_string(), turn),
            }
        }
        Ok(live)
    }

    /// A topic's partitions without their states; `None` if the topic is gone.
    pub(crate) fn decode_topic(
        &self,
        topic: &str,
        outcome: Outcome,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Topic>, Failure> {
        let (content, stat) = match outcome {
            Ok(Reply::Data(content, stat)) => (content.unwrap_or_default(), stat),
            Ok(_) | Err(Failure::NoNode) => return Ok(None),
            Err(failure) => {
                self.error(&format!("Failed to read topic {topic}: {failure}"), turn);
                return Err(failure);
            }
        };
        let assignment = TopicAssignment::decode(topic, &content).unwrap_or_else(|error| {
            self.error(&error.to_string(), turn);
            TopicAssignment::default()
        });
        let without_state = |(number, assignment)| (number, Partition { assignment, state: None });
        let partitions = assignment.0.into_iter().map(without_state).collect();
        Ok(Some(Topic { partitions, zk_version: stat.version }))
    }
}

fn found(outcomes: Vec<Outcome>) -> Result<Found, Failure> {
    let failures = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    if let Some(failure) = failures.copied().find(|failure| *failure != Failure::NoNode) {
        return Err(failure);
    }
    let mut outcomes = outcomes.into_iter();
    let mut next = || outcomes.next().unwrap_or(Err(Failure::NoNode));
    let (brokers, topics, deletions) = (names(next())?, names(next())?, names(next())?);
    let mut old_news = Vec::new();
    for parent in [znode::ISR_CHANGES, znode::LOG_DIR_EVENTS] {
        old_news.extend(names(next())?.into_iter().map(|name| format!("{parent}/{name}")));
    }
    let (feature, elections, reassignments) = (next(), next(), next());
    Ok(Found { brokers, topics, deletions, old_news, feature, elections, reassignments })
}

/// The names in a list of children; none where there is no parent.
pub(crate) fn names(outcome: Outcome) -> Result<Vec<String>, Failure> {
    match outcome {
        Ok(Reply::Children(names)) => Ok(names),
        Ok(_) | Err(Failure::NoNode) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

fn joined_wide(things: impl Iterator<Item = String>) -> String {
    things.collect::<Vec<_>>().join(", ")
}
