//! The controller's office: how it is won, kept and lost (upstream: `KafkaController`).
//!
//! One event at a time. What an event needs from ZooKeeper is one batch of operations after another; each batch has a
//! continuation that takes the outcomes, and until the last one has run, further events wait in a queue. So the state is
//! read and changed in one place, in one order, as by the original's single thread.
//!
//! A continuation sees no batch that was cut off: where an operation found that the session is over or that there is a newer controller,
//! the office ends, and with it whatever was under way.
//!
//! What an event does in several parts is a list of steps: each runs when what the one before it asked for is done.

use std::collections::VecDeque;

use base::{Monotonic, Now};
use kafka_proto::ErrorCode;

use crate::context::{Context, OwnLife};
use crate::message::{BrokerAnswer, BrokerMessage, TopicPartition};
use crate::operation::{CreateMode, Failure, Operation, Outcome, Reply};
use crate::outbox::Outbox;
use crate::request::{Answer, Request, RequestId};
use crate::znode::{self, ControllerId};

/// What a controller is told by the broker's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerSettings {
    /// This broker.
    pub broker: i32,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `unclean.leader.election.enable` of the broker; topics may say otherwise.
    pub unclean_leader_election_enable: bool,
    /// Whether `inter.broker.protocol.version` is 2.7-IV0 or later: features are versioned (KIP-584).
    pub feature_versioning: bool,
    /// `auto.leader.rebalance.enable`
    pub auto_leader_rebalance: bool,
    /// `leader.imbalance.check.interval.seconds`
    pub imbalance_check_interval_s: u64,
    /// `leader.imbalance.per.broker.percentage`
    pub imbalance_percentage_max: u32,
}

/// What happens to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This broker is registered in ZooKeeper under this session: stand for election.
    Registered {
        /// The session that owns the registration.
        session: i64,
        /// The registration's czxid.
        broker_epoch: i64,
    },
    /// The session is over: the office is lost, and nothing of it may be written any more.
    SessionExpired,
    /// A watch fired on this path.
    Changed(String),
    /// A broker answered a message of this controller.
    Answered {
        /// Who answers.
        broker: i32,
        /// The epoch that the message was for: an answer of an earlier life says nothing.
        broker_epoch: i64,
        /// The office that the message was sent from: one of an earlier office says nothing either.
        controller_epoch: i32,
        /// What it says.
        answer: BrokerAnswer,
    },
    /// Something is asked; answered in [`Effects::answers`].
    Request(RequestId, Request),
    /// The time of [`Effects::wake_at`] has come.
    Tick,
    /// The broker's configuration changed.
    SettingsChanged(ControllerSettings),
    /// `unclean.leader.election.enable` became true for this topic.
    UncleanElectionEnabled {
        /// Its name.
        topic: String,
    },
}

/// What a controller wants done.
#[derive(Debug, Default)]
pub struct Effects {
    /// Work for ZooKeeper; its outcomes go to [`Controller::outcomes`].
    pub batch: Option<Batch>,
    /// Messages for brokers, in order for each broker.
    pub messages: Vec<BrokerMessage>,
    /// Answers to requests.
    pub answers: Vec<(RequestId, Answer)>,
    /// Give [`Event::Tick`] at this time or soon after; it takes the place of an earlier wish.
    pub wake_at: Option<Monotonic>,
    /// Log lines, in the original's words.
    pub log: Vec<LogLine>,
}

/// Operations that go to ZooKeeper together, pipelined in this order.
#[derive(Debug)]
pub struct Batch {
    /// Its name.
    pub id: BatchId,
    /// What is to be done.
    pub operations: Vec<Operation>,
}

/// Names a batch in its outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchId(u64);

/// A line for the broker's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The original's logger that writes it, which decides on the file.
    pub logger: Logger,
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub text: String,
}

/// The original's loggers of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logger {
    /// `kafka.controller.KafkaController`
    Controller,
    /// `state.change.logger`: what became of single partitions.
    StateChange,
    /// `kafka.controller.TopicDeletionManager`
    Deletions,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The course of things.
    Info,
    /// It is odd, and works.
    Warn,
    /// A person must act.
    Error,
}

/// What to do with the outcomes of a batch.
type Then = Box<dyn FnOnce(&mut Controller, Vec<Outcome>, &mut Turn<'_>) + Send>;

/// A part of what an event does.
pub(crate) type Step = Box<dyn FnOnce(&mut Controller, &mut Turn<'_>) + Send>;

/// The step that calls `run`.
pub(crate) fn step(run: impl FnOnce(&mut Controller, &mut Turn<'_>) + Send + 'static) -> Step {
    Box::new(run)
}

/// One turn of the machine: the time, and where effects go.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) effects: &'a mut Effects,
}

/// The office of this broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Office {
    /// Another broker holds it, or nobody does.
    Idle,
    /// This broker holds it.
    Active {
        /// How many controllers there were, this one included.
        epoch: i32,
        /// Data version of `/controller_epoch`, which every write checks.
        epoch_zk_version: i32,
    },
}

/// A broker's part in the controller's office.
pub struct Controller {
    pub(crate) settings: ControllerSettings,
    pub(crate) context: Context,
    /// When leaders are balanced next.
    pub(crate) balance_at: Option<Monotonic>,
    office: Office,
    /// The broker that holds the office, as far as known.
    elected: Option<i32>,
    session: Option<i64>,
    /// Known from the first registration on.
    own: OwnLife,
    queue: VecDeque<Event>,
    /// What is left to do of the event under way; the last one is next.
    steps: Vec<Step>,
    waiting: Option<(BatchId, Then)>,
    /// So many batches were asked for.
    batches: u64,
    /// The request under way, until it is answered.
    asked: Option<(RequestId, Request)>,
}

impl Controller {
    /// A controller that waits for [`Event::Registered`].
    pub fn new(settings: ControllerSettings) -> Self {
        let own = OwnLife { broker: settings.broker, since: i64::MAX };
        Self {
            settings,
            own,
            context: Context::default(),
            balance_at: None,
            office: Office::Idle,
            elected: None,
            session: None,
            queue: VecDeque::new(),
            steps: Vec::new(),
            waiting: None,
            batches: 0,
            asked: None,
        }
    }

    /// The broker that holds the office, as far as this one knows.
    pub const fn elected(&self) -> Option<i32> {
        self.elected
    }

    /// The epoch of the office if this broker holds it.
    pub const fn active_epoch(&self) -> Option<i32> {
        match self.office {
            Office::Active { epoch, .. } => Some(epoch),
            Office::Idle => None,
        }
    }

    pub(crate) const fn own_life(&self) -> OwnLife {
        self.own
    }

    /// Whether the deletion of a topic was asked for and is not finished.
    pub fn is_queued_for_deletion(&self, topic: &str) -> bool {
        self.context.is_deleting(topic)
    }

    /// Takes an event; runs it at once, or when those before it are done.
    pub fn handle(&mut self, event: Event, now: Now, effects: &mut Effects) {
        let turn = &mut Turn { now, effects };
        if event == Event::SessionExpired {
            self.drop_all(turn);
        }
        self.queue.push_back(event);
        self.run(turn);
    }

    /// Takes the outcomes of a batch, one for each of its operations. Those of one that was given up meanwhile say nothing any more.
    ///
    /// A batch that failed with its session does what [`Event::SessionExpired`] does, whichever comes first.
    pub fn outcomes(&mut self, batch: BatchId, outcomes: Vec<Outcome>, now: Now, effects: &mut Effects) {
        let Some((_, then)) = self.waiting.take_if(|(waited, _)| *waited == batch) else { return };
        let turn = &mut Turn { now, effects };
        let has_failed_by = |failure| outcomes.contains(&Err(failure));
        if has_failed_by(Failure::SessionExpired) || has_failed_by(Failure::ConnectionLoss) {
            self.drop_all(turn);
            self.queue.push_back(Event::SessionExpired);
        } else if has_failed_by(Failure::Fenced) {
            self.step_back(turn);
        } else {
            then(self, outcomes, turn);
        }
        self.run(turn);
    }

    /// What was asked under the old session will not be answered, and must not be acted on.
    fn drop_all(&mut self, turn: &mut Turn<'_>) {
        self.waiting = None;
        self.steps.clear();
        self.refuse(ErrorCode::NOT_CONTROLLER, turn);
        for event in std::mem::take(&mut self.queue) {
            match event {
                Event::Request(id, request) => {
                    turn.effects.answers.push((id, request.refused(ErrorCode::NOT_CONTROLLER)));
                }
                Event::SettingsChanged(settings) => self.settings = settings,
                _ => {}
            }
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        while self.waiting.is_none() {
            if let Some(step) = self.steps.pop() {
                step(self, turn);
            } else {
                // Whatever ended before it could say more: the original's answer to what it did not foresee.
                self.refuse(ErrorCode::UNKNOWN_SERVER_ERROR, turn);
                let Some(event) = self.queue.pop_front() else { return };
                self.process(event, turn);
            }
        }
    }

    fn process(&mut self, event: Event, turn: &mut Turn<'_>) {
        match event {
            Event::Registered { session, broker_epoch } => {
                self.own.since = self.own.since.min(broker_epoch);
                self.session = Some(session);
                self.elect(turn);
            }
            Event::SessionExpired => {
                self.session = None;
                self.elected = None;
                self.resign(turn);
            }
            Event::Changed(path) if path == znode::CONTROLLER => self.elect(turn),
            Event::SettingsChanged(settings) => self.settings_changed(settings, turn),
            Event::Request(id, request) if self.active_epoch().is_none() => {
                turn.effects.answers.push((id, request.refused(ErrorCode::NOT_CONTROLLER)));
            }
            _ if self.active_epoch().is_none() => {}
            Event::Request(id, request) => {
                self.asked = Some((id, request.clone()));
                self.requested(request, turn);
            }
            Event::Changed(path) => self.changed(&path, turn),
            Event::Answered { broker, broker_epoch, controller_epoch, answer } => {
                let live = self.context.brokers.get(&broker);
                if live.is_some_and(|live| live.epoch == broker_epoch) && self.active_epoch() == Some(controller_epoch)
                {
                    self.answered(broker, answer, turn);
                }
            }
            Event::Tick => self.balance_when_due(turn),
            Event::UncleanElectionEnabled { topic } => {
                self.log(&format!("Unclean leader election has been enabled for topic {topic}"), turn);
                let ids = self.context.partitions_of(&topic);
                self.elect_where_missing(ids, turn);
            }
        }
    }

    fn settings_changed(&mut self, settings: ControllerSettings, turn: &mut Turn<'_>) {
        let is_unclean_news = settings.unclean_leader_election_enable && !self.settings.unclean_leader_election_enable;
        self.settings = settings;
        if is_unclean_news && self.active_epoch().is_some() {
            self.log("Unclean leader election has been enabled by default", turn);
            let ids = self.context.partitions().map(|(id, _)| id).collect();
            self.elect_where_missing(ids, turn);
        }
    }

    fn elect_where_missing(&mut self, mut ids: Vec<TopicPartition>, turn: &mut Turn<'_>) {
        ids.retain(|id| !self.context.has_begun_deleting(&id.topic) && !self.context.has_present_leader(id));
        self.settle(ids, Outbox::default(), turn);
    }

    fn changed(&mut self, path: &str, turn: &mut Turn<'_>) {
        match path {
            znode::BROKER_IDS => self.brokers_changed(turn),
            znode::TOPICS => self.topics_changed(turn),
            znode::DELETE_TOPICS => self.deletions_changed(turn),
            znode::ISR_CHANGES => self.isr_changes_announced(turn),
            znode::LOG_DIR_EVENTS => self.log_dir_events_announced(turn),
            znode::PREFERRED_ELECTION => self.preferred_election_changed(turn),
            znode::REASSIGN_PARTITIONS => self.reassign_partitions_changed(turn),
            znode::FEATURE => self.features_changed(turn),
            _ => {
                let below = |parent: &str| path.strip_prefix(parent)?.strip_prefix('/');
                if let Some(topic) = below(znode::TOPICS) {
                    self.partitions_changed(topic.to_owned(), turn);
                } else if let Some(Ok(broker)) = below(znode::BROKER_IDS).map(str::parse) {
                    self.broker_modified(broker, turn);
                }
            }
        }
    }

    fn requested(&mut self, request: Request, turn: &mut Turn<'_>) {
        match request {
            Request::ControlledShutdown { broker, broker_epoch } => self.shut_down(broker, broker_epoch, turn),
            Request::AlterIsr { broker, broker_epoch, proposals } => {
                self.alter_isr(broker, broker_epoch, proposals, turn);
            }
            Request::ElectLeaders { election, partitions } => self.elect_leaders(election, partitions, turn),
            Request::AlterPartitionReassignments(wishes) => self.alter_reassignments(wishes),
            Request::ListPartitionReassignments(ids) => self.list_reassignments(ids, turn),
            Request::UpdateFeatures(updates) => self.update_features(updates, turn),
        }
    }

    fn answered(&mut self, broker: i32, answer: BrokerAnswer, turn: &mut Turn<'_>) {
        match answer {
            BrokerAnswer::StopReplica(replicas) => self.replicas_deleted(broker, replicas, turn),
            BrokerAnswer::LeaderAndIsr(replicas) => self.replicas_answered(broker, replicas, turn),
        }
    }

    /// Answers the request under way.
    pub(crate) fn answer(&mut self, answer: Answer, turn: &mut Turn<'_>) {
        if let Some((id, _)) = self.asked.take() {
            turn.effects.answers.push((id, answer));
        }
    }

    fn refuse(&mut self, code: ErrorCode, turn: &mut Turn<'_>) {
        if let Some((id, request)) = self.asked.take() {
            turn.effects.answers.push((id, request.refused(code)));
        }
    }

    /// Puts these steps before those that wait; they run in this order, when what is asked for now is done.
    pub(crate) fn follow(&mut self, steps: Vec<Step>) {
        self.steps.extend(steps.into_iter().rev());
    }

    /// Asks ZooKeeper, and goes on with `then`; at once if there is nothing to ask.
    pub(crate) fn ask(
        &mut self,
        operations: Vec<Operation>,
        turn: &mut Turn<'_>,
        then: impl FnOnce(&mut Self, Vec<Outcome>, &mut Turn<'_>) + Send + 'static,
    ) {
        if operations.is_empty() {
            return then(self, Vec::new(), turn);
        }
        debug_assert!(self.waiting.is_none() && turn.effects.batch.is_none(), "one batch is under way at most");
        self.batches += 1;
        let id = BatchId(self.batches);
        turn.effects.batch = Some(Batch { id, operations });
        self.waiting = Some((id, Box::new(then)));
    }

    /// The operation under the fence: it is done only while this controller is the newest.
    pub(crate) fn fenced(&self, operation: Operation) -> Operation {
        let Office::Active { epoch_zk_version, .. } = self.office else { return operation };
        let check = Operation::Check { path: znode::CONTROLLER_EPOCH.to_owned(), version: epoch_zk_version };
        Operation::Multi(vec![check, operation])
    }

    /// Writes under the fence where it does not matter whether the znode was there; failures that do not end the office are logged.
    pub(crate) fn remove(&mut self, paths: Vec<String>, turn: &mut Turn<'_>) {
        let delete = |path: &String| self.fenced(Operation::Delete { path: path.clone(), version: -1 });
        let operations = paths.iter().map(delete).collect();
        self.ask(operations, turn, move |this, outcomes, turn| {
            for (path, outcome) in paths.iter().zip(outcomes) {
                if let Err(failure) = outcome
                    && failure != Failure::NoNode
                {
                    this.error(&format!("Failed to delete {path}: {failure}"), turn);
                }
            }
        });
    }

    /// There was a newer controller: looks who holds the office, and stands if nobody does.
    fn step_back(&mut self, turn: &mut Turn<'_>) {
        self.log(&format!("Controller moved to another broker: {}", Failure::Fenced), turn);
        self.resign(turn);
        self.elect(turn);
    }

    /// Without what could not be read the office can't be held: it is left, and whoever stands next tries anew (upstream:
    /// `triggerControllerMove`).
    pub(crate) fn leave_office(&mut self, failure: Failure, turn: &mut Turn<'_>) {
        let me = self.settings.broker;
        let line = format!(
            "Error while electing or becoming controller on broker {me}. Trigger controller movement immediately: {failure}"
        );
        self.error(&line, turn);
        self.remove(vec![znode::CONTROLLER.to_owned()], turn);
        self.resign(turn);
    }

    pub(crate) fn log(&self, line: &str, turn: &mut Turn<'_>) {
        self.log_to(Logger::Controller, Severity::Info, line, turn);
    }

    pub(crate) fn warn(&self, line: &str, turn: &mut Turn<'_>) {
        self.log_to(Logger::Controller, Severity::Warn, line, turn);
    }

    pub(crate) fn error(&self, line: &str, turn: &mut Turn<'_>) {
        self.log_to(Logger::Controller, Severity::Error, line, turn);
    }

    pub(crate) fn log_to(&self, logger: Logger, severity: Severity, line: &str, turn: &mut Turn<'_>) {
        let me = self.settings.broker;
        let text = match (logger, self.active_epoch()) {
            (Logger::Deletions, _) => format!("[Topic Deletion Manager {me}] {line}"),
            (Logger::StateChange, Some(epoch)) => format!("[Controller id={me} epoch={epoch}] {line}"),
            (Logger::Controller | Logger::StateChange, _) => format!("[Controller id={me}] {line}"),
        };
        turn.effects.log.push(LogLine { logger, severity, text });
    }

    fn resign(&mut self, turn: &mut Turn<'_>) {
        self.refuse(ErrorCode::NOT_CONTROLLER, turn);
        if self.active_epoch().is_some() {
            self.log("Resigned", turn);
        }
        self.office = Office::Idle;
        self.context = Context::default();
        self.balance_at = None;
        self.steps.clear();
    }

    /// Reads who is controller, leaving a watch, and stands if nobody is.
    fn elect(&mut self, turn: &mut Turn<'_>) {
        let controller = znode::CONTROLLER.to_owned();
        // The epoch first: it is ours if the office still is when that is read.
        let operations = vec![
            Operation::GetData { path: znode::CONTROLLER_EPOCH.to_owned(), watch: false },
            Operation::Exists { path: controller.clone(), watch: true },
            Operation::GetData { path: controller, watch: false },
        ];
        self.ask(operations, turn, |this, outcomes, turn| match outcomes.as_slice() {
            [epoch, _, Ok(Reply::Data(content, stat))] => {
                let elected = ControllerId::decode(content.as_deref().unwrap_or_default());
                this.elected = elected.ok().map(|elected| elected.broker);
                let ours = this.elected == Some(this.settings.broker) && Some(stat.ephemeral_owner) == this.session;
                match (ours, this.active_epoch()) {
                    (true, Some(_)) => {}
                    (true, None) => this.take_office(epoch, turn),
                    (false, _) => this.resign(turn),
                }
            }
            [epoch, _, Err(Failure::NoNode)] => {
                this.resign(turn);
                this.elected = None;
                this.stand(epoch.clone(), turn);
            }
            _ => this.resign(turn),
        });
    }

    /// A registration whose answer was lost has made us controller after all.
    fn take_office(&mut self, epoch: &Outcome, turn: &mut Turn<'_>) {
        if let Ok(Reply::Data(content, stat)) = epoch
            && let Ok(epoch) = znode::decode_epoch(content.as_deref().unwrap_or_default())
        {
            self.office = Office::Active { epoch, epoch_zk_version: stat.version };
            self.fail_over(turn);
        }
    }

    /// Nobody is controller: makes the epoch's znode if it is the first, then takes the office and raises the epoch at once.
    fn stand(&mut self, epoch: Outcome, turn: &mut Turn<'_>) {
        let (epoch, version) = match epoch {
            Ok(Reply::Data(content, stat)) => match znode::decode_epoch(content.as_deref().unwrap_or_default()) {
                Ok(epoch) => (epoch, stat.version),
                Err(error) => return self.error(&error.to_string(), turn),
            },
            Err(Failure::NoNode) => {
                let create = Operation::Create {
                    path: znode::CONTROLLER_EPOCH.to_owned(),
                    data: Some(znode::encode_epoch(0)),
                    mode: CreateMode::Persistent,
                };
                return self.ask(vec![create], turn, |this, outcomes, turn| match outcomes.first() {
                    Some(Ok(_)) => this.register(0, 0, turn),
                    _ => this.elect(turn),
                });
            }
            _ => return,
        };
        self.register(epoch, version, turn);
    }

    fn register(&mut self, epoch: i32, version: i32, turn: &mut Turn<'_>) {
        let me = ControllerId { broker: self.settings.broker, timestamp_ms: turn.now.wall_ms };
        let operations = Operation::Multi(vec![
            Operation::Create {
                path: znode::CONTROLLER.to_owned(),
                data: Some(me.encode()),
                mode: CreateMode::Ephemeral,
            },
            Operation::SetData {
                path: znode::CONTROLLER_EPOCH.to_owned(),
                data: Some(znode::encode_epoch(epoch + 1)),
                version,
            },
        ]);
        self.ask(vec![operations], turn, move |this, outcomes, turn| match outcomes.into_iter().next() {
            Some(Ok(Reply::Multi(replies))) => {
                let Some(Reply::Stat(stat)) = replies.last() else { return };
                this.office = Office::Active { epoch: epoch + 1, epoch_zk_version: stat.version };
                this.elected = Some(this.settings.broker);
                this.log(
                    &format!(
                        "{} successfully elected as the controller. Epoch incremented to {} and epoch zk version is now {}",
                        this.settings.broker,
                        epoch + 1,
                        stat.version
                    ),
                    turn,
                );
                this.fail_over(turn);
            }
            None => {}
            // Somebody else was quicker, or the answer was lost: look again.
            Some(_) => this.elect(turn),
        });
    }
}
