//! ZooKeeper's jute codec, client and transaction records, op codes, error codes and path rules.
//!
//! Everything that crosses a socket or rests in a log or snapshot of ZooKeeper 3.6.3 has its type here; what it means is
//! decided in `zk-tree`. Records are named as upstream (`zookeeper.jute`), fields by their role.
//!
//! | to find | see |
//! |---|---|
//! | how bytes are read and written | [`jute`] |
//! | a request or response of a client | [`requests`], [`responses`], [`multi`], [`connect`] |
//! | what is in the log | [`txn`] |
//! | what is in a snapshot | [`snapshot`] |
//! | what servers send each other | [`peer`] |
//! | what a valid path is | [`path`] |

pub mod connect;
mod create_mode;
mod data;
mod error;
mod event;
pub mod jute;
pub mod multi;
mod op;
pub mod path;
pub mod peer;
pub mod requests;
pub mod responses;
pub mod snapshot;
pub mod txn;

pub use create_mode::{CreateMode, EphemeralType, TTL_MS_MAX};
pub use data::{Acl, Id, Perms, Stat, StatPersisted};
pub use error::ErrorCode;
pub use event::{AddWatchMode, EventType, KeeperState, WatcherEvent, WatcherType};
pub use jute::Jute;
pub use op::OpCode;
pub use txn::{Txn, TxnDigest, TxnEntry, TxnHeader};
