//! Ports that move while the server runs: another list of servers has other addresses for it.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::zookeeper::HostPort;
use parking_lot::Mutex;
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use zk_node::PeerPort;

use super::{ACCEPT_LOGGER, PEER_ACCEPT_LOGGER, Shared};
use crate::logging::Level;
use crate::net::Listener;

/// How long a port that can't be had is left alone; doubles. The end of the task that had it may still be on its way.
const PAUSE: Duration = Duration::from_millis(5);
/// From then on it is worth a line.
const PAUSE_TOLD: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Port {
    Clients { secure: bool },
    Peers(PeerPort),
}

/// The tasks that accept, and those that move them elsewhere.
#[derive(Default)]
pub(super) struct Ports {
    accepting: Mutex<HashMap<Port, Vec<JoinHandle<()>>>>,
    moving: Mutex<HashMap<Port, JoinHandle<()>>>,
}

impl Ports {
    pub(super) fn add(&self, port: Port, task: JoinHandle<()>) {
        self.accepting.lock().entry(port).or_default().push(task);
    }

    /// Accepts no more there; over when the sockets are closed.
    async fn close(&self, port: Port) {
        let tasks = self.accepting.lock().remove(&port).unwrap_or_default();
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            // An aborted task's error says that it was.
            let _ = task.await;
        }
    }
}

impl Shared {
    /// Accepts at these addresses instead of where it did.
    pub(super) fn move_port(self: &Arc<Self>, port: Port, addresses: Vec<HostPort>, backlog: Option<i32>) {
        let shared = Arc::clone(self);
        let moving = self.system.loops.get(0).spawn(async move { shared.follow_port(port, &addresses, backlog).await });
        if let Some(before) = self.ports.moving.lock().insert(port, moving) {
            before.abort();
        }
    }

    /// Binds the new addresses first, so that no client finds the port closed; what the old ones are in the way of is bound
    /// behind their end.
    async fn follow_port(self: &Arc<Self>, port: Port, addresses: &[HostPort], backlog: Option<i32>) {
        let logger = if matches!(port, Port::Clients { .. }) { ACCEPT_LOGGER } else { PEER_ACCEPT_LOGGER };
        let told: Vec<String> = addresses.iter().map(HostPort::to_string).collect();
        let told = told.join("|");
        let failed = |why| self.log.write(Level::Error, logger, format!("Error reconfiguring port to {told}, {why}"));
        let listeners = bind(addresses, backlog, || self.ports.close(port), failed).await;
        self.ports.close(port).await;
        if !listeners.is_empty() {
            self.log.write(Level::Info, logger, format!("binding to port {told}"));
        }
        listeners.into_iter().for_each(|listener| self.accept(port, listener));
    }
}

/// Binds all addresses, once `close` has made room for them if they need it; some are enough if the others can't be had for a while: the
/// original serves with those. `failed` is told of what takes that long.
async fn bind<C: Future<Output = ()>>(
    addresses: &[HostPort],
    backlog: Option<i32>,
    close: impl Fn() -> C,
    failed: impl Fn(String),
) -> Vec<Listener> {
    let mut pause = PAUSE;
    loop {
        let mut bound = Bound::of(addresses, backlog).await;
        if bound.failure.is_some() {
            drop(bound);
            close().await;
            bound = Bound::of(addresses, backlog).await;
        }
        let Bound { listeners, failure } = bound;
        let is_late = pause >= PAUSE_TOLD;
        match failure {
            None => return listeners,
            Some(error) if is_late && !listeners.is_empty() => {
                failed(format!("which is served in part: {error}"));
                return listeners;
            }
            Some(error) if is_late => failed(format!("which is tried again: {error}")),
            Some(_) => {}
        }
        drop(listeners);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// What could be had of some addresses.
#[derive(Default)]
struct Bound {
    listeners: Vec<Listener>,
    /// Of the last one that could not.
    failure: Option<io::Error>,
}

impl Bound {
    async fn of(addresses: &[HostPort], backlog: Option<i32>) -> Self {
        let mut bound = Self::default();
        for address in addresses {
            if let Err(error) = bound.add(address, backlog).await {
                bound.failure = Some(error);
            }
        }
        bound
    }

    async fn add(&mut self, HostPort { host, port }: &HostPort, backlog: Option<i32>) -> io::Result<()> {
        let found: Vec<SocketAddr> = lookup_host((host.as_str(), *port)).await?.collect();
        let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
        let address =
            *address.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")))?;
        // Several addresses may share a port that all addresses of the machine have but once.
        if !self.listeners.iter().any(|listener| listener.address() == address) {
            self.listeners.push(Listener::bind(address, backlog).map_err(|error| io::Error::other(error.to_string()))?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::cell::RefCell;

    use super::*;

    fn loopback(port: u16) -> HostPort {
        HostPort { host: "127.0.0.1".into(), port }
    }

    /// One that nobody has, for a moment at least.
    fn free() -> u16 {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn what_can_be_had_of_several_addresses_is_served_in_the_end() {
        let before = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = before.local_addr().unwrap().port();
        let free = free();
        let told = RefCell::new(Vec::new());
        let failed = |why| told.borrow_mut().push(why);
        let bound = bind(&[loopback(taken), loopback(free)], None, || std::future::ready(()), failed).await;
        assert!(bound.iter().map(|listener| listener.address().port()).eq([free]));
        let told = told.into_inner();
        assert!(told.len() == 1 && told[0].starts_with("which is served in part"), "{told:?}");
    }

    #[tokio::test]
    async fn what_is_in_the_way_is_closed_and_all_are_bound() {
        let before = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = before.local_addr().unwrap().port();
        let before = RefCell::new(Some(before));
        let close = || {
            drop(before.take());
            std::future::ready(())
        };
        let bound = bind(&[loopback(port)], None, close, |why| panic!("{why}")).await;
        assert!(bound.iter().map(|listener| listener.address().port()).eq([port]));
    }
}
