//! Seeds of whole ensembles. A seed that fails is printed; `SIM_SEED=N` runs that one alone, `SIM_SEEDS=N` so many instead of
//! the usual number, and `cargo run --release -p sim -- --servers 3 --seed N --tell` prints what happens in it.

use sim::{Plan, Seen, run};

const FAULTS_MS: u64 = 5_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn seeds(servers: u64, faults_ms: u64, count: u64) -> Seen {
    let one = env("SIM_SEED");
    let seeds = one.map_or(0..env("SIM_SEEDS").unwrap_or(count), |seed| seed..seed + 1);
    let (mut all, mut failed) = (Seen::new(), Vec::new());
    for seed in seeds {
        match run(Plan { seed, servers, faults_ms, only: None, tells: false }) {
            Ok(seen) => seen.into_iter().for_each(|(what, times)| *all.entry(what).or_default() += times),
            Err(broken) => failed.push(format!("--servers {servers} --faults-ms {faults_ms} --seed {seed}: {broken}")),
        }
    }
    assert!(failed.is_empty(), "{} seeds failed:\n{}", failed.len(), failed.join("\n"));
    all
}

/// What the runs must have gone through, or they show nothing.
fn assert_seen(seen: &Seen, what: &[&str]) {
    if env("SIM_SEED").is_none() {
        for what in what {
            assert!(seen.contains_key(what), "no run went through {what}: {seen:?}");
        }
    }
}

const USUAL: [&str; 36] = [
    "DIFF",
    "TRUNC",
    "SNAP",
    "log read",
    "elected",
    "snapshot",
    "purge",
    "congested",
    "power off",
    "kill",
    "asked to stop",
    "stop",
    "cut",
    "split",
    "break",
    "stall",
    "slow disk",
    "disk fails",
    "disk full",
    "client dies",
    "session resumed",
    "session expired",
    "session upgraded",
    "local session expired",
    "watch event",
    "whole history",
    "read-only",
    "read of a reader",
    "write refused by a reader",
    "session made to read",
    "session goes on to read",
    "allowed",
    "forbidden",
    "rot",
    "refuses a damaged disk",
    "starts on a damaged disk",
];

/// Of runs in which clients change the list of servers.
const RECONFIGURED: [&str; 9] = [
    "reconfigured",
    "list in force",
    "appointed",
    "becomes an observer",
    "gets a vote",
    "is left out",
    "rejoin",
    "peers' port moved",
    "clients' port moved",
];

#[test]
fn three_servers_and_nothing_goes_wrong() {
    seeds(3, 0, 10);
}

#[test]
fn three_servers() {
    assert_seen(&seeds(3, FAULTS_MS, 500), &USUAL);
}

#[test]
fn five_servers() {
    let seen = seeds(5, FAULTS_MS, 400);
    assert_seen(&seen, &USUAL);
    assert_seen(&seen, &["observes", "groups"]);
    assert_seen(&seen, &RECONFIGURED);
}

#[test]
fn seven_servers() {
    seeds(7, FAULTS_MS, 100);
}

#[test]
fn a_seed_is_a_run() {
    let plan = Plan { seed: 7, servers: 3, faults_ms: FAULTS_MS, only: None, tells: false };
    assert_eq!(run(plan), run(plan));
}
