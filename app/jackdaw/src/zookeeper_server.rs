//! A ZooKeeper server in the foreground, with the messages and exit codes of `QuorumPeerMain`.

use std::net::SocketAddr;
use std::time::Duration;

use config::ZooKeeperSettings;
use config::zookeeper::MemberSettings;
use host::logging::{Level, Log};
use host::{Listener, StopSignals, System, ZooKeeper, bind_peer_ports, resolve};
use zk_node::{PeerPort, StopReason};

use crate::java::Java;

const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
const SERVER: &str = "org.apache.zookeeper.server.ZooKeeperServer";
const LISTENER: &str = "org.apache.zookeeper.server.NIOServerCnxnFactory";
const PEER_LISTENER: &str = "org.apache.zookeeper.server.quorum.QuorumCnxManager";
const USAGE: &str = "Usage: QuorumPeerMain configfile";

/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

const UNEXPECTED_ERROR: i32 = 1;
const INVALID_INVOCATION: i32 = 2;
const DATA_DIR_UNAVAILABLE: i32 = 3;
const QUORUM_PORT_UNAVAILABLE: i32 = 14;

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
    let code = run_logged(java, arguments, &log);
    log.flush();
    code
}

fn run_logged(java: &Java, arguments: &[String], log: &Log) -> i32 {
    for (level, note) in java.notes() {
        log.write(level, MAIN, note);
    }
    let loaded = match arguments {
        [file] => ZooKeeperSettings::load(file, &java.properties, &mut |path| std::fs::read(path)),
        many => {
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            ZooKeeperSettings::from_arguments(&many, &java.properties)
        }
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            let (what, told, code) = if error.is_usage() {
                ("Invalid arguments, exiting abnormally", USAGE.to_owned(), INVALID_INVOCATION)
            } else if error.is_unexpected() {
                let what = "Unexpected exception, exiting abnormally";
                (what, format!("{what}: {error}"), UNEXPECTED_ERROR)
            } else {
                let what = "Invalid config, exiting abnormally";
                (what, what.to_owned(), INVALID_INVOCATION)
            };
            log.write(Level::Error, MAIN, format!("{what}\n{}", error.lines().join("\n")));
            eprintln!("{told}");
            return code;
        }
    };
    for notice in loaded.notices {
        log.write(notice.level.into(), notice.logger, notice.text);
    }
    if let Some(member) = &loaded.settings.member {
        log.write(Level::Info, MAIN, format!("Starting quorum peer, myid={}", member.id));
    }
    let started = System::start().map_err(|error| (UNEXPECTED_ERROR, error.to_string())).and_then(|system| {
        let address = loaded.settings.client_address.as_ref().map(|address| resolve(&address.host, address.port));
        let address = address.transpose().map_err(|error| (UNEXPECTED_ERROR, error.to_string()))?;
        let peers = match &loaded.settings.member {
            Some(member) => bind_peers(member, log)?,
            None => Vec::new(),
        };
        Ok((start(&loaded.settings, address, peers, &system, log)?.0, system))
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
                _ => "Unexpected exception, exiting abnormally",
            };
            log.write(Level::Error, MAIN, format!("{what}\n{message}"));
            eprintln!("{what}: {message}");
            code
        }
    }
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
        let error = match bind_peer_ports(member) {
            Ok(listeners) => {
                for (_, listener) in listeners.iter().filter(|(port, _)| *port == PeerPort::Election) {
                    let (id, address) = (member.id, listener.address());
                    let text = format!("{id} is accepting connections now, my election bind port: {address}");
                    log.write(Level::Info, PEER_LISTENER, text);
                }
                return Ok(listeners);
            }
            Err(error) => error,
        };
        log.write(Level::Error, PEER_LISTENER, format!("Exception while listening\n{error}"));
        tries += 1;
        if tries == member.bind_tries_max {
            let text = format!(
                "Leaving listener after {tries} errors. Use zookeeper.electionPortBindRetry property to increase retry count."
            );
            log.write(Level::Error, PEER_LISTENER, text);
            return Err((QUORUM_PORT_UNAVAILABLE, error.to_string()));
        }
        std::thread::sleep(BIND_PAUSE);
    }
}

/// Binds the clients' port, recovers the data and serves clients, and other servers on `peers`; the server and where it
/// listens, or an exit code and a message.
pub(crate) fn start(
    settings: &ZooKeeperSettings,
    address: Option<SocketAddr>,
    peers: Vec<(PeerPort, Listener)>,
    system: &System,
    log: &Log,
) -> Result<(ZooKeeper, Option<SocketAddr>), (i32, String)> {
    let bind = |address| {
        log.write(Level::Info, LISTENER, format!("binding to port {address}"));
        Listener::bind(address, settings.client_listen_backlog)
    };
    let listener = address.map(bind).transpose().map_err(|error| (UNEXPECTED_ERROR, error.to_string()))?;
    let address = listener.as_ref().map(Listener::address);
    let config = host::zookeeper_config(settings, address.map_or(-1, |address| i32::from(address.port())));
    let random = System::random().map_err(|error| (UNEXPECTED_ERROR, error.to_string()))?;
    let server = ZooKeeper::open(config, system.clone(), log.clone(), random)
        .map_err(|error| (DATA_DIR_UNAVAILABLE, error.to_string()))?;
    if let Some(listener) = listener {
        server.serve(listener, false);
    }
    for (port, listener) in peers {
        server.serve_peers(listener, port);
    }
    log.write(Level::Info, SERVER, "started");
    Ok((server, address))
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
            signal = signals.next() => std::process::exit(signal.exit_code()),
            () = tokio::time::sleep(STOP_MAX) => log.write(Level::Warn, MAIN, "The server did not stop in time"),
        }
        signal.exit_code()
    })
}

fn ended(reason: &StopReason, log: &Log) -> i32 {
    match reason {
        StopReason::Requested => log.write(Level::Info, MAIN, "Exiting normally"),
        failed => log.write(Level::Error, MAIN, format!("Exiting abnormally: {failed:?}")),
    }
    reason.exit_code()
}

/// Runs the main thread's part: signals, and waiting for the servers.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the process can have one more epoll descriptor at its start").block_on(future)
}
