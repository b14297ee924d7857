//! The upstream commands that are scripts: `zkServer`, `kafka-server-start` and their like, by the names without `.sh`.
//!
//! A link in a home's `bin` goes on as the script beside it, which knows the home. Without a home (`jackdaw kafka-server-start
//! FILE`) a server runs in the foreground, logging to the console, and servers are stopped by the same script's text.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::java::{self, KAFKA_CLASS, KAFKA_STYLE, ZOOKEEPER_CLASS};

/// Runs the script of this name with its arguments; `None` if it is no script.
pub(crate) fn run(name: &str, arguments: &[OsString]) -> Option<i32> {
    let without_home: fn(&str, &[OsString]) -> i32 = match name {
        "kafka-server-start" | "zookeeper-server-start" => start,
        "kafka-server-stop" | "zookeeper-server-stop" => stop,
        "kafka-run-class" => run_class,
        "zkServer" | "zkServer-initialize" | "zkEnv" => |name, _| needs_home(name),
        _ => return None,
    };
    let called = std::env::args_os().next().unwrap_or_default();
    let path = std::env::var_os("PATH");
    Some(match cli::install::script_beside(Path::new(&called), path.as_deref()) {
        Some(script) => failed(name, &cli::install::exec_script(&script, arguments)),
        None => without_home(name, arguments),
    })
}

/// A server in the foreground. It goes on as `jackdaw java ... CLASS FILE`, so that `ps` shows what scripts look for.
fn start(name: &str, arguments: &[OsString]) -> i32 {
    let (class, usage) = match name {
        "kafka-server-start" => (KAFKA_CLASS, "server.properties [--override property=value]*"),
        _ => (ZOOKEEPER_CLASS, "zookeeper.properties"),
    };
    match arguments.first() {
        None => {
            println!("USAGE: {name} [-daemon] {usage}");
            return 1;
        }
        Some(first) if first == "-daemon" => return needs_home(&format!("{name} -daemon")),
        Some(_) => {}
    }
    let log = match std::env::var_os("LOG_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => property("kafka.logs.dir", &dir),
        None => property(KAFKA_STYLE, "true".as_ref()),
    };
    let become_server = |program| {
        let mut command = Command::new(program);
        command.arg0("jackdaw").arg("java").arg(log).arg(class).args(arguments).exec()
    };
    failed(name, &std::env::current_exe().map_or_else(|error| error, become_server))
}

/// Signals all servers of a kind, those of a JVM too, as the original's script does.
fn stop(name: &str, _arguments: &[OsString]) -> i32 {
    let text = cli::install::stop_script(name).unwrap_or_default();
    failed(name, &Command::new("sh").args(["-c", text, name]).exec())
}

/// `kafka-run-class [-loggc] [-name NAME] [-D...] CLASS [ARGUMENTS]`.
fn run_class(name: &str, arguments: &[OsString]) -> i32 {
    match arguments {
        [] => {
            println!("USAGE: {name} [-daemon] [-name servicename] [-loggc] classname [opts]");
            1
        }
        [first, ..] if first == "-daemon" => needs_home(&format!("{name} -daemon")),
        [first, rest @ ..] if first == "-loggc" => run_class(name, rest),
        [first, _, rest @ ..] if first == "-name" => run_class(name, rest),
        words => java::run(words),
    }
}

fn needs_home(what: &str) -> i32 {
    let name = what.split(' ').next().unwrap_or(what);
    eprintln!("{what}: lay out a home with `jackdaw install DIR` and run its bin/{name}.sh");
    1
}

fn failed(name: &str, error: &io::Error) -> i32 {
    eprintln!("{name}: {error}");
    1
}

fn property(name: &str, value: &OsStr) -> OsString {
    let mut option = OsString::from(format!("-D{name}="));
    option.push(value);
    option
}
