//! What goes wrong, one thing after the other.

use base::{Fault as DiskFault, Random};

use crate::network::CLIENTS;
use crate::server::Machine;
use crate::settings::{self, DATA, ServerId, one_of};
use crate::world::World;

const MS: u64 = 1000;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power of a machine goes off: what its disk has not made durable is lost in part or whole, an end may be torn.
    Power,
    /// A process is killed; what it has written stays.
    Kill,
    /// A server is asked to stop.
    Stop,
    /// A server is cut off from some others or all, in one direction or both, without anybody being told.
    Cut,
    /// The servers are in two halves, neither of which hears of the other.
    Split,
    /// Connections break.
    Break,
    /// Bytes take longer.
    SlowNetwork,
    /// A disk takes longer.
    SlowDisk,
    /// A process stands still.
    Stall,
    /// A wall clock is set.
    Clock,
    /// A client is gone for ever.
    Client,
    /// Writes or syncs of a disk fail.
    FailedDisk,
    /// A disk is full soon.
    FullDisk,
    /// A byte of a file changes while its server is off.
    Rot,
}

/// All of them, by name, and how often each is drawn.
const FAULTS: [(Fault, &str, u64); 14] = [
    (Fault::Power, "power", 3),
    (Fault::Kill, "kill", 2),
    (Fault::Stop, "stop", 1),
    (Fault::Cut, "cut", 3),
    (Fault::Split, "split", 2),
    (Fault::Break, "break", 2),
    (Fault::SlowNetwork, "slow-network", 1),
    (Fault::SlowDisk, "slow-disk", 1),
    (Fault::Stall, "stall", 1),
    (Fault::Clock, "clock", 1),
    (Fault::Client, "client", 1),
    (Fault::FailedDisk, "failed-disk", 1),
    (Fault::FullDisk, "full-disk", 1),
    (Fault::Rot, "rot", 1),
];
/// How often the network heals, among them.
const HEALS: u64 = 3;

impl Fault {
    /// The fault of this name.
    pub fn parse(name: &str) -> Option<Self> {
        FAULTS.iter().find(|(_, of, _)| *of == name).map(|(fault, _, _)| *fault)
    }
}

/// One of these, by weight, or `only` among them; `None`: the network heals.
pub(crate) fn draw<F: Copy + PartialEq>(
    faults: &[(F, &str, u64)],
    heals: u64,
    only: Option<F>,
    random: &mut Random,
) -> Option<F> {
    let drawn = || faults.iter().filter(|(fault, _, _)| only.is_none_or(|only| only == *fault));
    let mut at = random.below(drawn().map(|(_, _, weight)| weight).sum::<u64>() + heals);
    for (fault, _, weight) in drawn() {
        if at < *weight {
            return Some(*fault);
        }
        at -= weight;
    }
    None
}

impl World {
    /// Something goes wrong, or right again.
    pub(crate) fn fault(&mut self) {
        if let Some(fault) = draw(&FAULTS, HEALS, self.only, &mut self.random) {
            return self.goes_wrong(fault);
        }
        self.noted("heal", || "the network heals".into());
        self.network.heal();
    }

    /// The same, most often in the way in which two lists could decide.
    pub(crate) fn fault_of_list(&mut self) {
        match self.only.is_none() && self.chance(2) {
            true => self.goes_wrong(Fault::Split),
            false => self.fault(),
        }
    }

    fn goes_wrong(&mut self, fault: Fault) {
        let servers = self.machines.len() as ServerId;
        let id = 1 + self.random.below(servers);
        match fault {
            Fault::Power => self.crash(id, true),
            Fault::Kill => self.crash(id, false),
            Fault::Stop => self.stop(id),
            Fault::Cut => self.cut(id, servers),
            Fault::Split => self.split(servers),
            Fault::Break => {
                self.noted("break", || "connections break".into());
                for _ in 0..=self.random.below(4) {
                    self.network.break_one(&mut self.random);
                }
            }
            Fault::SlowNetwork => {
                let us = one_of(&mut self.random, [0, 1, 20]);
                self.noted("slow network", || format!("{us} us for each byte"));
                self.network.slow_down(us, &mut self.random);
            }
            Fault::SlowDisk => {
                let us = one_of(&mut self.random, [500, 5 * MS, 60 * MS, 400 * MS]);
                self.noted("slow disk", || format!("the disk of server {id} takes up to {us} us"));
                self.machine(id).disk_us = us;
            }
            Fault::Stall => {
                let until_us = self.now_us + self.random.below(1_500 * MS);
                self.noted("stall", || format!("server {id} stalls until {}", until_us / MS));
                self.machine(id).stalled_us = until_us;
            }
            Fault::Clock => self.set_clock(id),
            Fault::Client => {
                let index = self.random.below(self.clients.len() as u64);
                self.noted("client dies", || format!("client {index} dies"));
                self.client_dies(index);
            }
            Fault::FailedDisk => self.fail_disk(id),
            Fault::FullDisk => self.fill_disk(id),
            Fault::Rot => self.let_rot(id),
        }
    }

    pub(crate) fn noted(&mut self, what: &'static str, text: impl FnOnce() -> String) {
        self.onlooker.count(what);
        self.tell(|| format!("--- {}", text()));
    }

    pub(crate) fn crash(&mut self, id: ServerId, power_is_off: bool) {
        if !self.machine(id).is_up() {
            return;
        }
        self.noted(if power_is_off { "power off" } else { "kill" }, || format!("server {id} is gone, {power_is_off}"));
        self.process_ends(id, power_is_off);
        let longest = if self.chance(3) { 3_000 } else { 300 };
        let after_us = self.random.below(longest * MS);
        self.start_later(id, after_us);
    }

    pub(crate) fn stop(&mut self, id: ServerId) {
        self.noted("asked to stop", || format!("server {id} is asked to stop"));
        self.happened(id, zk_node::Event::Stop);
    }

    fn cut(&mut self, id: ServerId, servers: ServerId) {
        let how = self.random.below(3);
        self.noted("cut", || format!("server {id} is cut off in the way {how}"));
        let with_clients = self.chance(2);
        for other in (1..=servers).filter(|other| *other != id) {
            if how == 0 && self.chance(2) {
                continue;
            }
            if how != 1 {
                self.network.cut(id, other);
            }
            if how != 2 {
                self.network.cut(other, id);
            }
        }
        if with_clients {
            for index in 0..self.clients.len() as u64 {
                self.network.cut(CLIENTS + index, id);
            }
        }
    }

    fn split(&mut self, servers: ServerId) {
        let half: Vec<bool> = (0..servers).map(|_| self.chance(2)).collect();
        self.noted("split", || format!("the servers are split: {half:?}"));
        let half_of = |id: ServerId| half.get(id as usize - 1);
        for id in 1..=servers {
            for other in (1..=servers).filter(|other| half_of(*other) != half_of(id)) {
                self.network.cut(id, other);
            }
        }
    }

    fn set_clock(&mut self, id: ServerId) {
        self.noted("clock", || format!("the clock of server {id} is set"));
        let mut random = base::Random::from_seed(self.random.next_u64());
        self.machine(id).clock.set_wall(&mut random);
    }

    fn fail_disk(&mut self, id: ServerId) {
        if !self.machine(id).is_up() {
            return;
        }
        self.noted("disk fails", || format!("the disk of server {id} fails"));
        let fault = if self.chance(2) { DiskFault::Sync } else { DiskFault::Write };
        let machine = self.machine(id);
        machine.disk_failed = true;
        machine.disk.inject(DATA, fault);
    }

    fn fill_disk(&mut self, id: ServerId) {
        if self.machine(id).draw.reconfigures {
            // The files beside `zoo.cfg` are kept, as by somebody who keeps them on another disk: without room for them the
            // ensemble goes on with a list that a restart does not find, as the original's does.
            return self.fail_disk(id);
        }
        if !self.machine(id).is_up() {
            return;
        }
        let left = self.random.below(20_000);
        self.noted("disk full", || format!("the disk of server {id} has {left} bytes left"));
        let machine = self.machine(id);
        machine.disk_failed = true;
        machine.disk.set_free_bytes(Some(left));
    }

    /// Everything works from now on.
    pub(crate) fn heal(&mut self) {
        self.tell(|| "=== everything works from now on".into());
        self.network.heal();
        let ids: Vec<ServerId> = self.machines.keys().copied().collect();
        for id in ids {
            let machine = self.machine(id);
            machine.disk_us = 500;
            machine.stalled_us = 0;
            if machine.disk_failed && machine.is_up() {
                // What it was told is not to be trusted any more; its machine is started anew.
                self.process_ends(id, true);
            }
            self.start_later(id, 1);
        }
        self.tell_newest_list();
    }

    /// Where addresses change, who was away does not find the others any more, nor they him: a person gives him the newest list.
    fn tell_newest_list(&mut self) {
        let lists = self.machines.iter().filter(|(_, machine)| machine.draw.shape.moves);
        let lists: Vec<_> = lists.map(|(id, machine)| (*id, settings::list(&machine.disk))).collect();
        let Some(Some((newest, text))) = lists.iter().map(|(_, list)| list.clone()).max() else { return };
        for (id, _) in lists.into_iter().filter(|(_, list)| list.as_ref().is_none_or(|(version, _)| *version < newest))
        {
            self.noted("given the newest list", || format!("server {id} is given the list of {newest:x}"));
            self.process_ends(id, false);
            let Machine { disk, draw, .. } = self.machine(id);
            settings::rejoin(disk, id, &text, draw).expect("its disk works");
        }
    }
}
