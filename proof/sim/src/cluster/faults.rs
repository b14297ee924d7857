//! What goes wrong in a cluster, one thing after the other.

use base::Fault as DiskFault;

use super::clients::Client;
use super::ensemble::server_node;
use super::settings::BrokerId;
use super::world::{Happening, World};
use crate::faults::draw;
use crate::network::{CLIENTS, Node};
use crate::settings::one_of;

const MS: u64 = 1000;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed; what it has written stays.
    Kill,
    /// The power of a machine goes off while all others are well: what is not durable is lost.
    Power,
    /// A broker is asked to stop.
    Stop,
    /// A broker is cut off from some others or all, in one direction or both.
    Cut,
    /// A broker does not reach ZooKeeper.
    CutZooKeeper,
    /// Connections break.
    Break,
    /// Bytes take longer.
    SlowNetwork,
    /// A disk takes longer.
    SlowDisk,
    /// A process stands still, perhaps for longer than its session.
    Stall,
    /// A wall clock is set.
    Clock,
    /// A ZooKeeper server is killed, or loses its power.
    Server,
    /// Reads, writes or syncs of a log directory fail; after a while they work again, and later the broker is started anew.
    FailedDisk,
    /// A disk is full soon, and has room again after a while.
    FullDisk,
}

/// All of them, by name, and how often each is drawn.
const FAULTS: [(Fault, &str, u64); 13] = [
    (Fault::Kill, "kill", 3),
    (Fault::Power, "power", 2),
    (Fault::Stop, "stop", 1),
    (Fault::Cut, "cut", 3),
    (Fault::CutZooKeeper, "cut-zookeeper", 2),
    (Fault::Break, "break", 2),
    (Fault::SlowNetwork, "slow-network", 1),
    (Fault::SlowDisk, "slow-disk", 1),
    (Fault::Stall, "stall", 2),
    (Fault::Clock, "clock", 1),
    (Fault::Server, "server", 2),
    (Fault::FailedDisk, "failed-disk", 2),
    (Fault::FullDisk, "full-disk", 1),
];
/// How often the network heals, among them.
const HEALS: u64 = 4;

impl Fault {
    /// The fault of this name.
    pub fn parse(name: &str) -> Option<Self> {
        FAULTS.iter().find(|(_, of, _)| *of == name).map(|(fault, _, _)| *fault)
    }
}

/// A power loss, alone in its time: whoever loses what is not durable is no clean replica until it has caught up, and while another is
/// down, or was a moment ago, it may be the last one in sync. Who keeps it apart from other faults has nothing lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PowerLoss {
    None,
    /// It comes when all has been well since then for [`CALM_US`].
    Awaited(BrokerId, u64),
    /// It is over when all has been well since then for [`CALM_US`].
    Past(u64),
}

/// Longer than a session and a lag together.
const CALM_US: u64 = 3_000 * MS;

impl World {
    /// In some runs a power loss is the first thing that goes wrong: all has been well up to then.
    pub(super) fn power_loss_first(&mut self) {
        let id = 1 + self.random.below(self.machines.len() as u64) as BrokerId;
        let chance = if self.draw.strikes_office { 1 } else { 5 };
        if self.only.is_none_or(|only| only == Fault::Power) && self.chance(chance) {
            self.administrator_rests(true);
            self.power = PowerLoss::Awaited(id, self.now_us.saturating_sub(CALM_US / 2));
        }
    }

    /// The next thing goes wrong, unless a power loss wants to be alone.
    pub(super) fn fault_or_wait(&mut self) {
        let is_well = self.all_in_sync();
        match self.power {
            PowerLoss::None => self.fault(),
            PowerLoss::Awaited(id, _) if !is_well => self.power = PowerLoss::Awaited(id, self.now_us),
            PowerLoss::Past(_) if !is_well => self.power = PowerLoss::Past(self.now_us),
            PowerLoss::Awaited(..) if self.draw.strikes_office && !self.office_leads() => {}
            PowerLoss::Awaited(id, since_us) if self.now_us >= since_us + CALM_US => {
                self.power = PowerLoss::Past(self.now_us);
                self.power_goes_off(id);
            }
            PowerLoss::Past(since_us) if self.now_us >= since_us + CALM_US => {
                self.power = PowerLoss::None;
                self.administrator_rests(false);
            }
            PowerLoss::Awaited(..) | PowerLoss::Past(_) => {}
        }
    }

    fn administrator_rests(&mut self, rests: bool) {
        self.clients.iter_mut().filter(|client| client.administers()).for_each(|client| client.rests = rests);
    }

    /// Whether those who change something write nothing.
    pub(crate) fn writers_rest(&mut self, rest: bool) {
        self.clients.iter_mut().filter(|client| client.writes()).for_each(|client| client.rests = rest);
        self.administrator_rests(rest);
    }

    /// Something goes wrong, or right again.
    fn fault(&mut self) {
        if let Some(fault) = draw(&FAULTS, HEALS, self.only, &mut self.random) {
            return self.goes_wrong(fault);
        }
        self.noted("heal", || "the network heals".into());
        self.network.heal();
    }

    fn goes_wrong(&mut self, fault: Fault) {
        let id = 1 + self.random.below(self.machines.len() as u64) as BrokerId;
        match fault {
            Fault::Kill => self.crash(id, false),
            Fault::Power => self.await_power_loss(id),
            Fault::Stop => self.stop(id),
            Fault::Cut => self.cut(id),
            Fault::CutZooKeeper => {
                self.noted("cut from ZooKeeper", || format!("broker {id} does not reach ZooKeeper"));
                for server in 1..=self.draw.servers {
                    self.network.cut(node(id), server_node(server));
                    self.network.cut(server_node(server), node(id));
                }
            }
            Fault::Break => {
                self.noted("break", || "connections break".into());
                for _ in 0..=self.random.below(4) {
                    self.network.break_one(&mut self.random);
                }
            }
            Fault::SlowNetwork => {
                let us = one_of(&mut self.random, [0, 1, 5]);
                self.noted("slow network", || format!("{us} us for each byte"));
                self.network.slow_down(us, &mut self.random);
            }
            Fault::SlowDisk => {
                let us = one_of(&mut self.random, [500, 5 * MS, 60 * MS, 400 * MS]);
                self.noted("slow disk", || format!("the disk of broker {id} takes up to {us} us"));
                self.machine(id).disk_us = us;
            }
            Fault::Stall => {
                let until_us = self.now_us + self.random.below(3_000 * MS);
                self.noted("stall", || format!("broker {id} stalls until {}", until_us / MS));
                self.machine(id).stalled_us = until_us;
            }
            Fault::Clock => {
                self.noted("clock", || format!("the clock of broker {id} is set"));
                let mut random = base::Random::from_seed(self.random.next_u64());
                self.machine(id).clock.set_wall(&mut random);
            }
            Fault::Server => self.crash_server(),
            Fault::FailedDisk => self.fail_disk(id),
            Fault::FullDisk => self.fill_disk(id),
        }
    }

    /// Whether the broker that holds the office leads a partition.
    fn office_leads(&self) -> bool {
        let controller = self.clients.iter().find_map(Client::controller).unwrap_or(-1);
        let partitions = self.clients.iter().filter_map(Client::partitions).flatten();
        partitions.into_iter().any(|(_, partition)| partition.leader == controller)
    }

    fn await_power_loss(&mut self, id: BrokerId) {
        if self.machine(id).syncs_failed {
            return;
        }
        self.tell(|| format!("--- the power of broker {id} is to go off when all is well"));
        self.network.heal();
        self.machines.values_mut().for_each(|machine| machine.stalled_us = 0);
        self.mend_disks();
        self.administrator_rests(true);
        self.power = PowerLoss::Awaited(id, self.now_us);
    }

    /// At once, or after some syncs that have failed. In half of all cases it is that of the broker that holds the office, which is back
    /// before the others have found a moment to look who lives: for less than their sessions live they stand still.
    fn power_goes_off(&mut self, id: BrokerId) {
        let controller = self.clients.iter().find_map(Client::controller).unwrap_or(id);
        let is_office = self.draw.strikes_office || self.chance(2);
        if is_office && self.machines.get(&controller).is_some_and(|machine| machine.is_up() && !machine.syncs_failed) {
            self.noted("office off", || {
                format!("the power of broker {controller} goes off for a moment, and others stand still")
            });
            self.process_ends(controller, true);
            let after_us = self.random.below(60 * MS);
            self.start_later(controller, after_us);
            let others: Vec<BrokerId> = self.machines.keys().copied().filter(|other| *other != controller).collect();
            for other in others {
                self.machine(other).stalled_us = self.now_us + self.random.below(450 * MS);
            }
            return;
        }
        let fails_before = self.chance(2);
        if fails_before && self.machine(id).is_up() {
            self.inject(id, DiskFault::Sync);
            let mended_us = self.random.below(300 * MS);
            self.at(mended_us, Happening::DiskMended(id));
        }
        let after_us = if fails_before { self.random.below(400 * MS) } else { 0 };
        self.at(after_us, Happening::PowerOff(id));
    }

    pub(super) fn power_off(&mut self, id: BrokerId) {
        let machine = self.machine(id);
        machine.mend_disk();
        (machine.disk_failed, machine.syncs_failed) = (false, false);
        match machine.is_up() {
            true => self.crash(id, true),
            // Its disk has ended it a moment ago.
            false => self.process_ends(id, true),
        }
    }

    fn fail_disk(&mut self, id: BrokerId) {
        if !self.machine(id).is_up() || self.machine(id).disk_failed {
            return;
        }
        let fault = one_of(&mut self.random, [DiskFault::Read, DiskFault::Write, DiskFault::Sync]);
        self.inject(id, fault);
        let mended_us = self.random.below(1_500 * MS);
        let restart_us = mended_us + self.random.below(1_500 * MS);
        self.at(mended_us, Happening::DiskMended(id));
        self.at(restart_us, Happening::Restart(id));
    }

    /// From now on all calls of this kind fail in one of a broker's log directories.
    fn inject(&mut self, id: BrokerId, fault: DiskFault) {
        let dirs = self.draw.log_dirs();
        let dir = dirs.get(self.random.below(dirs.len() as u64) as usize).copied().unwrap_or_default();
        self.noted("disk fails", || format!("the disk of broker {id} fails at {dir}: {fault:?}"));
        let machine = self.machine(id);
        machine.disk_failed = true;
        machine.is_unreadable |= fault == DiskFault::Read;
        machine.syncs_failed |= fault == DiskFault::Sync;
        machine.disk.inject(dir, fault);
    }

    /// A person has seen to its disk.
    pub(super) fn restart(&mut self, id: BrokerId) {
        let machine = self.machine(id);
        if !std::mem::replace(&mut machine.disk_failed, false) {
            return;
        }
        self.tell(|| format!("--- broker {id} is started anew, as its disk failed"));
        self.process_ends(id, false);
        self.start_later(id, 1);
    }

    fn fill_disk(&mut self, id: BrokerId) {
        let left = self.random.below(20_000);
        self.noted("disk full", || format!("the disk of broker {id} has {left} bytes left"));
        self.machine(id).disk.set_free_bytes(Some(left));
        let after_us = self.random.below(2_000 * MS);
        self.at(after_us, Happening::DiskMended(id));
    }

    /// All disks work again, and who had one that did not is started anew.
    fn mend_disks(&mut self) {
        let ids: Vec<BrokerId> = self.machines.keys().copied().collect();
        for id in ids {
            self.machine(id).mend_disk();
            self.restart(id);
        }
    }

    pub(super) fn noted(&mut self, what: &'static str, text: impl FnOnce() -> String) {
        self.onlooker.count(what);
        self.tell(|| format!("--- {}", text()));
    }

    fn crash(&mut self, id: BrokerId, power_is_off: bool) {
        if !self.machine(id).is_up() {
            return;
        }
        self.noted(if power_is_off { "power off" } else { "kill" }, || format!("broker {id} is gone, {power_is_off}"));
        self.process_ends(id, power_is_off);
        let longest = if self.chance(3) { 3_000 } else { 400 };
        let after_us = self.random.below(longest * MS);
        self.start_later(id, after_us);
    }

    /// One of them, while all others are there.
    fn crash_server(&mut self) {
        if self.ensemble.values().any(|machine| !machine.is_up()) {
            return;
        }
        let id = 1 + self.random.below(self.draw.servers);
        let power_is_off = self.chance(2);
        self.noted("server gone", || format!("ZooKeeper server {id} is gone, {power_is_off}"));
        self.server_ends(id, power_is_off);
        let after_us = self.random.below(1_500 * MS);
        self.at(after_us, Happening::StartServer(id));
    }

    fn cut(&mut self, id: BrokerId) {
        let how = self.random.below(3);
        self.noted("cut", || format!("broker {id} is cut off in the way {how}"));
        let others: Vec<BrokerId> = self.machines.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            if how == 0 && self.chance(2) {
                continue;
            }
            if how != 1 {
                self.network.cut(node(id), node(other));
            }
            if how != 2 {
                self.network.cut(node(other), node(id));
            }
        }
        if self.chance(2) {
            for index in 0..self.clients.len() as u64 {
                self.network.cut(CLIENTS + index, node(id));
            }
        }
    }

    /// Everything works from now on.
    pub(crate) fn heal(&mut self) {
        self.tell(|| "=== everything works from now on".into());
        self.network.heal();
        // Before AlterIsr a leader tells of its ISRs when none has changed for 5 s, or once a minute: moves without end would put off the
        // end of each.
        self.administrator_rests(true);
        (1..=self.draw.servers).for_each(|id| self.at(1, Happening::StartServer(id)));
        self.mend_disks();
        let ids: Vec<BrokerId> = self.machines.keys().copied().collect();
        for id in ids {
            let machine = self.machine(id);
            machine.disk_us = 500;
            machine.stalled_us = 0;
            self.start_later(id, 1);
        }
    }
}

/// A broker's name in the network.
pub(crate) const fn node(id: BrokerId) -> Node {
    id.unsigned_abs() as Node
}
