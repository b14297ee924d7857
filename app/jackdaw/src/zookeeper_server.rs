//! A ZooKeeper server in the foreground, with the messages and exit codes of `QuorumPeerMain`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use config::ZooKeeperSettings;
use config::zookeeper::{HostPort, ListFiles, MemberSettings};
use host::logging::{Level, Log, end_process_on_panic};
use host::{Listener, StopSignals, System, ZooKeeper, ZooKeeperTls, bind_peer_ports, resolve};
use zk_node::{PeerPort, StopReason};

use crate::java::Java;

const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
const SERVER: &str = "org.apache.zookeeper.server.ZooKeeperServer";
const LISTENER: &str = "org.apache.zookeeper.server.NIOServerCnxnFactory";
const PURGE: &str = "org.apache.zookeeper.server.DatadirCleanupManager";
const PEER_LISTENER: &str = "org.apache.zookeeper.server.quorum.QuorumCnxManager";
const USAGE: &str = "Usage: QuorumPeerMain configfile";
const INVALID_CONFIG: &str = "Invalid config, exiting abnormally";
const UNEXPECTED: &str = "Unexpected exception, exiting abnormally";

/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

const UNEXPECTED_ERROR: i32 = 1;
const INVALID_INVOCATION: i32 = 2;
const DATA_DIR_UNAVAILABLE: i32 = 3;
const QUORUM_PORT_UNAVAILABLE: i32 = 14;

/// How often all addresses for other servers are tried before some of them are enough: as often as the original tries by itself.
const BIND_TRIES_OF_SOME: i32 = 3;
/// How long a taken port for other servers is waited for before each further try.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// Runs a server until it is told to stop; its exit code.
pub(crate) fn run(java: &Java, arguments: &[String]) -> i32 {
    let log = match java.log() {
        Ok(log) => log,
        Err(error) => {
            eprintln!("log4j:ERROR {error}");
            return UNEXPECTED_ERROR;
        }
    };
    end_process_on_panic(Some(log.clone()));
    let code = run_logged(java, arguments, &log);
    log.flush();
    code
}

fn run_logged(java: &Java, arguments: &[String], log: &Log) -> i32 {
    for (level, note) in java.notes() {
        log.write(level, MAIN, note);
    }
    let (settings, addresses) = match load(java, arguments, log) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Some(member) = &settings.member {
        log.set_server_id(member.id);
        log.write(Level::Info, MAIN, format!("Starting quorum peer, myid={}", member.id));
    }
    let purge = &settings.purge;
    log.write(Level::Info, PURGE, format!("autopurge.snapRetainCount set to {}", purge.snapshots_retained));
    log.write(Level::Info, PURGE, format!("autopurge.purgeInterval set to {}", purge.interval_hours));
    if purge.interval_hours <= 0 {
        log.write(Level::Info, PURGE, "Purge task is not scheduled.");
    }
    let started = System::start(2).map_err(|error| (UNEXPECTED_ERROR, error.to_string())).and_then(|system| {
        // In the original's order: a second start of the same server fails at once.
        let clients = bind_clients(&settings, addresses, log)?;
        let peers = match &settings.member {
            Some(member) => bind_peers(member, log)?,
            None => Vec::new(),
        };
        Ok((start(&settings, clients, peers, &system, log)?, system))
    });
    match started {
        Ok((server, system)) => {
            let code = run_until_stopped(&server, log);
            system.stop();
            code
        }
        Err((code, message)) => {
            let what = match code {
                DATA_DIR_UNAVAILABLE => "Unable to access datadir, exiting abnormally",
                QUORUM_PORT_UNAVAILABLE => "Unable to bind the ports for other servers, exiting abnormally",
                _ => UNEXPECTED,
            };
            log.write_with(Level::Error, MAIN, what, Some(message.clone()));
            eprintln!("{what}: {message}");
            code
        }
    }
}

/// Where clients are served, if they are: in plain text, and by TLS.
#[derive(Clone, Copy)]
pub(crate) struct ClientPorts<T> {
    pub(crate) plain: Option<T>,
    pub(crate) secure: Option<T>,
}

/// The settings and the addresses for clients; the exit code, when what is wrong with them is told.
fn load(java: &Java, arguments: &[String], log: &Log) -> Result<(ZooKeeperSettings, ClientPorts<SocketAddr>), i32> {
    let loaded = match arguments {
        [file] => ZooKeeperSettings::load(file, &java.properties, &mut |path| std::fs::read(path)),
        many => {
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            ZooKeeperSettings::from_arguments(&many, &java.properties)
        }
    };
    let notices = match &loaded {
        Ok(loaded) => &loaded.notices,
        Err(error) => error.notices(),
    };
    for notice in notices {
        log.write(notice.level.into(), notice.logger, notice.text.clone());
    }
    let refuse = |what: &'static str, exception, told: &str, code| {
        log.write_with(Level::Error, MAIN, what, Some(exception));
        eprintln!("{told}");
        code
    };
    let settings = loaded.map(|loaded| loaded.settings).map_err(|error| {
        let exception = error.lines().join("\n");
        if error.is_usage() {
            refuse("Invalid arguments, exiting abnormally", exception, USAGE, INVALID_INVOCATION)
        } else if error.is_unexpected() {
            refuse(UNEXPECTED, exception, &format!("{UNEXPECTED}: {error}"), UNEXPECTED_ERROR)
        } else {
            refuse(INVALID_CONFIG, exception, INVALID_CONFIG, INVALID_INVOCATION)
        }
    })?;
    let resolved = |address: &HostPort| {
        // The original resolves it while it reads the file.
        resolve(&address.host, address.port).map_err(|error| {
            let error = error.to_string();
            let reason = error.rsplit(": ").next().unwrap_or_default();
            let exception = format!(
                "org.apache.zookeeper.server.quorum.QuorumPeerConfig$ConfigException: Error processing {}\n\
                 Caused by: java.net.UnknownHostException: {}: {reason}",
                arguments.first().map_or("", String::as_str),
                address.host
            );
            refuse(INVALID_CONFIG, exception, INVALID_CONFIG, INVALID_INVOCATION)
        })
    };
    let plain = settings.client_address.as_ref().map(resolved).transpose()?;
    let secure = secure_address(&settings).map(resolved).transpose()?;
    if let Some(files) = inline_list(&settings) {
        back_up(files).map_err(|error| {
            let exception = format!(
                "org.apache.zookeeper.server.quorum.QuorumPeerConfig$ConfigException: Error processing {}\n\
                 Caused by: java.io.IOException: {}: {error}",
                files.path,
                files.backup()
            );
            refuse(INVALID_CONFIG, exception, INVALID_CONFIG, INVALID_INVOCATION)
        })?;
    }
    Ok((settings, ClientPorts { plain, secure }))
}

/// The files of a list of servers that is still in `zoo.cfg` itself.
fn inline_list(settings: &ZooKeeperSettings) -> Option<&ListFiles> {
    settings.member.as_ref()?.files.as_ref().filter(|files| files.is_inline)
}

fn secure_address(settings: &ZooKeeperSettings) -> Option<&HostPort> {
    settings.client_tls.as_ref()?.address.as_ref()
}

/// `zoo.cfg` as it was, before its list of servers gets a file of its own (`QuorumPeerConfig.backupOldConfig`).
fn back_up(files: &ListFiles) -> std::io::Result<()> {
    let written = format!("{}.tmp", files.backup());
    std::fs::copy(&files.path, &written)?;
    std::fs::rename(&written, files.backup())
}

/// Binds the ports for other servers, with as many tries as configured: a server that was killed may still hold them.
fn bind_peers(member: &MemberSettings, log: &Log) -> Result<Vec<(PeerPort, Listener)>, (i32, String)> {
    let told = match member.bind_tries_max {
        0 => "infinite".to_owned(),
        tries => tries.to_string(),
    };
    log.write(Level::Info, PEER_LISTENER, format!("Election port bind maximum retries is {told}"));
    let mut tries = 0;
    loop {
        let bound = bind_peer_ports(member);
        let Some(error) = bound.failures.first() else { return Ok(with_bound_told(member, bound.listeners, log)) };
        log.write_with(Level::Error, PEER_LISTENER, "Exception while listening", Some(error.to_string()));
        tries += 1;
        let are_over = tries == member.bind_tries_max;
        // A server with several addresses serves without one that does not come.
        if bound.are_enough() && (are_over || tries >= BIND_TRIES_OF_SOME) {
            return Ok(with_bound_told(member, bound.listeners, log));
        }
        if are_over {
            let text = format!(
                "Leaving listener after {tries} errors. Use zookeeper.electionPortBindRetry property to increase retry count."
            );
            log.write(Level::Error, PEER_LISTENER, text);
            return Err((QUORUM_PORT_UNAVAILABLE, error.to_string()));
        }
        std::thread::sleep(BIND_PAUSE);
    }
}

/// The listeners, once it is told where elections are held.
fn with_bound_told(
    member: &MemberSettings,
    listeners: Vec<(PeerPort, Listener)>,
    log: &Log,
) -> Vec<(PeerPort, Listener)> {
    for (_, listener) in listeners.iter().filter(|(port, _)| *port == PeerPort::Election) {
        let (id, address) = (member.id, listener.address());
        let text = format!("{id} is accepting connections now, my election bind port: {address}");
        log.write(Level::Info, PEER_LISTENER, text);
    }
    listeners
}

/// Binds the clients' ports; an exit code and a message if that can't be.
pub(crate) fn bind_clients(
    settings: &ZooKeeperSettings,
    addresses: ClientPorts<SocketAddr>,
    log: &Log,
) -> Result<ClientPorts<Listener>, (i32, String)> {
    let bind = |address: Option<SocketAddr>, written: Option<&HostPort>| {
        let Some(address) = address else { return Ok(None) };
        let host = written.map_or("", |written| written.host.as_str());
        log.write(Level::Info, LISTENER, format!("binding to port {}", java_address(host, address)));
        let listener = Listener::bind(address, settings.client_listen_backlog);
        listener.map(Some).map_err(|error| (UNEXPECTED_ERROR, error.to_string()))
    };
    let plain = bind(addresses.plain, settings.client_address.as_ref())?;
    let secure = bind(addresses.secure, secure_address(settings))?;
    Ok(ClientPorts { plain, secure })
}

/// Recovers the data and serves clients, and other servers on `peers`; an exit code and a message if that can't be.
pub(crate) fn start(
    settings: &ZooKeeperSettings,
    clients: ClientPorts<Listener>,
    peers: Vec<(PeerPort, Listener)>,
    system: &System,
    log: &Log,
) -> Result<ZooKeeper, (i32, String)> {
    let tls = ZooKeeperTls::load(settings).map_err(|error| (UNEXPECTED_ERROR, error.to_string()))?;
    let port = |listener: &Option<Listener>| listener.as_ref().map_or(-1, |open| i32::from(open.address().port()));
    let mut config = host::zookeeper_config(settings, port(&clients.plain));
    config.secure_client_port = port(&clients.secure);
    config.handshakes = tls.counts();
    let random = System::random().map_err(|error| (UNEXPECTED_ERROR, error.to_string()))?;
    let server = ZooKeeper::open(config, tls, system.clone(), log.clone(), random)
        .map_err(|error| (error.exit_code(), error.to_string()))?;
    for (listener, secure) in [(clients.plain, false), (clients.secure, true)] {
        if let Some(listener) = listener {
            server.serve(listener, secure);
        }
    }
    for (port, listener) in peers {
        server.serve_peers(listener, port);
    }
    server.tell_started(SERVER);
    Ok(server)
}

/// An address as Java prints it: a name in front of the slash, nothing for an address that was written as one, but for the wildcard.
fn java_address(host: &str, address: SocketAddr) -> String {
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    match address.ip() {
        ip if ip.is_unspecified() => format!("{ip}/{address}"),
        _ if is_address => format!("/{address}"),
        _ => format!("{host}/{address}"),
    }
}

/// Waits for a signal, then for a clean stop; or for the server's own end.
fn run_until_stopped(server: &ZooKeeper, log: &Log) -> i32 {
    block_on(async {
        let mut signals = match StopSignals::listen() {
            Ok(signals) => signals,
            Err(error) => {
                log.write(Level::Error, MAIN, format!("cannot listen to signals: {error}"));
                return UNEXPECTED_ERROR;
            }
        };
        let signal = tokio::select! {
            reason = server.stopped() => return ended(&reason, log),
            signal = signals.next() => signal,
        };
        server.stop();
        tokio::select! {
            reason = server.stopped() => { ended(&reason, log); }
            signal = signals.impatience() => std::process::exit(signal.exit_code()),
            () = tokio::time::sleep(STOP_MAX) => log.write(Level::Warn, MAIN, "The server did not stop in time"),
        }
        signal.exit_code()
    })
}

fn ended(reason: &StopReason, log: &Log) -> i32 {
    match reason {
        StopReason::Requested => log.write(Level::Info, MAIN, "Exiting normally"),
        failed => log.write(Level::Error, MAIN, format!("Exiting abnormally: {failed}")),
    }
    reason.exit_code()
}

/// Runs the main thread's part: signals, and waiting for the servers.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the process can have one more epoll descriptor at its start").block_on(future)
}
