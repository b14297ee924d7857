//! ZooKeeper's data directory: taken over from the original and given back; killed, with an account of what was
//! acknowledged.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use interop::{Ensemble, Original, OriginalKind, Server, binary, free_port, python, run};

/// A configuration with its data beside it, and the port.
fn configuration(folder: &Path) -> (PathBuf, u16) {
    let port = free_port().unwrap();
    let config = folder.join("zoo.cfg");
    let data = folder.join("data");
    let text = format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\nadmin.enableServer=false\n4lw.commands.whitelist=*\n",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    (config, port)
}

fn script(name: &str, arguments: &[&str]) -> String {
    python(name, arguments).unwrap().success().unwrap()
}

/// Written by one server, killed, read by the other, killed, read by the first again: the same tree each time, with all
/// stats and ACLs, and without the ephemeral node of a client that is gone.
#[test]
fn a_data_directory_changes_hands_both_ways() {
    for original_first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (config, port) = configuration(folder.path());
        let host = format!("127.0.0.1:{port}");
        let mut dumps = Vec::new();
        for turn in 0..3 {
            let is_original = (turn % 2 == 0) == original_first;
            let original = is_original.then(|| Original::start(OriginalKind::ZooKeeper, &config, port).unwrap());
            let ours = (!is_original).then(|| Server::zookeeper(&config).unwrap());
            if turn == 0 {
                script("zookeeper_tree.py", &["fill", &host]);
            } else {
                dumps.push(script("zookeeper_tree.py", &["dump", &host]));
            }
            drop((original, ours));
        }
        assert!(dumps[0].lines().count() > 200, "{}", dumps[0]);
        assert_eq!(dumps[0], dumps[1], "the original first: {original_first}");
        let snapshots = snapshots(&folder.path().join("data"));
        assert!(snapshots.len() > 1, "{snapshots:?}");
        let told: Vec<String> = snapshots.iter().flat_map(|snapshot| formatted_alike(snapshot)).collect();
        assert!(told.iter().any(|told| told.lines().count() > 2000), "all of the tree was in one of them");
    }
}

/// The snapshots of a data directory, oldest first.
pub(crate) fn snapshots(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("version-2")).unwrap();
    let mut snapshots: Vec<(i64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let zxid = path.file_name()?.to_str()?.strip_prefix("snapshot.")?;
            Some((i64::from_str_radix(zxid, 16).ok()?, path))
        })
        .collect();
    snapshots.sort();
    snapshots.into_iter().map(|(_, path)| path).collect()
}

/// What `zkSnapShotToolkit` tells of a snapshot with each of its options: the same as the original's.
pub(crate) fn formatted_alike(snapshot: &Path) -> Vec<String> {
    let file = snapshot.to_str().unwrap();
    let told = [vec![file], vec!["-d", file], vec!["-json", file]].map(|arguments| {
        let ours = run(Command::new(binary()).arg("zkSnapShotToolkit").args(&arguments), b"").unwrap();
        let theirs = Original::tool("org.apache.zookeeper.server.SnapshotFormatter", &arguments, b"").unwrap();
        let (ours, theirs) = (ours.success().unwrap(), theirs.success().unwrap());
        // The time at which it is told.
        let [ours, theirs] = [ours, theirs].map(|told| match told.split_once("\"timestamp\":") {
            Some((head, rest)) => format!("{head}{}", rest.trim_start_matches(|digit: char| digit.is_ascii_digit())),
            None => told,
        });
        // Names whose hashes collide stand in the original's sets as they came in.
        let pieces = |told: &str| {
            let mut pieces: Vec<String> = told.split(['\n', ',', '{', '}', '[', ']']).map(str::to_owned).collect();
            pieces.sort();
            pieces
        };
        let [one, other] = [&ours, &theirs].map(|told| pieces(told));
        let differing = one.iter().zip(&other).find(|(ours, theirs)| ours != theirs);
        assert!(one == other, "{arguments:?}: {differing:?}");
        ours
    });
    told.to_vec()
}

/// Stops servers 1 to `count`: the files of each are read by both snapshot toolkits, and hold the same tree.
pub(crate) fn assert_files_agree(ensemble: &mut Ensemble, count: usize) {
    (1..=count).for_each(|id| ensemble.stop(id).unwrap());
    let trees: Vec<BTreeSet<String>> = (1..=count).map(|id| tree_of(ensemble, id)).collect();
    for (tree, id) in trees.iter().zip(1..) {
        let differing: Vec<_> = tree.symmetric_difference(&trees[0]).take(4).collect();
        assert!(differing.is_empty(), "server {id}: {differing:?}");
    }
}

/// The znodes that a server's files come to, as both toolkits tell them: an original that stands alone makes a snapshot of all
/// that it finds.
fn tree_of(ensemble: &Ensemble, id: usize) -> BTreeSet<String> {
    let data = ensemble.data(id).unwrap();
    formatted_alike(snapshots(&data).last().unwrap());
    let (port, config) = (free_port().unwrap(), ensemble.path(&format!("alone-{id}.cfg")));
    let text = format!("dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\npreAllocSize=64\n", data.display());
    std::fs::write(&config, text).unwrap();
    Original::zookeeper(&config, port).unwrap().stop().unwrap();
    let told = formatted_alike(snapshots(&data).last().unwrap());
    let (nodes, _) = told[1].split_once("----\nSession Details").unwrap();
    // Each server writes its own list of servers into its tree.
    nodes.split("----\n").filter(|node| !node.starts_with("/zookeeper")).map(str::to_owned).collect()
}

#[test]
fn the_snapshot_toolkit_refuses_as_the_original_does() {
    let folder = tempfile::tempdir().unwrap();
    let [folder, none] =
        [folder.path().to_owned(), folder.path().join("snapshot.1")].map(|path| path.display().to_string());
    for arguments in
        [&[][..], &["-d"], &["a", "b"], &[none.as_str()], &[folder.as_str()], &["-d", "-json", "/etc/passwd"]]
    {
        let ours = run(Command::new(binary()).arg("zkSnapShotToolkit").args(arguments), b"").unwrap();
        let theirs = Original::tool("org.apache.zookeeper.server.SnapshotFormatter", arguments, b"").unwrap();
        assert_eq!((ours.code, &ours.stdout), (theirs.code, &theirs.stdout), "{arguments:?}");
        // A logger that has no configuration complains, too.
        assert!(
            !ours.stderr.is_empty() && theirs.stderr.contains(&ours.stderr),
            "{arguments:?}: {} {}",
            ours.stderr,
            theirs.stderr
        );
    }
}

fn length(book: &str) -> u64 {
    std::fs::metadata(book).map_or(0, |metadata| metadata.len())
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let (config, port) = configuration(folder.path());
    let host = format!("127.0.0.1:{port}");
    let book = folder.path().join("acknowledged");
    let book = book.to_str().unwrap();
    for round in 0..4 {
        let before = length(book);
        let server = Server::zookeeper(&config).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| script("zookeeper_account.py", &[&host, book]));
            let limit = Instant::now() + Duration::from_secs(30);
            while length(book) == before && Instant::now() < limit {
                std::thread::sleep(Duration::from_millis(10));
            }
            // In full swing, each time at another point.
            std::thread::sleep(Duration::from_millis(300 + 170 * round));
            drop(server);
            writer.join().unwrap();
        });
    }
    let _server = Server::zookeeper(&config).unwrap();
    let told = script("zookeeper_account.py", &[&host, book, "check"]);
    let acknowledged: u64 = told.split_whitespace().next().unwrap().parse().unwrap();
    assert!(acknowledged > 200, "{told}");
}

#[test]
fn four_letter_words_say_the_same() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [(config, port), (our_config, our_port)] = folders.each_ref().map(|folder| configuration(folder.path()));
    let _original = Original::start(OriginalKind::ZooKeeper, &config, port).unwrap();
    let _ours = Server::zookeeper(&our_config).unwrap();
    let (host, our_host) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{our_port}"));
    let told = script("zookeeper_words.py", &[&host, &our_host]);
    assert!(told.contains("same words"), "{told}");
}
