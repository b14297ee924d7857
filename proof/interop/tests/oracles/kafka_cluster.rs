//! Clusters of ours and of the JVM original, mixed, under load: what was acknowledged stays, whoever leads, controls, ends or
//! comes back.

use std::fs;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use interop::{Cluster, Kind, Traffic, binary, run};
use kafka_proto::messages::find_coordinator;

use Kind::{Ours, Theirs};

/// Two such clusters under load at a time are more than two cores carry.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE_CLUSTER: Mutex<()> = Mutex::new(());
    // A test that failed has ended its cluster.
    ONE_CLUSTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Three brokers of these kinds with a topic that each of them leads a partition of; broker 1 is the controller.
pub(crate) fn cluster(kinds: [Kind; 3], zookeeper: Kind, lines: &str) -> Cluster {
    let mut cluster = Cluster::new(3, &[zookeeper], &format!("min.insync.replicas=2\n{lines}")).unwrap();
    cluster.start_all(&kinds).unwrap();
    cluster.create("t", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]).unwrap();
    cluster
}

/// The controller is stopped, the next one killed, and a third broker; each leads a partition, and all come back and have what
/// was written without them.
fn lives_through_stops_and_kills(kinds: [Kind; 3], zookeeper: Kind) {
    let _alone = alone();
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

#[test]
fn two_of_ours_and_an_original_live_through_stops_and_kills() {
    lives_through_stops_and_kills([Ours, Theirs, Ours], Ours);
    lives_through_stops_and_kills([Theirs, Ours, Ours], Theirs);
}

#[test]
fn one_of_ours_and_two_originals_live_through_stops_and_kills() {
    lives_through_stops_and_kills([Ours, Theirs, Theirs], Theirs);
    lives_through_stops_and_kills([Theirs, Theirs, Ours], Ours);
}

/// Each broker in turn is stopped and goes on as the other kind on the same log directories; then back again.
fn are_replaced_and_back_under_load(zookeeper: Kind) {
    let _alone = alone();
    let mut cluster = cluster([Theirs; 3], zookeeper, "");
    let traffic = Traffic::begin(&cluster, "t").unwrap();
    for kind in [Ours, Theirs] {
        for id in 1..=3 {
            cluster.stop(id).unwrap();
            cluster.start(id, kind).unwrap();
            cluster.await_brokers().unwrap();
            cluster.await_all_in_sync().unwrap();
            traffic.goes_on(&mut cluster, "a replacement").unwrap();
        }
        // Whoever is new leads, too.
        cluster.elect_preferred("t").unwrap();
        traffic.goes_on(&mut cluster, "a round").unwrap();
    }
    let account = traffic.account(&mut cluster).unwrap();
    println!("{account:?}");
}

#[test]
fn originals_are_replaced_and_back_under_load_on_their_zookeeper() {
    are_replaced_and_back_under_load(Theirs);
}

#[test]
fn originals_are_replaced_and_back_under_load_on_our_zookeeper() {
    are_replaced_and_back_under_load(Ours);
}

/// The coordinator of a group is killed, and the next one: its static members keep their shares, the group its offsets.
fn static_members_outlive_coordinators(kinds: [Kind; 3]) {
    let _alone = alone();
    let mut cluster = cluster(kinds, kinds[0], "");
    let traffic = Traffic::begin_with_static_members(&cluster, "t").unwrap();
    cluster.await_in_sync("__consumer_offsets").unwrap();
    for _ in 0..2 {
        let find = find_coordinator::Request { key: "group-t".into(), key_type: 0 };
        let id = cluster.ask(1, &find, 3).unwrap().node_id as usize;
        cluster.kill(id).unwrap();
        cluster.await_gone(id).unwrap();
        traffic.goes_on(&mut cluster, "the end of a coordinator").unwrap();
        cluster.start(id, kinds[id - 1]).unwrap();
        cluster.await_brokers().unwrap();
        cluster.await_in_sync("__consumer_offsets").unwrap();
    }
    let account = traffic.account(&mut cluster).unwrap();
    println!("{account:?}");
}

#[test]
fn static_members_outlive_their_coordinators() {
    static_members_outlive_coordinators([Ours; 3]);
    static_members_outlive_coordinators([Ours, Theirs, Ours]);
}

/// Brokers of both kinds that speak and write as an older release, before an upgrade's second round.
fn speak_as(release: &str) {
    let _alone = alone();
    let lines = format!("inter.broker.protocol.version={release}\nlog.message.format.version={release}\n");
    let kinds = [Theirs, Ours, Ours];
    let mut cluster = cluster(kinds, Theirs, &lines);
    let begin = if release == "0.10.0" { Traffic::begin_with_old_messages } else { Traffic::begin };
    let traffic = begin(&cluster, "t").unwrap();
    for id in [1, 2] {
        cluster.kill(id).unwrap();
        cluster.await_gone(id).unwrap();
        traffic.goes_on(&mut cluster, release).unwrap();
        cluster.start(id, kinds[id - 1]).unwrap();
        cluster.await_brokers().unwrap();
        cluster.await_in_sync("t").unwrap();
    }
    let account = traffic.account(&mut cluster).unwrap();
    println!("{release}: {account:?}");
}

#[test]
fn brokers_speak_as_old_releases() {
    for release in ["0.10.0", "0.11.0", "1.1"] {
        speak_as(release);
    }
}

#[test]
fn brokers_speak_as_newer_releases() {
    for release in ["2.0", "2.3", "2.6"] {
        speak_as(release);
    }
}

/// The original's own test of an upgrade (`upgrade_test.py`): ZooKeeper is replaced, then each broker, which goes on to speak and write as the
/// release that it came from; then each in turn speaks and writes as 2.7. The producers compress, each as one of its variants does.
fn are_upgraded(release: &str, codecs: [&str; 3]) {
    let _alone = alone();
    let versions = |release| format!("inter.broker.protocol.version={release}\nlog.message.format.version={release}\n");
    let mut cluster = cluster([Theirs; 3], Theirs, &versions(release));
    let traffic = Traffic::begin_compressed(&cluster, "t", codecs).unwrap();
    cluster.zookeeper().stop(1).unwrap();
    cluster.zookeeper().start(1, Ours).unwrap();
    cluster.zookeeper().await_leader().unwrap();
    traffic.goes_on(&mut cluster, "another ZooKeeper").unwrap();
    for release in [release, "2.7"] {
        for id in 1..=3 {
            cluster.stop(id).unwrap();
            cluster.configure(id, &versions(release)).unwrap();
            cluster.start(id, Ours).unwrap();
            cluster.await_brokers().unwrap();
            cluster.await_all_in_sync().unwrap();
            traffic.goes_on(&mut cluster, release).unwrap();
        }
    }
    let account = traffic.account(&mut cluster).unwrap();
    println!("{release}: {account:?}");
    let log = segments(&cluster, 1, "t-0");
    for codec in codecs {
        assert!(log.contains(&format!(" compresscodec: {} ", codec.to_uppercase())), "{release}: no {codec}");
    }
}

/// What `kafka-dump-log` tells of the batches in a broker's replica.
fn segments(cluster: &Cluster, id: usize, folder: &str) -> String {
    let dirs = cluster.log_dirs(id).unwrap();
    let folder = dirs.iter().map(|dir| dir.join(folder)).find(|folder| folder.exists()).unwrap();
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let logs: Vec<_> = paths.filter(|path| path.ends_with(".log")).collect();
    let mut command = Command::new(binary());
    command.args(["kafka-dump-log", "--files", &logs.join(",")]);
    run(&mut command, b"").unwrap().success().unwrap()
}

#[test]
fn originals_are_upgraded_in_two_rounds() {
    are_upgraded("0.11.0", ["gzip", "lz4", "snappy"]);
    are_upgraded("2.4", ["zstd", "none", "lz4"]);
}

/// The folders of a topic's replicas in a broker's log directories, but for those that are only left to be removed.
fn folders(cluster: &Cluster, id: usize, topic: &str) -> Vec<String> {
    let dirs = cluster.log_dirs(id).unwrap();
    let names = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> =
        names.filter(|name| name.starts_with(&format!("{topic}-")) && !name.ends_with("-delete")).collect();
    names.sort();
    names
}

fn tool(words: &[&str]) -> String {
    run(Command::new(binary()).args(words), b"").unwrap().success().unwrap()
}

/// Gives a topic's partitions to these brokers, and waits until they have them and nobody else has a folder of it.
fn moves(cluster: &mut Cluster, topic: &str, to: &[&[usize]]) {
    let partitions: Vec<_> = to
        .iter()
        .enumerate()
        .map(|(index, ids)| serde_json::json!({"topic": topic, "partition": index, "replicas": ids}))
        .collect();
    let plan = cluster.path("plan.json");
    fs::write(&plan, serde_json::json!({"version": 1, "partitions": partitions}).to_string()).unwrap();
    let (servers, plan) = (cluster.servers(), plan.display().to_string());
    let words = ["kafka-reassign-partitions", "--bootstrap-server", &servers, "--reassignment-json-file", &plan];
    tool(&[&words[..], &["--execute"]].concat());
    let wanted: Vec<Vec<usize>> = to.iter().map(|ids| ids.to_vec()).collect();
    let have_moved = |cluster: &Cluster| {
        let places = (1..=3).all(|id| {
            let held = (0..to.len()).filter(|index| to[*index].contains(&id));
            folders(cluster, id, topic) == held.map(|index| format!("{topic}-{index}")).collect::<Vec<_>>()
        });
        Ok(places && cluster.assignment(topic)? == wanted)
    };
    cluster.wait("replicas to have moved", have_moved).unwrap();
    cluster.await_in_sync(topic).unwrap();
}

/// Our controller has originals take up, give up and delete replicas.
#[test]
fn originals_do_as_our_controller_says() {
    let _alone = alone();
    let mut cluster = cluster([Ours, Theirs, Theirs], Ours, "");
    let servers = cluster.servers();
    let topics = ["kafka-topics", "--bootstrap-server", &servers, "--topic"];
    assert!((1..=3).all(|id| folders(&cluster, id, "t") == ["t-0", "t-1", "t-2"]));
    tool(&[&topics[..], &["t", "--delete"]].concat());
    let is_gone = |cluster: &Cluster| {
        let has_folders = (1..=3).any(|id| !folders(cluster, id, "t").is_empty());
        Ok(!has_folders
            && cluster.topics()?.is_empty()
            && cluster.znodes()?.children("/admin/delete_topics")?.is_empty())
    };
    cluster.wait("a topic to be gone", is_gone).unwrap();

    // The same name, on the originals alone; then it grows, and a partition of ours too.
    cluster.create("t", &[&[2, 3], &[3, 2]]).unwrap();
    let grown = "2:3,3:2,3:1,2:1";
    tool(&[&topics[..], &["t", "--alter", "--partitions", "4", "--replica-assignment", grown]].concat());
    cluster.wait("two more partitions", |cluster| Ok(cluster.assignment("t")?.len() == 4)).unwrap();
    cluster.await_in_sync("t").unwrap();
    let traffic = Traffic::begin(&cluster, "t").unwrap();
    let rounds: [&[&[usize]]; 3] = [
        &[&[3, 1], &[1, 2], &[2, 1], &[1, 3]],
        &[&[1, 2], &[2, 3], &[1, 3], &[3, 2]],
        &[&[2, 3], &[3, 2], &[3, 1], &[2, 1]],
    ];
    for to in rounds {
        moves(&mut cluster, "t", to);
        traffic.goes_on(&mut cluster, "moves").unwrap();
    }
    assert_eq!(cluster.await_controller().unwrap(), 1);
    let account = traffic.account(&mut cluster).unwrap();
    println!("{account:?}");
}

/// An original loses the disk of a log directory: our controller hears of it from ZooKeeper, and others lead what was there.
#[test]
fn our_controller_replaces_what_an_original_has_lost() {
    const DISK_BYTES: u64 = 256 << 20;
    let _alone = alone();
    let kinds = [Ours, Theirs, Theirs];
    // Replicas that clean each at its own time don't hold the same bytes.
    let lines = "min.insync.replicas=2\nlog.cleaner.enable=false\n";
    let mut cluster = Cluster::with_faults(3, &[Ours], lines, DISK_BYTES).unwrap();
    cluster.start_all(&kinds).unwrap();
    cluster.create("t", &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]).unwrap();
    let traffic = Traffic::begin(&cluster, "t").unwrap();
    let dir = cluster.log_dirs(2).unwrap().iter().position(|dir| dir.join("t-1").exists()).unwrap();
    cluster.pull_disk(2, dir).unwrap();
    // It finds that out with the next segment.
    cluster.wait("another leader", |cluster| Ok(cluster.leader("t", 1)?.is_some_and(|id| id != 2))).unwrap();
    traffic.goes_on(&mut cluster, "a failed log directory").unwrap();
    assert_eq!(cluster.await_controller().unwrap(), 1);
    cluster.stop(2).unwrap();
    cluster.replace_disk(2, dir, DISK_BYTES).unwrap();
    cluster.start(2, Theirs).unwrap();
    cluster.await_brokers().unwrap();
    cluster.await_in_sync("t").unwrap();
    traffic.goes_on(&mut cluster, "a new disk").unwrap();
    let account = traffic.account(&mut cluster).unwrap();
    println!("{account:?}");
}
