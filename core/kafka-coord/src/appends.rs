//! Records on their way to the log, and what happens when they are there or are not.
//!
//! A step puts them into the outbox; the caller appends them in this order, one group's at a time, and tells how each ended.
//! Until then nothing of them is visible.

use std::collections::BTreeMap;

use base::Str;
use bytes::Bytes;
use kafka_proto::ErrorCode;

use crate::group::{Group, Reply, State, Step};
use crate::record::{CommittedOffset, Key, RecordError, TopicPartition, ValueVersions};

/// Records to be appended as one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// To be told to [`Group::appended`].
    pub id: u64,
    /// Keys and values; `None` removes the key.
    pub records: Vec<(Bytes, Option<Bytes>)>,
    /// Whether the replicas are waited for, as `offsets.commit.required.acks` says; a removal is repeated if it gets lost.
    pub is_acknowledged: bool,
}

/// What waits for an append.
#[derive(Debug)]
pub(crate) enum Pending<A> {
    /// A generation's assignments.
    Assignment { generation: i32, assignments: BTreeMap<Str, Bytes> },
    /// A generation without members: nobody waits.
    NoMembers,
    /// A static member that came back under another id.
    StaticMember(Replaced),
    /// Offsets; `refused` are those of the request that were not even tried.
    Commit { offsets: Vec<(TopicPartition, CommittedOffset)>, errors: Vec<ErrorCode>, answer: A },
    /// Removal of offsets, and of the group if it is dead.
    Removal { places: Vec<TopicPartition>, answer: Option<(A, Reply)> },
}

/// How to undo, or to finish, the change of a static member's id.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) instance: Str,
    pub(crate) old_id: Str,
    pub(crate) new_id: Str,
    pub(crate) old_protocols: Vec<(Str, Bytes)>,
    /// The leader that the member is told: never itself, so that it does not assign.
    pub(crate) leader: Option<Str>,
}

impl<A> Group<A> {
    /// The next records to append, in order. One append of a group is made before the next one is taken.
    pub fn take_append(&mut self) -> Option<Append> {
        self.outbox.pop_front()
    }

    /// An append ended: at this base offset, or with this error.
    pub fn appended(&mut self, id: u64, result: Result<i64, ErrorCode>, step: &mut Step<'_, A>) {
        let Some(pending) = self.appending.remove(&id) else { return };
        match pending {
            Pending::NoMembers => {
                if let Err(error) = result {
                    step.log.push(format!("Failed to write empty metadata for group {}: {error}", self.id));
                }
            }
            Pending::Assignment { generation, assignments } => {
                let result = result.map(|_| ()).map_err(of_group_append);
                self.assignment_stored(generation, &assignments, result, step);
            }
            Pending::StaticMember(replaced) => {
                let result = result.map(|_| ()).map_err(of_group_append);
                self.static_member_stored(replaced, result, step);
            }
            Pending::Commit { offsets, errors, answer } => self.commit_ended(id, result, offsets, errors, answer, step),
            Pending::Removal { places, answer } => self.removal_ended(result, places, answer, step),
        }
    }

    fn commit_ended(
        &mut self,
        id: u64,
        result: Result<i64, ErrorCode>,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        mut errors: Vec<ErrorCode>,
        answer: A,
        step: &mut Step<'_, A>,
    ) {
        for (place, value) in offsets {
            self.offsets.finish(&place, id);
            if let (Ok(at), true) = (result, self.state != State::Dead) {
                self.offsets.replay(place, Some(value), at);
            }
        }
        if let Err(error) = result {
            let error = of_commit_append(error);
            for code in errors.iter_mut().filter(|code| code.is_none()) {
                *code = error;
            }
        }
        step.reply(answer, Reply::Offsets(Ok(errors)));
    }

    fn removal_ended(
        &mut self,
        result: Result<i64, ErrorCode>,
        places: Vec<TopicPartition>,
        answer: Option<(A, Reply)>,
        step: &mut Step<'_, A>,
    ) {
        match result {
            Ok(at) => {
                for place in places {
                    self.offsets.replay(place, None, at);
                }
            }
            Err(error) => {
                step.log.push(format!("Failed to append tombstones for group {}: {error}", self.id));
                if self.state == State::Dead && self.members.is_empty() {
                    // Not removed after all; unless it is another broker's now, it is there still.
                    self.state = State::Empty;
                }
            }
        }
        if let Some((answer, reply)) = answer {
            let reply = match (result, reply) {
                (Ok(_), reply) => reply,
                (Err(error), Reply::Delete(_)) => Reply::Delete(of_group_append(error)),
                (Err(error), _) => Reply::Offsets(Err(of_group_append(error))),
            };
            step.reply(answer, reply);
        }
    }

    /// Logs the group with these assignments; `pending` goes on when it is logged.
    pub(crate) fn store(&mut self, assignments: &BTreeMap<Str, Bytes>, pending: Pending<A>, step: &mut Step<'_, A>) {
        let value = self.value(assignments).encode(step.settings.versions);
        let record = Key::Group(self.id.clone()).encode().and_then(|key| Ok((key, Some(value?))));
        self.append(record.map(|record| vec![record]), true, pending, step);
    }

    /// Puts records into the outbox. What can't be written fails at once.
    pub(crate) fn append(
        &mut self,
        records: Result<Vec<(Bytes, Option<Bytes>)>, RecordError>,
        is_acknowledged: bool,
        pending: Pending<A>,
        step: &mut Step<'_, A>,
    ) -> u64 {
        self.appends_made += 1;
        let id = self.appends_made;
        self.appending.insert(id, pending);
        match records {
            Ok(records) => self.outbox.push_back(Append { id, records, is_acknowledged }),
            Err(error) => {
                step.log.push(format!("Records of group {} can't be written: {error}", self.id));
                self.appended(id, Err(ErrorCode::UNKNOWN_SERVER_ERROR), step);
            }
        }
        id
    }

    /// The removal of offsets, and of the group itself.
    pub(crate) fn tombstones(
        &self,
        places: &[TopicPartition],
        with_group: bool,
    ) -> Result<Vec<(Bytes, Option<Bytes>)>, RecordError> {
        let offsets = places.iter().map(|place| Key::Offset { group: self.id.clone(), place: place.clone() });
        let group = with_group.then(|| Key::Group(self.id.clone()));
        offsets.chain(group).map(|key| Ok((key.encode()?, None))).collect()
    }
}

/// The records of a commit.
pub(crate) fn commit_records(
    group: &Str,
    offsets: &[(TopicPartition, CommittedOffset)],
    versions: ValueVersions,
) -> Result<Vec<(Bytes, Option<Bytes>)>, RecordError> {
    let records = offsets.iter().map(|(place, value)| {
        let key = Key::Offset { group: group.clone(), place: place.clone() }.encode()?;
        Ok((key, Some(value.encode(versions)?)))
    });
    records.collect()
}

/// What members are told when a generation could not be logged.
const fn of_group_append(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::REQUEST_TIMED_OUT => ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE | ErrorCode::INVALID_FETCH_SIZE => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        other => other,
    }
}

/// What a client is told when its offsets could not be logged.
const fn of_commit_append(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE | ErrorCode::INVALID_FETCH_SIZE => {
            ErrorCode::INVALID_COMMIT_OFFSET_SIZE
        }
        other => other,
    }
}
