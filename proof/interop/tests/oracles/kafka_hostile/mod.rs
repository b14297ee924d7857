//! Hostile requests, at every version, to a JVM broker and to ours: fields that no client fills so, and bodies that are none. The answers,
//! or that the connection is closed instead, are equal but for ids, times, ports and folders.

mod bodies;
mod configs;
mod data;
mod groups;
mod history;
mod tidy;
mod topics;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use kafka_proto::Request;

use crate::kafka_side::{Client, Side, versions};
use tidy::Tidy;

/// An answer that comes at all comes within this time.
const PATIENCE: Duration = Duration::from_secs(3);

/// The requests to one side, and what came of them.
struct Session<'a> {
    side: &'a Side,
    client: Client,
    lines: Vec<String>,
}

impl<'a> Session<'a> {
    fn new(side: &'a Side) -> Self {
        Self { side, client: side.connect_with(PATIENCE), lines: Vec::new() }
    }

    /// Asks at each version that can say it.
    fn ask<R: Request>(&mut self, what: &str, request: &R)
    where
        R::Response: Tidy,
    {
        for version in versions::<R>() {
            self.ask_at(what, version, request);
        }
    }

    /// Asks at each version, with a request of its own.
    fn ask_each<R: Request>(&mut self, what: &str, request: impl Fn(i16) -> R)
    where
        R::Response: Tidy,
    {
        for version in versions::<R>() {
            self.ask_at(what, version, &request(version));
        }
    }

    fn ask_at<R: Request>(&mut self, what: &str, version: i16, request: &R) -> Option<R::Response>
    where
        R::Response: Tidy,
    {
        match self.client.try_ask(request, version) {
            Ok(mut response) => {
                response.tidy();
                self.note(what, R::KEY, version, &format!("{response:?}"));
                Some(response)
            }
            Err(why) => {
                self.note(what, R::KEY, version, &why);
                self.client = self.side.connect_with(PATIENCE);
                None
            }
        }
    }

    fn note(&mut self, what: &str, key: impl Debug, version: i16, answer: &str) {
        self.lines.push(format!("{key:?} v{version} {what}: {}", self.side.plain(answer)));
    }
}

#[test]
fn hostile_requests_are_answered_alike() {
    let sides = [Side::start(false), Side::start(true)];
    let [theirs, ours] = sides.each_ref().map(|side| {
        let mut session = Session::new(side);
        for part in [history::script, data::script, topics::script, configs::script, groups::script, bodies::script] {
            part(&mut session);
        }
        session.lines
    });
    assert_equal(&theirs, &ours);
}

/// What is answered otherwise on purpose, as docs/compatibility.md has it: the API and the request.
const ON_PURPOSE: [(&str, &str); 24] = [
    // Named twice: done and answered twice. The original takes the last mention, or never answers.
    ("Produce", "twice"),
    ("Fetch", "twice"),
    ("OffsetForLeaderEpoch", "a topic twice"),
    ("DeleteRecords", "twice"),
    ("OffsetCommit", "twice"),
    ("OffsetDelete", "\"t\" 0 of \"alive\""),
    ("AlterConfigs", "a resource twice"),
    ("IncrementalAlterConfigs", "a resource twice"),
    ("JoinGroup", "a protocol twice"),
    // Not padded to the size of what it was converted from.
    ("Fetch", "offset 9"),
    // Stricter: text is UTF-8, a count fits what is left.
    ("LeaveGroup", "one null"),
    ("ListGroups", "as many, flexible"),
    // Told what is wrong, where the original fails by accident.
    ("CreatePartitions", "of \"\""),
    ("CreatePartitions", "of \"..\""),
    ("AlterConfigs", ", None)"),
    ("AlterConfigs", "(\"log.cleaner.threads\", Some(\"0\"))"),
    ("IncrementalAlterConfigs", "(2, \"\")"),
    ("IncrementalAlterConfigs", "(2, \"..\")"),
    ("IncrementalAlterConfigs", "\"log.cleaner.threads\" 0 Some(\"0\")"),
    ("IncrementalAlterConfigs", "\"no.such.key\""),
    ("IncrementalAlterConfigs", "\"\" 2"),
    ("IncrementalAlterConfigs", "\"\" 3"),
    ("IncrementalAlterConfigs", "listener.name.none"),
    ("IncrementalAlterConfigs", "operation "),
];

fn assert_equal(theirs: &[String], ours: &[String]) {
    assert_eq!(theirs.len(), ours.len());
    let is_of = |line: &str, (key, what): (&str, &str)| line.starts_with(&format!("{key} ")) && line.contains(what);
    let (mut told, mut met) = (Vec::new(), BTreeSet::new());
    for (theirs, ours) in theirs.iter().zip(ours).filter(|(theirs, ours)| theirs != ours) {
        match ON_PURPOSE.into_iter().find(|one| is_of(theirs, *one)) {
            Some(one) => drop(met.insert(one)),
            None => told.push(format!("theirs: {theirs}\nours:   {ours}\n")),
        }
    }
    assert!(told.is_empty(), "{} of {} answers differ:\n{}", told.len(), ours.len(), told.join("\n"));
    let unmet: Vec<_> = ON_PURPOSE.into_iter().filter(|one| !met.contains(one)).collect();
    assert!(unmet.is_empty(), "answered alike after all: {unmet:?}");
}
