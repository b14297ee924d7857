//! FindCoordinator (key 10, versions 0 to 3): the broker that leads a group's partition of `__consumer_offsets`.
//!
//! The topic is made when it is missing; meanwhile, and while it has no leader, the answer is COORDINATOR_NOT_AVAILABLE and the
//! client asks again. For transactions this broker names itself: its InitProducerId says that they are not served yet.

use base::Str;
use kafka_proto::ErrorCode;
use kafka_proto::messages::find_coordinator::{Request, Response};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::metadata::GROUP_METADATA_TOPIC;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

#[expect(clippy::needless_pass_by_value, reason = "every handler is given its request")]
pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let broker = context.broker;
    let leader = match request.key_type {
        GROUP if broker.metadata.read().topic(GROUP_METADATA_TOPIC).is_none() => return create(context, answer),
        GROUP => {
            let partition = broker.group_partition(&request.key);
            let metadata = broker.metadata.read();
            metadata.partition(GROUP_METADATA_TOPIC, partition).map(|state| state.leader_and_isr.leader)
        }
        TRANSACTION => Some(broker.id()),
        _ => return answer.send(&failed(ErrorCode::UNKNOWN_SERVER_ERROR)),
    };
    let metadata = broker.metadata.read();
    let node = leader.and_then(|id| Some((id, metadata.endpoint(id, &context.client.listener_name)?)));
    let response = match node {
        None => failed(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        Some((node_id, endpoint)) => Response {
            // The original's word for "no error".
            error_message: Some(Str::from_static("NONE")),
            node_id,
            host: Str::from(endpoint.host.as_str()),
            port: endpoint.port,
            ..Response::default()
        },
    };
    drop(metadata);
    answer.send(&response);
}

/// Makes the topic; the client asks again whether that went well or not.
fn create(context: &Context<'_>, answer: Answer) {
    match context.broker.automatic_topic(&Str::from_static(GROUP_METADATA_TOPIC)) {
        Err(error) => {
            tracing::error!(
                target: "kafka.server.KafkaApis",
                "{GROUP_METADATA_TOPIC} can't be created: {error}; compare offsets.topic.replication.factor with the live brokers"
            );
            answer.send(&failed(ErrorCode::COORDINATOR_NOT_AVAILABLE));
        }
        Ok(new) => context.broker.create_topic(new, move |_, _| {
            answer.send(&failed(ErrorCode::COORDINATOR_NOT_AVAILABLE));
        }),
    }
}

fn failed(error_code: ErrorCode) -> Response {
    let error_message = Some(Str::from_static(error_code.message()));
    Response { error_code, error_message, node_id: -1, port: -1, ..Response::default() }
}
