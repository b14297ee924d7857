//! DeleteRecords (key 21, versions 0 to 2): moves the start of logs; -1 stands for the high watermark. The files go by retention.
//!
//! It is answered when every live replica has moved its start, or after `timeout_ms`; a broker that is alone has moved its own.

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::delete_records::{Request, RequestPartition, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::errors;
use crate::metadata::is_internal;

/// The high watermark, whatever it is.
const HIGH_WATERMARK: i64 = -1;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| {
            let deleted = delete(context, &topic.name, one);
            ResponsePartition {
                partition_index: one.partition_index,
                low_watermark: deleted.unwrap_or(-1),
                error_code: deleted.err().unwrap_or(ErrorCode::NONE),
            }
        });
        let partitions = partitions.collect();
        ResponseTopic { name: topic.name, partitions }
    });
    answer.send(&Response { topics: topics.collect(), ..Response::default() });
}

fn delete(context: &Context<'_>, topic: &Str, one: &RequestPartition) -> Result<i64, ErrorCode> {
    if is_internal(topic) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let partition = context.broker.partitions.get(context.broker, topic, one.partition_index)?;
    partition.check_epoch(-1, true)?;
    // Compacted topics keep their newest values: nobody may cut them.
    if !partition.log.config().cleanup_delete {
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let offset = match one.offset {
        HIGH_WATERMARK => partition.log.offsets().high_watermark,
        offset if offset < 0 => return Err(ErrorCode::OFFSET_OUT_OF_RANGE),
        offset => offset,
    };
    partition.log.increment_log_start_offset(offset).map_err(|error| errors::of_log(&error))?;
    Ok(partition.low_watermark(context.broker))
}
