//! A broker in the foreground, with the messages and exit codes of `kafka.Kafka`.

use std::io;
use std::time::Duration;

use config::zookeeper::{Secret, TlsSettings, client_login};
use config::{BrokerConfig, Properties};
use host::logging::{Level, Log, capture_events, end_process_on_panic};
use host::{Fatal, Guardian, Kafka, KafkaError, StartError, StopSignals, System};

use crate::java::Java;
use crate::zookeeper_server::block_on;

const MAIN: &str = "kafka.Kafka$";
const CONFIG: &str = "kafka.server.KafkaConfig";
const SERVER: &str = "kafka.server.KafkaServer";
const LOG_MANAGER: &str = "kafka.log.LogManager";
const STARTABLE: &str = "kafka.server.KafkaServerStartable";
const USAGE: &str = "USAGE: java [options] KafkaServer server.properties [--override property=value]*";
const OPTIONS: &str = "\
Option               Description                                        \x20
------               -----------                                        \x20
--override <String>  Optional property that should override values set in
                       server.properties file                           \x20
--version            Print version information and exit.                \x20
";
const VERSION: &str = "2.7.1 (Commit:61dbce85d0d41457)";

/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Why no broker runs, with the original's text and, where it prints one, its exception.
#[derive(Debug)]
enum Refused {
    /// On stderr, with the options behind it.
    Usage(String),
    /// The configuration, before anything has started.
    Config(String),
    /// The start of the broker with this id, if that is certain by then: the exception.
    Start(Option<i32>, String),
    /// What had started came to an end.
    Halted(String),
}

/// Runs a broker until it is told to stop; its exit code.
pub(crate) fn run(java: &Java, arguments: &[String]) -> i32 {
    if arguments.iter().any(|word| word == "--version") && !arguments.iter().any(|word| word == "--help") {
        println!("{VERSION}");
        return 0;
    }
    let log = match java.log() {
        Ok(log) => log,
        Err(error) => {
            eprintln!("log4j:ERROR {error}");
            return 1;
        }
    };
    capture_events(&log);
    end_process_on_panic(Some(log.clone()));
    for (level, note) in java.notes() {
        log.write(level, MAIN, note);
    }
    let result = properties(arguments).and_then(|mut file| {
        TlsSettings::add_of_java(&mut file, &java.properties);
        serve(file, login(java, &log)?, &log)
    });
    let code = result.unwrap_or_else(|refused| {
        tell(&refused, &log);
        1
    });
    log.flush();
    code
}

/// Says why, where the original says it.
fn tell(refused: &Refused, log: &Log) {
    match refused {
        Refused::Usage(text) => eprint!("{text}\n{OPTIONS}"),
        Refused::Config(text) => {
            log.write_with(Level::Error, MAIN, "Exiting Kafka due to fatal exception", Some(text.clone()));
        }
        Refused::Start(id, exception) => {
            let prefix = id.map_or_else(String::new, |id| format!("[KafkaServer id={id}] "));
            let head = format!("{prefix}Fatal error during KafkaServer startup. Prepare to shutdown");
            log.write_with(Level::Error, SERVER, head, Some(exception.clone()));
            log.write(Level::Error, STARTABLE, "Exiting Kafka.");
        }
        Refused::Halted(reason) => log.write(Level::Error, LOG_MANAGER, reason.clone()),
    }
}

/// The file, with the `--override`s laid over it.
fn properties(arguments: &[String]) -> Result<Properties, Refused> {
    let [path, overrides @ ..] = arguments else { return Err(Refused::Usage(USAGE.to_owned())) };
    if arguments.iter().any(|word| word == "--help") {
        return Err(Refused::Usage(USAGE.to_owned()));
    }
    let text = std::fs::read(path).map_err(|error| Refused::Config(unreadable(path, &error)))?;
    let mut file = Properties::parse(&text).map_err(|error| Refused::Config(format!("{path}: {error}")))?;
    let mut stray = Vec::new();
    let mut words = overrides.iter();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("--override") {
            Some("") => words.next().map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None if word.starts_with('-') => {
                let name = word.trim_start_matches('-');
                let text = format!("joptsimple.UnrecognizedOptionException: {name} is not a recognized option");
                return Err(Refused::Config(text));
            }
            None => {
                stray.push(word.as_str());
                continue;
            }
        };
        let pair = pair.ok_or_else(|| {
            let text = "joptsimple.OptionMissingRequiredArgumentException: Option override requires an argument";
            Refused::Config(text.to_owned())
        })?;
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        file.set(name, value);
    }
    if stray.is_empty() {
        return Ok(file);
    }
    Err(Refused::Usage(format!("Found non argument parameters: {}", stray.join(","))))
}

fn unreadable(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("java.nio.file.NoSuchFileException: {path}"),
        io::ErrorKind::PermissionDenied => format!("java.nio.file.AccessDeniedException: {path}"),
        _ => format!("java.io.IOException: {path}: {error}"),
    }
}

/// As whom to log in at ZooKeeper, as the JAAS file says.
fn login(java: &Java, log: &Log) -> Result<Option<(String, Secret)>, Refused> {
    let mut notices = Vec::new();
    let get = |name: &str| java.properties.get(name).map(str::to_owned);
    let login = client_login(&get, &mut |path| std::fs::read(path), &mut notices).map_err(Refused::Config)?;
    for notice in notices {
        log.write(notice.level.into(), notice.logger, notice.text);
    }
    Ok(login)
}

fn serve(file: Properties, login: Option<(String, Secret)>, log: &Log) -> Result<i32, Refused> {
    let exception = |text| format!("org.apache.kafka.common.config.ConfigException: {text}");
    let config = load(file, log).map_err(|text| Refused::Config(exception(text)))?.with_zookeeper_login(login);
    let id = config.settings().broker_id.unwrap_or(-1);
    let start = |source| refused(id, &KafkaError::System(source));
    // Ahead of all threads.
    let guardian = config.settings().guardian.then(|| Guardian::start(&config, log.clone()));
    let guardian = guardian.transpose().map_err(start)?;
    let system = System::start(1).map_err(start)?;
    let random = System::random().map_err(start)?;
    let code = block_on(async {
        let mut signals = StopSignals::listen().map_err(start)?;
        // Taking the directories may wait for the disk; a signal is not to wait for that.
        let starting = {
            let (system, log) = (system.clone(), log.clone());
            tokio::task::spawn_blocking(move || Kafka::start(config, system, log, random, guardian))
        };
        let broker = tokio::select! {
            started = starting => {
                let started = started.expect("the start panics for no input, and is never cancelled");
                started.map_err(|error| refused(id, &error))?
            }
            signal = signals.next() => std::process::exit(signal.exit_code()),
        };
        let signal = tokio::select! {
            fatal = broker.failed() => return Err(match &*fatal {
                Fatal::Start(error) => refused_start(broker.id(), error),
                Fatal::Halted(reason) => Refused::Halted(reason.clone()),
            }),
            signal = signals.next() => signal,
        };
        tokio::select! {
            () = broker.stop() => {}
            signal = signals.impatience() => std::process::exit(signal.exit_code()),
            () = tokio::time::sleep(STOP_MAX) => log.write(Level::Warn, MAIN, "The broker did not stop in time"),
        }
        Ok(signal.exit_code())
    });
    system.stop();
    code
}

fn refused_start(id: i32, error: &StartError) -> Refused {
    if error.is_halt() {
        return Refused::Halted(error.to_string());
    }
    Refused::Start(error.is_behind_id().then_some(id), format!("{}: {error}", error.exception()))
}

/// What was refused before there was a broker.
fn refused(id: i32, error: &KafkaError) -> Refused {
    match error {
        KafkaError::Start(error) => refused_start(id, error),
        KafkaError::Bind { .. } | KafkaError::Resolve { .. } | KafkaError::System(_) | KafkaError::Tls(_) => {
            Refused::Start(Some(id), format!("org.apache.kafka.common.KafkaException: {error}"))
        }
    }
}

/// The broker's settings; what is to be said of them goes to the log.
pub(crate) fn load(file: Properties, log: &Log) -> Result<BrokerConfig, String> {
    let (config, notices) = BrokerConfig::new(file).map_err(|error| error.to_string())?;
    for notice in notices {
        log.write(notice.level.into(), notice.logger, notice.text);
    }
    log.write(Level::Info, CONFIG, config.log_text());
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_laid_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.properties").display().to_string();
        std::fs::write(&path, "broker.id=0\nlog.dirs=/a").unwrap();
        let parse = |words: &[&str]| {
            let words: Vec<String> =
                std::iter::once(path.as_str()).chain(words.iter().copied()).map(str::to_owned).collect();
            properties(&words)
        };
        let file = parse(&["--override", "broker.id=7", "--override=x=y=z"]).unwrap();
        assert_eq!((file.get("broker.id"), file.get("log.dirs"), file.get("x")), (Some("7"), Some("/a"), Some("y=z")));
        assert_eq!(parse(&["--override", "flag"]).unwrap().get("flag"), Some(""));
        let refused = |words: &[&str]| format!("{:?}", parse(words).unwrap_err());
        assert!(refused(&["--override"]).contains("Option override requires an argument"));
        assert!(refused(&["--nope"]).contains("nope is not a recognized option"));
        assert!(refused(&["stray", "--override", "a=b", "two"]).contains("Found non argument parameters: stray,two"));
        assert!(matches!(properties(&[]), Err(Refused::Usage(_))));
    }
}
