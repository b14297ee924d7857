//! A run: some seconds in which everything goes wrong, then everything works, then all is quiet and what is left is looked at.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use base::Disk;
use zk_tree::Tree;

use crate::faults::Fault;
use crate::invariants::Verdict;
use crate::invariants::lists;
use crate::invariants::one_history::{self, Log};
use crate::invariants::progress::State;
use crate::invariants::rights;
use crate::settings::{self, NEXT_LIST, SESSION_TIMEOUT_MS, ServerId, TICK_MS};
use crate::tree;
use crate::world::World;

const MS: u64 = 1000;
const CLIENTS: u64 = 4;
/// How often logs are looked at while the run goes on.
const LOGS_US: u64 = 700 * MS;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Servers of the ensemble.
    pub servers: u64,
    /// How long things go wrong; 0 for a run in which nothing does.
    pub faults_ms: u64,
    /// Nothing else goes wrong; `None`: everything does.
    pub only: Option<Fault>,
    /// Whether what happens is printed.
    pub tells: bool,
}

/// What a run went through, counted.
pub type Seen = BTreeMap<&'static str, u64>;

/// Runs a plan.
///
/// # Errors
/// Which rule was broken, and how. A panic of a server is one, too.
pub fn run(plan: Plan) -> Result<Seen, String> {
    let world = World::new(&plan, CLIENTS);
    let mut world = world.map_err(|error| format!("{error:#}"))?;
    match catch_unwind(AssertUnwindSafe(|| go_through(&mut world, plan))) {
        Ok(verdict) => verdict?,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            return Err(format!("a panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()));
        }
    }
    let leaders = world.onlooker.leaders.count();
    world.onlooker.seen.insert("epochs", leaders);
    Ok(std::mem::take(&mut world.onlooker.seen))
}

fn go_through(world: &mut World, plan: Plan) -> Verdict {
    let faults_us = if plan.faults_ms == 0 { 3_000 * MS } else { plan.faults_ms * MS };
    step_until(world, faults_us)?;
    world.heal();
    progress(world)?;
    if world.gets_new_disk() {
        progress(world)?;
    }
    for what in ["global session expired", "other error"] {
        if plan.faults_ms == 0 && world.onlooker.seen.contains_key(what) {
            return Err(format!("nothing went wrong, but {what}"));
        }
    }
    rest(world)?;
    look_at_what_is_left(world)
}

fn ids(world: &World) -> Vec<ServerId> {
    world.machines.keys().copied().collect()
}

/// Lets time pass, and looks into the logs now and then.
fn step_until(world: &mut World, until_us: u64) -> Verdict {
    while world.now_us < until_us {
        world.step()?;
        if world.now_us >= world.logs_us {
            world.logs_us = world.now_us + LOGS_US;
            for id in ids(world) {
                world.read_log(id)?;
            }
        }
    }
    Ok(())
}

/// All must serve soon.
fn progress(world: &mut World) -> Verdict {
    let (mut start_us, mut acted) = (world.now_us, false);
    let before: Vec<u64> = world.clients.iter().map(|client| client.acknowledged).collect();
    loop {
        step_until(world, world.now_us + 20 * MS)?;
        let modes = || world.machines.values().map(|machine| (machine.id, &machine.mode));
        let state = State {
            leaders: modes().filter(|(_, mode)| mode.as_ref().is_some_and(|(mode, _)| mode == "leader")).count(),
            missing: modes()
                .filter(|(id, mode)| !serves(mode.as_ref()) && !world.refuses(*id))
                .map(|(id, _)| id)
                .collect(),
            waiting: world
                .clients
                .iter()
                .zip(&before)
                .filter(|(client, before)| client.acknowledged <= **before)
                .map(|(client, _)| client.describe())
                .collect(),
        };
        if state.is_good() {
            return Ok(());
        }
        if let Err(error) = state.check((world.now_us - start_us) / MS) {
            if acted || !world.person_acts()? {
                return Err(error);
            }
            (start_us, acted) = (world.now_us, true);
        }
    }
}

/// Whether a server that says so of itself has its part in the ensemble.
fn serves(mode: Option<&(String, i64)>) -> bool {
    mode.is_some_and(|(mode, _)| mode != "read-only")
}

/// Clients only keep their sessions; sessions that nobody keeps run out.
fn rest(world: &mut World) -> Verdict {
    world.tell(|| "=== clients rest".into());
    world.clients.iter_mut().for_each(|client| client.rests = true);
    step_until(world, world.now_us + (SESSION_TIMEOUT_MS as u64 * 2 + 4 * TICK_MS) * MS)?;
    match world.clients.iter().find(|client| !client.is_at_rest()) {
        Some(client) => Err(format!("client {} finds no rest", client.index)),
        None => Ok(()),
    }
}

fn look_at_what_is_left(world: &mut World) -> Verdict {
    let mut logs: BTreeMap<ServerId, Log> = BTreeMap::new();
    let mut trees: BTreeMap<ServerId, Tree> = BTreeMap::new();
    let mut lists = BTreeMap::new();
    for id in ids(world) {
        let log = world.read_log(id)?;
        world.process_ends(id, true);
        let is_rotten = world.is_rotten(id);
        let machine = world.machine(id);
        match tree::recovered(machine) {
            Ok(tree) => drop(trees.insert(id, tree)),
            // It would not start again, which is right.
            Err(_) if is_rotten => {}
            Err(error) => return Err(error),
        }
        if !is_rotten {
            logs.insert(id, log);
        }
        if machine.draw.reconfigures {
            let waits = matches!(machine.disk.metadata(Path::new(NEXT_LIST)), Ok(Some(_)));
            lists.insert(id, lists::Found { list: settings::list(&machine.disk), waits });
        }
    }
    lists::check(&lists)?;
    let onlooker = &world.onlooker;
    onlooker.history.trees(&trees)?;
    rights::trees(&trees)?;
    onlooker.history.logs(&logs)?;
    for tree in trees.values() {
        onlooker.acknowledged.finish(tree)?;
        onlooker.linearizable.finish(tree)?;
        onlooker.ephemerals.finish(tree)?;
        onlooker.watches.finish(tree)?;
    }
    let Some((_, longest)) = one_history::longest(&logs) else { return Ok(()) };
    onlooker.order.finish(longest.values())?;
    // Only a log that reaches back to the beginning is the whole history.
    if longest.keys().next().is_some_and(|zxid| *zxid == FIRST_ZXID) {
        world.onlooker.settle_readers(longest)?;
        world.onlooker.ephemerals.looks(longest)?;
        world.onlooker.rights.finish(longest, &trees)?;
        world.onlooker.count("whole history");
    }
    Ok(())
}

/// The first transaction of the first epoch.
const FIRST_ZXID: i64 = 1 << 32 | 1;
