//! ZooKeeper's transaction log and snapshots over [`base::Disk`]: append, group commit, recovery, purge, in the formats
//! of 3.6.3, so that a data directory changes hands with the JVM original both ways.
//!
//! | to find | see |
//! |---|---|
//! | the folders, and who may use them | [`DataDirs`] |
//! | writing the log | [`TxnLog`], [`LogBatch`] |
//! | writing a snapshot | [`SnapshotWriter`] |
//! | where a snapshot ends that comes from a leader | [`SnapshotScan`] |
//! | reading both back | [`recover`], [`read_snapshot`], [`LogReader`] |
//! | a piece of the log for another server | [`read_piece`] |
//! | cutting the log to a zxid, or starting anew from a snapshot | [`truncate`], [`start_from_snapshot`] |
//! | removing what is no longer needed | [`purge`] |
//! | the two epoch files of an ensemble's member | [`Epoch`] |
//!
//! What waits for a device takes a [`base::Slow`]: the caller runs it on a disk thread, or at start-up. Times, limits and
//! when to sync, roll and snapshot are the caller's; whether a byte may be lost is decided here.

mod dirs;
mod epoch;
mod error;
mod log;
mod log_piece;
mod log_reader;
mod mark;
mod purge;
mod recover;
mod snapshot_compression;
mod snapshot_reader;
mod snapshot_scan;
mod snapshot_writer;
mod truncate;

pub use dirs::{DataDirs, FileName};
pub use epoch::Epoch;
pub use error::StoreError;
pub use log::{Durable, LogBatch, LogBatchDone, LogClose, LogConfig, TxnLog};
pub use log_piece::{LogPiece, read_piece};
pub use log_reader::{LogEnd, LogReader, LogRecord};
pub use purge::purge;
pub use recover::{Note, Recovered, Recovery, recover};
pub use snapshot_compression::Compression;
pub use snapshot_reader::{SnapshotSink, is_plausible_snapshot, read_snapshot, read_snapshot_from};
pub use snapshot_scan::SnapshotScan;
pub use snapshot_writer::{SnapshotBody, SnapshotDigest, SnapshotInfo, SnapshotWriter};
pub use truncate::{start_from_snapshot, truncate};
