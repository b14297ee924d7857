//! The list of servers changes while the ensemble serves: joiners and leavers, other parts and ports, the leader that is left
//! out. Ours, the original's and mixed ensembles go through the same story and tell the same.

use interop::{Ensemble, Kind, python};

use Kind::{Ours, Theirs};

const SCRIPT: &str = "zookeeper_reconfig.py";
/// `super:test`: the list may be written by nobody else.
const SUPER: &str = "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

struct Story {
    ensemble: Ensemble,
    kinds: [Kind; 4],
    told: Vec<String>,
}

impl Story {
    /// Servers 1 to 3, of which the last leads, and 4, which wants to join. A leader hears of the end of links alone: nothing is
    /// decided by silence.
    fn new(kinds: [Kind; 4]) -> Self {
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
        let mut story = Self { ensemble, kinds, told: Vec::new() };
        story.start(3);
        story.start(2);
        assert_eq!(story.ensemble.await_leader().unwrap(), 3, "{kinds:?}");
        story.start(1);
        assert_eq!(story.ensemble.await_leader().unwrap(), 3, "{kinds:?}");
        story
    }

    fn start(&mut self, id: usize) {
        self.ensemble.start_with(id, self.kinds[id - 1], &[SUPER]).unwrap();
    }

    /// What a script says, with the addresses of the run by number.
    fn run(&self, arguments: &[&str]) -> String {
        let finished = python(SCRIPT, arguments).unwrap();
        let said = finished.success();
        let mut said = said.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.ensemble.log_ends()));
        for id in 1..=4 {
            said = said.replace(self.host(id), &format!("host{id}"));
        }
        said
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
        let mut kept = std::fs::read_to_string(path).unwrap().replace('\n', " ");
        for id in 1..=4 {
            kept = kept.replace(self.host(id), &format!("host{id}"));
        }
        assert_eq!(kept, list.trim_end(), "server {id}");
        assert!(!zoo_cfg.contains("server.") && !zoo_cfg.contains("clientPort"), "{zoo_cfg}");
        assert!(zoo_cfg.contains("reconfigEnabled=true") && zoo_cfg.contains("tickTime=500"), "{zoo_cfg}");
        assert!(self.ensemble.file(id, "zoo.cfg.dynamic.next").is_err(), "server {id} waits for a list");
        let before = self.ensemble.file(id, "zoo.cfg.bak").unwrap();
        assert!(before.contains("server.1="), "{before}");
    }
}

fn story(kinds: [Kind; 4]) -> Vec<String> {
    let mut story = Story::new(kinds);
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
