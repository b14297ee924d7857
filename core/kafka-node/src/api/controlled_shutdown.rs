//! ControlledShutdown (key 7, versions 0 to 3): a broker is about to stop and asks the controller to move its leaders.
//!
//! A broker that is not the controller answers STALE_CONTROLLER_EPOCH, as the original does.

use base::Str;
use kafka_control::{Answer as Answered, Request as Asked};
use kafka_proto::ErrorCode;
use kafka_proto::messages::controlled_shutdown::{RemainingPartition, Request, Response};

use crate::answer::Answer;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, Request { broker_id: broker, broker_epoch }: Request, answer: Answer) {
    let asked = Asked::ControlledShutdown { broker, broker_epoch };
    context.broker.ask_own_controller(asked, context.now, |_, answered, _| {
        let Answered::ControlledShutdown(result) = answered else {
            return answer.close("the controller's answer is to something else");
        };
        let response = match result {
            Ok(remaining) => {
                let remaining = remaining.into_iter().map(|partition| RemainingPartition {
                    topic_name: Str::from(partition.topic),
                    partition_index: partition.partition,
                });
                Response { remaining_partitions: remaining.collect(), ..Response::default() }
            }
            Err(ErrorCode::NOT_CONTROLLER) => {
                Response { error_code: ErrorCode::STALE_CONTROLLER_EPOCH, ..Response::default() }
            }
            Err(error_code) => Response { error_code, ..Response::default() },
        };
        answer.send(&response);
    });
}
