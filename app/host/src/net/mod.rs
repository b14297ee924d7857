//! Event loops, listeners, and the connections on them.

mod connection;
mod event_loops;
mod frames;
mod listener;
mod output;
mod transport;

pub use connection::{Connection, Handler, Limits};
pub use event_loops::EventLoops;
pub use frames::{Framed, Service, Wants};
pub use listener::{BindError, Listener};
pub(crate) use transport::Pipe;
pub use transport::Transport;
