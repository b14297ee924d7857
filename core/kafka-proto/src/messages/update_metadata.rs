//! UpdateMetadata: the controller tells a broker what the cluster looks like (`UpdateMetadataRequest`, key 6).
//!
//! Versions 0-6, flexible from 6.
//!
//! - version 1: several endpoints a broker.
//! - version 2: rack.
//! - version 3: listener names (KIP-103).
//! - version 4: offline replicas (KIP-112).
//! - version 5: broker epoch (KIP-380), grouped by topic.

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `UpdateMetadataRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-6", flexible = "6+", api = UpdateMetadata)]
pub struct Request {
    /// Broker id of the controller; -1 if there is none.
    pub controller_id: i32,
    /// Epoch of the controller that speaks.
    pub controller_epoch: i32,
    /// The czxid of the broker's registration as the sender knows it; -1 if unknown.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub broker_epoch: i64,
    /// State of each partition, in versions that repeat the topic's name.
    #[wire(versions = "0-4")]
    pub ungrouped_partition_states: Vec<PartitionState>,
    /// State of each topic's partitions.
    #[wire(versions = "5+")]
    pub topic_states: Vec<TopicState>,
    /// The live brokers.
    pub live_brokers: Vec<LiveBroker>,
}

/// One element of [`Request::ungrouped_partition_states`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct PartitionState {
    /// Name of the topic.
    #[wire(versions = "0-4", ignorable)]
    pub topic_name: Str,
    /// Index of the partition.
    pub partition_index: i32,
    /// Epoch of the controller that speaks.
    pub controller_epoch: i32,
    /// Id of the leader; -1 without, -2 while the topic is being deleted.
    pub leader: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    pub leader_epoch: i32,
    /// Ids of the in-sync replicas.
    pub isr: Vec<i32>,
    /// Version of the partition's state znode.
    pub zk_version: i32,
    /// Ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Ids of the replicas whose broker or log directory is offline.
    #[wire(versions = "4+", ignorable)]
    pub offline_replicas: Vec<i32>,
}

/// One element of [`Request::topic_states`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct TopicState {
    /// Name of the topic.
    pub topic_name: Str,
    /// State of each partition.
    pub partition_states: Vec<PartitionState>,
}

/// One element of [`Request::live_brokers`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct LiveBroker {
    /// Id of the broker.
    pub broker_id: i32,
    /// Name or address of the host, in version 0.
    #[wire(versions = "0", ignorable)]
    pub host_v0: Str,
    /// TCP port, in version 0.
    #[wire(versions = "0", ignorable)]
    pub port_v0: i32,
    /// Where the broker listens.
    #[wire(versions = "1+", ignorable)]
    pub endpoints: Vec<Endpoint>,
    /// Rack of the broker, or null.
    #[wire(versions = "2+", ignorable)]
    pub rack: Option<Str>,
}

/// One element of [`LiveBroker::endpoints`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Endpoint {
    /// TCP port.
    pub port: i32,
    /// Name or address of the host.
    pub host: Str,
    /// Name of the listener.
    #[wire(versions = "3+", ignorable)]
    pub listener: Str,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// `UpdateMetadataResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-6", flexible = "6+")]
pub struct Response {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
}
