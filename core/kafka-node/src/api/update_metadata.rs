//! UpdateMetadata (key 6, versions 0 to 6): a controller says which brokers live, and what became of partitions.
//!
//! Answered when it is taken, in the order of the controller's words; refused as LeaderAndIsr is.

use kafka_proto::ErrorCode;
use kafka_proto::messages::update_metadata::{Request, Response};

use crate::answer::Answer;
use crate::control::wire;
use crate::dispatch::Context;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    match wire::of_update_metadata(context.broker.id(), context.version, request) {
        Err(error_code) => answer.send(&Response { error_code }),
        Ok(message) => context.broker.tell(message, |_, result, _| {
            answer.send(&Response { error_code: result.err().map_or(ErrorCode::NONE, |refused| refused.code) });
        }),
    }
}
