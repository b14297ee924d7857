//! `jackdaw dev`: everything in one process, for trying things out.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use config::{Properties, ZooKeeperSettings};
use host::logging::{Log, LogSettings, ZOOKEEPER_DEFAULT};
use host::{StopSignals, System};
use zk_node::StopReason;

use crate::zookeeper_server::{self, block_on, resolve};

const HELP: &str = "\
Usage: jackdaw dev [OPTIONS]

A ZooKeeper server in the foreground, for trying things out. Ctrl-C stops it; its data stays.

  --data-dir DIR          where data and logs are kept (jackdaw-data)
  --host NAME             where to listen (localhost)
  --zookeeper-port PORT   ZooKeeper's port, 0 for any free one (2181)
";

/// How long a clean stop may take.
const STOP_MAX: Duration = Duration::from_secs(30);

struct Options {
    data_dir: PathBuf,
    host: String,
    zookeeper_port: u16,
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
        let mut options = Self { data_dir: "jackdaw-data".into(), host: "localhost".to_owned(), zookeeper_port: 2181 };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let word = word.to_str().ok_or("an argument is not UTF-8")?;
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.into())),
                None => (word, None),
            };
            let known = ["--data-dir", "--host", "--zookeeper-port"];
            if !known.contains(&name) {
                return Err(format!("unknown option {word}; see `jackdaw dev --help`"));
            }
            let value: OsString = match value.or_else(|| words.next().cloned()) {
                Some(value) => value,
                None => return Err(format!("{name} needs a value")),
            };
            match name {
                "--data-dir" => options.data_dir = value.into(),
                "--host" => options.host = value.to_string_lossy().into_owned(),
                _ => {
                    let port = value.to_string_lossy();
                    options.zookeeper_port = port.parse().map_err(|_| format!("{name}: {port} is no port"))?;
                }
            }
        }
        Ok(options)
    }
}

fn serve(options: &Options) -> Result<i32, String> {
    let data_dir = options.data_dir.display();
    let create = std::fs::create_dir_all(&options.data_dir);
    create.map_err(|error| format!("cannot use {data_dir} (--data-dir): {error}"))?;
    let system = System::start().map_err(|error| error.to_string())?;
    let log = zookeeper_log(options)?;
    let settings = zookeeper_settings(options)?;
    let address = resolve(&options.host, options.zookeeper_port).map_err(|error| format!("--host: {error}"))?;
    let (server, address) =
        zookeeper_server::start(&settings, Some(address), &system, &log).map_err(|(_, error)| {
            log.flush();
            if error.contains("in use") { format!("{error}; choose another with --zookeeper-port") } else { error }
        })?;
    let address = format!("{}:{}", options.host, address.map_or(0, |address| address.port()));
    announce(&address, options);

    let code = block_on(async {
        let mut signals = StopSignals::listen().map_err(|error| error.to_string())?;
        let signal = tokio::select! {
            reason = server.stopped() => return Err(format!("ZooKeeper ended: {reason:?}")),
            signal = signals.next() => signal,
        };
        server.stop();
        tokio::select! {
            reason = server.stopped() => if reason != StopReason::Requested {
                return Err(format!("ZooKeeper ended: {reason:?}"));
            },
            _ = signals.next() => {}
            () = tokio::time::sleep(STOP_MAX) => {}
        }
        Ok(signal.exit_code())
    });
    system.stop();
    log.flush();
    code
}

/// The log of the server: a file, so that the console is free.
fn zookeeper_log(options: &Options) -> Result<Log, String> {
    let dir = options.data_dir.join("logs").display().to_string();
    let system = [("zookeeper.root.logger", "INFO, ROLLINGFILE"), ("zookeeper.log.dir", dir.as_str())];
    let file = Properties::parse(ZOOKEEPER_DEFAULT.as_bytes()).map_err(|error| error.to_string())?;
    let settings = LogSettings::parse(&file, &system.into_iter().collect(), &mut Vec::new());
    Log::start(settings).map_err(|error| format!("cannot write to {dir}: {error}"))
}

fn zookeeper_settings(options: &Options) -> Result<ZooKeeperSettings, String> {
    let dir = options.data_dir.join("zookeeper").display().to_string();
    let java = [("zookeeper.4lw.commands.whitelist", "*"), ("zookeeper.extendedTypesEnabled", "true")];
    // The port is bound by ourselves: the file's form has no "any free one".
    let loaded = ZooKeeperSettings::from_arguments(&["2181", &dir, "2000"], &java.into_iter().collect());
    loaded.map(|loaded| loaded.settings).map_err(|error| error.to_string())
}

fn announce(address: &str, options: &Options) {
    let command = std::env::args().next().unwrap_or_else(|| "jackdaw".to_owned());
    let text = format!(
        "ZooKeeper listens on {address}; data and logs are in {}. Try:\n\n  \
         {command} zkCli -server {address} create /hello world\n  \
         {command} zkCli -server {address} get /hello\n  \
         {command} zkCli -server {address} ls /\n\n\
         Ctrl-C stops it.\n",
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
        let error = |words: &[&str]| parse(words).err().unwrap();
        assert!(error(&["--zookeeper-port", "70000"]).contains("70000"));
        assert!(error(&["--host"]).contains("needs a value"));
        assert!(error(&["--nope"]).contains("--nope"));
    }
}
