//! Fetch: reads batches, for consumers and followers (`FetchRequest`, key 1).
//!
//! Versions 0-12, flexible from 12.
//!
//! - version 1: throttle time.
//! - version 3: a limit for the whole answer, partitions in the order of the request.
//! - version 4: isolation level, magic 2 (KIP-98).
//! - version 5: log start offset.
//! - version 7: fetch sessions (KIP-227).
//! - version 9: leader epoch check (KIP-320).
//! - version 10: zstd (KIP-110).
//! - version 11: rack and preferred replica (KIP-392).
//! - version 12: last fetched epoch, diverging epoch and current leader as tagged fields (KIP-595).
//!
//! The response's records may be ranges of log files: see [`Records`].

use base::Str;
use wire_derive::{Message, Wire};

use crate::ErrorCode;
use crate::wire::Records;

/// `FetchRequest`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-12", flexible = "12+", api = Fetch)]
pub struct Request {
    /// Id of the cluster that the client means, or null.
    #[wire(versions = "12+", tag = 0)]
    pub cluster_id: Option<Str>,
    /// Broker id of the follower that asks; -1 for a consumer.
    pub replica_id: i32,
    /// How long the broker may wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// Fewest bytes to answer with before `max_wait_ms` is over.
    pub min_bytes: i32,
    /// Most bytes of the whole answer; the first batch is sent even if longer.
    #[wire(versions = "3+", default = i32::MAX, ignorable)]
    pub max_bytes: i32,
    /// 0 reads all below the high watermark, 1 only what was committed (KIP-98).
    #[wire(versions = "4+", ignorable)]
    pub isolation_level: i8,
    /// Id of the fetch session; 0 for none.
    #[wire(versions = "7+", ignorable)]
    pub session_id: i32,
    /// Place of this fetch in its session (KIP-227): 0 opens one, -1 closes it or fetches without.
    #[wire(versions = "7+", default = -1, ignorable)]
    pub session_epoch: i32,
    /// Partitions to fetch; in a session those that changed.
    pub topics: Vec<RequestTopic>,
    /// Partitions to take out of the fetch session.
    #[wire(versions = "7+")]
    pub forgotten_topics: Vec<ForgottenTopic>,
    /// Rack of the consumer; empty if unknown.
    #[wire(versions = "11+", ignorable)]
    pub rack_id: Str,
}

/// One element of [`Request::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestTopic {
    /// Name of the topic.
    pub topic: Str,
    /// The partitions.
    pub partitions: Vec<RequestPartition>,
}

/// One element of [`RequestTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct RequestPartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// Leader epoch that the client knows; -1 skips the check (KIP-320).
    #[wire(versions = "9+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// Offset of the first record wanted.
    pub fetch_offset: i64,
    /// Epoch of the last record the follower has; -1 if it has none or does not say.
    #[wire(versions = "12+", default = -1)]
    pub last_fetched_epoch: i32,
    /// First offset of the follower's log; -1 from a consumer.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// Most bytes of this partition; the first batch of the answer is sent even if longer.
    pub partition_max_bytes: i32,
}

/// One element of [`Request::forgotten_topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ForgottenTopic {
    /// Name of the topic.
    pub topic: Str,
    /// Indexes of the partitions.
    pub partitions: Vec<i32>,
}

/// `FetchResponse`.
#[derive(Clone, Debug, PartialEq, Message)]
#[wire(versions = "0-12", flexible = "12+")]
pub struct Response {
    /// Milliseconds that the client is throttled for exceeding a quota; 0 if not.
    #[wire(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    #[wire(versions = "7+", ignorable)]
    pub error_code: ErrorCode,
    /// Id of the fetch session; 0 for none.
    #[wire(versions = "7+")]
    pub session_id: i32,
    /// Fetched partitions; in a session those with something to say.
    pub topics: Vec<ResponseTopic>,
}

/// One element of [`Response::topics`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponseTopic {
    /// Name of the topic.
    pub topic: Str,
    /// The partitions.
    pub partitions: Vec<ResponsePartition>,
}

/// One element of [`ResponseTopic::partitions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct ResponsePartition {
    /// Index of the partition.
    pub partition_index: i32,
    /// What went wrong, or [`ErrorCode::NONE`].
    pub error_code: ErrorCode,
    /// End of what all in-sync replicas have; consumers see no further.
    pub high_watermark: i64,
    /// Offset below which every transaction is decided; -1 where transactions are not heeded.
    #[wire(versions = "4+", default = -1, ignorable)]
    pub last_stable_offset: i64,
    /// First offset of the log; -1 if unknown.
    #[wire(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// Where the log of a follower that sent its last epoch parts from the leader's (KIP-595).
    #[wire(versions = "12+", tag = 0)]
    pub diverging_epoch: EpochEndOffset,
    /// Who leads, told to a client that asked with an old epoch.
    #[wire(versions = "12+", tag = 1)]
    pub current_leader: LeaderAndEpoch,
    /// Transactions that were aborted and reach into the fetched range, by first offset; null unless the fetch is
    /// `read_committed`.
    #[wire(versions = "4+", ignorable)]
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Broker id of the replica that the consumer had better read from (KIP-392); -1 for none.
    #[wire(versions = "11+", default = -1)]
    pub preferred_read_replica: i32,
    /// Batches from the one that holds the fetch offset on; the last one may be cut short.
    pub records: Option<Records>,
}

/// Value of [`ResponsePartition::diverging_epoch`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct EpochEndOffset {
    /// The leader epoch; -1 if there is none.
    #[wire(default = -1)]
    pub epoch: i32,
    /// First offset that is no more of the epoch; -1 if unknown.
    #[wire(default = -1)]
    pub end_offset: i64,
}

/// Value of [`ResponsePartition::current_leader`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct LeaderAndEpoch {
    /// Broker id of the leader; -1 if there is none.
    #[wire(default = -1)]
    pub leader_id: i32,
    /// Epoch of the partition's leader; -1 if unknown.
    #[wire(default = -1)]
    pub leader_epoch: i32,
}

/// One element of [`ResponsePartition::aborted_transactions`].
#[derive(Clone, Debug, PartialEq, Wire)]
pub struct AbortedTransaction {
    /// Id of the producer; -1 if there is none.
    pub producer_id: i64,
    /// Offset of the first record of the transaction.
    pub first_offset: i64,
}
