//! Replicas of this broker that move to another of its log directories (KIP-113; upstream: `ReplicaAlterLogDirsManager`,
//! `ReplicaAlterLogDirsThread`).
//!
//! A *mover* copies for some partitions, one after the other, in steps on disk threads: there are `num.replica.alter.log.dirs.threads` of
//! them, and partitions are shared out by the hash of their names. What a step does, `kafka_replica::Copier` says. When a copy has
//! all, it takes the log's place while appends go on (decision 17).
//!
//! Locks are taken in this order: `in_a_row`, a move's work, its partition's `changes`. All of them are held on disk threads alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Job, Monotonic, Next, Now, Slow, Str};
use bytes::Bytes;
use kafka_log::{Bound, Log, LogError, LogManager, ReadRequest, TopicPartition};
use kafka_replica::{Copier, CopyStep};
use parking_lot::{Mutex, MutexGuard};

use super::fetcher_number;
use super::follower::Seen;
use crate::broker::Broker;
use crate::partitions::Partition;

const MOVER: &str = "kafka.server.ReplicaAlterLogDirsThread";
const MANAGER: &str = "kafka.server.ReplicaAlterLogDirsManager";

/// What comes into a log while its copy takes the log's name is copied in so many steps at most, and in so much time, for which its leader can't
/// change; then it is tried again later.
const LAST_STEPS: usize = 1000;
const EXCHANGE_MS_MAX: u64 = 1000;

/// All moves of this broker.
#[derive(Default)]
pub(crate) struct Moves {
    movers: Mutex<Movers>,
    /// Held while it is decided what is where: by controllers' words, requests for moves and failures of directories.
    in_a_row: Mutex<()>,
}

#[derive(Default)]
struct Movers {
    /// By number.
    all: BTreeMap<i32, Mover>,
    is_closed: bool,
}

#[derive(Default)]
struct Mover {
    moves: BTreeMap<(Str, i32), Arc<Move>>,
    /// The partition that is copied, until it is done or rests.
    in_progress: Option<(Str, i32)>,
    /// A job of it is under way, or will be.
    is_running: bool,
}

/// One partition that moves.
struct Move {
    partition: Arc<Partition>,
    future: Arc<Log>,
    /// Held by whoever works on the copy.
    work: Mutex<Work>,
    is_over: AtomicBool,
    /// The copy's start moved: a DeleteRecords may wait for that.
    has_start_moved: AtomicBool,
    /// After an error.
    rests_until: Mutex<Option<Monotonic>>,
}

#[derive(Default)]
struct Work {
    copier: Copier,
    /// The copy is the log now, and the old log's folder is still there.
    exchanged: Option<Exchanged>,
}

/// What a mover is to do.
enum Pick {
    Copy(Arc<Move>),
    /// All rest.
    Wait(Monotonic),
    Nothing,
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
enum Stepped {
    /// There is more to do.
    More,
    /// Not now.
    Rest,
    /// The copy is the log now.
    Moved,
}

/// The old log of a partition, and the new.
type Exchanged = (Arc<Log>, Arc<Log>);

impl Moves {
    /// Who holds it decides what is where.
    pub(crate) fn in_a_row(&self) -> MutexGuard<'_, ()> {
        self.in_a_row.lock()
    }

    /// Ends a partition's move; what is being done for it goes on to its end.
    pub(crate) fn forget(&self, topic: &str, partition: i32) {
        drop(self.take(topic, partition));
    }

    /// Ends a partition's move. When it returns, nobody works on its copy.
    pub(crate) fn stop(&self, topic: &str, partition: i32) {
        if let Some(ended) = self.take(topic, partition) {
            drop(ended.work.lock());
        }
    }

    /// Waits for the step of a partition's move that is under way. Behind it a log that was exchanged for its copy is gone, unless that failed.
    pub(crate) fn await_step(&self, topic: &str, partition: i32) {
        let name = (Str::copied(topic), partition);
        let one = self.movers.lock().all.values().find_map(|mover| mover.moves.get(&name).cloned());
        if let Some(one) = one {
            drop(one.work.lock());
        }
    }

    /// Ends all moves, before the logs are closed; when it returns, nobody works on a copy.
    pub(crate) fn stop_all(&self) {
        let movers = {
            let mut movers = self.movers.lock();
            movers.is_closed = true;
            std::mem::take(&mut movers.all)
        };
        for ended in movers.into_values().flat_map(|mover| mover.moves.into_values()) {
            ended.is_over.store(true, Ordering::Release);
            drop(ended.work.lock());
        }
    }

    /// A move came to its end. Another one of the partition may have begun.
    fn ended(&self, one: &Arc<Move>) {
        let name = (one.partition.name.topic.clone(), one.partition.name.partition);
        for mover in self.movers.lock().all.values_mut() {
            if mover.moves.get(&name).is_some_and(|known| Arc::ptr_eq(known, one)) {
                mover.moves.remove(&name);
            }
        }
    }

    fn take(&self, topic: &str, partition: i32) -> Option<Arc<Move>> {
        let name = (Str::copied(topic), partition);
        let mut movers = self.movers.lock();
        let ended = movers.all.values_mut().find_map(|mover| mover.moves.remove(&name))?;
        ended.is_over.store(true, Ordering::Release);
        Some(ended)
    }

    fn has(&self, name: &TopicPartition) -> bool {
        let name = (name.topic.clone(), name.partition);
        self.movers.lock().all.values().any(|mover| mover.moves.contains_key(&name))
    }

    /// What the mover of this number is to do. After [`Pick::Wait`] and [`Pick::Nothing`] its job is over.
    fn pick(&self, number: i32, now: Monotonic) -> Pick {
        let mut movers = self.movers.lock();
        let is_closed = movers.is_closed;
        let Some(mover) = movers.all.get_mut(&number).filter(|_| !is_closed) else { return Pick::Nothing };
        if let Some(one) = mover.in_progress.as_ref().and_then(|name| mover.moves.get(name))
            && one.rests_at(now).is_none()
        {
            return Pick::Copy(one.clone());
        }
        mover.in_progress = None;
        let ready = mover.moves.iter().find(|(_, one)| one.rests_at(now).is_none());
        if let Some((name, one)) = ready {
            mover.in_progress = Some(name.clone());
            tracing::info!(
                target: MOVER,
                "[ReplicaAlterLogDirsThread-{number}]: Beginning/resuming copy of partition {} from offset {}. Including this partition, there are {} remaining partitions to copy by this thread.",
                one.partition.name,
                one.future.offsets().log_end,
                mover.moves.len()
            );
            return Pick::Copy(one.clone());
        }
        mover.is_running = false;
        let next = mover.moves.values().filter_map(|one| one.rests_at(now)).min();
        next.map_or(Pick::Nothing, Pick::Wait)
    }

    /// The mover does nothing for a while.
    fn rest(&self, number: i32) {
        if let Some(mover) = self.movers.lock().all.get_mut(&number) {
            mover.is_running = false;
        }
    }
}

impl Move {
    /// Until when it rests, if it does.
    fn rests_at(&self, now: Monotonic) -> Option<Monotonic> {
        self.rests_until.lock().filter(|until| *until > now)
    }
}

impl Broker {
    /// Begins to copy a partition's log into its future one. The caller holds [`Moves::in_a_row`].
    pub(crate) fn start_move(self: &Arc<Self>, partition: Arc<Partition>, future: Arc<Log>) {
        let settings = self.settings();
        let count = settings.replication.movers.unwrap_or_else(|| i32::try_from(settings.log_dirs.len()).unwrap_or(1));
        let number = fetcher_number(&partition.name.topic, partition.name.partition, count);
        let name = (partition.name.topic.clone(), partition.name.partition);
        let offset = future.offsets().high_watermark;
        tracing::info!(target: MANAGER, "[ReplicaAlterLogDirsManager on broker {}] Added log dir fetcher for partition {} with initial offset {offset}", self.id(), partition.name);
        let one = Arc::new(Move {
            partition,
            future,
            work: Mutex::default(),
            is_over: AtomicBool::new(false),
            has_start_moved: AtomicBool::new(false),
            rests_until: Mutex::default(),
        });
        {
            let mut movers = self.moves.movers.lock();
            if movers.is_closed {
                return;
            }
            movers.all.entry(number).or_default().moves.insert(name, one);
        }
        self.run_mover(number);
    }

    /// Goes on with the moves that an earlier start left, as far as their partitions are served now. The caller holds
    /// [`Moves::in_a_row`].
    pub(super) fn go_on_moving<'a>(
        self: &Arc<Self>,
        logs: &LogManager,
        partitions: impl Iterator<Item = &'a Arc<Partition>>,
    ) {
        for partition in partitions {
            if let Some(future) = logs.future(&partition.name)
                && !self.moves.has(&partition.name)
            {
                self.start_move(partition.clone(), future);
            }
        }
    }

    /// Has the mover of this number go on.
    fn run_mover(self: &Arc<Self>, number: i32) {
        {
            let mut movers = self.moves.movers.lock();
            let is_closed = movers.is_closed;
            let Some(mover) = movers.all.get_mut(&number).filter(|_| !is_closed) else { return };
            if std::mem::replace(&mut mover.is_running, true) {
                return;
            }
        }
        self.host.submit(Box::new(MoverJob { broker: self.clone(), number }));
    }

    fn run_mover_at(self: &Arc<Self>, number: i32, at: Monotonic) {
        self.schedule(at, move |broker, _| broker.run_mover(number));
    }
}

struct MoverJob {
    broker: Arc<Broker>,
    number: i32,
}

impl Job for MoverJob {
    fn step(&mut self, slow: &Slow) -> Next {
        let Self { broker, number } = self;
        let now = broker.host.now();
        let backoff_ms = u64::try_from(broker.settings().replication.fetch_backoff_ms).unwrap_or(0);
        let later = now.monotonic.plus_ms(backoff_ms);
        if broker.throttles.moves.is_exceeded(&broker.settings(), now.monotonic) {
            broker.moves.rest(*number);
            broker.run_mover_at(*number, later);
            return Next::Done;
        }
        match broker.moves.pick(*number, now.monotonic) {
            Pick::Copy(one) => {
                match one.go_on(broker, now, slow) {
                    Stepped::More => {}
                    Stepped::Rest => *one.rests_until.lock() = Some(later),
                    Stepped::Moved => broker.moves.ended(&one),
                }
                Next::More
            }
            Pick::Wait(until) => {
                broker.run_mover_at(*number, until);
                Next::Done
            }
            Pick::Nothing => Next::Done,
        }
    }
}

impl Move {
    /// One step on the way.
    fn go_on(&self, broker: &Arc<Broker>, now: Now, slow: &Slow) -> Stepped {
        let stepped = self.step(broker, now, slow).unwrap_or_else(|error| {
            if !self.is_over.load(Ordering::Acquire) {
                let to = self.future.dir();
                tracing::warn!(target: MOVER, "Error while copying partition {} to {}: {error}", self.partition.name, to.display());
            }
            Stepped::Rest
        });
        if self.has_start_moved.swap(false, Ordering::AcqRel) {
            self.partition.wake(broker);
        }
        stepped
    }

    fn step(&self, broker: &Arc<Broker>, now: Now, slow: &Slow) -> Result<Stepped, LogError> {
        let mut work = self.work.lock();
        let Some(logs) = broker.logs().filter(|_| !self.is_over.load(Ordering::Acquire)) else {
            return Ok(Stepped::Rest);
        };
        if work.exchanged.is_some() {
            return self.swap(&mut work, broker, logs, slow);
        }
        match self.copy(&mut work.copier, broker, logs, now, slow)? {
            None => Ok(Stepped::Rest),
            Some(CopyStep::Level) => self.swap(&mut work, broker, logs, slow),
            Some(_) => Ok(Stepped::More),
        }
    }

    /// Brings the copy nearer to the log by one step, which is returned; `None`: the log is being cut.
    fn copy(
        &self,
        copier: &mut Copier,
        broker: &Arc<Broker>,
        logs: &LogManager,
        now: Now,
        slow: &Slow,
    ) -> Result<Option<CopyStep>, LogError> {
        let log = self.partition.log();
        let Some(truncations) = log.truncations() else { return Ok(None) };
        let step = copier.next(&Seen(self.future.clone()), &Seen(log.clone()), truncations);
        match step {
            CopyStep::Level => self.take_over_marks(&log),
            CopyStep::CutTo(offset) => {
                logs.truncate_to(&[(self.future.clone(), offset)], now, slow)
                    .into_iter()
                    .try_for_each(|cut| cut.map(drop))?;
            }
            CopyStep::RestartAt(offset) => {
                logs.truncate_fully_and_start_at(&self.future, offset, now, slow)?;
                self.has_start_moved.store(true, Ordering::Release);
            }
            CopyStep::Fetch(offset) => self.fetch(broker, logs, &log, (offset, truncations), now, slow)?,
        }
        Ok(Some(step))
    }

    /// `from` is an offset of the log, as it is after so many cuts.
    fn fetch(
        &self,
        broker: &Arc<Broker>,
        logs: &LogManager,
        log: &Log,
        from: (i64, u64),
        now: Now,
        slow: &Slow,
    ) -> Result<(), LogError> {
        let (offset, truncations) = from;
        let settings = broker.settings();
        let request = ReadRequest {
            offset,
            max_bytes: u32::try_from(settings.replication.fetch_bytes_max).unwrap_or(1 << 20),
            min_one_message: true,
            bound: Bound::LogEnd,
            cached_only: false,
        };
        let records = match log.read(&request) {
            Ok(fetched) => Bytes::from(base::read_parts(&fetched.records).map_err(LogError::copying)?),
            // The log was cut, or its start moved: the next step goes by that.
            Err(LogError::OffsetOutOfRange { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        if log.truncations() != Some(truncations) {
            // These may be of before the cut, and the copy end where the log goes on with others.
            return Ok(());
        }
        if !records.is_empty() {
            self.append(logs, &records, now, slow)?;
            broker.throttles.moves.record(records.len() as u64, &settings, now.monotonic);
        }
        self.take_over_marks(log);
        Ok(())
    }

    fn append(&self, logs: &LogManager, records: &Bytes, now: Now, slow: &Slow) -> Result<(), LogError> {
        match self.future.append_as_follower(records, now) {
            // The log starts inside of a batch, which comes whole.
            Err(LogError::UnexpectedAppendOffset { first_offset, last_offset, log_end_offset })
                if self.future.offsets().log_start == log_end_offset && last_offset >= log_end_offset =>
            {
                logs.truncate_fully_and_start_at(&self.future, first_offset, now, slow)?;
                self.future.append_as_follower(records, now).map(drop)
            }
            appended => appended.map(drop),
        }
    }

    /// The copy takes the log's high watermark and start over, as far as it reaches.
    fn take_over_marks(&self, log: &Log) {
        let offsets = log.offsets();
        self.future.update_high_watermark(offsets.high_watermark);
        // Behind what the copy has, it is said again.
        if self.future.increment_log_start_offset(offsets.log_start).is_ok_and(|has_moved| has_moved) {
            self.has_start_moved.store(true, Ordering::Release);
        }
    }

    /// Makes the copy the partition's log. Appends go on all the time; those that come while the copy gets the log's name are copied
    /// behind it, and the exchange is made at a moment in which there are none. Neither is cut, and the leader stays, until the old log's folder has
    /// another name: as long as two have one, one log is to be a beginning of the other.
    fn swap(&self, work: &mut Work, broker: &Arc<Broker>, logs: &LogManager, slow: &Slow) -> Result<Stepped, LogError> {
        // Most of it, before anybody has to wait.
        self.future.flush(broker.host.now(), slow)?;
        let in_a_row = self.partition.changes.lock();
        let exchanged = match work.exchanged.take() {
            Some(exchanged) => Ok(Some(exchanged)),
            None => self.begin_and_exchange(&mut work.copier, broker, logs, slow),
        };
        let Some((old, new)) = exchanged? else { return Ok(Stepped::Rest) };
        let ended = self.end_swap(&old, &new, broker, logs, slow);
        if ended.is_err() {
            work.exchanged = Some((old, new));
        }
        drop(in_a_row);
        self.partition.wake(broker);
        ended.map(|()| Stepped::Moved)
    }

    /// The old log and the new, if a moment was found.
    fn begin_and_exchange(
        &self,
        copier: &mut Copier,
        broker: &Arc<Broker>,
        logs: &LogManager,
        slow: &Slow,
    ) -> Result<Option<Exchanged>, LogError> {
        let Some(truncations) = copier.agrees_since() else { return Ok(None) };
        if !logs.begin_swap(&self.future, truncations, broker.host.now(), slow)? {
            return Ok(None);
        }
        let exchanged = self.exchange(copier, broker, logs, slow);
        if !matches!(exchanged, Ok(Some(_))) {
            logs.give_up_swap(&self.future, slow)?;
        }
        exchanged
    }

    fn exchange(
        &self,
        copier: &mut Copier,
        broker: &Arc<Broker>,
        logs: &LogManager,
        slow: &Slow,
    ) -> Result<Option<Exchanged>, LogError> {
        let until = broker.host.now().monotonic.plus_ms(EXCHANGE_MS_MAX);
        for _ in 0..LAST_STEPS {
            let now = broker.host.now();
            if now.monotonic > until || self.is_over.load(Ordering::Acquire) {
                break;
            }
            match self.copy(copier, broker, logs, now, slow)? {
                Some(CopyStep::Level) => {
                    let exchanged = copier.agrees_since().and_then(|cuts| self.partition.swap_log(logs, cuts));
                    if exchanged.is_some() {
                        return Ok(exchanged);
                    }
                }
                Some(CopyStep::Fetch(_)) => {}
                None | Some(CopyStep::CutTo(_) | CopyStep::RestartAt(_)) => break,
            }
        }
        Ok(None)
    }

    /// The old log's folder goes. Where that can't be because its directory failed, it is nobody's any more.
    fn end_swap(
        &self,
        old: &Arc<Log>,
        new: &Log,
        broker: &Broker,
        logs: &LogManager,
        slow: &Slow,
    ) -> Result<(), LogError> {
        let ended = logs.end_swap(old, new, broker.host.now(), slow);
        let is_online = logs.directories().contains(&(old.log_dir(), true));
        match ended {
            Ok(()) => {
                let name = &self.partition.name;
                tracing::info!(target: "kafka.log.LogManager", "The current replica is successfully replaced with the future replica for {name}");
            }
            Err(error) if is_online => return Err(error),
            Err(error) => {
                tracing::error!(target: MOVER, "{} moved to {}, and its old log could not be removed: {error}", self.partition.name, new.dir().display());
            }
        }
        Ok(())
    }
}
