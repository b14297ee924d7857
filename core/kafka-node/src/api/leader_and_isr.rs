//! LeaderAndIsr (key 4, versions 0 to 4): a controller says which partitions this broker leads or follows.
//!
//! Answered when it is done, in the order of the controller's words. A message of an older controller (STALE_CONTROLLER_EPOCH) or for an
//! earlier life of this broker (STALE_BROKER_EPOCH) is refused as a whole, with its error for each partition.

use base::Str;
use kafka_control::MessageBody;
use kafka_proto::ErrorCode;
use kafka_proto::messages::leader_and_isr::{PartitionError, Request, Response};

use crate::answer::Answer;
use crate::control::wire;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let broker = context.broker;
    let message = wire::of_leader_and_isr(broker.id(), &broker.settings().listeners.inter_broker, request);
    broker.tell(message, |_, result, _| {
        let (error_code, codes) = match result {
            Ok(codes) => (ErrorCode::NONE, codes),
            Err(refused) => {
                let named = match refused.message.body {
                    MessageBody::LeaderAndIsr { partitions, .. } => partitions,
                    MessageBody::UpdateMetadata { .. } | MessageBody::StopReplica(_) => Vec::new(),
                };
                (refused.code, named.into_iter().map(|state| (state.partition, refused.code)).collect())
            }
        };
        let error = |(partition, error_code): (kafka_control::TopicPartition, ErrorCode)| PartitionError {
            topic_name: Str::from(partition.topic),
            partition_index: partition.partition,
            error_code,
        };
        answer.send(&Response { error_code, partition_errors: codes.into_iter().map(error).collect() });
    });
}
