//! ListOffsets (key 2, versions 0 to 5): offsets by time.
//!
//! -1 asks for the end (the high watermark, or the last stable offset for `read_committed`), -2 for the start, a time for the first
//! record at or after it. Version 0 answers a list of segment starts. Lookups by time read index and log, so the request
//! is handled on a disk thread unless it asks for starts and ends alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Str, once};
use kafka_log::{LogError, TimestampOffset};
use kafka_proto::ErrorCode;
use kafka_proto::messages::list_offset::{
    Request, RequestPartition, RequestTopic, Response, ResponsePartition, ResponseTopic,
};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::errors;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

/// What all partitions of a request share.
#[derive(Clone, Copy)]
struct Manner {
    version: i16,
    is_consumer: bool,
    isolation_level: i8,
}

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let manner = Manner {
        version: context.version,
        is_consumer: request.replica_id == -1,
        isolation_level: request.isolation_level,
    };
    let by_time = |one: &RequestPartition| !matches!(one.timestamp, LATEST | EARLIEST) || context.version == 0;
    let must_read = request.topics.iter().flat_map(|topic| &topic.partitions).any(by_time);
    if !must_read {
        return answer.send(&respond(context.broker, request.topics, manner));
    }
    let broker = context.broker.clone();
    context.broker.host.submit_for_request(once(move |_| answer.send(&respond(&broker, request.topics, manner))));
}

fn respond(broker: &Arc<Broker>, topics: Vec<RequestTopic>, manner: Manner) -> Response {
    let mut counts: BTreeMap<(Str, i32), usize> = BTreeMap::new();
    for topic in &topics {
        for one in &topic.partitions {
            *counts.entry((topic.name.clone(), one.partition_index)).or_default() += 1;
        }
    }
    let topics = topics.into_iter().map(|RequestTopic { name, partitions }| {
        let answered = partitions.iter().map(|one| {
            let mentions = counts.get(&(name.clone(), one.partition_index));
            let is_repeated = manner.version > 0 && mentions.is_some_and(|count| *count > 1);
            let looked_up =
                if is_repeated { Err(ErrorCode::INVALID_REQUEST) } else { look_up(broker, &name, one, manner) };
            looked_up.unwrap_or_else(|error_code| ResponsePartition {
                partition_index: one.partition_index,
                error_code,
                ..ResponsePartition::default()
            })
        });
        let partitions = answered.collect();
        ResponseTopic { name, partitions }
    });
    Response { topics: topics.collect(), ..Response::default() }
}

fn look_up(
    broker: &Arc<Broker>,
    topic: &Str,
    one: &RequestPartition,
    manner: Manner,
) -> Result<ResponsePartition, ErrorCode> {
    if manner.is_consumer && !matches!(manner.isolation_level, READ_UNCOMMITTED | READ_COMMITTED) {
        return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
    }
    let partition = broker.partitions.get(broker, topic, one.partition_index)?;
    partition.check_stated_epoch(one.current_leader_epoch)?;
    let log = &*partition.log();
    let offsets = log.offsets();
    let end = match (manner.is_consumer, manner.isolation_level) {
        (false, _) => offsets.log_end,
        (true, READ_COMMITTED) => offsets.last_stable,
        (true, _) => offsets.high_watermark,
    };
    let mut answer = ResponsePartition { partition_index: one.partition_index, ..ResponsePartition::default() };
    let code = |error: LogError| errors::of_log(&error);
    if manner.version == 0 {
        // The original makes an array of that length.
        let count = usize::try_from(one.max_num_offsets).map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
        let found = log.offsets_before(one.timestamp, count, broker.host.now()).map_err(code)?;
        answer.old_style_offsets = visible(found, end, manner);
        return Ok(answer);
    }
    // Older clients ask again after this error too.
    let not_available =
        if manner.version >= 5 { ErrorCode::OFFSET_NOT_AVAILABLE } else { ErrorCode::LEADER_NOT_AVAILABLE };
    let is_end_unknown = manner.is_consumer && partition.is_end_unknown(offsets.high_watermark);
    let found = match one.timestamp {
        LATEST if is_end_unknown => return Err(not_available),
        LATEST => Some(TimestampOffset { timestamp: -1, offset: end, leader_epoch: Some(partition.leader_epoch()) }),
        EARLIEST => Some(log.earliest()),
        // What consumers can't read yet is not found.
        time => log.offset_for_timestamp(time).map_err(code)?.filter(|found| !manner.is_consumer || found.offset < end),
    };
    if found.is_none() && is_end_unknown {
        return Err(not_available);
    }
    if let Some(found) = found {
        answer.timestamp = found.timestamp;
        answer.offset = found.offset;
        if manner.version >= 4 {
            answer.leader_epoch = found.leader_epoch.unwrap_or(-1);
        }
    }
    Ok(answer)
}

/// Version 0 shows consumers nothing beyond the high watermark, and that itself instead.
fn visible(found: Vec<i64>, end: i64, manner: Manner) -> Vec<i64> {
    if !manner.is_consumer || !found.iter().any(|offset| *offset > end) {
        return found;
    }
    std::iter::once(end).chain(found.into_iter().skip_while(|offset| *offset > end)).collect()
}
