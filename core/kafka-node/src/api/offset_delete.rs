//! OffsetDelete (key 47, version 0): removes a group's offsets in partitions that no member reads (KIP-496).

use kafka_coord::Reply;
use kafka_coord::record::TopicPartition;
use kafka_proto::ErrorCode;
use kafka_proto::messages::offset_delete::{Request, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::api::GroupCall;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let refuse = |error_code, answer: Answer| answer.send(&Response { error_code, ..Response::default() });
    let entry = match context.group(&request.group_id, false) {
        Err(error) => return refuse(error, answer),
        Ok(None) => return refuse(ErrorCode::GROUP_ID_NOT_FOUND, answer),
        Ok(Some(entry)) => entry,
    };
    let mut places = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    {
        let metadata = context.broker.metadata.read();
        for topic in request.topics {
            let partitions = topic.partitions.iter().map(|one| {
                let partition_index = one.partition_index;
                if metadata.partition(&topic.name, partition_index).is_some() {
                    places.push(TopicPartition { topic: topic.name.clone(), partition: partition_index });
                    return ResponsePartition { partition_index, error_code: ErrorCode::NONE };
                }
                ResponsePartition { partition_index, error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION }
            });
            let partitions = partitions.collect();
            topics.push(ResponseTopic { name: topic.name, partitions });
        }
    }
    let then = Box::new(move |reply| match reply {
        Reply::Offsets(Ok(errors)) => {
            let tried = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            let tried = tried.filter(|partition| partition.error_code.is_none());
            for (partition, error) in tried.zip(errors) {
                partition.error_code = error;
            }
            answer.send(&Response { topics, ..Response::default() });
        }
        Reply::Offsets(Err(error)) => refuse(error, answer),
        other => answer.close(format!("a deletion of offsets was answered with {other:?}")),
    });
    context.broker.step_group(&entry, context.now, |group, step| group.delete_offsets(&places, then, step));
}
