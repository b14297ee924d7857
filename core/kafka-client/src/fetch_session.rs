//! Incremental fetches (KIP-227): a broker remembers what was asked for, so only changes are sent (upstream:
//! `FetchSessionHandler`).

use std::collections::BTreeMap;

use kafka_proto::ErrorCode;
use kafka_proto::messages::fetch;

use base::Str;

use crate::metadata::TopicPartition;

/// The session with one broker.
#[derive(Debug, Default)]
pub(crate) struct FetchSession {
    id: i32,
    /// 0 asks for a new session.
    epoch: i32,
    partitions: BTreeMap<TopicPartition, fetch::RequestPartition>,
}

/// What a fetch request says of partitions and session.
pub(crate) struct SessionPart {
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    pub(crate) topics: Vec<fetch::RequestTopic>,
    pub(crate) forgotten: Vec<fetch::ForgottenTopic>,
}

impl FetchSession {
    /// The next request for exactly `wanted`: all of it, or what differs from the request before.
    pub(crate) fn next(&mut self, wanted: BTreeMap<TopicPartition, fetch::RequestPartition>) -> SessionPart {
        let full = self.epoch == 0;
        let changed = wanted.iter().filter(|(place, partition)| full || self.partitions.get(*place) != Some(partition));
        let mut topics: BTreeMap<Str, Vec<fetch::RequestPartition>> = BTreeMap::new();
        for (place, partition) in changed {
            topics.entry(place.topic.clone()).or_default().push(partition.clone());
        }
        let mut forgotten: BTreeMap<Str, Vec<i32>> = BTreeMap::new();
        for place in self.partitions.keys().filter(|place| !full && !wanted.contains_key(*place)) {
            forgotten.entry(place.topic.clone()).or_default().push(place.partition);
        }
        self.partitions = wanted;
        SessionPart {
            session_id: self.id,
            session_epoch: self.epoch,
            topics: topics.into_iter().map(|(topic, partitions)| fetch::RequestTopic { topic, partitions }).collect(),
            forgotten: forgotten
                .into_iter()
                .map(|(topic, partitions)| fetch::ForgottenTopic { topic, partitions })
                .collect(),
        }
    }

    /// Learns from the answer to a request.
    pub(crate) fn answered(&mut self, response: &fetch::Response) {
        match response.error_code {
            ErrorCode::NONE if response.session_id == 0 => *self = Self::default(),
            ErrorCode::NONE => {
                self.id = response.session_id;
                self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
            }
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND => *self = Self::default(),
            _ => self.epoch = 0,
        }
    }

    /// No answer came: the next request closes the session and opens one.
    pub(crate) const fn lost(&mut self) {
        self.epoch = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(offsets: &[(i32, i64)]) -> BTreeMap<TopicPartition, fetch::RequestPartition> {
        let partitions = offsets.iter().map(|(partition, fetch_offset)| {
            let request = fetch::RequestPartition {
                partition_index: *partition,
                fetch_offset: *fetch_offset,
                ..Default::default()
            };
            (TopicPartition::new("t", *partition), request)
        });
        partitions.collect()
    }

    fn shown(part: &SessionPart) -> (i32, i32, Vec<i32>, Vec<i32>) {
        let asked =
            part.topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| partition.partition_index));
        let forgotten = part.forgotten.iter().flat_map(|topic| topic.partitions.clone());
        (part.session_id, part.session_epoch, asked.collect(), forgotten.collect())
    }

    #[test]
    fn a_session_sends_what_changed() {
        let mut session = FetchSession::default();
        assert_eq!(shown(&session.next(wanted(&[(0, 0), (1, 0)]))), (0, 0, vec![0, 1], vec![]));
        session.answered(&fetch::Response { session_id: 9, ..Default::default() });
        assert_eq!(shown(&session.next(wanted(&[(0, 5), (1, 0)]))), (9, 1, vec![0], vec![]));
        session.answered(&fetch::Response { session_id: 9, ..Default::default() });
        assert_eq!(shown(&session.next(wanted(&[(0, 5)]))), (9, 2, vec![], vec![1]));
        session.answered(&fetch::Response { error_code: ErrorCode::INVALID_FETCH_SESSION_EPOCH, ..Default::default() });
        assert_eq!(shown(&session.next(wanted(&[(0, 5)]))), (9, 0, vec![0], vec![]));
        session.answered(&fetch::Response { error_code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND, ..Default::default() });
        assert_eq!(shown(&session.next(wanted(&[(0, 5)]))), (0, 0, vec![0], vec![]));
    }

    #[test]
    fn a_broker_without_sessions_gets_everything_each_time() {
        let mut session = FetchSession::default();
        for _ in 0..2 {
            assert_eq!(shown(&session.next(wanted(&[(0, 0)]))), (0, 0, vec![0], vec![]));
            session.answered(&fetch::Response::default());
        }
    }
}
