//! Brokers that must not join.

use std::fs;

use super::{MISFIT, Session};

pub(super) fn script(session: &mut Session) {
    let id = session.cluster.cluster_id().unwrap();
    let meta = |broker: &str, cluster: &str| format!("version=0\nbroker.id={broker}\ncluster.id={cluster}\n");
    let cases = [
        ("an id that is taken", 2, None),
        ("another cluster", MISFIT, Some(meta("4", "another-cluster-0000000"))),
        ("another broker's directories", MISFIT, Some(meta("7", &id))),
        ("another broker's id, and taken", 2, Some(meta("4", &id))),
        ("a later version", MISFIT, Some(meta("4", &id).replace("version=0", "version=9"))),
        ("no number", MISFIT, Some(meta("four", &id))),
        ("no version", MISFIT, Some("broker.id=4\n".to_owned())),
        ("no id", MISFIT, Some("version=0\n".to_owned())),
        ("an id below all", MISFIT, Some(meta("-4", &id))),
        ("an empty file", MISFIT, Some(String::new())),
    ];
    for (what, broker, meta) in cases {
        starts_not(session, what, broker, [meta.as_deref(); 2]);
    }
    let (own, other) = (meta("4", &id), meta("4", "another-cluster-0000000"));
    starts_not(session, "directories of two clusters", MISFIT, [Some(&own), Some(&other)]);
    starts_not(session, "directories of two brokers", MISFIT, [Some(&own), Some("version=0\nbroker.id=5\n")]);
}

/// A broker with this id, and these files in its directories, ends with the same words; the others don't mind.
fn starts_not(session: &mut Session, what: &str, broker: usize, metas: [Option<&str>; 2]) {
    let cluster = &mut session.cluster;
    cluster.configure(MISFIT, &format!("broker.id={broker}\n")).unwrap();
    for (dir, meta) in cluster.log_dirs(MISFIT).unwrap().into_iter().zip(metas) {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        if let Some(meta) = meta {
            fs::write(dir.join("meta.properties"), meta).unwrap();
        }
    }
    let before = cluster.log(MISFIT).unwrap_or_default().len();
    cluster.start(MISFIT, session.kind).unwrap();
    let code = cluster.await_end(MISFIT).unwrap();
    let log = cluster.log(MISFIT).unwrap();
    session.note(&format!("{what}: exit code"), code);
    for line in complaints(&log[before..]) {
        session.note(what, line);
    }
    session.cluster.await_brokers().unwrap();
    session.serves(what);
}

/// Lines of errors, and the exceptions behind them.
fn complaints(log: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_behind = false;
    for line in log.lines() {
        let starts = line.starts_with('[');
        let line = line.split_once("] ").filter(|_| starts).map_or(line, |(_, rest)| rest);
        if starts {
            is_behind = line.starts_with("ERROR ") || line.starts_with("FATAL ");
        }
        if is_behind && !line.starts_with('\t') {
            found.push(line);
        }
    }
    found
}
