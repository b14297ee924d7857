//! Fetch sessions (KIP-227; upstream: `FetchSession.scala`): a consumer names its partitions once, and is told of those that
//! changed.
//!
//! A session keeps its partitions in an order in which those that were answered go to the end, so that a small answer
//! limit starves none. In a follower's session those of which it has everything rest: they are not looked at before something happens
//! to them, and the session's [`FetchClock`] says for all of them when the follower fetched last. The cache has a bounded number of slots; one that was not used for two minutes gives way, and
//! a larger session or a follower's displaces a smaller one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use base::{Monotonic, Random, Str};
use kafka_proto::ErrorCode;
use kafka_proto::messages::fetch::{ForgottenTopic, RequestPartition, RequestTopic, ResponsePartition};
use kafka_replica::{Available, FetchClock, FetchPartition as _, FetchWait, WaitingList};
use parking_lot::Mutex;

use crate::api::fetch::{Seen, WaitingFetch, Watched};
use crate::partitions::Partition;

/// `replica_id` of who follows nobody; the original has other negative ones for its tools.
const CONSUMER: i32 = -1;
/// Not in a session.
const NO_SESSION: i32 = 0;
/// Epoch of a request that begins a session.
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a request that ends its session, or wants none.
const FINAL_EPOCH: i32 = -1;
/// Sessions that were not used for so long give way to any other.
const EVICTION_MS: u64 = 120_000;

/// A topic's partition as a fetch names it. The name is a copy of its own: sessions outlive the frames of their requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) topic: Str,
    pub(crate) partition: i32,
}

/// One partition that is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: Name,
    pub(crate) request: RequestPartition,
}

/// How a fetch is answered: what it wants, and what is left out of the answer.
pub(crate) enum FetchContext {
    /// The session is not there, or its epoch is not the request's.
    Error(ErrorCode),
    /// Answered in full; no session.
    Sessionless(Vec<Wanted>),
    /// Answered in full; begins a session.
    Full(Vec<Wanted>),
    /// Answered with what changed: the session, its epoch, and what does not rest there.
    Incremental(Arc<Mutex<Session>>, i32, Vec<Wanted>),
}

/// A session.
pub(crate) struct Session {
    id: i32,
    /// Epoch that the next request must bear.
    epoch: i32,
    /// The broker that follows, [`CONSUMER`] for none.
    replica_id: i32,
    news: Arc<News>,
    created: Monotonic,
    last_used: Monotonic,
    partitions: Partitions,
}

/// What has happened to the partitions that rest in a session.
#[derive(Default)]
pub(crate) struct News {
    clock: Arc<FetchClock>,
    stirred: Mutex<Stirred>,
    /// The session's fetch, while it waits.
    pub(crate) fetches: WaitingList<WaitingFetch>,
}

/// Partitions that rest no more, as soon as the session is asked. Until then each tells of all that happens to it.
#[derive(Default)]
struct Stirred {
    told: HashMap<Name, Told>,
    /// Those of which something was told since the waiting fetch looked.
    unseen: Vec<Name>,
    /// What all were found to have.
    bytes: u64,
    /// One of them asks for an answer at once.
    is_urgent: bool,
}

#[derive(Default)]
struct Told {
    bytes: u64,
    is_unseen: bool,
}

/// Partitions in their order: the next to be answered first.
#[derive(Default)]
struct Partitions {
    by_turn: BTreeMap<u64, Cached>,
    /// Those that rest; each keeps its turn.
    resting: HashMap<Name, Resting>,
    turns: HashMap<Name, u64>,
    next_turn: u64,
}

/// What was asked and last answered of a partition.
struct Cached {
    name: Name,
    request: RequestPartition,
    high_watermark: i64,
    log_start_offset: i64,
}

/// A partition that rests.
struct Resting {
    turn: u64,
    cached: Cached,
    /// A session that nobody uses any more keeps no replica that is gone.
    partition: Weak<Partition>,
    /// Where the follower's log ends.
    wait: FetchWait,
}

/// All sessions of a broker.
#[derive(Default)]
pub(crate) struct FetchSessions(Mutex<Cache>);

#[derive(Default)]
struct Cache {
    sessions: BTreeMap<i32, Arc<Mutex<Session>>>,
    last_used: BTreeSet<(Monotonic, i32)>,
    /// By value, the least first: (privileged, partitions, id).
    evictable_by_all: BTreeSet<(bool, usize, i32)>,
    evictable_by_privileged: BTreeSet<(bool, usize, i32)>,
}

impl FetchSessions {
    /// Takes a request into its session, and says what is to be fetched.
    pub(crate) fn context(
        &self,
        (id, epoch): (i32, i32),
        replica_id: i32,
        topics: Vec<RequestTopic>,
        forgotten: &[ForgottenTopic],
        now: Monotonic,
    ) -> FetchContext {
        let wanted = wanted(topics);
        let mut cache = self.0.lock();
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            if id != NO_SESSION {
                cache.remove(id);
            }
            return if epoch == FINAL_EPOCH { FetchContext::Sessionless(wanted) } else { FetchContext::Full(wanted) };
        }
        let Some(shared) = cache.sessions.get(&id).cloned() else {
            return FetchContext::Error(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        };
        let mut session = shared.lock();
        if session.replica_id != replica_id.max(CONSUMER) {
            // Another's fetches say nothing of how far this one is.
            return FetchContext::Error(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        if session.epoch != epoch {
            return FetchContext::Error(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        cache.forget_keys(&session);
        for one in &wanted {
            session.ask(one);
        }
        for topic in forgotten {
            for partition in &topic.partitions {
                session.forget(&Name { topic: topic.topic.clone(), partition: *partition });
            }
        }
        if session.partitions.turns.is_empty() {
            cache.sessions.remove(&id);
            return FetchContext::Sessionless(wanted);
        }
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        cache.note_keys(&session, now);
        let awake = session.wanted();
        let epoch = session.epoch;
        drop(session);
        FetchContext::Incremental(shared, epoch, awake)
    }

    /// Begins a session with what was just asked and answered; 0 if there is no place for it.
    pub(crate) fn begin(
        &self,
        replica_id: i32,
        answered: impl ExactSizeIterator<Item = (Wanted, i64, i64)>,
        slots: usize,
        random: &mut Random,
        now: Monotonic,
    ) -> i32 {
        let mut cache = self.0.lock();
        let replica_id = replica_id.max(CONSUMER);
        let privileged = replica_id > CONSUMER;
        if cache.sessions.len() >= slots && !cache.evict(privileged, answered.len(), now) {
            return NO_SESSION;
        }
        let id = loop {
            let id = 1 + random.below(i32::MAX as u64 - 1) as i32;
            if !cache.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut partitions = Partitions::default();
        for (Wanted { name, request }, high_watermark, log_start_offset) in answered {
            // One that was named twice is kept once, or it could not be forgotten.
            if !partitions.turns.contains_key(&name) {
                partitions.push(Cached { name, request, high_watermark, log_start_offset });
            }
        }
        let epoch = next_epoch(INITIAL_EPOCH);
        let news = Arc::default();
        let session = Session { id, epoch, replica_id, news, created: now, last_used: now, partitions };
        cache.note_keys(&session, now);
        cache.sessions.insert(id, Arc::new(Mutex::new(session)));
        id
    }

    /// How many partitions the next fetches of all sessions look at.
    #[cfg(test)]
    pub(crate) fn awake(&self) -> usize {
        self.0.lock().sessions.values().map(|session| session.lock().wanted().len()).sum()
    }
}

impl Session {
    pub(crate) const fn id(&self) -> i32 {
        self.id
    }

    /// Whether no other request has gone on with the session since `epoch` was given.
    pub(crate) const fn is_at(&self, epoch: i32) -> bool {
        self.epoch == epoch
    }

    /// What is to be looked at now: all that does not rest.
    pub(crate) fn wanted(&mut self) -> Vec<Wanted> {
        let stirred = std::mem::take(&mut *self.news.stirred.lock());
        stirred.told.keys().for_each(|name| self.stir(name));
        self.partitions.wanted()
    }

    /// What happens to its partitions, if it is a follower's.
    pub(crate) fn news(&self) -> Option<&Arc<News>> {
        self.is_privileged().then_some(&self.news)
    }

    /// All that does not rest was taken in, from a fetch at this time.
    pub(crate) fn taken_in(&self, now: Monotonic) {
        self.news.clock.fetched(now);
    }

    /// What there is in partitions that rested when the fetch that waits came. Looks at those alone to which something happened since
    /// it was asked last.
    pub(crate) fn available(&self) -> Available {
        let mut stirred = self.news.stirred.lock();
        for name in std::mem::take(&mut stirred.unseen) {
            let available = self.partitions.resting.get(&name).map(|resting| match resting.partition.upgrade() {
                Some(partition) => Watched::to_the_end(partition, resting.wait).available(),
                None => Available::Now,
            });
            stirred.found(&name, available.unwrap_or(Available::Bytes(0)));
        }
        if stirred.is_urgent { Available::Now } else { Available::Bytes(stirred.bytes) }
    }

    /// Lets a partition rest that was answered, if the follower has everything and nothing has happened since it was seen.
    pub(crate) fn let_rest(&mut self, name: &Name, seen: &Seen) {
        let Some(turn) = self.partitions.turns.get(name).copied() else { return };
        if !seen.partition.let_rest(self.replica_id, seen, &self.news) {
            return;
        }
        if let Some(cached) = self.partitions.by_turn.remove(&turn) {
            let resting = Resting { turn, cached, partition: Arc::downgrade(&seen.partition), wait: seen.wait };
            self.partitions.resting.insert(name.clone(), resting);
        }
    }

    fn stir(&mut self, name: &Name) {
        let Some(resting) = self.partitions.resting.remove(name) else { return };
        if let Some(partition) = resting.partition.upgrade() {
            partition.stir(self.replica_id, &self.news);
        }
        self.partitions.by_turn.insert(resting.turn, resting.cached);
    }

    fn ask(&mut self, wanted: &Wanted) {
        self.stir(&wanted.name);
        self.partitions.ask(wanted);
    }

    fn forget(&mut self, name: &Name) {
        self.stir(name);
        self.partitions.remove(name);
    }

    /// Whether a partition's answer must be sent: it has records or an error, or the client's offsets are stale. If `take`, it
    /// counts as sent, and the partition goes to the end of the order.
    pub(crate) fn must_send(&mut self, topic: &Str, answer: &ResponsePartition, take: bool) -> bool {
        let name = Name { topic: topic.clone(), partition: answer.partition_index };
        let Some(turn) = self.partitions.turns.get(&name).copied() else { return true };
        let Some(cached) = self.partitions.by_turn.get_mut(&turn) else { return true };
        let has_records = answer.records.as_ref().is_some_and(|records| !records.is_empty());
        let is_error = answer.error_code.is_error();
        let must = has_records
            || is_error
            || cached.high_watermark != answer.high_watermark
            || cached.log_start_offset != answer.log_start_offset
            || answer.preferred_read_replica >= 0
            || answer.diverging_epoch.epoch >= 0;
        if take {
            // After an error the partition is sent again as soon as it is well.
            cached.high_watermark = if is_error { -1 } else { answer.high_watermark };
            cached.log_start_offset = answer.log_start_offset;
            if must {
                self.partitions.move_to_end(turn);
            }
        }
        must
    }
}

impl News {
    pub(crate) const fn clock(&self) -> &Arc<FetchClock> {
        &self.clock
    }

    /// Something happened to a partition that rests.
    pub(crate) fn tell(&self, name: Name) {
        let mut stirred = self.stirred.lock();
        let told = stirred.told.entry(name.clone()).or_default();
        if !std::mem::replace(&mut told.is_unseen, true) {
            stirred.unseen.push(name);
        }
    }
}

impl Stirred {
    fn found(&mut self, name: &Name, available: Available) {
        let Some(told) = self.told.get_mut(name) else { return };
        told.is_unseen = false;
        match available {
            Available::Now => self.is_urgent = true,
            Available::Bytes(bytes) => {
                self.bytes = self.bytes.saturating_sub(told.bytes).saturating_add(bytes);
                told.bytes = bytes;
            }
        }
    }
}

impl Partitions {
    fn push(&mut self, cached: Cached) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(cached.name.clone(), turn);
        self.by_turn.insert(turn, cached);
    }

    fn ask(&mut self, wanted: &Wanted) {
        let known = self.turns.get(&wanted.name).copied();
        match known.and_then(|turn| self.by_turn.get_mut(&turn)) {
            Some(cached) => cached.request = wanted.request.clone(),
            None => {
                let Wanted { name, request } = wanted.clone();
                self.push(Cached { name, request, high_watermark: -1, log_start_offset: -1 });
            }
        }
    }

    fn remove(&mut self, name: &Name) {
        if let Some(turn) = self.turns.remove(name) {
            self.by_turn.remove(&turn);
        }
    }

    fn move_to_end(&mut self, turn: u64) {
        if let Some(cached) = self.by_turn.remove(&turn) {
            self.push(cached);
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.by_turn
            .values()
            .map(|cached| Wanted { name: cached.name.clone(), request: cached.request.clone() })
            .collect()
    }
}

impl Cache {
    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.forget_keys(&session.lock());
        }
    }

    /// Frees a slot for a session of so many partitions: a stale one goes, or the least worthy if this is worth more.
    fn evict(&mut self, privileged: bool, size: usize, now: Monotonic) -> bool {
        let Some((last_used, stalest)) = self.last_used.first().copied() else { return false };
        if now.since(last_used).as_millis() > u128::from(EVICTION_MS) {
            self.remove(stalest);
            return true;
        }
        let candidates = if privileged { &self.evictable_by_privileged } else { &self.evictable_by_all };
        match candidates.first().copied() {
            Some(least) if (privileged, size, 0) >= least => {
                self.remove(least.2);
                true
            }
            _ => false,
        }
    }

    fn note_keys(&mut self, session: &Session, now: Monotonic) {
        self.last_used.insert((session.last_used, session.id));
        let is_old = now.since(session.created).as_millis() > u128::from(EVICTION_MS);
        let key = session.worth();
        if !session.is_privileged() || is_old {
            self.evictable_by_privileged.insert(key);
        }
        if is_old {
            self.evictable_by_all.insert(key);
        }
    }

    fn forget_keys(&mut self, session: &Session) {
        self.last_used.remove(&(session.last_used, session.id));
        self.evictable_by_privileged.remove(&session.worth());
        self.evictable_by_all.remove(&session.worth());
    }
}

impl Session {
    const fn is_privileged(&self) -> bool {
        self.replica_id > CONSUMER
    }

    fn worth(&self) -> (bool, usize, i32) {
        (self.is_privileged(), self.partitions.turns.len(), self.id)
    }
}

fn wanted(topics: Vec<RequestTopic>) -> Vec<Wanted> {
    let mut all = Vec::new();
    for RequestTopic { topic, partitions } in topics {
        let topic = Str::copied(&topic);
        all.extend(partitions.into_iter().map(|request| {
            let name = Name { topic: topic.clone(), partition: request.partition_index };
            Wanted { name, request }
        }));
    }
    all
}

/// Epochs go round, leaving out 0, which begins a session.
const fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use kafka_proto::wire::Records;

    use super::*;

    fn topics(partitions: &[i32]) -> Vec<RequestTopic> {
        let partition = |index: &i32| RequestPartition { partition_index: *index, ..RequestPartition::default() };
        vec![RequestTopic { topic: Str::from("t"), partitions: partitions.iter().map(partition).collect() }]
    }

    fn begin(sessions: &FetchSessions, partitions: &[i32], slots: usize, now: Monotonic) -> i32 {
        let FetchContext::Full(wanted) = sessions.context((0, 0), -1, topics(partitions), &[], now) else { panic!() };
        let answered = wanted.into_iter().map(|one| (one, 10, 0));
        sessions.begin(-1, answered, slots, &mut Random::from_seed(now.ms()), now)
    }

    fn answer(index: i32, high_watermark: i64, records: usize) -> ResponsePartition {
        ResponsePartition {
            partition_index: index,
            high_watermark,
            log_start_offset: 0,
            records: Some(Records::from(bytes::Bytes::from(vec![0; records]))),
            ..ResponsePartition::default()
        }
    }

    #[test]
    fn only_what_changed_is_sent_and_goes_to_the_end() {
        let sessions = FetchSessions::default();
        let now = Monotonic::from_ms(1);
        let id = begin(&sessions, &[0, 1, 2], 10, now);
        let FetchContext::Incremental(session, epoch, wanted) = sessions.context((id, 1), -1, Vec::new(), &[], now)
        else {
            panic!()
        };
        assert_eq!(wanted.iter().map(|one| one.name.partition).collect::<Vec<_>>(), [0, 1, 2]);
        {
            let mut session = session.lock();
            assert!(session.is_at(epoch));
            let topic = Str::from("t");
            assert!(session.must_send(&topic, &answer(0, 10, 5), true), "records");
            assert!(!session.must_send(&topic, &answer(1, 10, 0), true), "nothing new");
            assert!(session.must_send(&topic, &answer(2, 11, 0), false), "a new high watermark, only looked at");
        }
        let FetchContext::Incremental(_, _, wanted) = sessions.context((id, 2), -1, Vec::new(), &[], now) else {
            panic!()
        };
        assert_eq!(wanted.iter().map(|one| one.name.partition).collect::<Vec<_>>(), [1, 2, 0]);
    }

    #[test]
    fn epochs_and_ids_are_checked() {
        let sessions = FetchSessions::default();
        let now = Monotonic::from_ms(1);
        let id = begin(&sessions, &[0], 10, now);
        let error = |id, epoch| match sessions.context((id, epoch), -1, Vec::new(), &[], now) {
            FetchContext::Error(error) => Some(error),
            _ => None,
        };
        assert_eq!(error(id + 1, 1), Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        assert_eq!(error(id, 2), Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
        assert_eq!(error(id, 1), None);
        assert_eq!(error(id, 1), Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH), "a repeated request");
        assert_eq!(next_epoch(i32::MAX), 1);
    }

    #[test]
    fn a_session_is_its_owners() {
        let sessions = FetchSessions::default();
        let now = Monotonic::from_ms(1);
        let FetchContext::Full(wanted) = sessions.context((0, 0), 2, topics(&[0]), &[], now) else { panic!() };
        let answered = wanted.into_iter().map(|one| (one, 10, 0));
        let id = sessions.begin(2, answered, 10, &mut Random::from_seed(1), now);
        for other in [-1, 1] {
            let context = sessions.context((id, 1), other, Vec::new(), &[], now);
            assert!(matches!(context, FetchContext::Error(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)), "{other}");
        }
        assert!(matches!(sessions.context((id, 1), 2, Vec::new(), &[], now), FetchContext::Incremental(..)));
    }

    #[test]
    fn a_session_ends_when_asked_or_empty() {
        let sessions = FetchSessions::default();
        let now = Monotonic::from_ms(1);
        let id = begin(&sessions, &[0], 10, now);
        let forgotten = [ForgottenTopic { topic: Str::from("t"), partitions: vec![0] }];
        assert!(matches!(sessions.context((id, 1), -1, Vec::new(), &forgotten, now), FetchContext::Sessionless(_)));
        assert!(matches!(sessions.context((id, 2), -1, Vec::new(), &[], now), FetchContext::Error(_)));
        let id = begin(&sessions, &[0], 10, now);
        assert!(matches!(sessions.context((id, -1), -1, topics(&[0]), &[], now), FetchContext::Sessionless(_)));
        assert!(matches!(sessions.context((id, 1), -1, Vec::new(), &[], now), FetchContext::Error(_)));
    }

    #[test]
    fn slots_are_bounded() {
        let sessions = FetchSessions::default();
        let start = Monotonic::from_ms(0);
        let first = begin(&sessions, &[0, 1], 1, start);
        assert_ne!(first, 0);
        assert_eq!(begin(&sessions, &[0], 1, start.plus_ms(1000)), 0, "no place");
        let later = start.plus_ms(EVICTION_MS + 1);
        assert_ne!(begin(&sessions, &[0], 1, later), 0, "a stale session gives way");
        assert!(matches!(sessions.context((first, 1), -1, Vec::new(), &[], later), FetchContext::Error(_)));
    }
}
