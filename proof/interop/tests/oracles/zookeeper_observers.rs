//! Observers that followers feed (`observerMasterPort`), whatever the kinds of the leader, of those followers and of the observers.

use interop::{Certificates, Ensemble, Kind, python};

use Kind::{Ours, Theirs};

use crate::zookeeper_sasl::{LOG_IN, start_with_login};
use crate::zookeeper_tls::certified;

const LINES: &str = "observerMasterPort=2889\n";

fn script(ensemble: &Ensemble, name: &str, arguments: &[&str]) -> String {
    let finished = python(name, arguments).unwrap();
    finished.success().unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", ensemble.log_ends()))
}

/// So many voters, of which the last leads, and observers behind them.
fn fed<const N: usize>(voters: usize, kinds: [Kind; N], lines: &str) -> Ensemble {
    let mut ensemble = Ensemble::with_observers(voters, N - voters, &format!("{LINES}{lines}")).unwrap();
    start_fed(&mut ensemble, voters, kinds, |ensemble, id, kind| ensemble.start(id, kind).unwrap());
    ensemble
}

fn start_fed<const N: usize>(
    ensemble: &mut Ensemble,
    voters: usize,
    kinds: [Kind; N],
    start: impl Fn(&mut Ensemble, usize, Kind),
) {
    for id in (1..=voters).rev() {
        start(ensemble, id, kinds[id - 1]);
        if id < voters {
            assert_eq!(ensemble.await_leader().unwrap(), voters, "{kinds:?}");
        }
    }
    for id in voters + 1..=N {
        start(ensemble, id, kinds[id - 1]);
    }
    ensemble.await_leader().unwrap();
}

/// Whom an observer has its history from.
fn master(ensemble: &Ensemble, id: usize) -> usize {
    ensemble.figure(id, "zk_observer_master_id").unwrap().unwrap().parse().unwrap()
}

/// Voters 1 to 3 and observers 4 and 5: what clients of the observers see, while all are there, and without the follower that fed
/// the first of them.
fn told(kinds: [Kind; 5]) -> String {
    let mut ensemble = fed(3, kinds, "");
    let masters = [4, 5].map(|id| master(&ensemble, id));
    assert!(masters.iter().all(|master| [1, 2].contains(master)), "{kinds:?}: {masters:?}");
    for follower in [1, 2] {
        let feeds = masters.iter().filter(|master| **master == follower).count();
        let told = ensemble.figure(follower, "zk_synced_observers").unwrap();
        assert_eq!(told, Some(feeds.to_string()), "{kinds:?} {follower} of {masters:?}");
    }
    let hosts = [1, 2, 3, 4, 5].map(|id| ensemble.host(id).unwrap());
    let story = |ensemble: &Ensemble, voters: &str, folder| {
        script(ensemble, "zookeeper_observers.py", &["story", &hosts[3], &hosts[4], voters, folder])
    };
    let mut told = story(&ensemble, &hosts[..3].join(","), "/all");
    script(&ensemble, "zookeeper_ensemble.py", &["through", &ensemble.hosts(), "/through", "all"]);
    let (lost, left) = (masters[0], 3 - masters[0]);
    ensemble.kill(lost).unwrap();
    ensemble
        .wait("observers that go on to the other follower", |ensemble| {
            let is_fed =
                |id| ensemble.figure(id, "zk_observer_master_id").is_ok_and(|told| told == Some(left.to_string()));
            Ok(is_fed(4) && is_fed(5))
        })
        .unwrap();
    ensemble.await_leader().unwrap();
    told += &story(&ensemble, &format!("{},{}", hosts[left - 1], hosts[2]), "/without");
    ensemble.start(lost, kinds[lost - 1]).unwrap();
    ensemble.await_leader().unwrap();
    script(&ensemble, "zookeeper_ensemble.py", &["dump", &ensemble.hosts()]);
    told
}

#[test]
fn observers_are_fed_by_followers_of_either_kind() {
    let original = told([Theirs; 5]);
    for kinds in [
        [Ours, Ours, Ours, Ours, Ours],
        [Ours, Ours, Theirs, Theirs, Theirs],
        [Theirs, Theirs, Ours, Ours, Ours],
        [Ours, Theirs, Theirs, Ours, Theirs],
    ] {
        assert_eq!(told(kinds), original, "{kinds:?}");
    }
}

/// An observer that comes back behind many writes is given what it lacks, or the whole tree.
#[test]
fn a_follower_brings_an_observer_of_the_other_kind_up_to_date() {
    for (feeding, fed_kind) in [(Ours, Theirs), (Theirs, Ours), (Ours, Ours)] {
        for (lines, words) in [("", ""), ("forceSnapshotSync=true\n", "Getting a snapshot from leader ")] {
            let mut ensemble = fed(2, [feeding, feeding, fed_kind], lines);
            ensemble.kill(3).unwrap();
            script(&ensemble, "zookeeper_ensemble.py", &["write", &ensemble.hosts(), "/many", "1500"]);
            let before = ensemble.log(3).unwrap().len();
            ensemble.start(3, fed_kind).unwrap();
            ensemble.await_leader().unwrap();
            assert_eq!(master(&ensemble, 3), 1);
            script(&ensemble, "zookeeper_ensemble.py", &["dump", &ensemble.hosts()]);
            let log = ensemble.log(3).unwrap().split_off(before);
            assert!(log.contains(words), "{feeding:?} feeds {fed_kind:?}: {log}");
        }
    }
}

/// A follower and an observer that meet as their ensemble's rules say, and come to the same tree through both.
fn is_fed_by_the_rules(ensemble: &Ensemble, kinds: [Kind; 3]) {
    assert_eq!(master(ensemble, 3), 1, "{kinds:?}");
    script(ensemble, "zookeeper_ensemble.py", &["through", &ensemble.hosts(), "/through", "all"]);
    script(ensemble, "zookeeper_ensemble.py", &["dump", &ensemble.hosts()]);
}

const FED_BY_THE_OTHER: [[Kind; 3]; 3] = [[Ours, Theirs, Theirs], [Theirs, Ours, Ours], [Ours, Ours, Ours]];

#[test]
fn observers_are_fed_by_tls() {
    for kinds in FED_BY_THE_OTHER {
        let certificates = Certificates::new().unwrap();
        let mut ensemble = Ensemble::with_observers(2, 1, &format!("{LINES}sslQuorum=true\n")).unwrap();
        certified(&ensemble, &certificates, "p12");
        start_fed(&mut ensemble, 2, kinds, |ensemble, id, kind| ensemble.start(id, kind).unwrap());
        is_fed_by_the_rules(&ensemble, kinds);
    }
}

#[test]
fn observers_that_are_fed_log_in() {
    for kinds in FED_BY_THE_OTHER {
        let mut ensemble = Ensemble::with_observers(2, 1, &format!("{LINES}{LOG_IN}")).unwrap();
        start_fed(&mut ensemble, 2, kinds, |ensemble, id, kind| start_with_login(ensemble, id, kind, "secret"));
        is_fed_by_the_rules(&ensemble, kinds);
    }
}

/// The leader does not see a session move between observers of one follower; the follower does. The original lets such a request
/// of a session that has gone be done.
#[test]
fn what_a_session_asks_for_where_it_was_is_not_done() {
    for observers in [Ours, Theirs] {
        let ensemble = fed(2, [Ours, Ours, observers, observers], "");
        assert_eq!([3, 4].map(|id| master(&ensemble, id)), [1, 1]);
        let hosts = [1, 3, 4].map(|id| ensemble.host(id).unwrap());
        for (number, (from, to)) in [(1, 2), (2, 1), (1, 0)].into_iter().enumerate() {
            let folder = format!("/{number}");
            let told = script(&ensemble, "zookeeper_observers.py", &["late", &hosts[from], &hosts[to], &folder]);
            assert_eq!(told, "-5 0 -101\n", "{observers:?} {from} {to}");
        }
        let told = script(&ensemble, "zookeeper_observers.py", &["late", &hosts[0], &hosts[1], "/closed"]);
        assert_eq!(told, "closed 0 -101\n", "{observers:?}");
    }
}
