//! DeleteTopics (key 20, versions 0 to 5): marks topics for deletion and waits until this broker has forgotten them.
//!
//! Only the controller serves it. With `delete.topic.enable=false` it is TOPIC_DELETION_DISABLED, INVALID_REQUEST before
//! version 3. A topic that is marked already is waited for like the others.

use std::sync::Arc;

use base::{Now, Str};
use kafka_control::{CreateMode, Failure, Operation, znode};
use kafka_proto::ErrorCode;
use kafka_proto::messages::delete_topics::{Outcome, Request, Response};

use crate::answer::Answer;
use crate::broker::Broker;
use crate::dispatch::Context;
use crate::gather::Gather;
use crate::topic_waits::TopicWaits;

pub(super) fn handle(context: &Context<'_>, request: Request, answer: Answer) {
    let disabled = if context.version < 3 { ErrorCode::INVALID_REQUEST } else { ErrorCode::TOPIC_DELETION_DISABLED };
    let refusal = match context.broker.active_controller_epoch() {
        None => Some(ErrorCode::NOT_CONTROLLER),
        Some(_) if !context.broker.settings().topics.delete => Some(disabled),
        Some(_) => None,
    };
    let gather = Gather::new(Vec::new(), move |responses| answer.send(&Response { responses, ..Response::default() }));
    for name in request.topic_names {
        let is_known = context.broker.metadata.read().topic(&name).is_some();
        match refusal {
            Some(error) => gather.add(outcome(name, error)),
            None if !is_known => gather.add(outcome(name, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            None => {
                let gather = gather.clone();
                delete(context.broker, name, request.timeout_ms, context.now, move |outcome| gather.add(outcome));
            }
        }
    }
}

fn delete(broker: &Arc<Broker>, name: Str, timeout_ms: i32, now: Now, then: impl FnOnce(Outcome) + Send + 'static) {
    let mark = Operation::Create { path: znode::delete_topic(&name), data: None, mode: CreateMode::Persistent };
    broker.ask_zookeeper(vec![mark], move |broker, outcomes, _| {
        match outcomes.into_iter().next() {
            Some(Ok(_) | Err(Failure::NodeExists)) => {}
            _ => return then(outcome(name, ErrorCode::UNKNOWN_SERVER_ERROR)),
        }
        let Some(timeout_ms) = u64::try_from(timeout_ms).ok().filter(|timeout_ms| *timeout_ms > 0) else {
            return then(outcome(name, ErrorCode::REQUEST_TIMED_OUT));
        };
        let topic = name.to_string();
        let is_gone = move |metadata: &crate::metadata::Metadata| metadata.topic(&topic).is_none();
        TopicWaits::wait(broker, timeout_ms, now, is_gone, move |_, gone| {
            then(outcome(name, if gone { ErrorCode::NONE } else { ErrorCode::REQUEST_TIMED_OUT }));
        });
    });
}

fn outcome(name: Str, error_code: ErrorCode) -> Outcome {
    Outcome { name, error_code, error_message: None }
}
