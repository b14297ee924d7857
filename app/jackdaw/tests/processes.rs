//! The binary as a process: what it says and ends with when it is stopped, misused, or finds its place taken.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes longer, however busy the machine is. A clean stop gives up after thirty seconds.
const TIME_MAX: Duration = Duration::from_secs(25);

fn jackdaw(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jackdaw"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["LOG_DIR", "KAFKA_OPTS", "KAFKA_LOG4J_OPTS", "JVMFLAGS", "SERVER_JVMFLAGS", "JMX_PORT"] {
        command.env_remove(variable);
    }
    command
}

/// A process that is ended with the test.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(words: &[&str]) -> Self {
        let mut child = jackdaw(words).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads its output up to a line that contains `text`.
    fn await_line(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        for line in &mut self.lines {
            let line = line.unwrap();
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        panic!("no {text:?} in\n{}\nstderr:\n{stderr}", seen.join("\n"));
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < TIME_MAX, "the process does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Exit code, stdout and stderr of a process that ends by itself.
fn run(words: &[&str]) -> (i32, String, String) {
    let output = jackdaw(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.display().to_string()
}

/// `jackdaw dev` on any free ports, and the line that tells where it listens.
fn dev(data: &Path) -> (Process, String) {
    let arguments = ["dev", "--data-dir", data.to_str().unwrap(), "--zookeeper-port=0", "--kafka-port=0"];
    let mut dev = Process::start(&arguments);
    let line = dev.await_line("ZooKeeper listens on");
    (dev, line)
}

#[test]
fn brokers_of_one_process_are_a_cluster() {
    let data = tempfile::tempdir().unwrap();
    let arguments = ["dev", "--brokers=3", "--data-dir", data.path().to_str().unwrap()];
    let mut dev = Process::start(&[&arguments[..], &["--zookeeper-port=0", "--kafka-port=0"]].concat());
    let line = dev.await_line("ZooKeeper listens on");
    let (_, brokers) = line.split_once("Kafka on ").unwrap();
    let (brokers, _) = brokers.split_once(';').unwrap();
    assert_eq!(brokers.split(',').count(), 3, "{line}");

    let topic = ["--bootstrap-server", brokers, "--topic", "ky18"];
    let create = ["kafka-topics", "--create", "--partitions=3", "--replication-factor=3"];
    let (code, stdout, stderr) = run(&[&create[..], &topic].concat());
    assert_eq!((code, stdout.as_str()), (0, "Created topic ky18.\n"), "{stderr}");
    let mut producer = jackdaw(&["kafka-console-producer", "--request-required-acks=all"]);
    let mut producer = producer.args(topic).stdin(Stdio::piped()).spawn().unwrap();
    producer.stdin.take().unwrap().write_all(b"one\ntwo\nthree\n").unwrap();
    assert!(producer.wait().unwrap().success());
    let consume = ["kafka-console-consumer", "--from-beginning", "--max-messages=3"];
    let (_, stdout, stderr) = run(&[&consume[..], &topic].concat());
    let records: std::collections::BTreeSet<_> = stdout.lines().collect();
    assert_eq!(records, ["one", "two", "three"].into(), "{stderr}");
    // The group's offsets too have three replicas.
    let (_, stdout, _) = run(&["kafka-topics", "--describe", "--bootstrap-server", brokers]);
    let replicated = stdout.lines().filter(|line| line.contains("Partition: ") && line.matches(',').count() == 4);
    assert_eq!(replicated.count(), 3 + 50, "{stdout}");

    dev.signal("TERM");
    assert_eq!(dev.wait().code(), Some(143));
}

#[test]
fn servers_of_one_process_are_an_ensemble() {
    let data = tempfile::tempdir().unwrap();
    let arguments = ["dev", "--servers=3", "--data-dir", data.path().to_str().unwrap()];
    let start = || {
        let mut dev = Process::start(&[&arguments[..], &["--zookeeper-port=0", "--kafka-port=0"]].concat());
        let line = dev.await_line("ZooKeeper listens on");
        let (_, servers) = line.split_once("listens on ").unwrap();
        let servers: Vec<_> = servers.split(", ").next().unwrap().split(',').map(str::to_owned).collect();
        assert_eq!(servers.len(), 3, "{line}");
        (dev, servers)
    };
    let (mut dev, servers) = start();
    let mut modes = servers.iter().map(|server| mode(server)).collect::<Vec<_>>();
    modes.sort();
    assert_eq!(modes, ["follower", "follower", "leader"]);
    let (code, _, stderr) = run(&["zkCli", "-server", &servers[0], "create", "/ky18", "one"]);
    assert_eq!(code, 0, "{stderr}");
    let has_it = |server: &str| run(&["zkCli", "-server", server, "get", "/ky18"]).1.lines().any(|line| line == "one");
    for server in &servers {
        await_that("each server has it", || has_it(server));
    }
    dev.signal("TERM");
    assert_eq!(dev.wait().code(), Some(143));
    // They stopped in order: the data are free, and whole.
    let (_again, servers) = start();
    assert!(servers.iter().all(|server| has_it(server)));
}

/// What a ZooKeeper server says it is.
fn mode(server: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(b"srvr").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    told.lines().find_map(|line| line.strip_prefix("Mode: ")).unwrap_or_default().to_owned()
}

/// The port in `localhost:PORT`, as the line of `dev` has it behind `what`.
fn port<'line>(line: &'line str, what: &str) -> &'line str {
    let (_, rest) = line.split_once(what).unwrap();
    let (_, rest) = rest.split_once("localhost:").unwrap();
    rest.split(|character: char| !character.is_ascii_digit()).next().unwrap()
}

/// A broker's configuration with more lines.
fn broker_config(dir: &Path, lines: &str) -> String {
    write(&dir.join("server.properties"), &format!("broker.id=7\nlisteners=PLAINTEXT://localhost:0\n{lines}\n"))
}

#[test]
fn a_stopped_process_ends_with_the_code_of_its_signal_and_its_data_is_free() {
    let data = tempfile::tempdir().unwrap();
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let (mut dev, _) = dev(data.path());
        dev.signal(signal);
        assert_eq!(dev.wait().code(), Some(code), "{signal}");
    }
}

#[test]
fn a_taken_port_is_told_with_its_flag() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    for (flag, other) in [("--zookeeper-port", "--kafka-port"), ("--kafka-port", "--zookeeper-port")] {
        let data = tempfile::tempdir().unwrap();
        let data = data.path().to_str().unwrap();
        let (code, _, stderr) = run(&["dev", "--data-dir", data, "--host=127.0.0.1", flag, &taken, other, "0"]);
        assert_eq!(code, 1);
        assert!(stderr.contains(flag) && stderr.contains(&taken) && stderr.contains("in use"), "{stderr}");
    }
}

#[test]
fn a_second_process_on_the_same_data_is_refused_and_harms_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (mut first, line) = dev(data.path());
    let data_dir = data.path().to_str().unwrap();
    let (code, _, stderr) = run(&["dev", "--data-dir", data_dir, "--zookeeper-port=0", "--kafka-port=0"]);
    assert_eq!(code, 1);
    assert!(stderr.contains(data_dir), "{stderr}");

    let dir = tempfile::tempdir().unwrap();
    let zookeeper = port(&line, "ZooKeeper listens on");
    let log_dir = data.path().join("kafka").display().to_string();
    let config = broker_config(dir.path(), &format!("zookeeper.connect=localhost:{zookeeper}\nlog.dirs={log_dir}"));
    let (code, stdout, _) = run(&["kafka-server-start", &config]);
    assert_eq!(code, 1);
    let expected = format!(
        "Failed to acquire lock on file .lock in {log_dir}. A Kafka instance in another process or thread is using this directory."
    );
    assert!(stdout.contains("[KafkaServer id=7] Fatal error during KafkaServer startup. Prepare to shutdown"));
    assert!(stdout.contains(&expected), "{stdout}");

    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(143));
}

/// A broker that was asked to stop by `signal` and waits: nobody confirms the end of its session while its ZooKeeper rests.
fn broker_that_waits_to_stop(dir: &Path, signal: &str) -> (Process, Process) {
    let (zookeeper, line) = dev(&dir.join("zookeeper"));
    let zookeeper_port = port(&line, "ZooKeeper listens on");
    let log_dir = dir.join("logs").display().to_string();
    let lines = format!("zookeeper.connect=localhost:{zookeeper_port}/other\nlog.dirs={log_dir}");
    let mut broker = Process::start(&["kafka-server-start", &broker_config(dir, &lines)]);
    broker.await_line("[KafkaServer id=7] started (kafka.server.KafkaServer)");
    zookeeper.signal("STOP");
    broker.signal(signal);
    broker.await_line("[KafkaServer id=7] shutting down (kafka.server.KafkaServer)");
    (zookeeper, broker)
}

#[test]
fn a_second_ctrl_c_ends_a_stop_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (_zookeeper, mut broker) = broker_that_waits_to_stop(dir.path(), "INT");
    broker.signal("INT");
    assert_eq!(broker.wait().code(), Some(130));
}

#[test]
fn a_later_request_to_terminate_does_not_cut_a_stop_short() {
    let dir = tempfile::tempdir().unwrap();
    let (zookeeper, mut broker) = broker_that_waits_to_stop(dir.path(), "TERM");
    for signal in ["TERM", "HUP", "TERM"] {
        broker.signal(signal);
    }
    zookeeper.signal("CONT");
    broker.await_line("[KafkaServer id=7] shut down completed (kafka.server.KafkaServer)");
    assert_eq!(broker.wait().code(), Some(143));
}

fn resident(process: &Process) -> usize {
    memory_of(process.child.id(), "VmRSS:")
}

/// Memory of a process and a kind, in bytes.
fn memory_of(process: u32, kind: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn clients_that_never_speak_or_never_read_cost_little_and_harm_nobody() {
    let data = tempfile::tempdir().unwrap();
    let (_dev, line) = dev(data.path());
    let dir = tempfile::tempdir().unwrap();
    let zookeeper_port = port(&line, "ZooKeeper listens on");
    let log_dir = dir.path().join("logs").display().to_string();
    let lines =
        format!("zookeeper.connect=localhost:{zookeeper_port}/other\nlog.dirs={log_dir}\nconnections.max.idle.ms=2000");
    let mut broker = Process::start(&["kafka-server-start", &broker_config(dir.path(), &lines)]);
    let awaiting = broker.await_line("Awaiting socket connections on ");
    let (_, address) = awaiting.split_once("connections on ").unwrap();
    let (address, _) = address.split_once(". (").unwrap();
    broker.await_line("started (kafka.server.KafkaServer)");

    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(TIME_MAX)).unwrap();
    // ApiVersions, version 0: the answer is many times as long.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let before = resident(&broker);
    let mut deaf = TcpStream::connect(address).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let many = request.repeat(5000);
    // Until the broker takes no more, or at most what would be 200 MiB of answers.
    let mut peak = before;
    for _ in 0..120 {
        if deaf.write_all(&many).is_err() {
            break;
        }
        peak = peak.max(resident(&broker));
    }
    let mut other = TcpStream::connect(address).unwrap();
    other.set_read_timeout(Some(TIME_MAX)).unwrap();
    other.write_all(&request).unwrap();
    let mut head = [0; 8];
    other.read_exact(&mut head).unwrap();
    assert_eq!(head[4..], [0, 0, 0, 7], "others are served");
    peak = peak.max(resident(&broker));
    assert!(peak - before < 32 << 20, "{} bytes for one that does not read", peak - before);
    assert_eq!(silent.read(&mut head).unwrap(), 0, "who never speaks is let go");
}

#[test]
fn a_broker_that_cannot_start_says_what_the_original_says() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken.local_addr().unwrap().port();
    let fatal =
        "ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)\norg.apache.kafka.common.config.ConfigException: ";
    let start = "Fatal error during KafkaServer startup. Prepare to shutdown (kafka.server.KafkaServer)\norg.apache.kafka.common.KafkaException: ";
    let cases = [
        (
            "log.dirs=/x",
            format!("{fatal}Missing required configuration \"zookeeper.connect\" which has no default value."),
        ),
        (
            "zookeeper.connect=localhost:1\nnum.io.threads=8 # eight",
            format!("{fatal}Invalid value 8 # eight for configuration num.io.threads"),
        ),
        (
            "zookeeper.connect=localhost:1\nlog.dirs=/proc/nowhere",
            "ERROR Shutdown broker because none of the specified log dirs from /proc/nowhere can be created or validated \
             (kafka.log.LogManager)\n"
                .to_owned(),
        ),
        (
            &format!("zookeeper.connect=localhost:1\nlog.dirs={place}/logs\nlisteners=PLAINTEXT://127.0.0.1:{taken}"),
            format!("{start}Socket server failed to bind to 127.0.0.1:{taken}: Address already in use."),
        ),
    ];
    for (lines, expected) in cases {
        let (code, stdout, _) = run(&["kafka-server-start", &broker_config(dir.path(), lines)]);
        assert_eq!(code, 1);
        assert!(stdout.contains(&expected), "expected {expected:?}, got:\n{stdout}");
    }
    let (code, stdout, _) = run(&["kafka-server-start", "/nowhere/server.properties"]);
    assert!(code == 1 && stdout.contains("java.nio.file.NoSuchFileException: /nowhere/server.properties"), "{stdout}");
}

#[test]
fn the_class_of_the_broker_tells_its_usage_and_version() {
    let (code, _, stderr) = run(&["kafka.Kafka"]);
    assert_eq!(code, 1);
    assert!(stderr.starts_with("USAGE: java [options] KafkaServer server.properties [--override property=value]*\n"));
    let (code, stdout, _) = run(&["-Xmx256m", "-Dx=y", "kafka.Kafka", "--version"]);
    assert_eq!((code, stdout.as_str()), (0, "2.7.1 (Commit:61dbce85d0d41457)\n"));
}

#[test]
fn a_class_of_a_later_version_is_told_from_one_that_never_was() {
    for class in ["kafka.tools.EndToEndLatency", "kafka.admin.AclCommand"] {
        let (code, stdout, stderr) = run(&["-Xmx256m", class, "--broker-list", "localhost:9092", "--topic", "t"]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{class}");
        assert!(stderr.ends_with(": this command is not part of this version of Jackdaw yet.\n"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let (code, _, stderr) = run(&["-Xmx256m", "no.such.Class"]);
    assert_eq!((code, stderr.as_str()), (1, "Error: Could not find or load main class no.such.Class\n"));
}

#[test]
fn a_log_file_that_cannot_be_opened_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = format!("-Dkafka.logs.dir={}", write(&dir.path().join("file"), ""));
    let config = broker_config(dir.path(), "zookeeper.connect=localhost:1\nlog.dirs=/proc/nowhere");
    let (code, stdout, stderr) = run(&[&log_dir, "kafka.Kafka", &config]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("log4j:ERROR setFile(null,true) call failed.\njava.io.FileNotFoundException: "),
        "{stderr}"
    );
    assert!(stderr.contains("/file/server.log (Not a directory)"), "{stderr}");
    let refused = "ERROR Failed to create or validate data directory /proc/nowhere (kafka.server.LogDirFailureChannel)\n\
                   java.io.IOException: creating /proc/nowhere: No such file or directory";
    assert!(stdout.contains(refused), "{stdout}");
}

#[test]
fn a_layout_of_an_unknown_class_is_told_and_its_lines_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let text = "log4j.rootLogger=INFO, c\nlog4j.appender.c=org.apache.log4j.ConsoleAppender\n\
                log4j.appender.c.layout=com.example.JsonLayout\n";
    let log4j = format!("-Dlog4j.configuration=file:{}", write(&dir.path().join("log4j.properties"), text));
    let config = broker_config(dir.path(), "zookeeper.connect=localhost:1\nlog.dirs=/proc/nowhere");
    let (code, stdout, stderr) = run(&[&log4j, "kafka.Kafka", &config]);
    assert_eq!((code, stderr.as_str()), (1, "log4j:ERROR Could not instantiate class [com.example.JsonLayout].\n"));
    assert!(stdout.contains("Failed to create or validate data directory /proc/nowhere\n"), "{stdout}");
}

#[test]
fn a_broker_tells_what_it_tries_and_gives_up_after_the_connection_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let log_dir = dir.path().join("logs").display().to_string();
    let lines =
        format!("zookeeper.connect=127.0.0.1:{closed}\nzookeeper.connection.timeout.ms=300\nlog.dirs={log_dir}");
    let (code, stdout, _) = run(&["kafka-server-start", &broker_config(dir.path(), &lines)]);
    assert_eq!(code, 1);
    let refused = format!(
        "WARN Session 0x0 for sever 127.0.0.1/127.0.0.1:{closed}, Closing socket connection. Attempting reconnect except it is a \
         SessionExpiredException. (org.apache.zookeeper.ClientCnxn)\njava.net.ConnectException: Connection refused\n"
    );
    let fatal = "ERROR Fatal error during KafkaServer startup. Prepare to shutdown (kafka.server.KafkaServer)\n\
                 kafka.zookeeper.ZooKeeperClientTimeoutException: Timed out waiting for connection while in state: CONNECTING\n";
    for expected in [refused.as_str(), fatal] {
        assert!(stdout.contains(expected), "expected {expected:?}, got:\n{stdout}");
    }
}

#[test]
fn a_zookeeper_that_cannot_start_ends_with_the_originals_codes() {
    let dir = tempfile::tempdir().unwrap();
    let config = |text: &str| write(&dir.path().join("zoo.cfg"), text);
    let unresolved = "dataDir=/tmp\nclientPort=2181\nclientPortAddress=nowhere.invalid\n";
    for text in ["clientPort=2181\n", "dataDir=/tmp\nclientPort=many\n", unresolved] {
        let (code, stdout, stderr) = run(&["zookeeper-server-start", &config(text)]);
        assert_eq!(code, 2, "{stdout}{stderr}");
        assert!(stderr.contains("Invalid config, exiting abnormally"), "{stderr}");
        assert!(stdout.contains("Reading configuration from: "), "{stdout}");
        // The reason behind it is the name service's.
        let unknown = "Caused by: java.net.UnknownHostException: nowhere.invalid: ";
        assert_eq!(stdout.contains(unknown), text == unresolved, "{stdout}");
    }
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken.local_addr().unwrap().port();
    let data = dir.path().join("data").display().to_string();
    std::fs::create_dir(&data).unwrap();
    let member = |id: &str, lines: &str| {
        write(&dir.path().join("data/myid"), id);
        let servers = "server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:1:2\n";
        run(&["zookeeper-server-start", &config(&format!("dataDir={data}\nsyncLimit=5\n{servers}{lines}"))])
    };
    let text = format!("dataDir={data}\ninitLimit=5\nsyncLimit=5\nserver.1=127.0.0.1:1:2\nserver.2=127.0.0.1:1:2\n");
    let (code, stdout, _) = run(&["zookeeper-server-start", &config(&text)]);
    assert!(code == 2 && stdout.contains("IllegalArgumentException: myid file is missing"), "{code} {stdout}");
    let (code, stdout, _) = member("1", "");
    assert!(code == 2 && stdout.contains("IllegalArgumentException: initLimit is not set"), "{code} {stdout}");
    let (code, stdout, stderr) = member("3", "initLimit=5\n");
    assert!(code == 1 && stdout.contains("RuntimeException: My id 3 not in the peer list"), "{code} {stdout}");
    assert!(stderr.contains("Unexpected exception, exiting abnormally"), "{stderr}");
    let (code, stdout, _) =
        member("1", &format!("initLimit=5\nelectionPortBindRetry=1\nserver.1=127.0.0.1:1:{taken}\n"));
    assert_eq!(code, 14, "{stdout}");
    assert!(stdout.contains("Leaving listener after 1 errors. Use zookeeper.electionPortBindRetry"), "{stdout}");
    let text = format!("dataDir={data}\nclientPort={taken}\nclientPortAddress=127.0.0.1\n");
    let (code, _, stderr) = run(&["zookeeper-server-start", &config(&text)]);
    assert!(code == 1 && stderr.contains(&taken.to_string()), "{code} {stderr}");
    let text = "dataDir=/proc/nowhere\nclientPort=1\nclientPortAddress=127.0.0.1\n";
    let (code, stdout, stderr) = run(&["zookeeper-server-start", &config(text)]);
    assert_eq!(code, 3, "{stdout}{stderr}");
}

/// As on a full disk: where a snapshot is to be written, it can't be.
#[test]
fn a_zookeeper_server_with_several_addresses_serves_at_those_that_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    write(&dir.path().join("myid"), "1");
    let [client, quorum, election] = [(); 3].map(|()| {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        free.local_addr().unwrap().port()
    });
    // The second is nobody's: it is kept for texts.
    let server = format!("server.1=127.0.0.1:{quorum}:{election}|192.0.2.1:{quorum}:{election}");
    let lines =
        "initLimit=5\nsyncLimit=5\nelectionPortBindRetry=2\nstandaloneEnabled=false\nmultiAddress.enabled=true\n";
    let text = format!("dataDir={data}\nclientPort={client}\nclientPortAddress=127.0.0.1\n{lines}{server}\n");
    let mut process = Process::start(&["zookeeper-server-start", &write(&dir.path().join("zoo.cfg"), &text)]);
    process.await_line("Exception while listening");
    process.await_line(&format!("my election bind port: 127.0.0.1:{election}"));
    process.await_line("LEADING");
}

#[test]
fn a_snapshot_that_cannot_be_written_at_the_start_ends_the_server_before_it_says_that_it_started() {
    const STARTED: &str = "started (org.apache.zookeeper.server.ZooKeeperServer)";
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data/version-2");
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let text =
        format!("dataDir={}/data\nclientPort={}\nclientPortAddress=127.0.0.1\n", dir.path().display(), free.port());
    let config = write(&dir.path().join("zoo.cfg"), &text);
    // What has the name that the snapshot is to get.
    let in_the_way = |zxid: i64| data.join(format!("snapshot.{zxid}/full"));
    std::fs::create_dir_all(in_the_way(0)).unwrap();
    let (code, stdout, stderr) = run(&["zookeeper-server-start", &config]);
    assert!(
        code == 1 && stderr.contains("Unexpected exception, exiting abnormally: cannot "),
        "{code} {stdout}{stderr}"
    );
    assert!(!stdout.contains(STARTED), "{stdout}");

    std::fs::remove_dir_all(data.join("snapshot.0")).unwrap();
    let mut server = Process::start(&["zookeeper-server-start", &config]);
    server.await_line(STARTED);
    let (code, _, stderr) = run(&["zkCli", "-server", &free.to_string(), "create", "/a"]);
    assert!(code == 0, "{stderr}");
    server.signal("KILL");
    server.wait();
    // The session, the node, the session's end: up to where the log reaches is left to it.
    (1..=3).for_each(|zxid| std::fs::create_dir_all(in_the_way(zxid)).unwrap());
    // Which thread is first differs from run to run.
    for _ in 0..20 {
        let (code, stdout, stderr) = run(&["zookeeper-server-start", &config]);
        assert_eq!(code, 10, "{stdout}{stderr}");
        let (_, behind) = stdout.split_once("Severe unrecoverable error, exiting").unwrap();
        assert!(!behind.contains(STARTED), "{stdout}");
    }
}

/// A broker at this ZooKeeper, below `/other`. Its session outlives the test unless somebody ends it.
fn broker(dir: &Path, zookeeper: &str, lines: &str) -> Process {
    let log_dir = dir.join("logs").display().to_string();
    let lines = format!(
        "zookeeper.connect=localhost:{zookeeper}/other\nzookeeper.session.timeout.ms=40000\nlog.dirs={log_dir}\n{lines}"
    );
    Process::start(&["kafka-server-start", &broker_config(dir, &lines)])
}

const BROKER_STARTED: &str = "[KafkaServer id=7] started (kafka.server.KafkaServer)";

/// Whether a ZooKeeper that allows the word `dump` has the registration of the broker.
fn is_registered(zookeeper: &str) -> bool {
    let mut stream = TcpStream::connect(format!("localhost:{zookeeper}")).unwrap();
    stream.write_all(b"dump").unwrap();
    let mut dump = String::new();
    stream.read_to_string(&mut dump).unwrap();
    assert!(dump.contains("Sessions with Ephemerals"), "{dump}");
    dump.contains("/other/brokers/ids/7\n")
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIME_MAX, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What `/proc` says of a process behind its name: its state, parent, process group, session, and so on.
fn stat(process: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

fn is_gone(process: u32) -> bool {
    stat(process).is_none_or(|stat| stat[0] == "Z")
}

fn command_line(process: u32) -> String {
    std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default().replace('\0', " ")
}

/// The guardian of a broker, when it has left what it shared with it.
fn guardian_of(broker: &Process) -> Option<u32> {
    let parent = broker.child.id().to_string();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    processes.into_iter().find(|process| {
        let is_child = stat(*process).is_some_and(|stat| stat[1] == parent && stat[0] != "Z");
        is_child && std::fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name == "guardian\n")
    })
}

fn await_guardian(broker: &Process) -> u32 {
    let mut found = None;
    await_that("a guardian", || {
        found = guardian_of(broker);
        found.is_some()
    });
    found.unwrap()
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

#[test]
fn a_killed_broker_is_gone_from_zookeeper_at_once_and_a_stopped_one_is_not() {
    let data = tempfile::tempdir().unwrap();
    let (_zookeeper, line) = dev(data.path());
    let zookeeper = port(&line, "ZooKeeper listens on");
    let dir = tempfile::tempdir().unwrap();
    let mut broker = broker(dir.path(), zookeeper, "");
    broker.await_line(BROKER_STARTED);

    let guardian = await_guardian(&broker);
    assert_eq!(command_line(guardian), "jackdaw guardian ");
    let (own, its) = (stat(broker.child.id()).unwrap(), stat(guardian).unwrap());
    assert!(its[3] != own[3] && its[2] != own[2], "it is of a session and a group of its own");
    let mut descriptors: Vec<_> =
        std::fs::read_dir(format!("/proc/{guardian}/fd")).unwrap().map(|fd| fd.unwrap().file_name()).collect();
    descriptors.sort();
    assert_eq!(descriptors, ["0", "1", "2"]);
    // The binary itself is in memory once, for the broker and the guardian.
    let own = memory_of(guardian, "RssAnon:");
    assert!(own < 12 << 20, "{own} bytes");

    ["TERM", "INT", "HUP", "QUIT", "TSTP", "USR1"].iter().for_each(|name| signal(guardian, name));
    broker.signal("STOP");
    await_that("it stops", || stat(broker.child.id()).unwrap()[0] == "T");
    assert!(is_registered(zookeeper));
    broker.signal("CONT");
    assert!(is_registered(zookeeper) && !is_gone(guardian));

    let killed = Instant::now();
    broker.signal("KILL");
    await_that("the registration goes", || !is_registered(zookeeper));
    println!("gone {:?} after the kill", killed.elapsed());
    await_that("the guardian leaves", || is_gone(guardian));
}

#[test]
fn the_guardian_leaves_with_a_broker_that_stops_and_there_is_none_where_none_is_wanted() {
    let data = tempfile::tempdir().unwrap();
    let (_zookeeper, line) = dev(data.path());
    let zookeeper = port(&line, "ZooKeeper listens on");
    let dir = tempfile::tempdir().unwrap();
    let mut first = broker(dir.path(), zookeeper, "");
    first.await_line(BROKER_STARTED);
    let guardian = await_guardian(&first);
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(143));
    await_that("the guardian leaves", || is_gone(guardian));
    assert!(!is_registered(zookeeper));

    let mut second = broker(dir.path(), zookeeper, "jackdaw.guardian.enable=false");
    second.await_line(BROKER_STARTED);
    assert_eq!(guardian_of(&second), None);
}

#[test]
fn another_guardian_takes_the_place_of_one_that_ends_and_knows_the_session() {
    let data = tempfile::tempdir().unwrap();
    let (_zookeeper, line) = dev(data.path());
    let zookeeper = port(&line, "ZooKeeper listens on");
    let dir = tempfile::tempdir().unwrap();
    let mut broker = broker(dir.path(), zookeeper, "");
    broker.await_line(BROKER_STARTED);
    let first = await_guardian(&broker);
    signal(first, "KILL");
    let told = broker.await_line("The guardian of the session with ZooKeeper: ");
    assert!(told.contains(&format!("process {first} ended: signal: 9")), "{told}");
    let second = await_guardian(&broker);
    assert!(told.contains(&format!("process {second} is another")), "{told}");
    assert!(is_registered(zookeeper));
    broker.signal("KILL");
    await_that("the registration goes", || !is_registered(zookeeper));
}

#[test]
fn a_guardian_waits_for_a_zookeeper_that_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
    let text = format!("dataDir={}/data\nclientPort={free}\n4lw.commands.whitelist=*\n", dir.path().display());
    let config = write(&dir.path().join("zoo.cfg"), &text);
    let start = || {
        let mut server = Process::start(&["zookeeper-server-start", &config]);
        server.await_line("started (org.apache.zookeeper.server.ZooKeeperServer)");
        server
    };
    let mut zookeeper = start();
    let mut broker = broker(dir.path(), &free, "");
    broker.await_line(BROKER_STARTED);
    assert!(is_registered(&free));
    zookeeper.signal("KILL");
    zookeeper.wait();
    broker.signal("KILL");
    broker.wait();
    let _zookeeper = start();
    await_that("the registration goes", || !is_registered(&free));
}

#[test]
fn a_broker_that_is_killed_and_started_at_once_serves_and_stays() {
    let data = tempfile::tempdir().unwrap();
    let (_zookeeper, line) = dev(data.path());
    let zookeeper = port(&line, "ZooKeeper listens on");
    let dir = tempfile::tempdir().unwrap();
    let mut earlier = None;
    for _ in 0..5 {
        let mut broker = broker(dir.path(), zookeeper, "");
        broker.await_line(BROKER_STARTED);
        if let Some(guardian) = earlier.replace(await_guardian(&broker)) {
            await_that("the earlier guardian leaves", || is_gone(guardian));
        }
        assert!(is_registered(zookeeper));
        broker.signal("KILL");
        broker.wait();
    }
}

/// How many connections each of these ports has that its own side accepted.
fn connections_at(port: &str) -> usize {
    let port: u16 = port.parse().unwrap();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let is_established_here = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|local| local.ends_with(&format!(":{port:04X}"))) && fields.get(3) == Some(&"01")
    };
    tables.iter().map(|table| table.lines().filter(is_established_here).count()).sum()
}

#[test]
fn brokers_and_their_controller_meet_at_listeners_of_their_own() {
    let data = tempfile::tempdir().unwrap();
    let (_zookeeper, line) = dev(data.path());
    let zookeeper = port(&line, "ZooKeeper listens on");
    let lines = "listeners=CLIENT://localhost:0,REPLICATION://localhost:0,CONTROLLER://localhost:0\n\
                 listener.security.protocol.map=CLIENT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
                 inter.broker.listener.name=REPLICATION\n\
                 control.plane.listener.name=CONTROLLER";
    let dirs = [1, 2, 3].map(|_| tempfile::tempdir().unwrap());
    let mut brokers = Vec::new();
    for (id, dir) in (1..).zip(&dirs) {
        let mut broker = broker(dir.path(), zookeeper, &format!("{lines}\nbroker.id={id}"));
        let registered = broker.await_line("Registered broker");
        broker.await_line(&format!("[KafkaServer id={id}] started"));
        let ports = ["CLIENT://", "REPLICATION://", "CONTROLLER://"].map(|name| port(&registered, name).to_owned());
        brokers.push((broker, ports));
    }
    let client = format!("localhost:{}", brokers[2].1[0]);
    let topic = ["--bootstrap-server", &client, "--topic", "t"];
    let (code, _, stderr) =
        run(&[&["kafka-topics", "--create", "--partitions=3", "--replication-factor=3"][..], &topic].concat());
    assert_eq!(code, 0, "{stderr}");
    let mut producer = jackdaw(&["kafka-console-producer", "--request-required-acks=all"]);
    let mut producer = producer.args(topic).stdin(Stdio::piped()).spawn().unwrap();
    producer.stdin.take().unwrap().write_all(b"one\ntwo\nthree\n").unwrap();
    assert!(producer.wait().unwrap().success());
    // Each follows the two others; the first of them is the controller, and tells them.
    for (_, [client, replication, _]) in &brokers {
        await_that("the others' followers are there", || connections_at(replication) >= 2);
        await_that("clients alone were there", || connections_at(client) == 0);
    }
    for (_, [_, _, controller]) in &brokers[1..] {
        assert!(connections_at(controller) > 0);
    }
}
