//! StopReplica (key 5, versions 0 to 3): a controller takes replicas from this broker, with their logs or without.
//!
//! Answered when it is done, in the order of the controller's words; refused as a whole, without a word on partitions, as
//! LeaderAndIsr is.

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::stop_replica::{PartitionError, Request, Response};

use crate::answer::Answer;
use crate::control::wire;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let message = wire::of_stop_replica(context.broker.id(), context.version, request);
    context.broker.tell(message, |_, result, _| {
        let (error_code, codes) = match result {
            Ok(codes) => (ErrorCode::NONE, codes),
            Err(refused) => (refused.code, Vec::new()),
        };
        let error = |(partition, error_code): (kafka_control::TopicPartition, ErrorCode)| PartitionError {
            topic_name: Str::from(partition.topic),
            partition_index: partition.partition,
            error_code,
        };
        answer.send(&Response { error_code, partition_errors: codes.into_iter().map(error).collect() });
    });
}
