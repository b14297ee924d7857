//! Sessions that one server knows (`localSessionsEnabled`), beside the original: what their clients see at a follower, at an
//! observer and at the leader, whatever the kinds of these servers.

use interop::{Ensemble, Kind, python};

use Kind::{Ours, Theirs};

/// Servers 1 to 3, of which the last leads, and an observer; what clients see of `told`, each of those.
fn told<const N: usize>(kinds: [Kind; 4], upgrades: bool, leader_lines: &str, told: [usize; N]) -> [String; N] {
    let lines = format!("localSessionsEnabled=true\nlocalSessionsUpgradingEnabled={upgrades}\n");
    let mut ensemble = Ensemble::with_observers(3, 1, &lines).unwrap();
    ensemble.configure(3, leader_lines).unwrap();
    for id in [3, 2] {
        ensemble.start(id, kinds[id - 1]).unwrap();
    }
    assert_eq!(ensemble.await_leader().unwrap(), 3, "{kinds:?}");
    for id in [1, 4] {
        ensemble.start(id, kinds[id - 1]).unwrap();
    }
    assert_eq!(ensemble.await_leader().unwrap(), 3, "{kinds:?}");
    told.map(|id| {
        let (host, other) = (ensemble.host(id).unwrap(), ensemble.host(1).unwrap());
        let finished = python("zookeeper_sessions.py", &[&host, &other, &format!("/{id}")]).unwrap();
        finished.success().unwrap_or_else(|error| panic!("{kinds:?} {id}: {error}\n{}", ensemble.log_ends()))
    })
}

/// Beside the original; what that tells.
fn compared<const N: usize>(upgrades: bool, leader_lines: &str, of: [usize; N]) -> [String; N] {
    let original = told([Theirs; 4], upgrades, leader_lines, of);
    for kinds in [[Ours; 4], [Ours, Ours, Theirs, Ours], [Theirs, Theirs, Ours, Theirs]] {
        for (told, original) in told(kinds, upgrades, leader_lines, of).iter().zip(&original) {
            pretty_assert(told, original, kinds);
        }
    }
    original
}

fn pretty_assert(told: &str, original: &str, kinds: [Kind; 4]) {
    let differing = told.lines().zip(original.lines()).find(|(one, other)| one != other);
    assert!(told == original, "{kinds:?} differs at {differing:#?}\n--- told\n{told}--- by the original\n{original}");
}

#[test]
fn a_session_that_one_server_knows_is_made_known_to_all() {
    assert!(compared(true, "", [2, 3, 4]).iter().all(|told| told.contains("created: 0")));
}

#[test]
fn a_session_that_one_server_knows_makes_no_ephemeral_nodes() {
    assert!(compared(false, "", [2, 3, 4]).iter().all(|told| told.contains("created: -120")));
}

/// Its writes are those of a session that has expired, until it is known to all.
#[test]
fn a_leader_that_makes_none_itself_knows_no_session_of_one_server() {
    let [told] = compared(true, "localSessionsEnabled=false\n", [2]);
    assert!(told.contains("a write: -112 (1 transactions)"), "{told}");
}
