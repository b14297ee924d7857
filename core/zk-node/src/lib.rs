//! One ZooKeeper server as a state machine without I/O: connections, the pipeline of prep, propose, log, commit, apply,
//! and the four-letter words.
//!
//! The owner (the host, a simulator, a test) feeds [`Event`]s and carries out [`Effect`]s:
//!
//! ```text
//! bytes ─ connection ─ throttle ─┬─ read ──────────────────────────────┬─ reply, watch events
//!         (frames)               └─ prep ─ propose ─ log ─ commit ─ apply ┘
//! ```
//!
//! A *turn* is any number of [`Server::handle`] calls and one [`Server::end_turn`]: all that the turn produced for one
//! connection leaves in one buffer, all proposals of the turn share one sync of the log, and what became durable since
//! is committed, applied and answered in one go. A lone request is one turn; a busy server takes what has queued up.

mod event;
mod server;
mod settings;

pub use event::{ConnectionId, DiskDone, DiskTask, Effect, Effects, Event, Lane, Level, LogLine, StopReason};
pub use server::{Server, StartError};
pub use settings::{ConnectionThrottle, ServerConfig};
