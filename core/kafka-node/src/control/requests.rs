//! What brokers ask of the controller, in the words of the protocol and back: ControlledShutdown and AlterIsr.

use std::collections::BTreeMap;

use base::Str;
use config::ApiVersion;
use kafka_control::{Answer, IsrChanged, IsrProposal, IsrsChanged, Request, TopicPartition};
use kafka_proto::messages::{alter_isr, controlled_shutdown};
use kafka_proto::{AnyRequest, AnyResponse, ErrorCode};

use super::wire;

/// A broker's request, and the version in which brokers of a protocol level ask it; `None` for what clients alone ask.
pub(super) fn to_wire(request: Request, level: ApiVersion) -> Option<(AnyRequest, i16)> {
    match request {
        Request::ControlledShutdown { broker, broker_epoch } => {
            let request = controlled_shutdown::Request { broker_id: broker, broker_epoch };
            Some((request.into(), wire::controlled_shutdown_version(level)))
        }
        Request::AlterIsr { broker, broker_epoch, proposals } => {
            let mut topics: BTreeMap<String, Vec<alter_isr::RequestPartition>> = BTreeMap::new();
            for proposal in proposals {
                topics.entry(proposal.partition.topic).or_default().push(alter_isr::RequestPartition {
                    partition_index: proposal.partition.partition,
                    leader_epoch: proposal.leader_epoch,
                    new_isr: proposal.isr,
                    current_isr_version: proposal.zk_version,
                });
            }
            let topic = |(name, partitions)| alter_isr::RequestTopic { name: Str::from(name), partitions };
            let topics = topics.into_iter().map(topic).collect();
            Some((alter_isr::Request { broker_id: broker, broker_epoch, topics }.into(), 0))
        }
        _ => None,
    }
}

/// The controller's answer; `None` if it is to something else.
pub(super) fn of_response(response: AnyResponse) -> Option<Answer> {
    match response {
        AnyResponse::ControlledShutdown(response) => Some(Answer::ControlledShutdown(match response.error_code {
            ErrorCode::NONE => Ok(response
                .remaining_partitions
                .into_iter()
                .map(|left| TopicPartition { topic: left.topic_name.to_string(), partition: left.partition_index })
                .collect()),
            code => Err(code),
        })),
        AnyResponse::AlterIsr(response) if response.error_code == ErrorCode::NONE => {
            let mut changed = Vec::new();
            for topic in response.topics {
                changed.extend(topic.partitions.into_iter().map(|partition| {
                    let id = TopicPartition { topic: topic.name.to_string(), partition: partition.partition_index };
                    let result = match partition.error_code {
                        ErrorCode::NONE => Ok(IsrChanged {
                            leader: partition.leader_id,
                            leader_epoch: partition.leader_epoch,
                            isr: partition.isr,
                            zk_version: partition.current_isr_version,
                        }),
                        code => Err(code),
                    };
                    (id, result)
                }));
            }
            Some(Answer::AlterIsr(Ok(changed)))
        }
        AnyResponse::AlterIsr(response) => Some(Answer::AlterIsr(Err(response.error_code))),
        _ => None,
    }
}

/// Whether an answer refuses the request as a whole with this code.
pub(super) fn is_refused(answer: &Answer, code: ErrorCode) -> bool {
    match answer {
        Answer::ControlledShutdown(result) => result.as_ref().is_err_and(|found| *found == code),
        Answer::AlterIsr(result) => result.as_ref().is_err_and(|found| *found == code),
        Answer::ElectLeaders(result) => result.as_ref().is_err_and(|refusal| refusal.code == code),
        Answer::AlterPartitionReassignments(result) => result.as_ref().is_err_and(|refusal| refusal.code == code),
        Answer::ListPartitionReassignments(result) => result.as_ref().is_err_and(|refusal| refusal.code == code),
        Answer::UpdateFeatures(result) => result.as_ref().is_err_and(|refusal| refusal.code == code),
    }
}

/// What AlterIsr asks.
pub(crate) fn of_alter_isr(request: alter_isr::Request) -> Request {
    let mut proposals = Vec::new();
    for topic in request.topics {
        proposals.extend(topic.partitions.into_iter().map(|partition| IsrProposal {
            partition: TopicPartition { topic: topic.name.to_string(), partition: partition.partition_index },
            leader_epoch: partition.leader_epoch,
            isr: partition.new_isr,
            zk_version: partition.current_isr_version,
        }));
    }
    Request::AlterIsr { broker: request.broker_id, broker_epoch: request.broker_epoch, proposals }
}

/// The response to AlterIsr.
pub(crate) fn alter_isr_response(result: Result<IsrsChanged, ErrorCode>) -> alter_isr::Response {
    let changed = match result {
        Ok(changed) => changed,
        Err(error_code) => return alter_isr::Response { error_code, ..alter_isr::Response::default() },
    };
    let mut topics: BTreeMap<String, Vec<alter_isr::ResponsePartition>> = BTreeMap::new();
    for (id, result) in changed {
        let partition_index = id.partition;
        let partition = match result {
            Ok(IsrChanged { leader, leader_epoch, isr, zk_version }) => alter_isr::ResponsePartition {
                partition_index,
                leader_id: leader,
                leader_epoch,
                isr,
                current_isr_version: zk_version,
                ..alter_isr::ResponsePartition::default()
            },
            Err(error_code) => {
                alter_isr::ResponsePartition { partition_index, error_code, ..alter_isr::ResponsePartition::default() }
            }
        };
        topics.entry(id.topic).or_default().push(partition);
    }
    let topic = |(name, partitions)| alter_isr::ResponseTopic { name: Str::from(name), partitions };
    alter_isr::Response { topics: topics.into_iter().map(topic).collect(), ..alter_isr::Response::default() }
}
