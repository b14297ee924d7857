//! The same history on a cluster of three originals and on one of ours, each with ZooKeeper of its own kind: topics made, grown, moved
//! and deleted, configs, a broker killed and back, the controller stopped and back, a group. In the end all znodes are equal, content,
//! versions, ACLs and ephemerality, and so is what is told of topics and of the group.

use std::fs;

use interop::{Cluster, Kind, OriginalTools, kafka_cli, python};
use regex_lite::Regex;

use Kind::{Ours, Theirs};

use crate::kafka_cluster::alone;

const LOG4J: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app/cli/src/install/files/tools-log4j.properties");
const TOPICS: &str = "kafka.admin.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const REASSIGN: &str = "kafka.admin.ReassignPartitionsCommand";
const GROUPS: &str = "kafka.admin.ConsumerGroupCommand";

struct History<'a> {
    cluster: Cluster,
    kind: Kind,
    tools: &'a mut OriginalTools,
}

impl<'a> History<'a> {
    fn begin(kind: Kind, tools: &'a mut OriginalTools) -> Self {
        let mut cluster = Cluster::new(3, &[kind], "").unwrap();
        cluster.start_all(&[kind; 3]).unwrap();
        Self { cluster, kind, tools }
    }

    /// What an original tool says; `SERVER` and `ZOOKEEPER` are the cluster's.
    fn tool(&mut self, class: &str, line: &str) -> String {
        let (server, zookeeper) = (self.cluster.server(1).unwrap(), self.cluster.zookeeper().hosts());
        let word = |word: &str| word.replace("SERVER", &server).replace("ZOOKEEPER", &zookeeper);
        let words: Vec<_> = line.split(' ').map(word).collect();
        self.tools.run(class, &words, b"").unwrap().success().unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn topics(&mut self, line: &str) -> String {
        self.tool(TOPICS, &format!("--bootstrap-server SERVER {line}"))
    }

    fn live(&mut self) {
        self.greets();
        self.makes_and_grows();
        self.configures();
        self.moves();
        self.loses_brokers();
        self.deletes();
        self.has_a_group();
    }

    /// The controller says that it has reached the others.
    fn greets(&self) {
        let log = self.cluster.log(1).unwrap();
        for id in [2, 3] {
            let server = self.cluster.server(id).unwrap();
            let line = format!(
                "INFO [RequestSendThread controllerId=1] Controller 1 connected to {server} (id: {id} rack: null) for sending state change \
                 requests (kafka.controller.RequestSendThread)"
            );
            assert!(log.contains(&line), "{line}");
        }
    }

    fn makes_and_grows(&mut self) {
        for (topic, assignment) in
            [("t", "1:2:3,2:3:1,3:1:2"), ("moved", "1:2,2:3"), ("gone", "1:2:3,2:3:1"), ("alone", "3")]
        {
            let configs = "--config retention.ms=1000000 --config min.insync.replicas=1";
            self.topics(&format!("--create --topic {topic} --replica-assignment {assignment} {configs}"));
            self.cluster.await_in_sync(topic).unwrap();
        }
        self.topics("--alter --topic t --partitions 5 --replica-assignment 1:2:3,2:3:1,3:1:2,1:3:2,2:1:3");
        self.cluster.await_in_sync("t").unwrap();
    }

    fn configures(&mut self) {
        for line in [
            "--entity-type topics --entity-name t --alter --add-config flush.ms=7,retention.ms=2000000",
            "--entity-type topics --entity-name t --alter --delete-config retention.ms",
            "--entity-type brokers --entity-default --alter --add-config log.cleaner.threads=2",
            "--entity-type brokers --entity-name 2 --alter --add-config message.max.bytes=900000",
            "--entity-type brokers --entity-name 2 --alter --delete-config message.max.bytes",
        ] {
            self.tool(CONFIGS, &format!("--bootstrap-server SERVER {line}"));
        }
    }

    /// One replica more at a time: two may come into the ISR together or one after the other.
    fn moves(&mut self) {
        let plans = [
            ("--bootstrap-server SERVER", r#"{"topic":"moved","partition":0,"replicas":[1,3]}"#),
            ("--zookeeper ZOOKEEPER", r#"{"topic":"moved","partition":1,"replicas":[3,1]}"#),
            ("--bootstrap-server SERVER", r#"{"topic":"alone","partition":0,"replicas":[2]}"#),
        ];
        for (where_to, plan) in plans {
            let path = self.cluster.path("plan.json");
            fs::write(&path, format!(r#"{{"version":1,"partitions":[{plan}]}}"#)).unwrap();
            let file = format!("--reassignment-json-file {}", path.display());
            self.tool(REASSIGN, &format!("{where_to} {file} --execute --throttle 10000000"));
            let moves = |cluster: &Cluster| {
                let topics =
                    ["moved", "alone"].map(|topic| cluster.znodes()?.json(&format!("/brokers/topics/{topic}")));
                let asked = cluster.znodes()?.children("/admin")?.contains(&"reassign_partitions".to_owned());
                let is_going = |node: &serde_json::Value| node["adding_replicas"] != serde_json::json!({});
                let topics = topics.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
                Ok(!asked && !topics.iter().flatten().any(is_going))
            };
            self.cluster.wait("a reassignment", moves).unwrap();
            self.cluster.await_all_in_sync().unwrap();
            self.tool(REASSIGN, &format!("{where_to} {file} --verify"));
        }
    }

    fn loses_brokers(&mut self) {
        for (id, end) in [(3, Cluster::kill as fn(&mut Cluster, usize) -> anyhow::Result<()>), (1, Cluster::stop)] {
            end(&mut self.cluster, id).unwrap();
            self.cluster.await_gone(id).unwrap();
            self.cluster.await_brokers().unwrap();
            for (topic, partitions) in [("t", 5), ("moved", 2)] {
                for partition in 0..partitions {
                    let without = |cluster: &Cluster| {
                        let isr = cluster.state(topic, partition)?["isr"].clone();
                        Ok(isr.as_array().is_some_and(|isr| !isr.contains(&id.into())))
                    };
                    self.cluster.wait("ISRs without a broker that is gone", without).unwrap();
                }
            }
            self.cluster.start(id, self.kind).unwrap();
            self.cluster.await_brokers().unwrap();
            self.cluster.await_all_in_sync().unwrap();
            self.cluster.elect_preferred("t").unwrap();
        }
    }

    fn deletes(&mut self) {
        self.topics("--delete --topic gone");
        let is_gone = |cluster: &Cluster| Ok(!cluster.topics()?.contains(&"gone".to_owned()));
        self.cluster.wait("a topic to be deleted", is_gone).unwrap();
        self.topics("--create --topic gone --replica-assignment 2:3");
        self.cluster.await_in_sync("gone").unwrap();
    }

    fn has_a_group(&mut self) {
        let servers = self.cluster.servers();
        let records: String = (0..30).map(|number| format!("{number}\n")).collect();
        let arguments = ["-P", "-b", &servers, "-t", "t", "-p", "0", "-X", "acks=all"];
        kafka_cli(&arguments, records.as_bytes()).unwrap().success().unwrap();
        let arguments = ["-b", &servers, "-G", "readers", "-X", "auto.offset.reset=earliest", "-c", "30", "-q", "t"];
        let read = kafka_cli(&arguments, b"").unwrap().success().unwrap();
        assert_eq!(read.lines().count(), 30);
        self.cluster.await_in_sync("__consumer_offsets").unwrap();
    }

    /// What the original tools tell of it.
    fn told(&mut self) -> String {
        let mut told = String::new();
        for topic in ["t", "moved", "alone", "gone"] {
            told += &self.topics(&format!("--describe --topic {topic}"));
        }
        for line in ["--list", "--describe --group readers --offsets", "--describe --group readers --state"] {
            told += &self.tool(GROUPS, &format!("--bootstrap-server SERVER {line}"));
        }
        for entity in ["topics --entity-name t", "brokers --entity-default"] {
            told += &self.tool(CONFIGS, &format!("--bootstrap-server SERVER --describe --entity-type {entity}"));
        }
        // A group's coordinator is where its partition of a topic happens to be led.
        let coordinator = Regex::new(r"127\.\d+\.\d+\.\d+:\d+ +\(\d\)").unwrap();
        plain(&coordinator.replace_all(&told, "COORDINATOR"))
    }
}

/// Without the widths of columns, and with a topic's configs in order.
fn plain(told: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = told.lines().map(|line| match line.split_once("Configs: ") {
        Some((head, configs)) => {
            let mut configs: Vec<_> = configs.split(',').collect();
            configs.sort_unstable();
            format!("{} Configs: {}\n", words(head), configs.join(","))
        }
        None => words(line) + "\n",
    });
    lines.collect()
}

#[test]
fn a_history_of_ours_leaves_the_znodes_that_the_originals_leave() {
    let _alone = alone();
    let mut tools = [(); 2].map(|()| OriginalTools::start(LOG4J.as_ref()).unwrap());
    let [first, second] = &mut tools;
    let mut histories = [History::begin(Ours, first), History::begin(Theirs, second)];
    histories.iter_mut().for_each(History::live);
    let [ours, theirs] = histories.each_mut().map(|history| history.cluster.zookeeper().hosts());
    let output = python("kafka_znodes.py", &[&ours, &theirs]).unwrap();
    assert!(output.stdout.contains("znodes equal"), "{}\n{}", output.stdout, output.stderr);
    let [ours, theirs] = histories.each_mut().map(History::told);
    assert_eq!(ours, theirs);
}
