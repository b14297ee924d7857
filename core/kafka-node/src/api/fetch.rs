//! Fetch (key 1, versions 0 to 12): reads records for consumers and followers.
//!
//! The answer is given when `min_bytes` are there, after `max_wait_ms`, or as soon as a partition has an error. The first batch that
//! is found comes whole even beyond the limits (from version 3 on); further partitions get what is left of `max_bytes`.
//! Ranges of log files go to the socket as they are, except for clients before version 4, for whom newer batches are
//! converted (KIP-31, KIP-98). Sessions: KIP-227.

use std::borrow::Cow;
use std::sync::Arc;

use base::{Part, Str, once};
use kafka_log::{Bound, Fetched, LogError, Offsets, ReadRequest};
use kafka_proto::ErrorCode;
use kafka_proto::messages::fetch::{
    AbortedTransaction, EpochEndOffset, Request, RequestTopic, Response, ResponsePartition, ResponseTopic,
};
use kafka_proto::record::{Magic, down_convert};
use kafka_proto::wire::Records;
use kafka_replica::{
    Available, DelayedFetch, FetchPartition, FetchWait, FetchedFrom, IsrChange, Park, Position, ReplicaError,
    WaitingList, available,
};

use crate::answer::{Answer, Slot};
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::errors;
use crate::fetch_sessions::{FetchContext, News, Session, Wanted};
use crate::partitions::Partition;
use crate::preferred_replica::Reader;

/// Decompressed size up to which a batch is converted for an old client.
const CONVERTED_BYTES_MAX: u64 = 256 << 20;

/// Bytes that a disk thread reads at a time from a range that is not in the page cache.
const FETCHED_AHEAD_AT_ONCE: usize = 256 << 10;

/// A fetch that waits for records.
pub(crate) type WaitingFetch = DelayedFetch<Watched, Arc<Fetch>>;

/// What a fetch waits for.
pub(crate) enum Watched {
    /// A partition, read up to `bound`.
    Partition {
        partition: Arc<Partition>,
        wait: FetchWait,
        bound: Bound,
        /// A follower out of sync that gets nothing for now: what is there does not end the wait.
        is_throttled: bool,
    },
    /// All that rested in the follower's session.
    Resting(Arc<parking_lot::Mutex<Session>>),
}

impl Watched {
    /// A partition as a follower reads it.
    pub(crate) const fn to_the_end(partition: Arc<Partition>, wait: FetchWait) -> Self {
        Self::Partition { partition, wait, bound: Bound::LogEnd, is_throttled: false }
    }
}

/// A partition of which a follower has everything, as it was when it was read and answered.
pub(crate) struct Seen {
    pub(crate) partition: Arc<Partition>,
    pub(crate) leader_epoch: i32,
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) log_end: i64,
    pub(crate) wait: FetchWait,
}

/// A fetch: what it wants and where its answer goes.
pub(crate) struct Fetch {
    version: i16,
    /// The broker that fetches; below 0 for consumers.
    replica_id: i32,
    bound: Bound,
    max_bytes: u32,
    /// The consumer, if it may be sent to a replica in its rack.
    reader: Option<Reader>,
    /// `max_bytes` of the request is below zero.
    is_negative: bool,
    wanted: Vec<Wanted>,
    session: SessionPart,
    answer: parking_lot::Mutex<Option<Answer>>,
}

/// What the session does with the answer.
enum SessionPart {
    None,
    Begin,
    Goes(Arc<parking_lot::Mutex<Session>>, i32),
}

/// What came of reading a partition.
struct Looked {
    answer: ResponsePartition,
    /// What a follower's session may let rest.
    seen: Option<Seen>,
}

/// One pass over all partitions.
struct Pass {
    results: Vec<Looked>,
    waits: Vec<Watched>,
    /// Where the fetch waits.
    lists: Vec<Arc<Partition>>,
    /// Partitions in which something moved since a follower fetched, and changes of ISRs that follow from it.
    moved: Vec<Arc<Partition>>,
    changes: Vec<(Arc<Partition>, IsrChange)>,
    bytes: u64,
    has_error: bool,
    /// A range is not in the page cache: the pass is to be made on a disk thread.
    is_cold: bool,
}

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let broker = context.broker;
    let settings = broker.settings();
    let is_follower = request.replica_id >= 0;
    if !is_follower && !matches!(request.isolation_level, READ_UNCOMMITTED | READ_COMMITTED) {
        return answer.send(&failed_whole(request.topics, ErrorCode::UNKNOWN_SERVER_ERROR));
    }
    let reader = Reader::of(&settings, context.version, &request, &context.client.listener_name);
    let session_key = (request.session_id, request.session_epoch);
    let now = context.now.monotonic;
    let fetch_context =
        broker.fetch_sessions.context(session_key, request.replica_id, request.topics, &request.forgotten_topics, now);
    let (wanted, session) = match fetch_context {
        FetchContext::Error(error_code) => return answer.send(&Response { error_code, ..Response::default() }),
        FetchContext::Sessionless(wanted) => (wanted, SessionPart::None),
        FetchContext::Full(wanted) => (wanted, SessionPart::Begin),
        FetchContext::Incremental(session, epoch, wanted) => (wanted, SessionPart::Goes(session, epoch)),
    };
    let reply_bytes_max = if is_follower { i32::MAX } else { settings.fetches.reply_bytes_max };
    let max_bytes = request.max_bytes.clamp(0, reply_bytes_max);
    let bound = match (is_follower, request.isolation_level) {
        (true, _) => Bound::LogEnd,
        (false, READ_COMMITTED) => Bound::LastStable,
        (false, _) => Bound::HighWatermark,
    };
    let fetch = Arc::new(Fetch {
        version: context.version,
        replica_id: request.replica_id,
        bound,
        max_bytes: max_bytes.unsigned_abs(),
        reader,
        is_negative: request.max_bytes < 0,
        wanted,
        session,
        answer: parking_lot::Mutex::new(Some(answer)),
    });
    let min_bytes = u64::from(request.min_bytes.clamp(0, max_bytes).unsigned_abs());
    let max_wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
    let mut pass = fetch.read(broker, &fetch.wanted, true, true);
    if let SessionPart::Goes(session, _) = &fetch.session {
        session.lock().taken_in(now);
    }
    let after = After::of(&mut pass);
    fetch.answer_or_wait(context, pass, min_bytes, max_wait_ms);
    after.tell(broker);
}

/// What a follower's fetch leaves to do when it is answered or waits.
struct After {
    moved: Vec<Arc<Partition>>,
    changes: Vec<(Arc<Partition>, IsrChange)>,
}

impl After {
    fn of(pass: &mut Pass) -> Self {
        Self { moved: std::mem::take(&mut pass.moved), changes: std::mem::take(&mut pass.changes) }
    }

    fn tell(self, broker: &Arc<Broker>) {
        for (partition, change) in self.changes {
            broker.change_isr(&partition, change);
        }
        self.moved.iter().for_each(|partition| partition.wake(broker));
    }
}

/// Ends a fetch that waited: reads again, and answers with what is there.
pub(crate) trait Complete {
    fn complete(self, broker: &Arc<Broker>);
}

impl Complete for WaitingFetch {
    fn complete(self, broker: &Arc<Broker>) {
        let fetch = self.reply;
        let wanted = fetch.wanted_now();
        let pass = fetch.read(broker, &wanted, true, false);
        if pass.is_cold {
            return fetch.clone().finish_on_disk_thread(broker);
        }
        fetch.answer(broker, &wanted, pass.results);
    }
}

impl FetchPartition for Watched {
    fn available(&self) -> Available {
        let (partition, wait, bound, is_throttled) = match self {
            Self::Partition { partition, wait, bound, is_throttled } => (partition, wait, *bound, *is_throttled),
            Self::Resting(session) => return session.lock().available(),
        };
        let epoch = wait.leader_epoch.unwrap_or(-1);
        if partition.check_epoch(epoch, false).is_err() {
            return Available::Now;
        }
        if is_throttled {
            return Available::Bytes(0);
        }
        let offsets = partition.log().offsets();
        let end = end_of(bound, &offsets);
        if end == wait.start.offset {
            return Available::Bytes(0);
        }
        match partition.log().position_of(end) {
            Ok(end) => {
                let end = Position { offset: end.offset, segment: end.segment, byte: end.position };
                available(&wait.start, &end, wait.bytes_max)
            }
            Err(_) => Available::Now,
        }
    }
}

impl Fetch {
    /// Answers now, or when there is enough.
    fn answer_or_wait(self: Arc<Self>, context: &Context<'_>, mut pass: Pass, min_bytes: u64, max_wait_ms: u64) {
        let broker = context.broker;
        if pass.is_cold {
            return self.finish_on_disk_thread(broker);
        }
        let resting = self.resting();
        let is_empty = self.wanted.is_empty() && resting.is_none();
        if max_wait_ms == 0 || is_empty || pass.bytes >= min_bytes || pass.has_error {
            return self.answer(broker, &self.wanted, pass.results);
        }
        let deadline = context.now.monotonic.plus_ms(max_wait_ms);
        let slot = self.answer_slot();
        let news = resting.map(|(session, news)| {
            pass.waits.push(Watched::Resting(session));
            news
        });
        let delayed = DelayedFetch::new(pass.waits, min_bytes, self);
        // In the order of what it waits for.
        let lists = pass.lists.iter().map(|partition| -> &WaitingList<WaitingFetch> { &partition.fetches });
        let lists = lists.chain(news.iter().map(|news| &news.fetches));
        match broker.fetches.park(delayed, deadline, lists) {
            Park::Ready(delayed) => delayed.complete(broker),
            Park::Waiting(ticket) => {
                if let Some(slot) = slot {
                    slot.withdraw_by(move || drop(ticket.cancel()));
                }
                broker.host.alarm(deadline);
            }
        }
    }

    const fn is_follower(&self) -> bool {
        self.replica_id >= 0
    }

    /// The session in which partitions may rest, if it is a follower's, and what happens to them there.
    fn resting(&self) -> Option<(Arc<parking_lot::Mutex<Session>>, Arc<News>)> {
        let SessionPart::Goes(session, _) = &self.session else { return None };
        let news = session.lock().news().cloned()?;
        Some((session.clone(), news))
    }

    /// What is to be read now: as the request came, and what has ceased to rest since.
    fn wanted_now(&self) -> Cow<'_, [Wanted]> {
        match self.resting() {
            Some((session, _)) => Cow::Owned(session.lock().wanted()),
            None => Cow::Borrowed(&self.wanted),
        }
    }

    /// Reads every partition in turn, within the limits. With `takes_in`, leaders learn how far their follower is.
    fn read(&self, broker: &Arc<Broker>, wanted: &[Wanted], cached_only: bool, takes_in: bool) -> Pass {
        let mut left = self.max_bytes;
        // Versions before 3 get no more than they asked for, even if that is not one whole batch.
        let mut at_least_one = self.version > 2;
        let mut pass = Pass {
            results: Vec::with_capacity(wanted.len()),
            waits: Vec::new(),
            lists: Vec::new(),
            moved: Vec::new(),
            changes: Vec::new(),
            bytes: 0,
            has_error: false,
            is_cold: false,
        };
        for wanted in wanted {
            let read = self.read_one(broker, wanted, left, at_least_one, cached_only);
            let read = match read {
                Ok(read) if takes_in && self.is_follower() => self.take_in(broker, wanted, read, &mut pass),
                read => read,
            };
            let read = read.map(|read| self.throttled(broker, read));
            match read {
                Ok(read) => {
                    let size = self.note(wanted, read, &mut pass);
                    if size > 0 {
                        at_least_one = false;
                    }
                    left = left.saturating_sub(u32::try_from(size).unwrap_or(u32::MAX));
                }
                Err(Refusal::Cold) => {
                    pass.is_cold = true;
                    return pass;
                }
                Err(Refusal::AtOnce(answer)) => {
                    pass.has_error = true;
                    pass.results.push(Looked { answer: *answer, seen: None });
                }
                Err(Refusal::Code(error_code)) => {
                    pass.has_error = true;
                    let answer = failed(wanted.name.partition, error_code);
                    pass.results.push(Looked { answer, seen: None });
                }
            }
        }
        pass
    }

    /// Takes what was read into the pass; how many bytes it has.
    fn note(&self, wanted: &Wanted, read: Read, pass: &mut Pass) -> usize {
        let Read { partition, fetched, answer, leader_epoch } = read;
        let size = answer.records.as_ref().map_or(0, Records::len);
        pass.bytes += size as u64;
        let position = fetched.position;
        let epoch = wanted.request.current_leader_epoch;
        let wait = FetchWait {
            start: Position { offset: position.offset, segment: position.segment, byte: position.position },
            bytes_max: wanted.request.partition_max_bytes.max(0).unsigned_abs(),
            leader_epoch: (epoch >= 0).then_some(epoch),
            last_fetched_epoch: None,
        };
        let is_throttled = size == 0 && fetched.records.iter().any(|part| !part.is_empty());
        let log_end = fetched.offsets.log_end;
        let has_all = self.is_follower() && wanted.request.fetch_offset == log_end;
        let seen = has_all.then(|| Seen {
            partition: partition.clone(),
            leader_epoch,
            log_start: answer.log_start_offset,
            high_watermark: answer.high_watermark,
            log_end,
            wait,
        });
        pass.lists.push(partition.clone());
        pass.waits.push(Watched::Partition { partition, wait, bound: self.bound, is_throttled });
        pass.results.push(Looked { answer, seen });
        size
    }

    fn read_one(
        &self,
        broker: &Arc<Broker>,
        wanted: &Wanted,
        left: u32,
        at_least_one: bool,
        cached_only: bool,
    ) -> Result<Read, Refusal> {
        let partition = broker.partitions.get(broker, &wanted.name.topic, wanted.name.partition)?;
        // From version 11 on a consumer may read from a follower (KIP-392).
        let leader_only = self.is_follower() || self.version < 11;
        let leader_epoch = partition.check_epoch(wanted.request.current_leader_epoch, leader_only)?;
        let config = partition.log().config();
        if self.version < 10 && config.compression == Some(ZSTD) {
            return Err(Refusal::Code(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE));
        }
        let read = ReadRequest {
            offset: wanted.request.fetch_offset,
            max_bytes: wanted.request.partition_max_bytes.max(0).unsigned_abs().min(left),
            min_one_message: at_least_one,
            bound: self.bound,
            cached_only,
        };
        refuse_diverging(&partition, wanted)?;
        if let Some(reader) = &self.reader {
            send_nearer(broker, &partition, wanted, reader)?;
        }
        let fetched = partition.log().read(&read)?;
        // The original asks its segment for fewer bytes than none; at the end it asks for nothing.
        let is_negative = self.is_negative || wanted.request.partition_max_bytes < 0;
        if is_negative && wanted.request.fetch_offset < end_of(self.bound, &fetched.offsets) {
            return Err(Refusal::Code(ErrorCode::UNKNOWN_SERVER_ERROR));
        }
        let mut answer = ResponsePartition {
            partition_index: wanted.name.partition,
            high_watermark: fetched.offsets.high_watermark,
            last_stable_offset: fetched.offsets.last_stable,
            log_start_offset: fetched.offsets.log_start,
            aborted_transactions: fetched.aborted_transactions.as_ref().map(|aborted| {
                let entry = |one: &kafka_log::AbortedTransaction| AbortedTransaction {
                    producer_id: one.producer_id,
                    first_offset: one.first_offset,
                };
                aborted.iter().map(entry).collect()
            }),
            ..ResponsePartition::default()
        };
        // A piece of a batch that is too large for the limits is no use to a client that will get it whole.
        let records =
            if fetched.first_batch_incomplete && self.version > 2 { Vec::new() } else { fetched.records.clone() };
        answer.records = Some(match self.old_magic() {
            Some(magic) if config.message_magic.unsigned_abs() > magic as u8 => {
                if !config.message_downconversion {
                    return Err(Refusal::Code(ErrorCode::UNSUPPORTED_VERSION));
                }
                match fetched.first_batch_incomplete {
                    // An old client must see that there is a message, though its limit ends inside of it.
                    true => Records::from(start_of_a_message(records.iter().map(Part::len).sum())),
                    false => converted(&records, magic, read.offset, read.max_bytes as usize)?,
                }
            }
            _ => Records::from(records),
        });
        Ok(Read { partition, fetched, answer, leader_epoch })
    }

    /// Lets a leader know how far its follower is. Who is no replica gets no records.
    fn take_in(&self, broker: &Arc<Broker>, wanted: &Wanted, mut read: Read, pass: &mut Pass) -> Result<Read, Refusal> {
        let from = FetchedFrom { offset: wanted.request.fetch_offset, log_start: wanted.request.log_start_offset };
        let offsets = &read.fetched.offsets;
        let now = broker.host.now();
        match read.partition.record_fetch(self.replica_id, from, offsets, read.leader_epoch, now) {
            Ok(recorded) => {
                if recorded.has_moved {
                    // The follower hears of it with this answer.
                    read.answer.high_watermark = read.partition.log().offsets().high_watermark;
                    pass.moved.push(read.partition.clone());
                }
                pass.changes.extend(recorded.change.map(|change| (read.partition.clone(), change)));
            }
            Err(ReplicaError::NotAReplica { .. }) => read.answer.records = Some(Records::EMPTY),
            Err(error) => return Err(Refusal::Code(errors::of_replica(error))),
        }
        Ok(read)
    }

    /// Takes the records from a follower that is to wait for them, or counts them.
    fn throttled(&self, broker: &Broker, mut read: Read) -> Read {
        let (name, throttle) = (&read.partition.name, &broker.throttles.leader);
        let length = read.answer.records.as_ref().map_or(0, Records::len);
        if !self.is_follower() || length == 0 || !throttle.covers(&name.topic, name.partition) {
            return read;
        }
        let (settings, now) = (broker.settings(), broker.host.now().monotonic);
        if throttle.is_exceeded(&settings, now) && !read.partition.is_in_sync(self.replica_id) {
            read.answer.records = Some(Records::EMPTY);
        } else {
            throttle.record(length as u64, &settings, now);
        }
        read
    }

    /// The newest format that the client reads, if it is not the current one.
    const fn old_magic(&self) -> Option<Magic> {
        match self.version {
            0..=1 => Some(Magic::V0),
            2..=3 => Some(Magic::V1),
            _ => None,
        }
    }

    fn finish_on_disk_thread(self: Arc<Self>, broker: &Arc<Broker>) {
        let own = broker.clone();
        broker.host.submit_for_request(once(move |_| {
            let wanted = self.wanted_now();
            let mut pass = self.read(&own, &wanted, false, true);
            let after = After::of(&mut pass);
            let records = pass.results.iter().filter_map(|looked| looked.answer.records.as_ref());
            records.flat_map(Records::parts).for_each(fetch_ahead);
            self.answer(&own, &wanted, pass.results);
            after.tell(&own);
        }));
    }

    /// Answers, once: in a session only with what changed.
    fn answer_slot(&self) -> Option<Arc<Slot>> {
        self.answer.lock().as_ref().and_then(Answer::slot)
    }

    fn answer(&self, broker: &Broker, wanted: &[Wanted], results: Vec<Looked>) {
        let Some(answer) = self.answer.lock().take() else { return };
        let mut response = Response::default();
        let named = wanted.iter().zip(results);
        match &self.session {
            SessionPart::None => response.topics = grouped(named.map(told).collect()),
            SessionPart::Begin => {
                let results: Vec<_> = named.map(told).collect();
                let answered = wanted
                    .iter()
                    .cloned()
                    .zip(&results)
                    .map(|(wanted, (_, result))| (wanted, result.high_watermark, result.log_start_offset));
                let slots = usize::try_from(broker.settings().fetches.sessions_max).unwrap_or(0);
                let now = broker.host.now().monotonic;
                let answered: Vec<_> = answered.collect();
                response.session_id = broker.with_random(|random| {
                    broker.fetch_sessions.begin(self.replica_id, answered.into_iter(), slots, random, now)
                });
                response.topics = grouped(results);
            }
            SessionPart::Goes(session, epoch) => {
                let mut session = session.lock();
                response.session_id = session.id();
                if session.is_at(*epoch) {
                    let mut changed = Vec::new();
                    for (Wanted { name, .. }, Looked { answer, seen }) in named {
                        let must_send = session.must_send(&name.topic, &answer, true);
                        if let Some(seen) = seen {
                            session.let_rest(name, &seen);
                        }
                        if must_send {
                            changed.push((&name.topic, answer));
                        }
                    }
                    response.topics = grouped(changed);
                } else {
                    response.error_code = ErrorCode::INVALID_FETCH_SESSION_EPOCH;
                }
            }
        }
        answer.send(&response);
    }
}

const ZSTD: u8 = 4;
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

/// A partition that was read.
struct Read {
    partition: Arc<Partition>,
    fetched: Fetched,
    answer: ResponsePartition,
    /// The epoch in which it was read.
    leader_epoch: i32,
}

/// Why a partition was not read.
enum Refusal {
    Code(ErrorCode),
    /// Without records, and at once: the logs part, or another replica is to be read.
    AtOnce(Box<ResponsePartition>),
    Cold,
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self::Code(error)
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Cold => Self::Cold,
            error => Self::Code(errors::of_log(&error)),
        }
    }
}

/// How far a reader may see.
const fn end_of(bound: Bound, offsets: &Offsets) -> i64 {
    match bound {
        Bound::LogEnd => offsets.log_end,
        Bound::HighWatermark => offsets.high_watermark,
        Bound::LastStable => offsets.last_stable,
    }
}

/// The answer to a request that is refused as a whole.
fn failed_whole(topics: Vec<RequestTopic>, error_code: ErrorCode) -> Response {
    let topics = topics.into_iter().map(|RequestTopic { topic, partitions }| {
        let partitions = partitions.iter().map(|one| failed(one.partition_index, error_code)).collect();
        ResponseTopic { topic, partitions }
    });
    Response { error_code, topics: topics.collect(), ..Response::default() }
}

/// Where the reader's log parts from this one, if it does: it has read beyond the end of the epoch that it read last (KIP-595).
fn refuse_diverging(partition: &Partition, wanted: &Wanted) -> Result<(), Refusal> {
    let asked = &wanted.request;
    if asked.last_fetched_epoch < 0 {
        return Ok(());
    }
    let end = partition.log().end_offset_for_epoch(asked.last_fetched_epoch).ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
    let offsets = partition.log().offsets();
    if asked.fetch_offset < offsets.log_start {
        return Err(Refusal::Code(ErrorCode::OFFSET_OUT_OF_RANGE));
    }
    if end.epoch >= asked.last_fetched_epoch && end.offset >= asked.fetch_offset {
        return Ok(());
    }
    Err(Refusal::AtOnce(Box::new(ResponsePartition {
        partition_index: wanted.name.partition,
        high_watermark: offsets.high_watermark,
        last_stable_offset: offsets.last_stable,
        log_start_offset: offsets.log_start,
        diverging_epoch: EpochEndOffset { epoch: end.epoch, end_offset: end.offset },
        records: Some(Records::EMPTY),
        ..ResponsePartition::default()
    })))
}

/// Sends a consumer to the replica in its rack, if there is one and this leader is not in it.
fn send_nearer(broker: &Broker, partition: &Partition, wanted: &Wanted, reader: &Reader) -> Result<(), Refusal> {
    let offset = wanted.request.fetch_offset;
    let followers = partition.readable_followers(offset, broker.host.now());
    let Some(nearer) = followers.and_then(|followers| reader.choose(broker, &followers)) else {
        return Ok(());
    };
    let offsets = partition.log().offsets();
    Err(Refusal::AtOnce(Box::new(ResponsePartition {
        partition_index: wanted.name.partition,
        high_watermark: offsets.high_watermark,
        last_stable_offset: offsets.last_stable,
        log_start_offset: offsets.log_start,
        preferred_read_replica: nearer,
        records: Some(Records::EMPTY),
        ..ResponsePartition::default()
    })))
}

/// A result under its topic's name.
fn told((wanted, looked): (&Wanted, Looked)) -> (&Str, ResponsePartition) {
    (&wanted.name.topic, looked.answer)
}

fn failed(partition_index: i32, error_code: ErrorCode) -> ResponsePartition {
    ResponsePartition {
        partition_index,
        error_code,
        high_watermark: -1,
        records: Some(Records::EMPTY),
        ..ResponsePartition::default()
    }
}

/// Brings a range of a file into the page cache, so that the event loop that sends it need not wait.
fn fetch_ahead(part: &Part) {
    let Part::Range { file, position, length } = part else { return };
    let mut piece = vec![0; FETCHED_AHEAD_AT_ONCE.min(*length as usize)];
    let mut at = *position;
    while at < position + u64::from(*length) {
        match file.read_at(&mut piece, at) {
            Ok(read) if read > 0 => at += read as u64,
            // The sender meets the error, or the end, too.
            _ => return,
        }
    }
}

/// Neighbours of one topic under one name. What the broker does not know comes behind all that it does.
fn grouped(mut results: Vec<(&Str, ResponsePartition)>) -> Vec<ResponseTopic> {
    results.sort_by_key(|(_, result)| result.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut topics: Vec<ResponseTopic> = Vec::new();
    for (topic, result) in results {
        match topics.last_mut().filter(|last| last.topic == *topic) {
            Some(last) => last.partitions.push(result),
            None => topics.push(ResponseTopic { topic: topic.clone(), partitions: vec![result] }),
        }
    }
    topics
}

/// Reads the records into memory and writes them in an older format.
fn converted(parts: &[Part], magic: Magic, offset: i64, bytes_max: usize) -> Result<Records, Refusal> {
    let input = base::read_parts(parts).map_err(|_| Refusal::Code(ErrorCode::KAFKA_STORAGE_ERROR))?;
    match down_convert(&input, magic, offset, bytes_max, CONVERTED_BYTES_MAX) {
        Ok(converted) => Ok(Records::from(bytes::Bytes::from(converted.bytes))),
        Err(kafka_proto::record::RecordError::UnsupportedCompression(_)) => {
            Err(Refusal::Code(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE))
        }
        Err(_) => Err(Refusal::Code(ErrorCode::CORRUPT_MESSAGE)),
    }
}

/// So many bytes, which no message ends in: an offset that is none, and a length beyond them.
fn start_of_a_message(len: usize) -> bytes::Bytes {
    let beyond = i32::try_from(len).unwrap_or(i32::MAX).saturating_add(1).max(61);
    let mut bytes = vec![0xff; 8];
    bytes.extend(beyond.to_be_bytes());
    bytes.resize(len, 0);
    bytes.into()
}
