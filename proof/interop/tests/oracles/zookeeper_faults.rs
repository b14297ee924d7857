//! Three of ours under load while servers are killed, frozen and cut off, their disks slow or full. No write that was acknowledged is
//! lost, no session that kept its heartbeats, no watch; and writes go on behind each fault.
//!
//! One round, or as many as fit into `JACKDAW_FAULTS_MINUTES` (`cargo xtask faults --hours N`).

use std::time::{Duration, Instant};

use interop::{Ensemble, Kind, Load};

/// Longer than a leader or a follower takes to find that the other is silent, and a client that its server is.
const SESSION_TIMEOUT_S: u32 = 20;
const LINES: &str = "maxSessionTimeout=20000\nsnapCount=2000\nautopurge.purgeInterval=0\n";
const SERVERS: [usize; 3] = [1, 2, 3];

struct Faults {
    ensemble: Ensemble,
    load: Load,
}

impl Faults {
    fn begin() -> Self {
        let mut ensemble = Ensemble::with_faults(3, LINES, 64 << 20).unwrap();
        for id in SERVERS {
            ensemble.start(id, Kind::Ours).unwrap();
        }
        ensemble.await_leader().unwrap();
        let load = Load::begin(&ensemble, SESSION_TIMEOUT_S).unwrap();
        Self { ensemble, load }
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

    /// A server that does not answer, and one behind it that does again. `leader`: the leader is taken, else a follower.
    fn silent(&mut self, leader: bool, begin: fn(&Ensemble, usize), end: fn(&Ensemble, usize), what: &str) {
        let leads = self.is_whole(what);
        let id = if leader { leads } else { leads % 3 + 1 };
        begin(&self.ensemble, id);
        let next = self.ensemble.await_leader_without(id).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(next == leads, !leader, "{what}: a leader that is followed stays");
        self.goes_on(what);
        end(&self.ensemble, id);
        self.is_whole(what);
    }

    fn killed(&mut self) {
        for id in SERVERS {
            self.ensemble.kill(id).unwrap();
            self.goes_on("kill -9");
            self.ensemble.start(id, Kind::Ours).unwrap();
            self.is_whole("kill -9");
        }
        // Two at once: no quorum, until one is back.
        for id in [1, 2] {
            self.ensemble.kill(id).unwrap();
        }
        for id in [1, 2] {
            self.ensemble.start(id, Kind::Ours).unwrap();
        }
        self.is_whole("kill -9 of two");
    }

    fn with_slow_disks(&mut self) {
        let slow = SERVERS.map(|id| self.ensemble.slow_syncs(id, Duration::from_millis(50)).unwrap());
        self.is_whole("slow disks");
        let leader = self.ensemble.await_leader().unwrap();
        self.ensemble.kill(leader).unwrap();
        self.goes_on("an election with slow disks");
        drop(slow);
        self.ensemble.start(leader, Kind::Ours).unwrap();
        self.is_whole("slow disks");
    }

    /// A server that can't log ends, rather than acknowledge what it has not; with room it comes back.
    fn with_a_full_disk(&mut self, leader: bool) {
        let leads = self.is_whole("a full disk");
        let id = if leader { leads } else { leads % 3 + 1 };
        let full = self.ensemble.fill_disk(id).unwrap();
        let code = self.ensemble.await_end(id).unwrap();
        assert_ne!(code, Some(0), "{}", self.ensemble.log_ends());
        self.goes_on("a full disk");
        drop(full);
        self.ensemble.start(id, Kind::Ours).unwrap();
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
        self.with_a_full_disk(true);
        self.with_a_full_disk(false);
    }
}

#[test]
fn ours_lose_nothing_to_faults_under_load() {
    let minutes: u64 = std::env::var("JACKDAW_FAULTS_MINUTES").map_or(0, |text| text.parse().unwrap());
    let start = Instant::now();
    let mut faults = Faults::begin();
    loop {
        faults.round();
        if start.elapsed() >= Duration::from_secs(60 * minutes) {
            faults.load.account(&faults.ensemble).unwrap();
            return;
        }
    }
}
