//! What is asked of the controller, by clients and by brokers, and what it answers, apart from any protocol version.
//!
//! A request goes in as [`Event::Request`](crate::Event::Request) and is answered once, in
//! [`Effects::answers`](crate::Effects::answers), by the id that it came with; at once with NOT_CONTROLLER where this broker does not hold
//! the office, or when it loses it meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use kafka_proto::ErrorCode;

use crate::message::TopicPartition;
use crate::znode::ReplicaAssignment;

/// Names a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A broker is about to stop: its leaders are to move (ControlledShutdown). Answered by [`Answer::ControlledShutdown`].
    ControlledShutdown {
        /// Who stops.
        broker: i32,
        /// Czxid of its registration; -1 of brokers that do not say it.
        broker_epoch: i64,
    },
    /// Leaders change their ISRs (AlterIsr, KIP-497). Answered by [`Answer::AlterIsr`].
    AlterIsr {
        /// The leader of all these partitions.
        broker: i32,
        /// Czxid of its registration.
        broker_epoch: i64,
        /// What it wants.
        proposals: Vec<IsrProposal>,
    },
    /// ElectLeaders (KIP-460). Answered by [`Answer::ElectLeaders`].
    ElectLeaders {
        /// Which replica may lead.
        election: ElectionType,
        /// These partitions; `None`: all of the cluster that want it.
        partitions: Option<BTreeSet<TopicPartition>>,
    },
    /// AlterPartitionReassignments (KIP-455): replicas for each partition; `None` cancels what is under way. Answered by
    /// [`Answer::AlterPartitionReassignments`].
    AlterPartitionReassignments(BTreeMap<TopicPartition, Option<Vec<i32>>>),
    /// ListPartitionReassignments (KIP-455): of these partitions, or all (`None`). Answered by [`Answer::ListPartitionReassignments`].
    ListPartitionReassignments(Option<BTreeSet<TopicPartition>>),
    /// UpdateFeatures (KIP-584). Answered by [`Answer::UpdateFeatures`].
    UpdateFeatures(BTreeMap<String, FeatureUpdate>),
}

/// A leader's wish for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// Which partition.
    pub partition: TopicPartition,
    /// Epoch of the leader that asks.
    pub leader_epoch: i32,
    /// The whole ISR that it wants.
    pub isr: Vec<i32>,
    /// Version of the state znode that the wish is based on.
    pub zk_version: i32,
}

/// Who may be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica of the assignment, if it is in sync (wire: 0).
    Preferred,
    /// Any live replica, where no in-sync one lives (wire: 1).
    Unclean,
}

/// A new finalized level of one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    /// Below 1 deletes the feature.
    pub version_level_max: i16,
    /// Whether the level may fall.
    pub allow_downgrade: bool,
}

/// An error with the original's words, if it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// The words.
    pub message: Option<String>,
}

impl Refusal {
    /// An error with words.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// An error with the words that belong to its code.
    pub fn of(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// The answer to a [`Request`]; the outer error is the request's as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The partitions that the broker still leads.
    ControlledShutdown(Result<BTreeSet<TopicPartition>, ErrorCode>),
    /// For each partition the new state, or why there is none.
    AlterIsr(Result<IsrsChanged, ErrorCode>),
    /// For each partition what became of it; with all partitions asked for, those alone that needed an election.
    ElectLeaders(Result<BTreeMap<TopicPartition, Result<(), Refusal>>, Refusal>),
    /// For each partition whether it was taken on.
    AlterPartitionReassignments(Result<BTreeMap<TopicPartition, Result<(), Refusal>>, Refusal>),
    /// What is under way.
    ListPartitionReassignments(Result<BTreeMap<TopicPartition, ReplicaAssignment>, Refusal>),
    /// For each feature what became of it.
    UpdateFeatures(Result<BTreeMap<String, Result<(), Refusal>>, Refusal>),
}

/// For each partition its new state, or why there is none.
pub type IsrsChanged = Vec<(TopicPartition, Result<IsrChanged, ErrorCode>)>;

/// A partition's state as the controller has written it for its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrChanged {
    /// The leader.
    pub leader: i32,
    /// Its epoch.
    pub leader_epoch: i32,
    /// The ISR.
    pub isr: Vec<i32>,
    /// Version of the state znode.
    pub zk_version: i32,
}

impl Request {
    /// The answer of who does not hold the office, or lost it meanwhile.
    pub fn refused(&self, code: ErrorCode) -> Answer {
        match self {
            Self::ControlledShutdown { .. } => Answer::ControlledShutdown(Err(code)),
            Self::AlterIsr { .. } => Answer::AlterIsr(Err(code)),
            Self::ElectLeaders { .. } => Answer::ElectLeaders(Err(code.into())),
            Self::AlterPartitionReassignments(_) => Answer::AlterPartitionReassignments(Err(Refusal::of(code))),
            Self::ListPartitionReassignments(_) => Answer::ListPartitionReassignments(Err(Refusal::of(code))),
            Self::UpdateFeatures(_) => Answer::UpdateFeatures(Err(Refusal::of(code))),
        }
    }
}
