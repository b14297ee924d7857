//! `jackdaw install DIR`: the homes that operators know, `DIR/zookeeper` and `DIR/kafka`, with the upstream commands.
//!
//! A name without `.sh` is a link to the binary. A name with `.sh` is a short POSIX script, which also runs as
//! `sh zkServer.sh start`. Both find their home from the name they were called by and `$PATH`, never from where the
//! binary lies, so many homes can share one binary. In each `bin` there is a link `jackdaw`, which the scripts run as
//! `jackdaw java OPTIONS CLASS ARGUMENTS`: `ps` then shows the class, and `grep java` finds it. The variable `JACKDAW`
//! names another binary.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::upstream::{COMMANDS, Command, Home};

const USAGE: &str = "\
Usage: jackdaw install DIR

Lays out DIR/zookeeper and DIR/kafka: the commands of ZooKeeper 3.6 and Kafka 2.7 in bin, and sample configurations in
conf and config. Commands are replaced, configuration files that exist are kept.
";

/// A file of a home: its place and its text.
type Text = (&'static str, &'static str);

/// Scripts that are more than `kafka-run-class CLASS`.
const ZOOKEEPER_SCRIPTS: &[Text] = &[
    ("zkEnv", include_str!("scripts/zookeeper/zkEnv.sh")),
    ("zkServer", include_str!("scripts/zookeeper/zkServer.sh")),
    ("zkServer-initialize", include_str!("scripts/zookeeper/zkServer-initialize.sh")),
    ("zkCli", include_str!("scripts/zookeeper/zkCli.sh")),
    ("zkCleanup", include_str!("scripts/zookeeper/zkCleanup.sh")),
    ("zkSnapShotToolkit", include_str!("scripts/zookeeper/zkSnapShotToolkit.sh")),
    ("zkTxnLogToolkit", include_str!("scripts/zookeeper/zkTxnLogToolkit.sh")),
];
const KAFKA_SCRIPTS: &[Text] = &[
    ("kafka-run-class", include_str!("scripts/kafka/kafka-run-class.sh")),
    ("kafka-server-start", include_str!("scripts/kafka/kafka-server-start.sh")),
    ("kafka-server-stop", include_str!("scripts/kafka/kafka-server-stop.sh")),
    ("zookeeper-server-start", include_str!("scripts/kafka/zookeeper-server-start.sh")),
    ("zookeeper-server-stop", include_str!("scripts/kafka/zookeeper-server-stop.sh")),
    ("zookeeper-shell", include_str!("scripts/kafka/zookeeper-shell.sh")),
];
const KAFKA_TOOL: &str = include_str!("scripts/kafka/tool.sh");

/// Configuration files; an existing one is kept.
const CONFIGURATIONS: &[Text] = &[
    ("zookeeper/conf/zoo_sample.cfg", include_str!("files/zoo_sample.cfg")),
    ("zookeeper/conf/log4j.properties", include_str!("../../../../config/zookeeper-log4j.properties")),
    ("kafka/config/server.properties", include_str!("files/server.properties")),
    ("kafka/config/zookeeper.properties", include_str!("files/zookeeper.properties")),
    ("kafka/config/producer.properties", include_str!("files/producer.properties")),
    ("kafka/config/consumer.properties", include_str!("files/consumer.properties")),
    ("kafka/config/log4j.properties", include_str!("../../../../config/kafka-log4j.properties")),
    ("kafka/config/tools-log4j.properties", include_str!("files/tools-log4j.properties")),
];

/// `jackdaw install DIR`; `arguments` stand behind `install`. Prints what was made and what to try. Exit code 1 on
/// failure or bad usage.
#[must_use]
pub fn run(arguments: &[OsString]) -> i32 {
    let folder = match arguments {
        [word] if word == "--help" || word == "-h" => {
            print!("{USAGE}");
            return 0;
        }
        [folder] if !folder.as_encoded_bytes().starts_with(b"-") => Path::new(folder),
        _ => {
            eprint!("{USAGE}");
            return 1;
        }
    };
    match std::env::current_exe().and_then(|binary| lay_out(folder, &binary)) {
        Ok(kept) => {
            print!("{}", report(folder, &kept));
            0
        }
        Err(error) => {
            eprintln!("jackdaw install: {error}");
            1
        }
    }
}

/// Makes both homes under `folder`, with links to `binary`. Returns the configuration files that were there already
/// and were kept.
///
/// # Errors
/// The first file that can't be made, with its name.
pub fn lay_out(folder: &Path, binary: &Path) -> io::Result<Vec<PathBuf>> {
    for home in ["zookeeper", "kafka"] {
        link(&folder.join(home).join("bin/jackdaw"), binary)?;
    }
    for command in COMMANDS {
        let bin = folder.join(home_folder(command.home)).join("bin");
        executable(&bin.join(format!("{}.sh", command.name)), &script(command))?;
        link(&bin.join(command.name), binary)?;
    }
    let mut kept = Vec::new();
    for (place, text) in CONFIGURATIONS {
        let path = folder.join(place);
        if path.exists() {
            kept.push(path);
        } else {
            write(&path, text)?;
        }
    }
    Ok(kept)
}

/// The script beside the link that this process was called by: `zkServer` stands for `zkServer.sh` where the script
/// does the work. `called_as` is the zeroth argument; without a slash it is looked for in `path` (`$PATH`).
#[must_use]
pub fn script_beside(called_as: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    let has_folder = called_as.components().count() > 1;
    let found = if has_folder {
        called_as.to_owned()
    } else {
        std::env::split_paths(path?).map(|folder| folder.join(called_as)).find(|candidate| candidate.is_file())?
    };
    let mut script = found.into_os_string();
    script.push(".sh");
    Some(PathBuf::from(script)).filter(|script| script.is_file())
}

/// The text of a command that is a script and needs no home: one that stops servers.
#[must_use]
pub fn stop_script(name: &str) -> Option<&'static str> {
    let mut stops = KAFKA_SCRIPTS.iter().filter(|(name, _)| name.ends_with("-stop"));
    stops.find(|(found, _)| *found == name).map(|(_, text)| *text)
}

/// Becomes `sh SCRIPT ARGUMENTS`; returns only when that fails.
#[must_use]
pub fn exec_script(script: &Path, arguments: &[OsString]) -> io::Error {
    std::process::Command::new("sh").arg(script).args(arguments).exec()
}

const fn home_folder(home: Home) -> &'static str {
    match home {
        Home::ZooKeeper => "zookeeper",
        Home::Kafka => "kafka",
    }
}

/// The text of a command's script.
fn script(command: &Command) -> String {
    let own = ZOOKEEPER_SCRIPTS.iter().chain(KAFKA_SCRIPTS).find(|(name, _)| *name == command.name);
    match (own, command.class) {
        (Some((_, text)), _) => (*text).to_owned(),
        (None, class) => KAFKA_TOOL.replace("NAME", command.name).replace("CLASS", class.unwrap_or(command.name)),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let named = |error| io::Error::other(format!("{}: {error}", path.display()));
    path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text)).map_err(named)
}

fn executable(path: &Path, text: &str) -> io::Result<()> {
    replace(path)?;
    write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn link(path: &Path, binary: &Path) -> io::Result<()> {
    replace(path)?;
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| symlink(binary, path));
    made.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// Removes what an earlier installation left. A script that runs keeps its own file.
fn replace(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::other(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

fn report(folder: &Path, kept: &[PathBuf]) -> String {
    let folder = folder.display();
    let kept: String = kept.iter().map(|path| format!("Kept {}\n", path.display())).collect();
    format!(
        "Installed {folder}/zookeeper and {folder}/kafka\n{kept}\n\
         cp {folder}/zookeeper/conf/zoo_sample.cfg {folder}/zookeeper/conf/zoo.cfg\n\
         {folder}/zookeeper/bin/zkServer.sh start\n\
         {folder}/kafka/bin/kafka-server-start.sh -daemon {folder}/kafka/config/server.properties\n\
         {folder}/kafka/bin/kafka-topics.sh --bootstrap-server localhost:9092 --list\n"
    )
}
