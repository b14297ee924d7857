//! Random histories on the raw wire, to the original and to ours: replies and watch events are equal but for times,
//! session ids and the order of children, which the original takes from a hash table.
//!
//! `JACKDAW_SEED` repeats a history or looks for new ones; `JACKDAW_STEPS` makes it longer.

mod generator;
mod wire;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use interop::{Original, Server, free_port};

use generator::{Generator, Step, Theme};
use wire::Side;

const SESSIONS: u64 = 3;

fn configuration(folder: &Path) -> (PathBuf, u16) {
    let port = free_port().unwrap();
    let config = folder.join("zoo.cfg");
    // A session that nobody pings between two steps must not expire.
    let text = format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=10000\nadmin.enableServer=false\n\
         forceSync=no\nextendedTypesEnabled=true\n\
         DigestAuthenticationProvider.superDigest=super:xQJmxLMiHGwaqBvst5y6rkB6HQs=\n",
        folder.join("data").display()
    );
    std::fs::write(&config, text).unwrap();
    (config, port)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn label(step: &Step) -> String {
    match step {
        Step::Requests(requests) => requests.iter().fold(String::new(), |mut text, sent| {
            let _ = write!(text, "\n    {}", sent.label);
            text
        }),
        Step::Last(sent) => sent.label.clone(),
        Step::Junk(bytes) => format!("junk {bytes:?}"),
        Step::Reconnect(right) => format!("reconnects, the password is right: {right}"),
        Step::Replace(timeout_ms) => format!("closes and opens anew, timeout {timeout_ms}"),
    }
}

/// Runs a history against both.
fn compare(seed: u64, theme: Theme, steps: u64) {
    println!("seed {seed}, {theme:?}, {steps} steps");
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [(config, port), (our_config, our_port)] = folders.each_ref().map(|folder| configuration(folder.path()));
    let _original = Original::zookeeper(&config, port).unwrap();
    let _ours = Server::zookeeper(&our_config).unwrap();
    let mut sides = [Side::new(port), Side::new(our_port)];
    let mut generator = Generator::new(seed, theme);
    for _ in 0..SESSIONS {
        let [expected, actual] = sides.each_mut().map(|side| side.open(30_000));
        assert_eq!(expected, actual);
    }
    let mut history = Vec::new();
    for number in 0..steps {
        let session = generator.below(SESSIONS) as usize;
        let step = generator.step(session);
        history.push(format!("{number}: session {session} {}", label(&step)));
        let [expected, actual] = sides.each_mut().map(|side| side.run(session, &step));
        if expected != actual {
            let from = history.len().saturating_sub(12);
            panic!(
                "seed {seed}, {theme:?}\n{}\nthe original: {expected:#?}\nours: {actual:#?}",
                history[from..].join("\n")
            );
        }
    }
    // What all of it has come to, seen by the super user.
    let [expected, actual] = sides.each_mut().map(Side::tree);
    assert!(expected.len() > 5, "{expected:?}");
    assert_eq!(expected, actual, "seed {seed}, {theme:?}");
}

fn histories(theme: Theme) {
    let steps = number("JACKDAW_STEPS").unwrap_or(1500);
    match number("JACKDAW_SEED") {
        Some(seed) => compare(seed, theme, steps),
        None => (1..=2).for_each(|seed| compare(seed, theme, steps)),
    }
}

#[test]
fn random_requests_and_watches_are_answered_alike() {
    histories(Theme::Watches);
}

#[test]
fn random_requests_and_permissions_are_answered_alike() {
    histories(Theme::Permissions);
}
