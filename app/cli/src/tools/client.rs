//! What the tools that produce and consume share: properties of the client, what is told about it, and signals.

use std::fmt::Display;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use base::{Random, Str};
use config::Properties;
use kafka_client::{ClientError, ConfigError};
use tokio::signal::unix::{SignalKind, signal};

use crate::console::{Console, Thrown};
use crate::driver::{Waker, Warn};
use crate::kafka_admin::load_properties;
use crate::options::{Parsed, Parser, Row};

/// What kind of client a tool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Producer,
    Consumer,
}

/// The options that give the client its properties, one by one or as a file.
const PROPERTIES: [(Client, [Row; 2]); 2] = [
    (
        Client::Producer,
        [
            Row::taking(
                "producer-property",
                "String",
                "producer_prop",
                "A mechanism to pass user-defined properties in the form key=value to the producer. ",
            ),
            Row::taking(
                "producer.config",
                "String",
                "config file",
                "Producer config properties file. Note that [producer-property] takes precedence over this config.",
            ),
        ],
    ),
    (
        Client::Consumer,
        [
            Row::taking(
                "consumer-property",
                "String",
                "consumer_prop",
                "A mechanism to pass user-defined properties in the form key=value to the consumer.",
            ),
            Row::taking(
                "consumer.config",
                "String",
                "config file",
                "Consumer config properties file. Note that [consumer-property] takes precedence over this config.",
            ),
        ],
    ),
];

/// The old name of `--bootstrap-server`.
const BROKER_LIST: Row = Row::taking(
    "broker-list",
    "String",
    "broker-list",
    "DEPRECATED, use --bootstrap-server instead; ignored if --bootstrap-server is specified.  The broker list string in the \
     form HOST1:PORT1,HOST2:PORT2.",
);

impl Client {
    /// Adds the options that give the client its properties.
    pub(super) fn accept_properties(self, parser: &mut Parser) {
        PROPERTIES.iter().filter(|(client, _)| *client == self).for_each(|(_, rows)| parser.accept_all(rows));
    }

    /// The properties of the file, and those that were given one by one.
    pub(super) fn properties(self, parsed: &Parsed) -> Result<(Properties, Properties), Thrown> {
        let (one, file) = match self {
            Self::Producer => ("producer-property", "producer.config"),
            Self::Consumer => ("consumer-property", "consumer.config"),
        };
        let of_file = parsed.value(file)?.map(load_properties).transpose()?.unwrap_or_default();
        let mut given = Properties::new();
        set_all(&mut given, &parsed.values(one));
        Ok((of_file, given))
    }
}

/// Adds `--bootstrap-server` and its old name, of which one is needed.
pub(super) fn accept_servers(parser: &mut Parser, about: &'static str) {
    parser.accept_all(&[BROKER_LIST]);
    let server = parser.accepts("bootstrap-server", about).argument("String", "server to connect to");
    server.required_unless("broker-list");
}

/// The option of the two that names the servers.
pub(super) fn servers_option(parsed: &Parsed) -> &'static str {
    if parsed.has("bootstrap-server") { "bootstrap-server" } else { "broker-list" }
}

/// Longer than any tool runs.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Sets what options said as `key=value`; a key alone gets an empty value.
pub(super) fn set_all(properties: &mut Properties, given: &[&str]) {
    for text in given {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        properties.set(key, value);
    }
}

/// Sets a key from an option: one that was given goes over the property, the property over the option's default.
pub(super) fn merge(properties: &mut Properties, key: &str, parsed: &Parsed, option: &str) -> Result<(), Thrown> {
    if parsed.has(option) || properties.get(key).is_none() {
        match parsed.value(option)? {
            Some(value) => properties.set(key, value),
            None => properties.remove(key),
        };
    }
    Ok(())
}

/// `org.apache.kafka.common.config.ConfigException`.
pub(super) fn config_exception(error: ConfigError) -> Thrown {
    Thrown::new("org.apache.kafka.common.config.ConfigException", error)
}

/// The original resolves its first brokers before it does anything else, and gives up when it finds none.
pub(super) fn check_resolvable(bootstrap: &[(Str, u16)], kind: &str, console: &mut Console<'_>) -> Result<(), Thrown> {
    let mut found = false;
    for (host, port) in bootstrap {
        if (&**host, *port).to_socket_addrs().is_ok_and(|mut addresses| addresses.next().is_some()) {
            found = true;
        } else {
            let text = format!(
                "Couldn't resolve server {host}:{port} from bootstrap.servers as DNS resolution failed for {host}"
            );
            console.log("WARN", text, "org.apache.kafka.clients.ClientUtils");
        }
    }
    if found {
        return Ok(());
    }
    let cause = "No resolvable bootstrap urls given in bootstrap.servers";
    let cause = Thrown::new("org.apache.kafka.common.config.ConfigException", cause);
    let failed = format!("Failed to construct kafka {kind}");
    Err(Thrown::new("org.apache.kafka.common.KafkaException", failed).caused_by(cause))
}

/// Logs what a client warns of.
pub(super) fn warn() -> Warn {
    Box::new(|logger, message| {
        Console { input: None, out: &mut io::sink(), err: &mut io::stderr() }.log("WARN", message, logger);
    })
}

/// Logs an error and the exception behind it, without its stack.
pub(super) fn log_exception(console: &mut Console<'_>, text: impl Display, logger: &str, exception: impl Display) {
    console.flush();
    console.log("ERROR", text, logger);
    console.error_line(exception);
}

/// An exception as a stack trace begins.
pub(super) fn exception(error: &ClientError) -> String {
    format!("{}: {error}", error.exception())
}

/// A number that differs from run to run, below `bound`.
pub(super) fn chance(bound: u64) -> u64 {
    Random::from_seed(seed()).below(bound)
}

/// What a client's choices begin with.
pub(super) fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// The signals that ask a tool to end.
#[derive(Clone)]
pub(super) struct Signals(Arc<AtomicI32>);

impl Signals {
    /// From here on they end the driver's waits instead of the process.
    pub(super) fn listen(waker: Waker) -> Result<Self, Thrown> {
        let failed = |error: io::Error| Thrown::new("java.io.IOException", error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let seen = Arc::new(AtomicI32::new(0));
        let guard = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        drop(guard);
        let told = Arc::clone(&seen);
        std::thread::spawn(move || {
            let kind = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                }
            });
            told.store(kind.as_raw_value(), Ordering::Release);
            waker.wake();
            // Later ones change nothing, as in a JVM that is shutting down.
        });
        Ok(Self(seen))
    }

    /// The exit code that a signal asks for.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            signal => Some(128 + signal),
        }
    }
}
