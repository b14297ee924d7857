//! Ports that move while the server runs: another list of servers has other addresses for it.

use std::collections::HashMap;
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
        let mut pause = PAUSE;
        loop {
            let bound = match bind(addresses, backlog).await {
                Ok(bound) => Ok(bound),
                Err(_) => {
                    self.ports.close(port).await;
                    bind(addresses, backlog).await
                }
            };
            let told: Vec<String> = addresses.iter().map(HostPort::to_string).collect();
            let told = told.join("|");
            let logger = if matches!(port, Port::Clients { .. }) { ACCEPT_LOGGER } else { PEER_ACCEPT_LOGGER };
            match bound {
                Ok(listeners) => {
                    self.ports.close(port).await;
                    if !listeners.is_empty() {
                        self.log.write(Level::Info, logger, format!("binding to port {told}"));
                    }
                    return listeners.into_iter().for_each(|listener| self.accept(port, listener));
                }
                Err(_) if pause < PAUSE_TOLD => {}
                Err(error) => {
                    let text = format!("Error reconfiguring port to {told}, which is tried again: {error}");
                    self.log.write(Level::Error, logger, text);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

async fn bind(addresses: &[HostPort], backlog: Option<i32>) -> io::Result<Vec<Listener>> {
    let mut listeners: Vec<Listener> = Vec::new();
    for HostPort { host, port } in addresses {
        let found: Vec<SocketAddr> = lookup_host((host.as_str(), *port)).await?.collect();
        let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
        let address =
            *address.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address")))?;
        // Several addresses may share a port that all addresses of the machine have but once.
        if !listeners.iter().any(|listener| listener.address() == address) {
            listeners.push(Listener::bind(address, backlog).map_err(|error| io::Error::other(error.to_string()))?);
        }
    }
    Ok(listeners)
}
