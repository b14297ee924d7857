//! Ensembles of ours and of the JVM original, mixed: either leads, either is synchronised by the other in every way, and one
//! is replaced by the other, server by server, under load.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use interop::{Ensemble, Kind, Load, python, python_command};

use Kind::{Ours, Theirs};

use crate::zookeeper_data::assert_files_agree;

const SCRIPT: &str = "zookeeper_ensemble.py";

fn script(ensemble: &Ensemble, arguments: &[&str]) -> String {
    let finished = python(SCRIPT, arguments).unwrap();
    finished.success().unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", ensemble.log_ends()))
}

/// An ensemble in which the last server leads: it and those that make a majority with it are first.
fn led_by_the_last<const N: usize>(kinds: [Kind; N], lines: &str) -> Ensemble {
    let mut ensemble = Ensemble::new(N, lines).unwrap();
    start_led_by_the_last(&mut ensemble, kinds);
    ensemble
}

pub(crate) fn start_led_by_the_last<const N: usize>(ensemble: &mut Ensemble, kinds: [Kind; N]) {
    let behind = N - (N / 2 + 1);
    for ids in [behind + 1..=N, 1..=behind] {
        for id in ids.rev() {
            ensemble.start(id, kinds[id - 1]).unwrap();
        }
        assert_eq!(ensemble.await_leader().unwrap(), N, "{kinds:?}");
    }
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

/// Starts, elects, serves through each; the leader is killed, the others go on; it comes back and has what was written without it.
fn outlives_its_leader(kinds: [Kind; 5]) {
    let mut written = Vec::new();
    let mut ensemble = led_by_the_last(kinds, "");
    through_each(&ensemble, "start", &mut written);
    ensemble.kill(5).unwrap();
    let leader = ensemble.await_leader().unwrap();
    assert!(leader < 5);
    through_each(&ensemble, "without", &mut written);
    ensemble.start(5, kinds[4]).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), leader, "{kinds:?}: a leader that is followed stays");
    through_each(&ensemble, "back", &mut written);
    script(&ensemble, &["dump", &ensemble.hosts()]);
}

// The one before the last follows the leader in its office: where it can it is of the other kind.

#[test]
fn five_of_both_kinds_outlive_a_leader_of_ours() {
    for kinds in [
        [Ours, Ours, Ours, Theirs, Ours],
        [Ours, Theirs, Ours, Theirs, Ours],
        [Theirs, Ours, Theirs, Theirs, Ours],
        [Theirs, Theirs, Theirs, Theirs, Ours],
    ] {
        outlives_its_leader(kinds);
    }
}

#[test]
fn five_of_both_kinds_outlive_a_leader_of_the_originals() {
    for kinds in [
        [Theirs, Theirs, Theirs, Ours, Theirs],
        [Theirs, Ours, Theirs, Ours, Theirs],
        [Ours, Theirs, Ours, Ours, Theirs],
        [Ours, Ours, Ours, Ours, Theirs],
    ] {
        outlives_its_leader(kinds);
    }
}

/// Server 3, of the learning kind, led and was left with a proposal that nobody else has; the others are led by one of them since.
fn with_a_tail_of_its_own(leading: Kind, learning: Kind) -> (Ensemble, usize) {
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
    (ensemble, leader)
}

/// How a leader of one kind brings a learner of the other up to date; the learner tells in its log, in the same words.
fn synchronises(leading: Kind, learning: Kind) {
    let (mut ensemble, leader) = with_a_tail_of_its_own(leading, learning);
    // Back: first with what only it has, then without what was written while it was away.
    for (mode, writes) in [("TRUNC", 0), ("DIFF", 30)] {
        if writes > 0 {
            ensemble.kill(3).unwrap();
            script(&ensemble, &["write", &ensemble.hosts(), "/DIFF", &writes.to_string()]);
        }
        assert_eq!(joins(&mut ensemble, 3, learning), (leader, mode), "{leading:?} leads");
    }
}

/// The same where the others have written meanwhile. What only the learner has is cut off, and proposals follow; an original
/// rather sends all it has, where an epoch has begun since.
fn cuts_off_and_goes_on(leading: Kind, learning: Kind) {
    let (mut ensemble, leader) = with_a_tail_of_its_own(leading, learning);
    script(&ensemble, &["write", &ensemble.hosts(), "/behind", "30"]);
    let mode = if leading == Ours { "TRUNC" } else { "SNAP" };
    assert_eq!(joins(&mut ensemble, 3, learning), (leader, mode), "{leading:?} leads");
    // It has kept what it was given.
    ensemble.kill(3).unwrap();
    assert_eq!(joins(&mut ensemble, 3, learning), (leader, "DIFF"), "{leading:?} leads");
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
    cuts_off_and_goes_on(Ours, Theirs);
    gives_its_tree(Ours, Theirs);
}

#[test]
fn ours_is_synchronised_by_an_original() {
    synchronises(Theirs, Ours);
    cuts_off_and_goes_on(Theirs, Ours);
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
    assert_files_agree(&mut ensemble, 3);
}

/// A server that has other data than its leader finds it by the leader's digest, whichever kind they are.
fn finds_that_it_differs(leading: Kind, learning: Kind) {
    let mut ensemble = led_by_the_last([learning, leading, leading], "");
    ensemble.lets_trees_differ();
    script(&ensemble, &["write", &ensemble.hosts(), "/common", "3"]);
    ensemble.kill(1).unwrap();
    // The checksum, Adler-32, is the same for both.
    ensemble.change_log(1, b"xxxxx", b"xyvyx").unwrap();
    ensemble.start(1, learning).unwrap();
    assert_eq!(ensemble.await_leader().unwrap(), 3);
    assert_eq!(ensemble.figure(3, "zk_digest_mismatches_count").unwrap().unwrap(), "0");
    script(&ensemble, &["write", &ensemble.hosts(), "/behind", "3"]);
    ensemble.wait("server 1 to find it", |ensemble| Ok(!ensemble.digest_mismatches()?.is_empty())).unwrap();
    let found = ensemble.digest_mismatches().unwrap();
    assert!(found.lines().all(|line| line.starts_with("server 1: ")), "{learning:?} behind {leading:?}: {found}");
    assert!(found.contains("First digest mismatch on txn"), "{learning:?} behind {leading:?}: {found}");
}

#[test]
fn a_tree_that_differs_is_found_by_the_leaders_digests() {
    finds_that_it_differs(Ours, Theirs);
    finds_that_it_differs(Theirs, Ours);
}

/// The last number of an epoch comes near under load: the leader gives up, another epoch begins, and the load goes on.
fn rolls_over(kinds: [Kind; 3]) {
    let mut ensemble = Ensemble::new(3, "").unwrap();
    let first = format!("-Dzookeeper.testingonly.initialZxid={}", u32::MAX - 300);
    for id in [3, 2, 1] {
        // Of the leader only: each epoch of the others is long enough.
        let properties: &[&str] = if id == 3 { &[&first] } else { &[] };
        ensemble.start_with(id, kinds[id - 1], properties).unwrap();
        if id < 3 {
            assert_eq!(ensemble.await_leader().unwrap(), 3, "{kinds:?}");
        }
    }
    let load = Load::begin(&ensemble, 10).unwrap();
    let has_rolled_over = |ensemble: &Ensemble| {
        let epochs = [1, 2, 3].map(|id| ensemble.file(id, "data/version-2/currentEpoch"));
        let are_next = epochs.iter().all(|epoch| epoch.as_ref().is_ok_and(|epoch| epoch.trim() != "1"));
        Ok(are_next && ensemble.log(3)?.contains("zxid lower 32 bits have rolled over"))
    };
    ensemble.wait("the next epoch", has_rolled_over).unwrap();
    ensemble.await_leader().unwrap();
    load.goes_on(&mut ensemble, "writes in the next epoch").unwrap();
    // The account must not meet the end of one more.
    ensemble.stop(3).unwrap();
    ensemble.start(3, kinds[2]).unwrap();
    ensemble.await_leader().unwrap();
    load.goes_on(&mut ensemble, "writes in a long epoch").unwrap();
    load.account(&ensemble).unwrap();
}

#[test]
fn the_last_number_of_an_epoch_is_followed_by_another_epoch() {
    rolls_over([Ours, Theirs, Ours]);
    rolls_over([Theirs, Ours, Theirs]);
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
