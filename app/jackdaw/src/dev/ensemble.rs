//! The ZooKeeper servers of `jackdaw dev`: one on its own, or an ensemble, all in this process.

use std::path::Path;

use config::{Properties, ZooKeeperSettings};
use host::logging::{Log, LogSettings, ZOOKEEPER_DEFAULT};
use host::{Listener, System, ZooKeeper, resolve};
use zk_node::{PeerPort, StopReason};

use super::{Options, port_of};
use crate::zookeeper_server::{self, ClientPorts};

/// Servers that run, and where clients find them.
pub(super) struct Servers {
    servers: Vec<(ZooKeeper, Log)>,
    /// Between commas, as `zookeeper.connect` takes them.
    pub(super) addresses: String,
}

/// A server that is to be started: what it runs by, and the ports that are bound for it.
struct Plan {
    settings: ZooKeeperSettings,
    peers: Vec<(PeerPort, Listener)>,
    log: Log,
}

impl Servers {
    /// Starts as many as are asked for, on consecutive ports or on any free ones.
    pub(super) fn start(options: &Options, system: &System) -> Result<Self, String> {
        let plans = match options.servers {
            1 => vec![alone(options)?],
            count => members(options, count)?,
        };
        let mut servers = Vec::new();
        let mut addresses = Vec::new();
        for (index, plan) in (0..).zip(plans) {
            let port = port_of("--zookeeper-port", options.zookeeper_port, index)?;
            let address = resolve(&options.host, port).map_err(|error| format!("--host: {error}"))?;
            let Plan { settings, peers, log } = plan;
            let addresses_of_one = ClientPorts { plain: Some(address), secure: None };
            let started = zookeeper_server::bind_clients(&settings, addresses_of_one, &log).and_then(|clients| {
                let port = clients.plain.as_ref().map_or(0, |listener| listener.address().port());
                Ok((zookeeper_server::start(&settings, clients, peers, system, &log)?, port))
            });
            let (server, port) = started.map_err(|(_, error)| {
                log.flush();
                match error {
                    taken if taken.contains("in use") => format!("{taken}; choose another with --zookeeper-port"),
                    foreign if foreign.contains("assign requested address") => format!("--host: {foreign}"),
                    other => other,
                }
            })?;
            addresses.push(format!("{}:{}", options.host, port));
            servers.push((server, log));
        }
        Ok(Self { servers, addresses: addresses.join(",") })
    }

    /// Waits for the end of the first one that ends.
    pub(super) async fn one_stopped(&self) -> StopReason {
        let mut waiting: Vec<_> = self.servers.iter().map(|(server, _)| Box::pin(server.stopped())).collect();
        std::future::poll_fn(|context| {
            let ended = waiting.iter_mut().map(|server| server.as_mut().poll(context)).find(std::task::Poll::is_ready);
            ended.unwrap_or(std::task::Poll::Pending)
        })
        .await
    }

    /// Stops all in good order; the first bad end, if there is one.
    pub(super) async fn stop(&self) -> StopReason {
        for (server, _) in &self.servers {
            server.stop();
        }
        let mut found = StopReason::Requested;
        for (server, _) in &self.servers {
            let reason = server.stopped().await;
            if found == StopReason::Requested {
                found = reason;
            }
        }
        found
    }

    /// Writes out what waits in the logs.
    pub(super) fn flush_logs(&self) {
        self.servers.iter().for_each(|(_, log)| log.flush());
    }
}

/// A server without an ensemble.
fn alone(options: &Options) -> Result<Plan, String> {
    let dir = options.data_dir.join("zookeeper").display().to_string();
    // The port is bound by ourselves: the file's form has no "any free one".
    let loaded = ZooKeeperSettings::from_arguments(&["2181", &dir, "2000"], &properties());
    let settings = loaded.map(|loaded| loaded.settings).map_err(|error| error.to_string())?;
    Ok(Plan { settings, peers: Vec::new(), log: log(options, "zookeeper.log")? })
}

/// The servers of an ensemble, with any free ports among themselves: each start has its own.
fn members(options: &Options, count: u8) -> Result<Vec<Plan>, String> {
    let mut ports = Vec::new();
    let mut file: Properties =
        [("tickTime", "2000"), ("initLimit", "10"), ("syncLimit", "5"), ("maxClientCnxns", "0")].into_iter().collect();
    for id in 1..=count {
        let bind = || {
            let address = resolve(&options.host, 0).map_err(|error| format!("--host: {error}"))?;
            Listener::bind(address, None).map_err(|error| error.to_string())
        };
        let (quorum, election) = (bind()?, bind()?);
        let line = format!("{}:{}:{}", options.host, quorum.address().port(), election.address().port());
        file.set(&format!("server.{id}"), line);
        ports.push(vec![(PeerPort::Quorum, quorum), (PeerPort::Election, election)]);
    }
    let member = |(id, peers): (u8, _)| {
        let dir = options.data_dir.join(format!("zookeeper-{id}"));
        file.set("dataDir", dir.display().to_string());
        let settings = member_settings(&file, &dir, id)?;
        let log = log(options, &format!("zookeeper-{id}.log"))?;
        log.set_server_id(id.into());
        Ok(Plan { settings, peers, log })
    };
    (1..=count).zip(ports).map(member).collect()
}

/// As from files that need not be written: `zoo.cfg` and `myid`.
fn member_settings(file: &Properties, dir: &Path, id: u8) -> Result<ZooKeeperSettings, String> {
    const FILE: &str = "/zoo.cfg";
    let my_id = dir.join("myid").display().to_string();
    let mut read = |path: &str| match path {
        FILE => Ok(file.to_text().into_bytes()),
        path if path == my_id => Ok(id.to_string().into_bytes()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let loaded = ZooKeeperSettings::load(FILE, &properties(), &mut read);
    loaded.map(|loaded| loaded.settings).map_err(|error| error.to_string())
}

fn properties() -> Properties {
    let properties = [("zookeeper.4lw.commands.whitelist", "*"), ("zookeeper.extendedTypesEnabled", "true")];
    properties.into_iter().collect()
}

/// The log of a server: a file, so that the console is free.
fn log(options: &Options, name: &str) -> Result<Log, String> {
    let dir = options.data_dir.join("logs").display().to_string();
    let system = [
        ("zookeeper.root.logger", "INFO, ROLLINGFILE"),
        ("zookeeper.log.dir", dir.as_str()),
        ("zookeeper.log.file", name),
    ];
    let file = Properties::parse(ZOOKEEPER_DEFAULT.as_bytes()).map_err(|error| error.to_string())?;
    let settings = LogSettings::parse(&file, &system.into_iter().collect(), &mut Vec::new());
    Log::start(settings).map_err(|error| format!("cannot write to {dir}: {error}"))
}
