//! A partition's log: segments, indexes, producer state, leader epochs, retention, recovery, over base::Disk.
//!
//! Formats and rules are those of Kafka 2.7.1 (`kafka.log`, `kafka.server.checkpoints`, `kafka.server.epoch`). [`Log`] is one
//! partition: appends take a short lock, reads use what was last published. [`LogManager`] holds a broker's logs and gives
//! out the work that is due as jobs; [`Loading`] opens them at start.
#![allow(clippy::todo, reason = "the signatures come first, so that the broker can be built on them")]

mod config;
mod error;
mod log;
mod manager;
mod partition;
mod types;
pub mod validate;

pub use config::LogConfig;
pub use error::LogError;
pub use log::Log;
pub use manager::{BrokerMetadata, Loading, LogManager, ManagerConfig};
pub use partition::{FolderKind, TopicPartition, deleted_folder, future_folder, parse_folder};
pub use types::{
    AbortedTransaction, AppendInfo, Bound, EpochOffset, Fetched, Level, OffsetPosition, Offsets, Origin, ReadRequest,
    Surroundings, TimestampOffset,
};
