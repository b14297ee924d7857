//! The controller and the znode layout of Kafka 2.7.1.
//!
//! The znodes are the truth; the controller is a machine that reads them, decides, and says what to write and what to tell
//! the brokers. It holds no client: it hands out [`Operation`]s and is given their [`Outcome`]s. Each of its writes is a
//! multi with a check of `/controller_epoch`, so that a controller that lost its office changes nothing.

mod alter_isr;
mod assignment;
mod brokers;
mod context;
mod controlled_shutdown;
mod controller;
mod deletions;
mod elections;
mod failover;
mod features;
mod message;
mod notifications;
mod operation;
mod outbox;
mod partitions;
mod preferred;
mod reassign_requests;
mod reassignments;
mod request;
mod topics;
pub mod znode;

pub use assignment::{AssignmentError, BrokerRack, assign_replicas};
pub use controller::{Batch, BatchId, Controller, ControllerSettings, Effects, Event, LogLine, Logger, Severity};
pub use message::{
    BrokerAnswer, BrokerMessage, EPOCH_DURING_DELETE, LEADER_DURING_DELETE, MessageBody, NO_LEADER, PartitionState,
    StoppedReplica, TopicPartition,
};
pub use operation::{CreateMode, Failure, Operation, Outcome, Reply, ZNODE_BYTES_MAX, ZnodeStat};
pub use request::{
    Answer, ElectionType, FeatureUpdate, IsrChanged, IsrProposal, IsrsChanged, Refusal, Request, RequestId,
};
