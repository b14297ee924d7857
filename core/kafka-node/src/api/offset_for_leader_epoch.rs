//! OffsetForLeaderEpoch (key 23, versions 0 to 3): where a leader epoch ends in this log, so that a follower or consumer finds
//! where its own history departs (KIP-101, KIP-320).

use base::Str;
use kafka_log::EpochOffset;
use kafka_proto::ErrorCode;
use kafka_proto::messages::offset_for_leader_epoch::{
    Request, RequestPartition, Response, ResponsePartition, ResponseTopic,
};

use crate::answer::Answer;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| {
            let found = look_up(context, &topic.name, one);
            let (error_code, found) = match found {
                Ok(found) => (ErrorCode::NONE, found),
                Err(error) => (error, None),
            };
            ResponsePartition {
                error_code,
                partition_index: one.partition_index,
                leader_epoch: found.map_or(-1, |found| found.epoch),
                end_offset: found.map_or(-1, |found| found.offset),
            }
        });
        let partitions = partitions.collect();
        ResponseTopic { name: topic.name, partitions }
    });
    answer.send(&Response { topics: topics.collect(), ..Response::default() });
}

fn look_up(context: &Context<'_>, topic: &Str, one: &RequestPartition) -> Result<Option<EpochOffset>, ErrorCode> {
    let partition = context.broker.partitions.get(context.broker, topic, one.partition_index)?;
    partition.check_stated_epoch(one.current_leader_epoch)?;
    Ok(partition.log().end_offset_for_epoch(one.leader_epoch))
}
