//! Data directories that pass from the JVM originals to ours and back, and records that outlive `kill -9`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use interop::{Original, OriginalKind, Server, free_port, kafka_cli, python, python_command};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Records that `takeover.py` writes to each partition in each era.
const RECORDS: usize = 400;

/// The configuration of a ZooKeeper server and a broker over one set of data.
struct Place {
    folder: tempfile::TempDir,
    zookeeper_port: u16,
    kafka_port: u16,
}

impl Place {
    fn new(session_timeout_ms: u32) -> Self {
        let (zookeeper_port, kafka_port) = (free_port().unwrap(), free_port().unwrap());
        let place = Self { folder: tempfile::tempdir().unwrap(), zookeeper_port, kafka_port };
        let path = |name: &str| place.path(name).display().to_string();
        let zoo_cfg = format!(
            "dataDir={}\nclientPort={zookeeper_port}\nclientPortAddress=127.0.0.1\ntickTime=500\n",
            path("zookeeper")
        );
        // Segments of a few batches each.
        let properties = format!(
            "broker.id=3\nlisteners=PLAINTEXT://127.0.0.1:{kafka_port}\nzookeeper.connect=127.0.0.1:{zookeeper_port}\n\
             log.dirs={},{}\nnum.partitions=2\nlog.segment.bytes=20000\nlog.index.interval.bytes=1000\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=3\ngroup.initial.rebalance.delay.ms=0\n\
             zookeeper.session.timeout.ms={session_timeout_ms}\n",
            path("kafka-a"),
            path("kafka-b")
        );
        fs::write(place.path("zoo.cfg"), zoo_cfg).unwrap();
        fs::write(place.path("server.properties"), properties).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> String {
        format!("127.0.0.1:{}", self.kafka_port)
    }

    fn theirs(&self) -> (Original, Original) {
        let zookeeper = Original::start(OriginalKind::ZooKeeper, &self.path("zoo.cfg"), self.zookeeper_port).unwrap();
        let broker = Original::start(OriginalKind::Kafka, &self.path("server.properties"), self.kafka_port).unwrap();
        (zookeeper, broker)
    }

    fn ours(&self) -> (Server, Server) {
        let zookeeper = Server::zookeeper(&self.path("zoo.cfg")).unwrap();
        // It says that it has started when it knows who leads what: the next step asks at once.
        let broker = Server::broker(&self.path("server.properties")).unwrap();
        (zookeeper, broker)
    }

    /// The original answers from its start on, and a moment later knows who leads what; kcat asks once.
    fn await_leaders(&self) {
        let start = Instant::now();
        let server = self.server();
        loop {
            let known = kafka_cli(&["-L", "-b", &server], b"").unwrap().stdout;
            if CODECS.iter().all(|codec| known.contains(&format!("takeover-{codec}"))) && !known.contains("leader -1") {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{known}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn commit(&self, era: &str) {
        python("takeover.py", &[&self.server(), "commit", era]).unwrap().success().unwrap();
    }

    fn write(&self, era: &str) {
        python("takeover.py", &[&self.server(), "write", era]).unwrap().success().unwrap();
    }

    /// What was written in these eras is there, whole and in order.
    fn check(&self, eras: &[&str]) {
        for codec in CODECS {
            let topic = self.read(&format!("takeover-{codec}"));
            assert_eq!(topic.len(), 2, "{codec}");
            for (partition, read) in topic {
                let expected: Vec<_> = eras.iter().flat_map(|era| expected(era, codec, partition)).collect();
                assert!(read == expected, "{codec} {partition}: {} records of {}", read.len(), expected.len());
            }
        }
    }

    /// The offsets that a group committed in an era are known.
    #[track_caller]
    fn check_offsets(&self, era: &str) {
        python("takeover.py", &[&self.server(), "committed", era]).unwrap().success().unwrap();
    }

    /// Keys, headers and values of a topic's partitions, a line for each record.
    fn read(&self, topic: &str) -> BTreeMap<usize, Vec<String>> {
        let server = self.server();
        let arguments = ["-C", "-b", &server, "-t", topic, "-o", "beginning", "-e", "-q"];
        // At the end of a partition the broker is not to wait for more.
        let more = ["-X", "fetch.wait.max.ms=10", "-f", "%p %k %h %s\n"];
        let text = kafka_cli(&[&arguments[..], &more].concat(), b"").unwrap().success().unwrap();
        let mut partitions: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (partition, record) = line.split_once(' ').unwrap();
            partitions.entry(partition.parse().unwrap()).or_default().push(record.to_owned());
        }
        partitions
    }
}

fn expected(era: &str, codec: &str, partition: usize) -> Vec<String> {
    let line =
        |index: usize| format!("key-{index} era={era} {era} {codec} {partition} {index} {}", "x".repeat(index % 90));
    (0..RECORDS).map(line).collect()
}

/// The files of a kind in the partitions of the topics.
fn files(place: &Place, ending: &str) -> Vec<String> {
    let dirs = ["kafka-a", "kafka-b"].map(|dir| fs::read_dir(place.path(dir)).unwrap());
    let partitions = dirs.into_iter().flatten().map(|entry| entry.unwrap().path());
    let partitions = partitions.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("takeover-"));
    let files = partitions.flat_map(|path| fs::read_dir(path).unwrap()).map(|entry| entry.unwrap().path());
    files.filter(|file| is(file, ending)).map(|file| file.display().to_string()).collect()
}

fn is(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|found| found == ending)
}

#[test]
fn data_passes_from_the_originals_to_ours_and_back() {
    let place = Place::new(6000);
    let (zookeeper, broker) = place.theirs();
    place.write("theirs");
    place.commit("theirs");
    broker.stop().unwrap();
    zookeeper.stop().unwrap();

    let (zookeeper, broker) = place.ours();
    place.check(&["theirs"]);
    place.check_offsets("theirs");
    place.write("ours");
    place.commit("ours");
    place.check(&["theirs", "ours"]);
    broker.stop().unwrap();
    zookeeper.stop().unwrap();
    check_with_the_originals_tool(&place);

    let (_zookeeper, broker) = place.theirs();
    place.await_leaders();
    place.check_offsets("theirs");
    place.check_offsets("ours");
    place.write("theirs again");
    place.check(&["theirs", "ours", "theirs again"]);
    broker.stop().unwrap();
}

/// `DumpLogSegments` finds every entry of every index in its segment.
fn check_with_the_originals_tool(place: &Place) {
    let (indexes, time_indexes) = (files(place, "index"), files(place, "timeindex"));
    assert!(indexes.len() > 15 && time_indexes.len() == indexes.len(), "only {} segments", indexes.len());
    let all = [indexes, time_indexes].concat();
    let arguments = ["--verify-index-only", "--files", &all.join(",")];
    let said = Original::tool("kafka.tools.DumpLogSegments", &arguments, b"").unwrap().success().unwrap();
    assert_eq!(said.matches("Dumping ").count(), all.len(), "{said}");
    for complaint in ["Mismatches", "Found", "not found"] {
        assert!(!said.contains(complaint), "{said}");
    }
}

#[test]
fn acknowledged_records_outlive_kills() {
    let place = Place::new(1000);
    let _zookeeper = Server::zookeeper(&place.path("zoo.cfg")).unwrap();
    let mut broker = Server::broker(&place.path("server.properties")).unwrap();
    let mut command = python_command("acknowledged.py").unwrap();
    let mut producer =
        command.args([&place.server(), "killed"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = producer.stdout.take().unwrap();
    let acknowledged = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    for round in 0..5 {
        // The rounds end at different points of the producer's batches.
        std::thread::sleep(Duration::from_millis(700 + 130 * round));
        drop(broker);
        // At once, while the killed broker's session lives: ours closes it by the key that it noted.
        broker = Server::broker(&place.path("server.properties")).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    drop(producer.stdin.take());
    let ended = wait(&mut producer);
    assert!(ended, "the producer did not end");
    let acknowledged = acknowledged.join().unwrap().unwrap();

    let mut by_partition: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for line in acknowledged.lines() {
        let mut words = line.split(' ');
        let partition = words.next().unwrap().parse().unwrap();
        by_partition.entry(partition).or_default().push(words.nth(1).unwrap());
    }
    assert_eq!(by_partition.len(), 2, "{acknowledged}");
    let killed = place.read("killed");
    for (partition, acknowledged) in by_partition {
        assert!(acknowledged.len() > 1000, "only {} records", acknowledged.len());
        let read: Vec<&str> = killed[&partition].iter().map(|line| line.trim()).collect();
        // An idempotent producer: each record once, in the order of the acknowledgements.
        let differs = read.iter().zip(&acknowledged).position(|(read, acknowledged)| read != acknowledged);
        assert_eq!(differs, None, "partition {partition}, of {} and {}", read.len(), acknowledged.len());
        assert_eq!(read.len(), acknowledged.len(), "partition {partition}");
    }
}

/// Whether a process ends with success in good time; it is ended if not.
fn wait(process: &mut std::process::Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if let Some(status) = process.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    false
}
