//! The tools for a cluster and the originals' beside them, on three brokers and a ZooKeeper server of the JVM's: the same text on the
//! same stream, the same exit code.
//!
//! The cases are command lines in `kafka_cluster_tools/*.txt`, one a line. First the originals' tools run all of a file, then ours
//! do, in the same order, each on topics of its own: `NAME`. `SERVER` and `ZOOKEEPER` are the cluster's. A word `json:...` is a file
//! with that content; `DIR1a` in it is a log directory. Lines with `!` in front prepare and are not compared. After an `--execute`
//! both wait until nothing moves any more, but where a `+` stands in front. `wait` does that anywhere; `stop` and `start` are of broker
//! 3. Left out are times, stacks of exceptions but for their messages, and what a client logs of its connections.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use interop::{Cluster, Finished, Kind, Original, OriginalTools, binary, run};
use kafka_proto::ErrorCode;
use kafka_proto::messages::fetch;
use regex_lite::Regex;

const CASES: [(&str, &str); 6] = [
    ("topics", include_str!("kafka_cluster_tools/topics.txt")),
    ("reassign", include_str!("kafka_cluster_tools/reassign.txt")),
    ("going", include_str!("kafka_cluster_tools/going.txt")),
    ("elections", include_str!("kafka_cluster_tools/elections.txt")),
    ("others", include_str!("kafka_cluster_tools/others.txt")),
    ("down", include_str!("kafka_cluster_tools/down.txt")),
];

/// The class behind each command.
const CLASSES: [(&str, &str); 10] = [
    ("kafka-topics", "kafka.admin.TopicCommand"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    ("kafka-reassign-partitions", "kafka.admin.ReassignPartitionsCommand"),
    ("kafka-leader-election", "kafka.admin.LeaderElectionCommand"),
    ("kafka-preferred-replica-election", "kafka.admin.PreferredReplicaLeaderElectionCommand"),
    ("kafka-log-dirs", "kafka.admin.LogDirsCommand"),
    ("kafka-features", "kafka.admin.FeatureCommand"),
    ("kafka-replica-verification", "kafka.tools.ReplicaVerificationTool"),
    ("kafka-verifiable-producer", "org.apache.kafka.tools.VerifiableProducer"),
    ("kafka-verifiable-consumer", "org.apache.kafka.tools.VerifiableConsumer"),
];

/// The broker that has another checksum than the others, and where it stands in a batch.
const DIFFERS: usize = 2;
const CHECKSUM: usize = 17;
/// The broker that is stopped.
const DOWN: usize = 3;
/// How the originals' tools log.
const LOG4J: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app/cli/src/install/files/tools-log4j.properties");

/// Whose tools run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Theirs,
    Ours,
}

struct Bench {
    cluster: Cluster,
    originals: OriginalTools,
    plain: Plain,
    files: usize,
}

impl Bench {
    fn start() -> Self {
        let mut cluster = Cluster::new(3, &[Kind::Theirs], "").unwrap();
        cluster.start_all(&[Kind::Theirs; 3]).unwrap();
        let originals = OriginalTools::start(LOG4J.as_ref()).unwrap();
        Self { cluster, originals, plain: Plain::new(), files: 0 }
    }

    /// Runs all cases of a file; gives each with what was said, in plain.
    fn play(&mut self, file: &str, cases: &str, side: Side) -> Vec<(String, String)> {
        // Of the same length, so that columns are as wide.
        let name = &format!("{file}-{}", if side == Side::Theirs { "a" } else { "b" });
        let mut said = Vec::new();
        for line in cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line {
                "wait" => self.settle(),
                "stop" => self.stop(),
                "start" => self.start_again(),
                _ => said.extend(self.case(line, name, side)),
            }
        }
        said
    }

    /// Runs one command line; nothing if it only prepares.
    fn case(&mut self, line: &str, name: &str, side: Side) -> Option<(String, String)> {
        let case = line.trim_start_matches(['!', '+']);
        let words = self.words(case, name);
        let prepares = line.starts_with('!');
        let finished = if side == Side::Ours || prepares { ours(&words) } else { self.theirs(&words) };
        if case.contains("--execute") && finished.code == 0 && !line.starts_with('+') {
            self.settle();
        }
        if prepares {
            assert_eq!(finished.code, 0, "{case}: {finished:?}");
            return None;
        }
        Some((case.to_owned(), self.plain.text(&finished, name)))
    }

    fn stop(&mut self) {
        self.cluster.stop(DOWN).unwrap();
        self.cluster.await_gone(DOWN).unwrap();
        self.cluster.await_brokers().unwrap();
    }

    fn start_again(&mut self) {
        self.cluster.start(DOWN, Kind::Theirs).unwrap();
        self.cluster.await_brokers().unwrap();
        self.cluster.await_all_in_sync().unwrap();
    }

    /// Waits until nothing moves and no election is asked for.
    fn settle(&mut self) {
        let servers = self.cluster.servers();
        let list = ["kafka-reassign-partitions", "--bootstrap-server", &servers, "--list"].map(str::to_owned);
        let still = |cluster: &Cluster| {
            let asked = cluster.znodes()?.children("/admin")?;
            let asked = asked.iter().any(|node| node == "reassign_partitions" || node == "preferred_replica_election");
            Ok(!asked && ours(&list).stdout == "No partition reassignments found.\n")
        };
        self.cluster.wait("reassignments and elections to end", still).unwrap();
        self.cluster.await_all_in_sync().unwrap();
    }

    fn words(&mut self, line: &str, name: &str) -> Vec<String> {
        let server = self.cluster.server(1).unwrap();
        let zookeeper = self.cluster.zookeeper().hosts();
        let mut words = Vec::new();
        for word in line.split(' ') {
            let word = word.replace("SERVER", &server).replace("ZOOKEEPER", &zookeeper).replace("NAME", name);
            words.push(match word.strip_prefix("json:") {
                Some(content) => self.file(content),
                None => word,
            });
        }
        words
    }

    /// A file with this content; `DIR1a` in it is the first log directory of broker 1.
    fn file(&mut self, content: &str) -> String {
        let mut content = content.to_owned();
        for id in 1..=3 {
            let [a, b] = self.cluster.log_dirs(id).unwrap();
            content = content.replace(&format!("DIR{id}a"), &a.display().to_string());
            content = content.replace(&format!("DIR{id}b"), &b.display().to_string());
        }
        self.files += 1;
        let path = self.cluster.path(&format!("case-{}.json", self.files));
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn theirs(&mut self, words: &[String]) -> Finished {
        let class = CLASSES.iter().find(|(name, _)| *name == words[0]).unwrap().1;
        if class.contains("Verifiable") {
            // It ends the whole JVM.
            let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            return Original::tool_with(&[format!("log4j.configuration=file:{LOG4J}")], class, &arguments, b"")
                .unwrap();
        }
        self.originals.run(class, &words[1..], b"").unwrap()
    }
}

fn ours(words: &[String]) -> Finished {
    run(Command::new(binary()).args(words), b"").unwrap()
}

/// Takes out what differs from run to run.
struct Plain {
    replaced: Vec<(Regex, &'static str)>,
    dropped: Regex,
}

impl Plain {
    fn new() -> Self {
        let regex = |pattern| Regex::new(pattern).unwrap();
        Self {
            replaced: vec![
                (regex(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]"), "[TIME]"),
                (regex(r"\b1[5-9]\d{11}\b"), "MS"),
                (regex(r#""avg_throughput":[0-9.E-]+"#), "\"avg_throughput\":N"),
                (regex(r"case-\d+\.json"), "FILE"),
                // The originals print those that were elected in place of those that need not be, which is mended since 3.0.
                (regex(r"(?m)^((Valid|Preferred) replica already elected for partitions ).*$"), "$1..."),
            ],
            dropped: regex(
                r"^\s+at |^\s*\.\.\. \d+ more|^ \([A-Za-z.$]+\)$|\(org\.apache\.kafka\.clients\.NetworkClient\)$|\(org\.apache\.zookeeper\.ClientCnxn\)$|^EndOfStreamException|app-info|AppInfoParser|^log4j:",
            ),
        }
    }

    fn text(&self, finished: &Finished, name: &str) -> String {
        let kept = |text: &str, mark: &str| -> String {
            let lines = text.lines().filter(|line| !self.dropped.is_match(line));
            lines.map(|line| format!("{mark}{line}\n")).collect()
        };
        let err: String = kept(&finished.stderr, "err: ")
            .lines()
            .filter(|line| *line != "err: ")
            .fold(String::new(), |text, line| text + line + "\n");
        let mut text =
            format!("{}{err}exit code {}\n", kept(&finished.stdout, ""), finished.code).replace(name, "NAME");
        for (regex, word) in &self.replaced {
            text = regex.replace_all(&text, *word).into_owned();
        }
        text
    }
}

#[test]
fn the_tools_say_what_the_originals_say_on_a_cluster() {
    let mut bench = Bench::start();
    let mut differences = String::new();
    let mut count = 0;
    for (file, cases) in CASES {
        let theirs = bench.play(file, cases, Side::Theirs);
        let ours = bench.play(file, cases, Side::Ours);
        count += theirs.len();
        for ((case, theirs), (_, ours)) in theirs.into_iter().zip(ours) {
            if theirs != ours {
                differences += &format!("{file}: {case}\n--- theirs\n{theirs}--- ours\n{ours}");
            }
        }
    }
    assert!(differences.is_empty(), "of {count} cases these differ:\n{differences}");
}

/// What the verification of replicas says up to a report, without times: it goes on until it is ended.
fn verified(mut command: Command, last: &str) -> BTreeSet<String> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut told = BTreeSet::new();
    // A report each moment: it has come to the end long before so many.
    for line in BufReader::new(child.stdout.take().unwrap()).lines().take(2000) {
        let line = line.unwrap();
        let (_, text) = line.split_once(": ").unwrap_or_else(|| panic!("no time in {line}"));
        // The original may report before it has read all.
        if text == last || !text.starts_with("max lag is ") {
            told.insert(text.to_owned());
        }
        if text == last {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    told
}

/// What each broker tells of its replica to one who reads as the tool does: the leader's and the followers' the same.
fn replicas_as_read(cluster: &Cluster) -> [fetch::ResponsePartition; 3] {
    [1, 2, 3].map(|id| {
        let partition = fetch::RequestPartition { partition_max_bytes: 1 << 20, ..Default::default() };
        let topics = vec![fetch::RequestTopic { topic: "t".into(), partitions: vec![partition] }];
        let request = fetch::Request { replica_id: -2, max_wait_ms: 100, min_bytes: 1, topics, ..Default::default() };
        let mut answer = cluster.ask(id, &request, 11).unwrap();
        answer.topics.remove(0).partitions.remove(0)
    })
}

#[test]
fn replicas_of_both_kinds_are_verified_as_by_the_original() {
    let mut cluster = Cluster::new(3, &[Kind::Ours], "").unwrap();
    cluster.start_all(&[Kind::Theirs, Kind::Ours, Kind::Ours]).unwrap();
    cluster.create("t", &[&[1, 2, 3]]).unwrap();
    let server = cluster.server(1).unwrap();
    let records: String = (0..500).map(|number| format!("{number:0200}\n")).collect();
    let mut producer = Command::new(binary());
    producer.args(["kafka-console-producer", "--bootstrap-server", &server, "--topic", "t"]);
    producer.args(["--request-required-acks", "all"]);
    run(&mut producer, records.as_bytes()).unwrap().success().unwrap();
    let have_all =
        |cluster: &Cluster| Ok(replicas_as_read(cluster).iter().all(|replica| replica.high_watermark == 500));
    cluster.wait("all replicas to know what is committed", have_all).unwrap();
    let [first, second, third] = replicas_as_read(&cluster);
    assert_eq!(first.error_code, ErrorCode::NONE);
    assert_eq!([&second, &third], [&first; 2]);

    let servers = cluster.servers();
    let arguments = ["--broker-list", &servers, "--topic-white-list", "t", "--time", "-2", "--report-interval-ms", "1"];
    let last = "max lag is 0 for partition t-0 at offset 500 among 1 partitions";
    let told_alike = || {
        let mut ours = Command::new(binary());
        ours.arg("kafka-replica-verification").args(arguments).args(["--max-wait-ms", "100"]);
        let mut theirs = Original::tool_command("kafka.tools.ReplicaVerificationTool", &arguments).unwrap();
        theirs.args(["--max-wait-ms", "100"]);
        let (ours, theirs) = (verified(ours, last), verified(theirs, last));
        assert_eq!(ours, theirs);
        theirs
    };
    assert_eq!(told_alike(), BTreeSet::from([last.to_owned(), "verification process is started.".to_owned()]));

    // A replica of ours has another checksum in its first batch.
    cluster.stop(DIFFERS).unwrap();
    let folders = cluster.log_dirs(DIFFERS).unwrap().map(|dir| dir.join("t-0"));
    let folder = folders.iter().find(|folder| folder.exists()).unwrap();
    let log = folder.join("00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[CHECKSUM] ^= 1;
    fs::write(&log, bytes).unwrap();
    cluster.start(DIFFERS, Kind::Ours).unwrap();
    cluster.await_brokers().unwrap();
    cluster.await_in_sync("t").unwrap();
    let told = told_alike();
    assert!(told.iter().any(|line| line.contains("partition t-0 has unmatched checksum at offset ")), "{told:?}");
}
