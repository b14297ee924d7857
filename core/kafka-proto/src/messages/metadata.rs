//! Metadata: tells brokers, controller, topics and leaders (`MetadataRequest`, key 3).
//!
//! Versions 0-9, flexible from 9.
//!
//! - version 1: null asks for all topics; controller, racks, internal topics.
//! - version 2: cluster id (KIP-78).
//! - version 3: throttle time.
//! - version 4: automatic creation may be declined (KIP-204).
//! - version 5: offline replicas (KIP-112).
//! - version 7: leader epochs (KIP-320).
//! - version 8: authorized operations (KIP-430).

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;

/// `MetadataRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-9", flexible = "9+", api = Metadata)]
pub struct Request {
    /// Topics to describe; null for all (in version 0 an empty list means all).
    #[wire(nullable = "1+")]
    pub topics: Option<Vec<RequestTopic>>,
    /// Whether an unknown topic may be created, where the broker allows that.
    #[wire(versions = "4+", default = true)]
    pub allow_auto_topic_creation: bool,
    /// Whether to tell what the caller may do on the cluster.
    #[wire(versions = "8+")]
    pub include_cluster_authorized_operations: bool,
    /// Whether to tell what the caller may do on the topics.
    #[wire(versions = "8+")]
    pub include_topic_authorized_operations: bool,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub name: Str,
}

/// `MetadataResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-9", flexible = "9+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    /// The live brokers.
    pub brokers: Vec<Broker>,
    /// Id of the cluster, or null if unknown.
    #[wire(versions = "2+", ignorable)]
    pub cluster_id: Option<Str>,
    /// Broker id of the controller; -1 if unknown.
    #[wire(versions = "1+", default = -1, ignorable)]
    pub controller_id: i32,
    /// The topics.
    pub topics: Vec<ResponseTopic>,
    /// Bits of the operations that the caller may do on the cluster; `i32::MIN` if not asked for.
    #[wire(versions = "8+", default = i32::MIN)]
    pub cluster_authorized_operations: i32,
}

/// One element of [`Response::brokers`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct Broker {
    /// Id of the broker; -1 if there is none.
    pub node_id: i32,
    /// Name or address of the host.
    pub host: Str,
    /// TCP port.
    pub port: i32,
    /// Rack of the broker, or null.
    #[wire(versions = "1+", ignorable)]
    pub rack: Option<Str>,
}

/// One element of [`Response::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseTopic {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Name of the topic.
    pub name: Str,
    /// Whether it is one of the cluster's own topics.
    #[wire(versions = "1+", ignorable)]
    pub is_internal: bool,
    /// The partitions.
    pub partitions: Vec<ResponsePartition>,
    /// Bits of the operations that the caller may do on the topic; `i32::MIN` if not asked for.
    #[wire(versions = "8+", default = i32::MIN)]
    pub topic_authorized_operations: i32,
}

/// One element of [`ResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponsePartition {
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// Index of the partition.
    pub partition_index: i32,
    /// Broker id of the leader; -1 if there is none.
    pub leader_id: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    #[wire(versions = "7+", default = -1, ignorable)]
    pub leader_epoch: i32,
    /// Ids of the replicas, the preferred leader first.
    pub replica_nodes: Vec<i32>,
    /// Ids of the in-sync replicas.
    pub isr_nodes: Vec<i32>,
    /// Ids of the replicas whose broker or log directory is offline.
    #[wire(versions = "5+", ignorable)]
    pub offline_replicas: Vec<i32>,
}
