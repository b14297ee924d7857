//! The tools against what the originals printed, on a ZooKeeper server and a broker of ours.
//!
//! The files under `golden/` were made by the tools of ZooKeeper 3.6.3 and Kafka 2.7.1 against a 3.6.3 server: `$` begins a
//! command line, `err: ` a line of standard error (the first few; log4j's own lines and stacks left out), `rc` the exit
//! code. Zxids, times and the server's address are replaced; children that a server lists in no order are sorted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod brokers;

use std::ffi::OsString;
use std::io::{Cursor, Read};
use std::path::Path;

use cli::console::Console;
use config::{Properties, ZooKeeperSettings};
use host::logging::{Log, LogSettings};
use host::{Listener, System, ZooKeeper, ZooKeeperTls};

struct World {
    system: System,
    server: ZooKeeper,
    address: String,
    _folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let system = System::start(1).unwrap();
        let java = [("zookeeper.extendedTypesEnabled", "true")].into_iter().collect();
        let arguments = ["2181", folder.path().to_str().unwrap()];
        let loaded = ZooKeeperSettings::from_arguments(&arguments, &java).unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).unwrap();
        let address = listener.address();
        let config = host::zookeeper_config(&loaded.settings, i32::from(address.port()));
        let log = silent_log();
        let server =
            ZooKeeper::open(config, ZooKeeperTls::default(), system.clone(), log, System::random().unwrap()).unwrap();
        server.serve(listener, false);
        Self { system, server, address: address.to_string(), _folder: folder }
    }

    fn stop(self) {
        self.server.stop();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.server.stopped());
        self.system.stop();
    }

    /// Runs a shell over lines; gives standard output and standard error with what changes from run to run replaced.
    fn shell(&self, arguments: &[&str], lines: &str) -> (String, String, i32) {
        let lines = lines.replace("SERVER", &self.address);
        let all = ["-server", &self.address].into_iter().chain(arguments.iter().copied());
        let (out, err, code) = run("zkCli", &all.collect::<Vec<_>>(), lines);
        (self.plain(&out), self.plain(&err), code)
    }

    fn plain(&self, text: &str) -> String {
        let line = |line: &str| match line.split_once(" = ") {
            Some((name @ ("ctime" | "mtime"), _)) => format!("{name} = T\n"),
            Some((name, value)) if value.starts_with("0x") => format!("{name} = 0xN\n"),
            _ => format!("{line}\n"),
        };
        text.replace(&self.address, "SERVER").lines().map(line).collect()
    }

    /// Runs the command lines of a transcript and writes it anew.
    fn replay(&self, transcript: &str, err_lines: usize) -> String {
        let mut replayed = String::new();
        for line in transcript.lines().filter(|line| line.starts_with("$ ")) {
            replayed += &format!("{line}\n");
            let words = words(&line[2..].replace("SERVER", &self.address));
            let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            let (out, err, code) = run(&words[0], &arguments, String::new());
            replayed += &out.replace(&self.address, "SERVER");
            let logger = " (kafka.admin.TopicCommand$)";
            let plain = |line: &str| line.split_once("] ERROR ").map_or(line, |(_, text)| text).to_owned();
            let err = err.replace(&self.address, "SERVER");
            let is_told = |line: &&str| !line.is_empty() && *line != logger && !line.starts_with("Caused by: ");
            let err = err.lines().filter(is_told).map(plain).take(err_lines);
            replayed += &err.map(|line| format!("err: {line}\n")).collect::<String>();
            replayed += &format!("rc {code}\n");
        }
        replayed
    }
}

fn silent_log() -> Log {
    Log::start(LogSettings::parse(&Properties::new(), &Properties::new(), &mut Vec::new())).unwrap()
}

fn run(name: &str, arguments: &[&str], input: String) -> (String, String, i32) {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let input: Box<dyn Read + Send> = Box::new(Cursor::new(input.into_bytes()));
    let mut console = Console { input: Some(input), out: &mut out, err: &mut err };
    let code = cli::run_on(name, &arguments, &mut console).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(out), text(err), code)
}

/// Words between blanks; quotes hold them together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .map(str::to_owned)
        .collect()
}

fn assert_same(ours: &str, golden: &str) {
    for (number, (ours, golden)) in ours.lines().zip(golden.lines()).enumerate() {
        assert_eq!(ours, golden, "line {}", number + 1);
    }
    assert_eq!(ours.lines().count(), golden.lines().count());
}

const KAFKA: &str = "create /kafka\ncreate /kafka/brokers\ncreate /kafka/brokers/ids\ncreate /kafka/brokers/topics\n\
    create /kafka/brokers/ids/1 '{\"endpoints\":[\"PLAINTEXT://h1:9092\"],\"jmx_port\":-1,\"port\":9092,\"host\":\"h1\",\
    \"version\":5,\"timestamp\":\"1\",\"features\":{},\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"}}'\n\
    create /kafka/brokers/ids/2 '{\"endpoints\":[\"PLAINTEXT://h2:9092\"],\"jmx_port\":-1,\"port\":9092,\"host\":\"h2\",\
    \"version\":5,\"timestamp\":\"1\",\"features\":{},\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\"}}'\n";

#[test]
fn the_shell_of_zookeeper() {
    let world = World::start();
    let (out, err, code) = world.shell(&[], include_str!("../golden/zkcli-input.txt"));
    assert_same(&out, include_str!("../golden/zkcli-out.txt"));
    assert_same(&err, include_str!("../golden/zkcli-err.txt"));
    assert_eq!(code, 0);
    world.stop();
}

#[test]
fn one_command_and_its_exit_code() {
    let world = World::start();
    let connected = "Connecting to SERVER\n\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null\n";
    let (out, err, code) = world.shell(&["ls", "/"], "");
    assert_eq!((out, err.as_str(), code), (format!("{connected}[zookeeper]\n"), "", 0));
    let (out, err, code) = world.shell(&["ls", "/missing"], "");
    assert_eq!((out.as_str(), err.as_str(), code), (connected, "Node does not exist: /missing\n", 1));
    let (_, err, code) = world.shell(&["bogus"], "");
    assert_eq!((err.lines().last().unwrap(), code), ("Command not found: Command not found bogus", 127));
    let (_, err, code) = world.shell(&["delete", "-v", "x", "/"], "");
    assert_eq!(err, "Exception in thread \"main\" java.lang.NumberFormatException: For input string: \"x\"\n");
    assert_eq!(code, 1);
    world.stop();
}

#[test]
fn nobody_listens() {
    let (_, err, code) = run("zkCli", &["-server", "127.0.0.1:1", "ls", "/"], String::new());
    assert_eq!((err.as_str(), code), ("KeeperErrorCode = ConnectionLoss for /\n", 1));
}

#[test]
fn topics_over_zookeeper() {
    let world = World::start();
    world.shell(&[], KAFKA);
    let golden = include_str!("../golden/kafka-topics.txt");
    assert_same(&world.replay(golden, 4), golden);
    world.stop();
}

#[test]
fn configs_over_zookeeper() {
    let world = World::start();
    world.shell(&[], KAFKA);
    let servers = format!("{}/kafka", world.address);
    run(
        "kafka-topics",
        &["--zookeeper", &servers, "--create", "--topic", "t_1", "--replica-assignment", "1"],
        String::new(),
    );
    let golden = include_str!("../golden/kafka-configs.txt");
    assert_same(&world.replay(golden, 3), golden);
    world.stop();
}

/// The files of a tar archive, each written below a folder.
fn unpack(archive: &[u8], folder: &Path) {
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_owned();
    let mut at = 0;
    while tar[at] != 0 {
        let header = &tar[at..at + 512];
        let path = folder.join(text(&header[..100]).trim_start_matches("./"));
        let length = usize::from_str_radix(&text(&header[124..136]), 8).unwrap();
        if header[156] == b'0' {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &tar[at + 512..at + 512 + length]).unwrap();
        }
        at += 512 + length.next_multiple_of(512);
    }
}

#[test]
fn logs_dumped() {
    let folder = tempfile::tempdir().unwrap();
    unpack(include_bytes!("../../../../core/kafka-log/tests/golden/clean.tar.gz"), folder.path());
    let golden = include_str!("../golden/kafka-dump-log.txt");
    let names = golden.lines().filter_map(|line| line.strip_prefix("Dumping "));
    let files: Vec<String> = names.map(|name| folder.path().join(name).display().to_string()).collect();
    let (out, err, code) = run("kafka-dump-log", &["--files", &files.join(","), "--print-data-log"], String::new());
    assert_same(&out.replace(&format!("{}/", folder.path().display()), ""), golden);
    let missing = "The following indexed offsets are not found in the log.\nIndexed offset: 58, found log offset: 59\n";
    assert_eq!((err.as_str(), code), (missing, 0));
}
