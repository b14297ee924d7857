//! AlterPartitionReassignments (key 45, version 0): a client moves replicas of partitions, or takes that back (KIP-455).
//!
//! Answered when the moves are taken on, by the controller alone; `timeout_ms` has no effect, as in the original.

use std::collections::BTreeMap;

use base::Str;
use kafka_control::{Answer as Answered, Request as Asked, TopicPartition};
use kafka_proto::ErrorCode;
use kafka_proto::messages::alter_partition_reassignments::{Outcome, Request, Response, ResponsePartition};

use crate::answer::Answer;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let mut moves = BTreeMap::new();
    for topic in request.topics {
        for partition in topic.partitions {
            let id = TopicPartition { topic: topic.name.to_string(), partition: partition.partition_index };
            moves.insert(id, partition.replicas);
        }
    }
    let asked = Asked::AlterPartitionReassignments(moves);
    context.broker.ask_own_controller(asked, context.now, |_, answered, _| {
        let Answered::AlterPartitionReassignments(result) = answered else {
            return answer.close("the controller's answer is to something else");
        };
        let results = match result {
            Ok(results) => results,
            Err(refusal) => {
                let error_message = refusal.message.map(Str::from);
                return answer.send(&Response { error_code: refusal.code, error_message, ..Response::default() });
            }
        };
        let mut topics: BTreeMap<String, Vec<ResponsePartition>> = BTreeMap::new();
        for (id, result) in results {
            let (error_code, error_message) = match result {
                Ok(()) => (ErrorCode::NONE, None),
                Err(refusal) => (refusal.code, refusal.message.map(Str::from)),
            };
            let partition = ResponsePartition { partition_index: id.partition, error_code, error_message };
            topics.entry(id.topic).or_default().push(partition);
        }
        let topic = |(name, partitions)| Outcome { name: Str::from(name), partitions };
        let responses = topics.into_iter().map(topic).collect();
        // Not null: the original never sets it.
        answer.send(&Response { error_message: Some(Str::EMPTY), responses, ..Response::default() });
    });
}
