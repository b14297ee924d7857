//! OffsetCommit (key 8, versions 0 to 8): commits a group's offsets.
//!
//! Answered when they are logged as `offsets.commit.required.acks` says. Partitions that don't exist are refused one by one.
//! Versions 2 to 4 may name a time to keep the offsets; version 1 may name the time of the commit. Version 0 writes to ZooKeeper,
//! where old consumers look.

use base::Str;
use bytes::Bytes;
use kafka_control::{CreateMode, Failure, Operation};
use kafka_coord::record::{CommittedOffset, TopicPartition};
use kafka_coord::{Commit, Reply};
use kafka_proto::ErrorCode;
use kafka_proto::messages::offset_commit::{Request, RequestPartition, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::api::{GroupCall, consumer_offset_path, static_members_allowed};
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    if request.group_instance_id.is_some() && !static_members_allowed(context) {
        let response = outline(context, &request, Some(ErrorCode::UNSUPPORTED_VERSION));
        return answer.send(&response);
    }
    let response = outline(context, &request, None);
    let offsets = known(context, &request, &response);
    if offsets.is_empty() {
        return answer.send(&response);
    }
    if context.version == 0 {
        return commit_to_zookeeper(context, &request.group_id, &offsets, response, answer);
    }
    let count = offsets.len();
    // A group that keeps only its offsets here needs no members.
    let entry = match context.any_group(&request.group_id) {
        Ok(None) if request.generation_id < 0 => context.broker.group(&request.group_id, true, context.now),
        Ok(None) => Err(ErrorCode::ILLEGAL_GENERATION),
        found => found,
    };
    let entry = match entry {
        Ok(Some(entry)) => entry,
        Ok(None) => return answer.send(&merged(response, vec![ErrorCode::NOT_COORDINATOR; count])),
        Err(error) => return answer.send(&merged(response, vec![error; count])),
    };
    let commit = Commit {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
        offsets,
    };
    let then = Box::new(move |reply| match reply {
        Reply::Offsets(Ok(errors)) => answer.send(&merged(response, errors)),
        other => answer.close(format!("a commit was answered with {other:?}")),
    });
    context.broker.step_group(&entry, context.now, |group, step| group.commit(commit, then, step));
}

/// The answer without what the group says: all partitions, those that don't exist with their error.
fn outline(context: &Context<'_>, request: &Request, error: Option<ErrorCode>) -> Response {
    let metadata = context.broker.metadata.read();
    let metadata_len_max = usize::try_from(context.broker.settings().offsets.metadata_bytes_max).unwrap_or(0);
    // With a group, this is for the coordinator to say.
    let is_too_large = |one: &RequestPartition| {
        let committed = one.committed_metadata.as_deref().unwrap_or_default();
        context.version == 0 && committed.encode_utf16().count() > metadata_len_max
    };
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| {
            let own = match metadata.partition(&topic.name, one.partition_index) {
                None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                Some(_) if is_too_large(one) => ErrorCode::OFFSET_METADATA_TOO_LARGE,
                Some(_) => ErrorCode::NONE,
            };
            ResponsePartition { partition_index: one.partition_index, error_code: error.unwrap_or(own) }
        });
        ResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
    });
    Response { topics: topics.collect(), ..Response::default() }
}

/// What is to be committed: the partitions without an error, in the answer's order.
fn known(context: &Context<'_>, request: &Request, response: &Response) -> Vec<(TopicPartition, CommittedOffset)> {
    let wall_ms = context.now.wall_ms;
    let expire_timestamp_ms =
        (request.retention_time_ms != -1).then(|| wall_ms.saturating_add(request.retention_time_ms));
    let value = |one: &RequestPartition| CommittedOffset {
        offset: one.committed_offset,
        leader_epoch: one.committed_leader_epoch,
        metadata: Str::copied(one.committed_metadata.as_deref().unwrap_or_default()),
        commit_timestamp_ms: if one.commit_timestamp == -1 { wall_ms } else { one.commit_timestamp },
        expire_timestamp_ms,
    };
    let topics = request.topics.iter().zip(&response.topics);
    let offsets = topics.flat_map(|(topic, answered)| {
        let name = Str::copied(&topic.name);
        let fine =
            topic.partitions.iter().zip(&answered.partitions).filter(|(_, answered)| answered.error_code.is_none());
        fine.map(move |(one, _)| (TopicPartition { topic: name.clone(), partition: one.partition_index }, value(one)))
            .collect::<Vec<_>>()
    });
    offsets.collect()
}

/// Puts the group's errors where partitions have none of their own.
fn merged(mut response: Response, errors: Vec<ErrorCode>) -> Response {
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for (partition, error) in partitions.filter(|partition| partition.error_code.is_none()).zip(errors) {
        partition.error_code = error;
    }
    response
}

fn commit_to_zookeeper(
    context: &Context<'_>,
    group: &Str,
    offsets: &[(TopicPartition, CommittedOffset)],
    response: Response,
    answer: Answer,
) {
    let mut operations = Vec::new();
    for (place, value) in offsets {
        let path = consumer_offset_path(group, &place.topic, place.partition);
        let data = Some(Bytes::from(value.offset.to_string()));
        // Parents first; those that are there already stay as they are.
        for (end, _) in path.match_indices('/').skip(1) {
            let path = path.get(..end).unwrap_or_default().to_owned();
            operations.push(Operation::Create { path, data: None, mode: CreateMode::Persistent });
        }
        operations.push(Operation::Create { path: path.clone(), data: data.clone(), mode: CreateMode::Persistent });
        operations.push(Operation::SetData { path, data, version: -1 });
    }
    let each = operations.len() / offsets.len().max(1);
    context.broker.ask_zookeeper(operations, move |_, outcomes, _| {
        let error_of = |of_one: &[Result<kafka_control::Reply, Failure>]| match of_one.last() {
            Some(Ok(_)) => ErrorCode::NONE,
            _ => ErrorCode::UNKNOWN_SERVER_ERROR,
        };
        let errors = outcomes.chunks(each.max(1)).map(error_of).collect();
        answer.send(&merged(response, errors));
    });
}
