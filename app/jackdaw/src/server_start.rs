//! `kafka-server-start`, `zookeeper-server-start` and their stop commands, and `kafka-run-class`, which they end in.
//!
//! The process goes on as `jackdaw java ... CLASS FILE`, so that `ps` shows what scripts look for.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::java::{KAFKA_CLASS, KAFKA_STYLE, ZOOKEEPER_CLASS};

/// A server that Kafka's scripts start.
pub(crate) struct Server {
    class: &'static str,
    /// The name of the file that takes a daemon's console.
    daemon_name: &'static str,
    usage: &'static str,
    stop_nothing: &'static str,
}

/// Kafka's broker.
pub(crate) const KAFKA: Server = Server {
    class: KAFKA_CLASS,
    daemon_name: "kafkaServer",
    usage: "USAGE: kafka-server-start [-daemon] server.properties [--override property=value]*",
    stop_nothing: "No kafka server to stop",
};

/// The ZooKeeper server that comes with Kafka.
pub(crate) const ZOOKEEPER: Server = Server {
    class: ZOOKEEPER_CLASS,
    daemon_name: "zookeeper",
    usage: "USAGE: zookeeper-server-start [-daemon] zookeeper.properties",
    stop_nothing: "No zookeeper server to stop",
};

/// Starts a server in the foreground, or with `-daemon` behind it.
pub(crate) fn run(server: &Server, arguments: &[OsString]) -> i32 {
    let daemon = arguments.first().is_some_and(|first| first == "-daemon");
    let rest = arguments.get(usize::from(daemon)..).unwrap_or_default();
    if rest.is_empty() {
        println!("{}", server.usage);
        return 1;
    }
    start(server.class, daemon.then_some(server.daemon_name), rest)
}

/// `kafka-run-class [-daemon] [-loggc] [-name NAME] [-D...] CLASS [ARGUMENTS]`.
pub(crate) fn run_class(arguments: &[OsString]) -> i32 {
    let mut daemon = false;
    let mut name = "kafka".to_owned();
    let mut words = arguments;
    while let [first, rest @ ..] = words {
        match (first.to_str(), rest) {
            (Some("-daemon"), _) => daemon = true,
            (Some("-loggc"), _) => {}
            (Some("-name"), [value, after @ ..]) => {
                name = value.to_string_lossy().into_owned();
                words = after;
                continue;
            }
            _ => break,
        }
        words = rest;
    }
    match words {
        [] => {
            println!("USAGE: kafka-run-class [-daemon] [-name servicename] [-loggc] classname [opts]");
            1
        }
        [class, rest @ ..] => start(&class.to_string_lossy(), daemon.then_some(&name), rest),
    }
}

fn start(class: &str, daemon_name: Option<&str>, arguments: &[OsString]) -> i32 {
    let log_dir = log_dir();
    let Ok(program) = std::env::current_exe() else {
        eprintln!("jackdaw: cannot find the own program");
        return 1;
    };
    let mut command = Command::new(program);
    command.arg0("jackdaw").arg("java");
    match &log_dir {
        Some(dir) => command.arg(property("kafka.logs.dir", dir)),
        None => command.arg(property(KAFKA_STYLE, "true".as_ref())),
    };
    if std::env::var_os("KAFKA_LOG4J_OPTS").is_none()
        && let Some(file) = home().map(|home| home.join("config/log4j.properties")).filter(|file| file.is_file())
    {
        command.arg(property("log4j.configuration", file.as_os_str()));
    }
    command.arg(class).args(arguments);
    let Some(name) = daemon_name else {
        let error = command.exec();
        eprintln!("jackdaw: cannot start: {error}");
        return 1;
    };
    match start_daemon(&mut command, log_dir.as_deref().unwrap_or(OsStr::new(".")), name) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("jackdaw: cannot start: {error}");
            1
        }
    }
}

fn start_daemon(command: &mut Command, log_dir: &OsStr, name: &str) -> std::io::Result<()> {
    fs::create_dir_all(log_dir)?;
    let output = File::create(Path::new(log_dir).join(format!("{name}.out")))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    // A process group of its own: what the terminal sends to this one does not reach it.
    command.process_group(0).spawn().map(drop)
}

/// Sends SIGTERM, or `$SIGNAL`, to all servers of this kind.
pub(crate) fn stop(server: &Server) -> i32 {
    let found: Vec<String> = processes(server.class);
    if found.is_empty() {
        println!("{}", server.stop_nothing);
        return 1;
    }
    let signal = std::env::var("SIGNAL").unwrap_or_else(|_| "TERM".to_owned());
    let killed = Command::new("kill").arg("-s").arg(signal).args(found).status();
    killed.ok().and_then(|status| status.code()).unwrap_or(1)
}

/// Processes, ours or of a JVM, that run a class.
fn processes(class: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let runs_class = |number: &String| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let is_java = line.windows(4).any(|window| window == b"java");
        is_java && words.any(|word| word == class.as_bytes())
    };
    numbers.filter(|number| number.parse::<u32>().is_ok()).filter(runs_class).collect()
}

/// `$LOG_DIR`, or the home's own.
fn log_dir() -> Option<OsString> {
    let given = std::env::var_os("LOG_DIR").filter(|dir| !dir.is_empty());
    given.or_else(|| Some(home()?.join("logs").into_os_string()))
}

/// The installation that this command was called in: `DIR/kafka` for `DIR/kafka/bin/kafka-server-start`, found from the
/// name it was called by, and never from where the binary lies.
pub(crate) fn home() -> Option<PathBuf> {
    let called = PathBuf::from(std::env::args_os().next()?);
    let bin = match called.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => dir.to_owned(),
        None => std::env::split_paths(&std::env::var_os("PATH")?).find(|dir| dir.join(&called).is_file())?,
    };
    let bin = std::path::absolute(bin).ok()?;
    let home = bin.parent().filter(|_| bin.file_name() == Some(OsStr::new("bin")))?;
    home.join("config").is_dir().then(|| home.to_owned())
}

fn property(name: &str, value: &OsStr) -> OsString {
    let mut option = OsString::from(format!("-D{name}="));
    option.push(value);
    option
}
