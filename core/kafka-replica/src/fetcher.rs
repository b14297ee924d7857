//! How a follower follows (upstream: `AbstractFetcherThread`, `ReplicaFetcherThread`).
//!
//! A [`Fetcher`] is for some of the partitions that one other broker leads. It asks one question at a time: a fetch for all
//! partitions that are ready, or, for those whose log may differ from the leader's, where to cut it
//! (`fetcher/truncation.rs`). Logs are cut elsewhere, since that waits for disks; the partition rests meanwhile, and the others go on.
//!
//! What a question costs goes by what changed, not by how many partitions there are: a partition is looked at when something was
//! fetched for it, or happened to it, and a fetch session (KIP-227, `fetcher/session.rs`) names those alone.
//!
//! An answer counts for a partition as it was when the question was asked: whoever was removed, led anew or moved since then is passed over.

mod session;
mod slot;
pub(crate) mod truncation;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use base::{Monotonic, Str, Timers};
use kafka_proto::ErrorCode;
use kafka_proto::messages::{fetch, list_offset, offset_for_leader_epoch as epochs};

use session::Session;
use slot::{Phase, Slot};
use truncation::Target;

use crate::ReplicaLog;

/// What a fetcher is set to do.
#[derive(Clone, Debug)]
pub struct FetcherSettings {
    /// This broker's id.
    pub replica_id: i32,
    /// `replica.fetch.wait.max.ms`
    pub wait_ms_max: i32,
    /// `replica.fetch.min.bytes`
    pub bytes_min: i32,
    /// `replica.fetch.response.max.bytes`
    pub response_bytes_max: i32,
    /// `replica.fetch.max.bytes`
    pub partition_bytes_max: i32,
    /// `replica.fetch.backoff.ms`: how long a partition rests after an error, and all of them after a lost connection.
    pub backoff_ms: u64,
    /// Versions of the questions, as `inter.broker.protocol.version` has them.
    pub versions: FetcherVersions,
}

/// Versions of the questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetcherVersions {
    /// Of Fetch. From 12 on the leader is told the epoch of the last record and answers where the logs part (KIP-595).
    pub fetch: i16,
    /// Of OffsetForLeaderEpoch; `None` before 0.11.0-IV2: then a new follower cuts its log at the high watermark.
    pub epochs: Option<i16>,
    /// Of ListOffsets.
    pub offsets: i16,
}

/// The first version of Fetch that finds out where logs part.
const FETCH_WITH_EPOCHS: i16 = 12;

/// The first pause after an error that goes away by itself, as when the leader has not heard yet that it leads; doubles up to
/// `replica.fetch.backoff.ms`. The original waits for that at once.
const FIRST_BACKOFF_MS: u64 = 20;

/// A leader epoch and the offset that it ends before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: i32,
    /// One behind its last offset.
    pub offset: i64,
}

/// What a leader sent for one partition.
#[derive(Debug)]
pub struct Fetched {
    /// Leader epoch of the follower when it asked: who follows another leader by now refuses.
    pub leader_epoch: i32,
    /// What was asked for: where the log must end for this to be appended.
    pub offset: i64,
    /// Batches; the last one may be cut short. Slices of what was received.
    pub records: bytes::Bytes,
    /// The leader's high watermark.
    pub high_watermark: i64,
    /// The leader's log start; -1 if it does not say (Fetch before version 5).
    pub log_start: i64,
}

/// Why nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFailure {
    /// The records are damaged: fetched again after a pause, since a leader may have sent them while it cut its log.
    Damaged,
    /// The log takes no records for now: tried again after a pause.
    Busy,
    /// The log does not end where it was asked from: asked again from its end.
    Moved,
    /// An empty log, and a first batch that reaches over its start: the log is to start at this offset, the batch's first.
    StartsBefore(i64),
    /// It will not go better: the partition is left alone until it gets another leader.
    Failed,
}

/// A log that follows, as a fetcher sees it. Cheap to ask; called with no lock but the fetcher's own held.
pub trait FollowerLog {
    /// See [`FollowerLog::view`].
    type View: ReplicaLog;
    /// The log as it is.
    fn view(&self) -> Self::View;
    /// Appends records, then takes over the leader's high watermark and log start as far as the log reaches. The log's end.
    fn append(&self, fetched: &Fetched) -> Result<i64, AppendFailure>;
    /// Whether nothing more is to be fetched for now, by the follower's quota (KIP-73). Not asked of replicas that are in sync.
    fn is_throttled(&self) -> bool;
}

/// A log to be cut. [`Fetcher::cut_done`] is told when that is done, or not.
#[derive(Debug)]
pub struct Cut<L> {
    /// Which log.
    pub log: L,
    /// Whose: for [`Fetcher::cut_done`].
    pub name: (Str, i32),
    /// Names the cut.
    pub number: u64,
    /// The leader epoch in which it was decided: in another one it is not to be done.
    pub leader_epoch: i32,
    /// The offset that the log is to end before; with `fully`, all of it goes, and it starts here.
    pub to: i64,
    /// Whether nothing stays.
    pub fully: bool,
}

/// What became of a [`Cut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOutcome {
    /// The log is as it should be.
    Done,
    /// Nothing was cut, for want of room: tried again after a pause.
    NotNow,
    /// It will not go better: the partition is left alone until it gets another leader.
    Failed,
}

/// What is to be asked.
#[derive(Debug)]
pub enum Question {
    /// Records: [`Fetcher::fetched`].
    Fetch(fetch::Request),
    /// Where epochs end: [`Fetcher::epochs_answered`].
    Epochs(epochs::Request),
    /// Where the leader's logs start or end: [`Fetcher::offsets_answered`].
    Offsets(list_offset::Request),
}

/// Follows some partitions of one leader. `L` is a handle of a replica's log.
#[derive(Debug)]
pub struct Fetcher<L> {
    settings: FetcherSettings,
    slots: Vec<Option<Slot<L>>>,
    free: Vec<usize>,
    index: HashMap<Str, HashMap<i32, usize>>,
    session: Session,
    /// Those to be looked at when the next fetch is made, each once.
    changed: Vec<usize>,
    /// Those of which the leader is to be asked something else first.
    unsettled: Vec<usize>,
    /// Ends of pauses.
    pauses: Timers<(usize, u64)>,
    asked: Option<Asked>,
    /// Nothing is asked before: the connection was lost.
    resume_at: Option<Monotonic>,
    cuts: Vec<Cut<L>>,
    advanced: Vec<L>,
    failed: Vec<(Str, i32)>,
    lines: Vec<Line>,
    serial: u64,
}

/// A line for the broker's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether a person should look at it.
    pub is_warning: bool,
    /// The text.
    pub text: String,
}

/// The question that waits for its answer.
#[derive(Debug)]
enum Asked {
    Fetch,
    /// The partitions by their places, each with its serial then.
    Epochs(BTreeMap<usize, u64>),
    Offsets(BTreeMap<usize, u64>),
}

impl<L: FollowerLog + Clone> Fetcher<L> {
    /// A fetcher without partitions.
    pub fn new(settings: FetcherSettings) -> Self {
        Self {
            settings,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            session: Session::default(),
            changed: Vec::new(),
            unsettled: Vec::new(),
            pauses: Timers::default(),
            asked: None,
            resume_at: None,
            cuts: Vec::new(),
            advanced: Vec::new(),
            failed: Vec::new(),
            lines: Vec::new(),
            serial: 0,
        }
    }

    /// How many partitions it follows.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether it follows none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The partitions that it follows.
    pub fn names(&self) -> Vec<(Str, i32)> {
        self.slots.iter().flatten().map(|slot| (slot.topic.clone(), slot.partition)).collect()
    }

    /// Whether records were asked for and have not come: the leader may keep the request until there are some.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.asked, Some(Asked::Fetch))
    }

    /// Takes out the partitions for which nothing but records is asked, each with its leader epoch, for another fetcher.
    pub fn take_settled(&mut self) -> Vec<(Str, i32, L, i32)> {
        let is_settled = |slot: &&Slot<L>| slot.is_ready();
        let settled = self.slots.iter().flatten().filter(is_settled);
        let settled: Vec<_> =
            settled.map(|slot| (slot.topic.clone(), slot.partition, slot.log.clone(), slot.leader_epoch)).collect();
        for (topic, partition, ..) in &settled {
            self.remove(topic, *partition);
        }
        settled
    }

    /// The versions of its questions.
    pub const fn versions(&self) -> FetcherVersions {
        self.settings.versions
    }

    /// New settings, from the next question on.
    pub fn set_settings(&mut self, settings: FetcherSettings) {
        self.settings = settings;
    }

    /// Follows a partition whose leader has this epoch. One that is followed in this epoch already goes on.
    pub fn add(&mut self, topic: &Str, partition: i32, log: L, leader_epoch: i32) {
        if let Some(index) = self.find(topic, partition) {
            if self.slot(index).is_some_and(|slot| slot.leader_epoch == leader_epoch) {
                return;
            }
            self.remove(topic, partition);
        }
        self.serial += 1;
        let topic = Str::copied(topic);
        let mut slot = Slot::new(topic.clone(), partition, log, leader_epoch, self.serial);
        slot.in_session = self.session.unforget(&topic, partition);
        slot.begin(self.finds_out_by_fetching());
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(place) = self.slots.get_mut(index) {
            *place = Some(slot);
        }
        self.index.entry(topic).or_default().insert(partition, index);
        self.look_at(index);
    }

    /// Follows a partition no more. What was asked for it and is not answered yet is passed over.
    pub fn remove(&mut self, topic: &str, partition: i32) {
        let Some(index) = self.index.get_mut(topic).and_then(|numbers| numbers.remove(&partition)) else { return };
        if self.index.get(topic).is_some_and(HashMap::is_empty) {
            self.index.remove(topic);
        }
        let Some(slot) = self.slots.get_mut(index).and_then(Option::take) else { return };
        self.free.push(index);
        if slot.in_session {
            self.session.forget(slot.topic, partition);
        }
        if let Some(pause) = slot.pause {
            self.pauses.cancel(pause);
        }
    }

    /// Something about a partition changed that the leader may want to know, as the start of its log.
    pub fn refresh(&mut self) {
        for index in 0..self.slots.len() {
            self.look_at(index);
        }
    }

    /// Logs to be cut now.
    pub fn take_cuts(&mut self) -> Vec<Cut<L>> {
        std::mem::take(&mut self.cuts)
    }

    /// Logs that grew, or whose high watermark rose, since this was asked last.
    pub fn take_advanced(&mut self) -> Vec<L> {
        std::mem::take(&mut self.advanced)
    }

    /// Partitions that were given up since this was asked last; each stays so until it is added again.
    pub fn take_failed(&mut self) -> Vec<(Str, i32)> {
        std::mem::take(&mut self.failed)
    }

    /// What is to be said in the broker's log.
    pub fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// When [`Fetcher::next`] has something to ask that it has not now, unless something else happens before.
    pub fn deadline(&self) -> Option<Monotonic> {
        if self.asked.is_some() {
            return None;
        }
        self.resume_at.or_else(|| self.pauses.next_deadline())
    }

    /// What is to be asked now; `None` while something is asked already, or there is nothing to ask.
    pub fn next(&mut self, now: Monotonic) -> Option<Question> {
        if self.asked.is_some() || self.resume_at.is_some_and(|at| at > now) {
            return None;
        }
        self.resume_at = None;
        while let Some((index, serial)) = self.pauses.pop_due(now) {
            if let Some(slot) = self.slot_mut(index).filter(|slot| slot.serial == serial) {
                slot.pause = None;
                self.look_at(index);
            }
        }
        self.next_to_settle().or_else(|| self.next_fetch(now))
    }

    /// The question was not answered: the connection was lost, or took too long.
    pub fn unanswered(&mut self, now: Monotonic) {
        match self.asked.take() {
            Some(Asked::Fetch) => {
                self.session.lost();
                self.fetched_in_vain();
            }
            Some(Asked::Epochs(asked) | Asked::Offsets(asked)) => {
                asked.into_iter().for_each(|(index, _)| self.look_at(index));
            }
            None => {}
        }
        self.resume_at = Some(now.plus_ms(self.settings.backoff_ms));
    }

    /// Takes a fetch's answer.
    pub fn fetched(&mut self, response: fetch::Response, now: Monotonic) {
        if !matches!(self.asked.take(), Some(Asked::Fetch)) {
            return;
        }
        if !self.session.answered(response.error_code, response.session_id) {
            self.fetched_in_vain();
            let text = format!("Node answered the fetch with {}: the next one begins anew.", response.error_code);
            self.lines.push(Line { is_warning: false, text });
            // In the original at once; a leader that always says so is not to be asked all the time.
            self.resume_at = Some(now.plus_ms(FIRST_BACKOFF_MS));
            return;
        }
        for fetch::ResponseTopic { topic, partitions } in response.topics {
            for partition in partitions {
                if let Some(index) = self.find(&topic, partition.partition_index) {
                    self.take_fetched(index, partition, now);
                }
            }
        }
    }

    /// What is said to be cut is, or could not be.
    pub fn cut_done(&mut self, (topic, partition): &(Str, i32), number: u64, outcome: CutOutcome, now: Monotonic) {
        let Some(index) = self.find(topic, *partition) else { return };
        let finds_out_by_fetching = self.finds_out_by_fetching();
        let Some(slot) = self.slot_mut(index) else { return };
        let Phase::Cutting { number: awaited, is_last, .. } = slot.phase else { return };
        if awaited != number {
            return;
        }
        let Phase::Cutting { then, .. } = std::mem::replace(&mut slot.phase, Phase::Fetching) else { return };
        slot.fetch_from_end();
        match outcome {
            CutOutcome::Done if !is_last && !finds_out_by_fetching => slot.phase = Phase::Truncating,
            CutOutcome::Done => {}
            CutOutcome::NotNow => {
                slot.begin(finds_out_by_fetching);
                return self.pause(index, self.settings.backoff_ms, now);
            }
            CutOutcome::Failed => return self.give_up(index, "its log could not be cut"),
        }
        match then {
            Some(fetched) => self.append(index, *fetched, now),
            None => self.look_at(index),
        }
    }

    const fn finds_out_by_fetching(&self) -> bool {
        self.settings.versions.fetch >= FETCH_WITH_EPOCHS
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        self.index.get(topic)?.get(&partition).copied()
    }

    fn slot(&self, index: usize) -> Option<&Slot<L>> {
        self.slots.get(index)?.as_ref()
    }

    fn slot_mut(&mut self, index: usize) -> Option<&mut Slot<L>> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// The partition is to be looked at before something is asked.
    fn look_at(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        if !std::mem::replace(&mut slot.is_listed, true) {
            self.changed.push(index);
        }
        if slot.is_unsettled() && !std::mem::replace(&mut slot.is_unsettled_listed, true) {
            self.unsettled.push(index);
        }
    }

    /// The partition rests for a while.
    fn pause(&mut self, index: usize, pause_ms: u64, now: Monotonic) {
        let pauses = &mut self.pauses;
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        if slot.pause.is_none() {
            slot.pause = Some(pauses.insert(now.plus_ms(pause_ms), (index, slot.serial)));
        }
        self.look_at(index);
    }

    /// The partition is left alone until it is added again (upstream: `markPartitionFailed`).
    fn give_up(&mut self, index: usize, why: &str) {
        let Some(slot) = self.slot(index) else { return };
        let (topic, partition, name) = (slot.topic.clone(), slot.partition, slot.name());
        self.warn(format!("Partition {name} marked as failed: {why}"));
        self.remove(&topic, partition);
        self.failed.push((topic, partition));
    }

    fn warn(&mut self, text: String) {
        self.lines.push(Line { is_warning: true, text });
    }

    fn info(&mut self, text: String) {
        self.lines.push(Line { is_warning: false, text });
    }

    /// Makes a fetch of what is new: all that is ready in a session's first, what changed in later ones.
    fn next_fetch(&mut self, now: Monotonic) -> Option<Question> {
        if self.session.begins() {
            self.session.clear();
            for slot in self.slots.iter_mut().flatten() {
                (slot.requested, slot.in_session) = (None, false);
            }
            (0..self.slots.len()).for_each(|index| self.look_at(index));
        }
        let mut topics: Vec<fetch::RequestTopic> = Vec::new();
        for index in std::mem::take(&mut self.changed) {
            self.put_into_fetch(index, &mut topics, now);
        }
        if self.session.is_empty() && !self.session.has_forgotten() {
            return None;
        }
        let (session_id, session_epoch) = self.session.key();
        self.asked = Some(Asked::Fetch);
        Some(Question::Fetch(fetch::Request {
            replica_id: self.settings.replica_id,
            max_wait_ms: self.settings.wait_ms_max,
            min_bytes: self.settings.bytes_min,
            max_bytes: self.settings.response_bytes_max,
            session_id,
            session_epoch,
            topics,
            forgotten_topics: self.session.take_forgotten(),
            ..fetch::Request::default()
        }))
    }

    /// Puts a partition into a fetch, if the session does not have it so, or takes it out of the session while it rests.
    fn put_into_fetch(&mut self, index: usize, topics: &mut Vec<fetch::RequestTopic>, now: Monotonic) {
        let (bytes_max, pause_ms) = (self.settings.partition_bytes_max, self.settings.backoff_ms);
        let names_epochs = self.finds_out_by_fetching();
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        slot.is_listed = false;
        if slot.is_ready() && !slot.is_in_sync() && slot.log.is_throttled() {
            slot.pause = Some(self.pauses.insert(now.plus_ms(pause_ms), (index, slot.serial)));
        }
        if !slot.is_ready() {
            if std::mem::replace(&mut slot.in_session, false) {
                slot.requested = None;
                let (topic, partition) = (slot.topic.clone(), slot.partition);
                self.session.forget(topic, partition);
            }
            return;
        }
        let wanted = slot.wanted(names_epochs);
        if slot.requested == Some(wanted) {
            return;
        }
        slot.requested = Some(wanted);
        if !std::mem::replace(&mut slot.in_session, true) {
            self.session.joined();
        }
        let entry = wanted.entry(slot.partition, bytes_max);
        match topics.last_mut().filter(|last| last.topic == slot.topic) {
            Some(last) => last.partitions.push(entry),
            None => topics.push(fetch::RequestTopic { topic: slot.topic.clone(), partitions: vec![entry] }),
        }
    }

    /// What was asked for counts for nothing: each partition is named again.
    fn fetched_in_vain(&mut self) {
        self.slots.iter_mut().flatten().for_each(|slot| slot.requested = None);
    }

    fn take_fetched(&mut self, index: usize, answer: fetch::ResponsePartition, now: Monotonic) {
        let Some(slot) = self.slot(index) else { return };
        let is_as_asked = slot.is_ready() && slot.requested.is_some_and(|asked| asked.is_of(slot));
        if !is_as_asked {
            return;
        }
        let (leader_epoch, offset) = (slot.leader_epoch, slot.offset);
        match answer.error_code {
            ErrorCode::NONE if answer.diverging_epoch.end_offset >= 0 => {
                let parts = answer.diverging_epoch;
                self.cut_where_logs_part(index, parts.epoch, parts.end_offset);
            }
            ErrorCode::NONE => {
                // What came from the wire lies in memory.
                let records = answer.records.and_then(|records| records.to_bytes().ok()).unwrap_or_default();
                let (high_watermark, log_start) = (answer.high_watermark, answer.log_start_offset);
                self.append(index, Fetched { leader_epoch, offset, records, high_watermark, log_start }, now);
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                self.set_phase(index, Phase::OutOfRange { leader_end: None });
            }
            error => self.take_error(index, error, now),
        }
    }

    /// An error of one partition, in the answer to any question.
    fn take_error(&mut self, index: usize, error: ErrorCode, now: Monotonic) {
        let pause_ms = self.settings.backoff_ms;
        match error {
            ErrorCode::FENCED_LEADER_EPOCH => {
                self.give_up(index, "it has an older epoch than the current leader. Will await the new LeaderAndIsr state before resuming fetching.");
            }
            // The leader hears of it a moment later.
            ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                let Some(slot) = self.slot_mut(index) else { return };
                let first_ms = slot.next_pause_ms.max(FIRST_BACKOFF_MS);
                slot.next_pause_ms = first_ms.saturating_mul(2);
                self.pause(index, first_ms.min(pause_ms), now);
            }
            error => {
                let name = self.slot(index).map(Slot::name).unwrap_or_default();
                self.warn(format!("Error for partition {name}: {error}"));
                self.pause(index, pause_ms, now);
            }
        }
    }

    fn append(&mut self, index: usize, mut fetched: Fetched, now: Monotonic) {
        let is_old_version = self.settings.versions.fetch <= 2;
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut) else { return };
        let before = slot.log.view().high_watermark();
        match slot.log.append(&fetched) {
            Ok(log_end) => {
                slot.next_pause_ms = 0;
                slot.lag = Some((fetched.high_watermark - log_end).max(0));
                let has_grown = log_end > fetched.offset;
                slot.has_agreed = true;
                if has_grown {
                    slot.offset = log_end;
                    slot.is_epoch_unknown = false;
                    slot.last_epoch = slot.log.view().latest_epoch();
                }
                if has_grown || slot.log.view().high_watermark() != before {
                    self.advanced.push(slot.log.clone());
                }
                if !has_grown && is_old_version && !fetched.records.is_empty() {
                    // Later versions bring the first batch whole.
                    let text = format!(
                        "Replication is failing due to a message that is greater than replica.fetch.max.bytes for partition {}.",
                        slot.name()
                    );
                    self.warn(text);
                }
                self.look_at(index);
            }
            Err(AppendFailure::StartsBefore(first)) => {
                fetched.offset = first;
                self.begin_cut(index, Target { offset: first, is_last: true }, true, Some(Box::new(fetched)));
            }
            Err(AppendFailure::Moved) => {
                slot.fetch_from_end();
                self.look_at(index);
            }
            Err(AppendFailure::Busy) => self.pause(index, self.settings.backoff_ms, now),
            Err(AppendFailure::Damaged) => {
                let text = format!(
                    "Found invalid messages during fetch for partition {} offset {}",
                    slot.name(),
                    fetched.offset
                );
                self.warn(text);
                self.pause(index, self.settings.backoff_ms, now);
            }
            Err(AppendFailure::Failed) => self.give_up(index, "its log takes no more"),
        }
    }
}
