//! Fetches: one under way to each broker, for the partitions that have nothing buffered.

use std::collections::{BTreeMap, BTreeSet};

use base::{Monotonic, Str};
use kafka_proto::messages::fetch;
use kafka_proto::{AnyResponse, ErrorCode};

use super::{Consumer, ConsumerEvent, LOGGER, Purpose};
use crate::ClientError;
use crate::config::OffsetReset;
use crate::fetched::Fetched;
use crate::metadata::TopicPartition;
use crate::network::{Call, Outcome, Target};

impl Consumer {
    /// Asks each broker that is not being asked for the partitions that have nothing buffered.
    pub(super) fn fetch(&mut self, now: Monotonic) {
        let busy: BTreeSet<i32> = self
            .requests
            .values()
            .filter_map(|purpose| match purpose {
                Purpose::Fetch { node, .. } => Some(*node),
                _ => None,
            })
            .collect();
        let mut by_node: BTreeMap<i32, BTreeMap<TopicPartition, fetch::RequestPartition>> = BTreeMap::new();
        let mut leaderless = false;
        for (partition, place) in &self.places {
            let Some(fetch_offset) = place.position.filter(|_| !place.paused) else { continue };
            if self.fetched.iter().any(|fetched| fetched.partition == *partition) {
                continue;
            }
            let Some((leader, epoch)) = self.network.cluster().leader(partition) else {
                leaderless = true;
                continue;
            };
            let preferred = place
                .preferred
                .filter(|(node, until)| *until > now && self.network.cluster().brokers.contains_key(node));
            let request = fetch::RequestPartition {
                partition_index: partition.partition,
                current_leader_epoch: epoch,
                fetch_offset,
                partition_max_bytes: self.config.partition_bytes_max,
                ..Default::default()
            };
            by_node.entry(preferred.map_or(leader, |(node, _)| node)).or_default().insert(partition.clone(), request);
        }
        if leaderless {
            self.network.want_update();
        }
        for (node, partitions) in by_node.into_iter().filter(|(node, _)| !busy.contains(node)) {
            if self.network.prepare(node, now) && self.network.is_ready(node) {
                self.send_fetch(node, partitions, now);
            }
        }
    }

    fn send_fetch(&mut self, node: i32, partitions: BTreeMap<TopicPartition, fetch::RequestPartition>, now: Monotonic) {
        let positions = partitions.iter().map(|(place, request)| (place.clone(), request.fetch_offset)).collect();
        let part = self.sessions.entry(node).or_default().next(partitions);
        let request = fetch::Request {
            replica_id: -1,
            max_wait_ms: self.config.fetch_wait_ms_max,
            min_bytes: self.config.fetch_bytes_min,
            max_bytes: self.config.fetch_bytes_max,
            isolation_level: self.config.isolation_level,
            session_id: part.session_id,
            session_epoch: part.session_epoch,
            topics: part.topics,
            forgotten_topics: part.forgotten,
            rack_id: self.config.rack.clone(),
            ..Default::default()
        };
        let id = self.network.send(Target::Node(node), Call::new(request, self.config.network.request_timeout_ms), now);
        self.requests.insert(id, Purpose::Fetch { node, positions });
    }

    pub(super) fn fetch_outcome(
        &mut self,
        node: i32,
        positions: &BTreeMap<TopicPartition, i64>,
        outcome: Outcome,
        now: Monotonic,
    ) {
        let session = self.sessions.entry(node).or_default();
        let Ok(Some(AnyResponse::Fetch(response))) = outcome else {
            session.lost();
            self.network.want_update();
            return self.fail_unless_retriable(outcome, now);
        };
        session.answered(&response);
        for topic in response.topics {
            for answer in topic.partitions {
                let partition = TopicPartition { topic: Str::copied(&topic.topic), partition: answer.partition_index };
                let asked = positions.get(&partition).copied();
                // Sought elsewhere or given up meanwhile: the answer is to a question of before.
                let current = self.places.get(&partition).and_then(|place| place.position);
                if let Some(offset) = asked.filter(|asked| current == Some(*asked)) {
                    self.fetched_partition(partition, offset, answer, now);
                }
            }
        }
    }

    fn fetched_partition(
        &mut self,
        partition: TopicPartition,
        offset: i64,
        answer: fetch::ResponsePartition,
        now: Monotonic,
    ) {
        if answer.error_code.is_error() {
            return self.fetch_failed(&partition, offset, answer.error_code, now);
        }
        let preferred = (answer.preferred_read_replica, now.plus_ms(self.config.network.metadata_max_age_ms));
        let mut leader_epoch = None;
        if let Some(place) = self.places.get_mut(&partition) {
            leader_epoch = place.epoch;
            place.high_watermark = Some(answer.high_watermark);
            if preferred.0 >= 0 {
                place.preferred = Some(preferred);
            }
        }
        let bytes = answer.records.unwrap_or_default().to_bytes().unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        let aborted = if self.config.isolation_level == 1 { answer.aborted_transactions } else { None };
        let mut fetched = Fetched::new(partition, offset, bytes, aborted, self.config.check_crcs);
        fetched.leader_epoch = leader_epoch;
        self.fetched.push_back(fetched);
    }

    fn fetch_failed(&mut self, partition: &TopicPartition, offset: i64, code: ErrorCode, now: Monotonic) {
        self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
        self.network.want_update();
        match code {
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let place = self.places.get_mut(partition);
                if place.and_then(|place| place.preferred.take()).is_some() {
                    return;
                }
                if self.config.offset_reset == OffsetReset::None {
                    let text = format!(
                        "Fetch position {offset} is out of range for partition {partition}, and no reset policy is defined"
                    );
                    self.places.remove(partition);
                    return self.events.push_back(ConsumerEvent::Failed(ClientError::Illegal(text)));
                }
                self.reset_by_policy(partition);
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                self.network.warn(
                    LOGGER,
                    &format!("Received unknown topic or partition error in fetch for partition {partition}"),
                );
            }
            ErrorCode::UNKNOWN_LEADER_EPOCH | ErrorCode::FENCED_LEADER_EPOCH | ErrorCode::UNKNOWN_SERVER_ERROR => {}
            code if code.is_retriable() => {}
            code => self.events.push_back(ConsumerEvent::Failed(ClientError::Broker { code, message: None })),
        }
    }
}
