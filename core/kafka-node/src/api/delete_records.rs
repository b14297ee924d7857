//! DeleteRecords (key 21, versions 0 to 2): moves the start of logs; -1 stands for the high watermark. The files go by retention.
//!
//! It is answered when every live replica has moved its start, or after `timeout_ms` (REQUEST_TIMED_OUT, with what is gone everywhere).
//! Followers hear of a new start with their next fetch (upstream: `DelayedDeleteRecords`).

use std::sync::Arc;

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::delete_records::{Request, RequestPartition, Response, ResponsePartition, ResponseTopic};
use kafka_replica::{Delayed, Park, WaitingList};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::errors;
use crate::metadata::is_internal;
use crate::partitions::Partition;

/// The high watermark, whatever it is.
const HIGH_WATERMARK: i64 = -1;

/// A request that waits for replicas.
pub(crate) struct WaitingDelete {
    broker: Arc<Broker>,
    waits: Vec<Wait>,
    response: Response,
    answer: Answer,
}

/// A partition whose replicas have not all moved their starts, and its place in the answer.
struct Wait {
    partition: Arc<Partition>,
    offset: i64,
    topic_index: usize,
    partition_index: usize,
}

impl Delayed for WaitingDelete {
    fn is_ready(&mut self) -> bool {
        let Self { broker, waits, response, .. } = self;
        waits.retain(|wait| {
            let topic = response.topics.get_mut(wait.topic_index);
            let Some(place) = topic.and_then(|topic| topic.partitions.get_mut(wait.partition_index)) else {
                return false;
            };
            match low_watermark(broker, &wait.partition) {
                Ok(low_watermark) => {
                    place.low_watermark = low_watermark;
                    let is_waiting = low_watermark < wait.offset;
                    place.error_code = if is_waiting { ErrorCode::REQUEST_TIMED_OUT } else { ErrorCode::NONE };
                    is_waiting
                }
                Err(error) => {
                    (place.low_watermark, place.error_code) = (-1, error);
                    false
                }
            }
        });
        waits.is_empty()
    }
}

impl WaitingDelete {
    /// Answers; what still waits has timed out.
    pub(crate) fn complete(self) {
        self.answer.send(&self.response);
    }
}

fn low_watermark(broker: &Broker, partition: &Partition) -> Result<i64, ErrorCode> {
    partition.check_epoch(-1, true)?;
    Ok(partition.low_watermark(broker))
}

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let broker = context.broker;
    let mut waits = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic_index, topic) in request.topics.into_iter().enumerate() {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for (partition_index, one) in topic.partitions.iter().enumerate() {
            let deleted = delete(context, &topic.name, one);
            partitions.push(ResponsePartition {
                partition_index: one.partition_index,
                low_watermark: -1,
                error_code: deleted.as_ref().err().copied().unwrap_or(ErrorCode::NONE),
            });
            if let Ok((partition, offset)) = deleted {
                waits.push(Wait { partition, offset, topic_index, partition_index });
            }
        }
        topics.push(ResponseTopic { name: topic.name, partitions });
    }
    let response = Response { topics, ..Response::default() };
    let partitions: Vec<_> = waits.iter().map(|wait| wait.partition.clone()).collect();
    let mut delayed = WaitingDelete { broker: broker.clone(), waits, response, answer };
    if delayed.is_ready() {
        return delayed.complete();
    }
    let deadline = context.now.monotonic.plus_ms(u64::try_from(request.timeout_ms).unwrap_or(0));
    let lists = partitions.iter().map(|partition| -> &WaitingList<WaitingDelete> { &partition.deletes });
    if let Park::Ready(delayed) = broker.deletes.park(delayed, deadline, lists) {
        delayed.complete();
    }
    broker.host.alarm(deadline);
}

/// Moves the start of the log; up to which offset the replicas are to follow.
fn delete(context: &Context<'_>, topic: &Str, one: &RequestPartition) -> Result<(Arc<Partition>, i64), ErrorCode> {
    if is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let partition = context.broker.partitions.get(context.broker, topic, one.partition_index)?;
    partition.check_epoch(-1, true)?;
    // Compacted topics keep their newest values: nobody may cut them.
    if !partition.log().config().cleanup_delete {
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let offset = match one.offset {
        HIGH_WATERMARK => partition.log().offsets().high_watermark,
        offset if offset < 0 => return Err(ErrorCode::OFFSET_OUT_OF_RANGE),
        offset => offset,
    };
    partition.delete_before(offset).map_err(|error| errors::of_log(&error))?;
    partition.tell_sessions(context.broker);
    Ok((partition, offset))
}
