//! Whole ensembles: one leader, of the best history, in bounded time.

use std::collections::BTreeMap;

use zk_zab::{PeerState, Quorum, ServerId, Voter};

use crate::world::World;

/// After healing, everybody has agreed within this. A lost voter is tried again within a second, a role looked after
/// within half of one, and a few rounds may be needed.
const SETTLES_MS: u64 = 10_000;

const SEEDS: u64 = 100;

fn majority(voters: ServerId, observers: ServerId) -> Quorum {
    Quorum::majority(0, 1..=voters, voters + 1..=voters + observers)
}

fn start_all(world: &mut World, servers: &[ServerId]) {
    for id in servers {
        let pause = world.random.below(300);
        world.run_ms(pause);
        world.start(*id);
    }
}

/// Runs until all agree. Gives how long that took, in ms.
fn settle(world: &mut World, seed: u64) -> u64 {
    let start = world.now;
    while world.agreed_leader().is_none() {
        world.run_ms(10);
        let took = (world.now - start) / 1000;
        assert!(took <= SETTLES_MS, "seed {seed}: no agreement after {took} ms\n{:#?}", world.servers);
    }
    // And it stays.
    let leader = world.agreed_leader();
    let elections = world.elections;
    let took = (world.now - start) / 1000;
    world.run_ms(3000);
    assert_eq!((world.agreed_leader(), world.elections), (leader, elections), "seed {seed}");
    took
}

/// Cuts come and go, in one direction or both.
fn trouble(world: &mut World, servers: &[ServerId], with_crashes: bool) {
    for _ in 0..30 {
        let pick = |world: &mut World| servers[world.random.below(servers.len() as u64) as usize];
        let (one, other) = (pick(world), pick(world));
        match world.random.below(6) {
            0 | 1 => drop(world.cuts.insert((one, other))),
            2 => world.cuts.extend([(one, other), (other, one)]),
            3 => world.cuts.clear(),
            4 if with_crashes && world.servers[&one].is_up => world.crash(one),
            4 | 5 if with_crashes && !world.servers[&one].is_up => world.start(one),
            _ => world.cuts.retain(|(from, to)| *from != one && *to != one),
        }
        let pause = world.random.below(400);
        world.run_ms(pause);
    }
}

fn heal(world: &mut World, servers: &[ServerId]) {
    world.cuts.clear();
    for id in servers {
        if !world.servers[id].is_up {
            world.start(*id);
        }
    }
}

#[test]
fn whoever_wins_has_the_best_history_of_a_quorum_whatever_the_network_does() {
    for voters in [3, 5, 7] {
        let servers: Vec<ServerId> = (1..=voters).collect();
        for seed in 0..SEEDS {
            let mut world = World::new(seed, majority(voters, 0));
            world.is_still = true;
            world.delay_max = [300, 5000, 150_000][seed as usize % 3];
            start_all(&mut world, &servers);
            trouble(&mut world, &servers, false);
            heal(&mut world, &servers);
            settle(&mut world, seed);
        }
    }
}

#[test]
fn servers_that_crash_and_come_back_agree_with_the_others_again() {
    for (voters, observers) in [(3, 0), (3, 2), (5, 1), (7, 0)] {
        let servers: Vec<ServerId> = (1..=voters + observers).collect();
        for seed in 0..SEEDS {
            let mut world = World::new(seed, majority(voters, observers));
            world.delay_max = [300, 5000, 150_000][seed as usize % 3];
            start_all(&mut world, &servers);
            trouble(&mut world, &servers, true);
            heal(&mut world, &servers);
            settle(&mut world, seed);
        }
    }
}

#[test]
fn groups_elect_by_their_weight() {
    let voter = |id: ServerId| (id, Voter { weight: i64::from(id % 3 != 0), group: (id - 1) / 3 });
    let servers: Vec<ServerId> = (1..=9).collect();
    for seed in 0..SEEDS / 3 {
        let quorum = Quorum::hierarchical(0, servers.iter().copied().map(voter).collect::<BTreeMap<_, _>>(), []);
        let mut world = World::new(seed, quorum);
        // A server of no weight keeps its own better vote, and only joins.
        for id in [3, 6, 9] {
            world.disks.insert(id, (0, 0));
        }
        start_all(&mut world, &servers);
        trouble(&mut world, &servers, true);
        heal(&mut world, &servers);
        settle(&mut world, seed);
        assert_ne!(world.agreed_leader().map(|id| id % 3), Some(0));
    }
}

#[test]
fn a_quorum_elects_while_the_rest_is_down_and_the_rest_joins() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, majority(5, 0));
        world.is_still = true;
        start_all(&mut world, &[1, 2, 3]);
        settle(&mut world, seed);
        let leader = world.agreed_leader();
        // Even with a better history: what a quorum elected stays.
        world.disks.insert(5, (9, 0));
        start_all(&mut world, &[5, 4]);
        world.run_ms(1000);
        assert_eq!(world.agreed_leader(), leader, "seed {seed}");
    }
}

#[test]
fn a_minority_elects_nobody() {
    for seed in 0..SEEDS / 3 {
        let mut world = World::new(seed, majority(5, 1));
        start_all(&mut world, &[2, 5, 6]);
        world.run_ms(20_000);
        assert_eq!(world.elections, 0);
        assert!(world.servers.values().all(|server| server.state == PeerState::Looking));
    }
}

#[test]
fn a_first_election_and_a_fail_over_take_a_few_messages_times() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, majority(3, 0));
        world.delay_max = 500;
        for id in [1, 2, 3] {
            world.disks.insert(id, (0, 0));
            world.start(id);
        }
        let took = |world: &mut World| {
            let start = world.now;
            while world.agreed_leader().is_none() {
                world.run_ms(1);
            }
            (world.now - start) / 1000
        };
        let first = took(&mut world);
        assert!(first <= 8, "seed {seed}: {first} ms");
        assert_eq!(world.agreed_leader(), Some(3));
        world.run_ms(5000);

        // Both followers learn of it by their roles' timers here; from then on it is the election's time.
        world.crash(3);
        world.run_ms(1);
        world.look_again(&[1, 2]);
        let second = took(&mut world);
        assert!(second <= 8, "seed {seed}: {second} ms");
        assert_eq!(world.agreed_leader(), Some(2));
    }
}
