//! ZooKeeper's data directory: taken over from the original and given back; killed, with an account of what was
//! acknowledged.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interop::{Original, OriginalKind, Server, free_port, python};

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
