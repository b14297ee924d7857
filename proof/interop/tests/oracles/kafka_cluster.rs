//! Clusters of ours and of the JVM original, mixed, under load: what was acknowledged stays, whoever leads, controls, ends or
//! comes back.

use interop::{Cluster, Kind, Traffic};

use Kind::{Ours, Theirs};

/// Three brokers of these kinds with a topic that each of them leads a partition of; broker 1 is the controller.
fn cluster(kinds: [Kind; 3], zookeeper: Kind, lines: &str) -> Cluster {
    let mut cluster = Cluster::new(3, &[zookeeper], &format!("min.insync.replicas=2\n{lines}")).unwrap();
    cluster.start_all(&kinds).unwrap();
    cluster.create("t", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]).unwrap();
    cluster
}

/// The controller is stopped, the next one killed, and a third broker; each leads a partition, and all come back and have what
/// was written without them.
fn lives_through_stops_and_kills(kinds: [Kind; 3], zookeeper: Kind) {
    let mut cluster = cluster(kinds, zookeeper, "");
    let traffic = Traffic::begin(&cluster, "t").unwrap();
    let mut left = vec![1, 2, 3];
    for end in [Cluster::stop, Cluster::kill, Cluster::kill] {
        let controller = cluster.await_controller().unwrap();
        let id = *left.iter().find(|id| **id == controller).unwrap_or(&left[0]);
        left.retain(|other| *other != id);
        assert_eq!(cluster.leader("t", id - 1).unwrap(), Some(id), "{kinds:?}");
        end(&mut cluster, id).unwrap();
        cluster.await_gone(id).unwrap();
        cluster.await_brokers().unwrap();
        traffic.goes_on(&mut cluster, "the end of a broker").unwrap();
        cluster.start(id, kinds[id - 1]).unwrap();
        cluster.await_brokers().unwrap();
        cluster.await_in_sync("t").unwrap();
        cluster.elect_preferred("t").unwrap();
    }
    let account = traffic.account(&mut cluster).unwrap();
    println!("{kinds:?}: {account:?}");
}

#[test]
fn three_originals_live_through_stops_and_kills() {
    lives_through_stops_and_kills([Theirs; 3], Theirs);
}

#[test]
fn three_of_ours_live_through_stops_and_kills() {
    lives_through_stops_and_kills([Ours; 3], Ours);
}
