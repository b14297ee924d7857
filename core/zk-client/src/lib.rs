//! One ZooKeeper session from the client's side, as a machine without I/O (upstream `ClientCnxn`).
//!
//! The owner of a [`Client`] tells it what happened to the socket and carries out [`Effect`]s:
//!
//! ```text
//! Effect::Connect ─ resolve the name, dial ─┬─ connected(now)
//!                                           └─ disconnected(now)
//! bytes of the socket ─ receive(bytes, now)      deadline() reached ─ tick(now)
//! submit(request) ─ ... ─ Event::Reply           after each call: take_effects()
//! ```
//!
//! Requests are pipelined: any number may be submitted at once, replies come in their order. Requests submitted before the
//! connection stands wait for it and leave in one packet with the session's first message. When a connection is lost, those
//! that had been sent fail with `ConnectionLoss` (they may or may not have happened); the session itself lives on until the
//! server says that it expired, its watches and credentials are set again. An expired or closed client stays so.
//!
//! Builders of requests are in [`ops`]. A [`Closer`] ends the session of an owner who is gone.

mod client;
mod closer;
mod connect_string;
mod frames;
mod login;
pub mod ops;
mod paths;
mod watches;

pub use client::{Client, ClientConfig, Effect, Event, Failure, Reply, RequestId, SessionKey, State};
pub use closer::{Closer, Closing};
pub use connect_string::{ConnectString, ConnectStringError, Host};
pub use login::Credentials;
