//! Seeds of whole clusters. A seed that fails is printed; `SIM_SEED=N` runs that one alone, `SIM_SEEDS=N` so many instead of the usual
//! number, and `cargo run --release -p sim -- --brokers 3 --seed N --tell` prints what happens in it.

use sim::Seen;
use sim::cluster::{Plan, run};

const FAULTS_MS: u64 = 4_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn seeds(brokers: i32, faults_ms: u64, count: u64) -> Seen {
    let one = env("SIM_SEED");
    let seeds = one.map_or(0..env("SIM_SEEDS").unwrap_or(count), |seed| seed..seed + 1);
    let (mut all, mut failed) = (Seen::new(), Vec::new());
    for seed in seeds {
        match run(Plan { seed, brokers, faults_ms, only: None, tells: false }) {
            Ok(seen) => seen.into_iter().for_each(|(what, times)| *all.entry(what).or_default() += times),
            Err(broken) => failed.push(format!("--brokers {brokers} --faults-ms {faults_ms} --seed {seed}: {broken}")),
        }
    }
    assert!(failed.is_empty(), "{} seeds failed:\n{}", failed.len(), failed.join("\n"));
    all
}

/// What the runs must have gone through, or they show nothing.
fn assert_seen(seen: &Seen, what: &[&str]) {
    if env("SIM_SEED").is_none() {
        for what in what {
            assert!(seen.get(what).is_some_and(|times| *times > 0), "no run went through {what}: {seen:?}");
        }
    }
}

#[test]
fn three_brokers() {
    let usual = ["acknowledged", "read", "below a high watermark", "epochs", "committed", "producer gone"];
    let wrong =
        ["kill", "power off", "cut", "cut from ZooKeeper", "stall", "break", "server gone", "disk fails", "disk full"];
    let asked = ["topic made", "topic deleted", "moved", "records deleted", "logs whose start moved"];
    let members = ["assigned", "committed by a member", "member gone", "member leaves", "name taken", "member fenced"];
    assert_seen(&seeds(3, FAULTS_MS, 20), &[&usual[..], &wrong, &asked, &members].concat());
}

#[test]
fn five_brokers() {
    assert_seen(&seeds(5, FAULTS_MS, 6), &["acknowledged", "read", "kill", "cut"]);
}

#[test]
fn seven_brokers() {
    assert_seen(&seeds(7, FAULTS_MS, 2), &["acknowledged", "read"]);
}

/// Each has shown a fault, which docs/simulation.md tells of.
#[test]
fn seeds_that_failed_once() {
    for seed in [35, 107] {
        let run = run(Plan { seed, brokers: 3, faults_ms: FAULTS_MS, only: None, tells: false });
        assert_eq!(run.err(), None, "--brokers 3 --faults-ms {FAULTS_MS} --seed {seed}");
    }
}

#[test]
fn nothing_goes_wrong() {
    let seen = seeds(3, 0, 2);
    assert_seen(&seen, &["acknowledged", "read"]);
    assert_eq!((seen.get("delivery failed"), seen.get("producer failed")), (None, None), "{seen:?}");
}
