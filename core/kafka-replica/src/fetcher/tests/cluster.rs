//! Logs in memory, a leader that answers as the broker does, and a cluster of both that chance moves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base::{Monotonic, Random, Str};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_proto::ErrorCode;
use kafka_proto::messages::{fetch, list_offset, offset_for_leader_epoch as epochs};
use kafka_proto::wire::Records;

use super::super::*;
use crate::{FetchedFrom, LeaderAndIsr, Replica, ReplicaLog};

pub(super) const MODERN: FetcherVersions = FetcherVersions { fetch: 12, epochs: Some(3), offsets: 5 };
/// Before 2.7: epochs are asked for.
pub(super) const OLD: FetcherVersions = FetcherVersions { fetch: 11, epochs: Some(3), offsets: 5 };

pub(super) const fn settings(replica_id: i32, versions: FetcherVersions) -> FetcherSettings {
    FetcherSettings {
        replica_id,
        wait_ms_max: 500,
        bytes_min: 1,
        response_bytes_max: 10 << 20,
        partition_bytes_max: 1 << 20,
        backoff_ms: 1000,
        versions,
    }
}

#[derive(Debug, Default)]
struct Content {
    start: i64,
    records: Vec<(i32, String)>,
    high_watermark: i64,
    epochs: Vec<EpochEnd>,
    cuts: Vec<i64>,
    refusal: Option<AppendFailure>,
    is_throttled: bool,
}

/// A log in memory: epochs and values, with the epochs' starts beside them as the broker keeps them.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeLog(Rc<RefCell<Content>>);

impl FakeLog {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn of(records: &[(i32, &str)]) -> Self {
        let log = Self::new();
        for (epoch, value) in records {
            log.begin_epoch(*epoch);
            log.push(*epoch, value);
        }
        log
    }

    pub(super) fn begin_epoch(&self, epoch: i32) {
        let offset = self.log_end();
        let mut content = self.0.borrow_mut();
        if content.epochs.last().is_none_or(|last| last.epoch < epoch) {
            content.epochs.retain(|entry| entry.offset < offset);
            content.epochs.push(EpochEnd { epoch, offset });
        }
    }

    pub(super) fn push(&self, epoch: i32, value: &str) {
        self.0.borrow_mut().records.push((epoch, value.to_owned()));
    }

    /// As a log does that takes records of an older message format.
    pub(super) fn forget_epochs(&self) {
        self.0.borrow_mut().epochs.clear();
    }

    pub(super) fn values(&self) -> Vec<String> {
        self.0.borrow().records.iter().map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn cuts(&self) -> Vec<i64> {
        self.0.borrow().cuts.clone()
    }

    pub(super) fn set_high_watermark(&self, offset: i64) {
        self.0.borrow_mut().high_watermark = offset;
    }

    pub(super) fn refuse(&self, refusal: Option<AppendFailure>) {
        self.0.borrow_mut().refusal = refusal;
    }

    pub(super) fn throttle(&self, is_throttled: bool) {
        self.0.borrow_mut().is_throttled = is_throttled;
    }

    pub(super) fn delete_before(&self, offset: i64) {
        let mut content = self.0.borrow_mut();
        let gone = (offset - content.start) as usize;
        content.records.drain(..gone);
        content.start = offset;
    }

    fn cut(&self, to: i64, fully: bool) {
        let mut content = self.0.borrow_mut();
        content.cuts.push(to);
        if fully {
            content.records.clear();
            content.epochs.clear();
            (content.start, content.high_watermark) = (to, to);
            return;
        }
        let kept = usize::try_from(to - content.start).unwrap_or(0);
        content.records.truncate(kept);
        let end = content.start + content.records.len() as i64;
        content.epochs.retain(|entry| entry.offset < end);
        content.high_watermark = content.high_watermark.min(end);
    }

    fn from(&self, offset: i64, count: usize) -> Bytes {
        let content = self.0.borrow();
        let mut bytes = BytesMut::new();
        let skip = (offset - content.start) as usize;
        for (at, (epoch, value)) in content.records.iter().enumerate().skip(skip).take(count) {
            bytes.put_i64(content.start + at as i64);
            bytes.put_i32(*epoch);
            bytes.put_u32(value.len() as u32);
            bytes.put_slice(value.as_bytes());
        }
        bytes.freeze()
    }
}

impl ReplicaLog for FakeLog {
    fn log_start(&self) -> i64 {
        self.0.borrow().start
    }

    fn log_end(&self) -> i64 {
        let content = self.0.borrow();
        content.start + content.records.len() as i64
    }

    fn high_watermark(&self) -> i64 {
        self.0.borrow().high_watermark
    }

    fn latest_epoch(&self) -> Option<i32> {
        self.0.borrow().epochs.last().map(|entry| entry.epoch)
    }

    fn epoch_end(&self, epoch: i32) -> Option<EpochEnd> {
        let log_end = self.log_end();
        let content = self.0.borrow();
        let next = content.epochs.partition_point(|entry| entry.epoch <= epoch);
        // An epoch older than all that are known ends where they begin; one newer than all is not known.
        let found = next.checked_sub(1).and_then(|last| content.epochs.get(last)).map_or(epoch, |entry| entry.epoch);
        match content.epochs.get(next) {
            Some(after) => Some(EpochEnd { epoch: found, offset: after.offset }),
            None => (found == epoch && next > 0).then_some(EpochEnd { epoch, offset: log_end }),
        }
    }

    fn is_changed_by_cut(&self, offset: i64) -> bool {
        offset < self.log_end() || self.0.borrow().epochs.last().is_some_and(|last| last.offset >= self.log_end())
    }
}

impl FollowerLog for FakeLog {
    type View = Self;

    fn view(&self) -> Self {
        self.clone()
    }

    fn append(&self, fetched: &Fetched) -> Result<i64, AppendFailure> {
        let log_end = self.log_end();
        if let Some(refusal) = self.0.borrow().refusal {
            return Err(refusal);
        }
        if fetched.offset != log_end {
            return Err(AppendFailure::Moved);
        }
        let mut rest = fetched.records.clone();
        let mut at = log_end;
        while !rest.is_empty() {
            use bytes::Buf;
            let (offset, epoch, length) = (rest.get_i64(), rest.get_i32(), rest.get_u32());
            assert_eq!(offset, at, "records come without gaps");
            at += 1;
            let value = String::from_utf8(rest.split_to(length as usize).to_vec()).unwrap();
            match epoch {
                -1 => self.forget_epochs(),
                epoch => self.begin_epoch(epoch),
            }
            self.push(epoch, &value);
        }
        self.0.borrow_mut().high_watermark = fetched.high_watermark.min(at);
        Ok(at)
    }

    fn is_throttled(&self) -> bool {
        self.0.borrow().is_throttled
    }
}

/// Answers as a leader does.
pub(super) struct Leader {
    epoch: i32,
    pub(super) log: FakeLog,
}

impl Leader {
    pub(super) fn new(epoch: i32, log: FakeLog) -> Self {
        log.set_high_watermark(log.log_end());
        log.begin_epoch(epoch);
        Self { epoch, log }
    }

    fn check(&self, epoch: i32) -> ErrorCode {
        match epoch.cmp(&self.epoch) {
            std::cmp::Ordering::Less => ErrorCode::FENCED_LEADER_EPOCH,
            std::cmp::Ordering::Greater => ErrorCode::UNKNOWN_LEADER_EPOCH,
            std::cmp::Ordering::Equal => ErrorCode::NONE,
        }
    }

    pub(super) fn fetched(&self, asked: &fetch::RequestPartition) -> fetch::ResponsePartition {
        let mut answer = fetch::ResponsePartition {
            partition_index: asked.partition_index,
            error_code: self.check(asked.current_leader_epoch),
            high_watermark: self.log.high_watermark(),
            log_start_offset: self.log.log_start(),
            ..fetch::ResponsePartition::default()
        };
        if answer.error_code.is_error() {
            return answer;
        }
        if asked.last_fetched_epoch >= 0 {
            match self.log.epoch_end(asked.last_fetched_epoch) {
                None => answer.error_code = ErrorCode::OFFSET_OUT_OF_RANGE,
                Some(end) if end.epoch < asked.last_fetched_epoch || end.offset < asked.fetch_offset => {
                    answer.diverging_epoch = fetch::EpochEndOffset { epoch: end.epoch, end_offset: end.offset };
                    return answer;
                }
                Some(_) => {}
            }
        }
        if asked.fetch_offset < self.log.log_start() || asked.fetch_offset > self.log.log_end() {
            answer.error_code = ErrorCode::OFFSET_OUT_OF_RANGE;
        }
        if !answer.error_code.is_error() {
            answer.records = Some(Records::from(self.log.from(asked.fetch_offset, 2)));
        }
        answer
    }

    fn epochs(&self, request: &epochs::Request) -> epochs::Response {
        let of = |asked: &epochs::RequestPartition| {
            let error_code = self.check(asked.current_leader_epoch);
            let end = self.log.epoch_end(asked.leader_epoch).filter(|_| error_code.is_none());
            epochs::ResponsePartition {
                error_code,
                partition_index: asked.partition_index,
                leader_epoch: end.map_or(-1, |end| end.epoch),
                end_offset: end.map_or(-1, |end| end.offset),
            }
        };
        let topics = request.topics.iter().map(|topic| epochs::ResponseTopic {
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(of).collect(),
        });
        epochs::Response { topics: topics.collect(), ..epochs::Response::default() }
    }

    fn offsets(&self, request: &list_offset::Request) -> list_offset::Response {
        let of = |asked: &list_offset::RequestPartition| list_offset::ResponsePartition {
            partition_index: asked.partition_index,
            error_code: self.check(asked.current_leader_epoch),
            offset: if asked.timestamp == -1 { self.log.log_end() } else { self.log.log_start() },
            ..list_offset::ResponsePartition::default()
        };
        let topics = request.topics.iter().map(|topic| list_offset::ResponseTopic {
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(of).collect(),
        });
        list_offset::Response { topics: topics.collect(), ..list_offset::Response::default() }
    }

    /// Answers whatever is asked.
    pub(super) fn answer(&self, fetcher: &mut Fetcher<FakeLog>, question: Question, now: Monotonic) {
        match question {
            Question::Fetch(request) => {
                let topics = request.topics.iter().map(|topic| fetch::ResponseTopic {
                    topic: topic.topic.clone(),
                    partitions: topic.partitions.iter().map(|one| self.fetched(one)).collect(),
                });
                // Without a session: whatever is wanted is named each time.
                fetcher.fetched(fetch::Response { topics: topics.collect(), ..fetch::Response::default() }, now);
            }
            Question::Epochs(request) => fetcher.epochs_answered(self.epochs(&request), now),
            Question::Offsets(request) => fetcher.offsets_answered(self.offsets(&request), now),
        }
    }
}

fn make_cuts(fetcher: &mut Fetcher<FakeLog>, now: Monotonic) {
    for cut in fetcher.take_cuts() {
        cut.log.cut(cut.to, cut.fully);
        fetcher.cut_done(&cut.name, cut.number, CutOutcome::Done, now);
    }
}

/// Lets a log follow until nothing is left to fetch.
pub(super) fn follow(leader: &Leader, log: &FakeLog, leader_epoch: i32, versions: FetcherVersions) {
    let mut fetcher = Fetcher::new(settings(1, versions));
    fetcher.add(&Str::from_static("t"), 0, log.clone(), leader_epoch);
    for _ in 0..20 {
        let now = Monotonic::from_ms(1000);
        make_cuts(&mut fetcher, now);
        if let Some(question) = fetcher.next(now) {
            leader.answer(&mut fetcher, question, now);
        }
    }
    assert_eq!(log.log_end(), leader.log.log_end(), "the follower comes to the leader's end");
}

/// Three replicas of one partition, a controller, and chance.
pub(super) struct Cluster {
    random: Random,
    now: Monotonic,
    brokers: Vec<Member>,
    leader: usize,
    epoch: i32,
    isr: Vec<i32>,
    versions: FetcherVersions,
    /// What was acknowledged by all in-sync replicas.
    acknowledged: BTreeMap<i64, String>,
    serial: u64,
}

struct Member {
    log: FakeLog,
    replica: Replica,
    fetcher: Fetcher<FakeLog>,
    is_up: bool,
    /// The newest state that it was told of.
    told: i32,
}

const BROKERS: usize = 3;

impl Cluster {
    pub(super) fn new(seed: u64, versions: FetcherVersions) -> Self {
        let member = |id: usize| Member {
            log: FakeLog::new(),
            replica: Replica::new(id as i32, 10_000),
            fetcher: Fetcher::new(settings(id as i32, versions)),
            is_up: true,
            told: -1,
        };
        let mut cluster = Self {
            random: Random::from_seed(seed),
            now: Monotonic::from_ms(1000),
            brokers: (0..BROKERS).map(member).collect(),
            leader: 0,
            epoch: 0,
            isr: vec![0, 1, 2],
            versions,
            acknowledged: BTreeMap::new(),
            serial: 0,
        };
        (0..BROKERS).for_each(|id| cluster.tell(id));
        cluster
    }

    pub(super) fn run(mut self, steps: usize) {
        for _ in 0..steps {
            self.now = self.now.plus_ms(self.random.below(50));
            match self.random.below(20) {
                0..=5 => self.produce(),
                6..=13 => self.follower_turn(false),
                14 => self.follower_turn(true),
                15 => self.elect_another(),
                16 => self.crash(),
                17 => self.come_back(),
                _ => {
                    let id = self.random.below(BROKERS as u64) as usize;
                    self.tell(id);
                }
            }
            self.check();
        }
        self.heal();
    }

    fn state(&self) -> LeaderAndIsr {
        LeaderAndIsr {
            leader: self.leader as i32,
            leader_epoch: self.epoch,
            isr: self.isr.clone(),
            replicas: vec![0, 1, 2],
            ..LeaderAndIsr::default()
        }
    }

    /// The controller's word reaches a broker.
    fn tell(&mut self, id: usize) {
        let state = self.state();
        let Some(member) = self.brokers.get_mut(id) else { return };
        if !member.is_up || member.told >= self.epoch {
            return;
        }
        member.told = self.epoch;
        let name = Str::from_static("t");
        member.fetcher.remove(&name, 0);
        // A cut that was decided in the epoch before is not made.
        member.fetcher.take_cuts();
        if id == self.leader {
            let log_end = member.log.log_end();
            member.log.begin_epoch(self.epoch);
            member.replica.become_leader(&state, log_end, self.now);
            advance(member, self.now);
        } else {
            member.replica.become_follower(&state);
            member.fetcher.add(&name, 0, member.log.clone(), self.epoch);
        }
    }

    fn produce(&mut self) {
        let id = self.random.below(BROKERS as u64) as usize;
        let Some(member) = self.brokers.get_mut(id).filter(|member| member.is_up && member.replica.is_leader()) else {
            return;
        };
        self.serial += 1;
        let epoch = member.replica.leader_epoch();
        member.log.0.borrow_mut().records.push((epoch, format!("r{}", self.serial)));
        advance(member, self.now);
    }

    /// A follower asks whom it takes for the leader; the answer may get lost.
    fn follower_turn(&mut self, is_lost: bool) {
        let id = self.random.below(BROKERS as u64) as usize;
        let now = self.now;
        let Some(member) = self.brokers.get_mut(id).filter(|member| member.is_up) else { return };
        make_cuts(&mut member.fetcher, now);
        let Some(question) = member.fetcher.next(now) else { return };
        let to = member.replica.leader().unwrap_or(0) as usize;
        let leads = self.brokers.get(to).is_some_and(|leader| leader.is_up && leader.replica.is_leader());
        if !leads || is_lost {
            if let Some(member) = self.brokers.get_mut(id) {
                member.fetcher.unanswered(now);
            }
            return;
        }
        let Some(leader) = self.brokers.get_mut(to) else { return };
        let answering = Leader { epoch: leader.replica.leader_epoch(), log: leader.log.clone() };
        if let Question::Fetch(request) = &question {
            let asked = request.topics.iter().flat_map(|topic| &topic.partitions).next();
            if let Some(asked) = asked.filter(|asked| {
                let answer = answering.fetched(asked);
                answer.error_code.is_none() && answer.diverging_epoch.end_offset < 0
            }) {
                let from = FetchedFrom { offset: asked.fetch_offset, log_start: asked.log_start_offset };
                let (end, mark) = (leader.log.log_end(), leader.log.high_watermark());
                let effect = leader.replica.record_fetch(id as i32, from, end, mark, now).unwrap();
                if let Some(change) = effect.expand {
                    // The controller takes it, if the leader is its leader still.
                    let is_current = leader.replica.leader_epoch() == self.epoch;
                    let epoch = self.epoch;
                    let version = change.znode_version + 1;
                    let answer = match is_current {
                        true => {
                            self.isr.clone_from(&change.isr);
                            crate::IsrAnswer::Committed {
                                leader_epoch: epoch,
                                isr: change.isr.clone(),
                                znode_version: version,
                            }
                        }
                        false => crate::IsrAnswer::Outdated,
                    };
                    leader.replica.isr_answered(&change, answer);
                }
                advance(leader, now);
            }
        }
        if let Some(member) = self.brokers.get_mut(id) {
            answering.answer(&mut member.fetcher, question, now);
        }
        self.acknowledge();
    }

    /// What a leader has below its high watermark is acknowledged, even if another was elected and it has not heard of it.
    fn acknowledge(&mut self) {
        for leader in self.brokers.iter().filter(|member| member.is_up && member.replica.is_leader()) {
            let content = leader.log.0.borrow();
            for (at, (_, value)) in content.records.iter().enumerate() {
                if (at as i64) < content.high_watermark {
                    let before = self.acknowledged.insert(at as i64, value.clone());
                    assert!(before.is_none_or(|before| before == *value), "offset {at} changed");
                }
            }
        }
    }

    fn elect_another(&mut self) {
        let candidates: Vec<usize> = (0..BROKERS)
            .filter(|id| *id != self.leader && self.isr.contains(&(*id as i32)) && self.brokers[*id].is_up)
            .collect();
        let Some(next) = candidates.get(self.random.below(candidates.len().max(1) as u64) as usize) else { return };
        self.leader = *next;
        self.epoch += 1;
        self.isr.retain(|id| self.brokers[*id as usize].is_up);
    }

    /// A broker dies with a part of its log; the last in-sync replica does not.
    fn crash(&mut self) {
        let id = self.random.below(BROKERS as u64) as usize;
        if !self.brokers[id].is_up || self.isr == [id as i32] {
            return;
        }
        let lost = self.random.below(4) as i64;
        let member = &mut self.brokers[id];
        member.is_up = false;
        let end = member.log.log_end();
        member.log.cut((end - lost).max(0), false);
        let mark = member.log.high_watermark();
        member.log.set_high_watermark(mark - self.random.below(3).min(mark as u64) as i64);
        self.isr.retain(|other| *other != id as i32);
        if self.leader == id {
            self.leader = self.isr[0] as usize;
        }
        self.epoch += 1;
    }

    fn come_back(&mut self) {
        let id = self.random.below(BROKERS as u64) as usize;
        let versions = self.versions;
        let member = &mut self.brokers[id];
        if member.is_up {
            return;
        }
        member.is_up = true;
        member.told = -1;
        member.replica = Replica::new(id as i32, 10_000);
        member.fetcher = Fetcher::new(settings(id as i32, versions));
        self.tell(id);
    }

    /// The leader of the newest epoch has all that was acknowledged.
    fn check(&self) {
        let leader = &self.brokers[self.leader];
        let values = leader.log.values();
        for (offset, value) in &self.acknowledged {
            assert_eq!(values.get(*offset as usize), Some(value), "offset {offset} is lost");
        }
    }

    /// All come back, and end with one log.
    fn heal(mut self) {
        for _ in 0..600 {
            self.now = self.now.plus_ms(1000);
            self.come_back();
            (0..BROKERS).for_each(|id| self.tell(id));
            self.follower_turn(false);
            self.check();
        }
        let values = self.brokers[self.leader].log.values();
        for member in &self.brokers {
            assert_eq!(member.log.values(), values, "logs are equal in the end");
        }
    }
}

fn advance(member: &Member, now: Monotonic) {
    if let Some(mark) = member.replica.high_watermark(member.log.log_end(), now) {
        let before = member.log.high_watermark();
        member.log.set_high_watermark(mark.max(before));
    }
}
