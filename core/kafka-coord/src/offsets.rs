//! The committed offsets of one group.
//!
//! Only `replay` changes what is committed, with the log offset of the record's batch: a record that is older than what stands is
//! passed over, so that the order in which appends are acknowledged does not matter. Commits under way and commits of open
//! transactions are kept apart.

use std::collections::BTreeMap;

use crate::record::{CommittedOffset, TopicPartition};

/// A value and the base offset of the batch that it was logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Logged {
    at: i64,
    value: CommittedOffset,
}

/// Committed offsets, and those that may become so.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    committed: BTreeMap<TopicPartition, Logged>,
    /// Partitions with a commit under way; the newest append's id.
    pending: BTreeMap<TopicPartition, u64>,
    /// Commits of open transactions, by producer.
    transactions: BTreeMap<i64, BTreeMap<TopicPartition, Logged>>,
}

impl Offsets {
    /// A record was logged at `at`: a value, or the removal.
    pub fn replay(&mut self, place: TopicPartition, value: Option<CommittedOffset>, at: i64) {
        if self.committed.get(&place).is_some_and(|logged| logged.at > at) {
            return;
        }
        match value {
            Some(value) => {
                self.committed.insert(place, Logged { at, value });
            }
            None => {
                self.committed.remove(&place);
            }
        }
    }

    /// A record of an open transaction was logged at `at`.
    pub fn replay_transactional(
        &mut self,
        producer_id: i64,
        place: TopicPartition,
        value: Option<CommittedOffset>,
        at: i64,
    ) {
        let transaction = self.transactions.entry(producer_id).or_default();
        match value {
            Some(value) => {
                transaction.insert(place, Logged { at, value });
            }
            None => {
                transaction.remove(&place);
            }
        }
        if transaction.is_empty() {
            self.transactions.remove(&producer_id);
        }
    }

    /// A producer's transaction ended.
    pub fn end_transaction(&mut self, producer_id: i64, commit: bool) {
        let Some(transaction) = self.transactions.remove(&producer_id) else { return };
        if commit {
            for (place, Logged { at, value }) in transaction {
                self.replay(place, Some(value), at);
            }
        }
    }

    /// What is committed for a partition.
    pub fn get(&self, place: &TopicPartition) -> Option<&CommittedOffset> {
        self.committed.get(place).map(|logged| &logged.value)
    }

    /// All that is committed, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.committed.iter().map(|(place, logged)| (place, &logged.value))
    }

    /// Whether a commit for the partition is under way or in an open transaction.
    pub fn is_unstable(&self, place: &TopicPartition) -> bool {
        self.pending.contains_key(place)
            || self.transactions.values().any(|transaction| transaction.contains_key(place))
    }

    /// Whether nothing is committed, under way, or open.
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty() && self.transactions.is_empty()
    }

    /// Whether so many are committed and none is under way or open.
    pub(crate) fn has_only(&self, count: usize) -> bool {
        self.committed.len() == count && self.pending.is_empty() && self.transactions.is_empty()
    }

    /// A commit is under way.
    pub(crate) fn begin(&mut self, place: TopicPartition, append: u64) {
        self.pending.insert(place, append);
    }

    /// A commit came to its end, one way or the other.
    pub(crate) fn finish(&mut self, place: &TopicPartition, append: u64) {
        if self.pending.get(place) == Some(&append) {
            self.pending.remove(place);
        }
    }

    /// Open transactions forget a partition that is gone.
    pub(crate) fn forget_transactional(&mut self, place: &TopicPartition) {
        self.transactions.retain(|_, transaction| {
            transaction.remove(place);
            !transaction.is_empty()
        });
    }

    /// The committed partitions that expired: those with their own time by it, others `retention_ms` after `base`.
    /// A partition with a commit under way or open stays.
    pub(crate) fn expired(
        &self,
        now_ms: i64,
        retention_ms: i64,
        base: impl Fn(&CommittedOffset) -> i64,
        is_subscribed: impl Fn(&str) -> bool,
    ) -> Vec<TopicPartition> {
        let is_due = |value: &CommittedOffset| match value.expire_timestamp_ms {
            Some(at) => now_ms >= at,
            None => now_ms.saturating_sub(base(value)) >= retention_ms,
        };
        let expired = self
            .iter()
            .filter(|(place, value)| !is_subscribed(&place.topic) && !self.is_unstable(place) && is_due(value));
        expired.map(|(place, _)| place.clone()).collect()
    }
}
