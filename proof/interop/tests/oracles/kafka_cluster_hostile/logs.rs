//! A follower's log that was cut, and one that was torn: it comes back with what its leader has.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use interop::kafka_cli;

use super::Session;

/// One that nothing was done to before.
const TOPIC: &str = "logs";
/// Broker 1 leads it.
const FOLLOWER: usize = 3;
const RECORDS: usize = 200;

pub(super) fn script(session: &mut Session) {
    let servers = session.cluster.servers();
    session.cluster.create(TOPIC, &[&[1, 2, 3]]).unwrap();
    for (what, damage) in [
        (
            "cut",
            &(|path: &PathBuf| File::options().write(true).open(path).unwrap().set_len(size(path) - 70).unwrap())
                as &dyn Fn(&PathBuf),
        ),
        ("emptied", &|path| File::options().write(true).open(path).unwrap().set_len(0).unwrap()),
        ("torn in the middle", &|path| {
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(&[0xff; 40], size(path) / 2).unwrap();
        }),
        ("with a tail of zeros", &|path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(size(path) + 1000).unwrap();
        }),
        ("gone", &|path| fs::remove_file(path).unwrap()),
    ] {
        let records: String = (0..RECORDS).map(|number| format!("{what} {number}\n")).collect();
        let arguments = ["-P", "-b", &servers, "-t", TOPIC, "-p", "0", "-X", "acks=all", "-X", "batch.num.messages=10"];
        kafka_cli(&arguments, records.as_bytes()).unwrap().success().unwrap();
        session.cluster.kill(FOLLOWER).unwrap();
        session.cluster.await_gone(FOLLOWER).unwrap();
        damage(&newest_segment(session));
        session.cluster.start(FOLLOWER, session.kind).unwrap();
        session.cluster.await_brokers().unwrap();
        session.cluster.await_in_sync(TOPIC).unwrap();
        session.cluster.replicas_are_equal().unwrap();
        let arguments = ["-C", "-b", &servers, "-t", TOPIC, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%o %s\n"];
        let read = kafka_cli(&arguments, b"").unwrap().success().unwrap();
        session.note(what, (read.lines().count(), read.lines().last().map(str::to_owned)));
        session.cluster.elect_preferred(TOPIC).unwrap();
    }
}

fn size(path: &PathBuf) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn newest_segment(session: &Session) -> PathBuf {
    let dirs = session.cluster.log_dirs(FOLLOWER).unwrap().map(|dir| dir.join(format!("{TOPIC}-0")));
    let dir = dirs.iter().find(|dir| dir.exists()).unwrap();
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "log")).max().unwrap()
}
