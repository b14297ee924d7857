//! `jackdaw dev`: everything in one process, for trying things out.

mod ensemble;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use config::Properties;
use host::logging::{KAFKA_DEFAULT, Log, LogSettings, capture_events, end_process_on_panic};
use host::{Kafka, KafkaError, StopSignals, System};
use zk_node::StopReason;

use crate::kafka_server;
use crate::zookeeper_server::block_on;
use ensemble::Servers;

const HELP: &str = "\
Usage: jackdaw dev [OPTIONS]

ZooKeeper and a broker in the foreground, for trying things out. Ctrl-C stops them; their data stays.

  --data-dir DIR          where data and logs are kept (jackdaw-data)
  --host NAME             where to listen, and what clients are told to connect to (localhost)
  --servers N             how many ZooKeeper servers, an ensemble if more than one (1)
  --zookeeper-port PORT   ZooKeeper's port, 0 for any free one (2181); further servers take those behind it
  --kafka-port PORT       the broker's port, 0 for any free one (9092)
";

/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);
/// More would show nothing new on one machine.
const SERVERS_MAX: u8 = 9;

struct Options {
    data_dir: PathBuf,
    host: String,
    servers: u8,
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
            let known = ["--data-dir", "--host", "--servers", "--zookeeper-port", "--kafka-port"];
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
                "--servers" => {
                    let count = value.to_string_lossy();
                    let parsed = count.parse().ok().filter(|count| (1..=SERVERS_MAX).contains(count));
                    options.servers =
                        parsed.ok_or_else(|| format!("--servers: {count} is not between 1 and {SERVERS_MAX}"))?;
                }
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
    let system = System::start().map_err(|error| error.to_string())?;
    let servers = Servers::start(options, &system)?;

    let code = block_on(async {
        let mut signals = StopSignals::listen().map_err(|error| error.to_string())?;
        let broker = start_broker(options, &servers.addresses, &system)?;
        tokio::select! {
            () = broker.started() => announce(&servers.addresses, &broker, options),
            reason = servers.one_stopped() => return Err(format!("ZooKeeper ended: {reason}")),
            fatal = broker.failed() => return Err(fatal.to_string()),
            signal = signals.next() => return Ok(signal.exit_code()),
        }
        let signal = tokio::select! {
            reason = servers.one_stopped() => return Err(format!("ZooKeeper ended: {reason}")),
            fatal = broker.failed() => return Err(fatal.to_string()),
            signal = signals.next() => signal,
        };
        let stop = async {
            broker.stop().await;
            servers.stop().await
        };
        tokio::select! {
            reason = stop => if reason != StopReason::Requested {
                return Err(format!("ZooKeeper ended: {reason}"));
            },
            signal = signals.next() => std::process::exit(signal.exit_code()),
            () = tokio::time::sleep(STOP_MAX) => {}
        }
        Ok(signal.exit_code())
    });
    system.stop();
    servers.flush_logs();
    code
}

/// The broker, with settings that suit one that is alone.
fn start_broker(options: &Options, zookeeper_address: &str, system: &System) -> Result<Kafka, String> {
    let log = kafka_log(options)?;
    capture_events(&log);
    let settings = [
        ("broker.id", "0".to_owned()),
        ("listeners", format!("PLAINTEXT://{}:{}", options.host, options.kafka_port)),
        ("log.dirs", options.data_dir.join("kafka").display().to_string()),
        ("zookeeper.connect", zookeeper_address.to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
    ];
    let config = kafka_server::load(settings.into_iter().collect(), &log)?;
    let random = System::random().map_err(|error| error.to_string())?;
    Kafka::start(config, system.clone(), log, random, None).map_err(|error| match &error {
        KafkaError::Bind { .. } => format!("{error}; choose another port with --kafka-port"),
        _ => error.to_string(),
    })
}

/// The logs of the broker: Kafka's files, without the console.
fn kafka_log(options: &Options) -> Result<Log, String> {
    let dir = options.data_dir.join("logs").display().to_string();
    let mut file = Properties::parse(KAFKA_DEFAULT.as_bytes()).map_err(|error| error.to_string())?;
    file.set("log4j.rootLogger", "INFO, kafkaAppender");
    let settings =
        LogSettings::parse(&file, &[("kafka.logs.dir", dir.as_str())].into_iter().collect(), &mut Vec::new());
    Log::start(settings).map_err(|error| format!("cannot write to {dir}: {error}"))
}

fn announce(zookeeper: &str, broker: &Kafka, options: &Options) {
    let command = std::env::args().next().unwrap_or_else(|| "jackdaw".to_owned());
    let kafka = format!("{}:{}", options.host, broker.addresses().first().map_or(0, std::net::SocketAddr::port));
    let text = format!(
        "ZooKeeper listens on {zookeeper}, Kafka on {kafka}; data and logs are in {}. Try:\n\n  \
         {command} kafka-topics --create --bootstrap-server {kafka} --topic ky18 --partitions 3\n  \
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
        assert_eq!(parse(&["--servers=3"]).unwrap().servers, 3);
        assert!(error(&["--nope"]).contains("--nope"));
    }
}
