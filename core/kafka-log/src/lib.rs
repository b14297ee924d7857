//! A partition's log: segments, indexes, producer state, leader epochs, retention, recovery, over base::Disk.
//!
//! Formats and rules are those of Kafka 2.7.1 (`kafka.log`, `kafka.server.checkpoints`, `kafka.server.epoch`). [`Log`] is one
//! partition: appends take a short lock, reads use what was last published. [`LogManager`] holds a broker's logs and gives
//! out the work that is due as jobs; [`Loading`] opens them at start.

mod batch;
mod checkpoint;
mod config;
mod epochs;
mod error;
mod home;
mod index;
mod loading;
mod log;
mod manager;
mod metadata;
mod moved;
mod partition;
mod producers;
mod segment;
mod shared;
mod snapshot;
mod txn_index;
mod types;
pub mod validate;
mod view;

pub use config::LogConfig;
pub use error::LogError;
pub use loading::{Loading, TopicConfigs};
pub use log::Log;
pub use manager::{LogManager, ManagerConfig};
pub use metadata::{BrokerMetadata, MetadataError};
pub use partition::{FolderKind, TopicPartition, deleted_folder, future_folder, parse_folder};
pub use shared::is_full;
pub use types::{
    AbortedTransaction, AppendInfo, Bound, EpochOffset, Fetched, Level, OffsetPosition, Offsets, Origin, ReadRequest,
    Surroundings, TimestampOffset,
};
