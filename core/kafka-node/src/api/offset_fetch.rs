//! OffsetFetch (key 9, versions 0 to 7): what a group has committed; from version 2 on for all its partitions.
//!
//! A partition without an offset is -1, without an error. With `require_stable` (version 7, KIP-447) one with a commit under way
//! or in an open transaction is UNSTABLE_OFFSET_COMMIT. Version 0 reads the offsets that old consumers keep in ZooKeeper.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use kafka_control::{Failure, Operation, Reply};
use kafka_coord::Offsets;
use kafka_coord::record::{CommittedOffset, TopicPartition};
use kafka_proto::ErrorCode;
use kafka_proto::messages::offset_fetch::{Request, RequestTopic, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::api::{GroupCall, consumer_offset_path};
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    if context.version == 0 {
        return fetch_from_zookeeper(context, request, answer);
    }
    let topics = match context.any_group(&request.group_id) {
        Err(error) => return refuse(context.version, error, request.topics.unwrap_or_default(), answer),
        Ok(None) => requested(request.topics.unwrap_or_default(), |_, index| absent(index)),
        Ok(Some(entry)) => entry.look(|group| fetch(group.offsets(), request.topics, request.require_stable)),
    };
    answer.send(&Response { topics, ..Response::default() });
}

fn fetch(offsets: &Offsets, topics: Option<Vec<RequestTopic>>, require_stable: bool) -> Vec<ResponseTopic> {
    let one = |place: &TopicPartition| {
        if require_stable && offsets.is_unstable(place) {
            return ResponsePartition { error_code: ErrorCode::UNSTABLE_OFFSET_COMMIT, ..absent(place.partition) };
        }
        offsets.get(place).map_or_else(|| absent(place.partition), |value| found(place.partition, value))
    };
    let Some(topics) = topics else {
        let mut all: Vec<ResponseTopic> = Vec::new();
        for (place, _) in offsets.iter() {
            let partition = one(place);
            match all.last_mut().filter(|topic| topic.name == place.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => all.push(ResponseTopic { name: place.topic.clone(), partitions: vec![partition] }),
            }
        }
        return all;
    };
    requested(topics, |topic, partition| one(&TopicPartition { topic: topic.clone(), partition }))
}

/// Each partition once, under one mention of its topic; a topic without partitions is not mentioned.
fn requested(topics: Vec<RequestTopic>, one: impl Fn(&Str, i32) -> ResponsePartition) -> Vec<ResponseTopic> {
    let mut answered: Vec<ResponseTopic> = Vec::with_capacity(topics.len());
    let mut places: BTreeMap<Str, (usize, BTreeSet<i32>)> = BTreeMap::new();
    for RequestTopic { name, partition_indexes } in
        topics.into_iter().filter(|topic| !topic.partition_indexes.is_empty())
    {
        let (place, seen) = places.entry(name.clone()).or_insert_with(|| {
            answered.push(ResponseTopic { name: name.clone(), partitions: Vec::new() });
            (answered.len() - 1, BTreeSet::new())
        });
        let Some(topic) = answered.get_mut(*place) else { continue };
        let new = partition_indexes.into_iter().filter(|index| seen.insert(*index));
        topic.partitions.extend(new.map(|index| one(&name, index)));
    }
    answered
}

/// From version 2 on the whole group has the error, before each partition.
fn refuse(version: i16, error_code: ErrorCode, topics: Vec<RequestTopic>, answer: Answer) {
    if version >= 2 {
        return answer.send(&Response { error_code, ..Response::default() });
    }
    let topics = requested(topics, |_, index| ResponsePartition { error_code, ..absent(index) });
    answer.send(&Response { topics, ..Response::default() });
}

fn absent(partition_index: i32) -> ResponsePartition {
    ResponsePartition {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Str::EMPTY),
        error_code: ErrorCode::NONE,
    }
}

fn found(partition_index: i32, value: &CommittedOffset) -> ResponsePartition {
    ResponsePartition {
        partition_index,
        committed_offset: value.offset,
        committed_leader_epoch: value.leader_epoch,
        metadata: Some(value.metadata.clone()),
        error_code: ErrorCode::NONE,
    }
}

fn fetch_from_zookeeper(context: &Context<'_>, request: Request, answer: Answer) {
    let (group, topics) = (request.group_id, request.topics.unwrap_or_default());
    let mut reads = Vec::new();
    {
        let metadata = context.broker.metadata.read();
        for topic in &topics {
            let known =
                topic.partition_indexes.iter().filter(|index| metadata.partition(&topic.name, **index).is_some());
            for index in known {
                let path = consumer_offset_path(&group, &topic.name, *index);
                reads.push((topic.name.clone(), *index, Operation::GetData { path, watch: false }));
            }
        }
    }
    let (places, operations): (Vec<_>, Vec<_>) =
        reads.into_iter().map(|(topic, index, read)| ((topic, index), read)).unzip();
    context.broker.ask_zookeeper(operations, move |_, outcomes, _| {
        let outcomes: BTreeMap<_, _> = places.into_iter().zip(outcomes).collect();
        let one = |topic: &Str, index: i32| match outcomes.get(&(topic.clone(), index)) {
            Some(Ok(Reply::Data(content, _))) => of_znode(index, content.as_deref().unwrap_or_default()),
            Some(_) if group.is_empty() => {
                ResponsePartition { error_code: ErrorCode::UNKNOWN_SERVER_ERROR, ..absent(index) }
            }
            Some(Ok(_) | Err(Failure::NoNode)) | None => unknown(index),
            Some(Err(_)) => ResponsePartition { error_code: ErrorCode::UNKNOWN_SERVER_ERROR, ..absent(index) },
        };
        answer.send(&Response { topics: requested(topics, one), ..Response::default() });
    });
}

/// The offset as text.
fn of_znode(index: i32, content: &[u8]) -> ResponsePartition {
    match std::str::from_utf8(content).ok().and_then(|text| text.parse().ok()) {
        Some(committed_offset) => ResponsePartition { committed_offset, ..absent(index) },
        None => ResponsePartition { error_code: ErrorCode::UNKNOWN_SERVER_ERROR, ..absent(index) },
    }
}

fn unknown(index: i32) -> ResponsePartition {
    ResponsePartition { error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ..absent(index) }
}
