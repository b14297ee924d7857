//! Who takes part: a leader that takes no clients, and servers that find no data where there should be some. The original's
//! ensembles do the same.

use interop::{Ensemble, Kind, python};

use Kind::{Ours, Theirs};

fn writes_through(ensemble: &Ensemble, ids: [usize; 2]) {
    let hosts = ids.map(|id| ensemble.host(id).unwrap()).join(",");
    let finished = python("zookeeper_ensemble.py", &["through", &hosts, "/through", "tag"]).unwrap();
    assert_eq!(finished.success().unwrap().trim(), "tag-0 tag-1", "{}", ensemble.log_ends());
}

/// `leaderServes=no`: the others serve, and the leader says that it does not.
fn leads_without_clients(kind: Kind) {
    let mut ensemble = Ensemble::new(3, "leaderServes=no\n").unwrap();
    for id in [3, 2] {
        ensemble.start(id, kind).unwrap();
    }
    ensemble.wait("server 2 to follow", |ensemble| ensemble.serves(2)).unwrap();
    ensemble.start(1, kind).unwrap();
    ensemble.wait("server 1 to follow", |ensemble| ensemble.serves(1)).unwrap();
    assert!(ensemble.log(3).unwrap().contains("LEADING"), "{kind:?}");
    writes_through(&ensemble, [1, 2]);
    assert!(!ensemble.serves(3).unwrap(), "{kind:?}");
    let mut stream = ensemble.connect(3, 2181).unwrap();
    std::io::Write::write_all(&mut stream, b"srvr").unwrap();
    let said = std::io::read_to_string(&mut stream).unwrap();
    assert_eq!(said.trim(), "This ZooKeeper instance is not currently serving requests", "{kind:?}");
}

#[test]
fn a_leader_may_take_no_clients() {
    leads_without_clients(Theirs);
    leads_without_clients(Ours);
}

/// `db.autocreate=false`: servers 1 and 2 may begin with nothing, and 3, with the greatest number, may not: it has no say, and
/// is given the tree.
fn begins_without_the_blank(kinds: [Kind; 3]) {
    let mut ensemble = Ensemble::new(3, "db.autocreate=false\n").unwrap();
    for id in [1, 2] {
        std::fs::write(ensemble.member_path(id, "data/initialize").unwrap(), "").unwrap();
    }
    for id in [3, 2, 1] {
        ensemble.start(id, kinds[id - 1]).unwrap();
    }
    assert_eq!(ensemble.await_leader().unwrap(), 2, "{kinds:?}");
    assert!(ensemble.log(3).unwrap().contains("Getting a snapshot from leader"), "{kinds:?}");
    assert!(ensemble.log(3).unwrap().contains("Unexpected empty data tree, setting zxid to -1"), "{kinds:?}");
    for id in [1, 2] {
        assert!(!ensemble.member_path(id, "data/initialize").unwrap().exists(), "the permission is for once");
    }
    writes_through(&ensemble, [1, 3]);
    // Whoever lost its data since does not vote as one that has none.
    ensemble.kill(2).unwrap();
    std::fs::remove_dir_all(ensemble.member_path(2, "data/version-2").unwrap()).unwrap();
    ensemble.start(2, kinds[1]).unwrap();
    assert_ne!(ensemble.await_leader().unwrap(), 2, "{kinds:?}");
    writes_again(&ensemble);
}

fn writes_again(ensemble: &Ensemble) {
    let hosts = ensemble.host(2).unwrap();
    let finished = python("zookeeper_ensemble.py", &["through", &hosts, "/through", "again"]).unwrap();
    assert_eq!(finished.success().unwrap().trim(), "again-0 tag-0 tag-1", "{}", ensemble.log_ends());
}

#[test]
fn a_server_without_data_has_no_say_unless_it_may_be_empty() {
    for kinds in [[Theirs; 3], [Ours; 3], [Ours, Theirs, Ours], [Theirs, Ours, Theirs]] {
        begins_without_the_blank(kinds);
    }
}
