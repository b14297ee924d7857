//! Where to begin: at what was committed, else where the reset policy says.

use std::collections::{BTreeMap, BTreeSet};

use base::{Monotonic, Str};
use kafka_proto::messages::{list_offset, offset_fetch};
use kafka_proto::{AnyResponse, ApiKey, ErrorCode};

use super::{Consumer, ConsumerEvent, EARLIEST, LATEST, Purpose};
use crate::ClientError;
use crate::config::OffsetReset;
use crate::metadata::TopicPartition;
use crate::network::{Call, Outcome, Target};

impl Consumer {
    /// Finds positions: what was committed, else what the reset policy says.
    pub(super) fn find_positions(&mut self, now: Monotonic) {
        if self.retry_at > now {
            return;
        }
        let lost: Vec<TopicPartition> = self
            .places
            .iter()
            .filter(|(_, place)| place.position.is_none() && place.reset.is_none())
            .map(|(partition, _)| partition.clone())
            .collect();
        if !lost.is_empty() {
            match &self.group {
                Some(group) => {
                    if let Some(coordinator) = group.coordinator() {
                        let group_id = group.id().clone();
                        self.fetch_committed(coordinator, group_id, &lost, now);
                    }
                }
                None => lost.iter().for_each(|partition| self.reset_by_policy(partition)),
            }
        }
        self.list_offsets(now);
    }

    pub(super) fn reset_by_policy(&mut self, partition: &TopicPartition) {
        let timestamp = match self.config.offset_reset {
            OffsetReset::Earliest => EARLIEST,
            OffsetReset::Latest => LATEST,
            OffsetReset::None => {
                self.places.remove(partition);
                return self.events.push_back(ConsumerEvent::Failed(ClientError::NoOffset(partition.clone())));
            }
        };
        self.replace(partition, None, Some(timestamp));
    }

    fn fetch_committed(&mut self, coordinator: i32, group_id: Str, partitions: &[TopicPartition], now: Monotonic) {
        if self.requests.values().any(|purpose| matches!(purpose, Purpose::Committed)) {
            return;
        }
        let topics = crate::assignor::by_topic(partitions).into_iter();
        let topics: Vec<_> = topics
            .map(|topic| offset_fetch::RequestTopic { name: topic.topic, partition_indexes: topic.partitions })
            .collect();
        let call = Call::built(ApiKey::OffsetFetch, self.config.network.request_timeout_ms, move |version| {
            offset_fetch::Request { group_id, topics: Some(topics), require_stable: version >= 7 }.into()
        });
        let id = self.network.send(Target::Node(coordinator), call, now);
        self.requests.insert(id, Purpose::Committed);
    }

    pub(super) fn committed_outcome(&mut self, outcome: Outcome, now: Monotonic) {
        let answer = match outcome {
            Ok(Some(AnyResponse::OffsetFetch(answer))) if answer.error_code.is_none() => answer,
            Ok(Some(AnyResponse::OffsetFetch(answer)))
                if answer.error_code == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS =>
            {
                return self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
            }
            Ok(Some(AnyResponse::OffsetFetch(answer))) if !answer.error_code.is_retriable() => {
                self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                let error = ClientError::Broker { code: answer.error_code, message: None };
                return self.events.push_back(ConsumerEvent::Failed(error));
            }
            Err(error) if !error.is_retriable() => return self.fail_unless_retriable(Err(error), now),
            _ => {
                self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                if let Some(group) = &mut self.group {
                    group.coordinator_lost(&mut self.network);
                }
                return;
            }
        };
        for topic in answer.topics {
            for found in topic.partitions {
                let partition = TopicPartition { topic: Str::copied(&topic.name), partition: found.partition_index };
                let open =
                    self.places.get(&partition).is_some_and(|place| place.position.is_none() && place.reset.is_none());
                if found.error_code.is_error() || !open {
                    self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                } else if found.committed_offset < 0 {
                    self.reset_by_policy(&partition);
                } else {
                    self.replace(&partition, Some(found.committed_offset), None);
                    if let Some(place) = self.places.get_mut(&partition) {
                        place.epoch = Some(found.committed_leader_epoch).filter(|epoch| *epoch >= 0);
                    }
                }
            }
        }
    }

    /// Tells the user of what will not get better; the next try is a while off in any case.
    pub(super) fn fail_unless_retriable(&mut self, outcome: Outcome, now: Monotonic) {
        self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
        if let Err(error) = outcome
            && !error.is_retriable()
        {
            self.events.push_back(ConsumerEvent::Failed(error));
        }
    }

    fn list_offsets(&mut self, now: Monotonic) {
        let asked: BTreeSet<&TopicPartition> = self
            .requests
            .values()
            .filter_map(|purpose| match purpose {
                Purpose::ListOffsets { timestamps } => Some(timestamps.keys()),
                _ => None,
            })
            .flatten()
            .collect();
        let mut by_leader: BTreeMap<i32, BTreeMap<TopicPartition, i64>> = BTreeMap::new();
        let mut leaderless = false;
        for (partition, place) in self.places.iter().filter(|(partition, _)| !asked.contains(partition)) {
            let Some(timestamp) = place.reset else { continue };
            match self.network.cluster().leader(partition) {
                Some((leader, _)) => by_leader.entry(leader).or_default().insert(partition.clone(), timestamp),
                None => {
                    leaderless = true;
                    None
                }
            };
        }
        if leaderless {
            self.network.want_update();
        }
        for (leader, timestamps) in by_leader {
            let request = self.offsets_request(&timestamps);
            let call = Call::built(ApiKey::ListOffset, self.config.network.request_timeout_ms, move |version| {
                let isolation_level = if version < 2 { 0 } else { request.isolation_level };
                list_offset::Request { isolation_level, ..request }.into()
            });
            let id = self.network.send(Target::Node(leader), call, now);
            self.requests.insert(id, Purpose::ListOffsets { timestamps });
        }
    }

    fn offsets_request(&self, timestamps: &BTreeMap<TopicPartition, i64>) -> list_offset::Request {
        let mut topics: BTreeMap<Str, Vec<list_offset::RequestPartition>> = BTreeMap::new();
        for (partition, timestamp) in timestamps {
            let epoch = self.network.cluster().leader(partition).map_or(-1, |(_, epoch)| epoch);
            topics.entry(partition.topic.clone()).or_default().push(list_offset::RequestPartition {
                partition_index: partition.partition,
                current_leader_epoch: epoch,
                timestamp: *timestamp,
                max_num_offsets: 1,
            });
        }
        let topics = topics.into_iter().map(|(name, partitions)| list_offset::RequestTopic { name, partitions });
        list_offset::Request { replica_id: -1, isolation_level: self.config.isolation_level, topics: topics.collect() }
    }

    pub(super) fn offsets_outcome(
        &mut self,
        timestamps: &BTreeMap<TopicPartition, i64>,
        outcome: Outcome,
        now: Monotonic,
    ) {
        let Ok(Some(AnyResponse::ListOffset(answer))) = outcome else {
            self.network.want_update();
            return self.fail_unless_retriable(outcome, now);
        };
        for topic in answer.topics {
            for found in topic.partitions {
                let partition = TopicPartition { topic: Str::copied(&topic.name), partition: found.partition_index };
                let asked = timestamps.get(&partition).copied();
                if found.error_code.is_error() {
                    self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
                    self.network.want_update();
                    if !found.error_code.is_retriable() {
                        let error = ClientError::Broker { code: found.error_code, message: None };
                        self.events.push_back(ConsumerEvent::Failed(error));
                    }
                } else if self.places.get(&partition).is_some_and(|place| place.reset.is_some() && place.reset == asked)
                {
                    let offset = found.old_style_offsets.first().copied().unwrap_or(found.offset);
                    self.replace(&partition, Some(offset.max(0)), None);
                }
            }
        }
    }
}
