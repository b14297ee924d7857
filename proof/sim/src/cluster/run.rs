//! A run: some seconds in which everything goes wrong, then everything works, then all is quiet and what is left is looked at.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kafka_control::znode;

use super::clients::{Client, Held};
use super::faults::Fault;
use super::invariants::{office, replicas};
use super::logs::{self, ReplicaLog};
use super::settings::{BrokerId, Deletion, Draw, OFFSETS_TOPIC, RETENTION_BYTES, TOPIC};
use super::world::World;
use crate::invariants::Verdict;
use crate::run::Seen;
use crate::settings::ServerId;
use crate::tree;

const MS: u64 = 1000;
/// How often logs are looked at while the run goes on.
const LOGS_US: u64 = 400 * MS;
/// How long nothing may be under way before the replicas are compared.
const QUIET_MS: u64 = 1_500;

/// How long after its start a broker's regular work on its logs begins.
const REGULAR_MS: u64 = 31_000;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Brokers of the cluster.
    pub brokers: i32,
    /// How long things go wrong; 0 for a run in which nothing does.
    pub faults_ms: u64,
    /// Nothing else goes wrong; `None`: everything does.
    pub only: Option<Fault>,
    /// Whether what happens is printed.
    pub tells: bool,
}

/// Runs a plan.
///
/// # Errors
/// Which rule was broken, and how. A panic of a broker is one, too.
pub fn run(plan: Plan) -> Result<Seen, String> {
    let mut world = World::new(&plan).map_err(|error| format!("{error:#}"))?;
    match catch_unwind(AssertUnwindSafe(|| go_through(&mut world, plan))) {
        Ok(verdict) => verdict?,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            return Err(format!("a panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()));
        }
    }
    let onlooker = &mut world.onlooker;
    let counts = [
        ("acknowledged", onlooker.acknowledged.count() as u64),
        ("read", onlooker.reads.count() as u64),
        ("below a high watermark", onlooker.committed.count() as u64),
        ("epochs", onlooker.leaders.count()),
        ("logs whose start moved", onlooker.starts.moved()),
        ("generations", onlooker.owners.generations()),
        ("commits of members", onlooker.commits.count() as u64),
    ];
    for (what, times) in counts {
        onlooker.seen.insert(what, times);
    }
    Ok(std::mem::take(&mut onlooker.seen))
}

fn go_through(world: &mut World, plan: Plan) -> Verdict {
    // Nothing goes wrong before there is a topic.
    progress(world)?;
    if world.draw.waits {
        wait(world)?;
    }
    world.begin_faults();
    if plan.faults_ms == 0 {
        let until_us = world.now_us + 3_000 * MS;
        step_until(world, until_us)?;
    }
    while world.now_us < world.faults_until_us {
        let until_us = world.faults_until_us;
        step_until(world, until_us)?;
    }
    world.heal();
    progress(world)?;
    finish(world)?;
    let quiet_us = world.now_us + QUIET_MS * MS;
    step_until(world, quiet_us)?;
    look_at_what_is_left(world)
}

/// Nobody writes until brokers note regularly how far their logs are durable.
fn wait(world: &mut World) -> Verdict {
    world.writers_rest(true);
    let until_us = world.now_us + REGULAR_MS * MS;
    step_until(world, until_us)?;
    world.writers_rest(false);
    Ok(())
}

/// Lets time pass, and looks into the logs now and then.
fn step_until(world: &mut World, until_us: u64) -> Verdict {
    while world.now_us < until_us {
        world.step()?;
        if world.now_us >= world.logs_us {
            world.logs_us = world.now_us + LOGS_US;
            look_at_logs(world)?;
        }
    }
    Ok(())
}

fn look_at_logs(world: &mut World) -> Verdict {
    for partition in 0..world.draw.partitions {
        for log in replicas_of(world, partition)?.into_values() {
            world.onlooker.leaders.look(partition, &log)?;
            world.onlooker.committed.look(partition, &log, log.high_watermark)?;
        }
    }
    Ok(())
}

fn replicas_of(world: &World, partition: i32) -> Result<BTreeMap<BrokerId, ReplicaLog>, String> {
    let mut found = BTreeMap::new();
    // What a power loss has left is not looked at before it was recovered.
    for (id, machine) in world.machines.iter().filter(|(_, machine)| machine.serves && !machine.is_unreadable) {
        let log = logs::read(&machine.disk, partition).map_err(|error| format!("broker {id}: {error}"))?;
        // What lies before it is in a file perhaps, but for nobody: a follower whose log parts from the leader's there lets it go.
        let known = machine.broker.as_ref().and_then(|broker| broker.log_start_and_high_watermark(TOPIC, partition));
        let start = known.map_or(0, |(start, _)| start);
        found.extend(log.map(|log| (*id, ReplicaLog { start: log.start.max(start), ..log })));
    }
    Ok(found)
}

/// As [`replicas_of`], of those brokers alone that have the partition now: what others were slow to delete does not count.
fn assigned_replicas(world: &World, partition: i32) -> Result<BTreeMap<BrokerId, ReplicaLog>, String> {
    let mut found = replicas_of(world, partition)?;
    let described = world.clients.iter().find_map(Client::partitions).and_then(|all| all.get(&partition));
    found.retain(|id, _| described.is_some_and(|one| one.replicas.contains(id)));
    Ok(found)
}

/// All must serve soon.
fn progress(world: &mut World) -> Verdict {
    let start_us = world.now_us;
    let before: Vec<Option<u64>> = world.clients.iter().map(Client::acknowledged).collect();
    loop {
        let until_us = world.now_us + 20 * MS;
        step_until(world, until_us)?;
        let state = world.state(&before);
        if state.is_good() {
            return Ok(());
        }
        state.check((world.now_us - start_us) / MS)?;
    }
}

/// Producers get their last answers, and readers come to the end.
fn finish(world: &mut World) -> Verdict {
    world.tell(|| "=== producers rest".into());
    world.clients.iter_mut().for_each(|client| client.rests = true);
    let start_us = world.now_us;
    let none: Vec<Option<u64>> = world.clients.iter().map(|_| None).collect();
    loop {
        let until_us = world.now_us + 50 * MS;
        step_until(world, until_us)?;
        let mut state = world.state(&none);
        state.unfinished = world.clients.iter().flat_map(Client::unfinished).collect();
        if state.unfinished.is_empty() {
            state.unfinished = readers_behind(world)?;
            state.unfinished.extend(members_behind(world)?);
            state.unfinished.extend(world.machines.values().flat_map(|machine| logs::copies(&machine.disk)));
        }
        if state.is_good() {
            return Ok(());
        }
        state.check((world.now_us - start_us) / MS)?;
    }
}

fn look_at_what_is_left(world: &mut World) -> Verdict {
    look_at_logs(world)?;
    for partition in 0..world.draw.partitions {
        let found = assigned_replicas(world, partition)?;
        replicas::equal(partition, &found)?;
        starts(world, partition, &found)?;
        let Some(log) = found.values().next() else { continue };
        world.onlooker.acknowledged.finish(partition, log)?;
        world.onlooker.reads.finish(partition, log)?;
        world.onlooker.committed.finish(partition, log)?;
    }
    if world.draw.members > 0 {
        let number = Draw::group_partition();
        let (leader, _) = world.leaders(OFFSETS_TOPIC, number).next().ok_or("nobody leads the members' group")?;
        let machine = world.machine(leader);
        let records = logs::group(&machine.disk, number).map_err(|error| format!("broker {leader}: {error}"))?;
        world.onlooker.commits.finish(&records)?;
    }
    look_at_states(world)
}

/// Whether what is gone of a partition was to go.
fn starts(world: &World, partition: i32, found: &BTreeMap<BrokerId, ReplicaLog>) -> Verdict {
    let mut replicas = world.replicas(partition);
    replicas.retain(|replica| found.contains_key(&replica.broker));
    let by_itself = matches!(world.draw.deletion, Deletion::BySize | Deletion::ByTime);
    world.onlooker.starts.finish(partition, by_itself, &replicas)?;
    let shortest = found.values().filter(|log| log.start > 0).map(|log| log.bytes.len()).min();
    match shortest.filter(|length| world.draw.deletion == Deletion::BySize && *length < RETENTION_BYTES) {
        Some(length) => {
            Err(format!("{length} bytes are left of partition {partition}, which was to keep {RETENTION_BYTES}"))
        }
        None => Ok(()),
    }
}

/// Compares what ZooKeeper has with what the brokers know.
fn look_at_states(world: &mut World) -> Verdict {
    let ids: Vec<ServerId> = world.ensemble.keys().copied().collect();
    let mut trees = Vec::new();
    for id in ids {
        world.server_ends(id, false);
        trees.push(tree::recovered(world.server(id))?);
    }
    let Some(tree) = trees.iter().max_by_key(|tree| tree.last_zxid()) else { return Ok(()) };
    for topic in world.clients.iter().flat_map(Client::deleted) {
        if tree.get(&znode::topic(&topic)).is_some() {
            return Err(format!("{topic} is there, although its deletion was acknowledged"));
        }
    }
    for partition in 0..world.draw.partitions {
        let path = znode::partition_state(TOPIC, partition);
        let content = tree.get(&path).and_then(|node| node.data()).unwrap_or_default();
        let state = znode::LeaderAndIsr::decode(TOPIC, partition, content).map_err(|error| error.to_string())?;
        let leaders = world.leaders(TOPIC, partition).collect();
        office::agree(partition, &state, usize::from(world.draw.factor.unsigned_abs()), &leaders)?;
        let replicas = assigned_replicas(world, partition)?.into_keys().collect();
        for (broker, answers) in world.clients.iter().filter_map(Client::described).flatten() {
            office::described(partition, &state, &replicas, (*broker, answers.get(&partition)))?;
        }
    }
    Ok(())
}

/// Readers that are not at the end of a partition.
fn readers_behind(world: &World) -> Result<Vec<String>, String> {
    let mut behind = Vec::new();
    for partition in 0..world.draw.partitions {
        let end = assigned_replicas(world, partition)?.values().map(|log| log.end).max();
        for positions in world.clients.iter().filter_map(Client::positions) {
            let position = positions.get(&partition).copied();
            if position != end {
                behind.push(format!("a reader of partition {partition} at {position:?} of {end:?}"));
            }
        }
    }
    Ok(behind)
}

/// Partitions that the group does not read to their end, all in one generation, or has not committed there.
fn members_behind(world: &World) -> Result<Vec<String>, String> {
    let members: Vec<Held> = world.clients.iter().filter_map(Client::held).collect();
    let Some((generation, _)) = members.first() else { return Ok(Vec::new()) };
    let generations: Vec<i32> = members.iter().map(|(generation, _)| *generation).collect();
    if generations.iter().any(|other| other != generation || *other < 0) {
        return Ok(vec![format!("members of the generations {generations:?}")]);
    }
    let mut behind = Vec::new();
    for partition in 0..world.draw.partitions {
        let end = assigned_replicas(world, partition)?.values().map(|log| log.end).max();
        let places: Vec<_> = members.iter().filter_map(|(_, held)| held.get(&partition)).collect();
        if !matches!(*places, [(next, committed)] if *next == end && *committed == end) {
            behind.push(format!("members are at {places:?} of partition {partition}, which ends at {end:?}"));
        }
    }
    Ok(behind)
}
