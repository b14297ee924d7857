//! The binary: picks a server or a tool by subcommand, or by the name it was called by.

mod dev;
mod java;
mod kafka_server;
mod scripts;
mod zookeeper_server;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Jackdaw: ZooKeeper and Kafka in one binary

Usage: jackdaw COMMAND [ARGUMENTS]

  dev                               ZooKeeper and Kafka for trying things out; see `jackdaw dev --help`
  install DIR                       lay out DIR/zookeeper and DIR/kafka with the upstream scripts
  zookeeper-server-start FILE       a ZooKeeper server, as set in FILE (zoo.cfg)
  kafka-server-start FILE           a broker, as set in FILE (server.properties)
  zkCli, kafka-topics, ...          the tools, by their upstream names, with or without `.sh`
  --version                         which version this is

A link to the binary under the name of a command is that command.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called = command_name(&arguments.next().unwrap_or_default());
    let mut arguments: Vec<OsString> = arguments.collect();
    let name = if cli::upstream::by_name(&called).is_some() || called == "java" {
        called
    } else if arguments.first().is_some_and(|first| java::begins_line(&first.to_string_lossy())) {
        // As a script of the user's own that runs `"$JAVA" $OPTIONS CLASS` does.
        "java".to_owned()
    } else if arguments.is_empty() {
        eprint!("{HELP}");
        return ExitCode::FAILURE;
    } else {
        command_name(&arguments.remove(0))
    };
    // The codes that processes have are 0 to 255.
    ExitCode::from(run(&name, &arguments) as u8)
}

fn run(name: &str, arguments: &[OsString]) -> i32 {
    match name {
        "-h" | "--help" | "help" => {
            print!("{HELP}");
            0
        }
        "-V" | "--version" | "version" => {
            println!("{}", java::version());
            0
        }
        "dev" => dev::run(arguments),
        "install" => cli::install::run(arguments),
        "java" => java::run(arguments),
        host::GUARDIAN => host::watch_broker(),
        _ => match scripts::run(name, arguments).or_else(|| cli::run(name, arguments)) {
            Some(code) => code,
            None if cli::upstream::by_name(name).is_some() => {
                eprintln!("{name}: this command is not part of this version of Jackdaw yet.");
                1
            }
            None => {
                eprintln!("jackdaw: there is no command {name:?}; `jackdaw --help` lists them");
                1
            }
        },
    }
}

/// The file name without folders and `.sh`.
fn command_name(path: &OsString) -> String {
    let name = Path::new(path).file_name().unwrap_or(path).to_string_lossy();
    name.strip_suffix(".sh").unwrap_or(&name).to_owned()
}
