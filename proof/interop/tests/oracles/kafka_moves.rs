//! Replicas that move between the log directories of a broker (KIP-113), of the JVM's and of one of ours in one cluster: what the tools
//! say, where the folders are, and the records, under producers; and moves that one begins and the other ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use interop::{Cluster, Finished, Kind, OriginalTools, Traffic, binary, run};
use serde_json::Value;

use Kind::{Ours, Theirs};

/// How the originals' tools log.
const LOG4J: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app/cli/src/install/files/tools-log4j.properties");
const CLASS: &str = "kafka.admin.ReassignPartitionsCommand";
/// Bytes in a second: with it, a move of some megabytes is under way for long.
const SLOWLY: &str = "20000";
const FAST: &str = "100000000";

/// Broker 1 is the JVM's, broker 2 ours.
struct Bench {
    cluster: Cluster,
    originals: OriginalTools,
    files: usize,
}

impl Bench {
    fn start(kinds: [Kind; 2]) -> Self {
        let mut cluster = Cluster::new(2, &[Theirs], "").unwrap();
        cluster.start_all(&kinds).unwrap();
        Self { cluster, originals: OriginalTools::start(LOG4J.as_ref()).unwrap(), files: 0 }
    }

    /// A topic of one replica there, with some megabytes.
    fn fill(&mut self, topic: &str, id: usize) {
        self.cluster.create(topic, &[&[id]]).unwrap();
        let server = self.cluster.server(id).unwrap();
        // Keys and numbers, as those of the producers' records are; a number of many digits is long.
        let records: String = (0..4000).map(|number| format!("fill:{number:01000}\n")).collect();
        let mut command = Command::new(binary());
        command.args(["kafka-console-producer", "--bootstrap-server", &server, "--topic", topic]);
        command.args(["--property", "parse.key=true", "--property", "key.separator=:"]);
        run(&mut command, records.as_bytes()).unwrap().success().unwrap();
    }

    /// Which of a broker's directories (0 or 1) has the partition's log, and the other one.
    fn places(&self, topic: &str, id: usize) -> (usize, usize) {
        let dirs = self.cluster.log_dirs(id).unwrap();
        let at = dirs.iter().position(|dir| dir.join(format!("{topic}-0")).is_dir()).unwrap();
        (at, 1 - at)
    }

    /// A plan that puts the partition into a directory of a broker.
    fn plan(&mut self, topic: &str, id: usize, dir: usize) -> String {
        let dir = self.cluster.log_dirs(id).unwrap()[dir].display().to_string();
        let partition = serde_json::json!({"topic": topic, "partition": 0, "replicas": [id], "log_dirs": [dir]});
        self.files += 1;
        let path = self.cluster.path(&format!("plan-{}.json", self.files));
        fs::write(&path, serde_json::json!({"version": 1, "partitions": [partition]}).to_string()).unwrap();
        path.display().to_string()
    }

    /// Runs our tool; with `--verify` the original's too, which says the same unless something happened between the two.
    fn reassign(&mut self, plan: &str, more: &[&str]) -> String {
        let servers = self.cluster.servers();
        let mut words = vec!["--bootstrap-server", &servers, "--reassignment-json-file", plan];
        words.extend(more);
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let ours = || said(&run(Command::new(binary()).arg("kafka-reassign-partitions").args(&words), b"").unwrap());
        if more.contains(&"--verify") {
            let theirs = said(&self.originals.run(CLASS, &words, b"").unwrap());
            let ours = ours();
            if theirs.contains("still in progress") == ours.contains("still in progress") {
                assert_eq!(theirs, ours);
            }
            return ours;
        }
        ours()
    }

    /// As `reassign` with `--execute`, by the original's tool.
    fn reassign_by_the_original(&mut self, plan: &str, more: &[&str]) -> String {
        let servers = self.cluster.servers();
        let mut words = vec!["--bootstrap-server", &servers, "--reassignment-json-file", plan, "--execute"];
        words.extend(more);
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        said(&self.originals.run(CLASS, &words, b"").unwrap())
    }

    fn await_moved(&mut self, plan: &str) -> String {
        let mut last = String::new();
        let servers = self.cluster.servers();
        let verify =
            ["--bootstrap-server", &servers, "--reassignment-json-file", plan, "--verify", "--preserve-throttles"];
        let mut tool = Command::new(binary());
        tool.arg("kafka-reassign-partitions").args(verify);
        let is_moved = |_: &Cluster| {
            last = said(&run(&mut tool, b"")?);
            Ok(last.contains("completed successfully") && !last.contains("still in progress"))
        };
        self.cluster.wait("a move to end", is_moved).unwrap_or_else(|error| panic!("{error:#}: {last}"));
        self.reassign(plan, &["--verify"])
    }

    /// Some of the log is in the other directory. The original can't go on with a copy that has nothing yet: it begins at the
    /// log's high watermark, and takes the partition for failed.
    fn await_copied(&mut self, topic: &str, id: usize, dir: usize) {
        let dir = self.cluster.log_dirs(id).unwrap()[dir].clone();
        let future = |name: &str| name.starts_with(&format!("{topic}-0.")) && name.ends_with("-future");
        let is_begun = |_: &Cluster| {
            let mut folders = fs::read_dir(&dir)?.filter_map(Result::ok);
            let folder = folders.find(|folder| folder.file_name().to_str().is_some_and(future));
            let folder = folder.context("no copy is there")?.path();
            Ok(!log_bytes(&folder).is_empty() && fs::metadata(folder.join("leader-epoch-checkpoint"))?.len() > 0)
        };
        self.cluster.wait("the begin of a copy", is_begun).unwrap();
    }

    /// What kafka-log-dirs tells of the partition: for each directory, whether it is a copy, and whether it is behind.
    fn described(&mut self, topic: &str, id: usize) -> BTreeMap<usize, (bool, bool)> {
        let (servers, broker) = (self.cluster.servers(), id.to_string());
        let words = ["--bootstrap-server", &servers, "--describe", "--broker-list", &broker, "--topic-list", topic];
        let words = words.map(str::to_owned);
        let ours = run(Command::new(binary()).arg("kafka-log-dirs").args(&words), b"").unwrap();
        let theirs = self.originals.run("kafka.admin.LogDirsCommand", &words, b"").unwrap();
        let shape = |finished: &Finished| {
            let json = finished.stdout.lines().last().unwrap_or_default();
            let json: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
            let dirs = self.cluster.log_dirs(id).unwrap();
            let mut found = BTreeMap::new();
            for log_dir in json["brokers"][0]["logDirs"].as_array().unwrap() {
                let at = dirs.iter().position(|dir| dir.to_str() == log_dir["logDir"].as_str()).unwrap();
                for partition in log_dir["partitions"].as_array().unwrap() {
                    let is_behind = partition["offsetLag"].as_i64().unwrap() > 0;
                    found.insert(at, (partition["isFuture"].as_bool().unwrap(), is_behind));
                }
            }
            found
        };
        assert_eq!(shape(&theirs), shape(&ours));
        shape(&ours)
    }

    /// The kinds of the partition's folders in both directories.
    fn folders(&self, topic: &str, id: usize) -> Vec<Vec<String>> {
        let dirs = self.cluster.log_dirs(id).unwrap();
        let of_dir = |dir: &std::path::PathBuf| {
            let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let names = names.filter_map(|name| Some(name.strip_prefix(&format!("{topic}-0"))?.to_owned()));
            let mut kinds: Vec<String> =
                names.map(|rest| rest.rsplit_once('-').map_or(String::new(), |(_, kind)| kind.to_owned())).collect();
            kinds.sort();
            kinds
        };
        dirs.iter().map(of_dir).collect()
    }

    /// The bytes of the partition's log.
    fn bytes(&self, topic: &str, id: usize) -> Vec<u8> {
        let (at, _) = self.places(topic, id);
        log_bytes(&self.cluster.log_dirs(id).unwrap()[at].join(format!("{topic}-0")))
    }

    /// What differs between brokers and topics, in words.
    fn plain(&self, text: &str, topic: &str, id: usize) -> String {
        let (at, other) = self.places(topic, id);
        let dirs = self.cluster.log_dirs(id).unwrap();
        text.replace(&dirs[at].display().to_string(), "HERE")
            .replace(&dirs[other].display().to_string(), "THERE")
            .replace(topic, "NAME")
            .replace(&format!("NAME-0-{id}"), "NAME-0-ID")
            .replace(&format!("\"replicas\":[{id}]"), "\"replicas\":[ID]")
            .replace(&format!("broker {id}"), "broker ID")
    }
}

fn log_bytes(folder: &Path) -> Vec<u8> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files.iter().flat_map(|file| fs::read(file).unwrap()).collect()
}

fn said(finished: &Finished) -> String {
    format!("{}{}exit code {}\n", finished.stdout, finished.stderr, finished.code)
}

/// A move under producers, with everything that is told of it.
fn move_under_load(bench: &mut Bench, topic: &str, id: usize, kind: Kind) -> String {
    bench.fill(topic, id);
    let traffic = Traffic::begin(&bench.cluster, topic).unwrap();
    let mut all = String::new();
    let (_, to) = bench.places(topic, id);
    let plan = bench.plan(topic, id, to);
    let execute = ["--replica-alter-log-dirs-throttle", SLOWLY];
    let begun = bench.reassign_by_the_original(&plan, &execute);
    all += &bench.plain(&begun, topic, id);
    let during = bench.reassign(&plan, &["--verify"]);
    all += &bench.plain(&during, topic, id);
    let described = bench.described(topic, id);
    assert_eq!(described.get(&to), Some(&(true, true)), "{described:?}");
    assert_eq!(described.get(&(1 - to)).map(|(is_future, _)| *is_future), Some(false));
    let folders = bench.folders(topic, id);
    assert_eq!((&folders[to][..], &folders[1 - to][..]), (&["future".to_owned()][..], &[String::new()][..]));
    traffic.goes_on(&mut bench.cluster, "the begin of a move").unwrap();
    let quicker = ["--execute", "--additional", "--replica-alter-log-dirs-throttle", FAST];
    let quicker = bench.reassign(&plan, &quicker);
    all += &bench.plain(&quicker, topic, id);
    let moved = bench.await_moved(&plan);
    assert_eq!(bench.places(topic, id).0, to);
    all += &moved.replace(topic, "NAME").replace(&format!("NAME-0-{id}"), "NAME-0-ID");
    let described = bench.described(topic, id);
    assert_eq!(described.get(&to).map(|(is_future, _)| *is_future), Some(false));
    assert_eq!(described.len(), 1, "{described:?}");
    // The old one goes after a minute.
    let folders = bench.folders(topic, id);
    assert_eq!(folders[to], [String::new()]);
    assert!(folders[1 - to].iter().all(|kind| kind == "delete"), "{folders:?}");
    // The original's own broker was seen to answer nothing more for a partition that it had moved under load.
    if kind == Ours {
        traffic.goes_on(&mut bench.cluster, "a move").unwrap();
        let account = traffic.account(&mut bench.cluster).unwrap();
        println!("broker {id}: {account:?}");
    }
    all
}

#[test]
fn a_move_is_told_of_and_made_as_the_original_makes_it() {
    let mut bench = Bench::start([Theirs, Ours]);
    let theirs = move_under_load(&mut bench, "from-the-jvm", 1, Theirs);
    let ours = move_under_load(&mut bench, "from-us-also", 2, Ours);
    assert_eq!(theirs, ours);
    assert!(theirs.contains("still in progress") && theirs.contains("completed successfully"), "{theirs}");
    comes_into_the_named_directory(&mut bench);
}

/// Replicas that come from another broker into the directory that is named, of two.
fn comes_into_the_named_directory(bench: &mut Bench) {
    let mut all = Vec::new();
    for (topic, from, to) in [("xa", 2, 1), ("xb", 1, 2)] {
        for dir in [0, 1] {
            let topic = &format!("{topic}{dir}");
            bench.cluster.create(topic, &[&[from]]).unwrap();
            let plan = bench.plan(topic, to, dir);
            let executed = bench.reassign_by_the_original(&plan, &[]);
            bench.await_moved(&plan);
            assert_eq!(bench.places(topic, to).0, dir, "{executed}");
            all.push((to, topic.clone(), executed));
        }
    }
    let plain = |bench: &Bench, (id, topic, said): &(usize, String, String)| {
        let first = said.lines().next().unwrap_or_default().to_owned();
        (first, bench.plain(said.lines().last().unwrap_or_default(), topic, *id))
    };
    assert_eq!(plain(bench, &all[0]), plain(bench, &all[2]));
}

/// A move that one begins and the other, which comes in its place, ends; with a stop in good order, or none.
fn taken_over(from: Kind, to: Kind) {
    let mut bench = Bench::start([Ours, from]);
    for (topic, is_killed) in [("stopped", false), ("killed", true)] {
        bench.fill(topic, 2);
        let before = bench.bytes(topic, 2);
        let (_, there) = bench.places(topic, 2);
        let plan = bench.plan(topic, 2, there);
        bench.reassign_by_the_original(&plan, &["--replica-alter-log-dirs-throttle", SLOWLY]);
        assert_eq!(bench.described(topic, 2).get(&there), Some(&(true, true)));
        bench.await_copied(topic, 2, there);
        if is_killed { bench.cluster.kill(2) } else { bench.cluster.stop(2) }.unwrap();
        bench.cluster.await_gone(2).unwrap();
        bench.cluster.start(2, to).unwrap();
        bench.cluster.await_brokers().unwrap();
        bench.cluster.await_in_sync(topic).unwrap();
        let described = bench.described(topic, 2);
        assert_eq!(described.get(&there), Some(&(true, true)), "{from:?} {to:?} {topic}: {described:?}");
        bench.reassign(&plan, &["--execute", "--additional", "--replica-alter-log-dirs-throttle", FAST]);
        bench.await_moved(&plan);
        assert_eq!(bench.places(topic, 2).0, there);
        assert!(bench.bytes(topic, 2) == before, "{from:?} {to:?} {topic}: other bytes");
        // The next one begins with who began this.
        bench.cluster.stop(2).unwrap();
        bench.cluster.await_gone(2).unwrap();
        bench.cluster.start(2, from).unwrap();
        bench.cluster.await_brokers().unwrap();
        bench.cluster.await_in_sync(topic).unwrap();
        assert!(bench.bytes(topic, 2) == before);
    }
}

#[test]
fn a_move_that_the_original_began_is_taken_over() {
    taken_over(Theirs, Ours);
}

#[test]
fn a_move_that_we_began_is_taken_over_by_the_original() {
    taken_over(Ours, Theirs);
}
