//! `jackdaw dev`: everything in one process, for trying things out.

mod brokers;
mod ensemble;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use host::logging::end_process_on_panic;
use host::{StopSignals, System};
use zk_node::StopReason;

use crate::zookeeper_server::block_on;
use brokers::Brokers;
use ensemble::Servers;

const HELP: &str = "\
Usage: jackdaw dev [OPTIONS]

ZooKeeper and Kafka in the foreground, for trying things out. Ctrl-C stops them; their data stays.

  --data-dir DIR          where data and logs are kept (jackdaw-data)
  --host NAME             where to listen, and what clients are told to connect to (localhost)
  --servers N             how many ZooKeeper servers, an ensemble if more than one (1)
  --zookeeper-port PORT   ZooKeeper's port, 0 for any free one (2181); further servers take those behind it
  --brokers N             how many Kafka brokers, a cluster if more than one (1)
  --kafka-port PORT       the broker's port, 0 for any free one (9092); further brokers take those behind it
";

/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);
/// More servers, or brokers, would show nothing new on one machine.
const COUNT_MAX: u8 = 9;

struct Options {
    data_dir: PathBuf,
    host: String,
    servers: u8,
    brokers: u8,
    zookeeper_port: u16,
    kafka_port: u16,
}

/// Runs until it is stopped; the exit code.
pub(crate) fn run(arguments: &[OsString]) -> i32 {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return 0;
    }
    let result = Options::parse(arguments).and_then(|options| serve(&options));
    result.unwrap_or_else(|message| {
        eprintln!("jackdaw dev: {message}");
        1
    })
}

impl Options {
    fn parse(arguments: &[OsString]) -> Result<Self, String> {
        let mut options = Self {
            data_dir: "jackdaw-data".into(),
            host: "localhost".to_owned(),
            servers: 1,
            brokers: 1,
            zookeeper_port: 2181,
            kafka_port: 9092,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let word = word.to_str().ok_or("an argument is not UTF-8")?;
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.into())),
                None => (word, None),
            };
            let known = ["--data-dir", "--host", "--servers", "--brokers", "--zookeeper-port", "--kafka-port"];
            if !known.contains(&name) {
                return Err(format!("unknown option {word}; see `jackdaw dev --help`"));
            }
            let value: OsString = match value.or_else(|| words.next().cloned()) {
                Some(value) => value,
                None => return Err(format!("{name} needs a value")),
            };
            match name {
                "--data-dir" => options.data_dir = value.into(),
                "--host" => options.host = bracketed(&value.to_string_lossy()),
                "--servers" => options.servers = count(name, &value)?,
                "--brokers" => options.brokers = count(name, &value)?,
                _ => {
                    let port = value.to_string_lossy();
                    let port = port.parse().map_err(|_| format!("{name}: {port} is no port"))?;
                    *(if name == "--kafka-port" { &mut options.kafka_port } else { &mut options.zookeeper_port }) =
                        port;
                }
            }
        }
        Ok(options)
    }
}

fn count(name: &str, value: &OsStr) -> Result<u8, String> {
    let text = value.to_string_lossy();
    let parsed = text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
    parsed.ok_or_else(|| format!("{name}: {text} is not between 1 and {COUNT_MAX}"))
}

/// The port of a server or broker: those behind the first one, or any free one.
fn port_of(flag: &str, first: u16, index: u8) -> Result<u16, String> {
    match first {
        0 => Ok(0),
        first => first.checked_add(index.into()).ok_or_else(|| format!("{flag}: there are no ports above 65535")),
    }
}

/// A host as it stands before `:port`: an IPv6 address goes into brackets.
fn bracketed(host: &str) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

fn serve(options: &Options) -> Result<i32, String> {
    // Several servers with a log each: the console has it.
    end_process_on_panic(None);
    let data_dir = options.data_dir.display();
    let create = std::fs::create_dir_all(&options.data_dir);
    create.map_err(|error| format!("cannot use {data_dir} (--data-dir): {error}"))?;
    let system = System::start(1).map_err(|error| error.to_string())?;
    let servers = Servers::start(options, &system)?;

    let code = block_on(async {
        let mut signals = StopSignals::listen().map_err(|error| error.to_string())?;
        let brokers = Brokers::start(options, &servers.addresses, &system)?;
        tokio::select! {
            () = brokers.started() => announce(&servers.addresses, &brokers.addresses, options),
            reason = servers.one_stopped() => return Err(format!("ZooKeeper ended: {reason}")),
            fatal = brokers.one_failed() => return Err(fatal.to_string()),
            signal = signals.next() => return Ok(signal.exit_code()),
        }
        let signal = tokio::select! {
            reason = servers.one_stopped() => return Err(format!("ZooKeeper ended: {reason}")),
            fatal = brokers.one_failed() => return Err(fatal.to_string()),
            signal = signals.next() => signal,
        };
        let stop = async {
            brokers.stop().await;
            servers.stop().await
        };
        tokio::select! {
            reason = stop => if reason != StopReason::Requested {
                return Err(format!("ZooKeeper ended: {reason}"));
            },
            signal = signals.impatience() => std::process::exit(signal.exit_code()),
            () = tokio::time::sleep(STOP_MAX) => {}
        }
        Ok(signal.exit_code())
    });
    system.stop();
    servers.flush_logs();
    code
}

fn announce(zookeeper: &str, kafka: &str, options: &Options) {
    let command = std::env::args().next().unwrap_or_else(|| "jackdaw".to_owned());
    let replicas = match options.brokers {
        1 => String::new(),
        brokers => format!(" --replication-factor {}", brokers.min(3)),
    };
    let text = format!(
        "ZooKeeper listens on {zookeeper}, Kafka on {kafka}; data and logs are in {}. Try:\n\n  \
         {command} kafka-topics --create --bootstrap-server {kafka} --topic ky18 --partitions 3{replicas}\n  \
         {command} kafka-console-producer --broker-list {kafka} --topic ky18\n  \
         {command} kafka-console-consumer --bootstrap-server {kafka} --topic ky18 --from-beginning\n\n\
         Ctrl-C stops all.\n",
        options.data_dir.display()
    );
    // A closed console is no reason to stop.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_in_both_forms_and_their_errors() {
        let options = parse(&["--data-dir", "/d", "--zookeeper-port=0"]).unwrap();
        assert_eq!((options.data_dir, options.zookeeper_port), (PathBuf::from("/d"), 0));
        for (given, host) in
            [("::1", "[::1]"), ("[::1]", "[::1]"), ("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")]
        {
            assert_eq!(parse(&["--host", given]).unwrap().host, host);
        }
        let error = |words: &[&str]| parse(words).err().unwrap();
        assert!(error(&["--zookeeper-port", "70000"]).contains("70000"));
        assert!(error(&["--host"]).contains("needs a value"));
        assert!(error(&["--servers", "0"]).contains("0 is not between 1 and 9"));
        assert!(error(&["--brokers=10"]).contains("--brokers: 10 is not between 1 and 9"));
        let options = parse(&["--servers=3", "--brokers", "5"]).unwrap();
        assert_eq!((options.servers, options.brokers), (3, 5));
        assert!(error(&["--nope"]).contains("--nope"));
        assert_eq!(port_of("--kafka-port", 9092, 2), Ok(9094));
        assert_eq!(port_of("--kafka-port", 0, 2), Ok(0));
        assert!(port_of("--kafka-port", 65_535, 1).is_err_and(|error| error.contains("--kafka-port")));
    }
}
