//! One ZooKeeper server as a state machine without I/O: connections, the pipeline of prep, propose, log, commit, apply,
//! and the four-letter words.
//!
//! The owner (the host, a simulator, a test) feeds [`Event`]s and carries out [`Effect`]s:
//!
//! ```text
//! bytes ─ inbox ─ intake ─┬─ read ─────────────────────────────────┬─ reply, watch events
//!         (frames, limits)└─ prep ─ propose ─ log ─ commit ─ apply ┘
//! ```
//!
//! A *turn* is any number of [`Server::handle`] calls and one [`Server::end_turn`]: all that the turn produced for one
//! connection leaves in one buffer, all proposals of the turn share one sync of the log, and what became durable since
//! is committed, applied and answered in one go. A lone request is one turn; a busy server takes what has queued up.

mod auth;
mod connection;
mod containers;
mod event;
mod expiry;
mod handshake;
mod housekeeping;
mod inbox;
mod intake;
mod journal;
mod link_logins;
mod local;
mod log;
mod member;
mod pipeline;
mod read;
mod reply;
mod role;
mod server;
mod settings;
mod snapshot;
mod start;
mod stats;
mod throttle;
mod words;
mod written;

pub use event::{
    ConnectionId, DiskDone, DiskTask, Effect, Effects, Event, Lane, Level, LinkEffect, LinkEvent, LogLine, PeerPort,
    StopReason,
};
pub use server::Server;
pub use settings::{ConnectionThrottle, Descriptors, HandshakeCounts, ServerConfig};
pub use start::StartError;
pub use words::VERSION;
pub use zk_zab::LinkId;
