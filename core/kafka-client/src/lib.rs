//! Producer, consumer and admin machines of Kafka's protocol, for the tools, the console and between brokers.
//!
//! Each is a [`Machine`]: inputs and the time come in, effects (connect, send, close, warn) go out, and no socket, clock or
//! thread is met here. They share [`network`], which agrees on versions with each broker and keeps the cluster's
//! description. Settings come from the property keys of the Java clients ([`ProducerConfig`], [`ConsumerConfig`],
//! [`AdminConfig`]); behaviour and words follow the clients of 2.7.1.

pub mod admin;
pub mod assignor;
pub mod config;
pub mod consumer;
pub mod metadata;
pub mod network;
pub mod partitioner;
pub mod producer;
pub mod traffic;

mod accumulator;
mod connection;
mod error;
mod fetch_session;
mod fetched;
mod group;
mod machine;

pub use admin::{Admin, CallId, CallOptions, To};
pub use config::{AdminConfig, ConfigError, ConsumerConfig, NetworkConfig, OffsetReset, ProducerConfig};
pub use consumer::{CommitOffset, Consumer, ConsumerEvent};
pub use error::ClientError;
pub use fetched::ConsumedRecord;
pub use machine::Machine;
pub use metadata::{Cluster, TopicPartition};
pub use network::{ConnectionId, Effect, Input, Interest};
pub use producer::{Delivered, Producer, ProducerRecord, RecordId, SendError};
