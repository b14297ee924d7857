//! The follower's side of a fetch session (KIP-227; upstream: `FetchSessionHandler`).

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::fetch::ForgottenTopic;

/// Not in a session.
const NO_SESSION: i32 = 0;
/// Epoch of a request that begins a session.
const INITIAL_EPOCH: i32 = 0;

/// A fetcher's session at its leader.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    /// How many partitions it has.
    count: usize,
    forgotten: Vec<(Str, i32)>,
}

impl Session {
    /// Whether the next fetch names every partition: it begins a session, or there is none.
    pub(super) const fn begins(&self) -> bool {
        self.epoch == INITIAL_EPOCH
    }

    /// Id and epoch of the next request.
    pub(super) const fn key(&self) -> (i32, i32) {
        (self.id, self.epoch)
    }

    /// Nothing is in it.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.forgotten.clear();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) const fn has_forgotten(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// A partition is named for the first time.
    pub(super) const fn joined(&mut self) {
        self.count += 1;
    }

    /// A partition is to be taken out with the next request.
    pub(super) fn forget(&mut self, topic: Str, partition: i32) {
        self.count -= 1;
        self.forgotten.push((topic, partition));
    }

    /// A partition is wanted again before it was taken out: true if it is in the session after all.
    pub(super) fn unforget(&mut self, topic: &str, partition: i32) -> bool {
        let place = self.forgotten.iter().position(|(name, number)| name == topic && *number == partition);
        if let Some(place) = place {
            self.forgotten.swap_remove(place);
            self.count += 1;
        }
        place.is_some()
    }

    /// What the next request takes out.
    pub(super) fn take_forgotten(&mut self) -> Vec<ForgottenTopic> {
        let mut topics: Vec<ForgottenTopic> = Vec::new();
        for (topic, partition) in self.forgotten.drain(..) {
            match topics.last_mut().filter(|last| last.topic == topic) {
                Some(last) => last.partitions.push(partition),
                None => topics.push(ForgottenTopic { topic, partitions: vec![partition] }),
            }
        }
        topics
    }

    /// Takes the head of an answer; false if it says nothing of the partitions, and the next request begins anew.
    pub(super) fn answered(&mut self, error: ErrorCode, id: i32) -> bool {
        match error {
            ErrorCode::NONE if id == NO_SESSION => (self.id, self.epoch) = (NO_SESSION, INITIAL_EPOCH),
            ErrorCode::NONE if self.begins() => (self.id, self.epoch) = (id, 1),
            ErrorCode::NONE if id == self.id => self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 },
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND => (self.id, self.epoch) = (NO_SESSION, INITIAL_EPOCH),
            // The old session ends with the next request.
            _ => self.epoch = INITIAL_EPOCH,
        }
        error.is_none() && (id == self.id)
    }

    /// The connection is gone, and with it what the leader was asked: the old session ends with the next request.
    pub(super) const fn lost(&mut self) {
        self.epoch = INITIAL_EPOCH;
    }
}
