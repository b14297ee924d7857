//! A leader or a learner alone on a stage: what it is told, and what it wants, as short lines.

use std::sync::Arc;

use base::Monotonic;
use bytes::Bytes;
use zk_zab::{
    DecidingLists, Entry, Epochs, FromLeader, FromLearner, History, Leader, LeaderEffect, LeaderSettings, Learner,
    LearnerEffect, LearnerInfo, LearnerSettings, LinkId, LogChunk, LogStart, ProposedList, Quorum, ServerId, Zxid,
    epoch_start,
};

pub(crate) const TICK_MS: u64 = 100;
pub(crate) const INIT_LIMIT_MS: u64 = 1000;
pub(crate) const SYNC_LIMIT_MS: u64 = 500;
/// Transactions kept in memory.
pub(crate) const HISTORY_LEN: usize = 4;

/// The transaction `counter` of `epoch`.
pub(crate) const fn zxid(epoch: i64, counter: i64) -> Zxid {
    epoch_start(epoch) + counter
}

pub(crate) fn entry(epoch: i64, counter: i64) -> Entry {
    Entry { zxid: zxid(epoch, counter), payload: Bytes::from(format!("{epoch}.{counter}")) }
}

/// A history that goes on behind a transaction.
pub(crate) fn history(floor: Zxid, entries: impl IntoIterator<Item = (i64, i64)>) -> History {
    let mut history = History::starting_behind(floor);
    entries.into_iter().for_each(|(epoch, counter)| history.push(entry(epoch, counter)));
    history
}

/// `epoch.counter`.
fn name(zxid: Zxid) -> String {
    if zxid < 0 { zxid.to_string() } else { format!("{}.{}", zxid >> 32, zxid & 0xffff_ffff) }
}

fn of_leader(packet: &FromLeader) -> String {
    match packet {
        FromLeader::LeaderInfo { epoch } => format!("LEADERINFO {epoch}"),
        FromLeader::Diff { zxid } => format!("DIFF {}", name(*zxid)),
        FromLeader::Trunc { zxid } => format!("TRUNC {}", name(*zxid)),
        FromLeader::Snap { zxid } => format!("SNAP {}", name(*zxid)),
        FromLeader::NewLeader { epoch, config } if config == "servers" => format!("NEWLEADER {epoch}"),
        FromLeader::NewLeader { epoch, config } => format!("NEWLEADER {epoch} {}", String::from_utf8_lossy(config)),
        FromLeader::UpToDate => "UPTODATE".to_owned(),
        FromLeader::Proposal(entry) => format!("PROPOSAL {}", name(entry.zxid)),
        FromLeader::Commit { zxid } => format!("COMMIT {}", name(*zxid)),
        FromLeader::CommitAndActivate { zxid, leader } => format!("COMMITANDACTIVATE {} {leader}", name(*zxid)),
        FromLeader::Inform(entry) => format!("INFORM {}", name(entry.zxid)),
        FromLeader::InformAndActivate { entry, leader } => format!("INFORMANDACTIVATE {} {leader}", name(entry.zxid)),
        FromLeader::Ping { zxid } => format!("PING {}", name(*zxid)),
        FromLeader::Other(bytes) => format!("other {}", String::from_utf8_lossy(bytes)),
    }
}

fn of_learner(packet: &FromLearner) -> String {
    match packet {
        FromLearner::Info(info) => format!("INFO {} accepted {}", info.id, info.accepted_epoch),
        FromLearner::AckEpoch { current_epoch, last_zxid } => {
            format!("ACKEPOCH {} {}", current_epoch.map_or("-".to_owned(), |epoch| epoch.to_string()), name(*last_zxid))
        }
        FromLearner::Ack { zxid } => format!("ACK {}", name(*zxid)),
        FromLearner::Ping => "PING".to_owned(),
    }
}

fn leader_wants(effect: &LeaderEffect) -> String {
    match effect {
        LeaderEffect::Send { link, packet } => format!("{} {}", link.0, of_leader(packet)),
        LeaderEffect::Close { link, reason } => format!("{} closed: {reason}", link.0),
        LeaderEffect::AcceptEpoch(epoch) => format!("accept {epoch}"),
        LeaderEffect::EnterEpoch(epoch) => format!("enter {epoch}"),
        LeaderEffect::SendSnapshot { link } => format!("{} tree", link.0),
        LeaderEffect::ReadLog { link, after } => format!("{} log behind {}", link.0, name(*after)),
        LeaderEffect::Established { epoch } => format!("established {epoch}"),
        LeaderEffect::Commit(zxid) => format!("commit {}", name(*zxid)),
        LeaderEffect::Activate { leader } => format!("activate {leader}"),
        LeaderEffect::Resign(reason) => format!("resign: {reason}"),
    }
}

fn learner_wants(effect: &LearnerEffect) -> String {
    match effect {
        LearnerEffect::Send(packet) => of_learner(packet),
        LearnerEffect::AcceptEpoch(epoch) => format!("accept {epoch}"),
        LearnerEffect::Truncate(zxid) => format!("truncate {}", name(*zxid)),
        LearnerEffect::ReceiveSnapshot { zxid } => format!("receive tree {}", name(*zxid)),
        LearnerEffect::Log(entry) => format!("log {}", name(entry.zxid)),
        LearnerEffect::Commit(zxid) => format!("commit {}", name(*zxid)),
        LearnerEffect::Config(config) => format!("config {}", String::from_utf8_lossy(config)),
        LearnerEffect::Activate { zxid, leader } => format!("activate {} {leader}", name(*zxid)),
        LearnerEffect::EnterEpoch(epoch) => format!("enter {epoch}"),
        LearnerEffect::Serve { epoch } => format!("serve {epoch}"),
        LearnerEffect::Abandon(reason) => format!("abandon: {reason}"),
    }
}

pub(crate) fn majority(voters: impl IntoIterator<Item = ServerId>) -> Quorum {
    Quorum::majority(0, voters, [9])
}

pub(crate) const fn settings() -> LeaderSettings {
    LeaderSettings {
        id: 1,
        tick_ms: TICK_MS,
        init_limit_ms: INIT_LIMIT_MS,
        sync_limit_ms: SYNC_LIMIT_MS,
        history_len: HISTORY_LEN,
        force_snapshot: false,
        snapshot_syncs_max: 1,
        epoch_wait_ms: None,
    }
}

pub(crate) fn info(id: ServerId, accepted_epoch: i64) -> FromLearner {
    let is_observer = id == 9;
    FromLearner::Info(LearnerInfo { id, is_observer, protocol_version: 0x1_0000, config_version: 0, accepted_epoch })
}

pub(crate) const fn promise(current_epoch: i64, last_zxid: Zxid) -> FromLearner {
    FromLearner::AckEpoch { current_epoch: Some(current_epoch), last_zxid }
}

pub(crate) const fn ack(zxid: Zxid) -> FromLearner {
    FromLearner::Ack { zxid }
}

/// Server 1 as the leader, in what was epoch 4 up to now; link N leads to server N, unless a test says otherwise.
pub(crate) struct Led {
    pub(crate) leader: Leader,
    pub(crate) now_ms: u64,
    /// What it wanted first.
    pub(crate) first: Vec<String>,
}

impl Led {
    pub(crate) fn new(quorum: Quorum, history: History) -> Self {
        Self::with(settings(), quorum, history)
    }

    pub(crate) fn with(settings: LeaderSettings, quorum: Quorum, history: History) -> Self {
        Self::with_next(settings, quorum, None, history)
    }

    pub(crate) fn with_next(
        settings: LeaderSettings,
        quorum: Quorum,
        next: Option<ProposedList>,
        history: History,
    ) -> Self {
        let mut effects = Vec::new();
        let (now, config, epochs) = (Monotonic::from_ms(0), Bytes::from_static(b"servers"), Epochs::new(4, 4));
        let lists = DecidingLists::new(Arc::new(quorum), config, next);
        let leader = Leader::new(settings, lists, history, &epochs, now, &mut effects);
        Self { leader, now_ms: 0, first: effects.iter().map(leader_wants).collect() }
    }

    /// A leader of epoch 5 whom server 2 follows on link 2.
    pub(crate) fn established(quorum: Quorum, history: History) -> Self {
        Self::established_with(settings(), quorum, history)
    }

    pub(crate) fn established_with(settings: LeaderSettings, quorum: Quorum, history: History) -> Self {
        let last = history.last_zxid();
        let mut led = Self::with(settings, quorum, history);
        led.hello(2, 2, 4);
        led.tell(|leader, now, wanted| leader.epoch_accepted(5, now, wanted));
        led.hears(2, promise(4, last));
        led.tell(|leader, now, wanted| leader.epoch_entered(5, now, wanted));
        assert_eq!(led.hears(2, ack(zxid(5, 0))), ["established 5", "2 UPTODATE"]);
        led
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce(&mut Leader, Monotonic, &mut Vec<LeaderEffect>)) -> Vec<String> {
        let mut wanted = Vec::new();
        what(&mut self.leader, Monotonic::from_ms(self.now_ms), &mut wanted);
        wanted.iter().map(leader_wants).collect()
    }

    pub(crate) fn hears(&mut self, link: u64, packet: FromLearner) -> Vec<String> {
        self.tell(|leader, now, wanted| leader.packet(LinkId(link), packet, now, wanted))
    }

    /// A server connects and says who it is.
    pub(crate) fn hello(&mut self, link: u64, id: ServerId, accepted_epoch: i64) -> Vec<String> {
        self.leader.opened(LinkId(link), Monotonic::from_ms(self.now_ms));
        self.hears(link, info(id, accepted_epoch))
    }

    /// A server that has heard of epoch 5 before comes, with this at the end of its log: what it is given.
    pub(crate) fn comes_back(&mut self, id: ServerId, last_zxid: Zxid) -> Vec<String> {
        let link = id as u64;
        assert_eq!(self.hello(link, id, 5), [format!("{link} LEADERINFO 5")]);
        self.hears(link, FromLearner::AckEpoch { current_epoch: None, last_zxid })
    }

    /// Transactions of epoch 5.
    pub(crate) fn proposes(&mut self, counters: impl IntoIterator<Item = i64>) -> Vec<String> {
        let tell = |counter| self.tell(|leader, _, wanted| leader.proposed(entry(5, counter), wanted));
        counters.into_iter().flat_map(tell).collect()
    }

    pub(crate) fn logs(&mut self, counter: i64) -> Vec<String> {
        self.tell(|leader, _, wanted| leader.logged(zxid(5, counter), wanted))
    }

    /// Proposes, logs and has everything acknowledged by server 2.
    pub(crate) fn commits(&mut self, counters: std::ops::RangeInclusive<i64>) {
        let last = *counters.end();
        self.proposes(counters);
        self.logs(last);
        let wanted = self.hears(2, ack(zxid(5, last)));
        assert!(wanted.contains(&format!("commit 5.{last}")), "{wanted:?}");
    }

    pub(crate) fn read(&mut self, link: u64, start: LogStart, entries: &[(i64, i64)]) -> Vec<String> {
        let entries = entries.iter().map(|(epoch, counter)| entry(*epoch, *counter)).collect();
        self.tell(|leader, _, wanted| leader.log_read(LinkId(link), LogChunk { start, entries }, wanted))
    }

    pub(crate) fn congested(&mut self, link: u64, congested: bool) -> Vec<String> {
        self.tell(|leader, _, wanted| leader.congested(LinkId(link), congested, wanted))
    }

    /// Lets time pass, and gives what the leader wants without pings. Those who are told stay in touch.
    pub(crate) fn waits(&mut self, ms: u64, in_touch: &[u64]) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..ms / 10 {
            self.now_ms += 10;
            for link in in_touch {
                // One that has not made its promise yet sends nothing; its bytes may still be on their way.
                match self.leader.awaited_of(LinkId(*link)) {
                    Some(_) => self.leader.alive(LinkId(*link), Monotonic::from_ms(self.now_ms)),
                    None => all.extend(self.hears(*link, FromLearner::Ping)),
                }
            }
            all.extend(self.tell(|leader, now, wanted| leader.tick(now, wanted)));
        }
        all.retain(|line| !line.contains("PING"));
        all
    }
}

/// Server 2, which follows, in what was epoch 4 up to now.
pub(crate) struct Taught {
    pub(crate) learner: Learner,
    pub(crate) now_ms: u64,
}

impl Taught {
    pub(crate) fn new(history: History) -> Self {
        Self::with(false, history, 4)
    }

    pub(crate) fn with(is_observer: bool, history: History, accepted_epoch: i64) -> Self {
        let settings = LearnerSettings {
            id: 2,
            is_observer,
            config_version: 0,
            init_limit_ms: INIT_LIMIT_MS,
            sync_limit_ms: SYNC_LIMIT_MS,
            history_len: HISTORY_LEN,
        };
        Self {
            learner: Learner::new(settings, history, &Epochs::new(accepted_epoch, 4), Monotonic::from_ms(0)),
            now_ms: 0,
        }
    }

    /// One that has made its promise for epoch 5.
    pub(crate) fn promised(history: History) -> Self {
        let last = name(history.last_zxid());
        let mut taught = Self::new(history);
        assert_eq!(taught.connects(), ["INFO 2 accepted 4"]);
        assert_eq!(taught.hears(FromLeader::LeaderInfo { epoch: 5 }), ["accept 5"]);
        let promise = taught.tell(|learner, _, wanted| learner.epoch_accepted(5, wanted));
        assert_eq!(promise, [format!("ACKEPOCH 4 {last}")]);
        taught
    }

    /// One that serves in epoch 5.
    pub(crate) fn serving(history: History) -> Self {
        let mut taught = Self::promised(history);
        taught.hears(FromLeader::Diff { zxid: 0 });
        taught.hears(new_leader(5));
        taught.tell(|learner, _, wanted| learner.epoch_entered(5, wanted));
        assert_eq!(taught.hears(FromLeader::UpToDate), ["ACK 5.0", "serve 5"]);
        taught
    }

    pub(crate) fn connects(&mut self) -> Vec<String> {
        self.tell(|learner, now, wanted| learner.connected(now, wanted))
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce(&mut Learner, Monotonic, &mut Vec<LearnerEffect>)) -> Vec<String> {
        let mut wanted = Vec::new();
        what(&mut self.learner, Monotonic::from_ms(self.now_ms), &mut wanted);
        wanted.iter().map(learner_wants).collect()
    }

    pub(crate) fn hears(&mut self, packet: FromLeader) -> Vec<String> {
        self.tell(|learner, now, wanted| learner.packet(packet, now, wanted))
    }

    pub(crate) fn proposal(&mut self, epoch: i64, counter: i64) -> Vec<String> {
        self.hears(FromLeader::Proposal(entry(epoch, counter)))
    }

    pub(crate) fn commit(&mut self, epoch: i64, counter: i64) -> Vec<String> {
        self.hears(FromLeader::Commit { zxid: zxid(epoch, counter) })
    }

    pub(crate) fn logged(&mut self, epoch: i64, counter: i64) -> Vec<String> {
        self.tell(|learner, _, wanted| learner.logged(zxid(epoch, counter), wanted))
    }

    pub(crate) fn entered(&mut self, epoch: i64) -> Vec<String> {
        self.tell(|learner, _, wanted| learner.epoch_entered(epoch, wanted))
    }
}

pub(crate) fn new_leader(epoch: i64) -> FromLeader {
    FromLeader::NewLeader { epoch, config: Bytes::from_static(b"servers") }
}
