//! Bad input to clusters: brokers that must not join, znodes with what nobody should write, requests of controllers and leaders that
//! are none any more, logs that were cut and torn. Three brokers of the original and three of ours, each kind with its own ZooKeeper, say
//! the same to all of it, and serve behind each.

mod logs;
mod moves;
mod nodes;
mod requests;
mod starts;

use std::fmt::Debug;

use interop::{Cluster, Kind};
use regex_lite::Regex;

use crate::kafka_cluster::alone;

/// The broker that is laid out beside the three, to be started as what must not join.
const MISFIT: usize = 4;
/// The topic that is there from the beginning, and stays.
const TOPIC: &str = "t";
const PARTITIONS: [&[usize]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];

/// A cluster of one kind, and what it has said so far.
struct Session {
    cluster: Cluster,
    kind: Kind,
    /// What differs from run to run.
    masks: Vec<(Regex, &'static str)>,
    lines: Vec<String>,
    /// Topics made to see that it serves.
    made: usize,
}

impl Session {
    fn start(kind: Kind) -> Self {
        let mut cluster = Cluster::new(MISFIT, &[kind], "").unwrap();
        for id in 1..MISFIT {
            cluster.start(id, kind).unwrap();
            cluster.await_brokers().unwrap();
        }
        cluster.create(TOPIC, &PARTITIONS).unwrap();
        let masks = [
            (r"0x[0-9a-f]+", "0xID"),
            (r"'[0-9]{12,}'", "'ID'"),
            (r"\b127\.\d+\.\d+\.\d+\b", "ADDRESS"),
            (r"/[^ ,]*/logs/", "DIRS/"),
            (r"throttle_time_ms: \d+", "throttle_time_ms: N"),
            (r"Cluster ID [\w-]+", "Cluster ID ID"),
            (r"clusterId=[\w-]+", "clusterId=ID"),
        ];
        let masks = masks.map(|(pattern, word)| (Regex::new(pattern).unwrap(), word)).into();
        Self { cluster, kind, masks, lines: Vec::new(), made: 0 }
    }

    fn note(&mut self, what: &str, said: impl Debug) {
        let mut line = format!("{what}: {said:?}");
        for (regex, word) in &self.masks {
            line = regex.replace_all(&line, *word).into_owned();
        }
        self.lines.push(line);
    }

    /// The controller has done all that it was given before, and all brokers have what it told them.
    fn serves(&mut self, after: &str) {
        self.made += 1;
        let name = format!("made-{}", self.made);
        self.cluster.create(&name, &[&[1, 2, 3]]).unwrap_or_else(|error| panic!("after {after}: {error:#}"));
    }
}

#[test]
fn bad_input_is_met_alike_by_clusters() {
    let _alone = alone();
    let [theirs, ours] = [Kind::Theirs, Kind::Ours].map(|kind| {
        let mut session = Session::start(kind);
        for part in [starts::script, logs::script, requests::script, moves::script, nodes::script] {
            part(&mut session);
        }
        session.lines
    });
    let text = differing(&theirs, &ours);
    assert!(text.is_empty(), "of {} answers these differ:\n{text}", theirs.len());
}

/// Both say their lines under the same heads, each as often as it was heard.
fn differing(theirs: &[String], ours: &[String]) -> String {
    let only = |lines: &[String], others: &[String], whose: &str| -> String {
        let alone = lines.iter().filter(|line| !others.contains(line) && !is_on_purpose(line));
        alone.map(|line| format!("{whose} {line}\n")).collect()
    };
    only(theirs, ours, "theirs") + &only(ours, theirs, "ours  ")
}

/// What is said otherwise on purpose.
const ON_PURPOSE: [&str; 1] = [
    // What can't be read is taken away, or it would be in the way for ever.
    "garbage at /admin/preferred_replica_election ",
];

fn is_on_purpose(line: &str) -> bool {
    ON_PURPOSE.iter().any(|part| line.starts_with(part))
}
