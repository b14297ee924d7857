//! Ensembles of ours and of the JVM original, mixed: either leads, either is synchronised by the other in every way, and one
//! is replaced by the other, server by server, under load.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use interop::{Ensemble, Kind, Load, python, python_command};

use Kind::{Ours, Theirs};

const SCRIPT: &str = "zookeeper_ensemble.py";

fn script(ensemble: &Ensemble, arguments: &[&str]) -> String {
    let finished = python(SCRIPT, arguments).unwrap();
    finished.success().unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", ensemble.log_ends()))
}

/// An ensemble in which server 3 leads: it and server 2 are first.
fn led_by_the_last(kinds: [Kind; 3], lines: &str) -> Ensemble {
    let mut ensemble = Ensemble::new(3, lines).unwrap();
    start_led_by_the_last(&mut ensemble, kinds);
    ensemble
}

pub(crate) fn start_led_by_the_last(ensemble: &mut Ensemble, kinds: [Kind; 3]) {
    for id in [3, 2] {
        ensemble.start(id, kinds[id - 1]).unwrap();
    }
    assert_eq!(ensemble.await_leader().unwrap(), 3, "{kinds:?}");
    ensemble.start(1, kinds[0]).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), 3, "{kinds:?}");
}

/// Writes through each server that runs; all of them must tell what was written so far.
pub(crate) fn through_each(ensemble: &Ensemble, tag: &str, written: &mut Vec<String>) {
    let hosts = ensemble.hosts();
    written.extend((0..hosts.split(',').count()).map(|number| format!("{tag}-{number}")));
    written.sort();
    let told = script(ensemble, &["through", &hosts, "/through", tag]);
    assert_eq!(told.trim(), written.join(" "));
}

/// Starts, elects, serves through each; the leader is killed, the others go on; it comes back and has what was written
/// without it; all are killed, and come back with everything.
fn lives_through_crashes(kinds: [Kind; 3]) {
    let mut written = Vec::new();
    let mut ensemble = led_by_the_last(kinds, "");
    through_each(&ensemble, "start", &mut written);
    ensemble.kill(3).unwrap();
    let leader = ensemble.await_leader().unwrap();
    assert!(leader < 3);
    through_each(&ensemble, "without", &mut written);
    ensemble.start(3, kinds[2]).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), leader, "{kinds:?}: a leader that is followed stays");
    through_each(&ensemble, "back", &mut written);
    script(&ensemble, &["dump", &ensemble.hosts()]);
    for id in 1..=3 {
        ensemble.kill(id).unwrap();
    }
    for id in 1..=3 {
        ensemble.start(id, kinds[id - 1]).unwrap();
    }
    ensemble.await_leader().unwrap();
    through_each(&ensemble, "again", &mut written);
    script(&ensemble, &["dump", &ensemble.hosts()]);
}

#[test]
fn three_of_ours_live_through_crashes() {
    lives_through_crashes([Ours, Ours, Ours]);
}

#[test]
fn two_of_ours_and_an_original_live_through_crashes() {
    for kinds in [[Ours, Ours, Theirs], [Ours, Theirs, Ours], [Theirs, Ours, Ours]] {
        lives_through_crashes(kinds);
    }
}

#[test]
fn one_of_ours_and_two_originals_live_through_crashes() {
    for kinds in [[Theirs, Theirs, Ours], [Theirs, Ours, Theirs], [Ours, Theirs, Theirs]] {
        lives_through_crashes(kinds);
    }
}

/// How a leader of one kind brings a learner of the other up to date; the learner tells in its log, in the same words.
fn synchronises(leading: Kind, learning: Kind) {
    // The leader must not miss those who are frozen, however busy the machine.
    let mut ensemble = led_by_the_last([leading, leading, learning], "syncLimit=60\n");
    script(&ensemble, &["write", &ensemble.hosts(), "/common", "20"]);

    // What server 3, the leader, has logged alone is not decided; the others go on without it.
    let mut sender = python_command(SCRIPT).unwrap();
    sender.args(["send", &ensemble.host(3).unwrap(), "/common", "21"]);
    let mut sender = sender.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(BufReader::new(sender.stdout.take().unwrap()).lines().next().unwrap().unwrap(), "connected");
    for id in [1, 2] {
        ensemble.freeze(id).unwrap();
    }
    let mut orders = sender.stdin.take().unwrap();
    orders.write_all(b"send\n").unwrap();
    ensemble.wait("server 3 to log what it proposes", |ensemble| ensemble.has_logged(3, b"/common/000020")).unwrap();
    for id in [3, 1, 2] {
        ensemble.kill(id).unwrap();
    }
    drop(orders);
    sender.wait().unwrap();
    for id in [1, 2] {
        assert!(!ensemble.has_logged(id, b"/common/000020").unwrap(), "server {id} was frozen and has logged");
        ensemble.start(id, leading).unwrap();
    }
    let leader = ensemble.await_leader().unwrap();

    // Back: first with what only it has, then without what was written while it was away.
    for (mode, writes) in [("TRUNC", 0), ("DIFF", 30)] {
        if writes > 0 {
            ensemble.kill(3).unwrap();
            script(&ensemble, &["write", &ensemble.hosts(), "/DIFF", &writes.to_string()]);
        }
        assert_eq!(joins(&mut ensemble, 3, learning), (leader, mode), "{leading:?} leads");
    }
}

/// A leader of one kind gives a learner of the other its whole tree, at the first start and behind many writes.
fn gives_its_tree(leading: Kind, learning: Kind) {
    let mut ensemble = Ensemble::new(3, "forceSnapshotSync=true\n").unwrap();
    for id in [3, 2] {
        ensemble.start(id, leading).unwrap();
    }
    assert_eq!(ensemble.await_leader().unwrap(), 3);
    script(&ensemble, &["write", &ensemble.hosts(), "/first", "50"]);
    assert_eq!(joins(&mut ensemble, 1, learning), (3, "SNAP"), "{leading:?} leads");
    ensemble.kill(1).unwrap();
    script(&ensemble, &["write", &ensemble.hosts(), "/second", "1500"]);
    assert_eq!(joins(&mut ensemble, 1, learning), (3, "SNAP"), "{leading:?} leads");
}

/// Starts a member; whom it follows and how it was synchronised, once it has the same tree as the others.
fn joins(ensemble: &mut Ensemble, id: usize, kind: Kind) -> (usize, &'static str) {
    let before = ensemble.log(id).map_or(0, |log| log.len());
    ensemble.start(id, kind).unwrap();
    let leader = ensemble.await_leader().unwrap();
    script(ensemble, &["dump", &ensemble.hosts()]);
    let log = ensemble.log(id).unwrap().split_off(before);
    let said = |words| log.contains(words);
    let mode = if said("Truncating log to get in sync with the leader ") {
        "TRUNC"
    } else if said("Getting a snapshot from leader ") {
        "SNAP"
    } else {
        // The usual way, of which ours says nothing.
        assert!(kind == Ours || said("Getting a diff from the leader "), "{log}");
        "DIFF"
    };
    (leader, mode)
}

#[test]
fn an_original_is_synchronised_by_ours() {
    synchronises(Ours, Theirs);
    gives_its_tree(Ours, Theirs);
}

#[test]
fn ours_is_synchronised_by_an_original() {
    synchronises(Theirs, Ours);
    gives_its_tree(Theirs, Ours);
}

/// Each server in turn is stopped and goes on as the other kind on the same data, under load; then back again.
#[test]
fn originals_are_replaced_by_ours_and_back_under_load() {
    let mut ensemble = led_by_the_last([Theirs; 3], "");
    let load = Load::begin(&ensemble, 10).unwrap();
    for kind in [Ours, Theirs] {
        // The leader is the last of them, once in each round.
        for id in 1..=3 {
            ensemble.stop(id).unwrap();
            ensemble.start(id, kind).unwrap();
            ensemble.await_leader().unwrap();
            load.goes_on(&mut ensemble, "writes behind a replacement").unwrap();
        }
    }
    load.account(&ensemble).unwrap();
}

/// A member that the others have left serves reads, as long as there is no leader.
fn reads_alone(kind: Kind) -> String {
    let mut ensemble = Ensemble::new(3, "").unwrap();
    for id in [1, 2] {
        ensemble.start_with(id, kind, &["-Dreadonlymode.enabled=true"]).unwrap();
    }
    ensemble.await_leader().unwrap();
    script(&ensemble, &["write", &ensemble.hosts(), "/kept", "3"]);
    ensemble.kill(2).unwrap();
    let host = ensemble.host(1).unwrap();
    let mut told = script(&ensemble, &["read-only", &host]);
    ensemble.start(2, kind).unwrap();
    ensemble.await_leader().unwrap();
    told += &script(&ensemble, &["through", &host, "/again", "written"]);
    told
}

#[test]
fn a_member_without_a_leader_serves_reads_as_the_original() {
    let told = reads_alone(Ours);
    assert!(told.contains("Mode: read-only") && told.contains("NotReadOnlyCallError"), "{told}");
    assert_eq!(told, reads_alone(Theirs));
}
