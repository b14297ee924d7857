//! Three of ours, or of ours and the originals with an observer, under load while servers are killed, frozen and cut off, their disks slow or full. No write that was acknowledged is
//! lost, no session that kept its heartbeats, no watch; and writes go on behind each fault.
//!
//! One round, or as many as fit into `JACKDAW_FAULTS_MINUTES` (`cargo xtask faults --hours N`).

use std::time::{Duration, Instant};

use interop::{Ensemble, Kind, Load};

use Kind::{Ours, Theirs};

use crate::zookeeper_data::assert_files_agree;

/// Longer than a leader or a follower takes to find that the other is silent, and a client that its server is: kazoo may wait two
/// thirds of it for an answer, then 2 s for one that is cut off, then a quarter for one that is frozen.
const SESSION_TIMEOUT_S: u32 = 30;
const LINES: &str = "maxSessionTimeout=30000\nsnapCount=5000\nautopurge.purgeInterval=0\n";
/// Those with a vote.
const SERVERS: [usize; 3] = [1, 2, 3];
const OBSERVER: usize = 4;

struct Faults {
    ensemble: Ensemble,
    /// Of servers 1, 2, 3 and, if there is one, of the observer.
    kinds: Vec<Kind>,
    load: Load,
}

impl Faults {
    fn begin(voters: [Kind; 3], observer: Option<Kind>) -> Self {
        let kinds: Vec<Kind> = voters.into_iter().chain(observer).collect();
        let mut ensemble = Ensemble::with_faults(kinds.len(), LINES, 256 << 20).unwrap();
        if observer.is_some() {
            let line = ensemble.line(OBSERVER).unwrap();
            for id in 1..=kinds.len() {
                ensemble.reconfigure(id, &line, &line.replace('\n', ":observer\n")).unwrap();
            }
            ensemble.reconfigure(OBSERVER, "tickTime", "peerType=observer\ntickTime").unwrap();
        }
        for (id, kind) in (1..).zip(&kinds) {
            ensemble.start(id, *kind).unwrap();
        }
        ensemble.await_leader().unwrap();
        let load = Load::begin(&ensemble, SESSION_TIMEOUT_S).unwrap();
        Self { ensemble, kinds, load }
    }

    fn start(&mut self, id: usize) {
        self.ensemble.start(id, self.kinds[id - 1]).unwrap();
    }

    /// Writes are acknowledged still, or again.
    fn goes_on(&mut self, after: &str) {
        self.load.goes_on(&mut self.ensemble, after).unwrap();
    }

    /// All three serve again.
    fn is_whole(&mut self, after: &str) -> usize {
        let leader = self.ensemble.await_leader().unwrap_or_else(|error| panic!("{after}: {error}"));
        self.goes_on(after);
        leader
    }

    /// Whether the ensemble may lose a server for a while: one of ours must be left to be the quorum with the third. Two originals
    /// left alone under load may take minutes to agree, or agree and not serve; `zookeeper_ensemble` has what they must do.
    fn may_miss(&self, gone: usize) -> bool {
        SERVERS.into_iter().any(|id| id != gone && self.kinds[id - 1] == Ours)
    }

    /// A server that does not answer, and one behind it that does again. `leader`: the leader is taken, else a follower.
    fn silent(&mut self, leader: bool, begin: fn(&Ensemble, usize), end: fn(&Ensemble, usize), what: &str) {
        let leads = self.is_whole(what);
        let Some(id) = SERVERS.into_iter().find(|id| (*id == leads) == leader && self.may_miss(*id)) else { return };
        begin(&self.ensemble, id);
        let next = self.ensemble.await_leader_without(id).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(next == leads, !leader, "{what}: a leader that is followed stays");
        self.goes_on(what);
        end(&self.ensemble, id);
        self.is_whole(what);
    }

    fn killed(&mut self) {
        for id in (1..=self.kinds.len()).filter(|id| self.may_miss(*id)).collect::<Vec<_>>() {
            self.ensemble.kill(id).unwrap();
            self.goes_on("kill -9");
            self.start(id);
            self.is_whole("kill -9");
        }
        // Two at once: no quorum, until one is back.
        for id in [1, 2] {
            self.ensemble.kill(id).unwrap();
        }
        for id in [1, 2] {
            self.start(id);
        }
        self.is_whole("kill -9 of two");
    }

    fn with_slow_disks(&mut self) {
        // strace holds all threads of a JVM up in all that they do.
        let ours = SERVERS.into_iter().filter(|id| self.kinds[*id - 1] == Ours);
        let slow: Vec<_> = ours.map(|id| self.ensemble.slow_syncs(id, Duration::from_millis(50)).unwrap()).collect();
        self.is_whole("slow disks");
        let leader = self.ensemble.await_leader().unwrap();
        if self.may_miss(leader) {
            self.ensemble.kill(leader).unwrap();
            self.goes_on("an election with slow disks");
            self.start(leader);
        }
        drop(slow);
        self.is_whole("slow disks");
    }

    /// A leader of ours that logs nothing for `syncLimit`, while the others do, makes way.
    fn with_a_hung_disk(&mut self) {
        let leads = self.is_whole("a hung disk");
        if self.kinds[leads - 1] != Ours || !self.may_miss(leads) {
            return;
        }
        let hung = self.ensemble.slow_syncs(leads, Duration::from_secs(10)).unwrap();
        let makes_way = |ensemble: &Ensemble| Ok(ensemble.log(leads)?.contains("and the others do without it"));
        self.ensemble.wait("a leader's end", makes_way).unwrap();
        self.ensemble.await_leader_without(leads).unwrap();
        self.goes_on("a hung disk");
        drop(hung);
        self.is_whole("a hung disk");
    }

    /// A server of ours that can't log ends, rather than acknowledge what it has not; with room it comes back.
    fn with_a_full_disk(&mut self, leader: bool) {
        let leads = self.is_whole("a full disk");
        let wanted = |id: &usize| (*id == leads) == leader && self.kinds[*id - 1] == Ours && self.may_miss(*id);
        let Some(id) = SERVERS.into_iter().find(wanted) else { return };
        let full = self.ensemble.fill_disk(id).unwrap();
        let code = self.ensemble.await_end(id).unwrap();
        assert_ne!(code, Some(0), "{}", self.ensemble.log_ends());
        self.goes_on("a full disk");
        drop(full);
        self.start(id);
        self.is_whole("a full disk");
    }

    fn round(&mut self) {
        self.killed();
        for leader in [true, false] {
            let frozen = |ensemble: &Ensemble, id| ensemble.freeze(id).unwrap();
            self.silent(leader, frozen, |ensemble, id| ensemble.go_on(id).unwrap(), "SIGSTOP");
            let cut = |ensemble: &Ensemble, id| ensemble.cut(id).unwrap();
            self.silent(leader, cut, |ensemble, id| ensemble.heal(id).unwrap(), "a cut link");
        }
        self.with_slow_disks();
        self.with_a_hung_disk();
        self.with_a_full_disk(true);
        self.with_a_full_disk(false);
    }

    /// The account; then each server's files are read by both snapshot toolkits, and hold the same tree.
    fn end(mut self) {
        self.is_whole("all faults");
        let Self { mut ensemble, load, kinds } = self;
        assert!(load.account(&ensemble).unwrap() > 0);
        assert_files_agree(&mut ensemble, kinds.len());
    }
}

#[test]
fn ours_lose_nothing_to_faults_under_load() {
    let minutes: u64 = std::env::var("JACKDAW_FAULTS_MINUTES").map_or(0, |text| text.parse().unwrap());
    let start = Instant::now();
    let mut faults = Faults::begin([Ours; 3], None);
    loop {
        faults.round();
        if start.elapsed() >= Duration::from_secs(60 * minutes) {
            return faults.end();
        }
    }
}

#[test]
fn two_of_ours_and_an_original_lose_nothing_to_faults_under_load() {
    let mut faults = Faults::begin([Ours, Theirs, Ours], Some(Theirs));
    faults.round();
    faults.end();
}

#[test]
fn one_of_ours_and_two_originals_lose_nothing_to_faults_under_load() {
    let mut faults = Faults::begin([Theirs, Ours, Theirs], Some(Ours));
    faults.round();
    faults.end();
}
