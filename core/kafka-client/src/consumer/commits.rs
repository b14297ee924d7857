//! Commits: asked for, by the clock, before a rebalance and at the end.

use std::collections::{BTreeMap, VecDeque};

use base::{Monotonic, Str};
use kafka_proto::messages::offset_commit;
use kafka_proto::{AnyResponse, ErrorCode};

use super::{Commit, CommitOffset, Consumer, ConsumerEvent, LOGGER, Purpose};
use crate::ClientError;
use crate::metadata::TopicPartition;
use crate::network::{Call, Outcome, Target};

impl Consumer {
    /// A commit of what was read in this generation.
    pub(super) fn plan_commit(
        &mut self,
        user: Option<u64>,
        offsets: BTreeMap<TopicPartition, CommitOffset>,
        deadline: Monotonic,
    ) {
        let by = self.membership().unwrap_or((-1, Str::EMPTY, None));
        self.commits.push_back(Commit { user, offsets, deadline, by });
    }

    pub(super) fn auto_commit(&mut self, now: Monotonic) {
        if !self.config.auto_commit || self.group.is_none() {
            return;
        }
        let positions = self.positions();
        if !positions.is_empty() {
            self.plan_commit(None, positions, now.plus_ms(self.config.network.request_timeout_ms));
        }
    }

    pub(super) fn auto_commit_if_due(&mut self, now: Monotonic) {
        if self.auto_commit_at.is_some_and(|due| due <= now) {
            self.auto_commit_at = Some(now.plus_ms(self.config.auto_commit_interval_ms.max(1)));
            self.auto_commit(now);
        }
    }

    pub(super) fn send_commits(&mut self, now: Monotonic) {
        if self.commits.is_empty() || self.retry_at > now {
            return;
        }
        let Some(group) = &self.group else { return };
        let Some(coordinator) = group.coordinator() else { return self.expire_commits(now) };
        let group_id = group.id().clone();
        for commit in std::mem::take(&mut self.commits) {
            let mut topics: BTreeMap<Str, Vec<offset_commit::RequestPartition>> = BTreeMap::new();
            for (place, offset) in &commit.offsets {
                topics.entry(place.topic.clone()).or_default().push(offset_commit::RequestPartition {
                    partition_index: place.partition,
                    committed_offset: offset.offset,
                    committed_leader_epoch: offset.leader_epoch.unwrap_or(-1),
                    committed_metadata: Some(offset.metadata.clone()),
                    ..Default::default()
                });
            }
            let (generation_id, member_id, group_instance_id) = commit.by.clone();
            let topics = topics.into_iter().map(|(name, partitions)| offset_commit::RequestTopic { name, partitions });
            let request = offset_commit::Request {
                group_id: group_id.clone(),
                generation_id,
                member_id,
                group_instance_id,
                topics: topics.collect(),
                ..Default::default()
            };
            let call = Call::new(request, self.config.network.request_timeout_ms);
            let id = self.network.send(Target::Node(coordinator), call, now);
            self.requests.insert(id, Purpose::Commit(commit));
        }
    }

    fn expire_commits(&mut self, now: Monotonic) {
        let timeout_ms = self.config.api_timeout_ms;
        let (late, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.commits).into_iter().partition(|commit| commit.deadline <= now);
        self.commits = kept;
        for Commit { user, .. } in late {
            let text = format!("Timeout of {timeout_ms}ms expired before successfully committing offsets");
            self.committed(user, Err(ClientError::Timeout(text)));
        }
    }

    fn committed(&mut self, user: Option<u64>, result: Result<(), ClientError>) {
        match (user, result) {
            (Some(id), result) => self.events.push_back(ConsumerEvent::Committed(id, result)),
            (None, Err(error)) => {
                self.network.warn(LOGGER, &format!("Asynchronous auto-commit of offsets failed: {error}"));
            }
            (None, Ok(())) => {}
        }
    }

    pub(super) fn commit_outcome(&mut self, commit: Commit, outcome: Outcome, now: Monotonic) {
        let user = commit.user;
        let codes = match outcome {
            Ok(Some(AnyResponse::OffsetCommit(answer))) => answer
                .topics
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code))
                .collect(),
            Err(error) if !error.is_retriable() => return self.committed(user, Err(error)),
            _ => vec![ErrorCode::COORDINATOR_NOT_AVAILABLE],
        };
        let Some(mut code) = codes.into_iter().find(|code| code.is_error()) else {
            return self.committed(user, Ok(()));
        };
        if let Some(group) = &mut self.group {
            match code {
                ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                    group.coordinator_lost(&mut self.network);
                }
                _ if group.membership() == commit.by => group.commit_failed(code),
                // The member of a generation before is gone, which this one knows: it says nothing of itself.
                ErrorCode::FENCED_INSTANCE_ID => code = ErrorCode::ILLEGAL_GENERATION,
                _ => {}
            }
        }
        if code.is_retriable() && code != ErrorCode::REBALANCE_IN_PROGRESS && commit.deadline > now {
            self.retry_at = now.plus_ms(self.config.network.retry_backoff_ms);
            self.commits.push_back(commit);
        } else {
            self.committed(user, Err(ClientError::Broker { code, message: None }));
        }
    }
}
