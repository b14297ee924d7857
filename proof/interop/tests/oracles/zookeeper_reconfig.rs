//! The list of servers changes while the ensemble serves: joiners and leavers, other parts and ports, the leader that is left
//! out. Ours, the original's and mixed ensembles go through the same story and tell the same.

use std::process::Command;

use interop::{Ensemble, Kind, OriginalTools, binary, python, run};

use Kind::{Ours, Theirs};

/// How the originals' tools log.
const LOG4J: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../app/cli/src/install/files/tools-log4j.properties");
const SCRIPT: &str = "zookeeper_reconfig.py";
/// `super:test`: the list may be written by nobody else.
const SUPER: &str = "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// Whoever asks may write the list.
const NO_ACLS: &str = "-Dzookeeper.skipACL=yes";

struct Story {
    ensemble: Ensemble,
    kinds: [Kind; 4],
    properties: &'static [&'static str],
    told: Vec<String>,
}

impl Story {
    /// Servers 1 to 3, of which the last leads, and 4, which wants to join. A leader hears of the end of links alone: nothing is
    /// decided by silence.
    fn new(kinds: [Kind; 4], properties: &'static [&'static str]) -> Self {
        let ensemble = Ensemble::new(4, "reconfigEnabled=true\nsyncLimit=200\n").unwrap();
        for id in 1..=4 {
            let is_listed = |line: &&str| {
                !(line.starts_with("clientPort") || id < 4 && line.starts_with("server.4=") || *line == "syncLimit=6")
            };
            let with_clients = |line: &str| match line.split_once('=') {
                Some((name, address)) if name.starts_with("server.") => {
                    let (host, _) = address.split_once(':').unwrap();
                    let part = if name == "server.4" { "observer" } else { "participant" };
                    format!("{name}={address}:{part};{host}:2181\n")
                }
                _ => format!("{line}\n"),
            };
            ensemble.rewrite(id, |text| text.lines().filter(is_listed).map(with_clients).collect()).unwrap();
        }
        let mut story = Self { ensemble, kinds, properties, told: Vec::new() };
        story.start(3);
        story.start(2);
        assert_eq!(story.ensemble.await_leader().unwrap(), 3, "{kinds:?}");
        story.start(1);
        assert_eq!(story.ensemble.await_leader().unwrap(), 3, "{kinds:?}");
        story
    }

    fn start(&mut self, id: usize) {
        self.ensemble.start_with(id, self.kinds[id - 1], self.properties).unwrap();
    }

    /// What a script says, with the addresses of the run by number.
    fn run(&self, arguments: &[&str]) -> String {
        let finished = python(SCRIPT, arguments).unwrap();
        let said = finished.success();
        self.by_number(&said.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.ensemble.log_ends())))
    }

    fn by_number(&self, said: &str) -> String {
        (1..=4).fold(said.to_owned(), |said, id| said.replace(self.host(id), &format!("host{id}")))
    }

    fn host(&self, id: usize) -> &str {
        self.ensemble.address(id).unwrap()
    }

    /// A server's line.
    fn line(&self, id: usize, ports: &str, part: &str) -> String {
        let host = self.host(id);
        format!("server.{id}={host}:{ports}:{part};{host}:2181")
    }

    /// One change, asked for at a server; then all servers tell the new list, and one of them leads.
    fn changes(&mut self, at: usize, joining: &str, leaving: &str, members: &str) -> usize {
        let host = self.ensemble.host(at).unwrap();
        let said = self.run(&["reconfig", &host, joining, leaving, members, "-"]);
        self.told.push(said.clone());
        self.all_tell(&said)
    }

    fn all_tell(&mut self, list: &str) -> usize {
        let leader = self.ensemble.await_leader().unwrap();
        let hosts = self.ensemble.hosts();
        let arguments: Vec<&str> = std::iter::once("lists").chain(hosts.split(',')).collect();
        assert_eq!(self.run(&arguments), list);
        self.ensemble.await_leader().unwrap();
        leader
    }

    /// A server's `zoo.cfg` points to a file with this list, and nothing waits.
    fn keeps(&self, id: usize, list: &str) {
        let zoo_cfg = self.ensemble.file(id, "zoo.cfg").unwrap();
        let path = zoo_cfg.lines().find_map(|line| line.strip_prefix("dynamicConfigFile=")).unwrap();
        let kept = self.by_number(&std::fs::read_to_string(path).unwrap().replace('\n', " "));
        assert_eq!(kept, list.trim_end(), "server {id}");
        assert!(!zoo_cfg.contains("server.") && !zoo_cfg.contains("clientPort"), "{zoo_cfg}");
        assert!(zoo_cfg.contains("reconfigEnabled=true") && zoo_cfg.contains("tickTime=500"), "{zoo_cfg}");
        assert!(self.ensemble.file(id, "zoo.cfg.dynamic.next").is_err(), "server {id} waits for a list");
        let before = self.ensemble.file(id, "zoo.cfg.bak").unwrap();
        assert!(before.contains("server.1="), "{before}");
    }
}

fn story(kinds: [Kind; 4]) -> Vec<String> {
    let mut story = Story::new(kinds, &[SUPER]);
    story.start(4);
    assert_eq!(story.ensemble.await_leader().unwrap(), 3, "a joiner follows");

    let joins = story.line(4, "2888:3888", "participant");
    assert_eq!(story.changes(1, &joins, "-", "-"), 3);
    let refused = story.run(&["refusals", &story.ensemble.host(2).unwrap()]);
    story.told.push(refused);

    let leader = story.changes(1, "-", "3", "-");
    assert_ne!(leader, 3, "the leader leaves, and another one leads");
    let back = story.line(3, "2888:3888", "observer");
    assert_eq!(story.changes(3, &back, "-", "-"), leader);
    let other = if leader == 2 { 1 } else { 2 };
    let moved = story.line(other, "2898:3898", "participant");
    assert_eq!(story.changes(3, &moved, "-", "-"), leader, "server {other} listens elsewhere");
    let third = story.line(3, "2888:3888", "participant");
    let members = [story.line(leader, "2888:3888", "participant"), moved, third].join(",");
    assert_eq!(story.changes(leader, "-", "-", &members), leader, "all in one: one comes back with a vote, one leaves");
    let list = story.told.last().unwrap().clone();
    for id in [leader, other, 3] {
        story.keeps(id, &list);
    }

    // Killed and started again, they go by what they kept.
    for id in 1..=4 {
        story.ensemble.kill(id).unwrap();
    }
    for id in [leader, other, 3] {
        story.start(id);
    }
    story.all_tell(&list);
    // Which server the choice fell on is no part of the story.
    let left = (1..=4).find(|id| ![leader, other, 3].contains(id)).unwrap();
    let mut told = story.told.join("");
    for (id, name) in [(leader, "leader"), (other, "other"), (left, "left")] {
        told = told.replace(&format!("host{id}"), name).replace(&format!("server.{id}="), &format!("server.{name}="));
    }
    told.lines().map(sorted).collect()
}

/// The servers of a list in an order of their own.
fn sorted(line: &str) -> String {
    if !line.starts_with("server.") {
        return line.to_owned();
    }
    let mut servers: Vec<&str> = line.split(' ').collect();
    servers.sort_unstable();
    servers.join(" ")
}

#[test]
fn ours_change_their_list_as_the_originals_do() {
    let theirs = story([Theirs; 4]);
    assert!(theirs.iter().any(|line| line == "no quorum: NewConfigNoQuorumError"), "{theirs:#?}");
    assert_eq!(story([Ours; 4]), theirs);
}

#[test]
fn a_mixed_ensemble_changes_its_list() {
    let led_by_ours = story([Theirs, Ours, Ours, Theirs]);
    assert_eq!(story([Ours, Theirs, Theirs, Ours]), led_by_ours);
}

/// What `zkCli` is asked for at server 3, the leader, which stays in the list. `JOIN1` and `JOIN4` stand for lines of servers, `WHOLE`
/// for the lines of the first three, `FILE` for a file with those of the last three, `NOW` for the version of the list.
const COMMANDS: [&str; 18] = [
    "config",
    "config -s",
    "config -c",
    "config -w",
    "reconfig -add JOIN4",
    "config -c",
    "reconfig -s -remove 4",
    "reconfig -remove 1 -add JOIN4",
    "reconfig -members WHOLE",
    "reconfig -file FILE -s",
    "reconfig -v NOW -add JOIN1",
    "reconfig -v 1 -remove 1",
    "reconfig -v NOW -s -remove 1,4",
    "reconfig -add JOIN1,JOIN4",
    "reconfig -remove 9",
    "reconfig -file NONE",
    "reconfig -members WHOLE -v 1",
    "config -s",
];

/// What the tools of this kind say to an ensemble of this kind.
fn told_by_the_tools(kind: Kind) -> String {
    let mut story = Story::new([kind; 4], &[NO_ACLS]);
    story.start(4);
    assert_eq!(story.ensemble.await_leader().unwrap(), 3);
    let line = |id| story.line(id, "2888:3888", "participant");
    let file = story.ensemble.path("members");
    std::fs::write(&file, [2, 3, 4].map(line).join("\n")).unwrap();
    let file = file.display().to_string();
    let meanings = [("JOIN1", line(1)), ("JOIN4", line(4)), ("WHOLE", [1, 2, 3].map(line).join(",")), ("FILE", file)];
    let mut originals = (kind == Theirs).then(|| OriginalTools::start(LOG4J.as_ref()).unwrap());
    let (mut told, mut version) = (String::new(), "none".to_owned());
    for command in COMMANDS {
        let words = meanings.iter().fold(command.to_owned(), |words, (name, meaning)| words.replace(name, meaning));
        let words = format!("-server {} {}", story.ensemble.host(3).unwrap(), words.replace("NOW", &version));
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let finished = match &mut originals {
            Some(originals) => originals.run("org.apache.zookeeper.ZooKeeperMain", &words, b"").unwrap(),
            None => run(Command::new(binary()).arg("zkCli").args(&words), b"").unwrap(),
        };
        if let Some((_, told)) = finished.stdout.rsplit_once("\nversion=") {
            version = told.lines().next().unwrap().to_owned();
        }
        let said = format!("{}{}exit {}\n", finished.stdout, finished.stderr, finished.code);
        told.push_str(&format!("> {command}\n{}", plain(&story.by_number(&said), &version)));
        story.ensemble.await_leader().unwrap();
    }
    told
}

/// Without times, the connection's own events, and numbers that differ from run to run. The original tells the addresses of clients in
/// the order of hashes.
fn plain(said: &str, version: &str) -> String {
    let is_event = |line: &&str| line.is_empty() || line.starts_with("WATCHER::") || line.starts_with("WatchedEvent ");
    let line = |line: &str| match line.split_once(" = ") {
        Some((name @ ("ctime" | "mtime" | "dataLength"), _)) => format!("{name} = N\n"),
        _ => match line.split_once(" host") {
            Some((version, hosts)) => {
                let mut hosts: Vec<&str> = hosts.split(",host").collect();
                hosts.sort_unstable();
                format!("{version} host{}\n", hosts.join(",host"))
            }
            None => {
                line.replace(&format!("version={version}"), "version=V").replace(&format!("0x{version}"), "0xV") + "\n"
            }
        },
    };
    said.lines().filter(|line| !is_event(line)).map(line).collect()
}

#[test]
fn zkcli_tells_and_changes_the_list_as_the_original_does() {
    let (ours, theirs) = (told_by_the_tools(Ours), told_by_the_tools(Theirs));
    assert_eq!(theirs.matches("Committed new configuration:").count(), 9, "{theirs}");
    assert_eq!(ours, theirs);
}
