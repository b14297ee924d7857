//! ListPartitionReassignments (key 46, version 0): which replicas are being moved (KIP-455), as the controller knows it.

use std::collections::{BTreeMap, BTreeSet};

use base::Str;
use kafka_control::{Answer as Answered, Request as Asked, TopicPartition};
use kafka_proto::messages::list_partition_reassignments::{Request, Response, ResponsePartition, ResponseTopic};

use crate::answer::Answer;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let wanted = request.topics.map(|topics| {
        let mut wanted = BTreeSet::new();
        for topic in topics {
            let id = |partition| TopicPartition { topic: topic.name.to_string(), partition };
            wanted.extend(topic.partition_indexes.into_iter().map(id));
        }
        wanted
    });
    let asked = Asked::ListPartitionReassignments(wanted);
    context.broker.ask_own_controller(asked, context.now, |_, answered, _| {
        let Answered::ListPartitionReassignments(result) = answered else {
            return answer.close("the controller's answer is to something else");
        };
        let under_way = match result {
            Ok(under_way) => under_way,
            Err(refusal) => {
                let error_message = refusal.message.map(Str::from);
                return answer.send(&Response { error_code: refusal.code, error_message, ..Response::default() });
            }
        };
        let mut topics: BTreeMap<String, Vec<ResponsePartition>> = BTreeMap::new();
        for (id, assignment) in under_way {
            topics.entry(id.topic).or_default().push(ResponsePartition {
                partition_index: id.partition,
                replicas: assignment.replicas,
                adding_replicas: assignment.adding,
                removing_replicas: assignment.removing,
            });
        }
        let topic = |(name, partitions)| ResponseTopic { name: Str::from(name), partitions };
        let topics = topics.into_iter().map(topic).collect();
        // Not null: the original never sets it.
        answer.send(&Response { error_message: Some(Str::EMPTY), topics, ..Response::default() });
    });
}
