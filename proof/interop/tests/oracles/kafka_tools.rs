//! The command-line tools and the originals' beside them, on one cluster: the same text on the same stream, the same exit
//! code.
//!
//! The cases are command lines in `kafka_tools/*.txt`, one a line, `#` in front of a remark, ` <<< ` before what is typed (with
//! `\n` and `\t`). `SERVER`, `ZOOKEEPER` and `FOLDER` are the cluster's; `NAME` is another word for each side, so that what one
//! changes the other does not see. Both sides run a case at the same time. Left out are times, stacks of exceptions but for
//! their messages, and what a client logs of its connections.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use interop::{Finished, Original, OriginalKind, OriginalTools, Server, binary, free_port, python, run};
use regex_lite::Regex;

const CASES: [(&str, &str); 8] = [
    ("topics", include_str!("kafka_tools/topics.txt")),
    ("configs", include_str!("kafka_tools/configs.txt")),
    ("console", include_str!("kafka_tools/console.txt")),
    ("headers", include_str!("kafka_tools/headers.txt")),
    ("groups", include_str!("kafka_tools/groups.txt")),
    ("others", include_str!("kafka_tools/others.txt")),
    ("classes", include_str!("kafka_tools/classes.txt")),
    // Figures differ from run to run: of numbers only the places are compared.
    ("shapes", include_str!("kafka_tools/shapes.txt")),
];

/// The class behind each command.
const CLASSES: [(&str, &str); 11] = [
    ("kafka-topics", "kafka.admin.TopicCommand"),
    ("kafka-configs", "kafka.admin.ConfigCommand"),
    ("kafka-consumer-groups", "kafka.admin.ConsumerGroupCommand"),
    ("kafka-console-producer", "kafka.tools.ConsoleProducer"),
    ("kafka-console-consumer", "kafka.tools.ConsoleConsumer"),
    ("kafka-broker-api-versions", "kafka.admin.BrokerApiVersionsCommand"),
    ("kafka-dump-log", "kafka.tools.DumpLogSegments"),
    ("kafka-producer-perf-test", "org.apache.kafka.tools.ProducerPerformance"),
    ("kafka-consumer-perf-test", "kafka.tools.ConsumerPerformance"),
    ("zkCli", "org.apache.zookeeper.ZooKeeperMain"),
    ("zookeeper-shell", "org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka"),
];

/// What stands for `NAME`: of the same length, so that columns are as wide.
const THEIR_NAME: &str = "tools-a";
const OUR_NAME: &str = "tools-b";

/// A ZooKeeper server, a broker, and the folder of their data.
struct Cluster {
    folder: tempfile::TempDir,
    zookeeper: String,
    kafka: String,
}

impl Cluster {
    fn new() -> Self {
        let (zookeeper_port, kafka_port) = (free_port().unwrap(), free_port().unwrap());
        let address = |port: u16| format!("127.0.0.1:{port}");
        let (zookeeper, kafka) = (address(zookeeper_port), address(kafka_port));
        let cluster = Self { folder: tempfile::tempdir().unwrap(), zookeeper, kafka };
        let folder = cluster.folder.path().display().to_string();
        let zoo_cfg = format!(
            "dataDir={folder}/zookeeper\nclientPort={zookeeper_port}\nclientPortAddress=127.0.0.1\ntickTime=2000\n"
        );
        cluster.write("zoo.cfg", &zoo_cfg);
        let properties = format!(
            "broker.id=1\nlisteners=PLAINTEXT://{}\nzookeeper.connect={}\nlog.dirs={folder}/kafka\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=3\ngroup.initial.rebalance.delay.ms=0\n",
            cluster.kafka, cluster.zookeeper
        );
        cluster.write("server.properties", &properties);
        cluster.write("one.csv", "wide,0,1\nread,0,99\n");
        cluster.write("two.csv", "many,wide,0,1\nfresh,wide,1,1\n\"many\",wide,1,0\n");
        cluster.write("bad.csv", "wide,0,1\nwide,x,1\n");
        cluster
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn port(address: &str) -> u16 {
        address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    fn theirs(&self) -> (Original, Original) {
        let start =
            |kind, file: &str, address: &str| Original::start(kind, &self.path(file), Self::port(address)).unwrap();
        let zookeeper = start(OriginalKind::ZooKeeper, "zoo.cfg", &self.zookeeper);
        (zookeeper, start(OriginalKind::Kafka, "server.properties", &self.kafka))
    }

    fn ours(&self) -> (Server, Server) {
        let zookeeper = Server::zookeeper(&self.path("zoo.cfg")).unwrap();
        (zookeeper, Server::broker(&self.path("server.properties")).unwrap())
    }

    fn tool(&self, line: &str) -> Finished {
        let (words, input) = self.words(line, OUR_NAME);
        run(Command::new(binary()).args(words), &input).unwrap()
    }

    /// Words of a case, and what is typed.
    fn words(&self, line: &str, name: &str) -> (Vec<String>, Vec<u8>) {
        let (line, input) = line.split_once(" <<< ").unwrap_or((line, ""));
        let folder = self.folder.path().display().to_string();
        let filled = |word: &str| {
            let word = word.replace("SERVER", &self.kafka).replace("ZOOKEEPER", &self.zookeeper);
            word.replace("FOLDER", &folder).replace("NAME", name)
        };
        let input = input.replace("\\n", "\n").replace("\\t", "\t");
        (line.split(' ').map(filled).collect(), input.into_bytes())
    }

    /// Topics with records, a group that has read them and left, and two groups with a member each.
    fn prepare(&self) -> Members {
        let starting = Instant::now();
        while self.tool("kafka-topics --bootstrap-server SERVER --create --topic read --partitions 1").code != 0 {
            assert!(starting.elapsed() < Duration::from_secs(30), "no topic can be made");
        }
        for line in [
            "kafka-topics --bootstrap-server SERVER --create --topic wide --partitions 7",
            "kafka-topics --bootstrap-server SERVER --create --topic headed --config message.timestamp.type=LogAppendTime",
            "kafka-console-producer --bootstrap-server SERVER --topic read --request-timeout-ms 30000 <<< a\\nb\\nc\\nd\\ne\\n",
            "kafka-console-producer --bootstrap-server SERVER --topic wide --property parse.key=true --property \
             key.separator=: --request-timeout-ms 30000 <<< 1:a\\n2:b\\n3:c\\n4:d\\n5:e\\n6:f\\n7:g\\n8:h\\n9:i\\n",
            "kafka-console-consumer --bootstrap-server SERVER --whitelist wide|read --group many --from-beginning \
             --max-messages 14",
        ] {
            self.tool(line).success().unwrap();
        }
        python("headed.py", &[&self.kafka, "headed"]).unwrap().success().unwrap();
        let member = |arguments: &str| {
            let line =
                format!("kafka-console-consumer --bootstrap-server SERVER --topic read --from-beginning {arguments}");
            let (words, _) = self.words(&line, OUR_NAME);
            let silent = Stdio::null;
            Command::new(binary()).args(words).stdin(silent()).stdout(silent()).stderr(silent()).spawn().unwrap()
        };
        let members = Members(vec![
            member("--group live"),
            member("--group static --consumer-property group.instance.id=one --consumer-property client.id=c"),
        ]);
        for group in ["live", "static"] {
            self.await_committed(group);
        }
        members
    }

    fn await_committed(&self, group: &str) {
        let starting = Instant::now();
        loop {
            let line = format!("kafka-consumer-groups --bootstrap-server SERVER --describe --group {group}");
            let said = self.tool(&line).success().unwrap();
            if said.contains(" 5               5               0 ") {
                return;
            }
            assert!(starting.elapsed() < Duration::from_secs(30), "{said}");
        }
    }

    /// Runs all cases on both sides and tells where they differ.
    fn compare(&self) {
        let log4j = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app/cli/src/install/files/tools-log4j.properties");
        let mut originals = OriginalTools::start(log4j.as_ref()).unwrap();
        let plain = Plain::new();
        let mut differences = String::new();
        let mut count = 0;
        for (file, cases) in CASES {
            for line in cases.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (theirs, ours) = std::thread::scope(|scope| {
                    let theirs = scope.spawn(|| self.original(&mut originals, line));
                    let ours = self.tool(line);
                    (theirs.join().unwrap(), ours)
                });
                let names = if line.contains("NAME") { [THEIR_NAME, OUR_NAME] } else { ["NAME", "NAME"] };
                let shape = file == "shapes";
                let (theirs, ours) = (plain.text(&theirs, names[0], shape), plain.text(&ours, names[1], shape));
                if theirs != ours {
                    differences += &format!("{file}: {line}\n{}", difference(&theirs, &ours));
                }
                count += 1;
            }
        }
        assert!(differences.is_empty(), "of {count} cases these differ:\n{differences}");
    }

    fn original(&self, originals: &mut OriginalTools, line: &str) -> Finished {
        let (mut words, input) = self.words(line, THEIR_NAME);
        if words[0] == "zookeeper-shell" {
            // What the script itself puts in front.
            words.insert(1, "-server".to_owned());
        }
        if words[0] == "kafka-run-class" {
            return originals.run(&words[1], &words[2..], &input).unwrap();
        }
        let class = CLASSES.iter().find(|(name, _)| *name == words[0]).unwrap().1;
        originals.run(class, &words[1..], &input).unwrap()
    }
}

/// Consumers that run beside the cases.
struct Members(Vec<Child>);

impl Drop for Members {
    fn drop(&mut self) {
        for member in &mut self.0 {
            // It may have ended by itself.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// Takes out what differs from run to run.
struct Plain {
    replaced: Vec<(Regex, &'static str)>,
    dropped: Regex,
    number: Regex,
}

impl Plain {
    fn new() -> Self {
        let regex = |pattern| Regex::new(pattern).unwrap();
        Self {
            replaced: vec![
                (regex(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]"), "[TIME]"),
                (regex(r"\b1[5-9]\d{11}\b"), "MS"),
                (regex(r"console-consumer-\d+"), "console-consumer-N"),
                (regex(r"0x[0-9a-f]{6,}"), "0xN"),
                // Told by a thread of its own, in two pieces: in the original they may stand amid another text, or come too late, to be
                // seen in the next case or not at all.
                (regex(r"\nWATCHER::\n"), ""),
                (regex(r"\nWatchedEvent state:SyncConnected type:None path:null\n"), ""),
            ],
            dropped: regex(
                r"^\s+at |^\s*\.\.\. \d+ more|^$|^ \([A-Za-z.$]+\)$|\(org\.apache\.kafka\.clients\.NetworkClient\)$|\(org\.apache\.zookeeper\.ClientCnxn\)$|^EndOfStreamException|while closing send thread|\(org\.apache\.kafka\.common\.utils\.AppInfoParser\)$|^javax\.management\.InstanceAlreadyExistsException",
            ),
            // A rate over no millisecond is one of the words.
            number: regex(r"-?\d+(\.\d+)?|Infinity|NaN"),
        }
    }

    fn text(&self, finished: &Finished, name: &str, shape: bool) -> String {
        let mut out = finished.stdout.clone();
        let lines = finished.stderr.lines().filter(|line| !self.dropped.is_match(line));
        let mut err: String = lines.map(|line| format!("err: {line}\n")).collect();
        for text in [&mut out, &mut err] {
            *text = text.replace(name, "NAME");
            if shape {
                *text = self.number.replace_all(text, "N").into_owned();
            }
            for (regex, word) in &self.replaced {
                *text = regex.replace_all(text, *word).into_owned();
            }
        }
        format!("{out}{err}exit code {}\n", finished.code)
    }
}

/// The lines that one side has and the other has not.
fn difference(theirs: &str, ours: &str) -> String {
    let only = |mark: &str, one: &str, other: &str| -> String {
        let others: Vec<&str> = other.lines().collect();
        one.lines().filter(|line| !others.contains(line)).take(12).map(|line| format!("  {mark} {line}\n")).collect()
    };
    let lines = only("theirs", theirs, ours) + &only("ours  ", ours, theirs);
    if lines.is_empty() { format!("  in another order or count:\n{theirs}  and ours:\n{ours}") } else { lines }
}

#[test]
fn the_tools_say_what_the_originals_say_on_their_cluster() {
    let cluster = Cluster::new();
    let _servers = cluster.theirs();
    let _members = cluster.prepare();
    cluster.compare();
}

#[test]
fn the_tools_say_what_the_originals_say_on_our_cluster() {
    let cluster = Cluster::new();
    let _servers = cluster.ours();
    let _members = cluster.prepare();
    cluster.compare();
}
