//! Requests about offsets, their expiry, and the end of groups (upstream: `GroupCoordinator.handleCommitOffsets`,
//! `handleDeleteOffsets`, `handleDeleteGroups`, `GroupMetadataManager.cleanupGroupMetadata`).

use std::collections::BTreeSet;

use base::{Now, Str};
use kafka_proto::ErrorCode;

use crate::appends::{Pending, commit_records};
use crate::group::{Group, Reply, State, Step};
use crate::record::{CommittedOffset, TopicPartition};

/// Offsets to commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The member; empty if it is none.
    pub member_id: Str,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<Str>,
    /// The member's generation; negative if the group has no members.
    pub generation: i32,
    /// What to commit.
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
}

impl<A> Group<A> {
    /// Commits offsets; answered when they are logged.
    pub fn commit(&mut self, commit: Commit, answer: A, step: &mut Step<'_, A>) {
        if let Err(error) = self.check_commit(&commit, step.now) {
            return step.reply(answer, Reply::Offsets(Ok(vec![error; commit.offsets.len()])));
        }
        let is_fine = |value: &CommittedOffset| {
            let text = &value.metadata;
            text.len() <= step.settings.metadata_len_max
                || text.encode_utf16().count() <= step.settings.metadata_len_max
        };
        let error_of = |value| if is_fine(value) { ErrorCode::NONE } else { ErrorCode::OFFSET_METADATA_TOO_LARGE };
        let errors: Vec<ErrorCode> = commit.offsets.iter().map(|(_, value)| error_of(value)).collect();
        let offsets: Vec<_> = commit.offsets.into_iter().filter(|(_, value)| is_fine(value)).collect();
        if offsets.is_empty() {
            return step.reply(answer, Reply::Offsets(Ok(errors)));
        }
        let records = commit_records(&self.id, &offsets, step.settings.versions);
        for (place, _) in &offsets {
            self.offsets.begin(place.clone(), self.appends_made + 1);
        }
        self.append(records, true, Pending::Commit { offsets, errors, answer }, step);
    }

    fn check_commit(&mut self, commit: &Commit, now: Now) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        if self.is_fenced(&commit.member_id, commit.instance_id.as_ref()) {
            return Err(ErrorCode::FENCED_INSTANCE_ID);
        }
        if commit.generation < 0 && self.state == State::Empty {
            // The group only keeps its offsets here.
            return Ok(());
        }
        if !self.members.contains_key(&commit.member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if commit.generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        if self.state == State::CompletingRebalance {
            return Err(ErrorCode::REBALANCE_IN_PROGRESS);
        }
        self.touch(&commit.member_id, now);
        Ok(())
    }

    /// Removes offsets, except where members read; answered when the removal is logged.
    pub fn delete_offsets(&mut self, places: &[TopicPartition], answer: A, step: &mut Step<'_, A>) {
        let refusal = match self.state {
            State::Dead => Some(ErrorCode::GROUP_ID_NOT_FOUND),
            State::Empty => None,
            _ if self.is_consumer_group() => None,
            _ => Some(ErrorCode::NON_EMPTY_GROUP),
        };
        if let Some(error) = refusal {
            return step.reply(answer, Reply::Offsets(Err(error)));
        }
        let is_read = |place: &TopicPartition| self.state != State::Empty && self.is_subscribed(&place.topic);
        let error_of = |place| if is_read(place) { ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC } else { ErrorCode::NONE };
        let errors = places.iter().map(error_of).collect();
        let free: Vec<TopicPartition> = places.iter().filter(|place| !is_read(place)).cloned().collect();
        self.remove_offsets(&free, Some((answer, Reply::Offsets(Ok(errors)))), step);
    }

    /// Removes a group without members; answered when the removal is logged.
    pub fn delete(&mut self, answer: A, step: &mut Step<'_, A>) {
        let refusal = match self.state {
            State::Dead => Some(ErrorCode::GROUP_ID_NOT_FOUND),
            State::Empty => None,
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => Some(ErrorCode::NON_EMPTY_GROUP),
        };
        if let Some(error) = refusal {
            return step.reply(answer, Reply::Delete(error));
        }
        let places: Vec<TopicPartition> = self.offsets.iter().map(|(place, _)| place.clone()).collect();
        self.enter(State::Dead, step.now);
        self.append_removal(places, Some((answer, Reply::Delete(ErrorCode::NONE))), step);
    }

    /// Topics are gone: so are the offsets in them.
    pub fn forget_topics(&mut self, is_gone: impl Fn(&str) -> bool, step: &mut Step<'_, A>) {
        let gone = self.offsets.iter().map(|(place, _)| place).filter(|place| is_gone(&place.topic));
        let gone: Vec<TopicPartition> = gone.cloned().collect();
        if !gone.is_empty() {
            self.remove_offsets(&gone, None, step);
        }
    }

    /// Removes what expired, and then the group if nothing is left of it.
    pub fn expire_offsets(&mut self, step: &mut Step<'_, A>) {
        let retention_ms = step.settings.offsets_retention_ms;
        let expire = |base: &dyn Fn(&CommittedOffset) -> i64, is_subscribed: &dyn Fn(&str) -> bool| {
            self.offsets.expired(step.now.wall_ms, retention_ms, base, is_subscribed)
        };
        let committed = |value: &CommittedOffset| value.commit_timestamp_ms;
        let expired = match self.state {
            State::Dead => return,
            // Counted from when the last member left.
            State::Empty if self.protocol_type.is_some() => {
                let since_ms = self.state_since_ms();
                expire(&|value| since_ms.unwrap_or(value.commit_timestamp_ms), &|_| false)
            }
            _ if self.protocol_type.is_none() => expire(&committed, &|_| false),
            // Not during a rebalance: members may commit right after it (KAFKA-13636).
            State::Stable if self.is_consumer_group() && self.knows_subscriptions() => {
                expire(&committed, &|topic| self.is_subscribed(topic))
            }
            _ => Vec::new(),
        };
        self.remove_offsets(&expired, None, step);
    }

    /// Removes these offsets; a group without members and other offsets goes with them.
    fn remove_offsets(&mut self, places: &[TopicPartition], answer: Option<(A, Reply)>, step: &mut Step<'_, A>) {
        for place in places {
            self.offsets.forget_transactional(place);
        }
        // A request may name one twice; it counts once.
        let places: BTreeSet<&TopicPartition> =
            places.iter().filter(|place| self.offsets.get(place).is_some()).collect();
        let places: Vec<TopicPartition> = places.into_iter().cloned().collect();
        if self.state == State::Empty && self.offsets.has_only(places.len()) && self.pending_members.is_empty() {
            self.enter(State::Dead, step.now);
        }
        self.append_removal(places, answer, step);
    }

    fn append_removal(&mut self, places: Vec<TopicPartition>, answer: Option<(A, Reply)>, step: &mut Step<'_, A>) {
        // A group of generation 0 was never logged itself.
        let with_group = self.state == State::Dead && self.generation > 0;
        if places.is_empty() && !with_group {
            step.replies.extend(answer);
            return;
        }
        let records = self.tombstones(&places, with_group);
        self.append(records, false, Pending::Removal { places, answer }, step);
    }
}
