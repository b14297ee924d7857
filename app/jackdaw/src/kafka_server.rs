//! A broker in the foreground, with the messages and exit codes of `kafka.Kafka`.

use std::time::Duration;

use config::{BrokerConfig, Properties};
use host::logging::{Level, Log, capture_events};
use host::{Kafka, StopSignals, System};

use crate::java::Java;
use crate::zookeeper_server::block_on;

const MAIN: &str = "kafka.Kafka$";
const CONFIG: &str = "kafka.server.KafkaConfig";
const USAGE: &str = "USAGE: java [options] KafkaServer server.properties [--override property=value]*";

/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Runs a broker until it is told to stop; its exit code.
pub(crate) fn run(java: &Java, arguments: &[String]) -> i32 {
    let log = match java.log() {
        Ok(log) => log,
        Err(error) => {
            eprintln!("log4j:ERROR {error}");
            return 1;
        }
    };
    capture_events(&log);
    for (level, note) in java.notes() {
        log.write(level, MAIN, note);
    }
    let result = properties(arguments).and_then(|file| serve(file, &log));
    let code = result.unwrap_or_else(|message| {
        log.write(Level::Fatal, MAIN, format!("Exiting Kafka due to fatal exception\n{message}"));
        1
    });
    log.flush();
    code
}

/// The file, with the `--override`s laid over it.
fn properties(arguments: &[String]) -> Result<Properties, String> {
    let [path, overrides @ ..] = arguments else { return Err(USAGE.to_owned()) };
    let text = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let mut file = Properties::parse(&text).map_err(|error| format!("{path}: {error}"))?;
    let mut words = overrides.iter();
    while let Some(word) = words.next() {
        let pair = match word.strip_prefix("--override") {
            Some("") => words.next().map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => return Err(format!("Found non argument parameters: {word}")),
        };
        let (name, value) =
            pair.and_then(|pair| pair.split_once('=')).ok_or_else(|| "Invalid command line properties".to_owned())?;
        file.set(name, value);
    }
    Ok(file)
}

fn serve(file: Properties, log: &Log) -> Result<i32, String> {
    let config = load(file, log)?;
    let system = System::start().map_err(|error| error.to_string())?;
    let random = System::random().map_err(|error| error.to_string())?;
    let code = block_on(async {
        let mut signals = StopSignals::listen().map_err(|error| error.to_string())?;
        let broker = Kafka::start(config, system.clone(), log.clone(), random).map_err(|error| error.to_string())?;
        let signal = tokio::select! {
            reason = broker.failed() => return Err(reason),
            signal = signals.next() => signal,
        };
        tokio::select! {
            () = broker.stop() => {}
            _ = signals.next() => {}
            () = tokio::time::sleep(STOP_MAX) => log.write(Level::Warn, MAIN, "The broker did not stop in time"),
        }
        Ok(signal.exit_code())
    });
    system.stop();
    code
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
        assert!(parse(&["--override"]).is_err());
        assert!(parse(&["stray"]).unwrap_err().contains("stray"));
        assert!(properties(&[]).is_err());
    }
}
