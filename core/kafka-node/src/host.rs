//! What a broker asks of the process around it.

use std::sync::Arc;

use base::{Job, Monotonic, Now};
use zk_client::SessionKey;

use crate::loggers::{Loggers, Nowhere};
use crate::peer::Peer;
use crate::startup::StartError;

/// Why a broker can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// What it lives on is lost.
    #[error("{0}")]
    Halted(String),
}

/// The process around a broker: the host with its threads and clocks, or the simulator.
pub trait Host: Send + Sync {
    /// Both clocks, for work that no event brought.
    fn now(&self) -> Now;

    /// Runs a job on a disk thread.
    fn submit(&self, job: Box<dyn Job>);

    /// Runs a job that a request waits for: before those of [`Host::submit`], and not behind a step of theirs.
    fn submit_for_request(&self, job: Box<dyn Job>) {
        self.submit(job);
    }

    /// Calls `Broker::tick` at this time or soon after, at the latest; an earlier alarm stays set.
    fn alarm(&self, at: Monotonic);

    /// The ZooKeeper session has something to do: call `Broker::take_zookeeper_effects` soon, from where its socket is; and look at
    /// `Broker::is_ready` behind it, until it is.
    fn zookeeper_ready(&self);

    /// Runs a link to another broker on an event loop until it is over; its waker is to be set before.
    fn run_peer(&self, peer: Arc<Peer>);

    /// The loggers whose levels clients may see and change; by default there are none.
    fn loggers(&self) -> &dyn Loggers {
        &Nowhere
    }

    /// The session with ZooKeeper is this one from now on; none: it was closed in good order. Told to who closes it when this process is gone.
    fn session_is(&self, _session: Option<&SessionKey>) {}

    /// The broker can't go on: says why and ends the process with 1.
    fn fail(&self, reason: Fatal);
}
