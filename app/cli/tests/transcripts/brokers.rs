//! The tools that ask brokers.
//!
//! The transcripts were made by the tools of Kafka 2.7.1 against a 2.7.1 broker (`proof/interop` runs both sides anew). ` <<< `
//! stands before what is typed; times are replaced, and of standard error the first four lines are kept.

use cli::console::Console;
use config::broker::BrokerConfig;
use host::Kafka;
use regex_lite::Regex;

use super::{Properties, System, World, assert_same, run, words};

const ERR_LINES: usize = 4;

/// A broker beside a ZooKeeper server.
struct Cluster {
    world: World,
    broker: Kafka,
    _folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let world = World::start();
        let folder = tempfile::tempdir().unwrap();
        let settings = [
            ("broker.id", "1"),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("log.dirs", folder.path().to_str().unwrap()),
            ("zookeeper.connect", &world.address),
            ("offsets.topic.replication.factor", "1"),
            ("offsets.topic.num.partitions", "3"),
            ("group.initial.rebalance.delay.ms", "0"),
        ];
        let (config, _) = BrokerConfig::new(settings.into_iter().collect::<Properties>()).unwrap();
        let broker =
            Kafka::start(config, world.system.clone(), super::silent_log(), System::random().unwrap(), None).unwrap();
        wait(broker.started());
        let cluster = Self { world, broker, _folder: folder };
        // This waits until the controller has told the broker of itself.
        let address = cluster.broker.addresses()[0].to_string();
        assert_eq!(run("kafka-broker-api-versions", &["--bootstrap-server", &address], String::new()).2, 0);
        cluster
    }

    fn stop(self) {
        wait(self.broker.stop());
        self.world.stop();
    }

    /// Runs the command lines of a transcript and writes it anew.
    fn replay(&self, transcript: &str) -> String {
        let address = self.broker.addresses()[0].to_string();
        let time = Regex::new(r"\b1[5-9]\d{11}\b").unwrap();
        let mark = Regex::new(r"^\[[^\]]*\] (ERROR|WARN) ").unwrap();
        let untold = Regex::new(r"^$|^Caused by: |^ \([A-Za-z.$]+\)$|NetworkClient\)$").unwrap();
        let mut replayed = String::new();
        for line in transcript.lines().filter(|line| line.starts_with("$ ")) {
            let (command, input) = line[2..].split_once(" <<< ").unwrap_or((&line[2..], ""));
            let words = words(&command.replace("BROKER", &address));
            let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            let (mut out, err, code) = run(&words[0], &arguments, input.replace("\\n", "\n"));
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            let err = err.lines().filter(|line| !untold.is_match(line)).take(ERR_LINES);
            let err: String = err.map(|line| format!("err: {}\n", mark.replace(line, ""))).collect();
            let said = format!("{out}{err}rc {code}\n").replace(&address, "BROKER");
            replayed += &format!("{line}\n{}", time.replace_all(&said, "MS"));
        }
        replayed
    }
}

/// The servers run on threads of their own.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn check(golden: &str) {
    let cluster = Cluster::start();
    assert_same(&cluster.replay(golden), golden);
    cluster.stop();
}

#[test]
fn topics_over_brokers() {
    check(include_str!("../golden/kafka-topics-brokers.txt"));
}

#[test]
fn configs_over_brokers() {
    check(include_str!("../golden/kafka-configs-brokers.txt"));
}

#[test]
fn groups_and_records() {
    check(include_str!("../golden/kafka-groups-brokers.txt"));
}

/// A broker's word for each API is what this side knows, so that everything is usable.
#[test]
fn versions_of_a_broker() {
    let cluster = Cluster::start();
    let address = cluster.broker.addresses()[0].to_string();
    let (out, err, code) = run("kafka-broker-api-versions", &["--bootstrap-server", &address], String::new());
    assert!(
        out.starts_with(&format!("{address} (id: 1 rack: null) -> (\n\tProduce(0): 0 to 8 [usable: 8],\n")),
        "{out}"
    );
    assert!(!out.contains("unusable"), "{out}");
    assert_eq!((err.as_str(), code), ("", 0));
    cluster.stop();
}

/// Members show where they read.
#[test]
fn members_of_a_group() {
    let cluster = Cluster::start();
    let address = cluster.broker.addresses()[0].to_string();
    let server = ["--bootstrap-server", &address];
    let tool = |name: &str, arguments: &[&str]| run(name, &[&server, arguments].concat(), String::new());
    assert_eq!(tool("kafka-topics", &["--create", "--topic", "t", "--partitions", "2"]).2, 0);
    let property = "group.instance.id=one";
    let consume =
        [&server[..], &["--topic", "t", "--group", "g", "--consumer-property", property, "--timeout-ms", "60000"]]
            .concat()
            .into_iter()
            .map(std::ffi::OsString::from)
            .collect::<Vec<_>>();
    // It reads until the broker is gone.
    std::thread::spawn(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        cli::run_on("kafka-console-consumer", &consume, &mut Console { input: None, out: &mut out, err: &mut err })
    });
    let described = loop {
        let (out, ..) = tool("kafka-consumer-groups", &["--describe", "--group", "g", "--members", "--verbose"]);
        if out.contains("t(0,1)") {
            break out;
        }
    };
    let lines: Vec<Vec<&str>> = described.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[1],
        ["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "ASSIGNMENT"]
    );
    assert_eq!((lines[2][0], &lines[2][2..]), ("g", &["one", "/127.0.0.1", "consumer-g-one", "2", "t(0,1)"][..]));
    let (out, ..) = tool("kafka-consumer-groups", &["--reset-offsets", "--group", "g", "--all-topics", "--to-latest"]);
    assert!(
        out.starts_with(
            "\nError: Assignments can only be reset if the group 'g' is inactive, but the current state is Stable.\n"
        ),
        "{out}"
    );
    let (out, ..) = tool("kafka-consumer-groups", &["--delete", "--group", "g"]);
    assert!(out.ends_with("GroupNotEmptyException: The group is not empty.\n"), "{out}");
    cluster.stop();
}
